"""What a trained language model writes: samples and completions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from hessianfree.language._scoring import ScoringMixin
from hessianfree.language._stream import NetworkStream, generate
from hessianfree.network._generation import Search, log_probabilities
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.types import Array
from reservoir.utils.validation import check_flag, check_integer, check_real


class WritingMixin(ScoringMixin):
    """Gives a language model its samples and completions."""

    _counts: Array  # of each symbol in the training text

    def sample(
        self,
        n: int,
        *,
        prime: str = "",
        temperature: float = 1.0,
        refuse_unknown: bool = True,
        seed: Any = None,
    ) -> str:
        r"""Write a text token by token.

        .. math:: P(k) \propto \exp(o_k / \mathrm{temperature})

        The net reads the prime, draws the next token, reads that, and so on, each token in one
        step: nothing is read twice.

        Parameters
        ----------
        n : int
            Tokens to write; fewer where the end of the sentence comes before.
        prime : str, default=""
            What the text begins with. Without one, and where sentences have no end, the first token
            is drawn by how often it comes in the training text.
        temperature : float, default=1.0
            1 draws from what the net believes; less, from what it believes more firmly; 0 takes the
            most probable token each time, at random among equals no more.
        refuse_unknown : bool, default=True
            Draw again where the unknown token was drawn; otherwise it is written as "<UNK>" among
            words, and as U+FFFD among characters.
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
        check_flag("refuse_unknown", refuse_unknown)
        stream, outputs = self._read_prefix(prime)
        symbols = generate(
            stream,
            outputs,
            n,
            temperature=temperature,
            rng=np.random.default_rng(seed_sequence(seed)),
            never=0 if refuse_unknown else None,
            last=self.vocabulary_.end_symbol,
        )
        return self.vocabulary_.decode(symbols)

    def complete(
        self, prefix: str, n: int = 100, *, temperature: float = 0.0, seed: Any = None
    ) -> str:
        """Return how a text goes on: by the most probable next token each time.

        Parameters
        ----------
        prefix : str
        n : int, default=100
            Tokens to write; fewer where the end of the sentence comes before.
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

    def completions(
        self,
        prefix: str,
        n: int = 5,
        *,
        n_tokens: int = 20,
        beam_width: int = 5,
        refuse_unknown: bool = True,
    ) -> list[tuple[str, float]]:
        r"""Return several ways in which a text may go on, the most probable one first.

        They begin with the `n` most probable next tokens; each goes on as a beam search finds it
        most probable, up to the end of the sentence or to `n_tokens`.

        Parameters
        ----------
        prefix : str
        n : int, default=5
            Completions; fewer where there are fewer tokens.
        n_tokens : int, default=20
            Tokens of each at most. Without an end of sentences all have so many.
        beam_width : int, default=5
            Continuations that are followed at once; 1 takes the most probable token each time.
        refuse_unknown : bool, default=True
            Leave out the unknown token.

        Returns
        -------
        list of tuple (str, float)
            What follows the prefix, and log P of it in nats, given the prefix; the end of the
            sentence included if it came, <UNK> left out of what there is where it is refused.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If a number is below 1.

        References
        ----------
        .. [1] Sutskever, Vinyals & Le (2014), Sequence to sequence learning with neural networks,
           NIPS, section 3.2, of the search.
        """
        check_is_fitted(self, "params_")
        check_integer("n", n, minimum=1)
        check_integer("n_tokens", n_tokens, minimum=1)
        check_flag("refuse_unknown", refuse_unknown)
        never = [0] if refuse_unknown else []
        search = Search("beam", beam_width=beam_width, never=never)
        stream, outputs = self._read_prefix(prefix)
        log_p = log_probabilities(outputs[None], np.array(never, dtype=np.intp))[0]
        first = np.argsort(-log_p, kind="stable")[:n]
        first = first[np.isfinite(log_p[first])]
        end, decode = self.vocabulary_.end_symbol, self.vocabulary_.decode
        found = [("", float(log_p[k])) for k in first if k == end]
        first = np.array([k for k in first if k != end], dtype=np.intp)
        if len(first):
            if stream.state is not None:
                stream.state = np.repeat(stream.state, len(first), axis=0)
            states, outputs = stream.side_by_side(stream.state, first)
            written = search.write(stream.side_by_side, states, outputs, n_tokens - 1, end)
            for k, symbols, rest in zip(first, *written, strict=True):
                found.append((decode([k, *symbols]), float(log_p[k] + rest)))
        return sorted(found, key=lambda completion: -completion[1])

    def _read_prefix(self, prefix: str) -> tuple[NetworkStream, Array]:
        """Return the net after a prefix, and the outputs that the next token is chosen by."""
        stream, context = self._new_stream(), self._context(prefix)
        if len(context):
            return stream, stream.read(context)
        with np.errstate(divide="ignore"):
            return stream, np.log(self._counts)
