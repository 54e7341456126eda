"""Cells with an update gate: what the GRU and its mutations share."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import NDArray

from hessianfree.cells import _update_chains as chains
from hessianfree.cells._chains import (
    FLUSH_EVERY,
    activate_and_slope,
    combine_tangents,
    flush,
    flush_constant,
    logistic,
    logistic_and_slope,
    pull_through,
)
from hessianfree.cells._gates import GateMap, by_gate
from hessianfree.cells._inputs import Inputs, Maps, RealInputs, wrap_inputs
from hessianfree.cells._trajectories import UpdateTrajectory
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
from reservoir.utils.validation import check_integer


class UpdateCell(SweepingCell):
    """Layer whose state is a mixture, in shares set by a gate, of the old one and a candidate.

    A subclass defines what its gates see. Blocks of a gate begin with its name, those of the
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

    def _maps(self, blocks: ParameterBlocks, gates: tuple[str, ...], direct: Array) -> Maps:
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

    def _places(self, seen: str) -> slice:
        """Return where gates lie among z_t and r_t."""
        gates = self._gates[seen]
        start = 0 if gates[0] == "update_" else 1
        return slice(start, start + len(gates))

    def _candidate_inputs(self, inputs: Inputs, work: Workspace) -> Inputs:
        """Return what the candidate takes by weights: the inputs, or nothing."""
        if self._direct == "":
            return RealInputs(work.xp.empty((*inputs.shape[:2], 0), dtype=work.dtype))
        return inputs

    def forward(
        self,
        params: ParameterBlocks,
        inputs: NDArray[Any],
        initial_state: Array | None = None,
        *,
        states_only: bool = False,
    ) -> UpdateTrajectory:
        """Run the recurrence; see `Cell.forward`."""
        learns = self.learn_initial_state and initial_state is None
        trajectory = self._new_trajectory(params, inputs, learns, 1 if states_only else len(inputs))
        start_states(trajectory.gates["state"].recurrent_rows, params, initial_state)
        self._recur(trajectory, len(inputs), states_only)
        return trajectory

    def _new_trajectory(
        self, params: ParameterBlocks, inputs: NDArray[Any], learns_initial_state: bool, n_kept: int
    ) -> UpdateTrajectory:
        """Return a trajectory with all that needs no state: the maps, tanh(x_t), empty arrays."""
        wrapped = wrap_inputs(inputs, self.n_inputs)
        n, (n_steps, n_sequences) = self.n_units, inputs.shape[:2]
        work = Workspace(params["bias"])
        xp = work.xp
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
        gate_slopes, kept = xp.empty((2, n_kept, 2, n_sequences, n), dtype=work.dtype)
        slopes = xp.empty((n_kept, n_sequences, n), dtype=work.dtype)
        tanh_slopes = xp.empty_like(slopes) if "tanh_state" in gates else None
        return UpdateTrajectory(
            wrapped,
            gates,
            candidate,
            gate_slopes,
            kept,
            slopes,
            tanh_slopes,
            drive,
            learns_initial_state,
            work,
        )

    def _recur(self, trajectory: UpdateTrajectory, n_steps: int, states_only: bool) -> None:
        """Go from state to state, and keep what the sweeps multiply by unless `states_only`."""
        work, gates, candidate = trajectory.workspace, trajectory.gates, trajectory.candidate
        xp, states = work.xp, gates["state"].recurrent_rows
        gate_slopes, kept, slopes = trajectory.gate_slopes, trajectory.kept, trajectory.slopes
        tanh_slopes, drive = trajectory.tanh_slopes, trajectory.drive
        n_kept, n_sequences, n = slopes.shape
        steps = self._step_buffers(work, n_sequences)
        by_seen = {seen: by_gate(step, len(self._gates[seen])) for seen, step in steps.items()}
        new, share, change = xp.empty((3, n_sequences, n), dtype=work.dtype)
        activate = fused(xp, logistic if states_only else logistic_and_slope)
        chain = chains.step_forward if states_only else chains.step_forward_with_slopes
        step_forward = fused(xp, chain, self._z_takes_candidate)
        squash = fused(xp, activate_and_slope, "tanh")
        for t in range(n_steps):
            state, k = states[t], t % n_kept
            z, r = kept[k]
            for seen, gate in gates.items():
                if tanh_slopes is not None and seen == "tanh_state":
                    squash(state, gate.recurrent_rows[k], tanh_slopes[k])
                gate.apply(t, steps[seen])
                places = self._places(seen)
                written = (
                    (kept[k, places],) if states_only else (kept[k, places], gate_slopes[k, places])
                )
                activate(by_seen[seen], *written)
            xp.multiply(r, state, out=candidate.recurrent_rows[k])
            candidate.apply(t, new)
            driven = None if drive is None else drive[t]
            sweeps = () if states_only else (*gate_slopes[k], slopes[k])
            step_forward(new, driven, z, share, state, change, states[t + 1], *sweeps)

    def _step_buffers(self, work: Workspace, n_sequences: int) -> dict[str, Array]:
        """Return buffers for the pre-activations of a step, or their tangents, by what is seen."""
        return {
            seen: work.get(f"{seen}_step", (n_sequences, len(gates) * self.n_units))
            for seen, gates in self._gates.items()
        }

    def jvp(
        self,
        params: ParameterBlocks,
        trajectory: UpdateTrajectory,
        d_params: ParameterBlocks,
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
        both, d_gates = (work.get(name, (2, n_sequences, n)) for name in ("both", "d_gates"))
        scratch = work.get("scratch", (n_sequences, n))
        steps = self._step_buffers(work, n_sequences)
        previous = work.get("d_initial", (n_sequences, n))
        start = start_tangents(trajectory, d_params, d_initial_state)
        previous[...] = 0 if start is None else start
        combine, scale_tangents, step_tangent = (
            fused(xp, chain)
            for chain in (combine_tangents, chains.scale_tangents, chains.step_tangent)
        )
        for t, d_state in enumerate(sweep):
            for seen, gate in trajectory.gates.items():
                d_seen: Array | None = previous
                if seen == "nothing":
                    d_seen = None
                elif trajectory.tanh_slopes is not None and seen == "tanh_state":
                    d_seen = xp.multiply(trajectory.tanh_slopes[t], previous, out=scratch)
                gate.recurrent_tangent(t, d_seen, steps[seen])
                n_gates, places = len(self._gates[seen]), self._places(seen)
                combine(
                    by_gate(steps[seen], n_gates),
                    by_gate(self._sweep(trajectory, seen)[t], n_gates),
                    trajectory.gate_slopes[t, places],
                    d_gates[places],
                )
            scale_tangents(trajectory.kept[t], previous, d_gates, both)
            candidate.recurrent_tangent(t, both[1], scratch)
            step_tangent(scratch, slopes[t], both[0], d_state)
            previous = d_state
        return sweep

    def _sweep(self, trajectory: UpdateTrajectory, seen: str) -> Array:
        """Return the buffer for tangents or cotangents of the gates that see `seen`."""
        shape = (*trajectory.slopes.shape[:2], len(self._gates[seen]) * self.n_units)
        return trajectory.workspace.get(f"{seen}_sweep", shape)

    def _drive_tangents(
        self,
        params: ParameterBlocks,
        trajectory: UpdateTrajectory,
        d_params: ParameterBlocks,
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

    def release(self, trajectory: UpdateTrajectory) -> None:
        """Let cotangents overwrite slopes in the next and last sweep; see `Cell.release`."""
        super().release(trajectory)
        n_steps, n_gates, n_sequences, n = trajectory.gate_slopes.shape
        if len(self._gates) == 1:
            as_cotangents = trajectory.gate_slopes.reshape(n_steps, n_sequences, n_gates * n)
            trajectory.workspace.lend(state_sweep=as_cotangents)

    def _backward(
        self,
        params: ParameterBlocks,
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
        state_bar, reset_bar = work.get("both", (2, n_sequences, n))
        scratch = work.get("scratch", (n_sequences, n))
        bars = work.get("d_gates", (2, n_sequences, n))
        tiny = flush_constant(slopes.dtype)
        pull, step_backward, flush_small = (
            fused(xp, chain) for chain in (pull_through, chains.step_backward, flush)
        )
        state_bar[...] = 0
        for t in reversed(range(n_steps)):
            outside = states_bar[t - first] if t >= first else None
            pull(outside, state_bar, slopes[t], None, sweep[t])
            if t % FLUSH_EVERY == 0:
                flush_small(sweep[t], tiny)
                flush_small(state_bar, tiny)
            xp.matmul(sweep[t], trajectory.candidate.weights, out=reset_bar)
            slope, kept = trajectory.gate_slopes[t], trajectory.kept[t]
            step_backward(state_bar, reset_bar, *slope, *kept, *bars)
            for seen, gate in trajectory.gates.items():
                gate_bar = self._sweep(trajectory, seen)[t]
                by_gate(gate_bar, len(self._gates[seen]))[...] = bars[self._places(seen)]
                if seen == "nothing":
                    continue
                xp.matmul(gate_bar, gate.weights, out=scratch)
                if trajectory.tanh_slopes is not None and seen == "tanh_state":
                    scratch *= trajectory.tanh_slopes[t]
                state_bar += scratch
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
        self, params: ParameterBlocks, trajectory: UpdateTrajectory, parts: dict[str, Array]
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
