"""Can a fixed random reservoir tell sequences apart that differ in length and shape?

Without arguments, the handwritten digits that scikit-learn ships: 8 x 8 pixels, read row by row, 8
steps of 8 numbers, 1,000 to learn from and 797 to test on. With --train and --test, any pair of
multivariate `.ts` files (the format of the UEA archive: channels between colons, the class last).

An ESNClassifier reads each sequence in both directions and pools the states; beside it the
reservoir model space: each sequence as the parameters of the readout that predicts its next input,
with pooled states, standardised, and a ridge classifier. Expected for the digits, as medians of 5
seeds: 2.8 and 2.6 % wrong, and probabilities that can be trusted: a log loss of 0.10 nats (2.3 for
guessing). For the Japanese Vowels (9 speakers, 370 test utterances): 1 and 0 wrong. Under a minute.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import confusion_matrix, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from demos._common import Figure, run_demo
from reservoir import ESNClassifier, ReservoirModelSpace, from_aeon

N_TRAINING = 1000  # of the 1,797 digits
# Chosen on training data only, with seeds of their own: the digits by five folds; for files, on
# the Japanese Vowels, by three folds of neighbouring utterances of each speaker.
SETTINGS = {
    "digits": {
        "classifier": {"leak_rate": 0.5, "input_scaling": 0.5, "pooling": 4},
        "model space": {"input_scaling": 0.5, "alpha": 1.0, "pooling": 4},
    },
    "files": {
        "classifier": {
            "spectral_radius": 0.5,
            "leak_rate": 1.0,
            "input_scaling": 0.1,
            "pooling": "mean",
            "include_input": False,
        },
        "model space": {"leak_rate": 0.3, "input_scaling": 0.4, "alpha": 10.0, "pooling": 3},
    },
}
MOST_WRONG = {"classifier": 4.0, "model space": 5.0}  # % of the digits
MOST_LOSS = 0.15  # nats a digit


class Task(NamedTuple):
    """Sequences and labels to learn from and to test on."""

    kind: str
    training: list[np.ndarray]
    training_labels: np.ndarray
    test: list[np.ndarray]
    test_labels: np.ndarray


def read_ts(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the sequences (n_steps, n_channels) and labels of a `.ts` file."""
    sequences, labels, in_data = [], [], False
    for line in path.read_text().splitlines():
        line = line.strip()
        if line.lower() == "@data":
            in_data = True
        elif in_data and line:
            *channels, label = line.split(":")
            values = [[float(value) for value in channel.split(",")] for channel in channels]
            sequences.append(np.array(values))
            labels.append(label)
    return from_aeon(sequences), np.array(labels)


def digits() -> Task:
    """Return the digits, whose rows are the steps."""
    bunch = load_digits()
    images, labels = bunch.images / 16.0, bunch.target
    return Task(
        "digits",
        list(images[:N_TRAINING]),
        labels[:N_TRAINING],
        list(images[N_TRAINING:]),
        labels[N_TRAINING:],
    )


def files(train: Path, test: Path) -> Task:
    """Return the sequences of two files, each channel standardised by the training steps."""
    (training, training_labels), (tested, test_labels) = read_ts(train), read_ts(test)
    scaler = StandardScaler().fit(np.concatenate(training))
    return Task(
        "files",
        [scaler.transform(sequence) for sequence in training],
        training_labels,
        [scaler.transform(sequence) for sequence in tested],
        test_labels,
    )


def build(method: str, kind: str, seed: int) -> Any:
    """Return an unfitted model."""
    settings = {"n_units": 300, "bidirectional": True, "random_state": seed}
    settings |= SETTINGS[kind][method]
    if method == "classifier":
        return ESNClassifier(**settings)
    space = ReservoirModelSpace(**settings, target="input", n_components=20)
    return make_pipeline(space, StandardScaler(), RidgeClassifierCV(np.logspace(0, 5, 11)))


