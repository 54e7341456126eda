"""See `_cuda_runs.py` of old."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import check_finite
from reservoir.dynamics.cuda._blocks import (
    _advance,
    _starts,
    plan_chunks,
    rows_of_a_chunk,
    together_on_device,
)
from reservoir.dynamics.cuda._lanes import LaneRun
from reservoir.dynamics.loops._maps import Closing, LaneScales


def parts_of(maps: Closing | LaneScales) -> list[Any]:
    """Return the arrays, as they are."""
    return [getattr(maps, part.name) for part in fields(maps)]


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
