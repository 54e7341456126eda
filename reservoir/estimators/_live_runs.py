"""Going on with live data: new observations without learning, many at once or step by step."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from reservoir.dynamics._bounds import find_departure, refuse_departure
from reservoir.estimators._live_steps import LiveSteps
from reservoir.estimators._runs import InitialState, ReservoirRuns
from reservoir.estimators._state import ReservoirState
from reservoir.sequences._names import by_name
from reservoir.utils.device import to_host
from reservoir.utils.fitted import as_fitted
from reservoir.utils.types import Array
from reservoir.utils.validation import as_numbers


class LiveReservoir(ReservoirRuns):
    """What moves the end that calls with "last" go on from: `advance`, and `step` row by row."""

    def advance(
        self,
        X: Any,
        y: Any = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial_state: InitialState = "last",
        initial_output: ArrayLike | Literal["last"] | None = None,
    ) -> ReservoirState:
        """Go on through new observations without learning from them.

        Afterwards "last" is the end of `X`: a `forecast` begins at the step after its last row,
        or, with `y`, at the one after the last of `y`; `predict`, `step` and `partial_fit` go on
        from there too. Nothing of the readout changes.

        Parameters
        ----------
        X, groups, lengths
            The new inputs, as in `fit`.
        y : array-like of shape (n_steps,) or (n_steps, n_outputs), or as `X` several, optional
            The outputs that were observed at these steps. With feedback weights they are what is
            fed back; without `y` the network's own output is.
        initial_state, initial_output
            As in `predict`; by default the new observations continue the last ones. Of several
            sequences none can: pass None, or where each of them ended.

        Returns
        -------
        ReservoirState
            Where the sequences ended, to be passed on as `initial_state`.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, DivergenceError
            As in `predict`.

        Examples
        --------
        New values of a series come in, and the forecast goes on after them:

        >>> import numpy as np
        >>> from reservoir import ESNRegressor
        >>> series = np.sin(0.2 * np.arange(1200))[:, None]
        >>> esn = ESNRegressor(50, washout=50, alpha=1e-8, random_state=0)
        >>> esn = esn.fit(series[:999], series[1:1000])
        >>> end = esn.advance(series[999:1100])
        >>> bool(abs(esn.forecast(100) - series[1100:]).max() < 0.01)
        True
        """
        self._check_runs()
        row = self._row_of(initial_state)
        if y is None:
            inputs, layout = self._reader().inputs(X, groups, lengths, before=row)
            starts = self._run_starts(initial_state, initial_output, len(inputs))
            with self._shaping_outputs(X, layout):
                outputs, states = self._outputs(inputs, starts.states, starts.outputs)
            end = self._end_of(inputs, outputs, states, layout)
        else:
            read = self._reader().training(X, y, groups, lengths, None, reset=False, before=row)
            self._check_n_outputs(read.targets[0].shape[1])
            starts = self._run_starts(initial_state, initial_output, len(read.inputs))
            end = self._driven_end(read.inputs, read.targets, starts)
            inputs = read.inputs
        before = self._steps_of_last if isinstance(initial_state, str) else 0
        self._steps_of_last = before + len(inputs[-1])
        self.last_state_, self.last_output_ = end.state[-1], end.output[-1]
        self._last_input = end.input[-1]
        self._is_ahead, self._ends_panel = end.is_ahead, len(inputs) > 1
        return end

    def step(self, u: Any, y: Any = None) -> Any:
        """Take the input of one step, and return the output of that step: for live data.

        It goes on from "last", the end of training at first, and moves it, as `advance` does with
        a row; the numbers are those of `predict`. What it needs is prepared at the first call.

        Parameters
        ----------
        u : array-like of shape (n_features,), or a number where there is one feature
            Input of this step.
        y : array-like of shape (n_outputs,), or a number where `y` was 1-D in `fit`, optional
            What was observed at this step. With feedback weights it is fed back at the next one,
            in place of the output.

        Returns
        -------
        ndarray of shape (n_outputs,), or float if `y` was 1-D in `fit`

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If a shape does not fit, or a number is NaN or infinite; NaN in `u` is the value before
            where `missing` is "hold".
        DivergenceError
            If an output that is to be fed back leaves the range of the training targets by more
            than `output_limit`.

        Examples
        --------
        >>> import numpy as np
        >>> from reservoir import ESNRegressor
        >>> u = np.random.default_rng(0).uniform(size=(600, 1))
        >>> esn = ESNRegressor(30, random_state=0).fit(u[:500], np.roll(u[:500, 0], 1))
        >>> expected = esn.predict(u[500:], initial_state="last")
        >>> np.allclose([esn.step(row) for row in u[500:]], expected)
        True
        """
        live = self.__dict__.get("_live")
        if live is None or not live.are_of(self):
            self._check_runs()
            live = self._live = LiveSteps(self, self._bounds)
        run = live.run
        if hasattr(u, "reindex"):
            u = by_name(u, getattr(self, "feature_names_in_", None))
        inputs = as_numbers("u", u, run.state.dtype)
        if inputs.shape != (self.n_features_in_,) or not math.isfinite(sum(inputs.tolist())):
            inputs = self._checked_row(inputs)
        run.state[...] = self.last_state_
        run.output[...] = self.last_output_
        output = run.step(inputs).copy()
        if y is None and not live.are_within(output):
            row = output[np.newaxis]
            refuse_departure(row, find_departure(row, np.array(live.bounds, dtype=output.dtype)))
        self.last_state_ = run.state.copy()
        self.last_output_ = output if y is None else self._checked_outputs(y, 1)[0]
        self._last_input = inputs
        self._is_ahead, self._ends_panel = y is None, False
        self._steps_of_last += 1
        return float(output[0]) if self._y_is_1d else output.copy()

    @as_fitted
    def _checked_row(self, inputs: Array) -> Array:
        """Return the inputs of one step as (n_features,), held where that is asked for."""
        n_features = self.n_features_in_
        if inputs.shape != (n_features,) and not (inputs.ndim == 0 and n_features == 1):
            raise ValueError(
                f"`u` has shape {inputs.shape}, but ({n_features},) was expected. Pass the values "
                "of one step, or call `advance` or `predict` with many."
            )
        rows, _ = self._reader().inputs(
            inputs.reshape(1, -1), None, None, before=self._row_of("last")
        )
        return np.asarray(to_host(rows[0][0]))

    def __getstate__(self) -> dict[str, Any]:
        # Buffers and compiled loops are made anew where the state is read.
        state = dict(super().__getstate__())
        state.pop("_live", None)
        return state
