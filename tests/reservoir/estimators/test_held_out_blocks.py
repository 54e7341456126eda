"""Blocks of rows that choose alpha: as the rows come, and for targets several steps ahead."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from reservoir import ESNRegressor
from tests.support.small_esn import small

ALPHAS = [1e-6, 1e-2, 1e2]


@pytest.fixture
def series(rng):
    u = rng.normal(size=(3300, 1))
    return u, np.roll(u[:, 0], 2) + 0.3 * rng.normal(size=3300)


def stretched_scores(esn, u, y, n_blocks, stretch=500):
    """Held-out errors where stretches of steps go to the blocks in turn, one fit each."""
    from reservoir.dynamics import run

    features = np.hstack([u, run(esn.reservoir_, u)])
    block = np.arange(len(u)) // stretch % n_blocks
    scores = []
    for alpha in ALPHAS:
        errors = []
        for held in range(n_blocks):
            ridge = Ridge(alpha, solver="svd").fit(features[block != held], y[block != held])
            errors.append((ridge.predict(features[block == held]) - y[block == held]) ** 2)
        scores.append(np.concatenate(errors).mean())
    return scores


@pytest.mark.parametrize("cuts", [[], [700], [1, 499, 1001, 3000]])
def test_a_stream_chooses_by_stretches_however_it_is_cut(series, cuts):
    u, y = series
    chunks = list(zip(np.split(u, cuts), np.split(y, cuts), strict=True))
    esn = small(alpha=ALPHAS, alpha_cv=3).fit_stream(chunks)
    expected = stretched_scores(esn, u, y, 3)
    np.testing.assert_allclose(esn.alpha_scores_, expected, rtol=1e-6)
    assert esn.alpha_ == ALPHAS[np.argmin(expected)]


def test_partial_fit_chooses_by_stretches(series, tmp_path):
    u, y = series
    esn = small(alpha=ALPHAS, alpha_cv=3).partial_fit(u[:800], y[:800])
    esn.save(tmp_path / "model.npz")
    esn = ESNRegressor.load(tmp_path / "model.npz")
    esn.partial_fit(u[800:], y[800:], initial_state="last")
    np.testing.assert_allclose(esn.alpha_scores_, stretched_scores(esn, u, y, 3), rtol=1e-6)
    whole = small(alpha=esn.alpha_).fit(u, y)
    np.testing.assert_allclose(esn.coef_, whole.coef_, rtol=1e-7, atol=1e-10)


def test_too_few_rows_for_blocks_are_chosen_by_formula(series):
    u, y = series
    esn = small(alpha=ALPHAS, alpha_cv=3).partial_fit(u[:300], y[:300])
    by_formula = small(alpha=ALPHAS, alpha_cv=None).fit(u[:300], y[:300])
    np.testing.assert_allclose(esn.alpha_scores_, by_formula.alpha_scores_, rtol=1e-6)


def test_blocks_that_the_washout_empties_are_left_out(series):
    u, y = series
    esn = small(alpha=ALPHAS, alpha_cv=4, washout=60).fit(u[:120], y[:120])
    assert np.isfinite(esn.alpha_scores_).all()


def is_by_blocks(u, y):
    """Tell which way was taken: the scores of both are known."""
    settings = {"alpha": ALPHAS, "n_units": 20, "random_state": 0}
    scores = ESNRegressor(**settings).fit(u, y).alpha_scores_
    by_formula = ESNRegressor(**settings, alpha_cv=None).fit(u, y).alpha_scores_
    return not np.allclose(scores, by_formula, rtol=1e-9)


def test_targets_several_steps_ahead_are_chosen_by_blocks(rng):
    x = np.cumsum(rng.normal(size=(600, 1)), axis=0)
    assert not is_by_blocks(x[:-1], x[1:])
    assert is_by_blocks(x[:-24], x[24:])
    table = np.hstack([x[h : 570 + h] for h in range(1, 13)])
    assert is_by_blocks(x[:570], table)
    assert not is_by_blocks(x, rng.normal(size=(600, 2)))


def test_blocks_choose_better_where_errors_are_correlated(rng):
    """A random walk many steps ahead: nothing beats the last value, but much can be fitted."""
    errors = {"auto": [], None: []}
    for seed in range(6):
        x = np.cumsum(np.random.default_rng(seed).normal(size=(1200, 1)), axis=0) / 10
        for way, found in errors.items():
            esn = ESNRegressor(100, input_scaling=1.0, alpha=10.0 ** np.arange(-6, 5),
                               alpha_cv=way, random_state=seed)  # fmt: skip
            esn.fit(x[:500], x[48:548])
            predicted = esn.predict(x[500:1100], initial_state="last")
            found.append(np.mean((predicted - x[548:1148]) ** 2))
    assert np.median(errors["auto"]) < np.median(errors[None])
