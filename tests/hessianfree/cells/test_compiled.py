"""Compiled sweeps: those of NumPy to rounding, in strips and whole, and without numba."""

import sys

import numpy as np
import pytest

from hessianfree.batch import Batch
from hessianfree.cells import ElmanCell, MultiplicativeCell, StackedCell, _compiled
from hessianfree.network import SequenceNetwork

CELLS = {
    "tanh": lambda k, n: ElmanCell(k, n),
    "logistic": lambda k, n: ElmanCell(k, n, activation="logistic"),
    "relu": lambda k, n: ElmanCell(k, n, activation="relu"),
    "fixed start": lambda k, n: ElmanCell(k, n, learn_initial_state=False),
    "multiplicative": lambda k, n: MultiplicativeCell(k, n, n + 2),
    "multiplicative relu": lambda k, n: MultiplicativeCell(k, n, activation="relu"),
    "shifted gain": lambda k, n: MultiplicativeCell(k, n, n + 2, gain="shifted_tanh"),
    "stack": lambda k, n: StackedCell([ElmanCell(k, n + 1), MultiplicativeCell(n + 1, n)]),
}
# Steps, sequences, inputs, units.
SIZES = [(1, 1, 1, 1), (1, 4, 3, 5), (7, 1, 2, 5), (6, 20, 3, 33), (9, 3, 4, 40)]


@pytest.fixture(params=[(2**62, 500), (3000, 500), (40, 500), (3000, 1)])
def compiled(request, monkeypatch):
    """Products whole, in strips, of so few numbers that strips would have no columns, and ahead."""
    pytest.importorskip("numba")
    small, wide = request.param
    monkeypatch.setattr(_compiled, "small_product", lambda: small)
    monkeypatch.setattr(_compiled, "WIDE", wide)
    monkeypatch.setattr(_compiled, "FEWEST_UNITS", 1)
    _compiled.load_sweeps.cache_clear()
    yield
    _compiled.load_sweeps.cache_clear()


def without_numba(monkeypatch, function):
    """Return what a function returns where numba is missing."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "hessianfree.cells._kernels", None)
        _compiled.load_sweeps.cache_clear()
        try:
            assert _compiled.load_sweeps("d") is None
            return function()
        finally:
            _compiled.load_sweeps.cache_clear()


def assert_equal_to_rounding(found, expected, dtype):
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    assert len(found) == len(expected)
    for array, plain in zip(found, expected):
        assert array.dtype == dtype
        scale = max(1.0, np.abs(plain).max())
        np.testing.assert_allclose(array / scale, plain / scale, rtol=0, atol=tolerance)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("symbols", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CELLS)
def test_sweeps_are_those_of_numpy(name, size, dtype, symbols, rng, monkeypatch):
    n_steps, n_sequences, n_inputs, n_units = size
    cell = CELLS[name](n_inputs, n_units)
    params, d_params = (
        {
            block: (rng.normal(size=shape) / np.sqrt(n_units)).astype(dtype)
            for block, shape in cell.parameter_shapes.items()
        }
        for _ in range(2)
    )
    shape = (n_steps, n_sequences)
    inputs, d_inputs = rng.normal(size=(2, *shape, n_inputs)).astype(dtype)
    if symbols:
        inputs, d_inputs = rng.integers(n_inputs, size=shape), None
    # As a caller may hand it over: not to be written to, and not contiguous.
    bar = np.asfortranarray(rng.normal(size=(*shape, n_units)).astype(dtype))
    bar.flags.writeable = False
    start, d_start = rng.normal(size=(2, n_sequences, cell.state_size)).astype(dtype)
    damping = np.abs(rng.normal(size=(*shape, 1))).astype(dtype)

    def sweeps():
        found = [cell.forward(params, inputs, start, states_only=True).states]
        for given, d_given in ((None, None), (start, d_start)):
            trajectory = cell.forward(params, inputs, given)
            found.append(trajectory.states.copy())
            found.append(cell.jvp(params, trajectory, d_params, d_inputs, d_given).copy())
            first_bar = np.empty_like(start)
            blocks, inputs_bar = cell.vjp(
                params,
                trajectory,
                bar[n_steps // 2 :],
                damping=damping,
                with_inputs_bar=not symbols,
                initial_state_bar=first_bar,
            )
            found += [first_bar, *(block.copy() for block in blocks.values())]
            if not symbols:
                found.append(inputs_bar.copy())
            squares, _ = cell.squared_vjp(params, trajectory, bar)
            found += [block.copy() for block in squares.values()]
            if name != "stack":
                blocks, _ = cell.vjp(params, trajectory, bar, preactivations_bar=bar)
                found += [block.copy() for block in blocks.values()]
            cell.release(trajectory)
            blocks, _ = cell.vjp(params, trajectory, bar)
            found += list(blocks.values())
        return found

    assert_equal_to_rounding(sweeps(), without_numba(monkeypatch, sweeps), dtype)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("symbols", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", CELLS)
def test_uneven_sequences_and_damping(name, dtype, symbols, rng, monkeypatch):
    cell = CELLS[name](4, 12)
    network = SequenceNetwork(cell, 2, l2=0.01)
    shape = (20, 9)
    mask = (np.arange(20)[:, None] < rng.integers(1, 20, size=9)) * rng.uniform(0.5, 1, shape)
    inputs = rng.integers(4, size=shape) if symbols else rng.normal(size=(*shape, 4))
    batch = Batch(inputs, rng.normal(size=(*shape, 2)), mask)
    params, v = (rng.normal(size=(2, network.n_params)) / 4).astype(dtype)

    def answers():
        linearization = network.linearize(params, batch)
        return [
            network.value_and_gradient(params, batch)[1],
            linearization.gradient(),
            linearization.gauss_newton_product(v),
            linearization.gauss_newton_product(v, 0.3),
            network.fisher_diagonal(params, batch),
            network.predict(params, batch.inputs.astype(dtype) if not symbols else batch.inputs),
        ]

    assert_equal_to_rounding(answers(), without_numba(monkeypatch, answers), dtype)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu"])
def test_what_is_not_a_number_stays(activation, monkeypatch):
    cell = ElmanCell(1, 3, activation=activation)
    params = {block: np.ones(shape) for block, shape in cell.parameter_shapes.items()}
    inputs = np.array([1.0, np.nan, 2.0, -800.0, np.inf])[None, :, None]

    def sweep():
        with np.errstate(invalid="ignore"):
            trajectory = cell.forward(params, inputs)
        return trajectory.states.copy(), trajectory.slopes.copy()

    for found, expected in zip(sweep(), without_numba(monkeypatch, sweep)):
        np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)