def run(
    quick: bool, folder: Path, train: Path | None = None, test: Path | None = None
) -> list[Figure]:
    """Measure both models over several seeds and draw what the classifier says."""
    if (train is None) != (test is None):
        raise SystemExit("Pass both --train and --test, or neither.")
    task = digits() if train is None or test is None else files(train, test)
    seeds = range(2 if quick else 5)
    has_bounds = task.kind == "digits"
    figures, losses = [], []
    n_test = len(task.test)
    for method in ("classifier", "model space"):
        wrong = []
        for seed in tqdm(seeds, desc=method):
            model = build(method, task.kind, seed).fit(task.training, task.training_labels)
            wrong.append(int(np.sum(model.predict(task.test) != task.test_labels)))
            if method == "classifier":
                probabilities = model.predict_proba(task.test)
                losses.append(log_loss(task.test_labels, probabilities, labels=model.classes_))
                if seed == 0:
                    draw(task, model.classes_, probabilities, folder / "classification.png")
        percent = 100 * float(np.median(wrong)) / n_test
        name = f"{method}: wrong, median of {len(seeds)} seeds"
        figures.append(Figure(name, float(np.median(wrong)), f"of {n_test}"))
        figures.append(
            Figure(name, percent, "%", at_most=MOST_WRONG[method] if has_bounds else None)
        )
    figures.append(
        Figure(
            f"classifier: log loss, median of {len(seeds)} seeds",
            float(np.median(losses)),
            "nats a sequence",
            at_most=MOST_LOSS if has_bounds else None,
        )
    )
    _, counts = np.unique(task.training_labels, return_counts=True)
    shares = counts / counts.sum()
    figures.append(
        Figure("log loss of the class frequencies", -float(shares @ np.log(shares)), "nats")
    )
    return figures


def draw(task: Task, classes: np.ndarray, probabilities: np.ndarray, path: Path) -> None:
    """Draw the least certain sequences, the confusions and how far probabilities can be trusted."""
    import matplotlib.pyplot as plt

    predicted = classes[probabilities.argmax(axis=1)]
    figure = plt.figure(figsize=(11, 4), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=[1, 1.1, 1.1])

    left.suptitle("Least certain: steps down, channels across", fontsize="medium")
    for axes, case in zip(
        left.subplots(2, 2).flat, probabilities.max(axis=1).argsort()[:4], strict=True
    ):
        axes.imshow(task.test[case], aspect="auto", cmap="Greys")
        certainty = probabilities[case].max()
        axes.set_title(
            f"{task.test_labels[case]}: said {predicted[case]}, p = {certainty:.2f}",
            fontsize="small",
        )
        axes.set(xticks=[], yticks=[])

    axes = middle.subplots()
    matrix = confusion_matrix(task.test_labels, predicted, labels=classes)
    axes.imshow(matrix, cmap="Blues")
    for row, column in zip(*np.nonzero(matrix), strict=True):
        shade = "white" if matrix[row, column] > matrix.max() / 2 else "black"
        shade = shade if row == column else "tab:red"
        axes.text(
            column, row, matrix[row, column], ha="center", va="center", color=shade, size="x-small"
        )
    ticks = range(len(classes))
    axes.set(xlabel="said", ylabel="true")
    axes.set_title("Test sequences of each class", fontsize="medium")
    axes.set_xticks(ticks, classes)
    axes.set_yticks(ticks, classes)

    axes = right.subplots()
    certain, correct = probabilities.max(axis=1), predicted == task.test_labels
    for cases in map(np.flatnonzero, bins_of(certain)):
        if len(cases) >= 5:
            low, high = wilson(int(correct[cases].sum()), len(cases))
            axes.plot([certain[cases].mean()] * 2, [low, high], color="tab:blue", linewidth=1)
            axes.plot(certain[cases].mean(), correct[cases].mean(), "o", color="tab:blue")
            axes.annotate(
                str(len(cases)), (certain[cases].mean(), low), (0, -3), size="small",
                textcoords="offset points", va="top", ha="center",
            )  # fmt: skip
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.5)
    axes.set(
        xlim=(0.2, 1.06),
        ylim=(0, 1.02),
        xlabel="probability of the class that is said",
        ylabel="fraction that is right (95 % interval, cases)",
    )
    axes.set_title("Can the probabilities be trusted?", fontsize="medium")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def bins_of(certain: np.ndarray) -> list[np.ndarray]:
    """Return masks of the cases by how certain they are; narrower bins where most cases are."""
    edges = [0.0, 0.5, 0.7, 0.85, 0.95, 1.0]
    return [(certain > low) & (certain <= high) for low, high in itertools.pairwise(edges)]


def wilson(n_right: int, n_cases: int) -> tuple[float, float]:
    """Return the 95 % interval of a fraction (Wilson's score interval)."""
    z = 1.96
    centre = (n_right + z * z / 2) / (n_cases + z * z)
    half = z / (n_cases + z * z) * np.sqrt(n_right * (n_cases - n_right) / n_cases + z * z / 4)
    return float(centre - half), float(centre + half)


if __name__ == "__main__":
    run_demo(
        __doc__,
        run,
        {
            "--train": {"type": Path, "metavar": "FILE", "help": "a .ts file to learn from"},
            "--test": {"type": Path, "metavar": "FILE", "help": "a .ts file to test on"},
        },
    )
