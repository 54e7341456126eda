"""The report of a comparison: tables, loss curves, and success rates against the lag."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from hessianfree.comparison._protocols import Run
from reservoir.utils.explained import explained
from reservoir.utils.files import write_atomically
from reservoir.utils.validation import check_choice, check_integer, check_methods, check_real

Axis = Literal["seconds", "sequence_gradients"]


Quantity = Literal["loss", "fraction_wrong"]


_AXIS_LABELS: dict[Axis, str] = {
    "seconds": "processor time, s",
    "sequence_gradients": "thousand passes (gradients of a sequence)",
}


_DOT = "dot at the end: solved by at least half of the runs"


_QUANTITY_LABELS: dict[Quantity, str] = {
    "loss": "held-out loss, best so far",
    "fraction_wrong": "wrong sequences, fraction, best so far",
}


@explained
def success_interval(
    n_solved: int, n_runs: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    r"""Return Wilson's confidence interval of a success rate [1]_.

    .. math::

        \frac{p + \frac{z^2}{2n} \pm z \sqrt{\frac{p\,(1 - p)}{n} + \frac{z^2}{4n^2}}}
             {1 + \frac{z^2}{n}}, \quad p = \mathrm{n\_solved} / n

    It keeps its level with few runs, where the normal interval of five successes in five has no
    width at all.

    Parameters
    ----------
    n_solved, n_runs : int
    confidence : float, default=0.95

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> [round(end, 3) for end in success_interval(5, 5)]
    [0.566, 1.0]

    References
    ----------
    .. [1] Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    n = check_integer("n_runs", n_runs, minimum=1)
    check_integer("n_solved", n_solved, minimum=0, maximum=n)
    check_real("confidence", confidence, minimum=0, maximum=1, exclusive=True)
    rate, z = n_solved / n, float(ndtri(0.5 + confidence / 2))
    half = z * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    middle, scale = rate + z**2 / (2 * n), 1 + z**2 / n
    return max(0.0, float((middle - half) / scale)), min(1.0, float((middle + half) / scale))


