"""Base classes of the estimators: reading sequences, drawing a reservoir, initial states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from reservoir.dynamics._recipe import ReservoirRecipe, reservoir_seeds
from reservoir.dynamics._reservoir import Reservoir
from reservoir.plasticity import IntrinsicPlasticity
from reservoir.sequences._reading import SequenceReader
from reservoir.utils.device import (
    Device,
    host_state,
    resolve_device,
    to_host,
)
from reservoir.utils.persistence import SavableMixin, register, require_array
from reservoir.utils.types import Array
from reservoir.utils.validation import as_numbers, check_choice, check_integer

register(Reservoir)


class SequenceEstimator(SavableMixin, BaseEstimator):
    """What every estimator shares: files, and reading sequences."""

    dtype: str
    # Of those that have the parameter. Others refuse NaN, and read rows in their own dtype only.
    missing: str | None = None
    # Likewise. Others run on the host.
    device: str | None = None
    device_: Device
    n_features_in_: int

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "hold"
        return tags

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if hasattr(self, "n_features_in_"):
            check_integer("n_features_in_", self.n_features_in_, minimum=1)

    def _reader(self) -> SequenceReader:
        return SequenceReader(
            self,
            self._checked_dtype(),
            self.missing,
            self.device,
            is_per_sequence=self._gives_one_per_sequence(),
        )

    def _gives_one_per_sequence(self) -> bool:
        """Say whether what comes back belongs to sequences, not to their steps."""
        return False

    def _checked_dtype(self) -> np.dtype[Any]:
        return np.dtype(check_choice("dtype", self.dtype, ("float32", "float64")))

    def _settle_device(self) -> None:
        """Keep what `device` stands for, of estimators that have it."""
        if self.device is not None:
            self.device_ = resolve_device(self.device)


class ReservoirEstimator(SequenceEstimator):
    """What every estimator with a reservoir shares: drawing it, and where it starts."""

    n_units: int
    spectral_radius: float | None
    leak_rate: float | ArrayLike
    input_scaling: float | ArrayLike | None
    bias_scaling: float
    feedback_scaling: float | ArrayLike
    connectivity: float
    topology: Any
    distribution: str
    activation: str | Callable[[Array], Array]
    plasticity: IntrinsicPlasticity | None
    washout: int
    random_state: Any
    reservoir_: Reservoir
    last_state_: Array
    _noise_seed: np.random.SeedSequence

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if not hasattr(self, "reservoir_"):
            return
        if not isinstance(self.reservoir_, Reservoir):
            raise ValueError("`reservoir_` is none")
        if hasattr(self, "last_state_"):
            leading = (None,) * (np.ndim(self.last_state_) - 1)
            require_array("last_state_", self.last_state_, (*leading, self.reservoir_.n_units))

    def _draw_reservoir(self, n_inputs: int, n_outputs: int = 0) -> Reservoir:
        """Draw the weights that the parameters describe, and keep the seed of the noise."""
        seeds = reservoir_seeds(self.random_state)
        self._noise_seed = seeds.noise
        return self._recipe().draw(n_inputs, n_outputs, seeds)

    def _recipe(self) -> ReservoirRecipe:
        """Return those of the parameters that the weights are drawn from."""
        return ReservoirRecipe.of(
            {name: getattr(self, name) for name in ReservoirRecipe.names() if hasattr(self, name)}
        )

    def _adapt_reservoir(
        self, inputs: Sequence[Array], teachers: Sequence[Array] | None = None
    ) -> None:
        """Let the units learn from the training input, where `plasticity` asks for it."""
        if self.plasticity is None:
            return
        if not isinstance(self.plasticity, IntrinsicPlasticity):
            raise TypeError(
                f"`plasticity` is of type {type(self.plasticity).__name__}, but None or an "
                "IntrinsicPlasticity was expected. Pass reservoir.plasticity.IntrinsicPlasticity()."
            )
        teachers = None if self.reservoir_.feedback is None else host_state(teachers)
        self.reservoir_ = self.plasticity.adapt(self.reservoir_, host_state(inputs), teachers)

    def _check_washout(self, lengths: Sequence[int], *, n_directions: int = 1) -> None:
        """Raise unless something of each sequence is left after the washout of each direction."""
        check_integer("washout", self.washout)
        for index, length in enumerate(lengths):
            if length <= self.washout * n_directions:
                raise ValueError(
                    f"`washout` is {self.washout}{' at both ends' * (n_directions > 1)}, but "
                    f"sequence {index} of the {len(lengths)} in `X` has only {length} steps. "
                    "Lower `washout`, or leave the sequence out."
                )

    def _starts(self, initial_state: Any, n_sequences: int) -> list[Array | None]:
        """Return the state that each sequence starts from; None stands for zeros."""
        if initial_state is None:
            return [None] * n_sequences
        n_units = len(self.reservoir_.bias)
        if isinstance(initial_state, str):
            if initial_state != "last":
                raise ValueError(
                    f"`initial_state` is {initial_state!r}, but None, 'last' or an array was "
                    "expected. Pass 'last' to go on from the end of training."
                )
            if n_sequences != 1:
                raise ValueError(
                    f"`initial_state` is 'last', but `X` holds {n_sequences} sequences, and only "
                    "one can go on from the end of training. Pass that one, or an array of "
                    "shape (n_sequences, n_units)."
                )
            return [self.last_state_]
        states = as_numbers("initial_state", to_host(initial_state), self._checked_dtype())
        if states.shape not in ((n_units,), (n_sequences, n_units)) or (
            states.ndim == 1 and n_sequences != 1
        ):
            raise ValueError(
                f"`initial_state` has shape {states.shape}, but `X` holds {n_sequences} "
                f"sequence(s) and the reservoir {n_units} units. Pass an array of shape "
                "(n_sequences, n_units)."
            )
        if not np.isfinite(states).all():
            raise ValueError("`initial_state` holds NaN or infinity. Pass finite numbers.")
        return list(np.atleast_2d(states))
