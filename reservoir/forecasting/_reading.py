"""Series and inputs as they come: arrays, lists, pandas; and forecasts in the same form."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reservoir.forecasting._clock import Clock
from reservoir.sequences._panels import is_panel
from reservoir.utils.persistence import register
from reservoir.utils.types import Floats

# The shortest series that is forecast.
MIN_ROWS = 8


def is_pandas(value: Any, kind: str) -> bool:
    """Tell whether a value is a pandas object of a kind; pandas is not imported for that."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, getattr(pandas, kind))


@register
@dataclass(frozen=True)
class SeriesForm:
    """How series came: as one or several, in what kind, under which names.

    Parameters
    ----------
    kind : {"array", "series", "table", "frame", "list"}
        A 1-D array, a pandas Series, a 2-D array or a DataFrame with one series a column, a list.
    clocks : list of Clock
        Row labels of each series, from its first row on.
    names : list
        Of the columns, or of the one Series.
    parts : list of SeriesForm
        Of the entries of a list.
    """

    kind: str
    clocks: list[Clock]
    names: list[Any]
    parts: list[SeriesForm]

    @property
    def is_one(self) -> bool:
        """Whether it is a single series, and results come without a list."""
        return self.kind in ("array", "series")

    def where(self, index: int) -> str:
        """Return how errors call one of the series."""
        if self.is_one:
            return "`y`"
        if self.kind == "frame":
            return f"Column {self.names[index]!r} of `y`"
        return f"{'Series' if self.kind == 'list' else 'Column'} {index} of `y`"

    def restore(self, columns: list[Floats], start: int) -> Any:
        """Return values of all series in the form in which they came, labelled from a row on."""
        if self.kind == "array":
            return columns[0]
        if self.kind == "table":
            return np.stack(columns, axis=1)
        import pandas as pd

        labels = self.clocks[0].labels(start, len(columns[0]))
        if self.kind == "series":
            return pd.Series(columns[0], index=labels, name=self.names[0])
        return pd.DataFrame(np.stack(columns, axis=1), index=labels, columns=self.names)


def read_series(y: Any, argument: str = "y") -> tuple[list[Floats], SeriesForm]:
    """Return the values of one series or several, and their form.

    Raises
    ------
    TypeError
        If `y` is not a series, or does not hold real numbers.
    ValueError
        If it has more than two axes, or an index that is irregular.
    """
    if is_panel(y):
        raise ValueError(
            f"The rows of `{argument}` have several labels, but one for the time was expected. Of "
            "a panel (instance, time), pass "
            f"`[part.droplevel(0) for _, part in {argument}.groupby(level=0)]`."
        )
    if is_pandas(y, "Series"):
        values = _numbers(y.to_numpy(dtype=object), argument, None)
        return [values], SeriesForm("series", [_clock(y.index, argument)], [_plain(y.name)], [])
    if is_pandas(y, "DataFrame"):
        columns = [
            _numbers(y.iloc[:, place].to_numpy(dtype=object), argument, name)
            for place, name in enumerate(y.columns)
        ]
        if not columns:
            raise ValueError(f"`{argument}` has no columns. Pass one series a column.")
        names = [_plain(name) for name in y.columns]
        return columns, SeriesForm("frame", [_clock(y.index, argument)] * len(columns), names, [])
    if isinstance(y, list | tuple) and len(y) and any(np.ndim(entry) for entry in y):
        read = [read_series(entry, f"{argument}[{i}]") for i, entry in enumerate(y)]
        if not all(form.is_one for _, form in read):
            raise ValueError(
                f"`{argument}` is a list whose entries are not all single series. Pass 1-D arrays "
                "or pandas Series, one per series."
            )
        forms = [form for _, form in read]
        clocks = [form.clocks[0] for form in forms]
        return [values[0] for values, _ in read], SeriesForm("list", clocks, [], forms)
    values = _numbers(y, argument, None)
    if values.ndim == 1:
        return [values], SeriesForm("array", [Clock()], [None], [])
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(
            f"`{argument}` has shape {values.shape}, but (n_steps,) or (n_steps, n_series) was "
            "expected. Pass a list for series of different lengths."
        )
    n_series = values.shape[1]
    columns = list(np.ascontiguousarray(values.T))
    return columns, SeriesForm("table", [Clock()] * n_series, [None] * n_series, [])


