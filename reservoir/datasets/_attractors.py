"""Chaotic attractors without delay: Lorenz-63, Lorenz-96 and the Hénon map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from reservoir.datasets._common import Series, finite, initial_state_or
from reservoir.utils.seeds import RandomState, seed_sequence
from reservoir.utils.validation import check_integer, check_real


def lorenz(
    n_steps: int,
    *,
    dt: float = 0.02,
    sigma: float = 10.0,
    rho: float = 28.0,
    beta: float = 8.0 / 3.0,
    substeps: int = 10,
    initial_state: ArrayLike | None = None,
    discard: int = 1000,
    random_state: RandomState = None,
) -> Series:
    r"""Give a trajectory on the Lorenz attractor.

    .. math::

        \dot x = \sigma (y - x), \qquad \dot y = x (\rho - z) - y, \qquad \dot z = x y - \beta z

    integrated by the classical Runge-Kutta method of order 4 with `substeps` equal steps a
    sample. At the default parameters the largest Lyapunov exponent is 0.906 per time unit.

    Parameters
    ----------
    n_steps : int
        Number of samples returned.
    dt : float, default=0.02
        Time between two samples, time units.
    sigma, rho, beta : float, default=10.0, 28.0, 8/3
        Parameters of the equation, dimensionless.
    substeps : int, default=10
        Integration steps a sample. At the defaults the error is about 1e-7 after one time unit.
    initial_state : array-like of shape (3,), optional
        Where to start. Without it (1, 1, 25) + v with v drawn from the standard normal
        distribution.
    discard : int, default=1000
        Samples thrown away first, until the trajectory has reached the attractor. With 0, row 0
        is the initial state.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seeds v.

    Returns
    -------
    ndarray of shape (n_steps, 3)
        x, y and z.

    Raises
    ------
    ValueError
        If an argument is out of its range, or a state of the wrong shape.
    FloatingPointError
        If the integration overflows.

    Examples
    --------
    >>> lorenz(2, initial_state=[0.0, 0.0, 1.0], dt=0.5, discard=0).round(3) + 0.0
    array([[0.   , 0.   , 1.   ],
           [0.   , 0.   , 0.264]])

    References
    ----------
    Lorenz (1963), Deterministic nonperiodic flow, J. Atmos. Sci. 20, eqs. 25-27.
    """
    n_steps = check_integer("n_steps", n_steps, minimum=1)
    discard = check_integer("discard", discard, minimum=0)
    substeps = check_integer("substeps", substeps, minimum=1)
    step = check_real("dt", dt, minimum=0, exclusive=True) / substeps
    rng = np.random.default_rng(seed_sequence(random_state))
    state = initial_state_or(
        initial_state, np.array([1.0, 1.0, 25.0]) + rng.standard_normal(3), "lorenz"
    )
    # Three numbers a state: Python floats are several times faster here than small arrays.
    x, y, z = state.tolist()
    sigma, rho, beta = (
        check_real("sigma", sigma),
        check_real("rho", rho),
        check_real("beta", beta),
    )
    half, sixth = step / 2.0, step / 6.0
    rows = []
    for _ in range(discard + n_steps):
        rows.append((x, y, z))
        for _ in range(substeps):
            k1x, k1y, k1z = sigma * (y - x), x * (rho - z) - y, x * y - beta * z
            xs, ys, zs = x + half * k1x, y + half * k1y, z + half * k1z
            k2x, k2y, k2z = sigma * (ys - xs), xs * (rho - zs) - ys, xs * ys - beta * zs
            xs, ys, zs = x + half * k2x, y + half * k2y, z + half * k2z
            k3x, k3y, k3z = sigma * (ys - xs), xs * (rho - zs) - ys, xs * ys - beta * zs
            xs, ys, zs = x + step * k3x, y + step * k3y, z + step * k3z
            k4x, k4y, k4z = sigma * (ys - xs), xs * (rho - zs) - ys, xs * ys - beta * zs
            x += sixth * (k1x + 2.0 * (k2x + k3x) + k4x)
            y += sixth * (k1y + 2.0 * (k2y + k3y) + k4y)
            z += sixth * (k1z + 2.0 * (k2z + k3z) + k4z)
    return finite(np.array(rows[discard:]), "lorenz", "Pass a smaller `dt` or more `substeps`.")


def lorenz96(
    n_steps: int,
    *,
    n_sites: int = 40,
    forcing: float = 8.0,
    dt: float = 0.05,
    substeps: int = 5,
    initial_state: ArrayLike | None = None,
    discard: int = 1000,
    random_state: RandomState = None,
) -> Series:
    """Give a trajectory of the Lorenz-96 ring: extensive chaos in as many variables as wanted.

    dx_i/dt = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F,    i counted modulo `n_sites`

    integrated by the classical Runge-Kutta method of order 4 with `substeps` equal steps a
    sample. With 40 sites and F = 8 the largest Lyapunov exponent is about 1.7 per time unit.

    Parameters
    ----------
    n_steps : int
        Number of samples returned.
    n_sites : int, default=40
        Number of variables on the ring, at least 4.
    forcing : float, default=8.0
        F. Below 8/9 the trajectory ends in the fixed point x_i = F.
    dt : float, default=0.05
        Time between two samples, time units.
    substeps : int, default=5
        Integration steps a sample. At the defaults the error is about 1e-4 after one time unit.
    initial_state : array-like of shape (n_sites,), optional
        Where to start. Without it F + v with v drawn from the standard normal distribution.
    discard : int, default=1000
        Samples thrown away first, until the trajectory has reached the attractor. With 0, row 0
        is the initial state.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seeds v.

    Returns
    -------
    ndarray of shape (n_steps, n_sites)

    Raises
    ------
    ValueError
        If an argument is out of its range, or a state of the wrong shape.
    FloatingPointError
        If the integration overflows.

    Examples
    --------
    >>> x = lorenz96(500, n_sites=6, random_state=0)
    >>> x.shape, bool(abs(x).max() < 20)
    ((500, 6), True)

    References
    ----------
    Lorenz (1996), Predictability: a problem partly solved, ECMWF seminar, eq. 1; exponent:
    Lorenz & Emanuel (1998), J. Atmos. Sci. 55.
    """
    n_steps = check_integer("n_steps", n_steps, minimum=1)
    discard = check_integer("discard", discard, minimum=0)
    substeps = check_integer("substeps", substeps, minimum=1)
    n_sites = check_integer("n_sites", n_sites, minimum=4)
    forcing = check_real("forcing", forcing)
    step = check_real("dt", dt, minimum=0, exclusive=True) / substeps
    rng = np.random.default_rng(seed_sequence(random_state))
    state = initial_state_or(initial_state, forcing + rng.standard_normal(n_sites), "lorenz96")
    # Two copied sites before and one after let the neighbours be slices instead of rolls.
    ring = np.empty(n_sites + 3)

    def derivative(x: Series) -> Series:
        ring[2:-1] = x
        ring[:2] = x[-2:]
        ring[-1] = x[0]
        slope = ring[3:] - ring[:-3]
        slope *= ring[1:-2]
        slope -= x
        slope += forcing
        return slope

    trajectory = np.empty((discard + n_steps, n_sites))
    with np.errstate(over="ignore", invalid="ignore"):
        for row in trajectory:
            row[:] = state
            for _ in range(substeps):
                state = _runge_kutta_step(derivative, state, step)
    remedy = "Pass a smaller `dt` or more `substeps`."
    return finite(trajectory[discard:].copy(), "lorenz96", remedy)


def _runge_kutta_step(derivative: Callable[[Series], Series], x: Series, step: float) -> Series:
    """Advance an autonomous equation by one classical Runge-Kutta step of order 4."""
    k1 = derivative(x)
    k2 = derivative(x + step / 2.0 * k1)
    k3 = derivative(x + step / 2.0 * k2)
    k4 = derivative(x + step * k3)
    return x + step / 6.0 * (k1 + 2.0 * (k2 + k3) + k4)


def henon(
    n_steps: int,
    *,
    a: float = 1.4,
    b: float = 0.3,
    initial_state: ArrayLike | None = None,
    discard: int = 100,
    random_state: RandomState = None,
) -> Series:
    r"""Give an orbit of the Hénon map.

    .. math:: x[t+1] = 1 - a\, x[t]^2 + y[t], \qquad y[t+1] = b\, x[t]

    At the defaults the largest Lyapunov exponent is 0.42 per step.

    Parameters
    ----------
    n_steps : int
        Length of the orbit, steps.
    a, b : float, default=1.4, 0.3
        Parameters of the map, dimensionless.
    initial_state : array-like of shape (2,), optional
        Where to start. Without it both are drawn from U[-0.1, 0.1], inside the basin.
    discard : int, default=100
        Steps thrown away first. With 0, row 0 is the initial state.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seeds the initial state.

    Returns
    -------
    ndarray of shape (n_steps, 2)
        x and y.

    Raises
    ------
    ValueError
        If an argument is out of its range, or a state of the wrong shape.
    FloatingPointError
        If the orbit escapes to infinity.

    Examples
    --------
    >>> henon(3, initial_state=[0.0, 0.0], discard=0)
    array([[ 0. ,  0. ],
           [ 1. ,  0. ],
           [-0.4,  0.3]])

    References
    ----------
    Hénon (1976), A two-dimensional mapping with a strange attractor, Commun. Math. Phys. 50.
    """
    n_steps = check_integer("n_steps", n_steps, minimum=1)
    discard = check_integer("discard", discard, minimum=0)
    rng = np.random.default_rng(seed_sequence(random_state))
    a, b = check_real("a", a), check_real("b", b)
    state = initial_state_or(initial_state, rng.uniform(-0.1, 0.1, size=2), "henon")
    x, y = state.tolist()
    rows = []
    for _ in range(discard + n_steps):
        rows.append((x, y))
        x, y = 1.0 - a * (x * x) + y, b * x
    return finite(
        np.array(rows[discard:]),
        "henon",
        "Pass an `initial_state` near 0, or `a` and `b` near 1.4 and 0.3.",
    )
