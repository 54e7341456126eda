import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import ESNRegressor, ReservoirTransformer
from reservoir.dynamics import DivergenceError

ROWS_ARE_EXCHANGEABLE = "rows are steps of one series: their order and their past matter"
EXPECTED_FAILURES = {
    "check_methods_sample_order_invariance": ROWS_ARE_EXCHANGEABLE,
    "check_methods_subset_invariance": ROWS_ARE_EXCHANGEABLE,
}


def small(**parameters):
    settings = {"n_units": 30, "connectivity": 5, "random_state": 1, **parameters}
    return ESNRegressor(**settings)


@pytest.fixture
def memory_task(rng):
    """What the input was two and three steps ago, one noisy series of 300 steps."""
    u = rng.uniform(-1, 1, size=(300, 1))
    y = np.hstack([np.roll(u, 2), np.roll(u, 3)]) + 0.01 * rng.normal(size=(300, 2))
    return u, y


def plain_states(reservoir, inputs, teacher=None):
    """The recurrence as it is written down, one step at a time, dense."""
    W = reservoir.recurrent
    W = W.toarray() if sparse.issparse(W) else W
    x, fed_back, states = np.zeros(len(W)), np.zeros(0), []
    for t, u in enumerate(inputs):
        z = W @ x + reservoir.input @ u + reservoir.bias
        if teacher is not None:
            fed_back = teacher[t - 1] if t else np.zeros(teacher.shape[1])
            z = z + reservoir.feedback @ fed_back
        x = (1 - reservoir.leak_rate) * x + reservoir.leak_rate * np.tanh(z)
        states.append(x)
    return np.array(states)


