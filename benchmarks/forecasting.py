"""Forecasting real series: accuracy and intervals beside other libraries.

    python -m benchmarks.forecasting --data FOLDER [--only NAME ...] [--cache FILE]

FOLDER holds the series, none of which come with this project: `series/*.csv` (ten public series
of R's datasets, statsmodels and vega), `santafe_laser.txt`, `monthly-sunspots.csv`, `ETTh1.csv`.

Protocol, fixed beforehand: 14 series; 8 origins, equally spaced from 60 % of the rows to
the last that leaves a horizon, at most 1,500 rows before each; the mean absolute error over all
origins and steps over that of the seasonal naive forecast, geometric mean over the series. The
forecaster is the same throughout, with its defaults, seed 0. What others published figures for,
M4, ETTh1 and chaos, is in `benchmarks/field/`.

Rivals are run where they are installed: ETS, Theta and AutoARIMA of statsforecast (on the last 300
rows and with seasons of at most 24, which keeps them to seconds), gradient boosting of LightGBM on
lags, a reservoirpy network; ridge on lags needs nothing. `--cache` keeps what was done in a file,
from which a run goes on.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.results_cache import Cache
from reservoir.forecasting import ReservoirForecaster

# name: (season, horizon); hourly series have a week as well.
SERIES = {
    "airpassengers": (12, 12), "nottem": (12, 12), "ukdriverdeaths": (12, 12), "co2_m": (12, 24),
    "elnino_m": (12, 12), "jjohnson": (4, 8), "lynx": (10, 10), "nile": (1, 10),
    "seattle_tmax": (365, 14), "sf_temp_h": (24, 48), "sunspots": (1, 24), "laser": (1, 50),
    "ETTh1 OT": (24, 48), "ETTh1 HUFL": (24, 48),
}  # fmt: skip
N_ORIGINS = 8
N_ROWS = 1500
LEVELS = (80, 95)
ABLATIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "AR members only": {"members": "ar"},
    "ESN members only": {"members": "esn"},
    "no logarithm": {"transform": "none"},
    "equal weights": {"weight_power": 0.0},
    "iterated only": {"modes": "iterated"},
    "direct only": {"modes": "direct"},
}
Forecaster = Callable[[np.ndarray, int, int], np.ndarray]


def seasons_of(season: int) -> tuple[int, ...]:
    return () if season == 1 else (24, 168) if season == 24 else (season,)


def ours(season: int, horizon: int, **parameters: Any) -> ReservoirForecaster:
    return ReservoirForecaster(seasons_of(season), horizon=horizon, random_state=0, **parameters)


def load_series(folder: Path) -> dict[str, np.ndarray]:
    """Return the 14 series."""
    with (folder / "ETTh1.csv").open(encoding="utf-8") as file:
        oil = list(csv.DictReader(file))
    with (folder / "monthly-sunspots.csv").open(encoding="utf-8") as file:
        spots = [float(row["Sunspots"]) for row in csv.DictReader(file)]
    loaded = {
        "sunspots": np.array(spots),
        "laser": np.loadtxt(folder / "santafe_laser.txt"),
        "ETTh1 OT": np.array([float(row["OT"]) for row in oil]),
        "ETTh1 HUFL": np.array([float(row["HUFL"]) for row in oil]),
    }
    return {
        name: loaded[name]
        if name in loaded
        else np.loadtxt(folder / "series" / f"{name}.csv", skiprows=1)
        for name in SERIES
    }


class Window(NamedTuple):
    """What is learned from, and what comes."""

    y: np.ndarray
    truth: np.ndarray
    season: int
    horizon: int


def windows(y: np.ndarray, season: int, horizon: int) -> Iterator[Window]:
    """Yield the origins of one series."""
    origins = np.linspace(int(0.6 * len(y)), len(y) - horizon, N_ORIGINS).astype(int)
    for origin in np.unique(origins):
        seen = y[max(0, origin - N_ROWS) : origin]
        yield Window(seen, y[origin : origin + horizon], season, horizon)


def seasonal_naive(y: np.ndarray, season: int, horizon: int) -> np.ndarray:
    return y[-season:][np.arange(horizon) % season]


def lag_rows(y: np.ndarray, season: int) -> tuple[np.ndarray, np.ndarray]:
    """Return lags of the last two seasons (at most 48) beside the next values."""
    n_lags = int(min(max(2 * season if season <= 24 else 24, 12), len(y) // 5))
    view = np.lib.stride_tricks.sliding_window_view(y, n_lags)
    return view[:-1], y[n_lags:]


def iterate(
    predict: Callable[[np.ndarray], float], y: np.ndarray, n_lags: int, horizon: int
) -> np.ndarray:
    path = list(y[-n_lags:])
    for _ in range(horizon):
        path.append(float(predict(np.array(path[-n_lags:]))))
    return np.array(path[n_lags:])


def ridge_on_lags(y: np.ndarray, season: int, horizon: int) -> np.ndarray:
    """Ridge regression on lags, its penalty by generalised cross-validation, iterated."""
    from sklearn.linear_model import RidgeCV

    mean, scale = y.mean(), y.std()
    z = (y - mean) / scale
    X, target = lag_rows(z, season)
    model = RidgeCV(len(X) * 10.0 ** np.arange(-5.0, 3.0)).fit(X, target)
    found = iterate(lambda lags: model.predict(lags[None])[0], z, X.shape[1], horizon)
    return np.clip(found, -30, 30) * scale + mean


def lightgbm_on_lags(y: np.ndarray, season: int, horizon: int) -> np.ndarray:
    """Gradient boosting on lags of the change from the last value, iterated."""
    import lightgbm

    X, target = lag_rows(y, season)
    model = lightgbm.LGBMRegressor(
        n_estimators=200, learning_rate=0.05, min_child_samples=5, verbose=-1, n_jobs=1
    ).fit(X - X[:, -1:], target - X[:, -1])
    return iterate(
        lambda lags: lags[-1] + model.predict((lags - lags[-1])[None])[0], y, X.shape[1], horizon
    )


def by_statsforecast(name: str) -> Forecaster:
    """Return a model of statsforecast as a function."""
    from statsforecast import models

    def forecast(y: np.ndarray, season: int, horizon: int) -> np.ndarray:
        season = season if season <= 24 else 1
        model = getattr(models, name)(season_length=season)
        return np.asarray(model.forecast(np.asarray(y[-300:], dtype=float), h=horizon)["mean"])

    return forecast


def by_reservoirpy(y: np.ndarray, season: int, horizon: int) -> np.ndarray:
    """An echo state network of 100 units, one step ahead, iterated."""
    from reservoirpy.nodes import Reservoir, Ridge

    mean, scale = y.mean(), y.std()
    z = ((y - mean) / scale)[:, None]
    units = Reservoir(100, sr=0.9, lr=1.0, input_scaling=0.5, seed=0)
    model = units >> Ridge(ridge=1e-3 * len(z))
    model.fit(z[:-1], z[1:], warmup=min(50, len(z) // 5))
    model.run(z[:-1])
    path, value = [], z[-1:]
    for _ in range(horizon):
        value = np.clip(np.atleast_2d(model.run(value)), -30, 30)
        path.append(float(value[0, 0]))
    return np.array(path) * scale + mean


def rivals() -> dict[str, Forecaster]:
    """Return those that are installed."""
    found: dict[str, Forecaster] = {"ridge on lags": ridge_on_lags}
    candidates: dict[str, tuple[str, Callable[[], Forecaster]]] = {
        "ETS": ("statsforecast", lambda: by_statsforecast("AutoETS")),
        "Theta": ("statsforecast", lambda: by_statsforecast("AutoTheta")),
        "AutoARIMA": ("statsforecast", lambda: by_statsforecast("AutoARIMA")),
        "LightGBM on lags": ("lightgbm", lambda: lightgbm_on_lags),
        "reservoirpy": ("reservoirpy", lambda: by_reservoirpy),
    }
    for name, (package, make) in candidates.items():
        try:
            __import__(package)
        except ImportError:
            print(f"{name}: {package} is not installed, left out", flush=True)
        else:
            found[name] = make()
    return found


def of_forecaster(parameters: dict[str, Any], window: Window) -> list[float]:
    """Return absolute error, coverage at both levels, and seconds."""
    start = time.thread_time()
    forecaster = ours(window.season, window.horizon, **parameters).fit(window.y)
    forecast = forecaster.forecast(window.horizon, level=LEVELS)
    seconds = time.thread_time() - start
    inside = [
        ((forecast.lower[level] <= window.truth) & (window.truth <= forecast.upper[level])).mean()
        for level in LEVELS
    ]
    return [np.abs(forecast.mean - window.truth).mean(), *inside, seconds]


def of_rival(forecast: Forecaster, window: Window) -> list[float]:
    """Return absolute error and seconds; a failure counts as the seasonal naive forecast."""
    start = time.thread_time()
    try:
        found = np.asarray(forecast(window.y, window.season, window.horizon))
    except Exception as error:
        print(f"  failed: {error}", flush=True)
        found = seasonal_naive(window.y, window.season, window.horizon)
    found = np.where(np.isfinite(found), found, window.y[-1])
    seconds = time.thread_time() - start
    return [np.abs(found - window.truth).mean(), np.nan, np.nan, seconds]


def geometric(ratios: dict[str, float], without: str | None = None) -> float:
    values = [ratio for name, ratio in ratios.items() if name != without]
    return float(np.exp(np.mean(np.log(values))))


def series(folder: Path, cache: Cache) -> None:
    """Print the 14 series: methods, parts left out, and each series."""
    everything = load_series(folder)
    methods: dict[str, Callable[[Window], list[float]]] = {
        f"ReservoirForecaster, {name}": lambda w, p=parameters: of_forecaster(p, w)
        for name, parameters in ABLATIONS.items()
    }
    methods |= {name: lambda w, f=forecast: of_rival(f, w) for name, forecast in rivals().items()}
    print("\n| method | 14 series | without laser | worst origin | 80 % | 95 % | s a fit |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    each: dict[str, list[float]] = {}
    for method, run in methods.items():
        ratios, worst, inside, seconds = {}, 0.0, [], []
        for name, (season, horizon) in SERIES.items():
            errors, naive = [], []
            for index, window in enumerate(windows(everything[name], season, horizon)):
                found = cache.get(f"{method}|{name}|{index}", lambda r=run, w=window: r(w))
                errors.append(found[0])
                inside.append(found[1:3])
                seconds.append(found[3])
                naive_path = seasonal_naive(window.y, season, horizon)
                naive.append(np.abs(naive_path - window.truth).mean())
            ratios[name] = float(np.sum(errors) / np.sum(naive))
            worst = max(worst, float(np.max(np.array(errors) / naive)))
            if method.endswith("as it is"):
                each[name] = [ratios[name], *np.mean(inside[-len(errors) :], axis=0)]
        covered = ["" if np.isnan(part) else f"{part:.3f}" for part in np.mean(inside, axis=0)]
        print(
            f"| {method} | {geometric(ratios):.3f} | {geometric(ratios, 'laser'):.3f} "
            f"| {worst:.2f} | {' | '.join(covered)} | {np.median(seconds):.2f} |",
            flush=True,
        )
    print("\n| series | season | steps ahead | ratio to seasonal naive | 80 % | 95 % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (ratio, low, high) in each.items():
        season, horizon = SERIES[name]
        print(f"| {name} | {season} | {horizon} | {ratio:.3f} | {low:.2f} | {high:.2f} |")


def origins(folder: Path, cache: Cache) -> None:
    """Print the time of 113 origins from one pass, and one by one."""
    y = load_series(folder)["ETTh1 OT"][:1500]
    first = len(y) - 48 - 2 * 112
    at_once, one_by_one, difference = [], [], 0.0
    for _ in range(3):
        step_by_step = ours(24, 48).fit(y[:first])
        fitted = time.thread_time()
        means = [step_by_step.forecast(48).mean]
        for origin in range(first, len(y) - 48, 2):
            means.append(step_by_step.update(y[origin : origin + 2]).forecast(48).mean)
        updated = time.thread_time()
        result = step_by_step.update(y[-48:]).backtest(113, step=2, horizon=48)
        one_by_one.append(updated - fitted)
        at_once.append(time.thread_time() - updated)
        difference = max(difference, float(np.abs(result.mean - means).max() / np.abs(y).max()))
    print(
        f"\n113 origins of 48 steps: {np.median(at_once):.2f} s from one pass, a fit included, "
        f"{np.median(one_by_one):.2f} s one by one without; largest difference "
        f"{difference:.0e} of the largest value",
        flush=True,
    )


PARTS = {"series": series, "origins": origins}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the series")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts")
    parser.add_argument("--cache", type=Path, metavar="FILE", help="where results are kept")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        parser.error(f"--data {arguments.data} is no folder; see the text above for what it holds")
    cache = Cache(arguments.cache)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in arguments.only:
            PARTS[part](arguments.data, cache)


if __name__ == "__main__":
    main()
