"""Recursive least squares and LMS against batch solutions: forgetting, digits, trouble."""

import pickle

import numpy as np
import pytest
from sklearn.linear_model import Ridge, SGDRegressor

from reservoir.dynamics import DivergenceError
from reservoir.online import LeastMeanSquares, RecursiveLeastSquares, _learner
from reservoir.readout import QRAccumulator, solve_ridge

ENGINES = ["numpy", "numba"]


@pytest.fixture
def rows(rng):
    """Features far from zero, weakly correlated, and two targets."""
    features = rng.normal(size=(200, 7)) @ rng.normal(size=(7, 7)) + 3
    targets = features @ rng.normal(size=(7, 2)) + rng.normal(size=(200, 2)) - 5
    return features, targets


def in_blocks(learner, features, targets, edges, weights=None):
    """The outputs of a learner that gets its rows in several calls."""
    parts = [slice(a, b) for a, b in zip([0, *edges], [*edges, len(features)])]
    return np.concatenate(
        [
            learner.update(
                features[part], targets[part], None if weights is None else weights[part]
            )
            for part in parts
        ]
    )


def faded_penalties(n_features, alpha, forgetting, n_rows):
    """The penalties as documented: each set back to alpha in turn, as often as 1/100 demands."""
    n_turns = 0
    while forgetting**n_features < 0.01**n_turns:
        n_turns += 1
    n_turns = min(n_turns, n_features)
    penalties, turn = np.full(n_features, alpha), 0
    for _ in range(n_rows):
        penalties *= forgetting
        for _ in range(n_turns):
            penalties[turn] = alpha
            turn = (turn + 1) % n_features
    return penalties


