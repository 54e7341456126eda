"""Free runs that leave what was learned: where they stop, and what the error holds."""

import pickle
import re

import numpy as np
import pytest
from sklearn.base import clone

from reservoir import (
    ConceptorMemory,
    ESNRegressor,
    LayeredESNRegressor,
    LocalESNRegressor,
    NVARRegressor,
)
from reservoir.datasets import kuramoto_sivashinsky, lorenz, mackey_glass
from reservoir.dynamics import DivergenceError
from reservoir.online import OnlineESNRegressor

STEPS = np.arange(700)


def doubling(limit=3.0, **parameters):
    """Return a model of x -> 2 x that learned from targets in [-2, 2], exact to rounding."""
    x = np.linspace(-1, 1, 200)[:, None]
    settings = {"input_scaling": 0.0, "bias_scaling": 0.0, "alpha": 1e-12, "output_limit": limit}
    return ESNRegressor(10, random_state=0, **settings | parameters).fit(x, 2 * x)


def test_a_forecast_stops_at_the_step_that_is_beyond_the_bound():
    esn = doubling()
    np.testing.assert_allclose(esn.output_range_, [[-2], [2]])
    # 3 ranges of 4 beyond the range.
    np.testing.assert_allclose(esn.output_bounds_, [[-14], [14]])
    with pytest.raises(DivergenceError) as caught:
        esn.forecast(10, [[0.5]])
    # 1, 2, 4, 8, and then 16.
    error = caught.value
    assert (error.step, error.sequence) == (4, 0)
    assert error.value == pytest.approx(16)
    assert error.bound == pytest.approx(14)
    np.testing.assert_allclose(error.outputs, [[1], [2], [4], [8]])
    np.testing.assert_allclose(esn.forecast(4, [[0.5]]), error.outputs)
    message = str(error)
    for part in ("step 4 of sequence 0 is 16", "bound of 14", "`alpha`", "`input_scaling`"):
        assert part in message
    assert "`noise`" in message
    again = pickle.loads(pickle.dumps(error))
    assert (again.step, again.value, str(again)) == (error.step, error.value, message)
    np.testing.assert_array_equal(again.outputs, error.outputs)


@pytest.mark.parametrize(("limit", "step"), [(0.0, 2), (1.0, 3), (3.0, 4), (100.0, 9)])
def test_the_limit_is_in_ranges_of_the_targets(limit, step):
    with pytest.raises(DivergenceError) as caught:
        doubling(limit).forecast(2000, [[0.5]])
    # y[t] = 2^t, the bound 2 + 4 limit.
    assert caught.value.step == step


def test_without_a_limit_infinity_stops():
    with pytest.raises(DivergenceError, match="of sequence 0 is inf") as caught:
        doubling(None).forecast(2000, [[0.5]])
    # 2^1024 is the first power of two that float64 does not hold.
    assert abs(caught.value.step - 1024) <= 1
    assert len(caught.value.outputs) == caught.value.step
    assert np.isfinite(caught.value.outputs).all()


def test_sequences_that_stay_are_not_lost():
    esn = doubling()
    contexts = [[[0.001]], [[0.5]], [[-0.002]], [[-0.25]]]
    with pytest.raises(DivergenceError, match="1 other sequences diverge") as caught:
        esn.forecast(8, contexts)
    error = caught.value
    assert error.sequence == 1
    assert [len(part) for part in error.outputs] == [8, 4, 8, 5]
    for start, part in zip((0.001, 0.5, -0.002, -0.25), error.outputs, strict=True):
        np.testing.assert_allclose(part[:, 0], start * 2.0 ** np.arange(1, len(part) + 1))
    # As predict gives them, in one dimension.
    x = np.linspace(-1, 1, 200)
    flat = clone(esn).fit(x[:, None], 2 * x)
    with pytest.raises(DivergenceError) as caught:
        flat.forecast(8, contexts)
    assert [part.shape for part in caught.value.outputs] == [(8,), (4,), (8,), (5,)]


def test_a_block_in_which_the_output_comes_back_is_found(rng):
    # One spike in a run within its range otherwise, in the middle of a block of steps.
    u = rng.uniform(-1, 1, (900, 1))
    esn = ESNRegressor(20, feedback_scaling=0.01, alpha=1e-8, random_state=0).fit(u, u)
    u[700] = 50.0
    with pytest.raises(DivergenceError) as caught:
        esn.predict(u)
    assert caught.value.step == 700
    assert caught.value.outputs.shape == (700, 1)
    np.testing.assert_allclose(caught.value.outputs, u[:700], atol=1e-2)


