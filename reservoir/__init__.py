"""Echo state networks: sparse reservoirs, ridge readouts, scikit-learn estimators."""

from reservoir.classifier import ESNClassifier
from reservoir.conceptor_memory import ConceptorMemory
from reservoir.delays import DelayEmbedding
from reservoir.estimators import ESNRegressor
from reservoir.layered import LayeredESNRegressor
from reservoir.local import LocalESNRegressor
from reservoir.model_space import ReservoirModelSpace
from reservoir.nvar import NVARRegressor
from reservoir.online import OnlineESNRegressor
from reservoir.sequences import from_aeon
from reservoir.transformer import ReservoirTransformer

__version__ = "0.1.0"

__all__ = [
    "ConceptorMemory",
    "DelayEmbedding",
    "ESNClassifier",
    "ESNRegressor",
    "LayeredESNRegressor",
    "LocalESNRegressor",
    "NVARRegressor",
    "OnlineESNRegressor",
    "ReservoirModelSpace",
    "ReservoirTransformer",
    "__version__",
    "from_aeon",
]
