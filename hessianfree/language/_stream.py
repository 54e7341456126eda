"""A net run along a stream, its state carried over: bits per symbol, and generation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hessianfree.cells._single_step import Step, step_of
from hessianfree.language._text import Symbols, TextWindows
from hessianfree.network._generation import write_symbols
from hessianfree.network._losses import SoftmaxCrossEntropy
from hessianfree.network._network import SequenceNetwork
from reservoir.utils.device import refuse_device_arrays
from reservoir.utils.explained import explained
from reservoir.utils.types import Array

# Symbols of a stream that are run at once, and steps times windows side by side: bounds of memory.
_CHUNK = 1024


_MAX_ROWS = 2**16


_MAX_OUTPUTS = 2**22  # of these rows: with thousands of symbols they are what takes memory


@explained
class NetworkStream:
    """Run a net over symbols that come bit by bit.

    Parameters
    ----------
    network : SequenceNetwork
    params : ndarray of shape (n_params,)

    Attributes
    ----------
    state : ndarray of shape (n_streams, state_size) or None
        Of the cell; None before the first step, for the one it learned to start from.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.cells import ElmanCell
    >>> network = SequenceNetwork(ElmanCell(3, 4), n_outputs=3, loss="softmax")
    >>> params = np.random.default_rng(0).standard_normal(network.n_params)
    >>> stream = NetworkStream(network, params)
    >>> parts = [stream.predict(np.array([[0], [2]])), stream.predict(np.array([[1]]))]
    >>> whole = network.predict(params, np.array([[0], [2], [1]]))
    >>> bool(np.allclose(np.concatenate(parts), whole))
    True
    """

    def __init__(self, network: SequenceNetwork, params: Array) -> None:
        refuse_device_arrays("a NetworkStream", params=params)
        self._network = network
        self._blocks = network.layout.views(network.layout.check(params))
        self._step: Step | None = None
        self.state: Array | None = None

    def step(self, symbol: int) -> Array:
        """Read one symbol of a single stream and return the output pre-activations after it.

        Parameters
        ----------
        symbol : int

        Returns
        -------
        ndarray of shape (n_outputs,)
        """
        if self._step is None:
            self._step = step_of(self._network.cell, self._blocks)
        self.state, states = self._step(self.state, symbol)
        outputs: Array = self._blocks["output"] @ states[0]
        outputs += self._blocks["output_bias"]
        return outputs

    def states(self, inputs: NDArray[Any]) -> Array:
        """Take some steps and return the states h_t.

        Parameters
        ----------
        inputs : ndarray of int of shape (n_steps, n_streams)

        Returns
        -------
        ndarray of shape (n_steps, n_streams, n_units)
        """
        trajectory = self._network.cell.forward(
            self._blocks, inputs.astype(np.intp, copy=False), self.state, states_only=True
        )
        # A copy, not a view that keeps all states alive.
        self.state = trajectory.final_state.copy()
        states: Array = trajectory.states
        return states

    def outputs(self, inputs: NDArray[Any]) -> Array:
        """Take some steps and return the output pre-activations o_t; parameters as of `states`.

        Returns
        -------
        ndarray of shape (n_steps, n_streams, n_outputs)
        """
        outputs: Array = self.states(inputs) @ self._blocks["output"].T
        outputs += self._blocks["output_bias"]
        return outputs

    def predict(self, inputs: NDArray[Any]) -> Array:
        """Take some steps and return the predictions link(o_t); parameters as of `states`.

        Returns
        -------
        ndarray of shape (n_steps, n_streams, n_outputs)
        """
        outputs = self.outputs(inputs)
        rows = outputs.reshape(-1, outputs.shape[-1])
        return self._network.loss.predict(rows, out=rows).reshape(outputs.shape)

    def side_by_side(self, states: Array | None, symbols: Symbols) -> tuple[Array, Array]:
        """Read one symbol of each of many streams, from states of theirs.

        Parameters
        ----------
        states : ndarray of shape (n_streams, state_size) or None
            None for the one that the net learned to start from.
        symbols : ndarray of int of shape (n_streams,)

        Returns
        -------
        states : ndarray of shape (n_streams, state_size)
            After the symbols.
        outputs : ndarray of shape (n_streams, n_outputs)
            Pre-activations.
        """
        self.state = states
        outputs = self.outputs(symbols[None])[0]
        assert self.state is not None
        return self.state, outputs

    def read(self, symbols: Symbols) -> Array:
        """Read some symbols and return the output pre-activations after the last.

        Parameters
        ----------
        symbols : ndarray of int of shape (n_steps,)
            At least one.

        Returns
        -------
        ndarray of shape (n_outputs,)
        """
        for chunk in _chunks(symbols):
            outputs = self.outputs(chunk[:, None])
        last: Array = outputs[-1, 0]
        return last

    def in_chunks(self, what: Literal["states", "outputs", "predict"], symbols: Symbols) -> Array:
        """Return the answer of one of these methods for a single, long stream, in bounded memory.

        Parameters
        ----------
        what : {"states", "outputs", "predict"}
        symbols : ndarray of int of shape (n_steps,)

        Returns
        -------
        ndarray of shape (n_steps, n_units) or (n_steps, n_outputs)
        """
        n_columns = self._network.cell.n_units if what == "states" else self._network.n_outputs
        rows: Array = np.empty((len(symbols), n_columns), dtype=self._blocks["output"].dtype)
        done = 0
        for chunk in _chunks(symbols):
            rows[done : done + len(chunk)] = getattr(self, what)(chunk[:, None])[:, 0]
            done += len(chunk)
        return rows


@explained
def bits_in_stream(network: SequenceNetwork, params: Array, symbols: Symbols) -> Array:
    r"""Return what each symbol but the first costs a net that has read all before.

    .. math:: -\log_2 P(s_{t+1} \mid s_1, \dots, s_t)

    Parameters
    ----------
    network : SequenceNetwork
        With the softmax loss.
    params : ndarray of shape (n_params,)
    symbols : ndarray of int of shape (n,)

    Returns
    -------
    ndarray of shape (n - 1,)
        In bits.
    """
    stream = NetworkStream(network, params)
    pieces = zip(_chunks(symbols[:-1]), _chunks(symbols[1:]), strict=True)
    bits = [_bits(stream.outputs(chunk[:, None])[:, 0], targets) for chunk, targets in pieces]
    return np.concatenate(bits)


def bits_in_streams(
    network: SequenceNetwork, params: Array, streams: Sequence[Symbols]
) -> list[Array]:
    """Return `bits_in_stream` of each of many streams, those of about one length side by side.

    Parameters
    ----------
    network : SequenceNetwork
        With the softmax loss.
    params : ndarray of shape (n_params,)
    streams : sequence of ndarray of int of shape (n_i,)
        Of at least two symbols each.

    Returns
    -------
    list of ndarray of shape (n_i - 1,)
        In bits.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.cells import ElmanCell
    >>> network = SequenceNetwork(ElmanCell(4, 5), n_outputs=4, loss="softmax")
    >>> streams = [np.array([1, 2, 3]), np.array([1, 0])]
    >>> bits_in_streams(network, np.zeros(network.n_params), streams)
    [array([2., 2.]), array([2.])]
    """
    bits: list[Array] = [np.empty(0, dtype=params.dtype)] * len(streams)
    lengths = np.array([len(stream) - 1 for stream in streams])
    order = np.argsort(lengths, kind="stable")
    ascending = lengths[order]
    max_rows = min(_MAX_ROWS, _MAX_OUTPUTS // network.n_outputs)
    first = 0
    while first < len(order):
        # All that are at most a quarter longer than the shortest: no more than that is padded.
        last = int(np.searchsorted(ascending, 1.25 * ascending[first], side="right"))
        last = min(last, first + max(1, max_rows // int(ascending[last - 1])))
        some = order[first:last]
        first = last
        if len(some) == 1:
            bits[some[0]] = bits_in_stream(network, params, streams[some[0]])
            continue
        symbols = np.zeros((lengths[some[-1]] + 1, len(some)), dtype=np.intp)
        for column, place in enumerate(some):
            symbols[: len(streams[place]), column] = streams[place]
        outputs = NetworkStream(network, params).outputs(symbols[:-1])
        rows = _bits(outputs.reshape(-1, outputs.shape[-1]), symbols[1:].ravel())
        for place, column_bits in zip(some, rows.reshape(-1, len(some)).T, strict=True):
            bits[place] = column_bits[: lengths[place]].copy()
    return bits


@explained
def bits_in_windows(network: SequenceNetwork, params: Array, windows: TextWindows) -> Array:
    """Return what each symbol but the first costs a net that has read the ones just before.

    Windows start each `n_scored` symbols, and each counts what none before it has: the first one
    all its steps, the others the last `n_scored`, and the last one, which is moved back to end with
    the text, what is left. They run side by side.

    Parameters
    ----------
    network : SequenceNetwork
        With the softmax loss.
    params : ndarray of shape (n_params,)
    windows : TextWindows
        Of n symbols.

    Returns
    -------
    ndarray of shape (n - 1,)
        In bits.
    """
    n_targets = len(windows.symbols) - 1
    n_steps = min(windows.n_steps, n_targets)
    n_read = windows.n_steps - windows.n_scored
    starts = np.minimum(
        np.arange(0, max(1, n_targets - n_read), windows.n_scored), n_targets - n_steps
    )
    bits = np.empty(n_targets, dtype=params.dtype)
    max_rows = min(_MAX_ROWS, _MAX_OUTPUTS // network.n_outputs)
    per_slice = max(1, max_rows // n_steps)
    done = 0
    for first in range(0, len(starts), per_slice):
        some = starts[first : first + per_slice]
        batch = windows.at(some)
        outputs = NetworkStream(network, params).outputs(batch.inputs)
        rows = _bits(outputs.reshape(-1, outputs.shape[-1]), batch.targets.ravel())
        for start, column in zip(some, rows.reshape(n_steps, -1).T, strict=True):
            bits[done : start + n_steps] = column[done - start :]
            done = start + n_steps
    return bits


@explained
def generate(
    stream: NetworkStream,
    outputs: Array,
    n: int,
    *,
    temperature: float,
    rng: np.random.Generator,
    never: int | None = None,
    last: int | None = None,
) -> list[int]:
    r"""Draw symbols one by one, each read before the next is drawn.

    .. math:: P(k) \propto \exp(o_k / \mathrm{temperature})

    Parameters
    ----------
    stream : NetworkStream
        Where it has got to; goes on.
    outputs : ndarray of shape (n_outputs,)
        Pre-activations that the first symbol is drawn from.
    n : int
        Symbols to draw at most.
    temperature : float
        0 takes the largest output each time.
    rng : numpy.random.Generator
    never : int, optional
        A symbol that is not drawn.
    last : int, optional
        A symbol that ends the text, and is not returned.

    Returns
    -------
    list of int
    """

    def step(states: Array, symbols: Symbols) -> tuple[Array, Array]:
        return states, stream.step(int(symbols[0]))[None]

    # The stream itself keeps the state.
    written = write_symbols(
        step,
        np.zeros((1, 0)),
        outputs[None],
        n,
        draw=(temperature, [rng]),
        never=None if never is None else np.array([never]),
        end=last,
    )
    symbols: list[int] = written.symbols[0].tolist()
    return symbols


def _bits(outputs: Array, targets: Symbols) -> Array:
    """Return -log2 softmax(outputs)[target] of each row."""
    return SoftmaxCrossEntropy().values(outputs, targets) / outputs.dtype.type(math.log(2))


def _chunks(symbols: Symbols) -> Iterator[Symbols]:
    """Return a stream in pieces of bounded length."""
    return (symbols[first : first + _CHUNK] for first in range(0, len(symbols), _CHUNK))
