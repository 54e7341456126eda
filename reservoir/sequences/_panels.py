"""Row labels of pandas data: instances and times of panels, and what is wrong with times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reservoir.utils.types import Integers
from reservoir.utils.validation import warn_caller

# A step between two times is a hole from so many times the one that most others do not exceed:
# months differ by 31 / 28, and where a month is missing there are two.
_HOLE = 1.9
_MOST = 0.95


def is_panel(values: Any) -> bool:
    """Say whether values are pandas data whose rows have an instance and a time as labels.

    Examples
    --------
    >>> is_panel(np.zeros((3, 1)))
    False
    """
    return int(getattr(getattr(values, "index", None), "nlevels", 1)) > 1


def instances_of(index: Any) -> Any:
    """Return the instance of each row: all levels but the last, which is time."""
    return index.droplevel(-1)


def panel_lengths(index: Any, name: str) -> tuple[int, ...]:
    """Return how many rows each instance has, in their order, or raise if they are mixed."""
    instances = instances_of(index)
    codes, labels = instances.factorize()
    if len(codes) and codes.min() < 0:
        raise ValueError(
            f"The index of `{name}` has no instance in row {int(codes.argmin())}. Give each row "
            "an instance and a time."
        )
    steps_back = np.flatnonzero(np.diff(codes) < 0)
    if len(steps_back):
        row = int(steps_back[0]) + 1
        raise ValueError(
            f"The index of `{name}` comes back to the instance {instances[row]!r} in row {row}, "
            f"but the rows of an instance must be contiguous. Call `{name}.sort_index()`."
        )
    return tuple(np.bincount(codes, minlength=len(labels)).tolist()) or (0,)


def check_same_rows(values: Any, index: Any, name: str) -> Any:
    """Return values of a panel's rows, which have the labels of its rows if they have any."""
    if is_panel(values) and not values.index.equals(index):
        raise ValueError(
            f"`{name}` and `X` have indices that differ, but each row of `{name}` belongs to a row "
            f"of `X`. Pass `{name}.reindex(X.index)`."
        )
    return values


def labels_in_order(labels: Any, index: Any) -> Any:
    """Return one label per instance in the order of the instances, where they come with names.

    Examples
    --------
    >>> import pandas as pd
    >>> index = pd.MultiIndex.from_tuples([("b", 0), ("b", 1), ("a", 0)])
    >>> labels_in_order(pd.Series([1, 2], index=["a", "b"]), index).tolist()
    [2, 1]
    """
    order = instances_of(index).unique()
    names: Any = getattr(labels, "index", None)
    if not hasattr(names, "equals") or len(names) != len(order) or names.equals(order):
        return labels
    if names.is_unique and order.isin(names).all():
        return labels.loc[order]
    return labels


def as_panel(rows: Any, index: Any, names: Sequence[str] | None) -> Any:
    """Return one value per row as a Series, several as a DataFrame."""
    import pandas as pd

    if rows.ndim == 1:
        return pd.Series(rows, index=index, name=None if names is None else names[0])
    return pd.DataFrame(rows, index=index, columns=names)


def continue_panel(index: Any, n_steps: int) -> Any:
    """Return the index of the next steps of each instance.

    Times go on at their frequency, or at the last distance where they have none.

    Examples
    --------
    >>> import pandas as pd
    >>> index = pd.MultiIndex.from_product([["a", "b"], [3, 4, 5]])
    >>> continue_panel(index, 2).tolist()
    [('a', 6), ('a', 7), ('b', 6), ('b', 7)]
    """
    import pandas as pd

    times = index.get_level_values(-1)
    instances = instances_of(index)
    parts = []
    start = 0
    for length in panel_lengths(index, "X"):
        own = times[start : start + length]
        key = instances[start]
        key = key if isinstance(key, tuple) else (key,)
        parts += [(*key, time) for time in _next_times(own, n_steps)]
        start += length
    return pd.MultiIndex.from_tuples(parts, names=index.names)


def _next_times(times: Any, n_steps: int) -> Any:
    import pandas as pd

    if isinstance(times, pd.PeriodIndex):
        return pd.period_range(times[-1] + 1, periods=n_steps, freq=times.freq)
    frequency = _frequency(times)
    if frequency is not None:
        return pd.date_range(times[-1], periods=n_steps + 1, freq=frequency)[1:]
    if isinstance(times, pd.DatetimeIndex | pd.TimedeltaIndex) or times.dtype.kind in "iuf":
        if len(times) > 1:
            distance = times[-1] - times[-2]
        else:
            distance = pd.Timedelta(1, "D") if times.dtype.kind in "mM" else 1
        return [times[-1] + distance * (k + 1) for k in range(n_steps)]
    return range(len(times), len(times) + n_steps)


def check_times(indices: Sequence[Any], name: str, *, are_of_panel: bool = False) -> None:
    """Warn once if the times of a sequence do not increase, or leave a hole.

    Parameters
    ----------
    indices : sequence of pandas Index
        The labels of each sequence; those that are no times are not looked at.
    name : str
        Of the argument.
    are_of_panel : bool
        Whether numbers are times too; they may leave holes.
    """
    for index in indices:
        numbers = _as_numbers(index, are_of_panel)
        if numbers is None or len(numbers) < 2:
            continue
        steps = np.diff(numbers)
        if (steps <= 0).any():
            row = int(np.flatnonzero(steps <= 0)[0])
            warn_caller(
                f"The index of `{name}` does not increase: {index[row + 1]} comes after "
                f"{index[row]}. Rows are taken as steps in the order in which they come; call "
                f"`{name}.sort_index()`, and do not shuffle rows."
            )
            return
        hole = _first_hole(index, steps)
        if hole is not None:
            warn_caller(
                f"The index of `{name}` has a hole: {index[hole + 1]} comes after {index[hole]}. "
                f"Rows are taken as steps of one length; give each time a row by "
                f"`{name}.asfreq(...)` and fill it, or cut the series there with `groups`."
            )
            return


def _as_numbers(index: Any, are_of_panel: bool) -> Integers | None:
    """Return times as numbers, None for what are no times."""
    import pandas as pd

    if isinstance(index, pd.DatetimeIndex | pd.PeriodIndex | pd.TimedeltaIndex):
        return np.asarray(index.asi8)
    return np.asarray(index) if are_of_panel and index.dtype.kind in "iuf" else None


def _first_hole(index: Any, steps: Integers) -> int | None:
    if index.dtype.kind in "iuf":
        return None
    if steps.max() <= _HOLE * steps.min():
        return None  # which is all that most need
    most = np.quantile(steps, _MOST, method="lower")
    holes = np.flatnonzero(steps > _HOLE * most)
    if not len(holes):
        return None
    # Irregular on sight, such as business days around one weekend, but of one frequency.
    return int(holes[0]) if _frequency(index) is None else None


def _frequency(times: Any) -> Any:
    """Return the frequency of increasing dates, None where they have none."""
    import pandas as pd

    is_dated = isinstance(times, pd.DatetimeIndex) and len(times) > 2
    return pd.DatetimeIndex(times, freq="infer").freq if is_dated else None
