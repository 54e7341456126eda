"""Training sequences cut into jobs for workers, each with a share of the rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reservoir.harvest._fold import TrainingSequence


@dataclass(frozen=True, eq=False)
class FoldJob:
    """Consecutive sequences, and the edges of blocks counted from their first row.

    The edges may lie before the first row, or after the last: blocks that a job has no row of
    stay empty.
    """

    sequences: Sequence[TrainingSequence]
    edges: Sequence[int]


def cut_into_jobs(
    sequences: Sequence[TrainingSequence], *, n_blocks: int, n_jobs: int
) -> list[FoldJob]:
    """Give each of some jobs consecutive sequences, of about equally many rows.

    Parameters
    ----------
    sequences : sequence of TrainingSequence
        In the order in which their rows are counted.
    n_blocks : int
        Blocks of equally many rows of all sequences.
    n_jobs : int
        Jobs at most; one that would get no sequence is left out.

    Returns
    -------
    list of FoldJob

    Examples
    --------
    >>> zeros = [np.zeros((n_steps, 1)) for n_steps in (6, 2, 4)]
    >>> jobs = cut_into_jobs(
    ...     [TrainingSequence(inputs=part, targets=part) for part in zeros], n_blocks=3, n_jobs=2)
    >>> [(len(job.sequences), [int(edge) for edge in job.edges]) for job in jobs]
    [(1, [0, 4, 8, 12]), (2, [-6, -2, 2, 6])]
    """
    offsets = np.cumsum([0, *(len(sequence.inputs) for sequence in sequences)])
    edges = np.linspace(0, offsets[-1], n_blocks + 1).astype(np.intp)
    shares = consecutive_shares([len(sequence.inputs) for sequence in sequences], n_jobs)
    return [FoldJob(sequences[share], edges - offsets[share.start]) for share in shares]


def consecutive_shares(lengths: Sequence[int], n_jobs: int) -> list[slice]:
    """Return slices of consecutive sequences, of about equally many rows; none is empty.

    Examples
    --------
    >>> consecutive_shares([6, 2, 4], 2)
    [slice(0, 1, None), slice(1, 3, None)]
    """
    offsets = np.cumsum([0, *lengths])
    bounds = np.searchsorted(offsets, np.linspace(0, offsets[-1], n_jobs + 1)).tolist()
    bounds[-1] = len(lengths)  # those without a row, too
    return [slice(first, last) for first, last in itertools.pairwise(bounds) if first < last]
