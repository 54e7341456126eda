"""Drive a reservoir with training sequences, and fold its states into the sums of a readout.

Sequences on a GPU stay there: they are run side by side, and folded by whole blocks.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, NamedTuple, cast

import numpy as np
from tqdm import tqdm

from reservoir.dynamics._driven import NO_NOISE, drive_groups, iterate_blocks
from reservoir.dynamics._groups import GroupStates
from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import DrivenSequence, Noise
from reservoir.dynamics.cuda._blocks import stack
from reservoir.harvest._blocks import fold_blocks
from reservoir.harvest._buffer import ROWS_PER_FOLD, AnyAccumulator, RowBuffer
from reservoir.readout._features import FeatureMap
from reservoir.utils.device import MEMORY_REMEDY, is_on_device, naming_remedy
from reservoir.utils.explained import explained
from reservoir.utils.threads import allowed_threads, with_few_threads
from reservoir.utils.types import Array

# States are copied to the fold's rows at once, so that few of them need to wait.
STEPS_PER_CHUNK = 256


# Multiply-adds of a fold that are worth another thread: about 2 ms.
_LEAST_WORK = 2e7
# From about 2,000 columns on the sums take ten times as long as the states: there BLAS itself
# spreads them over the cores.
_MOST_WORK = 4e9


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingSequence(DrivenSequence):
    """One sequence that is learned from.

    Attributes
    ----------
    targets : ndarray of shape (n_steps, n_outputs)
        Rows with a NaN are run and not folded.
    weights : ndarray of shape (n_steps,) or None
        Weights of the squared errors; None for 1.
    skip : int
        Steps at the start that are run and not folded (washout).
    """

    targets: Array
    weights: Array | None = None
    skip: int = 0


@contextmanager
def _second_core(n_rows: int, n_columns: int) -> Iterator[Executor | None]:
    """Give a thread that folds rows while others are made, where that pays."""
    work = 0.5 * ROWS_PER_FOLD * n_columns**2
    pays = n_rows >= 2 * ROWS_PER_FOLD and _LEAST_WORK <= work < _MOST_WORK
    if not pays or allowed_threads() < 2:
        yield None
        return
    with ThreadPoolExecutor(1, thread_name_prefix="fold") as worker:
        yield worker


class Folded(NamedTuple, Generic[AnyAccumulator]):
    """What `fold_sequences` leaves.

    Attributes
    ----------
    accumulators : list of Accumulator
        Those that came in, fuller (copies, where another process did the work).
    last_states : ndarray of shape (n_kept, n_units)
        State after the last step of each sequence that it was asked for.
    last_generator : numpy.random.Generator or None
        Where the noise of the last sequence would go on.
    """

    accumulators: list[AnyAccumulator]
    last_states: Array
    last_generator: np.random.Generator | None


class _LearnedSteps:
    """Which steps of sequences are learned from, and which block of rows each belongs to.

    Parameters
    ----------
    sequences : sequence of TrainingSequence
    edges : sequence of int
        Of the blocks, as of `fold_sequences`.
    """

    def __init__(self, sequences: Sequence[TrainingSequence], edges: Sequence[int]) -> None:
        self._edges = [int(edge) for edge in edges]
        self._offsets, row = [], 0
        # Of each sequence its skip, and the block that it lies in, None for several.
        self._kinds: list[tuple[int, int | None]] = []
        for sequence in sequences:
            self._offsets.append(row)
            first, row = self._block_of(row), row + len(sequence.inputs)
            self._kinds.append((sequence.skip, first if first == self._block_of(row - 1) else None))

    def parts(self, group: GroupStates) -> Iterator[tuple[int, slice, slice]]:
        """Yield (block, lanes, steps): neighbours with the same steps in one block together."""
        stop, lane = group.start + group.states.shape[1], 0
        for (skip, block), alike in groupby(self._kinds[index] for index in group.sequences):
            lanes = slice(lane, lane := lane + len(list(alike)))
            first = max(group.start, skip)
            if first >= stop:
                continue
            if block is not None:
                if 0 <= block < len(self._edges) - 1:
                    yield block, lanes, slice(first, stop)
                continue
            for single in range(lanes.start, lanes.stop):
                for own, steps in self._cut(self._offsets[group.sequences[single]], first, stop):
                    yield own, slice(single, single + 1), steps

    def _cut(self, offset: int, first: int, stop: int) -> Iterator[tuple[int, slice]]:
        """Cut the steps of one sequence at the edges of blocks."""
        last = min(self._block_of(offset + stop - 1), len(self._edges) - 2)
        for block in range(max(self._block_of(offset + first), 0), last + 1):
            low, high = (edge - offset for edge in self._edges[block : block + 2])
            if max(first, low) < min(stop, high):
                yield block, slice(max(first, low), min(stop, high))

    def _block_of(self, row: int) -> int:
        return bisect.bisect_right(self._edges, row) - 1


@explained
@with_few_threads
def fold_sequences(
    reservoir: Reservoir,
    feature_map: FeatureMap,
    accumulators: Sequence[AnyAccumulator],
    sequences: Sequence[TrainingSequence],
    *,
    edges: Sequence[int] | None = None,
    noise: Noise = NO_NOISE,
    kept: Sequence[int] = (-1,),
    progress: bool = False,
) -> Folded[AnyAccumulator]:
    """Drive the reservoir through sequences and fold its states and targets.

    Parameters
    ----------
    reservoir : Reservoir
        Weights and what else defines the recurrence.
    feature_map : FeatureMap
        What the readout sees.
    accumulators : sequence of Accumulator
        One for each block of rows.
    sequences : sequence of TrainingSequence
        All with weights, or none.
    edges : sequence of int, of the length of `accumulators` plus one
        Block b holds the rows from edges[b] up to edges[b + 1]; rows are counted over the
        sequences in order, the skipped ones too. Left out, one block holds all of them.
    noise : Noise
        Its standard deviations. Each sequence then has a generator.
    kept : sequence of int
        Sequences whose last state is returned; -1 is the last one.
    progress : bool
        Whether to show a bar that counts steps.

    Returns
    -------
    Folded
    """
    offsets = np.cumsum([0, *(len(sequence.inputs) for sequence in sequences)])
    edges = [0, int(offsets[-1])] if edges is None else edges
    places = {index % len(sequences): place for place, index in enumerate(kept)}
    last_states = np.empty((len(places), reservoir.n_units), dtype=reservoir.dtype)
    folded = Folded(list(accumulators), last_states, sequences[-1].generator)
    if is_on_device(sequences[0].inputs):
        with naming_remedy(MEMORY_REMEDY):
            fold_blocks(
                iterate_blocks(reservoir, sequences, noise),
                feature_map,
                accumulators,
                sequences,
                edges=edges,
                last_states=last_states,
                places=places,
                progress=progress,
            )
        return folded
    groups = drive_groups(reservoir, sequences, noise, chunk_size=STEPS_PER_CHUNK)
    n_columns = feature_map.n_columns(reservoir.n_units, reservoir.n_inputs)
    bar = tqdm(total=int(offsets[-1]), unit="step", unit_scale=True, disable=not progress)
    learned = _LearnedSteps(sequences, edges)
    with _second_core(int(offsets[-1]), n_columns) as worker, bar:
        buffers = [RowBuffer(accumulator, worker) for accumulator in accumulators]
        for group in groups:
            bar.update(len(group.rows))
            stop = group.start + group.states.shape[1]
            for lane, index in enumerate(group.sequences):
                if index in places and stop == len(sequences[index].inputs):
                    last_states[places[index]] = group.states[lane, -1]
            for block, lanes, steps in learned.parts(group):
                members = [sequences[index] for index in group.sequences[lanes]]
                part = group.part(lanes, steps)
                buffers[block].append(
                    feature_map,
                    part.rows,
                    stack(np, [one.inputs[steps] for one in members]),
                    stack(np, [one.targets[steps] for one in members]),
                    None
                    if members[0].weights is None
                    else stack(np, [cast(Array, one.weights)[steps] for one in members]),
                )
        for buffer in buffers:
            buffer.flush()
            buffer.wait()
    return folded
