"""Real series by path, and the protocol by which forecasts of them are compared.

A method is a function of the rows before an origin; it never sees what follows, nor any other
origin. Absolute errors are divided by those of the seasonal naive forecast one season ahead within
the rows before the origin (MASE [1]_), which makes series comparable.

References
----------
.. [1] Hyndman & Koehler (2006), Another look at measures of forecast accuracy, International
   Journal of Forecasting 22, section 3.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_ROWS = 1_500
N_ORIGINS = 8


@dataclass(frozen=True)
class Series:
    """One series.

    Attributes
    ----------
    name : str
        What tables call it.
    values : ndarray of shape (n_rows,)
        In time order.
    season : int
        Rows a season; 1 where there is none.
    horizon : int
        Rows to forecast, about a season.
    """

    name: str
    values: Floats
    season: int
    horizon: int

    def origins(self, n_origins: int = N_ORIGINS) -> list[int]:
        """Return how many rows come before each origin: equally spaced over the last third."""
        n, h = len(self.values), self.horizon
        first = n - max(min(n // 3, 4 * h), h)
        return [int(origin) for origin in np.linspace(first, n - h, n_origins)]

    def training_part(self) -> Series:
        """Return the rows before the first origin: settings are chosen on these."""
        return replace(self, values=self.values[: self.origins()[0]])

    def before(self, origin: int) -> Floats:
        """Return the rows that may be learned from at an origin."""
        return self.values[max(0, origin - MOST_ROWS) : origin]

    def after(self, origin: int) -> Floats:
        """Return the rows to be forecast from an origin."""
        return self.values[origin : origin + self.horizon]


@dataclass(frozen=True)
class Forecast:
    """What a method says of the rows after an origin.

    Attributes
    ----------
    path : ndarray of shape (horizon,)
        All steps ahead, told at the origin.
    one_step : callable or None
        From the rows after the origin to the forecast of each, told one step before it.
    """

    path: Floats
    one_step: Callable[[Floats], Floats] | None = None


Method = Callable[[Floats, int, int], Forecast]  # rows, season, horizon

# Name of the file below series/, season, horizon.
_FILES = (
    ("airpassengers", 12, 12),
    ("co2_m", 12, 12),
    ("elnino_m", 12, 12),
    ("jjohnson", 4, 4),
    ("lynx", 10, 10),
    ("nile", 1, 10),
    ("nottem", 12, 12),
    ("seattle_tmax", 365, 30),
    ("sf_temp_h", 24, 24),
    ("ukdriverdeaths", 12, 12),
)
_ETT_ROWS = 14_400  # 20 months of 30 days: the customary training, validation and test parts
_LASER_ROWS = 3_000


def column(path: Path, name: str) -> Floats:
    """Return one column of a CSV file."""
    with path.open(newline="") as file:
        return np.array([float(row[name]) for row in csv.DictReader(file)])


def load(folder: Path) -> list[Series]:
    """Return the fourteen series of a folder."""
    found = [
        Series(name, column(folder / "series" / f"{name}.csv", "value"), season, horizon)
        for name, season, horizon in _FILES
    ]
    for name in ("OT", "HUFL"):
        values = column(folder / "ETTh1.csv", name)[:_ETT_ROWS]
        found.append(Series(f"etth1_{name.lower()}", values, 24, 24))
    sunspots = column(folder / "monthly-sunspots.csv", "Sunspots")
    found.append(Series("sunspots", sunspots, 132, 132))
    laser = np.loadtxt(folder / "santafe_laser.txt")[:_LASER_ROWS]
    found.append(Series("laser", laser, 8, 24))
    return found


def seasonal_naive(rows: Floats, season: int, horizon: int) -> Forecast:
    """Forecast the value one season before, and that again for the seasons after the first."""
    season = min(season, len(rows))
    path = rows[-season:][np.arange(horizon) % season]

    def one_step(after: Floats) -> Floats:
        return np.concatenate([rows, after])[len(rows) - season : -season]

    return Forecast(path, one_step)


def scale_of(rows: Floats, season: int) -> float:
    """Return the mean absolute error of the seasonal naive forecast within some rows."""
    season = season if season < len(rows) else 1
    return float(np.abs(rows[season:] - rows[:-season]).mean())


@dataclass
class Score:
    """Errors of one method on one series, an entry for each origin.

    Attributes
    ----------
    mase : list of float
        Mean absolute error over the horizon, in errors of the seasonal naive forecast within the
        rows before the origin.
    one_step : list of float
        Root mean squared error of one step ahead, in standard deviations of these rows.
    """

    mase: list[float]
    one_step: list[float]


def score(method: Method, series: Series, n_origins: int = N_ORIGINS) -> Score:
    """Refit a method at each origin, and return its errors."""
    found = Score([], [])
    for origin in series.origins(n_origins):
        rows, truth = series.before(origin), series.after(origin)
        forecast = method(rows, series.season, series.horizon)
        error = float(np.abs(forecast.path - truth).mean())
        found.mase.append(error / scale_of(rows, series.season))
        if forecast.one_step is not None:
            residual = forecast.one_step(truth) - truth
            found.one_step.append(float(np.sqrt(np.mean(residual**2)) / rows.std()))
    return found


def geometric_mean(values: list[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return float(np.exp(np.mean(np.log(values))))
