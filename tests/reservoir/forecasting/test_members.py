"""Readouts against numpy's least squares, forecasts against loops that go step by step."""

import numpy as np
import pytest

from reservoir.dynamics import Reservoir
from reservoir.forecasting._features import MemberView, Rows, SpaceScaling, choose_lags
from reservoir.forecasting._members import forecast_direct, forecast_iterated, learn
from reservoir.forecasting._ridge import EXPONENTS, RidgePath
from reservoir.forecasting._spaces import Space

VIEWS = [
    MemberView(has_states, has_fourier, has_inputs)
    for has_states in (False, True)
    for has_fourier in (False, True)
    for has_inputs in (False, True)
]
SPACES = [Space(False, 0, 0), Space(True, 0, 1), Space(False, 12, 0), Space(True, 12, 1)]
N, HORIZON = 150, 8
ORIGINS = np.array([100, 107, 120, 135])


def make_reservoir(rng, n_inputs):
    recurrent = rng.normal(size=(20, 20)) / 6
    return Reservoir(recurrent, rng.normal(size=(20, 1 + n_inputs)), rng.normal(size=20) / 5)


def make_rows(rng, space, n_inputs=0):
    t = np.arange(N)
    y = 20 + 5 * np.sin(2 * np.pi * t / 12) + 0.05 * t + rng.normal(size=N)
    inputs = rng.normal(size=(N + HORIZON, n_inputs))
    z = space.forward(space.axis(y[:100]))
    scaling = SpaceScaling.of(z, space.forward(inputs[:100]))
    lags = choose_lags(100 - space.n_lost, [12])
    return Rows(space, space.axis(y), inputs, lags, (12,), scaling), y, inputs


def by_hand(y, inputs, space, view, reservoir, rows, readouts, penalty, origin):
    """Return the forecast of one origin and penalty, each step written out."""
    lost, s = space.n_lost, rows.scaling
    w = list(np.log(y[:origin]) if space.log else y[:origin])
    coef = readouts.coefs[penalty, :, 0]
    moved = [np.array(row) for row in inputs]
    if space.season:
        moved = [moved[t] - moved[t - space.season] for t in range(space.season, len(moved))]
    if space.difference:
        moved = [moved[t] - moved[t - 1] for t in range(1, len(moved))]
    moved = [(row - s.input_mean) / s.input_scale for row in moved]

    def difference(t):
        change = w[t]
        if space.season:
            change -= w[t - space.season]
        if space.difference:
            before = w[t - 1] - (w[t - 1 - space.season] if space.season else 0.0)
            change -= before
        return change

    for _ in range(HORIZON):
        z = [(difference(t) - s.mean) / s.scale for t in range(lost, len(w))]
        features = [z[len(z) - 1 - lag] for lag in rows.lags]
        if view.has_fourier:
            step = len(w)
            for k in (1, 2, 3, 4):
                features += [np.sin(2 * np.pi * k * step / 12), np.cos(2 * np.pi * k * step / 12)]
        if view.has_inputs:
            features += [*moved[len(z)], *moved[len(z) - 1]]
        if view.has_states:
            x = np.zeros(reservoir.n_units)
            for t, value in enumerate(z):
                u = np.r_[value, moved[t + 1]] if reservoir.n_inputs > 1 else np.r_[value]
                x = np.tanh(reservoir.recurrent @ x + reservoir.input @ u + reservoir.bias)
            features += list(x)
        ahead = float(np.dot(features, coef) + readouts.intercepts[penalty, 0])
        change = ahead * s.scale + s.mean
        t = len(w)
        if space.difference:
            change += w[t - 1] - (w[t - 1 - space.season] if space.season else 0.0)
        if space.season:
            change += w[t - space.season]
        w.append(change)
    return w[origin:]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("space", SPACES)
