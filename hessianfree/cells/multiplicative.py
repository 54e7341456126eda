"""The multiplicative recurrent net: the input chooses the matrix from state to state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessianfree.cells._inputs import Inputs, wrap_inputs
from hessianfree.cells._workspace import Workspace
from hessianfree.cells.base import (
    ACTIVATIONS,
    Blocks,
    SweepingCell,
    accumulate_initial_state,
    flush_constant,
    rows_of,
    start_states,
)
from hessianfree.objective import Array
from reservoir._validation import check_choice, check_integer


@dataclass(frozen=True, eq=False)
class MultiplicativeTrajectory:
    """States, slopes and factors of a `MultiplicativeCell` along its sequences."""

    inputs: Inputs
    all_states: Array  # (n_steps + 1, n_sequences, n_units), the initial state first
    slopes: Array  # φ'(z_t), (n_steps, n_sequences, n_units)
    projections: Array  # a_t = W_fh h_{t-1}, (n_steps, n_sequences, n_factors)
    gains: Array  # g_t, (n_steps, n_sequences, n_factors)
    gain_slopes: Array | None  # ∂g_t / ∂(W_fx x_t); None where it is 1
    factors: Array  # f_t = g_t ⊙ a_t, (n_steps, n_sequences, n_factors)
    learns_initial_state: bool
    workspace: Workspace

    @property
    def states(self) -> Array:
        """States h_1 to h_T, of shape (n_steps, n_sequences, n_units)."""
        return self.all_states[1:]

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        arrays = [self.all_states, self.slopes, self.projections, self.gains, self.factors]
        if self.gain_slopes is not None:
            arrays.append(self.gain_slopes)
        return sum(array.nbytes for array in arrays) + self.workspace.nbytes


class MultiplicativeCell(SweepingCell):
    """Recurrent layer with factored three-way connections.

    f_t = g_t ⊙ W_fh h_{t-1}
    h_t = φ(W_hf f_t + W_hx x_t + b)

    Each factor is a transition matrix of rank one with a gain that the input sets. The effective
    matrix W_hf diag(g_t) W_fh takes the place of one full matrix per input symbol (`TensorCell`).

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
    >>> import numpy as np
    >>> cell = MultiplicativeCell(n_inputs=86, n_units=5, n_factors=7)
    >>> cell.parameter_shapes["state_to_factor"]
    (7, 5)

    References
    ----------
    .. [1] Sutskever, Martens & Hinton (2011), Generating text with recurrent neural networks,
       ICML, section 3.
    """

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
        self, params: Blocks, inputs: NDArray[Any], initial_state: Array | None = None
    ) -> MultiplicativeTrajectory:
        """Run the recurrence; see `Cell.forward`."""
        activate, slope = ACTIVATIONS[self.activation]
        wrapped = wrap_inputs(inputs, self.n_inputs)
        to_factor, to_state = params["state_to_factor"], params["factor_to_state"]
        n_steps, n_sequences = inputs.shape[:2]
        dtype = to_factor.dtype
        all_states = np.empty((n_steps + 1, n_sequences, self.n_units), dtype=dtype)
        start_states(all_states, params, initial_state)
        wrapped.project(params["input"], all_states[1:], params["bias"])
        gains = np.empty((n_steps, n_sequences, self.n_factors), dtype=dtype)
        wrapped.project(params["input_to_factor"], gains)
        gain_slopes = None
        if self.gain == "shifted_tanh":
            np.tanh(gains, out=gains)
            gain_slopes = 1 - gains * gains
            gains += params["factor_bias"]
        projections, factors = np.empty_like(gains), np.empty_like(gains)
        step = np.empty_like(all_states[0])
        for t in range(n_steps):
            np.matmul(all_states[t], to_factor.T, out=projections[t])
            np.multiply(projections[t], gains[t], out=factors[t])
            np.matmul(factors[t], to_state.T, out=step)
            step += all_states[t + 1]
            activate(step, out=all_states[t + 1])
        slopes = np.empty_like(all_states[1:])
        slope(all_states[1:], out=slopes)
        return MultiplicativeTrajectory(
            wrapped,
            all_states,
            slopes,
            projections,
            gains,
            gain_slopes,
            factors,
            self.learn_initial_state and initial_state is None,
            Workspace(dtype),
        )

    def jvp(
        self,
        params: Blocks,
        trajectory: MultiplicativeTrajectory,
        d_params: Blocks,
        d_inputs: Array | None = None,
    ) -> Array:
        """Return the tangents of the states; see `Cell.jvp`.

        df_t = g_t ⊙ (W_fh dh_{t-1} + dW_fh h_{t-1}) + dg_t ⊙ W_fh h_{t-1}
        dh_t = φ'(z_t) ⊙ (W_hf df_t + dW_hf f_t + dW_hx x_t + db + W_hx dx_t)
        """
        slopes, gains, work = trajectory.slopes, trajectory.gains, trajectory.workspace
        to_factor, to_state = params["state_to_factor"], params["factor_to_state"]
        d_states = work.get("d_states", slopes.shape)
        d_factors = work.get("d_factors", gains.shape)
        drive = work.get("drive", slopes.shape)
        d_gains = work.get("d_gains", gains.shape)
        step = work.get("step", slopes.shape[1:])
        factor_step = work.get("factor_step", gains.shape[1:])

        trajectory.inputs.project(d_params["input_to_factor"], d_gains)
        if d_inputs is not None:
            d_gains += d_inputs @ params["input_to_factor"].T
        if trajectory.gain_slopes is not None:
            d_gains *= trajectory.gain_slopes
            d_gains += d_params["factor_bias"]
        d_gains *= trajectory.projections
        before = rows_of(trajectory.all_states[:-1])
        np.matmul(before, d_params["state_to_factor"].T, out=rows_of(d_factors))
        d_factors *= gains
        d_factors += d_gains

        trajectory.inputs.project(d_params["input"], drive, d_params["bias"])
        np.matmul(rows_of(trajectory.factors), d_params["factor_to_state"].T, out=rows_of(d_states))
        d_states += drive
        if d_inputs is not None:
            d_states += d_inputs @ params["input"].T
        step[...] = d_params["initial_state"] if trajectory.learns_initial_state else 0
        previous = step
        for t in range(len(d_states)):
            np.matmul(previous, to_factor.T, out=factor_step)
            factor_step *= gains[t]
            factor_step += d_factors[t]
            np.matmul(factor_step, to_state.T, out=step)
            d_states[t] += step
            d_states[t] *= slopes[t]
            previous = d_states[t]
        return d_states

    def _backward(
        self,
        params: Blocks,
        trajectory: MultiplicativeTrajectory,
        states_bar: Array,
        preactivations_bar: Array | None,
    ) -> dict[str, Array]:
        """Return the cotangents of pre-activations, projections and gains.

        z̄_t = φ'(z_t) ⊙ (h̄_t + W_fhᵀ ā_{t+1}),  ā_t = g_t ⊙ W_hfᵀ z̄_t,  ḡ_t = a_t ⊙ W_hfᵀ z̄_t
        """
        slopes, gains, work = trajectory.slopes, trajectory.gains, trajectory.workspace
        to_factor, to_state = params["state_to_factor"], params["factor_to_state"]
        n_steps = len(slopes)
        first = n_steps - len(states_bar)
        z_bar = work.get("z_bar", slopes.shape)
        projections_bar = work.get("projections_bar", gains.shape)
        gains_bar = work.get("d_gains", gains.shape)
        step = work.get("step", slopes.shape[1:])
        tiny = flush_constant(slopes.dtype)
        step[...] = 0
        for t in reversed(range(n_steps)):
            if t >= first:
                step += states_bar[t - first]
            np.multiply(step, slopes[t], out=z_bar[t])
            if preactivations_bar is not None:
                z_bar[t] += preactivations_bar[t]
            z_bar[t] += tiny
            z_bar[t] -= tiny
            np.matmul(z_bar[t], to_state, out=gains_bar[t])
            np.multiply(gains_bar[t], gains[t], out=projections_bar[t])
            np.matmul(projections_bar[t], to_factor, out=step)
        gains_bar *= trajectory.projections
        if not trajectory.learns_initial_state:
            step[...] = 0
        parts = {
            "before": trajectory.all_states[:-1],
            "factors": trajectory.factors,
            "z_bar": z_bar,
            "projections_bar": projections_bar,
            "gains_bar": gains_bar,
            "initial_bar": step[None],
        }
        if trajectory.gain_slopes is not None:
            parts["gain_inputs_bar"] = gains_bar * trajectory.gain_slopes
        return parts

    def _accumulate(
        self, params: Blocks, inputs: Inputs, parts: dict[str, Array], params_bar: dict[str, Array]
    ) -> None:
        """Write W̄_hf = Σ_t z̄_t f_tᵀ, W̄_fh = Σ_t ā_t h_{t-1}ᵀ and the rest to `params_bar`."""
        z_bar, projections_bar = parts["z_bar"], parts["projections_bar"]
        np.matmul(rows_of(z_bar).T, rows_of(parts["factors"]), out=params_bar["factor_to_state"])
        np.matmul(
            rows_of(projections_bar).T,
            rows_of(parts["before"]),
            out=params_bar["state_to_factor"],
        )
        inputs.accumulate(z_bar, params_bar["input"], params_bar["bias"])
        gain_inputs_bar = parts.get("gain_inputs_bar", parts["gains_bar"])
        inputs.accumulate(gain_inputs_bar, params_bar["input_to_factor"], None)
        if "factor_bias" in params_bar:
            np.sum(rows_of(parts["gains_bar"]), axis=0, out=params_bar["factor_bias"])
        accumulate_initial_state(parts["initial_bar"], params_bar)

    def _inputs_bar(self, params: Blocks, parts: dict[str, Array]) -> Array:
        """Return W_hxᵀ z̄_t + W_fxᵀ (∂g_t ⊙ ḡ_t)."""
        gain_inputs_bar = parts.get("gain_inputs_bar", parts["gains_bar"])
        inputs_bar: Array = parts["z_bar"] @ params["input"]
        inputs_bar += gain_inputs_bar @ params["input_to_factor"]
        return inputs_bar
