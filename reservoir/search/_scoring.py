"""Scores of the readouts of folds: errors one step ahead, or free runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reservoir.dynamics._bounds import as_bounds, find_departure
from reservoir.dynamics._free import FreeStart, VariantRun, free_run, free_run_variants
from reservoir.dynamics._reservoir import DivergenceError, Reservoir
from reservoir.dynamics._variants import Variants, variant
from reservoir.estimators._one_step import output_places
from reservoir.metrics import nrmse, valid_prediction_time
from reservoir.readout._features import Readout
from reservoir.search._folds import Plan
from reservoir.sequences._missing import check_values, first_unknown, is_known
from reservoir.utils.device import module_of, to_host
from reservoir.utils.types import Array, Floats, Integers
from reservoir.utils.validation import check_choice, check_integer, check_real

ONE_STEP = ("r2", "neg_mean_squared_error", "neg_nrmse")
CLOSED_LOOP = ("valid_time", "neg_forecast_nrmse")


@dataclass(frozen=True)
class Scoring:
    """How candidates are scored; greater is better.

    Attributes
    ----------
    name : str
        One of `ONE_STEP` or `CLOSED_LOOP`.
    horizon : int
        Steps of a free run.
    n_starts : int or None
        Free runs per fold; None for one every half of `horizon`.
    threshold : float
        Error beyond which a forecast is no longer valid.
    """

    name: str
    horizon: int
    n_starts: int | None
    threshold: float

    def __post_init__(self) -> None:
        check_choice("scoring", self.name, ONE_STEP + CLOSED_LOOP)
        check_integer("horizon", self.horizon, minimum=1)
        if self.n_starts is not None:
            check_integer("n_starts", self.n_starts, minimum=1)
        check_real("threshold", self.threshold, minimum=0, exclusive=True)

    @property
    def is_closed_loop(self) -> bool:
        """Whether the score is that of free runs."""
        return self.name in CLOSED_LOOP

    def of_errors(self, mean_squares: Floats, held_out: Floats) -> Floats:
        """Return one-step scores.

        Parameters
        ----------
        mean_squares : ndarray of shape (n_candidates, n_targets)
            Mean squared errors on the rows held out.
        held_out : ndarray of shape (n_rows, n_targets)
            The targets there.

        Returns
        -------
        ndarray of shape (n_candidates,)
        """
        if self.name == "neg_mean_squared_error":
            scores: Floats = -mean_squares.mean(axis=1)
            return scores
        constant = np.ptp(held_out, axis=0) == 0
        variances = np.where(constant, 1.0, held_out.var(axis=0))
        if self.name == "r2":
            # As scikit-learn's r2_score: 0 for a constant, unless it was met.
            unexplained = np.where(constant, mean_squares > 0, mean_squares / variances)
            scores = 1 - unexplained.mean(axis=1)
            return scores
        if constant.any():
            raise ValueError(
                f"`scoring` is {self.name!r}, but target {int(constant.argmax())} is constant in "
                "a block held out, and has no deviation to measure errors in. Take fewer blocks, "
                'or "neg_mean_squared_error".'
            )
        scores = -np.sqrt(mean_squares / variances).mean(axis=1)
        return scores


@dataclass(frozen=True)
class Start:
    """Where a free run begins: its first predicted step, in one fold."""

    fold: int
    sequence: int
    step: int


def choose_starts(plan: Plan, scoring: Scoring) -> list[Start]:
    """Spread the free runs of each fold evenly over what it holds out."""
    starts = []
    for index, fold in enumerate(plan.folds):
        # A free run needs a row before it, that the state depends on.
        first_steps = [
            (sequence, range(max(first, 1), stop - scoring.horizon + 1))
            for sequence, first, stop in plan.held_out_stretches(fold)
        ]
        bounds = np.cumsum([0, *(len(steps) for _, steps in first_steps)])
        n_starts = scoring.n_starts
        if n_starts is None:
            # Runs that overlap by half: as much of the fold as there is, at twice its steps.
            n_starts = 1 + 2 * max(int(bounds[-1]) - 1, 0) // scoring.horizon
        if bounds[-1] < n_starts:
            raise ValueError(
                f"`horizon` is {scoring.horizon}, but fold {index} has room for {bounds[-1]} free "
                f"runs of that length, and `n_starts` is {n_starts}. Lower either, or "
                "take fewer blocks."
            )
        for chosen in np.linspace(0, bounds[-1] - 1, n_starts).astype(int):
            place = int(np.searchsorted(bounds, chosen, side="right")) - 1
            sequence, steps = first_steps[place]
            starts.append(Start(index, sequence, steps[chosen - bounds[place]]))
    return starts


@dataclass(frozen=True, eq=False)
class FreeRunTask:
    """A free run that is to be scored.

    Attributes
    ----------
    variant : int
        Which of the recurrences.
    readout : Readout
        Learned without what is held out.
    state : ndarray of shape (n_units,)
        Before the first predicted step, on the host.
    start : Start
        Where the run begins.
    """

    variant: int
    readout: Readout
    state: Array
    start: Start


class FreeRunData(NamedTuple):
    """What free runs are scored on.

    Attributes
    ----------
    inputs, targets : sequences of ndarray
        One a sequence; targets on the host.
    sources : ndarray of int of shape (n_inputs,)
        The output that takes the place of each input, -1 for one that is known ahead.
    bounds : ndarray of shape (2, n_outputs)
        Smallest and largest value that each output may take.
    """

    inputs: Sequence[Array]
    targets: Sequence[Floats]
    sources: Integers
    bounds: Floats


def free_run_scores(
    scoring: Scoring,
    reservoirs: Sequence[Reservoir],
    which: Sequence[int],
    variants: Variants,
    runs: Sequence[FreeRunTask],
    data: FreeRunData,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the scores of free runs: one after the other, on a GPU side by side.

    Parameters
    ----------
    scoring : Scoring
        What is measured.
    reservoirs : sequence of Reservoir
        With feedback weights the output is fed back through them while the inputs go on;
        without, the output is the next input.
    which : sequence of int
        The reservoir of each recurrence.
    variants : Variants
        The recurrences, as what they are to their reservoirs.
    runs : sequence of FreeRunTask
    data : FreeRunData
        What is run on, where the inputs lie.

    Returns
    -------
    scores : ndarray of shape (n_runs,)
    stayed : ndarray of bool of shape (n_runs,)
        Whether the outputs stayed within their bounds.
    """
    xp, targets, sources = module_of(data.inputs[0]), data.targets, data.sources
    if reservoirs[0].feedback is not None:
        sources = np.full_like(sources, -1)
    inputs = [to_host(part) for part in data.inputs]
    places = output_places(sources, targets[0].shape[1])
    stretches = [slice(run.start.step, run.start.step + scoring.horizon) for run in runs]
    external = [inputs[run.start.sequence][rows] for run, rows in zip(runs, stretches)]
    # As `forecast` does, which goes on from the last row of the context.
    outputs = [
        rows[0, places] if (sources >= 0).any() else targets[run.start.sequence][run.start.step - 1]
        for run, rows in zip(runs, external)
    ]
    external = [rows[:, sources < 0] for rows in external]
    if xp is np:
        forecasts = []
        for index, own_runs in itertools.groupby(zip(runs, external, outputs), _variant_of):
            own = variant(reservoirs[which[index]], variants, index)
            forecasts += [_forecast(own, *run, sources, data.bounds) for run in own_runs]
    else:
        together = free_run_variants(
            xp,
            reservoirs,
            which,
            variants,
            [
                VariantRun(run.variant, run.readout, FreeStart(len(rows), run.state, output, rows))
                for run, rows, output in zip(runs, external, outputs)
            ],
            output_as_input=sources,
        )
        forecasts = [_cut(run, data.bounds) for run in together]
    deviations = np.concatenate(targets).std(axis=0)
    scores = [
        _score(scoring, targets[run.start.sequence][rows], forecast, deviations)
        for run, rows, forecast in zip(runs, stretches, forecasts)
    ]
    stayed = np.array([bool(np.isfinite(forecast).all()) for forecast in forecasts])
    return np.array(scores, dtype=np.float64), stayed


