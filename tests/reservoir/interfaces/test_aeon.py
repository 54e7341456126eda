"""Adapters for aeon: its own checks, and that what comes out is what is wrapped."""

import numpy as np
import pytest

aeon = pytest.importorskip("aeon")

from reservoir import ESNClassifier, ReservoirModelSpace, ReservoirTransformer  # noqa: E402
from reservoir.interfaces import aeon as door  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", door.__all__)
def test_all_checks_of_aeon_pass(name):
    from aeon.testing.estimator_checking import check_estimator

    results = check_estimator(getattr(door, name))
    assert {check: outcome for check, outcome in results.items() if outcome != "PASSED"} == {}
    assert len(results) >= 40


def collection(lengths, rng, n_channels=2):
    """Return series (n_channels, n_steps) with a trend up or down, and their labels."""
    y = np.arange(len(lengths)) % 2
    X = [
        (2 * label - 1) * np.linspace(-1, 1, n) + 0.2 * rng.normal(size=(n_channels, n))
        for label, n in zip(y, lengths)
    ]
    return X, np.array(["falling", "rising"])[y]


FORMS = pytest.mark.parametrize("lengths", [[12] * 20, [12, 15] * 10], ids=["equal", "unequal"])


def as_aeon(X, lengths):
    return np.stack(X) if len(set(lengths)) == 1 else X


@FORMS
def test_classes_are_those_of_the_classifier(rng, lengths):
    X, y = collection(lengths, rng)
    esn = ESNClassifier(n_units=20, pooling=2, random_state=0)
    model = door.AeonESNClassifier(esn).fit(as_aeon(X, lengths), y)
    turned = [part.T for part in X]
    alone = esn.fit(turned, y)
    np.testing.assert_array_equal(model.predict(as_aeon(X, lengths)), alone.predict(turned))
    np.testing.assert_array_equal(
        model.predict_proba(as_aeon(X, lengths)), alone.predict_proba(turned)
    )


def test_missing_values_are_for_those_that_hold(rng):
    X, y = collection([12] * 20, rng)
    X[0][0, 5] = np.nan
    with pytest.raises(ValueError, match="missing"):
        door.AeonESNClassifier(ESNClassifier(n_units=5)).fit(np.stack(X), y)
    holding = ESNClassifier(n_units=20, pooling=2, missing="hold", random_state=0)
    predicted = door.AeonESNClassifier(holding).fit(np.stack(X), y).predict(np.stack(X))
    turned = [part.T for part in X]
    np.testing.assert_array_equal(predicted, holding.fit(turned, y).predict(turned))


@FORMS
def test_states_are_channels(rng, lengths):
    X, _ = collection(lengths, rng)
    model = door.AeonReservoirTransformer(ReservoirTransformer(n_units=6, random_state=0))
    states = model.fit_transform(as_aeon(X, lengths))
    for part, of_part in zip(X, states):
        np.testing.assert_allclose(of_part, model.transformer_.transform(part.T).T)


@FORMS
def test_features_are_those_of_the_model_space(rng, lengths):
    X, _ = collection(lengths, rng)
    space = ReservoirModelSpace(n_units=10, n_components=3, random_state=0)
    features = door.AeonReservoirModelSpace(space).fit_transform(as_aeon(X, lengths))
    turned = [part.T for part in X]
    np.testing.assert_array_equal(features, space.fit(turned).transform(turned))


def test_a_pipeline_of_aeon_takes_the_features(rng):
    from aeon.pipeline import make_pipeline
    from sklearn.linear_model import RidgeClassifier

    X, y = collection([12, 15] * 10, rng)
    space = ReservoirModelSpace(n_units=20, n_components=3, pooling=2, random_state=0)
    model = make_pipeline(door.AeonReservoirModelSpace(space), RidgeClassifier())
    assert model.fit(X[:12], y[:12]).score(X[12:], y[12:]) == 1


@pytest.mark.parametrize("name", door.__all__)
def test_other_estimators_are_refused(name):
    adapter = getattr(door, name)(np.ndarray)
    argument = next(iter(adapter.get_params(deep=False)))
    with pytest.raises(TypeError, match=f"`{argument}` is of type type, but a "):
        adapter.fit(np.zeros((4, 1, 5)), np.array([0, 0, 1, 1]))
