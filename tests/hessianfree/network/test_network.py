"""SequenceNetwork against the plain nets, explicit matrices and what must not change."""

import itertools
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from hessianfree.batch import Batch
from hessianfree.cells import (
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
from hessianfree.network import SequenceNetwork
from hessianfree.optimize import FisherObjective
from tests.support import reference_nets as plain

N_INPUTS, N_UNITS, N_OUTPUTS, N_STEPS, N_SEQUENCES = 3, 2, 3, 4, 3
N_VECTOR = 2

UNGATED = {
    "tanh": lambda: ElmanCell(N_INPUTS, N_UNITS),
    "logistic": lambda: ElmanCell(N_INPUTS, N_UNITS, activation="logistic"),
    "relu": lambda: ElmanCell(N_INPUTS, N_UNITS, activation="relu"),
    "fixed start": lambda: ElmanCell(N_INPUTS, N_UNITS, learn_initial_state=False),
    "multiplicative": lambda: MultiplicativeCell(N_INPUTS, N_UNITS, 3),
    "shifted gain": lambda: MultiplicativeCell(N_INPUTS, N_UNITS, 3, gain="shifted_tanh"),
    "tensor": lambda: TensorCell(N_INPUTS, N_UNITS),
}
GATED = {
    "lstm": lambda: LSTMCell(N_INPUTS, N_UNITS),
    "peepholes": lambda: LSTMCell(N_INPUTS, N_UNITS, peepholes=True),
    "gru": lambda: GRUCell(N_INPUTS, N_UNITS),
    "mut1": lambda: MUT1Cell(N_INPUTS, N_UNITS),
    "mut2": lambda: MUT2Cell(N_INPUTS, N_UNITS),
    "mut3": lambda: MUT3Cell(N_INPUTS, N_UNITS),
}
# Inputs that enter as they are.
DIRECT = {
    "mut1, as many inputs": lambda: MUT1Cell(N_INPUTS, N_INPUTS),
    "mut2, as many inputs": lambda: MUT2Cell(N_INPUTS, N_INPUTS),
}
STACKED = {
    "stack": lambda: StackedCell([LSTMCell(N_INPUTS, 1), ElmanCell(1, 2), GRUCell(2, 1)]),
    "mixed stack": lambda: StackedCell(
        [MultiplicativeCell(N_INPUTS, 2), TensorCell(2, 2, learn_initial_state=False)]
    ),
}
# Nets whose initial states are made of a vector of each sequence.
FROM_VECTOR = {
    "tanh, from a vector": UNGATED["tanh"],
    "fixed start, from a vector": UNGATED["fixed start"],
    "peepholes, from a vector": GATED["peepholes"],
    "stack, from a vector": STACKED["stack"],
}
CELLS = UNGATED | GATED | DIRECT | STACKED | FROM_VECTOR
LOSSES = ["squared_error", "logistic", "softmax"]
MASKS = ["every step", "last step", "various lengths", "weights"]
INPUTS = ["real", "symbols"]
# Every pair of cell and mask, the other choices in turn.
PAIRS = [
    (cell, INPUTS[i % 2], LOSSES[i % 3], mask)
    for i, (cell, mask) in enumerate(itertools.product(CELLS, MASKS))
]
EVERYTHING = list(itertools.product(UNGATED, INPUTS, LOSSES, MASKS))
# With gates every triple of cell, loss and mask, of other nets every pair of cell and mask.
EVERYTHING += [
    (cell, INPUTS[(i + k + m) % 2], loss, mask)
    for i, cell in enumerate(GATED)
    for k, loss in enumerate(LOSSES)
    for m, mask in enumerate(MASKS)
]
EVERYTHING += [pair for pair in PAIRS if pair not in EVERYTHING]


def make_mask(kind, rng, n_steps=N_STEPS, n_sequences=N_SEQUENCES):
    if kind == "every step":
        return None
    mask = np.zeros((n_steps, n_sequences))
    if kind == "last step":
        mask[-1] = 1
    elif kind == "various lengths":
        mask = np.arange(n_steps)[:, None] < 1 + np.arange(n_sequences)
    else:
        mask[1:3] = rng.uniform(0.5, 2.0, size=(2, n_sequences))
        mask[2, 0] = 0
    return mask


def make_targets(loss, rng, shape):
    if loss == "squared_error":
        return rng.normal(size=(*shape, N_OUTPUTS))
    if loss == "logistic":
        return rng.uniform(size=(*shape, N_OUTPUTS))
    return rng.integers(N_OUTPUTS, size=shape)


def make_network(cell, *arguments, **options):
    options["n_initial_inputs"] = N_VECTOR if cell in FROM_VECTOR else None
    return SequenceNetwork(CELLS[cell](), N_OUTPUTS, *arguments, **options)


def make_vectors(cell, rng, n_sequences=N_SEQUENCES):
    return rng.normal(size=(n_sequences, N_VECTOR)) if cell in FROM_VECTOR else None


def make_problem(cell, inputs, loss, mask, rng, dtype=np.float64, **options):
    network = make_network(cell, loss, **options)
    shape = (N_STEPS, N_SEQUENCES)
    x = rng.normal(size=(*shape, N_INPUTS)) if inputs == "real" else rng.integers(3, size=shape)
    batch = Batch(x, make_targets(loss, rng, shape), make_mask(mask, rng), make_vectors(cell, rng))
    return network, rng.normal(size=network.n_params).astype(dtype), batch


def product_matrix(linearization, dtype, n_params, **options):
    eye = np.eye(n_params, dtype=dtype)
    return np.stack([linearization.gauss_newton_product(e, **options) for e in eye], axis=1)


@pytest.mark.parametrize("problem", EVERYTHING, ids=", ".join)
def test_derivatives_equal_explicit_ones(problem, rng):
    loss = problem[2]
    network, params, batch = make_problem(*problem, rng, l2=0.1)
    linearization = network.linearize(params, batch)
    expected = plain.value(network, loss, params, batch)
    np.testing.assert_allclose(linearization.value, expected, rtol=1e-13)
    np.testing.assert_allclose(network.value(params, batch), expected, rtol=1e-13)
    slope, matrix, structure = plain.derivatives(network, loss, params, batch)
    np.testing.assert_allclose(linearization.gradient(), slope, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(
        network.value_and_gradient(params, batch)[1], slope, rtol=1e-11, atol=1e-14
    )
    product = product_matrix(linearization, float, network.n_params)
    np.testing.assert_allclose(product, matrix, rtol=1e-11, atol=1e-13)
    damped = product_matrix(linearization, float, network.n_params, structural_damping=0.7)
    np.testing.assert_allclose(damped, matrix + 0.7 * structure, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(damped, damped.T, rtol=1e-11, atol=1e-12)
    eigenvalues = np.linalg.eigvalsh(damped)
    assert eigenvalues[0] > -1e-13 * eigenvalues[-1]
    # The gradient comes from buffers that the products have used in between.
    np.testing.assert_allclose(linearization.gradient(), slope, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("cell", ["tanh", "tanh, from a vector", "stack, from a vector"])
def test_without_penalty_is_the_loss_on_the_data_alone(cell, rng):
    problem = (cell, "real", "softmax", "weights")
    network, params, batch = make_problem(*problem, rng, l2=0.1, max_rows=N_STEPS)
    bare = network.without_penalty()
    penalty = 0.05 * np.sum(plain.penalised(network) * params**2)
    assert bare.value(params, batch) == pytest.approx(network.value(params, batch) - penalty)
    assert (bare.l2, bare.max_rows, bare.n_initial_inputs, bare.layout.shapes) == (
        0.0, N_STEPS, network.n_initial_inputs, network.layout.shapes,
    )  # fmt: skip
    assert network.l2 == 0.1


@pytest.mark.parametrize("problem", PAIRS, ids=", ".join)
def test_fisher_diagonal_squares_the_gradient_of_each_sequence(problem, rng):
    network, params, batch = make_problem(*problem, rng, l2=0.1)
    assert isinstance(network, FisherObjective)
    expected = plain.fisher_diagonal(network, problem[2], params, batch)
    np.testing.assert_allclose(
        network.fisher_diagonal(params, batch), expected, rtol=1e-11, atol=1e-14
    )


@pytest.mark.parametrize("cell", ["tanh", "multiplicative", "shifted gain", "tensor"])
@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("mask", MASKS)
def test_quarter_form_of_structural_damping(cell, inputs, mask, rng):
    network, params, batch = make_problem(
        cell, inputs, "softmax", mask, rng, structural_distance="quarter"
    )
    damped = product_matrix(
        network.linearize(params, batch), float, network.n_params, structural_damping=0.7
    )
    _, matrix, structure = plain.derivatives(network, "softmax", params, batch)
    np.testing.assert_allclose(damped, matrix + 0.7 * structure, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("problem", EVERYTHING, ids=", ".join)
def test_float32_stays_float32_and_near_float64(problem, rng):
    network, params, batch = make_problem(*problem, rng, l2=0.1)
    single = network.linearize(params.astype(np.float32), batch)
    double = network.linearize(params.astype(np.float32).astype(float), batch)
    v = rng.normal(size=network.n_params)
    product = single.gauss_newton_product(v.astype(np.float32), structural_damping=0.5)
    expected = double.gauss_newton_product(v, structural_damping=0.5)
    gradient, diagonal = single.gradient(), network.fisher_diagonal(params.astype("f4"), batch)
    assert product.dtype == gradient.dtype == diagonal.dtype == np.float32
    assert np.linalg.norm(product - expected) < 1e-5 * np.linalg.norm(expected)
    assert np.linalg.norm(gradient - double.gradient()) < 1e-5 * np.linalg.norm(gradient)
    np.testing.assert_allclose(single.value, double.value, rtol=1e-5)


@pytest.mark.parametrize("problem", PAIRS, ids=", ".join)
def test_slices_give_the_same_result(problem, rng):
    network, params, batch = make_problem(*problem, rng, l2=0.1)
    sliced = make_network(problem[0], problem[2], l2=0.1, max_rows=N_STEPS)
    v = rng.normal(size=network.n_params)
    whole, parts = network.linearize(params, batch), sliced.linearize(params, batch)
    np.testing.assert_allclose(parts.value, whole.value, rtol=1e-13)
    np.testing.assert_allclose(
        parts.gauss_newton_product(v, 0.3), whole.gauss_newton_product(v, 0.3), rtol=1e-11
    )
    np.testing.assert_allclose(parts.gradient(), whole.gradient(), rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(
        sliced.fisher_diagonal(params, batch), network.fisher_diagonal(params, batch), rtol=1e-11
    )


def everything_about(network, params, batch, v):
    linearization = network.linearize(params, batch)
    return [
        linearization.value,
        linearization.gradient(),
        linearization.gauss_newton_product(v, 0.4),
        network.fisher_diagonal(params, batch),
    ]


@pytest.mark.parametrize("problem", PAIRS, ids=", ".join)
def test_a_doubled_batch_changes_nothing(problem, rng):
    network, params, batch = make_problem(*problem, rng, l2=0.1)
    v = rng.normal(size=network.n_params)
    doubled = Batch(
        *(
            None if a is None else np.concatenate([a, a], axis=1)
            for a in (batch.inputs, batch.targets, batch.mask)
        ),
        None if batch.initial_inputs is None else np.tile(batch.initial_inputs, (2, 1)),
    )
    for a, b in zip(
        everything_about(network, params, batch, v), everything_about(network, params, doubled, v)
    ):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("problem", PAIRS, ids=", ".join)
def test_padding_changes_nothing_and_is_never_read(problem, rng):
    _, inputs, loss, _ = problem
    network, params, batch = make_problem(*problem, rng, l2=0.1)
    v = rng.normal(size=network.n_params)

    def pad(array, value):
        padded = np.full((N_STEPS + 2, N_SEQUENCES + 1, *array.shape[2:]), value, array.dtype)
        padded[:N_STEPS, :N_SEQUENCES] = array
        return padded

    weights = np.ones((N_STEPS, N_SEQUENCES)) if batch.mask is None else batch.mask.astype(float)
    padded = Batch(
        pad(batch.inputs, np.nan if inputs == "real" else -1),
        pad(batch.targets, -1 if loss == "softmax" else np.nan),
        pad(3 * weights, 0),
        None if batch.initial_inputs is None else np.vstack([batch.initial_inputs, [[9, 9]]]),
    )
    for a, b in zip(
        everything_about(network, params, batch, v), everything_about(network, params, padded, v)
    ):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("inputs", INPUTS)
def test_symbols_are_one_hot_inputs(cell, inputs, rng):
    network, params, batch = make_problem(cell, "symbols", "softmax", "every step", rng)
    one_hot = replace(batch, inputs=np.eye(N_INPUTS)[batch.inputs])
    v = rng.normal(size=network.n_params)
    for a, b in zip(
        everything_about(network, params, batch, v), everything_about(network, params, one_hot, v)
    ):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("cell", CELLS)
def test_one_step_and_one_sequence(cell, rng):
    network = make_network(cell)
    params = rng.normal(size=network.n_params)
    batch = Batch(
        rng.normal(size=(1, 1, N_INPUTS)),
        rng.normal(size=(1, 1, N_OUTPUTS)),
        initial_inputs=make_vectors(cell, rng, 1),
    )
    gradient, matrix, _ = plain.derivatives(network, "squared_error", params, batch)
    np.testing.assert_allclose(
        product_matrix(network.linearize(params, batch), float, network.n_params),
        matrix,
        rtol=1e-12,
        atol=1e-14,
    )
    np.testing.assert_allclose(
        network.value_and_gradient(params, batch)[1], gradient, rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell not in ("tensor", "mixed stack")])
@pytest.mark.parametrize("inputs", INPUTS)
def test_products_allocate_nothing_after_the_first(cell, inputs, rng):
    network = make_network(cell, "logistic")
    shape = (60, 500)
    x = rng.normal(size=(*shape, N_INPUTS)) if inputs == "real" else rng.integers(3, size=shape)
    vectors = make_vectors(cell, rng, shape[1])
    batch = Batch(x, rng.uniform(size=(*shape, N_OUTPUTS)), initial_inputs=vectors)
    linearization = network.linearize(rng.normal(size=network.n_params), batch)
    v, out = rng.normal(size=(2, network.n_params))
    linearization.gauss_newton_product(v, 0.1, out=out)
    held = linearization.nbytes
    tracemalloc.start()
    linearization.gauss_newton_product(v, 0.1, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert linearization.nbytes == held
    # NumPy's own iteration buffers take 64 KiB; one number per step and sequence is 240 kB.
    assert peak < 100_000


def test_out_receives_the_product(rng):
    network, params, batch = make_problem("tanh", "real", "softmax", "every step", rng, l2=0.1)
    linearization = network.linearize(params, batch)
    v, out = rng.normal(size=(2, network.n_params))
    assert linearization.gauss_newton_product(v, out=out) is out
    np.testing.assert_array_equal(out, linearization.gauss_newton_product(v))


def test_a_linearization_does_not_follow_params_changed_in_place(rng):
    network, params, batch = make_problem("multiplicative", "real", "logistic", "weights", rng)
    v = rng.normal(size=network.n_params)
    linearization = network.linearize(params, batch)
    before = linearization.gradient(), linearization.gauss_newton_product(v)
    params *= 2
    np.testing.assert_array_equal(before[0], linearization.gradient())
    np.testing.assert_array_equal(before[1], linearization.gauss_newton_product(v))


def test_a_loss_that_overflows_is_a_result(rng):
    network, params, batch = make_problem("relu", "real", "squared_error", "every step", rng)
    linearization = network.linearize(1e100 * np.abs(params), batch)
    assert not np.isfinite(linearization.value)
    assert not np.all(np.isfinite(linearization.gradient()))
    assert not np.all(np.isfinite(linearization.gauss_newton_product(params)))


def test_predictions_and_states_are_those_of_the_plain_net(rng):
    network, params, batch = make_problem("multiplicative", "symbols", "softmax", "weights", rng)
    outputs, states, _ = plain.run(network, params, batch.inputs)
    np.testing.assert_allclose(network.states(params, batch.inputs), states, rtol=1e-13)
    expected = np.apply_along_axis(plain.softmax, 2, outputs)
    np.testing.assert_allclose(network.predict(params, batch.inputs), expected, rtol=1e-12)


@pytest.mark.parametrize("cell", FROM_VECTOR)
def test_predictions_from_a_vector_are_those_of_the_plain_net(cell, rng):
    network, params, batch = make_problem(cell, "real", "squared_error", "every step", rng)
    expected = plain.outputs_of(network, params, batch)
    vectors = {"initial_inputs": batch.initial_inputs}
    np.testing.assert_allclose(network.predict(params, batch.inputs, **vectors), expected)
    # A state that is given takes the place of one made of a vector.
    first, state = network.run(params, batch.inputs[:2], **vectors)
    rest = network.predict(params, batch.inputs[2:], state)
    np.testing.assert_allclose(np.concatenate([first, rest]), expected, rtol=1e-12)


@pytest.mark.parametrize("cell", ["tanh", "peepholes", "gru", "stack"])
def test_a_run_can_go_on_from_a_state(cell, rng):
    network, params, batch = make_problem(cell, "real", "squared_error", "every step", rng)
    whole = network.predict(params, batch.inputs)
    state = network.run(params, batch.inputs[:2])[1]
    rest = network.predict(params, batch.inputs[2:], initial_state=state)
    np.testing.assert_allclose(rest, whole[2:], rtol=1e-13)


def test_vectors_for_initial_states_must_fit(rng):
    network, params, batch = make_problem(
        "tanh, from a vector", "real", "squared_error", "every step", rng
    )
    vectors = batch.initial_inputs
    for wrong, message in [
        (None, "`initial_inputs` has no columns, but the network has 2"),
        (vectors[:, :1], "`initial_inputs` has 1 columns, but the network has 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            network.linearize(params, replace(batch, initial_inputs=wrong))
        with pytest.raises(ValueError, match=message):
            network.predict(params, batch.inputs, initial_inputs=wrong)
    with pytest.raises(ValueError, match="one row for each of the 3 sequences"):
        network.predict(params, batch.inputs, initial_inputs=vectors[:2])
    other = SequenceNetwork(ElmanCell(N_INPUTS, 2), N_OUTPUTS)
    with pytest.raises(ValueError, match="has 2 columns, but the network has no initial inputs"):
        other.value(np.zeros(other.n_params), batch)
    with pytest.raises(ValueError, match="`n_initial_inputs` is 0"):
        SequenceNetwork(ElmanCell(1, 1), 1, n_initial_inputs=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "hinge"}, "`loss` is 'hinge'"),
        ({"l2": -1.0}, "`l2` is -1"),
        ({"n_outputs": 0}, "`n_outputs` is 0"),
        ({"max_rows": 0}, "`max_rows` is 0"),
        ({"structural_distance": "cubed"}, "`structural_distance` is 'cubed'"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SequenceNetwork(ElmanCell(1, 1), **{"n_outputs": 1, **options})


@pytest.mark.parametrize("cell", [ElmanCell(1, 1, activation="relu"), LSTMCell(1, 1)])
def test_quarter_form_is_for_tanh_only(cell):
    with pytest.raises(ValueError, match="belongs to cells whose states are a tanh"):
        SequenceNetwork(cell, 1, structural_distance="quarter")


def test_targets_must_fit_the_outputs(rng):
    network = SequenceNetwork(ElmanCell(2, 3), 2, "softmax")
    params = np.zeros(network.n_params)
    inputs = np.zeros((2, 1, 2))
    with pytest.raises(ValueError, match="`targets` has classes up to 5"):
        network.value(params, Batch(inputs, np.array([[0], [5]])))
    with pytest.raises(ValueError, match="`targets` has 3 features, but the network has 2 outputs"):
        network.value(params, Batch(inputs, np.zeros((2, 1, 3))))
    with pytest.raises(ValueError, match="integer classes, which belong to the softmax"):
        SequenceNetwork(ElmanCell(2, 3), 2).value(params, Batch(inputs, np.array([[0], [1]])))


def test_params_must_be_floats_of_the_right_length():
    network = SequenceNetwork(ElmanCell(2, 3), 1)
    batch = Batch(np.zeros((2, 1, 2)), np.zeros((2, 1, 1)))
    with pytest.raises(ValueError, match=r"`params` has shape \(3,\)"):
        network.linearize(np.zeros(3), batch)
    with pytest.raises(TypeError, match="`params` is of dtype int64"):
        network.value(np.zeros(network.n_params, dtype=int), batch)
    linearization = network.linearize(np.zeros(network.n_params), batch)
    with pytest.raises(ValueError, match=r"`v` has shape \(1,\)"):
        linearization.gauss_newton_product(np.zeros(1))
