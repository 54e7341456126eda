"""Ridge solutions: constructed readouts, scikit-learn's Ridge, scaling laws, the path of alphas."""

import itertools

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from reservoir.readout import (
    GramAccumulator,
    QRAccumulator,
    RidgeAccumulator,
    solve_ridge,
)
from tests.support.ridge_problems import BOTH, INTERCEPT, accumulate, assert_same, plain_ridge


class TestSolution:
    @BOTH
    def test_finds_a_constructed_readout(self, rng, kind):
        s, coef, intercept = rng.standard_normal((50, 7)), rng.standard_normal((2, 7)), [4.0, -1.0]
        solution = solve_ridge(accumulate(kind, s, s @ coef.T + intercept), 0.0)
        np.testing.assert_allclose(solution.coef, coef, atol=1e-13)
        np.testing.assert_allclose(solution.intercept, intercept, atol=1e-13)

    @BOTH
    @INTERCEPT
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("alpha", [0.0, 1e-6, 1.0, 1e3])
    @pytest.mark.parametrize("as_path", [False, True])
    def test_agrees_with_scikit_learn(self, problem, kind, fit_intercept, weighted, alpha, as_path):
        if as_path and alpha == 0.0:
            alpha = 1e-9
        s, y, weight = problem
        weight = weight if weighted else None
        reference = Ridge(alpha=alpha, fit_intercept=fit_intercept, solver="svd")
        reference.fit(s, y, sample_weight=weight)
        solution = solve_ridge(
            accumulate(kind, s, y, weight),
            [alpha] if as_path else alpha,
            fit_intercept=fit_intercept,
        )
        np.testing.assert_allclose(solution.coef, reference.coef_, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(solution.intercept, reference.intercept_, rtol=1e-8, atol=1e-9)
        assert solution.solver == kind.solver
        assert solution.alpha == alpha

    @BOTH
    @INTERCEPT
    @pytest.mark.parametrize("n_rows", [1, 2, 5, 13])
    def test_fewer_rows_than_features(self, problem, kind, fit_intercept, n_rows):
        s, y, weight = (part[:n_rows] for part in problem)
        coef, intercept = plain_ridge(s, y, 0.5, weight, fit_intercept)
        for alphas in (0.5, [0.5]):
            if n_rows == 1 and fit_intercept and alphas == [0.5]:
                continue
            solution = solve_ridge(
                accumulate(kind, s, y, weight), alphas, fit_intercept=fit_intercept
            )
            np.testing.assert_allclose(solution.coef, coef, atol=1e-11)
            np.testing.assert_allclose(solution.intercept, intercept, atol=1e-10)

    @BOTH
    def test_one_feature(self, rng, kind):
        s, y = rng.standard_normal((30, 1)), rng.standard_normal((30, 2))
        for alphas in (0.3, [0.3]):
            coef, _ = plain_ridge(s, y, 0.3)
            solution = solve_ridge(accumulate(kind, s, y), alphas)
            np.testing.assert_allclose(solution.coef, coef, rtol=1e-12)

    @BOTH
    def test_float32_rows_are_summed_in_float64(self, problem, kind):
        s, y, weight = problem
        s32, y32 = s.astype(np.float32), y.astype(np.float32)
        narrow = accumulate(kind, s32, y32, weight)
        wide = accumulate(kind, s32.astype(float), y32.astype(float), weight)
        assert_same(solve_ridge(narrow, 1e-6), solve_ridge(wide, 1e-6), rtol=1e-12)

    @BOTH
    def test_integers_are_rows_too(self, rng, kind):
        s, y = rng.integers(-9, 9, (40, 3)), rng.integers(0, 2, (40, 1)).astype(bool)
        coef, _ = plain_ridge(s.astype(float), y.astype(float), 1.0)
        np.testing.assert_allclose(solve_ridge(accumulate(kind, s, y), 1.0).coef, coef, rtol=1e-12)


class TestMetamorphic:
    @BOTH
    @INTERCEPT
    def test_rows_twice_is_alpha_twice(self, problem, kind, fit_intercept):
        s, y, _ = problem
        once = solve_ridge(accumulate(kind, s, y), 3.0, fit_intercept=fit_intercept)
        twice = accumulate(kind, np.vstack([s, s]), np.vstack([y, y]))
        assert_same(solve_ridge(twice, 6.0, fit_intercept=fit_intercept), once)

    @BOTH
    def test_weight_counts_a_row_and_zero_drops_it(self, problem, kind):
        s, y, _ = problem
        weight = np.resize([0.0, 1.0, 2.0], len(s))
        repeated = np.repeat(np.arange(len(s)), weight.astype(int))
        weighted = accumulate(kind, s, y, weight)
        assert_same(
            solve_ridge(weighted, 0.7), solve_ridge(accumulate(kind, s[repeated], y[repeated]), 0.7)
        )
        assert weighted.n_rows == np.count_nonzero(weight)
        kept = weight > 0
        assert_same(
            solve_ridge(weighted, [0.1, 0.7, 9.0]),
            solve_ridge(accumulate(kind, s[kept], y[kept], weight[kept]), [0.1, 0.7, 9.0]),
        )

    @BOTH
    @INTERCEPT
    @pytest.mark.parametrize("exponent", [-498, -40, 40, 498])
    def test_scale(self, problem, kind, fit_intercept, exponent):
        # Powers of two (1e-150 to 1e150) scale without rounding; squares still fit.
        s, y, weight = problem
        factor = 2.0**exponent
        for alphas in (3.0, [3.0, 300.0]):
            plain = solve_ridge(accumulate(kind, s, y, weight), alphas, fit_intercept=fit_intercept)
            scaled = solve_ridge(
                accumulate(kind, s * factor, y * factor, weight),
                np.multiply(alphas, factor**2),
                fit_intercept=fit_intercept,
            )
            np.testing.assert_allclose(scaled.coef, plain.coef, rtol=1e-11)
            np.testing.assert_allclose(scaled.intercept / factor, plain.intercept, rtol=1e-11)

    @pytest.mark.parametrize("exponent", [-600, 600])
    def test_factor_does_not_square(self, problem, exponent):
        s, y, _ = problem
        factor = 2.0**exponent
        plain = solve_ridge(accumulate(QRAccumulator, s, y), 0.0)
        for sums in (
            accumulate(QRAccumulator, s * factor, y * factor),
            RidgeAccumulator(12, 3, smallest_alpha=0.0).update(s * factor, y * factor),
        ):
            scaled = solve_ridge(sums, 0.0)
            assert scaled.solver == "qr"
            np.testing.assert_allclose(scaled.coef, plain.coef, rtol=1e-11)
        if exponent > 0:
            path = solve_ridge(sums, [1e-3, 1e3])
            assert path.alpha == 1e3  # neither matters: the larger of equals
            np.testing.assert_allclose(path.coef, plain.coef, rtol=1e-11)

    def test_auto_does_not_square_what_cannot_be_squared(self, problem):
        s, y, _ = problem
        sums = RidgeAccumulator(12, 3, smallest_alpha=1e300).update(s, y)
        assert sums.solver_used == "gram"
        sums.update(s * 2.0**560, y * 2.0**560)
        assert sums.solver_used == "qr"

    @BOTH
    def test_shift_changes_the_intercept_only(self, problem, kind):
        s, y, weight = problem
        plain = solve_ridge(accumulate(kind, s, y, weight), 2.0)
        shifted = solve_ridge(accumulate(kind, s + 100.0, y - 7.0, weight), 2.0)
        np.testing.assert_allclose(shifted.coef, plain.coef, rtol=1e-10)
        np.testing.assert_allclose(
            shifted.intercept, plain.intercept - 100.0 * plain.coef.sum(axis=1) - 7.0, rtol=1e-9
        )

    @BOTH
    def test_a_large_offset_costs_no_digits(self, rng, kind):
        # Integers and halves: the offset is added without rounding, so the readout is the same to
        # the last digits. Sums of products about zero would lose all of them: 1e8² eps = 2.
        s = rng.integers(-1000, 1000, (300, 6)) / 512.0
        y = s @ rng.standard_normal((6, 2)) + rng.standard_normal((300, 2))
        plain = solve_ridge(accumulate(kind, s, y), 1e-3)
        far = s + 2.0**27 * np.arange(1, 7)
        for edges in ((), (1,), (100, 200)):
            solution = solve_ridge(accumulate(kind, far, y, edges=edges), 1e-3)
            np.testing.assert_allclose(solution.coef, plain.coef, rtol=1e-11)
            residual = y - far @ solution.coef.T - solution.intercept
            np.testing.assert_allclose(residual.mean(axis=0), 0.0, atol=1e-5)


class TestPath:
    ALPHAS = np.logspace(-3, 4, 8)

    @BOTH
    @INTERCEPT
    @pytest.mark.parametrize("per_target", [True, False])
    @pytest.mark.parametrize("n_rows", [200, 9])
    def test_scores_are_those_of_the_explicit_hat_matrix(
        self, problem, kind, fit_intercept, per_target, n_rows
    ):
        s, y, weight = (part[:n_rows] for part in problem)
        expected = np.empty((len(self.ALPHAS), 3))
        root = np.sqrt(weight)[:, None]
        columns = root * np.hstack([np.ones((n_rows, int(fit_intercept))), s])
        for row, alpha in zip(expected, self.ALPHAS, strict=True):
            penalty = alpha * np.eye(columns.shape[1])
            penalty[:fit_intercept] = 0.0
            hat = columns @ np.linalg.solve(columns.T @ columns + penalty, columns.T)
            residual = root * y - hat @ (root * y)
            row[:] = (residual**2).sum(axis=0) / weight.sum()
            row /= (1.0 - np.trace(hat) / n_rows) ** 2
        solution = solve_ridge(
            accumulate(kind, s, y, weight),
            self.ALPHAS,
            fit_intercept=fit_intercept,
            per_target=per_target,
        )
        if not per_target:
            expected = expected.mean(axis=1)
        # Nine rows are fitted almost exactly: what is left of y² in the Gram has fewer digits.
        rtol = 1e-5 if kind is GramAccumulator else 1e-9
        np.testing.assert_allclose(solution.scores, expected, rtol=rtol)
        np.testing.assert_array_equal(solution.alpha, self.ALPHAS[expected.argmin(axis=0)])
        np.testing.assert_array_equal(solution.alphas, self.ALPHAS)

    @BOTH
    @pytest.mark.parametrize("per_target", [True, False])
    def test_chooses_as_ridge_cv(self, rng, kind, per_target):
        # Exact leave-one-out against its rotation-invariant average: with equal leverages close
        # enough to choose alike.
        s = rng.standard_normal((400, 30))
        y = s @ rng.standard_normal((30, 3)) * [0.05, 0.2, 2.0] + rng.standard_normal((400, 3))
        alphas = np.logspace(-1, 4, 11)
        reference = RidgeCV(alphas, alpha_per_target=per_target).fit(s, y)
        solution = solve_ridge(accumulate(kind, s, y), alphas, per_target=per_target)
        np.testing.assert_array_equal(solution.alpha, reference.alpha_)
        np.testing.assert_allclose(solution.coef, reference.coef_, rtol=1e-8)
        if per_target:
            assert len(set(solution.alpha)) > 1

    @BOTH
    @INTERCEPT
    def test_readout_is_that_of_the_chosen_alpha(self, problem, kind, fit_intercept):
        s, y, weight = problem
        sums = accumulate(kind, s, y, weight)
        path = solve_ridge(sums, self.ALPHAS, fit_intercept=fit_intercept, per_target=True)
        for target, alpha in enumerate(path.alpha):
            single = solve_ridge(sums, alpha, fit_intercept=fit_intercept)
            np.testing.assert_allclose(path.coef[target], single.coef[target], rtol=1e-8)
            np.testing.assert_allclose(path.intercept[target], single.intercept[target], rtol=1e-8)

    @BOTH
    @INTERCEPT
    @pytest.mark.parametrize("per_target", [True, False])
    def test_held_out_scores_are_those_of_refits(self, problem, kind, fit_intercept, per_target):
        s, y, weight = problem
        edges = [0, 20, 100, 200]
        expected = np.zeros((len(self.ALPHAS), 3))
        blocks = []
        for a, b in itertools.pairwise(edges):
            blocks.append(accumulate(kind, s[a:b], y[a:b], weight[a:b]))
            rest = np.r_[0:a, b:200]
            for row, alpha in zip(expected, self.ALPHAS, strict=True):
                ridge = Ridge(alpha=alpha, fit_intercept=fit_intercept, solver="svd")
                ridge.fit(s[rest], y[rest], sample_weight=weight[rest])
                row += weight[a:b] @ (y[a:b] - ridge.predict(s[a:b])) ** 2
        expected /= weight.sum()
        if not per_target:
            expected = expected.mean(axis=1)
        total = accumulate(kind, s, y, weight)
        solution = solve_ridge(
            total,
            self.ALPHAS,
            fit_intercept=fit_intercept,
            per_target=per_target,
            selection=blocks,
        )
        np.testing.assert_allclose(solution.scores, expected, rtol=1e-8)
        np.testing.assert_array_equal(solution.alpha, self.ALPHAS[expected.argmin(axis=0)])
        single = solve_ridge(total, float(np.max(solution.alpha)), fit_intercept=fit_intercept)
        column = np.argmax(solution.alpha) if per_target else 0
        np.testing.assert_allclose(solution.coef[column], single.coef[column], rtol=1e-8)

    def test_held_out_blocks_may_have_stayed_gram(self, rng):
        s, y = rng.standard_normal((400, 5)), rng.standard_normal((400, 1))
        # 100 eps trace is 4.4e-11 for all rows and a quarter of it for a block.
        blocks = [
            RidgeAccumulator(5, 1, smallest_alpha=3e-11).update(s[a : a + 100], y[a : a + 100])
            for a in range(0, 400, 100)
        ]
        total = RidgeAccumulator(5, 1, smallest_alpha=3e-11)
        for block in blocks:
            total.merge(block)
        assert {block.solver_used for block in blocks} == {"gram"}
        assert total.solver_used == "qr"
        alphas = [3e-11, 1.0, 30.0]
        mixed = solve_ridge(total, alphas, selection=blocks)
        direct = [
            accumulate(QRAccumulator, s[a : a + 100], y[a : a + 100]) for a in range(0, 400, 100)
        ]
        plain = solve_ridge(accumulate(QRAccumulator, s, y), alphas, selection=direct)
        np.testing.assert_allclose(mixed.scores, plain.scores, rtol=1e-9)
        assert mixed.alpha == plain.alpha

    @BOTH
    def test_of_equals_the_largest_alpha(self, kind):
        # A constant target: every candidate predicts it without error.
        s = np.arange(10.0)[:, None]
        solution = solve_ridge(accumulate(kind, s, np.full((10, 1), 3.0)), [1.0, 100.0, 10.0])
        assert solution.alpha == 100.0
        np.testing.assert_allclose(solution.scores, 0.0, atol=1e-25)
        np.testing.assert_allclose(solution.intercept, 3.0)

    def test_a_number_has_no_scores(self, problem):
        s, y, _ = problem
        assert solve_ridge(accumulate(GramAccumulator, s, y), 1.0).scores is None
