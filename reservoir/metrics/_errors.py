"""Errors of predictions, and the time for which a forecast is valid."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reservoir.utils.explained import explained
from reservoir.utils.validation import check_choice, check_real


@explained
def nrmse(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    normalization: Literal["std", "range", "mean"] | ArrayLike = "std",
    multioutput: Literal["uniform_average", "raw_values"] = "uniform_average",
) -> float | NDArray[np.float64]:
    r"""Give the root mean squared error in units of the target.

    .. math::

        \mathrm{NRMSE}_j = \frac{1}{s_j} \sqrt{\operatorname{mean}_t (y[t, j] - \hat y[t, j])^2}

    Papers differ in s and seldom say which; here it has a name. With "std" the mean of the
    target as a prediction scores 1, and NRMSE² = 1 - R².

    Parameters
    ----------
    y_true : array-like of shape (n_steps,) or (n_steps, n_outputs)
        Targets y.
    y_pred : array-like of the same shape
        Predictions ŷ.
    normalization : {"std", "range", "mean"} or array-like of shape () or (n_outputs,)
        s: the standard deviation of y (divisor n_steps), its range max - min, the absolute value
        of its mean, or numbers of your own in the unit of y, such as the standard deviation of
        a longer series.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        One number, the plain mean over the outputs, or one per output.

    Returns
    -------
    float or ndarray of shape (n_outputs,)

    Raises
    ------
    ValueError
        If the shapes differ, a value is not finite, or s is 0 (a constant target has no standard
        deviation to measure the error in).

    Examples
    --------
    >>> nrmse([0.0, 2.0, 4.0, 2.0], [1.0, 1.0, 5.0, 1.0], normalization="range")
    0.25

    The NRMSE84 of a set of free runs (Jaeger 2001, GMD report 148, section 6) takes from each run
    the value 84 steps after its start, and the standard deviation from the whole series:

    >>> import numpy as np
    >>> runs_true = np.sin(np.arange(100) + np.arange(5)[:, np.newaxis])
    >>> runs_pred = runs_true + 0.01
    >>> round(nrmse(runs_true[:, 83], runs_pred[:, 83], normalization=runs_true.std()), 4)
    0.0141
    """
    truth, prediction = _paired(y_true, y_pred)
    if not np.all(np.isfinite(prediction)):
        raise ValueError(
            "`y_pred` has NaN or infinite values, for which there is no mean error. "
            "Look for the step at which the model diverged."
        )
    scale = _scale(truth, normalization)
    with np.errstate(over="ignore"):  # infinite then
        error = np.sqrt(np.mean(np.square(truth - prediction), axis=0)) / scale
    return averaged(error, multioutput)


@explained
def valid_prediction_time(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    threshold: float = 0.4,
    dt: float = 1.0,
    lyapunov_exponent: float | None = None,
) -> float:
    r"""Give the time for which a forecast stays near the truth.

    .. math::

        E[t] = \lVert y[t] - \hat y[t] \rVert
            \Big/ \sqrt{\operatorname{mean}_t \lVert y[t] \rVert^2}

    as in [1]_.

    The result is k dt, or k dt λ in Lyapunov times, where k is the number of rows before the
    first one with E > `threshold`. Row 0 is the first predicted step. A prediction that is not
    finite counts as beyond the threshold.

    E is not centred: an offset of y makes the norm larger and the test easier. Standardise the
    series first, as [1]_ does not have to for its series of mean zero, if an offset is there.

    Parameters
    ----------
    y_true : array-like of shape (n_steps,) or (n_steps, n_outputs)
        The truth y, from the first predicted step on; the mean in the norm runs over these rows.
    y_pred : array-like of the same shape
        The forecast ŷ.
    threshold : float, default=0.4
        Largest E that is still called valid, dimensionless.
    dt : float, default=1.0
        Time between two rows. At 1 the result is in steps.
    lyapunov_exponent : float, optional
        λ, largest Lyapunov exponent in units of 1 / (unit of `dt`); 0.906 for the Lorenz attractor.

    Returns
    -------
    float
        In steps, time units or Lyapunov times, as the arguments say. A forecast that never
        leaves gives the length of the test, n_steps dt (λ): a lower bound.

    Raises
    ------
    ValueError
        If the shapes differ, `y_true` is not finite or all zero, or a number is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.ones(6)
    >>> forecast = truth + [0.0, 0.1, 0.3, 0.5, 0.1, 0.9]
    >>> valid_prediction_time(truth, forecast)
    3.0
    >>> round(valid_prediction_time(truth, forecast, dt=0.02, lyapunov_exponent=0.906), 5)
    0.05436

    References
    ----------
    .. [1] Pathak, Wikner, Fussell, Chandra, Hunt, Girvan & Ott (2018), Hybrid forecasting of
       chaotic processes, Chaos 28, 041101.
    """
    truth, prediction = _paired(y_true, y_pred)
    # E does not depend on the unit, but squares overflow. A power of two changes no digit.
    _, exponent = np.frexp(np.abs(truth).max())
    truth, prediction = np.ldexp(truth, -exponent), np.ldexp(prediction, -exponent)
    threshold = check_real("threshold", threshold, minimum=0, exclusive=True)
    dt = check_real("dt", dt, minimum=0, exclusive=True)
    if lyapunov_exponent is not None:
        dt *= check_real("lyapunov_exponent", lyapunov_exponent, minimum=0, exclusive=True)
    norm = math.sqrt(float(np.mean(np.sum(np.square(truth), axis=1))))
    if norm == 0.0:
        raise ValueError(
            "`y_true` is zero throughout, so an error cannot be measured in its units. "
            "Pass a series that moves."
        )
    # A forecast that runs away may overflow here: it is beyond then.
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.linalg.norm(truth - prediction, axis=1) / norm
    beyond = ~(error <= threshold)
    n_valid = int(beyond.argmax()) if beyond.any() else error.size
    return n_valid * dt


def _paired(
    y_true: ArrayLike, y_pred: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as float64 columns of one shape, the truth finite."""
    truth = np.asarray(y_true, dtype=np.float64)
    prediction = np.asarray(y_pred, dtype=np.float64)
    if truth.ndim == 1:
        truth = truth[:, np.newaxis]
    if prediction.ndim == 1:
        prediction = prediction[:, np.newaxis]
    if truth.ndim != 2 or truth.shape != prediction.shape or truth.size == 0:
        raise ValueError(
            f"`y_true` has shape {np.shape(y_true)} and `y_pred` {np.shape(y_pred)}, but the same "
            "shape (n_steps,) or (n_steps, n_outputs) was expected. Cut both to the same steps."
        )
    if not np.all(np.isfinite(truth)):
        raise ValueError("`y_true` has NaN or infinite values. Drop or fill those rows.")
    return truth, prediction


