"""Time to create a reservoir, and how right its spectral radius is.

    python -m benchmarks.creation [--quick]

One thread, one process. Rivals take turns, reservoir after reservoir; printed are the median
processor time of each and the median of its ratio to ours on the same turn. Reservoirpy is
included where it is installed. The errors of the spectral radius are relative to NumPy's dense
eigenvalues, beside those of ARPACK asked for the one largest eigenvalue. For 30,000 units there
are no dense eigenvalues: there the radius is compared with ARPACK's twenty largest, from a start
of its own and a far larger basis, and the residual of the largest pair is printed; and the
reservoir is run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, eigs
from threadpoolctl import threadpool_limits

from reservoir.dynamics import Reservoir, run
from reservoir.weights import bias_weights, input_weights, recurrent_weights, spectral_radius

try:
    from reservoirpy.mat_gen import uniform
except ImportError:
    uniform = None

SIZES = (100, 300, 1_000, 3_000, 10_000)
N_CONNECTIONS = 10
N_MATRICES = {100: 50, 300: 50, 1_000: 50, 3_000: 4}
N_LARGE = 30_000


def rivals(n_units: int) -> dict[str, Callable[[int], Any]]:
    """Return what creates a reservoir of `n_units` from a seed, by name."""

    def ours(seed: int) -> Any:
        return recurrent_weights(n_units, connectivity=N_CONNECTIONS, random_state=seed)

    found: dict[str, Callable[[int], Any]] = {"ours": ours}
    if uniform is not None:
        draw = partial(uniform, n_units, n_units, sr=0.9)
        found["reservoirpy, in-degree"] = lambda seed: draw(
            degree=N_CONNECTIONS, direction="in", seed=seed
        )
        found["reservoirpy, density"] = lambda seed: draw(
            connectivity=N_CONNECTIONS / n_units, seed=seed
        )
    return found


def creation_times(n_units: int, n_reservoirs: int) -> dict[str, tuple[float, float]]:
    """Return by rival the median milliseconds a reservoir and the median ratio to ours."""
    seconds: dict[str, list[float]] = {name: [] for name in rivals(n_units)}
    for seed in range(n_reservoirs):
        for name, create in rivals(n_units).items():
            start = time.thread_time()
            create(seed)
            seconds[name].append(time.thread_time() - start)
    ours = np.array(seconds["ours"])
    return {
        name: (1e3 * float(np.median(values)), float(np.median(np.array(values) / ours)))
        for name, values in seconds.items()
    }


def radius_errors(n_units: int, n_matrices: int) -> dict[str, np.ndarray]:
    """Return relative errors of the spectral radius, ours and by one eigenvalue of ARPACK."""
    errors = np.empty((2, n_matrices))
    for seed in range(n_matrices):
        weights = recurrent_weights(
            n_units, spectral_radius=None, connectivity=N_CONNECTIONS, random_state=seed
        )
        exact = np.abs(np.linalg.eigvals(weights.toarray())).max()
        try:
            # As reservoirpy calls it.
            found = eigs(
                weights, k=1, maxiter=20 * n_units, v0=np.ones(n_units), return_eigenvectors=False
            )
            one = np.abs(found).max()
        except ArpackNoConvergence:
            one = np.inf
        errors[:, seed] = np.abs(np.array([spectral_radius(weights), one]) / exact - 1.0)
    return {"ours": errors[0], "ARPACK, one eigenvalue": errors[1]}


def large(n_units: int, n_steps: int) -> str:
    """Return how a reservoir is created and run that is too large for dense eigenvalues."""
    start = time.thread_time()
    weights = recurrent_weights(
        n_units, spectral_radius=0.9, connectivity=N_CONNECTIONS, random_state=0
    )
    created = time.thread_time()
    values, vectors = eigs(
        weights, k=20, ncv=150, tol=1e-10, v0=np.random.default_rng(1).normal(size=n_units)
    )
    value, vector = max(zip(values, vectors.T), key=lambda pair: abs(pair[0]))
    residual = np.linalg.norm(weights @ vector - value * vector)
    reservoir = Reservoir(
        weights, input_weights(n_units, 1, random_state=1), bias_weights(n_units, random_state=2)
    )
    inputs = np.random.default_rng(2).uniform(-1, 1, size=(n_steps, 1))
    run(reservoir, inputs[:10])  # compiles
    begun = time.thread_time()
    states = run(reservoir, inputs)
    done = time.thread_time()
    return (
        f"{n_units:6d} | created in {created - start:.1f} s | radius asked 0.9, found "
        f"{abs(value):.9f} (residual {residual:.0e}) | {n_steps} steps in {done - begun:.1f} s, "
        f"states between {states.min():.2f} and {states.max():.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 300 units only")
    quick = parser.parse_args().quick
    sizes = SIZES[:2] if quick else SIZES
    with threadpool_limits(1):
        print(f"Creation, {N_CONNECTIONS} connections a unit: ms (ratio to ours)")
        for n_units in sizes:
            cells = [
                f"{name} {milliseconds:.1f} ({ratio:.2f})"
                for name, (milliseconds, ratio) in creation_times(
                    n_units, 15 if n_units <= 3_000 else 3
                ).items()
            ]
            print(f"{n_units:6d} | " + " | ".join(cells), flush=True)
        print("Relative error of the spectral radius: worst, median, share above 1e-6")
        for n_units in sizes:
            if n_units in N_MATRICES:
                cells = [
                    f"{name} {found.max():.1e}, {np.median(found):.1e}, {np.mean(found > 1e-6):.0%}"
                    for name, found in radius_errors(n_units, N_MATRICES[n_units]).items()
                ]
                print(f"{n_units:6d} of {N_MATRICES[n_units]} | " + " | ".join(cells), flush=True)
        print("Too large for dense eigenvalues")
        print(large(1_000 if quick else N_LARGE, 1_000), flush=True)


if __name__ == "__main__":
    main()
