"""Targets that are several labels: sets of labels, and several classes at once."""

import pickle

import numpy as np
import pytest
from sklearn.metrics import log_loss

from hessianfree import RNNClassifier
from tests.support.small_rnns import classifier


@pytest.fixture
def data(rng):
    """Sequences, a set of labels for each step, and several classes for each step."""
    X = rng.uniform(-1, 1, size=(30, 7, 2))
    sums = X.cumsum(axis=1)
    labels = np.dstack([sums > 0, sums[..., :1] + sums[..., 1:] > 0.5]).astype(int)
    classes = np.dstack(
        [
            np.array(["low", "mid", "high"])[np.digitize(sums[..., 0], [-0.5, 0.5])],
            np.where(sums[..., 1] > 0, "up", "down"),
        ]
    )
    return X, labels, classes


def mean_log_losses(probabilities, labels, weights):
    """The sum over labels of weight times the mean of -log P(label)."""
    total = 0.0
    for k, weight in enumerate(weights):
        column = labels[..., k].ravel()
        p = np.asarray(probabilities[k]).reshape(len(column), -1)
        total += weight * log_loss(column, p, labels=np.unique(column))
    return total


# -- sets of labels ------------------------------------------------------------------------------


def test_a_set_of_labels_a_step(data):
    X, labels, _ = data
    rnn = RNNClassifier(12, max_iter=30, random_state=0).fit(X, labels)
    assert rnn.classes_.tolist() == [0, 1, 2]
    predicted, probabilities = rnn.predict(X), rnn.predict_proba(X)
    assert predicted.shape == probabilities.shape == labels.shape
    np.testing.assert_array_equal(predicted, probabilities > 0.5)
    right = (predicted == labels).all(axis=-1)
    assert rnn.score(X, labels) == pytest.approx(right.mean())
    assert rnn.score(X, labels) > 0.85
    weights = np.linspace(0, 1, 210).reshape(30, 7)
    expected = np.average(right, weights=weights)
    assert rnn.score(X, labels, sample_weight=weights) == pytest.approx(expected)
    rnn.reset_state()
    np.testing.assert_array_equal([rnn.step(x) for x in X[0]], predicted[0])


def test_the_loss_of_a_set_is_the_sum_of_logistic_ones(data):
    X, labels, _ = data
    seen = []
    for weight in (None, [1.0, 2.0, 3.0]):
        rnn = classifier(dtype="float64", output_weight=weight, max_iter=2)
        rnn.set_params(callback=lambda net: seen.append(net.predict_proba(X))).fit(X, labels)
        second = np.moveaxis(seen[-2], -1, 0)
        both = [np.stack([1 - p, p], axis=-1) for p in second]
        means = [1.0, 1.0, 1.0] if weight is None else [0.5, 1.0, 1.5]
        loss = mean_log_losses(both, labels, means)
        assert rnn.loss_curve_[1] == pytest.approx(loss, rel=1e-9)


# -- several classes -----------------------------------------------------------------------------


def test_several_classes_a_step(data):
    X, _, classes = data
    rnn = RNNClassifier(12, max_iter=30, random_state=0).fit(X, classes)
    assert [own.tolist() for own in rnn.classes_] == [["high", "low", "mid"], ["down", "up"]]
    predicted, probabilities = rnn.predict(X), rnn.predict_proba(X)
    assert predicted.shape == classes.shape
    assert [p.shape for p in probabilities] == [(30, 7, 3), (30, 7, 2)]
    for k, p in enumerate(probabilities):
        np.testing.assert_allclose(p.sum(axis=-1), 1, rtol=1e-12)
        np.testing.assert_array_equal(predicted[..., k], rnn.classes_[k][p.argmax(axis=-1)])
    assert rnn.score(X, classes) == pytest.approx((predicted == classes).all(axis=-1).mean())
    assert rnn.score(X, classes) > 0.8
    rnn.reset_state()
    np.testing.assert_array_equal([rnn.step(x) for x in X[0]], predicted[0])


@pytest.mark.parametrize("weight", [None, [3.0, 1.0]])
def test_the_loss_of_several_classes_is_the_sum_of_theirs(data, weight):
    X, _, classes = data
    seen = []
    rnn = classifier(dtype="float64", output_weight=weight, max_iter=2)
    rnn.set_params(callback=lambda net: seen.append(net.predict_proba(X))).fit(X, classes)
    loss = mean_log_losses(seen[0], classes, [1.0, 1.0] if weight is None else [1.5, 0.5])
    assert rnn.loss_curve_[1] == pytest.approx(loss, rel=1e-9)


def test_two_classes_by_name_are_a_set_of_labels(data):
    X, labels, _ = data
    names = np.where(labels > 0, "yes", "no")
    by_name, as_set = classifier().fit(X, names), classifier().fit(X, labels)
    np.testing.assert_array_equal(by_name.params_, as_set.params_)
    together = np.stack([p[..., 1] for p in by_name.predict_proba(X)], axis=-1)
    np.testing.assert_allclose(together, as_set.predict_proba(X), rtol=1e-12)


