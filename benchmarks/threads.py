"""Threads that a user gets with nothing set, against one thread and all of them.

    python -m benchmarks.threads [--quick]

No variable is set here. Four settings take turns within each process: what the library chooses,
`limit_threads(1)`, `limit_threads` of all cores, and BLAS left alone, which is every call with as
many threads as there are cores. Printed are medians in ms, and the median of the ratios to the best
of one thread and all on the same turn. This happens three times over: on the machine as it is, with
OPENBLAS_NUM_THREADS=16, and beside a busy process on each core, where the ratio is to one thread.
Reservoirpy, where it is installed, fits under the same conditions, on one thread and left alone;
its last figure is how many times as long it takes, left alone, as our fit with nothing set.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from threadpoolctl import threadpool_limits

CONDITIONS = ("nothing set", "OPENBLAS_NUM_THREADS=16", "a busy process on each core")
SETTINGS = ("chosen", "one", "all", "left alone")
BLAS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def reservoir_work(n_units: int) -> dict[str, Callable[[], object]]:
    """Return fit, forecast and search of one size."""
    from reservoir import ESNRegressor
    from reservoir.search import ReservoirSearchCV

    rng = np.random.default_rng(0)
    n_steps = 20_000 if n_units < 3_000 else 8_000
    X = rng.uniform(-1, 1, size=(n_steps, 1))
    y = np.roll(X, 1, axis=0) + 0.1 * rng.normal(size=X.shape)
    settings = {"washout": 100, "random_state": 0}
    esn = ESNRegressor(n_units, alpha=np.logspace(-6, 4, 11), **settings)
    fitted = ESNRegressor(n_units, alpha=1.0, input_scaling=0.1, **settings)
    fitted.fit(X[:4000], y[:4000])
    work: dict[str, Callable[[], object]] = {
        "fit": lambda: esn.fit(X, y),
        "predict": lambda: fitted.predict(X),
        "forecast": lambda: fitted.forecast(1000),
    }
    if n_units <= 1000:
        search = ReservoirSearchCV(
            ESNRegressor(n_units, alpha=1.0, **settings),
            {"leak_rate": [0.3, 1.0], "spectral_radius": [0.7, 0.9]},
            cv=2,
        )
        work["search"] = lambda: search.fit(X[:4000], y[:4000])
    return work


def network_work(n_units: int) -> dict[str, Callable[[], object]]:
    """Return gradient, product and two iterations of training of one size."""
    from hessianfree import Batch, ElmanCell, HessianFree, SequenceNetwork, start, train
    from hessianfree.training import Minibatches

    rng = np.random.default_rng(0)
    n_steps, n_sequences = (100, 200) if n_units < 1_000 else (50, 50)
    batch = Batch(
        rng.normal(size=(n_steps, n_sequences, 2)), rng.normal(size=(n_steps, n_sequences, 1))
    )
    network = SequenceNetwork(ElmanCell(2, n_units), 1)
    params = rng.normal(size=network.n_params) / np.sqrt(n_units)
    v = rng.normal(size=network.n_params)
    linearization = network.linearize(params, batch)
    begin = start(HessianFree(max_cg_iterations=5), params, 0)
    return {
        "gradient": lambda: network.value_and_gradient(params, batch),
        "product": lambda: linearization.gauss_newton_product(v),
        "train": lambda: train(
            network, HessianFree(max_cg_iterations=5), Minibatches(batch), begin, n_iterations=1
        ),
    }


def rival_work(n_units: int) -> dict[str, Callable[[], object]]:
    """Return the fit of reservoirpy, where it is installed."""
    if importlib.util.find_spec("reservoirpy") is None or n_units > 1_000:
        return {}
    from reservoirpy import ESN

    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(20_000, 1))

    def fit() -> object:
        model = ESN(units=n_units, sr=0.9, lr=1.0, rc_connectivity=10 / n_units, ridge=1e-3, seed=0)
        return model.fit(X, np.roll(X, 1, axis=0), warmup=100)

    return {"reservoirpy": fit}


@contextlib.contextmanager
def setting(name: str) -> Iterator[None]:
    """Set the threads of this process."""
    from reservoir import limit_threads
    from reservoir.utils.threads import available_cores, callers_threads, calls_of_blas

    with contextlib.ExitStack() as stack:
        if name == "one":
            stack.enter_context(limit_threads(1))
        elif name == "all":
            stack.enter_context(limit_threads(available_cores()))
        elif name == "left alone":
            # Inside, so that the library's own calls are nested and change nothing.
            stack.enter_context(calls_of_blas())
            stack.enter_context(callers_threads())
        yield


def threads_of_others(name: str) -> contextlib.AbstractContextManager[object]:
    """Return the setting for code that does not know this library's."""
    return threadpool_limits(1) if name == "one" else contextlib.nullcontext()


