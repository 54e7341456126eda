"""Sweeps over all steps, compiled by numba; imported only where numba is installed.

Each does what the loop of the same purpose in `elman` or
`multiplicative` does, without the interpreter's lock. Arrays
are contiguous, of shape (n_steps, n_sequences, ...); an array of no rows stands for one that is not
there. `blas` is what `Compiled.blas` holds. Matrix products go to SciPy's BLAS at the address given
there: an address in the arguments, not in the code, keeps numba's cache valid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from hessianfree.cells._chains import FLUSH_EVERY
from reservoir.dynamics.loops._numba_kernels import tanh
from reservoir.utils.compiling import STRICT, called, compiled, written_out

# What numba leaves untyped, or types as what it is before it is called.
_cgutils: Any = cgutils
_types: Any = types
_new_word: Callable[[Any], Any] = intrinsic
# Steps times sequences of a block of outer products.
_ROWS_OF_OUTER = 64

# Of the activation functions beside tanh.
LOGISTIC, RELU = 1, 2

# --------------------------------------------------------------------------------------
# Matrix products
# --------------------------------------------------------------------------------------


@_new_word
def _gemm(
    typing_context: Any,
    address: Any,
    transposed: Any,
    a: Any,
    b: Any,
    beta: Any,
    c: Any,
    n_rows: Any,
    depth: Any,
    n_columns: Any,
) -> Any:
    """Write a b + beta c to c, with aᵀ in place of a where `transposed` is 1.

    Of each matrix the upper left corner is taken: c has `n_rows` and `n_columns`, and a as many
    columns as b has rows, `depth`. Rows of a matrix may lie apart, the numbers of a row not.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address_, transposed_, a_, b_, beta_, c_, *sizes = arguments
        number, integer, letter = context.get_data_type(c.dtype), ir.IntType(32), ir.IntType(8)

        def reference(value: Any) -> Any:
            place = _cgutils.alloca_once(builder, value.type)
            builder.store(value, place)
            return place

        def matrix(kind: Any, value: Any) -> Any:
            view = context.make_array(kind)(context, builder, value)
            stride = _cgutils.unpack_tuple(builder, view.strides)[0]
            itemsize = context.get_constant(types.intp, kind.dtype.bitwidth // 8)
            leading = builder.sdiv(stride, itemsize)
            # The stride of a single row may be anything.
            width = _cgutils.unpack_tuple(builder, view.shape)[1]
            is_short = builder.icmp_signed("<", leading, width)
            leading = builder.select(is_short, width, leading)
            return view.data, reference(builder.trunc(leading, integer))

        if c.dtype == types.float32:
            beta_ = builder.fptrunc(beta_, number)
        is_transposed = builder.icmp_unsigned("!=", transposed_, transposed_.type(0))
        flag = builder.select(is_transposed, letter(ord("T")), letter(ord("N")))
        rows, inner, columns = (reference(builder.trunc(size, integer)) for size in sizes)
        one, plain = reference(ir.Constant(number, 1.0)), reference(letter(ord("N")))
        # Rows in C order are columns in Fortran order: cᵀ = bᵀ aᵀ.
        given = [plain, reference(flag), columns, rows, inner, one, *matrix(b, b_)]
        given += [*matrix(a, a_), reference(beta_), *matrix(c, c_)]
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in given])
        builder.call(builder.inttoptr(address_, kind.as_pointer()), given)
        return context.get_dummy_value()

    size = _types.intp
    return _types.void(size, size, a, b, _types.float64, c, size, size, size), generate


@called(**STRICT)
def _multiply(blas: Any, a: Any, strips: Any, beta: Any, c: Any) -> None:
    """Write a b + beta c to c, with b in the strips that `Compiled.strips` cuts it into."""
    address, small = blas
    n_rows, n_columns = c.shape
    depth, width = strips.shape[1:]
    rows = small // (depth * width)
    if rows == 0:
        rows = n_rows
    for s in range(len(strips)):
        left = s * width
        columns = min(width, n_columns - left)
        for top in range(0, n_rows, rows):
            height = min(rows, n_rows - top)
            _gemm(
                address, 0, a[top:], strips[s], beta, c[top:, left:], height, depth, columns
            )  # fmt: skip


