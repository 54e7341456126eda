"""An objective made of plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hessianfree.network._curvature import GaussNewtonOperator
from reservoir.utils.device import module_of
from reservoir.utils.threads import callers_threads
from reservoir.utils.types import Array


class FunctionObjective:
    """An objective without data, made of three functions.

    Parameters
    ----------
    value : callable
        θ of shape (n_params,) -> f(θ).
    gradient : callable
        θ -> ∇f(θ) of shape (n_params,).
    product : callable
        θ, v -> the curvature at θ times v, both of shape (n_params,): of the Gauss-Newton matrix,
        or of the Hessian itself, which may be indefinite (`HessianFree` then raises its damping).

    Examples
    --------
    >>> import numpy as np
    >>> sphere = FunctionObjective(
    ...     value=lambda x: 0.5 * x @ x, gradient=lambda x: x, product=lambda x, v: v)
    >>> sphere.linearize(np.ones(2)).gauss_newton_product(np.array([3.0, 4.0]))
    array([3., 4.])
    """

    def __init__(
        self,
        value: Callable[[Array], float],
        gradient: Callable[[Array], Array],
        product: Callable[[Array, Array], Array],
    ) -> None:
        self._value = value
        self._gradient = gradient
        self._product = product

    def value(self, params: Array, batch: Any = None) -> float:
        """Return f(θ)."""
        with callers_threads():
            return float(self._value(params))

    def value_and_gradient(self, params: Array, batch: Any = None) -> tuple[float, Array]:
        """Return f(θ) and ∇f(θ)."""
        return self.value(params), self.gradient(params)

    def gradient(self, params: Array) -> Array:
        """Return ∇f(θ)."""
        with callers_threads():
            gradient: Array = module_of(params).asarray(self._gradient(params))
        return gradient

    def product(self, params: Array, v: Array) -> Array:
        """Return the curvature at θ times v."""
        with callers_threads():
            return self._product(params, v)

    def linearize(self, params: Array, batch: Any = None) -> _FunctionLinearization:
        """Return the linearization at θ."""
        return _FunctionLinearization(self, params.copy())


class _FunctionLinearization:
    """The three functions at one point."""

    def __init__(self, objective: FunctionObjective, params: Array) -> None:
        self._objective = objective
        self._params = params
        self.value = objective.value(params)

    def gradient(self) -> Array:
        """Return ∇f(θ)."""
        return self._objective.gradient(self._params)

    def gauss_newton_product(
        self, v: Array, structural_damping: float = 0.0, *, out: Array | None = None
    ) -> Array:
        """Return the curvature times v; there are no hidden states to damp."""
        product = self._objective.product(self._params, v)
        if out is None:
            new: Array = module_of(product).array(product)
            return new
        out[...] = product
        return out

    def as_linear_operator(
        self, *, damping: float = 0.0, structural_damping: float = 0.0
    ) -> GaussNewtonOperator:
        """Return the curvature, plus λ I, as a `scipy.sparse.linalg.LinearOperator`."""
        return GaussNewtonOperator(
            self,
            self._params.size,
            self._params.dtype,
            damping=damping,
            structural_damping=structural_damping,
        )
