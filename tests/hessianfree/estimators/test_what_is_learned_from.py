"""What a loss is taken on: known targets, weights of classes, validation data of one's own."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from hessianfree import RNNClassifier
from tests.support import reference_nets
from tests.support.small_rnns import classifier, regressor


@pytest.fixture
def data(rng):
    X = rng.uniform(-1, 1, size=(20, 7, 2))
    return X, X.cumsum(axis=1)


def same_net(first, second):
    np.testing.assert_array_equal(first.params_, second.params_)
    np.testing.assert_array_equal(first.loss_curve_, second.loss_curve_)


def losses(rnn, X, y):
    """Half the mean squared error in units of the net, step by step."""
    network = rnn.network_
    outputs = reference_nets.run(network, rnn.params_, np.swapaxes(X, 0, 1))[0]
    errors = (np.swapaxes(outputs, 0, 1) - y) / rnn._target_scale
    return 0.5 * (errors**2).sum(axis=-1)


def test_unknown_targets_are_those_of_weight_zero(data, rng):
    X, y = data
    unknown = rng.random(y.shape[:2]) < 0.3
    holes = np.where(unknown[..., None], np.nan, y)
    rnn = regressor(target="step").fit(X, holes)
    same_net(rnn, regressor(target="step").fit(X, y, step_weight=1.0 - unknown))
    assert not np.array_equal(rnn.params_, regressor(target="step").fit(X, y).params_)
    weights = rng.uniform(size=unknown.shape)
    same_net(
        regressor(target="step").fit(X, holes, step_weight=weights),
        regressor(target="step").fit(X, y, step_weight=weights * ~unknown),
    )
    # The first loss is that of the known steps alone, of a net that has not learned yet.
    seen = []
    first = regressor(target="step", dtype="float64", max_iter=2, tol=0)
    first.set_params(callback=lambda net: seen.append(net.params_.copy()))
    first.fit(X, holes)
    first.params_ = seen[0]
    assert first.loss_curve_[1] == pytest.approx(losses(first, X, y)[~unknown].mean(), rel=1e-9)
    assert rnn.score(X, holes) == pytest.approx(rnn.score(X, y, sample_weight=1.0 - unknown))
    per_sequence = np.where(np.arange(20) % 3 == 0, np.nan, y[:, -1, 0])
    same_net(
        regressor().fit(X, per_sequence),
        regressor().fit(X, y[:, -1, 0], step_weight=np.arange(20) % 3 > 0),
    )


@pytest.mark.parametrize("names", [("up", "downward"), ("upward", "down")])
def test_unknown_labels_are_those_of_weight_zero(data, names):
    X, y = data
    labels = np.where(y[..., 0] > 0, *names).astype(object)
    weights = np.ones(labels.shape)
    weights[::2, 3:] = 0
    holes = labels.copy()
    holes[::2, 3:] = None
    rnn = classifier().fit(X, holes)
    assert list(rnn.classes_) == sorted(names)  # whole, whichever comes first
    same_net(rnn, classifier().fit(X, labels, step_weight=weights))
    assert rnn.score(X, holes) == rnn.score(X, labels, sample_weight=weights)
    numbers = np.where(holes == names[0], 1.0, np.where(holes == names[1], 0.0, np.nan))
    same_net(classifier().fit(X, numbers), rnn)


def test_targets_that_are_partly_known_are_refused(data):
    X, y = data
    y[3, 2, 1] = np.nan
    with pytest.raises(ValueError, match="`y` has NaN in some outputs of row 23"):
        regressor(target="step").fit(X, y)
    with pytest.raises(ValueError, match="nothing but NaN"):
        regressor(target="step").fit(X, np.full_like(y, np.nan))
    y[3, 2, 1] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        regressor(target="step").fit(X, y)


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
def test_class_weights_are_weights_of_the_steps(data, classes):
    X, y = data
    labels = np.array(classes)[np.digitize(y[..., 0], [0.8, 1.6][: len(classes) - 1])]
    by_class = {"a": 0.5, "b": 3.0}
    weights = np.vectorize(lambda label: by_class.get(label, 1.0))(labels)
    same_net(
        RNNClassifier(6, max_iter=4, random_state=1, class_weight=by_class).fit(X, labels),
        classifier().fit(X, labels, step_weight=weights),
    )
    steps = np.ones(labels.shape)
    steps[:, 0] = 0
    names, counts = np.unique(labels[:, 1:], return_counts=True)
    balanced = dict(zip(names, counts.sum() / (len(names) * counts), strict=True))
    weights = np.vectorize(balanced.get)(labels) * steps
    rnn = classifier(class_weight="balanced").fit(X, labels, step_weight=steps)
    same_net(rnn, classifier().fit(X, labels, step_weight=weights))
    assert not np.array_equal(rnn.params_, classifier().fit(X, labels, step_weight=steps).params_)


def test_class_weights_that_fit_no_class_are_refused(data):
    X, y = data
    labels = np.where(y[..., 0] > 0, "up", "down")
    for bad in ({"left": 2.0}, "even"):
        with pytest.raises(ValueError, match=r"class_weight|left"):
            classifier(class_weight=bad).fit(X, labels)


def test_validation_data_of_ones_own(data):
    X, y = data
    seen = []
    rnn = regressor(target="step", dtype="float64", max_iter=8)
    rnn.set_params(callback=lambda net: seen.append(net._state.params.copy()))
    rnn.fit(X[:12], y[:12], validation_data=(X[12:], y[12:]))
    curve = []
    for params in seen:
        rnn.params_ = rnn._in_units_of_targets(params)
        curve.append(losses(rnn, X[12:], y[12:]).mean())
    np.testing.assert_allclose(rnn.validation_curve_, curve, rtol=1e-9)
    kept = regressor(target="step", dtype="float64", max_iter=8)
    kept.fit(X[:12], y[:12], validation_data=(list(X[12:]), list(y[12:])))
    best = rnn._in_units_of_targets(seen[int(np.argmin(curve))])
    np.testing.assert_array_equal(kept.params_, best)
    # Nothing of it is learned from: the losses are those of a fit without it.
    plain = regressor(target="step", dtype="float64", max_iter=8).fit(X[:12], y[:12])
    np.testing.assert_array_equal(plain.loss_curve_, kept.loss_curve_)


def test_validation_data_of_labels(data):
    X, y = data
    labels = np.where(y[:, -1, 0] > 0, "up", "down")
    rnn = classifier(dtype="float64", max_iter=6)
    rnn.fit(X[:12], labels[:12], validation_data=(X[12:], labels[12:]))
    loss = log_loss(labels[12:], rnn.predict_proba(X[12:]), labels=rnn.classes_)
    assert rnn.validation_curve_.min() == pytest.approx(loss, rel=1e-9)


def test_validation_data_that_do_not_fit_are_refused(data):
    X, y = data
    with pytest.raises(TypeError, match="`validation_data` is of type ndarray"):
        regressor(target="step").fit(X, y, validation_data=X)
    with pytest.raises(ValueError, match="either of them validates"):
        regressor(target="step", validation_fraction=0.2).fit(X, y, validation_data=(X, y))
    with pytest.raises(ValueError, match="`validation_data` has 1 outputs"):
        regressor(target="step").fit(X, y, validation_data=(X, y[..., 0]))
    with pytest.raises(ValueError, match="3 features"):
        regressor(target="step").fit(X, y, validation_data=(np.zeros((2, 4, 3)), y[:2, :4]))
    labels = np.where(y[:, -1, 0] > 0, "up", "down")
    with pytest.raises(ValueError, match="`validation_data` holds the classes"):
        classifier().fit(X, labels, validation_data=(X[:2], ["up", "left"]))
