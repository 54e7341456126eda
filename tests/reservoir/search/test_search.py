"""ReservoirSearchCV: scores as of one fit per fold, folds, results, workers, errors."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from joblib import parallel_config
from scipy.linalg import LinAlgWarning
from scipy.stats import loguniform, uniform
from sklearn.base import clone, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir.datasets import mackey_glass
from reservoir.dynamics import run
from reservoir.metrics import nrmse
from reservoir.search import ReservoirSearchCV
from tests.support.searches import small, table

SPACE = {
    "spectral_radius": [0.4, 1.1],
    "leak_rate": [0.5, 1.0],
    "input_scaling": [0.3, 1.0],
    "bias_scaling": [0.0, 0.5],
    "alpha": [1e-4, 1e-1],
}


def one_by_one(estimator, params, u, y, cuts, gap, score, washout=0):
    """The score of one candidate on each block (start, stop): one fit each, weight 0 elsewhere."""
    scores = []
    for start, stop in cuts:
        weight = np.ones(len(u))
        weight[max(start - gap, 0) : stop + gap] = 0
        model = clone(estimator).set_params(**params).fit(u, y, step_weight=weight)
        rows = slice(max(start, washout), stop)
        scores.append(score(y[rows], model.predict(u)[rows]))
    return scores


SCORES = {
    "r2": r2_score,
    "neg_mean_squared_error": lambda y, p: -mean_squared_error(y, p),
    "neg_nrmse": lambda y, p: -nrmse(y, p),
}


# -- the same scores as one fit after the other ---------------------------------------------------


@pytest.mark.parametrize(
    ("scoring", "gap"), [("r2", 0), ("neg_mean_squared_error", 7), ("neg_nrmse", 40)]
)
def test_scores_are_those_of_one_fit_a_fold(memory_task, scoring, gap):
    u, y = memory_task
    esn = small(washout=30)
    search = ReservoirSearchCV(esn, SPACE, cv=4, gap=gap, scoring=scoring).fit(u, y)
    cuts = [(0, 100), (100, 200), (200, 300), (300, 400)]
    assert len(search.cv_results_["params"]) == 32
    for params, scores in zip(search.cv_results_["params"], table(search)):
        expected = one_by_one(esn, params, u, y, cuts, gap, SCORES[scoring], washout=30)
        # alpha of 1e-4 leaves about ten digits in sums whose condition number is 1e6.
        np.testing.assert_allclose(scores, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "settings",
    [
        {"include_input": False, "include_squares": True},
        {"fit_intercept": False},
        {"solver": "qr"},
        {"activation": "relu", "spectral_radius": 0.5},
        {"topology": "cycle"},
        {"topology": "orthogonal"},
        {"topology": "delay_line"},
        {"distribution": "signs", "noise": 0.05},
        {"feedback_scaling": 0.4, "feedback_noise": 0.1},
        {"leak_rate": np.linspace(0.2, 1, 25)},
        {"spectral_radius": None},
    ],
    ids=lambda settings: ",".join(settings),
)
def test_scores_are_those_of_one_fit_whatever_the_reservoir(memory_task, settings):
    u, y = memory_task
    esn = small(**settings)
    space = {"input_scaling": [0.1, 0.2, 0.5, 1, 2, 3, 4, 5, 6, 7], "alpha": [1e-3, 1.0]}
    search = ReservoirSearchCV(esn, space, cv=0.25, gap=5, scoring="neg_mean_squared_error")
    search.fit(u, y)
    for params, scores in zip(search.cv_results_["params"], table(search)):
        model = clone(esn).set_params(**params)
        if model.feedback_scaling:  # teacher-forced in the held-out rows too
            expected = -_teacher_forced_error(model, u, y, 295, 300)
        else:
            weight = np.where(np.arange(400) < 295, 1.0, 0.0)
            outputs = model.fit(u, y, step_weight=weight).predict(u)
            expected = -mean_squared_error(y[300:], outputs[300:])
        assert scores == pytest.approx(expected, rel=1e-7)


def _teacher_forced_error(model, u, y, n_train, first):
    """The error from `first` on of a model that hears the true outputs."""
    model.fit(u, y, step_weight=np.where(np.arange(len(u)) < n_train, 1.0, 0.0))
    states = run(model.reservoir_, u, teacher=y)
    outputs = np.hstack([u, states]) @ model.coef_.T + model.intercept_
    return mean_squared_error(y[first:], outputs[first:])


def test_tiny_alphas_take_the_triangular_factor(rng):
    """Noise-free: what normal equations cannot tell from rounding decides the error."""
    u = mackey_glass(601, random_state=0).reshape(-1, 1)
    esn = small(input_scaling=0.5, washout=50)
    space = {"alpha": [1e-18, 1e-14], "leak_rate": [0.6, 0.8]}
    search = ReservoirSearchCV(esn, space, cv=3, gap=4, scoring="neg_nrmse")
    search.fit(u[:-1], u[1:])
    cuts = [(0, 200), (200, 400), (400, 600)]
    for params, scores in zip(search.cv_results_["params"], table(search)):
        expected = one_by_one(esn, params, u[:-1], u[1:], cuts, 4, SCORES["neg_nrmse"], 50)
        np.testing.assert_allclose(scores, expected, rtol=1e-2)


def test_alphas_beyond_rounding_are_reported(memory_task):
    u, y = memory_task
    esn = small(solver="gram", n_units=100, input_scaling=1e-3)
    search = ReservoirSearchCV(esn, {"alpha": np.array([1e-20, 1.0])}, cv=0.5, refit=False)
    with pytest.warns(LinAlgWarning, match="For 1 of 2 candidates, among them alpha=1e-20"):
        search.fit(u, y)


def test_a_list_of_alphas_is_chosen_from_within_the_fold(memory_task):
    u, y = memory_task
    esn = small()
    alphas = [np.array([1e-6, 1e-2]), 1e-6, np.array([1.0, 100.0])]
    search = ReservoirSearchCV(esn, {"alpha": alphas}, cv=2).fit(u, y)
    for params, scores in zip(search.cv_results_["params"], table(search)):
        expected = one_by_one(esn, params, u, y, [(0, 200), (200, 400)], 0, r2_score)
        np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_many_alphas_take_one_decomposition(memory_task):
    u, y = memory_task
    esn, alphas = small(), np.logspace(-6, 3, 12)
    search = ReservoirSearchCV(esn, {"alpha": alphas}, cv=2).fit(u, y)
    for params, scores in zip(search.cv_results_["params"], table(search)):
        expected = one_by_one(esn, params, u, y, [(0, 200), (200, 400)], 0, r2_score)
        np.testing.assert_allclose(scores, expected, rtol=1e-7)


def test_candidates_of_other_matrices(memory_task):
    u, y = memory_task
    esn = small()
    space = [
        {"random_state": [0, 1], "connectivity": [3, 0.5], "spectral_radius": [0.5, 0.9]},
        {"n_units": [10, 20], "washout": [0, 50]},
        {"dtype": ["float32"], "alpha": [1.0]},
    ]
    search = ReservoirSearchCV(esn, space, cv=0.5).fit(u, y)
    for params, score in zip(search.cv_results_["params"], table(search)[:, 0]):
        expected = one_by_one(esn, params, u, y, [(200, 400)], 0, r2_score)
        tolerance = 1e-4 if "dtype" in params else 1e-7
        assert score == pytest.approx(expected[0], rel=tolerance)


def test_single_precision_gives_the_same_scores_to_its_rounding(memory_task):
    u, y = memory_task
    esn, space = small(dtype="float32"), {**SPACE, "alpha": [0.1, 10.0]}
    search = ReservoirSearchCV(esn, space, cv=0.5).fit(u, y)
    for params, scores in zip(search.cv_results_["params"], table(search)):
        expected = one_by_one(esn, params, u, y, [(200, 400)], 0, r2_score)
        np.testing.assert_allclose(scores, expected, atol=1e-4)


# -- several sequences, blocks and gaps -----------------------------------------------------------


def test_sequences_stay_whole_where_there_are_enough(memory_task):
    u, y = memory_task
    lengths = [90, 110, 100, 60, 40]
    bounds = np.cumsum([0, *lengths])
    esn = small(washout=10)
    search = ReservoirSearchCV(esn, {"alpha": [1e-3]}, cv=4, gap=20)
    search.fit(u, y, lengths=lengths)
    blocks = [(0, 90), (90, 200), (200, 300), (300, 400)]
    for (start, stop), score in zip(blocks, table(search)[0]):
        weight = np.ones(400)
        weight[start:stop] = 0  # the gap ends with the sequence
        model = clone(esn).set_params(alpha=1e-3)
        outputs = model.fit(u, y, lengths=lengths, step_weight=weight).predict(u, lengths=lengths)
        counts = np.concatenate([np.arange(n) >= 10 for n in lengths])
        counts[:start] = counts[stop:] = False
        assert score == pytest.approx(r2_score(y[counts], outputs[counts]), rel=1e-8)
    pieces = [u[a:b] for a, b in itertools.pairwise(bounds)]
    targets = [y[a:b] for a, b in itertools.pairwise(bounds)]
    as_list = clone(search).fit(pieces, targets)
    np.testing.assert_array_equal(table(as_list), table(search))


def test_what_is_held_out_does_not_leak(memory_task, rng):
    """Other targets in the held-out block and the gap leave the readout as it was."""
    u, y = memory_task
    search = ReservoirSearchCV(small(), {"alpha": [1e-3]}, cv=4, gap=15, scoring="neg_nrmse")
    first = table(search.fit(u, y))[0]
    changed = y.copy()
    changed[85:100] = changed[200:215] = 100.0
    np.testing.assert_allclose(table(search.fit(u, changed))[0, 1], first[1], rtol=1e-6)
    changed[84] = 100.0
    assert table(search.fit(u, changed))[0, 1] < 10 * first[1]


@examples(derandomize=True, database=None, deadline=None, max_examples=15)
@given(data=st.data())
def test_any_plan_scores_as_one_fit_a_fold(data):
    """Lengths, washout, gap and blocks as they come, against weights of 0 written out by hand."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31), label="seed"))
    lengths = data.draw(st.lists(st.integers(40, 70), min_size=1, max_size=4), label="lengths")
    washout, gap = data.draw(st.integers(0, 5), label="washout"), data.draw(st.integers(0, 6))
    cv = data.draw(st.sampled_from([2, 3, 4, 0.25, 0.5]), label="cv")
    solver = data.draw(st.sampled_from(["auto", "gram", "qr"]), label="solver")
    n = sum(lengths)
    u = rng.uniform(-1, 1, size=(n, 2))
    y = np.where(rng.random((n, 1)) < 0.1, np.nan, u[:, :1] + 0.1 * rng.normal(size=(n, 1)))
    esn = small(n_units=10, washout=washout, solver=solver, include_squares=bool(n % 2))
    space = {"leak_rate": [0.4, 1.0], "alpha": [0.1, 10.0]}
    search = ReservoirSearchCV(
        esn, space, cv=cv, gap=gap, scoring="neg_mean_squared_error", refit=False
    ).fit(u, y, lengths=lengths)

    ends = np.cumsum(lengths)
    starts = ends - lengths
    if isinstance(cv, float):
        edges = np.array([n - round(cv * n), n])
    else:
        edges = np.linspace(0, n, cv + 1).astype(int)
        bounds = np.array([0, *ends])
        nearest = bounds[abs(bounds - edges[:, None]).argmin(axis=1)]
        edges = nearest if len(set(nearest)) == cv + 1 else edges
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    step = np.arange(n) - starts[sequence]
    counts = (step >= washout) & ~np.isnan(y[:, 0])
    for params, scores in zip(search.cv_results_["params"], table(search)):
        for (low, high), score in zip(itertools.pairwise(edges), scores, strict=True):
            row, held = np.arange(n), np.zeros(n, dtype=bool)
            held[low:high] = True
            # Near a cut inside a sequence, on that sequence's side of it.
            before = (row >= low - gap) & (row < low) & (sequence == sequence[low])
            after = (row >= high) & (row < high + gap) & (sequence == sequence[high - 1])
            weight = 1.0 - (held | before | after)
            model = clone(esn).set_params(**params).fit(u, y, lengths=lengths, step_weight=weight)
            rows = held & counts
            error = mean_squared_error(y[rows], model.predict(u, lengths=lengths)[rows])
            assert score == pytest.approx(-error, rel=1e-7)


