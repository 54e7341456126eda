import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array

import reservoir
from reservoir.dynamics import DivergenceError, Reservoir, free_run, iterate_sequences, run
from reservoir.dynamics.loops import _numpy as _loops
from reservoir.readout import Readout

HAS_NUMBA = importlib.util.find_spec("numba") is not None
needs_numba = pytest.mark.skipif(not HAS_NUMBA, reason="numba is not installed")
ENGINES = ["numpy", pytest.param("numba", marks=needs_numba)]
DTYPES = [np.float64, np.float32]
# States are of order 1 and the reservoirs below contract (spectral norm times leak under 1), so
# that an error of rounding is carried on for a few steps only.
TOLERANCE = {np.dtype(np.float64): 1e-13, np.dtype(np.float32): 3e-5}
FUNCTIONS = {
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "identity": lambda z: z,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
}


def draw_matrix(rng, n_units, layout="fixed", dtype=np.float64, norm=0.8):
    """Return W of the given spectral norm; "fixed" and "ragged" are CSR, "dense" an array."""
    weights = rng.uniform(-1, 1, (n_units, n_units))
    if layout != "dense":
        ranks = rng.random((n_units, n_units)).argsort(axis=1).argsort(axis=1)
        # One row is empty, one full; all others hold between 1 and 6.
        counts = np.full(n_units, 7) if layout == "fixed" else rng.integers(1, 7, n_units)
        if layout == "ragged":
            counts[:2] = 0, n_units
        weights[ranks >= counts[:, np.newaxis]] = 0
    weights *= norm / np.linalg.norm(weights, 2)
    weights = weights.astype(dtype)
    return weights if layout == "dense" else csr_array(weights)


def draw_reservoir(
    rng, n_units=70, n_inputs=2, n_outputs=0, layout="fixed", dtype=np.float64, **kw
):
    return Reservoir(
        draw_matrix(rng, n_units, layout, dtype),
        rng.uniform(-1, 1, (n_units, n_inputs)).astype(dtype),
        rng.uniform(-0.3, 0.3, n_units).astype(dtype),
        feedback=rng.uniform(-0.2, 0.2, (n_units, n_outputs)).astype(dtype) if n_outputs else None,
        **kw,
    )


def draw_readout(rng, n_outputs, n_units, n_inputs=None, squares=False):
    return Readout(
        state=rng.uniform(-1, 1, (n_outputs, n_units)) / n_units,
        intercept=rng.uniform(-1, 1, n_outputs),
        input=None if n_inputs is None else rng.uniform(-0.4, 0.4, (n_outputs, n_inputs)),
        squares=rng.uniform(-1, 1, (n_outputs, n_units)) / n_units if squares else None,
    )


def to_dense(matrix):
    return np.asarray(matrix if isinstance(matrix, np.ndarray) else matrix.toarray(), float)


def plain_run(res, inputs, x=None, teacher=None, y=None):
    """Step the equation of the docstring, in float64, as it stands."""
    w, a = to_dense(res.recurrent), np.asarray(res.leak_rate, float)
    f = FUNCTIONS.get(res.activation, res.activation)
    x = np.zeros(res.n_units) if x is None else x
    y = np.zeros(res.n_outputs) if y is None else y
    states = []
    for t in range(len(inputs)):
        z = w @ x + res.input.astype(float) @ np.asarray(inputs[t], float) + res.bias
        if res.feedback is not None:
            z = z + res.feedback @ y
            y = teacher[t]
        x = (1 - a) * x + a * f(z)
        states.append(x)
    return np.array(states).reshape(-1, res.n_units)


def plain_free_run(res, readout, n_steps, x, y, inputs=None, output_as_input=False):
    """Step state and readout, in float64, as they stand."""
    outputs = []
    for t in range(n_steps):
        u = y if output_as_input else np.zeros(0) if inputs is None else inputs[t]
        drive = Reservoir(
            res.recurrent, res.input, res.bias, res.feedback, res.leak_rate, res.activation
        )
        x = plain_run(drive, [u], x, None if res.feedback is None else [y], y)[0]
        y = readout.state @ x + readout.intercept
        if readout.input is not None:
            y = y + readout.input @ u
        if readout.squares is not None:
            y = y + readout.squares @ x**2
        outputs.append(y)
    return np.array(outputs).reshape(-1, len(readout.intercept)), x


def collect(res, sequences, **kw):
    """Return the states of each sequence, put together from blocks that must come in order."""
    parts = [[np.empty((0, res.n_units), res.dtype)] for _ in sequences]
    for index, start, states in iterate_sequences(res, sequences, **kw):
        assert start == sum(map(len, parts[index]))
        parts[index].append(states.copy())
    return [np.concatenate(part) for part in parts]


