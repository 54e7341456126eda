"""Comparisons: what a run costs, who is given up, files, and the figures of the report."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from joblib import parallel_config, register_parallel_backend
from joblib.parallel import ThreadingBackend
from matplotlib import pyplot
from scipy.stats import binomtest
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss

from hessianfree.batch import Batch
from hessianfree.comparison import (
    Budget,
    EchoStateContender,
    NetContender,
    Problem,
    Run,
    TrainingRun,
    compare,
    load_runs,
    markdown_table,
    plot_curves,
    plot_success,
    run_contender,
    settings_table,
    share_legend,
    success_interval,
    write_report,
)
from hessianfree.optimize import LONG_LAG_HESSIAN_FREE, SGD, Adam
from hessianfree.tasks import Task, make_task
from hessianfree.training import FreshBatches
from reservoir.dynamics import run as run_reservoir

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


ADDING = Problem("adding", 10)


class CountingRun:
    """Has a constant loss, and counts what it was given."""

    def __init__(self, name: str, constant_loss: float, cost: float = 1.0) -> None:
        self.name, self.constant_loss, self.cost = name, constant_loss, cost
        self.n_iterations = 0
        self.is_right = False

    def train(self, is_over: Callable[[float], bool]) -> None:
        over = False
        while not over:
            self.n_iterations += 1
            over = is_over(self.cost)

    def prepare_to_predict(self) -> None:
        pass

    def loss(self, batch: Batch) -> float:
        return self.constant_loss

    def predict(self, batch: Batch) -> Any:
        return batch.targets + (0.0 if self.is_right else 1.0)


@dataclass
class CountingContender:
    """Hands out runs made before."""

    made: list[CountingRun]
    name: str = "counting"

    def training_runs(self, task: Task, weights_seed: Any, data_seed: Any) -> list[TrainingRun]:
        return list(self.made)


def test_halving_gives_every_round_the_same_share_and_keeps_the_lowest_losses():
    made = [CountingRun(name, loss) for name, loss in zip("abcd", (3, 1, 2, 4), strict=True)]
    budget = Budget(sequence_gradients=1200)
    result = run_contender(CountingContender(made), ADDING, 0, budget, n_evaluations=10)
    # A judgement of 200 held-out sequences costs 200 / 3, and is part of the next round's share.
    judged = 4 * 200 / 3, 2 * 200 / 3
    first, second = 400 / 4, (400 - judged[0]) / 2
    third = 400 - judged[1]
    expected = {"a": first, "b": first + second + third, "c": first + second, "d": first}
    counted = {candidate.name: candidate.n_iterations for candidate in made}
    assert counted == {name: pytest.approx(value, abs=2) for name, value in expected.items()}
    assert result.setting == "b"
    assert result.sequence_gradients == pytest.approx(1200, abs=2)
    assert result.sequence_gradients == pytest.approx(sum(counted.values()) + sum(judged))


def test_three_settings_take_three_rounds():
    made = [CountingRun(name, loss) for name, loss in zip("abc", (3, 1, 2), strict=True)]
    result = run_contender(
        CountingContender(made), ADDING, 0, Budget(sequence_gradients=9000), n_evaluations=3
    )
    assert made[0].n_iterations == pytest.approx(1000, abs=2)
    assert made[2].n_iterations == pytest.approx(1000 + 1400, abs=2)
    assert result.setting == "b"


def test_who_comes_late_learns_all_the_same():
    # The first one takes more than the whole budget for a single iteration.
    made = [CountingRun("slow", 2.0, cost=500.0), CountingRun("late", 1.0)]
    result = run_contender(
        CountingContender(made), ADDING, 0, Budget(sequence_gradients=100), n_evaluations=2
    )
    assert made[1].n_iterations >= 1
    assert result.setting == "late"


def test_a_reservoir_that_comes_late_has_a_readout():
    result = run_contender(
        EchoStateContender("esn", n_units=20), ADDING, 0, Budget(sequence_gradients=1)
    )
    assert math.isfinite(result.loss)


def test_a_loss_that_is_not_finite_loses():
    made = [CountingRun("a", math.nan), CountingRun("b", 5.0)]
    budget = Budget(sequence_gradients=900)
    assert run_contender(CountingContender(made), ADDING, 0, budget).setting == "b"


def test_predictions_of_nan_solve_nothing():
    class Diverged(CountingRun):
        def predict(self, batch: Batch) -> Any:
            n_outputs = batch.targets.shape[2:] or (2,)  # numbers, or two classes
            return np.full((*batch.targets.shape[:2], *n_outputs), np.nan)

    for task in ("adding", "multiplication", "xor", "temporal_order", "memorization_5_bits"):
        contender = CountingContender([Diverged("a", math.nan)])
        result = run_contender(contender, Problem(task, 10), 0, Budget(sequence_gradients=5))
        assert not result.solved
        assert result.fraction_wrong == 1.0


def test_evaluations_come_in_equal_shares_and_the_run_ends_when_solved():
    (candidate,) = made = [CountingRun("a", 1.0)]
    result = run_contender(
        CountingContender(made), ADDING, 0, Budget(sequence_gradients=100), n_evaluations=4
    )
    spent = [evaluation["sequence_gradients"] for evaluation in result.evaluations]
    assert spent == [25, 50, 75, 100, 100]
    assert not result.solved
    assert result.fraction_wrong == 1.0

    candidate.is_right = True
    result = run_contender(
        CountingContender(made), ADDING, 0, Budget(sequence_gradients=100), n_evaluations=4
    )
    assert result.solved
    assert result.sequence_gradients == 25
    assert result.fraction_wrong == 0.0


def test_the_first_limit_met_ends_a_run():
    assert Budget(seconds=10, sequence_gradients=100).fraction(1, 50) == 0.5
    assert Budget(seconds=10, sequence_gradients=100).fraction(9, 50) == 0.9


def test_seconds_are_those_of_learning_alone():
    class SlowToPredict(CountingRun):
        def predict(self, batch: Batch) -> Any:
            np.linalg.eigvals(np.random.default_rng(0).standard_normal((150, 150)))
            return super().predict(batch)

    candidate = SlowToPredict("a", 1.0)
    result = run_contender(
        CountingContender([candidate]), ADDING, 0, Budget(sequence_gradients=100), n_evaluations=100
    )
    # Over a hundred eigenvalue problems take seconds; a hundred empty iterations do not.
    assert result.seconds < 0.2


CONTENDERS = [
    NetContender("sgd", (SGD(0.1), SGD(0.01)), n_units=8),
    NetContender("hf", (LONG_LAG_HESSIAN_FREE,), n_units=8, gradient_size=50, curvature_size=20),
    EchoStateContender("esn", n_units=20, gradient_size=20),
]


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_a_run_is_reproducible_from_its_seed(contender):
    problem, budget = Problem("temporal_order", 10), Budget(sequence_gradients=2000)
    first, second = (
        run_contender(contender, problem, 3, budget, n_evaluations=5) for _ in range(2)
    )
    without_seconds = [
        replace(
            result,
            seconds=0,
            evaluations=[evaluation | {"seconds": 0} for evaluation in result.evaluations],
        )
        for result in (first, second)
    ]
    assert without_seconds[0] == without_seconds[1]
    other = run_contender(contender, problem, 4, budget, n_evaluations=5)
    assert other.loss != first.loss


def test_workers_change_nothing():
    budget = Budget(sequence_gradients=1000)
    arguments = (CONTENDERS[:1], [ADDING, Problem("xor", 10)], budget)
    one, two = (
        compare(*arguments, seeds=[0, 1], n_evaluations=2, n_jobs=n_jobs) for n_jobs in (None, 2)
    )
    assert [(r.task, r.seed) for r in one] == [("adding", 0), ("adding", 1), ("xor", 0), ("xor", 1)]
    assert [r.loss for r in one] == [r.loss for r in two]


def test_backends_without_generators_will_do():
    class AllAtOnce(ThreadingBackend):
        supports_return_generator = False

    register_parallel_backend("all at once", AllAtOnce)
    arguments = (CONTENDERS[:1], [ADDING], Budget(sequence_gradients=1000))
    with parallel_config(backend="all at once", n_jobs=2):
        there = compare(*arguments, seeds=[0, 1], n_evaluations=2)
    assert [r.loss for r in there] == [
        r.loss for r in compare(*arguments, seeds=[0, 1], n_evaluations=2)
    ]


def test_data_are_the_same_for_all_contenders_and_new_for_the_last_test():
    drawn: dict[str, list[Any]] = {}

    @dataclass(frozen=True)
    class Watching:
        name: str

        def training_runs(self, task: Task, weights_seed: Any, data_seed: Any) -> list[TrainingRun]:
            candidate = CountingRun(self.name, 1.0)
            seen = drawn.setdefault(self.name, [])
            predict = candidate.predict
            candidate.predict = lambda batch: (seen.append(batch.inputs), predict(batch))[1]
            return [candidate]

    for name in "ab":
        run_contender(Watching(name), ADDING, 0, Budget(sequence_gradients=10), n_evaluations=1)
    a, b = drawn["a"], drawn["b"]
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    evaluated, fresh = a[0], a[-1]
    assert evaluated.shape[1] == 200
    assert not np.array_equal(evaluated[:10], fresh[:10, :200])


def test_hessian_free_solves_the_short_memorization():
    contender = NetContender("hf", (LONG_LAG_HESSIAN_FREE,), gradient_size=1000, curvature_size=200)
    result = run_contender(
        contender, Problem("memorization_5_bits", 10), 0, Budget(sequence_gradients=5e4)
    )
    assert result.solved
    assert result.fraction_wrong == result.wrong_steps == 0.0


def test_settings_are_named_by_what_differs():
    def names(*optimizers: Any) -> list[str]:
        contender = NetContender("net", optimizers, n_units=3)
        seeds = np.random.SeedSequence(0).spawn(2)
        return [candidate.name for candidate in contender.training_runs(ADDING.make(), *seeds)]

    assert names(SGD(0.1), SGD(0.01)) == ["SGD learning_rate=0.1", "SGD learning_rate=0.01"]
    assert names(LONG_LAG_HESSIAN_FREE) == ["HessianFree"]
    clipped = names(SGD(0.1, clip_norm=1.0), SGD(0.1))
    assert clipped == ["SGD clip_norm=1.0", "SGD clip_norm=None"]


def test_gated_cells_take_part():
    contender = NetContender("lstm", (Adam(0.01),), cell="lstm", n_units=8)
    result = run_contender(contender, ADDING, 0, Budget(sequence_gradients=20_000), n_evaluations=2)
    assert result.loss < 0.1  # the variance of the target, which the mean alone leaves, is 1/6


def loss_of(name: str, predicted: Any, targets: Any) -> float:
    """Return the loss of predictions, of which probabilities are kept away from 0 (and 1)."""
    if name == "squared_error":
        return float(np.mean((predicted - targets) ** 2) / 2)
    p = np.maximum(predicted, 0.001)
    if name == "softmax":
        p /= p.sum(axis=1, keepdims=True)
        return float(log_loss(targets.argmax(axis=1), p, labels=range(p.shape[1])))
    return float(log_loss(targets.ravel(), np.minimum(p, 0.999).ravel()))


@pytest.mark.parametrize("task_name", ["adding", "temporal_order", "binary_addition"])
def test_the_readout_of_an_echo_state_contender_is_ridge_regression(task_name):
    task = make_task(task_name, 12)
    contender = EchoStateContender(
        "esn",
        n_units=15,
        spectral_radii=(0.8,),
        leak_rates=(1.0,),
        input_scalings=(0.5,),
        alphas=(0.1,),
        gradient_size=30,
    )
    seeds = np.random.SeedSequence(0).spawn(2)
    (candidate,) = contender.training_runs(task, *seeds)
    candidate.train(lambda cost: True)
    candidate.prepare_to_predict()
    batch, _ = FreshBatches(task.draw, 30).batches(0, seeds[1])
    test = task.draw(5, np.random.default_rng(1))

    def rows(batch: Batch) -> tuple[Any, Any, Any]:
        inputs, targets = batch.inputs, batch.targets
        if inputs.ndim == 2:
            inputs = np.eye(task.n_inputs)[inputs]
        if targets.ndim == 2:
            targets = np.eye(task.n_outputs)[targets]
        mask = np.ones(inputs.shape[:2]) if batch.mask is None else batch.mask
        states = np.stack(
            [run_reservoir(candidate._reservoir, inputs[:, i]) for i in range(batch.n_sequences)],
            axis=1,
        )
        return states[mask > 0], targets[mask > 0], mask > 0

    states, targets, _ = rows(batch)
    oracle = Ridge(alpha=0.1).fit(states, targets)
    test_states, test_targets, scored = rows(test)
    expected = oracle.predict(test_states).reshape(test_targets.shape)
    np.testing.assert_allclose(candidate.predict(test)[scored], expected, atol=1e-8)
    assert candidate.loss(test) == pytest.approx(loss_of(task.loss, expected, test_targets))


def test_files_of_the_first_version_are_read(tmp_path):
    # Its header called evaluations looks.
    contender = NetContender("sgd", (SGD(0.1),), n_units=4, gradient_size=10)
    lines = [
        {"contender": repr(contender), "budget": {"seconds": None, "sequence_gradients": 40}}
        | {"n_looks": 2},
        {"seconds": 0.003, "sequence_gradients": 40.0, "setting": "SGD", "loss": 0.0186}
        | {"fraction_wrong": 0.835},
        {"contender": "sgd", "task": "adding", "n_steps": 10, "seed": 0, "solved": False}
        | {"fraction_wrong": 0.8496, "wrong_steps": 0.8496, "loss": 0.0186, "seconds": 0.003}
        | {"sequence_gradients": 40.0, "setting": "SGD"},
    ]
    path = tmp_path / "sgd-adding-10-0.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    budget = Budget(sequence_gradients=40)
    (found,) = compare([contender], [ADDING], budget, seeds=[0], n_evaluations=2, folder=tmp_path)
    assert (found.loss, found.seconds) == (0.0186, 0.003)
    assert found.evaluations == [lines[1]]
    with pytest.raises(ValueError, match="of another n_evaluations"):
        compare([contender], [ADDING], budget, seeds=[0], n_evaluations=3, folder=tmp_path)


def test_files_let_a_comparison_go_on(tmp_path):
    budget = Budget(sequence_gradients=500)
    first = compare(CONTENDERS[:1], [ADDING], budget, seeds=[0], n_evaluations=2, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.name == "sgd-adding-10-0.jsonl"
    before = path.stat().st_mtime_ns
    more = compare(CONTENDERS[:1], [ADDING], budget, seeds=[0, 1], n_evaluations=2, folder=tmp_path)
    assert path.stat().st_mtime_ns == before
    assert more[0] == first[0]
    assert more[1].seed == 1
    assert load_runs(tmp_path) == more
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [evaluation["sequence_gradients"] for evaluation in lines[1:-1]] == [
        evaluation["sequence_gradients"] for evaluation in first[0].evaluations
    ]
    with pytest.raises(ValueError, match=r"`folder` holds a run .* of another budget"):
        compare(
            CONTENDERS[:1], [ADDING], Budget(seconds=1), seeds=[0], n_evaluations=2, folder=tmp_path
        )
    other = replace(CONTENDERS[0], n_units=9)
    with pytest.raises(ValueError, match="of another contender"):
        compare([other], [ADDING], budget, seeds=[0], n_evaluations=2, folder=tmp_path)


def test_a_loss_that_is_nan_comes_back_from_its_file(tmp_path):
    contender = CountingContender([CountingRun("a", math.nan)])
    arguments = ([contender], [ADDING], Budget(sequence_gradients=10))
    compare(*arguments, seeds=[0], folder=tmp_path)
    # The repr of a dataclass with a run in it changes from object to object.
    (again,) = compare(*arguments, seeds=[0], folder=tmp_path)
    assert math.isnan(again.loss)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: "",
        lambda text: text.replace('"solved": false', '"solved": null'),
        lambda text: text.replace('"fraction_wrong"', '"wrong"'),
        lambda text: "[]\n" * 3,
        lambda text: '{"a":' * 100_000,
    ],
)
def test_a_damaged_file_of_a_run_is_told(tmp_path, damage):
    contender = CountingContender([CountingRun("a", 1.0)])
    compare([contender], [ADDING], Budget(sequence_gradients=5), seeds=[0], folder=tmp_path)
    (path,) = tmp_path.glob("*.jsonl")
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=r"`folder` holds .*\.jsonl.*damaged. Delete the file"):
        load_runs(tmp_path)


def test_bad_arguments_are_told():
    with pytest.raises(ValueError, match="a budget needs a limit"):
        Budget()
    with pytest.raises(ValueError, match="`seconds`"):
        Budget(seconds=0)
    with pytest.raises(ValueError, match="`name`"):
        Problem("additon", 10)
    with pytest.raises(ValueError, match="distinct ones were expected"):
        compare(CONTENDERS[:1] * 2, [ADDING], Budget(seconds=1))
    with pytest.raises(ValueError, match="`optimizers` is empty"):
        NetContender("none", ())
    with pytest.raises(ValueError, match="`initialization`"):
        NetContender("sgd", (SGD(),), initialization="dense")


@pytest.mark.parametrize(("n_solved", "n_runs"), [(0, 5), (3, 5), (5, 5), (40, 200)])
def test_interval_is_wilsons(n_solved, n_runs):
    interval = binomtest(n_solved, n_runs).proportion_ci(method="wilson")
    assert success_interval(n_solved, n_runs) == pytest.approx((interval.low, interval.high))


def made_run(contender: str, seed: int, losses: list[float], **changes: Any) -> Run:
    """Return a run evaluated after 10, 20, ... sequence gradients and 1, 2, ... seconds."""
    evaluations = [
        {"seconds": i, "sequence_gradients": 10 * i, "setting": "s", "loss": x, "fraction_wrong": x}
        for i, x in enumerate(losses, start=1)
    ]
    values: dict[str, Any] = {
        "contender": contender,
        "task": "adding",
        "n_steps": 50,
        "seed": seed,
        "solved": False,
        "fraction_wrong": 0.5,
        "wrong_steps": 0.5,
        "loss": losses[-1],
        "seconds": float(len(losses)),
        "sequence_gradients": 10.0 * len(losses),
        "setting": "s",
        "evaluations": evaluations,
    }
    return Run(**(values | changes))


RUNS = [
    made_run("a", 0, [4.0, 2.0, 3.0, 1.0], solved=True, fraction_wrong=0.001),
    made_run("a", 1, [8.0, 4.0, 4.0, 4.0]),
    made_run("a", 2, [8.0, 8.0, math.nan, 8.0]),
    made_run("b", 0, [1.0, 0.5], solved=True),
]


def test_table_has_counts_intervals_and_quartiles():
    lines = markdown_table(RUNS).splitlines()
    cells = ["a", "1/3", "6-79 %", "50.00 (25.05 to 50.00)", "4.0 (4.0 to 4.0)", "0 (0 to 0)"]
    assert lines[2] == f"| adding T=50 | {' | '.join(cells)} |"
    assert lines[3].startswith("| adding T=50 | b | 1/1 | 21-100 % | 50.00 | 2.0 |")
    assert settings_table(RUNS).splitlines()[2:] == [
        "| adding T=50 | a | s | 3 |",
        "| adding T=50 | b | s | 1 |",
    ]


def test_curves_are_quantiles_of_the_best_so_far():
    ax = plot_curves(RUNS, against="sequence_gradients")
    middle = ax.lines[0]
    at = {x: np.interp(x, *middle.get_data()) for x in (15.0, 25.0, 40.0)}
    assert at == {15.0: 8.0, 25.0: 4.0, 40.0: 4.0}
    # A run that is over stays where it was.
    np.testing.assert_allclose(ax.lines[1].get_ydata()[-1], 0.5)
    assert plot_curves(RUNS, against="seconds").lines[0].get_xdata()[-1] == pytest.approx(4.0)
    wrong = made_run("a", 0, [1.0], evaluations=[RUNS[0].evaluations[0] | {"fraction_wrong": 0.25}])
    ax = plot_curves([wrong], quantity="fraction_wrong")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 0.25)


def test_success_is_drawn_with_its_interval():
    longer = [replace(run, n_steps=100, solved=False) for run in RUNS]
    ax = plot_success(RUNS + longer)
    (data, _, (bars,)) = ax.containers[0]
    np.testing.assert_allclose(np.asarray(data.get_ydata(), dtype=float), [1 / 3, 0])
    segments = np.array(bars.get_segments(), dtype=float)
    np.testing.assert_allclose(segments[0][:, 1], success_interval(1, 3))
    np.testing.assert_allclose(segments[1][:, 1], success_interval(0, 3), atol=1e-12)


def test_equal_rates_stand_side_by_side():
    longer = [replace(run, n_steps=60) for run in RUNS]
    ax = plot_success([*RUNS, *longer, *(replace(run, contender="c") for run in RUNS)])
    points = [np.asarray(bars[0].get_xdata(), dtype=float) for bars in ax.containers]
    first = np.sort([x[0] for x in points])
    assert (np.diff(first) > 0).all()
    assert math.log(first[-1] / first[0]) > 0.25 * math.log(60 / 50)
    # All of one length stand nearer to it than to the other.
    assert all(x[0] < math.sqrt(50 * 60) < x[1] for x in points[:2])


def test_report_has_a_table_and_shows_its_figures(tmp_path):
    longer = [replace(run, n_steps=100) for run in RUNS]
    path = write_report(RUNS + longer, tmp_path / "report", title="Who learns to add?")
    text = path.read_text()
    assert text.startswith("# Who learns to add?\n")
    assert markdown_table(RUNS + longer) in text
    for name in ("curves-adding-50.png", "success-adding.png"):
        assert f"({name})" in text
        assert (path.parent / name).read_bytes().startswith(b"\x89PNG")
    # One length alone has no rate against it.
    assert "success" not in write_report(RUNS, tmp_path / "one").read_text()


def test_lines_end_with_their_runs_and_a_dot_where_half_are_solved():
    lines = plot_curves(RUNS).lines
    ends = {line.get_label(): (line.get_xdata()[-1], line.get_marker()) for line in lines}
    assert ends == {"a": (pytest.approx(40), "None"), "b": (pytest.approx(20), "o")}
    assert all(line.get_markevery() == [-1] for line in lines)


def test_a_shared_legend_takes_the_place_of_the_others():
    figure, axes = pyplot.subplots(1, 2, layout="constrained")
    for ax in axes:
        plot_curves(RUNS, ax=ax)
    share_legend(figure)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
    assert legend.get_title().get_text() == "dot at the end: solved by at least half of the runs"
    assert all(ax.get_legend() is None for ax in axes)


def test_reports_of_nothing_or_of_mixtures_are_refused():
    with pytest.raises(ValueError, match="`runs` is empty"):
        markdown_table([])
    with pytest.raises(ValueError, match="cannot be compared"):
        plot_curves([*RUNS, replace(RUNS[0], n_steps=100)])
    with pytest.raises(ValueError, match="`runs` are of the tasks"):
        plot_success([*RUNS, replace(RUNS[0], task="xor")])
