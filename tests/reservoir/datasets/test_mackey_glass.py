"""The Mackey-Glass equation against the method of steps, a plain loop and known points."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from reservoir.datasets import (
    mackey_glass,
)
from tests.support.orders import observed_orders

# mackey_glass


def method_of_steps(tau, n_delays, history, exponent=10.0):
    """Solve one delay after the other as an ordinary equation, nearly to machine precision."""
    pieces = [lambda t: np.full(np.shape(t), history)[None]]
    value = history
    for k in range(n_delays):

        def slope(t, x, delayed=pieces[-1]):
            past = delayed(t - tau)[0]
            return 0.2 * past / (1 + past**exponent) - 0.1 * x

        solution = solve_ivp(
            slope,
            (k * tau, (k + 1) * tau),
            [value],
            method="DOP853",
            rtol=1e-12,
            atol=1e-13,
            max_step=tau / 60,
            dense_output=True,
        )
        pieces.append(solution.sol)
        value = solution.y[0, -1]

    def evaluate(times):
        index = np.clip(np.ceil(times / tau).astype(int), 1, n_delays)
        return np.array([pieces[i](t)[0] for i, t in zip(index, times, strict=True)])

    return evaluate


@pytest.fixture(scope="module")
def reference():
    return method_of_steps(17.0, 6, 0.7)


def mackey_glass_error(reference, step, sampling_interval, method="rk4"):
    n_steps = int(100 / sampling_interval)
    series = mackey_glass(
        n_steps,
        initial_history=0.7,
        discard=0,
        step=step,
        sampling_interval=sampling_interval,
        method=method,
    )
    times = np.arange(n_steps) * sampling_interval
    return np.abs(series[:, 0] - reference(times)).max()


def test_mackey_glass_against_the_method_of_steps(reference):
    assert mackey_glass_error(reference, 0.1, 1.0) < 2e-8


def test_mackey_glass_order_is_four(reference):
    steps = [17 / 20, 17 / 40, 17 / 80, 17 / 160]
    errors = [mackey_glass_error(reference, step, 4.25) for step in steps]
    orders = observed_orders(errors)
    assert np.all((orders > 3.8) & (orders < 4.2)), orders


def test_mackey_glass_order_is_four_between_grid_points(reference):
    # 1.3 lies on none of the grids, each time at other fractions of a step: only the mean order
    # over the whole range of steps is regular.
    errors = [mackey_glass_error(reference, step, 1.3) for step in [17 / 20, 17 / 160]]
    order = np.log2(errors[0] / errors[1]) / 3
    assert 3.8 < order < 4.3


def test_mackey_glass_euler_order_is_one(reference):
    errors = [
        mackey_glass_error(reference, step, 4.25, method="euler")
        for step in [17 / 160, 17 / 320, 17 / 640, 17 / 1280]
    ]
    orders = observed_orders(errors)
    assert np.all((orders > 0.9) & (orders < 1.1)), orders


@pytest.mark.parametrize("tau", [1.0, 16.93])
def test_mackey_glass_linear_equation_exactly(tau):
    # x' = 0.1 x(t - tau) - 0.05 x, history 1: over the first delay x = 2 - e(t) with
    # e(t) = exp(-t / 20); over the second, with s = t - tau, x' = 0.2 - 0.1 e(s) - 0.05 x, so
    # x = 4 - 0.1 s e(s) + C e(s), and C from x(tau).
    times = np.arange(9) * tau / 4.0
    decay = np.exp(-times / 20)
    expected = 2 - decay
    later = times > tau
    s = times[later] - tau
    at_tau = 2 - np.exp(-tau / 20)
    expected[later] = 4 + (at_tau - 4 - 0.1 * s) * np.exp(-s / 20)
    series = mackey_glass(
        9,
        tau=tau,
        gamma=0.05,
        exponent=0,
        initial_history=1.0,
        discard=0,
        sampling_interval=tau / 4,
    )
    np.testing.assert_allclose(series[:, 0], expected, rtol=1e-10)


def plain_mackey_glass(n_grid, step, n_delay, history, method):
    """Integrate step by step as textbooks do, with the history in a list."""
    values = [history]
    slopes = []

    def rate(x, past):
        return 0.2 * past / (1 + past**10) - 0.1 * x

    def grid(k):
        return values[k] if k > 0 else history

    def slope(k):
        return slopes[k] if k >= 0 else 0.0

    for k in range(n_grid - 1):
        j = k - n_delay
        past, ahead = grid(j), grid(j + 1)
        slopes.append(rate(values[k], past))
        if method == "euler":
            values.append(values[k] + step * slopes[k])
            continue
        right_slope = slope(j + 1) if j >= 0 else 0.0
        middle = (past + ahead) / 2 + step * (slope(j) - right_slope) / 8
        x = values[k]
        k1 = slopes[k]
        k2 = rate(x + step / 2 * k1, middle)
        k3 = rate(x + step / 2 * k2, middle)
        k4 = rate(x + step * k3, ahead)
        values.append(x + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return np.array(values)


@pytest.mark.parametrize("method", ["rk4", "euler"])
def test_mackey_glass_equals_a_plain_loop(method):
    fast = mackey_glass(120, method=method, initial_history=1.25, discard=0)
    plain = plain_mackey_glass(1191, 0.1, 170, 1.25, method)
    np.testing.assert_allclose(fast[:, 0], plain[::10], rtol=1e-12)


def test_mackey_glass_known_fixed_points():
    np.testing.assert_array_equal(mackey_glass(5, initial_history=0.0), np.zeros((5, 1)))
    one = mackey_glass(50, initial_history=1.0, discard=0)
    np.testing.assert_allclose(one, 1.0, atol=1e-13)


def test_mackey_glass_sampling_off_the_grid_agrees_with_a_finer_grid():
    coarse = mackey_glass(200, sampling_interval=0.37, initial_history=1.2, discard=0)
    fine = mackey_glass(200, sampling_interval=0.37, initial_history=1.2, discard=0, step=0.01)
    np.testing.assert_allclose(coarse, fine, atol=1e-7)


def test_mackey_glass_lies_on_the_attractor():
    # Bounds and mean as in the plots of Jaeger (2001), before tanh(x - 1).
    for method in ["rk4", "euler"]:
        series = mackey_glass(5000, method=method, random_state=1)
        assert 0.2 < series.min() < 0.45
        assert 1.28 < series.max() < 1.4
        assert 0.9 < series.mean() < 0.95


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"tau": 0.0}, "`tau` is 0.0"),
        ({"step": -0.1}, "`step` is -0.1"),
        ({"sampling_interval": np.inf}, "`sampling_interval` is inf"),
        ({"beta": -1.0}, "`beta` is -1.0"),
        ({"gamma": np.nan}, "`gamma` is nan"),
        ({"exponent": -1}, "`exponent` is -1"),
        ({"initial_history": -0.5}, "`initial_history` is -0.5"),
        ({"method": "rk45"}, "`method` is 'rk45'"),
        ({"discard": -1}, "`discard` is -1"),
    ],
)
def test_mackey_glass_bad_input(arguments, match):
    with pytest.raises(ValueError, match=match):
        mackey_glass(10, **arguments)
