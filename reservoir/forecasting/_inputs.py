"""What is known ahead of each step: inputs that are given, and the calendar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reservoir.forecasting._clock import CALENDAR_TERMS, Clock
from reservoir.forecasting._reading import SeriesForm, read_inputs
from reservoir.utils.persistence import register
from reservoir.utils.types import Floats
from reservoir.utils.validation import check_choice


@register
@dataclass(frozen=True)
class KnownInputs:
    """The columns known ahead that `fit` had, which later calls have to have as well.

    Parameters
    ----------
    calendar : tuple of str
        Names of calendar terms.
    n_given : int
        Columns given by the caller; 0 if there were none.
    names : list of str or None
        Their names, if they came in a DataFrame.
    """

    calendar: tuple[str, ...] = ()
    n_given: int = 0
    names: list[str] | None = None

    @classmethod
    def of(cls, X: Any, calendar: tuple[str, ...], form: SeriesForm, n_rows: list[int]) -> Any:
        """Return what `fit` was given, and the columns of each series.

        Returns
        -------
        known : KnownInputs
            To read further rows with.
        columns : list of ndarray of shape (n_rows, n_inputs)
            Of each series.
        """
        names, n_given = None, 0
        if X is not None:
            first = cls._of_series(X, form, "X", len(n_rows))[0]
            labels = form.clocks[0].labels(0, n_rows[0])
            values, names = read_inputs(first, n_rows[0], labels, None, _where("X", form, 0))
            n_given = values.shape[1]
        known = cls(calendar, n_given, names)
        return known, known._columns(X, form, n_rows, [0] * len(n_rows), "X")

    def read(
        self, X: Any, form: SeriesForm, n_rows: list[int], starts: list[int], argument: str
    ) -> list[Floats]:
        """Return the columns of some further rows of each series.

        Parameters
        ----------
        X : as `X` of `fit`, or None
            What came.
        form : SeriesForm
            Of the series.
        n_rows, starts : list of int
            Rows of each series, and the first of them.
        argument : str
            What errors call `X`.

        Raises
        ------
        ValueError
            If `X` is missing, or not as in `fit`.
        """
        if (X is None) != (self.n_given == 0):
            came, was, do = "missing", "with", "Pass"
            if X is not None:
                came, was, do = "given", "without", "Leave out"
            raise ValueError(
                f"`{argument}` is {came}, but `fit` was called {was} `X`. {do} the inputs of these "
                "steps."
            )
        return self._columns(X, form, n_rows, starts, argument)

    def _columns(
        self, X: Any, form: SeriesForm, n_rows: list[int], starts: list[int], argument: str
    ) -> list[Floats]:
        parts = []
        given = (
            [None] * len(n_rows) if X is None else self._of_series(X, form, argument, len(n_rows))
        )
        for index, (one, clock, rows, start) in enumerate(zip(given, form.clocks, n_rows, starts)):
            terms = self._terms(clock, start, rows)
            if one is None:
                parts.append(terms)
                continue
            where = _where(argument, form, index)
            values, _ = read_inputs(one, rows, clock.labels(start, rows), self.names, where)
            if values.shape[1] != self.n_given:
                raise ValueError(
                    f"`{where}` has {values.shape[1]} columns, but {self.n_given} were expected. "
                    "Pass the same inputs, in the same order, for all series and steps."
                )
            parts.append(np.hstack([values, terms]))
        return parts

    @staticmethod
    def _of_series(X: Any, form: SeriesForm, argument: str, n_series: int) -> Any:
        """Return the inputs of each series: the same for all columns of a table."""
        if form.kind != "list":
            return [X] * n_series
        if not isinstance(X, list | tuple) or len(X) != n_series:
            raise ValueError(
                f"`{argument}` is not a list of {n_series} arrays, but there are {n_series} "
                "series. Pass a list with the inputs of each."
            )
        return X

    def _terms(self, clock: Clock, start: int, n_rows: int) -> Floats:
        """Return what the calendar says of some rows, or raise where there is none."""
        if self.calendar and clock.kind not in ("times", "periods"):
            raise ValueError(
                f"`calendar` is {self.calendar!r}, but `y` has no dates. Pass a pandas Series or "
                "DataFrame with a DatetimeIndex or PeriodIndex."
            )
        return clock.terms(self.calendar, start, n_rows)


def check_calendar(calendar: Any) -> tuple[str, ...]:
    """Return the names of calendar terms, or raise."""
    names = (calendar,) if isinstance(calendar, str) else tuple(calendar)
    return tuple(check_choice("calendar", name, CALENDAR_TERMS) for name in names)


def _where(argument: str, form: SeriesForm, index: int) -> str:
    return f"{argument}[{index}]" if form.kind == "list" else argument
