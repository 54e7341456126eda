"""Problems of one's own: which data are learned from, judged by and told by, and real data."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hessianfree.batch import Batch
from hessianfree.comparison import (
    Budget,
    DataProblem,
    EchoStateContender,
    NetContender,
    Problem,
    TrainingRun,
    compare,
    markdown_table,
    run_contender,
)
from hessianfree.optimize import LONG_LAG_HESSIAN_FREE, Adam, Momentum
from hessianfree.tasks import HeldOut, Task, wrong_bits, wrong_classes, wrong_numbers


def numbered(first: int, n: int) -> Batch:
    """Sequences of one step that hold their numbers, which are the targets too."""
    values = np.arange(first, first + n, dtype=float).reshape(1, n, 1)
    return Batch(values, values.copy())


PARTS = [numbered(0, 40), numbered(100, 7), numbered(200, 9), numbered(300, 11)]
NUMBERS = DataProblem("numbers", *PARTS, loss="squared_error")


@dataclass
class Watcher:
    """Notes which sequences it is given for what, and is wrong for those of an odd number."""

    name: str = "watcher"

    def __post_init__(self) -> None:
        self.seen: dict[str, list[Batch]] = {"drawn": [], "loss": [], "predict": []}

    def __repr__(self) -> str:
        return "Watcher()"

    def training_runs(self, task: Task, weights_seed: Any, data_seed: Any) -> list[TrainingRun]:
        rng = np.random.default_rng(data_seed)
        self.seen["drawn"] += [task.draw(5, rng) for _ in range(100)]
        seen = self.seen

        class Candidate:
            def __init__(self, name: str) -> None:
                self.name = name

            def train(self, is_over: Any) -> None:
                while not is_over(1.0):
                    pass

            def prepare_to_predict(self) -> None:
                pass

            def loss(self, batch: Batch) -> float:
                seen["loss"].append(batch)
                return 1.0

            def predict(self, batch: Batch) -> Any:
                seen["predict"].append(batch)
                return batch.targets + batch.inputs % 2

        return [Candidate("a"), Candidate("b")]


def test_each_part_has_its_purpose_and_no_other():
    watcher = Watcher()
    run = run_contender(watcher, NUMBERS, 0, Budget(sequence_gradients=100), n_evaluations=3)
    training, validation, test, final = PARTS
    drawn = np.concatenate([batch.inputs.ravel() for batch in watcher.seen["drawn"]])
    assert set(drawn) == set(training.inputs.ravel())
    assert all(len(set(b.inputs.ravel())) == 5 for b in watcher.seen["drawn"])
    # Settings are given up by the loss on validation; evaluations are on the test part.
    assert {id(b) for b in watcher.seen["loss"]} == {id(test), id(validation)}
    assert {id(b) for b in watcher.seen["predict"][:-1]} == {id(test)}
    assert watcher.seen["predict"][-1] is final
    assert run.fraction_wrong == np.mean(final.inputs % 2)
    assert run.evaluations[-1]["fraction_wrong"] == np.mean(test.inputs % 2)
    assert (run.task, run.n_steps) == ("numbers", 1)


def test_a_problem_is_solved_by_its_own_criterion():
    # Half of the test sequences, 4 of 9, are wrong.
    for solved_below, solved in ((0.5, True), (0.44, False)):
        problem = replace(NUMBERS, solved_below=solved_below)
        run = run_contender(Watcher(), problem, 0, Budget(sequence_gradients=50))
        assert run.solved is solved
    lenient = replace(NUMBERS, wrong=partial(wrong_numbers, tolerance=1.5))
    assert run_contender(Watcher(), lenient, 0, Budget(sequence_gradients=50)).solved


def test_all_of_a_small_training_part_is_drawn():
    task = NUMBERS.make()
    batch = task.draw(1000, np.random.default_rng(0))
    assert sorted(batch.inputs.ravel()) == sorted(PARTS[0].inputs.ravel())
    assert not np.array_equal(batch.inputs, PARTS[0].inputs)


@pytest.mark.parametrize(
    ("loss", "targets", "criterion", "n_outputs"),
    [
        ("softmax", np.array([[0, 3], [1, 0]]), wrong_classes, 4),
        ("logistic", np.zeros((2, 2, 3)), wrong_bits, 3),
        ("squared_error", np.zeros((2, 2, 3)), wrong_numbers, 3),
    ],
)
def test_objective_and_metric_go_together(loss, targets, criterion, n_outputs):
    symbols = Batch(np.array([[0, 6], [2, 1]]), targets)
    task = DataProblem("p", symbols, symbols, symbols, symbols, loss=loss).make()
    assert (task.loss, task.wrong) == (loss, criterion)
    assert (task.n_inputs, task.n_outputs) == (7, n_outputs)
    larger = DataProblem("p", *[symbols] * 4, loss=loss, n_inputs=9, n_outputs=12).make()
    assert (larger.n_inputs, larger.n_outputs) == (9, 12)


def test_files_know_the_data(tmp_path):
    arguments = (Budget(sequence_gradients=20),)
    options = {"seeds": [0], "n_evaluations": 1, "folder": tmp_path}
    (first,) = compare([Watcher()], [NUMBERS], *arguments, **options)
    (path,) = tmp_path.iterdir()
    assert path.name == "watcher-numbers-1-0.jsonl"
    assert "data" in json.loads(path.read_text().splitlines()[0])["problem"]
    assert compare([Watcher()], [replace(NUMBERS)], *arguments, **options) == [first]
    other = replace(NUMBERS, training=numbered(1, 40))
    with pytest.raises(ValueError, match="of another problem"):
        compare([Watcher()], [other], *arguments, **options)


def test_a_class_of_ones_own_is_a_problem():
    @dataclass(frozen=True)
    class Parity:
        n_steps: int

        def make(self) -> Task:
            return Task("parity", 1, 1, "logistic", self.draw, wrong_bits, solved_below=0.05)

        def draw(self, n_sequences: int, rng: np.random.Generator) -> Batch:
            bits = rng.integers(2, size=(self.n_steps, n_sequences, 1)).astype(float)
            return Batch(bits, np.cumsum(bits, axis=0) % 2)

    net = NetContender("hf", (LONG_LAG_HESSIAN_FREE,), n_units=10, gradient_size=200,
                       curvature_size=50)  # fmt: skip
    (run,) = compare([net], [Parity(3)], Budget(sequence_gradients=3e4), seeds=[0])
    assert run.solved
    assert run.task == "parity"


def test_the_form_with_cues_is_another_problem():
    net = NetContender("sgd", (Adam(0.01),), n_units=4, gradient_size=10)
    budget = Budget(sequence_gradients=40)
    problems = [Problem("xor", 20), Problem("xor", 20, cues=True)]
    runs = compare([net], problems, budget, seeds=[0], n_evaluations=1)
    assert [run.task for run in runs] == ["xor", "xor_cued"]
    assert "| xor cued T=20 |" in markdown_table(runs)
    with pytest.raises(ValueError, match="has one form"):
        Problem("binary_addition", 20, cues=True)


def digits() -> DataProblem:
    """The digits of scikit-learn, an image read row by row: 8 steps of 8 numbers."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    parts = []
    for some in np.split(order, [1000, 1200, 1500]):
        mask = np.zeros((8, len(some)))
        mask[-1] = 1
        rows = data.images[some].swapaxes(0, 1) / 16
        parts.append(Batch(rows, np.tile(data.target[some], (8, 1)), mask))
    return DataProblem("digits", *parts, solved_below=0.1)


