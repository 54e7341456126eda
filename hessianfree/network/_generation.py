"""Writing symbols with a net: the most probable next one, one drawn, or the best by a beam.

Nothing here knows of nets. What writes is a *step*, a function of the states of some sequences side
by side and the symbols that they read next::

    states, outputs = step(states, symbols)

with `states` of shape (n_rows, ...), `symbols` (n_rows,) integers, and `outputs` of shape (n_rows,
n_symbols) the pre-activations o that the symbols after these are chosen by: symbol k is as probable
as softmax(o)_k, and is what is read next where it is chosen. Rows come in any number and order: a
sequence that has ended is left out, and one that a beam follows in several ways comes several
times. A step that writes a single sequence, greedily or drawn, sees one row each time, and may keep
its state to itself; `states` is then any array of one row that it hands back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reservoir.utils.seeds import child_generator, seed_sequence
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer, check_real

Symbols = NDArray[np.intp]
SymbolStep = Callable[[Array, Symbols], tuple[Array, Array]]
Method = Literal["greedy", "sample", "beam"]


class Written(NamedTuple):
    """Sequences that were written, without their ends, and log P of each, its end included."""

    symbols: list[Symbols]
    log_probabilities: NDArray[np.float64]


@dataclass(frozen=True)
class Search:
    """How symbols are chosen.

    Parameters
    ----------
    method : {"greedy", "sample", "beam"}, default="greedy"
    temperature : float, default=1.0
        Of "sample".
    beam_width : int, default=5
        Of "beam".
    length_penalty : float, default=0.0
        Of "beam": the exponent that lengths have in its score.
    never : collection of int, default=()
        Symbols that are not written.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Of "sample": each sequence draws from a stream of its own.

    Raises
    ------
    ValueError, TypeError
        If one of them is out of range.
    """

    method: Method = "greedy"
    temperature: float = 1.0
    beam_width: int = 5
    length_penalty: float = 0.0
    never: Collection[int] = ()
    random_state: Any = None

    def __post_init__(self) -> None:
        """Check what was asked for."""
        check_choice("method", self.method, ("greedy", "sample", "beam"))
        check_real("temperature", self.temperature, minimum=0)
        check_integer("beam_width", self.beam_width, minimum=1)
        check_real("length_penalty", self.length_penalty, minimum=0)

    def write(
        self, step: SymbolStep, states: Array, outputs: Array, n: int, end: int | None = None
    ) -> Written:
        """Return sequences of at most `n` symbols; parameters as of `write_symbols`."""
        never = check_never(self.never, end, outputs.shape[1])
        if self.method == "beam":
            beam = self.beam_width, self.length_penalty
            return search_beam(step, states, outputs, n, beam=beam, never=never, end=end)
        if self.method == "greedy":
            return write_symbols(step, states, outputs, n, never=never, end=end)
        seed = seed_sequence(self.random_state)
        rngs = [child_generator(seed, index) for index in range(len(outputs))]
        draw = self.temperature, rngs
        return write_symbols(step, states, outputs, n, draw=draw, never=never, end=end)


def check_never(never: Any, end: int | None, n_symbols: int) -> Symbols:
    """Return the symbols that are not written, or say what is wrong with them."""
    if isinstance(never, str | bytes) or not isinstance(never, Collection | np.ndarray):
        raise TypeError(
            f"`never` is of type {type(never).__name__}, but a collection of symbols was expected. "
            "Pass a list of integers."
        )
    symbols = [check_integer("never", symbol, maximum=n_symbols - 1) for symbol in never]
    if end is not None and end in symbols:
        raise ValueError(
            f"`never` holds {end}, but that is the `end` of a sequence, which is always written "
            "last. Leave it out, or pass None as `end`."
        )
    if len(set(symbols)) == n_symbols:
        raise ValueError(
            f"`never` holds all {n_symbols} symbols, but at least one has to be left to write. "
            "Leave one out."
        )
    return np.array(symbols, dtype=np.intp)


def log_probabilities(outputs: Array, never: Symbols | None = None) -> NDArray[np.float64]:
    r"""Return log softmax(o) of each row, over the symbols that may be written.

    .. math:: \log P(k) = o_k - \log \sum_{j \text{ allowed}} e^{o_j}

    Parameters
    ----------
    outputs : ndarray of shape (n_rows, n_symbols)
        Pre-activations; -inf for what is impossible.
    never : ndarray of int, optional
        Symbols of probability 0.

    Returns
    -------
    ndarray of shape (n_rows, n_symbols)

    Raises
    ------
    ValueError
        If a row is NaN, or leaves nothing to choose.

    Examples
    --------
    >>> log_probabilities(np.zeros((1, 4)), np.array([0])).round(4)
    array([[   -inf, -1.0986, -1.0986, -1.0986]])
    """
    shifted = outputs.astype(np.float64)
    if never is not None:
        shifted[:, never] = -np.inf
    largest = shifted.max(axis=1, keepdims=True)
    if not np.isfinite(largest).all():
        raise ValueError(
            "`params` make outputs that are NaN or infinite, or leave no symbol that may be "
            "written. Train anew, with smaller steps, or forbid fewer symbols."
        )
    shifted -= largest
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def choose_symbols(
    log_p: NDArray[np.float64],
    temperature: float = 0.0,
    rngs: Sequence[np.random.Generator] = (),
) -> Symbols:
    r"""Return a symbol for each row: the most probable one, or one that is drawn.

    .. math:: P(k) \propto p_k^{1 / \mathrm{temperature}} \propto \exp(o_k / \mathrm{temperature})

    Parameters
    ----------
    log_p : ndarray of shape (n_rows, n_symbols)
    temperature : float, default=0.0
        0 takes the most probable, the first among equals; rows draw nothing then.
    rngs : sequence of Generator, one for each row

    Returns
    -------
    ndarray of int of shape (n_rows,)

    Examples
    --------
    >>> choose_symbols(np.log([[0.2, 0.8], [0.6, 0.4]]))
    array([1, 0])
    """
    if temperature == 0:
        return np.asarray(log_p.argmax(axis=1), dtype=np.intp)
    with np.errstate(over="ignore"):  # what is infinitely less probable has weight 0
        weights = np.exp((log_p - log_p.max(axis=1, keepdims=True)) / temperature)
    cumulated = np.cumsum(weights, axis=1)
    drawn = np.array([rng.random() for rng in rngs])[:, None] * cumulated[:, -1:]
    return np.asarray((cumulated <= drawn).sum(axis=1), dtype=np.intp)


def write_symbols(
    step: SymbolStep,
    states: Array,
    outputs: Array,
    n: int,
    *,
    draw: tuple[float, Sequence[np.random.Generator]] = (0.0, ()),
    never: Symbols | None = None,
    end: int | None = None,
) -> Written:
    """Write sequences side by side, a symbol of each at a time, each read before the next.

    Parameters
    ----------
    step : callable
        What reads symbols; see the head of this module.
    states : ndarray of shape (n_sequences, ...)
        Where the sequences have got to.
    outputs : ndarray of shape (n_sequences, n_symbols)
        Pre-activations that the first symbols are chosen by.
    n : int
        Symbols to write at most.
    draw : tuple (float, sequence of Generator), default=(0.0, ())
        Temperature, and a generator for each sequence; at temperature 0 the most probable symbol
        is written each time.
    never : ndarray of int, optional
        Symbols that are not written.
    end : int, optional
        A symbol that ends a sequence; it is neither returned nor read.

    Returns
    -------
    Written
        log P is that of the net, whatever the temperature.
    """
    temperature, rngs = draw
    texts: list[list[int]] = [[] for _ in outputs]
    totals = np.zeros(len(outputs))
    going = np.arange(len(outputs))
    for _ in range(n):
        log_p = log_probabilities(outputs, never)
        own = [rngs[index] for index in going.tolist()] if temperature else ()
        chosen = choose_symbols(log_p, temperature, own)
        totals[going] += log_p[np.arange(len(going)), chosen]
        if end is not None and (goes_on := chosen != end).sum() < len(going):
            going, chosen, states = going[goes_on], chosen[goes_on], states[goes_on]
            if not len(going):
                break
        for index, symbol in zip(going, chosen.tolist(), strict=True):
            texts[index].append(symbol)
        states, outputs = step(states, chosen)
    return Written([np.array(text, dtype=np.intp) for text in texts], totals)


def search_beam(
    step: SymbolStep,
    states: Array,
    outputs: Array,
    n: int,
    *,
    beam: tuple[int, float] = (5, 0.0),
    never: Symbols | None = None,
    end: int | None = None,
) -> Written:
    r"""Write the sequence of each that a beam search finds best.

    .. math:: \mathrm{score} = \log P(s_1, \dots, s_m) / m^{\alpha}

    with m the number of symbols, the end among them. At each step the `beam_width` most probable
    continuations of what is in the beam are kept; those that end leave it, and the best of them is
    remembered [1]_. The search is over when nothing in the beam can come to a better score, or
    after `n` symbols, where what has not ended takes part as it is.

    Parameters
    ----------
    step, states, outputs, n, never, end
        As of `write_symbols`.
    beam : tuple (int, float), default=(5, 0.0)
        Width, 1 for what is written greedily; and the exponent α of the length, 0 for the most
        probable sequence, 1 for the one of the highest mean log P for a symbol.

    Returns
    -------
    Written

    References
    ----------
    .. [1] Sutskever, Vinyals & Le (2014), Sequence to sequence learning with neural networks, NIPS,
       section 3.2.
    """
    width, exponent = beam
    n_symbols = outputs.shape[1]
    best = _Best(len(outputs))
    going = np.arange(len(outputs))  # sequences, each with as many rows as the beam has places
    scores = np.zeros((len(outputs), 1))  # log P so far; -inf where a place of the beam is vacant
    texts = np.zeros((len(outputs), 1, 0), dtype=np.intp)
    for length in range(1, n + 1):
        log_p = log_probabilities(outputs, never).reshape(*scores.shape, n_symbols)
        candidates = (scores[..., None] + log_p).reshape(len(going), -1)
        places, scores = _largest(candidates, width)
        parents, chosen = np.divmod(places, n_symbols)
        rows = np.arange(len(going))[:, None]
        texts = np.concatenate([texts[rows, parents], chosen[..., None]], axis=2)
        if end is not None:
            ended = np.where(chosen == end, scores, -np.inf)
            best.take(going, texts[..., :-1], ended, length**exponent)
            scores = np.where(chosen == end, -np.inf, scores)
        if length == n:
            best.take(going, texts, scores, length**exponent)
            break
        # log P only falls, and the most that it can be divided by is n^α.
        open_ = scores.max(axis=1) / n**exponent > best.scores[going]
        if not open_.any():
            break
        by_place = states.reshape(len(going), -1, *states.shape[1:])
        states = by_place[rows, parents][open_].reshape(-1, *states.shape[1:])
        going, scores, texts = going[open_], scores[open_], texts[open_]
        states, outputs = step(states, chosen[open_].ravel())
    return Written(best.texts, best.log_probabilities)


class _Best:
    """The best sequence so far of each beam."""

    def __init__(self, n_sequences: int) -> None:
        self.scores = np.full(n_sequences, -np.inf)
        self.log_probabilities = np.zeros(n_sequences)
        self.texts = [np.zeros(0, dtype=np.intp) for _ in range(n_sequences)]

    def take(
        self, going: Symbols, texts: Symbols, log_p: NDArray[np.float64], divisor: float
    ) -> None:
        """Take the best of some sequences (n_going, width, length), -inf for none, if better."""
        places = log_p.argmax(axis=1)
        for row, (index, place) in enumerate(zip(going, places, strict=True)):
            if log_p[row, place] / divisor > self.scores[index]:
                self.scores[index] = log_p[row, place] / divisor
                self.log_probabilities[index] = log_p[row, place]
                self.texts[index] = texts[row, place].copy()


def _largest(values: NDArray[np.float64], count: int) -> tuple[Symbols, NDArray[np.float64]]:
    """Return places and values of the largest of each row, the first among equals first."""
    left = values.copy()
    rows = np.arange(len(values))
    places = np.empty((len(values), count), dtype=np.intp)
    found = np.empty((len(values), count))
    for column in range(count):
        places[:, column] = left.argmax(axis=1)
        found[:, column] = left[rows, places[:, column]]
        left[rows, places[:, column]] = -np.inf
    return places, found
