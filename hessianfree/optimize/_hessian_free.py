"""Hessian-free optimization: damped Gauss-Newton steps by conjugate gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from hessianfree.batch import count_sequences
from hessianfree.network._parameters import flat_copy
from hessianfree.optimize._conjugate_gradient import (
    RelativeProgress,
    StoppingRule,
    conjugate_gradient,
)
from hessianfree.optimize._damping import LevenbergMarquardt, reduction_ratio
from hessianfree.optimize._line_search import BacktrackingLineSearch, backtrack
from hessianfree.optimize._preconditioning import Preconditioner
from hessianfree.optimize._protocols import Info, Linearization, Objective, place_state
from reservoir.utils.device import module_of
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer, check_real


@dataclass(frozen=True)
class HessianFreeState:
    """All that Hessian-free optimization knows between two steps.

    Attributes
    ----------
    params : ndarray of shape (n_params,)
        θ.
    damping : float
        λ of the next step.
    cg_start : ndarray of shape (n_params,)
        The last iterate of conjugate gradients, decay not yet applied; zero after a rejected step.
    n_steps : int
        Steps made, rejected ones among them.
    """

    params: Array
    damping: float
    cg_start: Array
    n_steps: int


@dataclass(frozen=True)
class HessianFree:
    """Minimize by truncated Gauss-Newton steps on two batches of data.

    (G + λ (I + μ S)) δ = -g,     θ += α δ   [1]_

    g is the gradient on the gradient batch; G the Gauss-Newton matrix and S that of structural
    damping [2]_, both on the curvature batch. The system is solved by preconditioned conjugate
    gradients which stop early and start from where the last run ended. The loss on the gradient
    batch then chooses one of the iterates kept on the way, its length α by a line search, and by
    the reduction ratio the next λ.

    Parameters
    ----------
    damping : LevenbergMarquardt
        The rule for λ, its start, factors and thresholds.
    structural_damping : float, default=0.0
        μ, relative to λ so that the two fall and rise together. [2]_ and [3]_ use 0.1 for recurrent
        nets; 0 here, since an objective need not have hidden states.
    max_cg_iterations : int, default=250
        As in [1]_; 150 in [3]_. The setting that matters most: runs that are too long fit the
        curvature batch instead of the data. On long-lag problems with a curvature batch of 200,
        20 was five times faster than 100.
    stopping_rule : callable, default=RelativeProgress()
        When conjugate gradients stop before that.
    warm_start : float, default=0.95
        The decay of the start of conjugate gradients, as in the code of [1]_; 0 starts from zero.
    preconditioner : Preconditioner or None, default=None
        None, `FisherPreconditioner` (that of [1]_) or `JacobiPreconditioner`. [1]_ preconditions
        deep autoencoders and says in its code that recurrent nets gain nothing; the same here.
    ratio_model : {"undamped", "damped"}, default="undamped"
        Whether the quadratic in ρ leaves out the damping, as the code of [1]_ does, or has it, as
        that of [2]_. Undamped: ρ then judges the model of the loss itself, and λ is not judged by
        its own size. The choice made no difference that could be told from noise. With structural
        damping, undamped costs a product a step.
    line_search : BacktrackingLineSearch
        Its factor, constant and length.
    first_kept, kept_growth, recompute_every
        As in `conjugate_gradient`.

    Notes
    -----
    The code of [1]_ takes the losses in ρ on the curvature batch. Here they are those of the
    gradient batch, which the choice of the iterate has computed already: where the batches differ
    and the gradient is small, as on a plateau, the step follows the gradient of the one and may
    well raise the loss on the other, however small it is, and λ would climb without end. (Adding
    problem, T = 50, batches of 1,000 and 200: unsolved that way, solved in 26 steps this way.)

    A step is rejected (θ stays, conjugate gradients start from zero, λ is raised, and
    `info["accepted"]` is False) where no α lowers the loss or where loss or gradient at θ are not
    finite. λ is also raised where conjugate gradients met negative curvature, at least by as much
    as would have made it positive, or a product that is not finite; `info["cg_stop"]` says so.
    Where no step was possible at all [1]_ leaves λ to ρ; here it is raised in any case.

    The cost of a step is counted in gradients: a gradient is 1, a product 4/3 (a forward and a
    backward sweep against stored states), a loss or the forward pass of a linearization 1/3, each
    times the number of sequences in its batch. `info["sequence_gradients"]` is that sum;
    `info["passes"]` the same in units of the gradient batch.

    Examples
    --------
    A quadratic is solved by one step without damping:

    >>> import numpy as np
    >>> from hessianfree.optimize import FunctionObjective
    >>> A, b = np.diag([1.0, 10.0]), np.array([1.0, 1.0])
    >>> quadratic = FunctionObjective(
    ...     value=lambda x: 0.5 * x @ A @ x - b @ x, gradient=lambda x: A @ x - b,
    ...     product=lambda x, v: A @ v)
    >>> optimizer = HessianFree(damping=LevenbergMarquardt(initial=0.0, floor=0.0))
    >>> state, info = optimizer.step(quadratic, optimizer.init(np.zeros(2)))
    >>> state.params.round(9)
    array([1. , 0.1])
    >>> info["accepted"], info["cg_stop"]
    (True, 'solved')

    References
    ----------
    .. [1] Martens (2010), Deep learning via Hessian-free optimization.
    .. [2] Martens & Sutskever (2011), Learning recurrent neural networks with Hessian-free
       optimization.
    .. [3] Sutskever, Martens & Hinton (2011), Generating text with recurrent neural networks.
    """

    damping: LevenbergMarquardt = field(default_factory=LevenbergMarquardt)
    structural_damping: float = 0.0
    max_cg_iterations: int = 250
    stopping_rule: StoppingRule = field(default_factory=RelativeProgress)
    warm_start: float = 0.95
    preconditioner: Preconditioner | None = None
    ratio_model: Literal["undamped", "damped"] = "undamped"
    line_search: BacktrackingLineSearch = field(default_factory=BacktrackingLineSearch)
    first_kept: int = 5
    kept_growth: float = 1.3
    recompute_every: int = 50

    def __post_init__(self) -> None:
        """Check the constants."""
        check_choice("ratio_model", self.ratio_model, ("undamped", "damped"))
        check_real("structural_damping", self.structural_damping, minimum=0)
        check_integer("max_cg_iterations", self.max_cg_iterations, minimum=1)
        check_real("warm_start", self.warm_start, minimum=0, maximum=1)
        check_integer("first_kept", self.first_kept, minimum=1)
        check_real("kept_growth", self.kept_growth, minimum=1, exclusive=True)
        check_integer("recompute_every", self.recompute_every, minimum=1)

    def init(self, params: Array) -> HessianFreeState:
        """Return the state before the first step.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
            θ; copied. Its dtype is that of all further arithmetic.

        Returns
        -------
        HessianFreeState
        """
        params = flat_copy(params)
        return HessianFreeState(
            params, self.damping.initial, module_of(params).zeros_like(params), 0
        )

    # What overflows rejects the step and is said in `info`; it needs no warning besides.
    @np.errstate(over="ignore", invalid="ignore")
    def step(
        self,
        objective: Objective,
        state: HessianFreeState,
        gradient_batch: Any = None,
        curvature_batch: Any = None,
    ) -> tuple[HessianFreeState, Info]:
        """Make one step.

        Parameters
        ----------
        objective : Objective
            What is minimized.
        state : HessianFreeState
            From `init` or the last step; not changed. Its arrays are moved to where the objective
            computes, and the new state has them there.
        gradient_batch : object, optional
            Passed on to the objective for loss and gradient.
        curvature_batch : object, optional
            Passed on for the curvature; the gradient batch itself where absent.

        Returns
        -------
        state : HessianFreeState
        info : dict
            `loss` on the gradient batch before the step and `new_loss` after it, `gradient_norm`,
            `damping` (λ of this step), `reduction_ratio`, `quadratic` (φ of the damped system at
            the chosen iterate), `cg_iterations`, `cg_chosen` (after how many iterations the chosen
            iterate was kept), `cg_stop`, `products`, `step_size` (α), `step_norm` (of α δ),
            `accepted`, `passes`, `sequence_gradients`.
        """
        if curvature_batch is None:
            curvature_batch = gradient_batch
        state = place_state(objective, state)
        params, damping = state.params, state.damping
        xp = module_of(params)
        cost = _Cost(count_sequences(gradient_batch), count_sequences(curvature_batch))
        linearization = objective.linearize(params, curvature_batch)
        if curvature_batch is gradient_batch:
            loss, gradient = linearization.value, linearization.gradient()
        else:
            loss, gradient = objective.value_and_gradient(params, gradient_batch)
            cost.curvature_values += 1
        info: Info = dict(_NO_STEP, loss=float(loss), new_loss=float(loss), damping=damping)
        info["gradient_norm"] = float(xp.linalg.norm(gradient))
        if not (math.isfinite(loss) and math.isfinite(info["gradient_norm"])):
            return self._rejected(state, self.damping.update(damping, math.nan)), info | cost.sum()

        # Conjugate gradients are done with a product before they ask for the next.
        curved, damped = xp.empty_like(params), xp.empty_like(params)

        def product(v: Array) -> Array:
            cost.products += 1
            linearization.gauss_newton_product(v, damping * self.structural_damping, out=curved)
            total: Array = xp.add(curved, xp.multiply(v, damping, out=damped), out=curved)
            return total

        run = conjugate_gradient(
            product,
            -gradient,
            start=self.warm_start * state.cg_start if state.cg_start.any() else None,
            preconditioner=self._preconditioner(objective, state, curvature_batch, product, cost),
            stopping_rule=self.stopping_rule,
            max_iterations=self.max_cg_iterations,
            first_kept=self.first_kept,
            kept_growth=self.kept_growth,
            recompute_every=self.recompute_every,
        )

        def value(step: Array) -> float:
            cost.gradient_values += 1
            return objective.value(params + step, gradient_batch)

        chosen = backtrack(value, run.iterates)
        step = run.iterates[chosen.index]
        search = self.line_search.search(
            lambda step_size: value(step_size * step), loss, float(gradient @ step), chosen.value
        )
        accepted = search.step_size > 0 and bool(step.any())

        quadratic = run.quadratic(chosen.index)
        ratio = reduction_ratio(
            chosen.value - loss,
            self._foretold_change(quadratic, step, gradient, linearization, damping, cost),
        )
        next_damping = self.damping.update(damping, ratio)
        if not accepted or run.stop_reason in ("negative_curvature", "not_finite"):
            next_damping = self.damping.update(damping, math.nan)
        if run.stop_reason == "negative_curvature":
            next_damping = max(next_damping, damping - run.curvature)

        info |= {
            "new_loss": search.value,
            "reduction_ratio": ratio,
            "quadratic": quadratic,
            "cg_iterations": run.n_iterations,
            "cg_chosen": run.iterations[chosen.index],
            "cg_stop": run.stop_reason,
            "products": cost.products,
            "accepted": accepted,
        }
        if not accepted:
            return self._rejected(state, next_damping), info | cost.sum()
        info["step_size"] = search.step_size
        info["step_norm"] = search.step_size * float(xp.linalg.norm(step))
        new_state = HessianFreeState(
            params + search.step_size * step, next_damping, run.iterates[-1], state.n_steps + 1
        )
        return new_state, info | cost.sum()

    def _rejected(self, state: HessianFreeState, damping: float) -> HessianFreeState:
        """Return the state after a step that was not taken."""
        zero = module_of(state.params).zeros_like(state.params)
        return HessianFreeState(state.params, damping, zero, state.n_steps + 1)

    def _foretold_change(
        self,
        quadratic: float,
        step: Array,
        gradient: Array,
        linearization: Linearization,
        damping: float,
        cost: _Cost,
    ) -> float:
        """Return q(δ) for the reduction ratio, given φ(δ) of the damped system."""
        if self.ratio_model == "damped":
            return quadratic
        if self.structural_damping == 0:
            return quadratic - 0.5 * damping * float(step @ step)
        cost.products += 1
        curved = linearization.gauss_newton_product(step)
        return float(gradient @ step) + 0.5 * float(step @ curved)

    def _preconditioner(
        self,
        objective: Objective,
        state: HessianFreeState,
        batch: Any,
        product: Callable[[Array], Array],
        cost: _Cost,
    ) -> Callable[[Array], Array] | None:
        """Return r -> P⁻¹ r, or None."""
        if self.preconditioner is None:
            return None
        diagonal = self.preconditioner.diagonal(
            objective, state.params, batch, product, state.damping, state.n_steps
        )
        cost.curvature_gradients += self.preconditioner.n_gradients
        return lambda r: r / diagonal


# What `info` says of a step that could not even be tried.
_NO_STEP: Info = {
    "reduction_ratio": math.nan,
    "quadratic": math.nan,
    "cg_iterations": 0,
    "cg_chosen": 0,
    "cg_stop": "not_started",
    "products": 0,
    "step_size": 0.0,
    "step_norm": 0.0,
    "accepted": False,
}


@dataclass
class _Cost:
    """What a step has computed so far; one gradient on the gradient batch is always there."""

    gradient_size: int
    curvature_size: int
    products: int = 0
    gradient_values: int = 0
    curvature_values: int = 0
    curvature_gradients: int = 0

    def sum(self) -> Info:
        """Return the cost in gradients of one sequence, and of the gradient batch."""
        on_gradient_batch = 1 + self.gradient_values / 3
        on_curvature_batch = (
            4 / 3 * self.products + self.curvature_values / 3 + self.curvature_gradients
        )
        total = self.gradient_size * on_gradient_batch + self.curvature_size * on_curvature_batch
        return {"passes": total / self.gradient_size, "sequence_gradients": total}


# Found on problems of long time lags, with batches of 1,000 sequences for the gradient and 200 for
# the curvature; see benchmarks/RESULTS.md.
LONG_LAG_HESSIAN_FREE = HessianFree(
    damping=LevenbergMarquardt(initial=0.03), structural_damping=0.05, max_cg_iterations=20
)
