"""A run that is stopped, saved, killed and resumed is the run that was never stopped."""

import multiprocessing
import signal
import warnings

import numpy as np
import pytest

from hessianfree import CharacterLanguageModel
from hessianfree.estimators._named_optimizers import OPTIMIZERS
from hessianfree.optimize import SGD, ExponentialDecay, HessianFree, JacobiPreconditioner
from tests.support.killed_runs import fit_with_files, forked, make_estimator
from tests.support.small_rnns import classifier, regressor

TEXT = "she sells sea shells on the sea shore. " * 20
OTHERS = {
    "schedule": SGD(ExponentialDecay(0.2, 0.5, 4)),
    "preconditioned": HessianFree(preconditioner=JacobiPreconditioner()),
}


def data_of(rng):
    X = rng.uniform(-1, 1, size=(40, 6, 1))
    y = np.roll(X, 1, axis=1)
    y[:, 0] = 0
    return X, y


def whole_and_parts(make, fit, calls, path):
    """One fit of as many iterations as several that go through a file each time."""
    whole = fit(make(max_iter=sum(calls)))
    part = fit(make(max_iter=calls[0]))
    for n_iterations in calls[1:]:
        part.save(path)
        part = type(part).load(path).set_params(warm_start=True, max_iter=n_iterations)
        fit(part)
    return whole, part


def assert_same(one, other):
    assert one.n_iter_ == other.n_iter_
    assert one.stop_reason_ == other.stop_reason_
    np.testing.assert_array_equal(one.params_, other.params_)
    np.testing.assert_array_equal(one._state.params, other._state.params)
    np.testing.assert_array_equal(one.loss_curve_, other.loss_curve_)
    curves = [getattr(rnn, "validation_curve_", None) for rnn in (one, other)]
    assert (curves[0] is None) == (curves[1] is None)
    if curves[0] is not None:
        np.testing.assert_array_equal(*curves)


@pytest.mark.parametrize("validation_fraction", [0.0, 0.3])
@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, *OTHERS])
def test_any_number_of_calls_is_one(rng, tmp_path, optimizer, validation_fraction):
    X, y = data_of(rng)

    def make(**settings):
        return regressor(
            optimizer=OTHERS.get(optimizer, optimizer),
            gradient_batch_size=9,
            curvature_batch_size=5,
            validation_fraction=validation_fraction,
            **settings,
        )

    assert_same(
        *whole_and_parts(make, lambda rnn: rnn.fit(X, y), (5, 1, 3, 7), tmp_path / "rnn.npz")
    )


@pytest.mark.parametrize("calls", [(30, 30), (7, 13, 40), (3,) * 20])
@pytest.mark.parametrize("validation_fraction", [0.0, 0.3])
def test_patience_goes_on_over_calls(rng, tmp_path, calls, validation_fraction):
    """What can't be learned: the run ends by itself, in whichever call, at the same iteration."""
    X, y = 0.01 * rng.normal(size=(200, 4, 2)), rng.integers(2, size=200)

    def make(**settings):
        return classifier(
            n_iter_no_change=6,
            tol=1e-2,
            validation_fraction=validation_fraction,
            random_state=3,
            **{"max_iter": 60} | settings,
        )

    whole, part = whole_and_parts(make, lambda rnn: rnn.fit(X, y), calls, tmp_path / "rnn.npz")
    assert whole.stop_reason_ == "converged"
    assert whole.n_iter_ < 60
    assert_same(whole, part)


def test_more_patience_takes_a_converged_run_on(rng):
    X, y = 0.01 * rng.normal(size=(200, 4, 2)), rng.integers(2, size=200)
    rnn = classifier(max_iter=60, n_iter_no_change=3, tol=1e-2, warm_start=True).fit(X, y)
    assert rnn.stop_reason_ == "converged"
    n_before = rnn.n_iter_
    assert rnn.fit(X, y).n_iter_ == n_before
    rnn.set_params(n_iter_no_change=20).fit(X, y)
    patient = classifier(max_iter=rnn.n_iter_, n_iter_no_change=20, tol=1e-2).fit(X, y)
    assert rnn.n_iter_ > n_before
    np.testing.assert_array_equal(rnn.params_, patient.params_)


