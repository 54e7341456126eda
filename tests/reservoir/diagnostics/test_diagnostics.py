"""Diagnostics at their public doors: estimators, reservoirs, seeds, wrong models and arguments."""

import dataclasses

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from reservoir import LocalESNRegressor, ReservoirTransformer
from reservoir.diagnostics import (
    consistency,
    driven_lyapunov_exponents,
    echo_state_index,
    free_lyapunov_exponents,
    generalization_rank,
    information_processing_capacity,
    kernel_rank,
    memory_capacity,
)
from tests.support.diagnosed import linear, small

# All of them


SERIES = np.sin(np.arange(150.0))[:, None]


DIAGNOSTICS = {
    "memory": lambda model, **k: memory_capacity(model, max_delay=3, n_steps=300, **k).curve,
    "processing": lambda model, **k: (
        information_processing_capacity(model, max_delays=(3, 2), n_steps=300, **k).capacities
    ),
    "kernel": lambda model, **k: kernel_rank(model, n_streams=7, n_steps=20, **k),
    "generalization": lambda model, **k: generalization_rank(model, n_streams=7, n_steps=20, **k),
    "echo": lambda model, **k: echo_state_index(model, SERIES, **k).distances,
    "consistency": lambda model, **k: consistency(model, SERIES, **k).units,
    "driven": lambda model, **k: driven_lyapunov_exponents(model, SERIES, **k).exponents,
}


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_estimator_and_reservoir_give_the_same_and_a_seed_repeats_it(name, capsys):
    measure = DIAGNOSTICS[name]
    transformer = ReservoirTransformer(20, random_state=0).fit(np.ones((2, 1)))
    first = measure(transformer, random_state=3)
    np.testing.assert_array_equal(first, measure(transformer.reservoir_, random_state=3))
    assert capsys.readouterr().err == ""
    measure(transformer, random_state=3, progress=True)
    assert "150/150" in (shown := capsys.readouterr().err) or "step/s" in shown
    single = ReservoirTransformer(20, dtype="float32", random_state=0).fit(np.ones((2, 1)))
    np.testing.assert_allclose(measure(single, random_state=3), first, atol=0.05)


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_generator_with_feedback_can_be_diagnosed(name, generator):
    assert np.all(np.isfinite(DIAGNOSTICS[name](generator, random_state=0)))


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_wrong_models_are_refused(name, generator):
    measure = DIAGNOSTICS[name]
    with pytest.raises(NotFittedError, match="not fitted"):
        measure(small())
    with pytest.raises(TypeError, match=r"`model` is a Ridge, but an estimator with a fitted"):
        measure(Ridge().fit(np.ones((2, 1)), np.ones(2)))
    with pytest.raises(TypeError, match=r"`model` is a str"):
        measure("esn")
    with pytest.raises(ValueError, match=r"feedback weights, but nothing says what is fed back"):
        measure(generator.reservoir_)


def test_wrong_arguments_are_refused(generator, rng):
    line = linear(np.eye(4, k=-1))
    autonomous = dataclasses.replace(line, input=np.zeros((4, 0)))
    u = np.ones((150, 1))
    with pytest.raises(ValueError, match=r"`n_steps` is 9, .*10 or more.*several times the 4"):
        memory_capacity(line, n_steps=9)
    with pytest.raises(ValueError, match=r"`max_delay` is 0"):
        memory_capacity(line, max_delay=0)
    with pytest.raises(ValueError, match=r"`model` has no input"):
        memory_capacity(autonomous)
    with pytest.raises(ValueError, match=r"`input_range` is 3, but a pair"):
        kernel_rank(line, input_range=3)
    with pytest.raises(ValueError, match=r"`input_range\[1\]` is 1, .* above 1"):
        kernel_rank(line, input_range=(1, 1))
    with pytest.raises(TypeError, match=r"`max_delays` is 5, but a sequence"):
        information_processing_capacity(line, max_delays=5)
    with pytest.raises(ValueError, match=r"`max_delays` is empty"):
        information_processing_capacity(line, max_delays=())
    with pytest.raises(ValueError, match=r"`max_delays\[1\]` is 0"):
        information_processing_capacity(line, max_delays=(3, 0))
    with pytest.raises(ValueError, match=r"`false_positive_rate` is 0"):
        information_processing_capacity(line, false_positive_rate=0)
    with pytest.raises(ValueError, match=r"`n_common` is 30, .* at most 20"):
        generalization_rank(line, n_common=30, n_steps=20)
    with pytest.raises(ValueError, match=r"`tolerance` is 2"):
        kernel_rank(line, tolerance=2)
    with pytest.raises(ValueError, match=r"`X` has shape \(150, 2\), but \(n_steps, 1\)"):
        echo_state_index(line, np.ones((150, 2)))
    with pytest.raises(ValueError, match=r"`X` holds NaN or infinity"):
        echo_state_index(line, np.nan * u)
    with pytest.raises(ValueError, match=r"`X` has 150 steps, but more than `washout` = 150"):
        echo_state_index(line, u, washout=150)
    with pytest.raises(ValueError, match=r"`n_starts` is 0"):
        echo_state_index(line, u, n_starts=0)
    with pytest.raises(ValueError, match=r"a correlation needs two or more after `washout` = 149"):
        consistency(line, u, washout=149)
    with pytest.raises(ValueError, match=r"`state_noise` is 0.1, but `model` feeds its own"):
        consistency(generator, u, state_noise=0.1)
    with pytest.raises(ValueError, match=r"`n_exponents` is 5, .* at most 4"):
        driven_lyapunov_exponents(line, u, n_exponents=5)
    with pytest.raises(ValueError, match=r"`dt` is 0"):
        driven_lyapunov_exponents(line, u, dt=0)


def test_free_run_needs_a_forecaster(generator, rng):
    transformer = ReservoirTransformer(20, random_state=0).fit(np.ones((2, 1)))
    with pytest.raises(TypeError, match=r"an estimator with a method `forecast` was expected"):
        free_lyapunov_exponents(transformer, 300)
    local = LocalESNRegressor(20, patch_size=1, overlap=0).fit(np.ones((5, 2)), np.ones((5, 2)))
    with pytest.raises(TypeError, match=r"`model` is a LocalESNRegressor, but an estimator"):
        free_lyapunov_exponents(local, 300)
    with pytest.raises(NotFittedError):
        free_lyapunov_exponents(small(), 300)
    two = small().fit(np.ones((5, 1)), np.ones((5, 2)))
    with pytest.raises(ValueError, match=r"`model` has 1 inputs and 2 outputs"):
        free_lyapunov_exponents(two, 300)
    with pytest.raises(ValueError, match=r"`n_steps` is 100, .*more steps than `washout`"):
        free_lyapunov_exponents(generator, 100)
    ahead = small().fit(SERIES[:-1], SERIES[1:])
    with pytest.raises(ValueError, match=r"`X` holds 2 series, but one was expected"):
        free_lyapunov_exponents(ahead, 300, X=np.ones((2, 5, 1)))
