"""Chains of elementwise operations of an `UpdateCell`, for `fused`; see `_chains`.

Arrays are of shape (n_sequences, n_units), or two such, one for each gate. The lists of arguments
are as long as they are since CuPy's `fuse` takes arrays one by one.
"""

from __future__ import annotations

from typing import Any

from reservoir.utils.types import Array


def propose_candidate(
    xp: Any,
    z_takes_candidate: bool,
    new: Array,
    drive: Array | None,
    z: Array,
    share: Array,
    state: Array,
    change: Array,
) -> None:
    """Turn the pre-activation of h̃_t into h̃_t in `new`, and z_t into the share of h_{t-1}.

    Writes the share of the candidate, and ∂h_t/∂z_t, h̃_t - h_{t-1} or its negative, to `change`.
    """
    if z_takes_candidate:
        share[...] = z
        xp.subtract(1, share, out=z)
    else:
        xp.subtract(1, z, out=share)
    if drive is not None:
        new += drive
    xp.tanh(new, out=new)
    if z_takes_candidate:
        xp.subtract(new, state, out=change)
    else:
        xp.subtract(state, new, out=change)


def mix(
    xp: Any, z_takes_candidate: bool, share: Array, state: Array, change: Array, after: Array
) -> None:
    """Write h_t = h_{t-1} + share ⊙ (h̃_t - h_{t-1}), which keeps a state to the bit at share 0."""
    change *= share
    if z_takes_candidate:
        xp.add(state, change, out=after)
    else:
        xp.subtract(state, change, out=after)


def step_forward(
    xp: Any,
    z_takes_candidate: bool,
    new: Array,
    drive: Array | None,
    z: Array,
    share: Array,
    state: Array,
    change: Array,
    after: Array,
) -> None:
    """Write the state after a step."""
    propose_candidate(xp, z_takes_candidate, new, drive, z, share, state, change)
    mix(xp, z_takes_candidate, share, state, change, after)


def step_forward_with_slopes(
    xp: Any,
    z_takes_candidate: bool,
    new: Array,
    drive: Array | None,
    z: Array,
    share: Array,
    state: Array,
    change: Array,
    after: Array,
    z_slope: Array,
    r_slope: Array,
    slope: Array,
) -> None:
    """Write the state after a step and what the sweeps multiply by; slopes hold σ' before."""
    propose_candidate(xp, z_takes_candidate, new, drive, z, share, state, change)
    z_slope *= change
    r_slope *= state
    xp.multiply(new, new, out=slope)
    xp.subtract(1, slope, out=slope)
    slope *= share
    mix(xp, z_takes_candidate, share, state, change, after)


def scale_tangents(xp: Any, kept: Array, previous: Array, d_gates: Array, both: Array) -> None:
    """Write what dh_{t-1} and the gates add to dh_t, and d(r_t ⊙ h_{t-1})."""
    xp.multiply(kept, previous, out=both)
    both += d_gates


def step_tangent(xp: Any, recurrent: Array, slope: Array, kept: Array, d_state: Array) -> None:
    """Write dh_t, given what inputs and weights add to dã_t in `d_state`."""
    d_state += recurrent
    d_state *= slope
    d_state += kept


def step_backward(
    xp: Any,
    state_bar: Array,
    reset_bar: Array,
    z_slope: Array,
    r_slope: Array,
    z_kept: Array,
    r_kept: Array,
    z_bar: Array,
    r_bar: Array,
) -> None:
    """Write the cotangents of the gates, and what h̄_{t-1} has beside those to `state_bar`.

    Overwrites `reset_bar`.
    """
    xp.multiply(state_bar, z_slope, out=z_bar)
    xp.multiply(reset_bar, r_slope, out=r_bar)
    state_bar *= z_kept
    reset_bar *= r_kept
    state_bar += reset_bar
