"""Driven runs on the host: sequences side by side, in groups as wide as a loop has lanes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import (
    LANE_PIECE,
    PIECE,
    Series,
    drive_together,
    refuse_divergence,
)
from reservoir.utils.types import Array


class GroupStates(NamedTuple):
    """The next states of some sequences, of all of them at the same steps.

    Attributes
    ----------
    sequences : list of int
        Which sequences.
    start : int
        The step of the first state of each.
    states : ndarray of shape (n_sequences, n_steps, n_units)
        In C order. The next group overwrites them.
    """

    sequences: Sequence[int]
    start: int
    states: Array

    def part(self, lanes: slice, steps: slice) -> GroupStates:
        """Return the states of some neighbours at some steps, counted as those of sequences."""
        low, high = steps.start - self.start, steps.stop - self.start
        return GroupStates(self.sequences[lanes], steps.start, self.states[lanes, low:high])

    @property
    def rows(self) -> Array:
        """The states of one sequence after the other, (n_sequences * n_steps, n_units)."""
        return self.states.reshape(-1, self.states.shape[2])


def drive_alone(reservoir: Reservoir, loop: Any, series: Series, start: int, states: Array) -> None:
    """Fill `states` with the steps from `start` on, piece by piece."""
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, len(states), PIECE):
            piece = states[first : first + PIECE]
            columns, noise = series.drive(start + first, start + first + len(piece))
            loop.advance(piece, series.state, columns, noise)
            if not reservoir.is_bounded:
                refuse_divergence(piece, start + first, "state")


def side_by_side(
    reservoir: Reservoir, loop: Any, all_series: list[Series], chunk_size: int
) -> Iterator[GroupStates]:
    """Yield the states of the longest sequences first, in groups as wide as the loop has lanes."""
    # Neighbours of like length leave few idle lanes. The sort is stable: equal ones in order.
    order = sorted(range(len(all_series)), key=lambda index: -all_series[index].n_steps)
    order = [index for index in order if all_series[index].n_steps]
    if not order:
        return
    longest = all_series[order[0]].n_steps
    n_wide = min(loop.n_lanes, len(order))
    n_rows = max(min(chunk_size, longest), n_wide * _rows_a_lane(chunk_size, n_wide, longest))
    buffer = np.empty((n_rows, reservoir.n_units), dtype=reservoir.dtype)
    for first in range(0, len(order), loop.n_lanes):
        group = order[first : first + loop.n_lanes]
        members = [all_series[index] for index in group]
        begun = 0
        if len(group) >= loop.min_lanes:
            # From there on too few are left to go side by side.
            begun = members[loop.min_lanes - 1].n_steps
            n_rows = _rows_a_lane(chunk_size, len(group), begun)
            rows = buffer[: len(group) * n_rows]
            for lanes, start, states in _drive_lanes(reservoir, loop, members, begun, rows):
                yield GroupStates(group[lanes], start, states)
        for index, series in zip(group, members):
            for start in range(begun, series.n_steps, chunk_size):
                states = buffer[: min(chunk_size, series.n_steps - start)]
                drive_alone(reservoir, loop, series, start, states)
                yield GroupStates([index], start, states[np.newaxis])


def _rows_a_lane(chunk_size: int, n_lanes: int, n_steps: int) -> int:
    """Return how many rows of each lane fit a chunk: whole pieces, and no more than needed."""
    pieces = min(chunk_size // n_lanes // LANE_PIECE, -(-n_steps // LANE_PIECE))
    return LANE_PIECE * max(pieces, 1)


def _drive_lanes(
    reservoir: Reservoir, loop: Any, members: list[Series], end: int, rows: Array
) -> Iterator[tuple[slice, int, Array]]:
    """Yield (lanes, start, states) of sequences side by side, which come longest first."""
    lanes = np.stack([series.state for series in members])
    n_lanes = len(members)
    n_rows = len(rows) // n_lanes
    for start in range(0, end, n_rows):
        stop = min(start + n_rows, end)
        block = rows[: n_lanes * (stop - start)].reshape(n_lanes, stop - start, -1)
        _fill_lanes(reservoir, loop, members, block, start, lanes)
        n_whole = _count_as_long(members, stop)
        if n_whole:
            yield slice(0, n_whole), start, block[:n_whole]
        for lane, series in enumerate(members[n_whole:], n_whole):
            if series.n_steps > start:
                yield slice(lane, lane + 1), start, block[lane : lane + 1, : series.n_steps - start]
    for series, state in zip(members, lanes):
        series.state[:] = state


def _count_as_long(members: list[Series], n_steps: int) -> int:
    """Return how many of some sequences, longest first, have so many steps."""
    if members[-1].n_steps >= n_steps:
        return len(members)
    return sum(series.n_steps >= n_steps for series in members)


def _fill_lanes(
    reservoir: Reservoir,
    loop: Any,
    members: list[Series],
    block: Array,
    start: int,
    lanes: Array,
) -> None:
    """Fill `block` with the steps from `start` on; finished lanes drop out by the piece."""
    n_columns = reservoir.n_inputs + reservoir.n_outputs + 1
    with np.errstate(over="ignore", invalid="ignore"):
        for low in range(0, block.shape[1], LANE_PIECE):
            high, first = min(low + LANE_PIECE, block.shape[1]), start + low
            active = members[: _count_as_long(members, first + 1)]
            n_alike = 0 if active[0].is_noisy else _count_as_long(active, start + high)
            columns = np.zeros((high - low, n_columns, len(active)), dtype=reservoir.dtype)
            drive_together(active[:n_alike], first, columns[:, :, :n_alike])
            noise = None
            for lane, series in enumerate(active[n_alike:], n_alike):
                n_valid = min(series.n_steps - first, high - low)
                columns[:n_valid, :, lane], noise = series.drive(first, first + n_valid)
                if noise is not None:
                    block[lane, low : low + n_valid] = noise
                    block[lane, low + n_valid : high] = 0
            noisy = noise is not None
            loop.advance_lanes(block, low, high, lanes[: len(active)], columns, noisy)
            if not reservoir.is_bounded:
                for lane, series in enumerate(active):
                    rows = block[lane, low : min(high, series.n_steps - start)]
                    refuse_divergence(rows, first, "state")
