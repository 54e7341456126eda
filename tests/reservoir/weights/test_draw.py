import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

from reservoir.weights import (
    ConvergenceError,
    _spectral_radius,
    bias_weights,
    input_weights,
    recurrent_weights,
    spectral_radius,
)

# The aim is 1e-6; the two subspaces agree to 1e-8 before anything is returned.
ACCURACY = 1e-7


def dense_radius(matrix):
    dense = matrix.toarray() if sp.issparse(matrix) else matrix
    return np.abs(np.linalg.eigvals(dense)).max()


def random_orthogonal(rng, n_units):
    return np.linalg.qr(rng.standard_normal((n_units, n_units)))[0]


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
        matrix = sp.block_diag(blocks, format="csr")[order][:, order]
        expected = max(dense_radius(block) for block in blocks)
        assert spectral_radius(matrix) == pytest.approx(expected, rel=ACCURACY)

    def test_a_part_that_reaches_its_row_sum(self):
        # Radius 1.2, as large as its bound, beside a loop of radius 1.
        matrix = sp.block_diag([np.roll(np.eye(5), 1, axis=0), np.full((2, 2), 0.6)])
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


class TestRandomReservoirs:
    @pytest.mark.parametrize("topology", ["random", "small_world"])
    @pytest.mark.parametrize(
        ("n_units", "connectivity", "n_connections"),
        [
            (200, 10, 10),
            (200, 150, 150),
            (200, 0.05, 10),
            (50, 1e-9, 1),
            (2, 1, 1),
            (500, 0.3, 150),
        ],
    )
    def test_fixed_number_of_incoming_connections(
        self, topology, n_units, connectivity, n_connections
    ):
        weights = recurrent_weights(
            n_units,
            spectral_radius=None,
            connectivity=connectivity,
            topology=topology,
            random_state=0,
        )
        assert weights.shape == (n_units, n_units)
        assert weights.indices.dtype == weights.indptr.dtype == np.int32
        sources = weights.indices.reshape(n_units, -1)
        assert sources.shape[1] == n_connections
        assert np.all(np.diff(sources, axis=1) > 0)  # sorted, and none twice
        assert sources.min() >= 0
        assert sources.max() < n_units

    def test_all_connections_make_a_dense_matrix(self):
        for connectivity in (20, 1.0):
            weights = recurrent_weights(20, connectivity=connectivity, random_state=0)
            assert isinstance(weights, np.ndarray)
            assert np.count_nonzero(weights) == 400

    # 2 of 5 is drawn and drawn again where a source repeats, 3 of 5 by random keys.
    @pytest.mark.parametrize(("n_units", "connectivity"), [(5, 2), (5, 3)])
    def test_every_choice_of_sources_is_equally_likely(self, n_units, connectivity):
        counts = dict.fromkeys(itertools.combinations(range(n_units), connectivity), 0)
        for seed in range(1200):
            weights = recurrent_weights(
                n_units, spectral_radius=None, connectivity=connectivity, random_state=seed
            )
            for row in weights.indices.reshape(n_units, -1):
                counts[tuple(row)] += 1
        assert stats.chisquare(list(counts.values())).pvalue > 1e-3

    @pytest.mark.parametrize(
        ("distribution", "reference"),
        [("uniform", stats.uniform(-1.0, 2.0)), ("normal", stats.norm())],
    )
    def test_distribution_of_weights(self, distribution, reference):
        weights = recurrent_weights(
            1000, spectral_radius=None, distribution=distribution, random_state=4
        )
        assert stats.kstest(weights.data, reference.cdf).pvalue > 1e-3

    def test_signs(self):
        weights = recurrent_weights(
            1000, spectral_radius=None, distribution="signs", random_state=4
        )
        assert set(weights.data) == {-1.0, 1.0}
        assert abs(weights.data.mean()) < 4.0 / np.sqrt(weights.nnz)

    @pytest.mark.parametrize("topology", ["random", "small_world", "orthogonal"])
    @pytest.mark.parametrize("n_units", [2, 40, 250])
    def test_spectral_radius_asked_for(self, topology, n_units):
        weights = recurrent_weights(
            n_units,
            spectral_radius=0.73,
            connectivity=min(10, n_units - 1),
            topology=topology,
            random_state=1,
        )
        assert dense_radius(weights) == pytest.approx(0.73, rel=ACCURACY)

    def test_only_the_scale_depends_on_the_spectral_radius(self):
        drawn = recurrent_weights(100, spectral_radius=None, random_state=2)
        scaled = recurrent_weights(100, spectral_radius=0.5, random_state=2)
        np.testing.assert_allclose(
            scaled.toarray(), drawn.toarray() * (0.5 / dense_radius(drawn)), rtol=ACCURACY
        )

    def test_spectral_radius_zero_switches_the_recurrence_off(self):
        assert not np.any(recurrent_weights(20, spectral_radius=0.0, random_state=0).data)

    def test_same_seed_same_bits(self):
        def draw(seed):
            return recurrent_weights(300, random_state=seed)

        assert (draw(7) != draw(7)).nnz == 0
        assert (draw(7) != draw(np.random.SeedSequence(7))).nnz == 0
        assert (draw(np.random.default_rng(3)) != draw(np.random.default_rng(3))).nnz == 0
        assert (draw(7) != draw(8)).nnz > 0
        assert (draw(None) != draw(None)).nnz > 0

    @pytest.mark.parametrize("topology", ["random", "small_world", "cycle", "orthogonal"])
    def test_float32_is_float64_rounded(self, topology):
        double = recurrent_weights(80, topology=topology, random_state=1)
        single = recurrent_weights(80, topology=topology, random_state=1, dtype="float32")
        assert single.dtype == np.float32
        np.testing.assert_array_equal(
            np.asarray(single.todense() if sp.issparse(single) else single),
            np.asarray(double.todense() if sp.issparse(double) else double).astype(np.float32),
        )


