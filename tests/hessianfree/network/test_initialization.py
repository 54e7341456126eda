"""Starting points: how many weights, how large, which radius, and seeds."""

import numpy as np
import pytest

from hessianfree.batch import Batch
from hessianfree.cells import (
    ElmanCell,
    GRUCell,
    LSTMCell,
    MultiplicativeCell,
    MUT1Cell,
    StackedCell,
    TensorCell,
)
from hessianfree.network import (
    SequenceNetwork,
    echo_state_parameters,
    mean_target_bias,
    sparse_parameters,
)

CELLS = {
    "vanilla": ElmanCell(4, 60),
    "multiplicative": MultiplicativeCell(4, 60, 80),
    "shifted gain": MultiplicativeCell(4, 60, 80, gain="shifted_tanh"),
    "tensor": TensorCell(4, 60),
}
RECURRENT = {"recurrent", "state_to_factor", "factor_to_state"}


@pytest.mark.parametrize("name", CELLS)
def test_sparse_weights_have_the_count_and_scale_asked_for(name):
    network = SequenceNetwork(CELLS[name], 50)
    blocks = network.layout.views(
        sparse_parameters(
            network,
            n_connections=20,
            input_scale=0.5,
            n_input_connections=2,
            gain_scale=3.0,
            output_scale=0.25,
            random_state=1,
        )
    )
    for block in RECURRENT & set(blocks):
        weights = blocks[block][blocks[block] != 0]
        assert np.all(np.count_nonzero(blocks[block], axis=-1) == 20)
        # The standard deviation of n normal numbers is known to 1/√(2n).
        assert abs(weights.std() * np.sqrt(20) - 1) < 5 / np.sqrt(2 * weights.size)
    assert np.all(np.count_nonzero(blocks["input"], axis=1) == 2)
    for block, scale in [("input", 0.5), ("input_to_factor", 3.0), ("output", 0.25)]:
        if block in blocks:
            weights = blocks[block][blocks[block] != 0]
            assert abs(weights.std() / scale - 1) < 5 / np.sqrt(2 * weights.size)
    assert not np.any(blocks["bias"])
    assert not np.any(blocks["initial_state"])
    assert np.all(blocks.get("factor_bias", np.ones(1)) == 1)


@pytest.mark.parametrize("name", CELLS)
def test_echo_state_weights_have_the_radius_asked_for(name):
    network = SequenceNetwork(CELLS[name], 1)
    blocks = network.layout.views(echo_state_parameters(network, spectral_radius=1.3))
    if "recurrent" in blocks:
        matrices = blocks["recurrent"].reshape(-1, 60, 60)
        assert np.all(np.count_nonzero(matrices, axis=2) == 15)
    else:
        matrices = [blocks["factor_to_state"] @ blocks["state_to_factor"]]
    for matrix in matrices:
        np.testing.assert_allclose(np.abs(np.linalg.eigvals(matrix)).max(), 1.3, rtol=1e-9)


GATED = {
    "lstm": LSTMCell(4, 60, forget_bias=2.5, peepholes=True),
    "gru": GRUCell(4, 60),
    "mut1": MUT1Cell(4, 60),
    "stack": StackedCell(
        [
            GRUCell(4, 60),
            LSTMCell(60, 40, forget_bias=2.5),
            MultiplicativeCell(40, 60, 80, gain="shifted_tanh"),
        ]
    ),
}


def of_first_layer(name):
    return "." not in name or name.startswith("layer1.")


@pytest.mark.parametrize("name", GATED)
def test_sparse_weights_of_gates_and_layers(name):
    network = SequenceNetwork(GATED[name], 5, n_initial_inputs=70)
    blocks = network.layout.views(
        sparse_parameters(
            network,
            n_connections=20,
            input_scale=0.5,
            n_input_connections=2,
            output_scale=0.25,
            random_state=1,
        )
    )
    seen = set()
    for block, values in blocks.items():
        weights, role = values[values != 0], block.rpartition(".")[2]
        counts = np.count_nonzero(values, axis=-1)
        if role == "initial_input":
            expected, scale = 70, 0.5
        elif role == "output":
            expected, scale = GATED[name].n_units, 0.25
        elif role.endswith("input") and of_first_layer(block):
            expected, scale = 2, 0.5
        elif values.ndim == 2 and role != "peephole":
            # From states: of the layer itself, or of the one below.
            expected, scale = 20, 1 / np.sqrt(20)
        else:
            constant = {"forget_gate_bias": 2.5, "factor_bias": 1.0}.get(role, 0.0)
            np.testing.assert_array_equal(values, constant, err_msg=block)
            seen.add(role)
            continue
        assert np.all(counts == expected), block
        # The standard deviation of n normal numbers is known to 1/√(2n).
        assert abs(weights.std() / scale - 1) < 5 / np.sqrt(2 * weights.size), block
    assert {"bias", "initial_state"} <= seen
    assert name != "lstm" or {"peephole", "forget_gate_bias"} <= seen


