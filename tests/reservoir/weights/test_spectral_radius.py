"""The spectral radius against dense eigenvalues and matrices whose radius is known."""

import numpy as np
import pytest
import scipy.sparse as sp

from reservoir.weights import (
    ConvergenceError,
    _spectral_radius,
    recurrent_weights,
    spectral_radius,
)
from tests.support.matrices import ACCURACY, dense_radius, random_orthogonal


def chain(n_units, forward, backward):
    """Delay line with backward connections; its eigenvalues are known in closed form."""
    values = [np.full(n_units - 1, forward), np.full(n_units - 1, backward)]
    return sp.csr_array(sp.diags_array(values, offsets=[-1, 1]))


class TestSpectralRadius:
    @pytest.mark.parametrize(
        ("n_units", "n_matrices"), [(30, 20), (61, 20), (100, 20), (300, 6), (800, 1)]
    )
    def test_random_reservoirs_match_dense_eigenvalues(self, n_units, n_matrices):
        for seed in range(n_matrices):
            weights = recurrent_weights(n_units, spectral_radius=None, random_state=seed)
            assert spectral_radius(weights) == pytest.approx(dense_radius(weights), rel=ACCURACY)

    @pytest.mark.parametrize("topology", ["random", "small_world"])
    @pytest.mark.parametrize("distribution", ["uniform", "normal", "signs"])
    @pytest.mark.parametrize("connectivity", [2, 3, 0.2, 0.5])
    def test_every_kind_matches_dense_eigenvalues(self, topology, distribution, connectivity):
        weights = recurrent_weights(
            150,
            spectral_radius=None,
            connectivity=connectivity,
            topology=topology,
            distribution=distribution,
            random_state=3,
        )
        assert spectral_radius(weights) == pytest.approx(dense_radius(weights), rel=ACCURACY)

    @pytest.mark.parametrize("n_units", [40, 200])
    @pytest.mark.parametrize(
        "dominant",
        [
            [[2.0]],
            [[-2.0]],
            [[2.0, 0.0], [0.0, -2.0]],
            [[1.2, -1.6], [1.6, 1.2]],
            [[2.0, 1.0], [0.0, 2.0]],
        ],
        ids=["positive", "negative", "both signs", "complex pair", "defective"],
    )
    def test_chosen_dominant_eigenvalue(self, rng, n_units, dominant):
        size = len(dominant)
        core = np.triu(rng.uniform(-1, 1, (n_units, n_units))) / np.sqrt(n_units)
        np.fill_diagonal(core, rng.uniform(-1.9, 1.9, n_units))
        core[:size] = 0.0
        core[:size, :size] = dominant
        basis = random_orthogonal(rng, n_units)
        # A defective eigenvalue moves by the square root of the rounding.
        assert spectral_radius(basis @ core @ basis.T) == pytest.approx(2.0, rel=1e-6)

    def test_an_eigenvalue_that_is_the_largest_by_little(self, rng):
        values = np.concatenate([[1.0], np.linspace(-0.999, 0.999, 299)])
        basis = random_orthogonal(rng, 300)
        matrix = basis * values @ basis.T
        assert spectral_radius(matrix) == pytest.approx(1.0, rel=ACCURACY)

    @pytest.mark.parametrize("n_units", [50, 300])
    def test_symmetric_and_antisymmetric(self, rng, n_units):
        matrix = rng.standard_normal((n_units, n_units))
        symmetric, antisymmetric = matrix + matrix.T, matrix - matrix.T
        assert spectral_radius(symmetric) == pytest.approx(
            np.abs(np.linalg.eigvalsh(symmetric)).max(), rel=ACCURACY
        )
        assert spectral_radius(antisymmetric) == pytest.approx(
            np.abs(np.linalg.eigvalsh(1j * antisymmetric)).max(), rel=ACCURACY
        )

    def test_rows_that_sum_to_the_same(self):
        # Perron and Frobenius: a non-negative matrix whose rows all sum to 10 has radius 10.
        weights = recurrent_weights(1000, spectral_radius=None, random_state=0)
        weights.data[:] = 1.0
        assert spectral_radius(weights) == pytest.approx(10.0, rel=ACCURACY)

    def test_multiple_of_an_orthogonal_matrix(self, rng):
        assert spectral_radius(-1.7 * random_orthogonal(rng, 400)) == pytest.approx(1.7, rel=1e-12)

    @pytest.mark.parametrize("n_units", [20, 300])
    def test_circulant(self, n_units):
        first = np.zeros(n_units)
        first[[1, 7, 13]] = 0.5, 0.3, -0.4
        matrix = np.stack([np.roll(first, shift) for shift in range(n_units)])
        assert spectral_radius(matrix) == pytest.approx(np.abs(np.fft.fft(first)).max(), rel=1e-9)

    def test_two_parties_that_only_hear_each_other(self, rng):
        # Eigenvalues come in pairs (λ, -λ), λ² those of the product.
        forth, back = rng.standard_normal((2, 100, 100))
        matrix = sp.block_array([[None, forth], [back, None]], format="csr")
        assert spectral_radius(matrix) == pytest.approx(
            np.sqrt(dense_radius(forth @ back)), rel=ACCURACY
        )

    @pytest.mark.parametrize(
        ("n_units", "forward", "backward"),
        [(30, 0.5, 0.05), (30, 0.9, 1e-12), (100, 0.9, 1e-12), (700, 0.9, 0.1)],
    )
    def test_chain_far_from_normal(self, n_units, forward, backward):
        # A tridiagonal Toeplitz matrix; NumPy is 60 % off for 700 units, .9 and .1.
        exact = 2.0 * np.sqrt(forward * backward) * np.cos(np.pi / (n_units + 1))
        found = spectral_radius(chain(n_units, forward, backward))
        assert found == pytest.approx(exact, rel=ACCURACY)

    @pytest.mark.parametrize("n_units", [30, 200])
    def test_wild_scales(self, rng, n_units):
        matrix = rng.standard_normal((n_units, n_units))
        scale = np.exp(rng.uniform(-40, 40, n_units))
        graded = matrix * scale[:, np.newaxis] / scale
        assert spectral_radius(graded) == pytest.approx(dense_radius(matrix), rel=ACCURACY)

    @pytest.mark.parametrize("factor", [1e250, 1e-290, -3.0])
    def test_scales_with_the_matrix(self, factor):
        weights = recurrent_weights(200, spectral_radius=None, random_state=5)
        assert spectral_radius(weights * factor) == pytest.approx(
            spectral_radius(weights) * abs(factor), rel=ACCURACY
        )

    def test_dense_and_sparse_agree(self):
        weights = recurrent_weights(200, spectral_radius=None, random_state=5)
        # Sums over rows run in another order: on some processors the last bits differ.
        assert spectral_radius(weights.toarray()) == pytest.approx(
            spectral_radius(weights), rel=1e-14
        )
        assert spectral_radius(weights.tocsc()) == spectral_radius(weights)

    def test_largest_of_many_parts(self, rng):
        blocks = [rng.standard_normal((size, size)) for size in (1, 2, 30, 90, 150, 1, 3)]
        order = rng.permutation(sum(len(block) for block in blocks))
        matrix = sp.block_diag([sp.csr_array(block) for block in blocks], format="csr")
        matrix = matrix[order][:, order]
        expected = max(dense_radius(block) for block in blocks)
        assert spectral_radius(matrix) == pytest.approx(expected, rel=ACCURACY)

    def test_a_part_that_reaches_its_row_sum(self):
        # Radius 1.2, as large as its bound, beside a loop of radius 1.
        cycle, dense = np.roll(np.eye(5), 1, axis=0), np.full((2, 2), 0.6)
        matrix = sp.block_diag([sp.csr_array(cycle), sp.csr_array(dense)])
        assert spectral_radius(matrix) == pytest.approx(1.2, rel=1e-14)

    def test_triangular_in_hidden_order(self, rng):
        # Its eigenvalues are its diagonal, however far from normal it is.
        matrix = np.triu(rng.standard_normal((300, 300)), 1) + np.diag(np.linspace(-2, 1, 300))
        order = rng.permutation(300)
        assert spectral_radius(matrix[order][:, order]) == pytest.approx(2.0, rel=1e-14)

    def test_jordan_block(self):
        assert spectral_radius(np.eye(300) + np.eye(300, k=1)) == pytest.approx(1.0, rel=1e-14)

    def test_one_loop(self):
        weights = np.array([3.0, -2.0, 0.5, 7.0])
        matrix = np.zeros((4, 4))
        matrix[[1, 2, 3, 0], [0, 1, 2, 3]] = weights
        assert spectral_radius(matrix) == pytest.approx(21.0**0.25, rel=1e-14)

    @pytest.mark.parametrize(
        "matrix",
        [
            np.zeros((3, 3)),
            sp.csr_array((200, 200)),
            [[0.0]],
            [[1.0, -1.0], [1.0, -1.0]],
        ],
    )
    def test_zero_radius(self, matrix):
        assert spectral_radius(matrix) == 0.0

    @pytest.mark.parametrize("n_units", [10, 40, 300])
    def test_nilpotent_by_pattern(self, rng, n_units):
        matrix = np.triu(rng.standard_normal((n_units, n_units)), 1)
        order = rng.permutation(n_units)
        assert spectral_radius(matrix[order][:, order]) == 0.0

    @pytest.mark.parametrize("n_units", [10, 40, 300])
    def test_nilpotent_by_value(self, rng, n_units):
        half = n_units // 2
        core = np.zeros((n_units, n_units))
        core[:half, half:] = rng.standard_normal((half, n_units - half))
        basis = random_orthogonal(rng, n_units)
        assert spectral_radius(basis @ core @ basis.T) == 0.0

    @pytest.mark.parametrize("n_units", [30, 70])
    def test_eigenvalues_that_rounding_decides(self, rng, n_units):
        basis = random_orthogonal(rng, n_units)
        jordan = basis @ (np.eye(n_units) + np.eye(n_units, k=1)) @ basis.T
        with pytest.raises(ConvergenceError, match=r"not found.*Scale it yourself"):
            spectral_radius(jordan)

    def test_retries_with_higher_powers_then_takes_all_eigenvalues(self, monkeypatch):
        weights = recurrent_weights(70, spectral_radius=None, random_state=0)
        factors = []

        def never_agreeing(matrix, factor, rng):
            factors.append(factor)

        monkeypatch.setattr(_spectral_radius, "_krylov_radius", never_agreeing)
        assert spectral_radius(weights) == pytest.approx(dense_radius(weights), rel=1e-12)
        assert factors == [1, 1, 4, 16]
        monkeypatch.setattr(_spectral_radius, "_FALLBACK_UNITS", 69)
        with pytest.raises(ConvergenceError, match="70 connected units"):
            spectral_radius(weights)

    def test_same_seed_same_bits(self):
        weights = recurrent_weights(300, spectral_radius=None, random_state=0)
        assert spectral_radius(weights) == spectral_radius(weights)
        assert spectral_radius(weights, random_state=9) == spectral_radius(weights, random_state=9)
        assert spectral_radius(weights, random_state=9) == pytest.approx(
            spectral_radius(weights), rel=1e-8
        )

    def test_does_not_change_its_argument(self):
        weights = recurrent_weights(100, spectral_radius=None, random_state=0)
        before = weights.copy()
        spectral_radius(weights)
        assert (weights != before).nnz == 0

    @pytest.mark.parametrize(
        ("matrix", "error", "message"),
        [
            (np.ones((2, 3)), ValueError, r"`matrix` has shape \(2, 3\)"),
            (np.ones(4), ValueError, "square matrix was expected"),
            (np.float64(3), ValueError, "square matrix was expected"),
            ([[1, 2], [3]], ValueError, "not a rectangular array"),
            ([[np.nan]], ValueError, "NaN or infinite"),
            (sp.csr_array([[np.inf, 0.0], [0.0, 1.0]]), ValueError, "NaN or infinite"),
            (np.array([[1, 2], [3, "a"]], dtype=object), TypeError, "dtype object"),
            ([[1j]], TypeError, "real numbers were expected"),
            (sp.csr_array([[1j]]), TypeError, "real numbers were expected"),
            ("random", TypeError, "dtype <U6"),
        ],
    )
    def test_bad_matrix(self, matrix, error, message):
        with pytest.raises(error, match=message):
            spectral_radius(matrix)
