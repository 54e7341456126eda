"""Echo state index and consistency against exact values of linear reservoirs."""

import dataclasses

import numpy as np
import pytest

from reservoir import ReservoirTransformer
from reservoir.diagnostics import (
    consistency,
    driven_lyapunov_exponents,
    echo_state_index,
)
from reservoir.dynamics import run
from tests.support.diagnosed import linear, small

# Echo state index


def test_distances_shrink_by_the_weight_of_an_orthogonal_reservoir(rng):
    orthogonal = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    result = echo_state_index(
        linear(0.8 * orthogonal), rng.normal(size=(3000, 1)), washout=3, random_state=0
    )
    first = result.distances[0]
    steps = np.arange(60)
    np.testing.assert_allclose(
        result.distances[:60], first * 0.8 ** steps[:, None], rtol=1e-6, atol=1e-12
    )
    # The starts are uniform on [-1, 1]: their mean square is 1/3.
    assert first.mean() == pytest.approx(0.8 / np.sqrt(3), rel=0.15)
    assert result.index == result.distances[3:].mean()


def test_echo_state_index_tells_the_two_sides_of_the_edge(rng):
    u = 0.1 * rng.uniform(-1, 1, size=(600, 1))
    models = {
        radius: ReservoirTransformer(100, spectral_radius=radius, random_state=0).fit(u)
        for radius in (0.7, 2.5)
    }
    calm = echo_state_index(models[0.7], u, washout=300, random_state=0)
    wild = echo_state_index(models[2.5], u, washout=300, random_state=0)
    assert calm.index < 1e-12
    assert wild.index > 0.1
    assert driven_lyapunov_exponents(models[0.7], u, random_state=0).largest < -0.1
    assert driven_lyapunov_exponents(models[2.5], u, random_state=0).largest > 0.1


# Consistency


def test_consistency_of_a_noisy_linear_unit_is_exact(rng):
    """x = r x + u + ν: input and noise have equal filters, so γ² = var u / (var u + var ν)."""
    unit = linear([[0.6]])
    u = rng.normal(size=(60_000, 1))
    result = consistency(unit, u, state_noise=0.5, random_state=0)
    # About n (1 - r²) / (1 + r²) independent samples: a deviation of 0.002.
    assert result.mean == pytest.approx(1 / 1.25, abs=0.01)


def test_consistency_equals_the_correlation_of_two_runs(rng):
    """Streamed in blocks, about a shifted origin: the same as numpy's on all rows."""
    esn = small(spectral_radius=2.5, bias_scaling=3).fit(np.ones((2, 1)), np.ones(2))
    u = 0.3 * rng.normal(size=(5000, 1))
    result = consistency(esn, u, washout=700, random_state=2)
    seed = np.random.SeedSequence(2).spawn(3)[0]
    starts = np.random.default_rng(seed).uniform(-1, 1, (2, 30))
    one, other = (run(esn.reservoir_, u, initial_state=start)[700:] for start in starts)
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(one.T, other.T, strict=True)]
    np.testing.assert_allclose(result.units, expected, atol=1e-6)
    assert result.mean < 0.99


def test_echo_states_are_consistent_and_a_still_unit_is_not_counted(rng):
    still = dataclasses.replace(linear(np.zeros((2, 2))), bias=np.array([0.0, 0.3]))
    result = consistency(still, rng.normal(size=(300, 1)), random_state=0)
    assert result.units[0] == pytest.approx(1, abs=1e-12)
    assert np.isnan(result.units[1])
    assert result.mean == pytest.approx(1, abs=1e-12)
    deaf = dataclasses.replace(still, input=np.zeros((2, 1)))
    assert np.isnan(consistency(deaf, rng.normal(size=(300, 1)), random_state=0).mean)
