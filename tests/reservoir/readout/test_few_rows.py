"""Rows fewer than columns, and errors that rounding decides."""

import numpy as np
import pytest

from reservoir.readout import GramAccumulator, QRAccumulator, RidgeAccumulator, solve_ridge
from tests.support.ridge_problems import BOTH, INTERCEPT, accumulate, assert_same, plain_ridge


class TestFewRows:
    """Of fewer rows than columns, small alphas leave residuals that normal equations lose."""

    alphas = np.logspace(-8, 3, 12)

    @pytest.fixture
    def few(self, rng):
        # Nearly collinear features, as states are, and targets with noise.
        s = np.tanh(rng.standard_normal((60, 8)) @ rng.standard_normal((8, 150)))
        return s, s[:, :2] + 0.5 * rng.standard_normal((60, 2))

    def scores(self, s, y, alphas, fit_intercept):
        """Generalised cross-validation by the singular values, of which nothing cancels."""
        if fit_intercept:
            s, y = s - s.mean(axis=0), y - y.mean(axis=0)
        n_free = len(s) - fit_intercept
        left, values, _ = np.linalg.svd(s)
        values = values[:n_free]
        shrink = alphas[:, None] / (values**2 + alphas[:, None])
        errors = shrink**2 @ (left[:, :n_free].T @ y) ** 2 / len(s)
        return errors.mean(axis=1) / (shrink.sum(axis=1) / len(s)) ** 2

    @INTERCEPT
    @pytest.mark.parametrize("split", [[60], [1, 59], [20, 20, 20]])
    def test_scores_are_those_of_the_singular_values(self, few, fit_intercept, split):
        s, y = few
        sums = RidgeAccumulator(150, 2, smallest_alpha=1e-8, keeps_few=True)
        for rows in np.split(np.arange(60), np.cumsum(split)[:-1]):
            sums.update(s[rows], y[rows])
        assert sums.solver_used == "gram"
        solution = solve_ridge(sums, self.alphas, fit_intercept=fit_intercept)
        expected = self.scores(s, y, self.alphas, fit_intercept)
        np.testing.assert_allclose(solution.scores, expected, rtol=1e-6)
        assert solution.alpha == self.alphas[np.argmin(expected)]
        coef, intercept = plain_ridge(s, y, solution.alpha, fit_intercept=fit_intercept)
        np.testing.assert_allclose(solution.coef, coef, atol=1e-9)
        np.testing.assert_allclose(solution.intercept, intercept, atol=1e-9)

    def test_weights_and_merging(self, few, rng):
        s, y = few
        weight = rng.uniform(0.5, 2.0, 60)
        parts = [RidgeAccumulator(150, 2, smallest_alpha=1e-8, keeps_few=True) for _ in range(2)]
        parts[0].update(s[:25], y[:25], weight[:25])
        parts[1].update(s[25:], y[25:], weight[25:])
        merged = solve_ridge(parts[0].merge(parts[1]), self.alphas)
        factor = QRAccumulator(150, 2).update(s, y, weight)
        whole = solve_ridge(factor, self.alphas)
        np.testing.assert_allclose(merged.scores, whole.scores, rtol=1e-6)
        assert_same(merged, whole, rtol=1e-6)

    def test_rows_are_dropped_once_they_are_many(self, rng):
        s, y = rng.standard_normal((40, 9)), rng.standard_normal((40, 1))
        kept = RidgeAccumulator(9, 1, smallest_alpha=1e-8, keeps_few=True)
        plain = RidgeAccumulator(9, 1, smallest_alpha=1e-8)
        for start in range(0, 40, 4):
            kept.update(s[start : start + 4], y[start : start + 4])
            plain.update(s[start : start + 4], y[start : start + 4])
            assert (kept.factor_of_few() is not None) == (start + 4 < 11)
        np.testing.assert_array_equal(kept.sums.moments, plain.sums.moments)

    def test_sums_alone_never_choose_what_they_cannot_tell(self, few):
        s, y = few
        sums = GramAccumulator(150, 2).update(s, y)
        alphas = np.logspace(-9, 3, 13)
        scores = solve_ridge(sums, alphas).scores
        is_told = np.isfinite(scores)
        assert not is_told[0]
        assert is_told[-6:].all()
        expected = self.scores(s, y, alphas, True)
        # Ten times what rounding does is left: a tenth.
        np.testing.assert_allclose(scores[is_told], expected[is_told], rtol=0.1)

    @BOTH
    def test_unresolved_errors_are_not_chosen(self, rng, kind):
        # Targets without noise: the smallest alphas leave less than rounding.
        s = rng.standard_normal((300, 5))
        y = s @ rng.standard_normal((5, 1)) + 3.0
        alphas = np.array([1e-11, 1e-6, 1e-2])
        solution = solve_ridge(accumulate(kind, s, y), alphas)
        assert np.isnan(solution.scores[0]) == (kind is GramAccumulator)
        assert np.isfinite(solution.scores[2])
        assert np.isfinite(solution.scores[list(alphas).index(solution.alpha)])

    def test_unresolved_errors_of_blocks_are_not_chosen(self, rng):
        s = rng.standard_normal((300, 5))
        y = s @ rng.standard_normal((5, 1)) + 3.0
        blocks = [GramAccumulator(5, 1).update(s[i::3], y[i::3]) for i in range(3)]
        total = GramAccumulator(5, 1)
        for block in blocks:
            total.merge(block)
        solution = solve_ridge(total, [1e-11, 1e-6, 1e-2, 1.0], selection=blocks)
        assert np.isnan(solution.scores[0])
        assert np.isfinite(solution.scores[-1])
        assert solution.alpha > 1e-11
