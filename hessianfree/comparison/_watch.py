"""What a run of a comparison has cost so far, and how it does."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from hessianfree.batch import Batch, take_sequences
from hessianfree.tasks import Task

if TYPE_CHECKING:
    from hessianfree.comparison._protocols import Budget, Learner


class Watch:
    """Counts what a run costs, looks at it now and then, and says when it is over."""

    def __init__(self, task: Task, budget: Budget, n_looks: int, test: Batch) -> None:
        self.task, self.budget, self.n_looks = task, budget, n_looks
        self.test = test
        # A look at a few spares the whole test while nothing is learned yet.
        self.few = take_sequences(test, np.arange(test.n_sequences // 5))
        self.looks: list[dict[str, Any]] = []
        self.seconds = self.sequence_gradients = 0.0
        self.solved = False
        self._next_look = 1 / n_looks

    @property
    def fraction(self) -> float:
        """How much of the budget is spent."""
        return self.budget.fraction(self.seconds, self.sequence_gradients)

    def train(self, learner: Learner, until: float) -> None:
        """Let a learner go on until that fraction of the budget is spent, or the task solved.

        It makes one iteration at least: those before it may have taken longer than their share, and
        what has learned nothing cannot be judged.
        """
        clock = Clock(self)

        def is_over(cost: float) -> bool:
            self.sequence_gradients += cost
            clock.stop()
            if self.fraction >= self._next_look:
                self.look(learner)
            clock.start()
            return self.solved or self.fraction >= until

        learner.advance(is_over)
        clock.stop()

    def judge(self, learner: Learner, held_out: Batch) -> float:
        """Return the loss by which a search chooses; it is charged."""
        clock = Clock(self)
        learner.get_ready()
        loss = learner.loss(held_out)
        clock.stop()
        self.sequence_gradients += held_out.n_sequences / 3
        return loss if math.isfinite(loss) else math.inf

    def look(self, learner: Learner) -> None:
        """Write down how a learner does; see whether it solves the task."""
        clock = Clock(self)
        learner.get_ready()
        clock.stop()
        wrong = self._fraction_wrong(learner, self.few)
        if wrong < 5 * self.task.solved_below:
            wrong = self._fraction_wrong(learner, self.test)
            self.solved = wrong < self.task.solved_below
        self.looks.append(
            {
                "seconds": self.seconds,
                "sequence_gradients": self.sequence_gradients,
                "setting": learner.name,
                "loss": learner.loss(self.few),
                "fraction_wrong": wrong,
            }
        )
        self._next_look = (math.floor(self.fraction * self.n_looks + 1e-9) + 1) / self.n_looks

    def _fraction_wrong(self, learner: Learner, batch: Batch) -> float:
        return self.task.fraction_wrong(learner.predict(batch), batch)


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
