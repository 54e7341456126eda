"""The multiplicative recurrent net: the input chooses the matrix from state to state."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessianfree.cells import _multiplicative_chains as chains
from hessianfree.cells._chains import (
    ACTIVATIONS,
    activate,
    activate_and_slope,
    combine_tangents,
)
from hessianfree.cells._compiled import Compiled, compiled_for, sum_outer_products
from hessianfree.cells._inputs import Inputs, flatten_rows, wrap_inputs
from hessianfree.cells._trajectories import MultiplicativeTrajectory
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


class MultiplicativeCell(SweepingCell):
    r"""Recurrent layer with factored three-way connections [1]_.

    .. math::

        f_t &= g_t \odot W_{fh}\, h_{t-1} \\
        h_t &= \varphi(W_{hf}\, f_t + W_{hx}\, x_t + b)

    Each factor is a transition matrix of rank one with a gain that the input sets. The effective
    matrix W_hf diag(g_t) W_fh takes the place of one full matrix per input symbol (`TensorCell`).

    Read more in the guide: :doc:`/guide/multiplicative_rnn`.

    Parameters
    ----------
    n_inputs : int
        Features of a real-valued x_t, or number of symbols.
    n_units : int
        Width of h_t.
    n_factors : int, optional
        Width of f_t; by default `n_units`, as in the paper.
    gain : {"linear", "shifted_tanh"}, default="linear"
        "linear" is g_t = W_fx x_t, the paper's equation [1]_. "shifted_tanh" is
        g_t = tanh(W_fx x_t) + b_f, which is what the code released by its first author computes: a
        gain bounded around a learned offset, so that the net has a transition matrix of its own,
        W_hf diag(b_f) W_fh, before it has learned anything about the inputs.
    activation : {"tanh", "logistic", "relu"}, default="tanh"
        φ. For "relu" the slope at 0 is taken as 0.
    learn_initial_state : bool, default=True
        Whether h_0 is a parameter; otherwise it is zero.

    Raises
    ------
    TypeError
        If a size is no integer.
    ValueError
        If a size is below 1, or the gain or the activation unknown.

    Notes
    -----
    Blocks of parameters: `state_to_factor` W_fh (n_factors, n_units), `input_to_factor` W_fx
    (n_factors, n_inputs), `factor_bias` b_f (n_factors,) with the shifted gain only,
    `factor_to_state` W_hf (n_units, n_factors), `input` W_hx (n_units, n_inputs), `bias` b
    (n_units,), `initial_state` h_0 (n_units,).

    Examples
    --------
    The plain step for one sequence, and the states of the first of four:

    >>> import numpy as np
    >>> def step(x, h, p):
    ...     f = (p["input_to_factor"] @ x) * (p["state_to_factor"] @ h)
    ...     return np.tanh(p["factor_to_state"] @ f + p["input"] @ x + p["bias"])
    >>> cell = MultiplicativeCell(n_inputs=2, n_units=3, n_factors=5)
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
    .. [1] Sutskever, Martens & Hinton (2011), Generating text with recurrent neural networks,
       ICML, section 3.
    """

    can_be_compiled = True

    def __init__(
        self,
        n_inputs: int,
        n_units: int,
        n_factors: int | None = None,
        *,
        gain: str = "linear",
        activation: str = "tanh",
        learn_initial_state: bool = True,
    ) -> None:
        self.n_inputs = check_integer("n_inputs", n_inputs, minimum=1)
        self.n_units = check_integer("n_units", n_units, minimum=1)
        self.n_factors = check_integer(
            "n_factors", n_units if n_factors is None else n_factors, minimum=1
        )
        self.gain = check_choice("gain", gain, ("linear", "shifted_tanh"))
        self.activation = check_choice("activation", activation, ACTIVATIONS)
        self.learn_initial_state = learn_initial_state

    @property
    def initial_biases(self) -> dict[str, float]:
        """Biases that do not start at zero, by name of the block."""
        return {"factor_bias": 1.0} if self.gain == "shifted_tanh" else {}

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each block of parameters."""
        shapes: dict[str, tuple[int, ...]] = {
            "state_to_factor": (self.n_factors, self.n_units),
            "input_to_factor": (self.n_factors, self.n_inputs),
            "factor_to_state": (self.n_units, self.n_factors),
            "input": (self.n_units, self.n_inputs),
            "bias": (self.n_units,),
        }
        if self.gain == "shifted_tanh":
            shapes["factor_bias"] = (self.n_factors,)
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
    ) -> MultiplicativeTrajectory:
        """Run the recurrence; see `Cell.forward`."""
        work = Workspace(params["bias"])
        xp, dtype = work.xp, work.dtype
        wrapped = wrap_inputs(inputs, self.n_inputs)
        n_factors, (n_steps, n_sequences) = self.n_factors, inputs.shape[:2]
        all_states = xp.empty((n_steps + 1, n_sequences, self.n_units), dtype=dtype)
        start_states(all_states, params, initial_state)
        gains = xp.empty((n_steps, n_sequences, n_factors), dtype=dtype)
        wrapped.project(params["input_to_factor"], gains)
        gain_slopes = None
        if self.gain == "shifted_tanh":
            xp.tanh(gains, out=gains)
            gain_slopes = 1 - gains * gains
            gains += params["factor_bias"]
        n_kept = 1 if states_only else n_steps
        projections = xp.empty_like(gains[:n_kept])
        factor_rows = xp.empty(
            (n_steps, n_sequences, n_factors + wrapped.n_columns(n_factors)), dtype=dtype
        )
        joined, table = wrapped.join(
            [(params["factor_to_state"], params["input"], params["bias"])], work
        )
        to_factor = params["state_to_factor"].T.copy()
        to_state = joined.T.copy()
        slopes = xp.empty_like(all_states[:n_kept])
        trajectory = MultiplicativeTrajectory(
            wrapped,
            all_states,
            slopes,
            projections,
            gains,
            gain_slopes,
            factor_rows,
            to_factor,
            to_state[:n_factors],
            self.learn_initial_state and initial_state is None,
            work,
        )
        self._run(trajectory, to_state, table, states_only)
        return trajectory

    def _run(
        self,
        trajectory: MultiplicativeTrajectory,
        to_state: Array,
        table: Array | None,
        states_only: bool,
    ) -> None:
        """Write states, factors and what the sweeps need, given the first state and the gains."""
        inputs, work = trajectory.inputs, trajectory.workspace
        xp = work.xp
        all_states, slopes, gains = trajectory.all_states, trajectory.slopes, trajectory.gains
        projections, factor_rows = trajectory.projections, trajectory.factor_rows
        to_factor = trajectory.to_factor_transposed
        compiled = compiled_for(work, self.n_units)
        if compiled is not None:
            inputs.write_all_columns(factor_rows[..., self.n_factors :])
            compiled.kernels.run_multiplicative(
                compiled.blas,
                compiled.activation(self.activation),
                all_states,
                (
                    compiled.strips(to_factor, gains.shape[1], work, "to_factor"),
                    compiled.strips(to_state, gains.shape[1], work, "to_state"),
                ),
                gains,
                projections,
                factor_rows,
                inputs.choices(table, work),
                compiled.taken(None if states_only else slopes),
            )
            return
        squash = fused(xp, activate if states_only else activate_and_slope, self.activation)
        n_kept = len(slopes)
        for t in range(len(gains)):
            projection = projections[t % n_kept]
            xp.matmul(all_states[t], to_factor, out=projection)
            xp.multiply(projection, gains[t], out=factor_rows[t, :, : self.n_factors])
            inputs.write_columns(t, factor_rows[t, :, self.n_factors :])
            step = all_states[t + 1]
            xp.matmul(factor_rows[t], to_state, out=step)
            inputs.add(table, t, step, slopes[t % n_kept])
            squash(step, step, *(() if states_only else (slopes[t],)))

    def jvp(
        self,
        params: ParameterBlocks,
        trajectory: MultiplicativeTrajectory,
        d_params: ParameterBlocks,
        d_inputs: Array | None = None,
        d_initial_state: Array | None = None,
    ) -> Array:
        """Return the tangents of the states; see `Cell.jvp`.

        df_t = g_t ⊙ (W_fh dh_{t-1} + dW_fh h_{t-1}) + dg_t ⊙ W_fh h_{t-1}
        dh_t = φ'(z_t) ⊙ (W_hf df_t + dW_hf f_t + dW_hx x_t + db + W_hx dx_t)
        """
        compiled = compiled_for(trajectory.workspace, self.n_units)
        if compiled is not None:
            return _push_compiled(compiled, params, trajectory, d_params, d_inputs, d_initial_state)
        inputs, work = trajectory.inputs, trajectory.workspace
        xp = work.xp
        slopes, gains, gain_slopes = trajectory.slopes, trajectory.gains, trajectory.gain_slopes
        d_states = work.get("sweep", slopes.shape)
        d_factors = work.get("factor_sweep", gains.shape)
        step = work.get("step", slopes.shape[1:])
        scratch = work.get("scratch", slopes.shape[1:])
        factor_step = work.get("factor_step", gains.shape[1:])
        factor_scratch = work.get("factor_scratch", gains.shape[1:])
        joined, table = inputs.join(
            [(d_params["factor_to_state"], d_params["input"], d_params["bias"])], work
        )
        gain_table = inputs.table(d_params["input_to_factor"])
        before = flatten_rows(trajectory.all_states[:-1])
        xp.matmul(before, d_params["state_to_factor"].T, out=flatten_rows(d_factors))
        xp.matmul(flatten_rows(trajectory.factor_rows), joined.T, out=flatten_rows(d_states))
        d_gain_inputs = None
        if d_inputs is not None:
            drive = work.get("drive", d_states.shape)
            xp.matmul(d_inputs, params["input"].T, out=drive)
            d_states += drive
            d_gain_inputs = work.get("d_gain_inputs", gains.shape)
            xp.matmul(d_inputs, params["input_to_factor"].T, out=d_gain_inputs)
        start = start_tangents(trajectory, d_params, d_initial_state)
        step[...] = 0 if start is None else start
        previous = step
        factor_tangent, combine = fused(xp, chains.factor_tangent), fused(xp, combine_tangents)
        for t, (d_state, slope, gain) in enumerate(zip(d_states, slopes, gains)):
            xp.matmul(previous, trajectory.to_factor_transposed, out=factor_step)
            inputs.project_step(gain_table, t, factor_scratch)
            factor_tangent(
                factor_step,
                d_factors[t],
                gain,
                factor_scratch,
                None if d_gain_inputs is None else d_gain_inputs[t],
                None if gain_slopes is None else gain_slopes[t],
                d_params.get("factor_bias"),
                trajectory.projections[t],
            )
            xp.matmul(factor_step, trajectory.to_state_transposed, out=step)
            inputs.add(table, t, step, scratch)
            combine(step, d_state, slope, d_state)
            previous = d_state
        return d_states

    def release(self, trajectory: MultiplicativeTrajectory) -> None:
        """Let cotangents overwrite slopes in the next and last sweep; see `Cell.release`."""
        super().release(trajectory)
        trajectory.workspace.lend(gains_bar=trajectory.projections, factor_sweep=trajectory.gains)

    def _backward(
        self,
        params: ParameterBlocks,
        trajectory: MultiplicativeTrajectory,
        states_bar: Array,
        preactivations_bar: Array | None,
    ) -> dict[str, Array]:
        """Return the cotangents of pre-activations, projections and gains.

        z̄_t = φ'(z_t) ⊙ (h̄_t + W_fhᵀ ā_{t+1}),  ā_t = g_t ⊙ W_hfᵀ z̄_t,  ḡ_t = a_t ⊙ W_hfᵀ z̄_t
        """
        slopes, gains, work = trajectory.slopes, trajectory.gains, trajectory.workspace
        xp = work.xp
        z_bar = work.get("sweep", slopes.shape)
        projections_bar = work.get("factor_sweep", gains.shape)
        gains_bar = work.get("gains_bar", gains.shape)
        step = work.get("step", slopes.shape[1:])
        compiled = compiled_for(work, self.n_units)
        pull = _pull_by_numpy if compiled is None else partial(_pull_compiled, compiled)
        pull(params, trajectory, states_bar, preactivations_bar)
        parts = {
            "before": trajectory.all_states[:-1],
            "factor_rows": trajectory.factor_rows,
            "z_bar": z_bar,
            "projections_bar": projections_bar,
            "gains_bar": gains_bar,
            "initial_bar": step[None],
        }
        if trajectory.gain_slopes is not None:
            gain_inputs_bar = work.get("gain_inputs_bar", gains.shape)
            xp.multiply(gains_bar, trajectory.gain_slopes, out=gain_inputs_bar)
            parts["gain_inputs_bar"] = gain_inputs_bar
        return parts

    def _accumulate(
        self,
        inputs: Inputs,
        parts: dict[str, Array],
        params_bar: dict[str, Array],
        work: Workspace,
    ) -> None:
        """Write W̄_hf = Σ_t z̄_t f_tᵀ, W̄_fh = Σ_t ā_t h_{t-1}ᵀ and the rest to `params_bar`."""
        inputs.accumulate_joined(
            parts["z_bar"],
            parts["factor_rows"],
            [(params_bar["factor_to_state"], params_bar["input"], params_bar["bias"])],
            work,
        )
        sum_outer_products(
            flatten_rows(parts["projections_bar"]),
            flatten_rows(parts["before"]),
            params_bar["state_to_factor"],
            work,
        )
        gain_inputs_bar = parts.get("gain_inputs_bar", parts["gains_bar"])
        inputs.accumulate(gain_inputs_bar, params_bar["input_to_factor"], None)
        if "factor_bias" in params_bar:
            flatten_rows(parts["gains_bar"]).sum(axis=0, out=params_bar["factor_bias"])
        accumulate_initial_state(parts["initial_bar"], params_bar)

    def _inputs_bar(
        self, params: ParameterBlocks, trajectory: Any, parts: dict[str, Array]
    ) -> Array:
        """Return W_hxᵀ z̄_t + W_fxᵀ (∂g_t ⊙ ḡ_t)."""
        gain_inputs_bar = parts.get("gain_inputs_bar", parts["gains_bar"])
        work, shape = trajectory.workspace, trajectory.inputs.shape
        inputs_bar: Array = work.get("inputs_bar", shape)
        scratch = work.get("inputs_scratch", shape)
        work.xp.matmul(parts["z_bar"], params["input"], out=inputs_bar)
        work.xp.matmul(gain_inputs_bar, params["input_to_factor"], out=scratch)
        inputs_bar += scratch
        return inputs_bar


