"""What the estimators share: drawing a reservoir and reading sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from reservoir.dynamics._reservoir import Reservoir
from reservoir.plasticity import IntrinsicPlasticity
from reservoir.sequences._reading import SequenceReader
from reservoir.utils.device import (
    Device,
    host_state,
    resolve_device,
    to_host,
)
from reservoir.utils.persistence import SavableMixin, register
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.validation import check_choice, check_integer, check_real
from reservoir.weights._draw import bias_weights, check_scaling, input_weights, recurrent_weights

Array = NDArray[np.floating]


# Order of the independent streams that one `random_state` is split into.
N_STREAMS = 5


_RECURRENT, _INPUT, _BIAS, _FEEDBACK, _NOISE = range(N_STREAMS)


register(Reservoir)


class SequenceEstimator(SavableMixin, BaseEstimator):
    """What every estimator shares: files, and reading sequences."""

    dtype: str
    # Of those that have the parameter. Others refuse NaN, and read rows in their own dtype only.
    missing: str | None = None
    # Likewise. Others run on the host.
    device: str | None = None
    device_: Device

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "hold"
        return tags

    def _reader(self) -> SequenceReader:
        return SequenceReader(self, self._checked_dtype(), self.missing, self.device)

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
    input_scaling: float | ArrayLike
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

    def _draw_reservoir(
        self, n_inputs: int, n_outputs: int = 0, *, input_connectivity: float | None = None
    ) -> Reservoir:
        """Draw the weights that the parameters describe, each kind from its own stream.

        Each unit hears `input_connectivity` of the inputs; None stands for all of them.
        """
        n_units = check_integer("n_units", self.n_units, minimum=1)
        dtype = self._checked_dtype()
        streams = seed_sequence(self.random_state).spawn(N_STREAMS)
        self._noise_seed = streams[_NOISE]
        shared: dict[str, Any] = {"distribution": self.distribution, "dtype": dtype}
        input_scaling = check_scaling(self.input_scaling, n_inputs, name="input_scaling")
        bias_scaling = check_real("bias_scaling", self.bias_scaling, minimum=0)
        recurrent = recurrent_weights(
            n_units,
            spectral_radius=self.spectral_radius,
            connectivity=self.connectivity,
            topology=self.topology,
            random_state=streams[_RECURRENT],
            **shared,
        )
        inputs = input_weights(
            n_units,
            n_inputs,
            scaling=input_scaling,
            connectivity=input_connectivity,
            random_state=streams[_INPUT],
            **shared,
        )
        bias = bias_weights(n_units, scaling=bias_scaling, random_state=streams[_BIAS], **shared)
        feedback = None
        if n_outputs:
            feedback = input_weights(
                n_units,
                n_outputs,
                scaling=check_scaling(self.feedback_scaling, n_outputs, name="feedback_scaling"),
                random_state=streams[_FEEDBACK],
                **shared,
            )
        return Reservoir(
            recurrent=recurrent,
            input=inputs,
            bias=bias,
            feedback=feedback,
            leak_rate=_as_leak_rate(self.leak_rate, dtype),
            activation=self.activation,
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
        states = np.asarray(to_host(initial_state), dtype=self._checked_dtype())
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


def _as_leak_rate(leak_rate: Any, dtype: np.dtype[Any]) -> float | Array:
    """Return a number, or an array of the reservoir's dtype; their values are checked later."""
    if np.ndim(leak_rate) == 0:
        return check_real("leak_rate", leak_rate, minimum=0, maximum=1, exclusive=True)
    try:
        return np.asarray(leak_rate, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`leak_rate` can't be read as numbers ({error}). Pass a number, or one a unit."
        ) from error
