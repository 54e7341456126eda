"""What a regressor lowers: weighted outputs, other losses, and losses of one's own."""

import numpy as np
import pytest
from sklearn.base import clone

from hessianfree import RNNClassifier, RNNRegressor
from hessianfree.network import LogisticCrossEntropy
from tests.support.own_losses import Huber
from tests.support.small_rnns import Recorder, classifier, regressor


@pytest.fixture
def data(rng):
    X = rng.uniform(-1, 1, size=(30, 7, 2))
    return X, X.cumsum(axis=1)


# -- weights of outputs --------------------------------------------------------------------------


def test_a_weight_is_a_scale_of_the_targets(data):
    """w e² = (√w e)²: the loss is that of scaled targets, whatever weights add up to."""
    X, y = data
    y = y * [1.0, 100.0]
    settings = {"target": "step", "dtype": "float64", "max_iter": 3}
    seen = []
    rnn = regressor(output_weight=[1.0, 4.0], **settings)
    rnn.set_params(callback=lambda net: seen.append(net.predict(X))).fit(X, y)
    standard = (seen[0] - y) / y.std(axis=(0, 1)) * 0.2
    loss = 0.5 * (standard**2 * [0.4, 1.6]).sum(axis=-1).mean()
    assert rnn.loss_curve_[1] == pytest.approx(loss, rel=1e-9)
    many = regressor(output_weight=[10.0, 40.0], **settings).fit(X, y)
    np.testing.assert_allclose(many.params_, rnn.params_, rtol=1e-7)
    even = regressor(output_weight=[3.0, 3.0], **settings).fit(X, y)
    np.testing.assert_allclose(even.params_, regressor(**settings).fit(X, y).params_, rtol=1e-7)
    # Nothing else changes: the units that a net starts with, and how its score is defined.
    assert rnn.score(X, y) == pytest.approx(
        np.mean([1 - np.var(y[..., k] - rnn.predict(X)[..., k]) / np.var(y[..., k])
                 for k in range(2)]), abs=0.02
    )  # fmt: skip


def test_what_weighs_more_is_learned_better(rng):
    """Two noises that a net of few units has to choose between."""
    X = rng.normal(size=(40, 6, 4))
    y = np.stack([(X[..., :2] ** 2).sum(axis=-1), (X[..., 2:] ** 2).sum(axis=-1)], axis=-1)
    errors = {}
    for first in (50.0, 0.02):
        rnn = RNNRegressor(
            3, output_weight=[first, 1.0], target="step", max_iter=40, random_state=0
        )
        errors[first] = ((rnn.fit(X, y).predict(X) - y) ** 2).mean(axis=(0, 1)) / y.var(axis=(0, 1))
    assert errors[50.0][0] < 0.7 * errors[50.0][1]
    assert errors[0.02][1] < 0.7 * errors[0.02][0]


@pytest.mark.parametrize(
    ("weights", "error", "match"),
    [
        ([1.0], ValueError, r"`output_weight` has shape \(1,\), but \(2,\) was expected"),
        ([1.0, 0.0], ValueError, "finite weights above 0"),
        ([1.0, np.inf], ValueError, "finite weights above 0"),
        (["a", "b"], ValueError, "`output_weight` can't be read as numbers"),
    ],
)
def test_bad_weights_of_outputs(data, weights, error, match):
    with pytest.raises(error, match=match):
        regressor(output_weight=weights, target="step").fit(*data)
    with pytest.raises(ValueError, match="`output_weight` belongs to the loss 'squared_error'"):
        regressor(output_weight=[1, 2], loss=Huber(1.0), target="step").fit(*data)


def test_other_weights_begin_another_run(data):
    X, y = data
    rnn = regressor(target="step", warm_start=True).fit(X, y)
    goes_on = clone(rnn).fit(X, y).set_params(output_weight=[1.0, 1.0]).fit(X, y)
    assert goes_on.n_iter_ == 8
    assert goes_on._progress.began == 4


# -- losses with a name --------------------------------------------------------------------------


def test_targets_between_0_and_1(data):
    X, y = data
    share = 1 / (1 + np.exp(-2 * y))
    rnn = regressor(loss="logistic", target="step", max_iter=20).fit(X, share)
    predicted = rnn.predict(X)
    assert rnn.score(X, share) > 0.8
    assert (predicted > 0).all()
    assert (predicted < 1).all()
    rnn.reset_state()
    np.testing.assert_allclose([rnn.step(x) for x in X[0]], predicted[0], atol=1e-6)
    # A forecast feeds predictions back, not what the link is applied to.
    by_hand, state = rnn.predict(X[:1], return_state=True)
    second = rnn.predict(by_hand[:, -1:], initial_state=state)
    np.testing.assert_allclose(rnn.forecast(2, X[:1])[0, 1], second[0, 0], atol=1e-6)
    with pytest.raises(ValueError, match="numbers from 0 to 1 were expected"):
        regressor(loss="logistic", target="step").fit(X, y)


