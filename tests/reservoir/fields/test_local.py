"""Local reservoirs on a ring: patches, halos, shared and separate readouts, closed loop."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import ESNRegressor, LocalESNRegressor
from reservoir.datasets import lorenz96
from reservoir.dynamics import DivergenceError, Reservoir
from reservoir.fields import Patches, run_fields_free
from reservoir.metrics import valid_prediction_time
from reservoir.readout import Readout

ROWS_ARE_EXCHANGEABLE = "rows are steps of one series: their order and their past matter"
ONE_TARGET = "the check compares predictions with its own target, which is no field on the sites"
EXPECTED_FAILURES = {
    "check_methods_sample_order_invariance": ROWS_ARE_EXCHANGEABLE,
    "check_methods_subset_invariance": ROWS_ARE_EXCHANGEABLE,
    "check_fit_score_takes_y": ONE_TARGET,
    "check_pipeline_consistency": ONE_TARGET,
    "check_regressors_train": ONE_TARGET,
    "check_regressor_multioutput": ONE_TARGET,
}
SMALL = {"n_units": 20, "connectivity": 5, "patch_size": 3, "overlap": 2, "random_state": 1}


def small(**parameters):
    return LocalESNRegressor(**{**SMALL, **parameters})


@pytest.fixture
def field(rng):
    """A field on 12 sites, 80 steps, and one that depends on its neighbourhood and its past."""
    u = rng.normal(size=(80, 12))
    y = np.roll(u, 1, axis=1) * np.roll(np.roll(u, -2, axis=1), 1, axis=0) + 0.1 * u
    return u, y


def seen_by(field, patch, size, overlap):
    """What a patch sees, site by site."""
    sites = [(patch * size + j) % field.shape[1] for j in range(-overlap, size + overlap)]
    return np.stack([field[:, site] for site in sites], axis=1)


def plain_states(reservoir, inputs):
    """The recurrence as it is written down, one step at a time, dense."""
    W, a = reservoir.recurrent.toarray(), reservoir.leak_rate
    x, states = np.zeros(len(W)), []
    for u in inputs:
        x = (1 - a) * x + a * np.tanh(W @ x + reservoir.input @ u + reservoir.bias)
        states.append(x)
    return np.array(states)


def plain_features(esn, field):
    """What the readout of each patch sees: (n_patches, n_steps, n_columns)."""
    features = []
    for patch in range(field.shape[1] // esn.patch_size):
        u = seen_by(field, patch, esn.patch_size, esn.overlap)
        x = plain_states(esn.reservoir_, u)
        columns = [u] * esn.include_input + [x] + [x**2] * esn.include_squares
        features.append(np.hstack(columns))
    return np.array(features)


class FieldOfOneTarget(LocalESNRegressor):
    """Takes the target that scikit-learn's checks pass for the target of every site."""

    def fit(self, X, y, groups=None, lengths=None):
        columns, goals = np.asarray(X), np.asarray(y)
        if y is not None and columns.ndim == 2 and goals.ndim in (1, 2) and goals.size:
            goals = goals if goals.ndim == 1 else goals[:, 0]
            y = np.repeat(goals[:, None], columns.shape[1], axis=1)
        return super().fit(X, y, groups, lengths)


