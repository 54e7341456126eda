"""One target a sequence: ridge regression on what a readout sees, pooled over the steps."""

from __future__ import annotations

import itertools
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from reservoir.estimators._reservoir_regressor import ReservoirRegressor
from reservoir.estimators._runs import InitialState
from reservoir.harvest._pooling import check_pooling, pool_sequences
from reservoir.readout._accumulator import RidgeAccumulator
from reservoir.sequences._kinds import refuse_kinds
from reservoir.sequences._layout import Layout, stack_sequences
from reservoir.sequences._missing import is_known
from reservoir.sequences._panels import is_panel, labels_in_order
from reservoir.utils.device import in_kind, to_host
from reservoir.utils.types import Array, Floats
from reservoir.utils.validation import check_choice


def is_per_sequence(y: Any, layout: Layout, target_per: Any) -> bool:
    """Return whether targets are one per sequence; "auto" goes by their shape.

    What may be one per step is: (n_sequences, n_steps) for sequences of n_steps, and what is a step
    short or long of that, which is refused later.

    Examples
    --------
    >>> is_per_sequence([0.5, 0.7], Layout((3, 4), "list"), "auto")
    True
    >>> is_per_sequence([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], Layout((3, 3), "array"), "auto")
    False
    """
    if check_choice("target_per", target_per, ("auto", "step", "sequence")) != "auto":
        return bool(target_per == "sequence")
    if y is None:
        return False
    try:
        shape = y.shape if hasattr(y, "shape") else np.shape(y)
    except ValueError:
        return False  # sequences of several lengths
    n_sequences = len(layout.lengths)
    if not shape or shape[0] != n_sequences:
        return False
    if layout.form in ("rows", "panel"):
        return n_sequences > 1 and n_sequences != layout.n_rows
    if len(shape) == 1:
        return True
    # One step short, or long, is more likely a slip than so many outputs.
    return len(shape) == 2 and any(abs(length - shape[1]) > 1 for length in layout.lengths)


def _are_of_steps(X: Any, y: Any, groups: Any, lengths: Any) -> bool:
    """Tell at a glance, without a copy of a list of sequences, targets that are one per step."""
    if is_panel(X):
        return False
    if not isinstance(X, list | tuple):
        return getattr(X, "ndim", 2) != 3 and groups is None and lengths is None
    firsts = [part[0] for part in (X, y) if isinstance(part, list | tuple) and len(part)]
    lengths_of_first = [len(part) for part in firsts if hasattr(part, "__len__")]
    return len(lengths_of_first) == 2 and lengths_of_first[0] == lengths_of_first[1]