def test_numbers_are_classes(data, rng):
    X = data[0]
    numbers = rng.integers(5, 8, size=(30, 2))
    rnn = classifier().fit(X, numbers)
    assert [own.tolist() for own in rnn.classes_] == [[5, 6, 7], [5, 6, 7]]
    assert rnn.predict(X).dtype == numbers.dtype


# -- both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [1, 2])
def test_labels_of_a_sequence_unknown_ones_and_forms(data, which):
    X, y = data[0], data[which]
    last = y[:, -1]
    rnn = classifier().fit(X, last)  # 7 steps, 3 or 2 labels: one target per sequence
    assert rnn.predict(X).shape == last.shape
    single_row = classifier().fit(X, last[:, None])
    assert single_row.predict(X).shape == last[:, None].shape
    np.testing.assert_array_equal(single_row.params_, rnn.params_)
    rows = classifier().fit(X.reshape(-1, 2), y.reshape(210, -1), lengths=[7] * 30)
    assert rows.predict(X.reshape(-1, 2), lengths=[7] * 30).shape == (210, y.shape[2])
    np.testing.assert_array_equal(classifier().fit(list(X), list(y)).params_, rows.params_)
    holes = y.astype(object)
    holes[::2, 3:] = None
    weights = np.ones(y.shape[:2])
    weights[::2, 3:] = 0
    same = classifier().fit(X, y, step_weight=weights)
    np.testing.assert_array_equal(classifier().fit(X, holes).params_, same.params_)
    assert same.score(X, holes) == same.score(X, y, sample_weight=weights)


@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.parametrize("weight", [None, "given"])
def test_they_are_saved_resumed_and_pickled(data, which, weight, tmp_path):
    X, y = data[0], data[which]
    settings = {"output_weight": weight and [1.0, 2.0, 3.0][: y.shape[2]], "warm_start": True}
    whole = classifier(**settings, max_iter=4).fit(X, y)
    half = classifier(**settings, max_iter=2).fit(X, y)
    half.save(tmp_path / "rnn.npz")
    for part in (RNNClassifier.load(tmp_path / "rnn.npz"), pickle.loads(pickle.dumps(half)), half):
        np.testing.assert_array_equal(part.predict(X), half.predict(X))
        np.testing.assert_array_equal(part.fit(X, y).params_, whole.params_)


@pytest.mark.parametrize("which", [1, 2])
def test_validation_data_of_several_labels(data, which):
    X, y = data[0], data[which]
    rnn = classifier(max_iter=6, dtype="float64")
    rnn.fit(X[:20], y[:20], validation_data=(X[20:], y[20:]))
    probabilities = rnn.predict_proba(X[20:])
    if which == 1:
        p = np.moveaxis(probabilities, -1, 0)
        probabilities = [np.stack([1 - one, one], axis=-1) for one in p]
    loss = mean_log_losses(probabilities, y[20:], [1.0] * y.shape[2])
    assert rnn.validation_curve_.min() == pytest.approx(loss, rel=1e-9)
    with pytest.raises(ValueError, match="`validation_data` has shape"):
        classifier().fit(X, y, validation_data=(X, y[..., :1].repeat(5, axis=-1)))


def test_as_many_labels_as_steps_are_one_a_step_unless_said(data, rng):
    X, labels = data[0], rng.integers(2, size=(30, 7))
    assert classifier().fit(X, labels).classes_.tolist() == [0, 1]
    as_set = classifier(target="sequence").fit(X, labels)
    assert as_set.classes_.tolist() == list(range(7))
    assert as_set.predict(X).shape == (30, 7)
    for n in (6, 8):  # one short, or a set of so many
        with pytest.raises(ValueError, match="one target per step, or one target per sequence"):
            classifier().fit(X, rng.integers(2, size=(30, n)))


def test_what_does_not_go_together_is_refused(data):
    X, labels, classes = data
    for y, settings, match in [
        (labels, {"class_weight": "balanced"}, "`class_weight` weighs the classes of a single"),
        (labels[..., 0], {"output_weight": [1.0]}, "`output_weight` weighs several labels"),
        (labels, {"output_weight": [1.0]}, r"`output_weight` has shape \(1,\)"),
        (np.where(classes == "mid", "low", "low"), {}, "column 0 of `y` holds the one class"),
        (labels + 0.5, {}, "Unknown label type"),
    ]:
        with pytest.raises(ValueError, match=match):
            classifier(**settings).fit(X, y)
    rnn = classifier(warm_start=True).fit(X, classes)
    other = classes.copy()
    other[0, 0, 1] = "left"
    with pytest.raises(ValueError, match=r"column 1 of `y` holds the classes .*'left'"):
        rnn.fit(X, other)
    with pytest.raises(ValueError, match=r"`y` has .* labels for each target"):
        rnn.score(X, labels)


def test_a_single_label_is_written_back(rng):
    symbols = rng.integers(3, size=(20, 6, 1))
    rnn = classifier(n_symbols=3).fit(symbols, np.dstack([symbols, 2 - symbols]))
    with pytest.raises(ValueError, match=r"`generate` writes a single label .* multioutput labels"):
        rnn.generate(symbols[:1])
