"""Which of four ways to learn a recurrent net takes the least time on one problem?

Four ways: gated cells (LSTM, by Adam), Hessian-free optimization, an echo state network with a
ridge readout, and a start as an echo state network with everything learned by Nesterov's momentum.
The problem, in its plain form, without further cues: of a sequence of 50 random numbers two are
marked, and at its end their mean is asked for; an answer off by more than 0.04 is wrong, and fewer
than 1 % wrong solves it. All get the same data and the same processor time, in which they have to
find their settings as well: three learning rates, or six scales of a reservoir, learn side by side,
and the worse half is given up round by round. A table of who solved it from how many of three seeds
is printed; `--report FOLDER` writes the full report, with the settings that were left. Expected:
the reservoir solves it in a few seconds, once it has found that its units have to be slow, and
Hessian-free optimization in ten to twenty-five; the others learn it in the 40 seconds that all
have, and not always to the end. Up to eight minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from demos._common import Figure, colors_of, run_demo
from hessianfree import (
    Adam,
    Budget,
    EchoStateContender,
    HessianFree,
    LevenbergMarquardt,
    Momentum,
    NetContender,
    PiecewiseConstant,
    Problem,
    compare,
    write_report,
)
from hessianfree.comparison import Run, markdown_table, plot_curves, share_legend

# The momentum of Sutskever, Martens, Dahl & Hinton (2013), with less of it for so few updates.
RISING = PiecewiseConstant((0.9, 0.99), (1000,))
CONTENDERS = (
    NetContender(
        "LSTM, Adam",
        tuple(Adam(rate, clip_norm=1.0) for rate in (0.01, 0.003, 0.001)),
        cell="lstm",
        n_units=50,  # about as many weights as 100 units without gates
        initialization_options={"input_scale": 1.0},
    ),
    NetContender(
        "Hessian-free",
        (
            HessianFree(
                damping=LevenbergMarquardt(initial=0.03),
                structural_damping=0.05,
                max_cg_iterations=20,
            ),
        ),
        gradient_size=1000,
        curvature_size=200,
    ),
    EchoStateContender("echo state network"),
    NetContender(
        "echo state start, Nesterov",
        tuple(Momentum(rate, momentum=RISING, clip_norm=1.0) for rate in (0.03, 0.01, 0.003)),
        initialization="echo_state",
    ),
)
N_STEPS, SECONDS, N_SEEDS = 50, 40.0, 3
QUICK_STEPS, QUICK_SECONDS = 12, 3.0


def run(quick: bool, folder: Path, report: Path | None = None) -> list[Figure]:
    """Let all contenders run, print the table, draw the curves, and return who got how far."""
    n_steps, seconds, n_seeds = (
        (QUICK_STEPS, QUICK_SECONDS, 1) if quick else (N_STEPS, SECONDS, N_SEEDS)
    )
    runs = compare(
        CONTENDERS,
        [Problem("adding", n_steps)],
        Budget(seconds=seconds),
        seeds=range(n_seeds),
        n_evaluations=20 if quick else 100,
        progress=True,
    )
    from matplotlib import rc_context

    print(f"\n{markdown_table(runs)}")
    with rc_context(colors_of([contender.name for contender in CONTENDERS])):
        if report is not None:
            write_report(runs, report, title="Four ways to learn a recurrent net")
        draw(runs, folder / "compare.png")
    return [figure for contender in CONTENDERS for figure in figures(contender.name, runs)]


def figures(name: str, runs: Sequence[Run]) -> list[Figure]:
    """Return what one contender came to."""
    own = [run for run in runs if run.contender == name]
    wrong = [100 * run.fraction_wrong for run in own]
    # The reservoir and Hessian-free optimization have time to spare; the others may not be ready.
    bound = {"at_most": 2.0} if name in ("Hessian-free", "echo state network") else {}
    return [
        Figure(f"{name}: wrong, median of seeds", float(np.median(wrong)), "%", **bound),
        Figure(f"{name}: time, median of seeds", float(np.median([r.seconds for r in own])), "s"),
    ]


def draw(runs: Sequence[Run], path: Path) -> None:
    """Draw losses and wrong answers against processor time, and losses against passes."""
    import matplotlib.pyplot as plt

    figure, (losses, wrong, passes) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    plot_curves(runs, against="seconds", ax=losses)
    plot_curves(runs, quantity="fraction_wrong", against="seconds", ax=wrong)
    plot_curves(runs, against="sequence_gradients", ax=passes)
    share_legend(figure)
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    option = {"type": Path, "metavar": "FOLDER", "help": "where to write a full report"}
    run_demo(__doc__, run, {"--report": option})
