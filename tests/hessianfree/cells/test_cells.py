"""Cells: jvp and vjp are adjoint, agree with differences, and keep clear of subnormal numbers."""

import numpy as np
import pytest

from hessianfree.cells import (
    ElmanCell,
    GRUCell,
    LSTMCell,
    MultiplicativeCell,
    MUT1Cell,
    MUT2Cell,
    MUT3Cell,
    StackedCell,
    TensorCell,
)
from hessianfree.cells._chains import flush_constant

CELLS = {
    "tanh": lambda k, n: ElmanCell(k, n),
    "logistic": lambda k, n: ElmanCell(k, n, activation="logistic"),
    "relu": lambda k, n: ElmanCell(k, n, activation="relu"),
    "fixed start": lambda k, n: ElmanCell(k, n, learn_initial_state=False),
    "multiplicative": lambda k, n: MultiplicativeCell(k, n, n + 2),
    "multiplicative logistic": lambda k, n: MultiplicativeCell(k, n, activation="logistic"),
    "shifted gain": lambda k, n: MultiplicativeCell(k, n, n + 2, gain="shifted_tanh"),
    "tensor": lambda k, n: TensorCell(k, n),
    "lstm": lambda k, n: LSTMCell(k, n),
    "peepholes": lambda k, n: LSTMCell(k, n, peepholes=True),
    "lstm, fixed start": lambda k, n: LSTMCell(k, n, peepholes=True, learn_initial_state=False),
    "gru": lambda k, n: GRUCell(k, n),
    "gru, fixed start": lambda k, n: GRUCell(k, n, learn_initial_state=False),
    "mut1": lambda k, n: MUT1Cell(k, n),
    "mut2": lambda k, n: MUT2Cell(k, n),
    "mut3": lambda k, n: MUT3Cell(k, n),
    "stack": lambda k, n: StackedCell([LSTMCell(k, n + 1), ElmanCell(n + 1, 2), GRUCell(2, n)]),
    "stack, fixed start": lambda k, n: StackedCell(
        [
            MUT1Cell(k, k, learn_initial_state=False),
            MultiplicativeCell(k, n, gain="shifted_tanh", learn_initial_state=False),
            MUT1Cell(n, n, learn_initial_state=False),
            TensorCell(n, 2, learn_initial_state=False),
            LSTMCell(2, n, learn_initial_state=False),
        ]
    ),
}
# As many inputs as units: MUT1 and MUT2 take such inputs as they are.
SIZES = [(1, 1, 1, 1), (1, 4, 3, 5), (7, 1, 3, 5), (6, 4, 3, 5), (6, 4, 5, 5)]


def draw(cell, rng, dtype=np.float64):
    shapes = cell.parameter_shapes.items()
    return {name: (rng.normal(size=shape) / 2).astype(dtype) for name, shape in shapes}


def dot(a, b):
    return sum(float(np.vdot(a[name].astype(float), b[name].astype(float))) for name in a)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CELLS)
def test_adjoint_identity_in_params_and_inputs(name, size, dtype, rng):
    n_steps, n_sequences, n_inputs, n_units = size
    cell = CELLS[name](n_inputs, n_units)
    params, d_params = draw(cell, rng, dtype), draw(cell, rng, dtype)
    inputs, d_inputs = rng.normal(size=(2, n_steps, n_sequences, n_inputs)).astype(dtype)
    weights = rng.normal(size=(n_steps, n_sequences, n_units)).astype(dtype)
    damping = rng.normal(size=weights.shape).astype(dtype)
    trajectory = cell.forward(params, inputs)
    d_states = cell.jvp(params, trajectory, d_params, d_inputs).copy()
    params_bar, inputs_bar = cell.vjp(params, trajectory, weights, with_inputs_bar=True)
    forward = float(np.vdot(weights.astype(float), d_states))
    backward = dot(params_bar, d_params) + float(np.vdot(inputs_bar.astype(float), d_inputs))
    scale = np.linalg.norm(weights) * np.linalg.norm(d_states)
    assert abs(forward - backward) <= 20 * np.finfo(dtype).eps * scale
    if not hasattr(cell, "activation"):
        return
    # What is added to the pre-activations alone arrives as it would through their slope.
    extra, _ = cell.vjp(params, trajectory, 0 * weights, preactivations_bar=damping)
    slopes = trajectory.slopes
    through, _ = cell.vjp(
        params, trajectory, np.where(slopes > 0, damping / np.where(slopes > 0, slopes, 1), 0)
    )
    if name != "relu":
        for block in extra:
            np.testing.assert_allclose(
                extra[block],
                through[block],
                rtol=1e5 * np.finfo(dtype).eps,
                atol=1e3 * np.finfo(dtype).eps,
            )


