"""Readouts of classes: alphas by held-out folds, solvers, class weights, folds, row spaces."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from reservoir.classification import row_space, stratified_folds
from tests.support.waves import noisy_waves, plain_pooled, plain_steps, small

# -- choice of alpha, folds, weights -------------------------------------------------------------


def test_held_out_folds_score_alphas_like_refits(waves):
    X, y = waves
    alphas = [1e-3, 1.0, 30.0]
    esn = small(alpha=alphas, cv=3).fit(X, y)
    features, indicators = np.array([plain_pooled(esn, x, "mean") for x in X]), np.eye(3)[y]
    folds = stratified_folds(y, 3)
    for alpha, score in zip(alphas, esn.alpha_scores_, strict=True):
        errors = []
        for fold in range(3):
            ridge = Ridge(alpha, solver="svd").fit(
                features[folds != fold], indicators[folds != fold]
            )
            predicted = ridge.predict(features[folds == fold])
            errors.append((predicted - indicators[folds == fold]) ** 2)
        assert score == pytest.approx(np.mean(np.concatenate(errors)), rel=1e-6)
    assert esn.alpha_ == alphas[int(np.argmin(esn.alpha_scores_))]


def test_logistic_alphas_are_scored_by_held_out_log_loss(waves):
    X, y = waves
    alphas = [1e-1, 10.0]
    esn = small(alpha=alphas, cv=3, readout="logistic").fit(X, y)
    features = np.array([plain_pooled(esn, x, "mean") for x in X])
    folds = stratified_folds(y, 3)
    for alpha, score in zip(alphas, esn.alpha_scores_, strict=True):
        probabilities = np.empty((60, 3))
        for fold in range(3):
            model = LogisticRegression(C=1 / alpha, tol=1e-8, max_iter=10_000)
            model.fit(features[folds != fold], y[folds != fold])
            probabilities[folds == fold] = model.predict_proba(features[folds == fold])
        assert score == pytest.approx(log_loss(y, probabilities), rel=1e-3)
    assert esn.alpha_ == alphas[int(np.argmin(esn.alpha_scores_))]


@pytest.mark.parametrize("solver", ["gram", "qr"])
def test_solvers_agree(waves, solver):
    X, y = waves
    settings = {"pooling": "votes", "alpha": [1e-2, 1.0]}
    esn = small(solver=solver, **settings).fit(X, y)
    np.testing.assert_allclose(esn.coef_, small(**settings).fit(X, y).coef_, rtol=1e-5, atol=1e-7)


def test_small_alphas_go_over_to_the_factor(rng):
    u = rng.uniform(-1, 1, size=(300, 1))
    y = np.roll(u[:, 0], 1) > 0
    esn = small(alpha=1e-17, cv=None).fit(u, y)
    steps = plain_steps(esn, u)
    ridge = Ridge(1e-17, solver="svd").fit(steps, np.eye(2)[y.astype(int)])
    np.testing.assert_array_equal(esn.predict(u), ridge.predict(steps).argmax(axis=1) == 1)


def test_a_class_weight_of_two_is_every_sequence_twice(waves):
    X, y = waves
    twice = X + [x for x, label in zip(X, y) if label == 1]
    labels = np.append(y, np.ones((y == 1).sum(), dtype=int))
    weighted = small(cv=None, class_weight={1: 2.0}).fit(X, y)
    np.testing.assert_allclose(weighted.coef_, small(cv=None).fit(twice, labels).coef_, atol=1e-8)


def test_balanced_weights_find_more_of_a_rare_class(rng):
    X, y = noisy_waves(rng, 300, priors=(0.9, 0.1), noise=1.5)
    plain, balanced = small().fit(X, y), small(class_weight="balanced").fit(X, y)
    X, y = noisy_waves(rng, 300, priors=(0.9, 0.1), noise=1.5)
    recall = [np.mean(esn.predict(X)[y == 1] == 1) for esn in (plain, balanced)]
    assert recall[1] > recall[0] + 0.1
    assert balanced.predict_proba(X)[:, 1].mean() > 2 * plain.predict_proba(X)[:, 1].mean()


def test_folds_are_contiguous_in_each_class():
    codes = np.array([0, 1, 0, 0, 1, 0, 2])
    np.testing.assert_array_equal(stratified_folds(codes, 2), [0, 0, 0, 1, 1, 1, 0])
    # Four members at most: no more than four folds.
    assert set(stratified_folds(codes, 10)) == {0, 1, 2, 3}


def test_steps_of_a_sequence_stay_in_one_fold(rng):
    """Each sequence has a level of its own, which says the class in training and nothing else."""
    levels = np.repeat(rng.normal(size=20), 30)
    y = rng.integers(2, size=20)
    u, groups = levels[:, None], np.repeat(np.arange(20), 30)
    settings = {"n_units": 100, "alpha": 1e-6, "input_scaling": 3.0}
    alone = small(**settings, cv=None).fit(u, np.repeat(y, 30), groups=groups)
    assert alone.score(u, np.repeat(y, 30), groups=groups) > 0.9
    # Neighbours in the other folds would have told; of a new sequence the readout knows nothing.
    esn = small(**settings).fit(u, np.repeat(y, 30), groups=groups)
    assert abs(esn.predict_proba(u, groups=groups)[:, 1] - y.mean()).max() < 0.2


def test_row_space_holds_all_differences(rng):
    features = rng.normal(size=(5, 12)) + 7.0
    basis = row_space(features)
    np.testing.assert_allclose(basis.T @ basis, np.eye(5), atol=1e-12)
    differences = features[1:] - features[0]
    np.testing.assert_allclose(differences @ basis @ basis.T, differences, atol=1e-12)
