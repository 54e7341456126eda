"""Diagonal preconditioners for the damped Gauss-Newton system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hessianfree.optimize._protocols import FisherObjective, Objective
from reservoir.utils.device import module_of
from reservoir.utils.explained import explained
from reservoir.utils.types import Array


class Preconditioner(Protocol):
    """A rule that gives the diagonal of P anew for each step.

    Attributes
    ----------
    n_gradients : int
        What one diagonal costs beside the products that it asks for, in gradients of the curvature
        batch.
    """

    n_gradients: int

    def diagonal(
        self,
        objective: Objective,
        params: Array,
        batch: Any,
        product: Callable[[Array], Array],
        damping: float,
        seed: int,
    ) -> Array:
        """Return the diagonal of P, positive, of shape (n_params,).

        Parameters
        ----------
        objective : Objective
            What is minimized.
        params : ndarray of shape (n_params,)
            Where the system stands.
        batch : object
            The curvature batch.
        product : callable
            v -> A v, damping included; calls are counted.
        damping : float
            λ.
        seed : int
            For whatever is drawn at random; the number of the step.
        """
        ...


@dataclass(frozen=True)
class FisherPreconditioner:
    r"""Precondition by the diagonal of the empirical Fisher matrix.

    .. math:: P = \Big(\tfrac1n \sum_i g_i^2 + \lambda\Big)^{0.75}

    with g_i the gradient of case i (a whole sequence: summed over its steps, then squared).

    Parameters
    ----------
    exponent : float, default=0.75
        As in [1]_: below 1, since the empirical diagonal is a rough guess of that of the matrix.

    Notes
    -----
    The mean is taken over the curvature batch, while [1]_ takes it over the gradient set: the same
    quantity at a fraction of the cost. The objective must be a `FisherObjective`. For recurrent
    nets neither the authors of [1]_ nor measurements here saw a gain.

    References
    ----------
    .. [1] Martens (2010), Deep learning via Hessian-free optimization, section 4.7.
    """

    exponent: float = 0.75
    n_gradients = 1

    def diagonal(
        self,
        objective: Objective,
        params: Array,
        batch: Any,
        product: Callable[[Array], Array],
        damping: float,
        seed: int,
    ) -> Array:
        """Return the diagonal of P; see `Preconditioner.diagonal`."""
        if not isinstance(objective, FisherObjective):
            raise TypeError(
                f"`objective` is of type {type(objective).__name__}, but one with a method "
                "`fisher_diagonal` was expected. Use JacobiPreconditioner or None instead."
            )
        diagonal = objective.fisher_diagonal(params, batch) + damping
        # A parameter without gradient in an undamped system: leave it as it is.
        diagonal[diagonal == 0] = 1
        diagonal **= self.exponent
        return diagonal


@explained
@dataclass(frozen=True)
class JacobiPreconditioner:
    r"""Precondition by the diagonal of the system's own matrix.

    P = diag(A) is exact from n products, or estimated from k of them with random signs v [1]_:

    .. math:: \operatorname{diag}(A) \approx \tfrac1k \sum_{j=1}^k v_j \odot A v_j

    Parameters
    ----------
    n_probes : int or None, default=10
        k; the standard deviation of an entry is that of its off-diagonal row norm over √k. None:
        exact, one product per parameter, for small problems and for tests.

    References
    ----------
    .. [1] Bekas, Kokiopoulou & Saad (2007), An estimator for the diagonal of a matrix.
    """

    n_probes: int | None = 10

    def __post_init__(self) -> None:
        """Check the number of probes."""
        if self.n_probes is not None and self.n_probes < 1:
            raise ValueError(
                f"`n_probes` is {self.n_probes}, but 1 or more was expected, or None. "
                "Pass None for the exact diagonal."
            )

    n_gradients = 0

    def diagonal(
        self,
        objective: Objective,
        params: Array,
        batch: Any,
        product: Callable[[Array], Array],
        damping: float,
        seed: int,
    ) -> Array:
        """Return the diagonal of P; see `Preconditioner.diagonal`."""
        xp = module_of(params)
        diagonal = xp.zeros_like(params)
        if self.n_probes is None:
            for i in range(params.size):
                unit = xp.zeros_like(params)
                unit[i] = 1
                diagonal[i] = product(unit)[i]
        else:
            rng = np.random.default_rng(seed)
            for _ in range(self.n_probes):
                signs = xp.asarray((2 * rng.integers(2, size=params.size) - 1).astype(params.dtype))
                diagonal += signs * product(signs)
            diagonal /= self.n_probes
        # The diagonal of A is at least λ; an estimate may be anything.
        smallest = max(damping, float(np.finfo(params.dtype).eps) * float(diagonal.max()))
        bounded: Array = xp.maximum(diagonal, smallest if smallest > 0 else 1, out=diagonal)
        return bounded