@pytest.mark.parametrize("random_state", [None, "generator", "legacy"])
def test_what_is_held_out_stays_held_out(random_state):
    """Coins can't be foreseen: a validation loss below log 2 would be of coins seen before."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 5, 2)), rng.integers(2, size=60)
    seeds = {"generator": rng, "legacy": np.random.RandomState(0)}
    rnn = classifier(
        n_units=30,
        max_iter=15,
        validation_fraction=0.4,
        n_iter_no_change=1000,
        warm_start=True,
        random_state=seeds.get(random_state),
    )
    for _ in range(4):
        rnn.fit(X, y)
    assert rnn.loss_curve_[-1] < 0.3
    assert len(rnn.validation_curve_) == 60
    # In the first call, a net that is sure of nothing yet may guess a few coins. Later it is sure,
    # and wrong every other time.
    assert rnn.validation_curve_[15:].min() > 1.0


def test_other_data_are_said_and_held_out_anew(rng):
    X, y = data_of(rng)
    rnn = regressor(validation_fraction=0.3, warm_start=True).fit(X, y)
    with pytest.warns(UserWarning, match="what is held out was drawn anew"):
        rnn.fit(X[::-1], y[::-1])
    assert len(rnn.validation_curve_) == rnn.n_iter_ == 8
    # Of the best parameters only those on the present data count.
    last = rnn.validation_curve_[4:]
    assert rnn._progress.best_loss == last.min()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rnn.fit(X[::-1], y[::-1])


def test_a_file_that_knows_nothing_of_its_progress_goes_on(rng):
    """As those that earlier versions saved."""
    X, y = data_of(rng)
    whole = regressor(max_iter=7).fit(X, y)
    rnn = regressor(max_iter=3).fit(X, y)
    del rnn._progress
    rnn.set_params(warm_start=True, max_iter=4).fit(X, y)
    np.testing.assert_array_equal(rnn.params_, whole.params_)


def test_a_language_model_goes_on_with_its_average(tmp_path):
    def make(**settings):
        return CharacterLanguageModel(
            8, sequence_length=12, n_scored=9, gradient_batch_size=7, curvature_batch_size=3,
            random_state=0, **settings,
        )  # fmt: skip

    for optimizer, averaging in [("hessian-free", True), ("adam", True), ("adam", False)]:
        whole, part = whole_and_parts(
            lambda o=optimizer, a=averaging, **settings: make(optimizer=o, averaging=a, **settings),
            lambda model: model.fit(TEXT),
            (2, 3, 1, 4),
            tmp_path / "model.npz",
        )
        assert_same(whole, part)
        assert whole.sample(30, seed=0) == part.sample(30, seed=0)


# -- interrupts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["step", "validation", "callback"])
def test_an_interrupt_anywhere_is_no_difference(rng, monkeypatch, at):
    X, y = data_of(rng)
    settings = {"validation_fraction": 0.3, "gradient_batch_size": 9, "optimizer": "adam"}
    whole = regressor(max_iter=24, **settings).fit(X, y)
    rnn = regressor(max_iter=24, **settings)
    counts = {"calls": 0}

    def interrupting(function, after):
        def wrapped(*arguments, **options):
            counts["calls"] += 1
            if counts["calls"] == after:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        return wrapped

    with monkeypatch.context() as patch:
        if at == "callback":
            rnn.callback = interrupting(lambda rnn: None, 8)
        elif at == "step":
            from hessianfree.optimize import Adam

            patch.setattr(Adam, "_update", interrupting(Adam._update, 9))
        else:
            from hessianfree.network import SequenceNetwork

            patch.setattr(SequenceNetwork, "value", interrupting(SequenceNetwork.value, 2))
        with pytest.warns(UserWarning, match=r"interrupted after 8 iterations"):
            rnn.fit(X, y)
    assert rnn.stop_reason_ == "interrupted"
    rnn.set_params(warm_start=True, max_iter=16, callback=None).fit(X, y)
    assert_same(whole, rnn)


def fit_or_be_killed(kind, path, total, seconds=None):
    """Fit to the end, or be killed so many seconds after all is ready; say whether it ended."""
    is_ready, ready = multiprocessing.Pipe(duplex=False)
    with is_ready, ready, forked(fit_with_files, path, kind, total, ready) as process:
        assert is_ready.poll(60)
        process.join(seconds)
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        return process.exitcode == 0


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are killed by POSIX signals")
@pytest.mark.parametrize(("kind", "total"), [("text", 60), ("adam", 300), ("hf", 60)])
def test_killed_at_random_moments(tmp_path, kind, total):
    rng = np.random.default_rng()
    assert fit_or_be_killed(kind, tmp_path / "whole.npz", total)
    ended = False
    for _ in range(4):
        ended = fit_or_be_killed(kind, tmp_path / "killed.npz", total, rng.exponential(0.25))
        if ended:
            break
    assert ended or fit_or_be_killed(kind, tmp_path / "killed.npz", total)
    estimator = type(make_estimator(kind)[0])
    whole, killed = (estimator.load(tmp_path / name) for name in ("whole.npz", "killed.npz"))
    assert_same(whole, killed)


# -- what callbacks see, and weights that were set ------------------------------------------------


def test_callbacks_see_the_curve_the_reason_and_the_best(rng):
    X, y = rng.normal(size=(30, 4, 2)), rng.integers(2, size=30)
    seen = []

    def look(rnn):
        seen.append((len(rnn.validation_curve_), rnn.stop_reason_, rnn.params_.copy()))

    settings = {"validation_fraction": 0.3, "n_iter_no_change": 6, "tol": 1e-2}
    rnn = classifier(max_iter=60, callback=look, **settings).fit(X, y)
    assert [n for n, _, _ in seen] == list(range(1, rnn.n_iter_ + 1))
    assert [reason for _, reason, _ in seen] == ["running"] * (rnn.n_iter_ - 1) + ["converged"]
    np.testing.assert_array_equal(seen[-1][2], rnn.params_)
    np.testing.assert_array_equal(seen[rnn.validation_curve_.argmin()][2], rnn.params_)
    seen.clear()
    short = classifier(max_iter=3, callback=look, **settings).fit(X, y)
    assert [reason for _, reason, _ in seen] == ["running", "running", "max_iter"]
    # A second fit begins anew, with a curve of its own or without one.
    seen.clear()
    short.fit(X, y)
    assert [n for n, _, _ in seen] == [1, 2, 3]
    short.set_params(validation_fraction=0.0, callback=None).fit(X, y)
    assert not hasattr(short, "validation_curve_")


@pytest.mark.parametrize("way", ["rebound", "in place"])
def test_weights_that_were_set_are_gone_on_from(rng, way):
    X, y = data_of(rng)
    source = regressor(max_iter=40, n_units=6).fit(X, 50 + 7 * y)
    rnn = regressor(max_iter=1, n_units=6, warm_start=True, random_state=5).fit(X, 50 + 7 * y)
    if way == "rebound":
        rnn.params_ = source.params_
    else:
        rnn.params_[...] = source.params_
    before = rnn.score(X, 50 + 7 * y)
    assert before == source.score(X, 50 + 7 * y)
    rnn.fit(X, 50 + 7 * y)
    # The loss before the first step is that of these weights, to float32.
    assert rnn.loss_curve_[1] == pytest.approx(0.02 * (1 - before), rel=1e-3)
    assert rnn.score(X, 50 + 7 * y) >= before


def test_weights_of_another_shape_are_refused(rng):
    X, y = data_of(rng)
    rnn = regressor(warm_start=True).fit(X, y)
    rnn.params_ = rnn.params_[:-1]
    with pytest.raises(ValueError, match="`params_` has shape"):
        rnn.fit(X, y)


def test_a_fit_that_fails_leaves_the_estimator_as_it_was(rng):
    X, y = data_of(rng)
    rnn = regressor().fit(X, y)
    before = rnn.predict(X)
    with pytest.raises(ValueError, match="NaN"):
        rnn.fit(X[:, :, [0, 0]], np.full(X.shape, np.nan))

    def fail(rnn):
        raise MemoryError

    with pytest.raises(MemoryError):
        rnn.set_params(callback=fail).fit(X, -3 * y)
    np.testing.assert_array_equal(rnn.predict(X), before)


# -- shifted targets ------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.0, 1e4, 1e7, 1e8])
def test_shifted_targets_are_learned_as_well_in_float32(rng, shift):
    X, y = data_of(rng)
    y = 3 * y / y.std() + shift
    scores = {
        dtype: regressor(n_units=10, max_iter=30, dtype=dtype).fit(X, y).score(X, y)
        for dtype in ("float32", "float64")
    }
    assert scores["float32"] > 0.97
    assert scores["float32"] == pytest.approx(scores["float64"], abs=0.02)
