"""Forecasts of real series: members chosen by backtest and averaged, with intervals."""

from reservoir.forecasting._estimator import ReservoirForecaster
from reservoir.forecasting._model import Member
from reservoir.forecasting._results import BacktestResult, Forecast

__all__ = ["BacktestResult", "Forecast", "Member", "ReservoirForecaster"]
