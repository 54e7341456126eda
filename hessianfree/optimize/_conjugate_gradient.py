"""Preconditioned conjugate gradients that keep some iterates and report why they stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hessianfree.optimize._progress import (
    ConjugateGradientResult,
    ConjugateGradientStop,
    Progress,
    StoppingRule,
)
from reservoir.utils.device import fused, module_of
from reservoir.utils.explained import explained
from reservoir.utils.types import Array

# Iterations between two checks of the numbers of a run on a GPU: a check waits for all that was
# asked for before, and the iterations after the one that ended the run are thrown away.
CHECK_EVERY = 5


# Largest exponents of two of a right-hand side that is worked with as it comes: squares of what is
# left of it at rounding level are then far from the smallest number of float32, and those of large
# products from the largest.
_SAFE_EXPONENT = 20


# An overflow ends the run, and the result reports it; it needs no warning besides.
@explained
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
    r"""Minimize the quadratic φ(x) = ½ xᵀAx - bᵀx by preconditioned conjugate gradients.

    .. math::

        \alpha &= r^T P^{-1} r \,/\, p^T A p \\
        x &\leftarrow x + \alpha p, \quad r' = r - \alpha A p \\
        \beta &= r'^T P^{-1} r' \,/\, r^T P^{-1} r \\
        p &\leftarrow P^{-1} r' + \beta p, \quad r \leftarrow r'

    with the residual r = b - A x, and φ = -½ (r + b)ᵀx without another product [1]_ [2]_.

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

    With CuPy arrays the numbers that the stopping rules need are checked every few iterations only,
    since a check waits for the device. The run ends at the same iteration as on the host; what
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
    if not callable(product):
        raise TypeError(
            f"`product` is of type {type(product).__name__}, but a function was expected. Pass one "
            "that returns A v for a vector v."
        )
    recurrence = _Recurrence(product, preconditioner, rhs, start)
    progress = Progress(
        recurrence.x,
        recurrence.quadratic(),
        recurrence.smallest_rz,
        stopping_rule,
        first_kept,
        kept_growth,
        recurrence.scale,
    )
    rz = float(recurrence.rz)
    if not (math.isfinite(rz) and math.isfinite(progress.quadratics[0])):
        reason, n_products = ConjugateGradientStop.NOT_FINITE, recurrence.n_products
        zero = recurrence.xp.zeros_like(rhs)
        return ConjugateGradientResult([zero], [0], [0.0], reason, n_products, math.nan)
    if max_iterations > 0 and rz <= recurrence.smallest_rz:
        progress.reason, max_iterations = ConjugateGradientStop.SOLVED, 0
    unseen: list[tuple[Array, list[Any]]] = []
    for i in range(1, max_iterations + 1):
        curvature = recurrence.curvature()
        if recurrence.on_host and not progress.may_step(*curvature):
            break
        recurrence.step()
        drifted = recurrence.recompute_residual(i % recompute_every == 0)
        quadratic, new_rz = recurrence.quadratic_on_device(), recurrence.precondition_residual()
        unseen.append((recurrence.x, [*curvature, quadratic, new_rz, drifted]))
        if len(unseen) == recurrence.check_every or i == max_iterations:
            if not progress.take_in(unseen):
                break
            unseen.clear()
        recurrence.turn()
    return progress.result(recurrence.n_products)


