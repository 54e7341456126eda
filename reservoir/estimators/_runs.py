"""Running a fitted reservoir: predictions, and the state in which each run ends or begins."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from reservoir.dynamics._free import FreeStart, free_run_sequences
from reservoir.estimators._base import ReservoirEstimator
from reservoir.estimators._live_steps import LiveSteps
from reservoir.estimators._sequence_regressor import SequenceRegressor
from reservoir.estimators._state import ReservoirState
from reservoir.harvest._map import final_states, map_sequences
from reservoir.readout._features import FeatureMap, Readout
from reservoir.sequences._chunks import check_chunk
from reservoir.sequences._layout import Layout
from reservoir.utils.device import in_kind, module_of, to_host
from reservoir.utils.explained import explained
from reservoir.utils.persistence import require_array
from reservoir.utils.types import Array, Floats
from reservoir.utils.validation import as_numbers, check_iterable

InitialState = Literal["last"] | ArrayLike | ReservoirState | None


class RunStarts(NamedTuple):
    """Where the runs of some sequences start.

    Attributes
    ----------
    states, outputs : list of ndarray or None
        x[-1] and y[-1] of each; None for zeros.
    row : ndarray of shape (n_features,) or None
        The inputs before the first row, where they go on in the place of NaN.
    is_ahead : bool
        Whether the outputs are for steps that were not observed.
    """

    states: list[Array | None]
    outputs: list[Array | None]
    row: Array | None
    is_ahead: bool


class ReservoirRuns(SequenceRegressor, ReservoirEstimator):
    """Predictions of a reservoir with a linear readout, in one go or in chunks."""

    include_input: bool
    include_squares: bool
    n_sequences_seen_: int
    last_output_: Array
    _last_input: Array
    _steps_of_last: int
    n_jobs: int | None = None  # of those that have no such parameter
    # Of the output that `last_output_` is; so files from before load.
    _is_ahead = False

    def predict(
        self,
        X: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial_state: InitialState = None,
        initial_output: ArrayLike | Literal["last"] | None = None,
        return_state: bool = False,
    ) -> Any:
        """Return the output for each step of `X`.

        With feedback weights the network runs on its own output. `predict` has no memory of its
        own: a second call with `initial_state` "last" starts where the first did, at the end of
        training. To go on where a call ended, pass what it returned with `return_state`, or call
        `advance`, which moves "last".

        Parameters
        ----------
        X, groups, lengths
            As in `fit`.
        initial_state : None, "last", array-like or ReservoirState, default=None
            State before the first step: zeros; that at the end of training, or of the last
            `advance` or `step`, from which the output fed back goes on as well; an array
            (n_sequences, n_units), or (n_units,) for one; or what `advance`, or a call with
            `return_state`, returned, from which all goes on.
        initial_output : None, "last" or array-like of shape (n_sequences, n_outputs), default=None
            With feedback weights, the output before the first step, (n_outputs,) for one sequence.
            Left out, it is that of `initial_state`, or zeros.
        return_state : bool, default=False
            Whether to return where the runs ended as well.

        Returns
        -------
        outputs : ndarray or list of ndarray
            In the form of `X`; a step has as many values as in the `y` of `fit`.
        state : ReservoirState
            Only with `return_state`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `X` does not match what the model was fitted with, or a start does not fit.
        DivergenceError
            If a network with feedback leaves the range of its targets by more than
            `output_limit`. The error names sequence and step, and its `outputs` holds what came
            before and all outputs of other sequences.

        Warns
        -----
        UserWarning
            If a network with feedback gets an array as its state but no output, and starts with 0.
        """
        check_is_fitted(self, "coef_")
        row = self._row_of(initial_state)
        inputs, layout = self._reader().inputs(X, groups, lengths, before=row)
        starts = self._run_starts(initial_state, initial_output, len(inputs))
        with self._shaping_outputs(X, layout):
            outputs, states = self._outputs(inputs, starts.states, starts.outputs)
        restored = self._restore(in_kind(outputs, X), layout)
        if not return_state:
            return restored
        return restored, self._end_of(inputs, outputs, states, layout)

    def predict_stream(
        self,
        chunks: Iterable[Any],
        initial_state: InitialState = None,
        initial_output: ArrayLike | Literal["last"] | None = None,
    ) -> Iterator[Array]:
        """Yield the outputs for one series that comes in chunks, as `predict` for all of it.

        What a chunk leaves behind (its state, with feedback its output, with `missing` "hold" its
        last values) goes on in the next. Nothing else is kept: memory does not grow.

        Parameters
        ----------
        chunks : iterable of array-like of shape (n_steps, n_features)
            Consecutive rows; their numbers may differ. Of a memory-mapped `X`, for instance
            ``(X[i : i + 10_000] for i in range(0, len(X), 10_000))``.
        initial_state, initial_output
            As in `predict`, for one sequence.

        Yields
        ------
        ndarray of shape (n_steps, n_outputs), or (n_steps,) if `y` was 1-D
            One for each chunk.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, DivergenceError
            As in `predict`; before the first chunk is asked for where that can be told. Steps are
            counted from the start of a chunk.

        See Also
        --------
        step : One row at a time, without chunks of one row.

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
        self._check_runs()
        check_iterable("chunks", chunks)
        return self._predict_chunks(chunks, self._run_starts(initial_state, initial_output, 1))

    @explained
    def _predict_chunks(self, chunks: Iterable[Any], starts: RunStarts) -> Iterator[Array]:
        states, ends, row = starts.states, starts.outputs, starts.row
        live: LiveSteps | None = None
        for chunk in chunks:
            if states[0] is not None and self._may_be_live(chunk):
                if live is None or not live.are_of(self):
                    live = LiveSteps(self, self._bounds)
                followed = live.follow(chunk, states[0], ends[0])
                if followed is not None:
                    outputs, states = followed[0], [followed[1]]
                    ends, row = [outputs[0].copy()], live.run.inputs.copy()
                    yield self._shaped(outputs)
                    continue
            inputs, layout = self._reader().inputs(chunk, None, None, before=row)
            check_chunk(layout)
            with self._shaping_outputs(chunk, layout):
                outputs, new_states = self._outputs(inputs, states, ends)
            states = list(new_states)
            ends, row = [to_host(outputs[-1]).copy()], np.array(to_host(inputs[0][-1]))
            yield self._shaped(in_kind(outputs, chunk))

    def _may_be_live(self, chunk: Any) -> bool:
        """Say whether a chunk is one row on the host, of which no names are to be checked."""
        is_row = type(chunk) is np.ndarray and chunk.shape[:1] == (1,)
        return is_row and self.device == "cpu" and not hasattr(self, "feature_names_in_")

    def _check_runs(self) -> None:
        """Raise unless there is an output at each step."""
        check_is_fitted(self, "coef_")

    @property
    def _feeds_back(self) -> bool:
        return self.reservoir_.feedback is not None

    def _row_of(self, initial_state: Any) -> Array | None:
        """Return the row that held values go on from."""
        if self.missing != "hold":
            return None
        if isinstance(initial_state, ReservoirState):
            return initial_state.input[0] if len(initial_state.input) == 1 else None
        return self._last_input if isinstance(initial_state, str) else None

    def _run_starts(
        self, initial_state: Any, initial_output: Any, n_sequences: int, *, warns: bool = True
    ) -> RunStarts:
        """Return where each sequence starts, from the arguments that say so."""
        outputs: list[Array | None] = [None] * n_sequences
        is_ahead = False
        if isinstance(initial_state, ReservoirState):
            if len(initial_state.state) != n_sequences:
                raise ValueError(
                    f"`initial_state` is where {len(initial_state.state)} sequence(s) ended, but "
                    f"there are {n_sequences}. Pass one for each."
                )
            states = self._starts(initial_state.state, n_sequences)
            outputs = list(self._checked_outputs(initial_state.output, n_sequences))
            is_ahead = initial_state.is_ahead
        else:
            states = self._starts(initial_state, n_sequences)
            if isinstance(initial_state, str):
                outputs, is_ahead = [self.last_output_], self._is_ahead
        if initial_output is not None:
            outputs, is_ahead = list(self._checked_outputs(initial_output, n_sequences)), False
        elif warns and outputs[0] is None and states[0] is not None and self._feeds_back:
            warnings.warn(
                "`initial_state` is an array, but `initial_output` is missing: what is fed back "
                "starts from 0. Pass the output before the first step too, or what `advance` or "
                "a call with `return_state` returned.",
                UserWarning,
                stacklevel=3,
            )
        return RunStarts(states, outputs, self._row_of(initial_state), is_ahead)

    def _checked_outputs(self, value: Any, n_sequences: int) -> Array:
        """Return what is fed back first, (n_sequences, n_outputs)."""
        if isinstance(value, str):
            if value != "last" or n_sequences != 1:
                raise ValueError(
                    f"`initial_output` is {value!r} for {n_sequences} sequence(s), but 'last', for "
                    "one, or an array was expected. Pass an array of shape (n_sequences, "
                    "n_outputs)."
                )
            return self.last_output_[np.newaxis]
        outputs: Array = as_numbers("initial_output", to_host(value), self._checked_dtype())
        size = n_sequences * self.n_outputs_
        fits = outputs.shape == (n_sequences, self.n_outputs_) or (
            outputs.size == size and outputs.ndim < 2 and 1 in (n_sequences, self.n_outputs_)
        )
        if not fits:
            raise ValueError(
                f"`initial_output` has shape {outputs.shape}, but there are {n_sequences} "
                f"sequence(s) and {self.n_outputs_} outputs. Pass an array of shape "
                f"({n_sequences}, {self.n_outputs_})."
            )
        if not np.isfinite(outputs).all():
            raise ValueError("`initial_output` holds NaN or infinity. Pass finite numbers.")
        return outputs.reshape(n_sequences, self.n_outputs_)

    def _outputs(
        self,
        inputs: list[Array],
        states: Sequence[Array | None],
        outputs: Sequence[Array | None],
    ) -> tuple[Array, list[Array]]:
        """Return the outputs of sequences, stacked, and the states that they end in, on the host.

        With feedback weights, `outputs` are fed back at the first step of each sequence.
        """
        xp = module_of(inputs[0])
        if self.reservoir_.feedback is None:
            ends = np.empty((len(inputs), self.reservoir_.n_units), dtype=self.reservoir_.dtype)
            parts = map_sequences(
                self.reservoir_,
                self.readout_,
                inputs,
                states,
                last_states=ends,
                n_jobs=self.n_jobs,
            )
            return xp.concatenate(parts) if len(parts) > 1 else parts[0], list(ends)
        starts = [
            # From the zero state, nothing was learned of the first steps.
            FreeStart(len(part), state, output, part, self.washout if state is None else 0)
            for part, state, output in zip(inputs, states, outputs)
        ]
        runs = free_run_sequences(
            self.reservoir_, self.readout_, starts, output_bounds=self._bounds, xp=xp
        )
        rows = xp.concatenate([run.outputs for run in runs]) if len(runs) > 1 else runs[0].outputs
        return rows, [to_host(run.final_state) for run in runs]

    def _end_of(
        self, inputs: Sequence[Array], outputs: Array, states: Sequence[Array], layout: Layout
    ) -> ReservoirState:
        """Return where sequences ended that ran on their own outputs."""
        last = np.cumsum(layout.lengths) - 1
        rows = [to_host(outputs[int(row)]) for row in last]
        return ReservoirState(np.stack(states), np.stack(rows), _last_rows(inputs), is_ahead=True)

    def _driven_end(
        self, inputs: list[Array], targets: list[Array], starts: RunStarts
    ) -> ReservoirState:
        """Return where sequences ended whose outputs were observed."""
        for index, part in enumerate(targets):
            fed_back = part if self.reservoir_.feedback is not None else part[-1:]
            if not np.isfinite(to_host(fed_back)).all():
                raise ValueError(
                    f"`y` is NaN in sequence {index}, where it is fed back, or the last output. "
                    "Fill it, or leave `y` out to go on with the model's own output."
                )
        states = final_states(
            self.reservoir_,
            inputs,
            teachers=None if self.reservoir_.feedback is None else targets,
            initial_states=starts.states,
            initial_outputs=starts.outputs,
        )
        outputs = _last_rows(targets).astype(self.reservoir_.dtype)
        return ReservoirState(states, outputs, _last_rows(inputs), is_ahead=False)

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if not hasattr(self, "reservoir_"):
            return
        drawn, n_features = self.reservoir_, self.n_features_in_
        n_outputs = drawn.n_outputs if self._feeds_back else self.n_outputs_
        if (drawn.n_inputs, n_outputs) != (n_features, self.n_outputs_):
            raise ValueError(
                f"`reservoir_` has {drawn.n_inputs} inputs and {drawn.n_outputs} outputs, but "
                f"{n_features} and {self.n_outputs_} were expected"
            )
        if getattr(self, "_last_input", None) is not None:
            require_array("_last_input", self._last_input, (n_features,))

    def _shape_of_readout(self) -> tuple[int, int | None]:
        drawn = self.reservoir_
        return self.n_outputs_, self._feature_map().n_columns(drawn.n_units, drawn.n_inputs)

    def _feature_map(self) -> FeatureMap:
        return FeatureMap(bool(self.include_input), bool(self.include_squares))

    @property
    def readout_(self) -> Readout:
        """The learned linear map, in the dtype of the model, as `free_run` takes it."""
        return self._feature_map().split(*self._readout_arrays(), len(self.reservoir_.bias))


def _last_rows(sequences: Sequence[Array]) -> Floats:
    """Return the last row of each sequence, on the host."""
    return np.stack([np.array(to_host(part[-1])) for part in sequences])
