"""Do brackets and quotes close? In texts that a net wrote, a trigram model drew, people wrote."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

PAIRS = {")": "(", "]": "[", "}": "{"}
QUOTES = "'\""

# What opens or closes nothing in its line: triple quotes, and apostrophes.
_NO_QUOTES = re.compile(r"\"{3}|'{3}|(?<=\w)'(?=\w)")


class Balance(NamedTuple):
    """Shares of the lines that have brackets, or quotes, in which all of them are closed."""

    brackets: float
    quotes: float
    n_lines: int


def are_closed(line: str) -> bool:
    """Tell whether each bracket of a line is closed by one of its kind, in their order.

    >>> [are_closed(line) for line in ("f(x[1])", "f(x[1)]", "f(", "f)", "f")]
    [True, False, False, False, True]
    """
    opened: list[str] = []
    for character in line:
        if character in PAIRS.values():
            opened.append(character)
        elif character in PAIRS and (not opened or opened.pop() != PAIRS[character]):
            return False
    return not opened


def balance(text: str) -> Balance:
    """Return in how many of the complete lines of a text brackets and quotes are closed.

    Triple quotes and apostrophes in words are none.
    """
    lines = text.split("\n")[1:-1]
    with_brackets = [line for line in lines if any(c in line for c in "()[]{}")]
    quoted = [_NO_QUOTES.sub("", line) for line in lines]
    with_quotes = [line for line in quoted if any(c in line for c in QUOTES)]
    return Balance(
        float(np.mean([are_closed(line) for line in with_brackets])) if with_brackets else 0.0,
        float(np.mean([all(line.count(c) % 2 == 0 for c in QUOTES) for line in with_quotes]))
        if with_quotes
        else 0.0,
        len(lines),
    )


def trigram_text(text: str, n: int, rng: np.random.Generator) -> str:
    """Draw a text, each character as one that follows the two before it somewhere in `text`."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.int64)
    before = codes[:-2] << 32 | codes[1:-1]
    places = np.argsort(before, kind="stable")
    ordered = before[places]
    drawn = [*codes[:2]]
    while len(drawn) < n + 2:
        asked = drawn[-2] << 32 | drawn[-1]
        first, last = np.searchsorted(ordered, [asked, asked + 1])
        if first == last:  # the end of the text, met nowhere else
            drawn += [*codes[:2]]
            continue
        drawn.append(codes[places[rng.integers(first, last)] + 2])
    return np.array(drawn[2 : n + 2], dtype="<u4").tobytes().decode("utf-32-le")
