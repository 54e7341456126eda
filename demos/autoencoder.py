"""Does Hessian-free optimization train a deep autoencoder better than Adam, in equal time?

Where the method began (Martens 2010): a net that squeezes its input through a narrow layer, deep,
of logistic units, from random weights of which most are zero. Here 8 x 8 digits of scikit-learn go
through 64-50-25-12-4-12-25-50-64 units, written in PyTorch: by `HessianFree` on a `TorchObjective`,
and by `torch.optim.Adam` in its plain loop. Both have the same starts and 6 seconds of processor
time on one thread (evaluations are not counted, nor what else the machine does), and settings
chosen on 297 training images that are held out: Adam's by 8 runs, its rate .001, .003, .01 or .03
at first and falling to zero, on batches of 100 or 300; those of Hessian-free optimization by 4, its
first damping 1 or 10, at most 50 or 100 iterations of conjugate gradients. Then each learns all
1,297 training images, and is scored once on 500 others: the squared error of an image, beside
principal components of as many numbers. Hessian-free optimization wins, 1.46 against 1.66, medians
of four seeds, and on each of them; Adam is ahead for the first 5 seconds (3 in --quick). On the
held-out images it was 1.40 against 1.45: close, and both with settings at an edge of their grids
(batches of 300; 10 and 50). Without PyTorch the demo says so and ends. Two and a half minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from demos import NEEDED
from demos._common import TRUTH, Figure, color_of, run_demo
from hessianfree import HessianFree, LevenbergMarquardt
from hessianfree.interfaces import TorchObjective

SIZES = (64, 50, 25, 12, 4, 12, 25, 50, 64)
CODE = SIZES.index(min(SIZES))
N_TEST, N_HELD_OUT = 500, 297
# Incoming connections of a unit at the start, as in the paper.
N_CONNECTIONS = 15
HESSIAN_FREE, ADAM = "Hessian-free", "Adam"

ADAM_GRID = [
    {"rate": rate, "size": size} for rate, size in product((0.001, 0.003, 0.01, 0.03), (100, 300))
]
HESSIAN_FREE_GRID = [
    {"damping": damping, "max_cg": max_cg} for damping, max_cg in product((1.0, 10.0), (50, 100))
]
# What the grids gave; with --quick they are not gone through.
CHOSEN: dict[str, dict[str, Any]] = {
    HESSIAN_FREE: {"damping": 10.0, "max_cg": 50},
    ADAM: {"rate": 0.01, "size": 300},
}


class Clock:
    """Seconds of processor time, from which evaluations are taken off.

    Parameters
    ----------
    budget : float
    evaluate : callable
        () -> test error, asked for at moments whose distance grows by a tenth.
    """

    def __init__(self, budget: float, evaluate: Callable[[Any], float]) -> None:
        self._budget, self._evaluate = budget, evaluate
        self._began, self._next = time.process_time(), 0.0
        self.curve: list[tuple[float, float]] = []

    def seconds(self) -> float:
        """Return the seconds spent on learning."""
        return time.process_time() - self._began

    def left(self, model: Any) -> float:
        """Return the share of the budget that is left, having noted the error where one is due."""
        seconds = self.seconds()
        if seconds >= self._next or seconds >= self._budget:
            self.curve.append((seconds, self._evaluate(model)))
            self._next = max(1.1 * seconds, seconds + 0.002 * self._budget)
            self._began += self.seconds() - seconds
        return 1 - seconds / self._budget


def make_net(seed: int) -> Any:
    """Return the autoencoder with the paper's start: few connections a unit, biases 0."""
    import torch

    rng = np.random.default_rng(seed)
    layers: list[Any] = []
    for depth, (n_in, n_out) in enumerate(pairwise(SIZES), start=1):
        layer = torch.nn.Linear(n_in, n_out)
        weights = np.zeros((n_out, n_in))
        for row in weights:
            chosen = rng.choice(n_in, size=min(n_in, N_CONNECTIONS), replace=False)
            row[chosen] = rng.standard_normal(len(chosen))
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weights))
            layer.bias.zero_()
        layers.append(layer)
        if depth not in (CODE, len(SIZES) - 1):  # the code is linear; the last link is the loss's
            layers.append(torch.nn.Sigmoid())
    return torch.nn.Sequential(*layers)


