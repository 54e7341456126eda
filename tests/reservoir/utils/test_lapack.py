"""Bidiagonal matrices: against products, and the singular values of NumPy."""

import numpy as np
import pytest

from reservoir.utils.lapack import Bidiagonal


@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_it_is_what_was_given(rng, n):
    matrix = rng.normal(size=(n, n))
    form = Bidiagonal(np.array(matrix, order="F"))
    bidiagonal = np.diag(form.diagonal) + np.diag(form.off, 1)
    one = np.eye(n)
    q, p = (form.apply(which, one, transposed=False) for which in ("Q", "P"))
    np.testing.assert_allclose(q @ bidiagonal @ p.T, matrix, atol=1e-13)
    for which, matrix_of in (("Q", q), ("P", p)):
        np.testing.assert_allclose(matrix_of.T @ matrix_of, one, atol=1e-13)
        transposed = form.apply(which, one[:, : n // 2], transposed=True)
        np.testing.assert_allclose(transposed, matrix_of.T[:, : n // 2], atol=1e-13)
    expected = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(form.singular_values(), expected, atol=1e-13)


def test_small_singular_values_are_known_to_rounding_of_the_largest(rng):
    left, right = (np.linalg.qr(rng.normal(size=(30, 30)))[0] for _ in range(2))
    sigma = np.logspace(0, -15, 30)
    form = Bidiagonal(np.asfortranarray((left * sigma) @ right))
    assert np.abs(form.singular_values() - sigma).max() < 1e-15


@pytest.mark.parametrize(
    "matrix",
    [np.ones((2, 3), order="F"), np.ones((2, 2)), np.ones((2, 2), np.float32), np.empty((0, 0))],
)
def test_other_matrices_are_refused(matrix):
    with pytest.raises(ValueError, match="matrix"):
        Bidiagonal(matrix)
