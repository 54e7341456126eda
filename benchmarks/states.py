"""Microseconds a step of the recurrence, against a tight loop of NumPy and SciPy.

    python -m benchmarks.states [--quick]

One thread, one process. Rivals take turns, round after round; printed are the median processor
time of each and the median of its ratio to the tight loop of the same round. Reservoirpy is
included where it is installed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse._sparsetools import csr_matvec
from threadpoolctl import threadpool_limits

from reservoir.dynamics import Reservoir, free_run, iterate_sequences
from reservoir.readout import Readout

try:
    import numba  # noqa: F401
except ImportError:
    ENGINES: tuple[str, ...] = ("numpy",)
else:
    ENGINES = ("numpy", "numba")

SIZES = (100, 300, 1_000, 3_000, 10_000)
N_CONNECTIONS = 10
N_SEQUENCES = 64
CHUNK = 2048
Job = Callable[[], Any]


def make_reservoir(n_units: int, dtype: Any, *, leak_rate: float = 1.0, n_outputs: int = 0) -> Any:
    """Return a contracting tanh reservoir with 10 connections a unit and one input."""
    rng = np.random.default_rng(n_units)
    sources = rng.integers(n_units, size=(n_units, N_CONNECTIONS), dtype=np.int32)
    sources.sort(axis=1)
    values = rng.uniform(-1, 1, sources.shape) * 0.9 * np.sqrt(3 / N_CONNECTIONS)
    bounds = np.arange(0, sources.size + 1, N_CONNECTIONS, dtype=np.int32)
    recurrent = csr_array((values.ravel().astype(dtype), sources.ravel(), bounds), (n_units,) * 2)
    feedback = rng.uniform(-0.5, 0.5, (n_units, n_outputs)).astype(dtype) if n_outputs else None
    return Reservoir(
        recurrent,
        rng.uniform(-0.5, 0.5, (n_units, 1)).astype(dtype),
        rng.uniform(-0.5, 0.5, n_units).astype(dtype),
        feedback=feedback,
        leak_rate=leak_rate,
    )


def tight_loop(reservoir: Reservoir, inputs: Any) -> Any:
    """Return the last state by the plainest fast loop: the yardstick."""
    recurrent, leak_rate, n_units = reservoir.recurrent, reservoir.leak_rate, reservoir.n_units
    indptr, indices, data = recurrent.indptr, recurrent.indices, recurrent.data
    weights = np.vstack([reservoir.input.T, reservoir.bias])
    columns = np.hstack([inputs, np.ones_like(inputs[:, :1])])
    states = np.empty((256, n_units), dtype=data.dtype)
    previous = np.zeros(n_units, dtype=data.dtype)
    kept = np.empty_like(previous)
    for start in range(0, len(inputs), 256):
        piece = states[: len(inputs) - start]
        np.dot(columns[start : start + 256], weights, out=piece)
        for t in range(len(piece)):
            row = piece[t]
            csr_matvec(n_units, n_units, indptr, indices, data, previous, row)
            np.tanh(row, out=row)
            if leak_rate != 1:
                row *= leak_rate
                np.multiply(previous, 1 - leak_rate, out=kept)
                row += kept
            previous = row
        previous = previous.copy()
    return previous


def drain(blocks: Iterable[Any]) -> None:
    """Use up blocks of states without keeping them."""
    for _ in blocks:
        pass


def measure(jobs: dict[str, Job], n_rounds: int) -> dict[str, list[float]]:
    """Return the processor seconds of each job in each round, the jobs taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(n_rounds):
        for name, job in jobs.items():
            start = time.thread_time()
            job()
            seconds[name].append(time.thread_time() - start)
    return seconds


def driven_jobs(n_units: int, dtype: Any, n_steps: int, leak_rate: float) -> dict[str, Job]:
    """Return rivals that drive one series of `n_steps`."""
    reservoir = make_reservoir(n_units, dtype, leak_rate=leak_rate)
    inputs = np.random.default_rng(0).uniform(-1, 1, (n_steps, 1)).astype(dtype)
    jobs: dict[str, Job] = {"tight loop": lambda: tight_loop(reservoir, inputs)}
    for engine in ENGINES:
        jobs[engine] = lambda engine=engine: drain(
            iterate_sequences(reservoir, [inputs], engine=engine, chunk_size=256)
        )
    rival = reservoirpy_job(reservoir, inputs)
    return jobs | ({"reservoirpy": rival} if rival else {})


