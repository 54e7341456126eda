"""Classifier and collection transformers for aeon."""

from reservoir.interfaces.aeon._classification import AeonESNClassifier
from reservoir.interfaces.aeon._transformation import (
    AeonReservoirModelSpace,
    AeonReservoirTransformer,
)

__all__ = ["AeonESNClassifier", "AeonReservoirModelSpace", "AeonReservoirTransformer"]
