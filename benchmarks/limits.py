"""How far from the limit: each headline beside the least time that its arithmetic and bytes need.

    python -m benchmarks limits

First the rates of the machine, in this run and on one thread: multiply-adds per second of a matrix
product (GEMM) of 512 columns, of dsyrk and of ssyrk, of a sparse product with a vector and with 64
vectors (gathers), exponentials per second by NumPy, of which a hyperbolic tangent needs one, and
bytes per second of a copy. Then for each
headline its time, the median over turns, and its floor: the sum over kinds of arithmetic of number
over rate, or bytes written over the rate of a copy if that is more. Kinds could overlap, so a share
near 1 means that the whole is as fast as its parts, and one above 1 that a part is faster here than
what the rate was measured with.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from hessianfree import Batch, ElmanCell, MultiplicativeCell, SequenceNetwork
from hessianfree.cells import Cell
from reservoir import ESNRegressor, limit_threads
from reservoir.dynamics import run
from reservoir.search import ReservoirSearchCV
from reservoir.utils.blas import add_symmetric_products

CONNECTIONS = 10


class Headline(NamedTuple):
    """A piece of work, and what it cannot do without."""

    name: str
    work: Callable[[], object]
    operations: dict[str, float]
    bytes_written: float


def seconds(work: Callable[[], object], n_turns: int) -> float:
    """Return the median time of a call."""
    work()
    found = []
    for _ in range(n_turns):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


def machine_rates(n_turns: int) -> dict[str, float]:
    """Return operations and bytes per second."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(512, 512))
    rows, sums = rng.normal(size=(1024, 1024)), np.zeros((1024, 1024), order="F")
    single_rows, single_sums = rows.astype(np.float32), sums.astype(np.float32)
    values = rng.normal(size=10_000)
    out = np.empty_like(values)
    n_units = 1000
    places = rng.integers(n_units, size=n_units * CONNECTIONS)
    starts = np.arange(0, len(places) + 1, CONNECTIONS)
    sparse = csr_array((rng.normal(size=len(places)), places, starts), shape=(n_units, n_units))
    vector, vectors = rng.normal(size=n_units), rng.normal(size=(n_units, 64))
    large = np.empty(4_000_000)
    target = np.empty_like(large)
    each: dict[str, tuple[Callable[[], object], float]] = {
        "gemm": (lambda: a @ a, 512**3),
        "dsyrk": (lambda: add_symmetric_products(sums, rows), 0.5 * 1024**3),
        "ssyrk": (lambda: add_symmetric_products(single_sums, single_rows), 0.5 * 1024**3),
        "gather": (lambda: [sparse @ vector for _ in range(50)], 50 * sparse.nnz),
        "gather of 64": (lambda: sparse @ vectors, 64 * sparse.nnz),
        "exp": (lambda: [np.exp(values, out=out) for _ in range(20)], 20 * len(values)),
        "copy": (lambda: np.copyto(target, large), large.nbytes),
    }
    return {name: count / seconds(work, n_turns) for name, (work, count) in each.items()}


def reservoir_headlines() -> list[Headline]:
    """Return driving, fitting and forecasting."""
    rng = np.random.default_rng(0)
    found = []
    for n_units in (300, 1000):
        X = rng.uniform(-1, 1, size=(20_000, 1))
        y = np.roll(X, 1, axis=0) + 0.1 * rng.normal(size=X.shape)
        esn = ESNRegressor(n_units, alpha=1.0, washout=100, random_state=0).fit(X, y)
        reservoir, steps = esn.reservoir_, X[:5000]
        many = rng.uniform(-1, 1, size=(64, 200, 1))
        gathers = n_units * CONNECTIONS
        one_step = {"gather": float(gathers), "exp": float(n_units)}

        def times(n_steps: int, costs: dict[str, float] = one_step) -> dict[str, float]:
            return {kind: n_steps * cost for kind, cost in costs.items()}

        n_rows = 64 * 200
        found += [
            Headline(
                f"states of one series, {n_units} units",
                lambda r=reservoir, u=steps: run(r, u),
                times(5000),
                8.0 * 5000 * n_units,
            ),
            Headline(
                f"states of 64 series, {n_units} units",
                lambda e=esn, u=many: e.predict(u),
                {"gather of 64": 1.0 * n_rows * gathers, "exp": 1.0 * n_rows * n_units},
                8.0 * n_rows * n_units,
            ),
            Headline(
                f"fit of 20,000 steps, {n_units} units",
                lambda e=esn, u=X, v=y: e.fit(u, v),
                {**times(20_000), "dsyrk": 0.5 * 20_000 * n_units**2},
                8.0 * 20_000 * n_units,
            ),
            Headline(
                f"forecast of 1,000 steps, {n_units} units",
                lambda e=esn: e.forecast(1000),
                times(1000),
                0.0,
            ),
        ]
    return found


