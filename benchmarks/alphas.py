"""Seconds of learning with a list of penalties, over those with one.

    python -m benchmarks.alphas [--quick]

``ESNRegressor`` learns 20,000 steps of noisy targets with ``alpha=1e-3`` and with
``alpha=numpy.logspace(-8, 2, 21)``, by turns, on one thread; printed are medians of processor time
and of the ratio in the same round, and the alpha that was chosen, beside the one that
``solver="qr"`` chooses, which resolves all of them. Then the same with ``solver="qr"`` itself: one
alpha, and the list, over one alpha of ``solver="gram"``.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.fit import data
from reservoir import ESNRegressor

ALPHAS = np.logspace(-8, 2, 21)
# Units and rounds.
SIZES = ((300, 7), (1_000, 3), (3_000, 1))
KINDS: dict[str, tuple[str, float | np.ndarray]] = {
    "one": ("gram", 1e-3),
    "list": ("auto", ALPHAS),
    "qr": ("qr", 1e-3),
    "qr list": ("qr", ALPHAS),
}


def report(n_units: int, n_steps: int, n_rounds: int) -> None:
    """Print one line."""
    inputs, targets = data(n_steps)
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    chosen: dict[str, float] = {}
    for _ in range(n_rounds):
        for kind, (solver, alpha) in KINDS.items():
            esn = ESNRegressor(
                n_units, alpha=alpha, alpha_cv=None, solver=solver, washout=100, random_state=0
            )
            start = time.process_time()
            esn.fit(inputs, targets)
            seconds[kind].append(time.process_time() - start)
            chosen[kind] = float(esn.alpha_)
    one = np.array(seconds["one"])
    cells = [f"{n_units:,}", f"{np.median(one):.2f}"]
    cells += [f"{np.median(np.array(seconds[kind]) / one):.2f}" for kind in list(KINDS)[1:]]
    cells += [f"{chosen['list']:.2g}", f"{chosen['qr list']:.2g}"]
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="300 units, 4,000 steps, one round")
    parser.add_argument("--units", type=int, choices=[n for n, _ in SIZES], help="of one size only")
    arguments = parser.parse_args()
    sizes = [size for size in SIZES if arguments.units in (None, size[0])]
    print('| units | one alpha, s | list | one, "qr" | list, "qr" | alpha | alpha, "qr" |')
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with threadpool_limits(1):
        ESNRegressor(50).fit(*data(500))  # compiles
        for n_units, n_rounds in [(300, 1)] if arguments.quick else sizes:
            report(n_units, 4_000 if arguments.quick else 20_000, n_rounds)


if __name__ == "__main__":
    main()
