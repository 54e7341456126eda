"""Fixtures of this room."""

import numpy as np
import pytest


@pytest.fixture
def series(rng):
    X = rng.normal(size=(300, 2))
    y = np.stack([np.roll(X[:, 0], 1), X[:, 1] ** 2], axis=1)
    return X, y + 0.01 * rng.normal(size=y.shape)
