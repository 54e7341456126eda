"""Batches that do not belong to a network or its loss are refused by name."""

import numpy as np
import pytest

from hessianfree import Batch, ElmanCell, SequenceNetwork

INPUTS = np.ones((4, 3, 2))


def network(loss, n_outputs=2):
    return SequenceNetwork(ElmanCell(2, 3), n_outputs=n_outputs, loss=loss)


@pytest.mark.parametrize("bad", [-0.1, 1.5, 3.0, np.nan])
def test_logistic_targets_lie_between_0_and_1(bad):
    net = network("logistic")
    targets = np.full((4, 3, 2), 0.5)
    params = np.zeros(net.n_params)
    # o = 0 gives log 2 for each of two outputs, whatever the target.
    np.testing.assert_allclose(net.value(params, Batch(INPUTS, targets)), 2 * np.log(2))
    targets[2, 1, 0] = bad
    with pytest.raises(ValueError, match=r"`targets` holds .* from 0 to 1"):
        net.value(params, Batch(INPUTS, targets))
    # What is not scored may be anything.
    mask = np.ones((4, 3))
    mask[2, 1] = 0
    np.testing.assert_allclose(net.value(params, Batch(INPUTS, targets, mask)), 2 * np.log(2))


@pytest.mark.parametrize("bad", [[0.5, 0.6], [0.0, 0.0], [1.5, -0.5]])
def test_softmax_rows_are_probabilities(bad):
    net = network("softmax")
    targets = np.full((4, 3, 2), 0.5)
    params = np.zeros(net.n_params)
    np.testing.assert_allclose(net.value(params, Batch(INPUTS, targets)), np.log(2))
    targets[2, 1] = bad
    with pytest.raises(ValueError, match=r"`targets` has the row .* sum to 1"):
        net.value_and_gradient(params, Batch(INPUTS, targets))


@pytest.mark.parametrize("call", ["predict", "run", "states"])
def test_real_inputs_are_no_symbols(call):
    net = network("softmax")
    params = np.zeros(net.n_params)
    with pytest.raises(TypeError, match=r"`inputs` has dtype float64 and shape \(4, 3\)"):
        getattr(net, call)(params, np.full((4, 3), 0.7))
    assert getattr(net, call)(params, np.ones((4, 3), dtype=int)) is not None
