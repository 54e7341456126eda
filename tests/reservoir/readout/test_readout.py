import itertools
import tracemalloc
import warnings
from fractions import Fraction

import numpy as np
import pytest
from scipy.linalg import LinAlgWarning, hilbert
from sklearn.linear_model import Ridge, RidgeCV

from reservoir.readout import (
    GramAccumulator,
    QRAccumulator,
    RidgeAccumulator,
    check_alphas,
    leave_one_out,
    solve_ridge,
)

BOTH = pytest.mark.parametrize("kind", [GramAccumulator, QRAccumulator])
INTERCEPT = pytest.mark.parametrize("fit_intercept", [True, False])


@pytest.fixture
def problem(rng):
    """Correlated features away from zero, three noisy targets of different scales, weights."""
    s = rng.standard_normal((200, 12)) @ rng.standard_normal((12, 12)) + rng.uniform(-5, 5, 12)
    noise = rng.standard_normal((200, 3))
    y = s @ rng.standard_normal((12, 3)) * [1.0, 10.0, 0.1] + [3.0, -50.0, 0.2] + noise
    return s, y, rng.uniform(0.1, 3.0, 200)


def accumulate(kind, s, y, weight=None, edges=()):
    sums = kind(s.shape[1], y.shape[1])
    for start, stop in itertools.pairwise([0, *edges, len(s)]):
        sums.update(s[start:stop], y[start:stop], None if weight is None else weight[start:stop])
    return sums


def plain_ridge(s, y, alpha, weight=None, fit_intercept=True):
    """Ridge as least squares with √α I as more rows: slow, obvious."""
    weight = np.ones(len(s)) if weight is None else weight
    s_mean = weight @ s / weight.sum() if fit_intercept else np.zeros(s.shape[1])
    y_mean = weight @ y / weight.sum() if fit_intercept else np.zeros(y.shape[1])
    root = np.sqrt(weight)[:, None]
    rows = np.vstack([root * (s - s_mean), np.sqrt(alpha) * np.eye(s.shape[1])])
    right = np.vstack([root * (y - y_mean), np.zeros((s.shape[1], y.shape[1]))])
    coef = np.linalg.lstsq(rows, right, rcond=None)[0].T
    return coef, y_mean - coef @ s_mean


def assert_same(solution, other, rtol=1e-9):
    np.testing.assert_allclose(
        solution.coef, other.coef, rtol=rtol, atol=rtol * np.abs(other.coef).max()
    )
    np.testing.assert_allclose(
        solution.intercept, other.intercept, rtol=rtol, atol=rtol * np.abs(other.intercept).max()
    )


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