def read_continuation(y_new: Any, form: SeriesForm, starts: list[int]) -> list[Floats]:
    """Return the next values of each series, which have to come in the form of the first ones.

    Parameters
    ----------
    y_new : as `y` of `fit`
        What came.
    form : SeriesForm
        Of the series.
    starts : list of int
        Row of each series that the first value belongs to.

    Raises
    ------
    ValueError
        If the form is another, labels do not go on, or a value is infinite.
    """
    if form.kind == "list":
        if not isinstance(y_new, list | tuple) or len(y_new) != len(form.parts):
            raise ValueError(
                f"`y_new` is not a list of {len(form.parts)} series, as `y` was. Pass the next "
                "values of each."
            )
        parts = zip(y_new, form.parts, starts)
        return [read_continuation(new, part, [start])[0] for new, part, start in parts]
    kind = {"series": "Series", "frame": "DataFrame"}.get(form.kind, "")
    if kind and is_pandas(y_new, kind):
        labels = form.clocks[0].labels(starts[0], len(y_new))
        if not y_new.index.equals(labels):
            raise ValueError(
                f"The index of `y_new` begins with {y_new.index[:1].tolist()}, but it goes on with "
                f"{labels[:1].tolist()} at the distance of `y`. Pass the rows that follow."
            )
        if kind == "DataFrame" and [_plain(name) for name in y_new.columns] != form.names:
            raise ValueError(
                f"`y_new` has the columns {list(y_new.columns)}, but {form.names} were expected. "
                "Pass the same ones in the same order."
            )
    values = _numbers(y_new, "y_new", None)
    is_table = form.kind in ("table", "frame")
    if values.ndim != 1 + is_table or (is_table and values.shape[1] != len(form.clocks)):
        shape = f"(n_new, {len(form.clocks)})" if is_table else "(n_new,)"
        raise ValueError(
            f"`y_new` has shape {values.shape}, but {shape} was expected. Pass the next rows in "
            "the form of `y`."
        )
    if not len(values) or np.isinf(values).any():
        what = "infinite values" if len(values) else "no rows"
        raise ValueError(f"`y_new` holds {what}. Pass the next rows, NaN where a value is missing.")
    return list(np.ascontiguousarray(values.T)) if is_table else [values]


def read_inputs(
    X: Any, n_rows: int, labels: Any, names: list[str] | None, argument: str
) -> tuple[Floats, list[str] | None]:
    """Return inputs of shape (n_rows, n_inputs), and the names of the columns of a DataFrame.

    Parameters
    ----------
    X : array-like, Series or DataFrame
        What came.
    n_rows : int
        Rows expected.
    labels : pandas Index or None
        Expected of a Series or DataFrame.
    names : list of str or None
        Columns expected of a DataFrame; None for any.
    argument : str
        What errors call it.
    """
    found = [str(name) for name in X.columns] if is_pandas(X, "DataFrame") else None
    if (
        labels is not None
        and (is_pandas(X, "DataFrame") or is_pandas(X, "Series"))
        and not X.index.equals(labels)
    ):
        raise ValueError(
            f"The index of `{argument}` runs from {X.index[0]} to {X.index[-1]} with {len(X)} "
            f"rows, but {labels[0]} to {labels[-1]} with {len(labels)} was expected. Give it one "
            "row for each of these labels."
        )
    if names is not None and found is not None and found != names:
        raise ValueError(
            f"`{argument}` has the columns {found}, but {names} were expected. Pass the same ones "
            "in the same order."
        )
    values = _numbers(X, argument, None)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or len(values) != n_rows or not values.shape[1]:
        raise ValueError(
            f"`{argument}` has shape {np.shape(X)}, but ({n_rows}, n_inputs) was expected. Pass "
            "one row per step."
        )
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(
            f"`{argument}` holds {values[row, column]} in row {row}, column {column}, but finite "
            "numbers were expected. Fill it."
        )
    return values, found


