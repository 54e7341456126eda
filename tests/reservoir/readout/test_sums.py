"""Sums of products and triangular factors: any split, merging, digits, bad rows."""

import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from scipy.linalg import LinAlgWarning, hilbert

from reservoir.readout import (
    GramAccumulator,
    QRAccumulator,
    RidgeAccumulator,
    check_alphas,
    leave_one_out,
    solve_ridge,
)
from tests.support.ridge_problems import BOTH, INTERCEPT, accumulate, assert_same, plain_ridge


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
