"""Can a net learn to write like a text, reading nothing but one character after the other?

A multiplicative net is trained by Hessian-free optimization on nine tenths of a text: by default
the help on Python's own language that comes with Python, 370 thousand characters, or any UTF-8 file
given by `--file`. Samples early, in the middle and at the end show what it has picked up: first
letters and spaces, then words and lines, then something like Python's manual. An LSTM trained by
Adam follows. Held-out text is costed in bits per character, beside a trigram model and two packers
that have seen the same training text. Expected with the default text: fewer bits than the trigram
model, and fewer still by the LSTM, which gates suit and which takes less time. Five minutes on one
core, or as many iterations as `--iterations` says.

The picture shows what single memory cells of the LSTM have come to stand for. Nobody looked for
them: of all cells, the one that follows a property of the text best (inside quotes, how far along
the line, inside brackets, ...) is found by its correlation on one half of the held-out text, and
shown, with its correlation there, on the other, unless that is below 0.3. Nothing makes a net keep
a property in a single cell, so what all of them know of it together is said too. (Units of the
multiplicative net share everything among them: of these none stands for much by itself.)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from demos._baselines import PACKERS, packed_bits, trigram_bits
from demos._common import Figure, run_demo
from hessianfree import Adam, CharacterLanguageModel
from hessianfree.language import NetworkStream

FULL = {
    "multiplicative": {"n_units": 200, "max_iter": 100},
    "lstm": {"n_units": 100, "max_iter": 1200},
}
QUICK = {
    "multiplicative": {"n_units": 60, "sequence_length": 50, "n_scored": 45, "max_iter": 20},
    "lstm": {"n_units": 40, "sequence_length": 50, "n_scored": 45, "max_iter": 200},
}
ADAM = {
    "optimizer": Adam(0.01, clip_norm=1.0),
    "gradient_batch_size": 32,
    "input_scale": 0.1,
}
QUICK_BITS = 3.2  # of the default text, after so short a run; guessing by frequency costs 4.7

N_PREFIXES, PREFIX_LENGTH, COMPLETION_LENGTH = 3, 40, 60
N_SAMPLED = 300
N_TRACED = 12_000  # characters that cells are looked at over
FOLLOWS = 0.3  # correlation below which a cell is not said to follow a property


class Parts(NamedTuple):
    """Nine tenths of a text to learn, a twentieth to look at, and one to test with."""

    training: str
    validation: str
    test: str


def default_text() -> str:
    """Return the help on Python's language, each paragraph once: topics repeat each other."""
    paragraphs = "\n\n".join(topics.values()).split("\n\n")
    return "\n\n".join(dict.fromkeys(paragraphs))


def split(text: str) -> Parts:
    """Cut a text by position, 90 / 5 / 5."""
    first, second = round(0.9 * len(text)), round(0.95 * len(text))
    return Parts(text[:first], text[first:second], text[second:])


