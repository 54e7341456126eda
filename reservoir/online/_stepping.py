"""One step of a reservoir and of its features, for loops that learn at each step."""

from __future__ import annotations

from typing import Any

import numpy as np

from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import refuse_divergence
from reservoir.dynamics.loops._choose import choose_loop
from reservoir.readout._features import FeatureMap
from reservoir.utils.types import Array


class Stepper:
    """Makes one step of a reservoir at a time, in buffers of its own.

    Parameters
    ----------
    reservoir : Reservoir
        W, W_in, W_fb, b, a and f.
    feature_map : FeatureMap
        What the readout sees.
    engine : {"auto", "numpy", "numba"}
        As in `reservoir.dynamics.run`.
    """

    def __init__(self, reservoir: Reservoir, feature_map: FeatureMap, engine: str = "auto") -> None:
        self.feature_map = feature_map
        self._loop: Any = choose_loop(reservoir, engine)
        self._n_units, self._n_inputs = reservoir.input.shape
        self._is_bounded = reservoir.is_bounded
        width = feature_map.n_columns(self._n_units, self._n_inputs)
        # One row: where the state stands in it is contiguous, and the loop writes there.
        self.features: Array = np.empty((1, width), dtype=reservoir.dtype)
        self._row = feature_map.states_of(self.features, self._n_units)

    def advance(
        self, state: Array, columns: Array, noise: Array | None = None, step: int = 0
    ) -> Array:
        """Make a step and return the readout's features, in a buffer that the next one overwrites.

        Parameters
        ----------
        state : ndarray of shape (n_units,)
            x[t-1]; overwritten by x[t].
        columns : ndarray of shape (1, n_inputs + n_outputs + 1)
            [u[t]; y[t-1]; 1].
        noise : ndarray of shape (1, n_units) or None
            Added inside the activation.
        step : int
            Number of the step, for an error.

        Returns
        -------
        ndarray of shape (1, n_columns)
        """
        self._loop.advance(self._row, state, columns, noise)
        if not self._is_bounded:
            refuse_divergence(self._row, step, "state")
        inputs = columns[:, : self._n_inputs]
        self.feature_map.complete(self.features, inputs, self._n_units)
        return self.features
