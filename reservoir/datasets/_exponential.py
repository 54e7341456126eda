"""Exponential time differencing: stiff linear terms exactly, the rest by Runge-Kutta of order 4."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reservoir.datasets._common import Series

Modes = NDArray[np.complex128]

# Points on half a circle around each h L; the mean over them is exact to rounding (Kassam &
# Trefethen take 16 to 64). Off the circle's centre nothing cancels, however small h L is.
_N_CONTOUR = 32


class Coefficients(NamedTuple):
    """What one step of the scheme multiplies by; each of shape (n_modes,).

    Attributes
    ----------
    whole, half : ndarray
        exp(h L) and exp(h L / 2).
    stage : ndarray
        h (exp(h L / 2) - 1) / (h L), the weight of a slope within the step.
    first, middle, last : ndarray
        Weights of the slopes at the start, at the two midpoints, and at the end.
    """

    whole: Series
    half: Series
    stage: Series
    first: Series
    middle: Series
    last: Series


def etdrk4_coefficients(linear: Series, step: float) -> Coefficients:
    """Return the coefficients of ETDRK4 for dv/dt = L v + N(v), with L real and diagonal.

    With z = h L, and as means over circles around z where the quotients cancel near z = 0 [1]_:

        stage  = h (e^{z/2} - 1) / z
        first  = h (-4 - z + e^z (4 - 3 z + z²)) / z³
        middle = h (2 + z + e^z (z - 2)) / z³
        last   = h (-4 - 3 z - z² + e^z (4 - z)) / z³

    Parameters
    ----------
    linear : ndarray of shape (n_modes,)
        L, per time unit.
    step : float
        h, time units.

    Returns
    -------
    Coefficients

    Examples
    --------
    Without a linear term it is the classical method, with the weights 1/6, 2/6, 2/6 and 1/6:

    >>> weights = etdrk4_coefficients(np.zeros(1), 6.0)
    >>> np.concatenate(weights[3:]).round(12)
    array([1., 1., 1.])

    References
    ----------
    .. [1] Kassam & Trefethen (2005), Fourth-order time-stepping for stiff PDEs, SIAM J. Sci.
       Comput. 26, eqs. 2.3-2.5 and section 3.
    """
    z = step * linear
    angles = np.pi * (np.arange(_N_CONTOUR) + 0.5) / _N_CONTOUR
    # The other half of the circle is the conjugate of this one, since z is real.
    r = z[:, np.newaxis] + np.exp(1j * angles)
    growth = np.exp(r)

    def mean(values: Modes | Series) -> Series:
        return np.asarray(step * values.mean(axis=1).real)

    return Coefficients(
        whole=np.exp(z),
        half=np.exp(z / 2.0),
        stage=mean((np.exp(r / 2.0) - 1.0) / r),
        first=mean((-4.0 - r + growth * (4.0 - 3.0 * r + r**2)) / r**3),
        middle=mean((2.0 + r + growth * (r - 2.0)) / r**3),
        last=mean((-4.0 - 3.0 * r - r**2 + growth * (4.0 - r)) / r**3),
    )


def etdrk4_step(v: Modes, slope: Callable[[Modes], Modes], by: Coefficients) -> Modes:
    """Advance dv/dt = L v + N(v) by one step.

    Parameters
    ----------
    v : ndarray of shape (n_modes,)
        Where it is.
    slope : callable
        N.
    by : Coefficients
        Those of L and of the step.

    Returns
    -------
    ndarray of shape (n_modes,)
    """
    at_start = slope(v)
    decayed = by.half * v
    a = decayed + by.stage * at_start
    at_a = slope(a)
    at_b = slope(decayed + by.stage * at_a)
    at_end = slope(by.half * a + by.stage * (2.0 * at_b - at_start))
    middle = 2.0 * by.middle * (at_a + at_b)
    return by.whole * v + by.first * at_start + middle + by.last * at_end
