"""The forecaster: forms, gaps, inputs, updates, backtests, files, and what it refuses."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from reservoir.datasets import load_air_passengers, load_co2, load_nile
from reservoir.forecasting import ReservoirForecaster


@pytest.fixture
def series(rng):
    t = np.arange(160)
    return 30 + 0.1 * t + 6 * np.sin(2 * np.pi * t / 12) + rng.normal(size=160)


def make(**parameters):
    return ReservoirForecaster(
        **{"seasons": 12, "horizon": 12, "n_units": 20, "random_state": 0} | parameters
    )


def same(one, other):
    np.testing.assert_array_equal(np.asarray(one.mean), np.asarray(other.mean))
    for level in one.lower:
        np.testing.assert_array_equal(np.asarray(one.lower[level]), np.asarray(other.lower[level]))
        np.testing.assert_array_equal(np.asarray(one.upper[level]), np.asarray(other.upper[level]))


def test_it_beats_the_seasonal_naive_forecast_and_holds_the_truth(series):
    forecast = make().fit(series[:148]).forecast(12)
    naive = np.abs(series[136:148] - series[148:]).mean()
    assert np.abs(forecast.mean - series[148:]).mean() < 0.8 * naive
    assert ((forecast.lower[95] <= series[148:]) & (series[148:] <= forecast.upper[95])).all()
    for narrow, wide in ((80, 95),):
        assert (forecast.lower[wide] < forecast.lower[narrow]).all()
        assert (forecast.upper[wide] > forecast.upper[narrow]).all()


def test_members_have_weights_and_the_scores_of_hand_made_forecasts(series):
    forecaster = make().fit(series)
    members = {member.name: member for member in forecaster.members_}
    assert sum(member.weight for member in members.values()) == pytest.approx(1)
    # 32 origins from the last third, 53 rows, to 12 steps before the end.
    origins = np.unique(np.round(np.linspace(160 - 48, 160 - 12, 32)).astype(int))
    errors, naive = [], []
    for origin in origins:
        truth = series[origin : origin + 12]
        errors.append(np.abs(truth - series[origin - 12 : origin]).mean())
        naive.append(np.abs(truth - series[origin - 1]).mean())
    assert members["seasonal naive, 12"].score == pytest.approx(np.mean(errors))
    assert members["naive"].score == pytest.approx(np.mean(naive))
    two = [
        np.abs(series[o : o + 12] - (series[o - 12 : o] + series[o - 24 : o - 12]) / 2).mean()
        for o in origins
    ]
    assert members["mean of 2 seasons of 12"].score == pytest.approx(np.mean(two))
    scores = np.array([member.score for member in members.values()])
    weights = np.array([member.weight for member in members.values()])
    np.testing.assert_allclose(weights, scores**-3 / (scores**-3).sum())


def test_one_seed_is_one_result_and_another_is_another(series):
    one = make().fit(series).forecast(12)
    same(one, make().fit(series).forecast(12))
    same(one, make().fit(series.tolist()).forecast(12))
    other = make(random_state=1).fit(series).forecast(12)
    assert (other.mean != one.mean).any()


def test_saved_loaded_copied_and_pickled_it_forecasts_bit_for_bit_the_same(series, tmp_path):
    index = pd.date_range("2001-05", periods=160, freq="MS")
    named = pd.Series(series, index=index, name="sales")
    forecaster = make(seasons=None).fit(named)
    forecaster.save(tmp_path / "model.npz")
    loaded = ReservoirForecaster.load(tmp_path / "model.npz")
    forecast = forecaster.forecast(30)
    for again in (loaded, pickle.loads(pickle.dumps(forecaster))):
        same(forecast, again.forecast(30))
        pd.testing.assert_series_equal(forecast.mean, again.forecast(30).mean)
    loaded.update(pd.Series([40.0], index=index[-1:] + pd.offsets.MonthBegin()))
    assert loaded.forecast(1).mean.index[0] == pd.Timestamp("2014-10-01")
    assert clone(forecaster).get_params() == forecaster.get_params()


# Forms


def test_a_series_goes_on_with_its_index_and_name(series):
    index = pd.date_range("2001-05", periods=160, freq="MS")
    forecaster = make(seasons=None).fit(pd.Series(series, index=index, name="sales"))
    assert forecaster.seasons_ == (12,)
    forecast = forecaster.forecast(5, level=90)
    expected = pd.date_range("2014-09", periods=5, freq="MS")
    for values in (forecast.mean, forecast.lower[90], forecast.upper[90]):
        assert values.index.equals(expected)
        assert values.name == "sales"
    same(forecast, make().fit(series).forecast(5, level=90))
    frame = forecast.to_frame()
    assert list(frame.columns) == ["mean", "lower_90", "upper_90"]
    assert np.asarray(forecast).tolist() == frame["mean"].tolist()
    assert len(forecast) == 5


def test_several_series_in_one_call_are_those_of_calls_one_by_one(series):
    index = pd.period_range("2001-05", periods=160, freq="M")
    other = series[::-1] + 3
    alone = [make().fit(values).forecast(6) for values in (series, other)]
    table = make().fit(np.column_stack([series, other])).forecast(6)
    frame = pd.DataFrame({"a": series, "b": other}, index=index)
    framed = make(n_jobs=2).fit(frame).forecast(6)
    listed = make().fit([pd.Series(series, index=index), other[:150]])
    for column, name in enumerate("ab"):
        np.testing.assert_array_equal(table.mean[:, column], alone[column].mean)
        np.testing.assert_array_equal(framed.mean[name], alone[column].mean)
        np.testing.assert_array_equal(framed.upper[95][name], alone[column].upper[95])
    assert framed.mean.index.equals(pd.period_range("2014-09", periods=6, freq="M"))
    assert framed.to_frame()["b", "lower_80"].equals(framed.lower[80]["b"])
    first, second = listed.forecast(6)
    np.testing.assert_array_equal(first.mean, alone[0].mean)
    assert first.mean.index.equals(framed.mean.index)
    same(second, make().fit(other[:150]).forecast(6))
    assert listed.n_series_ == len(listed.members_) == len(listed.backtest(2)) == 2


def test_dates_by_frequency_numbers_and_integers(series):
    numbered = pd.Series(series, index=np.arange(10, 330, 2))
    assert make().fit(numbered).forecast(2).mean.index.tolist() == [330, 332]
    whole = make().fit(np.round(series).astype(int)).forecast(3)
    same(whole, make().fit(np.round(series)).forecast(3))
    zoned = pd.Series(series, pd.date_range("2024-03-25", periods=160, freq="h", tz="Europe/Rome"))
    forecaster = make(seasons=None).fit(zoned)
    assert forecaster.seasons_ == (24, 168)
    assert forecaster.forecast(3).mean.index.equals(
        pd.date_range("2024-03-31 17:00", periods=3, freq="h", tz="Europe/Rome")
    )


# Gaps


def test_missing_values_are_neither_targets_nor_scores(series):
    gappy = series.copy()
    gappy[[20, 21, 90, 91, 92, 150]] = np.nan
    forecaster = make().fit(gappy)
    forecast = forecaster.forecast(12)
    full = make().fit(series).forecast(12)
    assert np.abs(forecast.mean - full.mean).mean() < 0.5
    naive = next(m for m in forecaster.members_ if m.name == "naive")
    origins = np.unique(np.round(np.linspace(112, 148, 32)).astype(int))
    filled = forecaster._data[0].y
    errors = [np.abs(gappy[o : o + 12] - filled[o - 1]) for o in origins]
    assert naive.score == pytest.approx(np.nanmean(errors))
    result = forecaster.backtest(3)
    assert np.isnan(result.truth).sum() == 1
    assert np.isfinite(result.mae)


def test_missing_values_of_any_kind_are_the_same(series):
    whole = np.round(10 * series)
    whole[[30, 31]] = np.nan
    expected = make().fit(whole).forecast(3)
    masked = np.ma.masked_array(np.where(np.isnan(whole), -999, whole), np.isnan(whole))
    for values in (masked, pd.Series(whole).astype("Int64"), list(pd.Series(whole))):
        same(make().fit(values).forecast(3), expected)


def test_columns_of_one_name_stay_apart(series):
    frame = pd.DataFrame(np.column_stack([series, series + 1]), columns=["a", "a"])
    forecast = make().fit(frame).forecast(3)
    same(make().fit(frame.to_numpy()).forecast(3), forecast)


def test_leading_gaps_are_dropped_and_labels_stay(series):
    index = pd.date_range("2001-05", periods=160, freq="MS")
    late = pd.Series(series, index=index)
    late.iloc[:10] = np.nan
    forecast = make().fit(late).forecast(3)
    assert forecast.mean.index[0] == pd.Timestamp("2014-09-01")
    same(forecast, make().fit(series[10:]).forecast(3))
    result = make().fit(late).backtest(2)
    assert result.labels.tolist() == [index[136], index[148]]
    assert result.origins.tolist() == [136, 148]


# Going on


def test_updates_go_on_from_the_new_end_with_the_same_readouts(series):
    forecaster = make().fit(series[:130])
    weights = [member.weight for member in forecaster.members_]
    step_by_step = make().fit(series[:130])
    for value in series[130:140]:
        step_by_step.update([value])
    forecaster.update(series[130:140])
    same(forecaster.forecast(12), step_by_step.forecast(12))
    assert [member.weight for member in forecaster.members_] == weights
    # What a fresh fit would choose is another matter.
    assert (make().fit(series[:140]).forecast(12).mean != forecaster.forecast(12).mean).any()


def test_an_update_that_learns_is_a_fit_on_all_rows(series):
    updated = make().fit(series[:130]).update(series[130:], learn=True)
    same(updated.forecast(20), make().fit(series).forecast(20))


def test_a_backtest_is_a_fit_before_the_first_origin_and_updates(series):
    result = make().fit(series).backtest(4, step=5, horizon=9, level=(50, 90))
    assert result.origins.tolist() == [136, 141, 146, 151]
    forecaster = make(horizon=9).fit(series[:136])
    for row, origin in enumerate(result.origins):
        if row:
            forecaster.update(series[origin - 5 : origin])
        forecast = forecaster.forecast(9, level=(50, 90))
        np.testing.assert_allclose(result.mean[row], forecast.mean, rtol=1e-10)
        np.testing.assert_allclose(result.lower[90][row], forecast.lower[90], rtol=1e-10)
        np.testing.assert_array_equal(result.truth[row], series[origin : origin + 9])
    np.testing.assert_allclose(result.mae, np.abs(result.truth - result.mean).mean())
    seasonal = np.abs(series[12:136] - series[:124]).mean()
    np.testing.assert_allclose(result.mase, result.mae / seasonal)
    inside = (result.lower[50] <= result.truth) & (result.truth <= result.upper[50])
    assert result.coverage(50) == inside.mean()
    frame = result.to_frame()
    assert frame.shape == (36, 8)
    assert frame["origin"].tolist() == np.repeat(result.origins, 9).tolist()


def test_beyond_its_horizon_a_forecast_goes_on_from_its_own_end(series):
    forecaster = make().fit(series)
    near, far = forecaster.forecast(12), forecaster.forecast(29)
    np.testing.assert_array_equal(far.mean[:12], near.mean)
    forecaster.update(near.mean)
    np.testing.assert_allclose(far.mean[12:24], forecaster.forecast(12).mean, rtol=1e-12)
    assert (np.diff(far.upper[95] - far.lower[95])[12:23] > 0).mean() > 0.5


def test_a_forecast_far_beyond_stays_within_the_bounds_of_the_series():
    y = np.exp(np.arange(60) / 6.0)
    forecast = make(seasons=(), horizon=2).fit(y).forecast(4000)
    assert np.isfinite([forecast.mean, forecast.lower[95], forecast.upper[95]]).all()
    assert forecast.mean.max() <= 2 * y.max()
    assert (forecast.lower[95] >= 0).all()


# Inputs known ahead


def test_inputs_known_ahead_are_used(rng):
    X = rng.normal(size=(220, 2))
    y = 50 + 4 * X[:, 0] - 2 * X[:, 1] + 0.3 * rng.normal(size=220)
    forecaster = make(seasons=()).fit(y[:200], X[:200])
    blind = make(seasons=()).fit(y[:200]).forecast(20)
    forecast = forecaster.forecast(20, X[200:])
    error = np.abs(forecast.mean - y[200:]).mean()
    assert error < 0.25 * np.abs(blind.mean - y[200:]).mean()
    assert error < 0.8
    moved = forecaster.forecast(20, X[200:] + np.array([1.0, 0.0]))
    np.testing.assert_allclose((moved.mean - forecast.mean).mean(), 4, atol=0.8)
    far = forecaster.update(y[200:205], X[200:205]).forecast(15, X[205:])
    assert np.abs(far.mean - y[205:]).mean() < 0.8


def test_inputs_by_name_and_label(rng):
    index = pd.date_range("2001-05", periods=110, freq="MS")
    X = pd.DataFrame({"a": rng.normal(size=110), "b": rng.normal(size=110)}, index=index)
    y = 10 + X["a"] + 0.1 * rng.normal(size=110)
    forecaster = make().fit(y[:100], X[:100])
    forecast = forecaster.forecast(10, X[100:])
    plain = make().fit(y[:100].to_numpy(), X[:100].to_numpy())
    same(forecast, plain.forecast(10, X[100:].to_numpy()))
    with pytest.raises(ValueError, match=r"The index of `X_future` runs from 2001-05"):
        forecaster.forecast(10, X[:10])
    with pytest.raises(ValueError, match=r"columns \['b', 'a'\], but \['a', 'b'\]"):
        forecaster.forecast(10, X[100:][["b", "a"]])
    with pytest.raises(ValueError, match=r"`X_future` is missing, but `fit` was called with `X`"):
        forecaster.forecast(10)
    with pytest.raises(ValueError, match=r"`X_new` is missing"):
        forecaster.update(y[100:])
    with pytest.raises(ValueError, match=r"`X_future` has 1 columns, but 2 were expected"):
        plain.forecast(10, X[["a"]][100:].to_numpy())
    with pytest.raises(ValueError, match=r"`X_future` is given, but `fit` was called without"):
        make().fit(y).forecast(10, X[:10])
    with pytest.raises(ValueError, match=r"`X` has shape \(99, 2\), but \(100, n_inputs\)"):
        make().fit(y[:100].to_numpy(), X[:99].to_numpy())
    with pytest.raises(ValueError, match=r"`X` holds nan in row 3, column 1"):
        make().fit(y[:100].to_numpy(), X[:100].mask(X.iloc[3, 1] == X).to_numpy())


def test_the_calendar_tells_weekends(rng):
    index = pd.date_range("2024-01-01", periods=250, freq="D")
    y = pd.Series(20 + 8.0 * (index.day_of_week >= 5) + 0.3 * rng.normal(size=250), index=index)
    forecaster = make(seasons=(), calendar=["weekday"], horizon=14).fit(y[:230])
    forecast = forecaster.forecast(20)
    assert np.abs(forecast.mean - y[230:]).mean() < 1.0
    blind = make(seasons=(), horizon=14, members="ar", modes="direct").fit(y[:230]).forecast(20)
    assert np.abs(forecast.mean - y[230:]).mean() < np.abs(blind.mean - y[230:]).mean()
    named = make(seasons=(), calendar="weekday", horizon=14).fit(y[:230])
    same(named.forecast(20), forecast)
    with pytest.raises(ValueError, match=r"`calendar` is .* but `y` has no dates"):
        make(calendar=["hour"]).fit(y.to_numpy())


def test_several_series_have_inputs_of_their_own_or_share_them(rng):
    X = rng.normal(size=(110, 1))
    y = 10 + X[:, 0] + 0.1 * rng.normal(size=110)
    alone = make().fit(y[:100], X[:100]).forecast(10, X[100:])
    table = make().fit(np.column_stack([y, -y])[:100], X[:100]).forecast(10, X[100:])
    np.testing.assert_array_equal(table.mean[:, 0], alone.mean)
    listed = make().fit([y[:100], y[5:100]], [X[:100], X[5:100]])
    same(listed.forecast(10, [X[100:], X[100:]])[0], alone)
    with pytest.raises(ValueError, match="`X` is not a list of 2 arrays"):
        make().fit([y, y], X)
    with pytest.raises(ValueError, match=r"`X\[1\]` has 2 columns, but 1 were expected"):
        make().fit([y, y], [X, np.hstack([X, X])])


# Hard series


@pytest.mark.parametrize("load", [load_air_passengers, load_co2, load_nile])
def test_real_series_beat_the_naive_forecast_in_a_backtest(load):
    y = load()
    seasons = () if load is load_nile else 12
    result = make(seasons=seasons, n_units=100).fit(y).backtest(3, horizon=12)
    origins = result.origins[:, None]
    season = seasons or 1
    naive = np.abs(y[origins - season + np.arange(12) % season] - result.truth).mean()
    assert result.mae < naive


@pytest.mark.parametrize("n_rows", [8, 9, 11, 18, 24, 40])
def test_short_series_have_forecasts_and_say_when_nothing_was_learned(n_rows, rng):
    y = 5 + np.arange(n_rows) + rng.normal(size=n_rows)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        forecaster = make(seasons=4).fit(y)
    names = [member.name for member in forecaster.members_]
    learned = [name for name in names if name.startswith(("AR", "ESN"))]
    assert bool(learned) == (n_rows > 11)
    messages = [str(warning.message) for warning in caught]
    assert [message.split(" to ")[0] for message in messages] == (
        [] if learned else [f"`y`: {n_rows} rows are too few"]
    )
    if not learned:
        assert {"naive", "drift"} <= set(names)
    forecast = forecaster.forecast(12)
    assert np.isfinite(forecast.mean).all()
    assert (forecast.lower[95] <= forecast.mean).all()
    assert (forecast.mean <= forecast.upper[95]).all()


def test_drift_continues_the_line_from_first_to_last():
    with pytest.warns(UserWarning, match="too few"):
        forecaster = make(seasons=()).fit(2.0 + 3 * np.arange(8))
    np.testing.assert_allclose(forecaster.forecast(2).mean, [26, 29], atol=1e-4)


@pytest.mark.parametrize(
    "y",
    [
        np.exp(np.arange(60) / 3.0),
        np.r_[np.zeros(50), 1.0, np.zeros(30), 5.0, 0.0],
        1e12 + np.sin(np.arange(90)),
        1e-12 * np.cos(np.arange(90)),
        np.where(np.arange(90) % 7 == 0, 1e6, 1.0),
        np.sin(2 * np.pi * np.arange(120) / 12),
        np.random.default_rng(0).standard_cauchy(200),
        np.cumsum(np.random.default_rng(1).normal(size=200)) * 1e150,
    ],
)
def test_hard_series_stay_within_bounds(y):
    forecaster = make().fit(y)
    forecast = forecaster.forecast(40)
    low, high = y.min(), y.max()
    assert np.isfinite([forecast.mean, forecast.lower[95], forecast.upper[95]]).all()
    room = (high - low) * (1 + 1e-9)
    assert (forecast.mean >= low - room).all()
    assert (forecast.mean <= high + room).all()
    if low >= 0:
        assert (forecast.lower[95] >= 0).all()
    assert np.isfinite(forecaster.backtest(2).mean).all()


def test_a_series_that_begins_to_vary_late_says_that_nothing_was_learned():
    with pytest.warns(UserWarning, match="or hardly vary"):
        forecaster = make().fit(np.r_[np.ones(60), 2.0 + np.arange(30) % 3])
    assert np.isfinite(forecaster.forecast(40).mean).all()


def test_scaling_a_series_scales_its_forecast(series):
    one, large = make().fit(series).forecast(12), make().fit(1000 * series).forecast(12)
    np.testing.assert_allclose(large.mean, 1000 * one.mean, rtol=1e-6)
    np.testing.assert_allclose(large.upper[95], 1000 * one.upper[95], rtol=1e-6)
    moved = make(transform="none").fit(series).forecast(12)
    lifted = make(transform="none").fit(series + 500).forecast(12)
    np.testing.assert_allclose(lifted.mean, moved.mean + 500, rtol=1e-6)


def test_a_pure_season_is_continued_exactly():
    y = np.sin(2 * np.pi * np.arange(132) / 12)
    forecast = make().fit(y[:120]).forecast(12)
    np.testing.assert_allclose(forecast.mean, y[120:], atol=1e-6)


def test_intervals_of_a_growing_series_grow_with_it(rng):
    t = np.arange(200)
    y = np.exp(0.03 * t) * (1 + 0.05 * rng.normal(size=200))
    forecast = make(seasons=()).fit(y).forecast(12)
    plain = make(seasons=(), transform="none").fit(y).forecast(12)
    lower, upper = forecast.mean / forecast.lower[95], forecast.upper[95] / forecast.mean
    # On the logarithm an interval is a factor up and down.
    assert np.abs(np.log(lower / upper)).max() < 0.3
    assert (forecast.lower[95] > 0).all()
    assert (plain.upper[95] - plain.lower[95]).mean() > 0


def test_values_that_fall_to_zero_after_a_positive_fit_are_taken(series):
    forecaster = make().fit(series)
    forecast = forecaster.update([0.0, -3.0, 0.0]).forecast(5)
    assert np.isfinite(forecast.mean).all()
    assert (forecast.mean > 0).all()


def test_parts_of_the_machine_can_be_left_out(series):
    names = {
        key: [m.name for m in make(**{key[0]: key[1]}).fit(series).members_]
        for key in [("members", "ar"), ("members", "esn"), ("modes", "direct"),
                    ("modes", "iterated"), ("transform", "none")]
    }  # fmt: skip
    learned = {
        key: [n for n in found if n.endswith(("iterated", "direct"))]
        for key, found in names.items()
    }
    assert all(learned.values())
    assert all(name.startswith("AR") for name in learned["members", "ar"])
    assert all(name.startswith("ESN") for name in learned["members", "esn"])
    assert all(name.endswith("direct") for name in learned["modes", "direct"])
    assert all(name.endswith("iterated") for name in learned["modes", "iterated"])
    assert not any("log" in name for name in learned["transform", "none"])
    equal = make(weight_power=0).fit(series)
    weights = [member.weight for member in equal.members_]
    np.testing.assert_allclose(weights, 1 / len(weights))


# Refusals


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.ones(50), ValueError, "`y` is constant: all of its values are 1"),
        (np.full(50, np.nan), ValueError, "`y` holds no values: all of its 50 rows are NaN"),
        ([], ValueError, "`y` holds no values: it has no rows"),
        (np.arange(7.0), ValueError, "`y` holds 7 values, but at least 8"),
        (np.r_[np.arange(20.0), np.inf], ValueError, "`y` holds inf in row 20"),
        (np.r_[np.arange(20.0), np.nan, np.nan], ValueError, "`y` ends with 2 missing values"),
        (np.zeros((20, 2, 2)), ValueError, r"`y` has shape \(20, 2, 2\)"),
        (np.array(["a"] * 20), TypeError, "`y` could not be read as numbers|real numbers was"),
        (3.0, TypeError, "a series of real numbers"),
        ([np.arange(20.0), np.ones(20)], ValueError, "Series 1 of `y` is constant"),
        (np.column_stack([np.arange(20), np.ones(20)]), ValueError, "Column 1 of `y` is constant"),
        (pd.DataFrame({"a": [1.0] * 20}), ValueError, "Column 'a' of `y` is constant"),
        ([np.zeros((9, 2)), np.arange(20)], ValueError, "not all single series"),
        (np.zeros((20, 1), complex), TypeError, "real numbers"),
    ],
)  # fmt: skip
def test_series_that_cannot_be_forecast_are_refused(y, error, message):
    with pytest.raises(error, match=message):
        make().fit(y)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (pd.DatetimeIndex([*pd.date_range("2024", periods=20), pd.Timestamp("2024-02-01")]),
         "irregular: 2024-02-01 00:00:00 follows 2024-01-20"),
        (pd.date_range("2024", periods=21)[::-1][[1, 0, *range(2, 21)]], "irregular"),
        (pd.date_range("2024", periods=21)[::-1], "irregular"),
        (pd.RangeIndex(21, 0, -1), "irregular"),
        (pd.Index([*range(20), 25]), "irregular: 25 follows 19"),
        (pd.Index([0, *range(20)]), "irregular"),
        (pd.Index(list("abcdefghijklmnopqrstu")), "labels of dtype"),
    ],
)  # fmt: skip
def test_an_irregular_index_is_refused(index, message, rng):
    with pytest.raises(ValueError, match=message):
        make().fit(pd.Series(rng.normal(size=21), index=index))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"seasons": 1}, ValueError, "`seasons` holds 1"),
        ({"seasons": (12, 1.5)}, ValueError, "`seasons` holds 1.5"),
        ({"horizon": 0}, ValueError, "`horizon` is 0"),
        ({"horizon": 2.0}, TypeError, "`horizon` is 2.0"),
        ({"members": "all"}, ValueError, "`members` is 'all'"),
        ({"modes": "none"}, ValueError, "`modes` is 'none'"),
        ({"transform": "log"}, ValueError, "`transform` is 'log'"),
        ({"weight_power": -1}, ValueError, "`weight_power` is -1"),
        ({"calendar": ["day"]}, ValueError, "`calendar` is 'day'"),
        ({"n_units": 0}, ValueError, "`n_units` is 0"),
        ({"input_scaling": -1.0}, ValueError, "`input_scaling` is -1"),
        ({"random_state": "a"}, TypeError, "`random_state`"),
    ],
)
def test_parameters_are_checked(parameters, error, message, series):
    with pytest.raises(error, match=message):
        make(**parameters).fit(series)


def test_calls_are_checked(series):
    with pytest.raises(NotFittedError):
        make().forecast(3)
    forecaster = make().fit(series)
    with pytest.raises(ValueError, match="`horizon` is 0"):
        forecaster.forecast(0)
    for level in (0, 100, (80, 120), "95", True):
        with pytest.raises(ValueError, match="`level` holds"):
            forecaster.forecast(3, level=level)
    with pytest.raises(ValueError, match=r"too few for 16 origins .* `n_origins` of at most 12"):
        forecaster.backtest()
    with pytest.raises(ValueError, match="`level` is 50, but the backtest has 80, 95"):
        forecaster.backtest(2).coverage(50)
    with pytest.raises(ValueError, match="`y_new` holds infinite values"):
        forecaster.update([np.inf])
    with pytest.raises(ValueError, match="`y_new` ends with 1 missing values"):
        forecaster.update([3.0, np.nan])
    with pytest.raises(ValueError, match=r"`y_new` has shape \(2, 2\), but \(n_new,\)"):
        forecaster.update(np.ones((2, 2)))
    index = pd.date_range("2001-05", periods=160, freq="MS")
    dated = make().fit(pd.Series(series, index=index))
    with pytest.raises(ValueError, match="The index of `y_new` begins with"):
        dated.update(pd.Series([1.0], index=[pd.Timestamp("2014-12-01")]))
    assert dated.update([31.0]).forecast(1).mean.index[0] == pd.Timestamp("2014-10-01")


def test_pandas_is_not_needed_for_arrays():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['pandas'] = None; import numpy as np;"
        "from reservoir import ReservoirForecaster as F;"
        "y = np.sin(np.arange(60.0)) + np.arange(60) % 3;"
        "print(F(n_units=10, random_state=0).fit(y).forecast(3).mean.shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "(3,)\n", done.stderr


def test_plot_draws_series_forecast_and_truth(series):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    forecaster = make().fit(pd.Series(series[:148], pd.date_range("2001", periods=148, freq="MS")))
    display = forecaster.plot(y_true=series[148:], n_past=40)
    forecast = forecaster.forecast(12)
    np.testing.assert_array_equal(display.mean_line_.get_ydata(), forecast.mean)
    np.testing.assert_array_equal(display.past_line_.get_ydata(), series[108:148])
    np.testing.assert_array_equal(display.true_line_.get_ydata(), series[148:])
    assert set(display.bands_) == {80, 95}
    listed = make().fit([series, series + 1])
    np.testing.assert_array_equal(
        listed.plot(3, series=1).mean_line_.get_ydata(), listed.forecast(3)[1].mean
    )
    plt.close("all")