@parametrize_with_checks(
    [
        ESNRegressor(n_units=60, random_state=0),
        ReservoirTransformer(n_units=20, random_state=0),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
    xfail_strict=True,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_scikit_learn_checks_with_array_api_dispatch():
    """SciPy reads the variable once, when it is imported: hence the process."""
    script = (
        "import sys\n"
        "from sklearn.utils.estimator_checks import check_estimator\n"
        "from reservoir import ESNRegressor, ReservoirTransformer\n"
        "for estimator in (ESNRegressor(20, random_state=0), ReservoirTransformer(20)):\n"
        "    results = check_estimator(estimator, on_fail=None, on_skip=None)\n"
        "    failed = {r['check_name'] for r in results if r['status'] == 'failed'}\n"
        "    print(sorted(failed), sum(r['status'] == 'passed' for r in results) > 40)\n"
    )
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.splitlines() == [f"{sorted(EXPECTED_FAILURES)} True"] * 2


# -- the readout is Ridge on the states ---------------------------------------------------------


@pytest.mark.parametrize("include_input", [True, False])
@pytest.mark.parametrize("include_squares", [True, False])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_equals_ridge_on_plain_states(memory_task, include_input, include_squares, fit_intercept):
    u, y = memory_task
    esn = small(
        alpha=1e-3,
        washout=20,
        leak_rate=0.7,
        include_input=include_input,
        include_squares=include_squares,
        fit_intercept=fit_intercept,
    ).fit(u, y)
    states = plain_states(esn.reservoir_, u)
    columns = [u] * include_input + [states] + [states**2] * include_squares
    features = np.hstack(columns)
    ridge = Ridge(alpha=1e-3, fit_intercept=fit_intercept, solver="svd")
    ridge.fit(features[20:], y[20:])
    np.testing.assert_allclose(esn.predict(u), ridge.predict(features), atol=1e-8)
    score = r2_score(y[20:], ridge.predict(features[20:]))
    assert esn.score(u, y) == pytest.approx(score)


def test_teacher_forcing_feeds_the_targets_back(memory_task):
    u, y = memory_task
    esn = small(feedback_scaling=0.5, alpha=1e-3).fit(u, y)
    states = plain_states(esn.reservoir_, u, teacher=y)
    ridge = Ridge(alpha=1e-3, solver="svd").fit(np.hstack([u, states]), y)
    np.testing.assert_allclose(esn.coef_, ridge.coef_, atol=1e-8)
    np.testing.assert_allclose(esn.last_state_, states[-1])
    np.testing.assert_array_equal(esn.last_output_, y[-1])


def test_prediction_with_feedback_runs_on_its_own_output(memory_task):
    u, y = memory_task
    esn = small(feedback_scaling=0.3, alpha=1e-2).fit(u, y)
    x, output, outputs = np.zeros(30), np.zeros(2), []
    reservoir = esn.reservoir_
    W = reservoir.recurrent.toarray()
    for step in u[:50]:
        drive = reservoir.input @ step + reservoir.bias + reservoir.feedback @ output
        x = np.tanh(W @ x + drive)
        output = esn.coef_ @ np.concatenate([step, x]) + esn.intercept_
        outputs.append(output)
    np.testing.assert_allclose(esn.predict(u[:50]), outputs, atol=1e-9)


def test_pipeline_of_transformer_and_ridge_is_the_regressor(memory_task):
    u, y = memory_task
    pipeline = make_pipeline(
        ReservoirTransformer(n_units=30, connectivity=5, random_state=1), Ridge(1e-3)
    )
    esn = small(include_input=False, alpha=1e-3)
    np.testing.assert_allclose(pipeline.fit(u, y).predict(u), esn.fit(u, y).predict(u), atol=1e-8)


def test_one_dimensional_targets_stay_one_dimensional(memory_task):
    u, y = memory_task
    one, two = small().fit(u, y[:, 0]), small().fit(u, y[:, :1])
    assert one.predict(u).shape == (300,)
    assert two.predict(u).shape == (300, 1)
    assert one.coef_.shape == (31,)
    assert isinstance(one.intercept_, float)
    np.testing.assert_array_equal(one.predict(u), two.predict(u)[:, 0])


def test_step_weights_of_zero_leave_steps_out_of_the_readout_only(memory_task):
    u, y = memory_task
    weights = np.ones(300)
    weights[:100] = 0
    by_weight = small(alpha=1e-3).fit(u, y, step_weight=weights)
    by_washout = small(alpha=1e-3, washout=100).fit(u, y)
    np.testing.assert_allclose(by_weight.coef_, by_washout.coef_, rtol=1e-6, atol=1e-9)


# -- alphas --------------------------------------------------------------------------------------


def test_several_alphas_choose_one_and_equal_a_fit_with_it(memory_task):
    u, y = memory_task
    alphas = np.logspace(-6, 4, 11)
    path = small(alpha=alphas).fit(u, y)
    assert path.alpha_scores_.shape == (11,)
    assert path.alpha_ == alphas[np.argmin(path.alpha_scores_)]
    single = small(alpha=path.alpha_).fit(u, y)
    np.testing.assert_allclose(path.coef_, single.coef_, rtol=1e-6, atol=1e-9)
    assert not hasattr(single, "alpha_scores_")
    assert 1e-6 < path.alpha_ < 1e4


def test_alpha_per_target(memory_task):
    u, y = memory_task
    y = np.column_stack([y[:, 0], np.random.default_rng(0).normal(size=300)])
    esn = small(alpha=[1e-4, 1e4], alpha_per_target=True).fit(u, y)
    np.testing.assert_array_equal(esn.alpha_, [1e-4, 1e4])


@pytest.mark.parametrize("solver", ["gram", "qr"])
def test_held_out_blocks_score_like_refits(memory_task, solver):
    u, y = memory_task
    alphas = [1e-4, 1.0]
    esn = small(alpha=alphas, alpha_cv=3, solver=solver).fit(u, y)
    features = np.hstack([u, plain_states(esn.reservoir_, u)])
    for alpha, score in zip(alphas, esn.alpha_scores_, strict=True):
        errors = []
        for held_out in np.split(np.arange(300), 3):
            rest = np.setdiff1d(np.arange(300), held_out)
            ridge = Ridge(alpha, solver="svd").fit(features[rest], y[rest])
            errors.append((ridge.predict(features[held_out]) - y[held_out]) ** 2)
        assert score == pytest.approx(np.mean(np.concatenate(errors)), rel=1e-6)


def test_solver_goes_over_to_qr_for_an_alpha_that_normal_equations_lose(memory_task):
    u, y = memory_task
    assert small(alpha=1e-3).fit(u, y).solver_ == "gram"
    assert small(alpha=1e-18).fit(u, y).solver_ == "qr"


# -- sequences -----------------------------------------------------------------------------------


def as_forms(array, y):
    """The same equally long sequences as a 3-D array, a list, groups and lengths."""
    n, length = array.shape[:2]
    rows, row_targets = array.reshape(n * length, -1), y.reshape(n * length, -1)
    return [
        (array, y, {}),
        (list(array), list(y), {}),
        (rows, row_targets, {"groups": np.repeat(np.arange(n), length)}),
        (rows, row_targets, {"lengths": [length] * n}),
    ]


@pytest.mark.parametrize("feedback_scaling", [0.0, 0.3])
def test_forms_of_sequences_agree(rng, feedback_scaling):
    array, y = rng.normal(size=(4, 30, 2)), rng.normal(size=(4, 30, 1))
    results = []
    for X, targets, cuts in as_forms(array, y):
        esn = small(washout=5, alpha=1.0, feedback_scaling=feedback_scaling)
        esn.fit(X, targets, **cuts)
        predicted = esn.predict(X, **cuts)
        assert type(predicted) is type(X)
        results.append((np.asarray(predicted).reshape(-1, 1), esn.score(X, targets, **cuts)))
    for predicted, score in results[1:]:
        np.testing.assert_array_equal(predicted, results[0][0])
        assert score == results[0][1]


def test_sequences_do_not_touch_each_other(rng):
    parts = [rng.normal(size=(n, 2)) for n in (40, 1, 25)]
    esn = small(alpha=1.0).fit(parts, [part[:, 0] for part in parts])
    together = esn.predict(parts)
    for part, predicted in zip(parts, together, strict=True):
        np.testing.assert_allclose(esn.predict(part), predicted, rtol=1e-10, atol=1e-12)


def test_order_of_sequences_does_not_matter(rng):
    parts = [rng.normal(size=(n, 2)) for n in (40, 31, 25)]
    targets = [part[:, 0] for part in parts]
    forward = small(alpha=1.0, washout=3).fit(parts, targets)
    backward = small(alpha=1.0, washout=3).fit(parts[::-1], targets[::-1])
    np.testing.assert_allclose(forward.coef_, backward.coef_, rtol=1e-8, atol=1e-12)


def test_score_leaves_the_washout_of_each_sequence_out(rng):
    parts = [rng.normal(size=(n, 1)) for n in (40, 31)]
    targets, weights = [part[:, 0] for part in parts], [rng.uniform(size=len(p)) for p in parts]
    esn = small(alpha=1.0, washout=10).fit(parts, targets)
    late = [
        np.concatenate([part[10:] for part in values])
        for values in (targets, esn.predict(parts), weights)
    ]
    assert esn.score(parts, targets, weights) == r2_score(*late[:2], sample_weight=late[2])
    with pytest.raises(ValueError, match="sequence 1 of the 2 in `X` has only 10 steps"):
        esn.score([parts[0], parts[1][:10]], [targets[0], targets[1][:10]])


def test_washout_counts_in_each_sequence(rng):
    parts = [rng.normal(size=(n, 2)) for n in (40, 31)]
    targets = [part[:, 0] for part in parts]
    esn = small(alpha=1.0, washout=10).fit(parts, targets)
    weights = [np.r_[np.zeros(10), np.ones(len(part) - 10)] for part in parts]
    weighted = small(alpha=1.0).fit(parts, targets, step_weight=weights)
    np.testing.assert_allclose(esn.coef_, weighted.coef_, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("alpha_cv", [None, 2])
def test_workers_give_the_same_readout(rng, alpha_cv):
    parts = [rng.normal(size=(n, 2)) for n in (40, 31, 25, 60)]
    targets = [part[:, 0] for part in parts]
    settings = {
        "alpha": [0.1, 1.0],
        "alpha_cv": alpha_cv,
        "washout": 4,
        "noise": 0.1,
        "feedback_scaling": 0.2,
        "feedback_noise": 0.1,
    }
    alone = small(**settings).fit(parts, targets)
    with_others = small(**settings, n_jobs=2).fit(parts, targets)
    np.testing.assert_allclose(with_others.coef_, alone.coef_, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(with_others.last_state_, alone.last_state_)


# -- partial_fit ---------------------------------------------------------------------------------


def test_partial_fit_over_sequences_equals_fit(rng):
    parts = [rng.normal(size=(n, 2)) for n in (40, 31, 25, 60)]
    targets = [part[:, 0] for part in parts]
    settings = {"alpha": [0.1, 1.0], "washout": 4, "noise": 0.1}
    whole = small(**settings).fit(parts, targets)
    split = small(**settings)
    for first, last in ((0, 1), (1, 3), (3, 4)):
        split.partial_fit(parts[first:last], targets[first:last])
    np.testing.assert_allclose(split.coef_, whole.coef_, rtol=1e-8, atol=1e-12)
    assert split.n_sequences_seen_ == whole.n_sequences_seen_ == 4


@pytest.mark.parametrize("alpha", [1e-3, 1e-16])
@pytest.mark.parametrize("feedback_scaling", [0.0, 0.2])
def test_partial_fit_within_a_series_equals_fit(memory_task, alpha, feedback_scaling):
    u, y = memory_task
    settings = {
        "alpha": alpha,
        "washout": 30,
        "noise": 0.01,
        "feedback_scaling": feedback_scaling,
        "feedback_noise": 0.01 * (feedback_scaling > 0),
    }
    whole = small(**settings).fit(u, y)
    split = small(**settings).partial_fit(u[:45], y[:45])
    for piece in np.split(np.arange(45, 300), [1, 2, 100]):
        split.partial_fit(u[piece], y[piece], initial_state="last")
    np.testing.assert_allclose(split.predict(u), whole.predict(u), atol=1e-7)
    np.testing.assert_allclose(split.last_state_, whole.last_state_, atol=1e-12)
    assert split.n_sequences_seen_ == 1


def test_fit_starts_afresh(memory_task):
    u, y = memory_task
    esn = small().fit(u, y)
    first = esn.coef_.copy()
    np.testing.assert_array_equal(esn.fit(u, y).coef_, first)
    twice = esn.partial_fit(u, y)
    np.testing.assert_allclose(
        twice.coef_, small(alpha=0.5e-6).fit(u, y).coef_, rtol=1e-4, atol=1e-6
    )


def test_bad_partial_fits(memory_task):
    u, y = memory_task
    with pytest.raises(ValueError, match="'last', but nothing was learned yet"):
        small().partial_fit(u, y, initial_state="last")
    with pytest.raises(ValueError, match="`initial_state` is 'first'"):
        small().partial_fit(u, y, initial_state="first")
    with pytest.raises(ValueError, match="held-out blocks need all data at once"):
        small(alpha_cv=3).partial_fit(u, y)
    with pytest.raises(ValueError, match="`y` has 1 outputs, but the calls before had 2"):
        small().partial_fit(u, y).partial_fit(u, y[:, 0])
    with pytest.raises(ValueError, match="features"):
        small().partial_fit(u, y).partial_fit(np.hstack([u, u]), y)


# -- states to start from, free runs -------------------------------------------------------------


def test_last_state_goes_on_where_training_ended(memory_task):
    u, y = memory_task
    esn = small().fit(u[:200], y[:200])
    whole = esn.predict(u)
    np.testing.assert_allclose(esn.predict(u[200:], initial_state="last"), whole[200:], atol=1e-9)
    np.testing.assert_allclose(
        esn.predict(u[200:], initial_state=esn.last_state_), whole[200:], atol=1e-9
    )
    assert abs(esn.predict(u[200:])[0] - whole[200]).max() > 1e-3


def test_a_state_for_each_sequence(rng, memory_task):
    u, y = memory_task
    esn = small().fit(u, y)
    starts = rng.uniform(-1, 1, size=(2, 30))
    both = esn.predict([u[:20], u[:30]], initial_state=starts)
    np.testing.assert_allclose(both[1], esn.predict(u[:30], initial_state=starts[1]), atol=1e-12)


def test_progress_counts_steps_only_when_asked(memory_task, capsys):
    u, y = memory_task
    small().fit(u, y)
    assert capsys.readouterr() == ("", "")
    small(verbose=True).fit(u, y)
    output = capsys.readouterr()
    assert output.out == ""
    assert "300/300" in output.err


def test_predict_has_no_memory(memory_task):
    u, y = memory_task
    esn = small(noise=0.1).fit(u, y)
    np.testing.assert_array_equal(esn.predict(u), esn.predict(u))


def test_forecast_goes_on_alike_from_training_and_from_context():
    series = np.sin(0.2 * np.arange(400))[:, None]
    esn = small(washout=30, alpha=1e-8).fit(series[:-1], series[1:])
    forecast = esn.forecast(50)
    np.testing.assert_allclose(esn.forecast(50, series), forecast, atol=1e-9)
    np.testing.assert_allclose(forecast, np.sin(0.2 * np.arange(400, 450))[:, None], atol=0.01)
    several = esn.forecast(20, [series, series[:300]])
    np.testing.assert_allclose(several[0], forecast[:20], atol=1e-9)
    np.testing.assert_allclose(several[1], series[300:320], atol=0.01)
    assert esn.forecast(20, series[None]).shape == (1, 20, 1)


def test_forecast_is_predict_on_its_own_outputs():
    series = np.sin(0.2 * np.arange(400))[:, None]
    esn = small(washout=30, alpha=1e-6, feedback_scaling=0.1)
    esn.fit(series[:-1], series[1:, 0])
    inputs = [*series[-1]]
    state, W = esn.last_state_, esn.reservoir_.recurrent.toarray()
    for _ in range(5):
        drive = (esn.reservoir_.input[:, 0] + esn.reservoir_.feedback[:, 0]) * inputs[-1]
        state = np.tanh(W @ state + drive + esn.reservoir_.bias)
        inputs.append(esn.coef_ @ np.r_[inputs[-1], state] + esn.intercept_)
    np.testing.assert_allclose(esn.forecast(5), inputs[1:], atol=1e-10)


def test_forecast_from_a_context_of_one_step():
    series = np.sin(0.2 * np.arange(400))[:, None]
    esn = small(alpha=1e-6).fit(series[:-1], series[1:])
    np.testing.assert_allclose(esn.forecast(1, series[7:8]), esn.predict(series[7:8]), atol=1e-12)


def test_diverging_free_run_stops_and_says_where(memory_task):
    u, y = memory_task
    esn = small(activation="relu", feedback_scaling=1.0, alpha=1e-3).fit(u, y)
    esn.coef_ = np.full_like(esn.coef_, 1e9)
    with pytest.raises(DivergenceError, match=r"step \d+"):
        esn.predict(u)


def test_bad_starts(memory_task):
    u, y = memory_task
    esn = small().fit(u, y)
    with pytest.raises(ValueError, match="`initial_state` is 'end'"):
        esn.predict(u, initial_state="end")
    with pytest.raises(ValueError, match="'last', but `X` holds 2 sequences"):
        esn.predict([u, u], initial_state="last")
    with pytest.raises(ValueError, match=r"`initial_state` has shape \(3,\)"):
        esn.predict(u, initial_state=np.zeros(3))
    with pytest.raises(ValueError, match=r"`initial_state` has shape \(30,\), but `X` holds 2"):
        esn.predict([u, u], initial_state=np.zeros(30))
    with pytest.raises(ValueError, match="`initial_state` holds NaN"):
        esn.predict(u, initial_state=np.full(30, np.nan))
    with pytest.raises(ValueError, match="has 1 inputs and 2 outputs"):
        esn.forecast(3)
    with pytest.raises(ValueError, match="`n_steps` is 0"):
        esn.forecast(0)


# -- seeds and dtypes ----------------------------------------------------------------------------


def test_one_seed_one_result(memory_task):
    u, y = memory_task
    settings = {"noise": 0.01, "feedback_scaling": 0.1, "feedback_noise": 0.01}
    first, second = (small(**settings).fit(u, y) for _ in range(2))
    np.testing.assert_array_equal(first.coef_, second.coef_)
    other = small(**settings, random_state=2).fit(u, y)
    assert not np.allclose(first.reservoir_.input, other.reservoir_.input)


def test_streams_of_weights_do_not_interact(memory_task):
    u, y = memory_task
    narrow = small().fit(u, y).reservoir_
    wide = small(feedback_scaling=1.0, input_scaling=0.5, bias_scaling=2.0)
    wide = wide.fit(np.hstack([u, u]), y).reservoir_
    assert (narrow.recurrent != wide.recurrent).nnz == 0
    np.testing.assert_allclose(wide.bias, 10 * narrow.bias)


@pytest.mark.parametrize("feedback_scaling", [0.0, 0.1])
def test_single_precision_stays_single(memory_task, feedback_scaling):
    u, y = memory_task
    single = small(dtype="float32", alpha=1e-2, feedback_scaling=feedback_scaling).fit(u, y)
    double = small(alpha=1e-2, feedback_scaling=feedback_scaling).fit(u, y)
    assert single.reservoir_.recurrent.dtype == single.reservoir_.bias.dtype == np.float32
    assert single.predict(u).dtype == single.last_state_.dtype == np.float32
    assert single.coef_.dtype == np.float64
    np.testing.assert_allclose(single.predict(u), double.predict(u), atol=1e-3)


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.float32, bool])
def test_inputs_of_other_dtypes(rng, dtype):
    u = (rng.uniform(0, 3, size=(100, 1))).astype(dtype)
    y = rng.normal(size=100)
    as_double = small(alpha=1.0).fit(u.astype(np.float64), y).predict(u.astype(np.float64))
    np.testing.assert_array_equal(small(alpha=1.0).fit(u, y).predict(u), as_double)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_huge_and_tiny_targets(memory_task, scale):
    u, y = memory_task
    esn, scaled = small(alpha=1e-3).fit(u, y), small(alpha=1e-3).fit(u, scale * y)
    np.testing.assert_allclose(scaled.predict(u) / scale, esn.predict(u), rtol=1e-6)


def test_one_step_series():
    esn = small(alpha=1.0).fit([[0.5]], [2.0])
    np.testing.assert_allclose(esn.predict([[0.5]]), [2.0])


# -- the scikit-learn ecosystem ------------------------------------------------------------------


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames(memory_task, frame):
    u, y = memory_task
    X = frame({"first": u[:, 0], "second": u[:, 0] ** 2})
    esn = small().fit(X, frame({"a": y[:, 0], "b": y[:, 1]}))
    assert list(esn.feature_names_in_) == ["first", "second"]
    np.testing.assert_array_equal(
        esn.predict(X), small().fit(X.to_numpy(), y).predict(X.to_numpy())
    )
    with pytest.raises(ValueError, match="feature names"):
        esn.predict(X[["second", "first"]])


def test_set_output(memory_task):
    u, _ = memory_task
    transformer = ReservoirTransformer(n_units=30, random_state=1).fit(u)
    names = [f"reservoirtransformer{i}" for i in range(30)]
    assert list(transformer.get_feature_names_out()) == names
    frame = transformer.set_output(transform="pandas").transform(u)
    assert list(frame.columns) == names
    assert isinstance(transformer.set_output(transform="polars").transform(u), pl.DataFrame)


def test_clone_set_params_and_repr(memory_task):
    u, y = memory_task
    esn = small(leak_rate=0.5).fit(u, y)
    copy = clone(esn).set_params(leak_rate=0.25)
    assert copy.get_params()["leak_rate"] == 0.25
    assert not hasattr(copy, "coef_")
    assert "ESNRegressor" in estimator_html_repr(esn)
    assert repr(small()) == "ESNRegressor(connectivity=5, n_units=30, random_state=1)"


def test_pipelines_and_searches(memory_task):
    u, y = memory_task
    pipeline = make_pipeline(StandardScaler(), small(alpha=1e-3))
    search = GridSearchCV(
        TransformedTargetRegressor(pipeline, transformer=StandardScaler()),
        {"regressor__esnregressor__spectral_radius": [0.1, 0.8]},
        cv=TimeSeriesSplit(3),
    ).fit(u, y)
    assert search.best_score_ > 0.9
    assert search.best_params_ == {"regressor__esnregressor__spectral_radius": 0.8}


def test_group_cross_validation_through_metadata_routing(rng):
    groups = np.repeat([3, 1, 2, 7], 50)
    u = rng.uniform(-1, 1, size=(200, 1))
    y = np.concatenate([np.roll(part, 1) for part in np.split(u[:, 0], 4)])
    with sklearn.config_context(enable_metadata_routing=True):
        esn = small(alpha=1e-3, washout=5)
        esn.set_fit_request(groups=True).set_score_request(groups=True)
        search = GridSearchCV(esn, {"leak_rate": [0.3, 1.0]}, cv=GroupKFold(2))
        search.fit(u, y, groups=groups)
        scores = cross_val_score(
            search.best_estimator_, u, y, cv=GroupKFold(4), params={"groups": groups}
        )
    assert search.best_params_ == {"leak_rate": 1.0}
    by_hand = []
    for train, test in GroupKFold(4).split(u, y, groups):
        model = clone(search.best_estimator_).fit(u[train], y[train], groups=groups[train])
        predicted = model.predict(u[test], groups=groups[test])
        by_hand.append(r2_score(y[test][5:], predicted[5:]))
    np.testing.assert_array_equal(scores, by_hand)


def test_cross_validation_of_a_list_of_sequences(rng):
    parts = [rng.uniform(-1, 1, size=(n, 1)) for n in (60, 50, 70, 40)]
    targets = [np.roll(part[:, 0], 1) for part in parts]
    search = GridSearchCV(small(alpha=1e-3), {"leak_rate": [0.3, 1.0]}, cv=2)
    assert search.fit(parts, targets).best_params_ == {"leak_rate": 1.0}


@pytest.mark.parametrize("topology", ["cycle", "orthogonal", "matrix", "sparse"])
def test_save_and_pickle_keep_every_bit(memory_task, tmp_path, topology):
    u, y = memory_task
    rng = np.random.default_rng(0)
    given = {
        "matrix": rng.normal(size=(30, 30)),
        "sparse": sparse.csr_array(sparse.eye_array(30, k=1)) * 0.9,
    }
    settings = {"topology": given.get(topology, topology), "washout": 5, "noise": 0.1}
    if topology == "sparse":
        settings["spectral_radius"] = None
    esn = small(**settings, leak_rate=rng.uniform(0.1, 1, 30)).fit(u[:200], y[:200])
    esn.save(tmp_path / "esn.npz")
    for copy in (ESNRegressor.load(tmp_path / "esn.npz"), pickle.loads(pickle.dumps(esn))):
        np.testing.assert_array_equal(copy.predict(u), esn.predict(u))
        assert repr(copy) == repr(esn)
        again = copy.partial_fit(u[200:], y[200:], initial_state="last")
        whole = small(**settings, leak_rate=esn.leak_rate).fit(u, y)
        np.testing.assert_allclose(again.coef_, whole.coef_, rtol=1e-6, atol=1e-8)


def test_save_keeps_column_names(memory_task, tmp_path):
    u, y = memory_task
    esn = small().fit(pd.DataFrame({"first": u[:, 0]}), y)
    esn.save(tmp_path / "esn.npz")
    loaded = ESNRegressor.load(tmp_path / "esn.npz")
    assert list(loaded.feature_names_in_) == ["first"]


def test_transformer_round_trip(memory_task, tmp_path):
    u, _ = memory_task
    transformer = ReservoirTransformer(n_units=30, random_state=1).fit(u)
    transformer.save(tmp_path / "states.npz")
    loaded = ReservoirTransformer.load(tmp_path / "states.npz")
    np.testing.assert_array_equal(loaded.transform(u), transformer.transform(u))
    with pytest.raises(ValueError, match="holds a ReservoirTransformer"):
        ESNRegressor.load(tmp_path / "states.npz")


# -- what must be refused ------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity(memory_task, bad):
    u, y = memory_task
    broken = u.copy()
    broken[7] = bad
    esn = small().fit(u, y)
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity).* in row 7, column 0"):
        esn.fit(broken, y)
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        esn.predict(broken)
    with pytest.raises(ValueError, match=r"Input y contains infinity .* in row 3, "):
        esn.fit(u, np.where(np.arange(300) == 3, np.inf, y[:, 0]))


@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        ({"n_units": 0}, ValueError, "`n_units` is 0"),
        ({"n_units": 2.5}, TypeError, r"`n_units` is 2\.5"),
        ({"n_units": 2**70}, (ValueError, MemoryError), "n_units"),
        ({"spectral_radius": -1.0}, ValueError, "`spectral_radius` is -1"),
        ({"spectral_radius": np.nan}, ValueError, "`spectral_radius` is nan"),
        ({"topology": "star"}, ValueError, "`topology`"),
        ({"topology": np.zeros((30, 30))}, ValueError, "radius"),
        ({"topology": np.zeros((3, 3))}, ValueError, "`topology`"),
        ({"distribution": "cauchy"}, ValueError, "`distribution`"),
        ({"connectivity": 31}, ValueError, "`connectivity`"),
        ({"connectivity": 0}, ValueError, "`connectivity`"),
        ({"input_scaling": [1.0, 2.0]}, ValueError, "`input_scaling`"),
        ({"input_scaling": -1.0}, ValueError, "`input_scaling` is -1"),
        ({"bias_scaling": np.nan}, ValueError, "`bias_scaling` is nan"),
        ({"feedback_scaling": [1.0]}, ValueError, "`feedback_scaling`"),
        ({"leak_rate": 0.0}, ValueError, "`leak_rate`"),
        ({"leak_rate": 1.5}, ValueError, "`leak_rate`"),
        ({"leak_rate": np.ones(3)}, ValueError, "`leak_rate`"),
        ({"activation": "sine"}, ValueError, "`activation`"),
        ({"noise": -0.1}, ValueError, "`noise`"),
        ({"feedback_noise": np.inf}, ValueError, "`feedback_noise`"),
        ({"washout": -1}, ValueError, "`washout`"),
        ({"washout": 1.0}, TypeError, "`washout`"),
        ({"alpha": -1.0}, ValueError, "`alpha`"),
        ({"alpha": [1.0, 0.0]}, ValueError, "`alpha`"),
        ({"alpha": []}, ValueError, "`alpha`"),
        ({"alpha": np.nan}, ValueError, "`alpha`"),
        ({"alpha_cv": 1}, ValueError, "`alpha_cv`"),
        ({"solver": "svd"}, ValueError, "`solver`"),
        ({"dtype": "int8"}, ValueError, "`dtype`"),
        ({"random_state": "a"}, TypeError, "`random_state`"),
    ],
)
def test_bad_parameters(memory_task, parameters, error, match):
    u, y = memory_task
    with pytest.raises(error, match=match):
        small(**parameters).fit(u, y)


