"""Chains of elementwise operations that cells share, for `fused`: on a GPU each is one kernel.

Arrays that are written have the shape that all arrays of the call broadcast to; what a chain
branches on comes first, as a choice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reservoir.utils.device import scipy_module
from reservoir.utils.types import Array

ACTIVATIONS = ("tanh", "logistic", "relu")

# A vanishing sweep is rounded to zero every few steps only: from the level that is kept it falls
# to subnormal numbers in between only if it loses a factor of 10,000 in every step.
FLUSH_EVERY = 4


def activate(xp: Any, activation: str, z: Array, out: Array) -> None:
    """Write φ(z) to `out`, which may be z."""
    if activation == "tanh":
        xp.tanh(z, out=out)
    elif activation == "logistic":
        # More accurate than `logistic` where the result is small.
        scipy_module(xp, "special").expit(z, out=out)
    else:
        xp.maximum(z, 0, out=out)


def slope_of(xp: Any, activation: str, values: Array, out: Array) -> None:
    """Write φ'(z), given the values φ(z), to `out`."""
    if activation == "tanh":
        xp.multiply(values, values, out=out)
        xp.subtract(1, out, out=out)
    elif activation == "logistic":
        xp.subtract(1, values, out=out)
        out *= values
    else:
        xp.sign(values, out=out)


def activate_and_slope(xp: Any, activation: str, z: Array, out: Array, slope: Array) -> None:
    """Write φ(z) to `out`, which may be z, and φ'(z) to `slope`."""
    activate(xp, activation, z, out)
    slope_of(xp, activation, out, slope)


def logistic(xp: Any, z: Array, out: Array) -> None:
    """Write 1 / (1 + exp(-z)) = (1 + tanh(z / 2)) / 2 to `out`.

    NumPy's tanh is vectorised: several times faster than SciPy's `expit`. Where the result is
    small its relative error is that of a rounding of 1, which is what it is added to or subtracted
    from in a gate.
    """
    xp.multiply(z, 0.5, out=out)
    xp.tanh(out, out=out)
    out += 1
    out *= 0.5


def logistic_and_slope(xp: Any, z: Array, out: Array, slope: Array) -> None:
    """Write σ(z) to `out` and σ (1 - σ) to `slope`."""
    logistic(xp, z, out)
    xp.subtract(1, out, out=slope)
    slope *= out


def combine_tangents(xp: Any, recurrent: Array, driven: Array, slopes: Array, out: Array) -> None:
    """Write (recurrent + driven) ⊙ slopes to `out`."""
    xp.add(recurrent, driven, out=out)
    out *= slopes


def pull_through(
    xp: Any,
    outside: Array | None,
    state_bar: Array,
    slope: Array,
    beside: Array | None,
    bar: Array,
) -> None:
    """Add the cotangents from the outputs to h̄_t, and write slope ⊙ h̄_t + beside to `bar`.

    `bar` may be `beside`, or `slope`.
    """
    if outside is not None:
        state_bar += outside
    if beside is None:
        xp.multiply(state_bar, slope, out=bar)
    else:
        state_bar *= slope
        xp.add(state_bar, beside, out=bar)


def flush_constant(dtype: np.dtype[Any]) -> float:
    """Return c such that (x + c) - c rounds what is on its way to subnormal numbers to zero.

    Adding and taking away c rounds x to a multiple of the spacing of numbers at c, about 1e-25 in
    float32: small enough to be without influence, and large enough that the products of a few
    further steps with weights and slopes are no subnormal numbers either.
    """
    info = np.finfo(dtype)
    return float(2.0 ** (info.minexp + info.nmant + 43))


def flush(xp: Any, array: Array, constant: float) -> None:
    """Round an array in place by its `flush_constant`."""
    array += constant
    array -= constant
