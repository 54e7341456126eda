"""Logistic readouts: multinomial regression over a path of ridge penalties."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.special import log_softmax

from reservoir.classification._readout import ClassReadout, RowBlocks, held_out_decisions
from reservoir.readout._features import Readout
from reservoir.readout._rows import sum_of_squares
from reservoir.readout._solve import check_alphas
from reservoir.utils.device import to_host
from reservoir.utils.types import Floats, Integers


def fit_logistic(
    blocks: RowBlocks,
    codes: Integers,
    weights: Floats | None,
    folds: Integers,
    alphas: ArrayLike,
    *,
    n_classes: int,
) -> ClassReadout:
    """Fit a multinomial logistic regression.

    minimise  −Σ_i w[i] log softmax(V s[i] + c)_{class of i} + α/2 ‖V‖²

    Parameters
    ----------
    blocks, codes, weights, folds, n_classes
        As in `fit_ridge`; here all rows are kept in memory.
    alphas : float or array-like of shape (n_alphas,)
        Penalties, positive; of several, the one with the least held-out log loss is taken.

    Returns
    -------
    ClassReadout

    Raises
    ------
    ValueError
        If an alpha is not positive, or one of several is to be chosen without folds.
    """
    candidates = check_alphas(alphas, name="alpha")
    if not (candidates > 0).all():
        raise ValueError(
            f"`alpha` is {alphas!r}, but a logistic readout needs a positive penalty: without one, "
            "classes that can be separated have no best readout. Pass for instance 1e-3."
        )
    n_folds = int(folds.max()) + 1
    if candidates.ndim and len(candidates) > 1 and n_folds < 2:
        raise ValueError(
            f"`alpha` holds {len(candidates)} candidates, but there is nothing to choose by: a "
            "logistic readout needs held-out folds. Set `cv`, give each class more members, or "
            "pass one alpha."
        )
    learned = folds >= 0
    features = _gather(blocks, learned)
    if not np.isfinite(sum_of_squares(features)):
        raise ValueError(
            "`X` holds numbers whose squares exceed the float64 range. Rescale them, or set "
            "`include_input` to False."
        )
    codes, folds = codes[learned], folds[learned]
    weights = np.ones(len(codes)) if weights is None else weights[learned]
    path = np.sort(np.atleast_1d(candidates))[::-1]
    readouts = []
    for fold in range(n_folds if n_folds > 1 else 0):
        rest = folds != fold
        readouts.append(_logistic_path(features[rest], codes[rest], weights[rest], path, n_classes))
    held_out = [list(each) for each in zip(*readouts, strict=True)]
    scores = np.array(
        [log_loss(held_out_decisions(features, maps, folds), codes, weights) for maps in held_out]
    )
    chosen = int(np.where(np.isnan(scores), np.inf, scores).argmin()) if held_out else 0
    alpha = float(path[chosen])
    return ClassReadout(
        _logistic_path(features, codes, weights, path[: chosen + 1], n_classes)[-1],
        alpha,
        scores[np.searchsorted(-path, -candidates)] if candidates.ndim and held_out else None,
        held_out[chosen] if held_out else [],
    )


def _gather(blocks: RowBlocks, wanted: NDArray[np.bool_]) -> Floats:
    """Return the wanted rows of all blocks, in order."""
    places = np.cumsum(wanted) - 1
    gathered: Floats = np.empty((0, 0))
    for rows, features in blocks():
        if not gathered.size:
            gathered = np.empty((int(wanted.sum()), features.shape[1]))
        gathered[places[rows][wanted[rows]]] = to_host(features)[wanted[rows]]
    return gathered


def _logistic_path(
    features: Floats, codes: Integers, weights: Floats, alphas: Floats, n_classes: int
) -> list[Readout]:
    """Fit a readout for each of falling alphas, each starting from the one before.

    Quasi-Newton steps on principal axes, each scaled by the curvature along it where the path has
    come to: without, small alphas take ten thousand steps on reservoir states.
    """
    centre = np.average(features, axis=0, weights=weights)
    centred = features - centre
    _, axes = eigh((centred * weights[:, None]).T @ centred)
    columns = np.column_stack([centred @ axes, np.ones(len(features))])
    targets, weights = np.eye(n_classes)[codes], weights[:, None]
    coef = np.zeros((columns.shape[1], n_classes))
    readouts = []
    for alpha in alphas:
        penalty = np.append(np.full(len(axes), alpha), 0.0)[:, None]
        log_p = log_softmax(columns @ coef, axis=1)
        p = np.exp(log_p)
        start = float(np.sum(penalty * coef**2) / 2 - np.sum(weights * targets * log_p))
        curvature = np.square(columns).T @ (weights * p * (1.0 - p)) + penalty
        # A class that is never or always there leaves no curvature for its intercept.
        scale = 1.0 / np.sqrt(np.maximum(curvature, 1e-12 * curvature.max()))

        def objective(
            parameters: Floats,
            penalty: Floats = penalty,
            scale: Floats = scale,
            unit: float = start,
        ) -> tuple[float, Floats]:
            coef = scale * parameters.reshape(scale.shape)
            log_p = log_softmax(columns @ coef, axis=1)
            loss = np.sum(penalty * coef**2) / 2 - np.sum(weights * targets * log_p)
            slope = columns.T @ (weights * (np.exp(log_p) - targets)) + penalty * coef
            return float(loss) / unit, (scale * slope).ravel() / unit

        found = minimize(
            objective,
            (coef / scale).ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 1000, "maxcor": 20, "ftol": 1e-9, "gtol": 1e-6},
        )
        coef = scale * found.x.reshape(coef.shape)
        maps = (axes @ coef[:-1]).T
        readouts.append(Readout(maps, coef[-1] - maps @ centre))
    return readouts


def log_loss(decisions: Floats, codes: Integers, weights: Floats) -> float:
    """Return the mean of −log softmax(d) at the true class."""
    losses = -log_softmax(decisions, axis=1)[np.arange(len(codes)), codes]
    return float(np.average(losses, weights=weights))
