"""Intrinsic plasticity: the gradient against differences, and the distribution reached."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import expit
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from reservoir import ESNRegressor, LayeredESNRegressor, ReservoirTransformer
from reservoir.dynamics import DivergenceError, Reservoir, run
from reservoir.plasticity import IntrinsicPlasticity
from reservoir.search import ReservoirSearchCV
from reservoir.weights import bias_weights, input_weights, recurrent_weights


def draw(activation, n_units=60, *, n_outputs=0, dense=False, dtype=np.float64, leak_rate=1.0):
    topology = "orthogonal" if dense else "random"
    return Reservoir(
        recurrent=recurrent_weights(n_units, topology=topology, random_state=0, dtype=dtype),
        input=input_weights(n_units, 1, random_state=1, dtype=dtype),
        bias=bias_weights(n_units, random_state=2, dtype=dtype),
        feedback=input_weights(n_units, n_outputs, random_state=3, dtype=dtype)
        if n_outputs
        else None,
        leak_rate=leak_rate,
        activation=activation,
    )


# -- the rule ------------------------------------------------------------------------------------


def log_normal_density(x, mean, deviation):
    return -0.5 * ((x - mean) / deviation) ** 2 - math.log(deviation * math.sqrt(2 * math.pi))


def divergence(gain, bias, heard, rule):
    """KL of y = f(g n + b) from the target by quadrature over y, with n normal."""

    def integrand(y):
        log_density = log_normal_density((rule.inverse(y) - bias) / gain, *heard)
        log_density -= math.log(gain * rule.slope(y))
        return math.exp(log_density) * (log_density - rule.log_target(y))

    value, _ = integrate.quad(integrand, *rule.support, epsabs=1e-10, epsrel=1e-10, limit=200)
    return value


class Rule(NamedTuple):
    inverse: Any
    slope: Any
    log_target: Any
    support: tuple
    parameters: tuple


# A hair inside the open interval: the density falls to 0 at both ends.
RULES = {
    "tanh": Rule(
        math.atanh,
        lambda y: 1 - y * y,
        lambda y: log_normal_density(y, 0.1, 0.4),
        (-1 + 1e-12, 1 - 1e-12),
        (0.1, 0.4),
    ),
    "logistic": Rule(
        lambda y: math.log(y / (1 - y)),
        lambda y: y * (1 - y),
        lambda y: -y / 0.3 - math.log(0.3),
        (1e-12, 1 - 1e-12),
        (0.3,),
    ),
}


@pytest.mark.parametrize("activation", RULES)
@pytest.mark.parametrize(("middle", "spread", "bias"), [(0.2, 0.5, -0.3), (-0.4, 0.8, 0.2)])
def test_a_step_goes_down_the_gradient_of_the_divergence(activation, middle, spread, bias):
    rule = RULES[activation]

    def at(gain, bias):
        return divergence(gain, bias, (middle, spread), rule)

    h = 1e-4
    by_gain = (at(1 + h, bias) - at(1 - h, bias)) / (2 * h)
    by_bias = (at(1, bias + h) - at(1, bias - h)) / (2 * h)

    # The expected step by Gauss-Hermite: each node is what one of many units hears.
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    n = len(nodes)
    units = Reservoir(
        np.zeros((n, n)),
        input=(middle + spread * nodes)[:, np.newaxis],
        bias=np.full(n, bias),
        activation=activation,
    )
    rate = 1e-7
    plasticity = IntrinsicPlasticity(*rule.parameters, learning_rate=rate, n_epochs=1)
    adapted = plasticity.adapt(units, [[[1.0]]])
    step_of_bias = weights @ (adapted.bias - units.bias) / rate
    step_of_gain = weights @ (adapted.input / units.input - 1)[:, 0] / rate
    assert step_of_bias == pytest.approx(-by_bias, rel=1e-5, abs=1e-5)
    assert step_of_gain == pytest.approx(-by_gain, rel=1e-5, abs=1e-5)


def plain_plasticity(reservoir, inputs, mean, deviation, rate, n_epochs, teacher=None):
    """Explicit gains beside W, the rules as they are printed, one step at a time."""
    W = reservoir.recurrent
    W = W if isinstance(W, np.ndarray) else W.toarray()
    g, b = np.ones(len(W)), reservoir.bias.copy()
    leak = np.asarray(reservoir.leak_rate)
    for _ in range(n_epochs):
        x = np.zeros(len(W))
        for t, u in enumerate(inputs):
            n = W @ x + reservoir.input @ u
            if teacher is not None and t:
                n = n + reservoir.feedback @ teacher[t - 1]
            if reservoir.activation == "tanh":
                y = np.tanh(g * n + b)
                bracket = 2 * deviation**2 + 1 - y**2 + mean * y
                step = -rate * (-mean / deviation**2 + y / deviation**2 * bracket)
            else:
                y = expit(g * n + b)
                step = rate * (1 - (2 + 1 / mean) * y + y**2 / mean)
            g, b = g + rate / g + step * n, b + step
            x = (1 - leak) * x + leak * y
    return g, b


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("leak_rate", [1.0, 0.4])
def test_folded_gains_are_explicit_gains(rng, activation, dense, leak_rate):
    reservoir = draw(activation, dense=dense, n_outputs=2, leak_rate=leak_rate)
    u, y = rng.normal(size=(150, 1)), 0.3 * rng.normal(size=(150, 2))
    g, b = plain_plasticity(reservoir, u, 0.1, 0.3, 2e-3, 2, teacher=y)
    adapted = IntrinsicPlasticity(0.1, 0.3, 2e-3, 2).adapt(reservoir, [u], [y])
    W, folded = reservoir.recurrent, adapted.recurrent
    W, folded = (W, folded) if dense else (W.toarray(), folded.toarray())
    np.testing.assert_allclose(folded, g[:, np.newaxis] * W, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(adapted.input, g[:, np.newaxis] * reservoir.input, rtol=1e-10)
    np.testing.assert_allclose(adapted.feedback, g[:, np.newaxis] * reservoir.feedback, rtol=1e-10)
    np.testing.assert_allclose(adapted.bias, b, rtol=1e-10, atol=1e-12)
    assert abs(g - 1).max() > 0.05

    x, states = np.zeros(len(W)), run(adapted, u, teacher=y)
    f = np.tanh if activation == "tanh" else expit
    for t in range(len(u)):
        fed_back = y[t - 1] if t else np.zeros(2)
        n = W @ x + reservoir.input @ u[t] + reservoir.feedback @ fed_back
        x = (1 - leak_rate) * x + leak_rate * f(g * n + b)
        np.testing.assert_allclose(states[t], x, rtol=1e-9, atol=1e-11)


def test_the_given_reservoir_is_left_alone_and_one_call_is_the_next(rng):
    reservoir, u = draw("tanh"), rng.normal(size=(50, 1))
    before = reservoir.recurrent.copy(), reservoir.input.copy(), reservoir.bias.copy()
    first, second = (IntrinsicPlasticity().adapt(reservoir, [u]) for _ in range(2))
    np.testing.assert_array_equal(first.recurrent.toarray(), second.recurrent.toarray())
    np.testing.assert_array_equal(first.bias, second.bias)
    np.testing.assert_array_equal(reservoir.recurrent.toarray(), before[0].toarray())
    np.testing.assert_array_equal(reservoir.input, before[1])
    np.testing.assert_array_equal(reservoir.bias, before[2])
    assert first.recurrent.indices.dtype == np.int32


def test_each_sequence_starts_from_the_zero_state(rng):
    """With no gap between them the units would hear what came before."""
    reservoir, rule = draw("tanh"), IntrinsicPlasticity(n_epochs=1)
    a, b = rng.normal(size=(2, 30, 1))
    apart = rule.adapt(reservoir, [a, b])
    twice = IntrinsicPlasticity(n_epochs=2).adapt(reservoir, [a])
    np.testing.assert_array_equal(rule.adapt(reservoir, [a, a]).bias, twice.bias)
    joined = rule.adapt(reservoir, [np.vstack([a, b])])
    assert abs(apart.bias - joined.bias).max() > 1e-4


# -- what is learned -----------------------------------------------------------------------------


@pytest.mark.parametrize("deviation", [0.1, 0.3])
@pytest.mark.parametrize("mean", [0.0, 0.2])
def test_tanh_units_reach_mean_and_deviation(rng, mean, deviation):
    reservoir, u = draw("tanh"), rng.normal(size=(1500, 1))
    before = run(reservoir, u)[100:]
    # Steps that are not small beside σ² widen the distribution: 9 % at 0.03 σ², 4 % at 0.01 σ².
    rule = IntrinsicPlasticity(mean, deviation, learning_rate=0.01 * deviation**2, n_epochs=4)
    adapted = rule.adapt(reservoir, [u])
    states = run(adapted, u)[100:]
    assert states.mean() == pytest.approx(mean, abs=0.02)
    assert np.median(states.std(axis=0)) == pytest.approx(deviation, rel=0.06)
    assert abs(np.median(before.std(axis=0)) - deviation) > 0.2 * deviation

    def distance(rows):
        each = [stats.wasserstein_distance(unit, target) for unit in rows.T]
        return np.mean(each) / deviation

    target = stats.norm(mean, deviation).ppf((np.arange(len(states)) + 0.5) / len(states))
    assert distance(states) < 0.35 * distance(before)


def test_logistic_units_reach_an_exponential_distribution(rng):
    reservoir, u = draw("logistic", n_units=30), rng.normal(size=(1500, 1))
    before = run(reservoir, u)[100:]
    rule = IntrinsicPlasticity(0.2, learning_rate=3e-3, n_epochs=6)
    states = run(rule.adapt(reservoir, [u]), u)[100:]
    assert states.mean() == pytest.approx(0.2, abs=0.02)
    assert abs(before.mean() - 0.2) > 0.2
    # Of an exponential distribution, the mean square is twice the squared mean.
    assert 1.6 < np.mean(states**2) / states.mean() ** 2 < 2.3
    assert np.mean(before**2) / before.mean() ** 2 < 1.3
    # Sparse: most of the time below the mean.
    assert np.mean(states < states.mean()) == pytest.approx(1 - np.exp(-1), abs=0.06)


def test_single_precision_stays(rng):
    u = rng.normal(size=(100, 1))
    single = IntrinsicPlasticity().adapt(draw("tanh", dtype=np.float32), [u])
    for part in (single.recurrent, single.input, single.bias):
        assert part.dtype == np.float32
    double = IntrinsicPlasticity().adapt(draw("tanh"), [u])
    np.testing.assert_allclose(single.bias, double.bias, atol=1e-4)


# -- in the estimators ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ESNRegressor, LayeredESNRegressor])
@pytest.mark.parametrize("feedback_scaling", [0.0, 0.3])
def test_estimator_adapts_to_the_training_input(rng, kind, feedback_scaling):
    u = rng.normal(size=(120, 1))
    y = np.roll(u, 1) * 0.5
    settings = {
        "n_units": 20,
        "feedback_scaling": feedback_scaling,
        "activation": "tanh",
        "random_state": 0,
    }
    rule = IntrinsicPlasticity(deviation=0.3)
    plain, adaptive = kind(**settings).fit(u, y), kind(**settings, plasticity=rule).fit(u, y)
    expected = rule.adapt(plain.reservoir_, [u], [y] if feedback_scaling else None)
    np.testing.assert_array_equal(adaptive.reservoir_.bias, expected.bias)
    np.testing.assert_array_equal(
        adaptive.reservoir_.recurrent.toarray(), expected.recurrent.toarray()
    )
    assert not np.array_equal(adaptive.predict(u), plain.predict(u))
    # Later calls leave the units as the first has made them.
    in_parts = kind(**settings, plasticity=rule).partial_fit(u, y)
    bias = in_parts.reservoir_.bias.copy()
    np.testing.assert_array_equal(bias, expected.bias)
    in_parts.partial_fit(u[::-1].copy(), y)
    np.testing.assert_array_equal(in_parts.reservoir_.bias, bias)


def test_transformer_adapts(rng):
    u = rng.normal(size=(200, 1))
    settings = {"n_units": 30, "input_scaling": 1.0, "random_state": 0}
    plasticity = IntrinsicPlasticity(deviation=0.15, n_epochs=10)
    transformer = ReservoirTransformer(**settings, plasticity=plasticity)
    states = transformer.fit([u, u]).transform(u)
    assert np.median(states[20:].std(axis=0)) == pytest.approx(0.15, rel=0.2)
    plain = ReservoirTransformer(**settings).fit_transform(u)
    assert np.median(plain[20:].std(axis=0)) > 0.3


def test_parameters_nest_and_files_hold_them(rng, tmp_path):
    u = rng.normal(size=(150, 1))
    esn = ESNRegressor(20, plasticity=IntrinsicPlasticity(), random_state=0)
    clone(esn).set_params(plasticity__deviation=0.4)
    assert esn.plasticity.deviation == 0.2
    search = GridSearchCV(
        esn, {"plasticity__deviation": [0.1, 0.4]}, cv=TimeSeriesSplit(2), refit=True
    )
    search.fit(u, np.roll(u[:, 0], 1))
    best = search.best_estimator_
    best.save(tmp_path / "model.npz")
    loaded = ESNRegressor.load(tmp_path / "model.npz")
    assert loaded.plasticity.get_params() == best.plasticity.get_params()
    np.testing.assert_array_equal(loaded.predict(u), best.predict(u))


def test_a_search_that_shares_weights_refuses(rng):
    u = rng.normal(size=(60, 1))
    for estimator, space in (
        (ESNRegressor(20, plasticity=IntrinsicPlasticity()), {"alpha": [1.0]}),
        (ESNRegressor(20), {"plasticity": [None, IntrinsicPlasticity()]}),
    ):
        with pytest.raises(ValueError, match=r"can't share W\. Set it to None"):
            ReservoirSearchCV(estimator, space).fit(u, u[:, 0])


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "activation", "error", "message"),
    [
        (IntrinsicPlasticity(), "relu", ValueError, "'relu', but 'tanh' or 'logistic'"),
        (IntrinsicPlasticity(deviation=0), "tanh", ValueError, "`deviation` is 0"),
        (IntrinsicPlasticity(mean=2), "tanh", ValueError, "`mean` is 2"),
        (IntrinsicPlasticity(mean=0), "logistic", ValueError, "`mean` is 0"),
        (IntrinsicPlasticity(mean="0"), "tanh", TypeError, "`mean` is '0'"),
        (IntrinsicPlasticity(learning_rate=0), "tanh", ValueError, "`learning_rate` is 0"),
        (IntrinsicPlasticity(n_epochs=0), "tanh", ValueError, "`n_epochs` is 0"),
    ],
)
def test_parameters_are_checked(rule, activation, error, message):
    with pytest.raises(error, match=message):
        rule.adapt(draw(activation), [np.ones((3, 1))])


def test_data_is_checked():
    with pytest.raises(DivergenceError, match="step 1 is not finite"):
        IntrinsicPlasticity().adapt(draw("tanh"), [np.array([[1.0], [np.nan], [0.0]])])
    with pytest.raises(ValueError, match=r"`inputs` has shape \(3, 2\)"):
        IntrinsicPlasticity().adapt(draw("tanh"), [np.ones((3, 2))])
    with pytest.raises(ValueError, match=r"`learning_rate` is 1\.0, and with it a gain"):
        IntrinsicPlasticity(learning_rate=1.0).adapt(
            draw("tanh"), [np.array([[1e200], [1e200], [1e200]])]
        )
    with pytest.raises(TypeError, match="`plasticity` is of type dict"):
        ESNRegressor(20, plasticity={}).fit(np.ones((5, 1)), np.ones(5))
