"""Comparison of optimizers, cells and echo state networks at the same seeds and budget."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from hessianfree.batch import Batch
from hessianfree.comparison._problems import AnyProblem, Problem
from hessianfree.comparison._protocols import Budget, Contender, Run, TrainingRun
from hessianfree.comparison._watch import Watch
from hessianfree.tasks._task import Task
from hessianfree.training._history import json_line
from reservoir.utils.explained import explained
from reservoir.utils.files import write_atomically
from reservoir.utils.validation import check_integer

# Sequences whose answers say whether a run has solved its task.
N_TEST = 1_000
# Sequences that the fraction wrong of a finished run is counted on.
N_FRESH = 5_000
# Sequences by whose loss settings are given up.
N_VALIDATION = 200


@explained
def compare(
    contenders: Sequence[Contender],
    problems: Sequence[AnyProblem],
    budget: Budget,
    *,
    seeds: Iterable[int] = range(5),
    n_evaluations: int = 100,
    folder: str | Path | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> list[Run]:
    """Run each contender on each problem from each seed, all with the same budget.

    A seed stands for the same starting weights of contenders with the same cell, and for the same
    training and test data of all. A contender with several settings (learning rates) has to find
    the best within its budget: all settings learn side by side, and in rounds that cost the same
    the worse half, by the loss on 200 sequences that are not learned from, is given up.

    Parameters
    ----------
    contenders : sequence of Contender
        With distinct names.
    problems : sequence of Problem, DataProblem, or others
        Tasks of the literature, given data, or what has the members of `AnyProblem`.
    budget : Budget
        Of one run.
    seeds : iterable of int
    n_evaluations : int, default=100
        How often, in equal shares of the budget, a run is evaluated: its loss on held-out
        sequences, how many of 1,000 test sequences are wrong, and whether that solves the task,
        which ends the run. Evaluations are not charged. Where a task has data of its own for this,
        `Task.held_out`, all of them are taken.
    folder : path-like, optional
        Where each run leaves a file of its own, ``CONTENDER-TASK-STEPS-SEED.jsonl``: a line on its
        setting, one for each evaluation, one on the result. Runs whose file is there are not run
        again, so that a comparison that was cut short, or is extended, goes on.
    n_jobs : int, optional
        As in joblib; a dask or ray backend spreads the runs over a cluster. Each run computes on
        one thread.
    progress : bool, default=False
        Whether to show a progress bar that counts runs; not with a joblib backend that returns
        results all at once.

    Returns
    -------
    list of Run
        In the order of problems, contenders, seeds.

    Raises
    ------
    ValueError
        If two contenders have one name, or a file of `folder` is that of another setting.

    Notes
    -----
    Seconds depend on what else the machine does, and on whether `n_jobs` runs share its memory
    bandwidth; sequence gradients do not, but count a step through an LSTM as one of a vanilla net.
    Report both. With a limit in seconds evaluations come at other moments in each run of the same
    program; with one in sequence gradients a run is reproducible.

    Examples
    --------
    >>> from hessianfree.comparison import NetContender
    >>> from hessianfree.optimize import SGD
    >>> contender = NetContender("sgd", optimizers=(SGD(0.1), SGD(0.01)), n_units=8)
    >>> runs = compare([contender], [Problem("adding", 10)],
    ...                Budget(sequence_gradients=2_000), seeds=[0], n_evaluations=2)
    >>> runs[0].solved, round(runs[0].sequence_gradients)
    (False, 2033)
    """
    check_integer("n_evaluations", n_evaluations, minimum=1)
    names = [contender.name for contender in contenders]
    if len(set(names)) < len(names):
        raise ValueError(
            f"`contenders` have the names {names}, but distinct ones were expected. Name the "
            "settings apart."
        )
    jobs = [
        delayed(_run_or_read)(contender, problem, seed, budget, n_evaluations, folder)
        for problem in problems
        for contender in contenders
        for seed in seeds
    ]
    # Some backends, as that of ray, have no generators.
    runs = Parallel(n_jobs=n_jobs, return_as="generator" if progress else "list")(jobs)
    return list(tqdm(runs, total=len(jobs), disable=not progress, desc="runs"))


@explained
def run_contender(
    contender: Contender,
    problem: AnyProblem,
    seed: int,
    budget: Budget,
    *,
    n_evaluations: int = 100,
) -> Run:
    """Run a contender on a problem from one seed; see `compare`."""
    task = problem.make()
    weights, data, test, validation, fresh = np.random.SeedSequence(seed).spawn(5)
    held_out = task.held_out
    with threadpool_limits(1):
        tested = _draw(task, N_TEST, test) if held_out is None else held_out.test
        watch = Watch(task, budget, n_evaluations, tested)
        candidates = contender.training_runs(task, weights, data)
        judging = _draw(task, N_VALIDATION, validation) if held_out is None else held_out.validation
        candidate = _search(candidates, judging, watch)
        wrong = []
        for batch in _last_test(task, fresh):
            predictions = candidate.predict(batch)
            wrong.append(
                (task.fraction_wrong(predictions, batch), task.wrong_steps(predictions, batch))
            )
        fraction_wrong, wrong_steps = np.mean(wrong, axis=0)
    return Run(
        contender=contender.name,
        task=task.name,
        n_steps=problem.n_steps,
        seed=seed,
        solved=watch.solved,
        fraction_wrong=float(fraction_wrong),
        wrong_steps=float(wrong_steps),
        loss=watch.evaluations[-1]["loss"],
        seconds=watch.seconds,
        sequence_gradients=watch.sequence_gradients,
        setting=candidate.name,
        evaluations=watch.evaluations,
    )


def _draw(task: Task, n_sequences: int, seed: np.random.SeedSequence) -> Batch:
    """Return sequences drawn by a seed of their own."""
    return task.draw(n_sequences, np.random.default_rng(seed))


def _last_test(task: Task, seed: np.random.SeedSequence) -> Iterator[Batch]:
    """Yield the sequences by which the outcome is told, in parts."""
    if task.held_out is not None:
        yield task.held_out.final
        return
    rng = np.random.default_rng(seed)
    for _ in range(N_FRESH // N_TEST):
        yield task.draw(N_TEST, rng)


def _search(candidates: list[TrainingRun], held_out: Batch, watch: Watch) -> TrainingRun:
    """Train side by side, give up the worse half at the end of each round, return the last."""
    n_rounds = 1 + math.ceil(math.log2(len(candidates)))
    for number in range(1, n_rounds + 1):
        begin, share = watch.fraction, number / n_rounds - watch.fraction
        for position, candidate in enumerate(candidates, start=1):
            watch.train(candidate, until=begin + share * position / len(candidates))
            if watch.solved:
                return candidate
        if number < n_rounds:
            losses = [watch.validate(candidate, held_out) for candidate in candidates]
            order = np.argsort(losses, kind="stable")[: (len(candidates) + 1) // 2]
            candidates = [candidates[index] for index in sorted(order)]
    watch.evaluate(candidates[0])
    return candidates[0]


@explained
def load_runs(folder: str | Path) -> list[Run]:
    """Return the runs that `compare` left in a folder, whoever made them and when.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    list of Run
        Sorted by task, number of steps, contender and seed.
    """
    runs = [_read(path)[1] for path in Path(folder).glob("*.jsonl")]
    return sorted(runs, key=lambda run: (run.task, run.n_steps, run.contender, run.seed))


def _run_or_read(
    contender: Contender,
    problem: AnyProblem,
    seed: int,
    budget: Budget,
    n_evaluations: int,
    folder: str | Path | None,
) -> Run:
    """Return a run, from its file where it is there already."""
    if folder is None:
        return run_contender(contender, problem, seed, budget, n_evaluations=n_evaluations)
    key = f"{contender.name}-{problem.make().name}-{problem.n_steps}-{seed}"
    path = Path(folder) / f"{key.replace(' ', '_').replace('/', '_')}.jsonl"
    header: dict[str, Any] = {
        "contender": repr(contender),
        "budget": asdict(budget),
        "n_evaluations": n_evaluations,
    }
    if not isinstance(problem, Problem):  # of which the name of the file says all
        header["problem"] = repr(problem)
    if path.exists():
        found, result = _read(path)
        different = [name for name in header if found.get(name) != header[name]]
        if different:
            raise ValueError(
                f"`folder` holds a run {path.name!r} of another {' and '.join(different)}. Choose "
                "another folder, another name, or delete the file."
            )
        return result
    path.parent.mkdir(parents=True, exist_ok=True)
    result = run_contender(contender, problem, seed, budget, n_evaluations=n_evaluations)
    row = asdict(result)
    evaluations = row.pop("evaluations")
    lines = [json_line(header), *map(json_line, evaluations), json_line(row)]
    write_atomically(path, "".join(lines).encode())
    return result


def _read(path: Path) -> tuple[dict[str, Any], Run]:
    """Return the setting of a run and its result."""
    try:
        header, *evaluations, row = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        if "n_looks" in header:  # as it was called before
            header["n_evaluations"] = header.pop("n_looks")
        for values in (row, *evaluations):
            values.update({name: math.nan for name, value in values.items() if value is None})
        run = Run(**row, evaluations=evaluations)
        if not isinstance(run.solved, bool) or not isinstance(run.seed, int):
            raise ValueError("`solved` or `seed` is not what it should be.")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"`folder` holds {str(path)!r}, which is not a run that `compare` wrote, or is "
            "damaged. Delete the file: the run is then made again."
        ) from error
    return header, run
