"""What a newcomer gets who sets nothing: on noise, on many channels, on chaos, at every seed."""

import numpy as np
import pytest

from reservoir import ESNRegressor, LayeredESNRegressor, ReservoirTransformer
from reservoir.datasets import lorenz, mackey_glass
from reservoir.metrics import nrmse, valid_prediction_time


def standardised(series):
    series = np.asarray(series, dtype=float).reshape(len(series), -1)
    return (series - series.mean(axis=0)) / series.std(axis=0)


@pytest.mark.parametrize("seed", range(5))
def test_a_noisy_season_is_continued(rng, seed):
    t = np.arange(660)
    season = np.sin(2 * np.pi * t / 12)
    scale = (season + 0.3 * rng.normal(size=660)).std()
    z = standardised(season[:600] + 0.3 * rng.normal(size=600))
    outputs = ESNRegressor(random_state=seed).fit(z[:-1], z[1:]).forecast(60)
    # The best forecast is the season itself, and the mean has an error of .7 / scale.
    error = np.sqrt(np.mean((outputs[:, 0] - season[600:] / scale) ** 2))
    assert error < 0.35 / scale


@pytest.mark.parametrize("n_channels", [1, 10, 100])
def test_standardised_channels_do_not_saturate(rng, n_channels):
    u = rng.normal(size=(2000, n_channels))
    states = ReservoirTransformer(100, random_state=0).fit_transform(u)
    assert (np.abs(states) > 0.95).mean() < 0.01
    # A mixture of the channels, now and one step before: linear, and so within reach.
    now, before = rng.normal(size=(2, n_channels)) / np.sqrt(n_channels)
    y = u @ now + np.roll(u, 1, axis=0) @ before
    esn = ESNRegressor(random_state=0).fit(u[1:1500], y[1:1500])
    assert esn.score(u[1500:], y[1500:]) > 0.9


@pytest.mark.parametrize("kind", [ESNRegressor, ReservoirTransformer, LayeredESNRegressor])
@pytest.mark.parametrize("n_channels", [1, 4, 25])
def test_input_scaling_goes_with_the_number_of_inputs(rng, kind, n_channels):
    u = rng.normal(size=(50, n_channels))
    by_default = kind(20, random_state=0).fit(u, u[:, 0]).reservoir_
    told = kind(20, input_scaling=1.0, random_state=0).fit(u, u[:, 0]).reservoir_
    np.testing.assert_allclose(
        by_default.input, told.input * {1: 0.1, 4: 0.1, 25: 0.06}[n_channels], rtol=1e-12
    )
    # What a layer hears of the one below is not the input.
    first = by_default.recurrent.toarray(), told.recurrent.toarray()
    np.testing.assert_allclose(first[0], first[1], rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_chaos_is_forecast_at_every_seed(seed):
    series = mackey_glass(4000, random_state=seed)
    z = standardised(series)
    esn = ESNRegressor(random_state=seed).fit(z[:2999], z[1:3000])
    assert nrmse(z[3000:3084], esn.forecast(84)) < 0.2


def test_lorenz_is_forecast_for_lyapunov_times():
    times = []
    for seed in range(3):
        z = standardised(lorenz(5000, random_state=seed))
        esn = ESNRegressor(random_state=seed).fit(z[:3999], z[1:4000])
        outputs = esn.forecast(900)
        times.append(valid_prediction_time(z[4000:4900], outputs, dt=0.02, lyapunov_exponent=0.906))
    assert np.median(times) > 4
