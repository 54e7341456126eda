"""Use of a trained language model: probabilities, bits per character, sampling."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from hessianfree.estimators._trained import TrainedNetworkMixin
from hessianfree.language._stream import NetworkStream, bits_in_stream, bits_in_windows, generate
from hessianfree.language._text import Symbols, TextWindows, Vocabulary
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer, check_real

# Characters of the name of a file; looking a longer text up would be an error on some systems.
_LONGEST_NAME = 255


class TextModelMixin(TrainedNetworkMixin):
    """Gives a model of characters its predictions, scores and samples."""

    sequence_length: int
    n_scored: int

    vocabulary_: Vocabulary

    _counts: Array  # of each symbol in the training text

    # -- predicting -------------------------------------------------------------------------------

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the character that follows, after each one of a text.

        Parameters
        ----------
        X : str or path-like
            One text.

        Returns
        -------
        ndarray of shape (n, n_symbols)
            Row t is P(· | s_1, ..., s_t), columns in the order of `vocabulary_`: the unknown
            symbol, the end of the text if there is one, the characters. With `end_of_text` there is
            a row more, the first one, for the start of the text.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        return self._new_stream().in_chunks("predict", self._context(self._one_text(X)))

    def states(self, X: Any) -> Array:
        """Return the hidden states of the net, one after each character of a text.

        Parameters
        ----------
        X : str or path-like
            One text.

        Returns
        -------
        ndarray of shape (n, n_units)
            Of as many rows as `predict_proba` gives.
        """
        return self._new_stream().in_chunks("states", self._context(self._one_text(X)))

    def character_bits(self, X: Any, *, mode: Literal["stream", "windows"] = "stream") -> Array:
        """Return what each character of a text costs: -log2 P(s_{t+1} | s_1, ..., s_t).

        Parameters
        ----------
        X : str or path-like
            One text.
        mode : {"stream", "windows"}, default="stream"
            "stream" reads the text from its first to its last character, the state carried along.
            "windows" starts anew for each `n_scored` characters, with the sequence_length -
            n_scored ones before them to read, as in training; only the first window is scored
            from its start. Windows run side by side, several times faster.

        Returns
        -------
        ndarray of shape (n - 1,), or (n + 1,) with `end_of_text`
            In bits: of all characters but the first, or of all and the end of the text.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If there is no character to score.
        """
        check_is_fitted(self, "params_")
        check_choice("mode", mode, ("stream", "windows"))
        symbols = self.vocabulary_.stream([self._one_text(X)])
        if len(symbols) < 2:
            raise ValueError(
                f"`X` has {len(symbols)} character(s), but at least 2 were expected: one to score, "
                "and one to predict it from. Pass a longer text."
            )
        if mode == "stream":
            return bits_in_stream(self.network_, self.params_, symbols)
        windows = TextWindows(symbols, self.sequence_length, self.n_scored)
        return bits_in_windows(self.network_, self.params_, windows)

    def bits_per_character(self, X: Any, *, mode: Literal["stream", "windows"] = "stream") -> float:
        """Return the mean of `character_bits`: less is better.

        Parameters
        ----------
        X : str, path-like, or list of these
        mode : {"stream", "windows"}, default="stream"
            As in `character_bits`.

        Returns
        -------
        float
            In bits. Guessing among n symbols costs log2 n; with `end_of_text` the end of a text
            counts as a character.
        """
        check_is_fitted(self, "params_")
        bits = [
            self.character_bits(text, mode=mode)
            for text in read_texts(X, self.vocabulary_.end_of_text)
        ]
        return float(np.mean(np.concatenate(bits), dtype=np.float64))

    def score(self, X: Any, y: None = None) -> float:
        """Return minus the bits per character, so that greater is better, as scikit-learn has it.

        Parameters
        ----------
        X : str, path-like, or list of these
        y : None
            Ignored.

        Returns
        -------
        float
            The mean of log2 P(s_{t+1} | s_1, ..., s_t); `-bits_per_character(X)`.
        """
        return -self.bits_per_character(X)

    # -- writing ----------------------------------------------------------------------------------

    def sample(self, n: int, *, prime: str = "", temperature: float = 1.0, seed: Any = None) -> str:
        r"""Write a text character by character.

        .. math:: P(k) \propto \exp(o_k / \mathrm{temperature})

        The net reads the prime, draws the next character, reads that, and so on, each character in
        one step: nothing is read twice.

        Parameters
        ----------
        n : int
            Characters to write; fewer where the end of the text comes before.
        prime : str, default=""
            What the text begins with. Without one, and without `end_of_text`, the first character
            is drawn by how often it comes in the training text.
        temperature : float, default=1.0
            1 draws from what the net believes; less, from what it believes more firmly; 0 takes the
            most probable character each time, at random among equals no more.
        seed : int, Generator, RandomState, SeedSequence or None, default=None

        Returns
        -------
        str
            What was written, the prime left out.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `n` or `temperature` is negative.
        """
        check_is_fitted(self, "params_")
        check_integer("n", n)
        check_real("temperature", temperature, minimum=0)
        stream = self._new_stream()
        context = self._context(prime)
        if len(context):
            outputs = stream.read(context)
        else:
            with np.errstate(divide="ignore"):
                outputs = np.log(self._counts)
        symbols = generate(
            stream,
            outputs,
            n,
            temperature=temperature,
            rng=np.random.default_rng(seed_sequence(seed)),
            never=0,
            last=self.vocabulary_.end_symbol,
        )
        return self.vocabulary_.decode(symbols)

    def complete(
        self, prefix: str, n: int = 100, *, temperature: float = 0.0, seed: Any = None
    ) -> str:
        """Return how a text goes on: by the most probable next character each time.

        Parameters
        ----------
        prefix : str
        n : int, default=100
            Characters to write; fewer where the end of the text comes before.
        temperature : float, default=0.0
            Above 0, draw as `sample` does.
        seed : int, Generator, RandomState, SeedSequence or None, default=None
            Of no effect at temperature 0.

        Returns
        -------
        str
            What follows the prefix.
        """
        return self.sample(n, prime=prefix, temperature=temperature, seed=seed)

    # -- helpers ----------------------------------------------------------------------------------

    def _one_text(self, X: Any) -> str:
        """Return the text of a str or a path."""
        check_is_fitted(self, "params_")
        if not isinstance(X, str | os.PathLike):
            raise TypeError(
                f"`X` is of type {type(X).__name__}, but one text, a str or a path, was expected. "
                "Call this for each text."
            )
        return read_text(X)

    def _context(self, text: str) -> Symbols:
        """Return what the net reads before it predicts: the text, and before it its start."""
        symbols = self.vocabulary_.stream([text])
        return symbols[:-1] if self.vocabulary_.end_of_text else symbols

    def _new_stream(self) -> NetworkStream:
        """Return the net before its first step."""
        check_is_fitted(self, "params_")
        return NetworkStream(self.network_, self.params_)


def read_texts(X: Any, end_of_text: bool) -> list[str]:
    """Return the texts of a str, a path, or, where texts have an end, a list of these."""
    if isinstance(X, str | os.PathLike):
        return [read_text(X)]
    if not isinstance(X, list | tuple) or not X:
        raise TypeError(
            f"`X` is {'empty' if isinstance(X, list | tuple) else f'a {type(X).__name__}'}, but a "
            "str, a path, or a list of these was expected. Pass the text itself."
        )
    if not end_of_text:
        raise ValueError(
            f"`X` is a list of {len(X)} text(s), but `end_of_text` is False and one text was "
            "expected. Set `end_of_text` to True, or join the texts."
        )
    return [read_text(text) for text in X]


def read_text(source: str | os.PathLike[str]) -> str:
    """Return a text, or what the UTF-8 file of a path holds, its line ends as they are.

    A str is a text. One that names a file is most likely meant as its path: a warning says so.
    """
    if isinstance(source, str):
        if _names_file(source):
            warnings.warn(
                f"`X` is the str {source!r}, which names a file, but a str is a text. Pass "
                "pathlib.Path(X) for what the file holds.",
                stacklevel=2,
            )
        return source
    if not isinstance(source, os.PathLike):
        raise TypeError(
            f"`X` holds a {type(source).__name__}, but a str or a path was expected. Pass the text "
            "itself."
        )
    try:
        return Path(source).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"`X` is the path {os.fspath(source)!r}, but the file is no UTF-8 text (byte "
            f"{error.start}). Read it with its own encoding, and pass the text."
        ) from error


def _names_file(text: str) -> bool:
    """Return whether a text of one line is the name of a file."""
    if not text or len(text) > _LONGEST_NAME or "\n" in text or "\0" in text:
        return False
    return os.path.isfile(text)