# -- scikit-learn's interface ---------------------------------------------------------------------


@parametrize_with_checks(
    [ReservoirSearchCV(small(n_units=10), {"alpha": [1e-3, 1.0]}, cv=2)],
    expected_failed_checks=lambda search: dict.fromkeys(
        ["check_methods_sample_order_invariance", "check_methods_subset_invariance"],
        "rows are steps of one series: their order and their past matter",
    ),
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_results_refit_and_delegation(memory_task):
    u, y = memory_task
    space = [{"leak_rate": [0.1, 1.0], "alpha": [1e-4]}, {"bias_scaling": [0.3]}]
    search = ReservoirSearchCV(small(washout=5), space, cv=3).fit(u, y)
    results = search.cv_results_
    assert list(results["param_leak_rate"].mask) == [False, False, True]
    means = table(search).mean(axis=1)
    np.testing.assert_array_equal(results["mean_test_score"], means)
    np.testing.assert_array_equal(results["std_test_score"], table(search).std(axis=1))
    assert results["rank_test_score"][search.best_index_] == 1
    assert search.best_score_ == means.max()
    assert search.best_params_ == results["params"][int(means.argmax())]
    plain = small(washout=5).set_params(**search.best_params_).fit(u, y)
    np.testing.assert_array_equal(search.predict(u), plain.predict(u))
    assert search.score(u, y) == plain.score(u, y)
    assert search.n_features_in_ == 1
    assert is_regressor(search)


def test_clone_get_params_and_pickle(memory_task):
    u, y = memory_task
    search = ReservoirSearchCV(small(), {"alpha": [1.0]}, cv=2, gap=3)
    copy = clone(search).set_params(estimator__n_units=12)
    assert copy.get_params()["estimator__n_units"] == 12
    assert search.estimator.n_units == 25
    again = pickle.loads(pickle.dumps(copy.fit(u, y)))
    np.testing.assert_array_equal(again.predict(u), copy.predict(u))


def test_without_refit_nothing_predicts(memory_task):
    search = ReservoirSearchCV(small(), {"alpha": [1.0]}, refit=False).fit(*memory_task)
    with pytest.raises(NotFittedError):
        search.predict(memory_task[0])


def test_draws_from_distributions(memory_task):
    space = {"spectral_radius": uniform(0.1, 1), "alpha": loguniform(1e-6, 1), "leak_rate": [0.5]}
    search = ReservoirSearchCV(small(), space, n_iter=9, cv=2, random_state=3).fit(*memory_task)
    params = search.cv_results_["params"]
    assert len({one["spectral_radius"] for one in params}) == 9
    again = clone(search).fit(*memory_task)
    np.testing.assert_array_equal(table(again), table(search))
    other = clone(search).set_params(random_state=4).fit(*memory_task)
    assert other.cv_results_["params"][0] != params[0]


def test_without_a_seed_the_best_is_refitted_on_its_own_weights(memory_task):
    u, y = memory_task
    search = ReservoirSearchCV(small(random_state=None), SPACE, cv=0.5).fit(u, y)
    best = search.best_estimator_
    weight = np.where(np.arange(400) < 200, 1.0, 0.0)
    outputs = clone(best).fit(u, y, step_weight=weight).predict(u)
    assert search.best_score_ == pytest.approx(r2_score(y[200:], outputs[200:]), rel=1e-8)


def test_candidates_without_a_seed_get_one(memory_task):
    u, y = memory_task
    space = {"random_state": [None, np.random.default_rng(3), 7]}
    search = ReservoirSearchCV(small(), space, cv=0.5).fit(u, y)
    seeds = [params["random_state"] for params in search.cv_results_["params"]]
    assert seeds[2] == 7
    assert len(set(seeds)) == 3
    for params, scores in zip(search.cv_results_["params"], table(search)):
        expected = one_by_one(small(), params, u, y, [(200, 400)], 0, r2_score)
        np.testing.assert_allclose(scores, expected, rtol=1e-7)
    assert search.best_estimator_.random_state == search.best_params_["random_state"]


# -- workers --------------------------------------------------------------------------------------


def test_workers_change_no_bit(memory_task):
    u, y = memory_task
    space = {**SPACE, "random_state": [0, 1]}
    alone = ReservoirSearchCV(small(), space, cv=3, gap=2).fit(u, y)
    spread = clone(alone).set_params(n_jobs=2).fit(u, y)
    np.testing.assert_array_equal(table(spread), table(alone))


def test_progress_bar(memory_task, capsys):
    search = ReservoirSearchCV(small(), SPACE, cv=2, verbose=True).fit(*memory_task)
    assert "32/32" in capsys.readouterr().err
    quiet = clone(search).set_params(verbose=False).fit(*memory_task)
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(table(search), table(quiet))


def test_dask_gives_the_same_scores(memory_task):
    import distributed  # takes longer than most tests

    u, y = memory_task
    alone = ReservoirSearchCV(small(), SPACE, cv=2).fit(u, y)
    # Processes: threads would share objects, and nothing would be sent.
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with (
        distributed.LocalCluster(dashboard_address=":0", **options) as cluster,
        distributed.Client(cluster),
        parallel_config("dask"),
    ):
        spread = clone(alone).fit(u, y)
    np.testing.assert_array_equal(table(spread), table(alone))


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"estimator": 3}, TypeError, "an ESNRegressor was expected"),
        ({"param_space": {"radius": [1]}}, ValueError, "names 'radius', but the estimator has no"),
        ({"param_space": [[1]]}, TypeError, "holds a list, but a dict"),
        ({"param_space": {"alpha": uniform(0, 1)}}, ValueError, "is a distribution, but `n_iter`"),
        ({"param_space": {"leak_rate": [0.5, 2.0]}}, ValueError, "`leak_rate` is 2.0"),
        ({"param_space": {"alpha": [-1.0]}}, ValueError, "`alpha` is"),
        ({"scoring": "accuracy"}, ValueError, "`scoring` is 'accuracy'"),
        ({"scoring": "valid_time"}, ValueError, "nothing closes the loop"),
        ({"cv": 1}, ValueError, "`cv` is 1"),
        ({"cv": 1e-9}, ValueError, "holds out 0 of 400 rows"),
        ({"cv": 500}, ValueError, "n_samples = 400"),
        ({"estimator": small(washout=-1)}, ValueError, "`washout` is -1"),
        ({"gap": 100, "cv": 4}, ValueError, "`gap` is 100, but the shortest block has 100"),
        ({"halving": "rows"}, ValueError, "`halving` is 'rows'"),
        ({"halving": "n_units", "param_space": {"n_units": [5]}}, ValueError, "which sets it"),
        ({"n_iter": 0}, ValueError, "`n_iter` is 0"),
        ({"estimator": small(washout=150), "cv": 4}, ValueError, "leaves no row to score"),
        (
            {"param_space": {"alpha": [[1.0, 2.0]]}, "estimator": small(alpha_cv=3)},
            ValueError,
            "`alpha_cv` is 3",
        ),
    ],
    ids=lambda value: "",
)
def test_refused(memory_task, settings, error, match):
    u, y = memory_task
    if settings.get("scoring") == "valid_time":
        y = y[:, :2]
    settings = {"estimator": small(), "param_space": {"leak_rate": [0.5]}, **settings}
    with pytest.raises(error, match=match):
        ReservoirSearchCV(**settings).fit(u, y)


def test_refused_for_lack_of_room(memory_task):
    u = memory_task[0]
    search = ReservoirSearchCV(small(), {"leak_rate": [1.0]}, scoring="valid_time", horizon=300)
    with pytest.raises(ValueError, match="fold 0 has room for 0 free runs"):
        search.fit(u[:-1], u[1:])


def test_constant_target_has_no_deviation(memory_task):
    u, y = memory_task
    y[:200, 1] = 1.0
    search = ReservoirSearchCV(small(), {"leak_rate": [1.0]}, cv=2).fit(u, y)
    expected = one_by_one(small(), {}, u, y, [(0, 200), (200, 400)], 0, r2_score)
    np.testing.assert_allclose(table(search)[0], expected, rtol=1e-7)
    with pytest.raises(ValueError, match="target 1 is constant in a block"):
        search.set_params(scoring="neg_nrmse").fit(u, y)
