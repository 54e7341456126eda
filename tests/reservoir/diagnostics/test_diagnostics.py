import dataclasses

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from reservoir import ESNRegressor, LocalESNRegressor, ReservoirTransformer
from reservoir.datasets import lorenz
from reservoir.diagnostics import (
    consistency,
    driven_lyapunov_exponents,
    echo_state_index,
    free_lyapunov_exponents,
    generalization_rank,
    information_processing_capacity,
    kernel_rank,
    memory_capacity,
)
from reservoir.diagnostics._lyapunov import Jacobian
from reservoir.diagnostics._system import driven_system, free_system, stream
from reservoir.dynamics import Reservoir, run
from reservoir.weights import recurrent_weights


def linear(recurrent, n_inputs=1, **parameters):
    n_units = len(recurrent)
    return Reservoir(
        recurrent=np.asarray(recurrent, dtype=float),
        input=np.eye(n_units, n_inputs),
        bias=np.zeros(n_units),
        activation="identity",
        **parameters,
    )


def cycle(n_units, weight):
    return linear(weight * np.roll(np.eye(n_units), 1, axis=0))


def small(**parameters):
    settings = {"n_units": 30, "connectivity": 5, "random_state": 1, **parameters}
    return ESNRegressor(**settings)


@pytest.fixture
def generator(rng):
    """A network with feedback weights that was taught to generate a sine."""
    u = rng.uniform(0.1, 0.3, size=(400, 1))
    y = np.sin(np.cumsum(u, axis=0))
    return small(feedback_scaling=0.5, alpha=1e-4, washout=50, feedback_noise=1e-2).fit(u, y)


# Memory capacity


