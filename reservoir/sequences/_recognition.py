"""Sequences laid out otherwise: turned where one reading makes sense, named where two do."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from reservoir.sequences._layout import Layout, as_series_list, is_series_list
from reservoir.sequences._panels import is_panel
from reservoir.utils.device import is_on_device
from reservoir.utils.validation import warn_caller

LabelPer = Literal["auto", "sequence", "step"]

# Rows of fewer values are hardly ever series whose class is asked for: of the UEA and UCR archives
# the shortest have 8 steps.
_SHORTEST_SERIES = 8


def shape_of_table(X: Any) -> tuple[int, int] | None:
    """Return the shape of what is read as rows of one series, None for any other form.

    Examples
    --------
    >>> shape_of_table([[1, 2, 3], [4, 5, 6]]), shape_of_table(np.zeros((4, 3, 2)))
    ((2, 3), None)
    """
    if is_panel(X):
        return None
    if is_series_list(X):
        lengths = {len(series) for series in X}
        return (len(X), lengths.pop()) if len(lengths) == 1 else None
    if isinstance(X, list | tuple) and len(X) and hasattr(X[0], "shape"):
        return None
    try:
        shape = tuple((X if hasattr(X, "shape") else np.asarray(X)).shape)
    except ValueError:  # ragged: not a table, which another place says better
        return None
    return (int(shape[0]), int(shape[1])) if len(shape) == 2 else None


def rows_as_series(X: Any) -> Any:
    """Return a table whose rows are series of one feature as (n_series, n_steps, 1)."""
    table = X if is_on_device(X) else np.asarray(X)
    return table[:, :, np.newaxis]


def turn_to_fit(X: Any, y: Any, label_per: LabelPer | None) -> Any:
    """Return `X` with rows, or 1-D arrays, as series of one feature where `y` says that they are.

    Parameters
    ----------
    X : Any
        Sequences that neither `groups` nor `lengths` cut.
    y : Any
        Labels, or None where there are none.
    label_per : {"auto", "sequence", "step"} or None
        What a label belongs to; None of estimators without the parameter.
    """
    shape = shape_of_table(X)
    if shape is None or shape[0] < 2:
        return X
    n_rows, n_columns = shape
    n_labels = len(y) if hasattr(y, "__len__") else -1
    if label_per == "sequence":
        return rows_as_series(X) if n_labels == n_rows else X
    is_listed = is_series_list(X)
    if is_listed and n_labels == n_rows and all(np.shape(labels) == (n_columns,) for labels in y):
        return as_series_list(X)
    if label_per == "step" or n_columns < _SHORTEST_SERIES or n_labels not in (n_rows, -1):
        return X
    what = f"a list of {n_rows} 1-D arrays" if is_listed else f"of shape {shape}"
    labels = ", with a label per step" if label_per == "auto" else ""
    turned = "If each row is a series of one feature, pass `np.asarray(X)[:, :, np.newaxis]`"
    cure = f"{turned}; if it is one series, pass `lengths=[len(X)]` too."
    if label_per == "auto":
        cure = f"{turned}, or set `label_per` to 'sequence'; if it is one series, to 'step'."
    warn_caller(
        f"`X` is {what}, and read as one series of {n_rows} steps of {n_columns} features{labels}. "
        f"{cure}"
    )
    return X


def turn_as_fitted(X: Any, n_features: int, *, is_per_sequence: bool) -> Any:
    """Return `X` as series of one feature where a model of one feature can't read it otherwise."""
    shape = shape_of_table(X) if n_features == 1 else None
    if shape is None or shape[1] == 1:
        return X
    if is_series_list(X):
        return as_series_list(X)
    return rows_as_series(X) if is_per_sequence else X


def warn_of_layout(X: Any, layout: Layout, n_features: int) -> None:
    """Warn once of sequences to be fitted that look as if their axes were turned."""
    n_sequences, n_steps = len(layout.lengths), max(layout.lengths, default=0)
    if n_sequences > 1 and n_steps == 1:
        warn_caller(
            f"Each of the {n_sequences} sequences in `X` has one step, and nothing is remembered "
            "from one to the next. If `X` is laid out (n_sequences, n_channels, n_steps), turn it "
            "by `from_aeon(X)`; if it is one series, pass its rows without cuts."
        )
    elif layout.form == "array" and n_steps < n_features >= _SHORTEST_SERIES:
        warn_caller(
            f"`X` has shape {tuple(X.shape)}, and is read as {n_sequences} sequences of {n_steps} "
            f"steps of {n_features} features. If it is laid out (n_sequences, n_channels, "
            "n_steps), turn it by `from_aeon(X)`; if not, pass `list(X)`."
        )


def warn_of_table(X: Any, shape: tuple[int, int]) -> None:
    """Warn once of a table to be fitted whose rows may be series of one feature."""
    n_rows, n_columns = shape
    if is_series_list(X) and n_rows > 1 and n_columns > 1:
        warn_caller(
            f"`X` is a list of {n_rows} 1-D arrays of {n_columns} values, and read as {n_rows} "
            f"steps of {n_columns} features. If each is a series of one feature, pass "
            "`[x[:, np.newaxis] for x in X]`; if not, pass `np.stack(X)`."
        )
    elif 1 < n_rows < n_columns >= _SHORTEST_SERIES:
        warn_caller(
            f"`X` has shape {shape}, and is read as one series of {n_rows} steps of {n_columns} "
            "features. If each row is a series of one feature, pass "
            "`np.asarray(X)[:, :, np.newaxis]`; if not, pass `lengths=[len(X)]` too."
        )


def cure_of_features(X: Any, n_features: int) -> str:
    """Say what may be wrong with the axes of `X`, whose number of features is not that of `fit`.

    Examples
    --------
    >>> cure_of_features(np.zeros((5, 2, 9)), 2)
    ' `X` looks laid out (n_sequences, n_channels, n_steps): turn it by `from_aeon(X)`.'
    """
    if n_features == 1 and shape_of_table(X) is not None:
        return " If each row is a series of one feature, pass `np.asarray(X)[:, :, np.newaxis]`."
    is_list = isinstance(X, list | tuple)
    shapes = [np.shape(part) for part in X] if is_list else [tuple(getattr(X, "shape", ()))[1:]]
    if all(len(shape) == 2 and shape[0] == n_features for shape in shapes):
        return " `X` looks laid out (n_sequences, n_channels, n_steps): turn it by `from_aeon(X)`."
    return ""
