"""Strings to be kept and repeated: the noiseless memorization problems."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch
from reservoir.utils.explained import explained
from reservoir.utils.validation import check_integer


@explained
def memorization(
    n_steps: int,
    n_sequences: int,
    rng: np.random.Generator,
    *,
    n_symbols: int = 10,
    n_kinds: int = 5,
) -> Batch:
    """Return strings of symbols to be repeated after a delay, without noise.

    `n_symbols` symbols of `n_kinds` kinds come first, then T - 1 blanks, a cue, and blanks again
    while the string is to be repeated   [1]_.

    Parameters
    ----------
    n_steps : int
        T, steps from the end of the string to the beginning of its repetition.
    n_sequences : int
    rng : numpy.random.Generator
    n_symbols, n_kinds : int
        By default 10 symbols of 5 kinds, the "20-bit" problem; 5 of 2 kinds is the 5-bit one.

    Returns
    -------
    Batch
        Integer inputs and targets of shape (T + 2 n_symbols, n_sequences): `n_kinds` symbols, the
        blank and the cue; the last `n_symbols` steps are scored. For the softmax loss.

    References
    ----------
    .. [1] Hochreiter & Schmidhuber (1997), Long short-term memory; Martens & Sutskever (2011),
       section 4.
    """
    check_integer("n_kinds", n_kinds, minimum=2)
    check_integer("n_symbols", n_symbols, minimum=1)
    return _repeat(rng.integers(n_kinds, size=(n_symbols, n_sequences)), n_steps, n_kinds)


@explained
def all_patterns(n_steps: int, n_bits: int = 5) -> Batch:
    """Return the 2^n_bits strings of the n-bit memorization problem, as one batch.

    Parameters
    ----------
    n_steps : int
        T, as in `memorization`.
    n_bits : int, default=5

    Returns
    -------
    Batch
        As of `memorization`.
    """
    check_integer("n_bits", n_bits, minimum=1)
    strings = np.arange(2**n_bits) >> np.arange(n_bits)[::-1, None] & 1
    return _repeat(strings, n_steps, 2)


def _repeat(strings: NDArray[np.int64], n_steps: int, n_kinds: int) -> Batch:
    """Return the memorization problem for strings of shape (n_symbols, n_sequences)."""
    check_integer("n_steps", n_steps, minimum=1)
    n_symbols, n_sequences = strings.shape
    inputs = np.full((n_steps + 2 * n_symbols, n_sequences), n_kinds)
    inputs[:n_symbols] = strings
    inputs[n_symbols + n_steps - 1] = n_kinds + 1
    targets = np.zeros_like(inputs)
    targets[-n_symbols:] = strings
    mask = np.zeros(inputs.shape, dtype=bool)
    mask[-n_symbols:] = True
    return Batch(inputs, targets, mask)
