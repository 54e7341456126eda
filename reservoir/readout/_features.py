"""The features of a readout, [u; x; x²], and the fitted linear map of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reservoir.utils.device import module_of, to_namespace


@dataclass(frozen=True)
class Readout:
    r"""The fitted linear map from what a readout sees to its outputs.

    .. math:: y[t] = V_u u[t] + V_x x[t] + V_q x[t]^2 + c

    All readouts are of this class: those of a model are in its dtype, so that its states need not
    be converted; those of classes and of the folds of a search, maps of features s[t] of any kind
    in the place of x[t], are in float64.

    Attributes
    ----------
    state : ndarray of shape (n_outputs, n_units)
        V_x, for states or for other features.
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

    def __call__(
        self, states: NDArray[np.floating], inputs: NDArray[np.floating] | None = None
    ) -> NDArray[np.floating]:
        """Return y[t] for rows of states (n_steps, n_units) and inputs (n_steps, n_inputs).

        They lie where the arrays of the readout do. Inputs may be left out where it does not see
        them.
        """
        outputs: NDArray[np.floating] = states @ self.state.T
        if self.squares is not None:
            outputs += module_of(states).square(states) @ self.squares.T
        if self.input is not None:
            if inputs is None:
                raise ValueError("`inputs` are missing, but the readout sees them. Pass them.")
            outputs += inputs.astype(outputs.dtype, copy=False) @ self.input.T
        outputs += self.intercept
        return outputs

    def to(self, xp: Any) -> Readout:
        """Return the same map with its arrays in a namespace."""
        parts = {each.name: getattr(self, each.name) for each in fields(self)}
        moved: dict[str, Any] = {
            name: None if part is None else to_namespace(xp, part) for name, part in parts.items()
        }
        return Readout(**moved)


@dataclass(frozen=True)
class FeatureMap:
    """Puts side by side what the readout is linear in: s[t] = [u[t]; x[t]; x[t]²].

    Attributes
    ----------
    include_input : bool
        Whether the input u[t] comes first.
    include_squares : bool
        Whether the squared states come last.

    Examples
    --------
    >>> import numpy as np
    >>> FeatureMap(include_squares=True).stack(np.array([[2.0]]), np.array([[7.0]]))
    array([[7., 2., 4.]])

    References
    ----------
    Lukoševičius (2012), A Practical Guide to Applying Echo State Networks, eq. 4.
    """

    include_input: bool = True
    include_squares: bool = False

    def n_columns(self, n_units: int, n_inputs: int) -> int:
        """Return the length of s[t]."""
        return n_units * (1 + self.include_squares) + n_inputs * self.include_input

    def stack(
        self,
        states: NDArray[np.floating],
        inputs: NDArray[np.floating],
        out: NDArray[np.floating] | None = None,
    ) -> NDArray[np.floating]:
        """Return the rows s[t].

        Parameters
        ----------
        states : ndarray of shape (n_steps, n_units)
            Reservoir states x[t].
        inputs : ndarray of shape (n_steps, n_inputs)
            Inputs u[t].
        out : ndarray of shape (n_steps, n_columns), optional
            Written to and returned; without it, an array of the dtype of `states` is made.

        Returns
        -------
        ndarray of shape (n_steps, n_columns)
        """
        n_steps, n_units = states.shape
        if out is None:
            width = self.n_columns(n_units, inputs.shape[1])
            out = module_of(states).empty((n_steps, width), dtype=states.dtype)
        self.states_of(out, n_units)[...] = states
        self.complete(out, inputs, n_units)
        return out

    def states_of(self, features: NDArray[np.floating], n_units: int) -> NDArray[np.floating]:
        """Return where x[t] stands in rows s[t], whose columns are the last axis: a view."""
        first = features.shape[-1] - n_units * (1 + self.include_squares)
        return features[..., first : first + n_units]

    def complete(
        self, features: NDArray[np.floating], inputs: NDArray[np.floating], n_units: int
    ) -> None:
        """Fill in what stands beside x[t] in rows s[t].

        Parameters
        ----------
        features : ndarray of shape (..., n_steps, n_columns)
            Holds x[t]; the rest is overwritten.
        inputs : ndarray of shape (n_steps, n_inputs)
            Inputs u[t].
        n_units : int
            Length of x[t].
        """
        if self.include_input:
            features[..., : inputs.shape[1]] = inputs
        if self.include_squares:
            squares = features[..., -n_units:]
            module_of(features).square(self.states_of(features, n_units), out=squares)

    def split(
        self, coef: NDArray[np.floating], intercept: NDArray[np.floating], n_units: int
    ) -> Readout:
        """Return the readout whose coefficients for s[t] are `coef` (n_outputs, n_columns)."""
        first = coef.shape[1] - n_units * (1 + self.include_squares)
        last = first + n_units
        return Readout(
            state=np.ascontiguousarray(coef[:, first:last]),
            intercept=np.ascontiguousarray(intercept),
            input=np.ascontiguousarray(coef[:, :first]) if self.include_input else None,
            squares=np.ascontiguousarray(coef[:, last:]) if self.include_squares else None,
        )