@pytest.mark.parametrize("name", CELLS)
def test_tangents_equal_central_differences(name, rng):
    cell = CELLS[name](3, 4)
    params, d_params = draw(cell, rng), draw(cell, rng)
    inputs, d_inputs = rng.normal(size=(2, 5, 2, 3))
    d_states = cell.jvp(params, cell.forward(params, inputs), d_params, d_inputs)
    h = 1e-6

    def states(sign):
        moved = {block: params[block] + sign * h * d_params[block] for block in params}
        return cell.forward(moved, inputs + sign * h * d_inputs).states

    # Third derivatives of order one times h², and rounding of order eps / h.
    np.testing.assert_allclose(d_states, (states(1) - states(-1)) / (2 * h), atol=1e-8)


@pytest.mark.parametrize("name", CELLS)
def test_cotangents_of_the_last_states_only(name, rng):
    cell = CELLS[name](3, 4)
    params = draw(cell, rng)
    trajectory = cell.forward(params, rng.normal(size=(6, 2, 3)))
    states_bar = rng.normal(size=(6, 2, 4))
    states_bar[:4] = 0
    full, _ = cell.vjp(params, trajectory, states_bar)
    short, _ = cell.vjp(params, trajectory, states_bar[4:])
    for block in full:
        np.testing.assert_allclose(short[block], full[block], rtol=1e-14)


@pytest.mark.parametrize("name", CELLS)
def test_a_given_initial_state_takes_the_place_of_the_learned_one(name, rng):
    cell = CELLS[name](3, 4)
    params, d_params = draw(cell, rng), draw(cell, rng)
    inputs = rng.normal(size=(3, 2, 3))
    state = rng.uniform(0.1, 1.0, size=(2, cell.state_size))
    trajectory = cell.forward(params, inputs, state)
    d_states = cell.jvp(params, trajectory, d_params).copy()
    params_bar, _ = cell.vjp(params, trajectory, np.ones((3, 2, 4)))
    learned = [block for block in params if block.endswith("initial_state")]
    assert not any(np.any(params_bar[block]) for block in learned)
    np.testing.assert_allclose(d_states.sum(), dot(params_bar, d_params), rtol=1e-12)
    # Without a learned state to move, its tangent has no effect.
    for block in learned:
        d_params[block] = d_params[block] + 1
    np.testing.assert_array_equal(cell.jvp(params, trajectory, d_params), d_states)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_adjoint_identity_in_the_initial_state(name, given, rng):
    cell = CELLS[name](3, 4)
    params = draw(cell, rng)
    inputs, weights = rng.normal(size=(3, 2, 3)), rng.normal(size=(3, 2, 4))
    state, d_state = rng.uniform(0.1, 1.0, size=(2, 2, cell.state_size))
    trajectory = cell.forward(params, inputs, state if given else None)
    nothing = {block: np.zeros_like(value) for block, value in params.items()}
    d_states = cell.jvp(params, trajectory, nothing, d_initial_state=d_state)
    forward = np.vdot(weights, d_states)
    bar = np.empty_like(state)
    params_bar, _ = cell.vjp(params, trajectory, weights, initial_state_bar=bar)
    np.testing.assert_allclose(np.vdot(bar, d_state), forward, rtol=1e-12)
    again = np.empty_like(bar)
    cell.squared_vjp(params, trajectory, weights, initial_state_bar=again)
    np.testing.assert_array_equal(again, bar)
    learned = [params_bar[block] for block in params_bar if block.endswith("initial_state")]
    if learned and not given:
        np.testing.assert_allclose(np.concatenate(learned), bar.sum(axis=0), rtol=1e-13)


@pytest.mark.parametrize("name", CELLS)
def test_a_released_trajectory_gives_the_same_gradient_in_less_memory(name, rng):
    cell = CELLS[name](3, 4)
    params, inputs = draw(cell, rng), rng.normal(size=(6, 2, 3))
    kept, released = (cell.forward(params, inputs) for _ in range(2))
    bar = rng.normal(size=(5, *kept.states.shape[1:]))
    cell.release(released)
    expected, _ = cell.vjp(params, kept, bar)
    found, _ = cell.vjp(params, released, bar)
    for block, value in expected.items():
        np.testing.assert_array_equal(found[block], value)
    assert released.nbytes < kept.nbytes


@pytest.mark.parametrize("name", CELLS)
def test_future_inputs_do_not_change_past_states(name, rng):
    cell = CELLS[name](3, 4)
    params = draw(cell, rng)
    inputs = rng.normal(size=(6, 2, 3))
    before = cell.forward(params, inputs).states[:4].copy()
    inputs[4:] += 1
    np.testing.assert_array_equal(cell.forward(params, inputs).states[:4], before)