def test_all_kinds_of_contenders_learn_to_read_digits():
    contenders = [
        NetContender("lstm", (Adam(0.01, clip_norm=1.0),), cell="lstm", n_units=20,
                     initialization="chrono", initialization_options={"longest_lag": 8}),
        NetContender("hf", (LONG_LAG_HESSIAN_FREE,), n_units=20, gradient_size=300,
                     curvature_size=60, initialization="orthogonal"),
        NetContender("momentum", (Momentum(0.03, momentum=0.9, clip_norm=1.0),), n_units=20,
                     initialization="echo_state"),
        NetContender("relu", (Adam(0.01, clip_norm=1.0),), n_units=20, activation="relu",
                     initialization="identity"),
        EchoStateContender("esn", n_units=60, leak_rates=(1.0, 0.3)),
    ]  # fmt: skip
    budget = Budget(sequence_gradients=6e4)
    runs = compare(contenders, [digits()], budget, seeds=[0], n_evaluations=20)
    assert [run.contender for run in runs if not run.solved] == []
    # Guessing is wrong for nine of ten.
    assert all(run.fraction_wrong < 0.2 for run in runs)


def test_parts_that_do_not_fit_are_told():
    with pytest.raises(TypeError, match="`test` is of type ndarray"):
        replace(NUMBERS, test=np.zeros((1, 2, 1)))
    with pytest.raises(ValueError, match=r"`final` has inputs of \(2,\) numbers a step"):
        replace(NUMBERS, final=Batch(np.zeros((1, 3, 2)), np.zeros((1, 3, 1))))
    with pytest.raises(ValueError, match="`loss` is 'hinge'"):
        replace(NUMBERS, loss="hinge")
    with pytest.raises(ValueError, match="`solved_below` is 2"):
        replace(NUMBERS, solved_below=2)


def test_what_is_held_out_of_a_task_is_kept_apart():
    held_out = HeldOut(*PARTS[1:])
    assert NUMBERS.make().held_out == held_out
    assert Problem("adding", 20).make().held_out is None
