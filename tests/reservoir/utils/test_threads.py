"""How many BLAS threads calls get: inside, outside, side by side, and when the user says so."""

import sys
import threading
from functools import partial

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from hessianfree.optimize import FunctionObjective, HessianFree
from reservoir import ESNRegressor, limit_threads
from reservoir.harvest import _fold
from reservoir.readout._algebra import HostAlgebra
from reservoir.utils import threads
from reservoir.utils.threads import (
    LARGE_CALL,
    allowed_threads,
    call_side_by_side,
    callers_threads,
    calls_of_blas,
    large_call,
)


def sizes():
    found = ThreadpoolController().lib_controllers
    return {pool.filepath: pool.num_threads for pool in found if pool.user_api == "blas"}


@pytest.fixture(autouse=True)
def four_threads(monkeypatch):
    """A machine of four cores, whatever this one has: BLAS starts as many threads as it is told."""
    monkeypatch.setattr(threads, "available_cores", lambda: 4)
    with threadpool_limits(4, user_api="blas"):
        assert set(sizes().values()) == {4}
        yield
        assert set(sizes().values()) == {4}


def test_one_thread_inside_and_the_old_number_outside():
    with calls_of_blas():
        assert set(sizes().values()) == {1}
        with calls_of_blas():
            assert set(sizes().values()) == {1}
        assert set(sizes().values()) == {1}
    assert set(sizes().values()) == {4}


def test_the_old_number_returns_after_an_error():
    with pytest.raises(KeyboardInterrupt), calls_of_blas(), large_call(LARGE_CALL):
        raise KeyboardInterrupt
    assert set(sizes().values()) == {4}


@pytest.mark.parametrize("n_lines", range(1, 26))
def test_an_interrupt_at_any_line_is_forgotten(n_lines):
    """Also one between entering and leaving: the next call restores the number."""
    seen = 0

    def interrupt(frame, event, argument):
        nonlocal seen
        if frame.f_code.co_filename != threads.__file__:
            return None
        seen += event == "line"
        if event == "line" and seen == n_lines:
            raise KeyboardInterrupt
        return interrupt

    function = threads.with_few_threads(lambda: None)
    sys.settrace(interrupt)
    try:
        function()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    function()
    assert set(sizes().values()) == {4}


@pytest.mark.parametrize(("work", "expected"), [(0.9 * LARGE_CALL, 1), (LARGE_CALL, 4)])
def test_large_calls_get_the_cores(work, expected):
    with calls_of_blas():
        with large_call(work):
            assert set(sizes().values()) == {expected}
        assert set(sizes().values()) == {1}


def test_never_more_than_the_user_allows(monkeypatch):
    with threadpool_limits(2, user_api="blas"), calls_of_blas(), large_call(LARGE_CALL):
        assert set(sizes().values()) == {2}
        assert allowed_threads() == 2
    monkeypatch.setattr(threads, "available_cores", lambda: 3)
    with calls_of_blas(), large_call(LARGE_CALL):
        assert set(sizes().values()) == {3}
    assert allowed_threads() == 3


def test_the_user_may_choose():
    with limit_threads(3), calls_of_blas():
        assert set(sizes().values()) == {3}
        with large_call(LARGE_CALL):
            assert set(sizes().values()) == {3}
        assert set(sizes().values()) == {3}
    with pytest.raises(ValueError, match="`n_threads` is 0"), limit_threads(0):
        pass


def test_side_by_side_each_keeps_to_one():
    inside, seen, go_on = threading.Event(), [], threading.Event()

    def other():
        with calls_of_blas():
            inside.set()
            go_on.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    with calls_of_blas(), large_call(LARGE_CALL):
        seen.append(set(sizes().values()))
    seen.append(set(sizes().values()))  # the other one is still inside
    go_on.set()
    thread.join()
    assert seen == [{1}, {1}]


