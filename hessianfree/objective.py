"""The two protocols between what is optimized and what optimizes it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


class Linearization(Protocol):
    """An objective around one point, on one batch, with its forward pass kept.

    Attributes
    ----------
    value : float
        f(θ), regularisation included.

    Notes
    -----
    Arrays returned belong to the caller. A linearization may hold work space, so one that is shared
    by several threads must be locked by them.
    """

    value: float

    def gradient(self) -> Array:
        """Return ∇f(θ), an array of shape (n_params,) in the dtype of the parameters."""
        ...

    def gauss_newton_product(
        self, v: Array, structural_damping: float = 0.0, *, out: Array | None = None
    ) -> Array:
        """Return (G + μ S) v without forming a matrix.

        Parameters
        ----------
        v : ndarray of shape (n_params,)
            The direction; it is not changed.
        structural_damping : float, default=0.0
            μ ≥ 0, the weight of the structural damping matrix S, which charges for changing the
            hidden states. An objective without hidden states ignores it.
        out : ndarray of shape (n_params,), optional
            Written to and returned; a new array otherwise.

        Returns
        -------
        ndarray of shape (n_params,)
            G is symmetric and positive semi-definite, and contains the curvature of the
            regularisation; the Tikhonov term λ v is the optimizer's own.
        """
        ...


class Objective(Protocol):
    """A function of a flat parameter vector, on batches of data.

    A `batch` is opaque to optimizers: they hand it over as it came and never look inside. An
    objective without data takes None. Values and products are means over the cases of the batch, so
    that two batches of different size are comparable, and a doubled batch changes nothing.
    """

    def value(self, params: Array, batch: Any) -> float:
        """Return f(θ). It may be infinite or NaN; it never raises for that."""
        ...

    def value_and_gradient(self, params: Array, batch: Any) -> tuple[float, Array]:
        """Return f(θ) and ∇f(θ) of shape (n_params,)."""
        ...

    def linearize(self, params: Array, batch: Any) -> Linearization:
        """Run the forward pass once, keep it, and return the linearization at θ.

        The parameters are copied where they are needed again: changing `params` in place later
        does not change the linearization.
        """
        ...


@runtime_checkable
class FisherObjective(Objective, Protocol):
    """An objective that can also say how large its gradients are case by case."""

    def fisher_diagonal(self, params: Array, batch: Any) -> Array:
        """Return the mean over cases of the squared gradient of each, of shape (n_params,).

        It is the diagonal of the empirical Fisher matrix, on the scale of the Gauss-Newton
        matrix. A case is a whole sequence: gradients are summed over its steps, then squared.
        """
        ...
