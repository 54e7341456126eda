"""Starts of the literature: orthogonal, identity, a non-normal chain, and biases by time scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Unpack

import numpy as np
from numpy.typing import DTypeLike

from hessianfree.cells import (
    BidirectionalCell,
    Cell,
    ElmanCell,
    GRUCell,
    LSTMCell,
    StackedCell,
    TensorCell,
)
from hessianfree.cells._update import UpdateCell
from hessianfree.cells.bidirectional import DIRECTIONS
from hessianfree.network._drawing import (
    DrawBias,
    OtherWeights,
    Scales,
    draw_blocks,
    sparse_matrix,
)
from hessianfree.network._network import SequenceNetwork
from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer, check_real

# Incoming connections of a unit, where those of a start are not given by the start itself.
_N_CONNECTIONS = 15


@explained
def orthogonal_parameters(
    network: SequenceNetwork,
    *,
    gain: float = 1.0,
    random_state: Any = None,
    dtype: DTypeLike = np.float64,
    **others: Unpack[Scales],
) -> Array:
    r"""Draw parameters whose recurrent weights are orthogonal matrices [1]_.

    .. math:: W = g\, Q, \quad Q^T Q = I

    with Q uniformly distributed. All singular values are g: in a linear net signals and gradients
    keep their size over any number of steps.

    Parameters
    ----------
    network : SequenceNetwork
    gain : float, default=1.0
        g. Of each matrix of a full-tensor net, and of each that leads to a gate; of W_hf W_fh in a
        multiplicative net, the matrix from state to state where all gains are 1.
    random_state, dtype
        As in `sparse_parameters`.
    **others
        `input_scale`, `n_input_connections`, `gain_scale`, `output_scale` and `output_bias`, as in
        `sparse_parameters`. Weights from one layer to the next are sparse as there.

    Returns
    -------
    ndarray of shape (n_params,)

    Raises
    ------
    ValueError
        If an argument is out of range, or a multiplicative net has fewer factors than units, whose
        W_hf W_fh has not the rank for it.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.cells import ElmanCell
    >>> network = SequenceNetwork(ElmanCell(2, 100), n_outputs=1)
    >>> W = network.layout.views(orthogonal_parameters(network, random_state=0))["recurrent"]
    >>> bool(np.allclose(W.T @ W, np.eye(100)))
    True

    References
    ----------
    .. [1] Saxe, McClelland & Ganguli (2014), Exact solutions to the nonlinear dynamics of learning
       in deep linear neural networks, ICLR, section 3.
    """
    gain = check_real("gain", gain, minimum=0)

    def recurrent(shape: tuple[int, int], rng: np.random.Generator) -> Array:
        if shape[0] != shape[1]:
            # The product of two such blocks is what is orthogonal, see below.
            return rng.standard_normal(shape)
        return gain * _orthogonal(shape[0], rng)

    blocks = draw_blocks(network, recurrent, _between, OtherWeights(**others), random_state)
    for name in blocks:
        if name.endswith("factor_to_state"):
            other = name.replace("factor_to_state", "state_to_factor")
            blocks[name], blocks[other] = _orthogonal_product(blocks[name], blocks[other], gain)
    return network.layout.flatten(blocks, dtype)


@explained
def identity_parameters(
    network: SequenceNetwork,
    *,
    scale: float = 1.0,
    random_state: Any = None,
    dtype: DTypeLike = np.float64,
    **others: Unpack[Scales],
) -> Array:
    """Draw parameters whose recurrent weights are the identity [1]_.

    Without input the units of a rectified linear net keep what they hold, W = s I, as the memory of
    an LSTM does; its natural activation is "relu", and with "tanh" the states decay.

    Parameters
    ----------
    network : SequenceNetwork
        Of layers of `ElmanCell` or `TensorCell`, in which one matrix carries the states on.
    scale : float, default=1.0
        s. [1]_ takes 0.01 where there are no long lags.
    random_state, dtype, **others
        As in `orthogonal_parameters`. [1]_ draws all other weights with a standard deviation of
        0.001, where 0.1 is the default here.

    Returns
    -------
    ndarray of shape (n_params,)

    Raises
    ------
    ValueError
        If an argument is out of range, or the states of a layer are carried on by gates or by two
        matrices.

    Examples
    --------
    >>> from hessianfree.cells import ElmanCell
    >>> network = SequenceNetwork(ElmanCell(2, 3, activation="relu"), n_outputs=1)
    >>> network.layout.views(identity_parameters(network, random_state=0))["recurrent"]
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])

    References
    ----------
    .. [1] Le, Jaitly & Hinton (2015), A simple way to initialize recurrent networks of rectified
       linear units, arXiv:1504.00941.
    """
    _check_layers(network, "identity", (ElmanCell, TensorCell), "one matrix carries on the states")
    scale = check_real("scale", scale, minimum=0)

    def recurrent(shape: tuple[int, int], rng: np.random.Generator) -> Array:
        return scale * np.eye(*shape)

    blocks = draw_blocks(network, recurrent, _between, OtherWeights(**others), random_state)
    return network.layout.flatten(blocks, dtype)


@explained
def chain_parameters(
    network: SequenceNetwork,
    *,
    alpha: float = 1.02,
    random_state: Any = None,
    dtype: DTypeLike = np.float64,
    **others: Unpack[Scales],
) -> Array:
    r"""Draw parameters whose recurrent weights are a feed-forward chain, a non-normal matrix [1]_.

    .. math:: W_{i+1,\,i} = \alpha, \quad \text{all others } 0

    What enters at a unit walks down the chain, one unit a step, and leaves at its end: W is
    nilpotent, W^n = 0, so that it can hold an input for n steps at most, and nothing explodes.

    Parameters
    ----------
    network : SequenceNetwork
        Of layers of `ElmanCell` or `TensorCell`, in which one matrix carries the states on.
    alpha : float, default=1.02
        α. Slightly above 1 makes up for what the nonlinearity takes away.
    random_state, dtype, **others
        As in `orthogonal_parameters`.

    Returns
    -------
    ndarray of shape (n_params,)

    Raises
    ------
    ValueError
        If an argument is out of range, or the states of a layer are carried on by gates or by two
        matrices.

    Examples
    --------
    >>> from hessianfree.cells import ElmanCell
    >>> network = SequenceNetwork(ElmanCell(2, 3), n_outputs=1)
    >>> network.layout.views(chain_parameters(network, random_state=0))["recurrent"]
    array([[0.  , 0.  , 0.  ],
           [1.02, 0.  , 0.  ],
           [0.  , 1.02, 0.  ]])

    References
    ----------
    .. [1] Orhan & Pitkow (2020), Improved memory in recurrent neural networks with sequential
       non-normal dynamics, ICLR.
    """
    _check_layers(network, "chain", (ElmanCell, TensorCell), "one matrix carries on the states")
    alpha = check_real("alpha", alpha, minimum=0)

    def recurrent(shape: tuple[int, int], rng: np.random.Generator) -> Array:
        return np.diag(np.full(shape[0] - 1, alpha), k=-1)

    blocks = draw_blocks(network, recurrent, _between, OtherWeights(**others), random_state)
    return network.layout.flatten(blocks, dtype)


@explained
def chrono_parameters(
    network: SequenceNetwork,
    *,
    longest_lag: int = 100,
    random_state: Any = None,
    dtype: DTypeLike = np.float64,
    **others: Unpack[Scales],
) -> Array:
    r"""Draw parameters whose biases let gates forget over all time scales up to a longest one [1]_.

    .. math:: b_f = \log u, \quad u \sim U(1,\, T_{max} - 1), \quad b_i = -b_f

    A unit whose forget gate has the bias log u keeps its memory for about u + 1 steps. Of a cell
    with an update gate, b_z = log u where z_t is the share of the old state, as in a GRU, and
    -log u where it is that of the new one. Weights are those of `sparse_parameters`.

    Parameters
    ----------
    network : SequenceNetwork
        Of layers with a forget gate or an update gate.
    longest_lag : int, default=100
        T_max, in steps: the longest lag that is expected; at least 3.
    random_state, dtype, **others
        As in `orthogonal_parameters`.

    Returns
    -------
    ndarray of shape (n_params,)

    Raises
    ------
    ValueError
        If an argument is out of range, or a layer has no such gates.

    Examples
    --------
    >>> from hessianfree.cells import LSTMCell
    >>> network = SequenceNetwork(LSTMCell(2, 50), n_outputs=1)
    >>> blocks = network.layout.views(chrono_parameters(network, longest_lag=200, random_state=0))
    >>> steps = np.exp(blocks["forget_gate_bias"])
    >>> bool(steps.min() >= 1), bool(steps.max() <= 199)
    (True, True)

    References
    ----------
    .. [1] Tallec & Ollivier (2018), Can recurrent neural networks warp time?, ICLR, section 2.3
       for the LSTM, and 2.2 for a single gate.
    """
    _check_layers(network, "chrono", (LSTMCell, UpdateCell), "gates forget")
    longest_lag = check_integer("longest_lag", longest_lag, minimum=3)

    def log_of_lag(n_units: int, rng: np.random.Generator) -> Array:
        return np.log(rng.uniform(1, longest_lag - 1, size=n_units))

    def less_log_of_lag(n_units: int, rng: np.random.Generator) -> Array:
        return -log_of_lag(n_units, rng)

    biases: dict[str, DrawBias] = {}
    for prefix, cell in _layers(network.cell):
        if isinstance(cell, LSTMCell):
            biases[f"{prefix}forget_gate_bias"] = log_of_lag
        else:
            # Of a GRU the gate is the share of the old state, of its mutations of the new one.
            is_kept = isinstance(cell, GRUCell)
            biases[f"{prefix}update_bias"] = log_of_lag if is_kept else less_log_of_lag
    scales = OtherWeights(**others)
    blocks = draw_blocks(network, _between, _between, scales, random_state, biases)
    for name in biases:
        if name.endswith("forget_gate_bias"):
            blocks[name.replace("forget", "input")] = -blocks[name]
    return network.layout.flatten(blocks, dtype)


def _between(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Return the sparse matrix of `sparse_parameters` with its defaults."""
    return sparse_matrix(shape, _N_CONNECTIONS, 1 / np.sqrt(_N_CONNECTIONS), rng)


