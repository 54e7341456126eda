"""Work arrays that the sweeps of a trajectory share."""

from __future__ import annotations

from typing import Any

import numpy as np

from reservoir.utils.device import module_of
from reservoir.utils.types import Array


class Workspace:
    """Named arrays, made at first use and handed out again after that.

    Parameters
    ----------
    like : ndarray
        Every array is of its dtype and lies where it does.

    Attributes
    ----------
    xp : module
        The namespace of the arrays: numpy, or cupy.
    """

    def __init__(self, like: Array) -> None:
        self.dtype: np.dtype[Any] = like.dtype
        self.xp: Any = module_of(like)
        self._arrays: dict[str, Array] = {}
        self._lent: dict[str, Array] = {}

    def get(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return the array called `name`, with whatever it holds."""
        array = self._lent.get(name)
        if array is None:
            array = self._arrays.get(name)
        if array is None:
            array = self._arrays[name] = self.xp.empty(shape, dtype=self.dtype)
        return array

    def lend(self, **arrays: Array) -> None:
        """Hand out arrays that belong to somebody else in place of new ones."""
        self._lent.update(arrays)

    @property
    def nbytes(self) -> int:
        """Memory of all arrays so far, those that were lent left out, in bytes."""
        return sum(array.nbytes for array in self._arrays.values())