# -- recursive least squares is ridge regression --------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [1e-6, 1.0, 1e4])
def test_without_forgetting_it_is_ridge(rows, alpha, fit_intercept, engine):
    features, targets = rows
    rls = RecursiveLeastSquares(7, 2, alpha=alpha, fit_intercept=fit_intercept, engine=engine)
    in_blocks(rls, features, targets, [1, 60])
    ridge = Ridge(alpha, fit_intercept=fit_intercept, solver="svd").fit(features, targets)
    np.testing.assert_allclose(rls.coef, ridge.coef_, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(rls.intercept, ridge.intercept_, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(rls.predict(features), ridge.predict(features), atol=1e-10)
    assert rls.n_rows == 200


@pytest.mark.parametrize("engine", ENGINES)
def test_outputs_are_those_of_ridge_on_the_rows_before(rows, engine):
    features, targets = rows
    rls = RecursiveLeastSquares(7, 2, alpha=0.1, engine=engine)
    outputs = rls.update(features, targets)
    for t in (2, 5, 50, 199):
        ridge = Ridge(0.1, solver="svd").fit(features[:t], targets[:t])
        np.testing.assert_allclose(outputs[t], ridge.predict(features[t : t + 1])[0], rtol=1e-9)
    np.testing.assert_array_equal(outputs[0], 0)
    np.testing.assert_allclose(outputs[1], targets[0])  # one row tells the intercept alone


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("forgetting", [0.999, 0.9, 0.3])
def test_with_forgetting_it_is_exponentially_weighted_ridge(
    rows, rng, forgetting, fit_intercept, engine
):
    features, targets = rows
    weights = rng.uniform(0, 2, size=200)
    weights[[0, 17]] = 0
    rls = RecursiveLeastSquares(
        7, 2, alpha=0.5, forgetting=forgetting, fit_intercept=fit_intercept, engine=engine
    )
    in_blocks(rls, features, targets, [1, 90], weights)
    penalties = faded_penalties(7, 0.5, forgetting, 200)
    np.testing.assert_allclose(rls.penalties, penalties, rtol=1e-12)
    faded = weights * forgetting ** np.arange(200)[::-1]
    design = np.hstack([features, np.ones((200, int(fit_intercept)))])
    gram = design.T @ (faded[:, None] * design)
    gram += np.diag(np.r_[penalties, np.zeros(int(fit_intercept))])
    solution = np.linalg.solve(gram, design.T @ (faded[:, None] * targets)).T
    np.testing.assert_allclose(rls.coef, solution[:, :7], rtol=1e-9, atol=1e-10)
    intercept = solution[:, 7] if fit_intercept else np.zeros(2)
    np.testing.assert_allclose(rls.intercept, intercept, rtol=1e-8, atol=1e-9)
    if not fit_intercept:
        np.testing.assert_allclose(rls.inverse(), np.linalg.inv(gram), rtol=1e-8, atol=1e-12)


def test_penalties_that_never_fade_make_it_scikit_learns_weighted_ridge(rows):
    """Forgetting 99 % a row, every coefficient's penalty is set back to alpha at every row."""
    features, targets = rows
    rls = RecursiveLeastSquares(7, 2, alpha=0.5, forgetting=0.01)
    rls.update(features, targets)
    faded = 0.01 ** np.arange(200)[::-1]
    ridge = Ridge(0.5, solver="cholesky").fit(features[-20:], targets[-20:], faded[-20:])
    np.testing.assert_allclose(rls.coef, ridge.coef_, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(rls.intercept, ridge.intercept_, rtol=1e-10)


@pytest.mark.parametrize("forgetting", [0.9999, 0.99, 0.9, 0.5])
def test_no_penalty_leaves_its_band(forgetting, rng):
    rls = RecursiveLeastSquares(40, 1, alpha=2.0, forgetting=forgetting)
    for _ in range(100):
        rls.update(rng.normal(size=(1, 40)), rng.normal(size=(1, 1)))
        assert rls.penalties.min() >= 0.02 * (1 - 1e-12)
        assert rls.penalties.max() <= 2.0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_weight_is_a_number_of_rows(rows, rng, engine):
    features, targets = rows
    times = rng.integers(0, 4, size=200)
    weighted, repeated = (RecursiveLeastSquares(7, 2, alpha=0.1, engine=engine) for _ in range(2))
    weighted.update(features, targets, times)
    repeated.update(np.repeat(features, times, axis=0), np.repeat(targets, times, axis=0))
    np.testing.assert_allclose(weighted.coef, repeated.coef, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(weighted.intercept, repeated.intercept, rtol=1e-10)


def test_it_keeps_the_digits_of_ill_conditioned_features(rng):
    """Singular values over seven decades and alpha at their end: no Gram matrix could tell."""
    left, _ = np.linalg.qr(rng.normal(size=(400, 30)))
    right, _ = np.linalg.qr(rng.normal(size=(30, 30)))
    features = left * np.logspace(0, -7, 30) @ right.T
    targets = features @ rng.normal(size=(30, 1))
    rls = RecursiveLeastSquares(30, 1, alpha=1e-14, fit_intercept=False)
    rls.update(features, targets)
    exact = solve_ridge(QRAccumulator(30, 1).update(features, targets), 1e-14, fit_intercept=False)
    # A gain is off by eps times the condition of the root, 1e7; rows add up.
    np.testing.assert_allclose(rls.coef, exact.coef, atol=400 * 1e7 * 2.3e-16)


@pytest.mark.parametrize("power", [-60, 60])
@pytest.mark.parametrize("forgetting", [1.0, 0.9])
def test_units_of_measurement_do_not_change_a_bit(rows, power, forgetting):
    features, targets = rows
    one = RecursiveLeastSquares(7, 2, alpha=0.25, forgetting=forgetting)
    other = RecursiveLeastSquares(7, 2, alpha=0.25 * 4.0**power, forgetting=forgetting)
    one.update(features, targets)
    other.update(features * 2.0**power, targets)
    np.testing.assert_array_equal(other.coef, one.coef * 2.0**-power)


# -- a million updates ----------------------------------------------------------------------------


def test_a_million_rows_are_as_good_as_ridge_on_all(rng):
    rls = RecursiveLeastSquares(8, 1, alpha=1e-6, fit_intercept=False)
    mixing = rng.normal(size=(8, 8))
    gram, moments = 1e-6 * np.eye(8), np.zeros((8, 1))
    for _ in range(10):
        features = rng.normal(size=(100_000, 8)) @ mixing
        targets = np.sin(features[:, :1]) + rng.normal(size=(100_000, 1))
        rls.update(features, targets)
        gram += features.T @ features
        moments += features.T @ targets
    assert rls.n_rows == 1_000_000
    exact = np.linalg.solve(gram, moments).T
    # Measured 1e-13 of the largest; the Gram's own solution is off by eps times its condition.
    np.testing.assert_allclose(rls.coef, exact, rtol=0, atol=1e-11 * abs(exact).max())
    inverse = rls.inverse()
    np.testing.assert_array_equal(inverse, inverse.T)
    np.testing.assert_allclose(inverse @ gram, np.eye(8), atol=1e-9)


@pytest.mark.parametrize("forgetting", [0.999, 0.97])
def test_a_million_rows_that_excite_little_do_not_wind_up(rng, forgetting):
    """Two of ten directions, a constant and a column of zeros; then the rest wakes up."""
    alpha = 1e-3
    rls = RecursiveLeastSquares(10, 1, alpha=alpha, forgetting=forgetting)
    mixing = rng.normal(size=(2, 8))
    for _ in range(10):
        features = np.zeros((100_000, 10))
        features[:, :8] = rng.normal(size=(100_000, 2)) @ mixing
        features[:, 8] = 1.0
        rls.update(features, features[:, :1])
        inverse = rls.inverse()
        np.testing.assert_array_equal(inverse, inverse.T)
        eigenvalues = np.linalg.eigvalsh(inverse)
        # No penalty is below alpha / 100; the smallest eigenvalues are known to the rounding
        # of the largest.
        assert eigenvalues.max() <= 100 / alpha * (1 + 1e-9)
        assert eigenvalues.min() > -1e-15 * eigenvalues.max()
    n = 40_000  # after which what came before weighs 4e-18
    late = rng.normal(size=(n, 10))
    targets = late @ np.arange(10.0)[:, None] + rng.normal(size=(n, 1))
    rls.update(late, targets)
    faded = forgetting ** np.arange(n)[::-1]
    design = np.hstack([late, np.ones((n, 1))])
    penalties = faded_penalties(10, alpha, forgetting, rls.n_rows % 10 + 10_000)
    gram = design.T @ (faded[:, None] * design) + np.diag(np.r_[penalties, 0])
    exact = np.linalg.solve(gram, design.T @ (faded * targets[:, 0]))
    np.testing.assert_allclose(rls.coef[0], exact[:10], rtol=1e-8, atol=1e-8)


# -- least mean squares ---------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_lms_is_scikit_learns_stochastic_gradient(rows, rng, fit_intercept, engine):
    features, targets = rows
    weights = rng.uniform(0.5, 2, size=200)
    lms = LeastMeanSquares(
        7, 2, learning_rate=1e-4, normalized=False, fit_intercept=fit_intercept, engine=engine
    )
    in_blocks(lms, features, targets, [3, 100], weights)
    for output in range(2):
        sgd = SGDRegressor(
            penalty=None,
            learning_rate="constant",
            eta0=1e-4,
            shuffle=False,
            fit_intercept=fit_intercept,
        )
        sgd.partial_fit(features, targets[:, output], sample_weight=weights)
        np.testing.assert_allclose(lms.coef[output], sgd.coef_, rtol=1e-10)
        np.testing.assert_allclose(lms.intercept[output], sgd.intercept_[0], rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_repeated_row_is_learned_geometrically(engine):
    row, target = np.array([[3.0, 4.0]]), np.array([[1.0]])
    lms = LeastMeanSquares(
        2, 1, learning_rate=0.01, normalized=False, fit_intercept=False, engine=engine
    )
    outputs = lms.update(np.repeat(row, 20, axis=0), np.repeat(target, 20, axis=0))
    np.testing.assert_allclose(1 - outputs[:, 0], 0.75 ** np.arange(20))  # 1 - 0.01 * 25


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("learning_rate", [0.3, 1.0, 1.9])
def test_normalized_lms_takes_a_fixed_share_of_each_error(rows, learning_rate, engine):
    features, targets = rows
    lms = LeastMeanSquares(7, 2, learning_rate=learning_rate, engine=engine)
    for row, target in zip(features[:, None], targets[:, None]):
        before = target - lms.update(row, target)
        np.testing.assert_allclose(
            target - lms.predict(row), (1 - learning_rate) * before, atol=1e-11
        )


def test_normalized_lms_does_not_see_the_scale(rows):
    features, targets = rows
    one, other = (LeastMeanSquares(7, 2, fit_intercept=False) for _ in range(2))
    np.testing.assert_allclose(
        one.update(features, targets), other.update(1e6 * features, targets), rtol=1e-9
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_of_zeros_teach_normalized_lms_nothing(engine):
    lms = LeastMeanSquares(2, 1, fit_intercept=False, engine=engine)
    lms.update(np.zeros((3, 2)), np.ones((3, 1)))
    np.testing.assert_array_equal(lms.coef, 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_lms_that_diverges_says_so(rows, engine):
    features, targets = rows
    lms = LeastMeanSquares(7, 2, learning_rate=1.0, normalized=False, engine=engine)
    with pytest.raises(DivergenceError, match="Lower `learning_rate`") as error:
        lms.update(features, targets)
    again = LeastMeanSquares(7, 2, learning_rate=1.0, normalized=False, engine=engine)
    outputs = again.update(features[: error.value.step], targets[: error.value.step])
    assert np.isfinite(outputs).all()


# -- what both share ------------------------------------------------------------------------------


def makers(**settings):
    return {
        "rls": lambda: RecursiveLeastSquares(7, 2, alpha=0.1, **settings),
        "forgetting": lambda: RecursiveLeastSquares(7, 2, alpha=0.1, forgetting=0.9, **settings),
        "forgetting fast": lambda: RecursiveLeastSquares(
            7, 2, alpha=0.1, forgetting=0.2, **settings
        ),
        "lms": lambda: LeastMeanSquares(7, 2, normalized=False, learning_rate=1e-3, **settings),
        "nlms": lambda: LeastMeanSquares(7, 2, **settings),
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", makers())
def test_the_compiled_kernels_are_the_plain_loops(rows, rng, kind, fit_intercept, dtype):
    features, targets = rows[0].astype(dtype), rows[1]
    weights = rng.uniform(size=200) * (rng.uniform(size=200) > 0.2)
    plain, compiled = (
        makers(fit_intercept=fit_intercept, engine=engine)[kind]() for engine in ENGINES
    )
    np.testing.assert_allclose(
        compiled.update(features, targets, weights),
        plain.update(features, targets, weights),
        rtol=1e-9,
        atol=1e-9,
    )
    np.testing.assert_allclose(compiled.coef, plain.coef, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(compiled.intercept, plain.intercept, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", makers())
def test_how_rows_are_split_does_not_change_a_bit(rows, kind, engine):
    features, targets = rows
    whole, split = (makers(engine=engine)[kind]() for _ in range(2))
    outputs = whole.update(features, targets)
    again = in_blocks(split, features, targets, [1, 2, 2, 30, 199])
    np.testing.assert_array_equal(again, outputs)
    np.testing.assert_array_equal(split.coef, whole.coef)
    np.testing.assert_array_equal(split.intercept, whole.intercept)


@pytest.mark.parametrize("kind", makers())
def test_a_pickled_learner_learns_on(rows, kind):
    features, targets = rows
    learner = makers()[kind]()
    learner.update(features[:90], targets[:90])
    copy = pickle.loads(pickle.dumps(learner))
    np.testing.assert_array_equal(
        copy.update(features[90:], targets[90:]), learner.update(features[90:], targets[90:])
    )


@pytest.mark.parametrize("kind", makers())
def test_no_rows_change_nothing(kind):
    learner = makers()[kind]()
    assert learner.update(np.empty((0, 7)), np.empty((0, 2))).shape == (0, 2)
    np.testing.assert_array_equal(learner.predict(np.ones((1, 7))), 0)
    assert learner.predict(np.empty((0, 7))).shape == (0, 2)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", makers())
def test_rows_too_large_to_be_squared_are_refused_and_the_rest_stays(rows, kind, engine):
    features, targets = rows[0].copy(), rows[1]
    features[5] = 1e200
    learner, other = (makers(engine=engine)[kind]() for _ in range(2))
    with pytest.raises(ValueError, match="`features` row 5 is too large to be squared"):
        learner.update(features, targets)
    other.update(features[:5], targets[:5])
    np.testing.assert_array_equal(learner.coef, other.coef)
    np.testing.assert_array_equal(learner.intercept, other.intercept)
    assert learner.n_rows == 5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones((2, 6)), np.ones((2, 2))), ValueError, r"`features` has shape \(2, 6\)"),
        ((np.ones((2, 7)), np.ones(2)), ValueError, r"`targets` has shape \(2,\)"),
        ((np.ones((2, 7)), np.ones((3, 2))), ValueError, "`targets` has 3 rows"),
        ((np.full((1, 7), np.nan), np.ones((1, 2))), ValueError, "`features` contains NaN"),
        ((np.ones((1, 7)), np.full((1, 2), np.inf)), ValueError, "`targets` contains NaN"),
        ((np.ones((1, 7)), np.ones((1, 2)), [-1]), ValueError, "`sample_weight` has a negative"),
        ((np.full((1, 7), "a"), np.ones((1, 2))), TypeError, "`features` has dtype <U1"),
    ],
)
def test_rows_are_checked(arguments, error, message):
    for make in makers().values():
        with pytest.raises(error, match=message):
            make().update(*arguments)


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (RecursiveLeastSquares, {"alpha": 0.0}, "`alpha` is 0.0, but a finite number above 0"),
        (RecursiveLeastSquares, {"forgetting": 0.0}, "`forgetting` is 0.0.* above 0 up to 1"),
        (RecursiveLeastSquares, {"forgetting": 1.01}, "`forgetting` is 1.01"),
        (RecursiveLeastSquares, {"engine": "c"}, "`engine` is 'c', but one of 'auto'"),
        (LeastMeanSquares, {"learning_rate": 0}, "`learning_rate` is 0.* above 0 up to 2"),
        (LeastMeanSquares, {"learning_rate": 2.5}, "`learning_rate` is 2.5"),
    ],
)
def test_settings_are_checked(cls, settings, message):
    with pytest.raises(ValueError, match=message):
        cls(2, 1, **settings)


def test_without_numba_the_plain_loop_runs_and_numba_is_an_error(monkeypatch, rows):
    _learner.load_kernels.cache_clear()

    def fail(name):
        raise ImportError(name)

    monkeypatch.setattr(_learner.importlib, "import_module", fail)
    try:
        features, targets = rows
        outputs = RecursiveLeastSquares(7, 2).update(features, targets)
        plain = RecursiveLeastSquares(7, 2, engine="numpy").update(features, targets)
        np.testing.assert_array_equal(outputs, plain)
        with pytest.raises(ImportError, match="Install the extra `fast`"):
            RecursiveLeastSquares(7, 2, engine="numba")
    finally:
        _learner.load_kernels.cache_clear()
