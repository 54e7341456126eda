"""The parts of a comparison: budgets, contenders, training runs and results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from hessianfree.batch import Batch
from hessianfree.tasks._task import Task
from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_real


@explained
@dataclass(frozen=True)
class Budget:
    """What a run may cost, its search for a learning rate included; the first limit met ends it.

    Read more in the guide: :doc:`/guide/experiments`.

    Parameters
    ----------
    seconds : float, optional
        Of processor time of the thread that computes. Evaluations on the test data do not count.
    sequence_gradients : float, optional
        Gradients of one sequence, or what costs as much: a curvature product on a sequence counts
        4/3, a forward pass 1/3.

    Examples
    --------
    >>> Budget(seconds=60.0).fraction(15.0, 1e6)
    0.25
    """

    seconds: float | None = None
    sequence_gradients: float | None = None

    def __post_init__(self) -> None:
        """Check that there is a limit."""
        limits = asdict(self)
        if all(limit is None for limit in limits.values()):
            raise ValueError(
                "`seconds` and `sequence_gradients` are None, but a budget needs a limit. Pass "
                "one of them, or both."
            )
        for name, limit in limits.items():
            if limit is not None:
                check_real(name, limit, minimum=0, exclusive=True)

    def fraction(self, seconds: float, sequence_gradients: float) -> float:
        """Return how much of the budget that is; 1 where it is spent."""
        spent = (seconds, self.seconds), (sequence_gradients, self.sequence_gradients)
        return max(amount / limit for amount, limit in spent if limit is not None)


class TrainingRun(Protocol):
    """The training of one setting of a contender.

    Attributes
    ----------
    name : str
        In what the setting differs from the others of the contender.
    """

    name: str

    def train(self, is_over: Callable[[float], bool]) -> None:
        """Train further; `is_over` gets the cost of each iteration and says when to stop."""
        ...

    def prepare_to_predict(self) -> None:
        """Do what is left to do before `predict`, as fitting a readout; it counts as training."""
        ...

    def loss(self, batch: Batch) -> float:
        """Return the loss on a batch."""
        ...

    def predict(self, batch: Batch) -> Array:
        """Return predictions of shape (n_steps, n_sequences, n_outputs)."""
        ...


class Contender(Protocol):
    """What takes part in a comparison: `NetContender`, `EchoStateContender`.

    Its `repr` has all that its runs depend on.
    """

    @property
    def name(self) -> str:
        """Return the name in the report."""
        ...

    def training_runs(
        self, task: Task, weights_seed: np.random.SeedSequence, data_seed: np.random.SeedSequence
    ) -> list[TrainingRun]:
        """Return a run for each setting that is to be tried."""
        ...


@dataclass(frozen=True)
class Run:
    """The result of one contender on one problem, from one seed.

    Attributes
    ----------
    contender, task : str
    n_steps, seed : int
    solved : bool
        Whether fewer sequences of the test were wrong, at one of the evaluations, than the task's
        published criterion asks for.
    fraction_wrong, wrong_steps : float
        Sequences that are wrong, and scored steps of a sequence that are, of sequences that had no
        part in the decision to stop.
    loss : float
        Of the setting that was left, on data not learned from, at the last evaluation.
    seconds, sequence_gradients : float
        Spent, in the units of `Budget`.
    setting : str
        Name of the setting that was left at the end.
    evaluations : list of dict
        `seconds`, `sequence_gradients`, `setting`, `loss`, `fraction_wrong` of each.
    """

    contender: str
    task: str
    n_steps: int
    seed: int
    solved: bool
    fraction_wrong: float
    wrong_steps: float
    loss: float
    seconds: float
    sequence_gradients: float
    setting: str
    evaluations: list[dict[str, Any]] = field(default_factory=list, repr=False)
