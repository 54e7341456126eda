"""For how long can a regression on 28 features forecast the Lorenz system?

Next-generation reservoir computing (Gauthier et al. 2021): no reservoir, only two neighbouring
samples of the three coordinates and their products. Valid time: until ‖error‖ exceeds 0.4 of the
root mean square of ‖y‖, in Lyapunov times (exponent 0.906); 50 starts. Expected, in half a minute:
a median of 5 in the published setting (400 steps of 0.025 from SciPy's RK23 at its default
tolerances, ridge 2.5e-6); on a precise trajectory, standardised, 4.5 with the same features, 15
with all monomials up to order 4, and 21 with those up to order 5, learned from 2,000 steps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from tqdm import tqdm

from demos._common import OUTPUT, TRUTH, Figure, run_demo
from reservoir import NVARRegressor
from reservoir.datasets import lorenz
from reservoir.dynamics import DivergenceError
from reservoir.metrics import valid_prediction_time

DT = 0.025
LYAPUNOV_EXPONENT = 0.906
THRESHOLD = 0.4
HORIZON = 1400
PUBLISHED = {"n_delays": 2, "stride": 1, "order": 2, "alpha": 2.5e-6}
# Name -> (training steps, parameters, what the median should at least be).
SETTINGS: dict[str, tuple[int, dict[str, Any], float]] = {
    "as published": (400, PUBLISHED, 4.0),
    "precise data": (400, PUBLISHED, 4.0),
    "precise data, order 4": (400, {**PUBLISHED, "order": 4, "alpha": 1e-12}, 12.0),
    "2,000 steps, order 5": (2000, {**PUBLISHED, "order": 5, "alpha": 1e-14}, 20.0),
}


def slope(_: float, state: np.ndarray) -> list[float]:
    """Return what the Lorenz equations say."""
    x, y, z = state
    return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]


def published_data(n_steps: int, seed: int) -> np.ndarray:
    """Return a trajectory as the paper makes it: raw, and off by up to 1 in 1,000 a step."""
    clock = DT * np.arange(n_steps)
    start = lorenz(1, random_state=seed)[0]
    return solve_ivp(slope, (0, clock[-1]), start, t_eval=clock, method="RK23").y.T


def precise_data(n_steps: int, n_training: int, seed: int) -> np.ndarray:
    """Return a trajectory that is good to seven digits, standardised."""
    series = lorenz(n_steps, dt=DT, random_state=seed)
    return (series - series[:n_training].mean(axis=0)) / series[:n_training].std(axis=0)


def forecast(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and forecast, each (HORIZON, 3), after the training data."""
    n_training, parameters, _ = SETTINGS[kind]
    n_steps = n_training + 1 + HORIZON
    if kind == "as published":
        series = published_data(n_steps, seed)
    else:
        series = precise_data(n_steps, n_training, seed)
    model = NVARRegressor(predict_increment=True, **parameters)
    model.fit(series[:n_training], series[1 : n_training + 1])
    try:
        continued = model.forecast(HORIZON)
    except DivergenceError as error:
        # Off the attractor a polynomial may run away: what was before that counts.
        continued = np.full((HORIZON, 3), np.nan)
        if error.step:
            continued[: error.step] = model.forecast(error.step)
    return series[n_training + 1 :], continued


def run(quick: bool, folder: Path) -> list[Figure]:
    """Measure valid times and draw a forecast of each kind."""
    kinds = [kind for kind in SETTINGS if not quick or SETTINGS[kind][0] == 400]
    seeds = range(8) if quick else range(50)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    shown = {}
    for kind, seed in tqdm([(kind, seed) for kind in kinds for seed in seeds]):
        truth, continued = forecast(kind, seed)
        times[kind].append(
            valid_prediction_time(
                truth, continued, threshold=THRESHOLD, dt=DT, lyapunov_exponent=LYAPUNOV_EXPONENT
            )
        )
        shown.setdefault(kind, (truth, continued))
    draw(shown, times, folder / "nvar.png")
    return [
        Figure(
            f"valid time, {kind}, median of {len(values)}",
            float(np.median(values)),
            "Lyapunov times",
            at_least=SETTINGS[kind][2],
        )
        for kind, values in times.items()
    ]


def draw(
    shown: dict[str, tuple[np.ndarray, np.ndarray]],
    times: dict[str, list[float]],
    path: Path,
) -> None:
    """Draw z of one forecast of each kind, and all valid times."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        len(shown) + 1, 1, figsize=(8, 2 * len(shown) + 2), layout="constrained", sharex=True
    )
    clock = np.arange(1, HORIZON + 1) * DT * LYAPUNOV_EXPONENT
    for axis, (kind, (truth, continued)) in zip(axes, shown.items(), strict=False):
        axis.plot(clock, truth[:, 2], color=TRUTH, linewidth=2, label="truth")
        axis.plot(clock, continued[:, 2], color=OUTPUT, linewidth=1, label="forecast")
        axis.axvline(times[kind][0], color="tab:blue", linewidth=1, label="valid until")
        axis.set(ylabel="z", title=kind, xlim=(0, clock[-1]))
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize="small"
    )
    axes[-1].boxplot(list(times.values()), orientation="horizontal", tick_labels=list(times))
    axes[-1].invert_yaxis()
    axes[-1].set(xlabel=f"valid time (error below {THRESHOLD}), Lyapunov times")
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    run_demo(__doc__, run)
