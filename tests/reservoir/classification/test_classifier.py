"""ESNClassifier: ridge on plain pooled states, votes, logistic readout, forms of data, errors."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import ESNClassifier
from tests.support.waves import noisy_waves, plain_pooled, plain_steps, small

ROWS_ARE_EXCHANGEABLE = "rows are steps of one series: their order and their past matter"


EXPECTED_FAILURES = {
    "check_methods_sample_order_invariance": ROWS_ARE_EXCHANGEABLE,
    "check_methods_subset_invariance": ROWS_ARE_EXCHANGEABLE,
}


@parametrize_with_checks(
    [ESNClassifier(n_units=20, random_state=0)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- one label a sequence: a linear readout of pooled states --------------------------------------


@pytest.mark.parametrize("pooling", ["last", "mean", 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("settings", [{}, {"include_squares": True, "washout": 2}])
@pytest.mark.parametrize("n_sequences", [25, 200])  # fewer and more rows than columns
def test_equals_ridge_on_plain_pooled_states(rng, pooling, bidirectional, settings, n_sequences):
    X, y = noisy_waves(rng, n_sequences)
    esn = small(
        pooling=pooling, bidirectional=bidirectional, leak_rate=0.7, cv=None, n_units=10, **settings
    )
    esn.fit(X, y)
    features = np.array([plain_pooled(esn, x, pooling) for x in X])
    ridge = Ridge(alpha=1e-2, solver="svd").fit(features, np.eye(3)[y])
    np.testing.assert_allclose(esn.coef_, ridge.coef_, atol=1e-9)
    np.testing.assert_allclose(esn.decision_function(X), ridge.predict(features), atol=1e-9)
    np.testing.assert_array_equal(esn.predict(X), ridge.predict(features).argmax(axis=1))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_votes_learn_from_steps_and_average_their_scores(waves, bidirectional):
    X, y = waves
    esn = small(pooling="votes", bidirectional=bidirectional, washout=2, cv=None).fit(X, y)
    steps = [plain_steps(esn, x)[2 : len(x) - 2 * bidirectional] for x in X]
    labels = np.repeat(y, [len(part) for part in steps])
    ridge = Ridge(alpha=1e-2, solver="svd").fit(np.concatenate(steps), np.eye(3)[labels])
    votes = [ridge.predict(part).mean(axis=0) for part in steps]
    np.testing.assert_allclose(esn.decision_function(X), votes, atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("alpha", [1e-2, 10.0])
def test_logistic_readout_equals_that_of_scikit_learn(rng, n_classes, alpha):
    X, y = noisy_waves(rng, 100, priors=np.full(n_classes, 1 / n_classes))
    esn = small(readout="logistic", alpha=alpha, cv=None, class_weight={0: 3.0}).fit(X, y)
    features = np.array([plain_pooled(esn, x, "mean") for x in X])
    # Of two classes scikit-learn penalises the difference of the two rows.
    C = 1 / alpha if n_classes > 2 else 2 / alpha
    model = LogisticRegression(C=C, tol=1e-8, max_iter=10_000, class_weight={0: 3.0})
    model.fit(features, y)
    probabilities = softmax(esn.coef_ @ features.T + esn.intercept_[:, None], axis=0).T
    np.testing.assert_allclose(probabilities, model.predict_proba(features), atol=2e-3)


def test_long_sequences_are_pooled_across_blocks(rng):
    X = [rng.normal(size=(n, 1)) for n in (5000, 3, 2100, 700)]
    esn = small(pooling=3, washout=0, cv=None).fit(X, [0, 1, 0, 1])
    features = np.array([plain_pooled(esn, x, 3) for x in X[:1] + X[2:]])
    decisions = features @ np.diff(esn.coef_, axis=0)[0] + np.diff(esn.intercept_)
    np.testing.assert_allclose(esn.decision_function(X[:1] + X[2:]), decisions, atol=1e-9)


def test_more_segments_than_steps_use_steps_again():
    X = [np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]])]
    esn = small(pooling=3, cv=None).fit(X, [0, 1])
    features = [np.concatenate([plain_steps(esn, x)[[0]], plain_steps(esn, x)[[0]],
                                plain_steps(esn, x)[[1]]]).ravel() for x in X]  # fmt: skip
    decisions = np.array(features) @ np.diff(esn.coef_, axis=0)[0] + np.diff(esn.intercept_)
    np.testing.assert_allclose(esn.decision_function(X), decisions, atol=1e-9)


def test_both_directions_trade_places_when_time_is_reversed(waves):
    X, y = waves
    esn = small(bidirectional=True, include_input=False, cv=None).fit(X, y)
    back = small(bidirectional=True, include_input=False, cv=None).fit([x[::-1] for x in X], y)
    forward, backward = np.split(esn.coef_, 2, axis=1)
    np.testing.assert_allclose(back.coef_, np.hstack([backward, forward]), atol=1e-8)


def test_order_of_sequences_does_not_matter(waves):
    X, y = waves
    forward, backward = small(cv=None).fit(X, y), small(cv=None).fit(X[::-1], y[::-1])
    np.testing.assert_allclose(forward.coef_, backward.coef_, atol=1e-9)


def test_digits_read_row_by_row():
    digits = load_digits()
    X, y = digits.images / 16.0, digits.target
    esn = ESNClassifier(100, pooling=4, bidirectional=True, input_scaling=0.5, random_state=0)
    esn.fit(X[:1000], y[:1000])
    assert esn.score(X[1000:], y[1000:]) > 0.95


# -- one label a step ----------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
def test_labels_of_steps_equal_ridge_on_plain_states(rng, bidirectional):
    X = [rng.normal(size=(n, 1)) for n in (60, 80, 7)]
    y = [(np.roll(x[:, 0], 1) > 0).astype(int) for x in X]
    esn = small(bidirectional=bidirectional, washout=3, cv=None).fit(X, y)
    steps = [plain_steps(esn, x) for x in X]
    kept = [slice(3, len(x) - 3 * bidirectional) for x in X]
    ridge = Ridge(alpha=1e-2, solver="svd").fit(
        np.concatenate([part[rows] for part, rows in zip(steps, kept)]),
        np.eye(2)[np.concatenate([part[rows] for part, rows in zip(y, kept)])],
    )
    right = []
    for part, decisions, predicted, labels, rows in zip(
        steps, esn.decision_function(X), esn.predict(X), y, kept, strict=True
    ):
        expected = ridge.predict(part)
        np.testing.assert_allclose(decisions, expected[:, 1] - expected[:, 0], atol=1e-9)
        np.testing.assert_array_equal(predicted, expected.argmax(axis=1))
        right.append((predicted == labels)[rows])
    assert esn.score(X, y) == pytest.approx(np.concatenate(right).mean())


@pytest.mark.parametrize("readout", ["ridge", "logistic"])
def test_labels_of_steps_are_learned(rng, readout):
    u = rng.uniform(-1, 1, size=(800, 1))
    y = np.where(np.roll(u[:, 0], 2) > 0.3, "high", "low")
    esn = small(readout=readout, washout=10, n_units=50).fit(u[:600], y[:600])
    assert esn.score(u[600:], y[600:]) > 0.9
    assert esn.label_per_ == "step"
    assert esn.predict_proba(u).shape == (800, 2)


# -- forms of data and labels --------------------------------------------------------------------


def test_forms_of_sequences_agree(rng):
    array = rng.normal(size=(30, 6, 2))
    y = np.where(array.mean(axis=(1, 2)) > 0, "b", "a")
    rows, groups = array.reshape(180, 2), np.repeat(np.arange(30), 6)
    forms = [
        (array, y, {}),
        (list(array), list(y), {}),
        (rows, y, {"groups": groups}),
        (rows, y, {"lengths": [6] * 30}),
        (rows, np.repeat(y, 6), {"groups": groups, "label_per": "sequence"}),
    ]
    results = []
    for X, labels, cuts in forms:
        label_per = cuts.pop("label_per", "auto")
        esn = small(label_per=label_per).fit(X, labels, **cuts)
        assert esn.label_per_ == "sequence"
        results.append((esn.predict_proba(X, **cuts), esn.score(X, labels, **cuts)))
        assert esn.predict(X, **cuts).shape == (30,)
    for probabilities, score in results[1:]:
        np.testing.assert_array_equal(probabilities, results[0][0])
        assert score == results[0][1]


def test_forms_of_steps_agree(rng):
    array = rng.normal(size=(8, 20, 2))
    y = (array[:, :, 0] > 0).astype(int)
    rows, groups = array.reshape(160, 2), np.repeat(np.arange(8), 20)
    esn = small().fit(array, y)
    assert esn.predict(array).shape == (8, 20)
    by_list = small().fit(list(array), list(y))
    by_group = small().fit(rows, y.ravel(), groups=groups)
    np.testing.assert_array_equal(by_list.predict(list(array)), esn.predict(array))
    np.testing.assert_array_equal(by_group.predict(rows, groups=groups), esn.predict(array).ravel())
    assert by_group.score(rows, y.ravel(), groups=groups) == esn.score(array, y)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes", "perhaps"]),
        np.array(["no", "yes", "perhaps"], dtype=object),
        np.array([-7, 3, 100]),
        np.array([0.0, 1.0, 2.0]),
    ],
)
def test_labels_come_back_as_they_were_and_survive_a_file(waves, labels, tmp_path):
    X, y = waves
    esn = small().fit(X, labels[y])
    np.testing.assert_array_equal(esn.classes_, np.sort(labels))
    assert set(esn.predict(X)) <= set(labels)
    esn.save(tmp_path / "esn.npz")
    for copy in (ESNClassifier.load(tmp_path / "esn.npz"), pickle.loads(pickle.dumps(esn))):
        np.testing.assert_array_equal(copy.predict(X), esn.predict(X))
        np.testing.assert_array_equal(copy.predict_proba(X), esn.predict_proba(X))
        assert repr(copy) == repr(esn)


def test_labels_in_a_series_with_groups(rng):
    X = pd.DataFrame(rng.normal(size=(40, 2)), columns=["u", "v"])
    y = pd.Series(np.where(X["u"] > 0, "up", "down"))
    esn = small().fit(X, y)
    assert list(esn.feature_names_in_) == ["u", "v"]
    assert esn.score(X, y) > 0.9


def test_score_weighs_sequences(waves):
    X, y = waves
    esn = small().fit(X, y)
    weights = np.linspace(0, 1, 60)
    right = esn.predict(X) == y
    assert esn.score(X, y, weights) == pytest.approx(np.average(right, weights=weights))


def test_single_precision(waves):
    X, y = waves
    single, double = small(dtype="float32").fit(X, y), small().fit(X, y)
    assert single.reservoir_.recurrent.dtype == np.float32
    np.testing.assert_allclose(single.predict_proba(X), double.predict_proba(X), atol=1e-3)


# -- the scikit-learn ecosystem ------------------------------------------------------------------


def test_search_over_a_list_of_sequences(waves):
    X, y = waves
    search = GridSearchCV(small(), {"input_scaling": [1e-9, 1.0]}, cv=3, scoring="accuracy")
    assert search.fit(X, y).best_params_ == {"input_scaling": 1.0}
    probabilities = cross_val_predict(small(), X, y, cv=3, method="predict_proba")
    assert probabilities.shape == (60, 3)


def test_group_cross_validation_through_metadata_routing(rng):
    array = rng.normal(size=(30, 6, 2))
    y = np.repeat(np.where(array.mean(axis=(1, 2)) > 0, "b", "a"), 6)
    rows, groups = array.reshape(180, 2), np.repeat(np.arange(30), 6)
    with sklearn.config_context(enable_metadata_routing=True):
        esn = small(label_per="sequence")
        esn.set_fit_request(groups=True).set_score_request(groups=True)
        scores = cross_val_score(esn, rows, y, cv=GroupKFold(3), params={"groups": groups})
    by_hand = []
    for train, test in GroupKFold(3).split(rows, y, groups):
        model = clone(esn).fit(list(array[np.unique(groups[train])]), y[train][::6])
        by_hand.append(model.score(array[np.unique(groups[test])], y[test][::6]))
    np.testing.assert_array_equal(scores, by_hand)


# -- what must be refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        ({"pooling": "max"}, ValueError, "`pooling` is 'max', but one of 'last', 'mean', 'votes'"),
        ({"pooling": 0}, ValueError, "`pooling` is 0"),
        ({"pooling": 1.5}, TypeError, r"`pooling` is 1\.5"),
        ({"label_per": "row"}, ValueError, "`label_per` is 'row'"),
        ({"readout": "svm"}, ValueError, "`readout` is 'svm'"),
        ({"cv": 1}, ValueError, "`cv` is 1"),
        ({"cv": "five"}, TypeError, "`cv` is 'five'"),
        ({"solver": "lu"}, ValueError, "`solver` is 'lu'"),
        ({"alpha": -1.0}, ValueError, "`alpha` is -1"),
        ({"alpha": 0.0, "readout": "logistic"}, ValueError, "needs a positive penalty"),
        ({"alpha": [1.0, 2.0], "readout": "logistic", "cv": None}, ValueError, "nothing to choose"),
        ({"class_weight": "even"}, ValueError, "class_weight"),
        ({"washout": -1}, ValueError, "`washout` is -1"),
        ({"washout": 9}, ValueError, r"`washout` is 9, but sequence \d+ of the 60"),
        ({"washout": 5, "bidirectional": True}, ValueError, "`washout` is 5 at both ends"),
        ({"n_units": 0}, ValueError, "`n_units` is 0"),
        ({"dtype": "float16"}, ValueError, "`dtype`"),
    ],
)
def test_bad_parameters(rng, parameters, error, match):
    X, y = noisy_waves(rng, 60, lengths=(9, 11))
    with pytest.raises(error, match=match):
        small(**parameters).fit(X, y)


@pytest.mark.parametrize(
    ("X", "y", "kwargs", "match"),
    [
        (np.zeros((4, 1)), ["a"] * 4, {}, "one class, a, but two or more"),
        (np.zeros((4, 1)), ["a", "b", "a"], {}, "inconsistent numbers of samples"),
        (np.zeros((4, 1)), None, {}, "requires y"),
        (np.zeros((4, 1)), [0.1, 0.5, 0.7, 0.2], {}, "Unknown label type"),
        (np.zeros((2, 3, 1)), ["a", "b", "c"], {}, "`y` has 3 entries, but `X` holds 2 sequences"),
        (np.zeros((2, 3, 1)), [["a", "b"], ["a", "b"]], {}, r"`y\[0\]` has shape \(2,\)"),
        (np.zeros((4, 1)), ["a", "b"], {"groups": [1, 1, 1, 2]}, None),
        (
            np.zeros((4, 1)),
            ["a", "b", "c"],
            {"groups": [1, 1, 1, 2]},
            "`X` holds 2 seq",
        ),
        (np.zeros((4, 1)), ["a", "b"], {"lengths": [3, 2]}, "add up to 5"),
        ([np.zeros((2, 1)), np.full((3, 1), np.nan)], ["a", "b"], {}, "Input X contains NaN"),
    ],
)
def test_bad_data(X, y, kwargs, match):
    if match is None:
        assert small().fit(X, y, **kwargs).label_per_ == "sequence"
        return
    with pytest.raises(ValueError, match=match):
        small().fit(X, y, **kwargs)


def test_labels_that_do_not_fit_what_was_asked_for():
    X, groups = np.zeros((4, 1)), [1, 1, 2, 2]
    by_sequence = small(label_per="sequence")
    with pytest.raises(ValueError, match="`y` is b at row 3, but a at the start of the same seq"):
        by_sequence.fit(X, ["b", "b", "a", "b"], groups=groups)
    with pytest.raises(ValueError, match="`y` has 3 labels, but `X` holds 2 sequences of 4 steps"):
        by_sequence.fit(X, ["b", "b", "a"], groups=groups)
    with pytest.raises(ValueError, match="`y` has 2 entries that are not all labels of sequences"):
        by_sequence.fit([X, X], [["a"] * 4, ["b"] * 4])
    with pytest.raises(ValueError, match="2 labels, one per sequence, but `label_per` is 'step'"):
        small(label_per="step").fit([X, X], ["a", "b"])


def test_a_class_in_the_washout_only():
    with pytest.raises(ValueError, match="`y` holds the class b in the washout only"):
        small(washout=2).fit(np.zeros((6, 1)), ["b", "a", "c", "a", "c", "a"])


def test_use_before_fit_and_with_other_features(waves):
    X, y = waves
    with pytest.raises(NotFittedError, match="not fitted yet"):
        small().predict(X)
    with pytest.raises(ValueError, match="X has 1 features, but ESNClassifier is expecting 2"):
        small().fit(X, y).predict([x[:, :1] for x in X])
    with pytest.raises(ValueError, match="sequence 1 of the 2 in `X` has only 2 steps"):
        small(washout=2).fit(X, y).predict([X[0], X[1][:2]])


# -- the defaults --------------------------------------------------------------------------------


def bumps(rng, n, where):
    """Noise with a bump that stands early or late, or has one form or the other."""
    X, y = [], rng.integers(2, size=n)
    for label in y:
        x = 0.3 * rng.normal(size=(40, 1))
        if where:
            start = 5 if label else 25
            x[start : start + 6] += 1.0
        else:
            start = rng.integers(2, 30)
            x[start : start + 6] += np.resize([2.0, -2.0] if label else [2.0, 2.0, -2.0, -2.0], 6)[
                :, None
            ]
        X.append(x)
    return X, y


@pytest.mark.parametrize("where", [True, False])
def test_auto_takes_segments_where_they_matter(rng, where):
    X, y = bumps(rng, 120, where)
    esn = ESNClassifier(50, random_state=0).fit(X[:60], y[:60])
    assert (esn.pooling_ != "mean") == where
    assert esn.score(X[60:], y[60:]) > 0.85
    told = ESNClassifier(
        50, pooling=esn.pooling_, bidirectional=True, include_squares=True, random_state=0
    ).fit(X[:60], y[:60])
    np.testing.assert_array_equal(esn.coef_, told.coef_)
    losses = [
        ESNClassifier(50, pooling=way, bidirectional=True, include_squares=True, random_state=0)
        .fit(X[:60], y[:60])
        .alpha_scores_.min()
        for way in ("mean", 5, 10)
    ]
    assert esn.alpha_scores_.min() == min(losses)


@pytest.mark.parametrize("settings", [{"alpha": 1.0}, {"alpha": 1.0, "cv": None}])
def test_auto_without_scores(rng, settings):
    X, y = bumps(rng, 60, True)
    esn = ESNClassifier(30, random_state=0, **settings).fit(X, y)
    # The folds choose; without any the mean is taken.
    assert (esn.pooling_ == "mean") == (len(settings) == 2)


def test_auto_reads_steps_forwards(rng):
    u = rng.normal(size=(300, 1))
    y = (np.roll(u[:, 0], 1) > 0).astype(int)
    esn = ESNClassifier(30, random_state=0).fit(u, y)
    later = u.copy()
    later[200:] = 5.0
    np.testing.assert_allclose(
        esn.decision_function(later)[:200], esn.decision_function(u)[:200], atol=1e-12
    )


@pytest.mark.parametrize("n_units", [1, 3, 9])
def test_fewer_units_than_connections(rng, n_units):
    X, y = bumps(rng, 20, True)
    assert ESNClassifier(n_units, random_state=0).fit(X, y).reservoir_.n_units == n_units
