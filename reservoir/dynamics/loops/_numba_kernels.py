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
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.numpy_support import carray

from reservoir.utils.compiling import STRICT, compiled, written_out

# What numba leaves untyped, or types as what it is before it is called.
_cgutils: Any = cgutils


_types: Any = types


# Units a tile: its sums stay in the first-level cache.
_TILE = 64


# Units a tile of the batched kernel, and its lanes: two cache lines.
_LANE_TILE = 8


LANES = {"float64": 16, "float32": 32}


# More columns than that are multiplied faster by BLAS, ahead of the loop.
FEW_COLUMNS = 4


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
#
# It is written for LLVM, once for a number and for a vector of lanes: what LLVM would make of a
# loop over lanes goes by way of memory, and takes a fifth longer.
# --------------------------------------------------------------------------------------

_new_word: Callable[[Any], Any] = intrinsic


class _TanhConstants(NamedTuple):
    """p = t P(t²) and q = Q(t²), lowest coefficients first, and what depends on the dtype."""

    p: tuple[float, ...]
    q: tuple[float, ...]
    limit: float
    shift: float
    high: float  # (ln 2)/2, and what it lacks
    low: float
    bias: int
    n_mantissa: int
    n_bits: int


_TANH_CONSTANTS = {
    "float64": _TanhConstants(
        p=(10395.0, 1260.0, 21.0),
        q=(10395.0, 4725.0, 210.0, 1.0),
        limit=22.0,
        shift=1.5 * 2**52,
        high=float.fromhex("0x1.62e42fefa3800p-2"),
        low=float.fromhex("0x1.ef35793c76730p-46"),
        bias=1023,
        n_mantissa=52,
        n_bits=64,
    ),
    "float32": _TanhConstants(
        p=(105.0, 10.0),
        q=(105.0, 45.0, 1.0),
        limit=10.0,
        shift=1.5 * 2**23,
        high=float.fromhex("0x1.62e4p-2"),
        low=math.log(2) / 2 - float.fromhex("0x1.62e4p-2"),
        bias=127,
        n_mantissa=23,
        n_bits=32,
    ),
}


class _Number:
    """A number in LLVM, or a vector of them; a product and a sum may become one fused operation."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def like(self, number: float) -> _Number:
        """Return a constant."""
        return _Number(self.builder, _constant(self.value.type, number))

    def _with(self, operation: Any, other: _Number | float) -> _Number:
        other = other if isinstance(other, _Number) else self.like(other)
        return _Number(self.builder, operation(self.value, other.value, flags=["contract"]))

    def __add__(self, other: _Number | float) -> _Number:
        return self._with(self.builder.fadd, other)

    def __sub__(self, other: _Number | float) -> _Number:
        return self._with(self.builder.fsub, other)

    def __mul__(self, other: _Number | float) -> _Number:
        return self._with(self.builder.fmul, other)

    def __truediv__(self, other: _Number) -> _Number:
        return self._with(self.builder.fdiv, other)


def _constant(kind: Any, number: float) -> Any:
    """Return a constant of an LLVM type, in every place of a vector."""
    return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)


def _polynomial(coefficients: tuple[float, ...], z: _Number) -> _Number:
    """Return Σ_k c[k] z^k."""
    total = z.like(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = z * total + coefficient
    return total


def _tanh_value(builder: Any, x: Any, dtype: str) -> Any:
    """Return tanh x, with a relative error below 1e-15 (4e-7 in float32)."""
    constants, kind = _TANH_CONSTANTS[dtype], x.type
    bits = ir.IntType(constants.n_bits)
    if isinstance(kind, ir.VectorType):
        bits = ir.VectorType(bits, kind.count)
    of_sign = 1 << (constants.n_bits - 1)
    as_bits = builder.bitcast(x, bits)
    a = builder.bitcast(builder.and_(as_bits, _constant(bits, of_sign - 1)), kind)
    limit = _constant(kind, constants.limit)
    a = _Number(builder, builder.select(builder.fcmp_ordered(">", a, limit), limit, a))
    shifted = a * (2 / math.log(2)) + constants.shift
    n = shifted - constants.shift
    t = a - n * constants.high
    t = t - n * constants.low
    z = t * t
    p, q = t * _polynomial(constants.p, z), _polynomial(constants.q, z)
    exponent = builder.add(builder.bitcast(shifted.value, bits), _constant(bits, constants.bias))
    power = builder.shl(exponent, _constant(bits, constants.n_mantissa))
    s = _Number(builder, builder.bitcast(power, kind))
    below, above = s - 1.0, s + 1.0
    size = (below * q + above * p) / (above * q + below * p)
    sign = builder.and_(as_bits, _constant(bits, of_sign))
    return builder.bitcast(builder.or_(builder.bitcast(size.value, bits), sign), kind)


@_new_word
def tanh(typing_context: Any, x: Any) -> Any:
    """Return tanh x of float64, with a relative error below 1e-15, or float32, below 4e-7."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _tanh_value(builder, arguments[0], str(x))

    return x(x), generate


