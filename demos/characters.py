"""Can a net learn to write like a text, reading nothing but one character after the other?

Two texts that every Python brings along, and no file has to be fetched for: the source of its
standard library, 4 million characters, and the help on its language, 370 thousand; or any UTF-8
file given by `--file`. Of each, nine tenths are learned: by a multiplicative net trained by
Hessian-free optimization, and by an LSTM trained by Adam. Samples before training, after 10, 60 and
300 seconds show what has been picked up: letters as frequent as they are, then words and lines,
then something like Python. Held-out text is costed in bits per character, beside a trigram model
and two packers that have seen the same training text. Of the lines written, it is counted in how
many all brackets, and all quotes, are closed, beside lines drawn from trigrams and lines of the
held-out text. Expected: fewer bits than the trigram model. Five minutes a net for the source, one
for the help; `--seconds` and `--clock` set others.

The picture shows what the LSTM wrote, and what single memory cells of it have come to stand for.
Nobody looked for them: of all cells, the one that follows a property of the text best (inside
quotes, how far along the line, in the condition of an `if`, ...) is found by its correlation on one
half of a held-out text, and shown, with its correlation there, on the other, if that is 0.5 or
more. Nothing makes a net keep a property in a single cell, so what all of them know of it together
is said too. (Units of the multiplicative net share everything among them: of these none stands for
much by itself.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.base import clone
from tqdm import tqdm

from demos._balance import balance, trigram_text
from demos._baselines import PACKERS, packed_bits, trigram_bits
from demos._common import Figure, run_demo
from demos._corpora import python_help, python_source
from demos._memory_cells import (
    FOLLOWS,
    Finding,
    draw_passage,
    find_cells,
    from_a_definition,
    memories,
    properties_of_prose,
    properties_of_source,
)
from hessianfree import SGD, Adam, CharacterLanguageModel

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
MOMENTS = (0, 10, 60, 300)  # seconds after which samples are shown
QUICK_MOMENTS = (0, 2, 10, 20), (0, 20, 60, 200)  # iterations, of either net

FULL = {
    "multiplicative": {"n_units": 200},
    "lstm": {"n_units": 128},
}
QUICK = {
    "multiplicative": {"n_units": 60, "sequence_length": 50, "n_scored": 45},
    "lstm": {"n_units": 40, "sequence_length": 50, "n_scored": 45},
}
ADAM = {
    "optimizer": Adam(0.01, clip_norm=1.0),
    "gradient_batch_size": 32,
    "input_scale": 0.1,
}
QUICK_BITS = 3.1  # after so short a run; guessing by frequency costs 4.7 and more

MIN_COUNT = 10  # what comes less often in millions of characters can't be learned
N_SHOWN = 400
N_SAMPLED, QUICK_SAMPLED = 20_000, 4_000
QUICK_LENGTH = 300_000  # of the source
N_PREFIXES, PREFIX_LENGTH, COMPLETION_LENGTH = 3, 40, 60
N_TRACED = 30_000  # characters that cells are looked at over
MOST_SHOWN = 5
PANEL = 10, 78  # lines and columns of a sample in the picture


@dataclass(frozen=True)
class Text:
    """Nine tenths of a text to learn, a twentieth to look at, and one to test with."""

    name: str
    training: str
    validation: str
    test: str
    properties: Callable[[str], dict[str, np.ndarray]]

    @classmethod
    def cut(cls, name: str, text: str) -> Text:
        """Cut a text by position, 90 / 5 / 5."""
        first, second = round(0.9 * len(text)), round(0.95 * len(text))
        properties = properties_of_source if name == "source" else properties_of_prose
        return cls(name, text[:first], text[first:second], text[second:], properties)


@dataclass(frozen=True)
class Budget:
    """How long a net learns, and after how much of it samples are shown.

    In seconds of a clock, or in iterations where there is none.
    """

    moments: tuple[float, ...]
    clock: Callable[[], float] | None = None

    @property
    def unit(self) -> str:
        """What the moments are counted in."""
        return "iterations" if self.clock is None else "s"


@dataclass(frozen=True)
class Learned:
    """A trained model, and what it wrote at each moment of its training."""

    model: CharacterLanguageModel
    samples: dict[float, str]


def learn(cell: str, text: Text, settings: dict, budget: Budget) -> Learned:
    """Train a model, and keep what it writes at some moments."""
    samples: dict[float, str] = {}
    bar = tqdm(desc=f"{text.name}, {cell}: iterations")
    began = budget.clock() if budget.clock else 0.0
    aside = 0.0  # spent on samples

    def show(model: CharacterLanguageModel, moment: float) -> None:
        sample = model.sample(N_SHOWN, prime=text.training[:100], seed=1)
        samples[moment] = sample
        bits = f", {model.loss_curve_[-1] / np.log(2):.2f} bits per character" if moment else ""
        bar.write(f"\n--- {text.name}, {cell}, after {moment:g} {budget.unit}{bits}:\n\n{sample}\n")

    def callback(model: CharacterLanguageModel) -> bool:
        nonlocal aside
        now = budget.clock() if budget.clock else 0.0
        spent = now - began - aside if budget.clock else model.n_iter_
        bar.update()
        for moment in budget.moments:
            if moment and moment <= spent and moment not in samples:
                show(model, moment)
        if budget.clock:
            aside += budget.clock() - now
        return spent >= budget.moments[-1]

    model = CharacterLanguageModel(
        cell=cell, min_count=MIN_COUNT, random_state=0, max_iter=10**9, **settings
    )
    # A step of no length: the weights that training begins with.
    at_first = clone(model).set_params(optimizer=SGD(1e-30), max_iter=1, averaging=False)
    show(at_first.fit(text.training), 0)
    if budget.clock:
        began = budget.clock()
    with bar:
        model.set_params(callback=callback).fit(text.training)
    return Learned(model, samples)


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


def cells_of(learned: Learned, text: Text) -> tuple[list[Finding], str]:
    """Return the best memory cell for each property of the text, and what it is shown on."""
    looked_at = text.validation
    if text.name == "source":
        looked_at = from_a_definition(looked_at)
    looked_at = looked_at[:N_TRACED]
    findings = find_cells(memories(learned.model, looked_at), text.properties(looked_at))
    return findings, looked_at[len(looked_at) // 2 :]


def figures_of(
    cell: str, learned: Learned, text: Text, bound: float | None, n_sampled: int
) -> list[Figure]:
    """Return what a trained net costs and writes."""
    model, title = learned.model, f"{text.name}, {cell}"
    bits = model.bits_per_character(text.test, mode="windows")
    lines = balance(model.sample(n_sampled, prime=text.training[:100], seed=2))
    return [
        Figure(f"{title}: weights", len(model.params_)),
        Figure(f"{title}: iterations", model.n_iter_),
        Figure(f"{title}: test text", bits, "bits/character", at_most=bound),
        Figure(f"{title}: lines with brackets, all closed", lines.brackets),
        Figure(f"{title}: lines with quotes, all closed", lines.quotes),
    ]


def figures_of_others(text: Text) -> list[Figure]:
    """Return what the test text costs by other methods, and the balance that they come to."""
    drawn = trigram_text(text.training, N_SAMPLED, np.random.default_rng(0))
    lines = {"trigram model": balance(drawn), "held-out text": balance(text.test)}
    figures = [
        Figure(f"{text.name}: characters of the training text", len(text.training)),
        Figure(
            f"{text.name}, trigram model: test text",
            trigram_bits(text.training, text.test),
            "bits/character",
        ),
    ]
    for packer in PACKERS:
        bits = packed_bits(packer, text.training, text.test)
        figures.append(Figure(f"{text.name}, {packer}: test text", bits, "bits/character"))
    for name, of_lines in lines.items():
        figures += [
            Figure(f"{text.name}, {name}: lines with brackets, all closed", of_lines.brackets),
            Figure(f"{text.name}, {name}: lines with quotes, all closed", of_lines.quotes),
        ]
    return figures


def figures_of_cells(text: Text, findings: list[Finding]) -> list[Figure]:
    """Return how well the best cells follow the properties of a text."""
    return [
        Figure(f"{text.name}, best of {each.n_searched} cells: {each.name}", each.correlation, "r")
        for each in findings
    ]


def draw_picture(
    learned: Learned, findings: list[Finding], shown: str, unit: str, path: Path
) -> None:
    """Draw what a net wrote at each moment, and passages with the cells that follow something."""
    import matplotlib.pyplot as plt

    followed = [each for each in findings if each.correlation >= FOLLOWS][:MOST_SHOWN]
    n_rows = 2 + len(followed)
    figure = plt.figure(figsize=(12, 2.0 * n_rows + 0.6), layout="constrained")
    grid = figure.add_gridspec(n_rows, 2)
    for place, (moment, sample) in enumerate(learned.samples.items()):
        ax = figure.add_subplot(grid[divmod(place, 2)])
        lines = [line[: PANEL[1]] for line in sample.split("\n")][: PANEL[0]]
        ax.text(0.01, 0.97, "\n".join(lines), va="top", family="monospace", fontsize=8,
                transform=ax.transAxes, parse_math=False)  # fmt: skip
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"what the LSTM writes after {moment:g} {unit}", loc="left", fontsize=10)
    for row, finding in enumerate(followed, start=2):
        draw_passage(figure.add_subplot(grid[row, :]), shown, finding)
    if followed:
        figure.suptitle(
            "An LSTM that learned source; memory cells from blue (-1) to red (1) over held-out text"
        )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def study(
    text: Text, quick: bool, budget: Callable[[int], Budget], bound: float | None
) -> tuple[list[Figure], dict[str, Learned], list[Finding], str]:
    """Learn a text by both nets; return figures, nets, cells, and the text these are shown on."""
    figures, nets = figures_of_others(text), {}
    if not quick:
        bound = figures[1].value
    for place, (cell, settings) in enumerate((QUICK if quick else FULL).items()):
        settings = settings | (ADAM if cell == "lstm" else {})
        nets[cell] = learn(cell, text, settings, budget(place))
        print_completions(nets[cell].model, text.test)
        n_sampled = QUICK_SAMPLED if quick else N_SAMPLED
        figures += figures_of(cell, nets[cell], text, bound, n_sampled)
    findings, shown = cells_of(nets["lstm"], text)
    return figures + figures_of_cells(text, findings), nets, findings, shown


def run(
    quick: bool,
    folder: Path,
    file: Path | None = None,
    seconds: float = 300,
    clock: str = "wall",
) -> list[Figure]:
    """Train, write, cost, and look at the cells."""
    if file is not None:
        texts = {Text.cut(file.name, file.read_text(encoding="utf-8")): seconds}
    else:
        source, manual = Text.cut("source", python_source()), Text.cut("help", python_help())
        texts = {source: seconds, manual: seconds / 5}
        if quick:
            texts = {Text.cut("source", python_source()[:QUICK_LENGTH]): seconds}

    figures: list[Figure] = []
    for text, most in texts.items():

        def budget(place: int, most: float = most) -> Budget:
            if quick:
                return Budget(QUICK_MOMENTS[place])
            return Budget((*(m for m in MOMENTS if m < most), most), CLOCKS[clock])

        bound = QUICK_BITS if file is None else None
        of_text, nets, findings, shown = study(text, quick, budget, bound)
        figures += of_text
        if text.name != "help":
            draw_picture(nets["lstm"], findings, shown, budget(1).unit, folder / "characters.png")
    return figures


def main() -> None:
    """Run the demo from the command line."""
    options = {
        "--file": {"type": Path, "help": "a UTF-8 text to learn (default: Python's own)"},
        "--seconds": {"type": float, "default": 300, "help": "of each training (%(default)s)"},
        "--clock": {"choices": list(CLOCKS), "default": "wall", "help": "what counts the seconds"},
    }
    run_demo(__doc__, run, options)


if __name__ == "__main__":
    main()
