"""A reservoir that stores several patterns, each recalled by its conceptor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from reservoir.conceptors._conceptors import check_finite, conceptor
from reservoir.dynamics._bounds import (
    OUTPUT_LIMIT,
    as_bounds,
    bounds_around,
    find_departure,
    range_of,
    refuse_departure,
)
from reservoir.dynamics._driven import iterate_sequences
from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import PIECE
from reservoir.estimators._base import ReservoirEstimator
from reservoir.readout._accumulator import RidgeAccumulator
from reservoir.readout._features import Readout
from reservoir.readout._solve import solve_ridge
from reservoir.utils.explained import explained
from reservoir.utils.persistence import require_array
from reservoir.utils.threads import with_few_threads
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Array, Floats
from reservoir.utils.validation import as_numbers, check_integer, check_real

_REMEDY = (
    "Take a bounded activation, a smaller `aperture`, or a mixture of conceptors that does not go "
    "beyond those stored."
)


class LoadedPatterns(NamedTuple):
    """What `load_patterns` gives.

    Attributes
    ----------
    reservoir : Reservoir
        It goes on with the patterns without input.
    readout : Readout
        From a state to the pattern.
    correlations : ndarray of shape (n_patterns, n_units, n_units)
        R of the states under each pattern.
    last_states : ndarray of shape (n_patterns, n_units)
        State at the last step of each pattern.
    """

    reservoir: Reservoir
    readout: Readout
    correlations: Floats
    last_states: Array


@explained
@with_few_threads
def load_patterns(
    reservoir: Reservoir,
    patterns: Sequence[Array],
    *,
    washout: int = 0,
    alpha: float = 1e-4,
    readout_alpha: float = 1e-2,
) -> LoadedPatterns:
    """Let a reservoir learn to do without input what it does under each of several patterns.

    The reservoir is driven by each pattern, x[t] = f(W* x[t-1] + W_in p[t] + b), and the weights
    of the new one do by themselves what input and weights did together [1]_,

        W x[t-1] ≈ W* x[t-1] + W_in p[t]   and   V x[t] + c ≈ p[t],

    by ridge regression over the steps of all patterns.

    Parameters
    ----------
    reservoir : Reservoir
        W*, W_in, b and f, of leak rate 1 and without feedback weights.
    patterns : sequence of ndarray of shape (n_steps, n_inputs)
        p, each from the zero state.
    washout : int, default=0
        Steps at the start of each that nothing is learned from.
    alpha, readout_alpha : float, default 1e-4 and 1e-2
        Ridge penalties of W and of V, beside squared errors summed over all steps.

    Returns
    -------
    LoadedPatterns

    Raises
    ------
    ValueError
        If a leak rate is not 1, or shapes do not fit.

    References
    ----------
    .. [1] Jaeger (2014), Controlling recurrent neural networks by conceptors, arXiv:1403.3369,
       section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> from reservoir.dynamics import Reservoir
    >>> unit = Reservoir(np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1), activation="identity")
    >>> halving = 0.5 ** np.arange(20.0)[:, None]
    >>> loaded = load_patterns(unit, [halving], washout=1, alpha=0.0, readout_alpha=0.0)
    >>> loaded.reservoir.recurrent.round(9)
    array([[0.5]])
    """
    _check_leak(reservoir)
    n_units, n_inputs = reservoir.n_units, reservoir.n_inputs
    weights = RidgeAccumulator(n_units, n_units, smallest_alpha=alpha)
    outputs = RidgeAccumulator(n_units, n_inputs, smallest_alpha=readout_alpha)
    sums = np.zeros((len(patterns), n_units, n_units))
    last_states = np.zeros((len(patterns), n_units), dtype=reservoir.dtype)
    for index, start, states in iterate_sequences(reservoir, patterns):
        before = np.vstack([last_states[index], states[:-1]])
        last_states[index] = states[-1]
        first = max(washout - start, 0)
        before, states = before[first:], states[first:]
        if len(states) == 0:
            continue
        inputs = patterns[index][start + first :][: len(states)]
        weights.update(before, (reservoir.recurrent @ before.T).T + inputs @ reservoir.input.T)
        outputs.update(states, inputs)
        exact = states.astype(np.float64, copy=False)
        sums[index] += exact.T @ exact
    counts = np.array([max(len(pattern) - washout, 1) for pattern in patterns])
    recurrent = solve_ridge(weights, alpha, fit_intercept=False).coef
    solution = solve_ridge(outputs, readout_alpha)
    loaded = replace(
        reservoir,
        recurrent=np.ascontiguousarray(recurrent, dtype=reservoir.dtype),
        input=np.empty((n_units, 0), dtype=reservoir.dtype),
    )
    readout = Readout(solution.coef, solution.intercept)
    return LoadedPatterns(loaded, readout, sums / counts[:, None, None], last_states)


@explained
def controlled_reservoir(reservoir: Reservoir, conceptor: ArrayLike) -> Reservoir:
    """Return the reservoir that a conceptor keeps to some of its states.

    x[t] = C z[t],   z[t] = f(W x[t-1] + W_in u[t] + b)   [1]_

    The states of the reservoir that is returned are z: it has C folded into W, and is run as any
    other. C brings them to x.

    Parameters
    ----------
    reservoir : Reservoir
        W, W_in, b and f, of leak rate 1.
    conceptor : array-like of shape (n_units, n_units)
        C.

    Returns
    -------
    Reservoir
        With the dense W C in place of W.

    Raises
    ------
    ValueError
        If the conceptor is not of as many units, or the leak rate is not 1.

    References
    ----------
    .. [1] Jaeger (2014), Controlling recurrent neural networks by conceptors, arXiv:1403.3369,
       eq. 4.

    Examples
    --------
    >>> import numpy as np
    >>> from reservoir.dynamics import Reservoir
    >>> from reservoir.dynamics import run
    >>> free = Reservoir(np.eye(2), np.zeros((2, 0)), np.zeros(2), activation="identity")
    >>> kept = controlled_reservoir(free, np.diag([1.0, 0.5]))
    >>> run(kept, np.empty((3, 0)), initial_state=[8.0, 8.0])
    array([[8., 4.],
           [8., 2.],
           [8., 1.]])
    """
    C = np.asarray(conceptor, dtype=reservoir.dtype)
    if C.shape != (reservoir.n_units,) * 2:
        raise ValueError(
            f"`conceptor` has shape {C.shape}, but the reservoir has {reservoir.n_units} units. "
            "Pass one of its own conceptors."
        )
    check_finite("conceptor", C)
    _check_leak(reservoir)
    return replace(reservoir, recurrent=np.ascontiguousarray(reservoir.recurrent @ C))


class ConceptorMemory(ReservoirEstimator):
    r"""Reservoir that stores several patterns in one W, and recalls each by its conceptor.

    Patterns drive a random reservoir; W learns to go on without them (`load_patterns`), and the
    states under each give its conceptor C. To recall a pattern, the reservoir runs by itself with
    C in the loop [1]_,

    .. math:: x[t] = C f(W x[t-1] + b), \qquad y[t] = V x[t] + c.

    Mixtures of conceptors give patterns in between.

    Read more in the guide: :doc:`/guide/adaptive`.

    Parameters
    ----------
    n_units : int, default=100
        Units of the reservoir.
    spectral_radius : float or None, default=1.5
        As in `ESNRegressor`; this, the scales and the normal distribution are those of [1]_.
    input_scaling : float or array-like of shape (n_features,), default=1.5
        As in `ESNRegressor`.
    bias_scaling : float, default=0.2
        As in `ESNRegressor`.
    connectivity, topology, activation
        As in `ESNRegressor`.
    distribution : {"uniform", "normal", "signs"}, default="normal"
        As in `ESNRegressor`.
    aperture : float, default=10.0
        α of the conceptors, positive: the larger, the more of a state they let through.
    washout : int, default=100
        Steps at the start of each pattern that nothing is learned from.
    alpha : float, default=1e-4
        Ridge penalty of W.
    readout_alpha : float, default=1e-2
        Ridge penalty of V.
    output_limit : float or None, default=3.0
        A recall stops with a DivergenceError where an output leaves the range of the patterns by
        more than this many times that range, as `ESNRegressor` says; None for infinity alone.
    dtype : {"float64", "float32"}, default="float64"
        Of weights and states; conceptors are always float64.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed of the weights.

    Attributes
    ----------
    reservoir_ : Reservoir
        Loaded with the patterns: W and b, without input.
    conceptors_ : ndarray of shape (n_patterns, n_units, n_units)
        C of each pattern.
    correlations_ : ndarray of shape (n_patterns, n_units, n_units)
        R of the states under each pattern.
    coef_ : ndarray of shape (n_features, n_units)
        V.
    intercept_ : ndarray of shape (n_features,)
        c.
    last_states_ : ndarray of shape (n_patterns, n_units)
        State at the last step of each pattern.
    output_range_, output_bounds_ : ndarray of shape (2, n_features)
        Smallest and largest value of the patterns, and what a recall may take.
    n_features_in_, feature_names_in_
        As in `ESNRegressor`.

    See Also
    --------
    reservoir.conceptors : What can be done with conceptors: logic, aperture, morphing.

    References
    ----------
    .. [1] Jaeger (2014), Controlling recurrent neural networks by conceptors, arXiv:1403.3369,
       sections 3.3-3.4 and 4.1.

    Examples
    --------
    Two sines; the first goes on for 100 steps where its 500 steps ended:

    >>> import numpy as np
    >>> from reservoir import ConceptorMemory
    >>> steps = np.arange(600)[:, None]
    >>> patterns = [np.sin(2 * np.pi * steps / period) for period in (8.83, 9.83)]
    >>> memory = ConceptorMemory(random_state=0).fit([pattern[:500] for pattern in patterns])
    >>> bool(abs(memory.recall(0, 100) - patterns[0][500:]).max() < 0.1)
    True
    """

    leak_rate = 1.0

    def __init__(
        self,
        n_units: int = 100,
        *,
        spectral_radius: float | None = 1.5,
        input_scaling: float | ArrayLike = 1.5,
        bias_scaling: float = 0.2,
        connectivity: float = 10,
        topology: Any = "random",
        distribution: str = "normal",
        activation: str | Callable[[Array], Array] = "tanh",
        aperture: float = 10.0,
        washout: int = 100,
        alpha: float = 1e-4,
        readout_alpha: float = 1e-2,
        output_limit: float | None = OUTPUT_LIMIT,
        dtype: Literal["float64", "float32"] = "float64",
        random_state: Any = None,
    ) -> None:
        self.n_units = n_units
        self.spectral_radius = spectral_radius
        self.input_scaling = input_scaling
        self.bias_scaling = bias_scaling
        self.connectivity = connectivity
        self.topology = topology
        self.distribution = distribution
        self.activation = activation
        self.aperture = aperture
        self.washout = washout
        self.alpha = alpha
        self.readout_alpha = readout_alpha
        self.output_limit = output_limit
        self.dtype = dtype
        self.random_state = random_state

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if not hasattr(self, "conceptors_"):
            return
        n_patterns, n_units = len(self.conceptors_), self.reservoir_.n_units
        for name in ("conceptors_", "correlations_"):
            require_array(name, getattr(self, name), (n_patterns, n_units, n_units))
        require_array("last_states_", self.last_states_, (n_patterns, n_units))
        require_array("coef_", self.coef_, (self.n_features_in_, n_units))
        require_array("intercept_", self.intercept_, (self.n_features_in_,))

    @transaction()
    @with_few_threads
    def fit(
        self,
        X: Any,
        y: Any = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Store patterns, one per sequence.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features), list of such, 3-D array, or panel
            One pattern or several.
        y : object
            Not used.
        groups : array-like of shape (n_steps,), optional
            Label of the pattern that each row of a 2-D `X` belongs to; contiguous.
        lengths : array-like of int of shape (n_patterns,), optional
            Steps of each pattern of a 2-D `X`.

        Returns
        -------
        ConceptorMemory
            Itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter is not as described, or a pattern is not longer than `washout`.
        """
        for name in ("alpha", "readout_alpha"):
            check_real(name, getattr(self, name), minimum=0)
        check_real("aperture", self.aperture, minimum=0, exclusive=True)
        patterns, layout = self._reader().inputs(X, groups, lengths, reset=True)
        self._check_washout(layout.lengths)
        loaded = load_patterns(
            self._draw_reservoir(patterns[0].shape[1]),
            patterns,
            washout=self.washout,
            alpha=self.alpha,
            readout_alpha=self.readout_alpha,
        )
        self.output_range_ = range_of(patterns)
        self.output_bounds_ = bounds_around(self.output_range_, self.output_limit)
        self.reservoir_ = loaded.reservoir
        self.coef_, self.intercept_ = loaded.readout.state, loaded.readout.intercept
        self.correlations_, self.last_states_ = loaded.correlations, loaded.last_states
        self.conceptors_ = np.array([conceptor(R, self.aperture) for R in loaded.correlations])
        return self

    @with_few_threads
    def recall(
        self,
        pattern: int | ArrayLike,
        n_steps: int,
        *,
        initial_state: ArrayLike | None = None,
        return_state: bool = False,
    ) -> Any:
        """Return what the reservoir produces under a conceptor, without input.

        Parameters
        ----------
        pattern : int or array-like of shape (n_units, n_units)
            Index of a stored pattern, or a conceptor, such as a mixture of `conceptors_`.
        n_steps : int
            Steps to run.
        initial_state : array-like of shape (n_units,), optional
            f(W x + b) at the step before, as it was before C. Left out: for a stored pattern, where
            its training ended, so that it goes on in phase; for a conceptor, zeros.
        return_state : bool, default=False
            Whether to return the last state as well, from which another recall may go on.

        Returns
        -------
        outputs : ndarray of shape (n_steps, n_features)
        state : ndarray of shape (n_units,)
            Only where asked for.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError, TypeError
            If there is no such pattern, or shapes do not fit.
        DivergenceError
            If an output leaves the range of the patterns by more than `output_limit`; `outputs`
            holds those before.
        """
        check_is_fitted(self, "conceptors_")
        n_steps = check_integer("n_steps", n_steps, minimum=1)
        if np.ndim(pattern) == 0:
            index = check_integer("pattern", pattern, maximum=len(self.conceptors_) - 1)
            pattern = self.conceptors_[index]
            initial_state = self.last_states_[index] if initial_state is None else initial_state
        if initial_state is not None:
            check_finite("initial_state", as_numbers("initial_state", initial_state, np.float64))
        dtype = self.reservoir_.dtype
        controlled = controlled_reservoir(self.reservoir_, pattern)
        coef = self.coef_ @ np.asarray(pattern, dtype=np.float64)
        bounds = as_bounds(getattr(self, "output_bounds_", None), len(coef), dtype)
        outputs = np.empty((n_steps, len(coef)), dtype=dtype)
        blocks = iterate_sequences(
            controlled,
            [np.empty((n_steps, 0), dtype=dtype)],
            initial_states=[initial_state],
            chunk_size=PIECE,
        )
        for _, start, states in blocks:
            rows = slice(start, start + len(states))
            outputs[rows] = states @ coef.T + self.intercept_
            refuse_departure(outputs, find_departure(outputs[rows], bounds, start), _REMEDY)
        return (outputs, states[-1].copy()) if return_state else outputs


def _check_leak(reservoir: Reservoir) -> None:
    """Raise unless units have no memory of their own."""
    if not reservoir.is_leaky:
        raise ValueError(
            "`reservoir.carry` is not 'leak', but a conceptor acts on units without memory of "
            "their own. Use that, and a leak rate of 1."
        )
    if np.any(np.asarray(reservoir.leak_rate) != 1):
        raise ValueError(
            "`reservoir.leak_rate` is below 1, but a conceptor acts on units without memory of "
            "their own. Use a leak rate of 1."
        )
