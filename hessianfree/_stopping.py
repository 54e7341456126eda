"""When to stop learning: what is held out, and whether the loss still falls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from hessianfree.batch import Batch
from hessianfree.checkpoints import TrainingState
from hessianfree.network import SequenceNetwork
from hessianfree.objective import Array
from hessianfree.training import take_sequences


def hold_out(batch: Batch, fraction: float, rng: np.random.Generator) -> tuple[Batch, Batch | None]:
    """Return what is learned from, and what is held out for validation.

    Of several sequences, some drawn at random are held out. Of a single one, its last targets: the
    net then runs over all its steps, but learns from the first ones only.

    Parameters
    ----------
    batch : Batch
    fraction : float in [0, 1)
        Of the sequences, or of the scored steps of a single one; 0 holds out nothing.
    rng : numpy.random.Generator

    Returns
    -------
    training : Batch
    held_out : Batch or None

    Raises
    ------
    ValueError
        If a single sequence has too few targets.
    """
    if fraction == 0:
        return batch, None
    n_sequences = batch.n_sequences
    if n_sequences > 1:
        n_held_out = min(max(1, round(fraction * n_sequences)), n_sequences - 1)
        order = rng.permutation(n_sequences)
        training, held_out = np.sort(order[n_held_out:]), np.sort(order[:n_held_out])
        return take_sequences(batch, training), take_sequences(batch, held_out)
    mask = np.ones((batch.n_steps, 1)) if batch.mask is None else batch.mask.astype(float)
    scored = np.flatnonzero(mask)
    n_held_out = max(1, round(fraction * len(scored)))
    if n_held_out >= len(scored):
        raise ValueError(
            f"`validation_fraction` is {fraction}, but `X` is one sequence with {len(scored)} "
            "target(s), too few to hold out any. Pass more, or 0."
        )
    early, late = mask.copy(), mask.copy()
    early[scored[-n_held_out:]] = 0
    late[scored[:-n_held_out]] = 0
    return replace(batch, mask=early), replace(batch, mask=late)


def has_stalled(losses: ArrayLike, tol: float, n_iterations: int) -> bool:
    """Say whether the last iterations lowered the best loss by no more than `tol` of it.

    Examples
    --------
    >>> has_stalled([3.0, 2.0, 2.5, 2.1], tol=0.01, n_iterations=2)
    True
    >>> has_stalled([3.0, 2.0, 2.5, 1.9], tol=0.01, n_iterations=2)
    False
    """
    losses = np.asarray(losses)
    if len(losses) <= n_iterations:
        return False
    before, since = np.min(losses[:-n_iterations]), np.min(losses[-n_iterations:])
    return not since < before - tol * abs(before)


class Watch:
    """What `train` calls after each iteration: says when to stop, and keeps the best parameters.

    Parameters
    ----------
    network : SequenceNetwork
    held_out : Batch or None
        What validates; without it the loss of the training batches is watched.
    tol, n_iterations
        As in `has_stalled`.
    callback : callable
        State -> whether to stop.
    first : int
        Iterations made before, which do not count.

    Attributes
    ----------
    validation_curve : list of float
        Loss on what is held out after each iteration, without the penalty.
    best_params : ndarray of shape (n_params,) or None
        Those with the lowest such loss.
    stop_reason : str
        "converged" or "callback" once training has to stop.
    """

    def __init__(
        self,
        network: SequenceNetwork,
        held_out: Batch | None,
        tol: float,
        n_iterations: int,
        callback: Callable[[TrainingState], bool],
        first: int,
    ) -> None:
        self._network = SequenceNetwork(
            network.cell, network.n_outputs, network.loss, max_rows=network.max_rows
        )
        self._held_out = held_out
        self._tol, self._n_iterations = tol, n_iterations
        self._callback = callback
        self._first = first
        self.validation_curve: list[float] = []
        self.best_params: Array | None = None
        self.stop_reason = ""

    def __call__(self, state: TrainingState) -> bool:
        """Take note of an iteration, and say whether it was the last."""
        if self._held_out is None:
            curve: ArrayLike = state.history["loss"][self._first :]
        else:
            self.validation_curve.append(self._network.value(state.params, self._held_out))
            curve = self.validation_curve
            if self.validation_curve[-1] <= min(self.validation_curve):
                self.best_params = state.params
        if self._callback(state):
            self.stop_reason = "callback"
        elif has_stalled(curve, self._tol, self._n_iterations):
            self.stop_reason = "converged"
        return bool(self.stop_reason)
