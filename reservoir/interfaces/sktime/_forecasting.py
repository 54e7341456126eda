"""The forecaster of real series, for sktime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from reservoir.forecasting._estimator import ReservoirForecaster
from reservoir.interfaces._wrapped import fresh


class SktimeReservoirForecaster(BaseForecaster):
    """`ReservoirForecaster` as a forecaster of sktime.

    It has the methods of sktime's ``BaseForecaster``: ``fit``, ``predict``, ``predict_interval``,
    ``predict_quantiles``, ``update``, ``update_predict`` and what builds on them. What is computed
    is what `ReservoirForecaster` computes.

    Read more in the guide: :doc:`/guide/interfaces`.

    Parameters
    ----------
    forecaster : ReservoirForecaster, default=None
        What forecasts; it is cloned in ``fit``. None stands for ``ReservoirForecaster()``. Its
        parameters can be set as ``forecaster__n_units`` and so on.

    Attributes
    ----------
    forecaster_ : ReservoirForecaster
        The fitted forecaster, with its members, weights and backtests.

    See Also
    --------
    reservoir.forecasting.ReservoirForecaster : What it wraps.

    Notes
    -----
    - Columns of ``y`` are forecast one by one, by one reservoir.
    - ``X`` is what is known ahead: ``predict`` needs it for each step up to the last one asked for.
    - Gaps in ``y`` are filled; one at its end is refused.
    - Forecasts of steps that are known (in sample) are refused.
    - ``update(update_params=False)`` goes on from the new end with the readouts as they are, with
      True members are chosen and learned again. Rows that are known already are passed over.
    - Members are chosen for the steps ahead that ``horizon`` of the forecaster says, whatever
      horizon ``fit`` is told.

    Examples
    --------
    >>> import pandas as pd
    >>> from reservoir.datasets import load_air_passengers
    >>> from reservoir.forecasting import ReservoirForecaster
    >>> from reservoir.interfaces.sktime import SktimeReservoirForecaster
    >>> months = pd.period_range("1949-01", periods=144, freq="M")
    >>> y = pd.Series(load_air_passengers(), index=months)
    >>> model = SktimeReservoirForecaster(ReservoirForecaster(horizon=12, random_state=0))
    >>> y_pred = model.fit(y[:132], fh=range(1, 13)).predict()
    >>> bool((y_pred - y[132:]).abs().mean() < 25)
    True
    >>> model.predict_interval(coverage=0.9).shape
    (12, 2)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": "The reservoir-hessianfree developers",
        "maintainers": "The reservoir-hessianfree developers",
        "y_inner_mtype": "pd.DataFrame",
        "X_inner_mtype": "pd.DataFrame",
        "capability:multivariate": True,
        "capability:exogenous": True,
        "capability:non_contiguous_X": False,
        "capability:categorical_in_X": False,
        "capability:missing_values": True,
        "capability:pred_int": True,
        "capability:insample": False,
        "capability:pred_int:insample": False,
        "capability:update": True,
        "requires-fh-in-fit": False,
    }
    # `forecaster_` has what was seen. sktime sets these two only where it is to keep data itself.
    _config: ClassVar[dict[str, Any]] = {"remember_data": False}
    _y: Any = None
    _X: Any = None

    def __init__(self, forecaster: ReservoirForecaster | None = None) -> None:
        self.forecaster = forecaster
        super().__init__()

    def _fit(self, y: Any, X: Any, fh: Any) -> Self:
        model = fresh("forecaster", self.forecaster, ReservoirForecaster)
        self.forecaster_ = model.fit(y, None if X is None else X.loc[y.index])
        self._end = self.cutoff
        return self

    def _update(self, y: Any, X: Any = None, update_params: bool = True) -> Self:
        new = y[y.index > self._end[0]]
        if len(new):
            inputs = None if X is None else X.loc[new.index]
            self.forecaster_.update(new, inputs, learn=bool(update_params))
            self._end = self.cutoff
        return self

    def _predict(self, fh: Any, X: Any) -> Any:
        steps, forecast = self._forecast(fh, X, ())
        return pd.DataFrame(
            np.asarray(forecast)[steps - 1],
            index=fh.to_absolute_index(self.cutoff),
            columns=self._get_varnames(),
        )

    def _predict_interval(self, fh: Any, X: Any, coverage: Sequence[float]) -> Any:
        levels = [100 * one for one in coverage if one > 0]
        steps, forecast = self._forecast(fh, X, levels)
        ends = []
        for one in coverage:
            # An interval that covers nothing is the forecast itself: the median, to sktime.
            pair = [forecast.mean] * 2
            if one > 0:
                pair = [forecast.lower[100 * one], forecast.upper[100 * one]]
            ends += [np.asarray(end)[steps - 1] for end in pair]
        return pd.DataFrame(
            np.stack(ends, axis=2).reshape(len(steps), -1),
            index=fh.to_absolute_index(self.cutoff),
            columns=self._get_columns(method="predict_interval", coverage=coverage),
        )

    def _forecast(self, fh: Any, X: Any, level: Sequence[float]) -> tuple[Any, Any]:
        """Return the steps ahead that are asked for, and a forecast up to the last of them."""
        steps = fh.to_absolute(self.cutoff).to_relative(self._end).to_numpy()
        if steps.min() < 1:
            raise ValueError(
                f"`fh` goes back to {fh.to_absolute_index(self.cutoff).min()}, but y is known up "
                f"to {self._end[0]}. Fit on the rows before, or ask for later steps."
            )
        horizon = int(steps.max())
        if X is not None:
            ahead = ForecastingHorizon(np.arange(1, horizon + 1), is_relative=True)
            X = X[X.index.isin(ahead.to_absolute_index(self._end))]
        return steps, self.forecaster_.forecast(horizon, X, level)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return small settings for the checks of sktime.

        Parameters
        ----------
        parameter_set : str, default="default"
            Not used: there is one set.

        Returns
        -------
        list of dict
            Parameters of the class.
        """
        quick: dict[str, Any] = {"seasons": (), "horizon": 3, "n_units": 5, "random_state": 0}
        linear = ReservoirForecaster(members="ar", **quick)
        iterated = ReservoirForecaster(modes="iterated", transform="none", **quick)
        return [{"forecaster": linear}, {"forecaster": iterated}]
