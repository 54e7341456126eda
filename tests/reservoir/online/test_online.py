"""OnlineESNRegressor: the ridge of the steps so far, step by step and in fits, files, errors."""

import pickle

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import ESNRegressor, OnlineESNRegressor
from reservoir.dynamics import DivergenceError
from reservoir.metrics import nrmse
from tests.support.small_online import small

ROWS_ARE_EXCHANGEABLE = "rows are steps of one series: their order and their past matter"


EXPECTED_FAILURES = {
    "check_methods_sample_order_invariance": ROWS_ARE_EXCHANGEABLE,
    "check_methods_subset_invariance": ROWS_ARE_EXCHANGEABLE,
}


KINDS = [
    {},
    {"forgetting": 0.98},
    {"learner": "nlms"},
    {"learner": "lms"},
    {"feedback_scaling": 0.3},
    {"feedback_scaling": 0.3, "teacher_forcing": False},
    {"include_squares": True, "include_input": False, "fit_intercept": False},
]


@pytest.fixture
def memory_task(rng):
    """What the input was two and three steps ago, one noisy series of 120 steps."""
    u = rng.uniform(-1, 1, size=(120, 1))
    y = np.hstack([np.roll(u, 2), np.roll(u, 3)]) + 0.01 * rng.normal(size=(120, 2))
    return u, y


