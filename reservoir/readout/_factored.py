"""A ridge system in triangular form: its factor made bidiagonal or diagonal, and solutions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

from reservoir.readout._algebra import algebra_of
from reservoir.readout._protocols import Spectrum
from reservoir.readout._sums import EPS, QRAccumulator, Solver
from reservoir.utils.device import to_host
from reservoir.utils.lapack import Bidiagonal
from reservoir.utils.types import Booleans, Floats, Integers

# Rounding moves the singular values of R by 1 to 2 times eps σ_max (2-norm; measured against
# matrices of known rank), and eps σ_max lies between 0.1 and 1 times eps ‖R‖_F.
_FACTOR_MARGIN = 0.5


_RANK_MARGIN = 10.0


class FactoredSystem:
    """min ‖[R; √α I] V − [Q; 0]‖ with R the triangular factor of the (centred) features.

    Parameters
    ----------
    sums : QRAccumulator
        The rows.
    fit_intercept : bool
        Whether the features and targets are taken about their means.
    """

    solver: Solver = "qr"

    def __init__(self, sums: QRAccumulator, fit_intercept: bool) -> None:
        n = self.n_features = sums.n_features
        self.n_rows = sums.n_rows
        self._sums, self.fit_intercept = sums, fit_intercept
        self.total_weight = sums.total_weight
        root_weight = float(sums.factor[0, 0])
        self._algebra = algebra_of(sums.factor)
        self._is_few = len(sums.factor) < sums.n_columns
        self._first_row = to_host(sums.factor[0, 1:]) + root_weight * sums.shift[1:]
        mean = self._first_row / root_weight if fit_intercept else np.zeros(n + sums.n_targets)
        self.feature_mean, self.target_mean = mean[:n], mean[n:]
        size = self._algebra.frobenius(sums.factor[:, 1 : 1 + n])
        if not fit_intercept:
            size = max(size, blas.dnrm2(self._first_row[:n]))
        floor = math.sqrt(sums.resolution_floor)
        self.root_resolution = float(max(_FACTOR_MARGIN * EPS * size, floor))
        self.rank_tolerance = float(max(_RANK_MARGIN * EPS * size, floor))
        self.resolution = self.root_resolution * self.root_resolution
        # Squares of targets of 1e160 or 1e-170 leave the float64 range.
        largest = float(abs(sums.factor[:, 1 + n :]).max())
        self.scale = largest or 1.0

    def factor(self) -> Any:
        """Return a new triangular factor of [S | Y], centred or not, where the sums lie.

        Of rows fewer than columns: as few rows, trapezoidal where centred.
        """
        algebra = self._algebra
        factor = algebra.copy(self._sums.factor[1:, 1:])
        if self.fit_intercept:
            return factor
        if self._is_few:
            return np.concatenate([self._first_row[None, :], factor])
        return algebra.fold_rows(factor, algebra.copy(self._first_row[None, :]))

    def solve(self, alpha: float) -> tuple[Floats, bool]:
        """Return weights of shape (n_features, n_targets), and whether rounding leaves them."""
        if np.sqrt(alpha) > self.root_resolution and not self._is_few:
            # √α I as n more rows of data: a tenth of the time of the SVD.
            n, algebra = self.n_features, self._algebra
            factor = self.factor()
            penalty = algebra.zeros((n, len(factor)))
            algebra.add_to_diagonal(penalty, math.sqrt(alpha))
            factor = algebra.fold_rows(factor, penalty, triangular=True)
            coef = algebra.solve_triangular(factor[:n, :n], factor[:n, n:], lower=False)
            if coef is not None:
                return to_host(coef), True
        spectrum = SingularSpectrum(self)
        supported = bool(spectrum.supports(np.array([alpha]))[0])
        if not supported:
            spectrum.leave_out_noise()
        n_targets = self._sums.n_targets
        return spectrum.coefs(np.full(n_targets, alpha), np.arange(n_targets)), supported

    def decompose(self) -> Spectrum:
        """Return R in bidiagonal form or, of few rows and on a GPU, in its singular vectors."""
        if self._is_few or self._sums.lies_on_device:
            return SingularSpectrum(self)
        return BidiagonalSpectrum(self)


class BidiagonalSpectrum:
    """R = Q B Pᵀ: each alpha is a tridiagonal solve, the singular values of B give the trace.

    With v = P z and r what B z leaves of c = Qᵀ q [1]_, the ridge solution is that of

        [√α I    B  ] [   r  ]   [√α c]
        [  Bᵀ  −√α I] [√α z ] = [  0  ]

    which is tridiagonal once r and z are interleaved, and whose condition is that of [B; √α I]
    itself: nothing is squared.

    References
    ----------
    .. [1] Eldén (1977), Algorithms for the regularization of ill-conditioned least squares
       problems, BIT 17, 134-145, solves the bidiagonal problem by rotations instead.
    """

    def __init__(self, system: FactoredSystem) -> None:
        self._system = system
        factor, n = system.factor(), system.n_features
        rest = factor[n:, n:] / system.scale
        self._outside: Floats = np.square(rest).sum(axis=0)
        cross = factor[:n, n:] / system.scale
        self._form = Bidiagonal(np.asfortranarray(factor[:n, :n]))
        self._values = self._form.singular_values()
        self._rotated: Floats = self._form.apply("Q", cross, transposed=True)

    def supports(self, alphas: Floats) -> Booleans:
        """Tell, for each alpha, whether the readout is determined beyond rounding."""
        system = self._system
        supported: Booleans = np.sqrt(alphas) > system.root_resolution
        return supported | bool(self._values[-1] > system.rank_tolerance)

    def free_rows(self, alphas: Floats) -> Floats:
        """Return n_rows − tr H for each alpha, without cancellation."""
        n_rows = self._system.n_rows - self._system.fit_intercept
        values = self._values[:n_rows]
        roots = np.sqrt(alphas)[:, None]
        squares: Floats = np.square(roots / np.hypot(values, roots)).sum(axis=1)
        return n_rows - len(values) + squares

    def squared_residuals(self, alphas: Floats) -> tuple[Floats, Floats]:
        """Return the sums of squared residuals over scale², of shape (n_alphas, n_targets).

        And how large each must be for rounding of S V and Y not to decide it.
        """
        c, outside = self._rotated, self._outside
        residuals = np.empty((len(alphas), c.shape[1]))
        sizes = np.empty_like(residuals)
        for row, size, alpha in zip(residuals, sizes, alphas):
            r, z = self._solve(float(alpha), c)
            row[:] = outside + np.einsum("ij,ij->j", r, r)
            size[:] = np.sqrt(np.einsum("ij,ij->j", z, z))
        noise = self._system.root_resolution * sizes
        noise += EPS * np.sqrt(outside + np.einsum("ij,ij->j", c, c))
        return residuals, noise**2

    def coefs(self, alphas: Floats, targets: Integers) -> Floats:
        """Return weights of shape (n_features, k): column i is target i's at alpha i."""
        z = np.empty((len(self._rotated), len(targets)), order="F")
        for alpha in np.unique(alphas):
            columns = alphas == alpha
            _, z[:, columns] = self._solve(float(alpha), self._rotated[:, targets[columns]])
        return self._form.apply("P", z, transposed=False) * self._system.scale

    def _solve(self, alpha: float, c: Floats) -> tuple[Floats, Floats]:
        """Return what is left of c, and z."""
        root, n = math.sqrt(alpha), len(c)
        diagonal, off = np.empty(2 * n), np.empty(2 * n - 1)
        diagonal[::2], diagonal[1::2] = -root, root  # z first
        off[::2], off[1::2] = self._form.diagonal, self._form.off
        right = np.zeros((2 * n, c.shape[1]), order="F")
        right[1::2] = root * c
        solved, info = lapack.dgtsv(off, diagonal, off, right)[3:]
        if info:
            solved = np.full_like(right, np.nan)
        return solved[1::2], solved[::2] / root