@pytest.mark.parametrize("weight", [0.9, 0.5])
def test_linear_cycle_has_its_exact_memory_curve(weight):
    n_units, n_steps = 20, 10_000
    result = memory_capacity(cycle(n_units, weight), n_steps=n_steps, random_state=3)
    k = result.delays
    # x_i[t] = Σ_j r^(i + jN) u[t - i - jN]: the share of delay k in the variance of its unit.
    exact = weight ** (2 * n_units * (k // n_units)) * (1 - weight ** (2 * n_units))
    # A squared correlation ρ² has a deviation of 2 ρ (1 - ρ²) / sqrt(n), and chance adds 20 more.
    deviation = 2 * np.sqrt(exact / n_steps) * (1 - exact) + np.sqrt(2 * n_units) / n_steps
    assert np.all(abs(result.curve[:, 0] - exact) < 4 * deviation)
    # Delays of N and more see the same lags of the input, and err together.
    total = n_units - (1 - weight ** (2 * n_units))
    assert abs(result.total - total) < 4 * n_units * deviation[-1] < 0.6
    assert result.rank == n_units


def test_memory_is_not_found_by_chance():
    """Units that hear nothing but a short past: 200 delays of nothing add nothing."""
    line = linear(np.eye(5, k=-1))
    totals = [
        memory_capacity(line, max_delay=200, n_steps=1000, random_state=seed).total
        for seed in range(4)
    ]
    # Uncorrected it would be 4 + 196 * 5 / 1000 = 5; a single run has a deviation of 0.1.
    assert abs(np.mean(totals) - 4) < 0.2


def test_memory_capacity_agrees_with_a_plain_least_squares_fit():
    esn = small(leak_rate=0.7, input_scaling=0.3).fit(np.ones((2, 1)), np.ones(2))
    n_steps, washout = 600, 60
    result = memory_capacity(
        esn, max_delay=8, n_steps=n_steps, washout=washout, input_range=(0, 0.5), random_state=4
    )
    u = np.random.default_rng(np.random.SeedSequence(4)).uniform(0, 0.5, (washout + n_steps, 1))
    states = run(esn.reservoir_, u)[washout:]
    design = np.hstack([states, np.ones((n_steps, 1))])
    for k, found in zip(result.delays, result.curve[:, 0], strict=True):
        target = u[washout - k : washout - k + n_steps, 0]
        fitted = design @ np.linalg.lstsq(design, target, rcond=None)[0]
        share = np.corrcoef(fitted, target)[0, 1] ** 2
        corrected = 1 - (1 - share) * (n_steps - 1) / (n_steps - 1 - 30)
        assert found == pytest.approx(corrected, abs=1e-9)


def test_two_channels_share_a_linear_memory():
    """Two delay lines side by side: each channel is held by its own."""
    recurrent = np.zeros((5, 5))
    recurrent[1, 0] = recurrent[2, 1] = recurrent[4, 3] = 1
    lines = dataclasses.replace(linear(recurrent), input=np.eye(5)[:, [0, 3]])
    result = memory_capacity(lines, max_delay=4, n_steps=2000, random_state=0)
    np.testing.assert_allclose(result.curve[:2, 0], 1, atol=1e-12)
    np.testing.assert_allclose(result.curve[:1, 1], 1, atol=1e-12)
    np.testing.assert_allclose(result.curve[2:], 0, atol=0.02)
    np.testing.assert_allclose(result.curve[1:, 1], 0, atol=0.02)


def test_dependent_units_add_no_capacity():
    line = linear(np.eye(4, k=-1))
    twins = dataclasses.replace(
        line,
        recurrent=np.kron(np.eye(2), line.recurrent),
        input=np.tile(line.input, (2, 1)),
        bias=np.zeros(8),
    )
    alone = memory_capacity(line, max_delay=6, n_steps=500, random_state=0)
    both = memory_capacity(twins, max_delay=6, n_steps=500, random_state=0)
    assert both.rank == alone.rank == 4
    np.testing.assert_allclose(both.curve, alone.curve, atol=1e-10)


def test_a_reservoir_that_hears_nothing_remembers_nothing():
    deaf = dataclasses.replace(linear(np.zeros((3, 3))), input=np.zeros((3, 1)))
    result = memory_capacity(deaf, max_delay=3, n_steps=100, random_state=0)
    assert result.total == 0
    assert result.rank == 0
    assert information_processing_capacity(deaf, n_steps=200, random_state=0).total == 0


# Information processing capacity


def test_linear_delay_line_processes_only_memory():
    result = information_processing_capacity(
        linear(np.eye(6, k=-1)), max_delays=(10, 5, 3), n_steps=4000, random_state=0
    )
    np.testing.assert_allclose(result.by_degree, [6, 0, 0], atol=1e-10)
    found = [f for f, c in zip(result.functions, result.capacities, strict=True) if c > 0]
    assert found == [((delay, 0, 1),) for delay in range(6)]


def test_product_unit_has_its_exact_capacities():
    """x1 = (u[t] + u[t-1])² is 2 (P2 + P2') / 3 + 2 u u' + const: variances 4/45, 4/45, 20/45."""
    reservoir = dataclasses.replace(
        linear([[0.0, 0.0], [1.0, 0.0]]),
        input=np.ones((2, 1)),
        activation=lambda z: np.concatenate([z[:1], np.square(z[1:])]),
    )
    n_steps = 20_000
    result = information_processing_capacity(
        reservoir, max_delays=(4, 4, 2), n_steps=n_steps, random_state=0
    )
    capacity = dict(zip(result.functions, result.capacities, strict=True))
    assert capacity[((0, 0, 1),)] == pytest.approx(1, abs=1e-10)
    # Deviation of a sample correlation: about 1 / sqrt(n) = 0.005.
    assert capacity[((0, 0, 2),)] == pytest.approx(4 / 28, abs=0.015)
    assert capacity[((1, 0, 2),)] == pytest.approx(4 / 28, abs=0.015)
    assert capacity[((0, 0, 1), (1, 0, 1))] == pytest.approx(20 / 28, abs=0.015)
    np.testing.assert_allclose(result.by_degree, [1, 1, 0], atol=0.04)
    assert np.count_nonzero(result.capacities) == 4


def test_capacity_of_a_network_adds_up_to_its_units():
    """Dambre et al. (2012): fading memory and independent states make a total of N."""
    tanh = ReservoirTransformer(
        n_units=6, connectivity=3, spectral_radius=0.3, input_scaling=0.4, random_state=0
    ).fit(np.zeros((2, 1)))
    result = information_processing_capacity(
        tanh, max_delays=(12, 8, 6, 4), n_steps=20_000, random_state=0
    )
    assert result.total == pytest.approx(6, abs=0.4)
    assert result.total < 6.1
    assert (result.by_degree > 0.1).sum() >= 2


def test_input_range_is_where_polynomials_are_orthogonal():
    square = dataclasses.replace(linear(np.zeros((1, 1))), activation=np.square)
    centred = information_processing_capacity(square, max_delays=(2, 2), random_state=0)
    np.testing.assert_allclose(centred.by_degree, [0, 1], atol=1e-9)
    # u on [0, 1] is (v + 1) / 2: u² = v² / 4 + v / 2 + const has variances 1/180 and 1/12.
    shifted = information_processing_capacity(
        square, max_delays=(2, 2), input_range=(0, 1), random_state=0
    )
    np.testing.assert_allclose(shifted.by_degree, [15 / 16, 1 / 16], atol=0.01)


def test_threshold_keeps_chance_out():
    line = linear(np.eye(3, k=-1))
    kept = information_processing_capacity(
        line, max_delays=(20, 20), n_steps=1000, false_positive_rate=1.0, random_state=0
    )
    cut = information_processing_capacity(line, max_delays=(20, 20), n_steps=1000, random_state=0)
    assert np.count_nonzero(kept.capacities) > 100
    assert np.count_nonzero(cut.capacities) == 3


# Ranks


def test_ranks_of_a_delay_line():
    line = linear(np.eye(8, k=-1))
    assert kernel_rank(line, tolerance=0, random_state=0) == 8
    assert kernel_rank(line, tolerance=0, n_streams=5, random_state=0) == 5
    for n_common in (1, 3, 7):
        rank = generalization_rank(line, n_common=n_common, tolerance=0, random_state=0)
        assert rank == 8 - n_common + 1
    assert generalization_rank(line, n_common=8, tolerance=0, random_state=0) == 1


def test_rank_counts_singular_values_above_the_tolerance():
    esn = small().fit(np.ones((2, 1)), np.ones(2))
    u = np.random.default_rng(np.random.SeedSequence(5)).uniform(-1, 1, (40, 50, 1))
    final = np.array([run(esn.reservoir_, stream)[-1] for stream in u])
    values = np.linalg.svd(final, compute_uv=False)
    for tolerance in (0.5, 0.1, 0.01):
        rank = kernel_rank(esn, n_streams=40, n_steps=50, tolerance=tolerance, random_state=5)
        assert rank == np.count_nonzero(values > tolerance * values[0])


def test_float32_states_have_the_rank_of_float64_states():
    """Rounding of float32 is no dimension."""
    n_units = 6
    one = Reservoir(
        recurrent=np.zeros((n_units, n_units), dtype=np.float32),
        input=np.linspace(0.1, 1, n_units, dtype=np.float32)[:, None],
        bias=np.zeros(n_units, dtype=np.float32),
        activation="identity",
    )
    assert kernel_rank(one, tolerance=0, random_state=0) == 1


# Echo state index


def test_distances_shrink_by_the_weight_of_an_orthogonal_reservoir(rng):
    orthogonal = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    result = echo_state_index(
        linear(0.8 * orthogonal), rng.normal(size=(3000, 1)), washout=3, random_state=0
    )
    first = result.distances[0]
    steps = np.arange(60)
    np.testing.assert_allclose(
        result.distances[:60], first * 0.8 ** steps[:, None], rtol=1e-6, atol=1e-12
    )
    # The starts are uniform on [-1, 1]: their mean square is 1/3.
    assert first.mean() == pytest.approx(0.8 / np.sqrt(3), rel=0.15)
    assert result.index == result.distances[3:].mean()


def test_echo_state_index_tells_the_two_sides_of_the_edge(rng):
    u = 0.1 * rng.uniform(-1, 1, size=(600, 1))
    models = {
        radius: ReservoirTransformer(100, spectral_radius=radius, random_state=0).fit(u)
        for radius in (0.7, 2.5)
    }
    calm = echo_state_index(models[0.7], u, washout=300, random_state=0)
    wild = echo_state_index(models[2.5], u, washout=300, random_state=0)
    assert calm.index < 1e-12
    assert wild.index > 0.1
    assert driven_lyapunov_exponents(models[0.7], u, random_state=0).largest < -0.1
    assert driven_lyapunov_exponents(models[2.5], u, random_state=0).largest > 0.1


# Consistency


def test_consistency_of_a_noisy_linear_unit_is_exact(rng):
    """x = r x + u + ν: input and noise have equal filters, so γ² = var u / (var u + var ν)."""
    unit = linear([[0.6]])
    u = rng.normal(size=(60_000, 1))
    result = consistency(unit, u, state_noise=0.5, random_state=0)
    # About n (1 - r²) / (1 + r²) independent samples: a deviation of 0.002.
    assert result.mean == pytest.approx(1 / 1.25, abs=0.01)


def test_consistency_equals_the_correlation_of_two_runs(rng):
    """Streamed in blocks, about a shifted origin: the same as numpy's on all rows."""
    esn = small(spectral_radius=2.5, bias_scaling=3).fit(np.ones((2, 1)), np.ones(2))
    u = 0.3 * rng.normal(size=(5000, 1))
    result = consistency(esn, u, washout=700, random_state=2)
    seed = np.random.SeedSequence(2).spawn(3)[0]
    starts = np.random.default_rng(seed).uniform(-1, 1, (2, 30))
    one, other = (run(esn.reservoir_, u, initial_state=start)[700:] for start in starts)
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(one.T, other.T, strict=True)]
    np.testing.assert_allclose(result.units, expected, atol=1e-6)
    assert result.mean < 0.99


def test_echo_states_are_consistent_and_a_still_unit_is_not_counted(rng):
    still = dataclasses.replace(linear(np.zeros((2, 2))), bias=np.array([0.0, 0.3]))
    result = consistency(still, rng.normal(size=(300, 1)), random_state=0)
    assert result.units[0] == pytest.approx(1, abs=1e-12)
    assert np.isnan(result.units[1])
    assert result.mean == pytest.approx(1, abs=1e-12)
    deaf = dataclasses.replace(still, input=np.zeros((2, 1)))
    assert np.isnan(consistency(deaf, rng.normal(size=(300, 1)), random_state=0).mean)


# Lyapunov exponents


def test_symmetric_linear_reservoir_has_the_logarithms_of_its_eigenvalues(rng):
    values = np.array([0.9, -0.7, 0.5, 0.2, -0.05])
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    reservoir = linear(basis * values @ basis.T)
    result = driven_lyapunov_exponents(
        reservoir, rng.normal(size=(600, 1)), n_exponents=5, washout=300, dt=0.1, random_state=0
    )
    np.testing.assert_allclose(result.exponents, np.log(np.abs(values)) / 0.1, rtol=1e-9)
    np.testing.assert_allclose(result.standard_errors, 0, atol=1e-8)


def test_leaky_sparse_linear_reservoir_has_exact_exponents(rng):
    """Any matrix: complex pairs turn, so that a finite run is off by O(1/T)."""
    recurrent = recurrent_weights(15, connectivity=4, random_state=1)
    leak_rate = rng.uniform(0.3, 0.9, 15)
    reservoir = Reservoir(
        recurrent=recurrent,
        input=np.ones((15, 1)),
        bias=np.zeros(15),
        leak_rate=leak_rate,
        activation="identity",
    )
    step = np.diag(1 - leak_rate) + leak_rate[:, None] * recurrent.toarray()
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(step))))[::-1]
    result = driven_lyapunov_exponents(
        reservoir, np.zeros((4100, 1)), n_exponents=15, random_state=0
    )
    np.testing.assert_allclose(result.exponents, expected, atol=0.01)


