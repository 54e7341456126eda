"""Can one reservoir store four patterns, recall each by its conceptor, and morph one into another?

Two sines whose periods (8.83 and 9.83 steps) are no whole numbers, and two patterns of period 5
drive a reservoir of 100 units; its W learns to go on without them, and the states under each give
a conceptor. Each pattern is recalled for 1,000 steps without input, and the error (NRMSE) taken of
the last 100 at the best shift, since a phase drifts. Between the two sines, the period should move
with the mixture of their conceptors. Expected over 10 seeds: a median error of 0.01, none above
0.04, and periods that rise all the way from 8.83 to 9.83, in seconds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from demos._common import TRUTH, Figure, run_demo
from reservoir import ConceptorMemory
from reservoir.conceptors import morph

N_STEPS, N_WASHOUT = 1500, 200
PERIODS = (8.83, 9.83)
SHAPES = ((0.9, -0.4, 0.3, -1.0, 0.1), (0.8, 0.8, -1.0, 0.2, -0.5))
N_RECALLED, N_COMPARED = 1000, 100
SHARES = np.linspace(0, 1, 11)


def patterns() -> list[np.ndarray]:
    """Return the four patterns, each (n_steps, 1)."""
    steps = np.arange(N_STEPS)
    sines = [np.sin(2 * np.pi * steps / period) for period in PERIODS]
    return [row[:, np.newaxis] for row in (*sines, *(np.resize(s, N_STEPS) for s in SHAPES))]


def align(recalled: np.ndarray, pattern: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the NRMSE at the best shift, and the pattern so shifted."""
    windows = np.lib.stride_tricks.sliding_window_view(pattern[:, 0], len(recalled))
    errors = np.sqrt(np.square(windows - recalled[:, 0]).mean(axis=1))
    best = int(errors.argmin())
    return float(errors[best] / pattern.std()), windows[best]


def period_of(series: np.ndarray) -> float:
    """Return the mean time between upward crossings of the mean, in steps."""
    series = series[:, 0] - series[:, 0].mean()
    up = np.flatnonzero((series[:-1] < 0) & (series[1:] >= 0))
    crossings = up - series[up] / (series[up + 1] - series[up])
    return float((crossings[-1] - crossings[0]) / (len(crossings) - 1))


def morphed_periods(memory: ConceptorMemory) -> list[float]:
    """Return the period at each mixture of the two sines."""
    periods = []
    for share in SHARES:
        mixture = morph(memory.conceptors_[:2], [1 - share, share])
        series = memory.recall(mixture, N_RECALLED, initial_state=memory.last_states_[0])
        periods.append(period_of(series[N_RECALLED // 2 :]))
    return periods


def run(quick: bool, folder: Path) -> list[Figure]:
    """Measure recall and morphing over several seeds, and draw one of them."""
    stored = patterns()
    errors, periods = [], []
    seeds = range(3 if quick else 10)
    for seed in tqdm(seeds, desc="memories"):
        memory = ConceptorMemory(washout=N_WASHOUT, random_state=seed).fit(stored)
        recalled = [memory.recall(index, N_RECALLED)[-N_COMPARED:] for index in range(4)]
        errors.append([align(*pair)[0] for pair in zip(recalled, stored, strict=True)])
        periods.append(morphed_periods(memory))
        if seed == 0:
            draw(memory, stored, recalled, periods[0], folder / "conceptors.png")
    rising = sum(bool((np.diff(each) > 0).all()) for each in periods)
    ends = np.abs(np.array(periods)[:, [0, -1]] - PERIODS)
    recalls = f"4 recalls of each of {len(seeds)} seeds"
    return [
        Figure(f"NRMSE, median of {recalls}", float(np.median(errors)), at_most=0.03),
        Figure(f"NRMSE, worst of {recalls}", float(np.max(errors)), at_most=0.1),
        Figure(
            f"morphs whose period rises all the way, of {len(seeds)}",
            rising,
            at_least=len(seeds),
        ),
        Figure("period of a pure sine recalled, worst error", ends.max(), "steps", at_most=0.05),
    ]


def draw(
    memory: ConceptorMemory,
    stored: list[np.ndarray],
    recalled: list[np.ndarray],
    periods: list[float],
    path: Path,
) -> None:
    """Draw each pattern and its recall, the spectra of the conceptors, and a morph."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(11, 6), layout="constrained")
    grid = figure.add_gridspec(3, 4)
    for index, (series, pattern) in enumerate(zip(recalled, stored, strict=True)):
        axes = figure.add_subplot(grid[0, index])
        error, truth = align(series, pattern)
        axes.plot(truth[:25], color=TRUTH, linewidth=4, alpha=0.3, label="pattern")
        axes.plot(series[:25, 0], color=f"C{index}", label="recalled, in its colour below")
        axes.set_title(f"pattern {index}: NRMSE {error:.3f}", fontsize="medium")
        axes.set(ylim=(-1.2, 1.2), xlabel="step")
        if index == 0:
            handles = axes.get_legend_handles_labels()
            figure.legend(*handles, loc="outside upper center", ncols=2, fontsize="small")

    axes = figure.add_subplot(grid[1:, :2])
    for index, matrix in enumerate(memory.conceptors_):
        values = np.linalg.eigvalsh(matrix)[::-1]
        style = "--" if index == 3 else "-"
        axes.plot(
            values, style, marker=".", label=f"pattern {index}: sum {values.sum():.1f} of 100"
        )
    axes.set(xlim=(-1, 40), xlabel="direction, by rank", ylabel="eigenvalue of C")
    axes.set_title("How much of the state a conceptor lets through", fontsize="medium")
    axes.legend(fontsize="small")

    axes = figure.add_subplot(grid[1, 2:])
    series, state, n_each = [], memory.last_states_[0], 12
    for share in SHARES:
        mixture = morph(memory.conceptors_[:2], [1 - share, share])
        part, state = memory.recall(mixture, n_each, initial_state=state, return_state=True)
        series.append(part[:, 0])
    axes.plot(np.concatenate(series), color="C4")
    axes.set(xlabel="step", ylabel="output")
    axes.set_title("From the first sine to the second, without a stop", fontsize="medium")

    axes = figure.add_subplot(grid[2, 2:])
    axes.plot(SHARES, periods, marker="o", color="C4")
    for period in PERIODS:
        axes.axhline(period, color="black", linewidth=0.5)
    axes.set(xlabel="share of the second conceptor", ylabel="period (steps)")
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    run_demo(__doc__, run)
