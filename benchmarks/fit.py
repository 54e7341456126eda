"""Time and memory of learning a whole network: reservoir, states and readout.

    python -m benchmarks.fit [--quick] [--default-threads]

One thread, or with `--default-threads` nothing set, for all contestants alike. Each fit runs in a
process of its own, so that its peak memory is its own: the highest resident size during `fit` less
that just before it. Contestants take turns; printed are medians, and the median of the ratio to
ours (Gram, float64) on the same turn. An alpha of 100 drowns the rounding of products in float32,
which are made then; one of 1e-3 does not. Reservoirpy is included where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

N_OUTPUTS = 3
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "NUMBA", "MKL")}
CONTESTANTS = (
    "gram float64",
    "gram float32",
    "auto float64, alpha 100",
    "auto float32, alpha 100",
    "qr float64",
    "gram float64, no numba",
    "reservoirpy",
)
# Units, steps and whether to time QR too, which at 10,000 units takes minutes.
SIZES = ((100, 20_000, True), (300, 20_000, True), (1_000, 20_000, True), (3_000, 20_000, True),
         (10_000, 12_000, False))  # fmt: skip


def data(n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one input and three noisy targets that depend on its past."""
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, size=(n_steps, 1))
    past = np.hstack([np.roll(inputs, lag) for lag in (1, 2, 3)])
    return inputs, past + 0.1 * rng.normal(size=past.shape)


def ours(
    solver: str, dtype: str, n_units: int, alpha: float
) -> Callable[[np.ndarray, np.ndarray], object]:
    """Return the fit of an ESNRegressor."""
    from reservoir import ESNRegressor

    def fit(inputs: np.ndarray, targets: np.ndarray) -> object:
        model = ESNRegressor(
            n_units, solver=solver, dtype=dtype, alpha=alpha, washout=100, random_state=0
        )
        return model.fit(inputs, targets)

    return fit


def reservoirpy(n_units: int) -> Callable[[np.ndarray, np.ndarray], object]:
    """Return the fit of reservoirpy's ESN with the same settings."""
    from reservoirpy import ESN

    def fit(inputs: np.ndarray, targets: np.ndarray) -> object:
        model = ESN(units=n_units, sr=0.9, lr=1.0, rc_connectivity=10 / n_units, ridge=1e-3, seed=0)
        return model.fit(inputs, targets, warmup=100)

    return fit


def make(contestant: str, n_units: int) -> Callable[[np.ndarray, np.ndarray], object]:
    """Return the fit function of a contestant."""
    if contestant == "reservoirpy":
        return reservoirpy(n_units)
    settings, _, more = contestant.partition(", ")
    if more == "no numba":
        # What Python finds None for it takes for not installed.
        sys.modules["numba"] = None  # type: ignore[assignment]
    solver, dtype = settings.split()
    return ours(solver, dtype, n_units, 100.0 if more == "alpha 100" else 1e-3)


def measure(contestant: str, n_units: int, n_steps: int) -> None:
    """Print seconds and mebibytes of one fit, as JSON; runs in its own process."""
    inputs, targets = data(n_steps)
    # A small fit first, so that imports and compilation are done with.
    make(contestant, 50)(inputs[:500], targets[:500])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    make(contestant, n_units)(inputs, targets)
    seconds = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([seconds, (after - before) / 1024]))


def compare(
    n_units: int, n_steps: int, n_turns: int, *, with_qr: bool, env: dict[str, str]
) -> None:
    """Print one line a contestant."""
    has_rival = importlib.util.find_spec("reservoirpy") is not None
    names = [
        name
        for name in CONTESTANTS
        if (has_rival or name != "reservoirpy") and (with_qr or not name.startswith("qr"))
    ]
    results: dict[str, list[list[float]]] = {name: [] for name in names}
    for _ in range(n_turns):
        for name in names:
            command = [sys.executable, "-m", "benchmarks.fit", "--one", name, str(n_units),
                       str(n_steps)]  # fmt: skip
            process = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
            results[name].append(json.loads(process.stdout.splitlines()[-1]))
    print(f"\nfit of {n_units} units, {n_steps} steps, {N_OUTPUTS} outputs, median of {n_turns}")
    for name, turns in results.items():
        ratios = [turn[0] / ours[0] for turn, ours in zip(turns, results[names[0]], strict=True)]
        seconds, memory = (statistics.median(column) for column in zip(*turns, strict=True))
        print(f"  {name:<23} {seconds:7.2f} s   x{statistics.median(ratios):5.2f}"
              f"   {memory:6.0f} MiB")  # fmt: skip


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--default-threads", action="store_true", help="set no variable")
    parser.add_argument("--one", nargs=3, metavar=("NAME", "UNITS", "STEPS"))
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.one[0], int(arguments.one[1]), int(arguments.one[2]))
        return
    env = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    if not arguments.default_threads:
        env |= ONE_THREAD
    for n_units, n_steps, with_qr in SIZES[1:3] if arguments.quick else SIZES:
        n_turns = 1 if n_units == 10_000 else 3 if arguments.quick or n_units == 3_000 else 5
        compare(n_units, n_steps, n_turns, with_qr=with_qr, env=env)


if __name__ == "__main__":
    main()