# ---------------------------------------------------------------------------- driven


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["fixed", "ragged", "dense"])
@pytest.mark.parametrize("engine", ENGINES)
def test_run_is_the_equation(rng, engine, layout, dtype):
    leak_rate = rng.uniform(0.2, 1, 70)
    res = draw_reservoir(rng, n_outputs=3, layout=layout, dtype=dtype, leak_rate=leak_rate)
    inputs, teacher = rng.normal(size=(300, 2)), rng.normal(size=(300, 3))
    x, y = rng.uniform(-1, 1, 70), rng.normal(size=3)
    states = run(res, inputs, teacher=teacher, initial_state=x, initial_output=y, engine=engine)
    expected = plain_run(res, inputs, x, teacher, y)
    assert states.dtype == dtype
    np.testing.assert_allclose(states, expected, rtol=0, atol=TOLERANCE[res.dtype])


@pytest.mark.parametrize("leak_rate", [1.0, 0.3])
@pytest.mark.parametrize("activation", list(FUNCTIONS))
def test_every_activation_in_a_sequence_and_side_by_side(rng, activation, leak_rate):
    res = draw_reservoir(rng, activation=activation, leak_rate=leak_rate)
    sequences = [rng.normal(size=(40 + i, 2)) for i in range(9)]
    for states, inputs in zip(collect(res, sequences), sequences):
        np.testing.assert_allclose(states, plain_run(res, inputs), rtol=1e-12, atol=1e-13)


def test_callable_activation(rng):
    res = draw_reservoir(rng, activation=lambda z: z / (1 + np.abs(z)))
    inputs = rng.normal(size=(50, 2))
    np.testing.assert_allclose(run(res, inputs), plain_run(res, inputs), atol=1e-13)