@compiled(**STRICT)
def add_outer_products(blas: Any, a: Any, b: Any, c: Any) -> None:
    """Write aᵀ b to c, for matrices of many rows and few columns."""
    address, small = blas
    n_rows, n_columns = c.shape
    for begin in range(0, len(a), _ROWS_OF_OUTER):
        depth = min(_ROWS_OF_OUTER, len(a) - begin)
        beta = 0.0 if begin == 0 else 1.0
        rows = max(1, small // (depth * n_columns))
        for top in range(0, n_rows, rows):
            height = min(rows, n_rows - top)
            _gemm(
                address, 1, a[begin:, top:], b[begin:], beta, c[top:], height, depth, n_columns
            )  # fmt: skip


# --------------------------------------------------------------------------------------
# What happens to the numbers of one step
# --------------------------------------------------------------------------------------


@called(**STRICT)
def _activate(other: Any, z: Any, slope: Any) -> None:
    """Write φ(z) to z, and φ'(z) to `slope` unless that is empty; see `Compiled.activation`."""
    one, zero = z.dtype.type(1), z.dtype.type(0)
    n, n_slopes = np.uint64(len(z)), np.uint64(len(slope))
    if other is None:
        for j in range(n):
            z[j] = tanh(z[j])
        for j in range(n_slopes):
            slope[j] = one - z[j] * z[j]
    elif other == LOGISTIC:
        for j in range(n):
            z[j] = one / (one + math.exp(-z[j]))
        for j in range(n_slopes):
            slope[j] = (one - z[j]) * z[j]
    else:
        for j in range(n):
            z[j] = zero if z[j] <= zero else z[j]  # NaN stays
        for j in range(n_slopes):
            slope[j] = one if z[j] > zero else z[j]


@called(**STRICT)
def _finish_state(z: Any, chosen: Any, t: Any, i: Any, other: Any, slopes: Any) -> None:
    """Add what the symbol of sequence i chooses from the table, and go on to φ(z) and φ'(z)."""
    table, symbols = chosen
    if len(table):
        added = table[symbols[t, i]]
        for j in range(np.uint64(len(z))):
            z[j] += added[j]
    if len(slopes):
        _activate(other, z, slopes[t, i])
    else:
        _activate(other, z, z[:0])


@written_out
def _clear(step: Any) -> None:
    """Write zeros."""
    for i in range(np.uint64(len(step))):
        row = step[i]
        for j in range(np.uint64(len(row))):
            row[j] = 0


@written_out
def _pull(step: Any, outside: Any, slopes: Any, beside: Any, t: Any, tiny: Any, out: Any) -> None:
    """Write slope ⊙ (step + outside) + beside of step t to `step` and to `out`; see `flush`.

    Through `step`, since `out` may be any of the others. Row by row, each of which stays in the
    first-level cache meanwhile.
    """
    n = np.uint64(step.shape[1])
    before = t - (len(slopes) - len(outside))
    for i in range(np.uint64(len(step))):
        bar, slope, written = step[i], slopes[t, i], out[t, i]
        if before >= 0:
            given = outside[before, i]
            for j in range(n):
                bar[j] += given[j]
        for j in range(n):
            bar[j] *= slope[j]
        if len(beside):
            added = beside[t, i]
            for j in range(n):
                bar[j] += added[j]
        if t % FLUSH_EVERY == 0:
            for j in range(n):
                bar[j] = (bar[j] + tiny) - tiny
        for j in range(n):
            written[j] = bar[j]


@written_out
def _finish_tangents(now: Any, chosen: Any, slopes: Any, t: Any) -> None:
    """Add what the symbols of step t choose from the table, and multiply by the slopes."""
    table, symbols = chosen
    n = np.uint64(now.shape[1])
    for i in range(np.uint64(len(now))):
        row, slope = now[i], slopes[t, i]
        if len(table):
            added = table[symbols[t, i]]
            for j in range(n):
                row[j] = (row[j] + added[j]) * slope[j]
        else:
            for j in range(n):
                row[j] *= slope[j]


# --------------------------------------------------------------------------------------
# The vanilla cell
# --------------------------------------------------------------------------------------


@compiled(**STRICT)
def run_elman(
    blas: Any, other: Any, rows: Any, joined: Any, chosen: Any, slopes: Any, step: Any
) -> None:
    """Run the recurrence; `rows` hold the initial state and the inputs of all steps.

    Without slopes to write, `slopes` is of no steps.
    """
    n = np.uint64(step.shape[1])
    for t in range(len(rows) - 1):
        _multiply(blas, rows[t], joined, 0.0, step)
        for i in range(np.uint64(len(step))):
            z, after = step[i], rows[t + 1, i]
            _finish_state(z, chosen, t, i, other, slopes)
            for j in range(n):
                after[j] = z[j]


@compiled(**STRICT)
def push_elman(
    blas: Any,
    rows: Any,
    joined: Any,
    chosen: Any,
    recurrent: Any,
    slopes: Any,
    start: Any,
    beta: Any,
    out: Any,
) -> None:
    """Write the tangents of the states.

    `out` holds what inputs bring where beta is 1, and what all weights bring where `joined` is of
    no rows.
    """
    previous = start
    for t in range(len(out)):
        now = out[t]
        if len(joined):
            _multiply(blas, rows[t], joined, beta, now)
        _multiply(blas, previous, recurrent, 1.0, now)
        _finish_tangents(now, chosen, slopes, t)
        previous = now


@compiled(**STRICT)
def pull_elman(
    blas: Any,
    outside: Any,
    beside: Any,
    slopes: Any,
    recurrent: Any,
    tiny: Any,
    step: Any,
    out: Any,
) -> None:
    """Write the cotangents of the pre-activations to `out`; those of the first state to `step`."""
    _clear(step)
    for t in range(len(out) - 1, -1, -1):
        _pull(step, outside, slopes, beside, t, tiny, out)
        _multiply(blas, out[t], recurrent, 0.0, step)


# --------------------------------------------------------------------------------------
# The multiplicative cell; `weights` are the matrices onto the factors and onto the states
# --------------------------------------------------------------------------------------


@compiled(**STRICT)
def run_multiplicative(
    blas: Any,
    other: Any,
    states: Any,
    weights: Any,
    gains: Any,
    projections: Any,
    factor_rows: Any,
    chosen: Any,
    slopes: Any,
) -> None:
    """Run the recurrence; `states` hold the initial one, `factor_rows` the inputs of all steps.

    Projections may be of one step, which is then used again; slopes of none are not written.
    """
    to_factor, to_state = weights
    n_factors = np.uint64(gains.shape[2])
    for t in range(len(gains)):
        projection, now = projections[t % len(projections)], states[t + 1]
        _multiply(blas, states[t], to_factor, 0.0, projection)
        for i in range(np.uint64(len(now))):
            row, gain, factors = projection[i], gains[t, i], factor_rows[t, i]
            for j in range(n_factors):
                factors[j] = row[j] * gain[j]
        _multiply(blas, factor_rows[t], to_state, 0.0, now)
        for i in range(np.uint64(len(now))):
            _finish_state(now[i], chosen, t, i, other, slopes)


@compiled(**STRICT)
def push_multiplicative(
    blas: Any,
    kept: Any,
    weights: Any,
    d_weights: Any,
    chosen: Any,
    gain_terms: Any,
    start: Any,
    scratch: Any,
    beta: Any,
    out: Any,
) -> None:
    """Write the tangents of the states.

    `out` holds what inputs bring where beta is 1. Where `d_weights` are of no rows, `out` and the
    first array of `scratch` hold what they bring, of all steps. `gain_terms` are what dg_t is made
    of: the table dW_fxᵀ, real-valued inputs, what their tangents bring, ∂g_t / ∂(W_fx x_t), db_f.
    """
    states, factor_rows, projections, gains, slopes = kept
    to_factor, to_state = weights
    d_to_factor, d_to_state = d_weights
    table, values, d_gain_inputs, gain_slopes, d_bias = gain_terms
    _, symbols = chosen
    all_d_factors, d_gains = scratch
    n_factors = np.uint64(d_gains.shape[1])
    previous = start
    for t in range(len(out)):
        now = out[t]
        d_factors = all_d_factors[t % len(all_d_factors)]
        if len(d_to_factor):
            _multiply(blas, states[t], d_to_factor, 0.0, d_factors)
        _multiply(blas, previous, to_factor, 1.0, d_factors)
        if len(values):
            _multiply(blas, values[t], table, 0.0, d_gains)
        for i in range(np.uint64(len(now))):
            d_gain, d_factor = d_gains[i], d_factors[i]
            if len(symbols):
                added = table[0, symbols[t, i]]
                for j in range(n_factors):
                    d_gain[j] = added[j]
            if len(d_gain_inputs):
                added = d_gain_inputs[t, i]
                for j in range(n_factors):
                    d_gain[j] += added[j]
            if len(gain_slopes):
                slope, bias = gain_slopes[t, i], d_bias[0, 0]
                for j in range(n_factors):
                    d_gain[j] = d_gain[j] * slope[j] + bias[j]
            gain, projection = gains[t, i], projections[t, i]
            for j in range(n_factors):
                d_factor[j] = d_factor[j] * gain[j] + d_gain[j] * projection[j]
        if len(d_to_state):
            _multiply(blas, factor_rows[t], d_to_state, beta, now)
        _multiply(blas, d_factors, to_state, 1.0, now)
        _finish_tangents(now, chosen, slopes, t)
        previous = now


@compiled(**STRICT)
def pull_multiplicative(
    blas: Any,
    outside: Any,
    beside: Any,
    kept: Any,
    weights: Any,
    tiny: Any,
    step: Any,
    scratch: Any,
    bars: Any,
) -> None:
    """Write the cotangents z̄_t, ā_t and ḡ_t to `bars`; those of the first state to `step`."""
    projections, gains, slopes = kept
    to_factor, to_state = weights
    z_bar, projections_bar, gains_bar = bars
    factors_bar, products = scratch
    n_factors = np.uint64(factors_bar.shape[1])
    _clear(step)
    for t in range(len(z_bar) - 1, -1, -1):
        _pull(step, outside, slopes, beside, t, tiny, z_bar)
        _multiply(blas, z_bar[t], to_state, 0.0, factors_bar)
        for i in range(np.uint64(len(step))):
            bar, product = factors_bar[i], products[i]
            gain, projection = gains[t, i], projections[t, i]
            for j in range(n_factors):
                product[j] = bar[j] * gain[j]
            for j in range(n_factors):
                bar[j] *= projection[j]
            # The places that are written may be those of gains and projections.
            gain_bar, projection_bar = gains_bar[t, i], projections_bar[t, i]
            for j in range(n_factors):
                gain_bar[j] = bar[j]
            for j in range(n_factors):
                projection_bar[j] = product[j]
        _multiply(blas, projections_bar[t], to_factor, 0.0, step)
