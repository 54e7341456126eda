"""Ridge readouts from accumulated rows: one alpha, or the best of a path of them."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgWarning

from reservoir.readout._accumulator import RidgeAccumulator, as_factor, leave_one_out
from reservoir.readout._algebra import algebra_of
from reservoir.readout._factored import FactoredSystem
from reservoir.readout._normal_equations import NormalEquations
from reservoir.readout._protocols import RidgeSystem, Spectrum
from reservoir.readout._sums import EPS, RESIDUAL_MARGIN, GramAccumulator, QRAccumulator, Solver
from reservoir.utils.device import to_host
from reservoir.utils.explained import explained
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Floats, Integers
from reservoir.utils.validation import as_numbers


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
) -> tuple[Floats, Floats]:
    """Return Σ w (y − S v − b)² / scale² on the rows of `sums`, for each column v of `coefs`.

    And how large each must be for rounding not to decide it.
    """
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
        sizes = np.sqrt(np.einsum("ij,ij->j", maps, maps))
        noise = EPS * algebra.frobenius(sums.factor) * sizes / scale
        return squares, noise**2
    algebra = algebra_of(sums.moments)
    products = to_host(algebra.multiply(sums.moments, algebra.asarray(maps)))
    # Rounding in the three terms that cancel: less than this is not known.
    floor: Floats = EPS * to_host(sums.moments.diagonal())[1 + n_features + targets]
    errors: Floats = np.maximum(np.einsum("ij,ij->j", maps, products), floor)
    noise = EPS * sums.noise_trace() * np.einsum("ij,ij->j", coefs, coefs) + floor
    return errors / scale**2, RESIDUAL_MARGIN * noise / scale**2


Sums = GramAccumulator | QRAccumulator


# The candidates of estimators that are not told theirs: from what noise-free data can use to what
# leaves little but the mean, one for each power of ten (of two, no error was better by 2 %).
USUAL_TOLERANCE = 0.05
USUAL_ALPHAS = tuple(float(alpha) for alpha in 10.0 ** np.arange(-6, 5))


def tolerance_of(alpha: Any) -> float:
    """Return the `tolerance` of `solve_ridge` for the parameter `alpha` of an estimator.

    Of candidates that the user has named the best is taken; of the usual ones the largest that is
    as good: what differs little one step ahead differs much where the output is fed back.
    """
    return USUAL_TOLERANCE if isinstance(alpha, tuple) and alpha == USUAL_ALPHAS else 0.0


@dataclass(frozen=True)
class RidgeSolution:
    """The fitted linear map y = coef s + intercept, and how its alpha was chosen.

    Attributes
    ----------
    coef : ndarray of shape (n_targets, n_features)
        One row of weights per target.
    intercept : ndarray of shape (n_targets,)
        Zeros where none was fitted.
    alpha : float or ndarray of shape (n_targets,)
        The penalty in use; an array where each target chose its own.
    alphas : ndarray of shape (n_alphas,)
        The candidates.
    scores : ndarray of shape (n_alphas,) or (n_alphas, n_targets), or None
        Estimated mean squared error of each candidate (lower is better), averaged over the targets
        unless each chose its own; NaN where rounding decides the readout or the error, of which
        none is chosen while there are others. None where alpha was a number.
    solver : {"gram", "qr"}
        What was solved: normal equations, or the triangular factor.
    """

    coef: Floats
    intercept: Floats
    alpha: float | Floats
    alphas: Floats
    scores: Floats | None
    solver: Solver


@explained
@with_few_threads
def solve_ridge(
    accumulator: RidgeAccumulator | GramAccumulator | QRAccumulator,
    alphas: ArrayLike,
    *,
    fit_intercept: bool = True,
    per_target: bool = False,
    tolerance: float = 0.0,
    n_spared: int = 0,
    selection: Literal["gcv"]
    | Sequence[RidgeAccumulator | GramAccumulator | QRAccumulator] = "gcv",
) -> RidgeSolution:
    r"""Fit a ridge readout to accumulated rows, and choose its alpha where several are given.

    .. math::

        \min_{V, b} \; \sum_t w[t]\, \lVert y[t] - V s[t] - b \rVert^2 + \alpha \lVert V \rVert^2

    The intercept b is not penalised.

    A path of alphas costs one decomposition for all alphas and targets: the normal equations are
    made tridiagonal, a triangular factor bidiagonal, after which each alpha costs O(n_features) per
    target; alpha enters by the factors σ / (σ² + α) of the singular values alone [1]_. Candidates
    are compared by generalised cross-validation [2]_,

    .. math::

        \mathrm{GCV}(\alpha) = \frac{\mathrm{RSS}(\alpha) / \sum w}
            {(1 - \operatorname{tr} H(\alpha) / n_\mathrm{rows})^2},

    with tr H(α) = Σ σ² / (σ² + α), plus 1 for the intercept; or by the mean squared error on each
    of several contiguous blocks of a readout fitted to the rest (one decomposition a block).
    Either error, if taken from sums of products, is a difference that may have cancelled: a
    candidate whose error is not well above that rounding is not taken. Rows fewer than the columns
    leave such errors at all small alphas; a `RidgeAccumulator` that keeps them (`keeps_few`) gives
    their singular values instead.

    Parameters
    ----------
    accumulator : RidgeAccumulator, GramAccumulator or QRAccumulator
        All rows.
    alphas : float or array-like of shape (n_alphas,)
        Penalty, in units of the features squared and summed over the rows. A number of 0 or more
        is taken as it is; of a list of positive numbers one is chosen.
    fit_intercept : bool, default=True
        Whether there is a b; without it, b = 0.
    per_target : bool, default=False
        Whether each target chooses its own alpha; otherwise the mean score over the targets
        decides, as in scikit-learn's RidgeCV: give targets of different units the same scale.
    tolerance : float, default=0.0
        Of several, the largest alpha is taken whose score is within that fraction of the lowest.
    n_spared : int, default=0
        Blocks at the start that are learned from and never held out.
    selection : "gcv" or sequence of accumulators, default="gcv"
        How to choose; accumulators are those of the blocks that make up all rows.

    Returns
    -------
    RidgeSolution

    Raises
    ------
    ValueError
        If no row was accumulated, an alpha is negative (in a list: not positive), NaN or infinite,
        a list is empty, or the blocks do not make up the rows.
    TypeError
        If an accumulator is none.

    Warns
    -----
    scipy.linalg.LinAlgWarning
        If alpha lies below the rounding of the sums and the features do not determine the readout
        without it. Directions that cannot be told from rounding are then left out (the readout of
        least norm). In a list, such alphas are not candidates, and the warning comes only where the
        smallest of the others has the lowest score: one of them might have had a lower one.

    References
    ----------
    .. [1] Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, eq. 3.47.
    .. [2] Golub, Heath & Wahba (1979), Generalized cross-validation as a method for choosing a good
       ridge parameter, Technometrics 21, eq. 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> s = np.array([[0.0], [1.0], [2.0]])
    >>> sums = GramAccumulator(1, 1).update(s, 3.0 * s + 5.0)
    >>> solution = solve_ridge(sums, 2.0)
    >>> solution.coef.round(12), solution.intercept.round(12)
    (array([[1.5]]), array([6.5]))
    >>> solve_ridge(sums, [1e-3, 1.0]).alpha
    0.001
    """
    candidates = check_alphas(alphas)
    sums = _check_sums(accumulator, "accumulator")
    is_formula = isinstance(selection, str)
    if candidates.ndim and is_formula and isinstance(accumulator, RidgeAccumulator):
        sums = accumulator.factor_of_few() or sums
    system = ridge_system(sums, fit_intercept)
    if candidates.ndim == 0:
        alpha = float(candidates)
        coef, is_supported = system.solve(alpha)
        if not is_supported:
            _warn_unresolved(system, f"alpha={alpha:.3g}")
        return _solution(system, coef, alpha, np.atleast_1d(candidates), None)

    spectrum: Spectrum | None = None
    if isinstance(selection, str):
        if selection != "gcv":
            raise ValueError(
                f'`selection` is {selection!r}, but "gcv" or a list of accumulators was expected. '
                'Take "gcv", or accumulate blocks apart.'
            )
        spectrum = system.decompose()
        scores, noise, supported = _cross_validation_scores(system, spectrum, candidates)
    else:
        scores, noise, supported = _held_out_scores(
            sums, selection, candidates, fit_intercept, n_spared
        )
    if not per_target:
        scores, noise = (values.mean(axis=1, keepdims=True) for values in (scores, noise))
    # Of a target that is zero, a score of zero is exact.
    is_told = supported[:, None] & ((scores > noise) | (noise == 0.0))
    scores = np.where(is_told, scores, np.nan)
    best = _best(scores, candidates, tolerance)
    # An error that falls down to the smallest alpha that is told may go on falling.
    least_told = np.where(np.isfinite(scores), candidates[:, None], np.inf).min(axis=0)
    if not supported.all() and (best <= least_told).any():
        names = ", ".join(f"{alpha:.3g}" for alpha in candidates[~supported])
        _warn_unresolved(system, f"alphas [{names}] of the path")
    chosen = np.broadcast_to(best, sums.n_targets)
    if supported.any() and (spectrum is not None or np.ptp(chosen) > 0):
        spectrum = spectrum or system.decompose()
        coef = spectrum.coefs(chosen, np.arange(sums.n_targets))
    else:
        coef, _ = system.solve(float(chosen[0]))
    with np.errstate(over="ignore", under="ignore"):
        scores = scores * system.scale * system.scale
    return _solution(
        system,
        coef,
        chosen.copy() if per_target else float(chosen[0]),
        candidates,
        scores if per_target else scores[:, 0],
    )


def _solution(
    system: RidgeSystem,
    coef: Floats,
    alpha: float | Floats,
    alphas: Floats,
    scores: Floats | None,
) -> RidgeSolution:
    return RidgeSolution(
        coef=np.ascontiguousarray(coef.T),
        intercept=system.target_mean - system.feature_mean @ coef,
        alpha=alpha,
        alphas=alphas,
        scores=scores,
        solver=system.solver,
    )


def _best(scores: Floats, alphas: Floats, tolerance: float) -> Floats:
    """Return, for each column of scores, the largest of the alphas that share the lowest."""
    finite = np.where(np.isfinite(scores), scores, np.inf)
    lowest = finite <= (1.0 + tolerance) * finite.min(axis=0)
    best: Floats = np.where(lowest, alphas[:, None], 0.0).max(axis=0)
    return best


def _cross_validation_scores(
    system: RidgeSystem, spectrum: Spectrum, alphas: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return GCV(α) / scale² of shape (n_alphas, n_targets), and which readouts are supported.

    Between them, how large each score must be for rounding not to decide it.
    """
    freedom = spectrum.free_rows(alphas)[:, None] / system.n_rows
    residuals, noise = spectrum.squared_residuals(alphas)
    # One row with an intercept leaves no freedom: 0 / 0, which is no score.
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = system.total_weight * freedom**2
        return residuals / weight, noise / weight, spectrum.supports(alphas)


