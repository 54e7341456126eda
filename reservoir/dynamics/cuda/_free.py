"""Reservoirs in closed loop on a GPU: many free runs side by side, in chunks of rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple, TypeVar

import numpy as np

from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics.cuda._blocks import (
    advance_spans,
    plan_chunks,
    row_starts,
    rows_of_a_chunk,
    together_on_device,
)
from reservoir.dynamics.cuda._lanes import LaneRun
from reservoir.dynamics.loops._maps import Closing, LaneScales

_Maps = TypeVar("_Maps", Closing, LaneScales)


class FreeLanes(NamedTuple):
    """Closed loops that run side by side, each one lane, on the device.

    Attributes
    ----------
    constants : sequence of ndarray of shape (n_steps, n_outputs)
        For each lane, the part of its outputs that does not depend on state and feedback.
    columns : sequence of ndarray of shape (n_steps, n_inputs + 1)
        For each lane, its external inputs, and 1 for the bias.
    states : ndarray of shape (n_lanes, n_units)
        States before the first step; overwritten by those after the last.
    outputs : ndarray of shape (n_lanes, n_outputs)
        Outputs before the first step; overwritten by the last ones.
    """

    constants: Sequence[Any]
    columns: Sequence[Any]
    states: Any
    outputs: Any


class FreeLaneResults(NamedTuple):
    """All outputs of each lane, the last states of all, and all states where asked for."""

    outputs: list[Any]
    final_states: Any
    states: list[Any] | None


def free_lanes(
    xp: Any,
    reservoirs: Sequence[Reservoir],
    closing: Closing,
    lanes: FreeLanes,
    *,
    scales: LaneScales | None = None,
    which: Sequence[int] | None = None,
    return_states: bool = False,
) -> FreeLaneResults:
    """Run closed loops side by side, each to its end, be it through infinity.

    Parameters
    ----------
    xp : module
        cupy.
    reservoirs : sequence of Reservoir
        Alike in all but weights and leak rates.
    closing : Closing
        The maps between state and output, on the host; with a first axis of lanes, those of each.
    lanes : FreeLanes
        Where the lanes start, and what drives them.
    scales : LaneScales, optional
        The scales in which lanes of one reservoir differ, on the host.
    which : sequence of int, optional
        The reservoir of each lane; the first one if left out.
    return_states : bool
        Whether all states are kept.

    Returns
    -------
    FreeLaneResults
    """
    reservoir, n_lanes = reservoirs[0], len(lanes.columns)
    weights, dtype = together_on_device(reservoirs, xp), reservoir.dtype
    reservoir_of_lane = xp.asarray(np.zeros(n_lanes, int) if which is None else np.asarray(which))
    closing = _moved(closing, xp, dtype)
    has_own_maps = closing.state.ndim == 3
    scales = None if scales is None else _moved(scales, xp, dtype)
    lengths = [len(part) for part in lanes.columns]
    kept = [xp.empty((length, reservoir.n_units), dtype) for length in lengths * return_states]
    written = [xp.empty(part.shape, dtype) for part in lanes.constants]
    for chunks in plan_chunks(lengths, rows_of_a_chunk(reservoir)):
        members = [span.sequence for span in chunks[0]]
        places = xp.asarray(members)
        states, outputs = lanes.states[places], lanes.outputs[places]
        run = LaneRun(
            weights,
            max(row_starts(spans)[-1] for spans in chunks),
            states,
            None if scales is None else _chosen(scales, places),
            _chosen(closing, places) if has_own_maps else closing,
            outputs,
            reservoir_of_lane[places],
        )
        for spans in chunks:
            bounds = list(itertools.pairwise(row_starts(spans)))
            for (lane, start, stop), (low, high) in zip(spans, bounds):
                run.outputs[low:high] = lanes.constants[lane][start:stop]
                maps = closing.external[lane] if has_own_maps else closing.external
                xp.matmul(lanes.columns[lane][start:stop], maps, out=run.states[low:high])
            advance_spans(run, members, spans)
            for (lane, start, stop), (low, high) in zip(spans, bounds):
                written[lane][start:stop] = run.outputs[low:high]
                if return_states:
                    kept[lane][start:stop] = run.states[low:high]
        lanes.states[places], lanes.outputs[places] = states, outputs
    return FreeLaneResults(written, lanes.states, kept if return_states else None)


def parts_of(maps: Closing | LaneScales) -> list[Any]:
    """Return the arrays, as they are."""
    return [getattr(maps, part.name) for part in fields(maps)]


def _moved(maps: _Maps, xp: Any, dtype: np.dtype[Any]) -> _Maps:
    """Return the same maps, or scales, on the device."""
    return type(maps)(*(xp.asarray(part, dtype) for part in parts_of(maps)))


def _chosen(maps: _Maps, lanes: Any) -> _Maps:
    """Return the maps, or scales, of some lanes."""
    return type(maps)(*(part[lanes] for part in parts_of(maps)))
