"""What the readout sees of a state, and the fitted linear map on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def n_readout_features(
    n_units: int, n_inputs: int, *, include_input: bool, include_squares: bool
) -> int:
    """Return how many columns `stack_features` gives."""
    return n_units * (1 + include_squares) + n_inputs * include_input


def stack_features(
    states: NDArray[np.floating],
    inputs: NDArray[np.floating],
    *,
    include_input: bool,
    include_squares: bool,
    out: NDArray[np.floating] | None = None,
) -> NDArray[np.floating]:
    """Put side by side what the readout is linear in.

    s[t] = [u[t]; x[t]; x[t]²], the first and the last part being optional.

    Parameters
    ----------
    states : ndarray of shape (n_steps, n_units)
        Reservoir states x[t].
    inputs : ndarray of shape (n_steps, n_inputs)
        Inputs u[t]; their order of columns is kept.
    include_input : bool
        Whether u[t] comes first.
    include_squares : bool
        Whether the squared states come last.
    out : ndarray of shape (n_steps, n_readout_features), optional
        Written to and returned; without it, an array of the dtype of `states` is made.

    Returns
    -------
    ndarray of shape (n_steps, n_readout_features)

    Examples
    --------
    >>> import numpy as np
    >>> stack_features(np.array([[2.0]]), np.array([[7.0]]),
    ...                include_input=True, include_squares=True)
    array([[7., 2., 4.]])

    References
    ----------
    Lukoševičius (2012), A Practical Guide to Applying Echo State Networks, eq. 4.
    """
    n_steps, n_units = states.shape
    n_inputs = inputs.shape[1] if include_input else 0
    if out is None:
        width = n_readout_features(
            n_units, n_inputs, include_input=include_input, include_squares=include_squares
        )
        out = np.empty((n_steps, width), dtype=states.dtype)
    if include_input:
        out[:, :n_inputs] = inputs
    out[:, n_inputs : n_inputs + n_units] = states
    if include_squares:
        np.square(states, out=out[:, n_inputs + n_units :])
    return out


@dataclass(frozen=True)
class Readout:
    """The fitted linear map y[t] = V_u u[t] + V_x x[t] + V_q x[t]² + c.

    Attributes
    ----------
    state : ndarray of shape (n_outputs, n_units)
        V_x.
    intercept : ndarray of shape (n_outputs,)
        c.
    input : ndarray of shape (n_outputs, n_inputs) or None
        V_u; None where the readout does not see the input.
    squares : ndarray of shape (n_outputs, n_units) or None
        V_q; None where the readout does not see squared states.
    """

    state: NDArray[np.floating]
    intercept: NDArray[np.floating]
    input: NDArray[np.floating] | None = None
    squares: NDArray[np.floating] | None = None

    @classmethod
    def from_coef(
        cls,
        coef: NDArray[np.floating],
        intercept: NDArray[np.floating],
        *,
        n_units: int,
        include_input: bool,
        include_squares: bool,
    ) -> Readout:
        """Split `coef` of shape (n_outputs, n_readout_features) into the parts of the map."""
        n_inputs = coef.shape[1] - n_units * (1 + include_squares)
        return cls(
            state=np.ascontiguousarray(coef[:, n_inputs : n_inputs + n_units]),
            intercept=np.ascontiguousarray(intercept),
            input=np.ascontiguousarray(coef[:, :n_inputs]) if include_input else None,
            squares=np.ascontiguousarray(coef[:, n_inputs + n_units :])
            if include_squares
            else None,
        )
