"""Conjugate gradients and optimizers on a device against the host; see the fixture `xp`."""

import dataclasses

import numpy as np
import pytest

from hessianfree.optimize import (
    CHECK_EVERY,
    SGD,
    Adagrad,
    Adam,
    FisherPreconditioner,
    FunctionObjective,
    HessianFree,
    JacobiPreconditioner,
    LevenbergMarquardt,
    Momentum,
    RelativeProgress,
    RMSprop,
    conjugate_gradient,
)
from reservoir.utils.device import is_on_device, to_host
from tests.support.networks_on_device import (
    CELLS,
    TOLERANCE,
    assert_same,
    hessian_free,
    make,
)


def spd(rng, n=40, condition=1e3):
    q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return (q * np.geomspace(1, condition, n)) @ q.T


RUNS = {
    "stopping rule": {"stopping_rule": RelativeProgress(0.01)},
    "stopping rule and start": {"stopping_rule": RelativeProgress(0.01), "start": 1},
    "limit": {"max_iterations": 7},
    "none": {"max_iterations": 0},
    "solved": {"max_iterations": 200},
    "preconditioned": {"max_iterations": 33, "preconditioner": 1},
    "recomputed": {"max_iterations": 23, "recompute_every": 3},
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_conjugate_gradients_end_at_the_same_iteration(stand_in, rng, name, dtype):
    matrix = spd(rng).astype(dtype)
    b, start = rng.standard_normal((2, 40)).astype(dtype)
    diagonal = np.diag(matrix).copy()
    there, d_there = stand_in.asarray(matrix), stand_in.asarray(diagonal)
    settings, settings_there = dict(RUNS[name]), dict(RUNS[name])
    if "start" in settings:
        settings["start"], settings_there["start"] = start, stand_in.asarray(start)
    if "preconditioner" in settings:
        settings["preconditioner"] = lambda r: r / diagonal
        settings_there["preconditioner"] = lambda r: r / d_there
    host = conjugate_gradient(lambda v: matrix @ v, b, **settings)
    stand_in.n_synchronisations = 0
    ours = conjugate_gradient(lambda v: there @ v, stand_in.asarray(b), **settings_there)
    # At the start, and then for a block of iterations each.
    assert stand_in.n_synchronisations <= 5 + -(-host.n_iterations // CHECK_EVERY)
    assert (ours.stop_reason, ours.iterations) == (host.stop_reason, host.iterations)
    assert ours.quadratics == host.quadratics
    assert 0 <= ours.n_products - host.n_products <= 2 * CHECK_EVERY
    for x, x_host in zip(ours.iterates, host.iterates, strict=True):
        np.testing.assert_array_equal(to_host(x), x_host)


@pytest.mark.parametrize("at", [CHECK_EVERY + 1, CHECK_EVERY + 3, 2 * CHECK_EVERY + 1])
@pytest.mark.parametrize("size", [3.0, np.inf])
def test_conjugate_gradients_fall_back(stand_in, rng, size, at):
    """Negative curvature, or infinity, is met within a block: what came before it stays."""
    scales = np.geomspace(1, 100, 40)
    b = rng.standard_normal(40)

    def product(v, scale=None):
        product.n += 1
        curved = v * scale
        return curved if product.n < at else -size * curved

    results = []
    for take in (np.asarray, stand_in.asarray):
        product.n = 0
        scale = take(scales)
        results.append(conjugate_gradient(lambda v, s=scale: product(v, s), take(b)))
    host, ours = results
    assert host.n_iterations == at - 1
    assert ours.stop_reason == host.stop_reason
    assert ours.quadratics == host.quadratics
    assert ours.iterations == host.iterations
    np.testing.assert_array_equal(to_host(ours.iterates[-1]), host.iterates[-1])


PRECONDITIONERS = [None, FisherPreconditioner(), JacobiPreconditioner(2)]


@pytest.mark.parametrize("cell", CELLS)
def test_the_stand_in_computes_bit_for_bit(stand_in, rng, cell):
    """NumPy does both: whatever differs, real inputs given, would be a difference in the code."""
    network, on_device, params, batch = make(cell, "softmax", rng, dtype="float32")
    v = rng.standard_normal(len(params)).astype("float32")
    there = stand_in.asarray(params), stand_in.asarray(v)
    np.testing.assert_array_equal(
        to_host(on_device.linearize(there[0], batch).gauss_newton_product(there[1], 0.1)),
        network.linearize(params, batch).gauss_newton_product(v, 0.1),
    )
    optimizer = hessian_free()
    state, ours = optimizer.init(params), optimizer.init(params)
    for _ in range(2):
        state, info = optimizer.step(network, state, batch)
        ours, our_info = optimizer.step(on_device, ours, batch)
    np.testing.assert_array_equal(to_host(ours.params), state.params)
    passes = "products", "passes", "sequence_gradients"
    assert {k: our_info[k] for k in info if k not in passes} == {
        k: info[k] for k in info if k not in passes
    }


@pytest.mark.parametrize("preconditioner", PRECONDITIONERS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("cell", ["multiplicative", "elman", "gru"])
def test_hessian_free_steps(xp, rng, preconditioner, dtype, cell):
    network, on_device, params, batch = make(cell, "softmax", rng, symbols=True, dtype=dtype)
    other = make(cell, "softmax", rng, symbols=True, dtype=dtype)[-1]
    # A few iterations: conjugate gradients lose about a digit of two sums in each.
    optimizer = hessian_free(max_cg_iterations=CHECK_EVERY + 1, preconditioner=preconditioner)
    state, ours = optimizer.init(params), optimizer.init(params)
    for batches in ((batch,), (other, batch)):
        state, info = optimizer.step(network, state, *batches)
        ours, our_info = optimizer.step(on_device, ours, *batches)
        assert is_on_device(ours.params)
        assert is_on_device(ours.cg_start)
        loss = 100 * TOLERANCE[dtype]
        np.testing.assert_allclose(to_host(ours.params), state.params, rtol=loss, atol=loss)
        assert our_info["cg_stop"] == info["cg_stop"]
        assert our_info["accepted"]
        assert our_info["cg_iterations"] == info["cg_iterations"]
        assert our_info["new_loss"] == pytest.approx(info["new_loss"], rel=TOLERANCE[dtype])
        assert all(isinstance(value, float | int | str) for value in our_info.values())


def test_a_step_moves_batches_and_parameters_once(stand_in, rng):
    _, network, params, batch = make("multiplicative", "softmax", rng, symbols=True)
    optimizer = hessian_free()
    state, _ = optimizer.step(network, optimizer.init(params), batch)
    stand_in.n_transfers = stand_in.n_synchronisations = 0
    _, info = optimizer.step(network, state, batch)
    # Numbers of conjugate gradients, a block at a time; nothing else crosses.
    assert stand_in.n_transfers == -(-info["cg_iterations"] // CHECK_EVERY)


FIRST_ORDER = [
    SGD(0.1, clip_norm=0.5),
    SGD(0.1, clip_value=0.01),
    Momentum(0.1),
    Momentum(0.1, nesterov=False),
    Adagrad(0.1),
    RMSprop(0.01, momentum=0.5),
    Adam(0.01),
]


@pytest.mark.parametrize("optimizer", FIRST_ORDER, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_first_order_steps(xp, rng, optimizer, dtype):
    network, on_device, params, batch = make("lstm", "softmax", rng, dtype=dtype)
    state, ours = optimizer.init(params), optimizer.init(xp.asarray(params))
    for _ in range(3):
        state, info = optimizer.step(network, state, batch)
        ours, our_info = optimizer.step(on_device, ours, batch)
    for field in dataclasses.fields(state):
        value, our_value = getattr(state, field.name), getattr(ours, field.name)
        if isinstance(value, np.ndarray):
            assert_same(our_value, value, dtype)
        else:
            assert our_value == value
    assert our_info["accepted"]
    assert our_info["clipped"] == info["clipped"]
    assert our_info["gradient_norm"] == pytest.approx(info["gradient_norm"], rel=1e-4)


def test_functions_of_the_user_may_be_on_a_device(xp):
    scales = xp.asarray([1.0, 10.0])
    quadratic = FunctionObjective(
        value=lambda x: 0.5 * x @ (scales * x) - x.sum(),
        gradient=lambda x: scales * x - 1,
        product=lambda x, v: scales * v,
    )
    optimizer = HessianFree(LevenbergMarquardt(initial=0.0, floor=0.0))
    state, info = optimizer.step(quadratic, optimizer.init(xp.zeros(2)))
    np.testing.assert_allclose(to_host(state.params), [1, 0.1], rtol=1e-12)
    assert info["cg_stop"] == "solved"
