"""Readouts: their features, the sums that they are solved from, and the ridge regression."""

from reservoir.readout._accumulator import RidgeAccumulator, leave_one_out
from reservoir.readout._features import FeatureMap, Readout
from reservoir.readout._monomials import MonomialMap, delay_vectors
from reservoir.readout._solve import RidgeSolution, check_alphas, solve_ridge
from reservoir.readout._sums import GramAccumulator, QRAccumulator

__all__ = [
    "FeatureMap",
    "GramAccumulator",
    "MonomialMap",
    "QRAccumulator",
    "Readout",
    "RidgeAccumulator",
    "RidgeSolution",
    "check_alphas",
    "delay_vectors",
    "leave_one_out",
    "solve_ridge",
]
