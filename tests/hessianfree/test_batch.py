"""Batches: what is accepted, how sequences are padded; parameters as one flat vector."""

import numpy as np
import pytest

from hessianfree.batch import Batch
from hessianfree.cells import ElmanCell
from hessianfree.network import ParameterLayout, SequenceNetwork


@pytest.mark.parametrize("symbols", [True, False])
@pytest.mark.parametrize("last_step_only", [True, False])
def test_sequences_in_a_batch_weigh_as_alone(symbols, last_step_only, rng):
    network = SequenceNetwork(ElmanCell(3, 4), 2)
    params = rng.normal(size=network.n_params)
    lengths = [3, 1, 5]
    inputs = [rng.integers(3, size=n) if symbols else rng.normal(size=(n, 3)) for n in lengths]
    targets = [rng.normal(size=(2,) if last_step_only else (n, 2)) for n in lengths]
    batch = Batch.from_sequences(inputs, targets, last_step_only=last_step_only)
    weights = [1 if last_step_only else n for n in lengths]
    alone = [
        network.value_and_gradient(
            params, Batch.from_sequences([x], [y], last_step_only=last_step_only)
        )
        for x, y in zip(inputs, targets)
    ]
    value, gradient = network.value_and_gradient(params, batch)
    np.testing.assert_allclose(value, np.average([v for v, _ in alone], weights=weights))
    expected = np.average([g for _, g in alone], axis=0, weights=weights)
    np.testing.assert_allclose(gradient, expected, rtol=1e-11, atol=1e-15)


def test_integer_and_boolean_arrays_of_three_axes_are_numbers():
    network = SequenceNetwork(ElmanCell(1, 2), 1)
    params = np.linspace(-1, 1, network.n_params)
    x = np.array([[[0], [1]], [[1], [1]]])
    expected = network.value(params, Batch(x.astype(float), x.astype(float)))
    assert network.value(params, Batch(x, x)) == expected
    assert network.value(params, Batch(x.astype(bool), x.astype(bool))) == expected


REAL = np.zeros((4, 2, 3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[0.0]], REAL), TypeError, "`inputs` is a list"),
        ((REAL[0], REAL), TypeError, r"`inputs` has dtype float64 and shape \(2, 3\)"),
        ((REAL, REAL[:3]), ValueError, r"`targets` has shape \(3, 2, 3\)"),
        ((REAL, REAL, np.ones((2, 4))), ValueError, r"`mask` has shape \(2, 4\)"),
        ((REAL, REAL, -np.ones((4, 2))), ValueError, "`mask` has negative or non-finite"),
        ((REAL, REAL, np.full((4, 2), np.nan)), ValueError, "`mask` has negative or non-finite"),
        ((REAL, REAL, np.zeros((4, 2))), ValueError, "`mask` is 0 everywhere"),
        ((REAL, REAL, None, np.ones((3, 1))), ValueError, r"`initial_inputs` has shape \(3, 1\)"),
        ((REAL, REAL, None, np.ones(2)), ValueError, r"`initial_inputs` has shape \(2,\)"),
        ((REAL, REAL, None, [[1.0], [2.0]]), TypeError, "`initial_inputs` is of kind 'list'"),
        ((REAL, REAL, None, np.array([["a"]] * 2)), TypeError, "`initial_inputs` is of kind 'U'"),
        ((REAL[:0], REAL[:0]), ValueError, r"`inputs` has shape \(0, 2, 3\)"),
    ],
)
def test_wrong_arrays_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        Batch(*arguments)


def test_wrong_sequences_are_named():
    with pytest.raises(ValueError, match="`inputs` has 0 sequences"):
        Batch.from_sequences([], [])
    with pytest.raises(ValueError, match=r"`inputs\[1\]` has 0 steps"):
        Batch.from_sequences([np.zeros((2, 1)), np.zeros((0, 1))], [np.zeros((2, 1))] * 2)
    with pytest.raises(ValueError, match=r"`targets\[0\]` has 3 steps, but 2 were expected"):
        Batch.from_sequences([np.zeros((2, 1))], [np.zeros((3, 1))])


def test_blocks_and_flat_vector_are_the_same_numbers(rng):
    layout = ParameterLayout({"a": (2, 3), "b": (), "c": (4,)})
    flat = rng.normal(size=layout.n_params)
    views = layout.views(flat)
    np.testing.assert_array_equal(layout.flatten(views), flat)
    np.testing.assert_array_equal(views["a"].ravel(), flat[:6])
    views["c"][1] = 9.0
    assert flat[8] == 9.0
    assert layout.flatten(views, np.float32).dtype == np.float32


def test_wrong_blocks_are_named():
    layout = ParameterLayout({"a": (2,), "b": (1,)})
    with pytest.raises(ValueError, match=r"`blocks` has the names \['a'\]"):
        layout.flatten({"a": np.zeros(2)})
    with pytest.raises(ValueError, match=r"`blocks\['b'\]` has shape \(3,\)"):
        layout.flatten({"a": np.zeros(2), "b": np.zeros(3)})
    with pytest.raises(TypeError, match="`params` is list"):
        layout.check([0.0, 1.0, 2.0])
