"""Comparison of optimizers, cells and echo state networks at the same budget."""

from hessianfree.comparison._compare import compare, load_runs, run_contender
from hessianfree.comparison._contenders import EchoStateContender, NetContender
from hessianfree.comparison._problems import AnyProblem, DataProblem, Problem
from hessianfree.comparison._protocols import Budget, Contender, Run, TrainingRun
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
    "AnyProblem",
    "Budget",
    "Contender",
    "DataProblem",
    "EchoStateContender",
    "TrainingRun",
    "NetContender",
    "Problem",
    "Run",
    "compare",
    "load_runs",
    "markdown_table",
    "plot_curves",
    "plot_success",
    "run_contender",
    "settings_table",
    "share_legend",
    "success_interval",
    "write_report",
]
