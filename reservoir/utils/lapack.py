"""A matrix made bidiagonal by SciPy's LAPACK, which `scipy.linalg.lapack` has no name for."""

from __future__ import annotations

import ctypes
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reservoir.utils.blas import routine

Matrix = NDArray[np.float64]


class Bidiagonal:
    """A = Q B Pᵀ with Q and P orthogonal, B upper bidiagonal, of a square A   [1]_.

    Half of the work of a singular value decomposition, or less: vectors are never formed.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        A, writable, in Fortran order; overwritten, and kept.

    Attributes
    ----------
    diagonal, off : ndarray of shape (n,) and (n - 1,)
        Of B, and above it.

    Raises
    ------
    ValueError
        If A is of another kind.

    References
    ----------
    .. [1] Golub & Kahan (1965), Calculating the singular values and pseudo-inverse of a matrix,
       SIAM J. Numer. Anal. 2, section 2.

    Examples
    --------
    >>> form = Bidiagonal(np.array([[3.0, 0.0], [4.0, 5.0]], order="F"))
    >>> form.singular_values().round(12)
    array([6.70820393, 2.23606798])
    """

    def __init__(self, matrix: Matrix) -> None:
        n = len(matrix)
        flags = matrix.flags
        if matrix.shape != (n, n) or matrix.dtype != np.float64 or not n:
            raise ValueError(f"A matrix of shape {matrix.shape} and {matrix.dtype} does not fit.")
        if not (flags.f_contiguous and flags.writeable):
            raise ValueError("The matrix must be writable and in Fortran order.")
        self._vectors = matrix
        self.diagonal, self.off = np.empty(n), np.empty(max(n - 1, 1))
        self._tau: dict[str, Matrix] = {"Q": np.empty(n), "P": np.empty(n)}
        arrays = (self.diagonal, self.off, self._tau["Q"], self._tau["P"])
        _with_work("dgebrd", n, n, matrix, n, *arrays)
        self.off = self.off[: n - 1]

    def singular_values(self) -> Matrix:
        """Return the singular values of A, falling, by the implicit zero-shift QR or dqds."""
        n = len(self.diagonal)
        values, off, work = self.diagonal.copy(), np.append(self.off, 0.0), np.empty(4 * n)
        nothing = np.empty(1)
        _call("dbdsqr", b"U", n, 0, 0, 0, values, off, nothing, 1, nothing, 1, nothing, 1, work)
        return values

    def apply(self, which: Literal["Q", "P"], columns: Matrix, *, transposed: bool) -> Matrix:
        """Return Q or P, or its transpose, times columns (n, k)."""
        out = np.array(columns, order="F")
        n, k = out.shape
        if k:
            flags = (which.encode(), b"L", b"T" if transposed else b"N")
            _with_work("dormbr", *flags, n, k, n, self._vectors, n, self._tau[which], out, n)
        return out


def _with_work(name: str, *arguments: Any) -> None:
    """Call a routine whose last arguments are its work space, as much as it asks for."""
    size = np.empty(1)
    _call(name, *arguments, size, -1)
    work = np.empty(int(size[0]))
    _call(name, *arguments, work, len(work))


def _call(name: str, *arguments: Any) -> None:
    """Call a routine of LAPACK, all by reference, and raise if it says that it failed."""
    info = ctypes.c_int(0)
    given: list[Any] = []
    for value in arguments:
        if isinstance(value, np.ndarray):
            given.append(ctypes.c_void_p(value.ctypes.data))
        else:
            kind = ctypes.c_char if isinstance(value, bytes) else ctypes.c_int
            given.append(ctypes.byref(kind(value)))
    routine(name, len(given) + 1, "cython_lapack")(*given, ctypes.byref(info))
    if info.value:
        raise np.linalg.LinAlgError(f"{name} returned {info.value}.")
