"""Errors of public functions name the argument at fault, and nothing else is touched."""

import inspect

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from reservoir import ESNRegressor, NVARRegressor, ScaledForecaster
from reservoir.architectures import stack_reservoirs
from reservoir.conceptors import conceptor
from reservoir.datasets import load_nile
from reservoir.dynamics import run
from reservoir.sequences import SequenceScaler, recut
from reservoir.utils.explained import explained
from reservoir.weights import input_weights

X = np.sin(0.3 * np.arange(60))[:, None]


@explained
def divided(a: float, b: float = 1.0) -> float:
    return a / b


def test_what_no_argument_explains_is_left():
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        divided(1.0, 0.0)
    assert divided(3.0, b=2.0) == 1.5


def test_the_argument_at_fault_is_named_not_the_first():
    with pytest.raises(TypeError, match="`b` is None of type NoneType, but a number was expected"):
        divided(1.0, None)


def test_an_estimator_that_is_not_fitted_is_said_first():
    with pytest.raises(NotFittedError):
        ESNRegressor(5).predict("text")


def test_a_generator_stays_lazy():
    parts = recut(iter([]), 4)
    assert inspect.isgenerator(parts)
    assert list(parts) == []


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: run("auto", X), "reservoir"),
        (lambda: stack_reservoirs([None]), "layers"),
        (lambda: conceptor("text"), "correlation"),
        (lambda: ESNRegressor(5).fit(X, X).predict(10**400), "X"),
        (lambda: ESNRegressor(5).fit(X, X).score(X, X[:-1]), "y"),
        (lambda: ESNRegressor(5, alpha="auto").fit(X, X), "alpha"),
        (lambda: ESNRegressor(5, include_squares="no").fit(X, X), "include_squares"),
        (lambda: ESNRegressor(10**400).fit(X, X), "n_units"),
        (lambda: ESNRegressor(5, spectral_radius=10**400).fit(X, X), "spectral_radius"),
        (lambda: ESNRegressor(5).fit(X, X).step("text"), "u"),
        (lambda: ESNRegressor(5).fit(X, X).predict_stream(3), "chunks"),
        (lambda: ESNRegressor(5).fit(X, X).save(1), "path"),
        (lambda: NVARRegressor(order=40).fit(np.hstack([X, X, X]), X), "order"),
        (lambda: list(recut([3], 4)), "parts"),
        (lambda: list(recut(3, 4)), "parts"),
        (lambda: ESNRegressor(5).fit(X, X).predict(X[:, 0]), "X"),
        (lambda: ESNRegressor(5).fit(X, X).predict(3.0), "X"),
        (lambda: list(ESNRegressor(5).fit(X, X).predict_stream(X)), "chunks"),
        (lambda: ESNRegressor(5).fit(X, X).score(X, X, sample_weight=X), "sample_weight"),
        (lambda: input_weights(5, 1, dtype="auto"), "dtype"),
        (lambda: SequenceScaler().fit(X).transform(X[:, 0]), "X"),
        (lambda: SequenceScaler().fit(X).get_feature_names_out("x0"), "input_features"),
        (lambda: ScaledForecaster(ESNRegressor(5)).fit(X, X).step([np.inf]), "u"),
        (lambda: ScaledForecaster(ESNRegressor(5)).fit(X, X).step(0.0, "text"), "y"),
        (lambda: NVARRegressor().fit(X, X).predict(1e300 * np.ones((60, 1))), "X"),
        (lambda: load_nile(as_series=X), "as_series"),
        (lambda: ESNRegressor(5).fit(np.empty((2, 9, 0)), np.empty((2, 9, 1))), "X"),
    ],
)
def test_errors_name_the_argument(call, name):
    with pytest.raises((ValueError, TypeError), match=f"`{name}`|{name} "):
        call()
