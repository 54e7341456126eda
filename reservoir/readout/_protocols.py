"""The two linear systems behind a ridge readout: normal equations and triangular factor.

Both answer the same questions, so that an alpha is chosen alike whatever the arithmetic: `solve`
for one alpha, `decompose` for a path, `squared_errors` on the rows of other sums. Sums on a GPU are
solved there; what comes out, a few columns, is on the host.
"""

from __future__ import annotations

from typing import Protocol

from reservoir.readout._sums import Solver
from reservoir.utils.types import Booleans, Floats, Integers


class Spectrum(Protocol):
    """A decomposed system: each further alpha is cheap."""

    def supports(self, alphas: Floats) -> Booleans:
        """Tell, for each alpha, whether the readout is determined beyond rounding."""

    def free_rows(self, alphas: Floats) -> Floats:
        """Return n_rows − tr H for each alpha, without cancellation."""

    def squared_residuals(self, alphas: Floats) -> tuple[Floats, Floats]:
        """Return the sums of squared residuals over scale², of shape (n_alphas, n_targets).

        And how large each must be for rounding not to decide it.
        """

    def coefs(self, alphas: Floats, targets: Integers) -> Floats:
        """Return weights of shape (n_features, k): column i is target i's at alpha i."""


class RidgeSystem(Protocol):
    """Accumulated rows, centred or not, ready to be solved."""

    solver: Solver
    n_rows: int
    total_weight: float
    resolution: float
    scale: float
    feature_mean: Floats
    target_mean: Floats

    def solve(self, alpha: float) -> tuple[Floats, bool]:
        """Return weights of shape (n_features, n_targets), and whether rounding leaves them."""

    def decompose(self) -> Spectrum:
        """Return what serves every alpha."""
