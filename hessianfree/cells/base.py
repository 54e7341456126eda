"""The protocol of a recurrent cell, and the reverse sweep that cells share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

from numpy.typing import NDArray

from hessianfree.cells._chains import FLUSH_EVERY, flush, flush_constant, pull_through
from hessianfree.cells._inputs import Inputs
from hessianfree.cells._workspace import Workspace
from reservoir.utils.device import fused
from reservoir.utils.types import Array

ParameterBlocks = Mapping[str, Array]


class Trajectory(Protocol):
    """The result of a forward pass: the states, and what the sweeps need again.

    Attributes
    ----------
    states : ndarray of shape (n_steps, n_sequences, n_units)
        What a layer above sees. A cell with more state than that (an LSTM) keeps the rest in
        attributes of its own.
    final_state : ndarray of shape (n_sequences, state_size)
        The state that the next step would start from.
    nbytes : int
        Memory of all arrays, with the buffers of the sweeps made so far, in bytes.
    """

    @property
    def states(self) -> Array: ...

    @property
    def final_state(self) -> Array: ...

    @property
    def nbytes(self) -> int: ...


class Cell(Protocol):
    """A recurrent layer that works on whole sequences.

    A cell holds sizes and choices, no numbers to learn: parameters are handed in as named blocks.

    Attributes
    ----------
    n_inputs : int
        Features of a real-valued input, or number of symbols.
    n_units : int
        Width of the states.
    """

    n_inputs: int
    n_units: int

    @property
    def state_size(self) -> int:
        """Width of the state that is passed from step to step: `n_units`, or more."""
        ...

    @property
    def learned_states(self) -> dict[str, slice]:
        """Blocks of learned initial states, and where they lie in the state."""
        ...

    @property
    def initial_biases(self) -> dict[str, float]:
        """Biases that do not start at zero, by name of the block."""
        ...

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each block of parameters."""
        ...

    def forward(
        self,
        params: ParameterBlocks,
        inputs: NDArray[Any],
        initial_state: Array | None = None,
        *,
        states_only: bool = False,
    ) -> Any:
        """Run the recurrence and keep what the sweeps need.

        Parameters
        ----------
        params : mapping of str to ndarray
        inputs : ndarray of shape (n_steps, n_sequences, n_inputs), or of intp without last axis
        initial_state : ndarray of shape (n_sequences, state_size), optional
            In place of the learned initial state.
        states_only : bool, default=False
            Do not keep what the sweeps need: the trajectory then serves for its states alone, and
            takes less time and memory.

        Returns
        -------
        Trajectory
        """
        ...

    def jvp(
        self,
        params: ParameterBlocks,
        trajectory: Any,
        d_params: ParameterBlocks,
        d_inputs: Array | None = None,
        d_initial_state: Array | None = None,
    ) -> Array:
        """Return the tangents of the states: the R-forward sweep.

        Parameters
        ----------
        params : mapping of str to ndarray
        trajectory : Trajectory
        d_params : mapping of str to ndarray
        d_inputs : ndarray of shape (n_steps, n_sequences, n_inputs), optional
            Tangents of real-valued inputs.
        d_initial_state : ndarray of shape (n_sequences, state_size), optional
            Tangents of an initial state that was given to `forward`.

        Returns
        -------
        ndarray of shape (n_steps, n_sequences, n_units)
            A buffer of the trajectory: the next sweep, forward or backward, overwrites it.
        """
        ...

    def vjp(
        self,
        params: ParameterBlocks,
        trajectory: Any,
        states_bar: Array,
        *,
        params_bar: dict[str, Array] | None = None,
        preactivations_bar: Array | None = None,
        damping: Array | None = None,
        with_inputs_bar: bool = False,
        initial_state_bar: Array | None = None,
    ) -> tuple[dict[str, Array], Array | None]:
        """Return the cotangents of the parameters and inputs: the backward sweep.

        Parameters
        ----------
        params : mapping of str to ndarray
        trajectory : Trajectory
        states_bar : ndarray of shape (k, n_sequences, n_units)
            Cotangents of the last k ≤ n_steps states; those before them are zero.
        params_bar : dict of str to ndarray, optional
            Written to and returned; made where it is missing.
        preactivations_bar : ndarray of shape (n_steps, n_sequences, n_units), optional
            Added to the cotangents of what the activation function is applied to; not for cells
            with gates.
        damping : ndarray broadcastable to (n_steps, n_sequences, n_units), optional
            Added, times the tangents of the last `jvp`, to the cotangents of the states, of each
            layer where there are several: structural damping. That `jvp` must have been the last
            sweep.
        with_inputs_bar : bool, default=False
            Whether the second result is asked for; only of real-valued inputs.
        initial_state_bar : ndarray of shape (n_sequences, state_size), optional
            The cotangents of the initial state of each sequence, given or not, are written to it.

        Returns
        -------
        params_bar : dict of str to ndarray
        inputs_bar : ndarray of shape (n_steps, n_sequences, n_inputs) or None
            A buffer of the trajectory: the next sweep overwrites it.
        """
        ...

    def release(self, trajectory: Any) -> None:
        """Let the next sweep be a `vjp` and the last one: cotangents may overwrite slopes.

        A gradient alone then takes less memory, and the time that it takes to get hold of it.
        """
        ...

    def squared_vjp(
        self,
        params: ParameterBlocks,
        trajectory: Any,
        states_bar: Array,
        *,
        with_inputs_bar: bool = False,
        initial_state_bar: Array | None = None,
    ) -> tuple[dict[str, Array], Array | None]:
        """Return Σ_i (params_bar of sequence i)², squared element by element, and inputs_bar.

        Parameters are those of `vjp`; only the cotangents of parameters are squared.
        """
        ...