def test_all_origins_and_penalties_at_once_are_those_of_steps_by_hand(view, space, rng):
    n_inputs = 2 if view.has_inputs else 0
    reservoir = make_reservoir(rng, n_inputs)
    rows, y, inputs = make_rows(rng, space, n_inputs)
    features = rows.features(view, reservoir)
    readouts = learn(rows, features, np.ones(N, bool), 100, None, None)
    assert len(readouts.penalties) >= 1
    found = forecast_iterated(rows, view, reservoir, readouts, ORIGINS, HORIZON)
    for penalty in range(len(readouts.penalties)):
        for path, origin in zip(found[penalty], ORIGINS, strict=True):
            expected = by_hand(y, inputs, space, view, reservoir, rows, readouts, penalty, origin)
            np.testing.assert_allclose(path, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("space", SPACES)
def test_direct_forecasts_are_a_ridge_regression_of_the_change_from_the_base(space, rng):
    reservoir, view = make_reservoir(rng, 0), MemberView(True)
    rows, _, _ = make_rows(rng, space)
    features = rows.features(view, reservoir)
    readouts = learn(rows, features, np.ones(N, bool), 100, HORIZON, 5)
    w, lost = rows.w, space.n_lost
    seen, targets = [], []
    for origin in range(rows.first + lost + 1, 100 - HORIZON + 1):
        base = space.base(w, np.array([origin]), HORIZON)[0]
        seen.append(features[origin - 1 - lost - rows.first])
        targets.append((w[origin : origin + HORIZON] - base) / rows.scaling.scale)
    seen, targets = np.array(seen), np.array(targets)
    alpha = len(seen) * 10.0 ** EXPONENTS[5]
    centred = seen - seen.mean(axis=0)
    coef = np.linalg.solve(
        centred.T @ centred + alpha * np.eye(centred.shape[1]), centred.T @ targets
    )
    np.testing.assert_allclose(readouts.coefs[0], coef, rtol=1e-7, atol=1e-9)
    at = ORIGINS - 1 - lost
    found = forecast_direct(rows, features[at - rows.first], readouts, ORIGINS)[0]
    last = features[at - rows.first] - seen.mean(axis=0)
    change = (last @ coef + targets.mean(axis=0)) * rows.scaling.scale
    np.testing.assert_allclose(found, space.base(w, ORIGINS, HORIZON) + change, rtol=1e-8)


def test_penalties_begin_with_the_lowest_generalised_cross_validation(rng):
    features = rng.normal(size=(60, 8))
    targets = features[:, :2] @ rng.normal(size=(2, 3)) + rng.normal(size=(60, 3))
    scores = []
    for alpha in 60 * 10.0**EXPONENTS:
        x = features - features.mean(axis=0)
        hat = x @ np.linalg.solve(x.T @ x + alpha * np.eye(8), x.T) + 1 / 60
        residuals = targets - hat @ targets
        scores.append((residuals**2).sum() / (60 - np.trace(hat)) ** 2)
    best = int(np.argmin(scores))
    tried = RidgePath(features, targets).tried()
    assert tried == list(range(best, min(best + 3, len(EXPONENTS))))


def test_gaps_are_no_targets(rng):
    """Values that stand in for missing ones don't change what is learned of them."""
    view, space = MemberView(False), Space(False, 0, 0)
    rows, _, _ = make_rows(rng, space)
    observed = np.ones(N, bool)
    observed[90:99] = False
    features = rows.features(view, make_reservoir(rng, 0))
    kept = learn(rows, features, observed, 100, None, 3)
    without = [t for t in range(rows.first, 99) if observed[t + 1]]
    x, target = features[np.array(without) - rows.first], rows.z[np.array(without) + 1]
    x0 = x - x.mean(axis=0)
    alpha = len(x) * 10.0 ** EXPONENTS[3]
    coef = np.linalg.solve(x0.T @ x0 + alpha * np.eye(x.shape[1]), x0.T @ target)
    np.testing.assert_allclose(kept.coefs[0, :, 0], coef, rtol=1e-8, atol=1e-10)


def test_a_free_run_that_grows_is_cut_off(rng):
    rows, _, _ = make_rows(rng, Space(False, 0, 0))
    view, reservoir = MemberView(False), make_reservoir(rng, 0)
    features = rows.features(view, reservoir)
    readouts = learn(rows, features, np.ones(N, bool), 100, None, 0)
    readouts.coefs[:] = 0
    readouts.coefs[0, 0, 0] = 4.0
    found = forecast_iterated(rows, view, reservoir, readouts, ORIGINS, 60)
    highest = 30 * rows.scaling.scale + rows.scaling.mean
    lowest = -30 * rows.scaling.scale + rows.scaling.mean
    assert np.isfinite(found).all()
    assert found.max() <= highest + 1e-9
    assert found.min() >= lowest - 1e-9


def test_few_rows_teach_nothing(rng):
    rows, _, _ = make_rows(rng, Space(False, 0, 0))
    features = rows.features(MemberView(False), make_reservoir(rng, 0))
    assert learn(rows, features, np.ones(N, bool), rows.first + 9, None, None) is not None
    assert learn(rows, features, np.ones(N, bool), rows.first + 8, None, None) is None
