"""What Hessian-free optimization keeps between two steps, and what it reports of each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hessianfree.optimize._progress import ConjugateGradientStop
from hessianfree.optimize._protocols import StepInfo
from reservoir.utils.types import Array


@dataclass(frozen=True)
class HessianFreeState:
    """The state of Hessian-free optimization between two steps.

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


class HessianFreeInfo(StepInfo):
    """What `HessianFree.step` reports.

    Attributes
    ----------
    loss, new_loss : float
        On the gradient batch, before the step and after it.
    gradient_norm : float
    damping : float
        λ of this step.
    reduction_ratio : float
        ρ.
    quadratic : float
        m(δ), damping included, at the chosen iterate.
    cg_iterations : int
        Iterations of conjugate gradients.
    cg_chosen : int
        After how many of them the chosen iterate was kept.
    cg_stop : ConjugateGradientStop
        Why they ended.
    products : int
        Products with the curvature.
    step_size, step_norm : float
        α, and the norm of α δ.
    accepted : bool
        Whether the step was taken.
    passes, sequence_gradients : float
        What it cost, in gradients on the gradient batch and in gradients of one sequence.
    """

    new_loss: float
    gradient_norm: float
    damping: float
    reduction_ratio: float
    quadratic: float
    cg_iterations: int
    cg_chosen: int
    cg_stop: ConjugateGradientStop
    products: int
    step_size: float
    step_norm: float
    accepted: bool


def no_step(loss: float, gradient_norm: float, damping: float) -> HessianFreeInfo:
    """Return what `info` reports of a step that could not even be tried, its cost left out."""
    return {
        "reduction_ratio": math.nan,
        "quadratic": math.nan,
        "cg_iterations": 0,
        "cg_chosen": 0,
        "cg_stop": ConjugateGradientStop.NOT_STARTED,
        "products": 0,
        "step_size": 0.0,
        "step_norm": 0.0,
        "accepted": False,
        "loss": loss,
        "new_loss": loss,
        "damping": damping,
        "gradient_norm": gradient_norm,
        "passes": math.nan,
        "sequence_gradients": math.nan,
    }


@dataclass
class StepCost:
    """What a step has computed so far; one gradient on the gradient batch is always there."""

    gradient_size: int
    curvature_size: int
    products: int = 0
    gradient_values: int = 0
    curvature_values: int = 0
    curvature_gradients: int = 0

    def write_to(self, info: HessianFreeInfo) -> None:
        """Write the cost in gradients of one sequence, and of the gradient batch."""
        on_gradient_batch = 1 + self.gradient_values / 3
        on_curvature_batch = (
            4 / 3 * self.products + self.curvature_values / 3 + self.curvature_gradients
        )
        total = self.gradient_size * on_gradient_batch + self.curvature_size * on_curvature_batch
        info["passes"], info["sequence_gradients"] = total / self.gradient_size, total
