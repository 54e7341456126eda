"""Memory and information processing capacity: what a linear readout can know of past inputs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import svd
from scipy.special import eval_legendre
from scipy.stats import chi2

from reservoir.diagnostics._system import System, draw_inputs, driven_system, stream
from reservoir.readout._factored import FactoredSystem
from reservoir.readout._normal_equations import NormalEquations
from reservoir.readout._sums import GramAccumulator, QRAccumulator
from reservoir.utils.explained import explained
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Floats
from reservoir.utils.validation import check_integer, check_real

# One factor of a basis function: (delay in steps, input channel, degree of the polynomial).
Factor = tuple[int, int, int]


@dataclass(frozen=True)
class MemoryCapacity:
    """What `memory_capacity` gives.

    Attributes
    ----------
    delays : ndarray of int of shape (n_delays,)
        k = 1, 2, ..., steps.
    curve : ndarray of shape (n_delays, n_inputs)
        MC_k of each input channel; about 0 where nothing is remembered, 1 where all is.
    rank : int
        Number of directions of the state space that the readout can use.
    """

    delays: NDArray[np.intp]
    curve: Floats
    rank: int

    @property
    def total(self) -> float:
        """MC, the sum over delays and channels."""
        return float(self.curve.sum())


@dataclass(frozen=True)
class InformationProcessingCapacity:
    """What `information_processing_capacity` gives.

    Attributes
    ----------
    functions : list of tuple of (delay, channel, degree)
        The basis functions, each as the factors P_degree(u_channel[t - delay]) of a product.
    capacities : ndarray of shape (n_functions,)
        C of each; 0 where it could be chance.
    degrees : ndarray of int of shape (n_functions,)
        Total degree of each function.
    rank : int
        Number of directions of the state space that the readout can use; bounds the total.
    """

    functions: list[tuple[Factor, ...]]
    capacities: Floats
    degrees: NDArray[np.intp]
    rank: int

    @property
    def total(self) -> float:
        """The sum of all capacities."""
        return float(self.capacities.sum())

    @property
    def by_degree(self) -> Floats:
        """Sums of the capacities of degree 1, 2, ...: (max_degree,)."""
        return np.asarray(np.bincount(self.degrees - 1, self.capacities), dtype=np.float64)


@explained
@with_few_threads
def memory_capacity(
    model: Any,
    *,
    max_delay: int | None = None,
    n_steps: int = 5000,
    washout: int = 200,
    input_range: tuple[float, float] = (-1.0, 1.0),
    random_state: Any = None,
    progress: bool = False,
) -> MemoryCapacity:
    """Return how well a linear readout recalls each past input, and the sum of it.

    MC = Σ_{k ≥ 1} MC_k,    MC_k = max_w r²(u[t - k], wᵀx[t])   [1]_

    for independent, uniform input. N units hold at most N of it; linear units with independent
    states hold all of N, delay 0 included [1]_. On n steps a readout of p directions explains
    p / (n - 1) of anything by chance, which would grow with every further delay: here

    MC_k = 1 - (1 - R²) (n - 1) / (n - 1 - p),

    which is 0 on average where there is nothing to recall, so that a single value may be
    slightly negative. The readout is a least-squares fit to the states alone, on axes that an
    orthogonal factorization of them gives; directions that rounding may have made are left out.

    Parameters
    ----------
    model : fitted estimator or Reservoir
        What is driven; of an estimator the `reservoir_`, to which with feedback weights its
        own output is fed back.
    max_delay : int, optional
        Longest delay, steps; 2 N if left out.
    n_steps : int, default=5000
        n, steps after the washout.
    washout : int, default=200
        Steps that are run first; `max_delay` if that is more.
    input_range : tuple of float, default=(-1.0, 1.0)
        Lowest and highest input. The result holds for inputs of about this size.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seed of the input.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    MemoryCapacity
        With `total`, `delays` and `curve`.

    Raises
    ------
    TypeError, ValueError
        If `model` cannot be driven, or an argument is out of its range.
    sklearn.exceptions.NotFittedError
        If `model` is not fitted.

    Examples
    --------
    A delay line of four linear units holds the input of now and of three steps before:

    >>> import numpy as np
    >>> from reservoir.dynamics import Reservoir
    >>> line = Reservoir(recurrent=np.eye(4, k=-1), input=np.eye(4, 1), bias=np.zeros(4),
    ...                  activation="identity")
    >>> result = memory_capacity(line, max_delay=5, random_state=0)
    >>> result.curve[:, 0].round(2) + 0.0
    array([1., 1., 1., 0., 0.])
    >>> round(result.total, 1)
    3.0

    References
    ----------
    .. [1] Jaeger (2001), Short term memory in echo state networks, GMD report 152.
    """
    system = driven_system(model)
    n_units, n_inputs = system.reservoir.n_units, system.reservoir.n_inputs
    if max_delay is None:
        max_delay = 2 * n_units
    max_delay = check_integer("max_delay", max_delay, minimum=1)
    n_steps = _check_steps(n_steps, n_units)
    washout = max(check_integer("washout", washout), max_delay)
    delays = np.arange(1, max_delay + 1)
    rng = np.random.default_rng(seed_sequence(random_state))
    inputs = draw_inputs(system.reservoir, (washout + n_steps,), input_range, rng)

    def targets(start: int, stop: int, columns: slice) -> Floats:
        past: Floats = inputs[np.arange(start, stop)[:, None] - delays]
        return past.reshape(stop - start, -1)[:, columns]

    _, corrected, rank = _explained(
        system, inputs, washout, targets, max_delay * n_inputs, "memory capacity", progress
    )
    return MemoryCapacity(delays, corrected.reshape(max_delay, n_inputs), rank)


@explained
@with_few_threads
def information_processing_capacity(
    model: Any,
    *,
    max_delays: Sequence[int] = (50, 20, 10),
    n_steps: int = 20_000,
    washout: int = 200,
    input_range: tuple[float, float] = (-1.0, 1.0),
    false_positive_rate: float = 1e-4,
    random_state: Any = None,
    progress: bool = False,
) -> InformationProcessingCapacity:
    """Return which functions of the past input a linear readout can compute, and how well.

    C[z] = 1 - min_w Σ_t (z[t] - wᵀx[t])² / Σ_t z[t]²   [1]_

    z[t] = Π_i P_{d_i}(v[t - k_i]) over an orthogonal basis of products of Legendre polynomials,
    with v the input, independent and uniform, brought to [-1, 1]. Over a complete basis the sum
    is at most the number N of units, and N where the states are independent and forget [1]_:
    a budget that is divided among memory (degree 1) and nonlinear computation.

    By chance a readout of p directions explains a share of n steps that is distributed as
    χ²(p) / n. A capacity below the 1 - `false_positive_rate` quantile of this counts as 0, and what
    remains is corrected for chance as in `memory_capacity`. The rate is nominal, as products of
    inputs are not normal: 0.018 was measured for 0.01. Functions of small capacity are lost to the
    threshold, so that the total is rather too low than too high.

    Parameters
    ----------
    model : fitted estimator or Reservoir
        What is driven; of an estimator the `reservoir_`, to which with feedback weights its
        own output is fed back.
    max_delays : sequence of int, default=(50, 20, 10)
        Number of delays, 0 included, that products of total degree 1, 2, ... reach back; its
        length is the highest degree. Degree d with L delays has about L^d / d! functions.
    n_steps : int, default=20000
        n, steps after the washout. Functions of small capacity need more to be seen.
    washout : int, default=200
        Steps that are run first; the longest delay if that is more.
    input_range : tuple of float, default=(-1.0, 1.0)
        Lowest and highest input.
    false_positive_rate : float in (0, 1], default=1e-4
        Chance for a function of no capacity to be taken for one; 1 sets no threshold.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seed of the input.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    InformationProcessingCapacity
        With `total`, `by_degree`, `functions` and `capacities`.

    Raises
    ------
    TypeError, ValueError
        If `model` cannot be driven, or an argument is out of its range.
    sklearn.exceptions.NotFittedError
        If `model` is not fitted.

    Examples
    --------
    A unit that squares its input computes one function of degree two, and nothing else:

    >>> import numpy as np
    >>> from reservoir.dynamics import Reservoir
    >>> square = Reservoir(recurrent=np.zeros((1, 1)), input=np.ones((1, 1)), bias=np.zeros(1),
    ...                    activation=np.square)
    >>> result = information_processing_capacity(square, max_delays=(3, 3), random_state=0)
    >>> result.by_degree.round(6)
    array([0., 1.])
    >>> result.functions[int(result.capacities.argmax())]
    ((0, 0, 2),)

    References
    ----------
    .. [1] Dambre, Verstraeten, Schrauwen & Massar (2012), Information processing capacity of
       dynamical systems, Scientific Reports 2, 514.
    """
    system = driven_system(model)
    n_steps = _check_steps(n_steps, system.reservoir.n_units)
    reach = _check_delays(max_delays)
    rate = check_real(
        "false_positive_rate", false_positive_rate, minimum=0, maximum=1, exclusive=True
    )
    washout = max(check_integer("washout", washout), *reach)
    rng = np.random.default_rng(seed_sequence(random_state))
    inputs = draw_inputs(system.reservoir, (washout + n_steps,), input_range, rng)
    low, high = input_range
    unit_inputs = (2.0 * inputs - (low + high)) / (high - low)
    functions = list(_basis(reach, system.reservoir.n_inputs))
    polynomials = [eval_legendre(degree, unit_inputs) for degree in range(len(reach) + 1)]

    def targets(start: int, stop: int, columns: slice) -> Floats:
        chosen = functions[columns]
        out = np.ones((stop - start, len(chosen)))
        for column, function in zip(out.T, chosen, strict=True):
            for delay, channel, degree in function:
                column *= polynomials[degree][start - delay : stop - delay, channel]
        return out

    raw, corrected, rank = _explained(
        system, inputs, washout, targets, len(functions), "processing capacity", progress
    )
    threshold = chi2.isf(rate, rank) / n_steps if rank else 0.0
    degrees = np.array([sum(degree for *_, degree in function) for function in functions])
    return InformationProcessingCapacity(
        functions, np.where(raw > threshold, corrected, 0.0), degrees, rank
    )


def _check_steps(n_steps: int, n_units: int) -> int:
    return check_integer(
        "n_steps",
        n_steps,
        minimum=2 * n_units + 2,
        remedy=f"Pass several times the {n_units} units, or chance explains most of it.",
    )


def _check_delays(max_delays: Any) -> list[int]:
    try:
        entries = list(max_delays)
    except TypeError:
        raise TypeError(
            f"`max_delays` is {max_delays!r}, but a sequence of integers was expected. Pass the "
            "number of delays for each degree, such as (50, 20, 10)."
        ) from None
    if not entries:
        raise ValueError(
            "`max_delays` is empty, but at least one degree was expected. Pass the number of "
            "delays for each degree, such as (50, 20, 10)."
        )
    return [
        check_integer(f"max_delays[{index}]", entry, minimum=1)
        for index, entry in enumerate(entries)
    ]


def _basis(reach: Sequence[int], n_inputs: int) -> Iterator[tuple[Factor, ...]]:
    """Give all products of total degree 1, 2, ... over the delays that each degree reaches."""
    for degree, n_delays in enumerate(reach, start=1):
        variables = list(itertools.product(range(n_delays), range(n_inputs)))
        for chosen in itertools.combinations_with_replacement(variables, degree):
            yield tuple(
                (delay, channel, len(list(group)))
                for (delay, channel), group in itertools.groupby(chosen)
            )


def _explained(
    system: System,
    inputs: Floats,
    washout: int,
    targets: Callable[[int, int, slice], Floats],
    n_targets: int,
    description: str,
    progress: bool,
) -> tuple[Floats, Floats, int]:
    """Return the share of each target that the states explain, raw and corrected, and the rank.

    `targets` gives some columns of them for the steps from a start to a stop.
    """
    n_units = system.reservoir.n_units

    def rows(what: str) -> Iterator[tuple[int, Any]]:
        begin = np.zeros((1, n_units))
        for block in stream(
            system, [inputs], len(inputs), begin, bar_of=what if progress else None
        ):
            skipped = max(washout - block.start, 0)
            if skipped < block.states.shape[1]:
                yield block.start + skipped, block.states[0, skipped:]

    # Two runs are cheaper than one: many targets in an orthogonal factorization cost many times
    # the recurrence. The first run finds the axes of the states without squaring their condition
    # number; on these axes the normal equations of the second one lose nothing.
    states_alone = QRAccumulator(n_units, 1)
    for _, states in rows(f"{description}, states"):
        states_alone.update(states, np.zeros((len(states), 1)))
    factored = FactoredSystem(states_alone, True)
    _, lengths, axes = svd(factored.factor()[:n_units, :n_units])
    is_kept = lengths > factored.rank_tolerance
    rank, n_rows = int(is_kept.sum()), states_alone.n_rows
    if not rank:
        return np.zeros(n_targets), np.zeros(n_targets), 0
    axes = axes[is_kept].T * (np.sqrt(n_rows) / lengths[is_kept])

    # A batch costs (rank + width)² per row.
    width = max(rank, 64)
    batches = [slice(a, min(a + width, n_targets)) for a in range(0, n_targets, width)]
    sums = [GramAccumulator(rank, batch.stop - batch.start) for batch in batches]
    for start, states in rows(description):
        scores = (states - factored.feature_mean) @ axes
        for batch, accumulator in zip(batches, sums, strict=True):
            accumulator.update(scores, targets(start, start + len(states), batch))
    residual, total = np.empty(n_targets), np.empty(n_targets)
    for batch, accumulator in zip(batches, sums, strict=True):
        system_of_batch = NormalEquations(accumulator, True)
        residual[batch] = system_of_batch.decompose().squared_residuals(np.zeros(1))[0][0]
        total[batch] = system_of_batch.target_squares
    raw = 1.0 - residual / total
    corrected = 1.0 - (residual / (n_rows - 1 - rank)) / (total / (n_rows - 1))
    return raw, corrected, rank
