import numpy as np
import pytest
from scipy.integrate import solve_ivp

from reservoir.datasets import (
    henon,
    kuramoto_sivashinsky,
    lorenz,
    lorenz96,
    mackey_glass,
    multiple_superimposed_oscillators,
    narma,
    sine_frequency,
)

SEEDED = [sine_frequency, mackey_glass, narma, lorenz, lorenz96, henon, kuramoto_sivashinsky]


def first_array(result):
    return result[1] if isinstance(result, tuple) else result


def observed_orders(errors):
    return np.log2(np.asarray(errors[:-1]) / np.asarray(errors[1:]))


@pytest.mark.parametrize("dataset", SEEDED)
def test_seeding(dataset):
    series = first_array(dataset(300, random_state=3))
    assert series.dtype == np.float64
    assert len(series) == 300
    np.testing.assert_array_equal(series, first_array(dataset(300, random_state=3)))
    np.testing.assert_array_equal(
        series, first_array(dataset(300, random_state=np.random.SeedSequence(3)))
    )
    other = first_array(dataset(300, random_state=4))
    assert np.abs(series - other).max() > 0.1


@pytest.mark.parametrize(
    "dataset", [mackey_glass, narma, lorenz, lorenz96, henon, kuramoto_sivashinsky]
)
def test_discard_cuts_the_front_off(dataset):
    whole = first_array(dataset(250, discard=0, random_state=1))
    tail = first_array(dataset(150, discard=100, random_state=1))
    np.testing.assert_array_equal(whole[100:], tail)


@pytest.mark.parametrize(
    "dataset", [*SEEDED, multiple_superimposed_oscillators], ids=lambda f: f.__name__
)
def test_a_bad_length_is_refused(dataset):
    with pytest.raises(ValueError, match="`n_steps` is 0"):
        dataset(0)
    with pytest.raises(TypeError, match=r"`n_steps` is 10\.0 of type float"):
        dataset(10.0)


# sine_frequency


def test_sine_is_a_sine_of_the_frequency_asked_for():
    inputs, targets = sine_frequency(20_000, hold_range=(200, 400), random_state=5)
    assert inputs.shape == (20_000, 1)
    assert targets.shape == (20_000,)
    assert np.abs(inputs).max() <= 1.0
    asked = 0.04 + 0.02 * inputs[:, 0]
    starts = np.flatnonzero(np.diff(inputs[:, 0], prepend=np.nan, append=np.nan))
    holds = np.diff(starts)
    assert holds[:-1].min() >= 200
    assert holds.max() <= 400
    # Inside a stair three values of a sine obey y[t+1] + y[t-1] = 2 cos(2 pi f) y[t], exactly.
    # The step that arrives at the first value of a stair already runs at the new speed.
    t = np.flatnonzero(asked[1:-1] == asked[2:]) + 1
    left = targets[t + 1] + targets[t - 1]
    assert t.size > 19_800
    np.testing.assert_allclose(left, 2 * np.cos(2 * np.pi * asked[t]) * targets[t], atol=1e-12)


def test_sine_frequency_from_zero_crossings():
    levels = [0.011, 0.043, 0.02]
    _, targets = sine_frequency(9000, frequencies=levels, hold_lengths=3000)
    for level, piece in zip(levels, targets.reshape(3, 3000), strict=True):
        rising = np.flatnonzero((piece[:-1] < 0) & (piece[1:] >= 0))
        # Linear interpolation of a sine at its zero: an error of about (2 pi f)^3 / 60 steps.
        crossings = rising + piece[rising] / (piece[rising] - piece[rising + 1])
        measured = (len(crossings) - 1) / (crossings[-1] - crossings[0])
        assert measured == pytest.approx(level, rel=1e-5)


def test_sine_phase_is_continuous():
    # A jump of the phase would show as a step that the fastest sine cannot make.
    _, targets = sine_frequency(50_000, frequency_range=(0.01, 0.02), random_state=0)
    assert np.abs(np.diff(targets, prepend=0.0)).max() <= 2 * np.sin(np.pi * 0.02)


def test_sine_keeps_its_digits_over_a_long_series():
    frequency = 3 / 64  # exact in binary: after 64 steps the phase is a whole number of turns
    _, targets = sine_frequency(640_000, frequencies=[frequency], hold_lengths=640_000)
    np.testing.assert_array_equal(targets[:64], targets[-64:])


def test_sine_stairs_given_by_the_caller():
    inputs, targets = sine_frequency(
        7,
        frequencies=[0.1, 0.3, 0.2],
        hold_lengths=[2, 4, 9],
        frequency_range=(0.1, 0.2),
        amplitude=2.0,
    )
    np.testing.assert_allclose(inputs[:, 0], [-1, -1, 3, 3, 3, 3, 1], atol=1e-14)
    phase = 2 * np.pi * np.array([0.1, 0.2, 0.5, 0.8, 1.1, 1.4, 1.6])
    np.testing.assert_allclose(targets, 2 * np.sin(phase), atol=1e-14)


