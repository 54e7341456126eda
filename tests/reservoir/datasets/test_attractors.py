"""Lorenz, Lorenz 96 and Hénon: orders of convergence, fixed points, energy balance."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from reservoir.datasets import (
    henon,
    lorenz,
    lorenz96,
)
from tests.support.orders import observed_orders

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
