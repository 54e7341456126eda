"""The protocol by which forecasts of real series are compared."""

import numpy as np
import pytest

from benchmarks.real_series import lags_of, ridge_on_lags
from benchmarks.series import MOST_ROWS, Series, geometric_mean, scale_of, score, seasonal_naive


@pytest.fixture
def waves():
    t = np.arange(600.0)
    return Series("waves", np.sin(2 * np.pi * t / 12) + t / 100, 12, 12)


def test_origins_leave_the_horizon_and_no_future_is_seen(waves):
    origins = waves.origins()
    assert len(origins) == 8
    assert origins[-1] == 600 - 12
    for origin in origins:
        np.testing.assert_array_equal(
            np.concatenate([waves.before(origin), waves.after(origin)])[-24:],
            waves.values[origin - 12 : origin + 12],
        )
        assert len(waves.before(origin)) <= MOST_ROWS
    assert len(waves.training_part().values) == origins[0]


def test_seasonal_naive_repeats_the_season(waves):
    rows = waves.values[:500]
    forecast = seasonal_naive(rows, 12, 30)
    np.testing.assert_array_equal(forecast.path[:12], rows[-12:])
    np.testing.assert_array_equal(forecast.path[24:], rows[-12:-6])
    np.testing.assert_array_equal(forecast.one_step(waves.values[500:520]), waves.values[488:508])
    # The season is met exactly, the trend of 12 rows is missed.
    assert scale_of(rows, 12) == pytest.approx(0.12)
    assert score(seasonal_naive, waves).mase == pytest.approx([1.0] * 8)


def test_ridge_on_lags_continues_what_lags_determine(waves):
    assert lags_of(12, 500) == list(range(1, 25))
    assert lags_of(365, 1500)[-3:] == [364, 365, 366]
    found = score(ridge_on_lags, waves)
    assert max(found.mase) < 0.1
    assert max(found.one_step) < 0.02


def test_geometric_mean():
    assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
