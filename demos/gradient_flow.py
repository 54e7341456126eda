"""What becomes of an error signal on its way back through 500 steps of a recurrent net?

The backward pass is linear: the signal is multiplied by the Jacobian of each step. It is measured
in random relu and tanh nets over the largest eigenvalue of W, in an echo state net, and in LSTM and
GRU cells. Expected: it shrinks or grows by a constant factor a step. In a tanh net that is the
largest eigenvalue as long as nothing saturates, and not far above 1 beyond; in a relu net, half of
whose units are silent, the eigenvalue over √2. Gates at 1/2 let it vanish as any net below 1 does;
a forget gate that starts open (bias 3 or 5) carries it through all 500 steps; an echo state net
does so where its W leads to an oscillation, and loses a few percent a step where to a fixed point.
Then a net that explodes is trained by gradient descent: with clipping the loss falls to that of
guessing, without it explodes. About a minute.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from demos._common import Figure, color_of, run_demo
from hessianfree import FreshBatches, SequenceNetwork, start, train
from hessianfree.cells import Cell, ElmanCell, GRUCell, LSTMCell
from hessianfree.network import echo_state_parameters
from hessianfree.optimize import SGD
from hessianfree.tasks import make_task
from hessianfree.training import History

N_UNITS = 100
N_STEPS = 500
N_SEQUENCES = 8
INPUT = 0.01
RADII = np.round(np.arange(0.7, 2.01, 0.1), 2)
FORGET_BIASES = (0.0, 1.0, 3.0, 5.0)
ECHO_RADIUS = 1.1
ECHO = "echo state net, tanh (band: all nets)"
# The eigenvalues whose signals are drawn.
SHOWN = (0.8, 1.0, 1.2, 1.6, 2.0)
# Steps back between which the factor a step is measured: beyond the first, of many directions.
FIRST, LAST = 100, 400
LENGTH, LEARNING_RATE, RADIUS, CLIP_NORM = 60, 0.1, 1.3, 0.1
# The loss of always answering the mean: half the variance of the mean of two uniform numbers.
GUESSING = 1 / 48


def backward_signal(cell: Cell, radius: float, seed: int) -> np.ndarray:
    """Return how long the signal is 0, 1, ... steps back, as a part of its length at the end.

    The signal at a step is the gradient in the input of that step, of a random linear function of
    the last states. The inputs are weak noise; the mean is the geometric one over sequences.
    """
    network = SequenceNetwork(cell, n_outputs=1)
    params = echo_state_parameters(network, spectral_radius=radius, random_state=seed)
    blocks = network.layout.views(params)
    rng = np.random.default_rng(seed)
    inputs = INPUT * rng.standard_normal((N_STEPS, N_SEQUENCES, cell.n_inputs))
    trajectory = cell.forward(blocks, inputs)
    states_bar = rng.standard_normal((1, N_SEQUENCES, N_UNITS))
    _, inputs_bar = cell.vjp(blocks, trajectory, states_bar, with_inputs_bar=True)
    # The squares of what has vanished would be no numbers any more.
    peaks = np.abs(inputs_bar).max(axis=2)
    norms = np.linalg.norm(inputs_bar / peaks[..., None], axis=2)
    logarithms = (np.log(norms) + np.log(peaks)).mean(axis=1)[::-1]
    return np.exp(logarithms - logarithms[0])


def signals(cell: Cell, radius: float, seeds: range) -> np.ndarray:
    """Return the signals of one net a seed, of shape (n_seeds, n_steps)."""
    return np.array([backward_signal(cell, radius, seed) for seed in seeds])


def mean(signals: np.ndarray) -> np.ndarray:
    """Return the geometric mean over the seeds."""
    return np.exp(np.log(signals).mean(axis=0))


def factor(signals: np.ndarray) -> float:
    """Return by how much a signal grows a step, the geometric mean over the seeds."""
    signal = mean(signals)
    return float((signal[LAST] / signal[FIRST]) ** (1 / (LAST - FIRST)))


def train_with(clip_norm: float | None, seed: int, n_updates: int) -> History:
    """Return the history of a net that explodes, trained on the adding problem."""
    task = make_task("adding", LENGTH)
    network = SequenceNetwork(ElmanCell(task.n_inputs, N_UNITS), task.n_outputs, task.loss)
    params = echo_state_parameters(
        network, spectral_radius=RADIUS, output_bias=[0.5], random_state=seed
    )
    optimizer = SGD(LEARNING_RATE, clip_norm=clip_norm)
    data = FreshBatches(task.draw, 100)
    run = start(optimizer, params, seed)
    return train(network, optimizer, data, run, n_iterations=n_updates).history


def run(quick: bool, folder: Path) -> list[Figure]:
    """Measure, draw, and hold the factors against the eigenvalues."""
    seeds = range(2 if quick else 10)
    nets = {
        kind: {
            radius: signals(ElmanCell(N_UNITS, N_UNITS, activation=kind), radius, seeds)
            for radius in RADII
        }
        for kind in ("relu", "tanh")
    }
    cells = {
        **{
            f"LSTM, forget bias {bias:g}": LSTMCell(N_UNITS, N_UNITS, forget_bias=bias)
            for bias in FORGET_BIASES
        },
        "GRU": GRUCell(N_UNITS, N_UNITS),
        ECHO: ElmanCell(N_UNITS, N_UNITS),
    }
    others = {name: signals(cell, ECHO_RADIUS, seeds) for name, cell in cells.items()}
    factors = {
        kind: np.array([factor(of_radius) for of_radius in of_kind.values()])
        for kind, of_kind in nets.items()
    }
    n_updates = 60 if quick else 300
    histories = {
        clip_norm: train_with(clip_norm, seed=0, n_updates=n_updates)
        for clip_norm in (None, CLIP_NORM)
    }
    draw(nets, others, factors, histories, folder / "gradient_flow.png")
    below = RADII < 0.95
    closed, opened = (factor(others[f"LSTM, forget bias {b:g}"]) for b in (0, 5))
    echo = factor(others[ECHO])
    without, clipped = (history["loss"] for history in histories.values())
    return [
        Figure("tanh below 1: factor a step / eigenvalue, furthest from 1",
               np.abs(factors["tanh"][below] / RADII[below] - 1).max(), at_most=0.02),
        Figure("tanh at eigenvalue 2: factor a step", factors["tanh"][-1], at_most=1.3),
        Figure("relu: factor a step / eigenvalue, furthest from 1/√2",
               np.abs(factors["relu"] / RADII - np.sqrt(0.5)).max(), at_most=0.05),
        Figure("echo state net (tanh, 1.1): factor a step, from 1", abs(echo - 1), at_most=0.1),
        Figure("LSTM, forget gate half open: factor a step", closed, at_most=0.8),
        Figure("LSTM, forget bias 5: factor a step, from 1", abs(opened - 1), at_most=0.02),
        Figure("GRU: factor a step", factor(others["GRU"]), at_most=0.8),
        Figure("largest loss while training, without clipping", without.max(), at_least=1e3),
        Figure("the same with clipping, relative to the first", clipped.max() / clipped[0],
               at_most=1.5),
        Figure("loss at the end with clipping, relative to guessing",
               clipped[-20:].mean() / GUESSING, at_most=1.5),
    ]  # fmt: skip


def draw(
    nets: dict[str, dict[float, np.ndarray]],
    others: dict[str, np.ndarray],
    factors: dict[str, np.ndarray],
    histories: dict[float | None, History],
    path: Path,
) -> None:
    """Draw the signals, their factors, and what clipping does."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(14, 7.5), layout="constrained")
    colors = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(SHOWN)))
    for axis, (kind, of_kind) in zip(axes[0], nets.items()):
        for radius, color in zip(SHOWN, colors):
            axis.semilogy(mean(of_kind[radius]), color=color, label=f"{radius:g}")
        axis.legend(title="eigenvalue", frameon=False)
        axis.set(title=f"{kind} nets", ylim=(1e-30, 1e30))
    # Of the LSTM, the wider the line, the larger the bias of the forget gate.
    lstms = [name for name in others if "LSTM" in name]
    widths = dict(zip(lstms, np.linspace(0.7, 3, len(lstms))))
    for name, signal in others.items():
        axes[0, 2].semilogy(
            mean(signal), label=name, linestyle="-" if "LSTM" in name else "--",
            color=color_of(name), linewidth=widths.get(name, 1.5),
        )  # fmt: skip
    band = others[ECHO].min(axis=0), others[ECHO].max(axis=0)
    axes[0, 2].fill_between(
        np.arange(N_STEPS), *band, color=color_of(ECHO), alpha=0.15, linewidth=0
    )
    axes[0, 2].legend(frameon=False, fontsize="small", loc="upper left")
    axes[0, 2].set(title="Gated cells, echo state net", ylim=(1e-30, 1e30))
    for axis in axes[0]:
        axis.axhline(1, color="black", linewidth=0.5)
        axis.set(xlabel="steps back", ylabel="backward signal")
    left, middle, right = axes[1]
    left.plot(RADII, RADII, color="gray", linestyle=":", label="the eigenvalue")
    left.plot(RADII, RADII / np.sqrt(2), color="gray", linestyle="--", label="the eigenvalue / √2")
    for kind, values in factors.items():
        left.plot(RADII, values, marker=".", label=f"{kind} net")
    left.axhline(1, color="black", linewidth=0.5)
    left.set(xlabel="largest eigenvalue of W", ylabel="factor a step")
    left.set_title("Explosion above 1, vanishing below")
    left.legend(frameon=False)
    for clip_norm, history in histories.items():
        name = "no clipping" if clip_norm is None else f"clipped to norm {clip_norm:g}"
        middle.semilogy(np.minimum(history["gradient_norm"], 1e12), label=name, linewidth=0.8)
        right.semilogy(np.minimum(history["loss"], 1e12), label=name, linewidth=0.8)
    middle.axhline(CLIP_NORM, color="black", linewidth=0.5)
    right.axhline(GUESSING, color="gray", linestyle=":", label="guessing")
    middle.set(xlabel="update", ylabel="norm of the gradient, before clipping", ylim=(1e-3, 1e6))
    right.set(xlabel="update", ylabel="loss", ylim=(1e-2, 1e3))
    middle.set_title(f"Gradient descent from eigenvalue {RADIUS:g}")
    right.set_title("... and its loss")
    right.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    run_demo(__doc__, run)
