"""Missing values of a series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reservoir.utils.types import Booleans, Floats


def fill_gaps(y: Floats, observed: Booleans, seasons: Sequence[int]) -> Floats:
    """Return a series with its gaps filled: the mean of the season's place, and a line.

    The differences from the mean of each place in the shortest season are joined by straight lines
    over the gap. Where a place was never observed, or there is no season, so are the values.

    Parameters
    ----------
    y : ndarray of shape (n_steps,)
        Values; the first and the last one observed.
    observed : ndarray of bool of shape (n_steps,)
        False at gaps.
    seasons : sequence of int
        Ascending, steps.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([0.0, 5.0, 1.0, np.nan, 2.0, 7.0])
    >>> fill_gaps(y, np.isfinite(y), [2])
    array([0. , 5. , 1. , 6.5, 2. , 7. ])
    """
    if observed.all():
        return y
    steps = np.arange(len(y))
    profile = np.zeros(len(y))
    if seasons and len(y) >= 2 * seasons[0]:
        place = steps % seasons[0]
        counts = np.bincount(place[observed], minlength=seasons[0])
        if counts.all():
            means = np.bincount(place[observed], y[observed], minlength=seasons[0]) / counts
            profile = means[place]
    rest = np.interp(steps, steps[observed], (y - profile)[observed])
    return np.where(observed, y, profile + rest)
