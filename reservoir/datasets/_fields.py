"""Fields on a ring: the Kuramoto-Sivashinsky equation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from reservoir.datasets._common import Series, finite, initial_state_or
from reservoir.datasets._exponential import Modes, etdrk4_coefficients, etdrk4_step
from reservoir.utils.seeds import RandomState, seed_sequence
from reservoir.utils.validation import check_integer, check_real


def kuramoto_sivashinsky(
    n_steps: int,
    *,
    length: float = 22.0,
    n_points: int = 64,
    dt: float = 0.25,
    substeps: int = 2,
    initial_state: ArrayLike | None = None,
    discard: int = 1000,
    random_state: RandomState = None,
) -> Series:
    r"""Give a solution of the Kuramoto-Sivashinsky equation: chaos in space and time.

    .. math::

        \partial_t u = -u\, \partial_x u - \partial_x^2 u - \partial_x^4 u,
            \qquad u(x + L, t) = u(x, t)

    by Fourier modes in space and, in time, the exponential Runge-Kutta method of order 4 [1]_
    with `substeps` equal steps a sample: the stiff fourth derivative costs no small steps. The
    mean of u over the ring does not change. The largest Lyapunov exponent is 0.043 [2]_ to 0.048
    [3]_ per time unit for L = 22, and about 0.095 for L = 200 (measured with this function, which
    gives 0.047 for 22); the number of positive ones grows with L.

    Parameters
    ----------
    n_steps : int
        Number of samples returned.
    length : float, default=22.0
        L, the circumference of the ring. Below 2π everything decays to the mean.
    n_points : int, default=64
        Points on the ring, at least 4. A structure is about 9 wide; with 2.5 points per unit of
        length or more, the shortest waves are below 1e-9 of the tallest.
    dt : float, default=0.25
        Time between two samples, time units.
    substeps : int, default=2
        Integration steps a sample. At the defaults the error is about 5e-6 after one time unit;
        for L = 200 and 512 points about 1e-4. The order 4 is seen at steps below about 0.02 only:
        there the short waves, which follow the long ones at once, are resolved in time.
    initial_state : array-like of shape (n_points,), optional
        u at the start, at x = 0, L / n_points, ... Without it, independent standard normal values
        less their mean.
    discard : int, default=1000
        Samples thrown away first, until the solution has reached the attractor. With 0, row 0 is
        the initial state.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seeds the initial state.

    Returns
    -------
    ndarray of shape (n_steps, n_points)
        u.

    Raises
    ------
    ValueError
        If an argument is out of its range, or a state of the wrong shape.
    FloatingPointError
        If the integration overflows.

    Examples
    --------
    A small wave k grows by exp((k² - k⁴) t), here with k = 1/2:

    >>> x = np.arange(16) * 4 * np.pi / 16
    >>> u = kuramoto_sivashinsky(5, length=4 * np.pi, n_points=16, dt=1.0, discard=0,
    ...                          initial_state=1e-9 * np.cos(x / 2))
    >>> print(f"{np.log(u[4, 0] / u[0, 0]) / 4:.6f}")
    0.187500

    References
    ----------
    .. [1] Kassam & Trefethen (2005), Fourth-order time-stepping for stiff PDEs, SIAM J. Sci.
       Comput. 26, 1214-1233.
    .. [2] Edson, Bunder, Mattner & Roberts (2019), Lyapunov exponents of the
       Kuramoto-Sivashinsky PDE, ANZIAM J. 61, 270-285.
    .. [3] Cvitanović, Davidchack & Siminos (2010), On the state space geometry of the
       Kuramoto-Sivashinsky flow in a periodic domain, SIAM J. Appl. Dyn. Syst. 9, 1-33.
    """
    n_steps = check_integer("n_steps", n_steps, minimum=1)
    discard = check_integer("discard", discard, minimum=0)
    substeps = check_integer("substeps", substeps, minimum=1)
    n_points = check_integer("n_points", n_points, minimum=4)
    length = check_real("length", length, minimum=0, exclusive=True)
    step = check_real("dt", dt, minimum=0, exclusive=True) / substeps
    rng = np.random.default_rng(seed_sequence(random_state))
    drawn = rng.standard_normal(n_points)
    start = initial_state_or(initial_state, drawn - drawn.mean(), "kuramoto_sivashinsky")

    wave_numbers = 2.0 * np.pi / length * np.arange(n_points // 2 + 1)
    by = etdrk4_coefficients(wave_numbers**2 - wave_numbers**4, step)
    # Of the shortest wave on an even grid, whose slope at the points is 0, this makes something
    # imaginary, which `irfft` leaves out.
    half_derivative = -0.5j * wave_numbers

    def steepening(v: Modes) -> Modes:
        u = np.fft.irfft(v, n_points)
        u *= u
        slope: Modes = np.fft.rfft(u)
        slope *= half_derivative
        return slope

    trajectory = np.empty((n_steps, n_points))
    v = np.fft.rfft(start)
    with np.errstate(over="ignore", invalid="ignore"):
        for index in range(-discard, n_steps):
            if index >= 0:
                trajectory[index] = np.fft.irfft(v, n_points)
            for _ in range(substeps):
                v = etdrk4_step(v, steepening, by)
    if discard == 0:
        trajectory[0] = start
    return finite(trajectory, "kuramoto_sivashinsky", "Pass a smaller `dt` or more `substeps`.")
