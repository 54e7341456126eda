"""Recurrent layers over whole sequences: forward, tangents (jvp) and cotangents (vjp)."""

from hessianfree.cells.base import Cell, Trajectory
from hessianfree.cells.elman import ElmanCell
from hessianfree.cells.multiplicative import MultiplicativeCell
from hessianfree.cells.tensor import TensorCell

__all__ = ["Cell", "ElmanCell", "MultiplicativeCell", "TensorCell", "Trajectory"]
