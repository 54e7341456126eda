"""The forecaster of one series, on plain arrays: choice, combination, intervals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from reservoir.dynamics._reservoir import Reservoir
from reservoir.forecasting._backtest import (
    Backtest,
    Configuration,
    ForecastSettings,
    SeriesData,
    SimpleMember,
    best_of_groups,
    forecast_member,
    learned_candidates,
    rows_in,
    scaling_of,
    simple_candidates,
)
from reservoir.forecasting._combination import Intervals, weighted_variance, weights_of
from reservoir.forecasting._features import SpaceScaling, choose_lags
from reservoir.forecasting._members import MemberReadouts, learn
from reservoir.forecasting._spaces import Bounds, bounds_at, floor_of
from reservoir.utils.persistence import register, require_array
from reservoir.utils.types import Floats, Integers


@register
@dataclass(frozen=True)
class Member:
    """One of the forecasts that are averaged.

    Attributes
    ----------
    name : str
        What it is: AR (lags alone) or ESN (lags and states), the space it works in, and whether
        its forecasts are iterated or direct.
    weight : float
        Share in the mean; all of them sum to 1.
    score : float
        Mean absolute error of the backtest, in units of y.
    """

    name: str
    weight: float
    score: float


@register
@dataclass(frozen=True, eq=False)
class FittedMember:
    """A chosen configuration, learned from the whole series."""

    choice: Configuration
    lags: Integers
    scaling: SpaceScaling
    readouts: MemberReadouts

    def check_loaded(self) -> None:
        """Raise ValueError unless what was read from a file are lags."""
        require_array("lags", self.lags, (None,), kinds="i")
        if len(self.lags) and self.lags.min() < 0:
            raise ValueError("`lags` are negative")

    @classmethod
    def learn(
        cls,
        choice: Configuration,
        lags: Integers,
        data: SeriesData,
        reservoir: Reservoir,
        settings: ForecastSettings,
    ) -> FittedMember | None:
        """Learn from all rows, with the penalty that the backtest chose."""
        scaling = scaling_of(choice.space, data, len(data))
        if scaling is None:
            return None
        rows = rows_in(choice.space, data, lags, settings.seasons, scaling)
        features = rows.features(choice.view, reservoir)
        readouts = learn(rows, features, data.observed, len(data), choice.horizon, choice.penalty)
        return None if readouts is None else cls(choice, lags, scaling, readouts)

    def forecast(
        self,
        data: SeriesData,
        reservoir: Reservoir,
        settings: ForecastSettings,
        backtest: Backtest,
        bounds: Bounds,
    ) -> Floats:
        """Return forecasts of y, (n_origins, horizon)."""
        choice = self.choice
        rows = rows_in(choice.space, data, self.lags, settings.seasons, self.scaling)
        found: Floats = forecast_member(
            rows, choice.view, reservoir, self.readouts, choice.horizon, backtest, bounds
        )[0]
        return found


class Combined(NamedTuple):
    """Forecasts of shape (n_origins, horizon), and the variances among members.

    Those of log y are zeros where the series is not positive.
    """

    mean: Floats
    variance: Floats
    log_variance: Floats


def combine(forecasts: Floats, weights: Floats, is_positive: bool) -> Combined:
    """Return the weighted mean of members' forecasts, of shape (n_members, n_origins, horizon)."""
    mean = np.tensordot(weights, forecasts, axes=1)
    variance = weighted_variance(forecasts, weights)
    if not is_positive:
        return Combined(mean, variance, np.zeros_like(mean))
    return Combined(mean, variance, weighted_variance(np.log(forecasts), weights))


