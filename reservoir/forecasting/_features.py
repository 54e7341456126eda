"""What the members of a forecast see at each step: lags, states, periodic terms, inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reservoir.dynamics._driven import run
from reservoir.dynamics._reservoir import Reservoir
from reservoir.forecasting._spaces import Space
from reservoir.utils.persistence import register, require_array
from reservoir.utils.types import Array, Floats, Integers

# Standardised values beyond are cut off in a free run.
Z_LIMIT = 30.0


def choose_lags(n_rows: int, seasons: Sequence[int]) -> Integers:
    """Return the lags seen: the last two seasons of the shortest kind, and about the others.

    Lag 0 is the last value known. The numbers are those of a study on 14 real series and 60 of the
    hourly series of the M4 competition.

    Parameters
    ----------
    n_rows : int
        Rows to learn from.
    seasons : sequence of int
        Ascending, steps.

    Examples
    --------
    >>> choose_lags(800, [24, 168])[-5:]
    array([ 46,  47, 166, 167, 168])
    >>> choose_lags(30, []).tolist()
    [0, 1, 2, 3, 4, 5]
    """
    shortest = seasons[0] if seasons else 1
    n_recent = min(max(2 * shortest if shortest <= 24 else 24, 12), n_rows // 5)
    lags = list(range(n_recent))
    for season in seasons:
        if n_recent < season < n_rows / 3:
            lags += [lag for lag in (season - 2, season - 1, season) if lag not in lags]
    return np.array(sorted(lags), dtype=np.intp)


def fourier_terms(steps: Integers, seasons: Sequence[int]) -> Floats:
    """Return sines and cosines of the first harmonics of each season, at some steps.

    Parameters
    ----------
    steps : ndarray of int of shape (n_steps,)
        Numbers of the rows.
    seasons : sequence of int
        s; up to 4 harmonics of those below 50 steps, 3 of others, at most s/2.

    Returns
    -------
    ndarray of shape (n_steps, n_terms)
    """
    columns = []
    for season in seasons:
        for harmonic in range(1, min(season // 2, 4 if season < 50 else 3) + 1):
            angle = 2 * np.pi * harmonic * (steps % season) / season
            columns += [np.sin(angle), np.cos(angle)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(steps), 0))


@register
@dataclass(frozen=True)
class MemberView:
    """What a member sees.

    Parameters
    ----------
    has_states : bool
        Whether the states of the reservoir are among it (ESN) or lags alone (AR).
    has_fourier : bool
        Whether there are periodic terms of the step forecast.
    has_inputs : bool
        Whether there are the inputs of the step forecast, and of the last one.
    """

    has_states: bool
    has_fourier: bool = False
    has_inputs: bool = False


@register
@dataclass(frozen=True)
class SpaceScaling:
    """How a space is standardised: by the rows that are learned from.

    Parameters
    ----------
    mean, scale : float
        Of z.
    input_mean, input_scale : ndarray of shape (n_inputs,)
        Of the inputs, differenced as z is.
    """

    mean: float
    scale: float
    input_mean: Floats
    input_scale: Floats

    def check_loaded(self) -> None:
        """Raise ValueError unless what was read from a file fits together."""
        require_array("mean", self.mean, ())
        require_array("scale", self.scale, ())
        require_array("input_mean", self.input_mean, (None,))
        require_array("input_scale", self.input_scale, np.shape(self.input_mean))

    @classmethod
    def of(cls, z: Floats, inputs: Floats) -> SpaceScaling:
        """Return that of some rows; a column that does not vary has scale 1."""
        scale = inputs.std(axis=0)
        varies = scale > 1e-12 * (1.0 + np.abs(inputs).max(axis=0, initial=0.0))
        return cls(
            float(z.mean()),
            float(z.std()),
            inputs.mean(axis=0),
            np.where(varies, scale, 1.0),
        )


class Rows:
    """A series in one space, standardised, with the states that it drives.

    Row t (counted in z) holds what is known when z[t + 1] is forecast.

    Parameters
    ----------
    space : Space
        Where the series is looked at.
    w : ndarray of shape (n_steps,)
        `space.axis` of the series.
    inputs : ndarray of shape (n_steps + n_future, n_inputs)
        Inputs known ahead; no columns if there are none.
    lags : ndarray of int
        What `choose_lags` gave.
    seasons : sequence of int
        Of the periodic terms.
    scaling : SpaceScaling
        What standardises z and inputs.
    """

    def __init__(
        self,
        space: Space,
        w: Floats,
        inputs: Floats,
        lags: Integers,
        seasons: Sequence[int],
        scaling: SpaceScaling,
    ) -> None:
        self.space, self.w, self.lags, self.seasons = space, w, lags, seasons
        self.scaling = scaling
        self.z: Floats = np.clip(
            (space.forward(w) - scaling.mean) / scaling.scale, -Z_LIMIT, Z_LIMIT
        )
        self.inputs: Floats = (space.forward(inputs) - scaling.input_mean) / scaling.input_scale
        self.first = int(lags[-1])
        self._states: Array | None = None

    def states(self, reservoir: Reservoir) -> Array:
        """Return the states of all rows, from one pass of the reservoir.

        State t has been driven by z up to t, and by the inputs of the step after.
        """
        if self._states is None:
            drive = self.z[:, None]
            if reservoir.n_inputs > 1:
                drive = np.hstack([drive, self.ahead(np.arange(len(self.z)))])
            self._states = run(reservoir, drive)
        return self._states

    def ahead(self, rows: Integers) -> Floats:
        """Return the inputs of the step after each row; the last known ones where none are."""
        return self.inputs[np.minimum(rows + 1, len(self.inputs) - 1)]

    def known(self, view: MemberView, rows: Integers) -> Floats:
        """Return what of a view is known however far ahead: periodic terms, inputs."""
        parts = [np.zeros((len(rows), 0))]
        if view.has_fourier:
            parts.append(fourier_terms(rows + 1 + self.space.n_lost, self.seasons))
        if view.has_inputs:
            parts += [self.ahead(rows), self.inputs[rows]]
        return np.hstack(parts)

    def features(
        self, view: MemberView, reservoir: Reservoir, at: Integers | None = None
    ) -> Floats:
        """Return what a member sees at some rows, by default first, first + 1, ..."""
        if at is None:
            at = np.arange(self.first, len(self.z))
        parts = [self.z[at[:, None] - self.lags], self.known(view, at)]
        if view.has_states:
            parts.append(self.states(reservoir)[at])
        return np.hstack(parts)
