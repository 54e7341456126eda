"""What the objectives of all frameworks share: a flat vector of NumPy, the penalty, the checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from hessianfree.interfaces._batches import Cases, read_batch
from hessianfree.network._curvature import GaussNewtonOperator
from hessianfree.network._definition import LOSSES
from hessianfree.network._parameters import ParameterLayout
from hessianfree.network._penalty import WeightPenalty
from reservoir.utils.threads import callers_threads
from reservoir.utils.types import Array
from reservoir.utils.validation import check_real

LossFunction = Callable[[Any, Any], Any]


class ForwardPass(Protocol):
    """A forward pass that a framework keeps, without the penalty."""

    value: float

    def gradient(self) -> Array:
        """Return ∇f(θ) in a new array."""
        ...

    def product(self, v: Array) -> Array:
        """Return Jᵀ H_L J v in a new array."""
        ...


def check_loss(loss: object) -> None:
    """Raise unless a loss is one of those that have a name, or can be called."""
    names = ", ".join(map(repr, LOSSES))
    if isinstance(loss, str):
        if loss in LOSSES:
            return
        raise ValueError(f"`loss` is {loss!r}, but one of {names} was expected. Pass one.")
    if not callable(loss) or isinstance(loss, type):
        came = f"the class {loss.__name__}" if isinstance(loss, type) else repr(loss)
        raise TypeError(
            f"`loss` is {came}, but one of {names}, or a function (outputs, targets) -> number, "
            "was expected. Pass one."
        )


def refuse_other_than_scalar(shape: tuple[int, ...]) -> None:
    """Raise unless a loss gave a number without axes."""
    if shape:
        raise ValueError(
            f"`loss` gave an array of shape {shape}, but one number was expected: a mean over the "
            "cases. Return for instance its mean()."
        )


class FrameworkObjective(WeightPenalty):
    """An objective whose net and derivatives are those of a framework; base class.

    A subclass keeps forward passes; all that it is given and returns is NumPy's.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], loss: str | LossFunction, l2: float
    ) -> None:
        self.loss = loss
        self.l2 = check_real("l2", l2, minimum=0)
        self.layout = ParameterLayout(shapes)
        self.n_params = self.layout.n_params

    def value(self, params: Array, batch: Any) -> float:
        """Return f(θ), which may be infinite or NaN.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
            θ; float32 or float64, which decides that of all further arithmetic.
        batch : (inputs, targets) or Batch

        Returns
        -------
        float
        """
        cases = self._read(params, batch)
        with callers_threads():
            value = self._value(params, cases)
        return self._checked(value, cases) + self.penalty(params)

    def value_and_gradient(self, params: Array, batch: Any) -> tuple[float, Array]:
        """Return f(θ) and its gradient.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
        batch : (inputs, targets) or Batch

        Returns
        -------
        value : float
        gradient : ndarray of shape (n_params,)
        """
        cases = self._read(params, batch)
        with callers_threads():
            value, gradient = self._value_and_gradient(params, cases)
        self.add_penalty_product(params, gradient)
        return self._checked(value, cases) + self.penalty(params), gradient

    def linearize(self, params: Array, batch: Any) -> FrameworkLinearization:
        """Run the forward pass once, keep it, and return the linearization at θ.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
            Copied.
        batch : (inputs, targets) or Batch

        Returns
        -------
        Linearization
            With `value`, `gradient()`, `gauss_newton_product(v)` and `as_linear_operator()`.
        """
        cases = self._read(params, batch)
        params = params.copy()
        with callers_threads():
            kept = self._forward_pass(params, cases)
        self._checked(kept.value, cases)
        return FrameworkLinearization(self, params, kept)

    def _value(self, params: Array, cases: Cases) -> float:
        raise NotImplementedError

    def _value_and_gradient(self, params: Array, cases: Cases) -> tuple[float, Array]:
        raise NotImplementedError

    def _forward_pass(self, params: Array, cases: Cases) -> ForwardPass:
        raise NotImplementedError

    def _read(self, params: Array, batch: Any) -> Cases:
        self.layout.check(params)
        return read_batch(batch, params.dtype)

    @staticmethod
    def _checked(value: float, cases: Cases) -> float:
        """Return a loss; one that is not finite is no result where the data are to blame."""
        if not math.isfinite(value):
            cases.refuse_bad_numbers()
        return value


class FrameworkLinearization:
    """An objective of a framework around one point, on one batch, with its forward pass kept."""

    def __init__(self, objective: FrameworkObjective, params: Array, kept: ForwardPass) -> None:
        self._objective, self._params, self._kept = objective, params, kept
        self.value = kept.value + objective.penalty(params)

    def gradient(self) -> Array:
        """Return ∇f(θ), of shape (n_params,)."""
        with callers_threads():
            gradient = self._kept.gradient()
        self._objective.add_penalty_product(self._params, gradient)
        return gradient

    def gauss_newton_product(
        self, v: Array, structural_damping: float = 0.0, *, out: Array | None = None
    ) -> Array:
        """Return (Jᵀ H_L J + l2) v; nothing is known of hidden states that could be damped."""
        self._objective.layout.check(v, "v")
        v = v.astype(self._params.dtype, copy=False)
        with callers_threads():
            product = self._kept.product(v)
        self._objective.add_penalty_product(v, product)
        if out is None:
            return product
        out[...] = product
        return out

    def as_linear_operator(
        self, *, damping: float = 0.0, structural_damping: float = 0.0
    ) -> GaussNewtonOperator:
        """Return the Gauss-Newton matrix, plus λ I, as a `scipy.sparse.linalg.LinearOperator`."""
        return GaussNewtonOperator(
            self,
            self._params.size,
            self._params.dtype,
            damping=damping,
            structural_damping=structural_damping,
        )


def as_flat(arrays: list[Any], dtype: np.dtype[Any]) -> Array:
    """Return arrays of NumPy one behind the other, in C order, in a new vector."""
    flat: Array = np.concatenate([np.ravel(array) for array in arrays]).astype(dtype)
    return flat
