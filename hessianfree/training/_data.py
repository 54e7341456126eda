"""Data sources of a training run: fresh batches, and minibatches of a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch, count_sequences, is_pair, take_sequences
from hessianfree.training._dropout import Dropout
from reservoir.utils.explained import explained
from reservoir.utils.validation import check_integer, check_real


class DataSource(Protocol):
    """Where the batches of an iteration come from.

    What comes depends on the number of the iteration and on the seed of the run alone, not on what
    was asked before: a run that is resumed sees the data that it would have seen.
    """

    def batches(self, iteration: int, seed: np.random.SeedSequence) -> tuple[Any, Any]:
        """Return the gradient batch and the curvature batch of an iteration (0, 1, ...)."""
        ...


@explained
@dataclass(frozen=True)
class FreshBatches:
    """Data drawn afresh for every iteration.

    Parameters
    ----------
    draw : callable
        n_sequences, rng -> batch; with nothing random but from `rng`, a numpy Generator.
    gradient_size : int
        Sequences of the gradient batch.
    curvature_size : int, optional
        Sequences of the curvature batch, drawn independently. Without it the gradient batch serves
        for both.
    growth : float, default=0.0
        The batches of iteration i = 0, 1, ... are 1 + growth · i times as large [1]_: small while
        there is much to learn, large when the noise of small ones is what is left.

    References
    ----------
    .. [1] Byrd, Chin, Nocedal & Wu (2012), Sample size selection in optimization methods for
       machine learning, Mathematical Programming 134.

    Examples
    --------
    >>> import numpy as np
    >>> data = FreshBatches(lambda n, rng: rng.standard_normal(n), 3, 2)
    >>> gradient_batch, curvature_batch = data.batches(0, np.random.SeedSequence(0))
    >>> len(gradient_batch), len(curvature_batch)
    (3, 2)
    """

    draw: Callable[[int, np.random.Generator], Any]
    gradient_size: int
    curvature_size: int | None = None
    growth: float = 0.0

    def __post_init__(self) -> None:
        """Check the sizes."""
        if not callable(self.draw):
            raise TypeError(
                f"`draw` is of type {type(self.draw).__name__}, but a function was expected. Pass "
                "(n_sequences, rng) -> batch, as the `draw` of a task."
            )
        check_integer("gradient_size", self.gradient_size, minimum=1)
        if self.curvature_size is not None:
            check_integer("curvature_size", self.curvature_size, minimum=1)
        check_real("growth", self.growth, minimum=0)

    def batches(self, iteration: int, seed: np.random.SeedSequence) -> tuple[Any, Any]:
        """Return the gradient batch and the curvature batch of an iteration."""
        rng = _rng(seed, iteration)
        factor = 1 + self.growth * iteration
        gradient_batch = self.draw(round(factor * self.gradient_size), rng)
        if self.curvature_size is None:
            return gradient_batch, gradient_batch
        return gradient_batch, self.draw(round(factor * self.curvature_size), rng)


@explained
@dataclass(frozen=True)
class Minibatches:
    """Slices of a data set, shuffled anew each epoch.

    Parameters
    ----------
    data : Batch or (inputs, targets)
        All sequences; or a pair of arrays whose first axis has the cases, as the objectives of
        `hessianfree.interfaces` take it. Batches are what `data` is.
    gradient_size : int, optional
        Sequences, or cases, of a gradient batch; the last one of an epoch has what is left. Without
        it all of them, unshuffled.
    curvature_size : int, optional
        Sequences of a curvature batch, drawn at random from the gradient batch. Without it the
        gradient batch serves for both.
    dropout : Dropout, optional
        Units that the output layer does not see, drawn for each sequence and iteration.

    Attributes
    ----------
    iterations_per_epoch : int

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.batch import Batch
    >>> data = Batch(np.zeros((4, 10, 1)), np.zeros((4, 10, 1)))
    >>> source = Minibatches(data, gradient_size=4, curvature_size=2)
    >>> [source.batches(i, np.random.SeedSequence(0))[0].n_sequences for i in range(3)]
    [4, 4, 2]
    >>> source.iterations_per_epoch
    3

    Pairs of arrays, for a net that others wrote:

    >>> inputs, targets = Minibatches((np.zeros((10, 2)), np.ones((10, 1))), 4).batches(
    ...     0, np.random.SeedSequence(0))[0]
    >>> inputs.shape, targets.shape
    ((4, 2), (4, 1))
    """

    data: Batch | tuple[Any, Any]
    gradient_size: int | None = None
    curvature_size: int | None = None
    dropout: Dropout | None = None
    _orders: dict[Any, NDArray[np.intp]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the sizes."""
        if is_pair(self.data):
            _check_pair(*self.data)  # type: ignore[misc]
            if self.dropout is not None:
                raise ValueError(
                    "`dropout` is about the states of a recurrent net, but `data` is a pair of "
                    "arrays. Leave it out, or pass a Batch."
                )
        elif not isinstance(self.data, Batch):
            raise TypeError(
                f"`data` is of type {type(self.data).__name__}, but a Batch was expected. Pass "
                "Batch(inputs, targets), or Batch.from_sequences; for an objective of "
                "hessianfree.interfaces a pair of arrays (inputs, targets) will do."
            )
        largest = count_sequences(self.data)
        for name in ("gradient_size", "curvature_size"):
            size = getattr(self, name)
            if size is not None:
                check_integer(name, size, minimum=1, maximum=largest)
            largest = size or largest

    @property
    def iterations_per_epoch(self) -> int:
        """Iterations in which each sequence is seen once."""
        n_sequences = count_sequences(self.data)
        return -(-n_sequences // (self.gradient_size or n_sequences))

    def batches(self, iteration: int, seed: np.random.SeedSequence) -> tuple[Any, Any]:
        """Return the gradient batch and the curvature batch of an iteration."""
        gradient_batch = self.data
        if self.gradient_size is not None and self.gradient_size < count_sequences(self.data):
            epoch, position = divmod(iteration, self.iterations_per_epoch)
            start = position * self.gradient_size
            order = self._order(epoch, seed)[start : start + self.gradient_size]
            gradient_batch = _take(self.data, order)
        n_sequences = count_sequences(gradient_batch)
        if self.dropout is not None and isinstance(gradient_batch, Batch):
            scale = self.dropout.draw(n_sequences, _rng(seed, iteration, 2))
            gradient_batch = replace(gradient_batch, state_scale=scale)
        size = min(self.curvature_size or n_sequences, n_sequences)
        if size == n_sequences:
            return gradient_batch, gradient_batch
        chosen = _rng(seed, iteration, 1).choice(n_sequences, size=size, replace=False)
        return gradient_batch, _take(gradient_batch, chosen)

    def _order(self, epoch: int, seed: np.random.SeedSequence) -> NDArray[np.intp]:
        """Return the order of an epoch, kept until the next is asked for."""
        key = (epoch, str(seed.entropy), seed.spawn_key)
        if key not in self._orders:
            self._orders.clear()
            self._orders[key] = _rng(seed, epoch, 0).permutation(count_sequences(self.data))
        return self._orders[key]


@dataclass(frozen=True)
class BeginningAt:
    """A source of data whose first batches are those of iteration `began` of a run.

    Parameters
    ----------
    data : DataSource
    began : int
    """

    data: DataSource
    began: int

    def batches(self, iteration: int, seed: np.random.SeedSequence) -> tuple[Any, Any]:
        """Return the gradient batch and the curvature batch of an iteration."""
        return self.data.batches(iteration - self.began, seed)


def _take(data: Batch | tuple[Any, Any], indices: NDArray[np.intp]) -> Any:
    """Return the sequences, or cases, with the given indices."""
    if isinstance(data, Batch):
        return take_sequences(data, indices)
    inputs, targets = data
    return inputs[indices], targets[indices]


def _check_pair(inputs: Any, targets: Any) -> None:
    """Raise unless a pair has as many inputs as targets, and at least one."""
    shapes = tuple(inputs.shape), tuple(targets.shape)
    if not all(shapes) or shapes[0][0] != shapes[1][0] or not shapes[0][0]:
        raise ValueError(
            f"`data` is a pair of arrays of shapes {shapes[0]} and {shapes[1]}, but as many inputs "
            "as targets, and at least one, were expected. The first axis of each is that of the "
            "cases."
        )


def _rng(seed: np.random.SeedSequence, *key: int) -> np.random.Generator:
    """Return the generator of that key under the seed of the run."""
    return np.random.default_rng(
        np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *key))
    )
