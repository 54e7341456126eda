"""Optimizers, cells and echo state networks on the same problems and budget."""

from hessianfree.comparison._compare import compare, load_runs, run
from hessianfree.comparison._contenders import EchoStateContender, NetContender
from hessianfree.comparison._protocols import Budget, Contender, Learner, Problem, Run
from hessianfree.comparison._report import (
    markdown_table,
    plot_curves,
    plot_success,
    settings_table,
    share_legend,
    success_interval,
    write_report,
)

__all__ = [
    "Budget",
    "Contender",
    "EchoStateContender",
    "Learner",
    "NetContender",
    "Problem",
    "Run",
    "compare",
    "load_runs",
    "markdown_table",
    "plot_curves",
    "plot_success",
    "run",
    "settings_table",
    "share_legend",
    "success_interval",
    "write_report",
]
