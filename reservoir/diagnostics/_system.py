"""The dynamical system that is diagnosed, a reservoir or a closed loop, and its trajectories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from reservoir.dynamics._driven import iterate_sequences
from reservoir.dynamics._free import free_run
from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import as_series
from reservoir.readout._features import Readout
from reservoir.utils.types import Array
from reservoir.utils.validation import check_real

# Rows of states in memory at a time, over all trajectories.
ROWS = 2048


@dataclass(frozen=True)
class System:
    """A reservoir, and the readout that feeds back to it, if any.

    Attributes
    ----------
    reservoir : Reservoir
        The recurrence.
    readout : Readout or None
        None where nothing is fed back.
    output_as_input : bool
        Whether u[t] = y[t-1].
    """

    reservoir: Reservoir
    readout: Readout | None = None
    output_as_input: bool = False

    @property
    def n_outputs(self) -> int:
        """Number of outputs that come back; 0 if none does."""
        return 0 if self.readout is None else len(self.readout.intercept)


class TrajectoryBlock(NamedTuple):
    """Consecutive steps of several trajectories.

    Attributes
    ----------
    start : int
        The step of the first row.
    before : ndarray of shape (n_trajectories, n_units)
        x[start - 1].
    states : ndarray of shape (n_trajectories, n_rows, n_units)
        x[t].
    inputs : ndarray of shape (n_trajectories, n_rows, n_inputs)
        u[t].
    fed_back : ndarray of shape (n_trajectories, n_rows, n_outputs)
        y[t-1].
    """

    start: int
    before: Array
    states: Array
    inputs: Array
    fed_back: Array


def driven_system(model: Any) -> System:
    """Return the reservoir of a model as its inputs drive it.

    Parameters
    ----------
    model : fitted estimator or Reservoir
        Of an estimator with feedback weights, its own output is fed back, as in `predict`.

    Returns
    -------
    System

    Raises
    ------
    TypeError
        If `model` is neither.
    ValueError
        If it is a bare reservoir with feedback weights.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    if isinstance(model, Reservoir):
        if model.feedback is not None:
            raise ValueError(
                "`model` is a Reservoir with feedback weights, but nothing says what is fed back. "
                "Pass the fitted estimator, or `dataclasses.replace(reservoir, feedback=None)`."
            )
        return System(model)
    reservoir = fitted_reservoir(model)
    return System(reservoir, None if reservoir.feedback is None else model.readout_)


def free_system(model: Any) -> System:
    """Return the closed loop of an estimator, its forecasts being its inputs."""
    reservoir = fitted_reservoir(model)
    # Local reservoirs have a forecast as well, but no readout that sees one whole state.
    if not (hasattr(model, "forecast") and hasattr(model, "readout_")):
        raise TypeError(
            f"`model` is a {type(model).__name__}, but an estimator with a method `forecast` was "
            "expected. Pass an ESNRegressor fitted one step ahead."
        )
    readout = model.readout_
    if len(readout.intercept) != reservoir.n_inputs:
        raise ValueError(
            f"`model` has {reservoir.n_inputs} inputs and {len(readout.intercept)} outputs, but a "
            "free run feeds outputs back as inputs. Fit it on `series[:-1], series[1:]`."
        )
    if not np.array_equal(model.input_sources_, np.arange(reservoir.n_inputs)):
        raise ValueError(
            f"`model` has targets {list(model.target_names_in_)} and inputs "
            f"{list(model.feature_names_in_)}, but the same columns in the same order were "
            "expected. Fit it on `frame[:-1], frame[1:]`."
        )
    return System(reservoir, readout, output_as_input=True)


def fitted_reservoir(model: Any) -> Reservoir:
    """Return the `reservoir_` of a fitted estimator, or raise."""
    if isinstance(model, BaseEstimator):
        check_is_fitted(model)
    reservoir = getattr(model, "reservoir_", None)
    if not isinstance(reservoir, Reservoir):
        raise TypeError(
            f"`model` is a {type(model).__name__}, but an estimator with a fitted `reservoir_` "
            "was expected. Pass a fitted ESNRegressor or ReservoirTransformer."
        )
    return reservoir


