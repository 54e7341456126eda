"""How do four ways to learn a recurrent net compare on problems of the literature?

    python -m benchmarks.comparison EXPERIMENT [--folder FOLDER] [--seeds SEED ...] [--seconds S]
        [--steps T ...] [--tasks NAME ...] [--write] [--quick]

Experiments:

table5
    Adding and 20-bit memorization over 80 steps from the echo state start of Sutskever, Martens,
    Dahl & Hinton (2013), by momentum of 0.995 and without momentum, beside their table 5 and beside
    Hessian-free optimization and a reservoir.
lags
    The success rates of the four contenders of `demos.compare` on adding, temporal order and xor
    against the number of steps, with more seconds for more steps.
starts
    Six starts of vanilla and LSTM nets, by Adam and by Hessian-free optimization, on adding and
    temporal order.
binary_addition
    A problem without long lags, on which first-order optimization is the faster one.

Each run is one thread, leaves a file in the folder and is not run again: an experiment can be made
in slices, by seeds, tasks or steps, and the tables are of all that is in the folder. Times are
processor time, without tests. `--write` replaces the section in `benchmarks/RESULTS.md`. With its
default seeds and seconds `table5` takes up to 27 minutes, `lags` up to 35, `starts` up to 22,
`binary_addition` some seconds; `--quick` makes a small run of a few seconds.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.__main__ import processor, versions, write_section
from demos._common import colors_of
from demos.compare import CONTENDERS
from hessianfree import (
    SGD,
    Adam,
    Budget,
    EchoStateContender,
    Momentum,
    NetContender,
    PiecewiseConstant,
    Problem,
    compare,
    write_report,
)
from hessianfree.comparison import (
    Contender,
    Run,
    load_runs,
    markdown_table,
    plot_success,
    settings_table,
    share_legend,
)
from hessianfree.optimize import LONG_LAG_HESSIAN_FREE

# Published: mean number of wrong answers a sequence, by learning biases only, without momentum, and
# with Nesterov's momentum of 0.995 (Sutskever et al., 2013, table 5; means of 4 seeds).
TABLE5 = {
    "adding": (0.82, 0.39, 0.00025),
    "memorization_20_bits": (8.0, 5.37, 0.00005),
}
# For adding and multiplication the paper starts with smaller input weights.
INPUT_SCALES = {"adding": 0.001, "memorization_20_bits": 0.1}
N_ADDING_UNITS = 20


@dataclass(frozen=True)
class Experiment:
    """Contenders on problems, and what they may cost."""

    title: str
    tasks: tuple[str, ...]
    steps: tuple[int, ...]
    contenders: Callable[[str], Sequence[Contender]]  # of a task
    seconds: Callable[[int], float]  # of a run, by the number of steps
    n_seeds: int
    quick: tuple[str, int, float]  # task, number of steps, seconds
    is_drawn: bool = True  # not where there are too many curves to tell apart


def echo_state_starts(task: str) -> Sequence[Contender]:
    """Return what stands in table 5, and two others."""
    start = {"input_scale": INPUT_SCALES[task]}
    schedule = PiecewiseConstant((0.9, 0.995), (1000,))
    return [
        NetContender(
            "Nesterov, momentum 0.995",
            tuple(Momentum(rate, momentum=schedule, clip_norm=1.0) for rate in (1e-2, 3e-3, 1e-3)),
            initialization="echo_state",
            initialization_options=start,
        ),
        NetContender(
            "no momentum",
            tuple(SGD(rate, clip_norm=1.0) for rate in (1e-1, 1e-2, 1e-3)),
            initialization="echo_state",
            initialization_options=start,
        ),
        NetContender(
            "Hessian-free", (LONG_LAG_HESSIAN_FREE,), gradient_size=1000, curvature_size=200
        ),
        EchoStateContender("echo state network"),
    ]


def starts(task: str) -> Sequence[Contender]:
    """Return nets that differ in where they start, by a first-order and a second-order method."""
    adam = tuple(Adam(rate, clip_norm=1.0) for rate in (0.01, 0.003, 0.001))
    vanilla: dict[str, Any] = {
        "sparse": {},
        "echo state": {"initialization": "echo_state"},
        "orthogonal": {"initialization": "orthogonal"},
        "identity, relu": {"initialization": "identity", "activation": "relu"},
        "chain": {"initialization": "chain"},
    }
    lstm: dict[str, Any] = {
        "forget bias 1": {"initialization_options": {"input_scale": 1.0}},
        "chrono": {
            "initialization": "chrono",
            "initialization_options": {"input_scale": 1.0, "longest_lag": 30},
        },
    }
    second_order = (LONG_LAG_HESSIAN_FREE,)
    return [
        *(NetContender(f"{name}, Adam", adam, **start) for name, start in vanilla.items()),
        *(
            NetContender(
                f"{name}, Hessian-free",
                second_order,
                gradient_size=1000,
                curvature_size=200,
                **start,
            )
            for name, start in vanilla.items()
        ),
        *(
            NetContender(f"LSTM {name}, Adam", adam, cell="lstm", n_units=50, **start)
            for name, start in lstm.items()
        ),
    ]


def small_nets(task: str) -> Sequence[Contender]:
    """Return contenders of the size that binary addition needs."""
    adam = tuple(Adam(rate, clip_norm=1.0) for rate in (0.1, 0.03, 0.01))
    momentum = tuple(Momentum(rate, momentum=0.9, clip_norm=1.0) for rate in (0.1, 0.03, 0.01))
    return [
        NetContender("vanilla, Adam", adam, n_units=N_ADDING_UNITS),
        NetContender("vanilla, Nesterov", momentum, n_units=N_ADDING_UNITS),
        NetContender("LSTM, Adam", adam, cell="lstm", n_units=N_ADDING_UNITS),
        NetContender(
            "vanilla, Hessian-free",
            (LONG_LAG_HESSIAN_FREE,),
            n_units=N_ADDING_UNITS,
            gradient_size=1000,
            curvature_size=200,
        ),
        EchoStateContender("echo state network"),
    ]


EXPERIMENTS = {
    "table5": Experiment(
        "Momentum and Hessian-free from an echo state start (table 5 of Sutskever et al., 2013)",
        tasks=tuple(TABLE5),
        steps=(80,),
        contenders=echo_state_starts,
        seconds=lambda n_steps: 130.0,
        n_seeds=2,
        quick=("adding", 12, 1.0),
    ),
    "lags": Experiment(
        "Four ways to learn a recurrent net against the length of the lag",
        tasks=("adding", "temporal_order", "xor"),
        steps=(30, 50, 100),
        contenders=lambda task: CONTENDERS,
        # What a pass costs is proportional to the steps.
        seconds=lambda n_steps: 1.2 * n_steps,
        n_seeds=2,
        quick=("temporal_order", 12, 1.0),
    ),
    "starts": Experiment(
        "Where nets start: six ways, by Adam and by Hessian-free optimization",
        tasks=("adding", "temporal_order"),
        steps=(30,),
        contenders=starts,
        seconds=lambda n_steps: 0.6 * n_steps,
        n_seeds=3,
        quick=("temporal_order", 12, 0.5),
        is_drawn=False,
    ),
    "binary_addition": Experiment(
        "Binary addition, where first order wins",
        tasks=("binary_addition",),
        steps=(8, 32),
        contenders=small_nets,
        seconds=lambda n_steps: 10.0,
        n_seeds=5,
        quick=("binary_addition", 8, 1.0),
    ),
}


def table5(runs: Sequence[Run]) -> str:
    """Return the published figures beside those of the runs."""
    lines = [
        "| problem | published: biases only | no momentum | 0.995 | here: contender | median "
        "| lowest to highest |",
        "|---|---|---|---|---|---|---|",
    ]
    for task, n_steps, contender in dict.fromkeys(
        (run.task, run.n_steps, run.contender) for run in runs
    ):
        wrong = [
            run.wrong_steps
            for run in runs
            if (run.task, run.n_steps, run.contender) == (task, n_steps, contender)
        ]
        cells = [
            f"{task.replace('_', ' ')} T={n_steps}",
            *(f"{value:g}" for value in TABLE5[task]),
            contender,
            f"{np.median(wrong):.3g}",
            f"{min(wrong):.3g} to {max(wrong):.3g}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "Wrong answers a sequence:\n\n" + "\n".join(lines) + "\n\n"


def draw_success(runs: Sequence[Run], path: Path) -> None:
    """Draw the success rates of all tasks side by side."""
    import matplotlib.pyplot as plt

    tasks = sorted({run.task for run in runs})
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(4 * len(tasks), 4), sharey=True, squeeze=False, layout="constrained"
    )
    for task, ax in zip(tasks, axes.flat):
        plot_success([run for run in runs if run.task == task], ax=ax)
        ax.label_outer()
    share_legend(figure)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> None:
    from matplotlib import rc_context

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/output/comparison"))
    parser.add_argument("--seeds", type=int, nargs="+", help="which; by default 0, 1, ...")
    parser.add_argument("--seconds", type=float, help="budget of a run")
    parser.add_argument("--steps", type=int, nargs="+")
    parser.add_argument("--tasks", nargs="+", metavar="NAME")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    parser.add_argument("--quick", action="store_true", help="one small problem")
    arguments = parser.parse_args()
    experiment = EXPERIMENTS[arguments.experiment]
    tasks = arguments.tasks or experiment.tasks
    steps = arguments.steps or experiment.steps
    seeds = range(experiment.n_seeds) if arguments.seeds is None else arguments.seeds
    seconds = experiment.seconds if arguments.seconds is None else lambda n_steps: arguments.seconds
    folder = arguments.folder / arguments.experiment
    if arguments.quick:
        task, n_steps, limit = experiment.quick
        tasks, steps, seeds, seconds = [task], [n_steps], [0], lambda n_steps: limit
        folder = arguments.folder / f"{arguments.experiment}-quick"
    unknown = set(tasks) - set(experiment.tasks)
    if unknown:
        parser.error(f"no tasks {sorted(unknown)} in {arguments.experiment}")
    # Seeds outside: a run that is cut short has whole seeds.
    for seed in seeds:
        for task in tasks:
            for n_steps in steps:
                compare(
                    experiment.contenders(task),
                    [Problem(task, n_steps)],
                    Budget(seconds=seconds(n_steps)),
                    seeds=[seed],
                    folder=folder,
                    progress=True,
                )
    names = [contender.name for contender in experiment.contenders(tasks[0])]
    runs = sorted(
        load_runs(folder), key=lambda run: (run.task, run.n_steps, names.index(run.contender))
    )
    tables = table5(runs) if arguments.experiment == "table5" else ""
    tables += f"{markdown_table(runs)}\nSettings that were left:\n\n{settings_table(runs)}"
    if experiment.is_drawn:
        with rc_context(colors_of(names)):
            write_report(runs, folder / "report", title=experiment.title)
            draw_success(runs, folder / "report" / "success.png")
    print(tables)
    if arguments.write:
        about = (
            f"`python -m benchmarks.comparison {arguments.experiment}`, "
            f"{datetime.now(UTC):%Y-%m-%d}, one thread of {processor()}, {platform.system()}; "
            f"{versions()}."
        )
        write_section(experiment.title, f"{about}\n\n{tables}")


if __name__ == "__main__":
    main()
