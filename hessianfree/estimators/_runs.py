"""Running a trained net: predictions, the state they start from and end in, single steps."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from hessianfree.cells._single_step import DrivenStep, driven_step_of
from hessianfree.estimators._learning import LearningRNN
from hessianfree.estimators._sequence_data import (
    as_symbols,
    known_targets,
    predict_sequences,
    read_targets,
)
from hessianfree.network._losses import Loss
from hessianfree.training._checkpoints import TrainingState
from hessianfree.training._stopping import Progress
from reservoir.sequences._layout import Layout, stack_sequences
from reservoir.sequences._names import by_name
from reservoir.utils.device import host_state
from reservoir.utils.persistence import require_array
from reservoir.utils.types import Array
from reservoir.utils.validation import as_numbers

InitialState = Literal["last"] | ArrayLike | None


class _Live(NamedTuple):
    """What `step` runs, and the parameters that it was made from."""

    params: Array
    copy: Array
    step: DrivenStep
    output: Array
    bias: Array
    loss: Loss
    dtype: np.dtype[Any]


class RunningRNN(LearningRNN):
    """What the recurrent estimators share once they are trained."""

    # After training and after `step`; not in files from before there were such states.
    last_state_: Array | None

    def reset_state(self) -> None:
        """Let the next `step` be the first of a sequence, from the initial state of the net."""
        check_is_fitted(self, "params_")
        self._refuse_to_go_on("reset_state")
        self.last_state_ = self._first_state()

    def _adopt(self, state: TrainingState, progress: Progress, reason: str) -> None:
        """Take over what training has come to; what was kept of a training before is no more."""
        super()._adopt(state, progress, reason)
        for name in ("last_state_", "_output_range"):
            self.__dict__.pop(name, None)

    def _remember_end(
        self, sequence: NDArray[Any], targets: NDArray[Any], weights: Array | None, y: Any
    ) -> None:
        """Run the last of the training sequences once more, for the state that it ends in."""
        if self._architecture.bidirectional:
            return
        network = self._architecture.build()
        views = network.layout.views(self._net_params())
        with np.errstate(all="ignore"):  # training has warned of what is not finite
            run = network.cell.forward(views, sequence[:, None], None, states_only=True)
        self.last_state_ = run.final_state[0].copy()

    def _refuse_to_go_on(self, name: str) -> None:
        """Raise where there is no state that a sequence could go on from."""
        if self._architecture.bidirectional:
            raise ValueError(
                f"`{name}` is about going on from a state, but the net is bidirectional: its "
                "backward layers begin at the end of a sequence, and what comes later changes the "
                "outputs of all its steps. Predict whole sequences, or fit with "
                "`bidirectional=False`."
            )

    def _first_state(self) -> Array:
        """Return the learned initial state, or zeros: (state_size,)."""
        network = self._architecture.build()
        views, cell = network.layout.views(self._net_params()), network.cell
        state = np.zeros(cell.state_size, dtype=self.dtype)
        for name, part in cell.learned_states.items():
            state[part] = views[name]
        return state

    def _last(self) -> Array:
        """Return the state of the stream."""
        state = self.__dict__.get("last_state_")
        if state is None:
            raise ValueError(
                "There is no last state: training has not ended, or the model is from a file of a "
                "version that kept none. Call `reset_state` first, or leave `initial_state` out."
            )
        return np.asarray(state, dtype=self.dtype)

    def _initial_states(self, initial_state: InitialState, n_sequences: int) -> Array | None:
        """Return a state for each sequence, (n_sequences, state_size), or None for the learned."""
        if initial_state is None:
            return None
        self._refuse_to_go_on("initial_state")
        if isinstance(initial_state, str):
            if initial_state != "last":
                raise ValueError(
                    f"`initial_state` is {initial_state!r}, but None, 'last' or an array was "
                    "expected. Pass 'last' for where training, or `step`, ended."
                )
            if n_sequences != 1:
                raise ValueError(
                    f"`initial_state` is 'last', but `X` holds {n_sequences} sequences, and only "
                    "one can go on from there. Pass a state for each, or leave it out."
                )
            return self._last()[None]
        size = self._architecture.build().cell.state_size
        try:
            states = np.asarray(host_state(initial_state), dtype=self.dtype)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"`initial_state` is {initial_state!r}, but None, 'last' or an array of numbers "
                f"of shape ({n_sequences}, {size}) was expected. Pass what a call with "
                "`return_state` returned."
            ) from error
        if states.ndim == 1 and n_sequences == 1:
            states = states[None]
        if states.shape != (n_sequences, size):
            raise ValueError(
                f"`initial_state` has shape {states.shape}, but ({n_sequences}, {size}) was "
                "expected, one state for each sequence. Pass what a call with `return_state` "
                "returned."
            )
        if not np.isfinite(states).all():
            raise ValueError("`initial_state` holds NaN or infinity. Pass finite numbers.")
        return states

    def _run_outputs(
        self,
        X: Any,
        groups: Any,
        lengths: Any,
        initial_state: InitialState = None,
        return_state: bool = False,
    ) -> tuple[Array, Array | None, Layout]:
        """Return the outputs of the net, one row per target, final states, and the layout of `X`.

        The states are None unless asked for.
        """
        check_is_fitted(self, "params_")
        (X,) = self._on_host(X)
        sequences, layout = self._read(X, groups, lengths)
        starts = self._initial_states(initial_state, len(sequences))
        if return_state:
            self._refuse_to_go_on("return_state")
        network = self._architecture.build(device=self.device)
        outputs, states = predict_sequences(
            network, self._net_params(), sequences, starts, return_state=return_state
        )
        if self._per_sequence:
            return np.stack([rows[-1] for rows in outputs]), states, layout
        return np.concatenate(outputs), states, layout

    def _step_outputs(self, x: Any) -> Array:
        """Take the input of one step and return the predictions of the net: (1, n_outputs)."""
        live = self.__dict__.get("_live")
        if live is None or live.params is not self.params_ or (live.copy != self.params_).any():
            live = self._prepare_live()
        if hasattr(x, "reindex"):
            x = by_name(x, getattr(self, "feature_names_in_", None))
        row = as_numbers("x", x, live.dtype)
        if row.shape != (self.n_features_in_,):
            row = self._checked_row(row)
        inputs: NDArray[Any] = row[None]
        if self.n_symbols is not None:
            inputs = as_symbols(inputs, self.n_symbols, name="x")
        elif not np.isfinite(row).all():
            raise ValueError("`x` holds NaN or infinity. Pass finite numbers.")
        state, seen = live.step(self._last()[None], inputs)
        outputs = seen @ live.output
        outputs += live.bias
        self.last_state_ = state[0].copy()
        return live.loss.predict(outputs, out=outputs)

    def _checked_row(self, row: Array) -> Array:
        """Return the input of one step as (n_features,)."""
        if row.ndim == 0 and self.n_features_in_ == 1:
            return row[None]
        raise ValueError(
            f"`x` has shape {row.shape}, but ({self.n_features_in_},) was expected. Pass the "
            "values of one step, or call `predict` with many."
        )

    def _prepare_live(self) -> _Live:
        """Make, and keep, what `step` runs."""
        check_is_fitted(self, "params_")
        self._refuse_to_go_on("step")
        network = self._architecture.build()
        views = network.layout.views(self._net_params())
        self._live = _Live(
            self.params_,
            self.params_.copy(),
            driven_step_of(network.cell, views),
            views["output"].T.copy(),
            views["output_bias"],
            network.loss,
            np.dtype(self.dtype),
        )
        return self._live

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if "last_state_" in vars(self):
            size = self._architecture.build().cell.state_size
            require_array("last_state_", self.last_state_, (size,), finite=False)

    def __getstate__(self) -> dict[str, Any]:
        # Buffers are made anew where the state is read.
        state = dict(super().__getstate__())
        state.pop("_live", None)
        return state

    def _restore(self, rows: NDArray[Any], layout: Layout) -> Any:
        """Return one row per target in the form that the targets came in."""
        if not self._per_sequence:
            return layout.restore(rows)
        return rows[:, None] if self._is_single_row else rows

    def _stack_for_score(
        self, X: Any, y: Any, predicted: Any, sample_weight: Any, groups: Any, lengths: Any
    ) -> tuple[Any, Any, Any]:
        """Return targets, predictions and weights, one row per target."""
        X, y, predicted, sample_weight = host_state([X, y, predicted, sample_weight])
        _, layout = stack_sequences(X, groups=groups, lengths=lengths)
        is_cut = groups is not None or lengths is not None
        target = "sequence" if self._per_sequence else "step"
        names = {"y": y, "sample_weight": sample_weight, "prediction": predicted}
        stacked = {
            name: None
            if values is None
            else read_targets(values, layout, is_cut=is_cut, target=target, name=name)[0]
            for name, values in names.items()
        }
        true, weights = stacked["y"], stacked["sample_weight"]
        known = known_targets(true)
        if known.all():
            return true, stacked["prediction"], weights
        return (
            np.asarray(true)[known],
            np.asarray(stacked["prediction"])[known],
            None if weights is None else np.asarray(weights)[known],
        )