@pytest.mark.parametrize("name", ["tanh", "multiplicative", "tensor", "lstm", "peepholes", "gru"])
def test_a_vanishing_backward_sweep_has_no_subnormal_numbers(name, rng):
    cell = CELLS[name](2, 20)
    params = {block: value.astype(np.float32) / 8 for block, value in draw(cell, rng).items()}
    trajectory = cell.forward(params, np.ones((150, 8, 2), dtype=np.float32))
    cell.vjp(params, trajectory, rng.normal(size=(1, 8, 20)).astype(np.float32))
    cotangents = trajectory.workspace.get("sweep", ())
    size = np.abs(cotangents)
    assert not np.any((size > 0) & (size < np.finfo(np.float32).tiny))
    assert size[-1].max() > 0
    assert not np.any(size[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flushing_keeps_what_matters(dtype):
    tiny = np.finfo(dtype).tiny
    c = flush_constant(np.dtype(dtype))
    x = np.array([1.0, -1e-15, 3 * tiny, tiny / 4, -tiny], dtype=dtype)
    flushed = (x + c) - c
    np.testing.assert_array_equal(flushed[2:], 0)
    np.testing.assert_allclose(flushed[:2], x[:2], rtol=1e-7)


def test_multiplicative_cell_is_a_tensor_cell_of_low_rank(rng):
    factored, full = MultiplicativeCell(3, 4, 5), TensorCell(3, 4)
    params = draw(factored, rng)
    tensor = {
        "recurrent": np.stack(
            [
                params["factor_to_state"] @ np.diag(gain) @ params["state_to_factor"]
                for gain in params["input_to_factor"].T
            ]
        ),
        **{name: params[name] for name in ("input", "bias", "initial_state")},
    }
    symbols = rng.integers(3, size=(7, 6))
    np.testing.assert_allclose(
        factored.forward(params, symbols).states, full.forward(tensor, symbols).states, rtol=1e-12
    )


@pytest.mark.parametrize("name", CELLS)
def test_a_run_goes_on_from_its_final_state(name, rng):
    cell = CELLS[name](3, 4)
    params = draw(cell, rng)
    inputs = rng.normal(size=(6, 2, 3))
    whole, part = cell.forward(params, inputs), cell.forward(params, inputs[:4])
    rest = cell.forward(params, inputs[4:], part.final_state, states_only=True)
    np.testing.assert_allclose(rest.states, whole.states[4:], rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(rest.final_state, whole.final_state, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("kind", [LSTMCell, GRUCell, MUT1Cell, MUT2Cell, MUT3Cell])
def test_wrong_arguments_of_gated_cells_are_named(kind):
    with pytest.raises(ValueError, match="`n_units` is 0"):
        kind(2, 0)
    with pytest.raises(TypeError, match=r"`n_inputs` is 2\.0"):
        kind(2.0, 3)
    cell = kind(2, 3)
    params = {block: np.zeros(shape) for block, shape in cell.parameter_shapes.items()}
    with pytest.raises(ValueError, match="`inputs` has 3 features, but the cell has 2 inputs"):
        cell.forward(params, np.zeros((4, 1, 3)))


def test_layers_of_a_stack_must_fit():
    with pytest.raises(ValueError, match=r"`cells\[2\]` has 3 inputs, but 4 were expected"):
        StackedCell([LSTMCell(2, 3), GRUCell(3, 4), ElmanCell(3, 1)])
    with pytest.raises(ValueError, match="`cells` is empty"):
        StackedCell([])


def test_forget_bias_must_be_a_number():
    with pytest.raises(TypeError, match="`forget_bias` is 'high'"):
        LSTMCell(2, 3, forget_bias="high")


@pytest.mark.parametrize("kind", [ElmanCell, MultiplicativeCell, TensorCell])
def test_wrong_arguments_are_named(kind, rng):
    with pytest.raises(ValueError, match="`n_units` is 0"):
        kind(2, 0)
    with pytest.raises(TypeError, match=r"`n_inputs` is 2\.0"):
        kind(2.0, 3)
    with pytest.raises(ValueError, match="`activation` is 'sine'"):
        kind(2, 3, activation="sine")
    cell = kind(2, 3)
    params = draw(cell, rng)
    with pytest.raises(ValueError, match="`inputs` has 3 features, but the cell has 2 inputs"):
        cell.forward(params, np.zeros((4, 1, 3)))
    with pytest.raises(ValueError, match="symbols from 0 to 2, but 0 to 1 were expected"):
        cell.forward(params, np.array([[0], [2]]))


def test_unknown_gain_is_named():
    with pytest.raises(ValueError, match="`gain` is 'cubic'"):
        MultiplicativeCell(2, 3, gain="cubic")
