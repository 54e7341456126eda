"""Optimizers by name, with batch size and number of iterations of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hessianfree.optimize._adaptive import Adagrad, Adam, RMSprop
from hessianfree.optimize._first_order import SGD, Momentum
from hessianfree.optimize._hessian_free import LONG_LAG_HESSIAN_FREE
from hessianfree.optimize._protocols import Optimizer
from reservoir.utils.validation import check_choice, check_methods

# Of the gradient, for the optimizers given by name.
_CLIP_NORM = 1.0


OPTIMIZERS: dict[str, Callable[[], Optimizer[Any]]] = {
    "hessian-free": lambda: LONG_LAG_HESSIAN_FREE,
    "sgd": lambda: SGD(0.1, clip_norm=_CLIP_NORM),
    "momentum": lambda: Momentum(0.01, nesterov=False, clip_norm=_CLIP_NORM),
    "nesterov": lambda: Momentum(0.01, clip_norm=_CLIP_NORM),
    "adagrad": lambda: Adagrad(0.01, clip_norm=_CLIP_NORM),
    "rmsprop": lambda: RMSprop(0.001, momentum=0.9, clip_norm=_CLIP_NORM),
    "adam": lambda: Adam(0.001, clip_norm=_CLIP_NORM),
}


@dataclass(frozen=True)
class Counts:
    """How many sequences and iterations an optimizer gets; what "auto" means to an estimator."""

    gradient_batch_size: int
    max_iter: int
    n_iter_no_change: int


# An iteration of Hessian-free optimization costs 7 to 10 gradients on its large batch, one of the
# others a single one on a small batch; the sums are about equal.
_SECOND_ORDER = Counts(gradient_batch_size=1000, max_iter=100, n_iter_no_change=30)


_FIRST_ORDER = Counts(gradient_batch_size=100, max_iter=10_000, n_iter_no_change=1000)


def resolve_optimizer(optimizer: str | Optimizer[Any]) -> tuple[Optimizer[Any], Counts]:
    """Return the optimizer that a name, or the optimizer itself, stands for, and its counts.

    An optimizer with an attribute `uses_curvature` that is False counts as a first-order one.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a name nor an optimizer.

    Examples
    --------
    >>> resolve_optimizer("adam")[1].gradient_batch_size
    100
    """
    if isinstance(optimizer, str):
        optimizer = OPTIMIZERS[check_choice("optimizer", optimizer, OPTIMIZERS)]()
    else:
        check_methods("optimizer", optimizer, ("init", "step"), "'adam' or HessianFree()")
    return optimizer, _SECOND_ORDER if uses_curvature(optimizer) else _FIRST_ORDER


def uses_curvature(optimizer: Optimizer[Any]) -> bool:
    """Return whether an optimizer asks for more than gradients, as one that does not say does."""
    return bool(getattr(optimizer, "uses_curvature", True))
