"""Echo state index and consistency: whether a reservoir forgets where it started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reservoir.diagnostics._system import check_inputs, draw_states, driven_system, stream
from reservoir.utils.explained import explained
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Floats
from reservoir.utils.validation import check_integer, check_real


@dataclass(frozen=True)
class EchoStateIndex:
    """What `echo_state_index` gives.

    Attributes
    ----------
    distances : ndarray of shape (n_steps, n_starts)
        Root mean square over the units of x_i[t] - x_0[t], at each step, the washout included.
    washout : int
        Steps that the index leaves out.
    """

    distances: Floats
    washout: int

    @property
    def index(self) -> float:
        """Mean distance after the washout; 0 for a reservoir that forgets its start."""
        return float(self.distances[self.washout :].mean())


@dataclass(frozen=True)
class Consistency:
    """What `consistency` gives.

    Attributes
    ----------
    units : ndarray of shape (n_units,)
        Replica correlation of each unit, from -1 to 1; NaN for a unit that does not move.
    """

    units: Floats

    @property
    def mean(self) -> float:
        """Mean over the units that move; NaN if none does."""
        moving = self.units[~np.isnan(self.units)]
        return float(moving.mean()) if moving.size else float("nan")


@explained
@with_few_threads
def echo_state_index(
    model: Any,
    X: Any,
    *,
    n_starts: int = 10,
    washout: int = 100,
    random_state: Any = None,
    progress: bool = False,
) -> EchoStateIndex:
    """Return how far apart the same input leaves states that started apart.

    ESI = mean_{i, t ≥ washout} ‖x_i[t] - x_0[t]‖ / √N   [1]_

    x_0 starts from zero, each x_i from a state drawn uniformly from [-1, 1]^N. A reservoir with
    the echo state property forgets its start: the index goes to 0 as the washout grows. (In
    [1]_ the distance is not divided by √N.)

    Parameters
    ----------
    model : fitted estimator or Reservoir
        What is driven; of an estimator the `reservoir_`, to which with feedback weights its
        own output is fed back.
    X : array-like of shape (n_steps, n_inputs)
        One input series. The echo state property belongs to a reservoir and its kind of input.
    n_starts : int, default=10
        Number of random starts.
    washout : int, default=100
        Steps that do not count.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seed of the starts.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    EchoStateIndex
        With `index` and `distances`.

    Raises
    ------
    TypeError, ValueError
        If `model` cannot be driven, or an argument is out of its range.
    sklearn.exceptions.NotFittedError
        If `model` is not fitted.

    Examples
    --------
    A linear ring of weight 0.5 halves distances at each step:

    >>> import numpy as np
    >>> from reservoir.dynamics import Reservoir
    >>> ring = Reservoir(recurrent=0.5 * np.roll(np.eye(4), 1, axis=0), input=np.eye(4, 1),
    ...                  bias=np.zeros(4), activation="identity")
    >>> result = echo_state_index(ring, np.ones((30, 1)), washout=20, random_state=0)
    >>> bool(np.allclose(result.distances[6] / result.distances[5], 0.5))
    True
    >>> result.index < 1e-6
    True

    References
    ----------
    .. [1] Gallicchio (2018), Chasing the echo state property, arXiv:1811.10892.
    """
    system = driven_system(model)
    n_starts = check_integer("n_starts", n_starts, minimum=1)
    washout = check_integer("washout", washout)
    inputs = check_inputs(X, system.reservoir, washout)
    rng = np.random.default_rng(seed_sequence(random_state))
    starts = draw_states(system.reservoir, n_starts + 1, rng)
    starts[0] = 0.0
    distances = np.empty((len(inputs), n_starts))
    for block in stream(
        system,
        [inputs] * len(starts),
        len(inputs),
        starts,
        bar_of="echo state index" if progress else None,
    ):
        apart = block.states[1:] - block.states[0]
        rows = slice(block.start, block.start + block.states.shape[1])
        distances[rows] = np.sqrt(np.mean(np.square(apart, dtype=np.float64), axis=2)).T
    return EchoStateIndex(distances, washout)


@explained
@with_few_threads
def consistency(
    model: Any,
    X: Any,
    *,
    state_noise: float = 0.0,
    washout: int = 100,
    random_state: Any = None,
    progress: bool = False,
) -> Consistency:
    """Return how alike two runs on the same input are: the replica correlation.

    γ_i² = corr_t( x_i[t], x'_i[t] )   [1]_ [2]_

    x and x' have the same input, start from different random states and, where asked for, have
    noise of their own inside the activation. γ² = 1 says that a unit is a function of the input
    alone; what is below is not reproducible and of no use to a readout.

    Parameters
    ----------
    model : fitted estimator or Reservoir
        What is driven; of an estimator the `reservoir_`, to which with feedback weights its
        own output is fed back.
    X : array-like of shape (n_steps, n_inputs)
        One input series.
    state_noise : float, default=0.0
        Standard deviation of independent normal noise on the drive of each unit; not for a
        model with feedback weights.
    washout : int, default=100
        Steps that do not count.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seed of starts and noise.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    Consistency
        With `units` and `mean`.

    Raises
    ------
    TypeError, ValueError
        If `model` cannot be driven, or an argument is out of its range.
    sklearn.exceptions.NotFittedError
        If `model` is not fitted.

    Examples
    --------
    A unit with an input of variance 1/3 and noise of variance 1/3 is consistent by half:

    >>> import numpy as np
    >>> from reservoir.dynamics import Reservoir
    >>> unit = Reservoir(recurrent=np.zeros((1, 1)), input=np.ones((1, 1)), bias=np.zeros(1),
    ...                  activation="identity")
    >>> u = np.random.default_rng(0).uniform(-1, 1, size=(20000, 1))
    >>> round(consistency(unit, u, state_noise=3**-0.5, random_state=0).mean, 1)
    0.5

    References
    ----------
    .. [1] Uchida, McAllister & Roy (2004), Consistency of nonlinear system response to complex
       drive signals, Physical Review Letters 93, 244102.
    .. [2] Lymburn, Khor, Stemler, Corrêa, Small & Jüngling (2019), Consistency in echo-state
       networks, Chaos 29, 023118.
    """
    system = driven_system(model)
    washout = check_integer("washout", washout)
    state_noise = check_real("state_noise", state_noise, minimum=0)
    if state_noise and system.readout is not None:
        raise ValueError(
            f"`state_noise` is {state_noise}, but `model` feeds its own output back, and such a "
            "run has no noise. Leave it out."
        )
    inputs = check_inputs(X, system.reservoir, washout)
    if len(inputs) < washout + 2:
        raise ValueError(
            f"`X` has {len(inputs)} steps, but a correlation needs two or more after `washout` = "
            f"{washout}. Pass a longer series or lower `washout`."
        )
    starts_seed, *noise_seeds = seed_sequence(random_state).spawn(3)
    starts = draw_states(system.reservoir, 2, np.random.default_rng(starts_seed))
    n, shift = 0, np.zeros(0)
    sums, products = np.zeros((2, system.reservoir.n_units)), np.zeros((3, len(starts[0])))
    for block in stream(
        system,
        [inputs, inputs],
        len(inputs),
        starts,
        state_noise=state_noise,
        generators=[np.random.default_rng(seed) for seed in noise_seeds],
        bar_of="consistency" if progress else None,
    ):
        rows = block.states[:, max(washout - block.start, 0) :].astype(np.float64)
        if not rows.shape[1]:
            continue
        if not n:
            # About a point that the units reach, sums of squares keep their digits.
            shift = rows[0, 0].copy()
        x, other = rows - shift
        n += len(x)
        sums += (x.sum(axis=0), other.sum(axis=0))
        for product, (left, right) in zip(products, ((x, x), (other, other), (x, other))):
            product += np.einsum("ij,ij->j", left, right)
    own = products[:2] - sums**2 / n
    shared = products[2] - sums[0] * sums[1] / n
    is_still = np.any(own <= np.finfo(np.float64).eps * products[:2], axis=0)
    units = np.full(len(shared), np.nan)
    moving = ~is_still
    units[moving] = shared[moving] / np.sqrt(own[0, moving] * own[1, moving])
    return Consistency(np.clip(units, -1.0, 1.0))
