"""What the defaults of `ESNRegressor` are chosen by: one table of settings against tasks.

    python -m benchmarks.defaults [--quick] [DIR]

Each column is a task, and each row changes settings of an `ESNRegressor` that is used as a newcomer
writes it: inputs are standardised, and nothing else is set. "series" are the fourteen series of
`benchmarks.real_series` where DIR, the folder that holds them, is given: the geometric mean of the
error against the seasonal naive forecast's over the last four of the origins in what comes before
the first origin of that benchmark, and "worst" the largest of the fourteen. Of valid times, memory
capacity and R² more is better, of all others less. Medians over seeds, geometric means for the
series.
"""

from __future__ import annotations

import argparse
import functools
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from threadpoolctl import threadpool_limits

from benchmarks.series import Forecast, Series, geometric_mean, load, score, seasonal_naive
from reservoir import ESNRegressor
from reservoir.datasets import lorenz, mackey_glass, narma, sine_frequency
from reservoir.diagnostics import memory_capacity
from reservoir.dynamics import DivergenceError
from reservoir.metrics import nrmse, valid_prediction_time

Floats = NDArray[np.float64]
Settings = dict[str, Any]
Task = Callable[[Settings, int], float]

PATH = tuple(np.logspace(-6, 4, 21))
BEFORE: Settings = {
    "n_units": 500,
    "spectral_radius": 0.9,
    "leak_rate": 1.0,
    "input_scaling": 1.0,
    "bias_scaling": 0.2,
    "alpha": 1e-6,
    "alpha_cv": None,
}


def standardised(values: Floats, n_training: int) -> Floats:
    """Return values in standard deviations of the first rows, about their mean."""
    return (values - values[:n_training].mean(axis=0)) / values[:n_training].std(axis=0)


def free_runs(esn: ESNRegressor, n_steps: int, contexts: Any = None) -> list[Floats]:
    """Return free runs; of those that left the range of what was learned, the last output stays."""
    try:
        outputs = esn.forecast(n_steps, contexts)
    except DivergenceError as error:
        outputs = error.outputs
    parts = [outputs] if contexts is None else outputs
    return [
        np.concatenate([part, np.repeat(part[-1:], n_steps - len(part), axis=0)])
        if len(part)
        else np.full((n_steps, esn.n_outputs_), np.nan)
        for part in parts
    ]


def valid_time(series: Floats, exponent: float, dt: float, settings: Settings, seed: int) -> float:
    """Return the valid time of a free run after 4,000 steps, in Lyapunov times."""
    n_training = 4_000
    z = standardised(series, n_training)
    esn = ESNRegressor(random_state=seed, **settings).fit(z[: n_training - 1], z[1:n_training])
    starts = range(n_training, len(z) - 1_000, 500)
    runs = free_runs(esn, 1_000, [z[start - 500 : start] for start in starts])
    times = [
        valid_prediction_time(
            z[start : start + 1_000], np.nan_to_num(run, nan=1e3), dt=dt, lyapunov_exponent=exponent
        )
        for start, run in zip(starts, runs, strict=True)
    ]
    return float(np.median(times))


def lorenz_time(settings: Settings, seed: int) -> float:
    return valid_time(lorenz(8_000, random_state=seed), 0.906, 0.02, settings, seed)


@functools.cache
def halvorsen(seed: int) -> Floats:
    """Return a trajectory of Halvorsen's attractor with a = 1.3, exponent .69, every .05."""

    def slope(_: float, v: Floats) -> list[float]:
        x, y, z = v
        return [
            -1.3 * x - 4 * y - 4 * z - y * y,
            -1.3 * y - 4 * z - 4 * x - z * z,
            -1.3 * z - 4 * x - 4 * y - x * x,
        ]

    begin = np.array([-5.0, 0.0, 0.0]) + 0.1 * np.random.default_rng(seed).normal(size=3)
    times = 0.05 * np.arange(9_000)
    solved = solve_ivp(slope, (0, times[-1]), begin, "DOP853", t_eval=times, rtol=1e-10, atol=1e-10)
    found: Floats = solved.y.T[1_000:]
    return found


def halvorsen_time(settings: Settings, seed: int) -> float:
    return valid_time(halvorsen(seed), 0.69, 0.05, settings, seed)


def narma_error(settings: Settings, seed: int) -> float:
    X, y = narma(4_000, random_state=seed)
    X = standardised(X, 2_000)
    esn = ESNRegressor(random_state=seed, **settings).fit(X[:2_000], y[:2_000])
    return nrmse(y[2_200:], esn.predict(X[2_000:])[200:])


def mackey_glass_error(horizon: int, settings: Settings, seed: int) -> float:
    series = mackey_glass(6_000, random_state=seed)
    z = standardised(series.reshape(-1, 1), 3_000)
    esn = ESNRegressor(random_state=seed, **settings).fit(z[:2_999], z[1:3_000])
    if horizon == 1:
        return nrmse(z[3_201:], esn.predict(z[3_000:-1])[200:])
    starts = range(3_500, 5_900, 50)
    contexts = [z[start - 500 : start] for start in starts]
    ends = np.stack([run[-1] for run in free_runs(esn, horizon, contexts)])
    truth = np.stack([z[start + horizon - 1] for start in starts])
    return float(np.sqrt(np.mean((ends - truth) ** 2)))


