"""Matrices whose spectrum is known, for tests of drawing and of the spectral radius."""

import numpy as np
import scipy.sparse as sp

# The aim is 1e-6; the two subspaces agree to 1e-8 before anything is returned.
ACCURACY = 1e-7


def dense_radius(matrix):
    dense = matrix.toarray() if sp.issparse(matrix) else matrix
    return np.abs(np.linalg.eigvals(dense)).max()


def random_orthogonal(rng, n_units):
    return np.linalg.qr(rng.standard_normal((n_units, n_units)))[0]
