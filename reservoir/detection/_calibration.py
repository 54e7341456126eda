"""From errors that a model made on steps it had not learned to scores, and to a threshold."""

from __future__ import annotations

import numpy as np
from scipy.stats import genpareto

from reservoir.utils.types import Floats

# Of normally distributed values, a standard deviation in median absolute deviations.
_NORMAL_MAD = 1.4826
# Directions of less than this share of the largest variance are taken to have that much.
_LEAST_VARIANCE = 1e-8
# Beyond the threshold so many steps are expected where the quantile is taken as it stands.
_ENOUGH_BEYOND = 100
# Largest scores that a tail is fitted to: a share of all, within bounds.
_TAIL_SHARE, _LEAST_TAIL = 0.05, 10


def robust_spread(errors: Floats, seed: int) -> tuple[Floats, Floats]:
    """Return location and whitening matrix of errors, whatever a minority of them is like.

    Parameters
    ----------
    errors : ndarray of shape (n_rows, n_features)
        Two rows or more.
    seed : int
        Of the random subsets.

    Returns
    -------
    location : ndarray of shape (n_features,)
    whitening : ndarray of shape (n_features, n_features)
        L with L Lᵀ = S⁻¹, by which (e - location) L has about unit covariance.
    """
    n_rows, n_features = errors.shape
    if n_features == 1 or n_rows < 5 * n_features:
        # One by one: too few rows for how they go together.
        location = np.median(errors, axis=0)
        spread = _NORMAL_MAD * np.median(abs(errors - location), axis=0)
        spread = np.where(spread > 0, spread, errors.std(axis=0))
        covariance = np.diag(np.square(spread))
    else:
        from sklearn.covariance import MinCovDet  # here, since it is slow to import

        unit = np.abs(errors).max() or 1.0  # squares overflow otherwise
        found = MinCovDet(random_state=seed).fit(errors / unit)
        location, covariance = unit * found.location_, found.covariance_
        values, vectors = np.linalg.eigh(covariance)
        return location, vectors / np.sqrt(_floored(values)) / unit
    return location, np.diag(1 / np.sqrt(_floored(np.diag(covariance))))


def _floored(variances: Floats) -> Floats:
    largest = variances.max()
    if largest <= 0:
        return np.ones_like(variances)
    floored: Floats = np.maximum(variances, _LEAST_VARIANCE * largest)
    return floored


def squared_distances(errors: Floats, location: Floats, whitening: Floats) -> Floats:
    """Return d² = (e - μ)ᵀ S⁻¹ (e - μ) of rows of errors."""
    distances: Floats = np.square((errors - location) @ whitening).sum(axis=1)
    return distances


def threshold_for(scores: Floats, rate: float) -> float:
    r"""Return what a share `rate` of further scores is expected to lie beyond.

    Where 100 or more of the scores lie beyond it, their quantile. Where fewer do, a generalised
    Pareto distribution of the excesses over a lower threshold u, the largest twentieth (10 at
    least) lying beyond u [1]_:

    .. math:: z = u + \frac{\sigma}{\xi} \left( \left( \frac{q n}{k} \right)^{-\xi} - 1 \right)

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Of steps that the model had not learned.
    rate : float
        q, in (0, 1).

    References
    ----------
    .. [1] Siffer, Fouque, Termier & Largouët (2017), Anomaly detection in streams with extreme
       value theory, KDD, eq. 1.
    """
    n_scores = len(scores)
    n_tail = min(max(int(_TAIL_SHARE * n_scores), _LEAST_TAIL), n_scores - 1)
    if rate * n_scores >= min(_ENOUGH_BEYOND, n_tail):
        return float(np.quantile(scores, 1 - rate))
    ordered = np.sort(scores)
    start, excesses = ordered[-n_tail - 1], ordered[-n_tail:] - ordered[-n_tail - 1]
    unit = excesses.mean()
    if not unit > 0:
        return float(ordered[-1])
    shape, _, scale = genpareto.fit(excesses / unit, floc=0)
    further = genpareto.isf(rate * n_scores / n_tail, shape, scale=scale)
    return float(start + unit * further)
