"""Reservoirs that differ in their scales only, side by side in one recurrence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import (
    LANE_PIECE,
    PIECE,
    Noise,
    Series,
    as_series,
    as_vector,
    refuse_divergence,
)
from reservoir.dynamics.cuda._variants import DeviceVariants
from reservoir.dynamics.loops._choose import choose_loop
from reservoir.dynamics.loops._maps import LaneScales
from reservoir.utils.explained import explained
from reservoir.utils.types import Array


@explained
@dataclass(frozen=True, eq=False)
class Variants:
    r"""The scales in which variants of one reservoir differ.

    .. math::

        x[t] = (1 - c a)\, x[t-1] + c a\, f\big(r W x[t-1] + W_\mathrm{in} (s u[t])
            + W_\mathrm{fb} (s' y[t-1]) + s'' b\big)

    Parameters
    ----------
    recurrent : ndarray of shape (n_variants,)
        r: with a W of spectral radius 1, the spectral radius.
    leak : ndarray of shape (n_variants,)
        c: with a = 1, the leak rate. c a must lie in (0, 1].
    drive : ndarray of shape (n_variants, n_inputs + n_outputs + 1)
        s of each input, s' of each output that is fed back, and s'' of the bias.

    Raises
    ------
    ValueError
        If the shapes disagree, a scale is negative or not finite, or a leak is not in (0, 1].
    """

    recurrent: Array
    leak: Array
    drive: Array

    def __post_init__(self) -> None:
        n_variants = len(self.recurrent)
        for name, n_axes in (("recurrent", 1), ("leak", 1), ("drive", 2)):
            values = getattr(self, name)
            if np.ndim(values) != n_axes or len(values) != n_variants:
                raise ValueError(
                    f"`{name}` has shape {np.shape(values)}, but {n_axes} axes and {n_variants} "
                    "entries, as of `recurrent`, were expected. Pass one per variant."
                )
            if not (np.isfinite(values).all() and (np.asarray(values) >= 0).all()):
                raise ValueError(
                    f"`{name}` holds a negative, infinite or NaN scale. Pass scales of 0 or more."
                )
        if not ((self.leak > 0) & (self.leak <= 1)).all():
            raise ValueError(
                f"`leak` holds {self.leak.tolist()}, but values in (0, 1] were expected. "
                "Use 1 for units without memory of their own."
            )

    def __len__(self) -> int:
        return len(self.recurrent)


def joined(parts: Sequence[Variants]) -> Variants:
    """Return the variants of several reservoirs, one after the other."""
    return Variants(
        np.concatenate([part.recurrent for part in parts]),
        np.concatenate([part.leak for part in parts]),
        np.concatenate([part.drive for part in parts]),
    )


@explained
def variant(reservoir: Reservoir, variants: Variants, index: int) -> Reservoir:
    """Return one variant as a reservoir of its own.

    Parameters
    ----------
    reservoir : Reservoir
        What all variants share.
    variants : Variants
        The scales.
    index : int
        Which variant.

    Returns
    -------
    Reservoir

    Examples
    --------
    >>> import numpy as np
    >>> shared = Reservoir(np.eye(1), input=np.ones((1, 1)), bias=np.ones(1))
    >>> scales = Variants(np.array([0.5]), np.array([0.25]), np.array([[2.0, 3.0]]))
    >>> one = variant(shared, scales, 0)
    >>> one.recurrent, one.input, one.bias, one.leak_rate
    (array([[0.5]]), array([[2.]]), array([3.]), 0.25)
    """
    dtype, n_inputs = reservoir.dtype, reservoir.n_inputs
    drive = variants.drive[index].astype(dtype)
    leak_rate = variants.leak[index] * np.asarray(reservoir.leak_rate)
    return replace(
        reservoir,
        recurrent=reservoir.recurrent * dtype.type(variants.recurrent[index]),
        input=reservoir.input * drive[:n_inputs],
        feedback=None if reservoir.feedback is None else reservoir.feedback * drive[n_inputs:-1],
        bias=reservoir.bias * drive[-1],
        leak_rate=leak_rate.astype(dtype) if leak_rate.ndim else float(leak_rate),
    )


@explained
class SideBySide:
    """Steps variants of one reservoir: as lanes of one loop where there are enough for it.

    Parameters
    ----------
    reservoir : Reservoir
        What they share.
    variants : Variants
        The scales in which they differ.
    engine : {"auto", "numpy", "numba"}, default "auto"
        As in `reservoir.dynamics.run`.

    Attributes
    ----------
    states : ndarray of shape (n_variants, n_units)
        Where the variants are; may be overwritten to start elsewhere.
    """

    def __init__(self, reservoir: Reservoir, variants: Variants, engine: str = "auto") -> None:
        self._reservoir = reservoir
        dtype, n_columns = reservoir.dtype, reservoir.n_inputs + reservoir.n_outputs + 1
        if variants.drive.shape[1] != n_columns:
            raise ValueError(
                f"`drive` has {variants.drive.shape[1]} columns, but {n_columns} were expected: "
                f"{reservoir.n_inputs} inputs, {reservoir.n_outputs} outputs fed back, and the "
                "bias. Pass one scale each."
            )
        self.states = np.zeros((len(variants), reservoir.n_units), dtype=dtype)
        self._loop = choose_loop(reservoir, engine)
        width = self._loop.n_lanes
        n_wide = len(variants) // width * width
        if len(variants) - n_wide >= self._loop.min_lanes:
            n_wide = len(variants)
        self._wide = [slice(i, min(i + width, n_wide)) for i in range(0, n_wide, width)]
        # Too few for the lanes that are left.
        self._single = {
            index: choose_loop(variant(reservoir, variants, index), engine)
            for index in range(n_wide, len(variants))
        }
        self._recurrent, self._leak = variants.recurrent.astype(dtype), variants.leak.astype(dtype)
        self._drive = variants.drive.T.astype(dtype)
        self._scratch = np.empty((PIECE if self._single else 0, reservoir.n_units), dtype=dtype)

    def advance(self, block: Array, series: Series, start: int) -> None:
        """Write the states of the next steps, from `start` on, of each variant.

        Parameters
        ----------
        block : ndarray of shape (n_variants, n_steps, n_units)
            Overwritten; only the last axis need be contiguous.
        series : Series
            What drives all of them.
        start : int
            Its first step.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            for first in range(0, block.shape[1], LANE_PIECE):
                piece = block[:, first : first + LANE_PIECE]
                columns, noise = series.drive(start + first, start + first + piece.shape[1])
                self._advance_piece(piece, columns, noise)
                if not self._reservoir.is_bounded:
                    for states in piece:
                        refuse_divergence(states, start + first, "state")

    def _advance_piece(self, piece: Array, columns: Array, noise: Array | None) -> None:
        for lanes in self._wide:
            if noise is not None:
                piece[lanes] = noise
            self._loop.advance_lanes(
                piece[lanes],
                0,
                len(columns),
                self.states[lanes],
                columns[:, :, np.newaxis] * self._drive[:, lanes],
                noise is not None,
                LaneScales(self._recurrent[lanes], self._leak[lanes]),
            )
        for index, loop in self._single.items():
            states = self._scratch[: len(columns)]
            loop.advance(states, self.states[index], columns, noise)
            piece[index] = states


def side_by_side(
    xp: Any, reservoirs: Sequence[Reservoir], which: Sequence[int], variants: Variants
) -> Any:
    """Return what steps variants in a namespace: SideBySide, or on a GPU DeviceVariants.

    `which` is the reservoir of each variant; on the host there is one reservoir.
    """
    if xp is np:
        (reservoir,) = reservoirs
        return SideBySide(reservoir, variants)
    scales = (variants.recurrent, variants.leak, variants.drive)
    return DeviceVariants(xp, reservoirs, which, *scales)


@explained
def run_variants(
    reservoir: Reservoir,
    variants: Variants,
    inputs: Any,
    *,
    initial_state: Any = None,
    teacher: Any = None,
    initial_output: Any = None,
    engine: str = "auto",
) -> Array:
    """Return the states of all variants of a reservoir, driven by one series.

    The same as `reservoir.dynamics.run` on each `variant`, to rounding; each weight is loaded
    once for many of them.

    Parameters
    ----------
    reservoir : Reservoir
        What they share.
    variants : Variants
        The scales in which they differ.
    inputs : array-like of shape (n_steps, n_inputs)
        u[t].
    initial_state : array-like of shape (n_units,), optional
        x[-1] of all; zeros if left out.
    teacher : array-like of shape (n_steps, n_outputs), optional
        y[t], fed back one step later; needed where the reservoir has feedback weights.
    initial_output : array-like of shape (n_outputs,), optional
        y[-1]; zeros if left out.
    engine : {"auto", "numpy", "numba"}, default "auto"
        As in `run`.

    Returns
    -------
    ndarray of shape (n_variants, n_steps, n_units)

    Raises
    ------
    ValueError
        If a shape does not fit.
    DivergenceError
        If a state is not finite while f is unbounded.

    Examples
    --------
    An echo that fades by one half or by one quarter a step:

    >>> import numpy as np
    >>> echo = Reservoir(np.eye(1), input=np.ones((1, 1)), bias=np.zeros(1), activation="identity")
    >>> scales = Variants(np.array([0.5, 0.25]), np.ones(2), np.ones((2, 2)))
    >>> run_variants(echo, scales, [[8.0], [0.0]])[:, :, 0]
    array([[8., 4.],
           [8., 2.]])
    """
    inputs = as_series("inputs", inputs, reservoir.n_inputs)
    if teacher is not None:
        teacher = as_series("teacher", teacher, reservoir.n_outputs, len(inputs))
    together = SideBySide(reservoir, variants, engine)
    start = as_vector("initial_state", initial_state, reservoir.n_units, reservoir.dtype)
    output = as_vector("initial_output", initial_output, reservoir.n_outputs, reservoir.dtype)
    together.states[:] = start
    block = np.empty((len(variants), len(inputs), reservoir.n_units), dtype=reservoir.dtype)
    together.advance(block, Series(inputs, teacher, start, output, Noise(), None), 0)
    return block