@register
@dataclass(frozen=True, eq=False)
class SeriesModel:
    """What was chosen and learned for one series.

    Attributes
    ----------
    settings : ForecastSettings
        As asked for; the horizon may be shorter.
    floor : float or None
        What forecasts never fall below: of series that were nowhere negative.
    parts : list of FittedMember
        Best configurations of their groups; none if the series is too short.
    simple : list of SimpleMember
        Members without a readout; they come after `parts` in `members`.
    members : list of Member
        Names, weights and scores.
    intervals : Intervals
        Of y.
    log_intervals : Intervals or None
        Of log y, for positive series.
    log_share : float
        Weight of members that forecast log y among those with a readout: the share that intervals
        on the logarithm have.
    """

    settings: ForecastSettings
    floor: float | None
    parts: list[FittedMember]
    simple: list[SimpleMember]
    members: list[Member]
    intervals: Intervals
    log_intervals: Intervals | None
    log_share: float

    @classmethod
    def fit(cls, data: SeriesData, reservoir: Reservoir, settings: ForecastSettings) -> SeriesModel:
        """Backtest all candidates, choose, and learn from the whole series."""
        backtest = Backtest.of(len(data), settings)
        first = int(backtest.origins[0])
        learned = best_of_groups(learned_candidates(data, reservoir, settings, backtest))
        parts = []
        for candidate in learned:
            choice = candidate.choice
            lags = choose_lags(first - choice.space.n_lost, settings.seasons)
            parts.append(FittedMember.learn(choice, lags, data, reservoir, settings))
        learned = [found for found, part in zip(learned, parts) if part is not None]
        simple = list(simple_candidates(data, settings, backtest, with_drift=not learned))
        scores = np.array([*(found.score for found in learned), *(one.score for one in simple)])
        forecasts = np.stack([*(f.forecasts for f in learned), *(one.forecasts for one in simple)])
        names = [*(found.choice.name for found in learned), *(one.choice.name for one in simple)]
        weights = weights_of(scores, settings.weight_power)
        floor = floor_of(data.y)
        combined = combine(forecasts, weights, bool(floor))
        truth, observed = data.after(*backtest)
        errors = np.where(observed, truth - combined.mean, np.nan)
        log_intervals = None
        if floor:
            log_errors = np.where(observed, np.log(truth) - np.log(combined.mean), np.nan)
            log_intervals = Intervals.calibrate(log_errors, combined.log_variance)
        of_logs = [found.choice.space.log for found in learned]
        with_readout = weights[: len(learned)]
        return cls(
            settings,
            floor,
            [part for part in parts if part is not None],
            [found.choice for found in simple],
            [Member(*one) for one in zip(names, weights.tolist(), scores.tolist())],
            Intervals.calibrate(errors, combined.variance),
            log_intervals,
            float(with_readout @ of_logs / with_readout.sum()) if learned else 0.0,
        )

    def forecast(
        self, data: SeriesData, reservoir: Reservoir, origins: Integers, horizon: int
    ) -> Combined:
        """Return the forecasts from some origins, from one pass over the series.

        Beyond the horizon of the fit, the forecast so far is taken for the series, and the next
        stretch begins at its end.
        """
        if self.floor:
            # Values that came later may be 0 or below, which has no logarithm.
            data = replace(data, y=np.maximum(data.y, self.floor))
        reach = min(horizon, self.settings.horizon)
        bounds = bounds_at(data.y, origins, self.floor)
        near = self._stretch(data, reservoir, Backtest(origins, reach), bounds)
        if horizon == reach:
            return near
        far = [
            self._beyond(
                data.until(int(origin)),
                reservoir,
                mean,
                horizon,
                Bounds(bounds.low[[index]], bounds.high[[index]]),
            )
            for index, (origin, mean) in enumerate(zip(origins, near.mean))
        ]
        pairs = zip(near, zip(*far, strict=True), strict=True)
        return Combined(*(np.hstack([one, np.vstack(others)]) for one, others in pairs))

    def _stretch(
        self, data: SeriesData, reservoir: Reservoir, backtest: Backtest, bounds: Bounds
    ) -> Combined:
        """Return the forecasts of at most the horizon of the fit."""
        forecasts = [
            part.forecast(data, reservoir, self.settings, backtest, bounds) for part in self.parts
        ]
        forecasts += [
            np.clip(simple.forecast(data.y, *backtest), *bounds) for simple in self.simple
        ]
        weights = np.array([member.weight for member in self.members])
        return combine(np.stack(forecasts), weights, bool(self.floor))

    def _beyond(
        self,
        data: SeriesData,
        reservoir: Reservoir,
        mean: Floats,
        horizon: int,
        bounds: Bounds,
    ) -> Combined:
        """Return the forecasts after `mean`, which continues one series, up to a horizon.

        Bounds stay those of the series itself: else each stretch would widen those of the next.
        """
        stretches: list[Combined] = []
        n_left = horizon - len(mean)
        while n_left > 0:
            data = data.followed_by(mean)
            backtest = Backtest(np.array([len(data)]), min(n_left, self.settings.horizon))
            stretches.append(self._stretch(data, reservoir, backtest, bounds))
            mean = stretches[-1].mean[0]
            n_left -= len(mean)
        return Combined(*(np.hstack(parts) for parts in zip(*stretches, strict=True)))

    def bounds_of(self, combined: Combined, level: float) -> tuple[Floats, Floats]:
        """Return the lower and the upper end of intervals at a level in percent.

        Where members forecast log y, as much of the interval is one on the logarithm, which grows
        with the series.
        """
        half = self.intervals.half_widths(level, combined.variance)
        lower, upper = combined.mean - half, combined.mean + half
        if self.log_intervals is not None and self.log_share:
            # Far ahead a factor could overflow.
            widths = np.minimum(self.log_intervals.half_widths(level, combined.log_variance), 300)
            factor = np.exp(widths)
            lower += self.log_share * (combined.mean / factor - lower)
            upper += self.log_share * (combined.mean * factor - upper)
        if self.floor is not None:
            lower = np.maximum(lower, 0.0)
        return lower, upper


def fit_series(data: SeriesData, reservoir: Reservoir, settings: ForecastSettings) -> SeriesModel:
    """Return the model of one series; small matrices are fastest on one thread."""
    with threadpool_limits(1):
        return SeriesModel.fit(data, reservoir, settings)


def evaluate_series(
    data: SeriesData,
    reservoir: Reservoir,
    settings: ForecastSettings,
    origins: Integers,
    horizon: int,
) -> tuple[SeriesModel, Combined]:
    """Return a model of the rows before the first origin, and its forecasts from all of them."""
    with threadpool_limits(1):
        model = SeriesModel.fit(data.until(int(origins[0])), reservoir, settings)
        return model, model.forecast(data, reservoir, origins, horizon)