def test_nilpotent_reservoir_has_no_finite_exponent():
    result = driven_lyapunov_exponents(
        linear(np.eye(4, k=-1)), np.zeros((200, 1)), n_exponents=2, random_state=0
    )
    assert np.all(np.isneginf(result.exponents))
    assert np.all(np.isnan(result.standard_errors))


def test_driven_exponent_is_the_rate_at_which_two_runs_meet(rng):
    esn = small(spectral_radius=0.9, leak_rate=0.8).fit(np.ones((2, 1)), np.ones(2))
    u = rng.uniform(-1, 1, size=(3000, 1))
    reservoir = esn.reservoir_
    largest = driven_lyapunov_exponents(esn, u, washout=0, random_state=0).largest
    # Start apart by 1e-6 again every 50 steps, as one would measure it by hand.
    x, logs = run(reservoir, u), []
    direction = rng.normal(size=30)
    for start in range(100, 3000, 50):
        apart = x[start - 1] + 1e-6 * direction / np.linalg.norm(direction)
        other = run(reservoir, u[start : start + 50], initial_state=apart)[-1]
        direction = other - x[start + 49]
        logs.append(np.log(np.linalg.norm(direction) / 1e-6) / 50)
    assert largest == pytest.approx(np.mean(logs), abs=0.01)


