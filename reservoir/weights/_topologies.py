"""The patterns of connections that `topology` names: which units each unit has input from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

# Watts and Strogatz (1998), fig. 2: with a tenth of the connections rewired, paths are already
# short while neighbourhoods are still clustered.
_REWIRED_FRACTION = 0.1


def distinct_sources(
    n_rows: int, n_sources: int, n_connections: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Return for each row a sorted random choice of sources, without repetition."""
    if n_connections == n_sources:
        return np.tile(np.arange(n_sources, dtype=np.int32), (n_rows, 1))
    if n_connections**2 <= n_sources:
        # Six rows in ten or more are free of repetitions; the others are drawn anew, as a whole:
        # all choices stay equally likely.
        chosen = np.empty((n_rows, n_connections), dtype=np.int32)
        pending = np.arange(n_rows)
        while pending.size:
            drawn = np.sort(
                rng.integers(n_sources, size=(pending.size, n_connections), dtype=np.int32), axis=1
            )
            chosen[pending] = drawn
            pending = pending[np.any(drawn[:, 1:] == drawn[:, :-1], axis=1)]
        return chosen
    # The sources with the smallest of random keys, few enough rows at a time for the memory.
    rows_at_once = max(1, 2**22 // n_sources)
    parts = []
    for first in range(0, n_rows, rows_at_once):
        keys = rng.random((min(rows_at_once, n_rows - first), n_sources))
        smallest = np.argpartition(keys, n_connections - 1, axis=1)[:, :n_connections]
        parts.append(np.sort(smallest.astype(np.int32), axis=1))
    return np.concatenate(parts)


def _random_sources(
    n_units: int, n_connections: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Return the sources of each unit: any units."""
    return distinct_sources(n_units, n_units, n_connections, rng)


def _small_world_sources(
    n_units: int, n_connections: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Return the sources of each unit: neighbours on a ring, a tenth replaced by others."""
    unit = np.arange(n_units)[:, np.newaxis]
    n_before, n_after = n_connections // 2, n_connections - n_connections // 2
    offsets = np.concatenate([np.arange(-n_before, 0), np.arange(1, n_after + 1)])
    sources = unit + offsets
    rewired = rng.random(sources.shape) < _REWIRED_FRACTION
    # The units that are not neighbours: from unit + n_after + 1 on, once around the ring.
    n_others = n_units - 1 - n_connections
    rank = np.cumsum(rewired, axis=1) - 1
    rewired &= rank < n_others
    n_drawn = int(np.max(rank, where=rewired, initial=-1)) + 1
    if n_drawn:
        others = distinct_sources(n_units, n_others, n_drawn, rng)
        others = rng.permuted(others, axis=1)
        row, column = np.nonzero(rewired)
        sources[row, column] = row + n_after + 1 + others[row, rank[row, column]]
    in_order: NDArray[np.int32] = np.sort(sources % n_units, axis=1).astype(np.int32)
    return in_order


def matrix_of_rows(sources: NDArray[np.int32], values: NDArray[np.float64]) -> Any:
    """Return the square matrix in which row i has `values[i]` at the columns `sources[i]`."""
    n_units, n_connections = sources.shape
    if n_connections == n_units > 1:
        return values
    starts = np.arange(n_units + 1, dtype=np.int32) * np.int32(n_connections)
    return sp.csr_array((values.ravel(), sources.ravel(), starts), shape=(n_units, n_units))


def _cycle(n_units: int, rng: np.random.Generator) -> Any:
    """Return the matrix that hands each unit's state to the next, the last one's to the first."""
    return _single_sources(np.roll(np.arange(n_units), 1))


def _delay_line(n_units: int, rng: np.random.Generator) -> Any:
    """Return the matrix that hands each unit's state to the next."""
    units = np.arange(1, n_units, dtype=np.int32)
    starts = np.concatenate([[0], np.arange(n_units)]).astype(np.int32)
    return sp.csr_array((np.ones(n_units - 1), units - 1, starts), shape=(n_units, n_units))


def _permutation(n_units: int, rng: np.random.Generator) -> Any:
    """Return a random permutation matrix."""
    return _single_sources(rng.permutation(n_units))


def _single_sources(source: NDArray[np.int64]) -> Any:
    """Return the matrix of unit weights in which unit `source[i]` is the only source of unit i."""
    n_units = source.size
    return matrix_of_rows(source[:, np.newaxis].astype(np.int32), np.ones((n_units, 1)))


def _orthogonal(n_units: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a random orthogonal matrix; the signs of R make it uniform (Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.standard_normal((n_units, n_units)))
    orthogonal: NDArray[np.float64] = q * np.where(np.diag(r) < 0.0, -1.0, 1.0)
    return orthogonal


# Those of radius 1 (0 for the delay line) with weights of 1, and those with weights to draw.
FIXED_TOPOLOGIES: dict[str, Callable[[int, np.random.Generator], Any]] = {
    "cycle": _cycle,
    "delay_line": _delay_line,
    "permutation": _permutation,
    "orthogonal": _orthogonal,
}


DRAWN_TOPOLOGIES: dict[str, Callable[[int, int, np.random.Generator], NDArray[np.int32]]] = {
    "random": _random_sources,
    "antisymmetric": _random_sources,
    "small_world": _small_world_sources,
}
