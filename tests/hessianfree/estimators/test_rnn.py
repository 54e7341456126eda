import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import hessianfree.estimators._sequence_data as sequence_data
from hessianfree import HessianFree, LevenbergMarquardt, RNNClassifier, RNNRegressor
from hessianfree.batch import Batch
from hessianfree.estimators._sequence_data import read_targets
from hessianfree.optimize import HessianFreeState
from hessianfree.training import History
from hessianfree.training._stopping import hold_out
from reservoir.sequences import Layout

ROWS_ARE_EXCHANGEABLE = "rows are steps of one series: their order and their past matter"
EXPECTED_FAILURES = {
    "check_methods_sample_order_invariance": ROWS_ARE_EXCHANGEABLE,
    "check_methods_subset_invariance": ROWS_ARE_EXCHANGEABLE,
}


def regressor(**parameters):
    return RNNRegressor(**{"n_units": 6, "max_iter": 4, "random_state": 1, **parameters})


def classifier(**parameters):
    return RNNClassifier(**{"n_units": 6, "max_iter": 4, "random_state": 1, **parameters})


@pytest.fixture
def memory_task(rng):
    """What the input was one and two steps ago, in 30 sequences of 8 steps."""
    X = rng.uniform(-1, 1, size=(30, 8, 1))
    y = np.concatenate([np.roll(X, 1, axis=1), np.roll(X, 2, axis=1)], axis=2)
    y[:, :2] = 0
    return X, y


