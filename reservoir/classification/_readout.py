"""The readout of a classifier: scores of the classes, folds, and decisions on held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from reservoir.readout._features import Readout
from reservoir.utils.device import module_of, to_host
from reservoir.utils.explained import explained
from reservoir.utils.types import Floats, Integers
from reservoir.utils.validation import check_axes

# Yields the numbers of the next rows, and their features.
RowBlocks = Callable[[], Iterator[tuple[slice, NDArray[np.floating]]]]


@dataclass(frozen=True)
class ClassReadout:
    """A readout, how its alpha was chosen, and the readouts of the folds.

    They map features s to the scores of the classes, d = V s + c.

    Attributes
    ----------
    map : Readout
        Learned from all rows.
    alpha : float
        Its penalty.
    scores : ndarray of shape (n_alphas,) or None
        Held-out loss of each candidate; None where there was one alpha.
    held_out : list of Readout
        For each fold, the readout learned from all rows but those of the fold; empty without
        folds.
    """

    map: Readout
    alpha: float
    scores: Floats | None = None
    held_out: list[Readout] = field(default_factory=list)

    def in_columns(self, basis: Floats) -> ClassReadout:
        """Return the same readout for s, where this one was learned from s · basis."""
        widen = [replace(each, state=each.state @ basis.T) for each in (self.map, *self.held_out)]
        return replace(self, map=widen[0], held_out=widen[1:])


def decisions_of(readout: Readout, features: NDArray[np.floating]) -> Floats:
    """Return the scores of rows (n_rows, n_columns), on the host wherever the rows are."""
    return np.asarray(to_host(readout.to(module_of(features))(features)))


def as_blocks(features: Floats) -> RowBlocks:
    """Return rows that are in memory as a function that yields them, in one block."""
    return lambda: iter([(slice(0, len(features)), features)])


@explained
def row_space(features: Floats) -> Floats:
    """Return an orthonormal basis of what the differences of rows span.

    A penalised readout with a free intercept lies in that span: with fewer rows than columns it
    is learned from as many columns as there are rows, and is the same.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_columns)
        Rows.

    Returns
    -------
    ndarray of shape (n_columns, min(n_rows, n_columns))
    """
    check_axes("features", features, 2)
    basis: Floats = np.linalg.qr((features - features.mean(axis=0)).T)[0]
    return basis


@explained
def stratified_folds(codes: Integers, n_folds: int) -> Integers:
    """Return a fold for each unit: within each class, contiguous runs of nearly equal lengths.

    Neighbours in time stay together, and every class with at least two members is in the rest of
    every fold. Where no class has as many members as there are folds, there are fewer folds; one
    fold says that nothing can be held out.

    Examples
    --------
    >>> import numpy as np
    >>> stratified_folds(np.array([0, 0, 1, 0, 1, 0]), 2)
    array([0, 0, 0, 1, 1, 1])
    """
    check_axes("codes", codes, 1)
    counts = np.bincount(codes)
    n_folds = min(n_folds, int(counts.max()))
    order = np.argsort(codes, kind="stable")
    ranks = np.empty(len(codes), dtype=np.intp)
    ranks[order] = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks * n_folds // counts[codes]


def held_out_decisions(
    features: NDArray[np.floating], held_out: list[Readout], folds: Integers
) -> Floats:
    """Return the scores of each row by the readout that has not learned from its fold."""
    decisions = np.zeros((len(features), len(held_out[0].intercept)))
    for fold, readout in enumerate(held_out):
        chosen = folds == fold
        rows = features[module_of(features).asarray(chosen)]
        decisions[chosen] = decisions_of(readout, rows)
    return decisions
