"""Fixtures of this room."""

import numpy as np
import pytest


@pytest.fixture
def memory_task(rng):
    """What the input was two and three steps ago, one noisy series of 300 steps."""
    u = rng.uniform(-1, 1, size=(300, 1))
    y = np.hstack([np.roll(u, 2), np.roll(u, 3)]) + 0.01 * rng.normal(size=(300, 2))
    return u, y