def test_functions_of_the_user_keep_their_threads():
    seen = []

    def value(x):
        seen.append(set(sizes().values()))
        return 0.5 * float(x @ x)

    objective = FunctionObjective(value, lambda x: x, lambda x, v: v)
    optimizer = HessianFree()
    optimizer.step(objective, optimizer.init(np.ones(3)), None)
    assert seen
    assert all(found == {4} for found in seen)
    with callers_threads():  # outside, nothing to restore
        assert set(sizes().values()) == {4}


def test_a_fit_restores_the_number_and_computes_with_one(monkeypatch, rng):
    seen, plain = [], HostAlgebra.add_products

    def watched(self, sums, rows):
        seen.append(set(sizes().values()))
        return plain(self, sums, rows)

    monkeypatch.setattr(HostAlgebra, "add_products", watched)
    X = rng.uniform(size=(300, 1))
    ESNRegressor(n_units=20, random_state=0).fit(X, X)
    assert seen
    assert all(found == {1} for found in seen)


@pytest.mark.parametrize("solver", ["gram", "qr"])
def test_another_thread_folds_to_the_same_bits(monkeypatch, rng, solver):
    n_steps = 5 * _fold.ROWS_PER_FOLD + 17
    X = rng.normal(size=(n_steps, 2))
    y = X.cumsum(axis=0)
    y[100:150] = np.nan
    esn = ESNRegressor(30, solver=solver, alpha=[1e-3, 1.0], alpha_cv=3, random_state=0)
    weight = rng.uniform(size=n_steps)
    folders = []
    plain = _fold.RowBuffer.flush
    monkeypatch.setattr(
        _fold.RowBuffer,
        "flush",
        lambda self: (folders.append(self._worker is not None), plain(self))[1],
    )
    with limit_threads(1):
        alone = esn.fit(X, y, step_weight=weight).coef_
    assert not any(folders)
    folders.clear()
    monkeypatch.setattr(_fold, "_LEAST_WORK", 0.0)
    np.testing.assert_array_equal(esn.fit(X, y, step_weight=weight).coef_, alone)
    assert all(folders)


def test_an_error_in_another_thread_reaches_the_caller(monkeypatch, rng):
    monkeypatch.setattr(_fold, "_LEAST_WORK", 0.0)
    n_steps = 3 * _fold.ROWS_PER_FOLD
    X = rng.normal(size=(n_steps, 1))
    X[0] = 1e300
    with pytest.raises(ValueError, match="squares exceed"):
        ESNRegressor(20, activation="identity", solver="gram", washout=0).fit(X, X)


def test_calls_side_by_side_return_in_order_and_share_the_cores():
    begun, others = threading.Event(), []

    def first():
        # The cores are shared before the second one has begun to compute, and with it too.
        alone = allowed_threads()
        begun.set()
        return threading.get_ident(), alone

    def second():
        begun.wait(timeout=10)
        with calls_of_blas():
            others.append(allowed_threads())
        return threading.get_ident(), others[0]

    (caller, before), (other, inside) = call_side_by_side([first, second])
    assert caller == threading.get_ident() != other
    assert (before, inside) == (2, 2)
    assert allowed_threads() == 4
    assert call_side_by_side([allowed_threads]) == [4]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_error_side_by_side_reaches_the_caller(index):
    def work(number):
        return 1 / (number - index)

    with pytest.raises(ZeroDivisionError):
        call_side_by_side([partial(work, number) for number in range(3)])
    assert allowed_threads() == 4


def test_jobs_have_no_thread_for_sums_on_all_cores(monkeypatch, rng):
    monkeypatch.setattr(_fold, "_LEAST_WORK", 0.0)
    monkeypatch.setattr(_fold, "ROWS_PER_FOLD", 64)
    found, plain = [], _fold.RowBuffer.flush
    monkeypatch.setattr(
        _fold.RowBuffer,
        "flush",
        lambda self: (found.append(self._worker is not None), plain(self))[1],
    )
    X = rng.normal(size=(8, 100, 1))
    for n_jobs, expected in ((2, True), (4, False)):
        found.clear()
        ESNRegressor(20, n_jobs=n_jobs, random_state=0).fit(X, X)
        assert set(found) == {expected}
