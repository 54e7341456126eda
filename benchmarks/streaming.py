"""Peak memory of learning from, and predicting, up to ten million steps.

    python -m benchmarks.streaming [--quick]

A reservoir of 30 units learns the product of the last two inputs, from a generator of chunks of
10,000 steps (`fit_stream`) or from two memory-mapped files of float32 (`fit`), and predicts it
chunk by chunk (`predict_stream`). Each length is a process of its own. "Peak" is the most memory
that was resident at any time; "growth" is what it rose by from the first steps on, counted without
the pages of mapped files, which the system takes back when it needs them. Learning from a file and
from chunks must give the same readout; printed is how far apart the weights are.

Then microseconds of `predict_stream` for a chunk of one row, beside `step`, which takes turns with
it: medians of processor time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from reservoir import ESNRegressor

CHUNK = 10_000
N_UNITS = 30
Chunk = tuple[np.ndarray, np.ndarray]


def chunks(n_steps: int) -> Iterator[Chunk]:
    """Yield consecutive inputs and targets, 10,000 steps at a time."""
    rng, past = np.random.default_rng(0), np.zeros(2)
    for _ in range(n_steps // CHUNK):
        u = rng.uniform(-1, 1, size=CHUNK).astype(np.float32)
        heard = np.concatenate([past, u])
        yield u[:, np.newaxis], (heard[1:-1] * heard[:-2]).astype(np.float32)
        past = heard[-2:]


def memory(kind: str) -> float:
    """Return MiB of resident memory: "VmHWM" at its peak, "RssAnon" now and without files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind + ":"):
            return int(line.split()[1]) / 1024
    return float("nan")


class Watch:
    """Notes the largest anonymous memory while it is open, every 20 ms."""

    def __enter__(self) -> Watch:
        self.start = self.peak = memory("RssAnon")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, memory("RssAnon"))

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def new_esn() -> ESNRegressor:
    return ESNRegressor(
        N_UNITS, input_scaling=0.3, bias_scaling=1.0, alpha=1e-3, washout=100, random_state=0
    )


def predict(
    esn: ESNRegressor, inputs: Iterator[np.ndarray], targets: Iterator[np.ndarray]
) -> float:
    """Return the root of the mean squared error over all steps."""
    total = n_steps = 0
    for outputs, y in zip(esn.predict_stream(inputs), targets):
        total += float(np.square(outputs - y).sum())
        n_steps += len(y)
    return (total / n_steps) ** 0.5


def measure(source: str, n_steps: int, folder: str) -> str:
    """Return one row of the table."""
    new_esn().fit_stream(chunks(CHUNK))  # compiles
    esn, start = new_esn(), time.perf_counter()
    if source == "generator":
        with Watch() as watch:
            esn.fit_stream(chunks(n_steps))
            fitted = time.perf_counter()
            error = predict(esn, (X for X, _ in chunks(n_steps)), (y for _, y in chunks(n_steps)))
    else:
        X, y = (np.load(Path(folder, f"{name}.npy"), mmap_mode="r") for name in "Xy")
        cuts = range(0, n_steps, CHUNK)
        with Watch() as watch:
            esn.fit(X, y)
            fitted = time.perf_counter()
            error = predict(esn, (X[i : i + CHUNK] for i in cuts), (y[i : i + CHUNK] for i in cuts))
    done = time.perf_counter()
    apart = ""
    coef = Path(folder, "coef.npy")
    if coef.exists():
        apart = f"{np.abs(np.load(coef) - esn.coef_).max() / np.abs(esn.coef_).max():.0e}"
    np.save(coef, esn.coef_)
    return (
        f"| {source} | {n_steps:,} | {fitted - start:.1f} | {done - fitted:.1f} "
        f"| {memory('VmHWM'):.0f} | {watch.peak - watch.start:.1f} | {error:.4f} | {apart} |"
    )


def write_files(n_steps: int, folder: str) -> None:
    """Write the whole series to two files, chunk by chunk."""
    files = [
        np.lib.format.open_memmap(
            Path(folder, f"{name}.npy"), mode="w+", dtype=np.float32, shape=shape
        )
        for name, shape in (("X", (n_steps, 1)), ("y", (n_steps,)))
    ]
    for index, chunk in enumerate(chunks(n_steps)):
        for file, rows in zip(files, chunk):
            file[index * CHUNK : (index + 1) * CHUNK] = rows


def microseconds_a_row(n_units: int, feedback: float, n_rows: int, n_turns: int) -> list[float]:
    """Return medians of `predict_stream` for chunks of one row, and of `step`."""
    u = np.random.default_rng(0).uniform(-1, 1, size=(max(n_rows, 1_000), 1))
    esn = ESNRegressor(n_units, feedback_scaling=feedback, alpha=1e-3, random_state=0)
    esn.fit(u[:1_000], np.roll(u[:1_000, 0], 1))
    tasks: list[Callable[[], object]] = [
        lambda: list(esn.predict_stream(u[i : i + 1] for i in range(n_rows))),
        lambda: [esn.step(u[i]) for i in range(n_rows)],
    ]
    times = []
    for _ in range(n_turns):
        for task in tasks:
            start = time.process_time()
            task()
            times.append((time.process_time() - start) / n_rows * 1e6)
    return [float(np.median(times[i::2])) for i in (0, 1)]


def report_rows(quick: bool) -> None:
    """Print the table of single rows."""
    print("\n| units | feedback | `predict_stream`, µs a row | `step`, µs |")
    print("| --- | --- | --- | --- |")
    for n_units in (100,) if quick else (100, 300, 1_000):
        for feedback in (0.0, 0.1):
            stream, step = microseconds_a_row(n_units, feedback, 200 if quick else 3_000, 5)
            print(f"| {n_units:,} | {'yes' if feedback else 'no'} | {stream:.1f} | {step:.1f} |")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="up to 100,000 steps")
    parser.add_argument("--one", nargs=3, metavar=("SOURCE", "N_STEPS", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.one:
        source, n_steps, folder = arguments.one
        print(measure(source, int(n_steps), folder))
        return
    lengths = (10_000, 100_000) if arguments.quick else (100_000, 1_000_000, 10_000_000)
    print(
        "| source | steps | fit, s | predict, s | peak, MiB | growth, MiB | RMSE | weights apart |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for n_steps in lengths:
        with tempfile.TemporaryDirectory() as folder:
            write_files(n_steps, folder)
            for source in ("generator", "files"):
                command = [sys.executable, "-m", "benchmarks.streaming", "--one"]
                subprocess.run([*command, source, str(n_steps), folder], check=True, env=os.environ)
    report_rows(arguments.quick)


if __name__ == "__main__":
    main()
