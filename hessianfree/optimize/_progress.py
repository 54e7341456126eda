"""Progress of conjugate gradients: kept iterates, stopping rule, result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from reservoir.utils.device import module_of
from reservoir.utils.types import Array


class ConjugateGradientStop(StrEnum):
    """Why conjugate gradients ended; each member equals its string.

    Examples
    --------
    >>> ConjugateGradientStop.SOLVED == "solved"
    True
    """

    STOPPING_RULE = "stopping_rule"
    MAX_ITERATIONS = "max_iterations"
    #: The residual is at rounding level: negligible against b, or hardly larger than its own error.
    SOLVED = "solved"
    NEGATIVE_CURVATURE = "negative_curvature"
    #: A product, or a number made from it, overflowed.
    NOT_FINITE = "not_finite"
    #: The loss or its gradient was not finite, and there was nothing to solve.
    NOT_STARTED = "not_started"


StoppingRule = Callable[[Sequence[float]], bool]


@dataclass(frozen=True)
class RelativeProgress:
    r"""Stop conjugate gradients when the quadratic hardly falls any more [1]_.

    They stop at iteration i when

    .. math::

        i > k, \quad \varphi_i < 0 \quad \text{and} \quad
        (\varphi_i - \varphi_{i-k}) / \varphi_i < k\, \varepsilon,
        \quad \text{with} \quad k = \max(k_{\min}, \lceil c\, i \rceil) ,

    Parameters
    ----------
    tolerance : float, default=5e-4
        ε, the relative progress asked of an iteration on average [1]_.
    smallest_window : int, default=10
        k_min, iterations over which progress is averaged at least [1]_.
    window_fraction : float, default=0.1
        c: the window grows with the iterations made [1]_.

    Examples
    --------
    >>> rule = RelativeProgress()
    >>> rule([0.0] + [-1.0] * 10)
    False
    >>> rule([0.0] + [-1.0] * 11)
    True

    References
    ----------
    .. [1] Martens (2010), Deep learning via Hessian-free optimization, section 4.4.
    """

    tolerance: float = 5e-4
    smallest_window: int = 10
    window_fraction: float = 0.1

    def __call__(self, quadratics: Sequence[float]) -> bool:
        """Say whether to stop, given φ at the start and after each iteration so far."""
        i = len(quadratics) - 1
        k = max(self.smallest_window, math.ceil(self.window_fraction * i))
        if i <= k or quadratics[i] >= 0:
            return False
        return (quadratics[i] - quadratics[i - k]) / quadratics[i] < k * self.tolerance


@dataclass(frozen=True)
class ConjugateGradientResult:
    """The result of a run of conjugate gradients.

    Attributes
    ----------
    iterates : list of ndarray of shape (n,)
        The kept iterates in the order in which they were made; never empty, the last one is
        where the run stopped (the start where no iteration could be made).
    iterations : list of int
        After how many iterations each of them was kept.
    quadratics : list of float
        φ at the start and after each iteration.
    stop_reason : ConjugateGradientStop
        Equal to "stopping_rule", "max_iterations", "solved" (the residual is at rounding level:
        negligible against b, or hardly larger than its own error), "negative_curvature" or
        "not_finite".
    n_products : int
        Calls of the operator.
    curvature : float
        pᵀAp / pᵀp of the last direction p: how negative the curvature was where that is the
        reason; NaN where no product was made.
    """

    iterates: list[Array]
    iterations: list[int]
    quadratics: list[float]
    stop_reason: ConjugateGradientStop
    n_products: int
    curvature: float

    @property
    def n_iterations(self) -> int:
        """Iterations made."""
        return len(self.quadratics) - 1

    def quadratic(self, index: int) -> float:
        """Return φ at the kept iterate of that index."""
        return self.quadratics[self.iterations[index]]


class Progress:
    """The iterations whose numbers are known, the iterates kept of them, and why they end."""

    def __init__(
        self,
        start: Array,
        quadratic: float,
        smallest_rz: float,
        stopping_rule: StoppingRule | None,
        first_kept: int,
        kept_growth: float,
        scale: float,
    ) -> None:
        self.x = start
        self.scale = scale
        # The buffer of `start` is written to again.
        self._start = start.copy()
        self.smallest_rz = smallest_rz
        self.stopping_rule = stopping_rule
        self.next_kept, self.kept_growth = float(first_kept), kept_growth
        self.quadratics = [quadratic / scale / scale]
        self.iterates: list[Array] = []
        self.iterations: list[int] = []
        self.curvature = math.nan
        self.reason = ConjugateGradientStop.MAX_ITERATIONS

    def may_step(self, p_product_p: float, p_p: float) -> bool:
        """Return whether the curvature along a direction allows a step."""
        # A direction whose square is zero leads nowhere.
        self.curvature = p_product_p / p_p if p_p > 0 else math.nan
        if p_p == 0:
            self.reason = ConjugateGradientStop.SOLVED
        elif not math.isfinite(p_product_p):
            self.reason = ConjugateGradientStop.NOT_FINITE
        elif p_product_p <= 0:
            self.reason = ConjugateGradientStop.NEGATIVE_CURVATURE
        else:
            return True
        return False

    def take_in(self, unseen: list[tuple[Array, list[Any]]]) -> bool:
        """Take iterations in, up to the one that ends the run; return whether there was none."""
        numbers = [row for _, row in unseen]
        xp = module_of(self.x)
        if xp is not np:
            # The one place where a run waits for the device.
            numbers = xp.stack([xp.stack(row) for row in numbers]).get().tolist()
        for (x, _), (p_product_p, p_p, quadratic, new_rz, drifted) in zip(unseen, numbers):
            if not self.may_step(p_product_p, p_p):
                return False
            if not self._accept(x, quadratic, new_rz, bool(drifted)):
                return False
        return True

    def _accept(self, x: Array, quadratic: float, new_rz: float, drifted: bool) -> bool:
        """Take one iteration in; return whether the next may follow."""
        if not (math.isfinite(quadratic) and math.isfinite(new_rz)):
            # x may have overflowed: fall back on the last iterate kept.
            self.reason = ConjugateGradientStop.NOT_FINITE
            if not self.iterates:
                self.iterates.append(self._start)
                self.iterations.append(0)
            self.x = self.iterates[-1]
            return False
        self.x = x
        # One factor after the other: the square of a scale may overflow.
        self.quadratics.append(quadratic / self.scale / self.scale)
        i = len(self.quadratics) - 1
        if i == math.ceil(self.next_kept):
            self.iterates.append(x.copy())
            self.iterations.append(i)
            self.next_kept *= self.kept_growth
        if new_rz <= self.smallest_rz or drifted:
            self.reason = ConjugateGradientStop.SOLVED
        elif self.stopping_rule is not None and self.stopping_rule(self.quadratics):
            self.reason = ConjugateGradientStop.STOPPING_RULE
        else:
            return True
        return False

    def _bring_back(self) -> None:
        """Undo the scaling of the iterates, and leave out those that overflow by that."""
        iterates = [x * (1 / self.scale) for x in [self._start, *self.iterates]]
        kept = [i for i, x in enumerate(iterates) if bool(module_of(x).isfinite(x).all())]
        if len(kept) < len(iterates):
            self.reason = ConjugateGradientStop.NOT_FINITE
        kept = [i for i in kept if i > 0] or [0]
        self.iterations = [0, *self.iterations]
        self.iterates = [iterates[i] for i in kept]
        self.iterations = [self.iterations[i] for i in kept]

    def result(self, n_products: int) -> ConjugateGradientResult:
        """Return the result of the run, with the last iterate among the kept ones."""
        n_iterations = len(self.quadratics) - 1
        if not self.iterates or (
            self.x is not self.iterates[-1] and self.iterations[-1] < n_iterations
        ):
            self.iterates.append(self.x)
            self.iterations.append(n_iterations)
        if self.scale != 1:
            self._bring_back()
        return ConjugateGradientResult(
            self.iterates,
            self.iterations,
            self.quadratics,
            self.reason,
            n_products,
            self.curvature,
        )
