"""Run the benchmarks and write what they print to `benchmarks/RESULTS.md`.

    python -m benchmarks [--quick] [NAME ...]

Each benchmark is a process of its own, on one thread unless it is about threads, and a section of
its own in the file, which it replaces; some are run again with nothing set. Without names all of
them run, save those for a GPU where there is none.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from reservoir.utils.device import resolve_device

RESULTS = Path(__file__).with_name("RESULTS.md")
INTRODUCTION = """# Results

Contestants take turns within one run, on one thread where nothing else is said; figures are
medians, and ratios say more than seconds.
"""
BENCHMARKS = {
    "creation": "Creating reservoirs, and how right their spectral radius is",
    "states": "Running states: driven, batched, closed loop",
    "readout": "The readout: accumulating and solving",
    "fold": "Folding states, with and without copies of their rows",
    "alphas": "A list of alphas at the price of one",
    "fit": "Learning a whole network",
    "sweep": "Trying 100 candidates",
    "streaming": "Ten million steps in constant memory",
    "online": "Learning online: a live step, and a long run",
    "fields": "Forecasting fields, and Lorenz without a reservoir",
    "gated_cells": "Gradients and Gauss-Newton products of LSTM and GRU nets",
    "anomalies": "Anomalies: injected faults, and who finds them",
    "uneven": "Sequences of uneven lengths, against as many steps in even ones",
    "first_call": "The first call in a new environment, and in a new process",
    "limits": "How far from the limit",
    "threads": "Threads: what a user gets with nothing set",
    "parallel": "A second core: n_jobs, and sequences spread over threads",
    "gpu": "On a GPU",
}
# Those that are not worth a run without one.
NEED_DEVICE = {"gpu"}
# Those that are about threads.
CHOOSE_THREADS = {"threads", "parallel", "sweep"}
# Those that are run a second time with nothing set, as a user gets it.
RUN_TWICE = {"fit"}
PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "reservoirpy", "jax", "torch")
THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "NUMBA", "MKL")}


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} logical cores" if names else platform.processor()


def versions() -> str:
    """Return the versions of what the figures depend on."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def run(name: str, quick: bool, *more: str) -> str:
    """Return what a benchmark prints."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *["--quick"] * quick, *more]
    threads = {} if name in CHOOSE_THREADS else THREADS
    process = subprocess.run(
        command, env={**os.environ, **threads}, check=True, stdout=subprocess.PIPE, text=True
    )
    return process.stdout.strip("\n")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer turns")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}")
    left_out = NEED_DEVICE if resolve_device("auto") == "cpu" else set()
    for name in arguments.names or [name for name in BENCHMARKS if name not in left_out]:
        print(f"{name} ...", flush=True)
        write_section(BENCHMARKS[name], section(name, arguments.quick))
    print(f"wrote {RESULTS}")


def section(name: str, quick: bool) -> str:
    """Return what a benchmark printed, and on what."""
    output = run(name, quick)
    if name in RUN_TWICE:
        again = run(name, quick, "--default-threads")
        output = f"ONE THREAD\n{output}\n\nNOTHING SET\n{again}"
    return (
        f"`python -m benchmarks {'--quick ' * quick}{name}`, {datetime.now(UTC):%Y-%m-%d}, "
        f"{processor()}, {platform.system()}; {versions()}.\n\n```text\n{output}\n```\n"
    )


def write_section(title: str, text: str) -> None:
    """Put a section in the place of the one of the same title, or last; leave the others."""
    old = RESULTS.read_text() if RESULTS.exists() else INTRODUCTION
    head, *rest = re.split(r"(?m)^## ", old)
    sections = dict(part.split("\n", 1) for part in rest)
    sections[title] = f"\n{text}"
    parts = [f"## {name}\n\n{body.strip()}\n" for name, body in sections.items()]
    RESULTS.write_text("\n".join([head.strip() + "\n", *parts]))


if __name__ == "__main__":
    main()
