"""A fitted model that makes one step at a time, in arrays that were made before."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reservoir.dynamics._bounds import as_bounds
from reservoir.dynamics._live import LiveRun
from reservoir.utils.types import Array


class LiveSteps:
    """What steps of a model need, made once, as long as the model learns nothing new.

    Parameters
    ----------
    model : ReservoirRuns
        Fitted.
    bounds : ndarray of shape (2, n_outputs) or None
        Those of outputs that are fed back.

    Attributes
    ----------
    run : LiveRun
    bounds : tuple of two list of float, or None
        The smallest and the largest of each output that is fed back; None where none is.
    """

    def __init__(self, model: Any, bounds: Any) -> None:
        reservoir = model.reservoir_
        self._made_from = (model.coef_, model.intercept_, reservoir)
        self.bounds: tuple[list[float], list[float]] | None = None
        if reservoir.feedback is not None:
            low, high = as_bounds(bounds, model.n_outputs_, reservoir.dtype).tolist()
            self.bounds = (low, high)
        self._is_bounded = bool(reservoir.is_bounded)
        self._row_shape = (1, model.n_features_in_)
        self.run = LiveRun(reservoir, model.readout_)

    def are_of(self, model: Any) -> bool:
        """Say whether the model is as it was when these were made."""
        coef, intercept, reservoir = self._made_from
        return (
            coef is model.coef_ and intercept is model.intercept_ and reservoir is model.reservoir_
        )

    def are_within(self, output: Array) -> bool:
        """Say whether an output may be fed back."""
        return self.bounds is None or all(
            low <= value <= high for value, low, high in zip(output.tolist(), *self.bounds)
        )

    def follow(self, row: Any, state: Array, output: Array | None) -> tuple[Array, Array] | None:
        """Return the outputs (1, n_outputs) of one row of input, and the state after it.

        None stands for what is not plain, and is left to the checks of longer chunks: rows that
        are no array of (1, n_features) finite numbers, and steps that a run would stop at.

        Parameters
        ----------
        row : object
            What came as a chunk.
        state, output : ndarray, or None
            Those of the step before.
        """
        if type(row) is not np.ndarray or row.shape != self._row_shape or row.dtype.kind != "f":
            return None
        run = self.run
        with np.errstate(over="ignore", invalid="ignore"):
            run.state[...] = state
            run.output[...] = 0 if output is None else output
            outputs = run.step(row[0])[np.newaxis].copy()
        if not (math.isfinite(sum(run.inputs.tolist())) and self.are_within(outputs[0])):
            return None
        if not (self._is_bounded or np.isfinite(run.state).all()):
            return None
        return outputs, run.state.copy()
