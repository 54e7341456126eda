"""Patches of a ring or a grid of sites, each seen with a halo of its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_flag, check_integer

# Stands for the column of a site beyond an edge, which does not exist.
OUTSIDE = -1


class Axis(NamedTuple):
    """One direction of a field, and how it is cut.

    Attributes
    ----------
    length : int
        Sites along it.
    size, overlap : int
        Sites that a patch owns, and that it sees beyond them on each side.
    periodic : bool
        Whether the last site is the neighbour of the first.
    """

    length: int
    size: int
    overlap: int
    periodic: bool

    @property
    def starts(self) -> range:
        """First site that each patch owns."""
        return range(0, self.length, self.size)

    @property
    def width(self) -> int:
        """Sites that a patch sees, those outside included."""
        return self.size + 2 * self.overlap

    def places(self) -> NDArray[np.intp]:
        """Return the sites that each patch sees: (n_patches, width)."""
        firsts = np.array(self.starts, dtype=np.intp) - self.overlap
        places: NDArray[np.intp] = firsts[:, None] + np.arange(self.width)
        if self.periodic:
            return places % self.length
        return np.where((places >= 0) & (places < self.length), places, OUTSIDE)


@explained
@dataclass(frozen=True)
class Patches:
    """A ring, a row or a grid of sites cut into patches that overlap in what they see.

    On a ring, patch p owns the sites p b ... (p + 1) b - 1 and sees h sites more on each side; b
    is the size of a patch and h its overlap. On a grid, patches are rectangles, counted row by
    row, and the halo is a frame round each, corners included. Where a direction is not periodic,
    what a patch sees beyond the edge is 0 at all times: nothing comes in from there.

    Columns of a field are the variables of the first site, then those of the second; the sites
    of a grid are counted row by row. So a field is
    ``values.reshape(n_steps, -1)`` of values (n_steps, n_rows, n_columns, n_channels).

    Attributes
    ----------
    n_sites : int
        Sites of the field.
    size : int or (int, int)
        b, a divisor of the length; on a grid along each direction, where the two may differ.
    overlap : int or (int, int)
        h; what a patch sees is at most the whole length.
    grid_shape : (int, int) or None
        Rows and columns of the grid; None is a ring.
    periodic : bool or (bool, bool)
        Whether the last site of a direction is the neighbour of the first.
    n_channels : int
        Variables of each site.

    Examples
    --------
    >>> Patches(n_sites=6, size=2, overlap=1).sites
    array([[5, 0, 1, 2],
           [1, 2, 3, 4],
           [3, 4, 5, 0]])

    A grid of 2 by 4 sites, which is a ring from left to right and has edges above and below:

    >>> patches = Patches(8, (1, 2), (1, 1), grid_shape=(2, 4), periodic=(False, True))
    >>> patches.sites[0].reshape(3, 4)
    array([[-1, -1, -1, -1],
           [ 3,  0,  1,  2],
           [ 7,  4,  5,  6]])
    """

    n_sites: int
    size: int | tuple[int, int]
    overlap: int | tuple[int, int]
    grid_shape: tuple[int, int] | None = None
    periodic: bool | tuple[bool, bool] = True
    n_channels: int = 1

    def __post_init__(self) -> None:
        check_integer("n_channels", self.n_channels, minimum=1)
        if self.grid_shape is not None:
            self._check_grid(self.grid_shape)
        n_axes = 1 if self.grid_shape is None else 2
        for size in _each("patch_size", self.size, n_axes, "an integer"):
            check_integer("patch_size", size, minimum=1)
        for overlap in _each("overlap", self.overlap, n_axes, "an integer"):
            check_integer("overlap", overlap)
        for periodic in _each("periodic", self.periodic, n_axes, "True or False"):
            check_flag("periodic", periodic)
        for axis, where in zip(self.axes, self._names_of_axes(), strict=True):
            _check_axis(axis, where)

    def _check_grid(self, shape: Any) -> None:
        if not isinstance(shape, tuple | list) or len(shape) != 2:
            raise TypeError(
                f"`grid_shape` is {shape!r}, but None or two integers were expected: rows and "
                "columns of the grid. Pass for instance (24, 32)."
            )
        for length in shape:
            check_integer("grid_shape", length, minimum=1)
        if shape[0] * shape[1] != self.n_sites:
            raise ValueError(
                f"`grid_shape` is {tuple(shape)}, which are {shape[0] * shape[1]} sites, but `X` "
                f"has {self.n_sites}: columns over `n_channels`, {self.n_channels}. Pass rows and "
                "columns of the grid that `X` was flattened from."
            )

    def _names_of_axes(self) -> tuple[str, ...]:
        if self.grid_shape is None:
            return ("(columns of `X`)" if self.n_channels == 1 else "of `X`",)
        return "from top to bottom", "from left to right"

    @property
    def axes(self) -> tuple[Axis, ...]:
        """How each direction is cut."""
        lengths = (self.n_sites,) if self.grid_shape is None else tuple(self.grid_shape)
        n_axes = len(lengths)
        return tuple(
            Axis(*values)
            for values in zip(
                lengths,
                _each("patch_size", self.size, n_axes, "an integer"),
                _each("overlap", self.overlap, n_axes, "an integer"),
                _each("periodic", self.periodic, n_axes, "True or False"),
                strict=True,
            )
        )

    @property
    def n_patches(self) -> int:
        """Number of patches."""
        return int(np.prod([len(axis.starts) for axis in self.axes]))

    @property
    def width(self) -> int:
        """Number of columns that a patch sees, those outside included."""
        return int(np.prod([axis.width for axis in self.axes])) * self.n_channels

    @property
    def n_owned(self) -> int:
        """Number of columns that a patch learns."""
        return int(np.prod([axis.size for axis in self.axes])) * self.n_channels

    @property
    def n_columns(self) -> int:
        """Number of columns of the field."""
        return self.n_sites * self.n_channels

    @property
    def sites(self) -> NDArray[np.intp]:
        """The columns that each patch sees, row by row, -1 outside: (n_patches, width)."""
        return self._columns(self.axes)

    @property
    def order(self) -> NDArray[np.intp]:
        """The columns that the patches own, patch by patch: (n_sites * n_channels,)."""
        return self._columns([axis._replace(overlap=0) for axis in self.axes]).ravel()

    def _columns(self, axes: Sequence[Axis]) -> NDArray[np.intp]:
        sites = axes[0].places()
        for axis in axes[1:]:
            further = axis.places()
            rows, columns = sites[:, None, :, None], further[None, :, None, :]
            both = np.where((rows < 0) | (columns < 0), OUTSIDE, rows * axis.length + columns)
            sites = both.reshape(len(sites) * len(further), -1)
        channels = np.arange(self.n_channels)
        columns = np.where(
            sites[..., None] < 0, OUTSIDE, sites[..., None] * self.n_channels + channels
        )
        return columns.reshape(len(sites), -1)

    def seen(self, field: Array) -> list[Array]:
        """Return what each patch sees of a field (n_steps, n_columns), 0 outside.

        On a ring or a row these are views of one padded copy, on a grid copies.
        """
        n_steps, axes = len(field), self.axes
        values = field.reshape(n_steps, *(axis.length for axis in axes), self.n_channels)
        for place, axis in enumerate(axes, start=1):
            sides = [(0, 0)] * values.ndim
            sides[place] = (axis.overlap, axis.overlap)
            values = np.pad(values, sides, mode="wrap" if axis.periodic else "constant")
        return [values[part].reshape(n_steps, self.width) for part in self._slices(halo=True)]

    def owned(self, field: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the columns (n_steps, n_owned) of each patch: views, copies on a grid."""
        n_steps = len(field)
        values = field.reshape(n_steps, *(axis.length for axis in self.axes), self.n_channels)
        return [values[part].reshape(n_steps, self.n_owned) for part in self._slices(halo=False)]

    def _slices(self, *, halo: bool) -> list[tuple[slice, ...]]:
        """Return for each patch where it lies among the axes (step, sites ...)."""
        cuts: list[tuple[slice, ...]] = [(slice(None),)]
        for axis in self.axes:
            width = axis.width if halo else axis.size
            cuts = [(*cut, slice(first, first + width)) for cut in cuts for first in axis.starts]
        return cuts

    def joined(self, parts: Sequence[Array]) -> Array:
        """Return the field of which `parts` are what each patch owns: undoes `owned`."""
        if self.grid_shape is None:
            return np.hstack(parts)
        field = np.empty((len(parts[0]), self.n_columns), dtype=parts[0].dtype)
        field[:, self.order] = np.hstack(parts)
        return field