def square_plus(z):
    return 0.1 * np.square(z) + np.sin(z)


@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu", "identity", square_plus])
@pytest.mark.parametrize("leak_rate", [1.0, np.linspace(0.2, 0.9, 8)])
def test_jacobian_of_a_driven_step_equals_central_differences(activation, leak_rate, rng):
    reservoir = Reservoir(
        recurrent=recurrent_weights(8, connectivity=3, random_state=0),
        input=rng.normal(size=(8, 2)),
        bias=rng.normal(size=8),
        leak_rate=leak_rate,
        activation=activation,
    )
    u, x = rng.normal(size=(3, 2)), rng.normal(size=8)
    (block,) = stream(driven_system(reservoir), [u], 3, x[None])
    steps = list(Jacobian(driven_system(reservoir)).along(block))
    for t, advance in enumerate(steps):
        before = x if t == 0 else block.states[0, t - 1]
        assert_columns_match(
            advance(np.eye(8)),
            lambda s, t=t: run(reservoir, u[t : t + 1], initial_state=s)[0],
            before,
        )


def assert_columns_match(matrix, step, at):
    h = 1e-6
    for column, unit in zip(matrix.T, np.eye(len(at)), strict=True):
        difference = (step(at + h * unit) - step(at - h * unit)) / (2 * h)
        np.testing.assert_allclose(column, difference, atol=1e-8)