def _push_compiled(
    compiled: Compiled,
    params: ParameterBlocks,
    trajectory: MultiplicativeTrajectory,
    d_params: ParameterBlocks,
    d_inputs: Array | None,
    d_initial_state: Array | None,
) -> Array:
    """Return the tangents of the states by the compiled sweep."""
    inputs, work = trajectory.inputs, trajectory.workspace
    slopes, gains = trajectory.slopes, trajectory.gains
    d_states = work.get("sweep", slopes.shape)
    joined, table = inputs.join(
        [(d_params["factor_to_state"], d_params["input"], d_params["bias"])], work
    )
    n_rows, rows, before = slopes.shape[1], trajectory.factor_rows, trajectory.all_states[:-1]
    d_gain_inputs = None
    if d_inputs is not None:
        np.matmul(d_inputs, params["input"].T, out=d_states)
        d_gain_inputs = work.get("d_gain_inputs", gains.shape)
        np.matmul(d_inputs, params["input_to_factor"].T, out=d_gain_inputs)
    if not compiled.is_wide(slopes.shape[2]):
        d_factors = work.get("factor_step", gains.shape[1:])[None]
        d_to_factor = compiled.strips(d_params["state_to_factor"].T, n_rows, work, "d_to_factor")
        d_to_state = compiled.strips(joined.T, n_rows, work, "d_to_state")
    else:
        d_factors = work.get("factor_sweep", gains.shape)
        d_to_factor = d_to_state = compiled.nothing
        np.matmul(flatten_rows(before), d_params["state_to_factor"].T, out=flatten_rows(d_factors))
        drive = d_states if d_inputs is None else work.get("drive", d_states.shape)
        np.matmul(flatten_rows(rows), joined.T, out=flatten_rows(drive))
        if drive is not d_states:
            d_states += drive
    start = work.get("step", slopes.shape[1:])
    tangents = start_tangents(trajectory, d_params, d_initial_state)
    start[...] = 0 if tangents is None else tangents
    d_bias = d_params.get("factor_bias")
    compiled.kernels.push_multiplicative(
        compiled.blas,
        (trajectory.all_states, trajectory.factor_rows, trajectory.projections, gains, slopes),
        (
            compiled.strips(trajectory.to_factor_transposed, n_rows, work, "to_factor"),
            compiled.strips(trajectory.to_state_transposed, n_rows, work, "to_state_alone"),
        ),
        (d_to_factor, d_to_state),
        inputs.choices(table, work),
        (
            compiled.taken(inputs.table(d_params["input_to_factor"])[None]),
            compiled.taken(inputs.real_values),
            compiled.taken(d_gain_inputs),
            compiled.taken(trajectory.gain_slopes),
            compiled.taken(None if d_bias is None else d_bias[None, None]),
        ),
        start,
        (d_factors, work.get("factor_scratch", gains.shape[1:])),
        0.0 if d_inputs is None else 1.0,
        d_states,
    )
    return d_states


