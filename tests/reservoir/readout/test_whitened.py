"""Rows taken by whitening: the factor that reflections give, whatever the condition."""

import pickle

import numpy as np
import pytest

from reservoir.readout import QRAccumulator, solve_ridge
from reservoir.readout import _sums as sums_module
from reservoir.readout._whitened import WhitenedRows


def spread(rng, n_rows, n, decay):
    """Rows whose singular values fall by `decay` powers of ten."""
    right = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return (rng.standard_normal((n_rows, n)) * np.logspace(0, -decay, n)) @ right.T


def accumulate(s, y, weight=None, *, n_at_once=100):
    sums = QRAccumulator(s.shape[1], y.shape[1])
    for start in range(0, len(s), n_at_once):
        rows = slice(start, start + n_at_once)
        sums.update(s[rows], y[rows], None if weight is None else weight[rows])
    return sums


@pytest.fixture
def always(monkeypatch):
    """Whitens however few the columns are."""
    monkeypatch.setattr(sums_module, "_LEAST_WHITENED", 1)


@pytest.mark.usefixtures("always")
class TestFactor:
    @pytest.mark.parametrize("scale", [1.0, 1e160, 1e-170])
    @pytest.mark.parametrize("decay", [0, 8, 14, 18])
    def test_singular_values_are_known_to_rounding(self, rng, decay, scale):
        s, weight = scale * spread(rng, 600, 40, decay), rng.uniform(0.5, 2.0, 600)
        sums = accumulate(s, s[:, :2], weight)
        assert sums._whitened is not None
        z = np.sqrt(weight)[:, None] * (s - np.average(s, axis=0, weights=weight)) / scale
        expected = np.linalg.svd(z, compute_uv=False)
        found = np.linalg.svd(sums.factor[1:, 1:41] / scale, compute_uv=False)
        assert np.abs(found - expected).max() < 20 * np.finfo(float).eps * expected[0]

    def test_a_path_has_the_digits_of_reflections(self, rng, monkeypatch):
        s = spread(rng, 600, 40, 9)
        y = s @ rng.standard_normal((40, 2))
        alphas = np.logspace(-24, -2, 12)
        whitened = solve_ridge(accumulate(s, y), alphas)
        monkeypatch.setattr(sums_module, "_LEAST_WHITENED", 1000)
        reflected = solve_ridge(accumulate(s, y), alphas)
        assert whitened.alpha == reflected.alpha
        np.testing.assert_allclose(whitened.coef, reflected.coef, rtol=1e-5, atol=1e-6)
        for coef in (whitened.coef, reflected.coef):
            residual = y - y.mean(axis=0) - (s - s.mean(axis=0)) @ coef.T
            assert np.abs(residual).max() < 1e-13 * np.abs(y).max()

    def test_rows_unlike_those_before_are_taken_otherwise(self, rng):
        s = rng.standard_normal((600, 10))
        s[:, 7] = 0.0
        s[:300, 8] = 1e-30 * rng.standard_normal(300)
        s[400:, 7] = rng.standard_normal(200)
        s[450] *= 1e6
        sums = accumulate(s, s[:, :1] ** 2)
        z = np.column_stack([np.ones(600), s, s[:, :1] ** 2]) - sums.shift
        np.testing.assert_allclose(
            sums.factor.T @ sums.factor, z.T @ z, atol=1e-14 * np.linalg.norm(z) ** 2
        )

    def test_many_rows_begin_anew(self, rng, monkeypatch):
        monkeypatch.setattr("reservoir.readout._whitened._MOST_GROWTH", 3.0)
        begun = []
        plain = WhitenedRows.__init__
        monkeypatch.setattr(
            WhitenedRows, "__init__", lambda self, r: (begun.append(1), plain(self, r))[1]
        )
        s = spread(rng, 3000, 20, 6)
        sums = accumulate(s, s[:, :1])
        assert len(begun) > 2
        expected = np.linalg.svd(s - s.mean(axis=0), compute_uv=False)
        found = np.linalg.svd(sums.factor[1:, 1:21], compute_uv=False)
        assert np.abs(found - expected).max() < 20 * np.finfo(float).eps * expected[0]

    def test_fewer_directions_than_columns_are_whitened_too(self, rng):
        s = np.tile(rng.standard_normal((30, 60)), (20, 1))
        sums = accumulate(s, s[:, :2])
        assert sums._whitened is not None
        expected = np.linalg.svd(s - s.mean(axis=0), compute_uv=False)
        found = np.linalg.svd(sums.factor[1:, 1:61], compute_uv=False)
        assert np.abs(found - expected).max() < 20 * np.finfo(float).eps * expected[0]

    def test_duplicates_and_zeros(self, rng):
        s = rng.standard_normal((500, 8))
        s[:, 3], s[:, 5] = s[:, 2], 0.0
        y = s[:, :2] @ np.ones((2, 1))
        sums = accumulate(s, y)
        solution = solve_ridge(sums, 1e-10)
        np.testing.assert_allclose(s @ solution.coef.T + solution.intercept, y, atol=1e-9)

    def test_what_has_been_taken_goes_with_the_sums(self, rng):
        s, y = rng.standard_normal((500, 8)), rng.standard_normal((500, 1))
        expected = np.abs(accumulate(s, y).factor)
        copied, pickled = accumulate(s, y), accumulate(s, y)
        for other in (copied.copy(), pickle.loads(pickle.dumps(pickled))):
            np.testing.assert_array_equal(np.abs(other.factor), expected)
        halves = accumulate(s[:250], y[:250]).merge(accumulate(s[250:], y[250:]))
        np.testing.assert_allclose(np.abs(halves.factor), expected, atol=1e-12)
        more = accumulate(s[:400], y[:400]).update(s[400:], y[400:])
        np.testing.assert_array_equal(np.abs(more.factor), expected)


def test_large_factors_are_whitened_and_small_ones_are_not(rng):
    for n, expected in ((50, False), (250, True)):
        s = rng.standard_normal((1000, n))
        assert (accumulate(s, s[:, :1], n_at_once=500)._whitened is not None) is expected
