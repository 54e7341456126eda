"""Recurrent nets, trained by Hessian-free (truncated Gauss-Newton) and first-order methods."""

from hessianfree.adaptive_rates import Adagrad, Adam, RMSprop
from hessianfree.batch import Batch
from hessianfree.cells import (
    ElmanCell,
    GRUCell,
    LSTMCell,
    MultiplicativeCell,
    MUT1Cell,
    MUT2Cell,
    MUT3Cell,
    StackedCell,
    TensorCell,
)
from hessianfree.checkpoints import load_checkpoint, save_checkpoint
from hessianfree.comparison import Budget, Problem, compare
from hessianfree.comparison_report import write_report
from hessianfree.contenders import EchoStateContender, NetContender
from hessianfree.damping import LevenbergMarquardt
from hessianfree.estimators import RNNClassifier, RNNRegressor
from hessianfree.first_order import SGD, Momentum
from hessianfree.language import CharacterLanguageModel
from hessianfree.network import SequenceNetwork
from hessianfree.optimizer import HessianFree
from hessianfree.schedules import (
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstant,
    SutskeverMomentum,
)
from hessianfree.scipy_training import train_scipy
from hessianfree.training import FreshBatches, Minibatches, start, train
from hessianfree.truncated import Chunks, TruncatedBackpropagation
from reservoir import __version__

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "Batch",
    "Budget",
    "CharacterLanguageModel",
    "Chunks",
    "CosineDecay",
    "EchoStateContender",
    "ElmanCell",
    "ExponentialDecay",
    "FreshBatches",
    "GRUCell",
    "HessianFree",
    "InverseTimeDecay",
    "LSTMCell",
    "LevenbergMarquardt",
    "MUT1Cell",
    "MUT2Cell",
    "MUT3Cell",
    "Minibatches",
    "Momentum",
    "MultiplicativeCell",
    "NetContender",
    "PiecewiseConstant",
    "Problem",
    "RMSprop",
    "RNNClassifier",
    "RNNRegressor",
    "SequenceNetwork",
    "StackedCell",
    "SutskeverMomentum",
    "TensorCell",
    "TruncatedBackpropagation",
    "__version__",
    "compare",
    "load_checkpoint",
    "save_checkpoint",
    "start",
    "train",
    "train_scipy",
    "write_report",
]
