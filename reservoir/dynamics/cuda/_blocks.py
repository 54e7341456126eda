"""Many sequences through reservoirs on a GPU, in blocks of rows: driven, and in closed loop."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import Series, refuse_divergence
from reservoir.dynamics.cuda._lanes import MOST_LANES, DeviceReservoirs, LaneRun, on_device

# Bytes of states in memory at a time, unless the caller says how many rows.
_CHUNK_BYTES = 2**28


# Steps of each lane in a chunk, at least: fewer would not be worth a launch.
_LEAST_STEPS = 64


Integers = NDArray[np.int64]


class Span(NamedTuple):
    """Steps of one sequence."""

    sequence: int
    start: int
    stop: int


class StateBlock(NamedTuple):
    """The next states of some sequences, as rows of one array.

    Attributes
    ----------
    states : ndarray of shape (n_rows, n_units)
        On the device: the rows of all spans, one after the other. The next block overwrites them.
    spans : list of Span
        Which steps of which sequences.
    rows : ndarray of int of shape (n_rows,)
        Where each row stands among those of all sequences, stacked; on the host.
    """

    states: Any
    spans: list[Span]
    rows: Integers

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """First row of each span, and the one after its last."""
        return list(itertools.pairwise(row_starts(self.spans)))


def drive_blocks(
    xp: Any, reservoir: Reservoir, all_series: Sequence[Series], n_rows: int | None = None
) -> Iterator[StateBlock]:
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
    StateBlock
    """
    weights = on_device(reservoir, xp)
    all_columns = drive_columns(xp, reservoir, all_series)
    lengths = [series.n_steps for series in all_series]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    for chunks in plan_chunks(lengths, n_rows or rows_of_a_chunk(reservoir)):
        members = [span.sequence for span in chunks[0]]
        before = np.stack([all_series[index].state for index in members])
        run = LaneRun(weights, max(row_starts(spans)[-1] for spans in chunks), xp.asarray(before))
        for spans in chunks:
            rows = np.concatenate(
                [np.arange(p.start, p.stop) + offsets[p.sequence] for p in spans], dtype=np.int64
            )
            columns = all_columns[rows[0] : rows[-1] + 1]
            if len(columns) != len(rows):
                columns = all_columns[xp.asarray(rows)]
            states = run.states[: len(rows)]
            noise = noise_of(xp, all_series, spans)
            write_drive(xp, columns, weights.drive_weights[0], noise, all_series[0], states)
            advance_spans(run, members, spans)
            block = StateBlock(states, spans, rows)
            if not reservoir.is_bounded:
                for span, (low, high) in zip(spans, block.bounds):
                    refuse_divergence(states[low:high], span.start, "state", xp)
            yield block


def plan_chunks(lengths: Sequence[int], n_rows: int) -> Iterator[list[list[Span]]]:
    """Group sequences into lanes side by side, and cut each group into chunks of `n_rows` rows.

    Examples
    --------
    >>> [chunks] = plan_chunks([3, 0, 2], 128)
    >>> chunks
    [[Span(sequence=0, start=0, stop=3), Span(sequence=2, start=0, stop=2)]]
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
                Span(index, start, min(start + n_steps, lengths[index]))
                for index in group
                if start < lengths[index]
            ]
            for start in range(0, longest, n_steps)
        ]


def rows_of_a_chunk(reservoir: Reservoir) -> int:
    """Return how many rows of states are held at a time."""
    return max(_CHUNK_BYTES // (reservoir.n_units * reservoir.dtype.itemsize), _LEAST_STEPS)


def row_starts(spans: Sequence[Span]) -> list[int]:
    """Return where the rows of each span begin and, last, how many there are."""
    lengths = [span.stop - span.start for span in spans]
    return list(itertools.accumulate(lengths, initial=0))


def drive_columns(xp: Any, reservoir: Reservoir, all_series: Sequence[Series]) -> Any:
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


def advance_spans(run: LaneRun, members: Sequence[int], spans: Sequence[Span]) -> None:
    """Step the lanes of those sequences that have a span; the others stay where they are."""
    first_rows, n_steps = np.zeros((2, len(members)), dtype=np.int64)
    lanes = np.isin(members, [span.sequence for span in spans])
    first_rows[lanes] = row_starts(spans)[:-1]
    n_steps[lanes] = [span.stop - span.start for span in spans]
    run.advance(first_rows, n_steps)


def together_on_device(reservoirs: Sequence[Reservoir], xp: Any) -> DeviceReservoirs:
    """Return reservoirs on the GPU; a single one stays there as long as it lives."""
    if len(reservoirs) == 1:
        return on_device(reservoirs[0], xp)
    return DeviceReservoirs(reservoirs, xp)


def stack(xp: Any, parts: Sequence[Any]) -> Any:
    """Return parts one after the other; a single one as it is."""
    return parts[0] if len(parts) == 1 else xp.concatenate(parts)


def noise_of(xp: Any, all_series: Sequence[Series], spans: Sequence[Span]) -> Any:
    """Return the noise of the sequences at these steps, on the device; None for no noise."""
    drawn = [all_series[span.sequence].draw(span.stop - span.start) for span in spans]
    return None if drawn[0] is None else xp.asarray(np.concatenate(drawn))


def write_drive(
    xp: Any,
    columns: Any,
    drive_weights: Any,
    noise: Any,
    series: Series,
    states: Any,
) -> None:
    """Write the drive of the units to `states`: columns times weights, and the noise.

    `series` says which noise there is; sequences that are run together have the same.
    """
    on_units, on_outputs = series.deviations
    n_outputs = series.initial_output.size
    if noise is not None and on_outputs:
        columns = columns.copy()
        columns[:, -1 - n_outputs : -1] += noise[:, -n_outputs:]
    xp.matmul(columns, drive_weights, out=states)
    if noise is not None and on_units:
        states += noise[:, : states.shape[-1]]
