"""Long short-term memory: a sum that gates write to, erase and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from hessianfree.cells._gates import GateMap, gate_maps, logistic_of
from hessianfree.cells._inputs import Inputs, wrap_inputs
from hessianfree.cells._workspace import Workspace
from hessianfree.cells.base import (
    FLUSH_EVERY,
    Blocks,
    SweepingCell,
    accumulate_initial_state,
    flush_constant,
    start_states,
    start_tangents,
)
from hessianfree.objective import Array
from reservoir._validation import check_integer, check_real

# In the order in which pre-activations lie side by side: what drives the memory, then the reading.
GATES = ("", "input_gate_", "forget_gate_", "output_gate_")


@dataclass(frozen=True, eq=False)
class LSTMTrajectory:
    """States, memories and slopes of an `LSTMCell` along its sequences."""

    gates: GateMap
    memories: Array  # c_t for t = 0 to T: (n_steps + 1, n_sequences, n_units)
    # What dc_t and dh_t gain from each pre-activation: [∂c/∂g, ∂c/∂i, ∂c/∂f, ∂h/∂o] a row
    slopes: Array
    forget: Array  # f_t = ∂c_t/∂c_{t-1}, (n_steps, n_sequences, n_units)
    reading: Array  # ∂h_t/∂c_t = o_t (1 - tanh² c_t)
    learns_initial_state: bool
    workspace: Workspace

    @property
    def inputs(self) -> Inputs:
        """What came in."""
        return self.gates.inputs

    @property
    def states(self) -> Array:
        """States h_1 to h_T, of shape (n_steps, n_sequences, n_units)."""
        return self.gates.recurrent_rows[1:]

    @property
    def final_state(self) -> Array:
        """[h_T, c_T], of shape (n_sequences, 2 n_units)."""
        xp = self.workspace.xp
        joined: Array = xp.concatenate([self.states[-1], self.memories[-1]], axis=1)
        return joined

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        arrays = (self.gates, self.memories, self.slopes, self.forget, self.reading)
        return sum(array.nbytes for array in arrays) + self.workspace.nbytes


class LSTMCell(SweepingCell):
    """Long short-term memory [1]_ with a forget gate [2]_.

    i_t = σ(W_xi x_t + W_hi h_{t-1} + b_i)      f_t, o_t likewise
    g_t = tanh(W_xg x_t + W_hg h_{t-1} + b_g)
    c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t
    h_t = o_t ⊙ tanh(c_t)

    With peepholes [3]_ the gates see the memory too: w_i ⊙ c_{t-1} is added to the pre-activation
    of i_t, w_f ⊙ c_{t-1} to that of f_t, and w_o ⊙ c_t to that of o_t.

    Parameters
    ----------
    n_inputs : int
        Features of a real-valued x_t, or number of symbols.
    n_units : int
        Width of h_t and of c_t.
    peepholes : bool, default=False
        Whether there are peephole connections.
    forget_bias : float, default=1.0
        Where the functions of `hessianfree.initialization` start b_f. Above 0 the memory lasts
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
    >>> import numpy as np
    >>> cell = LSTMCell(n_inputs=2, n_units=3, learn_initial_state=False)
    >>> params = {name: np.zeros(shape) for name, shape in cell.parameter_shapes.items()}
    >>> params["bias"][:] = 10.0                        # g = 1, all gates half open
    >>> cell.forward(params, np.zeros((3, 1, 2))).memories[:, 0, 0].round(4)
    array([0.   , 0.5  , 0.75 , 0.875])

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
        self.peepholes = peepholes
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
        params: Blocks,
        inputs: NDArray[Any],
        initial_state: Array | None = None,
        *,
        states_only: bool = False,
    ) -> LSTMTrajectory:
        """Run the recurrence; see `Cell.forward`."""
        wrapped = wrap_inputs(inputs, self.n_inputs)
        n, (n_steps, n_sequences) = self.n_units, inputs.shape[:2]
        work = Workspace(params["bias"])
        xp = work.xp
        gates = GateMap("gates", gate_maps(params, GATES), wrapped, n_steps + 1, work)
        memories = xp.empty((n_steps + 1, n_sequences, n), dtype=work.dtype)
        start = xp.empty((1, n_sequences, 2 * n), dtype=work.dtype)
        start_states(start, params, initial_state)
        gates.recurrent_rows[0], memories[0] = start[0, :, :n], start[0, :, n:]
        n_kept = 1 if states_only else n_steps
        slopes = xp.empty((n_kept, n_sequences, 4 * n), dtype=work.dtype)
        forget, reading = xp.empty((2, n_kept, n_sequences, n), dtype=work.dtype)
        step = work.get("step", slopes.shape[1:])
        g, i, f, o = (step[:, k * n : (k + 1) * n] for k in range(4))
        read = xp.empty_like(g)
        for t in range(n_steps):
            before, memory, state = memories[t], memories[t + 1], gates.recurrent_rows[t + 1]
            gates.apply(t, step)
            if self.peepholes:
                i += params["peephole"][0] * before
                f += params["peephole"][1] * before
                xp.tanh(g, out=g)
                logistic_of(xp, step[:, n : 3 * n])
            else:
                step[:, n:] *= 0.5
                xp.tanh(step, out=step)
                step[:, n:] += 1
                step[:, n:] *= 0.5
            xp.multiply(f, before, out=memory)
            xp.multiply(i, g, out=read)
            memory += read
            if self.peepholes:
                o += params["peephole"][2] * memory
                logistic_of(xp, o)
            xp.tanh(memory, out=read)
            xp.multiply(o, read, out=state)
            if not states_only:
                _write_slopes(xp, step, before, read, slopes[t], forget[t], reading[t])
        return LSTMTrajectory(
            gates,
            memories,
            slopes,
            forget,
            reading,
            self.learn_initial_state and initial_state is None,
            work,
        )

    def jvp(
        self,
        params: Blocks,
        trajectory: LSTMTrajectory,
        d_params: Blocks,
        d_inputs: Array | None = None,
        d_initial_state: Array | None = None,
    ) -> Array:
        """Return the tangents of the states; see `Cell.jvp`.

        dc_t = f_t ⊙ dc_{t-1} + Σ ∂c/∂(g, i, f) ⊙ da_t,   dh_t = ∂h/∂o ⊙ da_t + ∂h/∂c ⊙ dc_t
        """
        n, work, gates = self.n_units, trajectory.workspace, trajectory.gates
        xp = work.xp
        sweep = work.get("sweep", trajectory.slopes.shape)
        d_states = work.get("d_states", trajectory.forget.shape)
        d_memory = work.get("d_memory", d_states.shape[1:])
        scratch = work.get("memory_scratch", d_states.shape[1:])
        d_initial = work.get("d_initial", (sweep.shape[1], 2 * n))
        start = start_tangents(trajectory, d_params, d_initial_state)
        d_initial[...] = 0 if start is None else start
        gates.tangents(gate_maps(d_params, GATES), d_inputs, sweep, work)
        previous = d_initial[:, :n]
        d_memory[...] = d_initial[:, n:]
        peephole = params.get("peephole")
        for t, (d_gates, d_state) in enumerate(zip(sweep, d_states)):
            d_g, d_i, d_f, d_o = (d_gates[:, k * n : (k + 1) * n] for k in range(4))
            gates.add_tangent(t, previous, d_gates)
            if peephole is not None:
                d_peephole, before = d_params["peephole"], trajectory.memories[t]
                for weight, d_weight, d_gate in zip(peephole, d_peephole, (d_i, d_f)):
                    _add_product(xp, d_gate, weight, d_memory, scratch)
                    _add_product(xp, d_gate, d_weight, before, scratch)
            slopes = trajectory.slopes[t]
            d_gates[:, : 3 * n] *= slopes[:, : 3 * n]
            d_memory *= trajectory.forget[t]
            d_memory += d_g
            d_memory += d_i
            d_memory += d_f
            if peephole is not None:
                _add_product(xp, d_o, peephole[2], d_memory, scratch)
                _add_product(xp, d_o, d_peephole[2], trajectory.memories[t + 1], scratch)
            xp.multiply(d_o, slopes[:, 3 * n :], out=d_state)
            _add_product(xp, d_state, trajectory.reading[t], d_memory, scratch)
            previous = d_state
        return d_states

    def _backward(
        self,
        params: Blocks,
        trajectory: LSTMTrajectory,
        states_bar: Array,
        preactivations_bar: Array | None,
    ) -> dict[str, Array]:
        """Return the cotangents of the pre-activations.

        ō_t = ∂h/∂o ⊙ h̄_t,  c̄_t = f_{t+1} ⊙ c̄_{t+1} + ∂h/∂c ⊙ h̄_t,  ā_t = ∂c/∂a ⊙ c̄_t
        """
        n, work, gates = self.n_units, trajectory.workspace, trajectory.gates
        xp = work.xp
        n_steps, n_sequences = trajectory.slopes.shape[:2]
        first = n_steps - len(states_bar)
        sweep = work.get("sweep", trajectory.slopes.shape)
        initial_bar = work.get("initial_bar", (1, n_sequences, 2 * n))
        state_bar, memory_bar = initial_bar[0, :, :n], initial_bar[0, :, n:]
        scratch = work.get("memory_scratch", state_bar.shape)
        tiny = flush_constant(sweep.dtype)
        initial_bar[...] = 0
        peephole = params.get("peephole")
        for t in reversed(range(n_steps)):
            if t >= first:
                state_bar += states_bar[t - first]
            gates_bar, slopes = sweep[t], trajectory.slopes[t]
            xp.multiply(state_bar, slopes[:, 3 * n :], out=gates_bar[:, 3 * n :])
            _add_product(xp, memory_bar, trajectory.reading[t], state_bar, scratch)
            if peephole is not None:
                _add_product(xp, memory_bar, peephole[2], gates_bar[:, 3 * n :], scratch)
            xp.multiply(
                slopes.reshape(n_sequences, 4, n)[:, :3],
                memory_bar[:, None],
                out=gates_bar.reshape(n_sequences, 4, n)[:, :3],
            )
            memory_bar *= trajectory.forget[t]
            if peephole is not None:
                _add_product(xp, memory_bar, peephole[0], gates_bar[:, n : 2 * n], scratch)
                _add_product(xp, memory_bar, peephole[1], gates_bar[:, 2 * n : 3 * n], scratch)
            if t % FLUSH_EVERY == 0:
                for array in (gates_bar, memory_bar):
                    array += tiny
                    array -= tiny
            xp.matmul(gates_bar, gates.weights, out=state_bar)
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
        self, params: Blocks, trajectory: LSTMTrajectory, parts: dict[str, Array]
    ) -> Array:
        """Return W_xᵀ ā_t."""
        return trajectory.gates.inputs_bar(parts["gates_bar"], trajectory.workspace)


