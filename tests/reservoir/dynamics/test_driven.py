"""Driven and teacher-forced runs against the equation: engines, many sequences, noise, errors."""

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array

from reservoir.dynamics import DivergenceError, Reservoir, iterate_sequences, run
from tests.support.plain_reservoirs import (
    DTYPES,
    ENGINES,
    FUNCTIONS,
    TOLERANCE,
    collect,
    draw_reservoir,
    plain_run,
    to_dense,
)

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


@pytest.mark.parametrize("n_sequences", [1, 9])
def test_driven_divergence_is_told_with_its_step(n_sequences):
    # x[t] = 2^(t+1) - 1 overflows at t = 1023.
    res = Reservoir(np.full((1, 1), 2.0), np.ones((1, 1)), np.zeros(1), activation="identity")
    lengths = [3000 - i for i in range(n_sequences)]
    with pytest.raises(DivergenceError, match="state of step 1023 is not finite"):
        collect(res, [np.ones((n, 1)) for n in lengths])


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
