"""What the forward pass of each cell keeps for the sweeps: states, slopes, gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hessianfree.cells._gates import GateMap
from hessianfree.cells._inputs import Inputs
from hessianfree.cells._workspace import Workspace
from reservoir.utils.types import Array


@dataclass(frozen=True, eq=False)
class ElmanTrajectory:
    """States and slopes of an `ElmanCell` along its sequences."""

    inputs: Inputs
    rows: Array  # [h_t, x_{t+1}, 1] for t = 0 to T: (n_steps + 1, n_sequences, n_units + ...)
    slopes: Array  # φ'(z_t), (n_steps, n_sequences, n_units)
    recurrent_transposed: Array  # contiguous: one copy makes every step of a sweep faster
    learns_initial_state: bool
    workspace: Workspace

    @property
    def states(self) -> Array:
        """States h_1 to h_T, of shape (n_steps, n_sequences, n_units)."""
        return self.rows[1:, :, : self.slopes.shape[2]]

    @property
    def final_state(self) -> Array:
        """The last state h_T, of shape (n_sequences, n_units)."""
        state: Array = self.states[-1]
        return state

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        arrays = (self.rows, self.slopes, self.recurrent_transposed)
        return sum(array.nbytes for array in arrays) + self.workspace.nbytes


@dataclass(frozen=True, eq=False)
class MultiplicativeTrajectory:
    """States, slopes and factors of a `MultiplicativeCell` along its sequences."""

    inputs: Inputs
    all_states: Array  # (n_steps + 1, n_sequences, n_units), the initial state first
    slopes: Array  # φ'(z_t), (n_steps, n_sequences, n_units)
    projections: Array  # a_t = W_fh h_{t-1}, (n_steps, n_sequences, n_factors)
    gains: Array  # g_t, (n_steps, n_sequences, n_factors)
    gain_slopes: Array | None  # ∂g_t / ∂(W_fx x_t); None where it is 1
    factor_rows: Array  # [f_t, x_t, 1], f_t = g_t ⊙ a_t: (n_steps, n_sequences, n_factors + ...)
    to_factor_transposed: Array  # contiguous: one copy makes every step of a sweep faster
    to_state_transposed: Array
    learns_initial_state: bool
    workspace: Workspace

    @property
    def states(self) -> Array:
        """States h_1 to h_T, of shape (n_steps, n_sequences, n_units)."""
        return self.all_states[1:]

    @property
    def final_state(self) -> Array:
        """The last state h_T, of shape (n_sequences, n_units)."""
        state: Array = self.states[-1]
        return state

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        arrays = [
            self.all_states,
            self.slopes,
            self.projections,
            self.gains,
            self.factor_rows,
            self.to_factor_transposed,
            self.to_state_transposed,
        ]
        if self.gain_slopes is not None:
            arrays.append(self.gain_slopes)
        return sum(array.nbytes for array in arrays) + self.workspace.nbytes


@dataclass(frozen=True, eq=False)
class TensorTrajectory:
    """States and slopes of a `TensorCell` along its sequences."""

    inputs: Inputs
    steps: list[Inputs]  # the inputs of each step
    all_states: Array  # (n_steps + 1, n_sequences, n_units), the initial state first
    slopes: Array  # φ'(z_t), (n_steps, n_sequences, n_units)
    learns_initial_state: bool
    workspace: Workspace

    @property
    def states(self) -> Array:
        """States h_1 to h_T, of shape (n_steps, n_sequences, n_units)."""
        return self.all_states[1:]

    @property
    def final_state(self) -> Array:
        """The last state h_T, of shape (n_sequences, n_units)."""
        state: Array = self.states[-1]
        return state

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        return self.all_states.nbytes + self.slopes.nbytes + self.workspace.nbytes


@dataclass(frozen=True, eq=False)
class LSTMTrajectory:
    """States, memories and slopes of an `LSTMCell` along its sequences."""

    gates: GateMap
    memories: Array  # c_t for t = 0 to T: (n_steps + 1, n_sequences, n_units)
    # What dc_t and dh_t gain from each pre-activation: ∂c/∂g, ∂c/∂i, ∂c/∂f and ∂h/∂o, apart:
    # (n_steps, 4, n_sequences, n_units)
    slopes: Array
    forget: Array  # f_t = ∂c_t/∂c_{t-1}, (n_steps, n_sequences, n_units)
    reading: Array  # ∂h_t/∂c_t = o_t (1 - tanh² c_t)
    learns_initial_state: bool
    workspace: Workspace

    @property
    def inputs(self) -> Inputs:
        """The inputs of all steps."""
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
        """Memory of all arrays, in bytes."""
        arrays = (self.gates, self.memories, self.slopes, self.forget, self.reading)
        return sum(array.nbytes for array in arrays) + self.workspace.nbytes


@dataclass(frozen=True, eq=False)
class UpdateTrajectory:
    """States and slopes of an `UpdateCell` along its sequences."""

    inputs: Inputs
    gates: dict[str, GateMap]  # onto the pre-activations of z_t and r_t, by what they see
    candidate: GateMap  # from r_t ⊙ h_{t-1} onto the pre-activation of h̃_t
    # ∂h_t/∂a and ∂(r_t ⊙ h_{t-1})/∂a' with a, a' the pre-activations of z_t and r_t, apart:
    # (n_steps, 2, n_sequences, n_units)
    gate_slopes: Array
    # ∂h_t/∂h_{t-1} and ∂(r_t ⊙ h_{t-1})/∂h_{t-1} with z_t, r_t and h̃_t constant, of the same shape
    kept: Array
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
        """Memory of all arrays, in bytes."""
        arrays: list[Any] = [*self.gates.values(), self.candidate, self.gate_slopes, self.kept]
        arrays += [self.slopes, self.tanh_slopes, self.drive]
        return int(sum(a.nbytes for a in arrays if a is not None) + self.workspace.nbytes)