def reconstructions(net: Any, images: np.ndarray) -> np.ndarray:
    """Return what the net makes of images (n_images, 64)."""
    import torch

    with torch.no_grad():
        return torch.sigmoid(net(torch.from_numpy(images))).numpy()


def error(net: Any, images: np.ndarray) -> float:
    """Return the mean over images of the squared error, summed over pixels."""
    return float(((reconstructions(net, images) - images) ** 2).sum(axis=1).mean())


def by_hessian_free(
    net: Any, images: np.ndarray, clock: Clock, seed: int, damping: float, max_cg: int
) -> None:
    """Train a net on all images at once until the clock says stop."""
    objective = TorchObjective(net, "logistic")
    optimizer = HessianFree(damping=LevenbergMarquardt(initial=damping), max_cg_iterations=max_cg)
    state = optimizer.init(objective.params_from_module())
    while clock.left(net) > 0:
        state, _ = optimizer.step(objective, state, (images, images))
        objective.to_module(state.params)


def by_adam(net: Any, images: np.ndarray, clock: Clock, seed: int, rate: float, size: int) -> None:
    """Train a net on minibatches, epoch by epoch; the rate falls to zero with the time left."""
    import torch

    rng, data = np.random.default_rng(seed), torch.from_numpy(images)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    while True:
        order = torch.from_numpy(rng.permutation(len(images)))
        for first in range(0, len(images) - size + 1, size):
            left = clock.left(net)
            if left <= 0:
                return
            optimizer.param_groups[0]["lr"] = rate * left
            batch = data[order[first : first + size]]
            optimizer.zero_grad()
            loss = cross_entropy(net(batch), batch, reduction="sum") / size
            loss.backward()
            optimizer.step()


TRAIN = {HESSIAN_FREE: by_hessian_free, ADAM: by_adam}


@dataclass
class Trained:
    """A net after a run, and its error on the images that it is scored on against the seconds."""

    net: Any
    seconds: np.ndarray
    errors: np.ndarray


def train(
    method: str, images: np.ndarray, scored: np.ndarray, budget: float, seed: int,
    settings: dict[str, Any],
) -> Trained:  # fmt: skip
    """Train a net by one of the methods."""
    net = make_net(seed)
    clock = Clock(budget, lambda net: error(net, scored))
    TRAIN[method](net, images, clock, seed, **settings)
    seconds, errors = np.array(clock.curve).T
    return Trained(net, seconds, errors)


def choose(
    method: str, grid: list[dict[str, Any]], images: np.ndarray, budget: float
) -> dict[str, Any]:
    """Return the settings of the grid that are best on images held out of the training images."""
    learned, held_out = images[N_HELD_OUT:], images[:N_HELD_OUT]
    found = [
        train(method, learned, held_out, budget, 100, settings).errors[-1]
        for settings in tqdm(grid, desc=f"choosing settings of {method}")
    ]
    for settings, score in zip(grid, found, strict=True):
        print(f"  {method}, {settings}: {score:.3f} on held-out images")
    return grid[int(np.nanargmin(found))]


