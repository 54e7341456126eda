"""Lyapunov exponents and Jacobians against eigenvalues, differences and the Lorenz system."""

import dataclasses

import numpy as np
import pytest

from reservoir import ESNRegressor
from reservoir.datasets import lorenz
from reservoir.diagnostics import (
    driven_lyapunov_exponents,
    echo_state_index,
    free_lyapunov_exponents,
)
from reservoir.diagnostics._lyapunov import Jacobian
from reservoir.diagnostics._system import driven_system, free_system, stream
from reservoir.dynamics import Reservoir, run
from reservoir.weights import recurrent_weights
from tests.support.diagnosed import linear, small

# Lyapunov exponents


def test_symmetric_linear_reservoir_has_the_logarithms_of_its_eigenvalues(rng):
    values = np.array([0.9, -0.7, 0.5, 0.2, -0.05])
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    reservoir = linear(basis * values @ basis.T)
    result = driven_lyapunov_exponents(
        reservoir, rng.normal(size=(600, 1)), n_exponents=5, washout=300, dt=0.1, random_state=0
    )
    np.testing.assert_allclose(result.exponents, np.log(np.abs(values)) / 0.1, rtol=1e-9)
    np.testing.assert_allclose(result.standard_errors, 0, atol=1e-8)


def test_leaky_sparse_linear_reservoir_has_exact_exponents(rng):
    """Any matrix: complex pairs turn, so that a finite run is off by O(1/T)."""
    recurrent = recurrent_weights(15, connectivity=4, random_state=1)
    leak_rate = rng.uniform(0.3, 0.9, 15)
    reservoir = Reservoir(
        recurrent=recurrent,
        input=np.ones((15, 1)),
        bias=np.zeros(15),
        leak_rate=leak_rate,
        activation="identity",
    )
    step = np.diag(1 - leak_rate) + leak_rate[:, None] * recurrent.toarray()
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(step))))[::-1]
    result = driven_lyapunov_exponents(
        reservoir, np.zeros((4100, 1)), n_exponents=15, random_state=0
    )
    np.testing.assert_allclose(result.exponents, expected, atol=0.01)


def test_nilpotent_reservoir_has_no_finite_exponent():
    result = driven_lyapunov_exponents(
        linear(np.eye(4, k=-1)), np.zeros((200, 1)), n_exponents=2, random_state=0
    )
    assert np.all(np.isneginf(result.exponents))
    assert np.all(np.isnan(result.standard_errors))


def test_driven_exponent_is_the_rate_at_which_two_runs_meet(rng):
    esn = small(spectral_radius=0.9, leak_rate=0.8).fit(np.ones((2, 1)), np.ones(2))
    u = rng.uniform(-1, 1, size=(3000, 1))
    reservoir = esn.reservoir_
    largest = driven_lyapunov_exponents(esn, u, washout=0, random_state=0).largest
    # Start apart by 1e-6 again every 50 steps, as one would measure it by hand.
    x, logs = run(reservoir, u), []
    direction = rng.normal(size=30)
    for start in range(100, 3000, 50):
        apart = x[start - 1] + 1e-6 * direction / np.linalg.norm(direction)
        other = run(reservoir, u[start : start + 50], initial_state=apart)[-1]
        direction = other - x[start + 49]
        logs.append(np.log(np.linalg.norm(direction) / 1e-6) / 50)
    assert largest == pytest.approx(np.mean(logs), abs=0.01)


def square_plus(z):
    return 0.1 * np.square(z) + np.sin(z)


@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu", "identity", square_plus])
@pytest.mark.parametrize("leak_rate", [1.0, np.linspace(0.2, 0.9, 8)])
def test_jacobian_of_a_driven_step_equals_central_differences(activation, leak_rate, rng):
    reservoir = Reservoir(
        recurrent=recurrent_weights(8, connectivity=3, random_state=0),
        input=rng.normal(size=(8, 2)),
        bias=rng.normal(size=8),
        leak_rate=leak_rate,
        activation=activation,
    )
    u, x = rng.normal(size=(3, 2)), rng.normal(size=8)
    (block,) = stream(driven_system(reservoir), [u], 3, x[None])
    steps = list(Jacobian(driven_system(reservoir)).along(block))
    for t, advance in enumerate(steps):
        before = x if t == 0 else block.states[0, t - 1]
        assert_columns_match(
            advance(np.eye(8)),
            lambda s, t=t: run(reservoir, u[t : t + 1], initial_state=s)[0],
            before,
        )


