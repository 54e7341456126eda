"""ESNRegressor among other tools: scikit-learn's checks, data frames, searches, files, errors."""

import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import ESNRegressor, ReservoirTransformer
from tests.support.small_esn import small

ROWS_ARE_EXCHANGEABLE = "rows are steps of one series: their order and their past matter"


EXPECTED_FAILURES = {
    "check_methods_sample_order_invariance": ROWS_ARE_EXCHANGEABLE,
    "check_methods_subset_invariance": ROWS_ARE_EXCHANGEABLE,
}


@parametrize_with_checks(
    [
        ESNRegressor(n_units=60, random_state=0),
        ReservoirTransformer(n_units=20, random_state=0),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_scikit_learn_checks_with_array_api_dispatch():
    """SciPy reads the variable once, when it is imported: hence the process."""
    script = (
        "import sys\n"
        "from sklearn.utils.estimator_checks import check_estimator\n"
        "from reservoir import ESNRegressor, ReservoirTransformer\n"
        "for estimator in (ESNRegressor(20, random_state=0), ReservoirTransformer(20)):\n"
        "    results = check_estimator(estimator, on_fail=None, on_skip=None)\n"
        "    failed = {r['check_name'] for r in results if r['status'] == 'failed'}\n"
        "    print(sorted(failed), sum(r['status'] == 'passed' for r in results) > 40)\n"
    )
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.splitlines() == [f"{sorted(EXPECTED_FAILURES)} True"] * 2


# -- the scikit-learn ecosystem ------------------------------------------------------------------


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames(memory_task, frame):
    u, y = memory_task
    X = frame({"first": u[:, 0], "second": u[:, 0] ** 2})
    esn = small().fit(X, frame({"a": y[:, 0], "b": y[:, 1]}))
    assert list(esn.feature_names_in_) == ["first", "second"]
    np.testing.assert_array_equal(
        esn.predict(X), small().fit(X.to_numpy(), y).predict(X.to_numpy())
    )
    with pytest.raises(ValueError, match="feature names"):
        esn.predict(X[["second", "first"]])


def test_set_output(memory_task):
    u, _ = memory_task
    transformer = ReservoirTransformer(n_units=30, random_state=1).fit(u)
    names = [f"reservoirtransformer{i}" for i in range(30)]
    assert list(transformer.get_feature_names_out()) == names
    frame = transformer.set_output(transform="pandas").transform(u)
    assert list(frame.columns) == names
    assert isinstance(transformer.set_output(transform="polars").transform(u), pl.DataFrame)


def test_clone_set_params_and_repr(memory_task):
    u, y = memory_task
    esn = small(leak_rate=0.5).fit(u, y)
    copy = clone(esn).set_params(leak_rate=0.25)
    assert copy.get_params()["leak_rate"] == 0.25
    assert not hasattr(copy, "coef_")
    assert "ESNRegressor" in estimator_html_repr(esn)
    assert repr(small()) == "ESNRegressor(connectivity=5, n_units=30, random_state=1)"


def test_pipelines_and_searches(memory_task):
    u, y = memory_task
    pipeline = make_pipeline(StandardScaler(), small(alpha=1e-3))
    search = GridSearchCV(
        TransformedTargetRegressor(pipeline, transformer=StandardScaler()),
        {"regressor__esnregressor__spectral_radius": [0.1, 0.8]},
        cv=TimeSeriesSplit(3),
    ).fit(u, y)
    assert search.best_score_ > 0.9
    assert search.best_params_ == {"regressor__esnregressor__spectral_radius": 0.8}


def test_group_cross_validation_through_metadata_routing(rng):
    groups = np.repeat([3, 1, 2, 7], 50)
    u = rng.uniform(-1, 1, size=(200, 1))
    y = np.concatenate([np.roll(part, 1) for part in np.split(u[:, 0], 4)])
    with sklearn.config_context(enable_metadata_routing=True):
        esn = small(alpha=1e-3, washout=5)
        esn.set_fit_request(groups=True).set_score_request(groups=True)
        search = GridSearchCV(esn, {"leak_rate": [0.3, 1.0]}, cv=GroupKFold(2))
        search.fit(u, y, groups=groups)
        scores = cross_val_score(
            search.best_estimator_, u, y, cv=GroupKFold(4), params={"groups": groups}
        )
    assert search.best_params_ == {"leak_rate": 1.0}
    by_hand = []
    for train, test in GroupKFold(4).split(u, y, groups):
        model = clone(search.best_estimator_).fit(u[train], y[train], groups=groups[train])
        predicted = model.predict(u[test], groups=groups[test])
        by_hand.append(r2_score(y[test][5:], predicted[5:]))
    np.testing.assert_array_equal(scores, by_hand)


def test_cross_validation_of_a_list_of_sequences(rng):
    parts = [rng.uniform(-1, 1, size=(n, 1)) for n in (60, 50, 70, 40)]
    targets = [np.roll(part[:, 0], 1) for part in parts]
    search = GridSearchCV(small(alpha=1e-3), {"leak_rate": [0.3, 1.0]}, cv=2)
    assert search.fit(parts, targets).best_params_ == {"leak_rate": 1.0}


@pytest.mark.parametrize("topology", ["cycle", "orthogonal", "matrix", "sparse"])
def test_save_and_pickle_keep_every_bit(memory_task, tmp_path, topology):
    u, y = memory_task
    rng = np.random.default_rng(0)
    given = {
        "matrix": rng.normal(size=(30, 30)),
        "sparse": sparse.csr_array(sparse.eye_array(30, k=1)) * 0.9,
    }
    settings = {"topology": given.get(topology, topology), "washout": 5, "noise": 0.1}
    if topology == "sparse":
        settings["spectral_radius"] = None
    esn = small(**settings, leak_rate=rng.uniform(0.1, 1, 30)).fit(u[:200], y[:200])
    esn.save(tmp_path / "esn.npz")
    for copy in (ESNRegressor.load(tmp_path / "esn.npz"), pickle.loads(pickle.dumps(esn))):
        np.testing.assert_array_equal(copy.predict(u), esn.predict(u))
        assert repr(copy) == repr(esn)
        again = copy.partial_fit(u[200:], y[200:], initial_state="last")
        whole = small(**settings, leak_rate=esn.leak_rate).fit(u, y)
        np.testing.assert_allclose(again.coef_, whole.coef_, rtol=1e-6, atol=1e-8)


def test_save_keeps_column_names(memory_task, tmp_path):
    u, y = memory_task
    esn = small().fit(pd.DataFrame({"first": u[:, 0]}), y)
    esn.save(tmp_path / "esn.npz")
    loaded = ESNRegressor.load(tmp_path / "esn.npz")
    assert list(loaded.feature_names_in_) == ["first"]


def test_transformer_round_trip(memory_task, tmp_path):
    u, _ = memory_task
    transformer = ReservoirTransformer(n_units=30, random_state=1).fit(u)
    transformer.save(tmp_path / "states.npz")
    loaded = ReservoirTransformer.load(tmp_path / "states.npz")
    np.testing.assert_array_equal(loaded.transform(u), transformer.transform(u))
    with pytest.raises(ValueError, match="holds a ReservoirTransformer"):
        ESNRegressor.load(tmp_path / "states.npz")


# -- what must be refused ------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity(memory_task, bad):
    u, y = memory_task
    broken = u.copy()
    broken[7] = bad
    esn = small().fit(u, y)
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity).* in row 7, column 0"):
        esn.fit(broken, y)
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        esn.predict(broken)
    with pytest.raises(ValueError, match=r"Input y contains infinity .* in row 3, "):
        esn.fit(u, np.where(np.arange(300) == 3, np.inf, y[:, 0]))


@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        ({"n_units": 0}, ValueError, "`n_units` is 0"),
        ({"n_units": 2.5}, TypeError, r"`n_units` is 2\.5"),
        ({"n_units": 2**70}, (ValueError, MemoryError), "n_units"),
        ({"spectral_radius": -1.0}, ValueError, "`spectral_radius` is -1"),
        ({"spectral_radius": np.nan}, ValueError, "`spectral_radius` is nan"),
        ({"topology": "star"}, ValueError, "`topology`"),
        ({"topology": np.zeros((30, 30))}, ValueError, "radius"),
        ({"topology": np.zeros((3, 3))}, ValueError, "`topology`"),
        ({"distribution": "cauchy"}, ValueError, "`distribution`"),
        ({"connectivity": 31}, ValueError, "`connectivity`"),
        ({"connectivity": 0}, ValueError, "`connectivity`"),
        ({"input_scaling": [1.0, 2.0]}, ValueError, "`input_scaling`"),
        ({"input_scaling": -1.0}, ValueError, "`input_scaling` is -1"),
        ({"bias_scaling": np.nan}, ValueError, "`bias_scaling` is nan"),
        ({"feedback_scaling": [1.0]}, ValueError, "`feedback_scaling`"),
        ({"leak_rate": 0.0}, ValueError, "`leak_rate`"),
        ({"leak_rate": 1.5}, ValueError, "`leak_rate`"),
        ({"leak_rate": np.ones(3)}, ValueError, "`leak_rate`"),
        ({"activation": "sine"}, ValueError, "`activation`"),
        ({"noise": -0.1}, ValueError, "`noise`"),
        ({"feedback_noise": np.inf}, ValueError, "`feedback_noise`"),
        ({"washout": -1}, ValueError, "`washout`"),
        ({"washout": 1.0}, TypeError, "`washout`"),
        ({"alpha": -1.0}, ValueError, "`alpha`"),
        ({"alpha": [1.0, 0.0]}, ValueError, "`alpha`"),
        ({"alpha": []}, ValueError, "`alpha`"),
        ({"alpha": np.nan}, ValueError, "`alpha`"),
        ({"alpha_cv": 1}, ValueError, "`alpha_cv`"),
        ({"solver": "svd"}, ValueError, "`solver`"),
        ({"dtype": "int8"}, ValueError, "`dtype`"),
        ({"random_state": "a"}, TypeError, "`random_state`"),
    ],
)
def test_bad_parameters(memory_task, parameters, error, match):
    u, y = memory_task
    with pytest.raises(error, match=match):
        small(**parameters).fit(u, y)


