"""Searches with device="cuda" against the same on the host; see the fixture `xp`."""

import numpy as np
import pytest

from reservoir import (
    ESNRegressor,
)
from reservoir.search import ReservoirSearchCV, _evaluate

SPACE = {"leak_rate": [0.3, 1.0], "spectral_radius": [0.5, 0.9], "alpha": [1e-2, 1.0]}


SEARCHES = {
    "blocks and gaps": ({}, {"cv": 3, "gap": 5}, SPACE),
    "one split": ({}, {"cv": 0.3}, SPACE),
    "squares, no intercept": (
        {"fit_intercept": False, "include_squares": True},
        {"cv": 2, "scoring": "neg_mean_squared_error"},
        SPACE,
    ),
    "noise": ({"noise": 0.01}, {"cv": 2}, SPACE),
    "feedback": ({"feedback_scaling": 0.3, "feedback_noise": 0.01}, {"cv": 2}, SPACE),
    "closed loop": ({}, {"cv": 2, "scoring": "neg_forecast_nrmse", "horizon": 9}, SPACE),
    "closed loop, feedback, several starts": (
        {"feedback_scaling": 0.3, "include_squares": True},
        {"cv": 2, "scoring": "valid_time", "horizon": 12, "n_starts": 4, "threshold": 0.2},
        SPACE,
    ),
    "several W": (
        {},
        {"cv": 2},
        {
            **SPACE,
            "random_state": [1, 2, 3],
            "connectivity": [3, 6],
            "spectral_radius": [0.5, None],
        },
    ),
    "several W, closed loop": (
        {"feedback_scaling": 0.3},
        {"cv": 2, "scoring": "valid_time", "horizon": 12, "n_starts": 2, "threshold": 0.2},
        {**SPACE, "random_state": [1, 2], "washout": [0, 5]},
    ),
    "several W and noise": ({"noise": 0.01}, {"cv": 2}, {"random_state": [1, 2, 3]}),
    "alphas of two kinds": ({}, {"cv": 2}, [SPACE, {"leak_rate": [0.5], "alpha": [1e-22, 1e-1]}]),
    "lists of alphas": ({}, {"cv": 2}, {"leak_rate": [0.3, 1.0], "alpha": [[1e-2, 1.0]]}),
    "a factor": ({"solver": "qr"}, {"cv": 2}, {"leak_rate": [0.3, 1.0]}),
    "single precision": ({"dtype": "float32"}, {"cv": 2}, SPACE),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_search(xp, rng, name):
    parameters, settings, space = SEARCHES[name]
    X = np.sin(0.3 * np.arange(241))[:, None] + 0.1 * rng.normal(size=(241, 1))
    X, y = X[:-1], X[1:].copy()
    if "horizon" not in settings:
        y[[30, 100]] = np.nan if name == "blocks and gaps" else 0.5
    scores = []
    for device in ("cpu", "cuda"):
        esn = ESNRegressor(12, washout=10, random_state=0, device=device, **parameters)
        search = ReservoirSearchCV(esn, space, refit=False, **settings)
        search.fit(*(xp.asarray(X), xp.asarray(y)) if device == "cuda" else (X, y))
        results = search.cv_results_
        scores.append([results[f"split{i}_test_score"] for i in range(search.n_splits_)])
    assert np.ptp(scores[0]) > 0
    tolerance = 1e-4 if name == "single precision" else 1e-7
    np.testing.assert_allclose(scores[1], scores[0], rtol=tolerance, atol=tolerance)


def test_a_search_of_one_w_is_few_launches(stand_in, rng):
    X = rng.normal(size=(200, 1))
    esn = ESNRegressor(10, random_state=0, device="cuda")
    space = {"leak_rate": np.linspace(0.1, 1, 30).tolist(), "alpha": [1e-2, 1.0]}
    ReservoirSearchCV(esn, space, cv=2, refit=False).fit(X, np.roll(X, 1))
    assert stand_in.n_launches == 2  # 60 candidates: one for each block of rows


@pytest.mark.parametrize("scoring", ["valid_time", "neg_forecast_nrmse"])
def test_free_runs_that_diverge_take_no_other_along(xp, rng, scoring):
    X = rng.normal(size=(300, 1))
    y = 3 * X  # each output three times its input: a loop that explodes, unless alpha holds it
    scores = []
    for device in ("cpu", "cuda"):
        esn = ESNRegressor(12, activation="relu", dtype="float32", random_state=0, device=device)
        search = ReservoirSearchCV(
            esn, {"alpha": [1e-4, 1e5]}, cv=0.5, scoring=scoring, horizon=120, refit=False
        )
        search.fit(*(xp.asarray(X), xp.asarray(y)) if device == "cuda" else (X, y))
        scores.append(search.cv_results_["mean_test_score"])
    if scoring == "neg_forecast_nrmse":
        assert scores[0][0] == -np.inf < scores[0][1]
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-4)


