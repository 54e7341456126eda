"""Forecasts of fourteen real series, refit at eight origins, by reservoirs and by their rivals.

    python -m benchmarks.real_series [--quick] [--only METHOD ...] DIR

DIR holds the series: `series/*.csv` (a column `value`), `ETTh1.csv`, `monthly-sunspots.csv` and
`santafe_laser.txt`; none of them comes with the project. At most 1,500 rows before an origin are
learned from, and about a season is forecast. The first table has the mean absolute error over that
of the seasonal naive forecast within the rows learned from (MASE), averaged over the origins, in
units of the same of the seasonal naive forecast itself: below 1 is better than that. The second has
the root mean squared error of one step ahead in standard deviations of the rows learned from.
Statsforecast's and reservoirpy's methods are included where these are installed. ETS and Theta know
no season longer than 24 rows: for longer ones they are told of none.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import loguniform, uniform
from sklearn.linear_model import RidgeCV
from threadpoolctl import threadpool_limits

from benchmarks.defaults import free_runs, newcomer
from benchmarks.series import (
    Floats,
    Forecast,
    Method,
    Series,
    geometric_mean,
    load,
    score,
    seasonal_naive,
)
from reservoir import ESNRegressor
from reservoir.search import ReservoirSearchCV

_LONGEST_SEASON = 24  # of ETS and Theta
_SPACE = {
    "spectral_radius": uniform(0.4, 0.7),
    "leak_rate": uniform(0.2, 0.8),
    "input_scaling": loguniform(0.03, 1.0),
    "bias_scaling": uniform(0.0, 1.0),
    "alpha": loguniform(1e-6, 1e2),
}


def searched(rows: Floats, season: int, horizon: int) -> Forecast:
    """Search 40 settings by free runs of the horizon in held-out blocks."""
    mean, std = rows.mean(), rows.std()
    z = ((rows - mean) / std)[:, None]
    search = ReservoirSearchCV(
        ESNRegressor(300, random_state=0),
        _SPACE,
        n_iter=40,
        scoring="neg_forecast_nrmse",
        horizon=min(horizon, len(rows) // 8),
        cv=3,
        random_state=0,
    )
    esn = search.fit(z[:-1], z[1:]).best_estimator_
    return Forecast(mean + std * free_runs(esn, horizon)[0][:, 0], _steps_of(esn, rows))


def _steps_of(esn: Any, rows: Floats) -> Any:
    """Return what forecasts the rows that follow one step ahead."""
    mean, std = rows.mean(), rows.std()

    def one_step(after: Floats) -> Floats:
        inputs = (np.r_[rows[-1], after[:-1]] - mean) / std
        outputs: Floats = esn.predict(inputs[:, None], initial_state="last")[:, 0]
        return mean + std * outputs

    return one_step


def lags_of(season: int, n_rows: int) -> list[int]:
    """Return lags of two seasons, or of a day and around a long season, as far as rows allow."""
    most = min(max(2 * season if season <= 24 else 24, 12), n_rows // 5)
    around = [lag for lag in (season - 1, season, season + 1) if most < lag < n_rows / 3]
    return [*range(1, most + 1), *around]


def ridge_on_lags(rows: Floats, season: int, horizon: int) -> Forecast:
    """Forecast by ridge regression on past values, the penalty by cross-validation."""
    lags, n_rows = lags_of(season, len(rows)), len(rows)
    mean, std = rows.mean(), rows.std()
    z = (rows - mean) / std
    table = np.stack([z[max(lags) - lag : n_rows - lag] for lag in lags], axis=1)
    model = RidgeCV(alphas=len(table) * 10.0 ** np.arange(-5, 3)).fit(table, z[max(lags) :])
    path = list(z)
    for _ in range(horizon):
        path.append(float(model.predict([[path[-lag] for lag in lags]])[0]))

    def one_step(after: Floats) -> Floats:
        known = np.concatenate([z, (after - mean) / std])
        seen = [known[n_rows - lag : n_rows - lag + len(after)] for lag in lags]
        return mean + std * model.predict(np.stack(seen, axis=1))

    return Forecast(mean + std * np.array(path[n_rows:]), one_step)


def statsforecast_methods() -> Iterator[tuple[str, Method]]:
    """Yield automatic exponential smoothing and Theta, where statsforecast is installed."""
    try:
        from statsforecast.models import AutoETS, AutoTheta
    except ImportError:
        return

    def method(kind: Any) -> Method:
        def forecast(rows: Floats, season: int, horizon: int) -> Forecast:
            model = kind(season_length=season if season <= _LONGEST_SEASON else 1)
            return Forecast(np.asarray(model.forecast(y=rows, h=horizon)["mean"]))

        return forecast

    yield "ETS", method(AutoETS)
    yield "Theta", method(AutoTheta)


def reservoirpy_method() -> Iterator[tuple[str, Method]]:
    """Yield 500 units with their default weights and a ridge of 1e-6, where it is installed."""
    try:
        from reservoirpy.nodes import Reservoir, Ridge
    except ImportError:
        return

    def forecast(rows: Floats, season: int, horizon: int) -> Forecast:
        mean, std = rows.mean(), rows.std()
        z = ((rows - mean) / std)[:, None]
        model = Reservoir(500, sr=0.9, lr=1.0, seed=0) >> Ridge(ridge=1e-6)
        model.fit(z[:-1], z[1:])
        model.run(z[:-1])
        path, last = [], z[-1]
        for _ in range(horizon):
            last = np.clip(np.ravel(model(last)), -1e3, 1e3)
            path.append(float(last[0]))
        return Forecast(mean + std * np.array(path))

    yield "reservoirpy", forecast


def methods() -> dict[str, Method]:
    """Return all methods by name."""
    return {
        "defaults": newcomer({}, 0),
        "search": searched,
        "ridge on lags": ridge_on_lags,
        "seasonal naive": seasonal_naive,
        **dict(statsforecast_methods()),
        **dict(reservoirpy_method()),
    }


def compare(series: list[Series], chosen: dict[str, Method], n_origins: int) -> None:
    """Print both tables, series by series, and means, with and without the last series."""
    ratios: dict[str, list[float]] = {name: [] for name in chosen}
    steps: dict[str, list[float]] = {name: [] for name in chosen}
    seconds = dict.fromkeys(chosen, 0.0)
    for one in series:
        naive = np.mean(score(seasonal_naive, one, n_origins).mase)
        for name, method in chosen.items():
            start = time.process_time()
            found = score(method, one, n_origins)
            seconds[name] += time.process_time() - start
            ratios[name].append(float(np.mean(found.mase) / naive))
            steps[name].append(float(np.mean(found.one_step)) if found.one_step else np.nan)
    names = [one.name for one in series]
    print("MASE over that of the seasonal naive forecast")
    print_table(names, ratios)
    print(
        _row("geometric mean", [geometric_mean(values) for values in ratios.values()]),
        _row(f"without {names[-1]}", [geometric_mean(values[:-1]) for values in ratios.values()]),
        _row("worst", [max(values) for values in ratios.values()]),
        _row("s a forecast", [spent / len(series) / n_origins for spent in seconds.values()]),
        sep="\n",
    )
    print("\nRoot mean squared error of one step, in standard deviations")
    print_table(names, steps)
    print(_row("geometric mean", [geometric_mean(values) for values in steps.values()]))


def print_table(names: list[str], columns: dict[str, list[float]]) -> None:
    """Print a row for each series, a column for each method."""
    print("| series | " + " | ".join(columns) + " |")
    print("| --- |" + " --- |" * len(columns))
    for index, name in enumerate(names):
        print(_row(name, [values[index] for values in columns.values()]))


def _row(name: str, values: list[float]) -> str:
    return f"| {name} | " + " | ".join(f"{v:.3g}" if v == v else "" for v in values) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="two origins, no search")
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="some of the methods")
    arguments = parser.parse_args()
    chosen = methods()
    unknown = set(arguments.only or ()) - set(chosen)
    if unknown:
        parser.error(f"no method named {', '.join(sorted(unknown))}; there are {', '.join(chosen)}")
    if arguments.only:
        chosen = {name: chosen[name] for name in arguments.only}
    if arguments.quick:
        chosen.pop("search", None)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compare(load(arguments.folder), chosen, 2 if arguments.quick else 8)


if __name__ == "__main__":
    main()
