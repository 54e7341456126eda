"""What enters a cell: real numbers or symbols, and the two products a cell needs with each."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hessianfree.objective import Array


class Inputs(Protocol):
    """Inputs x of shape (n_steps, n_sequences), seen as rows that weights multiply."""

    def project(self, weights: Array, out: Array, bias: Array | None = None) -> None:
        """Write W x + b to `out` of shape (n_steps, n_sequences, n_rows of W)."""
        ...

    def accumulate(self, rows_bar: Array, weights_bar: Array, bias_bar: Array | None) -> None:
        """Write Σ rows_bar xᵀ to `weights_bar` and Σ rows_bar to `bias_bar`."""
        ...

    def mix(self, tensor: Array, rows: Array, out: Array) -> None:
        """Write Σ_k x_k W_k r of each row r, with one matrix W_k per input, to `out`."""
        ...

    def accumulate_outer(self, rows_bar: Array, rows: Array, tensor_bar: Array) -> None:
        """Write Σ x_k r̄ rᵀ over all rows, for each k, to `tensor_bar`."""
        ...

    def sequence(self, index: int) -> Inputs:
        """Return the inputs of one sequence, as a batch of one."""
        ...


class RealInputs:
    """Real-valued inputs of shape (n_steps, n_sequences, n_inputs)."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def project(self, weights: Array, out: Array, bias: Array | None = None) -> None:
        """Write W x + b to `out`."""
        np.matmul(self.values, weights.T, out=out)
        if bias is not None:
            out += bias

    def accumulate(self, rows_bar: Array, weights_bar: Array, bias_bar: Array | None) -> None:
        """Write Σ rows_bar xᵀ and Σ rows_bar."""
        rows = rows_bar.reshape(-1, rows_bar.shape[-1])
        np.matmul(rows.T, self.values.reshape(len(rows), -1), out=weights_bar)
        if bias_bar is not None:
            np.sum(rows, axis=0, out=bias_bar)

    def mix(self, tensor: Array, rows: Array, out: Array) -> None:
        """Write Σ_k x_k W_k r of each row r to `out`."""
        columns = self.values.reshape(len(rows), -1)
        out[...] = 0
        for k, matrix in enumerate(tensor):
            out += columns[:, k : k + 1] * (rows @ matrix.T)

    def accumulate_outer(self, rows_bar: Array, rows: Array, tensor_bar: Array) -> None:
        """Write Σ x_k r̄ rᵀ over all rows, for each k."""
        columns = self.values.reshape(len(rows), -1)
        for k, matrix_bar in enumerate(tensor_bar):
            np.matmul((columns[:, k : k + 1] * rows_bar).T, rows, out=matrix_bar)

    def sequence(self, index: int) -> RealInputs:
        """Return the inputs of one sequence, as a batch of one."""
        return RealInputs(self.values[:, index : index + 1])


class SymbolInputs:
    """Integer symbols of shape (n_steps, n_sequences): one-hot inputs without the zeros."""

    def __init__(self, symbols: NDArray[np.intp]) -> None:
        self.symbols = symbols
        flat = symbols.ravel()
        # Rows sorted by symbol, once: a scatter-add is then a sum over runs of rows.
        self._order = np.argsort(flat, kind="stable")
        self._present, self._starts = np.unique(flat[self._order], return_index=True)

    def project(self, weights: Array, out: Array, bias: Array | None = None) -> None:
        """Write the columns of W that the symbols choose, plus b, to `out`."""
        table = weights.T.copy() if bias is None else weights.T + bias
        np.take(table, self.symbols, axis=0, out=out, mode="clip")

    def accumulate(self, rows_bar: Array, weights_bar: Array, bias_bar: Array | None) -> None:
        """Write the sums of `rows_bar` over the steps of each symbol, and over all steps."""
        rows = rows_bar.reshape(-1, rows_bar.shape[-1])
        sums = np.add.reduceat(rows[self._order], self._starts, axis=0)
        weights_bar[...] = 0
        weights_bar[:, self._present] = sums.T
        if bias_bar is not None:
            np.sum(sums, axis=0, out=bias_bar)

    def mix(self, tensor: Array, rows: Array, out: Array) -> None:
        """Write W_k r of each row r and its symbol k to `out`."""
        for k, chosen in zip(self._present, np.split(self._order, self._starts[1:])):
            out[chosen] = rows[chosen] @ tensor[k].T

    def accumulate_outer(self, rows_bar: Array, rows: Array, tensor_bar: Array) -> None:
        """Write Σ r̄ rᵀ over the rows of each symbol."""
        tensor_bar[...] = 0
        for k, chosen in zip(self._present, np.split(self._order, self._starts[1:])):
            np.matmul(rows_bar[chosen].T, rows[chosen], out=tensor_bar[k])

    def sequence(self, index: int) -> SymbolInputs:
        """Return the symbols of one sequence, as a batch of one."""
        return SymbolInputs(self.symbols[:, index : index + 1])


def wrap_inputs(inputs: NDArray[Any], n_inputs: int) -> Inputs:
    """Return `inputs` as what a cell with `n_inputs` inputs works on; raise if they do not fit."""
    if inputs.ndim == 3:
        if inputs.shape[2] != n_inputs:
            raise ValueError(
                f"`inputs` has {inputs.shape[2]} features, but the cell has {n_inputs} inputs. "
                "Pass an array of shape (n_steps, n_sequences, n_inputs)."
            )
        return RealInputs(inputs)
    if inputs.size and not (inputs.min() >= 0 and inputs.max() < n_inputs):
        raise ValueError(
            f"`inputs` has symbols from {inputs.min()} to {inputs.max()}, but 0 to {n_inputs - 1} "
            "were expected. Number the symbols from 0."
        )
    return SymbolInputs(inputs)
