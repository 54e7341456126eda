"""Rows on their way from a reservoir into sums, gathered until there are enough for one update."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from reservoir.readout._accumulator import RidgeAccumulator
from reservoir.readout._features import FeatureMap
from reservoir.readout._rows import subtract_from_rows, sum_of_squares
from reservoir.sequences._missing import is_known
from reservoir.utils.device import module_of
from reservoir.utils.types import Array, Floats

# Rows folded at a time: with fewer than about 2,048 the Gram product costs more per row (measured).
ROWS_PER_FOLD = 2048


class Accumulator(Protocol):
    """What rows can be folded into: the sums of a ridge regression, or an online learner."""

    def update(self, features: Array, targets: Array, sample_weight: Array | None = None) -> Any:
        """Take rows in."""


AnyAccumulator = TypeVar("AnyAccumulator", bound=Accumulator)


class _Rows:
    """Rows as they are: features, targets and weights."""

    shift = None

    def __init__(self, width: int, states: Array, targets: Array, weights: Array | None) -> None:
        xp = module_of(states)
        self._features = xp.empty((ROWS_PER_FOLD, width), dtype=states.dtype)
        self._targets = xp.empty((ROWS_PER_FOLD, targets.shape[1]))
        self._weights = None if weights is None else xp.empty(ROWS_PER_FOLD)

    def put(
        self,
        first: int,
        feature_map: FeatureMap,
        states: Array,
        inputs: Array,
        targets: Array,
        weights: Array | None,
    ) -> None:
        """Write rows from the place `first` on."""
        place = slice(first, first + len(states))
        feature_map.stack(states, inputs, out=self._features[place])
        self._targets[place] = targets
        if self._weights is not None and weights is not None:
            self._weights[place] = weights

    def fold_into(self, accumulator: Any, n_rows: int) -> None:
        """Fold the first rows."""
        weights = None if self._weights is None else self._weights[:n_rows]
        accumulator.update(self._features[:n_rows], self._targets[:n_rows], weights)


class _ShiftedRows:
    """Rows as sums take them, [1 | S − c | Y − d]: written once, in cache, and read once."""

    def __init__(self, shift: Floats, n_targets: int) -> None:
        self.shift, self._n_targets = shift, n_targets
        self._rows: Floats = np.empty((ROWS_PER_FOLD, len(shift)))
        self._squares = 0.0

    def put(
        self,
        first: int,
        feature_map: FeatureMap,
        states: Array,
        inputs: Array,
        targets: Array,
        weights: Array | None,
    ) -> None:
        """Write rows from the place `first` on."""
        rows = self._rows[first : first + len(states)]
        rows[:, 0] = 1.0
        features = rows[:, 1 : -self._n_targets]
        if states.dtype == rows.dtype:
            feature_map.stack(states, inputs, out=features)
        else:  # what stands beside the states is rounded as they are
            features[...] = feature_map.stack(states, inputs)
        rows[:, -self._n_targets :] = targets
        subtract_from_rows(self.shift, rows)
        if weights is not None:
            rows *= np.sqrt(weights[:, np.newaxis])
        self._squares = sum_of_squares(rows) + (self._squares if first else 0.0)

    def fold_into(self, accumulator: Any, n_rows: int) -> None:
        """Fold the first rows."""
        accumulator.update_shifted(self._rows[:n_rows], self._squares)


class RowBuffer(Generic[AnyAccumulator]):
    """Collects rows until there are enough of them for one efficient update.

    Parameters
    ----------
    accumulator : Accumulator
        What full buffers are folded into.
    worker : concurrent.futures.Executor of one thread, optional
        Folds a full buffer while the next one fills; buffers are folded in their order, as without.
    """

    def __init__(self, accumulator: AnyAccumulator, worker: Executor | None = None) -> None:
        self.accumulator = accumulator
        self._worker = worker
        self._pending: Future[Any] | None = None
        self._filled = 0
        # Rows come as they are until the first update has told the shift: in another thread it is
        # done when the third one begins.
        n_before = 1 if worker is None else 2
        self._n_as_they_are = 0 if self._shift() is not None else n_before
        self._block: _Rows | _ShiftedRows | None = None
        self._spare: _Rows | _ShiftedRows | None = None

    def append(
        self,
        feature_map: FeatureMap,
        states: Array,
        inputs: Array,
        targets: Array,
        weights: Array | None,
    ) -> None:
        """Take rows in, save those whose target is NaN; fold whenever the buffer is full."""
        if module_of(targets).isnan(targets).any():
            known = is_known(targets)
            states, inputs, targets = states[known], inputs[known], targets[known]
            weights = None if weights is None else weights[known]
        done = 0
        while done < len(states):
            block = self._block
            if not self._filled or block is None:
                block = self._begin(feature_map, states, inputs, targets, weights)
            n_rows = min(len(states) - done, ROWS_PER_FOLD - self._filled)
            rows = slice(done, done + n_rows)
            block.put(
                self._filled,
                feature_map,
                states[rows],
                inputs[rows],
                targets[rows],
                None if weights is None else weights[rows],
            )
            self._filled += n_rows
            done += n_rows
            if self._filled == ROWS_PER_FOLD:
                self.flush()

    def flush(self) -> None:
        """Fold the rows that have come so far."""
        if self._block is not None and self._filled:
            if self._worker is None:
                self._block.fold_into(self.accumulator, self._filled)
            else:
                self.wait()
                self._pending = self._worker.submit(
                    self._block.fold_into, self.accumulator, self._filled
                )
                self._block, self._spare = self._spare, self._block
            self._filled = 0

    def wait(self) -> None:
        """Wait until all that was flushed is folded; raise what stood in the way."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def _shift(self, dtype: np.dtype[Any] | None = None) -> Floats | None:
        """Return what rows are to be measured from, None as long as they come as they are.

        Of float32 rows the accumulator may make products in float32.
        """
        sums = self.accumulator
        if not isinstance(sums, RidgeAccumulator):
            return None
        return None if sums.allow_single and dtype == np.float32 else sums.shift

    def _begin(
        self,
        feature_map: FeatureMap,
        states: Array,
        inputs: Array,
        targets: Array,
        weights: Array | None,
    ) -> _Rows | _ShiftedRows:
        """Return what the next rows are written to, made anew where the last will not do."""
        shift = None
        if self._n_as_they_are:
            self._n_as_they_are -= 1
        elif module_of(states) is np:
            shift = self._shift(states.dtype)
        if shift is None:
            if not isinstance(self._block, _Rows):
                width = feature_map.n_columns(states.shape[1], inputs.shape[1])
                self._block = _Rows(width, states, targets, weights)
        elif self._block is None or self._block.shift is not shift:
            self._block = _ShiftedRows(shift, targets.shape[1])
        return self._block
