"""Bidirectional nets against plain ones that read each sequence from both ends."""

from dataclasses import replace

import numpy as np
import pytest

from hessianfree.batch import Batch, take_sequences
from hessianfree.cells import BidirectionalCell, ElmanCell, GRUCell, LSTMCell, StackedCell
from hessianfree.network import (
    ParallelObjective,
    SequenceNetwork,
    chrono_parameters,
    identity_parameters,
    sparse_parameters,
)
from tests.support import reference_nets as plain


def two(cell, n_inputs, n_units, **options):
    return BidirectionalCell(cell(n_inputs, n_units), cell(n_inputs, n_units), **options)


CELLS = {
    "vanilla": lambda: two(ElmanCell, 3, 2),
    "for a sequence": lambda: two(LSTMCell, 3, 1, aligned=False),
    "mixed": lambda: BidirectionalCell(
        LSTMCell(3, 1, peepholes=True), ElmanCell(3, 2, learn_initial_state=False)
    ),
    "stack": lambda: StackedCell([two(ElmanCell, 3, 1), two(GRUCell, 2, 1)]),
    "stack for a sequence": lambda: StackedCell(
        [two(ElmanCell, 3, 1), two(ElmanCell, 2, 1, aligned=False)]
    ),
    "stacks side by side": lambda: BidirectionalCell(
        StackedCell([ElmanCell(3, 1), ElmanCell(1, 1)]), ElmanCell(3, 1)
    ),
}
N_STEPS, N_SEQUENCES = 5, 4


def make_batch(mask, rng, inputs="real"):
    shape = (N_STEPS, N_SEQUENCES)
    x = rng.normal(size=(*shape, 3)) if inputs == "real" else rng.integers(3, size=shape)
    y = rng.normal(size=(*shape, 2))
    lengths = np.array([5, 2, 3, 5])
    steps = np.arange(N_STEPS)[:, None]
    masks = {
        "every step": (None, None),
        "various lengths": (steps < lengths, None),
        "last step": (steps == lengths - 1, lengths),
        # A step that is not scored is read all the same: from its end a sequence begins there.
        "not scored at the end": ((steps < lengths - 1) * rng.uniform(0.5, 2, shape), lengths),
    }
    scored, lengths = masks[mask]
    return Batch(x, y, scored, lengths=lengths)


@pytest.mark.parametrize(
    "mask", ["every step", "various lengths", "last step", "not scored at the end"]
)
@pytest.mark.parametrize("inputs", ["real", "symbols"])
@pytest.mark.parametrize("cell", CELLS)
def test_derivatives_equal_explicit_ones(cell, inputs, mask, rng):
    network = SequenceNetwork(CELLS[cell](), 2, l2=0.1)
    params, batch = rng.normal(size=network.n_params), make_batch(mask, rng, inputs)
    linearization = network.linearize(params, batch)
    expected = plain.value(network, "squared_error", params, batch)
    np.testing.assert_allclose(linearization.value, expected, rtol=1e-12)
    np.testing.assert_allclose(network.value(params, batch), expected, rtol=1e-12)
    slope, matrix, structure = plain.derivatives(network, "squared_error", params, batch)
    tolerance = {"rtol": 1e-10, "atol": 1e-13}
    np.testing.assert_allclose(linearization.gradient(), slope, **tolerance)
    np.testing.assert_allclose(network.value_and_gradient(params, batch)[1], slope, **tolerance)
    operator = linearization.as_linear_operator(structural_damping=0.7)
    found = operator @ np.eye(len(params))
    np.testing.assert_allclose(found, matrix + 0.7 * structure, **tolerance)
    np.testing.assert_allclose(
        network.fisher_diagonal(params, batch),
        plain.fisher_diagonal(network, "squared_error", params, batch),
        rtol=1e-9,
    )