def sine_error(settings: Settings, seed: int) -> float:
    """Return the error of the sine, one step ahead, that a staircase asks for."""
    X, y = sine_frequency(6_000, random_state=seed)
    inputs = np.c_[X[1:], y[:-1]]
    esn = ESNRegressor(random_state=seed, **settings).fit(inputs[:3_000], y[1:3_001])
    return nrmse(y[3_201:], esn.predict(inputs[3_000:])[200:])


def capacity(settings: Settings, seed: int) -> float:
    noise = np.random.default_rng(seed).uniform(-1, 1, size=(2_000, 1))
    shape = settings | {"n_units": min(settings.get("n_units", 100), 100)}
    esn = ESNRegressor(random_state=seed, **shape).fit(noise, noise[:, 0])
    span = float(np.sqrt(3.0))  # of a uniform input of variance one
    return float(memory_capacity(esn, input_range=(-span, span), random_state=seed).total)


def many_channels(settings: Settings, seed: int) -> float:
    """Return R² of a mixture of 100 standardised channels, at this step and the one before."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(3_000, 100))
    now, before = rng.normal(size=(2, 100)) / 10
    y = X @ now + np.roll(X, 1, axis=0) @ before + 0.1 * rng.normal(size=3_000)
    esn = ESNRegressor(random_state=seed, **settings).fit(X[1:2_000], y[1:2_000])
    return float(esn.score(X[2_000:], y[2_000:]))


def newcomer(settings: Settings, seed: int) -> Callable[[Floats, int, int], Forecast]:
    """Return the forecast of a standardised series by settings of an `ESNRegressor`."""

    def forecast(rows: Floats, season: int, horizon: int) -> Forecast:
        mean, std = rows.mean(), rows.std()
        z = ((rows - mean) / std)[:, None]
        esn = ESNRegressor(random_state=seed, **settings).fit(z[:-1], z[1:])

        def one_step(after: Floats) -> Floats:
            inputs = (np.r_[rows[-1], after[:-1]] - mean) / std
            outputs: Floats = esn.predict(inputs[:, None], initial_state="last")[:, 0]
            return mean + std * outputs

        return Forecast(mean + std * free_runs(esn, horizon)[0][:, 0], one_step)

    return forecast


def series_errors(series: list[Series], settings: Settings, seeds: range) -> list[float]:
    """Return, for each series, the error against that of the seasonal naive forecast."""
    ratios = []
    for one in series:
        errors = [
            error
            for seed in seeds
            for error in score(newcomer(settings, seed), one, n_origins=4).mase
        ]
        ratios.append(float(np.mean(errors) / np.mean(score(seasonal_naive, one, 4).mase)))
    return ratios


TASKS: dict[str, Task] = {
    "Lorenz": lorenz_time,
    "Halvorsen": halvorsen_time,
    "NARMA10": narma_error,
    "MG 1": functools.partial(mackey_glass_error, 1),
    "MG 84": functools.partial(mackey_glass_error, 84),
    "sine": sine_error,
    "memory": capacity,
    "100 channels": many_channels,
}


def rows() -> Iterator[tuple[str, Settings]]:
    """Yield what the table has rows of: before, one change at a time from the defaults, and these.

    The defaults are those of the class, whatever these are.
    """
    yield "before", BEFORE
    yield "before, path", BEFORE | {"alpha": PATH}
    yield "before, input_scaling=0.1", BEFORE | {"input_scaling": 0.1}
    yield "defaults", {}
    changes: dict[str, list[Any]] = {
        "n_units": [100, 200, 1_000],
        "spectral_radius": [0.5, 0.8, 0.99],
        "leak_rate": [0.3, 0.7],
        "bias_scaling": [0.0, 0.5, 1.0],
        "washout": [20],
    }
    for name, values in changes.items():
        for value in values:
            yield f"{name}={value}", {name: value}


def line(
    label: str, settings: Settings, series: list[Series], tasks: list[str], n_seeds: int
) -> str:
    """Return one row of the table."""
    start = time.perf_counter()
    cells = [label]
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if series:
            ratios = series_errors(series, settings, range(2))
            cells += [f"{geometric_mean(ratios):.3f}", f"{max(ratios):.3g}"]
        for name in tasks:
            found = [TASKS[name](settings, seed) for seed in range(n_seeds)]
            cells.append(f"{np.median(found):.3g}")
    cells.append(f"{time.perf_counter() - start:.0f}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="one seed, the first rows")
    arguments = parser.parse_args()
    series = [one.training_part() for one in load(arguments.folder)] if arguments.folder else []
    names = ["settings", *["series", "worst"] * bool(series), *TASKS, "s"]
    print("| " + " | ".join(names) + " |")
    print("| " + " | ".join("---" for _ in names) + " |")
    chosen = list(rows())[: 4 if arguments.quick else None]
    for label, settings in chosen:
        print(line(label, settings, series, list(TASKS), 1 if arguments.quick else 3), flush=True)


if __name__ == "__main__":
    main()
