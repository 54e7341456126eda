"""Pandas data: panels of instances and times, names of columns, labels of rows."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.preprocessing import StandardScaler

from reservoir import (
    DelayEmbedding,
    ESNClassifier,
    ESNRegressor,
    LocalESNRegressor,
    NVARRegressor,
    ReservoirForecaster,
    ReservoirTransformer,
)
from reservoir.sequences import Layout, stack_like, stack_sequences

LENGTHS = {"b": 30, "a": 20, "c": 25}


def panel_of(rng, columns=("u", "v"), lengths=LENGTHS, start="2024-01-01"):
    """A panel as sktime and pandas users have it, and the same sequences as a list of arrays."""
    parts = {
        key: pd.DataFrame(
            rng.normal(size=(n, len(columns))),
            columns=list(columns),
            index=pd.date_range(start, periods=n, freq="h", name="time"),
        )
        for key, n in lengths.items()
    }
    return pd.concat(parts, names=["instance"]), [part.to_numpy() for part in parts.values()]


def esn(**parameters):
    return ESNRegressor(20, washout=3, random_state=0, **parameters)


def test_a_panel_is_sequences_and_comes_back_as_one(rng):
    X, parts = panel_of(rng)
    targets = [part.cumsum(axis=0) for part in parts]
    y = pd.DataFrame(np.concatenate(targets), index=X.index, columns=["p", "q"])
    model, plain = esn().fit(X, y), esn().fit(parts, targets)
    predicted = model.predict(X)
    assert predicted.index.equals(X.index)
    assert list(predicted.columns) == ["p", "q"]
    np.testing.assert_array_equal(predicted, np.concatenate(plain.predict(parts)))
    assert model.score(X, y) == plain.score(parts, targets)
    assert list(model.feature_names_in_) == ["u", "v"]
    one = esn().fit(X, y["p"]).predict(X)
    assert isinstance(one, pd.Series)
    np.testing.assert_array_equal(one, np.concatenate(esn().fit(parts, [t[:, 0] for t in targets])
                                                      .predict(parts)))  # fmt: skip


def test_transformers_give_panels_back(rng):
    X, parts = panel_of(rng)
    for model in (ReservoirTransformer(5, random_state=0), DelayEmbedding([0, 2])):
        found = model.fit_transform(X)
        assert found.index.equals(X.index)
        assert list(found.columns) == list(model.get_feature_names_out())
        np.testing.assert_array_equal(found, np.concatenate(model.fit(parts).transform(parts)))


def test_forecasts_of_a_panel_go_on_in_time(rng):
    X, parts = panel_of(rng)
    model = esn().fit(X.iloc[:-1], X.iloc[1:].set_axis(X.index[:-1]))
    forecasts = model.forecast(3, X)
    assert list(forecasts.loc["a"].index) == list(
        pd.date_range("2024-01-01 20:00", periods=3, freq="h")
    )
    assert forecasts.index.names == ["instance", "time"]
    arrays = model.set_params().forecast(3, [pd.DataFrame(p, columns=["u", "v"]) for p in parts])
    np.testing.assert_array_equal(forecasts, np.concatenate(arrays))


def test_labels_of_instances_go_by_their_names(rng):
    X, parts = panel_of(rng, lengths=dict.fromkeys("dbcaef", 12))
    y = np.array([0, 1, 0, 1, 0, 1])
    by_name = pd.Series(y, index=list("dbcaef")).sort_index()
    plain = ESNClassifier(10, cv=None, random_state=0).fit(parts, y)
    for labels in (y, by_name):
        model = ESNClassifier(10, cv=None, random_state=0).fit(X, labels)
        assert model.label_per_ == "sequence"
        np.testing.assert_array_equal(model.decision_function(X), plain.decision_function(parts))
        assert model.score(X, labels) == plain.score(parts, y)
    steps = pd.Series(np.where(X["u"] > 0, "up", "down"), index=X.index)
    found = ESNClassifier(10, random_state=0).fit(X, steps).predict(X)
    assert found.index.equals(X.index)


def test_targets_of_instances_go_by_their_names(rng):
    X, parts = panel_of(rng)
    by_name = pd.Series([2.0, 1.0, 3.0], index=list("abc"))
    model = esn().fit(X, by_name)
    plain = esn().fit(parts, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(model.predict(X), plain.predict(parts))
    assert model.score(X, by_name) == plain.score(parts, [1.0, 2.0, 3.0])


def test_hierarchies_and_series(rng):
    X, _ = panel_of(rng)
    upper = pd.concat({"x": X, "y": X}, names=["region"])
    assert stack_sequences(upper)[1].lengths == (30, 20, 25) * 2
    rows, layout = stack_sequences(X["u"])
    assert layout == Layout((30, 20, 25), "panel")
    assert list(rows.columns) == ["u"]


def test_polars_frames_are_cut_by_a_column_of_instances(rng):
    X, parts = panel_of(rng)
    frame = pl.from_pandas(X.reset_index())
    targets = [part.cumsum(axis=0) for part in parts]
    model = esn().fit(frame[["u", "v"]], np.concatenate(targets), groups=frame["instance"])
    found = model.predict(frame[["u", "v"]], groups=frame["instance"])
    expected = esn().fit(parts, targets).predict(parts)
    np.testing.assert_array_equal(found, np.concatenate(expected))


def test_a_panel_that_is_cut_otherwise_is_rows(rng):
    X, _ = panel_of(rng)
    assert stack_sequences(X, lengths=[75])[1] == Layout((75,), "rows")


def test_what_is_wrong_with_a_panel(rng):
    X, _ = panel_of(rng)
    with pytest.raises(ValueError, match=r"comes back to the instance 'b' in row 6.*sort_index"):
        esn().fit(X.swaplevel().sort_index().swaplevel().iloc[::-1], X)
    with pytest.raises(ValueError, match="`y` and `X` have indices that differ"):
        esn().fit(X, X.iloc[::-1])
    with pytest.raises(ValueError, match="indices that differ"):
        stack_like(X["u"].iloc[1:], stack_sequences(X)[1], name="y")
    with pytest.raises(ValueError, match="has no instance in row 3"):
        stack_sequences(X.set_axis(pd.MultiIndex.from_arrays([["a"] * 3 + [None] * 72, range(75)])))
    with pytest.raises(ValueError, match="`chunks` holds a panel"):
        list(esn().fit(X, X).predict_stream([X]))
    with pytest.warns(UserWarning, match="does not increase: 0 comes after 1") as found:
        esn().fit(pd.DataFrame(X.to_numpy(), index=pd.MultiIndex.from_product(
            [range(5), [1, 0, *range(2, 15)]])), X.to_numpy())  # fmt: skip
    assert len(found) == 1


# -- names of columns ----------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_names_of_lists_of_frames_are_compared(rng, frame):
    parts = [frame({"u": rng.normal(size=n), "v": rng.normal(size=n)}) for n in (30, 20)]
    turned = [part[["v", "u"]] for part in parts]
    targets = [part.to_numpy()[:, 0] for part in parts]
    model = esn().fit(parts, targets)
    assert list(model.feature_names_in_) == ["u", "v"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(turned)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(turned[0])
    plain = esn().fit([part.to_numpy() for part in parts], targets)
    np.testing.assert_array_equal(model.predict(parts)[1], plain.predict(parts[1].to_numpy()))


def test_names_of_targets_are_compared(rng):
    d = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
    model = esn().fit(d[:-1], d[1:])
    turned = d[["b", "a"]]
    for call in (model.score, model.partial_fit, model.advance):
        with pytest.raises(ValueError, match=r"`y` has the columns \['b', 'a'\].*fitted with"):
            call(d[:-1], turned[1:])
    assert model.score(d[:-1], d[1:]) == model.score(d[:-1], d[1:].to_numpy())
    esn().fit(d, d["a"]).score(d, d["b"])  # one may be called otherwise


def test_a_forecast_feeds_back_by_name(rng):
    t = np.arange(400)
    d = pd.DataFrame({"a": 50 + np.sin(t / 5), "b": np.cos(t / 5)})
    parameters = {"input_scaling": [0.02, 1], "alpha": 1e-8}
    for model in (esn(**parameters), NVARRegressor(n_delays=2)):
        by_order = model.fit(d[:-1], d[1:]).forecast(5)
        by_name = model.fit(d[:-1], d[1:][["b", "a"]]).forecast(5)
        np.testing.assert_allclose(by_name[:, ::-1], by_order, rtol=1e-4)
        np.testing.assert_allclose(by_order[:, 0], 50 + np.sin(np.arange(400, 405) / 5), atol=1e-2)


def test_a_field_keeps_its_sites(rng):
    field = pd.DataFrame(rng.normal(size=(60, 4)), columns=list("abcd"))
    model = LocalESNRegressor(n_units=10, patch_size=2, overlap=1, washout=5, random_state=0)
    with pytest.raises(ValueError, match="the columns of `X` in another order"):
        model.fit(field[:-1], field[1:][list("badc")])


def test_a_step_takes_its_row_by_name(rng):
    d = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
    rows = [d.iloc[59], d.iloc[59][["b", "a"]], d.to_numpy()[59]]
    found = [esn().fit(d[:59], d[:59]).step(row) for row in rows]
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


# -- labels of rows ------------------------------------------------------------------------------


def hourly(rng, n=300):
    index = pd.date_range("2024-01-01", periods=n, freq="h")
    return pd.DataFrame(rng.normal(size=(n, 1)), index=index, columns=["a"])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: d.iloc[::-1], "does not increase: 2024-01-13 10:00:00 comes after"),
        (lambda d: d.sample(frac=1, random_state=0), "does not increase"),
        (lambda d: d.set_axis(d.index.to_period("h")).iloc[::-1], "does not increase"),
        (lambda d: d.iloc[np.r_[0:50, 250:300]], "has a hole: 2024-01-11 10:00:00 comes after"),
        (lambda d: d.iloc[np.r_[0:50, 51:300]], "has a hole: 2024-01-03 03:00:00"),
        (lambda d: d.set_axis(d.index.to_period("h")).iloc[np.r_[0:50, 51:300]], "has a hole"),
    ],
)
def test_times_that_jump_are_warned_of_once(rng, change, match):
    d = change(hourly(rng))
    with pytest.warns(UserWarning, match=match) as found:
        model = esn().fit(d, d["a"].to_numpy())
    assert len(found) == 1
    with pytest.warns(UserWarning, match=match) as found:
        model.predict(d)
    assert len(found) == 1
    with pytest.warns(UserWarning, match=match) as found:
        esn().fit([d, hourly(rng)], [d["a"].to_numpy(), np.zeros(300)])
    assert len(found) == 1


@pytest.mark.parametrize("frequency", ["h", "D", "B", "MS", "ME", "QS", "YS", "W", "15min"])
@pytest.mark.parametrize("n", [4, 5, 7, 120])
def test_even_times_are_no_cause_to_warn(rng, frequency, n):
    index = pd.date_range("2023-02-01", periods=n, freq=frequency)
    for labels in (index, index.tz_localize("UTC")):
        d = pd.DataFrame(rng.normal(size=(n, 1)), index=labels, columns=["a"])
        ReservoirTransformer(5).fit(d)


def test_a_month_that_is_missing_is_a_hole(rng):
    index = pd.date_range("2010-01-01", periods=60, freq="MS").delete(30)
    d = pd.DataFrame(rng.normal(size=(59, 1)), index=index, columns=["a"])
    with pytest.warns(UserWarning, match="hole: 2012-08-01"):
        ReservoirTransformer(5).fit(d)


def test_times_of_groups_and_of_trading_days_are_looked_at_by_themselves(rng):
    d = pd.concat([hourly(rng), hourly(rng)])
    ReservoirTransformer(5).fit(d, groups=np.repeat([0, 1], 300))
    days = pd.bdate_range("2020-01-01", periods=250).delete([40, 100, 180])
    ReservoirTransformer(5).fit(pd.DataFrame(rng.normal(size=(247, 1)), index=days, columns=["a"]))
    StandardScaler().fit(d)  # which looks at no times


# -- which sequence goes on ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["esn", "nvar", "local"])
def test_a_forecast_of_several_sequences_says_which_it_continues(kind):
    parts = [np.sin(0.2 * np.arange(60) + k)[:, np.newaxis].repeat(2, axis=1) for k in range(3)]
    inputs, targets = [part[:-1] for part in parts], [part[1:] for part in parts]
    model = {
        "esn": esn(alpha=1e-6),
        "nvar": NVARRegressor(2),
        "local": LocalESNRegressor(10, patch_size=1, overlap=0, washout=3, random_state=0),
    }[kind].fit(inputs, targets)
    with pytest.warns(UserWarning, match="several sequences: the forecast continues the last"):
        found = model.forecast(2)
    np.testing.assert_allclose(found, model.forecast(2, parts)[2], rtol=1e-6)
    model.fit(inputs[0], targets[0]).forecast(2)
    if kind == "nvar":
        model.partial_fit(inputs[1], targets[1])
        with pytest.warns(UserWarning, match="continues the last"):
            model.forecast(2)


def test_the_forecaster_of_series_names_what_it_takes_of_a_panel(rng):
    X, _ = panel_of(rng)
    with pytest.raises(ValueError, match=r"Of a panel \(instance, time\), pass `\[part.droplevel"):
        ReservoirForecaster().fit(X["u"])
    parts = [part.droplevel(0) for _, part in X["u"].groupby(level=0)]
    assert len(ReservoirForecaster(members="ar").fit(parts).forecast(2)) == 3
