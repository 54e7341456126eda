"""The damped quadratic model of the loss that a Hessian-free step minimizes."""

from __future__ import annotations

from hessianfree.optimize._protocols import Linearization
from reservoir.utils.device import module_of
from reservoir.utils.explained import explained
from reservoir.utils.types import Array


@explained
class QuadraticModel:
    r"""How the loss is predicted to change with a step.

    .. math:: m(\delta) = g^T \delta + \tfrac12\, \delta^T (G + \lambda (I + \mu S))\, \delta

    Parameters
    ----------
    linearization : Linearization
        Of the objective at θ, which has G and S.
    gradient : ndarray of shape (n_params,)
        g.
    damping : float
        λ.
    structural_damping : float
        μ.

    Attributes
    ----------
    n_products : int
        Products with G asked for so far.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.optimize import FunctionObjective
    >>> sphere = FunctionObjective(
    ...     value=lambda x: 0.5 * x @ x, gradient=lambda x: x, product=lambda x, v: v)
    >>> x = np.array([2.0, 0.0])
    >>> model = QuadraticModel(sphere.linearize(x), x, damping=1.0, structural_damping=0.0)
    >>> step = np.array([-1.0, 0.0])
    >>> damped = float(x @ step + 0.5 * step @ model.product(step))
    >>> damped, model.without_damping(step, damped)
    (-1.0, -1.5)
    """

    def __init__(
        self,
        linearization: Linearization,
        gradient: Array,
        damping: float,
        structural_damping: float,
    ) -> None:
        self.linearization = linearization
        self.gradient = gradient
        self.damping = damping
        self.structural_damping = structural_damping
        self.n_products = 0
        xp = module_of(gradient)
        # Conjugate gradients are done with a product before they ask for the next.
        self._product, self._damped = xp.empty_like(gradient), xp.empty_like(gradient)

    def product(self, v: Array) -> Array:
        """Return (G + λ (I + μ S)) v, in an array that the next product overwrites."""
        self.n_products += 1
        out, xp = self._product, module_of(v)
        structural = self.damping * self.structural_damping
        self.linearization.gauss_newton_product(v, structural, out=out)
        total: Array = xp.add(out, xp.multiply(v, self.damping, out=self._damped), out=out)
        return total

    def without_damping(self, step: Array, value: float) -> float:
        """Return gᵀδ + ½ δᵀ G δ, given m(δ); with structural damping that costs a product."""
        if self.structural_damping == 0:
            return value - 0.5 * self.damping * float(step @ step)
        self.n_products += 1
        curved = self.linearization.gauss_newton_product(step)
        return float(self.gradient @ step) + 0.5 * float(step @ curved)
