"""Fits as transactions: one that does not end well leaves the estimator as it was."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import numpy as np

_Method = TypeVar("_Method", bound=Callable[..., Any])

# The estimators that a transaction of this thread is about: one inside it is part of it.
_in_transaction = threading.local()


def transaction(*in_place: str) -> Callable[[_Method], _Method]:
    """Restore all attributes where a method raises, is interrupted, or its process is told to end.

    Attributes are kept by reference, so that a fit which begins anew costs no copy; but what it
    replaces is released at its end only. Generators are put back to where they were.

    Parameters
    ----------
    *in_place : str
        Attributes that the method changes in place. It gets copies of them: of the sums of a
        readout that is one matrix of its size, for the time of the call.

    Examples
    --------
    >>> class Counter:
    ...     seen = ()
    ...     @transaction()
    ...     def fit(self, values):
    ...         for value in values:
    ...             self.seen = (*self.seen, 1 / value)
    >>> counter = Counter()
    >>> counter.fit([1.0, 2.0])
    >>> counter.fit([4.0, 0.0])
    Traceback (most recent call last):
    ZeroDivisionError: float division by zero
    >>> counter.seen
    (1.0, 0.5)
    """

    def decorate(method: _Method) -> _Method:
        @functools.wraps(method)
        def whole(self: Any, *args: Any, **kwargs: Any) -> Any:
            active: set[int] = vars(_in_transaction).setdefault("estimators", set())
            if id(self) in active:
                return method(self, *args, **kwargs)
            before = dict(vars(self))
            generators = _states_of_generators(before)
            try:
                active.add(id(self))
                copies = {name: copy.deepcopy(before[name]) for name in in_place if name in before}
                vars(self).update(copies)
                result = method(self, *args, **kwargs)
                active.discard(id(self))
                return result  # inside: an interruption up to here undoes all
            except BaseException:
                active.discard(id(self))
                # One assignment: a second interruption finds all of it or nothing.
                self.__dict__ = before
                for generator, state in generators:
                    _put_back(generator, state)
                raise

        vars(whole)["in_place"] = in_place
        return cast(_Method, whole)

    return decorate


def _states_of_generators(attributes: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Return the random generators among the attributes, each with its state."""
    states: list[tuple[Any, Any]] = []
    for value in attributes.values():
        if isinstance(value, np.random.Generator):
            states.append((value, value.bit_generator.state))
        elif isinstance(value, np.random.RandomState):
            states.append((value, value.get_state(legacy=False)))
    return states


def _put_back(generator: Any, state: Any) -> None:
    """Let a random generator go on from a state."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.set_state(state)