@pytest.mark.parametrize("include_input", [False, True])
@pytest.mark.parametrize("feedback_scaling", [0.0, 0.3])
def test_jacobian_of_a_free_run_equals_central_differences(include_input, feedback_scaling, rng):
    """Differentiate the map of (x, y) as the estimator's readout and the recurrence define it."""
    series = np.cumsum(rng.normal(size=(101, 2)), axis=0) / 5
    esn = ESNRegressor(
        12, connectivity=4, leak_rate=0.7, include_squares=True, include_input=include_input,
        feedback_scaling=feedback_scaling, random_state=0, alpha=1e-2,
    ).fit(series[:-1], series[1:])  # fmt: skip
    system, readout, reservoir = free_system(esn), esn._readout(), esn.reservoir_
    x, y = esn.last_state_, np.array([0.3, -0.2])

    def step(combined):
        state, output = combined[:12], combined[12:]
        if not include_input:  # y is a function of x, whatever came before
            output = readout(state[None], np.zeros((1, 2)))[0]
        teacher = {} if reservoir.feedback is None else {
            "teacher": np.zeros((1, 2)), "initial_output": output
        }  # fmt: skip
        new = run(reservoir, output[None], initial_state=state, **teacher)
        after = readout(new, output[None])[0] if include_input else output[:0]
        return np.concatenate([new[0], after])

    if not include_input:
        y = readout(x[None], np.zeros((1, 2)))[0]
    (block,) = stream(system, None, 1, x[None], initial_outputs=y[None])
    (advance,) = Jacobian(system).along(block)
    size = 12 + 2 * include_input
    assert_columns_match(advance(np.eye(size)), step, np.concatenate([x, y])[:size])


@pytest.fixture(scope="module")
def lorenz_model():
    series = lorenz(4001, random_state=0)
    series = (series - series.mean(axis=0)) / series.std(axis=0)
    esn = ESNRegressor(
        100, spectral_radius=0.6, leak_rate=0.8, input_scaling=0.08, bias_scaling=1.5,
        connectivity=20, washout=100, include_input=False, alpha=1e-18, random_state=0,
    )  # fmt: skip
    return esn.fit(series[:-1], series[1:]), series


