"""SciPy's methods as optimizers: the same minima, and what they refuse."""

import warnings

import numpy as np
import pytest
from scipy.optimize import (
    BFGS,
    OptimizeWarning,
    minimize,
    rosen,
    rosen_der,
    rosen_hess,
    rosen_hess_prod,
)

from hessianfree.optimize import hessian_free
from tests.support.objectives import positive_definite


class TestScipyMethod:
    @pytest.mark.parametrize("n", [2, 5, 20])
    def test_rosen(self, n):
        start = np.tile([1.3, 0.7, 0.8, 1.9, 1.2], n)[:n]
        result = minimize(
            rosen, start, jac=rosen_der, hessp=rosen_hess_prod, method=hessian_free, tol=1e-8
        )
        assert result.success
        assert result.status == 0
        np.testing.assert_allclose(result.x, 1, atol=1e-6)
        assert result.fun == rosen(result.x)
        assert result.nit < 60

    def test_saddle_start_with_the_hessian_itself(self):
        # The Hessian of rosen is indefinite at (0, 1).
        result = minimize(
            rosen, [0.0, 1.0], jac=rosen_der, hessp=rosen_hess_prod, method=hessian_free
        )
        np.testing.assert_allclose(result.x, 1, atol=1e-4)

    def test_args_value_with_gradient_and_a_matrix(self, rng):
        A, b = positive_definite(6, rng), rng.standard_normal(6)
        result = minimize(
            lambda x, A, b: (0.5 * x @ A @ x - b @ x, A @ x - b),
            np.zeros(6),
            args=(A, b),
            jac=True,
            hess=lambda x, A, b: A,
            method=hessian_free,
            options={"gtol": 1e-9},
        )
        np.testing.assert_allclose(result.x, np.linalg.solve(A, b), rtol=1e-6)

    @pytest.mark.parametrize("how", ["returns", "raises"])
    def test_callback_ends_the_run(self, how):
        seen = []

        def callback(intermediate_result):
            seen.append(intermediate_result)
            if len(seen) == 3 and how == "raises":
                raise StopIteration
            return len(seen) == 3

        result = minimize(
            rosen, [-1.2, 1.0], jac=rosen_der, hessp=rosen_hess_prod, method=hessian_free,
            callback=callback,
        )  # fmt: skip
        assert (result.nit, result.status, result.success) == (3, 99, False)
        assert seen[-1].fun == result.fun

    def test_maxiter(self):
        result = minimize(
            rosen, [-1.2, 1.0], jac=rosen_der, hessp=rosen_hess_prod, method=hessian_free,
            options={"maxiter": 2},
        )  # fmt: skip
        assert (result.nit, result.status, result.success) == (2, 1, False)

    def test_errors(self):
        with pytest.raises(ValueError, match="`jac` is None"):
            minimize(rosen, [0.0, 0.0], hessp=rosen_hess_prod, method=hessian_free)
        with pytest.raises(ValueError, match="`hessp` and `hess` are missing"):
            minimize(rosen, [0.0, 0.0], jac=rosen_der, method=hessian_free)
        with pytest.raises(ValueError, match="`bounds` or `constraints`"):
            minimize(
                rosen, [0.0, 0.0], jac=rosen_der, hessp=rosen_hess_prod, method=hessian_free,
                bounds=[(0, 1), (0, 1)],
            )  # fmt: skip


# -- what "trust-ncg" takes ----------------------------------------------------------------------

PROBLEM = {"jac": rosen_der, "hessp": rosen_hess_prod}
BOTH = pytest.mark.parametrize(
    "method", ["trust-ncg", hessian_free], ids=["trust-ncg", "hessian_free"]
)


@BOTH
def test_both_forms_of_callbacks_are_called_as_scipy_calls_them(method):
    points, results = [], []
    found = minimize(rosen, [-1.2, 1.0], **PROBLEM, method=method, callback=points.append)
    minimize(
        rosen, [-1.2, 1.0], **PROBLEM, method=method,
        callback=lambda *, intermediate_result: results.append(intermediate_result),
    )  # fmt: skip
    assert len(points) == len(results) == found.nit
    np.testing.assert_array_equal(points, [result.x for result in results])
    np.testing.assert_array_equal(points[-1], found.x)
    assert results[-1].fun == found.fun

    def stop(xk):
        raise StopIteration

    assert minimize(rosen, [-1.2, 1.0], **PROBLEM, method=method, callback=stop).nit == 1


def test_callbacks_may_return_anything():
    found = minimize(rosen, [-1.2, 1.0], **PROBLEM, method=hessian_free, callback=lambda xk: xk)
    assert found.success


