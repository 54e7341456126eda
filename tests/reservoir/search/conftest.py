"""Fixtures of this room."""

import numpy as np
import pytest


@pytest.fixture
def memory_task(rng):
    """What the input was two and three steps ago, one noisy series of 400 steps."""
    u = rng.uniform(-1, 1, size=(400, 1))
    y = np.hstack([np.roll(u, 2), np.roll(u, 3)]) + 0.01 * rng.normal(size=(400, 2))
    return u, y
