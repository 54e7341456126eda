"""One target a sequence."""

import itertools

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score

from reservoir import ESNRegressor, LayeredESNRegressor
from reservoir.dynamics import run


def small(**parameters):
    settings = {"n_units": 40, "input_scaling": 0.5, "leak_rate": 0.5, "washout": 5}
    return ESNRegressor(**settings | {"alpha": 1e-3, "random_state": 0} | parameters)


@pytest.fixture
def waves(rng):
    """Sines of several lengths; what is to be found are frequency and amplitude."""
    frequencies, amplitudes = rng.uniform(0.1, 0.5, 150), rng.uniform(0.5, 1.5, 150)
    X = [
        (a * np.sin(f * np.arange(rng.integers(60, 120)) + rng.uniform(0, 6)))[:, None]
        for f, a in zip(frequencies, amplitudes, strict=True)
    ]
    return X, np.c_[frequencies, amplitudes]


@pytest.mark.parametrize("pooling", ["mean", "last", 3])
def test_it_is_ridge_regression_on_pooled_states(waves, pooling):
    X, y = waves
    esn = small(pooling=pooling).fit(X, y)
    assert esn.target_per_ == "sequence"
    rows = []
    for u in X:
        s = np.hstack([u, run(esn.reservoir_, u)])
        if pooling == "last":
            rows.append(s[-1])
        elif pooling == "mean":
            rows.append(s[5:].mean(axis=0))
        else:
            edges = 5 + np.arange(4) * (len(u) - 5) // 3
            rows.append(np.concatenate([s[a:b].mean(axis=0) for a, b in itertools.pairwise(edges)]))
    ridge = Ridge(1e-3).fit(rows, y)
    np.testing.assert_allclose(esn.coef_, ridge.coef_, atol=1e-6 * abs(ridge.coef_).max())
    np.testing.assert_allclose(esn.predict(X), ridge.predict(rows), atol=1e-6)


def test_frequency_and_amplitude_of_waves(waves):
    X, y = waves
    esn = small(include_squares=True).fit(X[:100], y[:100])
    assert esn.predict(X[100:]).shape == (50, 2)
    assert esn.score(X[100:], y[100:]) > 0.95
    flat = clone(esn).fit(X[:100], y[:100, 1])
    assert flat.predict(X[100:]).shape == (50,)
    assert flat.score(X[100:], y[100:, 1]) > 0.95


def test_every_form_is_the_same(waves):
    X, y = waves
    even = np.stack([u[:60] for u in X])
    esn = small().fit(list(even), y[:, 0])
    rows, lengths = np.concatenate(list(even)), [60] * len(X)
    for arguments in ((even,), (rows, None, lengths), (rows, np.repeat(np.arange(150), 60))):
        groups, lengths_ = (*arguments[1:], None, None)[:2]
        other = small().fit(arguments[0], y[:, 0], groups=groups, lengths=lengths_)
        np.testing.assert_allclose(
            other.predict(arguments[0], groups, lengths_), esn.predict(list(even)), atol=1e-9
        )
    listed = small().fit(list(even), y[:, 0].tolist())
    np.testing.assert_array_equal(listed.coef_, esn.coef_)


def test_what_may_be_either_is_a_target_a_step(rng):
    X, y = rng.normal(size=(12, 20, 1)), rng.normal(size=(12, 20))
    by_step = small().fit(X, y)
    assert by_step.target_per_ == "step"
    assert by_step.predict(X).shape == (12, 20)
    said = small(target_per="sequence").fit(X, y)
    assert said.predict(X).shape == (12, 20)
    assert said.coef_.shape == (20, 41)
    with pytest.raises(ValueError, match=r"`y\[0\]` has shape"):
        small(target_per="step").fit(X, y[:, 0])


def test_partial_fit_and_blocks(waves, tmp_path):
    X, y = waves
    whole = small().fit(X, y)
    parts = small().partial_fit(X[:50], y[:50]).partial_fit(X[50:], y[50:])
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-6, atol=1e-9)
    assert parts.n_sequences_seen_ == 150
    np.testing.assert_array_equal(whole.output_range_, [y.min(axis=0), y.max(axis=0)])
    blocks = small(alpha=[1e-4, 1e3], alpha_cv=3).fit(X, y)
    assert blocks.alpha_ == 1e-4
    whole.save(tmp_path / "model.npz")
    loaded = ESNRegressor.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.predict(X), whole.predict(X))
    with pytest.raises(ValueError, match="target per step, but the calls before had one per seq"):
        parts.partial_fit(X[0], X[0])


def test_missing_targets_and_weights(waves):
    X, y = waves
    y = y.copy()
    y[::3, 0] = np.nan
    kept = np.flatnonzero(np.isfinite(y[:, 0]))
    expected = small().fit([X[i] for i in kept], y[kept]).predict(X)
    np.testing.assert_allclose(small().fit(X, y).predict(X), expected, atol=1e-8)
    weights = np.isfinite(y[:, 0]).astype(float)
    filled = small().fit(X, np.nan_to_num(y), step_weight=weights)
    np.testing.assert_allclose(filled.predict(X), expected, atol=1e-8)
    assert small().fit(X, y).score(X, y) == pytest.approx(
        small().fit(X, y).score([X[i] for i in kept], y[kept])
    )


def test_layered_and_cross_validation(rng):
    frequencies = rng.uniform(0.1, 0.5, 60)
    X = np.sin(frequencies[:, None, None] * np.arange(80)[None, :, None])
    layered = LayeredESNRegressor(20, n_layers=2, washout=5, include_squares=True, random_state=0)
    assert cross_val_score(layered, X, frequencies, cv=3).min() > 0.9


def test_a_gpu_gives_the_same(waves, stand_in):
    X, y = waves
    found = small(device="cuda").fit(X, y).predict(X)
    np.testing.assert_allclose(found, small().fit(X, y).predict(X), atol=1e-8)


def test_what_needs_an_output_at_each_step(waves):
    X, y = waves
    esn = small().fit(X, y)
    calls = (
        lambda: esn.forecast(3),
        lambda: esn.advance(X[0]),
        lambda: esn.step(0.1),
        lambda: esn.predict(X, return_state=True),
        lambda: esn.predict(X[:1], initial_state="last"),
        lambda: esn.forecast_origins(3, X[0], [4]),
        lambda: next(esn.predict_stream([X[0]])),
    )
    for call in calls:
        with pytest.raises(ValueError, match="learned one target per sequence"):
            call()
    for parameters in ({"feedback_scaling": 1.0}, {"noise": 0.1}):
        with pytest.raises(ValueError, match="no output at each step"):
            small(**parameters).fit(X, y)
    for arguments, message in (
        ({"target_per": "row"}, "`target_per` is 'row'"),
        ({"pooling": "max"}, "`pooling` is 'max'"),
        ({"washout": 70}, "`washout` is 70, but sequence"),
    ):
        with pytest.raises(ValueError, match=message):
            small(**arguments).fit(X, y)
    with pytest.raises(ValueError, match="`y` has shape"):
        small(target_per="sequence").fit(X, y[:10])
    with pytest.raises(ValueError, match="`step_weight` has shape"):
        small().fit(X, y, step_weight=np.ones((150, 2)))
