"""The detector against definitions, on fresh data of known processes, and row by row."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import chi2, f
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import ESNRegressor, ReservoirDetector
from reservoir.datasets import lorenz
from reservoir.detection._calibration import robust_spread, squared_distances, threshold_for

EXPECTED_FAILURES = {
    "check_methods_sample_order_invariance": "the state depends on the order of rows",
    "check_methods_subset_invariance": "the state depends on the rows before",
    "check_fit2d_1sample": "one step cannot be predicted",
}


@parametrize_with_checks(
    [ReservoirDetector(ESNRegressor(10, washout=1), n_folds=2, false_alarms=0.05)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_conventions(estimator, check):
    check(estimator)


def small(**settings):
    settings = {"false_alarms": 0.01, "random_state": 0, **settings}
    return ReservoirDetector(ESNRegressor(30, washout=10), **settings)


def waves(n_steps, seed=0, noise=0.1):
    t = np.arange(n_steps)
    clean = np.column_stack([np.sin(0.2 * t), 50 + 10 * np.cos(0.13 * t)])
    return clean + noise * np.random.default_rng(seed).normal(size=clean.shape) * [1, 10]


# -- calibration -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_scores", "rate"), [(30_000, 0.01), (200_000, 3e-4)])
@pytest.mark.parametrize("truth", [chi2(1), chi2(3), f(1, 3)], ids=["chi2", "chi2 of 3", "t of 3"])
def test_thresholds_of_known_distributions(truth, n_scores, rate):
    """From a quantile, and from a fitted tail, whose rates have deviations of 6 and 13 percent."""
    scores = truth.rvs(n_scores, random_state=0)
    assert truth.sf(threshold_for(scores, rate)) == pytest.approx(rate, rel=0.35)


def test_a_tail_goes_beyond_what_was_seen():
    scores = chi2(1).rvs(5000, random_state=0)
    threshold = threshold_for(scores, 1e-5)
    assert threshold > scores.max()
    assert 1e-7 < chi2(1).sf(threshold) < 1e-4
    assert threshold_for(np.ones(50), 0.001) == 1.0


def test_spread_is_of_the_majority(rng):
    mixing = np.array([[2.0, 0.0], [1.5, 0.3]])
    errors = rng.normal(size=(4000, 2)) @ mixing.T + [5.0, -7.0]
    errors[:400] += 1000.0
    location, whitening = robust_spread(errors, 0)
    np.testing.assert_allclose(location, [5.0, -7.0], atol=0.15)
    covariance = np.linalg.inv(whitening @ whitening.T)
    np.testing.assert_allclose(covariance, mixing @ mixing.T, rtol=0.15)
    one_location, one_whitening = robust_spread(errors[:, :1], 0)
    assert one_location == pytest.approx([5.0], abs=0.4)
    assert 1 / one_whitening[0, 0] == pytest.approx(2.0, rel=0.25)
    distances = squared_distances(errors[400:], location, whitening)
    assert np.median(distances) == pytest.approx(chi2(2).median(), rel=0.1)


# -- false alarms ----------------------------------------------------------------------------------

NOISES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "t of 3": lambda rng, n: rng.standard_t(3, size=n),
    "laplace": lambda rng, n: rng.laplace(size=n),
}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_false_alarms_on_fresh_data_are_as_asked_for(rng, noise):
    """200 held-out steps lie beyond the threshold: a deviation of 7 percent."""
    n_steps = 60_000
    season = np.sin(2 * np.pi * np.arange(n_steps) / 24)
    series = (lfilter([1], [1, -1.2, 0.6], noise(rng, n_steps)) + season)[:, None]
    detector = small().fit(series[:20_000])
    share = np.mean(detector.predict(series[20_000:]) == -1)
    assert share == pytest.approx(0.01, rel=0.2)


def test_false_alarms_of_a_chaotic_system_with_noise(rng):
    series = lorenz(60_000, dt=0.05, random_state=0)
    series = series + rng.standard_t(5, size=series.shape)
    detector = small().fit(series[:20_000])
    share = np.mean(detector.predict(series[20_000:]) == -1)
    assert share == pytest.approx(0.01, rel=0.2)


# -- scores ----------------------------------------------------------------------------------------


def test_scores_are_distances_of_one_step_errors():
    series = waves(900)
    detector = small().fit(series[:600])
    scaled = (series - series[:600].mean(axis=0)) / series[:600].std(axis=0)
    errors = scaled[601:] - detector.regressor_.predict(scaled[600:-1])
    precision = detector.whitening_ @ detector.whitening_.T
    centred = errors - detector.location_
    expected = -np.einsum("ti,ij,tj->t", centred, precision, centred)
    scores = detector.score_samples(series[600:])
    np.testing.assert_allclose(scores[11:], expected[10:], rtol=1e-9)
    np.testing.assert_array_equal(scores[:11], 0.0)
    np.testing.assert_array_equal(detector.predict(series[600:]) == -1, scores < detector.offset_)


def test_an_anomaly_is_found_where_it_is():
    series = waves(1200, noise=0.02)
    series[1000, 0] += 1.0
    series[1100:] = series[1100]  # frozen
    found = small(false_alarms=1e-3).fit(series[:800]).predict(series[800:])
    alarms = np.flatnonzero(found == -1) + 800
    assert 1000 in alarms
    assert (alarms > 1100).any()
    assert np.sum(alarms < 1000) <= 2


def test_units_do_not_matter():
    series = waves(900)
    one = small().fit(series[:600]).predict(series[600:])
    other = small().fit(series[:600] * [1e9, 1e-9]).predict(series[600:] * [1e9, 1e-9])
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("form", ["list", "array", "groups"])
def test_several_series(form):
    parts = [waves(300, seed) for seed in range(3)]
    given = {"list": parts, "array": np.stack(parts), "groups": np.vstack(parts)}[form]
    groups = np.repeat([0, 1, 2], 300) if form == "groups" else None
    detector = small().fit(given, groups=groups)
    scores = detector.score_samples(given, groups=groups)
    alone = [detector.score_samples(part) for part in parts]
    np.testing.assert_allclose(np.reshape(scores, -1), np.concatenate(alone), rtol=1e-9, atol=1e-9)
    labels = detector.predict(given, groups=groups)
    assert np.shape(labels) == np.shape(scores)


def test_held_out_errors_are_of_steps_that_were_not_learned():
    """Of a series of coins a network of many units learns each by heart, and predicts none."""
    coins = np.random.default_rng(0).choice([-1.0, 1.0], size=(120, 1))
    regressor = ESNRegressor(300, washout=5, alpha=1e-8, input_scaling=1.0)
    detector = ReservoirDetector(regressor, random_state=0).fit(coins)
    scaled = (coins - coins.mean()) / coins.std()
    learned = scaled[1:] - detector.regressor_.predict(scaled[:-1])
    assert abs(learned[5:]).max() < 0.1
    assert np.sqrt(np.mean(detector.held_out_errors_**2)) > 0.8


# -- live ------------------------------------------------------------------------------------------


def test_steps_go_on_from_training_as_one_series():
    series = waves(700)
    detector = small().fit(series[:600])
    live = [detector.score_step(row) for row in series[600:]]
    np.testing.assert_allclose(live, detector.score_samples(series)[600:], rtol=1e-6, atol=1e-9)


def test_steps_from_the_start():
    series = waves(700)
    detector = small().fit(series[:600])
    live = [detector.reset().score_step(series[0])]
    live += [detector.score_step(row) for row in series[1:60]]
    np.testing.assert_allclose(live, detector.score_samples(series[:60]), rtol=1e-9, atol=1e-12)


def test_learning_on_adds_errors_made_before_learning():
    series = waves(1000)
    detector = small().fit(series[:600])
    before, offset = detector.held_out_errors_, detector.offset_
    scaled = (series - detector.center_) / detector.scale_
    expected = scaled[600:] - detector.regressor_.predict(scaled[599:-1], initial_state="last")
    detector.partial_fit(series[600:])
    np.testing.assert_array_equal(detector.held_out_errors_[: len(before)], before)
    np.testing.assert_allclose(detector.held_out_errors_[len(before) :], expected, rtol=1e-9)
    assert detector.offset_ != offset
    whole = ESNRegressor(30, washout=10, random_state=detector.regressor_.random_state)
    whole.fit(scaled[:-1], scaled[1:])
    np.testing.assert_allclose(detector.regressor_.coef_, whole.coef_, rtol=1e-5, atol=1e-8)


def test_a_failed_fit_changes_nothing():
    series = waves(700)
    detector = small().fit(series[:600])
    before = detector.score_samples(series)
    for call in (detector.fit, detector.partial_fit):
        with pytest.raises(ValueError, match="NaN"):
            call(np.full((50, 2), np.nan))
    np.testing.assert_array_equal(detector.score_samples(series), before)


# -- gaps, files, errors ---------------------------------------------------------------------------


def test_gaps_count_as_normal():
    series = waves(900)
    series[300:310] = np.nan
    series[700, 1] = np.nan
    detector = small(missing="hold").fit(series[:600])
    scores = detector.score_samples(series[600:])
    assert scores[100] == 0.0
    assert np.isfinite(scores).all()
    assert np.isfinite(detector.held_out_errors_).all()
    live = [detector.reset().score_step(series[600])]
    live += [detector.score_step(row) for row in series[601:]]
    np.testing.assert_allclose(live, scores, rtol=1e-7, atol=1e-9)


def test_saved_and_loaded(tmp_path):
    series = waves(700)
    detector = small().fit(series[:600])
    detector.save(tmp_path / "detector.npz")
    loaded = ReservoirDetector.load(tmp_path / "detector.npz")
    np.testing.assert_array_equal(loaded.score_samples(series), detector.score_samples(series))
    assert loaded.score_step(series[600]) == detector.score_step(series[600])


def test_one_seed_one_result():
    series = waves(700)
    first, second = (small().fit(series).score_samples(series) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"false_alarms": 0.0}, ValueError, "false_alarms"),
        ({"false_alarms": 1.0}, ValueError, "false_alarms"),
        ({"n_folds": 1}, ValueError, "n_folds"),
        ({"regressor": "esn"}, TypeError, "regressor"),
        ({"missing": "drop"}, ValueError, "missing"),
    ],
)
def test_parameters_are_checked(settings, error, message):
    with pytest.raises(error, match=message):
        ReservoirDetector(**settings).fit(waves(300))


def test_bad_input_is_named():
    detector = small().fit(waves(300))
    with pytest.raises(ValueError, match="13 steps"):
        small().fit(waves(13))
    with pytest.raises(ValueError, match=r"`x` has shape \(3,\)"):
        detector.score_step([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="finite"):
        detector.score_step([np.nan, 1.0])
    with pytest.raises(ValueError, match="2 sequences"):
        detector.partial_fit([waves(50), waves(50)])
    with pytest.raises(ValueError, match="reset"):
        detector.reset().partial_fit(waves(50))
