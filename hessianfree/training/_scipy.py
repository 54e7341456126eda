"""Training by SciPy's minimizers, with the history of the training loop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from tqdm import tqdm

from hessianfree.batch import count_sequences
from hessianfree.network._parameters import flat_copy
from hessianfree.optimize._clipping import vector_norm
from hessianfree.optimize._protocols import Linearization, Objective
from hessianfree.training._checkpoints import TrainingState
from hessianfree.training._history import History, append_line
from hessianfree.training._stop_reason import TrainingStop
from reservoir.utils.device import refuse_device_arrays
from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer

# Each with whether it asks for curvature.
METHODS = {"L-BFGS-B": False, "trust-ncg": True, "trust-krylov": True}


@dataclass(frozen=True)
class ScipyState:
    """What is known of a SciPy run between two iterations: parameters and their number."""

    params: Array
    n_steps: int


@explained
def train_scipy(
    objective: Objective,
    params: Array,
    batch: Any = None,
    *,
    method: str = "L-BFGS-B",
    n_iterations: int = 100,
    callback: Callable[[TrainingState], Any] | None = None,
    progress: bool = False,
    log: str | os.PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> TrainingState:
    """Minimize an objective on one batch by a method of `scipy.optimize.minimize`.

    These methods compare losses from iteration to iteration, and build up a picture of the
    curvature: they need the same data all the time, unlike those of `train`.

    Parameters
    ----------
    objective : Objective
    params : ndarray of shape (n_params,)
        Where to start; copied. The objective is evaluated in its dtype, SciPy works in float64.
    batch : object, optional
        Passed on to the objective: all the data.
    method : str, default="L-BFGS-B"
        "L-BFGS-B" [1]_ asks for gradients; "trust-ncg" [2]_ and "trust-krylov" [3]_ also for
        curvature, and get products with the Gauss-Newton matrix.
    n_iterations : int, default=100
        At most.
    callback : callable, optional
        Called with the state after each iteration; True ends the run.
    progress : bool, default=False
        Whether to show a progress bar.
    log : path-like, optional
        File for the history, one JSON object per line, as of `train`.
    options : mapping, optional
        For the method, as `minimize` takes them.

    Returns
    -------
    TrainingState
        As that of `train`. `stop_reason` equals "n_iterations", "converged", "callback",
        "interrupted", or "failed" where SciPy found no further step. The history has, for each
        iteration, `loss` and `gradient_norm` before it, `new_loss`, `step_norm`, `values`,
        `gradients` and `products` (how many were asked for), `passes`, `sequence_gradients` and
        `seconds`.

    Raises
    ------
    ValueError
        If an argument is out of range or unknown.

    Notes
    -----
    The forward pass at a point is run once and kept for its gradient and products. As in
    `HessianFree`, a pass is a gradient on the batch, a value alone counts as 1/3, and a product as
    4/3. What SciPy keeps inside can't be saved: a run that was stopped starts anew from its
    parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.optimize import FunctionObjective
    >>> A, b = np.diag([1.0, 10.0]), np.array([1.0, 1.0])
    >>> quadratic = FunctionObjective(
    ...     value=lambda x: 0.5 * x @ A @ x - b @ x, gradient=lambda x: A @ x - b,
    ...     product=lambda x, v: A @ v)
    >>> for method in ("L-BFGS-B", "trust-ncg"):
    ...     state = train_scipy(quadratic, np.zeros(2), method=method)
    ...     print(state.params.round(4), state.stop_reason)
    [1.  0.1] converged
    [1.  0.1] converged

    References
    ----------
    .. [1] Byrd, Lu & Nocedal (1995), A limited memory algorithm for bound constrained optimization.
    .. [2] Nocedal & Wright (2006), Numerical optimization, algorithm 7.2 (Steihaug's).
    .. [3] Gould, Lucidi, Roma & Toint (1999), Solving the trust-region subproblem using the Lanczos
       method, SIAM Journal on Optimization 9.
    """
    check_choice("method", method, METHODS)
    check_integer("n_iterations", n_iterations, minimum=0)
    refuse_device_arrays("SciPy", params=params)
    params = flat_copy(params)
    state = TrainingState(
        ScipyState(params, 0),
        0,
        np.random.SeedSequence(0),
        History(),
        TrainingStop.N_ITERATIONS,
    )
    if log is not None:
        state.history.write_jsonl(log)
    if n_iterations == 0:
        return state
    points = _Points(objective, batch, params.dtype)
    recorder = _Recorder(points, state, count_sequences(batch), callback, log)
    recorder.bar = tqdm(total=n_iterations, disable=not progress)
    try:
        # Where a Krylov method has solved its subproblem exactly it may multiply 0 by infinity.
        with np.errstate(over="ignore", invalid="ignore"):
            result = minimize(
                points.value,
                params.astype(np.float64),
                jac=points.gradient,
                hessp=points.product if METHODS[method] else None,
                method=method,
                callback=recorder,
                options={"maxiter": n_iterations, **(options or {})},
            )
    except KeyboardInterrupt:
        history = recorder.state.history.head(recorder.state.iteration)
        if log is not None:
            history.write_jsonl(log)
        return replace(recorder.state, history=history, stop_reason=TrainingStop.INTERRUPTED)
    finally:
        recorder.bar.close()
    state = recorder.state
    if state.stop_reason != TrainingStop.CALLBACK and state.iteration < n_iterations:
        reason = TrainingStop.CONVERGED if result.success else TrainingStop.FAILED
        state = replace(state, stop_reason=reason)
    return state


class _Recorder:
    """What SciPy calls after each iteration: history, log, progress bar, the user's callback."""

    bar: Any

    def __init__(
        self,
        points: _Points,
        state: TrainingState,
        n_sequences: int,
        callback: Callable[[TrainingState], Any] | None,
        log: str | os.PathLike[str] | None,
    ) -> None:
        self.state = state
        self._points, self._n_sequences = points, n_sequences
        self._callback, self._log = callback, log
        self._loss = points.value(state.params)
        self._gradient_norm = vector_norm(points.gradient(state.params))
        self._began = time.perf_counter()

    def __call__(self, intermediate_result: OptimizeResult) -> None:
        """Take an iteration in; SciPy goes by the name of the parameter."""
        state, points = self.state, self._points
        params = np.array(intermediate_result.x, dtype=state.params.dtype)
        # The next iteration needs the gradient there anyway.
        loss, gradient_norm = points.value(params), vector_norm(points.gradient(params))
        row = {
            "loss": self._loss,
            "new_loss": loss,
            "gradient_norm": self._gradient_norm,
            "step_norm": vector_norm(params - state.params),
            **points.take_costs(self._n_sequences),
            "seconds": time.perf_counter() - self._began,
        }
        self._loss, self._gradient_norm = loss, gradient_norm
        state.history.append(row)
        n_steps = state.iteration + 1
        self.state = replace(state, optimizer_state=ScipyState(params, n_steps), iteration=n_steps)
        if self._log is not None:
            append_line(self._log, row)
        self.bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
        self.bar.update()
        self._began = time.perf_counter()
        if self._callback is not None and self._callback(self.state):
            self.state = replace(self.state, stop_reason=TrainingStop.CALLBACK)
            raise StopIteration


class _Points:
    """Values, gradients and products at the points that SciPy asks about, and what they cost."""

    def __init__(self, objective: Objective, batch: Any, dtype: np.dtype[Any]) -> None:
        self._objective, self._batch, self._dtype = objective, batch, dtype
        # The last two: a trust region goes back to the point before where a step is refused.
        self._kept: dict[bytes, tuple[Linearization, list[Array]]] = {}
        self._counts = {"values": 0, "gradients": 0, "products": 0}

    def value(self, x: Array) -> float:
        """Return f(x)."""
        return float(self._at(x)[0].value)

    def gradient(self, x: Array) -> Array:
        """Return ∇f(x) in float64."""
        linearization, gradients = self._at(x)
        if not gradients:
            self._counts["gradients"] += 1
            gradients.append(linearization.gradient().astype(np.float64))
        return gradients[0].copy()

    def product(self, x: Array, v: Array) -> Array:
        """Return G(x) v in float64."""
        self._counts["products"] += 1
        linearization, _ = self._at(x)
        return linearization.gauss_newton_product(v.astype(self._dtype)).astype(np.float64)

    def take_costs(self, n_sequences: int) -> dict[str, float]:
        """Return what was asked for since the last call, and its cost in gradients."""
        counts, self._counts = self._counts, dict.fromkeys(self._counts, 0)
        # A forward pass is 1/3, and the rest of a gradient 2/3.
        passes = (counts["values"] + 2 * counts["gradients"] + 4 * counts["products"]) / 3
        return {**counts, "passes": passes, "sequence_gradients": passes * n_sequences}

    def _at(self, x: Array) -> tuple[Linearization, list[Array]]:
        """Return the linearization at x and a place for its gradient."""
        point = np.asarray(x, dtype=self._dtype)
        key = point.tobytes()
        if key not in self._kept:
            self._counts["values"] += 1
            if len(self._kept) > 1:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = self._objective.linearize(point, self._batch), []
        else:
            self._kept[key] = self._kept.pop(key)
        return self._kept[key]
