"""The budget of a run of a comparison, and its evaluations on test data."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from hessianfree.batch import Batch, take_sequences
from hessianfree.tasks._task import Task

if TYPE_CHECKING:
    from hessianfree.comparison._protocols import Budget, TrainingRun


# The whole test is run where a fifth of it has fewer wrong sequences than so many times the
# criterion. With 200 sequences and a criterion of 1 %, a net that is just there has ten or more of
# them wrong once in 25,000 evaluations.
_WHOLE_TEST_FACTOR = 5


class Watch:
    """Counts what a run costs, evaluates it in equal shares of the budget, and ends it."""

    def __init__(self, task: Task, budget: Budget, n_evaluations: int, test: Batch) -> None:
        self.task, self.budget, self.n_evaluations = task, budget, n_evaluations
        self.test = test
        # Spares the whole test while nothing is learned yet. Given data may be sorted: of them no
        # part stands for the whole.
        self.first_part = test
        if task.held_out is None:
            self.first_part = take_sequences(test, np.arange(test.n_sequences // 5))
        self.evaluations: list[dict[str, Any]] = []
        self.seconds = self.sequence_gradients = 0.0
        self.solved = False
        self._next_evaluation = 1 / n_evaluations

    @property
    def fraction(self) -> float:
        """How much of the budget is spent."""
        return self.budget.fraction(self.seconds, self.sequence_gradients)

    def train(self, candidate: TrainingRun, until: float) -> None:
        """Train a candidate until that fraction of the budget is spent, or the task solved.

        It makes one iteration at least: those before it may have taken longer than their share, and
        what has learned nothing cannot be judged.
        """
        clock = Clock(self)

        def is_over(cost: float) -> bool:
            self.sequence_gradients += cost
            clock.stop()
            if self.fraction >= self._next_evaluation:
                self.evaluate(candidate)
            clock.start()
            return self.solved or self.fraction >= until

        candidate.train(is_over)
        clock.stop()

    def validate(self, candidate: TrainingRun, held_out: Batch) -> float:
        """Return the loss by which a search chooses; it is charged."""
        clock = Clock(self)
        candidate.prepare_to_predict()
        loss = candidate.loss(held_out)
        clock.stop()
        self.sequence_gradients += held_out.n_sequences / 3
        return loss if math.isfinite(loss) else math.inf

    def evaluate(self, candidate: TrainingRun) -> None:
        """Note the loss and wrong sequences of a candidate, and whether that solves the task."""
        clock = Clock(self)
        candidate.prepare_to_predict()
        clock.stop()
        wrong = self._fraction_wrong(candidate, self.first_part)
        if wrong < _WHOLE_TEST_FACTOR * self.task.solved_below:
            wrong = self._fraction_wrong(candidate, self.test)
            self.solved = wrong < self.task.solved_below
        self.evaluations.append(
            {
                "seconds": self.seconds,
                "sequence_gradients": self.sequence_gradients,
                "setting": candidate.name,
                "loss": candidate.loss(self.first_part),
                "fraction_wrong": wrong,
            }
        )
        self._next_evaluation = (
            math.floor(self.fraction * self.n_evaluations + 1e-9) + 1
        ) / self.n_evaluations

    def _fraction_wrong(self, candidate: TrainingRun, batch: Batch) -> float:
        return self.task.fraction_wrong(candidate.predict(batch), batch)


class Clock:
    """Adds processor time of this thread to what a run has spent."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.start()

    def start(self) -> None:
        """Begin to charge."""
        self._began = time.thread_time()

    def stop(self) -> None:
        """Charge what went by since the start."""
        self._watch.seconds += time.thread_time() - self._began
