"""What a GPU makes of states, a sweep and a fit, beside its floors and the host.

    python -m benchmarks.gpu [--quick]

Needs CuPy and a CUDA device; without one it says that nothing was run. Floors come from two rates
measured in the same process: of copying device memory, and of a large matrix product in the same
dtype. "By bytes" is the time to move what must be moved once (for states: what drives a unit in and
out, and its state out; for Gauss-Newton products: the stored pass, in each of two sweeps); "by
operations" that for the additions and multiplications (for states: those of W x, of the drive, and
twenty for a tanh; for Gauss-Newton products: of the matrix products, so that this floor over the
seconds is the share of the card's rate). Beside those products stand the same by PyTorch's
autograd, where it is installed. The host takes one thread, and two workers for the sweep, of which
it tries a tenth. Times are medians of wall-clock seconds, to the end of the device's work.

The kernels of recurrence.cu are compiled, and all data moved, before the clock starts.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks.states import N_CONNECTIONS, make_reservoir
from benchmarks.sweep import ALPHA, WASHOUT, data
from hessianfree import Batch, SequenceNetwork
from hessianfree.cells import MultiplicativeCell
from hessianfree.network import sparse_parameters
from reservoir import ESNRegressor
from reservoir.dynamics import DrivenSequence, iterate_blocks, iterate_sequences
from reservoir.harvest import TrainingSequence, fold_sequences
from reservoir.readout import FeatureMap, RidgeAccumulator, solve_ridge
from reservoir.search import ReservoirSearchCV
from reservoir.utils.device import namespace, resolve_device

SIZES = (300, 1_000, 3_000, 10_000, 30_000)
BATCHES = (1, 16, 256, 4_096)
# Unit-steps of a run: enough for a launch to be lost in them, few enough for a short benchmark.
UNIT_STEPS = 400_000_000
LEAST_STEPS, MOST_STEPS = 64, 10_000
# The host runs a case if it takes at most so many unit-steps: seconds.
HOST_UNIT_STEPS = 40_000_000
TANH_OPERATIONS = 20


class Row(NamedTuple):
    """One line of the table; seconds, None for what was not run."""

    case: str
    seconds: float | None
    by_bytes: float | None
    by_operations: float | None
    host: float | None


class Rates(NamedTuple):
    """Bytes copied and operations done a second, by dtype."""

    bytes: float
    operations: dict[str, float]


def median_seconds(xp: Any, job: Callable[[], Any], n_rounds: int) -> float:
    """Return the median of the seconds that a job takes, after one to warm up."""
    seconds = []
    for _ in range(n_rounds + 1):
        xp.cuda.Device().synchronize()
        start = time.perf_counter()
        job()
        xp.cuda.Device().synchronize()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


def host_seconds(job: Callable[[], Any]) -> float:
    """Return the seconds that a job takes on the host, the second time."""
    job()
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def measure_rates(xp: Any, n_rounds: int) -> Rates:
    """Return what this card copies and multiplies."""
    source = xp.zeros(2**27, dtype=np.float64)
    target = xp.empty_like(source)
    copying = median_seconds(xp, lambda: xp.copyto(target, source), n_rounds)
    operations = {}
    for dtype in ("float64", "float32"):
        a = xp.ones((8192, 8192), dtype=dtype)
        out = xp.empty_like(a)
        seconds = median_seconds(xp, lambda a=a, out=out: xp.matmul(a, a, out=out), n_rounds)
        operations[dtype] = 2 * 8192**3 / seconds
    return Rates(2 * source.nbytes / copying, operations)


def state_rows(xp: Any, rates: Rates, n_rounds: int, quick: bool) -> Iterator[Row]:
    """Yield the times of driving sequences, and letting the states go."""
    for dtype in ("float32", "float64"):
        for n_units in SIZES[:2] if quick else SIZES:
            reservoir = make_reservoir(n_units, np.dtype(dtype))
            for batch in BATCHES[:3] if quick else BATCHES:
                n_steps = int(np.clip(UNIT_STEPS // (n_units * batch), LEAST_STEPS, MOST_STEPS))
                inputs = np.random.default_rng(0).uniform(-1, 1, (batch, n_steps, 1))
                there = [DrivenSequence(inputs=part) for part in xp.asarray(inputs, dtype=dtype)]

                def run(reservoir: Any = reservoir, there: Any = there) -> None:
                    for _ in iterate_blocks(reservoir, there):
                        pass

                def run_on_host(reservoir: Any = reservoir, inputs: Any = inputs) -> None:
                    for _ in iterate_sequences(reservoir, list(inputs)):
                        pass

                few = n_units * batch * n_steps <= HOST_UNIT_STEPS or batch == 1
                host = host_seconds(run_on_host) if few else None
                n_numbers = n_units * batch * n_steps
                yield Row(
                    f"states, {dtype}, {n_units:,} units, {batch:,} x {n_steps:,} steps",
                    median_seconds(xp, run, n_rounds),
                    3 * n_numbers * reservoir.dtype.itemsize / rates.bytes,
                    n_numbers
                    * (2 * (N_CONNECTIONS + 2) + TANH_OPERATIONS)
                    / rates.operations[dtype],
                    host,
                )


def sweep_rows(xp: Any, rates: Rates, n_rounds: int, quick: bool) -> Iterator[Row]:
    """Yield the times of trying candidates that share W; the host tries a tenth of them."""
    n_candidates, n_steps, n_units = (100, 1_000, 100) if quick else (1_000, 5_000, 300)
    u, y = data(n_steps)
    scales = np.linspace(0.1, 1.0, n_candidates // 20).tolist()
    radii, leaks = [0.5, 0.7, 0.8, 0.9, 1.0], [0.2, 0.4, 0.7, 1.0]

    def search(device: str, scales: list[float], n_jobs: int | None = None) -> Any:
        esn = ESNRegressor(n_units, washout=WASHOUT, alpha=ALPHA, random_state=0, device=device)
        space = {"spectral_radius": radii, "leak_rate": leaks, "input_scaling": scales}
        return ReservoirSearchCV(esn, space, cv=5, refit=False, n_jobs=n_jobs).fit(u, y)

    host = host_seconds(lambda: search("cpu", scales[::10], n_jobs=2))
    host *= len(scales) / len(scales[::10])
    n_columns = n_units + 3
    yield Row(
        f"sweep, {n_candidates:,} candidates, {n_units} units, {n_steps:,} steps, 5 blocks",
        median_seconds(xp, lambda: search("cuda", scales), n_rounds),
        # Written, read and shifted: states, and rows of float64.
        6 * 8 * n_columns * n_steps * n_candidates / rates.bytes,
        2 * n_columns**2 * n_steps * n_candidates / rates.operations["float64"],
        host,
    )


def fit_rows(xp: Any, rates: Rates, n_rounds: int, quick: bool) -> Iterator[Row]:
    """Yield the times of learning whole networks from one series, once W was drawn."""
    for n_units in (1_000,) if quick else (1_000, 10_000):
        reservoir, n_steps = make_reservoir(n_units, np.float64), 2 * n_units
        u, y = data(n_steps)

        def fit(u: Any, y: Any, reservoir: Any = reservoir) -> None:
            sums = RidgeAccumulator(reservoir.n_units + 1, 1, smallest_alpha=ALPHA)
            fold_sequences(
                reservoir,
                FeatureMap(),
                [sums],
                [TrainingSequence(inputs=u, targets=y, skip=WASHOUT)],
            )
            solve_ridge(sums, ALPHA)

        host = host_seconds(lambda u=u, y=y, fit=fit: fit(u, y)) if n_units <= 1_000 else None
        there = xp.asarray(u), xp.asarray(y)
        operations = 2 * n_units**2 * n_steps + n_units**3 / 3
        yield Row(
            f"fit, float64, {n_units:,} units, {n_steps:,} steps",
            median_seconds(xp, lambda there=there, fit=fit: fit(*there), n_rounds),
            6 * 8 * n_units * n_steps / rates.bytes,
            operations / rates.operations["float64"],
            host,
        )


def product_rows(xp: Any, rates: Rates, n_rounds: int, quick: bool) -> Iterator[Row]:
    """Yield the times of Gauss-Newton products of a net that reads characters."""
    n_symbols, n_units, n_steps, n_sequences = (20, 100, 50, 20) if quick else (86, 1500, 250, 200)
    rng = np.random.default_rng(0)
    cell = MultiplicativeCell(n_symbols, n_units)
    network = SequenceNetwork(cell, n_symbols, "softmax", device="cuda")
    symbols = rng.integers(n_symbols, size=(n_steps + 1, n_sequences))
    params = sparse_parameters(network, random_state=0, dtype="float32")
    v = rng.standard_normal(network.n_params).astype(np.float32)
    at = network.linearize(xp.asarray(params), Batch(symbols[:-1], symbols[1:]))
    there = xp.asarray(v)
    out = xp.empty_like(there)
    n_rows = n_steps * n_sequences
    # Each of the two matrices of the recurrence four times, twice in either sweep, and so the
    # output layer.
    operations = 2 * n_rows * n_units * (8 * cell.n_factors + 4 * n_symbols)
    floors = (
        2 * 4 * n_rows * (3 * n_units + 5 * cell.n_factors) / rates.bytes,
        operations / rates.operations["float32"],
    )
    case = f"Gauss-Newton product, float32, {n_units:,} units, {n_sequences} x {n_steps} steps"
    seconds = median_seconds(xp, lambda: at.gauss_newton_product(there, 0.1, out=out), n_rounds)
    yield Row(case, seconds, *floors, None)
    expected = xp.asnumpy(at.gauss_newton_product(there))
    product = torch_product(network, params, v, symbols)
    if product is None:
        yield Row(f"{case}, PyTorch's autograd", None, *floors, None)
        return
    found = product().cpu().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-2 * abs(expected).max())
    yield Row(f"{case}, PyTorch's autograd", median_seconds(xp, product, n_rounds), *floors, None)


def torch_product(network: SequenceNetwork, params: Any, v: Any, symbols: Any) -> Any:
    """Return the product by autograd, the forward pass kept; None without PyTorch or its GPU."""
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    chosen = torch.as_tensor(symbols[:-1], device="cuda")
    direction = torch.as_tensor(v, device="cuda")

    def outputs(flat: Any) -> Any:
        blocks = {
            name: flat[part].reshape(network.layout.shapes[name])
            for name, part in network.layout.slices.items()
        }
        state = blocks["initial_state"].expand(chosen.shape[1], -1)
        gains = blocks["input_to_factor"].T[chosen]
        drive = (blocks["input"].T + blocks["bias"])[chosen]
        states = []
        for gain, step in zip(gains, drive):
            factors = (state @ blocks["state_to_factor"].T) * gain
            state = torch.tanh(factors @ blocks["factor_to_state"].T + step)
            states.append(state)
        return torch.stack(states) @ blocks["output"].T + blocks["output_bias"]

    at = torch.as_tensor(params, device="cuda")
    predicted, push = torch.func.linearize(outputs, at)
    _, pull = torch.func.vjp(outputs, at)
    p = torch.softmax(predicted, -1)

    def product() -> Any:
        d_outputs = p * push(direction)
        d_outputs = d_outputs - p * d_outputs.sum(-1, keepdim=True)
        result = pull(d_outputs / chosen.numel())[0]
        torch.cuda.synchronize()
        return result

    return product


# Each yields rows of the table.
CASES = {"states": state_rows, "sweep": sweep_rows, "fit": fit_rows, "products": product_rows}


def table(rows: list[Row]) -> str:
    """Return rows as a table."""

    def shown(seconds: float | None) -> str:
        return "not run" if seconds is None else f"{seconds:.2e}"

    lines = [
        "| case | seconds | floor by bytes | by operations | host | host / GPU |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        run = row.host is not None and row.seconds is not None
        ratio = f"{row.host / row.seconds:.1f}" if run else ""  # type: ignore[operator]
        cells = (shown(value) for value in row[1:])
        lines.append(f"| {row.case} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer rounds")
    quick = parser.parse_args().quick
    if resolve_device("auto") == "cpu":
        for name in CASES:
            print(f"{name}: not run: no device")
        return
    xp, n_rounds = namespace("cuda"), 2 if quick else 5
    card = xp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    rates = measure_rates(xp, n_rounds)
    print(f"{card}, CuPy {xp.__version__}: copies {rates.bytes:.3g} bytes/s, multiplies", end=" ")
    print(", ".join(f"{rate:.3g} {dtype}/s" for dtype, rate in rates.operations.items()))
    rows: list[Row] = []
    for case in CASES.values():
        rows.extend(case(xp, rates, n_rounds, quick))
    print(table(rows))


if __name__ == "__main__":
    main()
