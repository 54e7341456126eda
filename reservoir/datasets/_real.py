"""Real series that are facts and come with the package: carbon dioxide, passengers, the Nile."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np

from reservoir.utils.explained import explained
from reservoir.utils.validation import check_flag


@explained
def load_co2(*, as_series: bool = False) -> Any:
    """Return the carbon dioxide in the air at Mauna Loa, month by month.

    526 monthly means from March 1958 to December 2001, in parts per million of dry air. It rises,
    faster and faster, with a season of a year. Months without a measurement are interpolated.

    Parameters
    ----------
    as_series : bool, default=False
        Whether to return a pandas Series with dates instead of an array.

    Returns
    -------
    ndarray of shape (526,), or Series

    Raises
    ------
    ImportError
        If `as_series` is true and pandas is not installed.

    References
    ----------
    .. [1] Keeling & Whorf (2004), Atmospheric CO2 concentrations from the SIO air sampling
       network, Carbon Dioxide Information Analysis Center; means of the weekly values.

    Examples
    --------
    >>> load_co2()[[0, -1]]
    array([316.1 , 371.02])
    """
    return _load("co2", "1958-03", "MS", as_series)


def load_air_passengers(*, as_series: bool = False) -> Any:
    """Return the passengers of international airlines, month by month.

    144 monthly totals from January 1949 to December 1960, in thousands. It grows, its season with
    it: a series for the logarithm.

    Parameters
    ----------
    as_series : bool, default=False
        Whether to return a pandas Series with dates instead of an array.

    Returns
    -------
    ndarray of shape (144,), or Series

    Raises
    ------
    ImportError
        If `as_series` is true and pandas is not installed.

    References
    ----------
    .. [1] Box & Jenkins (1976), Time Series Analysis: Forecasting and Control, series G.

    Examples
    --------
    >>> load_air_passengers()[:3]
    array([112., 118., 132.])
    """
    return _load("air_passengers", "1949-01", "MS", as_series)


def load_nile(*, as_series: bool = False) -> Any:
    """Return the flow of the Nile at Aswan, year by year.

    100 annual volumes from 1871 to 1970, in 10⁸ m³. It has no season, and a lower level from 1899
    on.

    Parameters
    ----------
    as_series : bool, default=False
        Whether to return a pandas Series with dates instead of an array.

    Returns
    -------
    ndarray of shape (100,), or Series

    Raises
    ------
    ImportError
        If `as_series` is true and pandas is not installed.

    References
    ----------
    .. [1] Cobb (1978), The Problem of the Nile: Conditional Solution to a Changepoint Problem.
    .. [2] Durbin & Koopman (2012), Time Series Analysis by State Space Methods, sec. 2.2.5.

    Examples
    --------
    >>> load_nile()[:3]
    array([1120., 1160.,  963.])
    """
    return _load("nile", "1871", "YS", as_series)


def _load(name: str, start: str, frequency: str, as_series: bool) -> Any:
    """Return the values of one file, from its second column."""
    check_flag("as_series", as_series)
    text = (resources.files("reservoir.datasets") / "data" / f"{name}.csv").read_text("utf-8")
    values = np.array([float(row.split(",")[1]) for row in text.split()[1:]])
    if not as_series:
        return values
    import pandas as pd

    index = pd.date_range(start, periods=len(values), freq=frequency)
    return pd.Series(values, index=index, name=name)
