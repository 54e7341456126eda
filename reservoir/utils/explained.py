"""Errors of public functions that name the argument at fault, found when something went wrong."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from sklearn.exceptions import NotFittedError

Function = TypeVar("Function", bound=Callable[..., Any])

# What bad arguments raise in code that takes for granted what it is given.
_RAW = (
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    ZeroDivisionError,
    RecursionError,
)

# What other libraries say of an argument, and what it is called here.
_SAID_OF = {
    "inconsistent numbers of samples": "y",
    "y_true": "y",
    "Sample weights": "sample_weight",
    "data type": "dtype",
    "Field elements": "dtype",
    "boolean index did not match": "sample_weight",
}
# What scikit-learn says of an array with other axes than (rows, columns).
_OTHER_AXES = ("Expected 2D array", "Found array with dim")


def explained(function: Function) -> Function:
    """Let a public function, or class, name the argument of a wrong kind that made it fail.

    Nothing is looked at as long as the function succeeds: it costs no time. An error that names
    an argument, or that no argument explains, is left as it is.

    Examples
    --------
    >>> @explained
    ... def half(value: float) -> float:
    ...     return value / 2
    >>> half([1])
    Traceback (most recent call last):
    ...
    TypeError: `value` is [1] of type list, but a number was expected: unsupported operand type(s) \
for /: 'list' and 'int'
    """
    if isinstance(function, type):
        setattr(function, "__init__", explained(vars(function)["__init__"]))  # noqa: B010
        return function

    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def items(*arguments: Any, **settings: Any) -> Iterator[Any]:
            try:
                yield from function(*arguments, **settings)
            except _RAW as error:
                explain(function, arguments, settings, error)
                raise

        return typing.cast(Function, items)

    @wraps(function)
    def call(*arguments: Any, **settings: Any) -> Any:
        try:
            return function(*arguments, **settings)
        except _RAW as error:
            explain(function, arguments, settings, error)
            raise

    return typing.cast(Function, call)


def explain(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    settings: Mapping[str, Any],
    error: Exception,
) -> None:
    """Raise an error that names the argument at fault, if there is one and `error` names none."""
    signature = inspect.signature(function)
    given = dict(signature.bind(*arguments, **settings).arguments)
    text = str(error)
    if isinstance(error, NotFittedError):
        return
    if "`" in text or any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in given):
        return
    kind = ValueError if isinstance(error, ValueError | OverflowError | IndexError) else TypeError
    named = _named_by_text(given, text)
    if named is not None:
        raise kind(f"`{named}` does not fit: {text}") from error
    found = next(_faults(inspect.unwrap(function), given, text), None)
    if found is not None:
        raise kind(f"{found}: {text.splitlines()[0] if text else type(error).__name__}") from error


def _named_by_text(given: Mapping[str, Any], text: str) -> str | None:
    """Return the argument that another library's error is about, if its text tells."""
    values = {name: value for name, value in given.items() if name != "self" and value is not None}
    for said, name in _SAID_OF.items():
        if said in text and name in values:
            return name
    if text.startswith(_OTHER_AXES):
        for name, value in values.items():
            # Chunks come one by one: each has axes of its own.
            if not isinstance(value, str) and (name == "chunks" or _axes_of(value) != 2):
                return name
    if text.startswith("Input contains"):
        return next((name for name, value in values.items() if not _is_finite(value)), None)
    return None


def _faults(function: Callable[..., Any], given: dict[str, Any], text: str) -> Iterator[str]:
    """Yield what is wrong with arguments of another kind than their annotations say."""
    hints = _hints_of(function)
    for name, value in given.items():
        hint = hints.get(name, Any)
        if hint is Any and isinstance(value, str) and "convert" not in text:
            continue  # text may be what was asked for
        wanted = _wanted(value, hint)
        if name != "self" and wanted is not None:
            shown = repr(value)
            if isinstance(value, np.ndarray):
                shown = f"an array of shape {value.shape},"
            shown = f"{shown} " if len(shown) < 40 and "\n" not in shown else ""
            yield f"`{name}` is {shown}of type {type(value).__name__}, but {wanted} was expected"


def _is_finite(value: Any) -> bool:
    """Say whether a value can't be the one that NaN or infinity came with."""
    try:
        return bool(np.isfinite(np.asarray(value, dtype=np.float64)).all())
    except (ValueError, TypeError, OverflowError):
        return True


def _axes_of(value: Any) -> int:
    """Return the number of axes of an array, or of what can be made one."""
    try:
        return int(getattr(value, "ndim", None) or np.ndim(value))
    except ValueError:  # ragged
        return -1


def _hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return annotations as types; Any for those that can't be had when nothing is type-checked."""
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        return {}


def _wanted(value: Any, hint: Any) -> str | None:
    """Return what was expected in the place of a value, None if it will do."""
    options = typing.get_args(hint)
    if value is None and (types.NoneType in options or hint is Any):
        return None
    if hint is Any or "rray" in str(hint):
        return _wanted_numbers(value)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        wishes = [_wanted(value, option) for option in options if option is not types.NoneType]
        if None in wishes:
            return None
        return " or ".join(dict.fromkeys(wish for wish in wishes if wish))
    if hint is bool:
        return None if isinstance(value, bool | np.bool_) else "True or False"
    if hint is float or hint is int:
        fits = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        fits = fits and abs(value) < 2**1023 if isinstance(value, int) else fits
        fits = fits and not (hint is int and isinstance(value, float | np.floating))
        return None if fits else "an integer" if hint is int else "a number"
    origin = typing.get_origin(hint) or hint
    if isinstance(origin, type) and not getattr(origin, "_is_protocol", False):
        if typing.is_typeddict(origin):
            return None
        is_text = isinstance(value, str | bytes) and origin not in (str, bytes)
        if not isinstance(value, origin) or is_text:
            return f"a {origin.__name__}"
        return _wanted_in(value, hint)
    if getattr(origin, "_is_protocol", False):
        missing = [name for name in _members_of(origin) if not hasattr(value, name)]
        return f"a {origin.__name__}, with `{missing[0]}`" if missing else None
    return None


def _wanted_in(values: Any, hint: Any) -> str | None:
    """Return what was expected in the place of an element of a list or tuple, None if all fit."""
    options = [option for option in typing.get_args(hint) if option is not Ellipsis]
    if len(options) != 1 or not isinstance(values, list | tuple):
        return None
    wishes = [wish for value in values if (wish := _wanted(value, options[0])) is not None]
    return f"{wishes[0]} in each place" if wishes else None


def _wanted_numbers(value: Any) -> str | None:
    """Return what an array of numbers could have been in the place of a value, None if it is."""
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" and array.size:
            array = array.astype(float)
    except (ValueError, TypeError, OverflowError):
        return "an array of numbers"
    is_text = isinstance(value, str | bytes)
    if array.dtype.kind not in "fiub" or is_text or array.ndim == 0 or array.size == 0:
        return "an array of numbers, with axes and not empty,"
    return None


def _members_of(protocol: type) -> list[str]:
    return [
        name
        for base in protocol.__mro__
        for name in (*vars(base), *getattr(base, "__annotations__", ()))
        if not name.startswith("_") and getattr(base, "_is_protocol", False)
    ]
