"""NARMA series: the recurrence, from rest, and bad input."""

import numpy as np
import pytest

from reservoir.datasets import (
    narma,
)

# narma


@pytest.mark.parametrize("order", [1, 2, 10, 20, 30])
def test_narma_obeys_its_recurrence(order):
    inputs, targets = narma(400, order, random_state=7)
    assert inputs.shape == (400, 1)
    assert targets.shape == (400,)
    u = inputs[:, 0]
    assert 0.0 <= u.min() < 0.02
    assert 0.48 < u.max() < 0.5
    a, b, c = {20: (0.3, 0.05, 0.01), 30: (0.2, 0.04, 0.001)}.get(order, (0.3, 0.05, 0.1))
    for row in range(order, 400):
        z = targets[row - order : row]  # z[t-n+1] ... z[t]; row t holds z[t+1]
        expected = a * z[-1] + b * z[-1] * z.sum() + 1.5 * u[row - order + 1] * u[row] + c
        if order == 20:
            expected = np.tanh(expected)
        assert targets[row] == pytest.approx(expected, abs=1e-14)


def test_narma_from_rest():
    inputs, targets = narma(12, discard=0, random_state=1)
    u = inputs[:, 0]
    assert targets[0] == 0.1
    z1 = 0.3 * 0.1 + 0.05 * 0.1 * 0.1 + 0.1
    assert targets[1] == pytest.approx(z1, abs=1e-16)
    assert targets[9] - targets[8] > 1.5 * u[0] * u[9] - 0.1  # the first product enters here


@pytest.mark.parametrize("order", [10, 20, 30])
def test_narma_moves(order):
    # A saturated or dying recurrence would be an easy task.
    _, targets = narma(5000, order, random_state=2)
    assert 0.07 < targets.std() < 0.12
    assert targets.max() < 0.9


def test_narma_that_runs_away_is_an_error():
    # Found by search: one of the few seeds whose first 20,000 steps run away.
    with pytest.raises(
        FloatingPointError, match=r"order 10 ran away at step .* another `random_state`"
    ):
        narma(20_000, random_state=4)


def test_narma_bad_input():
    with pytest.raises(ValueError, match="`order` is 0"):
        narma(10, 0)
    with pytest.raises(ValueError, match="`order` is 31"):
        narma(10, 31)
    with pytest.raises(ValueError, match="`discard` is -1"):
        narma(10, discard=-1)
