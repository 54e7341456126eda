"""HybridForecaster: a model of the user's beside the reservoir."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, MultiOutputMixin, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted

from reservoir.dynamics._bounds import find_departure, refuse_departure
from reservoir.estimators._esn import ESNRegressor
from reservoir.utils.explained import explained
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Floats
from reservoir.utils.validation import as_numbers, check_integer

_LEAST_ROWS = 3


class HybridForecaster(MetaEstimatorMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Forecast a series with a reservoir and a model of what makes it, however wrong.

    The model K says of each row what comes next. A reservoir is driven by the row and by that, and
    the readout sees both beside the state [1]_,

    .. math::

        x[t] &= (1 - a)\, x[t-1] + a f(W x[t-1] + W_\mathrm{in} [u[t]; K(u[t])] + b) \\
        u[t+1] &\approx W_\mathrm{out} [u[t]; K(u[t]); x[t]] + c,

    so that it learns where the model can be trusted and what it lacks. In a forecast each
    prediction is the next row, of the reservoir and of the model. Rows and the model are in the
    units of the data; for the reservoir each column is standardised.

    Read more in the guide: :doc:`/guide/hybrid`.

    Parameters
    ----------
    model : callable
        K: gets rows (n_rows, n_features) and returns as many, (n_rows, n_predicted), in most cases
        the row one step later. It may give other quantities, or some of the features only.
    regressor : ESNRegressor, optional
        What learns: `ESNRegressor()` if left out. With `include_input`, without feedback weights.

    Attributes
    ----------
    regressor_ : ESNRegressor
        The fitted one, for standardised [u; K(u)].
    mean_, deviation_ : ndarray of shape (n_features + n_predicted,)
        Of the columns of [u; K(u)] in training; a constant column has the deviation 1.
    n_features_in_ : int
        Number of columns of the series.

    See Also
    --------
    ESNRegressor : Without a model.

    References
    ----------
    .. [1] Pathak, Wikner, Fussell, Chandra, Hunt, Girvan & Ott (2018), Hybrid forecasting of
       chaotic processes: using machine learning in conjunction with a knowledge-based model,
       Chaos 28, 041101.

    Examples
    --------
    A model that turns a little too slowly, and what is learned with it:

    >>> import numpy as np
    >>> from reservoir import ESNRegressor, HybridForecaster
    >>> def rotation(angle):
    ...     return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    >>> series = np.stack([np.cos(0.2 * np.arange(600)), np.sin(0.2 * np.arange(600))], axis=1)
    >>> def model(rows):
    ...     return rows @ rotation(0.19)
    >>> hybrid = HybridForecaster(model, ESNRegressor(50, washout=50, random_state=0))
    >>> forecast = hybrid.fit(series[:500]).forecast(100)
    >>> bool(abs(forecast - series[500:]).max() < 0.01)
    True
    """

    regressor_: ESNRegressor
    mean_: Floats
    deviation_: Floats
    n_features_in_: int
    _last_row: Floats

    def __init__(
        self, model: Callable[[Floats], ArrayLike], regressor: ESNRegressor | None = None
    ) -> None:
        self.model = model
        self.regressor = regressor

    @explained
    @transaction()
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn one step ahead from a series.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features)
            One series, at least three rows longer than the washout.
        y : object
            Not used: the targets are the rows of `X` one step later.

        Returns
        -------
        HybridForecaster
            Itself.

        Raises
        ------
        ValueError, TypeError
            If `X` is no such series, if `model` does not answer as described, and as the regressor
            raises them.
        """
        regressor = ESNRegressor() if self.regressor is None else self.regressor
        if not isinstance(regressor, ESNRegressor):
            raise TypeError(
                f"`regressor` is of type {type(regressor).__name__}, but an ESNRegressor was "
                "expected. Pass one."
            )
        if not callable(self.model):
            raise TypeError(
                f"`model` is of type {type(self.model).__name__}, but a function of rows was "
                "expected. Pass one that returns the next row of each."
            )
        series = _as_rows(X, None)
        if len(series) < _LEAST_ROWS:
            raise ValueError(
                f"`X` has {len(series)} rows, but {_LEAST_ROWS} or more were expected. Pass a "
                "longer series."
            )
        columns = _seen(self.model, series[:-1])
        self.n_features_in_ = series.shape[1]
        self.mean_, deviation = columns.mean(axis=0), columns.std(axis=0)
        self.deviation_ = np.where(deviation > 0, deviation, 1.0)
        self.regressor_ = clone(regressor)
        self.regressor_.fit(
            (columns - self.mean_) / self.deviation_,
            (series[1:] - self._centre) / self._unit,
        )
        self._last_row = series[-1]
        return self

    @explained
    def predict(self, X: Any) -> Floats:
        """Return what follows each row, from the zero state on.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features)
            One series.

        Returns
        -------
        ndarray of shape (n_steps, n_features)

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            Before `fit`; if `X` is no such series or `model` does not answer as described.
        """
        check_is_fitted(self, "regressor_")
        outputs: Floats = self.regressor_.predict(self._inputs(_as_rows(X, self.n_features_in_)))
        return outputs * self._unit + self._centre

    @explained
    def forecast(self, n_steps: int, X: Any = None) -> Floats:
        """Continue a series, each prediction being the next row of reservoir and model.

        Parameters
        ----------
        n_steps : int
            Steps to forecast.
        X : array-like of shape (n_context, n_features), optional
            What is to be continued, from the zero state on; the training series if left out.

        Returns
        -------
        ndarray of shape (n_steps, n_features)
            From the step after the last row on.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If an argument, or what `model` answers, is not as described.
        DivergenceError
            If the forecast leaves the range of the training series by more than the `output_limit`
            of the regressor. Its `outputs` hold what came before.
        """
        check_is_fitted(self, "regressor_")
        n_steps = check_integer("n_steps", n_steps, minimum=1)
        running = copy.deepcopy(self.regressor_)
        row, outputs = self._last_row, np.empty((n_steps, self.n_features_in_))
        first = 0
        if X is not None:
            context = _as_rows(X, self.n_features_in_)
            running.advance(self._inputs(context), initial_state=None)
            row = outputs[0] = running.last_output_ * self._unit + self._centre
            first = 1
        bounds = self.regressor_.output_bounds_ * self._unit + self._centre
        for step in range(first, n_steps):
            refuse_departure(outputs[:step], find_departure(outputs[:step][-1:], bounds, step - 1))
            output = running.step(self._inputs(row[np.newaxis])[0])
            row = outputs[step] = output * self._unit + self._centre
        refuse_departure(outputs, find_departure(outputs[-1:], bounds, n_steps - 1))
        return outputs

    @property
    def _centre(self) -> Floats:
        return self.mean_[: self.n_features_in_]

    @property
    def _unit(self) -> Floats:
        return self.deviation_[: self.n_features_in_]

    def _inputs(self, rows: Floats) -> Floats:
        """Return standardised [u; K(u)]."""
        columns = _seen(self.model, rows)
        if columns.shape[1] != len(self.mean_):
            raise ValueError(
                f"`model` gave {columns.shape[1] - self.n_features_in_} columns, but in `fit` "
                f"{len(self.mean_) - self.n_features_in_}. Give as many each time."
            )
        return (columns - self.mean_) / self.deviation_


def _as_rows(X: Any, n_features: int | None) -> Floats:
    """Return a finite series of rows, or raise."""
    rows: Floats = as_numbers("X", X, np.float64)
    if rows.ndim != 2 or not rows.size or n_features not in (None, rows.shape[1]):
        wanted = "any" if n_features is None else str(n_features)
        raise ValueError(
            f"`X` has shape {rows.shape}, but one series of shape (n_steps, {wanted}) was "
            "expected. Pass rows in time order."
        )
    if not np.isfinite(rows).all():
        raise ValueError("`X` holds NaN or infinity. Pass finite rows.")
    return rows


def _seen(model: Callable[[Floats], ArrayLike], rows: Floats) -> Floats:
    """Return [u; K(u)], or raise unless the model answers with one finite row for each."""
    answer = as_numbers("model(rows)", model(rows.copy()), np.float64)
    if answer.ndim != 2 or len(answer) != len(rows) or not answer.shape[1]:
        raise ValueError(
            f"`model` gave an array of shape {answer.shape} for rows of shape {rows.shape}, but "
            f"({len(rows)}, any) was expected. Give one row for each."
        )
    if not np.isfinite(answer).all():
        raise ValueError("`model` gave NaN or infinity. Give finite numbers.")
    return np.concatenate([rows, answer], axis=1)
