"""Metrics against their definitions: nrmse, valid prediction time, weights."""

import numpy as np
import pytest
from scipy.signal import lfilter
from sklearn.metrics import r2_score

from reservoir.metrics import (
    histogram_distance,
    nrmse,
    power_spectrum_distance,
    valid_prediction_time,
)

# nrmse


def test_nrmse_by_hand():
    truth = [1.0, 3.0, 5.0, 7.0]
    prediction = [2.0, 2.0, 6.0, 6.0]  # every error is 1
    assert nrmse(truth, prediction) == pytest.approx(1 / np.sqrt(5), rel=1e-15)
    assert nrmse(truth, prediction, normalization="range") == pytest.approx(1 / 6)
    assert nrmse(truth, prediction, normalization="mean") == pytest.approx(1 / 4)
    assert nrmse(truth, prediction, normalization=2.0) == pytest.approx(1 / 2)
    assert nrmse(np.negative(truth), np.negative(prediction), normalization="mean") > 0


def test_nrmse_is_the_unexplained_part(rng):
    truth = rng.standard_normal((200, 3)) * [1.0, 10.0, 0.1] + [0.0, 5.0, -3.0]
    prediction = truth + rng.standard_normal((200, 3)) * [0.2, 1.0, 0.3]
    each = nrmse(truth, prediction, multioutput="raw_values")
    np.testing.assert_allclose(
        1 - each**2, r2_score(truth, prediction, multioutput="raw_values"), rtol=1e-12
    )
    assert nrmse(truth, prediction) == pytest.approx(each.mean())
    assert isinstance(nrmse(truth, prediction), float)


def test_nrmse_of_the_mean_is_one(rng):
    truth = rng.standard_normal(50)
    assert nrmse(truth, np.full(50, truth.mean())) == pytest.approx(1.0)
    assert nrmse(truth, truth) == 0.0


@pytest.mark.parametrize("normalization", ["std", "range", "mean"])
def test_nrmse_has_no_unit(rng, normalization):
    truth = rng.uniform(1, 2, size=(40, 2))
    prediction = truth + 0.1 * rng.standard_normal((40, 2))
    one = nrmse(truth, prediction, normalization=normalization)
    units = np.array([1000.0, 1e-6])
    other = nrmse(truth * units, prediction * units, normalization=normalization)
    assert other == pytest.approx(one, rel=1e-12)


def test_nrmse_with_one_scale_an_output():
    truth = np.zeros((4, 2))
    prediction = np.array([[1.0, 2.0]] * 4)
    each = nrmse(truth, prediction, normalization=[2.0, 8.0], multioutput="raw_values")
    np.testing.assert_array_equal(each, [0.5, 0.25])


def test_nrmse_of_a_column_and_a_vector():
    assert nrmse([[0.0], [2.0]], [1.0, 1.0]) == 1.0


@pytest.mark.parametrize("value", [3.0, 0.1])
def test_nrmse_of_a_constant_target_is_an_error(value):
    # The standard deviation of 0.1 repeated is 1.4e-17 in floating point, not 0.
    truth = np.full((10, 2), value)
    truth[:, 0] = np.arange(10)
    for normalization in ["std", "range"]:
        with pytest.raises(ValueError, match=f"the {normalization} 0 in output 1.* as a number"):
            nrmse(truth, truth, normalization=normalization)
    with pytest.raises(ValueError, match="the mean 0 in output 0"):
        nrmse([1.0, -1.0], [1.0, -1.0], normalization="mean")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"y_pred": [1.0, 2.0]}, r"`y_true` has shape \(3,\) and `y_pred` \(2,\)"),
        ({"y_pred": [[1.0, 2.0]] * 3}, r"`y_pred` \(3, 2\)"),
        ({"y_pred": [1.0, np.nan, 2.0]}, "`y_pred` has NaN"),
        ({"y_true": [1.0, np.inf, 2.0]}, "`y_true` has NaN"),
        ({"y_true": [], "y_pred": []}, r"`y_true` has shape \(0,\)"),
        ({"normalization": "variance"}, "`normalization` is 'variance'"),
        ({"normalization": 0.0}, "`normalization` is 0.0"),
        ({"normalization": [1.0, 2.0]}, "one for each of the 1 outputs"),
        ({"multioutput": "sum"}, "`multioutput` is 'sum'"),
    ],
)
def test_nrmse_bad_input(arguments, match):
    with pytest.raises(ValueError, match=match):
        nrmse(**{"y_true": [1.0, 2.0, 4.0], "y_pred": [1.0, 2.0, 3.0], **arguments})