def test_initial_states_made_of_vectors(rng):
    network = SequenceNetwork(CELLS["mixed"](), 2, n_initial_inputs=2)
    params = rng.normal(size=network.n_params)
    vectors = rng.normal(size=(N_SEQUENCES, 2))
    batch = replace(make_batch("various lengths", rng), initial_inputs=vectors)
    slope, matrix, _ = plain.derivatives(network, "squared_error", params, batch)
    linearization = network.linearize(params, batch)
    np.testing.assert_allclose(linearization.gradient(), slope, rtol=1e-10, atol=1e-13)
    found = linearization.as_linear_operator() @ np.eye(len(params))
    np.testing.assert_allclose(found, matrix, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("cell", ["mixed", "stack for a sequence"])
def test_uneven_sequences_are_those_alone(cell, rng):
    """Padding, slices, buckets and shards: each sequence is turned within its own length."""
    network = SequenceNetwork(CELLS[cell](), 2)
    params = rng.normal(size=network.n_params)
    batch = make_batch("last step", rng)
    batch.inputs[np.arange(N_STEPS)[:, None] >= batch.lengths] = np.nan  # never read
    alone = []
    for i, length in enumerate(batch.lengths):
        inputs = batch.inputs[:length, i : i + 1]
        alone.append(network.predict(params, inputs)[-1, 0])
        part = Batch(inputs, batch.targets[:length, i : i + 1], batch.mask[:length, i : i + 1])
        one = take_sequences(batch, np.array([i]))
        assert network.value(params, one) == pytest.approx(network.value(params, part), rel=1e-12)
    padded = np.nan_to_num(batch.inputs)
    together = network.predict(params, padded, lengths=batch.lengths)
    ends = together[batch.lengths - 1, np.arange(N_SEQUENCES)]
    np.testing.assert_allclose(ends, alone, rtol=1e-12)
    small = SequenceNetwork(network.cell, 2, max_rows=5)
    value, gradient = network.value_and_gradient(params, batch)
    np.testing.assert_allclose(small.value_and_gradient(params, batch)[1], gradient, rtol=1e-10)
    with ParallelObjective(network, n_jobs=2) as parallel:
        assert parallel.value(params, batch) == pytest.approx(value, rel=1e-12)


def test_weights_start_as_those_of_one_direction(rng):
    network = SequenceNetwork(StackedCell([two(LSTMCell, 3, 40), two(GRUCell, 80, 40)]), 1)
    blocks = network.layout.views(sparse_parameters(network, random_state=0))
    for direction in ("forward", "backward"):
        lowest, highest = (f"layer{i}.{direction}." for i in (1, 2))
        assert blocks[lowest + "input"].std() == pytest.approx(0.1, rel=0.2)
        assert np.count_nonzero(blocks[lowest + "recurrent"], axis=1).tolist() == [15] * 40
        assert np.count_nonzero(blocks[highest + "input"], axis=1).tolist() == [15] * 40
        np.testing.assert_array_equal(blocks[lowest + "forget_gate_bias"], 1.0)


def test_other_starts_are_those_of_both_directions():
    network = SequenceNetwork(StackedCell([two(LSTMCell, 3, 10), two(GRUCell, 20, 10)]), 1)
    blocks = network.layout.views(chrono_parameters(network, longest_lag=50, random_state=0))
    for name in ("layer1.forward.forget_gate_bias", "layer1.backward.forget_gate_bias",
                 "layer2.forward.update_bias", "layer2.backward.update_bias"):  # fmt: skip
        assert 0 <= blocks[name].min() < blocks[name].max() <= np.log(49)
    network = SequenceNetwork(two(ElmanCell, 3, 10), 1)
    blocks = network.layout.views(identity_parameters(network, random_state=0))
    for name in ("forward.recurrent", "backward.recurrent"):
        np.testing.assert_array_equal(blocks[name], np.eye(10))
    with pytest.raises(ValueError, match="the start 'chrono' is for cells"):
        chrono_parameters(network)


def test_what_does_not_fit_is_refused(rng):
    with pytest.raises(ValueError, match="`backward` has 2 inputs, but `forward` has 3"):
        BidirectionalCell(ElmanCell(3, 1), ElmanCell(2, 1))
    with pytest.raises(TypeError, match="`aligned` is 'no'"):
        two(ElmanCell, 3, 1, aligned="no")
    network = SequenceNetwork(CELLS["vanilla"](), 2)
    params, batch = rng.normal(size=network.n_params), make_batch("every step", rng)
    with pytest.raises(ValueError, match="the net is bidirectional"):
        network.final_state(params, batch)
    with pytest.raises(ValueError, match="`generate` reads what it writes, but `cell`"):
        network.generate(params, start=0)
    for bad in ([5, 5], [6, 1, 1, 1], [0, 1, 1, 1], [1.5, 1, 1, 1]):
        with pytest.raises(ValueError, match="`lengths`"):
            replace(batch, lengths=np.array(bad))
        with pytest.raises(ValueError, match="`lengths`"):
            network.predict(params, batch.inputs, lengths=np.array(bad))
