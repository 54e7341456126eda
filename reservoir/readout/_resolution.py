"""Whether sums of products tell which ridge penalty of a path is best, or a factor is needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from reservoir.readout._normal_equations import NormalEquations
from reservoir.readout._sums import GramAccumulator
from reservoir.utils.device import is_on_device
from reservoir.utils.types import Booleans, Floats

# Alphas compared on rows held out, spread over the path: a Cholesky factor each.
_HELD_OUT_ALPHAS = 4


def resolves_best_alpha(
    sums: GramAccumulator,
    rows: tuple[Any, Any, Floats | None] | None,
    alphas: Floats,
    *,
    fit_intercept: bool,
) -> bool:
    """Tell whether the best alpha of a path lies above what sums of products resolve.

    It does where, for each target, the estimated error of the smallest alpha that they resolve is
    larger than that of one above it: noise calls for a larger alpha, and those that are lost in
    rounding only fit it closer. Without noise the error falls all the way down, and a factor is
    needed. The error is that of generalised cross-validation from two rows per feature on, and
    before that the one on the rows that are to come next, of a readout fitted to those before.

    Parameters
    ----------
    sums : GramAccumulator
        The rows so far.
    rows : tuple of features, targets and weights, or None
        Those to come; None where the sums have all.
    alphas : ndarray of shape (n_alphas,)
        The path.
    fit_intercept : bool
        Whether the readout has an intercept.
    """
    if is_on_device(sums.moments) or (rows is not None and is_on_device(rows[0])):
        return False
    if sums.n_rows < 2 * sums.n_features:
        if rows is None:
            return False
        if sums.n_rows < len(rows[0]):
            half = len(rows[0]) // 2
            earlier, rows = _cut(rows, slice(0, half)), _cut(rows, slice(half, None))
            sums = GramAccumulator(sums.n_features, sums.n_targets).update(*earlier)
    if not sums.n_rows:
        return False
    system = NormalEquations(sums, fit_intercept)
    resolved = np.unique(alphas[alphas > system.resolution])
    if len(resolved) < 2:
        return False
    if sums.n_rows < 2 * sums.n_features and rows is not None:
        scores, told = _held_out(system, rows, resolved)
    else:
        scores, told = _cross_validated(system, resolved)
    return bool((told & (scores[1:].min(axis=0) < scores[0])).all())


def _cross_validated(system: NormalEquations, alphas: Floats) -> tuple[Floats, Booleans]:
    """Return GCV scores, up to a factor, and for which targets the first is more than rounding."""
    spectrum = system.decompose()
    residuals, noise = spectrum.squared_residuals(alphas)
    return residuals / spectrum.free_rows(alphas)[:, None] ** 2, residuals[0] > noise[0]


def _held_out(
    system: NormalEquations, rows: tuple[Any, Any, Floats | None], alphas: Floats
) -> tuple[Floats, Booleans]:
    """Return squared errors on other rows, which rounding does not decide."""
    features, targets, weights = rows
    errors = []
    spread = np.linspace(0, len(alphas) - 1, _HELD_OUT_ALPHAS).astype(int)
    for alpha in alphas[np.unique(spread)]:
        coef, _ = system.solve(float(alpha))
        errors.append(targets - system.target_mean - (features - system.feature_mean) @ coef)
    squares = np.square(errors)
    if weights is not None:
        squares *= weights[:, None]
    return squares.sum(axis=1), np.ones(targets.shape[1], dtype=bool)


def _cut(rows: tuple[Any, Any, Floats | None], part: slice) -> tuple[Any, Any, Floats | None]:
    features, targets, weights = rows
    return features[part], targets[part], None if weights is None else weights[part]
