"""Lyapunov exponents: how fast neighbouring states of a reservoir part or meet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from reservoir.diagnostics._system import (
    System,
    TrajectoryBlock,
    check_inputs,
    driven_system,
    free_system,
    stream,
)
from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics.loops._maps import drive_weights
from reservoir.utils.explained import explained
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Floats
from reservoir.utils.validation import check_integer, check_real

# Stretches of a run whose means give the standard error.
_STRETCHES = 20


@dataclass(frozen=True)
class LyapunovExponents:
    """What `driven_lyapunov_exponents` and `free_lyapunov_exponents` give.

    Attributes
    ----------
    exponents : ndarray of shape (n_exponents,)
        λ_1 ≥ λ_2 ≥ ..., natural logarithms per time unit; -inf for directions that vanish.
    standard_errors : ndarray of shape (n_exponents,)
        Of each, from the means over 20 stretches of the run.
    """

    exponents: Floats
    standard_errors: Floats

    @property
    def largest(self) -> float:
        """λ_1: negative where neighbours meet, positive where they part (chaos)."""
        return float(self.exponents[0])


@explained
@with_few_threads
def driven_lyapunov_exponents(
    model: Any,
    X: Any,
    *,
    n_exponents: int = 1,
    washout: int = 100,
    dt: float = 1.0,
    random_state: Any = None,
    progress: bool = False,
) -> LyapunovExponents:
    r"""Return the (conditional) Lyapunov exponents of a reservoir under an input.

    λ_i = lim_T 1 / (T dt) Σ_t log R_ii[t],   Q[t] R[t] = J[t] Q[t-1]   [1]_

    .. math:: J[t] = \operatorname{diag}(1 - a) + \operatorname{diag}(a f'(z[t]))\, W

    J is the Jacobian of one step, at the pre-activation z[t]; the factorization at each step
    keeps the directions apart. The largest exponent is negative where the reservoir forgets its
    start and positive where the input does not tame its chaos [2]_. The output of an
    estimator with feedback weights is fed back, and its way through the readout is part of J.

    Parameters
    ----------
    model : fitted estimator or Reservoir
        What is driven.
    X : array-like of shape (n_steps, n_inputs)
        One input series; of shape (n_steps, 0) for a reservoir without inputs.
    n_exponents : int, default=1
        How many, from the largest on; all N for the spectrum. A step costs about
        N · n_exponents².
    washout : int, default=100
        Steps that do not count; they bring the state and the directions into place.
    dt : float, default=1.0
        Time between two steps. At 1 the result is per step.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seed of the first directions.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    LyapunovExponents
        With `exponents`, `standard_errors` and `largest`.

    Raises
    ------
    TypeError, ValueError
        If `model` cannot be driven, or an argument is out of its range.
    sklearn.exceptions.NotFittedError
        If `model` is not fitted.

    Notes
    -----
    The derivative of an activation that is a callable is taken by central differences, with an
    error of about 1e-10; that of the named ones is exact.

    Examples
    --------
    Linear units: the logarithms of the absolute eigenvalues.

    >>> import numpy as np
    >>> from reservoir.dynamics import Reservoir
    >>> units = Reservoir(recurrent=np.diag([0.5, 2.0]), input=np.zeros((2, 0)),
    ...                   bias=np.zeros(2), activation="identity")
    >>> result = driven_lyapunov_exponents(units, np.zeros((200, 0)), n_exponents=2,
    ...                                    random_state=0)
    >>> np.exp(result.exponents).round(12)
    array([2. , 0.5])

    References
    ----------
    .. [1] Geist, Parlitz & Lauterborn (1990), Comparison of different methods for computing
       Lyapunov exponents, Progress of Theoretical Physics 83.
    .. [2] Verstraeten & Schrauwen (2009), On the quantification of dynamics in reservoir
       computing, ICANN 2009.
    """
    system = driven_system(model)
    washout, dt = _check_run(washout, dt)
    inputs = check_inputs(X, system.reservoir, washout)
    start = np.zeros((1, system.reservoir.n_units))
    blocks = stream(
        system, [inputs], len(inputs), start, bar_of="Lyapunov exponents" if progress else None
    )
    return _exponents(system, blocks, len(inputs), n_exponents, washout, dt, random_state)


@explained
@with_few_threads
def free_lyapunov_exponents(
    model: Any,
    n_steps: int,
    *,
    X: Any = None,
    n_exponents: int = 1,
    washout: int = 100,
    dt: float = 1.0,
    random_state: Any = None,
    progress: bool = False,
) -> LyapunovExponents:
    r"""Return the Lyapunov exponents of a forecaster that runs on its own output.

    As `driven_lyapunov_exponents`, with u[t] = y[t-1] as in `ESNRegressor.forecast`:

    .. math::

        J[t] = \operatorname{diag}(1 - a) + \operatorname{diag}(a f'(z[t]))
            \big(W + (W_\mathrm{in} + W_\mathrm{fb}) (V_x + 2 V_q \operatorname{diag}(x[t-1]))\big)

    A model of a chaotic system should have the exponents of that system, followed by those of
    the reservoir's own contraction [1]_. Where the readout sees its input, y[t-1] is part of the
    state, which then has N + n_outputs dimensions.

    Parameters
    ----------
    model : fitted estimator
        With a method `forecast`: trained one step ahead.
    n_steps : int
        Steps of the free run, the washout included.
    X : array-like of shape (n_context, n_features), optional
        Context from which the run goes on; without it, it goes on from the training data.
    n_exponents : int, default=1
        How many, from the largest on.
    washout : int, default=100
        Steps of the free run that do not count.
    dt : float, default=1.0
        Time between two steps. At 1 the result is per step.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seed of the first directions.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    LyapunovExponents
        With `exponents`, `standard_errors` and `largest`.

    Raises
    ------
    TypeError, ValueError
        If `model` does not forecast, or an argument is out of its range.
    sklearn.exceptions.NotFittedError
        If `model` is not fitted.
    DivergenceError
        If an output of the free run is not finite.

    Examples
    --------
    A sine is a limit cycle: neighbours on it neither part nor meet.

    >>> import numpy as np
    >>> from reservoir import ESNRegressor
    >>> series = np.sin(0.2 * np.arange(1001))[:, None]
    >>> esn = ESNRegressor(n_units=50, washout=50, alpha=1e-8, random_state=0)
    >>> esn = esn.fit(series[:-1], series[1:])
    >>> abs(free_lyapunov_exponents(esn, 2000, random_state=0).largest) < 0.01
    True

    References
    ----------
    .. [1] Pathak, Lu, Hunt, Girvan & Ott (2017), Using machine learning to replicate chaotic
       attractors and calculate Lyapunov exponents from data, Chaos 27, 121102.
    """
    system = free_system(model)
    washout, dt = _check_run(washout, dt)
    n_steps = check_integer(
        "n_steps", n_steps, minimum=washout + 1, remedy="Pass more steps than `washout`."
    )
    states, outputs = model.forecast_start(X)
    if len(states) != 1:
        raise ValueError(f"`X` holds {len(states)} series, but one was expected. Pass one context.")
    blocks = stream(
        system,
        None,
        n_steps,
        states,
        initial_outputs=outputs,
        bar_of="Lyapunov exponents" if progress else None,
    )
    return _exponents(system, blocks, n_steps, n_exponents, washout, dt, random_state)


def _check_run(washout: int, dt: float) -> tuple[int, float]:
    return check_integer("washout", washout), check_real("dt", dt, minimum=0, exclusive=True)


def _exponents(
    system: System,
    blocks: Iterable[TrajectoryBlock],
    n_steps: int,
    n_exponents: int,
    washout: int,
    dt: float,
    random_state: Any,
) -> LyapunovExponents:
    """Carry orthonormal directions along a trajectory and average their growth."""
    jacobian = Jacobian(system)
    n_exponents = check_integer(
        "n_exponents", n_exponents, minimum=1, maximum=jacobian.n_dimensions
    )
    rng = np.random.default_rng(seed_sequence(random_state))
    directions, _ = np.linalg.qr(rng.standard_normal((jacobian.n_dimensions, n_exponents)))
    n_stretches = min(_STRETCHES, n_steps - washout)
    edges = np.linspace(washout, n_steps, n_stretches + 1).astype(np.intp)
    growth = np.zeros((n_stretches, n_exponents))
    # A direction that vanishes has the logarithm -inf.
    with np.errstate(divide="ignore"):
        for block in blocks:
            for step, advance in enumerate(jacobian.along(block), start=block.start):
                directions, triangle = np.linalg.qr(advance(directions))
                if step >= washout:
                    stretch = np.searchsorted(edges, step, side="right") - 1
                    growth[stretch] += np.log(np.abs(np.diagonal(triangle)))
    total = growth.sum(axis=0)
    order = np.argsort(-total, kind="stable")
    exponents = total[order] / ((n_steps - washout) * dt)
    rates = growth[:, order] / (np.diff(edges)[:, None] * dt)
    errors = np.full(n_exponents, np.nan)
    finite = np.isfinite(rates).all(axis=0)
    if n_stretches > 1:
        errors[finite] = rates[:, finite].std(axis=0, ddof=1) / np.sqrt(n_stretches)
    return LyapunovExponents(exponents, errors)


class Jacobian:
    """The derivative of one step of a system, applied to directions.

    δx[t] = (1 - a) δx[t-1] + a f'(z[t]) (W δx[t-1] + F δy[t-1])

    where a reservoir that carries O x[t-1] has (1 - a) O in place of 1 - a, and Euler's form 1,

    δy[t] = (V_x + 2 V_q diag(x[t])) δx[t] + V_y δy[t-1]

    with F what a fed-back output adds to each drive. Without V_y, y is a function of x, and
    directions are δx alone; with it, they are (δx, δy).

    Parameters
    ----------
    system : System
        What is differentiated.
    """

    def __init__(self, system: System) -> None:
        reservoir, readout = system.reservoir, system.readout
        self._reservoir = reservoir
        self._read_state = np.zeros((0, reservoir.n_units)) if readout is None else readout.state
        self._read_squares = None if readout is None else readout.squares
        self._recurrent = reservoir.recurrent.astype(np.float64)
        self._drive_weights = drive_weights(reservoir).astype(np.float64)
        self._derivative = _derivative_of(reservoir)
        self._leak_rate = np.asarray(reservoir.leak_rate, dtype=np.float64)
        self._feedback = np.zeros((reservoir.n_units, system.n_outputs))
        self._output_map = None
        if reservoir.feedback is not None:
            self._feedback += reservoir.feedback
        if system.output_as_input:
            self._feedback += reservoir.input
            self._output_map = None if readout is None else readout.input
        has_memory = self._output_map is not None
        self.n_dimensions = reservoir.n_units + has_memory * system.n_outputs

    def along(self, block: TrajectoryBlock) -> Iterable[Callable[[Floats], Floats]]:
        """Give the derivative of each step of a block (of one trajectory) as a function."""
        before = np.concatenate([block.before[:1], block.states[0, :-1]]).astype(np.float64)
        columns = [block.inputs[0], np.ones((len(before), 1))]
        if self._reservoir.feedback is not None:
            columns.insert(1, block.fed_back[0])
        drive = np.concatenate(columns, axis=1, dtype=np.float64) @ self._drive_weights
        drive += (self._recurrent @ before.T).T
        gains = self._leak_rate * self._derivative(drive)
        kept = self._reservoir.kept * np.ones(self._reservoir.n_units)
        for previous, state, gain in zip(before, block.states[0], gains):
            yield self._step(previous, state, gain[:, None], kept[:, None])

    def _step(
        self, previous: Floats, state: Floats, gain: Floats, kept: Floats
    ) -> Callable[[Floats], Floats]:
        n_units = self._reservoir.n_units

        def advance(directions: Floats) -> Floats:
            states = directions[:n_units]
            drive: Floats = self._recurrent @ states
            outputs = directions[n_units:]
            if self._output_map is None:
                outputs = self._read(previous, states)
            drive += self._feedback @ outputs
            moved: Floats = kept * self._reservoir.carried(states) + gain * drive
            if self._output_map is None:
                return moved
            outputs = self._read(state, moved) + self._output_map @ outputs
            return np.concatenate([moved, outputs])

        return advance

    def _read(self, state: Floats, directions: Floats) -> Floats:
        """Return (V_x + 2 V_q diag(x)) δx."""
        outputs: Floats = np.asarray(self._read_state @ directions, dtype=np.float64)
        if self._read_squares is not None:
            outputs += self._read_squares @ (2.0 * state[:, None] * directions)
        return outputs


def _derivative_of(reservoir: Reservoir) -> Callable[[Floats], Floats]:
    """Return the function z -> f'(z) for rows z of drives."""
    activation = reservoir.activation
    if callable(activation):
        # Columns, since an activation may treat the units, its first axis, differently.
        def differences(z: Floats) -> Floats:
            width = np.cbrt(np.finfo(np.float64).eps) * np.maximum(1.0, np.abs(z.T))
            rise = activation(z.T + width) - activation(z.T - width)
            return np.asarray(rise / (2.0 * width), dtype=np.float64).T

        return differences
    return _DERIVATIVES[activation]


def _tanh_derivative(z: Floats) -> Floats:
    # 1 - tanh² would be 0 where a unit is far in saturation.
    derivative: Floats = 1.0 / np.square(np.cosh(np.clip(z, -300.0, 300.0)))
    return derivative


_DERIVATIVES: dict[str, Callable[[Floats], Floats]] = {
    "tanh": _tanh_derivative,
    "relu": lambda z: (z > 0).astype(np.float64),
    "identity": np.ones_like,
    "logistic": lambda z: np.asarray(expit(z) * expit(-z), dtype=np.float64),
}
