"""Ridge readouts of classes: regression of class indicators, and of each fold."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from reservoir.classification._readout import ClassReadout, RowBlocks
from reservoir.harvest._buffer import RowBuffer
from reservoir.readout._accumulator import RidgeAccumulator, as_factor, leave_one_out
from reservoir.readout._features import FeatureMap, Readout
from reservoir.readout._solve import check_alphas, solve_ridge
from reservoir.readout._sums import Solver
from reservoir.utils.device import module_of
from reservoir.utils.types import Floats, Integers


def fit_ridge(
    blocks: RowBlocks,
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
                features.shape[1],
                n_classes,
                solver=solver,
                smallest_alpha=float(candidates.min()),
                keeps_few=candidates.ndim > 0 and n_folds == 1,
            )
            buffers.append(RowBuffer(accumulator))
        for fold in np.unique(folds[rows]):
            if fold >= 0:
                of_fold = folds[rows] == fold
                taken = features[xp.asarray(of_fold)]
                buffers[fold].append(
                    as_they_are,
                    taken,
                    taken[:, :0],
                    xp.asarray(indicators[codes[rows][of_fold]]),
                    None if weights is None else xp.asarray(weights[rows][of_fold]),
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
            held_out.append(Readout(without.coef, without.intercept))
    return ClassReadout(
        Readout(solution.coef, solution.intercept),
        float(solution.alpha),
        solution.scores,
        held_out,
    )
