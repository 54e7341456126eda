"""Nets of JAX as objectives: against matrices written out, and what they refuse."""

import numpy as np
import pytest

from hessianfree import (
    Adam,
    Batch,
    HessianFree,
    LevenbergMarquardt,
    Minibatches,
    start,
    train,
    train_scipy,
)
from hessianfree.interfaces import JaxObjective
from tests.support.explicit_matrices import (
    LOSSES,
    jacobian,
    loss_hessian,
    loss_value,
    targets_for,
)

pytest.importorskip("jax", reason="needs JAX")

TOLERANCE = {np.float64: 1e-7, np.float32: 2e-4}
SHAPES = {"W": (2, 4), "b": (4,), "out": (4, 3)}
WEIGHTS = np.repeat([1.0, 0.0, 1.0], [8, 4, 12])


def net(params, inputs):
    import jax.numpy as jnp

    return jnp.tanh(inputs @ params["W"] + params["b"]) @ params["out"]


def zeros(dtype=np.float64):
    return {name: np.zeros(shape, dtype) for name, shape in SHAPES.items()}


def linear(params, inputs):
    return inputs @ params


def outputs_at(flat, inputs):
    W, b, out = flat[:8].reshape(2, 4), flat[8:12], flat[12:].reshape(4, 3)
    return np.tanh(inputs @ W + b) @ out


@pytest.mark.usefixtures("jax")
class TestAgainstMatrices:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("loss", LOSSES)
    def test_value_gradient_and_products(self, loss, dtype, rng):
        l2 = 0.3
        inputs, targets = rng.normal(size=(7, 2)), targets_for(loss, (7, 3), rng)
        objective = JaxObjective(net, zeros(), loss, l2=l2)
        params = rng.normal(size=objective.n_params)

        def value(at):
            data = loss_value(loss, outputs_at(at, inputs), targets)
            return data + 0.5 * l2 * (WEIGHTS * at**2).sum()

        J = jacobian(lambda at: outputs_at(at, inputs), params)
        H = loss_hessian(loss, outputs_at(params, inputs))
        G = J.T @ H @ J + l2 * np.diag(WEIGHTS)
        gradient = jacobian(lambda at: np.array(value(at)), params)[0]

        given = params.astype(dtype)
        batch = inputs.astype(dtype), targets
        found = objective.linearize(given, batch)
        close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
        assert found.value == pytest.approx(value(params), rel=TOLERANCE[dtype])
        assert objective.value(given, batch) == pytest.approx(found.value, rel=1e-6)
        np.testing.assert_allclose(found.gradient(), gradient, **close)
        again, slope = objective.value_and_gradient(given, batch)
        assert again == pytest.approx(found.value, rel=1e-6)
        np.testing.assert_allclose(slope, gradient, **close)
        assert found.gradient().dtype == slope.dtype == dtype
        for _ in range(3):
            v = rng.normal(size=len(params))
            product = found.gauss_newton_product(v.astype(dtype))
            np.testing.assert_allclose(product, G @ v, **close)
            assert product.dtype == dtype
        operator = found.as_linear_operator(damping=0.5)
        v = rng.normal(size=len(params))
        np.testing.assert_allclose(operator @ v, G @ v + 0.5 * v, **close)

    def test_a_loss_of_ones_own(self, jax, rng):
        inputs, targets = rng.normal(size=(7, 2)), rng.normal(size=(7, 3))
        objective = JaxObjective(net, zeros(), lambda z, y: jax.numpy.cosh(z - y).mean())
        params = rng.normal(size=objective.n_params)
        J = jacobian(lambda at: outputs_at(at, inputs), params)
        residuals = (outputs_at(params, inputs) - targets).ravel()
        found = objective.linearize(params, (inputs, targets))
        assert found.value == pytest.approx(np.cosh(residuals).mean())
        np.testing.assert_allclose(found.gradient(), J.T @ np.sinh(residuals) / 21, atol=1e-7)
        v = rng.normal(size=len(params))
        np.testing.assert_allclose(
            found.gauss_newton_product(v), J.T @ (np.cosh(residuals) / 21 * (J @ v)), atol=1e-6
        )

    def test_sequences_with_a_mask(self, rng):
        objective = JaxObjective(net, zeros())
        params = rng.normal(size=objective.n_params)
        inputs, targets = rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 3, 3))
        mask = rng.uniform(0.5, 2, size=(4, 3))
        mask[0] = mask[2:, 1] = 0
        padded, unread = inputs.copy(), targets.copy()
        padded[2:, 1], unread[mask == 0] = np.nan, np.nan
        losses = 0.5 * ((outputs_at(params, inputs) - targets) ** 2).sum(axis=2)
        batch = Batch(padded, unread, mask)
        found = objective.linearize(params, batch)
        assert found.value == pytest.approx((mask * losses).sum() / mask.sum())
        J = jacobian(lambda at: outputs_at(at, inputs), params)
        D = np.repeat(mask.ravel() / mask.sum(), 3)
        v = rng.normal(size=len(params))
        np.testing.assert_allclose(
            found.gauss_newton_product(v), J.T @ (D * (J @ v)), rtol=1e-6, atol=1e-7
        )
        own = JaxObjective(net, zeros(), lambda z, y: 0.5 * ((z - y) ** 2).sum(axis=1).mean())
        assert own.value(params, Batch(padded, unread, mask > 0)) == pytest.approx(
            losses[mask > 0].mean()
        )
        with pytest.raises(ValueError, match="unequal weights"):
            own.value(params, batch)

    def test_each_shape_is_compiled_once_and_the_forward_pass_run_once(self, jax, rng):
        runs = []

        def counted(params, inputs):
            jax.debug.callback(lambda: runs.append("run"))
            runs.append("trace")
            return net(params, inputs)

        objective = JaxObjective(counted, zeros(), "softmax")
        batch = rng.normal(size=(5, 2)), rng.integers(3, size=5)
        for i in range(3):
            params = rng.normal(size=objective.n_params)
            found = objective.linearize(params, batch)
            found.gradient()
            for _ in range(4):
                found.gauss_newton_product(params)
            jax.effects_barrier()
            # One trace for the shape of the outputs, and one for the linearization.
            assert runs.count("trace") == 2
            assert runs.count("run") == i + 1


