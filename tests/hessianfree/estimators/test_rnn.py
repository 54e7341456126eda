"""RNNRegressor and RNNClassifier: what they learn and predict, forms of X and y, weights."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score

import hessianfree.estimators._sequence_data as sequence_data
from hessianfree import HessianFree, RNNClassifier, RNNRegressor
from tests.support.small_rnns import classifier, regressor

# -- what is learned -----------------------------------------------------------------------------


def test_learns_a_product_over_time(rng):
    X = rng.uniform(-1, 1, size=(80, 20, 1))
    y = 40 + 7 * np.roll(X[..., 0], 1, axis=1) * np.roll(X[..., 0], 2, axis=1)
    y[:, :2] = 40
    rnn = RNNRegressor(n_units=20, max_iter=40, target="step", random_state=0)
    rnn.fit(X[:60], y[:60])
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
    y = rng.normal(size=(20, 7, 1))
    symbols = regressor(n_symbols=3, dtype="float64", max_iter=1).fit(X, y)
    one_hot = regressor(dtype="float64", max_iter=1).fit(np.eye(3)[X[..., 0]], y)
    np.testing.assert_allclose(symbols.params_, one_hot.params_, rtol=1e-6, atol=1e-9)


def test_sequences_do_not_touch_each_other(rng, monkeypatch):
    X = [rng.normal(size=(length, 2)) for length in (9, 1, 5, 5, 14)]
    rnn = regressor(dtype="float64").fit(X, [x[:, 0] for x in X])
    alone = [rnn.predict(x) for x in X]
    for rows in (2**16, 1, 20):
        monkeypatch.setattr(sequence_data, "_MAX_NUMBERS", 8 * rows)
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
    one, two = regressor(target="step").fit(X, y[..., 0]), regressor().fit(X, y[..., :1])
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