@parametrize_with_checks(
    [
        OnlineESNRegressor(n_units=60, random_state=0),
        OnlineESNRegressor(n_units=60, forgetting=0.999, random_state=0),
        OnlineESNRegressor(n_units=60, learner="nlms", random_state=0),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- without forgetting it is the other estimator -------------------------------------------------


@pytest.mark.parametrize("include_squares", [True, False])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("feedback_scaling", [0.0, 0.3])
def test_recursive_least_squares_gives_what_ridge_gives(
    memory_task, include_squares, fit_intercept, feedback_scaling
):
    u, y = memory_task
    settings = {
        "n_units": 20,
        "alpha": 1e-2,
        "leak_rate": 0.7,
        "washout": 10,
        "noise": 0.01,
        "feedback_scaling": feedback_scaling,
        "feedback_noise": 0.01 * (feedback_scaling > 0),
        "include_squares": include_squares,
        "fit_intercept": fit_intercept,
        "random_state": 3,
    }
    esn, online = ESNRegressor(**settings), OnlineESNRegressor(**settings)
    weights = np.linspace(0.5, 2, 120)
    esn.fit(u, y, step_weight=weights)
    online.fit(u, y, step_weight=weights)
    np.testing.assert_allclose(online.coef_, esn.coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(online.intercept_, esn.intercept_, atol=1e-9)
    np.testing.assert_array_equal(online.last_state_, esn.last_state_)
    np.testing.assert_array_equal(online.last_output_, esn.last_output_)
    start = {"initial_state": "last"}
    np.testing.assert_allclose(online.predict(u, **start), esn.predict(u, **start), atol=1e-8)
    assert online.score(u, y) == pytest.approx(esn.score(u, y))


def test_forecasts_go_on_from_training(rng):
    series = np.sin(0.2 * np.arange(501))[:, None]
    online = OnlineESNRegressor(n_units=50, washout=50, alpha=1e-8, random_state=0)
    online.fit(series[:-1], series[1:])
    future = np.sin(0.2 * np.arange(501, 601))[:, None]
    assert abs(online.forecast(100) - future).max() < 0.01


def test_one_dimensional_targets_stay_one_dimensional(memory_task):
    u, y = memory_task
    one, two = small().fit(u, y[:, 0]), small().fit(u, y[:, :1])
    assert one.coef_.shape == (21,)
    assert isinstance(one.intercept_, float)
    np.testing.assert_array_equal(one.predict(u), two.predict(u)[:, 0])
    assert one.step(u[0]) == two.step(u[0])[0]
    assert np.ndim(one.step(u[0], y[0, 0])) == 0


# -- one step at a time ---------------------------------------------------------------------------


def test_each_output_is_that_of_ridge_on_the_steps_before(memory_task):
    u, y = memory_task
    online = small(leak_rate=0.6)
    outputs = np.array([online.step(*row) for row in zip(u, y)])
    reservoir = online.reservoir_
    x, features = np.zeros(20), []
    for step in u:
        z = reservoir.recurrent @ x + reservoir.input @ step + reservoir.bias
        x = 0.4 * x + 0.6 * np.tanh(z)
        features.append(np.concatenate([step, x]))
    features = np.array(features)
    for t in (2, 10, 60, 119):
        ridge = Ridge(1e-2, solver="svd").fit(features[:t], y[:t])
        np.testing.assert_allclose(outputs[t], ridge.predict(features[t : t + 1])[0], atol=1e-9)


@pytest.mark.parametrize("settings", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_steps_learn_what_fit_learns(memory_task, settings, dtype):
    u, y = memory_task
    whole = small(washout=5, dtype=dtype, **settings).fit(u, y)
    stepped, mixed = (small(washout=5, dtype=dtype, **settings) for _ in range(2))
    for row in zip(u, y):
        stepped.step(*row)
    mixed.partial_fit(u[:30], y[:30])
    for row in zip(u[30:50], y[30:50]):
        mixed.step(*row)
    mixed.partial_fit(u[50:], y[50:], initial_state="last")
    # In float32 the states themselves are known to 1e-7, times the condition of the features.
    tolerance = 1e-8 if dtype == "float64" else 2e-3
    for online in (stepped, mixed):
        np.testing.assert_allclose(online.coef_, whole.coef_, atol=tolerance)
        np.testing.assert_allclose(online.intercept_, whole.intercept_, atol=tolerance)
        np.testing.assert_allclose(online.last_state_, whole.last_state_, atol=tolerance)
        np.testing.assert_allclose(online.last_output_, whole.last_output_, atol=tolerance)
        assert online.n_sequences_seen_ == whole.n_sequences_seen_ == 1


@pytest.mark.parametrize("settings", KINDS)
def test_steps_without_targets_are_predict(memory_task, settings):
    u, y = memory_task
    online = small(**settings).fit(u[:80], y[:80])
    expected = online.predict(u[80:], initial_state="last")
    coef = online.coef_
    np.testing.assert_allclose([online.step(row) for row in u[80:]], expected, atol=1e-9)
    np.testing.assert_array_equal(online.coef_, coef)
    online.reset_state()
    again = [online.step(row) for row in u]
    np.testing.assert_allclose(again, online.predict(u), atol=1e-9)


def test_predict_changes_nothing(memory_task):
    u, y = memory_task
    online = small(feedback_scaling=0.2).fit(u, y)
    twin = pickle.loads(pickle.dumps(online))
    first = online.predict(u)
    online.predict(u, initial_state="last")
    np.testing.assert_array_equal(online.predict(u), first)
    np.testing.assert_array_equal(online.step(u[0], y[0]), twin.step(u[0], y[0]))
    np.testing.assert_array_equal(online.coef_, twin.coef_)


def test_what_a_step_returns_is_the_callers(memory_task):
    u, y = memory_task
    online, twin = small(feedback_scaling=0.2).fit(u, y), small(feedback_scaling=0.2).fit(u, y)
    state, output = online.last_state_, online.step(u[0])
    kept = state.copy()
    np.testing.assert_array_equal(twin.step(u[0]), output)
    output[:] = 1e6
    online.coef_[:] = 1e6
    np.testing.assert_array_equal(online.step(u[1]), twin.step(u[1]))
    np.testing.assert_array_equal(state, kept)


def test_steps_of_the_washout_are_not_learned_from(memory_task):
    u, y = memory_task
    online = small(washout=10)
    for row in zip(u[:10], y[:10]):
        np.testing.assert_array_equal(online.step(*row), 0)
    assert online.learner_.n_rows == 0
    online.step(u[10], y[10])
    assert online.learner_.n_rows == 1
    online.reset_state().step(u[11], y[11])
    assert online.learner_.n_rows == 1


def test_a_step_takes_numbers_where_there_is_one():
    online = small()
    assert online.step(0.5, 1.0) == 0.0
    assert online.n_features_in_ == 1
    assert online.step([0.5]) == pytest.approx(1.0)


def test_unbounded_units_that_diverge_say_at_which_step():
    def step_on():
        for _ in range(2000):
            online.step(1.0)

    online = small(activation="relu", spectral_radius=3.0)
    online.step(0.0, 0.0)
    with pytest.raises(DivergenceError, match=r"state of step \d+ is not finite"):
        step_on()


# -- partial_fit ----------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", KINDS)
def test_sequences_are_learned_one_after_the_other(rng, settings):
    parts = [rng.uniform(-1, 1, size=(n, 1)) for n in (40, 12, 60)]
    targets = [np.roll(part, 1, axis=0) for part in parts]
    settings = settings | {"washout": 3, "noise": 0.01}
    whole, split = small(**settings).fit(parts, targets), small(**settings)
    for part, target in zip(parts, targets):
        split.partial_fit(part, target)
    np.testing.assert_array_equal(split.coef_, whole.coef_)
    assert split.n_sequences_seen_ == whole.n_sequences_seen_ == 3


@pytest.mark.parametrize("settings", KINDS)
def test_a_series_in_several_calls_is_learned_as_in_one(memory_task, settings):
    u, y = memory_task
    settings = settings | {"washout": 30, "noise": 0.01}
    whole = small(**settings).fit(u, y)
    split = small(**settings).partial_fit(u[:45], y[:45])
    split.partial_fit(u[45:50], y[45:50], initial_state="last")
    split.partial_fit(u[50:], y[50:], initial_state="last")
    np.testing.assert_allclose(split.coef_, whole.coef_, atol=1e-9)
    np.testing.assert_allclose(split.last_state_, whole.last_state_, atol=1e-12)


def test_after_a_reset_the_last_sequence_is_not_continued(memory_task):
    u, y = memory_task
    one = small(washout=5).fit(u, y).reset_state().partial_fit(u, y, initial_state="last")
    other = small(washout=5).fit(u, y).partial_fit(u, y)
    np.testing.assert_array_equal(one.coef_, other.coef_)
    assert one.n_sequences_seen_ == 2


def test_fit_starts_afresh(memory_task):
    u, y = memory_task
    online = small().fit(u, y)
    coef = online.coef_
    online.partial_fit(u, y)
    assert abs(online.coef_ - coef).max() > 0
    np.testing.assert_array_equal(online.fit(u, y).coef_, coef)


def test_the_last_sequence_weighs_most_when_the_past_fades(rng):
    u = rng.uniform(-1, 1, size=(2, 300, 1))
    targets = [u[0], -u[1]]
    for order in ([0, 1], [1, 0]):
        online = small(forgetting=0.97, alpha=1e-4)
        online.fit(u[order], [targets[i] for i in order])
        last = order[-1]
        assert nrmse(targets[last], online.predict(u[last])) < 0.01


# -- adaptation -----------------------------------------------------------------------------------


def test_forgetting_follows_a_system_that_changes(rng):
    u = rng.uniform(-1, 1, size=(1500, 1))
    gain = np.where(np.arange(1500) < 1000, 1.0, -1.0)
    y = gain * np.roll(u[:, 0], 1)
    errors = {}
    for forgetting in (1.0, 0.98):
        online = small(forgetting=forgetting, alpha=1e-6, n_units=20, washout=10)
        outputs = np.array([online.step(*row) for row in zip(u, y)])
        errors[forgetting] = nrmse(y[1300:], outputs[1300:])
    assert errors[0.98] < 0.2
    assert errors[1.0] > 1


def test_cross_validation_scores_it_like_the_other(memory_task):
    u, y = memory_task
    scores = [
        cross_val_score(estimator(20, alpha=1e-2, random_state=0), u, y, cv=TimeSeriesSplit(3))
        for estimator in (OnlineESNRegressor, ESNRegressor)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-6)


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", KINDS)
def test_a_model_from_a_file_learns_on_to_the_bit(memory_task, tmp_path, settings):
    u, y = memory_task
    online = small(noise=0.01, **settings).fit(u[:60], y[:60])
    online.step(u[60], y[60])
    online.save(tmp_path / "online.npz")
    copies = [OnlineESNRegressor.load(tmp_path / "online.npz"), pickle.loads(pickle.dumps(online))]
    for model in (online, *copies):
        model.step(u[61], y[61])
        model.partial_fit(u[62:], y[62:], initial_state="last")
    output = online.step(u[0])
    for copy in copies:
        assert copy.get_params() == online.get_params()
        np.testing.assert_array_equal(copy.coef_, online.coef_)
        np.testing.assert_array_equal(copy.step(u[0]), output)


def test_an_unfitted_model_from_a_file_is_unfitted(tmp_path):
    small(learner="nlms").save(tmp_path / "new.npz")
    model = OnlineESNRegressor.load(tmp_path / "new.npz")
    assert model.learner == "nlms"
    with pytest.raises(NotFittedError):
        model.predict(np.ones((3, 1)))


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"learner": "adam"}, ValueError, "`learner` is 'adam', but one of 'rls', 'lms', 'nlms'"),
        ({"alpha": 0}, ValueError, "`alpha` is 0, but a finite number above 0"),
        ({"forgetting": 0}, ValueError, "`forgetting` is 0"),
        ({"learner": "nlms", "learning_rate": 3}, ValueError, "`learning_rate` is 3"),
        ({"teacher_forcing": False}, ValueError, "`teacher_forcing` is False, but `feedback_sc"),
        ({"noise": -1}, ValueError, "`noise` is -1"),
        ({"washout": 120}, ValueError, "`washout` is 120, but sequence 0"),
    ],
)
def test_settings_are_checked(memory_task, settings, error, message):
    with pytest.raises(error, match=message):
        small(**settings).fit(*memory_task)


