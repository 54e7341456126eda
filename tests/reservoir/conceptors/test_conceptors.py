"""Conceptors against their definition, Boolean operations, and ConceptorMemory."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import ConceptorMemory
from reservoir.conceptors import (
    adapt_aperture,
    conceptor,
    conceptor_and,
    conceptor_not,
    conceptor_or,
    controlled_reservoir,
    correlation,
    load_patterns,
    morph,
)
from reservoir.dynamics import Reservoir, run
from reservoir.weights import bias_weights, input_weights, recurrent_weights

N = 12


@pytest.fixture
def states(rng):
    """Two sets of states that use all directions, each some more than others."""
    return [rng.normal(size=(200, N)) @ rng.normal(size=(N, N)) * 0.3 for _ in range(2)]


@pytest.fixture
def pair(states):
    return [conceptor(correlation(rows), 2.0) for rows in states]


def inverse_and(C, B):
    """The definition for conceptors that can be inverted."""
    return np.linalg.inv(np.linalg.inv(C) + np.linalg.inv(B) - np.eye(len(C)))


# -- algebra -------------------------------------------------------------------------------------


@pytest.mark.parametrize("aperture", [0.1, 2.0, 100.0])
def test_a_conceptor_is_the_ridge_regression_of_states_on_themselves(states, aperture):
    """It minimises E ‖x − C x‖² + α⁻² ‖C‖²."""
    rows = states[0]
    C = conceptor(correlation(rows), aperture)
    ridge = Ridge(alpha=len(rows) * aperture**-2, fit_intercept=False, solver="svd")
    np.testing.assert_allclose(C, ridge.fit(rows, rows).coef_, atol=1e-10)
    values = np.linalg.eigvalsh(C)
    assert values.min() > 0
    assert values.max() < 1
    np.testing.assert_array_equal(C, C.T)


def test_correlation_of_few_and_single_precision_states(rng):
    rows = rng.normal(size=(1, N))
    R = correlation(rows.astype(np.float32))
    assert R.dtype == np.float64
    np.testing.assert_allclose(R, np.outer(rows[0], rows[0]), rtol=1e-5)
    values = np.linalg.eigvalsh(conceptor(R, 3.0))
    length = rows[0] @ rows[0]
    assert values[-1] == pytest.approx(length / (length + 1 / 9), rel=1e-5)
    np.testing.assert_allclose(values[:-1], 0, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-150, 1e-6, 1e6, 1e150])
def test_huge_and_tiny_states(rng, scale):
    R = correlation(rng.normal(size=(50, N)))
    np.testing.assert_allclose(conceptor(R * scale, scale**-0.5), conceptor(R, 1.0), rtol=1e-9)


@pytest.mark.parametrize("factor", [0.01, 0.5, 1.0, 3.0, 1e3])
def test_aperture_scales(states, factor):
    R = correlation(states[0])
    adapted = adapt_aperture(conceptor(R, 2.0), factor)
    np.testing.assert_allclose(adapted, conceptor(R, 2.0 * factor), atol=1e-11)
    back = adapt_aperture(adapted, 1 / factor)
    np.testing.assert_allclose(back, conceptor(R, 2.0), atol=1e-9)


def test_not_is_its_own_inverse_and_turns_the_aperture(states):
    R = correlation(states[0])
    C = conceptor(R, 2.0)
    np.testing.assert_allclose(conceptor_not(conceptor_not(C)), C, atol=1e-14)
    np.testing.assert_allclose(conceptor_not(C), conceptor(np.linalg.inv(R), 0.5), atol=1e-11)


def test_and_and_or_of_invertible_conceptors(states, pair):
    C, B = pair
    np.testing.assert_allclose(conceptor_and(C, B), inverse_and(C, B), atol=1e-12)
    # Both together are the conceptor of all states, of which OR adds up the correlations.
    total = sum(correlation(rows) for rows in states)
    np.testing.assert_allclose(conceptor_or(C, B), conceptor(total, 2.0), atol=1e-11)
    both = conceptor_not(conceptor_or(C, B))
    np.testing.assert_allclose(both, conceptor_and(conceptor_not(C), conceptor_not(B)), atol=1e-12)


def test_boolean_identities(rng, pair):
    C, B = pair
    D = conceptor(correlation(rng.normal(size=(30, N))), 1.0)
    identity, zero = np.eye(N), np.zeros((N, N))
    for make in (conceptor_and, conceptor_or):
        np.testing.assert_allclose(make(C, B), make(B, C), atol=1e-12)
        np.testing.assert_allclose(make(make(C, B), D), make(C, make(B, D)), atol=1e-10)
    np.testing.assert_allclose(conceptor_and(C, identity), C, atol=1e-12)
    np.testing.assert_allclose(conceptor_or(C, zero), C, atol=1e-12)
    np.testing.assert_allclose(conceptor_and(C, zero), zero, atol=1e-12)
    np.testing.assert_allclose(conceptor_or(C, identity), identity, atol=1e-12)
    # Weighted by apertures, C AND C is C of aperture 1/√2, and OR of √2.
    np.testing.assert_allclose(conceptor_and(C, C), adapt_aperture(C, 0.5**0.5), atol=1e-12)
    np.testing.assert_allclose(conceptor_or(C, C), adapt_aperture(C, 2**0.5), atol=1e-12)
    for combined, below in ((conceptor_and(C, B), C), (C, conceptor_or(C, B))):
        assert np.linalg.eigvalsh(below - combined).min() > -1e-12


def test_hard_conceptors_are_the_projections_of_linear_algebra(rng):
    basis, _ = np.linalg.qr(rng.normal(size=(N, N)))
    first, second = basis[:, :7], basis[:, 5:10]
    C, B = first @ first.T, second @ second.T
    shared = basis[:, 5:7]
    np.testing.assert_allclose(conceptor_and(C, B), shared @ shared.T, atol=1e-12)
    either = basis[:, :10]
    np.testing.assert_allclose(conceptor_or(C, B), either @ either.T, atol=1e-12)


def test_and_with_null_spaces_is_the_limit_of_invertible_ones(rng):
    """Neither can be inverted, and their null spaces are no multiples of one another."""
    rows = rng.normal(size=(2, 8, N))
    C, B = (conceptor(correlation(part), 3.0) for part in rows)
    assert np.linalg.matrix_rank(C, tol=1e-9) == 8
    exact = conceptor_and(C, B)
    assert np.linalg.matrix_rank(exact, tol=1e-9) == 4
    for tiny in (1e-4, 1e-6):
        lifted = [(1 - tiny) * each + tiny * np.eye(N) for each in (C, B)]
        np.testing.assert_allclose(inverse_and(*lifted), exact, atol=100 * tiny)


def test_mixtures(pair):
    C, B = pair
    np.testing.assert_allclose(morph(pair, [0.25, 0.75]), 0.25 * C + 0.75 * B)
    np.testing.assert_array_equal(morph(pair, [1, 0]), C)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda C: correlation(C[0]), r"`states` has shape \(12,\)"),
        (lambda C: correlation(np.empty((0, 3))), r"`states` has shape \(0, 3\)"),
        (lambda C: correlation(np.full((2, 2), np.nan)), "`states` holds NaN"),
        (lambda C: conceptor(C[:, :3]), r"`correlation` has shape \(12, 3\)"),
        (lambda C: conceptor(-C), "`correlation` has the eigenvalue -"),
        (lambda C: conceptor(C, 0), "`aperture` is 0"),
        (lambda C: conceptor(np.triu(C)), "`correlation` is not symmetric"),
        (lambda C: adapt_aperture(C, -1), "`factor` is -1"),
        (lambda C: adapt_aperture(3 * np.eye(3), 1), "`conceptor` has eigenvalues from 3 to 3"),
        (lambda C: conceptor_not(-C), "those of a conceptor lie between 0 and 1"),
        (lambda C: conceptor_and(C, np.eye(3)), "`first` is for 12 units and `second` for 3"),
        (lambda C: conceptor_or(C, np.full((N, N), np.inf)), "`conceptor` holds NaN or inf"),
        (lambda C: morph([C, C], [1.0]), r"`weights` has shape \(1,\)"),
        (lambda C: morph([C, C], [1.0, 1.0]), "`weights` add up to 2, but 1"),
        (lambda C: morph([C, C], [np.nan, 1.0]), "`weights` add up to nan"),
    ],
)
def test_what_is_no_conceptor(pair, call, message):
    with pytest.raises(ValueError, match=message):
        call(pair[0])


# -- loading and recall --------------------------------------------------------------------------


def draw(n_units=40, n_inputs=1, **settings):
    return Reservoir(
        recurrent_weights(n_units, spectral_radius=1.2, random_state=0),
        input_weights(n_units, n_inputs, random_state=1),
        bias_weights(n_units, scaling=0.3, random_state=2),
        **settings,
    )


@pytest.mark.parametrize("washout", [0, 30])
def test_loading_is_ridge_regression(rng, washout):
    reservoir = draw(n_inputs=2)
    patterns = [rng.normal(size=(n, 2)) for n in (2500, 90, 300)]  # the first in two chunks
    loaded = load_patterns(reservoir, patterns, washout=washout, alpha=0.1, readout_alpha=0.3)
    before, drive, after, shown = [], [], [], []
    for index, pattern in enumerate(patterns):
        states = run(reservoir, pattern)
        earlier = np.vstack([np.zeros(40), states[:-1]])
        # What the units were told by weights and input, found from what they did.
        told = np.arctanh(states) - reservoir.bias
        for parts, rows in zip((before, drive, after, shown), (earlier, told, states, pattern)):
            parts.append(rows[washout:])
        np.testing.assert_allclose(loaded.last_states[index], states[-1], atol=1e-12)
        R = states[washout:].T @ states[washout:] / (len(pattern) - washout)
        np.testing.assert_allclose(loaded.correlations[index], R, atol=1e-12)
    before, drive, after, shown = map(np.concatenate, (before, drive, after, shown))
    W = Ridge(alpha=0.1, fit_intercept=False, solver="svd").fit(before, drive).coef_
    np.testing.assert_allclose(loaded.reservoir.recurrent, W, atol=1e-8)
    readout = Ridge(alpha=0.3, solver="svd").fit(after, shown)
    np.testing.assert_allclose(loaded.readout.state, readout.coef_, atol=1e-8)
    np.testing.assert_allclose(loaded.readout.intercept, readout.intercept_, atol=1e-8)
    np.testing.assert_array_equal(loaded.reservoir.bias, reservoir.bias)


def test_the_conceptor_is_folded_into_the_weights(rng, pair):
    reservoir, C = draw(n_units=N, n_inputs=1), pair[0]
    u, z = rng.normal(size=(30, 1)), rng.normal(size=N)
    states = run(controlled_reservoir(reservoir, C), u, initial_state=z)
    W = reservoir.recurrent.toarray()
    x = C @ z
    for t in range(30):
        inner = np.tanh(W @ x + reservoir.input @ u[t] + reservoir.bias)
        x = C @ inner
        np.testing.assert_allclose(states[t], inner, atol=1e-12)


def test_recall_runs_the_loop_with_the_conceptor(rng):
    patterns = [np.sin(np.arange(300)[:, None] * w) for w in (0.5, 0.8)]
    memory = ConceptorMemory(30, random_state=0).fit(patterns)
    for pattern, C, start in (
        (1, memory.conceptors_[1], memory.last_states_[1]),
        (memory.conceptors_[0], memory.conceptors_[0], np.zeros(30)),
    ):
        outputs, state = memory.recall(pattern, 25, return_state=True)
        x = C @ start
        for row in outputs:
            inner = np.tanh(memory.reservoir_.recurrent @ x + memory.reservoir_.bias)
            x = C @ inner
            np.testing.assert_allclose(row, memory.coef_ @ x + memory.intercept_, atol=1e-10)
        np.testing.assert_allclose(state, inner, atol=1e-11)
        # In two parts, the second going on from the state of the first.
        half, state = memory.recall(pattern, 10, return_state=True)
        rest = memory.recall(pattern, 15, initial_state=state)
        np.testing.assert_allclose(np.vstack([half, rest]), outputs, atol=1e-10)


def four_patterns(n_steps):
    """Two sines of neighbouring periods that are no whole numbers, and two of period 5."""
    t = np.arange(n_steps)
    first = np.array([0.9, -0.4, 0.3, -1.0, 0.1])
    second = np.array([0.8, 0.8, -1.0, 0.2, -0.5])
    rows = [np.sin(2 * np.pi * t / period) for period in (8.83, 9.83)]
    rows += [np.resize(values, n_steps) for values in (first, second)]
    return [row[:, np.newaxis] for row in rows]


def aligned_nrmse(recalled, pattern):
    """Error at the best shift of the pattern, over its standard deviation."""
    windows = np.lib.stride_tricks.sliding_window_view(pattern[:, 0], len(recalled))
    errors = np.sqrt(np.square(windows - recalled[:, 0]).mean(axis=1))
    return errors.min() / pattern.std()


@pytest.mark.parametrize("seed", range(3))
def test_each_of_four_patterns_is_recalled(seed):
    patterns = four_patterns(1000)
    memory = ConceptorMemory(random_state=seed, washout=200).fit(patterns)
    for index, pattern in enumerate(patterns):
        in_phase = memory.recall(index, 500)
        assert aligned_nrmse(in_phase[-60:], pattern) < 0.06
        wrong = patterns[(index + 1) % 4]
        assert aligned_nrmse(in_phase[-60:], wrong) > 0.3
        # Without a conceptor, the patterns get in each other's way.
        free = memory.recall(np.eye(100), 500, initial_state=memory.last_states_[index])
        assert aligned_nrmse(free[-60:], pattern) > 0.3


def measured_period(series):
    series = series[:, 0] - series[:, 0].mean()
    up = np.flatnonzero((series[:-1] < 0) & (series[1:] >= 0))
    crossings = up - series[up] / (series[up + 1] - series[up])
    return (crossings[-1] - crossings[0]) / (len(crossings) - 1)


def test_morphing_moves_the_period_from_one_to_the_other():
    memory = ConceptorMemory(random_state=0, washout=200).fit(four_patterns(1000)[:2])
    shares = np.linspace(0, 1, 6)
    periods = []
    for share in shares:
        C = morph(memory.conceptors_, [1 - share, share])
        series = memory.recall(C, 900, initial_state=memory.last_states_[0])[300:]
        periods.append(measured_period(series))
    assert periods[0] == pytest.approx(8.83, abs=0.02)
    assert periods[-1] == pytest.approx(9.83, abs=0.02)
    assert (np.diff(periods) > 0.05).all()


def test_forms_files_and_seeds(tmp_path):
    patterns = four_patterns(300)
    memory = ConceptorMemory(40, random_state=0).fit(patterns)
    rows = np.concatenate(patterns)
    for other in (
        clone(memory).fit(np.array(patterns)),
        clone(memory).fit(rows, groups=np.repeat(list("abcd"), 300)),
        clone(memory).fit(rows, lengths=[300] * 4),
    ):
        np.testing.assert_array_equal(other.recall(2, 20), memory.recall(2, 20))
    memory.save(tmp_path / "memory.npz")
    loaded = ConceptorMemory.load(tmp_path / "memory.npz")
    np.testing.assert_array_equal(loaded.recall(1, 30), memory.recall(1, 30))
    single = ConceptorMemory(40, random_state=0, dtype="float32").fit(patterns)
    assert single.recall(0, 10).dtype == np.float32
    assert single.conceptors_.dtype == np.float64
    np.testing.assert_allclose(single.recall(2, 10), memory.recall(2, 10), atol=0.02)


@parametrize_with_checks([ConceptorMemory(20, washout=0, random_state=0)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_what_is_refused():
    patterns = four_patterns(150)
    for parameters, error, message in (
        ({"washout": 150}, ValueError, "`washout` is 150, but sequence 0"),
        ({"aperture": 0}, ValueError, "`aperture` is 0"),
        ({"alpha": -1}, ValueError, "`alpha` is -1"),
        ({"readout_alpha": "x"}, TypeError, "`readout_alpha` is 'x'"),
    ):
        with pytest.raises(error, match=message):
            ConceptorMemory(20, **parameters).fit(patterns)
    with pytest.raises(NotFittedError):
        ConceptorMemory().recall(0, 5)
    memory = ConceptorMemory(20, random_state=0).fit(patterns)
    for arguments, settings, error, message in (
        ((4, 5), {}, ValueError, "`pattern` is 4, but an integer of 0 or more and at most 3"),
        ((-1, 5), {}, ValueError, "`pattern` is -1"),
        ((0.5, 5), {}, TypeError, "`pattern` is 0.5"),
        ((0, 0), {}, ValueError, "`n_steps` is 0"),
        ((np.eye(3), 5), {}, ValueError, r"`conceptor` has shape \(3, 3\), but .* 20 units"),
        ((np.full((20, 20), np.nan), 5), {}, ValueError, "`conceptor` holds NaN"),
        ((0, 5), {"initial_state": np.ones(3)}, ValueError, r"`initial_state` has shape \(3,\)"),
        ((0, 5), {"initial_state": [np.nan] * 20}, ValueError, "`initial_state` holds NaN"),
    ):
        with pytest.raises(error, match=message):
            memory.recall(*arguments, **settings)
    with pytest.raises(ValueError, match=r"`reservoir\.leak_rate` is below 1"):
        load_patterns(draw(leak_rate=0.5), patterns)
    with pytest.raises(ValueError, match=r"`reservoir\.leak_rate` is below 1"):
        controlled_reservoir(draw(leak_rate=0.5), np.eye(40))