def test_targets_that_are_parts_of_a_whole(data):
    X, y = data
    parts = np.exp(np.dstack([y, np.zeros_like(y[..., :1])]))
    parts /= parts.sum(axis=-1, keepdims=True)
    rnn = regressor(loss="softmax", target="step", max_iter=20).fit(X, parts)
    np.testing.assert_allclose(rnn.predict(X).sum(axis=-1), 1, rtol=1e-5)
    assert rnn.score(X, parts) > 0.8


# -- losses of one's own -------------------------------------------------------------------------


def test_a_loss_of_ones_own_is_what_is_lowered(data, rng):
    """A few targets are far off: what is learned in spite of them is what the others say."""
    X, y = data
    spoilt = np.where(rng.random(y.shape) < 0.1, 30.0, y)
    loss = Huber(0.1)
    seen = []
    rnn = regressor(loss=loss, target="step", max_iter=40, dtype="float64", n_units=12)
    rnn.set_params(callback=lambda net: seen.append(net.predict(X))).fit(X, spoilt)
    expected = loss.values(seen[0].reshape(-1, 2), spoilt.reshape(-1, 2)).mean()
    assert rnn.loss_curve_[1] == pytest.approx(expected, rel=1e-9)
    squares = regressor(target="step", max_iter=40, n_units=12).fit(X, spoilt)
    assert rnn.score(X, y) > 0.9
    assert squares.score(X, y) < 0


def test_a_loss_of_ones_own_goes_on_but_not_into_a_file(data, tmp_path):
    X, y = data
    settings = {"loss": Huber(0.1), "target": "step"}
    whole = regressor(**settings, max_iter=4).fit(X, y)
    half = regressor(**settings, max_iter=2, warm_start=True).fit(X, y)
    with pytest.raises(TypeError, match=r"`params\.loss` is of type Huber, which a model file"):
        half.save(tmp_path / "rnn.npz")
    np.testing.assert_array_equal(half.fit(X, y).params_, whole.params_)
    np.testing.assert_array_equal(clone(whole).fit(X, y).params_, whole.params_)
    with pytest.raises(ValueError, match="`warm_start` is True, but loss is"):
        half.set_params(loss="squared_error").fit(X, y)
    # One of the package can be saved.
    shares = regressor(loss=LogisticCrossEntropy((1.0, 2.0)), target="step").fit(X, y > 0)
    shares.save(tmp_path / "rnn.npz")
    loaded = RNNRegressor.load(tmp_path / "rnn.npz")
    assert loaded.loss == LogisticCrossEntropy((1.0, 2.0))
    np.testing.assert_array_equal(loaded.predict(X), shares.predict(X))


class Softmax:
    """Cross-entropy of rows of probabilities, written anew."""

    def predict(self, outputs, out=None):
        e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def values(self, outputs, targets):
        return -(targets * np.log(self.predict(outputs))).sum(axis=1)

    def gradient(self, predictions, targets, out=None):
        return predictions - targets

    def hessian_product(self, predictions, d_outputs, out=None, **others):
        inner = (predictions * d_outputs).sum(axis=1, keepdims=True)
        return predictions * (d_outputs - inner)


def test_a_classifier_with_a_loss_of_ones_own(data):
    X, y = data
    for labels in (
        np.array(["a", "b", "c"])[np.digitize(y[..., 0], [-0.5, 0.5])],
        np.where(y[..., 0] > 0, "up", "down"),
        (y > 0).astype(int),
    ):
        loss = Softmax() if len(np.unique(labels)) == 3 else LogisticCrossEntropy()
        own = classifier(loss=loss, dtype="float64").fit(X, labels)
        usual = classifier(dtype="float64").fit(X, labels)
        np.testing.assert_allclose(own.loss_curve_[1:], usual.loss_curve_[1:], rtol=1e-3)
        np.testing.assert_allclose(own.predict_proba(X), usual.predict_proba(X), atol=5e-3)


@pytest.mark.parametrize("kind", [RNNRegressor, RNNClassifier])
def test_bad_losses(data, kind):
    X, y = data
    labels = (y[..., 0] > 0).astype(int)
    for bad, error, match in [
        ("hinge", ValueError, "`loss` is 'hinge', but one of"),
        (None, TypeError, "`loss` is of type NoneType, which lacks"),
        (Recorder(), TypeError, "`loss` is of type Recorder, which lacks `predict`"),
    ]:
        with pytest.raises(error, match=match):
            kind(4, loss=bad, max_iter=1, target="step").fit(X, labels)
