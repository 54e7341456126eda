"""A small echo state network."""

from reservoir import ESNRegressor


def small(**parameters):
    settings = {"n_units": 30, "connectivity": 5, "random_state": 1, **parameters}
    return ESNRegressor(**settings)