class TestStreaming:
    @BOTH
    @INTERCEPT
    @pytest.mark.parametrize("edges", [(1,), (7, 8, 9), (100, 100, 150), tuple(range(1, 200))])
    def test_any_split_is_one_batch(self, problem, kind, fit_intercept, edges):
        s, y, weight = problem
        batch = solve_ridge(accumulate(kind, s, y, weight), 0.1, fit_intercept=fit_intercept)
        split = solve_ridge(accumulate(kind, s, y, weight, edges), 0.1, fit_intercept=fit_intercept)
        assert_same(split, batch)

    @BOTH
    def test_more_rows_than_the_inner_buffers(self, rng, kind):
        s, y = rng.standard_normal((2500, 5)) + 3.0, rng.standard_normal((2500, 1))
        coef, intercept = plain_ridge(s, y, 1.0)
        solution = solve_ridge(accumulate(kind, s, y), 1.0)
        np.testing.assert_allclose(solution.coef, coef, atol=1e-13)
        np.testing.assert_allclose(solution.intercept, intercept, atol=1e-13)

    @BOTH
    @INTERCEPT
    def test_merging_in_any_order(self, problem, kind, fit_intercept):
        s, y, weight = problem
        whole = solve_ridge(accumulate(kind, s, y, weight), 0.1, fit_intercept=fit_intercept)
        parts = [slice(0, 50), slice(50, 51), slice(51, 51), slice(51, 200)]
        for order in itertools.permutations(parts):
            merged = kind(12, 3)
            for part in order:
                merged.merge(accumulate(kind, s[part], y[part], weight[part]))
            assert merged.n_rows == 200
            assert_same(solve_ridge(merged, 0.1, fit_intercept=fit_intercept), whole)

    def test_subtracting_takes_rows_back(self, problem):
        s, y, weight = problem
        total = accumulate(GramAccumulator, s, y, weight)
        total.subtract(accumulate(GramAccumulator, s[:60], y[:60], weight[:60]))
        rest = accumulate(GramAccumulator, s[60:], y[60:], weight[60:])
        assert total.n_rows == rest.n_rows
        assert_same(solve_ridge(total, 0.1), solve_ridge(rest, 0.1))

    @BOTH
    def test_leave_one_out(self, problem, kind):
        s, y, weight = problem
        edges = [0, 30, 90, 91, 200]
        blocks = [
            accumulate(kind, s[a:b], y[a:b], weight[a:b]) for a, b in itertools.pairwise(edges)
        ]
        for (a, b), rest in zip(itertools.pairwise(edges), leave_one_out(blocks), strict=True):
            others = np.r_[0:a, b:200]
            direct = accumulate(kind, s[others], y[others], weight[others])
            assert_same(solve_ridge(rest, 0.1), solve_ridge(direct, 0.1))

    @BOTH
    def test_a_copy_is_independent(self, problem, kind):
        s, y, _ = problem
        sums = accumulate(kind, s, y)
        before = solve_ridge(sums, 1.0)
        sums.copy().update(-s, y)
        np.testing.assert_array_equal(solve_ridge(sums, 1.0).coef, before.coef)

    @BOTH
    @pytest.mark.parametrize("action", ["update", "merge"])
    def test_sums_mapped_read_only_are_copied(self, problem, kind, action):
        # As joblib hands them to a worker: BLAS and LAPACK would write to them all the same.
        s, y, _ = problem
        sums = accumulate(kind, s[:100], y[:100])
        name = "moments" if kind is GramAccumulator else "factor"
        mapped = getattr(sums, name)
        before = mapped.copy()
        mapped.flags.writeable = False
        if action == "update":
            sums.update(s[100:], y[100:])
        else:
            sums.merge(accumulate(kind, s[100:], y[100:]))
        np.testing.assert_array_equal(mapped, before)
        assert_same(solve_ridge(sums, 1.0), solve_ridge(accumulate(kind, s, y), 1.0))

    @BOTH
    def test_solving_leaves_the_sums_alone(self, problem, kind):
        s, y, _ = problem
        sums = accumulate(kind, s, y)
        first = solve_ridge(sums, 1.0)
        for fit_intercept in (True, False):
            solve_ridge(sums, [1.0, 2.0], fit_intercept=fit_intercept)
            solve_ridge(sums, 1.0, fit_intercept=fit_intercept)
        np.testing.assert_array_equal(solve_ridge(sums, 1.0).coef, first.coef)

    @BOTH
    @pytest.mark.parametrize("alphas", [1e-2, np.logspace(-2, 2, 20)])
    def test_memory_is_a_few_matrices(self, rng, kind, alphas):
        n = 300
        s, y = rng.standard_normal((1000, n)), rng.standard_normal((1000, 2))
        sums = kind(n, 2)
        tracemalloc.start()
        sums.update(s, y)
        tracemalloc.reset_peak()
        held = tracemalloc.get_traced_memory()[0]
        solve_ridge(sums, alphas)
        extra = (tracemalloc.get_traced_memory()[1] - held) / (8 * n * n)
        tracemalloc.stop()
        assert extra < (1.5 if kind is GramAccumulator else 9.0)


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


def exact_ridge(s, y, alpha):
    """Solve (SᵀS + αI) v = Sᵀy in rational numbers."""
    s = [[Fraction(x) for x in row] for row in s.tolist()]
    y = [Fraction(x) for x in y.tolist()]
    n = len(s[0])
    columns = list(zip(*s, strict=True))
    rows = [
        [sum(a * b for a, b in zip(columns[i], columns[j], strict=True)) for j in range(n)]
        + [sum(a * b for a, b in zip(columns[i], y, strict=True))]
        for i in range(n)
    ]
    for i in range(n):
        rows[i][i] += Fraction(alpha)
    for i in range(n):
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for j in range(n):
            if j != i:
                rows[j] = [x - rows[j][i] * p for x, p in zip(rows[j], rows[i], strict=True)]
    return np.array([float(row[-1]) for row in rows])


