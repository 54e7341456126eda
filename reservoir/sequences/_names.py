"""Names of columns, where data come with them."""

from __future__ import annotations

from typing import Any

import numpy as np


def column_names(values: Any) -> list[str] | None:
    """Return the names of the columns of a frame, or that of a series; None where there are none.

    Parameters
    ----------
    values : array-like, frame, series, or list of these
        Of a list, the names that all have in common count.

    Examples
    --------
    >>> import numpy as np
    >>> column_names(np.zeros((3, 2))) is None
    True
    """
    if isinstance(values, list | tuple):
        names = [column_names(part) if hasattr(part, "shape") else None for part in values]
        return names[0] if names and all(one == names[0] for one in names) else None
    columns = getattr(values, "columns", None)
    if columns is None:
        name = getattr(values, "name", None)
        columns = [name] if getattr(values, "ndim", 0) == 1 else []
    names_of_columns = list(columns)
    is_named = names_of_columns and all(isinstance(name, str) for name in names_of_columns)
    return names_of_columns if is_named else None


def with_names(rows: Any, sequences: Any) -> Any:
    """Return stacked rows as a frame of the kind of the sequences, if these have names of columns.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_columns)
    sequences : list of frames, or of anything else
        What the rows come from.
    """
    names = column_names(sequences)
    if names is None or not hasattr(sequences[0], "columns"):
        return rows
    frame = type(sequences[0])
    if frame.__module__.startswith("pandas"):
        return frame(rows, columns=names, copy=False)
    return frame(rows, schema=names)


def check_target_names(estimator: Any, y: Any) -> None:
    """Raise if the columns of targets are not those that were fitted, in their order.

    A single one may be called otherwise.
    """
    fitted, names = getattr(estimator, "target_names_in_", None), column_names(y)
    if fitted is None or names is None or len(names) < 2:
        return
    if names != list(fitted):
        raise ValueError(
            f"`y` has the columns {names}, but this {type(estimator).__name__} was fitted with "
            f"{list(fitted)}. Pass `y[{list(fitted)}]`."
        )


def by_name(row: Any, names: Any) -> Any:
    """Return the values of a pandas Series in the order of some names, where it has them all."""
    if names is None or set(row.index) != set(names):
        return row
    return row[list(names)]


def framed_like(rows: Any, like: Any) -> Any:
    """Return rows with the names, labels and number of axes of what they were made from.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_columns)
    like : array-like of one or two axes, frame or series

    Examples
    --------
    >>> framed_like(np.array([[1.0], [2.0]]), [3.0, 4.0])
    array([1., 2.])
    """
    is_one = np.asarray(like).ndim == 1
    library = type(like).__module__.partition(".")[0]
    if library == "pandas":
        if is_one:
            return type(like)(rows[:, 0], index=like.index, name=like.name)
        return type(like)(rows, index=like.index, columns=like.columns)
    if library == "polars":
        return type(like)(like.name, rows[:, 0]) if is_one else type(like)(rows, like.columns)
    return rows[:, 0] if is_one else rows
