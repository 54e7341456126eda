"""Checks of single arguments of public functions."""

from __future__ import annotations

import inspect
import math
import numbers
import sys
import warnings
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np


def check_integer(
    name: str, value: Any, *, minimum: int = 0, maximum: int | None = None, remedy: str = ""
) -> int:
    """Return `value` as an int, or say what is wrong with it.

    Examples
    --------
    >>> check_integer("n_steps", 3, minimum=1)
    3
    """
    wanted = f"an integer of {minimum} or more" + (
        f" and at most {maximum}" if maximum is not None else ""
    )
    remedy = remedy or f"Pass {wanted}."
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(
            f"`{name}` is {value!r} of type {type(value).__name__}, but {wanted} was expected. "
            f"{remedy}"
        )
    number = int(value)
    if abs(number) > sys.maxsize:
        raise ValueError(
            f"`{name}` has {number.bit_length()} bits, but {wanted} was expected, no more "
            f"than memory has places. {remedy}"
        )
    if number < minimum or (maximum is not None and number > maximum):
        raise ValueError(f"`{name}` is {value}, but {wanted} was expected. {remedy}")
    return number


def check_flag(name: str, value: Any) -> bool:
    """Return True or False, or say that something else came: "no" is true to Python.

    Examples
    --------
    >>> check_flag("include_input", False)
    False
    """
    if isinstance(value, bool | np.bool_) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise TypeError(
        f"`{name}` is {value!r} of type {type(value).__name__}, but True or False was expected. "
        "Pass one of the two."
    )


def check_real(
    name: str,
    value: Any,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    exclusive: bool = False,
    remedy: str = "",
) -> float:
    """Return `value` as a finite float within bounds, or say what is wrong with it.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        What came.
    minimum, maximum : float
        Bounds; both belong to the range, save the lower one if `exclusive`.
    exclusive : bool
        Whether `minimum` itself is refused.
    remedy : str
        Second sentence of the error.

    Examples
    --------
    >>> check_real("leak_rate", 1, minimum=0, maximum=1, exclusive=True)
    1.0
    """
    wanted = "a finite number"
    if minimum > -math.inf:
        wanted += f" above {minimum:g}" if exclusive else f" of {minimum:g} or more"
    if maximum < math.inf:
        wanted += f" up to {maximum:g}"
    remedy = remedy or f"Pass {wanted}."
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"`{name}` is {value!r} of type {type(value).__name__}, but {wanted} was expected. "
            f"{remedy}"
        )
    try:
        number = float(value)
    except OverflowError:  # such as 10**400
        number, value = math.inf, "too large for a float"
    below = number <= minimum if exclusive else number < minimum
    if not math.isfinite(number) or below or number > maximum:
        raise ValueError(f"`{name}` is {value}, but {wanted} was expected. {remedy}")
    return number


def as_numbers(name: str, value: Any, dtype: Any) -> Any:
    """Return `value` as an array of numbers, or say that it can't be read as such.

    Examples
    --------
    >>> as_numbers("u", [1, 2], "float64")
    array([1., 2.])
    """
    try:
        return np.asarray(value, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"`{name}` can't be read as numbers ({error}). Pass an array of such."
        ) from error


def check_axes(name: str, value: Any, n_axes: int) -> None:
    """Raise unless a value is an array with so many axes.

    Examples
    --------
    >>> check_axes("series", np.zeros((5, 1)), 2)
    """
    if getattr(value, "ndim", None) != n_axes:
        shape = getattr(value, "shape", None)
        came = f"of type {type(value).__name__}" if shape is None else f"of shape {shape}"
        wanted = f"{n_axes} axes" if n_axes > 1 else "1 axis"
        raise (TypeError if shape is None else ValueError)(
            f"`{name}` is {came}, but an array of {wanted} was expected. Reshape it."
        )


def check_iterable(name: str, value: Any) -> None:
    """Raise unless a value can be gone through.

    Examples
    --------
    >>> check_iterable("chunks", [1, 2])
    """
    if not isinstance(value, Iterable) or isinstance(value, str | bytes):
        raise TypeError(
            f"`{name}` is of type {type(value).__name__}, but a list, or something else to go "
            "through, was expected. Pass for instance a generator."
        )


def check_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """Return `value` if it is one of `choices`, or say which there are.

    Examples
    --------
    >>> check_choice("solver", "qr", ["auto", "gram", "qr"])
    'qr'
    """
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` is {value!r}, but one of {listed} was expected. Pass one.")
    return value


def check_methods(name: str, value: Any, methods: Collection[str], example: str) -> None:
    """Raise unless `value` is an object with some methods, and no class.

    Parameters
    ----------
    name : str
        Of the argument, for the error.
    value : object
    methods : collection of str
    example : str
        What to pass, in words or code.

    Raises
    ------
    TypeError
        If it is a class, or lacks a method.

    Examples
    --------
    >>> check_methods("stream", open, ("write",), "a file")
    Traceback (most recent call last):
    ...
    TypeError: `stream` is of type builtin_function_or_method, but an object with `write` was \
expected. Pass a file.
    """
    wanted = " and ".join(f"`{method}`" for method in methods)
    if isinstance(value, type):
        raise TypeError(
            f"`{name}` is the class {value.__name__}, but an object of it, or of another with "
            f"{wanted}, was expected. Pass {value.__name__}(...), or {example}."
        )
    if not all(callable(getattr(value, method, None)) for method in methods):
        came = "None" if value is None else f"of type {type(value).__name__}"
        raise TypeError(
            f"`{name}` is {came}, but an object with {wanted} was expected. Pass {example}."
        )


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called the package, however deep in it the cause is found."""
    level, frame = 1, inspect.currentframe()
    ours = ("reservoir.", "hessianfree.")
    while frame is not None and frame.f_globals["__name__"].startswith(ours):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