class _Recurrence:
    """The vectors of the iteration, x, r, z and p, and what is computed from them.

    On a GPU numbers stay there, in float64, until they are asked for.
    """

    def __init__(
        self,
        product: Callable[[Array], Array],
        preconditioner: Callable[[Array], Array] | None,
        rhs: Array,
        start: Array | None,
    ) -> None:
        self._product, self._preconditioner = product, preconditioner
        self.xp = module_of(rhs)
        self.on_host = self.xp is np
        self.check_every = 1 if self.on_host else CHECK_EVERY
        b, self.n_products = rhs, 0
        if start is None:
            x, r = self.xp.zeros_like(b), b.copy()
        else:
            x = start.astype(b.dtype, copy=True)
            r = b - self._times(x)
        self.scale = _power_of_two(b, r)
        if self.scale != 1:
            b, r, x = b * self.scale, r * self.scale, x * self.scale
        self.b, self.x, self.r = b, x, r
        self.z = self._precondition(r)
        self.rz = self._number(r @ self.z)
        # Below this the residual is rounding noise, and a step along it may look like negative
        # curvature.
        eps = float(np.finfo(b.dtype).eps)
        self.smallest_rz = eps**2 * float(b @ self._precondition(b))
        self.p = self.z.copy()
        self._scaled = self.xp.empty_like(self.p)
        # What the iterations since the last check may have to fall back on stays in other places.
        self._places = [x, *(self.xp.empty_like(x) for _ in range(self.check_every))]
        self._place = 0
        self._no_drift = False if self.on_host else self.xp.zeros((), dtype=np.float64)
        self._step, self._turn = fused(self.xp, _step), fused(self.xp, _turn)

    def curvature(self) -> tuple[Any, Any]:
        """Return pᵀAp and pᵀp."""
        self._product_p = self._times(self.p)
        self._p_product_p = self._number(self.p @ self._product_p)
        return self._p_product_p, self._number(self.p @ self.p)

    def step(self) -> None:
        """Go to x + α p and r - α A p."""
        before, self._place = self.x, (self._place + 1) % len(self._places)
        self.x = self._places[self._place]
        alpha = self._factor(self.rz / self._p_product_p)
        self._step(before, self.p, self._product_p, alpha, self._scaled, self.r, self.x)

    def recompute_residual(self, is_due: bool) -> Any:
        """Compute r = b - A x afresh if that is due, and return whether it had drifted away."""
        if not is_due:
            return self._no_drift
        self.xp.subtract(self.b, self._times(self.x), out=self._scaled)
        r_r = self._number(self.r @ self.r)
        self.r -= self._scaled
        drifted = self._number(self.r @ self.r) >= 0.25 * r_r
        self.r, self._scaled = self._scaled, self.r
        return drifted

    def quadratic(self) -> float:
        """Return φ(x) at the start."""
        return -0.5 * float((self.r + self.b) @ self.x)

    def quadratic_on_device(self) -> Any:
        """Return φ(x) without a vector in between, and without waiting for a device."""
        return -0.5 * (self._number(self.r @ self.x) + self._number(self.b @ self.x))

    def precondition_residual(self) -> Any:
        """Go to z = P⁻¹ r, and return rᵀz."""
        self.z = self._precondition(self.r)
        self._new_rz = self._number(self.r @ self.z)
        return self._new_rz

    def turn(self) -> None:
        """Go to the direction z + β p."""
        self._turn(self.p, self._factor(self._new_rz / self.rz), self.z)
        self.rz = self._new_rz

    def _times(self, v: Array) -> Array:
        self.n_products += 1
        return self._product(v)

    def _precondition(self, v: Array) -> Array:
        return v if self._preconditioner is None else self._preconditioner(v)

    def _number(self, value: Any) -> Any:
        return float(value) if self.on_host else value.astype(np.float64)

    def _factor(self, value: Any) -> Any:
        return value if self.on_host else value.astype(self.b.dtype)


def _step(
    xp: Any, x: Array, p: Array, product: Array, alpha: Any, scaled: Array, r: Array, after: Array
) -> None:
    """Write x + α p to `after` and take α A p from r, a chain for `fused`; overwrites `scaled`."""
    xp.multiply(p, alpha, out=scaled)
    xp.add(x, scaled, out=after)
    xp.multiply(product, alpha, out=scaled)
    r -= scaled


def _turn(xp: Any, p: Array, beta: Any, z: Array) -> None:
    """Replace p by z + β p, a chain for `fused`."""
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