@explained
def markdown_table(runs: Sequence[Run]) -> str:
    """Return a table in Markdown: a line for each problem and contender.

    Columns are the runs that solved the task with the 95 % interval of the rate; the median and
    quartiles of the sequences that were wrong, and of the seconds and passes until the run was over
    (the budget, where it was not solved); and the settings that were left, with how often.

    Parameters
    ----------
    runs : sequence of Run

    Returns
    -------
    str
    """
    _check_runs(runs)
    lines = [
        "| problem | contender | solved | 95 % interval | wrong, % | seconds | thousand passes |",
        "|---|---|---|---|---|---|---|",
    ]
    for (task, n_steps, contender), group in _grouped(
        runs, lambda run: (run.task, run.n_steps, run.contender)
    ):
        n_solved = sum(run.solved for run in group)
        low, high = success_interval(n_solved, len(group))
        cells = [
            f"{task.replace('_', ' ')} T={n_steps}",
            contender,
            f"{n_solved}/{len(group)}",
            f"{100 * low:.0f}-{100 * high:.0f} %",
            _spread([100 * run.fraction_wrong for run in group], ".2f"),
            _spread([run.seconds for run in group], ".1f"),
            _spread([run.sequence_gradients / 1e3 for run in group], ".0f"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


@explained
def settings_table(runs: Sequence[Run]) -> str:
    """Return a table in Markdown of the settings that contenders ended with, and how often.

    Parameters
    ----------
    runs : sequence of Run

    Returns
    -------
    str
    """
    _check_runs(runs)
    lines = ["| problem | contender | setting | runs |", "|---|---|---|---|"]
    for (task, n_steps, contender, setting), group in _grouped(
        runs, lambda run: (run.task, run.n_steps, run.contender, run.setting)
    ):
        problem = f"{task.replace('_', ' ')} T={n_steps}"
        lines.append(f"| {problem} | {contender} | {setting} | {len(group)} |")
    return "\n".join(lines) + "\n"


@explained
def plot_curves(
    runs: Sequence[Run],
    *,
    quantity: Quantity = "loss",
    against: Axis = "sequence_gradients",
    ax: Any = None,
) -> Any:
    """Draw the best so far against what was spent: median and quartiles over seeds.

    A line ends where the last run of its contender was over, with a dot if half of them or more
    solved the task.

    Parameters
    ----------
    runs : sequence of Run
        Of one problem.
    quantity : {"loss", "fraction_wrong"}
        The loss on held-out data, or how many sequences of it are wrong.
    against : {"sequence_gradients", "seconds"}
    ax : matplotlib Axes, optional
        A new one by default.

    Returns
    -------
    matplotlib Axes
    """
    _check_runs(runs)
    check_choice("quantity", quantity, _QUANTITY_LABELS)
    check_choice("against", against, _AXIS_LABELS)
    problems = sorted({(run.task, run.n_steps) for run in runs})
    if len(problems) > 1:
        raise ValueError(
            f"`runs` are of the problems {problems}, whose losses cannot be compared, but of one "
            "was expected. Pass those of one task and length."
        )
    ax = _axes(ax)
    begin = max(1e-3, min(evaluation[against] for run in runs for evaluation in run.evaluations))
    for contender, group in _grouped(runs, lambda run: run.contender):
        end = max(evaluation[against] for run in group for evaluation in run.evaluations)
        grid = np.geomspace(begin, max(begin, end), 200)
        curves = np.array([_best_so_far(run, quantity, against, grid) for run in group])
        low, middle, high = np.quantile(curves, [0.25, 0.5, 0.75], axis=0)
        is_solved = 2 * sum(run.solved for run in group) >= len(group)
        (line,) = ax.plot(
            grid, middle, label=contender, marker="o" if is_solved else None, markevery=[-1]
        )
        ax.fill_between(grid, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    task, n_steps = problems[0]
    ax.set(
        xscale="log",
        yscale="log" if quantity == "loss" else "linear",
        xlabel=_AXIS_LABELS[against],
        ylabel=_QUANTITY_LABELS[quantity],
        title=f"{task.replace('_', ' ')}, T = {n_steps}",
    )
    _label_ticks(ax, divisor=1e3 if against == "sequence_gradients" else 1.0)
    ax.legend(title=_DOT if any(line.get_marker() == "o" for line in ax.lines) else None)
    return ax


@explained
def plot_success(runs: Sequence[Run], *, ax: Any = None) -> Any:
    """Draw the success rate against the number of steps, with 95 % intervals.

    Parameters
    ----------
    runs : sequence of Run
        Of one task, at one or more lengths.
    ax : matplotlib Axes, optional
        A new one by default.

    Returns
    -------
    matplotlib Axes
    """
    _check_runs(runs)
    tasks = sorted({run.task for run in runs})
    if len(tasks) > 1:
        raise ValueError(
            f"`runs` are of the tasks {tasks}, but of one was expected. Pass those of one task."
        )
    ax = _axes(ax)
    by_contender = list(_grouped(runs, lambda run: run.contender))
    lengths = sorted({run.n_steps for run in runs})
    # Side by side, over half of the way to the next length, so that no line lies under another.
    gap = min(np.diff(np.log(lengths)), default=0.5)
    shifts = (np.arange(len(by_contender)) - (len(by_contender) - 1) / 2) * (
        min(0.5 * gap, 0.3) / len(by_contender)
    )
    for shift, (contender, of_contender) in zip(shifts, by_contender, strict=True):
        places, rates, errors = [], [], []
        for n_steps, group in _grouped(of_contender, lambda run: run.n_steps):
            n_solved = sum(run.solved for run in group)
            low, high = success_interval(n_solved, len(group))
            rate = n_solved / len(group)
            places.append(n_steps * np.exp(shift))
            rates.append(rate)
            errors.append((rate - low, high - rate))
        ax.errorbar(
            places,
            rates,
            np.maximum(np.transpose(errors), 0),
            label=contender,
            marker="o",
            capsize=3,
            linestyle=":",
        )
    ax.set(
        xscale="log",
        xlim=(lengths[0] / 1.2, lengths[-1] * 1.2),
        xlabel="steps T",
        ylabel="success rate",
        ylim=(-0.05, 1.05),
        title=tasks[0].replace("_", " "),
    )
    ax.set_xticks(lengths, labels=map(str, lengths))
    ax.set_xticks([], minor=True)
    ax.legend()
    return ax


@explained
def write_report(runs: Sequence[Run], folder: str | Path, *, title: str = "Comparison") -> Path:
    """Write a report in Markdown with its figures.

    Parameters
    ----------
    runs : sequence of Run
    folder : path-like
        Made if it is not there. Files of the same names are replaced.
    title : str

    Returns
    -------
    Path
        The report, ``report.md``; beside it a PNG for the curves of each problem and one for the
        success rates of each task that comes in several lengths.
    """
    from matplotlib.figure import Figure

    _check_runs(runs)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f"# {title}\n", markdown_table(runs)]
    for (task, n_steps), group in _grouped(runs, lambda run: (run.task, run.n_steps)):
        figure = Figure(figsize=(11, 7), layout="constrained")
        rows = figure.subplots(2, 2, sharex="col", sharey="row")
        for row, quantity in zip(rows, _QUANTITY_LABELS, strict=True):
            for ax, against in zip(row, _AXIS_LABELS, strict=True):
                plot_curves(group, quantity=quantity, against=against, ax=ax)
                ax.label_outer()
        share_legend(figure)
        parts.append(_save(figure, folder, f"curves-{task}-{n_steps}"))
    for task, group in _grouped(runs, lambda run: run.task):
        if len({run.n_steps for run in group}) == 1:
            continue
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        plot_success(group, ax=figure.subplots())
        share_legend(figure)
        parts.append(_save(figure, folder, f"success-{task}"))
    parts += ["## Settings that were left\n", settings_table(runs)]
    path = folder / "report.md"
    write_atomically(path, "\n".join(parts).encode())
    return path


@explained
def share_legend(figure: Any) -> None:
    """Put one legend below the axes of a figure in the place of theirs, which are alike.

    Parameters
    ----------
    figure : matplotlib Figure
        With constrained layout.
    """
    check_methods("figure", figure, ("legend",), "a figure whose axes have a legend")
    title = figure.axes[0].get_legend().get_title().get_text()
    for ax in figure.axes:
        ax.get_legend().remove()
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, title=title or None, loc="outside lower center", ncols=len(labels)
    )


def _label_ticks(ax: Any, divisor: float) -> None:
    """Label 1, 3, 10, ... on the x-axis, in units of `divisor`."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / divisor:g}"))


def _save(figure: Any, folder: Path, name: str) -> str:
    """Write a figure and return the line that shows it."""
    figure.savefig(folder / f"{name}.png", dpi=120)
    return f"![{name}]({name}.png)\n"


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def _best_so_far(
    run: Run, quantity: Quantity, against: Axis, grid: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the lowest value up to each point of the grid; the first value before that."""
    spent = [evaluation[against] for evaluation in run.evaluations]
    best = np.fmin.accumulate([evaluation[quantity] for evaluation in run.evaluations])
    index = np.searchsorted(spent, grid, side="right") - 1
    values: NDArray[np.float64] = best[np.maximum(index, 0)]
    return values


def _grouped(runs: Sequence[Run], key: Callable[[Run], Any]) -> Iterator[tuple[Any, list[Run]]]:
    """Yield keys and their runs, in the order in which keys come first."""
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    yield from groups.items()


def _spread(values: Sequence[float], form: str) -> str:
    """Return the median, and the quartiles where there are several values."""
    low, middle, high = (format(x, form) for x in np.quantile(values, [0.25, 0.5, 0.75]))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


def _check_runs(runs: Sequence[Run]) -> None:
    if not runs:
        raise ValueError("`runs` is empty, but one or more were expected. Pass those of `compare`.")
