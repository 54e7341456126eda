"""The two linear systems behind a ridge readout: normal equations and triangular factor.

Both answer the same questions, so that choosing an alpha knows nothing of the arithmetic: `solve`
for one alpha, `decompose` for a path, `squared_errors` on the rows of other sums. Sums on a GPU are
solved there; what comes out, a few columns, is on the host.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from reservoir._algebra import algebra_of
from reservoir._device import is_on_device, to_host
from reservoir._normal_spectra import EigenSpectrum, TridiagonalSpectrum
from reservoir._readout_rows import Floats
from reservoir.accumulators import EPS, GRAM_MARGIN, GramAccumulator, QRAccumulator, Solver

Integers = NDArray[np.intp]
Booleans = NDArray[np.bool_]

# Rounding moves the singular values of R by 1 to 2 times eps σ_max (2-norm; measured against
# matrices of known rank), and eps σ_max lies between 0.1 and 1 times eps ‖R‖_F.
_FACTOR_MARGIN = 0.5
_RANK_MARGIN = 10.0


class Spectrum(Protocol):
    """A decomposed system: each further alpha is cheap."""

    def supports(self, alphas: Floats) -> Booleans:
        """Tell, for each alpha, whether the readout is determined beyond rounding."""

    def free_rows(self, alphas: Floats) -> Floats:
        """Return n_rows − tr H for each alpha, without cancellation."""

    def squared_residuals(self, alphas: Floats) -> Floats:
        """Return the sums of squared residuals over scale², of shape (n_alphas, n_targets)."""

    def coefs(self, alphas: Floats, targets: Integers) -> Floats:
        """Return weights of shape (n_features, k): column i is target i's at alpha i."""


class RidgeSystem(Protocol):
    """Accumulated rows, centred or not, ready to be solved."""

    solver: Solver
    n_rows: int
    total_weight: float
    resolution: float
    scale: float
    feature_mean: Floats
    target_mean: Floats

    def solve(self, alpha: float) -> tuple[Floats, bool]:
        """Return weights of shape (n_features, n_targets), and whether rounding leaves them."""

    def decompose(self) -> Spectrum:
        """Return what serves every alpha."""


def ridge_system(sums: GramAccumulator | QRAccumulator, fit_intercept: bool) -> RidgeSystem:
    """Return the system of some sums."""
    if isinstance(sums, GramAccumulator):
        return NormalEquations(sums, fit_intercept)
    return FactoredSystem(sums, fit_intercept)


def squared_errors(
    sums: GramAccumulator | QRAccumulator,
    coefs: Floats,
    intercepts: Floats,
    targets: Integers,
    scale: float,
) -> Floats:
    """Return Σ w (y − S v − b)² / scale² on the rows of `sums`, for each column v of `coefs`."""
    n_features = sums.n_features
    columns = np.arange(len(targets))
    # y − S v − b = [1 | S − c | Y − d] [d − b − c v; −v; 1 at the target]
    maps = np.zeros((sums.n_columns, len(targets)), order="F")
    maps[1 : 1 + n_features] = -coefs
    maps[1 + n_features + targets, columns] = 1.0
    maps[0] = sums.shift @ maps - intercepts
    if isinstance(sums, QRAccumulator):
        algebra = algebra_of(sums.factor)
        residuals: Floats = to_host(sums.factor @ algebra.asarray(maps)) / scale
        squares: Floats = np.einsum("ij,ij->j", residuals, residuals)
        return squares
    algebra = algebra_of(sums.moments)
    products = to_host(algebra.multiply(sums.moments, algebra.asarray(maps)))
    # Rounding in the three terms that cancel: less than this is not known.
    floor: Floats = EPS * to_host(sums.moments.diagonal())[1 + n_features + targets]
    errors: Floats = np.maximum(np.einsum("ij,ij->j", maps, products), floor)
    return errors / scale**2


