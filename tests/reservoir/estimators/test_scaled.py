"""ScaledForecaster: held against scaling by hand, and the traps that it is there for."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import (
    ESNRegressor,
    LocalESNRegressor,
    NVARRegressor,
    OnlineESNRegressor,
    ScaledForecaster,
)
from reservoir.dynamics import DivergenceError
from tests.reservoir.estimators.test_conventions import EXPECTED_FAILURES


@parametrize_with_checks(
    [ScaledForecaster(ESNRegressor(20, random_state=0))],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def esn(**parameters):
    return ESNRegressor(40, washout=50, alpha=1e-6, random_state=0, **parameters)


@pytest.fixture
def series():
    """Two channels in units of their own."""
    t = np.arange(700)
    return np.stack([5000 + 300 * np.sin(t / 5), 0.02 * np.cos(t / 5)], axis=1)


@pytest.fixture
def by_hand(series):
    """What a careful user does: one scaler, fitted to the inputs, for both."""
    scaler = StandardScaler().fit(series[:599])
    z = scaler.transform(series)
    return scaler, z, esn().fit(z[:599], z[1:600])


def test_everything_equals_scaling_by_hand(series, by_hand):
    scaler, z, plain = by_hand
    model = ScaledForecaster(esn()).fit(series[:599], series[1:600])
    back = scaler.inverse_transform
    np.testing.assert_allclose(model.forecast(50), back(plain.forecast(50)), rtol=1e-6)
    np.testing.assert_allclose(model.forecast(50), series[600:650], rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(
        model.forecast(5, series[:640]), back(plain.forecast(5, z[:640])), rtol=1e-6
    )
    np.testing.assert_allclose(model.predict(series), back(plain.predict(z)), rtol=1e-6)
    expected = plain.forecast_origins(4, z, [610, 620])
    found = model.forecast_origins(4, series, [610, 620])
    np.testing.assert_allclose(found[1], back(expected[1]), rtol=1e-6)
    assert model.score(series[:-1], series[1:]) == pytest.approx(plain.score(z[:-1], z[1:]))


def test_it_goes_on_as_the_regressor_does(series, by_hand):
    scaler, z, plain = by_hand
    model = ScaledForecaster(esn()).fit(series[:599], series[1:600])
    for row, scaled in zip(series[599:610], z[599:610]):
        (expected,) = scaler.inverse_transform(plain.step(scaled)[np.newaxis])
        np.testing.assert_allclose(model.step(row), expected, rtol=1e-6)
    end, plain_end = model.advance(series[610:650]), plain.advance(z[610:650])
    np.testing.assert_allclose(end.state, plain_end.state, atol=1e-9)
    expected = scaler.inverse_transform(plain.forecast(9))
    np.testing.assert_allclose(model.forecast(9), expected, rtol=1e-6)
    np.testing.assert_allclose(model.forecast(9, initial_state=end), expected, rtol=1e-6)
    _, state = model.forecast(4, initial_state=end, return_state=True)
    np.testing.assert_allclose(model.forecast(5, initial_state=state), expected[4:], rtol=1e-6)
    outputs, _ = model.predict(series[650:], initial_state="last", return_state=True)
    expected = scaler.inverse_transform(plain.predict(z[650:], initial_state="last"))
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    model.advance(series[650:660], series[651:661])
    plain.advance(z[650:660], z[651:661])
    expected = scaler.inverse_transform(plain.forecast(3))
    np.testing.assert_allclose(model.forecast(3), expected, rtol=1e-6)
    start = {"initial_state": end.state[0], "initial_output": series[651]}
    expected = plain.forecast(3, initial_state=end.state[0], initial_output=z[651])
    np.testing.assert_allclose(
        model.forecast(3, **start), scaler.inverse_transform(expected), rtol=1e-6
    )


def test_targets_of_one_axis(series):
    y = series[:, 0]
    model = ScaledForecaster(esn()).fit(y[:599, np.newaxis], y[1:600])
    assert model.forecast(20).shape == (20,)
    np.testing.assert_allclose(model.forecast(20), y[600:620], rtol=1e-2)
    assert isinstance(model.step(y[599:600]), float)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_columns_go_by_their_names(series, frame):
    d = frame(dict(zip("ab", series.T)))
    model = ScaledForecaster(esn()).fit(d[:599], d[1:600])
    turned = ScaledForecaster(esn()).fit(d[:599], d[1:600][["b", "a"]])
    np.testing.assert_allclose(turned.forecast(9)[:, ::-1], model.forecast(9), rtol=1e-4)
    np.testing.assert_allclose(model.forecast(9), series[600:609], rtol=1e-2, atol=1e-3)
    assert list(model.feature_names_in_) == ["a", "b"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(d[["b", "a"]])


@pytest.mark.parametrize("as_given", [np.asarray, lambda f: pd.DataFrame(f, columns=["price"])])
def test_inputs_that_are_known_ahead(rng, as_given):
    price = 100 + 20 * rng.uniform(-1, 1, size=700)
    load = np.zeros(700)
    for t in range(1, 700):
        load[t] = 0.5 * load[t - 1] + 3000 + 10 * (price[t - 1] - 100)
    d = pd.DataFrame({"price": price, "load": load})
    model = ScaledForecaster(esn()).fit(d[:599], d[["load"]][1:600])
    future = as_given(price[599:620, np.newaxis])
    found = model.forecast(20, future=future)[:, 0]
    np.testing.assert_allclose(found, load[600:620], rtol=5e-3)


def test_several_sequences(series):
    parts = [series[:300], series[100:350], series[200:500]]
    inputs, targets = [p[:-1] for p in parts], [p[1:] for p in parts]
    scaler = StandardScaler().fit(np.concatenate(inputs))
    plain = esn().fit([scaler.transform(p) for p in inputs], [scaler.transform(p) for p in targets])
    model = ScaledForecaster(esn()).fit(inputs, targets)
    expected = plain.predict([scaler.transform(p) for p in inputs])
    for found, scaled in zip(model.predict(inputs), expected):
        np.testing.assert_allclose(found, scaler.inverse_transform(scaled), rtol=1e-6)
    array = np.stack([p[:200] for p in parts])
    np.testing.assert_allclose(model.forecast(3, array)[1], model.forecast(3, array[1]), rtol=1e-9)
    index = pd.MultiIndex.from_product([list("xyz"), range(200)])
    panel = pd.DataFrame(array.reshape(600, 2), index=index, columns=["a", "b"])
    follows = pd.DataFrame(np.roll(array, -1, axis=1).reshape(600, 2), index, ["a", "b"])
    in_panel = ScaledForecaster(esn()).fit(panel, follows)
    by_array = ScaledForecaster(esn()).fit(array, np.roll(array, -1, axis=1))
    found = in_panel.predict(panel)
    assert found.index.equals(index)
    np.testing.assert_allclose(found.loc["y"], by_array.predict(array)[1], rtol=1e-6)
    assert list(in_panel.forecast(2, panel).loc["z"].index) == [200, 201]
    lone = [p[:, 0] for p in parts]
    found = ScaledForecaster(esn()).fit([p[:-1] for p in lone], [p[1:] for p in lone])
    np.testing.assert_allclose(found.forecast(5, lone)[2], series[500:505, 0], rtol=1e-2)


@pytest.mark.parametrize(
    "regressor",
    [
        NVARRegressor(2, alpha=1e-8),
        OnlineESNRegressor(40, washout=50, random_state=0),
        LocalESNRegressor(40, patch_size=1, overlap=0, washout=50, random_state=0),
    ],
    ids=["nvar", "online", "local"],
)
def test_other_regressors(series, regressor):
    scaler = StandardScaler().fit(series[:599])
    z = scaler.transform(series)
    plain = clone(regressor).fit(z[:599], z[1:600])
    model = ScaledForecaster(regressor).fit(series[:599], series[1:600])
    context, scaled = (None, None) if hasattr(plain, "advance") else (series[:600], z[:600])
    found = model.forecast(10, context)
    np.testing.assert_allclose(
        found, scaler.inverse_transform(plain.forecast(10, scaled)), rtol=1e-4
    )
    assert hasattr(model, "advance") == hasattr(plain, "advance")


def test_other_scalers(series):
    y = np.exp(series[:, :1] / 1000)
    scaler = make_pipeline(FunctionTransformer(np.log, np.exp, check_inverse=False), MinMaxScaler())
    model = ScaledForecaster(esn(), scaler).fit(y[:599], y[1:600])
    assert (model.forecast(100) > 0).all()
    np.testing.assert_allclose(model.forecast(30), y[600:630], rtol=0.05)


def test_what_it_refuses(series):
    X, y = series[:599], series[1:600]
    with pytest.raises(TypeError, match="`regressor` is of type StandardScaler"):
        ScaledForecaster(StandardScaler()).fit(X, y)
    with pytest.raises(TypeError, match="`scaler` is the class StandardScaler"):
        ScaledForecaster(esn(), StandardScaler).fit(X, y)
    mixed = StandardScaler().fit_transform(series) @ [[1, 2], [1, -1]]
    with pytest.raises(ValueError, match="mixes columns"):
        ScaledForecaster(esn(), PCA()).fit(mixed[:-1], mixed[1:, 0])
    with pytest.raises(NotFittedError):
        ScaledForecaster(esn()).forecast(3)
    unlike = ScaledForecaster(esn()).fit(X, 3 * y[:, ::-1])
    with pytest.raises(ValueError, match="are not the inputs of the next step"):
        unlike.forecast(3)
    assert unlike.score(X, 3 * y[:, ::-1]) > 0.99
    assert not hasattr(ScaledForecaster(NVARRegressor()), "step")
    d = pd.DataFrame(series, columns=["a", "b"])
    with pytest.raises(ValueError, match="1 values were expected"):
        ScaledForecaster(esn()).fit(d[:599], d[["a"]][1:600]).forecast(3, future=np.zeros((3, 2)))


def test_outputs_before_a_divergence_are_in_own_units(series):
    model = ScaledForecaster(esn(output_limit=0.01)).fit(series[:599], series[1:600])
    model.regressor_.intercept_ = model.regressor_.intercept_ + 0.02
    with pytest.raises(DivergenceError) as caught:
        model.forecast(100)
    assert caught.value.outputs.shape[1] == 2
    if len(caught.value.outputs):
        assert abs(caught.value.outputs[:, 0] - 5000).max() < 500
    assert "`outputs` are in the units of `y`" in caught.value.__notes__[0]


# -- the newcomer's way --------------------------------------------------------------------------


def test_the_model_of_a_pipeline_names_the_class_that_forecasts(series):
    pipeline = make_pipeline(StandardScaler(), esn()).fit(series[:599], series[1:600])
    for call in (pipeline[-1].forecast, lambda n: pipeline[-1].forecast(n, series)):
        with pytest.raises(ValueError, match=r"into `reservoir\.ScaledForecaster`"):
            call(3)
    nvar = make_pipeline(StandardScaler(), NVARRegressor()).fit(series[:599], series[1:600])
    with pytest.raises(ValueError, match=r"reservoir\.ScaledForecaster"):
        nvar[-1].forecast(3)


def test_models_of_one_unit_forecast_as_ever(series):
    wrapped = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), esn()), transformer=StandardScaler()
    ).fit(series[:599], series[1:600])
    assert wrapped.regressor_[-1].forecast(3).shape == (3, 2)
    constant = np.full((100, 1), 7.0)
    ESNRegressor(10, random_state=0).fit(constant, constant + 1e-9).forecast(3)
    noisy = series + series.std(axis=0) * np.random.default_rng(0).normal(size=series.shape)
    esn(output_limit=None).fit(noisy[:-1], series[1:]).forecast(3)
