"""What is carried on of the last state: orthogonal (edge of stability) and Euler's form."""

import re
from dataclasses import replace

import numpy as np
import pytest

from reservoir import ESNClassifier, ESNRegressor, ReservoirTransformer
from reservoir.architectures import group_reservoirs
from reservoir.conceptors import load_patterns
from reservoir.diagnostics import driven_lyapunov_exponents, echo_state_index, memory_capacity
from reservoir.diagnostics._lyapunov import Jacobian
from reservoir.diagnostics._system import driven_system, stream
from reservoir.dynamics import Reservoir, Variants, free_run, run, run_variants, variant
from reservoir.dynamics.cuda._lanes import DeviceReservoirs
from reservoir.readout import Readout
from reservoir.search import ReservoirSearchCV
from tests.support.plain_reservoirs import (
    DTYPES,
    ENGINES,
    TOLERANCE,
    collect,
    draw_reservoir,
    needs_numba,
)

CARRIES = ("euler", "cycle", "permutation", "orthogonal")


def drawn_carry(carry, n_units, rng):
    """Return what `Reservoir` takes, and the share of the last state as a matrix for a rate."""
    if carry == "euler":
        return carry, lambda rate: np.eye(n_units)
    if carry == "orthogonal":
        matrix = np.linalg.qr(rng.normal(size=(n_units, n_units)))[0]
    else:
        order = np.roll(np.arange(n_units), 1) if carry == "cycle" else rng.permutation(n_units)
        matrix = np.eye(n_units)[order]
    kept = matrix if carry == "orthogonal" else order
    return kept, lambda rate: (1 - np.broadcast_to(rate, n_units))[:, None] * matrix


def plain(reservoir, share, inputs):
    """Step the equation x = C x + a tanh(W x + W_in u + b) in float64."""
    recurrent = reservoir.recurrent
    recurrent = recurrent if isinstance(recurrent, np.ndarray) else recurrent.toarray()
    state, states = np.zeros(reservoir.n_units), []
    for u in inputs:
        z = recurrent.astype(float) @ state + reservoir.input @ u + reservoir.bias
        state = share @ state + reservoir.leak_rate * np.tanh(z)
        states.append(state)
    return np.array(states)


def with_carry(rng, carry, rate, dtype=np.float64, layout="fixed"):
    res = draw_reservoir(rng, layout=layout, dtype=dtype)
    kept, share = drawn_carry(carry, 70, rng)
    if np.ndim(kept) == 2:
        kept = kept.astype(dtype)
    if carry == "euler":  # what it needs to be stable
        dense = res.recurrent if layout == "dense" else res.recurrent.toarray()
        dense = (dense - dense.T) / 2 - 0.1 * np.eye(70, dtype=dtype)
        res = replace(res, recurrent=dense if layout == "dense" else type(res.recurrent)(dense))
    rate = np.asarray(rate, dtype) if np.ndim(rate) else rate
    return replace(res, carry=kept, leak_rate=rate), share(rate)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["fixed", "ragged", "dense"])
@pytest.mark.parametrize("carry", CARRIES)
def test_states_follow_the_equation(rng, carry, layout, dtype, engine):
    if engine == "numba" and carry == "orthogonal":
        engine = "auto"
    for rate in (0.3, 1.0, rng.uniform(0.1, 0.9, 70)):
        res, share = with_carry(rng, carry, rate, dtype, layout)
        inputs = [rng.normal(size=(60, 2)) for _ in range(7)]
        expected = [plain(res, share, part) for part in inputs]
        tolerance = {"rtol": 0, "atol": 10 * TOLERANCE[np.dtype(dtype)]}
        states = run(res, inputs[0], engine=engine)
        assert states.dtype == dtype
        np.testing.assert_allclose(states, expected[0], **tolerance)
        for states, want in zip(collect(res, inputs, engine=engine), expected):
            np.testing.assert_allclose(states, want, **tolerance)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("carry", ["euler", "permutation"])
