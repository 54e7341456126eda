"""Gradient clipping, by norm and by value."""

from __future__ import annotations

import math

import numpy as np

from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_axes


@explained
def vector_norm(vector: Array) -> float:
    """Return ‖v‖₂, in float64 and without overflow on the way.

    Examples
    --------
    >>> import numpy as np
    >>> vector_norm(np.array([3 * 2.0**100, 4 * 2.0**100], dtype=np.float32)) / 2.0**100
    5.0
    """
    check_axes("vector", vector, 1)
    largest = float(abs(vector).max()) if vector.size else 0.0
    if not 0 < largest < np.inf:
        return largest
    scaled = vector.astype(np.float64) / largest
    return largest * math.sqrt(float(scaled @ scaled))


@explained
def clip_by_norm(gradient: Array, max_norm: float) -> Array:
    r"""Return a gradient of the same direction, no longer than `max_norm` [1]_.

    .. math:: g \cdot \min(1,\ \mathrm{max\_norm} / \lVert g \rVert)

    Parameters
    ----------
    gradient : ndarray of shape (n_params,)
        Not changed.
    max_norm : float

    Returns
    -------
    ndarray of shape (n_params,)
        The gradient itself where it is short enough, or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> clip_by_norm(np.array([3.0, 4.0]), 1.0)
    array([0.6, 0.8])

    References
    ----------
    .. [1] Pascanu, Mikolov & Bengio (2013), On the difficulty of training recurrent neural
       networks, ICML, algorithm 1.
    """
    check_axes("gradient", gradient, 1)
    norm = vector_norm(gradient)
    if not max_norm < norm < np.inf:
        return gradient
    # In float32 norm and factor may be out of the range that the result is in.
    clipped: Array = (gradient.astype(np.float64) * (max_norm / norm)).astype(gradient.dtype)
    return clipped


@explained
def clip_by_value(gradient: Array, limit: float) -> Array:
    """Return a gradient no component of which is beyond ±`limit`.

    Its direction changes, unlike that of `clip_by_norm`.

    Parameters
    ----------
    gradient : ndarray of shape (n_params,)
        Not changed.
    limit : float

    Returns
    -------
    ndarray of shape (n_params,)

    Examples
    --------
    >>> import numpy as np
    >>> clip_by_value(np.array([3.0, -0.5]), 1.0)
    array([ 1. , -0.5])
    """
    check_axes("gradient", gradient, 1)
    clipped: Array = gradient.clip(-limit, limit)
    return clipped
