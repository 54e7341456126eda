"""Losses against their definitions, complex-step derivatives and numbers that overflow."""

import numpy as np
import pytest

from hessianfree.network import LogisticCrossEntropy, SoftmaxCrossEntropy, SquaredError, outputs_of
from tests.support import reference_nets as plain

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
