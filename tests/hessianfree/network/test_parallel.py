"""Losses, gradients and products summed over shards: the same numbers, whoever computes them."""

import os
import signal
import threading

import numpy as np
import pytest
from scipy.sparse.linalg import eigsh

from hessianfree import (
    Batch,
    ElmanCell,
    GRUCell,
    HessianFree,
    LSTMCell,
    MultiplicativeCell,
    ParallelObjective,
    RNNRegressor,
    SequenceNetwork,
    start,
    train,
)
from hessianfree.network import _parallel
from hessianfree.optimize import FisherObjective, FunctionObjective
from hessianfree.training import FreshBatches

CELLS = {
    "tanh": lambda: ElmanCell(3, 4),
    "multiplicative": lambda: MultiplicativeCell(3, 4, 5),
    "lstm": lambda: LSTMCell(3, 4),
    "gru": lambda: GRUCell(3, 4),
}


def make_batch(rng, kind, dtype=np.float64):
    n_steps, n_sequences = 7, 11
    inputs = rng.normal(size=(n_steps, n_sequences, 3)).astype(dtype)
    targets = rng.normal(size=(n_steps, n_sequences, 2)).astype(dtype)
    mask = vectors = None
    if kind == "weights":
        mask = rng.uniform(0.1, 3.0, size=(n_steps, n_sequences))
    if kind == "uneven":
        lengths = np.array([7, 1, 2, 7, 3, 3, 1, 6, 2, 5, 0])
        mask = (np.arange(n_steps)[:, None] < lengths) * rng.uniform(0.1, 3.0, n_sequences)
    if kind == "vectors":
        vectors = rng.normal(size=(n_sequences, 2))
    if kind == "symbols":
        inputs = rng.integers(3, size=(n_steps, n_sequences))
        targets = rng.integers(2, size=(n_steps, n_sequences))
    return Batch(inputs, targets, mask, vectors)


def make_network(kind, cell="tanh", **settings):
    if kind == "vectors":
        settings["n_initial_inputs"] = 2
    if kind == "symbols":
        settings["loss"] = "softmax"
    return SequenceNetwork(CELLS[cell](), 2, l2=0.3, **settings)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", ["even", "weights", "uneven", "vectors", "symbols"])