def run(quick: bool, folder: Path) -> list[Figure]:
    """Choose, train, score once, and draw."""
    if find_spec(NEEDED["autoencoder"]) is None:
        print(f"autoencoder is left out: it needs {NEEDED['autoencoder']}, which is not installed")
        return []
    import torch
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    images = (load_digits().data / 16).astype(np.float32)
    images = images[np.random.default_rng(0).permutation(len(images))]
    training, test = images[N_TEST:], images[:N_TEST]
    budget, seeds = (3.0, range(2)) if quick else (6.0, range(4))
    for method in TRAIN:  # what PyTorch loads at its first use is no part of learning
        train(method, training[:300], test, 0.01, 0, CHOSEN[method])
    chosen = CHOSEN
    if not quick:
        grids = {HESSIAN_FREE: HESSIAN_FREE_GRID, ADAM: ADAM_GRID}
        chosen = {name: choose(name, grid, training, budget) for name, grid in grids.items()}
    runs: dict[str, list[Trained]] = {HESSIAN_FREE: [], ADAM: []}
    for seed in tqdm(seeds, desc="learning, seeds"):
        for method, of_method in runs.items():
            of_method.append(train(method, training, test, budget, seed, chosen[method]))
    torch.set_num_threads(threads)
    pca = PCA(SIZES[CODE]).fit(training)
    by_pca = ((pca.inverse_transform(pca.transform(test)) - test) ** 2).sum(axis=1).mean()
    draw_picture(runs, float(by_pca), test, folder / "autoencoder.png")
    ends = {method: np.array([one.errors[-1] for one in found]) for method, found in runs.items()}
    learned = {
        method: np.median([error(one.net, training) for one in found])
        for method, found in runs.items()
    }
    medians = {method: float(np.median(errors)) for method, errors in ends.items()}
    print(f"Settings: {chosen}. Lower test error: {min(medians, key=lambda name: medians[name])}.")
    by_mean = float(((training.mean(axis=0) - test) ** 2).sum(axis=1).mean())
    bound = by_mean if quick else float(by_pca)
    n_better = int((ends[HESSIAN_FREE] < ends[ADAM]).sum())
    return [
        Figure("processor time of each run", budget, "s"),
        Figure("the mean image: test error", by_mean, "an image"),
        Figure(f"principal components, {SIZES[CODE]}: test error", float(by_pca), "an image"),
        *(
            Figure(f"{method}: {part} error, median of {len(seeds)} seeds", values[method],
                   "an image", at_most=bounds.get(method))
            for part, values, bounds in (
                ("training", learned, {}),
                ("test", medians, {HESSIAN_FREE: bound}),
            )
            for method in runs
        ),
        Figure("test error of Hessian-free over that of Adam",
               medians[HESSIAN_FREE] / medians[ADAM]),
        Figure(f"seeds on which Hessian-free is the better one, of {len(seeds)}", n_better),
    ]  # fmt: skip


def draw_picture(
    runs: dict[str, list[Trained]], by_pca: float, test: np.ndarray, path: Path
) -> None:
    """Draw errors against seconds, and what the nets of the first seed make of some digits."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import ScalarFormatter

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4), layout="constrained", gridspec_kw={"width_ratios": [1.2, 1]}
    )
    for method, found in runs.items():
        first = max(one.seconds[1] for one in found)
        last = min(one.seconds[-1] for one in found)
        grid = np.geomspace(first, last, 200)
        errors = np.array([np.interp(grid, one.seconds, one.errors) for one in found])
        left.plot(grid, np.median(errors, axis=0), color=color_of(method), label=method)
        left.fill_between(grid, errors.min(axis=0), errors.max(axis=0), color=color_of(method),
                          alpha=0.25, linewidth=0)  # fmt: skip
    left.axhline(by_pca, color=TRUTH, linestyle=":",
                 label=f"{SIZES[CODE]} principal components")  # fmt: skip
    left.set(xscale="log", yscale="log", xlabel="processor time / s",
             ylabel="test error / squared error an image")  # fmt: skip
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter(ScalarFormatter())
    left.yaxis.set_minor_formatter(ScalarFormatter())
    left.set_title("Median of the seeds, and their range", fontsize=10)
    left.legend(loc="upper right")
    shown = test[:9]
    rows = [shown] + [reconstructions(found[0].net, shown) for found in runs.values()]
    tiles = [np.hstack(np.pad(row.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))) for row in rows]
    right.imshow(np.vstack(tiles), cmap="gray", vmin=0, vmax=1)
    right.set_yticks([10 * i + 4.5 for i in range(len(rows))], ["given", *runs])
    right.set_xticks([])
    right.set_title("Test images, and what comes back through the code", fontsize=10)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Run the demo from the command line."""
    run_demo(__doc__, run)


if __name__ == "__main__":
    main()