def _variant_of(run: tuple[FreeRunTask, Any, Any]) -> int:
    return run[0].variant


def _forecast(
    reservoir: Reservoir,
    run: FreeRunTask,
    external: Array,
    output: Array,
    sources: Integers,
    bounds: Floats,
) -> Array:
    """Return the outputs of a free run, NaN from the step on at which it leaves its bounds."""
    forecast = np.full((len(external), len(output)), np.nan)
    try:
        outputs = free_run(
            reservoir,
            run.readout,
            len(external),
            initial_state=run.state,
            initial_output=output,
            inputs=external,
            output_as_input=sources,
            output_bounds=bounds,
        ).outputs
    except DivergenceError as error:
        outputs = error.outputs
    forecast[: len(outputs)] = outputs
    return forecast


def _cut(outputs: Array, bounds: Floats) -> Array:
    """Return the outputs of a free run, NaN from the step on at which it leaves its bounds."""
    departure = find_departure(outputs, as_bounds(bounds, outputs.shape[1], outputs.dtype))
    if departure is not None:
        outputs = outputs.copy()
        outputs[departure.step :] = np.nan
    return outputs


def _score(scoring: Scoring, truth: Floats, forecast: Array, deviations: Floats) -> float:
    """Return the score of a forecast, which may diverge; `deviations` are those of the targets."""
    if scoring.name == "valid_time":
        return valid_prediction_time(truth, forecast, threshold=scoring.threshold)
    if not np.isfinite(forecast).all():
        return -np.inf
    return -float(nrmse(truth, forecast, normalization=deviations))


