"""Eigenvalues of the recurrent weights beside the unit circle."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvals
from scipy.sparse import issparse

from reservoir.diagnostics._system import fitted_reservoir
from reservoir.dynamics._reservoir import Reservoir
from reservoir.plotting._axes import one_axes


class EigenvalueDisplay:
    """Eigenvalues of W in the complex plane, with the unit circle.

    Parameters
    ----------
    eigenvalues : ndarray of complex of shape (n_units,)
        What is drawn.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        What was drawn on.
    points_ : matplotlib Line2D
        The eigenvalues.
    circle_ : matplotlib Line2D
        The unit circle.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import numpy as np
    >>> display = EigenvalueDisplay.from_matrix(np.diag([0.5, -0.25]))
    >>> display.points_.get_xydata().tolist()
    [[0.5, 0.0], [-0.25, 0.0]]
    """

    figure_: Any
    ax_: Any
    points_: Any
    circle_: Any

    def __init__(self, eigenvalues: NDArray[np.complexfloating]) -> None:
        self.eigenvalues = eigenvalues

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the eigenvalues of the recurrent weights of an estimator.

        Parameters
        ----------
        estimator : fitted estimator or Reservoir
            Its W is made dense: 8 N² bytes, and time of order N³ (seconds for 1,000 units).
        ax : matplotlib Axes, optional
            Made if left out.

        Returns
        -------
        EigenvalueDisplay

        Raises
        ------
        TypeError
            If `estimator` has no reservoir.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        is_reservoir = isinstance(estimator, Reservoir)
        reservoir = estimator if is_reservoir else fitted_reservoir(estimator)
        return cls.from_matrix(reservoir.recurrent, ax=ax)

    @classmethod
    def from_matrix(cls, matrix: Any, *, ax: Any = None) -> Self:
        """Draw the eigenvalues of a matrix.

        Parameters
        ----------
        matrix : array-like or sparse array of shape (n_units, n_units)
            Such as `reservoir.weights.recurrent_weights` gives.
        ax : matplotlib Axes, optional
            Made if left out.

        Returns
        -------
        EigenvalueDisplay

        Raises
        ------
        ValueError
            If `matrix` is not square, or not finite.
        """
        dense = matrix.toarray() if issparse(matrix) else np.asarray(matrix)
        if dense.ndim != 2 or dense.shape[0] != dense.shape[1] or not np.isfinite(dense).all():
            raise ValueError(
                f"`matrix` has shape {dense.shape}, but a square one of finite numbers was "
                "expected. Pass the recurrent weights."
            )
        return cls(eigvals(dense)).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Made if left out.

        Returns
        -------
        EigenvalueDisplay
            Itself.
        """
        self.ax_ = one_axes(ax)
        angle = np.linspace(0, 2 * np.pi, 361)
        (self.circle_,) = self.ax_.plot(
            np.cos(angle), np.sin(angle), color="gray", linewidth=1, label="unit circle"
        )
        radius = np.abs(self.eigenvalues).max()
        (self.points_,) = self.ax_.plot(
            self.eigenvalues.real,
            self.eigenvalues.imag,
            linestyle="",
            marker="o",
            markersize=3,
            label=f"eigenvalues, radius {radius:.3g}",
        )
        self.ax_.set(xlabel="real part", ylabel="imaginary part")
        self.ax_.set_aspect("equal", adjustable="datalim")
        self.ax_.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize="small"
        )
        self.figure_ = self.ax_.figure
        return self
