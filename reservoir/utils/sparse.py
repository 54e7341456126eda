"""Products with sparse matrices without SciPy's checks, which cost more than small products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

__all__ = ["csr_matvec", "csr_matvecs", "product_with"]

try:  # Private, and four times cheaper for a small matrix than `matrix @ vector` with its checks.
    from scipy.sparse._sparsetools import csr_matvec, csr_matvecs
except ImportError:  # pragma: no cover
    csr_matvec = csr_matvecs = None


def product_with(matrix: Any) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return the function x -> W x of vectors, with the bits of ``W @ x``.

    Parameters
    ----------
    matrix : ndarray or CSR array of shape (n_rows, n_columns)
        W.

    Returns
    -------
    callable
        Of vectors (n_columns,) of the dtype of W; returns new ones (n_rows,).

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> product_with(csr_array([[1.0, 2.0], [0.0, 3.0]]))(np.array([1.0, 10.0]))
    array([21., 30.])
    """
    if not issparse(matrix) or csr_matvec is None:
        return lambda vector: matrix @ vector

    (n_rows, n_columns), dtype = matrix.shape, matrix.dtype
    arrays = matrix.indptr, matrix.indices, matrix.data

    def multiply(vector: NDArray[Any]) -> NDArray[Any]:
        product: NDArray[Any] = np.zeros(n_rows, dtype=dtype)
        csr_matvec(n_rows, n_columns, *arrays, vector, product)
        return product

    return multiply
