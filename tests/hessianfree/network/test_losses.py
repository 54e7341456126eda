"""Losses against their definitions, complex-step derivatives and numbers that overflow."""

import numpy as np
import pytest

from hessianfree.batch import Batch
from hessianfree.cells import ElmanCell, LSTMCell
from hessianfree.network import (
    JointLoss,
    LogisticCrossEntropy,
    SequenceNetwork,
    SoftmaxCrossEntropy,
    SquaredError,
    mean_target_bias,
    outputs_of,
)
from tests.support import reference_nets as plain
from tests.support.own_losses import Huber

LOSSES = {
    "squared_error": SquaredError(),
    "logistic": LogisticCrossEntropy(),
    "softmax": SoftmaxCrossEntropy(),
}


def make_targets(kind, rng, n_rows=5, n_outputs=3):
    if kind == "classes":
        return rng.integers(n_outputs, size=n_rows)
    if kind == "softmax":
        return rng.dirichlet(np.ones(n_outputs), size=n_rows)
    return rng.uniform(size=(n_rows, n_outputs))


CASES = [(name, name) for name in LOSSES] + [("softmax", "classes")]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_value_gradient_and_hessian(name, kind, rng):
    loss, targets = LOSSES[name], make_targets(kind, rng)
    outputs, direction = rng.normal(size=(2, 5, 3))
    predictions = loss.predict(outputs)
    gradient = loss.gradient(predictions, targets)
    product = loss.hessian_product(predictions, direction)
    for o, y, d, value, g, hd in zip(
        outputs, targets, direction, loss.values(outputs, targets), gradient, product
    ):
        np.testing.assert_allclose(value, plain.row_loss(name, o, y, 3), rtol=1e-13)
        slope = plain.jacobian(lambda p, y=y: plain.row_loss(name, p, y, 3), o)
        np.testing.assert_allclose(g, slope, rtol=1e-12, atol=1e-15)
        # The Hessian of a matching loss is the Jacobian of the link.
        link = {
            "squared_error": lambda p: p,
            "logistic": lambda p: 1 / (1 + np.exp(-p)),
            "softmax": plain.softmax,
        }[name]
        np.testing.assert_allclose(hd, plain.jacobian(link, o) @ d, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_out_is_used_and_dtype_kept(name, kind, dtype, rng):
    loss, targets = LOSSES[name], make_targets(kind, rng)
    if targets.ndim == 2:
        targets = targets.astype(dtype)
    outputs, direction, out = rng.normal(size=(3, 5, 3)).astype(dtype)
    predictions = loss.predict(outputs.copy(), out=out)
    assert predictions is out
    np.testing.assert_array_equal(predictions, loss.predict(outputs))
    assert loss.values(outputs, targets).dtype == dtype
    for result, expected in [
        (
            loss.gradient(predictions, targets, out=np.empty_like(out)),
            loss.gradient(predictions, targets),
        ),
        (
            loss.hessian_product(predictions, direction, out=np.empty_like(out)),
            loss.hessian_product(predictions, direction),
        ),
    ]:
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, expected)


def test_predictions_can_take_the_place_of_outputs(rng):
    outputs = rng.normal(size=(5, 3))
    for loss in LOSSES.values():
        expected = loss.predict(outputs)
        in_place = outputs.copy()
        np.testing.assert_array_equal(loss.predict(in_place, out=in_place), expected)


def test_confident_outputs_do_not_overflow():
    outputs = np.array([[1e4, -1e4, 0.0]])
    classes = np.array([1])
    assert SoftmaxCrossEntropy().values(outputs, classes) == 2e4
    np.testing.assert_array_equal(SoftmaxCrossEntropy().predict(outputs), [[1, 0, 0]])
    targets = np.array([[0.0, 1.0, 1.0]])
    np.testing.assert_allclose(
        LogisticCrossEntropy().values(outputs, targets), 2e4 + np.log(2), rtol=1e-15
    )
    np.testing.assert_array_equal(LogisticCrossEntropy().predict(outputs), [[1, 0, 0.5]])


@pytest.mark.parametrize("name", LOSSES)
def test_outputs_of_predictions_lead_back_to_them(name, rng):
    loss, predictions = LOSSES[name], rng.dirichlet(np.ones(3), size=4)
    np.testing.assert_allclose(
        loss.predict(outputs_of(loss, predictions, margin=0.0)), predictions, rtol=1e-12
    )


def test_outputs_of_impossible_probabilities_are_those_of_the_margin():
    impossible = np.array([[-0.5, 2.0]])
    outputs = outputs_of(LogisticCrossEntropy(), impossible, margin=0.01)
    np.testing.assert_allclose(outputs, [[np.log(1 / 99), np.log(99)]])
    np.testing.assert_allclose(outputs_of(SoftmaxCrossEntropy(), impossible)[0, 0], np.log(0.001))
    assert outputs_of(SquaredError(), impossible) is impossible


# -- several targets, weights, and losses of one's own -------------------------------------------

