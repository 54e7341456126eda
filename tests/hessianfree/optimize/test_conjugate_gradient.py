"""Conjugate gradients: chosen spectra, exact preconditioners, stopping rules, trouble."""

import math

import numpy as np
import pytest

from hessianfree.optimize import RelativeProgress, conjugate_gradient


def symmetric(eigenvalues, rng):
    """A dense symmetric matrix of that spectrum, in a random basis."""
    basis, _ = np.linalg.qr(rng.standard_normal((len(eigenvalues), len(eigenvalues))))
    return (basis * eigenvalues) @ basis.T


SPECTRA = {
    "well conditioned": np.linspace(1, 10, 30),
    "ill conditioned": np.logspace(-4, 2, 30),
    "three clusters": np.repeat([0.1, 1.0, 50.0], 10),
    "one eigenvalue": np.full(30, 3.0),
}


@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA.keys())
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("preconditioned", ["no", "jacobi", "exact"])
def test_agrees_with_a_dense_solve(spectrum, warm, preconditioned, rng):
    A = symmetric(spectrum, rng)
    b = rng.standard_normal(30)
    inverses = {
        "no": None,
        "jacobi": lambda r: r / np.diag(A),
        "exact": lambda r: np.linalg.solve(A, r),
    }
    result = conjugate_gradient(
        lambda v: A @ v,
        b,
        start=rng.standard_normal(30) if warm else None,
        preconditioner=inverses[preconditioned],
        max_iterations=2000,
    )
    expected = np.linalg.solve(A, b)
    assert result.stop_reason == "solved"
    # The residual is at rounding level, so the error is cond(A) eps, with a margin of 100.
    tolerance = 100 * np.finfo(float).eps * spectrum.max() / spectrum.min()
    error = np.linalg.norm(result.iterates[-1] - expected) / np.linalg.norm(expected)
    assert error < tolerance
    if preconditioned == "exact":
        assert result.n_iterations <= 3


def test_needs_as_many_iterations_as_there_are_distinct_eigenvalues(rng):
    A = symmetric(SPECTRA["three clusters"], rng)
    b = rng.standard_normal(30)
    result = conjugate_gradient(lambda v: A @ v, b, max_iterations=3)
    np.testing.assert_allclose(A @ result.iterates[-1], b, atol=1e-10)


def test_error_falls_as_chebyshev_says(rng):
    # ||x_i - x*||_A <= 2 ((sqrt(k) - 1) / (sqrt(k) + 1))^i ||x*||_A, and x_0 = 0.
    A = symmetric(SPECTRA["well conditioned"], rng)
    b = rng.standard_normal(30)
    solution = np.linalg.solve(A, b)
    factor = (math.sqrt(10) - 1) / (math.sqrt(10) + 1)
    result = conjugate_gradient(lambda v: A @ v, b, max_iterations=15, first_kept=1)
    for i, x in zip(result.iterations, result.iterates):
        error = x - solution
        assert error @ A @ error <= (2 * factor**i) ** 2 * (solution @ A @ solution) * (1 + 1e-9)


@pytest.mark.parametrize("warm", [False, True])
def test_quadratics_are_those_of_the_definition(warm, rng):
    A = symmetric(SPECTRA["ill conditioned"], rng)
    b = rng.standard_normal(30)
    start = 0.1 * rng.standard_normal(30) if warm else None
    result = conjugate_gradient(
        lambda v: A @ v, b, start=start, max_iterations=40, first_kept=1, kept_growth=1.05
    )
    if warm:
        assert result.quadratics[0] == pytest.approx(0.5 * start @ A @ start - b @ start)
    else:
        assert result.quadratics[0] == 0
    for index, x in enumerate(result.iterates):
        expected = 0.5 * x @ A @ x - b @ x
        assert result.quadratic(index) == pytest.approx(expected, rel=1e-10)
    assert np.all(np.diff(result.quadratics) <= 0)


def test_keeps_the_iterates_of_the_paper(rng):
    A = symmetric(np.logspace(-6, 3, 100), rng)
    result = conjugate_gradient(lambda v: A @ v, rng.standard_normal(100), max_iterations=40)
    # 5, 6.5, 8.45, 10.985, 14.2805, 18.56, 24.13, 31.37, then the last
    assert result.iterations == [5, 7, 9, 11, 15, 19, 25, 32, 40]
    assert result.stop_reason == "max_iterations"


