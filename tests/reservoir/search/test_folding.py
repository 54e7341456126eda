"""Rows of lanes folded by several threads: the same bits, the same errors."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from reservoir import limit_threads
from reservoir.search import ReservoirSearchCV, _evaluate, _folding
from reservoir.search._folding import Folder
from reservoir.search._sums import LaneSums
from reservoir.utils import threads
from tests.support.searches import small, table

SPACE = {"spectral_radius": np.linspace(0.2, 1.2, 6), "leak_rate": [0.5, 1.0], "alpha": [1e-4, 0.1]}


@pytest.fixture
def names_of_threads(monkeypatch):
    """Three threads, whatever the rows are worth; the names of those that took rows in."""
    names = set()
    plain = LaneSums.append

    def watched(self, *rows):
        names.add(threading.current_thread().name.split("_")[0])
        plain(self, *rows)

    monkeypatch.setattr(LaneSums, "append", watched)
    monkeypatch.setattr(_folding, "allowed_threads", lambda: 3)
    monkeypatch.setattr(_folding, "_LEAST_WORK", 0.0)
    monkeypatch.setattr(_evaluate, "_ROWS", 64)
    return names


@pytest.mark.parametrize(
    ("cv", "settings", "of_estimator"),
    [
        (4, {}, {"noise": 1e-3}),
        (0.3, {"gap": 5}, {"include_squares": True, "dtype": "float32"}),
        (3, {"scoring": "valid_time", "horizon": 20}, {"solver": "qr", "feedback_scaling": 0.1}),
    ],
)
def test_threads_change_no_bit(
    monkeypatch, memory_task, names_of_threads, cv, settings, of_estimator
):
    u, y = memory_task
    if "scoring" not in settings:
        y[30:50] = np.nan
    search = ReservoirSearchCV(small(**of_estimator), SPACE, cv=cv, **settings)
    together = table(search.fit(u, y))
    assert "fold" in names_of_threads
    names_of_threads.clear()
    monkeypatch.setattr(_folding, "allowed_threads", lambda: 1)
    np.testing.assert_array_equal(table(clone(search).fit(u, y)), together)
    assert names_of_threads == {"MainThread"}


def test_settings_of_threads_keep_their_say(monkeypatch, memory_task, names_of_threads):
    monkeypatch.setattr(_folding, "allowed_threads", threads.allowed_threads)
    monkeypatch.setattr(threads, "available_cores", lambda: 2)
    search = ReservoirSearchCV(small(), SPACE, cv=2, refit=False)
    with threadpool_limits(2, user_api="blas"):
        search.fit(*memory_task)
        assert "fold" in names_of_threads
        names_of_threads.clear()
        with limit_threads(1):
            search.fit(*memory_task)
    assert names_of_threads == {"MainThread"}


def test_states_that_overflow_beside_other_threads(memory_task, names_of_threads):
    u, y = memory_task
    space = {"spectral_radius": [0.5, 3.0], "leak_rate": [1.0, 0.9]}
    search = ReservoirSearchCV(small(activation="identity"), space, cv=0.3, refit=False)
    with pytest.warns(match="2 of 4 candidates"):
        scores = table(search.fit(np.tile(u, (4, 1)), np.tile(y, (4, 1))))
    assert np.isneginf(scores).sum() == 2


class Lane:
    """Notes what it takes in; raises where it is asked to."""

    def __init__(self):
        self.taken = []
        self.error = None

    def append(self, segment, features, targets):
        if self.error is not None:
            raise self.error
        self.taken.append((segment, features.copy(), targets.copy()))

    def solve(self):
        self.append(-1, np.empty(0), np.empty(0))


def test_each_lane_gets_its_rows_in_order(rng):
    lanes = [Lane() for _ in range(5)]
    features, targets = rng.normal(size=(9, 5, 3, 2)), rng.normal(size=(9, 3, 1))
    with ThreadPoolExecutor(2) as helpers:
        folder = Folder(lanes, helpers, 2)
        for segment, (rows, y) in enumerate(zip(features, targets)):
            folder.append(segment, rows, y)
        folder.finish()
    for index, lane in enumerate(lanes):
        assert [segment for segment, _, _ in lane.taken] == [*range(9), -1]
        for (_, rows, y), expected, of_targets in zip(lane.taken, features[:, index], targets):
            np.testing.assert_array_equal(rows, expected)
            np.testing.assert_array_equal(y, of_targets)


@pytest.mark.parametrize("place", [0, 4])
def test_an_error_of_a_lane_reaches_the_caller(place):
    lanes = [Lane() for _ in range(5)]
    lanes[place].error = ValueError("too large")
    with ThreadPoolExecutor(2) as helpers:
        folder = Folder(lanes, helpers, 2)
        folder.append(0, np.ones((5, 1, 1)), np.ones((1, 1)))
        with pytest.raises(ValueError, match="too large"):
            folder.finish()
