"""Columns that are constant, equal, huge or tiny: the right answer, or an error that says why."""

import numpy as np
import pytest
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.linear_model import Ridge

from reservoir import ESNClassifier, ESNRegressor, ReservoirModelSpace, ReservoirTransformer
from reservoir.dynamics import run
from reservoir.readout import RidgeAccumulator, solve_ridge
from reservoir.search import ReservoirSearchCV

SOLVERS = ["gram", "qr"]


def small(**parameters):
    return ESNRegressor(**{"n_units": 30, "connectivity": 5, "random_state": 1, **parameters})


@pytest.fixture
def task(rng):
    u = rng.uniform(-1, 1, size=(300, 1))
    return u, np.hstack([np.roll(u, 2), np.roll(u, 3)]) + 0.01 * rng.normal(size=(300, 2))


# -- inputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("level", [0.0, 0.7])
def test_constant_inputs_leave_the_mean(task, solver, level):
    """After a washout the states stand still, and nothing but the mean can be learned."""
    _, y = task
    X = np.full((300, 2), level)
    esn = small(alpha=1.0, washout=200, spectral_radius=0.5, solver=solver).fit(X, y)
    np.testing.assert_allclose(
        esn.predict(X)[250:], np.tile(y[200:].mean(axis=0), (50, 1)), atol=1e-9
    )
    assert abs(esn.coef_).max() < 1e-8


@pytest.mark.parametrize("solver", SOLVERS)
def test_duplicated_inputs_share_one_weight(task, solver):
    """Ridge splits evenly: two equal columns are one column times the root of two."""
    u, y = task
    esn = small(alpha=1e-2, solver=solver).fit(np.hstack([u, u]), y)
    np.testing.assert_allclose(esn.coef_[:, 0], esn.coef_[:, 1], atol=1e-9)
    states = run(esn.reservoir_, np.hstack([u, u]))
    ridge = Ridge(1e-2, solver="svd").fit(np.hstack([np.sqrt(2) * u, states]), y)
    expected = ridge.predict(np.hstack([np.sqrt(2) * u, states]))
    np.testing.assert_allclose(esn.predict(np.hstack([u, u])), expected, atol=1e-8)


@pytest.mark.parametrize("solver", SOLVERS)
def test_duplicated_inputs_without_a_penalty_are_reported(task, solver):
    u, y = task
    with pytest.warns(LinAlgWarning, match="cannot be told from rounding"):
        esn = small(alpha=0.0, solver=solver).fit(np.hstack([u, u]), y)
    states = run(esn.reservoir_, np.hstack([u, u]))
    features = np.column_stack([u, states, np.ones(300)])
    expected = features @ np.linalg.lstsq(features, y, rcond=None)[0]
    np.testing.assert_allclose(esn.predict(np.hstack([u, u])), expected, atol=1e-5)


@pytest.mark.parametrize("scale", [1e150, 1e-150, 1e300, 1e-300])
def test_the_scale_of_inputs_is_that_of_their_weights(task, scale):
    u, y = task
    settings = {"alpha": 1e-3, "include_input": False}
    plain = small(**settings, input_scaling=1.0).fit(u, y).predict(u)
    esn = small(**settings, input_scaling=1 / scale).fit(u * scale, y)
    np.testing.assert_allclose(esn.predict(u * scale), plain, atol=1e-9)


def test_tiny_inputs_are_as_none(task):
    """Under the bias nothing is left of them: the states are those of zero input."""
    u, y = task
    np.testing.assert_array_equal(
        small(alpha=1.0).fit(u * 1e-150, y).predict(u * 1e-150),
        small(alpha=1.0).fit(u * 0, y).predict(u * 0),
    )


def test_huge_inputs_to_the_readout_are_reported(task):
    u, y = task
    with pytest.warns(LinAlgWarning, match=r"resolves 1\.\d+e\+\d+ at best"):
        small(alpha=1e-6).fit(u * 1e150, y)
    with pytest.raises(ValueError, match="squares exceed the float64 range"):
        small(alpha=1e-6, solver="gram").fit(u * 1e300, y)
    with pytest.raises(ValueError, match="too large for float32 in row 0"):
        small(dtype="float32").fit(u * 1e150, y)


