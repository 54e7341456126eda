"""For how long can a reservoir forecast the Lorenz system on its own output?

Valid time: until ‖error‖ exceeds 0.4 of the root mean square of ‖y‖, in Lyapunov times (exponent
0.906). 6,000 training steps of 0.02, all three coordinates, standardised. Expected: a median above
26 over 10 seeds and 5 starts each with 1,000 units, in about a minute. The data has no noise, and
the alpha suits nothing else. The truth is the series of the integrator: past 18 Lyapunov times that
is no solution of the Lorenz equation any more, see `python -m benchmarks.field.lorenz`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from demos._common import OUTPUT, TRUTH, Figure, run_demo
from reservoir import ESNRegressor
from reservoir.datasets import lorenz
from reservoir.metrics import valid_prediction_time

DT = 0.02
LYAPUNOV_EXPONENT = 0.906
THRESHOLD = 0.4
N_TRAINING = 6000
N_STARTS = 5
HORIZON = 2500
N_CONTEXT = 300
STARTS = N_TRAINING + 1 + N_CONTEXT * np.arange(1, N_STARTS + 1)
SMALL = {"spectral_radius": 0.6, "leak_rate": 0.8, "input_scaling": 0.08, "bias_scaling": 1.5}
LARGE = {"spectral_radius": 0.58, "leak_rate": 0.85, "input_scaling": 0.27, "bias_scaling": 2.5}
SETTINGS = {
    "300 units": {"n_units": 300, "alpha": 1e-22, **SMALL},
    "300 units, squared states": {
        "n_units": 300, "alpha": 1e-25, "include_squares": True, **SMALL
    },
    "1000 units": {"n_units": 1000, "alpha": 1e-25, **LARGE},
}  # fmt: skip
EXPECTED = {"300 units": 18, "300 units, squared states": 22, "1000 units": 26}


def standardised(series: np.ndarray) -> np.ndarray:
    """Return the series with mean 0 and standard deviation 1 over the training data."""
    return (series - series[:N_TRAINING].mean(axis=0)) / series[:N_TRAINING].std(axis=0)


def continued(series: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """Return the forecasts (N_STARTS, HORIZON, 3) of a standardised series, from `STARTS` on."""
    esn = ESNRegressor(
        connectivity=20,
        washout=100,
        include_input=False,
        random_state=seed,
        **SETTINGS[kind],
    )
    esn.fit(series[:N_TRAINING], series[1 : N_TRAINING + 1])
    return esn.forecast(HORIZON, np.stack([series[start - N_CONTEXT : start] for start in STARTS]))


def forecasts(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and forecast, each (N_STARTS, HORIZON, 3), after the training data."""
    series = standardised(lorenz(STARTS[-1] + HORIZON, dt=DT, random_state=seed))
    truth = np.stack([series[start : start + HORIZON] for start in STARTS])
    return truth, continued(series, kind, seed)


def valid_times(truth: np.ndarray, forecast: np.ndarray) -> list[float]:
    """Return the valid time of each start, in Lyapunov times."""
    return [
        valid_prediction_time(
            true, predicted, threshold=THRESHOLD, dt=DT, lyapunov_exponent=LYAPUNOV_EXPONENT
        )
        for true, predicted in zip(truth, forecast, strict=True)
    ]


def run(quick: bool, folder: Path) -> list[Figure]:
    """Measure valid times and draw one forecast."""
    kinds = [kind for kind in SETTINGS if not quick or SETTINGS[kind]["n_units"] == 300]
    seeds = range(2) if quick else range(10)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for kind, seed in tqdm([(kind, seed) for kind in kinds for seed in seeds]):
        truth, forecast = forecasts(kind, seed)
        times[kind] += valid_times(truth, forecast)
    draw(truth[0], forecast[0], times, folder / "lorenz.png")
    return [
        Figure(
            f"valid time, {kind}, median of {len(values)}",
            float(np.median(values)),
            "Lyapunov times",
            at_least=EXPECTED[kind],
        )
        for kind, values in times.items()
    ]


def draw(
    truth: np.ndarray,
    forecast: np.ndarray,
    times: dict[str, list[float]],
    path: Path,
) -> None:
    """Draw the three coordinates of a forecast, and all valid times."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(4, 1, figsize=(8, 8), layout="constrained")
    clock = np.arange(1, HORIZON + 1) * DT * LYAPUNOV_EXPONENT
    for axis, name, column in zip(axes, "xyz", range(3), strict=False):
        axis.plot(clock, truth[:, column], color=TRUTH, linewidth=2, label="truth")
        axis.plot(clock, forecast[:, column], color=OUTPUT, linewidth=1, label="free run")
        axis.set(ylabel=f"{name}, standardised", xlim=(0, clock[-1]))
        axis.sharex(axes[0])
    figure.suptitle("A free run, in Lyapunov times after the training data", x=0.02, ha="left")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    axes[3].boxplot(list(times.values()), orientation="horizontal", tick_labels=list(times))
    axes[3].set(xlabel=f"valid time (error below {THRESHOLD}), Lyapunov times", xlim=(0, clock[-1]))
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    run_demo(__doc__, run)
