"""Early stopping: validation data, losses that no longer fall, the best parameters."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hessianfree.batch import Batch, take_sequences
from hessianfree.network._network import SequenceNetwork
from hessianfree.training._checkpoints import TrainingState
from hessianfree.training._stop_reason import TrainingStop
from reservoir.utils.types import Array


def hold_out(batch: Batch, fraction: float, rng: np.random.Generator) -> tuple[Batch, Batch | None]:
    """Split a batch into training data and validation data.

    Of several sequences, some drawn at random validate. Of a single one, its last targets do: the
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


class Stall:
    """Says whether the last iterations lowered the best loss by no more than `tol` of it.

    Parameters
    ----------
    tol : float
    n_iterations : int

    Examples
    --------
    >>> stall = Stall(tol=0.01, n_iterations=2)
    >>> [stall(loss) for loss in (3.0, 2.0, 2.5, 2.1)]
    [False, False, False, True]
    """

    def __init__(self, tol: float, n_iterations: int) -> None:
        self._tol = tol
        self._last: deque[float] = deque(maxlen=n_iterations)
        self._best_before = math.inf

    def __call__(self, loss: float) -> bool:
        """Take note of a loss, and say whether it has stalled."""
        is_full = len(self._last) == self._last.maxlen
        if is_full:
            self._best_before = min(self._best_before, self._last[0])
        self._last.append(math.inf if math.isnan(loss) else loss)
        before = self._best_before
        wanted = before - self._tol * abs(before) if math.isfinite(before) else before
        return is_full and not min(self._last) < wanted


class Validation:
    """What `train` calls after each iteration: says when to stop, and keeps the best parameters.

    Parameters
    ----------
    network : SequenceNetwork
    held_out : Batch or None
        What validates; without it the loss of the training batches is watched.
    tol, n_iterations
        As in `Stall`.
    callback : callable
        State -> whether to stop.
    every : int, default=1
        Iterations from one validation to the next, which `tol` and `n_iterations` then refer to.

    Attributes
    ----------
    validation_curve : list of float
        Loss on the validation data at each validation, without the penalty.
    best_params : ndarray of shape (n_params,) or None
        Those with the lowest such loss.
    stop_reason : TrainingStop or None
        CONVERGED or CALLBACK once training has to stop.
    """

    def __init__(
        self,
        network: SequenceNetwork,
        held_out: Batch | None,
        tol: float,
        n_iterations: int,
        callback: Callable[[TrainingState], bool],
        every: int = 1,
    ) -> None:
        self._network = network.without_penalty()
        self._held_out = held_out
        self._every = every if held_out is not None else 1
        self._has_stalled = Stall(tol, max(1, n_iterations // self._every))
        self._callback = callback
        self.validation_curve: list[float] = []
        self.best_params: Array | None = None
        self._best_loss = math.inf
        self.stop_reason: TrainingStop | None = None

    def __call__(self, state: TrainingState) -> bool:
        """Take note of an iteration, and say whether it was the last."""
        stalled = state.iteration % self._every == 0 and self._has_stalled(self._loss(state))
        if self._callback(state):
            self.stop_reason = TrainingStop.CALLBACK
        elif stalled:
            self.stop_reason = TrainingStop.CONVERGED
        return self.stop_reason is not None

    def _loss(self, state: TrainingState) -> float:
        """Return the loss that is watched, and keep the parameters if it is the best."""
        if self._held_out is None:
            return float(state.history.last["loss"])
        loss = self._network.value(state.params, self._held_out)
        self.validation_curve.append(loss)
        if loss <= self._best_loss:
            self._best_loss, self.best_params = loss, state.params
        return loss
