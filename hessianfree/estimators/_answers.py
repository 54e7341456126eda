"""Classifiers that answer: they read a sequence of symbols, and write another of other length."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from hessianfree.estimators._labels import of_all_classes
from hessianfree.estimators._runs import InitialState, RunningRNN
from hessianfree.estimators._sequence_data import predict_sequences
from hessianfree.network._fed_back import symbol_step_of
from hessianfree.network._generation import Search, Symbols, Written
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer


class AnsweringRNN(RunningRNN):
    """What a net writes whose labels are symbols that it reads."""

    classes_: Any
    # Of files of before there was another.
    _label_kind: str = "single"

    def generate(
        self,
        X: Any,
        *,
        end: int | None = None,
        max_steps: int = 100,
        method: Literal["greedy", "sample", "beam"] = "greedy",
        temperature: float = 1.0,
        beam_width: int = 5,
        length_penalty: float = 0.0,
        never: Collection[int] = (),
        initial_state: InitialState = None,
        random_state: Any = None,
        return_log_probability: bool = False,
    ) -> Any:
        r"""Write what follows sequences: each symbol that is written is read next, until the end.

        For nets with `n_symbols` whose labels are such symbols, one for each step. The last symbol
        of a sequence of `X` is the one after which the net was trained to write, for instance a
        separator; what comes out has a length of its own.

        .. math::

            \log P(s_1, \dots, s_m \mid X) = \sum_{t=1}^{m} \log P(s_t \mid X, s_1, \dots, s_{t-1})

        with s_m the end, or what is written at the last step.

        Parameters
        ----------
        X : array-like of shape (n_steps, 1), list of such, or 3-D array
            What is read before, as in `predict`.
        end : int, optional
            The label that ends a sequence. By default all have `max_steps` symbols.
        max_steps : int, default=100
            Symbols to write at most, the end among them.
        method : {"greedy", "sample", "beam"}, default="greedy"
            "greedy" takes the most probable symbol each time; "sample" draws it; "beam" looks for
            the most probable sequence among those that go through the `beam_width` most probable
            beginnings of each length [1]_.
        temperature : float, default=1.0
            Of "sample": symbols are drawn with P(k)^(1 / temperature). 1 draws from what the net
            believes, less from what it believes more firmly, 0 is greedy.
        beam_width : int, default=5
            Of "beam"; 1 is greedy.
        length_penalty : float, default=0.0
            Of "beam", which looks for the highest log P / m^length_penalty. With 0, the most
            probable sequence, short ones are favoured; 1 compares the means per symbol.
        never : collection of int, default=()
            Labels that are not written: those that are left share the probability.
        initial_state : None, "last" or array-like of shape (n_sequences, state_size), default=None
            State before the first row of `X`, as in `predict`.
        random_state : int, Generator, RandomState, SeedSequence or None, default=None
            Of "sample". What is drawn for a sequence depends on its place in `X`, and not on how
            many others there are.
        return_log_probability : bool, default=False
            Whether to return log P(s_1, ..., s_m | X) as well, in nats, the end included; of the
            net itself, whatever the temperature.

        Returns
        -------
        symbols : list of ndarray of int, one for each sequence
            Without the end; a single array where `X` was a single sequence.
        log_probability : ndarray of shape (n_sequences,), or float
            Only with `return_log_probability`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError, TypeError
            If the net was not trained to write symbols that it reads, or an argument is not as
            described.

        References
        ----------
        .. [1] Sutskever, Vinyals & Le (2014), Sequence to sequence learning with neural networks,
           NIPS, section 3.2.

        Examples
        --------
        Read some symbols, and after a 0 write how many ones there were, as a row of twos:

        >>> import numpy as np
        >>> from hessianfree import RNNClassifier
        >>> read = [[1], [3, 1], [1, 1], [3, 3, 1], [1, 3, 1], [1, 1, 3], [3, 3], [3]]
        >>> X, y = [], []
        >>> for symbols in read:
        ...     twos = [2] * symbols.count(1)
        ...     X.append(np.array([*symbols, 0, *twos])[:, None])
        ...     y.append(np.array([None] * len(symbols) + [*twos, 0], dtype=object))
        >>> rnn = RNNClassifier(n_units=10, n_symbols=4, max_iter=20, random_state=0).fit(X, y)
        >>> rnn.generate(np.array([[1], [3], [1], [0]]), end=0)
        array([2, 2])
        """
        check_is_fitted(self, "params_")
        self._refuse_to_go_on("generate")
        symbols = self._symbols_of_labels()
        index_of_end = None if end is None else self._index_of("end", end, symbols)
        check_integer("max_steps", max_steps, minimum=1)
        if isinstance(never, Collection | np.ndarray) and not isinstance(never, str | bytes):
            never = [self._index_of("never", label, symbols) for label in never]
        search = Search(method, temperature, beam_width, length_penalty, never, random_state)
        (X,) = self._on_host(X)
        sequences, layout = self._read(X, None, None)
        starts = self._initial_states(initial_state, len(sequences))
        written = self._write_after(sequences, starts, symbols, search, max_steps, index_of_end)
        texts: Any = [symbols[text] for text in written.symbols]
        log_p: Any = written.log_probabilities
        if layout.form == "rows":
            texts, log_p = texts[0], float(log_p[0])
        return (texts, log_p) if return_log_probability else texts

    def _write_after(
        self,
        sequences: list[NDArray[Any]],
        starts: Array | None,
        symbols: Symbols,
        search: Search,
        max_steps: int,
        end: int | None,
    ) -> Written:
        """Read the sequences, and write what follows, as numbers of classes."""
        network, params = self._architecture.build(), self._net_params()
        predictions, states = predict_sequences(
            network, params, sequences, starts, return_state=True
        )
        assert states is not None
        last = of_all_classes(np.stack([rows[-1] for rows in predictions]))
        with np.errstate(divide="ignore"):  # what is too improbable for a number is not written
            outputs = np.log(last)
        read = symbol_step_of(network, network.layout.views(params))

        def step(states: Array, chosen: Symbols) -> tuple[Array, Array]:
            states, outputs = read(states, symbols[chosen])
            if len(symbols) == 2:  # one output is the log-odds of the second class
                outputs = np.column_stack([np.zeros_like(outputs), outputs])
            return states, outputs

        return search.write(step, states, outputs, max_steps, end)

    def _symbols_of_labels(self) -> Symbols:
        """Return the symbol that each class is, or say why there is none: (n_classes,)."""
        remedy = "Fit with symbols as labels, one for each step."
        if self.n_symbols is None:
            raise ValueError(
                "`generate` reads the labels that it writes, but `n_symbols` is None and inputs "
                "are numbers. Set it to the number of symbols."
            )
        if self._per_sequence:
            raise ValueError(
                "`generate` writes a label at each step, but `fit` had one target per sequence. "
                f"{remedy}"
            )
        if self._label_kind != "single" or not isinstance(self.loss, str):
            raise ValueError(
                "`generate` writes a single label at each step, as cross-entropy makes it "
                f"probable, but the net has {self._label_kind} labels and `loss` is "
                f"{self.loss!r}. {remedy}"
            )
        labels = self.classes_
        is_number = labels.dtype.kind in "iuf"
        if not is_number or (labels != labels.astype(np.intp)).any() or labels[0] < 0:
            raise ValueError(
                f"`generate` reads the labels that it writes, but `y` of `fit` had "
                f"{labels[:5].tolist()}, which are no symbols. {remedy}"
            )
        if labels[-1] >= self.n_symbols:
            raise ValueError(
                f"`generate` reads the labels that it writes, but `y` of `fit` had {labels[-1]}, "
                f"and `n_symbols` is {self.n_symbols}. Raise it to {int(labels[-1]) + 1} or more."
            )
        symbols: Symbols = labels.astype(np.intp)
        return symbols

    def _index_of(self, name: str, label: Any, symbols: Symbols) -> int:
        """Return the number of the class that a label is."""
        places = np.flatnonzero(symbols == check_integer(name, label))
        if not len(places):
            raise ValueError(
                f"`{name}` is {label}, but one of the labels {symbols.tolist()} was expected: "
                "others are never written. Pass one that `y` of `fit` had."
            )
        return int(places[0])
