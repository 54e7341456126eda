"""The tanh recurrence compiled by numba; imported only where numba is installed.

The loops over units are written so that LLVM vectorises them: unsigned indices (no test for
negative ones), no aliasing (sums are gathered in a tile on the stack), no branch, and a tanh of
arithmetic only. `contract` lets a product and a sum become one fused operation; no other
fast-math rule is on where NaN, infinity or the order of operations matter.

All in one file: numba's cache is renewed when the file of the outermost function changes, and
would miss a change in another one.
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

# What numba leaves untyped, or types as what it is before it is called.
_cgutils: Any = cgutils


_types: Any = types


_Function = TypeVar("_Function", bound=Callable[..., Any])


_STRICT: Any = {"fastmath": {"contract"}, "error_model": "numpy", "nogil": True}


ANY_ORDER = _STRICT | {"fastmath": {"contract", "reassoc"}}


# Units a tile: its sums stay in the first-level cache.
_TILE = 64


# Units a tile of the batched kernel, and its lanes: two cache lines.
_LANE_TILE = 8


LANES = {"float64": 16, "float32": 32}


# More columns than that are multiplied faster by BLAS, ahead of the loop.
FEW_COLUMNS = 4


def compiled(**options: Any) -> Callable[[_Function], _Function]:
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


@compiled(**_STRICT)
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


@compiled(**_STRICT)
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
# What numba has no words for: an array on the stack, and the lanes of a row as one vector
# --------------------------------------------------------------------------------------


_new_word: Callable[[Any], Any] = intrinsic


def _stack_array(length: int) -> Any:
    """Return an intrinsic: `length` numbers on the stack, which nothing else can point to."""

    @_new_word
    def on_stack(typing_context: Any, like: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = context.get_data_type(like.dtype)
            array = _cgutils.alloca_once(builder, ir.ArrayType(number, length))
            return builder.bitcast(array, number.as_pointer())

        return _types.CPointer(like.dtype)(like), generate

    return on_stack


_unit_tile = _stack_array(_TILE)


_lane_tile = _stack_array(_LANE_TILE * max(LANES.values()))


_lane_sums = _stack_array(max(LANES.values()))


def _vector(context: Any, dtype: Any) -> Any:
    """Return the LLVM type of all lanes of a row."""
    return ir.VectorType(context.get_data_type(dtype), LANES[str(dtype)])


def _row_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Return where the vector `array[index]` lies."""
    view = context.make_array(array_type)(context, builder, array)
    zero = context.get_constant(types.intp, 0)
    first = _cgutils.get_item_pointer(context, builder, array_type, view, [index, zero])
    return builder.bitcast(first, _vector(context, array_type.dtype).as_pointer())


def _splat(builder: Any, vector: Any, number: Any) -> Any:
    """Return a vector that holds `number` in every lane."""
    undefined = ir.Constant(vector, ir.Undefined)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, zeros)


@_new_word
def _clear(typing_context: Any, sums: Any) -> Any:
    """Set the vector `sums` to 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = _vector(context, sums.dtype)
        pointer = builder.bitcast(arguments[0], vector.as_pointer())
        builder.store(ir.Constant(vector, [0.0] * vector.count), pointer, align=4)
        return context.get_dummy_value()

    return _types.void(sums), generate


@_new_word
def _add_row(typing_context: Any, sums: Any, factor: Any, array: Any, index: Any) -> Any:
    """Add `factor * array[index]` to the vector `sums`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = _vector(context, sums.dtype)
        pointer = builder.bitcast(arguments[0], vector.as_pointer())
        row = builder.load(_row_pointer(context, builder, array, *arguments[2:]), align=4)
        factors = _splat(builder, vector, arguments[1])
        product = builder.fmul(factors, row, flags=["contract"])
        total = builder.fadd(builder.load(pointer, align=4), product, flags=["contract"])
        builder.store(total, pointer, align=4)
        return context.get_dummy_value()

    return _types.void(sums, factor, array, index), generate


