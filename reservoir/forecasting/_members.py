"""Readouts of one view in one space, and their forecasts, iterated or direct, from many origins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reservoir.dynamics._reservoir import Reservoir
from reservoir.forecasting._features import Z_LIMIT, MemberView, Rows
from reservoir.forecasting._ridge import RidgePath
from reservoir.utils.persistence import register, require_array
from reservoir.utils.types import Booleans, Floats, Integers

# A member learns from so many rows, or is left out.
MIN_LEARNED = 8


@register
@dataclass(frozen=True, eq=False)
class MemberReadouts:
    """MemberReadouts for several penalties.

    Parameters
    ----------
    coefs : ndarray of shape (n_penalties, n_features, n_outputs)
        n_outputs is 1 for iterated forecasts, the horizon for direct ones.
    intercepts : ndarray of shape (n_penalties, n_outputs)
        Constants.
    penalties : list of int
        Their numbers in `RidgePath`.
    """

    coefs: Floats
    intercepts: Floats
    penalties: list[int]

    def check_loaded(self) -> None:
        """Raise ValueError unless what was read from a file fits together."""
        n_penalties = len(self.penalties)
        require_array("coefs", self.coefs, (n_penalties, None, None))
        require_array("intercepts", self.intercepts, (n_penalties, self.coefs.shape[2]))


def learn(
    rows: Rows,
    features: Floats,
    observed: Booleans,
    n_learned: int,
    horizon: int | None,
    penalty: int | None,
) -> MemberReadouts | None:
    """Return readouts learned from the first `n_learned` rows of the series.

    Parameters
    ----------
    rows : Rows
        The series.
    features : ndarray of shape (n_rows, n_features)
        What the view has at rows first, first + 1, ...
    observed : ndarray of bool of shape (n_steps,)
        Which rows of the series are not filled; others are no targets.
    n_learned : int
        Rows of the series that may be targets.
    horizon : int or None
        Steps ahead of a direct forecast; None for one step, to be iterated.
    penalty : int or None
        Number of the penalty; None tries several.

    Returns
    -------
    MemberReadouts or None
        None if there are too few rows.
    """
    lost = rows.space.n_lost
    ahead = horizon or 1
    # The last rows before the origin have no target `ahead` steps on.
    at = np.arange(rows.first, n_learned - lost - ahead)
    steps = at[:, None] + 1 + np.arange(ahead)
    complete = observed[steps + lost].all(axis=1)
    if complete.sum() < max(MIN_LEARNED, 0.5 * len(at)):
        return None
    at, steps = at[complete], steps[complete]
    if horizon is None:
        targets = rows.z[steps]
    else:
        base = rows.space.base(rows.w, at + 1 + lost, horizon)
        targets = (rows.w[steps + lost] - base) / rows.scaling.scale
    path = RidgePath(features[at - rows.first], targets)
    penalties = path.tried() if penalty is None else [penalty]
    return MemberReadouts(*path.readouts(penalties), penalties)


def forecast_direct(
    rows: Rows, features: Floats, readouts: MemberReadouts, origins: Integers
) -> Floats:
    """Return w at all steps ahead at once, of shape (n_penalties, n_origins, horizon).

    `features` are those of the rows before the origins.
    """
    relative = features @ readouts.coefs + readouts.intercepts[:, None]
    base = rows.space.base(rows.w, origins, relative.shape[-1])
    return base + relative * rows.scaling.scale


def forecast_iterated(
    rows: Rows,
    view: MemberView,
    reservoir: Reservoir,
    readouts: MemberReadouts,
    origins: Integers,
    horizon: int,
) -> Floats:
    """Return w step by step, each forecast being the next value known.

    All origins and penalties run side by side, each from the state that one pass over the series
    left there: one product a step for all of them.

    Returns
    -------
    ndarray of shape (n_penalties, n_origins, horizon)
    """
    lost, lags = rows.space.n_lost, rows.lags
    at = origins - 1 - lost
    n_lags, width = len(lags), rows.first + 1
    coefs, n_penalties = readouts.coefs[:, :, 0], len(readouts.penalties)
    # A filter over the whole window: lags between those seen have weight 0.
    window = np.zeros((n_penalties, width, 1))
    window[:, width - 1 - lags, 0] = coefs[:, :n_lags]
    path = np.empty((n_penalties, len(origins), width + horizon))
    path[:, :, :width] = rows.z[at[:, None] - rows.first + np.arange(width)]
    known = rows.known(view, (at[:, None] + np.arange(horizon)).ravel())
    n_known = known.shape[1]
    given = known @ coefs[:, n_lags : n_lags + n_known].T
    given = given.reshape(len(origins), horizon, n_penalties).transpose(1, 2, 0)
    given = given + readouts.intercepts
    stepper = None
    if view.has_states:
        stepper = _Stepper(rows, reservoir, at, horizon, n_penalties)
    of_states = coefs[:, n_lags + n_known :, None]
    for h in range(horizon):
        value = given[h] + (path[:, :, h : h + width] @ window)[:, :, 0]
        if stepper is not None:
            states = stepper.states.reshape(n_penalties, len(origins), -1)
            value += (states @ of_states)[:, :, 0]
        np.clip(value, -Z_LIMIT, Z_LIMIT, out=value)
        path[:, :, width + h] = value
        if stepper is not None and h < horizon - 1:
            stepper.advance(h, value)
    z = path[:, :, width:] * rows.scaling.scale + rows.scaling.mean
    return rows.space.integrate(rows.w, origins, z)


class _Stepper:
    """States of a reservoir for all origins and penalties, side by side.

    A hundred units are few enough that a dense product is faster than a sparse one.
    """

    def __init__(
        self, rows: Rows, reservoir: Reservoir, at: Integers, horizon: int, n_penalties: int
    ) -> None:
        dense = reservoir.recurrent
        dense = dense if isinstance(dense, np.ndarray) else dense.toarray()
        self._recurrent = np.ascontiguousarray(dense.T)
        self._input = reservoir.input[:, 0]
        self.states: Floats = np.tile(rows.states(reservoir)[at], (n_penalties, 1))
        self._drive = np.broadcast_to(reservoir.bias, (horizon, 1, reservoir.n_units))
        if reservoir.n_inputs > 1:
            later = rows.ahead((at[None] + 1 + np.arange(horizon)[:, None]).ravel())
            drive = later @ reservoir.input[:, 1:].T + reservoir.bias
            drive = drive.reshape(horizon, 1, len(at), -1)
            self._drive = np.broadcast_to(
                drive, (horizon, n_penalties, len(at), reservoir.n_units)
            ).reshape(horizon, n_penalties * len(at), -1)

    def advance(self, h: int, value: Floats) -> None:
        """Go one step on, driven by the values forecast."""
        drive = self.states @ self._recurrent
        drive += value.reshape(-1, 1) * self._input
        drive += self._drive[h]
        np.tanh(drive, out=drive)
        self.states = drive
