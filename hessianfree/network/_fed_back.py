"""Nets that write: a vector, or a state, goes in, and a sequence of symbols comes out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from hessianfree.cells._single_step import driven_step_of
from hessianfree.cells.bidirectional import reads_ahead
from hessianfree.network._definition import NetworkDefinition
from hessianfree.network._generation import Search, Symbols, SymbolStep
from hessianfree.network._losses import SoftmaxCrossEntropy
from hessianfree.network._prepared import check_vectors
from reservoir.utils.device import to_host
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Array
from reservoir.utils.validation import as_numbers, check_integer


class WritingNetwork(NetworkDefinition):
    """What lets a net read the symbols that it writes."""

    @with_few_threads
    def generate(
        self,
        params: Array,
        initial_inputs: ArrayLike | None = None,
        *,
        start: int,
        end: int | None = None,
        max_steps: int = 100,
        method: Literal["greedy", "sample", "beam"] = "greedy",
        temperature: float = 1.0,
        beam_width: int = 5,
        length_penalty: float = 0.0,
        never: Collection[int] = (),
        initial_state: ArrayLike | None = None,
        random_state: Any = None,
        return_log_probability: bool = False,
    ) -> Any:
        r"""Write sequences of symbols: each that is written is read next, until the end.

        .. math::

            \log P(s_1, \dots, s_m) = \sum_{t=1}^{m} \log P(s_t \mid v, s_0, \dots, s_{t-1})

        with the vector v of a sequence, the start symbol s_0, and s_m the end, or what is written
        at the last step.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
        initial_inputs : array-like of shape (n_initial_inputs,) or (n_sequences, n_initial_inputs)
            One vector, or one for each sequence; where the network has such inputs.
        start : int
            What the net reads first, after the vector.
        end : int, optional
            The symbol that ends a sequence. By default all have `max_steps` symbols.
        max_steps : int, default=100
            Symbols to write at most, the end among them.
        method : {"greedy", "sample", "beam"}, default="greedy"
            "greedy" takes the most probable symbol each time; "sample" draws it; "beam" looks for
            the most probable sequence among those that go through the `beam_width` most probable
            beginnings of each length [1]_.
        temperature : float, default=1.0
            Of "sample": symbols are drawn with P(k) ∝ exp(o_k / temperature). 1 draws from what the
            net believes, less from what it believes more firmly, 0 is greedy.
        beam_width : int, default=5
            Of "beam"; 1 is greedy.
        length_penalty : float, default=0.0
            Of "beam", which looks for the highest log P / m^length_penalty. With 0, the most
            probable sequence, short ones are favoured; 1 compares the means per symbol.
        never : collection of int, default=()
            Symbols that are not written: those that are left share the probability.
        initial_state : array-like of shape (n_sequences, state_size), optional
            In place of the learned initial state, and of one made of `initial_inputs`: where a
            `run` over what was read before has ended.
        random_state : int, Generator, RandomState, SeedSequence or None, default=None
            Of "sample". What is drawn for a sequence depends on its place in the call, and not on
            how many others there are.
        return_log_probability : bool, default=False
            Whether to return log P(s_1, ..., s_m) as well, in nats, the end included; of the net
            itself, whatever the temperature.

        Returns
        -------
        symbols : list of ndarray of int, one for each sequence
            Without start and end; a single array where one vector, or none, was passed.
        log_probability : ndarray of shape (n_sequences,), or float
            Only with `return_log_probability`.

        Raises
        ------
        ValueError, TypeError
            If the net does not write symbols that it can read, or an argument is not as described.

        Notes
        -----
        It computes on the host, in steps of all sequences side by side. One by one they are the
        same, but for symbols whose probabilities are equal to rounding.

        References
        ----------
        .. [1] Sutskever, Vinyals & Le (2014), Sequence to sequence learning with neural networks,
           NIPS, section 3.2.

        Examples
        --------
        >>> import numpy as np
        >>> from hessianfree import ElmanCell, SequenceNetwork
        >>> network = SequenceNetwork(ElmanCell(4, 8), 4, "softmax", n_initial_inputs=2)
        >>> params = np.random.default_rng(0).normal(size=network.n_params)
        >>> vectors = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> [text.tolist() for text in network.generate(params, vectors, start=0, end=0)]
        [[3, 1], [3]]
        >>> text, log_p = network.generate(params, vectors[0], start=0, end=0, method="beam",
        ...                                return_log_probability=True)
        >>> text, round(log_p, 4)
        (array([3, 1]), -0.4915)
        """
        self._check_reads_what_it_writes()
        check_integer("start", start, maximum=self.cell.n_inputs - 1)
        if end is not None:
            check_integer("end", end, maximum=self.n_outputs - 1)
        check_integer("max_steps", max_steps, minimum=1)
        search = Search(method, temperature, beam_width, length_penalty, never, random_state)
        params = to_host(self.layout.check(params))
        states, n_sequences, is_single = self._beginning(params, initial_inputs, initial_state)
        blocks = self.layout.views(params)
        first = self.cell.forward(
            blocks, np.full((1, n_sequences), start), states, states_only=True
        )
        outputs = first.states[0] @ blocks["output"].T + blocks["output_bias"]
        written = search.write(
            symbol_step_of(self, blocks), first.final_state.copy(), outputs, max_steps, end
        )
        symbols: Any = written.symbols[0] if is_single else written.symbols
        if not return_log_probability:
            return symbols
        log_p = written.log_probabilities
        return symbols, float(log_p[0]) if is_single else log_p

    def _check_reads_what_it_writes(self) -> None:
        """Raise unless an output is a symbol that can be the next input."""
        if reads_ahead(self.cell):
            raise ValueError(
                f"`generate` reads what it writes, but `cell` of this {type(self).__name__} is "
                "bidirectional, and reads each sequence from its end too. Take a net that reads "
                "forward alone."
            )
        if not isinstance(self.loss, SoftmaxCrossEntropy):
            raise ValueError(
                f"`generate` writes symbols, but `loss` of this {type(self).__name__} is "
                f"{type(self.loss).__name__}, whose outputs are none. Train with 'softmax'."
            )
        if self.n_outputs > self.cell.n_inputs:
            raise ValueError(
                f"`generate` reads what it writes, but `n_outputs` is {self.n_outputs} and the "
                f"cell has {self.cell.n_inputs} inputs. Make a net of as many of both."
            )

    def _beginning(
        self, params: Array, initial_inputs: Any, initial_state: Any
    ) -> tuple[Array | None, int, bool]:
        """Return the states before the start symbol, their number, and if one alone was meant."""
        if initial_state is not None:
            if initial_inputs is not None:
                raise ValueError(
                    "`initial_inputs` and `initial_state` were both given, but either of them is "
                    "what a sequence begins with. Leave one out."
                )
            name, value = "initial_state", initial_state
            n_columns: int | None = self.cell.state_size
        elif initial_inputs is None:
            check_vectors(self, None, 1)
            return None, 1, True
        else:
            name, value, n_columns = "initial_inputs", initial_inputs, self.n_initial_inputs
        rows = as_numbers(name, to_host(value), params.dtype)
        is_single = rows.ndim == 1
        rows = rows[None] if is_single else rows
        if rows.ndim != 2 or not len(rows):
            raise ValueError(
                f"`{name}` has shape {rows.shape}, but (n_sequences, {n_columns}), or one row, was "
                "expected. Pass one row for each sequence."
            )
        if initial_state is None:
            check_vectors(self, rows, len(rows))
        elif rows.shape[1] != n_columns:
            raise ValueError(
                f"`{name}` has shape {rows.shape}, but (n_sequences, {n_columns}) was expected. "
                "Pass what `run` returned."
            )
        if not np.isfinite(rows).all():
            raise ValueError(f"`{name}` holds NaN or infinity. Pass finite numbers.")
        if initial_state is None:
            return self.initial_state(self.layout.views(params), rows), len(rows), is_single
        return rows, len(rows), is_single


def symbol_step_of(network: NetworkDefinition, blocks: dict[str, Array]) -> SymbolStep:
    """Return the step of a net that reads symbols, for sequences side by side.

    Parameters
    ----------
    network : NetworkDefinition
    blocks : dict of str to ndarray
        Parameters by name.

    Returns
    -------
    callable
        Of states (n_sequences, state_size) and symbols: the states after them, and the output
        pre-activations.
    """
    step = driven_step_of(network.cell, blocks)
    to_outputs, bias = blocks["output"].T.copy(), blocks["output_bias"]

    def read(states: Array, symbols: Symbols) -> tuple[Array, Array]:
        states, seen = step(states, symbols)
        return states, seen @ to_outputs + bias

    return read