class TestTopologies:
    def test_small_world_is_a_ring_a_tenth_of_it_rewired(self):
        n_units, connectivity = 2000, 10
        weights = recurrent_weights(
            n_units,
            spectral_radius=None,
            topology="small_world",
            connectivity=connectivity,
            random_state=0,
        )
        units = np.repeat(np.arange(n_units), connectivity)
        ahead = (weights.indices - units) % n_units
        distance = np.minimum(ahead, n_units - ahead)
        assert np.all(distance > 0)
        far = distance > connectivity // 2
        deviation = np.sqrt(0.1 * 0.9 / far.size)
        assert abs(far.mean() - 0.1) < 4 * deviation
        # What is not rewired is a neighbour; what is, lies anywhere else.
        reach = n_units // 2 - connectivity // 2
        where = (distance[far] - connectivity // 2 - 0.5) / reach
        assert stats.kstest(where, "uniform").pvalue > 1e-3

    def test_small_world_of_an_odd_number_of_neighbours(self):
        weights = recurrent_weights(
            12, spectral_radius=None, topology="small_world", connectivity=11, random_state=0
        )
        np.testing.assert_array_equal(weights.toarray() != 0, ~np.eye(12, dtype=bool))

    def test_cycle(self):
        weights = recurrent_weights(6, topology="cycle", spectral_radius=0.5)
        state = np.arange(6.0)
        np.testing.assert_array_equal(weights @ state, 0.5 * np.roll(state, 1))
        assert spectral_radius(weights) == pytest.approx(0.5, rel=1e-15)

    def test_delay_line(self):
        weights = recurrent_weights(5, topology="delay_line", spectral_radius=0.5)
        np.testing.assert_array_equal(weights @ np.arange(1.0, 6.0), [0.0, 0.5, 1.0, 1.5, 2.0])
        assert spectral_radius(weights) == 0.0
        assert recurrent_weights(1, topology="delay_line").nnz == 0

    def test_permutation(self):
        weights = recurrent_weights(50, topology="permutation", spectral_radius=0.8, random_state=0)
        order = (weights @ np.arange(50.0)) / 0.8
        np.testing.assert_allclose(np.sort(order), np.arange(50.0), rtol=1e-14)
        assert not np.array_equal(order, np.arange(50.0))
        np.testing.assert_allclose(weights.T @ np.ones(50), 0.8)

    @pytest.mark.parametrize("topology", ["cycle", "delay_line", "permutation"])
    @pytest.mark.parametrize("n_units", [1, 2, 9])
    def test_single_connections_are_sparse_and_of_weight_one_unscaled(self, topology, n_units):
        weights = recurrent_weights(n_units, topology=topology, spectral_radius=None)
        assert isinstance(weights, sp.csr_array)
        assert weights.indices.dtype == weights.indptr.dtype == np.int32
        assert set(weights.data) <= {1.0}

    def test_orthogonal(self):
        weights = recurrent_weights(60, topology="orthogonal", spectral_radius=0.9, random_state=0)
        np.testing.assert_allclose(weights.T @ weights, 0.81 * np.eye(60), atol=1e-14)

    def test_orthogonal_matrices_are_uniform(self):
        # Of the Haar measure: traces have mean 0 and variance 1, both determinants come.
        drawn = [
            recurrent_weights(6, topology="orthogonal", spectral_radius=1.0, random_state=seed)
            for seed in range(400)
        ]
        traces = np.trace(drawn, axis1=1, axis2=2)
        assert abs(traces.mean()) < 4.0 / np.sqrt(400)
        assert np.var(traces) == pytest.approx(1.0, abs=4.0 * np.sqrt(2.0 / 400))
        assert 120 < np.sum(np.linalg.det(drawn) > 0) < 280


class TestGivenReservoirs:
    @pytest.mark.parametrize("kind", [np.array, sp.csr_array, sp.csc_matrix, sp.coo_array, list])
    def test_given_matrix(self, rng, kind):
        matrix = rng.standard_normal((70, 70)) * (rng.random((70, 70)) < 0.2)
        given = kind(matrix.tolist()) if kind is list else kind(matrix)
        expected = matrix * (0.6 / dense_radius(matrix))
        weights = recurrent_weights(70, topology=given, spectral_radius=0.6)
        as_given = recurrent_weights(70, topology=given, spectral_radius=None)
        assert sp.issparse(weights) == sp.issparse(given)
        if sp.issparse(given):
            assert isinstance(weights, sp.csr_array)
            assert weights.has_sorted_indices
            assert weights.indices.dtype == np.int32
            weights, as_given = weights.toarray(), as_given.toarray()
        np.testing.assert_allclose(weights, expected, rtol=ACCURACY)
        np.testing.assert_array_equal(as_given, matrix)

    def test_given_matrix_is_not_changed_nor_shared(self):
        matrix = np.array([[0.0, 2.0], [2.0, 1.0]])
        before = matrix.copy()
        for radius in (None, 0.5):
            weights = recurrent_weights(2, topology=matrix, spectral_radius=radius)
            weights[0, 0] = 7.0
            np.testing.assert_array_equal(matrix, before)

    def test_integers_and_wide_indices(self):
        matrix = sp.csr_array(np.array([[0, 3], [3, 0]]))
        matrix.indices = matrix.indices.astype(np.int64)
        matrix.indptr = matrix.indptr.astype(np.int64)
        weights = recurrent_weights(2, topology=matrix, spectral_radius=0.5)
        assert weights.indices.dtype == np.int32
        np.testing.assert_allclose(weights.toarray(), [[0.0, 0.5], [0.5, 0.0]], rtol=1e-15)

    def test_callable_gets_the_size_and_a_seeded_generator(self):
        def topology(n_units, rng):
            assert isinstance(rng, np.random.Generator)
            return rng.standard_normal((n_units, n_units))

        first = recurrent_weights(30, topology=topology, spectral_radius=0.4, random_state=5)
        again = recurrent_weights(30, topology=topology, spectral_radius=0.4, random_state=5)
        other = recurrent_weights(30, topology=topology, spectral_radius=0.4, random_state=6)
        assert dense_radius(first) == pytest.approx(0.4, rel=ACCURACY)
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    @pytest.mark.parametrize(
        ("topology", "message"),
        [
            (np.zeros((3, 3)), "is all zero.*Pass `spectral_radius=None`"),
            (sp.csr_array((3, 3)), "is all zero"),
            (np.eye(3, k=-1), "is nilpotent.*Pass `spectral_radius=None`"),
            (lambda n_units, rng: np.eye(n_units, k=1), "is nilpotent"),
        ],
    )
    def test_no_spectral_radius_to_scale(self, topology, message):
        with pytest.raises(ValueError, match=message):
            recurrent_weights(3, topology=topology, spectral_radius=0.9)
        unscaled = recurrent_weights(3, topology=topology, spectral_radius=None)
        assert unscaled.shape == (3, 3)

    def test_nothing_is_drawn_again_where_the_radius_is_not_found(self, rng):
        basis = random_orthogonal(rng, 30)
        calls = []

        def topology(n_units, rng):
            calls.append(n_units)
            return basis @ (np.eye(30) + np.eye(30, k=1)) @ basis.T

        with pytest.raises(ConvergenceError, match="spectral_radius=None"):
            recurrent_weights(30, topology=topology)
        assert calls == [30]


class TestInputWeights:
    def test_uniform_and_dense_by_default(self):
        weights = input_weights(500, 3, random_state=0)
        assert weights.shape == (500, 3)
        assert stats.kstest(weights.ravel(), stats.uniform(-1.0, 2.0).cdf).pvalue > 1e-3

    def test_scaling_multiplies_channels(self):
        plain = input_weights(50, 3, random_state=1)
        np.testing.assert_array_equal(input_weights(50, 3, scaling=0.5, random_state=1), plain / 2)
        np.testing.assert_array_equal(
            input_weights(50, 3, scaling=(2.0, 0.0, 0.25), random_state=1),
            plain * [2.0, 0.0, 0.25],
        )

    @pytest.mark.parametrize(
        ("connectivity", "n_connections"), [(2, 2), (7, 7), (0.5, 4), (1.0, 8), (1e-3, 1)]
    )
    def test_channels_a_unit_hears(self, connectivity, n_connections):
        weights = input_weights(300, 8, connectivity=connectivity, random_state=2)
        np.testing.assert_array_equal(np.count_nonzero(weights, axis=1), n_connections)
        heard = np.count_nonzero(weights, axis=0) / 300
        expected = n_connections / 8
        assert np.all(np.abs(heard - expected) < 0.15)

    @pytest.mark.parametrize("distribution", ["uniform", "normal", "signs"])
    def test_float32_is_float64_rounded(self, distribution):
        double = input_weights(40, 2, distribution=distribution, scaling=0.3, random_state=0)
        single = input_weights(
            40, 2, distribution=distribution, scaling=0.3, random_state=0, dtype=np.float32
        )
        assert single.dtype == np.float32
        np.testing.assert_array_equal(single, double.astype(np.float32))

    def test_bias(self):
        plain = bias_weights(2000, random_state=3)
        assert stats.kstest(plain, stats.uniform(-1.0, 2.0).cdf).pvalue > 1e-3
        np.testing.assert_array_equal(bias_weights(2000, scaling=4.0, random_state=3), 4.0 * plain)
        assert set(bias_weights(50, distribution="signs", random_state=0)) == {-1.0, 1.0}
        assert not np.any(bias_weights(5, scaling=0.0, random_state=0))
        assert bias_weights(5, random_state=0, dtype=np.float32).dtype == np.float32


class TestBadArguments:
    @pytest.mark.parametrize("function", [recurrent_weights, bias_weights])
    @pytest.mark.parametrize(
        ("n_units", "error"),
        [
            (0, ValueError),
            (-3, ValueError),
            (2**31, ValueError),
            (10.0, TypeError),
            (True, TypeError),
            ("10", TypeError),
            (None, TypeError),
        ],
    )
    def test_n_units(self, function, n_units, error):
        with pytest.raises(error, match=r"`n_units` is .* was expected"):
            function(n_units)
        with pytest.raises(error, match=r"`n_units` is .* was expected"):
            input_weights(n_units, 2)
        with pytest.raises(error, match=r"`n_inputs` is .* was expected"):
            input_weights(2, n_units)

    @pytest.mark.parametrize("topology", ["random", "small_world"])
    @pytest.mark.parametrize(
        ("connectivity", "error", "message"),
        [
            (0, ValueError, "between 1 and"),
            (-1, ValueError, "between 1 and"),
            (51, ValueError, "between 1 and"),
            (0.0, ValueError, r"must lie in \(0, 1\].*integer for a number of connections"),
            (10.0, ValueError, r"must lie in \(0, 1\]"),
            (-0.5, ValueError, r"must lie in \(0, 1\]"),
            (np.nan, ValueError, r"must lie in \(0, 1\]"),
            (True, TypeError, "`connectivity` is True"),
            ("10", TypeError, "`connectivity` is '10'"),
            (None, TypeError, "`connectivity` is None"),
        ],
    )
    def test_connectivity(self, topology, connectivity, error, message):
        with pytest.raises(error, match=message):
            recurrent_weights(50, connectivity=connectivity, topology=topology)

    def test_connectivity_of_small_world_excludes_self(self):
        with pytest.raises(ValueError, match=r"`n_units` - 1 = 49"):
            recurrent_weights(50, connectivity=50, topology="small_world")

    @pytest.mark.parametrize(
        ("connectivity", "error", "message"),
        [
            (4, ValueError, "`n_inputs` = 3"),
            (0, ValueError, "`n_inputs` = 3"),
            (1.5, ValueError, r"must lie in \(0, 1\]"),
            (False, TypeError, "`connectivity` is False"),
        ],
    )
    def test_input_connectivity(self, connectivity, error, message):
        with pytest.raises(error, match=message):
            input_weights(5, 3, connectivity=connectivity)

    def test_more_connections_than_indices(self):
        with pytest.raises(ValueError, match=r"fewer than 2\*\*31"):
            recurrent_weights(2**28, connectivity=10)

    @pytest.mark.parametrize(
        ("radius", "error"),
        [
            (-0.5, ValueError),
            (np.nan, ValueError),
            (np.inf, ValueError),
            ("0.9", TypeError),
            (True, TypeError),
            (1j, TypeError),
        ],
    )
    def test_spectral_radius(self, radius, error):
        with pytest.raises(error, match=r"`spectral_radius` is .* was expected"):
            recurrent_weights(20, spectral_radius=radius)

    @pytest.mark.parametrize(
        ("scaling", "error", "message"),
        [
            (-1.0, ValueError, "`scaling` is -1.0"),
            (np.nan, ValueError, "`scaling` is nan"),
            (np.inf, ValueError, "`scaling` is inf"),
            ("1", TypeError, "`scaling` is '1'"),
            (None, TypeError, "`scaling` is None"),
            ([1.0, 2.0], ValueError, r"`scaling` has shape \(2,\), but \(3,\)"),
            ([[1.0, 2.0, 3.0]], ValueError, r"`scaling` has shape \(1, 3\), but \(3,\)"),
            ([1.0, np.nan, 1.0], ValueError, "`scaling` has NaN or infinite"),
            ([1.0, -2.0, 1.0], ValueError, r"`scaling` has the entry -2\.0"),
            (["a", "b", "c"], TypeError, "`scaling` has dtype"),
            ([1.0, [2.0], 1.0], ValueError, "`scaling` is not a rectangular array"),
        ],
    )
    def test_scaling(self, scaling, error, message):
        with pytest.raises(error, match=message):
            input_weights(5, 3, scaling=scaling)
        if not isinstance(scaling, list):
            with pytest.raises(error, match=message):
                bias_weights(5, scaling=scaling)

    @pytest.mark.parametrize("distribution", ["gaussian", "", None, 3, ["uniform"]])
    def test_distribution(self, distribution):
        message = "`distribution` is .*'uniform', 'normal', 'signs'"
        with pytest.raises(ValueError, match=message):
            recurrent_weights(20, distribution=distribution)
        with pytest.raises(ValueError, match=message):
            input_weights(20, 2, distribution=distribution)
        with pytest.raises(ValueError, match=message):
            bias_weights(20, distribution=distribution)

    @pytest.mark.parametrize("dtype", ["float16", int, complex, "U3"])
    def test_dtype(self, dtype):
        with pytest.raises(ValueError, match="float64 or float32 was expected"):
            recurrent_weights(20, dtype=dtype)
        with pytest.raises(ValueError, match="float64 or float32 was expected"):
            input_weights(20, 1, dtype=dtype)

    def test_random_state(self):
        with pytest.raises(TypeError, match="`random_state` is of type str"):
            recurrent_weights(20, random_state="seed")

    @pytest.mark.parametrize(
        ("topology", "error", "message"),
        [
            ("ring", ValueError, '"random", "small_world", "cycle".*a callable was expected'),
            (np.ones((2, 3)), ValueError, r"`topology` has shape \(2, 3\), but \(4, 4\)"),
            (np.ones((5, 5)), ValueError, r"`topology` has shape \(5, 5\), but \(4, 4\)"),
            (None, TypeError, "`topology` has dtype object"),
            (np.full((4, 4), np.nan), ValueError, "`topology` has NaN or infinite"),
            (lambda n_units, rng: np.ones(n_units), ValueError, r"`topology\(n_units, rng\)` has"),
        ],
    )
    def test_topology(self, topology, error, message):
        with pytest.raises(error, match=message):
            recurrent_weights(4, topology=topology)

    def test_weights_beyond_the_dtype(self):
        with pytest.raises(ValueError, match="too large"):
            recurrent_weights(4, topology="cycle", spectral_radius=1e300, dtype=np.float32)
