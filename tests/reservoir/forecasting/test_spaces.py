"""Differences and the way back, bounds, lags, periodic terms: against explicit loops."""

import numpy as np
import pytest

from reservoir.forecasting._features import choose_lags, fourier_terms
from reservoir.forecasting._spaces import Space, bounds_at, floor_of, spaces_for

SPACES = [
    Space(log, season, difference)
    for log in (False, True)
    for season in (0, 3, 7)
    for difference in (0, 1)
]


@pytest.mark.parametrize("space", SPACES)
def test_forward_is_the_difference_written_out(space, rng):
    y = rng.uniform(1, 5, size=30)
    w = [np.log(v) if space.log else v for v in y]
    if space.season:
        w = [w[t] - w[t - space.season] for t in range(space.season, len(w))]
    if space.difference:
        w = [w[t] - w[t - 1] for t in range(1, len(w))]
    np.testing.assert_allclose(space.forward(space.axis(y)), w, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_integrating_the_differences_gives_the_series_back(space, horizon, rng):
    y = rng.uniform(1, 5, size=60)
    w = space.axis(y)
    z = space.forward(w)
    origins = np.array([12, 20, 40])
    ahead = np.stack([z[o - space.n_lost :][:horizon] for o in origins])
    truth = np.stack([y[o : o + horizon] for o in origins])
    # What lies behind an origin is hidden from it: only rows before count.
    found = np.stack([
        space.values(space.integrate(np.r_[w[:o], np.full(60 - o, np.nan)], np.array([o]), a[None]))
        for o, a in zip(origins, ahead, strict=True)
    ])[:, 0]  # fmt: skip
    np.testing.assert_allclose(found, truth, rtol=1e-12)


def test_the_base_is_the_naive_or_seasonal_naive_forecast():
    w = np.array([3.0, 8.0, 1.0, 4.0, 9.0, 3.0])
    at = np.array([6])
    assert Space(False, 0, 0).base(w, at, 4).tolist() == [[3, 3, 3, 3]]
    assert Space(False, 0, 1).base(w, at, 4).tolist() == [[3, 3, 3, 3]]
    assert Space(False, 3, 0).base(w, at, 4).tolist() == [[4, 9, 3, 4]]
    # The last season, moved by the last change from season to season: 3 - 1.
    assert Space(False, 3, 1).base(w, at, 4).tolist() == [[6, 11, 5, 8]]


def test_seasonal_differences_need_three_seasons_and_ten_steps():
    assert {space.season for space in spaces_for(83, [24], False)} == {0, 24}
    assert {space.season for space in spaces_for(82, [24], False)} == {0}
    assert len(spaces_for(1000, [24, 168], True)) == 12


def test_bounds_are_one_range_beyond_what_was_seen_before_each_origin():
    y = np.array([1.0, 3.0, 2.0, 11.0])
    low, high = bounds_at(y, np.array([3, 4]), None)
    assert low.tolist() == [[-1], [-9]]
    assert high.tolist() == [[5], [21]]
    assert floor_of(y) == pytest.approx(1 / 11)
    assert floor_of(y - 1) == 0
    assert floor_of(y - 2) is None
    assert bounds_at(y, np.array([4]), floor_of(y)).low == pytest.approx(1 / 11)


def test_lags_are_two_seasons_at_most_a_fifth_of_the_rows_and_those_about_longer_seasons():
    assert choose_lags(500, [12]).tolist() == list(range(24))
    assert choose_lags(60, [12]).tolist() == list(range(12))
    assert choose_lags(500, [52]).tolist() == [*range(24), 50, 51, 52]
    assert choose_lags(150, [52]).tolist() == list(range(24))
    assert choose_lags(4, []).tolist() == []


def test_periodic_terms_have_the_harmonics_of_each_season():
    terms = fourier_terms(np.arange(40), [4, 20])
    # Two of 4 steps (the sine of the second is 0), four of 20.
    assert terms.shape == (40, 4 + 8)
    t = np.arange(40)
    np.testing.assert_allclose(terms[:, 0], np.sin(2 * np.pi * t / 4), atol=1e-12)
    np.testing.assert_allclose(terms[:, 11], np.cos(2 * np.pi * 4 * t / 20), atol=1e-12)
