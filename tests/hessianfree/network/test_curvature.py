"""The Gauss-Newton matrix as a SciPy operator, by eigsh and cg, against explicit matrices."""

import numpy as np
import pytest
from scipy.sparse.linalg import cg, eigsh

from hessianfree.batch import Batch
from hessianfree.cells import ElmanCell, GRUCell, LSTMCell, StackedCell
from hessianfree.network import GaussNewtonOperator, SequenceNetwork
from hessianfree.optimize import FunctionObjective, HessianFree, LevenbergMarquardt
from tests.support import reference_nets as plain
from tests.support.objectives import positive_definite

CELLS = {
    "tanh": lambda: ElmanCell(2, 3),
    "lstm": lambda: LSTMCell(2, 2),
    "stack": lambda: StackedCell([GRUCell(2, 2), ElmanCell(2, 1)]),
}


@pytest.fixture(params=CELLS)
def problem(request, rng):
    """A net with a penalty, a point, a batch, and the G and S of the plain net there."""
    network = SequenceNetwork(CELLS[request.param](), 2, "softmax", l2=0.1)
    params = rng.normal(size=network.n_params)
    batch = Batch(rng.normal(size=(4, 5, 2)), rng.integers(2, size=(4, 5)))
    _, matrix, structure = plain.derivatives(network, "softmax", params, batch)
    return network, params, batch, matrix, structure


@pytest.mark.parametrize(("damping", "structural_damping"), [(0, 0), (0.3, 0), (0.3, 0.7)])
def test_eigenvalues_and_solutions_are_those_of_the_explicit_matrix(
    problem, damping, structural_damping, rng
):
    network, params, batch, matrix, structure = problem
    matrix = matrix + damping * np.eye(len(params)) + structural_damping * structure
    operator = network.linearize(params, batch).as_linear_operator(
        damping=damping, structural_damping=structural_damping
    )
    assert (operator.shape, operator.dtype) == (matrix.shape, np.float64)
    np.testing.assert_allclose(operator @ np.eye(len(params)), matrix, rtol=1e-11, atol=1e-12)
    values, vectors = eigsh(operator, k=3, v0=np.ones(len(params)))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix)[-3:], rtol=1e-9)
    np.testing.assert_allclose(matrix @ vectors, vectors * values, rtol=1e-7, atol=1e-9)
    if damping:
        b = rng.normal(size=len(params))
        x, failed = cg(operator, b, rtol=1e-12)
        assert not failed
        np.testing.assert_allclose(x, np.linalg.solve(matrix, b), rtol=1e-8, atol=1e-9)


def test_it_is_its_own_adjoint(problem, rng):
    network, params, batch, matrix, _ = problem
    operator = network.linearize(params, batch).as_linear_operator()
    v = rng.normal(size=(len(params), 1))
    np.testing.assert_allclose(operator.T @ v, matrix @ v, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(operator.H @ v, operator @ v, rtol=0, atol=0)


def test_slices_and_single_precision(problem, rng):
    network, params, batch, matrix, _ = problem
    sliced = SequenceNetwork(network.cell, 2, "softmax", l2=0.1, max_rows=4)
    operator = sliced.linearize(params.astype(np.float32), batch).as_linear_operator(damping=0.5)
    v = rng.normal(size=len(params))
    product = operator @ v
    assert product.dtype == operator.dtype == np.float32
    # A few sums of some ten rounded products each.
    expected = matrix @ v + 0.5 * v
    np.testing.assert_allclose(product, expected, rtol=1e-4, atol=1e-4)


def test_the_step_of_hessian_free_solves_with_it(problem):
    network, params, batch, _, _ = problem
    optimizer = HessianFree(
        LevenbergMarquardt(0.3),
        structural_damping=0.5,
        stopping_rule=lambda _: False,
        first_kept=10**6,  # the last iterate only
    )
    state, _ = optimizer.step(network, optimizer.init(params), batch)
    linearization = network.linearize(params, batch)
    operator = linearization.as_linear_operator(damping=0.3, structural_damping=0.3 * 0.5)
    np.testing.assert_allclose(
        operator @ state.cg_start, -linearization.gradient(), rtol=1e-6, atol=1e-7
    )


def test_plain_functions_and_linearizations_of_ones_own(rng):
    A = positive_definite(6, rng)
    objective = FunctionObjective(lambda x: 0.5 * x @ A @ x, lambda x: A @ x, lambda x, v: A @ v)
    linearization = objective.linearize(np.ones(6))
    for operator in (
        linearization.as_linear_operator(damping=2.0, structural_damping=9.0),
        GaussNewtonOperator(linearization, 6, np.float64, damping=2.0),
    ):
        np.testing.assert_allclose(operator @ np.eye(6), A + 2 * np.eye(6), rtol=1e-14, atol=1e-14)


def test_arguments_are_checked():
    linearization = FunctionObjective(lambda x: 0.0, lambda x: x, lambda x, v: v).linearize(
        np.ones(2)
    )
    with pytest.raises(ValueError, match="`damping` is -1"):
        linearization.as_linear_operator(damping=-1)
    with pytest.raises(ValueError, match="`structural_damping` is -2"):
        linearization.as_linear_operator(structural_damping=-2)
    with pytest.raises(TypeError, match="`x` is of dtype complex128"):
        linearization.as_linear_operator() @ np.array([1j, 0])
    with pytest.raises(ValueError, match=r"[Dd]imension mismatch"):
        linearization.as_linear_operator() @ np.ones(3)