def test_a_sine_with_noise_stops_at_the_bound():
    rng = np.random.default_rng(0)
    y = np.sin(2 * np.pi * np.arange(600) / 12) + 0.3 * rng.normal(size=600)
    z = ((y - y.mean()) / y.std())[:, None]
    esn = ESNRegressor(
        500, input_scaling=1.0, bias_scaling=0.2, leak_rate=1.0, alpha=1e-6, random_state=0
    )
    esn.fit(z[:-1], z[1:])
    with pytest.raises(DivergenceError) as caught:
        esn.forecast(60)
    spread = np.ptp(z[1:])
    assert caught.value.bound in (
        pytest.approx(z[1:].max() + 3 * spread),
        pytest.approx(z[1:].min() - 3 * spread),
    )
    assert abs(caught.value.outputs).max() < z[1:].max() + 3 * spread


def test_the_range_is_of_all_targets_however_they_came(tmp_path):
    x = np.sin(0.1 * STEPS)[:, None] * np.linspace(1, 2, 700)[:, None]
    u, y = x[:-1], x[1:]
    expected = [[y.min()], [y.max()]]
    whole = ESNRegressor(10, random_state=0).fit(u, y)
    parts = ESNRegressor(10, random_state=0).partial_fit(u[:300], y[:300])
    before = parts.output_range_
    parts.partial_fit(u[300:], y[300:], initial_state="last")
    stream = ESNRegressor(10, random_state=0).fit_stream([(u[:300], y[:300]), (u[300:], y[300:])])
    workers = ESNRegressor(10, random_state=0, n_jobs=2).fit([u[:300], u[300:]], [y[:300], y[300:]])
    for esn in (whole, parts, stream, workers):
        np.testing.assert_array_equal(esn.output_range_, expected)
    assert np.ptp(before) < np.ptp(whole.output_range_)
    path = tmp_path / "model.npz"
    whole.save(path)
    np.testing.assert_array_equal(ESNRegressor.load(path).output_bounds_, whole.output_bounds_)
    # A new fit starts afresh.
    np.testing.assert_array_equal(whole.fit(u, 0.1 * y).output_range_, 0.1 * np.array(expected))


def test_files_from_before_there_were_bounds(tmp_path):
    esn = doubling()
    del esn.output_range_, esn.output_bounds_
    esn.save(tmp_path / "old.npz")
    old = ESNRegressor.load(tmp_path / "old.npz")
    np.testing.assert_allclose(old.forecast(10, [[0.5]])[:, 0], 2.0 ** np.arange(10))
    # What came before is not known, so that the range of what comes now would be too small.
    old.partial_fit(np.ones((3, 1)), np.full((3, 1), 2.0))
    assert not hasattr(old, "output_bounds_")


def test_missing_and_constant_targets_have_bounds_too():
    u = np.linspace(-1, 1, 50)[:, None]
    y = np.hstack([2 * u, np.full_like(u, 5.0), np.zeros_like(u)])
    y[10] = np.nan
    esn = ESNRegressor(5, random_state=0).fit(u, y)
    np.testing.assert_allclose(esn.output_bounds_, [[-14, -10, -np.inf], [14, 20, np.inf]])


@pytest.mark.parametrize("limit", [-1.0, np.nan, "3", True])
def test_bad_limits(limit):
    with pytest.raises((ValueError, TypeError), match="`output_limit` is"):
        doubling(limit)


def test_the_washout_of_a_run_from_zero_has_no_bounds():
    # Targets far from zero, which a run from the zero state is not near at first.
    y = 1000 + np.sin(0.2 * STEPS)[:, None]
    u = np.ones_like(y)
    settings = {"feedback_scaling": 1e-3, "input_scaling": 0.1, "alpha": 1e-3, "random_state": 0}
    esn = ESNRegressor(50, washout=100, feedback_noise=1e-2, **settings).fit(u, y)
    outputs = esn.predict(u)
    low, high = esn.output_bounds_
    assert not ((outputs[:100] >= low) & (outputs[:100] <= high)).all()


