"""Sequences of similar length side by side: uneven batches without their padding."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]

# Lengths at which a bucket may end: more of them gain nothing, and the search costs their square.
_MAX_CUTS = 256
# Of a bucket that is cut on, in each part.
_FEWEST_SEQUENCES = 4


def bucket_sequences(lengths: Indices, step_rows: float, max_rows: int | None) -> list[Indices]:
    """Cut sequences into buckets of similar length, so that all together cost the least.

    Σ_b T_b (n_b + step_rows),   with the longest T_b of the n_b sequences in bucket b

    Parameters
    ----------
    lengths : ndarray of int of shape (n_sequences,)
        Steps of each sequence; one of no step is in no bucket.
    step_rows : float
        What a step costs whatever its width, in rows: steps of one sequence.
    max_rows : int or None
        A bucket has at most so many steps times sequences, but at least one sequence.

    Returns
    -------
    list of ndarray of int
        Indices of the sequences of each bucket. Where one bucket is best they are in their order,
        and so are those of the buckets that `max_rows` cuts it into.

    Examples
    --------
    >>> import numpy as np
    >>> [bucket.tolist() for bucket in bucket_sequences(np.array([3, 90, 3, 3]), 5.0, None)]
    [[0, 2, 3], [1]]
    >>> [bucket.tolist() for bucket in bucket_sequences(np.array([9, 10, 9, 10]), 5.0, None)]
    [[0, 1, 2, 3]]
    """
    buckets = []
    lowest = 0
    for highest in _best_cuts(lengths, step_rows):
        inside = np.flatnonzero((lengths > lowest) & (lengths <= highest))
        lowest = highest
        per_bucket = len(inside) if max_rows is None else max(1, max_rows // highest)
        buckets += [
            inside[start : start + per_bucket] for start in range(0, len(inside), per_bucket)
        ]
    return buckets


def share_out(buckets: list[Indices], lengths: Indices, n_shares: int) -> list[Indices]:
    """Cut buckets on, so that none has more rows than one of `n_shares` equal shares of all.

    Parameters
    ----------
    buckets : list of ndarray of int
        Indices of sequences.
    lengths : ndarray of int of shape (n_sequences,)
        Steps of each sequence.
    n_shares : int

    Returns
    -------
    list of ndarray of int
        A bucket of fewer than 8 sequences stays whole: the same weights would be read for a row or
        two at a time.

    Examples
    --------
    >>> lengths = np.array([5] * 16 + [80])
    >>> [len(part) for part in share_out([np.arange(16), np.array([16])], lengths, 2)]
    [16, 1]
    >>> [len(part) for part in share_out([np.arange(16)], lengths, 2)]
    [8, 8]
    """
    rows = [len(bucket) * int(lengths[bucket].max()) for bucket in buckets]
    share = sum(rows) / n_shares
    parts = []
    for bucket, n_rows in zip(buckets, rows):
        n_parts = min(math.ceil(n_rows / share), max(1, len(bucket) // _FEWEST_SEQUENCES))
        parts += np.array_split(bucket, n_parts)
    return parts


def _best_cuts(lengths: Indices, step_rows: float) -> list[int]:
    """Return the largest length of each bucket, ascending, by dynamic programming."""
    ends, counts = np.unique(lengths[lengths > 0], return_counts=True)
    if len(ends) > _MAX_CUTS:
        # Of as many sequences each, and the longest ones apart.
        at = np.linspace(0, len(ends) - 1, _MAX_CUTS // 2).round().astype(np.intp)
        by_count = np.searchsorted(np.cumsum(counts), np.linspace(1, counts.sum(), _MAX_CUTS // 2))
        at = np.unique(np.concatenate([at, by_count]))
        counts = np.diff(np.concatenate([[0], np.cumsum(counts)[at]]))
        ends = ends[at]
    before = np.concatenate([[0], np.cumsum(counts)])
    n = len(ends)
    cost, last = np.zeros(n + 1), np.zeros(n + 1, dtype=np.intp)
    for i in range(1, n + 1):
        # A bucket of the lengths from j on up to that of i - 1.
        costs = cost[:i] + ends[i - 1] * (before[i] - before[:i] + step_rows)
        last[i] = np.argmin(costs)
        cost[i] = costs[last[i]]
    cuts = []
    while n > 0:
        cuts.append(int(ends[n - 1]))
        n = int(last[n])
    return cuts[::-1]