def _pull_compiled(
    compiled: Compiled,
    params: ParameterBlocks,
    trajectory: MultiplicativeTrajectory,
    states_bar: Array,
    preactivations_bar: Array | None,
) -> None:
    """Write the cotangents to their buffers by the compiled sweep."""
    slopes, gains, work = trajectory.slopes, trajectory.gains, trajectory.workspace
    weights = tuple(
        compiled.strips(params[name], slopes.shape[1], work, name)
        for name in ("state_to_factor", "factor_to_state")
    )
    compiled.kernels.pull_multiplicative(
        compiled.blas,
        compiled.taken(states_bar),
        compiled.taken(preactivations_bar),
        (trajectory.projections, gains, slopes),
        weights,
        compiled.tiny,
        work.get("step", slopes.shape[1:]),
        (work.get("factor_step", gains.shape[1:]), work.get("factor_scratch", gains.shape[1:])),
        (
            work.get("sweep", slopes.shape),
            work.get("factor_sweep", gains.shape),
            work.get("gains_bar", gains.shape),
        ),
    )


def _pull_by_numpy(
    params: ParameterBlocks,
    trajectory: MultiplicativeTrajectory,
    states_bar: Array,
    preactivations_bar: Array | None,
) -> None:
    """Write the cotangents to their buffers by NumPy."""
    slopes, gains, work = trajectory.slopes, trajectory.gains, trajectory.workspace
    xp = work.xp
    to_factor, to_state = params["state_to_factor"], params["factor_to_state"]
    z_bar = work.get("sweep", slopes.shape)
    projections_bar = work.get("factor_sweep", gains.shape)
    gains_bar = work.get("gains_bar", gains.shape)
    step = work.get("step", slopes.shape[1:])
    factor_step = work.get("factor_step", gains.shape[1:])
    pull_factors = fused(xp, chains.factor_bar)
    for t in pulled_steps(xp, states_bar, preactivations_bar, slopes, step, z_bar):
        xp.matmul(z_bar[t], to_state, out=factor_step)
        pull_factors(
            factor_step, trajectory.projections[t], gains[t], gains_bar[t], projections_bar[t]
        )
        xp.matmul(projections_bar[t], to_factor, out=step)
