"""How functions are compiled by numba; imported only where numba is installed.

What a call costs for the first time is for the most part the number of compiled functions: each is
typed, optimised and put into machine code by itself, and what others call is optimised again inside
of them. So a kernel is best one function, with few that it calls, and branches on an argument that
may be None: numba drops the branches of what is None before it compiles the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


# A product and a sum may become one fused operation; division by zero gives infinity or NaN.
STRICT: Any = {"fastmath": {"contract"}, "error_model": "numpy", "nogil": True}


# Sums may also be gathered in any order.
ANY_ORDER: Any = STRICT | {"fastmath": {"contract", "reassoc"}}


def compiled(**options: Any) -> Callable[[_Function], _Function]:
    """Compile with a cache on disk, or without one where none can be written."""

    def decorate(function: _Function) -> _Function:
        try:
            return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
        except RuntimeError:
            return numba.njit(**options)(function)  # type: ignore[no-any-return]

    return decorate


def called(**options: Any) -> Callable[[_Function], _Function]:
    """Compile for calls from compiled functions alone: no entry from Python, no cache."""
    inside: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(**inside, **options)  # type: ignore[no-any-return]


def written_out(function: _Function) -> _Function:
    """Put the body in the place of each call from compiled functions, whose options hold then."""
    inline: Any = numba.njit(inline="always")
    return inline(function)  # type: ignore[no-any-return]
