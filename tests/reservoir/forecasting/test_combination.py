"""Weights and intervals against their formulas, and on errors of known size."""

import numpy as np
import pytest
from scipy.stats import norm

from reservoir.forecasting._combination import Intervals, weighted_variance, weights_of


def test_weights_fall_with_the_third_power_of_the_score():
    weights = weights_of(np.array([1.0, 2.0, 4.0]), 3.0)
    np.testing.assert_allclose(weights, np.array([64, 8, 1]) / 73)
    np.testing.assert_allclose(weights_of(np.array([1.0, 2.0]), 0.0), [0.5, 0.5])


def test_a_member_without_an_error_gets_nearly_all_the_weight():
    np.testing.assert_allclose(weights_of(np.array([0.0, 1.0, 5.0]), 3.0), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(weights_of(np.zeros(2), 3.0), [0.5, 0.5])


def test_variance_among_members_is_that_about_their_weighted_mean(rng):
    forecasts, weights = rng.normal(size=(4, 2, 3)), np.array([0.1, 0.2, 0.3, 0.4])
    expected = [
        [np.cov(forecasts[:, i, j], aweights=weights, ddof=0) for j in range(3)] for i in range(2)
    ]
    np.testing.assert_allclose(weighted_variance(forecasts, weights), expected, rtol=1e-12)


def test_half_widths_follow_the_formula(rng):
    errors, variances = rng.normal(size=(5, 4)), rng.uniform(size=(5, 4))
    errors[1, 2] = np.nan
    # The horizon is short: steps are smoothed over one neighbour on either side.
    squares = []
    for h in range(4):
        near = errors[:, max(h - 1, 0) : h + 2]
        squares.append(np.nanmean(near**2))
    scales = np.sqrt(np.array(squares) + variances)
    z = (np.abs(errors) / scales)[np.isfinite(errors)]
    factor = 0.5 * (np.quantile(z, 0.8) + norm.ppf(0.9) * np.sqrt(np.mean(z**2)))
    intervals = Intervals.calibrate(errors, variances)
    v = np.full((1, 4), 0.3)
    expected = 1.35 * factor * np.sqrt(np.array(squares) + 0.3)
    np.testing.assert_allclose(intervals.half_widths(80, v)[0], expected, rtol=1e-12)


def test_intervals_of_normal_errors_cover_a_little_more_than_their_level(rng):
    errors = rng.normal(size=(400, 50)) * np.sqrt(np.arange(1, 51))
    intervals = Intervals.calibrate(errors, np.zeros_like(errors))
    width = intervals.half_widths(90, np.zeros((1, 50)))
    inside = (np.abs(rng.normal(size=(4000, 50)) * np.sqrt(np.arange(1, 51))) <= width).mean()
    # Wider by 1.35: 1.645 becomes 2.221.
    assert inside == pytest.approx(2 * norm.cdf(1.35 * norm.ppf(0.95)) - 1, abs=0.005)


def test_beyond_the_backtest_intervals_grow_as_those_of_a_random_walk():
    intervals = Intervals.calibrate(np.ones((3, 4)), np.zeros((3, 4)))
    widths = intervals.half_widths(80, np.zeros((1, 16)))[0]
    np.testing.assert_allclose(widths[15] / widths[3], 2.0)
    np.testing.assert_allclose(widths[7] / widths[3], np.sqrt(2))


def test_perfect_forecasts_have_no_width():
    intervals = Intervals.calibrate(np.zeros((3, 4)), np.zeros((3, 4)))
    assert not intervals.half_widths(95, np.zeros((1, 4))).any()
