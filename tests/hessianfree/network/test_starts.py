"""Starts of the literature, against their definitions, and the cells that they are refused to."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import kstest

from hessianfree.cells import (
    BidirectionalCell,
    ElmanCell,
    GRUCell,
    LSTMCell,
    MultiplicativeCell,
    MUT1Cell,
    MUT2Cell,
    MUT3Cell,
    StackedCell,
    TensorCell,
)
from hessianfree.estimators._regressor import RNNRegressor
from hessianfree.network import (
    SequenceNetwork,
    chain_parameters,
    chrono_parameters,
    identity_parameters,
    orthogonal_parameters,
    sparse_parameters,
)

STARTS = {
    "orthogonal": orthogonal_parameters,
    "identity": identity_parameters,
    "chain": chain_parameters,
    "chrono": chrono_parameters,
}
CELLS = {
    "vanilla": ElmanCell(4, 30),
    "relu": ElmanCell(4, 30, activation="relu"),
    "multiplicative": MultiplicativeCell(4, 30),
    "more factors": MultiplicativeCell(4, 30, 50),
    "tensor": TensorCell(4, 30),
    "lstm": LSTMCell(4, 30, forget_bias=2.5),
    "gru": GRUCell(4, 30),
    "mut1": MUT1Cell(4, 30),
    "mut2": MUT2Cell(4, 30),
    "mut3": MUT3Cell(4, 30),
    "vanilla stack": StackedCell([ElmanCell(4, 30), TensorCell(30, 20)]),
    "gated stack": StackedCell([LSTMCell(4, 30), GRUCell(30, 20)]),
    "both directions": BidirectionalCell(ElmanCell(4, 30), ElmanCell(4, 20)),
    "gated directions": StackedCell(
        [BidirectionalCell(LSTMCell(4, 30), LSTMCell(4, 30)), GRUCell(60, 20)]
    ),
    "mixed stack": StackedCell([LSTMCell(4, 30), ElmanCell(30, 20)]),
}
PLAIN = ("vanilla", "relu", "tensor", "vanilla stack", "both directions")
GATED = ("lstm", "gru", "mut1", "mut2", "mut3", "gated stack", "gated directions")
SUITED = {"orthogonal": tuple(CELLS), "identity": PLAIN, "chain": PLAIN, "chrono": GATED}


def drawn(start, cell, **options):
    """The blocks of a net with that start."""
    network = SequenceNetwork(CELLS[cell], 2)
    return network.layout.views(STARTS[start](network, **{"random_state": 1, **options}))


def recurrent_of(blocks):
    """All square matrices from states to states."""
    return [
        matrix
        for name, values in blocks.items()
        if name.endswith("recurrent")
        for matrix in values.reshape(-1, *values.shape[-2:])
    ]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("gain", [1.0, 0.7])
def test_orthogonal_matrices_keep_every_length(cell, gain):
    blocks = drawn("orthogonal", cell, gain=gain)
    matrices = recurrent_of(blocks)
    if "factor_to_state" in blocks:
        matrices.append(blocks["factor_to_state"] @ blocks["state_to_factor"])
    n_matrices = {"tensor": 4, "lstm": 4, "gru": 3, "mut1": 2, "mut2": 3, "mut3": 3}
    n_matrices |= {"vanilla stack": 31, "gated stack": 7, "mixed stack": 5}
    n_matrices |= {"both directions": 2, "gated directions": 11}
    assert len(matrices) == n_matrices.get(cell, 1)
    for matrix in matrices:
        np.testing.assert_allclose(matrix.T @ matrix, gain**2 * np.eye(len(matrix)), atol=1e-12)
    # Drawn one by one.
    assert all(not np.allclose(a, b) for a, b in pairwise(matrices) if a.shape == b.shape)


def test_orthogonal_matrices_are_uniformly_distributed():
    # The angles of the eigenvalues of a uniform orthogonal matrix are spread evenly; the signs of
    # a QR factorization as they come give a first entry that is never positive.
    firsts = [
        drawn("orthogonal", "vanilla", random_state=seed)["recurrent"][0, 0] for seed in range(40)
    ]
    assert 10 < np.sum(np.array(firsts) > 0) < 30
    # An entry of a uniform orthogonal n × n matrix has variance 1/n.
    assert np.std(firsts) == pytest.approx(1 / np.sqrt(30), rel=0.4)


def test_too_few_factors_are_told():
    network = SequenceNetwork(MultiplicativeCell(4, 30, 20), 1)
    with pytest.raises(ValueError, match="20 factors for 30 units"):
        orthogonal_parameters(network)


@pytest.mark.parametrize("cell", PLAIN)
def test_identity(cell):
    for matrix in recurrent_of(drawn("identity", cell)):
        np.testing.assert_array_equal(matrix, np.eye(len(matrix)))
    for matrix in recurrent_of(drawn("identity", cell, scale=0.01)):
        np.testing.assert_array_equal(matrix, 0.01 * np.eye(len(matrix)))


def test_a_rectified_net_that_starts_at_the_identity_adds_its_inputs_up(rng):
    network = SequenceNetwork(CELLS["relu"], 2)
    params = identity_parameters(network, random_state=0)
    inputs = rng.normal(size=(5, 3, 4))
    blocks = network.layout.views(params)
    states, expected = CELLS["relu"].forward(blocks, inputs).states, np.zeros((3, 30))
    for x, found in zip(inputs, states, strict=True):
        expected = np.maximum(expected + x @ blocks["input"].T, 0)
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("cell", PLAIN)
def test_a_chain_is_nilpotent_and_not_normal(cell):
    for matrix in recurrent_of(drawn("chain", cell, alpha=1.05)):
        n = len(matrix)
        power = np.linalg.matrix_power(matrix, n - 1)
        # After n - 1 steps there is α^(n - 1) from the first unit to the last, and then nothing.
        assert np.count_nonzero(power) == 1
        np.testing.assert_allclose(power[-1, 0], 1.05 ** (n - 1))
        assert not np.any(power @ matrix)
        assert not np.allclose(matrix.T @ matrix, matrix @ matrix.T)


@pytest.mark.parametrize("cell", GATED)
def test_time_scales_of_gates_are_uniform(cell):
    blocks = drawn("chrono", cell, longest_lag=50)
    lags = []
    for name, bias in blocks.items():
        if name.endswith("forget_gate_bias"):
            lags.append(np.exp(bias))
            np.testing.assert_array_equal(blocks[name.replace("forget", "input")], -bias)
        elif name.endswith("update_bias"):
            # z_t is the share of the old state in a GRU, of the new one in its mutations.
            lags.append(np.exp(-bias if cell.startswith("mut") else bias))
    assert len(lags) == {"gated stack": 2, "gated directions": 3}.get(cell, 1)
    for of_layer in lags:
        assert of_layer.min() >= 1
        assert of_layer.max() <= 49
        assert kstest(of_layer, "uniform", args=(1, 48)).pvalue > 0.01
    # The rest is that of sparse weights.
    network = SequenceNetwork(CELLS[cell], 2)
    sparse = network.layout.views(sparse_parameters(network, random_state=1))
    for name, values in blocks.items():
        if not name.endswith(("update_bias", "forget_gate_bias", "input_gate_bias")):
            np.testing.assert_array_equal(values, sparse[name], err_msg=name)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("cell", CELLS)
def test_cells_are_suited_or_refused(start, cell):
    if cell in SUITED[start]:
        assert all(np.isfinite(values).all() for values in drawn(start, cell).values())
    else:
        with pytest.raises(ValueError, match=rf"`cell` is of type .* '{start}' is for cells"):
            drawn(start, cell)


@pytest.mark.parametrize("start", STARTS)
def test_seeds_scales_and_types(start):
    cell = SUITED[start][0]
    network = SequenceNetwork(CELLS[cell], 2)

    def draw(**options):
        return STARTS[start](network, **options)

    params = draw(random_state=3)
    np.testing.assert_array_equal(params, draw(random_state=3))
    assert not np.array_equal(params, draw(random_state=4))
    np.testing.assert_array_equal(draw(random_state=3, dtype=np.float32), params.astype(np.float32))
    other = network.layout.views(draw(random_state=3, input_scale=2.0, output_bias=[1.0, 2.0]))
    blocks = network.layout.views(params)
    np.testing.assert_allclose(other["input"], 20 * blocks["input"])
    np.testing.assert_array_equal(other["output_bias"], [1, 2])
    np.testing.assert_array_equal(other["recurrent"], blocks["recurrent"])


def test_wrong_options_are_named():
    network, gated = SequenceNetwork(CELLS["vanilla"], 1), SequenceNetwork(CELLS["lstm"], 1)
    with pytest.raises(ValueError, match="`gain` is -1"):
        orthogonal_parameters(network, gain=-1.0)
    with pytest.raises(ValueError, match="`scale` is -1"):
        identity_parameters(network, scale=-1.0)
    with pytest.raises(ValueError, match="`alpha` is -1"):
        chain_parameters(network, alpha=-1.0)
    with pytest.raises(ValueError, match="`longest_lag` is 2"):
        chrono_parameters(gated, longest_lag=2)
    with pytest.raises(TypeError, match="inputscale"):
        orthogonal_parameters(network, inputscale=0.1)


@pytest.mark.parametrize(("start", "cell"), [("identity", "vanilla"), ("chrono", "gru")])
def test_estimators_start_by_name(start, cell):
    X, y = np.random.default_rng(0).normal(size=(3, 8, 2)), np.zeros((3, 8))
    net = RNNRegressor(
        6, cell=cell, initialization=start, optimizer="sgd", max_iter=1, target="step"
    )
    assert np.isfinite(net.fit(X, y).predict(X)).all()
    wrong = net.set_params(initialization="chain" if cell == "gru" else "chrono")
    with pytest.raises(ValueError, match="`cell` is of type"):
        wrong.fit(X, y)
