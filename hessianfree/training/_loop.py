"""The training loop: batches, callbacks, progress, history and checkpoints for any optimizer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from tqdm import tqdm

from hessianfree.network._parallel import ParallelObjective
from hessianfree.optimize._protocols import Objective, Optimizer
from hessianfree.training._checkpoints import TrainingState, save_checkpoint
from hessianfree.training._data import DataSource
from hessianfree.training._history import History, append_line
from hessianfree.training._stop_reason import TrainingStop
from reservoir.utils.device import module_of, move_state
from reservoir.utils.seeds import RandomState, seed_sequence
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer, check_methods


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
    checkpoint_every : int, default=1
    log : path-like, optional
        File for the history, one JSON object per line. A line is there as soon as its iteration is
        done; a run that goes on continues the file.
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
    if log is not None:
        state.history.write_jsonl(log)
    is_single = n_jobs in (None, 1)
    spread = nullcontext(objective) if is_single else ParallelObjective(objective, n_jobs)
    bar = tqdm(total=n_iterations, initial=state.iteration, disable=not progress)
    with spread as objective, bar:
        try:
            while state.iteration < n_iterations:
                began = time.perf_counter()
                batches = data.batches(state.iteration, state.seed)
                new_state, info = optimizer.step(objective, state.optimizer_state, *batches)
                row = {**info, "seconds": time.perf_counter() - began}
                state.history.append(row)
                state = replace(state, optimizer_state=new_state, iteration=state.iteration + 1)
                if log is not None:
                    append_line(log, row)
                if checkpoint is not None and state.iteration % checkpoint_every == 0:
                    save_checkpoint(checkpoint, state)
                bar.set_postfix(loss=f"{info['loss']:.4g}", refresh=False)
                bar.update()
                if callback is not None and callback(state):
                    state = replace(state, stop_reason=TrainingStop.CALLBACK)
                    break
        except KeyboardInterrupt:
            # The row of an iteration may be there already whose state is not.
            history = state.history.head(state.iteration)
            state = replace(state, history=history, stop_reason=TrainingStop.INTERRUPTED)
            if log is not None:
                history.write_jsonl(log)
    if module_of(state.params) is not callers_xp:
        state = replace(state, optimizer_state=move_state(callers_xp, state.optimizer_state))
    if checkpoint is not None:
        save_checkpoint(checkpoint, state)
    return state