def test_a_kept_iterate_is_where_a_shorter_run_ends(rng):
    A = symmetric(SPECTRA["ill conditioned"], rng)
    b = rng.standard_normal(30)
    long = conjugate_gradient(lambda v: A @ v, b, max_iterations=20)
    short = conjugate_gradient(lambda v: A @ v, b, max_iterations=7)
    np.testing.assert_array_equal(long.iterates[1], short.iterates[-1])


@pytest.mark.parametrize("warm", [False, True])
def test_one_product_an_iteration(warm, rng):
    A = symmetric(SPECTRA["ill conditioned"], rng)
    calls = []
    result = conjugate_gradient(
        lambda v: (calls.append(1), A @ v)[1],
        rng.standard_normal(30),
        start=rng.standard_normal(30) if warm else None,
        stopping_rule=RelativeProgress(),
        max_iterations=20,
    )
    assert len(calls) == result.n_products == result.n_iterations + warm


def test_product_may_return_the_same_buffer(rng):
    A = symmetric(SPECTRA["well conditioned"], rng)
    b = rng.standard_normal(30)
    buffer = np.empty(30)
    reused = conjugate_gradient(lambda v: np.matmul(A, v, out=buffer), b, start=b)
    fresh = conjugate_gradient(lambda v: A @ v, b, start=b)
    np.testing.assert_allclose(reused.iterates[-1], fresh.iterates[-1], rtol=1e-12)


def test_recomputed_residual_mends_float32(rng):
    # Plain float32 CG ends when the recurrence for r says so, while b - A x is still larger.
    A = symmetric(np.logspace(-2, 1, 60), rng).astype(np.float32)
    start = np.full(60, 100, dtype=np.float32)

    def residual(b, recompute_every):
        result = conjugate_gradient(
            lambda v: A @ v, b, start=start, max_iterations=400, recompute_every=recompute_every
        )
        assert result.iterates[-1].dtype == np.float32
        assert result.stop_reason == "solved"
        return np.linalg.norm(b - A.astype(float) @ result.iterates[-1])

    rhs = rng.standard_normal((10, 60)).astype(np.float32)
    recomputed = np.mean([residual(b, 20) for b in rhs])
    drifting = np.mean([residual(b, 10**6) for b in rhs])
    assert recomputed < 0.7 * drifting


class TestRelativeProgress:
    def test_stops_where_the_average_progress_is_below_the_tolerance(self):
        # φ_i = -1 - ε' i: over k = 10 iterations the relative progress is 10 ε' / |φ_i|.
        rule = RelativeProgress(tolerance=5e-4)
        fast = [-1 - 6e-4 * i for i in range(12)]
        slow = [-1 - 4e-4 * i for i in range(12)]
        assert not rule(fast)
        assert rule(slow)

    def test_window_grows_with_the_iterations(self):
        # Progress in the first of the last 30 iterations: seen by a window of 30, not by one of 10.
        quadratics = [-1.0] * 271 + [-2.0] * 30
        assert RelativeProgress(window_fraction=0.0)(quadratics)
        assert not RelativeProgress(window_fraction=0.1)(quadratics)

    def test_never_while_the_quadratic_is_not_negative(self):
        assert not RelativeProgress()([0.0] * 100)

    def test_run_ends_at_the_first_iteration_where_the_rule_holds(self, rng):
        A = symmetric(np.logspace(-3, 1, 60), rng)
        b = rng.standard_normal(60)
        stopped = conjugate_gradient(lambda v: A @ v, b, stopping_rule=RelativeProgress())
        free = conjugate_gradient(lambda v: A @ v, b)
        assert stopped.stop_reason == "stopping_rule"
        phi = free.quadratics

        def holds(i):
            k = max(10, math.ceil(i / 10))
            return i > k and phi[i] < 0 and (phi[i] - phi[i - k]) / phi[i] < k * 5e-4

        assert stopped.n_iterations == next(i for i in range(len(phi)) if holds(i))