@pytest.mark.usefixtures("jax")
class TestTheTree:
    def test_there_and_back(self, jax, rng):
        tree = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
        objective = JaxObjective(net, tree)
        flat = objective.params_from_tree()
        np.testing.assert_array_equal(flat, np.concatenate([a.ravel() for a in tree.values()]))
        assert list(objective.layout.shapes.values()) == list(SHAPES.values())
        back = objective.to_tree(2 * flat)
        for name, block in tree.items():
            assert isinstance(back[name], jax.Array)
            np.testing.assert_array_equal(back[name], 2 * block)
        np.testing.assert_array_equal(objective.params_from_tree(back), 2 * flat)
        flat[:] = 0
        assert objective.params_from_tree().any()
        with pytest.raises(ValueError, match="`params` has the structure"):
            objective.params_from_tree({"W": tree["W"]})

    def test_a_bare_array_is_a_tree(self, rng):
        objective = JaxObjective(linear, np.zeros((2, 1)))
        X = rng.normal(size=(5, 2))
        params = np.array([1.0, 2.0])
        expected = 0.5 * ((X @ params) ** 2).mean()
        assert objective.value(params, (X, np.zeros((5, 1)))) == pytest.approx(expected)


@pytest.mark.usefixtures("jax")
class TestTraining:
    def test_linear_least_squares_in_as_many_iterations_as_parameters(self, rng):
        X, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 1))
        solution = np.linalg.lstsq(X, y, rcond=None)[0].ravel()
        objective = JaxObjective(linear, np.zeros((4, 1)))
        optimizer = HessianFree(
            damping=LevenbergMarquardt(initial=0.0, floor=0.0), max_cg_iterations=4
        )
        state, info = optimizer.step(
            objective, optimizer.init(objective.params_from_tree()), (X, y)
        )
        np.testing.assert_allclose(state.params, solution, atol=1e-10)
        assert info["cg_iterations"] <= 4
        state = train_scipy(objective, np.zeros(4), (X, y), method="trust-ncg")
        np.testing.assert_allclose(state.params, solution, atol=1e-3)

    @pytest.mark.parametrize("optimizer", [HessianFree(), Adam(0.05)])
    def test_all_optimizers_take_it(self, optimizer, rng):
        X = rng.normal(size=(50, 2))
        y = np.sin(X @ rng.normal(size=(2, 3)))
        tree = {name: 0.5 * rng.normal(size=shape) for name, shape in SHAPES.items()}
        objective = JaxObjective(net, tree)
        params = objective.params_from_tree()
        state = train(
            objective, optimizer, Minibatches((X, y)), start(optimizer, params), n_iterations=200
        )
        assert objective.value(state.params, (X, y)) < 0.05 * objective.value(params, (X, y))


