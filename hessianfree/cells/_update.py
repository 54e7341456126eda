"""Cells that replace their state by degrees: what the GRU and its mutations share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from hessianfree.cells._gates import GateMap, logistic_of
from hessianfree.cells._inputs import Inputs, Maps, RealInputs, wrap_inputs
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
from reservoir._validation import check_integer


@dataclass(frozen=True, eq=False)
class UpdateTrajectory:
    """States and slopes of an `UpdateCell` along its sequences."""

    inputs: Inputs
    gates: dict[str, GateMap]  # onto the pre-activations of z_t and r_t, by what they see
    candidate: GateMap  # from r_t ⊙ h_{t-1} onto the pre-activation of h̃_t
    # [∂h_t/∂a, ∂(r_t ⊙ h_{t-1})/∂a'] with a, a' the pre-activations of z_t and r_t
    gate_slopes: Array
    kept: Array  # [∂h_t/∂h_{t-1}, ∂(r_t ⊙ h_{t-1})/∂h_{t-1}] with z_t, r_t and h̃_t held
    slopes: Array  # ∂h_t/∂(pre-activation of h̃_t), (n_steps, n_sequences, n_units)
    tanh_slopes: Array | None  # 1 - tanh² h_{t-1}, where a gate sees tanh(h_{t-1})
    drive: Array | None  # tanh(x_t), where the candidate takes that
    learns_initial_state: bool
    workspace: Workspace

    @property
    def states(self) -> Array:
        """States h_1 to h_T, of shape (n_steps, n_sequences, n_units)."""
        return self.gates["state"].recurrent_rows[1:]

    @property
    def final_state(self) -> Array:
        """The last state h_T, of shape (n_sequences, n_units)."""
        state: Array = self.states[-1]
        return state

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        arrays: list[Any] = [*self.gates.values(), self.candidate, self.gate_slopes, self.kept]
        arrays += [self.slopes, self.tanh_slopes, self.drive]
        return int(sum(a.nbytes for a in arrays if a is not None) + self.workspace.nbytes)


class UpdateCell(SweepingCell):
    """Layer whose state is a mixture, in shares set by a gate, of the old one and a candidate.

    A subclass says what its gates see. Blocks of a gate begin with its name, those of the
    candidate are `recurrent`, `input` and `bias`.
    """

    # The gates, update before reset, by what they see of the past beside the input.
    _gates: ClassVar[dict[str, tuple[str, ...]]] = {"state": ("update_", "reset_")}
    # Whether z_t is the share of the candidate, or of the old state.
    _z_takes_candidate: ClassVar[bool] = True
    # The gate, or "" for the candidate, that the input enters without weights of its own.
    _direct: ClassVar[str | None] = None

    def __init__(self, n_inputs: int, n_units: int, *, learn_initial_state: bool = True) -> None:
        self.n_inputs = check_integer("n_inputs", n_inputs, minimum=1)
        self.n_units = check_integer("n_units", n_units, minimum=1)
        self.learn_initial_state = learn_initial_state

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each block of parameters."""
        n, blind = self.n_units, self._gates.get("nothing", ())
        shapes: dict[str, tuple[int, ...]] = {}
        for gate in ("update_", "reset_", ""):
            if gate not in blind:
                shapes[f"{gate}recurrent"] = (n, n)
            if gate != self._direct or self.n_inputs != n:
                shapes[f"{gate}input"] = (n, self.n_inputs)
            shapes[f"{gate}bias"] = (n,)
        if self.learn_initial_state:
            shapes["initial_state"] = (n,)
        return shapes

    def _maps(self, blocks: Blocks, gates: tuple[str, ...], direct: Array) -> Maps:
        """Return W, W_x and b of each gate; `direct` where the input has no weights."""
        empty = direct[:, :0]
        return [
            (
                blocks.get(f"{gate}recurrent", empty),
                # tanh(x_t) is added to the candidate, and is no part of its rows.
                empty if gate == self._direct == "" else blocks.get(f"{gate}input", direct),
                blocks[f"{gate}bias"],
            )
            for gate in gates
        ]

    def _columns(self, seen: str) -> slice:
        """Return where gates lie in [z_t, r_t]."""
        gates = self._gates[seen]
        start = 0 if gates[0] == "update_" else self.n_units
        return slice(start, start + len(gates) * self.n_units)

    def _candidate_inputs(self, inputs: Inputs, work: Workspace) -> Inputs:
        """Return what the candidate takes by weights: the inputs, or nothing."""
        if self._direct == "":
            return RealInputs(work.xp.empty((*inputs.shape[:2], 0), dtype=work.dtype))
        return inputs

    def forward(
        self,
        params: Blocks,
        inputs: NDArray[Any],
        initial_state: Array | None = None,
        *,
        states_only: bool = False,
    ) -> UpdateTrajectory:
        """Run the recurrence; see `Cell.forward`."""
        wrapped = wrap_inputs(inputs, self.n_inputs)
        n, (n_steps, n_sequences) = self.n_units, inputs.shape[:2]
        work = Workspace(params["bias"])
        xp = work.xp
        n_kept = 1 if states_only else n_steps
        identity = xp.eye(n, dtype=work.dtype)
        gates = {
            seen: GateMap(
                seen,
                self._maps(params, names, identity),
                wrapped,
                n_steps + 1 if seen == "state" else n_kept,
                work,
            )
            for seen, names in self._gates.items()
        }
        candidate = GateMap(
            "candidate",
            self._maps(params, ("",), identity),
            self._candidate_inputs(wrapped, work),
            n_kept,
            work,
        )
        drive = None
        if self._direct == "":
            drive = xp.empty((n_steps, n_sequences, n), dtype=work.dtype)
            wrapped.project(params.get("input", identity), drive)
            xp.tanh(drive, out=drive)
        states = gates["state"].recurrent_rows
        start_states(states, params, initial_state)
        gate_slopes, kept = xp.empty((2, n_kept, n_sequences, 2 * n), dtype=work.dtype)
        slopes = xp.empty((n_kept, n_sequences, n), dtype=work.dtype)
        tanh_slopes = xp.empty_like(slopes) if "tanh_state" in gates else None
        step = work.get("step", kept.shape[1:])
        new, change = xp.empty((2, n_sequences, n), dtype=work.dtype)
        z, r = step[:, :n], step[:, n:]
        for t in range(n_steps):
            state, k = states[t], t % n_kept
            for seen, gate in gates.items():
                if tanh_slopes is not None and seen == "tanh_state":
                    xp.tanh(state, out=gate.recurrent_rows[k])
                    xp.multiply(gate.recurrent_rows[k], gate.recurrent_rows[k], out=tanh_slopes[k])
                    xp.subtract(1, tanh_slopes[k], out=tanh_slopes[k])
                gate.apply(t, step[:, self._columns(seen)])
            logistic_of(xp, step)
            xp.multiply(r, state, out=candidate.recurrent_rows[k])
            candidate.apply(t, new)
            if drive is not None:
                new += drive[t]
            xp.tanh(new, out=new)
            xp.subtract(new, state, out=change)
            if states_only:
                if not self._z_takes_candidate:
                    xp.subtract(1, z, out=z)
                change *= z
            else:
                self._write_slopes(xp, step, state, new, change, gate_slopes[t], kept[t], slopes[t])
            xp.add(state, change, out=states[t + 1])
        return UpdateTrajectory(
            wrapped,
            gates,
            candidate,
            gate_slopes,
            kept,
            slopes,
            tanh_slopes,
            drive,
            self.learn_initial_state and initial_state is None,
            work,
        )

    def _write_slopes(
        self,
        xp: Any,
        gates: Array,
        state: Array,
        new: Array,
        change: Array,
        gate_slopes: Array,
        kept: Array,
        slopes: Array,
    ) -> None:
        """Write what the sweeps multiply by; `change` goes from h̃ - h to h_t - h_{t-1}."""
        n = self.n_units
        xp.subtract(1, gates, out=gate_slopes)
        share, other = gates[:, :n], gate_slopes[:, :n]
        if not self._z_takes_candidate:
            share, other = other, share
        xp.multiply(new, new, out=slopes)
        xp.subtract(1, slopes, out=slopes)
        slopes *= share
        kept[:, :n] = other
        kept[:, n:] = gates[:, n:]
        xp.multiply(change, share, out=new)
        gate_slopes *= gates
        gate_slopes[:, :n] *= change
        gate_slopes[:, n:] *= state
        if not self._z_takes_candidate:
            xp.negative(gate_slopes[:, :n], out=gate_slopes[:, :n])
        change[...] = new

    def jvp(
        self,
        params: Blocks,
        trajectory: UpdateTrajectory,
        d_params: Blocks,
        d_inputs: Array | None = None,
        d_initial_state: Array | None = None,
    ) -> Array:
        """Return the tangents of the states; see `Cell.jvp`.

        With a, a' and ã the pre-activations of z_t, r_t and h̃_t,

        d(r_t ⊙ h) = r_t ⊙ dh_{t-1} + ∂(r_t ⊙ h)/∂a' ⊙ da'
        dh_t = ∂h_t/∂h_{t-1} ⊙ dh_{t-1} + ∂h_t/∂a ⊙ da + ∂h_t/∂ã ⊙ dã
        """
        n, work, slopes = self.n_units, trajectory.workspace, trajectory.slopes
        xp = work.xp
        candidate = trajectory.candidate
        n_sequences = slopes.shape[1]
        nothing = work.get("nothing", (n, n))
        nothing[...] = 0
        for seen, gate in trajectory.gates.items():
            d_gates = self._sweep(trajectory, seen)
            gate.tangents(self._maps(d_params, self._gates[seen], nothing), d_inputs, d_gates, work)
        sweep = work.get("sweep", slopes.shape)
        d_weighted = None if self._direct == "" else d_inputs
        candidate.tangents(self._maps(d_params, ("",), nothing), d_weighted, sweep, work)
        if trajectory.drive is not None:
            sweep += self._drive_tangents(params, trajectory, d_params, d_inputs)
        both = work.get("both", (n_sequences, 2 * n))
        seen_scratch = work.get("seen", (n_sequences, n))
        previous = work.get("d_initial", (n_sequences, n))
        start = start_tangents(trajectory, d_params, d_initial_state)
        previous[...] = 0 if start is None else start
        for t, d_state in enumerate(sweep):
            xp.multiply(
                trajectory.kept[t].reshape(n_sequences, 2, n),
                previous[:, None],
                out=both.reshape(n_sequences, 2, n),
            )
            for seen, gate in trajectory.gates.items():
                d_seen: Array | None = previous
                if seen == "nothing":
                    d_seen = None
                elif trajectory.tanh_slopes is not None and seen == "tanh_state":
                    d_seen = xp.multiply(trajectory.tanh_slopes[t], previous, out=seen_scratch)
                columns, d_gate = self._columns(seen), self._sweep(trajectory, seen)[t]
                gate.add_tangent(t, d_seen, d_gate)
                d_gate *= trajectory.gate_slopes[t, :, columns]
                both[:, columns] += d_gate
            candidate.add_tangent(t, both[:, n:], d_state)
            d_state *= slopes[t]
            d_state += both[:, :n]
            previous = d_state
        return sweep

    def _sweep(self, trajectory: UpdateTrajectory, seen: str) -> Array:
        """Return the buffer for tangents or cotangents of the gates that see `seen`."""
        shape = (*trajectory.slopes.shape[:2], len(self._gates[seen]) * self.n_units)
        return trajectory.workspace.get(f"{seen}_sweep", shape)

    def _drive_tangents(
        self,
        params: Blocks,
        trajectory: UpdateTrajectory,
        d_params: Blocks,
        d_inputs: Array | None,
    ) -> Array:
        """Return the tangents of tanh(x_t), or of tanh(W_xh x_t)."""
        xp, drive = trajectory.workspace.xp, trajectory.drive
        assert drive is not None
        tangents = trajectory.workspace.get("drive", drive.shape)
        if "input" in d_params:
            trajectory.inputs.project(d_params["input"], tangents)
        else:
            tangents[...] = 0
        if d_inputs is not None:
            weighted = d_inputs
            if "input" in params:
                weighted = trajectory.workspace.get("drive_scratch", drive.shape)
                xp.matmul(d_inputs, params["input"].T, out=weighted)
            tangents += weighted
        slopes = trajectory.workspace.get("drive_slopes", drive.shape)
        xp.multiply(drive, drive, out=slopes)
        xp.subtract(1, slopes, out=slopes)
        tangents *= slopes
        return tangents

    def _backward(
        self,
        params: Blocks,
        trajectory: UpdateTrajectory,
        states_bar: Array,
        preactivations_bar: Array | None,
    ) -> dict[str, Array]:
        """Return the cotangents of all pre-activations."""
        n, work, slopes = self.n_units, trajectory.workspace, trajectory.slopes
        xp = work.xp
        n_steps, n_sequences = slopes.shape[:2]
        first = n_steps - len(states_bar)
        sweep = work.get("sweep", slopes.shape)
        both = work.get("both", (n_sequences, 2 * n))
        state_bar, reset_bar = both[:, :n], both[:, n:]
        seen_scratch = work.get("seen", (n_sequences, n))
        tiny = flush_constant(slopes.dtype)
        both[...] = 0
        for t in reversed(range(n_steps)):
            if t >= first:
                state_bar += states_bar[t - first]
            xp.multiply(state_bar, slopes[t], out=sweep[t])
            if t % FLUSH_EVERY == 0:
                for array in (sweep[t], state_bar):
                    array += tiny
                    array -= tiny
            xp.matmul(sweep[t], trajectory.candidate.weights, out=reset_bar)
            for seen in self._gates:
                columns = self._columns(seen)
                gate_bar = self._sweep(trajectory, seen)[t]
                xp.multiply(both[:, columns], trajectory.gate_slopes[t, :, columns], out=gate_bar)
            both *= trajectory.kept[t]
            state_bar += reset_bar
            for seen, gate in trajectory.gates.items():
                if seen == "nothing":
                    continue
                xp.matmul(self._sweep(trajectory, seen)[t], gate.weights, out=seen_scratch)
                if trajectory.tanh_slopes is not None and seen == "tanh_state":
                    seen_scratch *= trajectory.tanh_slopes[t]
                state_bar += seen_scratch
        initial_bar = work.get("initial_bar", (1, n_sequences, n))
        initial_bar[0] = state_bar
        parts = {"": sweep, "rows": trajectory.candidate.rows, "initial_bar": initial_bar}
        for seen, gate in trajectory.gates.items():
            parts[seen] = self._sweep(trajectory, seen)
            parts[f"{seen}_rows"] = gate.rows[:n_steps]
        if trajectory.drive is not None:
            drive_bar = work.get("drive", slopes.shape)
            xp.multiply(trajectory.drive, trajectory.drive, out=drive_bar)
            xp.subtract(1, drive_bar, out=drive_bar)
            drive_bar *= sweep
            parts["drive"] = drive_bar
        return parts

    def _accumulate(
        self,
        inputs: Inputs,
        parts: dict[str, Array],
        params_bar: dict[str, Array],
        work: Workspace,
    ) -> None:
        """Write the sums of outer products with the rows to `params_bar`."""
        unused = work.get("unused", (self.n_units, self.n_units))
        for seen, names in self._gates.items():
            inputs.accumulate_joined(
                parts[seen],
                parts[f"{seen}_rows"],
                self._maps(params_bar, names, unused),
                work,
                seen,
            )
        self._candidate_inputs(inputs, work).accumulate_joined(
            parts[""], parts["rows"], self._maps(params_bar, ("",), unused), work, "candidate"
        )
        if "drive" in parts and "input" in params_bar:
            inputs.accumulate(parts["drive"], params_bar["input"], None)
        accumulate_initial_state(parts["initial_bar"], params_bar)

    def _inputs_bar(
        self, params: Blocks, trajectory: UpdateTrajectory, parts: dict[str, Array]
    ) -> Array:
        """Return the sum of W_xᵀ ā_t over the gates and the candidate."""
        work = trajectory.workspace
        total: Array
        total, *others = [
            gate.inputs_bar(parts[seen], work) for seen, gate in trajectory.gates.items()
        ]
        if "drive" not in parts:
            others.append(trajectory.candidate.inputs_bar(parts[""], work))
        elif "input" in params:
            direct_bar = work.get("direct_bar", trajectory.inputs.shape)
            others.append(work.xp.matmul(parts["drive"], params["input"], out=direct_bar))
        else:
            others.append(parts["drive"])
        for other in others:
            total += other
        return total
