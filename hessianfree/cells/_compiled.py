"""Whether sweeps run compiled, and what the compiled ones are given."""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from hessianfree.cells._chains import ACTIVATIONS, flush_constant
from hessianfree.cells._workspace import Workspace
from reservoir.utils.blas import address_of, small_product
from reservoir.utils.types import Array

_PRODUCTS = {"d": "dgemm", "f": "sgemm"}
# Nets with fewer units are done before numba is imported.
FEWEST_UNITS = 16
# Wider sums of outer products are as fast in one call of NumPy's BLAS.
_WIDE_SUMS = 500


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

    def activation(self, name: str) -> int:
        """Return the number of an activation function."""
        return ACTIVATIONS.index(name)


def compiled_for(work: Workspace, n_units: int) -> Compiled | None:
    """Return the compiled sweeps for arrays like those of `work`, or None: NumPy's are to be used.

    That depends on what is installed, on the dtype, the device and the number of units alone, so
    that a run that is resumed has the same bits.
    """
    if work.xp is not np or n_units < FEWEST_UNITS:
        return None
    return load_sweeps(work.dtype.char)


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
        or rows.shape[1] > _WIDE_SUMS
        or not all(
            array.flags.c_contiguous and array.flags.writeable for array in (rows_bar, rows, out)
        )
    ):
        work.xp.matmul(rows_bar.T, rows, out=out)
    else:
        compiled.kernels.add_outer_products(compiled.blas, rows_bar, rows, out)
