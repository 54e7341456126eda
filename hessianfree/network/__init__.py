"""A recurrent net as an objective: definition, losses, sweeps, initial parameters."""

from hessianfree.network._curvature import GaussNewtonOperator
from hessianfree.network._initialization import (
    echo_state_parameters,
    mean_target_bias,
    sparse_parameters,
)
from hessianfree.network._linearization import NetworkLinearization
from hessianfree.network._losses import (
    LogisticCrossEntropy,
    Loss,
    SoftmaxCrossEntropy,
    SquaredError,
    outputs_of,
)
from hessianfree.network._network import SequenceNetwork
from hessianfree.network._parallel import ParallelObjective
from hessianfree.network._parameters import ParameterLayout

__all__ = [
    "GaussNewtonOperator",
    "LogisticCrossEntropy",
    "Loss",
    "NetworkLinearization",
    "ParallelObjective",
    "ParameterLayout",
    "SequenceNetwork",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "echo_state_parameters",
    "mean_target_bias",
    "outputs_of",
    "sparse_parameters",
]
