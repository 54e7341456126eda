"""Batches of uneven lengths cut into buckets, and outputs computed in blocks."""

import itertools
import tracemalloc

import numpy as np
import pytest

from hessianfree.batch import Batch, take_sequences
from hessianfree.cells import (
    ElmanCell,
    GRUCell,
    LSTMCell,
    MultiplicativeCell,
    StackedCell,
    TensorCell,
)
from hessianfree.network import SequenceNetwork
from hessianfree.network import _prepared as prepared
from hessianfree.network._buckets import bucket_sequences

CELLS = {
    "vanilla": lambda n: ElmanCell(n, 6),
    "multiplicative": lambda n: MultiplicativeCell(n, 6, gain="shifted_tanh"),
    "tensor": lambda n: TensorCell(n, 6),
    "lstm": lambda n: LSTMCell(n, 6, peepholes=True),
    "gru": lambda n: GRUCell(n, 6),
    "stack": lambda n: StackedCell([LSTMCell(n, 4), ElmanCell(4, 5)]),
}


@pytest.fixture
def always_cut(monkeypatch):
    """Buckets of one length each, and blocks of a few rows."""
    monkeypatch.setattr(prepared, "step_rows", lambda network: 0.0)
    monkeypatch.setattr(prepared, "_WHOLE_OUTPUTS", 10)
    monkeypatch.setattr(prepared, "_OUTPUTS_OF_BLOCK", 20)


def uneven_batch(rng, lengths, n_inputs=2, n_outputs=3, **options):
    inputs = [rng.standard_normal((n, n_inputs)) for n in lengths]
    targets = [rng.integers(n_outputs, size=n) for n in lengths]
    return Batch.from_sequences(inputs, targets, **options)


def cost(buckets, lengths, step_rows):
    return sum(lengths[bucket].max() * (len(bucket) + step_rows) for bucket in buckets)


def all_partitions(items):
    """All ways to cut a sorted list into runs."""
    for cuts in itertools.product([False, True], repeat=len(items) - 1):
        runs = [[items[0]]]
        for item, cut in zip(items[1:], cuts, strict=True):
            if cut:
                runs.append([])
            runs[-1].append(item)
        yield runs


@pytest.mark.parametrize("step_rows", [0.0, 1.0, 4.0, 30.0])
def test_buckets_are_the_cheapest_of_all(rng, step_rows):
    for _ in range(5):
        lengths = rng.integers(1, 20, size=8)
        buckets = bucket_sequences(lengths, step_rows, None)
        np.testing.assert_array_equal(np.sort(np.concatenate(buckets)), np.arange(8))
        order = np.argsort(lengths, kind="stable").tolist()
        cheapest = min(cost(runs, lengths, step_rows) for runs in all_partitions(order))
        assert cost(buckets, lengths, step_rows) == cheapest


def test_many_lengths_take_little_time_and_lose_little(rng):
    lengths = np.ceil(rng.lognormal(6, 1, 20_000)).astype(int)
    buckets = bucket_sequences(lengths, 8.0, None)
    assert sum(len(bucket) for bucket in buckets) == 20_000
    assert cost(buckets, lengths, 8.0) < 1.1 * lengths.sum()


