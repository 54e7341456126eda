"""Calls of the public names with bad and extreme arguments, and what came of each."""

from __future__ import annotations

import copy
import importlib
import inspect
import pkgutil
import re
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

import hessianfree
import reservoir

_T = np.arange(60)
X = np.sin(0.3 * _T)[:, None]
Y = np.cos(0.3 * _T)[:, None]


def _reservoir(feedback: bool = False) -> Any:
    rng = np.random.default_rng(0)
    return reservoir.dynamics.Reservoir(
        recurrent=rng.normal(scale=0.2, size=(5, 5)),
        input=rng.normal(size=(5, 1)),
        bias=rng.normal(size=5),
        feedback=rng.normal(size=(5, 1)) if feedback else None,
    )


def _network() -> Any:
    return hessianfree.SequenceNetwork(hessianfree.ElmanCell(1, 3), n_outputs=1)


def _batch() -> Any:
    return hessianfree.Batch(X.reshape(10, 6, 1), Y.reshape(10, 6, 1))


def _esn() -> Any:
    return reservoir.ESNRegressor(5, random_state=0)


# A good value for a parameter of that name, of a function or of `Class.name`.
GOOD: dict[str, Callable[[], Any]] = {
    "X": lambda: X,
    "y": lambda: Y,
    "u": lambda: np.array([0.1]),
    "inputs": lambda: X,
    "targets": lambda: Y,
    "features": lambda: X,
    "y_true": lambda: Y,
    "y_pred": lambda: Y + 0.1,
    "series": lambda: X,
    "seed": lambda: 0,
    "rng": lambda: np.random.default_rng(0),
    "n_units": lambda: 5,
    "n_inputs": lambda: 1,
    "n_outputs": lambda: 1,
    "n_features": lambda: 1,
    "n_targets": lambda: 1,
    "n_steps": lambda: 12,
    "n_sequences": lambda: 2,
    "n_iterations": lambda: 2,
    "max_iter": lambda: 2,
    "horizon": lambda: 3,
    "delays": lambda: [0, 1],
    "n_delays": lambda: 2,
    "stride": lambda: 1,
    "orders": lambda: (2,),
    "n_entries": lambda: 2,
    "alpha": lambda: 0.1,
    "alphas": lambda: [0.1, 1.0],
    "learning_rate": lambda: 0.1,
    "reservoir": _reservoir,
    "learn_closed_loop.reservoir": lambda: _reservoir(feedback=True),
    "learner": lambda: reservoir.online.RecursiveLeastSquares(6, 1),
    "readout": lambda: reservoir.readout.Readout(np.zeros((1, 1)), np.ones((1, 5)), np.zeros(1)),
    "reservoirs": lambda: [_reservoir(), _reservoir()],
    "layers": lambda: [_reservoir()],
    "members": lambda: [_reservoir(), _reservoir()],
    "matrix": lambda: np.eye(4),
    "pattern": lambda: X,
    "patterns": lambda: [X, Y],
    "correlation": lambda: np.eye(5),
    "conceptor": lambda: np.eye(5) / 2,
    "first": lambda: np.eye(5) / 2,
    "second": lambda: np.eye(5) / 3,
    "factor": lambda: 2.0,
    "cell": lambda: hessianfree.ElmanCell(1, 3),
    "cells": lambda: [hessianfree.ElmanCell(1, 3), hessianfree.ElmanCell(3, 2)],
    "forward": lambda: hessianfree.ElmanCell(1, 3),
    "backward": lambda: hessianfree.ElmanCell(1, 2),
    "losses": lambda: (hessianfree.network.SquaredError(),),
    "sizes": lambda: (2,),
    "network": _network,
    "objective": _network,
    "params": lambda: np.zeros(_network().n_params),
    "initial": lambda: np.zeros(_network().n_params),
    "optimizer": lambda: hessianfree.Adam(0.01),
    "batch": _batch,
    "training": _batch,
    "validation": _batch,
    "test": _batch,
    "final": _batch,
    "data": lambda: hessianfree.Minibatches(_batch(), 3),
    "task": lambda: hessianfree.tasks.make_task("adding", 10),
    "name": lambda: "adding",
    "estimator": _esn,
    "param_space": lambda: {"leak_rate": [0.3, 1.0]},
    "text": lambda: "abcabc abc",
    "texts": lambda: ["abc", "cab"],
    "Vocabulary.characters": lambda: "abc ",
    "path": lambda: "no such folder/model.npz",
    "folder": lambda: "no such folder",
    "shapes": lambda: {"a": (2, 3)},
    "Batch.inputs": lambda: X.reshape(10, 6, 1),
    "Batch.targets": lambda: Y.reshape(10, 6, 1),
    "SequenceNetwork.inputs": lambda: X.reshape(10, 6, 1),
    "n_sites": lambda: 6,
    "size": lambda: 2,
    "overlap": lambda: 1,
    "boundaries": lambda: [2, 4],
    "values": lambda: [0.1, 0.2, 0.3],
    "half_life": lambda: 3.0,
    "weight": lambda: np.ones(3),
    "vector": lambda: np.ones(3),
    "max_norm": lambda: 1.0,
    "limit": lambda: 1.0,
    "rhs": lambda: np.ones(3),
    "product": lambda: lambda v: 2 * v,
    "function": lambda: lambda params, x: x @ params,
    "JaxObjective.params": lambda: np.zeros((1, 1), dtype=np.float32),
    "value": lambda: 1.0,
    "fun": lambda: lambda x: float(x @ x),
    "x0": lambda: np.ones(3),
    "n_solved": lambda: 3,
    "n_runs": lambda: 5,
    "iteration": lambda: 1,
    "labels": lambda: np.arange(12) % 2,
    "n_folds": lambda: 2,
    "decisions": lambda: np.eye(2)[np.arange(12) % 2],
    "rows": lambda: X,
    "damping": lambda: 0.1,
    "n_threads": lambda: 1,
    "lengths": lambda: (30, 30),
    "n_sequences_": lambda: 2,
    "gradient_size": lambda: 3,
    "chunks": lambda: [(X[:30], Y[:30]), (X[30:], Y[30:])],
    "predict_stream.chunks": lambda: [X[:30], X[30:]],
    "CharacterLanguageModel.X": lambda: "abcab " * 20,
    "LanguageModel.X": lambda: "a b c\nab a\n" * 10,
    "prefix": lambda: "ab",
    "words": lambda: ("a", "b"),
    "n_tokens": lambda: 3,
    "beam_width": lambda: 2,
    "ESNClassifier.X": lambda: [X[:20], X[10:40], X[20:50], X[30:]],
    "ESNClassifier.y": lambda: [0, 1, 0, 1],
    "RNNClassifier.X": lambda: [X[:20], X[10:40], X[20:50], X[30:]],
    "RNNClassifier.y": lambda: [0, 1, 0, 1],
    "ConceptorMemory.X": lambda: [X, Y],
    "ReservoirForecaster.y": lambda: X[:, 0],
    "ReservoirForecaster.X": lambda: None,
    "ReservoirForecaster.y_new": lambda: X[:3, 0],
    "LocalESNRegressor.X": lambda: np.sin(_T[:, None] + np.arange(6.0)),
    "LocalESNRegressor.y": lambda: np.sin(1 + _T[:, None] + np.arange(6.0)),
    "origins": lambda: [30],
    "n": lambda: 4,
}

