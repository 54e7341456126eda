"""Where an objective computes: states of optimizers and batches, moved there once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from hessianfree.batch import Batch, PreparedBatch
from reservoir._device import MEMORY_REMEDY, is_on_device, namespace, naming_remedy, to_namespace

State = TypeVar("State")

# What was moved lives as long as the batch that it was made of.
_PLACED: WeakKeyDictionary[Batch, dict[Hashable, list[PreparedBatch]]] = WeakKeyDictionary()


def place_state(objective: Any, state: State) -> State:
    """Return the state of an optimizer with its arrays where the objective computes.

    An objective that does not say so, by an attribute `device`, takes states as they come.
    """
    if getattr(objective, "device", "cpu") == "cpu":
        return state
    with naming_remedy(MEMORY_REMEDY):
        return move_state(namespace("cuda"), state)


def move_state(xp: Any, state: State) -> State:
    """Return a dataclass, those in its fields too, with its arrays in a namespace.

    Examples
    --------
    >>> from hessianfree.first_order import DescentState
    >>> move_state(np, DescentState(np.zeros(1), 0))
    DescentState(params=array([0.]), n_steps=0)
    """
    moved: dict[str, Any] = {}
    for field in dataclasses.fields(state):  # type: ignore[arg-type]
        value = getattr(state, field.name)
        if dataclasses.is_dataclass(value):
            moved[field.name] = move_state(xp, value)
        elif isinstance(value, np.ndarray) or is_on_device(value):
            moved[field.name] = to_namespace(xp, value)
    return dataclasses.replace(state, **moved)  # type: ignore[type-var]


def place_batch(
    xp: Any, batch: Batch, key: Hashable, make: Callable[[], list[PreparedBatch]]
) -> list[PreparedBatch]:
    """Return what a batch is computed with, in a namespace.

    On the host it is made anew, which costs little. What was moved to a GPU is kept there as long
    as the batch lives, so that the losses, products and gradients of an iteration move it once.

    Parameters
    ----------
    xp : module
    batch : Batch
    key : hashable
        All that decides, beside the batch, what `make` returns.
    make : callable
        Returns the slices on the host.
    """
    if xp is np:
        return make()
    placed = _PLACED.setdefault(batch, {})
    if key not in placed:
        with naming_remedy(MEMORY_REMEDY):
            placed[key] = [move_state(xp, part) for part in make()]
    return placed[key]
