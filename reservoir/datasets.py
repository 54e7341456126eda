"""Benchmark series that are computed, not downloaded: the same seed gives the same bits.

A task with an input comes as ``(X, y)``: inputs of shape (n_steps, 1), one target of shape
(n_steps,). A series that runs by itself comes as one array of shape (n_steps, n_variables).
"""

from __future__ import annotations

import math
import numbers
from collections import deque
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lfilter

from reservoir._random import RandomState, seed_sequence
from reservoir._validation import check_choice, check_integer, check_real

__all__ = [
    "henon",
    "lorenz",
    "lorenz96",
    "mackey_glass",
    "multiple_superimposed_oscillators",
    "narma",
    "sine_frequency",
]

Series = NDArray[np.float64]

# Radians per step; each pair is incommensurable for all practical purposes (Koryakin et al. 2012).
_OSCILLATOR_FREQUENCIES = (0.2, 0.311, 0.42, 0.51, 0.63, 0.74, 0.85, 0.97)

# Of 10^8 simulated steps of orders 2 to 10, no value above 1.26 came back below 0.7: a series
# beyond this limit is running away.
_NARMA_LIMIT = 2.0


def sine_frequency(
    n_steps: int,
    *,
    frequency_range: tuple[float, float] = (0.02, 0.06),
    hold_range: tuple[int, int] = (100, 300),
    frequencies: ArrayLike | None = None,
    hold_lengths: int | ArrayLike | None = None,
    amplitude: float = 1.0,
    random_state: RandomState = None,
) -> tuple[Series, Series]:
    """Give a staircase that says a frequency, and a sine that obeys it.

    phi[t] = phi[t-1] + 2 pi f[t],    y[t] = A sin(phi[t]),    phi[-1] = 0
    X[t] = (2 f[t] - f_low - f_high) / (f_high - f_low)

    f[t] is piecewise constant. The phase is continuous: at a new stair only the speed of the
    sine changes. phi[-1] = 0 is the sine that a network with output feedback 0 starts from.

    Parameters
    ----------
    n_steps : int
        Length of the series, steps.
    frequency_range : tuple of float, default=(0.02, 0.06)
        f_low and f_high, cycles per step, which X calls -1 and 1. Below 0.5, where a sampled sine
        has no frequency any more. The default is a period of 50 to 17 steps.
    hold_range : tuple of int, default=(100, 300)
        Shortest and longest stair, steps; each length is drawn evenly from it.
    frequencies : array-like of shape (n_stairs,), optional
        The level of each stair, cycles per step. Without it the levels are drawn evenly from
        `frequency_range`. Levels outside `frequency_range` are allowed; X then leaves [-1, 1].
    hold_lengths : int or array-like of shape (n_stairs,), optional
        How long every stair, or each one, lasts, steps. Without it the lengths are drawn from
        `hold_range`. The last stair is cut off at `n_steps`.
    amplitude : float, default=1.0
        A, the largest value of the sine.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seeds levels and lengths, each from a stream of its own.

    Returns
    -------
    X : ndarray of shape (n_steps, 1)
        The frequency asked for, on the scale of `frequency_range`, dimensionless.
    y : ndarray of shape (n_steps,)
        The sine.

    Raises
    ------
    ValueError
        If a length, a frequency or the amplitude is out of its range, or if the stairs given do
        not reach `n_steps`.

    Examples
    --------
    >>> X, y = sine_frequency(6, frequencies=[0.25, 0.125], hold_lengths=[2, 4],
    ...                       frequency_range=(0.125, 0.25))
    >>> X.ravel()
    array([ 1.,  1., -1., -1., -1., -1.])
    >>> y.round(3) + 0.0
    array([ 1.   ,  0.   , -0.707, -1.   , -0.707,  0.   ])

    References
    ----------
    Jaeger (2007), Echo state network, Scholarpedia 2(9):2330: the tunable sine generator.
    """
    n_steps = check_integer("n_steps", n_steps, minimum=1)
    low, high = _frequency_range(frequency_range)
    amplitude = check_real("amplitude", amplitude, minimum=0, exclusive=True)
    level_seed, length_seed = seed_sequence(random_state).spawn(2)
    levels = None if frequencies is None else _levels(frequencies)
    lengths = _hold_lengths(
        n_steps, hold_lengths, hold_range, levels, np.random.default_rng(length_seed)
    )
    if levels is None:
        levels = np.random.default_rng(level_seed).uniform(low, high, size=lengths.size)
    if levels.size != lengths.size:
        raise ValueError(
            f"`frequencies` has {levels.size} levels, but `hold_lengths` has {lengths.size} "
            "lengths. Pass one length a level."
        )
    if lengths.sum() < n_steps:
        raise ValueError(
            f"`frequencies` and `hold_lengths` cover {lengths.sum()} steps, but `n_steps` is "
            f"{n_steps}. Pass more stairs, longer ones, or a smaller `n_steps`."
        )
    frequency = np.repeat(levels, lengths)[:n_steps]
    # Whole turns are dropped as they pile up, so that the phase of a long series keeps its digits.
    turns = np.cumsum(frequency)
    turns -= np.floor(turns)
    targets = amplitude * np.sin(2.0 * np.pi * turns)
    inputs = (2.0 * frequency - (low + high)) / (high - low)
    return inputs[:, np.newaxis], targets


