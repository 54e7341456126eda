"""Hidden Markov models: their beliefs, what they expect next, and one written down by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class HiddenMarkov:
    """A hidden Markov model of N states that puts out symbols.

    Attributes
    ----------
    start : ndarray of shape (n_states,)
        P(state at the first step).
    transitions : ndarray of shape (n_states, n_states)
        P(next state | state), a state a row.
    emissions : ndarray of shape (n_states, n_symbols)
        P(symbol | state).
    """

    start: np.ndarray
    transitions: np.ndarray
    emissions: np.ndarray


def expected_states(
    start: np.ndarray, transitions: np.ndarray, likelihoods: np.ndarray
) -> np.ndarray:
    """Return P(state at the next step | what came so far), by the forward algorithm.

    a[t + 1] = Aᵀ (a[t] ∘ b[t]) / (a[t] · b[t]),   a[0] the start

    (Rabiner, 1989), with b[t] the likelihoods of shape (n_steps, n_sequences, n_states); the result
    has the same shape.
    """
    expected = np.empty_like(likelihoods)
    now = np.broadcast_to(start, likelihoods.shape[1:])
    for step, likelihood in enumerate(likelihoods):
        weighed = now * likelihood
        total = weighed.sum(axis=1, keepdims=True)
        # What the model holds to be impossible tells it nothing.
        now = np.where(total > 0, weighed / np.where(total > 0, total, 1), now) @ transitions
        expected[step] = now
    return expected


def chances_of_next(model: HiddenMarkov, sequences: np.ndarray, n_classes: int) -> np.ndarray:
    """Return P(next symbol | sequence, it is one of the first `n_classes`).

    `sequences` are symbols of shape (n_sequences, n_steps), the result is of shape (n_sequences,
    n_classes).
    """
    likelihoods = np.moveaxis(model.emissions[:, sequences.T], 0, -1)
    expected = expected_states(model.start, model.transitions, likelihoods)[-1]
    chances = expected @ model.emissions[:, :n_classes]
    total = chances.sum(axis=1, keepdims=True)
    return np.where(total > 0, chances / np.where(total > 0, total, 1), 1 / n_classes)


def remembering_model(n_states: int, n_classes: int, n_symbols: int) -> HiddenMarkov:
    """Return the model that stays where its first symbol puts it.

    The first `n_classes` symbols are dealt out among the states; each state puts out its own as
    often as any of the others, which all states put out alike, and is never left. What is known of
    the first symbol is in which state the model is: log2(n_states) bits where all have as many.
    """
    emissions = np.zeros((n_states, n_symbols))
    emissions[:, n_classes:] = 0.5 / (n_symbols - n_classes)
    for state in range(n_states):
        own = np.arange(state, n_classes, n_states)
        emissions[state, own] = 0.5 / len(own)
    return HiddenMarkov(np.full(n_states, 1 / n_states), np.eye(n_states), emissions)


def trained_model(
    n_states: int, sequences: np.ndarray, n_symbols: int, seeds: range
) -> HiddenMarkov:
    """Return what expectation maximization finds (hmmlearn), of several starts the likeliest."""
    from hmmlearn.hmm import CategoricalHMM

    rows, lengths = sequences.reshape(-1, 1), [sequences.shape[1]] * len(sequences)
    models = []
    for seed in seeds:
        model = CategoricalHMM(
            n_states, n_features=n_symbols, n_iter=40, tol=0.1, random_state=seed
        ).fit(rows, lengths)
        # Nothing is known of where a state leads that is met at the last step only.
        model.transmat_[model.transmat_.sum(axis=1) == 0] = 1 / n_states
        models.append(model)
    best = max(models, key=lambda model: model.score(rows, lengths))
    return HiddenMarkov(best.startprob_, best.transmat_, best.emissionprob_)
