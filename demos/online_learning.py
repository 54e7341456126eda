"""Can a readout follow a system that changes, and tame a chaotic reservoir while it runs?

First, a nonlinear filter whose coefficients drift, and jump once. A readout learned from the first
2,000 steps stays as it is; recursive least squares learns on with each step, without and with
forgetting, and each output is given before its target is known. Expected over 10 seeds: in the last
quarter an NRMSE of at most 0.1 with forgetting, and of at least 0.7 for the fixed readout.

Then FORCE learning: reservoirs of spectral radius 1.5, most of them chaotic, with their own
output fed back while recursive least squares teaches them a pattern. They go on by themselves when
it stops.
Expected over 10 seeds: an NRMSE of at most 0.1 over the next 20 periods. About 40 seconds.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from demos._common import OUTPUT, TRUTH, Figure, run_demo
from reservoir import ESNRegressor, OnlineESNRegressor
from reservoir.diagnostics import driven_lyapunov_exponents
from reservoir.metrics import nrmse

N_STEPS, N_FIXED, JUMP = 8_000, 2_000, 5_000
RESERVOIR = {"n_units": 100, "spectral_radius": 0.5, "input_scaling": 0.5, "washout": 100}
FORGETTING = 0.99

PERIOD, N_TAUGHT, N_FREE = 60, 4_000, 20 * 60
GENERATOR = {
    "n_units": 500,
    "spectral_radius": 1.5,
    "leak_rate": 0.2,
    "connectivity": 0.1,
    "bias_scaling": 0.02,
    "feedback_scaling": 1.0,
    "teacher_forcing": False,  # its own output is fed back
    "include_input": False,
    "alpha": 1e-2,
}


def drifting_filter(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return input and output of y[t] = a u[t-1] + b u[t-2] + c u[t-1] u[t-3] + noise.

    a, b and c turn slowly, and change their signs at once at step `JUMP`.
    """
    rng = np.random.default_rng(seed)
    u = rng.uniform(-1, 1, N_STEPS)
    phase = np.pi * np.arange(N_STEPS) / N_STEPS
    sign = np.where(np.arange(N_STEPS) < JUMP, 1, -1)
    a, b, c = sign * np.cos(phase), sign * np.sin(phase), sign * np.cos(phase + 1)
    u1, u2, u3 = (np.roll(u, lag) for lag in (1, 2, 3))
    return u, a * u1 + b * u2 + c * u1 * u3 + 0.01 * rng.normal(size=N_STEPS)


def follow(seed: int) -> tuple[dict[str, np.ndarray], float]:
    """Return the squared error of each readout at each step, and microseconds a live step."""
    u, y = drifting_filter(seed)
    fixed = ESNRegressor(alpha=1e-6, random_state=seed, **RESERVOIR)
    fixed.fit(u[:N_FIXED, None], y[:N_FIXED])
    outputs = {f"fixed after {N_FIXED:,} steps": fixed.predict(u[:, None])}
    for name, forgetting in (("never forgets", 1.0), ("forgets", FORGETTING)):
        online = OnlineESNRegressor(forgetting=forgetting, random_state=seed, **RESERVOIR)
        online.step(0.0, 0.0)  # sets up, and compiles
        online.reset_state()
        begun = time.perf_counter()
        outputs[name] = np.array([online.step(*pair) for pair in zip(u, y)])
        micro = (time.perf_counter() - begun) / N_STEPS * 1e6
    return {name: (output - y) ** 2 / y.var() for name, output in outputs.items()}, micro


def pattern(n_steps: int) -> np.ndarray:
    """Return four harmonics, as in figure 2 of Sussillo & Abbott (2009)."""
    t = 2 * np.pi * np.arange(n_steps) / PERIOD
    return (np.sin(t) + np.sin(2 * t) / 2 + np.sin(3 * t) / 6 + np.sin(4 * t) / 3) * 1.3 / 1.5


