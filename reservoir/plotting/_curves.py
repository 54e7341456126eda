"""Curves of one parameter: memory over the delay, scores over alpha."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from reservoir.diagnostics import MemoryCapacity, memory_capacity
from reservoir.plotting._axes import as_columns, one_axes
from reservoir.readout._solve import check_alphas


class MemoryCurveDisplay:
    """How much of the input of k steps ago a readout recalls, over k.

    Parameters
    ----------
    capacity : MemoryCapacity
        What `reservoir.diagnostics.memory_capacity` gave.
    name : str, optional
        Begins the label of the curve.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        What was drawn on.
    lines_ : list of matplotlib Line2D
        One an input channel.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import numpy as np
    >>> curve = MemoryCapacity(np.array([1, 2]), np.array([[0.9], [0.4]]), rank=2)
    >>> display = MemoryCurveDisplay.from_capacity(curve)
    >>> display.lines_[0].get_xydata().tolist()
    [[1.0, 0.9], [2.0, 0.4]]
    """

    figure_: Any
    ax_: Any
    lines_: list[Any]

    def __init__(self, capacity: MemoryCapacity, *, name: str | None = None) -> None:
        self.capacity = capacity
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        max_delay: int | None = None,
        n_steps: int = 5000,
        washout: int = 200,
        input_range: tuple[float, float] = (-1.0, 1.0),
        random_state: Any = None,
        progress: bool = False,
        name: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Measure the memory capacity of a reservoir, and draw its curve.

        Parameters
        ----------
        estimator : fitted estimator or Reservoir
            What is driven.
        max_delay, n_steps, washout, input_range, random_state, progress
            As in `reservoir.diagnostics.memory_capacity`.
        name : str, optional
            Begins the label of the curve.
        ax : matplotlib Axes, optional
            Made if left out.

        Returns
        -------
        MemoryCurveDisplay
        """
        capacity = memory_capacity(
            estimator,
            max_delay=max_delay,
            n_steps=n_steps,
            washout=washout,
            input_range=input_range,
            random_state=random_state,
            progress=progress,
        )
        return cls(capacity, name=name).plot(ax)

    @classmethod
    def from_capacity(
        cls, capacity: MemoryCapacity, *, name: str | None = None, ax: Any = None
    ) -> Self:
        """Draw a curve that was measured before.

        Parameters
        ----------
        capacity : MemoryCapacity
            What `reservoir.diagnostics.memory_capacity` gave.
        name, ax
            As in `from_estimator`.

        Returns
        -------
        MemoryCurveDisplay
        """
        return cls(capacity, name=name).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Made if left out; of one that has curves already, these stay.

        Returns
        -------
        MemoryCurveDisplay
            Itself.
        """
        self.ax_ = one_axes(ax)
        self.lines_ = self.ax_.plot(self.capacity.delays, self.capacity.curve, linewidth=1.3)
        parts = self.capacity.curve.sum(axis=0)
        for channel, (line, part) in enumerate(zip(self.lines_, parts, strict=True)):
            words = [self.name] if self.name else []
            words += [f"input {channel}"] if len(self.lines_) > 1 else []
            line.set_label(", ".join([*words, f"sum {part:.1f}"]))
        self.ax_.set(xlabel="delay k, steps", ylabel="memory capacity at delay k")
        self.ax_.set_ylim(-0.05, 1.05)
        self.ax_.legend(frameon=False)
        self.figure_ = self.ax_.figure
        return self


class AlphaPathDisplay:
    """Estimated error over the ridge penalty, and the penalty that was taken.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Candidates.
    scores : ndarray of shape (n_alphas, n_curves)
        Mean squared error estimated for each; NaN where there is none.
    chosen : ndarray of shape (n_curves,)
        The penalty taken.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        What was drawn on.
    lines_ : list of matplotlib Line2D
        One curve, or one per output.
    marks_ : list of matplotlib Line2D
        The point of the penalty taken on each curve.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> display = AlphaPathDisplay.from_scores([1e-4, 1e-2, 1.0], [0.3, 0.2, 0.6], 1e-2)
    >>> display.marks_[0].get_xydata().tolist()
    [[0.01, 0.2]]
    """

    figure_: Any
    ax_: Any
    lines_: list[Any]
    marks_: list[Any]

    def __init__(
        self,
        alphas: NDArray[np.float64],
        scores: NDArray[np.float64],
        chosen: NDArray[np.float64],
    ) -> None:
        self.alphas = alphas
        self.scores = scores
        self.chosen = chosen

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the path of an estimator that chose its alpha among several.

        Parameters
        ----------
        estimator : fitted estimator
            With `alpha`, `alpha_` and `alpha_scores_`.
        ax : matplotlib Axes, optional
            Made if left out.

        Returns
        -------
        AlphaPathDisplay

        Raises
        ------
        ValueError
            If there was only one alpha.
        sklearn.exceptions.NotFittedError
            If `estimator` is not fitted.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "alpha_scores_"):
            raise ValueError(
                "`estimator` has no `alpha_scores_`, but a path of several alphas is drawn. Fit "
                "it with `alpha=numpy.logspace(-12, 0, 25)`, for instance."
            )
        return cls.from_scores(estimator.alpha, estimator.alpha_scores_, estimator.alpha_, ax=ax)

    @classmethod
    def from_scores(cls, alphas: Any, scores: Any, chosen: Any, *, ax: Any = None) -> Self:
        """Draw scores over alphas.

        Parameters
        ----------
        alphas : array-like of shape (n_alphas,)
            Candidates.
        scores : array-like of shape (n_alphas,) or (n_alphas, n_outputs)
            Mean squared error of each.
        chosen : float or array-like of shape (n_outputs,)
            The penalty taken, one of `alphas`.
        ax : matplotlib Axes, optional
            Made if left out.

        Returns
        -------
        AlphaPathDisplay

        Raises
        ------
        ValueError
            If shapes differ, or a penalty taken is no candidate.
        """
        candidates = np.atleast_1d(check_alphas(alphas))
        curves = as_columns("scores", scores)
        taken = np.atleast_1d(np.asarray(chosen, dtype=np.float64))
        if len(curves) != len(candidates) or taken.shape != curves.shape[1:]:
            raise ValueError(
                f"`scores` has shape {curves.shape}, but ({len(candidates)}, {len(taken)}) was "
                "expected. Pass one row an alpha, one column a chosen alpha."
            )
        if not np.isin(taken, candidates).all():
            raise ValueError(
                f"`chosen` is {chosen}, but one of `alphas` was expected. Pass the alpha that "
                "was taken."
            )
        order = np.argsort(candidates)
        return cls(candidates[order], curves[order], taken).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Made if left out.

        Returns
        -------
        AlphaPathDisplay
            Itself.
        """
        self.ax_ = one_axes(ax)
        self.lines_ = self.ax_.loglog(self.alphas, self.scores, marker=".", linewidth=1.3)
        self.marks_ = []
        for output, (line, curve, alpha) in enumerate(
            zip(self.lines_, self.scores.T, self.chosen, strict=True)
        ):
            name = f"output {output}, " if len(self.lines_) > 1 else ""
            self.marks_ += self.ax_.plot(
                [alpha],
                [curve[np.searchsorted(self.alphas, alpha)]],
                linestyle="",
                marker="o",
                markersize=9,
                markerfacecolor="none",
                color=line.get_color(),
                label=f"{name}taken: {alpha:.3g}",
            )
        self.ax_.set(xlabel="alpha", ylabel="estimated mean squared error")
        self.ax_.legend(frameon=False)
        self.figure_ = self.ax_.figure
        return self