def learning_headlines() -> list[Headline]:
    """Return other ways to learn 1,000 units, and a search."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(20_000, 1))
    y = np.roll(X, 1, axis=0) + 0.1 * rng.normal(size=X.shape)
    settings: dict[str, Any] = {"washout": 100, "random_state": 0}
    n_units, n_steps = 1000, len(X)
    driving = {"gather": 1.0 * n_steps * n_units * CONNECTIONS, "exp": 1.0 * n_steps * n_units}
    products = 0.5 * n_steps * n_units**2
    # Kind of sums, how many times those of a Gram matrix they need, and the settings.
    ways: dict[str, tuple[str, int, dict[str, Any]]] = {
        "21 alphas": ("dsyrk", 1, {"alpha": np.logspace(-8, 2, 21)}),
        "float32": ("ssyrk", 1, {"alpha": 100.0, "dtype": "float32"}),
        "a triangular factor": ("dsyrk", 2, {"alpha": 1.0, "solver": "qr"}),
    }
    found = []
    for name, (kind, times, own) in ways.items():
        esn = ESNRegressor(n_units, **settings, **own)
        found.append(
            Headline(
                f"fit of 20,000 steps, 1,000 units, {name}",
                lambda e=esn: e.fit(X, y),
                {**driving, kind: times * products},
                8.0 * n_steps * n_units,
            )
        )
    grid = {"leak_rate": [0.2, 0.4, 0.6, 0.8, 1.0], "input_scaling": [0.1, 0.3, 0.6, 1.0]}
    search = ReservoirSearchCV(ESNRegressor(300, alpha=1.0, **settings), grid, cv=0.2, refit=False)
    n_rows = 20 * 5000
    found.append(
        Headline(
            "search of 20 candidates, 5,000 steps, 300 units",
            lambda: search.fit(X[:5000], y[:5000]),
            {
                "gather of 64": 300.0 * CONNECTIONS * n_rows,
                "exp": 300.0 * n_rows,
                "dsyrk": 0.5 * 0.8 * n_rows * 300**2,
            },
            8.0 * n_rows * 300,
        )
    )
    return found


def network_headlines() -> list[Headline]:
    """Return gradients and products of a vanilla and of a multiplicative net."""
    # Products of matrices as large as W that a step needs going forward: one or two.
    vanilla, multiplicative = (ElmanCell(2, 100), 200, 1), (MultiplicativeCell(2, 300, 300), 32, 2)
    return [
        line
        for cell, n_sequences, n_products in (vanilla, multiplicative)
        for line in headlines_of(cell, n_sequences, n_products)
    ]


def headlines_of(cell: Cell, n_sequences: int, n_products: int) -> list[Headline]:
    """Return the gradient and the product of one net."""
    rng = np.random.default_rng(0)
    n_steps, n_units = 100, cell.n_units
    shape = (n_steps, n_sequences, 2)
    batch = Batch(rng.normal(size=shape), rng.normal(size=(*shape[:2], 1)))
    network = SequenceNetwork(cell, 1)
    name = f"{type(cell).__name__}, T=100 B={n_sequences} N={n_units}"
    params = rng.normal(size=network.n_params) / np.sqrt(n_units)
    v = rng.normal(size=network.n_params)
    point: Any = network.linearize(params, batch)
    one = 1.0 * n_products * n_steps * n_sequences * n_units**2
    n_exponentials = 1.0 * n_steps * n_sequences * n_units
    return [
        # Forward, back, and the weights' gradient; forward and back of a product have one more.
        Headline(
            f"gradient, {name}",
            lambda: network.value_and_gradient(params, batch),
            {"gemm": 3 * one, "exp": n_exponentials},
            0.0,
        ),
        Headline(
            f"product, {name}",
            lambda: point.gauss_newton_product(v),
            {"gemm": 4 * one},
            0.0,
        ),
    ]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    n_turns = 3 if parser.parse_args().quick else 9
    with limit_threads(1):
        rates = machine_rates(n_turns)
        for name, rate in rates.items():
            unit = "GB/s" if name == "copy" else "G/s"
            print(f"{name:<14} {rate / 1e9:8.3f} {unit}")
        print(f"\n{'':<53} | {'ms':>8} | {'floor':>8} | share | of the floor")
        for line in [*reservoir_headlines(), *learning_headlines(), *network_headlines()]:
            parts = {kind: count / rates[kind] for kind, count in line.operations.items()}
            floor = max(sum(parts.values()), line.bytes_written / rates["copy"])
            spent = seconds(line.work, n_turns)
            made_of = ", ".join(f"{kind} {part / floor:.0%}" for kind, part in parts.items())
            print(
                f"{line.name:<53} | {1e3 * spent:8.2f} | {1e3 * floor:8.2f} | "
                f"{floor / spent:5.2f} | {made_of}",
                flush=True,
            )


if __name__ == "__main__":
    main()