# valid_prediction_time


def test_valid_time_of_a_growing_error():
    # |e| = 1e-6 exp(0.9 t) passes 0.4 sqrt(<y^2>) = 0.4 * 2 at t = ln(8e5) / 0.9 = 15.10.
    t = 0.02 * np.arange(2000)
    truth = np.where(np.arange(2000) % 2, 2.0, -2.0)
    forecast = truth + 1e-6 * np.exp(0.9 * t)
    steps = valid_prediction_time(truth, forecast)
    assert steps == np.ceil(np.log(8e5) / 0.9 / 0.02)
    assert valid_prediction_time(truth, forecast, dt=0.02) == pytest.approx(0.02 * steps)
    assert valid_prediction_time(truth, forecast, dt=0.02, lyapunov_exponent=0.9) == pytest.approx(
        np.log(8e5), abs=0.9 * 0.02
    )


def test_valid_time_joins_the_outputs():
    # Norm of the error over the outputs; mean square of the norm of y: 3^2 + 4^2.
    truth = np.tile([3.0, 4.0], (4, 1))
    forecast = truth + np.array([[0.0, 0.0], [0.3, 0.4], [0.9, 1.3], [0.0, 0.0]])
    assert valid_prediction_time(truth, forecast, threshold=0.11) == 2.0
    assert valid_prediction_time(truth, forecast, threshold=0.09) == 1.0
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert valid_prediction_time(truth @ turn, forecast @ turn, threshold=0.11) == 2.0


def test_valid_time_ends_at_the_first_exceedance():
    truth = np.ones(5)
    assert valid_prediction_time(truth, truth + np.array([0, 0, 1.0, 0, 0])) == 2.0
    assert valid_prediction_time(truth, truth + np.array([1.0, 0, 0, 0, 0])) == 0.0
    assert valid_prediction_time(truth, truth, dt=0.5) == 2.5  # never leaves: the whole test
    # Reaching the threshold is not passing it.
    assert (
        valid_prediction_time(truth, truth + np.array([0, 0.5, 0.75, 0, 0]), threshold=0.5) == 2.0
    )


def test_valid_time_of_a_forecast_that_diverged():
    truth = np.ones(5)
    assert valid_prediction_time(truth, [1.0, 1.0, np.nan, 1.0, 1.0]) == 2.0
    assert valid_prediction_time(truth, [1.0, 1.0, 1.0, -np.inf, np.nan]) == 3.0
    # Its square is no number of float64.
    assert valid_prediction_time(truth, [1.0, 1.0, 1.0, 1.0, 1e200]) == 4.0


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"y_pred": [1.0]}, r"`y_true` has shape \(2,\) and `y_pred` \(1,\)"),
        ({"y_true": [0.0, 0.0]}, "`y_true` is zero throughout"),
        ({"y_true": [np.nan, 0.0]}, "`y_true` has NaN"),
        ({"threshold": 0.0}, "`threshold` is 0.0"),
        ({"dt": -0.1}, "`dt` is -0.1"),
        ({"lyapunov_exponent": 0.0}, "`lyapunov_exponent` is 0.0"),
    ],
)
def test_valid_time_bad_input(arguments, match):
    with pytest.raises(ValueError, match=match):
        valid_prediction_time(**{"y_true": [1.0, 2.0], "y_pred": [1.0, 2.0], **arguments})


@pytest.mark.parametrize("normalization", ["std", "range", "mean", 2.0])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nrmse_of_a_number_that_is_none_is_refused(normalization, bad):
    truth, prediction = np.arange(5.0), np.arange(5.0)
    prediction[2] = bad
    with pytest.raises(ValueError, match="`y_pred` has NaN or infinite"):
        nrmse(truth, prediction, normalization=normalization)


def test_nrmse_in_units_that_overflow_is_refused():
    # Without the check the error would be 1e100 / inf = 0, that of a perfect prediction.
    truth = np.array([1e200, -1e200])
    with pytest.raises(ValueError, match="`y_true` has a std beyond the float64 range"):
        nrmse(truth, truth + 1e190)


def test_a_forecast_of_nan_is_valid_for_no_time():
    truth = np.ones(6)
    assert valid_prediction_time(truth, np.full(6, np.nan)) == 0.0
    forecast = truth.copy()
    forecast[4] = np.nan
    assert valid_prediction_time(truth, forecast) == 4.0


