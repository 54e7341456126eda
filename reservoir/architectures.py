"""Several reservoirs as one: stacked (deep) or side by side (grouped)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from reservoir.dynamics._reservoir import Reservoir
from reservoir.utils.explained import explained
from reservoir.utils.types import Array

__all__ = ["group_reservoirs", "stack_reservoirs"]


@explained
def stack_reservoirs(layers: Sequence[Reservoir]) -> Reservoir:
    r"""Return the deep reservoir in which the input of each layer is the states below.

    The input drives the first layer; the state of the layer below drives every other one:

    .. math::

        x_1[t] &= (1 - a_1)\, x_1[t-1] + a_1 f(W_1 x_1[t-1] + V_1 u[t] + b_1) \\
        x_l[t] &= (1 - a_l)\, x_l[t-1] + a_l f(W_l x_l[t-1] + V_l x_{l-1}[t-1] + b_l), \quad l > 1

    This is one reservoir with a block-triangular W, whose states are [x₁; x₂; ...]: a signal
    takes one step from layer to layer.

    Parameters
    ----------
    layers : sequence of Reservoir
        From the one that the input drives upwards. The `input` weights V_l of each but the first
        have one column for each unit of the layer below. All of one dtype and one activation,
        and all with feedback weights, from as many outputs, or none.

    Returns
    -------
    Reservoir
        Of all units, those of the first layer first.

    Raises
    ------
    ValueError
        If the layers do not fit together.

    See Also
    --------
    group_reservoirs : Side by side in place of on top of each other.

    Notes
    -----
    In the usual definition of a deep reservoir [1]_ x_{l-1}[t] drives layer l, the new state below,
    and not x_{l-1}[t-1]. It is the same net but for a delay: each layer goes through the same
    states, layer l being l - 1 steps later (exactly from the zero state where there is no bias,
    and otherwise once the start is forgotten). A readout that sees all layers sees the input of
    this very step in the first one.

    References
    ----------
    .. [1] Gallicchio, Micheli & Pedrelli (2017), Deep reservoir computing: a critical experimental
       analysis, Neurocomputing 268, eqs. 3-4.

    Examples
    --------
    Two linear units in a chain, each without memory of its own:

    >>> import numpy as np
    >>> from reservoir.dynamics import Reservoir
    >>> from reservoir.dynamics import run
    >>> unit = Reservoir(np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1), activation="identity")
    >>> run(stack_reservoirs([unit, unit]), [[5.0], [6.0], [7.0]])
    array([[5., 0.],
           [6., 5.],
           [7., 6.]])
    """
    layers = _check_members("layers", layers)
    for index, (below, layer) in enumerate(itertools.pairwise(layers), start=1):
        if layer.n_inputs != below.n_units:
            raise ValueError(
                f"`layers[{index}]` has {layer.n_inputs} inputs, but the layer below has "
                f"{below.n_units} units. Give its `input` one column for each of them."
            )
    blocks: list[list[Any]] = [[None] * len(layers) for _ in layers]
    for index, layer in enumerate(layers):
        blocks[index][index] = sp.csr_array(layer.recurrent)
        if index:
            blocks[index][index - 1] = sp.csr_array(layer.input)
    first = layers[0]
    n_above = sum(layer.n_units for layer in layers[1:])
    silent = np.zeros((n_above, first.n_inputs), dtype=first.input.dtype)
    return _joined(layers, sp.block_array(blocks, format="csr"), [first.input, silent])


@explained
def group_reservoirs(members: Sequence[Reservoir]) -> Reservoir:
    """Return the reservoir of several ones side by side, all driven by the same input.

    W = diag(W₁, W₂, ...),   W_in = [V₁; V₂; ...],   x = [x₁; x₂; ...]   [1]_

    Parameters
    ----------
    members : sequence of Reservoir
        All of one dtype, one activation and as many inputs; all with feedback weights, from as
        many outputs, or none.

    Returns
    -------
    Reservoir
        Of all units, in the order of the members. A member may be the result of
        `stack_reservoirs`.

    Raises
    ------
    ValueError
        If the members do not fit together.

    References
    ----------
    .. [1] Gallicchio, Micheli & Pedrelli (2017), Deep reservoir computing: a critical experimental
       analysis, Neurocomputing 268, section 3 (groupedESN).

    Examples
    --------
    A slow and a fast unit with one input:

    >>> import numpy as np
    >>> from reservoir.dynamics import Reservoir
    >>> from reservoir.dynamics import run
    >>> slow, fast = (
    ...     Reservoir(np.eye(1), np.full((1, 1), rate), np.zeros(1), leak_rate=rate,
    ...               activation="identity")
    ...     for rate in (0.5, 1.0)
    ... )
    >>> run(group_reservoirs([slow, fast]), [[4.0], [0.0]])
    array([[1., 4.],
           [1., 4.]])
    """
    members = _check_members("members", members)
    n_inputs = members[0].n_inputs
    for index, member in enumerate(members):
        if member.n_inputs != n_inputs:
            raise ValueError(
                f"`members[{index}]` has {member.n_inputs} inputs, but `members[0]` has "
                f"{n_inputs}. Give all of them weights for the same input."
            )
    # Dense blocks as sparse ones: SciPy 1.18 warns that it will not take them for sparse.
    recurrent = sp.block_diag([sp.csr_array(member.recurrent) for member in members], format="csr")
    return _joined(members, recurrent, [member.input for member in members])


def _joined(members: list[Reservoir], recurrent: Any, inputs: list[Array]) -> Reservoir:
    """Return one reservoir of all units, given how they are connected."""
    first = members[0]
    # Block functions of SciPy may return the older matrix, and indices of 64 bits.
    recurrent = sp.csr_array(recurrent, dtype=first.dtype)
    recurrent.indices = recurrent.indices.astype(np.int32, copy=False)
    recurrent.indptr = recurrent.indptr.astype(np.int32, copy=False)
    recurrent.sort_indices()
    rates = [np.full(member.n_units, member.leak_rate) for member in members]
    leak_rate = np.concatenate(rates).astype(first.dtype)
    feedback = [member.feedback for member in members if member.feedback is not None]
    return Reservoir(
        recurrent=recurrent,
        input=np.concatenate(inputs),
        bias=np.concatenate([member.bias for member in members]),
        feedback=np.concatenate(feedback) if feedback else None,
        leak_rate=1.0 if np.all(leak_rate == 1) else leak_rate,
        activation=first.activation,
        carry=first.carry,
    )


def _carry_of(member: Reservoir) -> str:
    """Return the form of what is carried on, or raise for those that are not joined."""
    if not isinstance(member.carry, str):
        raise ValueError(
            "A member carries on states of other units, and such reservoirs are not joined. "
            'Use members with a `carry` of "leak" or "euler".'
        )
    return member.carry


def _check_members(name: str, members: Sequence[Reservoir]) -> list[Reservoir]:
    """Return the reservoirs as a list, or raise unless their units can be of one reservoir."""
    members = list(members)
    if not members:
        raise ValueError(f"`{name}` is empty, but one or more were expected. Pass reservoirs.")
    first = members[0]
    for index, member in enumerate(members):
        for kind, found, wanted in (
            ("dtype", member.dtype, first.dtype),
            ("activation", member.activation, first.activation),
            ("carry", _carry_of(member), _carry_of(first)),
            ("number of outputs fed back", member.n_outputs, first.n_outputs),
        ):
            if wanted != found:
                raise ValueError(
                    f"The {kind} of `{name}[{index}]` is {found}, but that of `{name}[0]` is "
                    f"{wanted}. Make them alike."
                )
    return members
