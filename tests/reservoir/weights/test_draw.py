"""Drawing reservoirs and input weights: sizes, scales, seeds, given matrices, bad arguments."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

from reservoir.weights import (
    ConvergenceError,
    bias_weights,
    input_weights,
    recurrent_weights,
)
from tests.support.matrices import ACCURACY, dense_radius, random_orthogonal


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

    @pytest.mark.parametrize("n_units", [1, 2, 7])
    def test_few_units_hear_all_units(self, n_units):
        W = recurrent_weights(n_units, random_state=0)
        W = W.toarray() if sp.issparse(W) else W
        assert (W != 0).all()
        assert np.abs(np.linalg.eigvals(W)).max() == pytest.approx(0.9)

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
            ("ring", ValueError, '"random", .*"small_world", "cycle".*a callable was expected'),
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
