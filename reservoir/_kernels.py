"""The tanh recurrence compiled by numba; imported only where numba is installed.

The loops over units are written so that LLVM vectorises them: unsigned indices (no test for
negative ones), no aliasing (sums are gathered in a tile on the stack), no branch, and a tanh of
arithmetic only. `contract` lets a product and a sum become one fused operation; no other
fast-math rule is on where NaN, infinity or the order of operations matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload
from numba.np.numpy_support import carray
from numpy.typing import NDArray
from scipy.sparse import issparse

from reservoir._loops import Closing, NumpyLoop
from reservoir._reservoir import Array, Reservoir

_Function = TypeVar("_Function", bound=Callable[..., Any])
_STRICT: Any = {"fastmath": {"contract"}, "error_model": "numpy", "nogil": True}
_ANY_ORDER = _STRICT | {"fastmath": {"contract", "reassoc"}}

# Units a tile: its sums stay in the first-level cache.
_TILE = 64
# Units and lanes of a tile of the batched kernel.
_LANE_UNITS = 8
_LANES = {np.dtype(np.float64): 16, np.dtype(np.float32): 32}
_MOST_LANES = max(_LANES.values())


def _compile(**options: Any) -> Callable[[_Function], _Function]:
    """Compile with a cache on disk, or without one where none can be written."""

    def decorate(function: _Function) -> _Function:
        try:
            return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
        except RuntimeError:
            return numba.njit(**options)(function)  # type: ignore[no-any-return]

    return decorate


# --------------------------------------------------------------------------------------
# tanh
#
# With |x| = n (ln 2)/2 + t, |t| <= (ln 2)/4, s = 2^n and tanh t = p/q,
#
#     tanh |x| = (s (q + p) - (q - p)) / (s (q + p) + (q - p)),
#
# exact for tiny x, where it is p/q, and 1 from |x| = 22 on. p/q is Lambert's continued fraction
# cut where its error is below 1e-18 (1e-11 for float32). n is rounded by adding 1.5 * 2^52
# (1.5 * 2^23), which leaves n in the lowest bits; (ln 2)/2 comes in two parts, so that t is
# exact. Comparisons are written so that NaN passes through.
# --------------------------------------------------------------------------------------

_HALVES = 2 / math.log(2)
_SHIFT = 1.5 * 2**52
_HIGH = float.fromhex("0x1.62e42fefa3800p-2")
_LOW = float.fromhex("0x1.ef35793c76730p-46")

_HALVES_32 = np.float32(_HALVES)
_SHIFT_32 = np.float32(1.5 * 2**23)
_HIGH_32 = np.float32(float.fromhex("0x1.62e4p-2"))
_LOW_32 = np.float32(math.log(2) / 2 - float(_HIGH_32))
_ONE_32, _LIMIT_32 = np.float32(1), np.float32(10)
_P_32 = (np.float32(105), np.float32(10))
_Q_32 = (np.float32(105), np.float32(45))
_EXPONENT_BIAS_32, _MANTISSA_BITS_32 = np.int32(127), np.int32(23)


@_compile(**_STRICT)
def tanh64(x: float) -> float:
    """Return tanh x in float64, with a relative error below 1e-15."""
    a = math.fabs(x)
    a = 22.0 if a > 22.0 else a
    shifted = a * _HALVES + _SHIFT
    n = shifted - _SHIFT
    t = a - n * _HIGH
    t = t - n * _LOW
    z = t * t
    p = t * (10395.0 + z * (1260.0 + z * 21.0))
    q = 10395.0 + z * (4725.0 + z * (210.0 + z))
    bits = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52)
    s = bits.view(np.float64)
    below, above = s - 1.0, s + 1.0
    return math.copysign((below * q + above * p) / (above * q + below * p), x)


@_compile(**_STRICT)
def tanh32(x: np.float32) -> np.float32:
    """Return tanh x in float32, with a relative error below 4e-7."""
    a = abs(x)
    a = _LIMIT_32 if a > _LIMIT_32 else a
    shifted = a * _HALVES_32 + _SHIFT_32
    n = shifted - _SHIFT_32
    t = a - n * _HIGH_32
    t = t - n * _LOW_32
    z = t * t
    p = t * (_P_32[0] + z * _P_32[1])
    q = _Q_32[0] + z * (_Q_32[1] + z)
    bits = np.int32((np.float32(shifted).view(np.int32) + _EXPONENT_BIAS_32) << _MANTISSA_BITS_32)
    s = bits.view(np.float32)
    below, above = s - _ONE_32, s + _ONE_32
    return np.float32(math.copysign((below * q + above * p) / (above * q + below * p), x))


# --------------------------------------------------------------------------------------
# One step of one sequence
# --------------------------------------------------------------------------------------


def _stack_tile(length: int) -> Any:
    """Return an intrinsic for `length` numbers on the stack, which nothing else can point to."""

    @intrinsic
    def tile(typing_context: Any, like: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = context.get_data_type(like.dtype)
            numbers = cgutils.alloca_once(builder, ir.ArrayType(number, length))  # type: ignore[no-untyped-call]
            return builder.bitcast(numbers, number.as_pointer())

        return types.CPointer(like.dtype)(like), generate  # type: ignore[no-untyped-call]

    return tile


_unit_tile = _stack_tile(_TILE)
_lane_tile = _stack_tile(_LANE_UNITS * _MOST_LANES)


def _step(row: Any, previous: Any, matrix: Any, leak_rate: Any) -> None:
    """Turn the drive in `row` into the state after `previous`; what follows are its bodies."""


@overload(_step, jit_options=_STRICT)
def _choose_step(row: Any, previous: Any, matrix: Any, leak_rate: Any) -> Any:
    """Choose the body by what describes the matrix, and tanh by the dtype."""
    tanh = tanh32 if row.dtype == types.float32 else tanh64

    def padded(row: Any, previous: Any, matrix: Any, leak_rate: Any) -> None:
        sources, values = matrix  # (k, n_units): connection j of each unit
        one, n_units, width = np.uint64(1), np.uint64(len(row)), np.uint64(_TILE)
        n_rows = np.uint64(len(values))
        n_fives = n_rows // np.uint64(5)
        z = carray(_unit_tile(row), (_TILE,))
        for first in range(np.uint64(0), n_units, width):
            n = min(width, n_units - first)
            for i in range(n):
                z[i] = row[first + i]
            for five in range(n_fives):
                j = five * np.uint64(5)
                s0, v0 = sources[j], values[j]
                s1, v1 = sources[j + one], values[j + one]
                s2, v2 = sources[j + np.uint64(2)], values[j + np.uint64(2)]
                s3, v3 = sources[j + np.uint64(3)], values[j + np.uint64(3)]
                s4, v4 = sources[j + np.uint64(4)], values[j + np.uint64(4)]
                for i in range(n):
                    u = first + i
                    z[i] += (
                        v0[u] * previous[s0[u]]
                        + v1[u] * previous[s1[u]]
                        + v2[u] * previous[s2[u]]
                        + v3[u] * previous[s3[u]]
                        + v4[u] * previous[s4[u]]
                    )
            for rest in range(n_fives * np.uint64(5), n_rows):
                s0, v0 = sources[rest], values[rest]
                for i in range(n):
                    z[i] += v0[first + i] * previous[s0[first + i]]
            for i in range(n):
                before = previous[first + i]
                row[first + i] = before + leak_rate[first + i] * (tanh(z[i]) - before)

    def compressed(row: Any, previous: Any, matrix: Any, leak_rate: Any) -> None:
        bounds, sources, values = matrix
        n_units, width = np.uint64(len(row)), np.uint64(_TILE)
        z = carray(_unit_tile(row), (_TILE,))
        for first in range(np.uint64(0), n_units, width):
            n = min(width, n_units - first)
            for i in range(n):
                u = first + i
                total = row[u]
                for j in range(bounds[u], bounds[u + np.uint64(1)]):
                    total += values[j] * previous[sources[j]]
                z[i] = total
            for i in range(n):
                before = previous[first + i]
                row[first + i] = before + leak_rate[first + i] * (tanh(z[i]) - before)

    def dense(row: Any, previous: Any, matrix: Any, leak_rate: Any) -> None:
        values, scratch = matrix
        np.dot(values, previous, scratch)
        for i in range(np.uint64(len(row))):
            before = previous[i]
            row[i] = before + leak_rate[i] * (tanh(row[i] + scratch[i]) - before)

    if len(matrix) == 3:
        return compressed
    return dense if matrix[0].dtype == row.dtype else padded


# --------------------------------------------------------------------------------------
# Loops over steps
# --------------------------------------------------------------------------------------


@_compile(**_STRICT)
def _advance(states: Any, state: Any, matrix: Any, leak_rate: Any) -> None:
    """See `NumpyLoop.advance`."""
    previous = state
    for t in range(len(states)):
        row = states[t]
        _step(row, previous, matrix, leak_rate)
        previous = row
    state[:] = previous


@_compile(**_ANY_ORDER)
def _dot(a: Any, b: Any) -> Any:
    """Return the sum of a[i] b[i], in the order that suits the machine."""
    total = a[0] * b[0]
    for i in range(np.uint64(1), np.uint64(len(a))):
        total += a[i] * b[i]
    return total


@_compile(**_ANY_ORDER)
def _dot_of_squares(a: Any, b: Any) -> Any:
    """Return the sum of a[i] b[i]², in the order that suits the machine."""
    total = a[0] * b[0] * b[0]
    for i in range(np.uint64(1), np.uint64(len(a))):
        total += a[i] * b[i] * b[i]
    return total


@_compile(**_STRICT)
def _advance_free(
    states: Any, state: Any, outputs: Any, output: Any, closing: Any, matrix: Any, leak_rate: Any
) -> None:
    """See `NumpyLoop.advance_free`."""
    feedback, state_map, square_map, output_map = closing
    previous, y = state, output
    for t in range(len(states)):
        row, out = states[t], outputs[t]
        for o in range(len(y)):
            weights, heard = feedback[o], y[o]
            for i in range(np.uint64(len(row))):
                row[i] += weights[i] * heard
        _step(row, previous, matrix, leak_rate)
        for o in range(len(y)):
            out[o] += _dot(state_map[o], row)
            if len(square_map):
                out[o] += _dot_of_squares(square_map[o], row)
            if len(output_map):
                out[o] += _dot(output_map[o], y)
        previous, y = row, out
    state[:] = previous
    output[:] = y


def _advance_lanes(
    block: Any, start: int, stop: int, here: Any, there: Any, matrix: Any, leak_rate: Any
) -> None:
    """Step the lanes of `here` (n_units, n_lanes); each step swaps `here` and `there`."""


@overload(_advance_lanes, jit_options=_STRICT)
def _choose_advance_lanes(
    block: Any, start: Any, stop: Any, here: Any, there: Any, matrix: Any, leak_rate: Any
) -> Any:
    """Choose tanh by the dtype."""
    tanh = tanh32 if here.dtype == types.float32 else tanh64
    most_lanes = _LANES[np.dtype(str(here.dtype))]

    def lanes(
        block: Any, start: Any, stop: Any, here: Any, there: Any, matrix: Any, leak_rate: Any
    ) -> None:
        bounds, sources, values = matrix
        one, two, three, four, five = (
            np.uint64(1),
            np.uint64(2),
            np.uint64(3),
            np.uint64(4),
            np.uint64(5),
        )
        n_units, width = np.uint64(len(here)), np.uint64(_LANE_UNITS)
        n_used, n_lanes = np.uint64(len(block)), np.uint64(here.shape[1])
        z = carray(_lane_tile(here), (_LANE_UNITS, most_lanes))
        # Lanes without a sequence run on whatever is here; tanh keeps it finite.
        z[:] = 0
        for t in range(start, stop):
            for first in range(np.uint64(0), n_units, width):
                n = min(width, n_units - first)
                for lane in range(n_used):
                    for i in range(n):
                        z[i, lane] = block[lane, t, first + i]
                for i in range(n):
                    sums = z[i]
                    j, end = bounds[first + i], bounds[first + i + one]
                    while j + five <= end:
                        v0, x0 = values[j], here[sources[j]]
                        v1, x1 = values[j + one], here[sources[j + one]]
                        v2, x2 = values[j + two], here[sources[j + two]]
                        v3, x3 = values[j + three], here[sources[j + three]]
                        v4, x4 = values[j + four], here[sources[j + four]]
                        for lane in range(n_lanes):
                            sums[lane] += (
                                v0 * x0[lane]
                                + v1 * x1[lane]
                                + v2 * x2[lane]
                                + v3 * x3[lane]
                                + v4 * x4[lane]
                            )
                        j += five
                    while j < end:
                        v0, x0 = values[j], here[sources[j]]
                        for lane in range(n_lanes):
                            sums[lane] += v0 * x0[lane]
                        j += one
                for i in range(n):
                    a, old, new, sums = (
                        leak_rate[first + i],
                        here[first + i],
                        there[first + i],
                        z[i],
                    )
                    for lane in range(n_lanes):
                        sums[lane] = old[lane] + a * (tanh(sums[lane]) - old[lane])
                    for lane in range(n_lanes):
                        new[lane] = sums[lane]
                for lane in range(n_used):
                    for i in range(n):
                        block[lane, t, first + i] = z[i, lane]
            here, there = there, here

    return lanes


@_compile(**_STRICT)
def _run_lanes(
    block: Any, start: int, stop: int, here: Any, there: Any, matrix: Any, leak_rate: Any
) -> None:
    """Call the body that fits the dtype."""
    _advance_lanes(block, start, stop, here, there, matrix, leak_rate)


class NumbaLoop:
    """Steps one reservoir of tanh units with compiled loops; members as `NumpyLoop`'s."""

    def __init__(self, reservoir: Reservoir) -> None:
        self._leak_rate = np.full(reservoir.n_units, reservoir.leak_rate, dtype=reservoir.dtype)
        if issparse(reservoir.recurrent):
            self._compressed = _compressed(reservoir.recurrent)
            self._matrix: Any = _padded(*self._compressed) or self._compressed
            self.n_lanes = _LANES[reservoir.dtype]
            self.min_lanes = self.n_lanes // 2
        else:
            matrix = np.ascontiguousarray(reservoir.recurrent)
            self._matrix = (matrix, np.empty(reservoir.n_units, dtype=reservoir.dtype))
            # Side by side, a dense W is a product of matrices: BLAS has it already.
            wide = NumpyLoop(reservoir)
            self.n_lanes, self.min_lanes = wide.n_lanes, wide.min_lanes
            self.advance_lanes = wide.advance_lanes  # type: ignore[method-assign]

    def advance(self, states: Array, state: Array) -> None:
        """Turn drives into states, row by row."""
        _advance(states, state, self._matrix, self._leak_rate)

    def advance_lanes(self, block: Array, start: int, stop: int, lanes: Array) -> None:
        """Turn drives into states for several sequences side by side."""
        here = np.zeros((lanes.shape[1], self.n_lanes), dtype=lanes.dtype)
        here[:, : len(lanes)] = lanes.T
        there = np.empty_like(here)
        used = block[: len(lanes)]
        _run_lanes(used, start, stop, here, there, self._compressed, self._leak_rate)
        last = there if (stop - start) % 2 else here
        lanes[:] = last[:, : len(lanes)].T

    def advance_free(
        self, states: Array, state: Array, outputs: Array, output: Array, closing: Closing
    ) -> None:
        """Turn drives into states and outputs, each output driving the next step."""
        maps = (closing.feedback, closing.state, closing.squares, closing.output)
        _advance_free(states, state, outputs, output, maps, self._matrix, self._leak_rate)


def _compressed(matrix: Any) -> tuple[NDArray[np.uint64], NDArray[np.uint32], Array]:
    """Return row bounds, sources and values of a CSR matrix, unsigned."""
    # Writable, as all arrays of a kernel: read-only ones would be compiled for anew.
    values = np.require(matrix.data, requirements="W")
    return matrix.indptr.astype(np.uint64), matrix.indices.astype(np.uint32), values


def _padded(
    bounds: NDArray[np.uint64], sources: NDArray[np.uint32], values: Array
) -> tuple[NDArray[np.uint32], Array] | None:
    """Return sources and values of shape (k, n_units), or None if too many zeros would fill them.

    Gathering across units is about twice as fast as summing one row after the other.
    """
    counts = np.diff(bounds.astype(np.int64))
    k = int(counts.max(initial=0))
    if k * len(counts) > 2 * len(values):
        return None
    slots = np.arange(k)[:, np.newaxis] < counts
    padded_sources = np.zeros((k, len(counts)), dtype=np.uint32)
    padded_values = np.zeros((k, len(counts)), dtype=values.dtype)
    padded_sources.T[slots.T] = sources
    padded_values.T[slots.T] = values
    return padded_sources, padded_values
