"""Spaces that a series is forecast in: its logarithm or not, seasonal and first differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reservoir.utils.persistence import register
from reservoir.utils.types import Floats, Integers


@register
@dataclass(frozen=True)
class Space:
    """One way to make a series nearly stationary, and the way back.

    z = (1 - B)^d (1 - B^s) w,   w = log y or y,   B the step back

    Parameters
    ----------
    log : bool
        Whether w is log y.
    season : int
        s, steps; 0 for no seasonal difference.
    difference : {0, 1}
        d.

    Examples
    --------
    >>> import numpy as np
    >>> space = Space(log=False, season=2, difference=1)
    >>> w = np.array([1.0, 5.0, 2.0, 7.0, 4.0])
    >>> space.forward(w)
    array([1., 0.])
    >>> space.integrate(w, np.array([4]), np.zeros((1, 3)))
    array([[4., 9., 6.]])
    """

    log: bool
    season: int
    difference: int

    @property
    def n_lost(self) -> int:
        """Rows at the beginning that have no difference."""
        return self.season + self.difference

    def axis(self, y: Floats) -> Floats:
        """Return w."""
        return np.log(y) if self.log else y

    def values(self, w: Floats) -> Floats:
        """Return y; what overflows is infinite, and clipped by the caller."""
        with np.errstate(over="ignore"):
            return np.exp(w) if self.log else w

    def forward(self, w: Floats) -> Floats:
        """Return z of shape (n_steps - n_lost, ...), by differences along the first axis."""
        if self.season:
            w = w[self.season :] - w[: -self.season]
        return np.diff(w, axis=0) if self.difference else w

    def integrate(self, w: Floats, origins: Integers, z: Floats) -> Floats:
        """Return w at the steps after some origins, given z there.

        Parameters
        ----------
        w : ndarray of shape (n_steps,)
            The series; rows from the origin on are not looked at.
        origins : ndarray of int of shape (n_origins,)
            Rows before the first step forecast, at least n_lost.
        z : ndarray of shape (..., n_origins, horizon)
            Differences at the steps forecast.

        Returns
        -------
        ndarray of the shape of z
        """
        season, horizon = self.season, z.shape[-1]
        if self.difference:
            last = w[origins - 1] - (w[origins - 1 - season] if season else 0.0)
            z = last[:, None] + np.cumsum(z, axis=-1)
        if not season:
            return z
        out = np.empty_like(z)
        first = min(season, horizon)
        steps = np.arange(first)
        out[..., :first] = z[..., :first] + w[origins[:, None] - season + steps]
        for start in range(season, horizon, season):
            stop = min(start + season, horizon)
            out[..., start:stop] = z[..., start:stop] + out[..., start - season : stop - season]
        return out

    def base(self, w: Floats, origins: Integers, horizon: int) -> Floats:
        """Return the forecast without knowledge that direct forecasts are relative to.

        That of zero differences, and the last value where nothing is differenced.
        """
        if not self.n_lost:
            return np.repeat(w[origins - 1][:, None], horizon, axis=1)
        return self.integrate(w, origins, np.zeros((len(origins), horizon)))


def spaces_for(n_steps: int, seasons: Sequence[int], log_too: bool) -> list[Space]:
    """Return the spaces tried: no differences, a first one, each season, and both.

    A seasonal difference needs more than three seasons and ten steps.
    """
    kept = [season for season in seasons if n_steps > 3 * season + 10]
    return [
        Space(log, season, difference)
        for log in ([False, True] if log_too else [False])
        for season in (0, *kept)
        for difference in (0, 1)
    ]


class Bounds(NamedTuple):
    """Lowest and highest forecasts, each of shape (n_origins, 1)."""

    low: Floats
    high: Floats


def bounds_at(y: Floats, origins: Integers, floor: float | None) -> Bounds:
    """Return the lowest and the highest forecast allowed: one range beyond what was seen.

    Parameters
    ----------
    y : ndarray of shape (n_steps,)
        The series.
    origins : ndarray of int of shape (n_origins,)
        Rows seen.
    floor : float or None
        What forecasts never fall below, see `floor_of`.
    """
    low = np.minimum.accumulate(y)[origins - 1, None]
    high = np.maximum.accumulate(y)[origins - 1, None]
    lowest = low - (high - low)
    return Bounds(lowest if floor is None else np.maximum(lowest, floor), high + (high - low))


def floor_of(y: Floats) -> float | None:
    """Return what forecasts of a series never fall below; None if it is negative somewhere.

    That of positive ones is their lowest value, divided by the ratio of highest and lowest: the
    logarithm has one range of room as well.
    """
    low, high = float(y.min()), float(y.max())
    return low * (low / high) if low > 0 else 0.0 if low == 0 else None
