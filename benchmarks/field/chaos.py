"""131 chaotic systems, 1,000 steps to learn from, 200 ahead: the benchmark of Gilpin (2021).

    python -m benchmarks.field.chaos PATH [--quick] [--jobs N] [--cache FILE] [--tails]

PATH is a folder with `train.json.gz` and `test.json.gz`, two trajectories of 1,200 values of each
system at 100 points a period (univariate, without noise), from the repository of the benchmark
(github.com/williamgilpin/dysts, Apache-2.0), and `published_smape.csv`, the errors of 16 methods on
each, from the forecasts stored there. None of it comes with this project.

Protocol, that of the benchmark [1]_: settings are chosen on the training trajectory alone; the
model with these settings learns from the first 1,000 values of the test trajectory and forecasts
the 200 after them; the error is sMAPE, 200 |y - ŷ| / (|y| + |ŷ|), its mean over the steps. The
published errors are of 199 of the 200 steps, as that of the naive mean shows, which is computed
here again: so are ours, and those of all 200 are printed beside them.

What is run is one recipe for all systems. `ReservoirSearchCV` tries 120 candidates, 8 settings of
leak rate, spectral radius, scales of input and bias for each of 5 seeds with 3 penalties each, by
free runs of 200 steps in 5 blocks of the training trajectory in turn. The 5 candidates with the
least median error each learn from the 1,000 values, with the seed they were tried with, and the
forecast is the median of their free runs, those that diverge left out. A constant series goes on,
and missing values are filled by a straight line; neither occurs in these data.

The recipe itself was chosen on training trajectories of 25 systems: candidates by their first 1,000
values, the forecast of their last 200 (`--tails`). `--quick` takes every 20th system, `--jobs`
spreads systems over processes, and `--cache` keeps what was done in a file, from which a run goes
on.

References
----------
.. [1] Gilpin (2021), Chaos as an interpretable benchmark for forecasting and data-driven
   modelling, NeurIPS Datasets and Benchmarks, section 4 and appendix.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from benchmarks.field.command import run
from benchmarks.field.metrics import Floats, rank, smape
from benchmarks.results_cache import Cache
from reservoir import ESNRegressor
from reservoir.dynamics import DivergenceError
from reservoir.forecasting import ReservoirForecaster
from reservoir.search import ReservoirSearchCV

N_KNOWN, HORIZON = 1000, 200
N_SCORED = 199  # of the published errors
N_UNITS, WASHOUT = 300, 30
N_SEEDS, N_SETTINGS, N_BEST = 5, 8, 5
ALPHAS = [1e-8, 1e-6, 1e-4]
OURS = "search"
FORECASTERS: dict[str, dict[str, Any]] = {
    "ReservoirForecaster, as it is": {},
    "ReservoirForecaster, AR members only": {"members": "ar"},
}


def candidates() -> list[dict[str, list[Any]]]:
    """Return what is tried, the same for all systems."""
    found = []
    for seed in range(N_SEEDS):
        rng = np.random.default_rng(seed)
        for _ in range(N_SETTINGS):
            found.append(
                {
                    "spectral_radius": [rng.uniform(0.2, 1.1)],
                    "leak_rate": [10 ** rng.uniform(-1, 0)],
                    "input_scaling": [10 ** rng.uniform(-1.3, 0.3)],
                    "bias_scaling": [rng.uniform(0.1, 1.0)],
                    "alpha": ALPHAS,
                    "random_state": [seed],
                }
            )
    return found


def filled(values: Floats) -> Floats:
    """Return a series with missing values on a straight line between their neighbours."""
    steps, is_known = np.arange(len(values)), np.isfinite(values)
    if not is_known.any():
        return np.zeros(len(values))
    return np.interp(steps, steps[is_known], values[is_known])


def choose(trajectory: Floats, n_blocks: int) -> list[dict[str, Any]]:
    """Return the settings with the least median error of free runs in held-out blocks."""
    y = filled(trajectory)
    if np.ptp(y) == 0:
        return []
    z = ((y - y.mean()) / y.std())[:, np.newaxis]
    search = ReservoirSearchCV(
        ESNRegressor(N_UNITS, washout=WASHOUT),
        candidates(),
        scoring="neg_forecast_nrmse",
        horizon=HORIZON,
        cv=n_blocks,
        refit=False,
    ).fit(z[:-1], z[1:])
    splits = [search.cv_results_[f"split{fold}_test_score"] for fold in range(n_blocks)]
    order = np.argsort(-np.median(splits, axis=0), kind="stable")
    return [search.cv_results_["params"][index] for index in order[:N_BEST]]


def forecast(known: Floats, settings: list[dict[str, Any]]) -> Floats:
    """Return the median of the free runs of some settings that stay, once they learned."""
    y = filled(known)
    mean, deviation = y.mean(), y.std()
    paths = []
    if np.ptp(y) > 0:
        z = ((y - mean) / deviation)[:, np.newaxis]
        for setting in settings:
            esn = ESNRegressor(N_UNITS, washout=WASHOUT).set_params(**setting)
            try:
                paths.append(esn.fit(z[:-1], z[1:]).forecast(HORIZON)[:, 0])
            except DivergenceError:
                continue
    if not paths:
        return np.full(HORIZON, y[-1])
    path: Floats = mean + deviation * np.median(paths, axis=0)
    return path


def by_search(training: Floats, known: Floats, n_blocks: int) -> Floats:
    """Return the forecast of the recipe."""
    return forecast(known, choose(training, n_blocks))


def by_forecaster(known: Floats, parameters: dict[str, Any]) -> Floats:
    """Return the forecast of `ReservoirForecaster`, which chooses on what it learns from."""
    y = filled(known)
    if np.ptp(y) == 0:
        return np.full(HORIZON, y[-1])
    forecaster = ReservoirForecaster((), horizon=HORIZON, random_state=0, **parameters)
    return np.asarray(forecaster.fit(y).forecast(HORIZON).mean)


def measures(method: str, training: Floats, y: Floats, n_blocks: int) -> list[float]:
    """Return sMAPE of the scored steps and of all, and seconds."""
    start = time.thread_time()
    known, truth = y[:N_KNOWN], y[N_KNOWN : N_KNOWN + HORIZON]
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = (
            by_search(training, known, n_blocks)
            if method == OURS
            else by_forecaster(known, FORECASTERS[method])
        )
    seconds = time.thread_time() - start
    return [smape(truth[:N_SCORED], path[:N_SCORED]), smape(truth, path), seconds]


def load(path: Path) -> dict[str, Floats]:
    """Return the values of each system."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {
            name: np.array(entry["values"], dtype=float) for name, entry in json.load(file).items()
        }


