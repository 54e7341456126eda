"""Scores of a batch of candidates: one pass over the data, then errors or free runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reservoir.dynamics._bounds import bounds_around, range_of
from reservoir.dynamics._reservoir import DivergenceError, Reservoir
from reservoir.dynamics._series import Noise, Series
from reservoir.dynamics._variants import Variants, joined, side_by_side
from reservoir.readout._solve import check_alphas
from reservoir.search._batches import Batch
from reservoir.search._candidates import Lane, scales_of
from reservoir.search._folding import folding
from reservoir.search._folds import Plan, Stretch
from reservoir.search._jobs import DrawnReservoir, SearchJob
from reservoir.search._scoring import (
    FreeRunData,
    FreeRunTask,
    Start,
    choose_starts,
    free_run_scores,
)
from reservoir.search._stacked_sums import StackedSums
from reservoir.search._sums import LaneByLane, LaneSums
from reservoir.sequences._missing import is_known
from reservoir.utils.device import MEMORY_REMEDY, is_on_device, module_of, naming_remedy, to_host
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Array, Floats

# The sums of all lanes, of either kind.
Sums = LaneByLane | StackedSums

# Rows of each lane that are run before they are folded: products of fewer cost more per row.
_ROWS = 1024


class BatchScores(NamedTuple):
    """The scores of some candidates.

    Attributes
    ----------
    indices : list of int
        Which candidates.
    scores : ndarray of shape (n_candidates, n_folds)
        -inf where the states overflowed.
    unsupported, diverged : list of int
        Those whose alpha was too small, and those whose states overflowed.
    n_diverged : ndarray of int of shape (n_candidates,)
        How many free runs of each left what was learned.
    """

    indices: list[int]
    scores: Floats
    unsupported: list[int]
    diverged: list[int]
    n_diverged: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _Lanes:
    """The lanes of a batch: variants of one reservoir or, on a GPU, of several.

    What the reservoirs have in common is read from the first one, `drawn`.
    """

    drawn: DrawnReservoir
    reservoirs: list[Reservoir]
    lanes: list[Lane]
    which: list[int]
    variants: Variants


def _side_by_side(batch: Batch) -> _Lanes:
    reservoirs = [drawn.reservoir for drawn, _ in batch]
    return _Lanes(
        batch[0][0],
        reservoirs,
        [lane for _, part in batch for lane in part],
        [index for index, (_, part) in enumerate(batch) for _ in part],
        joined(
            [
                scales_of(
                    part,
                    drawn.parameters["spectral_radius"],
                    reservoirs[0].n_inputs,
                    reservoirs[0].n_outputs,
                )
                for drawn, part in batch
            ]
        ),
    )


@with_few_threads
def evaluate(batch: Batch, job: SearchJob) -> BatchScores:
    """Score the candidates of some lanes; one that diverges leaves the scores of others alone.

    Parameters
    ----------
    batch : Batch
        The lanes that go side by side.
    job : SearchJob
        What they are tried on.

    Returns
    -------
    BatchScores
    """
    try:
        with naming_remedy(MEMORY_REMEDY):
            return _evaluate(batch, job)
    except DivergenceError:
        alone = _one_by_one(batch)
        if len(alone) > 1:
            return _joined([evaluate([part], job) for part in alone])
    drawn, (lane,) = alone[0]
    indices = [candidate for candidate, _ in lane.members]
    plan = job.plan(drawn.parameters["washout"])
    n_runs = len(choose_starts(plan, job.scoring)) if job.scoring.is_closed_loop else 0
    worst = np.full((len(indices), len(plan.folds)), -np.inf)
    return BatchScores(indices, worst, [], indices, np.full(len(indices), n_runs))


def _evaluate(batch: Batch, job: SearchJob) -> BatchScores:
    """Score all lanes at once, then those alone whose alphas stacked sums can't resolve."""
    lanes = _side_by_side(batch)
    scores, unresolved = _score(lanes, job, is_stacked=_can_stack(lanes, job))
    alone = _one_by_one(batch)
    others = [_score(_side_by_side([alone[i]]), job, is_stacked=False) for i in unresolved]
    return _joined([scores, *(part for part, _ in others)])


def _one_by_one(batch: Batch) -> list[tuple[DrawnReservoir, Sequence[Lane]]]:
    return [(drawn, [lane]) for drawn, lanes in batch for lane in lanes]