# Small settings of estimators, so that each fit takes milliseconds.
SMALL: dict[str, dict[str, Any]] = {
    "NVARRegressor": {},
    "DelayEmbedding": {},
    "LocalESNRegressor": {"n_units": 5, "patch_size": 2, "overlap": 1, "random_state": 0},
    "ReservoirForecaster": {"n_units": 5, "seasons": [], "horizon": 2, "random_state": 0},
    "RNNClassifier": {"n_units": 2, "max_iter": 1, "random_state": 0},
    "RNNRegressor": {"n_units": 2, "max_iter": 1, "random_state": 0},
    "ConceptorMemory": {"n_units": 5, "washout": 5, "random_state": 0},
    "CharacterLanguageModel": {
        "n_units": 2,
        "max_iter": 1,
        "sequence_length": 6,
        "n_scored": 3,
        "random_state": 0,
    },
    "LanguageModel": {
        "n_units": 2,
        "max_iter": 1,
        "tokens": "words",
        "sequence_length": 6,
        "n_scored": 3,
        "random_state": 0,
    },
    "ReservoirSearchCV": {"n_iter": 1, "cv": 2, "random_state": 0},
    "HybridForecaster": {
        "model": np.copy,
        "regressor": reservoir.ESNRegressor(5, random_state=0),
    },
    "ReservoirDetector": {
        "regressor": reservoir.ESNRegressor(5, washout=2),
        "n_folds": 2,
        "random_state": 0,
    },
    "ScaledForecaster": {"regressor": reservoir.ESNRegressor(5, random_state=0)},
    "SequenceScaler": {},
}

# Too large for any array, and for a float; small enough that nothing takes memory or minutes.
HUGE = 10**400

