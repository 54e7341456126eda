"""The online learners compiled by numba; imported only where numba is installed.

Same arguments and same results, to rounding, as the plain functions of the same purpose. Sums may
be gathered in any order; nothing else of fast-math is on where NaN and infinity matter.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reservoir.utils.compiling import ANY_ORDER, called, compiled, written_out


@called(**ANY_ORDER)
def _dot(a: Any, b: Any) -> Any:
    """Return the sum of a[i] b[i]."""
    total = 0.0
    for i in range(np.uint64(len(a))):
        total += a[i] * b[i]
    return total


@called(**ANY_ORDER)
def _add_multiple(factor: Any, a: Any, out: Any) -> None:
    """Add factor * a to `out`."""
    for i in range(np.uint64(len(a))):
        out[i] += factor * a[i]


@written_out
def _transposed_product(root: Any, vector: Any, out: Any) -> None:
    """Write Rᵀ v to `out`, four rows of R at a time: `out` is then loaded a quarter as often."""
    one, n = np.uint64(1), np.uint64(len(out))
    for i in range(n):
        out[i] = 0.0
    n_fours = n // np.uint64(4)
    for four in range(n_fours):
        k = four * np.uint64(4)
        r0, r1 = root[k], root[k + one]
        r2, r3 = root[k + np.uint64(2)], root[k + np.uint64(3)]
        v0, v1 = vector[k], vector[k + one]
        v2, v3 = vector[k + np.uint64(2)], vector[k + np.uint64(3)]
        for i in range(n):
            out[i] += v0 * r0[i] + v1 * r1[i] + v2 * r2[i] + v3 * r3[i]
    for rest in range(n_fours * np.uint64(4), n):
        _add_multiple(vector[rest], root[rest], out)


@written_out
def _add_products(error: Any, gain: Any, coef: Any) -> None:
    """Add error gainᵀ to the coefficients."""
    for o in range(len(error)):
        _add_multiple(error[o], gain, coef[o])


@written_out
def _fold_in(
    root: Any, coef: Any, phi: Any, error: Any, weight: Any, scale: Any, gain: Any
) -> None:
    """Add a row to the problem, without forgetting: `phi` = Rᵀ s, `scale` = 1 + w φᵀφ.

    Once φ is known, each row of R sees only itself: it is loaded once for its product with φ and
    for its update.
    """
    factor = weight / (scale + math.sqrt(scale))
    for k in range(np.uint64(len(phi))):
        row = root[k]
        product = _dot(row, phi)
        gain[k] = product * (weight / scale)
        _add_multiple(-factor * product, phi, row)
    _add_products(error, gain, coef)


@written_out
def _forget_and_fold_in(
    root: Any,
    coef: Any,
    phi: Any,
    error: Any,
    weight: Any,
    scale: Any,
    forgetting: Any,
    turn: Any,
    missing: Any,
    scratch: Any,
) -> None:
    """Fade what was learned, add a row, and top up a penalty while each row of R is at hand."""
    factor = weight / (scale + math.sqrt(forgetting * scale))
    growth = 1.0 / math.sqrt(forgetting)
    n = np.uint64(len(phi))
    gain, unit, unit_gain = scratch[0], scratch[1], scratch[2]
    # The row of the unit vector that comes second, as the first update will leave it.
    first_step = factor * _dot(root[turn], phi)
    for i in range(n):
        unit[i] = (root[turn, i] - first_step * phi[i]) * growth
    unit_scale = 1.0 + missing * _dot(unit, unit)
    unit_factor = missing / (unit_scale + math.sqrt(unit_scale))
    for k in range(n):
        row = root[k]
        product = _dot(row, phi)
        gain[k] = product * (weight / scale)
        step = factor * product
        for i in range(n):
            row[i] = (row[i] - step * phi[i]) * growth
        product = _dot(row, unit)
        unit_gain[k] = product * (missing / unit_scale)
        _add_multiple(-unit_factor * product, unit, row)
    _add_products(error, gain, coef)
    for o in range(len(error)):
        error[o] = -coef[o, turn]
    _add_products(error, unit_gain, coef)


@compiled(**ANY_ORDER)
def learn_least_squares(
    features: Any,
    targets: Any,
    weights: Any,
    outputs: Any,
    root: Any,
    penalties: Any,
    coef: Any,
    feature_mean: Any,
    target_mean: Any,
    total: Any,
    alpha: float,
    forgetting: float,
    n_turns: int | None,
    turn: int,
    fit_intercept: bool,
) -> int:
    """See `_least_squares._learn_rows`."""
    n, n_targets = features.shape[1], targets.shape[1]
    scratch, error = np.empty((5, n)), np.empty(n_targets)
    difference, phi = scratch[3], scratch[4]
    for t in range(len(features)):
        weight, before = weights[t], forgetting * total[0]
        for k in range(n):
            difference[k] = features[t, k] - feature_mean[k]
        _transposed_product(root, difference, phi)
        for o in range(n_targets):
            outputs[t, o] = target_mean[o] + _dot(coef[o], difference)
            error[o] = targets[t, o] - outputs[t, o]
        share = weight
        if fit_intercept:
            share = weight * before / (before + weight) if weight > 0 else 0.0
        scale = forgetting + share * _dot(phi, phi)
        if not math.isfinite(scale):
            return t
        if n_turns is None:
            _fold_in(root, coef, phi, error, share, scale, scratch[0])
        else:
            for k in range(n):
                penalties[k] *= forgetting
            missing = alpha - penalties[turn]
            _forget_and_fold_in(
                root, coef, phi, error, share, scale, forgetting, turn, missing, scratch
            )
            penalties[turn] = alpha
            turn = (turn + 1) % n
            for _ in range(n_turns - 1):
                for k in range(n):
                    phi[k] = root[turn, k]
                for o in range(n_targets):
                    error[o] = -coef[o, turn]
                missing = alpha - penalties[turn]
                scale = 1.0 + missing * _dot(phi, phi)
                _fold_in(root, coef, phi, error, missing, scale, scratch[0])
                penalties[turn] = alpha
                turn = (turn + 1) % n
        if fit_intercept:
            total[0] = before + weight
            if weight > 0:
                part = weight / total[0]
                for o in range(n_targets):
                    target_mean[o] += part * (targets[t, o] - target_mean[o])
                _add_multiple(part, difference, feature_mean)
    return len(features)


@compiled(**ANY_ORDER)
def learn_mean_squares(
    features: Any,
    targets: Any,
    weights: Any,
    outputs: Any,
    coef: Any,
    intercept: Any,
    learning_rate: float,
    normalized: bool,
    fit_intercept: bool,
) -> int:
    """See `_mean_squares._learn_rows`."""
    for t in range(len(features)):
        row = features[t]
        power = _dot(row, row) + (1.0 if fit_intercept else 0.0)
        if not math.isfinite(power):
            return t
        rate = weights[t] * learning_rate
        if normalized:
            rate = rate / power if power > 0 else 0.0
        for o in range(targets.shape[1]):
            outputs[t, o] = intercept[o] + _dot(coef[o], row)
            error = targets[t, o] - outputs[t, o]
            _add_multiple(rate * error, row, coef[o])
            if fit_intercept:
                intercept[o] += rate * error
    return len(features)
