"""A problem as a whole: how it is drawn, what net it needs, and when it is solved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch
from hessianfree.tasks._criteria import (
    wrong_at_the_end,
    wrong_bits,
    wrong_classes,
    wrong_numbers,
)
from hessianfree.tasks._generators import (
    adding,
    binary_addition,
    multiplication,
    random_permutation,
    temporal_order,
    xor,
)
from hessianfree.tasks._memorization import all_patterns, memorization
from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice

Wrong = Callable[[Array, Batch], NDArray[np.bool_]]


@dataclass(frozen=True)
class HeldOut:
    """Data of a task that must not be learned from, each for one purpose.

    Attributes
    ----------
    validation : Batch
        By whose loss settings are given up.
    test : Batch
        On which a run is evaluated, and which ends it where the task is solved.
    final : Batch
        By which the outcome is told.
    """

    validation: Batch
    test: Batch
    final: Batch


@dataclass(frozen=True)
class Task:
    """A problem: how to draw it, what net it needs, and when a sequence counts as wrong.

    Attributes
    ----------
    name : str
    n_inputs : int
        Channels, or symbols where the inputs are integers.
    n_outputs : int
    loss : str
        Name of the loss of `SequenceNetwork` that the targets are for.
    draw : callable
        n_sequences, rng -> Batch, of what is learned from.
    wrong : callable
        Predictions of shape (n_steps, n_sequences, n_outputs), Batch -> bool of shape
        (n_sequences,).
    solved_below : float
        The published criterion: the task is solved where a smaller fraction than this of unseen
        sequences is wrong.
    held_out : HeldOut, optional
        What is judged by, where the data are given; by default more of the same, drawn by other
        seeds.
    """

    name: str
    n_inputs: int
    n_outputs: int
    loss: str
    draw: Callable[[int, np.random.Generator], Batch]
    wrong: Wrong
    solved_below: float = 0.01
    held_out: HeldOut | None = None

    def fraction_wrong(self, predictions: Array, batch: Batch) -> float:
        """Return the fraction of sequences that are wrong."""
        return float(np.mean(self.wrong(predictions, batch)))

    def wrong_steps(self, predictions: Array, batch: Batch) -> float:
        """Return how many of its scored steps a sequence has wrong, the mean over sequences.

        Of the memorization problems that is the "0-1 loss" of Sutskever, Martens, Dahl & Hinton
        (2013), table 5; of problems with one answer at the end it is the fraction that is wrong.
        """
        mask = np.ones(batch.targets.shape[:2]) if batch.mask is None else batch.mask
        total = 0.0
        for step in np.flatnonzero(np.any(mask > 0, axis=1)):
            here = slice(step, step + 1)
            alone = Batch(batch.inputs[here], batch.targets[here], mask[here])
            total += self.fraction_wrong(predictions[here], alone)
        return total


@explained
def make_task(name: str, n_steps: int, *, cues: bool = False) -> Task:
    """Return one of the problems by its name.

    Parameters
    ----------
    name : str
        "binary_addition", "adding", "multiplication", "xor", "temporal_order", "temporal_order_3",
        "random_permutation", "memorization_5_bits" or "memorization_20_bits".
    n_steps : int
        Length T, or the number of bits of "binary_addition", or the delay of the memorizations.
    cues : bool, default=False
        Whether in the form of the code of Martens & Sutskever (2011), not in the plain one: a mark
        of -1 at the first step and at the third-last ("adding", "multiplication", "xor"), a symbol
        at the first step and one at the last ("temporal_order", "temporal_order_3"), a prediction
        at every step ("random_permutation"). The name of the task then ends in "_cued".
        The memorizations have their cue in the one form that they have, and "binary_addition" has
        none.

    Returns
    -------
    Task

    Raises
    ------
    ValueError
        If there is no such problem, or not in that form.

    Examples
    --------
    >>> import numpy as np
    >>> task = make_task("adding", 50)
    >>> batch = task.draw(3, np.random.default_rng(0))
    >>> batch.inputs.shape[1:], batch.n_scored, task.loss
    ((3, 2), 3, 'squared_error')
    >>> [make_task("temporal_order", 50, cues=cues).n_inputs for cues in (False, True)]
    [6, 8]
    """
    if cues and name == "binary_addition":
        raise ValueError(
            "`cues` is True, but 'binary_addition' has one form, without cues. Pass False."
        )
    T, order = n_steps, temporal_order
    n_symbols = 8 if cues else 6
    permuted = wrong_at_the_end if cues else wrong_classes
    tasks = [
        Task("adding", 2, 1, "squared_error", partial(adding, T, cues=cues), wrong_numbers),
        Task(
            "multiplication", 2, 1, "squared_error", partial(multiplication, T, cues=cues),
            wrong_numbers,
        ),
        Task("xor", 2, 1, "logistic", partial(xor, T, cues=cues), wrong_bits),
        Task(
            "temporal_order", n_symbols, 4, "softmax", partial(order, T, cues=cues), wrong_classes
        ),
        Task(
            "temporal_order_3", n_symbols, 8, "softmax", partial(order, T, n_symbols=3, cues=cues),
            wrong_classes,
        ),
        Task(
            "random_permutation", 100, 100, "softmax", partial(random_permutation, T, cues=cues),
            permuted,
        ),
    ]  # fmt: skip
    if cues:
        tasks = [replace(task, name=f"{task.name}_cued") for task in tasks]
    tasks += [
        Task("binary_addition", 2, 1, "logistic", partial(binary_addition, T), wrong_bits),
        # All 32 strings are the data, whatever size is asked for.
        Task("memorization_5_bits", 4, 2, "softmax", lambda *_: all_patterns(T), wrong_classes),
        Task("memorization_20_bits", 7, 5, "softmax", partial(memorization, T), wrong_classes),
    ]
    by_name = {task.name.removesuffix("_cued"): task for task in tasks}
    check_choice("name", name, by_name)
    return by_name[name]
