"""The vanilla recurrent net of Elman: one matrix from state to state."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from hessianfree.cells._chains import (
    ACTIVATIONS,
    activate,
    combine_tangents,
    slope_of,
)
from hessianfree.cells._compiled import compiled_for
from hessianfree.cells._inputs import Inputs, flatten_rows, wrap_inputs
from hessianfree.cells._trajectories import ElmanTrajectory
from hessianfree.cells._workspace import Workspace
from hessianfree.cells.base import (
    ParameterBlocks,
    SweepingCell,
    accumulate_initial_state,
    pulled_steps,
    start_states,
    start_tangents,
)
from reservoir.utils.device import fused
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer


class ElmanCell(SweepingCell):
    r"""Vanilla recurrent layer [1]_.

    .. math:: h_t = \varphi(W_{hh}\, h_{t-1} + W_{hx}\, x_t + b)

    Read more in the guide: :doc:`/guide/cells`.

    Parameters
    ----------
    n_inputs : int
        Features of a real-valued x_t, or number of symbols.
    n_units : int
        Width of h_t.
    activation : {"tanh", "logistic", "relu"}, default="tanh"
        φ. For "relu" the slope at 0 is taken as 0.
    learn_initial_state : bool, default=True
        Whether h_0 is a parameter; otherwise it is zero.

    Raises
    ------
    TypeError
        If a size is no integer.
    ValueError
        If a size is below 1 or the activation unknown.

    Notes
    -----
    Blocks of parameters: `recurrent` W_hh (n_units, n_units), `input` W_hx (n_units, n_inputs),
    `bias` b (n_units,), `initial_state` h_0 (n_units,).

    Examples
    --------
    The plain step for one sequence, and the states of the first of four:

    >>> import numpy as np
    >>> def step(x, h, p):
    ...     return np.tanh(p["recurrent"] @ h + p["input"] @ x + p["bias"])
    >>> cell = ElmanCell(n_inputs=2, n_units=3)
    >>> rng = np.random.default_rng(0)
    >>> params = {name: rng.normal(size=shape) for name, shape in cell.parameter_shapes.items()}
    >>> inputs = rng.normal(size=(6, 4, 2))
    >>> states = cell.forward(params, inputs).states
    >>> h = params["initial_state"]
    >>> for x, found in zip(inputs[:, 0], states[:, 0]):
    ...     h = step(x, h, params)
    ...     np.testing.assert_allclose(found, h, rtol=1e-12)

    References
    ----------
    .. [1] Elman (1990), Finding structure in time, Cognitive Science 14.
    """

    can_be_compiled = True

    def __init__(
        self,
        n_inputs: int,
        n_units: int,
        *,
        activation: str = "tanh",
        learn_initial_state: bool = True,
    ) -> None:
        self.n_inputs = check_integer("n_inputs", n_inputs, minimum=1)
        self.n_units = check_integer("n_units", n_units, minimum=1)
        self.activation = check_choice("activation", activation, ACTIVATIONS)
        self.learn_initial_state = learn_initial_state

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each block of parameters."""
        shapes: dict[str, tuple[int, ...]] = {
            "recurrent": (self.n_units, self.n_units),
            "input": (self.n_units, self.n_inputs),
            "bias": (self.n_units,),
        }
        if self.learn_initial_state:
            shapes["initial_state"] = (self.n_units,)
        return shapes

    def forward(
        self,
        params: ParameterBlocks,
        inputs: NDArray[Any],
        initial_state: Array | None = None,
        *,
        states_only: bool = False,
    ) -> ElmanTrajectory:
        """Run the recurrence; see `Cell.forward`."""
        work = Workspace(params["bias"])
        xp = work.xp
        wrapped = wrap_inputs(inputs, self.n_inputs)
        recurrent = params["recurrent"]
        n, (n_steps, n_sequences) = self.n_units, inputs.shape[:2]
        rows = xp.empty((n_steps + 1, n_sequences, n + wrapped.n_columns(n)), dtype=recurrent.dtype)
        rows[-1, :, n:] = 0
        start_states(rows[..., :n], params, initial_state)
        joined, table = wrapped.join([(recurrent, params["input"], params["bias"])], work)
        joined_transposed = joined.T.copy()
        n_kept = 1 if states_only else n_steps
        slopes = xp.empty((n_kept, n_sequences, n), dtype=recurrent.dtype)
        self._run(rows, joined_transposed, wrapped, table, None if states_only else slopes, work)
        return ElmanTrajectory(
            wrapped,
            rows,
            slopes,
            joined_transposed[:n],
            self.learn_initial_state and initial_state is None,
            work,
        )

    def _run(
        self,
        rows: Array,
        joined: Array,
        inputs: Inputs,
        table: Array | None,
        slopes: Array | None,
        work: Workspace,
    ) -> None:
        """Write the states to `rows`, which hold the first one, and slopes if asked for."""
        xp, n = work.xp, self.n_units
        step = work.get("step", (rows.shape[1], n))
        compiled = compiled_for(work, self.n_units)
        if compiled is not None:
            inputs.write_all_columns(rows[:-1, :, n:])
            compiled.kernels.run_elman(
                compiled.blas,
                compiled.activation(self.activation),
                rows,
                compiled.strips(joined, len(step), work, "joined"),
                inputs.choices(table, work),
                compiled.taken(slopes),
                step,
            )
            return
        scratch = work.get("scratch", step.shape)
        step_forward = fused(xp, _step_forward, self.activation)
        for t in range(len(rows) - 1):
            inputs.write_columns(t, rows[t, :, n:])
            xp.matmul(rows[t], joined, out=step)
            inputs.add(table, t, step, scratch)
            step_forward(step, None if slopes is None else slopes[t], rows[t + 1, :, :n])

    def jvp(
        self,
        params: ParameterBlocks,
        trajectory: ElmanTrajectory,
        d_params: ParameterBlocks,
        d_inputs: Array | None = None,
        d_initial_state: Array | None = None,
    ) -> Array:
        """Return the tangents of the states; see `Cell.jvp`.

        dh_t = φ'(z_t) ⊙ (W_hh dh_{t-1} + dW_hh h_{t-1} + dW_hx x_t + db + W_hx dx_t)
        """
        rows, slopes, work = trajectory.rows, trajectory.slopes, trajectory.workspace
        xp = work.xp
        inputs, transposed = trajectory.inputs, trajectory.recurrent_transposed
        d_states = work.get("sweep", slopes.shape)
        step = work.get("step", slopes.shape[1:])
        joined, table = inputs.join(
            [(d_params["recurrent"], d_params["input"], d_params["bias"])], work
        )
        start = start_tangents(trajectory, d_params, d_initial_state)
        compiled = compiled_for(work, self.n_units)
        if compiled is not None:
            step[...] = 0 if start is None else start
            drive = d_states
            is_wide = compiled.is_wide(self.n_units)
            if is_wide:
                xp.matmul(flatten_rows(rows[:-1]), joined.T, out=flatten_rows(d_states))
            if d_inputs is not None:
                drive = work.get("drive", d_states.shape) if is_wide else d_states
                xp.matmul(d_inputs, params["input"].T, out=drive)
            if drive is not d_states:
                d_states += drive
            compiled.kernels.push_elman(
                compiled.blas,
                rows,
                compiled.nothing if is_wide else compiled.strips(joined.T, len(step), work, "d"),
                inputs.choices(table, work),
                compiled.strips(transposed, len(step), work, "transposed"),
                slopes,
                step,
                0.0 if d_inputs is None else 1.0,
                d_states,
            )
            return d_states
        scratch = work.get("scratch", slopes.shape[1:])
        xp.matmul(flatten_rows(rows[:-1]), joined.T, out=flatten_rows(d_states))
        if d_inputs is not None:
            drive = work.get("drive", d_states.shape)
            xp.matmul(d_inputs, params["input"].T, out=drive)
            d_states += drive
        step[...] = 0
        if start is not None:
            step += start @ transposed
        combine = fused(xp, combine_tangents)
        for t, (d_state, slope) in enumerate(zip(d_states, slopes)):
            if t:
                xp.matmul(d_states[t - 1], transposed, out=step)
            inputs.add(table, t, step, scratch)
            combine(step, d_state, slope, d_state)
        return d_states

    def _backward(
        self,
        params: ParameterBlocks,
        trajectory: ElmanTrajectory,
        states_bar: Array,
        preactivations_bar: Array | None,
    ) -> dict[str, Array]:
        """Return the cotangents of the pre-activations, z̄_t = φ'(z_t) ⊙ (h̄_t + W_hhᵀ z̄_{t+1})."""
        slopes, work = trajectory.slopes, trajectory.workspace
        z_bar = work.get("sweep", slopes.shape)
        step = work.get("step", slopes.shape[1:])
        compiled = compiled_for(work, self.n_units)
        if compiled is not None:
            compiled.kernels.pull_elman(
                compiled.blas,
                compiled.taken(states_bar),
                compiled.taken(preactivations_bar),
                slopes,
                compiled.strips(params["recurrent"], len(step), work, "recurrent"),
                compiled.tiny,
                step,
                z_bar,
            )
        else:
            _pull_states(params["recurrent"], trajectory, states_bar, preactivations_bar)
        return {"rows": trajectory.rows[:-1], "z_bar": z_bar, "initial_bar": step[None]}

    def _accumulate(
        self,
        inputs: Inputs,
        parts: dict[str, Array],
        params_bar: dict[str, Array],
        work: Workspace,
    ) -> None:
        """Write W̄_hh = Σ_t z̄_t h_{t-1}ᵀ and the rest to `params_bar`."""
        inputs.accumulate_joined(
            parts["z_bar"],
            parts["rows"],
            [(params_bar["recurrent"], params_bar["input"], params_bar["bias"])],
            work,
        )
        accumulate_initial_state(parts["initial_bar"], params_bar)

    def _inputs_bar(
        self, params: ParameterBlocks, trajectory: Any, parts: dict[str, Array]
    ) -> Array:
        """Return W_hxᵀ z̄_t."""
        inputs_bar: Array = trajectory.workspace.get("inputs_bar", trajectory.inputs.shape)
        trajectory.workspace.xp.matmul(parts["z_bar"], params["input"], out=inputs_bar)
        return inputs_bar


def _pull_states(
    recurrent: Array,
    trajectory: ElmanTrajectory,
    states_bar: Array,
    preactivations_bar: Array | None,
) -> None:
    """Write the cotangents of the pre-activations, and those of the first state, by NumPy."""
    slopes, work = trajectory.slopes, trajectory.workspace
    xp = work.xp
    z_bar, step = work.get("sweep", slopes.shape), work.get("step", slopes.shape[1:])
    for t in pulled_steps(xp, states_bar, preactivations_bar, slopes, step, z_bar):
        xp.matmul(z_bar[t], recurrent, out=step)


def _step_forward(xp: Any, activation: str, step: Array, slope: Array | None, after: Array) -> None:
    """Write activations, and their slopes if asked for; a chain for `fused`."""
    activate(xp, activation, step, step)
    if slope is not None:
        slope_of(xp, activation, step, slope)
    after[...] = step
