"""The display of searches: which cells and curves it draws from `cv_results_`."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from reservoir import ESNRegressor
from reservoir.plotting import SearchDisplay
from reservoir.search import ReservoirSearchCV


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def search():
    rng = np.random.default_rng(0)
    u = rng.uniform(-1, 1, (150, 1))
    space = {
        "spectral_radius": [0.3, 0.6, 0.9],
        "leak_rate": [0.5, 1.0],
        "alpha": [1e-4, 1e-2, 1.0, 100.0],
        "topology": ["random", "cycle"],
        "bias_scaling": [0.2],
    }
    return ReservoirSearchCV(ESNRegressor(15, random_state=0), space, cv=2).fit(u, np.roll(u, 1))


def best_scores(search, *names):
    """The best score of each combination of the named parameters."""
    best = {}
    results = search.cv_results_
    for params, score in zip(results["params"], results["mean_test_score"]):
        key = tuple(params[name] for name in names)
        best[key] = max(best.get(key, -np.inf), score)
    return best


def test_curve_shows_the_best_of_each_value(search):
    ax = SearchDisplay.from_search(search, "alpha").ax_
    expected = best_scores(search, "alpha")
    x, y = ax.lines[0].get_data()
    assert dict(zip(x, y)) == {key[0]: score for key, score in expected.items()}
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("alpha", "r2")
    assert ax.lines[1].get_ydata()[0] == search.best_score_


def test_names_are_marked_one_by_one(search):
    ax = SearchDisplay.from_search(search, "topology").ax_
    assert [text.get_text() for text in ax.get_xticklabels()] == ["random", "cycle"]


def test_map_shows_the_best_of_each_pair(search):
    ax = SearchDisplay.from_search(search, ["spectral_radius", "leak_rate"]).ax_
    expected = best_scores(search, "leak_rate", "spectral_radius")
    grid = ax.images[0].get_array()
    for row, leak_rate in enumerate([0.5, 1.0]):
        for column, radius in enumerate([0.3, 0.6, 0.9]):
            assert grid[row, column] == expected[leak_rate, radius]
    x, y = ax.lines[0].get_data()
    assert grid[y[0], x[0]] == search.best_score_


def test_draws_are_shown_as_points():
    rng = np.random.default_rng(1)
    params = [{"a": a, "b": b} for a, b in rng.uniform(size=(20, 2))]
    scores = rng.normal(size=20)
    ax = SearchDisplay(params, scores, np.zeros(20), ["a", "b"]).plot().ax_
    points = dict(zip(map(tuple, ax.collections[0].get_offsets()), ax.collections[0].get_array()))
    assert points == {(one["a"], one["b"]): score for one, score in zip(params, scores)}
    best = params[int(scores.argmax())]
    assert (ax.lines[0].get_xdata()[0], ax.lines[0].get_ydata()[0]) == (best["a"], best["b"])


def test_draws_of_one_parameter_are_not_joined():
    rng = np.random.default_rng(1)
    params = [{"a": a, "b": b} for a, b in rng.uniform(size=(20, 2))]
    scores = rng.normal(size=20)
    ax = SearchDisplay(params, scores, np.ones(20), ["a"]).plot().ax_
    assert ax.lines[0].get_linestyle() == "None"
    assert not ax.collections  # no band around points that differ in everything else
    x, y = ax.lines[0].get_data()
    assert dict(zip(x, y)) == {one["a"]: score for one, score in zip(params, scores)}


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.001, 1.0], "log"),
        ([1e-4, 1e-2, 1.0, 100.0], "log"),
        (10 ** np.random.default_rng(0).uniform(-4, 0, 30), "log"),
        (np.random.default_rng(0).uniform(0, 1, 30), "linear"),
        (np.linspace(0.01, 1, 10), "linear"),
        ([0.5, 1.0, 5.0], "linear"),
        ([0.0, 1e-3, 1.0], "linear"),
        ([1.0, 1.0], "linear"),
    ],
)
def test_axis_is_logarithmic_where_values_are(values, scale):
    params = [{"a": value} for value in values]
    scores = np.arange(len(params), dtype=float)
    ax = SearchDisplay(params, scores, np.zeros(len(params)), ["a"]).plot().ax_
    assert ax.get_xscale() == scale


def test_labels_of_many_columns_stand_upright():
    for n_columns, rotation in ((5, 0), (6, 90)):
        params = [{"a": a, "b": b} for a in range(n_columns) for b in range(2)]
        scores = np.arange(len(params), dtype=float)
        ax = SearchDisplay(params, scores, np.zeros(len(params)), ["a", "b"]).plot().ax_
        assert {label.get_rotation() for label in ax.get_xticklabels()} == {rotation}


def test_many_parameters_are_one_line_a_candidate(search):
    display = SearchDisplay.from_search(search)
    assert display.names == ["alpha", "leak_rate", "spectral_radius", "topology"]
    lines = [line for line in display.ax_.lines if len(line.get_ydata()) == 4]
    assert len(lines) == 48 + 1
    best = search.best_params_
    heights = [
        (np.log10(best["alpha"]) + 4) / 6,
        (best["leak_rate"] - 0.5) / 0.5,
        (best["spectral_radius"] - 0.3) / 0.6,
        ["random", "cycle"].index(best["topology"]),
    ]
    np.testing.assert_allclose(lines[-1].get_ydata(), heights, atol=1e-12)


def test_candidates_without_a_parameter_and_without_a_score():
    params = [{"a": 1.0, "b": 1.0, "c": None}, {"a": 2.0}, {"a": 3.0, "b": 2.0, "c": 1.0}]
    scores = np.array([0.5, 0.7, -np.inf])
    ax = SearchDisplay(params, scores, np.zeros(3), ["a", "b", "c"]).plot().ax_
    lines = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == 3]
    np.testing.assert_array_equal(lines, [[0, 0, 0], [0.5, np.nan, np.nan], [0.5, np.nan, np.nan]])


def test_halving_shows_the_last_round(search):
    u = np.random.default_rng(0).uniform(-1, 1, (150, 1))
    halved = ReservoirSearchCV(
        ESNRegressor(15, random_state=0),
        {"alpha": [1e-4, 1e-2, 1.0, 100.0]},
        halving="n_steps",
        factor=2,
        min_resources=75,
        cv=2,
    ).fit(u, np.roll(u, 1))
    x, y = SearchDisplay.from_search(halved).ax_.lines[0].get_data()
    assert len(x) == 2
    assert max(y) == halved.best_score_


def test_draws_where_it_is_told_to(search):
    _, ax = plt.subplots()
    assert SearchDisplay.from_search(search, "alpha", ax=ax).ax_ is ax


def test_refused(search):
    with pytest.raises(ValueError, match="`params` is 'noise', but one of 'alpha'"):
        SearchDisplay.from_search(search, "noise")
    u = np.random.default_rng(0).uniform(-1, 1, (50, 1))
    one = ReservoirSearchCV(ESNRegressor(5, connectivity=2), {"alpha": [1.0]}, cv=2).fit(u, u)
    with pytest.raises(ValueError, match="nothing to show"):
        SearchDisplay.from_search(one)
