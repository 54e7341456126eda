"""The training loop: data, history, checkpoints, stopping."""

from hessianfree.batch import take_sequences
from hessianfree.training._checkpoints import TrainingState, load_checkpoint, save_checkpoint
from hessianfree.training._data import FreshBatches, Minibatches
from hessianfree.training._dropout import Dropout
from hessianfree.training._history import History
from hessianfree.training._loop import start, train
from hessianfree.training._scipy import METHODS, ScipyState, train_scipy
from hessianfree.training._stop_reason import TrainingStop
from hessianfree.training._truncated import Chunk, Chunks, TruncatedBackpropagation, TruncatedState

__all__ = [
    "Chunk",
    "Chunks",
    "Dropout",
    "FreshBatches",
    "History",
    "METHODS",
    "Minibatches",
    "ScipyState",
    "TrainingState",
    "TrainingStop",
    "TruncatedBackpropagation",
    "TruncatedState",
    "load_checkpoint",
    "save_checkpoint",
    "start",
    "take_sequences",
    "train",
    "train_scipy",
]
