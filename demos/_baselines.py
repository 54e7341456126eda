"""What a text costs by methods that are no nets: counting three characters, and packing."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable

import numpy as np

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 9),
    "lzma": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
}


def trigram_bits(training: str, test: str) -> float:
    """Return the bits per character of an interpolated trigram model, but for the first two.

    P(c | ab) = (n(abc) + t(ab) P(c | b)) / (n(ab) + t(ab)),

    with n how often a sequence comes in the training text and t(ab) how many characters follow ab
    there; P(c | b) and P(c) likewise, and 1 / n_characters below (Witten & Bell, 1991).
    """
    codes = [np.frombuffer(text.encode("utf-32-le"), dtype="<u4") for text in (training, test)]
    known = np.unique(codes[0])
    # All characters that the training text has not are one.
    learned, asked = (
        np.where(np.isin(text, known), np.searchsorted(known, text), len(known)) for text in codes
    )
    n_symbols = len(known) + 1
    probability = np.full(len(asked) - 2, 1 / n_symbols)
    for order in range(3):
        context, follower = _grams(learned, order, n_symbols)
        sequences, counts = np.unique(context * n_symbols + follower, return_counts=True)
        contexts, totals = np.unique(context, return_counts=True)
        followers = np.unique(sequences // n_symbols, return_counts=True)[1]
        context, follower = (row[2 - order :] for row in _grams(asked, order, n_symbols))
        n = _look_up(contexts, totals, context)
        t = _look_up(contexts, followers, context)
        n_sequence = _look_up(sequences, counts, context * n_symbols + follower)
        met = n > 0
        probability[met] = ((n_sequence + t * probability) / np.maximum(n + t, 1))[met]
    return float(-np.log2(probability).mean())


def packed_bits(packer: str, training: str, test: str) -> float:
    """Return the bits per character that a test text adds to a packed training text."""
    pack = PACKERS[packer]
    sizes = [len(pack(text.encode())) for text in (training, training + test)]
    return 8 * (sizes[1] - sizes[0]) / len(test)


def _grams(symbols: np.ndarray, order: int, n_symbols: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the `order` symbols before each, and each, from the first complete."""
    follower = symbols[order:].astype(np.int64)
    context = np.zeros_like(follower)
    for place in range(order):
        context = context * n_symbols + symbols[place : place + len(follower)]
    return context, follower


def _look_up(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return the value of each key that is asked for, 0 where there is none."""
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], 0)
