"""Searches scored by free runs: as forecasts of the model, feedback, divergence."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning

from reservoir.datasets import mackey_glass
from reservoir.dynamics import DivergenceError, free_run, run
from reservoir.metrics import nrmse, valid_prediction_time
from reservoir.search import ReservoirSearchCV
from tests.support.searches import small, table

# -- closed loop ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scoring", ["valid_time", "neg_forecast_nrmse"])
def test_free_runs_are_forecasts_of_the_model(scoring):
    series = mackey_glass(1001, random_state=0).reshape(-1, 1)
    u, y = series[:-1], series[1:]
    esn = small(n_units=60, washout=50, input_scaling=0.5, alpha=1e-8, output_limit=None)
    space = {"spectral_radius": [0.6, 0.9], "leak_rate": [0.5, 0.8], "alpha": [1e-8, 1e-2]}
    search = ReservoirSearchCV(
        esn, space, cv=2, scoring=scoring, horizon=80, n_starts=3, threshold=0.1
    ).fit(u, y)
    for params, scores in zip(search.cv_results_["params"], table(search)):
        for fold, (start, stop) in enumerate([(0, 500), (500, 1000)]):
            weight = np.ones(1000)
            weight[start:stop] = 0
            model = clone(esn).set_params(**params).fit(u, y, step_weight=weight)
            own = []
            for step in np.linspace(max(start, 50), stop - 80, 3).astype(int):
                forecast = model.forecast(80, u[: step + 1])
                truth = y[step : step + 80]
                if scoring == "valid_time":
                    own.append(valid_prediction_time(truth, forecast, threshold=0.1))
                else:
                    own.append(-nrmse(truth, forecast, normalization=y.std()))
            assert scores[fold] == pytest.approx(np.mean(own), rel=1e-3)
    assert np.ptp(table(search)) > 0


def test_free_runs_through_feedback(rng):
    t = np.arange(600)
    u, y = np.ones((600, 1)), np.sin(0.3 * t)[:, None]
    esn = small(feedback_scaling=0.8, feedback_noise=1e-3, washout=50, alpha=1e-4)
    search = ReservoirSearchCV(
        esn, {"feedback_scaling": [0.5, 1.0]}, cv=0.2, scoring="neg_forecast_nrmse", horizon=60
    ).fit(u, y)
    for params, scores in zip(search.cv_results_["params"], table(search)):
        model = clone(esn).set_params(**params).fit(u[:480], y[:480])
        state = run(model.reservoir_, u[:480], teacher=y[:480])[-1]
        outputs = free_run(
            model.reservoir_,
            model.readout_,
            60,
            initial_state=state,
            initial_output=y[479],
            inputs=u[480:540],
        ).outputs
        expected = -nrmse(y[480:540], outputs, normalization=y.std())
        assert scores[0] == pytest.approx(expected, rel=1e-5)


def test_a_score_is_the_mean_over_free_runs():
    wave = np.sin(0.3 * np.arange(400))[:, None]
    search = ReservoirSearchCV(
        small(alpha=1e-9, washout=20),
        {"leak_rate": [1.0]},
        cv=2,
        scoring="valid_time",
        horizon=10,
        n_starts=3,
        refit=False,
    )
    # Each run is right to its end.
    assert search.fit(wave[:-1], wave[1:]).cv_results_["mean_test_score"] == pytest.approx(10)


def test_forecasts_that_diverge_score_worst(rng):
    u = rng.normal(size=(301, 1))
    esn = small(activation="relu", spectral_radius=0.9, alpha=1e-9, bias_scaling=1.0)
    y = 3 * u[:-1]  # each output three times its input: a loop that explodes
    search = ReservoirSearchCV(
        esn, {"input_scaling": [1.0]}, cv=0.5, scoring="neg_forecast_nrmse", horizon=100
    )
    model = clone(esn).fit(u[:150], y[:150])
    try:
        diverges = not np.isfinite(model.forecast(1000)).all()
    except DivergenceError:
        diverges = True
    assert diverges
    search = clone(search).set_params(horizon=149, refit=False, scoring="valid_time")
    assert search.fit(u[:-1], y).best_score_ < 149


@pytest.mark.parametrize("scoring", ["r2", "valid_time"])
def test_states_that_diverge_take_no_other_candidate_along(memory_task, scoring):
    u = memory_task[0]
    space = {"spectral_radius": [0.5, 50.0, 0.7], "alpha": [1e-3, 1.0]}
    settings = {"cv": 2, "scoring": scoring, "horizon": 50}
    search = ReservoirSearchCV(small(activation="relu"), space, **settings)
    with pytest.warns(FitFailedWarning, match=r"For 2 of 6 candidates, .*spectral_radius=50\.0,"):
        search.fit(u[:-1], u[1:])
    few = clone(search).set_params(param_space={**space, "spectral_radius": [0.5, 0.7]})
    few.fit(u[:-1], u[1:])
    radii = search.cv_results_["param_spectral_radius"].astype(float)
    assert (table(search)[radii == 50] == -np.inf).all()
    np.testing.assert_allclose(table(search)[radii != 50], table(few), rtol=1e-9)
    assert search.best_params_ == few.best_params_
