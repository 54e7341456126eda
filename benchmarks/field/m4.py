"""The 414 hourly series of the M4 competition, 48 steps ahead, by `ReservoirForecaster` as it is.

    python -m benchmarks.field.m4 PATH [--quick]

PATH is a folder with `hourly_train.csv.gz` and `hourly_test.csv`, the data of the competition [1]_,
and `published_hourly.csv`: a row `method_or_id, authors, owa, smape, mase, msis` for each method
that the organisers published [2]_, 59 of them. None of it comes with this project.

Protocol, that of the competition: a forecaster sees the training part of one series, and forecasts
the 48 hours after it with 95 % intervals. sMAPE, MASE and MSIS are means over the series, MASE and
MSIS in units of the error of the seasonal naive forecast (24 steps) within the training part; OWA
is the mean of sMAPE and MASE, each over that of the method Naive2. The forecaster is
`ReservoirForecaster((24, 168), horizon=48, random_state=0)`, its defaults unchanged, and, to see
what states bring, the same with members of one kind. The competition was held in 2018: its methods
were sent in before anybody had seen the test part, these defaults were settled after it was public.
Four of them were chosen on hourly series less their last 48 rows, the others by an earlier study on
14 other series and 60 of these; the test part of 123 series was seen once before. `--quick` takes
every 20th series; what it prints is not comparable with figures of all.

References
----------
.. [1] Makridakis, Spiliotis & Assimakopoulos (2020), The M4 Competition: 100,000 time series and
   61 forecasting methods, International Journal of Forecasting 36.
.. [2] github.com/Mcompetitions/M4-methods, "Evaluation and Ranks.xlsx".
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.field.command import run
from benchmarks.field.metrics import Floats, mase, msis, owa, rank, smape
from reservoir.forecasting import ReservoirForecaster

SEASON, HORIZON, LEVELS = 24, 48, (80, 95)
FORECASTERS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "AR members only": {"members": "ar"},
    "ESN members only": {"members": "esn"},
}


class Published(NamedTuple):
    """What was published of one method."""

    name: str
    owa: float
    smape: float
    mase: float
    msis: float


def load(folder: Path) -> list[tuple[Floats, Floats]]:
    """Return the series, each as what is known and what comes."""

    def read(lines: list[str]) -> list[Floats]:
        rows = csv.reader(lines[1:])
        return [np.array([float(value) for value in row[1:] if value]) for row in rows]

    with gzip.open(folder / "hourly_train.csv.gz", "rt", encoding="utf-8") as file:
        known = read(file.readlines())
    later = read((folder / "hourly_test.csv").read_text(encoding="utf-8").splitlines())
    return list(zip(known, later, strict=True))


def load_published(folder: Path) -> list[Published]:
    """Return the published methods, the best first; what was not given is NaN."""
    with (folder / "published_hourly.csv").open(encoding="utf-8") as file:
        rows = [
            Published(
                row["authors"] if row["method_or_id"].isdigit() else row["method_or_id"],
                *(float(row[name] or "nan") for name in ("owa", "smape", "mase", "msis")),
            )
            for row in csv.DictReader(file)
        ]
    return sorted(rows, key=lambda method: method.owa)


def measures(known: Floats, truth: Floats, parameters: dict[str, Any]) -> list[float]:
    """Return sMAPE, MASE, MSIS, coverage at both levels, and seconds."""
    start = time.thread_time()
    forecaster = ReservoirForecaster(
        (SEASON, 168), horizon=HORIZON, random_state=0, **parameters
    ).fit(known)
    forecast = forecaster.forecast(HORIZON, level=LEVELS)
    seconds = time.thread_time() - start
    inside = [
        float(((forecast.lower[level] <= truth) & (truth <= forecast.upper[level])).mean())
        for level in LEVELS
    ]
    return [
        smape(truth, forecast.mean),
        mase(truth, forecast.mean, known, SEASON),
        msis(truth, forecast.lower[95], forecast.upper[95], known, SEASON),
        *inside,
        seconds,
    ]


def program(arguments: argparse.Namespace) -> None:
    """Print own and published figures in one table."""
    series = load(arguments.path)[:: 20 if arguments.quick else 1]
    published = load_published(arguments.path)
    naive = next(method for method in published if method.name == "Naive2")
    best_intervals = min(method.msis for method in published if np.isfinite(method.msis))
    print(f"{len(series)} series; {len(published)} published methods, Naive2 has an OWA of 1;")
    print(f"best published MSIS {best_intervals:.3f}")
    print("\n| forecaster | OWA | rank | sMAPE | MASE | MSIS | 80 % | 95 % | s a series |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, parameters in FORECASTERS.items():
        rows = [measures(known, truth, parameters) for known, truth in series]
        of_smape, of_mase, of_msis, low, high, seconds = np.mean(rows, axis=0)
        found = owa(of_smape, of_mase, naive.smape, naive.mase)
        place = rank(found, [method.owa for method in published])
        print(
            f"| {name} | {found:.3f} | {place} of {len(published) + 1} | {of_smape:.2f} "
            f"| {of_mase:.3f} | {of_msis:.2f} | {low:.3f} | {high:.3f} | {seconds:.2f} |",
            flush=True,
        )
    for method in published[:10]:
        intervals = f"{method.msis:.2f}" if np.isfinite(method.msis) else ""
        print(
            f"| {method.name} | {method.owa:.3f} | | {method.smape:.2f} | {method.mase:.3f} "
            f"| {intervals} | | | |"
        )


if __name__ == "__main__":
    run(__doc__, "a folder with the hourly series of the M4 competition", program)
