"""The forecaster of real series: one, or many in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from reservoir.dynamics._recipe import ReservoirRecipe, reservoir_seeds
from reservoir.dynamics._reservoir import Reservoir
from reservoir.forecasting._backtest import ForecastSettings, SeriesData
from reservoir.forecasting._gaps import fill_gaps
from reservoir.forecasting._inputs import KnownInputs, check_calendar
from reservoir.forecasting._model import SeriesModel, evaluate_series, fit_series
from reservoir.forecasting._reading import (
    MIN_ROWS,
    SeriesForm,
    check_end,
    check_seasons,
    check_values,
    read_continuation,
    read_series,
)
from reservoir.forecasting._results import BacktestResult, Forecast, check_levels
from reservoir.utils.persistence import SavableMixin, register
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Floats
from reservoir.utils.validation import check_choice, check_integer, check_real, warn_caller

register(Reservoir)

# Without an index, an argument or seasons nothing says how far ahead is meant.
_DEFAULT_HORIZON = 10


class ReservoirForecaster(SavableMixin, BaseEstimator):
    """Forecast real series: scaled, differenced, chosen by backtest, averaged, with intervals.

    ŷ[n + h] = Σ_m w_m ŷ_m[n + h],   w_m ∝ s_m^-p

    Each member m is a ridge readout of the last values (AR), or of these and the states of a
    reservoir that they drive (ESN), in one space: y or log y, with seasonal and first differences
    or without. Its forecasts are iterated, each becoming the next value known, or direct, all steps
    at once. A backtest from 32 origins in the last third, without refit and with all origins in
    one batch, gives each its score s, the mean absolute error. Of each group of like ones (same
    differences and mode) the best is kept, learned again from all rows, and averaged with the
    others, with the naive forecast and with means of the last seasons. Intervals come from the
    errors of that mean in the backtest. Most of the accuracy is due to this choosing and averaging,
    less to the reservoir: see :doc:`/guide/forecasting`.

    Parameters
    ----------
    seasons : None, int or sequence of int, default=None
        Lengths of seasons in steps, such as 12 or (24, 168); () for none. None reads them off the
        frequency of a pandas index (hourly 24 and 168, daily 7 and 365, monthly 12, ...); without
        one there are none.
    horizon : int, default=None
        Steps ahead that members are chosen for; `forecast` goes farther by starting again at the
        end of its own forecast. None: two of the shortest season, 10 without one. At most a third
        of the rows is used.
    n_units : int, default=100
        Units of the reservoir.
    spectral_radius, input_scaling, bias_scaling : float, default=0.9, 0.5, 0.2
        Scales of its weights, for standardised series.
    members : {"both", "ar", "esn"}, default="both"
        Which members are tried. "ar" takes about a third of the time.
    modes : {"both", "iterated", "direct"}, default="both"
        How they look ahead.
    transform : {"auto", "none"}, default="auto"
        "auto" also tries the logarithm of series that are positive.
    weight_power : float, default=3.0
        p; 0 averages with equal weights.
    calendar : sequence of {"hour", "weekday", "month", "yearday"}, default=()
        What the dates of a pandas index say of each step, as inputs known ahead.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seed of the weights, which are drawn once for all spaces and series.
    n_jobs : int, default=None
        Workers among which several series are spread, as in joblib, whose `parallel_config` names
        other backends such as dask.

    Attributes
    ----------
    members_ : list of Member
        What is averaged: `name`, `weight` and `score` of each; a list of such lists for several
        series.
    seasons_ : tuple of int
        Seasons used, likewise.
    horizon_ : int
        Steps ahead that members were chosen for, likewise.
    n_series_ : int
        How many series there are.
    reservoir_ : Reservoir
        The weights.
    models_ : list of SeriesModel
        What was learned of each series.

    See Also
    --------
    reservoir.ESNRegressor : One network, with everything in your hands.

    Notes
    -----
    Missing values, NaN, are filled for what members see, by the mean of the season's place and a
    straight line; they are no targets and count in no score. Leading ones are dropped. A series
    that ends with one is refused.

    No forecast explodes: standardised values are cut off at 30, forecasts one range of the series
    beyond what was seen, and a series that is nowhere negative, or is positive, stays so.

    Series too short for a readout (below about 15 rows) are forecast by the simple members alone,
    with a warning: naive, drift and seasonal naive. From 8 rows on there is a forecast.

    References
    ----------
    .. [1] Lukoševičius (2012), A Practical Guide to Applying Echo State Networks.
    .. [2] Makridakis, Spiliotis & Assimakopoulos (2020), The M4 Competition.

    Examples
    --------
    >>> from reservoir.datasets import load_air_passengers
    >>> passengers = load_air_passengers()
    >>> forecaster = ReservoirForecaster(seasons=12, horizon=12, random_state=0)
    >>> forecast = forecaster.fit(passengers[:132]).forecast(12)
    >>> forecast.mean.shape, sorted(forecast.lower)
    ((12,), [80, 95])
    >>> bool(abs(forecast.mean - passengers[132:]).mean() < 25)
    True
    """

    members_: Any
    seasons_: Any
    horizon_: Any
    models_: list[SeriesModel]
    reservoir_: Reservoir
    n_series_: int

    def __init__(
        self,
        seasons: int | Sequence[int] | None = None,
        *,
        horizon: int | None = None,
        n_units: int = 100,
        spectral_radius: float = 0.9,
        input_scaling: float = 0.5,
        bias_scaling: float = 0.2,
        members: Literal["both", "ar", "esn"] = "both",
        modes: Literal["both", "iterated", "direct"] = "both",
        transform: Literal["auto", "none"] = "auto",
        weight_power: float = 3.0,
        calendar: Sequence[str] = (),
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.seasons = seasons
        self.horizon = horizon
        self.n_units = n_units
        self.spectral_radius = spectral_radius
        self.input_scaling = input_scaling
        self.bias_scaling = bias_scaling
        self.members = members
        self.modes = modes
        self.transform = transform
        self.weight_power = weight_power
        self.calendar = calendar
        self.random_state = random_state
        self.n_jobs = n_jobs

    _form: SeriesForm
    _data: list[SeriesData]
    _offsets: list[int]
    _known: KnownInputs

    @transaction()
    def fit(self, y: Any, X: Any = None) -> Self:
        """Backtest all members, choose among them, and learn from the whole series.

        Parameters
        ----------
        y : array-like of shape (n_steps,) or (n_steps, n_series), Series, DataFrame, or list
            One series; several of one length, one per column; or a list of series.
        X : array-like of shape (n_steps,) or (n_steps, n_inputs), DataFrame, or list, optional
            What is known ahead of each step, such as a price or a holiday. For a list of series, a
            list with one each.

        Returns
        -------
        ReservoirForecaster
            Itself.

        Raises
        ------
        ValueError
            If a series is constant, empty, infinite somewhere, too short, ends with a gap, or has
            an irregular index; or a parameter is out of range.
        TypeError
            If something is of the wrong kind.
        """
        self._check_parameters()
        values, self._form = read_series(y)
        self.n_series_ = len(values)
        for index, series in enumerate(values):
            check_values(series, self._form.where(index))
        calendar = check_calendar(self.calendar)
        n_rows = [len(series) for series in values]
        self._known, inputs = KnownInputs.of(X, calendar, self._form, n_rows)
        self._offsets = [int(np.flatnonzero(np.isfinite(series))[0]) for series in values]
        self._data = []
        for index, (series, start) in enumerate(zip(values, self._offsets)):
            y_seen = series[start:]
            observed = np.isfinite(y_seen)
            filled = fill_gaps(y_seen, observed, self._seasons_of(index))
            self._data.append(SeriesData(filled, observed, inputs[index][start:]))
        self.reservoir_ = self._draw(inputs[0].shape[1])
        return self._learn()

    def forecast(self, horizon: int, X_future: Any = None, level: Any = (80, 95)) -> Any:
        """Return the steps after the series.

        Parameters
        ----------
        horizon : int
            Steps. Beyond `horizon_` the forecast is continued from its own end, and intervals grow
            as those of a random walk.
        X_future : array-like of shape (horizon, n_inputs), or as `X` several, optional
            Inputs of these steps; needed if `fit` was given some.
        level : float or sequence of float, default=(80, 95)
            Intervals, in percent.

        Returns
        -------
        Forecast
            `mean`, and `lower` and `upper` by level, in the kind of `y`; a list of such if `y` was
            a list.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `X_future` is missing, or does not match.
        """
        check_is_fitted(self, "models_")
        horizon = check_integer("horizon", horizon, minimum=1)
        levels = check_levels(level)
        n_rows, starts = [horizon] * self.n_series_, self._lengths()
        future = self._known.read(X_future, self._form, n_rows, starts, "X_future")
        n_columns = 1 + 2 * len(levels)
        columns: list[list[Floats]] = [[] for _ in range(n_columns)]
        for model, data, later in zip(self.models_, self._data, future):
            known = replace(data, inputs=np.vstack([data.inputs, later]))
            with threadpool_limits(1):
                combined = model.forecast(known, self.reservoir_, np.array([len(data)]), horizon)
            ends = [end[0] for one in levels for end in model.bounds_of(combined, one)]
            for column, value in zip(columns, [combined.mean[0], *ends]):
                column.append(value)
        if self._form.kind != "list":
            return as_forecast(self._form, columns, starts[0], levels)
        return [
            as_forecast(form, [[column[i]] for column in columns], starts[i], levels)
            for i, form in enumerate(self._form.parts)
        ]

    def backtest(
        self,
        n_origins: int = 16,
        step: int | None = None,
        horizon: int | None = None,
        level: Any = (80, 95),
    ) -> Any:
        """Say how good forecasts from earlier origins would have been, without refit.

        Everything is chosen and learned once more, from the rows before the first origin alone;
        the forecasts from all origins then come from one pass over the series.

        Parameters
        ----------
        n_origins : int, default=16
            Origins, the last one `horizon` steps before the end.
        step : int, optional
            Rows between two; `horizon` if left out.
        horizon : int, optional
            Steps ahead; `horizon_` if left out.
        level : float or sequence of float, default=(80, 95)
            Intervals, in percent.

        Returns
        -------
        BacktestResult
            Forecasts beside what came, errors and coverage; a list of such for several series.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If fewer than 8 rows are left before the first origin.
        """
        check_is_fitted(self, "models_")
        n_origins = check_integer("n_origins", n_origins, minimum=1)
        levels = check_levels(level)
        jobs = [
            self._backtest_of(index, n_origins, step, horizon) for index in range(self.n_series_)
        ]
        found = Parallel(n_jobs=self.n_jobs)(
            delayed(evaluate_series)(data, self.reservoir_, settings, origins, ahead)
            for data, (settings, origins, ahead) in zip(self._data, jobs)
        )
        results = []
        for index, ((model, combined), (_, origins, ahead)) in enumerate(zip(found, jobs)):
            data = self._data[index]
            truth, observed = data.after(origins, ahead)
            ends = {one: model.bounds_of(combined, one) for one in levels}
            labels = self._form.clocks[index].labels(self._offsets[index], len(data))
            season = model.settings.seasons[0] if model.settings.seasons else 1
            known = data.y[: origins[0]]
            season = season if season < len(known) else 1
            results.append(
                BacktestResult(
                    origins + self._offsets[index],
                    None if labels is None else labels[origins],
                    np.where(observed, truth, np.nan),
                    combined.mean,
                    {one: lower for one, (lower, _) in ends.items()},
                    {one: upper for one, (_, upper) in ends.items()},
                    float(np.abs(known[season:] - known[:-season]).mean()),
                )
            )
        return results[0] if self._form.is_one else results

    @transaction()
    def update(self, y_new: Any, X_new: Any = None, *, learn: bool = False) -> Self:
        """Go on with values that came after the series.

        Parameters
        ----------
        y_new : as `y` of `fit`
            The next rows of each series; of a pandas one the index must go on.
        X_new : as `X` of `fit`, optional
            Inputs of these rows; needed if `fit` was given some.
        learn : bool, default=False
            Whether members are chosen and learned again, from old and new rows, as `fit` would.
            Otherwise the same readouts forecast from the new end.

        Returns
        -------
        ReservoirForecaster
            Itself.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If the values are not finite or NaN, end with a gap, or do not go on where the series
            ended. Nothing is changed then.
        """
        check_is_fitted(self, "models_")
        starts = self._lengths()
        new = read_continuation(y_new, self._form, starts)
        n_rows = [len(values) for values in new]
        inputs = self._known.read(X_new, self._form, n_rows, starts, "X_new")
        data = []
        for index, (old, values) in enumerate(zip(self._data, new)):
            check_end(values, self._form.where(index).replace("`y`", "`y_new`"))
            y = np.concatenate([old.y, values])
            observed = np.concatenate([old.observed, np.isfinite(values)])
            y = fill_gaps(y, np.isfinite(y), self._seasons_of(index))
            data.append(SeriesData(y, observed, np.vstack([old.inputs, inputs[index]])))
        self._data = data
        return self._learn() if learn else self

    def plot(
        self,
        horizon: int | None = None,
        X_future: Any = None,
        *,
        level: Any = (80, 95),
        y_true: ArrayLike | None = None,
        n_past: int | None = None,
        series: int = 0,
        ax: Any = None,
    ) -> Any:
        """Draw the end of a series, its forecast and intervals.

        Parameters
        ----------
        horizon, X_future, level
            As in `forecast`; `horizon_` steps if left out.
        y_true : array-like of shape (n_steps,), optional
            What came, to be drawn beside the forecast.
        n_past : int, optional
            Rows of the series drawn; three times the steps forecast if left out.
        series : int, default=0
            Which of several.
        ax : matplotlib Axes, optional
            Made if left out.

        Returns
        -------
        reservoir.plotting.IntervalDisplay
        """
        from reservoir.plotting._intervals import IntervalDisplay

        check_is_fitted(self, "models_")
        series = check_integer("series", series, maximum=self.n_series_ - 1)
        horizon = self.models_[series].settings.horizon if horizon is None else horizon
        forecast = self.forecast(horizon, X_future, level)
        forecast = forecast[series] if self._form.kind == "list" else forecast

        def column(values: Any) -> Floats:
            array = np.asarray(values)
            return array if array.ndim == 1 else array[:, series]

        data, offset = self._data[series], self._offsets[series]
        n_past = min(3 * horizon if n_past is None else n_past, len(data))
        past = np.where(data.observed, data.y, np.nan)[-n_past:]
        first = offset + len(data) - n_past
        times = self._form.clocks[series].labels(first, n_past + horizon)
        return IntervalDisplay.from_forecast(
            past,
            column(forecast.mean),
            {one: column(values) for one, values in forecast.lower.items()},
            {one: column(values) for one, values in forecast.upper.items()},
            y_true=y_true,
            times=np.arange(first, first + n_past + horizon) if times is None else times,
            ax=ax,
        )

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if not hasattr(self, "models_"):
            return
        parts: dict[str, list[Any]] = {
            "models_": self.models_,
            "_data": self._data,
            "_offsets": self._offsets,
        }
        for name, part in parts.items():
            if len(part) != self.n_series_:
                raise ValueError(f"`{name}` is of {len(part)} series, not of {self.n_series_}")
        if not isinstance(self.reservoir_, Reservoir):
            raise ValueError("`reservoir_` is none")

    def _check_parameters(self) -> None:
        check_seasons(self.seasons)
        if self.horizon is not None:
            check_integer("horizon", self.horizon, minimum=1)
        check_choice("members", self.members, ("both", "ar", "esn"))
        check_choice("modes", self.modes, ("both", "iterated", "direct"))
        check_choice("transform", self.transform, ("auto", "none"))
        check_real("weight_power", self.weight_power, minimum=0)
        check_calendar(self.calendar)

    def _draw(self, n_inputs: int) -> Reservoir:
        """Return the weights: inputs known ahead share the scale of the series among them."""
        scaling = check_real("input_scaling", self.input_scaling, minimum=0)
        shared = scaling / np.sqrt(max(n_inputs, 1))
        recipe = ReservoirRecipe(
            n_units=self.n_units,
            spectral_radius=self.spectral_radius,
            leak_rate=1.0,
            input_scaling=[scaling] + [shared] * n_inputs,
            bias_scaling=self.bias_scaling,
            connectivity=min(10, check_integer("n_units", self.n_units, minimum=1)),
            topology="random",
            distribution="uniform",
            activation="tanh",
            dtype="float64",
        )
        return recipe.draw(1 + n_inputs, 0, reservoir_seeds(self.random_state))

    def _seasons_of(self, index: int) -> tuple[int, ...]:
        given = check_seasons(self.seasons)
        return self._form.clocks[index].seasons() if given is None else given

    def _settings_of(self, index: int, n_steps: int, horizon: int | None) -> ForecastSettings:
        """Return how a series is forecast from its first rows."""
        seasons = self._seasons_of(index)
        if horizon is None:
            horizon = 2 * seasons[0] if seasons else _DEFAULT_HORIZON
        return ForecastSettings(
            seasons,
            max(1, min(horizon, n_steps // 3)),
            self.members,
            self.modes,
            self.transform,
            float(self.weight_power),
        )

    def _learn(self) -> Self:
        """Fit all series, and say which were too short."""
        self.models_ = Parallel(n_jobs=self.n_jobs)(
            delayed(fit_series)(
                data, self.reservoir_, self._settings_of(index, len(data), self.horizon)
            )
            for index, data in enumerate(self._data)
        )
        short = [index for index, model in enumerate(self.models_) if not model.parts]
        if short:
            others = f" and {len(short) - 1} more" if len(short) > 1 else ""
            warn_caller(
                f"{self._form.where(short[0])}{others}: {len(self._data[short[0]])} rows are too "
                "few to learn a readout from, or hardly vary. The forecast is a mean of naive, "
                "drift and seasonal naive forecasts.",
            )
        per_series: list[tuple[Any, ...]] = [
            (model.members, model.settings.seasons, model.settings.horizon)
            for model in self.models_
        ]
        columns = [list(column) for column in zip(*per_series)]
        self.members_, self.seasons_, self.horizon_ = (
            [column[0] for column in columns] if self._form.is_one else columns
        )
        return self

    def _lengths(self) -> list[int]:
        """Return the rows of each series, with leading gaps."""
        return [offset + len(data) for offset, data in zip(self._offsets, self._data)]

    def _backtest_of(
        self, index: int, n_origins: int, step: int | None, horizon: int | None
    ) -> tuple[ForecastSettings, Any, int]:
        """Return settings, origins and horizon of the backtest of a series."""
        ahead = self.models_[index].settings.horizon
        if horizon is not None:
            ahead = check_integer("horizon", horizon, minimum=1)
        between = ahead if step is None else check_integer("step", step, minimum=1)
        n_rows = len(self._data[index])
        origins = n_rows - ahead - between * np.arange(n_origins)[::-1]
        if origins[0] < MIN_ROWS:
            possible = max((n_rows - ahead - MIN_ROWS) // between + 1, 0)
            raise ValueError(
                f"{self._form.where(index)} has {n_rows} rows, too few for {n_origins} origins "
                f"{between} steps apart that look {ahead} ahead. Pass `n_origins` of at most "
                f"{possible}, or a smaller `step` or `horizon`."
            )
        return self._settings_of(index, int(origins[0]), ahead), origins, ahead


def as_forecast(
    form: SeriesForm, columns: list[list[Floats]], start: int, levels: tuple[float, ...]
) -> Forecast:
    """Return mean and ends of intervals, each a list with one array per series, in their form."""
    mean, *ends = (form.restore(column, start) for column in columns)
    return Forecast(mean, dict(zip(levels, ends[::2])), dict(zip(levels, ends[1::2])))
