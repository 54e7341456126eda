"""A recurrent net as an objective: definition, losses, sweeps, initial parameters."""

from hessianfree.network._curvature import GaussNewtonOperator
from hessianfree.network._initialization import (
    echo_state_parameters,
    mean_target_bias,
    sparse_parameters,
)
from hessianfree.network._joint_loss import JointLoss
from hessianfree.network._linearization import NetworkLinearization
from hessianfree.network._links import outputs_of
from hessianfree.network._losses import (
    LogisticCrossEntropy,
    Loss,
    SoftmaxCrossEntropy,
    SquaredError,
)
from hessianfree.network._network import SequenceNetwork
from hessianfree.network._parallel import ParallelObjective
from hessianfree.network._parameters import ParameterLayout
from hessianfree.network._starts import (
    chain_parameters,
    chrono_parameters,
    identity_parameters,
    orthogonal_parameters,
)

__all__ = [
    "GaussNewtonOperator",
    "JointLoss",
    "LogisticCrossEntropy",
    "Loss",
    "NetworkLinearization",
    "ParallelObjective",
    "ParameterLayout",
    "SequenceNetwork",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "chain_parameters",
    "chrono_parameters",
    "echo_state_parameters",
    "identity_parameters",
    "mean_target_bias",
    "orthogonal_parameters",
    "outputs_of",
    "sparse_parameters",
]
