"""Recurrent layers over whole sequences: forward, tangents (jvp) and cotangents (vjp)."""

from hessianfree.cells.base import Cell, Trajectory
from hessianfree.cells.bidirectional import BidirectionalCell
from hessianfree.cells.elman import ElmanCell
from hessianfree.cells.gru import GRUCell
from hessianfree.cells.lstm import LSTMCell
from hessianfree.cells.multiplicative import MultiplicativeCell
from hessianfree.cells.mutations import MUT1Cell, MUT2Cell, MUT3Cell
from hessianfree.cells.stacked import StackedCell
from hessianfree.cells.tensor import TensorCell

__all__ = [
    "BidirectionalCell",
    "Cell",
    "ElmanCell",
    "GRUCell",
    "LSTMCell",
    "MUT1Cell",
    "MUT2Cell",
    "MUT3Cell",
    "MultiplicativeCell",
    "StackedCell",
    "TensorCell",
    "Trajectory",
]
