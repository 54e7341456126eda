"""Fixtures of all rooms: seeded randomness, the stand-in for CuPy, and the namespace of a GPU."""

import warnings

import numpy as np
import pytest

from reservoir.utils.device import namespace, resolve_device
from tests.support import fake_cupy


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


@pytest.fixture
def stand_in(monkeypatch):
    """What `import cupy` gives here: strict arrays that need no GPU; in support/fake_cupy.py."""
    return fake_cupy.install(monkeypatch)


@pytest.fixture(params=["stand-in", pytest.param("cupy", marks=pytest.mark.gpu)])
def xp(request, monkeypatch):
    """The namespace of a GPU: the stand-in, whose kernels g++ compiled, and CuPy where it can run.

    Tests that take it compare a GPU with the host. On a machine without a GPU they are run with
    the stand-in alone: then they say that the code is right, and nothing of CuPy or of a card.
    """
    if request.param == "stand-in":
        return fake_cupy.install(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CuPy warns of what it does not find
        if resolve_device("auto") == "cpu":
            pytest.skip("CuPy is not installed, or finds no CUDA device.")
    return namespace("cuda")