class TestDigits:
    @pytest.mark.parametrize("n", [6, 8, 10])
    @pytest.mark.parametrize("as_path", [False, True])
    def test_factor_keeps_the_digits_that_the_gram_loses(self, n, as_path):
        # A Hilbert matrix as it is stored, and its ridge solution in rational arithmetic:
        # condition numbers 1.5e7 to 1.6e13, squared for the Gram. Signs that alternate put a large
        # part of the readout where the singular value is the smallest, which alpha halves.
        s = hilbert(n)
        y = s @ (-1.0) ** np.arange(n)
        smallest = np.linalg.svd(s, compute_uv=False)[-1]
        alpha = float(smallest**2)
        expected = exact_ridge(s, y, alpha)
        alphas = [alpha] if as_path else alpha
        factor, gram = (
            accumulate(kind, s, y[:, None]) for kind in (QRAccumulator, GramAccumulator)
        )
        solution = solve_ridge(factor, alphas, fit_intercept=False)
        # A relative error of the condition number times a few eps.
        bound = 20 * np.finfo(float).eps / smallest
        assert np.abs(solution.coef[0] - expected).max() < bound
        with pytest.warns(LinAlgWarning, match='solver="qr"'):
            lossy = solve_ridge(gram, alphas, fit_intercept=False)
        assert np.abs(lossy.coef[0] - expected).max() > 0.1
        auto = RidgeAccumulator(n, 1, smallest_alpha=alpha).update(s, y[:, None])
        assert auto.solver_used == "qr"

    @INTERCEPT
    def test_known_spectrum_over_twenty_orders_of_alpha(self, rng, fit_intercept):
        # S = U diag(σ) Vᵀ with U ⟂ 1: the readout of Y = S V₀ is V diag(σ² / (σ² + α)) Vᵀ V₀.
        n = 30
        sigma = np.logspace(2, -8, n)
        basis = np.linalg.qr(np.hstack([np.ones((500, 1)), rng.standard_normal((500, n))]))[0]
        right = np.linalg.qr(rng.standard_normal((n, n)))[0]
        s = (basis[:, 1:] * sigma) @ right.T
        z = rng.standard_normal((n, 1))
        sums = accumulate(QRAccumulator, s, basis[:, 1:] @ z + (3.0 if fit_intercept else 0.0))
        for alpha in np.logspace(-20, 0, 11):
            filtered = right @ (sigma / (sigma**2 + alpha) * z[:, 0])
            for alphas in (alpha, [alpha]):
                solution = solve_ridge(sums, alphas, fit_intercept=fit_intercept)
                error = np.linalg.norm(solution.coef[0] - filtered) / np.linalg.norm(filtered)
                # Rounding of 1e2 eps in S against max(√α, σ_min).
                assert error < 1e-13 / max(np.sqrt(alpha), 1e-8) + 1e-12

    @BOTH
    @pytest.mark.parametrize("fit_intercept", [True, False])
    def test_rank_deficient_least_squares_is_of_least_norm(self, rng, kind, fit_intercept):
        s = rng.standard_normal((60, 4)) @ rng.standard_normal((4, 9))
        y = s @ rng.standard_normal((9, 2))
        centred = s - s.mean(axis=0) if fit_intercept else s
        expected = (np.linalg.pinv(centred, rcond=1e-10) @ y).T
        with pytest.warns(LinAlgWarning, match="alpha=0 cannot be told from rounding"):
            solution = solve_ridge(accumulate(kind, s, y), 0.0, fit_intercept=fit_intercept)
        np.testing.assert_allclose(solution.coef, expected, atol=1e-11)

    @BOTH
    def test_without_an_intercept_an_offset_is_size(self, rng, kind):
        # About their means these features are resolved to the last digit; about zero, what tells
        # the columns apart is the rounding of 1e6.
        s, y = 1e6 + 1e-9 * rng.standard_normal((100, 2)), rng.standard_normal((100, 1))
        sums = accumulate(kind, s, y)
        solve_ridge(sums, 1e-24)
        with pytest.warns(LinAlgWarning, match="alpha=1e-24"):
            solution = solve_ridge(sums, 1e-24, fit_intercept=False)
        assert np.abs(solution.coef).max() < 1e-5

    @BOTH
    def test_features_of_zero(self, kind):
        s, y = np.zeros((5, 2)), np.arange(5.0)[:, None]
        with pytest.warns(LinAlgWarning, match="alpha=0"):
            solution = solve_ridge(accumulate(kind, s, y), 0.0)
        np.testing.assert_array_equal(solution.coef, 0.0)
        np.testing.assert_allclose(solution.intercept, 2.0)
        np.testing.assert_array_equal(solve_ridge(accumulate(kind, s, y), 1.0).coef, 0.0)

    @BOTH
    def test_one_row_has_nothing_to_choose_by(self, kind):
        sums = accumulate(kind, np.ones((1, 2)), np.ones((1, 1)))
        solution = solve_ridge(sums, [1.0, 2.0])
        assert solution.alpha == 2.0
        np.testing.assert_array_equal(solution.coef, 0.0)
        assert np.isnan(solution.scores).all()

    def test_alphas_below_rounding_are_no_candidates(self, rng):
        s = rng.standard_normal((100, 20)) @ np.diag(np.logspace(0, -9, 20))
        y = s @ rng.standard_normal((20, 1))
        alphas = [1e-19, 1e-17, 1e-9, 1e-3]
        with pytest.warns(LinAlgWarning, match=r"alphas \[1e-19, 1e-17\] of the path"):
            solution = solve_ridge(accumulate(GramAccumulator, s, y), alphas)
        np.testing.assert_array_equal(np.isnan(solution.scores), [True, True, False, False])
        assert solution.alpha in (1e-9, 1e-3)
        with pytest.warns(LinAlgWarning, match="cannot be told"):
            solution = solve_ridge(accumulate(GramAccumulator, s, y), [1e-19, 1e-18])
        assert solution.alpha == 1e-18
        assert np.isfinite(solution.coef).all()
        assert solve_ridge(accumulate(QRAccumulator, s, y), alphas).alpha == 1e-19
        blocks = [accumulate(GramAccumulator, s[a : a + 50], y[a : a + 50]) for a in (0, 50)]
        with pytest.warns(LinAlgWarning, match=r"alphas \[1e-19, 1e-17\] of the path"):
            held_out = solve_ridge(accumulate(GramAccumulator, s, y), alphas, selection=blocks)
        np.testing.assert_array_equal(np.isnan(held_out.scores), [True, True, False, False])


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


