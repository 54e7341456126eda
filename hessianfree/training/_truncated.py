"""Truncated backpropagation: long sequences in chunks, with the states carried over."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from hessianfree.batch import Batch
from hessianfree.optimize._protocols import Objective, Optimizer, StepInfo
from reservoir.utils.explained import explained
from reservoir.utils.persistence import register
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer, check_methods


@dataclass(frozen=True, eq=False)
class Chunk(Batch):
    """Some steps of longer sequences.

    Attributes
    ----------
    continues : bool
        Whether these steps follow those of the chunk before, and not the start of the sequences.
    """

    continues: bool = False


@explained
@dataclass(frozen=True)
class Chunks:
    """A `DataSource` that cuts long sequences into chunks and hands them out in order of time.

    Parameters
    ----------
    data : Batch
        Sequences side by side, all of them in every chunk. A single long series has little to fill
        a matrix product with: cut into several that run side by side it is learned faster.
    chunk_length : int
        Steps of a chunk, the last one of a sequence excepted: as far as gradients go back.

    Attributes
    ----------
    n_chunks : int
        Iterations in which each step is seen once. Then the sequences begin anew.

    Raises
    ------
    ValueError
        If no step of a chunk is scored, so that there is nothing to learn from it.

    See Also
    --------
    TruncatedBackpropagation : carries the states from chunk to chunk.

    Examples
    --------
    >>> source = Chunks(Batch(np.zeros((7, 2, 1)), np.zeros((7, 2, 1))), chunk_length=3)
    >>> seed = np.random.SeedSequence(0)
    >>> chunks = [source.batches(iteration, seed)[0] for iteration in range(4)]
    >>> [(chunk.n_steps, chunk.continues) for chunk in chunks]
    [(3, False), (3, True), (1, True), (3, False)]
    """

    data: Batch
    chunk_length: int
    _parts: tuple[Chunk, ...] = field(default=(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Cut the data."""
        length = check_integer("chunk_length", self.chunk_length, minimum=1)
        data, parts = self.data, []
        inputs, mask = data.inputs, data.mask
        if mask is not None:
            # Padding may be anything, and the states that it leads to are carried on.
            live = np.logical_or.accumulate(mask[::-1] > 0, axis=0)[::-1]
            inputs = np.where(live if inputs.ndim == 2 else live[..., None], inputs, 0)
        for first in range(0, data.n_steps, length):
            steps = slice(first, first + length)
            if mask is not None and not np.any(mask[steps]):
                raise ValueError(
                    f"`data` has no scored step from {first} up to {first + length}, but at least "
                    "one in every chunk was expected. Raise `chunk_length`, or score more steps."
                )
            parts.append(
                Chunk(
                    inputs[steps],
                    data.targets[steps],
                    None if mask is None else mask[steps],
                    None if first else data.initial_inputs,
                    None if first else data.initial_state,
                    continues=first > 0,
                )
            )
        object.__setattr__(self, "_parts", tuple(parts))

    @property
    def n_chunks(self) -> int:
        """Chunks of a sequence."""
        return len(self._parts)

    def batches(self, iteration: int, seed: np.random.SeedSequence) -> tuple[Chunk, Chunk]:
        """Return the chunk of an iteration, as gradient batch and as curvature batch."""
        chunk = self._parts[iteration % self.n_chunks]
        return chunk, chunk


class StatefulObjective(Objective, Protocol):
    """An objective with hidden states that can be carried over from batch to batch."""

    def final_state(self, params: Array, batch: Any) -> Array:
        """Return the states after the last step, of shape (n_sequences, state_size)."""
        ...


@register
@dataclass(frozen=True)
class TruncatedState:
    """The state of `TruncatedBackpropagation` between two steps.

    Attributes
    ----------
    inner : OptimizerState
        Of the optimizer that steps.
    carried : ndarray of shape (n_sequences, state_size)
        Hidden states at the end of the last chunk; of shape (0, 0) before the first.
    """

    inner: Any
    carried: Array

    @property
    def params(self) -> Array:
        """The parameters, of shape (n_params,)."""
        params: Array = self.inner.params
        return params


