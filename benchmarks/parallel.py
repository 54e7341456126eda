"""What a second core brings: `n_jobs` of reservoirs, and sequences of a batch spread over threads.

    python -m benchmarks parallel

Reservoirs of 64 and 300 units fit 200 sequences of 500 steps and predict them, with `n_jobs=1` and
`n_jobs=2`. The gradient and the Gauss-Newton product of two nets (vanilla, T=100, 200 sequences,
100 units; multiplicative, T=100, 32 sequences, 300 units and factors) are those of the net itself
and of `ParallelObjective(network, n_jobs=2)`. Each pair takes turns within one process; printed are
medians in ms and the median of the ratios of each turn, against one job with one BLAS thread and
against one job with nothing set.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np

from hessianfree import Batch, ElmanCell, MultiplicativeCell, ParallelObjective, SequenceNetwork
from hessianfree.cells import Cell
from reservoir import ESNRegressor, limit_threads

Work = Callable[[], object]


def on_one_thread(work: Work) -> Work:
    """Return the work under one BLAS thread."""

    def limited() -> object:
        with limit_threads(1):
            return work()

    return limited


def compare(name: str, one_job: Work, two_jobs: Work, n_turns: int) -> None:
    """Print how much faster two jobs are."""
    contestants = [on_one_thread(one_job), one_job, two_jobs]
    seconds: list[list[float]] = []
    for work in contestants:
        work()
    for turn in range(n_turns):
        row = [0.0] * 3
        for index in np.roll(range(3), turn):
            begun = time.perf_counter()
            contestants[index]()
            row[index] = time.perf_counter() - begun
        seconds.append(row)
    thread, nothing, two = (1e3 * statistics.median(column) for column in zip(*seconds))
    ratios = [statistics.median(row[k] / row[2] for row in seconds) for k in (0, 1)]
    print(
        f"{name:<44} | {thread:8.1f} | {nothing:8.1f} | {two:8.1f} | "
        f"{ratios[0]:.2f} | {ratios[1]:.2f}",
        flush=True,
    )


def reservoirs(n_turns: int) -> None:
    """Compare jobs of reservoirs."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (200, 500, 1))
    y = np.roll(X, 1, axis=1)
    for n_units in (64, 300):
        one, two = (
            ESNRegressor(n_units, washout=20, n_jobs=n, random_state=0).fit(X, y) for n in (1, 2)
        )
        name = f"{n_units} units, 200 sequences of 500 steps"
        compare(f"fit, {name}", lambda e=one: e.fit(X, y), lambda e=two: e.fit(X, y), n_turns)
        compare(f"predict, {name}", lambda e=one: e.predict(X), lambda e=two: e.predict(X), n_turns)


def network_jobs(name: str, cell: Cell, n_sequences: int, n_turns: int) -> None:
    """Compare a net with itself on two threads."""
    rng = np.random.default_rng(0)
    shape = (100, n_sequences, 2)
    batch = Batch(rng.normal(size=shape), rng.normal(size=(*shape[:2], 1)))
    network = SequenceNetwork(cell, 1)
    params = rng.normal(size=network.n_params) / np.sqrt(10 * cell.n_units)
    v = rng.normal(size=network.n_params)
    with ParallelObjective(network, n_jobs=2) as parallel:
        compare(
            f"gradient, {name}",
            lambda: network.value_and_gradient(params, batch),
            lambda: parallel.value_and_gradient(params, batch),
            n_turns,
        )
        whole, shards = (net.linearize(params, batch) for net in (network, parallel))
        compare(
            f"product, {name}",
            lambda: whole.gauss_newton_product(v),
            lambda: shards.gauss_newton_product(v),
            n_turns,
        )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    n_turns = 5 if parser.parse_args().quick else 11
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{len(os.sched_getaffinity(0))} cores, load before {load}; medians in ms")
    print(
        f"{'':<44} | {'1 thread':>8} | {'1 job':>8} | {'2 jobs':>8} | faster than: 1 thread | 1 job"
    )
    reservoirs(n_turns)
    network_jobs("vanilla, 100 units, 200 sequences", ElmanCell(2, 100), 200, n_turns)
    multiplicative = MultiplicativeCell(2, 300, 300)
    network_jobs("multiplicative, 300 units, 32 sequences", multiplicative, 32, n_turns)


if __name__ == "__main__":
    main()