def _orthogonal(n: int, rng: np.random.Generator) -> Array:
    """Return an orthogonal matrix, uniformly distributed."""
    matrix, triangle = np.linalg.qr(rng.standard_normal((n, n)))
    # With the signs of the factorization as they come, the distribution would not be uniform.
    signed: Array = matrix * np.sign(np.diag(triangle))
    return signed


def _orthogonal_product(to_state: Array, to_factor: Array, gain: float) -> tuple[Array, Array]:
    """Return the matrices made such that to_state @ to_factor is gain times an orthogonal one.

    to_factor gets orthonormal columns A, and to_state becomes Q Aᵀ, with Q the orthogonal factor
    of the product as it was drawn; each of the two takes √gain.
    """
    n_factors, n_units = to_factor.shape
    if n_factors < n_units:
        raise ValueError(
            f"`cell` has {n_factors} factors for {n_units} units, but the start 'orthogonal' needs "
            "`n_factors` as large as `n_units`. Raise it, or choose another start, as 'sparse'."
        )
    columns, _ = np.linalg.qr(to_factor)
    left, _, right = np.linalg.svd(to_state @ columns)
    root = np.sqrt(gain)
    return root * (left @ right) @ columns.T, root * columns


def _layers(cell: Cell, prefix: str = "") -> Iterator[tuple[str, Cell]]:
    """Yield the beginning of the names of its blocks, and the cell, of each layer and direction."""
    if isinstance(cell, StackedCell):
        for i, layer in enumerate(cell.cells, start=1):
            yield from _layers(layer, f"{prefix}layer{i}.")
    elif isinstance(cell, BidirectionalCell):
        for direction, layer in zip(DIRECTIONS, cell.cells):
            yield from _layers(layer, f"{prefix}{direction}.")
    else:
        yield prefix, cell


def _check_layers(
    network: SequenceNetwork, start: str, kinds: tuple[type, ...], condition: str
) -> None:
    """Raise unless all layers are of a kind that the start is made for."""
    for _, cell in _layers(network.cell):
        if not isinstance(cell, kinds):
            raise ValueError(
                f"`cell` is of type {type(cell).__name__}, but the start '{start}' is for cells "
                f"in which {condition}. Choose another cell or another start, as 'orthogonal', "
                "which suits all."
            )
