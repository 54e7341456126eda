"""Seed sequences from a `random_state`, and generators of their children."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

RandomState = int | np.random.Generator | np.random.RandomState | np.random.SeedSequence | None


def seed_sequence(random_state: Any) -> np.random.SeedSequence:
    """Return the seed sequence that a `random_state` argument stands for.

    A generator (new or legacy) is advanced by one draw, so that two calls with the same
    generator differ; an integer or a seed sequence gives the same streams every time.

    Parameters
    ----------
    random_state : None, int, Generator, RandomState or SeedSequence
        None draws fresh entropy from the operating system.

    Returns
    -------
    numpy.random.SeedSequence

    Raises
    ------
    TypeError
        If `random_state` is of another kind.
    ValueError
        If it is a negative integer.

    Examples
    --------
    >>> seed_sequence(7).entropy
    7
    """
    if random_state is None:
        return np.random.SeedSequence()
    if isinstance(random_state, np.random.SeedSequence):
        # A copy without the spawn counter: the same argument gives the same children.
        return np.random.SeedSequence(random_state.entropy, spawn_key=random_state.spawn_key)
    if isinstance(random_state, np.random.Generator):
        return np.random.SeedSequence(random_state.integers(2**32, size=4).tolist())
    if isinstance(random_state, np.random.RandomState):
        return np.random.SeedSequence(random_state.randint(2**32, size=4, dtype=np.uint64).tolist())
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        if random_state < 0:
            raise ValueError(
                f"`random_state` is {random_state}, but a seed must not be negative. "
                "Pass an integer of 0 or more."
            )
        return np.random.SeedSequence(int(random_state))
    raise TypeError(
        f"`random_state` is of type {type(random_state).__name__}, but None, an integer, a "
        "numpy Generator, RandomState or SeedSequence was expected. Pass an integer."
    )


def child_generator(seed: np.random.SeedSequence, index: int) -> np.random.Generator:
    """Return the generator of child `index` of a seed, whichever children were made before."""
    child = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, index))
    return np.random.default_rng(child)
