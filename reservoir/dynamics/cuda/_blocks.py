"""Many sequences through reservoirs on a GPU, in blocks of rows: driven, and in closed loop."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import Series, check_finite
from reservoir.dynamics.cuda._lanes import MOST_LANES, DeviceReservoirs, LaneRun, on_device

# Bytes of states in memory at a time, unless the caller says how many rows.
_CHUNK_BYTES = 2**28


# Steps of each lane in a chunk, at least: fewer would not be worth a launch.
_LEAST_STEPS = 64


Integers = NDArray[np.int64]


class Piece(NamedTuple):
    """Steps of one sequence."""

    sequence: int
    start: int
    stop: int


class Block(NamedTuple):
    """The next states of some sequences.

    Attributes
    ----------
    states : ndarray of shape (n_rows, n_units)
        On the device: the rows of all pieces, one after the other. The next block overwrites them.
    pieces : list of Piece
        Which steps of which sequences.
    rows : ndarray of int of shape (n_rows,)
        Where each row stands among those of all sequences, stacked; on the host.
    """

    states: Any
    pieces: list[Piece]
    rows: Integers

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """First row of each piece, and the one after its last."""
        return list(itertools.pairwise(_starts(self.pieces)))


def drive_blocks(
    xp: Any, reservoir: Reservoir, all_series: Sequence[Series], n_rows: int | None = None
) -> Iterator[Block]:
    """Yield the states of driven sequences.

    Parameters
    ----------
    xp : module
        cupy.
    reservoir : Reservoir
        What is driven.
    all_series : sequence of Series
        Their inputs and teachers on the device.
    n_rows : int, optional
        Rows of states in memory; as many as make 256 MiB if left out.

    Yields
    ------
    Block
    """
    weights = on_device(reservoir, xp)
    columns = _heard(xp, reservoir, all_series)
    lengths = [series.n_steps for series in all_series]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    for chunks in plan_chunks(lengths, n_rows or rows_of_a_chunk(reservoir)):
        members = [piece.sequence for piece in chunks[0]]
        before = np.stack([all_series[index].state for index in members])
        run = LaneRun(weights, max(_starts(pieces)[-1] for pieces in chunks), xp.asarray(before))
        for pieces in chunks:
            rows = np.concatenate(
                [np.arange(p.start, p.stop) + offsets[p.sequence] for p in pieces], dtype=np.int64
            )
            heard = columns[rows[0] : rows[-1] + 1]
            if len(heard) != len(rows):
                heard = columns[xp.asarray(rows)]
            states = run.states[: len(rows)]
            noise = _noise(xp, all_series, pieces)
            _drive(xp, heard, weights.drive_weights[0], noise, all_series[0], states)
            _advance(run, members, pieces)
            block = Block(states, pieces, rows)
            if not reservoir.is_bounded:
                for piece, (low, high) in zip(pieces, block.bounds):
                    check_finite(states[low:high], piece.start, "state", xp)
            yield block


def plan_chunks(lengths: Sequence[int], n_rows: int) -> Iterator[list[list[Piece]]]:
    """Group sequences into lanes side by side, and cut each group into chunks of `n_rows` rows.

    Examples
    --------
    >>> [chunks] = plan_chunks([3, 0, 2], 128)
    >>> chunks
    [[Piece(sequence=0, start=0, stop=3), Piece(sequence=2, start=0, stop=2)]]
    """
    indices = [index for index, length in enumerate(lengths) if length]
    n_lanes = min(max(n_rows // _LEAST_STEPS, 1), MOST_LANES)
    for first in range(0, len(indices), n_lanes):
        group = indices[first : first + n_lanes]
        longest = max(lengths[index] for index in group)
        fits = sum(lengths[index] for index in group) <= n_rows
        n_steps = longest if fits else max(n_rows // len(group), 1)
        yield [
            [
                Piece(index, start, min(start + n_steps, lengths[index]))
                for index in group
                if start < lengths[index]
            ]
            for start in range(0, longest, n_steps)
        ]


def rows_of_a_chunk(reservoir: Reservoir) -> int:
    """Return how many rows of states are held at a time."""
    return max(_CHUNK_BYTES // (reservoir.n_units * reservoir.dtype.itemsize), _LEAST_STEPS)


def _starts(pieces: Sequence[Piece]) -> list[int]:
    """Return where the rows of each piece begin and, last, how many there are."""
    lengths = [piece.stop - piece.start for piece in pieces]
    return list(itertools.accumulate(lengths, initial=0))


def _heard(xp: Any, reservoir: Reservoir, all_series: Sequence[Series]) -> Any:
    """Return the rows [u[t]; y[t-1]; 1] of all sequences, stacked on the device."""
    n_inputs, n_outputs = reservoir.n_inputs, reservoir.n_outputs
    n_rows = sum(series.n_steps for series in all_series)
    columns = xp.empty((n_rows, n_inputs + n_outputs + 1), dtype=reservoir.dtype)
    columns[:, -1] = 1
    if not n_rows:
        return columns
    columns[:, :n_inputs] = stack(xp, [series.inputs for series in all_series])
    if n_outputs:
        teacher = stack(xp, [series.teacher for series in all_series])
        columns[1:, n_inputs:-1] = teacher[:-1]
        begun = [series for series in all_series if series.n_steps]
        firsts = np.cumsum([0, *(series.n_steps for series in begun[:-1])])
        outputs = np.stack([series.initial_output for series in begun])
        columns[xp.asarray(firsts), n_inputs:-1] = xp.asarray(outputs)
    return columns


def _advance(run: LaneRun, members: Sequence[int], pieces: Sequence[Piece]) -> None:
    """Step the lanes of those sequences that have a piece; the others rest."""
    first_rows, n_steps = np.zeros((2, len(members)), dtype=np.int64)
    lanes = np.isin(members, [piece.sequence for piece in pieces])
    first_rows[lanes] = _starts(pieces)[:-1]
    n_steps[lanes] = [piece.stop - piece.start for piece in pieces]
    run.advance(first_rows, n_steps)


def together_on_device(reservoirs: Sequence[Reservoir], xp: Any) -> DeviceReservoirs:
    """Return reservoirs on the GPU; a single one stays there as long as it lives."""
    if len(reservoirs) == 1:
        return on_device(reservoirs[0], xp)
    return DeviceReservoirs(reservoirs, xp)


def stack(xp: Any, parts: Sequence[Any]) -> Any:
    """Return parts one after the other; a single one as it is."""
    return parts[0] if len(parts) == 1 else xp.concatenate(parts)


def _noise(xp: Any, all_series: Sequence[Series], pieces: Sequence[Piece]) -> Any:
    """Return what the sequences draw for these steps, on the device; None for no noise."""
    drawn = [all_series[piece.sequence].draw(piece.stop - piece.start) for piece in pieces]
    return None if drawn[0] is None else xp.asarray(np.concatenate(drawn))


def _drive(
    xp: Any,
    heard: Any,
    drive_weights: Any,
    noise: Any,
    series: Series,
    states: Any,
) -> None:
    """Write what drives the units to `states`: the columns heard, and the noise.

    `series` says which noise there is; sequences that are run together have the same.
    """
    on_units, on_outputs = series.deviations
    n_outputs = series.initial_output.size
    if noise is not None and on_outputs:
        heard = heard.copy()
        heard[:, -1 - n_outputs : -1] += noise[:, -n_outputs:]
    xp.matmul(heard, drive_weights, out=states)
    if noise is not None and on_units:
        states += noise[:, : states.shape[-1]]
