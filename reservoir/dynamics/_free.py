"""Free runs: a reservoir whose own output is fed back, or is its next input (closed loop)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from reservoir.dynamics._bounds import Departure, as_bounds, find_departure, refuse_departures
from reservoir.dynamics._closing import check_loop, closing_of, external_inputs, external_part
from reservoir.dynamics._reservoir import DivergenceError, Reservoir
from reservoir.dynamics._series import PIECE, as_vector
from reservoir.dynamics._variants import Variants, variant
from reservoir.dynamics.cuda._free import FreeLanes, free_lanes, parts_of
from reservoir.dynamics.loops._choose import check_engine, choose_loop
from reservoir.dynamics.loops._maps import Closing, LaneScales
from reservoir.readout._features import Readout
from reservoir.utils.device import MEMORY_REMEDY, namespace_of, naming_remedy, to_host, to_namespace
from reservoir.utils.explained import explained
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Array, Integers
from reservoir.utils.validation import check_integer


@dataclass(frozen=True)
class FreeRun:
    """What a free run gives.

    Attributes
    ----------
    outputs : ndarray of shape (n_steps, n_outputs)
        y[t].
    final_state : ndarray of shape (n_units,)
        x after the last step; with the last output it is where to go on.
    states : ndarray of shape (n_steps, n_units) or None
        x[t], where they were asked for.
    """

    outputs: Array
    final_state: Array
    states: Array | None = None


@dataclass(frozen=True, eq=False)
class FreeStart:
    """One free run: its length, where it starts, and its external inputs.

    Attributes
    ----------
    n_steps : int
        Steps to run.
    state : array-like of shape (n_units,) or None
        x[-1]; None for zeros.
    output : array-like of shape (n_outputs,) or None
        y[-1]; None for zeros.
    inputs : array-like of shape (n_steps, n_external) or None
        u[t], those columns whose place no output takes.
    n_settling : int
        Steps at the start whose outputs only need to be finite, whatever the bounds.
    first_step : int
        Number of the first step, for an error.
    """

    n_steps: int
    state: Any = None
    output: Any = None
    inputs: Any = None
    n_settling: int = 0
    first_step: int = 0


class VariantRun(NamedTuple):
    """A free run of one variant of a reservoir, with a readout of its own."""

    variant: int
    readout: Readout
    start: FreeStart


@explained
@with_few_threads
def free_run(
    reservoir: Reservoir,
    readout: Readout,
    n_steps: int,
    *,
    initial_state: Any = None,
    initial_output: Any = None,
    inputs: Any = None,
    output_as_input: Any = False,
    output_bounds: Any = None,
    return_states: bool = False,
    engine: str = "auto",
) -> FreeRun:
    r"""Return the outputs of a reservoir that is driven by its own output.

    .. math::

        x[t] &= (1 - a)\, x[t-1] + a\, f\big(W x[t-1] + W_\mathrm{in} u[t]
            + W_\mathrm{fb}\, y[t-1] + b\big) \\
        y[t] &= V_u u[t] + V_x x[t] + V_q x[t]^2 + c

    as in [1]_.

    State and readout are one loop, without noise. With `output_as_input`, u[t] = y[t-1]: a model
    trained one step ahead forecasts on its own.

    Parameters
    ----------
    reservoir : Reservoir
        W, W_in, W_fb, b, a and f.
    readout : Readout
        V_u, V_x, V_q and c; rounded to the dtype of the reservoir.
    n_steps : int
        Steps to run.
    initial_state : array-like of shape (n_units,), optional
        x[-1]; zeros if left out.
    initial_output : array-like of shape (n_outputs,), optional
        y[-1]; zeros if left out. If this, the state or the inputs are CuPy arrays, the run is one
        on the GPU, and its results stay there.
    inputs : array-like of shape (n_steps, n_inputs), optional
        u[t], those columns that no output takes the place of; may be left out if there are none.
    output_as_input : bool or array-like of int of shape (n_inputs,), default False
        Whether u[t] = y[t-1]; or, for each input, the output of the step before that takes its
        place, -1 for an input that stays one.
    output_bounds : array-like of shape (2, n_outputs), optional
        Smallest and largest value that each output may take; beyond them the run stops. Left out,
        it stops at infinity.
    return_states : bool, default False
        Whether all states are kept.
    engine : {"auto", "numpy", "numba"}, default "auto"
        As in `run`.

    Returns
    -------
    FreeRun

    Raises
    ------
    ValueError
        If shapes do not fit, inputs are missing or too many, or nothing feeds the output back.
    DivergenceError
        If an output is not finite, or beyond its bounds; `step` says which, and `outputs` holds
        those before.
    ImportError
        If `engine` is "numba" and numba is not there.

    Examples
    --------
    A unit to which half of its last output is fed back halves at each step:

    >>> import numpy as np
    >>> unit = Reservoir(recurrent=np.zeros((1, 1)), input=np.zeros((1, 0)), bias=np.zeros(1),
    ...                  feedback=np.array([[0.5]]), activation="identity")
    >>> readout = Readout(state=np.ones((1, 1)), intercept=np.zeros(1))
    >>> free_run(unit, readout, 3, initial_output=[8.0]).outputs.ravel()
    array([4., 2., 1.])

    References
    ----------
    .. [1] Lukoševičius (2012), A Practical Guide to Applying Echo State Networks, eqs. 2-4.
    """
    xp = namespace_of(inputs=inputs, initial_state=initial_state, initial_output=initial_output)
    start = FreeStart(check_integer("n_steps", n_steps), initial_state, initial_output, inputs)
    try:
        (run,) = free_run_sequences(
            reservoir,
            readout,
            [start],
            output_as_input=output_as_input,
            output_bounds=output_bounds,
            return_states=return_states,
            engine=engine,
            xp=xp,
        )
    except DivergenceError as error:
        (error.outputs,) = error.outputs
        raise
    return run


@with_few_threads
def free_run_sequences(
    reservoir: Reservoir,
    readout: Readout,
    starts: Sequence[FreeStart],
    *,
    output_as_input: Any = False,
    output_bounds: Any = None,
    return_states: bool = False,
    engine: str = "auto",
    xp: Any = np,
) -> list[FreeRun]:
    """Return several free runs: side by side on a GPU, one after the other on the host.

    Parameters
    ----------
    reservoir, readout, output_as_input, output_bounds, return_states, engine
        As in `free_run`; likewise errors. A run that diverges does not stop the others, whose
        outputs the error holds too.
    starts : sequence of FreeStart
        How long each run is, where it starts, and its external inputs.
    xp : module
        numpy, or cupy to run on the GPU, where the results then are.
    """
    n_outputs = len(readout.intercept)
    sources = check_loop(reservoir, readout, output_as_input)
    starts = [_checked_start(reservoir, n_outputs, start, sources) for start in starts]
    closing = closing_of(reservoir, readout, sources)
    readout = external_part(readout, sources)
    bounds = as_bounds(output_bounds, n_outputs, reservoir.dtype)
    if xp is not np:
        check_engine(engine)
        with naming_remedy(MEMORY_REMEDY):
            runs = _run_on_device(xp, reservoir, readout, closing, starts, return_states)
            bounds = xp.asarray(bounds)
            departures = [
                find_departure(run.outputs, bounds, 0, start.n_settling)
                for run, start in zip(runs, starts)
            ]
    else:
        loop = choose_loop(reservoir, engine)
        ended = [
            _run_on_host(reservoir, readout, closing, loop, one, bounds, return_states)
            for one in starts
        ]
        runs, departures = [run for run, _ in ended], [departure for _, departure in ended]
    refuse_departures(
        [run.outputs for run in runs], departures, first_step=starts[0].first_step if starts else 0
    )
    return runs


@explained
@with_few_threads
def free_run_variants(
    xp: Any,
    reservoirs: Sequence[Reservoir],
    which: Sequence[int],
    variants: Variants,
    runs: Sequence[VariantRun],
    *,
    output_as_input: Any = False,
) -> Array:
    """Return the outputs of free runs of variants of reservoirs, side by side on a GPU.

    Parameters
    ----------
    xp : module
        cupy.
    reservoirs : sequence of Reservoir
        Alike in all but weights and leak rates.
    which : sequence of int
        The reservoir of each variant.
    variants : Variants
        The scales in which variants of one reservoir differ.
    runs : sequence of VariantRun
        All of one length; their readouts see the same columns. States, outputs and inputs are on
        the host, inputs of shape (n_steps, 0) where there are none.
    output_as_input : bool, default=False
        As in `free_run`.

    Returns
    -------
    ndarray of shape (n_runs, n_steps, n_outputs)
        On the host. A run that diverges goes on through infinity and NaN.
    """
    dtype, chosen = reservoirs[0].dtype, [run.variant for run in runs]
    own = {index: variant(reservoirs[which[index]], variants, index) for index in set(chosen)}
    sources = check_loop(own[chosen[0]], runs[0].readout, output_as_input)
    closings = [closing_of(own[run.variant], run.readout, sources) for run in runs]
    readouts = [external_part(run.readout, sources) for run in runs]
    inputs = np.stack([run.start.inputs for run in runs]).astype(dtype)
    constants = np.stack([run.readout.intercept for run in runs])[:, np.newaxis]
    constants = np.repeat(constants, inputs.shape[1], axis=1)
    if readouts[0].input is not None and inputs.shape[2]:
        weights = np.stack([readout.input for readout in readouts if readout.input is not None])
        constants += inputs @ weights.transpose(0, 2, 1)
    columns = np.concatenate([inputs, np.ones((*inputs.shape[:2], 1), dtype)], axis=2)
    places = np.asarray(chosen)
    with naming_remedy(MEMORY_REMEDY):
        results = free_lanes(
            xp,
            reservoirs,
            Closing(*(np.stack(parts) for parts in zip(*map(parts_of, closings)))),
            FreeLanes(
                list(xp.asarray(constants, dtype)),
                list(xp.asarray(columns)),
                xp.asarray(np.stack([run.start.state for run in runs]), dtype),
                xp.asarray(np.stack([run.start.output for run in runs]), dtype),
            ),
            scales=LaneScales(variants.recurrent[places], variants.leak[places]),
            which=[which[index] for index in chosen],
        )
        return np.asarray(to_host(xp.stack(results.outputs)))


def _run_on_host(
    reservoir: Reservoir,
    readout: Readout,
    closing: Closing,
    loop: Any,
    start: FreeStart,
    bounds: Array,
    return_states: bool,
) -> tuple[FreeRun, Departure | None]:
    """Run one closed loop, up to the piece in which it leaves its bounds.

    State and output of its start are overwritten.
    """
    n_steps, n_outputs, dtype = start.n_steps, len(start.output), reservoir.dtype
    outputs = np.empty((n_steps, n_outputs), dtype=dtype)
    kept = n_steps if return_states else min(n_steps, PIECE)
    states = np.empty((kept, reservoir.n_units), dtype=dtype)
    departure = None
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, n_steps, PIECE):
            rows = slice(first, first + PIECE)
            inputs = start.inputs[rows]
            columns = np.ones((len(inputs), inputs.shape[1] + 1), dtype=dtype)
            columns[:, :-1] = inputs
            outputs[rows] = readout.intercept
            if readout.input is not None and inputs.shape[1]:
                outputs[rows] += columns[:, :-1] @ readout.input.T.astype(dtype, copy=False)
            piece = states[rows] if return_states else states[: len(inputs)]
            loop.advance_free(piece, start.state, columns, outputs[rows], start.output, closing)
            departure = find_departure(outputs[rows], bounds, first, start.n_settling)
            if departure is not None:
                break
    return FreeRun(outputs, start.state, states if return_states else None), departure


def _run_on_device(
    xp: Any,
    reservoir: Reservoir,
    readout: Readout,
    closing: Closing,
    starts: Sequence[FreeStart],
    return_states: bool,
) -> list[FreeRun]:
    """Run closed loops side by side; their external inputs may be on either device."""
    dtype = reservoir.dtype
    all_columns = []
    for start in starts:
        columns = xp.ones((start.n_steps, start.inputs.shape[1] + 1), dtype=dtype)
        columns[:, :-1] = to_namespace(xp, start.inputs)
        all_columns.append(columns)
    intercept = xp.asarray(readout.intercept, dtype)
    constants = [xp.zeros((start.n_steps, len(intercept)), dtype) + intercept for start in starts]
    if readout.input is not None:
        weights = xp.asarray(readout.input.T, dtype)
        for constant, columns in zip(constants, all_columns):
            if columns.shape[1] > 1:
                constant += columns[:, :-1] @ weights
    results = free_lanes(
        xp,
        [reservoir],
        closing,
        FreeLanes(
            constants,
            all_columns,
            xp.asarray(np.stack([start.state for start in starts]), dtype),
            xp.asarray(np.stack([start.output for start in starts]), dtype),
        ),
        return_states=return_states,
    )
    kept = results.states or [None] * len(starts)
    return [FreeRun(*run) for run in zip(results.outputs, results.final_states, kept)]


def _checked_start(
    reservoir: Reservoir, n_outputs: int, start: FreeStart, sources: Integers
) -> FreeStart:
    """Return a start whose inputs fit, with copies of state and output on the host."""
    dtype = reservoir.dtype
    return FreeStart(
        start.n_steps,
        as_vector("initial_state", start.state, reservoir.n_units, dtype),
        as_vector("initial_output", start.output, n_outputs, dtype),
        external_inputs(reservoir, start.inputs, start.n_steps, sources),
        start.n_settling,
        start.first_step,
    )
