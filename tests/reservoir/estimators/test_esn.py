"""ESNRegressor: ridge on plain states, feedback, weights, alphas, forms of X, partial_fit."""

import numpy as np
import pytest
from joblib import parallel_config
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline

from reservoir import ESNRegressor, ReservoirTransformer
from tests.support.small_esn import small


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
    path = small(input_scaling=1.0, alpha=alphas).fit(u, y)
    assert path.alpha_scores_.shape == (11,)
    assert path.alpha_ == alphas[np.argmin(path.alpha_scores_)]
    single = small(input_scaling=1.0, alpha=path.alpha_).fit(u, y)
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


def test_processes_learn_what_threads_do(rng):
    parts = rng.normal(size=(12, 30, 2))
    threads = small(alpha=1.0, n_jobs=2).fit(parts, parts)
    with parallel_config("loky"):
        processes = small(alpha=1.0, n_jobs=2).fit(parts, parts)
    np.testing.assert_array_equal(processes.coef_, threads.coef_)
    np.testing.assert_array_equal(processes.last_state_, threads.last_state_)


@pytest.mark.parametrize("n_jobs", [2, 3, 9])
def test_workers_predict_the_same(rng, n_jobs):
    parts = [rng.normal(size=(n, 2)) for n in (40, 31, 1, 25, 60)]
    targets = [part[:, 0] for part in parts]
    alone, spread = (small(alpha=1.0, n_jobs=n).fit(parts, targets) for n in (None, n_jobs))
    outputs, state = alone.predict(parts, return_state=True)
    others, ends = spread.predict(parts, return_state=True)
    assert [len(part) for part in others] == [40, 31, 1, 25, 60]
    for part, other in zip(outputs, others, strict=True):
        np.testing.assert_allclose(other, part, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ends.state, state.state, rtol=1e-8, atol=1e-10)


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
    esn = small(alpha=1e-6).fit(u, y)
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
    with pytest.raises(ValueError, match="`y` has 1 outputs, but the calls before had 2"):
        small().partial_fit(u, y).partial_fit(u, y[:, 0])
    with pytest.raises(ValueError, match="features"):
        small().partial_fit(u, y).partial_fit(np.hstack([u, u]), y)


def test_progress_counts_steps_only_when_asked(memory_task, capsys):
    u, y = memory_task
    small().fit(u, y)
    assert capsys.readouterr() == ("", "")
    small(verbose=True).fit(u, y)
    output = capsys.readouterr()
    assert output.out == ""
    assert "300/300" in output.err


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


@pytest.mark.parametrize(("alpha", "is_single"), [(100.0, True), (1e-3, False)])
def test_large_alphas_let_products_be_made_in_single_precision(rng, alpha, is_single):
    u = rng.uniform(-1, 1, size=(5000, 1))
    y = np.roll(u, 1) + 0.1 * rng.normal(size=u.shape)
    settings = {"n_units": 50, "alpha": alpha, "dtype": "float32", "random_state": 0}
    esn = ESNRegressor(**settings).fit(u, y)
    sums = esn._accumulator.sums
    assert (sums.resolution_floor > 0) is is_single
    assert sums.resolution_floor < alpha
    # The same states, with sums in float64, as one of several alphas has them.
    double = ESNRegressor(**settings | {"alpha": [alpha]}).fit(u, y)
    assert double._accumulator.sums.resolution_floor == 0
    error = np.linalg.norm(esn.coef_ - double.coef_) / np.linalg.norm(double.coef_)
    assert error < (1e-4 if is_single else 1e-7)
