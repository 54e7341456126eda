"""NumbaLoop: the recurrence stepped by compiled loops."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics.loops._maps import Closing, LaneScales, connection_rows, drive_weights
from reservoir.dynamics.loops._numba_kernels import (
    FEW_COLUMNS,
    LANES,
    advance,
    advance_lanes,
)
from reservoir.dynamics.loops._numpy import NumpyLoop
from reservoir.utils.types import Array

# Sequences that take as long one after the other as side by side: 8 and 12 with AVX2, 5 and 7 with
# AVX-512 (measured with 300 units).
_FEWEST_LANES = {"float64": 8, "float32": 12}


class NumbaLoop:
    """Steps one reservoir of tanh units with compiled loops; members as `NumpyLoop`'s."""

    def __init__(self, reservoir: Reservoir) -> None:
        leak_rate = np.full(reservoir.n_units, reservoir.leak_rate, dtype=reservoir.dtype)
        self._drive_weights = drive_weights(reservoir)
        self._wide = NumpyLoop(reservoir)
        padded = compressed = dense = None
        if issparse(reservoir.recurrent):
            compressed = _compressed(reservoir.recurrent)
            padded = _padded(reservoir.recurrent)
        else:
            matrix = np.require(reservoir.recurrent, requirements=["C", "W"])
            dense = (matrix, np.empty(reservoir.n_units, dtype=reservoir.dtype))
        in_one_form = compressed if padded is None else None
        # What stays the same from call to call of the kernel, in the order of its arguments.
        self._weights = (padded, in_one_form, dense, leak_rate, _carried(reservoir))
        nothing: Array = np.empty((0, 0), dtype=reservoir.dtype)
        self._not_closed = (nothing, nothing.ravel(), nothing, False)
        self._compressed: Any = None
        if compressed is not None and reservoir.is_leaky:
            self._compressed, self._leak_rate = compressed, leak_rate
            self.n_lanes = LANES[reservoir.dtype.name]
            # Idle lanes cost as much as busy ones: fewer go faster one after the other.
            self.min_lanes = _FEWEST_LANES[reservoir.dtype.name]
            self._lane_weights = np.ascontiguousarray(self._drive_weights.T)
            self._no_scales = np.ones((2, self.n_lanes), dtype=reservoir.dtype)
        else:
            # Side by side, a dense W is a product of matrices, which BLAS has already; what is not
            # leaky has no lanes of its own.
            self.n_lanes, self.min_lanes = self._wide.n_lanes, self._wide.min_lanes

    def advance(self, states: Array, state: Array, columns: Array, noise: Array | None) -> None:
        """Write the next states, row by row; see `NumpyLoop.advance`."""
        weights, is_based = self._drive_weights, noise is not None or len(columns.T) > FEW_COLUMNS
        if is_based:
            np.dot(columns, weights, out=states)
            if noise is not None:
                states += noise
            columns, weights = columns[:, :0].copy(), weights[:0]
        advance(states, state, columns, weights, is_based, *self._weights, *self._not_closed)

    def advance_lanes(
        self,
        block: Array,
        start: int,
        stop: int,
        lanes: Array,
        columns: Array,
        noisy: bool,
        scales: LaneScales | None = None,
    ) -> None:
        """Write the next states of several sequences; see `NumpyLoop.advance_lanes`."""
        if self._compressed is None:
            self._wide.advance_lanes(block, start, stop, lanes, columns, noisy, scales)
            return
        used = len(lanes)
        here = np.zeros((lanes.shape[1], self.n_lanes), dtype=lanes.dtype)
        here[:, :used] = lanes.T
        there = np.empty_like(here)
        if used == self.n_lanes:
            columns = np.ascontiguousarray(columns)
        else:
            columns, given = np.zeros((*columns.shape[:2], self.n_lanes), lanes.dtype), columns
            columns[:, :, :used] = given
        factors = self._no_scales
        if scales is not None:
            factors = factors.copy()
            factors[:, :used] = scales.recurrent, scales.leak
        advance_lanes(
            block[:used],
            start,
            here,
            there,
            columns,
            self._lane_weights,
            noisy,
            self._compressed,
            self._leak_rate,
            factors,
        )
        last = there if (stop - start) % 2 else here
        lanes[:] = last[:, :used].T

    def advance_free(
        self,
        states: Array,
        state: Array,
        columns: Array,
        outputs: Array,
        output: Array,
        closing: Closing,
    ) -> None:
        """Write the next states and outputs; see `NumpyLoop.advance_free`."""
        n_outputs, is_based = len(output), len(columns.T) > FEW_COLUMNS
        weights = closing.feedback
        if is_based:
            np.dot(columns, closing.external, out=states)
            columns = columns[:, :0]
        else:
            weights = np.concatenate([weights, closing.external])
        extended = np.empty((len(columns), n_outputs + columns.shape[1]), dtype=columns.dtype)
        extended[:, n_outputs:] = columns
        closed = (outputs, output, *_side_by_side(closing))
        advance(states, state, extended, weights, is_based, *self._weights, *closed)

    def live_step(
        self,
        states: Array,
        state: Array,
        columns: Array,
        outputs: Array,
        output: Array,
        closing: Closing,
    ) -> Callable[[], None]:
        """Return a function that does `advance_free` on the same arrays at each call.

        The arguments of the kernel are made once: at a step a call they would cost most.
        """
        n_outputs = len(output)
        weights = np.concatenate([closing.feedback, closing.external])
        drive: Array = np.empty((1, len(weights)), dtype=columns.dtype)
        inputs = drive[:, n_outputs:]
        closed = (outputs, output, *_side_by_side(closing))
        step_once = partial(advance, states, state, drive, weights, False, *self._weights, *closed)

        def step() -> None:
            inputs[...] = columns
            step_once()

        return step


def _carried(reservoir: Reservoir) -> Any:
    """Return k and s of what is not leaky: (1 - k a) x_s is kept; None for what is."""
    if reservoir.is_leaky:
        return None
    is_euler = isinstance(reservoir.carry, str)
    sources = np.arange(reservoir.n_units) if is_euler else reservoir.carry
    return reservoir.dtype.type(0 if is_euler else 1), sources.astype(np.uint32)


def _side_by_side(closing: Closing) -> tuple[Array, bool]:
    """Return [V_x | V_q | V_y], of those that are there, and whether V_q is."""
    maps = [part for part in (closing.state, closing.squares, closing.output) if len(part)]
    return np.concatenate(maps, axis=1), len(closing.squares) > 0


def _compressed(matrix: Any) -> tuple[NDArray[np.uint64], NDArray[np.uint32], Array]:
    """Return row bounds, sources and values of a CSR matrix, unsigned."""
    # Writable, as all arrays of a kernel: read-only ones would be compiled for anew.
    values = np.require(matrix.data, requirements="W")
    return matrix.indptr.astype(np.uint64), matrix.indices.astype(np.uint32), values


def _padded(matrix: Any) -> tuple[NDArray[np.uint32], Array] | None:
    """Return sources and values of shape (k, n_units), or None if too many zeros would fill them.

    Measured, gathering across units takes 0.7 to 1 times as long as row after row.
    """
    counts = np.diff(matrix.indptr)
    if 4 * int(counts.max(initial=0)) * len(counts) > 5 * len(matrix.data):
        return None
    sources, values = connection_rows(matrix)
    return sources.astype(np.uint32), values
