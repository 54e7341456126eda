import numpy as np
import pytest
import stand_in as stand_ins


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


@pytest.fixture
def stand_in(monkeypatch):
    """What `import cupy` gives in this test: strict arrays that need no GPU; see stand_in.py."""
    return stand_ins.install(monkeypatch)
