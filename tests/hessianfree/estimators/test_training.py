"""Training of RNNRegressor and RNNClassifier: seeds, going on, batches, validation, interrupts."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from hessianfree import HessianFree, LevenbergMarquardt, RNNRegressor
from hessianfree.batch import Batch
from hessianfree.training import History
from hessianfree.training._stopping import hold_out
from tests.support.small_rnns import Recorder, classifier, regressor

# -- training ------------------------------------------------------------------------------------


def test_one_seed_is_one_result(memory_task):
    X, y = memory_task
    batches = {"gradient_batch_size": 10, "curvature_batch_size": 4, "validation_fraction": 0.2}
    first, second = (regressor(**batches).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(first.params_, second.params_)
    other = regressor(**batches, random_state=2).fit(X, y)
    assert not np.allclose(first.params_, other.params_)


def test_going_on_is_as_never_having_stopped(memory_task):
    X, y = memory_task
    batches = {"gradient_batch_size": 10, "curvature_batch_size": 4}
    whole = regressor(**batches, max_iter=7).fit(X, y)
    parts = regressor(**batches, max_iter=3, warm_start=True).fit(X, y)
    parts.set_params(max_iter=4).fit(X, y)
    np.testing.assert_array_equal(parts.params_, whole.params_)
    np.testing.assert_array_equal(parts.loss_curve_, whole.loss_curve_)
    assert parts.n_iter_ == 7


def test_going_on_with_another_net_is_refused(memory_task):
    X, y = memory_task
    rnn = regressor(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="n_units is 7 and was 6 in the call before"):
        rnn.set_params(n_units=7).fit(X, y)
    labels = np.arange(30) % 2
    rnn = classifier(warm_start=True).fit(X, labels)
    with pytest.raises(ValueError, match=r"`y` holds the classes \[0, 1, 2\], but the call before"):
        rnn.fit(X, np.arange(30) % 3)


def test_batches_are_as_equal_as_possible(memory_task):
    X, y = memory_task
    rnn = regressor(
        optimizer=Recorder(), gradient_batch_size=29, curvature_batch_size=8, max_iter=3
    ).fit(X, y)
    assert rnn.optimizer.sizes == [(15, 8)] * 3
    small = regressor(optimizer=Recorder(), max_iter=1).fit(X, y)
    assert small.optimizer.sizes == [(30, 30)]


def test_the_default_optimizer_has_the_constants_that_are_documented(memory_task):
    X, y = memory_task
    optimizer = HessianFree(
        damping=LevenbergMarquardt(initial=0.03), structural_damping=0.05, max_cg_iterations=20
    )
    given, default = regressor(optimizer=optimizer).fit(X, y), regressor().fit(X, y)
    np.testing.assert_array_equal(given.params_, default.params_)


def test_loss_falls_and_history_says_how(memory_task):
    X, y = memory_task
    rnn = regressor().fit(X, y)
    assert isinstance(rnn.history_, History)
    np.testing.assert_array_equal(rnn.history_["new_loss"][:-1], rnn.loss_curve_[1:])
    assert np.all(np.diff(rnn.loss_curve_) < 0)
    assert rnn.stop_reason_ == "max_iter"


def test_stops_when_the_loss_hardly_falls(rng):
    X, y = np.zeros((20, 4, 1)), rng.normal(size=(20, 4))
    rnn = regressor(max_iter=50, tol=1e-3, n_iter_no_change=3, target="step").fit(X, y)
    assert rnn.stop_reason_ == "converged"
    assert rnn.n_iter_ < 30
    losses = rnn.loss_curve_
    assert losses[-3:].min() > 0.999 * losses[:-3].min()
    assert losses[-4:-1].min() < 0.999 * losses[:-4].min()
    # All that can be learned is the mean of each step.
    np.testing.assert_allclose(rnn.predict(X), np.tile(y.mean(axis=0), (20, 1)), atol=0.01)


def test_constant_targets(memory_task):
    X, _ = memory_task
    np.testing.assert_allclose(
        regressor(max_iter=8, target="step").fit(X, np.full((30, 8), 2.5)).predict(X),
        2.5,
        atol=1e-2,
    )


def test_validation_keeps_the_best_parameters(rng):
    X, y = rng.normal(size=(20, 5, 3)), rng.normal(size=(20, 5, 1))
    rnn = regressor(
        n_units=30, max_iter=40, n_iter_no_change=5, validation_fraction=0.25, dtype="float64"
    ).fit(X, y)
    assert rnn.stop_reason_ == "converged"
    curve = rnn.validation_curve_
    assert len(curve) == rnn.n_iter_
    assert np.argmin(curve) < len(curve) - 1
    best = regressor(
        n_units=30, max_iter=int(np.argmin(curve)) + 1, validation_fraction=0.25, dtype="float64"
    ).fit(X, y)
    np.testing.assert_array_equal(best.params_, rnn.params_)


def test_held_out_sequences_are_others_than_those_learned_from(rng):
    batch = Batch(np.arange(20.0).reshape(1, 20, 1), np.zeros((1, 20, 1)))
    training, held_out = hold_out(batch, 0.3, rng)
    assert held_out.n_sequences == 6
    both = np.concatenate([training.inputs, held_out.inputs], axis=1).ravel()
    np.testing.assert_array_equal(np.sort(both), np.arange(20.0))


def test_of_one_sequence_the_last_targets_are_held_out(rng):
    X, y = rng.normal(size=(40, 1)), rng.normal(size=40)
    training, held_out = hold_out(Batch(X[:, None], y[:, None, None]), 0.25, rng)
    np.testing.assert_array_equal(training.mask[:, 0], np.arange(40) < 30)
    np.testing.assert_array_equal(held_out.mask[:, 0], np.arange(40) >= 30)
    assert regressor(validation_fraction=0.25).fit(X, y).validation_curve_.shape == (4,)


def test_callback_sees_the_estimator_and_stops_it(memory_task):
    X, y = memory_task
    seen = []

    def callback(rnn):
        seen.append((rnn.n_iter_, rnn.score(X, y)))
        return rnn.n_iter_ == 3

    rnn = regressor(callback=callback, max_iter=10).fit(X, y)
    assert [n for n, _ in seen] == [1, 2, 3]
    assert seen[-1][1] == rnn.score(X, y)
    assert rnn.stop_reason_ == "callback"


def test_an_interrupt_leaves_a_usable_estimator(memory_task):
    X, y = memory_task

    def interrupt(rnn):
        if rnn.n_iter_ == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted after 2 iterations"):
        rnn = regressor(callback=interrupt, max_iter=10).fit(X, y)
    assert rnn.stop_reason_ == "interrupted"
    np.testing.assert_array_equal(rnn.params_, regressor(max_iter=2).fit(X, y).params_)


def test_verbose_shows_progress(memory_task, capsys):
    X, y = memory_task
    regressor(verbose=True).fit(X, y)
    assert "4/4" in capsys.readouterr().err
    regressor().fit(X, y)
    assert capsys.readouterr().err == ""


def test_says_that_no_step_could_be_made(rng):
    X = 1e30 * rng.normal(size=(3, 5, 2))
    with pytest.warns(ConvergenceWarning, match="Scale the inputs"):
        regressor(activation="relu", max_iter=1).fit(X, X[..., :1])


def test_a_killed_run_goes_on_from_what_its_callback_saved(memory_task, tmp_path):
    X, y = memory_task
    batches = {"gradient_batch_size": 10, "curvature_batch_size": 4}

    def save_and_die(rnn):
        if rnn.n_iter_ == 3:
            raise MemoryError
        rnn.save(tmp_path / "rnn.npz")

    with pytest.raises(MemoryError):
        regressor(**batches, max_iter=6, callback=save_and_die).fit(X, y)
    loaded = RNNRegressor.load(tmp_path / "rnn.npz")
    assert loaded.n_iter_ == 2
    assert loaded.callback is None
    loaded.set_params(warm_start=True, max_iter=4).fit(X, y)
    np.testing.assert_array_equal(
        loaded.params_, regressor(**batches, max_iter=6).fit(X, y).params_
    )
