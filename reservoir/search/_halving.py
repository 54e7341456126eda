"""Successive halving: how much each round has, and how many candidates survive it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from reservoir.utils.validation import check_integer


def schedule(n_candidates: int, factor: Any, least: int, most: int) -> list[tuple[int, int]]:
    """Return, for each round, its resources and how many candidates survive it.

    Parameters
    ----------
    n_candidates : int
        Candidates of the first round.
    factor : int
        One in `factor` survives a round; the next one has that many times the resources.
    least, most : int
        Resources that the first round has at least, and that the last has.

    Returns
    -------
    list of (int, int)
        As many rounds as leave one candidate, or as `least` allows.

    Raises
    ------
    ValueError, TypeError
        If `factor` is not an integer of two or more.

    Examples
    --------
    >>> schedule(9, 3, least=1, most=300)
    [(33, 3), (100, 1), (300, 1)]
    >>> schedule(9, 3, least=50, most=300)
    [(100, 3), (300, 1)]

    References
    ----------
    Jamieson & Talwalkar (2016), Non-stochastic best arm identification and hyperparameter
    optimization, alg. 1.
    """
    factor = check_integer("factor", factor, minimum=2)

    def n_rounds(ratio: float) -> int:
        # The tiny addend: log(9) / log(3) may come out below 2.
        return 1 + int(math.log(ratio) / math.log(factor) + 1e-9)

    n = min(n_rounds(n_candidates), n_rounds(most / least))
    return [
        (max(1, most // factor ** (n - 1 - i)), max(1, n_candidates // factor ** (i + 1)))
        for i in range(n)
    ]


def least_units(parameters: Sequence[dict[str, Any]]) -> int:
    """Return the fewest units that have the connections of every candidate.

    A float is a density, which any number of units can have.
    """
    counts = [one["connectivity"] for one in parameters]
    return max([1, *(int(n) for n in counts if isinstance(n, numbers.Integral))])


def least_steps(
    parameters: Sequence[dict[str, Any]], *, cv: int | float, gap: int, free_steps: int
) -> int:
    """Return the fewest steps of which each block keeps one beside washout, gap and free runs."""
    n_blocks = 1 / min(cv, 1 - cv) if isinstance(cv, float) else cv
    washout = max(int(one["washout"]) for one in parameters)
    return math.ceil(n_blocks * (washout + gap + free_steps + 1))
