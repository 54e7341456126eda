"""The benchmarks of Lorenz, classification and capacity: what they measure with."""

from decimal import Decimal

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import ortho_group

from benchmarks.field import capacity, classification, lorenz
from reservoir.datasets import lorenz as library_lorenz
from reservoir.dynamics import run

START = np.array([-3.1, -5.2, 18.4])


def test_the_steps_in_decimals_are_those_of_the_library():
    floats = lorenz.solution(START, 20, method="Runge-Kutta", kind=float, n_terms=0)
    expected = library_lorenz(21, initial_state=START, discard=0)[1:]
    np.testing.assert_array_equal(floats, expected)
    np.testing.assert_allclose(lorenz.exact_map(START, 20), expected, rtol=1e-12)


def test_the_exact_solution_is_that_of_another_method():
    def slope(_, state):
        x, y, z = state
        return [10 * (y - x), x * (28 - z) - y, x * y - lorenz.BETA * z]

    times = 0.02 * np.arange(1, 31)
    found = solve_ivp(slope, (0, 0.6), START, "DOP853", times, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(lorenz.exact(START, 30), found.y.T, rtol=0, atol=1e-10)
    np.testing.assert_allclose(lorenz.rounded(START, 30), lorenz.exact(START, 30), atol=1e-12)


def test_forty_terms_leave_far_less_than_45_lyapunov_times_could_show():
    def after(n_substeps, n_terms):
        state = tuple(Decimal(value) for value in START.tolist())
        for _ in range(20 * n_substeps):
            state = lorenz.taylor_step(state, Decimal("0.02") / n_substeps, n_terms)
        return state

    errors = [abs(a - b) for a, b in zip(after(1, 40), after(2, 50), strict=True)]
    # exp(45) is 3e19; at the 28 digits of decimals as they are.
    assert max(errors) < Decimal("1e-22")


def test_es2n_in_a_reservoir_is_its_equation(rng):
    weights = capacity.ours(0)
    rotation = ortho_group.rvs(weights.n_units, random_state=1)
    inputs = rng.uniform(-1, 1, size=(30, 1))
    states = run(capacity.es2n(weights, 0.2, rotation), inputs)
    recurrent = weights.recurrent @ np.eye(weights.n_units)
    state = np.zeros(weights.n_units)
    for u, found in zip(inputs, states, strict=True):
        bent = np.tanh(recurrent @ state + weights.input @ u + weights.bias)
        state = 0.2 * bent + 0.8 * rotation @ state
        np.testing.assert_allclose(found[: weights.n_units], state, rtol=0, atol=1e-13)
        np.testing.assert_array_equal(found[weights.n_units :], 0)


def test_the_interval_is_of_students_t():
    # t of 4 degrees of freedom: 2.776 at 97.5 %; the standard error of 1..5 is 0.7071.
    assert capacity.interval([10, 20, 30, 40, 50]) == "30.0 ± 19.6"
    assert capacity.interval([3.14]) == "3.1"


def test_sequences_and_classes_are_read(tmp_path):
    text = "# of two channels\n@univariate false\n@data\n1,2,3:4,5,6:b\n\n7,8:9,10:a\n"
    (tmp_path / "Few").mkdir()
    for part in ("TRAIN", "TEST"):
        (tmp_path / "Few" / f"Few_{part}.ts").write_text(text, encoding="utf-8")
    assert classification.find("Other", [tmp_path]) is None
    (sequences, classes), _ = classification.find("Few", [tmp_path / "none", tmp_path])
    np.testing.assert_array_equal(sequences[0], [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(sequences[1], [[7, 8], [9, 10]])
    np.testing.assert_array_equal(classes, ["b", "a"])
    assert not classification.is_even(sequences)
    assert classification.is_even(sequences[:1], sequences[:1])


def test_accuracy_is_the_share_that_is_right():
    train = [np.zeros((1, 3))] * 4, np.array(["a", "b", "a", "b"])

    def always_a(train, test, seed):
        return np.full(len(test), "a")

    accuracy, seconds = classification.timed(always_a, train, (train[0], np.array([*"aaab"])), 0)
    assert accuracy == pytest.approx(0.75)
    assert seconds >= 0
    assert classification.cells([(0.5, 3.0), (1.0, 1.0), (0.75, 2.0)]) == "0.750 | 2.00"
