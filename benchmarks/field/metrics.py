"""Measures of forecasts as the competitions and benchmarks define them that publish figures.

References
----------
.. [1] Makridakis, Spiliotis & Assimakopoulos (2020), The M4 Competition: 100,000 time series and
   61 forecasting methods, International Journal of Forecasting 36, section 2.3 and appendix A.
.. [2] Gilpin (2021), Chaos as an interpretable benchmark for forecasting and data-driven
   modelling, NeurIPS Datasets and Benchmarks, section 4.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def smape(truth: Floats, forecast: Floats) -> float:
    """Return the symmetric mean absolute percentage error, 200 |y - ŷ| / (|y| + |ŷ|), 0 to 200.

    A step at which both are 0 has an error of 0.
    """
    size = np.abs(truth) + np.abs(forecast)
    error = np.abs(truth - forecast)
    return float(200 * np.mean(np.divide(error, size, out=np.zeros_like(size), where=size > 0)))


def seasonal_scale(known: Floats, season: int) -> float:
    """Return the mean absolute error of the seasonal naive forecast within what is known."""
    return float(np.abs(known[season:] - known[:-season]).mean())


def mase(truth: Floats, forecast: Floats, known: Floats, season: int) -> float:
    """Return the mean absolute error over that of the seasonal naive forecast within `known`."""
    return float(np.abs(truth - forecast).mean()) / seasonal_scale(known, season)


def msis(
    truth: Floats, lower: Floats, upper: Floats, known: Floats, season: int, level: float = 95
) -> float:
    """Return the mean scaled interval score: width, and 2 / α times by how far it was missed."""
    alpha = 1 - level / 100
    beyond = np.maximum(lower - truth, 0) + np.maximum(truth - upper, 0)
    return float(np.mean(upper - lower + 2 / alpha * beyond)) / seasonal_scale(known, season)


def owa(of_smape: float, of_mase: float, naive_smape: float, naive_mase: float) -> float:
    """Return the mean of sMAPE and MASE, means over all series, each over that of Naive2."""
    return 0.5 * (of_smape / naive_smape + of_mase / naive_mase)


def rank(own: float, others: Iterable[float]) -> int:
    """Return the place among all, the lowest first."""
    return 1 + sum(other < own for other in others)
