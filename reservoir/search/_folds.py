"""Which rows a fold holds out, which it learns from, and which lie in the gap between."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reservoir.utils.validation import check_integer, check_real


@dataclass(frozen=True)
class Stretch:
    """Consecutive steps of one sequence in one segment; None stands for the washout."""

    start: int
    stop: int
    segment: int | None


@dataclass(frozen=True)
class Fold:
    """The segments that are scored, and all that are not learned from."""

    held_out: tuple[int, ...]
    left_out: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """How the rows of some sequences are cut.

    Segments are the largest sets of rows that every fold treats alike: with a gap, a block is
    cut into the rows near its ends, which the folds of its neighbours leave out, and the rest.

    Attributes
    ----------
    stretches : tuple of tuple of Stretch
        One tuple a sequence, in time order.
    segment_rows : tuple of int
        Rows of each segment that have a target.
    folds : tuple of Fold
        One a score.
    """

    stretches: tuple[tuple[Stretch, ...], ...]
    segment_rows: tuple[int, ...]
    folds: tuple[Fold, ...]

    def is_learned_from(self, segment: int) -> bool:
        """Tell whether some fold learns from a segment."""
        return any(segment not in fold.left_out for fold in self.folds)

    def is_held_out(self, segment: int) -> bool:
        """Tell whether some fold scores a segment."""
        return any(segment in fold.held_out for fold in self.folds)

    def held_out_stretches(self, fold: Fold) -> list[tuple[int, int, int]]:
        """Return (sequence, start, stop) of the longest stretches that a fold holds out."""
        longest: list[tuple[int, int, int]] = []
        for index, of_sequence in enumerate(self.stretches):
            for stretch in of_sequence:
                if stretch.segment not in fold.held_out:
                    continue
                if longest and longest[-1][::2] == (index, stretch.start):
                    start = longest.pop()[1]
                else:
                    start = stretch.start
                longest.append((index, start, stretch.stop))
        return longest


def make_plan(known: Sequence[NDArray[np.bool_]], *, cv: Any, gap: Any, washout: int) -> Plan:
    """Cut sequences into contiguous blocks of rows.

    Parameters
    ----------
    known : sequence of ndarray of bool of shape (n_steps,)
        For each sequence, which steps have a target; blocks are cut whatever they have.
    cv : int or float
        An integer of 2 or more: as many blocks, each held out once. A float in (0, 1): the last
        part of the rows, held out alone.
    gap : int
        Steps before and after a held-out block that are not learned from.
    washout : int
        Steps at the start of each sequence that are neither learned from nor scored.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range, or a block would have no row.
    """
    gap, washout = check_integer("gap", gap), check_integer("washout", washout)
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in known])])
    edges, scored = _edges(offsets, cv)
    if gap >= np.diff(edges).min():
        raise ValueError(
            f"`gap` is {gap}, but the shortest block has {np.diff(edges).min()} rows. Lower "
            "`gap`, or take fewer blocks."
        )
    keys: dict[tuple[int, bool, bool], int] = {}
    counts: list[int] = []
    stretches = []
    for part, (first, last) in zip(known, itertools.pairwise(offsets)):
        # A gap is a matter of memory, which ends where a sequence does.
        inner = edges[(edges > first) & (edges < last)]
        begin = min(first + washout, last)
        cuts = np.concatenate([[first, begin, last], inner, inner - gap, inner + gap])
        cuts = np.unique(np.clip(cuts, first, last))
        of_sequence = []
        for low, high in itertools.pairwise(cuts):
            segment = None
            if low >= begin:
                block = int(np.searchsorted(edges, low, side="right")) - 1
                is_head = bool(np.any((inner <= low) & (low < inner + gap)))
                is_tail = bool(np.any((inner - gap <= low) & (low < inner)))
                segment = keys.setdefault((block, is_head, is_tail), len(keys))
                counts.extend([0] * (len(keys) - len(counts)))
                counts[segment] += int(part[low - first : high - first].sum())
            of_sequence.append(Stretch(int(low - first), int(high - first), segment))
        stretches.append(tuple(of_sequence))
    folds = tuple(_fold(block, keys) for block in scored)
    for block, fold in zip(scored, folds):
        n_scored = sum(counts[segment] for segment in fold.held_out)
        if not n_scored or sum(counts) == sum(counts[segment] for segment in fold.left_out):
            raise ValueError(
                f"Block {block} of {len(edges) - 1} leaves no row to "
                f"{'learn from' if n_scored else 'score'}, where a washout of {washout} steps a "
                "sequence and NaN in `y` do not count. Lower `washout` or `gap`, or take fewer "
                "blocks."
            )
    return Plan(tuple(stretches), tuple(counts), folds)


def _edges(offsets: NDArray[Any], cv: Any) -> tuple[NDArray[np.intp], list[int]]:
    """Return where blocks begin and end, and which of them are scored."""
    n_rows = int(offsets[-1])
    if isinstance(cv, float):
        share = check_real("cv", cv, minimum=0, maximum=1, exclusive=True)
        n_scored = round(share * n_rows)
        if not 0 < n_scored < n_rows:
            raise ValueError(
                f"`cv` is {cv}, which holds out {n_scored} of {n_rows} rows. Pass a share that "
                "leaves rows on both sides."
            )
        return np.array([0, n_rows - n_scored, n_rows]), [1]
    n_blocks = check_integer(
        "cv", cv, minimum=2, remedy="Pass a number of blocks, or a float: the share held out."
    )
    if n_blocks > n_rows:
        raise ValueError(f"`cv` is {cv}, but n_samples = {n_rows}. Take fewer blocks.")
    edges = np.linspace(0, n_rows, n_blocks + 1).astype(np.intp)
    # Sequences stay whole where there are enough of them.
    nearest = offsets[np.abs(offsets - edges[:, np.newaxis]).argmin(axis=1)]
    if len(np.unique(nearest)) == len(edges):
        edges = nearest
    return edges, list(range(n_blocks))


def _fold(block: int, keys: dict[tuple[int, bool, bool], int]) -> Fold:
    held_out = [segment for key, segment in keys.items() if key[0] == block]
    beside = [
        segment
        for (other, is_head, is_tail), segment in keys.items()
        if (other == block - 1 and is_tail) or (other == block + 1 and is_head)
    ]
    return Fold(tuple(held_out), tuple(held_out + beside))