def test_sine_levels_do_not_depend_on_the_length():
    short, _ = sine_frequency(500, random_state=2)
    long, _ = sine_frequency(700, random_state=2)
    np.testing.assert_array_equal(short, long[:500])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"frequency_range": (0.05, 0.01)}, "`frequency_range` is .* two rising"),
        ({"frequency_range": (0.1, 0.5)}, "between 0 and 0.5"),
        ({"frequency_range": (0.1,)}, "two rising"),
        ({"frequencies": [0.1, 0.5], "hold_lengths": 50}, "level outside"),
        ({"frequencies": [0.1, np.nan], "hold_lengths": 50}, "level outside"),
        ({"frequencies": [0.1, 0.2], "hold_lengths": 49}, "cover 98 steps, but `n_steps` is 100"),
        ({"frequencies": [0.1, 0.2], "hold_lengths": [100]}, "2 levels, but .* 1 lengths"),
        ({"hold_lengths": 0}, "`hold_lengths` is 0"),
        ({"hold_lengths": [100, 0]}, "`hold_lengths` has a length"),
        ({"hold_lengths": [50.0, 50.0]}, "`hold_lengths` has a length"),
        ({"hold_range": (30, 20)}, "shortest stair first"),
        ({"hold_range": (0, 20)}, "`hold_range` is 0"),
        ({"hold_range": (10, 20, 30)}, "two lengths"),
        ({"amplitude": 0.0}, "`amplitude` is 0.0"),
    ],
)
def test_sine_bad_input(arguments, match):
    with pytest.raises(ValueError, match=match):
        sine_frequency(100, **arguments)


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


# lorenz


def lorenz_slope(_, s):
    return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]


def test_lorenz_order_is_four():
    start = [-5.0, -6.0, 22.0]
    exact = solve_ivp(
        lorenz_slope, (0, 1), start, method="DOP853", rtol=1e-13, atol=1e-13, t_eval=[0.5, 1.0]
    ).y.T
    errors = []
    for substeps in [2, 4, 8, 16]:
        series = lorenz(51, initial_state=start, discard=0, substeps=substeps)
        np.testing.assert_array_equal(series[0], start)
        errors.append(np.abs(series[[25, 50]] - exact).max())
    orders = observed_orders(errors)
    assert np.all((orders > 3.8) & (orders < 4.2)), orders
    default = lorenz(51, initial_state=start, discard=0)
    assert np.abs(default[[25, 50]] - exact).max() < 1e-6


def test_lorenz_fixed_points_stay():
    edge = np.sqrt(8 / 3 * 27)
    for point in [[0, 0, 0], [edge, edge, 27], [-edge, -edge, 27]]:
        series = lorenz(20, initial_state=point, discard=0)
        np.testing.assert_allclose(series, np.tile(point, (20, 1)), atol=1e-12)


def test_lorenz_parameters_of_the_callers():
    # On the z axis the flow is z' = -beta z.
    series = lorenz(11, initial_state=[0, 0, 3], beta=0.5, dt=0.1, discard=0)
    np.testing.assert_allclose(series[:, 2], 3 * np.exp(-0.05 * np.arange(11)), rtol=1e-9)
    # sigma = rho = beta = 0, x = 1: y' = -z - y, z' = y, a damped oscillator.
    series = lorenz(11, initial_state=[1, 0, 1], sigma=0, rho=0, beta=0, dt=0.1, discard=0)
    t = 0.1 * np.arange(11)
    w = np.sqrt(3) / 2
    expected = np.exp(-t / 2) * (np.cos(w * t) + np.sin(w * t) / (2 * w))
    np.testing.assert_allclose(series[:, 2], expected, atol=1e-8)


def test_lorenz_lies_on_the_attractor():
    series = lorenz(20_000, random_state=0)
    np.testing.assert_allclose(series.mean(axis=0)[2], 23.55, atol=0.3)
    # <z'> = 0 on the attractor: <xy> = beta <z>.
    xy = (series[:, 0] * series[:, 1]).mean()
    assert xy == pytest.approx(8 / 3 * series[:, 2].mean(), rel=5e-3)


def test_lorenz_bad_input():
    with pytest.raises(ValueError, match=r"`initial_state` has shape \(2,\)"):
        lorenz(10, initial_state=[1.0, 2.0])
    with pytest.raises(ValueError, match="or is not finite"):
        lorenz(10, initial_state=[1.0, 2.0, np.nan])
    with pytest.raises(ValueError, match=r"`dt` is 0\.0"):
        lorenz(10, dt=0.0)
    with pytest.raises(ValueError, match="`substeps` is 0"):
        lorenz(10, substeps=0)
    with pytest.raises(
        FloatingPointError, match=r"lorenz trajectory is not finite from row .* `dt`"
    ):
        lorenz(100, dt=1.0, substeps=1)


# lorenz96


def lorenz96_slope(_, x):
    return (np.roll(x, -1) - np.roll(x, 2)) * np.roll(x, 1) - x + 8.0


