"""Text as symbols: a vocabulary of characters, and windows drawn from a long text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch
from reservoir.utils.explained import explained
from reservoir.utils.persistence import register
from reservoir.utils.validation import check_integer

UNKNOWN = "\N{REPLACEMENT CHARACTER}"


# What symbols that stand for no token are called.
UNKNOWN_NAME, END_NAME = "<UNK>", "<EOS>"


Symbols = NDArray[np.intp]


class SymbolTable:
    """What vocabularies share: tokens, and the symbols that stand for them.

    Symbol 0 stands for every unknown token; with `end_of_text`, symbol 1 for the end of a text.
    Those of the tokens follow.
    """

    end_of_text: bool

    unit: ClassVar[str] = "token"

    @property
    def known(self) -> Sequence[str]:
        """The tokens, in the order of their symbols."""
        raise NotImplementedError

    def encode(self, text: str) -> Symbols:
        """Return the symbol of each token."""
        raise NotImplementedError

    def decode(self, symbols: Any) -> str:
        """Return the text of some symbols."""
        raise NotImplementedError

    @property
    def tokens(self) -> tuple[str, ...]:
        """What each symbol stands for: "<UNK>", "<EOS>" if texts have an end, and the tokens."""
        return (UNKNOWN_NAME, END_NAME)[: self.n_special] + tuple(self.known)

    @property
    def n_symbols(self) -> int:
        """Number of symbols."""
        return len(self.known) + self.n_special

    @property
    def n_special(self) -> int:
        """Number of symbols that stand for no token of their own; they come first."""
        return 2 if self.end_of_text else 1

    @property
    def end_symbol(self) -> int | None:
        """The symbol of the start and the end of a text, or None."""
        return 1 if self.end_of_text else None

    def stream(self, texts: Iterable[str]) -> Symbols:
        """Return the symbols of texts one after the other, with their starts and ends if any.

        Parameters
        ----------
        texts : iterable of str

        Returns
        -------
        ndarray of intp of shape (n,)

        Examples
        --------
        >>> Vocabulary("ab", end_of_text=True).stream(["a", "ba"])
        array([1, 2, 1, 3, 2, 1])
        """
        end = np.ones(1 if self.end_of_text else 0, dtype=np.intp)
        return np.concatenate([end, *(np.append(self.encode(text), end) for text in texts)])

    def _checked(self, symbols: Any) -> Symbols:
        """Return symbols without the ends of texts; raise unless all are symbols."""
        values = np.asarray(symbols, dtype=np.intp)
        if values.size and (values.min() < 0 or values.max() >= self.n_symbols):
            raise ValueError(
                f"`symbols` has numbers from {values.min()} to {values.max()}, but 0 to "
                f"{self.n_symbols - 1} were expected. Pass symbols that `encode` gave."
            )
        return values[values != self.end_symbol] if self.end_of_text else values


def frequent(counts: NDArray[np.intp], min_count: int, max_size: int | None) -> NDArray[np.bool_]:
    """Return which tokens come often enough, and are among the most frequent; ties by order."""
    check_integer("min_count", min_count, minimum=1)
    often = counts >= min_count
    if max_size is not None:
        check_integer("max_size", max_size, minimum=1)
        often[np.argsort(-counts, kind="stable")[max_size:]] = False
    return often


@explained
@register
@dataclass(frozen=True)
class Vocabulary(SymbolTable):
    """Characters and the symbols that stand for them.

    Symbol 0 stands for every unknown character; with `end_of_text`, symbol 1 for the end of a text;
    the characters follow in the order of their code points.

    Parameters
    ----------
    characters : str
        All different, sorted.
    end_of_text : bool, default=False
        Whether texts have a start and an end: both are the same symbol.

    Raises
    ------
    ValueError
        If `characters` is not sorted or a character comes twice.

    See Also
    --------
    WordVocabulary : Words as symbols.

    Examples
    --------
    >>> vocabulary = Vocabulary("abc")
    >>> vocabulary.encode("cab!")
    array([3, 1, 2, 0])
    >>> vocabulary.decode([3, 1, 2, 0])
    'cab�'
    >>> Vocabulary("abc", end_of_text=True).tokens
    ('<UNK>', '<EOS>', 'a', 'b', 'c')
    """

    characters: str
    end_of_text: bool = False

    unit: ClassVar[str] = "character"

    def __post_init__(self) -> None:
        """Check the order."""
        codes = _codes(self.characters)
        if np.any(np.diff(codes.astype(np.int64)) <= 0):
            raise ValueError(
                f"`characters` is {self.characters[:20]!r}, but characters that are all different, "
                "in the order of their code points, were expected. Pass ''.join(sorted(set(text)))."
            )

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        min_count: int = 1,
        max_size: int | None = None,
        end_of_text: bool = False,
    ) -> Self:
        """Take in the characters that a text has often enough.

        Parameters
        ----------
        text : str
        min_count : int, default=1
            Characters that come less often stay unknown. With 1 the text has no unknown character,
            and a net that is trained on it does not learn when to expect one.
        max_size : int, optional
            Take in so many characters at most, the most frequent ones.
        end_of_text : bool, default=False

        Returns
        -------
        Vocabulary

        Examples
        --------
        >>> Vocabulary.from_text("banana", min_count=2).characters
        'an'
        """
        codes, counts = np.unique(_codes(text), return_counts=True)
        return cls(_from_codes(codes[frequent(counts, min_count, max_size)]), end_of_text)

    @property
    def known(self) -> Sequence[str]:
        """The characters, in the order of their symbols."""
        return self.characters

    def encode(self, text: str) -> Symbols:
        """Return the symbol of each character.

        Parameters
        ----------
        text : str

        Returns
        -------
        ndarray of intp of shape (len(text),)
        """
        codes, known = _codes(checked_text(text)), _codes(self.characters)
        if not len(known):
            return np.zeros(len(codes), dtype=np.intp)
        position = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        return np.where(known[position] == codes, position + self.n_special, 0)

    def decode(self, symbols: Any) -> str:
        """Return the text of some symbols; an unknown character is U+FFFD, an end of text nothing.

        Parameters
        ----------
        symbols : array-like of int of shape (n,)

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If a number is no symbol.
        """
        special = _codes(UNKNOWN * self.n_special)
        codes = np.concatenate([special, _codes(self.characters)])
        return _from_codes(codes[self._checked(symbols)])


@explained
@dataclass(frozen=True, eq=False)
class TextWindows:
    r"""Windows of a stream of symbols, each to be predicted from the ones before.

    .. math:: x_t = s_{i+t}, \quad y_t = s_{i+t+1}, \quad t = 0, \dots, \mathrm{n\_steps} - 1

    and the last `n_scored` steps are scored.

    The net starts each window from its initial state; the first n_steps - n_scored steps are there
    for its state to settle, and are not scored [1]_.

    Parameters
    ----------
    symbols : ndarray of int of shape (n,)
        The stream, of at least two symbols.
    n_steps : int
        Steps of a window. A stream too short for one is a single, shorter window.
    n_scored : int
        Steps at its end that are scored.
    start : int, optional
        The symbol of the start of a text. A window that begins with it is scored from its first
        step: nothing came before.

    Raises
    ------
    ValueError
        If the stream is too short, or `n_scored` larger than `n_steps`.

    Examples
    --------
    >>> import numpy as np
    >>> windows = TextWindows(np.arange(10), n_steps=4, n_scored=2)
    >>> batch = windows.at([0, 5])
    >>> batch.inputs.T
    array([[0, 1, 2, 3], [5, 6, 7, 8]])
    >>> batch.targets.T
    array([[1, 2, 3, 4], [6, 7, 8, 9]])
    >>> batch.mask[:, 0]
    array([False, False,  True,  True])

    References
    ----------
    .. [1] Sutskever, Martens & Hinton (2011), Generating text with recurrent neural networks, ICML,
       section 4: windows of 250 characters, of which the last 200 are scored.
    """

    symbols: Symbols
    n_steps: int
    n_scored: int
    start: int | None = None

    def __post_init__(self) -> None:
        """Check the sizes."""
        check_integer("n_steps", self.n_steps, minimum=1)
        check_integer("n_scored", self.n_scored, minimum=1, maximum=self.n_steps)
        if len(self.symbols) < 2:
            raise ValueError(
                f"`symbols` has {len(self.symbols)} entries, but at least 2 were expected: one to "
                "predict, and one to predict it from. Pass a longer text."
            )

    def draw(self, n_windows: int, rng: np.random.Generator) -> Batch:
        """Return windows that start anywhere in the stream, each place as likely as the others.

        Parameters
        ----------
        n_windows : int
        rng : numpy.random.Generator

        Returns
        -------
        Batch
        """
        last = max(0, len(self.symbols) - 1 - self.n_steps)
        return self.at(rng.integers(last + 1, size=n_windows))

    def at(self, starts: Any) -> Batch:
        """Return the windows that start at the given places.

        Parameters
        ----------
        starts : array-like of int of shape (n_windows,)

        Returns
        -------
        Batch
        """
        n_steps = min(self.n_steps, len(self.symbols) - 1)
        places = np.asarray(starts)[None, :] + np.arange(n_steps + 1)[:, None]
        windows = self.symbols[places]
        mask = np.zeros((n_steps, windows.shape[1]), dtype=bool)
        mask[-self.n_scored :] = True
        if self.start is not None:
            mask[:, windows[0] == self.start] = True
        return Batch(windows[:-1], windows[1:], mask)


def pieces_scored_once(streams: Iterable[Symbols], n_steps: int, n_scored: int) -> Batch:
    """Return streams as a batch that scores each symbol but their first ones once.

    Those of more than `n_steps` symbols to predict are cut: each piece but the first has before
    what it scores the n_steps - n_scored symbols that a net reads to see where it is.

    Examples
    --------
    >>> batch = pieces_scored_once([np.arange(6), np.arange(3)], n_steps=4, n_scored=2)
    >>> batch.targets.T
    array([[1, 2, 3, 4], [3, 4, 5, 0], [1, 2, 0, 0]])
    >>> batch.mask.T.astype(int)
    array([[1, 1, 1, 1], [0, 0, 1, 0], [1, 1, 0, 0]])
    """
    n_read = n_steps - n_scored
    pieces, n_skipped = [], []
    for stream in streams:
        for start in range(0, max(1, len(stream) - 1 - n_read), n_scored):
            pieces.append(stream[start : start + n_steps + 1])
            n_skipped.append(n_read if start else 0)
    batch = Batch.from_sequences([piece[:-1] for piece in pieces], [piece[1:] for piece in pieces])
    steps = np.arange(batch.n_steps)[:, None]
    ends = np.array([len(piece) - 1 for piece in pieces])
    return replace(batch, mask=(steps >= np.array(n_skipped)) & (steps < ends))


def checked_text(text: Any) -> str:
    """Return a text; raise unless it is one."""
    if not isinstance(text, str):
        raise TypeError(
            f"`text` is of type {type(text).__name__}, but a str was expected. Decode bytes, "
            "for instance by .decode('utf-8')."
        )
    return text


def _codes(text: str) -> NDArray[np.uint32]:
    """Return the code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _from_codes(codes: NDArray[Any]) -> str:
    """Return the text of some code points."""
    return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