def learn(cell: str, training: str, settings: dict) -> CharacterLanguageModel:
    """Train a model, and print what it writes early, in the middle and at the end."""
    n_iterations = settings["max_iter"]
    shown = {max(1, n_iterations // 10), max(1, n_iterations // 3), n_iterations}
    bar = tqdm(total=n_iterations, desc=f"{cell}, iterations")

    def callback(model: CharacterLanguageModel) -> None:
        bits = model.loss_curve_[-1] / np.log(2)
        bar.set_postfix(bits_per_character=f"{bits:.3f}")
        bar.update()
        if model.n_iter_ in shown:
            sample = model.sample(N_SAMPLED, prime=training[:100], seed=1)
            bar.write(
                f"\n--- {cell}, after {model.n_iter_} iterations, {bits:.2f} bits per character:\n"
            )
            bar.write(sample + "\n")

    model = CharacterLanguageModel(cell=cell, random_state=0, callback=callback, **settings)
    with bar:
        return model.fit(training)


def print_completions(model: CharacterLanguageModel, test: str) -> None:
    """Print how the model goes on from some places of the test text, and how the text does."""
    for place in np.linspace(0.1, 0.8, N_PREFIXES) * len(test):
        # From the start of a word, with enough before it to know where one is.
        end = test.find(" ", int(place)) + 1 + 3
        prefix, truth = test[max(0, end - 200) : end], test[end : end + COMPLETION_LENGTH]
        print(f"--- {prefix[-PREFIX_LENGTH:]!r} goes on ...")
        print(f"    in the text:              {truth!r}")
        print(f"    by the likeliest letters: {model.complete(prefix, COMPLETION_LENGTH)!r}")
        sample = model.complete(prefix, COMPLETION_LENGTH, temperature=0.7, seed=0)
        print(f"    by drawing, T = 0.7:      {sample!r}")


def run(
    quick: bool, folder: Path, file: Path | None = None, iterations: int | None = None
) -> list[Figure]:
    """Train, write, cost, and look at the cells."""
    parts = split(default_text() if file is None else file.read_text(encoding="utf-8"))
    models = {}
    for cell, settings in (QUICK if quick else FULL).items():
        settings = settings | (ADAM if cell == "lstm" else {})
        if iterations is not None:
            settings["max_iter"] = iterations
        models[cell] = learn(cell, parts.training, settings)
        print_completions(models[cell], parts.test)
    draw_picture(models["lstm"], parts.validation, folder / "characters.png")

    expected = file is None and iterations is None
    trigram = trigram_bits(parts.training, parts.test)
    bound = QUICK_BITS if quick else trigram
    figures = [Figure("characters of the training text", len(parts.training))]
    for cell, model in models.items():
        figures += [
            Figure(f"{cell}: weights", len(model.params_)),
            Figure(f"{cell}: seconds of learning", model.history_["seconds"].sum(), "s"),
            Figure(f"{cell}: test text", model.bits_per_character(parts.test), "bits/character",
                   at_most=bound if expected else None),
        ]  # fmt: skip
    figures.append(Figure("trigram model: test text", trigram, "bits/character"))
    for packer in PACKERS:
        bits = packed_bits(packer, parts.training, parts.test)
        figures.append(Figure(f"{packer}: test text", bits, "bits/character"))
    return figures


# -- what cells stand for ------------------------------------------------------------------------


def inside(text: str, opening: str, closing: str) -> np.ndarray:
    """Return how deep each character is in brackets; quotes that open and close alike take turns.

    An empty line ends what was left open.
    """
    depth, depths = 0, []
    for index, character in enumerate(text):
        if opening == closing:
            depth ^= character == opening
        else:
            depth = max(0, depth + (character in opening) - (character in closing))
        if text[index : index + 2] == "\n\n":
            depth = 0
        depths.append(depth)
    return np.array(depths, dtype=float)


def place_in(text: str, separators: str) -> np.ndarray:
    """Return how many characters ago the last of the separators came."""
    places, place = [], 0
    for character in text:
        place = 0 if character in separators else place + 1
        places.append(place)
    return np.array(places, dtype=float)


PROPERTIES: dict[str, Callable[[str], np.ndarray]] = {
    'inside "quotes"': lambda text: np.minimum(inside(text, '"', '"'), 1),
    "inside brackets": lambda text: np.minimum(inside(text, "([{", ")]}"), 1),
    "characters since the line began": lambda text: place_in(text, "\n"),
    "characters since the word began": lambda text: place_in(text, " \n"),
    "in a line that began with spaces": lambda text: np.concatenate(
        [np.full(len(line) + 1, float(line.startswith("  "))) for line in text.split("\n")]
    )[: len(text)],
    "in a capital letter": lambda text: np.array([float(c.isupper()) for c in text]),
}


class Finding(NamedTuple):
    """The memory cell that follows a property of the text best."""

    name: str
    cell: int
    correlation: float  # on text that had no part in the choice
    together: float  # of what all cells say, weighted by least squares on the other text
    activity: np.ndarray  # on that text, from -1 to 1, turned so that it rises with the property
    values: np.ndarray  # the property itself


def memories(model: CharacterLanguageModel, text: str) -> np.ndarray:
    """Return tanh c_t of an LSTM after each character, of shape (n, n_units)."""
    stream = NetworkStream(model.network_, model.params_)
    rows = []
    for symbol in model.vocabulary_.encode(text):
        stream.step(symbol)
        rows.append(stream.state[0, model.n_units :])
    return np.tanh(np.array(rows, dtype=float))


def correlations(cells: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the correlation of each cell with a property."""
    cells, values = cells - cells.mean(axis=0), values - values.mean()
    scale = np.linalg.norm(cells, axis=0) * np.linalg.norm(values)
    return values @ cells / np.maximum(scale, 1e-12)


def find_cells(cells: np.ndarray, text: str) -> list[Finding]:
    """Return the best cell for each property that the text has, best first."""
    half = len(text) // 2
    findings = []
    for name, measure in PROPERTIES.items():
        values = measure(text)
        if not (values[:half].std() > 0 and values[half:].std() > 0):
            continue
        of_cells = correlations(cells[:half], values[:half])
        best = int(np.argmax(np.abs(of_cells)))
        activity = np.sign(of_cells[best]) * cells[half:, best]
        there = correlations(activity[:, None], values[half:])[0]
        predicted = weigh(cells[:half], values[:half], cells[half:])
        together = correlations(predicted[:, None], values[half:])[0]
        findings.append(Finding(name, best, there, together, activity, values[half:]))
    return sorted(findings, key=lambda finding: -finding.correlation)


def weigh(cells: np.ndarray, values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return what the cells say of a property, weighted as fits it best on some text."""
    weights = np.linalg.lstsq(np.column_stack([cells, np.ones(len(cells))]), values, rcond=None)[0]
    return others @ weights[:-1] + weights[-1]


def draw_picture(model: CharacterLanguageModel, text: str, path: Path) -> None:
    """Draw a passage for each of the best cells, each character on the colour of its activity."""
    import matplotlib.pyplot as plt

    text = text[:N_TRACED]
    findings = find_cells(memories(model, text), text)
    # The best one in any case, the others only if there is something to see.
    findings = findings[:1] + [each for each in findings[1:4] if each.correlation >= FOLLOWS]
    shown = text[len(text) // 2 :]
    figure, axes = plt.subplots(
        len(findings), figsize=(11, 2.3 * len(findings)), layout="constrained", squeeze=False
    )
    for ax, finding in zip(axes[:, 0], findings, strict=True):
        draw_passage(ax, shown, finding)
    figure.suptitle("Memory cells, from blue (-1) to red (1), over text that was not learned")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_passage(ax, text: str, finding: Finding, n_lines: int = 7, width: int = 80) -> None:
    """Draw the lines in which the property varies most."""
    rows = lines_of(text, width)
    spread = [
        np.concatenate([finding.values[first:last] for first, last in rows[k : k + n_lines]]).std()
        for k in range(max(1, len(rows) - n_lines))
    ]
    best = int(np.argmax(spread))
    colours = np.full((n_lines, width), np.nan)
    for row, (first, last) in enumerate(rows[best : best + n_lines]):
        colours[row, : last - first] = finding.activity[first:last]
        for column, character in enumerate(text[first:last]):
            shown = "↵" if character == "\n" else character
            if not character.isspace() or character == "\n":
                ax.text(column, row, shown, ha="center", va="center", family="monospace",
                        fontsize=8, parse_math=False)  # fmt: skip
    ax.imshow(colours, cmap="coolwarm", vmin=-1, vmax=1, aspect="auto", alpha=0.75)
    ax.set_axis_off()
    title = (
        f"cell {finding.cell}: {finding.name} (correlation {finding.correlation:.2f}; "
        f"of all cells together {finding.together:.2f})"
    )
    ax.set_title(title, loc="left", fontsize=10)


def lines_of(text: str, width: int) -> list[tuple[int, int]]:
    """Return where the lines of a text begin and end, long ones broken."""
    rows, first = [], 0
    for index, character in enumerate(text):
        if character == "\n" or index - first + 1 == width:
            rows.append((first, index + 1))
            first = index + 1
    return rows


def main() -> None:
    """Run the demo from the command line."""
    options = {
        "--file": {"type": Path, "help": "a UTF-8 text to learn (default: Python's own help)"},
        "--iterations": {"type": int, "help": "iterations of each training"},
    }
    run_demo(__doc__, run, options)


if __name__ == "__main__":
    main()
