"""Kernel rank and generalization rank: how many input streams a reservoir separates."""

from __future__ import annotations

from typing import Any

import numpy as np

from reservoir.diagnostics._system import draw_inputs, driven_system, stream
from reservoir.utils.explained import explained
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.threads import with_few_threads
from reservoir.utils.validation import check_integer, check_real


@explained
@with_few_threads
def kernel_rank(
    model: Any,
    *,
    n_streams: int | None = None,
    n_steps: int = 100,
    tolerance: float = 0.01,
    input_range: tuple[float, float] = (-1.0, 1.0),
    random_state: Any = None,
    progress: bool = False,
) -> int:
    """Return how many random input streams end in linearly independent states.

    rank [x_1[T] ... x_m[T]]   [1]_

    of the states that m independent streams of T steps lead to from the zero state. The more,
    the better a linear readout can separate inputs.

    Parameters
    ----------
    model : fitted estimator or Reservoir
        What is driven; of an estimator the `reservoir_`, to which with feedback weights its
        own output is fed back.
    n_streams : int, optional
        m; the number of units if left out.
    n_steps : int, default=100
        T.
    tolerance : float, default=0.01
        Singular values up to this share of the largest one do not count: what a readout that has
        to live with noise of a percent cannot use. With 0, all that rounding leaves count.
    input_range : tuple of float, default=(-1.0, 1.0)
        Lowest and highest input, which is independent and uniform.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seed of the streams.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    int
        At most min(m, n_units).

    Raises
    ------
    TypeError, ValueError
        If `model` cannot be driven, or an argument is out of its range.
    sklearn.exceptions.NotFittedError
        If `model` is not fitted.

    See Also
    --------
    generalization_rank : The same for streams that should not be separated.

    Examples
    --------
    >>> import numpy as np
    >>> from reservoir.dynamics import Reservoir
    >>> line = Reservoir(recurrent=np.eye(4, k=-1), input=np.eye(4, 1), bias=np.zeros(4),
    ...                  activation="identity")
    >>> kernel_rank(line, tolerance=0, random_state=0)
    4

    References
    ----------
    .. [1] Legenstein & Maass (2007), Edge of chaos and prediction of computational performance
       for neural circuit models, Neural Networks 20.
    """
    return _rank(
        model,
        n_streams,
        n_steps,
        0,
        tolerance,
        input_range,
        random_state,
        "kernel rank" if progress else None,
    )


@explained
def generalization_rank(
    model: Any,
    *,
    n_common: int = 10,
    n_streams: int | None = None,
    n_steps: int = 100,
    tolerance: float = 0.01,
    input_range: tuple[float, float] = (-1.0, 1.0),
    random_state: Any = None,
    progress: bool = False,
) -> int:
    """Return how many independent states are left of streams that end alike.

    As `kernel_rank`, of m streams that share their last `n_common` steps [1]_ [2]_. What differs
    lies further back and should be forgotten: the fewer, the better. The difference of the two
    ranks is largest near the edge of chaos.

    Parameters
    ----------
    model : fitted estimator or Reservoir
        As in `kernel_rank`.
    n_common : int, default=10
        Steps at the end that all streams share; at most `n_steps`.
    n_streams, n_steps, tolerance, input_range, random_state, progress
        As in `kernel_rank`.

    Returns
    -------
    int
        From 1 to min(m, n_units).

    Raises
    ------
    TypeError, ValueError
        If `model` cannot be driven, or an argument is out of its range.
    sklearn.exceptions.NotFittedError
        If `model` is not fitted.

    Examples
    --------
    Of four steps that a delay line holds three are common, which is one dimension:

    >>> import numpy as np
    >>> from reservoir.dynamics import Reservoir
    >>> line = Reservoir(recurrent=np.eye(4, k=-1), input=np.eye(4, 1), bias=np.zeros(4),
    ...                  activation="identity")
    >>> generalization_rank(line, n_common=3, tolerance=0, random_state=0)
    2

    References
    ----------
    .. [1] Legenstein & Maass (2007), Edge of chaos and prediction of computational performance
       for neural circuit models, Neural Networks 20.
    .. [2] Büsing, Schrauwen & Legenstein (2010), Connectivity, dynamics, and memory in reservoir
       computing with binary and analog neurons, Neural Computation 22.
    """
    n_steps = check_integer("n_steps", n_steps, minimum=1)
    n_common = check_integer("n_common", n_common, minimum=1, maximum=n_steps)
    return _rank(
        model,
        n_streams,
        n_steps,
        n_common,
        tolerance,
        input_range,
        random_state,
        "generalization rank" if progress else None,
    )


def _rank(
    model: Any,
    n_streams: int | None,
    n_steps: int,
    n_common: int,
    tolerance: float,
    input_range: tuple[float, float],
    random_state: Any,
    bar_of: str | None,
) -> int:
    """Return the rank of the final states of streams that share their last steps."""
    system = driven_system(model)
    n_steps = check_integer("n_steps", n_steps, minimum=1)
    if n_streams is None:
        n_streams = system.reservoir.n_units
    n_streams = check_integer("n_streams", n_streams, minimum=1)
    tolerance = check_real("tolerance", tolerance, minimum=0, maximum=1)
    rng = np.random.default_rng(seed_sequence(random_state))
    inputs = draw_inputs(system.reservoir, (n_streams, n_steps), input_range, rng)
    if n_common:
        inputs[:, -n_common:] = inputs[0, -n_common:]
    start = np.zeros((n_streams, system.reservoir.n_units))
    for block in stream(system, list(inputs), n_steps, start, bar_of=bar_of):
        final = block.states[:, -1]
    values = np.linalg.svd(final.astype(np.float64), compute_uv=False)
    # States of float32 carry its rounding into float64.
    rounding = max(final.shape) * np.finfo(final.dtype).eps
    return int(np.count_nonzero(values > max(tolerance, rounding) * values[0]))
