"""What can a recurrent net do when it is left to itself?

Oscillate, settle, or go chaotic. A net of 100 tanh units gets a kick and runs on without input.
With a symmetric W it settles on a point attractor, one of several, which depends on the start; with
a W that turns one plane it oscillates; with a random W of spectral radius 2 it is chaotic. Which of
them it is, the largest Lyapunov exponent says: how fast two starts come together or part.
Expected: below, at and above 0, and the same as the slope of the logarithm of the distance between
runs that start side by side. Where it settles can be learned, too: a net of 20 units sees a point
of the plane at the first of 20 steps and is told at the last 8 alone to put out the middle of its
quadrant. It learns four point attractors: left alone for 300 steps, it stays at the point for
nearly all new starts, and starts in one quadrant end at one point. Half a minute.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from demos._common import TRUTH, Figure, run_demo
from hessianfree import RNNRegressor
from reservoir.diagnostics import driven_lyapunov_exponents
from reservoir.dynamics import Reservoir
from reservoir.dynamics import run as run_reservoir
from reservoir.weights import recurrent_weights

N_UNITS = 100
N_STEPS = 400
PERIOD = 25.0
# Starts from which it is seen where the net settles, and pairs of starts side by side.
N_STARTS = 20
N_PAIRS = 20
APART = 1e-9
SEED = 0
# Learned attractors: steps of a lesson, those with targets, starts, and how long runs are tested.
N_LESSON, N_TARGETS, N_LESSONS, N_ON = 20, 8, 400, 300
MIDDLE = 0.5


def make_nets(rng: np.random.Generator) -> dict[str, Reservoir]:
    """Return a net for each behaviour, each with one input, through which it is kicked."""
    normal = rng.standard_normal((N_UNITS, N_UNITS)) / np.sqrt(N_UNITS)
    symmetric = normal + normal.T
    symmetric *= 3 / np.linalg.eigvalsh(symmetric).max()
    plane, _ = np.linalg.qr(rng.standard_normal((N_UNITS, 2)))
    angle = 2 * np.pi / PERIOD
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    weights = {
        "settles": symmetric,
        "oscillates": 1.3 * plane @ turn @ plane.T,
        "is chaotic": np.asarray(
            recurrent_weights(
                N_UNITS, spectral_radius=2.0, connectivity=1.0, distribution="normal",
                random_state=rng,
            )
        ),
    }  # fmt: skip
    return {
        name: Reservoir(
            recurrent=recurrent,
            input=rng.standard_normal((N_UNITS, 1)),
            bias=np.zeros(N_UNITS),
            # Half steps: a symmetric net could otherwise fall into a cycle of two.
            leak_rate=0.5 if name == "settles" else 1.0,
        )
        for name, recurrent in weights.items()
    }


def kick(strength: float, n_steps: int) -> np.ndarray:
    """Return an input that comes at the first step only."""
    inputs = np.zeros((n_steps, 1))
    inputs[0] = strength
    return inputs


def distances_apart(net: Reservoir, n_pairs: int) -> np.ndarray:
    """Return how far runs that start side by side are apart, the geometric mean over pairs."""
    rng = np.random.default_rng(SEED)
    # The first runs are on the attractor when the second ones start.
    on_attractor = run_reservoir(net, kick(1.0, (n_pairs + 2) * N_STEPS))
    logarithms = []
    for first in range(N_STEPS, (n_pairs + 1) * N_STEPS, N_STEPS):
        aside = rng.standard_normal(N_UNITS)
        start = on_attractor[first - 1] + APART * aside / np.linalg.norm(aside)
        other = run_reservoir(net, kick(0.0, N_STEPS), initial_state=start)
        difference = on_attractor[first : first + N_STEPS] - other
        logarithms.append(np.log(np.linalg.norm(difference, axis=1)))
    return np.exp(np.mean(logarithms, axis=0))


def slope(distances: np.ndarray) -> float:
    """Return the growth rate while the runs are neighbours, and more than rounding apart."""
    near = (distances < 1e-3) & (distances > 1e-13)
    last = len(near) if near.all() else int(np.argmin(near))
    # At first the many other directions die out.
    steps = np.arange(min(20, last // 2), last)
    return float(np.polyfit(steps, np.log(distances[steps]), 1)[0])


def count_attractors(net: Reservoir) -> int:
    """Return on how many different points the net settles from random starts."""
    starts = np.random.default_rng(SEED).uniform(-1, 1, size=(N_STARTS, N_UNITS))
    ends = [run_reservoir(net, kick(0.0, 3 * N_STEPS), initial_state=start)[-1] for start in starts]
    return len(np.unique(np.round(ends, 3), axis=0))


def one_look(points: np.ndarray, n_steps: int) -> np.ndarray:
    """Return inputs (n_points, n_steps, 2): each point at the first step, and nothing after it."""
    inputs = np.zeros((len(points), n_steps, 2))
    inputs[:, 0] = points
    return inputs


def teach_attractors() -> RNNRegressor:
    """Return a net that learned, from targets at the last steps only, where to settle."""
    points = np.random.default_rng(SEED).uniform(-1, 1, size=(N_LESSONS, 2))
    targets = np.repeat(MIDDLE * np.sign(points)[:, None], N_LESSON, axis=1)
    counts = np.zeros((N_LESSONS, N_LESSON))
    counts[:, -N_TARGETS:] = 1
    net = RNNRegressor(20, target="step", max_iter=60, random_state=SEED)
    return net.fit(one_look(points, N_LESSON), targets, step_weight=counts)


def learned_figures(points: np.ndarray, outputs: np.ndarray) -> list[Figure]:
    """Return where new starts (n_starts, 2) came to, by their outputs (n_starts, n_steps, 2)."""
    ends = outputs[:, -1]
    middles = MIDDLE * np.sign(points)
    is_right = np.linalg.norm(ends - middles, axis=1) < 0.1
    moved = np.linalg.norm(ends - outputs[:, -50], axis=1)
    found = len(np.unique(np.round(ends[is_right], 2), axis=0))
    return [
        Figure("learned: new starts that end at their attractor", 100 * is_right.mean(), "%",
               at_least=90),
        Figure("learned: points at which these rest", found, at_least=4),
        Figure("learned: moved in the last 50 of 300 steps, median", np.median(moved),
               at_most=1e-4),
    ]  # fmt: skip


def run(quick: bool, folder: Path) -> list[Figure]:
    """Kick, measure, draw."""
    nets = make_nets(np.random.default_rng(SEED))
    inputs = kick(1.0, 4000 if quick else 20_000)
    exponents = {
        name: driven_lyapunov_exponents(net, inputs, washout=1000, random_state=SEED).largest
        for name, net in nets.items()
    }
    n_pairs = 5 if quick else N_PAIRS
    distances = {name: distances_apart(net, n_pairs) for name, net in nets.items()}
    states = {name: run_reservoir(net, inputs[:N_STEPS]) for name, net in nets.items()}
    points = np.random.default_rng(SEED + 1).uniform(-1, 1, size=(N_LESSONS, 2))
    outputs = teach_attractors().predict(one_look(points, N_ON))
    draw(states, distances, exponents, (points, outputs), folder / "behaviours.png")
    off = max(abs(slope(distances[name]) - exponents[name]) for name in nets)
    return [
        Figure("settles: largest Lyapunov exponent", exponents["settles"], "a step",
               at_most=-0.01),
        Figure(f"point attractors found from {N_STARTS} starts",
               count_attractors(nets["settles"]), at_least=2),
        Figure("oscillates: largest Lyapunov exponent, from 0", abs(exponents["oscillates"]),
               "a step", at_most=0.001),
        Figure("is chaotic: largest Lyapunov exponent", exponents["is chaotic"], "a step",
               at_least=0.02),
        Figure("exponent against the distance of runs, furthest off", off, "a step", at_most=0.01),
        *learned_figures(points, outputs),
    ]  # fmt: skip


def draw(
    states: dict[str, np.ndarray],
    distances: dict[str, np.ndarray],
    exponents: dict[str, float],
    learned: tuple[np.ndarray, np.ndarray],
    path: Path,
) -> None:
    """Draw activities, the two directions with most motion, and distances, a net a row."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(4, 3, figsize=(12, 10.5), layout="constrained")
    draw_learned(axes[3], *learned)
    for (activity, portrait, apart), name in zip(axes, states):
        activity.plot(states[name][:150, :6], linewidth=0.9)
        activity.set(ylabel="activity of 6 units", ylim=(-1.05, 1.05), xlabel="step")
        activity.set_title(f"It {name}: exponent {round(exponents[name], 3) + 0.0:+.3f} a step")
        motion = states[name] - states[name].mean(axis=0)
        x, y = np.linalg.svd(motion, full_matrices=False)[2][:2] @ states[name].T
        portrait.plot(x, y, linewidth=0.5, marker=".", markersize=2)
        portrait.plot(x[-1], y[-1], "o", color="black")
        portrait.set(xlabel="first direction of motion", ylabel="second")
        line = APART * np.exp(exponents[name] * np.arange(N_STEPS))
        apart.semilogy(distances[name], label="measured")
        apart.semilogy(line, color="gray", linestyle=":", label="slope of the exponent")
        apart.set(ylabel="distance of two runs", xlabel="step", ylim=(1e-18, 1e3))
    axes[0, 2].legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_learned(axes: np.ndarray, points: np.ndarray, outputs: np.ndarray) -> None:
    """Draw outputs over the steps and in the plane, and which start leads to which attractor."""
    lesson, portrait, basins = axes
    colors = np.array(["tab:blue", "tab:orange", "tab:green", "tab:red"])
    of_end = colors[(outputs[:, -1] > 0) @ [1, 2]]
    for output, color in zip(outputs[:30], of_end):
        lesson.plot(np.arange(1, 61), output[:60, 0], color=color, linewidth=0.7)
        portrait.plot(*output.T, color=color, linewidth=0.7, marker=".", markersize=2)
    lesson.axvspan(N_LESSON - N_TARGETS + 1, N_LESSON, color="gray", alpha=0.3, linewidth=0)
    lesson.set(xlabel="step (targets: the gray ones only)", ylabel="first output, 30 starts")
    lesson.set_title("It learned where to settle, from the last steps")
    for axis in (portrait, basins):
        for x in (-MIDDLE, MIDDLE):
            axis.plot([x, x], [-MIDDLE, MIDDLE], "x", color=TRUTH, markersize=9, zorder=3)
    portrait.set(xlabel="first output", ylabel="second output")
    portrait.set_title("30 runs of 300 steps; crosses: targets")
    basins.scatter(*points.T, c=of_end, s=9)
    basins.set(xlabel="first input, at step 1", ylabel="second input")
    basins.set_title("Starts, in the colour of where they end")


if __name__ == "__main__":
    run_demo(__doc__, run)
