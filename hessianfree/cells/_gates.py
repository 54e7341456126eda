"""Affine maps of several gates in one matrix product, and where gates lie in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hessianfree.cells._inputs import Inputs, Maps, flatten_rows
from hessianfree.cells._workspace import Workspace
from reservoir.utils.types import Array


def gate_maps(blocks: Mapping[str, Array], gates: Iterable[str]) -> Maps:
    """Return W, W_x and b of each gate; a gate is the beginning of the names of its blocks."""
    return [(blocks[f"{g}recurrent"], blocks[f"{g}input"], blocks[f"{g}bias"]) for g in gates]


class GateMap:
    """The map a_t = W s_t + W_x x_t + b onto the pre-activations of several gates.

    W, W_x and b hold the gates one below the other. The rows [s_t, x_t, 1] belong to the map: who
    uses it writes s_t to `recurrent_rows`.
    """

    def __init__(self, name: str, maps: Maps, inputs: Inputs, n_rows: int, work: Workspace) -> None:
        self.name = name
        self.inputs = inputs
        self.width = maps[0][0].shape[1]
        n_sequences = inputs.shape[1]
        self._xp = work.xp
        self.rows: Array = work.xp.empty(
            (n_rows, n_sequences, self.width + inputs.n_columns(self.width)), dtype=work.dtype
        )
        # Inputs are written step by step; a row beyond the last step has none.
        self.rows[-1, :, self.width :] = 0
        joined, self.table = inputs.join(maps, work, name)
        # Two contiguous copies make every step of a sweep faster.
        self.transposed = joined.T.copy()
        self.weights = joined[:, : self.width].copy()
        self._scratch = work.xp.empty((n_sequences, len(joined)), dtype=work.dtype)

    @property
    def recurrent_rows(self) -> Array:
        """The part s_t of the rows, of shape (n_rows, n_sequences, width)."""
        return self.rows[..., : self.width]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        return self.rows.nbytes + self.transposed.nbytes + self.weights.nbytes

    def apply(self, t: int, out: Array) -> None:
        """Write a_t; with fewer rows than steps they are used in turn."""
        row = self.rows[t % len(self.rows)]
        self.inputs.write_columns(t, row[:, self.width :])
        self._xp.matmul(row, self.transposed, out=out)
        self.inputs.add(self.table, t, out, self._scratch)

    def tangents(self, d_maps: Maps, d_inputs: Array | None, out: Array, work: Workspace) -> None:
        """Write what dW, dW_x, db and dx_t add to all da_t, for symbols what dW adds.

        `recurrent_tangent` gives the rest of a step.
        """
        joined, self.d_table = self.inputs.join(d_maps, work, self.name)
        self._xp.matmul(flatten_rows(self.rows[: len(out)]), joined.T, out=flatten_rows(out))
        if d_inputs is not None:
            drive = work.get(f"{self.name}_drive", out.shape)
            input_weights = self.transposed[self.width : self.width + d_inputs.shape[2]]
            self._xp.matmul(d_inputs, input_weights, out=drive)
            out += drive

    def recurrent_tangent(self, t: int, d_recurrent: Array | None, out: Array) -> None:
        """Write W ds_t, and what symbols choose from the tangents of their weights, to `out`."""
        if d_recurrent is None:
            out[...] = 0
        else:
            self._xp.matmul(d_recurrent, self.transposed[: self.width], out=out)
        self.inputs.add(self.d_table, t, out, self._scratch)

    def inputs_bar(self, rows_bar: Array, work: Workspace) -> Array:
        """Return W_xᵀ ā_t of all steps."""
        n_inputs = self.inputs.shape[2]
        inputs_bar = work.get(f"{self.name}_inputs_bar", self.inputs.shape)
        input_weights = self.transposed[self.width : self.width + n_inputs]
        self._xp.matmul(rows_bar, input_weights.T, out=inputs_bar)
        return inputs_bar


def by_gate(step: Array, n_gates: int) -> Array:
    """Return (n_sequences, n_gates · n) as a view of shape (n_gates, n_sequences, n).

    A product writes the gates of a sequence side by side. NumPy works on one gate at a time two to
    three times faster where it lies by itself, so that the first operation on what comes out of a
    product moves it to arrays of that shape.
    """
    return step.reshape(len(step), n_gates, -1).swapaxes(0, 1)
