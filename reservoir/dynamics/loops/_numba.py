"""NumbaLoop: the recurrence stepped by compiled loops."""

from __future__ import annotations

from collections.abc import Callable
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
    advance_free,
    advance_lanes,
)
from reservoir.dynamics.loops._numpy import NumpyLoop
from reservoir.utils.types import Array


class NumbaLoop:
    """Steps one reservoir of tanh units with compiled loops; members as `NumpyLoop`'s."""

    def __init__(self, reservoir: Reservoir) -> None:
        self._leak_rate = _carrying(reservoir)
        self._drive_weights = drive_weights(reservoir)
        self._wide = NumpyLoop(reservoir)
        self._matrix: Any
        self._compressed: Any = None
        if issparse(reservoir.recurrent):
            compressed = _compressed(reservoir.recurrent)
            self._matrix = _padded(reservoir.recurrent) or compressed
        else:
            matrix = np.require(reservoir.recurrent, requirements=["C", "W"])
            self._matrix = (matrix, np.empty(reservoir.n_units, dtype=reservoir.dtype))
        if issparse(reservoir.recurrent) and reservoir.is_leaky:
            self._compressed = compressed
            self.n_lanes = LANES[reservoir.dtype.name]
            # Idle lanes cost as much as busy ones: fewer go faster one after the other.
            self.min_lanes = self.n_lanes * 5 // 8
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
        advance(states, state, columns, weights, is_based, self._matrix, self._leak_rate)

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
        maps = (closing.state, closing.squares, closing.output)
        advance_free(
            states,
            state,
            extended,
            weights,
            is_based,
            self._matrix,
            self._leak_rate,
            outputs,
            output,
            maps,
        )

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
        maps = (closing.state, closing.squares, closing.output)
        matrix, leak_rate, inputs = self._matrix, self._leak_rate, drive[:, n_outputs:]

        def step() -> None:
            inputs[...] = columns
            advance_free(
                states, state, drive, weights, False, matrix, leak_rate, outputs, output, maps
            )

        return step


def _carrying(reservoir: Reservoir) -> Any:
    """Return a of each unit; what is not leaky has beside it k and s: (1 - k a) x_s is kept."""
    leak_rate = np.full(reservoir.n_units, reservoir.leak_rate, dtype=reservoir.dtype)
    if reservoir.is_leaky:
        return leak_rate
    is_euler = isinstance(reservoir.carry, str)
    sources = np.arange(reservoir.n_units) if is_euler else reservoir.carry
    return leak_rate, reservoir.dtype.type(0 if is_euler else 1), sources.astype(np.uint32)


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
