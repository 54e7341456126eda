"""Lanes cut into batches that are run side by side, as many as their sums leave room for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from reservoir.dynamics.cuda._lanes import MOST_LANES
from reservoir.dynamics.loops._choose import choose_loop
from reservoir.search._candidates import Lane
from reservoir.search._jobs import DrawnReservoir, SearchJob
from reservoir.utils.device import is_on_device

# Numbers in the sums of all lanes of a batch: half a gigabyte.
_MOST_SUMS = 2**26
# Likewise on a GPU, where there is more to fill: four gigabytes.
_MOST_SUMS_ON_DEVICE = 2**29

# Candidates that differ in these only have reservoirs that can be run side by side on a GPU.
_WEIGHTS = ("connectivity", "topology", "distribution", "random_state")

# Reservoirs, each with those of the lanes that share its W.
Batch = Sequence[tuple[DrawnReservoir, Sequence[Lane]]]


def widest_batch(drawn: DrawnReservoir, job: SearchJob) -> int:
    """Return how many lanes go side by side, so that their sums take no more than they may."""
    n_columns = drawn.n_features + drawn.n_targets + 1
    n_sums = len(job.plan(drawn.parameters["washout"]).segment_rows)
    if is_on_device(job.inputs[0]):
        n_lanes, most_sums = MOST_LANES, _MOST_SUMS_ON_DEVICE
    else:
        n_lanes, most_sums = choose_loop(drawn.reservoir, "auto").n_lanes, _MOST_SUMS
    return int(np.clip(most_sums // (n_sums * n_columns**2), 1, n_lanes))


def batches(
    groups: Iterable[tuple[DrawnReservoir, Sequence[Lane]]], job: SearchJob
) -> Iterator[Batch]:
    """Cut groups of lanes into batches that go side by side.

    Parameters
    ----------
    groups : iterable of (DrawnReservoir, sequence of Lane)
        From `draw`, and the lanes that each was drawn for.
    job : SearchJob
        What they are tried on: on a GPU lanes of several W may share a batch.

    Yields
    ------
    Batch
    """
    waiting: list[tuple[DrawnReservoir, Sequence[Lane]]] = []
    for drawn, lanes in groups:
        width = widest_batch(drawn, job)
        n_waiting = sum(len(part) for _, part in waiting)
        if waiting and (n_waiting >= width or not _go_together(waiting[-1][0], drawn, job)):
            yield waiting
            waiting, n_waiting = [], 0
        first = 0
        while len(lanes) - first + n_waiting >= width:
            stop = first + width - n_waiting
            yield [*waiting, (drawn, lanes[first:stop])]
            first, waiting, n_waiting = stop, [], 0
        if first < len(lanes):
            waiting = [*waiting, (drawn, lanes[first:])]
    if waiting:
        yield waiting


def _go_together(one: DrawnReservoir, other: DrawnReservoir, job: SearchJob) -> bool:
    """Tell whether two reservoirs can be stepped by one kernel, and their states folded alike."""
    ours, theirs = one.parameters, other.parameters
    if not is_on_device(job.inputs[0]) or ours["noise"] or ours["feedback_noise"]:
        return False  # noise comes from the seed of each
    return all(
        ours[name] is theirs[name] or np.array_equal(ours[name], theirs[name])
        for name in ours
        # Lanes have radii of their own; whether there is one at all is the reservoir's.
        if name not in (*_WEIGHTS, "spectral_radius")
    )