@_new_word
def add_product(typing_context: Any, total: Any, a: Any, b: Any) -> Any:
    """Return total + a b, where the sum may be gathered in any order."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        flags = ["contract", "reassoc"]
        product = builder.fmul(*arguments[1:], flags=flags)
        return builder.fadd(arguments[0], product, flags=flags)

    return total(total, a, b), generate


# --------------------------------------------------------------------------------------
# What numba has no words for: an array on the stack, and the lanes of a row as one vector
# --------------------------------------------------------------------------------------


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


@_new_word
def _lanes_of(typing_context: Any, like: Any) -> Any:
    """Return how many lanes there are: a constant, to which loops are fitted."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, LANES[str(like.dtype)])

    return _types.intp(like), generate


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

    return _types.void(sums, sums.dtype, array, index), generate


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
def _squash(typing_context: Any, sums: Any) -> Any:
    """Replace the vector `sums` by its tanh."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.bitcast(arguments[0], _vector(context, sums.dtype).as_pointer())
        value = _tanh_value(builder, builder.load(pointer, align=4), str(sums.dtype))
        builder.store(value, pointer, align=4)
        return context.get_dummy_value()

    return _types.void(sums), generate


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


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Return the columns of as many vectors as each has numbers, a power of two."""
    size = len(rows)
    step = size // 2
    while step:
        # Of each pair of rows the halves that lie across the diagonal change places.
        for i in (i for i in range(size) if not i & step):
            pair = rows[i], rows[i + step]
            for row, shift in ((i, 0), (i + step, step)):
                # The second row of a pair counts from `size` on.
                places = [(k & ~step) + shift + (size if k & step else 0) for k in range(size)]
                mask = ir.Constant(ir.VectorType(ir.IntType(32), size), places)
                rows[row] = builder.shuffle_vector(*pair, mask)
        step //= 2
    return rows


