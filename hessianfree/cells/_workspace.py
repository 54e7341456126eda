"""Buffers that outlive one sweep."""

from __future__ import annotations

from typing import Any

import numpy as np

from hessianfree.objective import Array


class Workspace:
    """Named arrays, made at first use and handed out again after that.

    Parameters
    ----------
    dtype : numpy.dtype
        Of every array.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self._arrays: dict[str, Array] = {}

    def get(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return the array called `name`, with whatever it holds."""
        array = self._arrays.get(name)
        if array is None:
            array = self._arrays[name] = np.empty(shape, dtype=self.dtype)
        return array

    @property
    def nbytes(self) -> int:
        """Memory of all arrays so far, in bytes."""
        return sum(array.nbytes for array in self._arrays.values())
