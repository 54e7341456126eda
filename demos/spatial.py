"""For how long can small reservoirs side by side forecast a chaotic field?

The Kuramoto-Sivashinsky equation on a ring of circumference 22 (default) or 200 (``--length 200``),
or the 40 sites of Lorenz-96 (``--lorenz96``). Each patch of a few sites has a reservoir, driven by
the patch and its neighbours; all patches share one readout (Pathak et al. 2018). Valid time: until
‖error‖ exceeds 0.4 of the root mean square of ‖u‖, in Lyapunov times of the exponent that is
printed. Expected, in about a minute each: medians of about 6 over 5 seeds and 5 starts each (2
seeds for 200).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from demos._common import Figure, run_demo
from reservoir import LocalESNRegressor
from reservoir.datasets import kuramoto_sivashinsky, lorenz96
from reservoir.metrics import valid_prediction_time

THRESHOLD = 0.4
N_CONTEXT = 100


@dataclass(frozen=True)
class System:
    """A field, how it is learned, and what to expect.

    Attributes
    ----------
    name : str
        What it is called.
    data : callable
        (n_steps, seed) -> field of shape (n_steps, n_sites).
    dt : float
        Time between two steps, time units.
    exponent : float
        Largest Lyapunov exponent, per time unit.
    n_training : int
        Steps learned from.
    horizon : int
        Lyapunov times forecast.
    n_seeds : int
        How many seeds the full run takes.
    noise : float
        Standard deviation of what is added to the inputs while learning.
    parameters : dict
        Of the model.
    expected, expected_quick : float
        What the median should at least be, in Lyapunov times.
    """

    name: str
    data: Callable[[int, int], np.ndarray]
    dt: float
    exponent: float
    n_training: int
    horizon: int
    n_seeds: int
    noise: float
    parameters: dict[str, Any] = field(repr=False)
    expected: float
    expected_quick: float

    @property
    def lyapunov_time(self) -> int:
        """Steps of a Lyapunov time."""
        return round(1 / (self.exponent * self.dt))


def ks(length: float, n_points: int) -> Callable[[int, int], np.ndarray]:
    """Return what makes a Kuramoto-Sivashinsky field."""

    def data(n_steps: int, seed: int) -> np.ndarray:
        return kuramoto_sivashinsky(n_steps, length=length, n_points=n_points, random_state=seed)

    return data


KS = {
    "patch_size": 8,
    "overlap": 6,
    "spectral_radius": 0.5,
    "input_scaling": 0.05,
    "bias_scaling": 0.5,
    "include_squares": True,
    "solver": "gram",
}
KS_22 = System(
    name="Kuramoto-Sivashinsky, L = 22",
    data=ks(22.0, 64),
    dt=0.25,
    exponent=0.043,
    n_training=10_000,
    horizon=9,
    n_seeds=5,
    noise=3e-5,
    parameters={"n_units": 1000, "alpha": 1e-7, **KS},
    expected=5.0,
    expected_quick=3.0,
)
KS_200 = System(
    name="Kuramoto-Sivashinsky, L = 200",
    data=ks(200.0, 512),
    dt=0.25,
    exponent=0.09,
    n_training=1500,
    horizon=10,
    n_seeds=2,
    noise=3e-5,
    parameters={"n_units": 1000, "alpha": 1e-7, **KS},
    expected=5.0,
    expected_quick=4.5,
)
LORENZ_96 = System(
    name="Lorenz-96, 40 sites",
    data=lambda n_steps, seed: lorenz96(n_steps, dt=0.02, random_state=seed),
    dt=0.02,
    exponent=1.68,
    n_training=8000,
    horizon=8,
    n_seeds=5,
    noise=1e-4,
    parameters={
        "n_units": 500,
        "patch_size": 2,
        "overlap": 3,
        "spectral_radius": 0.1,
        "input_scaling": 0.05,
        "bias_scaling": 0.5,
        "include_squares": True,
        "alpha": 1e-6,
    },
    expected=5.0,
    expected_quick=3.0,
)


def forecasts(
    system: System,
    seed: int,
    *,
    n_starts: int = 5,
    n_training: int | None = None,
    **parameters: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and forecast, each (n_starts, n_steps, n_sites), after the training data."""
    n_training = n_training or system.n_training
    n_steps = system.horizon * system.lyapunov_time
    starts = n_training + 1 + N_CONTEXT + 2 * system.lyapunov_time * np.arange(n_starts)
    series = system.data(starts[-1] + n_steps, seed)
    series = series / series[:n_training].std()
    # A little noise on what comes in, and none on what is learned: the readout learns to damp
    # the short waves that the data hardly hold and that would grow in the closed loop.
    noise = system.noise * np.random.default_rng(seed).standard_normal(series[:n_training].shape)
    model = LocalESNRegressor(washout=50, random_state=seed, **{**system.parameters, **parameters})
    model.fit(series[:n_training] + noise, series[1 : n_training + 1])
    contexts = np.stack([series[start - N_CONTEXT : start] for start in starts])
    truth = np.stack([series[start : start + n_steps] for start in starts])
    return truth, model.forecast(n_steps, contexts)


