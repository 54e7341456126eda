"""Many free runs of one reservoir side by side on the host, as forecasts from many origins."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from reservoir.dynamics._bounds import Departure, as_bounds, find_departure, refuse_departures
from reservoir.dynamics._closing import check_loop
from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics.loops._choose import choose_loop
from reservoir.readout._features import Readout
from reservoir.utils.explained import explained
from reservoir.utils.types import Array, Integers


class ManyStarts(NamedTuple):
    """Where many runs of one length start, and their external inputs.

    Attributes
    ----------
    states : ndarray of shape (n_runs, n_units)
        x[-1].
    outputs : ndarray of shape (n_runs, n_lags, n_outputs)
        y[-n_lags], ..., y[-1]: as far back as the largest lag.
    inputs : ndarray of shape (n_runs, n_steps, n_external)
        Those columns of u[t] whose place no output takes.
    """

    states: Array
    outputs: Array
    inputs: Array


class ManyRuns(NamedTuple):
    """What many free runs give: outputs (n_runs, n_steps, n_outputs), and the last states."""

    outputs: Array
    final_states: Array


@explained
def free_run_many(
    reservoir: Reservoir,
    readout: Readout,
    starts: ManyStarts,
    *,
    output_as_input: Any = True,
    lags: Integers | None = None,
    output_bounds: Any = None,
    n_settling: Integers | None = None,
    engine: str = "auto",
) -> ManyRuns:
    """Return the outputs of many free runs, stepped side by side.

    As `free_run` gives them, to rounding. Runs share each step of W and each product with the
    readout, which makes hundreds of short ones several times faster than one after the other.

    Parameters
    ----------
    reservoir, readout
        As in `free_run`.
    starts : ManyStarts
        Where they start.
    output_as_input : bool or ndarray of int of shape (n_inputs,)
        As in `free_run`.
    lags : ndarray of int of shape (n_inputs,), optional
        How many steps before the output was put out that takes the place of an input, 1 or more;
        1 for all if left out. Those of external inputs do not matter.
    output_bounds, engine
        As in `free_run`.
    n_settling : ndarray of int of shape (n_runs,), optional
        Steps at the start of each run whose outputs only need to be finite.

    Raises
    ------
    ValueError, DivergenceError, ImportError
        As `free_run`; the error holds the outputs of all runs.

    Examples
    --------
    Numbers that are the sum of the two before:

    >>> sums = Reservoir(recurrent=np.zeros((1, 1)), input=np.ones((1, 2)), bias=np.zeros(1),
    ...                  activation="identity")
    >>> readout = Readout(state=np.ones((1, 1)), intercept=np.zeros(1))
    >>> starts = ManyStarts(np.zeros((2, 1)), np.array([[[1.0], [1.0]], [[2.0], [1.0]]]),
    ...                     np.empty((2, 5, 0)))
    >>> free_run_many(sums, readout, starts, output_as_input=np.array([0, 0]),
    ...               lags=np.array([1, 2])).outputs[:, :, 0]
    array([[ 2.,  3.,  5.,  8., 13.],
           [ 3.,  4.,  7., 11., 18.]])
    """
    sources = check_loop(reservoir, readout, output_as_input)
    dtype, n_outputs = reservoir.dtype, len(readout.intercept)
    loop = choose_loop(reservoir, engine)
    n_runs, n_steps = starts.inputs.shape[:2]
    n_before = starts.outputs.shape[1]
    series = np.empty((n_runs, n_before + n_steps, n_outputs), dtype=dtype)
    series[:, :n_before] = starts.outputs
    states = starts.states.astype(dtype)
    lags = np.ones(len(sources), np.intp) if lags is None else lags
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, n_runs, loop.n_lanes):
            group = slice(first, first + loop.n_lanes)
            _run_group(
                reservoir, readout, loop, (sources, lags), states[group], starts.inputs[group],
                series[group],
            )  # fmt: skip
    outputs = series[:, n_before:]
    bounds = as_bounds(output_bounds, n_outputs, dtype)
    departures: list[Departure | None] = [None] * n_runs
    if find_departure(outputs.reshape(-1, n_outputs), bounds) is not None:
        settling = np.zeros(n_runs, np.intp) if n_settling is None else n_settling
        departures = [find_departure(run, bounds, 0, int(n)) for run, n in zip(outputs, settling)]
    refuse_departures(list(outputs), departures)
    return ManyRuns(outputs, states)


def _run_group(
    reservoir: Reservoir,
    readout: Readout,
    loop: Any,
    feeding: tuple[Integers, Integers],
    states: Array,
    external: Array,
    series: Array,
) -> None:
    """Step as many runs as the loop has lanes; `states` are overwritten, `series` is filled up."""
    sources, lags = feeding
    is_fed = sources >= 0
    sources, lags = sources[is_fed], lags[is_fed]
    n_runs, n_steps = external.shape[:2]
    n_before, n_inputs = series.shape[1] - n_steps, reservoir.n_inputs
    inputs = np.empty((n_runs, n_inputs), dtype=series.dtype)
    columns = np.ones((1, n_inputs + reservoir.n_outputs + 1, n_runs), dtype=series.dtype)
    after = np.empty((n_runs, 1, reservoir.n_units), dtype=series.dtype)
    for step in range(n_steps):
        now = n_before + step
        inputs[:, is_fed] = series[:, now - lags, sources]
        inputs[:, ~is_fed] = external[:, step]
        columns[0, :n_inputs] = inputs.T
        if reservoir.feedback is not None:
            columns[0, n_inputs:-1] = series[:, now - 1].T
        loop.advance_lanes(after, 0, 1, states, columns, False)
        series[:, now] = readout(states, inputs)
