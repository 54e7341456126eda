"""Seconds to try 100 candidates of 300 units over 5,000 steps: side by side, and one by one.

    python -m benchmarks.sweep [--quick]

One process. Candidates are 5 spectral radii, 5 leak rates and 4 input scales; each is
fitted on the first four fifths and scored on the last fifth ("one split"), or on each of five
blocks in turn. The contestants take turns: this search, `ESNRegressor` and, where it is installed,
reservoirpy, one candidate after the other. Those who try one by one try every tenth, and their
seconds are multiplied by ten. "Products alone" is what BLAS takes for XᵀX of the rows that are
learned from, for every candidate: on one thread no way of trying them costs less. All have one
thread and are measured in processor time, save "search, nothing set", which has what the machine
and the environment give (run it without OMP_NUM_THREADS and the like), in seconds of the clock.
Printed are medians, the medians of the ratios to the search on one thread and to products alone in
the same round, and how far apart the scores are.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import blas
from sklearn.metrics import r2_score
from sklearn.model_selection import ParameterGrid
from threadpoolctl import threadpool_limits

from reservoir import ESNRegressor
from reservoir.search import ReservoirSearchCV

SPACE = {
    "spectral_radius": [0.5, 0.7, 0.8, 0.9, 1.0],
    "leak_rate": [0.2, 0.4, 0.6, 0.8, 1.0],
    "input_scaling": [0.1, 0.3, 0.6, 1.0],
}
ALPHA = 1.0
WASHOUT = 100
ONE_IN = 10


class Contestant(NamedTuple):
    """Who takes part, by what the seconds are multiplied, and on how many threads."""

    job: Callable[[], Any]
    factor: int = 1
    n_threads: int | None = 1  # None: as many as there are

    def seconds(self) -> float:
        """Return what a turn takes."""
        clock = time.perf_counter if self.n_threads is None else time.thread_time
        with threadpool_limits(self.n_threads):
            start = clock()
            self.job()
            return self.factor * (clock() - start)


def data(n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one input and a noisy target that depends on its past."""
    rng = np.random.default_rng(0)
    u = rng.uniform(-1, 1, size=(n_steps, 1))
    past = sum(np.roll(u, lag) / lag for lag in (1, 2, 3))
    return u, past + 0.1 * rng.normal(size=u.shape)


def blocks(n_steps: int, cv: float | int) -> list[tuple[int, int]]:
    """Return the rows that are held out in turn."""
    if isinstance(cv, float):
        return [(n_steps - round(cv * n_steps), n_steps)]
    edges = np.linspace(0, n_steps, cv + 1).astype(int)
    return list(itertools.pairwise(edges))


def search(esn: ESNRegressor, cv: float | int, u: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the scores of all candidates."""
    return (
        ReservoirSearchCV(esn, SPACE, cv=cv, refit=False).fit(u, y).cv_results_["mean_test_score"]
    )


def one_by_one(
    esn: ESNRegressor, cv: float | int, u: np.ndarray, y: np.ndarray, one_in: int
) -> np.ndarray:
    """Return the scores of some candidates, each from one fit a block."""
    scores = []
    for params in list(ParameterGrid(SPACE))[::one_in]:
        of_blocks = []
        for start, stop in blocks(len(u), cv):
            esn.set_params(**params)
            if stop == len(u):
                esn.fit(u[:start], y[:start])
            else:
                weight = np.ones(len(u))
                weight[start:stop] = 0
                esn.fit(u, y, step_weight=weight)
            first = max(start, WASHOUT)
            of_blocks.append(r2_score(y[first:stop], esn.predict(u[:stop])[first:]))
        scores.append(np.mean(of_blocks))
    return np.array(scores)


def rival(n_units: int, cv: float, u: np.ndarray, y: np.ndarray, one_in: int) -> np.ndarray | None:
    """Return scores by reservoirpy, whose weights are others; None where it is not installed."""
    try:
        from reservoirpy import ESN
    except ImportError:
        return None
    ((start, stop),) = blocks(len(u), cv)
    scores = []
    for params in list(ParameterGrid(SPACE))[::one_in]:
        model = ESN(
            units=n_units,
            sr=params["spectral_radius"],
            lr=params["leak_rate"],
            input_scaling=params["input_scaling"],
            rc_connectivity=10 / n_units,
            input_connectivity=1.0,
            ridge=ALPHA,
            seed=0,
        )
        model.fit(u[:start], y[:start], warmup=WASHOUT)
        scores.append(r2_score(y[start:stop], model.run(u)[start:]))
    return np.array(scores)


def products(dtype: str, n_units: int, n_rows: int) -> None:
    """Make the products that the readouts of some candidates need at least."""
    rows = np.random.default_rng(0).uniform(-1, 1, size=(512, n_units + 1)).astype(dtype)
    syrk = blas.dsyrk if dtype == "float64" else blas.ssyrk
    sums = np.zeros((n_units + 1, n_units + 1), dtype=dtype, order="F")
    for _ in range(len(ParameterGrid(SPACE)) // ONE_IN * n_rows // len(rows)):
        syrk(1.0, rows.T, beta=1.0, c=sums, lower=1, overwrite_c=1)


def contestants(dtype: str, cv: float | int, n_units: int, n_steps: int) -> dict[str, Contestant]:
    """Return who takes part."""
    u, y = data(n_steps)
    esn = ESNRegressor(n_units, alpha=ALPHA, washout=WASHOUT, dtype=dtype, random_state=0)
    # With several folds all rows are also held out, which takes float64.
    kind, n_rows = (dtype, round((1 - cv) * n_steps)) if cv < 1 else ("float64", n_steps)
    found = {
        "search": Contestant(lambda: search(esn, cv, u, y)),
        "search, nothing set": Contestant(lambda: search(esn, cv, u, y), n_threads=None),
        "ESNRegressor": Contestant(lambda: one_by_one(esn, cv, u, y, ONE_IN), ONE_IN),
        "products alone": Contestant(lambda: products(kind, n_units, n_rows), ONE_IN),
    }
    if isinstance(cv, float) and dtype == "float64" and rival(n_units, cv, u, y, 50) is not None:
        found["reservoirpy"] = Contestant(lambda: rival(n_units, cv, u, y, ONE_IN), ONE_IN)
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100 units, 1,000 steps, one round")
    quick = parser.parse_args().quick
    n_units, n_steps, n_rounds = (100, 1000, 1) if quick else (300, 5000, 5)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{len(os.sched_getaffinity(0))} cores, load before {load}\n")
    print("| folds | dtype | contestant | seconds | to the search | to products | scores apart |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for cv in (0.2, 5):
        for dtype in ("float64", "float32"):
            found = contestants(dtype, cv, n_units, n_steps)
            # The first round compiles, and tells the scores.
            scores = {name: one.job() for name, one in found.items()}
            seconds: dict[str, list[float]] = {name: [] for name in found}
            for _ in range(n_rounds):
                for name, one in found.items():
                    seconds[name].append(one.seconds())
            bases = [np.array(seconds[name]) for name in ("search", "products alone")]
            folds = "one split" if isinstance(cv, float) else f"{cv} blocks"
            for name, values in seconds.items():
                apart = "other weights" if name == "reservoirpy" else ""
                if scores[name] is not None and not apart:
                    step = len(scores["search"]) // len(scores[name])
                    apart = f"{np.abs(scores[name] - scores['search'][::step]).max():.1e}"
                ratios = " | ".join(f"{np.median(np.array(values) / base):.2f}" for base in bases)
                print(
                    f"| {folds} | {dtype} | {name} | {np.median(values):.2f} | {ratios} "
                    f"| {apart} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
