"""Reading sequences, their targets and weights, into the batches that a net learns from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils.validation import check_array, validate_data

from hessianfree.batch import Batch
from hessianfree.estimators._base import RNNEstimator
from hessianfree.estimators._sequence_data import (
    Reading,
    as_symbols,
    check_count,
    known_targets,
    make_batch,
    read_targets,
)
from reservoir.sequences._layout import Layout, stack_sequences
from reservoir.utils.device import door_namespace, host_state, is_on_device
from reservoir.utils.types import Array


class Targets(NamedTuple):
    """Targets as they were read: values, their weights, and where sequences begin and end."""

    values: NDArray[Any]
    weights: Array | None
    unit: Layout


class ReadingRNN(RNNEstimator):
    """What the recurrent estimators share where they read what is given to them."""

    def _read(
        self, X: Any, groups: Any, lengths: Any, *, reset: bool = False
    ) -> tuple[list[NDArray[Any]], Layout]:
        """Return the sequences of `X`: (n_steps, n_features), or (n_steps,) for symbols."""
        rows, layout = stack_sequences(X, groups=groups, lengths=lengths)
        rows = validate_data(self, rows, dtype=np.dtype(self.dtype), reset=reset)
        if self.n_symbols is not None:
            rows = as_symbols(rows, self.n_symbols)
        return layout.split(rows), layout

    def _on_host(self, X: Any, **others: Any) -> tuple[Any, ...]:
        """Return arguments on the host, where sequences are cut and padded, after a check.

        Labels may be where they are: strings are no arrays of a GPU.
        """
        labels = is_classifier(self) and not is_on_device(others.get("y"))
        checked = {name: value for name, value in others.items() if not (labels and name == "y")}
        door_namespace(type(self).__name__, self.device, X=X, **checked)
        return tuple(host_state(value) for value in (X, *others.values()))

    def _read_targets(
        self, y: Any, layout: Layout, step_weight: Any, is_cut: bool, target: str
    ) -> tuple[Targets, Reading]:
        """Return targets, checked, with their weights, and how they were read."""
        values, read = read_targets(
            y, layout, is_cut=is_cut, target=target, prefers_steps=self._prefers_steps
        )
        per_sequence = read.per_sequence
        unit = Layout((1,) * len(layout.lengths), "list") if per_sequence else layout
        weights = None
        if step_weight is not None:
            weights = self._read_weights(step_weight, layout, unit, is_cut, per_sequence)
        if hasattr(values, "__len__"):
            check_count("y", len(values), unit, per_sequence)
            known = known_targets(values, None if weights is None else weights > 0)
            if not known.all():
                weights = known.astype(np.float64) if weights is None else weights * known
        checked = self._check_targets(values, None if weights is None else weights > 0)
        check_count("y", len(checked), unit, per_sequence)
        return Targets(checked, weights, unit), read

    def _read_weights(
        self, step_weight: Any, layout: Layout, unit: Layout, is_cut: bool, per_sequence: bool
    ) -> NDArray[Any]:
        """Return one weight per target."""
        values, _ = read_targets(
            step_weight,
            layout,
            is_cut=is_cut,
            target="sequence" if per_sequence else "step",
            name="step_weight",
        )
        weights: NDArray[Any] = check_array(
            values, ensure_2d=False, dtype=np.float64, input_name="step_weight"
        )
        if weights.ndim != 1:
            raise ValueError(
                f"`step_weight` has shape {weights.shape}, but one number per target was expected. "
                "Drop the last axis."
            )
        check_count("step_weight", len(weights), unit, per_sequence)
        if np.any(weights < 0) or not np.any(weights):
            raise ValueError(
                "`step_weight` holds a negative weight, or nothing but zeros. Pass weights of 0 "
                "or more."
            )
        return weights

    def _read_validation(self, validation_data: Any) -> tuple[list[NDArray[Any]], Targets]:
        """Return the sequences that validate, and their targets."""
        if not isinstance(validation_data, tuple | list) or len(validation_data) != 2:
            raise TypeError(
                f"`validation_data` is of type {type(validation_data).__name__}, but a tuple of "
                "sequences and targets was expected. Pass (X, y)."
            )
        if self.validation_fraction > 0:
            raise ValueError(
                f"`validation_data` was given, but `validation_fraction` is "
                f"{self.validation_fraction}, and either of them validates. Set it to 0."
            )
        X, y = self._on_host(X=validation_data[0], y=validation_data[1])
        sequences, layout = self._read(X, None, None)
        target = "sequence" if self._per_sequence else "step"
        return sequences, self._read_targets(y, layout, None, False, target)[0]

    def _as_batch(self, sequences: list[NDArray[Any]], targets: Targets) -> Batch:
        """Return a batch of what was read, after `_define`."""
        encoded, unit = self._encode(targets.values), targets.unit
        weights = self._weigh(targets.values, targets.weights)
        return make_batch(
            sequences,
            [part[0] if self._per_sequence else part for part in unit.split(encoded)],
            None if weights is None else unit.split(weights),
            per_sequence=self._per_sequence,
        )
