"""Products with sparse matrices, bit for bit those of SciPy's operator."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from reservoir.utils import sparse
from reservoir.utils.sparse import product_with


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_have_the_bits_of_the_operator(rng, monkeypatch, dtype, is_there):
    if not is_there:
        monkeypatch.setattr(sparse, "csr_matvec", None)
    dense = (rng.normal(size=(7, 5)) * (rng.random((7, 5)) < 0.4)).astype(dtype)
    for matrix in (dense, csr_array(dense), csr_array(dense[:, :0])):
        vector = rng.normal(size=matrix.shape[1]).astype(dtype)
        product = product_with(matrix)(vector)
        assert product.dtype == dtype
        np.testing.assert_array_equal(product, matrix @ vector)
