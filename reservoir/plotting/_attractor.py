"""Attractors: series in their own space, in two or three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from reservoir.plotting._axes import as_columns, as_names, one_or_all, several_axes
from reservoir.utils.validation import check_integer


class AttractorDisplay:
    """A trajectory in two or three dimensions, beside the true one if that is there.

    Parameters
    ----------
    y_pred : ndarray of shape (n_steps, n_columns)
        Trajectory of the model, with two or three columns.
    y_true : ndarray of shape (n_true_steps, n_columns), optional
        The true one, of any length.
    names : list of str, optional
        One a column.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes, or ndarray of two
        The panel of the model; or those of the truth and of the model.
    lines_ : list of matplotlib lines
        One a panel.

    Examples
    --------
    A series with one column is drawn over its own past:

    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> display = AttractorDisplay.from_predictions([0.0, 1.0, 2.0, 3.0], delay=2)
    >>> display.lines_[0].get_xydata().tolist()
    [[2.0, 0.0], [3.0, 1.0]]
    """

    figure_: Any
    ax_: Any
    lines_: list[Any]

    def __init__(
        self,
        y_pred: NDArray[np.float64],
        y_true: NDArray[np.float64] | None = None,
        *,
        names: Sequence[str] | None = None,
    ) -> None:
        self.y_pred = y_pred
        self.y_true = y_true
        self.names = names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        n_steps: int,
        X: Any = None,
        *,
        y_true: Any = None,
        columns: Sequence[int] | None = None,
        delay: int | None = None,
        names: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Let a fitted estimator run free, and draw the way it takes.

        Parameters
        ----------
        estimator : fitted estimator
            With `forecast`.
        n_steps : int
            Steps of the free run.
        X : array-like of shape (n_context, n_features), optional
            Context before it; without it, it goes on from the training data.
        y_true, columns, delay, names, ax
            As in `from_predictions`.

        Returns
        -------
        AttractorDisplay

        Raises
        ------
        ValueError
            As `from_predictions`.
        """
        check_is_fitted(estimator)
        return cls.from_predictions(
            estimator.forecast(n_steps, X),
            y_true,
            columns=columns,
            delay=delay,
            names=names,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y_pred: Any,
        y_true: Any = None,
        *,
        columns: Sequence[int] | None = None,
        delay: int | None = None,
        names: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw a trajectory, beside the true one if that is given.

        Parameters
        ----------
        y_pred : array-like of shape (n_steps,) or (n_steps, n_outputs)
            Trajectory of the model.
        y_true : array-like of shape (n_true_steps,) or (n_true_steps, n_outputs), optional
            The true one.
        columns : sequence of int, optional
            Which two or three columns to draw; the first three if left out.
        delay : int, optional
            Steps d of the plane (y[t], y[t - d]) that a series with one column is drawn in.
        names : list of str, optional
            One a drawn column.
        ax : matplotlib Axes, or two of them, optional
            One a trajectory, three-dimensional where three columns are drawn; made if left out.

        Returns
        -------
        AttractorDisplay

        Raises
        ------
        ValueError
            If there are not two or three columns to draw, or shapes do not fit.
        """
        prediction = as_columns("y_pred", y_pred)
        truth = None if y_true is None else as_columns("y_true", y_true)
        if truth is not None and truth.shape[1] != prediction.shape[1]:
            raise ValueError(
                f"`y_true` has {truth.shape[1]} columns and `y_pred` {prediction.shape[1]}, but "
                "the same was expected. Pass the same variables."
            )
        if prediction.shape[1] == 1:
            if delay is None:
                raise ValueError(
                    "`y_pred` has one column, but an attractor needs two. Pass `delay`, the steps "
                    "between the two values that span the plane."
                )
            prediction = _embed("y_pred", prediction, delay)
            truth = None if truth is None else _embed("y_true", truth, delay)
            names = names or ["y[t]", f"y[t - {delay}]"]
            chosen = [0, 1]
        else:
            chosen = _chosen_columns(columns, prediction.shape[1])
            names = names or [as_names(None, prediction.shape[1])[column] for column in chosen]
        shown = None if truth is None else truth[:, chosen]
        return cls(prediction[:, chosen], shown, names=names).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, or two of them, optional
            One a trajectory; made if left out.

        Returns
        -------
        AttractorDisplay
            Itself.
        """
        parts = [("model", "tab:orange", self.y_pred)]
        if self.y_true is not None:
            parts.insert(0, ("truth", "black", self.y_true))
        n_columns = self.y_pred.shape[1]
        names = as_names(self.names, n_columns)
        axes = several_axes(ax, len(parts), in_a_row=True, is_3d=n_columns == 3)
        self.lines_ = []
        for axis, (title, color, rows) in zip(axes, parts, strict=True):
            self.lines_ += axis.plot(*rows.T, color=color, linewidth=0.5)
            axis.set(title=title, xlabel=names[0], ylabel=names[1])
            if n_columns == 3:
                axis.set(zlabel=names[2])
        if self.y_true is not None:
            for name in ("xlim", "ylim", "zlim")[:n_columns]:
                # One scale for both, that of the truth.
                axes[1].set(**{name: getattr(axes[0], f"get_{name}")()})
        self.ax_, self.figure_ = one_or_all(axes), axes[0].figure
        return self


def _embed(name: str, series: NDArray[np.float64], delay: int) -> NDArray[np.float64]:
    """Return the rows (y[t], y[t - delay])."""
    delay = check_integer("delay", delay, minimum=1)
    if len(series) <= delay:
        raise ValueError(
            f"`{name}` has {len(series)} steps, but more than `delay` = {delay} were expected. "
            "Pass a longer series."
        )
    return np.hstack([series[delay:], series[:-delay]])


def _chosen_columns(columns: Any, n_columns: int) -> list[int]:
    if columns is None:
        return list(range(min(n_columns, 3)))
    chosen = [check_integer("columns", column, maximum=n_columns - 1) for column in columns]
    if len(chosen) not in (2, 3):
        raise ValueError(
            f"`columns` has {len(chosen)} entries, but two or three are drawn. Pass as many."
        )
    return chosen
