"""Rows of lanes on their way into sums, folded by other threads while the next rows are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from reservoir.search._stacked_sums import StackedSums
from reservoir.search._sums import LaneByLane, LaneSums
from reservoir.utils.threads import allowed_threads

# Takes in rows (n_lanes, n_rows, n_features) of a segment, and their targets.
Append = Callable[[int, Any, Any], None]

# Multiply-adds of what is folded at a time that are worth another thread: about 12 ms. Of less, 4
# lanes of 300 units, two threads took 1.1 to 1.2 times as long as one.
_LEAST_WORK = 3e8


class Folder:
    """Folds rows into the sums of lanes, helped by other threads while the next rows are made.

    A lane's rows are folded by one thread at a time, in the order in which they came: its sums have
    the same bits whoever folds them.

    Parameters
    ----------
    lanes : sequence of LaneSums
        What rows are folded into.
    helpers : concurrent.futures.Executor
        Threads that help.
    n_helpers : int
        How many.
    """

    def __init__(self, lanes: Sequence[LaneSums], helpers: Executor, n_helpers: int) -> None:
        self._lanes, self._helpers, self._n_helpers = lanes, helpers, n_helpers
        self._waiting: deque[Callable[[], object]] = deque()
        self._pending: list[Future[None]] = []

    def append(self, segment: int, features: Any, targets: Any) -> None:
        """Take in rows of a segment, which are read until the next call returns."""
        self._hand_out(
            partial(lane.append, segment, rows, targets)
            for lane, rows in zip(self._lanes, features)
        )

    def finish(self) -> None:
        """Fold what is left, and have all readouts solved for."""
        self._hand_out(lane.solve for lane in self._lanes)
        self._wait()

    def _hand_out(self, work: Iterator[Callable[[], object]]) -> None:
        """Let helpers begin with one piece of work a lane, once the last ones are done."""
        self._wait()
        self._waiting.extend(work)
        self._pending = [self._helpers.submit(self._work) for _ in range(self._n_helpers)]

    def _wait(self) -> None:
        """Do what nobody has begun with, and wait for the rest; raise what stood in the way."""
        self._work()
        pending, self._pending = self._pending, []
        for each in pending:
            each.result()

    def _work(self) -> None:
        """Do one piece after the other, as long as some are waiting."""
        while self._waiting:
            try:
                do = self._waiting.popleft()
            except IndexError:  # another thread was faster
                return
            do()


@contextmanager
def folding(
    sums: LaneByLane | StackedSums, n_rows: int, n_columns: int
) -> Iterator[tuple[Append, int]]:
    """Give what folds rows, and how many buffers of rows it needs; at the end all are folded.

    Other threads help where they are allowed and pay; a lane alone is left to BLAS, which may have
    threads for it.

    Parameters
    ----------
    sums : LaneByLane or StackedSums
        What rows are folded into.
    n_rows, n_columns : int
        Of each lane at a time.
    """
    n_helpers = 0
    if isinstance(sums, LaneByLane) and 0.5 * n_rows * n_columns**2 * len(sums.lanes) > _LEAST_WORK:
        n_helpers = min(allowed_threads(), len(sums.lanes)) - 1
    if not isinstance(sums, LaneByLane) or not n_helpers:
        yield sums.append, 1
        return
    with ThreadPoolExecutor(n_helpers, thread_name_prefix="fold") as helpers:
        folder = Folder(sums.lanes, helpers, n_helpers)
        yield folder.append, 2
        folder.finish()
