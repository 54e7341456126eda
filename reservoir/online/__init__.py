"""Learning while the data come: recursive least squares, least mean squares, FORCE."""

from reservoir.online._closed_loop import ClosedLoopRun, learn_closed_loop
from reservoir.online._estimator import OnlineESNRegressor
from reservoir.online._learner import Learner
from reservoir.online._least_squares import RecursiveLeastSquares
from reservoir.online._mean_squares import LeastMeanSquares

__all__ = [
    "ClosedLoopRun",
    "LeastMeanSquares",
    "Learner",
    "OnlineESNRegressor",
    "RecursiveLeastSquares",
    "learn_closed_loop",
]
