"""The training loop: batches, callbacks, progress, history and checkpoints for any optimizer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import Any, Self

from tqdm import tqdm

from hessianfree.network._parallel import ParallelObjective
from hessianfree.optimize._protocols import Objective, Optimizer
from hessianfree.training._checkpoints import CheckpointWriter, TrainingState
from hessianfree.training._data import DataSource
from hessianfree.training._history import History, append_line
from hessianfree.training._stop_reason import TrainingStop
from reservoir.utils.device import module_of, move_state
from reservoir.utils.explained import explained
from reservoir.utils.locks import only_user
from reservoir.utils.seeds import RandomState, seed_sequence
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer, check_methods


@explained
def start(
    optimizer: Optimizer[Any], params: Array, random_state: RandomState = None
) -> TrainingState:
    """Return the state of a run before its first iteration.

    Parameters
    ----------
    optimizer : Optimizer
    params : ndarray of shape (n_params,)
        Where to start; copied.
    random_state : None, int, Generator, RandomState or SeedSequence
        What the data of all iterations are drawn from.

    Returns
    -------
    TrainingState
    """
    check_methods("optimizer", optimizer, ("init", "step"), "Adam() or HessianFree()")
    seed = seed_sequence(random_state)
    return TrainingState(optimizer.init(params), 0, seed, History())


@explained
def train(
    objective: Objective,
    optimizer: Optimizer[Any],
    data: DataSource,
    state: TrainingState,
    *,
    n_iterations: int,
    callback: Callable[[TrainingState], Any] | None = None,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    log: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
) -> TrainingState:
    """Minimize an objective, one batch after the other.

    Parameters
    ----------
    objective : Objective
    optimizer : Optimizer
    data : DataSource
        `FreshBatches`, `Minibatches`, or anything with their `batches`.
    state : TrainingState
        From `start`, from another call, or from `load_checkpoint`; not changed.
    n_iterations : int
        Iterations since the start of the run, those in `state` among them: the same call goes on
        with a run that was cut short, and does nothing for one that is complete.
    callback : callable, optional
        Called with the state after each iteration; True ends the run.
    progress : bool, default=False
        Whether to show a progress bar.
    checkpoint : path-like, optional
        File for the state, replaced in one piece each `checkpoint_every` iterations and at the end.
        While the run lasts its history is in a file of its own, ``PATH.history-N.jsonl``, so that
        a checkpoint costs the same however long the run is: copy both to go on elsewhere. A
        ``PATH.lock`` tells other runs to keep off, until this one ends or is killed.
    checkpoint_every : int, default=1
    log : path-like, optional
        File for the history, one JSON object per line. A line is there as soon as its iteration is
        done; a run that goes on continues the file. Locked as `checkpoint` is.
    n_jobs : int, optional
        Threads among which the sequences of a batch are spread, of a `SequenceNetwork` on the CPU;
        -1 is all cores. As `ParallelObjective`, which also computes on other machines.

    Returns
    -------
    TrainingState
        With a `stop_reason` equal to "n_iterations", "callback" or "interrupted". Its arrays are
        NumPy's if those of `state` are, also where the objective computes on a GPU; callbacks see
        them there.

    Notes
    -----
    A run killed at any moment and resumed from its checkpoint gives the same parameters, bit for
    bit, as one never stopped, on the same machine and number of threads. Ctrl-C ends the run after
    the last complete iteration: the state is returned, and saved, as if that had been asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.optimize import FunctionObjective
    >>> from hessianfree.optimize import HessianFree
    >>> from hessianfree.training import FreshBatches
    >>> sphere = FunctionObjective(
    ...     value=lambda x: 0.5 * x @ x, gradient=lambda x: x, product=lambda x, v: v)
    >>> optimizer, data = HessianFree(), FreshBatches(lambda n, rng: None, 1)
    >>> state = train(sphere, optimizer, data, start(optimizer, np.ones(2)), n_iterations=30)
    >>> state.params.round(6), str(state.stop_reason)
    (array([0., 0.]), 'n_iterations')
    >>> bool(state.history["loss"][-1] < 1e-9)
    True
    """
    check_methods("objective", objective, ("value_and_gradient",), "a SequenceNetwork")
    check_methods("optimizer", optimizer, ("init", "step"), "Adam() or HessianFree()")
    check_methods(
        "data", data, ("batches",), "FreshBatches(draw, size) or Minibatches(batch), or "
        "FreshBatches(lambda n, rng: None, 1) for an objective without data",
    )  # fmt: skip
    if not isinstance(state, TrainingState):
        raise TypeError(
            f"`state` is of type {type(state).__name__}, but a TrainingState was expected. Pass "
            "start(optimizer, params)."
        )
    check_integer("n_iterations", n_iterations, minimum=0)
    check_integer("checkpoint_every", checkpoint_every, minimum=1)
    callers_xp = module_of(state.params)
    # Rows are appended to a history of our own, so that the one given stays as it is.
    history = state.history.head(state.iteration)
    state = replace(state, history=history, stop_reason=TrainingStop.N_ITERATIONS)
    is_single = n_jobs in (None, 1)
    spread = nullcontext(objective) if is_single else ParallelObjective(objective, n_jobs)
    bar = tqdm(total=n_iterations, initial=state.iteration, disable=not progress)
    with _RunFiles(checkpoint, checkpoint_every, log) as files, spread as objective, bar:
        files.begin(state.history)
        try:
            while state.iteration < n_iterations:
                began = time.perf_counter()
                batches = data.batches(state.iteration, state.seed)
                new_state, info = optimizer.step(objective, state.optimizer_state, *batches)
                row = {**info, "seconds": time.perf_counter() - began}
                state.history.append(row)
                state = replace(state, optimizer_state=new_state, iteration=state.iteration + 1)
                files.keep(row, state)
                bar.set_postfix(loss=f"{info['loss']:.4g}", refresh=False)
                bar.update()
                if callback is not None and callback(state):
                    state = replace(state, stop_reason=TrainingStop.CALLBACK)
                    break
        except KeyboardInterrupt:
            # The row of an iteration may be there already whose state is not.
            history = state.history.head(state.iteration)
            state = replace(state, history=history, stop_reason=TrainingStop.INTERRUPTED)
            files.begin(history)
        if module_of(state.params) is not callers_xp:
            state = replace(state, optimizer_state=move_state(callers_xp, state.optimizer_state))
        files.finish(state)
    return state


class _RunFiles:
    """The checkpoint and the log of a run, either of which there may be; no other run has them."""

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | None,
        checkpoint_every: int,
        log: str | os.PathLike[str] | None,
    ) -> None:
        self._log, self._every = log, checkpoint_every
        self._names = {"checkpoint": checkpoint, "log": log}
        self._writer = None if checkpoint is None else CheckpointWriter(checkpoint)
        self._locks = ExitStack()

    def __enter__(self) -> Self:
        with self._locks:
            for argument, path in self._names.items():
                if path is not None:
                    self._locks.enter_context(only_user(path, argument))
            self._locks = self._locks.pop_all()
        return self

    def begin(self, history: History) -> None:
        """Make the log that of a history."""
        if self._log is not None:
            history.write_jsonl(self._log)

    def keep(self, row: Mapping[str, Any], state: TrainingState) -> None:
        """Add the row of an iteration, and the state after it where one is due."""
        if self._log is not None:
            append_line(self._log, row)
        if self._writer is not None and state.iteration % self._every == 0:
            self._writer.save(state)

    def finish(self, state: TrainingState) -> None:
        """Write the last checkpoint."""
        if self._writer is not None:
            self._writer.finish(state)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
        self._locks.close()
