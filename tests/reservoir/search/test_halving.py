"""Successive halving over steps and over units."""

import numpy as np
import pytest
from sklearn.base import clone

from reservoir.search import ReservoirSearchCV
from tests.support.searches import small

# -- successive halving ---------------------------------------------------------------------------


def test_halving_over_steps(memory_task):
    u, y = memory_task
    space = {"spectral_radius": [0.2, 0.6, 1.0], "leak_rate": [0.3, 0.6, 1.0]}
    search = ReservoirSearchCV(small(), space, halving="n_steps", cv=2).fit(u, y)
    results = search.cv_results_
    assert list(results["n_resources"]) == [44] * 9 + [133] * 3 + [400]
    assert list(results["iter"]) == [0] * 9 + [1] * 3 + [2]
    first = clone(search).set_params(halving=None, refit=False).fit(u[:44], y[:44])
    np.testing.assert_array_equal(
        results["mean_test_score"][:9], first.cv_results_["mean_test_score"]
    )
    best = np.argsort(-first.cv_results_["mean_test_score"])[:3]
    assert [results["params"][i] for i in sorted(best)] == results["params"][9:12]
    assert search.best_index_ == 12
    whole = clone(search).set_params(halving=None, refit=False).fit(u, y)
    index = whole.cv_results_["params"].index(search.best_params_)
    assert search.best_score_ == pytest.approx(
        whole.cv_results_["mean_test_score"][index], rel=1e-9
    )


def test_halving_over_units(memory_task):
    space = {"input_scaling": [0.1, 0.3, 1.0, 2.0]}
    search = ReservoirSearchCV(small(), space, halving="n_units", factor=2, cv=2)
    search.fit(*memory_task)
    assert list(search.cv_results_["param_n_units"]) == [6] * 4 + [12] * 2 + [25]
    assert search.best_estimator_.n_units == 25
    few = clone(search).set_params(min_resources=10).fit(*memory_task)
    assert list(few.cv_results_["param_n_units"]) == [12] * 4 + [25] * 2


def test_halving_starts_where_candidates_can_be_tried(memory_task):
    """30 candidates want four rounds; connections, or washout and gap in each block, allow two."""
    u, y = memory_task
    space = {"spectral_radius": np.linspace(0.1, 1, 30)}
    units = ReservoirSearchCV(small(n_units=50, connectivity=10), space, halving="n_units", cv=2)
    assert list(units.fit(u, y).cv_results_["n_resources"]) == [16] * 30 + [50] * 10
    steps = ReservoirSearchCV(small(washout=25), space, halving="n_steps", cv=4, gap=5)
    assert list(steps.fit(u, y).cv_results_["n_resources"]) == [133] * 30 + [400] * 10
    share = clone(steps).set_params(cv=0.25)
    assert list(share.fit(u, y).cv_results_["n_resources"]) == [133] * 30 + [400] * 10
    loop = clone(steps).set_params(cv=2, scoring="valid_time", horizon=100)
    assert list(loop.fit(u[:-1], u[1:]).cv_results_["n_resources"]) == [399] * 30
