"""What reservoirs of equal size remember and compute: ours, reservoirpy's, and ES²N.

    python -m benchmarks.field.capacity [--quick]

Memory capacity [1]_ and information processing capacity [2]_ of 100 units, by
`reservoir.diagnostics`, which says how they are corrected for chance. Nobody is tuned:

- ours: `ESNRegressor` at its defaults;
- reservoirpy: `nodes.Reservoir` at its defaults, where that package is installed. The states that
  the node itself computes are compared with those that are measured: equal to 1e-12, or it ends;
- ES²N [3]_, x[t] = β tanh(W x[t-1] + W_in u[t] + b) + (1 - β) O x[t-1] with a random orthogonal O,
  for three shares β. W, W_in and b are ours of the same seed, so that O and β alone differ.

Each of 5 seeds draws the weights of all, and one input for all, independent and uniform from -1
to 1. Memory: 200 delays, 10,000 steps. Processing: products of Legendre polynomials of degree 1 to
6 that reach 200, 40, 14, 8, 6 and 5 steps back, 20,000 steps: what lies further back or is smaller
than chance may be is not seen. Both are at most 100. Means, ± half of a 95 % t-interval.

References
----------
.. [1] Jaeger (2001), Short term memory in echo state networks, GMD report 152.
.. [2] Dambre, Verstraeten, Schrauwen & Massar (2012), Information processing capacity of dynamical
   systems, Scientific Reports 2, 514.
.. [3] Ceni & Gallicchio (2023), Edge of stability echo state network, arXiv:2308.02902, eq. 3.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ortho_group, t
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from reservoir import ESNRegressor
from reservoir.diagnostics import information_processing_capacity, memory_capacity
from reservoir.dynamics import Reservoir, run

Floats = NDArray[np.float64]

N_UNITS = 100
SEEDS = range(5)
MEMORY = {"max_delay": 200, "n_steps": 10_000}
PROCESSING = {"max_delays": (200, 40, 14, 8, 6, 5), "n_steps": 20_000}
QUICK_MEMORY = {"max_delay": 100, "n_steps": 2000}
QUICK_PROCESSING = {"max_delays": (100, 20, 8), "n_steps": 4000}


def ours(seed: int) -> Reservoir:
    """Return the reservoir of our defaults, fitted to inputs such as are measured with."""
    inputs = np.random.default_rng(seed).uniform(-1, 1, size=(1000, 1))
    esn = ESNRegressor(N_UNITS, random_state=seed).fit(inputs, inputs[:, 0])
    return esn.reservoir_


def reservoirpy(seed: int) -> Reservoir:
    """Return the reservoir of reservoirpy's defaults, having checked that it is the same."""
    from reservoirpy.nodes import Reservoir as Node

    node = Node(N_UNITS, seed=seed)
    inputs = np.random.default_rng(seed).uniform(-1, 1, size=(500, 1))
    states = node.run(inputs)
    weights = Reservoir(
        np.asarray(node.W.toarray()),
        np.asarray(node.Win.toarray()),
        np.broadcast_to(np.asarray(node.bias, dtype=np.float64), N_UNITS).copy(),
        leak_rate=float(node.lr),
    )
    np.testing.assert_allclose(run(weights, inputs), states, rtol=0, atol=1e-12)
    return weights


def es2n(weights: Reservoir, proximity: float, rotation: Floats) -> Reservoir:
    """Return ES²N as a reservoir of twice the units, of which the second half stays at 0.

    The first half are the states x. Before the activation, the second half is O x[t-1], which the
    activation, a function of all units, adds to the first; so nothing else is measured than x.

    Parameters
    ----------
    weights : Reservoir
        W, W_in and b.
    proximity : float in (0, 1]
        β.
    rotation : ndarray of shape (n_units, n_units)
        O, orthogonal.

    Returns
    -------
    Reservoir
    """
    n_units = weights.n_units
    recurrent = np.zeros((2 * n_units, 2 * n_units))
    recurrent[:n_units, :n_units] = weights.recurrent @ np.eye(n_units)
    recurrent[n_units:, :n_units] = rotation

    def activation(z: Floats) -> Floats:
        states = np.zeros_like(z)
        states[:n_units] = proximity * np.tanh(z[:n_units]) + (1 - proximity) * z[n_units:]
        return states

    return Reservoir(
        recurrent,
        np.vstack([weights.input, np.zeros_like(weights.input)]),
        np.concatenate([weights.bias, np.zeros(n_units)]),
        activation=activation,
    )


def turning(proximity: float) -> Callable[[int], Reservoir]:
    """Return what makes ES²N of a seed."""

    def make(seed: int) -> Reservoir:
        return es2n(ours(seed), proximity, ortho_group.rvs(N_UNITS, random_state=seed))

    return make


def interval(values: Sequence[float]) -> str:
    """Return the mean and half of its 95 % t-interval."""
    mean = f"{np.mean(values):.1f}"
    if len(values) == 1:
        return mean
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{mean} ± {half:.1f}"


def contestants() -> dict[str, Callable[[int], Reservoir]]:
    """Return what makes each reservoir of a seed."""
    made = {"ours, defaults": ours}
    if importlib.util.find_spec("reservoirpy") is None:
        print("reservoirpy is not installed: left out\n")
    else:
        made["reservoirpy, defaults"] = reservoirpy
    return made | {f"ES²N, β = {share}": turning(share) for share in (0.5, 0.2, 0.05)}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer steps and delays, one seed")
    quick = parser.parse_args().quick
    memory, processing = (QUICK_MEMORY, QUICK_PROCESSING) if quick else (MEMORY, PROCESSING)
    seeds = SEEDS[:1] if quick else SEEDS
    n_degrees = len(processing["max_delays"])
    makers = contestants()
    print("| 100 units | memory | processing | of degree", end=" ")
    print(" | ".join(str(degree) for degree in range(1, n_degrees + 1)), "|")
    print("| --- " * (3 + n_degrees) + "|")
    with threadpool_limits(1):
        for name, make in makers.items():
            rows = []
            for seed in tqdm(seeds, desc=name):
                model = make(seed)
                remembered = memory_capacity(model, random_state=seed, **memory)
                computed = information_processing_capacity(model, random_state=seed, **processing)
                rows.append([remembered.total, computed.total, *computed.by_degree])
            columns = [interval(column) for column in zip(*rows, strict=True)]
            print(f"| {name} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
