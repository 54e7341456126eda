"""Displays: what is drawn from which numbers, and that matplotlib is imported late."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError

from reservoir import ESNRegressor, ReservoirTransformer
from reservoir.diagnostics import memory_capacity
from reservoir.dynamics import Reservoir, run
from reservoir.plotting import (
    AlphaPathDisplay,
    AttractorDisplay,
    EigenvalueDisplay,
    ForecastDisplay,
    MemoryCurveDisplay,
    StatesDisplay,
)


@pytest.fixture(autouse=True)
def plt():
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.fixture
def circle():
    """A forecaster of a point that turns, and the series it has learned."""
    angle = 0.3 * np.arange(301)
    series = np.column_stack([np.cos(angle), np.sin(angle), np.sin(2 * angle)])
    esn = ESNRegressor(30, washout=20, connectivity=5, alpha=[1e-8, 1e-4, 1.0], random_state=0)
    return esn.fit(series[:-1], series[1:]), series


def drawn(line):
    return np.column_stack(line.get_data_3d() if hasattr(line, "get_data_3d") else line.get_data())


def test_matplotlib_is_imported_when_one_draws():
    code = "import sys, reservoir.plotting; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_forecast_lines_are_truth_and_prediction(circle, plt):
    esn, series = circle
    display = ForecastDisplay.from_estimator(
        esn, series[:-1], series[1:], dt=0.5, time_label="seconds", names=["a", "b", "c"]
    )
    prediction, time = esn.predict(series[:-1]), 0.5 * np.arange(300)
    assert [axis.get_ylabel() for axis in display.ax_] == ["a", "b", "c"]
    assert display.ax_[2].get_xlabel() == "seconds"
    assert all(axis.figure is display.figure_ for axis in display.ax_)
    for column in range(3):
        true, predicted = display.true_lines_[column], display.predicted_lines_[column]
        assert true in display.ax_[column].lines
        np.testing.assert_array_equal(drawn(true), np.column_stack([time, series[1:, column]]))
        np.testing.assert_array_equal(
            drawn(predicted), np.column_stack([time, prediction[:, column]])
        )


def test_free_running_forecast_goes_on_from_the_context(circle):
    esn, series = circle
    display = ForecastDisplay.from_estimator(esn, series[:100], series[100:150], free_running=True)
    expected = esn.forecast(50, series[:100])
    lines = np.column_stack([drawn(line)[:, 1] for line in display.predicted_lines_])
    np.testing.assert_array_equal(lines, expected)
    after = ForecastDisplay.from_estimator(esn, None, series[:50], free_running=True)
    np.testing.assert_array_equal(drawn(after.predicted_lines_[1])[:, 1], esn.forecast(50)[:, 1])


def test_a_forecast_that_diverges_does_not_hide_the_truth(plt):
    truth = np.sin(np.arange(50.0))
    axis = plt.figure().subplots()
    display = ForecastDisplay.from_predictions(truth, truth * 10.0 ** np.arange(50), ax=axis)
    assert display.ax_ is axis
    low, high = axis.get_ylim()
    assert -2 < low < truth.min() < truth.max() < high < 2
    constant = ForecastDisplay.from_predictions([1.0], [2.0])
    assert constant.ax_.get_ylim() == (0, 2)


def test_states_are_those_of_the_run(rng):
    esn = ReservoirTransformer(12, connectivity=3, random_state=0)
    u = rng.normal(size=(60, 2))
    states = esn.fit_transform(u)
    display = StatesDisplay.from_estimator(esn, u, units=[4, 1], washout=7)
    assert [line.get_label() for line in display.lines_] == ["unit 4", "unit 1"]
    for line, unit in zip(display.lines_, (4, 1), strict=True):
        np.testing.assert_array_equal(
            drawn(line), np.column_stack([np.arange(7, 60), states[7:, unit]])
        )
    given = StatesDisplay.from_states(states, units=100)
    np.testing.assert_array_equal([line.get_ydata() for line in given.lines_], states.T)
    bare = StatesDisplay.from_estimator(esn.reservoir_, u, units=3)
    np.testing.assert_array_equal(
        [line.get_ydata() for line in bare.lines_], run(esn.reservoir_, u)[:, :3].T
    )


@pytest.mark.parametrize("convert", [np.asarray, csr_array])
def test_eigenvalues_are_those_of_a_ring(convert, plt):
    """The eigenvalues of a ring of weight r are r times the roots of unity."""
    ring = convert(0.8 * np.roll(np.eye(6), 1, axis=0))
    display = EigenvalueDisplay.from_matrix(ring)
    x, y = drawn(display.points_).T
    roots = 0.8 * np.exp(2j * np.pi * np.arange(6) / 6)
    np.testing.assert_allclose(
        np.sort_complex(np.round(x + 1j * y, 9)), np.sort_complex(np.round(roots, 9))
    )
    assert display.points_.get_label() == "eigenvalues, radius 0.8"
    np.testing.assert_allclose(np.hypot(*drawn(display.circle_).T), 1)
    assert display.ax_.get_aspect() == 1
    reservoir = Reservoir(recurrent=ring, input=np.zeros((6, 1)), bias=np.zeros(6))
    axis = plt.figure().subplots()
    again = EigenvalueDisplay.from_estimator(reservoir, ax=axis)
    assert again.ax_ is axis
    np.testing.assert_array_equal(drawn(again.points_), drawn(display.points_))


def test_memory_curve_is_what_was_measured(circle, plt):
    esn, _ = circle
    settings = {"max_delay": 4, "n_steps": 200, "input_range": (0, 1), "random_state": 0}
    capacity = memory_capacity(esn, **settings)
    display = MemoryCurveDisplay.from_estimator(esn, **settings, name="circle")
    assert len(display.lines_) == 3
    for channel, line in enumerate(display.lines_):
        np.testing.assert_array_equal(
            drawn(line), np.column_stack([capacity.delays, capacity.curve[:, channel]])
        )
        total = capacity.curve[:, channel].sum()
        assert line.get_label() == f"circle, input {channel}, sum {total:.1f}"
    axis = plt.figure().subplots()
    MemoryCurveDisplay.from_capacity(capacity, ax=axis)
    MemoryCurveDisplay.from_capacity(capacity, ax=axis)
    assert len(axis.lines) == 6


def test_alpha_path_is_sorted_and_marks_what_was_taken(circle):
    esn, _ = circle
    display = AlphaPathDisplay.from_estimator(esn)
    np.testing.assert_array_equal(
        drawn(display.lines_[0]), np.column_stack([esn.alpha, esn.alpha_scores_])
    )
    (mark,) = drawn(display.marks_[0])
    assert mark.tolist() == [esn.alpha_, esn.alpha_scores_[esn.alpha.index(esn.alpha_)]]
    unsorted = AlphaPathDisplay.from_scores([1.0, 0.01, 0.1], [[3, 9], [1, 8], [2, 7]], [0.01, 0.1])
    assert drawn(unsorted.lines_[1]).tolist() == [[0.01, 8], [0.1, 7], [1, 9]]
    assert [drawn(mark).tolist() for mark in unsorted.marks_] == [[[0.01, 1]], [[0.1, 7]]]
    assert unsorted.marks_[1].get_label() == "output 1, taken: 0.1"
    assert unsorted.ax_.get_xscale() == unsorted.ax_.get_yscale() == "log"


def test_attractor_in_three_dimensions(circle):
    esn, series = circle
    display = AttractorDisplay.from_estimator(esn, 40, y_true=series[:70])
    np.testing.assert_array_equal(drawn(display.lines_[0]), series[:70])
    np.testing.assert_array_equal(drawn(display.lines_[1]), esn.forecast(40))
    assert [axis.get_title() for axis in display.ax_] == ["truth", "model"]
    assert all(axis.name == "3d" for axis in display.ax_)
    assert display.ax_[0].get_zlim() == display.ax_[1].get_zlim()
    assert display.ax_[0].get_zlabel() == "y[2]"
    alone = AttractorDisplay.from_estimator(esn, 40, series[:50])
    np.testing.assert_array_equal(drawn(alone.lines_[0]), esn.forecast(40, series[:50]))
    assert alone.ax_.name == "3d"


def test_attractor_in_the_plane(circle, plt):
    _, series = circle
    display = AttractorDisplay.from_predictions(series, columns=[2, 0])
    np.testing.assert_array_equal(drawn(display.lines_[0]), series[:, [2, 0]])
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("y[2]", "y[0]")
    axes = plt.figure().subplots(1, 2)
    delayed = AttractorDisplay.from_predictions(series[:90, 0], series[90:200, 0], delay=5, ax=axes)
    np.testing.assert_array_equal(
        drawn(delayed.lines_[0]), np.column_stack([series[95:200, 0], series[90:195, 0]])
    )
    np.testing.assert_array_equal(
        drawn(delayed.lines_[1]), np.column_stack([series[5:90, 0], series[:85, 0]])
    )
    assert delayed.ax_.tolist() == axes.tolist()
    assert axes[0].get_ylim() == axes[1].get_ylim()


def test_wrong_arguments_are_refused(circle, plt):
    esn, series = circle
    flat = plt.figure().subplots()
    with pytest.raises(NotFittedError):
        ForecastDisplay.from_estimator(ESNRegressor(), series, series)
    with pytest.raises(NotFittedError):
        EigenvalueDisplay.from_estimator(ESNRegressor())
    with pytest.raises(NotFittedError):
        AlphaPathDisplay.from_estimator(ESNRegressor())
    with pytest.raises(NotFittedError):
        AttractorDisplay.from_estimator(ESNRegressor(), 10)
    with pytest.raises(TypeError, match=r"`model` is a int"):
        StatesDisplay.from_estimator(3, series)
    with pytest.raises(ValueError, match=r"`y_true` has shape \(3, 1\) and `y_pred` \(2, 1\)"):
        ForecastDisplay.from_predictions([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match=r"`y_pred` has shape \(2, 3, 1\), but one series"):
        ForecastDisplay.from_predictions(np.ones(6), np.ones((2, 3, 1)))
    with pytest.raises(ValueError, match=r"`names` has 1 entries, but 3 columns"):
        ForecastDisplay.from_predictions(series, series, names=["x"])
    with pytest.raises(ValueError, match=r"`ax` holds 1 axes, but 3 are drawn"):
        ForecastDisplay.from_predictions(series, series, ax=flat)
    with pytest.raises(ValueError, match=r"`dt` is 0"):
        ForecastDisplay.from_predictions(series, series, dt=0)
    for units in ([30], [-1], [], [0.5], [[1]]):
        with pytest.raises(ValueError, match=r"`units` is .* indices from 0 to 29"):
            StatesDisplay.from_estimator(esn, series, units=units)
    with pytest.raises(ValueError, match=r"`units` is 0"):
        StatesDisplay.from_states(series, units=0)
    with pytest.raises(ValueError, match=r"`matrix` has shape \(301, 3\), but a square one"):
        EigenvalueDisplay.from_matrix(series)
    single = ESNRegressor(5, alpha=1e-6).fit(series[:-1], series[1:])
    with pytest.raises(ValueError, match=r"`estimator` has no `alpha_scores_`"):
        AlphaPathDisplay.from_estimator(single)
    with pytest.raises(ValueError, match=r"`scores` has shape \(2, 1\), but \(3, 1\)"):
        AlphaPathDisplay.from_scores([1, 2, 3], [1, 2], 1)
    with pytest.raises(ValueError, match=r"`chosen` is 4, but one of `alphas`"):
        AlphaPathDisplay.from_scores([1, 2], [1, 2], 4)
    with pytest.raises(ValueError, match=r"`y_pred` has one column, but an attractor needs two"):
        AttractorDisplay.from_predictions(series[:, 0])
    with pytest.raises(ValueError, match=r"`y_true` has 5 steps, but more than `delay` = 5"):
        AttractorDisplay.from_predictions(series[:, 0], np.ones(5), delay=5)
    with pytest.raises(ValueError, match=r"`y_true` has 2 columns and `y_pred` 3"):
        AttractorDisplay.from_predictions(series, series[:, :2])
    with pytest.raises(ValueError, match=r"`columns` has 1 entries, but two or three"):
        AttractorDisplay.from_predictions(series, columns=[1])
    with pytest.raises(ValueError, match=r"`columns` is 3, .* at most 2"):
        AttractorDisplay.from_predictions(series, columns=[0, 3])
    with pytest.raises(ValueError, match=r"`ax` is flat, but three columns are drawn"):
        AttractorDisplay.from_predictions(series, ax=flat)