def batched_jobs(n_units: int, dtype: Any, n_steps: int) -> dict[str, Job]:
    """Return rivals that drive 64 series, `n_steps` in all; the tight loop takes them as one."""
    reservoir = make_reservoir(n_units, dtype)
    shape = (N_SEQUENCES, n_steps // N_SEQUENCES, 1)
    inputs = np.random.default_rng(0).uniform(-1, 1, shape).astype(dtype)
    jobs: dict[str, Job] = {"tight loop": lambda: tight_loop(reservoir, inputs.reshape(-1, 1))}
    for engine in ENGINES:
        jobs[engine] = lambda engine=engine: drain(
            iterate_sequences(reservoir, inputs, engine=engine, chunk_size=CHUNK)
        )
    return jobs


def closed_jobs(n_units: int, dtype: Any, n_steps: int) -> dict[str, Job]:
    """Return rivals that run free with one output; the tight loop is the driven one."""
    reservoir = make_reservoir(n_units, dtype, n_outputs=1)
    closed = Reservoir(
        reservoir.recurrent, reservoir.input[:, :0], reservoir.bias, feedback=reservoir.feedback
    )
    rng = np.random.default_rng(0)
    state = rng.uniform(-1, 1, (1, n_units)).astype(dtype) / n_units
    readout = Readout(state=state, intercept=np.zeros(1, dtype=dtype))
    inputs = rng.uniform(-1, 1, (n_steps, 1)).astype(dtype)
    jobs: dict[str, Job] = {"tight loop": lambda: tight_loop(reservoir, inputs)}
    for engine in ENGINES:
        jobs[engine] = lambda engine=engine: free_run(closed, readout, n_steps, engine=engine)
    return jobs


def reservoirpy_job(reservoir: Any, inputs: Any) -> Job | None:
    """Return reservoirpy's run with the same weights, or None where it is not installed."""
    try:
        import reservoirpy
        from reservoirpy.nodes import Reservoir as Rival
    except ImportError:
        return None
    if hasattr(reservoirpy, "verbosity"):
        reservoirpy.verbosity(0)
    node = Rival(
        W=reservoir.recurrent,
        Win=reservoir.input,
        bias=reservoir.bias,
        lr=reservoir.leak_rate,
        dtype=reservoir.dtype.type,
    )
    return lambda: node.run(inputs)


def cases(sizes: Iterable[int]) -> Iterable[tuple[str, int, dict[str, Job], int]]:
    """Yield title, size, rivals and steps of each comparison."""
    for dtype in (np.float64, np.float32):
        name = np.dtype(dtype).name
        for n_units in sizes:
            n_steps = max(512, 2_000_000 // n_units // 256 * 256)
            for leak_rate in (1.0, 0.3):
                title = f"driven, {name}, leak rate {leak_rate}"
                yield title, n_units, driven_jobs(n_units, dtype, n_steps, leak_rate), n_steps
            n_batched = N_SEQUENCES * (256 if n_units <= 1_000 else 64)
            yield (
                f"64 sequences, {name}",
                n_units,
                batched_jobs(n_units, dtype, n_batched),
                n_batched,
            )
            yield f"closed loop, {name}", n_units, closed_jobs(n_units, dtype, n_steps), n_steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two sizes, few rounds")
    quick = parser.parse_args().quick
    print("| case | units | rival | µs a sequence-step | ratio to the tight loop |")
    print("| --- | --- | --- | --- | --- |")
    for title, n_units, jobs, n_steps in cases(SIZES[:3:2] if quick else SIZES):
        with threadpool_limits(1):
            seconds = measure(jobs, 3 if quick else 9)
        base = np.array(seconds["tight loop"])
        for rival, values in seconds.items():
            micro = np.median(values) / n_steps * 1e6
            ratio = np.median(np.array(values) / base)
            print(f"| {title} | {n_units} | {rival} | {micro:.2f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
