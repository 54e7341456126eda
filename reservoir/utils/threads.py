"""How many BLAS threads a piece of work is worth, and the context that sets it.

A thread more pays where one call of BLAS works for tens of milliseconds. In a loop of short calls
it costs: NumPy and SciPy bring a pool each, whose idle threads spin while they wait, so that two
pools take turns on the same cores; and beside other programs each call waits for the slowest of its
threads. Measured on two cores beside two busy processes, ``SᵀS`` of 1,024 rows took 2 ms with one
thread and 159 ms with two at 300 columns, and .20 against .19 s at 1,000. So `calls_of_blas` gives
one thread to all that runs inside, and `large_call` lends more of them to a call that is worth it.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import joblib
from threadpoolctl import ThreadpoolController

from reservoir.utils.validation import check_integer

# Multiply-adds from which a call is worth more threads than one: about 30 ms of one core.
LARGE_CALL = 5e8

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class _Visit:
    """A call that is under way. An interrupt may hinder it from leaving: its end is its death."""

    __slots__ = ("__weakref__",)


class _Lock:
    """A lock for a few lines at a time; one that an interrupt has left locked is replaced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        while not self._lock.acquire(timeout=1.0):
            self._lock = threading.Lock()

    def __exit__(self, *error: object) -> None:
        if self._lock.locked():
            self._lock.release()


class _Pools:
    """The pools of BLAS threads of this process, and what their sizes were.

    Sizes belong to the process and not to a thread of it. Calls that overlap in several threads
    share the first one's setting; the last one to leave restores the sizes.
    """

    def __init__(self) -> None:
        self._lock = _Lock()
        self._pools: list[Any] | None = None
        self._sizes: list[int] = []
        self._are_kept = False  # whether `_sizes` wait to be restored
        self._visits: dict[int, weakref.ref[_Visit]] = {}  # of each thread of Python the outermost
        self.chosen: int | None = None
        # How many threads compute side by side; some of them may yet have to enter.
        self._announced: weakref.WeakKeyDictionary[_Visit, int] = weakref.WeakKeyDictionary()

    def enter(self, visit: _Visit) -> None:
        """Set every pool to one thread, or to as many as the user chose."""
        here = threading.get_ident()
        with self._lock:
            self._forget_dead()
            if here in self._visits:
                return
            if not self._visits:
                pools = self._controllers()
                if not self._are_kept:
                    self._sizes = [pool.num_threads for pool in pools]
                    self._are_kept = True
                self._set([self.chosen or 1] * len(pools))
            self._visits[here] = weakref.ref(visit)

    def leave(self, visit: _Visit) -> None:
        """Restore the sizes when the last one leaves; as nothing was, if `visit` never entered."""
        here = threading.get_ident()
        with self._lock:
            entered = self._visits.get(here)
            if entered is not None and entered() is visit:
                del self._visits[here]
            self._forget_dead()
            if self._are_kept and not self._visits:
                self._set(self._sizes)
                self._are_kept = False

    def _forget_dead(self) -> None:
        for place in [place for place, visit in self._visits.items() if visit() is None]:
            del self._visits[place]

    def lend(self) -> bool:
        """Set pools to the cores that are there and allowed, unless several threads share them."""
        with self._lock:
            if len(self._visits) != 1 or self.chosen is not None:
                return False
            n_cores = available_cores()
            self._set([min(size, n_cores) for size in self._sizes])
            return True

    def take_back(self) -> None:
        """End what `lend` began."""
        with self._lock:
            if self._visits:
                self._set([self.chosen or 1] * len(self._sizes))

    def lend_all(self) -> bool:
        """Restore the sizes for a while; tell whether they were other ones."""
        with self._lock:
            if not self._visits:
                return False
            self._set(self._sizes)
            return True

    def announce(self, visit: _Visit, n_threads: int) -> None:
        """Let `settled` count so many threads that compute, for as long as `visit` lives."""
        with self._lock:
            self._announced[visit] = n_threads

    def settled(self) -> tuple[int, int]:
        """Return how many threads all that computes may have together, and how many compute."""
        with self._lock:
            n_inside = max(1, len(self._visits), sum(self._announced.values()))
            sizes = self._sizes if self._visits else [p.num_threads for p in self._controllers()]
        return max(1, self.chosen or min([*sizes, available_cores()])), n_inside

    def _controllers(self) -> list[Any]:
        if self._pools is None:
            # SciPy's pool is there once its linear algebra is.
            import scipy.linalg  # noqa: F401

            found = ThreadpoolController().lib_controllers
            self._pools = [pool for pool in found if pool.user_api == "blas"]
        return self._pools

    def _set(self, sizes: list[int]) -> None:
        for pool, size in zip(self._controllers(), sizes):
            if pool.num_threads != size:
                # From 3.7 on threadpoolctl lets only the first thread that set a size set it again,
                # and others fail in silence. Sizes are the process's; here a lock guards them.
                release = getattr(pool, "clear_controlling_thread", None)
                if release is not None:
                    release(force=True)
                pool.set_num_threads(size)
                if release is not None:
                    release(force=True)


