"""Sums, factors and ridge solutions on a device against the host; see the fixture `xp`."""

import warnings

import numpy as np
import pytest

from reservoir.readout import GramAccumulator, QRAccumulator, RidgeAccumulator, solve_ridge
from reservoir.readout._algebra import DeviceAlgebra, HostAlgebra
from reservoir.search._folds import make_plan
from reservoir.search._stacked_sums import StackedSums
from reservoir.search._sums import ReadoutOptions
from reservoir.utils.device import is_on_device


class TestReadout:
    """Sums on a device: every operation against the host's, and solutions known in advance."""

    @pytest.fixture
    def rows(self, rng):
        return rng.normal(size=(60, 7)) + 3, rng.normal(size=(60, 2)), rng.uniform(0, 2, size=60)

    @pytest.mark.parametrize("kind", [GramAccumulator, QRAccumulator])
    def test_sums(self, xp, rows, kind):
        def parts(move):
            made = [kind(7, 2) for _ in range(3)]
            for sums, (low, high) in zip(made, [(0, 20), (20, 21), (21, 60)]):
                sums.update(*(move(each[low:high]) for each in rows))
            return made

        (a, b, c), (there, *others) = parts(lambda x: x), parts(xp.asarray)
        wanted, found = a.merge(b).merge(c), there.merge(others[0]).merge(others[1])
        assert found.n_rows == wanted.n_rows
        assert is_on_device(found.moments if kind is GramAccumulator else found.factor)
        for fit_intercept in (True, False):
            for alphas in (0.3, [1e-3, 1.0]):
                for pair in zip(
                    *(
                        (solution.coef, solution.intercept)
                        for solution in (
                            solve_ridge(sums, alphas, fit_intercept=fit_intercept)
                            for sums in (found, wanted)
                        )
                    )
                ):
                    np.testing.assert_allclose(*pair, rtol=1e-10, atol=1e-12)
        if kind is GramAccumulator:
            np.testing.assert_allclose(
                solve_ridge(found.copy().subtract(others[1]), 0.3).coef,
                solve_ridge(wanted.copy().subtract(c), 0.3).coef,
                rtol=1e-9,
            )
            state = found.__getstate__()["moments"]
            np.testing.assert_allclose(state, np.tril(wanted.moments), rtol=1e-10, atol=1e-9)

    def test_a_constructed_solution(self, xp, rng):
        s, coef = rng.normal(size=(50, 4)), rng.normal(size=(2, 4))
        y = s @ coef.T + np.array([1.0, -2.0])
        sums = RidgeAccumulator(4, 2, smallest_alpha=0).update(xp.asarray(s), xp.asarray(y))
        assert sums.solver_used == "qr"
        solution = solve_ridge(sums, 0.0)
        np.testing.assert_allclose(solution.coef, coef, rtol=1e-12)
        np.testing.assert_allclose(solution.intercept, [1.0, -2.0], rtol=1e-12)

    @pytest.mark.parametrize("solver", ["gram", "qr"])
    def test_an_unresolved_alpha_warns_as_on_the_host(self, xp, rng, solver):
        s = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 6))  # rank 3
        y = s @ rng.normal(size=(6, 1))
        solutions = []
        for move in (lambda x: x, xp.asarray):
            sums = RidgeAccumulator(6, 1, solver=solver, smallest_alpha=0)
            sums.update(move(s), move(y))
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                solutions.append(solve_ridge(sums, 0.0).coef)
            assert "cannot be told from rounding" in str(caught[0].message)
        np.testing.assert_allclose(*solutions, rtol=1e-6, atol=1e-8)

    def test_rows_of_two_devices_are_refused(self, stand_in, rows):
        s, y, _ = rows
        with pytest.raises(TypeError, match="`features` is a CuPy array, but `targets` is not"):
            GramAccumulator(7, 2).update(stand_in.asarray(s), y)

    def test_the_algebras_are_twins(self, rng):
        """On NumPy's arrays, where both can work; matrices as explicit formulas."""
        a, x, y = rng.normal(size=(5, 5)), rng.normal(size=5), rng.normal(size=5)
        rows, columns, sums = rng.normal(size=(9, 5)), rng.normal(size=(5, 2)), a @ a.T + np.eye(5)
        for algebra in (HostAlgebra(), DeviceAlgebra(np)):

            def new(algebra=algebra):
                return algebra.own_sums(algebra.copy(sums))

            def lower(found, wanted):
                np.testing.assert_allclose(np.tril(found), np.tril(wanted), rtol=1e-12, atol=1e-12)

            lower(algebra.add_products(new(), rows), sums + rows.T @ rows)
            lower(algebra.add_outer(new(), -0.5, x), sums - 0.5 * np.outer(x, x))
            lower(
                algebra.add_outer_pair(new(), 2.0, x, y),
                sums + 2 * (np.outer(x, y) + np.outer(y, x)),
            )
            single = algebra.single_products(rows.astype(np.float32))
            assert single.dtype == np.float32
            np.testing.assert_allclose(np.tril(single), np.tril(rows.T @ rows), rtol=1e-5)
            np.testing.assert_allclose(algebra.multiply(new(), columns), sums @ columns)
            factor = algebra.cholesky(new())
            np.testing.assert_allclose(factor @ factor.T, sums)
            np.testing.assert_allclose(
                algebra.solve_cholesky(factor, columns), np.linalg.solve(sums, columns)
            )
            assert algebra.cholesky(algebra.copy(-sums)) is None
            assert algebra.solve_triangular(np.zeros((2, 2)), np.ones((2, 1)), lower=True) is None
            huge = 1e200 * rows
            assert algebra.frobenius(huge) == pytest.approx(1e200 * np.linalg.norm(rows))
            assert algebra.frobenius(0 * rows) == 0
            r = algebra.fold_rows(algebra.own_factor(algebra.zeros((5, 5))), algebra.copy(rows))
            np.testing.assert_allclose(r.T @ r, rows.T @ rows)
            values, vectors = algebra.eigh(new())
            np.testing.assert_allclose(vectors * values @ vectors.T, sums)
            diagonal = algebra.copy(rows[:3])
            algebra.add_to_diagonal(diagonal, 7.0)
            np.testing.assert_allclose(diagonal, rows[:3] + 7 * np.eye(3, 5))


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_stack_knows_which_alphas_its_sums_resolve(xp, rng, fit_intercept):
    # Rounding of the sums: 100 eps times the trace of SᵀS, or of S about the mean of its first
    # rows, which is larger at times, but by less than one half here.
    features = rng.normal(size=(3, 40, 5)) * np.array([1.0, 10.0, 1e3])[:, None, None] + 7.0
    targets = rng.normal(size=(40, 1))
    bounds = 100 * np.finfo(float).eps * np.square(features).sum(axis=(1, 2))
    plan = make_plan([np.ones(40, dtype=bool)], cv=2, gap=0, washout=0)
    options = ReadoutOptions(fit_intercept, False, "auto")
    for factor, wanted in ((1.5, True), (0.99, False)):
        sums = StackedSums(plan, factor * bounds[:, None], options)
        for segment, rows in ((0, slice(0, 20)), (1, slice(20, 40))):
            sums.append(segment, xp.asarray(features[:, rows]), xp.asarray(targets[rows]))
        np.testing.assert_array_equal(sums.resolves, wanted)
