"""Does Hessian-free training learn to bridge long time lags, and how soon?

    python -m benchmarks.long_lags [--cued] [--quick] [--seeds N] [--first-seed K] [--seconds S]
        [--folder FOLDER] [NAME ...]

The problems of Hochreiter & Schmidhuber (1997) as posed by Martens & Sutskever (2011), all with one
setting, one thread. A run counts as solved when fewer than 1 % of 2,000 unseen sequences are wrong;
others, drawn afterwards, say how many are wrong where the choice of the moment plays no part. Times
are processor time without those tests; a run that takes longer than its budget is given up. How
long a curvature product took in the same minutes is printed with them, since processors differ and
other work slows them down. Everything takes up to two hours; `--quick`, one run of one problem,
some ten seconds.

`--cued` takes the problems in the form of the authors' code, with marks and symbols that tell where
a sequence begins and where its answer is due (`make_task(..., cues=True)`), with the same setting
and 600 s a run: up to four hours. With `--folder` each run leaves a file and is not made again, so
that the table can be made in slices, by names and seeds. Of xor over 100 steps the authors say that
success is very rare.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from hessianfree.batch import Batch
from hessianfree.cells import ElmanCell
from hessianfree.network import SequenceNetwork, mean_target_bias, sparse_parameters
from hessianfree.optimize import LONG_LAG_HESSIAN_FREE
from hessianfree.tasks import Task, make_task
from hessianfree.training import FreshBatches, TrainingState, start, take_sequences, train

N_UNITS = 100
DTYPE = np.float32
GRADIENT_SIZE = 1_000
CURVATURE_SIZE = 200


@dataclass(frozen=True)
class Problem:
    """A task at one length, and how much of the machine it may have."""

    task: str
    n_steps: int
    n_seeds: int = 5
    budget: float = 120.0  # seconds
    cues: bool = False


PROBLEMS = {
    "adding_50": Problem("adding", 50),
    "adding_100": Problem("adding", 100),
    "temporal_order_100": Problem("temporal_order", 100),
    "memorization_5_bits_100": Problem("memorization_5_bits", 100),
    "xor_100": Problem("xor", 100),
    "multiplication_100": Problem("multiplication", 100),
    "temporal_order_3_100": Problem("temporal_order_3", 100),
    "random_permutation_100": Problem("random_permutation", 100),
    "memorization_20_bits_100": Problem("memorization_20_bits", 100),
    "adding_200": Problem("adding", 200, budget=400.0),
}
CUED_PROBLEMS = {
    f"{name}_{n_steps}": Problem(name, n_steps, budget=600.0, cues=True)
    for name, n_steps in (
        ("adding", 200),
        ("multiplication", 100),
        ("temporal_order_3", 100),
        ("xor", 50),
        ("memorization_20_bits", 100),
    )
}


@dataclass(frozen=True)
class Run:
    """What one seed came to."""

    solved: bool
    seconds: float
    iterations: int
    products: int
    fraction_wrong: float  # of sequences that had no part in ending the run
    product_seconds: float


def solve(problem: Problem, seed: int) -> Run:
    """Train a net on a problem until it is solved or the budget is spent."""
    task = make_task(problem.task, problem.n_steps, cues=problem.cues)
    weights_seed, data_seed, test_seed, other_seed = np.random.SeedSequence(seed).spawn(4)
    test = task.draw(2_000, np.random.default_rng(test_seed))
    few = take_sequences(test, np.arange(test.n_sequences // 10))
    reference = task.draw(GRADIENT_SIZE, np.random.default_rng(weights_seed))
    network = make_network(task, reference)
    params = sparse_parameters(
        network,
        output_bias=mean_target_bias(network, reference),
        random_state=weights_seed,
        dtype=DTYPE,
    )
    product_seconds = time_product(network, params, task)
    began = time.process_time()
    test_seconds = 0.0
    solved = False

    def is_over(state: TrainingState) -> bool:
        nonlocal solved, test_seconds
        test_began = time.process_time()
        # A look at a few spares the whole test while nothing is learned yet.
        promising = fraction_wrong(task, network, state, few) < 5 * task.solved_below
        solved = promising and fraction_wrong(task, network, state, test) < task.solved_below
        now = time.process_time()
        test_seconds += now - test_began
        return solved or now - began - test_seconds > problem.budget

    state = train(
        network,
        LONG_LAG_HESSIAN_FREE,
        FreshBatches(task.draw, GRADIENT_SIZE, CURVATURE_SIZE),
        start(LONG_LAG_HESSIAN_FREE, params, data_seed),
        n_iterations=10_000,
        callback=is_over,
    )
    seconds = time.process_time() - began - test_seconds
    rng = np.random.default_rng(other_seed)
    others = [fraction_wrong(task, network, state, task.draw(1_000, rng)) for _ in range(10)]
    return Run(
        solved=solved,
        seconds=seconds,
        iterations=state.iteration,
        products=int(state.history["products"].sum()),
        fraction_wrong=float(np.mean(others)),
        product_seconds=product_seconds,
    )


def make_network(task: Task, reference: Batch) -> SequenceNetwork:
    """Return the net of a task.

    The gradient batch is worked through in slices as large as the curvature batch. On a busy
    machine that took 20 to 40 % off the median time of a gradient; the shortest times were the
    same within 5 %.
    """
    return SequenceNetwork(
        ElmanCell(task.n_inputs, N_UNITS),
        task.n_outputs,
        task.loss,
        max_rows=CURVATURE_SIZE * reference.n_steps,
    )


def time_product(network: SequenceNetwork, params: Any, task: Task) -> float:
    """Return the median processor time of a curvature product, in seconds."""
    batch = task.draw(CURVATURE_SIZE, np.random.default_rng(0))
    linearization = network.linearize(params, batch)
    v = np.random.default_rng(1).standard_normal(len(params)).astype(DTYPE)
    seconds = []
    for _ in range(10):
        began = time.process_time()
        linearization.gauss_newton_product(v, 0.001)
        seconds.append(time.process_time() - began)
    return float(np.median(seconds))


def fraction_wrong(
    task: Task, network: SequenceNetwork, state: TrainingState, batch: Batch
) -> float:
    """Return the fraction of the sequences of a batch that the net gets wrong."""
    predictions = network.predict(state.params, batch.inputs)
    return task.fraction_wrong(predictions, batch)


def table_row(name: str, runs: list[Run]) -> str:
    """Return a line of the table: ranges over the runs that were solved, or over all."""
    good = [run for run in runs if run.solved]
    counted = good or runs
    cells = [
        name,
        f"{len(good)}/{len(runs)}" if good else f"0/{len(runs)}, given up",
        spread([run.seconds for run in counted], ".1f"),
        spread([run.iterations for run in counted], "d"),
        spread([run.products for run in counted], "d"),
        spread([100 * run.fraction_wrong for run in counted], ".2f"),
        f"{1e3 * np.median([run.product_seconds for run in runs]):.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def spread(values: list[Any], form: str) -> str:
    """Return lowest to highest, or the only value."""
    ends = [format(end, form) for end in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else "-".join(ends)


def solve_or_read(name: str, problem: Problem, seed: int, folder: Path | None) -> Run:
    """Return a run, from its file where it is there already."""
    if folder is None:
        return solve(problem, seed)
    path = folder / f"{name}-{seed}.json"
    if path.exists():
        return Run(**json.loads(path.read_text()))
    run = solve(problem, seed)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(run)))
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = dict.fromkeys([*PROBLEMS, *CUED_PROBLEMS])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(every)}")
    parser.add_argument("--cued", action="store_true", help="the form of the authors' code")
    parser.add_argument("--quick", action="store_true", help="one run of 5-bit memorization")
    parser.add_argument("--seeds", type=int, help="runs of each problem; 5 by default")
    parser.add_argument("--first-seed", type=int, default=0, metavar="K")
    parser.add_argument("--seconds", type=float, help="budget of a run")
    parser.add_argument("--folder", type=Path, help="where runs leave files, and are looked for")
    arguments = parser.parse_args()
    problems = CUED_PROBLEMS if arguments.cued else PROBLEMS
    unknown = set(arguments.names) - set(problems)
    if unknown:
        parser.error(f"unknown problems: {', '.join(sorted(unknown))}")
    names, n_seeds = arguments.names or list(problems), arguments.seeds
    if arguments.quick:
        quick = "temporal_order_3_100" if arguments.cued else "memorization_5_bits_100"
        names, n_seeds = arguments.names or [quick], n_seeds or 1
    rows = []
    for name in names:
        problem = problems[name]
        if arguments.seconds is not None:
            problem = replace(problem, budget=arguments.seconds)
        runs = []
        first = arguments.first_seed
        for seed in range(first, first + (n_seeds or problem.n_seeds)):
            runs.append(solve_or_read(name, problem, seed, arguments.folder))
            print(name, seed, runs[-1], file=sys.stderr, flush=True)
        rows.append(table_row(name, runs))
    print("| problem | solved | seconds | iterations | products | wrong, % | ms a product |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
