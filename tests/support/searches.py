"""What tests of the search share."""

import numpy as np

from reservoir import ESNRegressor


def small(**parameters):
    return ESNRegressor(**{"n_units": 25, "connectivity": 5, "random_state": 1, **parameters})


def table(search):
    """Scores of all candidates and folds."""
    results = search.cv_results_
    return np.array([results[f"split{i}_test_score"] for i in range(search.n_splits_)]).T