class TestTrouble:
    def test_negative_curvature_at_once(self):
        result = conjugate_gradient(lambda v: -2 * v, np.ones(3))
        assert result.stop_reason == "negative_curvature"
        assert result.curvature == pytest.approx(-2)
        np.testing.assert_array_equal(result.iterates[-1], 0)

    def test_negative_curvature_later_keeps_what_was_reached(self, rng):
        eigenvalues = np.append(np.linspace(1, 2, 29), -1e-3)
        A = symmetric(eigenvalues, rng)
        b = rng.standard_normal(30)
        result = conjugate_gradient(lambda v: A @ v, b)
        assert result.stop_reason == "negative_curvature"
        assert result.curvature < 0
        assert result.n_iterations > 0
        x = result.iterates[-1]
        assert 0.5 * x @ A @ x - b @ x == pytest.approx(result.quadratics[-1])
        assert result.quadratics[-1] < 0

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_product_that_is_not_finite(self, bad):
        diagonal = np.linspace(1, 100, 50)
        calls = []

        def product(v):
            calls.append(1)
            return diagonal * v if len(calls) < 7 else np.full(50, bad)

        result = conjugate_gradient(product, np.ones(50))
        assert result.stop_reason == "not_finite"
        assert result.iterations == [5, 6]
        assert np.isfinite(result.iterates[-1]).all()

    def test_first_residual_that_is_not_finite(self):
        result = conjugate_gradient(lambda v: v * np.nan, np.ones(3), start=np.ones(3))
        assert result.stop_reason == "not_finite"
        np.testing.assert_array_equal(result.iterates[-1], 0)

    def test_overflow_falls_back_on_the_last_kept_iterate(self):
        result = conjugate_gradient(
            lambda v: v * np.float32(1e-30), np.full(3, 1e10, dtype=np.float32)
        )
        assert result.stop_reason == "not_finite"
        np.testing.assert_array_equal(result.iterates[-1], 0)

    def test_zero_right_hand_side_is_solved(self):
        result = conjugate_gradient(lambda v: v, np.zeros(3))
        assert (result.stop_reason, result.n_products) == ("solved", 0)


# -- scales --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power", [-30, -22, -10, 0, 10, 22, 30])
@pytest.mark.parametrize("warm", [False, True])
def test_the_scale_of_the_right_hand_side_changes_nothing(rng, dtype, power, warm):
    eigenvalues = np.logspace(0, 2, 20)
    A = symmetric(eigenvalues, rng)
    b, start = rng.standard_normal(20), 0.1 * rng.standard_normal(20)
    in_dtype = A.astype(dtype)

    def solve(factor):
        return conjugate_gradient(
            lambda v: in_dtype @ v,
            (factor * b).astype(dtype),
            start=(factor * start).astype(dtype) if warm else None,
        )

    result, factor = solve(10.0**power), 10.0**power
    expected = np.linalg.solve(A, b)
    found = result.iterates[-1].astype(np.float64) / factor
    # cond(A) = 100, and a margin of 10.
    tolerance = 1000 * np.finfo(dtype).eps
    assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)
    assert result.stop_reason == solve(1.0).stop_reason == "solved"
    assert result.quadratics[-1] == pytest.approx(
        -0.5 * (factor * b) @ (factor * expected), rel=float(tolerance)
    )


def test_a_scale_in_the_middle_is_left_alone(rng):
    """A power of two rounds nothing: the numbers are those of the run without it, bit for bit."""
    A, b = symmetric(np.linspace(1, 10, 8), rng), rng.standard_normal(8)
    plain = conjugate_gradient(lambda v: A @ v, b)
    scaled = conjugate_gradient(lambda v: A @ v, b * 2.0**40)
    for one, other in zip(plain.iterates, scaled.iterates, strict=True):
        np.testing.assert_array_equal(one * 2.0**40, other)
    assert [2.0**80 * q for q in plain.quadratics] == scaled.quadratics


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_smallest_and_largest_numbers(dtype):
    limits = np.finfo(dtype)
    for size in (limits.smallest_subnormal * 64, limits.tiny, limits.max / 64):
        b = np.full(3, size, dtype=dtype)
        result = conjugate_gradient(lambda v: v, b)
        np.testing.assert_allclose(result.iterates[-1], b, rtol=10 * limits.eps)


def test_a_direction_that_vanishes_is_a_solution():
    """P⁻¹ r may be too small for its square: there is no curvature to divide by."""
    result = conjugate_gradient(
        lambda v: v * 1e-200, np.ones(2) * 1e-3, preconditioner=lambda r: r * 1e-200
    )
    assert result.stop_reason in ("solved", "not_finite")
    assert np.isfinite(result.iterates[-1]).all()
