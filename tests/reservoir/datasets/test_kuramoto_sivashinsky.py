"""The Kuramoto-Sivashinsky equation and its integrator."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from reservoir.datasets import kuramoto_sivashinsky
from reservoir.datasets._exponential import etdrk4_coefficients, etdrk4_step


def series(z, first_term):
    """Sum first_term(n) zⁿ exactly, until the terms are below 1e-40."""
    z, power, total = Fraction(z), Fraction(1), Fraction(0)
    for n in itertools.count():
        term = first_term(n) * power
        total += term
        power *= z
        if n > 3 and abs(term) < Fraction(1, 10**40):
            return float(total)


def reference_coefficients(z):
    """The weights of one step from their power series in z, in exact arithmetic.

    With φ_k = Σ zⁿ / (n + k)!: φ₁ - 3 φ₂ + 4 φ₃, φ₂ - 2 φ₃ (of which the scheme takes two at each
    midpoint), and 4 φ₃ - φ₂ (Cox & Matthews 2002, eqs. 26-29, written by φ functions).
    """

    def inverse(n):
        return Fraction(1, math.factorial(n))

    def stage(n):
        return inverse(n + 1) / 2 ** (n + 1)

    def first(n):
        return inverse(n + 1) - 3 * inverse(n + 2) + 4 * inverse(n + 3)

    def middle(n):
        return inverse(n + 2) - 2 * inverse(n + 3)

    def last(n):
        return 4 * inverse(n + 3) - inverse(n + 2)

    return [series(z, term) for term in (stage, first, middle, last)]


@pytest.mark.parametrize("step", [1.0, 0.25])
def test_coefficients_keep_their_digits_from_zero_to_very_stiff(step):
    z = np.array([0.0, 1e-12, -1e-8, -1e-3, 0.25, -0.5, -1.0, 2.0, -9.0, -40.0])
    found = etdrk4_coefficients(z / step, step)
    np.testing.assert_array_equal(found.whole, np.exp(z))
    np.testing.assert_array_equal(found.half, np.exp(z / 2))
    expected = step * np.array([reference_coefficients(value) for value in z]).T
    np.testing.assert_allclose(np.array(found[2:]), expected, rtol=1e-12, atol=1e-15)


def test_a_stiff_mode_follows_its_forcing_at_once():
    # dv/dt = L v + c has the fixed point -c / L, reached in one step where exp(h L) is 0.
    by = etdrk4_coefficients(np.array([-1e6]), 0.1)
    v = etdrk4_step(np.array([7.0 + 0j]), lambda v: np.full_like(v, 3.0), by)
    assert v[0] == pytest.approx(3e-6, rel=1e-9)


def test_order_four_for_one_equation():
    # A logistic equation, (1 + e^(-t))⁻¹ from 1/2 on, half of its growth taken as N.
    errors = []
    for n_steps in (8, 16, 32, 64):
        by = etdrk4_coefficients(np.array([0.5]), 2.0 / n_steps)
        v = np.array([0.5 + 0j])
        for _ in range(n_steps):
            v = etdrk4_step(v, lambda v: 0.5 * v - v**2, by)
        errors.append(abs(v[0] - 1 / (1 + np.exp(-2.0))))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all((orders > 3.8) & (orders < 4.2)), orders


# -- the equation --------------------------------------------------------------------------------


def derivative_matrix(n_points, length):
    """The slope of the trigonometric interpolant as a dense matrix, from its closed form.

    Trefethen (2000), Spectral Methods in MATLAB, chapter 3.
    """
    assert n_points % 2 == 0
    lag = np.subtract.outer(np.arange(n_points), np.arange(n_points))
    with np.errstate(divide="ignore"):
        entries = 0.5 * (-1.0) ** lag / np.tan(lag * np.pi / n_points)
    entries[lag == 0] = 0.0
    return 2 * np.pi / length * entries


def test_order_four_against_another_integrator():
    # The smooth start of Kassam & Trefethen (2005), section 4.
    length, n_points, time = 32 * np.pi, 96, 3.0
    x = np.arange(n_points) * length / n_points
    start = np.cos(x / 16) * (1 + np.sin(x / 16))
    slope = derivative_matrix(n_points, length)
    curve = slope @ slope

    def equation(_, u):
        bent = curve @ u
        return -slope @ (u**2) / 2 - bent - curve @ bent

    exact = solve_ivp(equation, (0, time), start, method="DOP853", rtol=1e-11, atol=1e-12)
    errors = []
    for substeps in (8, 16, 32, 64):
        u = kuramoto_sivashinsky(
            2,
            length=length,
            n_points=n_points,
            dt=time,
            substeps=substeps,
            initial_state=start,
            discard=0,
        )
        np.testing.assert_array_equal(u[0], start)
        errors.append(np.abs(u[1] - exact.y[:, -1]).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[-1] < 1e-8
    assert np.all((orders > 3.6) & (orders < 4.3)), orders


@pytest.mark.parametrize("n_points", [16, 17])
def test_small_waves_grow_and_decay_at_their_rates(n_points):
    # Products of two waves are of the square of this amplitude.
    amplitude, length, times = 1e-10, 15.0, 0.5 * np.arange(4)
    x = np.arange(n_points) * length / n_points
    k = 2 * np.pi / length * np.array([1, 2, 3])
    rates = k**2 - k**4
    phases = np.array([0.3, 1.0, -2.0])
    waves = np.exp(rates * times[:, None])[:, :, None] * np.cos(k[:, None] * x + phases[:, None])
    u = kuramoto_sivashinsky(
        4,
        length=length,
        n_points=n_points,
        dt=0.5,
        initial_state=amplitude * waves[0].sum(axis=0),
        discard=0,
    )
    np.testing.assert_allclose(u / amplitude, waves.sum(axis=1), rtol=1e-7, atol=1e-7)


def start_of(rng, n_points):
    """Waves one to four, with random phases."""
    x = 2 * np.pi * np.arange(n_points) / n_points
    return sum(np.cos(m * x + rng.uniform(0, 2 * np.pi)) for m in range(1, 5))


def test_mean_is_kept(rng):
    start = start_of(rng, 32) + 0.7
    u = kuramoto_sivashinsky(200, n_points=32, initial_state=start, discard=0)
    np.testing.assert_allclose(u.mean(axis=1), 0.7, rtol=0, atol=1e-13)
    drawn = kuramoto_sivashinsky(9, random_state=0)
    assert np.abs(drawn.mean(axis=1)).max() < 1e-14


def test_turned_and_mirrored_starts_give_turned_and_mirrored_fields(rng):
    start = start_of(rng, 32)
    settings = {"n_points": 32, "discard": 0}
    u = kuramoto_sivashinsky(40, initial_state=start, **settings)
    turned = kuramoto_sivashinsky(40, initial_state=np.roll(start, 5), **settings)
    np.testing.assert_allclose(turned, np.roll(u, 5, axis=1), atol=1e-11)
    # u(x) -> -u(-x)
    mirrored = kuramoto_sivashinsky(40, initial_state=-start[::-1], **settings)
    np.testing.assert_allclose(mirrored, -u[:, ::-1], atol=1e-11)


def test_a_field_that_is_carried_along(rng):
    # Galilean invariance: u(x - c t) + c solves the equation where u does. With this c the field
    # is carried by three sites a sample.
    n_points, length, dt = 48, 22.0, 0.25
    c = 3 * length / n_points / dt
    start = start_of(rng, n_points)
    settings = {"length": length, "n_points": n_points, "dt": dt, "discard": 0, "substeps": 200}
    u = kuramoto_sivashinsky(4, initial_state=start, **settings)
    carried = kuramoto_sivashinsky(4, initial_state=start + c, **settings)
    expected = np.array([np.roll(row, 3 * index) + c for index, row in enumerate(u)])
    np.testing.assert_allclose(carried, expected, atol=1e-6)


def test_energy_balance():
    # d/dt <u²> / 2 = <(∂u/∂x)²> - <(∂²u/∂x²)²>, whose mean over a long time is 0.
    u = kuramoto_sivashinsky(4000, n_points=32, dt=0.5, substeps=1, random_state=2)
    k = 2 * np.pi / 22 * np.arange(17)
    power = (np.abs(np.fft.rfft(u, axis=1)) ** 2).mean(axis=0)
    assert (power * k**2).sum() == pytest.approx((power * k**4).sum(), rel=5e-3)


def test_short_rings_decay_to_the_mean():
    u = kuramoto_sivashinsky(2, length=6.0, n_points=16, dt=1.0, discard=700, random_state=0)
    assert np.abs(u).max() < 1e-12


def test_bad_input():
    with pytest.raises(ValueError, match="`n_points` is 3"):
        kuramoto_sivashinsky(10, n_points=3)
    with pytest.raises(ValueError, match="`length` is 0"):
        kuramoto_sivashinsky(10, length=0.0)
    with pytest.raises(ValueError, match="`dt` is -1"):
        kuramoto_sivashinsky(10, dt=-1.0)
    with pytest.raises(ValueError, match="`substeps` is 0"):
        kuramoto_sivashinsky(10, substeps=0)
    with pytest.raises(ValueError, match=r"expected\s+64 finite numbers"):
        kuramoto_sivashinsky(10, initial_state=np.ones(5))
    with pytest.raises(ValueError, match=r"expected\s+64 finite numbers"):
        kuramoto_sivashinsky(10, initial_state=np.full(64, np.nan))
    with pytest.raises(FloatingPointError, match="kuramoto_sivashinsky trajectory is not finite"):
        kuramoto_sivashinsky(50, initial_state=1e6 * np.cos(np.arange(64.0)), discard=0, dt=10.0)
