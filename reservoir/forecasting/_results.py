"""What a forecast and a backtest give back."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reservoir.utils.types import Floats


@dataclass(frozen=True, eq=False)
class Forecast:
    """The steps after a series, with intervals.

    Attributes
    ----------
    mean : ndarray of shape (horizon,) or (horizon, n_series), Series or DataFrame
        The forecast, in the kind of the `y` of `fit`, with the labels that go on from there.
    lower, upper : dict of float to the same kind
        Ends of the interval of each level, in percent: `lower[95]`.
    """

    mean: Any
    lower: dict[float, Any]
    upper: dict[float, Any]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return `mean` as an array."""
        return np.array(self.mean, dtype=dtype)

    def __len__(self) -> int:
        return len(self.mean)

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with the columns mean, lower_95, upper_95, ...

        For several series the columns have two levels, the first being the series.
        """
        import pandas as pd

        columns = {"mean": self.mean}
        for level in self.lower:
            columns[f"lower_{level:g}"] = self.lower[level]
            columns[f"upper_{level:g}"] = self.upper[level]
        if np.ndim(self.mean) == 1:
            return pd.DataFrame(columns)
        tables = {name: pd.DataFrame(values) for name, values in columns.items()}
        return pd.concat(
            {
                series: pd.DataFrame({name: table[series] for name, table in tables.items()})
                for series in tables["mean"].columns
            },
            axis=1,
        )


@dataclass(frozen=True, eq=False)
class BacktestResult:
    """Forecasts from earlier origins beside what came.

    Attributes
    ----------
    origins : ndarray of int of shape (n_origins,)
        Rows known at each origin: the first step forecast is row `origins[i]`.
    labels : pandas Index or None
        The label of the first step forecast from each origin.
    truth, mean : ndarray of shape (n_origins, horizon)
        What came, NaN where nothing was observed, and what was forecast.
    lower, upper : dict of float to ndarray of shape (n_origins, horizon)
        Ends of the intervals of each level, in percent.
    naive_error : float
        Mean absolute error in steps of one (shortest) season of the rows learned from, which
        scales `mase`.
    """

    origins: Any
    labels: Any
    truth: Floats
    mean: Floats
    lower: dict[float, Floats]
    upper: dict[float, Floats]
    naive_error: float

    @property
    def errors(self) -> Floats:
        """Truth less forecast."""
        return self.truth - self.mean

    @property
    def mae(self) -> float:
        """Mean absolute error, in units of y."""
        return float(np.abs(self.errors[~np.isnan(self.truth)]).mean())

    @property
    def mase(self) -> float:
        """`mae` over the mean absolute error of the seasonal naive forecast one step ahead."""
        return self.mae / self.naive_error

    def coverage(self, level: float) -> float:
        """Return the share of values within the intervals of a level.

        Raises
        ------
        ValueError
            If the level was not asked for.
        """
        if level not in self.lower:
            listed = ", ".join(f"{known:g}" for known in self.lower)
            raise ValueError(
                f"`level` is {level!r}, but the backtest has {listed}. Pass one of these, or "
                "name it in `backtest`."
            )
        known = np.isfinite(self.truth)
        within = (self.lower[level] <= self.truth) & (self.truth <= self.upper[level])
        return float(within[known].mean())

    def to_frame(self) -> Any:
        """Return a pandas DataFrame, one row for each origin and step ahead."""
        import pandas as pd

        n_origins, horizon = self.mean.shape
        first = self.origins if self.labels is None else self.labels
        columns: dict[str, Any] = {
            "origin": np.repeat(np.asarray(first), horizon),
            "step": np.tile(np.arange(1, horizon + 1), n_origins),
            "truth": self.truth.ravel(),
            "mean": self.mean.ravel(),
        }
        for level in self.lower:
            columns[f"lower_{level:g}"] = self.lower[level].ravel()
            columns[f"upper_{level:g}"] = self.upper[level].ravel()
        return pd.DataFrame(columns)


def check_levels(level: Any) -> tuple[float, ...]:
    """Return levels in percent, or raise."""
    levels: Sequence[Any] = (level,) if np.ndim(level) == 0 else tuple(level)
    for value in levels:
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not is_number or not 0 < value < 100:
            raise ValueError(
                f"`level` holds {value!r}, but percentages between 0 and 100 were expected. Pass "
                "for instance (80, 95)."
            )
    return tuple(levels)
