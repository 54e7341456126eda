"""Can small reservoirs on a grid forecast waves in a medium that they have not seen before?

Spirals and broken waves of the Barkley model (1991) of an excitable medium,
∂u/∂t = u (1 - u) (u - (v + b)/a) / ε + ∇²u, ∂v/∂t = u - v, on 64 by 64 sites, as on a torus. Each
patch of 4 by 4 sites has a reservoir, driven by both variables of the patch and of a frame of 2
sites round it; all patches share one readout. They learn from fields that grew from some random
patterns and forecast fields that grew from others, after 20 steps of context. Expected, in about a
minute: over ten fields, a median error of u of at most 0.4 of its standard deviation 5 time
units ahead, and 0.7 at 10, about a turn of a spiral. Those of the last field, and of one reservoir
for the whole grid, are printed beside them, and how many of the fields the local reservoirs lose.
In a field whose waves have died out there is little to forecast, and such ones are among the ten.
The short run takes two fields that the settings were chosen on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from demos._common import Figure, run_demo
from reservoir import ESNRegressor, LocalESNRegressor
from reservoir.dynamics import DivergenceError

A, B, EPSILON = 0.75, 0.02, 0.05
N_SITES, SPACING = 64, 0.5
DT, SUBSTEPS = 0.1, 10
N_CONTEXT = 20
HORIZONS = (50, 100, 200)  # steps: 5, 10 and 20 time units
LOCAL: dict[str, Any] = {
    "n_units": 300,
    "grid_shape": (N_SITES, N_SITES),
    "n_channels": 2,
    "patch_size": 4,
    "overlap": 2,
    "spectral_radius": 0.3,
    "input_scaling": 0.3,
    "bias_scaling": 0.5,
    "include_squares": True,
    "alpha": 1e-3,
    "washout": 5,
}
WHOLE: dict[str, Any] = {
    "n_units": 600,
    "spectral_radius": 0.9,
    "input_scaling": 0.05,
    "include_input": False,
    "washout": 5,
}


def waves(n_steps: int, seed: int) -> np.ndarray:
    """Return u and v of a field that grew for 10 time units: (n_steps, rows, columns, 2).

    Explicit steps of DT / SUBSTEPS; the Laplacian is that of the four neighbours. At first each
    of 8 by 8 squares is excited or not, and refractory or not, by chance.
    """
    rng = np.random.default_rng(seed)
    square = np.ones((N_SITES // 8, N_SITES // 8))
    u = np.kron(rng.random((8, 8)) < 0.5, square)
    v = 0.5 * A * np.kron(rng.random((8, 8)) < 0.5, square)
    field = np.empty((n_steps, N_SITES, N_SITES, 2))
    step = DT / SUBSTEPS
    n_discarded = round(10 / DT)
    for index in range(-n_discarded, n_steps):
        if index >= 0:
            field[index] = np.stack([u, v], axis=-1)
        for _ in range(SUBSTEPS):
            around = sum(np.roll(u, shift, axis) for shift in (1, -1) for axis in (0, 1))
            reaction = u * (1 - u) * (u - (v + B) / A) / EPSILON
            flow = (around - 4 * u) / SPACING**2
            u, v = u + step * (reaction + flow), v + step * (u - v)
    return field


def learn() -> tuple[LocalESNRegressor, ESNRegressor]:
    """Return the local reservoirs and one for the whole grid, learned from the same fields."""
    fields = [waves(120, seed).reshape(120, -1) for seed in range(3)]
    now, following = [field[:-1] for field in fields], [field[1:] for field in fields]
    local = LocalESNRegressor(random_state=0, output_limit=None, **LOCAL)
    # What is one for all sites gets more units, and the best of several penalties.
    whole = ESNRegressor(random_state=0, output_limit=None, alpha=10.0 ** np.arange(-4, 3), **WHOLE)
    return local.fit(now, following), whole.fit(now, following)


def forecast(model: LocalESNRegressor | ESNRegressor, context: np.ndarray) -> np.ndarray:
    """Return the forecast of all steps, infinite from where it ran away."""
    n_steps = max(HORIZONS)
    outputs = np.full((n_steps, *context.shape[1:]), np.inf)
    try:
        found = model.forecast(n_steps, context.reshape(len(context), -1))
    except DivergenceError as error:
        found = error.outputs
    outputs[: len(found)] = np.reshape(found, (-1, *context.shape[1:]))
    return outputs


def run(quick: bool, folder: Path) -> list[Figure]:
    """Measure errors of u at some horizons and draw one forecast."""
    local, whole = learn()
    truths = []
    errors: dict[str, list[list[float]]] = {"local": [], "whole": [], "last field": []}
    seeds = (200, 201) if quick else range(100, 110)
    for seed in tqdm(seeds):
        field = waves(N_CONTEXT + max(HORIZONS), seed)
        context, truth = field[:N_CONTEXT], field[N_CONTEXT:, ..., 0]
        truths.append(truth)
        forecasts = {
            "local": forecast(local, context)[..., 0],
            "whole": forecast(whole, context)[..., 0],
            "last field": np.broadcast_to(context[-1, ..., 0], truth.shape),
        }
        for name, values in forecasts.items():
            off = [np.sqrt(np.mean((values[h - 1] - truth[h - 1]) ** 2)) for h in HORIZONS]
            errors[name].append(off)
        if seed == seeds[0]:
            draw(truth, forecasts["local"], folder / "reaction_diffusion.png")
    bounds = {50: 0.4, 100: 0.7}
    names = {
        "local": "local reservoirs",
        "whole": "one reservoir for the whole grid",
        "last field": "the last field",
    }
    # One scale for all: where waves die out, a field has hardly any deviation of its own.
    scale = float(np.std(truths))
    lost = sum(of_field[0] > scale for of_field in errors["local"])
    return [
        Figure(
            f"NRMSE of u {horizon * DT:g} time units ahead, {names[name]}",
            float(np.median(errors[name], axis=0)[place]) / scale,
            at_most=bounds.get(horizon) if name == "local" else None,
        )
        for place, horizon in enumerate(HORIZONS)
        for name in errors
    ] + [Figure(f"fields lost within 5 time units, of {len(seeds)}", lost)]


def draw(truth: np.ndarray, forecast: np.ndarray, path: Path) -> None:
    """Draw truth, forecast and error at the horizons."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        3, len(HORIZONS), figsize=(8.5, 8), layout="constrained", sharex=True, sharey=True
    )
    rows = {"truth": truth, "forecast": forecast, "forecast - truth": forecast - truth}
    length = N_SITES * SPACING
    for row, (name, values) in zip(axes, rows.items(), strict=True):
        is_error = values is rows["forecast - truth"]
        for axis, horizon in zip(row, HORIZONS, strict=True):
            image = axis.imshow(
                values[horizon - 1],
                origin="lower",
                extent=(0, length, 0, length),
                cmap="RdBu_r" if is_error else "viridis",
                vmin=-1 if is_error else 0,
                vmax=1,
                interpolation="nearest",
            )
            axis.set_title(f"{name}, {horizon * DT:g} ahead", fontsize=10)
        row[0].set_ylabel("y (diffusion lengths)")
        figure.colorbar(image, ax=row, label="error of u" if is_error else "u")
    for axis in axes[-1]:
        axis.set_xlabel("x (diffusion lengths)")
    figure.suptitle("An excitable medium: time units after the last field that was seen")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    run_demo(__doc__, run)
