"""Products and triangular systems by SciPy's BLAS without the interpreter's lock.

`scipy.linalg.blas` keeps that lock during a call, so that no second thread of Python gets on. The
same routines, called where `scipy.linalg.cython_blas` keeps them, let others work meanwhile.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

_ROUTINES = {"d": "dsyrk", "f": "ssyrk"}
_SCALARS = {"d": ctypes.c_double, "f": ctypes.c_float}
# uplo, trans, n, k, alpha, a, lda, beta, c, ldc: all by reference.
_N_ARGUMENTS = 10
# side, uplo, transa, diag, m, n, alpha, a, lda, b, ldb: likewise.
_N_ARGUMENTS_OF_TRSM = 11
# What OpenBLAS calls the processors for which it has kernels for small products.
_WITH_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "Sapphirerapids", "SapphireRapids")


@functools.cache
def routine(name: str, n_arguments: int, library: str = "cython_blas") -> Any:
    """Return a routine of BLAS or LAPACK as a function that releases the lock.

    Parameters
    ----------
    name : str
        With the letter of its type: "dsyrk".
    n_arguments : int
        All are pointers.
    library : {"cython_blas", "cython_lapack"}
    """
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * n_arguments)(address_of(name, library))


def address_of(name: str, library: str = "cython_blas") -> int:
    """Return where a routine of BLAS or LAPACK lies in memory; arguments are those of `routine`."""
    capsule = importlib.import_module(f"scipy.linalg.{library}").__pyx_capi__[name]
    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype = ctypes.c_void_p
    pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return int(pointer_of(capsule, name_of(capsule)))


@functools.cache
def small_product() -> int:
    """Return the multiply-adds up to which a matrix product is fastest, or 2**62 for no such bound.

    OpenBLAS copies the factors of a product to another layout first, which takes longer than the
    product itself where one factor has few rows. For processors with AVX-512 it has kernels that do
    without, for products of up to a million multiply-adds: 16 rows times a matrix of order 300 took
    half the time in pieces of that size, in float32.
    """
    pools = [pool for pool in ThreadpoolController().info() if pool["user_api"] == "blas"]
    has_kernels = pools and all(pool.get("architecture") in _WITH_SMALL_KERNELS for pool in pools)
    return 10**6 if has_kernels else 2**62


def add_symmetric_products(sums: NDArray[Any], rows: NDArray[Any]) -> NDArray[Any]:
    """Return sums + rowsᵀ rows, in place: the lower triangle alone.

    Parameters
    ----------
    sums : ndarray of shape (n_columns, n_columns)
        Writable, in Fortran order, float64 or float32.
    rows : ndarray of shape (n_rows, n_columns)
        Of the same dtype. Copied unless each row's values lie side by side.

    Returns
    -------
    ndarray of shape (n_columns, n_columns)
        `sums` itself.

    Raises
    ------
    ValueError
        If shapes, dtypes or the order of memory do not fit: nothing is written then.

    Examples
    --------
    >>> add_symmetric_products(np.zeros((2, 2), order="F"), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[10.,  0.],
           [14., 20.]])
    """
    kind, size = sums.dtype.char, sums.shape[0]
    if kind not in _ROUTINES or rows.dtype != sums.dtype:
        raise ValueError(
            f"Sums are {sums.dtype} and rows {rows.dtype}, not both float64 or float32."
        )
    if sums.shape != (size, size) or rows.ndim != 2 or rows.shape[1] != size:
        raise ValueError(f"Sums of shape {sums.shape} do not fit rows of shape {rows.shape}.")
    if not (sums.flags.f_contiguous and sums.flags.writeable):
        raise ValueError("Sums must be writable and in Fortran order.")
    stride, step = rows.strides
    if step != rows.itemsize or stride % rows.itemsize or stride < size * rows.itemsize:
        rows = np.ascontiguousarray(rows)
        stride = size * rows.itemsize
    if rows.size == 0:
        return sums
    one = _SCALARS[kind](1.0)
    order, depth = ctypes.c_int(size), ctypes.c_int(len(rows))
    leading = ctypes.c_int(stride // rows.itemsize)
    flags = ctypes.c_char(b"L"), ctypes.c_char(b"N")
    a, c = ctypes.c_void_p(rows.ctypes.data), ctypes.c_void_p(sums.ctypes.data)
    by = ctypes.byref
    routine(_ROUTINES[kind], _N_ARGUMENTS)(
        by(flags[0]), by(flags[1]), by(order), by(depth), by(one), a, by(leading), by(one), c,
        by(order),
    )  # fmt: skip
    return sums


def solve_rows(upper: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows · upper⁻¹, in place.

    Parameters
    ----------
    upper : ndarray of shape (n_columns, n_columns)
        In Fortran order; what is below its diagonal is not looked at.
    rows : ndarray of shape (n_rows, n_columns)
        Writable, in C order.

    Returns
    -------
    ndarray of shape (n_rows, n_columns)
        `rows` itself.

    Raises
    ------
    ValueError
        If shapes, dtypes or the order of memory do not fit: nothing is written then.

    Examples
    --------
    >>> solve_rows(np.array([[1.0, 1.0], [0.0, 2.0]], order="F"), np.array([[1.0, 5.0]]))
    array([[1., 2.]])
    """
    size = len(upper)
    if upper.dtype != np.float64 or rows.dtype != np.float64:
        raise ValueError(f"The triangle is {upper.dtype} and rows {rows.dtype}, not both float64.")
    if upper.shape != (size, size) or rows.ndim != 2 or rows.shape[1] != size:
        raise ValueError(f"A triangle of shape {upper.shape} does not fit rows of {rows.shape}.")
    if not (upper.flags.f_contiguous and rows.flags.c_contiguous and rows.flags.writeable):
        raise ValueError("The triangle must be in Fortran order, rows writable and in C order.")
    if rows.size == 0:
        return rows
    by, one = ctypes.byref, ctypes.c_double(1.0)
    order, n_rows = ctypes.c_int(size), ctypes.c_int(len(rows))
    # Rows in C order are columns in Fortran order: upperᵀ X = rowsᵀ.
    flags = [ctypes.c_char(flag) for flag in (b"L", b"U", b"T", b"N")]
    a, b = ctypes.c_void_p(upper.ctypes.data), ctypes.c_void_p(rows.ctypes.data)
    routine("dtrsm", _N_ARGUMENTS_OF_TRSM)(
        *[by(flag) for flag in flags], by(order), by(n_rows), by(one), a, by(order), b, by(order)
    )
    return rows