def check_range(dtype: np.dtype[Any], inputs: Sequence[Array], targets: Sequence[Floats]) -> None:
    """Raise unless `dtype` can hold the inputs, and squares of the errors of each target."""
    for part in inputs:
        check_values(part, dtype, "X", allow_nan=False, remedy="")
    sizes = np.nanmax([np.abs(part[is_known(part)]).max(axis=0, initial=0) for part in targets], 0)
    low, high = (1e-30, 1e30) if dtype == np.float32 else (1e-150, 1e150)
    bad = (sizes > 0) & ~((sizes >= low) & (sizes <= high))
    if bad.any():
        raise ValueError(
            f"`y` is {sizes[bad][0]:.0e} at most in output {int(bad.argmax())}, but sizes from "
            f"{low:g} to {high:g} were expected, whose squares {dtype} can hold. "
            "Rescale it."
        )


def check_closed_loop(
    scoring: Scoring,
    parameters: Sequence[dict[str, Any]],
    inputs: Sequence[Array],
    targets: Sequence[Floats],
    *,
    are_named: bool,
) -> None:
    """Raise unless something feeds outputs back, and they can be compared with the truth."""
    unknown = first_unknown(targets)
    if unknown is not None:
        raise ValueError(
            f"`scoring` is {scoring.name!r}, but `y` is NaN at step {unknown[1]} of sequence "
            f"{unknown[0]}, where a free run can't be compared. Fill it, or score one step ahead."
        )
    n_inputs, n_outputs = inputs[0].shape[1], targets[0].shape[1]
    if n_inputs == n_outputs or are_named:
        return
    for one in parameters:
        if not np.any(np.asarray(one["feedback_scaling"]) != 0):
            raise ValueError(
                f"`scoring` is {scoring.name!r}, but there are {n_inputs} inputs, {n_outputs} "
                "outputs and no feedback weights: nothing closes the loop. Pass the next row of "
                "`X` as `y`, or set `feedback_scaling`."
            )
