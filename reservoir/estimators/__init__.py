"""The regressors and transformers for scikit-learn, and what they share."""

from reservoir.estimators._delays import DelayEmbedding, embed_delays

__all__ = [
    "DelayEmbedding",
    "embed_delays",
]
