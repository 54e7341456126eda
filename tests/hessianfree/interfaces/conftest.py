"""JAX set to float64, as it takes it for the process."""

import pytest


@pytest.fixture
def jax():
    jax = pytest.importorskip("jax", reason="needs JAX")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)
