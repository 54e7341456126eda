"""Probabilities of ESNClassifier: reliability, known posteriors, nothing to learn."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from reservoir.classification import fit_calibration
from tests.support.waves import small

# -- probabilities -------------------------------------------------------------------------------


def reliability_gap(probabilities, labels):
    """Mean distance between probability and frequency, over ten bins of all classes together."""
    hits = (labels[:, None] == np.arange(probabilities.shape[1])).ravel()
    values = probabilities.ravel()
    bins = np.minimum((10 * values).astype(int), 9)
    gaps = [abs(values[bins == b].mean() - hits[bins == b].mean()) for b in np.unique(bins)]
    return np.average(gaps, weights=np.unique(bins, return_counts=True)[1])


def gaussian_sequences(rng, priors, n_sequences):
    """Constant sequences (n, 6, 2) whose level says the class as well as it can; and how well."""
    centres = np.array([[0.5, 0.0], [0.0, 0.5], [-0.5, -0.5]])[: len(priors)]
    labels = rng.choice(len(priors), p=priors, size=n_sequences)
    levels = centres[labels] + 0.5 * rng.normal(size=(n_sequences, 2))
    distances = ((levels[:, None] - centres) ** 2).sum(axis=2)
    best = softmax(np.log(priors) - distances / (2 * 0.5**2), axis=1)
    return np.repeat(levels[:, None], 6, axis=1), labels, best


@pytest.mark.parametrize(
    "settings", [{}, {"pooling": "votes"}, {"readout": "logistic"}, {"pooling": 2}]
)
@pytest.mark.parametrize("priors", [(0.34, 0.33, 0.33), (0.8, 0.15, 0.05), (0.85, 0.15)])
def test_probabilities_are_near_the_best_possible(rng, settings, priors):
    X, y, _ = gaussian_sequences(rng, np.array(priors), 400)
    X_new, y_new, best = gaussian_sequences(rng, np.array(priors), 4000)
    esn = small(alpha=[1e-2, 1.0, 100.0], **settings).fit(X, y)
    probabilities = esn.predict_proba(X_new)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    frequencies = np.tile(np.bincount(y) / len(y), (len(y_new), 1))
    knowing_nothing, knowing_all = log_loss(y_new, frequencies), log_loss(y_new, best)
    # At least two thirds of what can be known about the class, from 400 sequences.
    gained = (knowing_nothing - log_loss(y_new, probabilities)) / (knowing_nothing - knowing_all)
    assert 0.67 < gained < 1.02
    assert reliability_gap(probabilities, y_new) < 0.05
    assert reliability_gap(best, y_new) < 0.02
    np.testing.assert_array_equal(esn.classes_[probabilities.argmax(axis=1)], esn.predict(X_new))


@pytest.mark.parametrize("readout", ["ridge", "logistic"])
def test_nothing_to_learn_gives_the_class_frequencies(rng, readout):
    X = rng.normal(size=(600, 5, 2))
    y = rng.choice(3, p=[0.6, 0.3, 0.1], size=600)
    esn = small(readout=readout).fit(X[:400], y[:400])
    frequencies = np.bincount(y[:400]) / 400
    probabilities = esn.predict_proba(X[400:])
    assert abs(probabilities - frequencies).max() < 0.15
    loss = log_loss(y[400:], np.tile(frequencies, (200, 1)))
    assert log_loss(y[400:], probabilities) < loss + 0.02


def test_calibration_is_a_minimum(rng):
    """Against the objective as it is written down, at points around what was found."""
    codes = rng.integers(3, size=50)
    decisions = np.eye(3)[codes] + rng.normal(size=(50, 3))
    weights = rng.uniform(0.5, 1.5, size=50)
    slope, offset = fit_calibration(decisions, codes, weights)
    weights = weights / weights.mean()
    log_prior = np.log([weights[codes == k].sum() / 50 for k in range(3)])
    centre = np.average(decisions, axis=0, weights=weights)
    targets = np.eye(3)[codes] * (50 / 51) + 1 / 51 / 3

    def loss(slope, offset):
        p = softmax(slope * decisions + offset, axis=1)
        prior_term = ((slope * centre + offset - log_prior) ** 2).sum() / 2
        return -(weights[:, None] * targets * np.log(p)).sum() + prior_term

    least = loss(slope, offset)
    for _ in range(50):
        step = 0.1 * rng.normal(size=4)
        assert loss(slope + step[0], offset + step[1:]) > least
    assert slope > 0


def test_perfect_scores_stay_short_of_certainty():
    codes = np.arange(30) % 3
    slope, offset = fit_calibration(np.eye(3)[codes], codes, np.ones(30))
    wrong = 1 - softmax(slope * np.eye(3) + offset, axis=1).max(axis=1)
    assert (wrong > 1e-3).all()
    assert (wrong < 0.1).all()


def test_scores_that_mislead_are_not_used(rng):
    codes = np.repeat([0, 1], [60, 20])
    slope, offset = fit_calibration(np.eye(2)[1 - codes], codes, np.ones(80))
    assert slope == 0
    np.testing.assert_allclose(softmax(offset), [0.75, 0.25], atol=0.01)


def test_single_members_leave_scores_uncalibrated():
    esn = small().fit([np.zeros((3, 1)), np.ones((3, 1))], ["a", "b"])
    plain = small(cv=None).fit([np.zeros((3, 1)), np.ones((3, 1))], ["a", "b"])
    np.testing.assert_array_equal(esn.coef_, plain.coef_)
    assert list(esn.predict([np.ones((3, 1))])) == ["b"]


def test_no_probabilities_without_folds(waves):
    X, y = waves
    esn = small(cv=None).fit(X, y)
    assert not hasattr(esn, "predict_proba")
    with pytest.raises(AttributeError, match="predict_proba") as raised:
        esn.predict_proba(X)
    assert "`cv` is None, but probabilities are calibrated" in str(raised.value.__cause__)