@_new_word
def _write_lanes(typing_context: Any, z: Any, block: Any, lane: Any, step: Any, unit: Any) -> Any:
    """Copy the lanes from `lane` on, as many as `z` has rows, to `block[lane, step, unit:]`.

    The last axis of `block` must be contiguous. Turned in registers: what LLVM makes of the loop
    scatters number by number, with which steps take 5 % longer, in float32 25 % (measured).
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        z_view, block_view = (
            context.make_array(kind)(context, builder, array)
            for kind, array in zip((z, block), arguments)
        )
        vector = ir.VectorType(context.get_data_type(z.dtype), _LANE_TILE)
        size = context.get_abi_sizeof(context.get_data_type(z.dtype))

        def pointer(kind: Any, view: Any, indices: list[Any]) -> Any:
            first = _cgutils.get_item_pointer(context, builder, kind, view, indices)
            return builder.bitcast(first, vector.as_pointer())

        numbers = [context.get_constant(types.intp, i) for i in range(_LANE_TILE)]
        first_lane, *place = arguments[2:]
        rows = [builder.load(pointer(z, z_view, [i, first_lane]), align=size) for i in numbers]
        for i, column in zip(numbers, _transposed(builder, rows)):
            target = pointer(block, block_view, [builder.add(first_lane, i), *place])
            builder.store(column, target, align=size)
        return context.get_dummy_value()

    return _types.void(z, block, lane, step, unit), generate


# --------------------------------------------------------------------------------------
# One sequence, driven or in closed loop
#
# Almost all of it is one function: what it called would be optimised and put into machine code once
# by itself, and again as a part of it. `written_out` functions become part of it before that.
# --------------------------------------------------------------------------------------


@written_out
def _add_compressed(z: Any, first: Any, n: Any, compressed: Any, previous: Any) -> None:
    """Add W x to z, for the units from `first` on: W as bounds, sources and values of CSR."""
    bounds, sources, values = compressed
    for i in range(n):
        u = first + i
        total = z[i]
        for j in range(bounds[u], bounds[u + np.uint64(1)]):
            total += values[j] * previous[sources[j]]
        z[i] = total


@written_out
def _carry_on(
    z: Any, row: Any, first: Any, n: Any, previous: Any, leak_rate: Any, carried: Any
) -> None:
    """Write a tanh z + (1 - k a) x_s: what each unit keeps is from one unit, perhaps itself."""
    lost, sources = carried
    for i in range(n):
        a, before = leak_rate[first + i], previous[sources[first + i]]
        row[first + i] = a * tanh(z[i]) + (before - lost * a * before)


@written_out
def _put_out(row: Any, y: Any, out: Any, maps: Any, is_squared: Any) -> None:
    """Add what comes from the state `row` and the output `y` before to the output `out`."""
    one, n_units, n_outputs = np.uint64(1), np.uint64(len(row)), np.uint64(len(y))
    n_features = n_units + n_units if is_squared else n_units
    for o in range(n_outputs):
        total = maps[o, 0] * row[0]
        for i in range(one, n_units):
            total = add_product(total, maps[o, i], row[i])
        out[o] += total
        if is_squared:
            total = maps[o, n_units] * (row[0] * row[0])
            for i in range(one, n_units):
                total = add_product(total, maps[o, n_units + i], row[i] * row[i])
            out[o] += total
        if np.uint64(maps.shape[1]) > n_features:
            total = maps[o, n_features] * y[0]
            for i in range(one, n_outputs):
                total = add_product(total, maps[o, n_features + i], y[i])
            out[o] += total


@compiled(**STRICT)
def advance(
    states: Any,
    state: Any,
    columns: Any,
    weights: Any,
    is_based: Any,
    padded: Any,
    compressed: Any,
    dense: Any,
    leak_rate: Any,
    carried: Any,
    outputs: Any,
    output: Any,
    maps: Any,
    is_squared: Any,
) -> None:
    """See `NumpyLoop.advance`, and `advance_free`: the first columns are for the output before.

    x = a tanh(z) + (1 - a) previous, or what else `carried` says is carried on. With `is_based`, z
    starts from what `states` holds, else from 0; then come the columns of the step, and W. z is
    built and used tile by tile.

    `maps` are [V_x | V_q | V_y], V_q being there where `is_squared`, and V_y perhaps. Where there
    is no output the run is a driven one, and `outputs` may be of shape (0, 0).

    W has one of three forms, the two others being None, and `carried` may be None: numba drops the
    branches of what is None before it compiles the others. `padded` holds sources and values of
    shape (k, n_units), row j being connection j of each unit; `compressed` bounds, sources and
    values of a CSR matrix; `dense` the matrix, and a vector for its product with the state.
    `carried` holds k, and s of each unit, of (1 - k a) x_s.
    """
    one, n_units, width = np.uint64(1), np.uint64(len(state)), np.uint64(_TILE)
    z = _unit_tile(state)
    previous, y = state, output
    for t in range(len(states)):
        row, out, column = states[t], outputs[t], columns[t]
        for o in range(len(y)):
            column[o] = y[o]
        if dense is not None:
            np.dot(dense[0], previous, dense[1])
        for first in range(np.uint64(0), n_units, width):
            n = min(width, n_units - first)
            if is_based:
                for i in range(n):
                    z[i] = row[first + i]
            else:
                for i in range(n):
                    z[i] = 0
            for k in range(np.uint64(len(column))):
                number = column[k]
                for i in range(n):
                    z[i] += weights[k, first + i] * number
            if padded is not None:
                sources, values = padded
                n_rows = np.uint64(len(values))
                n_fives = n_rows // np.uint64(5)
                for five in range(n_fives):
                    j0 = five * np.uint64(5)
                    j1, j2 = j0 + one, j0 + np.uint64(2)
                    j3, j4 = j0 + np.uint64(3), j0 + np.uint64(4)
                    for i in range(n):
                        u = first + i
                        z[i] += (
                            values[j0, u] * previous[sources[j0, u]]
                            + values[j1, u] * previous[sources[j1, u]]
                            + values[j2, u] * previous[sources[j2, u]]
                            + values[j3, u] * previous[sources[j3, u]]
                            + values[j4, u] * previous[sources[j4, u]]
                        )
                for j in range(n_fives * np.uint64(5), n_rows):
                    for i in range(n):
                        z[i] += values[j, first + i] * previous[sources[j, first + i]]
            if compressed is not None:
                _add_compressed(z, first, n, compressed, previous)
            if dense is not None:
                for i in range(n):
                    z[i] += dense[1][first + i]
            if carried is not None:
                _carry_on(z, row, first, n, previous, leak_rate, carried)
            else:
                # Exact where a = 1, and without the rounding of 1 - a elsewhere.
                for i in range(n):
                    a, before = leak_rate[first + i], previous[first + i]
                    row[first + i] = a * tanh(z[i]) + (before - a * before)
        _put_out(row, y, out, maps, is_squared)
        previous, y = row, out
    for i in range(n_units):
        state[i] = previous[i]
    for o in range(len(y)):
        output[o] = y[o]


# --------------------------------------------------------------------------------------
# Several sequences, as the lanes of vectors
# --------------------------------------------------------------------------------------


@compiled(**STRICT)
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
    """See `NumpyLoop.advance_lanes`; states are in `here` (n_units, n_lanes).

    Each step swaps `here` and `there`. `matrix` holds bounds, sources and values of a CSR matrix,
    `scales` (2, n_lanes) what W x and the leak rate are multiplied by.
    """
    bounds, sources, values = matrix
    one, n_units, width = np.uint64(1), np.uint64(len(here)), np.uint64(_LANE_TILE)
    n_used, n_columns = np.uint64(len(block)), np.uint64(weights.shape[1])
    is_contiguous = block.strides[2] == block.itemsize
    n_wide = n_used - n_used % width if is_contiguous else np.uint64(0)
    n_lanes, tile, sums = _lanes_of(here), _lane_tile(here), _lane_sums(here)
    z = carray(tile, (_LANE_TILE, n_lanes))
    for q in range(width * np.uint64(n_lanes)):
        tile[q] = 0  # also where no lane is used: tanh keeps it finite
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
                    _add_row(sums, one, z, i)
                for k in range(n_columns):
                    _add_row(sums, weights[u, k], inputs, k)
                _squash(sums)
                _store_row(sums, z, i)
                # Exact where a = 1, and without the rounding of 1 - a elsewhere.
                _mix_rows(z, i, here, u, leak_rate[u], scales, one)
                _copy_row(z, i, there, u)
            n_turned = n_wide if n == width else np.uint64(0)
            for lane in range(np.uint64(0), n_turned, width):
                _write_lanes(z, block, lane, t, first)
            for lane in range(n_turned, n_used):
                for i in range(n):
                    block[lane, t, first + i] = z[i, lane]
        here, there = there, here
