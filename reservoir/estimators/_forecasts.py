"""Forecasts: each output takes the place of the next input, beside inputs that are known ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from reservoir.dynamics._free import FreeRun, FreeStart, free_run_sequences
from reservoir.dynamics._many import ManyStarts, free_run_many
from reservoir.dynamics._reservoir import DivergenceError
from reservoir.estimators._live_runs import LiveReservoir
from reservoir.estimators._runs import InitialState, RunStarts
from reservoir.estimators._state import ReservoirState
from reservoir.harvest._map import final_states, states_at
from reservoir.sequences._layout import Layout
from reservoir.utils.device import in_kind, module_of, to_host
from reservoir.utils.types import Array, Integers
from reservoir.utils.validation import check_integer


class ReservoirForecasts(LiveReservoir):
    """Forecasts of a reservoir with a linear readout that learned one step ahead."""

    def forecast(
        self,
        n_steps: int,
        X: Any = None,
        *,
        future: Any = None,
        initial_state: InitialState = None,
        initial_output: ArrayLike | Literal["last"] | None = None,
        return_state: bool = False,
    ) -> Any:
        """Continue a series by feeding each prediction back as the next input.

        For models trained one step ahead, on ``fit(series[:-1], series[1:])``. Which input an
        output is, is told by the names of the columns where `X` and `y` of `fit` had names in
        common; otherwise the outputs are the first columns of `X`, in their order. Inputs that are
        no output (prices, the hour, a control) are known ahead, and come in `future`.

        Parameters
        ----------
        n_steps : int
            Steps to forecast.
        X : array-like of shape (n_context, n_features), list of such, or 3-D array, optional
            Context that is to be continued: it drives the reservoir, and the forecast begins at
            the step after its last row. Without it, the forecast goes on from `initial_state`.
        future : array-like of shape (n_steps, n_external), or as `X` several of them, optional
            The inputs that are no output, in the rows that follow the last row of inputs, in the
            order of their columns in `X`, or a frame in which they are found by name. With `X`
            the last row is not needed: the last step is forecast from the inputs before.
        initial_state : None, "last", array-like or ReservoirState, default=None
            With `X` the state before its first row, zeros if left out. Without, where the forecast
            goes on: the end of training, or of the last `advance` or `step`, if left out; states
            (n_sequences, n_units), or (n_units,) for one; or what `advance`, or a call with
            `return_state`, returned.
        initial_output : None, "last" or array-like of shape (n_sequences, n_outputs), default=None
            Without `X`, the output before the first step, which is its input; needed where
            `initial_state` is an array.
        return_state : bool, default=False
            Whether to return where the forecasts ended as well, from which another one goes on.

        Returns
        -------
        forecasts : ndarray of shape (n_steps, n_outputs), or one per sequence in the form of `X`
            1-D if `y` was 1-D in `fit`. Without `X`, (n_sequences, n_steps, n_outputs) if there are
            several states.
        state : ReservoirState
            Only with `return_state`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If no output is an input, if inputs that are no output are missing in `future`, if a
            start does not fit, or the last training target is NaN and there is no `X`.
        DivergenceError
            If a forecast leaves the range of the training targets by more than `output_limit`.
            The error names sequence and step, and its `outputs` holds what came before and the
            whole forecasts of other sequences.

        Warns
        -----
        UserWarning
            If neither `X` nor `initial_state` says which of several training sequences is to be
            continued: it is the last one.
        """
        self._check_runs()
        n_steps = check_integer("n_steps", n_steps, minimum=1)
        self._check_forecast()
        xp = self._reader().take_namespace(X=X)
        layout: Layout | None = None
        if X is None:
            starts = self._starts_without_context(initial_state, initial_output)
            n_ahead = n_steps - starts.is_ahead
            external = self._read_future(future, n_ahead, len(starts.states))
            runs = [
                FreeStart(n_ahead, state, output, rows, 0)
                for state, output, rows in zip(starts.states, starts.outputs, external)
            ]
        else:
            if initial_output is not None:
                raise ValueError(
                    "`initial_output` was given with `X`, but the output before the forecast is "
                    "in the last row of `X`. Leave it out."
                )
            contexts, layout = self._reader().inputs(X, None, None, before=self._row_of(
                initial_state
            ))  # fmt: skip
            starts = self._run_starts(initial_state, None, len(contexts), warns=False)
            starts = starts._replace(is_ahead=False)
            external = self._read_future(future, n_steps - 1, len(contexts))
            runs = self._starts_after(contexts, starts.states, external, n_steps)
        with self._shaping_outputs(X, layout if X is not None or len(runs) == 1 else _SEVERAL):
            done = self._run_free(xp, runs, starts)
        parts = [run.outputs for run in done]
        if layout is not None:
            forecasts = self._restore_forecasts([in_kind(part, X) for part in parts], layout)
        else:
            shaped = [self._shaped(to_host(part)) for part in parts]
            forecasts = shaped[0] if len(shaped) == 1 else np.stack(shaped)
        if not return_state:
            return forecasts
        return forecasts, self._end_of_forecasts(done, runs)

    def forecast_origins(
        self,
        n_steps: int,
        X: Any,
        origins: ArrayLike,
        *,
        initial_state: InitialState = None,
    ) -> Array:
        """Forecast from many origins of one series, whose states come from one pass over it.

        What ``forecast(n_steps, X[:origin])`` gives for each origin, to rounding, at the price of
        one pass and short free runs side by side: for backtests.

        Parameters
        ----------
        n_steps : int
            Steps to forecast.
        X : array-like of shape (n_rows, n_features)
            One series. Its rows before an origin are the context; of those after it only the
            inputs that are no output are looked at, which are known ahead.
        origins : array-like of int of shape (n_origins,)
            For each forecast its first step, a row number from 1 to n_rows.
        initial_state
            State before the first row of `X`, as in `forecast`.

        Returns
        -------
        ndarray of shape (n_origins, n_steps, n_outputs), or (n_origins, n_steps) if `y` was 1-D

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, DivergenceError
            As in `forecast`; the sequences of an error are the origins.

        Examples
        --------
        >>> import numpy as np
        >>> from reservoir import ESNRegressor
        >>> series = np.sin(0.2 * np.arange(1200))[:, None]
        >>> esn = ESNRegressor(50, washout=50, alpha=1e-8, random_state=0)
        >>> esn = esn.fit(series[:999], series[1:1000])
        >>> forecasts = esn.forecast_origins(12, series, [1000, 1100])
        >>> np.allclose(forecasts[1], esn.forecast(12, series[:1100]))
        True
        """
        self._check_runs()
        n_steps = check_integer("n_steps", n_steps, minimum=1)
        self._check_forecast()
        xp = self._reader().take_namespace(X=X)
        sequences, layout = self._reader().inputs(X, None, None, before=self._row_of(initial_state))
        if layout.form != "rows":
            raise ValueError(
                f"`X` holds {len(sequences)} sequences, but one series was expected. Call this "
                "for each, or `forecast` with a list of contexts."
            )
        (series,) = sequences
        sources = self.input_sources_
        starts = self._run_starts(initial_state, None, 1, warns=False)
        firsts = _checked_origins(origins, len(series), n_steps if (sources < 0).any() else 0)
        states = states_at(
            self.reservoir_,
            series,
            firsts - 1,
            teacher=None if self.reservoir_.feedback is None else self._teacher_of(series),
            initial_state=starts.states[0],
            initial_output=self._as_outputs(to_host(series[0])),
        )
        rows = to_host(series)
        last = self._as_outputs(rows[firsts - 1])
        outside = np.flatnonzero(sources < 0)
        steps = np.minimum(firsts[:, np.newaxis] - 1 + np.arange(n_steps), len(rows) - 1)
        external = rows[steps][:, :, outside]
        with self._shaping_outputs(None, _SEVERAL):
            if xp is np:
                many = ManyStarts(states, last[:, np.newaxis], external)
                outputs = free_run_many(
                    self.reservoir_,
                    self.readout_,
                    many,
                    output_as_input=sources,
                    output_bounds=self._bounds,
                    n_settling=np.maximum(0, self.washout - firsts + 1),
                ).outputs
            else:
                runs = [
                    FreeStart(n_steps, state, output, known, max(0, self.washout - int(first) + 1))
                    for state, output, known, first in zip(states, last, external, firsts)
                ]
                none = RunStarts([], [], None, is_ahead=False)
                outputs = np.stack([to_host(run.outputs) for run in self._run_free(xp, runs, none)])
        return outputs[:, :, 0] if self._y_is_1d else outputs

    def forecast_start(self, X: Any = None) -> tuple[Array, Array]:
        """Return the states and outputs that a forecast begins with.

        A forecast is the free run ``free_run(reservoir_, readout_, n_steps, initial_state=state,
        initial_output=output, output_as_input=input_sources_)``.

        Parameters
        ----------
        X : array-like of shape (n_context, n_features), list of such, or 3-D array, optional
            Contexts, as in `forecast`. Without it, the end of training is the start.

        Returns
        -------
        states : ndarray of shape (n_sequences, n_units)
            The state before the first step of each forecast.
        outputs : ndarray of shape (n_sequences, n_outputs)
            The output before it: what the last row of the context shows.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If outputs can't take the place of inputs, or `X` does not match what was fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from reservoir import ESNRegressor
        >>> from reservoir.dynamics import free_run
        >>> series = np.sin(0.2 * np.arange(500))[:, None]
        >>> esn = ESNRegressor(n_units=50, random_state=0).fit(series[:-1], series[1:])
        >>> (state,), (output,) = esn.forecast_start(series[:100])
        >>> run = free_run(esn.reservoir_, esn.readout_, 20, initial_state=state,
        ...                initial_output=output, output_as_input=True)
        >>> np.array_equal(run.outputs, esn.forecast(20, series[:100]))
        True
        """
        self._check_runs()
        self._check_forecast()
        if X is None:
            return self.last_state_[np.newaxis], self.last_output_[np.newaxis]
        contexts, _ = self._reader().inputs(X, None, None)
        last = np.stack([to_host(context[-1]) for context in contexts])
        return self._states_before_the_last_step(contexts), self._as_outputs(last)

    def _starts_without_context(self, initial_state: Any, initial_output: Any) -> RunStarts:
        """Return where forecasts go on that no context precedes."""
        if initial_state is None and initial_output is None:
            self._warn_of_panel(', or `initial_state="last"`')
        n_sequences = 1
        if isinstance(initial_state, ReservoirState):
            n_sequences = len(initial_state.state)
        elif initial_state is None:
            initial_state = "last"
        elif not isinstance(initial_state, str):
            n_sequences = len(np.atleast_2d(np.asarray(to_host(initial_state))))
        starts = self._run_starts(initial_state, initial_output, n_sequences, warns=False)
        if starts.outputs[0] is None:
            raise ValueError(
                "`initial_output` is missing, but the forecast begins with it as its input, and "
                "`initial_state` is an array. Pass the output before the first step."
            )
        if not all(np.isfinite(output).all() for output in starts.outputs if output is not None):
            raise ValueError(
                "`X` is None, but the forecast can't go on from the last training target, "
                "which is NaN. Pass a context, or set `missing` to 'hold' in `fit`."
            )
        return starts

    def _starts_after(
        self,
        contexts: list[Array],
        states: Sequence[Array | None],
        external: Sequence[Array],
        n_steps: int,
    ) -> list[FreeStart]:
        """Return where forecasts begin, once the contexts have driven the reservoir."""
        is_external = self.input_sources_ < 0
        last = np.stack([to_host(context[-1]) for context in contexts])
        ends = self._states_before_the_last_step(contexts, states)
        runs = []
        starts = zip(contexts, states, ends, external, last, self._as_outputs(last))
        for context, before, end, known, row, output in starts:
            rows = np.empty((n_steps, known.shape[1]), dtype=known.dtype)
            if known.shape[1]:
                rows[0], rows[1:] = row[is_external], known
            # From the zero state, nothing was learned of the first steps.
            n_settling = max(0, self.washout - len(context) + 1) if before is None else 0
            runs.append(FreeStart(n_steps, end, output, rows, n_settling))
        return runs

    def _run_free(self, xp: Any, runs: Sequence[FreeStart], starts: RunStarts) -> list[FreeRun]:
        """Run free; outputs that are ahead of what was observed come first in the forecast."""
        first = [np.reshape(output, (1, -1)) for output in starts.outputs if output is not None]
        first = first if starts.is_ahead else []
        try:
            done = free_run_sequences(
                self.reservoir_,
                self.readout_,
                [replace(run, first_step=int(starts.is_ahead)) for run in runs],
                output_as_input=self.input_sources_,
                output_bounds=self._bounds,
                xp=xp,
            )
        except DivergenceError as error:
            if first:
                parts = zip(first, error.outputs)
                error.outputs = [xp.concatenate([xp.asarray(a), b]) for a, b in parts]
            raise
        if not first:
            return done
        return [
            FreeRun(xp.concatenate([xp.asarray(output), run.outputs]), run.final_state)
            for output, run in zip(first, done)
        ]

    def _end_of_forecasts(
        self, done: Sequence[FreeRun], runs: Sequence[FreeStart]
    ) -> ReservoirState:
        """Return where forecasts ended."""
        sources = self.input_sources_
        outputs = np.stack([to_host(run.outputs[-1]) for run in done])
        inputs = np.empty((len(done), len(sources)), dtype=outputs.dtype)
        inputs[:, sources >= 0] = outputs[:, sources[sources >= 0]]
        for row, run in zip(inputs, runs):
            if len(run.inputs):
                row[sources < 0] = run.inputs[-1]
            else:
                row[sources < 0] = self._last_input[sources < 0]
        states = np.stack([to_host(run.final_state) for run in done])
        return ReservoirState(states, outputs, inputs, is_ahead=False)

    def _states_before_the_last_step(
        self, contexts: list[Array], states: Sequence[Array | None] | None = None
    ) -> Array:
        """Drive the reservoir with all but the last row of each context."""
        teachers: list[Array] | None = None
        outputs: list[Array] | None = None
        if self.reservoir_.feedback is not None:
            # A model one step ahead has just put out what now comes in: y[t-1] = u[t].
            teachers = [self._teacher_of(context)[:-1] for context in contexts]
            first = np.stack([to_host(context[0]) for context in contexts])
            outputs = list(self._as_outputs(first))
        return final_states(
            self.reservoir_,
            [context[:-1] for context in contexts],
            teachers=teachers,
            initial_states=states,
            initial_outputs=outputs,
        )

    def _teacher_of(self, context: Array) -> Array:
        """Return what a context feeds back: at each step the outputs that the next row shows."""
        places = self._output_places()
        if (places < 0).any():
            raise ValueError(
                f"Output {int((places < 0).argmax())} is not among the inputs, but with "
                "`feedback_scaling` a context needs to show what is fed back. Call `advance` with "
                "`X` and `y`, then `forecast` without a context."
            )
        shown = context[:, places]
        # The last row has no next one, but it is not fed back either.
        teacher: Array = module_of(context).concatenate([shown[1:], shown[-1:]])
        return teacher


# The form of what has one entry for each origin, or state.
_SEVERAL = Layout((), "list")


def _checked_origins(origins: ArrayLike, n_rows: int, n_known: int) -> Integers:
    """Return the first step of each forecast; `n_known` rows are looked at from one before it."""
    firsts = np.asarray(origins)
    if firsts.ndim != 1 or not len(firsts) or firsts.dtype.kind not in "iu":
        raise ValueError(
            f"`origins` is {origins!r}, but row numbers of shape (n_origins,) were expected. Pass "
            "the first step of each forecast."
        )
    most = n_rows - max(n_known - 1, 0)
    bad = (firsts < 1) | (firsts > most)
    if bad.any():
        raise ValueError(
            f"`origins` holds {firsts[bad][0]}, but 1 to {most} was expected: `X` has {n_rows} "
            "rows, one or more come before an origin"
            + ", and inputs that are no output are known to the end of a forecast." * bool(n_known)
            + " Leave out the others."
        )
    return firsts.astype(np.intp)