def test_free_run_has_the_exponents_of_the_lorenz_system(lorenz_model):
    esn, series = lorenz_model
    result = free_lyapunov_exponents(esn, 10_100, n_exponents=4, dt=0.02, random_state=0)
    # 200 time units: λ_1 and λ_2 fluctuate by 0.04 and 0.02 (their standard errors here).
    assert result.exponents[0] == pytest.approx(0.906, abs=0.12)
    assert result.exponents[1] == pytest.approx(0, abs=0.06)
    assert result.exponents[2] == pytest.approx(-14.57, abs=0.12)
    # The divergence of the flow is constant, so that fluctuations cancel in the sum.
    assert result.exponents[:3].sum() == pytest.approx(-(10 + 1 + 8 / 3), abs=0.02)
    assert result.exponents[3] < -20
    assert 0.01 < result.standard_errors[0] < 0.1
    again = free_lyapunov_exponents(esn, 600, X=series[:300], dt=0.02, random_state=0)
    assert again.largest > 0


def test_generator_with_feedback_is_diagnosed_in_its_loop(generator, rng):
    u = rng.uniform(0.1, 0.3, size=(600, 1))
    with_loop = driven_lyapunov_exponents(generator, u, random_state=0)
    without = driven_lyapunov_exponents(
        dataclasses.replace(generator.reservoir_, feedback=None), u, random_state=0
    )
    # A generator keeps its phase, which is a direction that does not shrink.
    assert with_loop.largest > without.largest + 0.01
    result = echo_state_index(generator, u, n_starts=2, random_state=0)
    assert result.distances.shape == (600, 2)
    seeded = np.random.default_rng(np.random.SeedSequence(0)).uniform(-1, 1, (3, 30))
    zero = generator.predict(u)
    assert zero.shape == (600, 1)
    starts = [generator.predict(u, initial_state=start) for start in (0 * seeded[0], seeded[1])]
    system = driven_system(generator)
    (block,) = stream(system, [u], 600, np.zeros((1, 30)))
    np.testing.assert_allclose(block.fed_back[0, 1:], starts[0][:-1], atol=1e-12)


# All of them


SERIES = np.sin(np.arange(150.0))[:, None]
DIAGNOSTICS = {
    "memory": lambda model, **k: memory_capacity(model, max_delay=3, n_steps=300, **k).curve,
    "processing": lambda model, **k: (
        information_processing_capacity(model, max_delays=(3, 2), n_steps=300, **k).capacities
    ),
    "kernel": lambda model, **k: kernel_rank(model, n_streams=7, n_steps=20, **k),
    "generalization": lambda model, **k: generalization_rank(model, n_streams=7, n_steps=20, **k),
    "echo": lambda model, **k: echo_state_index(model, SERIES, **k).distances,
    "consistency": lambda model, **k: consistency(model, SERIES, **k).units,
    "driven": lambda model, **k: driven_lyapunov_exponents(model, SERIES, **k).exponents,
}


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_estimator_and_reservoir_give_the_same_and_a_seed_repeats_it(name, capsys):
    measure = DIAGNOSTICS[name]
    transformer = ReservoirTransformer(20, random_state=0).fit(np.ones((2, 1)))
    first = measure(transformer, random_state=3)
    np.testing.assert_array_equal(first, measure(transformer.reservoir_, random_state=3))
    assert capsys.readouterr().err == ""
    measure(transformer, random_state=3, progress=True)
    assert "150/150" in (shown := capsys.readouterr().err) or "step/s" in shown
    single = ReservoirTransformer(20, dtype="float32", random_state=0).fit(np.ones((2, 1)))
    np.testing.assert_allclose(measure(single, random_state=3), first, atol=0.05)


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_generator_with_feedback_can_be_diagnosed(name, generator):
    assert np.all(np.isfinite(DIAGNOSTICS[name](generator, random_state=0)))


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_wrong_models_are_refused(name, generator):
    measure = DIAGNOSTICS[name]
    with pytest.raises(NotFittedError, match="not fitted"):
        measure(small())
    with pytest.raises(TypeError, match=r"`model` is a Ridge, but an estimator with a fitted"):
        measure(Ridge().fit(np.ones((2, 1)), np.ones(2)))
    with pytest.raises(TypeError, match=r"`model` is a str"):
        measure("esn")
    with pytest.raises(ValueError, match=r"feedback weights, but nothing says what they hear"):
        measure(generator.reservoir_)


