"""Variants of reservoirs side by side on a GPU, each a lane of one recurrence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import Series, refuse_divergence
from reservoir.dynamics.cuda._blocks import (
    Span,
    drive_columns,
    noise_of,
    together_on_device,
    write_drive,
)
from reservoir.dynamics.cuda._lanes import LaneRun
from reservoir.dynamics.loops._maps import LaneScales


class DeviceVariants:
    """Variants of reservoirs on a GPU, a lane each; members as those of `SideBySide`.

    Parameters
    ----------
    xp : module
        cupy.
    reservoirs : sequence of Reservoir
        What they are variants of.
    which : sequence of int
        The reservoir of each variant.
    recurrent, leak : ndarray of shape (n_variants,)
        The scales in which variants differ, on the host; see `Variants`.
    drive : ndarray of shape (n_variants, n_inputs + n_outputs + 1)
        Likewise.

    Attributes
    ----------
    states : ndarray of shape (n_variants, n_units)
        Where the variants are, on the device; may be overwritten to start elsewhere.
    """

    def __init__(
        self,
        xp: Any,
        reservoirs: Sequence[Reservoir],
        which: Sequence[int],
        recurrent: Any,
        leak: Any,
        drive: Any,
    ) -> None:
        self._xp, self._reservoir = xp, reservoirs[0]
        dtype = self._reservoir.dtype
        self._weights = together_on_device(reservoirs, xp)
        self._which = xp.asarray(np.asarray(which, dtype=np.int64))
        self._scales = LaneScales(xp.asarray(recurrent, dtype), xp.asarray(leak, dtype))
        scales = xp.asarray(drive, dtype)[:, :, np.newaxis]
        self._drive_weights = scales * self._weights.drive_weights[self._which]
        self.states = xp.zeros((len(recurrent), self._reservoir.n_units), dtype=dtype)
        self._run: LaneRun | None = None
        self._series: Series | None = None
        self._columns: Any = None

    def advance(self, block: Any, series: Series, start: int) -> None:
        """Write the states of the next steps of each variant; see `SideBySide.advance`."""
        xp, reservoir = self._xp, self._reservoir
        n_variants, n_steps, n_units = block.shape
        if series is not self._series:
            self._series, self._columns = series, drive_columns(xp, reservoir, [series])
        if self._run is None or self._run.n_rows < n_variants * n_steps:
            self._run = LaneRun(
                self._weights,
                n_variants * n_steps,
                self.states,
                self._scales,
                which=self._which,
            )
        columns = self._columns[start : start + n_steps]
        noise = noise_of(xp, [series], [Span(0, start, start + n_steps)])
        states = self._run.states[: n_variants * n_steps].reshape(n_variants, n_steps, n_units)
        write_drive(xp, columns, self._drive_weights, noise, series, states)
        self._run.advance(n_steps * np.arange(n_variants), np.full(n_variants, n_steps))
        if not reservoir.is_bounded:
            for lane in states:
                refuse_divergence(lane, start, "state", xp)
        block[...] = states
