"""Many sequences through reservoirs on a GPU, in blocks of rows: driven, and in closed loop."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reservoir._cuda_lanes import MOST_LANES, DeviceReservoirs, LaneRun, on_device
from reservoir._loops import Closing, LaneScales
from reservoir._reservoir import Reservoir
from reservoir._series import Series, check_finite

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


def parts_of(maps: Closing | LaneScales) -> list[Any]:
    """Return the arrays, as they are."""
    return [getattr(maps, part.name) for part in fields(maps)]


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


class DeviceVariants:
    """Variants of reservoirs on a GPU, a lane each; members as those of `SideBySide`.

    Parameters
    ----------
    xp : module
        cupy.
    reservoirs : sequence of Reservoir
        What they are variants of.
    which : sequence of int
        The reservoir of each variant.
    recurrent, leak : ndarray of shape (n_variants,)
        What tells variants apart, on the host; see `Variants`.
    drive : ndarray of shape (n_variants, n_inputs + n_outputs + 1)
        Likewise.

    Attributes
    ----------
    states : ndarray of shape (n_variants, n_units)
        Where the variants are, on the device; may be overwritten to start elsewhere.
    """

    def __init__(
        self,
        xp: Any,
        reservoirs: Sequence[Reservoir],
        which: Sequence[int],
        recurrent: Any,
        leak: Any,
        drive: Any,
    ) -> None:
        self._xp, self._reservoir = xp, reservoirs[0]
        dtype = self._reservoir.dtype
        self._weights = together_on_device(reservoirs, xp)
        self._which = xp.asarray(np.asarray(which, dtype=np.int64))
        self._scales = LaneScales(xp.asarray(recurrent, dtype), xp.asarray(leak, dtype))
        scales = xp.asarray(drive, dtype)[:, :, np.newaxis]
        self._drive_weights = scales * self._weights.drive_weights[self._which]
        self.states = xp.zeros((len(recurrent), self._reservoir.n_units), dtype=dtype)
        self._run: LaneRun | None = None
        self._series: Series | None = None
        self._columns: Any = None

    def advance(self, block: Any, series: Series, start: int) -> None:
        """Write the states of the next steps of each variant; see `SideBySide.advance`."""
        xp, reservoir = self._xp, self._reservoir
        n_variants, n_steps, n_units = block.shape
        if series is not self._series:
            self._series, self._columns = series, _heard(xp, reservoir, [series])
        if self._run is None or self._run.n_rows < n_variants * n_steps:
            self._run = LaneRun(
                self._weights,
                n_variants * n_steps,
                self.states,
                self._scales,
                which=self._which,
            )
        heard = self._columns[start : start + n_steps]
        noise = _noise(xp, [series], [Piece(0, start, start + n_steps)])
        states = self._run.states[: n_variants * n_steps].reshape(n_variants, n_steps, n_units)
        _drive(xp, heard, self._drive_weights, noise, series, states)
        self._run.advance(n_steps * np.arange(n_variants), np.full(n_variants, n_steps))
        if not reservoir.is_bounded:
            for lane in states:
                check_finite(lane, start, "state", xp)
        block[...] = states


class FreeLanes(NamedTuple):
    """What closed loops leave: outputs of each, last states and outputs, states if asked for."""

    outputs: list[Any]
    final_states: Any
    final_outputs: Any
    states: list[Any] | None


def free_lanes(
    xp: Any,
    reservoirs: Sequence[Reservoir],
    closing: Closing,
    rests: Sequence[Any],
    heard: Sequence[Any],
    states: Any,
    outputs: Any,
    *,
    scales: LaneScales | None = None,
    which: Sequence[int] | None = None,
    return_states: bool = False,
    stop_at_divergence: bool = True,
) -> FreeLanes:
    """Run closed loops side by side.

    Parameters
    ----------
    xp : module
        cupy.
    reservoirs : sequence of Reservoir
        What runs, alike in all but weights and leak rates.
    closing : Closing
        The maps between state and output, on the host; with a first axis of lanes, those of each.
    rests : sequence of ndarray of shape (n_steps, n_outputs)
        For each lane, what of its outputs does not depend on the run, on the device.
    heard : sequence of ndarray of shape (n_steps, n_columns)
        For each lane, what it hears from outside and 1 for the bias, on the device.
    states : ndarray of shape (n_lanes, n_units)
        Where the lanes start, on the device; overwritten.
    outputs : ndarray of shape (n_lanes, n_outputs)
        What they hear first; overwritten.
    scales : LaneScales, optional
        What tells the lanes of a reservoir apart, on the host.
    which : sequence of int, optional
        The reservoir of each lane; the first one if left out.
    return_states : bool
        Whether all states are kept.
    stop_at_divergence : bool, default=True
        Whether outputs beyond all numbers are an error.

    Returns
    -------
    FreeLanes
    """
    reservoir = reservoirs[0]
    weights, dtype = together_on_device(reservoirs, xp), reservoir.dtype
    own_reservoir = xp.asarray(np.zeros(len(heard), int) if which is None else np.asarray(which))
    closing = Closing(*(xp.asarray(part, dtype) for part in parts_of(closing)))
    apart = closing.state.ndim == 3
    if scales is not None:
        scales = LaneScales(*(xp.asarray(part, dtype) for part in parts_of(scales)))
    lengths = [len(part) for part in heard]
    kept = [xp.empty((length, reservoir.n_units), dtype) for length in lengths * return_states]
    written = [xp.empty(part.shape, dtype) for part in rests]
    for chunks in plan_chunks(lengths, rows_of_a_chunk(reservoir)):
        members = [piece.sequence for piece in chunks[0]]
        places = xp.asarray(members)
        mine, said = states[places], outputs[places]
        n_rows = max(_starts(pieces)[-1] for pieces in chunks)
        maps = Closing(*(part[places] for part in parts_of(closing))) if apart else closing
        own = None if scales is None else LaneScales(*(part[places] for part in parts_of(scales)))
        run = LaneRun(weights, n_rows, mine, own, maps, said, own_reservoir[places])
        for pieces in chunks:
            stretches = list(itertools.pairwise(_starts(pieces)))
            for piece, (low, high) in zip(pieces, stretches):
                run.outputs[low:high] = rests[piece.sequence][piece.start : piece.stop]
                part = heard[piece.sequence][piece.start : piece.stop]
                outside = closing.outside[piece.sequence] if apart else closing.outside
                xp.matmul(part, outside, out=run.states[low:high])
            _advance(run, members, pieces)
            for piece, (low, high) in zip(pieces, stretches):
                rows = slice(piece.start, piece.stop)
                written[piece.sequence][rows] = run.outputs[low:high]
                if return_states:
                    kept[piece.sequence][rows] = run.states[low:high]
                if stop_at_divergence:
                    check_finite(run.outputs[low:high], piece.start, "output", xp)
        states[places], outputs[places] = mine, said
    return FreeLanes(written, states, outputs, kept if return_states else None)
