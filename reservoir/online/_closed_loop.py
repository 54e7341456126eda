"""FORCE: a readout learned while its own output, errors and all, is fed back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from reservoir.dynamics._bounds import as_bounds, find_departure, refuse_departure
from reservoir.dynamics._reservoir import DivergenceError, Reservoir
from reservoir.dynamics._series import LANE_PIECE, Noise, Series, as_series, as_vector
from reservoir.online._learner import Learner
from reservoir.online._stepping import Stepper
from reservoir.readout._features import FeatureMap
from reservoir.readout._rows import check_rows, raise_if_not_finite
from reservoir.utils.explained import explained
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.types import Array, Floats
from reservoir.utils.validation import check_integer, check_real


class ClosedLoopRun(NamedTuple):
    """What learning in closed loop gives.

    Attributes
    ----------
    outputs : ndarray of shape (n_steps, n_outputs)
        y[t] as it was fed back: before the readout learned from step t.
    final_state : ndarray of shape (n_units,)
        x after the last step; with the last output it is where to go on.
    """

    outputs: Floats
    final_state: Array


@explained
def learn_closed_loop(
    reservoir: Reservoir,
    learner: Learner,
    inputs: Any,
    targets: Any,
    *,
    feature_map: FeatureMap | None = None,
    sample_weight: Any = None,
    skip: int = 0,
    initial_state: Any = None,
    initial_output: Any = None,
    state_noise: float = 0.0,
    feedback_noise: float = 0.0,
    random_state: Any = None,
    output_bounds: Any = None,
    engine: str = "auto",
    progress: bool = False,
) -> ClosedLoopRun:
    r"""Learn a readout while the output is fed back: FORCE learning.

    .. math::

        x[t] = (1 - a)\, x[t-1] + a\, f\big(W x[t-1] + W_\mathrm{in} u[t]
            + W_\mathrm{fb}\, y[t-1] + b\big)

    .. math:: y[t] = W_\mathrm{out} s[t] + c,

    after which the learner takes (s[t], target[t]) in [1]_.

    Teacher forcing shows a network only its target; here its own output is fed back.
    Recursive least squares makes the error small within a few steps, so that from then on the
    output is all but the target, and what is left of the error is just what the free run must
    learn to be stable against. A reservoir that is chaotic on its own (a spectral radius of
    about 1.5) is tamed in this way.

    Parameters
    ----------
    reservoir : Reservoir
        With feedback weights.
    learner : Learner
        For as many features as `feature_map` makes; goes on from what it has learned.
    inputs : array-like of shape (n_steps, n_inputs)
        u[t].
    targets : array-like of shape (n_steps, n_outputs)
        What y[t] should be.
    feature_map : FeatureMap, optional
        What the readout sees; input and state if left out.
    sample_weight : array-like of shape (n_steps,), optional
        Weight of each step's squared error.
    skip : int, default 0
        Steps at the start that are run and not learned from.
    initial_state : array-like of shape (n_units,), optional
        x[-1]; zeros if left out.
    initial_output : array-like of shape (n_outputs,), optional
        y[-1]; zeros if left out.
    state_noise, feedback_noise : float, default 0.0
        Standard deviations of normal noise on the drive of each unit and on what is fed back.
    random_state : None, int, Generator, RandomState or SeedSequence
        Seed of the noise; a Generator is used as it is, and advanced.
    output_bounds : array-like of shape (2, n_outputs), optional
        Smallest and largest value that each output may take after the first `skip` steps; infinity
        alone stops the run without.
    engine : {"auto", "numpy", "numba"}, default "auto"
        As in `reservoir.dynamics.run`, for the recurrence.
    progress : bool, default False
        Whether to show a bar that counts steps.

    Returns
    -------
    ClosedLoopRun

    Raises
    ------
    ValueError
        If there are no feedback weights, or shapes do not fit together.
    DivergenceError
        If an output is not finite, or beyond its bounds; `outputs` holds those before.

    References
    ----------
    .. [1] Sussillo & Abbott (2009), Generating coherent patterns of activity from chaotic neural
       networks, Neuron 63, 544-557, eqs. 1-5.

    Examples
    --------
    >>> import numpy as np
    >>> from reservoir.online import RecursiveLeastSquares, learn_closed_loop
    >>> rng = np.random.default_rng(0)
    >>> chaotic = Reservoir(
    ...     recurrent=rng.normal(scale=1.5 / np.sqrt(100), size=(100, 100)),
    ...     input=np.empty((100, 0)), bias=rng.uniform(-0.1, 0.1, size=100),
    ...     feedback=rng.uniform(-1, 1, size=(100, 1)), leak_rate=0.1,
    ... )
    >>> sine = np.sin(2 * np.pi * np.arange(2000) / 60)[:, None]
    >>> rls = RecursiveLeastSquares(100, 1, alpha=1.0)
    >>> run = learn_closed_loop(chaotic, rls, np.empty((2000, 0)), sine)
    >>> bool(abs(run.outputs - sine)[-100:].max() < 0.05)
    True
    """
    if reservoir.feedback is None:
        raise ValueError(
            "`reservoir`.feedback is None, but weights that feed the output back were expected. "
            "Give the reservoir some, or learn from the states of a driven run."
        )
    inputs = as_series("inputs", inputs, reservoir.n_inputs)
    targets = as_series("targets", targets, reservoir.n_outputs, len(inputs))
    targets = targets.astype(np.float64, copy=False)
    raise_if_not_finite(inputs=inputs, targets=targets)
    feature_map = feature_map or FeatureMap()
    n_columns = feature_map.n_columns(reservoir.n_units, reservoir.n_inputs)
    if (learner.n_features, learner.n_targets) != (n_columns, reservoir.n_outputs):
        raise ValueError(
            f"`learner` is for {learner.n_features} features and {learner.n_targets} targets, but "
            f"there are {n_columns} and {reservoir.n_outputs}. Make it for as many."
        )
    n_steps, skip = len(inputs), check_integer("skip", skip)
    deviations = Noise(
        check_real("state_noise", state_noise, minimum=0),
        check_real("feedback_noise", feedback_noise, minimum=0),
    )
    generator = random_state
    if not any(deviations):
        generator = None
    elif not isinstance(random_state, np.random.Generator):
        generator = np.random.default_rng(seed_sequence(random_state))
    n_outputs = reservoir.n_outputs
    _, _, weights = check_rows(targets, targets, sample_weight, n_outputs, n_outputs)
    if weights is None:
        weights = np.ones(n_steps)

    stepper = Stepper(reservoir, feature_map, engine)
    outputs = np.zeros((n_steps, reservoir.n_outputs))
    bounds = as_bounds(output_bounds, reservoir.n_outputs, outputs.dtype)
    # What is written to `outputs` is fed back one step later.
    series = Series(
        inputs,
        outputs,
        as_vector("initial_state", initial_state, reservoir.n_units, reservoir.dtype),
        as_vector("initial_output", initial_output, reservoir.n_outputs, reservoir.dtype),
        deviations,
        generator,
    )
    for t in tqdm(range(n_steps), unit="step", unit_scale=True, disable=not progress):
        columns, noise = series.drive(t, t + 1)
        features = stepper.advance(series.state, columns, noise, t)
        now = slice(t, t + 1)
        if t < skip:
            outputs[t] = learner.map_rows(features)
        else:
            try:
                learner.update_rows(features, targets[now], weights[now], outputs[now])
            except DivergenceError as error:
                error.step, error.outputs = t, outputs[:t].copy()
                raise
        if t + 1 == n_steps or (t + 1) % LANE_PIECE == 0:
            first = t // LANE_PIECE * LANE_PIECE
            left = find_departure(outputs[first : t + 1], bounds, first, skip)
            refuse_departure(outputs, left)
    return ClosedLoopRun(outputs, series.state)
