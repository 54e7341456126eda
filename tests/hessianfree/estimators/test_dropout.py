"""Dropout in estimators: drawn anew each iteration, absent from predictions, resumed exactly."""

import numpy as np
import pytest

from hessianfree import RNNClassifier
from tests.support.small_rnns import Recorder, classifier, regressor


@pytest.fixture
def data(rng):
    X = rng.uniform(-1, 1, size=(30, 7, 2))
    return X, (X.sum(axis=(1, 2)) > 0).astype(int)


@pytest.mark.parametrize("optimizer", ["hessian-free", "adam"])
def test_runs_go_on_bit_for_bit(data, tmp_path, optimizer):
    X, y = data
    settings = {"dropout": 0.3, "optimizer": optimizer, "gradient_batch_size": 12}
    whole = classifier(**settings, max_iter=6).fit(X, y)
    half = classifier(**settings, max_iter=2, warm_start=True).fit(X, y)
    half.save(tmp_path / "rnn.npz")
    half = RNNClassifier.load(tmp_path / "rnn.npz").set_params(max_iter=4)
    np.testing.assert_array_equal(half.fit(X, y).params_, whole.params_)
    assert not np.array_equal(
        whole.params_, classifier(**settings | {"dropout": 0}).fit(X, y).params_
    )


def test_the_loss_is_that_of_the_masks_and_predictions_have_none(data):
    X, y = data
    settings = {"dtype": "float64", "optimizer": Recorder(), "n_units": 40}
    plain = classifier(**settings).fit(X, y)
    noisy = classifier(**settings, dropout=0.5).fit(X, y)
    np.testing.assert_array_equal(noisy.predict_proba(X), plain.predict_proba(X))
    assert len(set(noisy.loss_curve_)) == noisy.n_iter_
    assert len(set(plain.loss_curve_)) == 1
    # What is held out is looked at without masks.
    held = classifier(**settings, dropout=0.5).fit(X[:20], y[:20], validation_data=(X[20:], y[20:]))
    assert len(set(held.validation_curve_)) == 1


@pytest.mark.parametrize("rate", [1.0, -0.5, "half"])
def test_bad_rates(data, rate):
    with pytest.raises((ValueError, TypeError), match="`dropout`"):
        regressor(dropout=rate).fit(*data)
