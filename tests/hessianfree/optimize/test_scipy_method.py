"""SciPy's methods as optimizers: the same minima, and what they refuse."""

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der, rosen_hess_prod

from hessianfree.optimize import (
    hessian_free,
)
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
