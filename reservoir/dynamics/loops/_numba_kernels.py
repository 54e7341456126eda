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
from typing import Any, NamedTuple, TypeVar

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
def _tanh(typing_context: Any, x: Any) -> Any:
    """Return tanh of a number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _tanh_value(builder, arguments[0], str(x))

    return x(x), generate


@compiled(**_STRICT)
def tanh(x: float) -> float:
    """Return tanh x of float64, with a relative error below 1e-15, or float32, below 4e-7."""
    return _tanh(x)  # type: ignore[no-any-return]


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
# One step of one sequence: row = a tanh(z) + (1 - a) previous, or what else `leak_rate` says is
# carried on. With `is_based`, z starts from what `row` holds, else from 0; then come the columns of
# this step, and W, which `_step` takes in three forms. z is built and used tile by tile.
# --------------------------------------------------------------------------------------


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
    """Choose the number of lanes by the dtype."""
    number_one = np.float32(1) if here.dtype == types.float32 else np.float64(1)
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
        is_contiguous = block.strides[2] == block.itemsize
        n_wide = n_used - n_used % width if is_contiguous else np.uint64(0)
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