def _each(name: str, value: Any, n_axes: int, wanted: str) -> tuple[Any, ...]:
    """Return one value for each direction: `value` itself, or the two of a grid."""
    if not isinstance(value, tuple | list):
        return (value,) * n_axes
    if n_axes == 1:
        raise TypeError(
            f"`{name}` is {value!r}, but {wanted} was expected: two are for a grid. Pass one, or "
            "`grid_shape`."
        )
    if len(value) != n_axes:
        raise ValueError(
            f"`{name}` is {value!r}, but {wanted} or two of them were expected: one for rows of "
            "the grid, from top to bottom, one for columns."
        )
    return tuple(value)


def _check_axis(axis: Axis, where: str) -> None:
    """Raise ValueError unless a direction can be cut so."""
    if axis.length % axis.size:
        raise ValueError(
            f"`patch_size` is {axis.size}, but a divisor of the {axis.length} sites {where} was "
            "expected. Pass one."
        )
    if axis.periodic and axis.width > axis.length:
        raise ValueError(
            f"`patch_size` is {axis.size} and `overlap` {axis.overlap}, so that a patch would "
            f"see {axis.width} sites, but `X` has only {axis.length}. Lower one of the two."
        )
    if axis.overlap > axis.length - axis.size:
        raise ValueError(
            f"`overlap` is {axis.overlap}, but beyond the {axis.size} sites of a patch are at "
            f"most {axis.length - axis.size} others {where}. Lower it."
        )
