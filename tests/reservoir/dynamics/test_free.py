"""Free runs against the equation: feedback, output as input, going on, divergence."""

import numpy as np
import pytest

from reservoir.dynamics import DivergenceError, Reservoir, free_run, run
from reservoir.readout import Readout
from tests.support.plain_reservoirs import ENGINES, TOLERANCE, draw_reservoir, plain_run


def draw_readout(rng, n_outputs, n_units, n_inputs=None, squares=False):
    return Readout(
        state=rng.uniform(-1, 1, (n_outputs, n_units)) / n_units,
        intercept=rng.uniform(-1, 1, n_outputs),
        input=None if n_inputs is None else rng.uniform(-0.4, 0.4, (n_outputs, n_inputs)),
        squares=rng.uniform(-1, 1, (n_outputs, n_units)) / n_units if squares else None,
    )


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
    with pytest.raises(DivergenceError, match="output of step 102 of sequence 0 is inf") as caught:
        free_run(res, readout, 1000, initial_output=[1], output_as_input=True, engine=engine)
    assert caught.value.step == 102
    assert isinstance(caught.value, ArithmeticError)
    free_run(res, readout, 102, initial_output=[1], output_as_input=True, engine=engine)


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
