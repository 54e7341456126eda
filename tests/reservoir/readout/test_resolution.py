"""Which sums a path of alphas takes: products while they tell the best one, or a factor."""

import warnings

import numpy as np
import pytest

from reservoir.readout import RidgeAccumulator, solve_ridge
from reservoir.readout import _accumulator as module
from reservoir.utils.device import to_host

PATH = np.logspace(-14, 2, 17)


def ill_conditioned(rng, n_rows, n_features):
    """Features whose singular values fall from √n_rows by ten powers, about means far from zero."""
    rows = rng.normal(size=(n_rows, n_features)) * np.logspace(0, -10, n_features)
    mixing, _ = np.linalg.qr(rng.normal(size=(n_features, n_features)))
    return rows @ mixing


def accumulate(s, y, *, solver="auto", chunk=500, weights=None, fit_intercept=True):
    sums = RidgeAccumulator(
        s.shape[1],
        y.shape[1],
        solver=solver,
        smallest_alpha=PATH.min(),
        path=PATH,
        fit_intercept=fit_intercept,
    )
    for start in range(0, len(s), chunk):
        rows = slice(start, start + chunk)
        sums.update(s[rows], y[rows], None if weights is None else weights[rows])
    return sums


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("chunk", [150, 500, 4000])
@pytest.mark.parametrize("noise", [1e-1, 1e-3])
def test_noise_needs_no_factor_and_the_same_alpha_is_chosen(rng, noise, chunk, fit_intercept):
    s = ill_conditioned(rng, 4000, 200)
    y = s @ rng.normal(size=(200, 2)) + noise * rng.normal(size=(4000, 2))
    sums = accumulate(s, y, chunk=chunk, fit_intercept=fit_intercept)
    assert sums.solver_used == "gram"
    assert PATH.min() < 1e-2 * 2.2e-16 * sums.sums.noise_trace() * 100  # far beyond the bound
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that the rest of the path is lost hides nothing
        ours = solve_ridge(sums, PATH, fit_intercept=fit_intercept)
    exact = solve_ridge(accumulate(s, y, solver="qr"), PATH, fit_intercept=fit_intercept)
    assert ours.alpha == exact.alpha
    np.testing.assert_allclose(s @ ours.coef.T, s @ exact.coef.T, atol=1e-6 * np.abs(y).max())


@pytest.mark.parametrize("chunk", [150, 500, 4000])
def test_without_noise_a_factor_keeps_the_digits(rng, chunk):
    s = ill_conditioned(rng, 4000, 200)
    coef = rng.normal(size=(200, 1))
    sums = accumulate(s, s @ coef, chunk=chunk)
    assert sums.solver_used == "qr"

    def error(sums):
        solution = solve_ridge(sums, PATH)
        return np.abs(s @ solution.coef.T + solution.intercept - s @ coef).max()

    assert solve_ridge(sums, PATH).alpha == PATH.min()
    assert error(sums) < 1.1 * error(accumulate(s, s @ coef, solver="qr"))
    with pytest.warns(match="of the path cannot be told from rounding"):
        assert error(sums) < 0.1 * error(accumulate(s, s @ coef, solver="gram"))


def test_one_target_without_noise_is_enough_for_a_factor(rng):
    s = ill_conditioned(rng, 3000, 100)
    y = s @ rng.normal(size=(100, 2))
    y[:, 0] += 0.1 * rng.normal(size=3000)
    assert accumulate(s, y).solver_used == "qr"
    assert accumulate(s, y[:, :1]).solver_used == "gram"


def test_noise_that_ends_is_noticed(rng):
    s = ill_conditioned(rng, 20000, 60)
    y = s @ rng.normal(size=(60, 1))
    y[:300] += 1e-7 * rng.normal(size=(300, 1))
    sums = accumulate(s, y, chunk=250)
    assert sums.solver_used == "qr"


def test_it_is_asked_again_when_there_are_four_times_as_many_rows(rng, monkeypatch):
    asked = []
    plain = module.resolves_best_alpha
    monkeypatch.setattr(
        module,
        "resolves_best_alpha",
        lambda sums, rows, *args, **kw: asked.append(sums.n_rows) or plain(sums, rows, *args, **kw),
    )
    s = ill_conditioned(rng, 8000, 50)
    y = s @ rng.normal(size=(50, 1)) + 0.1 * rng.normal(size=(8000, 1))
    assert accumulate(s, y, chunk=100).solver_used == "gram"
    assert asked == [0, 400, 2000]


def test_weights_and_unknown_rows_of_zero_weight(rng):
    s = ill_conditioned(rng, 3000, 100)
    y = s @ rng.normal(size=(100, 1))
    weights = np.ones(3000)
    weights[::3] = 0.0
    y[::3] += 10.0 * rng.normal(size=(1000, 1))  # noise that does not count
    assert accumulate(s, y, weights=weights).solver_used == "qr"
    assert accumulate(s, y).solver_used == "gram"


def test_parts_that_are_merged_ask_together(rng):
    s = ill_conditioned(rng, 4000, 100)
    truth = s @ rng.normal(size=(100, 1))
    for y, expected in [
        (truth + 0.1 * rng.normal(size=(4000, 1)), "gram"),
        (truth, "qr"),
    ]:
        parts = [accumulate(s[a : a + 1000], y[a : a + 1000]) for a in range(0, 4000, 1000)]
        total = parts[0]
        for part in parts[1:]:
            total.merge(part)
        assert total.solver_used == expected
        whole = solve_ridge(accumulate(s, y, solver="qr"), PATH)
        merged = solve_ridge(total, PATH)
        np.testing.assert_allclose(
            s @ merged.coef.T, s @ whole.coef.T, atol=1e-6 * np.abs(truth).max()
        )


def test_a_mean_far_away_costs_no_digits_of_centred_features(rng):
    s = rng.normal(size=(2000, 5))
    far = s + 1e4
    y = s @ rng.normal(size=(5, 1))
    # 100 eps trace is 5e-7 of the raw features, 2e-10 of the centred ones.
    sums = RidgeAccumulator(5, 1, smallest_alpha=1e-8, fit_intercept=True)
    for start in (0, 700):
        sums.update(far[start : start + 700], y[start : start + 700])
    assert sums.solver_used == "gram"
    assert RidgeAccumulator(5, 1, smallest_alpha=1e-8).update(far, y).solver_used == "qr"
    assert (
        RidgeAccumulator(5, 1, smallest_alpha=1e-11, fit_intercept=True).update(far, y).solver_used
        == "qr"
    )


def test_an_error_that_falls_to_the_edge_of_what_is_resolved_warns(rng):
    s = ill_conditioned(rng, 1000, 50)
    y = s @ rng.normal(size=(50, 1))
    sums = accumulate(s, y, solver="gram")
    with pytest.warns(match="of the path cannot be told from rounding"):
        solution = solve_ridge(sums, PATH)
    assert np.isnan(solution.scores[0])
    assert to_host(sums.sums.moments).shape == (52, 52)
