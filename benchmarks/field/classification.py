"""Classifying sequences of the UCR and UEA archives: ours, MiniRocket and 1-NN with DTW.

    python -m benchmarks.field.classification [FOLDER ...] [--quick] [--budget SECONDS]

Each FOLDER holds NAME/NAME_TRAIN.ts and NAME/NAME_TEST.ts, as `datasets/data` of aeon and sktime
does; without one it is that of aeon, which must be installed. What the two ship of the archives
[1]_ [2]_ with classes is ten sets, eleven with PLAID, which sktime alone has, and Covid3Month with
its numbers cut into classes, which aeon has: `SETS` names all. A set that is not there is said.

Nobody is tuned, and each archive's own split is used once: `ESNClassifier()`,
`MiniRocketClassifier` [3]_ and `KNeighborsTimeSeriesClassifier` of one neighbour with dynamic time
warping, both of aeon at their defaults. Sequences of uneven lengths go to ours and to 1-NN as they
are; to MiniRocket, which takes none, padded with zeros by aeon's `Padder`. Ours and MiniRocket
draw: means over 3 seeds.

Seconds are processor time of fit and predict on one thread, medians of the seeds, contestants in
turn; what is compiled on first use was compiled before, on a set of its own. 1-NN is left out where
the estimate from a few test sequences is above `--budget`, and the estimate is printed.

References
----------
.. [1] Dau et al. (2019), The UCR time series archive, IEEE/CAA J. Automatica Sinica 6.
.. [2] Bagnall et al. (2018), The UEA multivariate time series classification archive,
   arXiv:1811.00075.
.. [3] Dempster, Schmidt & Webb (2021), MiniRocket: a very fast (almost) deterministic transform for
   time series classification, KDD.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from reservoir import ESNClassifier

SETS = (
    "UnitTest",
    "ItalyPowerDemand",
    "GunPoint",
    "BasicMotions",
    "ArrowHead",
    "PickupGestureWiimoteZ",
    "JapaneseVowels",
    "Covid3Month_disc",
    "OSULeaf",
    "ACSF1",
    "PLAID",
)
QUICK_SETS = ("UnitTest", "ItalyPowerDemand", "BasicMotions")
SEEDS = range(3)
N_TRIED = 3  # test sequences that the time of 1-NN is estimated from

# As aeon has them: channels first.
Sequences = list[NDArray[np.float64]]
Part = tuple[Sequences, NDArray[Any]]


def read_ts(path: Path) -> Part:
    """Return the sequences of a .ts file, each (n_channels, n_steps), and their classes.

    A line after "@data" is one sequence: its channels, numbers with commas between them, and last
    the class, with colons between all of these.
    """
    sequences, classes = [], []
    is_data = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip().lower() == "@data":
            is_data = True
        elif is_data and line.strip():
            *channels, label = line.strip().split(":")
            rows = [[float(value) for value in channel.split(",")] for channel in channels]
            sequences.append(np.array(rows))
            classes.append(label.strip())
    return sequences, np.array(classes)


def find(name: str, folders: Sequence[Path]) -> tuple[Part, Part] | None:
    """Return training and test part of a set from the first folder that has it."""
    for folder in folders:
        paths = [folder / name / f"{name}_{part}.ts" for part in ("TRAIN", "TEST")]
        if all(path.exists() for path in paths):
            train, test = (read_ts(path) for path in paths)
            return train, test
    return None


def is_even(*parts: Sequences) -> bool:
    """Return whether all sequences are equally long."""
    return len({sequence.shape[1] for part in parts for sequence in part}) == 1


def esn(train: Part, test: Sequences, seed: int) -> NDArray[Any]:
    """Return the classes that ours gives."""
    model = ESNClassifier(label_per="sequence", random_state=seed)
    model.fit([sequence.T for sequence in train[0]], train[1])
    predicted: NDArray[Any] = model.predict([sequence.T for sequence in test])
    return predicted


def minirocket(train: Part, test: Sequences, seed: int) -> NDArray[Any]:
    """Return the classes that MiniRocket gives."""
    from aeon.classification.convolution_based import MiniRocketClassifier
    from aeon.transformations.collection.unequal_length import Padder

    known: Any = train[0]
    asked: Any = test
    if is_even(known, asked):
        known, asked = np.stack(known), np.stack(asked)
    else:
        length = max(sequence.shape[1] for sequence in [*known, *asked])
        known, asked = (Padder(length).fit_transform(part) for part in (known, asked))
    model = MiniRocketClassifier(random_state=seed).fit(known, train[1])
    predicted: NDArray[Any] = model.predict(asked)
    return predicted


def nearest(train: Part, test: Sequences, seed: int = 0) -> NDArray[Any]:
    """Return the classes of the nearest sequences by dynamic time warping; nothing is drawn."""
    from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier

    known: Any = train[0]
    asked: Any = test
    if is_even(known, asked):
        known, asked = np.stack(known), np.stack(asked)
    predicted: NDArray[Any] = KNeighborsTimeSeriesClassifier().fit(known, train[1]).predict(asked)
    return predicted


def timed(
    contestant: Callable[[Part, Sequences, int], NDArray[Any]], train: Part, test: Part, seed: int
) -> tuple[float, float]:
    """Return accuracy and seconds of processor time."""
    start = time.process_time()
    predicted = contestant(train, test[0], seed)
    seconds = time.process_time() - start
    return float(np.mean(predicted == test[1])), seconds


def cells(results: Sequence[tuple[float, float]]) -> str:
    """Return the mean accuracy and the median of seconds."""
    accuracies, seconds = zip(*results, strict=True)
    return f"{np.mean(accuracies):.3f} | {np.median(seconds):.2f}"


def nearest_cells(train: Part, test: Part, budget: float) -> str:
    """Return accuracy and seconds of 1-NN, or the seconds that it would take."""
    few = (test[0][:N_TRIED], test[1][:N_TRIED])
    _, seconds = timed(nearest, train, few, 0)
    estimate = seconds * len(test[0]) / len(few[0])
    if estimate > budget:
        return f"not run | about {estimate:.0f}"
    return cells([timed(nearest, train, test, 0)])


def compare(train: Part, test: Part, seeds: Sequence[int], budget: float) -> str:
    """Return the cells of all contestants."""
    results: dict[Any, list[tuple[float, float]]] = {esn: [], minirocket: []}
    for seed in seeds:
        for contestant, values in results.items():
            values.append(timed(contestant, train, test, seed))
    cells_of_seeds = " | ".join(cells(values) for values in results.values())
    return f"{cells_of_seeds} | {nearest_cells(train, test, budget)}"


def compile_all() -> None:
    """Let the contestants compile what they do on first use."""
    rng = np.random.default_rng(0)
    for n_channels, lengths in ((1, [20] * 12), (3, [20] * 12), (1, [*range(20, 32)])):
        sequences = [rng.standard_normal((n_channels, length)) for length in lengths]
        train = sequences, np.array(["a", "b"] * 6)
        for contestant in (esn, minirocket, nearest):
            contestant(train, sequences, 0)


def folders_of_aeon() -> list[Path]:
    """Return where aeon keeps its sets."""
    import aeon.datasets

    return [Path(aeon.datasets.__file__).parent / "data"]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="of sets")
    parser.add_argument("--quick", action="store_true", help="three small sets, one seed")
    parser.add_argument("--budget", type=float, default=300.0, help="seconds for 1-NN on a set")
    arguments = parser.parse_args()
    names, seeds = (QUICK_SETS, SEEDS[:1]) if arguments.quick else (SETS, SEEDS)
    folders = arguments.folders or folders_of_aeon()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile_all()
        print("| set | train, test, channels, steps, classes | ours | s", end=" ")
        print("| MiniRocket | s | 1-NN DTW | s |")
        print("| --- " * 8 + "|")
        for name in names:
            parts = find(name, folders)
            if parts is None:
                print(f"| {name} | not there |", flush=True)
                continue
            train, test = parts
            lengths = [sequence.shape[1] for sequence in train[0] + test[0]]
            steps = f"{min(lengths)}-{max(lengths)}" if min(lengths) < max(lengths) else lengths[0]
            sizes = f"{len(train[0])}, {len(test[0])}, {len(train[0][0])}, {steps}"
            classes = len(np.unique(train[1]))
            row = compare(train, test, seeds, arguments.budget)
            print(f"| {name} | {sizes}, {classes} | {row} |", flush=True)


if __name__ == "__main__":
    main()
