"""Estimators go on with the parameters they were fitted with, whatever is set afterwards."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from functools import wraps
from typing import Any, Self

import numpy as np

from reservoir.utils.explained import explained
from reservoir.utils.transactions import transaction
from reservoir.utils.validation import check_flag, check_integer

# They draw and learn anew, with the parameters as they are.
_FITS = ("fit", "fit_stream")


# It may be the first to learn, and goes on from what was learned otherwise.
_MAY_BEGIN = ("partial_fit",)


# They look at the parameters as they are, or call others of an estimator; a step, of a few
# microseconds, sees to it itself.
_ON_THEIR_OWN = ("get_params", "set_params", "save", "fit_transform", "fit_predict", "step")


# They say how results are computed and shown, not what they are.
_OF_COMPUTING = ("device", "n_jobs", "verbose", "callback")


class FittedParameters:
    """Lets all public methods but fits see the parameters that the estimator was fitted with.

    A fit keeps a record of those that are plain values. Where one was set to something else since
    then, the other methods run on a twin with the recorded ones, and what they change of the
    fitted state is taken over: `get_params` tells what the next `fit` will use, `predict` what the
    last one did. Subclasses do nothing for it.
    """

    _fitted_with: dict[str, Any]

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        for name in dir(cls):
            method = inspect.getattr_static(cls, name)
            if name.startswith("_") or name in _ON_THEIR_OWN or not inspect.isfunction(method):
                continue
            if not hasattr(method, "_knows_fit"):
                setattr(cls, name, as_fitted(method))

    def _plain_parameters(self) -> dict[str, Any]:
        """Return copies of the parameters that are plain values, flags among them checked."""
        params: dict[str, Any] = self.get_params(deep=False)  # type: ignore[attr-defined]
        for name, parameter in inspect.signature(type(self)).parameters.items():
            is_flag = isinstance(parameter.default, bool) and "|" not in str(parameter.annotation)
            if is_flag and name not in _OF_COMPUTING:
                check_flag(name, params[name])
            if name == "n_jobs" and params[name] is not None:
                check_integer(name, params[name], minimum=-1000)
            if name == "callback" and not (params[name] is None or callable(params[name])):
                raise TypeError(
                    f"`callback` is of type {type(params[name]).__name__}, but None or a function "
                    "of the estimator was expected. Pass for instance `lambda model: False`."
                )
        return {
            name: list(value) if isinstance(value, list) else value
            for name, value in params.items()
            if name not in _OF_COMPUTING and _is_plain(value)
        }

    def _used_parameters(self) -> dict[str, Any]:
        """Return the parameters of the last fit by name, those of now where there was none."""
        return self.__dict__.get("_fitted_with") or vars(self)

    def _as_fitted(self, record: dict[str, Any]) -> Self:
        """Return the estimator, or a twin with the parameters of `record` where they differ."""
        own = vars(self)
        try:
            if record.items() <= own.items():
                return self
        except ValueError:  # an array, compared with a number
            pass
        twin = object.__new__(type(self))
        vars(twin).update(own)
        vars(twin).update(record)
        return twin

    def _take_over(self, twin: Self, record: dict[str, Any]) -> None:
        """Take over the fitted state of a twin, not its parameters."""
        own, other = vars(self), vars(twin)
        for name in own.keys() - other.keys():
            del own[name]
        own.update({name: value for name, value in other.items() if name not in record})


def as_fitted(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that records the parameters, if it is a fit, or runs with those recorded."""
    name = method.__name__

    @wraps(method)
    def checked(self: Any, /, *arguments: Any, **settings: Any) -> Any:
        record = self.__dict__.get("_fitted_with")
        if name in _FITS or (record is None and name in _MAY_BEGIN):
            self._fitted_with = self._plain_parameters()
            return method(self, *arguments, **settings)
        if record is None:
            return method(self, *arguments, **settings)
        fitted = self._as_fitted(record)
        result = method(fitted, *arguments, **settings)
        if fitted is self:
            return result
        self._take_over(fitted, record)
        return self if result is fitted else result

    call = explained(checked)
    vars(call)["_knows_fit"] = True
    if name in _FITS + _MAY_BEGIN or hasattr(method, "in_place"):
        # Around all of it: the record is part of what a fit that fails leaves as it was.
        return transaction(*getattr(method, "in_place", ()))(call)
    return call


def _is_plain(value: Any) -> bool:
    """Say whether a value is a number, a string, None, or a list or tuple of such."""
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | numbers.Number | np.generic)
