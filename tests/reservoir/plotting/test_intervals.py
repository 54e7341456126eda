"""The picture of a forecast with intervals: what is drawn, and what is refused."""

import matplotlib as mpl
import numpy as np
import pytest

from reservoir.plotting import IntervalDisplay


@pytest.fixture(autouse=True)
def plt():
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def test_lines_and_bands_are_drawn_where_they_are(plt):
    past, mean = np.array([1.0, np.nan, 3.0]), np.array([4.0, 5.0])
    lower, upper = {80: mean - 1, 95: mean - 2}, {80: mean + 1, 95: mean + 2}
    _, ax = plt.subplots()
    display = IntervalDisplay.from_forecast(
        past, mean, lower, upper, times=np.arange(10, 15), y_true=[4.5], ax=ax
    )
    assert display.ax_ is ax
    np.testing.assert_array_equal(display.past_line_.get_xydata()[:, 0], [10, 11, 12])
    np.testing.assert_array_equal(display.past_line_.get_ydata(), past)
    np.testing.assert_array_equal(display.mean_line_.get_xydata(), [[13, 4], [14, 5]])
    np.testing.assert_array_equal(display.true_line_.get_xydata(), [[13, 4.5]])
    for level in (80, 95):
        drawn = display.bands_[level].get_paths()[0].vertices
        assert {tuple(point) for point in drawn} >= {
            (13, lower[level][0]), (14, lower[level][1]), (13, upper[level][0])
        }  # fmt: skip
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["series", "95 %", "80 %", "what came", "forecast"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"past": [[1.0]]}, r"`past` has shape \(1, 1\)"),
        (
            {"lower": {90: [1.0]}, "upper": {90: [1.0, 2.0]}},
            r"`lower` has shape \(1,\), but \(2,\)",
        ),
        ({"lower": {}}, r"`lower` has the levels \[\], but `upper` has \[90\]"),
        ({"times": [1, 2]}, "`times` has 2 entries, but 4"),
        ({"y_true": [1.0, 2.0, 3.0]}, "`y_true` has 3 steps, but the forecast has 2"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    arguments = {"past": [1.0, 2.0], "mean": [1.0, 2.0], "lower": {90: [0, 1]}} | changes
    arguments.setdefault("upper", {90: [2, 3]})
    with pytest.raises(ValueError, match=message):
        IntervalDisplay.from_forecast(**arguments)
