"""Backtracking: the choice of an iterate of conjugate gradients, and the line search."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reservoir.utils.explained import explained
from reservoir.utils.types import Array


@dataclass(frozen=True)
class Choice:
    """The step that a search settled on.

    Attributes
    ----------
    index : int
        Of the iterate chosen by `backtrack`.
    value : float
        The loss after it.
    n_values : int
        Losses computed.
    """

    index: int
    value: float
    n_values: int


@explained
def backtrack(value: Callable[[Array], float], iterates: Sequence[Array]) -> Choice:
    """Walk back along the iterates of conjugate gradients while the loss falls.

    Later iterates lower the quadratic, and not always the loss. The walk starts at the last one and
    goes on while the one before has a lower loss (a loss that is not a number counts as infinite).

    Parameters
    ----------
    value : callable
        Step δ of shape (n_params,) -> f(θ + δ).
    iterates : sequence of ndarray of shape (n_params,)
        In the order in which they were made; at least one.

    Returns
    -------
    Choice

    Examples
    --------
    >>> import numpy as np
    >>> steps = [np.array([1.0]), np.array([2.0]), np.array([3.0])]
    >>> backtrack(lambda d: float((d[0] - 1.8) ** 2), steps).index
    1

    References
    ----------
    Martens (2010), Deep learning via Hessian-free optimization, section 4.6.
    """
    index = len(iterates) - 1
    best = _nan_as_infinite(value(iterates[index]))
    n_values = 1
    while index > 0:
        earlier = _nan_as_infinite(value(iterates[index - 1]))
        n_values += 1
        # Two infinite losses do not end the walk: an earlier, shorter step may still be finite.
        if earlier > best or (earlier == best and math.isfinite(best)):
            break
        index, best = index - 1, earlier
    return Choice(index, best, n_values)


@dataclass(frozen=True)
class LineSearchResult:
    """How far to go along a direction.

    Attributes
    ----------
    step_size : float
        α; 0 where no step was accepted.
    value : float
        f(θ + α δ); f(θ) where α = 0.
    n_values : int
        Losses computed.
    """

    step_size: float
    value: float
    n_values: int


@explained
@dataclass(frozen=True)
class BacktrackingLineSearch:
    r"""Shorten a step until the loss falls enough.

    The first of α = 1, 0.8, 0.8², ... with

    .. math:: f(\theta + \alpha \delta) \le f(\theta) + c\, \alpha \min(g^T \delta, 0)

    is taken [1]_.

    Parameters
    ----------
    shrinkage : float, default=0.8
        Factor from one α to the next, as in the code of [1]_.
    max_shrinkages : int, default=60
        After so many the step is rejected, as in that code.
    sufficient_decrease : float, default=0.01
        c (Armijo's constant), as in that code.

    Notes
    -----
    The minimum with 0 is ours: after a warm start on other data δ may point uphill, and the rule of
    [1]_ would then accept a loss that grows.

    References
    ----------
    .. [1] Martens (2010), Deep learning via Hessian-free optimization.
    """

    shrinkage: float = 0.8
    max_shrinkages: int = 60
    sufficient_decrease: float = 0.01

    def __post_init__(self) -> None:
        """Check the constants."""
        if not 0 < self.shrinkage < 1:
            raise ValueError(
                f"`shrinkage` is {self.shrinkage}, but a number between 0 and 1 was expected. "
                "Pass for instance 0.8."
            )

    def search(
        self, value: Callable[[float], float], initial_value: float, slope: float, full_value: float
    ) -> LineSearchResult:
        """Return the first α that is accepted.

        Parameters
        ----------
        value : callable
            α -> f(θ + α δ).
        initial_value : float
            f(θ).
        slope : float
            gᵀδ.
        full_value : float
            f(θ + δ), known from choosing δ.

        Returns
        -------
        LineSearchResult

        Examples
        --------
        >>> search = BacktrackingLineSearch().search
        >>> search(lambda a: (3 * a - 1) ** 2, 1.0, -6.0, 4.0).step_size  # 0.8 ** 2
        0.6400000000000001
        """
        slope = min(slope, 0.0)
        step_size, new_value = 1.0, full_value
        for n_values in range(self.max_shrinkages + 1):
            if new_value <= initial_value + self.sufficient_decrease * step_size * slope:
                return LineSearchResult(step_size, new_value, n_values)
            if n_values < self.max_shrinkages:
                step_size *= self.shrinkage
                new_value = value(step_size)
        return LineSearchResult(0.0, initial_value, self.max_shrinkages)


def _nan_as_infinite(value: float) -> float:
    """Return infinity for NaN, anything else as it is."""
    return math.inf if math.isnan(value) else value
