"""Scaling around a forecaster: fitted and forecast in the units of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, MultiOutputMixin, RegressorMixin, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from reservoir.dynamics._reservoir import DivergenceError
from reservoir.estimators._esn import ESNRegressor
from reservoir.estimators._one_step import (
    LARGEST_GAP,
    input_sources,
    one_step_gap,
    output_places,
)
from reservoir.sequences._layout import Layout, stack_like, stack_sequences
from reservoir.sequences._names import by_name, column_names, framed_like
from reservoir.sequences._recognition import turn_as_fitted
from reservoir.utils.device import refuse_device_arrays
from reservoir.utils.explained import explained
from reservoir.utils.types import Floats, Integers
from reservoir.utils.validation import as_numbers, check_flag, check_methods

Scaling = Callable[[Floats], Floats]


def _regressor_has(name: str) -> Callable[[Any], bool]:
    """Say for `available_if` whether the regressor has a method."""

    def has(forecaster: Any) -> bool:
        regressor = getattr(forecaster, "regressor_", forecaster.regressor)
        getattr(ESNRegressor if regressor is None else regressor, name)
        return True

    return has


class ScaledForecaster(MetaEstimatorMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Forecast in the units of the data, with a regressor that sees them scaled.

    `X` and `y` are scaled for the regressor, and what it predicts is scaled back. An output that
    takes the place of an input in a forecast has the scale of that input: a `Pipeline`, which
    scales `X` alone, and `TransformedTargetRegressor`, which scales `y` by itself, can't know that
    and have no `forecast`.

    Read more in the guide: :doc:`/guide/real_data`.

    Parameters
    ----------
    regressor : ESNRegressor, NVARRegressor or other regressor of this package, optional
        What learns and forecasts: `ESNRegressor()` if left out.
    scaler : transformer, optional
        With `inverse_transform`, and column by column: `StandardScaler()` if left out. A pipeline
        of a `FunctionTransformer` (np.log, np.exp) and a `StandardScaler` keeps forecasts
        positive.

    Attributes
    ----------
    regressor_ : regressor
        The fitted one, for which all is scaled.
    input_scaler_, output_scaler_ : transformer
        Those of `X` and `y`; the second is fitted to the inputs that outputs continue.
    n_features_in_ : int
        Number of input features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had string column names.

    See Also
    --------
    reservoir.forecasting.ReservoirForecaster : Chooses scaling, model and intervals by itself.

    Examples
    --------
    >>> import numpy as np
    >>> from reservoir import ESNRegressor, ScaledForecaster
    >>> t = np.arange(600)
    >>> series = 1000 + 50 * np.sin(0.2 * t)[:, None]
    >>> esn = ESNRegressor(50, washout=50, random_state=0)
    >>> model = ScaledForecaster(esn).fit(series[:499], series[1:500])
    >>> bool(abs(model.forecast(100) - series[500:]).max() < 5)
    True
    """

    regressor_: Any
    input_scaler_: Any
    output_scaler_: Any

    def __init__(self, regressor: Any = None, scaler: Any = None) -> None:
        self.regressor = regressor
        self.scaler = scaler

    @explained
    def fit(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        step_weight: Any = None,
    ) -> Self:
        """Fit the scalers, and the regressor to what they give.

        Parameters
        ----------
        X, y, groups, lengths, step_weight
            As in the `fit` of the regressor; for a forecast ``series[:-1], series[1:]``.

        Returns
        -------
        ScaledForecaster
            Itself.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as described; if `scaler` mixes columns; as the regressor does.
        """
        regressor = ESNRegressor() if self.regressor is None else self.regressor
        check_methods(
            "regressor", regressor, ("fit", "predict", "forecast"), "for instance ESNRegressor()"
        )
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} requires y to be passed, but the target y is None."
            )
        refuse_device_arrays(type(self).__name__, X=X, y=y)
        rows, layout = stack_sequences(X, groups=groups, lengths=lengths)
        inputs = self._checked(rows, "X")
        targets = self._checked(stack_like(y, layout, name="y"), "y")
        check_consistent_length(inputs, targets)
        names = column_names(X if layout.form == "list" else rows)
        outputs = targets.reshape(len(targets), -1)
        self._fit_scalers(inputs, outputs, names, column_names(y), layout)
        passed = _given(groups=groups, lengths=lengths, step_weight=step_weight)
        X, y = self._scaled_inputs(X), self._scaled_targets(y, layout)
        self.regressor_ = clone(regressor).fit(X, y, **passed)
        return self

    @explained
    def predict(
        self,
        X: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial_state: Any = None,
        initial_output: Any = None,
        return_state: bool = False,
    ) -> Any:
        """Return the output for each step of `X`, in the units of `y`.

        Parameters
        ----------
        X, groups, lengths, initial_state, initial_output, return_state
            As in the `predict` of the regressor; a state is that of the regressor, and is passed
            on as it is.

        Returns
        -------
        outputs : ndarray, list or DataFrame
            In the form of `X`.
        state : ReservoirState
            Only with `return_state`.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, DivergenceError
            As the regressor does.
        """
        check_is_fitted(self, "regressor_")
        check_flag("return_state", return_state)
        passed = _given(groups=groups, lengths=lengths, initial_state=initial_state)
        passed |= _given(initial_output=self._scaled_output(initial_output, "initial_output"))
        with self._in_own_units():
            found = self.regressor_.predict(
                self._scaled_inputs(X), **passed, **_given(return_state=return_state or None)
            )
        return self._unscaled_first(found) if return_state else self._unscaled(found)

    @explained
    def forecast(
        self,
        n_steps: int,
        X: Any = None,
        *,
        future: Any = None,
        initial_state: Any = None,
        initial_output: Any = None,
        return_state: bool = False,
    ) -> Any:
        """Continue a series, in the units of `y`.

        Parameters
        ----------
        n_steps : int
            Steps to forecast.
        X, future, initial_state, initial_output, return_state
            As in the `forecast` of the regressor, in the units of the data; a state is that of the
            regressor.

        Returns
        -------
        forecasts : ndarray of shape (n_steps, n_outputs), or one a sequence in the form of `X`
            1-D if `y` was 1-D in `fit`.
        state : ReservoirState
            Only with `return_state`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If the targets of `fit` are not the inputs of the next step, and as the regressor does.
        DivergenceError
            As the regressor raises it; its `outputs` are in the units of `y`.
        """
        check_is_fitted(self, "regressor_")
        self._check_link()
        check_flag("return_state", return_state)
        passed = _given(future=self._scaled_future(future), initial_state=initial_state)
        passed |= _given(initial_output=self._scaled_output(initial_output, "initial_output"))
        context = None if X is None else self._scaled_inputs(X)
        with self._in_own_units():
            found = self.regressor_.forecast(
                n_steps, context, **passed, **_given(return_state=return_state or None)
            )
        return self._unscaled_first(found) if return_state else self._unscaled(found)

    @available_if(_regressor_has("forecast_origins"))  # type: ignore[untyped-decorator]
    @explained
    def forecast_origins(
        self, n_steps: int, X: Any, origins: ArrayLike, *, initial_state: Any = None
    ) -> Any:
        """Forecast from many origins of one series, in the units of `y`.

        Parameters
        ----------
        n_steps, X, origins, initial_state
            As in `ESNRegressor.forecast_origins`.

        Returns
        -------
        ndarray of shape (n_origins, n_steps, n_outputs), or (n_origins, n_steps) if `y` was 1-D

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, DivergenceError
            As in `forecast`.
        """
        check_is_fitted(self, "regressor_")
        self._check_link()
        with self._in_own_units():
            found = self.regressor_.forecast_origins(
                n_steps, self._scaled_inputs(X), origins, **_given(initial_state=initial_state)
            )
        return self._unscaled(found)

    @available_if(_regressor_has("advance"))  # type: ignore[untyped-decorator]
    @explained
    def advance(
        self,
        X: Any,
        y: Any = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial_state: Any = "last",
        initial_output: Any = None,
    ) -> Any:
        """Go on through new observations without learning from them.

        Parameters
        ----------
        X, y, groups, lengths, initial_state, initial_output
            As in `ESNRegressor.advance`, in the units of the data.

        Returns
        -------
        ReservoirState
            That of the regressor: what is in it is scaled.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, DivergenceError
            As in `predict`.
        """
        check_is_fitted(self, "regressor_")
        _, layout = stack_sequences(self._as_fitted(X), groups=groups, lengths=lengths)
        passed = _given(groups=groups, lengths=lengths)
        passed |= _given(initial_output=self._scaled_output(initial_output, "initial_output"))
        with self._in_own_units():
            return self.regressor_.advance(
                self._scaled_inputs(X),
                None if y is None else self._scaled_targets(y, layout),
                initial_state=initial_state,
                **passed,
            )

    @available_if(_regressor_has("step"))  # type: ignore[untyped-decorator]
    @explained
    def step(self, u: Any, y: Any = None) -> Any:
        """Take the input of one step, and return the output of that step, in the units of `y`.

        Parameters
        ----------
        u, y
            As in `ESNRegressor.step`, in the units of the data.

        Returns
        -------
        ndarray of shape (n_outputs,), or float if `y` was 1-D in `fit`

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, DivergenceError
            As in `ESNRegressor.step`.
        """
        check_is_fitted(self, "regressor_")
        if hasattr(u, "reindex"):
            u = by_name(u, getattr(self, "feature_names_in_", None))
        row = as_numbers("u", u, np.float64)
        if np.isinf(row).any():
            raise ValueError("`u` holds infinity. Pass finite numbers, or NaN for a gap.")
        if row.size == self.n_features_in_:  # of another size, the regressor says so
            row = self.input_scaler_.transform(row.reshape(1, -1))[0]
        observed = self._scaled_output(y, "y")
        if isinstance(observed, np.ndarray) and len(np.shape(observed)) == 2 and len(observed) == 1:
            observed = observed[0]
        with self._in_own_units():
            output = self.regressor_.step(row, observed)
        found = self._unscaled(np.atleast_1d(output))
        return float(found[0]) if np.ndim(output) == 0 else found

    @explained
    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> float:
        """Return R² as the regressor does, of scaled values.

        For scalers that shift and stretch each column, such as `StandardScaler`, it is that of the
        values themselves.

        Parameters
        ----------
        X, y, sample_weight, groups, lengths
            As in the `score` of the regressor.

        Returns
        -------
        float
        """
        check_is_fitted(self, "regressor_")
        _, layout = stack_sequences(self._as_fitted(X), groups=groups, lengths=lengths)
        passed = _given(sample_weight=sample_weight, groups=groups, lengths=lengths)
        inputs, targets = self._scaled_inputs(X), self._scaled_targets(y, layout)
        return float(self.regressor_.score(inputs, targets, **passed))

    @property
    def n_features_in_(self) -> int:
        """Number of input features."""
        return int(self.regressor_.n_features_in_)

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Names of the input features, where `X` had string column names."""
        names: NDArray[Any] = self.regressor_.feature_names_in_
        return names

    def _fit_scalers(
        self,
        inputs: Floats,
        targets: Floats,
        features: list[str] | None,
        names: list[str] | None,
        layout: Layout,
    ) -> None:
        """Fit the scalers, that of the outputs to the inputs that they continue."""
        scaler = self._unfitted_scaler()
        n_outputs = targets.shape[1]
        features, names = features or [], names or []
        self._sources: Integers = input_sources(features, names, inputs.shape[1], n_outputs)
        places = output_places(self._sources, n_outputs)
        last = slice(int(layout.offsets[-2]), None)
        self._gap = one_step_gap(inputs[last], targets[last], places)
        self.input_scaler_ = clone(scaler).fit(inputs)
        continued = np.array(targets)
        fed = np.flatnonzero(places >= 0)
        if self._gap <= LARGEST_GAP:
            continued[:, fed] = inputs[:, places[fed]]
        self.output_scaler_ = clone(scaler).fit(continued)
        scaled = self.output_scaler_.transform(continued)
        expected = self.input_scaler_.transform(inputs)
        mixes = scaled.shape != targets.shape or expected.shape != inputs.shape
        if self._gap <= LARGEST_GAP and not mixes:
            mixes = not np.allclose(scaled[:, fed], expected[:, places[fed]], equal_nan=True)
        if mixes:
            raise ValueError(
                f"`scaler` is {scaler!r}, which mixes columns, but inputs and outputs that take "
                "their place must be scaled alike. Pass one that works column by column, such as "
                "StandardScaler()."
            )
        complete = np.flatnonzero(np.isfinite(inputs).all(axis=1))
        self._typical = inputs[complete[0]] if len(complete) else np.zeros(inputs.shape[1])

    def _unfitted_scaler(self) -> Any:
        if self.scaler is None:
            from sklearn.preprocessing import StandardScaler  # here, since it is slow to import

            return StandardScaler()
        methods = ("fit", "transform", "inverse_transform")
        check_methods("scaler", self.scaler, methods, "for instance StandardScaler()")
        return self.scaler

    def _checked(self, values: Any, name: str) -> Floats:
        """Return rows as float64; gaps, and rows that are too few, are for others to judge."""
        checked: Floats = check_array(
            values,
            dtype=np.float64,
            ensure_2d=name == "X",
            ensure_all_finite="allow-nan",
            input_name=name,
            estimator=self,
        )
        return checked

    def _check_link(self) -> None:
        """Raise unless outputs can take the place of inputs."""
        if self._gap > LARGEST_GAP:
            raise ValueError(
                "`forecast` feeds outputs back as inputs, but the targets of `fit` are not the "
                f"inputs of the next step: they differ by {self._gap:.3g} standard deviations. Fit "
                "on `series[:-1], series[1:]`, in one unit."
            )

    def _as_fitted(self, X: Any) -> Any:
        return turn_as_fitted(X, self.n_features_in_, is_per_sequence=False)

    def _scaled_inputs(self, X: Any) -> Any:
        """Return inputs scaled, in their form and with their names and labels."""
        if hasattr(self, "regressor_"):
            X = self._as_fitted(X)
        rows, layout = stack_sequences(X)
        scaled = self.input_scaler_.transform(self._checked(rows, "X"))
        if layout.form == "list":
            parts = zip(layout.split(scaled), X)
            return [part if np.ndim(like) == 1 else framed_like(part, like) for part, like in parts]
        return scaled.reshape(np.shape(X)) if layout.form == "array" else framed_like(scaled, rows)

    def _scaled_targets(self, y: Any, layout: Layout) -> Any:
        """Return targets scaled, in their form and with their names and labels."""
        stacked = stack_like(y, layout, name="y")
        rows = self._checked(stacked, "y")
        scaled = self.output_scaler_.transform(rows.reshape(len(rows), -1))
        if layout.form in ("rows", "panel"):
            return framed_like(scaled, stacked)
        parts = zip(layout.split(scaled), y)
        return [framed_like(part, like) for part, like in parts]

    def _scaled_output(self, output: Any, name: str) -> Any:
        """Return outputs of single steps scaled, (n_sequences, n_outputs); words as they are."""
        if output is None or isinstance(output, str):
            return output
        values = as_numbers(name, output, np.float64)
        n_outputs = self.output_scaler_.n_features_in_
        if values.size % n_outputs or not values.size or np.isinf(values).any():
            return values  # which the regressor refuses
        return self.output_scaler_.transform(values.reshape(-1, n_outputs))

    def _scaled_future(self, future: Any) -> Any:
        """Return the inputs that are known ahead, scaled as the columns that they are."""
        outside = np.flatnonzero(self._sources < 0)
        if future is None or not len(outside):
            return future
        is_list = isinstance(future, list | tuple) and np.ndim(future[0]) == 2
        if is_list or np.ndim(future) == 3:
            return [self._scaled_future(part) for part in future]
        columns = list(getattr(future, "columns", ()))
        names = list(getattr(self, "feature_names_in_", ()))
        if columns and names and {names[k] for k in outside} <= set(columns):
            future = future[[names[k] for k in outside]]
        values = np.asarray(future, dtype=np.float64)
        rows = values.reshape(len(values), -1)
        if rows.shape[1] != len(outside):
            return future  # which the regressor refuses
        full = np.tile(self._typical, (len(rows), 1))
        full[:, outside] = rows
        return framed_like(self.input_scaler_.transform(full)[:, outside], future)

    def _unscaled(self, outputs: Any) -> Any:
        """Return outputs of the regressor in the units of `y`."""
        if isinstance(outputs, list):
            return [self._unscaled(part) for part in outputs]
        values = np.asarray(outputs, dtype=np.float64)
        rows = values.reshape(-1, self.output_scaler_.n_features_in_)
        rows = self.output_scaler_.inverse_transform(rows)
        is_panel = hasattr(outputs, "index")
        return framed_like(rows, outputs) if is_panel else rows.reshape(values.shape)

    def _unscaled_first(self, found: tuple[Any, Any]) -> tuple[Any, Any]:
        return self._unscaled(found[0]), found[1]

    @contextmanager
    def _in_own_units(self) -> Iterator[None]:
        """Give the outputs that a DivergenceError holds in the units of `y`."""
        try:
            yield
        except DivergenceError as error:
            if error.outputs is not None:
                error.outputs = self._unscaled(error.outputs)
            error.add_note("Value and bound are scaled; `outputs` are in the units of `y`.")
            raise


def _given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that were given: not every regressor knows all of them."""
    return {name: value for name, value in arguments.items() if value is not None}
