"""Recurrent nets, trained by Hessian-free (truncated Gauss-Newton) and first-order methods."""

from hessianfree.batch import Batch
from hessianfree.cells import (
    BidirectionalCell,
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
from hessianfree.comparison._compare import compare
from hessianfree.comparison._contenders import EchoStateContender, NetContender
from hessianfree.comparison._problems import DataProblem, Problem
from hessianfree.comparison._protocols import Budget
from hessianfree.comparison._report import write_report
from hessianfree.estimators._classifier import RNNClassifier
from hessianfree.estimators._regressor import RNNRegressor
from hessianfree.language._characters import CharacterLanguageModel
from hessianfree.language._model import LanguageModel
from hessianfree.network._network import SequenceNetwork
from hessianfree.network._parallel import ParallelObjective
from hessianfree.optimize._adaptive import Adagrad, Adam, RMSprop
from hessianfree.optimize._damping import LevenbergMarquardt
from hessianfree.optimize._first_order import SGD, Momentum
from hessianfree.optimize._hessian_free import HessianFree
from hessianfree.optimize._schedules import (
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstant,
    SutskeverMomentum,
)
from hessianfree.training._checkpoints import load_checkpoint, save_checkpoint
from hessianfree.training._data import FreshBatches, Minibatches
from hessianfree.training._loop import start, train
from hessianfree.training._scipy import train_scipy
from hessianfree.training._truncated import Chunks, TruncatedBackpropagation
from reservoir import __version__

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "Batch",
    "BidirectionalCell",
    "Budget",
    "CharacterLanguageModel",
    "Chunks",
    "CosineDecay",
    "DataProblem",
    "EchoStateContender",
    "ElmanCell",
    "ExponentialDecay",
    "FreshBatches",
    "GRUCell",
    "HessianFree",
    "InverseTimeDecay",
    "LSTMCell",
    "LanguageModel",
    "LevenbergMarquardt",
    "MUT1Cell",
    "MUT2Cell",
    "MUT3Cell",
    "Minibatches",
    "Momentum",
    "MultiplicativeCell",
    "NetContender",
    "ParallelObjective",
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