def test_wrong_arguments_are_refused(generator, rng):
    line = linear(np.eye(4, k=-1))
    autonomous = dataclasses.replace(line, input=np.zeros((4, 0)))
    u = np.ones((150, 1))
    with pytest.raises(ValueError, match=r"`n_steps` is 9, .*10 or more.*several times the 4"):
        memory_capacity(line, n_steps=9)
    with pytest.raises(ValueError, match=r"`max_delay` is 0"):
        memory_capacity(line, max_delay=0)
    with pytest.raises(ValueError, match=r"`model` has no input"):
        memory_capacity(autonomous)
    with pytest.raises(ValueError, match=r"`input_range` is 3, but a pair"):
        kernel_rank(line, input_range=3)
    with pytest.raises(ValueError, match=r"`input_range\[1\]` is 1, .* above 1"):
        kernel_rank(line, input_range=(1, 1))
    with pytest.raises(TypeError, match=r"`max_delays` is 5, but a sequence"):
        information_processing_capacity(line, max_delays=5)
    with pytest.raises(ValueError, match=r"`max_delays` is empty"):
        information_processing_capacity(line, max_delays=())
    with pytest.raises(ValueError, match=r"`max_delays\[1\]` is 0"):
        information_processing_capacity(line, max_delays=(3, 0))
    with pytest.raises(ValueError, match=r"`false_positive_rate` is 0"):
        information_processing_capacity(line, false_positive_rate=0)
    with pytest.raises(ValueError, match=r"`n_common` is 30, .* at most 20"):
        generalization_rank(line, n_common=30, n_steps=20)
    with pytest.raises(ValueError, match=r"`tolerance` is 2"):
        kernel_rank(line, tolerance=2)
    with pytest.raises(ValueError, match=r"`X` has shape \(150, 2\), but \(n_steps, 1\)"):
        echo_state_index(line, np.ones((150, 2)))
    with pytest.raises(ValueError, match=r"`X` holds NaN or infinity"):
        echo_state_index(line, np.nan * u)
    with pytest.raises(ValueError, match=r"`X` has 150 steps, but more than `washout` = 150"):
        echo_state_index(line, u, washout=150)
    with pytest.raises(ValueError, match=r"`n_starts` is 0"):
        echo_state_index(line, u, n_starts=0)
    with pytest.raises(ValueError, match=r"a correlation needs two or more after `washout` = 149"):
        consistency(line, u, washout=149)
    with pytest.raises(ValueError, match=r"`state_noise` is 0.1, but `model` feeds its own"):
        consistency(generator, u, state_noise=0.1)
    with pytest.raises(ValueError, match=r"`n_exponents` is 5, .* at most 4"):
        driven_lyapunov_exponents(line, u, n_exponents=5)
    with pytest.raises(ValueError, match=r"`dt` is 0"):
        driven_lyapunov_exponents(line, u, dt=0)


def test_free_run_needs_a_forecaster(generator, rng):
    transformer = ReservoirTransformer(20, random_state=0).fit(np.ones((2, 1)))
    with pytest.raises(TypeError, match=r"an estimator with a method `forecast` was expected"):
        free_lyapunov_exponents(transformer, 300)
    local = LocalESNRegressor(20, patch_size=1, overlap=0).fit(np.ones((5, 2)), np.ones((5, 2)))
    with pytest.raises(TypeError, match=r"`model` is a LocalESNRegressor, but an estimator"):
        free_lyapunov_exponents(local, 300)
    with pytest.raises(NotFittedError):
        free_lyapunov_exponents(small(), 300)
    two = small().fit(np.ones((5, 1)), np.ones((5, 2)))
    with pytest.raises(ValueError, match=r"`model` has 1 inputs and 2 outputs"):
        free_lyapunov_exponents(two, 300)
    with pytest.raises(ValueError, match=r"`n_steps` is 100, .*more steps than `washout`"):
        free_lyapunov_exponents(generator, 100)
    with pytest.raises(ValueError, match=r"`X` holds 2 series, but one was expected"):
        free_lyapunov_exponents(generator, 300, X=np.ones((2, 5, 1)))
