"""Optimizers, Hessian-free and first-order, and their parts."""

from hessianfree.optimize._adaptive import (
    Adagrad,
    AdagradState,
    Adam,
    AdamState,
    RMSprop,
    RMSpropState,
)
from hessianfree.optimize._clipping import clip_by_norm, clip_by_value, vector_norm
from hessianfree.optimize._conjugate_gradient import CHECK_EVERY, conjugate_gradient
from hessianfree.optimize._damping import LevenbergMarquardt, reduction_ratio
from hessianfree.optimize._first_order import (
    SGD,
    DescentState,
    FirstOrder,
    FirstOrderInfo,
    Momentum,
    MomentumState,
)
from hessianfree.optimize._functions import FunctionObjective
from hessianfree.optimize._hessian_free import LONG_LAG_HESSIAN_FREE, HessianFree
from hessianfree.optimize._hessian_free_info import HessianFreeInfo, HessianFreeState
from hessianfree.optimize._line_search import BacktrackingLineSearch, backtrack
from hessianfree.optimize._preconditioning import FisherPreconditioner, JacobiPreconditioner
from hessianfree.optimize._progress import (
    ConjugateGradientResult,
    ConjugateGradientStop,
    RelativeProgress,
)
from hessianfree.optimize._protocols import FisherObjective, Linearization, Objective, StepInfo
from hessianfree.optimize._quadratic_model import QuadraticModel
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
    "ConjugateGradientStop",
    "CosineDecay",
    "DescentState",
    "ExponentialDecay",
    "FirstOrder",
    "FisherObjective",
    "FirstOrderInfo",
    "FisherPreconditioner",
    "FunctionObjective",
    "HessianFree",
    "HessianFreeInfo",
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
    "QuadraticModel",
    "RMSprop",
    "RMSpropState",
    "RelativeProgress",
    "SGD",
    "StepInfo",
    "SutskeverMomentum",
    "backtrack",
    "clip_by_norm",
    "clip_by_value",
    "conjugate_gradient",
    "hessian_free",
    "reduction_ratio",
    "vector_norm",
]
