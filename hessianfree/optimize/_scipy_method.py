"""Hessian-free optimization as a method of `scipy.optimize.minimize`."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import HessianUpdateStrategy, OptimizeResult, OptimizeWarning

from hessianfree.optimize._functions import FunctionObjective
from hessianfree.optimize._hessian_free import HessianFree
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer, check_real

# How the curvature along a direction is had from gradients, as SciPy names it.
_DIFFERENCES = ("2-point", "3-point", "cs")

# Steps that lower nothing: as many take λ from its start to its ceiling, and more.
_MAX_IDLE = 100

_MESSAGES = {
    0: "The gradient is within `gtol` of zero.",
    1: "Maximum number of iterations has been exceeded.",
    2: "No step lowers the function any more.",
    3: "The function or its gradient is not finite.",
    99: "`callback` asked to stop.",
}


def hessian_free(
    fun: Callable[..., Any],
    x0: Any,
    args: tuple[Any, ...] = (),
    jac: Callable[..., Any] | None = None,
    hess: Any = None,
    hessp: Callable[..., Any] | None = None,
    bounds: Any = None,
    constraints: Any = (),
    callback: Callable[..., Any] | None = None,
    maxiter: int | None = 1000,
    gtol: float = 1e-5,
    disp: bool = False,
    return_all: bool = False,
    tol: float | None = None,
    optimizer: HessianFree | None = None,
    **unknown_options: Any,
) -> OptimizeResult:
    """Minimize a function; to be passed as `method` to `scipy.optimize.minimize`.

    It takes what SciPy's "trust-ncg" takes.

    Parameters
    ----------
    fun : callable
        x of shape (n,) -> number, or an array of one number.
    x0 : array-like
        Where to start; flattened.
    args : tuple
        Further arguments of the functions.
    jac : callable
        x -> gradient, or True there where `fun` returns both.
    hess : callable, {"2-point", "3-point", "cs"} or HessianUpdateStrategy, optional
        x -> matrix (or anything with `@`), where there is no `hessp`; how to take differences of
        the gradient instead; or SciPy's `BFGS` or `SR1`.
    hessp : callable, optional
        x, v -> Hessian (or Gauss-Newton matrix) times v.
    bounds, constraints
        Not supported; must be left out.
    callback : callable, optional
        Called after each step. If its one parameter is called `intermediate_result`, with an
        `OptimizeResult` of `x`, `fun` and `info`, that of `HessianFree.step`; otherwise with x.
        True, or StopIteration raised, ends the run.
    maxiter : int or None, default=1000
        Steps, rejected ones among them; None is 200 n.
    gtol : float, default=1e-5
        The run has succeeded where the largest component of the gradient is at most this.
    disp : bool, default=False
        Whether to print how it ended, as SciPy's methods do.
    return_all : bool, default=False
        Whether the result has `allvecs`, the x before the first step and after each.
    tol : float, optional
        What `minimize` passes on for `gtol`.
    optimizer : HessianFree, optional
        Another one than the default.
    **unknown_options
        Named in a warning (`scipy.optimize.OptimizeWarning`) and ignored: the trust radii of
        "trust-ncg", which has no part here.

    Returns
    -------
    OptimizeResult
        With `x`, `fun`, `jac`, `nit`, `nfev`, `njev`, `nhev` (products, or matrices), `damping`,
        `success`, `status` (0 success, 1 `maxiter`, 2 no further step, 3 not finite, 99 `callback`)
        and `message`.

    Raises
    ------
    ValueError
        If derivatives are missing, what a function returns has the wrong shape, or bounds or
        constraints are given.

    Examples
    --------
    >>> from scipy.optimize import minimize, rosen, rosen_der, rosen_hess_prod
    >>> result = minimize(rosen, [-1.2, 1.0], jac=rosen_der, hessp=rosen_hess_prod,
    ...                   method=hessian_free)
    >>> result.success, result.x.round(4)
    (True, array([1., 1.]))
    """
    _check_unsupported(bounds, constraints, unknown_options)
    x0 = _as_start(x0)
    maxiter = 200 * len(x0) if maxiter is None else check_integer("maxiter", maxiter, minimum=0)
    gtol = check_real("gtol", gtol, minimum=0)
    if tol is not None:
        gtol = check_real("tol", tol, minimum=0)
    problem = _Problem(fun, jac, hess, hessp, args)
    report = None if callback is None else _as_report(callback)
    objective = FunctionObjective(problem.value, problem.gradient, problem.product)
    optimizer = HessianFree() if optimizer is None else optimizer
    state = optimizer.init(x0)
    path = [state.params.copy()]
    value, slope = problem.value(state.params), problem.gradient(state.params)
    n_idle = 0
    while (status := _status(value, slope, gtol, state.n_steps, maxiter)) is None:
        if n_idle == _MAX_IDLE:
            status = 2
            break
        state, info = optimizer.step(objective, state)
        n_idle = 0 if info["new_loss"] < value else n_idle + 1
        value, slope = info["new_loss"], problem.gradient(state.params)
        problem.move_to(state.params)
        path.append(state.params.copy())
        result = OptimizeResult(x=state.params.copy(), fun=value, info=info)
        if report is not None and report(result):
            status = 99
            break
    result = OptimizeResult(
        x=state.params,
        fun=value,
        jac=slope,
        nit=state.n_steps,
        nfev=problem.n_values,
        njev=problem.n_gradients,
        nhev=problem.n_curvatures,
        damping=state.damping,
        success=status == 0,
        status=status,
        message=_MESSAGES[status],
    )
    if return_all:
        result["allvecs"] = path
    if disp:
        _print(result)
    return result


def _check_unsupported(bounds: Any, constraints: Any, unknown_options: dict[str, Any]) -> None:
    """Raise or warn about what this method does not take."""
    if bounds is not None or constraints:
        raise ValueError(
            "`bounds` or `constraints` were given, but this method is for problems without. "
            "Choose another method, or transform the variables."
        )
    if unknown_options:
        # Level 4 is the call of `minimize`.
        warnings.warn(
            f"Unknown solver options: {', '.join(unknown_options)}", OptimizeWarning, stacklevel=4
        )


def _status(value: float, slope: Array, gtol: float, n_steps: int, max_steps: int) -> int | None:
    """Return why the run ends at this point, a key of `_MESSAGES`; None where it does not."""
    if not (np.isfinite(value) and np.isfinite(slope).all()):
        return 3
    if np.max(np.abs(slope), initial=0) <= gtol:
        return 0
    return 1 if n_steps >= max_steps else None


class _Problem:
    """The functions of a user, each asked once about a point, and how often they were."""

    def __init__(self, fun: Any, jac: Any, hess: Any, hessp: Any, args: tuple[Any, ...]) -> None:
        if not callable(jac):
            raise ValueError(
                f"`jac` is {jac!r}, but a function was expected: this method needs exact gradients."
                " Pass jac=callable, or jac=True where `fun` returns value and gradient."
            )
        if not callable(hessp) and hess is None:
            raise ValueError(
                "`hessp` and `hess` are missing, but one of them was expected. Pass "
                "hessp=callable(x, v), the product of the Hessian or Gauss-Newton matrix with v."
            )
        if not (callable(hessp) or callable(hess) or isinstance(hess, HessianUpdateStrategy)):
            check_choice("hess", hess, _DIFFERENCES)
        self._fun, self._jac, self._hess, self._hessp, self._args = fun, jac, hess, hessp, args
        # Of the point at hand and those tried from there.
        self._values: dict[bytes, float] = {}
        self._at: bytes | None = None
        self._slope: Array = np.zeros(0)
        self._matrix_at: bytes | None = None
        self._matrix: Any = None
        self._last: tuple[Array, Array] | None = None
        self.n_values = self.n_gradients = self.n_curvatures = 0

    def value(self, x: Array) -> float:
        """Return f(x)."""
        key = x.tobytes()
        if key not in self._values:
            self.n_values += 1
            answer = np.asarray(self._fun(x.copy(), *self._args))
            if answer.size != 1:
                raise ValueError(
                    f"`fun` returned an array of shape {answer.shape}, but one number was expected."
                    " Return the sum or the mean."
                )
            self._values[key] = float(answer.reshape(())[()])
        return self._values[key]

    def gradient(self, x: Array) -> Array:
        """Return ∇f(x)."""
        key = x.tobytes()
        if key != self._at:
            self._slope, self._at = self._new_gradient(x), key
        return self._slope.copy()

    def move_to(self, x: Array) -> None:
        """Forget the values at all other points."""
        key = x.tobytes()
        self._values = {key: self._values[key]} if key in self._values else {}

    def product(self, x: Array, v: Array) -> Array:
        """Return the curvature at x times v."""
        if callable(self._hessp):
            self.n_curvatures += 1
            return _as_vector("hessp", self._hessp(x.copy(), v.copy(), *self._args), len(x))
        if isinstance(self._hess, str):
            return self._difference(x, v)
        matrix = self._curvature(x)
        # `@` of SciPy's approximations is newer than SciPy 1.13.
        is_approximation = isinstance(matrix, HessianUpdateStrategy)
        return _as_vector("hess", matrix.dot(v) if is_approximation else matrix @ v, len(x))

    def _new_gradient(self, x: Array) -> Array:
        self.n_gradients += 1
        return _as_vector("jac", self._jac(x.copy(), *self._args), len(x))

    def _curvature(self, x: Array) -> Any:
        """Return the matrix at x, computed once, or SciPy's approximation of it."""
        key = x.tobytes()
        if key == self._matrix_at:
            return self._matrix
        self._matrix_at = key
        self.n_curvatures += 1
        if callable(self._hess):
            self._matrix = self._hess(x.copy(), *self._args)
            return self._matrix
        slope = self.gradient(x)
        if self._last is None:
            self._hess.initialize(len(x), "hess")
            self._matrix = self._hess
        else:
            self._hess.update(x - self._last[0], slope - self._last[1])
        self._last = x.copy(), slope
        return self._matrix

    def _difference(self, x: Array, v: Array) -> Array:
        """Return how the gradient changes along v, by steps as long as rounding asks for."""
        norm = float(np.linalg.norm(v))
        if norm == 0:
            return np.zeros_like(v)
        power = 1 / 2 if self._hess == "2-point" else 1 / 3
        step = float(np.finfo(x.dtype).eps) ** power * max(1.0, float(np.linalg.norm(x))) / norm
        self.n_curvatures += 1
        if self._hess == "cs":
            step = 1e-20 / norm
            change = np.imag(self._complex_gradient(x + 1j * step * v)) / step
        elif self._hess == "3-point":
            ahead, behind = self._new_gradient(x + step * v), self._new_gradient(x - step * v)
            change = (ahead - behind) / (2 * step)
        else:
            change = (self._new_gradient(x + step * v) - self.gradient(x)) / step
        return np.asarray(change)

    def _complex_gradient(self, x: Any) -> Any:
        self.n_gradients += 1
        return np.asarray(self._jac(x, *self._args)).ravel()


