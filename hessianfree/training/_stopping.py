"""Early stopping: validation data, losses that no longer fall, the best parameters."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hessianfree.batch import Batch, take_sequences
from hessianfree.network._network import SequenceNetwork
from hessianfree.training._checkpoints import TrainingState
from hessianfree.training._stop_reason import TrainingStop
from reservoir.utils.device import module_of, to_namespace
from reservoir.utils.persistence import register
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


def digest_of(*values: Any) -> str:
    """Return a digest that tells data from others: of arrays and of anything with a `repr`.

    Examples
    --------
    >>> digest_of(np.zeros(3), 0.5) == digest_of(np.zeros(3), 0.5)
    True
    >>> digest_of(np.zeros(3)) == digest_of(np.zeros((3, 1)))
    False
    """
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        if isinstance(value, np.ndarray) and value.dtype != object:
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).data.cast("B") if value.size else b"")
        else:
            text = repr(value.tolist() if isinstance(value, np.ndarray) else value)
            digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


@register
@dataclass(frozen=True, eq=False)
class Progress:
    """What a run has come to on its present data, beside what the optimizer knows.

    With a `TrainingState` it is all that decides how a run of an estimator goes on, and ends.

    Attributes
    ----------
    data : str
        `digest_of` the data.
    seed : numpy.random.SeedSequence
        What is held out was drawn from it.
    n_data : int
        Other data that were learned from before.
    began : int
        The iteration at which these data came; batches and validations are counted from it.
    validated_at, averaged_at : int
        The last iterations that the best parameters and the average take account of.
    validation_curve : ndarray of shape (n_validations,)
        Loss on what was held out, from the first data on.
    n_validated_before : int
        Of these, on other data or before other parameters were set.
    best_loss : float
        The lowest one on the present data.
    best_params : ndarray of shape (n_params,) or None
        Those that had it.
    average : ndarray of shape (n_params,) or None
        Of the parameters on the present data, where one is kept.
    """

    data: str
    seed: np.random.SeedSequence
    n_data: int = 0
    began: int = 0
    validated_at: int = 0
    averaged_at: int = 0
    validation_curve: Array = field(default_factory=lambda: np.zeros(0))
    n_validated_before: int = 0
    best_loss: float = math.inf
    best_params: Array | None = None
    average: Array | None = None

    def learned(self, params: Array) -> Array:
        """Return the best parameters, the average, or, where there are neither, those at hand."""
        for kept in (self.best_params, self.average):
            if kept is not None:
                return kept
        return params

    def anew(self, iteration: int, data: str) -> Progress:
        """Return the start of another run: on other data, or from other parameters."""
        n_data = self.n_data + (data != self.data)
        n_before = len(self.validation_curve)
        return Progress(
            data,
            self.seed,
            n_data,
            began=iteration,
            validated_at=iteration,
            averaged_at=iteration,
            validation_curve=self.validation_curve,
            n_validated_before=n_before,
        )

    def held_out_rng(self) -> np.random.Generator:
        """Return what draws the sequences that are held out: the same ones of the same data."""
        key = (*self.seed.spawn_key, self.n_data) if self.n_data else self.seed.spawn_key
        return np.random.default_rng(np.random.SeedSequence(self.seed.entropy, spawn_key=key))

    def averaged(self, iteration: int, params: Array) -> Progress:
        """Return the progress with the parameters of an iteration in the average.

        θ̄_i = θ̄_{i-1} + 4 / (i + 3) · (θ_i - θ̄_{i-1}),   i = 1, 2, ... on the present data
        """
        if iteration <= self.averaged_at:
            return self
        average = params if self.average is None else self.average
        average = to_namespace(module_of(params), average)
        weight = params.dtype.type(4 / (iteration - self.began + 3))
        return replace(self, averaged_at=iteration, average=average + weight * (params - average))


class Validation:
    """The callback of `train` that decides when to stop, and keeps the best parameters.

    Parameters
    ----------
    network : SequenceNetwork
    held_out : Batch or None
        What validates; without it the loss of the training batches is watched.
    stall : Stall or None
        Says when to stop; None leaves that to others.
    report : callable
        State, progress and the reason to stop, if there is one -> whether to stop.
    state : TrainingState
        Where the run goes on.
    progress : Progress
        What it has come to there.
    every : int, default=1
        Iterations from one validation to the next, which is what `stall` counts; 1 without
        held-out data.
    averages : bool, default=False
        Whether an average of the parameters is kept, and validated in their place.

    Attributes
    ----------
    progress : Progress
    stop_reason : TrainingStop or None
        CONVERGED or CALLBACK once training has to stop; CONVERGED from the start where a run has
        ended on the same data.
    """

    def __init__(
        self,
        network: SequenceNetwork,
        held_out: Batch | None,
        stall: Stall | None,
        report: Callable[[TrainingState, Progress, TrainingStop | None], bool],
        state: TrainingState,
        progress: Progress,
        every: int = 1,
        averages: bool = False,
    ) -> None:
        self._network = network.without_penalty()
        self._held_out = held_out
        self._every = every
        self._averages = averages
        self._stall = stall
        self._report = report
        self.progress = progress
        self.stop_reason: TrainingStop | None = None
        losses: Iterable[float] = ()
        if held_out is not None:
            losses = progress.validation_curve[progress.n_validated_before :]
        elif state.iteration > progress.began:
            losses = state.history["loss"][progress.began : state.iteration]
        stalled = False
        for loss in losses:
            stalled = self._has_stalled(float(loss))
        # A run that was interrupted may have ended between an iteration and its validation.
        if held_out is not None and state.iteration > progress.validated_at:
            stalled = self._note(state) or (stalled and not self._is_due(state))
        if stalled:
            self.stop_reason = TrainingStop.CONVERGED

    def __call__(self, state: TrainingState) -> bool:
        """Take note of an iteration, and say whether it was the last."""
        if self._averages:
            self.progress = self.progress.averaged(state.iteration, state.params)
        stalled = self._note(state)
        reason = TrainingStop.CONVERGED if stalled else None
        if self._report(state, self.progress, reason):
            reason = TrainingStop.CALLBACK
        self.stop_reason = reason
        return reason is not None

    def _is_due(self, state: TrainingState) -> bool:
        """Return whether the loss is looked at after an iteration."""
        return (state.iteration - self.progress.began) % self._every == 0

    def _note(self, state: TrainingState) -> bool:
        """Take note of an iteration, and say whether the loss has stalled."""
        if not self._is_due(state):
            return False
        if self._held_out is None:
            return self._has_stalled(float(state.history.last["loss"]))
        progress = self.progress
        params = state.params if progress.average is None else progress.average
        loss = self._network.value(params, self._held_out)
        curve = np.append(progress.validation_curve, loss)
        if loss <= progress.best_loss:
            progress = replace(progress, best_loss=loss, best_params=params)
        self.progress = replace(progress, validated_at=state.iteration, validation_curve=curve)
        return self._has_stalled(loss)

    def _has_stalled(self, loss: float) -> bool:
        """Take note of a loss, and say whether it has stalled."""
        return self._stall is not None and self._stall(loss)