class SweepingCell:
    """Reverse sweeps in two parts, shared by the cells.

    The first goes step by step and leaves cotangents of all that weights multiply into; the second
    is sums of outer products over all steps and sequences, or over those of one sequence.
    """

    n_units: int
    learn_initial_state: bool
    # Whether there are compiled sweeps; see `_compiled`.
    can_be_compiled: ClassVar[bool] = False
    # The buffer of the trajectory that `jvp` returns.
    _tangents: ClassVar[str] = "sweep"

    @property
    def state_size(self) -> int:
        """Width of the state that is passed from step to step."""
        return self.n_units

    @property
    def learned_states(self) -> dict[str, slice]:
        """Blocks of learned initial states, and where they lie in the state."""
        return {"initial_state": slice(0, self.state_size)} if self.learn_initial_state else {}

    @property
    def initial_biases(self) -> dict[str, float]:
        """Biases that do not start at zero, by name of the block."""
        return {}

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each block of parameters."""
        raise NotImplementedError

    def _backward(
        self,
        params: ParameterBlocks,
        trajectory: Any,
        states_bar: Array,
        preactivations_bar: Array | None,
    ) -> dict[str, Array]:
        """Return what the sums are made of: arrays with sequences along axis 1."""
        raise NotImplementedError

    def _accumulate(
        self,
        inputs: Inputs,
        parts: dict[str, Array],
        params_bar: dict[str, Array],
        work: Workspace,
    ) -> None:
        """Write the sums of outer products to `params_bar`."""
        raise NotImplementedError

    def _inputs_bar(
        self, params: ParameterBlocks, trajectory: Any, parts: dict[str, Array]
    ) -> Array:
        """Return the cotangents of real-valued inputs."""
        raise NotImplementedError

    def vjp(
        self,
        params: ParameterBlocks,
        trajectory: Any,
        states_bar: Array,
        *,
        params_bar: dict[str, Array] | None = None,
        preactivations_bar: Array | None = None,
        damping: Array | None = None,
        with_inputs_bar: bool = False,
        initial_state_bar: Array | None = None,
    ) -> tuple[dict[str, Array], Array | None]:
        """Return the cotangents of the parameters and inputs; see `Cell.vjp`."""
        if params_bar is None:
            params_bar = self._new_blocks(trajectory.workspace)
        if damping is not None:
            damped = trajectory.workspace.get(self._tangents, trajectory.states.shape)
            damped *= damping
            damped[-len(states_bar) :] += states_bar
            states_bar = damped
        parts = self._backward(params, trajectory, states_bar, preactivations_bar)
        _hand_out_initial(trajectory, parts, initial_state_bar)
        self._accumulate(trajectory.inputs, parts, params_bar, trajectory.workspace)
        return params_bar, self._inputs_bar(params, trajectory, parts) if with_inputs_bar else None

    def release(self, trajectory: Any) -> None:
        """Let cotangents overwrite slopes in the next and last sweep; see `Cell.release`."""
        trajectory.workspace.lend(sweep=trajectory.slopes)

    def squared_vjp(
        self,
        params: ParameterBlocks,
        trajectory: Any,
        states_bar: Array,
        *,
        with_inputs_bar: bool = False,
        initial_state_bar: Array | None = None,
    ) -> tuple[dict[str, Array], Array | None]:
        """Return Σ_i (params_bar of sequence i)²; see `Cell.squared_vjp`."""
        parts = self._backward(params, trajectory, states_bar, None)
        _hand_out_initial(trajectory, parts, initial_state_bar)
        one = self._new_blocks(trajectory.workspace)
        xp = trajectory.workspace.xp
        total = {name: xp.zeros_like(block) for name, block in one.items()}
        for i in range(states_bar.shape[1]):
            sequence = {name: part[:, i : i + 1] for name, part in parts.items()}
            self._accumulate(trajectory.inputs.sequence(i), sequence, one, trajectory.workspace)
            for name, block in one.items():
                total[name] += block * block
        return total, self._inputs_bar(params, trajectory, parts) if with_inputs_bar else None

    def _new_blocks(self, work: Workspace) -> dict[str, Array]:
        """Return one new array per block of parameters, of the kind of those of `work`."""
        return {
            name: work.xp.empty(shape, dtype=work.dtype)
            for name, shape in self.parameter_shapes.items()
        }


def start_states(all_states: Array, params: ParameterBlocks, initial_state: Array | None) -> None:
    """Write the state before the first step: given, learned, or zero."""
    if initial_state is not None:
        all_states[0] = initial_state
    else:
        all_states[0] = params.get("initial_state", 0)


def start_tangents(
    trajectory: Any, d_params: ParameterBlocks, d_initial_state: Array | None
) -> Array | None:
    """Return the tangents of the state before the first step: given, learned, or none."""
    if d_initial_state is not None:
        return d_initial_state
    return d_params["initial_state"] if trajectory.learns_initial_state else None


def _hand_out_initial(
    trajectory: Any, parts: dict[str, Array], initial_state_bar: Array | None
) -> None:
    """Write the cotangents of the initial states; keep them only where those are learned."""
    if initial_state_bar is not None:
        initial_state_bar[...] = parts["initial_bar"][0]
    if not trajectory.learns_initial_state:
        parts["initial_bar"][...] = 0


def accumulate_initial_state(initial_bar: Array, params_bar: dict[str, Array]) -> None:
    """Write the cotangent of the learned initial state, where there is one."""
    if "initial_state" in params_bar:
        initial_bar[0].sum(axis=0, out=params_bar["initial_state"])


def pulled_steps(
    xp: Any,
    states_bar: Array,
    preactivations_bar: Array | None,
    slopes: Array,
    step: Array,
    z_bar: Array,
) -> Iterator[int]:
    """Yield steps from the last to the first, z̄_t = φ'(z_t) ⊙ (h̄_t + step) + beside in `z_bar`.

    Parameters
    ----------
    xp : module
    states_bar : ndarray of shape (n_scored, n_sequences, n_units)
        h̄ of the last steps.
    preactivations_bar : ndarray of shape (n_steps, n_sequences, n_units) or None
        Beside.
    slopes : ndarray of shape (n_steps, n_sequences, n_units)
        φ'(z).
    step : ndarray of shape (n_sequences, n_units)
        What the step after t sends back: zeros at first, and what the caller writes after that.
    z_bar : ndarray of shape (n_steps, n_sequences, n_units)
        Written to.

    Yields
    ------
    int
        t.
    """
    n_steps = len(slopes)
    first = n_steps - len(states_bar)
    tiny = flush_constant(slopes.dtype)
    step[...] = 0
    pull, flush_small = fused(xp, pull_through), fused(xp, flush)
    for t in reversed(range(n_steps)):
        outside = states_bar[t - first] if t >= first else None
        beside = None if preactivations_bar is None else preactivations_bar[t]
        pull(outside, step, slopes[t], beside, z_bar[t])
        if t % FLUSH_EVERY == 0:
            flush_small(z_bar[t], tiny)
        yield t
