"""What regressors with a reservoir share: predicting, forecasting, and where to go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from reservoir.dynamics._free import FreeRun, FreeStart, free_run_sequences
from reservoir.dynamics._recipe import has_feedback
from reservoir.dynamics._series import Noise
from reservoir.estimators._base import Array, ReservoirEstimator
from reservoir.estimators._sequence_regressor import SequenceRegressor
from reservoir.harvest._fold import TrainingSequence
from reservoir.harvest._map import final_states, map_sequences
from reservoir.readout._features import FeatureMap, Readout
from reservoir.sequences._chunks import check_chunk
from reservoir.utils.device import in_kind, module_of, to_host
from reservoir.utils.seeds import child_generator
from reservoir.utils.validation import check_integer, check_real


class ReservoirRegressor(SequenceRegressor, ReservoirEstimator):
    """A reservoir with a linear readout, however that is learned: all but `fit`."""

    noise: float
    feedback_noise: float
    include_input: bool
    include_squares: bool
    n_sequences_seen_: int
    last_output_: Array
    _last_input: Array

    def predict(
        self,
        X: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial_state: Literal["last"] | ArrayLike | None = None,
    ) -> Any:
        """Return the output for each step of `X`.

        With feedback weights the network runs on its own output, which starts from zero.

        Parameters
        ----------
        X, groups, lengths
            As in `fit`.
        initial_state : None, "last" or array-like of shape (n_sequences, n_units), default=None
            State before the first step: zeros; that after the last training step, from which the
            output fed back goes on as well; or one given for each sequence, or (n_units,) for one.

        Returns
        -------
        ndarray or list of ndarray
            In the form of `X`; a step has as many values as in the `y` of `fit`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `X` does not match what the model was fitted with.
        DivergenceError
            If a network with feedback leaves the range of its targets by more than
            `output_limit`. The error names sequence and step, and its `outputs` holds what came
            before and all outputs of other sequences.
        """
        check_is_fitted(self, "coef_")
        goes_on = isinstance(initial_state, str)
        inputs, layout = self._reader().inputs(X, groups, lengths, before=self._row_before(goes_on))
        states = self._starts(initial_state, len(inputs))
        with self._shaping_outputs(X, layout):
            outputs, _ = self._outputs(inputs, states, self.last_output_ if goes_on else None)
        return layout.restore(self._shaped(in_kind(outputs, X)))

    def predict_stream(
        self, chunks: Iterable[Any], initial_state: Literal["last"] | ArrayLike | None = None
    ) -> Iterator[Array]:
        """Yield the outputs for one series that comes in chunks, as `predict` for all of it.

        What a chunk leaves behind (its state, with feedback its output, with `missing` "hold" its
        last values) goes on in the next. Nothing else is kept: memory does not grow.

        Parameters
        ----------
        chunks : iterable of array-like of shape (n_steps, n_features)
            Consecutive rows; their numbers may differ. Of a memory-mapped `X`, for instance
            ``(X[i : i + 10_000] for i in range(0, len(X), 10_000))``.
        initial_state : None, "last" or array-like of shape (n_units,), default=None
            As in `predict`.

        Yields
        ------
        ndarray of shape (n_steps, n_outputs), or (n_steps,) if `y` was 1-D
            One for each chunk.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, DivergenceError
            As in `predict`; before the first chunk is asked for where that can be told.

        Examples
        --------
        >>> import numpy as np
        >>> from reservoir import ESNRegressor
        >>> X = np.random.default_rng(0).uniform(size=(500, 1))
        >>> esn = ESNRegressor(n_units=20, random_state=0).fit(X, np.roll(X[:, 0], 1))
        >>> parts = esn.predict_stream(X[i : i + 100] for i in range(0, 500, 100))
        >>> np.allclose(np.concatenate(list(parts)), esn.predict(X))
        True
        """
        check_is_fitted(self, "coef_")
        (state,) = self._starts(initial_state, 1)
        goes_on = isinstance(initial_state, str)
        return self._predict_chunks(
            chunks,
            state,
            self.last_output_ if goes_on else None,
            self._row_before(goes_on),
        )

    def _predict_chunks(
        self,
        chunks: Iterable[Any],
        state: Array | None,
        output: Array | None,
        before: Array | None,
    ) -> Iterator[Array]:
        for chunk in chunks:
            inputs, layout = self._reader().inputs(chunk, None, None, before=before)
            check_chunk(layout)
            with self._shaping_outputs(chunk, layout):
                outputs, (state,) = self._outputs(inputs, [state], output)
            output, before = to_host(outputs[-1]).copy(), np.array(to_host(inputs[0][-1]))
            yield self._shaped(in_kind(outputs, chunk))

    def _outputs(
        self, inputs: list[Array], states: Sequence[Array | None], output: Array | None
    ) -> tuple[Array, list[Array]]:
        """Return the outputs of sequences, stacked, and the states that they end in, on the host.

        With feedback weights, `output` is fed back at the first step of each sequence.
        """
        xp = module_of(inputs[0])
        if self.reservoir_.feedback is None:
            ends = np.empty((len(inputs), self.reservoir_.n_units), dtype=self.reservoir_.dtype)
            parts = map_sequences(
                self.reservoir_, self._readout(), inputs, states, last_states=ends
            )
            return xp.concatenate(parts) if len(parts) > 1 else parts[0], list(ends)
        starts = [
            # From the zero state, nothing was learned of the first steps.
            FreeStart(len(part), state, output, part, self.washout if state is None else 0)
            for part, state in zip(inputs, states)
        ]
        runs = free_run_sequences(
            self.reservoir_, self._readout(), starts, output_bounds=self._bounds, xp=xp
        )
        rows = xp.concatenate([run.outputs for run in runs]) if len(runs) > 1 else runs[0].outputs
        return rows, [to_host(run.final_state) for run in runs]

    def forecast(self, n_steps: int, X: Any = None) -> Any:
        """Continue a series by feeding each prediction back as the next input.

        For models trained one step ahead, on `fit(series[:-1], series[1:])`.

        Parameters
        ----------
        n_steps : int
            Steps to forecast.
        X : array-like of shape (n_context, n_features), list of such, or 3-D array, optional
            Context that is to be continued: it drives the reservoir, from the zero state, and the
            forecast begins at the step after its last row. Without it, the forecast goes on from
            the last training target.

        Returns
        -------
        ndarray of shape (n_steps, n_features), or one a sequence in the form of `X`
            1-D if `y` was 1-D in `fit`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If the outputs are not as many as the inputs, or the last training target is NaN and
            there is no `X`.
        DivergenceError
            If a forecast leaves the range of the training targets by more than `output_limit`.
            The error names sequence and step, and its `outputs` holds what came before and the
            whole forecasts of other sequences.
        """
        check_is_fitted(self, "coef_")
        n_steps = check_integer("n_steps", n_steps, minimum=1)
        self._check_forecast()
        xp = self._reader().take_namespace(X=X)
        if X is None:
            if not np.isfinite(self.last_output_).all():
                raise ValueError(
                    "`X` is None, but the forecast can't go on from the last training target, "
                    "which is NaN. Pass a context, or set `missing` to 'hold' in `fit`."
                )
            with self._shaping_outputs():
                runs = self._run_free(xp, n_steps, [self.last_state_], [self.last_output_])
            return self._shaped(to_host(runs[0].outputs))
        contexts, layout = self._reader().inputs(X, None, None)
        states = self._states_before_the_last_step(contexts)
        last_rows = [to_host(context[-1]) for context in contexts]
        with self._shaping_outputs(X, layout):
            runs = self._run_free(xp, n_steps, list(states), last_rows)
        return self._restore_forecasts([in_kind(run.outputs, X) for run in runs], layout)

    def _check_lengths(self, lengths: Sequence[int]) -> None:
        self._check_washout(lengths)

    def _read_more(
        self,
        X: Any,
        y: Any,
        groups: Any,
        lengths: Any,
        step_weight: Any,
        initial_state: Any,
        *,
        first: bool,
    ) -> tuple[list[Array], list[Array], list[Array] | None]:
        """Return what `partial_fit` is to learn from; its first call sets up."""
        if initial_state not in (None, "last"):
            raise ValueError(
                f"`initial_state` is {initial_state!r}, but None or 'last' was expected. "
                "Pass 'last' to continue the last sequence."
            )
        if first and initial_state == "last":
            raise ValueError(
                "`initial_state` is 'last', but nothing was learned yet. Leave it out in the "
                "first call."
            )
        continues = initial_state == "last"
        before = self._row_before(continues)
        inputs, targets, weights, layout, self._y_is_1d = self._reader().training(
            X, y, groups, lengths, step_weight, reset=first, before=before
        )
        self._check_washout(layout.lengths[continues:])
        if first:
            self._begin(inputs[0].shape[1], targets[0].shape[1])
        else:
            self._check_n_outputs(targets[0].shape[1])
        return inputs, targets, weights

    def _begin(self, n_inputs: int, n_outputs: int) -> None:
        """Check the parameters, draw the reservoir, and forget what was learned."""
        for name in ("noise", "feedback_noise"):
            check_real(name, getattr(self, name), minimum=0)
        self._settle_device()
        n_fed_back = n_outputs if has_feedback(self.feedback_scaling) else 0
        self.reservoir_ = self._draw_reservoir(n_inputs, n_fed_back)
        self.n_outputs_ = n_outputs
        self._begin_range(n_outputs)
        self.n_sequences_seen_ = 0
        self._steps_of_last = 0

    def _training_sequences(
        self,
        inputs: Sequence[Array],
        targets: Sequence[Array],
        weights: Sequence[Array] | None,
        teachers: Sequence[Array] | None,
        *,
        continues: bool,
    ) -> list[TrainingSequence]:
        """Return what is learned from, the first of it perhaps going on where the last ended."""
        n_before = self.n_sequences_seen_ - continues
        sequences = [
            TrainingSequence(
                inputs=inputs[index],
                targets=targets[index],
                weights=None if weights is None else weights[index],
                teacher=None if teachers is None else teachers[index],
                skip=self.washout,
                generator=self._noise_generator(n_before + index),
            )
            for index in range(len(inputs))
        ]
        if continues:
            sequences[0] = replace(
                sequences[0],
                skip=max(0, self.washout - self._steps_of_last),
                initial_state=self.last_state_,
                initial_output=self.last_output_,
                generator=self._last_generator,
            )
        return sequences

    def _noise_of_training(self) -> Noise:
        return Noise(float(self.noise), float(self.feedback_noise))

    def _remember_end(
        self,
        inputs: Sequence[Array],
        continues: bool,
        state: Array,
        output: Array,
        generator: np.random.Generator | None,
    ) -> None:
        """Keep where the last sequence ended, so that training, or a forecast, may go on."""
        n_sequences = len(inputs)
        self.n_sequences_seen_ += n_sequences - continues
        continued_steps = self._steps_of_last if continues and n_sequences == 1 else 0
        self._steps_of_last = continued_steps + len(inputs[-1])
        self._last_input = np.array(to_host(inputs[-1][-1]))
        self.last_state_ = state
        self.last_output_ = to_host(output).astype(self.reservoir_.dtype)
        self._last_generator = generator

    def _row_before(self, goes_on: bool) -> Array | None:
        """Return the row that held values go on from."""
        return self._last_input if goes_on and self.missing == "hold" else None

    def _feature_map(self) -> FeatureMap:
        return FeatureMap(bool(self.include_input), bool(self.include_squares))

    def _noise_generator(self, index: int) -> np.random.Generator:
        """Return the noise source of the training sequence `index`, whatever ran before it."""
        return child_generator(self._noise_seed, index)

    def _readout(self) -> Readout:
        return self._feature_map().split(*self._readout_arrays(), len(self.reservoir_.bias))

    def _run_free(
        self, xp: Any, n_steps: int, states: Sequence[Array | None], outputs: Sequence[Array]
    ) -> list[FreeRun]:
        """Run free from each of some states, each output being the next input."""
        return free_run_sequences(
            self.reservoir_,
            self._readout(),
            [FreeStart(n_steps, *start) for start in zip(states, outputs)],
            output_as_input=True,
            output_bounds=self._bounds,
            xp=xp,
        )

    def _states_before_the_last_step(self, contexts: list[Array]) -> Array:
        """Drive the reservoir with all but the last row of each context."""
        # A model one step ahead has just put out what now comes in: y[t-1] = u[t].
        return final_states(
            self.reservoir_,
            [context[:-1] for context in contexts],
            teachers=None
            if self.reservoir_.feedback is None
            else [context[1:] for context in contexts],
            initial_outputs=[context[0] for context in contexts],
        )
