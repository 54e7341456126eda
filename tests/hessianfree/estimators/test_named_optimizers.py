"""Optimizers by name in RNNRegressor and RNNClassifier: defaults, schedules, going on."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from hessianfree import RNNClassifier, RNNRegressor
from hessianfree.estimators._named_optimizers import OPTIMIZERS, resolve_optimizer
from hessianfree.optimize import SGD, Adam, CosineDecay, HessianFree, Momentum, SutskeverMomentum
from hessianfree.training._stopping import Stall

FIRST_ORDER = sorted(set(OPTIMIZERS) - {"hessian-free"})


@pytest.fixture
def memory_task(rng):
    """What the input was one step ago, in 250 sequences of 8 steps."""
    X = rng.uniform(-1, 1, size=(250, 8, 1))
    y = np.roll(X[..., 0], 1, axis=1)
    y[:, 0] = 0
    return X, y


def regressor(**parameters):
    return RNNRegressor(
        **{"n_units": 8, "max_iter": 6, "target": "step", "random_state": 1, **parameters}
    )


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_each_of_them_learns(name, memory_task):
    X, y = memory_task
    rnn = regressor(optimizer=name, max_iter=800).fit(X[:200], y[:200])
    assert rnn.score(X[200:], y[200:]) > (0.5 if name == "adagrad" else 0.9)
    assert rnn.stop_reason_ == "max_iter"
    np.testing.assert_array_equal(rnn.history_["sequence_gradients"], 100)
    assert {"learning_rate", "gradient_norm", "seconds", "passes"} < set(rnn.history_.names)


def test_learns_classes(rng):
    X = rng.integers(2, size=(200, 6, 1))
    y = np.where(X[:, 1, 0] == 1, "yes", "no")
    rnn = RNNClassifier(10, n_symbols=2, optimizer=Adam(0.01), max_iter=600, random_state=0)
    assert rnn.fit(X[:150], y[:150]).score(X[150:], y[150:]) == 1


def test_an_update_is_the_one_of_the_optimizer(memory_task):
    """The first steps of plain descent, with the batches and the start that the estimator has."""
    X, y = memory_task
    fits = [regressor(optimizer=SGD(0.5), max_iter=n, dtype="float64").fit(X, y) for n in (1, 2)]
    network = fits[0].network_
    before, after = (rnn._state.params for rnn in fits)
    order = np.random.default_rng(
        np.random.SeedSequence(
            fits[0]._state.seed.entropy, spawn_key=(*fits[0]._state.seed.spawn_key, 0, 0)
        )
    ).permutation(250)
    # 250 sequences are three batches of 84, 84 and 82: the second follows the first.
    from hessianfree.batch import Batch

    targets = (y - y.mean()) / (y.std() / 0.2)
    chosen = order[84:168]
    batch = Batch(
        np.ascontiguousarray(X[chosen].swapaxes(0, 1)),
        np.ascontiguousarray(targets[chosen].T[..., None]),
    )
    expected = before - 0.5 * network.value_and_gradient(before, batch)[1]
    np.testing.assert_allclose(after, expected, rtol=1e-10, atol=1e-12)


def test_batches_by_default(memory_task):
    X, y = memory_task
    rnn = regressor(optimizer="adam").fit(X, y)
    np.testing.assert_array_equal(rnn.history_["sequence_gradients"], [84, 84, 82] * 2)
    rnn = regressor(optimizer="adam", gradient_batch_size=250).fit(X, y)
    np.testing.assert_array_equal(rnn.history_["sequence_gradients"], 250)
    assert resolve_optimizer("hessian-free")[1].gradient_batch_size == 1000


def test_more_updates_by_default(rng):
    X = np.zeros((5, 2, 1))
    y = rng.standard_normal((5, 2))
    rnn = RNNRegressor(2, optimizer="sgd", n_iter_no_change=20, target="step", random_state=0).fit(
        X, y
    )
    assert rnn.stop_reason_ == "converged"
    assert rnn.n_iter_ > 20
    _, counts = resolve_optimizer("sgd")
    assert (counts.max_iter, counts.n_iter_no_change) == (10_000, 1000)
    _, counts = resolve_optimizer(HessianFree())
    assert (counts.max_iter, counts.n_iter_no_change) == (100, 30)


@pytest.mark.parametrize("optimizer", ["adam", Momentum(0.05, momentum=SutskeverMomentum(0.9))])
def test_goes_on_and_comes_back_from_a_file_bit_for_bit(memory_task, optimizer, tmp_path):
    X, y = memory_task
    whole = regressor(optimizer=optimizer, max_iter=10).fit(X, y)
    half = regressor(optimizer=optimizer, max_iter=4, warm_start=True).fit(X, y)
    half.save(tmp_path / "half.npz")
    loaded = RNNRegressor.load(tmp_path / "half.npz")
    assert loaded.optimizer == optimizer
    loaded.set_params(max_iter=6).fit(X, y)
    np.testing.assert_array_equal(loaded.params_, whole.params_)
    np.testing.assert_array_equal(loaded.loss_curve_, whole.loss_curve_)


def test_going_on_with_another_optimizer_is_refused(memory_task):
    X, y = memory_task
    rnn = regressor(optimizer="adam", warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="the optimizer is 'HessianFreeState' and was 'AdamState'"):
        rnn.set_params(optimizer="hessian-free").fit(X, y)
    # Another learning rate is fine.
    assert rnn.set_params(optimizer=Adam(1e-4)).fit(X, y).n_iter_ == 12


def test_validates_once_an_epoch(memory_task):
    X, y = memory_task
    rnn = regressor(optimizer="adam", max_iter=9, validation_fraction=0.2).fit(X, y)
    # 200 sequences to learn from are two batches.
    assert len(rnn.validation_curve_) == 4
    assert len(rnn.loss_curve_) == 9
    first = regressor(optimizer="adam", max_iter=1, validation_fraction=0.2).fit(X, y)
    assert len(first.validation_curve_) == 0


def test_a_gradient_that_is_not_finite_is_said(memory_task):
    X, y = memory_task
    with pytest.warns(ConvergenceWarning, match=r"The loss is .*, and no step could be made"):
        rnn = regressor(activation="relu", optimizer=SGD(), max_iter=2).fit(1e30 * X, y)
    assert not rnn.history_["accepted"].any()


def test_clone_and_schedules(memory_task):
    X, y = memory_task
    optimizer = SGD(CosineDecay(0.2, 6), clip_norm=0.5)
    rnn = clone(regressor(optimizer=optimizer)).fit(X, y)
    np.testing.assert_allclose(rnn.history_["learning_rate"][[0, 3]], [0.2, 0.1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rnn.get_params()["optimizer"] == optimizer


@pytest.mark.parametrize("n_iterations", [1, 3, 10])
def test_stall_as_by_its_definition(rng, n_iterations):
    for _ in range(20):
        losses = np.exp(rng.standard_normal(40).cumsum() * 0.3)
        stall = Stall(0.1, n_iterations)
        for n, loss in enumerate(losses, start=1):
            expected = n > n_iterations and not (
                losses[n - n_iterations : n].min() < 0.9 * losses[: n - n_iterations].min()
            )
            assert stall(loss) == expected


def test_stall_counts_what_is_not_finite_as_bad():
    stall = Stall(0.1, 2)
    assert [stall(loss) for loss in (np.nan, np.inf, 1.0, 0.5, np.nan, np.nan)] == [
        False, False, False, False, False, True,
    ]  # fmt: skip
