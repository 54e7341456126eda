"""Sequences of any length as vectors of one length: states, in one direction or both, pooled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reservoir.dynamics._driven import iterate_sequences
from reservoir.dynamics._reservoir import Reservoir
from reservoir.readout._features import FeatureMap
from reservoir.utils.device import module_of, to_host
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer

# Rows of both directions in memory at a time: sequences are run together up to this many steps.
_ROWS_TOGETHER = 8192


Pooling = str | int


def iterate_states(
    reservoir: Reservoir, inputs: Sequence[Array], *, bidirectional: bool = False
) -> Iterator[tuple[int, int, Array]]:
    """Yield the states of driven sequences, those of the time-reversed input beside them.

    Parameters
    ----------
    reservoir : Reservoir
        Without feedback weights.
    inputs : sequence of ndarray of shape (n_steps, n_inputs)
        One a sequence, each from the zero state.
    bidirectional : bool, default=False
        Whether the same reservoir also runs from the end of each sequence to its start. The
        columns are then [x→[t]; x←[t]], both having seen u[t] last.

    Yields
    ------
    index : int
        Which sequence.
    start : int
        The step of the first row; always 0 where `bidirectional`.
    states : ndarray of shape (n_rows, n_units) or (n_rows, 2 n_units)
        The next rows, or, where `bidirectional`, all rows of the sequence. The array may be
        overwritten by the next block.

    References
    ----------
    Bianchi, Scardapane, Løkse & Jenssen (2021), Reservoir computing approaches for representation
    and classification of multivariate time series, IEEE TNNLS 32, section III.

    Examples
    --------
    >>> import numpy as np
    >>> echo = Reservoir(recurrent=np.array([[0.5]]), input=np.ones((1, 1)), bias=np.zeros(1),
    ...                  activation="identity")
    >>> [(index, start, states)] = iterate_states(echo, [np.array([[4.0], [0.0], [8.0]])],
    ...                                           bidirectional=True)
    >>> states
    array([[4., 6.],
           [2., 4.],
           [9., 8.]])
    """
    if not bidirectional:
        yield from iterate_sequences(reservoir, inputs)
        return
    n_units = reservoir.n_units
    for members in _batches([len(part) for part in inputs]):
        batch = [inputs[index] for index in members]
        xp, shapes = module_of(batch[0]), [(len(part), 2 * n_units) for part in batch]
        both = [xp.empty(shape, dtype=reservoir.dtype) for shape in shapes]
        blocks = iterate_sequences(reservoir, batch + [part[::-1] for part in batch])
        for position, start, states in blocks:
            direction, member = divmod(position, len(batch))
            rows = both[member][::-1] if direction else both[member]
            columns = slice(direction * n_units, (direction + 1) * n_units)
            rows[start : start + len(states), columns] = states
        for index, states in zip(members, both, strict=True):
            yield index, 0, states


def _batches(lengths: Sequence[int]) -> Iterator[range]:
    """Cut sequences into runs of neighbours of at most `_ROWS_TOGETHER` steps, or one sequence."""
    first, n_rows = 0, 0
    for index, length in enumerate(lengths):
        if n_rows and n_rows + length > _ROWS_TOGETHER:
            yield range(first, index)
            first, n_rows = index, 0
        n_rows += length
    yield range(first, len(lengths))


def kept_steps(n_steps: int, washout: int, bidirectional: bool) -> tuple[int, int]:
    """Return the first step after the washout and the one after the last before the other's.

    Run in both directions, a sequence has a washout at either end.
    """
    return washout, n_steps - washout * bidirectional


def segment_edges(first: int, stop: int, n_segments: int) -> list[tuple[int, int]]:
    """Cut the steps from `first` to `stop` into contiguous segments of nearly equal lengths.

    With fewer steps than segments, steps serve more than once, so that none is empty.

    Examples
    --------
    >>> segment_edges(0, 7, 3)
    [(0, 2), (2, 4), (4, 7)]
    >>> segment_edges(0, 2, 3)
    [(0, 1), (0, 1), (1, 2)]
    """
    n_steps = stop - first
    starts = [first + i * n_steps // n_segments for i in range(n_segments)]
    stops = [first + (i + 1) * n_steps // n_segments for i in range(n_segments)]
    return [(start, max(stop, start + 1)) for start, stop in zip(starts, stops, strict=True)]


def check_pooling(pooling: Any, *, other: Sequence[str] = ()) -> Pooling:
    """Return "last", "mean", one of `other`, or a number of segments; or say what is wrong.

    Examples
    --------
    >>> check_pooling(3)
    3
    """
    choices = ("last", "mean", *other)
    if isinstance(pooling, str):
        if pooling not in choices:
            listed = ", ".join(repr(choice) for choice in choices)
            raise ValueError(
                f"`pooling` is {pooling!r}, but one of {listed} or a number of segments was "
                "expected. Pass one."
            )
        return pooling
    listed = ", ".join(f'"{choice}"' for choice in choices)
    return check_integer(
        "pooling", pooling, minimum=1, remedy=f"Pass {listed}, or a number of segments."
    )


class Pool:
    """Gathers what a readout sees of the steps of sequences, pooled over time, as they come.

    Parameters
    ----------
    lengths : sequence of int
        Steps of each sequence.
    pooling : {"last", "mean"} or int
        As in `pool_sequences`; likewise what follows.
    washout : int
        Steps that means leave out.
    bidirectional : bool
        Whether the states are those of both directions.
    """

    def __init__(
        self, lengths: Sequence[int], pooling: Pooling, *, washout: int, bidirectional: bool
    ) -> None:
        self._lengths = lengths
        self._pooling = pooling
        self._n_segments = 1 if isinstance(pooling, str) else pooling
        self._washout, self._bidirectional = washout, bidirectional
        self._pooled: NDArray[np.float64] | None = None

    def add(
        self, feature_map: FeatureMap, index: int, start: int, states: Array, inputs: Array
    ) -> None:
        """Take in the next rows of the sequence `index`, from the step `start` on."""
        n_steps, stop = self._lengths[index], start + len(states)
        if self._pooled is None:
            width = feature_map.n_columns(states.shape[1], inputs.shape[1])
            shape = (len(self._lengths), self._n_segments, width)
            self._pooled = module_of(states).zeros(shape)
        if self._pooling == "last":
            if stop == n_steps:
                end = states[-1:].copy()
                if self._bidirectional:
                    half = states.shape[1] // 2
                    end[0, half:] = states[0, half:]  # the other direction ends at step 0
                self._pooled[index] = feature_map.stack(end, inputs[-1:])
            return
        rows = feature_map.stack(states, inputs)
        kept = kept_steps(n_steps, self._washout, self._bidirectional)
        for segment, (first, last) in enumerate(segment_edges(*kept, self._n_segments)):
            piece = rows[max(first - start, 0) : max(last - start, 0)]
            self._pooled[index, segment] += piece.sum(axis=0, dtype=np.float64) / (last - first)

    @property
    def rows(self) -> NDArray[np.float64]:
        """One row a sequence, (n_sequences, n_segments · n_columns), once all have come.

        On the host: there are few of them.
        """
        if self._pooled is None:
            return np.empty((0, 0))
        rows: NDArray[np.float64] = to_host(self._pooled).reshape(len(self._lengths), -1)
        return rows


def pool_sequences(
    reservoir: Reservoir,
    feature_map: FeatureMap,
    inputs: Sequence[Array],
    pooling: Pooling,
    *,
    washout: int = 0,
    bidirectional: bool = False,
) -> NDArray[np.float64]:
    """Return one row per sequence: what a readout sees of its steps, pooled over time.

    "mean":  (1 / T) Σ_t s[t];    k segments:  the means of k contiguous stretches side by side;
    "last":  s[t] at the end: where each direction has seen all of the sequence

    with s[t] = [u[t]; x[t]; x[t]²] as far as `feature_map` includes them.

    Parameters
    ----------
    reservoir : Reservoir
        Without feedback weights.
    feature_map : FeatureMap
        What the readout sees of a step.
    inputs : sequence of ndarray of shape (n_steps, n_inputs)
        One a sequence, of more steps than the washout leaves out.
    pooling : {"last", "mean"} or int
        How; an integer is a number of segments.
    washout : int, default=0
        Steps at the start of each direction that means leave out.
    bidirectional : bool, default=False
        Whether x holds the states of both directions, as in `iterate_states`.

    Returns
    -------
    ndarray of shape (n_sequences, n_columns) or (n_sequences, n_segments · n_columns)

    References
    ----------
    Lukoševičius (2012), A Practical Guide to Applying Echo State Networks, section 4.5.

    Examples
    --------
    >>> import numpy as np
    >>> echo = Reservoir(recurrent=np.array([[0.5]]), input=np.ones((1, 1)), bias=np.zeros(1),
    ...                  activation="identity")
    >>> inputs = [np.array([[4.0], [0.0]]), np.array([[2.0]])]
    >>> pool_sequences(echo, FeatureMap(), inputs, "mean")
    array([[2., 3.],
           [2., 2.]])
    """
    (rows,) = pool_in_ways(
        reservoir,
        feature_map,
        inputs,
        [pooling],
        washout=washout,
        bidirectional=bidirectional,
    )
    return rows


def pool_in_ways(
    reservoir: Reservoir,
    feature_map: FeatureMap,
    inputs: Sequence[Array],
    poolings: Sequence[Pooling],
    *,
    washout: int = 0,
    bidirectional: bool = False,
) -> list[NDArray[np.float64]]:
    """Return what `pool_sequences` does for each of several ways of pooling, by one run."""
    lengths = [len(part) for part in inputs]
    pools = [Pool(lengths, way, washout=washout, bidirectional=bidirectional) for way in poolings]
    for index, start, states in iterate_states(reservoir, inputs, bidirectional=bidirectional):
        part = inputs[index][start : start + len(states)]
        for pool in pools:
            pool.add(feature_map, index, start, states, part)
    return [pool.rows for pool in pools]