@needs_numba
@pytest.mark.parametrize("n_units", [1, 2, 63, 64, 65, 130])
@pytest.mark.parametrize("n_connections", [0, 1, 4, 5, 6, 11])
def test_tiles_and_groups_of_rows_leave_nothing_over(rng, n_units, n_connections):
    k = min(n_connections, n_units)
    sources = rng.random((n_units, n_units)).argsort(axis=1)[:, :k]
    values = rng.uniform(-1, 1, (n_units, k)) / max(k, 1)
    bounds = np.arange(0, n_units * k + 1, k) if k else np.zeros(n_units + 1, int)
    recurrent = csr_array((values.ravel(), sources.ravel(), bounds), shape=(n_units, n_units))
    res = Reservoir(recurrent, np.ones((n_units, 1)), np.zeros(n_units), leak_rate=0.7)
    inputs = [rng.normal(size=(20, 1)) for _ in range(11)]
    expected = [plain_run(res, part) for part in inputs]
    np.testing.assert_allclose(run(res, inputs[0], engine="numba"), expected[0], atol=1e-14)
    for states, want in zip(collect(res, inputs, engine="numba"), expected):
        np.testing.assert_allclose(states, want, atol=1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_that_differ_a_little(rng, engine):
    # A delay line: one connection for each unit but the first.
    line = csr_array(np.diag(rng.uniform(0.5, 0.9, 69), k=-1))
    res = Reservoir(line, np.eye(70, 1), np.zeros(70), leak_rate=0.9)
    inputs = [rng.normal(size=(90, 1)) for _ in range(12)]
    expected = [plain_run(res, part) for part in inputs]
    np.testing.assert_allclose(run(res, inputs[0], engine=engine), expected[0], atol=1e-14)
    for states, want in zip(collect(res, inputs, engine=engine), expected):
        np.testing.assert_allclose(states, want, atol=1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_auto_is_one_of_the_engines(rng, engine):
    res = draw_reservoir(rng)
    inputs = rng.normal(size=(30, 2))
    auto = run(res, inputs)
    if engine == ("numba" if HAS_NUMBA else "numpy"):
        np.testing.assert_array_equal(auto, run(res, inputs, engine=engine))
    else:
        np.testing.assert_allclose(auto, run(res, inputs, engine=engine), atol=1e-14)


def test_delay_line_and_cycle_hold_delayed_input(rng):
    n_units, inputs = 7, rng.normal(size=(600, 1))
    for corner in (0.0, 0.5):
        chain = np.eye(n_units, k=-1)
        chain[0, -1] = corner  # closes the line to a cycle that halves what comes round
        res = Reservoir(
            csr_array(chain), np.eye(n_units, 1), np.zeros(n_units), activation="identity"
        )
        states = run(res, inputs)
        delayed = np.zeros((600, n_units))
        for lap in range(600 // n_units + 1):
            for unit in range(n_units):
                delay = lap * n_units + unit
                if delay < 600 and (lap == 0 or corner):
                    delayed[delay:, unit] += corner**lap * inputs[: 600 - delay, 0]
        # Only powers of two are multiplied: sums differ by their order alone.
        np.testing.assert_allclose(states, delayed, rtol=0, atol=1e-14)


def test_linear_reservoir_settles_where_the_equations_say(rng):
    res = draw_reservoir(rng, activation="identity", leak_rate=0.6)
    w, u = to_dense(res.recurrent), np.array([0.3, -0.8])
    steady = np.linalg.solve(np.eye(70) - w, res.input @ u + res.bias)
    # Contraction per step: 1 - 0.6 (1 - 0.8) = 0.88; 0.88^300 = 2e-17.
    states = run(res, np.tile(u, (300, 1)))
    np.testing.assert_allclose(states[-1], steady, rtol=1e-13)


def test_integrator_without_recurrence_is_an_exponential_average():
    res = Reservoir(
        np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1), leak_rate=0.25, activation="identity"
    )
    states = run(res, np.ones((20, 1)))
    np.testing.assert_allclose(states[:, 0], 1 - 0.75 ** np.arange(1, 21), rtol=1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_two_initial_states_meet(rng, engine):
    res = draw_reservoir(rng)
    inputs = rng.normal(size=(400, 2))
    one = run(res, inputs, engine=engine)
    other = run(res, inputs, initial_state=rng.uniform(-1, 1, 70), engine=engine)
    gap = np.linalg.norm(one - other, axis=1)
    # tanh does not stretch and the spectral norm is 0.8.
    assert np.all(gap[1:] <= 0.8 * gap[:-1] + 1e-14)
    assert gap[0] > 0.1
    np.testing.assert_allclose(one[-1], other[-1], rtol=0, atol=1e-15)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_future_does_not_change_the_past(rng, engine):
    res = draw_reservoir(rng, n_outputs=1)
    inputs, teacher = rng.normal(size=(700, 2)), rng.normal(size=(700, 1))
    before = run(res, inputs, teacher=teacher, engine=engine)
    inputs[400:] += 1
    teacher[399:] += 1  # heard one step later
    after = run(res, inputs, teacher=teacher, engine=engine)
    np.testing.assert_array_equal(after[:400], before[:400])
    assert np.all(after[400] != before[400])


def test_teacher_is_heard_one_step_later(rng):
    res = draw_reservoir(rng, n_outputs=1)
    inputs, teacher = np.zeros((2, 2)), np.array([[1e3], [1e6]])
    states = run(res, inputs, teacher=teacher)
    np.testing.assert_allclose(states[0], np.tanh(res.bias), rtol=1e-14)
    second = np.tanh(res.recurrent @ states[0] + 1e3 * res.feedback[:, 0] + res.bias)
    np.testing.assert_allclose(states[1], second, rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n_steps", [0, 1, 2, 255, 256, 257])
def test_any_length_can_be_cut_in_two(rng, engine, n_steps):
    res = draw_reservoir(rng)
    inputs = rng.normal(size=(n_steps, 2))
    whole = run(res, inputs, engine=engine)
    assert whole.shape == (n_steps, 70)
    np.testing.assert_allclose(whole, plain_run(res, inputs), atol=1e-13)
    if n_steps:
        last = run(res, inputs[-1:], initial_state=[*whole[-2]] if n_steps > 1 else None)
        np.testing.assert_allclose(last[0], whole[-1], atol=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
def test_inputs_of_any_kind_and_stride(rng, engine):
    res = draw_reservoir(rng, n_outputs=1, dtype=np.float32)
    inputs, teacher = rng.integers(-3, 4, (40, 2)), rng.integers(-3, 4, (40, 1))
    expected = run(res, inputs.astype(float), teacher=teacher.astype(float), engine=engine)
    for kind in (np.int8, np.float32, np.float64, bool):
        if kind is bool:
            inputs, teacher = inputs > 0, teacher > 0
            expected = run(res, inputs.astype(float), teacher=teacher * 1.0, engine=engine)
        converted = inputs.astype(kind)
        for form in (
            converted,
            np.asfortranarray(converted),
            np.repeat(converted, 2, axis=1)[:, ::2],
            converted[::-1].copy()[::-1],
            converted.tolist(),
        ):
            states = run(res, form, teacher=teacher, engine=engine)
            np.testing.assert_array_equal(states, expected)
            assert states.dtype == np.float32


@pytest.mark.parametrize("engine", ENGINES)
def test_arguments_are_left_alone_and_may_be_read_only(rng, engine):
    res = draw_reservoir(rng, layout="ragged")
    inputs, x = rng.normal(size=(30, 2)), rng.uniform(-1, 1, 70)
    expected = run(res, inputs, initial_state=x, engine=engine)
    frozen = [inputs, x, res.input, res.bias]
    frozen += [res.recurrent.data, res.recurrent.indices, res.recurrent.indptr]
    for array in frozen:
        array.flags.writeable = False
    np.testing.assert_array_equal(run(res, inputs, initial_state=x, engine=engine), expected)


def test_without_the_private_routines_of_scipy(rng, monkeypatch):
    res = draw_reservoir(rng, leak_rate=0.5)
    sequences = [rng.normal(size=(40, 2)) for _ in range(8)]
    expected = collect(res, sequences, engine="numpy")
    monkeypatch.setattr(_loops, "csr_matvec", None)
    for states, want in zip(collect(res, sequences, engine="numpy"), expected):
        np.testing.assert_allclose(states, want, atol=1e-14)
    np.testing.assert_allclose(run(res, sequences[0], engine="numpy"), expected[0], atol=1e-14)


# ---------------------------------------------------------------------------- many sequences

RAGGED = [0, 1, 5, 31, 32, 33, 64, 100, 150, 300, 301, 520, *range(60, 90)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["fixed", "ragged", "dense"])
@pytest.mark.parametrize("engine", ENGINES)
def test_many_ragged_sequences_are_the_same_one_by_one(rng, engine, layout, dtype):
    leak_rate = rng.uniform(0.2, 1, 40)
    res = draw_reservoir(rng, 40, 2, 1, layout, dtype, leak_rate=leak_rate)
    sequences = [rng.normal(size=(n, 2)) for n in RAGGED]
    teachers = [rng.normal(size=(n, 1)) for n in RAGGED]
    starts = [None if i % 3 else rng.uniform(-1, 1, 40) for i in range(len(RAGGED))]
    outputs = [None if i % 2 else rng.normal(size=1) for i in range(len(RAGGED))]
    got = collect(
        res,
        sequences,
        teachers=teachers,
        initial_states=starts,
        initial_outputs=outputs,
        engine=engine,
    )
    for states, *case in zip(got, sequences, starts, teachers, outputs):
        np.testing.assert_allclose(states, plain_run(res, *case), atol=TOLERANCE[res.dtype])


@pytest.mark.parametrize("engine", ENGINES)
def test_size_of_a_chunk_does_not_change_a_bit(rng, engine):
    res = draw_reservoir(rng, 40, 3, 1, leak_rate=0.5)
    lengths = [700, *RAGGED]
    sequences = [rng.normal(size=(n, 3)) for n in lengths]
    noisy = {
        "teachers": [rng.normal(size=(n, 1)) for n in lengths],
        "state_noise": 0.01,
        "feedback_noise": 0.1,
        "random_state": 3,
    }
    expected = collect(res, sequences, engine=engine, chunk_size=10_000, **noisy)
    for chunk_size in (1, 256, 1000, 2048):
        got = collect(res, sequences, engine=engine, chunk_size=chunk_size, **noisy)
        for states, want in zip(got, expected, strict=True):
            np.testing.assert_array_equal(states, want)


def test_memory_is_a_chunk(rng):
    res = draw_reservoir(rng, 20, 1)
    lengths = [5000] + [300] * 40
    blocks = iterate_sequences(res, [np.zeros((n, 1)) for n in lengths], chunk_size=512)
    buffers, seen = {}, np.zeros(len(lengths), int)
    for index, _, states in blocks:
        owner = states if states.base is None else states.base
        buffers[id(owner)] = owner
        seen[index] += len(states)
        # 32 lanes of 64 steps at most: more than the chunk asked for, never more than 2,048.
        assert owner.size <= 2048 * 20
    np.testing.assert_array_equal(seen, lengths)


def test_one_series_in_a_list_is_run(rng):
    res = draw_reservoir(rng)
    inputs = rng.normal(size=(600, 2))
    (states,) = collect(res, [inputs], state_noise=0.1, random_state=4)
    np.testing.assert_array_equal(states, run(res, inputs, state_noise=0.1, random_state=4))
    assert collect(res, []) == []


# ---------------------------------------------------------------------------- noise


@pytest.mark.parametrize("engine", ENGINES)
def test_noise_of_a_sequence_is_its_own(rng, engine):
    res = draw_reservoir(rng, 40, n_outputs=1)
    lengths = [90, 33, 150, 64, *range(30, 50)]
    sequences = [rng.normal(size=(n, 2)) for n in lengths]
    teachers = [rng.normal(size=(n, 1)) for n in lengths]
    noise = {"state_noise": 0.05, "feedback_noise": 0.2, "engine": engine}
    children = np.random.SeedSequence(11).spawn(len(lengths))
    together = collect(res, sequences, teachers=teachers, random_state=11, **noise)
    for i, child in enumerate(children):
        (alone,) = collect(
            res,
            [sequences[i]],
            teachers=[teachers[i]],
            generators=[np.random.default_rng(child)],
            **noise,
        )
        np.testing.assert_allclose(together[i], alone, atol=1e-14)


def test_noise_goes_on_where_a_generator_stands(rng):
    res = draw_reservoir(rng, 40, n_outputs=1)
    inputs, teacher = rng.normal(size=(100, 2)), rng.normal(size=(100, 1))
    noise = {"state_noise": 0.05, "feedback_noise": 0.2}
    (whole,) = collect(
        res, [inputs], teachers=[teacher], generators=[np.random.default_rng(5)], **noise
    )
    generator = np.random.default_rng(5)
    (first,) = collect(res, [inputs[:37]], teachers=[teacher[:37]], generators=[generator], **noise)
    (second,) = collect(
        res,
        [inputs[37:]],
        teachers=[teacher[37:]],
        initial_states=[first[-1]],
        initial_outputs=[teacher[36]],
        generators=[generator],
        **noise,
    )
    np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_state_noise_is_normal_inside_the_activation(dtype):
    # Without any weight the state is the noise itself, and its tanh with tanh units.
    parts = (np.zeros((50, 50), dtype), np.zeros((50, 1), dtype), np.zeros(50, dtype))
    noise = run(
        Reservoir(*parts, activation="identity"),
        np.zeros((4000, 1)),
        state_noise=0.3,
        random_state=0,
    )
    squashed = run(Reservoir(*parts), np.zeros((4000, 1)), state_noise=0.3, random_state=0)
    np.testing.assert_allclose(squashed, np.tanh(noise), rtol=1e-6)
    z = noise.astype(float).ravel() / 0.3
    # 200,000 draws: standard errors .0022, .0016 (deviation), .011 (kurtosis); five of each.
    assert abs(z.mean()) < 0.011
    assert abs(z.std() - 1) < 0.008
    assert abs((z**4).mean() - 3) < 0.055
    correlation = np.corrcoef(noise, rowvar=False) - np.eye(50)
    assert np.abs(correlation).max() < 0.09
    assert abs(np.mean(z[:-50] * z[50:])) < 0.011


def test_feedback_noise_is_on_what_is_fed_back():
    res = Reservoir(
        np.zeros((2, 2)),
        np.zeros((2, 1)),
        np.zeros(2),
        feedback=np.array([[1.0], [-2.0]]),
        activation="identity",
    )
    teacher = np.arange(3000.0)[:, np.newaxis]
    states = run(res, np.zeros((3000, 1)), teacher=teacher, feedback_noise=0.5, random_state=1)
    noise = states[1:, 0] - teacher[:-1, 0]
    np.testing.assert_allclose(states[:, 1], -2 * states[:, 0], rtol=1e-12)
    assert abs(noise.std() - 0.5) < 0.033  # standard error .0065
    assert states[0, 0] != 0  # the initial output has noise like any other


def test_seeds(rng):
    res = draw_reservoir(rng, 10)
    inputs = rng.normal(size=(20, 2))

    def noisy(random_state):
        return run(res, inputs, state_noise=0.1, random_state=random_state)

    np.testing.assert_array_equal(noisy(1), noisy(1))
    np.testing.assert_array_equal(noisy(1), noisy(np.random.SeedSequence(1)))
    assert np.all(noisy(1) != noisy(2))
    assert np.all(noisy(None) != noisy(None))


# ---------------------------------------------------------------------------- free runs


@pytest.mark.parametrize(
    ("layout", "dtype"),
    [("fixed", np.float64), ("fixed", np.float32), ("ragged", np.float64), ("dense", np.float64)],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_free_run_is_the_equation(rng, engine, layout, dtype):
    res = draw_reservoir(rng, 70, 2, 3, layout, dtype, leak_rate=0.4)
    readout = draw_readout(rng, 3, 70, n_inputs=2, squares=True)
    inputs, x, y = rng.normal(size=(300, 2)), rng.uniform(-1, 1, 70), rng.normal(size=3)
    expected, last = plain_free_run(res, readout, 300, x, y, inputs)
    free = free_run(
        res,
        readout,
        300,
        initial_state=x,
        initial_output=y,
        inputs=inputs,
        return_states=True,
        engine=engine,
    )
    assert free.outputs.dtype == free.states.dtype == dtype
    tolerance = TOLERANCE[res.dtype]
    np.testing.assert_allclose(free.outputs, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(free.final_state, last, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(free.states[-1], free.final_state)
    lean = free_run(
        res, readout, 300, initial_state=x, initial_output=y, inputs=inputs, engine=engine
    )
    np.testing.assert_array_equal(lean.outputs, free.outputs)
    assert lean.states is None


@pytest.mark.parametrize("with_feedback", [False, True])
@pytest.mark.parametrize("readout_sees_input", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_output_as_input(rng, engine, readout_sees_input, with_feedback):
    res = draw_reservoir(rng, 30, 2, 2 if with_feedback else 0)
    readout = draw_readout(rng, 2, 30, n_inputs=2 if readout_sees_input else None)
    y = rng.normal(size=2)
    expected, _ = plain_free_run(res, readout, 300, np.zeros(30), y, output_as_input=True)
    free = free_run(res, readout, 300, initial_output=y, output_as_input=True, engine=engine)
    np.testing.assert_allclose(free.outputs, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("activation", ["relu", "identity", "logistic"])
def test_free_run_of_other_activations(rng, activation):
    res = draw_reservoir(rng, 30, 0, 1, activation=activation, leak_rate=0.5)
    readout = draw_readout(rng, 1, 30)
    expected, _ = plain_free_run(res, readout, 40, np.zeros(30), np.ones(1))
    free = free_run(res, readout, 40, initial_output=[1])
    np.testing.assert_allclose(free.outputs, expected, rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_teacher_forced_with_its_own_output_is_the_free_run(rng, engine):
    res = draw_reservoir(rng, 50, 1, 2, leak_rate=0.5)
    readout = draw_readout(rng, 2, 50, n_inputs=1, squares=True)
    inputs, y = rng.normal(size=(600, 1)), rng.normal(size=2)
    free = free_run(
        res, readout, 600, inputs=inputs, initial_output=y, return_states=True, engine=engine
    )
    forced = run(res, inputs, teacher=free.outputs, initial_output=y, engine=engine)
    np.testing.assert_allclose(forced, free.states, rtol=0, atol=1e-13)
    np.testing.assert_allclose(readout(forced, inputs), free.outputs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
def test_linear_loop_is_a_geometric_series(engine):
    # One unit without recurrence that hears its own output: y[t] = (0.5 * 1.5)^(t+1) y[-1].
    res = Reservoir(
        np.zeros((1, 1)),
        np.zeros((1, 0)),
        np.zeros(1),
        feedback=np.full((1, 1), 0.5e-6),
    )
    readout = Readout(state=np.full((1, 1), 1.5e6), intercept=np.zeros(1))
    outputs = free_run(res, readout, 30, initial_output=[1], engine=engine).outputs
    # tanh z = z up to z^3/3, here below 1e-13 of z.
    np.testing.assert_allclose(outputs[:, 0], 0.75 ** np.arange(1, 31), rtol=1e-11)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n_steps", [0, 1, 256, 300])
def test_a_free_run_goes_on_from_where_it_ended(rng, engine, n_steps):
    res = draw_reservoir(rng, 30, 1, 1)
    readout = draw_readout(rng, 1, 30, n_inputs=1)
    inputs = rng.normal(size=(400, 1))
    whole = free_run(res, readout, 400, inputs=inputs, initial_output=[1], engine=engine)
    first = free_run(
        res, readout, n_steps, inputs=inputs[:n_steps], initial_output=[1], engine=engine
    )
    second = free_run(
        res,
        readout,
        400 - n_steps,
        inputs=inputs[n_steps:],
        initial_state=first.final_state,
        initial_output=first.outputs[-1] if n_steps else [1],
        engine=engine,
    )
    joined = np.concatenate([first.outputs, second.outputs])
    np.testing.assert_allclose(joined, whole.outputs, rtol=0, atol=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
def test_divergence_is_told_with_its_step(engine):
    # The readout passes its input on a thousandfold: y[t] = 1e3^(t+1), above 1.8e308 at t = 102.
    res = Reservoir(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1))
    readout = Readout(state=np.zeros((1, 1)), intercept=np.zeros(1), input=np.full((1, 1), 1000.0))
    with pytest.raises(DivergenceError, match="output of step 102 is not finite") as caught:
        free_run(res, readout, 1000, initial_output=[1], output_as_input=True, engine=engine)
    assert caught.value.step == 102
    assert isinstance(caught.value, ArithmeticError)
    free_run(res, readout, 102, initial_output=[1], output_as_input=True, engine=engine)


@pytest.mark.parametrize("n_sequences", [1, 9])
def test_driven_divergence_is_told_with_its_step(n_sequences):
    # x[t] = 2^(t+1) - 1 overflows at t = 1023.
    res = Reservoir(np.full((1, 1), 2.0), np.ones((1, 1)), np.zeros(1), activation="identity")
    lengths = [3000 - i for i in range(n_sequences)]
    with pytest.raises(DivergenceError, match="state of step 1023 is not finite"):
        collect(res, [np.ones((n, 1)) for n in lengths])


# ---------------------------------------------------------------------------- numba


@pytest.fixture(scope="module")
def vector_tanh():
    numba = pytest.importorskip("numba")
    from reservoir.dynamics.loops import _numba_kernels as _kernels

    def build(function):
        @numba.njit(fastmath={"contract"}, error_model="numpy")
        def apply(z, out):
            for i in range(np.uint64(len(z))):
                out[i] = function(z[i])

        return lambda z: (out := np.empty_like(z), apply(z, out))[0]

    return {np.float64: build(_kernels.tanh64), np.float32: build(_kernels.tanh32)}


@needs_numba
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-15), (np.float32, 4e-7)])
def test_tanh_to_a_few_units_in_the_last_place(rng, vector_tanh, dtype, tolerance):
    z = np.concatenate(
        [
            rng.uniform(-2, 2, 200_000),
            rng.uniform(-25, 25, 100_000),
            # Where n, the nearest multiple of (ln 2)/2, changes.
            *(np.log(2) / 4 * (2 * n + 1) * (1 + rng.normal(size=2000) * 1e-6) for n in range(9)),
            10 ** rng.uniform(-30, 1, 100_000),
        ]
    ).astype(dtype)
    exact = np.tanh(z.astype(np.longdouble))
    error = np.abs((vector_tanh[dtype](z) - exact) / np.where(exact == 0, 1, exact))
    assert error.max() < tolerance


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_at_the_edges(vector_tanh, dtype):
    tiny, smallest = np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal
    small = [0.0, -0.0, tiny, -tiny, smallest, -smallest, 3 * smallest, 1e-9]
    large = [9.99, 19.06154746, 22.0, 30, -30, np.finfo(dtype).max, np.inf, -np.inf, np.nan]
    z = np.array([*small, *large], dtype=dtype)
    got = vector_tanh[dtype](np.tile(z, 8))  # long enough for the vector body
    want = np.tile(np.tanh(z.astype(np.float64)).astype(dtype), 8)
    np.testing.assert_array_almost_equal_nulp(got[np.isfinite(got)], want[np.isfinite(want)], 3)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(
        np.signbit(got[~np.isnan(got)]), np.signbit(want[~np.isnan(want)])
    )
    assert np.all(np.abs(got[~np.isnan(got)]) <= 1)


@needs_numba
@pytest.mark.parametrize("n_sequences", [1, 20])
def test_nan_stays_where_it_came_in(rng, n_sequences):
    res = draw_reservoir(rng, 40)
    clean = [rng.normal(size=(20, 2)) for _ in range(n_sequences)]
    dirty = [part.copy() for part in clean]
    dirty[0][10] = np.nan
    for engine in ("numpy", "numba"):
        before = collect(res, clean, engine=engine)
        after = collect(res, dirty, engine=engine)
        assert np.isnan(after[0][10:]).all()
        np.testing.assert_array_equal(after[0][:10], before[0][:10])
        for one, other in zip(before[1:], after[1:]):
            np.testing.assert_array_equal(one, other)


@needs_numba
def test_compiles_without_a_cache_where_none_can_be_written(tmp_path):
    package = tmp_path / "reservoir"
    shutil.copytree(
        Path(reservoir.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    blocked = tmp_path / "blocked"
    blocked.touch()  # A file where a folder would have to be: not even root can write below it.
    (package / "dynamics" / "loops" / "__pycache__").touch()
    script = "from reservoir.dynamics.loops._numba_kernels import tanh64; print(tanh64(1.0))"
    places = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), str(blocked / "here"))
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        env={**os.environ, **places, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.stderr == ""
    assert float(result.stdout) == pytest.approx(np.tanh(1))


def test_without_numba(rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "reservoir.dynamics.loops._numba", None)
    res = draw_reservoir(rng)
    inputs = rng.normal(size=(10, 2))
    np.testing.assert_array_equal(run(res, inputs), run(res, inputs, engine="numpy"))
    with pytest.raises(ImportError, match=r"numba cannot be imported\. Install the extra `fast`"):
        run(res, inputs, engine="numba")


# ---------------------------------------------------------------------------- errors


def test_reservoir_says_what_does_not_fit():
    w, w_in, b = np.eye(3), np.ones((3, 1)), np.zeros(3)
    with pytest.raises(ValueError, match=r"`recurrent` has shape \(3, 2\), but a square"):
        Reservoir(w[:, :2], w_in, b)
    with pytest.raises(TypeError, match="`recurrent` is a coo_array, but a csr_array"):
        Reservoir(coo_array(w), w_in, b)
    with pytest.raises(TypeError, match="`recurrent` is a list, but a csr_array"):
        Reservoir(w.tolist(), w_in, b)
    with pytest.raises(TypeError, match="dtype int64, but float32 or float64"):
        Reservoir(w.astype(np.int64), w_in, b)
    with pytest.raises(ValueError, match=r"`input` is a ndarray of shape \(2, 1\).*\(3, any\)"):
        Reservoir(w, w_in[:2], b)
    with pytest.raises(ValueError, match=r"`bias` is a ndarray of shape \(3, 1\)"):
        Reservoir(w, w_in, w_in)
    with pytest.raises(ValueError, match=r"`feedback` is a ndarray of shape \(3,\)"):
        Reservoir(w, w_in, b, feedback=b)
    for leak_rate in (0, -1, 1.1, np.nan, [0.1, 0.2, 0.0]):
        with pytest.raises(ValueError, match=r"`leak_rate` is .* but values in \(0, 1\]"):
            Reservoir(w, w_in, b, leak_rate=leak_rate)
    with pytest.raises(ValueError, match=r"`leak_rate` is a ndarray of shape \(2,\)"):
        Reservoir(w, w_in, b, leak_rate=[0.1, 0.2])
    with pytest.raises(ValueError, match="`activation` is 'sin', but one of"):
        Reservoir(w, w_in, b, activation="sin")


def test_run_says_what_does_not_fit(rng):
    res, deaf = draw_reservoir(rng, 5, 2, 1), draw_reservoir(rng, 5, 2)
    inputs, teacher = np.zeros((4, 2)), np.zeros((4, 1))
    with pytest.raises(ValueError, match=r"`inputs` has shape \(4, 3\), but \(n_steps, 2\)"):
        run(deaf, np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"`inputs` has shape \(4,\)"):
        run(deaf, np.zeros(4))
    with pytest.raises(ValueError, match=r"`teacher` has shape \(3, 1\), but \(4, 1\)"):
        run(res, inputs, teacher=teacher[:3])
    with pytest.raises(ValueError, match="the reservoir has them and none was given"):
        run(res, inputs)
    with pytest.raises(ValueError, match="the reservoir has no and one was given"):
        run(deaf, inputs, teacher=teacher)
    with pytest.raises(ValueError, match=r"`initial_state` has shape \(4,\), but \(5,\)"):
        run(deaf, inputs, initial_state=np.zeros(4))
    with pytest.raises(ValueError, match=r"`initial_output` has shape \(2,\), but \(1,\)"):
        run(res, inputs, teacher=teacher, initial_output=[0, 0])
    with pytest.raises(ValueError, match=r"`state_noise` is -1, but"):
        run(deaf, inputs, state_noise=-1)
    with pytest.raises(ValueError, match=r"`feedback_noise` is -0\.5, but"):
        run(res, inputs, teacher=teacher, feedback_noise=-0.5)
    with pytest.raises(ValueError, match="`engine` is 'fortran', but one of"):
        run(deaf, inputs, engine="fortran")
    with pytest.raises(ValueError, match="`activation` is 'relu' and only 'tanh' is compiled"):
        run(draw_reservoir(rng, 5, 2, activation="relu"), inputs, engine="numba")
    with pytest.raises(ValueError, match="`initial_states` has 1 entries, but 2 were expected"):
        iterate_sequences(deaf, [inputs, inputs], initial_states=[None])
    with pytest.raises(ValueError, match="`chunk_size` is 0"):
        iterate_sequences(deaf, [inputs], chunk_size=0)


def test_free_run_says_what_does_not_fit(rng):
    res, deaf = draw_reservoir(rng, 5, 2, 1), draw_reservoir(rng, 5, 2)
    one, two = draw_readout(rng, 1, 5), draw_readout(rng, 2, 5)
    inputs = np.zeros((4, 2))
    with pytest.raises(ValueError, match="one of them must feed the output back"):
        free_run(deaf, one, 4, inputs=inputs)
    with pytest.raises(ValueError, match="`inputs` are missing, but the reservoir has 2"):
        free_run(res, one, 4)
    with pytest.raises(ValueError, match=r"`inputs` has shape \(4, 2\), but \(5, 2\)"):
        free_run(res, one, 5, inputs=inputs)
    with pytest.raises(ValueError, match="the outputs take their place"):
        free_run(deaf, two, 4, inputs=inputs, output_as_input=True)
    with pytest.raises(ValueError, match="as many outputs as inputs, but there are 1 and 2"):
        free_run(deaf, one, 4, output_as_input=True)
    with pytest.raises(ValueError, match="`readout` has 2 outputs, but the reservoir feeds back 1"):
        free_run(res, two, 4, inputs=inputs)
    with pytest.raises(ValueError, match=r"`readout\.state` has shape \(1, 6\)"):
        free_run(res, draw_readout(rng, 1, 6), 4, inputs=inputs)
    with pytest.raises(ValueError, match=r"`readout\.input` has 3 columns"):
        free_run(res, draw_readout(rng, 1, 5, n_inputs=3), 4, inputs=inputs)
    with pytest.raises(ValueError, match="`n_steps` is -1"):
        free_run(res, one, -1, inputs=inputs)