def _score(lanes: _Lanes, job: SearchJob, *, is_stacked: bool) -> tuple[BatchScores, list[int]]:
    """Return scores, and the lanes that have none, as their alphas are too small for the sums."""
    plan = job.plan(lanes.drawn.parameters["washout"])
    starts = choose_starts(plan, job.scoring) if job.scoring.is_closed_loop else []
    learned = scored = _new_sums(lanes, plan, is_stacked)
    states = _drive(lanes, learned, job, plan, starts, noise=lanes.drawn.noise)
    if any(lanes.drawn.noise):
        # There is noise while learning only: what is held out is run without.
        scored = _new_sums(lanes, plan, is_stacked, learned)
        states = _drive(lanes, scored, job, plan, starts, noise=Noise())
    resolved = np.flatnonzero(learned.resolves).tolist()
    n_diverged = {index: np.zeros(len(lanes.lanes[index].members), np.intp) for index in resolved}
    if starts:
        scores, n_diverged = _score_free_runs(lanes, resolved, learned, states, job, plan)
    else:
        scores = _score_errors(lanes, resolved, scored, job, plan)
    parts = []
    for index in resolved:
        members = lanes.lanes[index].members
        supported = np.ones(len(members), dtype=bool)
        for fold in range(len(plan.folds)):
            supported &= learned.supports(fold, index)[: len(members)]
        indices = [candidate for candidate, _ in members]
        unsupported = [indices[member] for member in np.flatnonzero(~supported)]
        parts.append(BatchScores(indices, scores[index], unsupported, [], n_diverged[index]))
    nothing = BatchScores([], np.empty((0, len(plan.folds))), [], [], np.empty(0, np.intp))
    return _joined([nothing, *parts]), np.flatnonzero(~learned.resolves).tolist()


def _score_errors(
    lanes: _Lanes, chosen: list[int], sums: Sums, job: SearchJob, plan: Plan
) -> dict[int, Floats]:
    """Return the one-step scores of some lanes, (n_candidates, n_folds) each."""
    scores = _no_scores(lanes, chosen, plan)
    for fold in range(len(plan.folds)):
        truth = _held_out_targets(plan, fold, job.targets)
        for index in chosen:
            errors = sums.mean_squared_errors(fold, index)[: len(scores[index])]
            scores[index][:, fold] = job.scoring.of_errors(errors, truth)
    return scores


def _score_free_runs(
    lanes: _Lanes,
    chosen: list[int],
    sums: Sums,
    states: dict[Start, Array],
    job: SearchJob,
    plan: Plan,
) -> tuple[dict[int, Floats], dict[int, NDArray[np.intp]]]:
    """Return the scores of free runs of some lanes, and how many of each candidate diverged."""
    scores = _no_scores(lanes, chosen, plan)
    n_diverged = {index: np.zeros(len(scores[index]), np.intp) for index in chosen}
    n_starts = np.bincount([start.fold for start in states], minlength=len(plan.folds))
    feature_map, reservoir = lanes.drawn.feature_map, lanes.reservoirs[0]
    runs: list[FreeRunTask] = []
    places: list[tuple[int, int, int]] = []  # of the score that each run is part of
    for index in chosen:
        for fold in range(len(plan.folds)):
            readouts = sums.readouts(fold, index)[: len(scores[index])]
            for member, readout in enumerate(readouts):
                own = feature_map.split(
                    readout.state.astype(reservoir.dtype),
                    readout.intercept.astype(reservoir.dtype),
                    reservoir.n_units,
                )
                for start in (start for start in states if start.fold == fold):
                    runs.append(FreeRunTask(index, own, states[start][index], start))
                    places.append((index, member, fold))
    if runs:
        limit = lanes.drawn.parameters["output_limit"]
        values, stayed = free_run_scores(
            job.scoring,
            lanes.reservoirs,
            lanes.which,
            lanes.variants,
            runs,
            FreeRunData(
                job.inputs, job.targets, job.sources, bounds_around(range_of(job.targets), limit)
            ),
        )
        for (index, member, fold), value, stays in zip(places, values, stayed):
            scores[index][member, fold] += value / n_starts[fold]
            n_diverged[index][member] += not stays
    return scores, n_diverged


def _no_scores(lanes: _Lanes, chosen: list[int], plan: Plan) -> dict[int, Floats]:
    return {index: np.zeros((len(lanes.lanes[index].members), len(plan.folds))) for index in chosen}


