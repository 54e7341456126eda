"""Echo state networks: sparse reservoirs, ridge readouts, scikit-learn estimators."""

from reservoir.classification._classifier import ESNClassifier
from reservoir.classification._model_space import ReservoirModelSpace
from reservoir.conceptors._memory import ConceptorMemory
from reservoir.detection._estimator import ReservoirDetector
from reservoir.estimators._delays import DelayEmbedding
from reservoir.estimators._esn import ESNRegressor
from reservoir.estimators._hybrid import HybridForecaster
from reservoir.estimators._layered import LayeredESNRegressor
from reservoir.estimators._nvar import NVARRegressor
from reservoir.estimators._scaled import ScaledForecaster
from reservoir.estimators._transformer import ReservoirTransformer
from reservoir.fields._estimator import LocalESNRegressor
from reservoir.forecasting._estimator import ReservoirForecaster
from reservoir.online import OnlineESNRegressor
from reservoir.sequences._layout import from_aeon
from reservoir.utils.threads import limit_threads

__version__ = "0.1.0"

__all__ = [
    "ConceptorMemory",
    "DelayEmbedding",
    "ESNClassifier",
    "ESNRegressor",
    "HybridForecaster",
    "LayeredESNRegressor",
    "LocalESNRegressor",
    "NVARRegressor",
    "OnlineESNRegressor",
    "ReservoirDetector",
    "ReservoirForecaster",
    "ReservoirModelSpace",
    "ReservoirTransformer",
    "ScaledForecaster",
    "__version__",
    "from_aeon",
    "limit_threads",
]