def _held_out_scores(
    total: Sums, blocks: Sequence[Any], alphas: Floats, fit_intercept: bool, n_spared: int
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return mean squared errors / scale² on held-out blocks, and which readouts are supported.

    Between them, how large each error must be for rounding not to decide it.
    """
    parts = [_check_sums(block, "selection") for block in blocks]
    n_rows = sum(part.n_rows for part in parts)
    if len(parts) < 2 or n_rows != total.n_rows:
        raise ValueError(
            f"`selection` holds {len(parts)} blocks with {n_rows} rows, but two or more blocks "
            f"that make up the {total.n_rows} rows were expected. Accumulate each block apart, and "
            "merge them for the total."
        )
    if any(isinstance(part, QRAccumulator) for part in (total, *parts)):
        parts = [as_factor(part) for part in parts]
    scale = ridge_system(total, fit_intercept).scale
    pairs = np.repeat(alphas, total.n_targets)
    targets = np.tile(np.arange(total.n_targets), len(alphas))
    errors, noise = np.zeros((2, len(pairs)))
    supported = np.ones(len(alphas), dtype=bool)
    weight = 0.0
    for block, rest in itertools.islice(zip(parts, leave_one_out(parts)), n_spared, None):
        system = ridge_system(rest, fit_intercept)
        spectrum = system.decompose()
        supported &= spectrum.supports(alphas)
        coefs = spectrum.coefs(pairs, targets)
        intercepts = system.target_mean[targets] - system.feature_mean @ coefs
        own_errors, own_noise = squared_errors(block, coefs, intercepts, targets, scale)
        errors += own_errors
        noise += own_noise
        weight += block.total_weight
    errors, noise = (values.reshape(len(alphas), -1) / weight for values in (errors, noise))
    return errors, noise, supported


def check_alphas(alphas: ArrayLike, *, name: str = "alphas") -> Floats:
    """Return ridge penalties as a new array: without axes for a number, a vector for a path.

    Parameters
    ----------
    alphas : float or array-like of shape (n_alphas,)
        A number of 0 or more, or positive candidates.
    name : str
        What the caller calls them, for the error.

    Returns
    -------
    ndarray of shape () or (n_alphas,)

    Raises
    ------
    ValueError
        If there is none, or one is negative, NaN, infinite, or 0 among several.

    Examples
    --------
    >>> check_alphas(0), check_alphas([1e-6, 1])
    (array(0.), array([1.e-06, 1.e+00]))
    """
    values: Floats = as_numbers(name, alphas, np.float64).copy()
    if values.ndim > 1 or not values.size:
        raise ValueError(
            f"`{name}` has shape {values.shape}, but a number or a list of one or more was "
            "expected. Pass for instance numpy.logspace(-6, 2, 9)."
        )
    lowest = np.nextafter(0.0, 1.0) if values.ndim else 0.0
    if not (np.isfinite(values).all() and (values >= lowest).all()):
        wanted = "positive, finite numbers were" if values.ndim else "a finite number >= 0 was"
        raise ValueError(
            f"`{name}` is {alphas!r}, but {wanted} expected. Pass penalties in units of the "
            "features squared and summed over the rows."
        )
    return values


def _check_sums(accumulator: Any, name: str) -> Sums:
    sums = accumulator.sums if isinstance(accumulator, RidgeAccumulator) else accumulator
    if not isinstance(sums, GramAccumulator | QRAccumulator):
        raise TypeError(
            f"`{name}` holds a {type(accumulator).__name__}, but a RidgeAccumulator, "
            "GramAccumulator or QRAccumulator was expected. Accumulate rows first."
        )
    if not sums.n_rows:
        raise ValueError(
            f"`{name}` has no rows with a positive weight, but at least one was expected. "
            "Call `update` first; a washout as long as the series leaves nothing."
        )
    return sums


def _warn_unresolved(system: RidgeSystem, what: str) -> None:
    if system.solver == "gram":
        remedy = 'Take solver="qr" (or "auto", told the smallest alpha before the rows come)'
    else:
        remedy = "Leave out features that are combinations of others, take more rows"
    warnings.warn(
        f"{what} cannot be told from rounding: with these features the "
        f"{'normal equations resolve' if system.solver == 'gram' else 'QR resolves'} "
        f"{system.resolution:.3g} at best. {remedy}, or alphas above that.",
        LinAlgWarning,
        stacklevel=3,
    )
