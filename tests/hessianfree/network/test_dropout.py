"""Units that the output layer does not see: one function an iteration, exactly differentiated."""

import numpy as np
import pytest

from hessianfree.batch import Batch, take_sequences
from hessianfree.cells import BidirectionalCell, ElmanCell, LSTMCell, StackedCell
from hessianfree.network import SequenceNetwork
from hessianfree.training import Dropout, Minibatches

CELLS = {
    "vanilla": lambda: ElmanCell(2, 4),
    "stack": lambda: StackedCell([LSTMCell(2, 3), ElmanCell(3, 4)]),
    "both directions": lambda: BidirectionalCell(ElmanCell(2, 2), ElmanCell(2, 2)),
}


@pytest.mark.parametrize("loss", ["squared_error", "softmax"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_mask_is_a_factor_of_the_output_weights(cell, loss, rng):
    """Of each sequence for itself: o = W (m ⊙ h) = (W diag m) h, and derivatives by the chain rule.

    The curvature of the batch is then the mean of D_i G_i D_i, with D_i = diag(1, m_i, 1).
    """
    network = SequenceNetwork(CELLS[cell](), 3, loss)
    targets = (
        rng.normal(size=(5, 6, 3)) if loss == "squared_error" else rng.integers(3, size=(5, 6))
    )
    scale = rng.choice([0.0, 2.0], size=(6, 4))
    batch = Batch(rng.normal(size=(5, 6, 2)), targets, state_scale=scale)
    params = rng.normal(size=network.n_params)
    values, gradients, matrices, fishers = [], [], [], []
    for i in range(6):
        factors = np.ones(network.n_params)
        network.layout.views(factors)["output"][...] = scale[i]
        one = Batch(batch.inputs[:, i : i + 1], targets[:, i : i + 1])
        alone = network.linearize(params * factors, one)
        values.append(alone.value)
        gradients.append(factors * alone.gradient())
        matrix = alone.as_linear_operator(structural_damping=0.3) @ np.eye(len(params))
        matrices.append(factors[:, None] * matrix * factors)
        fishers.append(factors**2 * network.fisher_diagonal(params * factors, one))
    tolerance = {"rtol": 1e-10, "atol": 1e-13}
    linearization = network.linearize(params, batch)
    assert linearization.value == pytest.approx(np.mean(values), rel=1e-12)
    assert network.value(params, batch) == pytest.approx(np.mean(values), rel=1e-12)
    np.testing.assert_allclose(linearization.gradient(), np.mean(gradients, axis=0), **tolerance)
    found = network.value_and_gradient(params, batch)[1]
    np.testing.assert_allclose(found, np.mean(gradients, axis=0), **tolerance)
    found = linearization.as_linear_operator(structural_damping=0.3) @ np.eye(len(params))
    np.testing.assert_allclose(found, np.mean(matrices, axis=0), **tolerance)
    found = network.fisher_diagonal(params, batch)
    np.testing.assert_allclose(found, np.mean(fishers, axis=0), rtol=1e-9)
    sliced = SequenceNetwork(network.cell, 3, loss, max_rows=10)
    np.testing.assert_allclose(
        sliced.value_and_gradient(params, batch)[1], np.mean(gradients, axis=0), **tolerance
    )


def test_masks_are_those_of_the_iteration(rng):
    batch = Batch(rng.normal(size=(3, 400, 1)), np.zeros((3, 400, 1)))
    batch.inputs[0, :, 0] = np.arange(400)  # tells sequences apart
    source = Minibatches(batch, 200, 50, Dropout(0.25, n_units=30))
    seed = np.random.SeedSequence(3)
    gradient_batch, curvature_batch = source.batches(0, seed)
    scale = gradient_batch.state_scale
    assert set(np.unique(scale)) == {0.0, 4 / 3}
    assert scale.shape == (200, 30)
    assert np.mean(scale == 0) == pytest.approx(0.25, abs=0.02)
    places = {name: i for i, name in enumerate(gradient_batch.inputs[0, :, 0])}
    chosen = [places[name] for name in curvature_batch.inputs[0, :, 0]]
    np.testing.assert_array_equal(curvature_batch.state_scale, scale[chosen])
    np.testing.assert_array_equal(source.batches(0, seed)[0].state_scale, scale)
    assert not np.array_equal(source.batches(1, seed)[0].state_scale, scale)
    part = take_sequences(gradient_batch, np.array([5, 2]))
    np.testing.assert_array_equal(part.state_scale, scale[[5, 2]])


def test_what_does_not_fit_is_refused(rng):
    for rate in (1.0, -0.1):
        with pytest.raises(ValueError, match="`rate`"):
            Dropout(rate, 3)
    with pytest.raises(ValueError, match="`dropout` is about the states"):
        Minibatches((np.zeros((4, 1)), np.zeros((4, 1))), dropout=Dropout(0.5, 3))
    with pytest.raises(ValueError, match="`state_scale` has shape"):
        Batch(np.zeros((3, 4, 1)), np.zeros((3, 4, 1)), state_scale=np.ones((3, 2)))