_POOLS = _Pools()

if hasattr(os, "register_at_fork"):
    # The child has none of the other threads, one of which may have held the lock.
    os.register_at_fork(after_in_child=_POOLS.__init__)  # type: ignore[misc]


def available_cores() -> int:
    """Return the cores that this process may use, by affinity and by control group."""
    return int(joblib.cpu_count())


@contextmanager
def limit_threads(n_threads: int) -> Iterator[None]:
    """Give every BLAS call of this library a number of threads, in place of its own choice.

    Without it, a call gets one thread, and one for each core where it is large enough to gain by
    them: ``rowsᵀ rows`` from about 1,000 features on. It never gets more than BLAS was set to:
    OPENBLAS_NUM_THREADS, MKL_NUM_THREADS, OMP_NUM_THREADS and ``threadpoolctl.threadpool_limits``
    keep their say, and so do the cores that an affinity mask or a control group leaves. Results
    depend on the number of threads by rounding alone.

    Parameters
    ----------
    n_threads : int
        Threads of every pool of BLAS, 1 or more.

    Raises
    ------
    ValueError, TypeError
        If it is no integer of 1 or more.

    Examples
    --------
    >>> import numpy as np
    >>> from reservoir import ESNRegressor, limit_threads
    >>> X = np.random.default_rng(0).uniform(size=(300, 1))
    >>> with limit_threads(1):
    ...     esn = ESNRegressor(n_units=20, random_state=0).fit(X[:-1], X[1:])
    """
    n_threads = check_integer("n_threads", n_threads, minimum=1)
    before, _POOLS.chosen = _POOLS.chosen, n_threads
    try:
        yield
    finally:
        _POOLS.chosen = before


@contextmanager
def calls_of_blas() -> Iterator[None]:
    """One BLAS thread for all that runs inside; nested and overlapping calls change nothing."""
    visit = _Visit()
    try:
        _POOLS.enter(visit)
        yield
    finally:
        _POOLS.leave(visit)


def with_few_threads(
    function: Callable[_Parameters, _Result],
) -> Callable[_Parameters, _Result]:
    """Run a function inside `calls_of_blas`."""

    @functools.wraps(function)
    def limited(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        visit = _Visit()
        try:
            _POOLS.enter(visit)
            return function(*args, **kwargs)
        finally:
            _POOLS.leave(visit)

    return limited


def allowed_threads() -> int:
    """Return how many threads the user's settings and the cores that are there allow.

    Of each thread that computes, itself among them: fewer where several do.
    """
    n_threads, n_inside = _POOLS.settled()
    return max(1, n_threads // n_inside)


def settled_threads() -> int:
    """Return how many threads settings and cores allow, whatever else computes now."""
    return _POOLS.settled()[0]


def call_side_by_side(calls: Sequence[Callable[[], _Result]]) -> list[_Result]:
    """Return what functions return, each of them called in a thread of its own.

    The first one is called in the caller's. joblib does the same, but looks every 10 ms only
    whether the calls have returned.

    Parameters
    ----------
    calls : sequence of callable
        One or more, without arguments.

    Returns
    -------
    list
        In their order.

    Examples
    --------
    >>> call_side_by_side([lambda: 1, lambda: 2])
    [1, 2]
    """
    others, visit = ThreadPoolExecutor(max(1, len(calls) - 1), thread_name_prefix="share"), _Visit()
    try:
        _POOLS.announce(visit, len(calls))
        pending = [others.submit(call) for call in calls[1:]]
        return [calls[0](), *(each.result() for each in pending)]
    finally:
        _POOLS.announce(visit, 0)
        # After an error, or an interrupt, nobody waits for those that are under way.
        others.shutdown(wait=False)


@contextmanager
def callers_threads() -> Iterator[None]:
    """The threads that the caller had set, around a function of his that is called inside."""
    lent = _POOLS.lend_all()
    try:
        yield
    finally:
        if lent:
            _POOLS.take_back()


@contextmanager
def large_call(multiply_adds: float) -> Iterator[None]:
    """More threads for one call of BLAS, where its size is worth them.

    Only inside a single `calls_of_blas`: where several threads of Python compute side by side,
    each keeps to one.
    """
    lent = multiply_adds >= LARGE_CALL and _POOLS.lend()
    try:
        yield
    finally:
        if lent:
            _POOLS.take_back()
