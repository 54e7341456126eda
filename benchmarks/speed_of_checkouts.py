"""Is one checkout slower than another? States, fits, sweeps and products, in turn in both.

    python -m benchmarks.speed_of_checkouts BEFORE AFTER [CASE ...] [--rounds N]

BEFORE and AFTER are folders, for instance two made by `git worktree add`. A process in each, on one
thread, does the same piece of work in turn; printed are the medians of the seconds, and the median
and the quartiles of the ratio within a turn. A ratio of 1 is no change; what lies between the
quartiles is noise. Every parameter that has an influence is given.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "NUMBA", "MKL")}
RESERVOIR: dict[str, Any] = {
    "spectral_radius": 0.9, "leak_rate": 1.0, "input_scaling": 1.0, "bias_scaling": 0.2,
    "connectivity": 10, "topology": "random", "distribution": "uniform", "activation": "tanh",
    "dtype": "float64", "random_state": 0,
}  # fmt: skip
RIDGE: dict[str, Any] = {
    "washout": 100, "include_input": True, "include_squares": False, "alpha": 1e-6,
    "alpha_cv": None, "alpha_per_target": False, "fit_intercept": True, "solver": "auto",
}  # fmt: skip
Job = Callable[[], Any]


def series(n_steps: int) -> np.ndarray:
    """Return one input channel."""
    return np.random.default_rng(0).uniform(-1, 1, size=(n_steps, 1))


def states(n_units: int, n_steps: int, n_sequences: int = 1) -> Job:
    """Return a run of a reservoir through one sequence or many side by side."""
    from reservoir import ReservoirTransformer

    inputs = series(n_steps)
    reservoir = ReservoirTransformer(n_units, **RESERVOIR, missing="raise").fit(inputs)
    given: Any = inputs if n_sequences == 1 else [inputs] * n_sequences
    return lambda: reservoir.transform(given)


def fit(n_units: int, n_steps: int, **changed: Any) -> Job:
    """Return a fit."""
    from reservoir import ESNRegressor

    inputs = series(n_steps)
    targets = np.roll(inputs, 2, axis=0)
    esn = ESNRegressor(n_units, **RESERVOIR | RIDGE | changed)
    return lambda: esn.fit(inputs, targets)


def forecast(n_units: int, n_steps: int) -> Job:
    """Return a run in closed loop."""
    from reservoir import ESNRegressor
    from reservoir.datasets import mackey_glass

    values = mackey_glass(2000, tau=17, random_state=0)
    esn = ESNRegressor(n_units, **RESERVOIR | RIDGE).fit(values[:-1], values[1:])
    return lambda: esn.forecast(n_steps)


def one_row(n_units: int, n_rows: int) -> Job:
    """Return predictions of a row each."""
    from reservoir import ESNRegressor

    inputs = series(2000)
    esn = ESNRegressor(n_units, **RESERVOIR | RIDGE).fit(inputs, inputs)

    def predict() -> None:
        for row in range(n_rows):
            esn.predict(inputs[row : row + 1], initial_state="last")

    return predict


def sweep(n_units: int, n_steps: int) -> Job:
    """Return a search of 32 candidates."""
    from reservoir import ESNRegressor
    from reservoir.search import ReservoirSearchCV

    inputs = series(n_steps)
    targets = np.roll(inputs, 2, axis=0)
    search = ReservoirSearchCV(
        ESNRegressor(n_units, **RESERVOIR | RIDGE),
        {
            "leak_rate": [0.3, 0.5, 0.8, 1.0], "spectral_radius": [0.5, 0.9],
            "alpha": [1e-6, 1e-4, 1e-2, 1.0],
        },
        scoring="r2", cv=3, gap=0, refit=False, random_state=0,
    )  # fmt: skip
    return lambda: search.fit(inputs, targets)


def network(cell: str) -> tuple[Any, Any, np.ndarray]:
    """Return a net, a batch of 50 sequences of 50 steps, and parameters."""
    import hessianfree as hf

    rng = np.random.default_rng(0)
    net = hf.SequenceNetwork(getattr(hf, f"{cell}Cell")(10, 80), n_outputs=5)
    batch = hf.Batch(rng.uniform(-1, 1, size=(50, 50, 10)), rng.uniform(-1, 1, size=(50, 50, 5)))
    return net, batch, 0.1 * rng.standard_normal(net.n_params)


def gradient(cell: str) -> Job:
    """Return a forward and a backward pass."""
    net, batch, params = network(cell)
    return lambda: net.linearize(params, batch).gradient()


def products(cell: str) -> Job:
    """Return five Gauss-Newton products."""
    net, batch, params = network(cell)
    at = net.linearize(params, batch)
    at.gradient()
    return lambda: [at.gauss_newton_product(params) for _ in range(5)]


def training(cell: str) -> Job:
    """Return two iterations of Hessian-free training."""
    import hessianfree as hf

    net, batch, params = network(cell)
    optimizer = hf.HessianFree(
        damping=hf.LevenbergMarquardt(initial=1.0), max_cg_iterations=10, structural_damping=0.0
    )
    data = hf.Minibatches(batch, 50, 20)
    state = hf.start(optimizer, params, random_state=0)
    return lambda: hf.train(net, optimizer, data, state, n_iterations=2)


JOBS: dict[str, Callable[[], Job]] = {
    "states, 300 units, 10,000 steps": lambda: states(300, 10_000),
    "states, 1,000 units, 3,000 steps": lambda: states(1_000, 3_000),
    "states, 64 sequences of 200 steps, 300 units": lambda: states(300, 200, 64),
    "forecast, 300 units, 5,000 steps": lambda: forecast(300, 5_000),
    "fit, 100 units, 2,000 steps": lambda: fit(100, 2_000),
    "fit, 300 units, 10,000 steps": lambda: fit(300, 10_000),
    "fit by qr, 300 units, 4,000 steps": lambda: fit(300, 4_000, solver="qr"),
    "fit, 20 alphas, 300 units, 4,000 steps": lambda: fit(300, 4_000, alpha=np.logspace(-8, 2, 20)),
    "predict, 300 units, 100 rows one by one": lambda: one_row(300, 100),
    "sweep, 32 candidates, 100 units, 2,000 steps": lambda: sweep(100, 2_000),
    "gradient, vanilla": lambda: gradient("Elman"),
    "gradient, lstm": lambda: gradient("LSTM"),
    "gauss_newton, vanilla": lambda: products("Elman"),
    "gauss_newton, multiplicative": lambda: products("Multiplicative"),
    "gauss_newton, lstm": lambda: products("LSTM"),
    "gauss_newton, gru": lambda: products("GRU"),
    "training, multiplicative": lambda: training("Multiplicative"),
}


def serve() -> None:
    """Do the jobs whose names come in, and send the seconds back."""
    import reservoir

    if not Path(reservoir.__file__).is_relative_to(Path.cwd()):
        raise SystemExit(f"reservoir was imported from {reservoir.__file__}")
    ready: dict[str, Job] = {}
    for line in sys.stdin:
        name = line.rstrip("\n")
        if name not in ready:
            ready[name] = JOBS[name]()
            ready[name]()
        began = time.perf_counter()
        ready[name]()
        print(time.perf_counter() - began, flush=True)


class Worker:
    """A process that does jobs with the packages of a checkout."""

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            # -P: the folder of this file holds modules of its own names.
            [sys.executable, "-P", "-W", "ignore", __file__, "--serve"],
            cwd=checkout,
            env=os.environ | THREADS | {"PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, name: str) -> float:
        """Return how long a job takes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="how their names begin")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each (default 9)")
    chosen = parser.parse_intermixed_args()
    names = [name for name in JOBS if name.startswith(tuple(chosen.cases or [""]))]
    workers = [Worker(path.resolve()) for path in (chosen.before, chosen.after)]
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {chosen.rounds} turns")
    print("| work | before, ms | after, ms | ratio | quartiles |\n|---|---|---|---|---|")
    try:
        for name in names:
            turns = np.array(
                [[worker.seconds(name) for worker in workers] for _ in range(chosen.rounds)]
            )
            before, after = 1e3 * np.median(turns, axis=0)
            low, ratio, high = np.percentile(turns[:, 1] / turns[:, 0], [25, 50, 75])
            print(
                f"| {name} | {before:.1f} | {after:.1f} | {ratio:.2f} | {low:.2f} to {high:.2f} |"
            )
    finally:
        for worker in workers:
            worker.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        main()