def test_lorenz96_order_is_four(rng):
    start = 8.0 + rng.standard_normal(9)
    exact = solve_ivp(lorenz96_slope, (0, 0.5), start, method="DOP853", rtol=1e-13, atol=1e-13).y[
        :, -1
    ]
    errors = []
    for substeps in [2, 4, 8, 16]:
        series = lorenz96(11, n_sites=9, initial_state=start, discard=0, substeps=substeps)
        np.testing.assert_array_equal(series[0], start)
        errors.append(np.abs(series[-1] - exact).max())
    orders = observed_orders(errors)
    assert np.all((orders > 3.7) & (orders < 4.3)), orders


def test_lorenz96_fixed_point_and_ring_symmetry(rng):
    np.testing.assert_array_equal(
        lorenz96(5, n_sites=7, initial_state=np.full(7, 8.0), discard=0), np.full((5, 7), 8.0)
    )
    start = rng.standard_normal(11)
    series = lorenz96(30, n_sites=11, initial_state=start, discard=0)
    turned = lorenz96(30, n_sites=11, initial_state=np.roll(start, 4), discard=0)
    np.testing.assert_array_equal(turned, np.roll(series, 4, axis=1))


def test_lorenz96_energy_balance():
    # The advection moves energy but makes none: on the attractor <x^2> = F <x>.
    series = lorenz96(4000, random_state=1)
    assert series.shape == (4000, 40)
    assert (series**2).mean() == pytest.approx(8 * series.mean(), rel=2e-2)


def test_lorenz96_bad_input():
    with pytest.raises(ValueError, match="`n_sites` is 3"):
        lorenz96(10, n_sites=3)
    with pytest.raises(ValueError, match=r"expected\s+6 finite numbers"):
        lorenz96(10, n_sites=6, initial_state=np.ones(5))
    with pytest.raises(FloatingPointError, match="lorenz96 trajectory is not finite"):
        lorenz96(500, dt=1.0, substeps=1)
    with pytest.raises(ValueError, match="`forcing` is nan"):
        lorenz96(10, forcing=np.nan)


# multiple_superimposed_oscillators


def test_oscillators_obey_their_linear_recurrence():
    # A sum of two sines is annihilated by the product of (1 - 2 cos(w) S + S^2).
    series = multiple_superimposed_oscillators(400, 2)
    assert series.shape == (400, 1)
    filters = [[1, -2 * np.cos(w), 1] for w in (0.2, 0.311)]
    assert np.abs(np.convolve(series[:, 0], np.convolve(*filters), "valid")).max() < 1e-12
    assert series[0, 0] == 0.0


def test_oscillators_at_one_step():
    published = [0.2, 0.311, 0.42, 0.51, 0.63, 0.74, 0.85, 0.97]
    for n in range(1, 9):
        series = multiple_superimposed_oscillators(60, n)
        expected = sum(np.imag(np.exp(1j * w * 59)) for w in published[:n])
        assert series[59, 0] == pytest.approx(expected, abs=1e-12)
    own = multiple_superimposed_oscillators(8, frequencies=[np.pi / 2])
    np.testing.assert_allclose(own[:, 0], [0, 1, 0, -1] * 2, atol=1e-14)


def test_oscillators_bad_input():
    with pytest.raises(ValueError, match=r"`n_oscillators` is 9.* at most 8"):
        multiple_superimposed_oscillators(10, 9)
    with pytest.raises(ValueError, match="`frequencies` is of shape"):
        multiple_superimposed_oscillators(10, frequencies=[0.1, np.inf])


# henon


def test_henon_obeys_its_map():
    series = henon(500, random_state=0)
    x, y = series.T
    np.testing.assert_allclose(x[1:], 1 - 1.4 * x[:-1] ** 2 + y[:-1], atol=1e-15)
    np.testing.assert_allclose(y[1:], 0.3 * x[:-1], atol=1e-15)
    assert -1.29 < x.min() < -1.2
    assert 1.2 < x.max() < 1.28


def test_henon_fixed_points_stay():
    # 1.4 x^2 + 0.7 x - 1 = 0; the point is unstable, so rounding grows by 1.93 a step.
    for sign in (1, -1):
        x = (-0.7 + sign * np.sqrt(0.49 + 5.6)) / 2.8
        series = henon(10, initial_state=[x, 0.3 * x], discard=0)
        np.testing.assert_allclose(series, np.tile([x, 0.3 * x], (10, 1)), atol=1e-10)


def test_henon_without_folding_is_linear():
    series = henon(20, a=0.0, b=0.5, initial_state=[2.0, 1.0], discard=0)
    # x[t+1] = 1 + x[t-1] / 2 tends to 2 on the even and on the odd steps.
    assert series[0, 0] == 2.0
    np.testing.assert_array_equal(series[:, 0], 2.0)


def test_henon_bad_input():
    with pytest.raises(FloatingPointError, match="henon trajectory is not finite from row"):
        henon(100, initial_state=[10.0, 0.0])
    with pytest.raises(ValueError, match=r"`initial_state` has shape \(3,\)"):
        henon(10, initial_state=[0.0, 0.0, 0.0])
