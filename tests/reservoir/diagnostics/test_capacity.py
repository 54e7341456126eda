"""Memory and processing capacities against exact curves and plain least squares."""

import dataclasses

import numpy as np
import pytest

from reservoir import ReservoirTransformer
from reservoir.diagnostics import (
    information_processing_capacity,
    memory_capacity,
)
from reservoir.dynamics import run
from tests.support.diagnosed import linear, small


def cycle(n_units, weight):
    return linear(weight * np.roll(np.eye(n_units), 1, axis=0))


# Memory capacity


@pytest.mark.parametrize("weight", [0.9, 0.5])
def test_linear_cycle_has_its_exact_memory_curve(weight):
    n_units, n_steps = 20, 10_000
    result = memory_capacity(cycle(n_units, weight), n_steps=n_steps, random_state=3)
    k = result.delays
    # x_i[t] = Σ_j r^(i + jN) u[t - i - jN]: the share of delay k in the variance of its unit.
    exact = weight ** (2 * n_units * (k // n_units)) * (1 - weight ** (2 * n_units))
    # A squared correlation ρ² has a deviation of 2 ρ (1 - ρ²) / sqrt(n), and chance adds 20 more.
    deviation = 2 * np.sqrt(exact / n_steps) * (1 - exact) + np.sqrt(2 * n_units) / n_steps
    assert np.all(abs(result.curve[:, 0] - exact) < 4 * deviation)
    # Delays of N and more see the same lags of the input, and err together.
    total = n_units - (1 - weight ** (2 * n_units))
    assert abs(result.total - total) < 4 * n_units * deviation[-1] < 0.6
    assert result.rank == n_units


def test_memory_is_not_found_by_chance():
    """Units that hear nothing but a short past: 200 delays of nothing add nothing."""
    line = linear(np.eye(5, k=-1))
    totals = [
        memory_capacity(line, max_delay=200, n_steps=1000, random_state=seed).total
        for seed in range(4)
    ]
    # Uncorrected it would be 4 + 196 * 5 / 1000 = 5; a single run has a deviation of 0.1.
    assert abs(np.mean(totals) - 4) < 0.2


def test_memory_capacity_agrees_with_a_plain_least_squares_fit():
    esn = small(leak_rate=0.7, input_scaling=0.3).fit(np.ones((2, 1)), np.ones(2))
    n_steps, washout = 600, 60
    result = memory_capacity(
        esn, max_delay=8, n_steps=n_steps, washout=washout, input_range=(0, 0.5), random_state=4
    )
    u = np.random.default_rng(np.random.SeedSequence(4)).uniform(0, 0.5, (washout + n_steps, 1))
    states = run(esn.reservoir_, u)[washout:]
    design = np.hstack([states, np.ones((n_steps, 1))])
    for k, found in zip(result.delays, result.curve[:, 0], strict=True):
        target = u[washout - k : washout - k + n_steps, 0]
        fitted = design @ np.linalg.lstsq(design, target, rcond=None)[0]
        share = np.corrcoef(fitted, target)[0, 1] ** 2
        corrected = 1 - (1 - share) * (n_steps - 1) / (n_steps - 1 - 30)
        assert found == pytest.approx(corrected, abs=1e-9)


def test_two_channels_share_a_linear_memory():
    """Two delay lines side by side: each channel is held by its own."""
    recurrent = np.zeros((5, 5))
    recurrent[1, 0] = recurrent[2, 1] = recurrent[4, 3] = 1
    lines = dataclasses.replace(linear(recurrent), input=np.eye(5)[:, [0, 3]])
    result = memory_capacity(lines, max_delay=4, n_steps=2000, random_state=0)
    np.testing.assert_allclose(result.curve[:2, 0], 1, atol=1e-12)
    np.testing.assert_allclose(result.curve[:1, 1], 1, atol=1e-12)
    np.testing.assert_allclose(result.curve[2:], 0, atol=0.02)
    np.testing.assert_allclose(result.curve[1:, 1], 0, atol=0.02)


def test_dependent_units_add_no_capacity():
    line = linear(np.eye(4, k=-1))
    twins = dataclasses.replace(
        line,
        recurrent=np.kron(np.eye(2), line.recurrent),
        input=np.tile(line.input, (2, 1)),
        bias=np.zeros(8),
    )
    alone = memory_capacity(line, max_delay=6, n_steps=500, random_state=0)
    both = memory_capacity(twins, max_delay=6, n_steps=500, random_state=0)
    assert both.rank == alone.rank == 4
    np.testing.assert_allclose(both.curve, alone.curve, atol=1e-10)


def test_a_reservoir_that_hears_nothing_remembers_nothing():
    deaf = dataclasses.replace(linear(np.zeros((3, 3))), input=np.zeros((3, 1)))
    result = memory_capacity(deaf, max_delay=3, n_steps=100, random_state=0)
    assert result.total == 0
    assert result.rank == 0
    assert information_processing_capacity(deaf, n_steps=200, random_state=0).total == 0


# Information processing capacity


def test_linear_delay_line_processes_only_memory():
    result = information_processing_capacity(
        linear(np.eye(6, k=-1)), max_delays=(10, 5, 3), n_steps=4000, random_state=0
    )
    np.testing.assert_allclose(result.by_degree, [6, 0, 0], atol=1e-10)
    found = [f for f, c in zip(result.functions, result.capacities, strict=True) if c > 0]
    assert found == [((delay, 0, 1),) for delay in range(6)]


def test_product_unit_has_its_exact_capacities():
    """x1 = (u[t] + u[t-1])² is 2 (P2 + P2') / 3 + 2 u u' + const: variances 4/45, 4/45, 20/45."""
    reservoir = dataclasses.replace(
        linear([[0.0, 0.0], [1.0, 0.0]]),
        input=np.ones((2, 1)),
        activation=lambda z: np.concatenate([z[:1], np.square(z[1:])]),
    )
    n_steps = 20_000
    result = information_processing_capacity(
        reservoir, max_delays=(4, 4, 2), n_steps=n_steps, random_state=0
    )
    capacity = dict(zip(result.functions, result.capacities, strict=True))
    assert capacity[((0, 0, 1),)] == pytest.approx(1, abs=1e-10)
    # Deviation of a sample correlation: about 1 / sqrt(n) = 0.005.
    assert capacity[((0, 0, 2),)] == pytest.approx(4 / 28, abs=0.015)
    assert capacity[((1, 0, 2),)] == pytest.approx(4 / 28, abs=0.015)
    assert capacity[((0, 0, 1), (1, 0, 1))] == pytest.approx(20 / 28, abs=0.015)
    np.testing.assert_allclose(result.by_degree, [1, 1, 0], atol=0.04)
    assert np.count_nonzero(result.capacities) == 4


def test_capacity_of_a_network_adds_up_to_its_units():
    """Dambre et al. (2012): fading memory and independent states make a total of N."""
    tanh = ReservoirTransformer(
        n_units=6, connectivity=3, spectral_radius=0.3, input_scaling=0.4, random_state=0
    ).fit(np.zeros((2, 1)))
    result = information_processing_capacity(
        tanh, max_delays=(12, 8, 6, 4), n_steps=20_000, random_state=0
    )
    assert result.total == pytest.approx(6, abs=0.4)
    assert result.total < 6.1
    assert (result.by_degree > 0.1).sum() >= 2


def test_input_range_is_where_polynomials_are_orthogonal():
    square = dataclasses.replace(linear(np.zeros((1, 1))), activation=np.square)
    centred = information_processing_capacity(square, max_delays=(2, 2), random_state=0)
    np.testing.assert_allclose(centred.by_degree, [0, 1], atol=1e-9)
    # u on [0, 1] is (v + 1) / 2: u² = v² / 4 + v / 2 + const has variances 1/180 and 1/12.
    shifted = information_processing_capacity(
        square, max_delays=(2, 2), input_range=(0, 1), random_state=0
    )
    np.testing.assert_allclose(shifted.by_degree, [15 / 16, 1 / 16], atol=0.01)


def test_threshold_keeps_chance_out():
    line = linear(np.eye(3, k=-1))
    kept = information_processing_capacity(
        line, max_delays=(20, 20), n_steps=1000, false_positive_rate=1.0, random_state=0
    )
    cut = information_processing_capacity(line, max_delays=(20, 20), n_steps=1000, random_state=0)
    assert np.count_nonzero(kept.capacities) > 100
    assert np.count_nonzero(cut.capacities) == 3