def valid_times(system: System, truth: np.ndarray, forecast: np.ndarray) -> list[float]:
    """Return the valid time of each start, in Lyapunov times."""
    return [
        valid_prediction_time(
            true,
            predicted,
            threshold=THRESHOLD,
            dt=system.dt,
            lyapunov_exponent=system.exponent,
        )
        for true, predicted in zip(truth, forecast, strict=True)
    ]


def run(quick: bool, folder: Path, length: float = 22, lorenz96: bool = False) -> list[Figure]:
    """Measure valid times and draw one forecast."""
    system = LORENZ_96 if lorenz96 else KS_200 if length == 200 else KS_22
    smaller = {"n_units": 400, "n_training": system.n_training // 3} if quick else {}
    times: list[float] = []
    shown = None
    for seed in tqdm(range(1 if quick else system.n_seeds)):
        truth, forecast = forecasts(system, seed, **smaller)
        times += valid_times(system, truth, forecast)
        if shown is None:
            shown = truth[0], forecast[0]
            draw(system, *shown, times[0], folder / "spatial.png")
    return [
        Figure(
            f"valid time, {system.name}, median of {len(times)}",
            float(np.median(times)),
            "Lyapunov times",
            at_least=system.expected_quick if quick else system.expected,
        ),
        Figure("largest Lyapunov exponent that they are counted with", system.exponent, "per time"),
    ]


def draw(system: System, truth: np.ndarray, forecast: np.ndarray, valid: float, path: Path) -> None:
    """Draw truth, forecast and error over sites and time."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, 1, figsize=(9, 7), layout="constrained", sharex=True)
    n_steps, n_sites = truth.shape
    clock = n_steps * system.dt * system.exponent
    limit = float(np.abs(truth).max())
    rows = {"truth": truth, "forecast": forecast, "error": forecast - truth}
    for axis, (name, values) in zip(axes, rows.items(), strict=True):
        image = axis.imshow(
            values.T,
            aspect="auto",
            origin="lower",
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
            extent=(0, clock, 0, n_sites),
            interpolation="nearest",
        )
        axis.axvline(valid, color="black", linewidth=1, linestyle="--")
        axis.set(ylabel="site", title=name)
    axes[-1].set(xlabel="Lyapunov times after the start (dashed: valid until here)")
    figure.suptitle(system.name)
    figure.colorbar(image, ax=axes, label="standard deviations")
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    run_demo(
        __doc__,
        run,
        {
            "--length": {
                "type": float,
                "choices": (22, 200),
                "default": 22,
                "help": "circumference of the ring (default: %(default)s)",
            },
            "--lorenz96": {"action": "store_true", "help": "Lorenz-96 instead"},
        },
    )
