"""A model of the user's beside the reservoir."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from reservoir import ESNRegressor, HybridForecaster
from reservoir.datasets import lorenz
from reservoir.dynamics import DivergenceError
from reservoir.metrics import valid_prediction_time


def lorenz_step(rows, rho):
    """Integrate one sample of 0.02 by Runge-Kutta of order 4."""

    def slope(s):
        x, y, z = s.T
        return np.stack([10 * (y - x), x * (rho - z) - y, x * y - 8 / 3 * z], axis=1)

    h = 0.01
    for _ in range(2):
        a = slope(rows)
        b = slope(rows + h / 2 * a)
        c = slope(rows + h / 2 * b)
        rows = rows + h / 6 * (a + 2 * b + 2 * c + slope(rows + h * c))
    return rows


def wrong(rows):
    return lorenz_step(rows, 28 * 1.05)


def right(rows):
    return lorenz_step(rows, 28.0)


def small(**settings):
    return ESNRegressor(
        **{"n_units": 50, "washout": 100, "alpha": 1e-8, "random_state": 0} | settings
    )


def iterated(model, row, n_steps):
    rows = []
    for _ in range(n_steps):
        row = model(row)
        rows.append(row[0])
    return np.array(rows)


def test_hybrid_beats_reservoir_and_wrong_model_and_reaches_the_right_one():
    times = []
    for seed in (1, 2, 3):
        series = lorenz(2400, random_state=seed)
        train, truth = series[:2000], series[2000:]
        mean, deviation = train.mean(axis=0), train.std(axis=0)
        alone = small().fit(*(((p - mean) / deviation) for p in (train[:-1], train[1:])))
        forecasts = (
            HybridForecaster(wrong, small()).fit(train).forecast(400),
            alone.forecast(400) * deviation + mean,
            iterated(wrong, train[-1:], 400),
            HybridForecaster(right, small()).fit(train).forecast(400),
            iterated(right, train[-1:], 400),
        )
        times.append(
            [
                valid_prediction_time((truth - mean) / deviation, (part - mean) / deviation)
                for part in forecasts
            ]
        )
    hybrid, reservoir, model, perfect, exact = np.median(times, axis=0)
    assert hybrid > 1.5 * max(reservoir, model)
    assert perfect >= 0.9 * exact


def test_loop_is_closed_as_the_equation_says(rng):
    series = np.cumsum(rng.normal(size=(200, 2)), axis=0) * 0.1
    turn = np.array([[0.9, 0.2], [-0.2, 0.9]])
    hybrid = HybridForecaster(lambda rows: rows @ turn, small(n_units=20, washout=10))
    hybrid.fit(series)
    reservoir, readout = hybrid.regressor_.reservoir_, hybrid.regressor_.readout_
    rows = np.concatenate([series[:-1], series[:-1] @ turn], axis=1)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    state, row, expected = np.zeros(20), None, []
    for t in range(len(series) + 5):
        row = series[t] if t < len(series) else expected[-1]
        u = (np.concatenate([row, row @ turn]) - mean) / deviation
        z = reservoir.recurrent @ state + reservoir.input @ u + reservoir.bias
        state = np.tanh(z)
        output = readout.state @ state + readout.input @ u + readout.intercept
        if t >= len(series) - 1:
            expected.append(output * deviation[:2] + mean[:2])
    np.testing.assert_allclose(hybrid.forecast(6), expected, rtol=1e-9)
    np.testing.assert_allclose(hybrid.forecast(6, series), expected, rtol=1e-9)
    np.testing.assert_allclose(hybrid.predict(series)[-1], expected[0], rtol=1e-9)
    np.testing.assert_array_equal(hybrid.forecast(6), hybrid.forecast(6))


def test_model_may_give_other_columns(rng):
    series = np.sin(0.2 * np.arange(300))[:, None]
    hybrid = HybridForecaster(lambda rows: np.hstack([rows**2, rows * 0 + 1.0]), small())
    later = np.sin(0.2 * np.arange(300, 340))[:, None]
    np.testing.assert_allclose(hybrid.fit(series).forecast(40), later, atol=0.01)


def test_clone_and_pickle():
    series = lorenz(300, random_state=0)
    hybrid = clone(HybridForecaster(right, small(n_units=10)).fit(series))
    with pytest.raises(NotFittedError):
        hybrid.forecast(3)
    hybrid.fit(series)
    again = pickle.loads(pickle.dumps(hybrid))
    np.testing.assert_array_equal(again.forecast(5), hybrid.forecast(5))


def test_divergence_names_the_step_and_keeps_what_came_before():
    series = np.sin(0.2 * np.arange(300))[:, None]
    hybrid = HybridForecaster(np.copy, small(n_units=10, alpha=1e-2)).fit(series)
    hybrid.model = lambda rows: rows + 1e6  # what was not learned
    with pytest.raises(DivergenceError, match="beyond the bound") as caught:
        hybrid.forecast(50)
    assert len(caught.value.outputs) == caught.value.step < 50


@pytest.mark.parametrize(
    ("model", "X", "error", "match"),
    [
        (3, np.ones((9, 1)), TypeError, "`model` is of type int"),
        (lambda rows: rows[:-1], np.ones((9, 1)), ValueError, "`model` gave an array"),
        (lambda rows: rows * np.nan, np.ones((9, 1)), ValueError, "`model` gave NaN"),
        (np.copy, np.ones(9), ValueError, "`X` has shape"),
        (np.copy, np.full((9, 1), np.nan), ValueError, "`X` holds NaN"),
        (np.copy, np.ones((2, 1)), ValueError, "`X` has 2 rows"),
    ],
)
def test_refused(model, X, error, match):
    with pytest.raises(error, match=match):
        HybridForecaster(model, ESNRegressor(5, random_state=0)).fit(X)


def test_other_regressors_are_refused():
    with pytest.raises(TypeError, match="`regressor` is of type int"):
        HybridForecaster(np.copy, 3).fit(np.ones((9, 1)))
