"""Topologies: what is connected with what, and the radius that follows."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

from reservoir.weights import (
    recurrent_weights,
    spectral_radius,
)


class TestTopologies:
    def test_small_world_is_a_ring_a_tenth_of_it_rewired(self):
        n_units, connectivity = 2000, 10
        weights = recurrent_weights(
            n_units,
            spectral_radius=None,
            topology="small_world",
            connectivity=connectivity,
            random_state=0,
        )
        units = np.repeat(np.arange(n_units), connectivity)
        ahead = (weights.indices - units) % n_units
        distance = np.minimum(ahead, n_units - ahead)
        assert np.all(distance > 0)
        far = distance > connectivity // 2
        deviation = np.sqrt(0.1 * 0.9 / far.size)
        assert abs(far.mean() - 0.1) < 4 * deviation
        # What is not rewired is a neighbour; what is, lies anywhere else.
        reach = n_units // 2 - connectivity // 2
        where = (distance[far] - connectivity // 2 - 0.5) / reach
        assert stats.kstest(where, "uniform").pvalue > 1e-3

    def test_small_world_of_an_odd_number_of_neighbours(self):
        weights = recurrent_weights(
            12, spectral_radius=None, topology="small_world", connectivity=11, random_state=0
        )
        np.testing.assert_array_equal(weights.toarray() != 0, ~np.eye(12, dtype=bool))

    def test_cycle(self):
        weights = recurrent_weights(6, topology="cycle", spectral_radius=0.5)
        state = np.arange(6.0)
        np.testing.assert_array_equal(weights @ state, 0.5 * np.roll(state, 1))
        assert spectral_radius(weights) == pytest.approx(0.5, rel=1e-15)

    def test_delay_line(self):
        weights = recurrent_weights(5, topology="delay_line", spectral_radius=0.5)
        np.testing.assert_array_equal(weights @ np.arange(1.0, 6.0), [0.0, 0.5, 1.0, 1.5, 2.0])
        assert spectral_radius(weights) == 0.0
        assert recurrent_weights(1, topology="delay_line").nnz == 0

    def test_permutation(self):
        weights = recurrent_weights(50, topology="permutation", spectral_radius=0.8, random_state=0)
        order = (weights @ np.arange(50.0)) / 0.8
        np.testing.assert_allclose(np.sort(order), np.arange(50.0), rtol=1e-14)
        assert not np.array_equal(order, np.arange(50.0))
        np.testing.assert_allclose(weights.T @ np.ones(50), 0.8)

    @pytest.mark.parametrize("topology", ["cycle", "delay_line", "permutation"])
    @pytest.mark.parametrize("n_units", [1, 2, 9])
    def test_single_connections_are_sparse_and_of_weight_one_unscaled(self, topology, n_units):
        weights = recurrent_weights(n_units, topology=topology, spectral_radius=None)
        assert isinstance(weights, sp.csr_array)
        assert weights.indices.dtype == weights.indptr.dtype == np.int32
        assert set(weights.data) <= {1.0}

    def test_orthogonal(self):
        weights = recurrent_weights(60, topology="orthogonal", spectral_radius=0.9, random_state=0)
        np.testing.assert_allclose(weights.T @ weights, 0.81 * np.eye(60), atol=1e-14)

    def test_orthogonal_matrices_are_uniform(self):
        # Of the Haar measure: traces have mean 0 and variance 1, both determinants come.
        drawn = [
            recurrent_weights(6, topology="orthogonal", spectral_radius=1.0, random_state=seed)
            for seed in range(400)
        ]
        traces = np.trace(drawn, axis1=1, axis2=2)
        assert abs(traces.mean()) < 4.0 / np.sqrt(400)
        assert np.var(traces) == pytest.approx(1.0, abs=4.0 * np.sqrt(2.0 / 400))
        assert 120 < np.sum(np.linalg.det(drawn) > 0) < 280
