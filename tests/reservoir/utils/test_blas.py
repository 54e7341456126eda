"""Symmetric products that let other threads work: against NumPy, and while they run."""

import threading
import time

import numpy as np
import pytest

from reservoir.utils.blas import add_symmetric_products, solve_rows


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n_rows", [0, 1, 7, 300])
def test_products_are_numpys(dtype, n_rows):
    rng = np.random.default_rng(0)
    start = np.asfortranarray(rng.normal(size=(5, 5)).astype(dtype))
    rows = rng.normal(size=(n_rows, 5)).astype(dtype)
    sums = start.copy(order="F")
    assert add_symmetric_products(sums, rows) is sums
    expected = np.tril(start + rows.T @ rows) + np.triu(start, 1)
    np.testing.assert_allclose(sums, expected, rtol=50 * np.finfo(dtype).eps, atol=1e-5 * n_rows)


@pytest.mark.parametrize(
    "rows",
    [
        np.arange(40.0).reshape(4, 10)[:, 3:8],  # rows of a wider matrix
        np.arange(40.0).reshape(8, 5)[::2],
        np.arange(40.0).reshape(8, 5)[::-1],
        np.arange(40.0).reshape(5, 8).T,
        np.broadcast_to(np.arange(5.0), (6, 5)),
    ],
)
def test_any_layout_of_rows(rows):
    sums = add_symmetric_products(np.zeros((5, 5), order="F"), rows)
    np.testing.assert_array_equal(sums, np.tril(rows.T @ rows))


@pytest.mark.parametrize(
    ("sums", "rows", "message"),
    [
        (np.zeros((3, 3)), np.ones((2, 3), np.float32), "float32"),
        (np.zeros((3, 3), dtype=int), np.ones((2, 3), dtype=int), "int64"),
        (np.zeros((3, 3), order="F"), np.ones((2, 4)), r"\(2, 4\)"),
        (np.ones((4, 4))[:3, :3], np.ones((2, 3)), "Fortran"),
        (np.broadcast_to(0.0, (3, 3)), np.ones((2, 3)), "writable"),
    ],
)
def test_what_does_not_fit_is_refused(sums, rows, message):
    with pytest.raises(ValueError, match=message):
        add_symmetric_products(sums, rows)


def test_another_thread_counts_on_meanwhile():
    rows, sums = np.ones((8000, 1000)), np.zeros((1000, 1000), order="F")
    turns = [0]
    stop = threading.Event()

    def count():
        while not stop.is_set():
            turns[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    before, begun = turns[0], time.perf_counter()
    add_symmetric_products(sums, rows)  # a tenth of a second
    meanwhile, seconds = turns[0] - before, time.perf_counter() - begun
    before = turns[0]
    time.sleep(seconds)
    undisturbed = turns[0] - before
    stop.set()
    thread.join()
    # With the lock kept it counts for one switch of threads at most: 5 ms.
    assert meanwhile > 0.25 * undisturbed


@pytest.mark.parametrize("n_rows", [0, 1, 37])
def test_rows_are_solved_for(rng, n_rows):
    upper = np.asfortranarray(np.triu(rng.normal(size=(9, 9))) + 5.0 * np.eye(9))
    rows = rng.normal(size=(n_rows, 9))
    expected = np.linalg.solve(upper.T, rows.T).T
    upper[np.tril_indices(9, -1)] = np.nan  # is not looked at
    assert solve_rows(upper, rows) is rows
    np.testing.assert_allclose(rows, expected, atol=1e-13)


@pytest.mark.parametrize(
    ("upper", "rows", "message"),
    [
        (np.eye(2, dtype=np.float32), np.ones((1, 2)), "not both float64"),
        (np.eye(3, order="F"), np.ones((1, 2)), "does not fit"),
        (np.ones((2, 2)), np.ones((1, 2)), "Fortran order"),
        (np.eye(2, order="F"), np.ones((2, 2), order="F"), "C order"),
    ],
)
def test_what_does_not_fit_is_not_solved_for(upper, rows, message):
    with pytest.raises(ValueError, match=message):
        solve_rows(upper, rows)
