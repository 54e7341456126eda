"""One step at a time of a reservoir with its readout, for live data: all arrays made before."""

from __future__ import annotations

from typing import Any

import numpy as np

from reservoir.dynamics._closing import closing_of
from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics.loops._choose import choose_loop
from reservoir.readout._features import Readout
from reservoir.utils.explained import explained
from reservoir.utils.types import Array


@explained
class LiveRun:
    r"""Makes one step of a reservoir and its readout at a time, in buffers of its own.

    .. math::

        x[t] &= (1 - a)\, x[t-1] + a\, f\big(W x[t-1] + W_\mathrm{in} u[t]
            + W_\mathrm{fb}\, y[t-1] + b\big) \\
        y[t] &= V_u u[t] + V_x x[t] + V_q x[t]^2 + c

    Parameters
    ----------
    reservoir : Reservoir
        W, W_in, W_fb, b, a and f.
    readout : Readout
        V_u, V_x, V_q and c.
    engine : {"auto", "numpy", "numba"}, default "auto"
        As in `run`.

    Attributes
    ----------
    state : ndarray of shape (n_units,)
        x, overwritten by each step; may be set in place.
    output : ndarray of shape (n_outputs,)
        y, likewise.
    inputs : ndarray of shape (n_inputs,)
        u, in the dtype of the reservoir.

    Examples
    --------
    >>> echo = Reservoir(recurrent=np.array([[0.5]]), input=np.ones((1, 1)), bias=np.zeros(1),
    ...                  activation="identity")
    >>> live = LiveRun(echo, Readout(state=np.ones((1, 1)), intercept=np.zeros(1)))
    >>> [float(live.step(np.array([u]))[0]) for u in (8.0, 0.0, 0.0)]
    [8.0, 4.0, 2.0]
    """

    def __init__(self, reservoir: Reservoir, readout: Readout, engine: str = "auto") -> None:
        dtype, n_outputs = reservoir.dtype, len(readout.intercept)
        closing = closing_of(reservoir, readout, np.full(reservoir.n_inputs, -1))
        self.state: Array = np.zeros(reservoir.n_units, dtype=dtype)
        self.output: Array = np.zeros(n_outputs, dtype=dtype)
        self._columns: Array = np.ones((1, reservoir.n_inputs + 1), dtype=dtype)
        self.inputs = self._columns[0, :-1]
        self._outputs: Array = np.empty((1, n_outputs), dtype=dtype)
        self._intercept = np.asarray(readout.intercept, dtype=dtype)
        self._input_map = None if readout.input is None else np.asarray(readout.input, dtype=dtype)
        loop: Any = choose_loop(reservoir, engine)
        row = np.empty((1, reservoir.n_units), dtype=dtype)
        self._advance = loop.live_step(
            row, self.state, self._columns, self._outputs, self.output, closing
        )

    def step(self, inputs: Array) -> Array:
        """Take the inputs (n_inputs,) of a step, and return its output in a buffer."""
        self.inputs[...] = inputs
        outputs = self._outputs[0]
        if self._input_map is None:
            outputs[...] = self._intercept
        else:
            np.dot(self._input_map, self.inputs, out=outputs)
            outputs += self._intercept
        self._advance()
        return self.output
