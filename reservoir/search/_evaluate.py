"""Scores for candidates side by side: one pass over the data for all that share W, or a GPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from reservoir.dynamics._reservoir import DivergenceError
from reservoir.dynamics._series import Noise, Series
from reservoir.dynamics._variants import joined, side_by_side
from reservoir.dynamics.cuda._lanes import MOST_LANES
from reservoir.dynamics.loops._choose import choose_loop
from reservoir.readout._features import FeatureMap
from reservoir.readout._solve import check_alphas
from reservoir.search._candidates import Lane, scales_of, shared_parameters
from reservoir.search._folds import Plan, make_plan
from reservoir.search._scoring import (
    FreeRunTask,
    Scoring,
    Start,
    choose_starts,
    free_run_scores,
)
from reservoir.search._stacked_sums import StackedSums
from reservoir.search._sums import FittedReadout, LaneByLane, LaneSums, ReadoutOptions
from reservoir.sequences._missing import is_known
from reservoir.utils.device import MEMORY_REMEDY, is_on_device, module_of, naming_remedy, to_host
from reservoir.utils.threads import with_few_threads

Array = NDArray[np.floating]
Floats = NDArray[np.float64]

# Rows of each lane that are run before they are folded: products of fewer cost more a row.
_ROWS = 512
# Numbers in the sums of all lanes of a batch: half a gigabyte.
_MOST_SUMS = 2**26
# Likewise on a GPU, where there is more to fill: four gigabytes.
_MOST_SUMS_ON_DEVICE = 2**29


@dataclass(frozen=True)
class Task:
    """What candidates are tried on.

    Attributes
    ----------
    inputs : list of ndarray of shape (n_steps, n_inputs)
        One a sequence, where the candidates are to be run.
    targets : list of ndarray of shape (n_steps, n_targets)
        One a sequence, on the host.
    cv, gap
        See `make_plan`.
    scoring : Scoring
        What is measured.
    """

    inputs: list[Array]
    targets: list[Floats]
    cv: Any
    gap: int
    scoring: Scoring

    def plan(self, estimator: Any) -> Plan:
        """Return the folds, which depend on the washout."""
        known = [is_known(part) for part in self.targets]
        return make_plan(known, cv=self.cv, gap=self.gap, washout=estimator.washout)


class BatchScores(NamedTuple):
    """What came of some candidates.

    Attributes
    ----------
    indices : list of int
        Which.
    scores : ndarray of shape (n_candidates, n_folds)
        -inf where the states left the numbers.
    unsupported, diverged : list of int
        Those whose alpha was too small, and those whose states left the numbers.
    """

    indices: list[int]
    scores: Floats
    unsupported: list[int]
    diverged: list[int]


def draw(estimator: Any, lanes: Sequence[Lane], task: Task) -> Any:
    """Return an estimator that has drawn what the lanes share."""
    drawn = clone(estimator).set_params(**shared_parameters(lanes))
    drawn.set_params(alpha=1.0)  # each lane has its own
    drawn._begin(task.inputs[0].shape[1], task.targets[0].shape[1])
    del drawn._accumulator  # as large as W is not, and sent to every worker
    return drawn


def _n_features(drawn: Any) -> int:
    reservoir = drawn.reservoir_
    n_columns: int = drawn._feature_map().n_columns(reservoir.n_units, reservoir.n_inputs)
    return n_columns


def widest_batch(drawn: Any, task: Task) -> int:
    """Return how many lanes go side by side, so that their sums take no more than they may."""
    n_columns = _n_features(drawn) + drawn.n_outputs_ + 1
    n_sums = len(task.plan(drawn).segment_rows)
    if is_on_device(task.inputs[0]):
        n_lanes, most_sums = MOST_LANES, _MOST_SUMS_ON_DEVICE
    else:
        n_lanes, most_sums = choose_loop(drawn.reservoir_, "auto").n_lanes, _MOST_SUMS
    return int(np.clip(most_sums // (n_sums * n_columns**2), 1, n_lanes))


# Candidates that differ in these only have reservoirs that can be run side by side on a GPU.
_WEIGHTS = ("connectivity", "topology", "distribution", "random_state")

# Estimators from `draw`, each with the lanes that share its W.
Batch = Sequence[tuple[Any, Sequence[Lane]]]


def batches(groups: Iterable[tuple[Any, Sequence[Lane]]], task: Task) -> Iterator[Batch]:
    """Cut groups of lanes into batches that go side by side.

    Parameters
    ----------
    groups : iterable of (ESNRegressor, sequence of Lane)
        From `draw`, and what each was drawn for.
    task : Task
        What they are tried on: on a GPU lanes of several W may share a batch.

    Yields
    ------
    Batch
    """
    waiting: list[tuple[Any, Sequence[Lane]]] = []
    for drawn, lanes in groups:
        width = widest_batch(drawn, task)
        n_waiting = sum(len(part) for _, part in waiting)
        if waiting and (n_waiting >= width or not _go_together(waiting[-1][0], drawn, task)):
            yield waiting
            waiting, n_waiting = [], 0
        first = 0
        while len(lanes) - first + n_waiting >= width:
            stop = first + width - n_waiting
            yield [*waiting, (drawn, lanes[first:stop])]
            first, waiting, n_waiting = stop, [], 0
        if first < len(lanes):
            waiting = [*waiting, (drawn, lanes[first:])]
    if waiting:
        yield waiting


def _go_together(one: Any, other: Any, task: Task) -> bool:
    """Tell whether the reservoirs of two estimators can be stepped by one kernel, and folded."""
    if not is_on_device(task.inputs[0]) or one.noise or one.feedback_noise:
        return False  # noise comes from the seed of each
    ours, theirs = one.get_params(deep=False), other.get_params(deep=False)
    return all(
        ours[name] is theirs[name] or np.array_equal(ours[name], theirs[name])
        for name in ours
        # Lanes have radii of their own; whether there is one at all is the reservoir's.
        if name not in (*_WEIGHTS, "spectral_radius")
    )


@with_few_threads
def evaluate(batch: Batch, task: Task) -> BatchScores:
    """Score the candidates of some lanes; of those that diverge, none takes others along.

    Parameters
    ----------
    batch : Batch
        What goes side by side.
    task : Task
        What they are tried on.

    Returns
    -------
    BatchScores
    """
    try:
        with naming_remedy(MEMORY_REMEDY):
            return _evaluate(batch, task)
    except DivergenceError:
        alone = [(drawn, [lane]) for drawn, lanes in batch for lane in lanes]
        if len(alone) > 1:
            return _joined([evaluate([part], task) for part in alone])
    drawn, (lane,) = alone[0]
    indices = [candidate for candidate, _ in lane.members]
    worst = np.full((len(indices), len(task.plan(drawn).folds)), -np.inf)
    return BatchScores(indices, worst, [], indices)


def _evaluate(batch: Batch, task: Task, may_stack: bool = True) -> BatchScores:
    drawn = batch[0][0]
    lanes = [lane for _, part in batch for lane in part]
    which = [index for index, (_, part) in enumerate(batch) for _ in part]
    plan = task.plan(drawn)
    reservoir, feature_map = drawn.reservoir_, drawn._feature_map()
    reservoirs = [one.reservoir_ for one, _ in batch]
    variants = joined(
        [
            scales_of(part, one.spectral_radius, reservoir.n_inputs, reservoir.n_outputs)
            for one, part in batch
        ]
    )
    together = side_by_side(module_of(task.inputs[0]), reservoirs, which, variants)
    is_stacked = may_stack and _can_stack(drawn, lanes, task)

    all_sums = held_out_sums = _new_sums(drawn, lanes, plan, is_stacked)
    starts = choose_starts(plan, task.scoring) if task.scoring.is_closed_loop else []
    states = _drive(drawn, together, feature_map, all_sums, task, plan, starts)
    if drawn.noise or drawn.feedback_noise:
        # There is noise while learning only: what is held out is met without.
        held_out_sums = _new_sums(drawn, lanes, plan, is_stacked, all_sums)
        states = _drive(drawn, together, feature_map, held_out_sums, task, plan, starts, quiet=True)
    parts: list[BatchScores] = []
    runs: list[FreeRunTask] = []
    places: list[tuple[Floats, int, int]] = []  # where the score of each run is added
    for index, lane in enumerate(lanes):
        if isinstance(all_sums, StackedSums) and not all_sums.resolves[index]:
            parts.append(_evaluate([(batch[which[index]][0], [lane])], task, may_stack=False))
            continue
        n_members = len(lane.members)
        scores = np.zeros((n_members, len(plan.folds)))
        unsupported: list[int] = []
        for fold in range(len(plan.folds)):
            if not starts and is_stacked:
                # The readouts themselves stay where they are.
                readouts = []
            else:
                readouts = all_sums.readouts(fold, index)[:n_members]
            for (candidate, _), readout in zip(lane.members, readouts):
                if not readout.is_supported and candidate not in unsupported:
                    unsupported.append(candidate)
            if not starts:
                errors = held_out_sums.mean_squared_errors(fold, index)[:n_members]
                truth = _held_out_targets(plan, fold, task.targets)
                scores[:, fold] = task.scoring.of_errors(errors, truth)
            own_starts = [start for start in starts if start.fold == fold]
            for member, readout in enumerate(readouts if own_starts else []):
                own = _as_readout(feature_map, readout, reservoir.n_units, reservoir.dtype)
                runs += [FreeRunTask(index, own, states[s][index], s) for s in own_starts]
                places += [(scores, member, fold)] * len(own_starts)
        indices = [candidate for candidate, _ in lane.members]
        parts.append(BatchScores(indices, scores, unsupported, []))
    if runs:
        values = free_run_scores(
            task.scoring, reservoirs, which, variants, runs, task.inputs, task.targets
        )
        for (scores, member, fold), value in zip(places, values / task.scoring.n_starts):
            scores[member, fold] += value
    return _joined(parts)


def _joined(parts: Sequence[BatchScores]) -> BatchScores:
    """Return the scores of several lanes as those of one batch."""
    return BatchScores(
        [index for part in parts for index in part.indices],
        np.concatenate([part.scores for part in parts]),
        [index for part in parts for index in part.unsupported],
        [index for part in parts for index in part.diverged],
    )


def _can_stack(drawn: Any, lanes: Sequence[Lane], task: Task) -> bool:
    """Tell whether all readouts can be solved for as one stack of normal equations, on a GPU."""
    alphas = [alpha for lane in lanes for _, alpha in lane.members]
    has_numbers = all(np.ndim(alpha) == 0 for alpha in alphas)
    return is_on_device(task.inputs[0]) and has_numbers and drawn.solver != "qr"


def _new_sums(
    drawn: Any, lanes: Sequence[Lane], plan: Plan, is_stacked: bool, learned: Any = None
) -> Any:
    """Return what collects the rows of all lanes: LaneByLane or StackedSums."""
    options = ReadoutOptions(bool(drawn.fit_intercept), bool(drawn.alpha_per_target), drawn.solver)
    all_alphas = [[alpha for _, alpha in lane.members] for lane in lanes]
    if is_stacked:
        # Lanes with fewer candidates repeat their last one.
        most = max(len(alphas) for alphas in all_alphas)
        rows = [
            [float(check_alphas(a, name="alpha")) for a in (*alphas, *[alphas[-1]] * most)][:most]
            for alphas in all_alphas
        ]
        return StackedSums(plan, np.array(rows), options, learned)
    mates = learned.lanes if learned else [None] * len(lanes)
    return LaneByLane(
        [
            LaneSums(plan, _n_features(drawn), drawn.n_outputs_, alphas, options, mate)
            for alphas, mate in zip(all_alphas, mates)
        ]
    )


def _drive(
    drawn: Any,
    together: Any,
    feature_map: FeatureMap,
    all_sums: Any,
    task: Task,
    plan: Plan,
    starts: list[Start],
    *,
    quiet: bool = False,
) -> dict[Start, Array]:
    """Run all lanes through all sequences; return the states before each free run.

    `quiet` leaves the noise of learning out.
    """
    reservoir = drawn.reservoir_
    n_units, dtype = reservoir.n_units, reservoir.dtype
    n_features = _n_features(drawn)
    xp = module_of(task.inputs[0])
    buffer = xp.empty((len(together.states), _ROWS, n_features), dtype=dtype)
    kept: dict[Start, Array] = {}
    all_targets = [xp.asarray(part) for part in task.targets]
    teachers = drawn._teachers(all_targets)
    deviations = Noise()
    if not quiet:
        deviations = Noise(
            float(drawn.noise), float(drawn.feedback_noise) * (reservoir.n_outputs > 0)
        )
    for index, (inputs, targets) in enumerate(zip(task.inputs, all_targets)):
        series = Series(
            inputs,
            None if teachers is None else teachers[index],
            np.zeros(n_units, dtype=dtype),
            np.zeros(reservoir.n_outputs, dtype=dtype),
            deviations,
            drawn._noise_generator(index) if any(deviations) else None,
        )
        together.states[:] = 0
        for piece in plan.pieces[index]:
            for first in range(piece.start, piece.stop, _ROWS):
                rows = slice(first, min(first + _ROWS, piece.stop))
                features = buffer[:, : rows.stop - first]
                states = feature_map.states_of(features, n_units)
                together.advance(states, series, first)
                for start in starts:
                    if start.sequence == index and first < start.step <= rows.stop:
                        kept[start] = to_host(states[:, start.step - 1 - first]).copy()
                if piece.segment is None:
                    continue
                feature_map.complete(features, inputs[rows], n_units)
                all_sums.append(piece.segment, features, targets[rows])
    return kept


def _held_out_targets(plan: Plan, fold: int, targets: list[Floats]) -> Floats:
    stretches = plan.held_out_pieces(plan.folds[fold])
    rows = np.concatenate([targets[index][start:stop] for index, start, stop in stretches])
    return rows[is_known(rows)]


def _as_readout(feature_map: FeatureMap, readout: FittedReadout, n_units: int, dtype: Any) -> Any:
    return feature_map.split(readout.coef.T.astype(dtype), readout.intercept.astype(dtype), n_units)
