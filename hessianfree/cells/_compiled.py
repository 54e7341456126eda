"""Whether sweeps run compiled, and what the compiled ones are given."""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from hessianfree.cells._chains import flush_constant
from hessianfree.cells._workspace import Workspace
from reservoir.utils.blas import address_of, small_product
from reservoir.utils.types import Array

_PRODUCTS = {"d": "dgemm", "f": "sgemm"}
# Nets with fewer units are done before numba is imported.
FEWEST_UNITS = 16
# From here on a product of all rows at once, which reads its weights once, is at least as fast.
WIDE = 500
# Below so many columns a strip gains nothing over fewer rows, and rows below so many gain nothing.
_FEWEST_COLUMNS, _FEWEST_ROWS = 32, 8


@dataclass(frozen=True, eq=False)
class Compiled:
    """The compiled sweeps, for arrays of one dtype.

    Attributes
    ----------
    kernels : module
        `hessianfree.cells._kernels`.
    blas : tuple of two int
        Where the matrix product of SciPy lies in memory, and the multiply-adds up to which BLAS is
        fastest at it; see `small_product`.
    dtype : numpy.dtype
    """

    kernels: Any
    blas: tuple[int, int]
    dtype: np.dtype[Any]

    @property
    def nothing(self) -> Array:
        """An array of no steps, which stands for one that is not there."""
        return np.empty((0, 0, 0), dtype=self.dtype)

    @property
    def tiny(self) -> Any:
        """The `flush_constant`, in the dtype."""
        return self.dtype.type(flush_constant(self.dtype))

    def taken(self, array: Array | None) -> Array:
        """Return an array in the form that the sweeps take, as it is where it has that form."""
        return self.nothing if array is None else np.require(array, requirements=["C", "W"])

    def is_wide(self, n_units: int) -> bool:
        """Return whether what no step waits for is multiplied ahead, for all steps at once."""
        return n_units >= WIDE

    def strips(self, weights: Array, n_rows: int, work: Workspace, name: str) -> Array:
        """Return a matrix cut into strips of columns, for products with rows from the left.

        Parameters
        ----------
        weights : ndarray of shape (depth, n_columns)
        n_rows : int
            Rows of a product: a strip is as wide as BLAS is fastest with.
        work : Workspace
            Where a copy lies, under `name`.

        Returns
        -------
        ndarray of shape (n_strips, depth, width)
            The last strip may be wider than what is left.
        """
        depth, n_columns = weights.shape
        small, width = self.blas[1], n_columns
        if n_rows * depth * n_columns > small:
            rows = n_rows
            while rows > _FEWEST_ROWS and small // (rows * depth) < _FEWEST_COLUMNS:
                rows = (rows + 1) // 2
            width = min(n_columns, small // (rows * depth) // 16 * 16) or n_columns
        strips = work.get(f"{name}_strips", (-(-n_columns // width), depth, width))
        for i, strip in enumerate(strips):
            columns = weights[:, i * width : (i + 1) * width]
            strip[:, : columns.shape[1]] = columns
        return strips

    def activation(self, name: str) -> int | None:
        """Return what the sweeps know an activation function by.

        None is tanh: numba leaves out what is for the others, which takes longest to compile.
        """
        others = {"logistic": self.kernels.LOGISTIC, "relu": self.kernels.RELU}
        return others.get(name)


def compiled_for(work: Workspace, n_units: int) -> Compiled | None:
    """Return the compiled sweeps for arrays like those of `work`, or None: NumPy's are to be used.

    That depends on what is installed, on the dtype, the device and the number of units alone, so
    that a run that is resumed has the same bits.
    """
    if work.xp is not np or n_units < FEWEST_UNITS:
        return None
    return load_sweeps(work.dtype.char)


def has_compiled_sweeps(cell: Any, dtype: np.dtype[Any]) -> bool:
    """Return whether all loops over steps of a cell run compiled, in that dtype on the host."""
    layers = getattr(cell, "cells", None)
    if layers is not None:
        return all(has_compiled_sweeps(layer, dtype) for layer in layers)
    if not getattr(cell, "can_be_compiled", False) or cell.n_units < FEWEST_UNITS:
        return False
    return load_sweeps(dtype.char) is not None


@functools.cache
def load_sweeps(kind: str) -> Compiled | None:
    """Return the compiled sweeps for a dtype, by its letter, or None where there are none."""
    if kind not in _PRODUCTS:
        return None
    try:
        # Here, not at the top: importing numba takes longer than many a run.
        kernels = importlib.import_module("hessianfree.cells._kernels")
    except ImportError:
        return None
    return Compiled(kernels, (address_of(_PRODUCTS[kind]), small_product()), np.dtype(kind))


def sum_outer_products(rows_bar: Array, rows: Array, out: Array, work: Workspace) -> None:
    """Write Σ r̄ rᵀ over all rows to `out`, given matrices of one row for each."""
    compiled = compiled_for(work, rows.shape[1])
    if (
        compiled is None
        or compiled.is_wide(rows.shape[1])
        or not all(
            array.flags.c_contiguous and array.flags.writeable for array in (rows_bar, rows, out)
        )
    ):
        work.xp.matmul(rows_bar.T, rows, out=out)
    else:
        compiled.kernels.add_outer_products(compiled.blas, rows_bar, rows, out)