def _write_slopes(
    xp: Any,
    gates: Array,
    before: Array,
    read: Array,
    slopes: Array,
    forget: Array,
    reading: Array,
) -> None:
    """Write what tangents of pre-activations and memories are multiplied by.

    `gates` holds g, i, f and o, `before` is c_{t-1} and `read` tanh(c_t).
    """
    n = before.shape[1]
    g, i, f, o = (gates[:, k * n : (k + 1) * n] for k in range(4))
    forget[...] = f
    xp.multiply(read, read, out=reading)
    xp.subtract(1, reading, out=reading)
    reading *= o
    # g' i, σ'(i) g, σ'(f) c and σ'(o) tanh(c); φ' is 1 - g² and σ' is σ (1 - σ).
    xp.multiply(g, g, out=slopes[:, :n])
    xp.subtract(1, slopes[:, :n], out=slopes[:, :n])
    slopes[:, :n] *= i
    xp.subtract(1, gates[:, n:], out=slopes[:, n:])
    slopes[:, n:] *= gates[:, n:]
    slopes[:, n : 2 * n] *= g
    slopes[:, 2 * n : 3 * n] *= before
    slopes[:, 3 * n :] *= read


def _add_product(xp: Any, total: Array, a: Array, b: Array, scratch: Array) -> None:
    """Add a ⊙ b to `total`."""
    xp.multiply(a, b, out=scratch)
    total += scratch