@BOTH
def test_shapes_that_scipy_takes(method):
    column = minimize(
        lambda x: np.array([rosen(x)]), [-1.2, 1.0], method=method,
        jac=rosen_der, hess=lambda x: np.asarray(rosen_hess(x)), options={"maxiter": None},
    )  # fmt: skip
    np.testing.assert_allclose(column.x, [1, 1], atol=1e-4)
    one = minimize(
        lambda x: (x**2).sum(), 3.0, jac=lambda x: 2 * x, hessp=lambda x, v: 2 * v, method=method
    )
    np.testing.assert_allclose(one.x, [0], atol=1e-4)


@pytest.mark.parametrize("hess", ["2-point", "3-point", "cs", BFGS(), rosen_hess])
@BOTH
def test_curvature_in_all_forms(hess, method):
    result = minimize(rosen, [-1.2, 1.0], jac=rosen_der, hess=hess, method=method)
    assert result.success
    np.testing.assert_allclose(result.x, 1, atol=1e-3)


@BOTH
def test_disp_and_return_all(method, capsys):
    options = {"disp": True, "return_all": True}
    result = minimize(rosen, [-1.2, 1.0], **PROBLEM, method=method, options=options)
    printed = capsys.readouterr().out
    assert f"Iterations: {result.nit}" in printed
    assert f"Gradient evaluations: {result.njev}" in printed
    assert len(result.allvecs) == result.nit + 1
    np.testing.assert_array_equal(result.allvecs[-1], result.x)
    minimize(rosen, [-1.2, 1.0], **PROBLEM, method=method, options={"disp": False})
    assert capsys.readouterr().out == ""


def test_options_of_another_method_are_named_and_ignored():
    options = {"initial_trust_radius": 0.5}
    with pytest.warns(OptimizeWarning, match="Unknown solver options: initial_trust_radius"):
        result = minimize(rosen, [-1.2, 1.0], **PROBLEM, method=hessian_free, options=options)
    assert result.success


def test_nothing_is_computed_twice():
    asked = {"fun": [], "jac": [], "hess": []}

    def noting(name, function):
        def noted(x):
            asked[name].append(x.tobytes())
            return function(x)

        return noted

    result = minimize(
        noting("fun", rosen), [-1.2, 1.0], jac=noting("jac", rosen_der),
        hess=noting("hess", rosen_hess), method=hessian_free,
    )  # fmt: skip
    assert result.success
    for points in asked.values():
        assert len(points) == len(set(points))
    assert result.nfev == len(asked["fun"])
    assert result.njev == len(asked["jac"]) <= result.nit + 1
    assert result.nhev == len(asked["hess"])


@pytest.mark.parametrize("start", [[np.nan, 1.0], [np.inf, 0.0]])
def test_a_start_that_is_not_finite_ends_the_run(start):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        result = minimize(rosen, start, **PROBLEM, method=hessian_free)
    assert (result.nit, result.status, result.success) == (0, 3, False)
    assert "not finite" in result.message


def test_a_gradient_that_is_not_finite_ends_the_run():
    """There is none beyond the edge, where the function is smallest."""
    result = minimize(
        lambda x: np.maximum(x, 0).sum(), [1.0], method=hessian_free,
        jac=lambda x: np.where(x > 0, 1.0, np.nan), hessp=lambda x, v: v,
    )  # fmt: skip
    assert result.status == 3
    assert result.nit < 100


def test_answers_of_the_wrong_shape():
    with pytest.raises(ValueError, match=r"`fun` returned an array of shape \(2,\)"):
        minimize(lambda x: x, [1.0, 2.0], **PROBLEM, method=hessian_free)
    with pytest.raises(ValueError, match=r"`jac` gave an array of shape \(3,\)"):
        minimize(
            rosen, [1.0, 2.0], jac=lambda x: np.zeros(3), hessp=rosen_hess_prod, method=hessian_free
        )
    with pytest.raises(ValueError, match="`hess` is 'newton'"):
        minimize(rosen, [1.0, 2.0], jac=rosen_der, hess="newton", method=hessian_free)
    with pytest.raises(TypeError, match="`x0` has dtype"):
        minimize(rosen, ["a"], **PROBLEM, method=hessian_free)


def test_a_gradient_that_cannot_vanish_ends_the_run():
    """It is wrong by 1e-7; 1,000 idle steps would be no help."""
    result = minimize(
        lambda x: float(1 + 0.5 * x @ x), np.ones(3), method=hessian_free,
        jac=lambda x: x + 1e-7 * np.sign(x + 1e-9), hessp=lambda x, v: v, options={"gtol": 1e-9},
    )  # fmt: skip
    assert (result.status, result.success) == (2, False)
    assert "No step lowers" in result.message
    assert result.nit < 300
    np.testing.assert_allclose(result.x, 0, atol=1e-6)
