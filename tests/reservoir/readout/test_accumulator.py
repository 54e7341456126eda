"""RidgeAccumulator: when it goes over from Gram to QR, and from single to double precision."""

import itertools
import warnings

import numpy as np
import pytest

from reservoir.readout import (
    GramAccumulator,
    QRAccumulator,
    RidgeAccumulator,
    solve_ridge,
)
from tests.support.ridge_problems import accumulate, assert_same


class TestAuto:
    @pytest.mark.parametrize("ratio", [1.1, 2.0, 100.0])
    def test_turning_the_gram_costs_less_than_a_hundredth_of_alpha(self, rng, ratio):
        # The rows so far sit as high above alpha as they may; then rows come that make the Gram too
        # coarse. Turning it adds E to SᵀS, rounding in the Gram included, with
        # ‖E‖ <= alpha / (100 ratio): weights move by ‖E‖ / alpha at most, and what ridge minimises
        # by the square of that.
        s = rng.standard_normal((2000, 40)) @ np.diag(np.logspace(0, -9, 40))
        s = s @ np.linalg.qr(rng.standard_normal((40, 40)))[0]
        y = s @ rng.standard_normal((40, 2)) + 1e-9 * rng.standard_normal((2000, 2))
        alpha = ratio * 100 * np.finfo(float).eps * float((s[:1000] ** 2).sum())
        sums = RidgeAccumulator(40, 2, smallest_alpha=alpha).update(s[:1000], y[:1000])
        assert sums.solver_used == "gram"
        turned = sums.sums.to_factor().update(s[1000:], y[1000:])
        direct = accumulate(QRAccumulator, s, y)
        coefs = [solve_ridge(sums, alpha).coef for sums in (direct, turned)]
        assert np.linalg.norm(coefs[1] - coefs[0]) < np.linalg.norm(coefs[0]) / (100 * ratio)
        direct_value, value = (
            np.linalg.norm(y - y.mean(axis=0) - (s - s.mean(axis=0)) @ coef.T) ** 2
            + alpha * np.linalg.norm(coef) ** 2
            for coef in coefs
        )
        assert value < direct_value * (1 + 1e-4 / ratio**2)

    def test_factor_of_the_gram_has_its_products(self, problem):
        s, y, weight = problem
        sums = accumulate(GramAccumulator, s, y, weight)
        factor = sums.to_factor()
        products = factor.factor.T @ factor.factor
        full = np.tril(sums.moments) + np.tril(sums.moments, -1).T
        np.testing.assert_allclose(products, full, atol=1e-13 * np.abs(full).max())
        assert np.array_equal(factor.factor, np.triu(factor.factor))
        np.testing.assert_array_equal(factor.shift, sums.shift)

    def test_streaming_through_the_switch(self, problem):
        s, y, weight = problem
        trace = float(weight @ (s**2).sum(axis=1))
        alpha = 60 * np.finfo(float).eps * trace
        sums = RidgeAccumulator(12, 3, smallest_alpha=alpha)
        seen = []
        for start in range(0, 200, 20):
            rows = slice(start, start + 20)
            sums.update(s[rows], y[rows], weight[rows])
            seen.append(sums.solver_used)
        assert seen == sorted(seen)
        assert set(seen) == {"gram", "qr"}
        direct = solve_ridge(accumulate(QRAccumulator, s, y, weight), alpha)
        assert_same(solve_ridge(sums, alpha), direct, rtol=1e-9)
        assert solve_ridge(sums, alpha).solver == "qr"

    @pytest.mark.parametrize("smallest_alpha", [1e-30, 3e-11, 1.0])
    def test_merging(self, rng, smallest_alpha):
        s, y = rng.standard_normal((400, 5)) + 1.0, rng.standard_normal((400, 1))
        parts = [
            RidgeAccumulator(5, 1, smallest_alpha=smallest_alpha).update(s[a:b], y[a:b])
            for a, b in ((0, 10), (10, 390), (390, 400))
        ]
        reference = solve_ridge(accumulate(QRAccumulator, s, y), 1.0)
        for order in itertools.permutations(parts):
            merged = RidgeAccumulator(5, 1, smallest_alpha=smallest_alpha)
            for part in order:
                merged.merge(part)
            assert merged.solver_used == ("gram" if smallest_alpha == 1.0 else "qr")
            assert merged.n_rows == 400
            assert_same(solve_ridge(merged, 1.0), reference)

    def test_far_shift_of_the_first_rows_counts(self, rng):
        # The provisional shift is the mean of the first rows: about it, later rows are large.
        s = np.vstack([1e4 + rng.standard_normal((2, 3)), rng.standard_normal((1000, 3))])
        y = rng.standard_normal((1002, 1))
        sums = RidgeAccumulator(3, 1, smallest_alpha=1e-4)
        sums.update(s[:2], y[:2]).update(s[2:], y[2:])
        assert sums.solver_used == "qr"

    @pytest.mark.parametrize("solver", ["gram", "qr"])
    def test_a_solver_that_was_asked_for_stays(self, problem, solver):
        s, y, _ = problem
        for alpha in (1e-30, 1e30):
            sums = RidgeAccumulator(12, 3, solver=solver, smallest_alpha=alpha).update(s, y)
            assert sums.merge(sums.copy()).solver_used == solver
            assert solve_ridge(sums, 1.0).solver == solver

    def test_auto_never_warns_above_its_smallest_alpha(self, rng):
        s = rng.standard_normal((3000, 50)) @ np.diag(np.logspace(0, -12, 50))
        y = rng.standard_normal((3000, 1))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for alpha in np.logspace(-25, 2, 28):
                sums = RidgeAccumulator(50, 1, smallest_alpha=alpha).update(s, y)
                for fit_intercept in (True, False):
                    solve_ridge(sums, alpha, fit_intercept=fit_intercept)
                    solve_ridge(sums, [alpha, 10 * alpha], fit_intercept=fit_intercept)


