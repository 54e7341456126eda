"""Series over time: forecasts against the truth, and states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from reservoir.diagnostics._system import check_inputs, driven_system, stream
from reservoir.plotting._axes import as_columns, as_names, one_axes, one_or_all, several_axes
from reservoir.utils.validation import check_integer, check_real


class ForecastDisplay:
    """A forecast against the truth, one panel an output.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_steps, n_outputs)
        Truth and forecast, row by row of the same steps.
    dt : float, default=1.0
        Time between two rows.
    time_label : str, default="step"
        Name and unit of time.
    names : list of str, optional
        One an output.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes, or ndarray of them
        One panel an output.
    true_lines_, predicted_lines_ : list of matplotlib Line2D
        One an output.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> display = ForecastDisplay.from_predictions([0.0, 1.0, 0.0], [0.1, 0.9, 0.2], dt=0.5)
    >>> display.predicted_lines_[0].get_xydata().tolist()
    [[0.0, 0.1], [0.5, 0.9], [1.0, 0.2]]
    """

    figure_: Any
    ax_: Any
    true_lines_: list[Any]
    predicted_lines_: list[Any]

    def __init__(
        self,
        y_true: NDArray[np.float64],
        y_pred: NDArray[np.float64],
        *,
        dt: float = 1.0,
        time_label: str = "step",
        names: Sequence[str] | None = None,
    ) -> None:
        self.y_true = y_true
        self.y_pred = y_pred
        self.dt = dt
        self.time_label = time_label
        self.names = names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        free_running: bool = False,
        dt: float = 1.0,
        time_label: str = "step",
        names: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Let a fitted estimator predict, and draw that against `y`.

        Parameters
        ----------
        estimator : fitted estimator
            With `predict`, and `forecast` for a free run.
        X : array-like of shape (n_steps, n_features)
            Inputs; in a free run the context before the first row of `y`, or None to go on from
            the training data.
        y : array-like of shape (n_steps,) or (n_steps, n_outputs)
            The truth.
        free_running : bool, default=False
            Whether `estimator` runs on its own output: `estimator.forecast(len(y), X)`.
        dt, time_label, names
            As in the class.
        ax : matplotlib Axes, or several of them, optional
            One an output; made if left out.

        Returns
        -------
        ForecastDisplay

        Raises
        ------
        ValueError
            If there are several series, or shapes differ.
        """
        check_is_fitted(estimator)
        y_true = as_columns("y", y)
        prediction = estimator.forecast(len(y_true), X) if free_running else estimator.predict(X)
        return cls.from_predictions(
            y_true, prediction, dt=dt, time_label=time_label, names=names, ax=ax
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        dt: float = 1.0,
        time_label: str = "step",
        names: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw a forecast against the truth.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_steps,) or (n_steps, n_outputs)
            Truth and forecast.
        dt, time_label, names, ax
            As in `from_estimator`.

        Returns
        -------
        ForecastDisplay

        Raises
        ------
        ValueError
            If there are several series, or shapes differ.
        """
        truth, prediction = as_columns("y_true", y_true), as_columns("y_pred", y_pred)
        if truth.shape != prediction.shape:
            raise ValueError(
                f"`y_true` has shape {truth.shape} and `y_pred` {prediction.shape}, but the same "
                "was expected. Cut both to the same steps."
            )
        dt = check_real("dt", dt, minimum=0, exclusive=True)
        return cls(truth, prediction, dt=dt, time_label=time_label, names=names).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, or several of them, optional
            One an output; made if left out.

        Returns
        -------
        ForecastDisplay
            Itself.
        """
        n_steps, n_outputs = self.y_true.shape
        names = as_names(self.names, n_outputs)
        axes = several_axes(ax, n_outputs)
        time = self.dt * np.arange(n_steps)
        self.true_lines_, self.predicted_lines_ = [], []
        for axis, name, truth, prediction in zip(axes, names, self.y_true.T, self.y_pred.T):
            self.true_lines_ += axis.plot(time, truth, color="black", linewidth=2.2, label="truth")
            self.predicted_lines_ += axis.plot(
                time, prediction, color="tab:orange", linewidth=1.3, label="forecast"
            )
            axis.set(ylabel=name)
            # The forecast may leave the range of the truth by powers of ten: the truth decides.
            low, high = truth.min(), truth.max()
            margin = 0.25 * (high - low) or 1.0
            axis.set(ylim=(low - margin, high + margin), xlim=(time[0], time[-1] or 1.0))
        axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
        axes[-1].set(xlabel=self.time_label)
        self.ax_, self.figure_ = one_or_all(axes), axes[0].figure
        return self