@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
def test_inputs_far_from_zero_keep_their_digits(task, solver):
    u, y = task
    settings = {"alpha": 1e-3, "input_scaling": 1e-3, "bias_scaling": 0.0, "solver": solver}
    esn = small(**settings).fit(u + 1e4, y)
    states = run(esn.reservoir_, u + 1e4)
    # About the mean, the float64 reference keeps the digits that the offset would cost it.
    features = np.hstack([u, states])
    expected = Ridge(1e-3, solver="svd").fit(features, y).predict(features)
    np.testing.assert_allclose(esn.predict(u + 1e4), expected, atol=1e-7)


# -- targets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("alpha", [1e-3, [1e-3, 1.0]])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_one_constant_target_is_met_and_changes_no_other(task, solver, alpha, dtype):
    u, y = task
    constant = np.column_stack([y[:, 0], np.full(300, 3.0)])
    esn = small(alpha=alpha, solver=solver, dtype=dtype, alpha_per_target=True).fit(u, constant)
    np.testing.assert_array_equal(esn.predict(u)[:, 1], 3.0)
    alone = small(alpha=alpha, solver=solver, dtype=dtype).fit(u, y[:, 0])
    np.testing.assert_allclose(esn.predict(u)[:, 0], alone.predict(u), atol=1e-5)
    zero = small(alpha=alpha, solver=solver, dtype=dtype).fit(u, 0 * y)
    np.testing.assert_array_equal(zero.predict(u), 0.0)


@pytest.mark.parametrize("scale", [1e150, 1e-150, 1e300, 1e-300])
@pytest.mark.parametrize("alpha", [1e-3, [1e-3, 1.0]])
def test_targets_of_any_scale(task, scale, alpha):
    u, y = task
    esn, scaled = small(alpha=alpha).fit(u, y), small(alpha=alpha).fit(u, scale * y)
    np.testing.assert_allclose(scaled.predict(u) / scale, esn.predict(u), atol=1e-9)
    assert scaled.score(u, scale * y) == pytest.approx(esn.score(u, y), rel=1e-9)
    np.testing.assert_array_equal(scaled.alpha_, esn.alpha_)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_targets_within_single_precision(task, scale):
    u, y = task
    settings = {"alpha": [1e-3, 1.0], "dtype": "float32"}
    esn, scaled = small(**settings).fit(u, y), small(**settings).fit(u, scale * y)
    np.testing.assert_allclose(scaled.predict(u) / scale, esn.predict(u), atol=1e-5)


def test_targets_beyond_single_precision_are_refused(task):
    u, y = task
    with pytest.raises(
        ValueError, match="Input y contains infinity or a value too large for float32"
    ):
        small(dtype="float32").fit(u, 1e39 * y)
    y[:, 1] *= 1e-45
    with pytest.raises(ValueError, match="`y` is too small for float32 in output 1"):
        small(dtype="float32").fit(u, y)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_single_precision_products_hold_targets_of_any_scale(task, scale):
    """What float32 products can't hold is summed in float64, so that scores stay right."""
    u, y = task
    features = np.hstack([u, np.sin(3 * u)]).astype(np.float32)
    solutions = []
    for single in (True, False):
        accumulator = RidgeAccumulator(2, 2, smallest_alpha=1.0, allow_single=single)
        accumulator.update(features, (scale * y).astype(np.float32))
        solutions.append(solve_ridge(accumulator, [1.0, 10.0]))
    np.testing.assert_allclose(solutions[0].scores, solutions[1].scores, rtol=1e-5)
    assert np.isfinite(solutions[0].scores).all()


# -- the other estimators ------------------------------------------------------------------------