class PooledTargets(ReservoirRegressor):
    """What an ESNRegressor does with one target per sequence."""

    target_per: str
    pooling: str | int
    # So files from before load.
    target_per_ = "step"
    _accumulator: RidgeAccumulator

    def _new_accumulator(self, n_segments: int = 1) -> RidgeAccumulator:
        raise NotImplementedError

    def _n_blocks(self) -> int:
        raise NotImplementedError

    def _solve(self, blocks: Any = ()) -> Self:
        raise NotImplementedError

    def _find_target_per(self, X: Any, y: Any, groups: Any, lengths: Any, *, first: bool) -> bool:
        """Return whether there is one target per sequence, as in the calls before."""
        refuse_kinds(X, "X")
        found = "step"
        asked = check_choice("target_per", self.target_per, ("auto", "step", "sequence"))
        if asked != "auto" or not _are_of_steps(X, y, groups, lengths):
            _, layout = stack_sequences(X, groups=groups, lengths=lengths)
            found = "sequence" if is_per_sequence(y, layout, self.target_per) else "step"
        if not first and found != self.target_per_:
            raise ValueError(
                f"`y` has one target per {found}, but the calls before had one per "
                f"{self.target_per_}. Pass such, or call `fit` to start afresh."
            )
        self.target_per_ = found
        return found == "sequence"

    def _learn_pooled(
        self, X: Any, y: Any, groups: Any, lengths: Any, weights: Any, *, first: bool
    ) -> Self:
        """Learn from one target per sequence."""
        pooling = check_pooling(self.pooling)
        if first and self.target_per == "sequence":
            X = self._reader().turned(X, y, "sequence", groups, lengths)
        inputs, layout = self._reader().inputs(X, groups, lengths, reset=first)
        targets = self._checked_pooled_targets(y, layout)
        self._y_is_1d = targets.ndim == 1
        rows = targets.reshape(len(targets), -1)
        self._check_washout(layout.lengths)
        if first:
            self._begin(inputs[0].shape[1], rows.shape[1])
            if self.reservoir_.feedback is not None or self.noise:
                raise ValueError(
                    "`feedback_scaling` or `noise` is not 0, but with one target per sequence "
                    "there is no output at each step to feed back, and no run with noise. Set both "
                    "to 0."
                )
            self._adapt_reservoir(inputs)
            self._accumulator = self._new_accumulator(1 if isinstance(pooling, str) else pooling)
        else:
            self._check_n_outputs(rows.shape[1])
        if weights is not None:
            weights = self._checked_weights(weights, len(rows))
        self._take_range([rows])
        pooled = self._pool(inputs)
        known = is_known(rows)
        edges = np.linspace(0, len(rows), self._n_blocks() + 1).astype(int)
        blocks = []
        for start, stop in itertools.pairwise(edges):
            kept = np.flatnonzero(known[start:stop]) + start
            block = self._new_accumulator(pooled.shape[1] // self._n_columns())
            block.update(pooled[kept], rows[kept], None if weights is None else weights[kept])
            self._accumulator.merge(block)
            blocks.append(block)
        self.n_sequences_seen_ += len(rows)
        return self._solve(blocks if len(blocks) > 1 else ())

    def _gives_one_per_sequence(self) -> bool:
        return self.target_per_ == "sequence"

    def _shape_of_readout(self) -> tuple[int, int | None]:
        is_pooled = getattr(self, "target_per_", "step") != "step"
        return (self.n_outputs_, None) if is_pooled else super()._shape_of_readout()

    def _n_columns(self) -> int:
        return self._feature_map().n_columns(self.reservoir_.n_units, self.reservoir_.n_inputs)

    def _pool(self, inputs: list[Array]) -> Floats:
        return pool_sequences(
            self.reservoir_,
            self._feature_map(),
            inputs,
            check_pooling(self.pooling),
            washout=self.washout,
        )

    def _checked_pooled_targets(self, y: Any, layout: Layout) -> Floats:
        """Return targets (n_sequences,) or (n_sequences, n_outputs) as float64 on the host."""
        if layout.form == "panel":
            y = labels_in_order(y, layout.index)
        targets: Floats = check_array(
            to_host(y),
            dtype=np.float64,
            ensure_2d=False,
            ensure_all_finite="allow-nan",
            input_name="y",
            estimator=self,
        )
        if targets.ndim > 2 or len(targets) != len(layout.lengths):
            raise ValueError(
                f"`y` has shape {targets.shape}, but `X` holds {len(layout.lengths)} sequences and "
                "`target_per` is 'sequence'. Pass (n_sequences,) or (n_sequences, n_outputs)."
            )
        return targets

    def _checked_weights(self, weights: Any, n_sequences: int) -> Floats:
        """Return one weight per sequence."""
        values = np.asarray(to_host(weights), dtype=np.float64)
        check_consistent_length(values, np.empty(n_sequences))
        if values.ndim != 1 or not (np.isfinite(values).all() and (values >= 0).all()):
            raise ValueError(
                f"`step_weight` has shape {values.shape}, but with one target per sequence "
                f"({n_sequences},) finite weights of 0 or more were expected, one for each."
            )
        return values

    def _predict_pooled(self, X: Any, groups: Any, lengths: Any) -> Array:
        """Return one output a sequence."""
        inputs, _ = self._reader().inputs(X, groups, lengths)
        coef, intercept = np.atleast_2d(self.coef_), np.atleast_1d(self.intercept_)
        outputs = (self._pool(inputs) @ coef.T + intercept).astype(self._checked_dtype())
        return self._shaped(in_kind(outputs, X))

    def _score_pooled(self, X: Any, y: Any, sample_weight: Any, groups: Any, lengths: Any) -> float:
        """Return R² over sequences."""
        from sklearn.metrics import r2_score  # here, since it is slow to import

        _, layout = self._reader().stacked(X, groups, lengths)
        true = self._checked_pooled_targets(y, layout)
        known = is_known(true.reshape(len(true), -1))
        predicted = to_host(self._predict_pooled(X, groups, lengths))
        weights = None
        if sample_weight is not None:
            weights = self._checked_weights(sample_weight, len(true))[known]
        return float(r2_score(true[known], predicted[known], sample_weight=weights))

    def predict(
        self,
        X: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial_state: InitialState = None,
        initial_output: ArrayLike | Literal["last"] | None = None,
        return_state: bool = False,
    ) -> Any:
        if self.target_per_ == "step":
            return super().predict(X, groups, lengths, initial_state, initial_output, return_state)
        if initial_state is not None or initial_output is not None or return_state:
            self._check_runs()
        check_is_fitted(self, "coef_")
        return self._predict_pooled(X, groups, lengths)

    predict.__doc__ = ReservoirRegressor.predict.__doc__

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> float:
        if self.target_per_ == "step":
            return super().score(X, y, sample_weight, groups, lengths)
        return self._score_pooled(X, y, sample_weight, groups, lengths)

    score.__doc__ = ReservoirRegressor.score.__doc__

    def _check_runs(self) -> None:
        super()._check_runs()
        if self.target_per_ == "sequence":
            raise ValueError(
                f"This {type(self).__name__} learned one target per sequence, and has no output at "
                "each step. Call `predict` with whole sequences, or fit it on one target per step."
            )
