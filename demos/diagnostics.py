"""Where does a reservoir remember and compute, and where does it turn chaotic?

First the memory of linear and tanh reservoirs, a ring of equal weights against random ones: the
linear ring holds N - (1 - r^2N), exactly. Then the spectral radius of 100 random tanh units from
0.1 to 2.2: processing capacity, echo state index (how far apart different starts stay) and largest
Lyapunov exponent. Expected: echo states well beyond a radius of 1, as input tames a reservoir; then
starts stay apart, at first with exponents around 0 (several attractors) and later with chaos; and
the capacity falls from most of N to a small part of it. About a minute.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from demos._common import Figure, run_demo
from reservoir import ReservoirTransformer
from reservoir.diagnostics import (
    MemoryCapacity,
    driven_lyapunov_exponents,
    echo_state_index,
    information_processing_capacity,
    memory_capacity,
)
from reservoir.dynamics import Reservoir
from reservoir.plotting import MemoryCurveDisplay

RING_WEIGHT = 0.95
INPUT_SCALING = 0.5
BIAS_SCALING = 0.2
N_UNITS = 100
MAX_DELAYS = (40, 12, 6)
N_DRIVEN = 1500
# Starts that have come this near after N_DRIVEN / 2 steps are on their way to each other.
ECHO = 1e-3
# The standard error of an exponent is about this, a step.
NEAR_ZERO = 0.005
SEED = 0


def make_reservoir(n_units: int, **settings: object) -> Reservoir:
    """Return a reservoir of tanh units with one input."""
    model = ReservoirTransformer(
        n_units,
        input_scaling=INPUT_SCALING,
        bias_scaling=BIAS_SCALING,
        random_state=SEED,
        **settings,
    )
    return model.fit(np.zeros((1, 1))).reservoir_


def memory_curves(n_units: int, n_steps: int) -> dict[str, MemoryCapacity]:
    """Return the memory of rings and of random reservoirs, linear and tanh."""
    ring = make_reservoir(n_units, topology="cycle", spectral_radius=RING_WEIGHT)
    # One input unit, as the exact result asks for.
    ring = replace(ring, input=INPUT_SCALING * np.eye(n_units, 1))
    random = make_reservoir(n_units, spectral_radius=RING_WEIGHT)
    reservoirs = {
        "ring, linear": replace(ring, activation="identity"),
        "random, linear": replace(random, activation="identity"),
        "ring, tanh": ring,
        "random, tanh": random,
    }
    return {
        name: memory_capacity(
            reservoir,
            max_delay=2 * n_units,
            n_steps=n_steps,
            washout=4 * n_units,
            random_state=SEED,
        )
        for name, reservoir in reservoirs.items()
    }


def sweep(n_steps: int, radii: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the diagnostics say of random tanh reservoirs, for each spectral radius."""
    rng = np.random.default_rng(SEED)
    inputs = rng.uniform(-1, 1, size=(N_DRIVEN, 1))
    found: dict[str, list] = {"capacity": [], "index": [], "exponent": []}
    for radius in tqdm(radii, desc="spectral radius"):
        reservoir = make_reservoir(N_UNITS, spectral_radius=radius)
        capacity = information_processing_capacity(
            reservoir, max_delays=MAX_DELAYS, n_steps=n_steps, random_state=SEED
        )
        found["capacity"].append(capacity.by_degree)
        states = echo_state_index(
            reservoir, inputs, n_starts=3, washout=N_DRIVEN // 2, random_state=SEED
        )
        found["index"].append(states.index)
        exponents = driven_lyapunov_exponents(reservoir, inputs, washout=200, random_state=SEED)
        found["exponent"].append(exponents.largest)
    return {name: np.array(values) for name, values in found.items()}


def run(quick: bool, folder: Path) -> list[Figure]:
    """Measure, draw, and hold the linear ring against its exact memory."""
    n_units = 40 if quick else N_UNITS
    radii = np.linspace(0.1, 2.2, 8 if quick else 22)
    curves = memory_curves(n_units, 3000 if quick else 10_000)
    found = sweep(2000 if quick else 5000, radii)
    draw(curves, radii, found, folder / "diagnostics.png")
    exact = n_units - (1 - RING_WEIGHT ** (2 * n_units))
    total = found["capacity"].sum(axis=1) / N_UNITS
    apart = found["index"] > ECHO
    chaotic = found["exponent"] > NEAR_ZERO
    return [
        Figure("memory of the linear ring, share of the exact one",
               curves["ring, linear"].total / exact, at_least=0.95),
        Figure("memory of the random tanh reservoir, share of N",
               curves["random, tanh"].total / n_units, at_most=0.5),
        Figure("largest radius with echo states", radii[~apart].max(), at_least=1.0),
        Figure("smallest radius with a positive Lyapunov exponent",
               radii[chaotic].min() if chaotic.any() else np.nan, at_least=1.0),
        Figure("chaotic radii where starts meet nevertheless",
               float(np.sum(chaotic & ~apart)), at_most=0),
        Figure("largest processing capacity up to degree 3, share of N",
               total.max(), at_least=0.6),
        Figure("the same at the largest radius", total[-1], at_most=0.3),
    ]  # fmt: skip


def draw(
    curves: dict[str, MemoryCapacity],
    radii: np.ndarray,
    found: dict[str, np.ndarray],
    path: Path,
) -> None:
    """Draw memory curves, capacities, and the two signs of the edge of chaos."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    (memory, capacity), (index, exponent) = axes
    for name, curve in curves.items():
        display = MemoryCurveDisplay.from_capacity(curve, name=name, ax=memory)
        display.lines_[0].set_linestyle("--" if "tanh" in name else "-")
    memory.legend(loc="upper right", fontsize="small", frameon=False)
    memory.set_title(f"Memory, spectral radius {RING_WEIGHT}")
    capacity.stackplot(
        radii, found["capacity"].T, labels=[f"degree {d}" for d in (1, 2, 3)], alpha=0.8
    )
    capacity.set(ylabel="processing capacity", title="What a linear readout can compute")
    capacity.legend(frameon=False)
    index.semilogy(radii, np.maximum(found["index"], 1e-17), marker=".")
    index.set(ylabel="echo state index", title=f"How far apart starts stay (grey: above {ECHO:g})")
    exponent.plot(radii, found["exponent"], marker=".")
    exponent.axhline(0, color="black", linewidth=0.5)
    exponent.set(ylabel="largest Lyapunov exponent, 1/step", title="How fast neighbours part")
    for axis in (capacity, index, exponent):
        apart = np.flatnonzero(found["index"] > ECHO)
        if apart.size:
            axis.axvspan(radii[apart[0]], radii[-1], color="gray", alpha=0.15, linewidth=0)
        axis.set(xlabel="spectral radius", xlim=(radii[0], radii[-1]))
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    run_demo(__doc__, run)
