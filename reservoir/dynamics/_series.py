"""One series as it drives a reservoir: inputs, teacher, noise, a piece of steps at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from reservoir.dynamics._reservoir import DivergenceError
from reservoir.utils.device import is_on_device, to_host
from reservoir.utils.types import Array
from reservoir.utils.validation import as_numbers


def as_vector(name: str, value: Any, length: int, dtype: np.dtype[Any]) -> Array:
    """Return a new vector of `length` on the host: zeros for None, else a checked copy."""
    if value is None:
        return np.zeros(length, dtype=dtype)
    vector: Array = as_numbers(name, to_host(value), dtype).copy()
    if vector.shape != (length,):
        raise ValueError(
            f"`{name}` has shape {vector.shape}, but ({length},) was expected. "
            "Pass one value each, or leave it out to start from zero."
        )
    return vector


def as_series(name: str, value: Any, n_columns: int, n_steps: int | None = None) -> NDArray[Any]:
    """Return `value` as an array of shape (n_steps, n_columns), where it lies, or raise."""
    series = value if is_on_device(value) else np.asarray(value)
    if (
        series.ndim != 2
        or series.shape[1] != n_columns
        or (n_steps is not None and len(series) != n_steps)
    ):
        wanted = "n_steps" if n_steps is None else n_steps
        raise ValueError(
            f"`{name}` has shape {series.shape}, but ({wanted}, {n_columns}) was expected. "
            "Put time in rows and channels in columns."
        )
    return series


# Rows of drive that are made ahead of the loop. Measured best at 1,000 units: they stay in the
# cache until the loop gets to them. Runs are cut here whatever the size of a chunk, so that a
# matrix product sees the same rows, and gives the same bits, for any chunk.
PIECE = 256


# The same for each of several sequences side by side.
LANE_PIECE = 64


class Noise(NamedTuple):
    """Standard deviations of normal noise inside the activation, and on what is fed back."""

    state: float = 0.0
    feedback: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class DrivenSequence:
    """One sequence that drives a reservoir, and where its run starts.

    Attributes
    ----------
    inputs : array-like of shape (n_steps, n_inputs)
        u[t].
    teacher : array-like of shape (n_steps, n_outputs) or None
        y[t], which is fed back one step later; of a reservoir with feedback weights.
    initial_state : array-like of shape (n_units,) or None
        x[-1]; None for zeros.
    initial_output : array-like of shape (n_outputs,) or None
        y[-1]; None for zeros. Without a teacher it is not used.
    generator : numpy.random.Generator or None
        The source of its noise; advanced.
    """

    inputs: Any
    teacher: Any = None
    initial_state: Any = None
    initial_output: Any = None
    generator: np.random.Generator | None = None


class Series:
    """One sequence on its way through a reservoir.

    Parameters
    ----------
    inputs : ndarray of shape (n_steps, n_inputs)
        u[t]; this and the teacher may lie on a device, where `drive` is not for them.
    teacher : ndarray of shape (n_steps, n_outputs) or None
        y[t], of which y[t-1] is fed back at step t.
    state : ndarray of shape (n_units,)
        Where it starts; overwritten as it goes.
    initial_output : ndarray of shape (n_outputs,)
        y[-1].
    deviations : Noise
        On the drive of each unit and on what is fed back.
    generator : numpy.random.Generator or None
        Advanced at each step by the noise of that step; None without noise.
    """

    def __init__(
        self,
        inputs: NDArray[Any],
        teacher: NDArray[Any] | None,
        state: Array,
        initial_output: Array,
        deviations: Noise,
        generator: np.random.Generator | None,
    ) -> None:
        self.n_steps = len(inputs)
        self.state = state
        self.inputs = inputs
        self.teacher = teacher
        self.initial_output = initial_output
        self.deviations = deviations
        self._generator = generator

    @property
    def is_noisy(self) -> bool:
        """Whether there is noise on the units, or on what is fed back."""
        return self._generator is not None

    def drive(self, start: int, stop: int) -> tuple[Array, Array | None]:
        """Return the drive of the steps from `start` to `stop`; each call advances the noise.

        Parameters
        ----------
        start, stop : int
            First step, and the one after the last.

        Returns
        -------
        columns : ndarray of shape (stop - start, n_inputs + n_outputs + 1)
            [u[t]; y[t-1]; 1].
        noise : ndarray of shape (stop - start, n_units) or None
            Noise inside the activation.
        """
        n_inputs, n_outputs = self.inputs.shape[1], self.initial_output.size
        columns = np.empty((stop - start, n_inputs + n_outputs + 1), dtype=self.state.dtype)
        columns[:, :n_inputs] = self.inputs[start:stop]
        columns[:, -1] = 1
        if self.teacher is not None:
            fed_back = columns[:, n_inputs:-1]
            fed_back[start == 0 :] = self.teacher[max(start - 1, 0) : stop - 1]
            if start == 0:
                fed_back[:1] = self.initial_output
        noise = self.draw(stop - start)
        if noise is not None and self.deviations[1]:
            columns[:, n_inputs:-1] += noise[:, -n_outputs:]
        on_units = noise is not None and self.deviations[0] > 0
        return columns, noise[:, : self.state.size] if on_units else None

    def draw(self, n_steps: int) -> Any:
        """Return a row of noise a step: for the units, then for the outputs, where asked for.

        It comes from the host whatever the device, so that one seed is one noise; None for none.
        """
        if self._generator is None:
            return None
        dtype = self.state.dtype
        deviations = np.repeat(self.deviations, [self.state.size, self.initial_output.size])
        deviations = deviations[deviations > 0].astype(dtype)
        noise = self._generator.standard_normal((n_steps, len(deviations)), dtype=dtype.type)
        noise *= deviations
        return noise


def drive_together(members: Sequence[Series], start: int, columns: Array) -> None:
    """Write the drive of several sequences without noise, as `Series.drive` gives it of each.

    Parameters
    ----------
    members : sequence of Series
        Each with `n_steps` more steps, or more.
    start : int
        First step.
    columns : ndarray of shape (n_steps, n_inputs + n_outputs + 1, n_members)
        Overwritten with [u[t]; y[t-1]; 1].
    """
    if not members:
        return
    stop, n_inputs = start + len(columns), members[0].inputs.shape[1]
    _write_stacked([series.inputs[start:stop] for series in members], columns[:, :n_inputs])
    columns[:, -1] = 1
    if members[0].teacher is not None:
        fed_back, before = columns[:, n_inputs:-1], max(start - 1, 0)
        teachers = [cast(Array, series.teacher)[before : stop - 1] for series in members]
        _write_stacked(teachers, fed_back[start == 0 :])
        if start == 0:
            fed_back[0] = np.stack([series.initial_output for series in members], axis=-1)


def _write_stacked(parts: Sequence[Array], out: Array) -> None:
    """Write arrays of equal shapes along a new last axis, converted to the dtype of `out`."""
    np.stack(parts, axis=-1, out=out, casting="unsafe")


def refuse_divergence(rows: Array, start: int, name: str, xp: Any = np) -> None:
    """Raise DivergenceError at the first of `rows` that is not finite; row 0 is step `start`."""
    # Whatever is not finite stays so from step to step: the last row tells.
    if len(rows) and not xp.isfinite(rows[-1]).all():
        step = start + int(xp.argmin(xp.isfinite(rows).all(axis=1)))
        raise DivergenceError(
            f"The {name} of step {step} is not finite, but finite numbers were expected. Lower the "
            "spectral radius or the feedback, raise `alpha` or the training noise, or look for "
            "NaN in the data.",
            step,
        )
