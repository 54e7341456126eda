"""Bounds of the outputs of free runs, and the error of one that leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reservoir.dynamics._reservoir import DivergenceError
from reservoir.utils.device import module_of, to_host
from reservoir.utils.types import Array
from reservoir.utils.validation import check_real

# Ranges of the training targets that an output may leave that range by. Of 112 forecasts of 14
# real series the truth left the range seen before by .8 of it at most, forecasts of less than
# three times the error of a seasonal naive one by .6; those beyond 3 were ten times worse or more.
# Free runs on chaotic attractors leave it by less than .5.
OUTPUT_LIMIT = 3.0

REMEDY = (
    "Raise `alpha`, or pass several for the best to be taken, lower `input_scaling` or the "
    "spectral radius, or train with `noise`."
)


def range_of(targets: Sequence[Any], before: Array | None = None) -> NDArray[np.float64]:
    """Return the smallest and the largest of each target, NaN left out: (2, n_outputs).

    Parameters
    ----------
    targets : sequence of array of shape (n_steps, n_outputs)
        On the host or on a GPU.
    before : ndarray of shape (2, n_outputs), optional
        The range of what came before, which goes into the result.

    Examples
    --------
    >>> range_of([np.array([[1.0], [np.nan]]), np.array([[-2.0]])])
    array([[-2.],
           [ 1.]])
    """
    n_outputs = targets[0].shape[1]
    low, high = np.full(n_outputs, np.inf), np.full(n_outputs, -np.inf)
    if before is not None:
        low, high = before[0].copy(), before[1].copy()
    for part in targets:
        if len(part):
            smallest, largest = _extremes(part)
            np.fmin(low, smallest, out=low)
            np.fmax(high, largest, out=high)
    return np.stack([low, high])


def _extremes(part: Any) -> tuple[Any, Any]:
    """Return the smallest and largest of each column, on the host."""
    xp = module_of(part)
    if xp is np:
        # Without a copy, and without a warning where all of a column is NaN.
        return np.fmin.reduce(part, axis=0), np.fmax.reduce(part, axis=0)
    unknown = xp.isnan(part)
    smallest = xp.where(unknown, np.inf, part).min(axis=0)
    return to_host(smallest), to_host(xp.where(unknown, -np.inf, part).max(axis=0))


def bounds_around(output_range: NDArray[np.float64], limit: float | None) -> NDArray[np.float64]:
    """Return the bounds of free runs, `limit` ranges below and above a range: (2, n_outputs).

    For a target that is constant its size stands for the range; 0 throughout has no bounds. Nor
    are there any where `limit` is None.

    Examples
    --------
    >>> bounds_around(np.array([[-2.0, 5.0, 0.0], [2.0, 5.0, 0.0]]), 3.0)
    array([[-14., -10., -inf],
           [ 14.,  20.,  inf]])
    """
    low, high = output_range
    limit = np.inf if limit is None else check_real("output_limit", limit, minimum=0)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = high - low
        spread = np.where(spread > 0, spread, np.abs(high))
        margin = np.where(spread > 0, limit * spread, np.inf)
        margin[~(low <= high)] = np.inf  # no target was known
        return np.stack([low - margin, high + margin])


def as_bounds(bounds: Any, n_outputs: int, dtype: np.dtype[Any]) -> Array:
    """Return bounds (2, n_outputs) in a dtype, the largest numbers where there are none.

    So whatever is not finite is beyond them.
    """
    largest = np.finfo(dtype).max
    if bounds is None:
        return np.array([[-largest], [largest]], dtype).repeat(n_outputs, axis=1)
    values = np.asarray(bounds, dtype=np.float64)
    if values.shape != (2, n_outputs) or not (values[0] <= values[1]).all():
        raise ValueError(
            f"`output_bounds` is {bounds!r}, but an array of shape (2, {n_outputs}) was expected: "
            "the smallest and the largest value of each output. Leave it out for no bounds."
        )
    return values.clip(-largest, largest).astype(dtype)


class Departure(NamedTuple):
    """The first output of a run that is beyond its bounds."""

    step: int
    output: int
    value: float
    bound: float


def find_departure(
    outputs: Any, bounds: Any, start: int = 0, n_settling: int = 0
) -> Departure | None:
    """Return the first of the rows of outputs that is beyond its bounds; row 0 is step `start`.

    Parameters
    ----------
    outputs : array of shape (n_steps, n_outputs)
        On the host or on a GPU.
    bounds : array of shape (2, n_outputs)
        There too, from `as_bounds`.
    start : int
        Step of the first row.
    n_settling : int
        Steps from step 0 on that only need to be finite.
    """
    n_free = min(max(n_settling - start, 0), len(outputs))
    if n_free:
        none = as_bounds(None, outputs.shape[1], outputs.dtype)
        early = find_departure(outputs[:n_free], module_of(outputs).asarray(none), start)
        if early is not None:
            return early
        outputs, start = outputs[n_free:], start + n_free
    low, high = bounds
    inside = (outputs >= low) & (outputs <= high)  # False for NaN
    if bool(inside.all()):
        return None
    row = int(inside.all(axis=1).argmin())
    output = int(inside[row].argmin())
    value = float(outputs[row, output])
    return Departure(
        start + row, output, value, float(low[output] if value < low[output] else high[output])
    )


def note_departures(
    outputs: Array, bounds: Array, step: int, departures: list[Departure | None]
) -> bool:
    """Enter the runs that leave their bounds at a step, and return whether all of them have.

    Parameters
    ----------
    outputs : ndarray of shape (n_runs, n_outputs)
        Of the step.
    bounds : ndarray of shape (2, n_outputs)
        From `as_bounds`.
    step : int
        Its number.
    departures : list of Departure or None
        Of each run; the first departure stays.
    """
    low, high = bounds
    inside = (outputs >= low) & (outputs <= high)
    if inside.all():
        return False
    for run in np.flatnonzero(~inside.all(axis=1)):
        departures[run] = departures[run] or find_departure(outputs[run][np.newaxis], bounds, step)
    return all(departures)


def refuse_departure(outputs: Any, departure: Departure | None, remedy: str = REMEDY) -> None:
    """Raise DivergenceError if a single run left its bounds, with its outputs before that."""
    try:
        refuse_departures([outputs], [departure], remedy)
    except DivergenceError as error:
        (error.outputs,) = error.outputs
        raise


def refuse_departures(
    outputs: Sequence[Any],
    departures: Sequence[Departure | None],
    remedy: str = REMEDY,
    first_step: int = 0,
) -> None:
    """Raise DivergenceError if a run left its bounds, with the outputs of all runs.

    Parameters
    ----------
    outputs : sequence of array of shape (n_steps, n_outputs)
        Of each run, on to its departure at least.
    departures : sequence of Departure or None
        Of each run.
    remedy : str
        What to do.
    first_step : int
        Number of the first row of the outputs, for the error.
    """
    left = [(index, departure) for index, departure in enumerate(departures) if departure]
    if not left:
        return
    index, first = left[0]
    kept = [
        rows if departure is None else rows[: departure.step].copy()
        for rows, departure in zip(outputs, departures)
    ]
    others = f", and {len(left) - 1} other sequences diverge" if len(left) > 1 else ""
    which = f"Output {first.output}" if len(outputs[0].T) > 1 else "The output"
    raise DivergenceError(
        f"{which} of step {first_step + first.step} of sequence {index} is {first.value:.6g}, "
        f"beyond the bound of {first.bound:.6g} that what was learned sets{others}. {remedy} "
        "`outputs` of this error holds what came before, and the outputs of all sequences.",
        first_step + first.step,
        sequence=index,
        value=first.value,
        bound=first.bound,
        outputs=kept,
    )
