"""Long short-term memory."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from hessianfree.cells import _lstm_chains as chains
from hessianfree.cells._chains import (
    FLUSH_EVERY,
    combine_tangents,
    flush,
    flush_constant,
    logistic,
    logistic_and_slope,
)
from hessianfree.cells._gates import GateMap, by_gate, gate_maps
from hessianfree.cells._inputs import Inputs, wrap_inputs
from hessianfree.cells._trajectories import LSTMTrajectory
from hessianfree.cells._workspace import Workspace
from hessianfree.cells.base import (
    ParameterBlocks,
    SweepingCell,
    accumulate_initial_state,
    start_states,
    start_tangents,
)
from reservoir.utils.device import fused
from reservoir.utils.types import Array
from reservoir.utils.validation import check_flag, check_integer, check_real

# In the order in which pre-activations lie side by side: what drives the memory, then the reading.
GATES = ("", "input_gate_", "forget_gate_", "output_gate_")


class LSTMCell(SweepingCell):
    r"""Long short-term memory [1]_ with a forget gate [2]_.

    .. math::

        i_t &= \sigma(W_{xi}\, x_t + W_{hi}\, h_{t-1} + b_i),
            \quad f_t \text{ and } o_t \text{ likewise} \\
        g_t &= \tanh(W_{xg}\, x_t + W_{hg}\, h_{t-1} + b_g) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh(c_t)

    With peepholes [3]_ the gates see the memory too: w_i ⊙ c_{t-1} is added to the pre-activation
    of i_t, w_f ⊙ c_{t-1} to that of f_t, and w_o ⊙ c_t to that of o_t.

    Read more in the guide: :doc:`/guide/cells`.

    Parameters
    ----------
    n_inputs : int
        Features of a real-valued x_t, or number of symbols.
    n_units : int
        Width of h_t and of c_t.
    peepholes : bool, default=False
        Whether there are peephole connections.
    forget_bias : float, default=1.0
        Where the functions of `hessianfree.network` start b_f. Above 0 the memory lasts
        from the start, which decides whether long lags are learned [4]_; 0 is none.
    learn_initial_state : bool, default=True
        Whether h_0 and c_0 are parameters; otherwise they are zero.

    Raises
    ------
    TypeError
        If a size is no integer, or the bias no number.
    ValueError
        If a size is below 1.

    Notes
    -----
    The state is [h_t, c_t]: `state_size` is 2 n_units. Layers above, and structural damping, see
    h_t.

    Blocks of parameters: `recurrent` W_hg (n_units, n_units), `input` W_xg (n_units, n_inputs),
    `bias` b_g (n_units,), then the same three with `input_gate_`, `forget_gate_` and `output_gate_`
    before their names, `peephole` (3, n_units) with the rows w_i, w_f, w_o, and `initial_state`
    [h_0, c_0] (2 n_units,).

    Examples
    --------
    The plain step for one sequence, and the states of the first of four:

    >>> import numpy as np
    >>> from scipy.special import expit
    >>> def step(x, h, c, p):
    ...     def a(gate):
    ...         return p[gate + "input"] @ x + p[gate + "recurrent"] @ h + p[gate + "bias"]
    ...     i, f, o = expit(a("input_gate_")), expit(a("forget_gate_")), expit(a("output_gate_"))
    ...     c = f * c + i * np.tanh(a(""))
    ...     return o * np.tanh(c), c
    >>> cell = LSTMCell(n_inputs=2, n_units=3)
    >>> rng = np.random.default_rng(0)
    >>> params = {name: rng.normal(size=shape) for name, shape in cell.parameter_shapes.items()}
    >>> inputs = rng.normal(size=(6, 4, 2))
    >>> states = cell.forward(params, inputs).states
    >>> h, c = np.split(params["initial_state"], 2)
    >>> for x, found in zip(inputs[:, 0], states[:, 0]):
    ...     h, c = step(x, h, c, params)
    ...     np.testing.assert_allclose(found, h, rtol=1e-12)

    References
    ----------
    .. [1] Hochreiter & Schmidhuber (1997), Long short-term memory, Neural Computation 9.
    .. [2] Gers, Schmidhuber & Cummins (2000), Learning to forget: continual prediction with LSTM,
       Neural Computation 12.
    .. [3] Gers, Schraudolph & Schmidhuber (2002), Learning precise timing with LSTM recurrent
       networks, JMLR 3.
    .. [4] Jozefowicz, Zaremba & Sutskever (2015), An empirical exploration of recurrent network
       architectures, ICML.
    """

    _tangents = "d_states"

    def __init__(
        self,
        n_inputs: int,
        n_units: int,
        *,
        peepholes: bool = False,
        forget_bias: float = 1.0,
        learn_initial_state: bool = True,
    ) -> None:
        self.n_inputs = check_integer("n_inputs", n_inputs, minimum=1)
        self.n_units = check_integer("n_units", n_units, minimum=1)
        self.peepholes = check_flag("peepholes", peepholes)
        self.forget_bias = check_real("forget_bias", forget_bias)
        self.learn_initial_state = learn_initial_state

    @property
    def state_size(self) -> int:
        """Width of [h_t, c_t]."""
        return 2 * self.n_units

    @property
    def initial_biases(self) -> dict[str, float]:
        """Biases that do not start at zero, by name of the block."""
        return {"forget_gate_bias": self.forget_bias}

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each block of parameters."""
        shapes: dict[str, tuple[int, ...]] = {}
        for gate in GATES:
            shapes[f"{gate}recurrent"] = (self.n_units, self.n_units)
            shapes[f"{gate}input"] = (self.n_units, self.n_inputs)
            shapes[f"{gate}bias"] = (self.n_units,)
        if self.peepholes:
            shapes["peephole"] = (3, self.n_units)
        if self.learn_initial_state:
            shapes["initial_state"] = (self.state_size,)
        return shapes

    def forward(
        self,
        params: ParameterBlocks,
        inputs: NDArray[Any],
        initial_state: Array | None = None,
        *,
        states_only: bool = False,
    ) -> LSTMTrajectory:
        """Run the recurrence; see `Cell.forward`."""
        learns = self.learn_initial_state and initial_state is None
        trajectory = self._new_trajectory(params, inputs, learns, 1 if states_only else len(inputs))
        n, work = self.n_units, trajectory.workspace
        start = work.xp.empty((1, inputs.shape[1], 2 * n), dtype=work.dtype)
        start_states(start, params, initial_state)
        trajectory.gates.recurrent_rows[0] = start[0, :, :n]
        trajectory.memories[0] = start[0, :, n:]
        peephole = params["peephole"] if self.peepholes else None
        self._recur(trajectory, peephole, len(inputs), states_only)
        return trajectory

    def _new_trajectory(
        self, params: ParameterBlocks, inputs: NDArray[Any], learns_initial_state: bool, n_kept: int
    ) -> LSTMTrajectory:
        """Return a trajectory with all that needs no state: the map of the gates, empty arrays."""
        n, (n_steps, n_sequences) = self.n_units, inputs.shape[:2]
        work = Workspace(params["bias"])
        xp, wrapped = work.xp, wrap_inputs(inputs, self.n_inputs)
        return LSTMTrajectory(
            GateMap("gates", gate_maps(params, GATES), wrapped, n_steps + 1, work),
            xp.empty((n_steps + 1, n_sequences, n), dtype=work.dtype),
            xp.empty((n_kept, 4, n_sequences, n), dtype=work.dtype),
            xp.empty((n_kept, n_sequences, n), dtype=work.dtype),
            xp.empty((n_kept, n_sequences, n), dtype=work.dtype),
            learns_initial_state,
            work,
        )

    def _recur(
        self, trajectory: LSTMTrajectory, peephole: Array | None, n_steps: int, states_only: bool
    ) -> None:
        """Go from state to state, and keep what the sweeps multiply by unless `states_only`."""
        gates, memories, slopes = trajectory.gates, trajectory.memories, trajectory.slopes
        forget, reading, work = trajectory.forget, trajectory.reading, trajectory.workspace
        xp = work.xp
        n_kept, _, n_sequences, n = slopes.shape
        step = xp.empty((n_sequences, 4 * n), dtype=work.dtype)
        z = by_gate(step, 4)
        activations = xp.empty(slopes.shape[1:], dtype=work.dtype)
        g, i, f, o = activations
        read = xp.empty_like(g)
        activate = fused(xp, logistic if states_only else logistic_and_slope)
        add_peephole, update_memory, read_memory, step_forward, write_slopes = (
            fused(xp, chain)
            for chain in (
                chains.add_peephole,
                chains.update_memory,
                chains.read_memory,
                chains.step_forward,
                chains.write_slopes,
            )
        )
        # With peepholes the output gate waits for the new memory.
        n_early = 4 if peephole is None else 3
        for t in range(n_steps):
            before, memory, state = memories[t], memories[t + 1], gates.recurrent_rows[t + 1]
            slope = slopes[t % n_kept]
            gates.apply(t, step)
            if peephole is not None:
                for k in (0, 1):
                    add_peephole(z[1 + k], peephole[k], before, read)
            xp.tanh(z[0], out=g)
            early = z[1:n_early], activations[1:n_early]
            activate(*early, *(() if states_only else (slope[1:n_early],)))
            if peephole is None:
                step_forward(g, i, f, o, before, memory, read, state)
            else:
                update_memory(g, i, f, before, memory, read)
                add_peephole(z[3], peephole[2], memory, read)
                activate(z[3], o, *(() if states_only else (slope[3],)))
                read_memory(o, memory, read, state)
            if not states_only:
                write_slopes(g, i, f, o, before, read, *slope, forget[t], reading[t])

    def jvp(
        self,
        params: ParameterBlocks,
        trajectory: LSTMTrajectory,
        d_params: ParameterBlocks,
        d_inputs: Array | None = None,
        d_initial_state: Array | None = None,
    ) -> Array:
        """Return the tangents of the states; see `Cell.jvp`.

        dc_t = f_t ⊙ dc_{t-1} + Σ ∂c/∂(g, i, f) ⊙ da_t,   dh_t = ∂h/∂o ⊙ da_t + ∂h/∂c ⊙ dc_t
        """
        n, work, gates = self.n_units, trajectory.workspace, trajectory.gates
        xp, slopes = work.xp, trajectory.slopes
        n_steps, _, n_sequences, _ = slopes.shape
        sweep = work.get("sweep", (n_steps, n_sequences, 4 * n))
        d_states = work.get("d_states", trajectory.forget.shape)
        d_memory = work.get("memory", (n_sequences, n))
        scratch = work.get("scratch", (n_sequences, n))
        recurrent = work.get("step", (n_sequences, 4 * n))
        recurrent_gates = by_gate(recurrent, 4)
        d_gates = work.get("d_gates", slopes.shape[1:])
        d_initial = work.get("d_initial", (n_sequences, 2 * n))
        start = start_tangents(trajectory, d_params, d_initial_state)
        d_initial[...] = 0 if start is None else start
        gates.tangents(gate_maps(d_params, GATES), d_inputs, sweep, work)
        previous = d_initial[:, :n]
        d_memory[...] = d_initial[:, n:]
        add_peephole, combine, step_tangents = (
            fused(xp, chain)
            for chain in (chains.add_peephole_tangent, combine_tangents, chains.step_tangents)
        )
        peephole: Any = (None, None, None)
        d_peephole = peephole
        if self.peepholes:
            peephole, d_peephole = params["peephole"], d_params["peephole"]
        for t, d_state in enumerate(d_states):
            gates.recurrent_tangent(t, previous, recurrent)
            driven = by_gate(sweep[t], 4)
            if self.peepholes:
                for k in (0, 1):
                    add_peephole(
                        driven[1 + k],
                        peephole[k],
                        d_peephole[k],
                        trajectory.memories[t],
                        d_memory,
                        scratch,
                    )
            combine(recurrent_gates, driven, slopes[t], d_gates)
            step_tangents(
                *d_gates,
                trajectory.forget[t],
                trajectory.reading[t],
                d_memory,
                d_state,
                peephole[2],
                d_peephole[2],
                slopes[t, 3],
                trajectory.memories[t + 1],
                scratch,
            )
            previous = d_state
        return d_states

    def release(self, trajectory: LSTMTrajectory) -> None:
        """Let cotangents overwrite slopes in the next and last sweep; see `Cell.release`."""
        n_steps, n_gates, n_sequences, n = trajectory.slopes.shape
        as_cotangents = trajectory.slopes.reshape(n_steps, n_sequences, n_gates * n)
        trajectory.workspace.lend(sweep=as_cotangents)

    def _backward(
        self,
        params: ParameterBlocks,
        trajectory: LSTMTrajectory,
        states_bar: Array,
        preactivations_bar: Array | None,
    ) -> dict[str, Array]:
        """Return the cotangents of the pre-activations.

        ō_t = ∂h/∂o ⊙ h̄_t,  c̄_t = f_{t+1} ⊙ c̄_{t+1} + ∂h/∂c ⊙ h̄_t,  ā_t = ∂c/∂a ⊙ c̄_t
        """
        n, work, gates = self.n_units, trajectory.workspace, trajectory.gates
        xp, slopes = work.xp, trajectory.slopes
        n_steps, _, n_sequences, _ = slopes.shape
        first = n_steps - len(states_bar)
        sweep = work.get("sweep", (n_steps, n_sequences, 4 * n))
        state_bar = work.get("scratch", (n_sequences, n))
        memory_bar = work.get("memory", (n_sequences, n))
        bars = work.get("d_gates", slopes.shape[1:])
        tiny = flush_constant(sweep.dtype)
        state_bar[...] = memory_bar[...] = 0
        step_backward, flush_small = fused(xp, chains.step_backward), fused(xp, flush)
        peephole = params["peephole"] if self.peepholes else (None, None, None)
        for t in reversed(range(n_steps)):
            step_backward(
                states_bar[t - first] if t >= first else None,
                state_bar,
                memory_bar,
                *slopes[t],
                trajectory.forget[t],
                trajectory.reading[t],
                *bars,
                *peephole,
            )
            by_gate(sweep[t], 4)[...] = bars
            if t % FLUSH_EVERY == 0:
                flush_small(sweep[t], tiny)
                flush_small(memory_bar, tiny)
            xp.matmul(sweep[t], gates.weights, out=state_bar)
        initial_bar = work.get("initial_bar", (1, n_sequences, 2 * n))
        initial_bar[0, :, :n], initial_bar[0, :, n:] = state_bar, memory_bar
        return {
            "rows": gates.rows[:-1],
            "gates_bar": sweep,
            "memories": trajectory.memories,
            "initial_bar": initial_bar,
        }

    def _accumulate(
        self,
        inputs: Inputs,
        parts: dict[str, Array],
        params_bar: dict[str, Array],
        work: Workspace,
    ) -> None:
        """Write W̄ = Σ_t ā_t h_{t-1}ᵀ of all gates and the rest to `params_bar`."""
        gates_bar = parts["gates_bar"]
        inputs.accumulate_joined(
            gates_bar, parts["rows"], gate_maps(params_bar, GATES), work, "gates"
        )
        if "peephole" in params_bar:
            n, memories = self.n_units, parts["memories"]
            seen = (memories[:-1], memories[:-1], memories[1:])
            for k, (peephole_bar, memory) in enumerate(zip(params_bar["peephole"], seen), start=1):
                gate_bar = gates_bar[..., k * n : (k + 1) * n]
                peephole_bar[...] = work.xp.einsum("tbn,tbn->n", gate_bar, memory)
        accumulate_initial_state(parts["initial_bar"], params_bar)

    def _inputs_bar(
        self, params: ParameterBlocks, trajectory: LSTMTrajectory, parts: dict[str, Array]
    ) -> Array:
        """Return W_xᵀ ā_t."""
        return trajectory.gates.inputs_bar(parts["gates_bar"], trajectory.workspace)
