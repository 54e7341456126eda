"""Time and memory of the readout.

    python -m benchmarks.readout [--quick]

One thread; what is compared takes turns, and medians of CPU seconds are printed (without a second
thread they are the wall time of an idle machine). Peak memory is measured twice: the arrays that
Python sees (tracemalloc), and by how much the resident size of a fresh process grows.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from reservoir.readout import GramAccumulator, QRAccumulator, RidgeAccumulator, solve_ridge

CHUNK = 2048
N_ROWS = 20_000
N_TARGETS = 3
ALPHA = 1e-6
# One that drowns the rounding of products in float32.
LARGE_ALPHA = 1e4
PATH = np.logspace(-6, 2, 20)
KINDS = {"gram": GramAccumulator, "qr": QRAccumulator}


def reservoir_states(n_units: int, n_steps: int, dtype: type = np.float64) -> np.ndarray:
    """Return states of a tanh reservoir with ten connections a unit, driven by noise."""
    rng = np.random.default_rng(0)
    sources = rng.integers(0, n_units, (10, n_units))
    weights = rng.uniform(-0.5, 0.5, (10, n_units))
    drive, inputs = rng.uniform(-0.5, 0.5, n_steps), rng.uniform(-1, 1, n_units)
    states = np.zeros((n_steps + 1, n_units), dtype)
    for step in range(n_steps):
        states[step + 1] = np.tanh(
            (weights * states[step][sources]).sum(axis=0) + drive[step] * inputs
        )
    return states[1:]


def chunks(states: np.ndarray, n_rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield `n_rows` rows of features and targets, going round the states that there are."""
    done = 0
    while done < n_rows:
        rows = states[: min(len(states), n_rows - done)]
        yield rows, rows[:, :N_TARGETS] * 2.0
        done += len(rows)


def fit(kind: str, states: np.ndarray, n_rows: int, alphas: float | np.ndarray) -> None:
    """Accumulate and solve."""
    sums = KINDS[kind](states.shape[1], N_TARGETS)
    for features, targets in chunks(states, n_rows):
        sums.update(features, targets)
    solve_ridge(sums, alphas)


def fit_single(states: np.ndarray, n_rows: int) -> None:
    """Accumulate float32 rows in float32 where that is allowed, and solve."""
    sums = RidgeAccumulator(
        states.shape[1], N_TARGETS, smallest_alpha=LARGE_ALPHA, allow_single=True
    )
    for features, targets in chunks(states, n_rows):
        sums.update(features, targets)
    solve_ridge(sums, LARGE_ALPHA)


def gram_product(states: np.ndarray, n_rows: int) -> None:
    """Sum SᵀS alone, as NumPy does it: the yardstick."""
    gram = np.zeros((states.shape[1],) * 2)
    for features, _ in chunks(states, n_rows):
        gram += features.T @ features


def medians(tasks: dict[str, Callable[[], None]], n_turns: int) -> dict[str, float]:
    """Return median CPU seconds of each task; the tasks take turns."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(n_turns):
        for name, task in tasks.items():
            start = time.process_time()
            task()
            times[name].append(time.process_time() - start)
    return {name: float(np.median(values)) for name, values in times.items()}


def traced_peak(task: Callable[[], None]) -> float:
    """Return the peak of what Python allocates during a task, in MiB."""
    tracemalloc.start()
    task()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def resident_peak(kind: str, n_units: int, path: bool) -> float:
    """Return how much a fit adds to the peak resident size of a fresh process, in MiB."""
    command = [sys.executable, "-m", "benchmarks.readout", "--resident", kind, str(n_units)]
    return float(subprocess.check_output([*command, *["--path"] * path], text=True))


def print_resident(kind: str, n_units: int, path: bool) -> None:
    """Run one fit and print by how many MiB the peak resident size grew."""
    states = reservoir_states(n_units, CHUNK)
    # What BLAS and LAPACK keep for themselves once they have run is not the fit's.
    fit(kind, states[:, :50].copy(), 500, PATH)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fit(kind, states, 2 * CHUNK, PATH if path else ALPHA)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((after - before) / 1024)


def report_memory(sizes: list[int]) -> None:
    """Print one line a size."""
    print("Peak memory of accumulating and solving, MiB: traced / resident")
    print("units |           Gram           path |             QR           path")
    cases = [(kind, alphas) for kind in KINDS for alphas in (ALPHA, PATH)]
    # A child inherits the peak of its parent, so this must come before anything large.
    resident = {n: [resident_peak(kind, n, a is PATH) for kind, a in cases] for n in sizes}
    for n_units in sizes:
        states = reservoir_states(n_units, CHUNK)
        traced = [traced_peak(partial(fit, kind, states, 2 * CHUNK, a)) for kind, a in cases]
        cells = [f"{a:6.1f} / {b:5.1f}" for a, b in zip(traced, resident[n_units], strict=True)]
        print(f"{n_units:5d} | {cells[0]} {cells[1]} | {cells[2]} {cells[3]}", flush=True)


def report_time(n_units: int, n_rows: int, n_turns: int) -> None:
    """Print one line."""
    states = reservoir_states(n_units, CHUNK)
    tasks: dict[str, Callable[[], None]] = {"product": partial(gram_product, states, n_rows)}
    for kind in KINDS:
        tasks[kind] = partial(fit, kind, states, n_rows, ALPHA)
        tasks[kind + " path"] = partial(fit, kind, states, n_rows, PATH)
    tasks["narrow"] = partial(fit_single, states.astype(np.float32), n_rows)
    seconds = medians(tasks, n_turns)
    cells = [f"{n_units:5d}", f"{seconds['product']:5.2f} s"]
    for kind in KINDS:
        one, path = seconds[kind], seconds[kind + " path"]
        cells.append(f"{one:5.2f} s {path:5.2f} s {path / one:5.2f}")
    cells.append(f"{seconds['qr'] / seconds['gram']:7.2f}")
    cells.append(f"{seconds['narrow'] / seconds['gram']:7.2f}")
    print(" | ".join(cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="300 and 1,000 units only")
    parser.add_argument("--resident", nargs=2, metavar=("KIND", "UNITS"), help=argparse.SUPPRESS)
    parser.add_argument("--path", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with threadpool_limits(1):
        if arguments.resident:
            print_resident(arguments.resident[0], int(arguments.resident[1]), arguments.path)
            return
        sizes = [300, 1000] if arguments.quick else [300, 1000, 3000]
        report_memory(sizes)
        print(f"\n{N_ROWS} rows, {N_TARGETS} targets, path of {len(PATH)} alphas")
        print("units | product |    Gram    path ratio |      QR    path ratio | QR/Gram | f32/f64")
        for n_units in sizes:
            report_time(n_units, N_ROWS, 5 if n_units <= 1000 else 1)


if __name__ == "__main__":
    main()