class TestErrors:
    @pytest.mark.parametrize(
        ("alphas", "message"),
        [
            (-1.0, "`alphas` is -1.0, but a finite number >= 0"),
            (np.nan, "`alphas` is nan"),
            (np.inf, "`alphas` is inf"),
            ([1.0, 0.0], "positive, finite numbers"),
            ([1.0, -1.0], "positive, finite numbers"),
            ([1.0, np.nan], "positive, finite numbers"),
            ([], r"`alphas` has shape \(0,\)"),
            ([[1.0]], r"`alphas` has shape \(1, 1\)"),
        ],
    )
    def test_alphas(self, problem, alphas, message):
        s, y, _ = problem
        with pytest.raises(ValueError, match=message):
            solve_ridge(accumulate(GramAccumulator, s, y), alphas)

    def test_the_caller_names_the_alphas(self):
        with pytest.raises(ValueError, match="`alpha` is -2"):
            check_alphas(-2, name="alpha")

    @BOTH
    def test_no_rows(self, kind):
        for sums in (kind(2, 1), kind(2, 1).update(np.empty((0, 2)), np.empty((0, 1)))):
            with pytest.raises(ValueError, match="no rows with a positive weight"):
                solve_ridge(sums, 1.0)
        sums = kind(2, 1).update(np.ones((3, 2)), np.ones((3, 1)), np.zeros(3))
        with pytest.raises(ValueError, match="no rows with a positive weight"):
            solve_ridge(sums, 1.0)

    @BOTH
    def test_rows_of_weight_zero_before_all_others(self, problem, kind):
        s, y, weight = problem
        sums = kind(12, 3).update(s + 1e3, y, np.zeros(200)).update(s, y, weight)
        assert_same(solve_ridge(sums, 1.0), solve_ridge(accumulate(kind, s, y, weight), 1.0))

    @pytest.mark.parametrize("kind", ["gram", "qr", "auto"])
    @pytest.mark.parametrize(
        ("s", "y", "weight", "error", "message"),
        [
            (np.ones((3, 3)), np.ones((3, 1)), None, ValueError, r"\(3, 3\), but \(n_rows, 2\)"),
            (np.ones(3), np.ones((3, 1)), None, ValueError, r"`features` has shape \(3,\)"),
            (np.ones((3, 2)), np.ones(3), None, ValueError, r"`targets` has shape \(3,\)"),
            (np.ones((3, 2)), np.ones((4, 1)), None, ValueError, "`targets` has 4 rows"),
            (np.ones((3, 2)), np.ones((3, 1)), [1, 2], ValueError, r"`sample_weight` has shape"),
            (np.ones((3, 2)), np.ones((3, 1)), [1, -1, 1], ValueError, "`sample_weight` has a neg"),
            (np.ones((2, 2)), np.ones((2, 1)), [1, np.nan], ValueError, "NaN entry"),
            (np.full((3, 2), np.nan), np.ones((3, 1)), None, ValueError, "`features` contains NaN"),
            (np.ones((3, 2)), np.full((3, 1), np.inf), None, ValueError, "`targets` contains NaN"),
            (np.ones((3, 2)) * 1j, np.ones((3, 1)), None, TypeError, "dtype complex128"),
            (np.full((3, 2), "a"), np.ones((3, 1)), None, TypeError, "`features` has dtype"),
        ],
    )
    def test_rows(self, kind, s, y, weight, error, message):
        sums = RidgeAccumulator(2, 1, solver=kind, smallest_alpha=1.0)
        sums.update(np.eye(2), np.ones((2, 1)))
        before = solve_ridge(sums, 1.0).coef
        with pytest.raises(error, match=message):
            sums.update(s, y, weight)
        np.testing.assert_array_equal(solve_ridge(sums, 1.0).coef, before)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_squares_out_of_range(self, dtype):
        # 1e30 squared exceeds float32, but not the float64 in which it is summed.
        sums = GramAccumulator(1, 1).update(np.full((3, 1), 1e30, dtype), np.ones((3, 1)))
        assert np.isfinite(sums.moments).all()
        with pytest.raises(ValueError, match=r'squares exceed.*solver="qr"'):
            sums.update(np.full((3, 1), 1e200), np.ones((3, 1)))

    def test_construction(self):
        with pytest.raises(ValueError, match="`n_features` is 0"):
            GramAccumulator(0, 1)
        with pytest.raises(TypeError, match=r"`n_targets` is 1\.5"):
            QRAccumulator(1, 1.5)
        with pytest.raises(ValueError, match="`solver` is 'cholesky'"):
            RidgeAccumulator(1, 1, solver="cholesky", smallest_alpha=1.0)
        with pytest.raises(ValueError, match="`smallest_alpha` is nan"):
            RidgeAccumulator(1, 1, smallest_alpha=np.nan)

    def test_mates(self):
        one, other = GramAccumulator(2, 1), QRAccumulator(2, 1)
        with pytest.raises(TypeError, match="`other` is of type QRAccumulator"):
            one.merge(other)
        with pytest.raises(ValueError, match="3 features and 1 targets, but 2 and 1"):
            one.merge(GramAccumulator(3, 1))
        with pytest.raises(TypeError, match="RidgeAccumulator was expected"):
            RidgeAccumulator(2, 1, smallest_alpha=1.0).merge(one)
        with pytest.raises(ValueError, match="has 2 rows, but only 0"):
            one.subtract(GramAccumulator(2, 1).update(np.eye(2), np.ones((2, 1))))
        with pytest.raises(TypeError, match="of several kinds"):
            leave_one_out([one, other])

    def test_selection(self, problem):
        s, y, _ = problem
        total = accumulate(GramAccumulator, s, y)
        half = accumulate(GramAccumulator, s[:100], y[:100])
        with pytest.raises(ValueError, match="`selection` is 'loo'"):
            solve_ridge(total, [1.0, 2.0], selection="loo")
        with pytest.raises(ValueError, match=r"2 blocks with 300 rows.*200 rows"):
            solve_ridge(total, [1.0, 2.0], selection=[half, total])
        with pytest.raises(ValueError, match="1 blocks"):
            solve_ridge(total, [1.0, 2.0], selection=[total])
        with pytest.raises(ValueError, match="`selection` has no rows"):
            solve_ridge(total, [1.0, 2.0], selection=[total, GramAccumulator(12, 3)])
        with pytest.raises(TypeError, match="`accumulator` holds a ndarray"):
            solve_ridge(s, 1.0)


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
        sums = RidgeAccumulator(80, 1, smallest_alpha=alpha, allow_single=True).update(s, y)
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