def _scale(truth: NDArray[np.float64], normalization: str | ArrayLike) -> NDArray[np.float64]:
    """Return the divisor of each output."""
    if isinstance(normalization, str):
        check_choice("normalization", normalization, ("std", "range", "mean"))
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            if normalization == "std":
                # The range decides what is constant: the std of a constant need not round to 0.
                scale = np.where(np.ptp(truth, axis=0) > 0.0, truth.std(axis=0), 0.0)
            elif normalization == "range":
                scale = np.ptp(truth, axis=0)
            else:
                scale = np.abs(truth.mean(axis=0))
        if not np.all(np.isfinite(scale)):
            raise ValueError(
                f"`y_true` has a {normalization} beyond the float64 range in output "
                f"{int(np.isfinite(scale).argmin())}. Rescale `y_true` and `y_pred` alike."
            )
        if not np.all(scale > 0.0):
            raise ValueError(
                f"`y_true` has the {normalization} 0 in output {int(scale.argmin())}, so an error "
                "cannot be measured in its units. Pass `normalization` as a number."
            )
        return np.asarray(scale, dtype=np.float64)
    scale = np.asarray(normalization, dtype=np.float64)
    if scale.shape not in ((), (1,), (truth.shape[1],)) or not np.all(
        np.isfinite(scale) & (scale > 0.0)
    ):
        raise ValueError(
            f"`normalization` is {normalization!r}, but a positive number, or one for each of the "
            f"{truth.shape[1]} outputs, was expected. Pass for example the standard deviation."
        )
    return np.broadcast_to(scale, truth.shape[1:])


def averaged(values: NDArray[np.float64], multioutput: str) -> float | NDArray[np.float64]:
    """Return one number for each output, or their plain mean."""
    check_choice("multioutput", multioutput, ("uniform_average", "raw_values"))
    return values if multioutput == "raw_values" else float(values.mean())