def test_candidates_of_several_w_are_few_launches(stand_in, rng):
    X = rng.normal(size=(200, 1))
    esn = ESNRegressor(10, device="cuda")
    space = {"random_state": list(range(20)), "leak_rate": [0.3, 1.0], "connectivity": [2, 5]}
    ReservoirSearchCV(esn, space, cv=2, refit=False).fit(X, np.roll(X, 1))
    assert stand_in.n_launches == 2  # 80 candidates: one for each block of rows


@pytest.mark.parametrize(
    ("n_lanes", "expected"), [(5, [[4], [1, 3], [2, 2], [3]]), (3, [[3, 1], [2, 2], [1]])]
)
def test_batches_hold_as_many_lanes_as_they_may(xp, rng, monkeypatch, n_lanes, expected):
    X = rng.normal(size=(120, 1))
    y = np.roll(X, 1)
    space = {"random_state": [0, 1, 2], "leak_rate": [0.2, 0.4, 0.6, 0.8, 1.0][:n_lanes]}
    # Sums over two blocks, of 10 units, the input, the target and a one: room for four lanes.
    n_sums = 2 * (10 + 1 + 1 + 1) ** 2
    monkeypatch.setattr("reservoir.search._batches._MOST_SUMS_ON_DEVICE", 4 * n_sums)
    sizes = []
    evaluate = _evaluate.evaluate
    monkeypatch.setattr(
        "reservoir.search._search_cv.evaluate",
        lambda batch, task: (
            sizes.append([len(lanes) for _, lanes in batch]) or evaluate(batch, task)
        ),
    )
    scores = []
    for device in ("cpu", "cuda"):
        esn = ESNRegressor(10, device=device)
        search = ReservoirSearchCV(esn, space, cv=2, refit=False)
        search.fit(*(xp.asarray(X), xp.asarray(y)) if device == "cuda" else (X, y))
        scores.append(search.cv_results_["mean_test_score"])
    assert sizes == [[n_lanes]] * 3 + expected
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-7)


def test_free_runs_of_a_search_are_one_launch(stand_in, rng):
    X = rng.normal(size=(200, 1))
    esn = ESNRegressor(10, random_state=0, device="cuda")
    space = {"leak_rate": np.linspace(0.1, 1, 30).tolist(), "alpha": [1e-2, 1.0]}
    settings = {"scoring": "neg_forecast_nrmse", "horizon": 8, "n_starts": 3}
    ReservoirSearchCV(esn, space, cv=2, refit=False, **settings).fit(X, np.roll(X, -1))
    assert stand_in.n_launches == 3  # as above, and 60 candidates from six places each


def test_where_a_search_computes_is_not_searched(series):
    X, y = series
    search = ReservoirSearchCV(ESNRegressor(10), {"device": ["cpu", "cuda"]})
    with pytest.raises(ValueError, match="`param_space` names 'device'"):
        search.fit(X, y)