def stream(
    system: System,
    inputs: Sequence[NDArray[Any]] | None,
    n_steps: int,
    initial_states: Array,
    *,
    initial_outputs: Array | None = None,
    state_noise: float = 0.0,
    generators: Sequence[np.random.Generator] | None = None,
    bar_of: str | None = None,
) -> Iterator[TrajectoryBlock]:
    """Yield the trajectories of a system, started and driven as told, some rows at a time.

    Parameters
    ----------
    system : System
        What runs.
    inputs : sequence of ndarray of shape (n_steps, n_inputs), or None
        u[t] of each trajectory; None where the output takes its place.
    n_steps : int
        Steps of each.
    initial_states : ndarray of shape (n_trajectories, n_units)
        x[-1] of each.
    initial_outputs : ndarray of shape (n_trajectories, n_outputs), optional
        y[-1] of each; zeros if left out.
    state_noise : float
        Standard deviation of noise inside the activation; not for a system with a readout.
    generators : sequence of numpy.random.Generator, optional
        One a trajectory; advanced.
    bar_of : str or None
        What a progress bar is called; None for no bar.

    Yields
    ------
    TrajectoryBlock
        Of arrays that are not overwritten later.
    """
    reservoir = system.reservoir
    n_trajectories = len(initial_states)
    state = np.array(initial_states, dtype=reservoir.dtype)
    output = np.zeros((n_trajectories, system.n_outputs), dtype=reservoir.dtype)
    if initial_outputs is not None:
        output[:] = initial_outputs
    n_rows = max(ROWS // n_trajectories, 64)
    with tqdm(total=n_steps, desc=bar_of, unit="step", disable=bar_of is None) as bar:
        for start in range(0, n_steps, n_rows):
            length = min(n_rows, n_steps - start)
            rows = slice(start, start + length)
            states = np.empty((n_trajectories, length, reservoir.n_units), dtype=reservoir.dtype)
            fed_back = np.empty((n_trajectories, length, system.n_outputs), dtype=reservoir.dtype)
            if system.readout is None and inputs is not None:
                for index, first, block in iterate_sequences(
                    reservoir,
                    [part[rows] for part in inputs],
                    initial_states=list(state),
                    state_noise=state_noise,
                    generators=generators,
                ):
                    states[index, first : first + len(block)] = block
            elif system.readout is not None:
                for index in range(n_trajectories):
                    ran = free_run(
                        reservoir,
                        system.readout,
                        length,
                        initial_state=state[index],
                        initial_output=output[index],
                        inputs=None if inputs is None else inputs[index][rows],
                        output_as_input=system.output_as_input,
                        return_states=True,
                    )
                    states[index] = ran.states
                    fed_back[index, 0], fed_back[index, 1:] = output[index], ran.outputs[:-1]
                    output[index] = ran.outputs[-1]
            driving = fed_back if inputs is None else np.stack([part[rows] for part in inputs])
            yield TrajectoryBlock(start, state, states, driving, fed_back)
            state = states[:, -1].copy()
            bar.update(length)


def check_inputs(X: Any, reservoir: Reservoir, washout: int) -> NDArray[Any]:
    """Return one finite input series that is longer than the washout, or raise."""
    inputs = as_series("X", X, reservoir.n_inputs)
    if not np.isfinite(inputs).all():
        raise ValueError("`X` holds NaN or infinity. Pass finite inputs.")
    if len(inputs) <= washout:
        raise ValueError(
            f"`X` has {len(inputs)} steps, but more than `washout` = {washout} were expected. "
            "Pass a longer series or lower `washout`."
        )
    return inputs


def draw_inputs(
    reservoir: Reservoir,
    shape: tuple[int, ...],
    input_range: Any,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return independent uniform inputs of the given shape and, last, n_inputs channels."""
    if reservoir.n_inputs == 0:
        raise ValueError(
            "`model` has no input, but its response to random input is asked for. Pass a "
            "reservoir with input weights."
        )
    try:
        low, high = input_range
    except (TypeError, ValueError):
        raise ValueError(
            f"`input_range` is {input_range!r}, but a pair of numbers was expected. "
            "Pass (low, high)."
        ) from None
    low = check_real("input_range[0]", low)
    high = check_real("input_range[1]", high, minimum=low, exclusive=True)
    return rng.uniform(low, high, size=(*shape, reservoir.n_inputs))


def draw_states(
    reservoir: Reservoir, n_states: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return states that are independent and uniform on [-1, 1] in each unit."""
    return rng.uniform(-1.0, 1.0, size=(n_states, reservoir.n_units))