def _as_start(x0: Any) -> Array:
    """Return x0 as a new vector of float64."""
    start = np.asarray(x0)
    if start.dtype.kind not in "fiub":
        raise TypeError(
            f"`x0` has dtype {start.dtype}, but real numbers were expected. Convert it."
        )
    return start.astype(np.float64).ravel()


def _as_vector(name: str, answer: Any, n: int) -> Array:
    """Return what a function gave as a vector of shape (n,)."""
    vector = np.asarray(answer, dtype=np.float64).ravel()
    if len(vector) != n:
        raise ValueError(
            f"`{name}` gave an array of shape {np.shape(answer)}, but ({n},) was expected, as `x0` "
            "has. Return one number per variable."
        )
    return vector


def _as_report(callback: Callable[..., Any]) -> Callable[[OptimizeResult], bool]:
    """Return a callback in either of SciPy's forms as: result -> whether to stop."""
    try:
        names = set(inspect.signature(callback).parameters)
    except ValueError:  # some that are written in C
        names = set()

    def report(result: OptimizeResult) -> bool:
        try:
            if names == {"intermediate_result"}:
                answer = callback(intermediate_result=result)
            else:
                answer = callback(result.x)
        except StopIteration:
            return True
        return isinstance(answer, bool | np.bool_) and bool(answer)

    return report


def _print(result: OptimizeResult) -> None:
    """Say how a run ended, in the words of SciPy's methods."""
    lines = [
        result.message,
        f"         Current function value: {result.fun:f}",
        f"         Iterations: {result.nit:d}",
        f"         Function evaluations: {result.nfev:d}",
        f"         Gradient evaluations: {result.njev:d}",
        f"         Hessian evaluations: {result.nhev:d}",
    ]
    print("\n".join(lines))  # noqa: T201 - the user asked for it, by SciPy's `disp`
