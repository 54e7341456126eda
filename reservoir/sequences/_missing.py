"""Missing values: where they are refused, and what is held in their place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reservoir.utils.device import is_on_device, module_of, to_host

Rows = NDArray[Any]


# Rows that are looked at together, so that a memory-mapped file is never copied whole.
_ROWS_TOGETHER = 2**14


def kept_dtype(rows: Any, dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """Return the dtype that rows are converted to as a whole: None for a memory-mapped array.

    Its rows are converted piece by piece, where they are used.
    """
    is_mapped = isinstance(rows, np.memmap) and rows.dtype.kind in "fiub"
    return None if is_mapped else dtype


def check_values(
    rows: Rows, dtype: np.dtype[Any], name: str, *, allow_nan: bool, remedy: str
) -> None:
    """Raise at the first value that is infinite in `dtype`, or NaN unless that is allowed.

    Examples
    --------
    >>> check_values(np.array([[1.0], [np.nan]]), np.dtype(float), "X", allow_nan=True, remedy="")
    """
    xp = module_of(rows)
    for start, piece in _pieces(rows):
        with np.errstate(over="ignore"):
            values = piece.astype(dtype, copy=False)
        bad = xp.isinf(values) if allow_nan else ~xp.isfinite(values)
        if not bad.any():
            continue
        row, *column = (int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
        where = f"row {start + row}" + "".join(f", column {i}" for i in column)
        if np.isnan(float(values[(row, *column)])):
            raise ValueError(
                f"Input {name} contains NaN in {where}, but finite numbers were expected. {remedy}"
            )
        raise ValueError(
            f"Input {name} contains infinity or a value too large for {dtype} in {where}, but "
            "finite numbers were expected. Rescale the column, or leave the row out."
        )


def is_known(targets: Rows) -> NDArray[np.bool_]:
    """Return, for each row (n_rows, n_targets), whether none of its values is NaN: (n_rows,)."""
    xp = module_of(targets)
    known: NDArray[np.bool_] = xp.logical_not(xp.isnan(targets).any(axis=1))
    return known


def first_unknown(parts: Sequence[Rows]) -> tuple[int, int] | None:
    """Return sequence and step of the first row with a NaN, None where there is none."""
    for index, part in enumerate(parts):
        for start, piece in _pieces(part):
            known = is_known(piece)
            if not known.all():
                return index, start + int(known.argmin())
    return None


def hold(rows: Rows, before: Rows | None = None) -> Rows:
    """Put the last value that its column had in the place of each NaN.

    Parameters
    ----------
    rows : ndarray of shape (n_steps, n_columns)
        One sequence, in time order.
    before : ndarray of shape (n_columns,), optional
        What came before the first row; NaN where nothing is known, and if left out.

    Returns
    -------
    ndarray of shape (n_steps, n_columns)
        `rows` itself where it holds no NaN. NaN is left where no value came before.

    Examples
    --------
    >>> hold(np.array([[np.nan], [1.0], [np.nan]]), np.array([7.0])).ravel()
    array([7., 1., 1.])
    """
    if first_unknown([rows]) is None:
        return rows
    if is_on_device(rows):  # a scan, which CuPy has no word for, and seldom needed
        moved: Rows = module_of(rows).asarray(hold(to_host(rows), to_host(before)))
        return moved
    last = np.where(np.isnan(rows), -1, np.arange(len(rows))[:, np.newaxis])
    np.maximum.accumulate(last, axis=0, out=last)
    held = np.take_along_axis(rows, np.maximum(last, 0), axis=0)
    if before is not None:
        held = np.where(last < 0, before.astype(held.dtype), held)
    return held


def hold_inputs(parts: Sequence[Rows], before: Rows | None = None) -> list[Rows]:
    """Return input sequences without NaN, or say where there is nothing to hold.

    `before` is the row before the first one of the first sequence, where that goes on.
    """
    held = [hold(part, before if index == 0 else None) for index, part in enumerate(parts)]
    place = first_unknown(held)
    if place is not None:
        index, step = place
        column = int(np.isnan(to_host(held[index][step])).argmax())
        raise ValueError(
            f"`X` is NaN in column {column} at step {step} of sequence {index}, before any value "
            'that missing="hold" could hold. Fill it, or leave the first steps out.'
        )
    return held


def fed_back(targets: list[Rows], missing: str | None, before: Rows | None = None) -> list[Rows]:
    """Return targets as they are fed back while learning (teacher forcing): without NaN.

    Parameters
    ----------
    targets : list of ndarray of shape (n_steps, n_outputs)
        One for each sequence.
    missing : {"raise", "hold"} or None
        Whether the last value of a target stands in for NaN; 0 before the first.
    before : ndarray of shape (n_outputs,), optional
        The output before the first row, of a first sequence that is continued.

    Raises
    ------
    ValueError
        If a target is NaN and `missing` is "raise".
    """
    unknown = first_unknown(targets)
    if unknown is None:
        return targets
    if missing != "hold":
        raise ValueError(
            f"`y` is NaN at step {unknown[1]} of sequence {unknown[0]}, but with "
            "`feedback_scaling` the target is fed back while learning. Fill it, or set "
            "`missing` to 'hold' to feed the last target back."
        )
    starts: list[Rows] = [np.zeros(targets[0].shape[1])] * len(targets)
    if before is not None:
        starts[0] = before
    return [hold(part, start) for part, start in zip(targets, starts, strict=True)]


def _pieces(rows: Rows) -> Iterator[tuple[int, Rows]]:
    for start in range(0, len(rows), _ROWS_TOGETHER):
        yield start, rows[start : start + _ROWS_TOGETHER]
