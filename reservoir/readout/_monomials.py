"""Delayed inputs and their monomials: the features of a next-generation reservoir."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer


@explained
def delay_vectors(rows: Array, history: Array, n_delays: int, stride: int) -> Array:
    """Return the present and the past of each row side by side.

    l[t] = [u[t]; u[t-s]; ...; u[t-(k-1)s]]   [1]_

    Parameters
    ----------
    rows : ndarray of shape (n_steps, n_inputs)
        u[t].
    history : ndarray of shape ((k - 1) s, n_inputs)
        The rows before the first.
    n_delays : int
        k.
    stride : int
        s, steps.

    Returns
    -------
    ndarray of shape (n_steps, n_delays * n_inputs)

    Examples
    --------
    >>> delay_vectors(np.array([[3.0], [4.0]]), np.array([[1.0], [2.0]]), 2, 2)
    array([[3., 1.],
           [4., 2.]])

    References
    ----------
    .. [1] Gauthier, Bollt, Griffith & Barbosa (2021), Next generation reservoir computing,
       Nature Communications 12, 5564, eq. 5.
    """
    try:
        whole = np.concatenate([history, rows])
    except ValueError as error:
        raise ValueError(
            f"`history` does not go on with `rows` ({error}). Pass rows of as many columns in both."
        ) from error
    firsts = range(len(history), -1, -stride)
    columns = [whole[first : first + len(rows)] for first in itertools.islice(firsts, n_delays)]
    return np.concatenate(columns, axis=1)


@explained
@dataclass(frozen=True)
class MonomialMap:
    """Puts vectors and the unique monomials of their entries side by side.

    o = [l; l ⌈⊗⌉ l; l ⌈⊗⌉ l ⌈⊗⌉ l; ...],   as far as `orders` ask for it   [1]_

    where ⌈⊗⌉ keeps each product once: those l_i l_j ... with i ≤ j ≤ ...

    Attributes
    ----------
    n_entries : int
        Length of l.
    orders : tuple of int
        Orders of the monomials, each 2 or more; the entries themselves always come first.

    Examples
    --------
    >>> MonomialMap(2, (2,)).stack(np.array([[2.0, 3.0]]))
    array([[2., 3., 4., 6., 9.]])

    References
    ----------
    .. [1] Gauthier, Bollt, Griffith & Barbosa (2021), Next generation reservoir computing,
       Nature Communications 12, 5564, eqs. 6-9.
    """

    n_entries: int
    orders: tuple[int, ...]

    def check_loaded(self) -> None:
        """Raise ValueError unless what was read from a file are small integers."""
        check_integer("n_entries", self.n_entries, minimum=1)
        for order in self.orders:
            check_integer("orders", order, minimum=2, maximum=64)

    @property
    def n_columns(self) -> int:
        """Length of o: n_entries, and C(n_entries + p - 1, p) more for each order p."""
        counts = (math.comb(self.n_entries + order - 1, order) for order in self.orders)
        return self.n_entries + sum(counts)

    @cached_property
    def factors(self) -> list[NDArray[np.intp]]:
        """For each order a table (order, n_monomials) of the entries that are multiplied."""
        tables = []
        for order in self.orders:
            products = itertools.combinations_with_replacement(range(self.n_entries), order)
            tables.append(np.array(list(products), dtype=np.intp).T)
        return tables

    def stack(self, vectors: Array) -> Array:
        """Return the rows o, of the dtype of `vectors` (n_rows, n_entries)."""
        columns = [vectors]
        for first, *others in self.factors:
            monomials = vectors[:, first]
            for entries in others:
                monomials *= vectors[:, entries]
            columns.append(monomials)
        return np.concatenate(columns, axis=1)