@explained
@register
@dataclass(frozen=True)
class TruncatedBackpropagation:
    """Step by any optimizer on `Chunks`, each of which starts from the states that the last left.

    The first chunk of the sequences starts from the learned initial state. For the others the state
    carried over is a constant: no gradient goes back beyond the start of a chunk, while what the
    net remembers does come across it [1]_.

    Read more in the guide: :doc:`/guide/first_order`.

    Parameters
    ----------
    optimizer : Optimizer
        What makes the steps: a first-order one, or `HessianFree`.

    Notes
    -----
    The states carried over are computed by the parameters after the step, in a forward pass of its
    own that counts as 1/3 gradient in `info`. `info["passes"]` and `info["sequence_gradients"]`
    count a chunk as one sequence: divide by `Chunks.n_chunks` for gradients of whole sequences.

    They are part of the optimizer's state, and thereby of a checkpoint.

    Examples
    --------
    A leaky sum of the inputs, learned from chunks of 10 steps of sequences of 200:

    >>> import numpy as np
    >>> from scipy.signal import lfilter
    >>> from hessianfree import Batch, ElmanCell, SequenceNetwork, start, train
    >>> from hessianfree.optimize import Adam
    >>> from hessianfree.network import echo_state_parameters
    >>> inputs = np.random.default_rng(0).uniform(-1, 1, size=(200, 20, 1))
    >>> whole = Batch(inputs, lfilter([0.2], [1, -0.8], inputs, axis=0))
    >>> network = SequenceNetwork(ElmanCell(1, 10), n_outputs=1)
    >>> params = echo_state_parameters(network, random_state=0)
    >>> optimizer = TruncatedBackpropagation(Adam(0.01))
    >>> data = Chunks(whole, chunk_length=10)
    >>> state = train(network, optimizer, data, start(optimizer, params, 0), n_iterations=200)
    >>> bool(network.value(state.params, whole) < 0.02 * network.value(params, whole))
    True

    References
    ----------
    .. [1] Williams & Peng (1990), An efficient gradient-based algorithm for on-line training of
       recurrent network trajectories, Neural Computation 2.
    """

    optimizer: Optimizer[Any]

    def __post_init__(self) -> None:
        """Check the optimizer."""
        check_methods("optimizer", self.optimizer, ("init", "step"), "Adam() or HessianFree()")

    @property
    def uses_curvature(self) -> bool:
        """Whether the optimizer asks for curvature."""
        return bool(getattr(self.optimizer, "uses_curvature", True))

    def init(self, params: Array) -> TruncatedState:
        """Return the state before the first step; `params` is copied."""
        inner = self.optimizer.init(params)
        return TruncatedState(inner, np.zeros((0, 0), dtype=inner.params.dtype))

    def step(
        self,
        objective: StatefulObjective,
        state: TruncatedState,
        gradient_batch: Chunk,
        curvature_batch: Chunk | None = None,
    ) -> tuple[TruncatedState, StepInfo]:
        """Make one step on a chunk, which serves for the curvature too.

        Parameters
        ----------
        objective : SequenceNetwork
            Or another objective with `final_state`.
        state : TruncatedState
            From `init` or the last step; not changed.
        gradient_batch : Chunk
        curvature_batch : object, optional
            Not used.

        Returns
        -------
        state : TruncatedState
        info : StepInfo
            That of the optimizer.

        Raises
        ------
        TypeError
            If the batch is no `Chunk`.
        ValueError
            If a chunk goes on with sequences of which there are no states.
        """
        chunk = gradient_batch
        if not isinstance(chunk, Chunk):
            raise TypeError(
                f"`gradient_batch` is of type {type(chunk).__name__}, but a Chunk was expected. "
                "Take `Chunks` as the source of data."
            )
        if chunk.continues:
            if len(state.carried) != chunk.n_sequences:
                raise ValueError(
                    f"`gradient_batch` goes on with {chunk.n_sequences} sequences, but the states "
                    f"of {len(state.carried)} were carried over. Begin with the first chunk."
                )
            chunk = replace(chunk, initial_state=state.carried)
        inner, info = self.optimizer.step(objective, state.inner, chunk, chunk)
        carried = objective.final_state(inner.params, chunk)
        info["passes"] += 1 / 3
        info["sequence_gradients"] += chunk.n_sequences / 3
        return TruncatedState(inner, carried), info