def test_free_runs_follow_the_equation(rng, carry, engine):
    res, share = with_carry(rng, carry, 0.4)
    coef = rng.uniform(-0.1, 0.1, (2, 70))
    readout = Readout(state=coef, intercept=np.zeros(2))
    ran = free_run(res, readout, 50, output_as_input=True, return_states=True, engine=engine)
    state = np.zeros(70)
    for found in ran.states:
        u = coef @ state
        z = res.recurrent @ state + res.input @ u + res.bias
        state = share @ state + 0.4 * np.tanh(z)
        np.testing.assert_allclose(found, state, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("carry", CARRIES)
def test_variants_are_runs_of_their_own(rng, carry, engine):
    if engine == "numba" and carry == "orthogonal":
        engine = "auto"
    res, _ = with_carry(rng, carry, 1.0)
    scales = Variants(rng.uniform(0.2, 1, 9), rng.uniform(0.1, 1, 9), rng.uniform(0, 1, (9, 3)))
    inputs = rng.normal(size=(40, 2))
    for index, states in enumerate(run_variants(res, scales, inputs, engine=engine)):
        np.testing.assert_allclose(
            states, run(variant(res, scales, index), inputs, engine=engine), atol=1e-12
        )


@pytest.mark.parametrize("carry", CARRIES)
def test_jacobian_is_the_derivative(rng, carry):
    res, _ = with_carry(rng, carry, 0.4)
    inputs, width = rng.normal(size=(6, 2)), 1e-6
    start = rng.uniform(-0.5, 0.5, 70)
    system = driven_system(res)
    (block,) = stream(system, [inputs], 6, start[None])
    for step, advance in enumerate(Jacobian(system).along(block)):
        before = block.states[0, step - 1] if step else start
        direction = rng.normal(size=70)

        def after(state, u=inputs[step]):
            return run(res, u[None], initial_state=state)[0]

        rise = after(before + width * direction) - after(before - width * direction)
        found = advance(direction[:, None])[:, 0]
        np.testing.assert_allclose(found, rise / (2 * width), atol=1e-7)


def test_euler_state_network_has_eigenvalues_of_real_part_minus_gamma():
    esn = ReservoirTransformer(
        60, topology="antisymmetric", spectral_radius=0.8, carry="euler", diffusion=0.03,
        leak_rate=0.1, random_state=0,
    ).fit(np.zeros((2, 1)))  # fmt: skip
    values = np.linalg.eigvals(esn.reservoir_.recurrent.toarray())
    np.testing.assert_allclose(values.real, -0.03, atol=1e-14)
    np.testing.assert_allclose(np.abs(values.imag).max(), 0.8, rtol=1e-12)


def test_linear_euler_exponents_are_those_of_its_step(rng):
    gamma, rate = 0.2, 0.1
    half = rng.normal(size=(6, 6))
    recurrent = half - half.T - gamma * np.eye(6)
    res = Reservoir(recurrent, np.ones((6, 1)), np.zeros(6), leak_rate=rate,
                    activation="identity", carry="euler")  # fmt: skip
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(np.eye(6) + rate * recurrent))))[::-1]
    result = driven_lyapunov_exponents(
        res, np.zeros((4000, 1)), n_exponents=6, washout=500, random_state=0
    )
    np.testing.assert_allclose(result.exponents, expected, atol=0.01)


@pytest.mark.parametrize("carry", ["cycle", "orthogonal"])
def test_edge_of_stability_remembers_nearly_all_its_units(carry):
    """Ceni & Gallicchio (2023), section IV: memory close to the largest there can be."""
    shared = {"input_scaling": 0.1, "bias_scaling": 0.0, "random_state": 0}
    X = np.zeros((2, 1))
    edge = ReservoirTransformer(50, leak_rate=0.01, carry=carry, **shared).fit(X)
    edge_memory = memory_capacity(edge, n_steps=3000, random_state=0).total
    leaky = [
        memory_capacity(
            ReservoirTransformer(50, leak_rate=rate, **shared).fit(X), n_steps=3000, random_state=0
        ).total
        for rate in (1.0, 0.5, 0.01)
    ]
    assert edge_memory > 40 > 30 > max(leaky)


def test_edge_of_stability_forgets_its_start(rng):
    esn = ReservoirTransformer(50, leak_rate=0.2, carry="orthogonal", random_state=0)
    X = rng.uniform(-1, 1, (400, 1))
    assert echo_state_index(esn.fit(X), X, washout=200, random_state=0).index < 1e-8