@parametrize_with_checks(
    [FieldOfOneTarget(10, patch_size=1, overlap=0, random_state=0)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# -- patches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_sites", "size", "overlap"), [(12, 3, 2), (12, 4, 4), (6, 6, 0), (6, 1, 0), (9, 3, 3)]
)
def test_patches_see_their_neighbours_round_the_ring(rng, n_sites, size, overlap):
    patches = Patches(n_sites, size, overlap)
    field = rng.normal(size=(5, n_sites))
    assert patches.n_patches == n_sites // size
    assert patches.width == size + 2 * overlap
    for patch, seen in enumerate(patches.seen(field)):
        expected = seen_by(field, patch, size, overlap)
        np.testing.assert_array_equal(seen, expected)
        np.testing.assert_array_equal(field[:, patches.sites[patch]], expected)
    np.testing.assert_array_equal(np.hstack(patches.owned(field)), field)


def test_what_patches_see_takes_the_memory_of_one_field(rng):
    field = rng.normal(size=(100, 60))
    seen = Patches(60, 5, 10).seen(field)
    assert all(part.base is seen[0].base for part in seen)
    assert seen[0].base.nbytes == 100 * (60 + 20) * 8


# -- the readouts are Ridge on plain states ------------------------------------------------------


@pytest.mark.parametrize("include_input", [True, False])
@pytest.mark.parametrize("include_squares", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_equals_ridge_on_plain_states(field, shared, include_input, include_squares):
    u, y = field
    esn = small(
        shared=shared,
        alpha=1e-2,
        washout=10,
        leak_rate=0.7,
        include_input=include_input,
        include_squares=include_squares,
    ).fit(u, y)
    features = plain_features(esn, u)
    owned = np.array([y[:, 3 * patch : 3 * patch + 3] for patch in range(4)])
    if shared:
        ridge = Ridge(alpha=1e-2, solver="svd")
        ridge.fit(np.concatenate(features[:, 10:]), np.concatenate(owned[:, 10:]))
        ridges = [ridge] * 4
        assert esn.coef_.shape == (3, features.shape[2])
    else:
        ridges = [
            Ridge(alpha=1e-2, solver="svd").fit(s[10:], goal[10:])
            for s, goal in zip(features, owned, strict=True)
        ]
        assert esn.coef_.shape == (4, 3, features.shape[2])
    expected = np.hstack([ridge.predict(s) for ridge, s in zip(ridges, features, strict=True)])
    np.testing.assert_allclose(esn.predict(u), expected, atol=1e-8)
    assert esn.score(u, y) == pytest.approx(r2_score(y[10:], expected[10:]))


def test_one_patch_without_halo_is_the_plain_network():
    x = lorenz96(400, n_sites=6, random_state=0) / 4
    settings = {
        "n_units": 50,
        "input_scaling": 0.3,
        "washout": 30,
        "alpha": 1e-6,
        "random_state": 7,
    }
    plain = ESNRegressor(**settings).fit(x[:300], x[1:301])
    for shared in (True, False):
        local = LocalESNRegressor(**settings, patch_size=6, overlap=0, shared=shared)
        local.fit(x[:300], x[1:301])
        np.testing.assert_allclose(local.predict(x), plain.predict(x), atol=1e-9)
        np.testing.assert_allclose(local.forecast(10), plain.forecast(10), atol=1e-7)
        np.testing.assert_allclose(
            local.forecast(10, x[200:250]), plain.forecast(10, x[200:250]), atol=1e-7
        )


def test_alpha_path(field):
    u, y = field
    alphas = [1e-3, 1.0, 1e3]
    shared = small(alpha=alphas).fit(u, y)
    assert shared.alpha_ in alphas
    np.testing.assert_allclose(
        shared.coef_, small(alpha=shared.alpha_).fit(u, y).coef_, rtol=1e-7, atol=1e-9
    )
    own = small(alpha=alphas, shared=False).fit(u, y)
    assert own.alpha_.shape == (4,)
    assert own.alpha_scores_.shape == (4, 3)
    for patch in range(4):
        alone = small(alpha=own.alpha_[patch], shared=False).fit(u, y)
        np.testing.assert_allclose(own.coef_[patch], alone.coef_[patch], rtol=1e-7, atol=1e-9)


def test_solver_goes_over_to_qr_for_a_tiny_alpha(field):
    u, y = field
    esn = small(alpha=1e-20, n_units=10, washout=5).fit(u, y)
    assert esn.solver_ == "qr"
    features = np.concatenate(plain_features(esn, u)[:, 5:])
    features = np.column_stack([np.ones(len(features)), features])
    goals = np.concatenate([y[5:, 3 * patch : 3 * patch + 3] for patch in range(4)])
    expected = np.linalg.lstsq(features, goals)[0]
    np.testing.assert_allclose(esn.coef_, expected[1:].T, atol=1e-9)
    assert small(alpha=1e-20, n_units=10, shared=False).fit(u, y).solver_ == ["qr"] * 4


# -- symmetry and locality -----------------------------------------------------------------------


def test_a_shared_model_turns_with_its_field():
    x = lorenz96(300, n_sites=12, random_state=0) / 4
    esn = small(n_units=60, washout=20).fit(x[:250], x[1:251])
    turned = np.roll(x, 6, axis=1)
    np.testing.assert_allclose(esn.predict(turned), np.roll(esn.predict(x), 6, axis=1), atol=1e-12)
    forecast, turned_forecast = esn.forecast(15, x[:100]), esn.forecast(15, turned[:100])
    np.testing.assert_allclose(turned_forecast, np.roll(forecast, 6, axis=1), atol=1e-9)
    # The patches of a turned training field are the same ones in another order.
    again = small(n_units=60, washout=20).fit(turned[:250], turned[1:251])
    np.testing.assert_allclose(again.forecast(5, x[:100]), forecast[:5], atol=1e-6)


@pytest.mark.parametrize("shared", [True, False])
def test_what_is_beyond_the_halo_does_not_matter(field, shared):
    u, y = field
    esn = small(shared=shared).fit(u, y)
    other = u.copy()
    other[40, 8] += 1.0  # seen by the patches that own 6-8 and 9-11, not by those before
    changed = esn.predict(other) != esn.predict(u)
    assert not changed[:, :6].any()
    assert not changed[:40].any()
    assert changed[40:45, 6:].all()


def test_separate_readouts_learn_a_law_that_differs_from_place_to_place(rng):
    u = rng.normal(size=(300, 12))
    y = u * np.repeat([1.0, -1.0, 2.0, 0.0], 3)
    own = small(shared=False, alpha=1e-8).fit(u, y)
    np.testing.assert_allclose(own.predict(u), y, atol=1e-4)
    assert small(shared=True, alpha=1e-8).fit(u, y).score(u, y) < 0.5


# -- closed loop ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_forecast_is_predict_on_its_own_outputs(shared):
    x = lorenz96(300, n_sites=12, random_state=0) / 4
    esn = small(n_units=40, washout=20, shared=shared, include_squares=True, leak_rate=0.8)
    esn.set_params(output_limit=None).fit(x[:250], x[1:251])
    context = x[150:200]
    forecast = esn.forecast(12, context)
    again = esn.predict(np.concatenate([context, forecast]))[len(context) - 1 : -1]
    np.testing.assert_allclose(again, forecast, atol=1e-8)
    # From the last training target on, as from a context that ends with it.
    np.testing.assert_allclose(esn.forecast(12), esn.forecast(12, x[:251]), atol=1e-8)
    several = esn.forecast(12, [context, x[100:149], x[5:6]])
    np.testing.assert_allclose(several[0], forecast, atol=1e-8)
    np.testing.assert_allclose(several[1], esn.forecast(12, x[100:149]), atol=1e-8)
    np.testing.assert_allclose(several[2], esn.forecast(12, x[5:6]), atol=1e-8)


@pytest.mark.parametrize("n_fields", [1, 3, 9])
@pytest.mark.parametrize("n_readouts", [1, 4])
@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_free_fields_against_the_plain_loop(rng, n_fields, n_readouts, engine):
    if engine == "numba":
        pytest.importorskip("numba")
    patches = Patches(8, 2, 1)
    esn = LocalESNRegressor(15, patch_size=2, overlap=1, connectivity=4, random_state=0)
    reservoir = esn._draw_reservoir(4)
    readouts = [
        Readout(
            state=rng.normal(size=(2, 15)) / 8,
            intercept=rng.normal(size=2) / 8,
            input=rng.normal(size=(2, 4)) / 8,
        )
        for _ in range(n_readouts)
    ]
    states, fields = rng.normal(size=(n_fields, 4, 15)), rng.normal(size=(n_fields, 8))
    found = run_fields_free(reservoir, readouts, patches, 6, states, fields, engine=engine)
    W = reservoir.recurrent.toarray()
    for index in range(n_fields):
        x, u = states[index], fields[index]
        for step in range(6):
            v = [seen_by(u[None], patch, 2, 1)[0] for patch in range(4)]
            x = [np.tanh(W @ x[p] + reservoir.input @ v[p] + reservoir.bias) for p in range(4)]
            u = np.concatenate(
                [readouts[p % n_readouts](x[p][None], v[p][None])[0] for p in range(4)]
            )
            np.testing.assert_allclose(found[index, step], u, rtol=1e-9, atol=1e-12)


def test_diverging_forecast_stops_and_says_where():
    # Each site becomes the square of itself, twice as fast as one can write down.
    unit = Reservoir(
        recurrent=np.zeros((1, 1)),
        input=np.eye(1),
        bias=np.zeros(1),
        activation=lambda z: z**2,
    )
    readout = Readout(state=np.ones((1, 1)), intercept=np.zeros(1))
    states, fields = np.zeros((1, 4, 1)), np.array([[1.0, 0.5, 1.5, 1.0]])
    # 1.5^(2^n) leaves float64 at n = 11: step 10.
    with pytest.raises(DivergenceError, match="of step 10 of sequence 0 is inf") as caught:
        run_fields_free(unit, [readout], Patches(4, 1, 0), 50, states, fields)
    assert caught.value.step == 10


def test_forecasts_lorenz96_beyond_one_lyapunov_time():
    x = lorenz96(3000, n_sites=16, dt=0.02, random_state=0)
    x = x / x.std()
    esn = LocalESNRegressor(
        200,
        patch_size=2,
        overlap=4,
        spectral_radius=0.1,
        input_scaling=0.1,
        include_squares=True,
        alpha=1e-6,
        washout=50,
        random_state=0,
    ).fit(x[:2000], x[1:2001])
    starts = 2200 + 150 * np.arange(4)
    times = [
        valid_prediction_time(x[s : s + 200], f, threshold=0.4, dt=0.02, lyapunov_exponent=1.7)
        for s, f in zip(
            starts, esn.forecast(200, np.stack([x[s - 60 : s] for s in starts])), strict=True
        )
    ]
    assert np.median(times) > 2.0


# -- sequences, workers, files -------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_forms_of_sequences_agree(rng, shared):
    array, y = rng.normal(size=(3, 30, 12)), rng.normal(size=(3, 30, 12))
    rows, goals = array.reshape(90, 12), y.reshape(90, 12)
    forms = [
        (array, y, {}),
        (list(array), list(y), {}),
        (rows, goals, {"groups": np.repeat(np.arange(3), 30)}),
        (rows, goals, {"lengths": [30] * 3}),
    ]
    results = []
    for X, targets, cuts in forms:
        esn = small(washout=5, alpha=1.0, shared=shared).fit(X, targets, **cuts)
        predicted = esn.predict(X, **cuts)
        assert type(predicted) is type(X)
        results.append(
            (np.asarray(predicted).reshape(-1, 12), esn.score(X, targets, **cuts), esn.last_state_)
        )
    for predicted, score, last_state in results[1:]:
        np.testing.assert_array_equal(predicted, results[0][0])
        np.testing.assert_array_equal(last_state, results[0][2])
        assert score == results[0][1]


@pytest.mark.parametrize("shared", [True, False])
def test_sequences_do_not_touch_each_other(rng, shared):
    parts = [rng.normal(size=(n, 12)) for n in (40, 12, 25)]
    esn = small(alpha=1.0, washout=4, shared=shared).fit(parts, [part**2 for part in parts])
    for part, predicted in zip(parts, esn.predict(parts), strict=True):
        np.testing.assert_allclose(esn.predict(part), predicted, rtol=1e-9, atol=1e-12)
    states = [plain_states(esn.reservoir_, seen_by(parts[2], p, 3, 2))[-1] for p in range(4)]
    np.testing.assert_allclose(esn.last_state_, states, atol=1e-12)
    backward = small(alpha=1.0, washout=4, shared=shared)
    backward.fit(parts[::-1], [part**2 for part in parts[::-1]])
    np.testing.assert_allclose(backward.coef_, esn.coef_, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("shared", [True, False])
def test_workers_give_the_same_model(rng, shared):
    parts = [rng.normal(size=(n, 12)) for n in (40, 31)]
    targets = [np.roll(part, 1, axis=1) for part in parts]
    settings = {"alpha": [0.1, 1.0], "washout": 4, "shared": shared}
    alone = small(**settings).fit(parts, targets)
    with_others = small(**settings, n_jobs=2).fit(parts, targets)
    np.testing.assert_allclose(with_others.coef_, alone.coef_, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(with_others.last_state_, alone.last_state_)


def test_more_patches_than_one_job_holds(rng, monkeypatch):
    u = rng.normal(size=(60, 12))
    together = small(shared=False, alpha=1.0).fit(u, u**2)
    monkeypatch.setattr("reservoir.fields._estimator._PATCHES_PER_JOB", 3)
    apart = small(shared=False, alpha=1.0).fit(u, u**2)
    np.testing.assert_allclose(apart.coef_, together.coef_, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(apart.last_state_, together.last_state_)


@pytest.mark.parametrize("shared", [True, False])
def test_save_and_pickle_keep_every_bit(field, tmp_path, shared):
    u, y = field
    esn = small(shared=shared, alpha=[1e-2, 1.0], leak_rate=0.5).fit(u, y)
    path = tmp_path / "model.npz"
    esn.save(path)
    for other in (LocalESNRegressor.load(path), pickle.loads(pickle.dumps(esn))):
        assert other.get_params() == esn.get_params()
        np.testing.assert_array_equal(other.predict(u), esn.predict(u))
        np.testing.assert_array_equal(other.forecast(3), esn.forecast(3))
        np.testing.assert_array_equal(other.fit(u, y).coef_, esn.coef_)


def test_one_seed_one_result(field):
    u, y = field
    esn = small().fit(u, y)
    np.testing.assert_array_equal(clone(esn).fit(u, y).coef_, esn.coef_)
    np.testing.assert_array_equal(esn.predict(u), esn.predict(u))
    assert np.abs(small(random_state=2).fit(u, y).predict(u) - esn.predict(u)).max() > 1e-3


@pytest.mark.parametrize("shared", [True, False])
def test_single_precision_stays_single(field, shared):
    u, y = field
    double = small(alpha=1.0, shared=shared).fit(u, y)
    single = small(alpha=1.0, shared=shared, dtype="float32").fit(u, y)
    assert single.predict(u).dtype == single.forecast(2).dtype == np.float32
    assert single.last_state_.dtype == np.float32
    np.testing.assert_allclose(single.predict(u), double.predict(u), atol=1e-4)


def test_progress_counts_steps_only_when_asked(field, capsys):
    u, y = field
    small().fit(u, y)
    assert capsys.readouterr().err == ""
    small(verbose=True).fit(u, y)
    assert "320/320" in capsys.readouterr().err


# -- bad input -----------------------------------------------------------------------------------

BAD_PARAMETERS = [
    ({"patch_size": 5}, ValueError, "`patch_size` is 5, but a divisor of the 12 sites"),
    ({"patch_size": 0}, ValueError, "`patch_size` is 0"),
    ({"patch_size": 2.0}, TypeError, "`patch_size` is 2.0"),
    ({"overlap": -1}, ValueError, "`overlap` is -1"),
    ({"overlap": 5}, ValueError, "would see 13 sites, but `X` has only 12"),
    ({"n_units": 0}, ValueError, "`n_units` is 0"),
    ({"input_scaling": [1.0, 2.0]}, ValueError, "input_scaling"),
    ({"washout": 80}, ValueError, "`washout` is 80, but sequence 0 of the 1 in `X` has only 80"),
    ({"alpha": -1.0}, ValueError, r"`alpha` is -1\.0"),
    ({"solver": "lu"}, ValueError, "`solver` is 'lu'"),
    ({"dtype": "int"}, ValueError, "`dtype` is 'int'"),
]


@pytest.mark.parametrize(("parameters", "error", "match"), BAD_PARAMETERS)
def test_bad_parameters(field, parameters, error, match):
    with pytest.raises(error, match=match):
        small(**parameters).fit(*field)


def test_bad_data(field):
    u, y = field
    with pytest.raises(ValueError, match=r"`y` has shape \(n_steps, 11\), but `X` has 12 sites"):
        small().fit(u, y[:, 1:])
    with pytest.raises(ValueError, match=r"`y` has shape \(n_steps,\), but `X` has 12 sites"):
        small().fit(u, y[:, 0])
    with pytest.raises(ValueError, match="requires y to be passed"):
        small().fit(u, None)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        small().fit(np.where(u > 2, np.nan, u), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        small().fit(u, y[:-1])
    esn = small().fit(u, y)
    with pytest.raises(ValueError, match="X has 11 features, but LocalESNRegressor is expecting"):
        esn.predict(u[:, 1:])
    with pytest.raises(ValueError, match="X has 11 features, but LocalESNRegressor is expecting"):
        esn.forecast(3, u[:, 1:])
    with pytest.raises(ValueError, match="`n_steps` is 0"):
        esn.forecast(0)
    for call in (small().predict, small().forecast):
        with pytest.raises(NotFittedError):
            call(5)


def test_fewer_rows_than_features_warn_where_no_penalty_decides(rng):
    u = rng.normal(size=(6, 12))
    with pytest.warns(LinAlgWarning, match="cannot be told from rounding"):
        small(n_units=60, alpha=0.0, shared=False, washout=1).fit(u, u)


def test_sites_in_another_order_are_refused():
    x = pd.DataFrame(lorenz96(120, n_sites=6, random_state=0), columns=list("abcdef"))
    esn = small(n_units=10, patch_size=2, overlap=1)
    with pytest.raises(ValueError, match="in another order"):
        esn.fit(x[:-1], x[list("badcfe")][1:])
    esn.fit(x[:-1], x[1:])
