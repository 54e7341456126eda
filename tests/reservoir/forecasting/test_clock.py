"""Seasons by frequency, labels that go on, calendar terms, and the filling of gaps."""

import numpy as np
import pandas as pd
import pytest

from reservoir.forecasting._clock import Clock
from reservoir.forecasting._gaps import fill_gaps


@pytest.mark.parametrize(
    ("freq", "seasons"),
    [
        ("h", (24, 168)), ("30min", (48, 336)), ("3h", (8, 56)), ("s", (60, 3600)),
        ("5h", ()), ("D", (7, 365)), ("2D", ()), ("B", (5,)), ("W-MON", (52,)), ("MS", (12,)),
        ("ME", (12,)), ("2MS", (6,)), ("QS", (4,)), ("QE-NOV", (4,)), ("YS", ()), ("YE", ()),
    ],
)  # fmt: skip
def test_seasons_come_from_the_frequency(freq, seasons):
    index = pd.date_range("2024-01-01", periods=30, freq=freq)
    assert Clock.of(index).seasons() == seasons
    # Without the frequency on it, it is inferred.
    bare = pd.DatetimeIndex(list(index))
    assert bare.freq is None
    assert Clock.of(bare).seasons() == seasons


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2024-01-31", periods=30, freq="ME", name="month"),
        pd.date_range("2024-03-29 22:00", periods=60, freq="h", tz="Europe/Rome"),
        pd.date_range("2024-03-25", periods=30, freq="D", tz="America/New_York"),
        pd.date_range("2024-01-01", periods=30, freq="B"),
        pd.period_range("1999Q3", periods=30, freq="Q"),
        pd.period_range("1999-05", periods=30, freq="M", name="month"),
        pd.RangeIndex(3, 63, 2, name="row"),
    ],
)
def test_labels_go_on_as_the_index_does(index):
    clock = Clock.of(index[:20])
    assert clock.labels(0, 20).equals(index[:20])
    assert clock.labels(20, len(index) - 20).equals(index[20:])
    assert clock.labels(5, 4).name == index.name
    assert Clock().labels(3, 4) is None
    assert Clock().seasons() == Clock.of(pd.RangeIndex(9)).seasons() == ()


def test_calendar_terms_are_those_of_the_dates():
    index = pd.date_range("2024-02-28 06:00", periods=80, freq="6h")
    clock = Clock.of(index)
    terms = clock.terms(["hour", "weekday", "month", "yearday"], 0, 80)
    assert terms.shape == (80, 6 + 6 + 11 + 6)
    hours = np.array([t.hour for t in index])
    np.testing.assert_allclose(terms[:, 0], np.sin(2 * np.pi * hours / 24), atol=1e-12)
    np.testing.assert_allclose(terms[:, 5], np.cos(6 * np.pi * hours / 24), atol=1e-12)
    days = np.array([t.day_of_week for t in index])
    assert (terms[:, 6:12] == (days[:, None] == np.arange(1, 7))).all()
    months = np.array([t.month for t in index])
    assert (terms[:, 12:23] == (months[:, None] == np.arange(2, 13))).all()
    np.testing.assert_array_equal(clock.terms(["hour"], 30, 5), terms[30:35, :6])
    periods = Clock.of(index.to_period())
    np.testing.assert_array_equal(periods.terms(["month"], 0, 80), terms[:, 12:23])


def test_gaps_are_filled_by_place_in_the_season_and_a_line(rng):
    t = np.arange(60)
    season = np.array([5.0, -3.0, 0.0, -2.0])
    y = 10 + season[t % 4] + 0.0 * t
    observed = np.ones(60, bool)
    observed[[7, 8, 9, 30]] = False
    filled = fill_gaps(np.where(observed, y, np.nan), observed, [4, 20])
    np.testing.assert_allclose(filled, y, rtol=1e-12)
    ramp = np.where(observed, 2.0 * t, np.nan)
    np.testing.assert_allclose(fill_gaps(ramp, observed, []), 2.0 * t, rtol=1e-12)
    # A place of the season that was never seen leaves the line alone.
    never = t % 4 != 1
    np.testing.assert_allclose(
        fill_gaps(np.where(never, 3.0 * t, np.nan)[:59], never[:59], [4]), 3.0 * t[:59]
    )
