"""Row labels of a series: what they say of seasons and of the calendar, and how they go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reservoir.utils.persistence import register
from reservoir.utils.types import Floats

# Rows a year, or a week, of frequencies that are no fixed number of seconds.
_PER_PERIOD = {"B": 5, "C": 5, "W": 52, "SMS": 24, "SME": 24} | {
    name: n
    for n, names in {
        12: ("M", "MS", "ME", "BMS", "BME", "CBMS", "CBME"),
        4: ("Q", "QS", "QE", "BQS", "BQE"),
        1: ("Y", "YS", "YE", "BYS", "BYE", "A"),
    }.items()
    for name in names
}
_DAY = 86400
CALENDAR_TERMS = ("hour", "weekday", "month", "yearday")


@register
@dataclass(frozen=True)
class Clock:
    """Labels of rows: none, whole numbers, or the times or periods of a pandas index.

    Parameters
    ----------
    kind : {"rows", "numbers", "times", "periods"}
        What they are.
    start : str or int
        The first label: a number, or a time or period as text.
    step : str or int
        Distance between two: a number, or a pandas frequency.
    zone, name : str or None
        Time zone, and name of the index.
    """

    kind: str = "rows"
    start: str | int = 0
    step: str | int = 1
    zone: str | None = None
    name: str | None = None

    @classmethod
    def of(cls, index: Any, argument: str = "y") -> Clock:
        """Read a pandas index.

        Raises
        ------
        ValueError
            If its labels are not evenly spaced, or not times, periods or whole numbers.
        """
        import pandas as pd

        name = None if index.name is None else str(index.name)
        if isinstance(index, pd.PeriodIndex):
            clock = cls("periods", str(index[0]), index.freqstr, None, name)
        elif isinstance(index, pd.DatetimeIndex):
            step = index.freqstr
            if step is None and len(index) > 2:
                step = pd.DatetimeIndex(index, freq="infer").freqstr
            zone = None if index.tz is None else str(index.tz)
            start = index[0].tz_localize(None) if zone is None else index[0].tz_convert("UTC")
            clock = cls("times", start.isoformat(), step or "", zone, name)
        elif pd.api.types.is_integer_dtype(index.dtype):
            step = int(index[1] - index[0]) if len(index) > 1 else 1
            clock = cls("numbers", int(index[0]), step, None, name)
        else:
            raise ValueError(
                f"The index of `{argument}` holds labels of dtype {index.dtype}, which do not say "
                "how they go on. Use a DatetimeIndex, a PeriodIndex or whole numbers, or "
                "`reset_index(drop=True)`."
            )
        is_rising = len(index) < 2 or index[1] > index[0]
        if not clock.step or not is_rising or not clock.labels(0, len(index)).equals(index):
            raise ValueError(
                f"The index of `{argument}` is irregular: {_first_gap(index)} Sort it, drop "
                "duplicates, and give each row its place, with NaN where there is no value: "
                "`asfreq` does that for times."
            )
        return clock

    def labels(self, start: int, n_rows: int) -> Any:
        """Return the pandas index of some rows from `start` on, None without labels."""
        if self.kind == "rows":
            return None
        import pandas as pd

        if self.kind == "numbers":
            first, step = int(self.start) + start * int(self.step), int(self.step)
            return pd.RangeIndex(first, first + n_rows * step, step, name=self.name)
        if self.kind == "periods":
            n_all = start + n_rows
            index = pd.period_range(self.start, periods=n_all, freq=self.step, name=self.name)
            return index[start:]
        first = pd.Timestamp(self.start)
        if self.zone is not None:
            first = first.tz_convert(self.zone)
        return pd.date_range(first, periods=start + n_rows, freq=self.step, name=self.name)[start:]

    def seasons(self) -> tuple[int, ...]:
        """Return the seasons that the frequency suggests, in steps, ascending."""
        if self.kind not in ("times", "periods"):
            return ()
        offset = self.labels(0, 1).freq
        code, count = offset.rule_code.split("-")[0], int(offset.n)
        if code in _PER_PERIOD:
            lengths: list[float] = [_PER_PERIOD[code] / count]
        elif code == "D":
            lengths = [7 / count, 365 / count]
        else:
            seconds = offset.nanos / 1e9
            spans = (_DAY, 7 * _DAY) if seconds >= 60 else (60, 3600)
            lengths = [span / seconds for span in spans]
        return tuple(int(length) for length in lengths if length >= 2 and length == int(length))

    def terms(self, names: Sequence[str], start: int, n_rows: int) -> Floats:
        """Return what the calendar says of some rows, of shape (n_rows, n_terms).

        Hour and day of the year are sines and cosines of three harmonics, weekday and month 0 or 1
        for all but the first.
        """
        index = self.labels(start, n_rows)
        if self.kind == "periods":
            index = index.to_timestamp()
        columns: list[Any] = []
        for name in names:
            if name in ("weekday", "month"):
                value = np.asarray(index.day_of_week if name == "weekday" else index.month - 1)
                columns += [value == k for k in range(1, 7 if name == "weekday" else 12)]
                continue
            hour = np.asarray(index.hour + index.minute / 60 + index.second / 3600)
            share = hour / 24
            if name == "yearday":
                share = (np.asarray(index.day_of_year) - 1 + share) / 365.25
            for harmonic in (1, 2, 3):
                angle = 2 * np.pi * harmonic * share
                columns += [np.sin(angle), np.cos(angle)]
        if not columns:
            return np.zeros((n_rows, 0))
        return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)


def _first_gap(index: Any) -> str:
    """Say where the distance between two labels is not that of the first two."""
    if len(index) < 3:
        return "it has too few rows to tell how it goes on."
    steps = index[1:] - index[:-1] if not hasattr(index, "to_timestamp") else np.diff(index.asi8)
    steps = list(steps)
    common = max(set(steps), key=steps.count)
    for row, step in enumerate(steps):
        if step != common:
            return f"{index[row + 1]} follows {index[row]}."
    return "its labels are not evenly spaced."
