"""Weights to start from that a user gives: all of them, or some blocks by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from hessianfree.network._parameters import ParameterLayout
from reservoir.utils.types import Array
from reservoir.utils.validation import as_numbers


class StartingWeights(NamedTuple):
    """A flat vector, and the blocks of it that are not given and are zero."""

    params: Array
    missing: list[str]


def starting_weights(layout: ParameterLayout, given: Any) -> StartingWeights:
    """Return weights that were given as a flat vector, or as blocks by name.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        If a block is unknown, a shape is not that of the net, or a number not finite.

    Examples
    --------
    >>> layout = ParameterLayout({"input": (1, 2), "bias": (1,)})
    >>> starting_weights(layout, {"input": [[3.0, 4.0]]})
    StartingWeights(params=array([3., 4., 0.]), missing=['bias'])
    """
    params = np.zeros(layout.n_params)
    if not isinstance(given, Mapping):
        params[...] = _checked("initialization", given, params.shape, "as `params_` of a net is")
        return StartingWeights(params, [])
    views = layout.views(params)
    for name, block in given.items():
        if name not in views:
            raise ValueError(
                f"`initialization` has {name!r}, but the blocks of this net are "
                f"{', '.join(map(repr, views))}. Pass some of these."
            )
        where = f"initialization[{name!r}]"
        views[name][...] = _checked(where, block, views[name].shape, "that of the block")
    return StartingWeights(params, [name for name in views if name not in given])


def _checked(name: str, given: Any, shape: tuple[int, ...], wanted: str) -> Array:
    """Return an array of finite numbers of that shape."""
    array: Array = as_numbers(name, given, np.float64)
    if array.shape != shape:
        raise ValueError(
            f"`{name}` has shape {array.shape}, but {shape} was expected, {wanted}. Start a net "
            "of the same parameters, or pass some blocks of `weights_`, by name."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` holds NaN or infinity. Pass finite numbers.")
    return array
