"""Patches of a ring of sites, each seen with a halo of its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer


@explained
@dataclass(frozen=True)
class Patches:
    """A ring of sites cut into patches that overlap in what they see.

    Patch p owns the sites p b ... (p + 1) b - 1 and sees h sites more on each side, counted round
    the ring; b is the size of a patch and h its overlap.

    Attributes
    ----------
    n_sites : int
        Sites on the ring.
    size : int
        b, a divisor of `n_sites`.
    overlap : int
        h; what a patch sees is at most the whole ring.

    Examples
    --------
    >>> Patches(n_sites=6, size=2, overlap=1).sites
    array([[5, 0, 1, 2],
           [1, 2, 3, 4],
           [3, 4, 5, 0]])
    """

    n_sites: int
    size: int
    overlap: int

    def __post_init__(self) -> None:
        check_integer("patch_size", self.size, minimum=1)
        check_integer("overlap", self.overlap)
        if self.n_sites % self.size:
            raise ValueError(
                f"`patch_size` is {self.size}, but a divisor of the {self.n_sites} sites (columns "
                "of `X`) was expected. Pass one."
            )
        if self.width > self.n_sites:
            raise ValueError(
                f"`patch_size` is {self.size} and `overlap` {self.overlap}, so that a patch would "
                f"see {self.width} sites, but `X` has only {self.n_sites}. Lower one of the two."
            )

    @property
    def n_patches(self) -> int:
        """Number of patches."""
        return self.n_sites // self.size

    @property
    def width(self) -> int:
        """Number of sites that a patch sees."""
        return self.size + 2 * self.overlap

    @property
    def sites(self) -> NDArray[np.intp]:
        """The sites that each patch sees, from left to right: (n_patches, width)."""
        firsts = self.size * np.arange(self.n_patches) - self.overlap
        return (firsts[:, np.newaxis] + np.arange(self.width)) % self.n_sites

    def seen(self, field: Array) -> list[Array]:
        """Return what each patch sees of a field (n_steps, n_sites): views of one padded copy."""
        right = field[:, : self.overlap]
        padded = np.concatenate([field[:, self.n_sites - self.overlap :], field, right], axis=1)
        starts = range(0, self.n_sites, self.size)
        return [padded[:, start : start + self.width] for start in starts]

    def owned(self, field: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the sites (n_steps, size) of each patch: views."""
        starts = range(0, self.n_sites, self.size)
        return [field[:, start : start + self.size] for start in starts]
