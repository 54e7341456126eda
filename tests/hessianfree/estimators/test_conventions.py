"""Recurrent nets among other tools: scikit-learn's checks, files, pipelines, errors."""

import inspect
import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_array_api_input, parametrize_with_checks

from hessianfree import HessianFree, RNNClassifier, RNNRegressor
from tests.support.small_rnns import Recorder, classifier, regressor

ROWS_ARE_EXCHANGEABLE = "rows are steps of one series: their order and their past matter"


EXPECTED_FAILURES = {
    "check_methods_sample_order_invariance": ROWS_ARE_EXCHANGEABLE,
    "check_methods_subset_invariance": ROWS_ARE_EXCHANGEABLE,
}


@parametrize_with_checks(
    [
        RNNRegressor(n_units=8, max_iter=6, random_state=0),
        # A net with a memory learns 50 labels by heart in the 1,000 iterations of one check.
        RNNClassifier(n_units=8, max_iter=6, l2=1e-4, random_state=0),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.skipif(
    "expect_only_array_outputs" not in inspect.signature(check_array_api_input).parameters,
    reason="this scikit-learn checks only those that say that they take arrays of any kind",
)
def test_array_api_check():
    """SciPy reads the variable once, when it is imported: hence the process."""
    script = (
        "from sklearn.utils.estimator_checks import estimator_checks_generator\n"
        "from hessianfree import RNNClassifier, RNNRegressor\n"
        "for estimator in (RNNRegressor(5, max_iter=2), RNNClassifier(5, max_iter=2)):\n"
        "    for estimator, check in estimator_checks_generator(estimator):\n"
        "        if check.func.__name__ == 'check_array_api_input':\n"
        "            print(check(estimator))\n"
    )
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.split() == ["None", "None"]


# -- files and scikit-learn ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "n_layers"),
    [("vanilla", 1), ("multiplicative", 1), ("lstm", 1), ("gru", 2), ("mut1", 1), ("mut2", 3)],
)
def test_save_and_load(memory_task, tmp_path, cell, n_layers):
    X, y = memory_task
    labels = np.array(["no", "yes", "perhaps"])[(y[:, -1, 0] > 0) + (y[:, -1, 1] > 0) * 1]
    optimizer = HessianFree(max_cg_iterations=5)
    rnn = classifier(cell=cell, n_layers=n_layers, optimizer=optimizer).fit(X, labels)
    rnn.save(tmp_path / "rnn.npz")
    loaded = RNNClassifier.load(tmp_path / "rnn.npz")
    np.testing.assert_array_equal(loaded.predict_proba(X), rnn.predict_proba(X))
    assert loaded.get_params() == rnn.get_params()
    assert loaded.history_.last == rnn.history_.last
    for one in (rnn, loaded):
        one.set_params(warm_start=True).fit(X, labels)
    np.testing.assert_array_equal(loaded.params_, rnn.params_)
    assert loaded.n_iter_ == 8


def test_pickle_and_clone(memory_task):
    X, y = memory_task
    rnn = regressor().fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(rnn)).predict(X), rnn.predict(X))
    np.testing.assert_array_equal(clone(rnn).fit(X, y).params_, rnn.params_)


