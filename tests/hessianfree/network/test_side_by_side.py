"""Large batches in a slice for each core: the sums of one slice, with bits that nobody disturbs."""

import threading

import numpy as np
import pytest

from hessianfree import (
    Batch,
    ElmanCell,
    LSTMCell,
    MultiplicativeCell,
    ParallelObjective,
    SequenceNetwork,
    StackedCell,
)
from hessianfree.cells import BidirectionalCell, _compiled
from hessianfree.network import _side_by_side
from hessianfree.network._buckets import share_out
from reservoir import limit_threads
from reservoir.utils.threads import allowed_threads, calls_of_blas, settled_threads

pytest.importorskip("numba")

CELLS = {
    "vanilla": lambda: ElmanCell(3, 17),
    "multiplicative": lambda: MultiplicativeCell(3, 17, 18),
    "stack": lambda: StackedCell([ElmanCell(3, 17), MultiplicativeCell(17, 16)]),
    "bidirectional": lambda: BidirectionalCell(ElmanCell(3, 17), ElmanCell(3, 16)),
}


def make_batch(rng, kind):
    shape = (9, 21)
    mask = None
    if kind == "uneven":
        mask = 1.0 * (np.arange(9)[:, None] < rng.integers(1, 10, size=21))
    return Batch(rng.normal(size=(*shape, 3)), rng.normal(size=(*shape, 2)), mask)


@pytest.fixture
def threads(monkeypatch):
    """Make every batch worth threads, and set how many are settled and allowed."""
    monkeypatch.setattr(_side_by_side, "_WORTH_THREADS", 0)

    def choose(settled, allowed):
        monkeypatch.setattr(_side_by_side, "settled_threads", lambda: settled)
        monkeypatch.setattr(_side_by_side, "allowed_threads", lambda: allowed)

    return choose


def answers(network, params, v, batch):
    linearization = network.linearize(params, batch)
    loss, gradient = network.value_and_gradient(params, batch)
    return [
        np.array([loss, network.value(params, batch), linearization.value]),
        gradient,
        linearization.gradient(),
        linearization.gauss_newton_product(v),
        linearization.gauss_newton_product(v, 0.3),
        network.fisher_diagonal(params, batch),
    ]


@pytest.mark.parametrize("max_rows", [None, 40])
@pytest.mark.parametrize("kind", ["even", "uneven"])
@pytest.mark.parametrize("name", CELLS)
def test_slices_side_by_side_are_the_whole(name, kind, max_rows, rng, threads):
    network = SequenceNetwork(CELLS[name](), 2, l2=0.1, max_rows=max_rows)
    batch = make_batch(rng, kind)
    params, v = rng.normal(size=(2, network.n_params)) / 4
    threads(1, 1)
    whole = answers(network, params, v, batch)
    threads(3, 3)
    apart = answers(network, params, v, batch)
    for found, expected in zip(apart, whole):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
    # Where other threads compute, so that only one is left, the slices are the same.
    threads(3, 1)
    for found, expected in zip(answers(network, params, v, batch), apart):
        np.testing.assert_array_equal(found, expected)


def test_slices_run_at_the_same_time(rng, threads, monkeypatch):
    threads(2, 2)
    network = SequenceNetwork(ElmanCell(3, 17), 2)
    batch, params = make_batch(rng, "even"), rng.normal(size=network.n_params) / 4
    meeting = threading.Barrier(2, timeout=30)
    forward = ElmanCell.forward

    def meet(*args, **kwargs):
        meeting.wait()
        return forward(*args, **kwargs)

    monkeypatch.setattr(ElmanCell, "forward", meet)
    assert np.isfinite(network.value(params, batch))


@pytest.mark.filterwarnings("error")
def test_an_overflow_in_a_thread_is_a_result(rng, threads):
    threads(3, 3)
    network = SequenceNetwork(ElmanCell(3, 17, activation="relu"), 2)
    batch = make_batch(rng, "even")
    params = np.full(network.n_params, 1e150)
    loss, gradient = network.value_and_gradient(params, batch)
    assert not np.isfinite(loss)
    assert not np.isfinite(gradient).all()
    product = network.linearize(params, batch).gauss_newton_product(params)
    assert not np.isfinite(product).all()


def test_how_many_slices(monkeypatch):
    monkeypatch.setattr(_side_by_side, "settled_threads", lambda: 4)

    def count(cell, n_rows, dtype=np.float64):
        return _side_by_side.n_slices(SequenceNetwork(cell, 1), np.dtype(dtype), n_rows)

    assert count(ElmanCell(2, 100), 20_000) == 4
    assert count(ElmanCell(2, 100), 20_000, np.float32) == 4
    assert count(ElmanCell(2, 100), 2_000) == 1
    # Loops that hold the interpreter's lock.
    assert count(LSTMCell(2, 100), 20_000) == 1
    assert count(StackedCell([ElmanCell(2, 100), LSTMCell(100, 100)]), 20_000) == 1
    assert count(ElmanCell(2, 100), 20_000, np.longdouble) == 1
    network = SequenceNetwork(ElmanCell(2, 100), 1).on_one_thread()
    assert _side_by_side.n_slices(network, np.dtype(np.float64), 20_000) == 1
    monkeypatch.setitem(__import__("sys").modules, "hessianfree.cells._kernels", None)
    _compiled.load_sweeps.cache_clear()
    try:
        assert count(ElmanCell(2, 100), 20_000) == 1
    finally:
        _compiled.load_sweeps.cache_clear()


def test_shards_are_not_cut_on(rng, threads):
    threads(3, 3)
    network = SequenceNetwork(ElmanCell(3, 17), 2)
    batch, params = make_batch(rng, "even"), rng.normal(size=network.n_params) / 4
    with ParallelObjective(network, n_jobs=2) as parallel:
        found = parallel.value_and_gradient(params, batch)[1]
    threads(1, 1)
    with ParallelObjective(network, n_jobs=2) as parallel:
        np.testing.assert_array_equal(found, parallel.value_and_gradient(params, batch)[1])


def test_what_is_settled_does_not_depend_on_who_computes():
    with limit_threads(4), calls_of_blas():
        assert (settled_threads(), allowed_threads()) == (4, 4)
        inside, done = threading.Event(), threading.Event()

        def compute():
            with calls_of_blas():
                inside.set()
                done.wait(30)

        other = threading.Thread(target=compute)
        other.start()
        assert inside.wait(30)
        assert (settled_threads(), allowed_threads()) == (4, 2)
        done.set()
        other.join()
    with limit_threads(1):
        assert settled_threads() == 1


@pytest.mark.parametrize("n_shares", [1, 2, 3, 7])
def test_shares_hold_every_sequence_once_and_no_more_than_their_part(n_shares, rng):
    lengths = rng.integers(1, 50, size=200)
    order = np.argsort(lengths)
    buckets = [np.sort(order[:50]), np.sort(order[50:180]), np.sort(order[180:])]
    parts = share_out(buckets, lengths, n_shares)
    assert sorted(np.concatenate(parts).tolist()) == list(range(200))
    rows = [len(part) * lengths[part].max() for part in parts]
    total = sum(len(bucket) * lengths[bucket].max() for bucket in buckets)
    for part, n_rows in zip(parts, rows):
        assert len(part) < 8 or n_rows <= total / n_shares + lengths[part].max()
