"""Can a recurrent net learn to add 8-bit numbers, and then add numbers of any length?

Two bits come in at each step, least significant first, and the bit of the sum comes out. A
multiplicative and a vanilla net of 20 units are trained by Hessian-free optimization on 4,000 of
the 65,536 sums of 8-bit numbers. Expected for 5 of 5 seeds: not one of 10,000 other 8-bit sums
wrong, nor of 10,000 sums of 32 and of 64 bits, nor of 1,000 sums of 1,000 bits, after a second or
two of learning each. All sums are held against Python's own. A minute or two.

A feed-forward net gets all bits at once. Its inputs are as many as it was built with, and where it
has inputs to spare for longer numbers, it has never learned what to do with them.

Adding is a machine of four states: carry or not, and the bit that was printed. The picture shows
that the nets have found it.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from tqdm import tqdm

from demos._common import Figure, color_of, run_demo
from hessianfree import RNNClassifier
from hessianfree.tasks import binary_addition

N_BITS = 8
N_TRAINING, N_VALIDATION, N_TEST = 4000, 1000, 10_000
N_FEED_FORWARD = 15_000  # it needs more sums to learn anything of them
LONGER = {32: 10_000, 64: 10_000, 1000: 1000}  # bits: sums
NETS = {
    # Each pair of bits is a symbol with a transition of its own: as numbers, the bits (0, 0) would
    # make all gains vanish, and with them the carry.
    "multiplicative": {"cell": "multiplicative", "n_symbols": 4},
    "vanilla": {"cell": "vanilla"},
}


class Sums(NamedTuple):
    """Binary sums, the least significant bit first, with one step more for the last carry."""

    bits: np.ndarray  # (n_sums, n_bits + 1, 2), of the two numbers
    answers: np.ndarray  # (n_sums, n_bits + 1)


class Trained(NamedTuple):
    """A net that has learned, and how many of the sums of each length it gets wrong."""

    rnn: RNNClassifier
    seconds: float
    wrong: dict[int, int]


def draw(n_bits: int, n_sums: int, seed: int) -> Sums:
    """Return random sums."""
    batch = binary_addition(n_bits, n_sums, np.random.default_rng(seed))
    return Sums(
        batch.inputs.swapaxes(0, 1).astype(int), batch.targets[..., 0].swapaxes(0, 1).astype(int)
    )


def draw_different(n_bits: int, sizes: list[int], seed: int) -> list[Sums]:
    """Return several sets of random sums, no sum twice in any of them."""
    sums = draw(n_bits, 2 * sum(sizes), seed)
    _, first = np.unique(sums.bits.reshape(len(sums.bits), -1), axis=0, return_index=True)
    first = np.sort(first)
    parts = np.split(first, np.cumsum(sizes))[: len(sizes)]
    return [Sums(sums.bits[part], sums.answers[part]) for part in parts]


def inputs(net: str, bits: np.ndarray) -> np.ndarray:
    """Return what the net is shown: the two bits, or the number of the pair."""
    return (bits @ [1, 2])[..., None] if net == "multiplicative" else bits


def as_integers(bits: np.ndarray) -> list[int]:
    """Return the numbers that rows of bits spell."""
    rows = np.packbits(bits.astype(np.uint8), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def count_wrong(bits: np.ndarray, predicted: np.ndarray) -> int:
    """Return how many of the sums are not those that Python's integers give."""
    a, b = as_integers(bits[..., 0]), as_integers(bits[..., 1])
    total = as_integers(predicted)
    return sum(x + y != z for x, y, z in zip(a, b, total, strict=True))


def learn(net: str, training: Sums, validation: Sums, seed: int) -> tuple[RNNClassifier, float]:
    """Train a net until it adds without error and is sure of it; return it and the seconds."""

    def is_done(rnn: RNNClassifier) -> bool:
        # Sure: a state that is only roughly right drifts off in a sum of a thousand bits.
        if rnn.loss_curve_[-1] > 1e-5:
            return False
        return bool(np.all(rnn.predict(inputs(net, validation.bits)) == validation.answers))

    rnn = RNNClassifier(
        n_units=20,
        gradient_batch_size=200,
        max_iter=200,
        random_state=seed,
        callback=is_done,
        **NETS[net],
    )
    begun = time.perf_counter()
    rnn.fit(inputs(net, training.bits), training.answers)
    return rnn, time.perf_counter() - begun


def trial(net: str, seed: int) -> Trained:
    """Train a net on 8-bit sums, and test it on others and on longer ones."""
    sizes = [N_TRAINING, N_VALIDATION, N_TEST]
    training, validation, test = draw_different(N_BITS, sizes, seed)
    rnn, seconds = learn(net, training, validation, seed)
    tests = {N_BITS: test} | {n_bits: draw(n_bits, n, seed) for n_bits, n in LONGER.items()}
    wrong = {
        n_bits: count_wrong(sums.bits, rnn.predict(inputs(net, sums.bits)))
        for n_bits, sums in tests.items()
    }
    return Trained(rnn, seconds, wrong)