class NormalEquations:
    """(A + αI) V = B with A the (centred) Gram of the features.

    Parameters
    ----------
    sums : GramAccumulator
        The rows.
    fit_intercept : bool
        Whether A and B are taken about the means.
    """

    solver: Solver = "gram"
    scale = 1.0

    def __init__(self, sums: GramAccumulator, fit_intercept: bool) -> None:
        n = sums.n_features
        self.n_rows = sums.n_rows
        self._sums, self.fit_intercept = sums, fit_intercept
        moments, self.algebra = sums.moments, algebra_of(sums.moments)
        self.total_weight = sums.total_weight
        self._sum, target_sum = to_host(moments[1 : 1 + n, 0]), to_host(moments[1 + n :, 0])
        self._shift, target_shift = sums.shift[1 : 1 + n], sums.shift[1 + n :]
        cross = to_host(moments[1 + n :, 1 : 1 + n]).T
        squares = to_host(moments.diagonal())[1 + n :]
        trace = sums.noise_trace(fit_intercept=fit_intercept)
        self.feature_mean, self.target_mean = np.zeros(n), np.zeros(sums.n_targets)
        if fit_intercept:
            self.feature_mean = self._shift + self._sum / self.total_weight
            self.target_mean = target_shift + target_sum / self.total_weight
            self.cross = cross - np.outer(self._sum, target_sum / self.total_weight)
            self.target_squares = squares - target_sum**2 / self.total_weight
        else:
            self.cross = (
                cross
                + np.outer(self._shift, target_sum + self.total_weight * target_shift)
                + np.outer(self._sum, target_shift)
            )
            self.target_squares = squares + target_shift * (
                2.0 * target_sum + self.total_weight * target_shift
            )
        self.resolution = max(GRAM_MARGIN * EPS * trace, sums.resolution_floor)

    def gram(self) -> Any:
        """Return a new A where the sums lie, as their algebra keeps it."""
        n, algebra = self._sums.n_features, self.algebra
        gram = algebra.copy(self._sums.moments[1 : 1 + n, 1 : 1 + n])
        if self.fit_intercept:
            gram = algebra.add_outer(gram, -1.0 / self.total_weight, self._sum)
        else:
            t = self._sum + 0.5 * self.total_weight * self._shift
            gram = algebra.add_outer_pair(gram, 1.0, self._shift, t)
        return gram

    def solve(self, alpha: float) -> tuple[Floats, bool]:
        """Return weights of shape (n_features, n_targets), and whether rounding leaves them."""
        algebra = self.algebra
        cross = algebra.asarray(self.cross)
        if alpha > self.resolution:
            # Cholesky: a seventh of the time of the tridiagonal form.
            gram = self.gram()
            algebra.add_to_diagonal(gram, alpha)
            lower = algebra.cholesky(gram, clean=False)
            if lower is not None:
                return to_host(algebra.solve_cholesky(lower, cross)), True
        spectrum = self.decompose()
        if spectrum.supports(np.array([alpha]))[0]:
            n_targets = self.cross.shape[1]
            return spectrum.coefs(np.full(n_targets, alpha), np.arange(n_targets)), True
        values, vectors = algebra.eigh(self.gram())
        kept = values > self.resolution
        rotated = (vectors.T @ cross)[kept] / (values[kept, None] + alpha)
        return to_host(vectors[:, kept] @ rotated), False

    def decompose(self) -> Spectrum:
        """Return A in tridiagonal form, or, on a GPU, in its eigenvectors."""
        if is_on_device(self._sums.moments):
            return EigenSpectrum(self)
        return TridiagonalSpectrum(self)


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
        """Return a new triangular factor of [S | Y], centred or not, where the sums lie."""
        algebra = self._algebra
        factor = algebra.copy(self._sums.factor[1:, 1:])
        if self.fit_intercept:
            return factor
        return algebra.fold_rows(factor, algebra.copy(self._first_row[None, :]))

    def solve(self, alpha: float) -> tuple[Floats, bool]:
        """Return weights of shape (n_features, n_targets), and whether rounding leaves them."""
        if np.sqrt(alpha) > self.root_resolution:
            # √α I as n more rows of data: a tenth of the time of the SVD.
            n, algebra = self.n_features, self._algebra
            factor = self.factor()
            penalty = algebra.zeros((n, len(factor)))
            algebra.add_to_diagonal(penalty, math.sqrt(alpha))
            factor = algebra.fold_rows(factor, penalty, triangular=True)
            coef = algebra.solve_triangular(factor[:n, :n], factor[:n, n:], lower=False)
            if coef is not None:
                return to_host(coef), True
        spectrum = self.decompose()
        supported = bool(spectrum.supports(np.array([alpha]))[0])
        if not supported:
            spectrum.leave_out_noise()
        n_targets = self._sums.n_targets
        return spectrum.coefs(np.full(n_targets, alpha), np.arange(n_targets)), supported

    def decompose(self) -> SingularSpectrum:
        """Return the singular value decomposition of R."""
        return SingularSpectrum(self)


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
        return supported | bool(self._values[-1] > system.rank_tolerance)

    def free_rows(self, alphas: Floats) -> Floats:
        """Return n_rows − tr H for each alpha, without cancellation."""
        n_rows = self._system.n_rows - self._system.fit_intercept
        n_values = min(n_rows, len(self._values))
        _, kept = self._gains(alphas)
        squares: Floats = np.square(kept[:, :n_values]).sum(axis=1)
        return n_rows - n_values + squares

    def squared_residuals(self, alphas: Floats) -> Floats:
        """Return the sums of squared residuals over scale², of shape (n_alphas, n_targets)."""
        _, kept = self._gains(alphas)
        inside: Floats = kept**4 @ self._rotated**2
        return self._outside + inside

    def coefs(self, alphas: Floats, targets: Integers) -> Floats:
        """Return weights of shape (n_features, k): column i is target i's at alpha i."""
        gains, _ = self._gains(alphas)
        filtered: Floats = gains.T * (self._rotated[:, targets] * self._system.scale)
        coefs: Floats = to_host(self._right.T @ self._algebra.asarray(filtered))
        return coefs
