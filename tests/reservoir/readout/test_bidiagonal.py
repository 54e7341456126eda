"""A path of alphas by the bidiagonal form: what singular vectors give."""

import numpy as np
import pytest

from reservoir.readout import QRAccumulator
from reservoir.readout._factored import BidiagonalSpectrum, FactoredSystem, SingularSpectrum


@pytest.mark.parametrize("n_rows", [25, 400])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("decay", [0, 5, 12])
@pytest.mark.parametrize("scale", [1.0, 1e160])
def test_it_answers_as_singular_vectors_do(rng, n_rows, fit_intercept, decay, scale):
    n = 40
    right = np.linalg.qr(rng.standard_normal((n, n)))[0]
    s = (rng.standard_normal((n_rows, n)) * np.logspace(0, -decay, n)) @ right.T
    y = s @ rng.standard_normal((n, 3)) + [0.0, 1e-3, 1.0] * rng.standard_normal((n_rows, 3))
    sums = QRAccumulator(n, 3).update(s, scale * y)
    system = FactoredSystem(sums, fit_intercept)
    form = system.decompose()
    assert isinstance(form, BidiagonalSpectrum)
    oracle = SingularSpectrum(system)
    alphas = np.logspace(-25, 3, 15)
    supported = oracle.supports(alphas)
    np.testing.assert_array_equal(form.supports(alphas), supported)
    alphas = alphas[np.sqrt(alphas) > 10 * system.root_resolution]
    np.testing.assert_allclose(form.free_rows(alphas), oracle.free_rows(alphas), rtol=1e-6)
    (found, found_noise), (expected, noise) = (
        each.squared_residuals(alphas) for each in (form, oracle)
    )
    np.testing.assert_allclose(found_noise, noise, rtol=1e-3)
    told = expected > 1e4 * noise
    assert told.sum() > 10
    np.testing.assert_allclose(found[told], expected[told], rtol=1e-1)
    clear = expected > 1e12 * noise
    np.testing.assert_allclose(found[clear], expected[clear], rtol=1e-5)
    targets = np.arange(len(alphas)) % 3
    coefs = [each.coefs(alphas, targets) / scale for each in (form, oracle)]
    errors = np.linalg.norm(coefs[0] - coefs[1], axis=0) / np.linalg.norm(coefs[1], axis=0)
    assert (errors < 100 * system.root_resolution / np.sqrt(alphas) + 1e-12).all()
