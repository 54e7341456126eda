"""Fixtures of this room."""

import numpy as np
import pytest

from tests.support.diagnosed import small


@pytest.fixture
def generator(rng):
    """A network with feedback weights that was taught to generate a sine."""
    u = rng.uniform(0.1, 0.3, size=(400, 1))
    y = np.sin(np.cumsum(u, axis=0))
    return small(feedback_scaling=0.5, alpha=1e-4, washout=50, feedback_noise=1e-2).fit(u, y)