def assert_columns_match(matrix, step, at):
    h = 1e-6
    for column, unit in zip(matrix.T, np.eye(len(at)), strict=True):
        difference = (step(at + h * unit) - step(at - h * unit)) / (2 * h)
        np.testing.assert_allclose(column, difference, atol=1e-8)


@pytest.mark.parametrize("include_input", [False, True])
@pytest.mark.parametrize("feedback_scaling", [0.0, 0.3])
def test_jacobian_of_a_free_run_equals_central_differences(include_input, feedback_scaling, rng):
    """Differentiate the map of (x, y) as the estimator's readout and the recurrence define it."""
    series = np.cumsum(rng.normal(size=(101, 2)), axis=0) / 5
    esn = ESNRegressor(
        12, connectivity=4, leak_rate=0.7, include_squares=True, include_input=include_input,
        feedback_scaling=feedback_scaling, random_state=0, alpha=1e-2,
    ).fit(series[:-1], series[1:])  # fmt: skip
    system, readout, reservoir = free_system(esn), esn.readout_, esn.reservoir_
    x, y = esn.last_state_, np.array([0.3, -0.2])

    def step(combined):
        state, output = combined[:12], combined[12:]
        if not include_input:  # y is a function of x, whatever came before
            output = readout(state[None], np.zeros((1, 2)))[0]
        teacher = {} if reservoir.feedback is None else {
            "teacher": np.zeros((1, 2)), "initial_output": output
        }  # fmt: skip
        new = run(reservoir, output[None], initial_state=state, **teacher)
        after = readout(new, output[None])[0] if include_input else output[:0]
        return np.concatenate([new[0], after])

    if not include_input:
        y = readout(x[None], np.zeros((1, 2)))[0]
    (block,) = stream(system, None, 1, x[None], initial_outputs=y[None])
    (advance,) = Jacobian(system).along(block)
    size = 12 + 2 * include_input
    assert_columns_match(advance(np.eye(size)), step, np.concatenate([x, y])[:size])


@pytest.fixture(scope="module")
def lorenz_model():
    series = lorenz(4001, random_state=0)
    series = (series - series.mean(axis=0)) / series.std(axis=0)
    esn = ESNRegressor(
        100, spectral_radius=0.6, leak_rate=0.8, input_scaling=0.08, bias_scaling=1.5,
        connectivity=20, washout=100, include_input=False, alpha=1e-18, random_state=0,
    )  # fmt: skip
    return esn.fit(series[:-1], series[1:]), series


def test_free_run_has_the_exponents_of_the_lorenz_system(lorenz_model):
    esn, series = lorenz_model
    result = free_lyapunov_exponents(esn, 10_100, n_exponents=4, dt=0.02, random_state=0)
    # 200 time units: λ_1 and λ_2 fluctuate by 0.04 and 0.02 (their standard errors here).
    assert result.exponents[0] == pytest.approx(0.906, abs=0.12)
    assert result.exponents[1] == pytest.approx(0, abs=0.06)
    assert result.exponents[2] == pytest.approx(-14.57, abs=0.12)
    # The divergence of the flow is constant, so that fluctuations cancel in the sum.
    assert result.exponents[:3].sum() == pytest.approx(-(10 + 1 + 8 / 3), abs=0.02)
    assert result.exponents[3] < -20
    assert 0.01 < result.standard_errors[0] < 0.1
    again = free_lyapunov_exponents(esn, 600, X=series[:300], dt=0.02, random_state=0)
    assert again.largest > 0


def test_generator_with_feedback_is_diagnosed_in_its_loop(generator, rng):
    u = rng.uniform(0.1, 0.3, size=(600, 1))
    with_loop = driven_lyapunov_exponents(generator, u, random_state=0)
    without = driven_lyapunov_exponents(
        dataclasses.replace(generator.reservoir_, feedback=None), u, random_state=0
    )
    # A generator keeps its phase, which is a direction that does not shrink.
    assert with_loop.largest > without.largest + 0.01
    result = echo_state_index(generator, u, n_starts=2, random_state=0)
    assert result.distances.shape == (600, 2)
    seeded = np.random.default_rng(np.random.SeedSequence(0)).uniform(-1, 1, (3, 30))
    zero = generator.predict(u)
    assert zero.shape == (600, 1)
    starts = [
        generator.predict(u, initial_state=start, initial_output=0.0)
        for start in (0 * seeded[0], seeded[1])
    ]
    system = driven_system(generator)
    (block,) = stream(system, [u], 600, np.zeros((1, 30)))
    np.testing.assert_allclose(block.fed_back[0, 1:], starts[0][:-1], atol=1e-12)
