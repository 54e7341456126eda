"""Forecasts of a trained net: each output takes the place of the next input."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from hessianfree.cells._single_step import driven_step_of
from hessianfree.estimators._runs import RunningRNN
from hessianfree.estimators._sequence_data import predict_sequences
from reservoir.dynamics._bounds import (
    OUTPUT_LIMIT,
    Departure,
    as_bounds,
    bounds_around,
    note_departures,
    range_of,
    refuse_departures,
)
from reservoir.estimators._one_step import OneStepAhead
from reservoir.sequences._layout import Layout
from reservoir.sequences._panels import continue_panel
from reservoir.utils.device import in_kind
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer

_REMEDY = (
    "Train longer, or with `l2`, forecast fewer steps, or raise `output_limit` where the series is "
    "known to go there."
)


class ForecastingRNN(OneStepAhead, RunningRNN):
    """Forecasts of a net that learned numbers one step ahead."""

    _target_mean: Array
    # Of the training targets; not in files from before.
    _output_range: NDArray[np.float64] | None = None

    def forecast(
        self,
        n_steps: int,
        X: Any,
        *,
        future: Any = None,
        initial_state: Literal["last"] | ArrayLike | None = None,
        return_state: bool = False,
        output_limit: float | None = OUTPUT_LIMIT,
    ) -> Any:
        """Continue a series by feeding each prediction back as the next input.

        For nets trained one step ahead, on ``fit(series[:-1], series[1:])``. Which input an
        output is, is told by the names of the columns where `X` and `y` of `fit` had names in
        common; otherwise the outputs are the first columns of `X`, in their order. Inputs that are
        no output (prices, the hour, a control) are known ahead, and come in `future`.

        Parameters
        ----------
        n_steps : int
            Steps to forecast.
        X : array-like of shape (n_context, n_features), list of such, or 3-D array
            Context that is to be continued: the net runs over it, and the forecast begins at the
            step after its last row.
        future : array-like of shape (n_steps - 1, n_external), or as `X` several, optional
            The inputs that are no output, in the rows that follow the last row of `X`, in the
            order of their columns there, or a frame in which they are found by name. The first
            step is forecast from `X` alone; more rows than are needed are left.
        initial_state : None, "last" or array-like of shape (n_sequences, state_size), default=None
            State before the first row of `X`, as in `predict`.
        return_state : bool, default=False
            Whether to return the states that the last forecasts were made from as well. With them
            as `initial_state`, and the last forecast as `X`, another forecast goes on.
        output_limit : float or None, default=3.0
            Ranges of the training targets that a forecast may leave that range by. None: a
            forecast only has to be finite.

        Returns
        -------
        forecasts : ndarray of shape (n_steps, n_outputs), or one per sequence in the form of `X`
            In float64; a step has one number where a target of `fit` was one.
        states : ndarray of shape (n_sequences, state_size)
            Only with `return_state`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError, TypeError
            If no output is an input, if targets were one per sequence, if inputs are symbols, if
            inputs that are no output are missing in `future`, or a start does not fit.
        DivergenceError
            If a forecast goes beyond `output_limit`. The error names sequence and step, and its
            `outputs` holds what came before, and the whole forecasts of other sequences.

        Examples
        --------
        >>> import numpy as np
        >>> from hessianfree import RNNRegressor
        >>> series = np.sin(0.3 * np.arange(400))[:, None]
        >>> parts = series[:360].reshape(-1, 40, 1)
        >>> rnn = RNNRegressor(n_units=20, target="step", max_iter=60, random_state=0)
        >>> rnn = rnn.fit(parts[:, :-1], parts[:, 1:])
        >>> forecast = rnn.forecast(40, series[300:360])
        >>> bool(abs(forecast - series[360:]).max() < 0.2)
        True
        """
        check_is_fitted(self, "params_")
        n_steps = check_integer("n_steps", n_steps, minimum=1)
        self._check_steps_ahead()
        on_host, future = self._on_host(X, future=future)
        contexts, layout = self._read(on_host, None, None)
        starts = self._initial_states(initial_state, len(contexts))
        external = np.stack(self._read_future(future, n_steps - 1, len(contexts)))
        bounds = None
        if self._output_range is not None:
            bounds = bounds_around(self._output_range, output_limit)
        network = self._architecture.build(device=self.device)
        outputs, states = predict_sequences(
            network, self._net_params(), contexts, starts, return_state=True
        )
        assert states is not None
        first = np.stack([rows[-1] for rows in outputs]).astype(np.float64) + self._target_mean
        forecasts, states = self._run_free(
            first, states, external, as_bounds(bounds, self.n_outputs_, np.dtype(np.float64))
        )
        if self._y_is_1d:
            forecasts = forecasts[..., 0]
        index = continue_panel(layout.index, n_steps) if layout.form == "panel" else None
        after = Layout((n_steps,) * len(contexts), layout.form, index)
        restored = after.restore(in_kind(forecasts.reshape(-1, *forecasts.shape[2:]), X))
        return (restored, states) if return_state else restored

    def _run_free(
        self, first: Array, states: Array, external: Array, bounds: Array
    ) -> tuple[Array, Array]:
        """Go on from the first forecasts and the states they were made from.

        Returns forecasts (n_sequences, n_steps, n_outputs), and the states of the last ones.
        """
        n_sequences, n_more = external.shape[:2]
        forecasts = np.empty((n_sequences, n_more + 1, self.n_outputs_))
        network = self._architecture.build()
        views = network.layout.views(self._net_params())
        step = driven_step_of(network.cell, views)
        sources = self.input_sources_
        outside = sources < 0
        departures: list[Departure | None] = [None] * n_sequences
        forecasts[:, 0] = first
        with np.errstate(over="ignore", invalid="ignore"):
            for t in range(n_more + 1):
                if t:
                    rows = forecasts[:, t - 1][:, sources].astype(self.dtype)
                    rows[:, outside] = external[:, t - 1]
                    states, seen = step(states, rows)
                    outputs = seen @ views["output"].T + views["output_bias"]
                    forecasts[:, t] = network.loss.predict(outputs)
                    forecasts[:, t] += self._target_mean
                if note_departures(forecasts[:, t], bounds, t, departures):
                    break
        refuse_departures(list(forecasts), departures, _REMEDY)
        return forecasts, states

    def _check_steps_ahead(self) -> None:
        """Raise unless outputs of a step can be inputs of the next one."""
        if self.n_symbols is not None:
            raise ValueError(
                "`forecast` feeds outputs back as inputs, but with `n_symbols` inputs are symbols "
                "and outputs are numbers. Call `predict`, or train on numbers."
            )
        if self._per_sequence:
            raise ValueError(
                "`forecast` feeds the output of each step back as the next input, but `fit` had "
                "one target per sequence. Fit it on `series[:-1], series[1:]`, one target per step."
            )
        self._refuse_to_go_on("forecast")
        self._check_forecast()

    def _remember_end(
        self, sequence: NDArray[Any], targets: NDArray[Any], weights: Array | None, y: Any
    ) -> None:
        """Keep the range of the targets, and which inputs they continue, as well."""
        super()._remember_end(sequence, targets, weights, y)
        rows = targets.reshape(len(targets), -1)
        if weights is not None:
            rows = np.where(weights[:, None] > 0, rows, np.nan)
        self._output_range = range_of([rows])
        self._gap = 0.0
        if not self._per_sequence and self.n_symbols is None:
            self._remember_targets([sequence], [rows[-len(sequence) :]], y)
