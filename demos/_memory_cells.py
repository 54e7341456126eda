"""What single memory cells of an LSTM have come to stand for, found by their correlation."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from hessianfree import CharacterLanguageModel
from hessianfree.language import NetworkStream

FOLLOWS = 0.5  # correlation below which a cell is not said to follow a property

# Triple quotes before single ones; a backslash takes the next character with it.
_STRING = re.compile(
    r"'''(?:\\.|[^\\])*?(?:'''|\Z)|\"\"\"(?:\\.|[^\\])*?(?:\"\"\"|\Z)"
    r"|'(?:\\.|[^'\\\n])*'?|\"(?:\\.|[^\"\\\n])*\"?|#[^\n]*",
    re.DOTALL,
)
_CONDITION = re.compile(r"^[ ]*(?:el)?if\b([^\n]*):", re.MULTILINE)


def from_a_definition(text: str) -> str:
    """Return a source from its first function or class on: what is before may begin in a string."""
    found = re.search(r"^(?:def|class) ", text, re.MULTILINE)
    return text[found.start() :] if found else text


def properties_of_source(text: str) -> dict[str, np.ndarray]:
    r"""Return what a reader of Python's source keeps in mind, at each character.

    >>> found = properties_of_source("if x:  # a\n  y = 'b'\n")
    >>> for name in ("inside quotes", "in the condition of an if", "in a comment"):
    ...     print("".join(str(int(value)) for value in found[name]))
    000000000000000001100
    001100000000000000000
    000000011100000000000
    """
    n = len(text)
    quotes, comments, strings = np.zeros(n), np.zeros(n), np.zeros(n)
    for found in _STRING.finditer(text):
        first, last = found.span()
        literal = found.group()
        if literal.startswith("#"):
            comments[first:last] = 1
            continue
        strings[first : last - 1] = 1
        if not literal.startswith(("'''", '"""')):
            quotes[first : last - 1] = 1
    conditions = np.zeros(n)
    for found in _CONDITION.finditer(text):
        conditions[found.start(1) : found.end(1)] = 1
    code = 1 - np.maximum(comments, strings)
    return {
        "inside quotes": quotes,
        "characters since the line began": since_line(text),
        "in the condition of an if": conditions * (1 - comments),
        "in a comment": comments,
        "in a comment or a string": np.maximum(comments, strings),
        "depth of indentation": indentation(text),
        "depth of brackets": depth(text, code),
    }


def properties_of_prose(text: str) -> dict[str, np.ndarray]:
    """Return what a reader of a manual keeps in mind, at each character."""
    inside = np.zeros(len(text))
    for found in re.finditer(r'"[^"\n]*(?:\n[^"\n]+)*"', text):
        inside[found.start() : found.end() - 1] = 1
    return {
        "inside quotes": inside,
        "characters since the line began": since_line(text),
        "depth of indentation": indentation(text),
        "depth of brackets": depth(text, np.ones(len(text))),
    }


def since_line(text: str) -> np.ndarray:
    """Return how many characters ago each line began, the end of the line before being 0."""
    places, place = np.zeros(len(text)), 0
    for index, character in enumerate(text):
        place = 0 if character == "\n" else place + 1
        places[index] = place
    return places


def indentation(text: str) -> np.ndarray:
    """Return by how many spaces each line is indented, from the character on that tells."""
    places, depth_now, counting = np.zeros(len(text)), 0, True
    for index, character in enumerate(text):
        if character == "\n":
            depth_now, counting = 0, True
        elif counting and character == " ":
            depth_now += 1
        else:
            counting = False
        places[index] = depth_now
    return places


def depth(text: str, counts: np.ndarray) -> np.ndarray:
    """Return in how many brackets each character is; those where `counts` is 0 are none.

    An empty line ends what was left open.
    """
    depths, now = np.zeros(len(text)), 0
    for index, character in enumerate(text):
        if counts[index]:
            now = max(0, now + (character in "([{") - (character in ")]}"))
        if text[index : index + 2] == "\n\n":
            now = 0
        depths[index] = now
    return depths


class Finding(NamedTuple):
    """The memory cell that follows a property of the text best."""

    name: str
    cell: int
    n_searched: int
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


def find_cells(cells: np.ndarray, properties: dict[str, np.ndarray]) -> list[Finding]:
    """Return the best cell for each property that the text has, best first.

    It is chosen on the first half of the text; all that is said of it is of the second half.
    """
    half = len(cells) // 2
    findings = []
    for name, values in properties.items():
        if not (values[:half].std() > 0 and values[half:].std() > 0):
            continue
        of_cells = correlations(cells[:half], values[:half])
        best = int(np.argmax(np.abs(of_cells)))
        activity = np.sign(of_cells[best]) * cells[half:, best]
        there = correlations(activity[:, None], values[half:])[0]
        predicted = weigh(cells[:half], values[:half], cells[half:])
        together = correlations(predicted[:, None], values[half:])[0]
        found = Finding(name, best, cells.shape[1], there, together, activity, values[half:])
        findings.append(found)
    return sorted(findings, key=lambda finding: -finding.correlation)


def weigh(cells: np.ndarray, values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return what the cells say of a property, weighted as fits it best on some text."""
    weights = np.linalg.lstsq(np.column_stack([cells, np.ones(len(cells))]), values, rcond=None)[0]
    return others @ weights[:-1] + weights[-1]


def draw_passage(ax: Any, text: str, finding: Finding, n_lines: int = 7, width: int = 88) -> None:
    """Draw the lines in which the property varies most, each character on its cell's colour."""
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
        f"cell {finding.cell}, the best of {finding.n_searched}: {finding.name} "
        f"(correlation {finding.correlation:.2f}; of all cells together {finding.together:.2f})"
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
