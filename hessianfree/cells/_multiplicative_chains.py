"""Chains of elementwise operations of a `MultiplicativeCell`, for `fused`; see `_chains`.

Arrays are of shape (n_sequences, n_factors). The lists of arguments are as long as they are since
CuPy's `fuse` takes arrays one by one.
"""

from __future__ import annotations

from typing import Any

from reservoir.utils.types import Array


def factor_tangent(
    xp: Any,
    step: Array,
    driven: Array,
    gain: Array,
    d_gain: Array,
    d_gain_input: Array | None,
    gain_slope: Array | None,
    d_bias: Array | None,
    projection: Array,
) -> None:
    """Go from W_fh dh_{t-1} to df_t in `step`; overwrites `d_gain`, what dW_fx adds to it."""
    step += driven
    step *= gain
    if d_gain_input is not None:
        d_gain += d_gain_input
    if gain_slope is not None and d_bias is not None:
        d_gain *= gain_slope
        d_gain += d_bias
    d_gain *= projection
    step += d_gain


def factor_bar(
    xp: Any, bar: Array, projection: Array, gain: Array, gain_bar: Array, projection_bar: Array
) -> None:
    """Write ḡ_t and ā_t, which may take the places of a_t and g_t."""
    xp.multiply(bar, projection, out=gain_bar)
    xp.multiply(bar, gain, out=projection_bar)
