"""Chains of elementwise operations of an LSTM, for `fused`; see `_chains`.

Arrays are of shape (n_sequences, n_units), weights of peepholes of shape (n_units,). The lists of
arguments are as long as they are since CuPy's `fuse` takes arrays one by one: no stack of the four
gates, no dataclass.
"""

from __future__ import annotations

from typing import Any

from reservoir.utils.types import Array


def update_memory(
    xp: Any, g: Array, i: Array, f: Array, before: Array, memory: Array, read: Array
) -> None:
    """Write c_t = f ⊙ c_{t-1} + i ⊙ g to `memory`; overwrites `read`."""
    xp.multiply(f, before, out=memory)
    xp.multiply(i, g, out=read)
    memory += read


def read_memory(xp: Any, o: Array, memory: Array, read: Array, state: Array) -> None:
    """Write tanh(c_t) to `read` and h_t = o ⊙ tanh(c_t) to `state`."""
    xp.tanh(memory, out=read)
    xp.multiply(o, read, out=state)


def step_forward(
    xp: Any,
    g: Array,
    i: Array,
    f: Array,
    o: Array,
    before: Array,
    memory: Array,
    read: Array,
    state: Array,
) -> None:
    """Write c_t, tanh(c_t) and h_t."""
    update_memory(xp, g, i, f, before, memory, read)
    read_memory(xp, o, memory, read, state)


def add_peephole(xp: Any, z: Array, weight: Array, memory: Array, scratch: Array) -> None:
    """Add w ⊙ c, what a gate gets from a memory by its peephole, to `z`."""
    xp.multiply(weight, memory, out=scratch)
    z += scratch


def write_slopes(
    xp: Any,
    g: Array,
    i: Array,
    f: Array,
    o: Array,
    before: Array,
    read: Array,
    g_slope: Array,
    i_slope: Array,
    f_slope: Array,
    o_slope: Array,
    forget: Array,
    reading: Array,
) -> None:
    """Write what tangents of pre-activations and memories are multiplied by.

    (1 - g²) i, σ'(i) g, σ'(f) c_{t-1} and σ'(o) tanh(c_t), where slopes of gates hold σ' before;
    f, and ∂h/∂c = o (1 - tanh² c_t).
    """
    xp.multiply(g, g, out=g_slope)
    xp.subtract(1, g_slope, out=g_slope)
    g_slope *= i
    i_slope *= g
    f_slope *= before
    o_slope *= read
    forget[...] = f
    xp.multiply(read, read, out=reading)
    xp.subtract(1, reading, out=reading)
    reading *= o


def add_peephole_tangent(
    xp: Any,
    d_z: Array,
    weight: Array,
    d_weight: Array,
    memory: Array,
    d_memory: Array,
    scratch: Array,
) -> None:
    """Add the tangent of w ⊙ c to `d_z`."""
    add_peephole(xp, d_z, weight, d_memory, scratch)
    add_peephole(xp, d_z, d_weight, memory, scratch)


def step_tangents(
    xp: Any,
    d_g: Array,
    d_i: Array,
    d_f: Array,
    d_o: Array,
    forget: Array,
    reading: Array,
    d_memory: Array,
    d_state: Array,
    weight: Array | None,
    d_weight: Array | None,
    o_slope: Array,
    memory: Array,
    scratch: Array,
) -> None:
    """Go from dc_{t-1} to dc_t, given the parts that come from the gates, and write dh_t.

    With `weight` and its tangent, those of the peephole of the output gate, the part of that gate
    lacks what it gets from the new memory.
    """
    d_memory *= forget
    d_memory += d_g
    d_memory += d_i
    d_memory += d_f
    xp.multiply(reading, d_memory, out=d_state)
    d_state += d_o
    if weight is not None and d_weight is not None:
        for factor, seen in ((weight, d_memory), (d_weight, memory)):
            xp.multiply(factor, seen, out=scratch)
            scratch *= o_slope
            d_state += scratch


def step_backward(
    xp: Any,
    outside: Array | None,
    state_bar: Array,
    memory_bar: Array,
    g_slope: Array,
    i_slope: Array,
    f_slope: Array,
    o_slope: Array,
    forget: Array,
    reading: Array,
    g_bar: Array,
    i_bar: Array,
    f_bar: Array,
    o_bar: Array,
    i_weight: Array | None,
    f_weight: Array | None,
    o_weight: Array | None,
) -> None:
    """Write the cotangents of the pre-activations, and turn c̄_t into c̄_{t-1}.

    `outside` is what the outputs add to h̄_t. Overwrites `state_bar`.
    """
    if outside is not None:
        state_bar += outside
    xp.multiply(state_bar, o_slope, out=o_bar)
    state_bar *= reading
    memory_bar += state_bar
    if o_weight is not None:
        add_peephole(xp, memory_bar, o_weight, o_bar, state_bar)
    xp.multiply(memory_bar, g_slope, out=g_bar)
    xp.multiply(memory_bar, i_slope, out=i_bar)
    xp.multiply(memory_bar, f_slope, out=f_bar)
    memory_bar *= forget
    if i_weight is not None and f_weight is not None:
        add_peephole(xp, memory_bar, i_weight, i_bar, state_bar)
        add_peephole(xp, memory_bar, f_weight, f_bar, state_bar)