def measure(n_units: int, n_turns: int, with_networks: bool) -> dict[str, dict[str, list[float]]]:
    """Return seconds by work and setting."""
    work = {**reservoir_work(n_units), **rival_work(n_units)}
    if with_networks:
        work |= network_work(n_units)
    seconds: dict[str, dict[str, list[float]]] = {}
    for name, do in work.items():
        settings = SETTINGS if name != "reservoirpy" else ("one", "left alone")
        do()
        seconds[name] = {one: [] for one in settings}
        for turn in range(n_turns):
            # Idle threads of one setting spin on into the next: each comes after each.
            for one in settings[turn % len(settings) :] + settings[: turn % len(settings)]:
                with setting(one) if name != "reservoirpy" else threads_of_others(one):
                    begun = time.perf_counter()
                    do()
                    seconds[name][one].append(time.perf_counter() - begun)
    return seconds


def run(condition: str, n_units: int, quick: bool) -> dict[str, dict[str, list[float]]]:
    """Measure in a process of its own, under a condition."""
    env = {name: value for name, value in os.environ.items() if name not in BLAS_VARIABLES}
    if "=" in condition:
        name, value = condition.split("=")
        env[name] = value
    busy = []
    if condition == CONDITIONS[2]:
        loop = [sys.executable, "-c", "while True: pass"]
        busy = [subprocess.Popen(loop) for _ in range(len(os.sched_getaffinity(0)))]
    command = [sys.executable, "-m", "benchmarks.threads", "--one", str(n_units)]
    try:
        done = subprocess.run(
            [*command, *["--quick"] * quick], env=env, check=True, stdout=subprocess.PIPE, text=True
        )
    finally:
        for process in busy:
            process.kill()
            process.wait()
    found: dict[str, dict[str, list[float]]] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(condition: str, n_units: int, seconds: dict[str, dict[str, list[float]]]) -> None:
    """Print one line for each work."""
    for name, by_setting in seconds.items():
        cells = [
            f"{one} {1000 * statistics.median(turns):.4g}" for one, turns in by_setting.items()
        ]
        ratio = ""
        if "chosen" in by_setting:
            rivals = ("one",) if condition == CONDITIONS[2] else ("one", "all")
            best = [min(turn) for turn in zip(*(by_setting[one] for one in rivals), strict=True)]
            ratios = [own / other for own, other in zip(by_setting["chosen"], best, strict=True)]
            ratio = f" | chosen / best of {' and '.join(rivals)} {statistics.median(ratios):.2f}"
        else:
            ours = statistics.median(seconds["fit"]["chosen"])
            ratio = (
                f" | left alone / our fit {statistics.median(by_setting['left alone']) / ours:.1f}"
            )
        print(f"{n_units:6d} | {name:<11} | {' | '.join(cells)}{ratio}", flush=True)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--one", type=int, metavar="UNITS")
    arguments = parser.parse_args()
    if arguments.one:
        n_turns = 3 if arguments.quick or arguments.one >= 1_000 else 7
        print(json.dumps(measure(arguments.one, n_turns, with_networks=arguments.one <= 1_000)))
        return
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{len(os.sched_getaffinity(0))} cores, load before {load}; medians in ms")
    for condition in CONDITIONS:
        print(f"\n{condition}")
        for n_units in (100, 300) if arguments.quick else (100, 300, 1_000, 3_000):
            report(condition, n_units, run(condition, n_units, arguments.quick))


if __name__ == "__main__":
    main()
