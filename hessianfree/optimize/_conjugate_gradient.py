"""Preconditioned conjugate gradients that keep iterates on the way and say why they stopped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from reservoir.utils.device import fused, module_of
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
    #: The residual is at rounding level: nothing beside b, or hardly larger than its own error.
    SOLVED = "solved"
    NEGATIVE_CURVATURE = "negative_curvature"
    #: A product, or a number made from it, overflowed.
    NOT_FINITE = "not_finite"
    #: The loss or its gradient was not finite, and there was nothing to solve.
    NOT_STARTED = "not_started"


StoppingRule = Callable[[Sequence[float]], bool]


# Iterations between two looks at the numbers of a run on a GPU: a look waits for all that was asked
# for before, and the iterations after the one that ended the run are thrown away.
CHECK_EVERY = 5


# Largest exponents of two of a right-hand side that is worked with as it comes: squares of what is
# left of it at rounding level are then far from the smallest number of float32, and those of large
# products from the largest.
_SAFE_EXPONENT = 20


@dataclass(frozen=True)
class RelativeProgress:
    """Stop conjugate gradients when the quadratic hardly falls any more.

    stop at iteration i when  i > k,  φ_i < 0  and  (φ_i - φ_{i-k}) / φ_i < k ε,
    with  k = max(k_min, ⌈c i⌉)   [1]_

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
    """What a run of conjugate gradients leaves.

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
        nothing beside b, or hardly larger than its own error), "negative_curvature" or
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


# What overflows ends the run and is said in the result; it needs no warning besides.
@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def conjugate_gradient(
    product: Callable[[Array], Array],
    rhs: Array,
    *,
    start: Array | None = None,
    preconditioner: Callable[[Array], Array] | None = None,
    stopping_rule: StoppingRule | None = None,
    max_iterations: int = 250,
    first_kept: int = 5,
    kept_growth: float = 1.3,
    recompute_every: int = 50,
) -> ConjugateGradientResult:
    """Minimize the quadratic φ(x) = ½ xᵀAx - bᵀx by preconditioned conjugate gradients.

    α = rᵀP⁻¹r / pᵀAp,   x += α p,   r -= α A p,   p = P⁻¹r + β p,   β = r'ᵀP⁻¹r' / rᵀP⁻¹r

    with the residual r = b - A x, and φ = -½ (r + b)ᵀx without another product   [1]_ [2]_.

    Parameters
    ----------
    product : callable
        v of shape (n,) -> A v, symmetric and meant to be positive definite. What it returns is
        not kept beyond the next call.
    rhs : ndarray of shape (n,)
        b. The run keeps its dtype.
    start : ndarray of shape (n,), optional
        x_0; zero where absent, which saves the product that the first residual costs.
    preconditioner : callable, optional
        r -> P⁻¹ r, with P symmetric and positive definite; the identity where absent.
    stopping_rule : callable, optional
        List of φ at the start and after each iteration -> whether to stop. Without one, only
        `max_iterations` and a residual at rounding level end the run.
    max_iterations : int, default=250
        As in [1]_.
    first_kept : int, default=5
        The first iterate to be kept [1]_.
    kept_growth : float, default=1.3
        The iterates ⌈5 · 1.3^j⌉ are kept [1]_, and the last. With 250 iterations that is at most 17
        vectors.
    recompute_every : int, default=50
        Compute r = b - A x afresh each so many iterations, at the price of a product: the
        recurrence for r drifts away from it by rounding, in float32 soon [2]_, and φ with it. Where
        the drift is half as large as r, rounding has taken over and the run ends.

    Returns
    -------
    ConjugateGradientResult

    Notes
    -----
    A direction of negative curvature, or a product that is not finite, ends the run; what was
    reached before stays. No exception is raised for either.

    The answer does not depend on the scale of b, though float32 can't hold the squares of numbers
    below 1e-22: a b beyond 2^±20 is brought to about 1 by a power of two, which rounds nothing,
    and the answer is brought back. `product` then sees directions of that scale.

    With CuPy arrays the numbers that the stopping rules need are looked at every few iterations
    only, since a look waits for the device. The run ends at the same iteration as on the host; what
    was done beyond it is thrown away, and counts in `n_products`.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.diag([1.0, 2.0, 4.0])
    >>> result = conjugate_gradient(lambda v: A @ v, np.array([1.0, 1.0, 1.0]))
    >>> result.iterates[-1].round(6)
    array([1.  , 0.5 , 0.25])
    >>> str(result.stop_reason), result.n_iterations
    ('solved', 3)

    References
    ----------
    .. [1] Martens (2010), Deep learning via Hessian-free optimization, sections 4.4 and 4.7.
    .. [2] Shewchuk (1994), An introduction to the conjugate gradient method without the agonizing
       pain, section B3.
    """
    b = rhs
    xp = module_of(b)
    on_host = xp is np
    check_every = 1 if on_host else CHECK_EVERY
    if start is None:
        x, r = xp.zeros_like(b), b.copy()
        n_products = 0
    else:
        x = start.astype(b.dtype, copy=True)
        r = b - product(x)
        n_products = 1
    scale = _power_of_two(b, r)
    if scale != 1:
        b, r, x = b * scale, r * scale, x * scale

    def precondition(v: Array) -> Array:
        return v if preconditioner is None else preconditioner(v)

    # Numbers stay on a GPU, in the same precision, until they are looked at.
    def number(value: Any) -> Any:
        return float(value) if on_host else value.astype(np.float64)

    def factor(value: Any) -> Any:
        return value if on_host else value.astype(b.dtype)

    z = precondition(r)
    rz = number(r @ z)
    # Below this the residual is rounding noise, and a step along it may look like negative
    # curvature.
    smallest_rz = float(np.finfo(b.dtype).eps) ** 2 * float(b @ precondition(b))
    p = z.copy()
    scaled = xp.empty_like(p)

    course = _Course(x, -0.5 * float((r + b) @ x), smallest_rz, stopping_rule, scale)
    course.next_kept, course.kept_growth = float(first_kept), kept_growth
    if not (math.isfinite(float(rz)) and math.isfinite(course.quadratics[0])):
        zero = xp.zeros_like(b)
        reason = ConjugateGradientStop.NOT_FINITE
        return ConjugateGradientResult([zero], [0], [0.0], reason, n_products, math.nan)
    if max_iterations > 0 and float(rz) <= smallest_rz:
        course.reason, max_iterations = ConjugateGradientStop.SOLVED, 0
    # What the iterations since the last look may have to fall back on stays in other places.
    places = [x, *(xp.empty_like(x) for _ in range(check_every))]
    no_drift = False if on_host else xp.zeros((), dtype=np.float64)
    unseen: list[tuple[Array, list[Any]]] = []
    advance, turn = fused(xp, _advance), fused(xp, _turn)
    for i in range(1, max_iterations + 1):
        product_p = product(p)
        n_products += 1
        p_product_p, p_p = number(p @ product_p), number(p @ p)
        if on_host and not course.may_step(p_product_p, p_p):
            break
        alpha = factor(rz / p_product_p)
        before, x = x, places[i % len(places)]
        advance(before, p, product_p, alpha, scaled, r, x)
        drifted = no_drift
        if i % recompute_every == 0:
            xp.subtract(b, product(x), out=scaled)
            n_products += 1
            r_r = number(r @ r)
            r -= scaled
            drifted = number(r @ r) >= 0.25 * r_r
            r, scaled = scaled, r
        quadratic = -0.5 * (number(r @ x) + number(b @ x))
        z = precondition(r)
        new_rz = number(r @ z)
        unseen.append((x, [p_product_p, p_p, quadratic, new_rz, drifted]))
        if len(unseen) == check_every or i == max_iterations:
            if not course.goes_on(unseen):
                break
            unseen.clear()
        turn(p, factor(new_rz / rz), z)
        rz = new_rz
    return course.result(n_products)


def _advance(
    xp: Any, x: Array, p: Array, product: Array, alpha: Any, scaled: Array, r: Array, after: Array
) -> None:
    """Write x + α p to `after` and take α A p from r, a chain for `fused`; overwrites `scaled`."""
    xp.multiply(p, alpha, out=scaled)
    xp.add(x, scaled, out=after)
    xp.multiply(product, alpha, out=scaled)
    r -= scaled


def _turn(xp: Any, p: Array, beta: Any, z: Array) -> None:
    """Go from p to z + β p, a chain for `fused`."""
    p *= beta
    p += z


def _power_of_two(*vectors: Array) -> float:
    """Return what brings the largest element of some vectors to about 1; 1 if it need not be."""
    largest = max(float(abs(v).max()) for v in vectors) if vectors[0].size else 0.0
    if not 0 < largest < math.inf:
        return 1.0
    exponent = math.frexp(largest)[1]
    if abs(exponent) <= _SAFE_EXPONENT:
        return 1.0
    limit = -int(np.finfo(vectors[0].dtype).minexp)
    return 2.0 ** -min(max(exponent, -limit), limit)


class _Course:
    """The iterations that have been looked at, and why they end."""

    next_kept: float
    kept_growth: float

    def __init__(
        self,
        start: Array,
        quadratic: float,
        smallest_rz: float,
        stopping_rule: StoppingRule | None,
        scale: float,
    ) -> None:
        self.x = start
        self.scale = scale
        # The buffer of `start` is written to again.
        self._start = start.copy()
        self.smallest_rz = smallest_rz
        self.stopping_rule = stopping_rule
        self.quadratics = [quadratic / scale / scale]
        self.iterates: list[Array] = []
        self.iterations: list[int] = []
        self.curvature = math.nan
        self.reason = ConjugateGradientStop.MAX_ITERATIONS

    def may_step(self, p_product_p: float, p_p: float) -> bool:
        """Say whether the curvature along a direction allows a step."""
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

    def goes_on(self, unseen: list[tuple[Array, list[Any]]]) -> bool:
        """Take iterations in, up to the one that ends the run; say whether there was none."""
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
        """Take one iteration in; say whether the next may follow."""
        if not (math.isfinite(quadratic) and math.isfinite(new_rz)):
            # x may have overflowed: fall back on the last iterate kept.
            self.reason = ConjugateGradientStop.NOT_FINITE
            if not self.iterates:
                self.iterates.append(self._start)
                self.iterations.append(0)
            self.x = self.iterates[-1]
            return False
        self.x = x
        # One factor after the other: the square of a scale may be beyond all numbers.
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
        """Return what the run leaves, with the last iterate among the kept ones."""
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