def _frequency_range(frequency_range: tuple[float, float]) -> tuple[float, float]:
    """Return the two ends of the range, checked."""
    ends = np.asarray(frequency_range, dtype=np.float64)
    if ends.shape != (2,) or not 0.0 < ends[0] < ends[1] < 0.5:
        raise ValueError(
            f"`frequency_range` is {frequency_range!r}, but two rising frequencies between 0 and "
            "0.5 cycles per step were expected. Pass for example (0.02, 0.06)."
        )
    return float(ends[0]), float(ends[1])


def _levels(frequencies: ArrayLike) -> Series:
    """Return the levels of a given staircase, checked."""
    levels = np.array(frequencies, dtype=np.float64)
    if levels.ndim != 1 or levels.size == 0 or not np.all((levels > 0.0) & (levels < 0.5)):
        raise ValueError(
            "`frequencies` has a level outside (0, 0.5) cycles per step, or is not a list of "
            "numbers. Pass one frequency a stair, each below half a cycle per step."
        )
    return levels


def _hold_lengths(
    n_steps: int,
    hold_lengths: int | ArrayLike | None,
    hold_range: tuple[int, int],
    levels: Series | None,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the length of each stair: given, repeated or drawn."""
    if hold_lengths is None:
        if len(hold_range) != 2:
            raise ValueError(
                f"`hold_range` is {hold_range!r}, but two lengths in steps were expected. "
                "Pass the shortest stair and the longest."
            )
        shortest, longest = (
            check_integer("hold_range", length, minimum=1) for length in hold_range
        )
        if shortest > longest:
            raise ValueError(
                f"`hold_range` is {hold_range!r}, but the shortest stair first was expected. "
                "Swap the two lengths."
            )
        n_stairs = -(-n_steps // shortest) if levels is None else levels.size
        lengths = rng.integers(shortest, longest, size=n_stairs, endpoint=True)
        if levels is None:
            lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), n_steps)) + 1]
        return np.asarray(lengths, dtype=np.int64)
    if isinstance(hold_lengths, numbers.Integral):
        length = check_integer("hold_lengths", hold_lengths, minimum=1)
        n_stairs = -(-n_steps // length) if levels is None else levels.size
        return np.full(n_stairs, length, dtype=np.int64)
    lengths = np.asarray(hold_lengths)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or not np.all(lengths >= 1):
        raise ValueError(
            "`hold_lengths` has a length that is not a whole number of 1 step or more. "
            "Pass one integer for all stairs, or a list with one a stair."
        )
    return lengths.astype(np.int64)


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
    """Give a Mackey-Glass series: a delay equation, mildly chaotic at tau = 17.

    dx/dt = beta x(t - tau) / (1 + x(t - tau)^n) - gamma x(t)

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


def narma(
    n_steps: int,
    order: int = 10,
    *,
    discard: int = 200,
    random_state: RandomState = None,
) -> tuple[Series, Series]:
    """Give the NARMA task: a nonlinear moving average whose memory is `order` steps long.

    z[t+1] = a z[t] + b z[t] (z[t] + ... + z[t-n+1]) + 1.5 u[t-n+1] u[t] + c

    with n = `order` and u[t] drawn independently from U[0, 0.5]. The three published sets of
    constants, each for the orders at which it neither runs away nor saturates:

    ======== ==== ===== ====== =================================
    order    a    b     c      right-hand side
    ======== ==== ===== ====== =================================
    1 to 10  0.3  0.05  0.1    as it stands [1]_
    11 to 20 0.3  0.05  0.01   put through tanh [2]_
    21 to 30 0.2  0.04  0.001  as it stands [2]_
    ======== ==== ===== ====== =================================

    Row t of the target is z[t+1]: the newest input that it depends on, u[t], is in the same row
    of X, and the oldest, u[t-n+1], n - 1 rows above. Where a paper pairs u[t] with z[t] the task
    asks for one more step of memory.

    Parameters
    ----------
    n_steps : int
        Length of the series, steps.
    order : int, default=10
        n, the number of steps looked back on, at most 30.
    discard : int, default=200
        Steps thrown away first; the recurrence starts from zeros.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seeds u.

    Returns
    -------
    X : ndarray of shape (n_steps, 1)
        u[t].
    y : ndarray of shape (n_steps,)
        z[t+1].

    Raises
    ------
    FloatingPointError
        If the recurrence has run away, which at order 10 happens about once in 200,000 steps.
        Another seed is the remedy; nothing is redrawn behind your back.
    ValueError
        If a length is out of its range.

    Examples
    --------
    >>> X, y = narma(100, random_state=0)
    >>> total = y[80:90].sum()
    >>> bool(abs(0.3 * y[89] + 0.05 * y[89] * total + 1.5 * X[81, 0] * X[90, 0] + 0.1
    ...      - y[90]) < 1e-15)
    True

    References
    ----------
    .. [1] Atiya & Parlos (2000), New results on recurrent network training, IEEE Trans. Neural
       Networks 11.
    .. [2] Rodan & Tiňo (2011), Minimum complexity echo state network, IEEE Trans. Neural
       Networks 22.
    """
    n_steps = check_integer("n_steps", n_steps, minimum=1)
    order = check_integer("order", order, minimum=1, maximum=30)
    discard = check_integer("discard", discard, minimum=0)
    rng = np.random.default_rng(seed_sequence(random_state))
    inputs = rng.uniform(0.0, 0.5, size=discard + n_steps)
    lagged = np.concatenate([np.zeros(order - 1), inputs])[: inputs.size]
    if order <= 10:
        a, b, c = 0.3, 0.05, 0.1
    elif order <= 20:
        a, b, c = 0.3, 0.05, 0.01
    else:
        a, b, c = 0.2, 0.04, 0.001
    saturates = 10 < order <= 20
    drive = (1.5 * lagged * inputs + c).tolist()
    recent = deque([0.0] * order, maxlen=order)
    targets = np.empty(inputs.size)
    for t, pushed in enumerate(drive):
        current = recent[-1]
        following = a * current + b * current * sum(recent) + pushed
        if saturates:
            following = math.tanh(following)
        elif following > _NARMA_LIMIT:
            raise FloatingPointError(
                f"The NARMA recurrence of order {order} ran away at step {t} of "
                f"{inputs.size}: this input is one of the rare ones that it does not stand. "
                "Pass another `random_state`."
            )
        recent.append(following)
        targets[t] = following
    return inputs[discard:, np.newaxis].copy(), targets[discard:].copy()


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
    """Give a trajectory on the Lorenz attractor.

    dx/dt = sigma (y - x),    dy/dt = x (rho - z) - y,    dz/dt = x y - beta z

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
    state = _initial_state(
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
    return _finite(np.array(rows[discard:]), "lorenz", "Pass a smaller `dt` or more `substeps`.")


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
    state = _initial_state(initial_state, forcing + rng.standard_normal(n_sites), "lorenz96")
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
    return _finite(trajectory[discard:].copy(), "lorenz96", remedy)


def _runge_kutta_step(derivative: Callable[[Series], Series], x: Series, step: float) -> Series:
    """Advance an autonomous equation by one classical Runge-Kutta step of order 4."""
    k1 = derivative(x)
    k2 = derivative(x + step / 2.0 * k1)
    k3 = derivative(x + step / 2.0 * k2)
    k4 = derivative(x + step * k3)
    return x + step / 6.0 * (k1 + 2.0 * (k2 + k3) + k4)


def multiple_superimposed_oscillators(
    n_steps: int, n_oscillators: int = 8, *, frequencies: ArrayLike | None = None
) -> Series:
    """Give a sum of sines without a common period (the MSO-n task).

    y[t] = sum_k sin(w_k t),    t = 0, 1, ...

    Parameters
    ----------
    n_steps : int
        Length of the series, steps.
    n_oscillators : int, default=8
        n, how many of the published w = 0.2, 0.311, 0.42, 0.51, 0.63, 0.74, 0.85, 0.97 (radians
        per step) are summed; 1 to 8.
    frequencies : array-like of shape (n_oscillators,), optional
        Frequencies w_k of your own, radians per step; `n_oscillators` is not looked at then.

    Returns
    -------
    ndarray of shape (n_steps, 1)
        Deterministic: there is nothing to seed.

    Raises
    ------
    ValueError
        If a count is out of its range or a frequency not finite.

    Examples
    --------
    >>> multiple_superimposed_oscillators(3, 2).ravel().round(4)
    array([0.    , 0.5047, 0.9721])

    References
    ----------
    Jaeger & Haas (2004), Science 304 (n = 2); Koryakin, Lohmann & Butz (2012), Balanced echo
    state networks, Neural Networks 36 (n up to 8).
    """
    n_steps = check_integer("n_steps", n_steps, minimum=1)
    if frequencies is None:
        n_oscillators = check_integer("n_oscillators", n_oscillators, minimum=1)
        if n_oscillators > len(_OSCILLATOR_FREQUENCIES):
            raise ValueError(
                f"`n_oscillators` is {n_oscillators}, but at most "
                f"{len(_OSCILLATOR_FREQUENCIES)} published frequencies are known. "
                "Pass your own as `frequencies`."
            )
        frequencies = _OSCILLATOR_FREQUENCIES[:n_oscillators]
    omega = np.asarray(frequencies, dtype=np.float64)
    if omega.ndim != 1 or omega.size == 0 or not np.all(np.isfinite(omega)):
        raise ValueError(
            f"`frequencies` is of shape {omega.shape} or not finite, but a list of finite "
            "numbers was expected. Pass one frequency in radians per step an oscillator."
        )
    steps = np.arange(n_steps, dtype=np.float64)
    series = np.zeros(n_steps)
    for w in omega:
        series += np.sin(w * steps)
    return series[:, np.newaxis]


def henon(
    n_steps: int,
    *,
    a: float = 1.4,
    b: float = 0.3,
    initial_state: ArrayLike | None = None,
    discard: int = 100,
    random_state: RandomState = None,
) -> Series:
    """Give an orbit of the Hénon map.

    x[t+1] = 1 - a x[t]^2 + y[t],    y[t+1] = b x[t]

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
    state = _initial_state(initial_state, rng.uniform(-0.1, 0.1, size=2), "henon")
    x, y = state.tolist()
    rows = []
    for _ in range(discard + n_steps):
        rows.append((x, y))
        x, y = 1.0 - a * (x * x) + y, b * x
    return _finite(
        np.array(rows[discard:]),
        "henon",
        "Pass an `initial_state` near 0, or `a` and `b` near 1.4 and 0.3.",
    )


def _initial_state(given: ArrayLike | None, drawn: Series, name: str) -> Series:
    """Return the state given, checked against the one drawn, or else that one."""
    if given is None:
        return drawn
    state = np.array(given, dtype=np.float64)
    if state.shape != drawn.shape or not np.all(np.isfinite(state)):
        raise ValueError(
            f"`initial_state` has shape {state.shape} or is not finite, but {name} expected "
            f"{drawn.size} finite numbers. Pass an array of shape {drawn.shape}."
        )
    return state


def _finite(series: Series, name: str, remedy: str) -> Series:
    """Return the series, or say at which row it stopped being finite."""
    bad = ~np.isfinite(series).all(axis=1)
    if bad.any():
        raise FloatingPointError(
            f"The {name} trajectory is not finite from row {int(bad.argmax())} on. {remedy}"
        )
    return series
