"""Distances between the climates of two series: what they do in the long run, whenever."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reservoir.metrics._errors import averaged
from reservoir.utils.explained import explained
from reservoir.utils.validation import check_integer


@explained
def power_spectrum_distance(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    segment_length: int | None = None,
    multioutput: Literal["uniform_average", "raw_values"] = "uniform_average",
) -> float | NDArray[np.float64]:
    r"""Give how far the rhythms of two series are apart, whatever their phases.

    .. math::

        H = \sqrt{1 - \sum_f \sqrt{P(f)\, \hat P(f)}}

    the Hellinger distance [1]_ of power spectra P, each of sum 1, by Welch's method: segments
    without their mean, under a Hann window. It is 0 for equal shapes, and 1 where no frequency has
    power in both. Level and amplitude play no part: those are seen by `histogram_distance`.

    A forecast of a chaotic system leaves the truth soon; this tells whether it still behaves alike.

    Parameters
    ----------
    y_true : array-like of shape (n_steps,) or (n_steps, n_outputs)
        The truth.
    y_pred : array-like of shape (n_steps_predicted,) or (n_steps_predicted, n_outputs)
        A forecast, of any length: no step belongs to one of the truth.
    segment_length : int, optional
        Steps of a segment, from 2 to the shorter length; half of it overlaps the next. Longer ones
        tell nearer frequencies apart, more of them have less noise. An eighth of the shorter
        series if left out, but at least 16, if it has as many.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        One number, the plain mean over the outputs, or one per output.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        From 0 to 1. Between a constant and a series that is not: 1; between two constants: 0.

    Raises
    ------
    ValueError
        If the numbers of outputs differ, a value is not finite, a series has less than 2 steps, or
        `segment_length` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(2000)
    >>> round(power_spectrum_distance(np.sin(0.2 * t), 3 * np.cos(0.2 * t) + 5), 2)
    0.0
    >>> round(power_spectrum_distance(np.sin(0.2 * t), np.sin(0.6 * t)), 2)
    1.0

    References
    ----------
    .. [1] Mikhaeil, Monfared & Durstewitz (2022), On the difficulty of learning chaotic dynamics
       with RNNs, NeurIPS 35, section 5.
    """
    truth, prediction = _two_series(y_true, y_pred)
    shorter = min(len(truth), len(prediction))
    if segment_length is None:
        segment_length = max(shorter // 8, min(16, shorter))
    else:
        segment_length = check_integer("segment_length", segment_length, minimum=2)
        if segment_length > shorter:
            raise ValueError(
                f"`segment_length` is {segment_length}, but the shorter series has {shorter} "
                "steps. Pass that or less."
            )
    shares = [_spectrum(part, segment_length) for part in (truth, prediction)]
    return averaged(_hellinger(*shares), multioutput)


@explained
def histogram_distance(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    n_bins: int = 30,
    multioutput: Literal["uniform_average", "raw_values"] = "uniform_average",
) -> float | NDArray[np.float64]:
    r"""Give how far the distributions of the values of two series are apart, whatever their order.

    .. math::

        H = \sqrt{1 - \sum_b \sqrt{p_b\, \hat p_b}}

    the Hellinger distance [1]_ of histograms, of each output by itself: equal bins from the least
    to the largest value of the truth, and one bin on each side for what lies beyond. 0 means the
    same shares in all bins, 1 no bin in common. Two samples of n independent values from one
    distribution are about √((n_bins - 1) / 4n) apart; a series whose neighbours are alike has fewer
    independent values than steps. So compare with the distance between two stretches of the truth.

    Parameters
    ----------
    y_true : array-like of shape (n_steps,) or (n_steps, n_outputs)
        The truth.
    y_pred : array-like of shape (n_steps_predicted,) or (n_steps_predicted, n_outputs)
        A forecast, of any length.
    n_bins : int, default=30
        Bins over the range of the truth.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        One number, the plain mean over the outputs, or one per output.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        From 0 to 1.

    Raises
    ------
    ValueError
        If the numbers of outputs differ, a value is not finite, or a series has less than 2 steps.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> sample, other = rng.normal(size=(2, 10000))
    >>> round(histogram_distance(sample, other), 3), round((29 / 40000) ** 0.5, 3)
    (0.025, 0.027)
    >>> expected = np.sqrt(1 - np.exp(-1 / 8))  # of normal distributions a deviation apart
    >>> bool(abs(histogram_distance(sample, other + 1) - expected) < 0.01)
    True

    References
    ----------
    .. [1] Hellinger (1909), Journal für die reine und angewandte Mathematik 136, 210-271.
    """
    truth, prediction = _two_series(y_true, y_pred)
    n_bins = check_integer("n_bins", n_bins, minimum=1)
    columns = []
    for column, other in zip(truth.T, prediction.T, strict=True):
        edges = np.linspace(column.min(), column.max(), n_bins + 1)
        columns.append([_shares(values, edges) for values in (column, other)])
    shares = np.array(columns)
    return averaged(_hellinger(shares[:, 0].T, shares[:, 1].T), multioutput)


def _two_series(
    y_true: ArrayLike, y_pred: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two series as (n_steps, n_outputs), of lengths of their own."""
    found = []
    for name, values in (("y_true", y_true), ("y_pred", y_pred)):
        array = np.asarray(values, dtype=np.float64)
        array = array[:, np.newaxis] if array.ndim == 1 else array
        if array.ndim != 2 or len(array) < 2 or not array.shape[1]:
            raise ValueError(
                f"`{name}` has shape {np.shape(values)}, but (n_steps,) or (n_steps, n_outputs) "
                "with 2 steps or more was expected. Pass one series."
            )
        if not np.isfinite(array).all():
            raise ValueError(
                f"`{name}` has NaN or infinite values, which have no place in a distribution. Pass "
                "finite numbers; of a forecast that diverged, what came before."
            )
        found.append(array)
    truth, prediction = found
    if truth.shape[1] != prediction.shape[1]:
        raise ValueError(
            f"`y_pred` has {prediction.shape[1]} outputs, but `y_true` has {truth.shape[1]}. Pass "
            "the same outputs of both."
        )
    return truth, prediction


def _spectrum(series: NDArray[np.float64], segment_length: int) -> NDArray[np.float64]:
    """Return shares of the power at each frequency above 0, (n_frequencies, n_outputs)."""
    from scipy.signal import welch  # a fifth of a second

    # A power of two changes no digit, and keeps squares in range.
    _, exponent = np.frexp(np.abs(series).max(axis=0))
    scaled = np.ldexp(series, -exponent)
    constant = np.ptp(series, axis=0) == 0
    _, power = welch(scaled, nperseg=segment_length, detrend="constant", axis=0)
    power = power[1:]
    power[:, constant] = 0.0
    total = power.sum(axis=0)
    shares: NDArray[np.float64] = np.divide(power, total, out=np.zeros_like(power), where=total > 0)
    return shares


def _shares(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shares of values below, in each bin, and above."""
    places = np.searchsorted(edges, values, side="right")
    places[values == edges[-1]] = len(edges) - 1
    return np.bincount(places, minlength=len(edges) + 1) / len(values)


def _hellinger(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of shares along the first axis; of two that have none at all, 0."""
    squared = np.square(np.sqrt(p) - np.sqrt(q)).sum(axis=0) / 2
    missing = (2 - p.sum(axis=0) - q.sum(axis=0)) / 2  # 1/2 where one is constant, else about 0
    alone = (missing > 0.25) & (missing < 0.75)
    distance: NDArray[np.float64] = np.sqrt(np.clip(np.where(alone, 1.0, squared), 0.0, 1.0))
    return distance
