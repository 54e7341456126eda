"""Names of columns, where data come with them."""

from __future__ import annotations

from typing import Any


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
