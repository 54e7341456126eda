"""Slices of a batch side by side, on the cores that there are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from hessianfree.cells._compiled import has_compiled_sweeps
from hessianfree.network._definition import NetworkDefinition
from reservoir.utils.threads import allowed_threads, settled_threads

# Rows times parameters from which a batch is cut: a product then takes 10 to 20 ms of one core, and
# a thread .1 ms to begin.
_WORTH_THREADS = 1e8

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def n_slices(network: NetworkDefinition, dtype: np.dtype[Any], n_rows: int) -> int:
    """Return into how many slices a batch of `n_rows` steps in all is cut: one for each core.

    That depends on sizes, settings and cores alone, never on what else runs: a run that is resumed
    has the same bits. Loops over steps that hold the interpreter's lock, as those of cells with
    gates do, gain too little.
    """
    if network.device != "cpu" or not network.takes_threads:
        return 1
    if n_rows * network.n_params < _WORTH_THREADS:
        return 1
    return settled_threads() if has_compiled_sweeps(network.cell, dtype) else 1


def in_order(
    function: Callable[[_Item], _Result], items: Iterable[_Item], are_slices: bool
) -> Iterator[_Result]:
    """Yield what a function returns for each item, in their order.

    Parameters
    ----------
    function : callable
    items : iterable
    are_slices : bool
        Whether threads may take them; as many do as are allowed here and now.
    """
    n_threads = allowed_threads() if are_slices else 1
    if n_threads < 2:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(n_threads, thread_name_prefix="slice") as threads:
        # Not all at once: each waiting result is as large as the parameters.
        waiting: deque[Future[_Result]] = deque()
        for item in items:
            if len(waiting) == 2 * n_threads:
                yield waiting.popleft().result()
            waiting.append(threads.submit(function, item))
        while waiting:
            yield waiting.popleft().result()
