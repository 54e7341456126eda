"""NaN in targets is skipped, in inputs refused or held; infinity is refused everywhere."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import ESNClassifier, ESNRegressor, ReservoirModelSpace, ReservoirTransformer
from reservoir.dynamics import run
from reservoir.search import ReservoirSearchCV
from reservoir.sequences._missing import hold


def small(**parameters):
    return ESNRegressor(**{"n_units": 30, "connectivity": 5, "random_state": 1, **parameters})


@pytest.fixture
def gapped(rng):
    """What the input was two and three steps ago, one target in six unknown; and the whole."""
    u = rng.uniform(-1, 1, size=(300, 1))
    y = np.hstack([np.roll(u, 2), np.roll(u, 3)]) + 0.01 * rng.normal(size=(300, 2))
    holes = y.copy()
    holes[rng.random(y.shape) < 1 / 12] = np.nan
    holes[40:60, 1] = np.nan
    return u, holes, y


# -- targets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["gram", "qr"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_steps_without_a_target_are_run_and_not_learned_from(gapped, solver, fit_intercept):
    u, holes, _ = gapped
    esn = small(alpha=1e-3, washout=20, solver=solver, fit_intercept=fit_intercept).fit(u, holes)
    states = run(esn.reservoir_, u)
    features = np.hstack([u, states])
    known = (np.arange(300) >= 20) & ~np.isnan(holes).any(axis=1)
    ridge = Ridge(1e-3, solver="svd", fit_intercept=fit_intercept)
    ridge.fit(features[known], holes[known])
    np.testing.assert_allclose(esn.predict(u), ridge.predict(features), atol=1e-8)
    np.testing.assert_array_equal(esn.last_state_, states[-1])
    expected = r2_score(holes[known], esn.predict(u)[known])
    assert esn.score(u, holes) == pytest.approx(expected)


@pytest.mark.parametrize("alpha_cv", [None, 3])
@pytest.mark.parametrize("solver", ["gram", "qr"])
def test_alpha_is_chosen_as_if_the_step_had_no_weight(gapped, alpha_cv, solver):
    u, holes, _ = gapped
    settings = {"alpha": np.logspace(-6, 3, 10), "alpha_cv": alpha_cv, "solver": solver}
    esn = small(**settings).fit(u, holes)
    weights = 1.0 - np.isnan(holes).any(axis=1)
    weighted = small(**settings).fit(u, np.nan_to_num(holes, nan=1e3), step_weight=weights)
    np.testing.assert_allclose(esn.alpha_scores_, weighted.alpha_scores_, rtol=1e-6)
    np.testing.assert_allclose(esn.coef_, weighted.coef_, rtol=1e-5, atol=1e-8)
    assert esn.alpha_ == weighted.alpha_


def test_weights_of_known_steps_still_count(gapped, rng):
    u, holes, _ = gapped
    weights = rng.uniform(size=300)
    esn = small(alpha=1e-2).fit(u, holes, step_weight=weights)
    none = np.where(np.isnan(holes).any(axis=1), 0.0, weights)
    weighted = small(alpha=1e-2).fit(u, np.nan_to_num(holes), step_weight=none)
    np.testing.assert_allclose(esn.coef_, weighted.coef_, rtol=1e-6, atol=1e-9)


def test_partial_fits_with_gaps_equal_one_fit(gapped):
    u, holes, _ = gapped
    whole = small(alpha=1e-3, washout=10).fit(u, holes)
    split = small(alpha=1e-3, washout=10).partial_fit(u[:50], holes[:50])
    split.partial_fit(u[50:53], holes[50:53], initial_state="last")  # nothing but gaps
    split.partial_fit(u[53:], holes[53:], initial_state="last")
    np.testing.assert_allclose(split.coef_, whole.coef_, rtol=1e-6, atol=1e-9)


def test_nothing_to_learn_from(gapped):
    u, _, y = gapped
    with pytest.raises(ValueError, match="No step is left to learn from"):
        small().fit(u, np.full_like(y, np.nan))
    y[:290] = np.nan
    with pytest.raises(ValueError, match="No step is left to learn from"):
        small(washout=50).fit(u[:100], y[:100])


def test_what_is_fed_back_must_be_known_or_held(gapped):
    u, holes, _ = gapped
    holes[0, 0] = np.nan
    settings = {"feedback_scaling": 0.5, "alpha": 1e-3}
    with pytest.raises(ValueError, match="`y` is NaN at step 0 of sequence 0, but with `feedback"):
        small(**settings).fit(u, holes)
    esn = small(**settings, missing="hold").fit(u, holes)
    # Zero before the first value, as for the output before the first step.
    fed_back = pd.DataFrame(holes).ffill().fillna(0.0).to_numpy()
    states = run(esn.reservoir_, u, teacher=fed_back)
    known = ~np.isnan(holes).any(axis=1)
    features = np.hstack([u, states])
    ridge = Ridge(1e-3, solver="svd").fit(features[known], holes[known])
    np.testing.assert_allclose(esn.coef_, ridge.coef_, atol=1e-8)
    split = small(**settings, missing="hold").partial_fit(u[:50], holes[:50])
    split.partial_fit(u[50:], holes[50:], initial_state="last")
    np.testing.assert_allclose(split.coef_, esn.coef_, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(split.last_state_, esn.last_state_)


def test_forecast_goes_on_from_a_known_value_only():
    series = np.sin(0.2 * np.arange(401))[:, None]
    targets = series[1:].copy()
    targets[-2:] = np.nan
    esn = small(alpha=1e-6, washout=50).fit(series[:-1], targets)
    with pytest.raises(ValueError, match="can't go on from the last training target"):
        esn.forecast(3)
    np.testing.assert_allclose(esn.forecast(3, series[:-1]), series[-1:].repeat(3, 0), atol=0.6)
    held = clone(esn).set_params(missing="hold").fit(series[:-1], targets)
    np.testing.assert_array_equal(held.last_output_, targets[-3])
    x = run(esn.reservoir_, targets[-3:-2], initial_state=held.last_state_)[0]
    expected = held.coef_ @ np.concatenate([targets[-3], x]) + held.intercept_
    np.testing.assert_allclose(held.forecast(1)[0], expected, atol=1e-9)


# -- inputs --------------------------------------------------------------------------------------


@pytest.fixture
def holed(rng):
    """Two features with gaps, the second from the start of a later step on; and filled forward."""
    u = rng.uniform(-1, 1, size=(120, 2))
    u[rng.random(u.shape) < 0.2] = np.nan
    u[0] = 0.3, -0.7
    u[60:80, 0] = np.nan
    return u, pd.DataFrame(u).ffill().to_numpy()


@pytest.mark.parametrize(
    "model",
    [
        small(alpha=1e-2),
        small(alpha=1e-2, feedback_scaling=0.2),
        ReservoirTransformer(20, random_state=0),
        ESNClassifier(20, random_state=0, alpha=1.0, cv=None),
        ReservoirModelSpace(20, n_components=3, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_held_inputs_are_those_filled_forward(holed, model):
    u, filled = holed
    y = np.arange(120) % 7 > 3
    outputs = []
    for X, missing in ((u, "hold"), (filled, "raise")):
        fitted = clone(model).set_params(missing=missing).fit(X, y)
        outputs.append(fitted.predict(X) if hasattr(fitted, "predict") else fitted.transform(X))
    np.testing.assert_array_equal(*outputs)
    with pytest.raises(ValueError, match=r"Input X contains NaN in row .* set `missing` to 'hold'"):
        clone(model).fit(u, y)
    with pytest.raises(ValueError, match="`missing` is 'mean', but one of 'raise', 'hold'"):
        clone(model).set_params(missing="mean").fit(filled, y)


@pytest.mark.parametrize("missing", ["raise", "hold"])
@pytest.mark.parametrize("where", ["fit", "predict"])
def test_infinity_is_refused(holed, missing, where):
    _, filled = holed
    y, bad = filled[:, 0], filled.copy()
    bad[5, 1] = -np.inf
    esn = small(missing=missing).fit(filled, y)
    with pytest.raises(ValueError, match=r"Input X contains infinity .* in row 5, column 1"):
        esn.fit(bad, y) if where == "fit" else esn.predict(bad)
    with pytest.raises(ValueError, match="too large for float32 in row 5, column 1"):
        small(missing=missing, dtype="float32").fit(np.where(np.isinf(bad), 1e39, bad), y)


def test_nothing_is_held_across_the_start_of_a_sequence(holed):
    u, filled = holed
    u[60] = np.nan
    with pytest.raises(ValueError, match="NaN in column 0 at step 0 of sequence 1, before any"):
        small(missing="hold").fit(u, filled[:, 0], lengths=[60, 60])
    esn = small(missing="hold").fit(u, filled[:, 0])
    with pytest.raises(ValueError, match="NaN in column 0 at step 0 of sequence 0, before any"):
        esn.predict(u[60:])
    # The first sequence goes on, the second begins.
    esn = small(missing="hold").partial_fit(filled[:60], filled[:60, 0])
    with pytest.raises(ValueError, match="NaN in column 0 at step 0 of sequence 1, before any"):
        esn.partial_fit(
            np.vstack([u[60:], u[60:]]), np.zeros(120), lengths=[60, 60], initial_state="last"
        )


def test_the_last_value_goes_on_where_the_series_does(holed):
    u, _ = holed
    settings = {"missing": "hold", "alpha": 1e-3}
    y = np.sin(np.arange(120))
    whole = small(**settings).fit(u[:100], y[:100])
    split = small(**settings).partial_fit(u[:70], y[:70])
    split.partial_fit(u[70:100], y[70:100], initial_state="last")
    np.testing.assert_allclose(split.coef_, whole.coef_, rtol=1e-6, atol=1e-9)
    assert np.isnan(u[70, 0])
    assert np.isnan(u[100:104]).any()
    expected = whole.predict(u)[100:]
    np.testing.assert_allclose(whole.predict(u[100:], initial_state="last"), expected, atol=1e-9)


def test_missing_values_of_frames_and_integers(holed):
    u, filled = holed
    frame = pd.DataFrame(u, columns=["a", "b"]).convert_dtypes()
    assert frame.isna().to_numpy().any()
    esn = small(missing="hold", alpha=1.0).fit(frame, filled[:, 0])
    plain = small(missing="hold", alpha=1.0).fit(u, filled[:, 0])
    np.testing.assert_allclose(esn.predict(frame), plain.predict(u), atol=1e-12)
    counts = np.arange(10).reshape(-1, 1)
    assert hold(counts) is counts


@parametrize_with_checks(
    [small(n_units=60, missing="hold")],
    expected_failed_checks=lambda estimator: {
        **dict.fromkeys(
            ["check_methods_sample_order_invariance", "check_methods_subset_invariance"],
            "rows are steps of one series: their order and their past matter",
        ),
        "check_estimators_pickle": "its first row holds NaN, before any value to hold",
    },
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- the search ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scoring", ["r2", "neg_mean_squared_error", "neg_nrmse"])
@pytest.mark.parametrize("cv", [3, 0.3])
def test_search_skips_and_holds_as_one_fit_after_the_other(gapped, holed, scoring, cv):
    u, holes, _ = gapped
    u[[17, 18, 133, 250]] = np.nan
    esn = small(missing="hold", washout=10)
    space = {"leak_rate": [0.5, 1.0], "alpha": [1e-3, 1.0], "feedback_scaling": [0.0, 0.3]}
    search = ReservoirSearchCV(esn, space, cv=cv, gap=4, scoring=scoring, refit=False)
    search.fit(u, holes)
    cuts = [(0, 100), (100, 200), (200, 300)] if cv == 3 else [(210, 300)]
    known = ~np.isnan(holes).any(axis=1) & (np.arange(300) >= 10)
    for index, params in enumerate(search.cv_results_["params"]):
        if params["feedback_scaling"]:
            continue  # teacher-forced in the search, free-running in `predict`
        for fold, (start, stop) in enumerate(cuts):
            weight = np.ones(300)
            weight[max(start - 4, 0) : stop + 4] = 0
            model = clone(esn).set_params(**params).fit(u, holes, step_weight=weight)
            rows = known & (np.arange(300) >= start) & (np.arange(300) < stop)
            outputs, truth = model.predict(u)[rows], holes[rows]
            errors = np.mean((outputs - truth) ** 2, axis=0)
            expected = {
                "r2": 1 - np.mean(errors / truth.var(axis=0)),
                "neg_mean_squared_error": -errors.mean(),
                "neg_nrmse": -np.sqrt(errors / truth.var(axis=0)).mean(),
            }[scoring]
            found = search.cv_results_[f"split{fold}_test_score"][index]
            assert found == pytest.approx(expected, rel=1e-6)


def test_search_refuses_what_it_cannot_score(gapped):
    u, holes, y = gapped
    search = ReservoirSearchCV(small(), {"leak_rate": [1.0]}, cv=3)
    with pytest.raises(ValueError, match="`scoring` is 'valid_time', but `y` is NaN at step"):
        clone(search).set_params(scoring="valid_time").fit(y, holes)
    with pytest.raises(ValueError, match=r"`y` is NaN .* but with `feedback_scaling`"):
        clone(search).set_params(estimator__feedback_scaling=0.1).fit(u, holes)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        search.fit(holes, y)
    with pytest.raises(ValueError, match="`param_space` names 'missing'"):
        ReservoirSearchCV(small(), {"missing": ["hold"]}).fit(u, y)
    y[100:200] = np.nan
    with pytest.raises(ValueError, match="Block 1 of 3 leaves no row to score"):
        search.fit(u, y)
    y[:] = np.nan
    y[150] = 1.0
    with pytest.raises(ValueError, match="leaves no row to"):
        search.fit(u, y)
