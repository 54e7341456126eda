"""Probabilities of classes: scores turned into log-odds, fitted to held-out rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from reservoir.classification._readout import ClassReadout, RowBlocks, held_out_decisions
from reservoir.readout._features import Readout
from reservoir.utils.explained import explained
from reservoir.utils.types import Floats, Integers

# Scores that differ by less than this, relative to the largest, are equal.
_ALIKE = 1e-13


def calibrate(
    readout: ClassReadout,
    blocks: RowBlocks,
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
    log_odds = Readout(slope * readout.map.state, slope * readout.map.intercept + offset)
    return replace(readout, map=log_odds)


@explained
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
