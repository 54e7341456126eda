"""How estimators read sequences, targets and weights: checked, and moved to where they compute."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_consistent_length, validate_data

from reservoir.sequences._layout import Layout, stack_like, stack_sequences
from reservoir.sequences._missing import check_values, hold_inputs, kept_dtype
from reservoir.sequences._names import check_target_names, with_names
from reservoir.sequences._panels import check_times
from reservoir.sequences._recognition import (
    LabelPer,
    cure_of_features,
    shape_of_table,
    turn_as_fitted,
    turn_to_fit,
    warn_of_layout,
    warn_of_table,
)
from reservoir.utils.device import (
    MEMORY_REMEDY,
    door_namespace,
    is_on_device,
    naming_remedy,
    refuse_device_arrays,
    to_host,
    to_namespace,
)
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice


class Training(NamedTuple):
    """Training data: sequences of inputs, targets (2-D) and weights, and how they came."""

    inputs: list[Array]
    targets: list[Array]
    weights: list[Array] | None
    layout: Layout
    targets_are_1d: bool


@dataclass(frozen=True)
class SequenceReader:
    """Reads what an estimator is given.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose features are counted, and whose name errors have.
    dtype : dtype
        float32 or float64.
    missing : {"raise", "hold"} or None
        None, of estimators without the parameter, refuses NaN and reads rows in `dtype` only.
    device : {"cpu", "cuda", "auto"} or None
        None, likewise, stands for the host.
    is_per_sequence : bool
        Whether the estimator gives back one thing per sequence, so that a table which it can't
        read as one series holds a series in each row.
    has_many_columns : bool
        Whether rows of more columns than there are rows are what the estimator is for.
    """

    estimator: BaseEstimator
    dtype: np.dtype[Any]
    missing: str | None = None
    device: str | None = None
    is_per_sequence: bool = False
    has_many_columns: bool = False

    def inputs(
        self,
        X: Any,
        groups: Any,
        lengths: Any,
        *,
        reset: bool = False,
        before: Array | None = None,
    ) -> tuple[list[Array], Layout]:
        """Return the sequences of `X`, checked, with held values in the place of NaN.

        They are in the dtype of the model, unless they are memory-mapped, and lie where the model
        computes. `before` is the row that the first sequence continues.
        """
        xp = self.take_namespace(X=X)
        rows, layout = self.stacked(X, groups, lengths, reset=reset)
        with np.errstate(over="ignore"):  # what float32 can't hold is refused below
            rows = self.validated(rows, reset=reset)
        return self._moved(xp, self._checked(rows, layout, before), layout), layout

    def labelled(
        self,
        X: Any,
        y: Any,
        label_per: LabelPer | None,
        groups: Any,
        lengths: Any,
        labels_of: Callable[[Layout], Any],
    ) -> tuple[list[Array], NDArray[Any], Layout]:
        """Return the sequences of `X` to be fitted, and a label for each of their rows.

        `labels_of` returns the labels, once it knows the layout of the rows. `y` and `label_per`
        say what the rows of a table are. The rest is as of `inputs`.
        """
        xp = self.take_namespace(X=X)
        X = self.turned(X, y, label_per, groups, lengths)
        rows, layout = self.stacked(X, groups, lengths, reset=True)
        by_row = labels_of(layout)
        with np.errstate(over="ignore"):  # what float32 can't hold is refused below
            rows, labels = self.validated(rows, by_row, reset=True)
        return self._moved(xp, self._checked(rows, layout), layout), labels, layout

    def turned(self, X: Any, y: Any, label_per: LabelPer | None, groups: Any, lengths: Any) -> Any:
        """Return `X` to be fitted, its rows as series of one feature where `y` says so."""
        return X if groups is not None or lengths is not None else turn_to_fit(X, y, label_per)

    def stacked(
        self, X: Any, groups: Any, lengths: Any, *, reset: bool = False
    ) -> tuple[Any, Layout]:
        """Return the rows of all sequences, with names where `X` has some, and their layout.

        One warning names what looks wrong with axes or times; what `fit` was given a kind of is
        read as that kind.
        """
        is_cut = groups is not None or lengths is not None
        n_features = None if reset else getattr(self.estimator, "n_features_in_", None)
        if not is_cut and n_features is not None:
            X = turn_as_fitted(X, n_features, is_per_sequence=self.is_per_sequence)
        rows, layout = stack_sequences(X, groups=groups, lengths=lengths)
        if layout.form == "list":
            rows = with_names(rows, X)
        self._check_labels_of_rows(X, layout)
        if reset:
            warn_of_layout(X, layout, rows.shape[-1] if len(rows.shape) else 0)
            is_table = not (is_cut or self.is_per_sequence or self.has_many_columns)
            table = shape_of_table(X) if is_table else None
            if table is not None:
                warn_of_table(X, table)
        elif n_features is not None and len(rows.shape) == 2 and rows.shape[1] != n_features:
            cure = cure_of_features(X, n_features)
            if cure:
                raise ValueError(
                    f"X has {rows.shape[1]} features, but {type(self.estimator).__name__} is "
                    f"expecting {n_features} features as input.{cure}"
                )
        return rows, layout

    def _check_labels_of_rows(self, X: Any, layout: Layout) -> None:
        """Warn once of times that do not increase, or leave a hole, within a sequence."""
        if layout.form == "panel":
            times = X.index.get_level_values(-1)
            parts = [times[a:b] for a, b in itertools.pairwise(layout.offsets)]
            check_times(parts, "X", are_of_panel=True)
        elif layout.form == "list":
            check_times([part.index for part in X if _has_index(part)], "X")
        elif _has_index(X):
            check_times([X.index[a:b] for a, b in itertools.pairwise(layout.offsets)], "X")

    def training(
        self,
        X: Any,
        y: Any,
        groups: Any,
        lengths: Any,
        step_weight: Any,
        reset: bool = True,
        before: Array | None = None,
    ) -> Training:
        """Return the checked sequences of inputs, targets (2-D) and weights.

        Of an estimator with the parameter `missing`, targets may be NaN, and inputs and targets of
        a dtype of their own, if they are memory-mapped. `before` as in `inputs`.
        """
        if y is None:
            name = type(self.estimator).__name__
            raise ValueError(f"This {name} requires y to be passed, but the target y is None.")
        xp = self.take_namespace(X=X, y=y, step_weight=step_weight)
        inputs, layout = self.inputs(X, groups, lengths, reset=reset, before=before)
        if not reset:
            check_target_names(self.estimator, y)
        targets = self._checked_targets(stack_like(y, layout, name="y"))
        is_tolerant = self.missing is not None
        check_consistent_length(np.empty((layout.n_rows, 0)), np.broadcast_to(0, targets.shape))
        remedy = "Leave the row out."
        check_values(targets, self.dtype, "y", allow_nan=is_tolerant, remedy=remedy)
        weights = None
        if step_weight is not None:
            values = stack_like(step_weight, layout, name="step_weight")
            values = np.asarray(to_host(values), dtype=np.float64)
            if values.shape != (layout.n_rows,):
                raise ValueError(
                    f"`step_weight` has shape {values.shape}, but `X` has {layout.n_rows} steps. "
                    "Pass one weight per step."
                )
            if not (np.isfinite(values).all() and (values >= 0).all() and values.any()):
                raise ValueError(
                    "`step_weight` holds a negative, infinite or NaN weight, or nothing but "
                    "zeros. Pass finite weights of 0 or more."
                )
            weights = layout.split(to_namespace(xp, values))
        if xp is not np:
            targets = xp.asarray(targets, dtype=np.float64)
        is_1d = targets.ndim == 1
        parts = layout.split(targets.reshape(len(targets), -1))
        return Training(inputs, parts, weights, layout, is_1d)

    def take_namespace(self, **arrays: Any) -> Any:
        """Return the namespace to compute in, once arrays are known to be where they may be."""
        name = type(self.estimator).__name__
        if self.device is None:
            refuse_device_arrays(name, **arrays)
            return np
        return door_namespace(name, self.device, **arrays)

    def validated(self, rows: Any, y: Any = None, *, reset: bool) -> Any:
        """Return rows, and labels if given, as scikit-learn checks and converts them."""
        also = {} if y is None else {"y": y}
        if not is_on_device(rows):
            return validate_data(
                self.estimator,
                rows,
                **also,
                dtype=self._dtype_of(rows),
                ensure_all_finite=False,
                reset=reset,
            )
        # What scikit-learn looks at is the shape: of zeros that take the memory of one.
        shape = np.broadcast_to(np.zeros((), dtype=rows.dtype), rows.shape)
        checked = validate_data(self.estimator, shape, **also, ensure_all_finite=False, reset=reset)
        rows = rows.astype(self.dtype, copy=False)
        return rows if y is None else (rows, checked[1])

    def _moved(self, xp: Any, parts: list[Array], layout: Layout) -> list[Array]:
        """Return sequences in a namespace, moved there as one array."""
        if xp is np or is_on_device(parts[0]):
            return parts
        rows = np.concatenate(parts) if len(parts) > 1 else parts[0]
        with naming_remedy(MEMORY_REMEDY):
            return layout.split(xp.asarray(rows, dtype=self.dtype))

    def _dtype_of(self, rows: Any) -> np.dtype[Any] | None:
        """Return what inputs are converted to as a whole, None where it is done piece by piece."""
        dtype = self.dtype
        return dtype if self.missing is None else kept_dtype(rows, dtype)

    def _checked(self, rows: Array, layout: Layout, before: Array | None = None) -> list[Array]:
        """Return the sequences of rows without NaN and infinity, or raise."""
        remedy, holds = "Fill it, or leave the row out.", False
        if self.missing is not None:
            remedy = "Fill it, or set `missing` to 'hold' to go on with the last value."
            holds = check_choice("missing", self.missing, ("raise", "hold")) == "hold"
        check_values(rows, self.dtype, "X", allow_nan=holds, remedy=remedy)
        parts = layout.split(rows)
        return hold_inputs(parts, before) if holds else parts

    def _checked_targets(self, y: Any) -> Any:
        """Return targets as numbers, where they lie; their values are checked later."""
        dtype = np.dtype(np.float64)
        if is_on_device(y):
            if y.ndim > 2:
                raise ValueError(
                    f"`y` has shape {y.shape}, but (n_steps,) or (n_steps, n_outputs) was "
                    "expected. Pass one value, or one row of values, a step."
                )
            return y.astype(dtype, copy=False)
        return check_array(
            y,
            dtype=dtype if self.missing is None else kept_dtype(y, dtype),
            ensure_2d=False,
            ensure_all_finite=False,
            input_name="y",
            estimator=self.estimator,
        )


def _has_index(values: Any) -> bool:
    """Say whether values are pandas data with labels of rows of one level."""
    index = getattr(values, "index", None)
    return getattr(index, "nlevels", 0) == 1
