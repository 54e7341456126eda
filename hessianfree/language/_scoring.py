"""What a trained language model makes of a text: probabilities, bits, perplexity."""

from __future__ import annotations

import math
import os
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from hessianfree.estimators._trained import TrainedNetworkMixin
from hessianfree.language._reading import lines_of, read_text, read_texts
from hessianfree.language._stream import NetworkStream, bits_in_streams, bits_in_windows
from hessianfree.language._text import Symbols, SymbolTable, TextWindows, checked_text
from hessianfree.language._words import WordVocabulary, words_of
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice

# How a text is read.
Mode = Literal["stream", "windows"]


class ScoringMixin(TrainedNetworkMixin):
    """Gives a language model its probabilities and scores."""

    sequence_length: int
    n_scored: int
    sentences: str | None

    vocabulary_: SymbolTable

    # Why there may be one text only, and what allows several.
    _of_several: tuple[str, str] = "`sentences` is None", "`sentences` to 'texts'"

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the token that follows, after each one of a text.

        Parameters
        ----------
        X : str or path-like
            One text.

        Returns
        -------
        ndarray of shape (n, n_symbols)
            Row t is P(· | s_1, ..., s_t), columns in the order of `vocabulary_.tokens`. Where
            sentences have an end there is a row more, the first one, for the start of the text.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        return self._new_stream().in_chunks("predict", self._context(self._one_text(X)))

    def states(self, X: Any) -> Array:
        """Return the hidden states of the net, one after each token of a text.

        Parameters
        ----------
        X : str or path-like
            One text.

        Returns
        -------
        ndarray of shape (n, n_units)
            Of as many rows as `predict_proba` gives; of several layers those of the highest.
        """
        return self._new_stream().in_chunks("states", self._context(self._one_text(X)))

    def token_bits(self, X: Any, *, mode: Mode = "stream") -> Array:
        """Return what each token of a text costs: -log2 P(s_{t+1} | s_1, ..., s_t).

        Parameters
        ----------
        X : str or path-like
            One text.
        mode : {"stream", "windows"}, default="stream"
            "stream" reads each sentence, or the text where there are none, from its first to its
            last token, the state carried along. "windows" starts anew for each `n_scored` tokens,
            with the sequence_length - n_scored ones before them to read, as in training; only the
            first window is scored from its start. Windows run side by side, several times faster.

        Returns
        -------
        ndarray of shape (n_scored_tokens,)
            In bits. Where sentences have an end: of all tokens and all ends, sentence by sentence.
            Otherwise of all tokens but the first, for which there is nothing to predict it from.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If there is no token to score.
        """
        return np.concatenate(self._bits([self._one_text(X)], mode))

    def bits_per_token(self, X: Any, *, mode: Mode = "stream") -> float:
        """Return the mean of `token_bits`: less is better.

        Parameters
        ----------
        X : str, path-like, or list of these
        mode : {"stream", "windows"}, default="stream"
            As in `token_bits`.

        Returns
        -------
        float
            In bits. Guessing among n symbols costs log2 n; the end of a sentence counts as a token.
        """
        bits = self._bits(self._texts(X), mode)
        return float(np.mean(np.concatenate(bits), dtype=np.float64))

    def bits_per_character(self, X: Any, *, mode: Mode = "stream") -> float:
        """Return the bits that a text costs over its characters: less is better.

        A model of words and one of characters can be compared by it, as far as few words are
        unknown: what an unknown one is costs nothing.

        Parameters
        ----------
        X : str, path-like, or list of these
        mode : {"stream", "windows"}, default="stream"
            As in `token_bits`.

        Returns
        -------
        float
            In bits. The end of a sentence counts as a character.
        """
        if not isinstance(getattr(self, "vocabulary_", None), WordVocabulary):
            return self.bits_per_token(X, mode=mode)
        texts = self._texts(X)
        bits = np.concatenate(self._bits(texts, mode)).sum(dtype=np.float64)
        pieces = self._pieces(texts)
        if self.vocabulary_.end_of_text:
            return float(bits / sum(len(piece) + 1 for piece in pieces))
        # The first word of a text is not scored.
        return float(bits / sum(len(piece) - len(words_of(piece)[0]) for piece in pieces))

    def perplexity(self, X: Any, *, mode: Mode = "stream") -> float:
        r"""Return the perplexity of a text: less is better.

        .. math:: 2^{\text{bits per token}} = P(s_1, \dots, s_n)^{-1/n}

        Parameters
        ----------
        X : str, path-like, or list of these
        mode : {"stream", "windows"}, default="stream"
            As in `token_bits`.

        Returns
        -------
        float
            Guessing among n symbols has a perplexity of n; the end of a sentence counts as a token.
        """
        return float(np.exp2(self.bits_per_token(X, mode=mode)))

    def log_probability(self, X: Any) -> float | Array:
        r"""Return how probable a sentence is, among all that there are.

        .. math:: \log P(s_1, \dots, s_n) = \sum_{t=1}^{n+1} \log P(s_t \mid s_1, \dots, s_{t-1}),
                  \quad s_{n+1} = \text{<EOS>}

        The probabilities of all sequences of tokens, of any length, sum to one: <EOS> is learned
        like a token, and <UNK> is one.

        Parameters
        ----------
        X : str, path-like, or list of these
            A sentence, or a list of them; a text of several lines, where `sentences` is "lines", is
            as probable as all of them together.

        Returns
        -------
        float, or ndarray of shape (n_texts,) for a list
            In nats.

        Raises
        ------
        ValueError
            If the sentences of the model have no end.
        """
        check_is_fitted(self, "params_")
        if not self.vocabulary_.end_of_text:
            raise ValueError(
                "`log_probability` is about sentences, but those of this model have no end. Fit "
                "it with an end of texts (`sentences`), or compare `bits_per_token`."
            )
        texts = self._texts(X)
        counts = [len(self._pieces([text])) for text in texts]
        sums = [piece.sum(dtype=np.float64) for piece in self._bits(texts, "stream")]
        ends = np.cumsum([0, *counts])
        totals = np.array([sum(sums[first:last]) for first, last in pairwise(ends)]) * -math.log(2)
        return totals if isinstance(X, list | tuple) else float(totals[0])

    def score(self, X: Any, y: None = None) -> float:
        """Return minus the bits per token, so that greater is better, as scikit-learn has it.

        Parameters
        ----------
        X : str, path-like, or list of these
        y : None
            Ignored.

        Returns
        -------
        float
            The mean of log2 P(s_{t+1} | s_1, ..., s_t); `-bits_per_token(X)`.
        """
        return -self.bits_per_token(X)

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

    def _texts(self, X: Any) -> list[str]:
        """Return one text or many."""
        check_is_fitted(self, "params_")
        return read_texts(X, self.vocabulary_.end_of_text, self._of_several)

    def _pieces(self, texts: list[str]) -> list[str]:
        """Return what has a start and an end: the sentences, or the texts."""
        if self.sentences != "lines":
            return texts
        return [line for text in texts for line in lines_of(text)]

    def _bits(self, texts: list[str], mode: Mode) -> list[Array]:
        """Return the bits of each piece."""
        check_is_fitted(self, "params_")
        check_choice("mode", mode, ("stream", "windows"))
        streams = [self.vocabulary_.stream([piece]) for piece in self._pieces(texts)]
        for stream in streams:
            if len(stream) < 2:
                raise ValueError(
                    f"`X` has {len(stream)} {self.vocabulary_.unit}(s), but at least 2 were "
                    "expected: one to score, and one to predict it from. Pass a longer text."
                )
        if mode == "stream":
            return bits_in_streams(self.network_, self.params_, streams)
        windows = (TextWindows(stream, self.sequence_length, self.n_scored) for stream in streams)
        return [bits_in_windows(self.network_, self.params_, each) for each in windows]

    def _context(self, text: str) -> Symbols:
        """Return what the net reads before it predicts: the text, and before it its start."""
        *before, last = (
            checked_text(text).split("\n") if self.sentences == "lines" else [checked_text(text)]
        )
        before = [line.removesuffix("\r") for line in before if line.strip()]
        symbols = self.vocabulary_.stream([*before, last])
        return symbols[:-1] if self.vocabulary_.end_of_text else symbols

    def _new_stream(self) -> NetworkStream:
        """Return the net before its first step."""
        check_is_fitted(self, "params_")
        return NetworkStream(self.network_, self.params_)