def check_values(values: Floats, where: str) -> None:
    """Raise if a series cannot be forecast from.

    Raises
    ------
    ValueError
        If it is infinite anywhere, ends in a gap, is too short, has too few values, or is constant.
    """
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise ValueError(
            f"{where} holds {values[row]} in row {row}, but finite numbers, or NaN for missing "
            "ones, were expected. Replace it."
        )
    known = values[np.isfinite(values)]
    if not len(known):
        why = f"all of its {len(values)} rows are NaN" if len(values) else "it has no rows"
        raise ValueError(
            f"{where} holds no values: {why}. Pass a series with at least {MIN_ROWS} values."
        )
    if len(known) < MIN_ROWS:
        raise ValueError(
            f"{where} holds {len(known)} values, but at least {MIN_ROWS} were expected. Pass a "
            "longer series."
        )
    check_end(values, where)
    if known.min() == known.max():
        raise ValueError(
            f"{where} is constant: all of its values are {known[0]:g}. There is nothing to learn; "
            "use that value as the forecast."
        )


def check_end(values: Floats, where: str) -> None:
    """Raise if a series ends in a gap."""
    known = np.flatnonzero(np.isfinite(values))
    n_missing = len(values) - 1 - int(known[-1]) if len(known) else len(values)
    if n_missing:
        raise ValueError(
            f"{where} ends with {n_missing} missing values, but forecasts go on from the last one "
            f"known. Leave the last {n_missing} rows out, and forecast as many steps more."
        )


def _numbers(values: Any, argument: str, column: Any) -> Floats:
    """Return real numbers as float64; missing values of any kind are NaN."""
    where = f"`{argument}`" if column is None else f"Column {column!r} of `{argument}`"
    try:
        if isinstance(values, np.ma.MaskedArray):
            values = np.ma.filled(values.astype(np.float64), np.nan)
        array = np.asarray(values)
        if array.dtype == object:
            pandas = sys.modules.get("pandas")
            if pandas is not None:
                array = np.where(pandas.isna(array), np.nan, array)
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{where} could not be read as numbers ({error}). Pass real numbers, NaN where they "
            "are missing."
        ) from None
    if array.dtype.kind not in "fiub" or not array.ndim:
        raise TypeError(
            f"{where} is of type {type(values).__name__} and dtype {array.dtype}, but a series of "
            "real numbers was expected. Pass an array, a pandas Series or DataFrame, or a list of "
            "series."
        )
    return np.array(array, dtype=np.float64)


def _clock(index: Any, argument: str) -> Clock:
    if not len(index):
        raise ValueError(f"`{argument}` has no rows. Pass a series with at least {MIN_ROWS}.")
    return Clock.of(index, argument)


def _plain(name: Any) -> Any:
    """Return a name that a file can hold."""
    return name if name is None or isinstance(name, str | int | float) else str(name)


def check_seasons(seasons: Any) -> tuple[int, ...] | None:
    """Return seasons in steps, ascending, None to be read from the index, or raise."""
    if seasons is None:
        return None
    listed: Sequence[Any] = (seasons,) if np.ndim(seasons) == 0 else tuple(seasons)
    for season in listed:
        if isinstance(season, bool) or not isinstance(season, int | np.integer) or season < 2:
            raise ValueError(
                f"`seasons` holds {season!r}, but whole numbers of steps of 2 or more were "
                "expected. Pass for instance 12, or (24, 168), or () for none."
            )
    return tuple(sorted({int(season) for season in listed}))