class TestErrors:
    def test_float64_where_jax_would_make_float32_of_it(self, jax, rng):
        jax.config.update("jax_enable_x64", False)
        with pytest.raises(ValueError, match="jax_enable_x64"):
            JaxObjective(net, zeros())
        objective = JaxObjective(net, zeros(np.float32))
        batch = rng.normal(size=(4, 2)), np.ones((4, 3))
        params = objective.params_from_tree()
        assert objective.value(params, batch) == 1.5
        for call in (objective.value, objective.value_and_gradient, objective.linearize):
            with pytest.raises(ValueError, match="jax_enable_x64"):
                call(params.astype(float), batch)
        with pytest.raises(ValueError, match="jax_enable_x64"):
            objective.to_tree(params.astype(float))

    def test_of_the_function_and_its_parameters(self, jax, rng):
        with pytest.raises(TypeError, match="`function` is of type int"):
            JaxObjective(1, zeros())
        with pytest.raises(ValueError, match="`params` has no numbers"):
            JaxObjective(net, {})
        with pytest.raises(ValueError, match="`params` has leaves of float32 and float64"):
            JaxObjective(net, zeros() | {"b": np.zeros(4, np.float32)})
        with pytest.raises(TypeError, match="leaf that is of dtype int"):
            JaxObjective(net, zeros() | {"b": np.zeros(4, int)})
        with pytest.raises(TypeError, match="leaf that is a float"):
            JaxObjective(net, zeros() | {"b": 1.0})
        batch = rng.normal(size=(4, 2)), np.ones((4, 3))
        objective = JaxObjective(lambda params, x: (net(params, x), x), zeros())
        with pytest.raises(TypeError, match="`function` returned a tuple"):
            objective.value(objective.params_from_tree(), batch)

    def test_of_the_loss(self, rng):
        with pytest.raises(ValueError, match="`loss` is 'mse', but one of 'squared_error'"):
            JaxObjective(net, zeros(), "mse")

    def test_of_a_loss_that_is_no_number(self, jax, rng):
        objective = JaxObjective(net, zeros(), lambda z, y: (z - y) ** 2)
        batch = rng.normal(size=(4, 2)), np.ones((4, 3))
        with pytest.raises(ValueError, match=r"`loss` gave an array of shape \(4, 3\)"):
            objective.value(objective.params_from_tree(), batch)

    @pytest.mark.parametrize(
        ("loss", "targets", "message"),
        [
            ("squared_error", np.ones(4), r"`targets` has shape \(4,\), but \(4, 3\)"),
            ("softmax", np.arange(4), "holds the class 3, but integers from 0 to 2"),
            ("squared_error", np.ones((3, 3)), "4 inputs and 3 targets"),
            ("squared_error", np.full((4, 3), np.inf), "`targets` of the batch holds inf"),
        ],
    )
    def test_of_the_targets(self, loss, targets, message, jax, rng):
        objective = JaxObjective(net, zeros(), loss)
        for call in (objective.value, objective.linearize):
            with pytest.raises(ValueError, match=message):
                call(objective.params_from_tree(), (rng.normal(size=(4, 2)), targets))