# By the name of the parameter: as these say how much work there is, they get nothing between.
BAD: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: True,
    lambda: -1,
    lambda: 0,
    lambda: 1.5,
    lambda: float("nan"),
    lambda: float("inf"),
    lambda: -float("inf"),
    lambda: HUGE,
    lambda: -HUGE,
    lambda: 2**63,
    lambda: 1e308,
    lambda: "auto",
    lambda: "",
    lambda: "no",
    lambda: b"x",
    lambda: 1j,
    list,
    dict,
    set,
    object,
    lambda: int,
    lambda: lambda *args: None,
    lambda: np.array(1.0),
    lambda: np.array("text"),
    lambda: np.empty(0),
    lambda: np.empty((0, 3)),
    lambda: np.empty((5, 0)),
    lambda: np.empty((2, 5, 0)),
    lambda: np.full((60, 1), np.nan),
    lambda: np.full((60, 1), np.inf),
    lambda: np.full((60, 1), 1e300),
    lambda: np.ones((60, 1), dtype=complex),
    lambda: np.full((60, 1), "a"),
    lambda: np.full((60, 1), None),
    lambda: np.ones((7, 1)),
    lambda: np.ones((60, 2)),
    lambda: np.ones((2, 3, 4, 5)),
    lambda: np.arange(60) - 30,
    lambda: np.array(["2020-01-01"], dtype="M8[D]"),
    lambda: sparse.eye_array(5).tocsr(),
    lambda: [sparse.eye_array(5).tocsr()],
    lambda: [[1.0], [1.0, 2.0]],
    lambda: [X, None],
    lambda: [None],
    lambda: ["a", 1],
    lambda: [HUGE],
    lambda: (-1, 2),
    lambda: {"a": 1},
    lambda: iter([1, 2]),
)

# An ImportError names the package that is missing, and the extra that brings it.
ALLOWED = (
    ValueError,
    TypeError,
    FloatingPointError,
    ImportError,
    reservoir.dynamics.DivergenceError,
)

# Far more than any of the small calls takes, with the compilation of what it needs.
MOST_SECONDS = 60

# Errors, enumerations, and tuples and dicts of what a call returns: nobody else makes them.
RECORDS = (BaseException, Enum, tuple, dict)


class Target(NamedTuple):
    """A public callable: a function, a class, or a method of an estimator."""

    room: str
    name: str
    call: Callable[..., Any]
    owner: type | None


class Outcome(NamedTuple):
    """What came of a call: "clean", "error", "raw" or "silent"."""

    verdict: str
    what: str


def rooms() -> Iterator[Any]:
    """Yield both packages and their public modules with an `__all__`."""
    for package in (reservoir, hessianfree):
        yield package
        for found in pkgutil.iter_modules(package.__path__):
            if not found.name.startswith("_"):
                module = importlib.import_module(f"{package.__name__}.{found.name}")
                if hasattr(module, "__all__"):
                    yield module


@cache
def targets() -> tuple[Target, ...]:
    """Return each public callable once, and the methods of estimators, whoever defines them."""
    found: dict[Any, Target] = {}
    for room in rooms():
        for name in room.__all__:
            value = getattr(room, name)
            if not callable(value) or getattr(value, "_is_protocol", False):
                continue
            if inspect.isclass(value) and issubclass(value, RECORDS):
                continue
            found.setdefault(value, Target(room.__name__, name, value, None))
            if inspect.isclass(value) and issubclass(value, BaseEstimator):
                for method in _methods_of(value):
                    key = value, method
                    found.setdefault(
                        key,
                        Target(room.__name__, f"{name}.{method}", getattr(value, method), value),
                    )
    return tuple(found.values())


def _methods_of(kind: type) -> Iterator[str]:
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        home = inspect.unwrap(method).__module__
        if not name.startswith("_") and home.startswith(("reservoir.", "hessianfree.")):
            yield name


def _good(owner: str, method: str, name: str) -> Callable[[], Any] | None:
    for key in (f"{owner}.{name}", f"{method}.{name}", name):
        if key in GOOD:
            return GOOD[key]
    return None