JOINT = (("softmax", 3, 0.5), ("logistic", 1, 2.0), ("softmax", 2, 1.0), ("squared_error", 1, 3.0))
OTHERS = {
    "joint": (
        JOINT,
        JointLoss(tuple(LOSSES[name] for name, _, _ in JOINT), (3, 1, 2, 1), (0.5, 2.0, 1.0, 3.0)),
    ),
    "weighted": (
        (("logistic", 1, 0.25), ("logistic", 1, 3.0)),
        LogisticCrossEntropy((0.25, 3.0)),
    ),
    "own": ("huber", Huber(plain.HUBER)),
}


def targets_of(parts, rng, shape):
    """Rows of one-hot classes, yes or no, and numbers, side by side."""
    if parts == "huber":
        return rng.normal(size=(*shape, 2))
    columns = []
    for name, size, _ in parts:
        kinds = {
            "softmax": lambda size=size: np.eye(size)[rng.integers(size, size=shape)],
            "logistic": lambda size=size: rng.integers(2, size=(*shape, size)),
            "squared_error": lambda size=size: rng.normal(size=(*shape, size)),
        }
        columns.append(kinds[name]())
    return np.concatenate(columns, axis=-1).astype(float)


@pytest.mark.parametrize("cell", [ElmanCell(2, 3), LSTMCell(2, 2)], ids=["vanilla", "lstm"])
@pytest.mark.parametrize("name", OTHERS)
def test_other_losses_equal_explicit_matrices(name, cell, rng):
    parts, loss = OTHERS[name]
    targets = targets_of(parts, rng, (4, 3))
    network = SequenceNetwork(cell, targets.shape[-1], loss, l2=0.1)
    mask = rng.uniform(0.5, 2, size=(4, 3)) * (np.arange(4)[:, None] < [2, 4, 3])
    batch = Batch(rng.normal(size=(4, 3, 2)), targets, mask)
    params = rng.normal(size=network.n_params)
    linearization = network.linearize(params, batch)
    expected = plain.value(network, parts, params, batch)
    np.testing.assert_allclose(linearization.value, expected, rtol=1e-13)
    slope, matrix, _ = plain.derivatives(network, parts, params, batch)
    np.testing.assert_allclose(linearization.gradient(), slope, rtol=1e-11, atol=1e-14)
    found = linearization.as_linear_operator() @ np.eye(len(params))
    np.testing.assert_allclose(found, matrix, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(
        network.fisher_diagonal(params, batch),
        plain.fisher_diagonal(network, parts, params, batch),
        rtol=1e-10,
    )


@pytest.mark.parametrize("name", ["joint", "weighted"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_other_losses_keep_the_dtype_and_use_out(name, dtype, rng):
    parts, loss = OTHERS[name]
    targets = targets_of(parts, rng, (5,)).astype(dtype)
    outputs, direction = rng.normal(size=(2, *targets.shape)).astype(dtype)
    out = np.empty_like(outputs)
    predictions = loss.predict(outputs)
    assert loss.values(outputs, targets).dtype == predictions.dtype == dtype
    assert loss.gradient(predictions, targets, out=out) is out
    np.testing.assert_array_equal(out, loss.gradient(predictions, targets))
    assert loss.hessian_product(predictions, direction, out=out) is out
    assert loss.hessian_product(predictions, direction).dtype == dtype
    np.testing.assert_allclose(
        loss.predict(outputs_of(loss, predictions)), predictions, rtol=1e-4 if dtype == np.float32
        else 1e-9,
    )  # fmt: skip


def test_the_start_of_a_loss_of_ones_own_is_its_best_constant(rng):
    """Of Huber's loss with a small distance about the median, whatever the outliers are."""
    targets = rng.normal(size=(1, 2000, 1)) + 3.0
    targets[0, :300] = 500.0
    batch = Batch(np.zeros((1, 2000, 1)), targets)
    network = SequenceNetwork(ElmanCell(1, 2), 1, Huber(0.05))
    bias = mean_target_bias(network, batch)
    assert bias == pytest.approx(np.median(targets), abs=0.05)
    slope = np.clip(bias - targets[0], -0.05, 0.05).mean()
    assert abs(slope) < 1e-4


def test_what_is_no_loss_is_refused():
    class Half:
        def predict(self, outputs, out=None):
            return outputs

        def values(self, outputs, targets):
            return outputs[:, 0]

    class Old(Huber):
        def hessian_product(self, predictions, d_outputs, out=None):
            return d_outputs

    for bad, match in [
        (Half(), "type Half, which lacks `gradient` and `hessian_product`"),
        (Old(1.0), "type Old, whose `hessian_product` takes no `targets`"),
        (Huber, "`loss` is the class Huber, but an object"),
    ]:
        with pytest.raises(TypeError, match=match):
            SequenceNetwork(ElmanCell(1, 2), 1, bad)
    with pytest.raises(ValueError, match="`sizes` has 1 entries, but there are 2 losses"):
        JointLoss((SquaredError(), SquaredError()), (2,))
    loss = JointLoss((SoftmaxCrossEntropy(), LogisticCrossEntropy()), (2, 1))
    batch = Batch(np.zeros((1, 1, 1)), np.array([[[0.5, 0.6, 1.0]]]))
    network = SequenceNetwork(ElmanCell(1, 2), 3, loss)
    with pytest.raises(ValueError, match="probabilities that sum to 1"):
        network.value(np.zeros(network.n_params), batch)
