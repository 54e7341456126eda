"""Seconds of folding states into the sums of a readout, with and without copies of their rows.

    python -m benchmarks.fold [--quick]

States come in chunks of 256 rows, as from a reservoir, and are gathered and folded 2,048 at a time:
"as they are", then shifted piece by piece, or shifted as they are gathered. "Product alone" is what
BLAS takes for their sums. One thread; contestants take turns, and printed are medians of processor
time, and of the ratio to the product in the same round.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.readout import reservoir_states
from reservoir.harvest._buffer import ROWS_PER_FOLD, RowBuffer
from reservoir.readout import FeatureMap, RidgeAccumulator
from reservoir.utils.blas import add_symmetric_products

CHUNK = 256
STATES_ALONE = FeatureMap(include_input=False)


class AsTheyAre:
    """Takes rows as they are only."""

    def __init__(self, accumulator: RidgeAccumulator) -> None:
        self.update = accumulator.update


def fold(states: np.ndarray, n_rows: int, wrap: Callable[[RidgeAccumulator], Any]) -> None:
    """Fold rows, going round the states that there are."""
    buffer = RowBuffer(wrap(RidgeAccumulator(states.shape[1], 3, smallest_alpha=1e-3)))
    for start in range(0, n_rows, CHUNK):
        rows = states[start % len(states) :][:CHUNK]
        buffer.append(STATES_ALONE, rows, rows[:, :0], rows[:, :3], None)
    buffer.flush()


def product(states: np.ndarray, n_rows: int) -> None:
    """Make the sums alone."""
    sums = np.zeros((states.shape[1],) * 2, order="F")
    for _ in range(n_rows // len(states)):
        for half in np.split(states, 2):
            add_symmetric_products(sums, half)


def report(n_units: int, n_rows: int, n_rounds: int) -> None:
    """Print one line."""
    states = reservoir_states(n_units, ROWS_PER_FOLD)
    tasks: dict[str, Callable[[], None]] = {
        "product": lambda: product(states, n_rows),
        "as they are": lambda: fold(states, n_rows, AsTheyAre),
        "shifted": lambda: fold(states, n_rows, lambda accumulator: accumulator),
    }
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(n_rounds):
        for name, task in tasks.items():
            start = time.process_time()
            task()
            seconds[name].append(time.process_time() - start)
    alone, copied, shifted = (np.array(values) for values in seconds.values())
    print(
        f"| {n_units:,} | {np.median(alone):.2f} | {np.median(copied / alone):.2f} "
        f"| {np.median(shifted / alone):.2f} | {np.median(copied / shifted):.2f} |",
        flush=True,
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="300 units, one round")
    quick = parser.parse_args().quick
    print("| units | product alone, s | as they are | shifted | times faster |")
    print("| --- | --- | --- | --- | --- |")
    with threadpool_limits(1):
        for n_units, n_rounds in ((300, 1),) if quick else ((300, 21), (1_000, 7), (3_000, 1)):
            report(n_units, 10 * ROWS_PER_FOLD, n_rounds)


if __name__ == "__main__":
    main()
