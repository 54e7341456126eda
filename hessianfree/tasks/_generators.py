"""Sequences with a known answer: binary addition, and the problems of long time lags.

The latter have two forms. The plain one says nothing but what has to be known. The cued one has the
marks and symbols of the code of Martens & Sutskever (2011), which tell the net where a sequence
begins and where an answer is due.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch
from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer

# Least T of a cued form: the first place, which is not that of the cue, has one step to lie on.
_LEAST_CUED = 20


@explained
def binary_addition(
    n_bits: int, n_sequences: int, rng: np.random.Generator, *, as_symbols: bool = False
) -> Batch:
    """Return sums of two random binary numbers, the least significant bit first.

    At step i the inputs are the bits a_i and b_i, and the target is the bit of a + b. One more step
    with inputs of zero asks for the last carry.

    Parameters
    ----------
    n_bits : int
        Bits of each of the two numbers.
    n_sequences : int
    rng : numpy.random.Generator
    as_symbols : bool, default=False
        Whether a pair of bits comes as one of four symbols a_i + 2 b_i. A multiplicative net then
        has a transition of its own for each pair; given the bits as numbers, its gains
        W_fx x vanish for the pair (0, 0), and the carry is lost.

    Returns
    -------
    Batch
        Inputs of shape (n_bits + 1, n_sequences, 2), or integers of shape (n_bits + 1,
        n_sequences), and targets of shape (n_bits + 1, n_sequences, 1) in {0, 1}, all steps scored;
        for the logistic loss.

    Examples
    --------
    9 + 7 = 16:

    >>> import numpy as np
    >>> batch = binary_addition(4, 1, np.random.default_rng(5))
    >>> batch.inputs[:, 0, 0], batch.inputs[:, 0, 1], batch.targets[:, 0, 0]
    (array([1., 0., 0., 1., 0.]), array([1., 1., 1., 0., 0.]), array([0., 0., 0., 0., 1.]))
    """
    check_integer("n_bits", n_bits, minimum=1)
    inputs = np.zeros((n_bits + 1, n_sequences, 2))
    inputs[:-1] = rng.integers(2, size=(n_bits, n_sequences, 2))
    targets = np.empty((n_bits + 1, n_sequences, 1))
    carry = np.zeros(n_sequences)
    for bits, target in zip(inputs, targets):
        total = bits.sum(axis=1) + carry
        carry = np.floor(total / 2)
        target[:, 0] = total - 2 * carry
    if as_symbols:
        inputs = (inputs @ [1, 2]).astype(int)
    return Batch(inputs, targets)


@explained
def adding(
    n_steps: int, n_sequences: int, rng: np.random.Generator, *, cues: bool = False
) -> Batch:
    """Return sequences of random numbers whose two marked ones have to be averaged.

    Channels are a number from [0, 1) and a mark. Lengths are T to 1.1 T; one mark is among the
    first T / 10 steps, the other from there to T / 2. The target, at the last step, is
    (x_1 + x_2) / 2   [1]_.

    Parameters
    ----------
    n_steps : int
        T, at least 10; with cues 20.
    n_sequences : int
    rng : numpy.random.Generator
    cues : bool, default=False
        Whether the mark is -1 at the first step and at the third-last one of each sequence, as in
        the code of [2]_: the net is told where a sequence begins and that it is about to end. The
        numbers of these steps are as random as the others. The first mark of 1 is then among the
        first T / 10 steps but the very first.

    Returns
    -------
    Batch
        Inputs of shape (n_steps of the longest, n_sequences, 2), targets (..., 1); for the squared
        error.

    Notes
    -----
    The mean, not the sum: it has the scale of [0, 1] on which 0.04 is the published tolerance.

    References
    ----------
    .. [1] Hochreiter & Schmidhuber (1997), Long short-term memory, section 5.4.
    .. [2] Martens & Sutskever (2011), Learning recurrent neural networks with Hessian-free
       optimization, ICML.

    Examples
    --------
    >>> import numpy as np
    >>> batch = adding(20, 1, np.random.default_rng(0), cues=True)
    >>> np.flatnonzero(batch.inputs[:, 0, 1] == -1), len(batch.inputs)
    (array([ 0, 19]), 22)
    """
    return _two_marked_numbers(n_steps, n_sequences, rng, lambda x, y: (x + y) / 2, cues)


@explained
def multiplication(
    n_steps: int, n_sequences: int, rng: np.random.Generator, *, cues: bool = False
) -> Batch:
    """Return sequences of random numbers whose two marked ones have to be multiplied.

    As `adding`, with the target x_1 x_2   [1]_.

    Parameters
    ----------
    n_steps : int
        T, at least 10; with cues 20.
    n_sequences : int
    rng : numpy.random.Generator
    cues : bool, default=False
        As of `adding`.

    Returns
    -------
    Batch

    References
    ----------
    .. [1] Hochreiter & Schmidhuber (1997), Long short-term memory, section 5.5.
    """
    return _two_marked_numbers(n_steps, n_sequences, rng, lambda x, y: x * y, cues)


@explained
def xor(n_steps: int, n_sequences: int, rng: np.random.Generator, *, cues: bool = False) -> Batch:
    """Return sequences of random bits whose two marked ones have to be compared.

    As `adding`, with bits for numbers; the marks are among the first T / 5 steps and from 0.3 T to
    0.5 T (published for T = 50: 1-10 and 15-25), and the target is x_1 xor x_2   [1]_.

    Parameters
    ----------
    n_steps : int
        T, at least 10; with cues 20.
    n_sequences : int
    rng : numpy.random.Generator
    cues : bool, default=False
        As of `adding`.

    Returns
    -------
    Batch
        For the logistic loss.

    Notes
    -----
    The hardest of these problems: of T = 100 the authors of [1]_ say that success is very rare.

    References
    ----------
    .. [1] Martens & Sutskever (2011), Learning recurrent neural networks with Hessian-free
       optimization, section 4.
    """
    lengths, sequences = _lengths(n_steps, n_sequences, rng, cues), np.arange(n_sequences)
    inputs = np.zeros((lengths.max(), n_sequences, 2))
    inputs[..., 0] = rng.integers(2, size=inputs.shape[:2])
    first, second = _mark(inputs, n_steps, [(0.0, 0.2), (0.3, 0.5)], lengths, rng, cues)
    target = inputs[first, sequences, 0] != inputs[second, sequences, 0]
    return _scored_at_the_end(inputs, lengths, target[:, None].astype(float))


@explained
def temporal_order(
    n_steps: int,
    n_sequences: int,
    rng: np.random.Generator,
    *,
    n_symbols: int = 2,
    cues: bool = False,
) -> Batch:
    """Return sequences of symbols, of a few of which the order has to be recognized.

    Symbols 0 and 1 stand at two (or three) places, 2 to 5 are distractors elsewhere. With two, the
    places are among the first T / 10 steps and from 0.4 T to 0.5 T; with three, the first T / 10,
    0.3 T to 0.4 T and 0.5 T to 0.6 T. Lengths are T to 1.1 T, and the class, at the last step, is
    the number that the symbols spell, the first being the highest digit   [1]_.

    Parameters
    ----------
    n_steps : int
        T, at least 10; with cues 20.
    n_sequences : int
    rng : numpy.random.Generator
    n_symbols : {2, 3}, default=2
    cues : bool, default=False
        Whether there are two more symbols, as in the code of [2]_: 6 stands at the first step, and
        7 at the last step of each sequence, where the answer is asked for. The first place is then
        among the first T / 10 steps but the very first.

    Returns
    -------
    Batch
        Integer inputs and targets of shape (n_steps of the longest, n_sequences), of 6 symbols, or
        8 with cues, and 4 or 8 classes; for the softmax loss.

    References
    ----------
    .. [1] Hochreiter & Schmidhuber (1997), Long short-term memory, section 5.6; places as in [2]_.
    .. [2] Martens & Sutskever (2011), Learning recurrent neural networks with Hessian-free
       optimization, ICML.

    Examples
    --------
    >>> import numpy as np
    >>> batch = temporal_order(20, 1, np.random.default_rng(0), cues=True)
    >>> batch.inputs[[0, -1], 0]
    array([6, 7])
    """
    check_integer("n_symbols", n_symbols, minimum=2, maximum=3)
    ranges = {2: [(0.0, 0.1), (0.4, 0.5)], 3: [(0.0, 0.1), (0.3, 0.4), (0.5, 0.6)]}[n_symbols]
    lengths, sequences = _lengths(n_steps, n_sequences, rng, cues), np.arange(n_sequences)
    inputs = rng.integers(2, 6, size=(lengths.max(), n_sequences))
    target = np.zeros(n_sequences, dtype=int)
    for low, high in ranges:
        symbol = rng.integers(2, size=n_sequences)
        inputs[_position(n_steps, low, high, n_sequences, rng, cues), sequences] = symbol
        target = 2 * target + symbol
    if cues:
        inputs[0] = 6
        inputs[lengths - 1, sequences] = 7
    return _scored_at_the_end(inputs, lengths, target)


@explained
def random_permutation(
    n_steps: int, n_sequences: int, rng: np.random.Generator, *, cues: bool = False
) -> Batch:
    """Return sequences whose first symbol has to be recalled after many others.

    Of 100 symbols, 0 or 1 comes first, then a random permutation of the other 98 (another one after
    it where T > 99, cut off at T); the class at the last step is the first symbol   [1]_.

    Parameters
    ----------
    n_steps : int
        T, at least 10.
    n_sequences : int
    rng : numpy.random.Generator
    cues : bool, default=False
        Whether every step is predicted, as in the code of [2]_: the class of each step but the last
        is the symbol of the next step, and all steps are scored. None of them can be known, save
        for what the permutation has used up.

    Returns
    -------
    Batch
        Integer inputs and targets of shape (n_steps, n_sequences), 100 symbols and classes; for the
        softmax loss.

    References
    ----------
    .. [1] Hochreiter & Schmidhuber (1997), Long short-term memory, section 5.2.
    .. [2] Martens & Sutskever (2011), Learning recurrent neural networks with Hessian-free
       optimization, ICML, section 4.
    """
    check_integer("n_steps", n_steps, minimum=10)
    check_integer("n_sequences", n_sequences, minimum=1)
    first = rng.integers(2, size=(1, n_sequences))
    others = np.tile(np.arange(2, 100)[:, None], n_sequences)
    rounds = [rng.permuted(others, axis=0) for _ in range(-(-(n_steps - 1) // 98))]
    inputs = np.concatenate([first, *rounds])[:n_steps]
    if cues:
        return Batch(inputs, np.concatenate([inputs[1:], first]))
    lengths = np.full(n_sequences, n_steps)
    return _scored_at_the_end(inputs, lengths, first[0])


def _two_marked_numbers(
    n_steps: int,
    n_sequences: int,
    rng: np.random.Generator,
    combine: Callable[[Array, Array], Array],
    cues: bool,
) -> Batch:
    """Return the sequences of `adding` with the target `combine(x_1, x_2)`."""
    lengths, sequences = _lengths(n_steps, n_sequences, rng, cues), np.arange(n_sequences)
    inputs = np.zeros((lengths.max(), n_sequences, 2))
    inputs[..., 0] = rng.random(inputs.shape[:2])
    first, second = _mark(inputs, n_steps, [(0.0, 0.1), (0.1, 0.5)], lengths, rng, cues)
    target = combine(inputs[first, sequences, 0], inputs[second, sequences, 0])
    return _scored_at_the_end(inputs, lengths, target[:, None])


def _mark(
    inputs: Array,
    n_steps: int,
    ranges: list[tuple[float, float]],
    lengths: NDArray[np.int64],
    rng: np.random.Generator,
    cues: bool,
) -> list[NDArray[np.int64]]:
    """Mark a step in each range, and the cues where there are any; return the former."""
    sequences = np.arange(len(lengths))
    places = [_position(n_steps, *ends, len(lengths), rng, cues) for ends in ranges]
    for place in places:
        inputs[place, sequences, 1] = 1
    if cues:
        inputs[0, :, 1] = inputs[lengths - 3, sequences, 1] = -1
    return places


def _lengths(
    n_steps: int, n_sequences: int, rng: np.random.Generator, cues: bool
) -> NDArray[np.int64]:
    """Return lengths from T to 1.1 T."""
    check_integer("n_steps", n_steps, minimum=_LEAST_CUED if cues else 10)
    check_integer("n_sequences", n_sequences, minimum=1)
    return rng.integers(n_steps, n_steps + n_steps // 10, size=n_sequences, endpoint=True)


def _position(
    n_steps: int, low: float, high: float, n_sequences: int, rng: np.random.Generator, cues: bool
) -> NDArray[np.int64]:
    """Return steps from `low` T to before `high` T, but not the first, where a cue stands there."""
    first = max(round(low * n_steps), int(cues))
    return rng.integers(first, round(high * n_steps), size=n_sequences)


def _scored_at_the_end(
    inputs: NDArray[Any], lengths: NDArray[np.int64], target: NDArray[Any]
) -> Batch:
    """Return a batch with one target per sequence, at its last step."""
    last, sequences = lengths - 1, np.arange(len(lengths))
    targets = np.zeros((len(inputs), *target.shape), dtype=target.dtype)
    targets[last, sequences] = target
    mask = np.zeros(inputs.shape[:2], dtype=bool)
    mask[last, sequences] = True
    return Batch(inputs, targets, mask)
