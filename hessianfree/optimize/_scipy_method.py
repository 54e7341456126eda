"""Hessian-free optimization as a method of `scipy.optimize.minimize`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from hessianfree.optimize._functions import FunctionObjective
from hessianfree.optimize._hessian_free import HessianFree
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer, check_real


def hessian_free(
    fun: Callable[..., float],
    x0: Array,
    args: tuple[Any, ...] = (),
    jac: Callable[..., Array] | None = None,
    hess: Callable[..., Array] | None = None,
    hessp: Callable[..., Array] | None = None,
    bounds: Any = None,
    constraints: Any = (),
    callback: Callable[[OptimizeResult], Any] | None = None,
    maxiter: int = 1000,
    gtol: float = 1e-5,
    tol: float | None = None,
    optimizer: HessianFree | None = None,
) -> OptimizeResult:
    """Minimize a function; to be passed as `method` to `scipy.optimize.minimize`.

    Parameters
    ----------
    fun, x0, args
        As in `scipy.optimize.minimize`.
    jac : callable
        x -> gradient, or True there where `fun` returns both.
    hess : callable, optional
        x -> matrix (or anything with `@`), where there is no `hessp`.
    hessp : callable, optional
        x, v -> Hessian (or Gauss-Newton matrix) times v.
    bounds, constraints
        Not supported; must be left out.
    callback : callable, optional
        Called after each step with an `OptimizeResult` of `x`, `fun` and `info`, that of
        `HessianFree.step`. True, or StopIteration raised, ends the run.
    maxiter : int, default=1000
        Steps, rejected ones among them.
    gtol : float, default=1e-5
        The run has succeeded where the largest component of the gradient is at most this, as in
        SciPy's methods.
    tol : float, optional
        What `minimize` passes on for `gtol`.
    optimizer : HessianFree, optional
        Another one than the default.

    Returns
    -------
    OptimizeResult
        With `x`, `fun`, `jac`, `nit`, `nfev`, `njev`, `nhev` (products), `damping`, `success`,
        `status` (0 success, 1 `maxiter`, 99 `callback`) and `message`.

    Raises
    ------
    ValueError
        If derivatives are missing, or bounds or constraints given.

    Examples
    --------
    >>> from scipy.optimize import minimize, rosen, rosen_der, rosen_hess_prod
    >>> result = minimize(rosen, [-1.2, 1.0], jac=rosen_der, hessp=rosen_hess_prod,
    ...                   method=hessian_free)
    >>> result.success, result.x.round(4)
    (True, array([1., 1.]))
    """
    if not callable(jac):
        raise ValueError(
            f"`jac` is {jac!r}, but a function was expected: this method needs exact gradients. "
            "Pass jac=callable, or jac=True where `fun` returns value and gradient."
        )
    if not callable(hessp) and not callable(hess):
        raise ValueError(
            "`hessp` and `hess` are missing, but one of them was expected. Pass "
            "hessp=callable(x, v), the product of the Hessian or Gauss-Newton matrix with v."
        )
    if bounds is not None or constraints:
        raise ValueError(
            "`bounds` or `constraints` were given, but this method is for problems without. "
            "Choose another method, or transform the variables."
        )
    check_integer("maxiter", maxiter, minimum=0)
    check_real("gtol", gtol, minimum=0)
    if tol is not None:
        gtol = check_real("tol", tol, minimum=0)
    calls = {"fun": 0, "jac": 0, "product": 0}

    def value(x: Array) -> float:
        calls["fun"] += 1
        return fun(x, *args)

    def gradient(x: Array) -> Array:
        calls["jac"] += 1
        return jac(x, *args)

    def product(x: Array, v: Array) -> Array:
        calls["product"] += 1
        if callable(hessp):
            return hessp(x, v, *args)
        return hess(x, *args) @ v  # type: ignore[misc]

    objective = FunctionObjective(value, gradient, product)
    optimizer = HessianFree() if optimizer is None else optimizer
    state = optimizer.init(np.atleast_1d(np.asarray(x0, dtype=float)))
    status, message = 1, "Maximum number of iterations has been exceeded."
    slope = gradient(state.params)
    while True:
        if np.max(np.abs(slope)) <= gtol:
            status, message = 0, "The gradient is within `gtol` of zero."
            break
        if state.n_steps >= maxiter:
            break
        state, info = optimizer.step(objective, state)
        slope = gradient(state.params)
        if callback is not None and _asks_to_stop(
            callback, OptimizeResult(x=state.params.copy(), fun=info["new_loss"], info=info)
        ):
            status, message = 99, "`callback` asked to stop."
            break
    return OptimizeResult(
        x=state.params,
        fun=value(state.params),
        jac=slope,
        nit=state.n_steps,
        nfev=calls["fun"],
        njev=calls["jac"],
        nhev=calls["product"],
        damping=state.damping,
        success=status == 0,
        status=status,
        message=message,
    )


def _asks_to_stop(
    callback: Callable[[OptimizeResult], Any], intermediate_result: OptimizeResult
) -> bool:
    """Return whether the callback gave True or raised StopIteration."""
    try:
        return bool(callback(intermediate_result))
    except StopIteration:
        return True