@_new_word
def _multiply_by_row(typing_context: Any, sums: Any, array: Any, index: Any) -> Any:
    """Multiply the vector `sums` by `array[index]`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.bitcast(arguments[0], _vector(context, sums.dtype).as_pointer())
        row = builder.load(_row_pointer(context, builder, array, *arguments[1:]), align=4)
        product = builder.fmul(builder.load(pointer, align=4), row, flags=["contract"])
        builder.store(product, pointer, align=4)
        return context.get_dummy_value()

    return _types.void(sums, array, index), generate


@_new_word
def _mix_rows(
    typing_context: Any, z: Any, i: Any, here: Any, u: Any, share: Any, scales: Any, index: Any
) -> Any:
    """Replace `z[i]` by a z[i] + (x - a x): x = `here[u]`, a = `share * scales[index]`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = _vector(context, z.dtype)
        target = _row_pointer(context, builder, z, *arguments[:2])
        before = builder.load(_row_pointer(context, builder, here, *arguments[2:4]), align=4)
        scale = builder.load(_row_pointer(context, builder, scales, *arguments[5:]), align=4)
        a = builder.fmul(_splat(builder, vector, arguments[4]), scale)
        kept = builder.fsub(before, builder.fmul(a, before, flags=["contract"]), flags=["contract"])
        new = builder.fmul(a, builder.load(target, align=4), flags=["contract"])
        builder.store(builder.fadd(new, kept, flags=["contract"]), target, align=4)
        return context.get_dummy_value()

    return _types.void(z, i, here, u, share, scales, index), generate


@_new_word
def _copy_row(typing_context: Any, source: Any, i: Any, target: Any, u: Any) -> Any:
    """Copy the vector `source[i]` to `target[u]`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row = builder.load(_row_pointer(context, builder, source, *arguments[:2]), align=4)
        builder.store(row, _row_pointer(context, builder, target, *arguments[2:]), align=4)
        return context.get_dummy_value()

    return _types.void(source, i, target, u), generate


@_new_word
def _store_row(typing_context: Any, sums: Any, array: Any, index: Any) -> Any:
    """Copy the vector `sums` to `array[index]`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.bitcast(arguments[0], _vector(context, sums.dtype).as_pointer())
        target = _row_pointer(context, builder, array, *arguments[1:])
        builder.store(builder.load(pointer, align=4), target, align=4)
        return context.get_dummy_value()

    return _types.void(sums, array, index), generate


# --------------------------------------------------------------------------------------
# One step of one sequence: row = a tanh(z) + (1 - a) previous, or what else `leak_rate` says is
# carried on. With `is_based`, z starts from what `row` holds, else from 0; then come the columns of
# this step, and W, which `_step` takes in three forms. z is built and used tile by tile.
# --------------------------------------------------------------------------------------


def _tanh(x: Any) -> Any:
    """Return tanh x; the bodies follow."""


@overload(_tanh, jit_options=_STRICT)
def _choose_tanh(x: Any) -> Any:
    """Choose by the dtype."""

    def single(x: Any) -> Any:
        return tanh32(x)

    def double(x: Any) -> Any:
        return tanh64(x)

    return single if x == types.float32 else double


@compiled(**_STRICT)
def _start_tile(
    z: Any, row: Any, first: Any, n: Any, columns: Any, weights: Any, is_based: Any
) -> None:
    """Put what does not depend on the state into z, for the units from `first` on."""
    if is_based:
        for i in range(n):
            z[i] = row[first + i]
    else:
        for i in range(n):
            z[i] = 0
    for k in range(np.uint64(len(columns))):
        weight, number = weights[k], columns[k]
        for i in range(n):
            z[i] += weight[first + i] * number


def _finish_tile(z: Any, row: Any, first: Any, n: Any, previous: Any, leak_rate: Any) -> None:
    """Write the states that follow from z to `row`; the bodies follow."""


@overload(_finish_tile, jit_options=_STRICT)
def _choose_finish(z: Any, row: Any, first: Any, n: Any, previous: Any, leak_rate: Any) -> Any:
    """Choose the body by what is carried on."""
    return _finish_carried if isinstance(leak_rate, types.BaseTuple) else _finish_leaky


def _finish_leaky(z: Any, row: Any, first: Any, n: Any, previous: Any, leak_rate: Any) -> None:
    """Each unit keeps a share of its own state."""
    # Exact where a = 1, and without the rounding of 1 - a elsewhere.
    for i in range(n):
        a, before = leak_rate[first + i], previous[first + i]
        row[first + i] = a * _tanh(z[i]) + (before - a * before)


def _finish_carried(z: Any, row: Any, first: Any, n: Any, previous: Any, leak_rate: Any) -> None:
    """Each unit takes over what it keeps from one unit, perhaps itself, and perhaps all of it."""
    rates, lost, sources = leak_rate
    for i in range(n):
        a, before = rates[first + i], previous[sources[first + i]]
        row[first + i] = a * _tanh(z[i]) + (before - lost * a * before)