@parametrize_with_checks(
    [
        RNNRegressor(n_units=8, max_iter=6, random_state=0),
        RNNClassifier(n_units=8, max_iter=6, random_state=0),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
    xfail_strict=True,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


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


# -- what is learned -----------------------------------------------------------------------------


def test_learns_a_product_over_time(rng):
    X = rng.uniform(-1, 1, size=(80, 20, 1))
    y = 40 + 7 * np.roll(X[..., 0], 1, axis=1) * np.roll(X[..., 0], 2, axis=1)
    y[:, :2] = 40
    rnn = RNNRegressor(n_units=20, max_iter=40, random_state=0).fit(X[:60], y[:60])
    assert rnn.score(X[60:], y[60:]) > 0.99


@pytest.mark.parametrize("cell", ["multiplicative", "tensor"])
def test_learns_parity_of_symbols_and_longer_ones(rng, cell):
    X = rng.integers(2, size=(100, 12, 1))
    y = np.where(X[..., 0].cumsum(axis=1) % 2, "odd", "even")
    rnn = RNNClassifier(10, cell=cell, n_symbols=2, max_iter=25, random_state=0).fit(X, y)
    longer = rng.integers(2, size=(50, 60, 1))
    parity = np.where(longer[..., 0].cumsum(axis=1) % 2, "odd", "even")
    assert rnn.score(longer, parity) == 1


@pytest.mark.parametrize("cell", ["lstm", "gru", "mut1", "mut2", "mut3"])
def test_cells_with_gates_learn_what_came_two_steps_ago(rng, cell):
    X = rng.integers(3, size=(100, 12, 1))
    y = np.roll(X[..., 0], 2, axis=1)
    y[:, :2] = 0
    rnn = RNNClassifier(12, cell=cell, n_symbols=3, max_iter=30, random_state=0).fit(X, y)
    longer = rng.integers(3, size=(20, 60, 1))
    assert rnn.score(longer[:, 2:], np.roll(longer[..., 0], 2, axis=1)[:, 2:]) > 0.9


def test_layers_are_those_asked_for(memory_task):
    X, y = memory_task
    rnn = regressor(cell="multiplicative", n_layers=3, n_symbols=2, max_iter=3).fit(X > 0, y)
    below, *above = rnn.network_.cell.cells
    assert [below.gain] + [layer.gain for layer in above] == ["linear", *["shifted_tanh"] * 2]
    assert rnn.weights_["layer1.input_to_factor"].shape == (6, 2)
    assert rnn.weights_["layer3.input_to_factor"].shape == (6, 6)
    assert rnn.loss_curve_[-1] < rnn.loss_curve_[0]
    with pytest.raises(ValueError, match="n_layers is 2 and was 3"):
        rnn.set_params(warm_start=True, n_layers=2).fit(X > 0, y)


def test_learns_labels_of_whole_sequences_of_various_lengths(rng):
    """The label is what came first."""
    X = [rng.uniform(-0.2, 0.2, size=(n_steps, 1)) for n_steps in rng.integers(3, 12, size=90)]
    level = rng.integers(3, size=90)
    for x, first in zip(X, level, strict=True):
        x[0] = first - 1
    y = np.array(["low", "medium", "high"])[level]
    rnn = RNNClassifier(n_units=15, max_iter=40, random_state=0).fit(X[:60], y[:60])
    assert list(rnn.classes_) == ["high", "low", "medium"]
    assert rnn.score(X[60:], y[60:]) == 1
    probabilities = rnn.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(rnn.classes_[probabilities.argmax(axis=1)], rnn.predict(X))


def test_learns_several_outputs(memory_task):
    X, y = memory_task
    rnn = regressor(n_units=15, max_iter=30).fit(X[:20], y[:20])
    assert rnn.n_outputs_ == 2
    assert rnn.score(X[20:], y[20:]) > 0.8


# -- predict is the recurrence with the weights that are shown -----------------------------------


def test_predicts_what_the_named_weights_say(memory_task):
    X, y = memory_task
    rnn = regressor(dtype="float64").fit(X, 100 * y + 30)
    w = rnn.weights_
    assert set(w) == {"recurrent", "input", "bias", "initial_state", "output", "output_bias"}
    for x, predicted in zip(X[:3], rnn.predict(X[:3]), strict=True):
        h = w["initial_state"]
        for u, o in zip(x, predicted, strict=True):
            h = np.tanh(w["recurrent"] @ h + w["input"] @ u + w["bias"])
            np.testing.assert_allclose(o, w["output"] @ h + w["output_bias"], rtol=1e-10)
    assert np.shares_memory(w["recurrent"], rnn.params_)


def test_factors_and_gains_are_those_asked_for(memory_task):
    X, y = memory_task
    numbers = regressor(cell="multiplicative", n_factors=3, max_iter=1).fit(X, y)
    assert numbers.weights_["state_to_factor"].shape == (3, 6)
    assert numbers.network_.cell.gain == "shifted_tanh"
    symbols = regressor(cell="multiplicative", n_symbols=2, max_iter=1).fit(X > 0, y)
    assert symbols.network_.cell.gain == "linear"
    assert symbols.weights_["input_to_factor"].shape == (6, 2)


def test_symbols_are_one_hot_inputs(rng):
    X = rng.integers(3, size=(20, 7, 1))
    y = rng.normal(size=(20, 7))
    symbols = regressor(n_symbols=3, dtype="float64", max_iter=1).fit(X, y)
    one_hot = regressor(dtype="float64", max_iter=1).fit(np.eye(3)[X[..., 0]], y)
    np.testing.assert_allclose(symbols.params_, one_hot.params_, rtol=1e-6, atol=1e-9)


def test_sequences_do_not_touch_each_other(rng, monkeypatch):
    X = [rng.normal(size=(length, 2)) for length in (9, 1, 5, 5, 14)]
    rnn = regressor(dtype="float64").fit(X, [x[:, 0] for x in X])
    alone = [rnn.predict(x) for x in X]
    for rows in (2**16, 1, 20):
        monkeypatch.setattr(sequence_data, "_MAX_ROWS", rows)
        for predicted, expected in zip(rnn.predict(X), alone, strict=True):
            np.testing.assert_allclose(predicted, expected, rtol=1e-10, atol=1e-12)


def test_scale_and_offset_of_targets_do_not_matter(memory_task):
    X, y = memory_task
    # One iteration: conjugate gradients amplify rounding errors, and more so from step to step.
    plain = regressor(dtype="float64", max_iter=1).fit(X, y)
    scaled = regressor(dtype="float64", max_iter=1).fit(X, 1000 * y + 5)
    np.testing.assert_allclose(scaled.predict(X), 1000 * plain.predict(X) + 5, atol=1e-8)


def test_predicting_the_mean_is_the_loss_before_the_first_step(memory_task):
    X, y = memory_task
    rnn = regressor().fit(X, y)
    # Half a variance of 0.2² an output, and what the small initial output weights add.
    assert rnn.loss_curve_[0] == pytest.approx(2 * 0.02, rel=0.5)
    assert rnn.loss_curve_.shape == (rnn.n_iter_,) == (4,)


# -- forms of X and y ----------------------------------------------------------------------------


def as_forms(X, y):
    """The same equally long sequences as a 3-D array, a list, groups and lengths."""
    n, length = X.shape[:2]
    rows, row_targets = X.reshape(n * length, -1), y.reshape(n * length, *y.shape[2:])
    return [
        (X, y, {}),
        (list(X), list(y), {}),
        (rows, row_targets, {"groups": np.repeat(np.arange(n), length)}),
        (rows, row_targets, {"lengths": [length] * n}),
    ]


def test_forms_of_sequences_agree(memory_task):
    X, y = memory_task
    results = []
    for inputs, targets, cuts in as_forms(X, y):
        rnn = regressor().fit(inputs, targets, **cuts)
        predicted = rnn.predict(inputs, **cuts)
        assert type(predicted) is type(inputs)
        rows = np.asarray(predicted).reshape(-1, 2)
        results.append((rows, rnn.score(inputs, targets, **cuts)))
    for rows, score in results:
        np.testing.assert_array_equal(rows, results[0][0])
        assert score == results[0][1] == pytest.approx(r2_score(y.reshape(-1, 2), rows))


def test_forms_of_labels_agree(memory_task):
    X, y = memory_task
    labels = np.where(y[..., 0] > 0, "up", "down")
    for inputs, targets, cuts in as_forms(X, labels):
        rnn = classifier().fit(inputs, targets, **cuts)
        predicted = np.asarray(rnn.predict(inputs, **cuts)).ravel()
        score = rnn.score(inputs, targets, **cuts)
        assert score == accuracy_score(labels.ravel(), predicted)
        shape = np.asarray(rnn.predict_proba(inputs, **cuts)).shape
        assert shape == (*np.asarray(targets).shape, 2)


@pytest.mark.parametrize(
    ("y", "form", "expected", "per_sequence"),
    [
        ([1, 2], "list", (2,), True),
        (["a", "b"], "list", (2,), True),
        ([[1, 2, 3], [4]], "list", (4,), False),
        ([[1, 2], [3, 4]], "list", (2, 2), True),
        ([[[1], [2], [3]], [[4]]], "list", (4, 1), False),
        ([[[1, 2]], [[3, 4]]], "list", (2, 2), True),
        (np.zeros((2, 3)), "array", (6,), False),
        (np.zeros((2, 5)), "array", (2, 5), True),
        (np.zeros((2, 1, 3)), "array", (2, 3), True),
        (np.zeros((2, 3, 5)), "array", (6, 5), False),
        (np.zeros(4), "rows", (4,), False),
        (np.zeros(2), "rows", (2,), True),
    ],
)
def test_targets_of_steps_and_of_sequences_are_told_apart(y, form, expected, per_sequence):
    layout = Layout((3, 3) if form == "array" else (3, 1), form)
    stacked, found = read_targets(y, layout, is_cut=form == "rows")
    assert np.shape(stacked) == expected
    assert found is per_sequence


def test_targets_of_sequences_are_those_of_the_last_step(rng):
    X = [rng.normal(size=(length, 2)) for length in (4, 6, 3, 5)]
    y = rng.normal(size=(4, 3))
    steps = [np.zeros((len(x), 3)) for x in X]
    weights = [np.zeros(len(x)) for x in X]
    for target, weight, value in zip(steps, weights, y, strict=True):
        target[-1], weight[-1] = value, 1
    by_sequence = regressor().fit(X, y)
    by_step = regressor().fit(X, steps, step_weight=weights)
    np.testing.assert_array_equal(by_sequence.params_, by_step.params_)
    last = np.array([rows[-1] for rows in by_step.predict(X)])
    np.testing.assert_array_equal(by_sequence.predict(X), last)
    assert by_sequence.score(X, y) == r2_score(y, last)
    by_lengths = regressor().fit(np.concatenate(X), y, lengths=[4, 6, 3, 5])
    np.testing.assert_array_equal(by_lengths.params_, by_sequence.params_)
    assert by_lengths.predict(np.concatenate(X), lengths=[4, 6, 3, 5]).shape == (4, 3)


def test_weights_of_sequences_are_those_of_their_last_step(rng):
    X = [rng.normal(size=(length, 2)) for length in (4, 6, 3, 5)]
    y, weight = rng.normal(size=4), [1.0, 3.0, 0.0, 2.0]
    last = [np.arange(len(x)) == len(x) - 1 for x in X]
    # Structural damping counts scored steps, not their weights: the last comparison does without.
    settings = {"dtype": "float64", "max_iter": 1, "optimizer": HessianFree(max_cg_iterations=10)}
    by_sequence = regressor(**settings).fit(X, y, step_weight=weight)
    by_step = regressor(**settings).fit(
        X,
        [is_last * target for is_last, target in zip(last, y, strict=True)],
        step_weight=[is_last * w for is_last, w in zip(last, weight, strict=True)],
    )
    np.testing.assert_allclose(by_sequence.params_, by_step.params_, rtol=1e-6, atol=1e-9)
    repeated = [1, 1, 1, 0, 3, 3]
    by_count = regressor(**settings).fit([X[i] for i in repeated], y[repeated])
    np.testing.assert_allclose(by_sequence.params_, by_count.params_, rtol=1e-6, atol=1e-9)


def test_steps_of_weight_zero_do_not_count(memory_task, rng):
    X, y = memory_task
    weights = rng.integers(2, size=X.shape[:2])
    other = np.where(weights[..., None] > 0, y, 1e3)
    expected = regressor().fit(X, y, step_weight=weights)
    np.testing.assert_array_equal(
        regressor().fit(X, other, step_weight=weights).params_, expected.params_
    )
    np.testing.assert_array_equal(
        regressor().fit(X, y, step_weight=2 * weights).params_, expected.params_
    )


def test_one_dimensional_targets_stay_one_dimensional(memory_task):
    X, y = memory_task
    one, two = regressor().fit(X, y[..., 0]), regressor().fit(X, y[..., :1])
    assert one.predict(X).shape == (30, 8)
    assert two.predict(X).shape == (30, 8, 1)
    np.testing.assert_array_equal(one.predict(X), two.predict(X)[..., 0])


def test_score_takes_weights(memory_task, rng):
    X, y = memory_task
    weights = rng.uniform(size=(30, 8))
    rnn = regressor().fit(X, y)
    expected = r2_score(
        y.reshape(-1, 2), rnn.predict(X).reshape(-1, 2), sample_weight=weights.ravel()
    )
    assert rnn.score(X, y, sample_weight=weights) == expected


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


class Recorder:
    """An optimizer that stays where it is and notes the sizes of the batches."""

    def __init__(self):
        self.sizes = []

    def init(self, params):
        return HessianFreeState(params, 0.0, params, 0)

    def step(self, objective, state, gradient_batch=None, curvature_batch=None):
        self.sizes.append((gradient_batch.n_sequences, curvature_batch.n_sequences))
        return state, {"loss": objective.value(state.params, gradient_batch)}


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
    rnn = regressor(max_iter=50, tol=1e-3, n_iter_no_change=3).fit(X, y)
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
        regressor(max_iter=8).fit(X, np.full((30, 8), 2.5)).predict(X), 2.5, atol=1e-2
    )


def test_validation_keeps_the_best_parameters(rng):
    X, y = rng.normal(size=(20, 5, 3)), rng.normal(size=(20, 5))
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
        regressor(activation="relu", max_iter=1).fit(X, X[..., 0])


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
        (np.zeros((2, 3, 1)), [1, np.nan], {}, "Input y contains NaN"),
        (np.zeros((5, 1)), np.zeros(5), {"step_weight": [1, 2]}, "`step_weight` has 2 entries"),
        (np.zeros((2, 1)), np.zeros(2), {"step_weight": [1, -2]}, "negative weight"),
        (np.zeros((2, 1)), np.zeros(2), {"step_weight": np.ones((2, 2))}, "one number a target"),
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
