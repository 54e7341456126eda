"""ReservoirModelSpace: one readout per sequence as features, distances, errors."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import ESNClassifier, ReservoirModelSpace

ONE_ROW_A_SEQUENCE = "a 2-D X is one sequence, and its representation has one row, not one a step"
EXPECTED_FAILURES = dict.fromkeys(
    (
        "check_transformer_general",
        "check_transformer_data_not_an_array",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
    ),
    ONE_ROW_A_SEQUENCE,
)


def small(**parameters):
    settings = {"n_units": 15, "connectivity": 5, "n_components": 4, "random_state": 1}
    return ReservoirModelSpace(**{**settings, **parameters})


@pytest.fixture
def sequences(rng):
    return [rng.normal(size=(n, 2)) for n in (12, 30, 9, 17)]


def plain_states(reservoir, inputs):
    """The recurrence as it is written down, one step at a time, dense."""
    W = reservoir.recurrent
    W = W.toarray() if sparse.issparse(W) else W
    x, states = np.zeros(len(W)), []
    for u in inputs:
        drive = W @ x + reservoir.input @ u + reservoir.bias
        x = (1 - reservoir.leak_rate) * x + reservoir.leak_rate * np.tanh(drive)
        states.append(x)
    return np.array(states)


def plain_models(space, sequences):
    """PCA and Ridge by scikit-learn on plain states."""
    states = [plain_states(space.reservoir_, u) for u in sequences]
    kept = [slice(space.washout, len(u)) for u in sequences]
    if space.bidirectional:
        back = [plain_states(space.reservoir_, u[::-1])[::-1] for u in sequences]
        states = [np.hstack(pair) for pair in zip(states, back)]
        kept = [slice(space.washout, len(u) - space.washout) for u in sequences]
    states = [part[rows] for part, rows in zip(states, kept)]
    inputs = [part[rows] for part, rows in zip(sequences, kept)]
    pca = PCA(space.n_components, svd_solver="full").fit(np.concatenate(states))
    signs = np.sign([row[np.abs(row).argmax()] for row in pca.components_])
    models = []
    for x, u in zip(states, inputs):
        h = pca.transform(x) * signs
        following = h if space.target == "state" else u
        ridge = Ridge(space.alpha, solver="svd").fit(h[:-1], following[1:])
        models.append(np.column_stack([ridge.coef_, ridge.intercept_]).ravel())
    return np.array(models), pca


@parametrize_with_checks(
    [ReservoirModelSpace(n_units=20, random_state=0)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("target", ["state", "input"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("settings", [{}, {"washout": 2, "alpha": 0.1, "leak_rate": 0.5}])
def test_equals_pca_and_ridge_on_plain_states(sequences, target, bidirectional, settings):
    space = small(target=target, bidirectional=bidirectional, **settings)
    found = space.fit_transform(sequences)
    expected, pca = plain_models(space, sequences)
    np.testing.assert_allclose(found, expected, atol=1e-8)
    np.testing.assert_allclose(
        space.explained_variance_ratio_, pca.explained_variance_ratio_, rtol=1e-8
    )
    np.testing.assert_allclose(space.mean_, pca.mean_, atol=1e-12)
    new = [u[:6] for u in sequences]
    assert space.transform(new).shape == expected.shape == (4, len(space.get_feature_names_out()))


def test_a_linear_system_is_its_own_model():
    """With identity units and hardly any penalty, A is what drives the state on its plane."""
    turn = 0.9 * np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    space = ReservoirModelSpace(
        2, topology=turn, spectral_radius=None, activation="identity", bias_scaling=0.0,
        n_components=2, alpha=1e-12, random_state=0,
    )  # fmt: skip
    impulse = np.zeros((30, 1))
    impulse[0] = 1.0
    model = space.fit_transform(impulse).reshape(2, 3)
    P = space.components_
    np.testing.assert_allclose(model[:, :2], P @ turn @ P.T, atol=1e-6)
    # h[t+1] = P (W x[t] - m) with x = Pᵀh + m
    np.testing.assert_allclose(model[:, 2], P @ (turn - np.eye(2)) @ space.mean_, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "last", 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_pooled_states_stand_behind_the_models(sequences, pooling, bidirectional):
    settings = {"bidirectional": bidirectional, "washout": 2}
    plain, beside = small(**settings), small(**settings, pooling=pooling)
    models, both = plain.fit_transform(sequences), beside.fit_transform(sequences)
    np.testing.assert_array_equal(both[:, : models.shape[1]], models)
    assert both.shape[1] == len(beside.get_feature_names_out())
    esn = ESNClassifier(
        n_units=15, connectivity=5, random_state=1, pooling=pooling, include_input=False, cv=None,
        alpha=1.0, input_scaling=1.0, leak_rate=1.0, **settings,
    ).fit(sequences, [0, 1, 0, 1])  # fmt: skip
    pooled = both[:, models.shape[1] :]
    decisions = pooled @ np.diff(esn.coef_, axis=0)[0] + np.diff(esn.intercept_)
    np.testing.assert_allclose(decisions, esn.decision_function(sequences), atol=1e-10)


def test_sequences_do_not_touch_each_other(sequences):
    space = small().fit(sequences)
    together = space.transform(sequences)
    for sequence, row in zip(sequences, together):
        np.testing.assert_allclose(space.transform([sequence])[0], row, atol=1e-8)


def test_forms_of_sequences_agree(rng):
    array = rng.normal(size=(5, 12, 2))
    rows = array.reshape(60, 2)
    expected = small().fit_transform(array)
    np.testing.assert_array_equal(small().fit_transform(list(array)), expected)
    for cuts in ({"groups": np.repeat(np.arange(5), 12)}, {"lengths": [12] * 5}):
        np.testing.assert_array_equal(small().fit(rows, **cuts).transform(rows, **cuts), expected)


def test_fewer_components_than_asked_for(rng):
    space = small(n_components=50).fit([rng.normal(size=(5, 1)), rng.normal(size=(4, 1))])
    assert space.components_.shape == (8, 15)
    constant = small(input_scaling=0.0, bias_scaling=0.0).fit([np.ones((5, 1))])
    np.testing.assert_array_equal(constant.explained_variance_ratio_, np.zeros(4))
    np.testing.assert_array_equal(constant.transform([np.ones((5, 1))]), np.zeros((1, 20)))


def test_single_precision(sequences):
    single, double = small(dtype="float32").fit(sequences), small().fit(sequences)
    assert single.reservoir_.recurrent.dtype == np.float32
    assert single.transform(sequences).dtype == np.float64
    np.testing.assert_allclose(single.transform(sequences), double.transform(sequences), atol=1e-3)


def test_frequencies_at_any_phase_are_told_apart_in_a_search(rng):
    y = rng.integers(2, size=60)
    X = [
        np.sin(np.arange(40)[:, None] * (0.5 + 0.1 * label) + rng.uniform(0, 6))
        + 0.1 * rng.normal(size=(40, 1))
        for label in y
    ]
    model = make_pipeline(small(n_units=40), StandardScaler(), RidgeClassifier())
    search = GridSearchCV(model, {"reservoirmodelspace__n_components": [1, 8]}, cv=3).fit(X, y)
    assert search.best_params_ == {"reservoirmodelspace__n_components": 8}
    assert search.best_score_ > 0.95


def test_save_and_load_keep_every_bit(sequences, tmp_path):
    space = small(pooling=2).fit(sequences)
    space.save(tmp_path / "space.npz")
    loaded = ReservoirModelSpace.load(tmp_path / "space.npz")
    np.testing.assert_array_equal(loaded.transform(sequences), space.transform(sequences))


@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        ({"n_components": 0}, ValueError, "`n_components` is 0"),
        ({"n_components": 2.5}, TypeError, r"`n_components` is 2\.5"),
        ({"target": "output"}, ValueError, "`target` is 'output'"),
        ({"alpha": 0.0}, ValueError, r"`alpha` is 0\.0"),
        ({"alpha": [1.0, 2.0]}, TypeError, r"`alpha` is \[1\.0, 2\.0\]"),
        ({"pooling": "votes"}, ValueError, "`pooling` is 'votes', but one of 'last', 'mean'"),
        ({"washout": -1}, ValueError, "`washout` is -1"),
        ({"washout": 9}, ValueError, "`washout` is 9, but sequence 2 of the 4 in `X` has only 9"),
        ({"washout": 8}, ValueError, "Sequence 2 of `X` has 1 sample after the washout"),
        ({"washout": 4, "bidirectional": True}, ValueError, "Sequence 2 of `X` has 1 sample"),
    ],
)
def test_bad_parameters(sequences, parameters, error, match):
    with pytest.raises(error, match=match):
        small(**parameters).fit(sequences)


def test_use_before_fit_and_with_other_data(sequences):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        small().transform(sequences)
    space = small().fit(sequences)
    with pytest.raises(ValueError, match="X has 1 features, but ReservoirModelSpace is expecting"):
        space.transform([u[:, :1] for u in sequences])
    with pytest.raises(ValueError, match="Sequence 1 of `X` has 1 sample after the washout"):
        space.transform([sequences[0], sequences[1][:1]])
