"""Recurrent, input, feedback and bias weights: draw them and scale them."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from reservoir.utils.explained import explained
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.threads import with_few_threads
from reservoir.utils.validation import check_choice, check_integer, check_real
from reservoir.weights._spectral_radius import check_matrix, spectral_radius
from reservoir.weights._topologies import (
    DRAWN_TOPOLOGIES,
    FIXED_TOPOLOGIES,
    distinct_sources,
    matrix_of_rows,
)

_INT32_MAX = 2**31 - 1


# Enough for a reservoir of any size, and so the default; small reservoirs have fewer units.
_USUAL_CONNECTIVITY = 10
_USUAL_INPUT_SCALING = 0.1
_LARGEST_SUM = 0.3


_DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, Any], NDArray[np.float64]]] = {
    "uniform": lambda rng, size: rng.uniform(-1.0, 1.0, size),
    "normal": lambda rng, size: rng.standard_normal(size),
    "signs": lambda rng, size: 2.0 * rng.integers(0, 2, size) - 1.0,
}


@explained
@with_few_threads
def recurrent_weights(
    n_units: int,
    *,
    spectral_radius: float | None = 0.9,
    connectivity: int | float = 10,
    topology: Any = "random",
    distribution: str = "uniform",
    random_state: Any = None,
    dtype: DTypeLike = np.float64,
) -> Any:
    """Return the weights W of the connections between the units of a reservoir.

    W = (ρ / ρ(V)) V,  V_ij the weight of the connection from unit j to unit i

    Parameters
    ----------
    n_units : int
        Number of units, at least 1.
    spectral_radius : float or None, default 0.9
        ρ, dimensionless, 0 or more; None leaves the weights as drawn or given. For
        ``topology="delay_line"``, whose spectral radius is 0 whatever its weights, it is the
        weight of each connection.
    connectivity : int or float, default 10
        An integer is the number of incoming connections of each unit, at most `n_units` (self
        included), where up to 10 stand for all there are if there are fewer; a float in (0, 1] is
        the fraction of all units that are sources of a unit, rounded to a number of at least 1.
        About 10 is enough for a reservoir of any size [1]_. Used by the topologies
        ``"random"``, ``"antisymmetric"`` and ``"small_world"``.
    topology : str, array_like, sparse array or callable, default "random"
        - ``"random"``: each unit has `connectivity` distinct sources drawn at random;
        - ``"small_world"``: the sources of a unit are its `connectivity` nearest neighbours on a
          ring, at most ``n_units - 1``, a tenth replaced by units drawn at random [2]_;
        - ``"cycle"``: unit i - 1 is the source of unit i, the last one that of unit 0, all weights
          alike [3]_;
        - ``"delay_line"``: the same, but that unit 0 has none [3]_;
        - ``"permutation"``: each unit has one source and is that of one unit, drawn at random, all
          weights alike;
        - ``"antisymmetric"``: V - Vᵀ of such a random V, so that all eigenvalues are imaginary
          [5]_; a unit has up to twice as many sources, not all as many;
        - ``"orthogonal"``: a random orthogonal matrix, uniform over all of them [4]_: dense;
        - an array or sparse array of shape (n_units, n_units): V itself, which is not changed;
        - a callable: ``topology(n_units, rng)`` with a `numpy.random.Generator` returns V.
    distribution : {"uniform", "normal", "signs"}, default "uniform"
        Weights of ``"random"``, ``"antisymmetric"`` and ``"small_world"`` before scaling: uniform
        in [-1, 1], standard normal, or -1 and 1 with equal chance.
    random_state : int, Generator, RandomState, SeedSequence or None, default None
        The same seed gives the same weights, in float32 those of float64 rounded.
    dtype : {float64, float32}, default float64
        They are drawn and scaled in float64 and then converted.

    Returns
    -------
    csr_array or ndarray of shape (n_units, n_units)
        W; an ndarray for ``"orthogonal"``, for dense V, and where each unit has all as sources. The
        indices of the csr_array are sorted and of 32 bits.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, such as a `connectivity` that is a bool, or a given
        matrix that does not consist of real numbers.
    ValueError
        If an argument is out of its range or unknown, or a given matrix is not square, not of
        `n_units` or not finite. Also if a spectral radius above 0 is asked of a matrix that has
        radius 0: one without weights or without a loop (nilpotent).
    ConvergenceError
        If the spectral radius could not be found; nothing is drawn again.

    Notes
    -----
    Every unit has the same number of incoming connections, antisymmetric ones apart, so that every
    unit is driven by about the same variance, and that kernels can rely on it. See
    `spectral_radius` for how ρ(V) is found; for ``"cycle"``, ``"permutation"`` and
    ``"orthogonal"`` it is 1 by construction.

    References
    ----------
    .. [1] Lukoševičius (2012), A Practical Guide to Applying Echo State Networks, sec. 3.2.2.
    .. [2] Watts & Strogatz (1998), Collective dynamics of 'small-world' networks.
    .. [3] Rodan & Tiňo (2011), Minimum Complexity Echo State Network, sec. III.
    .. [4] Mezzadri (2007), How to generate random matrices from the classical compact groups.
    .. [5] Gallicchio (2022), Euler state networks: non-dissipative reservoir computing,
       arXiv:2203.09382.

    Examples
    --------
    >>> import numpy as np
    >>> W = recurrent_weights(500, spectral_radius=0.8, random_state=0)
    >>> np.unique(np.diff(W.indptr))
    array([10], dtype=int32)
    >>> print(f"{np.abs(np.linalg.eigvals(W.toarray())).max():.9f}")
    0.800000000
    >>> recurrent_weights(3, topology="cycle", spectral_radius=0.5).toarray()
    array([[0. , 0. , 0.5],
           [0.5, 0. , 0. ],
           [0. , 0.5, 0. ]])
    """
    n_units = check_integer("n_units", n_units, minimum=1, maximum=_INT32_MAX)
    if spectral_radius is not None:
        spectral_radius = check_real("spectral_radius", spectral_radius, minimum=0.0)
    dtype = _check_dtype(dtype)
    rng = np.random.default_rng(seed_sequence(random_state))

    if callable(topology):
        weights = check_matrix(topology(n_units, rng), "topology(n_units, rng)", (n_units,) * 2)
    elif not isinstance(topology, str):
        weights = check_matrix(topology, "topology", (n_units,) * 2)
    elif topology in FIXED_TOPOLOGIES:
        # Of radius 1 by construction; for the delay line, of weight 1.
        weights = FIXED_TOPOLOGIES[topology](n_units, rng)
        scale = 1.0 if spectral_radius is None else spectral_radius
        return _convert(weights * scale, dtype)
    elif topology in DRAWN_TOPOLOGIES:
        draw = _DISTRIBUTIONS[check_choice("distribution", distribution, _DISTRIBUTIONS)]
        n_sources = n_units - (topology == "small_world")
        name = "`n_units` - 1" if topology == "small_world" else "`n_units`"
        n_connections = _check_connectivity(
            connectivity, n_sources, name, cut_from=_USUAL_CONNECTIVITY
        )
        if n_connections < n_units and n_units * n_connections > _INT32_MAX:
            raise ValueError(
                f"`n_units` is {n_units} and `connectivity` gives {n_connections} connections a "
                "unit, but all of them together must be fewer than 2**31: indices have 32 bits. "
                "Lower one of the two."
            )
        sources = DRAWN_TOPOLOGIES[topology](n_units, n_connections, rng)
        weights = matrix_of_rows(sources, draw(rng, sources.shape))
        if topology == "antisymmetric":
            weights = _antisymmetric(weights)
    else:
        known = ", ".join(f'"{name}"' for name in (*DRAWN_TOPOLOGIES, *FIXED_TOPOLOGIES))
        raise ValueError(
            f"`topology` is {topology!r}, but {known}, a square matrix or a callable was "
            "expected. Pass one of these."
        )
    if spectral_radius is not None:
        weights = weights * _radius_factor(weights, spectral_radius)
    return _convert(weights, dtype)


@explained
def input_weights(
    n_units: int,
    n_inputs: int,
    *,
    scaling: float | Any = 1.0,
    connectivity: int | float | None = None,
    distribution: str = "uniform",
    random_state: Any = None,
    dtype: DTypeLike = np.float64,
) -> NDArray[np.floating]:
    """Return the weights that bring input, or fed-back output, to the units.

    W_in[i, c] = s_c V[i, c],  V drawn

    Parameters
    ----------
    n_units : int
        Number of units, at least 1.
    n_inputs : int
        Number of channels, at least 1.
    scaling : float or array_like of shape (n_inputs,), default 1.0
        s, for all channels or for each, 0 or more, in units of 1 / channel: the half-width of
        uniform weights, the standard deviation of normal ones. A channel of scale 0 is off.
    connectivity : int, float or None, default None
        Number of channels that are sources of each unit, or their fraction in (0, 1] (at least one
        channel); None is all of them.
    distribution : {"uniform", "normal", "signs"}, default "uniform"
        Uniform in [-1, 1], standard normal, or -1 and 1 with equal chance.
    random_state : int, Generator, RandomState, SeedSequence or None, default None
        The same seed gives the same weights, whatever `scaling` is.
    dtype : {float64, float32}, default float64
        They are drawn and scaled in float64 and then converted.

    Returns
    -------
    ndarray of shape (n_units, n_inputs)

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an argument is out of its range or unknown, or `scaling` has another length than
        `n_inputs`, or a negative, NaN or infinite entry.

    References
    ----------
    Lukoševičius (2012), A Practical Guide to Applying Echo State Networks, sec. 3.2.5.

    Examples
    --------
    >>> input_weights(2, 3, scaling=[1.0, 10.0, 0.1], distribution="signs", random_state=1)
    array([[ -1. ,  10. ,   0.1],
           [  1. , -10. ,  -0.1]])
    """
    n_units = check_integer("n_units", n_units, minimum=1, maximum=_INT32_MAX)
    n_inputs = check_integer("n_inputs", n_inputs, minimum=1, maximum=_INT32_MAX)
    draw = _DISTRIBUTIONS[check_choice("distribution", distribution, _DISTRIBUTIONS)]
    scaling = check_scaling(scaling, n_inputs)
    dtype = _check_dtype(dtype)
    if connectivity is None:
        n_connections = n_inputs
    else:
        n_connections = _check_connectivity(connectivity, n_inputs, "`n_inputs`")
    rng = np.random.default_rng(seed_sequence(random_state))
    sources = distinct_sources(n_units, n_inputs, n_connections, rng)
    weights = np.zeros((n_units, n_inputs))
    np.put_along_axis(weights, sources, draw(rng, sources.shape), axis=1)
    return cast(NDArray[np.floating], _convert(weights * scaling, dtype))


@explained
def bias_weights(
    n_units: int,
    *,
    scaling: float = 1.0,
    distribution: str = "uniform",
    random_state: Any = None,
    dtype: DTypeLike = np.float64,
) -> NDArray[np.floating]:
    """Return the bias b of each unit.

    b[i] = s v[i],  v drawn

    Parameters
    ----------
    n_units : int
        Number of units, at least 1.
    scaling : float, default 1.0
        s, dimensionless, 0 or more.
    distribution : {"uniform", "normal", "signs"}, default "uniform"
        Uniform in [-1, 1], standard normal, or -1 and 1 with equal chance.
    random_state : int, Generator, RandomState, SeedSequence or None, default None
        The same seed gives the same weights, whatever `scaling` is.
    dtype : {float64, float32}, default float64
        They are drawn and scaled in float64 and then converted.

    Returns
    -------
    ndarray of shape (n_units,)

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an argument is out of its range or unknown.

    Examples
    --------
    >>> bias_weights(3, scaling=0.5, distribution="signs", random_state=0)
    array([0.5, 0.5, 0.5])
    """
    n_units = check_integer("n_units", n_units, minimum=1, maximum=_INT32_MAX)
    scaling = check_real("scaling", scaling, minimum=0.0)
    draw = _DISTRIBUTIONS[check_choice("distribution", distribution, _DISTRIBUTIONS)]
    dtype = _check_dtype(dtype)
    rng = np.random.default_rng(seed_sequence(random_state))
    return cast(NDArray[np.floating], _convert(scaling * draw(rng, n_units), dtype))


def _radius_factor(weights: Any, target: float) -> float:
    """Return what brings the spectral radius of the weights to the target."""
    if target == 0.0:
        return 0.0
    radius = spectral_radius(weights)
    if radius == 0.0:
        is_zero = not np.any(weights.data if sp.issparse(weights) else weights)
        reason = "is all zero" if is_zero else "is nilpotent: no signal in it comes back"
        raise ValueError(
            f"`spectral_radius` is {target}, but the matrix {reason}, and has radius 0 however it "
            "is scaled. Pass `spectral_radius=None` to use it as it is, or another `topology`, "
            "`connectivity` or `random_state`."
        )
    return target / radius


def _antisymmetric(weights: Any) -> Any:
    """Return V - Vᵀ, in sorted rows where V is sparse."""
    if not sp.issparse(weights):
        return weights - weights.T
    difference = sp.csr_array(weights - weights.T.tocsr())
    difference.sort_indices()
    return difference


def _check_connectivity(connectivity: Any, n_sources: int, name: str, *, cut_from: int = 0) -> int:
    """Return a number of connections per unit, given that or a density, or raise.

    Numbers up to `cut_from` are cut to the number of sources.
    """
    if isinstance(connectivity, bool) or not isinstance(connectivity, numbers.Real):
        raise TypeError(
            f"`connectivity` is {connectivity!r}, but a number was expected. Pass an integer "
            "(incoming connections per unit) or a float in (0, 1] (density)."
        )
    if isinstance(connectivity, numbers.Integral):
        n_connections = int(connectivity)
        if 1 <= n_connections <= cut_from:
            n_connections = min(n_connections, n_sources)
        if not 1 <= n_connections <= n_sources:
            raise ValueError(
                f"`connectivity` is {connectivity}, but an integer must lie between 1 and "
                f"{name} = {n_sources}. Pass fewer connections per unit, or a density in (0, 1]."
            )
        return n_connections
    density = float(connectivity)
    if not 0.0 < density <= 1.0:  # NaN also ends here
        raise ValueError(
            f"`connectivity` is {connectivity}, but a float is a density and must lie in (0, 1]. "
            "Pass an integer for a number of connections per unit."
        )
    return max(1, round(density * n_sources))


def check_scaling(
    scaling: Any, n_inputs: int, *, name: str = "scaling"
) -> float | NDArray[np.float64]:
    """Return one scale, or one per channel, or raise."""
    if scaling is None or isinstance(scaling, (numbers.Number, str)):
        return check_real(name, scaling, minimum=0.0)
    scales: NDArray[np.float64] = check_matrix(scaling, name, (n_inputs,))
    if np.any(scales < 0.0):
        raise ValueError(
            f"`{name}` has the entry {scales.min()}, but scales must not be negative. "
            "Pass 0 or more for each channel."
        )
    return scales


def check_input_scaling(scaling: Any, n_inputs: int) -> float | NDArray[np.float64]:
    """Return the `input_scaling` of an estimator, None standing for one by the number of inputs.

    0.1, and 0.3 / √n_inputs for more than nine: of standardised inputs, whatever their number, the
    summed input of a unit then has a deviation of at most 0.3 / √3, where tanh bends a little and
    never saturates. Chosen by the table of `benchmarks.defaults`.
    """
    if scaling is None:
        return min(_USUAL_INPUT_SCALING, _LARGEST_SUM / math.sqrt(max(n_inputs, 1)))
    return check_scaling(scaling, n_inputs, name="input_scaling")


def _check_dtype(dtype: Any) -> np.dtype[Any]:
    """Return float64 or float32, or raise."""
    try:
        checked: np.dtype[Any] = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`dtype` is of type {type(dtype).__name__} and names no dtype ({error}). Pass "
            "float64 or float32."
        ) from error
    if checked not in (np.float64, np.float32):
        raise ValueError(
            f"`dtype` is {checked}, but float64 or float32 was expected. Pass one of these."
        )
    return checked


def _convert(weights: Any, dtype: np.dtype[Any]) -> Any:
    """Return the weights in the dtype asked for, or raise where they overflow it."""
    with np.errstate(over="ignore"):
        weights = weights.astype(dtype, copy=False)
    if not np.all(np.isfinite(weights.data if sp.issparse(weights) else weights)):
        raise ValueError(
            f"The scaled weights are too large, but finite {dtype} numbers were expected. "
            "Lower the scale or the spectral radius."
        )
    return weights
