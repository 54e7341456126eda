"""Can a reservoir learn to generate a sine whose frequency is set by its input?

The input is a staircase, each stair a number that says a frequency; the target is a sine of that
frequency. The output is fed back. While learning, the target takes its place (teacher forcing, with
a little noise, without which the free run is not stable); then the network runs free for 10,000
steps on a staircase that it has not seen. Expected over 10 seeds: a median frequency error of at
most 0.005 %, no stair worse than 0.05 %, a median amplitude error of at most 0.01 %. About 15
seconds.

Learning is so fast that one can try many scales and sparsenesses: a sweep over spectral radius and
connectivity follows, drawn as a heat map.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from demos._common import OUTPUT, TRUTH, Figure, run_demo
from reservoir import ESNRegressor
from reservoir.datasets import sine_frequency
from reservoir.dynamics import DivergenceError

LOW, HIGH = 0.02, 0.06  # cycles per step
N_TRAINING = 20_000
N_FREE = 10_000
SETTINGS = {
    "n_units": 300,
    "spectral_radius": 0.31,
    "leak_rate": 0.37,
    "input_scaling": 0.068,
    "bias_scaling": 1.0,
    "feedback_scaling": 0.15,
    "feedback_noise": 1e-3,
    "washout": 200,
    "include_input": False,
    "alpha": 1e-16,
}
# The sweep looks for rough places, not for the last digit: smaller nets and shorter series.
SWEEP_SIZES = {"n_units": 100, "n_training": 4000, "n_free": 2000}
RADII = (0.05, 0.1, 0.2, 0.31, 0.5, 0.8, 1.1, 1.4)
CONNECTIVITIES = (1, 2, 5, 10, 30)


class FreeRun(NamedTuple):
    """A free run and what each stair of it gave."""

    inputs: np.ndarray
    target: np.ndarray
    output: np.ndarray
    starts: np.ndarray
    frequency_errors: np.ndarray
    amplitude_errors: np.ndarray
    fit_seconds: float


def fit_sine(values: np.ndarray, frequency: float) -> tuple[float, float]:
    """Return frequency and amplitude of the sine of least squares, by Gauss-Newton.

    The first 50 steps are left out: there the network is still on its way from the stair before.
    """
    values = values[50:]
    t = np.arange(values.size) - (values.size - 1) / 2
    for _ in range(8):
        cosine, sine = np.cos(2 * np.pi * frequency * t), np.sin(2 * np.pi * frequency * t)
        a, b = np.linalg.lstsq(np.c_[cosine, sine], values, rcond=None)[0]
        slope = 2 * np.pi * t * (b * cosine - a * sine)
        frequency += np.linalg.lstsq(np.c_[cosine, sine, slope], values, rcond=None)[0][2]
    return frequency, float(np.hypot(a, b))


def generate(seed: int, n_training: int, n_free: int, **settings: object) -> FreeRun:
    """Learn on the first part of a staircase and run free on the rest."""
    inputs, target = sine_frequency(
        n_training + n_free, frequency_range=(LOW, HIGH), random_state=seed
    )
    esn = ESNRegressor(**(SETTINGS | settings), random_state=seed)
    begun = time.perf_counter()
    esn.fit(inputs[:n_training], target[:n_training])
    seconds = time.perf_counter() - begun
    inputs, target = inputs[n_training:], target[n_training:]
    try:
        output = esn.predict(inputs, initial_state="last")
    except DivergenceError:
        output = np.full(n_free, np.nan)
    edges = np.flatnonzero(np.diff(inputs[:, 0], prepend=np.nan, append=np.nan))
    # A stair cut off at either end is too short to tell its frequency.
    stairs = [(a, b) for a, b in itertools.pairwise(edges) if b - a >= 150]
    errors = [errors_of_stair(inputs[a, 0], output[a:b]) for a, b in stairs]
    frequency_errors, amplitude_errors = np.array(errors).T
    starts = np.array([a for a, _ in stairs])
    return FreeRun(inputs, target, output, starts, frequency_errors, amplitude_errors, seconds)


def errors_of_stair(level: float, output: np.ndarray) -> tuple[float, float]:
    """Return the relative errors of frequency and amplitude; infinite where the run broke down."""
    if not np.isfinite(output).all():
        return np.inf, np.inf
    asked = (LOW + HIGH + (HIGH - LOW) * level) / 2
    frequency, amplitude = fit_sine(output, asked)
    return abs(frequency / asked - 1), abs(amplitude - 1)


def sweep(quick: bool) -> tuple[np.ndarray, float]:
    """Return the median frequency error for each radius and connectivity, and the seconds."""
    sizes = dict(SWEEP_SIZES)
    errors = np.empty((len(RADII), len(CONNECTIVITIES)))
    begun = time.perf_counter()
    for i, radius in enumerate(tqdm(RADII, desc="sweep")):
        for j, connectivity in enumerate(CONNECTIVITIES):
            trials = [
                generate(seed, spectral_radius=radius, connectivity=connectivity, **sizes)
                for seed in range(1 if quick else 3)
            ]
            errors[i, j] = np.median([np.median(trial.frequency_errors) for trial in trials])
    return errors, time.perf_counter() - begun


def run(quick: bool, folder: Path) -> list[Figure]:
    """Run all seeds and the sweep, and draw them."""
    seeds = range(3 if quick else 10)
    runs = [generate(seed, N_TRAINING, N_FREE) for seed in tqdm(seeds, desc="seeds")]
    errors, seconds = sweep(quick)
    draw(runs, errors, seconds, folder / "sine_frequency.png")
    # Stable: no stair was missed altogether.
    stable = sum(run.frequency_errors.max() < 0.05 for run in runs)
    n_stairs = sum(len(run.starts) for run in runs)
    return [
        Figure(f"free runs of {N_FREE} steps that are stable, of {len(seeds)}", stable,
               at_least=len(seeds)),
        Figure("relative frequency error, median of the seeds' medians",
               100 * float(np.median([np.median(r.frequency_errors) for r in runs])), "%",
               at_most=0.005),
        Figure(f"relative frequency error, worst of all {n_stairs} stairs",
               100 * max(r.frequency_errors.max() for r in runs), "%", at_most=0.05),
        Figure("relative amplitude error, median of the seeds' medians",
               100 * float(np.median([np.median(r.amplitude_errors) for r in runs])), "%",
               at_most=0.01),
        Figure(f"learning {N_TRAINING} steps with {SETTINGS['n_units']} units, median",
               float(np.median([r.fit_seconds for r in runs])), "s"),
        Figure(f"sweep of {errors.size} settings with {SWEEP_SIZES['n_units']} units", seconds,
               "s"),
    ]  # fmt: skip


def draw(runs: list[FreeRun], errors: np.ndarray, seconds: float, path: Path) -> None:
    """Draw input, output, errors of every stair, and the heat map of the sweep."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm

    figure = plt.figure(figsize=(10, 8), layout="constrained")
    axes = figure.subplot_mosaic(
        [["input", "input"], ["output", "output"], ["errors", "sweep"]], height_ratios=[1, 1.4, 2]
    )
    first, shown = runs[0], slice(0, 800)
    asked = (LOW + HIGH + (HIGH - LOW) * first.inputs[:, 0]) / 2
    axes["input"].step(np.arange(800), asked[shown], where="post", color="tab:blue")
    axes["input"].set(
        ylabel="cycles per step", title="Input: the frequency that is asked for", xlim=(0, 800)
    )
    axes["output"].plot(first.target[shown], color=TRUTH, linewidth=2.5, label="target")
    axes["output"].plot(
        first.output[shown], color=OUTPUT, linestyle="--", label="network, running free"
    )
    axes["output"].set(xlabel="steps since the teacher left", ylim=(-1.5, 1.5), xlim=(0, 800),
                       title="Output: the sine that it generates")  # fmt: skip
    axes["output"].legend(loc="upper right", ncols=2, fontsize="small")
    for run in runs:
        axes["errors"].semilogy(run.starts, 100 * run.frequency_errors, ".", color="tab:red",
                                alpha=0.5)  # fmt: skip
    axes["errors"].axhline(0.005, color="gray", linestyle=":")
    axes["errors"].set(
        xlabel="step at which the stair begins", ylabel="relative frequency error, %",
        title=f"Every stair of {len(runs)} networks (dotted: 0.005 %)",
    )  # fmt: skip
    image = axes["sweep"].imshow(
        100 * np.clip(errors, 1e-6, 1), norm=LogNorm(1e-3, 10), cmap="viridis_r", aspect="auto"
    )
    axes["sweep"].set(
        xticks=range(len(CONNECTIVITIES)), xticklabels=CONNECTIVITIES,
        yticks=range(len(RADII)), yticklabels=RADII,
        xlabel="incoming connections per unit", ylabel="spectral radius",
        title=f"{errors.size} settings tried in {seconds:.0f} s",
    )  # fmt: skip
    figure.colorbar(image, ax=axes["sweep"], label="median frequency error, %", extend="both")
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    run_demo(__doc__, run)
