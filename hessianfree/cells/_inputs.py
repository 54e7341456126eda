"""Inputs of a cell, real numbers or symbols, and the products with their weights.

Both kinds serve an affine map z_t = W s_t + W_x x_t + b of a recurrent part s_t and the input x_t.
Real-valued inputs become further columns of the rows that hold s_t, and the weights are joined to
one matrix [W, W_x, b], so that inputs and bias cost no pass over memory of their own. Symbols stay
out of the rows: what they add is a row of the table W_xᵀ + b.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hessianfree.cells._compiled import sum_outer_products
from hessianfree.cells._workspace import Workspace
from reservoir.utils.device import is_on_device, module_of, to_host
from reservoir.utils.types import Array

# W, W_x and b of one map, or their cotangents.
Maps = Sequence[tuple[Array, Array, Array]]


class Inputs(Protocol):
    """Inputs x_t of all steps and sequences."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_steps, n_sequences), and n_inputs for real-valued inputs."""
        ...

    @property
    def real_values(self) -> Array | None:
        """The inputs of all steps, where they are real-valued."""
        ...

    def n_columns(self, width: int) -> int:
        """Return how many columns rows [s_t, x_t, 1] have after the `width` ones of s_t."""
        ...

    def write_columns(self, t: int, columns: Array) -> None:
        """Write x_t, 1 and padding of step t to `columns` of shape (n_sequences, n_columns)."""
        ...

    def write_all_columns(self, columns: Array) -> None:
        """Write x_t, 1 and padding to `columns` of shape (n_steps, n_sequences, n_columns)."""
        ...

    def choices(self, table: Array | None, work: Workspace) -> tuple[Array, NDArray[np.intp]]:
        """Return the table and the symbols of all steps; of no rows for real-valued inputs."""
        ...

    def join(self, maps: Maps, work: Workspace, name: str = "joined") -> tuple[Array, Array | None]:
        """Return the matrix that multiplies the rows, and the table of what symbols add."""
        ...

    def add(self, table: Array | None, t: int, step: Array, scratch: Array) -> None:
        """Add to `step` what the symbols of step t choose from `table`."""
        ...

    def accumulate_joined(
        self, rows_bar: Array, rows: Array, maps_bar: Maps, work: Workspace, name: str = "joined"
    ) -> None:
        """Write the cotangents of each W, W_x and b, given those of z_t and the rows."""
        ...

    def project(self, weights: Array, out: Array, bias: Array | None = None) -> None:
        """Write W_x x_t + b of all steps to `out` of shape (n_steps, n_sequences, -1)."""
        ...

    def table(self, weights: Array) -> Array:
        """Return W_xᵀ, laid out for `project_step`."""
        ...

    def project_step(self, table: Array, t: int, out: Array) -> None:
        """Write W_x x_t of one step to `out` of shape (n_sequences, -1)."""
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
        self._xp = module_of(values)
        self._columns: dict[int, Array] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_steps, n_sequences, n_inputs)."""
        return self.values.shape

    @property
    def real_values(self) -> Array:
        """The inputs of all steps."""
        return self.values

    def n_columns(self, width: int) -> int:
        """Return the number of inputs, one for the bias, and padding to a multiple of 4.

        A row length that is no multiple of 4 costs BLAS 3 to 12 % on the products of all rows.
        """
        n_columns = self.values.shape[2] + 1
        return int(n_columns + -(width + n_columns) % 4)

    def write_columns(self, t: int, columns: Array) -> None:
        """Write x_t, 1 and zeros."""
        n_columns = columns.shape[1]
        if n_columns not in self._columns:
            # Of all steps, so that one copy does for each.
            shape = (*self.values.shape[:2], n_columns)
            self._columns[n_columns] = self._xp.empty(shape, dtype=columns.dtype)
            self.write_all_columns(self._columns[n_columns])
        columns[...] = self._columns[n_columns][t]

    def write_all_columns(self, columns: Array) -> None:
        """Write x_t, 1 and zeros of all steps."""
        n_inputs = self.values.shape[2]
        columns[..., :n_inputs] = self.values
        columns[..., n_inputs] = 1
        columns[..., n_inputs + 1 :] = 0

    def choices(self, table: Array | None, work: Workspace) -> tuple[Array, NDArray[np.intp]]:
        """Return a table and symbols of no rows."""
        return np.empty((0, 0), dtype=work.dtype), np.empty((0, 0), dtype=np.intp)

    def join(self, maps: Maps, work: Workspace, name: str = "joined") -> tuple[Array, Array | None]:
        """Return [W, W_x, b, 0], and no table."""
        n_rows, width = maps[0][0].shape
        joined = work.get(name, (len(maps) * n_rows, width + self.n_columns(width)))
        bias_at = width + self.values.shape[2]
        for part, (weights, input_weights, bias) in zip(self._xp.split(joined, len(maps)), maps):
            part[:, :width] = weights
            part[:, width:bias_at] = input_weights
            part[:, bias_at] = bias
            part[:, bias_at + 1 :] = 0
        return joined, None

    def add(self, table: Array | None, t: int, step: Array, scratch: Array) -> None:
        """Add nothing: the rows hold the inputs."""

    def accumulate_joined(
        self, rows_bar: Array, rows: Array, maps_bar: Maps, work: Workspace, name: str = "joined"
    ) -> None:
        """Write the parts of the cotangent of [W, W_x, b]."""
        width = maps_bar[0][0].shape[1]
        joined_bar = work.get(name, (rows_bar.shape[2], rows.shape[2]))
        sum_outer_products(flatten_rows(rows_bar), flatten_rows(rows), joined_bar, work)
        bias_at = width + self.values.shape[2]
        parts = self._xp.split(joined_bar, len(maps_bar))
        for part, (weights_bar, input_bar, bias_bar) in zip(parts, maps_bar):
            weights_bar[...] = part[:, :width]
            input_bar[...] = part[:, width:bias_at]
            bias_bar[...] = part[:, bias_at]

    def project(self, weights: Array, out: Array, bias: Array | None = None) -> None:
        """Write W_x x_t + b of all steps."""
        self._xp.matmul(self.values, weights.T, out=out)
        if bias is not None:
            out += bias

    def table(self, weights: Array) -> Array:
        """Return W_xᵀ, contiguous."""
        table: Array = self._xp.ascontiguousarray(weights.T)
        return table

    def project_step(self, table: Array, t: int, out: Array) -> None:
        """Write W_x x_t of one step."""
        self._xp.matmul(self.values[t], table, out=out)

    def accumulate(self, rows_bar: Array, weights_bar: Array, bias_bar: Array | None) -> None:
        """Write Σ rows_bar xᵀ and Σ rows_bar."""
        rows = flatten_rows(rows_bar)
        self._xp.matmul(rows.T, flatten_rows(self.values), out=weights_bar)
        if bias_bar is not None:
            self._xp.sum(rows, axis=0, out=bias_bar)

    def mix(self, tensor: Array, rows: Array, out: Array) -> None:
        """Write Σ_k x_k W_k r of each row r to `out`."""
        columns = flatten_rows(self.values)
        out[...] = 0
        for k, matrix in enumerate(tensor):
            out += columns[:, k : k + 1] * (rows @ matrix.T)

    def accumulate_outer(self, rows_bar: Array, rows: Array, tensor_bar: Array) -> None:
        """Write Σ x_k r̄ rᵀ over all rows, for each k."""
        columns = flatten_rows(self.values)
        for k, matrix_bar in enumerate(tensor_bar):
            self._xp.matmul((columns[:, k : k + 1] * rows_bar).T, rows, out=matrix_bar)

    def sequence(self, index: int) -> RealInputs:
        """Return the inputs of one sequence, as a batch of one."""
        return RealInputs(self.values[:, index : index + 1])


class SymbolInputs:
    """Integer symbols of shape (n_steps, n_sequences): one-hot inputs without the zeros."""

    def __init__(self, symbols: NDArray[np.intp], n_symbols: int) -> None:
        self.symbols = symbols
        self.n_symbols = n_symbols
        self._xp = module_of(symbols)
        self._one_hot: Any = None
        self._chosen: list[tuple[int, NDArray[np.intp]]] | None = None
        # The symbols were checked; mode "clip" is there because "raise" would buffer the result.
        # CuPy has no modes.
        self._take = partial(np.take, mode="clip") if self._xp is np else self._xp.take

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_steps, n_sequences)."""
        return self.symbols.shape

    @property
    def real_values(self) -> None:
        """Nothing."""
        return None

    def n_columns(self, width: int) -> int:
        """Return 0."""
        return 0

    def write_columns(self, t: int, columns: Array) -> None:
        """Write nothing: there are no columns."""

    def write_all_columns(self, columns: Array) -> None:
        """Write nothing: there are no columns."""

    def choices(self, table: Array | None, work: Workspace) -> tuple[Array, NDArray[np.intp]]:
        """Return the table and the symbols."""
        assert table is not None
        return table, np.require(self.symbols, dtype=np.intp, requirements=["C", "W"])

    def join(self, maps: Maps, work: Workspace, name: str = "joined") -> tuple[Array, Array | None]:
        """Return [W], of one map as it is, and the table W_xᵀ + b."""
        n_rows, width = maps[0][0].shape
        table = work.get(f"{name}_table", (self.n_symbols, len(maps) * n_rows))
        for i, (_, input_weights, bias) in enumerate(maps):
            self._xp.add(input_weights.T, bias, out=table[:, i * n_rows : (i + 1) * n_rows])
        if len(maps) == 1:
            return maps[0][0], table
        joined = work.get(name, (len(maps) * n_rows, width))
        for part, (weights, _, _) in zip(self._xp.split(joined, len(maps)), maps):
            part[...] = weights
        return joined, table

    def add(self, table: Array | None, t: int, step: Array, scratch: Array) -> None:
        """Add the rows of the table that the symbols of step t choose."""
        if table is not None:
            self._take(table, self.symbols[t], axis=0, out=scratch)
            step += scratch

    def accumulate_joined(
        self, rows_bar: Array, rows: Array, maps_bar: Maps, work: Workspace, name: str = "joined"
    ) -> None:
        """Write the cotangent of each W, and scatter those of W_x and b."""
        flat_bar, flat = flatten_rows(rows_bar), flatten_rows(rows)
        sums = self._sums(rows_bar)
        if len(maps_bar) == 1:
            weights_bar, input_bar, bias_bar = maps_bar[0]
            sum_outer_products(flat_bar, flat, weights_bar, work)
            input_bar[...] = sums.T
            self._xp.sum(sums, axis=0, out=bias_bar)
            return
        joined_bar = work.get(name, (flat_bar.shape[1], flat.shape[1]))
        sum_outer_products(flat_bar, flat, joined_bar, work)
        n_maps = len(maps_bar)
        parts = zip(self._xp.split(joined_bar, n_maps), self._xp.split(sums, n_maps, axis=1))
        for (part, part_sums), (weights_bar, input_bar, bias_bar) in zip(parts, maps_bar):
            weights_bar[...] = part
            input_bar[...] = part_sums.T
            self._xp.sum(part_sums, axis=0, out=bias_bar)

    def project(self, weights: Array, out: Array, bias: Array | None = None) -> None:
        """Write the columns of W_x that the symbols choose, plus b."""
        table = self.table(weights)
        if bias is not None:
            table = table + bias
        self._take(table, self.symbols, axis=0, out=out)

    def table(self, weights: Array) -> Array:
        """Return W_xᵀ, contiguous."""
        table: Array = self._xp.ascontiguousarray(weights.T)
        return table

    def project_step(self, table: Array, t: int, out: Array) -> None:
        """Write the rows of the table that the symbols of step t choose."""
        self._take(table, self.symbols[t], axis=0, out=out)

    def accumulate(self, rows_bar: Array, weights_bar: Array, bias_bar: Array | None) -> None:
        """Write the sums of `rows_bar` over the steps of each symbol, and over all steps."""
        sums = self._sums(rows_bar)
        weights_bar[...] = sums.T
        if bias_bar is not None:
            self._xp.sum(sums, axis=0, out=bias_bar)

    def mix(self, tensor: Array, rows: Array, out: Array) -> None:
        """Write W_k r of each row r and its symbol k to `out`."""
        for k, chosen in self._runs():
            out[chosen] = rows[chosen] @ tensor[k].T

    def accumulate_outer(self, rows_bar: Array, rows: Array, tensor_bar: Array) -> None:
        """Write Σ r̄ rᵀ over the rows of each symbol."""
        tensor_bar[...] = 0
        for k, chosen in self._runs():
            self._xp.matmul(rows_bar[chosen].T, rows[chosen], out=tensor_bar[k])

    def sequence(self, index: int) -> SymbolInputs:
        """Return the symbols of one sequence, as a batch of one."""
        return SymbolInputs(self.symbols[:, index : index + 1], self.n_symbols)

    def _sums(self, rows_bar: Array) -> Array:
        """Return the sums of `rows_bar` over the steps of each symbol."""
        if self._one_hot is None or self._one_hot.dtype != rows_bar.dtype:
            self._one_hot = self._make_one_hot(rows_bar.dtype)
        sums: Array = self._one_hot @ flatten_rows(rows_bar)
        return sums

    def _make_one_hot(self, dtype: np.dtype[Any]) -> Any:
        """Return the one-hot matrix (n_symbols, n_rows), by which a scatter-add is a product."""
        if self._xp is not np:
            # Dense: of some hundred symbols it costs little beside the other products, and its
            # sums come in one order, unlike those of atomic additions or of a sparse product there.
            return (self._xp.arange(self.n_symbols)[:, None] == self.symbols.ravel()).astype(dtype)
        order, bounds = self._sorted()
        ones = np.ones(self.symbols.size, dtype=dtype)
        return csr_array((ones, order, bounds), shape=(self.n_symbols, self.symbols.size))

    def _sorted(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows sorted by symbol, and where each symbol begins; on the host."""
        flat = to_host(self.symbols).ravel()
        order = np.argsort(flat, kind="stable")
        return order, np.searchsorted(flat[order], np.arange(self.n_symbols + 1))

    def _runs(self) -> list[tuple[int, NDArray[np.intp]]]:
        """Return each symbol that occurs, with its rows."""
        if self._chosen is None:
            order, bounds = self._sorted()
            self._chosen = [
                (k, self._xp.asarray(order[bounds[k] : bounds[k + 1]]))
                for k in np.flatnonzero(np.diff(bounds)).tolist()
            ]
        return self._chosen


def flatten_rows(array: Array) -> Array:
    """Return (n_steps, n_sequences, n) as (n_steps · n_sequences, n), without a copy."""
    return array.reshape(array.shape[0] * array.shape[1], array.shape[2])


def wrap_inputs(inputs: NDArray[Any], n_inputs: int) -> Inputs:
    """Return `inputs` as what a cell with `n_inputs` inputs works on; raise if they do not fit."""
    check_inputs(inputs, n_inputs)
    return RealInputs(inputs) if inputs.ndim == 3 else SymbolInputs(inputs, n_inputs)


def check_inputs(inputs: NDArray[Any], n_inputs: int) -> None:
    """Raise unless a cell with `n_inputs` inputs can work on `inputs`.

    Symbols on a GPU are taken for granted, since a look at them would wait for the device: whoever
    moves them there checks them before.
    """
    if inputs.ndim == 3:
        if inputs.shape[2] != n_inputs:
            raise ValueError(
                f"`inputs` has {inputs.shape[2]} features, but the cell has {n_inputs} inputs. "
                "Pass an array of shape (n_steps, n_sequences, n_inputs)."
            )
    elif is_on_device(inputs):
        return
    elif inputs.size and not (inputs.min() >= 0 and inputs.max() < n_inputs):
        raise ValueError(
            f"`inputs` has symbols from {inputs.min()} to {inputs.max()}, but 0 to {n_inputs - 1} "
            "were expected. Number the symbols from 0."
        )