def test_buckets_keep_to_the_limit(rng):
    lengths = rng.integers(1, 20, size=50)
    for bucket in bucket_sequences(lengths, 2.0, 40):
        assert len(bucket) == 1 or len(bucket) * lengths[bucket].max() <= 40


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("last_step_only", [False, True])
def test_uneven_lengths_give_the_sums_over_single_sequences(rng, always_cut, cell, last_step_only):
    lengths = [3, 9, 1, 3, 14, 9, 2]
    if last_step_only:
        inputs = [rng.standard_normal((n, 2)) for n in lengths]
        batch = Batch.from_sequences(inputs, list(rng.integers(3, size=7)), last_step_only=True)
    else:
        batch = uneven_batch(rng, lengths)
    network = SequenceNetwork(CELLS[cell](2), 3, "softmax")
    params = rng.standard_normal(network.n_params)
    v = rng.standard_normal(network.n_params)
    point = network.linearize(params, batch)
    assert len(point._batches) > 1
    parts = [take_sequences(batch, np.array([i])) for i in range(7)]
    shares = np.array([part.n_scored for part in parts]) / batch.n_scored
    linear = [network.linearize(params, part) for part in parts]
    expected = {
        "value": sum(w * p.value for w, p in zip(shares, linear, strict=True)),
        "gradient": sum(w * p.gradient() for w, p in zip(shares, linear, strict=True)),
        "product": sum(
            w * p.gauss_newton_product(v, 0.3) for w, p in zip(shares, linear, strict=True)
        ),
    }
    tolerance = {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(network.value(params, batch), expected["value"], **tolerance)
    np.testing.assert_allclose(point.value, expected["value"], **tolerance)
    np.testing.assert_allclose(point.gradient(), expected["gradient"], **tolerance)
    value, gradient = network.value_and_gradient(params, batch)
    np.testing.assert_allclose(value, expected["value"], **tolerance)
    np.testing.assert_allclose(gradient, expected["gradient"], **tolerance)
    np.testing.assert_allclose(point.gauss_newton_product(v, 0.3), expected["product"], **tolerance)
    # Slices that are not kept are run again for each product.
    small = SequenceNetwork(network.cell, 3, "softmax", max_rows=10).linearize(params, batch)
    np.testing.assert_allclose(small.gauss_newton_product(v, 0.3), expected["product"], **tolerance)


def test_the_fisher_diagonal_of_uneven_lengths(rng, monkeypatch):
    batch = uneven_batch(rng, [3, 9, 1, 3, 14])
    network = SequenceNetwork(ElmanCell(2, 6), 3, "softmax")
    params = rng.standard_normal(network.n_params)
    whole = network.fisher_diagonal(params, batch)
    monkeypatch.setattr(prepared, "step_rows", lambda network: 0.0)
    monkeypatch.setattr(prepared, "_WHOLE_OUTPUTS", 10)
    monkeypatch.setattr(prepared, "_OUTPUTS_OF_BLOCK", 20)
    np.testing.assert_allclose(
        network.fisher_diagonal(params, take_sequences(batch, np.arange(5))), whole, rtol=1e-10
    )


def test_sequences_without_a_scored_step_are_left_out(rng, always_cut):
    batch = uneven_batch(rng, [3, 9, 4])
    mask = batch.mask.copy()
    mask[:, 1] = 0
    network = SequenceNetwork(ElmanCell(2, 6), 3, "softmax")
    params = rng.standard_normal(network.n_params)
    without = take_sequences(batch, np.array([0, 2]))
    found = network.value_and_gradient(params, Batch(batch.inputs, batch.targets, mask))
    expected = network.value_and_gradient(params, without)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-10, atol=1e-14)


def test_starts_of_their_own_go_with_their_sequences(rng, always_cut):
    lengths = [3, 9, 1, 5]
    vectors = rng.standard_normal((4, 2))
    batch = uneven_batch(rng, lengths, initial_inputs=vectors)
    network = SequenceNetwork(ElmanCell(2, 6), 3, "softmax", n_initial_inputs=2)
    params = rng.standard_normal(network.n_params)
    parts = [take_sequences(batch, np.array([i])) for i in range(4)]
    expected = sum(part.n_scored * network.value_and_gradient(params, part)[1] for part in parts)
    np.testing.assert_allclose(
        network.value_and_gradient(params, batch)[1], expected / batch.n_scored, rtol=1e-10
    )


def test_even_batches_are_one_slice_in_their_order(rng):
    network = SequenceNetwork(ElmanCell(2, 6), 3, "softmax")
    params = rng.standard_normal(network.n_params)
    batch = uneven_batch(rng, [12] * 5)
    point = network.linearize(params, batch)
    (part,) = point._batches
    assert part.live is None
    np.testing.assert_array_equal(part.inputs, batch.inputs)


def test_thousands_of_outputs_take_little_memory(rng):
    """3,000 symbols and 50 units on 250 windows of 100 steps: their outputs are 300 MB."""
    symbols = rng.integers(3000, size=(101, 250))
    batch = Batch(symbols[:-1], symbols[1:])
    network = SequenceNetwork(ElmanCell(3000, 50), 3000, "softmax")
    params = (0.1 * rng.standard_normal(network.n_params)).astype(np.float32)
    some = take_sequences(batch, np.arange(20))
    tracemalloc.start()
    try:
        network.value(params, batch)
        network.value_and_gradient(params, batch)
        point = network.linearize(params, some)
        point.gauss_newton_product(params, 0.1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 120e6


@pytest.mark.parametrize("kind", ["lognormal", "pareto", "one giant"])
def test_padding_is_not_run(rng, kind):
    """Padded to the longest, these are 13, 68 and 200 times as many rows as steps."""
    lengths = {
        "lognormal": np.ceil(rng.lognormal(3, 1, 600)).astype(int),
        "pareto": np.ceil(10 * (1 + rng.pareto(1.5, 600))).astype(int),
        "one giant": np.array([3000] + [10] * 599),
    }[kind]
    network = SequenceNetwork(ElmanCell(1, 100), 1)
    batch = Batch.from_sequences(
        [np.ones((n, 1)) for n in lengths], [np.ones((n, 1)) for n in lengths]
    )
    parts = network.linearize(np.zeros(network.n_params, np.float32), batch)._batches
    rows = sum(part.n_steps * part.n_sequences for part in parts)
    assert lengths.sum() <= rows < 1.4 * lengths.sum()
