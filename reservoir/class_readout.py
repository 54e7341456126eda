"""Linear readouts that tell classes apart, and how sure they are of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.special import log_softmax

from reservoir._device import module_of, to_host
from reservoir._readout_rows import sum_of_squares
from reservoir.accumulators import Solver
from reservoir.features import FeatureMap
from reservoir.fitting import RowBuffer
from reservoir.readout import RidgeAccumulator, check_alphas, leave_one_out, solve_ridge
from reservoir.ridge_accumulator import as_factor

# Scores that differ by less than this, relative to the largest, are equal.
_ALIKE = 1e-13

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
# Yields the numbers of the next rows, and what the readout sees of them.
Blocks = Callable[[], Iterator[tuple[slice, NDArray[np.floating]]]]


@dataclass(frozen=True)
class LinearMap:
    """Scores of the classes, d = V s + c.

    Attributes
    ----------
    coef : ndarray of shape (n_classes, n_columns)
        V.
    intercept : ndarray of shape (n_classes,)
        c.
    """

    coef: Floats
    intercept: Floats

    def __call__(self, features: NDArray[np.floating]) -> Floats:
        """Return d for rows (n_rows, n_columns), on the host wherever the rows are."""
        xp = module_of(features)
        scores: Floats = to_host(features @ xp.asarray(self.coef.T)) + self.intercept
        return scores


@dataclass(frozen=True)
class ClassReadout:
    """A readout, how its alpha was chosen, and the readouts of the folds.

    Attributes
    ----------
    map : LinearMap
        Learned from all rows.
    alpha : float
        Its penalty.
    scores : ndarray of shape (n_alphas,) or None
        Held-out loss of each candidate; None where there was one alpha.
    held_out : list of LinearMap
        For each fold, the readout learned from all rows but those of the fold; empty without
        folds.
    """

    map: LinearMap
    alpha: float
    scores: Floats | None = None
    held_out: list[LinearMap] = field(default_factory=list)

    def in_columns(self, basis: Floats) -> ClassReadout:
        """Return the same readout for s, where this one was learned from s · basis."""
        widen = [replace(each, coef=each.coef @ basis.T) for each in (self.map, *self.held_out)]
        return replace(self, map=widen[0], held_out=widen[1:])


def as_blocks(features: Floats) -> Blocks:
    """Return rows that are in memory as a function that yields them, in one block."""
    return lambda: iter([(slice(0, len(features)), features)])


def row_space(features: Floats) -> Floats:
    """Return an orthonormal basis of what the differences of rows span.

    A penalised readout with a free intercept lies in that span: with fewer rows than columns it
    is learned from as many columns as there are rows, and is the same.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_columns)
        Rows.

    Returns
    -------
    ndarray of shape (n_columns, min(n_rows, n_columns))
    """
    basis: Floats = np.linalg.qr((features - features.mean(axis=0)).T)[0]
    return basis


def stratified_folds(codes: Integers, n_folds: int) -> Integers:
    """Return a fold for each unit: within each class, contiguous runs of nearly equal lengths.

    Neighbours in time stay together, and every class with at least two members is in the rest of
    every fold. Where no class has as many members as there are folds, there are fewer folds; one
    fold says that nothing can be held out.

    Examples
    --------
    >>> import numpy as np
    >>> stratified_folds(np.array([0, 0, 1, 0, 1, 0]), 2)
    array([0, 0, 0, 1, 1, 1])
    """
    counts = np.bincount(codes)
    n_folds = min(n_folds, int(counts.max()))
    order = np.argsort(codes, kind="stable")
    ranks = np.empty(len(codes), dtype=np.intp)
    ranks[order] = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks * n_folds // counts[codes]


def fit_ridge(
    blocks: Blocks,
    codes: Integers,
    weights: Floats | None,
    folds: Integers,
    alphas: ArrayLike,
    *,
    n_classes: int,
    solver: Solver | Literal["auto"],
) -> ClassReadout:
    """Fit a ridge regression of class indicators (1 for a row's class, else 0).

    Parameters
    ----------
    blocks : callable
        () -> iterator over blocks of rows: their numbers and their features.
    codes : ndarray of int of shape (n_rows,)
        Class of each row.
    weights : ndarray of shape (n_rows,) or None
        Weight of each row's squared error.
    folds : ndarray of int of shape (n_rows,)
        Fold of each row; negative for rows that are not learned from. A single fold is none.
    alphas : float or array-like of shape (n_alphas,)
        Penalties; the one with the least held-out squared error is taken (by generalised
        cross-validation where there are no folds).
    n_classes : int
        Number of classes.
    solver : {"auto", "gram", "qr"}
        As in `RidgeAccumulator`.

    Returns
    -------
    ClassReadout

    References
    ----------
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, section 4.2.
    """
    candidates = check_alphas(alphas, name="alpha")
    n_folds = int(folds.max()) + 1
    buffers: list[RowBuffer[RidgeAccumulator]] = []
    indicators = np.eye(n_classes)
    as_they_are = FeatureMap(include_input=False)
    for rows, features in blocks():
        xp = module_of(features)
        while len(buffers) < n_folds:
            accumulator = RidgeAccumulator(
                features.shape[1], n_classes, solver=solver, smallest_alpha=float(candidates.min())
            )
            buffers.append(RowBuffer(accumulator))
        for fold in np.unique(folds[rows]):
            if fold >= 0:
                mine = folds[rows] == fold
                taken = features[xp.asarray(mine)]
                buffers[fold].append(
                    as_they_are,
                    taken,
                    taken[:, :0],
                    xp.asarray(indicators[codes[rows][mine]]),
                    None if weights is None else xp.asarray(weights[rows][mine]),
                )
    for buffer in buffers:
        buffer.flush()
    parts = [buffer.accumulator for buffer in buffers]
    total = parts[0].copy()
    for part in parts[1:]:
        total.merge(part)
    solution = solve_ridge(total, candidates, selection=parts if n_folds > 1 else "gcv")
    held_out = []
    if n_folds > 1:
        sums = [part.sums for part in parts]
        if any(part.solver_used == "qr" for part in parts):
            sums = [as_factor(part) for part in sums]
        for rest in leave_one_out(sums):
            without = solve_ridge(rest, solution.alpha)
            held_out.append(LinearMap(without.coef, without.intercept))
    return ClassReadout(
        LinearMap(solution.coef, solution.intercept),
        float(solution.alpha),
        solution.scores,
        held_out,
    )


def fit_logistic(
    blocks: Blocks,
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
    chosen = int(scores.argmin()) if held_out else 0
    alpha = float(path[chosen])
    return ClassReadout(
        _logistic_path(features, codes, weights, path[: chosen + 1], n_classes)[-1],
        alpha,
        scores[np.searchsorted(-path, -candidates)] if candidates.ndim and held_out else None,
        held_out[chosen] if held_out else [],
    )


def _gather(blocks: Blocks, wanted: NDArray[np.bool_]) -> Floats:
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
) -> list[LinearMap]:
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
        readouts.append(LinearMap(maps, coef[-1] - maps @ centre))
    return readouts


def log_loss(decisions: Floats, codes: Integers, weights: Floats) -> float:
    """Return the mean of −log softmax(d) at the true class."""
    losses = -log_softmax(decisions, axis=1)[np.arange(len(codes)), codes]
    return float(np.average(losses, weights=weights))


def held_out_decisions(
    features: NDArray[np.floating], held_out: list[LinearMap], folds: Integers
) -> Floats:
    """Return the scores of each row by the readout that has not learned from its fold."""
    decisions = np.zeros((len(features), len(held_out[0].intercept)))
    for fold, readout in enumerate(held_out):
        mine = folds == fold
        decisions[mine] = readout(features[module_of(features).asarray(mine)])
    return decisions


def calibrate(
    readout: ClassReadout,
    blocks: Blocks,
    codes: Integers,
    weights: Floats | None,
    folds: Integers,
) -> ClassReadout:
    """Return the readout whose scores are log-odds: softmax of them gives probabilities.

    d' = β d + b, with β and b fitted to held-out scores by `fit_calibration`.

    Parameters
    ----------
    readout : ClassReadout
        With the readouts of its folds; without, it is returned as it is.
    blocks, codes, weights, folds
        As in `fit_ridge`, for the rows that are to be decided, which need not be those that the
        readout was learned from.

    Returns
    -------
    ClassReadout
    """
    if not readout.held_out:
        return readout
    decisions = np.empty((len(codes), len(readout.map.intercept)))
    for rows, features in blocks():
        decisions[rows] = held_out_decisions(features, readout.held_out, folds[rows])
    kept = folds >= 0
    weights = np.ones(len(codes)) if weights is None else weights
    slope, offset = fit_calibration(decisions[kept], codes[kept], weights[kept])
    log_odds = LinearMap(slope * readout.map.coef, slope * readout.map.intercept + offset)
    return replace(readout, map=log_odds)


def fit_calibration(decisions: Floats, codes: Integers, weights: Floats) -> tuple[float, Floats]:
    """Return the β and b with which softmax(β d + b) fits the classes of held-out rows best.

    minimise  −Σ_i w[i] Σ_k t[i, k] log softmax(β d[i] + b)_k + ½ ‖β d̄ + b − log π‖²,   β ≥ 0

    Temperature scaling with a bias [1]_. In t, 1 at the true class, one case in n + 1 is spread
    over all classes: the rule of succession keeps β finite where no held-out row is wrong [2]_.
    The last term, with d̄ the mean scores and π the frequencies of the classes, weighs as much as
    a few rows; a readout that knows nothing ends up at β = 0 and the frequencies.

    Parameters
    ----------
    decisions : ndarray of shape (n_rows, n_classes)
        d, from readouts that have not learned from these rows.
    codes : ndarray of int of shape (n_rows,)
        True classes; each occurs.
    weights : ndarray of shape (n_rows,)
        w.

    Returns
    -------
    slope : float
        β.
    offset : ndarray of shape (n_classes,)
        b.

    References
    ----------
    .. [1] Guo, Pleiss, Sun & Weinberger (2017), On calibration of modern neural networks, ICML,
       section 4.2.
    .. [2] Platt (1999), Probabilistic outputs for support vector machines, section 2.2, where
       targets are smoothed for the same reason.

    Examples
    --------
    Scores of 1 and 0 that are right in three cases of four, for which e^β = 3:

    >>> import numpy as np
    >>> codes = np.arange(4000) % 2
    >>> scores = np.eye(2)[np.where(np.arange(4000) % 8 < 6, codes, 1 - codes)]
    >>> slope, offset = fit_calibration(scores, codes, np.ones(4000))
    >>> round(float(np.exp(slope)), 2), bool(np.ptp(offset) < 1e-3)
    (3.0, True)
    """
    n_rows, n_classes = decisions.shape
    weights = weights / weights.mean()
    frequencies = np.bincount(codes, weights, minlength=n_classes) / n_rows
    log_prior = np.log(frequencies)
    centre = np.average(decisions, axis=0, weights=weights)
    spread = float(np.abs(decisions - centre).max())
    if spread <= _ALIKE * np.abs(decisions).max():
        spread = np.inf  # what differs by rounding says nothing: β = 0
    scaled = (decisions - centre) / spread
    doubt = 1.0 / (n_rows + 1)
    targets = (1.0 - doubt) * np.eye(n_classes)[codes] + doubt / n_classes

    def objective(parameters: Floats) -> tuple[float, Floats]:
        slope, bias = parameters[0], parameters[1:]
        log_p = log_softmax(slope * scaled + bias, axis=1)
        loss = -np.sum(weights[:, None] * targets * log_p) + np.sum((bias - log_prior) ** 2) / 2
        slopes = weights[:, None] * (np.exp(log_p) - targets)
        gradient = np.append(np.sum(slopes * scaled), slopes.sum(axis=0) + bias - log_prior)
        return float(loss) / n_rows, gradient / n_rows

    found = minimize(
        objective,
        np.append(1.0, log_prior),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] + [(None, None)] * n_classes,
        options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-8},
    )
    slope = float(found.x[0]) / spread
    return slope, found.x[1:] - slope * centre
