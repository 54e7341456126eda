"""Reservoirs drawn for tests, and their equation written out one step at a time."""

import importlib.util

import numpy as np
import pytest
from scipy.sparse import csr_array

from reservoir.dynamics import Reservoir, iterate_sequences

HAS_NUMBA = importlib.util.find_spec("numba") is not None


needs_numba = pytest.mark.skipif(not HAS_NUMBA, reason="numba is not installed")


ENGINES = ["numpy", pytest.param("numba", marks=needs_numba)]


DTYPES = [np.float64, np.float32]


# States are of order 1 and the reservoirs below contract (spectral norm times leak under 1), so
# that an error of rounding is carried on for a few steps only.
TOLERANCE = {np.dtype(np.float64): 1e-13, np.dtype(np.float32): 3e-5}


FUNCTIONS = {
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "identity": lambda z: z,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
}


def draw_matrix(rng, n_units, layout="fixed", dtype=np.float64, norm=0.8):
    """Return W of the given spectral norm; "fixed" and "ragged" are CSR, "dense" an array."""
    weights = rng.uniform(-1, 1, (n_units, n_units))
    if layout != "dense":
        ranks = rng.random((n_units, n_units)).argsort(axis=1).argsort(axis=1)
        # One row is empty, one full; all others hold between 1 and 6.
        counts = np.full(n_units, 7) if layout == "fixed" else rng.integers(1, 7, n_units)
        if layout == "ragged":
            counts[:2] = 0, n_units
        weights[ranks >= counts[:, np.newaxis]] = 0
    weights *= norm / np.linalg.norm(weights, 2)
    weights = weights.astype(dtype)
    return weights if layout == "dense" else csr_array(weights)


def draw_reservoir(
    rng, n_units=70, n_inputs=2, n_outputs=0, layout="fixed", dtype=np.float64, **kw
):
    return Reservoir(
        draw_matrix(rng, n_units, layout, dtype),
        rng.uniform(-1, 1, (n_units, n_inputs)).astype(dtype),
        rng.uniform(-0.3, 0.3, n_units).astype(dtype),
        feedback=rng.uniform(-0.2, 0.2, (n_units, n_outputs)).astype(dtype) if n_outputs else None,
        **kw,
    )


def to_dense(matrix):
    return np.asarray(matrix if isinstance(matrix, np.ndarray) else matrix.toarray(), float)


def plain_run(res, inputs, x=None, teacher=None, y=None):
    """Step the equation of the docstring, in float64, as it stands."""
    w, a = to_dense(res.recurrent), np.asarray(res.leak_rate, float)
    f = FUNCTIONS.get(res.activation, res.activation)
    x = np.zeros(res.n_units) if x is None else x
    y = np.zeros(res.n_outputs) if y is None else y
    states = []
    for t in range(len(inputs)):
        z = w @ x + res.input.astype(float) @ np.asarray(inputs[t], float) + res.bias
        if res.feedback is not None:
            z = z + res.feedback @ y
            y = teacher[t]
        x = (1 - a) * x + a * f(z)
        states.append(x)
    return np.array(states).reshape(-1, res.n_units)


def collect(res, sequences, **kw):
    """Return the states of each sequence, put together from blocks that must come in order."""
    parts = [[np.empty((0, res.n_units), res.dtype)] for _ in sequences]
    for index, start, states in iterate_sequences(res, sequences, **kw):
        assert start == sum(map(len, parts[index]))
        parts[index].append(states.copy())
    return [np.concatenate(part) for part in parts]
