"""A series that comes in chunks, cut to the sizes that learning wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from numpy.typing import NDArray

from reservoir.sequences._layout import Layout
from reservoir.utils.device import module_of
from reservoir.utils.explained import explained
from reservoir.utils.validation import check_integer, check_iterable

Rows = NDArray[Any]


# A multiple of the rows that the recurrence and the readout work on at a time: where a series is
# cut into such blocks, they see the same rows as in one piece.
ROWS_PER_BLOCK = 8192


@explained
def recut(parts: Iterable[tuple[Rows, Rows]], n_rows: int) -> Iterator[tuple[Rows, Rows]]:
    """Cut pairs of arrays of any lengths into pairs of `n_rows`; the last may be shorter.

    Parameters
    ----------
    parts : iterable of (ndarray of shape (n, n_inputs), ndarray of shape (n, n_outputs))
        n may differ. Each pair is copied before the next one is asked for.
    n_rows : int
        Rows of each pair to come.

    Yields
    ------
    tuple of two ndarray
        Buffers that the next pair overwrites.

    Examples
    --------
    >>> import numpy as np
    >>> chunks = [(np.arange(5.0)[:, None], np.zeros((5, 1)))] * 2
    >>> [inputs.ravel().tolist() for inputs, _ in recut(chunks, 4)]
    [[0.0, 1.0, 2.0, 3.0], [4.0, 0.0, 1.0, 2.0], [3.0, 4.0]]
    """
    check_iterable("parts", parts)
    check_integer("n_rows", n_rows, minimum=1)
    buffers: list[Rows] = []
    filled = 0
    for part in parts:
        if not buffers:
            _check_part(part)
            buffers = [
                module_of(rows).empty((n_rows, rows.shape[1]), dtype=rows.dtype) for rows in part
            ]
        done, n_new = 0, len(part[0])
        while done < n_new:
            n_taken = min(n_new - done, n_rows - filled)
            for buffer, rows in zip(buffers, part):
                buffer[filled : filled + n_taken] = rows[done : done + n_taken]
            done += n_taken
            filled += n_taken
            if filled == n_rows:
                yield buffers[0], buffers[1]
                filled = 0
    if filled:
        yield buffers[0][:filled], buffers[1][:filled]


def _check_part(part: Any) -> None:
    """Raise unless it is a pair of arrays with rows and columns."""
    is_pair = isinstance(part, tuple | list) and len(part) == 2
    if not is_pair or any(len(getattr(rows, "shape", ())) != 2 for rows in part):
        raise TypeError(
            f"`parts` holds something of type {type(part).__name__}, but pairs of 2-D arrays were "
            "expected. Yield one pair of inputs and targets at a time."
        )


_FORMS = {"array": "a 3-D array", "list": "a list", "panel": "a panel of several instances"}


def check_chunk(layout: Layout) -> None:
    """Raise unless a chunk is rows of one series."""
    if layout.form != "rows":
        raise ValueError(
            f"`chunks` holds {_FORMS[layout.form]}, but rows of "
            "one series, of shape (n_steps, n_features), were expected. Give several sequences to "
            "`fit`, or one after the other to `partial_fit`."
        )


def pair(chunk: Any) -> tuple[Any, Any]:
    """Return X and y of a chunk to learn from, or say what came instead."""
    if not isinstance(chunk, tuple) or len(chunk) != 2:
        kind = f"a tuple of {len(chunk)}" if isinstance(chunk, tuple) else type(chunk).__name__
        raise TypeError(
            f"`chunks` holds {kind}, but pairs (X, y) were expected. Yield one pair of inputs and "
            "targets at a time."
        )
    return chunk
