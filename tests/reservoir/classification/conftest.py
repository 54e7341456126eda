"""Fixtures of this room."""

import pytest

from tests.support.waves import noisy_waves


@pytest.fixture
def waves(rng):
    return noisy_waves(rng, 60)
