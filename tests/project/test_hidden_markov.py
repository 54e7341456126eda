"""The hidden Markov models of the demo on memory, and the bound on what they remember."""

from itertools import pairwise, product

import numpy as np
import pytest

from demos._hidden_markov import HiddenMarkov, chances_of_next, remembering_model, trained_model


def draw_model(rng, n_states, n_symbols, concentration=1.0):
    start, transitions, emissions = (
        rng.dirichlet(np.full(n, concentration), size)
        for n, size in ((n_states, None), (n_states, n_states), (n_symbols, n_states))
    )
    return HiddenMarkov(start, transitions, emissions)


def chance_of(model, sequence):
    """Add up the chances of all ways through the states."""
    total = 0.0
    for path in product(range(len(model.start)), repeat=len(sequence)):
        chance = model.start[path[0]]
        for before, after in pairwise(path):
            chance *= model.transitions[before, after]
        total += chance * np.prod([model.emissions[s, x] for s, x in zip(path, sequence)])
    return total


def bits(model, sequences, first, n_classes):
    """Return what is spared of log2 n_classes bits, where the first symbol comes once more."""
    chances = chances_of_next(model, sequences, n_classes)
    return np.log2(n_classes) + np.log2(chances[np.arange(len(first)), first]).mean()


def test_chances_are_those_of_all_ways_through_the_states(rng):
    model = draw_model(rng, n_states=3, n_symbols=4)
    sequences = rng.integers(4, size=(5, 4))
    expected = np.array([[chance_of(model, [*row, x]) for x in range(3)] for row in sequences])
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(chances_of_next(model, sequences, 3), expected, rtol=1e-12)


@pytest.mark.parametrize("n_states", [1, 2, 4, 8, 16])
def test_the_model_by_hand_attains_the_bound(rng, n_states):
    first = np.arange(16)
    sequences = np.column_stack([first, rng.integers(16, 18, size=(16, 5))])
    model = remembering_model(n_states, 16, 18)
    np.testing.assert_allclose(model.emissions.sum(axis=1), 1, rtol=1e-12)
    assert bits(model, sequences, first, 16) == pytest.approx(np.log2(n_states), abs=1e-12)


@pytest.mark.parametrize("n_states", [1, 2, 3, 5])
def test_no_model_remembers_more_than_the_bound(rng, n_states):
    first = np.arange(8)
    most = -np.inf
    for concentration in (0.05, 0.3, 1.0):
        for stays in (0.0, 0.99):
            for _ in range(20):
                drawn = draw_model(rng, n_states, 10, concentration)
                transitions = stays * np.eye(n_states) + (1 - stays) * drawn.transitions
                model = HiddenMarkov(drawn.start, transitions, 0.999 * drawn.emissions + 1e-4)
                sequences = np.column_stack([first, rng.integers(8, 10, size=(8, 2))])
                most = max(most, bits(model, sequences, first, 8))
    assert most <= np.log2(n_states) + 1e-9
    if n_states > 1:
        assert most > 0  # some do remember


def test_what_is_impossible_leaves_all_symbols_alike():
    model = HiddenMarkov(np.ones(1), np.ones((1, 1)), np.array([[0.0, 0.0, 1.0]]))
    np.testing.assert_array_equal(chances_of_next(model, np.array([[0, 2]]), 2), [[0.5, 0.5]])


def test_a_trained_model_says_what_its_library_says(rng):
    hmm = pytest.importorskip("hmmlearn.hmm")
    sequences = rng.integers(4, size=(30, 4))
    model = trained_model(2, sequences, 4, range(2))
    theirs = hmm.CategoricalHMM(2, n_features=4)
    theirs.startprob_, theirs.transmat_ = model.start, model.transitions
    theirs.emissionprob_ = model.emissions
    row = sequences[0]
    scores = [theirs.score(np.array([*row, x])[:, None]) for x in range(4)]
    expected = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(chances_of_next(model, row[None], 4)[0], expected, rtol=1e-9)
