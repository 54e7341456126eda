"""Conceptors: soft projections that keep a reservoir on one of the patterns it has learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh, solve

from reservoir.utils.explained import explained
from reservoir.utils.types import Floats
from reservoir.utils.validation import check_real

# Eigenvalues of a conceptor this close to 0 are taken for 0; from rounding, they are off by 1e-16.
_ZERO = 1e-12


@explained
def correlation(states: ArrayLike) -> Floats:
    """Return how the units of a reservoir go together: the mean of x xᵀ.

    R = (1/L) Σ_t x[t] x[t]ᵀ   [1]_

    Parameters
    ----------
    states : array-like of shape (n_steps, n_units)
        x[t], after the washout. The mean is not subtracted.

    Returns
    -------
    ndarray of shape (n_units, n_units)
        R, in float64.

    Raises
    ------
    ValueError
        If `states` is not 2-D, holds no step, or is not finite.

    References
    ----------
    .. [1] Jaeger (2014), Controlling recurrent neural networks by conceptors, arXiv:1403.3369,
       section 3.2.

    Examples
    --------
    >>> correlation([[1.0, 0.0], [1.0, 2.0]])
    array([[1., 1.],
           [1., 2.]])
    """
    rows = np.asarray(states, dtype=np.float64)
    if rows.ndim != 2 or len(rows) == 0:
        raise ValueError(
            f"`states` has shape {rows.shape}, but (n_steps, n_units) with one step or more was "
            "expected. Pass the states of a run."
        )
    check_finite("states", rows)
    product: Floats = rows.T @ rows / len(rows)
    return product


@explained
def conceptor(correlation: ArrayLike, aperture: float = 10.0) -> Floats:
    """Return the conceptor of states: close to 1 in directions they use, to 0 in the others.

    C = R (R + α⁻² I)⁻¹   [1]_

    It has the eigenvectors of R, and the eigenvalues r / (r + α⁻²).

    Parameters
    ----------
    correlation : array-like of shape (n_units, n_units)
        R, symmetric and positive semi-definite.
    aperture : float, default=10.0
        α, positive, in units of 1 / state: directions in which states vary more than 1/α are let
        through.

    Returns
    -------
    ndarray of shape (n_units, n_units)
        C, symmetric, with eigenvalues in [0, 1).

    Raises
    ------
    ValueError
        If `correlation` is not square, symmetric, finite and positive semi-definite, or `aperture`
        is not positive.

    References
    ----------
    .. [1] Jaeger (2014), Controlling recurrent neural networks by conceptors, arXiv:1403.3369,
       eq. 7.

    Examples
    --------
    >>> import numpy as np
    >>> conceptor(np.diag([1.0, 0.01, 0.0]), aperture=10.0).diagonal().round(3)
    array([0.99, 0.5 , 0.  ])
    """
    aperture = check_real("aperture", aperture, minimum=0, exclusive=True)
    R = _check_symmetric("correlation", correlation)
    variances, vectors = eigh(R)
    largest = float(variances[-1])
    if variances[0] < -1e-8 * max(abs(largest), np.finfo(float).tiny):
        raise ValueError(
            f"`correlation` has the eigenvalue {variances[0]:.3g}, but none below 0 was expected. "
            "Pass the correlation of states."
        )
    variances = np.maximum(variances, 0.0)
    return _from_spectrum(variances / (variances + aperture**-2), vectors)


@explained
def adapt_aperture(conceptor: ArrayLike, factor: float) -> Floats:
    """Return the conceptor that a wider or narrower aperture would have given.

    φ(C, γ) = C (C + γ⁻² (I − C))⁻¹   [1]_

    Parameters
    ----------
    conceptor : array-like of shape (n_units, n_units)
        C.
    factor : float
        γ, positive: a conceptor of aperture α becomes that of aperture γ α.

    Returns
    -------
    ndarray of shape (n_units, n_units)

    Raises
    ------
    ValueError
        If `conceptor` is none, or `factor` is not positive.

    References
    ----------
    .. [1] Jaeger (2014), Controlling recurrent neural networks by conceptors, arXiv:1403.3369,
       definition 2.

    Examples
    --------
    >>> import numpy as np
    >>> adapt_aperture(np.diag([0.5, 0.0, 1.0]), 3.0).diagonal()
    array([0.9, 0. , 1. ])
    """
    factor = check_real("factor", factor, minimum=0, exclusive=True)
    values, vectors = _spectrum("conceptor", conceptor)
    return _from_spectrum(values / (values + factor**-2 * (1 - values)), vectors)


@explained
def conceptor_not(conceptor: ArrayLike) -> Floats:
    """Return the conceptor of all that a given one suppresses.

    ¬C = I − C   [1]_

    Parameters
    ----------
    conceptor : array-like of shape (n_units, n_units)
        C.

    Returns
    -------
    ndarray of shape (n_units, n_units)

    Raises
    ------
    ValueError
        If `conceptor` is none.

    References
    ----------
    .. [1] Jaeger (2014), Controlling recurrent neural networks by conceptors, arXiv:1403.3369,
       definition 4.

    Examples
    --------
    >>> import numpy as np
    >>> conceptor_not(np.diag([0.75, 0.0])).diagonal()
    array([0.25, 1.  ])
    """
    values, vectors = _spectrum("conceptor", conceptor)
    return _from_spectrum(1 - values, vectors)


@explained
def conceptor_and(first: ArrayLike, second: ArrayLike) -> Floats:
    r"""Return the conceptor of what both of two let through.

    C ∧ B = (C⁻¹ + B⁻¹ − I)⁻¹   [1]_

    where both are invertible; otherwise, with the columns of P an orthonormal basis of the
    directions that neither blocks (the intersection of their ranges),

    .. math:: C \wedge B = P \big(P^\top (C^\dagger + B^\dagger - I) P\big)^{-1} P^\top.

    Parameters
    ----------
    first, second : array-like of shape (n_units, n_units)
        C and B.

    Returns
    -------
    ndarray of shape (n_units, n_units)

    Raises
    ------
    ValueError
        If one is no conceptor, or their shapes differ.

    References
    ----------
    .. [1] Jaeger (2014), Controlling recurrent neural networks by conceptors, arXiv:1403.3369,
       definition 4 and proposition 8.

    Examples
    --------
    >>> import numpy as np
    >>> conceptor_and(np.diag([0.5, 1.0, 0.5]), np.diag([0.5, 0.8, 0.0])).diagonal().round(6)
    array([0.333333, 0.8     , 0.      ])
    """
    C, B = _spectrum("first", first), _spectrum("second", second)
    if len(C[0]) != len(B[0]):
        raise ValueError(
            f"`first` is for {len(C[0])} units and `second` for {len(B[0])}, but conceptors of "
            "one reservoir were expected. Pass two of the same size."
        )
    shared = _shared_range(C, B)
    n_shared = shared.shape[1]
    inverse = shared.T @ (_pseudo_inverse(*C) + _pseudo_inverse(*B)) @ shared - np.eye(n_shared)
    return _symmetric(shared @ solve(inverse, shared.T, assume_a="pos"))


@explained
def conceptor_or(first: ArrayLike, second: ArrayLike) -> Floats:
    """Return the conceptor of what at least one of two lets through.

    C ∨ B = ¬(¬C ∧ ¬B)   [1]_

    Of conceptors from correlations, both of aperture α, it is that of the sum R + Q [1]_.

    Parameters
    ----------
    first, second : array-like of shape (n_units, n_units)
        C and B.

    Returns
    -------
    ndarray of shape (n_units, n_units)

    Raises
    ------
    ValueError
        If one is no conceptor, or their shapes differ.

    References
    ----------
    .. [1] Jaeger (2014), Controlling recurrent neural networks by conceptors, arXiv:1403.3369,
       definition 4 and proposition 8.

    Examples
    --------
    >>> import numpy as np
    >>> conceptor_or(np.diag([0.5, 0.0]), np.diag([0.5, 0.8])).diagonal().round(6)
    array([0.666667, 0.8     ])
    """
    return conceptor_not(conceptor_and(conceptor_not(first), conceptor_not(second)))


@explained
def morph(conceptors: Sequence[ArrayLike], weights: ArrayLike) -> Floats:
    """Return a mixture of conceptors.

    C = Σ_j μ_j C_j   [1]_

    Parameters
    ----------
    conceptors : sequence of array-like of shape (n_units, n_units)
        C_j.
    weights : array-like of shape (n_conceptors,)
        μ_j, which add up to 1. Weights below 0 and above 1 go beyond the patterns.

    Returns
    -------
    ndarray of shape (n_units, n_units)
        A conceptor where no weight is negative.

    Raises
    ------
    ValueError
        If the weights are not one per conceptor, or do not add up to 1.

    References
    ----------
    .. [1] Jaeger (2014), Controlling recurrent neural networks by conceptors, arXiv:1403.3369,
       section 3.7.

    Examples
    --------
    >>> import numpy as np
    >>> morph([np.diag([1.0, 0.0]), np.diag([0.0, 1.0])], [0.75, 0.25]).diagonal()
    array([0.75, 0.25])
    """
    stack, shares = np.asarray(conceptors, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if shares.ndim != 1 or stack.ndim != 3 or len(stack) != len(shares):
        raise ValueError(
            f"`weights` has shape {shares.shape}, but `conceptors` {stack.shape}. Pass one weight "
            "for each of several square conceptors."
        )
    if not abs(shares.sum() - 1) < 1e-8:  # False for NaN too
        raise ValueError(
            f"`weights` add up to {shares.sum():.6g}, but 1 was expected. Divide them by their sum."
        )
    mixture: Floats = np.tensordot(shares, stack, axes=1)
    return mixture


def _shared_range(C: tuple[Floats, Floats], B: tuple[Floats, Floats]) -> Floats:
    """Return an orthonormal basis of the intersection of two ranges, given spectra."""
    # It is the null space of the sum of the projections on what each blocks.
    blocked = [vectors[:, values <= _ZERO] for values, vectors in (C, B)]
    projections = blocked[0] @ blocked[0].T + blocked[1] @ blocked[1].T
    values, vectors = eigh(projections)
    return np.ascontiguousarray(vectors[:, values <= _ZERO])


def _pseudo_inverse(values: Floats, vectors: Floats) -> Floats:
    kept = values > _ZERO
    return _from_spectrum(1 / values[kept], vectors[:, kept])


def _spectrum(name: str, conceptor: ArrayLike) -> tuple[Floats, Floats]:
    """Return the eigenvalues, within [0, 1], and eigenvectors of a conceptor, or raise."""
    values, vectors = eigh(_check_symmetric(name, conceptor))
    if values[0] < -1e-8 or values[-1] > 1 + 1e-8:
        raise ValueError(
            f"`{name}` has eigenvalues from {values[0]:.3g} to {values[-1]:.3g}, but those of a "
            "conceptor lie between 0 and 1. Make one with `conceptor(correlation(states))`."
        )
    return np.clip(values, 0.0, 1.0), vectors


def _from_spectrum(values: Floats, vectors: Floats) -> Floats:
    return _symmetric(vectors * values @ vectors.T)


def _symmetric(matrix: Floats) -> Floats:
    """Return the matrix without the asymmetry of rounding."""
    return (matrix + matrix.T) / 2


def _check_symmetric(name: str, matrix: ArrayLike) -> Floats:
    array = np.asarray(matrix, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or len(array) == 0:
        raise ValueError(
            f"`{name}` has shape {array.shape}, but a square matrix was expected. Give it one row "
            "and one column per unit."
        )
    check_finite(name, array)
    if np.abs(array - array.T).max() > 1e-6 * np.abs(array).max():
        raise ValueError(f"`{name}` is not symmetric, but it should be. Pass (M + M.T) / 2.")
    return _symmetric(array)


def check_finite(name: str, array: NDArray[Any]) -> None:
    """Raise unless all numbers of an array are finite."""
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` holds NaN or infinity. Pass finite numbers.")
