"""Candidates: nothing after an origin reaches the forecasts from it, and the best of each group."""

import numpy as np

from reservoir.dynamics import Reservoir
from reservoir.forecasting._backtest import (
    Backtest,
    ForecastSettings,
    SeriesData,
    SimpleMember,
    best_of_groups,
    learned_candidates,
    simple_candidates,
)

SETTINGS = ForecastSettings((6,), 5, "both", "both", "auto", 3.0)


def make_data(y):
    return SeriesData(y, np.ones(len(y), bool), np.zeros((len(y), 0)))


def make_reservoir(rng):
    return Reservoir(rng.normal(size=(8, 8)) / 4, rng.normal(size=(8, 1)), rng.normal(size=8))


def test_forecasts_know_nothing_of_what_comes_after_their_origin(rng):
    y = 10 + np.sin(np.arange(90)) + 0.1 * rng.normal(size=90)
    backtest = Backtest.of(90, SETTINGS)
    reservoir = make_reservoir(rng)
    plain = list(learned_candidates(make_data(y), reservoir, SETTINGS, backtest))
    for number in (0, len(backtest.origins) // 2):
        other = y.copy()
        origin = backtest.origins[number]
        # Within the range seen, so that the same spaces are tried.
        other[origin:] = rng.permutation(y)[: 90 - origin].clip(y.min(), y.max())
        moved = list(learned_candidates(make_data(other), reservoir, SETTINGS, backtest))
        assert [found.choice for found in moved] == [found.choice for found in plain]
        for found, expected in zip(moved, plain, strict=True):
            np.testing.assert_array_equal(
                found.forecasts[: number + 1], expected.forecasts[: number + 1]
            )
            assert found.score != expected.score


def test_scores_are_mean_absolute_errors_and_the_lowest_of_a_group_is_kept(rng):
    y = 10 + np.sin(np.arange(90)) + 0.1 * rng.normal(size=90)
    backtest = Backtest.of(90, SETTINGS)
    found = list(learned_candidates(make_data(y), make_reservoir(rng), SETTINGS, backtest))
    truth = np.stack([y[o : o + 5] for o in backtest.origins])
    for candidate in found:
        np.testing.assert_allclose(candidate.score, np.abs(candidate.forecasts - truth).mean())
    best = best_of_groups(found)
    groups = {}
    for candidate in found:
        space, view = candidate.choice.space, candidate.choice.view
        key = space.season, space.difference, candidate.choice.horizon, view.has_fourier
        groups[key] = min(groups.get(key, np.inf), candidate.score)
    # Four spaces of log or not, iterated and direct; periodic terms where there is no season.
    assert len(groups) == 2 * 2 * 2 + 2 * 2
    assert sorted(candidate.score for candidate in best) == sorted(groups.values())


def test_origins_are_equally_spaced_and_leave_the_horizon():
    backtest = Backtest.of(90, SETTINGS)
    assert backtest.origins[0] == 90 - 20
    assert backtest.origins[-1] == 90 - 5
    hours = ForecastSettings((24, 168), 48, "both", "both", "auto", 3.0)
    # A week of hours before the last day that is looked ahead.
    assert Backtest.of(900, hours).origins[0] == 900 - 216
    assert len(Backtest.of(900, hours).origins) == 32
    assert Backtest.of(8, ForecastSettings((), 2, "both", "both", "auto", 3.0)).origins[0] == 4


def test_members_without_a_readout_repeat_average_and_draw_a_line():
    y = np.array([1.0, 2.0, 3.0, 5.0, 8.0, 4.0, 6.0])
    at = np.array([7])
    assert SimpleMember(1).forecast(y, at, 3).tolist() == [[6, 6, 6]]
    assert SimpleMember(3).forecast(y, at, 4).tolist() == [[8, 4, 6, 8]]
    assert SimpleMember(3, 2).forecast(y, at, 4).tolist() == [[5, 3.5, 5.5, 5]]
    np.testing.assert_allclose(
        SimpleMember(1, drifts=True).forecast(y, at, 2), [[6 + 5 / 6, 6 + 10 / 6]]
    )
    long = np.tile(y, 10)
    names = [
        one.choice.name
        for one in simple_candidates(
            make_data(long),
            ForecastSettings((7, 30), 5, "both", "both", "auto", 3.0),
            Backtest.of(70, SETTINGS),
            with_drift=True,
        )
    ]
    assert names == [
        "naive", "seasonal naive, 7", "mean of 2 seasons of 7", "mean of 4 seasons of 7",
        "seasonal naive, 30", "drift",
    ]  # fmt: skip
