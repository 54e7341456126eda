"""Whether targets are inputs, or each other, several steps later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reservoir.utils.device import to_host
from reservoir.utils.types import Array

# Steps ahead that are looked for: longer forecasts by a model of their own are not made.
_FARTHEST = 1000


def lie_ahead(inputs: Sequence[Array], targets: Sequence[Array]) -> bool:
    """Tell whether the targets of sequences lie several steps ahead.

    So they do where y[t] = u[t + h] with h of 2 and more, or where a column of y is the one before
    it a step later, as in a table of horizons. Neighbouring errors are then nearly the same, and
    what takes rows for independent, such as generalised cross-validation, is too hopeful.

    Parameters
    ----------
    inputs : sequence of ndarray of shape (n_steps, n_features)
        The first is looked at.
    targets : sequence of ndarray of shape (n_steps, n_outputs)
        Likewise.

    Returns
    -------
    bool

    Examples
    --------
    >>> import numpy as np
    >>> series = np.arange(9.0)[:, None] ** 2
    >>> lie_ahead([series[:-1]], [series[1:]]), lie_ahead([series[:-2]], [series[2:]])
    (False, True)
    >>> lie_ahead([series[:-2]], [np.hstack([series[1:-1], series[2:]])])
    True
    """
    u, y = to_host(inputs[0]), to_host(targets[0])
    if len(y) < 3:
        return False
    n = y.shape[1]
    if n > 1 and _equal(y[:-1, 1:], y[1:, :-1]):
        return bool(np.nanmax(y) > np.nanmin(y))
    if u.shape[1] < n:
        return False
    same = np.flatnonzero((u[2 : 2 + _FARTHEST, :n] == y[0]).all(axis=1)) + 2
    found = any(len(y) - h > 1 and _equal(y[:-h], u[h:, :n]) for h in same)
    return found and bool(np.nanmax(y) > np.nanmin(y))


def _equal(first: Any, second: Any) -> bool:
    """Tell whether rows are the same, those with NaN left out."""
    known = ~(np.isnan(first) | np.isnan(second)).any(axis=1)
    return bool(known.any() and np.array_equal(first[known], second[known]))
