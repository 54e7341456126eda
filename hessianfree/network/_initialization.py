"""Initial parameters by name: sparse weights, those of an echo state network, and others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from hessianfree.batch import Batch
from hessianfree.network._drawing import OtherWeights, draw_blocks, sparse_matrix
from hessianfree.network._links import MATCHING, best_constant, outputs_of
from hessianfree.network._network import SequenceNetwork
from hessianfree.network._starts import (
    chain_parameters,
    chrono_parameters,
    identity_parameters,
    orthogonal_parameters,
)
from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer, check_real
from reservoir.weights._draw import recurrent_weights
from reservoir.weights._spectral_radius import spectral_radius as radius_of


@explained
def sparse_parameters(
    network: SequenceNetwork,
    *,
    n_connections: int = 15,
    connection_scale: float | None = None,
    input_scale: float = 0.1,
    n_input_connections: int | None = None,
    gain_scale: float = 1.0,
    output_scale: float = 0.1,
    output_bias: ArrayLike | None = None,
    random_state: Any = None,
    dtype: DTypeLike = np.float64,
) -> Array:
    """Draw parameters with a few incoming connections per unit.

    Each unit, and each factor of a multiplicative net, is connected to `n_connections` others,
    drawn without replacement, by weights s · N(0, 1). With s = 1/√n_connections the states of a
    layer have the variance of its inputs, whatever its width, and units stay diverse: each sees a
    different part [1]_. The weights to gates are drawn as those to units, and so
    are the weights from one layer to the next.

    Parameters
    ----------
    network : SequenceNetwork
    n_connections : int, default=15
        Of [1]_; all, where there are fewer.
    connection_scale : float, optional
        s; by default 1/√n_connections.
    input_scale : float, default=0.1
        Standard deviation of the weights from the input. Inputs that are too strong saturate the
        units and wipe out what they remember; 0.1 solved long-lag problems that 1 did not. The
        code of [2]_ takes 0.25/√15 with `n_input_connections` 15. The weights from
        `Batch.initial_inputs` to the initial state have the same.
    n_input_connections : int, optional
        How many inputs a unit of the lowest layer is connected to; by default all.
    gain_scale : float, default=1.0
        Standard deviation of the weights from the input to the gain of a factor. With one-hot
        inputs a gain of variance 1 keeps the variance of the states.
    output_scale : float, default=0.1
        Standard deviation of the weights to the outputs.
    output_bias : array_like of shape (n_outputs,), optional
        By default 0; see `mean_target_bias`.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Each block has a stream of its own: the seed gives the same recurrent weights whatever is
        asked of the others.
    dtype : {float64, float32}, default=float64
        Drawn in float64, then converted.

    Returns
    -------
    ndarray of shape (n_params,)
        Biases, peepholes and initial states are 0, save the bias of a shifted gain, which is 1 (the
        net then starts near a vanilla one with the matrix W_hf W_fh), and that of a forget gate,
        which is the `forget_bias` of the cell.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.cells import ElmanCell
    >>> network = SequenceNetwork(ElmanCell(2, 100), n_outputs=1)
    >>> params = sparse_parameters(network, random_state=0)
    >>> np.unique(np.count_nonzero(network.layout.views(params)["recurrent"], axis=1))
    array([15])

    References
    ----------
    .. [1] Martens (2010), Deep learning via Hessian-free optimization, ICML, section 5.
    .. [2] Martens & Sutskever (2011), Learning recurrent neural networks with Hessian-free
       optimization, ICML.
    """
    n_connections = check_integer("n_connections", n_connections, minimum=1)
    if connection_scale is None:
        connection_scale = 1 / np.sqrt(n_connections)
    connection_scale = check_real("connection_scale", connection_scale, minimum=0)

    def recurrent(shape: tuple[int, int], rng: np.random.Generator) -> Array:
        return sparse_matrix(shape, n_connections, connection_scale, rng)

    others = OtherWeights(input_scale, n_input_connections, gain_scale, output_scale, output_bias)
    blocks = draw_blocks(network, recurrent, recurrent, others, random_state)
    return network.layout.flatten(blocks, dtype)


@explained
def echo_state_parameters(
    network: SequenceNetwork,
    *,
    spectral_radius: float = 1.1,
    connectivity: int | float = 15,
    input_scale: float = 0.1,
    n_input_connections: int | None = None,
    gain_scale: float = 1.0,
    output_scale: float = 0.1,
    output_bias: ArrayLike | None = None,
    random_state: Any = None,
    dtype: DTypeLike = np.float64,
) -> Array:
    """Draw parameters whose recurrent weights are those of an echo state network.

    Sparse normal weights, scaled to a spectral radius near 1, at which signals neither die out nor
    explode over many steps: a start from which first-order methods learn long lags too [1]_.

    Parameters
    ----------
    network : SequenceNetwork
    spectral_radius : float, default=1.1
        That of [1]_. Of each matrix of a full-tensor net, and of each that leads to a gate; of
        W_hf W_fh in a multiplicative net, the matrix from state to state where all gains are 1.
    connectivity : int or float, default=15
        Number, or fraction, of incoming connections of a unit, from its own layer and from the one
        below; the latter have the scale that `sparse_parameters` gives them.
    input_scale : float, default=0.1
        Standard deviation of the weights from the input. [1]_ takes 0.001 for the adding and
        multiplication problems, 0.1 for memorization.
    n_input_connections, gain_scale, output_scale, output_bias, random_state, dtype
        As in `sparse_parameters`.

    Returns
    -------
    ndarray of shape (n_params,)

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.cells import ElmanCell
    >>> network = SequenceNetwork(ElmanCell(2, 100), n_outputs=1)
    >>> params = echo_state_parameters(network, random_state=0)
    >>> recurrent = network.layout.views(params)["recurrent"]
    >>> float(np.abs(np.linalg.eigvals(recurrent)).max().round(9))
    1.1

    References
    ----------
    .. [1] Sutskever, Martens, Dahl & Hinton (2013), On the importance of initialization and
       momentum in deep learning, ICML, section 4.
    """
    spectral_radius = check_real("spectral_radius", spectral_radius, minimum=0)

    def between(shape: tuple[int, int], rng: np.random.Generator) -> Array:
        n_connections = (
            max(1, round(connectivity * shape[1]))
            if isinstance(connectivity, float)
            else connectivity
        )
        return sparse_matrix(shape, n_connections, 1 / np.sqrt(n_connections), rng)

    def recurrent(shape: tuple[int, int], rng: np.random.Generator) -> Array:
        if shape[0] != shape[1]:
            # The radius is that of a product of two such blocks, and is set below.
            return between(shape, rng)
        matrix = recurrent_weights(
            shape[0],
            spectral_radius=spectral_radius,
            connectivity=min(connectivity, shape[0]),
            distribution="normal",
            random_state=rng,
        )
        return np.asarray(matrix if isinstance(matrix, np.ndarray) else matrix.toarray())

    others = OtherWeights(input_scale, n_input_connections, gain_scale, output_scale, output_bias)
    blocks = draw_blocks(network, recurrent, between, others, random_state)
    for name in blocks:
        if name.endswith("factor_to_state"):
            to_state = blocks[name]
            to_factor = blocks[name.replace("factor_to_state", "state_to_factor")]
            factor = np.sqrt(spectral_radius / radius_of(to_state @ to_factor))
            to_state *= factor
            to_factor *= factor
    return network.layout.flatten(blocks, dtype)


# The names that estimators and contenders call them by.
Initialization = Literal["sparse", "echo_state", "orthogonal", "identity", "chain", "chrono"]

INITIALIZATIONS: dict[str, Callable[..., Array]] = {
    "sparse": sparse_parameters,
    "echo_state": echo_state_parameters,
    "orthogonal": orthogonal_parameters,
    "identity": identity_parameters,
    "chain": chain_parameters,
    "chrono": chrono_parameters,
}


@explained
def mean_target_bias(network: SequenceNetwork, batch: Batch) -> Array:
    r"""Return the output bias of the best constant prediction on a batch.

    .. math:: b_o = \mathrm{link}^{-1}(\bar y)

    with the mean ȳ of the targets weighted as the loss is; of a loss that is none of this package
    the constant at which it is lowest, found numerically.

    Starting there spares the optimizer a first phase in which nothing but the mean is learned.

    Parameters
    ----------
    network : SequenceNetwork
    batch : Batch

    Returns
    -------
    ndarray of shape (n_outputs,)
        Means of probabilities are kept 0.001 away from 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.cells import ElmanCell
    >>> network = SequenceNetwork(ElmanCell(2, 5), n_outputs=1)
    >>> mean_target_bias(network, Batch(np.zeros((1, 2, 2)), np.array([[[1.0], [2.0]]])))
    array([1.5])
    """
    mask = np.ones(batch.targets.shape[:2]) if batch.mask is None else batch.mask
    scored = mask > 0
    weights, targets = mask[scored].astype(float), batch.targets[scored]
    if not isinstance(network.loss, MATCHING):
        return best_constant(network.loss, targets, weights, network.n_outputs)
    if targets.ndim == 1:
        mean = np.bincount(targets, weights, minlength=network.n_outputs) / weights.sum()
    else:
        mean = weights @ targets / weights.sum()
    return outputs_of(network.loss, mean)
