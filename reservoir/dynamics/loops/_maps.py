"""Weights as the loops over steps want them: of a closed loop, of lanes, of W in rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reservoir.dynamics._reservoir import Reservoir
from reservoir.utils.types import Array


@dataclass(frozen=True)
class Closing:
    """What closes the loop: y[t] += V_x x[t] + V_q x[t]² + V_y y[t-1], and y[t-1] drives x[t].

    Attributes
    ----------
    external : ndarray of shape (n_columns, n_units)
        Row k is what column k, an external input or the bias, adds to the drive of each unit.
    feedback : ndarray of shape (n_outputs, n_units)
        Row o is what output o adds.
    state : ndarray of shape (n_outputs, n_units)
        V_x.
    squares : ndarray of shape (n_outputs, n_units), or (0, n_units) for none
        V_q.
    output : ndarray of shape (n_outputs, n_outputs), or (0, n_outputs) for none
        V_y.
    """

    external: Array
    feedback: Array
    state: Array
    squares: Array
    output: Array


@dataclass(frozen=True)
class LaneScales:
    """Scales in which lanes of one reservoir differ:

    x[t] = (1 - c a) x[t-1] + c a f(r W x[t-1] + ...).

    Attributes
    ----------
    recurrent : ndarray of shape (n_lanes,)
        r.
    leak : ndarray of shape (n_lanes,)
        c.
    """

    recurrent: Array
    leak: Array


def drive_weights(reservoir: Reservoir) -> Array:
    """Return [W_in | W_fb | b] transposed, of shape (n_inputs + n_outputs + 1, n_units)."""
    parts = [reservoir.input.T, reservoir.bias[np.newaxis]]
    if reservoir.feedback is not None:
        parts.insert(1, reservoir.feedback.T)
    return np.ascontiguousarray(np.concatenate(parts), dtype=reservoir.dtype)


def connection_rows(matrix: Any) -> tuple[NDArray[Any], Array]:
    """Return sources and values of a CSR matrix, (k, n_units): row j is connection j of each unit.

    Units with fewer than k connections are filled up with zeros.
    """
    counts = np.diff(matrix.indptr)
    slots = np.arange(counts.max(initial=0))[:, np.newaxis] < counts
    sources = np.zeros(slots.shape, dtype=matrix.indices.dtype)
    values = np.zeros(slots.shape, dtype=matrix.data.dtype)
    sources.T[slots.T] = matrix.indices
    values.T[slots.T] = matrix.data
    return sources, values
