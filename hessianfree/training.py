"""The training loop: batches, callbacks, progress, history and checkpoints for any optimizer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hessianfree._placement import move_state
from hessianfree.batch import Batch
from hessianfree.checkpoints import TrainingState, save_checkpoint
from hessianfree.history import History, append_line
from hessianfree.objective import Array, Objective
from hessianfree.optimizer import Optimizer
from reservoir._device import module_of
from reservoir._random import RandomState, seed_sequence
from reservoir._validation import check_integer, check_real


class DataSource(Protocol):
    """Where the batches of an iteration come from.

    What comes depends on the number of the iteration and on the seed of the run alone, not on what
    was asked before: a run that is resumed sees the data that it would have seen.
    """

    def batches(self, iteration: int, seed: np.random.SeedSequence) -> tuple[Any, Any]:
        """Return the gradient batch and the curvature batch of an iteration (0, 1, ...)."""
        ...


@dataclass(frozen=True)
class FreshBatches:
    """Data drawn anew for every iteration.

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


@dataclass(frozen=True)
class Minibatches:
    """Slices of a data set, shuffled anew each epoch.

    Parameters
    ----------
    data : Batch
        All sequences.
    gradient_size : int, optional
        Sequences of a gradient batch; the last one of an epoch has what is left. Without it all
        sequences, unshuffled.
    curvature_size : int, optional
        Sequences of a curvature batch, drawn at random from the gradient batch. Without it the
        gradient batch serves for both.

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
    """

    data: Batch
    gradient_size: int | None = None
    curvature_size: int | None = None
    _orders: dict[Any, NDArray[np.intp]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the sizes."""
        largest = self.data.n_sequences
        for name in ("gradient_size", "curvature_size"):
            size = getattr(self, name)
            if size is not None:
                check_integer(name, size, minimum=1, maximum=largest)
            largest = size or largest

    @property
    def iterations_per_epoch(self) -> int:
        """Iterations in which each sequence is seen once."""
        return -(-self.data.n_sequences // (self.gradient_size or self.data.n_sequences))

    def batches(self, iteration: int, seed: np.random.SeedSequence) -> tuple[Batch, Batch]:
        """Return the gradient batch and the curvature batch of an iteration."""
        gradient_batch = self.data
        if self.gradient_size is not None and self.gradient_size < self.data.n_sequences:
            epoch, position = divmod(iteration, self.iterations_per_epoch)
            start = position * self.gradient_size
            order = self._order(epoch, seed)[start : start + self.gradient_size]
            gradient_batch = take_sequences(self.data, order)
        size = min(self.curvature_size or gradient_batch.n_sequences, gradient_batch.n_sequences)
        if size == gradient_batch.n_sequences:
            return gradient_batch, gradient_batch
        chosen = _rng(seed, iteration, 1).choice(
            gradient_batch.n_sequences, size=size, replace=False
        )
        return gradient_batch, take_sequences(gradient_batch, chosen)

    def _order(self, epoch: int, seed: np.random.SeedSequence) -> NDArray[np.intp]:
        """Return the order of an epoch, kept until the next is asked for."""
        key = (epoch, str(seed.entropy), seed.spawn_key)
        if key not in self._orders:
            self._orders.clear()
            self._orders[key] = _rng(seed, epoch, 0).permutation(self.data.n_sequences)
        return self._orders[key]


def take_sequences(batch: Batch, indices: NDArray[np.intp]) -> Batch:
    """Return the sequences of a batch with the given indices, in their order.

    Examples
    --------
    >>> import numpy as np
    >>> batch = Batch(np.arange(6.0).reshape(1, 6, 1), np.zeros((1, 6, 1)))
    >>> take_sequences(batch, np.array([4, 0])).inputs.ravel()
    array([4., 0.])
    """
    mask = None if batch.mask is None else batch.mask[:, indices]
    vectors = None if batch.initial_inputs is None else batch.initial_inputs[indices]
    states = None if batch.initial_state is None else batch.initial_state[indices]
    return Batch(batch.inputs[:, indices], batch.targets[:, indices], mask, vectors, states)


def start(
    optimizer: Optimizer[Any], params: Array, random_state: RandomState = None
) -> TrainingState:
    """Return the state of a run before its first iteration.

    Parameters
    ----------
    optimizer : Optimizer
    params : ndarray of shape (n_params,)
        Where to start; copied.
    random_state : None, int, Generator, RandomState or SeedSequence
        What the data of all iterations are drawn from.

    Returns
    -------
    TrainingState
    """
    seed = seed_sequence(random_state)
    return TrainingState(optimizer.init(params), 0, seed, History())


def train(
    objective: Objective,
    optimizer: Optimizer[Any],
    data: DataSource,
    state: TrainingState,
    *,
    n_iterations: int,
    callback: Callable[[TrainingState], Any] | None = None,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    log: str | os.PathLike[str] | None = None,
) -> TrainingState:
    """Minimize an objective, one batch after the other.

    Parameters
    ----------
    objective : Objective
    optimizer : Optimizer
    data : DataSource
        `FreshBatches`, `Minibatches`, or anything with their `batches`.
    state : TrainingState
        From `start`, from another call, or from `load_checkpoint`; not changed.
    n_iterations : int
        Iterations since the start of the run, those in `state` among them: the same call goes on
        with a run that was cut short, and does nothing for one that is complete.
    callback : callable, optional
        Called with the state after each iteration; True ends the run.
    progress : bool, default=False
        Whether to show a progress bar.
    checkpoint : path-like, optional
        File for the state, replaced in one piece each `checkpoint_every` iterations and at the end.
    checkpoint_every : int, default=1
    log : path-like, optional
        File for the history, one JSON object a line. A line is there as soon as its iteration is
        done; a run that goes on continues the file.

    Returns
    -------
    TrainingState
        With `stop_reason` "n_iterations", "callback" or "interrupted". Its arrays are NumPy's if
        those of `state` are, also where the objective computes on a GPU; callbacks see them there.

    Notes
    -----
    A run killed at any moment and resumed from its checkpoint gives the same parameters, bit for
    bit, as one never stopped, on the same machine and number of threads. Ctrl-C ends the run after
    the last complete iteration: the state is returned, and saved, as if that had been asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.functions import FunctionObjective
    >>> from hessianfree.optimizer import HessianFree
    >>> sphere = FunctionObjective(
    ...     value=lambda x: 0.5 * x @ x, gradient=lambda x: x, product=lambda x, v: v)
    >>> optimizer, data = HessianFree(), FreshBatches(lambda n, rng: None, 1)
    >>> state = train(sphere, optimizer, data, start(optimizer, np.ones(2)), n_iterations=30)
    >>> state.params.round(6), state.stop_reason
    (array([0., 0.]), 'n_iterations')
    >>> bool(state.history["loss"][-1] < 1e-9)
    True
    """
    check_integer("n_iterations", n_iterations, minimum=0)
    check_integer("checkpoint_every", checkpoint_every, minimum=1)
    came = module_of(state.params)
    # Rows are appended to a history of our own, so that the one given stays as it is.
    state = replace(state, history=state.history.head(state.iteration), stop_reason="n_iterations")
    if log is not None:
        state.history.write_jsonl(log)
    bar = tqdm(total=n_iterations, initial=state.iteration, disable=not progress)
    try:
        while state.iteration < n_iterations:
            began = time.perf_counter()
            batches = data.batches(state.iteration, state.seed)
            optimizer_state, info = optimizer.step(objective, state.optimizer_state, *batches)
            info["seconds"] = time.perf_counter() - began
            state.history.append(info)
            state = replace(state, optimizer_state=optimizer_state, iteration=state.iteration + 1)
            if log is not None:
                append_line(log, info)
            if checkpoint is not None and state.iteration % checkpoint_every == 0:
                save_checkpoint(checkpoint, state)
            bar.set_postfix(loss=f"{info['loss']:.4g}", refresh=False)
            bar.update()
            if callback is not None and callback(state):
                state = replace(state, stop_reason="callback")
                break
    except KeyboardInterrupt:
        # The row of an iteration may be there already whose state is not.
        history = state.history.head(state.iteration)
        state = replace(state, history=history, stop_reason="interrupted")
        if log is not None:
            history.write_jsonl(log)
    finally:
        bar.close()
    if module_of(state.params) is not came:
        state = replace(state, optimizer_state=move_state(came, state.optimizer_state))
    if checkpoint is not None:
        save_checkpoint(checkpoint, state)
    return state


def _rng(seed: np.random.SeedSequence, *key: int) -> np.random.Generator:
    """Return the generator of that key under the seed of the run."""
    return np.random.default_rng(
        np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *key))
    )
