"""Hessian-free (truncated Gauss-Newton) training of recurrent nets."""

from hessianfree.batch import Batch
from hessianfree.damping import LevenbergMarquardt
from hessianfree.estimators import RNNClassifier, RNNRegressor
from hessianfree.network import SequenceNetwork
from hessianfree.optimizer import HessianFree
from hessianfree.training import FreshBatches, Minibatches, start, train
from reservoir import __version__

__all__ = [
    "Batch",
    "FreshBatches",
    "HessianFree",
    "LevenbergMarquardt",
    "Minibatches",
    "RNNClassifier",
    "RNNRegressor",
    "SequenceNetwork",
    "__version__",
    "start",
    "train",
]
