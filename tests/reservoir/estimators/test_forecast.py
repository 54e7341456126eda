"""Starting states and forecasts of ESNRegressor: going on, contexts, divergence."""

import numpy as np
import pytest

from reservoir.dynamics import DivergenceError
from tests.support.small_esn import small

# -- states to start from, free runs -------------------------------------------------------------


def test_last_state_goes_on_where_training_ended(memory_task):
    u, y = memory_task
    esn = small().fit(u[:200], y[:200])
    whole = esn.predict(u)
    np.testing.assert_allclose(esn.predict(u[200:], initial_state="last"), whole[200:], atol=1e-9)
    np.testing.assert_allclose(
        esn.predict(u[200:], initial_state=esn.last_state_), whole[200:], atol=1e-9
    )
    assert abs(esn.predict(u[200:])[0] - whole[200]).max() > 1e-3


def test_a_state_for_each_sequence(rng, memory_task):
    u, y = memory_task
    esn = small().fit(u, y)
    starts = rng.uniform(-1, 1, size=(2, 30))
    both = esn.predict([u[:20], u[:30]], initial_state=starts)
    np.testing.assert_allclose(both[1], esn.predict(u[:30], initial_state=starts[1]), atol=1e-12)


def test_predict_has_no_memory(memory_task):
    u, y = memory_task
    esn = small(noise=0.1).fit(u, y)
    np.testing.assert_array_equal(esn.predict(u), esn.predict(u))


def test_forecast_goes_on_alike_from_training_and_from_context():
    series = np.sin(0.2 * np.arange(400))[:, None]
    esn = small(washout=30, alpha=1e-8).fit(series[:-1], series[1:])
    forecast = esn.forecast(50)
    np.testing.assert_allclose(esn.forecast(50, series), forecast, atol=1e-9)
    np.testing.assert_allclose(forecast, np.sin(0.2 * np.arange(400, 450))[:, None], atol=0.01)
    several = esn.forecast(20, [series, series[:300]])
    np.testing.assert_allclose(several[0], forecast[:20], atol=1e-9)
    np.testing.assert_allclose(several[1], series[300:320], atol=0.01)
    assert esn.forecast(20, series[None]).shape == (1, 20, 1)


def test_forecast_is_predict_on_its_own_outputs():
    series = np.sin(0.2 * np.arange(400))[:, None]
    esn = small(washout=30, alpha=1e-6, feedback_scaling=0.1)
    esn.fit(series[:-1], series[1:, 0])
    inputs = [*series[-1]]
    state, W = esn.last_state_, esn.reservoir_.recurrent.toarray()
    for _ in range(5):
        drive = (esn.reservoir_.input[:, 0] + esn.reservoir_.feedback[:, 0]) * inputs[-1]
        state = np.tanh(W @ state + drive + esn.reservoir_.bias)
        inputs.append(esn.coef_ @ np.r_[inputs[-1], state] + esn.intercept_)
    np.testing.assert_allclose(esn.forecast(5), inputs[1:], atol=1e-10)


def test_forecast_from_a_context_of_one_step():
    series = np.sin(0.2 * np.arange(400))[:, None]
    esn = small(alpha=1e-6).fit(series[:-1], series[1:])
    np.testing.assert_allclose(esn.forecast(1, series[7:8]), esn.predict(series[7:8]), atol=1e-12)


def test_diverging_free_run_stops_and_says_where(memory_task):
    u, y = memory_task
    esn = small(activation="relu", feedback_scaling=1.0, alpha=1e-3).fit(u, y)
    esn.coef_ = np.full_like(esn.coef_, 1e9)
    with pytest.raises(DivergenceError, match=r"step \d+"):
        esn.predict(u)


def test_bad_starts(memory_task):
    u, y = memory_task
    esn = small().fit(u, y)
    with pytest.raises(ValueError, match="`initial_state` is 'end'"):
        esn.predict(u, initial_state="end")
    with pytest.raises(ValueError, match="'last', but `X` holds 2 sequences"):
        esn.predict([u, u], initial_state="last")
    with pytest.raises(ValueError, match=r"`initial_state` has shape \(3,\)"):
        esn.predict(u, initial_state=np.zeros(3))
    with pytest.raises(ValueError, match=r"`initial_state` has shape \(30,\), but `X` holds 2"):
        esn.predict([u, u], initial_state=np.zeros(30))
    with pytest.raises(ValueError, match="`initial_state` holds NaN"):
        esn.predict(u, initial_state=np.full(30, np.nan))
    with pytest.raises(ValueError, match="has 1 inputs and 2 outputs"):
        esn.forecast(3)
    with pytest.raises(ValueError, match="`n_steps` is 0"):
        esn.forecast(0)