@pytest.mark.parametrize("n_shards", [1, 3, 50])
def test_the_same_as_in_one_piece(rng, cell, kind, n_shards):
    network, batch = make_network(kind, cell), make_batch(rng, kind)
    params, v = rng.normal(size=(2, network.n_params))
    close = {"rtol": 1e-11, "atol": 1e-13}
    with ParallelObjective(network, 2, n_shards=n_shards) as parallel:
        assert isinstance(parallel, FisherObjective)
        np.testing.assert_allclose(
            parallel.value(params, batch), network.value(params, batch), **close
        )
        value, gradient = parallel.value_and_gradient(params, batch)
        expected, expected_gradient = network.value_and_gradient(params, batch)
        np.testing.assert_allclose(value, expected, **close)
        np.testing.assert_allclose(gradient, expected_gradient, **close)
        np.testing.assert_allclose(
            parallel.fisher_diagonal(params, batch), network.fisher_diagonal(params, batch), **close
        )
        ours, whole = parallel.linearize(params, batch), network.linearize(params, batch)
        np.testing.assert_allclose(ours.value, whole.value, **close)
        np.testing.assert_allclose(ours.gradient(), whole.gradient(), **close)
        for damping in (0.0, 0.7):
            product = whole.gauss_newton_product(v, damping)
            np.testing.assert_allclose(ours.gauss_newton_product(v, damping), product, **close)
        out = np.full_like(v, np.nan)
        assert ours.gauss_newton_product(v, 0.7, out=out) is out
        np.testing.assert_allclose(out, product, **close)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_workers_change_no_bit(rng, dtype):
    network, batch = make_network("uneven"), make_batch(rng, "uneven", dtype)
    params, v = rng.normal(size=(2, network.n_params)).astype(dtype)

    def answers(n_jobs):
        with ParallelObjective(network, n_jobs, n_shards=4) as parallel:
            linearization = parallel.linearize(params, batch)
            return (
                *parallel.value_and_gradient(params, batch),
                linearization.gauss_newton_product(v, 0.1),
                parallel.fisher_diagonal(params, batch),
            )

    first = answers(1)
    assert first[1].dtype == first[2].dtype == first[3].dtype == dtype
    for n_jobs in (2, 3, 4):
        for ours, theirs in zip(answers(n_jobs), first, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_shards_compute_at_the_same_time(rng, monkeypatch):
    together = threading.Barrier(3, timeout=30)  # broken unless three threads meet
    plain = _parallel.Shard.value
    monkeypatch.setattr(
        _parallel.Shard, "value", lambda self, params: (together.wait(), plain(self, params))[1]
    )
    network, batch = make_network("even"), make_batch(rng, "even")
    with ParallelObjective(network, 3) as parallel:
        assert np.isfinite(parallel.value(rng.normal(size=network.n_params), batch))


def test_sequences_are_spread_by_their_steps():
    lengths = [9, 1, 1, 1, 2, 2, 2, 0]
    mask = np.arange(9)[:, None] < np.array(lengths)
    batch = Batch(np.zeros((9, 8, 1)), np.zeros((9, 8, 1)), mask)
    parts = _parallel.cut_into_shards(batch, 2)
    assert [part.n_scored for part in parts] == [9, 9]
    assert [part.n_sequences for part in parts] == [1, 6]
    even = _parallel.cut_into_shards(Batch(np.zeros((2, 5, 1)), np.zeros((2, 5, 1))), 2)
    assert [part.n_sequences for part in even] == [3, 2]


def test_an_older_linearization_runs_its_pass_again(rng):
    network, batch = make_network("even"), make_batch(rng, "even")
    points, v = rng.normal(size=(2, network.n_params)), rng.normal(size=network.n_params)
    with ParallelObjective(network, 2) as parallel:
        first, second = (parallel.linearize(params, batch) for params in points)
        points[:] = 0.0  # they were copied
        before = first.gauss_newton_product(v)
        assert np.abs(second.gauss_newton_product(v) - before).max() > 1e-3
        np.testing.assert_array_equal(first.gauss_newton_product(v), before)


def test_its_matrix_is_a_linear_operator(rng):
    network, batch = make_network("even"), make_batch(rng, "even")
    params = rng.normal(size=network.n_params)
    with ParallelObjective(network, 2) as parallel:
        ours = parallel.linearize(params, batch).as_linear_operator(damping=0.1)
        whole = network.linearize(params, batch).as_linear_operator(damping=0.1)
        largest, expected = (eigsh(m, k=1, return_eigenvectors=False) for m in (ours, whole))
        np.testing.assert_allclose(largest, expected, rtol=1e-9)


def task_data(network, rng):
    batch = make_batch(rng, "uneven")
    return FreshBatches(lambda n, generator: batch, 1), rng.normal(size=network.n_params)


def test_training_with_threads(rng):
    network = make_network("uneven")
    data, params = task_data(network, rng)
    begin = start(HessianFree(), params, 0)
    with ParallelObjective(network, 2) as parallel:
        expected = train(parallel, HessianFree(), data, begin, n_iterations=4)
    n_threads = threading.active_count()
    ours = train(network, HessianFree(), data, begin, n_iterations=4, n_jobs=2)
    assert threading.active_count() == n_threads
    np.testing.assert_array_equal(ours.params, expected.params)
    alone = train(network, HessianFree(), data, begin, n_iterations=4)
    np.testing.assert_allclose(ours.params, alone.params, rtol=1e-6)
    assert ours.history["loss"][-1] < 0.5 * ours.history["loss"][0]


def test_a_lost_worker_is_replaced(rng):
    import distributed  # takes longer than most tests

    network = make_network("uneven")
    data, params = task_data(network, rng)
    begin = start(HessianFree(), params, 0)
    with ParallelObjective(network, 2) as threads:
        expected = train(threads, HessianFree(), data, begin, n_iterations=4)

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with (
        distributed.LocalCluster(dashboard_address=":0", **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        killed = []

        def kill_one(state):
            if state.iteration == 2:
                victims = client.run(os.getpid)
                killed.append(next(iter(victims.values())))
                os.kill(killed[0], signal.SIGKILL)

        with ParallelObjective(network, client=client) as spread:
            assert spread.n_shards == 2
            ours = train(spread, HessianFree(), data, begin, n_iterations=4, callback=kill_one)
    assert killed
    np.testing.assert_array_equal(ours.params, expected.params)


def test_what_is_refused(rng):
    sphere = FunctionObjective(lambda x: x @ x / 2, lambda x: x, lambda x, v: v)
    with pytest.raises(TypeError, match="`network` is a FunctionObjective"):
        ParallelObjective(sphere)
    network = make_network("even")
    with pytest.raises(ValueError, match="`n_shards` is 0"):
        ParallelObjective(network, n_shards=0)
    with ParallelObjective(network) as parallel, pytest.raises(ValueError, match="`params` has"):
        parallel.value(np.zeros(3), make_batch(rng, "even"))
    network.device = "cuda"
    with pytest.raises(ValueError, match="computes on 'cuda'"):
        ParallelObjective(network)


def test_estimators_spread_their_batches(rng):
    X = rng.normal(size=(40, 8, 2))
    y = X.sum(axis=(1, 2))
    settings = {"max_iter": 1, "dtype": "float64", "l2": 0.1, "random_state": 0}
    alone = RNNRegressor(5, **settings).fit(X, y)
    spread = RNNRegressor(5, n_jobs=2, **settings).fit(X, y)
    np.testing.assert_allclose(spread.loss_curve_, alone.loss_curve_, rtol=1e-12)
    # Conjugate gradients carry rounding on.
    np.testing.assert_allclose(spread.params_, alone.params_, rtol=1e-5, atol=1e-7)
    assert not np.array_equal(spread.params_, alone.params_)  # other sums: it was spread
