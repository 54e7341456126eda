"""The rank of states."""

import numpy as np

from reservoir.diagnostics import (
    generalization_rank,
    kernel_rank,
)
from reservoir.dynamics import Reservoir, run
from tests.support.diagnosed import linear, small

# Ranks


def test_ranks_of_a_delay_line():
    line = linear(np.eye(8, k=-1))
    assert kernel_rank(line, tolerance=0, random_state=0) == 8
    assert kernel_rank(line, tolerance=0, n_streams=5, random_state=0) == 5
    for n_common in (1, 3, 7):
        rank = generalization_rank(line, n_common=n_common, tolerance=0, random_state=0)
        assert rank == 8 - n_common + 1
    assert generalization_rank(line, n_common=8, tolerance=0, random_state=0) == 1


def test_rank_counts_singular_values_above_the_tolerance():
    esn = small().fit(np.ones((2, 1)), np.ones(2))
    u = np.random.default_rng(np.random.SeedSequence(5)).uniform(-1, 1, (40, 50, 1))
    final = np.array([run(esn.reservoir_, stream)[-1] for stream in u])
    values = np.linalg.svd(final, compute_uv=False)
    for tolerance in (0.5, 0.1, 0.01):
        rank = kernel_rank(esn, n_streams=40, n_steps=50, tolerance=tolerance, random_state=5)
        assert rank == np.count_nonzero(values > tolerance * values[0])


def test_float32_states_have_the_rank_of_float64_states():
    """Rounding of float32 is no dimension."""
    n_units = 6
    one = Reservoir(
        recurrent=np.zeros((n_units, n_units), dtype=np.float32),
        input=np.linspace(0.1, 1, n_units, dtype=np.float32)[:, None],
        bias=np.zeros(n_units, dtype=np.float32),
        activation="identity",
    )
    assert kernel_rank(one, tolerance=0, random_state=0) == 1
