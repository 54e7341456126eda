"""A triangular factor that takes rows by products of matrices, at the price of two of sums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import lapack, qr

from reservoir.readout._rows import sum_of_squares
from reservoir.utils.blas import add_symmetric_products, solve_rows
from reservoir.utils.threads import large_call
from reservoir.utils.types import Booleans, Floats

# How far the mean square of a whitened column, over all rows, may be from 1: what products of
# whitened rows round is that much larger than eps, relative to each singular value.
_MOST_GROWTH = 256.0


# Rounding of diagonal elements, in eps of the size of their column.
_ROUNDING = 32.0


# Rows and columns of the pieces of a product of triangles: with more, more zeros are multiplied.
_PANEL = 256


# Rows that are transposed together, in cache.
_TRANSPOSED = 172


class WhitenedRows:
    """A factor R₀, and the sums M of rows that it makes nearly orthonormal.

    M = I + Σ y yᵀ,   R₀ᵀ y = z;   RᵀR = R₀ᵀ M R₀,   so that R = L ᵀ R₀ where M = L Lᵀ   [1]_

    Solving for y is stable row by row, whatever the condition of R₀; M is well conditioned, so that
    its rounding is relative to each singular value of R, the smallest too, while rounding of ZᵀZ is
    relative to the largest. That holds for as long as rows are of the kind that R₀ has seen: `add`
    refuses others.

    Parameters
    ----------
    factor : ndarray of shape (n_columns, n_columns)
        The triangular factor of the rows so far, in Fortran order; kept.

    References
    ----------
    .. [1] Yamamoto, Nakatsukasa, Yanagisawa & Fukaya (2015), Roundoff error analysis of the
       CholeskyQR2 algorithm, Electron. Trans. Numer. Anal. 44, 306-326.
    """

    def __init__(self, factor: Floats) -> None:
        n = len(factor)
        self._moments: Floats = np.zeros((n, n), order="F")
        self._base = factor
        self._growth = float(n)
        is_low, floor = _below_rounding(factor)
        np.einsum("ii->i", self._moments)[~is_low] = 1.0
        if is_low.any():
            self._base = factor.copy(order="F")
            np.einsum("ii->i", self._base)[is_low] = floor[is_low]
            own = np.array(factor[is_low], order="C")
            add_symmetric_products(self._moments, solve_rows(self._base, own))

    def add(self, rows: Floats) -> bool:
        """Add rows (n_rows, n_columns), in C order, unless they are unlike those so far."""
        work = rows.copy()
        with large_call(0.5 * len(rows) * rows.shape[1] ** 2):
            solve_rows(self._base, work)
            growth = sum_of_squares(work)
            if not self._growth + growth < _MOST_GROWTH * rows.shape[1]:
                return False
            add_symmetric_products(self._moments, work)
        self._growth += growth
        return True

    def factor(self) -> Floats:
        """Return the triangular factor of all rows; what was kept is used up."""
        moments = self._moments
        ridge, lower, info = 0.0, moments, 1
        scale = float(np.finfo(np.float64).eps * moments.diagonal().max())
        while info:
            trial = moments if ridge == 0.0 else moments + ridge * np.eye(len(moments))
            lower, info = lapack.dpotrf(trial, lower=1, clean=1)
            ridge = 4.0 * ridge or scale
        upper, base = lower.T, self._base
        factor: Floats = np.zeros_like(base, order="F")
        edges = range(0, len(base), _PANEL)
        for start in edges:
            stop = start + _PANEL
            for first in edges[: start // _PANEL + 1]:
                rows = slice(first, first + _PANEL)
                factor[rows, start:stop] = upper[rows, first:stop] @ base[first:stop, start:stop]
        return factor


def _below_rounding(factor: Floats) -> tuple[Booleans, Floats]:
    """Tell which diagonal elements are as small as rounding, and what to whiten by instead.

    Whitened by themselves, rows would be as large there as the rounding in them. A column that has
    been zero stays as good as zero: rows that wake it up are refused.
    """
    eps, tiny = np.finfo(np.float64).eps, np.finfo(np.float64).tiny
    largest = np.maximum(np.abs(factor).max(axis=0), tiny)  # squares may leave the float64 range
    sizes = np.sqrt(np.square(factor / largest).sum(axis=0))
    floor: Floats = np.maximum(_ROUNDING * eps * sizes * largest, tiny / eps)
    return np.abs(factor.diagonal()) < floor, floor


def factor_of(parts: Sequence[Floats]) -> Floats:
    """Return the triangular factor of stacked rows (n_rows, n_columns), square in any case."""
    n_rows, n = sum(len(part) for part in parts), parts[0].shape[1]
    stacked: Floats = np.empty((n_rows, n), order="F")
    first = 0
    for part in parts:
        for start in range(0, len(part), _TRANSPOSED):
            few = part[start : start + _TRANSPOSED]
            stacked[first : first + len(few)] = few
            first += len(few)
    factor: Floats = np.zeros((n, n), order="F")
    reflected = qr(stacked, mode="r", overwrite_a=True, check_finite=False)[0]
    factor[: min(n_rows, n)] = reflected[:n]
    return factor
