"""Sines: one whose frequency is set by an input, and sums of several."""

from __future__ import annotations

import numbers

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reservoir.datasets._common import Series
from reservoir.utils.explained import explained
from reservoir.utils.seeds import RandomState, seed_sequence
from reservoir.utils.validation import as_numbers, check_integer, check_real

# Radians per step; each pair is incommensurable for all practical purposes (Koryakin et al. 2012).
_OSCILLATOR_FREQUENCIES = (0.2, 0.311, 0.42, 0.51, 0.63, 0.74, 0.85, 0.97)


@explained
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
            "Pass one integer for all stairs, or a list with one per stair."
        )
    return lengths.astype(np.int64)


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
    omega = as_numbers("frequencies", frequencies, np.float64)
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