def test_layered_nvar_and_field(rng):
    x = np.linspace(-1, 1, 200)[:, None]
    settings = {"input_scaling": 0.0, "bias_scaling": 0.0, "alpha": 1e-12, "random_state": 0}
    layered = LayeredESNRegressor(10, n_layers=2, **settings).fit(x, 2 * x)
    nvar = NVARRegressor(1, order=1, alpha=0.0).fit(x, 2 * x)
    for model in (layered, nvar):
        with pytest.raises(DivergenceError) as caught:
            model.forecast(8, [[[0.5]], [[0.001]]])
        assert (caught.value.step, caught.value.sequence) == (4, 0)
        np.testing.assert_allclose(caught.value.outputs[0][:, 0], [1, 2, 4, 8])
        np.testing.assert_allclose(caught.value.outputs[1][:, 0], 0.001 * 2.0 ** np.arange(1, 9))
    field = rng.uniform(-1, 1, (200, 4))
    local = LocalESNRegressor(10, patch_size=2, overlap=1, **settings).fit(field, 2 * field)
    limit = local.output_bounds_[1, 2]
    step = int(np.ceil(np.log2(limit / 0.5))) - 1
    with pytest.raises(DivergenceError, match="Output 2 of step") as caught:
        local.forecast(8, [[[0.001] * 4], [[0.0, 0.0, 0.5, 0.1]]])
    assert (caught.value.step, caught.value.sequence) == (step, 1)
    assert [part.shape for part in caught.value.outputs] == [(8, 4), (step, 4)]
    np.testing.assert_allclose(caught.value.outputs[0], 0.001 * 2.0 ** np.arange(1, 9)[:, None]
                               * np.ones(4), atol=1e-9)  # fmt: skip


def test_online_learning_on_its_own_output():
    # A rate far too large: errors grow by a factor a step.
    y = np.sin(0.3 * STEPS)[:, None]
    esn = OnlineESNRegressor(
        30, feedback_scaling=0.5, teacher_forcing=False, learner="lms", learning_rate=3.0,
        washout=10, random_state=0,
    )  # fmt: skip
    with pytest.raises(DivergenceError, match="beyond the bound") as caught:
        esn.fit(np.ones_like(y), y)
    # The range is [-1, 1] with the zero that learning starts from.
    assert abs(caught.value.value) > 7 - 1e-3
    assert len(caught.value.outputs) == caught.value.step
    assert abs(caught.value.outputs).max() <= 7


def test_online_steps_on_their_own_output():
    esn = OnlineESNRegressor(20, feedback_scaling=1.0, input_scaling=0.0, random_state=0)
    y = np.sin(0.3 * STEPS)
    for value in y[:200]:
        esn.step(0.0, value)
    esn.learner_.coef *= 1e3
    with pytest.raises(DivergenceError, match="beyond the bound of"):
        [esn.step(0.0) for _ in range(5)]


def test_a_recall_stops_too():
    wave = np.sin(0.2 * STEPS[:300])[:, None]
    memory = ConceptorMemory(
        40, activation="identity", spectral_radius=0.9, washout=50, random_state=0
    ).fit(wave)
    growing = 1.2 * np.eye(40)
    with pytest.raises(DivergenceError, match="beyond the bound") as caught:
        memory.recall(growing, 400, initial_state=memory.last_states_[0])
    assert abs(caught.value.outputs).max() <= 7.01
    assert caught.value.outputs.shape == (caught.value.step, 1)


# -- what stays within its range -----------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("system", ["lorenz", "mackey_glass", "kuramoto_sivashinsky"])
def test_attractors_never_trigger_it(system, seed):
    if system == "lorenz":
        x = lorenz(2001, dt=0.05, random_state=seed)
        x = (x - x.mean(axis=0)) / x.std(axis=0)
        settings = {"input_scaling": 0.3, "noise": 1e-3, "alpha": 1e-4}
    elif system == "mackey_glass":
        x = mackey_glass(2001, random_state=seed).reshape(-1, 1)
        settings = {"input_scaling": 1.0, "leak_rate": 0.6, "alpha": 1e-4}
    else:
        x = kuramoto_sivashinsky(2001, n_points=32, random_state=seed)
        settings = {"input_scaling": 0.1, "include_squares": True, "alpha": 0.1}
    is_field = system == "kuramoto_sivashinsky"
    n_units, n_steps, kind = (
        (150, 300, LocalESNRegressor) if is_field else (200, 2000, ESNRegressor)
    )
    model = kind(n_units, washout=100, bias_scaling=0.2, random_state=seed, **settings)
    forecast = model.fit(x[:-1], x[1:]).forecast(n_steps)
    low, high = model.output_range_
    # Not dead either: it goes on as wide as what was learned.
    assert forecast.std() > 0.5 * x.std()
    assert np.all(np.maximum(low - forecast, forecast - high) < high - low)


def test_no_docstring_promises_what_no_code_does():
    for cls in (ESNRegressor, LayeredESNRegressor, NVARRegressor, LocalESNRegressor):
        text = re.sub(r"\s+", " ", cls.forecast.__doc__)
        assert "leaves the range of the training targets by more than `output_limit`" in text
