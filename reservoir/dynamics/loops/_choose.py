"""The choice between the loops of NumPy and those compiled by numba."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics.loops._numpy import NumpyLoop
from reservoir.utils.validation import check_choice


def choose_loop(reservoir: Reservoir, engine: str) -> Any:
    """Return the loop that steps `reservoir`: a NumbaLoop or a NumpyLoop."""
    check_choice("engine", engine, ("auto", "numpy", "numba"))
    is_tanh = reservoir.activation == "tanh"
    if engine == "numba" and not is_tanh:
        raise ValueError(
            f"`engine` is 'numba', but `activation` is {reservoir.activation!r} and only 'tanh' is "
            'compiled. Use engine="auto".'
        )
    is_dense_carry = np.ndim(reservoir.carry) == 2
    if engine == "numba" and is_dense_carry:
        raise ValueError(
            "`engine` is 'numba', but `carry` is a matrix, and only permutations are compiled. Use "
            'engine="auto".'
        )
    if engine == "numpy" or not is_tanh or is_dense_carry:
        return NumpyLoop(reservoir)
    try:
        # Here, not at the top: importing numba takes longer than many a run.
        kernels = importlib.import_module("reservoir.dynamics.loops._numba")
    except ImportError as error:
        if engine == "auto":
            return NumpyLoop(reservoir)
        raise ImportError(
            "`engine` is 'numba', but numba cannot be imported. Install the extra `fast`, or use "
            'engine="auto".'
        ) from error
    return kernels.NumbaLoop(reservoir)


def check_engine(engine: str) -> None:
    """Raise unless the GPU may be used: it has a loop of its own."""
    if engine != "auto":
        raise ValueError(
            f"`engine` is {engine!r}, but the arrays lie on a GPU, which has its own. Use "
            'engine="auto", or pass arrays of the host.'
        )
