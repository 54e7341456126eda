"""The Mackey-Glass delay equation, integrated with its history interpolated."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy.signal import lfilter

from reservoir.datasets._common import Series
from reservoir.utils.seeds import RandomState, seed_sequence
from reservoir.utils.validation import check_choice, check_integer, check_real


def mackey_glass(
    n_steps: int,
    *,
    tau: float = 17.0,
    beta: float = 0.2,
    gamma: float = 0.1,
    exponent: float = 10.0,
    sampling_interval: float = 1.0,
    step: float = 0.1,
    method: Literal["rk4", "euler"] = "rk4",
    initial_history: float | None = None,
    discard: int = 1000,
    random_state: RandomState = None,
) -> Series:
    r"""Give a Mackey-Glass series: a delay equation, mildly chaotic at tau = 17.

    .. math:: \dot x(t) = \frac{\beta\, x(t - \tau)}{1 + x(t - \tau)^n} - \gamma\, x(t)

    The integration step is h = tau / ceil(tau / `step`), so that tau is a whole number of steps
    and every point where a derivative of x jumps (0, tau, 2 tau, ...) lies on the grid. The
    fourth-order method takes the delayed value at half a step from the cubic Hermite polynomial
    of the grid values and slopes, with an error of order h^4: the order of the method is kept
    from the first step on.

    Parameters
    ----------
    n_steps : int
        Number of samples returned.
    tau : float, default=17.0
        Delay, time units. 17 is mildly chaotic, 30 more so.
    beta, gamma, exponent : float, default=0.2, 0.1, 10.0
        Production rate and decay rate per time unit, and the exponent n; n = 0 makes the
        equation linear.
    sampling_interval : float, default=1.0
        Time between two samples, time units. A sample between two grid points is taken from the
        same Hermite polynomial.
    step : float, default=0.1
        Largest integration step, time units.
    method : {"rk4", "euler"}, default="rk4"
        "rk4" is the classical Runge-Kutta method. "euler" is x[k+1] = x[k] + h dx/dt, which at
        h = 0.1, every tenth value kept, gives the series of [1]_, section 6: a rough solution of
        the equation, but the series that many published figures are about. Over the first 100
        time units the largest error is 1e-9 for the one and 1e-2 for the other at h = 0.1.
    initial_history : float, optional
        Value of x(t) for t <= 0. Without it 1.2 + v with one v drawn from U[-0.1, 0.1].
    discard : int, default=1000
        Samples thrown away first, until x has reached the attractor; row 0 is at time
        `discard` * `sampling_interval`.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seeds v.

    Returns
    -------
    ndarray of shape (n_steps, 1)
        x, dimensionless; [1]_ goes on with tanh(x - 1).

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> x = mackey_glass(2000, random_state=0)
    >>> x.shape, bool(0.2 < x.min() < 0.5 and 1.2 < x.max() < 1.4)
    ((2000, 1), True)

    The fixed point 1 stays:

    >>> mackey_glass(3, initial_history=1.0).ravel()
    array([1., 1., 1.])

    References
    ----------
    Mackey & Glass (1977), Oscillation and chaos in physiological control systems, Science 197.

    .. [1] Jaeger (2001), The "echo state" approach to analysing and training recurrent neural
       networks, GMD report 148.
    """
    n_steps = check_integer("n_steps", n_steps, minimum=1)
    discard = check_integer("discard", discard, minimum=0)
    tau = check_real("tau", tau, minimum=0, exclusive=True)
    beta = check_real("beta", beta, minimum=0)
    gamma = check_real("gamma", gamma, minimum=0)
    exponent = check_real("exponent", exponent, minimum=0)
    sampling_interval = check_real(
        "sampling_interval", sampling_interval, minimum=0, exclusive=True
    )
    step = check_real("step", step, minimum=0, exclusive=True)
    check_choice("method", method, ("rk4", "euler"))
    if initial_history is None:
        rng = np.random.default_rng(seed_sequence(random_state))
        initial_history = 1.2 + rng.uniform(-0.1, 0.1)
    else:
        initial_history = check_real("initial_history", initial_history, minimum=0)
    # The small allowance keeps tau / step = 170.00000000000003 from becoming 171.
    steps_per_delay = max(1, math.ceil(tau / step * (1.0 - 1e-12)))
    step = tau / steps_per_delay
    last_time = (n_steps + discard - 1) * sampling_interval
    n_delays = math.ceil(last_time / tau * (1.0 + 1e-12)) + 1
    values, slopes = _integrate_delay(
        n_delays, steps_per_delay, step, beta, gamma, exponent, method, initial_history
    )
    times = np.arange(discard, discard + n_steps) * sampling_interval
    return _hermite(values, slopes, step, np.asarray(times, dtype=np.float64))[:, np.newaxis]


def _integrate_delay(
    n_delays: int,
    steps_per_delay: int,
    step: float,
    beta: float,
    gamma: float,
    exponent: float,
    method: str,
    initial_history: float,
) -> tuple[Series, Series]:
    """Integrate by the method of steps; return the grid values from t = 0 on, and their slopes.

    Over one delay the production term is a known function of time, and the equation a linear
    one, x' = p(t) - gamma x. A step of either method is then x[k+1] = r x[k] + (weighted p), a
    first-order filter, and a whole delay is done in a few array operations.
    """
    width = steps_per_delay
    values = np.empty(n_delays * width + 1)
    slopes = np.empty(n_delays * width + 1)
    values[0] = initial_history
    delayed = np.full(width + 1, initial_history)
    delayed_slopes = np.zeros(width + 1)
    z = -gamma * step
    # Stability polynomial of the classical Runge-Kutta method, and the weights of the production
    # at the beginning, the middle and the end of a step that follow from its stages.
    growth = 1.0 + z * (1.0 + z / 2.0 * (1.0 + z / 3.0 * (1.0 + z / 4.0)))
    weights = (1.0 + z + z**2 / 2.0 + z**3 / 4.0, 4.0 + 2.0 * z + z**2 / 2.0, 1.0)
    for start in range(0, n_delays * width, width):
        production = beta * delayed / (1.0 + delayed**exponent)
        if method == "euler":
            growth = 1.0 + z
            forcing = step * production[:-1]
        else:
            middle = 0.5 * (delayed[:-1] + delayed[1:])
            middle += step / 8.0 * (delayed_slopes[:-1] - delayed_slopes[1:])
            forcing = weights[1] * (beta * middle / (1.0 + middle**exponent))
            forcing += weights[0] * production[:-1] + weights[2] * production[1:]
            forcing *= step / 6.0
        block = slice(start + 1, start + width + 1)
        values[block] = lfilter([1.0], [1.0, -growth], forcing, zi=[growth * values[start]])[0]
        slopes[start : start + width + 1] = production - gamma * values[start : start + width + 1]
        delayed = values[start : start + width + 1]
        delayed_slopes = slopes[start : start + width + 1]
    return values, slopes


def _hermite(values: Series, slopes: Series, step: float, times: Series) -> Series:
    """Evaluate the piecewise cubic through grid values and slopes; exact at grid points."""
    position = times / step
    nearest = np.rint(position)
    # A sample meant to lie on the grid misses it by rounding alone.
    position = np.where(np.abs(position - nearest) < 1e-9 * (1.0 + nearest), nearest, position)
    index = np.minimum(np.floor(position).astype(np.int64), values.size - 2)
    s = position - index
    left, right = values[index], values[index + 1]
    result = left + s * s * (3.0 - 2.0 * s) * (right - left)
    result += step * s * (1.0 - s) * ((1.0 - s) * slopes[index] - s * slopes[index + 1])
    return np.asarray(np.where(s == 1.0, right, result), dtype=np.float64)
