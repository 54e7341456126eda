"""Fixtures of this room."""

import pytest


@pytest.fixture
def problem(rng):
    """Correlated features away from zero, three noisy targets of different scales, weights."""
    s = rng.standard_normal((200, 12)) @ rng.standard_normal((12, 12)) + rng.uniform(-5, 5, 12)
    noise = rng.standard_normal((200, 3))
    y = s @ rng.standard_normal((12, 3)) * [1.0, 10.0, 0.1] + [3.0, -50.0, 0.2] + noise
    return s, y, rng.uniform(0.1, 3.0, 200)
