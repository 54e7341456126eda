"""Estimators whose nets read each sequence from both ends."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from hessianfree import RNNClassifier, RNNRegressor
from tests.support.small_rnns import classifier, regressor


def tasks(rng):
    """Sequences of uneven lengths: does a step come before the last mark, and where was the mark?

    Neither is known before the end: a net that reads forward alone can't answer the first.
    """
    X, labels = [], []
    for n in rng.integers(8, 13, size=120):
        marks = (rng.random(n) < 0.15).astype(float)
        later = np.cumsum(marks[::-1])[::-1] - marks
        X.append(np.column_stack([marks, rng.normal(size=n)]))
        labels.append(np.where(later > 0, "before", "after"))
    return X, labels


def test_labels_that_depend_on_later_steps(rng):
    X, labels = tasks(rng)
    settings = {"n_units": 8, "max_iter": 25, "random_state": 0}
    scores = {}
    for both in (False, True):
        rnn = RNNClassifier(bidirectional=both, **settings).fit(X[:80], labels[:80])
        scores[both] = rnn.score(X[80:], labels[80:])
    assert scores[True] > 0.98
    assert scores[False] < 0.85


@pytest.mark.parametrize("target", ["step", "sequence"])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_a_sequence_is_answered_as_if_it_were_alone(rng, target, n_layers):
    X = [rng.normal(size=(n, 2)) for n in (9, 4, 6, 9, 5)]
    y = X if target == "step" else [x.sum(axis=0) for x in X]
    rnn = regressor(
        bidirectional=True, n_layers=n_layers, target=target, cell="gru", dtype="float64"
    ).fit(X, y)
    predicted = rnn.predict(X)
    for x, answer in zip(X, predicted, strict=True):
        np.testing.assert_allclose(rnn.predict([x])[0], answer, rtol=1e-9, atol=1e-12)
    # The last step comes first for the backward layers: it changes all that is said.
    changed = [np.vstack([x[:-1], x[-1:] + 1]) for x in X]
    if target == "step":
        assert all(
            (np.abs(a - b) > 1e-9).all()
            for a, b in zip(rnn.predict(changed), predicted, strict=True)
        )
    # As trained: the first loss is that of these predictions.
    again = clone(rnn).set_params(initialization=rnn.params_, max_iter=1).fit(X, y)
    errors = [(p - t) / rnn._target_scale for p, t in zip(predicted, y, strict=True)]
    loss = 0.5 * np.mean((np.vstack(errors) ** 2).sum(axis=1))
    assert again.loss_curve_[0] == pytest.approx(loss, rel=1e-9)


def test_for_a_sequence_both_ends_have_read_all_of_it(rng):
    """First and last step count alike to a sum: with the ends exchanged the answer stays."""
    X = rng.normal(size=(60, 6, 1))
    rnn = regressor(bidirectional=True, n_units=8, max_iter=15, target="sequence")
    rnn.fit(X, X.sum(axis=(1, 2)))
    views = rnn.weights_
    n = rnn.n_units
    for name in list(views):
        if name.startswith("backward."):
            views[name][...] = views[name.replace("backward", "forward")]
    views["output"][:, n:] = views["output"][:, :n]
    np.testing.assert_allclose(rnn.predict(X), rnn.predict(X[:, ::-1]), rtol=1e-5, atol=1e-5)
    assert not np.allclose(rnn.predict(X), rnn.predict(np.roll(X, 1, axis=1)), atol=1e-3)


def test_steps_that_are_not_scored_are_read(rng):
    """Their inputs count for earlier steps, in training as in prediction."""
    X = rng.normal(size=(30, 7, 1))
    y = np.roll(X[..., 0], -2, axis=1)
    y[:, -2:] = np.nan
    rnn = regressor(bidirectional=True, n_units=10, max_iter=30, dtype="float64", target="step")
    rnn.fit(X, y)
    assert rnn.score(X, y) > 0.95
    again = clone(rnn).set_params(initialization=rnn.params_, max_iter=1).fit(X, y)
    errors = (rnn.predict(X) - y)[:, :-2] / rnn._target_scale
    assert again.loss_curve_[0] == pytest.approx(0.5 * np.mean(errors**2), rel=1e-9)


@pytest.mark.parametrize("settings", [{}, {"n_layers": 2, "cell": "lstm"}, {"n_jobs": 2}])
def test_they_are_saved_resumed_and_pickled(rng, tmp_path, settings):
    X, labels = tasks(rng)
    settings = {"bidirectional": True, "warm_start": True, **settings}
    whole = classifier(**settings, max_iter=4).fit(X, labels)
    half = classifier(**settings, max_iter=2).fit(X, labels)
    half.save(tmp_path / "rnn.npz")
    for part in (RNNClassifier.load(tmp_path / "rnn.npz"), pickle.loads(pickle.dumps(half)), half):
        np.testing.assert_array_equal(
            np.concatenate(part.predict(X)), np.concatenate(half.predict(X))
        )
        np.testing.assert_array_equal(part.fit(X, labels).params_, whole.params_)
    with pytest.raises(ValueError, match="`warm_start` is True, but bidirectional is False"):
        half.set_params(bidirectional=False).fit(X, labels)


def test_symbols_and_validation(rng):
    """Which symbol comes next?"""
    X = rng.integers(4, size=(60, 8, 1))
    y = np.roll(X[..., 0], -1, axis=1)
    y[:, -1] = 0
    rnn = RNNClassifier(
        12, bidirectional=True, n_symbols=4, max_iter=30, validation_fraction=0.25, random_state=0
    ).fit(X, y)
    assert rnn.score(X, y) > 0.95
    assert len(rnn.validation_curve_) == rnn.n_iter_


def test_what_goes_on_from_a_state_is_refused(rng):
    X = rng.normal(size=(6, 5, 1))
    rnn = regressor(bidirectional=True, target="step").fit(X, X)
    why = "the net is bidirectional"
    for name, call in {
        "step": lambda: rnn.step(X[0, 0]),
        "forecast": lambda: rnn.forecast(3, X),
        "reset_state": rnn.reset_state,
        "initial_state": lambda: rnn.predict(X[0], initial_state="last"),
        "return_state": lambda: rnn.predict(X, return_state=True),
    }.items():
        with pytest.raises(ValueError, match=f"`{name}` is about going on.*{why}"):
            call()
    assert not hasattr(rnn, "last_state_")
    symbols = rng.integers(3, size=(6, 5, 1))
    writer = classifier(bidirectional=True, n_symbols=3).fit(symbols, symbols[..., 0])
    with pytest.raises(ValueError, match=f"`generate` is about going on.*{why}"):
        writer.generate(symbols[:1])
    with pytest.raises(TypeError, match="`bidirectional` is 'yes'"):
        RNNRegressor(4, bidirectional="yes").fit(X, X)
