"""Words as symbols: what a word is, a vocabulary of words, and a text of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from hessianfree.language._text import (
    END_NAME,
    UNKNOWN_NAME,
    Symbols,
    SymbolTable,
    checked_text,
    frequent,
)
from reservoir.utils.explained import explained
from reservoir.utils.persistence import register

# The names of the special symbols; letters and digits, with apostrophes and hyphens inside; any
# other character that is no space.
_WORD = re.compile(rf"{UNKNOWN_NAME}|{END_NAME}|\w+(?:['’-]\w+)*|[^\w\s]")


# No space is written before and after these.
_CLOSING, _OPENING = frozenset(",.;:!?)]}%…’”"), frozenset("([{‘“")


@explained
def words_of(text: str) -> list[str]:
    """Return the words and marks of a text, in their order.

    A word is made of letters, digits and underscores, with single apostrophes and hyphens inside;
    every other character that is no space is a mark of its own. Upper and lower case differ.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str

    Examples
    --------
    >>> words_of("Don't panic: it's (well-nigh) free!")
    ["Don't", 'panic', ':', "it's", '(', 'well-nigh', ')', 'free', '!']
    """
    return _WORD.findall(checked_text(text))


@explained
@register
@dataclass(frozen=True)
class WordVocabulary(SymbolTable):
    """Words and the symbols that stand for them.

    Symbol 0, "<UNK>", stands for every unknown word; with `end_of_text`, symbol 1, "<EOS>", for the
    end of a text; the words follow in the order of their code points.

    Parameters
    ----------
    words : sequence of str
        Words and marks as `words_of` cuts them, all different, sorted.
    end_of_text : bool, default=False
        Whether texts have a start and an end: both are the same symbol.

    Raises
    ------
    ValueError
        If `words` is not sorted or a word comes twice.

    See Also
    --------
    Vocabulary : Characters as symbols.

    Examples
    --------
    >>> vocabulary = WordVocabulary.from_text("a pear, a pair and a pear", max_size=3)
    >>> vocabulary.tokens
    ('<UNK>', ',', 'a', 'pear')
    >>> vocabulary.encode("a pear, a plum")
    array([2, 3, 1, 2, 0])
    >>> vocabulary.decode([2, 3, 1, 2, 0])
    'a pear, a <UNK>'
    """

    words: Sequence[str]
    end_of_text: bool = False

    unit: ClassVar[str] = "word"

    def __post_init__(self) -> None:
        """Check the order."""
        object.__setattr__(self, "words", tuple(self.words))
        if not all(first < second for first, second in zip(self.words, self.words[1:])):
            raise ValueError(
                f"`words` begins with {list(self.words[:5])!r}, but words that are all different, "
                "in the order of their code points, were expected. Pass sorted(set(words))."
            )

    def __getstate__(self) -> dict[str, Any]:
        return {"words": self.words, "end_of_text": self.end_of_text}

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        min_count: int = 1,
        max_size: int | None = None,
        end_of_text: bool = False,
    ) -> Self:
        """Take in the words that a text has often enough.

        Parameters
        ----------
        text : str
        min_count : int, default=1
            Words that come less often stay unknown. With 1 the text has no unknown word, and a net
            that is trained on it does not learn when to expect one.
        max_size : int, optional
            Take in so many words at most, the most frequent ones.
        end_of_text : bool, default=False

        Returns
        -------
        WordVocabulary
        """
        counted = Counter(words_of(text))
        for name in (UNKNOWN_NAME, END_NAME):
            counted.pop(name, None)
        words = sorted(counted)
        counts = np.array([counted[word] for word in words], dtype=np.intp)
        chosen = np.flatnonzero(frequent(counts, min_count, max_size))
        return cls(tuple(words[place] for place in chosen), end_of_text)

    @property
    def known(self) -> Sequence[str]:
        """The words, in the order of their symbols."""
        return self.words

    @cached_property
    def _symbols(self) -> dict[str, int]:
        """The symbol of each word."""
        return {word: symbol for symbol, word in enumerate(self.words, start=self.n_special)}

    def encode(self, text: str) -> Symbols:
        """Return the symbol of each word and mark.

        Parameters
        ----------
        text : str

        Returns
        -------
        ndarray of intp of shape (n,)
        """
        return np.array([self._symbols.get(word, 0) for word in words_of(text)], dtype=np.intp)

    def decode(self, symbols: Any) -> str:
        """Return the text of some symbols; an unknown word is "<UNK>", an end of text nothing.

        Words are separated by one space each; marks that close stand at what is before them, those
        that open at what follows.

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
        tokens = self.tokens
        return _as_text(tokens[symbol] for symbol in self._checked(symbols))


def _as_text(words: Iterable[str]) -> str:
    """Return words and marks as a text."""
    text = ""
    for word in words:
        is_tied = not text or text[-1] in _OPENING or word in _CLOSING
        text += word if is_tied else f" {word}"
    return text
