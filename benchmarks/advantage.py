"""How many bits a character is the multiplicative net ahead of a vanilla one of as many weights?

    python -m benchmarks.advantage LOG LOG ...

The logs are those of `python -m benchmarks.characters --log LOG`, of both cells with the same
seeds: nets of one seed see the same windows at the same iteration. Differences are taken pair by
pair, at the same seconds of training, and between the moments that the validation text chose; the
intervals are those of Student's t at 95 %. Published are 0.09 bits, for larger
nets and days of training (Sutskever, Martens & Hinton, 2011).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

CELLS = ("multiplicative", "vanilla")
N_TIMES = 4


def read(paths: Sequence[Path]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Return the rows of each run, by cell and seed; the last one is its result."""
    runs = {}
    for path in paths:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        runs[rows[-1]["cell"], rows[-1]["seed"]] = rows
    return runs


def bits_at(rows: list[dict[str, Any]], seconds: float) -> float:
    """Return the bits of the validation text, between two validations on the line of their logs."""
    seen = [row for row in rows if "validation_bits" in row]
    times = np.log([row["seconds"] for row in seen])
    return float(np.interp(np.log(seconds), times, [row["validation_bits"] for row in seen]))


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Return the mean of some differences and half the width of its 95 % interval."""
    half = stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences)
    return float(np.mean(differences)), float(half)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", type=Path, nargs="+", help="JSON, a line a validation")
    runs = read(parser.parse_args().logs)
    seeds = sorted(seed for cell, seed in runs if cell == CELLS[0])
    print("| | " + " | ".join(CELLS) + " | advantage, bits/character | of each seed |")
    print("|---|---|---|---|---|")

    def row(name: str, bits: dict[str, list[float]]) -> None:
        differences = np.subtract(bits[CELLS[1]], bits[CELLS[0]])
        mean, half = interval(differences)
        means = " | ".join(f"{np.mean(bits[cell]):.3f}" for cell in CELLS)
        each = ", ".join(f"{difference:.3f}" for difference in differences)
        print(f"| {name} | {means} | {mean:.3f} ± {half:.3f} | {each} |")

    results = {cell: [runs[cell, seed][-1] for seed in seeds] for cell in CELLS}
    last = min(result["seconds"] for of_cell in results.values() for result in of_cell)
    for seconds in np.floor(last / 2.0 ** np.arange(N_TIMES)[::-1]):
        bits = {cell: [bits_at(runs[cell, seed], seconds) for seed in seeds] for cell in CELLS}
        row(f"validation, after {seconds:.0f} s", bits)
    for name, key in {"validation, best": "best_validation_bits", "test": "test_bits"}.items():
        row(name, {cell: [result[key] for result in results[cell]] for cell in CELLS})
    for cell in CELLS:
        counts = ", ".join(str(result["iterations"]) for result in results[cell])
        print(f"\n{cell}: {results[cell][0]['n_params']:,} weights; iterations: {counts}")


if __name__ == "__main__":
    main()
