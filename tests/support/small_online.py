"""A small online network."""

from reservoir import OnlineESNRegressor


def small(**parameters):
    settings = {"n_units": 20, "connectivity": 5, "alpha": 1e-2, "random_state": 1, **parameters}
    return OnlineESNRegressor(**settings)
