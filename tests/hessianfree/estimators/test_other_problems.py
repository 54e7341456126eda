"""A net that was fitted again and again, then given another problem, learns it as a fresh one."""

import warnings

import numpy as np
import pytest

from hessianfree import RNNClassifier, RNNRegressor

CELLS = ["vanilla", "multiplicative", "tensor", "lstm", "gru", "mut1", "mut2", "mut3"]


def inputs(rng, n_sequences):
    """Numbers, and ones: a tensor cell has a transition of its own by these only."""
    X = np.ones((n_sequences, 5, 2))
    X[..., 0] = rng.uniform(-1, 1, size=(n_sequences, 5))
    return X


def sums(rng):
    X = inputs(rng, 20)
    return X, X[:, :, 0].sum(axis=1)


def differences(rng):
    X = inputs(rng, 100)
    return X, X[:, 0, 0] - X[:, -1, 0]


def refitted(rnn, X, y, n_fits):
    """The net after many short fits, each past convergence."""
    rnn.set_params(warm_start=True, n_iter_no_change=10**6)
    for _ in range(n_fits):
        rnn.fit(X, y)
    return rnn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_learns_another_problem(rng, cell, dtype):
    settings = {"n_units": 8, "cell": cell, "dtype": dtype, "max_iter": 1, "random_state": 0}
    rnn = refitted(RNNRegressor(**settings), *sums(rng), n_fits=100)
    dampings = rnn.history_["damping"]
    assert len(dampings) == 100
    assert np.all((dampings >= 1e-6) & (dampings <= 1e10))
    X, y = differences(rng)
    fresh = RNNRegressor(**settings).set_params(max_iter=40).fit(X, y)
    rnn.set_params(max_iter=40).fit(X, y)
    assert rnn.history_["damping"][100] == fresh.history_["damping"][0] == 0.03
    assert fresh.score(X, y) > 0.99
    assert rnn.score(X, y) > 0.99


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_another_scale_of_targets_is_learned(rng, scale, shift):
    rnn = refitted(RNNRegressor(8, max_iter=5, random_state=0), *sums(rng), n_fits=8)
    X, y = differences(rng)
    rnn.set_params(max_iter=40).fit(X, scale * y + shift)
    assert rnn.score(X, scale * y + shift) > 0.98


@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "nesterov", "rmsprop", "momentum"])
def test_first_order_optimizers_begin_anew(rng, optimizer):
    """Scales and velocities are those of a run that starts from the same weights."""
    settings = {"n_units": 8, "optimizer": optimizer, "random_state": 0, "target": "sequence"}
    rnn = refitted(RNNRegressor(**settings, max_iter=200), *sums(rng), n_fits=2)
    X, y = differences(rng)
    other = RNNRegressor(**settings, max_iter=1, warm_start=True).fit(X, y)
    rnn.fit(X, y)
    rnn.params_ = rnn.params_ * 1.0001
    other.params_ = rnn.params_.copy()
    for one in (rnn, other):
        one.set_params(max_iter=7).fit(X, y)
    np.testing.assert_array_equal(rnn.loss_curve_[-7:], other.loss_curve_[-7:])
    assert rnn._state.optimizer_state.n_steps == 7


@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
def test_first_order_optimizers_learn_another_problem(rng, optimizer):
    settings = {"n_units": 8, "optimizer": optimizer, "random_state": 0}
    rnn = refitted(RNNRegressor(**settings, max_iter=200), *sums(rng), n_fits=5)
    X, y = differences(rng)
    fresh = RNNRegressor(**settings, max_iter=800).fit(X, y).score(X, y)
    assert rnn.set_params(max_iter=800).fit(X, y).score(X, y) > fresh - 0.05


def test_other_labels_are_learned(rng):
    """Most nets do. Which do not is a matter of rounding: they begin sure of what is wrong."""
    (X, y), (new_X, new_y) = sums(rng), differences(rng)
    scores = []
    for seed in range(5):
        rnn = refitted(RNNClassifier(8, max_iter=10, random_state=seed), X, y > 0, n_fits=8)
        rnn.set_params(max_iter=100).fit(new_X, new_y > 0)
        scores.append(rnn.score(new_X, new_y > 0))
    assert np.median(scores) > 0.98


def test_the_same_data_in_another_container_are_the_same(rng):
    X, y = sums(rng)
    rnn = RNNRegressor(5, max_iter=3, warm_start=True, validation_fraction=0.3, random_state=0)
    rnn.fit(X, y)
    whole = RNNRegressor(5, max_iter=6, validation_fraction=0.3, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rnn.fit(list(X.astype(np.float32)), list(y))
    np.testing.assert_array_equal(rnn.params_, whole.params_)