def test_washout_longer_than_a_series_names_it(rng):
    parts = [rng.normal(size=(n, 1)) for n in (40, 31, 25)]
    with pytest.raises(
        ValueError, match="`washout` is 30, but sequence 2 of the 3 in `X` has only 25 steps"
    ):
        small(washout=30).fit(parts, [part[:, 0] for part in parts])


@pytest.mark.parametrize(
    ("X", "y", "kwargs", "error", "match"),
    [
        ([], [], {}, ValueError, "empty list"),
        (np.zeros((0, 1)), np.zeros(0), {}, ValueError, "0 sample"),
        (np.zeros(5), np.zeros(5), {}, ValueError, "Expected 2D array"),
        (np.zeros((5, 1)), np.zeros(4), {}, ValueError, "inconsistent numbers of samples"),
        (np.zeros((5, 1)), None, {}, ValueError, "requires y"),
        ([[["a"]]], [[1.0]], {}, ValueError, "could not convert string"),
        (np.array([[{}]]), [1.0], {}, TypeError, re.escape("float() argument")),
        (np.array([np.zeros((2, 1)), 3], dtype=object), [1, 2], {}, TypeError, "object array"),
        ([np.zeros((2, 1)), np.zeros((2, 2))], [[1, 2]] * 2, {}, ValueError, r"`X\[1\]` has 2"),
        (np.zeros((2, 2, 1)), np.zeros((2, 3)), {}, ValueError, r"`y\[0\]` has shape"),
        (np.zeros((4, 1)), np.zeros(4), {"lengths": [3]}, ValueError, "add up to 3"),
        (np.zeros((4, 1)), np.zeros(4), {"groups": [1, 2, 1, 1]}, ValueError, "contiguous"),
        (np.zeros((4, 1)), np.zeros(4), {"step_weight": [1, 2]}, ValueError, "`step_weight` has"),
        (np.zeros((2, 1)), np.zeros(2), {"step_weight": [1, -2]}, ValueError, "negative"),
        (np.zeros((2, 1)), np.zeros(2), {"step_weight": [0, 0]}, ValueError, "nothing but zeros"),
    ],
)
def test_bad_data(X, y, kwargs, error, match):
    with pytest.raises(error, match=match):
        small().fit(X, y, **kwargs)


def test_wrong_number_of_features(memory_task):
    u, y = memory_task
    with pytest.raises(ValueError, match="X has 2 features, but ESNRegressor is expecting 1"):
        small().fit(u, y).predict(np.hstack([u, u]))


@pytest.mark.parametrize("call", ["predict", "forecast", "score"])
def test_unfitted_use(call):
    arguments = {"predict": ([[1.0]],), "forecast": (3,), "score": ([[1.0]], [1.0])}[call]
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(small(), call)(*arguments)


def test_functions_cannot_be_saved(memory_task):
    u, y = memory_task
    with pytest.raises(TypeError, match=r"`params\.activation` is of type ufunc"):
        small(activation=np.sin).fit(u, y).save("never-written.npz")