def load_published(folder: Path, systems: list[str]) -> dict[str, Floats]:
    """Return the errors of each published method on the systems."""
    with (folder / "published_smape.csv").open(encoding="utf-8") as file:
        rows = {row.pop("system"): row for row in csv.DictReader(file)}
    methods = list(next(iter(rows.values())))
    return {
        method: np.array([float(rows[system][method]) for system in systems]) for method in methods
    }


def difference_of_naive_mean(series: dict[str, Floats], published: Floats) -> float:
    """Return how far the error of the mean of what is known is from the published one, at most."""
    own = [
        smape(y[N_KNOWN:][:N_SCORED], np.full(N_SCORED, y[:N_KNOWN].mean()))
        for y in series.values()
    ]
    return float(np.abs(np.array(own) - published).max())


def results(
    method: str, pairs: dict[str, tuple[Floats, Floats]], n_blocks: int, cache: Cache, n_jobs: int
) -> np.ndarray:
    """Return the measures of each system, computed where the cache has none."""
    names = {system: f"{method}|{n_blocks}|{system}" for system in pairs}
    missing = [system for system in pairs if names[system] not in cache.known]
    calls = (delayed(measures)(method, *pairs[system], n_blocks) for system in missing)
    found = Parallel(n_jobs=n_jobs, return_as="generator", pre_dispatch=n_jobs)(calls)
    for system, result in zip(missing, found):
        cache.put(names[system], result)
    return np.array([cache.known[names[system]] for system in pairs])


def median_ranks(scored: Floats, published: dict[str, Floats]) -> tuple[float, list[float]]:
    """Return the median over the systems of the place among all, and of each published method's.

    The lowest error has place 1; equal ones share the mean of their places.
    """
    ranks = rankdata(np.vstack([scored, *published.values()]), axis=0)
    own, *others = (float(place) for place in np.median(ranks, axis=1))
    return own, others


def report(method: str, found: np.ndarray, published: dict[str, Floats]) -> None:
    """Print the line of a method, and what it won against each published one."""
    scored, whole, seconds = found.T
    medians = {name: float(np.median(errors)) for name, errors in published.items()}
    place = rank(float(np.median(scored)), medians.values())
    own, others = median_ranks(scored, published)
    print(
        f"| {method} | {np.median(scored):.1f} | {scored.mean():.1f} | {place} of "
        f"{len(published) + 1} | {own:g} | {np.median(whole):.1f}, {whole.mean():.1f} "
        f"| {np.median(seconds):.2f} |",
        flush=True,
    )
    if method == OURS:
        print("\n| published method | median sMAPE | mean | median rank | won by the search |")
        print("| --- | --- | --- | --- | --- |")
        of_name = dict(zip(published, others))
        for name in sorted(medians, key=medians.__getitem__):
            n_won = int((scored < published[name]).sum())
            print(
                f"| {name} | {medians[name]:.1f} | {published[name].mean():.1f} "
                f"| {of_name[name]:g} | {n_won} ({n_won / len(scored):.1%}) |"
            )


def program(arguments: argparse.Namespace) -> None:
    """Print own errors beside the published ones, or those on the training trajectories."""
    cache, step = Cache(arguments.cache), 20 if arguments.quick else 1
    training = load(arguments.path / "train.json.gz")
    systems = sorted(training)[::step]
    if arguments.tails:
        tails = {system: (training[system][:N_KNOWN], training[system]) for system in systems}
        found = results(OURS, tails, 4, cache, arguments.jobs)
        print(
            f"last {HORIZON} values of {len(systems)} training trajectories: median sMAPE", end=" "
        )
        print(f"{np.median(found[:, 0]):.1f}, mean {found[:, 0].mean():.1f}")
        return
    tests = load(arguments.path / "test.json.gz")
    series = {system: tests[system] for system in systems}
    published = load_published(arguments.path, systems)
    apart = difference_of_naive_mean(series, published["NaiveMean"])
    print(f"{len(systems)} systems; sMAPE of the naive mean as published within {apart:.0e}")
    print("\n| method | median sMAPE | mean | rank of it | median rank", end=" ")
    print("| all 200 steps: median, mean | s a system |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    pairs = {system: (training[system], y) for system, y in series.items()}
    for method in (*FORECASTERS, OURS):
        report(method, results(method, pairs, 5, cache, arguments.jobs), published)


def options(parser: argparse.ArgumentParser) -> None:
    """Add what only this command has."""
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("--cache", type=Path, metavar="FILE", help="where results are kept")
    parser.add_argument(
        "--tails", action="store_true", help="forecast the ends of the training trajectories"
    )


if __name__ == "__main__":
    run(__doc__, "a folder with the trajectories and what was published", program, options)
