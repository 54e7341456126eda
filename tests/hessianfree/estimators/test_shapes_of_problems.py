"""One vector to a sequence, a sequence to one target, a target at every step: each is learned."""

import numpy as np
import pytest

from hessianfree.batch import Batch
from hessianfree.cells import ElmanCell, GRUCell, LSTMCell, StackedCell
from hessianfree.network import SequenceNetwork, mean_target_bias, sparse_parameters
from hessianfree.optimize import HessianFree, LevenbergMarquardt
from hessianfree.training import Minibatches, start, train

CELLS = {
    "vanilla": lambda k: ElmanCell(k, 20),
    "lstm": lambda k: LSTMCell(k, 15),
    "gru": lambda k: GRUCell(k, 15),
    "stack": lambda k: StackedCell([LSTMCell(k, 10), GRUCell(10, 10)]),
}


def learn(network, batch, n_iterations):
    optimizer = HessianFree(
        damping=LevenbergMarquardt(initial=0.03), structural_damping=0.03, max_cg_iterations=30
    )
    params = sparse_parameters(
        network, output_bias=mean_target_bias(network, batch), random_state=0
    )
    n = batch.n_sequences
    data = Minibatches(batch, n, n)
    return train(network, optimizer, data, start(optimizer, params, 1), n_iterations=n_iterations)


@pytest.mark.parametrize("cell", CELLS)
def test_one_to_many(cell, rng):
    """A vector says which word it is, and the net spells it, fed with what it has just said."""
    words = ["seven", "eight", "three"]
    letters = sorted(set("".join(words)))
    end = len(letters)
    spelled = np.full((7, 3), end)
    for i, word in enumerate(words):
        spelled[1 : 1 + len(word), i] = [letters.index(letter) for letter in word]
    vectors = rng.normal(size=(3, 4))
    network = SequenceNetwork(CELLS[cell](end + 1), end + 1, "softmax", n_initial_inputs=4)
    batch = Batch(spelled[:-1], spelled[1:], initial_inputs=vectors)
    state = learn(network, batch, 40)
    for i, word in enumerate(words):
        said, hidden = [end], None
        while len(said) < 7:
            start_from = {} if said[1:] else {"initial_inputs": vectors[i : i + 1]}
            now = np.array([[said[-1]]])
            probabilities, hidden = network.run(state.params, now, hidden, **start_from)
            said.append(int(probabilities[0, 0].argmax()))
        assert "".join(letters[k] for k in said[1:-1]) == word


@pytest.mark.parametrize("cell", ["lstm", "stack"])
def test_many_to_one(cell, rng):
    """Was the number that came with a mark positive? Asked at the end, lengths vary."""
    lengths = rng.integers(4, 9, size=400)
    inputs = [np.column_stack([rng.uniform(-1, 1, n), np.zeros(n)]) for n in lengths]
    targets = []
    for x in inputs:
        marked = rng.integers(len(x))
        x[marked, 1] = 1
        targets.append(np.array(int(x[marked, 0] > 0)))
    network = SequenceNetwork(CELLS[cell](2), 2, "softmax")
    train_on = Batch.from_sequences(inputs[:300], targets[:300], last_step_only=True)
    state = learn(network, train_on, 20)
    test = Batch.from_sequences(inputs[300:], targets[300:], last_step_only=True)
    predicted = network.predict(state.params, test.inputs).argmax(axis=2)[test.mask]
    assert np.mean(predicted == test.targets[test.mask]) > 0.9


@pytest.mark.parametrize("cell", ["vanilla", "gru"])
def test_many_to_many(cell, rng):
    """At every step, the sum of what came in that step and the one before."""
    inputs = rng.uniform(-1, 1, size=(10, 60, 1))
    targets = inputs.copy()
    targets[1:] += inputs[:-1]
    network = SequenceNetwork(CELLS[cell](1), 1)
    state = learn(network, Batch(inputs[:, :40], targets[:, :40]), 30)
    error = network.predict(state.params, inputs[:, 40:]) - targets[:, 40:]
    assert np.var(error) < 0.01 * np.var(targets)
