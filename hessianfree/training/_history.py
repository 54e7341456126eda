"""The history of a training run: one row per step, as columns."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reservoir.utils.explained import explained
from reservoir.utils.files import write_atomically


@explained
class History:
    """A table with one row per step: numbers, booleans and strings under fixed names.

    Parameters
    ----------
    columns : mapping of str to array-like of shape (n_steps,), optional
        What to start with.

    Examples
    --------
    >>> history = History()
    >>> history.append({"loss": 0.5, "cg_stop": "stopping_rule"})
    >>> history.append({"loss": 0.25, "cg_stop": "solved"})
    >>> history["loss"], len(history)
    (array([0.5 , 0.25]), 2)
    >>> history.last["cg_stop"]
    'solved'
    """

    def __init__(self, columns: Mapping[str, Any] | None = None) -> None:
        self._columns: dict[str, list[Any]] = {
            name: np.asarray(column).tolist() for name, column in (columns or {}).items()
        }

    def check_loaded(self) -> None:
        """Raise ValueError unless what was read from a file are columns of one length."""
        lengths = {len(column) for column in self._columns.values() if isinstance(column, list)}
        if len(lengths) > 1 or not all(isinstance(c, list) for c in self._columns.values()):
            raise ValueError("the columns of its history are not as long as each other")

    def append(self, row: Mapping[str, Any]) -> None:
        """Add the row of a step; every row must have the names of the first.

        Raises
        ------
        ValueError
            If the names differ.
        """
        if not self._columns:
            self._columns = {name: [] for name in row}
        if row.keys() != self._columns.keys():
            raise ValueError(
                f"`row` has the names {sorted(row)}, but {sorted(self._columns)} were expected. "
                "Go on with the optimizer that the history began with."
            )
        for name, value in row.items():
            # As plain strings, which is what comes back from a file.
            self._columns[name].append(value.value if isinstance(value, StrEnum) else value)

    def __len__(self) -> int:
        """Return the number of steps."""
        return min((len(column) for column in self._columns.values()), default=0)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column, an array of shape (n_steps,)."""
        return np.array(self._columns[name][: len(self)])

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    @property
    def last(self) -> dict[str, Any]:
        """The last row."""
        return self.row(len(self) - 1)

    def row(self, index: int) -> dict[str, Any]:
        """Return a row as it was appended."""
        return {name: column[index] for name, column in self._columns.items()}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all columns."""
        return {name: self[name] for name in self._columns}

    def head(self, n_steps: int) -> History:
        """Return a copy of the first steps."""
        copy = History()
        copy._columns = {name: column[:n_steps] for name, column in self._columns.items()}
        return copy

    def write_jsonl(self, path: str | os.PathLike[str]) -> None:
        """Write one line of JSON per step, replacing the file at once or not at all.

        Numbers that are not finite become null, as JSON has none of them.
        """
        lines = [json_line(self.row(index)) for index in range(len(self))]
        write_atomically(path, "".join(lines).encode())


def append_line(path: str | os.PathLike[str], row: Mapping[str, Any]) -> None:
    """Add a row to a file that `History.write_jsonl` wrote."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json_line(row))


def json_line(row: Mapping[str, Any]) -> str:
    r"""Return a row as a line of JSON.

    Examples
    --------
    >>> json_line({"loss": 0.5, "reduction_ratio": float("nan")})
    '{"loss": 0.5, "reduction_ratio": null}\n'
    """
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
    return json.dumps(finite) + "\n"
