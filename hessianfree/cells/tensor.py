"""The full-tensor multiplicative recurrent net: one recurrent matrix per input."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from hessianfree.cells._chains import (
    ACTIVATIONS,
    activate,
    slope_of,
)
from hessianfree.cells._inputs import Inputs, RealInputs, flatten_rows, wrap_inputs
from hessianfree.cells._trajectories import TensorTrajectory
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


class TensorCell(SweepingCell):
    r"""Recurrent layer with one matrix from state to state per input [1]_.

    .. math:: h_t = \varphi\Big(\sum_k x_{tk} W_k\, h_{t-1} + W_{hx}\, x_t + b\Big)

    With integer symbols, W_k of the symbol k at hand. It has n_inputs · n_units² parameters, which
    the factors of `MultiplicativeCell` are there to avoid [1]_; it is the net they approximate.

    Read more in the guide: :doc:`/guide/multiplicative_rnn`.

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
    Blocks of parameters: `recurrent` W_k (n_inputs, n_units, n_units), `input` W_hx (n_units,
    n_inputs), `bias` b (n_units,), `initial_state` h_0 (n_units,).

    Examples
    --------
    The plain step for one sequence, and the states of the first of four:

    >>> import numpy as np
    >>> def step(x, h, p):
    ...     W = sum(x_k * W_k for x_k, W_k in zip(x, p["recurrent"]))
    ...     return np.tanh(W @ h + p["input"] @ x + p["bias"])
    >>> cell = TensorCell(n_inputs=2, n_units=3)
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
            "recurrent": (self.n_inputs, self.n_units, self.n_units),
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
    ) -> TensorTrajectory:
        """Run the recurrence; see `Cell.forward`."""
        work = Workspace(params["bias"])
        xp = work.xp
        squash = fused(xp, activate, self.activation)
        wrapped = wrap_inputs(inputs, self.n_inputs)
        steps = [wrap_inputs(inputs[t : t + 1], self.n_inputs) for t in range(len(inputs))]
        recurrent = params["recurrent"]
        n_steps, n_sequences = inputs.shape[:2]
        all_states = xp.empty((n_steps + 1, n_sequences, self.n_units), dtype=recurrent.dtype)
        start_states(all_states, params, initial_state)
        wrapped.project(params["input"], all_states[1:], params["bias"])
        step = xp.empty_like(all_states[0])
        for t in range(n_steps):
            steps[t].mix(recurrent, all_states[t], out=step)
            step += all_states[t + 1]
            squash(step, all_states[t + 1])
        slopes = xp.empty_like(all_states[1 : 1 if states_only else None])
        if not states_only:
            fused(xp, slope_of, self.activation)(all_states[1:], slopes)
        return TensorTrajectory(
            wrapped,
            steps,
            all_states,
            slopes,
            self.learn_initial_state and initial_state is None,
            work,
        )

    def jvp(
        self,
        params: ParameterBlocks,
        trajectory: TensorTrajectory,
        d_params: ParameterBlocks,
        d_inputs: Array | None = None,
        d_initial_state: Array | None = None,
    ) -> Array:
        """Return the tangents of the states; see `Cell.jvp`.

        dh_t = φ'(z_t) ⊙ (Σ_k x_tk (W_k dh_{t-1} + dW_k h_{t-1}) + Σ_k dx_tk W_k h_{t-1} + ...)
        """
        slopes, work = trajectory.slopes, trajectory.workspace
        before = flatten_rows(trajectory.all_states[:-1])
        d_states = work.get("sweep", slopes.shape)
        drive = work.get("drive", slopes.shape)
        step = work.get("step", slopes.shape[1:])
        trajectory.inputs.mix(d_params["recurrent"], before, out=flatten_rows(d_states))
        trajectory.inputs.project(d_params["input"], drive, d_params["bias"])
        d_states += drive
        if d_inputs is not None:
            RealInputs(d_inputs).mix(params["recurrent"], before, out=flatten_rows(drive))
            d_states += drive
            d_states += d_inputs @ params["input"].T
        previous = work.get("d_initial", slopes.shape[1:])
        start = start_tangents(trajectory, d_params, d_initial_state)
        previous[...] = 0 if start is None else start
        for t in range(len(d_states)):
            trajectory.steps[t].mix(params["recurrent"], previous, out=step)
            d_states[t] += step
            d_states[t] *= slopes[t]
            previous = d_states[t]
        return d_states

    def _backward(
        self,
        params: ParameterBlocks,
        trajectory: TensorTrajectory,
        states_bar: Array,
        preactivations_bar: Array | None,
    ) -> dict[str, Array]:
        """Return the pre-activations' z̄_t = φ'(z_t) ⊙ (h̄_t + Σ_k x_{t+1,k} W_kᵀ z̄_{t+1})."""
        slopes, work = trajectory.slopes, trajectory.workspace
        xp = work.xp
        transposed = params["recurrent"].transpose(0, 2, 1)
        z_bar = work.get("sweep", slopes.shape)
        step = work.get("step", slopes.shape[1:])
        for t in pulled_steps(xp, states_bar, preactivations_bar, slopes, step, z_bar):
            trajectory.steps[t].mix(transposed, z_bar[t], out=step)
        return {"before": trajectory.all_states[:-1], "z_bar": z_bar, "initial_bar": step[None]}

    def _accumulate(
        self,
        inputs: Inputs,
        parts: dict[str, Array],
        params_bar: dict[str, Array],
        work: Workspace,
    ) -> None:
        """Write W̄_k = Σ_t x_tk z̄_t h_{t-1}ᵀ and the rest to `params_bar`."""
        z_bar = parts["z_bar"]
        inputs.accumulate_outer(
            flatten_rows(z_bar), flatten_rows(parts["before"]), params_bar["recurrent"]
        )
        inputs.accumulate(z_bar, params_bar["input"], params_bar["bias"])
        accumulate_initial_state(parts["initial_bar"], params_bar)

    def _inputs_bar(
        self, params: ParameterBlocks, trajectory: Any, parts: dict[str, Array]
    ) -> Array:
        """Return W_hxᵀ z̄_t + (z̄_tᵀ W_k h_{t-1})_k."""
        xp, z_bar = trajectory.workspace.xp, parts["z_bar"]
        inputs_bar: Array = z_bar @ params["input"]
        for k, matrix in enumerate(params["recurrent"]):
            inputs_bar[..., k] += xp.einsum("tbn,tbn->tb", z_bar @ matrix, parts["before"])
        return inputs_bar
