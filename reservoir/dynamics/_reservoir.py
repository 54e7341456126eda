"""The weights of one reservoir, checked once, and the error of a run that diverges."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, csr_matrix, issparse

from reservoir.utils.explained import explained
from reservoir.utils.persistence import require_array
from reservoir.utils.types import Array

ACTIVATIONS = ("tanh", "relu", "identity", "logistic")
_CARRIES = ("leak", "euler")


class DivergenceError(FloatingPointError):
    """A state or an output is not finite, or a free run has left what was learned.

    Attributes
    ----------
    step : int
        The first step, counted from 0, of which that is so.
    sequence : int
        The sequence of the call in which it is; the first of them, if there are several.
    value, bound : float
        The output, and the bound that it is beyond; NaN and infinity for a state.
    outputs : ndarray, list of ndarray or None
        The outputs of a free run before that step, (step, n_outputs). Of several sequences a
        list, with all outputs of those that stayed within the bounds: the lengths tell which
        diverged. None for a run that is only driven.
    """

    outputs: Any

    def __init__(
        self,
        message: str,
        step: int,
        *,
        sequence: int = 0,
        value: float = math.nan,
        bound: float = math.inf,
        outputs: Any = None,
    ) -> None:
        super().__init__(message, step)
        self.step = step
        self.sequence = sequence
        self.value = value
        self.bound = bound
        self.outputs = outputs

    def __str__(self) -> str:
        return str(self.args[0])


@explained
@dataclass(frozen=True, eq=False)
class Reservoir:
    r"""The weights, leak rate and activation of one reservoir: all that its recurrence needs.

    .. math::

        x[t] = (1 - a)\, x[t-1] + a\, f\big(W x[t-1] + W_\mathrm{in} u[t]
            + W_\mathrm{fb}\, y[t-1] + b + \nu[t]\big)

    as in [1]_, where ν is noise while learning. Other forms carry on something else than
    (1 - a) x[t-1]: (1 - a) O x[t-1] with an orthogonal O [2]_, or all of x[t-1], as one step a of
    Euler's method does [3]_.

    The dtype of W, float32 or float64, is the dtype of every state.

    Parameters
    ----------
    recurrent : csr_array or ndarray of shape (n_units, n_units)
        W.
    input : ndarray of shape (n_units, n_inputs)
        W_in; n_inputs may be 0.
    bias : ndarray of shape (n_units,)
        b.
    feedback : ndarray of shape (n_units, n_outputs), optional
        W_fb.
    leak_rate : float or array-like of shape (n_units,), default 1.0
        a in (0, 1], the fraction replaced per step; 1 means units without memory of their own.
    activation : {"tanh", "relu", "identity", "logistic"} or callable, default "tanh"
        f. A callable gets z of shape (n_units,), or (n_units, n_sequences) where several
        sequences run side by side, and returns f(z) of the same shape.
    carry : {"leak", "euler"} or ndarray, default "leak"
        What goes on of the last state: "leak" for (1 - a) x[t-1], "euler" for x[t-1]; or O of
        shape (n_units, n_units) for (1 - a) O x[t-1], of the dtype of W; or, where O is a
        permutation, the unit that each unit takes its share from, integers of shape (n_units,).

    Raises
    ------
    ValueError
        If shapes do not fit together, a leak rate lies outside (0, 1], or `carry` is none of these.
    TypeError
        If W is neither CSR nor an array, or not of float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> delay_line = Reservoir(recurrent=np.eye(3, k=-1), input=np.eye(3, 1), bias=np.zeros(3))
    >>> delay_line.n_units, delay_line.n_inputs, delay_line.n_outputs
    (3, 1, 0)

    One step, as it stands in [1]_, and the states that `run` makes of many in its fast loops:

    >>> def step(reservoir, x, u, y):
    ...     z = reservoir.recurrent @ x + reservoir.input @ u + reservoir.feedback @ y
    ...     x_update = np.tanh(z + reservoir.bias)
    ...     return (1 - reservoir.leak_rate) * x + reservoir.leak_rate * x_update
    >>> from scipy.sparse import csr_array
    >>> from reservoir.dynamics import run
    >>> rng = np.random.default_rng(0)
    >>> drawn = Reservoir(recurrent=csr_array(rng.normal(size=(5, 5)) / 5),
    ...                   input=rng.normal(size=(5, 2)), bias=rng.normal(size=5),
    ...                   feedback=rng.normal(size=(5, 1)), leak_rate=0.3)
    >>> inputs, outputs = rng.normal(size=(100, 2)), rng.normal(size=(100, 1))
    >>> x, y, states = np.zeros(5), np.zeros(1), []
    >>> for u, output in zip(inputs, outputs):
    ...     x = step(drawn, x, u, y)
    ...     states.append(x)
    ...     y = output
    >>> np.allclose(run(drawn, inputs, teacher=outputs), states, rtol=0, atol=1e-14)
    True

    References
    ----------
    .. [1] Lukoševičius (2012), A Practical Guide to Applying Echo State Networks, eqs. 2-3.
    .. [2] Ceni & Gallicchio (2023), Edge of stability echo state network, arXiv:2308.02902.
    .. [3] Gallicchio (2022), Euler state networks: non-dissipative reservoir computing,
       arXiv:2203.09382.
    """

    recurrent: Any
    input: Array
    bias: Array
    feedback: Array | None = None
    leak_rate: float | Array = 1.0
    activation: str | Callable[[Array], Array] = "tanh"
    carry: Any = "leak"

    def __post_init__(self) -> None:
        _check_recurrent(self.recurrent)
        n_units = self.n_units
        _check_shape("input", self.input, (n_units, None))
        _check_shape("bias", self.bias, (n_units,))
        if self.feedback is not None:
            _check_shape("feedback", self.feedback, (n_units, None))
        leak_rate = np.asarray(self.leak_rate)
        if leak_rate.ndim:
            _check_shape("leak_rate", leak_rate, (n_units,))
        if not np.all((leak_rate > 0) & (leak_rate <= 1)):  # False for NaN too
            raise ValueError(
                f"`leak_rate` is {self.leak_rate}, but values in (0, 1] were expected. "
                "Use 1 for units without memory of their own."
            )
        if not callable(self.activation) and self.activation not in ACTIVATIONS:
            raise ValueError(
                f"`activation` is {self.activation!r}, but one of {ACTIVATIONS} or a callable was "
                'expected. Use "tanh" if in doubt.'
            )
        _check_carry(self.carry, n_units, self.dtype)

    def check_loaded(self) -> None:
        """Raise ValueError unless what was read from a file is finite, and of one dtype."""
        recurrent = self.recurrent.data if issparse(self.recurrent) else self.recurrent
        parts = {"recurrent": recurrent, "input": self.input, "bias": self.bias}
        parts["feedback"] = self.feedback
        parts["carry"] = self.carry if np.ndim(self.carry) == 2 else None
        for name, part in parts.items():
            if part is None:
                continue
            require_array(name, part, (None,) * np.ndim(part))
            if part.dtype != self.dtype:
                raise ValueError(f"`{name}` is {part.dtype} where W is {self.dtype}")

    @property
    def n_units(self) -> int:
        """Number of units."""
        return int(self.recurrent.shape[0])

    @property
    def n_inputs(self) -> int:
        """Number of input channels."""
        return int(self.input.shape[1])

    @property
    def n_outputs(self) -> int:
        """Number of outputs fed back; 0 without feedback weights."""
        return 0 if self.feedback is None else int(self.feedback.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the states: that of `recurrent`."""
        dtype: np.dtype[Any] = np.dtype(self.recurrent.dtype)
        return dtype

    @property
    def is_leaky(self) -> bool:
        """Whether units carry on a share of their own state, and that alone."""
        return isinstance(self.carry, str) and self.carry == "leak"

    @property
    def kept(self) -> Array:
        """Share of O x[t-1] that is carried on, in float64: 1 - a, or 1 in Euler's form."""
        leak_rate = np.asarray(self.leak_rate, dtype=np.float64)
        is_euler = isinstance(self.carry, str) and self.carry == "euler"
        return np.ones_like(leak_rate) if is_euler else 1.0 - leak_rate

    def carried(self, states: Array) -> Array:
        """Return O x for states x of shape (n_units,) or (n_units, k); x where there is no O."""
        if isinstance(self.carry, str):
            return states
        rotated: Array = self.carry @ states if self.carry.ndim == 2 else states[self.carry]
        return rotated

    @property
    def is_bounded(self) -> bool:
        """Whether no state can overflow while inputs are finite."""
        return self.activation in ("tanh", "logistic")


