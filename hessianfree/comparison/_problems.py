"""What a comparison is made on: the tasks of the literature, given data, or a problem of one's own.

A problem says how many steps it has and makes a `Task`, which holds all that contenders and judges
need: data, objective, metric and the criterion of success.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch, take_sequences
from hessianfree.network._definition import LOSSES
from hessianfree.tasks._criteria import wrong_bits, wrong_classes, wrong_numbers
from hessianfree.tasks._task import HeldOut, Task, make_task
from hessianfree.training._stopping import digest_of
from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_real

_CRITERIA = {
    "squared_error": wrong_numbers,
    "logistic": wrong_bits,
    "softmax": wrong_classes,
}


class AnyProblem(Protocol):
    """What `compare` takes as a problem: `Problem`, `DataProblem`, or one of your own.

    Read more in the guide: :doc:`/guide/experiments`.

    Its `repr` has all that its runs depend on, as that of a dataclass has: it is how a file of
    a run is recognized.
    """

    @property
    def n_steps(self) -> int:
        """Return the length by which reports tell problems of one name apart."""
        ...

    def make(self) -> Task:
        """Return the task: its name, data, objective, metric, and when it is solved.

        `Task.draw` gives what is learned from. Where what is judged by is no more of the same,
        drawn by another seed, `Task.held_out` has it. `Task.loss` and the numbers of inputs and
        outputs say which net learns, `Task.wrong` which answers are wrong, and
        `Task.solved_below` of how many the problem counts as solved.
        """
        ...


@explained
@dataclass(frozen=True)
class Problem:
    """A task of the literature at one length; see `make_task`.

    Parameters
    ----------
    task : str
    n_steps : int
    cues : bool, default=False
        Whether in the form with cues; reports call it by the name of that task, "adding_cued".

    Examples
    --------
    >>> Problem("adding", 50, cues=True).make().name
    'adding_cued'
    """

    task: str
    n_steps: int
    cues: bool = False

    def __post_init__(self) -> None:
        """Check that there is such a task."""
        self.make()

    def make(self) -> Task:
        """Return the task."""
        return make_task(self.task, self.n_steps, cues=self.cues)


@explained
@dataclass(frozen=True, eq=False, repr=False)
class DataProblem:
    """Given data as a problem of a comparison, in four parts that are disjoint.

    Read more in the guide: :doc:`/guide/experiments`.

    Parameters
    ----------
    name : str
        By which reports and files call it.
    training : Batch
        What is learned from: an update sees some of its sequences, drawn without replacement.
    validation : Batch
        By whose loss settings are given up.
    test : Batch
        On which a run is evaluated, and which ends it where the problem is solved.
    final : Batch
        By which the outcome is told, and which has no part in anything before.
    loss : {"softmax", "logistic", "squared_error"}, default="softmax"
        The objective; of classes, bits or numbers.
    wrong : callable, optional
        The metric: predictions, Batch -> bool of shape (n_sequences,), which sequences are wrong.
        By default `wrong_classes`, `wrong_bits` or `wrong_numbers` as the loss is; the last with a
        tolerance of 0.04, which is for targets of the scale of 1:
        ``partial(wrong_numbers, tolerance=...)`` has another one.
    solved_below : float, default=0.01
        The criterion of success: which fraction of the test is wrong less often than that.
    n_inputs, n_outputs : int, optional
        Needed where inputs are symbols, or targets classes, the last of which may not occur; by
        default as many as occur.

    Raises
    ------
    ValueError
        If the parts do not have the same features, or an argument is out of range.

    Examples
    --------
    Is the sum of four numbers positive?

    >>> import numpy as np
    >>> from hessianfree.batch import Batch
    >>> def part(n, seed):
    ...     x = np.random.default_rng(seed).normal(size=(4, n, 1))
    ...     mask = np.zeros((4, n))
    ...     mask[-1] = 1
    ...     return Batch(x, (np.cumsum(x, axis=0)[..., 0] > 0).astype(int), mask)
    >>> problem = DataProblem("sign of a sum", *(part(n, n) for n in (300, 50, 51, 52)))
    >>> problem.n_steps, problem.make().n_outputs
    (4, 2)
    """

    name: str
    training: Batch
    validation: Batch
    test: Batch
    final: Batch
    loss: str = "softmax"
    wrong: Callable[[Array, Batch], NDArray[np.bool_]] | None = None
    solved_below: float = 0.01
    n_inputs: int | None = None
    n_outputs: int | None = None

    def __post_init__(self) -> None:
        """Check what can be told without a net."""
        check_choice("loss", self.loss, LOSSES)
        check_real("solved_below", self.solved_below, minimum=0, maximum=1)
        for name, part in self._parts.items():
            if not isinstance(part, Batch):
                raise TypeError(
                    f"`{name}` is of type {type(part).__name__}, but a Batch was expected. Pass "
                    "Batch(inputs, targets, mask), time first."
                )
            for values in ("inputs", "targets"):
                shape, first = (getattr(b, values).shape[2:] for b in (part, self.training))
                if shape != first:
                    raise ValueError(
                        f"`{name}` has {values} of {shape} numbers a step, but {first} were "
                        "expected as in `training`. Give all parts the same features."
                    )

    @property
    def n_steps(self) -> int:
        """The longest sequence of the training part, in steps."""
        return self.training.n_steps

    def make(self) -> Task:
        """Return the task."""
        return Task(
            self.name,
            self.n_inputs or self._size("inputs"),
            self.n_outputs or self._size("targets"),
            self.loss,
            self._draw,
            self.wrong or _CRITERIA[self.loss],
            self.solved_below,
            HeldOut(self.validation, self.test, self.final),
        )

    @cached_property
    def _parts(self) -> dict[str, Batch]:
        return {name: getattr(self, name) for name in ("training", "validation", "test", "final")}

    def _size(self, values: str) -> int:
        """Return the number of channels, or of symbols or classes that occur."""
        arrays = [getattr(part, values) for part in self._parts.values()]
        if arrays[0].ndim == 3:
            return int(arrays[0].shape[2])
        return 1 + max(int(array.max()) for array in arrays)

    def _draw(self, n_sequences: int, rng: np.random.Generator) -> Batch:
        """Return sequences of the training part, all of it where as many are asked for."""
        n = self.training.n_sequences
        return take_sequences(self.training, rng.permutation(n)[:n_sequences])

    def __repr__(self) -> str:
        """Return the choices, and a digest of the data."""
        digest = digest_of(*(v for part in self._parts.values() for v in vars(part).values()))
        choices = (self.loss, self.solved_below, self.n_inputs, self.n_outputs)
        return f"DataProblem({self.name!r}, {', '.join(map(repr, choices))}, data {digest})"
