"""Small reservoirs whose diagnostics are known."""

import numpy as np

from reservoir import ESNRegressor
from reservoir.dynamics import Reservoir


def linear(recurrent, n_inputs=1, **parameters):
    n_units = len(recurrent)
    return Reservoir(
        recurrent=np.asarray(recurrent, dtype=float),
        input=np.eye(n_units, n_inputs),
        bias=np.zeros(n_units),
        activation="identity",
        **parameters,
    )


def small(**parameters):
    settings = {"n_units": 30, "connectivity": 5, "random_state": 1, **parameters}
    return ESNRegressor(**settings)