class SingularSpectrum:
    """R = U diag(σ) Vᵀ: alpha enters by σ / (σ² + α) alone."""

    def __init__(self, system: FactoredSystem) -> None:
        self._system = system
        factor = system.factor()
        n, self._algebra = system.n_features, algebra_of(factor)
        cross, rest = factor[:n, n:] / system.scale, to_host(factor[n:, n:]) / system.scale
        left, values, self._right = self._algebra.svd(factor[:n, :n])
        self._values = to_host(values)
        self._rotated = to_host(left.T @ cross)
        self._outside: Floats = np.square(rest).sum(axis=0)

    def leave_out_noise(self) -> None:
        """Set the singular values that rounding may have made to zero."""
        self._values = np.where(self._values > self._system.rank_tolerance, self._values, 0.0)

    def _gains(self, alphas: Floats) -> tuple[Floats, Floats]:
        """Return σ / (σ² + α) and √α / √(σ² + α); squares would leave the float64 range."""
        roots = np.sqrt(alphas)[:, None]
        size = np.hypot(self._values, roots)
        size[size == 0.0] = np.inf
        return (self._values / size) / size, roots / size

    def supports(self, alphas: Floats) -> Booleans:
        """Tell, for each alpha, whether the readout is determined beyond rounding."""
        system = self._system
        supported: Booleans = np.sqrt(alphas) > system.root_resolution
        has_full_rank = len(self._values) == system.n_features
        return supported | bool(has_full_rank and self._values[-1] > system.rank_tolerance)

    def free_rows(self, alphas: Floats) -> Floats:
        """Return n_rows − tr H for each alpha, without cancellation."""
        n_rows = self._system.n_rows - self._system.fit_intercept
        n_values = min(n_rows, len(self._values))
        _, kept = self._gains(alphas)
        squares: Floats = np.square(kept[:, :n_values]).sum(axis=1)
        return n_rows - n_values + squares

    def squared_residuals(self, alphas: Floats) -> tuple[Floats, Floats]:
        """Return the sums of squared residuals over scale², of shape (n_alphas, n_targets).

        And how large each must be for rounding of S V and Y not to decide it.
        """
        gains, kept = self._gains(alphas)
        squares = self._rotated**2
        residuals: Floats = self._outside + kept**4 @ squares
        noise = self._system.root_resolution * np.sqrt(gains**2 @ squares)
        noise += EPS * np.sqrt(self._outside + squares.sum(axis=0))
        return residuals, noise**2

    def coefs(self, alphas: Floats, targets: Integers) -> Floats:
        """Return weights of shape (n_features, k): column i is target i's at alpha i."""
        gains, _ = self._gains(alphas)
        filtered: Floats = gains.T * (self._rotated[:, targets] * self._system.scale)
        coefs: Floats = to_host(self._right.T @ self._algebra.asarray(filtered))
        return coefs