def flatten(sums: Sums, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all bits of each sum side by side, with zeros up to `room` bits."""
    missing = room + 1 - sums.bits.shape[1]
    bits = np.pad(sums.bits, [(0, 0), (0, missing), (0, 0)])[:, :-1]
    return bits.reshape(len(bits), -1).astype(np.float32), np.pad(
        sums.answers, [(0, 0), (0, missing)]
    )


def feed_forward(n_units: int, room: int) -> tuple[MLPClassifier, int]:
    """Train a feed-forward net on 8-bit sums; return it and the number of its weights."""
    training, _ = draw_different(N_BITS, [N_FEED_FORWARD, N_TEST], 0)
    mlp = MLPClassifier(n_units, learning_rate_init=0.01, max_iter=60, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(*flatten(training, room))
    return mlp, sum(block.size for block in mlp.coefs_ + mlp.intercepts_)


def fraction_wrong(mlp: MLPClassifier, sums: Sums, room: int) -> float:
    """Return the fraction of sums of which a feed-forward net gets a bit wrong."""
    bits, answers = flatten(sums, room)
    return float(np.any(mlp.predict(bits) != answers, axis=1).mean())


def compare_feed_forward() -> list[Figure]:
    """Say what a feed-forward net makes of 8 bits, and of more."""
    _, test = draw_different(N_BITS, [N_FEED_FORWARD, N_TEST], 0)
    figures = []
    mlp, n_weights = feed_forward(20, N_BITS)
    name = f"feed-forward, {n_weights:,} weights"
    figures.append(
        Figure(f"{name}: wrong of sums of 8 bits", 100 * fraction_wrong(mlp, test, N_BITS), "%")
    )
    try:
        fraction_wrong(mlp, draw(N_BITS + 1, 10, 0), N_BITS + 1)
    except ValueError as error:
        print(f"{name}, asked for a sum of 9 bits: {error}")
    mlp, n_weights = feed_forward(100, 32)
    name = f"feed-forward for 32 bits, {n_weights:,} weights: wrong of"
    for n_bits, bound in ((N_BITS, None), (N_BITS + 1, 50), (32, 99)):
        sums = test if n_bits == N_BITS else draw(n_bits, 2000, 1)
        figures.append(
            Figure(
                f"{name} {n_bits} bits", 100 * fraction_wrong(mlp, sums, 32), "%", at_least=bound
            )
        )
    return figures


def run(quick: bool, folder: Path) -> list[Figure]:
    """Train all nets, and draw what they have learned."""
    seeds = range(2 if quick else 5)
    trials = {net: [trial(net, seed) for seed in tqdm(seeds, desc=f"{net}, seeds")] for net in NETS}
    draw_picture(trials, folder / "binary_addition.png")
    figures = []
    for net, of_net in trials.items():
        for n_bits in of_net[0].wrong:
            n_sums = N_TEST if n_bits == N_BITS else LONGER[n_bits]
            figures.append(
                Figure(f"{net}: wrong of {n_sums:,} sums of {n_bits:,} bits, worst seed",
                       max(t.wrong[n_bits] for t in of_net), at_most=0)
            )  # fmt: skip
        figures += [
            Figure(f"{net}: learning, slowest of {len(seeds)} seeds",
                   max(t.seconds for t in of_net), "s"),
            Figure(f"{net}: Hessian-free iterations, median",
                   float(np.median([t.rnn.n_iter_ for t in of_net]))),
            Figure(f"{net}: weights", len(of_net[0].rnn.params_)),
        ]  # fmt: skip
    return figures + compare_feed_forward()


# -- the picture ---------------------------------------------------------------------------------

# The state that a step leads to is the number of ones that came in, with the carry of the step
# before: the bit printed is its last bit, the new carry its first.
STATES = ("no carry, printed 0", "no carry, printed 1", "carry, printed 0", "carry, printed 1")
COLORS = ("tab:blue", "tab:green", "tab:orange", "tab:red")


def automaton_states(bits: np.ndarray) -> np.ndarray:
    """Return the state of the adding machine after each step, of shape (n_sums, n_steps)."""
    states = bits.sum(axis=2)
    for step in range(1, states.shape[1]):
        states[:, step] += states[:, step - 1] // 2
    return states


def draw_picture(trials: dict[str, list[Trained]], path: Path) -> None:
    """Draw one sum, the losses, and the hidden states as an automaton."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(12, 9.5), layout="constrained")
    axes = figure.subplot_mosaic(
        [["sum", "loss"], ["multiplicative", "vanilla"]], height_ratios=[1, 1.6]
    )
    draw_sum(axes["sum"], trials["multiplicative"][0].rnn)
    for net in trials:
        for index, of_seed in enumerate(trials[net]):
            label = "" if index else f"{net} net"
            axes["loss"].semilogy(
                of_seed.rnn.loss_curve_, color=color_of(net), alpha=0.7, label=label
            )
    axes["loss"].axhline(np.log(2), color="gray", linestyle=":", label="guessing")
    axes["loss"].set(xlabel="Hessian-free iteration", ylabel="cross-entropy a bit, nats",
                     title="Learning 8-bit sums, one line a seed")  # fmt: skip
    axes["loss"].legend(fontsize="small")
    for net in trials:
        centres = draw_states(axes[net], trials[net][0].rnn, net)
        if net == "multiplicative":
            draw_moves(axes[net], centres)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_sum(axes, rnn: RNNClassifier) -> None:
    """Write out one sum, bit by bit, with what the net says."""
    a, b = 77, 110
    bits = np.array([[[a >> i & 1, b >> i & 1] for i in range(N_BITS + 1)]])
    probability = rnn.predict_proba(inputs("multiplicative", bits))[0, :, 1]
    states = automaton_states(bits)[0]
    rows = {
        f"first number, {a}": bits[0, :, 0],
        f"second number, {b}": bits[0, :, 1],
        "carry to the next step": states // 2,
    }
    for row, values in enumerate(rows.values()):
        for step, value in enumerate(values):
            axes.text(-step, -row, value, ha="center", va="center")
    for step, value in enumerate(probability):
        axes.text(-step, -3, f"{value:.4f}", ha="center", va="center", color="white",
                  fontsize="small")  # fmt: skip
    axes.bar(-np.arange(N_BITS + 1), 0.9, 0.94, -3.45, color=[COLORS[state] for state in states])
    answer = as_integers((probability > 0.5)[None])[0]
    # Written as by hand: the least significant bit, which comes first, stands on the right.
    axes.set(yticks=[0, -1, -2, -3], yticklabels=[*rows, "net: probability of a 1"],
             xticks=-np.arange(N_BITS + 1), xticklabels=np.arange(N_BITS + 1) + 1,
             xlim=(-N_BITS - 0.6, 0.6), ylim=(-3.6, 0.6),
             xlabel="step: the net reads from right to left",
             title=f"{a} + {b}: the net prints {answer}")  # fmt: skip
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def draw_states(axes, rnn: RNNClassifier, net: str) -> np.ndarray:
    """Draw the hidden states along their two principal axes; return the centres of the groups."""
    sums = draw(16, 300, 5)
    hidden = rnn.network_.states(rnn.params_, time_first(inputs(net, sums.bits))).swapaxes(0, 1)
    states = automaton_states(sums.bits).ravel()
    rows = hidden.reshape(-1, hidden.shape[2])
    rows = rows - rows.mean(axis=0)
    _, singular_values, directions = np.linalg.svd(rows, full_matrices=False)
    plane = rows @ directions[:2].T
    plane /= plane.std(axis=0)
    shown = 100 * np.sum(singular_values[:2] ** 2) / np.sum(singular_values**2)
    for state, color in enumerate(COLORS):
        axes.plot(*plane[states == state].T, ".", color=color, markersize=4, alpha=0.4,
                  label=STATES[state])  # fmt: skip
    axes.set(xlabel=f"first two principal components, {shown:.0f} % of the variance",
             title=f"{net} net: its hidden states after each step",
             xticks=[], yticks=[])  # fmt: skip
    axes.margins(0.2)
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(fontsize="small", markerscale=3, loc="best")
    return np.array([plane[states == state].mean(axis=0) for state in range(4)])


def draw_moves(axes, centres: np.ndarray) -> None:
    """Draw the moves of the adding machine, each with the ones that come in: 0, 1 or 2."""
    middle = centres.mean(axis=0)
    for state, centre in enumerate(centres):
        for ones in range(3):
            target = ones + state // 2
            if target == state:
                outwards = (centre - middle) / np.linalg.norm(centre - middle)
                axes.annotate(f"\u21bb {ones}", centre, 36 * outwards, textcoords="offset points",
                              ha="center", va="center", color=COLORS[state])  # fmt: skip
                continue
            axes.annotate("", centres[target], centre, arrowprops={
                "arrowstyle": "-|>", "color": "gray", "shrinkA": 18, "shrinkB": 20,
                "connectionstyle": "arc3,rad=0.15"})  # fmt: skip
            along = centres[target] - centre
            # Where an arc of that bend is a third of its way.
            place = centre + along / 3 + 0.067 * np.array([along[1], -along[0]])
            axes.annotate(str(ones), place, ha="center", va="center", color="dimgray",
                          bbox={"boxstyle": "circle,pad=0.15", "color": "white"})  # fmt: skip
    axes.set_xlabel(axes.get_xlabel() + "\narrows: where 0, 1 or 2 ones in the next pair lead")


def time_first(sequences: np.ndarray) -> np.ndarray:
    """Return inputs as the net itself takes them."""
    swapped = sequences.swapaxes(0, 1)
    return swapped[..., 0] if swapped.shape[2] == 1 else swapped.astype(np.float32)


def main() -> None:
    """Run the demo from the command line."""
    run_demo(__doc__, run)


if __name__ == "__main__":
    main()
