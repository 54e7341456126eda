"""Checks that the series share: of where they start, and of one that diverged."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reservoir.utils.validation import as_numbers

Series = NDArray[np.float64]


def initial_state_or(given: ArrayLike | None, drawn: Series, name: str) -> Series:
    """Return the state given, checked against the one drawn, or else that one."""
    if given is None:
        return drawn
    state = np.array(as_numbers("initial_state", given, np.float64))
    if state.shape != drawn.shape or not np.all(np.isfinite(state)):
        raise ValueError(
            f"`initial_state` has shape {state.shape} or is not finite, but {name} expected "
            f"{drawn.size} finite numbers. Pass an array of shape {drawn.shape}."
        )
    return state


def finite(series: Series, name: str, remedy: str) -> Series:
    """Return the series, or say at which row it stopped being finite."""
    bad = ~np.isfinite(series).all(axis=1)
    if bad.any():
        raise FloatingPointError(
            f"The {name} trajectory is not finite from row {int(bad.argmax())} on. {remedy}"
        )
    return series
