"""The real series that come with the package: as many values, dates and extremes as published."""

import numpy as np
import pandas as pd
import pytest

from reservoir.datasets import load_air_passengers, load_co2, load_nile


@pytest.mark.parametrize(
    ("load", "n_rows", "first", "last", "low", "high", "total"),
    [
        # Totals of a textbook's table: 40,363 thousand passengers in twelve years.
        (load_air_passengers, 144, "1949-01-01", "1960-12-01", 104, 622, 40363),
        # The Nile's mean of 919.35.
        (load_nile, 100, "1871-01-01", "1970-01-01", 456, 1370, 91935),
        (load_co2, 526, "1958-03-01", "2001-12-01", 313, 374, None),
    ],
)
def test_series_are_as_published(load, n_rows, first, last, low, high, total):
    values, series = load(), load(as_series=True)
    assert values.shape == (n_rows,)
    assert values.dtype == np.float64
    assert low <= values.min() <= low + 1
    assert high - 1 <= values.max() <= high
    if total is not None:
        assert values.sum() == total
    assert series.index[0] == pd.Timestamp(first)
    assert series.index[-1] == pd.Timestamp(last)
    np.testing.assert_array_equal(series, values)
