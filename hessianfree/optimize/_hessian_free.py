"""Hessian-free optimization: damped Gauss-Newton steps by conjugate gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from hessianfree.batch import count_sequences
from hessianfree.network._parameters import flat_copy
from hessianfree.optimize._conjugate_gradient import conjugate_gradient
from hessianfree.optimize._damping import LevenbergMarquardt, reduction_ratio
from hessianfree.optimize._hessian_free_info import (
    HessianFreeInfo,
    HessianFreeState,
    StepCost,
    no_step,
)
from hessianfree.optimize._line_search import BacktrackingLineSearch, LineSearchResult, backtrack
from hessianfree.optimize._preconditioning import Preconditioner
from hessianfree.optimize._progress import (
    ConjugateGradientResult,
    ConjugateGradientStop,
    RelativeProgress,
    StoppingRule,
)
from hessianfree.optimize._protocols import Objective, place_state
from hessianfree.optimize._quadratic_model import QuadraticModel
from reservoir.utils.device import module_of
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer, check_methods, check_real


@dataclass(frozen=True)
class HessianFree:
    r"""Minimize by truncated Gauss-Newton steps on two batches of data.

    Algorithm 1 of [1]_ with the structural damping of [2]_. In each step, with λ the damping:

    1. Build a quadratic model of the loss around θ,

       .. math:: m(\delta) = g^T \delta
                 + \tfrac12\, \delta^T (G + \lambda (I + \mu S))\, \delta ,

       with g the gradient on the gradient batch; G the Gauss-Newton matrix and S that of structural
       damping, both on the curvature batch.
    2. Minimize it by preconditioned conjugate gradients, which start from where the last run ended
       and stop early ([1]_, sections 4.4, 4.5 and 4.7).
    3. Choose δ from the iterates kept on the way: from the last one backwards, while the loss on
       the gradient batch falls ([1]_, section 4.6).
    4. Shorten δ by a backtracking line search: θ becomes θ + α δ.
    5. Adapt λ to the reduction ratio ρ, the change of the loss over the one that the model
       predicted ([1]_, section 4.1).

    What differs from the papers is listed in the notes.

    Read more in the guide: :doc:`/guide/hessian_free`.

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
        that of [2]_. Undamped: ρ then measures the model of the loss itself, and the size of λ has
        no part in it. No difference beyond noise was found. With structural damping, undamped costs
        a product per step.
    line_search : BacktrackingLineSearch
        Its factor, constant and length.
    first_kept, kept_growth, recompute_every
        As in `conjugate_gradient`.

    Notes
    -----
    This differs from [1]_ and [2]_ in that

    1. the losses in ρ are those of the gradient batch, which the choice of the iterate has computed
       already, where the code of [1]_ takes the curvature batch: where the batches differ and the
       gradient is small, as on a plateau, the step follows the gradient of the one and may well
       raise the loss on the other, however small it is, and λ would climb without end. (Adding
       problem, T = 50, batches of 1,000 and 200: unsolved that way, solved in 26 steps this way.)
    2. a rejected step always raises λ, which [1]_ leaves to ρ. A step is rejected (θ stays,
       conjugate gradients start from zero, and `info["accepted"]` is False) where no α lowers the
       loss, or where loss or gradient at θ are not finite. (One that changes no parameter is not
       accepted either, see 4.)
    3. λ is also raised where conjugate gradients met a product that is not finite, or negative
       curvature, which an objective may have that gives the product of its Hessian: at least by as
       much as would have made it positive. `info["cg_stop"]` reports both.
    4. λ has a lower and an upper limit, and a step that changes neither a parameter nor, beyond its
       rounding error, the loss is a minimum and no reason to raise it; see `LevenbergMarquardt`.
    5. a direction that leads uphill, as it may after a warm start on other data, must still lower
       the loss; see `BacktrackingLineSearch`.
    6. the walk back along the iterates passes over losses that overflow; see `backtrack`.
    7. conjugate gradients compute their residual afresh now and then, and end where it is down to
       rounding error; see `conjugate_gradient`.
    8. there is no preconditioner by default, and `FisherPreconditioner` averages over the curvature
       batch instead of the gradient batch.

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
    >>> info["accepted"], str(info["cg_stop"])
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
        check_methods(
            "damping", self.damping, ("update", "settle"), "LevenbergMarquardt(initial=1)"
        )
        check_methods("line_search", self.line_search, ("search",), "BacktrackingLineSearch()")
        if self.preconditioner is not None:
            check_methods(
                "preconditioner", self.preconditioner, ("diagonal",), "FisherPreconditioner()"
            )
        check_methods("stopping_rule", self.stopping_rule, ("__call__",), "RelativeProgress()")
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

    # An overflow rejects the step, and `info` reports it; it needs no warning besides.
    @np.errstate(over="ignore", invalid="ignore")
    @with_few_threads
    def step(
        self,
        objective: Objective,
        state: HessianFreeState,
        gradient_batch: Any = None,
        curvature_batch: Any = None,
    ) -> tuple[HessianFreeState, HessianFreeInfo]:
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
        info : HessianFreeInfo
            A dict of numbers; see there for its keys.
        """
        if curvature_batch is None:
            curvature_batch = gradient_batch
        state = place_state(objective, state)
        cost = StepCost(count_sequences(gradient_batch), count_sequences(curvature_batch))
        loss, model = self._build_model(objective, state, gradient_batch, curvature_batch, cost)
        gradient_norm = float(module_of(model.gradient).linalg.norm(model.gradient))
        info = no_step(loss, gradient_norm, state.damping)
        if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
            cost.write_to(info)
            return self._rejected(state, self.damping.update(state.damping, math.nan)), info
        run = self._solve(model, objective, state, curvature_batch, cost)

        def value(step: Array) -> float:
            return objective.value(state.params + step, gradient_batch)

        chosen = backtrack(value, run.iterates)
        step = run.iterates[chosen.index]
        search = self._search_line(value, step, loss, chosen.value, model)
        xp = module_of(step)
        params = state.params + search.step_size * step
        changed = not bool(xp.array_equal(params, state.params))
        accepted = search.step_size > 0 and changed
        quadratic = run.quadratic(chosen.index)
        predicted = self._predicted_change(model, step, quadratic)
        change = chosen.value - loss
        ratio = reduction_ratio(change, predicted)
        # Of the loss: beyond it ρ says nothing.
        rounding = 2 * float(xp.finfo(step.dtype).eps) * abs(loss)
        settled = (abs(predicted) <= rounding and change <= rounding) or (
            search.step_size > 0 and not changed
        )
        damping = self._adapt_damping(state.damping, ratio, run, accepted, settled)
        cost.products = model.n_products
        cost.gradient_values = chosen.n_values + search.n_values
        info.update(
            {
                "new_loss": search.value,
                "reduction_ratio": ratio,
                "quadratic": quadratic,
                "cg_iterations": run.n_iterations,
                "cg_chosen": run.iterations[chosen.index],
                "cg_stop": run.stop_reason,
                "products": cost.products,
                "accepted": accepted,
            }
        )
        cost.write_to(info)
        if not accepted:
            return self._rejected(state, damping), info
        info["step_size"] = search.step_size
        info["step_norm"] = search.step_size * float(xp.linalg.norm(step))
        return HessianFreeState(params, damping, run.iterates[-1], state.n_steps + 1), info

    def _build_model(
        self,
        objective: Objective,
        state: HessianFreeState,
        gradient_batch: Any,
        curvature_batch: Any,
        cost: StepCost,
    ) -> tuple[float, QuadraticModel]:
        """Return the loss at θ on the gradient batch, and the quadratic model around θ."""
        linearization = objective.linearize(state.params, curvature_batch)
        if curvature_batch is gradient_batch:
            loss, gradient = linearization.value, linearization.gradient()
        else:
            loss, gradient = objective.value_and_gradient(state.params, gradient_batch)
            cost.curvature_values += 1
        model = QuadraticModel(linearization, gradient, state.damping, self.structural_damping)
        return float(loss), model

    def _solve(
        self,
        model: QuadraticModel,
        objective: Objective,
        state: HessianFreeState,
        curvature_batch: Any,
        cost: StepCost,
    ) -> ConjugateGradientResult:
        """Minimize the model by conjugate gradients that stop early."""
        precondition = None
        if self.preconditioner is not None:
            diagonal = self.preconditioner.diagonal(
                objective, state.params, curvature_batch, model.product, state.damping,
                state.n_steps,
            )  # fmt: skip
            cost.curvature_gradients += self.preconditioner.n_gradients

            def precondition(r: Array) -> Array:
                scaled: Array = r / diagonal
                return scaled

        return conjugate_gradient(
            model.product,
            -model.gradient,
            start=self.warm_start * state.cg_start if state.cg_start.any() else None,
            preconditioner=precondition,
            stopping_rule=self.stopping_rule,
            max_iterations=self.max_cg_iterations,
            first_kept=self.first_kept,
            kept_growth=self.kept_growth,
            recompute_every=self.recompute_every,
        )

    def _search_line(
        self,
        value: Callable[[Array], float],
        step: Array,
        loss: float,
        full_loss: float,
        model: QuadraticModel,
    ) -> LineSearchResult:
        """Shorten the chosen step until the loss falls enough."""
        return self.line_search.search(
            lambda step_size: value(step_size * step), loss, float(model.gradient @ step), full_loss
        )

    def _predicted_change(self, model: QuadraticModel, step: Array, quadratic: float) -> float:
        """Return what ρ compares the change of the loss with, given m(δ) of the whole step."""
        if self.ratio_model == "undamped":
            return model.without_damping(step, quadratic)
        return quadratic

    def _adapt_damping(
        self,
        damping: float,
        ratio: float,
        run: ConjugateGradientResult,
        accepted: bool,
        settled: bool,
    ) -> float:
        """Return the λ of the next step."""
        unsolved = (ConjugateGradientStop.NEGATIVE_CURVATURE, ConjugateGradientStop.NOT_FINITE)
        if settled and run.stop_reason not in unsolved:
            return self.damping.settle(damping)
        if not accepted or run.stop_reason in unsolved:
            ratio = math.nan
        raised = self.damping.update(damping, ratio)
        if run.stop_reason == ConjugateGradientStop.NEGATIVE_CURVATURE:
            return min(max(raised, damping - run.curvature), self.damping.ceiling)
        return raised

    def _rejected(self, state: HessianFreeState, damping: float) -> HessianFreeState:
        """Return the state after a step that was not taken."""
        zero = module_of(state.params).zeros_like(state.params)
        return HessianFreeState(state.params, damping, zero, state.n_steps + 1)


# Found on problems of long time lags, with batches of 1,000 sequences for the gradient and 200 for
# the curvature; see benchmarks/RESULTS.md.
LONG_LAG_HESSIAN_FREE = HessianFree(
    damping=LevenbergMarquardt(initial=0.03), structural_damping=0.05, max_cg_iterations=20
)