def _check_carry(carry: Any, n_units: int, dtype: np.dtype[Any]) -> None:
    """Raise unless `carry` names a form, or is a matrix or a permutation of the units."""
    if isinstance(carry, str) and carry in _CARRIES:
        return
    if isinstance(carry, np.ndarray):
        if carry.shape == (n_units, n_units) and carry.dtype == dtype:
            return
        is_integer = carry.dtype.kind in "iu" and carry.shape == (n_units,)
        if is_integer and np.array_equal(np.sort(carry), np.arange(n_units)):
            return
        carry = f"an array of {carry.dtype} of shape {carry.shape}"
    raise ValueError(
        f"`carry` is {carry!r}, but one of {_CARRIES}, a matrix of shape ({n_units}, {n_units}) "
        f"and {dtype}, or a permutation of {n_units} units was expected. "
        'Use "leak" if in doubt.'
    )


def _check_recurrent(recurrent: Any) -> None:
    """Raise unless `recurrent` is a square CSR or dense matrix of float32 or float64."""
    if issparse(recurrent):
        if not isinstance(recurrent, csr_array | csr_matrix):
            raise TypeError(
                f"`recurrent` is a {type(recurrent).__name__}, but a csr_array or an ndarray was "
                "expected. Pass scipy.sparse.csr_array(recurrent)."
            )
    elif not isinstance(recurrent, np.ndarray):
        raise TypeError(
            f"`recurrent` is a {type(recurrent).__name__}, but a csr_array or an ndarray was "
            "expected. Pass numpy.asarray(recurrent)."
        )
    if recurrent.ndim != 2 or recurrent.shape[0] != recurrent.shape[1]:
        raise ValueError(
            f"`recurrent` has shape {recurrent.shape}, but a square matrix was expected. "
            "Give it one row and one column per unit."
        )
    if recurrent.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"`recurrent` is of dtype {recurrent.dtype}, but float32 or float64 was expected. "
            "Convert it with `.astype(numpy.float64)`."
        )


def _check_shape(name: str, array: Any, shape: tuple[int | None, ...]) -> None:
    """Raise unless `array` is an ndarray of `shape`, None standing for any length."""
    found = np.shape(array)
    fits = len(found) == len(shape) and all(
        want is None or have == want for have, want in zip(found, shape)
    )
    if not isinstance(array, np.ndarray) or not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(
            f"`{name}` is a {type(array).__name__} of shape {found}, but an ndarray of shape "
            f"({wanted}) was expected. Match it to the {shape[0]} rows of `recurrent`."
        )