@pytest.mark.parametrize("name", GATED)
def test_every_recurrent_matrix_of_gates_has_the_radius_asked_for(name):
    network = SequenceNetwork(GATED[name], 1)
    params = echo_state_parameters(network, spectral_radius=1.3, random_state=2)
    blocks = network.layout.views(params)
    matrices = [values for block, values in blocks.items() if block.endswith("recurrent")]
    if name == "stack":
        matrices.append(blocks["layer3.factor_to_state"] @ blocks["layer3.state_to_factor"])
        between = blocks["layer2.input"]
        assert np.all(np.count_nonzero(between, axis=1) == 15)
        assert abs(between[between != 0].std() * np.sqrt(15) - 1) < 0.2
    assert len(matrices) == {"lstm": 4, "gru": 3, "mut1": 2, "stack": 8}[name]
    for matrix in matrices:
        np.testing.assert_allclose(np.abs(np.linalg.eigvals(matrix)).max(), 1.3, rtol=1e-9)


@pytest.mark.parametrize("draw", [sparse_parameters, echo_state_parameters])
def test_a_seed_gives_the_same_weights_whatever_else_is_asked(draw):
    network = SequenceNetwork(CELLS["vanilla"], 1)
    params = draw(network, random_state=3)
    np.testing.assert_array_equal(params, draw(network, random_state=3))
    assert not np.array_equal(params, draw(network, random_state=4))
    other = draw(network, random_state=3, input_scale=2.0, n_input_connections=1)
    part = network.layout.slices["recurrent"]
    np.testing.assert_array_equal(params[part], other[part])
    single = draw(network, random_state=3, dtype=np.float32)
    np.testing.assert_array_equal(single, params.astype(np.float32))


@pytest.mark.parametrize("loss", ["squared_error", "logistic", "softmax", "classes"])
def test_mean_target_bias_is_the_best_constant(loss, rng):
    name = "softmax" if loss == "classes" else loss
    network = SequenceNetwork(ElmanCell(2, 3), 3, name)
    shape = (4, 6)
    targets = {
        "squared_error": rng.normal(size=(*shape, 3)),
        "logistic": rng.uniform(size=(*shape, 3)),
        "softmax": rng.dirichlet(np.ones(3), size=shape),
        "classes": np.arange(24).reshape(shape) % 3,
    }[loss]
    mask = rng.uniform(0.5, 1.0, size=shape)
    mask[0] = 0
    batch = Batch(rng.normal(size=(*shape, 2)), targets, mask)
    bias = mean_target_bias(network, batch)
    params = sparse_parameters(network, output_scale=0.0, output_bias=bias, random_state=0)
    # At the best constant the gradient in the bias is zero.
    gradient = network.value_and_gradient(params, batch)[1]
    np.testing.assert_allclose(gradient[network.layout.slices["output_bias"]], 0, atol=1e-15)


def test_classes_that_never_occur_get_a_finite_bias():
    network = SequenceNetwork(ElmanCell(2, 3), 3, "softmax")
    bias = mean_target_bias(network, Batch(np.zeros((1, 2, 2)), np.array([[0, 1]])))
    np.testing.assert_allclose(bias, np.log([0.5, 0.5, 0.001]))


def test_wrong_options_are_named():
    network = SequenceNetwork(ElmanCell(2, 3), 2)
    with pytest.raises(ValueError, match="`n_connections` is 0"):
        sparse_parameters(network, n_connections=0)
    with pytest.raises(ValueError, match="`input_scale` is -1"):
        sparse_parameters(network, input_scale=-1.0)
    with pytest.raises(ValueError, match="`spectral_radius` is -1"):
        echo_state_parameters(network, spectral_radius=-1.0)
    with pytest.raises(ValueError, match=r"`output_bias` has shape \(3,\)"):
        sparse_parameters(network, output_bias=np.zeros(3))