@pytest.mark.parametrize("readout", ["ridge", "logistic"])
@pytest.mark.parametrize("level", [0.0, 0.7])
def test_classes_that_look_alike_get_their_frequencies(readout, level):
    X, y = np.full((40, 10, 2), level), np.arange(40) % 4 == 0
    classifier = ESNClassifier(20, readout=readout, random_state=0).fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X), [[0.75, 0.25]] * 40, atol=0.01)
    assert not classifier.predict(X).any()


@pytest.mark.parametrize("readout", ["ridge", "logistic"])
@pytest.mark.parametrize("scale", [1e150, 1e-150])
def test_classes_whatever_the_scale(rng, readout, scale):
    y = np.arange(60) % 2
    X = rng.normal(size=(60, 8, 1)) + y[:, None, None]
    settings = {"readout": readout, "include_input": False, "alpha": 0.1, "random_state": 0}
    plain = ESNClassifier(20, **settings).fit(X, y).predict_proba(X)
    scaled = ESNClassifier(20, input_scaling=1 / scale, **settings).fit(X * scale, y)
    np.testing.assert_allclose(scaled.predict_proba(X * scale), plain, atol=1e-4)


def test_huge_inputs_of_a_classifier_are_reported(rng):
    X, y = 1e300 * rng.normal(size=(20, 5, 1)), np.arange(20) % 2
    with pytest.raises(ValueError, match="squares exceed the float64 range"):
        ESNClassifier(20, readout="logistic", random_state=0).fit(X, y)
    with pytest.warns(LinAlgWarning, match="cannot be told from rounding"):
        ESNClassifier(20, alpha=1.0, cv=None, random_state=0).fit(X, y)


def test_model_space_of_constant_sequences():
    """Where nothing moves, the model of each sequence is its next value: an intercept alone."""
    X = np.full((6, 12, 1), 0.5)
    space = ReservoirModelSpace(15, n_components=3, target="input", washout=8, random_state=0)
    models = space.fit_transform(X)
    np.testing.assert_allclose(models[:, -1], 0.5, atol=1e-3)
    np.testing.assert_allclose(models, np.tile(models[0], (6, 1)), atol=1e-12)


def test_states_of_scaled_inputs(task):
    u, _ = task
    plain = ReservoirTransformer(20, input_scaling=1.0, random_state=0).fit_transform(u)
    for scale in (1e150, 1e-150):
        scaled = ReservoirTransformer(20, input_scaling=1 / scale, random_state=0)
        np.testing.assert_allclose(scaled.fit_transform(u * scale), plain, atol=1e-10)


# -- the search ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e149, 1e-149])
@pytest.mark.parametrize("scoring", ["r2", "neg_nrmse"])
def test_search_over_targets_of_any_scale(task, scale, scoring):
    u, y = task
    search = ReservoirSearchCV(
        small(), {"leak_rate": [0.5, 1.0], "alpha": [1e-3, 1.0]}, cv=3, scoring=scoring, refit=False
    )
    plain = search.fit(u, y).cv_results_["mean_test_score"]
    scaled = clone(search).fit(u, scale * y).cv_results_["mean_test_score"]
    np.testing.assert_allclose(scaled, plain, rtol=1e-7)


@pytest.mark.parametrize(
    ("dtype", "X_scale", "y_scale", "match"),
    [
        ("float64", 1, 1e200, r"`y` is .*e\+200 at most in output 0, but sizes from 1e-150"),
        ("float64", 1, 1e-200, "`y` is .*e-200 at most"),
        ("float32", 1, 1e-40, "`y` is .*e-40 at most .* float32 can hold"),
        ("float32", 1e50, 1, "Input X contains infinity or a value too large for float32"),
    ],
)
def test_search_refuses_what_it_cannot_compare(task, dtype, X_scale, y_scale, match):
    u, y = task
    search = ReservoirSearchCV(small(), {"dtype": [dtype], "leak_rate": [1.0]}, cv=3)
    with pytest.raises(ValueError, match=match):
        search.fit(u * X_scale, y * y_scale)
