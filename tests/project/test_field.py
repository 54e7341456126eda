"""The measures by which benchmarks of others are scored, against values worked out by hand."""

import csv
import gzip
import json

import numpy as np
import pytest

from benchmarks.field import chaos, etth1, m4
from benchmarks.field.metrics import mase, msis, owa, rank, seasonal_scale, smape
from benchmarks.results_cache import Cache
from reservoir.readout import GramAccumulator, solve_ridge


def test_smape():
    # 200 (1/3 + 0 + 1) / 3, and nothing where both are 0.
    assert smape(np.array([1.0, 4.0, -1.0]), np.array([2.0, 4.0, 1.0])) == pytest.approx(800 / 9)
    assert smape(np.array([0.0, 2.0]), np.array([0.0, 0.0])) == 100.0
    assert smape(np.array([1.0, -2.0]), np.array([-1.0, 2.0])) == 200.0


def test_mase():
    known = np.array([1.0, 5.0, 2.0, 7.0, 5.0])  # two steps apart: 1, 2, 3
    assert seasonal_scale(known, 2) == 2.0
    assert mase(np.array([4.0, 6.0]), np.array([5.0, 9.0]), known, 2) == 1.0


def test_msis():
    known = np.array([0.0, 2.0, 0.0])  # scale 2
    truth = np.array([1.0, 5.0, -1.0])
    lower, upper = np.zeros(3), np.full(3, 4.0)
    # Width 4; two of three are missed by 1, at 2 / .05 = 40 each.
    assert msis(truth, lower, upper, known, 1) == pytest.approx((4 + 80 / 3) / 2)
    assert msis(truth, lower, upper, known, 1, level=80) == pytest.approx((4 + 20 / 3) / 2)


def test_owa_and_rank():
    assert owa(9.0, 1.0, 18.0, 4.0) == 0.375
    assert rank(0.5, [0.4, 0.6, 0.5]) == 2
    assert rank(0.3, [0.4]) == 1