def test_washout_longer_than_a_series_names_it(rng):
    parts = [rng.normal(size=(n, 1)) for n in (40, 31, 25)]
    with pytest.raises(
        ValueError, match="`washout` is 30, but sequence 2 of the 3 in `X` has only 25 steps"
    ):
        small(washout=30).fit(parts, [part[:, 0] for part in parts])


@pytest.mark.parametrize(
    ("X", "y", "kwargs", "error", "match"),
    [
        ([], [], {}, ValueError, "empty list"),
        (np.zeros((0, 1)), np.zeros(0), {}, ValueError, "0 sample"),
        (np.zeros(5), np.zeros(5), {}, ValueError, "Expected 2D array"),
        (np.zeros((5, 1)), np.zeros(4), {}, ValueError, "inconsistent numbers of samples"),
        (np.zeros((5, 1)), None, {}, ValueError, "requires y"),
        ([[["a"]]], [[1.0]], {}, ValueError, "could not convert string"),
        (np.array([[{}]]), [1.0], {}, TypeError, re.escape("float() argument")),
        (np.array([np.zeros((2, 1)), 3], dtype=object), [1, 2], {}, TypeError, "object array"),
        ([np.zeros((2, 1)), np.zeros((2, 2))], [[1, 2]] * 2, {}, ValueError, r"`X\[1\]` has 2"),
        (np.zeros((2, 2, 1)), np.zeros((2, 3)), {}, ValueError, r"`y\[0\]` has shape"),
        (np.zeros((4, 1)), np.zeros(4), {"lengths": [3]}, ValueError, "add up to 3"),
        (np.zeros((4, 1)), np.zeros(4), {"groups": [1, 2, 1, 1]}, ValueError, "contiguous"),
        (np.zeros((4, 1)), np.zeros(4), {"step_weight": [1, 2]}, ValueError, "`step_weight` has"),
        (np.zeros((2, 1)), np.zeros(2), {"step_weight": [1, -2]}, ValueError, "negative"),
        (np.zeros((2, 1)), np.zeros(2), {"step_weight": [0, 0]}, ValueError, "nothing but zeros"),
    ],
)
def test_bad_data(X, y, kwargs, error, match):
    with pytest.raises(error, match=match):
        small().fit(X, y, **kwargs)


def test_wrong_number_of_features(memory_task):
    u, y = memory_task
    with pytest.raises(ValueError, match="X has 2 features, but ESNRegressor is expecting 1"):
        small().fit(u, y).predict(np.hstack([u, u]))


@pytest.mark.parametrize("call", ["predict", "forecast", "score"])
def test_unfitted_use(call):
    arguments = {"predict": ([[1.0]],), "forecast": (3,), "score": ([[1.0]], [1.0])}[call]
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(small(), call)(*arguments)


def test_functions_cannot_be_saved(memory_task):
    u, y = memory_task
    with pytest.raises(TypeError, match=r"`params\.activation` is of type ufunc"):
        small(activation=np.sin).fit(u, y).save("never-written.npz")
