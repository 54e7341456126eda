"""Noisy waves of a few classes, and a small classifier of them."""

import itertools

import numpy as np
from scipy import sparse

from reservoir import ESNClassifier


def small(**parameters):
    settings = {"n_units": 20, "connectivity": 5, "alpha": 1e-2, "random_state": 1}
    plain = {"input_scaling": 1.0, "leak_rate": 1.0, "pooling": "mean"}
    return ESNClassifier(**settings | plain | parameters)


def noisy_waves(rng, n_sequences, priors=(0.5, 0.3, 0.2), noise=0.8, lengths=(9, 16)):
    """Waves of as many periods as there are classes, with noise that hides some of them."""
    labels = rng.choice(len(priors), p=priors, size=n_sequences)
    sequences = []
    for label in labels:
        time = np.linspace(0, 2 * np.pi, rng.integers(*lengths))[:, None]
        clean = np.hstack([np.sin((label + 1) * time), np.cos((label + 1) * time)])
        sequences.append(clean + noise * rng.normal(size=clean.shape))
    return sequences, labels


def plain_states(reservoir, inputs):
    """The recurrence as it is written down, one step at a time, dense."""
    W = reservoir.recurrent
    W = W.toarray() if sparse.issparse(W) else W
    x, states = np.zeros(len(W)), []
    for u in inputs:
        drive = W @ x + reservoir.input @ u + reservoir.bias
        x = (1 - reservoir.leak_rate) * x + reservoir.leak_rate * np.tanh(drive)
        states.append(x)
    return np.array(states)


def plain_steps(esn, inputs):
    """What the readout sees of each step."""
    states = plain_states(esn.reservoir_, inputs)
    if esn.bidirectional:
        states = np.hstack([states, plain_states(esn.reservoir_, inputs[::-1])[::-1]])
    return np.hstack([inputs] * esn.include_input + [states] + [states**2] * esn.include_squares)


def plain_pooled(esn, inputs, pooling):
    """What the readout sees of a sequence, without any streaming."""
    steps = plain_steps(esn, inputs)
    if pooling == "last":
        forward = plain_states(esn.reservoir_, inputs)[-1]
        backward = plain_states(esn.reservoir_, inputs[::-1])[-1]
        states = np.concatenate([forward] + [backward] * esn.bidirectional)
        parts = [inputs[-1]] * esn.include_input + [states] + [states**2] * esn.include_squares
        return np.concatenate(parts)
    kept = steps[esn.washout : len(steps) - esn.washout * esn.bidirectional]
    n_segments = 1 if pooling == "mean" else pooling
    edges = np.arange(n_segments + 1) * len(kept) // n_segments
    return np.concatenate([kept[a:b].mean(axis=0) for a, b in itertools.pairwise(edges)])