def teach(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return the target, the output (silent, taught, free), and the exponent before learning."""
    n_silent = 5 * PERIOD
    target = pattern(n_silent + N_TAUGHT + N_FREE)
    clock = np.zeros((len(target), 1))
    generator = OnlineESNRegressor(random_state=seed, **GENERATOR)
    # Step by step, so that the outputs on the way can be shown; `fit` does the same.
    generator.step(0.0, 0.0)  # sets up
    alone = replace(generator.reservoir_, feedback=None)
    exponent = driven_lyapunov_exponents(alone, clock[:4000], washout=1000, random_state=0).largest
    states, output = [], np.zeros(len(target))
    for t in range(len(target)):
        is_taught = n_silent <= t < n_silent + N_TAUGHT
        output[t] = generator.step(0.0, target[t] if is_taught else None)
        states.append(generator.last_state_[:5])
    return target, output, np.array(states), exponent


def run(quick: bool, folder: Path) -> list[Figure]:
    """Run all seeds of both, and draw them."""
    seeds = range(2 if quick else 10)
    followed = [follow(seed) for seed in tqdm(seeds, desc="following")]
    taught = [teach(seed) for seed in tqdm(seeds, desc="teaching")]
    late = slice(N_STEPS * 3 // 4, None)
    errors = {
        name: [float(np.sqrt(errors[name][late].mean())) for errors, _ in followed]
        for name in followed[0][0]
    }
    free = [nrmse(target[-N_FREE:], output[-N_FREE:]) for target, output, _, _ in taught]
    wildest = max(taught, key=lambda one: one[-1])
    draw(followed[0][0], wildest, folder / "online_learning.png")
    fixed, _, forgets = errors.values()
    return [
        *(
            Figure(f"NRMSE in the last quarter, {name}, median", float(np.median(values)))
            for name, values in errors.items()
        ),
        Figure("the same, forgetting, worst seed", max(forgets), at_most=0.1),
        Figure("the same, fixed, best seed", min(fixed), at_least=0.7),
        Figure(f"a live step with {RESERVOIR['n_units']} units, median",
               float(np.median([micro for _, micro in followed])), "µs"),
        Figure("reservoirs that are chaotic before they are taught",
               sum(exponent > 0 for *_, exponent in taught), f"of {len(seeds)}"),
        Figure(f"NRMSE over {N_FREE // PERIOD} free periods, median", float(np.median(free))),
        Figure("the same, worst seed", max(free), at_most=0.1),
    ]  # fmt: skip


def draw(
    errors: dict[str, np.ndarray],
    taught: tuple[np.ndarray, np.ndarray, np.ndarray, float],
    path: Path,
) -> None:
    """Draw the error over time, and a generator before, while and after it is taught."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, 1, figsize=(10, 9), layout="constrained")
    width = 100
    for (name, squares), color in zip(errors.items(), ("tab:gray", "tab:blue", OUTPUT)):
        # What the fixed readout has learned from is no forecast of its own.
        first = N_FIXED if name.startswith("fixed") else 0
        means = np.convolve(squares[first:], np.ones(width) / width, mode="valid")
        steps = first + np.arange(len(means)) + width - 1
        axes[0].semilogy(steps, np.sqrt(means), color=color, label=name)
    axes[0].axvline(JUMP, color="black", linestyle=":", linewidth=1)
    axes[0].set(
        xlim=(0, N_STEPS), xlabel="step", ylabel=f"NRMSE of {width} steps",
        title="A filter that drifts, and jumps at the dotted line: outputs before their targets",
    )  # fmt: skip
    axes[0].legend(fontsize="small")

    target, output, states, _ = taught
    n_silent, begun_free = 5 * PERIOD, 5 * PERIOD + N_TAUGHT
    for axis, shown, title in (
        (axes[1], slice(0, n_silent + 400), "FORCE: learning begins at the dotted line"),
        (axes[2], slice(begun_free - 300, begun_free + 500), "... and stops at this one"),
    ):
        steps = np.arange(shown.start, shown.stop)
        for unit in range(states.shape[1]):
            axis.plot(steps, 0.8 * states[shown, unit] - 3 - 1.5 * unit, color="tab:blue",
                      linewidth=0.7, label="units" if not unit else None)  # fmt: skip
        axis.plot(steps, target[shown], color=TRUTH, linewidth=2.5, label="target")
        axis.plot(steps, output[shown], color=OUTPUT, linestyle="--", label="output")
        axis.axvline(n_silent if axis is axes[1] else begun_free, color="black", linestyle=":")
        axis.set(xlim=(shown.start, shown.stop - 1), ylim=(-10.5, 3.5), yticks=[], xlabel="step",
                 title=title)  # fmt: skip
    axes[1].legend(loc="upper right", fontsize="small", ncols=3)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    run_demo(__doc__, run)
