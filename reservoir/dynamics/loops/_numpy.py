"""The recurrence as tight loops of NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse import issparse
from scipy.special import expit

from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics.loops._maps import Closing, LaneScales, drive_weights
from reservoir.utils.sparse import csr_matvec, csr_matvecs
from reservoir.utils.types import Array


class NumpyLoop:
    """Steps one reservoir with NumPy and SciPy; nothing is allocated inside its loops.

    The other loop, `reservoir.dynamics.loops._numba.NumbaLoop`, has the same four members.
    """

    # Widest batch of sequences, and the smallest that beats one sequence after the other.
    n_lanes = 32
    min_lanes = 6

    def __init__(self, reservoir: Reservoir) -> None:
        self._recurrent, self._carry = reservoir.recurrent, reservoir.carry
        self._drive_weights = drive_weights(reservoir)
        self._activate = _in_place(reservoir.activation)
        leak_rate = np.asarray(reservoir.leak_rate, dtype=reservoir.dtype)
        self._leak_rate = None if np.all(leak_rate == 1) else leak_rate
        columns = 2 * self.n_lanes * reservoir.n_units * reservoir.dtype.itemsize
        if issparse(reservoir.recurrent) and columns > 2**20:
            # Old and new columns leave the cache: measured, one after the other is faster.
            self.min_lanes = self.n_lanes + 1

    def advance(self, states: Array, state: Array, columns: Array, noise: Array | None) -> None:
        """Write the next states, row by row.

        Parameters
        ----------
        states : ndarray of shape (n_steps, n_units)
            Overwritten by x[t].
        state : ndarray of shape (n_units,)
            The state before; overwritten by the last one.
        columns : ndarray of shape (n_steps, n_columns)
            Input, what is fed back, and 1 for the bias.
        noise : ndarray of shape (n_steps, n_units) or None
            Added inside the activation.
        """
        np.dot(columns, self._drive_weights, out=states)
        if noise is not None:
            states += noise
        add_recurrent, activate = self._adder(state), self._activate
        carry_on = self._carrier(state, self._leak_rate)
        previous = state
        for row in states:
            add_recurrent(previous, row)
            activate(row, row)
            if carry_on is not None:
                carry_on(row, previous)
            previous = row
        state[:] = previous

    def advance_lanes(
        self,
        block: Array,
        start: int,
        stop: int,
        lanes: Array,
        columns: Array,
        noisy: bool,
        scales: LaneScales | None = None,
    ) -> None:
        """Write the next states of several sequences, or variants, side by side.

        Parameters
        ----------
        block : ndarray of shape (n_lanes or more, n_rows, n_units)
            `block[i, start:stop]` is overwritten by the states of lane i.
        start, stop : int
            The steps to make.
        lanes : ndarray of shape (n_lanes, n_units)
            The states before; overwritten by the last ones.
        columns : ndarray of shape (stop - start, n_columns, n_lanes)
            Input, what is fed back, and 1 for the bias.
        noisy : bool
            Whether `block` comes with noise to be added inside the activation.
        scales : LaneScales, optional
            The scales in which lanes differ; without it they share W and the leak rate.
        """
        previous = np.ascontiguousarray(lanes.T)
        states, scaled = np.empty_like(previous), np.empty_like(previous)
        add_recurrent, leak_rate = self._adder(states), self._leak_rate
        if leak_rate is not None and leak_rate.ndim:
            leak_rate = leak_rate[:, np.newaxis]
        if scales is not None:
            leak_rate = scales.leak * (1 if leak_rate is None else leak_rate)
        carry_on = self._carrier(states, leak_rate)
        weights = np.ascontiguousarray(self._drive_weights.T)
        for step, inputs in zip(range(start, stop), columns, strict=True):
            rows = block[: len(lanes), step]
            np.dot(weights, inputs, out=states)
            if noisy:
                states += rows.T
            if scales is None:
                add_recurrent(previous, states)
            else:
                np.multiply(previous, scales.recurrent, scaled)
                add_recurrent(scaled, states)
            self._activate(states, states)
            if carry_on is not None:
                carry_on(states, previous)
            rows[:] = states.T
            previous, states = states, previous
        lanes[:] = previous.T

    def advance_free(
        self,
        states: Array,
        state: Array,
        columns: Array,
        outputs: Array,
        output: Array,
        closing: Closing,
    ) -> None:
        """Write the next states and outputs, each output driving the next step.

        Parameters
        ----------
        states : ndarray of shape (n_steps, n_units)
            Overwritten by x[t].
        state : ndarray of shape (n_units,)
            The state before; overwritten by the last one.
        columns : ndarray of shape (n_steps, n_columns)
            External inputs, and 1 for the bias.
        outputs : ndarray of shape (n_steps, n_outputs)
            Outputs but for the terms of `closing`; overwritten by y[t].
        output : ndarray of shape (n_outputs,)
            The output before; overwritten by the last one.
        closing : Closing
            The maps between state and output.
        """
        np.dot(columns, closing.external, out=states)
        add_recurrent, activate = self._adder(state), self._activate
        carry_on = self._carrier(state, self._leak_rate)
        unit_scratch, output_scratch = np.empty_like(state), np.empty_like(output)
        feedback = closing.feedback
        state_map, square_map, output_map = closing.state, closing.squares, closing.output
        previous, y = state, output
        for row, out in zip(states, outputs):
            np.dot(y, feedback, out=unit_scratch)
            np.add(row, unit_scratch, row)
            add_recurrent(previous, row)
            activate(row, row)
            if carry_on is not None:
                carry_on(row, previous)
            np.dot(state_map, row, out=output_scratch)
            np.add(out, output_scratch, out)
            if len(square_map):
                np.multiply(row, row, unit_scratch)
                np.dot(square_map, unit_scratch, out=output_scratch)
                np.add(out, output_scratch, out)
            if len(output_map):
                np.dot(output_map, y, out=output_scratch)
                np.add(out, output_scratch, out)
            previous, y = row, out
        state[:] = previous
        output[:] = y

    def live_step(
        self,
        states: Array,
        state: Array,
        columns: Array,
        outputs: Array,
        output: Array,
        closing: Closing,
    ) -> Callable[[], None]:
        """Return a function that does `advance_free` on the same arrays at each call."""
        return partial(self.advance_free, states, state, columns, outputs, output, closing)

    def _adder(self, like: Array) -> Callable[[Array, Array], Any]:
        """Return the function (x, z) that does z += W x for vectors, or columns, shaped `like`."""
        matrix = self._recurrent
        if issparse(matrix) and csr_matvec is not None:
            csr = (matrix.indptr, matrix.indices, matrix.data)
            if like.ndim == 1:
                return partial(csr_matvec, *matrix.shape, *csr)
            product = partial(csr_matvecs, *matrix.shape, like.shape[1], *csr)
            return lambda x, z: product(x.reshape(-1), z.reshape(-1))
        if issparse(matrix):
            return lambda x, z: np.add(z, matrix @ x, z)
        scratch = np.empty_like(like)

        def add_dense(x: Array, z: Array) -> None:
            np.dot(matrix, x, out=scratch)
            np.add(z, scratch, z)

        return add_dense

    def _carrier(
        self, like: Array, leak_rate: Array | None
    ) -> Callable[[Array, Array], None] | None:
        """Return the function (f, x) that puts the next state in place of f; None where it is f."""
        carry = self._carry
        if isinstance(carry, str) and carry == "euler":
            return partial(_add_step, leak_rate=leak_rate)
        if leak_rate is None:
            return None
        if isinstance(carry, str):
            return partial(_leak, leak_rate=leak_rate)
        scratch = np.empty_like(like)

        def leak_carried(row: Array, previous: Array) -> None:
            if carry.ndim == 2:
                np.dot(carry, previous, out=scratch)
            else:
                np.take(previous, carry, axis=0, out=scratch, mode="clip")
            _leak(row, scratch, leak_rate)

        return leak_carried


def _add_step(row: Array, previous: Array, leak_rate: Array | None) -> None:
    """Replace f by x + a f, in place."""
    if leak_rate is not None:
        np.multiply(row, leak_rate, row)
    np.add(row, previous, row)


def _leak(row: Array, previous: Array, leak_rate: Array) -> None:
    """Replace f by x + a (f - x), in place: (1 - a) x + a f with one pass less."""
    np.subtract(row, previous, row)
    np.multiply(row, leak_rate, row)
    np.add(row, previous, row)


def _in_place(activation: str | Callable[[Array], Array]) -> Callable[[Array, Array], Any]:
    """Return the function (z, out) that writes f(z) to `out`."""
    if not callable(activation):
        return _ACTIVATIONS[activation]

    def apply(z: Array, out: Array) -> None:
        out[...] = activation(z)

    return apply


def _rectify(z: Array, out: Array) -> None:
    np.maximum(z, 0, out=out)


def _keep(z: Array, out: Array) -> None:
    """Do nothing: f(z) = z is there already."""


_ACTIVATIONS: dict[str, Callable[[Array, Array], Any]] = {
    "tanh": np.tanh,
    "relu": _rectify,
    "identity": _keep,
    "logistic": expit,
}
