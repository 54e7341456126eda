"""Ridge regressions for tests, and their solution by plain least squares."""

import itertools

import numpy as np
import pytest

from reservoir.readout import (
    GramAccumulator,
    QRAccumulator,
)

BOTH = pytest.mark.parametrize("kind", [GramAccumulator, QRAccumulator])


INTERCEPT = pytest.mark.parametrize("fit_intercept", [True, False])


def accumulate(kind, s, y, weight=None, edges=()):
    sums = kind(s.shape[1], y.shape[1])
    for start, stop in itertools.pairwise([0, *edges, len(s)]):
        sums.update(s[start:stop], y[start:stop], None if weight is None else weight[start:stop])
    return sums


def plain_ridge(s, y, alpha, weight=None, fit_intercept=True):
    """Ridge as least squares with √α I as more rows: slow, obvious."""
    weight = np.ones(len(s)) if weight is None else weight
    s_mean = weight @ s / weight.sum() if fit_intercept else np.zeros(s.shape[1])
    y_mean = weight @ y / weight.sum() if fit_intercept else np.zeros(y.shape[1])
    root = np.sqrt(weight)[:, None]
    rows = np.vstack([root * (s - s_mean), np.sqrt(alpha) * np.eye(s.shape[1])])
    right = np.vstack([root * (y - y_mean), np.zeros((s.shape[1], y.shape[1]))])
    coef = np.linalg.lstsq(rows, right, rcond=None)[0].T
    return coef, y_mean - coef @ s_mean


def assert_same(solution, other, rtol=1e-9):
    np.testing.assert_allclose(
        solution.coef, other.coef, rtol=rtol, atol=rtol * np.abs(other.coef).max()
    )
    np.testing.assert_allclose(
        solution.intercept, other.intercept, rtol=rtol, atol=rtol * np.abs(other.intercept).max()
    )