def test_pipelines_searches_and_folds(rng):
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
    y, groups = frame["a"].shift(1, fill_value=0.0), np.repeat(np.arange(6), 10)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), regressor()),
        {"rnnregressor__n_units": [3, 5]},
        cv=GroupKFold(3),
    ).fit(frame, y, groups=groups)
    assert search.best_estimator_["rnnregressor"].n_units in (3, 5)
    alone = regressor().fit(frame, y)
    assert list(alone.feature_names_in_) == ["a", "b"]
    sequences = list(rng.normal(size=(12, 5, 2)))
    assert len(cross_val_score(classifier(), sequences, ["x", "y"] * 6, cv=3)) == 3


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        ({"n_units": 0}, ValueError, "`n_units`"),
        ({"cell": "lstn"}, ValueError, "`cell` is 'lstn'"),
        ({"n_layers": 0}, ValueError, "`n_layers` is 0"),
        ({"cell": "multiplicative", "n_factors": 0}, ValueError, "`n_factors`"),
        ({"gain": "none"}, ValueError, "`gain`"),
        ({"activation": "sine"}, ValueError, "`activation`"),
        ({"n_symbols": 0}, ValueError, "`n_symbols`"),
        ({"initialization": "zeros"}, ValueError, "`initialization`"),
        ({"optimizer": "lbfgs"}, ValueError, "`optimizer` is 'lbfgs'"),
        ({"optimizer": 3}, TypeError, "`optimizer` is of type int"),
        ({"gradient_batch_size": 0}, ValueError, "`gradient_batch_size`"),
        ({"curvature_batch_size": 2.5}, TypeError, "`curvature_batch_size`"),
        ({"max_iter": 0}, ValueError, "`max_iter`"),
        ({"max_iter": "all"}, TypeError, "`max_iter` is 'all' of type str, but an integer"),
        ({"tol": -1}, ValueError, "`tol`"),
        ({"n_iter_no_change": 0}, ValueError, "`n_iter_no_change`"),
        ({"l2": -1.0}, ValueError, "`l2`"),
        ({"validation_fraction": 1.0}, ValueError, "`validation_fraction` is 1.0"),
        ({"dtype": "float16"}, ValueError, "`dtype`"),
        ({"random_state": "a"}, TypeError, "`random_state`"),
    ],
)
def test_bad_parameters(memory_task, parameters, error, match):
    X, y = memory_task
    with pytest.raises(error, match=match):
        regressor(**parameters).fit(X, y)


@pytest.mark.parametrize(
    ("X", "y", "kwargs", "match"),
    [
        (np.zeros((5, 1)), None, {}, "requires y to be passed"),
        (np.zeros((5, 1)), np.zeros(4), {}, "`y` has 4 entries, but `X` has 5 steps"),
        (np.zeros((3, 5, 1)), np.zeros(4), {}, "`y` has 4 entries, but `X` holds 3 sequences"),
        (np.zeros((3, 5, 1)), np.zeros((3, 4, 2)), {}, r"`y\[0\]` has shape \(4, 2\)"),
        (np.zeros((4, 1)), np.zeros(3), {"lengths": [2, 2]}, "has 3 entries, but `X` has 4 steps"),
        (np.zeros((2, 3, 1)), [1, np.inf], {}, "Input y contains infinity"),
        (np.zeros((5, 1)), np.zeros(5), {"step_weight": [1, 2]}, "`step_weight` has 2 entries"),
        (np.zeros((2, 1)), np.zeros(2), {"step_weight": [1, -2]}, "negative weight"),
        (np.zeros((2, 1)), np.zeros(2), {"step_weight": np.ones((2, 2))}, "one number per target"),
        (np.zeros((2, 3, 1)), [1, 2], {"step_weight": [0, 0]}, "nothing but zeros"),
    ],
)
def test_bad_data(X, y, kwargs, match):
    with pytest.raises(ValueError, match=match):
        regressor().fit(X, y, **kwargs)


def test_bad_symbols():
    y = np.zeros(3)
    with pytest.raises(ValueError, match="symbols from 0 to 2, but integers from 0 to 1"):
        regressor(n_symbols=2).fit([[0], [1], [2]], y)
    with pytest.raises(ValueError, match=re.escape("symbols from 0 to 0.5, but integers")):
        regressor(n_symbols=2).fit([[0], [0.5], [0]], y)
    with pytest.raises(ValueError, match="one column of symbols was expected"):
        regressor(n_symbols=2).fit(np.zeros((3, 2)), y)


def test_bad_labels(memory_task):
    X, _ = memory_task
    with pytest.raises(ValueError, match=r"`y` holds the one class \['a'\], but at least 2"):
        classifier().fit(X, ["a"] * 30)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        classifier().fit(X, np.linspace(0, 1, 30))
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        classifier(max_iter=1).fit(X[0], np.arange(8)[:, None] % 2)


def test_too_few_targets_to_hold_out_any():
    with pytest.raises(ValueError, match="`X` is one sequence with 1 target"):
        regressor(validation_fraction=0.5).fit(np.zeros((1, 3, 1)), [1.0])


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score"])
def test_unfitted_use(method):
    arguments = ([[1.0]], [1]) if method == "score" else ([[1.0]],)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(classifier(), method)(*arguments)


def test_what_a_file_cannot_hold(memory_task):
    X, y = memory_task
    with pytest.raises(TypeError, match=r"`params\.optimizer` is of type Recorder"):
        regressor(optimizer=Recorder()).fit(X, y).save("never-written.npz")
