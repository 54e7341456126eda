"""The base class of regressors with a reservoir: what a fit begins with, and where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from reservoir.dynamics._recipe import has_feedback
from reservoir.dynamics._series import Noise
from reservoir.estimators._forecasts import ReservoirForecasts
from reservoir.harvest._fold import TrainingSequence
from reservoir.utils.device import to_host
from reservoir.utils.seeds import child_generator
from reservoir.utils.types import Array
from reservoir.utils.validation import check_real


class ReservoirRegressor(ReservoirForecasts):
    """A reservoir with a linear readout, however that is learned: all but `fit`."""

    noise: float
    feedback_noise: float

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
        is_last = isinstance(initial_state, str) and initial_state == "last"
        if initial_state is not None and not is_last:
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
        before = self._row_of("last" if continues else None)
        inputs, targets, weights, layout, self._y_is_1d = self._reader().training(
            X, y, groups, lengths, step_weight, reset=first, before=before
        )
        self._check_washout(layout.lengths[continues:])
        if first:
            self._begin(inputs[0].shape[1], targets[0].shape[1])
            self._remember_targets(inputs, targets, y)
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
        # Without noise only that of the last one is needed, with which a later call goes on.
        is_noisy, last = any(self._noise_of_training()), len(inputs) - 1
        sequences = [
            TrainingSequence(
                inputs=inputs[index],
                targets=targets[index],
                weights=None if weights is None else weights[index],
                teacher=None if teachers is None else teachers[index],
                skip=self.washout,
                generator=(
                    self._noise_generator(n_before + index) if is_noisy or index == last else None
                ),
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
        self._is_ahead, self._ends_panel = False, self.n_sequences_seen_ > 1
        self.last_state_ = state
        self.last_output_ = to_host(output).astype(self.reservoir_.dtype)
        self._last_generator = generator

    def _noise_generator(self, index: int) -> np.random.Generator:
        """Return the noise source of the training sequence `index`, whatever ran before it."""
        return child_generator(self._noise_seed, index)