def test_naive2_has_an_owa_of_one(tmp_path):
    rows = [
        ["method_or_id", "authors", "owa", "smape", "mase", "msis"],
        ["Naive2", "The team", "1.0", "18.383", "2.395", ""],
        ["118", "Smyl", "0.44", "9.328", "0.893", "7.928"],
    ]
    with (tmp_path / "published_hourly.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    best, naive = m4.load_published(tmp_path)
    assert (best.name, best.msis) == ("Smyl", 7.928)
    assert owa(naive.smape, naive.mase, naive.smape, naive.mase) == naive.owa
    # As the competition's own table has it, to its three digits.
    assert owa(best.smape, best.mase, naive.smape, naive.mase) == pytest.approx(best.owa, abs=5e-4)


def test_m4_reads_ragged_rows(tmp_path):
    with gzip.open(tmp_path / "hourly_train.csv.gz", "wt", encoding="utf-8") as file:
        file.write('"V1","V2","V3"\n"H1","1","2"\n"H2","3",\n')
    (tmp_path / "hourly_test.csv").write_text('"V1","V2"\n"H1","4"\n"H2","5"\n', encoding="utf-8")
    (known, later), (short, _) = m4.load(tmp_path)
    assert (known.tolist(), later.tolist(), short.tolist()) == ([1.0, 2.0], [4.0], [3.0])


def test_chaos_fills_gaps_and_continues_constants():
    np.testing.assert_array_equal(chaos.filled(np.array([np.nan, 1.0, np.nan, 3.0])), [1, 1, 2, 3])
    constant = np.full(1000, 7.0)
    assert chaos.choose(constant, 5) == []
    np.testing.assert_array_equal(chaos.forecast(constant, []), np.full(200, 7.0))
    assert np.isfinite(chaos.forecast(np.full(1000, np.nan), [])).all()


def test_chaos_forecasts_what_it_has_chosen_for(monkeypatch):
    monkeypatch.setattr(chaos, "N_UNITS", 60)
    monkeypatch.setattr(chaos, "N_SETTINGS", 2)
    wave = np.sin(0.11 * np.arange(1200)) + 0.5 * np.sin(0.07 * np.arange(1200))
    settings = chaos.choose(wave, 5)
    assert len(settings) == chaos.N_BEST
    assert {setting["random_state"] for setting in settings} <= set(range(chaos.N_SEEDS))
    path = chaos.forecast(wave[:1000], settings)
    assert np.abs(path - wave[1000:]).max() < 0.1


def test_chaos_agrees_with_what_was_published_of_the_naive_mean(tmp_path):
    y = np.r_[np.tile([1.0, 3.0], 500), np.full(199, 6.0), 1e9]
    with gzip.open(tmp_path / "test.json.gz", "wt", encoding="utf-8") as file:
        json.dump({"one": {"dt": 0.1, "values": y.tolist()}}, file)
    series = chaos.load(tmp_path / "test.json.gz")
    # The mean is 2, of 199 steps each has an error of 4 / 8; the last step isn't scored.
    assert chaos.difference_of_naive_mean(series, np.array([100.0])) == pytest.approx(0, abs=1e-12)
    assert chaos.difference_of_naive_mean(series, np.array([99.0])) == pytest.approx(1.0)


def test_median_ranks():
    published = {"a": np.array([1.0, 5.0, 9.0]), "b": np.array([2.0, 1.0, 8.0])}
    # Places of ours: 3, 2.5, 1; of a: 1, 2.5, 3; of b: 2, 1, 2.
    assert chaos.median_ranks(np.array([3.0, 5.0, 7.0]), published) == (2.5, [2.5, 2.0])


def test_cache_goes_on(tmp_path):
    path = tmp_path / "kept"
    assert Cache(path).get("one", lambda: [1.5]) == [1.5]
    assert Cache(path).get("one", lambda: pytest.fail("computed again")) == [1.5]
    assert Cache(None).get("one", lambda: [2]) == [2.0]


@pytest.fixture
def table(rng):
    """Seven series of 20 months."""
    return rng.normal(size=(etth1.N_LEARNED + etth1.N_CHOICE + etth1.N_TEST, 7))


def test_windows_of_the_months_for_choosing_look_back_into_those_before(table):
    first, stop = etth1.N_LEARNED, etth1.N_LEARNED + etth1.N_CHOICE
    blocks = list(etth1.windows(table[:, 0], first, stop, 5, 3, None))
    features, targets, level = (np.vstack(part) for part in list(zip(*blocks))[:3])
    assert len(features) == etth1.N_CHOICE - 3 + 1
    np.testing.assert_allclose((features + level)[0], table[first - 5 : first, 0])
    np.testing.assert_allclose((targets + level)[-1], table[stop - 3 : stop, 0])
    (rows,) = etth1.windows(table[:100, 0], 0, 20, 5, 3, np.arange(100.0)[:, np.newaxis])
    assert rows.features.shape == (13, 6)
    # A state is that of the last value seen.
    assert rows.features[[0, -1], -1].tolist() == [4.0, 16.0]
    assert rows.level[0, 0] == table[4, 0]


def test_squared_error_is_that_of_the_rows(rng):
    features, targets = rng.normal(size=(50, 4)) + 3, rng.normal(size=(50, 2)) - 2
    sums = GramAccumulator(4, 2).update(features, targets)
    solution = solve_ridge(GramAccumulator(4, 2).update(features[:20], targets[:20]), 0.7)
    error = targets - features @ solution.coef.T - solution.intercept
    assert etth1.squared_error(sums, solution) == pytest.approx(np.mean(error**2), rel=1e-10)


def test_fewer_lags_are_a_part_of_the_sums(table, monkeypatch):
    monkeypatch.setattr(etth1, "MOST_LAGS", 7)
    series = table[:, :1]
    part = etth1.with_lags(etth1.sums_of(series, 0, 400, 2, None, weighted=True), 3)
    # The same windows: weights look back farther in the first.
    (long,) = etth1.windows(series[:, 0], 0, 400, 7, 2, None)
    (short,) = etth1.windows(series[4:, 0], 0, 396, 3, 2, None)
    brute = GramAccumulator(3, 2).update(short.features, short.targets, long.weight)
    assert part.n_rows == brute.n_rows == 392
    np.testing.assert_allclose(
        solve_ridge(part, 2.0).coef, solve_ridge(brute, 2.0).coef, rtol=1e-9, atol=1e-12
    )


def test_readout_of_lags_finds_a_linear_series(monkeypatch):
    monkeypatch.setattr(etth1, "ALPHAS", (1e-6, 1.0))
    monkeypatch.setattr(etth1, "MOST_LAGS", 3)
    t = np.arange(etth1.N_LEARNED + etth1.N_CHOICE + etth1.N_TEST)
    z = np.column_stack([np.sin(2 * np.pi * t / 24), np.cos(2 * np.pi * t / 24)])
    choice = etth1.choose(z, 4, (2, 3), None)
    assert choice.alpha == 1e-6
    square, absolute = etth1.errors_of_test(z, 4, choice, None)
    assert square < 1e-12
    assert absolute < 1e-6


def test_readout_of_lags_and_level_tells_how_high_a_series_stands(rng, monkeypatch):
    monkeypatch.setattr(etth1, "ALPHAS", (1e-6, 1.0))
    monkeypatch.setattr(etth1, "MOST_LAGS", 3)
    n = etth1.N_LEARNED + etth1.N_CHOICE + etth1.N_TEST
    series = np.zeros(n)
    for t in range(1, n):  # returns to its mean, by as much as it is away
        series[t] = 0.5 * series[t - 1] + rng.normal()
    z = series[:, np.newaxis]
    errors = {}
    for kind in ("lags", "lags, level"):
        states = etth1.kinds_of(z)[kind]
        choice = etth1.choose(z, 2, (3,), states)
        errors[kind] = etth1.errors_of_test(z, 2, choice, states)[0]
    # Of the best forecast the mean squared errors of one and two steps are 1 and 1.25.
    assert errors["lags, level"] == pytest.approx(1.125, rel=0.05)
    assert errors["lags"] > 1.05 * errors["lags, level"]


def test_etth1_is_standardised_by_the_months_that_are_learned_from(tmp_path):
    n = etth1.N_LEARNED + etth1.N_CHOICE + etth1.N_TEST
    values = np.r_[np.tile([1.0, 3.0], etth1.N_LEARNED // 2), np.full(n - etth1.N_LEARNED, 7.0), 9]
    lines = [f"then,{value},{10 * value}" for value in values]
    (tmp_path / "ETTh1.csv").write_text("\n".join(["date,HUFL,OT", *lines]), encoding="utf-8")
    z = etth1.load(tmp_path / "ETTh1.csv")
    assert z.shape == (n, 2)
    np.testing.assert_allclose(z[[0, 1, -1]], [[-1, -1], [1, 1], [5, 5]])
