"""Searches scored by free runs: as forecasts of the model, feedback, divergence."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning

from reservoir.datasets import mackey_glass
from reservoir.dynamics import DivergenceError, free_run, run
from reservoir.metrics import nrmse, valid_prediction_time
from reservoir.search import ReservoirSearchCV
from reservoir.search._folds import make_plan
from reservoir.search._scoring import Scoring, choose_starts
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
        esn,
        {"feedback_scaling": [0.5, 1.0]},
        cv=0.2,
        scoring="neg_forecast_nrmse",
        horizon=60,
        n_starts=1,
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
    y = 1.6 * u[:-1]  # each output more than its input: a loop that explodes
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


# -- divergence ----------------------------------------------------------------------------------


def growing(factor, n_steps=200):
    """Return inputs in [-1, 1] and targets `factor` times them, which a free run multiplies on."""
    u = np.random.default_rng(3).uniform(-1, 1, (n_steps, 1))
    return u, factor * u


# The readout sees the input alone, and the penalty decides how much of the factor it learns.
LINEAR = {"input_scaling": 0.0, "bias_scaling": 0.0, "washout": 0, "n_units": 10}


@pytest.mark.parametrize("scoring", ["valid_time", "neg_forecast_nrmse"])
def test_candidates_whose_free_runs_stay_come_first(scoring):
    u, y = growing(1.5)
    # 1.5 doubles and doubles; with the large penalty it is .13 and dies away.
    space = {"alpha": [1e-9, 1e-8, 700.0]}
    search = ReservoirSearchCV(
        small(**LINEAR), space, cv=4, scoring=scoring, horizon=20, threshold=0.05, refit=False
    ).fit(u, y)
    n_diverged = search.cv_results_["n_diverged"]
    assert (n_diverged[:2] > 0).all()
    assert n_diverged[2] == 0
    assert search.best_params_ == {"alpha": 700.0}
    assert search.cv_results_["rank_test_score"][2] == 1
    if scoring == "valid_time":
        # By the score alone it would have been another one.
        assert search.cv_results_["mean_test_score"].argmax() != 2


def test_the_fewest_divergences_where_all_diverge():
    u, y = growing(1.5)
    # So few steps that only large starts leave the bound, the larger the limit the fewer.
    space = {"output_limit": [0.1, 1.0, 3.0]}
    search = ReservoirSearchCV(
        small(alpha=1e-9, **LINEAR), space, cv=2, scoring="neg_forecast_nrmse", horizon=8,
        n_starts=40, refit=False,
    ).fit(u, y)  # fmt: skip
    n_diverged = search.cv_results_["n_diverged"]
    assert n_diverged[0] > n_diverged[1] > n_diverged[2] > 0
    assert (search.cv_results_["mean_test_score"] == -np.inf).all()
    assert search.cv_results_["rank_test_score"].tolist() == [3, 2, 1]


def test_a_best_candidate_that_diverges_says_so():
    u, y = growing(1.5)
    search = ReservoirSearchCV(
        small(**LINEAR), {"alpha": [1e-9]}, cv=2, scoring="valid_time", horizon=20
    )
    with pytest.warns(UserWarning, match=r"The best candidate, alpha=1e-09, diverges in \d+ of"):
        search.fit(u, y)
    # One that stays does not, and in one-step scores nothing runs free.
    search.set_params(param_space={"alpha": [700.0]}).fit(u, y)
    search.set_params(param_space={"alpha": [1e-9]}, scoring="r2").fit(u, y)
    assert "n_diverged" not in search.cv_results_


@pytest.mark.parametrize(("horizon", "n_starts"), [(10, 19), (50, 3), (99, 1)])
def test_starts_overlap_by_half(horizon, n_starts):
    # A fold of 100 rows has room for runs from 100 - horizon + 1 steps.
    plan = make_plan([np.ones(300, dtype=bool)], cv=3, gap=0, washout=0)
    starts = choose_starts(plan, Scoring("valid_time", horizon, None, 0.4))
    middle = [start.step for start in starts if start.fold == 1]
    assert len(middle) == n_starts
    assert middle[0] == 100
    if n_starts > 1:
        assert middle[-1] + horizon == 200
        assert np.diff(middle).max() <= horizon / 2 + 1


def test_columns_of_a_search_are_told_by_name():
    t = np.arange(400)
    frame = pd.DataFrame({"a": np.sin(t / 5), "b": 3 + np.cos(t / 5)})
    search = ReservoirSearchCV(
        small(n_units=60, washout=20), {"alpha": [1e-6, 1e-2]}, cv=2, scoring="neg_forecast_nrmse",
        horizon=30,
    )  # fmt: skip
    straight = clone(search).fit(frame[:-1], frame[1:])
    turned = clone(search).fit(frame[:-1], frame[["b", "a"]][1:])
    np.testing.assert_allclose(table(turned), table(straight), rtol=1e-4)
    assert straight.best_score_ > -0.1
    # And inputs that are known ahead take part: what they drive is lost without them.
    frame["u"] = np.random.default_rng(0).uniform(-1, 1, 400)
    driven = np.zeros(400)
    for step in range(1, 400):
        driven[step] = 0.8 * driven[step - 1] + 0.5 * frame["u"][step - 1]
    frame["a"] = driven
    search.set_params(estimator__input_scaling=0.1, param_space={"alpha": [1e-2]})
    known = clone(search).fit(frame[:-1], frame[["b", "a"]][1:])
    alone = clone(search).fit(frame[["a", "b"]][:-1], frame[["b", "a"]][1:])
    assert known.best_score_ > 0.3 * alone.best_score_
