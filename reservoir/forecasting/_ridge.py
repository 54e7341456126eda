"""Ridge readouts of a member: penalties about that which generalised cross-validation picks."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from reservoir.readout._protocols import Spectrum
from reservoir.readout._solve import ridge_system
from reservoir.readout._sums import GramAccumulator
from reservoir.utils.types import Floats

# Penalties are ten to these times the number of rows; features are about of size 1. The smallest
# serve series without noise: errors on the training part of a laser are a sixth larger without.
EXPONENTS = np.arange(-7.0, 3.0)

# Cross-validation one step ahead likes small penalties; so many steps up are tried as well.
N_TRIED = 3


class RidgePath:
    """MemberReadouts of the same rows for several penalties.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_features)
        What is seen.
    targets : ndarray of shape (n_rows, n_outputs)
        What is to be forecast.
    """

    def __init__(self, features: Floats, targets: Floats) -> None:
        sums = GramAccumulator(features.shape[1], targets.shape[1])
        sums.fold(features, targets, None)
        self._system = ridge_system(sums, True)
        self._alphas = len(features) * 10.0**EXPONENTS

    @cached_property
    def _spectrum(self) -> Spectrum:
        return self._system.decompose()

    def tried(self) -> list[int]:
        """Return the numbers of the penalties tried, from the one of the lowest score on."""
        n_rows, spectrum = self._system.n_rows, self._spectrum
        freedom = spectrum.free_rows(self._alphas) / n_rows
        residuals, least = (part.sum(axis=1) for part in spectrum.squared_residuals(self._alphas))
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = residuals / freedom**2
        # Rounding decides residuals below the least.
        best = int(np.argmin(np.where(np.isfinite(scores) & (residuals > least), scores, np.inf)))
        return list(range(best, min(best + N_TRIED, len(self._alphas))))

    def readouts(self, penalties: list[int]) -> tuple[Floats, Floats]:
        """Return coefficients (n_penalties, n_features, n_outputs), intercepts (n_penalties, ...).

        Parameters
        ----------
        penalties : list of int
            Their numbers in `EXPONENTS`.
        """
        system = self._system
        n_outputs = len(system.target_mean)
        if len(penalties) == 1:
            coefs = system.solve(float(self._alphas[penalties[0]]))[0][None]
        else:
            flat = self._spectrum.coefs(
                np.repeat(self._alphas[penalties], n_outputs),
                np.tile(np.arange(n_outputs), len(penalties)),
            )
            coefs = flat.reshape(len(flat), len(penalties), n_outputs).transpose(1, 0, 2)
        return coefs, system.target_mean - system.feature_mean @ coefs
