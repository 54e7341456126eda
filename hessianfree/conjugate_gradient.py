"""Preconditioned conjugate gradients that keep iterates on the way and say why they stopped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hessianfree.objective import Array

StopReason = Literal[
    "stopping_rule", "max_iterations", "solved", "negative_curvature", "not_finite"
]
StoppingRule = Callable[[Sequence[float]], bool]


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
    stop_reason : str
        "stopping_rule", "max_iterations", "solved" (the residual is at rounding level: nothing
        beside b, or hardly larger than its own error), "negative_curvature" or "not_finite".
    n_products : int
        Calls of the operator.
    curvature : float
        pᵀAp / pᵀp of the last direction p: how negative the curvature was where that is the
        reason; NaN where no product was made.
    """

    iterates: list[Array]
    iterations: list[int]
    quadratics: list[float]
    stop_reason: StopReason
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
@np.errstate(over="ignore", invalid="ignore")
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

    Examples
    --------
    >>> import numpy as np
    >>> A = np.diag([1.0, 2.0, 4.0])
    >>> result = conjugate_gradient(lambda v: A @ v, np.array([1.0, 1.0, 1.0]))
    >>> result.iterates[-1].round(6)
    array([1.  , 0.5 , 0.25])
    >>> result.stop_reason, result.n_iterations
    ('solved', 3)

    References
    ----------
    .. [1] Martens (2010), Deep learning via Hessian-free optimization, sections 4.4 and 4.7.
    .. [2] Shewchuk (1994), An introduction to the conjugate gradient method without the agonizing
       pain, section B3.
    """
    b = rhs
    if start is None:
        x, r = np.zeros_like(b), b.copy()
        n_products = 0
    else:
        x = start.astype(b.dtype, copy=True)
        r = b - product(x)
        n_products = 1

    def precondition(v: Array) -> Array:
        return v if preconditioner is None else preconditioner(v)

    z = precondition(r)
    rz = float(r @ z)
    # Below this the residual is rounding noise, and a step along it may look like negative
    # curvature.
    smallest_rz = float(np.finfo(b.dtype).eps) ** 2 * float(b @ precondition(b))
    p = z.copy()
    scaled = np.empty_like(p)

    quadratics = [-0.5 * float((r + b) @ x)]
    iterates: list[Array] = []
    iterations: list[int] = []
    curvature = math.nan
    next_kept = float(first_kept)
    reason: StopReason = "max_iterations"
    if not (math.isfinite(rz) and math.isfinite(quadratics[0])):
        zero = np.zeros_like(b)
        return ConjugateGradientResult([zero], [0], [0.0], "not_finite", n_products, curvature)
    if max_iterations > 0 and rz <= smallest_rz:
        reason, max_iterations = "solved", 0
    for i in range(1, max_iterations + 1):
        product_p = product(p)
        n_products += 1
        p_product_p = float(p @ product_p)
        curvature = p_product_p / float(p @ p)
        if not math.isfinite(p_product_p):
            reason = "not_finite"
            break
        if p_product_p <= 0:
            reason = "negative_curvature"
            break
        alpha = rz / p_product_p
        x += np.multiply(p, alpha, out=scaled)
        r -= np.multiply(product_p, alpha, out=scaled)
        drifted = False
        if i % recompute_every == 0:
            np.subtract(b, product(x), out=scaled)
            n_products += 1
            r_r = float(r @ r)
            r -= scaled
            drifted = float(r @ r) >= 0.25 * r_r
            r, scaled = scaled, r
        quadratic = -0.5 * (float(r @ x) + float(b @ x))
        z = precondition(r)
        new_rz = float(r @ z)
        if not (math.isfinite(quadratic) and math.isfinite(new_rz)):
            # x may have overflowed: fall back on the last iterate kept.
            reason = "not_finite"
            if not iterates:
                iterates.append(np.zeros_like(b) if start is None else start.astype(b.dtype))
                iterations.append(0)
            x = iterates[-1]
            break
        quadratics.append(quadratic)
        if i == math.ceil(next_kept):
            iterates.append(x.copy())
            iterations.append(i)
            next_kept *= kept_growth
        if new_rz <= smallest_rz or drifted:
            reason = "solved"
            break
        if stopping_rule is not None and stopping_rule(quadratics):
            reason = "stopping_rule"
            break
        p *= new_rz / rz
        p += z
        rz = new_rz
    n_iterations = len(quadratics) - 1
    if not iterates or (x is not iterates[-1] and iterations[-1] < n_iterations):
        iterates.append(x)
        iterations.append(n_iterations)
    return ConjugateGradientResult(iterates, iterations, quadratics, reason, n_products, curvature)
