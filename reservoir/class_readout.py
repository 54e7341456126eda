"""Linear readouts that tell classes apart, and how sure they are of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from reservoir.accumulators import Solver
from reservoir.features import FeatureMap
from reservoir.fitting import RowBuffer
from reservoir.readout import RidgeAccumulator, check_alphas, leave_one_out, solve_ridge
from reservoir.ridge_accumulator import as_factor

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
        """Return d for rows (n_rows, n_columns)."""
        scores: Floats = features @ self.coef.T + self.intercept
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
    buffers: list[RowBuffer] = []
    indicators = np.eye(n_classes)
    as_they_are = FeatureMap(include_input=False)
    for rows, features in blocks():
        while len(buffers) < n_folds:
            accumulator = RidgeAccumulator(
                features.shape[1], n_classes, solver=solver, smallest_alpha=float(candidates.min())
            )
            buffers.append(RowBuffer(accumulator))
        for fold in np.unique(folds[rows]):
            if fold >= 0:
                mine = folds[rows] == fold
                buffers[fold].append(
                    as_they_are,
                    features[mine],
                    features[mine, :0],
                    indicators[codes[rows][mine]],
                    None if weights is None else weights[rows][mine],
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
    """Fit a multinomial logistic regression by scikit-learn.

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
    codes, folds = codes[learned], folds[learned]
    weights = np.ones(len(codes)) if weights is None else weights[learned]

    def without(fold: int, alpha: float) -> LinearMap:
        rest = folds != fold
        return _logistic(features[rest], codes[rest], weights[rest], alpha, n_classes)

    paths, scores = [], []
    for alpha in np.atleast_1d(candidates):
        path = [without(fold, alpha) for fold in range(n_folds)] if n_folds > 1 else []
        paths.append(path)
        if path:
            decisions = held_out_decisions(features, path, folds)
            losses = -log_softmax(decisions, axis=1)[np.arange(len(codes)), codes]
            scores.append(np.average(losses, weights=weights))
    chosen = int(np.argmin(scores)) if scores else 0
    alpha = float(np.atleast_1d(candidates)[chosen])
    return ClassReadout(
        _logistic(features, codes, weights, alpha, n_classes),
        alpha,
        np.array(scores) if candidates.ndim and scores else None,
        paths[chosen],
    )


def _gather(blocks: Blocks, wanted: NDArray[np.bool_]) -> Floats:
    """Return the wanted rows of all blocks, in order."""
    places = np.cumsum(wanted) - 1
    gathered: Floats = np.empty((0, 0))
    for rows, features in blocks():
        if not gathered.size:
            gathered = np.empty((int(wanted.sum()), features.shape[1]))
        gathered[places[rows][wanted[rows]]] = features[wanted[rows]]
    return gathered


def _logistic(
    features: Floats, codes: Integers, weights: Floats, alpha: float, n_classes: int
) -> LinearMap:
    """Fit a readout; a class that no row belongs to gets a score as if one in n + 1 did."""
    present = np.unique(codes)
    coef = np.zeros((n_classes, features.shape[1]))
    intercept = np.full(n_classes, -np.log(len(codes) + 1.0))
    if len(present) == 1:
        intercept[present] = 0.0
        return LinearMap(coef, intercept)
    # The intercept is not penalised, so that centring changes nothing but the number of steps.
    centre = features.mean(axis=0)
    model = LogisticRegression(C=1.0 / alpha, max_iter=10_000, tol=1e-6)
    model.fit(features - centre, codes, sample_weight=weights)
    if len(present) == 2:
        coef[present] = np.outer([-0.5, 0.5], model.coef_[0])
        intercept[present] = np.array([-0.5, 0.5]) * model.intercept_[0]
    else:
        coef[present] = model.coef_
        intercept[present] = model.intercept_
    return LinearMap(coef, intercept - coef @ centre)


def held_out_decisions(
    features: NDArray[np.floating], held_out: list[LinearMap], folds: Integers
) -> Floats:
    """Return the scores of each row by the readout that has not learned from its fold."""
    decisions = np.zeros((len(features), len(held_out[0].intercept)))
    for fold, readout in enumerate(held_out):
        mine = folds == fold
        decisions[mine] = readout(features[mine])
    return decisions


def calibrate(
    readout: ClassReadout,
    blocks: Blocks,
    codes: Integers,
    weights: Floats | None,
    folds: Integers,
) -> float:
    """Return the β of `fit_sharpness` for the held-out scores of a readout; 1 without folds.

    Parameters
    ----------
    readout : ClassReadout
        With the readouts of its folds.
    blocks, codes, weights, folds
        As in `fit_ridge`, for the rows that are to be decided, which need not be those that the
        readout was learned from.

    Returns
    -------
    float
    """
    if not readout.held_out:
        return 1.0
    decisions = np.empty((len(codes), len(readout.map.intercept)))
    for rows, features in blocks():
        decisions[rows] = held_out_decisions(features, readout.held_out, folds[rows])
    kept = folds >= 0
    return fit_sharpness(decisions[kept], codes[kept], None if weights is None else weights[kept])


def fit_sharpness(decisions: Floats, codes: Integers, weights: Floats | None) -> float:
    """Return the β with which softmax(β d) fits the classes of held-out rows best.

    minimise  −Σ_i w[i] Σ_k t[i, k] log softmax(β d[i])_k

    where t is 1 at the true class, but for one case in n + 1 spread over all classes: the rule of
    succession keeps β finite where no held-out row is wrong. β is the inverse of what
    temperature scaling calls temperature [1]_; the order of the classes does not change.

    Parameters
    ----------
    decisions : ndarray of shape (n_rows, n_classes)
        d, from readouts that have not learned from these rows.
    codes : ndarray of int of shape (n_rows,)
        True classes.
    weights : ndarray of shape (n_rows,) or None
        w.

    Returns
    -------
    float

    References
    ----------
    .. [1] Guo, Pleiss, Sun & Weinberger (2017), On calibration of modern neural networks, ICML,
       section 4.2.

    Examples
    --------
    Scores of 1 and 0 that are right in three cases of four, for which e^β = 3:

    >>> import numpy as np
    >>> scores = np.tile([1.0, 0.0], (4000, 1))
    >>> round(float(np.exp(fit_sharpness(scores, np.arange(4000) % 4 // 3, None))), 2)
    3.0
    """
    n_rows = len(decisions)
    doubt = 1.0 / (n_rows + 1)
    spread = float(np.sqrt(np.mean((decisions - decisions.mean(axis=1, keepdims=True)) ** 2)))
    if not spread > 0:
        return 1.0

    def loss(log_sharpness: float) -> float:
        log_p = log_softmax(np.exp(log_sharpness) / spread * decisions, axis=1)
        likely = (1 - doubt) * log_p[np.arange(n_rows), codes] + doubt * log_p.mean(axis=1)
        return -float(np.average(likely, weights=weights))

    # Convex in β, hence with one minimum in log β. The bounds stand for "knows nothing" and
    # "knows all", in units of the spread of the scores.
    result = minimize_scalar(loss, bounds=(np.log(1e-3), np.log(1e3)), method="bounded")
    return float(np.exp(result.x) / spread)