def test_search_over_carries_scores_as_one_candidate_alone(rng):
    u = rng.uniform(-1, 1, (500, 1))
    y = np.roll(u[:, 0], 12)
    esn = ESNRegressor(40, bias_scaling=0.0, washout=40, alpha=1e-6, random_state=0)
    shared = {"spectral_radius": [0.0, 0.5, 0.9], "leak_rate": [0.1, 0.6]}
    euler = {"carry": ["euler"], "topology": ["antisymmetric"], "diffusion": [0.5, 0.8]}
    space = [shared | {"carry": ["leak", "cycle"]}, shared | euler]
    settings = {"cv": 2, "scoring": "neg_nrmse", "refit": False}
    search = ReservoirSearchCV(esn, space, **settings).fit(u, y)
    assert search.best_params_["carry"] == "cycle"
    results = search.cv_results_
    for index in (*range(0, 12, 3), *range(12, 24, 2)):
        grid = {name: [value] for name, value in results["params"][index].items()}
        alone = ReservoirSearchCV(esn, grid, **settings).fit(u, y)
        np.testing.assert_allclose(results["mean_test_score"][index], alone.best_score_, rtol=1e-5)


@pytest.mark.parametrize("carry", CARRIES)
def test_saved_and_loaded(tmp_path, rng, carry):
    X, y = rng.normal(size=(80, 1)), rng.normal(size=80)
    model = ESNRegressor(30, leak_rate=0.3, carry=carry, diffusion=0.1, random_state=0).fit(X, y)
    model.save(tmp_path / "model.npz")
    loaded = ESNRegressor.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.carry == carry


def test_weights_do_not_depend_on_the_carry():
    X = np.zeros((3, 1))
    plain_one = ReservoirTransformer(30, random_state=0).fit(X).reservoir_
    for carry in CARRIES:
        other = ReservoirTransformer(30, random_state=0, carry=carry).fit(X).reservoir_
        np.testing.assert_array_equal(other.recurrent.toarray(), plain_one.recurrent.toarray())
        np.testing.assert_array_equal(other.input, plain_one.input)


def test_drawn_carries_are_orthogonal_and_differ_between_seeds():
    X = np.zeros((3, 1))
    for dtype in ("float64", "float32"):
        first, second = (
            ReservoirTransformer(30, dtype=dtype, random_state=seed, carry="orthogonal")
            .fit(X).reservoir_.carry
            for seed in (0, 1)
        )  # fmt: skip
        assert first.dtype == dtype
        np.testing.assert_allclose(first @ first.T, np.eye(30), atol=1e-6)
        assert np.abs(first - second).max() > 0.1


def test_classifier_takes_it(rng):
    X, y = rng.normal(size=(20, 15, 1)), np.arange(20) % 2
    X[y == 1] += 1
    model = ESNClassifier(20, carry="euler", topology="antisymmetric", diffusion=0.01,
                          leak_rate=0.1, random_state=0)  # fmt: skip
    assert model.fit(X, y).score(X, y) == 1.0


@pytest.mark.parametrize(
    "carry", ["leek", 3, np.zeros(70), np.zeros(70, int), np.eye(69), np.eye(70, dtype=np.float32)]
)
def test_other_carries_are_refused(rng, carry):
    with pytest.raises(ValueError, match="`carry` is"):
        replace(draw_reservoir(rng), carry=carry)


def test_estimator_refuses_other_names():
    for settings, name in (({"carry": "leek"}, "carry"), ({"diffusion": -1.0}, "diffusion")):
        with pytest.raises(ValueError, match=f"`{name}`"):
            ReservoirTransformer(5, **settings).fit(np.zeros((3, 1)))


def test_refused_where_only_leaky_units_are(rng, tmp_path):
    res, _ = with_carry(rng, "cycle", 1.0)
    with pytest.raises(ValueError, match=re.escape("`device` to 'cpu'")):
        DeviceReservoirs([res], np)
    with pytest.raises(ValueError, match="not joined"):
        group_reservoirs([res, res])
    with pytest.raises(ValueError, match="conceptor"):
        load_patterns(res, [np.zeros((300, 2))])
    X = rng.normal(size=(50, 1))
    model = ESNRegressor(10, carry="cycle", random_state=0).fit(X, X)
    with pytest.raises(ValueError, match="exports write leaky"):
        model.to_c(tmp_path / "model.h")


@needs_numba
def test_numba_refuses_a_dense_carry(rng):
    res, _ = with_carry(rng, "orthogonal", 0.5)
    with pytest.raises(ValueError, match="only permutations are compiled"):
        run(res, np.zeros((3, 2)), engine="numba")


def test_groups_of_euler_networks_stay_so(rng):
    res, _ = with_carry(rng, "euler", 0.3)
    inputs = rng.normal(size=(30, 2))
    both = run(group_reservoirs([res, res]), inputs)
    np.testing.assert_allclose(both[:, 70:], run(res, inputs), atol=1e-13)
    with pytest.raises(ValueError, match="The carry of"):
        group_reservoirs([res, replace(res, carry="leak")])