def test_lms_with_too_large_a_rate_says_so(memory_task):
    with pytest.raises(DivergenceError, match="Lower `learning_rate`"):
        small(learner="lms", learning_rate=1e4).fit(*memory_task)


def test_steps_are_checked(memory_task):
    u, y = memory_task
    with pytest.raises(NotFittedError):
        small().step(u[0])
    with pytest.raises(NotFittedError):
        small().reset_state()
    online = small().fit(u, y)
    for arguments, message in [
        ((u[:2],), r"`u` has shape \(2, 1\), but \(1,\) was expected"),
        (([1.0, 2.0],), r"`u` has shape \(2,\)"),
        (([np.nan],), "`u` holds NaN or infinity"),
        ((u[0], y[0, :1]), r"`y` has shape \(1,\), but \(2,\) was expected"),
        ((u[0], [np.inf, 0]), "`y` holds NaN or infinity"),
    ]:
        coef, state = online.coef_, online.last_state_
        with pytest.raises(ValueError, match=message):
            online.step(*arguments)
        np.testing.assert_array_equal(online.coef_, coef)
        np.testing.assert_array_equal(online.last_state_, state)


def test_a_first_step_of_the_wrong_shape_sets_nothing_up():
    online = small()
    with pytest.raises(ValueError, match=r"`u` has shape \(2, 3\)"):
        online.step(np.ones((2, 3)), 1.0)
    assert not hasattr(online, "learner_")


def test_partial_fit_is_checked(memory_task):
    u, y = memory_task
    with pytest.raises(ValueError, match="nothing was learned yet"):
        small().partial_fit(u, y, initial_state="last")
    with pytest.raises(ValueError, match="`initial_state` is 'first'"):
        small().partial_fit(u, y, initial_state="first")
    with pytest.raises(ValueError, match="`y` has 1 outputs, but the calls before had 2"):
        small().fit(u, y).partial_fit(u, y[:, :1])
