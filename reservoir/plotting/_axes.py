"""Axes to draw on, and arrays to draw, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def one_axes(ax: Any) -> Any:
    """Return `ax`, or the axes of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def several_axes(
    ax: Any, n_axes: int, *, in_a_row: bool = False, is_3d: bool = False
) -> NDArray[Any]:
    """Return `ax` as an array of n_axes axes, or the axes of a new figure."""
    if ax is not None:
        axes = np.array(ax, dtype=object).ravel()
        if len(axes) != n_axes:
            raise ValueError(
                f"`ax` holds {len(axes)} axes, but {n_axes} are drawn. Pass as many, or leave it "
                "out."
            )
        if is_3d and any(axis.name != "3d" for axis in axes):
            raise ValueError(
                "`ax` is flat, but three columns are drawn. Pass axes made with "
                '`projection="3d"`, or leave it out.'
            )
        return axes
    import matplotlib.pyplot as plt

    shape = (1, n_axes) if in_a_row else (n_axes, 1)
    size = (5.0 * n_axes, 4.5) if in_a_row else (7.0, 1.4 + 1.8 * n_axes)
    grid = plt.subplots(
        *shape,
        figsize=size,
        sharex=not in_a_row,
        squeeze=False,
        layout="constrained",
        subplot_kw={"projection": "3d"} if is_3d else None,
    )[1]
    return np.asarray(grid).ravel()


def one_or_all(axes: NDArray[Any]) -> Any:
    """Return the only entry, or the array."""
    return axes[0] if len(axes) == 1 else axes


def as_columns(name: str, values: Any) -> NDArray[np.float64]:
    """Return one series as an array of shape (n_steps, n_columns), or raise."""
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim == 1:
        rows = rows[:, None]
    if rows.ndim != 2 or not rows.size:
        raise ValueError(
            f"`{name}` has shape {rows.shape}, but one series of shape (n_steps,) or "
            "(n_steps, n_columns) was expected. Draw one sequence at a time."
        )
    return rows


def as_names(names: Sequence[str] | None, n_columns: int) -> list[str]:
    """Return one name a column."""
    if names is None:
        return ["y"] if n_columns == 1 else [f"y[{column}]" for column in range(n_columns)]
    if len(names) != n_columns:
        raise ValueError(
            f"`names` has {len(names)} entries, but {n_columns} columns are drawn. "
            "Pass one per column."
        )
    return list(names)