def _joined(parts: Sequence[BatchScores]) -> BatchScores:
    """Return the scores of several lanes as those of one batch."""
    return BatchScores(
        [index for part in parts for index in part.indices],
        np.concatenate([part.scores for part in parts]),
        [index for part in parts for index in part.unsupported],
        [index for part in parts for index in part.diverged],
        np.concatenate([part.n_diverged for part in parts]),
    )


def _can_stack(lanes: _Lanes, job: SearchJob) -> bool:
    """Tell whether all readouts can be solved for as one stack of normal equations, on a GPU."""
    alphas = [alpha for lane in lanes.lanes for _, alpha in lane.members]
    has_numbers = all(np.ndim(alpha) == 0 for alpha in alphas)
    return is_on_device(job.inputs[0]) and has_numbers and lanes.drawn.parameters["solver"] != "qr"


def _new_sums(lanes: _Lanes, plan: Plan, is_stacked: bool, learned: Any = None) -> Sums:
    """Return empty sums for all lanes; with `learned`, those whose readouts are scored."""
    drawn, options = lanes.drawn, lanes.drawn.readout_options
    all_alphas = [[alpha for _, alpha in lane.members] for lane in lanes.lanes]
    if is_stacked:
        # Lanes with fewer candidates repeat their last one.
        most = max(len(alphas) for alphas in all_alphas)
        rows = [
            [float(check_alphas(a, name="alpha")) for a in (*alphas, *[alphas[-1]] * most)][:most]
            for alphas in all_alphas
        ]
        return StackedSums(plan, np.array(rows), options, learned)
    of_learned = learned.lanes if learned else [None] * len(lanes.lanes)
    return LaneByLane(
        [
            LaneSums(plan, drawn.n_features, drawn.n_targets, alphas, options, own)
            for alphas, own in zip(all_alphas, of_learned)
        ]
    )


def _drive(
    lanes: _Lanes,
    sums: Sums,
    job: SearchJob,
    plan: Plan,
    starts: Iterable[Start],
    *,
    noise: Noise,
) -> dict[Start, Array]:
    """Run all lanes through all sequences; return the states before each free run, by start."""
    drawn, reservoir = lanes.drawn, lanes.reservoirs[0]
    feature_map, dtype, n_units = drawn.feature_map, reservoir.dtype, reservoir.n_units
    xp = module_of(job.inputs[0])
    together = side_by_side(xp, lanes.reservoirs, lanes.which, lanes.variants)
    kept: dict[Start, Array] = {}
    all_targets = [xp.asarray(part) for part in job.targets]
    teachers = drawn.teachers(all_targets)
    most = max((one.stop - one.start for part in plan.stretches for one in part), default=0)
    shape = (len(together.states), min(most, _ROWS), drawn.n_features)
    with folding(sums, shape[1], drawn.n_features) as (fold, n_buffers):
        buffers = [xp.empty(shape, dtype=dtype) for _ in range(n_buffers)]
        for index, (inputs, targets) in enumerate(zip(job.inputs, all_targets)):
            series = Series(
                inputs,
                None if teachers is None else teachers[index],
                np.zeros(n_units, dtype=dtype),
                np.zeros(reservoir.n_outputs, dtype=dtype),
                noise,
                drawn.noise_generator(index) if any(noise) else None,
            )
            together.states[:] = 0
            for segment, rows in _pieces(plan.stretches[index]):
                features = buffers[0][:, : rows.stop - rows.start]
                states = feature_map.states_of(features, n_units)
                together.advance(states, series, rows.start)
                for start in starts:
                    if start.sequence == index and rows.start < start.step <= rows.stop:
                        kept[start] = to_host(states[:, start.step - 1 - rows.start]).copy()
                if segment is None:
                    continue
                feature_map.complete(features, inputs[rows], n_units)
                fold(segment, features, targets[rows])
                buffers.reverse()
    return {start: kept[start] for start in starts}


def _pieces(stretches: Iterable[Stretch]) -> Iterator[tuple[int | None, slice]]:
    """Yield the rows that are run at a time, and which segment they belong to."""
    for stretch in stretches:
        for first in range(stretch.start, stretch.stop, _ROWS):
            yield stretch.segment, slice(first, min(first + _ROWS, stretch.stop))


def _held_out_targets(plan: Plan, fold: int, targets: list[Floats]) -> Floats:
    stretches = plan.held_out_stretches(plan.folds[fold])
    rows = np.concatenate([targets[index][start:stop] for index, start, stop in stretches])
    return rows[is_known(rows)]
