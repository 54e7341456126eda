"""Regressors and transformers for scikit-learn, and their base classes."""

from reservoir.estimators._delays import DelayEmbedding, embed_delays
from reservoir.estimators._state import ReservoirState

__all__ = [
    "DelayEmbedding",
    "ReservoirState",
    "embed_delays",
]