class TestSinglePrecision:
    """Products made in float32 where alpha drowns their rounding."""

    @staticmethod
    def states(rng, n_rows=3000, n_features=80):
        mixing = rng.standard_normal((n_features, n_features)) / np.sqrt(n_features)
        return np.tanh(rng.standard_normal((n_rows, n_features)) @ mixing).astype(np.float32)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_large_alpha_is_known_to_a_percent(self, rng, weighted):
        s = self.states(rng)
        y = s[:, :2] @ rng.standard_normal((2, 1)) + rng.standard_normal((len(s), 1))
        weight = rng.uniform(0, 2, len(s)) if weighted else None
        alpha = 40 * np.finfo(np.float32).eps * float(np.square(s - s.mean(axis=0)).sum()) * 2
        exact = GramAccumulator(80, 1).update(s, y, weight)
        sums = RidgeAccumulator(80, 1, smallest_alpha=alpha, allow_single=True)
        sums.update(s, y, weight)
        difference = np.abs(np.tril(sums.sums.moments - exact.moments))[1:-1, 1:-1]
        assert 0 < np.linalg.norm(difference, 2) < 0.013 * alpha
        coef = solve_ridge(sums, alpha).coef
        np.testing.assert_allclose(coef, solve_ridge(exact, alpha).coef, atol=1e-4)

    def test_small_alpha_gets_float64_from_the_first_row(self, rng):
        s, y = self.states(rng), rng.standard_normal((3000, 1))
        single = RidgeAccumulator(80, 1, smallest_alpha=1e-3, allow_single=True).update(s, y)
        double = RidgeAccumulator(80, 1, smallest_alpha=1e-3).update(s, y)
        np.testing.assert_array_equal(single.sums.moments, double.sums.moments)
        assert single.sums.resolution_floor == double.sums.resolution_floor

    def test_goes_over_to_float64_in_time(self, rng):
        s, y = self.states(rng), rng.standard_normal((3000, 1))
        eps = np.finfo(np.float32).eps
        alpha = 32 * eps * float(np.square(s[:1500] - s[:1500].mean(axis=0)).sum())
        sums = RidgeAccumulator(80, 1, smallest_alpha=alpha, allow_single=True)
        for start in range(0, 3000, 500):
            sums.update(s[start : start + 500], y[start : start + 500])
        assert 0.5 * alpha < sums.sums.resolution_floor < alpha
        assert sums.n_rows == 3000
        exact = GramAccumulator(80, 1).update(s, y)
        coef = solve_ridge(sums, alpha).coef
        np.testing.assert_allclose(coef, solve_ridge(exact, alpha).coef, atol=1e-5)

    def test_float64_rows_stay_float64(self, rng):
        s, y = self.states(rng).astype(np.float64), rng.standard_normal((3000, 1))
        single = RidgeAccumulator(80, 1, smallest_alpha=1e6, allow_single=True).update(s, y)
        np.testing.assert_array_equal(
            single.sums.moments, GramAccumulator(80, 1).update(s, y).moments
        )
