"""The end of a series, its forecast, and intervals about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reservoir.plotting._axes import one_axes


class IntervalDisplay:
    """A series, the forecast of its next steps, and bands that should hold the truth.

    Parameters
    ----------
    past : ndarray of shape (n_past,)
        The series before the forecast; NaN leaves a gap.
    mean : ndarray of shape (horizon,)
        The forecast.
    lower, upper : dict of float to ndarray of shape (horizon,)
        Ends of the interval of each level, in percent.
    times : ndarray or pandas Index of shape (n_past + horizon,)
        Where values are drawn.
    y_true : ndarray of shape (n_steps,), optional
        What came after `past`, at most `horizon` steps.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        What was drawn on.
    past_line_, mean_line_, true_line_ : matplotlib Line2D
        The lines; the last one is None without `y_true`.
    bands_ : dict of float to matplotlib PolyCollection
        The interval of each level.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> display = IntervalDisplay.from_forecast(
    ...     [1.0, 2.0, 3.0], [4.0, 5.0], {95: [3.5, 4.0]}, {95: [4.5, 6.0]})
    >>> display.mean_line_.get_xydata().tolist()
    [[3.0, 4.0], [4.0, 5.0]]
    """

    figure_: Any
    ax_: Any
    past_line_: Any
    mean_line_: Any
    true_line_: Any
    bands_: dict[float, Any]

    def __init__(
        self,
        past: NDArray[np.float64],
        mean: NDArray[np.float64],
        lower: Mapping[float, NDArray[np.float64]],
        upper: Mapping[float, NDArray[np.float64]],
        times: Any,
        *,
        y_true: NDArray[np.float64] | None = None,
    ) -> None:
        self.past = past
        self.mean = mean
        self.lower = lower
        self.upper = upper
        self.times = times
        self.y_true = y_true

    @classmethod
    def from_forecast(
        cls,
        past: ArrayLike,
        mean: ArrayLike,
        lower: Mapping[float, ArrayLike],
        upper: Mapping[float, ArrayLike],
        *,
        y_true: ArrayLike | None = None,
        times: Any = None,
        ax: Any = None,
    ) -> Self:
        """Check what is drawn, and draw it.

        Parameters
        ----------
        past, mean, lower, upper, y_true
            As in the class.
        times : array-like of shape (n_past + horizon,), or pandas Index, optional
            0, 1, 2, ... if left out.
        ax : matplotlib Axes, optional
            Made if left out.

        Returns
        -------
        IntervalDisplay

        Raises
        ------
        ValueError
            If lengths do not match, or levels of `lower` and `upper` differ.
        """
        before, ahead = _as_series("past", past), _as_series("mean", mean)
        if set(lower) != set(upper):
            raise ValueError(
                f"`lower` has the levels {list(lower)}, but `upper` has {list(upper)}. Pass both "
                "ends of each interval."
            )
        low = {level: _as_series("lower", lower[level], len(ahead)) for level in lower}
        high = {level: _as_series("upper", upper[level], len(ahead)) for level in upper}
        n_steps = len(before) + len(ahead)
        if times is None:
            times = np.arange(n_steps)
        elif len(times) != n_steps:
            raise ValueError(
                f"`times` has {len(times)} entries, but {n_steps} were expected. Pass one for each "
                "step of `past` and `mean`."
            )
        truth = None if y_true is None else _as_series("y_true", y_true)
        if truth is not None and len(truth) > len(ahead):
            raise ValueError(
                f"`y_true` has {len(truth)} steps, but the forecast has {len(ahead)}. Pass the "
                "steps that are forecast."
            )
        return cls(before, ahead, low, high, times, y_true=truth).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Made if left out.

        Returns
        -------
        IntervalDisplay
            Itself.
        """
        self.ax_ = one_axes(ax)
        times = self.times.to_timestamp() if hasattr(self.times, "to_timestamp") else self.times
        times = np.asarray(times)
        n_past = len(self.past)
        ahead = times[n_past:]
        (self.past_line_,) = self.ax_.plot(
            times[:n_past], self.past, color="black", linewidth=1, label="series"
        )
        self.bands_ = {}
        # The widest first and lightest, so that narrower ones lie on it.
        for rank, level in enumerate(sorted(self.lower, reverse=True)):
            self.bands_[level] = self.ax_.fill_between(
                ahead,
                self.lower[level],
                self.upper[level],
                color="tab:orange",
                alpha=min(0.2 + 0.2 * rank, 0.8),
                linewidth=0,
                label=f"{level:g} %",
            )
        self.true_line_ = None
        if self.y_true is not None:
            (self.true_line_,) = self.ax_.plot(
                ahead[: len(self.y_true)],
                self.y_true,
                color="black",
                linewidth=1,
                linestyle="--",
                label="what came",
            )
        (self.mean_line_,) = self.ax_.plot(
            ahead, self.mean, color="tab:orange", linewidth=1.5, label="forecast"
        )
        self.ax_.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=5, frameon=False, fontsize="small"
        )
        self.figure_ = self.ax_.figure
        return self


def _as_series(name: str, values: Any, n_steps: int | None = None) -> NDArray[np.float64]:
    """Return one series as an array, or raise."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or n_steps not in (None, len(array)):
        wanted = "(n_steps,)" if n_steps is None else f"({n_steps},)"
        raise ValueError(
            f"`{name}` has shape {array.shape}, but {wanted} was expected. Draw one series at a "
            "time."
        )
    return array
