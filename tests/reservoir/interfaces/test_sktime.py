"""Adapters for sktime: its own checks, and that what comes out is what is wrapped."""

import numpy as np
import pandas as pd
import pytest

sktime = pytest.importorskip("sktime")

from reservoir import ESNClassifier, ReservoirModelSpace, ReservoirTransformer  # noqa: E402
from reservoir.forecasting import ReservoirForecaster  # noqa: E402
from reservoir.interfaces import sktime as door  # noqa: E402

# sktime warns of its own plans, and its checks pass short series.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", door.__all__)
def test_all_checks_of_sktime_pass(name):
    from sktime.utils.estimator_checks import check_estimator

    results = check_estimator(getattr(door, name), verbose=False)
    failed = {check: outcome for check, outcome in results.items() if outcome != "PASSED"}
    assert not failed
    assert len(results) > 200


# -- forecaster -----------------------------------------------------------------------------------


@pytest.fixture
def series(rng):
    """Five years of months with a season, and what is known ahead of each."""
    months = pd.period_range("2001-01", periods=60, freq="M")
    inputs = pd.DataFrame({"price": rng.normal(size=60), "holiday": rng.normal(size=60)}, months)
    wave = 10 + np.sin(np.arange(60) * np.pi / 6) + 0.5 * inputs["price"]
    return (wave + 0.1 * rng.normal(size=60)).rename("sales"), inputs


def small(**settings):
    return ReservoirForecaster(horizon=4, n_units=8, random_state=0, **settings)


FH = [2, 5]


@pytest.mark.parametrize("index", ["periods", "times", "numbers"])
def test_forecasts_are_those_of_the_forecaster(series, index):
    y, X = series
    if index != "periods":
        labels = y.index.to_timestamp() if index == "times" else pd.RangeIndex(7, 67)
        y, X = y.set_axis(labels), X.set_axis(labels)
    alone = small().fit(y[:50], X[:50]).forecast(5, X[50:55], level=[60, 90])
    model = door.SktimeReservoirForecaster(small()).fit(y[:50], X[:50])
    # All of X, not only the rows ahead, and a horizon with holes.
    forecast = model.predict(FH, X)
    assert forecast.index.equals(y.index[[51, 54]])
    assert forecast.name == "sales"
    np.testing.assert_array_equal(forecast, alone.mean.iloc[[1, 4]])
    intervals = model.predict_interval(FH, X, coverage=[0.6, 0.9])["sales"]
    for level in (60, 90):
        np.testing.assert_array_equal(
            intervals[level / 100]["lower"], alone.lower[level].iloc[[1, 4]]
        )
        np.testing.assert_array_equal(
            intervals[level / 100]["upper"], alone.upper[level].iloc[[1, 4]]
        )
    quantiles = model.predict_quantiles(FH, X, alpha=[0.05, 0.5, 0.8])["sales"]
    np.testing.assert_array_equal(quantiles[0.05], alone.lower[90].iloc[[1, 4]])
    np.testing.assert_array_equal(quantiles[0.5], forecast)
    np.testing.assert_array_equal(quantiles[0.8], alone.upper[60].iloc[[1, 4]])


def test_columns_are_forecast_as_several_series(series, rng):
    y, _ = series
    table = pd.DataFrame({"a": y, "b": rng.normal(size=60)})
    model = door.SktimeReservoirForecaster(small()).fit(table, fh=[1, 3])
    alone = small().fit(table).forecast(3, level=80)
    pd.testing.assert_frame_equal(model.predict(), alone.mean.iloc[[0, 2]], check_freq=False)
    intervals = model.predict_interval(coverage=0.8)
    for name in "ab":
        np.testing.assert_array_equal(
            intervals[name, 0.8, "upper"], alone.upper[80][name].iloc[[0, 2]]
        )


@pytest.mark.parametrize("learn", [False, True])
def test_updates_go_on_with_the_rows_that_are_new(series, learn):
    y, X = series
    model = door.SktimeReservoirForecaster(small()).fit(y[:40], X[:40])
    model.update(y[36:45], X, update_params=learn)
    alone = small().fit(y[:40], X[:40]).update(y[40:45], X[40:45], learn=learn)
    np.testing.assert_array_equal(
        model.predict(FH, X), alone.forecast(5, X[45:50]).mean.iloc[[1, 4]]
    )
    assert not model.predict(FH, X).equals(
        door.SktimeReservoirForecaster(small()).fit(y[:40], X[:40]).predict(FH, X)
    )
    # Nothing new.
    before = model.predict(FH, X)
    assert model.update(y[40:45], X[40:45]).predict(FH, X).equals(before)


