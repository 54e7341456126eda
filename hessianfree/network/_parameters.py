"""The flat parameter vector, and views of its named blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike

from reservoir.utils.device import module_of
from reservoir.utils.explained import explained
from reservoir.utils.types import Array


@explained
class ParameterLayout:
    """Where each named block lies in a flat parameter vector.

    Blocks follow each other in the order of `shapes`, each in C order.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Name and shape of every block. An empty tuple is a single number.

    Attributes
    ----------
    shapes : dict of str to tuple of int
    slices : dict of str to slice
        The range of each block in the flat vector.
    n_params : int
        Length of the flat vector.

    Examples
    --------
    >>> import numpy as np
    >>> layout = ParameterLayout({"weights": (2, 3), "bias": (2,)})
    >>> layout.n_params
    8
    >>> flat = np.zeros(layout.n_params)
    >>> layout.views(flat)["bias"][:] = 7.0
    >>> flat
    array([0., 0., 0., 0., 0., 0., 7., 7.])
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = dict(shapes)
        self.slices: dict[str, slice] = {}
        start = 0
        for name, shape in self.shapes.items():
            self.slices[name] = slice(start, start + math.prod(shape))
            start = self.slices[name].stop
        self.n_params = start

    def check(self, flat: Array, name: str = "params") -> Array:
        """Return `flat` if it is a float vector of the right length, as it is.

        Parameters
        ----------
        flat : ndarray of shape (n_params,)
        name : str, default="params"
            How the error calls it.

        Returns
        -------
        ndarray of shape (n_params,)

        Raises
        ------
        TypeError
            If it is not a float32 or float64 array.
        ValueError
            If its shape is another one.
        """
        dtype = getattr(flat, "dtype", None)
        if dtype not in (np.float32, np.float64):
            raise TypeError(
                f"`{name}` is {type(flat).__name__ if dtype is None else f'of dtype {dtype}'}, but "
                "a float32 or float64 array was expected. Convert it: its dtype decides the "
                "precision of every computation."
            )
        if flat.shape != (self.n_params,):
            raise ValueError(
                f"`{name}` has shape {flat.shape}, but ({self.n_params},) was expected. Build it "
                "with `flatten` from the named blocks."
            )
        return flat

    def views(self, flat: Array) -> dict[str, Array]:
        """Return the named blocks as views: writing to a block writes to `flat`.

        Parameters
        ----------
        flat : ndarray of shape (n_params,)

        Returns
        -------
        dict of str to ndarray
            Each C-contiguous, in the order and of the shapes of `shapes`.
        """
        return {name: flat[part].reshape(self.shapes[name]) for name, part in self.slices.items()}

    def flatten(self, blocks: Mapping[str, Array], dtype: DTypeLike = np.float64) -> Array:
        """Return a new flat vector made of `blocks`.

        Parameters
        ----------
        blocks : mapping of str to array_like
            Exactly the names of the layout, each of its shape.
        dtype : {float64, float32}, default=float64

        Returns
        -------
        ndarray of shape (n_params,)

        Raises
        ------
        ValueError
            If a block is missing, unknown, or of another shape.
        """
        if set(blocks) != set(self.shapes):
            raise ValueError(
                f"`blocks` has the names {sorted(blocks)}, but {sorted(self.shapes)} were "
                "expected. Pass every block of the layout once."
            )
        flat: Array = np.empty(self.n_params, dtype=dtype)
        for name, view in self.views(flat).items():
            block = np.asarray(blocks[name])
            if block.shape != view.shape:
                raise ValueError(
                    f"`blocks[{name!r}]` has shape {block.shape}, but {view.shape} was expected. "
                    "See `ParameterLayout.shapes`."
                )
            view[...] = block
        return flat


def flat_copy(params: Array) -> Array:
    """Return a copy of a flat vector of floats, its dtype kept.

    Raises
    ------
    ValueError
        If it has another number of axes, or no floats.

    Examples
    --------
    >>> import numpy as np
    >>> flat_copy(np.ones(2, dtype=np.float32))
    array([1., 1.], dtype=float32)
    """
    params = module_of(params).array(params)
    if params.ndim != 1 or not np.issubdtype(params.dtype, np.floating):
        raise ValueError(
            f"`params` has shape {params.shape} and dtype {params.dtype}, but one flat vector "
            "of floats was expected. Ravel it, and convert it to float32 or float64."
        )
    return params
