"""Closed loops: which inputs are outputs of the step before, and the maps that this makes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import as_series
from reservoir.dynamics.loops._maps import Closing
from reservoir.readout._features import Readout
from reservoir.utils.types import Integers


def check_loop(reservoir: Reservoir, readout: Readout, output_as_input: Any) -> Integers:
    """Return the output that each input is, -1 for none.

    Raises
    ------
    ValueError
        Unless reservoir and readout fit together and form a loop.
    """
    n_outputs = len(readout.intercept)
    if readout.state.shape != (n_outputs, reservoir.n_units):
        raise ValueError(
            f"`readout.state` has shape {readout.state.shape}, but "
            f"({n_outputs}, {reservoir.n_units}) was expected. Fit it on this reservoir's states."
        )
    if readout.input is not None and readout.input.shape[1] != reservoir.n_inputs:
        raise ValueError(
            f"`readout.input` has {readout.input.shape[1]} columns, but the reservoir has "
            f"{reservoir.n_inputs} inputs. Fit it on this reservoir's inputs."
        )
    if reservoir.feedback is not None and reservoir.n_outputs != n_outputs:
        raise ValueError(
            f"`readout` has {n_outputs} outputs, but the reservoir feeds back "
            f"{reservoir.n_outputs}. Make the feedback weights for as many."
        )
    sources = _checked_sources(output_as_input, reservoir.n_inputs, n_outputs)
    if reservoir.feedback is None and (sources < 0).all():
        raise ValueError(
            "`reservoir.feedback` is None and `output_as_input` False, but one of them must feed "
            "the output back. Use `run` for a reservoir that is only driven."
        )
    return sources


def _checked_sources(output_as_input: Any, n_inputs: int, n_outputs: int) -> Integers:
    """Return the output that each input is, -1 for none."""
    if isinstance(output_as_input, bool | np.bool_):
        if output_as_input and n_inputs != n_outputs:
            raise ValueError(
                f"`output_as_input` is True, which needs as many outputs as inputs, but there are "
                f"{n_outputs} and {n_inputs}. Train the model to predict its next input, or pass "
                "the output that takes the place of each input."
            )
        return np.arange(n_inputs) if output_as_input else np.full(n_inputs, -1)
    sources = np.asarray(output_as_input)
    if (
        sources.shape != (n_inputs,)
        or sources.dtype.kind not in "iu"
        or not ((sources >= -1) & (sources < n_outputs)).all()
    ):
        raise ValueError(
            f"`output_as_input` is {output_as_input!r}, but a bool, or {n_inputs} integers from "
            f"-1 to {n_outputs - 1} were expected: the output that takes the place of each input."
        )
    return sources.astype(np.intp)


def external_inputs(
    reservoir: Reservoir, inputs: Any, n_steps: int, sources: Integers
) -> NDArray[Any]:
    """Return the inputs that are not the run's own output: (n_steps, 0) if there are none."""
    n_external = int((sources < 0).sum())
    if n_external == 0:
        if inputs is not None and np.shape(inputs)[1:] != (0,):
            raise ValueError(
                "`inputs` were given, but with `output_as_input` the outputs take their place, or "
                "the reservoir has none. Leave them out."
            )
        return np.empty((n_steps, 0), dtype=reservoir.dtype)
    if inputs is None:
        raise ValueError(
            f"`inputs` are missing, but the reservoir has {n_external} that no output takes the "
            f"place of. Pass an array of shape ({n_steps}, {n_external})."
        )
    return as_series("inputs", inputs, n_external, n_steps)


def external_part(readout: Readout, sources: Integers) -> Readout:
    """Return a readout that sees those inputs only whose place no output takes."""
    if readout.input is None or (sources < 0).all():
        return readout
    inputs = readout.input[:, sources < 0]
    return Readout(readout.state, readout.intercept, inputs, readout.squares)


def closing_of(reservoir: Reservoir, readout: Readout, sources: Integers) -> Closing:
    """Gather all maps between state and output in the layout of the loops."""
    n_outputs, n_units = readout.state.shape
    is_fed = sources >= 0
    external = np.concatenate([reservoir.input.T[~is_fed], reservoir.bias[np.newaxis]])
    feedback = np.zeros((n_outputs, n_units))
    if reservoir.feedback is not None:
        feedback += reservoir.feedback.T
    for place in np.flatnonzero(is_fed):
        feedback[sources[place]] += reservoir.input[:, place]
    none = np.empty((0, max(n_units, n_outputs)))
    output = none[:, :n_outputs]
    if readout.input is not None and is_fed.any():
        output = np.zeros((n_outputs, n_outputs))
        for place in np.flatnonzero(is_fed):
            output[:, sources[place]] += readout.input[:, place]
    maps = (
        external,
        feedback,
        readout.state,
        none if readout.squares is None else readout.squares,
        output,
    )
    return Closing(*(np.ascontiguousarray(part, dtype=reservoir.dtype) for part in maps))