def test_steps_that_are_known_are_refused(series):
    y, _ = series
    from sktime.split import ExpandingWindowSplitter

    model = door.SktimeReservoirForecaster(small()).fit(y)
    with pytest.raises(NotImplementedError, match="in-sample"):
        model.predict([-1])
    with pytest.raises(ValueError, match=r"`fh` goes back to 2004-.*known up to 2005-12"):
        model.update_predict(y, ExpandingWindowSplitter(fh=[1], initial_window=40))


def test_gaps_are_filled_but_not_at_the_end(series):
    y = series[0].copy()
    y.iloc[[10, 11]] = np.nan
    model = door.SktimeReservoirForecaster(small()).fit(y)
    np.testing.assert_array_equal(model.predict([1]), small().fit(y).forecast(1).mean)
    with pytest.raises(ValueError, match="ends with 2 missing values"):
        model.fit(y[:12])


def test_missing_inputs_ahead_are_named(series):
    y, X = series
    model = door.SktimeReservoirForecaster(small()).fit(y[:50], X[:50])
    with pytest.raises(ValueError, match="`X_future`"):
        model.predict([1, 2, 3], X[50:52])


def test_parameters_of_the_wrapped_are_reached():
    model = door.SktimeReservoirForecaster(small())
    model.set_params(forecaster__n_units=3, forecaster__random_state=5)
    assert model.get_params()["forecaster__n_units"] == 3
    assert model.clone().forecaster.random_state == 5


@pytest.mark.parametrize("name", door.__all__)
def test_other_estimators_are_refused(name, series):
    adapter = getattr(door, name)(np.ndarray)
    argument = next(iter(adapter.get_params(deep=False)))
    data = (np.zeros((4, 1, 5)) + np.arange(5), np.array([0, 0, 1, 1]))
    with pytest.raises(TypeError, match=f"`{argument}` is of type type, but a "):
        adapter.fit(series[0]) if argument == "forecaster" else adapter.fit(*data)


# -- classifier and transformers ------------------------------------------------------------------


def panel(lengths, rng, n_channels=2):
    """Return sequences with a trend up or down, their labels, and the same as sktime has them."""
    y = np.arange(len(lengths)) % 2
    X = [
        (2 * label - 1) * np.linspace(-1, 1, n)[:, None] + 0.2 * rng.normal(size=(n, n_channels))
        for label, n in zip(y, lengths)
    ]
    frames = {i: pd.DataFrame(part, columns=["u", "v"][:n_channels]) for i, part in enumerate(X)}
    return X, np.array(["falling", "rising"])[y], pd.concat(frames, names=["instance", "time"])


@pytest.mark.parametrize("lengths", [[12] * 20, [12, 15] * 10], ids=["equal", "unequal"])
def test_classes_are_those_of_the_classifier(rng, lengths):
    X, y, frame = panel(lengths, rng)
    esn = ESNClassifier(n_units=20, pooling=2, random_state=0)
    model = door.SktimeESNClassifier(esn).fit(frame, y)
    alone = ESNClassifier(n_units=20, pooling=2, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.predict(frame), alone.predict(X))
    np.testing.assert_array_equal(model.predict_proba(frame), alone.predict_proba(X))
    if len(set(lengths)) == 1:
        array = np.stack([part.T for part in X])
        np.testing.assert_array_equal(model.predict_proba(array), alone.predict_proba(X))


def test_missing_values_are_for_those_that_hold(rng):
    X, y, frame = panel([12] * 20, rng)
    frame.iloc[5, 0] = np.nan
    with pytest.raises(ValueError, match="missing"):
        door.SktimeESNClassifier(ESNClassifier(n_units=5)).fit(frame, y)
    holding = ESNClassifier(n_units=20, pooling=2, missing="hold", random_state=0)
    model = door.SktimeESNClassifier(holding).fit(frame, y)
    assert model.get_tag("capability:missing_values")
    X[0][5, 0] = np.nan
    np.testing.assert_array_equal(model.predict(frame), holding.fit(X, y).predict(X))


def test_one_reservoir_serves_all_instances(rng):
    X, _, frame = panel([12, 15, 9], rng)
    model = door.SktimeReservoirTransformer(ReservoirTransformer(n_units=6)).fit(frame)
    states = model.transform(frame)
    assert states.index.equals(frame.index)
    for index, part in enumerate(X):
        np.testing.assert_allclose(states.loc[index], model.transformer_.transform(part))
        one = model.transform(frame.loc[index])
        np.testing.assert_allclose(one, states.loc[index])


@pytest.mark.parametrize("lengths", [[12] * 6, [12, 15] * 3], ids=["equal", "unequal"])
def test_features_are_those_of_the_model_space(rng, lengths):
    X, _, frame = panel(lengths, rng)
    space = ReservoirModelSpace(n_units=10, n_components=3, random_state=0)
    features = door.SktimeReservoirModelSpace(space).fit_transform(frame)
    np.testing.assert_array_equal(features, space.fit(X).transform(X))
