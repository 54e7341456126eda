"""Forecaster, classifier and transformers for sktime."""

from reservoir.interfaces.sktime._classification import SktimeESNClassifier
from reservoir.interfaces.sktime._forecasting import SktimeReservoirForecaster
from reservoir.interfaces.sktime._transformation import (
    SktimeReservoirModelSpace,
    SktimeReservoirTransformer,
)

__all__ = [
    "SktimeESNClassifier",
    "SktimeReservoirForecaster",
    "SktimeReservoirModelSpace",
    "SktimeReservoirTransformer",
]
