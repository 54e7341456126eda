"""Candidates of one series, and what a backtest from many origins says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from reservoir.dynamics._reservoir import Reservoir
from reservoir.forecasting._combination import mean_absolute_errors
from reservoir.forecasting._features import MemberView, Rows, SpaceScaling, choose_lags
from reservoir.forecasting._members import MemberReadouts, forecast_direct, forecast_iterated, learn
from reservoir.forecasting._spaces import Bounds, Space, bounds_at, floor_of, spaces_for
from reservoir.utils.persistence import register, require_array
from reservoir.utils.types import Booleans, Floats, Integers

# Origins of the backtest that members are chosen by.
N_ORIGINS = 32

# Last seasons averaged by members without a readout; 1 is the seasonal naive forecast. Means of 2
# and 4 took 1.8 % off the errors of a sample of hourly series, on their training parts.
SEASONS_AVERAGED = (1, 2, 4)


@register
@dataclass(frozen=True)
class ForecastSettings:
    """How one series is forecast.

    Parameters
    ----------
    seasons : tuple of int
        Ascending, steps.
    horizon : int
        Steps that the backtest looks ahead, and that direct members forecast at once.
    members, modes, transform, weight_power
        As in `ReservoirForecaster`.
    """

    seasons: tuple[int, ...]
    horizon: int
    members: str
    modes: str
    transform: str
    weight_power: float


@register
@dataclass(frozen=True, eq=False)
class SeriesData:
    """A series without gaps, and which of its values were filled.

    Parameters
    ----------
    y : ndarray of shape (n_steps,)
        Values, gaps filled.
    observed : ndarray of bool of shape (n_steps,)
        False where a gap was filled.
    inputs : ndarray of shape (n_steps + n_future, n_inputs)
        What is known ahead; no columns if there is nothing.
    """

    y: Floats
    observed: Booleans
    inputs: Floats

    def check_loaded(self) -> None:
        """Raise ValueError unless what was read from a file fits together."""
        require_array("y", self.y, (None,))
        require_array("observed", self.observed, (len(self.y),), kinds="b")
        require_array("inputs", self.inputs, (None, None))

    def __len__(self) -> int:
        return len(self.y)

    def until(self, n_steps: int) -> SeriesData:
        """Return the first rows; inputs stay, as they are known ahead."""
        return SeriesData(self.y[:n_steps], self.observed[:n_steps], self.inputs)

    def followed_by(self, y: Floats) -> SeriesData:
        """Return the series continued by a forecast, whose values count as gaps."""
        gaps = np.zeros(len(y), dtype=bool)
        return SeriesData(
            np.concatenate([self.y, y]), np.concatenate([self.observed, gaps]), self.inputs
        )

    def after(self, origins: Integers, horizon: int) -> tuple[Floats, Booleans]:
        """Return the values after some origins, (n_origins, horizon), and which were observed."""
        at = origins[:, None] + np.arange(horizon)
        return self.y[at], self.observed[at]


@register
@dataclass(frozen=True)
class Configuration:
    """A configuration: where, what it sees, which penalty, iterated or direct.

    `horizon` is that of a direct member, None for an iterated one.
    """

    space: Space
    view: MemberView
    horizon: int | None
    penalty: int

    @property
    def group(self) -> tuple[int, int, bool, bool]:
        """What the best of is kept: season, difference, mode, periodic terms."""
        space = self.space
        return (space.season, space.difference, self.horizon is None, self.view.has_fourier)

    @property
    def name(self) -> str:
        """A line for people."""
        parts = ["ESN" if self.view.has_states else "AR"]
        parts += ["periodic terms"] if self.view.has_fourier else []
        parts += ["log"] if self.space.log else []
        parts += [f"season {self.space.season}"] if self.space.season else []
        parts += ["differenced"] if self.space.difference else []
        return ", ".join([*parts, "iterated" if self.horizon is None else "direct"])


@register
@dataclass(frozen=True)
class SimpleMember:
    """A forecast without a readout: the last value, the mean of the last seasons, or a line.

    Parameters
    ----------
    season : int
        Steps whose values are repeated; 1 for the last value alone.
    n_seasons : int, default=1
        How many of the last seasons are averaged.
    drifts : bool, default=False
        Whether the mean change per step is added.
    """

    season: int
    n_seasons: int = 1
    drifts: bool = False

    @property
    def name(self) -> str:
        """A line for people."""
        if self.drifts:
            return "drift"
        if self.n_seasons > 1:
            return f"mean of {self.n_seasons} seasons of {self.season}"
        return f"seasonal naive, {self.season}" if self.season > 1 else "naive"

    def forecast(self, y: Floats, origins: Integers, horizon: int) -> Floats:
        """Return forecasts of shape (n_origins, horizon)."""
        ahead = np.arange(horizon)
        back = self.season * np.arange(1, self.n_seasons + 1)[:, None, None]
        repeated: Floats = y[origins[:, None] - back + ahead % self.season].mean(axis=0)
        if self.drifts:
            slope = (y[origins - 1] - y[0]) / np.maximum(origins - 1, 1)
            repeated = repeated + slope[:, None] * (1 + ahead)
        return repeated


Chosen = TypeVar("Chosen", "Configuration", "SimpleMember")


class Candidate(NamedTuple, Generic[Chosen]):
    """A configuration, its forecasts (n_origins, horizon) in the backtest, and their score."""

    choice: Chosen
    forecasts: Floats
    score: float


class Backtest(NamedTuple):
    """Where the backtest of a fit begins its forecasts.

    Attributes
    ----------
    origins : ndarray of int of shape (n_origins,)
        Rows before the first step forecast; those before the first origin are learned from.
    horizon : int
        Steps ahead.
    """

    origins: Integers
    horizon: int

    @classmethod
    def of(cls, n_steps: int, settings: ForecastSettings) -> Backtest:
        """Return equally spaced origins near the end of a series."""
        horizon = settings.horizon
        shortest = settings.seasons[0] if settings.seasons else 1
        # A week of hours, where the season is a day.
        reach = max(4 * horizon, horizon + 7 * shortest if shortest == 24 else 0)
        n_back = max(min(n_steps // 3, reach), horizon + 2)
        origins = np.linspace(n_steps - n_back, n_steps - horizon, N_ORIGINS)
        return cls(np.unique(np.round(origins).astype(np.intp)), horizon)


def scaling_of(space: Space, data: SeriesData, n_learned: int) -> SpaceScaling | None:
    """Return what standardises the rows learned from; None if they do not vary."""
    z = space.forward(space.axis(data.y[:n_learned]))
    size = np.abs(space.axis(data.y[:n_learned])).max()
    if len(z) < 2 or z.std() <= 1e-14 * size:
        return None
    return SpaceScaling.of(z, space.forward(data.inputs[:n_learned]))


def rows_in(
    space: Space,
    data: SeriesData,
    lags: Integers,
    seasons: tuple[int, ...],
    scaling: SpaceScaling,
) -> Rows:
    """Return a series as members in a space see it."""
    return Rows(space, space.axis(data.y), data.inputs, lags, seasons, scaling)


def views_for(space: Space, settings: ForecastSettings, has_inputs: bool) -> list[MemberView]:
    """Return what members see in a space."""
    views = [
        MemberView(has_states, False, has_inputs)
        for has_states, kind in ((False, "ar"), (True, "esn"))
        if settings.members in ("both", kind)
    ]
    if not space.season and settings.seasons and settings.members in ("both", "ar"):
        views.append(MemberView(False, True, has_inputs))
    return views


def learned_candidates(
    data: SeriesData, reservoir: Reservoir, settings: ForecastSettings, backtest: Backtest
) -> Iterator[Candidate[Configuration]]:
    """Yield all configurations with a readout, learned before the first origin."""
    n_learned = int(backtest.origins[0])
    floor = floor_of(data.y)
    bounds = bounds_at(data.y, backtest.origins, floor)
    truth, observed = data.after(*backtest)
    log_too = settings.transform == "auto" and bool(floor)
    has_inputs = data.inputs.shape[1] > 0
    for space in spaces_for(len(data), settings.seasons, log_too):
        scaling = scaling_of(space, data, n_learned)
        lags = choose_lags(n_learned - space.n_lost, settings.seasons)
        if scaling is None or not len(lags):
            continue
        rows = rows_in(space, data, lags, settings.seasons, scaling)
        for view in views_for(space, settings, has_inputs):
            features = rows.features(view, reservoir)
            for ahead in modes_of(settings):
                readouts = learn(rows, features, data.observed, n_learned, ahead, None)
                if readouts is None:
                    continue
                forecasts = forecast_member(
                    rows, view, reservoir, readouts, ahead, backtest, bounds
                )
                scores = mean_absolute_errors(forecasts, truth, observed)
                for penalty, path, score in zip(readouts.penalties, forecasts, scores):
                    yield Candidate(Configuration(space, view, ahead, penalty), path, float(score))


def modes_of(settings: ForecastSettings) -> list[int | None]:
    """Return the horizons of direct members, None for iterated ones."""
    modes: list[int | None] = [None] if settings.modes in ("both", "iterated") else []
    return [*modes, settings.horizon] if settings.modes in ("both", "direct") else modes


def forecast_member(
    rows: Rows,
    view: MemberView,
    reservoir: Reservoir,
    readouts: MemberReadouts,
    ahead: int | None,
    backtest: Backtest,
    bounds: Bounds,
) -> Floats:
    """Return forecasts of y, (n_penalties, n_origins, horizon), within bounds."""
    origins, horizon = backtest
    if ahead is None:
        w = forecast_iterated(rows, view, reservoir, readouts, origins, horizon)
    else:
        features = rows.features(view, reservoir, origins - 1 - rows.space.n_lost)
        w = forecast_direct(rows, features, readouts, origins)[..., :horizon]
    return np.clip(rows.space.values(w), *bounds)


def simple_candidates(
    data: SeriesData, settings: ForecastSettings, backtest: Backtest, with_drift: bool
) -> Iterator[Candidate[SimpleMember]]:
    """Yield the last value, and means of the last seasons that the series is long enough for."""
    first = int(backtest.origins[0])
    truth, observed = data.after(*backtest)
    bounds = bounds_at(data.y, backtest.origins, floor_of(data.y))
    tried = [SimpleMember(1)]
    tried += [
        SimpleMember(season, count)
        for season in settings.seasons
        for count in SEASONS_AVERAGED
        if count * season <= first
    ]
    for simple in [*tried, SimpleMember(1, drifts=True)] if with_drift else tried:
        forecasts = np.clip(simple.forecast(data.y, *backtest), *bounds)
        yield Candidate(simple, forecasts, float(mean_absolute_errors(forecasts, truth, observed)))


def best_of_groups(
    candidates: Iterable[Candidate[Configuration]],
) -> list[Candidate[Configuration]]:
    """Return the candidate of the lowest score of each group, in order of appearance."""
    best: dict[tuple[int, int, bool, bool], Candidate[Configuration]] = {}
    for candidate in candidates:
        group = candidate.choice.group
        # Any score is better than NaN.
        if group not in best or candidate.score < best[group].score or np.isnan(best[group].score):
            best[group] = candidate
    return list(best.values())
