"""What all adapters do with the estimator that they wrap, and small ones for checks."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from reservoir.classification._classifier import ESNClassifier
from reservoir.classification._model_space import ReservoirModelSpace
from reservoir.estimators._transformer import ReservoirTransformer


def fresh(name: str, estimator: Any, kind: type) -> Any:
    """Return an unfitted copy of an estimator, one with default parameters for None.

    Parameters
    ----------
    name : str
        The parameter of the adapter, for the error.
    estimator : object
        Its value.
    kind : type
        What it has to be.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if estimator is None:
        return kind()
    if not isinstance(estimator, kind):
        raise TypeError(
            f"`{name}` is of type {type(estimator).__name__}, but a {kind.__name__} was expected. "
            f"Pass for instance {kind.__name__}(random_state=0), or None."
        )
    return clone(estimator)


def holds(estimator: Any) -> bool:
    """Return whether an estimator takes missing values, as its `missing` says."""
    return bool(getattr(estimator, "missing", None) == "hold")


def small_classifiers() -> list[dict[str, Any]]:
    """Return parameters of adapters of `ESNClassifier` that are fitted in milliseconds."""
    holding = ESNClassifier(n_units=5, pooling="mean", missing="hold", random_state=1)
    return [{"classifier": ESNClassifier(n_units=5, random_state=0)}, {"classifier": holding}]


def small_transformers() -> list[dict[str, Any]]:
    """Return parameters of adapters of `ReservoirTransformer`, likewise."""
    holding = ReservoirTransformer(n_units=3, leak_rate=0.5, missing="hold", random_state=1)
    small = ReservoirTransformer(n_units=4, random_state=0)
    return [{"transformer": small}, {"transformer": holding}]


def small_model_spaces() -> list[dict[str, Any]]:
    """Return parameters of adapters of `ReservoirModelSpace`, likewise."""
    small = ReservoirModelSpace(n_units=4, n_components=2, random_state=0)
    holding = ReservoirModelSpace(
        n_units=4, n_components=2, pooling="mean", missing="hold", random_state=1
    )
    return [{"transformer": small}, {"transformer": holding}]