def _step(
    row: Any, previous: Any, columns: Any, weights: Any, is_based: Any, matrix: Any, leak_rate: Any
) -> None:
    """Write the state after `previous` to `row`; the bodies follow."""


@overload(_step, jit_options=_STRICT)
def _choose_step(
    row: Any, previous: Any, columns: Any, weights: Any, is_based: Any, matrix: Any, leak_rate: Any
) -> Any:
    """Choose the body by the form of W."""
    if len(matrix) == 3:
        return _step_compressed
    return _step_dense if matrix[0].dtype == row.dtype else _step_padded


def _step_padded(
    row: Any, previous: Any, columns: Any, weights: Any, is_based: Any, matrix: Any, leak_rate: Any
) -> None:
    """W as sources and values of shape (k, n_units): connection j of each unit is row j."""
    sources, values = matrix
    one, n_units, width = np.uint64(1), np.uint64(len(row)), np.uint64(_TILE)
    n_rows = np.uint64(len(values))
    n_fives = n_rows // np.uint64(5)
    z = carray(_unit_tile(row), (_TILE,))
    for first in range(np.uint64(0), n_units, width):
        n = min(width, n_units - first)
        _start_tile(z, row, first, n, columns, weights, is_based)
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
        _finish_tile(z, row, first, n, previous, leak_rate)


def _step_compressed(
    row: Any, previous: Any, columns: Any, weights: Any, is_based: Any, matrix: Any, leak_rate: Any
) -> None:
    """W as bounds, sources and values of a CSR matrix."""
    bounds, sources, values = matrix
    n_units, width = np.uint64(len(row)), np.uint64(_TILE)
    z = carray(_unit_tile(row), (_TILE,))
    for first in range(np.uint64(0), n_units, width):
        n = min(width, n_units - first)
        _start_tile(z, row, first, n, columns, weights, is_based)
        for i in range(n):
            u = first + i
            total = z[i]
            for j in range(bounds[u], bounds[u + np.uint64(1)]):
                total += values[j] * previous[sources[j]]
            z[i] = total
        _finish_tile(z, row, first, n, previous, leak_rate)


def _step_dense(
    row: Any, previous: Any, columns: Any, weights: Any, is_based: Any, matrix: Any, leak_rate: Any
) -> None:
    """W as a dense matrix, and a vector for its product with the state."""
    values, scratch = matrix
    np.dot(values, previous, scratch)
    n_units, width = np.uint64(len(row)), np.uint64(_TILE)
    z = carray(_unit_tile(row), (_TILE,))
    for first in range(np.uint64(0), n_units, width):
        n = min(width, n_units - first)
        _start_tile(z, row, first, n, columns, weights, is_based)
        for i in range(n):
            z[i] += scratch[first + i]
        _finish_tile(z, row, first, n, previous, leak_rate)


# --------------------------------------------------------------------------------------
# Loops over steps
# --------------------------------------------------------------------------------------


@compiled(**_STRICT)
def copy_vector(source: Any, target: Any) -> None:
    """Copy a vector: `target[:] = source` takes two seconds to compile, for its error message."""
    for i in range(len(target)):
        target[i] = source[i]


@compiled(**_STRICT)
def advance(
    states: Any, state: Any, columns: Any, weights: Any, is_based: Any, matrix: Any, leak_rate: Any
) -> None:
    """See `NumpyLoop.advance`."""
    previous = state
    for t in range(len(states)):
        row = states[t]
        _step(row, previous, columns[t], weights, is_based, matrix, leak_rate)
        previous = row
    copy_vector(previous, state)


@compiled(**ANY_ORDER)
def _dot(a: Any, b: Any) -> Any:
    """Return the sum of a[i] b[i], in the order that suits the machine."""
    total = a[0] * b[0]
    for i in range(np.uint64(1), np.uint64(len(a))):
        total += a[i] * b[i]
    return total


@compiled(**ANY_ORDER)
def _dot_of_squares(a: Any, b: Any) -> Any:
    """Return the sum of a[i] b[i]², in the order that suits the machine."""
    total = a[0] * b[0] * b[0]
    for i in range(np.uint64(1), np.uint64(len(a))):
        total += a[i] * b[i] * b[i]
    return total


