"""Next-generation reservoir computing: monomials of delayed inputs under a ridge readout."""

import pickle

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import NVARRegressor
from reservoir.datasets import lorenz
from reservoir.dynamics import DivergenceError
from reservoir.metrics import valid_prediction_time
from reservoir.readout import MonomialMap, delay_vectors

ROWS_ARE_EXCHANGEABLE = "rows are steps of one series: their order and their past matter"
EXPECTED_FAILURES = {
    "check_methods_sample_order_invariance": ROWS_ARE_EXCHANGEABLE,
    "check_methods_subset_invariance": ROWS_ARE_EXCHANGEABLE,
}


@parametrize_with_checks(
    [NVARRegressor(), NVARRegressor(3, stride=2, order=1)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def series(rng):
    """A noisy two-dimensional series of 200 steps with a target that depends on its past."""
    u = rng.normal(size=(200, 2))
    past = np.roll(u, 2, axis=0)
    y = u[:, :1] * past + 0.3 * past[:, ::-1] + 0.01 * rng.normal(size=(200, 2))
    return u, y


def delayed(u, n_delays, stride):
    """The delay vectors as they are written down; what was before the first row is that row."""
    rows = []
    for t in range(len(u)):
        rows.append(np.concatenate([u[max(t - j * stride, 0)] for j in range(n_delays)]))
    return np.array(rows)


# -- features ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_delays", "stride"), [(1, 1), (1, 4), (2, 1), (3, 2), (2, 5)])
def test_delay_vectors(rng, n_delays, stride):
    u = rng.normal(size=(12, 3))
    history = np.repeat(u[:1], (n_delays - 1) * stride, axis=0)
    np.testing.assert_array_equal(
        delay_vectors(u, history, n_delays, stride), delayed(u, n_delays, stride)
    )


@pytest.mark.parametrize("orders", [(), (2,), (2, 3), (3,), (2, 3, 4)])
def test_monomials_are_those_of_scikit_learn(rng, orders):
    rows = rng.normal(size=(7, 4))
    features = PolynomialFeatures(degree=max(orders, default=1), include_bias=False)
    expected = features.fit_transform(rows)
    expected = expected[:, np.isin(features.powers_.sum(axis=1), (1, *orders))]
    monomials = MonomialMap(4, orders)
    assert monomials.n_columns == expected.shape[1]
    np.testing.assert_allclose(monomials.stack(rows), expected, rtol=1e-14)
    assert monomials.stack(rows.astype(np.float32)).dtype == np.float32


# -- the readout is Ridge on them ----------------------------------------------------------------


@pytest.mark.parametrize("predict_increment", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize(("n_delays", "stride", "order"), [(2, 1, 2), (3, 2, 1), (2, 3, (3,))])
def test_equals_ridge_on_plain_features(
    series, n_delays, stride, order, fit_intercept, predict_increment
):
    u, y = series
    model = NVARRegressor(
        n_delays,
        stride=stride,
        order=order,
        alpha=0.1,
        fit_intercept=fit_intercept,
        predict_increment=predict_increment,
    ).fit(u, y)
    features = PolynomialFeatures(3, include_bias=False).fit(np.ones((1, 2 * n_delays)))
    wanted = {2: (1, 2), 1: (1,), (3,): (1, 3)}[order]
    columns = np.isin(features.powers_.sum(axis=1), wanted)
    seen = features.transform(delayed(u, n_delays, stride))[:, columns]
    first = (n_delays - 1) * stride
    ridge = Ridge(alpha=0.1, fit_intercept=fit_intercept, solver="svd")
    ridge.fit(seen[first:], (y - u * predict_increment)[first:])
    expected = ridge.predict(seen) + u * predict_increment
    np.testing.assert_allclose(model.predict(u), expected, atol=1e-10)
    np.testing.assert_allclose(model.coef_, ridge.coef_, atol=1e-10)
    assert model.score(u, y) == pytest.approx(r2_score(y[first:], expected[first:]))


def test_alpha_path_takes_what_one_fit_an_alpha_ranks_first(series):
    u, y = series
    alphas = np.logspace(-4, 4, 9)
    path = NVARRegressor(alpha=alphas).fit(u, y)
    alone = NVARRegressor(alpha=path.alpha_).fit(u, y)
    np.testing.assert_allclose(path.coef_, alone.coef_, rtol=1e-7, atol=1e-10)
    # Generalised cross-validation from its definition.
    seen = MonomialMap(4, (2,)).stack(delayed(u, 2, 1))[1:]
    centred, goals = seen - seen.mean(axis=0), y[1:] - y[1:].mean(axis=0)
    scores = []
    for alpha in alphas:
        hat = centred @ np.linalg.solve(centred.T @ centred + alpha * np.eye(14), centred.T)
        freedom = 1 - (np.trace(hat) + 1) / len(seen)
        scores.append(np.mean((goals - hat @ goals) ** 2) / freedom**2)
    np.testing.assert_allclose(path.alpha_scores_, scores, rtol=1e-8)
    assert path.alpha_ == alphas[np.argmin(scores)]


def test_factor_takes_over_where_normal_equations_lose_alpha():
    # A polynomial law is found to rounding, whatever it is that normal equations would keep.
    x = [0.3]
    for _ in range(60):
        x.append(3.9 * x[-1] * (1 - x[-1]))
    x = np.array(x)[:, None] + 1e3  # the same law, far from 0
    gram = NVARRegressor(1, order=3, alpha=1e-3).fit(x[:50], x[1:51])
    factor = NVARRegressor(1, order=3, alpha=0.0).fit(x[:50], x[1:51])
    assert (gram.solver_, factor.solver_) == ("qr", "qr")  # the trace alone rules it out
    assert np.abs(factor.predict(x[50:60]) - x[51:61]).max() < 1e-6
    tame = NVARRegressor(1, order=3, alpha=1e-3).fit(x[:50] - 1e3, x[1:51] - 1e3)
    assert tame.solver_ == "gram"


# -- sequences -----------------------------------------------------------------------------------


def test_forms_of_sequences_agree(rng):
    array, y = rng.normal(size=(4, 30, 2)), rng.normal(size=(4, 30, 1))
    rows, targets = array.reshape(120, 2), y.reshape(120, 1)
    forms = [
        (array, y, {}),
        (list(array), list(y), {}),
        (rows, targets, {"groups": np.repeat(np.arange(4), 30)}),
        (rows, targets, {"lengths": [30] * 4}),
    ]
    results = []
    for X, goals, cuts in forms:
        model = NVARRegressor(3, stride=2, alpha=1.0).fit(X, goals, **cuts)
        predicted = model.predict(X, **cuts)
        assert type(predicted) is type(X)
        results.append((np.asarray(predicted).reshape(-1, 1), model.score(X, goals, **cuts)))
    for predicted, score in results[1:]:
        np.testing.assert_array_equal(predicted, results[0][0])
        assert score == results[0][1]


def test_sequences_do_not_touch_each_other(rng):
    parts = [rng.normal(size=(n, 2)) for n in (40, 9, 25)]
    targets = [part[:, 0] for part in parts]
    model = NVARRegressor(3, stride=2, alpha=1.0).fit(parts, targets)
    seen = [MonomialMap(6, (2,)).stack(delayed(part, 3, 2))[4:] for part in parts]
    ridge = Ridge(alpha=1.0).fit(np.concatenate(seen), np.concatenate([y[4:] for y in targets]))
    np.testing.assert_allclose(model.coef_, ridge.coef_, atol=1e-8)
    for part, predicted in zip(parts, model.predict(parts), strict=True):
        np.testing.assert_allclose(model.predict(part), predicted, rtol=1e-12)


def test_pieces_of_a_long_series_join(monkeypatch, series):
    u, y = series
    whole = NVARRegressor(3, stride=2, alpha=1e-3).fit(u, y)
    monkeypatch.setattr("reservoir.estimators._nvar.ROWS_PER_FOLD", 7)
    cut = NVARRegressor(3, stride=2, alpha=1e-3).fit(u, y)
    np.testing.assert_allclose(cut.coef_, whole.coef_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(cut.predict(u), whole.predict(u), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("predict_increment", [False, True])
def test_any_split_into_partial_fits_is_one_fit(series, predict_increment):
    u, y = series
    settings = {"n_delays": 3, "stride": 3, "alpha": 1e-2, "predict_increment": predict_increment}
    whole = NVARRegressor(**settings).fit(u, y)
    split = NVARRegressor(**settings).partial_fit(u[:8], y[:8])
    for piece in np.split(np.arange(8, 200), [1, 2, 30]):
        split.partial_fit(u[piece], y[piece], initial_state="last")
    np.testing.assert_allclose(split.coef_, whole.coef_, rtol=1e-8, atol=1e-12)
    np.testing.assert_array_equal(split.last_inputs_, whole.last_inputs_)
    np.testing.assert_array_equal(whole.last_inputs_, u[-6:])
    two = NVARRegressor(**settings).fit([u[:80], u[80:]], [y[:80], y[80:]])
    parts = NVARRegressor(**settings).partial_fit(u[:80], y[:80]).partial_fit(u[80:], y[80:])
    np.testing.assert_allclose(parts.coef_, two.coef_, rtol=1e-8, atol=1e-12)
    np.testing.assert_array_equal(
        whole.fit(u[:80], y[:80]).coef_, clone(whole).fit(u[:80], y[:80]).coef_
    )


def test_prediction_goes_on_where_training_ended(series):
    u, y = series
    model = NVARRegressor(3, stride=2).fit(u[:150], y[:150])
    np.testing.assert_allclose(
        model.predict(u[150:], initial_state="last"), model.predict(u)[150:], rtol=1e-12
    )
    assert np.abs(model.predict(u[150:]) - model.predict(u)[150:])[:4].max() > 1e-3


# -- forecasts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("predict_increment", [False, True])
@pytest.mark.parametrize("n_delays", [1, 3])
def test_forecast_is_predict_on_its_own_outputs(n_delays, predict_increment):
    x = lorenz(300, random_state=0) / 10
    model = NVARRegressor(n_delays, stride=2, predict_increment=predict_increment)
    model.fit(x[:250], x[1:251])
    context = x[200:240]
    forecast = model.forecast(20, context)
    again = model.predict(np.concatenate([context, forecast]))[len(context) - 1 : -1]
    np.testing.assert_allclose(again, forecast, rtol=1e-9)
    # From the last training target on, as from a context that ends with it.
    np.testing.assert_allclose(model.forecast(20), model.forecast(20, x[:251]), rtol=1e-9)
    several = model.forecast(20, [context, x[100:150]])
    assert [part.shape for part in several] == [(20, 3)] * 2
    np.testing.assert_allclose(several[0], forecast, rtol=1e-9)
    np.testing.assert_allclose(several[1], model.forecast(20, x[100:150]), rtol=1e-9)
    np.testing.assert_array_equal(model.forecast(20, np.stack([context]))[0], forecast)


def test_forecast_of_one_dimensional_targets():
    x = np.sin(0.3 * np.arange(120))
    model = NVARRegressor(2, order=1, alpha=0.0).fit(x[:99, None], x[1:100])
    assert model.forecast(20).shape == (20,)
    # A sine obeys a linear recurrence of two steps.
    np.testing.assert_allclose(model.forecast(20), x[100:], atol=1e-10)


def test_lorenz_with_the_published_setting_and_integrator():
    """Five Lyapunov times, from 400 steps of what RK23 at SciPy's tolerances gives."""

    def slope(_, s):
        return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]

    times = []
    for seed in range(8):
        start = lorenz(1, random_state=seed)[0]
        clock = 0.025 * np.arange(900)
        x = solve_ivp(slope, (0, clock[-1]), start, t_eval=clock, method="RK23").y.T
        model = NVARRegressor(predict_increment=True).fit(x[:401], x[1:402])
        assert model.coef_.shape == (3, 27)  # and the constant: 28 features
        times.append(
            valid_prediction_time(
                x[402:], model.forecast(498), threshold=0.4, dt=0.025, lyapunov_exponent=0.906
            )
        )
    assert np.median(times) > 4.5


def test_diverging_forecast_stops_and_says_where():
    x = np.linspace(1.0, 3.0, 30)[:, None]
    model = NVARRegressor(1, alpha=0.0, output_limit=None).fit(x, x**2)
    with pytest.raises(DivergenceError, match=r"output of step \d+ of sequence 0 is inf") as caught:
        model.forecast(50, [[1.5]])
    # 1.5^(2^n) leaves float64 at n = 11: step 10.
    assert caught.value.step == 10


# -- the rest ------------------------------------------------------------------------------------


def test_save_and_pickle_keep_every_bit(tmp_path, series):
    u, y = series
    model = NVARRegressor(2, stride=2, order=(2, 3), alpha=[1e-2, 1.0]).fit(u[:150], y[:150])
    path = tmp_path / "model.npz"
    model.save(path)
    for other in (NVARRegressor.load(path), pickle.loads(pickle.dumps(model))):
        assert other.get_params() == model.get_params()
        np.testing.assert_array_equal(other.predict(u), model.predict(u))
        np.testing.assert_array_equal(other.forecast(5), model.forecast(5))
        other.partial_fit(u[150:], y[150:], initial_state="last")
    model.partial_fit(u[150:], y[150:], initial_state="last")
    np.testing.assert_array_equal(other.coef_, model.coef_)


def test_single_precision_stays_single(series):
    u, y = series
    double = NVARRegressor(2, alpha=1.0).fit(u, y)
    single = NVARRegressor(2, alpha=1.0, dtype="float32").fit(u, y)
    assert single.predict(u).dtype == single.forecast(3).dtype == np.float32
    assert single.coef_.dtype == np.float64
    np.testing.assert_allclose(single.predict(u), double.predict(u), atol=1e-5)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_huge_and_tiny_series(series, scale):
    u, y = series
    linear = NVARRegressor(2, order=1, alpha=1e-3).fit(u, y)
    scaled = NVARRegressor(2, order=1, alpha=1e-3 * scale**2).fit(u * scale, y * scale)
    np.testing.assert_allclose(scaled.coef_, linear.coef_, rtol=1e-7, atol=1e-9)


BAD_PARAMETERS = [
    ({"n_delays": 0}, ValueError, "`n_delays` is 0"),
    ({"n_delays": 2.0}, TypeError, "`n_delays` is 2.0"),
    ({"stride": 0}, ValueError, "`stride` is 0"),
    ({"order": 0}, ValueError, "`order` is 0"),
    ({"order": (1, 2)}, ValueError, "`order` is 1, but an integer of 2 or more"),
    ({"order": (2, 2)}, ValueError, r"`order` is \(2, 2\), but each order was expected once"),
    ({"order": "quadratic"}, TypeError, "`order` is 'quadratic'"),
    ({"order": 1.5}, TypeError, r"`order` is 1\.5"),
    ({"alpha": -1.0}, ValueError, r"`alpha` is -1\.0"),
    ({"solver": "cholesky"}, ValueError, "`solver` is 'cholesky'"),
    ({"dtype": "float16"}, ValueError, "`dtype` is 'float16'"),
]


@pytest.mark.parametrize(("parameters", "error", "match"), BAD_PARAMETERS)
def test_bad_parameters(series, parameters, error, match):
    with pytest.raises(error, match=match):
        NVARRegressor(**parameters).fit(*series)


def test_bad_data(series):
    u, y = series
    with pytest.raises(ValueError, match=r"Sequence 1 of the 2 in `X` has 4 sample\(s\), but 3 in"):
        NVARRegressor(3, stride=2).fit([u, u[:4]], [y, y[:4]])
    with pytest.raises(ValueError, match="`predict_increment` is True, but `y` has 1 outputs"):
        NVARRegressor(predict_increment=True).fit(u, y[:, 0])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        NVARRegressor().fit(np.where(u > 2, np.nan, u), y)
    with pytest.raises(ValueError, match="requires y to be passed"):
        NVARRegressor().fit(u, None)
    model = NVARRegressor().fit(u, y[:, :1])
    with pytest.raises(ValueError, match="`future` is missing, but column 1 of `X` is no output"):
        model.forecast(5)
    with pytest.raises(ValueError, match="`y` has 2 outputs, but the calls before had 1"):
        model.partial_fit(u, y)
    with pytest.raises(ValueError, match="X has 1 features, but NVARRegressor is expecting 2"):
        model.predict(u[:, :1])


def test_bad_starts(series):
    u, y = series
    with pytest.raises(ValueError, match="'last', but nothing was learned yet"):
        NVARRegressor().partial_fit(u, y, initial_state="last")
    model = NVARRegressor().fit(u, y)
    with pytest.raises(ValueError, match="`initial_state` is 'first'"):
        model.predict(u, initial_state="first")
    with pytest.raises(ValueError, match="`initial_state` is 'last', but `X` holds 2 sequences"):
        model.predict([u, u], initial_state="last")
    with pytest.raises(ValueError, match="Sequence 0 of the 1 in `X` has 1 sample"):
        model.forecast(5, u[:1])
    with pytest.raises(ValueError, match="`n_steps` is 0"):
        model.forecast(0)
    for call in (NVARRegressor().predict, NVARRegressor().forecast):
        with pytest.raises(NotFittedError):
            call(5)
