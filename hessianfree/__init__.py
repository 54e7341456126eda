"""Hessian-free (truncated Gauss-Newton) training of recurrent nets."""

from hessianfree.batch import Batch
from hessianfree.cells import ElmanCell, MultiplicativeCell, TensorCell
from hessianfree.checkpoints import load_checkpoint, save_checkpoint
from hessianfree.damping import LevenbergMarquardt
from hessianfree.estimators import RNNClassifier, RNNRegressor
from hessianfree.network import SequenceNetwork
from hessianfree.optimizer import HessianFree
from hessianfree.training import FreshBatches, Minibatches, start, train
from reservoir import __version__

__all__ = [
    "Batch",
    "ElmanCell",
    "FreshBatches",
    "HessianFree",
    "LevenbergMarquardt",
    "Minibatches",
    "MultiplicativeCell",
    "RNNClassifier",
    "RNNRegressor",
    "SequenceNetwork",
    "TensorCell",
    "__version__",
    "load_checkpoint",
    "save_checkpoint",
    "start",
    "train",
]
