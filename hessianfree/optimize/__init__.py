"""Optimizers: Hessian-free, first-order, and what they are made of."""

from hessianfree.optimize._adaptive import (
    Adagrad,
    AdagradState,
    Adam,
    AdamState,
    RMSprop,
    RMSpropState,
)
from hessianfree.optimize._clipping import clip_by_norm, clip_by_value, vector_norm
from hessianfree.optimize._conjugate_gradient import (
    CHECK_EVERY,
    ConjugateGradientResult,
    RelativeProgress,
    conjugate_gradient,
)
from hessianfree.optimize._damping import LevenbergMarquardt, reduction_ratio
from hessianfree.optimize._first_order import SGD, DescentState, FirstOrder, Momentum, MomentumState
from hessianfree.optimize._functions import FunctionObjective
from hessianfree.optimize._hessian_free import LONG_LAG_HESSIAN_FREE, HessianFree, HessianFreeState
from hessianfree.optimize._line_search import BacktrackingLineSearch, backtrack
from hessianfree.optimize._preconditioning import FisherPreconditioner, JacobiPreconditioner
from hessianfree.optimize._protocols import FisherObjective, Linearization, Objective
from hessianfree.optimize._schedules import (
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstant,
    SutskeverMomentum,
)
from hessianfree.optimize._scipy_method import hessian_free

__all__ = [
    "Adagrad",
    "AdagradState",
    "Adam",
    "AdamState",
    "BacktrackingLineSearch",
    "CHECK_EVERY",
    "ConjugateGradientResult",
    "CosineDecay",
    "DescentState",
    "ExponentialDecay",
    "FirstOrder",
    "FisherObjective",
    "FisherPreconditioner",
    "FunctionObjective",
    "HessianFree",
    "HessianFreeState",
    "InverseTimeDecay",
    "JacobiPreconditioner",
    "LONG_LAG_HESSIAN_FREE",
    "LevenbergMarquardt",
    "Linearization",
    "Momentum",
    "MomentumState",
    "Objective",
    "PiecewiseConstant",
    "RMSprop",
    "RMSpropState",
    "RelativeProgress",
    "SGD",
    "SutskeverMomentum",
    "backtrack",
    "clip_by_norm",
    "clip_by_value",
    "conjugate_gradient",
    "hessian_free",
    "reduction_ratio",
    "vector_norm",
]
