"""Learning in closed loop: FORCE as published, patterns, skipped steps, noise."""

from dataclasses import replace

import numpy as np
import pytest

from reservoir import OnlineESNRegressor
from reservoir.diagnostics import driven_lyapunov_exponents
from reservoir.dynamics import Reservoir
from reservoir.metrics import nrmse
from reservoir.online import LeastMeanSquares, RecursiveLeastSquares, learn_closed_loop
from reservoir.readout import FeatureMap
from tests.support.small_online import small


def pattern(n_steps, period):
    """Four harmonics, as in figure 2 of Sussillo & Abbott (2009)."""
    t = 2 * np.pi * np.arange(n_steps) / period
    return (np.sin(t) + np.sin(2 * t) / 2 + np.sin(3 * t) / 6 + np.sin(4 * t) / 3) * 1.3 / 1.5


# -- FORCE ----------------------------------------------------------------------------------------


def plain_force(reservoir, inputs, targets, alpha):
    """Sussillo & Abbott (2009), eqs. 1-5, as they are written down."""
    W = reservoir.recurrent.toarray()
    x, z, P = np.zeros(len(W)), np.zeros(targets.shape[1]), np.eye(len(W)) / alpha
    readout, outputs = np.zeros((targets.shape[1], len(W))), []
    for u, target in zip(inputs, targets):
        drive = W @ x + reservoir.input @ u + reservoir.feedback @ z + reservoir.bias
        x = x + reservoir.leak_rate * (np.tanh(drive) - x)
        z = readout @ x
        outputs.append(z)
        k = P @ x
        c = 1 / (1 + x @ k)
        P -= c * np.outer(k, k)
        readout = readout - c * np.outer(z - target, k)
    return np.array(outputs), readout, x


def test_learning_in_closed_loop_is_force_as_published(rng):
    esn = OnlineESNRegressor(
        n_units=40,
        spectral_radius=1.5,
        leak_rate=0.3,
        feedback_scaling=1.0,
        teacher_forcing=False,
        include_input=False,
        fit_intercept=False,
        alpha=1.0,
        random_state=0,
    )
    inputs, targets = rng.uniform(-1, 1, size=(60, 1)), rng.normal(size=(60, 2)).cumsum(axis=0)
    esn.fit(inputs, targets)
    outputs, readout, state = plain_force(esn.reservoir_, inputs, targets, 1.0)
    # Chaos doubles rounding every few steps.
    np.testing.assert_allclose(esn.coef_, readout, atol=1e-9)
    np.testing.assert_allclose(esn.last_state_, state, atol=1e-9)
    np.testing.assert_allclose(esn.last_output_, outputs[-1], atol=1e-9)
    learner = RecursiveLeastSquares(40, 2, alpha=1.0, fit_intercept=False)
    run = learn_closed_loop(
        esn.reservoir_, learner, inputs, targets, feature_map=FeatureMap(False), engine="numpy"
    )
    np.testing.assert_allclose(run.outputs, outputs, atol=1e-9)
    np.testing.assert_allclose(run.final_state, state, atol=1e-9)


# With 500 units three in ten reservoirs of radius 1.5 (seed 0 is one) settle by themselves.
@pytest.mark.parametrize("seed", [1, 2, 4])
def test_a_chaotic_reservoir_is_taught_a_pattern_and_goes_on_by_itself(seed):
    period, n_training, n_free = 60, 4000, 20 * 60
    target = pattern(n_training + n_free, period)
    clock = np.zeros((len(target), 1))
    esn = OnlineESNRegressor(
        n_units=500,
        spectral_radius=1.5,
        leak_rate=0.2,
        bias_scaling=0.02,
        connectivity=0.1,
        feedback_scaling=1.0,
        teacher_forcing=False,
        include_input=False,
        alpha=1e-2,
        random_state=seed,
    )
    esn.fit(clock[:n_training], target[:n_training])
    chaos = driven_lyapunov_exponents(
        replace(esn.reservoir_, feedback=None), clock[:4000], washout=1000, random_state=0
    )
    assert chaos.largest > 2 * chaos.standard_errors[0]
    free = esn.predict(clock[n_training:], initial_state="last")
    assert nrmse(target[n_training:], free) < 0.05
    # Taught for one period only, it does not.
    esn.fit(clock[:period], target[:period])
    free = esn.predict(clock[n_training:], initial_state="last")
    assert nrmse(target[n_training:], free) > 0.5


def test_steps_that_are_skipped_run_free_and_teach_nothing(rng):
    reservoir = small(feedback_scaling=0.5).fit(np.ones((2, 1)), np.ones((2, 1))).reservoir_
    inputs, targets = rng.uniform(-1, 1, size=(50, 1)), rng.normal(size=(50, 1))
    learner = RecursiveLeastSquares(21, 1)
    run = learn_closed_loop(reservoir, learner, inputs, targets, skip=20)
    np.testing.assert_array_equal(run.outputs[:20], 0)
    assert learner.n_rows == 30


def test_noise_in_closed_loop_has_a_seed(rng):
    reservoir = small(feedback_scaling=0.5).fit(np.ones((2, 1)), np.ones((2, 1))).reservoir_
    inputs, targets = rng.uniform(-1, 1, size=(50, 1)), rng.normal(size=(50, 1))
    settings = {"state_noise": 0.1, "feedback_noise": 0.1}
    outputs = [
        learn_closed_loop(
            reservoir,
            LeastMeanSquares(21, 1),
            inputs,
            targets,
            random_state=seed,
            **settings,
        ).outputs
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert abs(outputs[0] - outputs[2]).max() > 0.01


def test_closed_loops_are_checked():
    reservoir = Reservoir(np.zeros((2, 2)), np.zeros((2, 1)), np.zeros(2))
    learner = RecursiveLeastSquares(3, 1)
    with pytest.raises(ValueError, match=r"`reservoir`\.feedback is None"):
        learn_closed_loop(reservoir, learner, np.ones((4, 1)), np.ones((4, 1)))
    closed = replace(reservoir, feedback=np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"`targets` has shape \(3, 1\), but \(4, 1\)"):
        learn_closed_loop(closed, learner, np.ones((4, 1)), np.ones((3, 1)))
    with pytest.raises(ValueError, match="`learner` is for 4 features and 1 targets"):
        learn_closed_loop(closed, RecursiveLeastSquares(4, 1), np.ones((4, 1)), np.ones((4, 1)))
    with pytest.raises(ValueError, match="`targets` contains NaN"):
        learn_closed_loop(closed, learner, np.ones((4, 1)), np.full((4, 1), np.nan))
    with pytest.raises(ValueError, match="`inputs` contains NaN"):
        learn_closed_loop(closed, learner, np.full((4, 1), np.nan), np.ones((4, 1)))


@pytest.mark.parametrize("bad", [[1.0], [-1.0] * 30, [np.nan] * 30, np.ones((30, 1))])
def test_weights_are_checked(bad):
    reservoir = Reservoir(
        recurrent=np.eye(3) / 2, input=np.ones((3, 1)), bias=np.zeros(3), feedback=np.ones((3, 1))
    )
    learner = RecursiveLeastSquares(4, 1)
    with pytest.raises(ValueError, match="`sample_weight`"):
        learn_closed_loop(reservoir, learner, np.ones((30, 1)), np.ones((30, 1)), sample_weight=bad)