@compiled(**_STRICT)
def advance_free(
    states: Any,
    state: Any,
    columns: Any,
    weights: Any,
    is_based: Any,
    matrix: Any,
    leak_rate: Any,
    outputs: Any,
    output: Any,
    maps: Any,
) -> None:
    """See `NumpyLoop.advance_free`; the first columns are for the output before."""
    state_map, square_map, output_map = maps
    previous, y = state, output
    for t in range(len(states)):
        row, out, column = states[t], outputs[t], columns[t]
        for o in range(len(y)):
            column[o] = y[o]
        _step(row, previous, column, weights, is_based, matrix, leak_rate)
        for o in range(len(y)):
            out[o] += _dot(state_map[o], row)
            if len(square_map):
                out[o] += _dot_of_squares(square_map[o], row)
            if len(output_map):
                out[o] += _dot(output_map[o], y)
        previous, y = row, out
    copy_vector(previous, state)
    copy_vector(y, output)


def _lanes(
    block: Any,
    begin: Any,
    here: Any,
    there: Any,
    columns: Any,
    weights: Any,
    is_noisy: Any,
    matrix: Any,
    leak_rate: Any,
    scales: Any,
) -> None:
    """Step the lanes of `here` (n_units, n_lanes); each step swaps `here` and `there`.

    `scales` (2, n_lanes) hold what W x and the leak rate are multiplied by.
    """


@overload(_lanes, jit_options=_STRICT)
def _choose_lanes(
    block: Any,
    begin: Any,
    here: Any,
    there: Any,
    columns: Any,
    weights: Any,
    is_noisy: Any,
    matrix: Any,
    leak_rate: Any,
    scales: Any,
) -> Any:
    """Choose tanh and the number of lanes by the dtype."""
    is_single = here.dtype == types.float32
    tanh, number_one = (tanh32, np.float32(1)) if is_single else (tanh64, np.float64(1))
    n_lanes = LANES[str(here.dtype)]
    size = _LANE_TILE * n_lanes

    def lanes(
        block: Any,
        begin: Any,
        here: Any,
        there: Any,
        columns: Any,
        weights: Any,
        is_noisy: Any,
        matrix: Any,
        leak_rate: Any,
        scales: Any,
    ) -> None:
        bounds, sources, values = matrix
        one, n_units, width = np.uint64(1), np.uint64(len(here)), np.uint64(_LANE_TILE)
        n_used, n_columns = np.uint64(len(block)), np.uint64(weights.shape[1])
        tile, sums = _lane_tile(here), _lane_sums(here)
        z, flat = carray(tile, (_LANE_TILE, n_lanes)), carray(tile, (size,))
        for q in range(np.uint64(size)):
            flat[q] = 0  # also where no lane is used: tanh keeps it finite
        for step in range(len(columns)):
            t, inputs = begin + step, columns[step]
            for first in range(np.uint64(0), n_units, width):
                n = min(width, n_units - first)
                if is_noisy:
                    for lane in range(n_used):
                        for i in range(n):
                            z[i, lane] = block[lane, t, first + i]
                for i in range(n):
                    u = first + i
                    _clear(sums)
                    for j in range(bounds[u], bounds[u + one]):
                        _add_row(sums, values[j], here, np.uint64(sources[j]))
                    _multiply_by_row(sums, scales, np.uint64(0))
                    if is_noisy:
                        _add_row(sums, number_one, z, i)
                    for k in range(n_columns):
                        _add_row(sums, weights[u, k], inputs, k)
                    _store_row(sums, z, i)
                for q in range(np.uint64(size)):
                    flat[q] = tanh(flat[q])
                for i in range(n):
                    u = first + i
                    # Exact where a = 1, and without the rounding of 1 - a elsewhere.
                    _mix_rows(z, i, here, u, leak_rate[u], scales, one)
                    _copy_row(z, i, there, u)
                for lane in range(n_used):
                    for i in range(n):
                        block[lane, t, first + i] = z[i, lane]
            here, there = there, here

    return lanes


@compiled(**_STRICT)
def advance_lanes(
    block: Any,
    begin: Any,
    here: Any,
    there: Any,
    columns: Any,
    weights: Any,
    is_noisy: Any,
    matrix: Any,
    leak_rate: Any,
    scales: Any,
) -> None:
    """See `NumpyLoop.advance_lanes`."""
    _lanes(
        block,
        begin,
        here,
        there,
        columns,
        weights,
        is_noisy,
        matrix,
        leak_rate,
        scales,
    )