@cache
def _fitted(kind: type) -> Any:
    """Return a fitted estimator, or an unfitted one if nothing good is known for it."""
    name = kind.__name__
    settings = SMALL.get(name, {"n_units": 5, "random_state": 0})
    if name == "ReservoirSearchCV":
        settings = settings | {"estimator": _esn(), "param_space": GOOD["param_space"]()}
    if name == "IntrinsicPlasticity":
        return kind()
    estimator = kind(**settings)
    given = [
        GOOD.get(f"{name}.{p.name}", GOOD[p.name])()
        for p in list(inspect.signature(kind.fit).parameters.values())[1:]
        if p.name in ("X", "y")
    ]
    if hasattr(kind, "transform"):
        given = [X]
    if name in ("ConceptorMemory", "CharacterLanguageModel", "LanguageModel"):
        given = given[:1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(*given)
    return estimator


def _arguments(target: Target, choose: Callable[[Any], Any]) -> dict[str, Any]:
    """Return arguments of which one or two are bad."""
    owner, method = target.name, target.name
    parameters = list(inspect.signature(target.call).parameters.values())
    if target.owner is not None:
        owner, method = target.name.split(".")
        parameters = parameters[1:]
    parameters = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if not parameters:
        return {}
    bad = {choose(parameters).name for _ in range(choose((1, 1, 1, 2)))}
    small = SMALL.get(owner, {}) if target.owner is None else {}
    arguments = {}
    for parameter in parameters:
        good = _good(owner, method, parameter.name)
        if parameter.name in bad or (parameter.default is parameter.empty and good is None):
            arguments[parameter.name] = choose(BAD)()
        elif parameter.name in small:
            arguments[parameter.name] = small[parameter.name]
        elif parameter.default is parameter.empty or parameter.name in ("X", "y"):
            assert good is not None
            arguments[parameter.name] = good()
        elif parameter.name in ("n_units", "max_iter"):
            arguments[parameter.name] = 3
    return arguments


def attempt(target: Target, choose: Callable[[Any], Any]) -> Outcome:
    """Call a target with bad arguments; of an estimator's class, fit what it makes."""
    arguments = _arguments(target, choose)
    call = target.call
    if target.owner is not None:
        estimator = copy.deepcopy(_fitted(target.owner))
        call = getattr(estimator, target.name.split(".")[1], None)
        if call is None:  # `available_if` says that it is not there
            return Outcome("clean", "")
    shown = f"{target.room}: {target.name}({_shown(arguments)})"
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), _time_limit():
            warnings.simplefilter("ignore")
            result = call(**arguments)
            if inspect.isgenerator(result):
                result = [item for _, item in zip(range(5), result)]
            if inspect.isclass(call) and issubclass(call, BaseEstimator):
                result = _fit_and_predict(result)
    except ALLOWED as error:
        text = str(error)
        names = set(arguments) | (
            set(inspect.signature(target.owner).parameters) if target.owner else set()
        )
        if any(re.search(rf"(?<!\w){name}(?!\w)", text) for name in names) or "`" in text:
            return Outcome("error", "")
        return Outcome("raw", f"{shown} -> {type(error).__name__}: {text[:200]}")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        return Outcome("error", str(error))
    except Exception as error:
        return Outcome("raw", f"{shown} -> {type(error).__name__}: {str(error)[:200]}")
    finally:
        plt.close("all")
    if _is_silent(result):
        return Outcome("silent", f"{shown} -> {str(result)[:100]}")
    return Outcome("clean", shown)


@contextmanager
def _time_limit() -> Iterator[None]:
    """Raise TimeoutError in a call that does not come back, where the system can tell."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_: Any) -> None:
        raise TimeoutError(f"not back after {MOST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _shown(arguments: dict[str, Any]) -> str:
    def one(value: Any) -> str:
        if isinstance(value, np.ndarray) and value.size > 4:
            return f"<{value.dtype} {value.shape} {value.flat[0]}>"
        return repr(value)[:60].replace("\n", " ")

    return ", ".join(f"{name}={one(value)}" for name, value in arguments.items())


def _fit_and_predict(estimator: Any) -> Any:
    name = type(estimator).__name__
    if name == "IntrinsicPlasticity":
        return estimator.adapt(_reservoir(), [X])
    twin = _fitted(type(estimator))
    if name == "ReservoirSearchCV":
        return estimator.fit(X, Y)
    x, y = (GOOD.get(f"{name}.{key}", GOOD[key])() for key in "Xy")
    if name in ("ConceptorMemory", "CharacterLanguageModel", "LanguageModel"):
        estimator.fit(x)
    elif name == "ReservoirForecaster":
        estimator.fit(y)
        return estimator.forecast(2).mean
    else:
        estimator.fit(x, y)
    assert twin is not None
    for method in ("predict", "transform"):
        if hasattr(estimator, method):
            return getattr(estimator, method)(x)
    return None


def _is_silent(result: Any) -> bool:
    """Say whether NaN comes back where nothing was said."""
    if isinstance(result, list | tuple):
        return any(_is_silent(item) for item in result)
    if isinstance(result, float | np.ndarray) and np.asarray(result).dtype.kind == "f":
        return bool(np.isnan(result).any())
    return False
