"""Kinds of objects that hold numbers of sequences, and those that only look so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np

_CURES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (Mapping, "Pass `list({name}.values())` for sequences, or a data frame for columns."),
    (Iterator, "Pass `list({name})`; chunks of one series are for `fit_stream`."),
    (Set, "Pass a list, which has an order."),
    ((str, bytes), "Pass what is in the file, as read by numpy or pandas."),
)


def refuse_kinds(values: Any, name: str) -> None:
    """Raise if values are of a kind that holds no numbers in order, or dates in their place.

    Raises
    ------
    TypeError

    Examples
    --------
    >>> refuse_kinds({"a": [1.0]}, "X")
    Traceback (most recent call last):
    ...
    TypeError: `X` is of type dict, but an array, a data frame, or a list of them was expected. \
Pass `list(X.values())` for sequences, or a data frame for columns.
    """
    if hasattr(values, "tocsr"):
        return  # scikit-learn refuses them by name
    for kind, cure in _CURES:
        if isinstance(values, kind):
            raise TypeError(
                f"`{name}` is of type {type(values).__name__}, but an array, a data frame, or a "
                f"list of them was expected. {cure.format(name=name)}"
            )
    if isinstance(values, list | tuple):
        for index, part in enumerate(values):
            if type(part) is np.ndarray:
                continue  # at a tenth of the price of the question below
            if isinstance(part, Mapping) or hasattr(part, "tocsr"):
                raise TypeError(
                    f"`{name}[{index}]` is of type {type(part).__name__}, but an array or a data "
                    "frame was expected. Pass dense arrays of shape (n_steps, n_features)."
                )
        return
    for dtype in _dtypes_of(values):
        # Those of polars have no kind.
        if getattr(dtype, "kind", str(dtype)[:4]) in ("m", "M", "Date", "Dura"):
            raise TypeError(
                f"`{name}` holds {dtype}, but numbers were expected. Make times the index of a "
                "data frame, or numbers: hours since the start, or sine and cosine of the hour."
            )
    if hasattr(values, "iloc") and values.ndim == 2 and values.size and np.ndim(values.iloc[0, 0]):
        raise TypeError(
            f"`{name}` holds a {type(values.iloc[0, 0]).__name__} in each cell, but numbers were "
            "expected. Of sktime's nested frames, pass what its `convert_to(X, 'pd-multiindex')` "
            "returns."
        )


def _dtypes_of(values: Any) -> list[Any]:
    """Return the dtypes of columns, or that of an array."""
    dtypes = getattr(values, "dtypes", None)
    if dtypes is not None and hasattr(dtypes, "__iter__"):  # a Series has one
        return list(dtypes)
    dtype = getattr(values, "dtype", None)
    return [] if dtype is None else [dtype]


def with_gaps(values: Any) -> Any:
    """Return a masked array with NaN in the place of what is masked, and others as they are.

    Examples
    --------
    >>> with_gaps(np.ma.masked_greater([1.0, 5.0], 2.0))
    array([ 1., nan])
    """
    if not isinstance(values, np.ma.MaskedArray) or not np.ma.is_masked(values):
        return values
    floats: Any = values if values.dtype.kind == "f" else values.astype(np.float64)
    return floats.filled(np.nan)