class StatesDisplay:
    """States of some units over time.

    Parameters
    ----------
    states : ndarray of shape (n_steps, n_shown)
        What is drawn.
    units : ndarray of int of shape (n_shown,)
        Which units these are.
    start : int, default=0
        The step of the first row.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        What was drawn on.
    lines_ : list of matplotlib Line2D
        One a unit.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> display = StatesDisplay.from_states([[0.0, 5.0], [1.0, 6.0]], units=[1])
    >>> display.lines_[0].get_xydata().tolist()
    [[0.0, 5.0], [1.0, 6.0]]
    """

    figure_: Any
    ax_: Any
    lines_: list[Any]

    def __init__(
        self, states: NDArray[np.float64], units: NDArray[np.intp], *, start: int = 0
    ) -> None:
        self.states = states
        self.units = units
        self.start = start

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        units: int | Sequence[int] = 10,
        washout: int = 0,
        ax: Any = None,
    ) -> Self:
        """Drive the reservoir of an estimator from the zero state, and draw its states.

        Parameters
        ----------
        estimator : fitted estimator or Reservoir
            What is driven; with feedback weights its own output is fed back.
        X : array-like of shape (n_steps, n_inputs)
            One input series.
        units : int or sequence of int, default=10
            How many units, or which.
        washout : int, default=0
            Steps at the start that are not drawn.
        ax : matplotlib Axes, optional
            Made if left out.

        Returns
        -------
        StatesDisplay

        Raises
        ------
        TypeError, ValueError
            If `estimator` cannot be driven, or an argument is out of its range.
        """
        system = driven_system(estimator)
        washout = check_integer("washout", washout)
        inputs = check_inputs(X, system.reservoir, washout)
        shown = _chosen_units(units, system.reservoir.n_units)
        start = np.zeros((1, system.reservoir.n_units))
        blocks = stream(system, [inputs], len(inputs), start)
        states = np.concatenate([block.states[0][:, shown] for block in blocks])[washout:]
        return cls(states, shown, start=washout).plot(ax)

    @classmethod
    def from_states(cls, states: Any, *, units: int | Sequence[int] = 10, ax: Any = None) -> Self:
        """Draw states that are there already.

        Parameters
        ----------
        states : array-like of shape (n_steps, n_units)
            Such as `ReservoirTransformer.transform` gives.
        units, ax
            As in `from_estimator`.

        Returns
        -------
        StatesDisplay

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.
        """
        rows = as_columns("states", states)
        shown = _chosen_units(units, rows.shape[1])
        return cls(rows[:, shown], shown).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Made if left out.

        Returns
        -------
        StatesDisplay
            Itself.
        """
        self.ax_ = one_axes(ax)
        steps = self.start + np.arange(len(self.states))
        self.lines_ = self.ax_.plot(steps, self.states, linewidth=1)
        for unit, line in zip(self.units, self.lines_, strict=True):
            line.set_label(f"unit {unit}")
        self.ax_.set(xlabel="step", ylabel="state")
        self.ax_.margins(x=0)
        if len(self.lines_) <= 10:
            self.ax_.legend(
                loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize="small"
            )
        self.figure_ = self.ax_.figure
        return self


def _chosen_units(units: Any, n_units: int) -> NDArray[np.intp]:
    """Return the indices that a number of units, or a list of them, stands for."""
    if np.ndim(units) == 0:
        return np.arange(min(check_integer("units", units, minimum=1), n_units))
    chosen = np.asarray(units)
    if (
        chosen.ndim != 1
        or not chosen.size
        or not np.issubdtype(chosen.dtype, np.integer)
        or chosen.min() < 0
        or chosen.max() >= n_units
    ):
        raise ValueError(
            f"`units` is {units!r}, but indices from 0 to {n_units - 1} were expected. Pass a "
            "list of them, or how many to draw."
        )
    return chosen.astype(np.intp)
