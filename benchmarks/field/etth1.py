"""ETTh1, 96 to 720 steps ahead: all seven series, and the oil temperature alone.

    python -m benchmarks.field.etth1 PATH [--quick] [--forecaster]

PATH is `ETTh1.csv` (github.com/zhouhaoyi/ETDataset, CC BY-ND 4.0) [1]_, which does not come with
this project.

Protocol, the customary one [2]_: months of 30 days; the first 12 are learned from, the next 4 are
for choosing settings, the 4 after them are the test; series are standardised by mean and deviation
of the first 12 months; every hour of the test from which the horizon is left is an origin; mean
squared and mean absolute error over origins, steps and series, in standard deviations.

What is run is a readout that learns all steps ahead at once, from the last `n_lags` values of a
series less its last one, as `GramAccumulator` and `solve_ridge` of this library make it; all seven
series share it. It is run three times: on these lags alone, which can't know how high a series
stands; with the last value itself beside them; and with the states of a reservoir of 100 units
beside them (`ReservoirTransformer` at its defaults), which every series drives. Windows are
weighted by 1 over the variance of their last 336 values, so that quiet stretches count as much as
others. Number of lags and penalty are those with the least squared error (without weights) on the
months for choosing, for each horizon; the weights were chosen likewise, 96 steps ahead, with lags
alone. The months for choosing are not learned from. Which of the three they prefer is marked by a
star. Lags alone were run on the test first; the other two were thought of after that.

"Oil temperature alone" is the same with that series alone. With `--forecaster` it is forecast by
`ReservoirForecaster` as well, with its defaults, from every 12th origin; it knows one series only,
and learns from all months before the test.

References
----------
.. [1] Zhou, Zhang, Peng, Zhang, Li, Xiong & Zhang (2021), Informer, AAAI.
.. [2] Zeng, Chen, Zhang & Xu (2023), Are transformers effective for time series forecasting?, AAAI,
   section 5 and table 2, which has the figures of DLinear.
.. [3] Huang, Xu & Darlow (2026), How good can linear models be for time-series forecasting?, arXiv
   2606.27282, which has those of SearchCast.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.field.command import run
from benchmarks.field.metrics import Floats
from reservoir import ReservoirTransformer
from reservoir.forecasting import ReservoirForecaster
from reservoir.readout import GramAccumulator, RidgeSolution, solve_ridge

MONTH = 30 * 24
N_LEARNED, N_CHOICE, N_TEST = 12 * MONTH, 4 * MONTH, 4 * MONTH
HORIZONS = (96, 192, 336, 720)
N_LAGS = (192, 336, 432, 512, 600, 720)
MOST_LAGS = max(N_LAGS)
# For rows of all seven series with a mean weight of 1.
ALPHAS = (3e2, 1e3, 3e3, 1e4, 3e4)
N_WEIGHED, LEAST_VARIANCE = 336, 1e-3
PUBLISHED = {"SearchCast": (0.369, 0.400, 0.423, 0.430), "DLinear": (0.379, 0.419, 0.451, 0.470)}
N_STATES = 100
# Rows that are multiplied at a time.
BLOCK = 2000


class Rows(NamedTuple):
    """What is seen of windows, what comes, the value that both are relative to, and weights."""

    features: Floats
    targets: Floats
    level: Floats
    weight: Floats


def load(path: Path) -> Floats:
    """Return the twenty months, a column a series, the oil temperature last; standardised."""
    with path.open(encoding="utf-8") as file:
        table = [[float(value) for value in row[1:]] for row in list(csv.reader(file))[1:]]
    values = np.array(table)[: N_LEARNED + N_CHOICE + N_TEST]
    learned = values[:N_LEARNED]
    return (values - learned.mean(axis=0)) / learned.std(axis=0)


def kinds_of(z: Floats) -> dict[str, list[Floats] | None]:
    """Return what the readout sees beside lags: for each series a row of features a step."""
    columns = [series[:, np.newaxis] for series in z.T]
    units = ReservoirTransformer(N_STATES, random_state=0)
    return {
        "lags": None,
        "lags, level": columns,
        "lags, states": [units.fit(column).transform(column) for column in columns],
    }


def windows(
    series: Floats, first: int, stop: int, n_lags: int, horizon: int, states: Floats | None
) -> Iterator[Rows]:
    """Yield, in blocks, the windows whose targets lie in rows from `first` to before `stop`."""
    n_seen = n_lags if first else 0
    cut = series[first - n_seen : stop]
    view = np.lib.stride_tricks.sliding_window_view(cut, n_lags + horizon)
    for start in range(0, len(view), BLOCK):
        block = view[start : start + BLOCK]
        level = block[:, n_lags - 1 : n_lags]
        features = block[:, :n_lags] - level
        if states is not None:
            last = first - n_seen + start + n_lags - 1
            features = np.hstack([features, states[last : last + len(block)]])
        spread = block[:, max(n_lags - N_WEIGHED, 0) : n_lags].var(axis=1)
        yield Rows(features, block[:, n_lags:] - level, level, 1 / (spread + LEAST_VARIANCE))


def sums_of(
    z: Floats, first: int, stop: int, horizon: int, states: list[Floats] | None, *, weighted: bool
) -> GramAccumulator:
    """Return the sums of all windows of all series, with the most lags."""
    n_features = MOST_LAGS + (0 if states is None else states[0].shape[1])
    sums = GramAccumulator(n_features, horizon)
    for index, series in enumerate(z.T):
        own = None if states is None else states[index]
        for rows in windows(series, first, stop, MOST_LAGS, horizon, own):
            sums.update(rows.features, rows.targets, rows.weight if weighted else None)
    return sums


def with_lags(sums: GramAccumulator, n_lags: int) -> GramAccumulator:
    """Return the sums of the same windows with fewer lags: some rows and columns of them."""
    left_out = MOST_LAGS - n_lags
    kept = np.r_[0, 1 + left_out : sums.n_columns]
    part = GramAccumulator(sums.n_features - left_out, sums.n_targets)
    part.moments = np.asfortranarray(sums.moments[np.ix_(kept, kept)])
    part.shift, part.n_rows = sums.shift[kept], sums.n_rows
    return part


def squared_error(sums: GramAccumulator, solution: RidgeSolution) -> float:
    r"""Return the mean squared error of a readout on rows that were summed up.

    With z = [1; s - c; y - d] and M = Σ z zᵀ it is tr(Eᵀ M E) over rows and targets, where
    y - V s - b = Eᵀ z,  E = [(d - V c - b)ᵀ; -Vᵀ; I].
    """
    lower = np.tril(sums.moments)
    moments = lower + np.tril(lower, -1).T
    n_features, n_targets = solution.coef.shape[1], solution.coef.shape[0]
    centre, targets = sums.shift[1 : 1 + n_features], sums.shift[1 + n_features :]
    maps = np.vstack(
        [targets - solution.coef @ centre - solution.intercept, -solution.coef.T, np.eye(n_targets)]
    )
    return float(np.einsum("ij,ij->", maps, moments @ maps) / (sums.n_rows * n_targets))


class Choice(NamedTuple):
    """A readout, and how it did on the months for choosing."""

    error: float
    n_lags: int
    alpha: float
    solution: RidgeSolution


def choose(z: Floats, horizon: int, lags: tuple[int, ...], states: list[Floats] | None) -> Choice:
    """Return the readout with the least squared error on the months for choosing."""
    of_learned = sums_of(z, 0, N_LEARNED, horizon, states, weighted=True)
    of_unseen = sums_of(z, N_LEARNED, N_LEARNED + N_CHOICE, horizon, states, weighted=False)
    unit = of_learned.total_weight / of_learned.n_rows * z.shape[1] / 7
    found = []
    for n_lags in lags:
        learned, unseen = with_lags(of_learned, n_lags), with_lags(of_unseen, n_lags)
        for alpha in ALPHAS:
            solution = solve_ridge(learned, alpha * unit)
            found.append(Choice(squared_error(unseen, solution), n_lags, alpha, solution))
    return min(found, key=lambda choice: choice.error)


def errors_of_test(
    z: Floats, horizon: int, choice: Choice, states: list[Floats] | None
) -> tuple[float, float]:
    """Return mean squared and mean absolute error on the test."""
    squares = absolutes = n = 0.0
    first = N_LEARNED + N_CHOICE
    for index, series in enumerate(z.T):
        own = None if states is None else states[index]
        for rows in windows(series, first, first + N_TEST, choice.n_lags, horizon, own):
            error = rows.targets - rows.features @ choice.solution.coef.T
            error -= choice.solution.intercept
            squares += float(np.sum(error**2))
            absolutes += float(np.abs(error).sum())
            n += error.size
    return squares / n, absolutes / n


def print_readouts(title: str, z: Floats, horizons: tuple[int, ...], lags: tuple[int, ...]) -> None:
    """Print the table of the readouts; what is best on the months for choosing has a star."""
    kinds = kinds_of(z)
    print(f"\n| {title}, steps ahead | sees | MSE when choosing | MSE | MAE | lags | alpha | s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for horizon in horizons:
        lines = []
        for kind, states in kinds.items():
            start = time.thread_time()
            choice = choose(z, horizon, lags, states)
            square, absolute = errors_of_test(z, horizon, choice, states)
            seconds = time.thread_time() - start
            lines.append((choice, kind, square, absolute, seconds))
        least = min(choice.error for choice, *_ in lines)
        for choice, kind, square, absolute, seconds in lines:
            star = " *" if choice.error == least else ""
            print(
                f"| {horizon} | {kind}{star} | {choice.error:.4f} | {square:.4f} "
                f"| {absolute:.3f} | {choice.n_lags} | {choice.alpha:g} | {seconds:.0f} |",
                flush=True,
            )


def print_forecaster(series: Floats, horizons: tuple[int, ...]) -> None:
    """Print the oil temperature by the forecaster, from every 12th origin of the test."""
    print("\n| ReservoirForecaster, steps ahead | MSE | MAE | 80 % | 95 % | s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for horizon in horizons:
        start = time.thread_time()
        n_origins = (N_TEST - horizon) // 12 + 1
        last = N_LEARNED + N_CHOICE + 12 * (n_origins - 1) + horizon
        forecaster = ReservoirForecaster((24, 168), horizon=horizon, random_state=0)
        result = forecaster.fit(series[:last]).backtest(n_origins, step=12, horizon=horizon)
        print(
            f"| {horizon} | {np.mean(result.errors**2):.4f} | {result.mae:.3f} "
            f"| {result.coverage(80):.3f} | {result.coverage(95):.3f} "
            f"| {time.thread_time() - start:.0f} |",
            flush=True,
        )


def program(arguments: argparse.Namespace) -> None:
    """Print the tables."""
    z = load(arguments.path)
    horizons = HORIZONS[:1] if arguments.quick else HORIZONS
    lags = N_LAGS[1:2] if arguments.quick else N_LAGS
    for name, figures in PUBLISHED.items():
        print(f"published MSE of {name}: {', '.join(f'{value:.3f}' for value in figures)}")
    print_readouts("all seven series", z, horizons, lags)
    print_readouts("oil temperature alone", z[:, -1:], horizons, lags)
    if arguments.forecaster:
        print_forecaster(z[:, -1], horizons)


def options(parser: argparse.ArgumentParser) -> None:
    """Add what only this command has."""
    parser.add_argument(
        "--forecaster", action="store_true", help="also ReservoirForecaster, minutes more"
    )


if __name__ == "__main__":
    run(__doc__, "ETTh1.csv", program, options)