@pytest.mark.parametrize("unit", [1e-200, 1e-3, 1e200, 1e307])
def test_the_valid_time_does_not_depend_on_the_unit(unit):
    truth = np.ones(6)
    forecast = np.array([1.0, 1.1, 1.3, 1.5, 1.1, 1.9])
    assert valid_prediction_time(truth * unit, forecast * unit) == 3.0


# climates


@pytest.mark.parametrize("metric", [power_spectrum_distance, histogram_distance])
def test_a_climate_is_at_no_distance_from_itself(rng, metric):
    series = rng.normal(size=(500, 2)).cumsum(axis=0)
    assert metric(series, series) == 0.0
    np.testing.assert_array_equal(metric(series, series, multioutput="raw_values"), [0.0, 0.0])
    for unit in (1e-300, 1e300 / abs(series).max()):
        assert metric(unit * series, unit * series) == 0.0


@pytest.mark.parametrize("shift", [0.3, 1.0, 3.0])
def test_histograms_of_shifted_normals(rng, shift):
    a, b = rng.normal(size=(2, 100_000))
    expected = np.sqrt(1 - np.exp(-(shift**2) / 8))
    assert histogram_distance(a, b + shift, n_bins=60) == pytest.approx(expected, abs=0.02)


def test_histograms_by_hand():
    # Bins [0, 1), [1, 2]: shares 1/2, 1/2 against 1/4, 1/4, and 1/2 beyond.
    truth, other = [0.0, 0.5, 1.0, 2.0], [0.2, 1.5, 2.5, -7.0]
    expected = np.sqrt(1 - 2 * np.sqrt(1 / 2 * 1 / 4))
    assert histogram_distance(truth, other, n_bins=2) == pytest.approx(expected, rel=1e-14)
    assert histogram_distance(truth, np.add(truth, 10)) == 1.0


def test_spectra_of_autoregressive_series(rng):
    """Against the shares of the known spectra, 1 / |1 - φ exp(-iω)|²."""
    noise = rng.normal(size=(2, 200_000))
    a, b = (lfilter([1], [1, -phi], part) for phi, part in zip((0.8, -0.3), noise))
    w = np.linspace(0, np.pi, 2001)[1:]
    p, q = (1 / abs(1 - phi * np.exp(-1j * w)) ** 2 for phi in (0.8, -0.3))
    expected = np.sqrt(1 - np.sqrt(p / p.sum() * q / q.sum()).sum())
    found = power_spectrum_distance(a, b[:150_000], segment_length=512)
    assert found == pytest.approx(expected, abs=0.01)


def test_spectra_see_neither_level_nor_amplitude_nor_order_of_outputs(rng):
    a, b = rng.normal(size=(2, 3000, 2)).cumsum(axis=1)
    each = power_spectrum_distance(a, b, multioutput="raw_values")
    moved = power_spectrum_distance(a * 3 - 8, b / 7 + [1, 2], multioutput="raw_values")
    np.testing.assert_allclose(moved, each, rtol=1e-9)
    turned = power_spectrum_distance(a[:, ::-1], b[:, ::-1], multioutput="raw_values")
    np.testing.assert_allclose(turned, each[::-1], rtol=1e-12)
    assert power_spectrum_distance(a, b) == pytest.approx(each.mean())


def test_climates_of_constants():
    t = np.arange(100.0)
    assert power_spectrum_distance(np.sin(t), np.full(100, 0.1)) == 1.0
    assert power_spectrum_distance(np.full(100, 0.1), np.full(50, 3.0)) == 0.0
    assert histogram_distance(np.ones(5), np.ones(9)) == 0.0
    assert histogram_distance(np.ones(5), np.zeros(9)) == 1.0
    assert power_spectrum_distance([1.0, 2.0], [2.0, 1.0]) == pytest.approx(0.0)


@pytest.mark.parametrize("metric", [power_spectrum_distance, histogram_distance])
def test_climates_name_what_does_not_fit(metric):
    with pytest.raises(ValueError, match=r"`y_pred`.*NaN"):
        metric([1.0, 2.0], [np.nan, 1.0])
    with pytest.raises(ValueError, match=r"`y_true` has shape \(1,\)"):
        metric([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="3 outputs"):
        metric(np.ones((4, 2)), np.ones((4, 3)))
    with pytest.raises(ValueError, match="multioutput"):
        metric([1.0, 2.0], [1.0, 2.0], multioutput="all")
    with pytest.raises(ValueError, match="segment_length"):
        power_spectrum_distance([1.0, 2.0], [1.0, 2.0], segment_length=3)
    with pytest.raises(ValueError, match="n_bins"):
        histogram_distance([1.0, 2.0], [1.0, 2.0], n_bins=0)
