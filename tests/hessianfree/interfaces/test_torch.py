"""Nets of PyTorch as objectives: against matrices written out, and what they refuse."""

import numpy as np
import pytest

from hessianfree import (
    Adam,
    Batch,
    FreshBatches,
    HessianFree,
    LevenbergMarquardt,
    Minibatches,
    start,
    train,
    train_scipy,
)
from hessianfree.interfaces import TorchObjective
from tests.support.explicit_matrices import (
    LOSSES,
    jacobian,
    loss_hessian,
    loss_value,
    targets_for,
)

torch = pytest.importorskip("torch", reason="needs PyTorch")
nn = torch.nn

TOLERANCE = {np.float64: 1e-7, np.float32: 2e-4}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def small_net(n_outputs=3):
    return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, n_outputs)).double()


def outputs_at(module, params, inputs):
    """Return the outputs of a module whose parameters are set by hand, in their order."""
    start = 0
    with torch.no_grad():
        for part in module.parameters():
            if part.requires_grad:
                piece = params[start : start + part.numel()].reshape(part.shape)
                part.copy_(torch.tensor(piece))
                start += part.numel()
        return module(torch.tensor(inputs)).numpy()


class TestAgainstMatrices:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("loss", LOSSES)
    def test_value_gradient_and_products(self, loss, dtype, rng):
        module, l2 = small_net(), 0.3
        inputs, targets = rng.normal(size=(7, 2)), targets_for(loss, (7, 3), rng)
        objective = TorchObjective(module, loss, l2=l2)
        params = rng.normal(size=objective.n_params)
        weights = np.repeat([1.0, 0.0, 1.0, 0.0], [8, 4, 12, 3])  # W, b, W, b

        def value(at):
            outputs = outputs_at(module, at, inputs)
            return loss_value(loss, outputs, targets) + 0.5 * l2 * (weights * at**2).sum()

        outputs = outputs_at(module, params, inputs)
        J = jacobian(lambda at: outputs_at(module, at, inputs), params)
        G = J.T @ loss_hessian(loss, outputs) @ J + l2 * np.diag(weights)
        gradient = jacobian(lambda at: np.array(value(at)), params)[0]

        given = params.astype(dtype)
        batch = inputs.astype(dtype), targets
        found = objective.linearize(given, batch)
        close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
        assert found.value == pytest.approx(value(params), rel=TOLERANCE[dtype])
        assert objective.value(given, batch) == found.value
        np.testing.assert_allclose(found.gradient(), gradient, **close)
        again, slope = objective.value_and_gradient(given, batch)
        assert again == found.value
        np.testing.assert_allclose(slope, gradient, **close)
        assert found.gradient().dtype == slope.dtype == dtype
        for _ in range(3):
            v = rng.normal(size=len(params))
            product = found.gauss_newton_product(v.astype(dtype))
            np.testing.assert_allclose(product, G @ v, **close)
            assert product.dtype == dtype
        operator = found.as_linear_operator(damping=0.5)
        np.testing.assert_allclose(
            operator @ np.eye(len(params)), G + 0.5 * np.eye(len(params)), **close
        )

    def test_probabilities_as_targets_of_the_softmax(self, rng):
        module, inputs = small_net(), rng.normal(size=(6, 2))
        classes = rng.integers(3, size=6)
        objective = TorchObjective(module, "softmax")
        params = objective.params_from_module()
        by_class = objective.value_and_gradient(params, (inputs, classes))
        by_row = objective.value_and_gradient(params, (inputs, np.eye(3)[classes]))
        assert by_row[0] == pytest.approx(by_class[0])
        np.testing.assert_allclose(by_row[1], by_class[1], atol=1e-12)

    @pytest.mark.parametrize("loss", ["logistic", "softmax", "squared_error"])
    def test_integers_as_targets(self, loss, rng):
        objective = TorchObjective(small_net(), loss)
        params, inputs = objective.params_from_module(), rng.normal(size=(6, 2))
        targets = np.eye(3, dtype=int)[rng.integers(3, size=6)]
        assert objective.value(params, (inputs, targets)) == objective.value(
            params, (inputs, targets.astype(float))
        )

    def test_a_loss_of_ones_own(self, rng):
        module, inputs, targets = small_net(), rng.normal(size=(7, 2)), rng.normal(size=(7, 3))
        objective = TorchObjective(module, lambda z, y: torch.cosh(z - y).mean())
        params = objective.params_from_module()
        outputs = outputs_at(module, params, inputs)
        J = jacobian(lambda at: outputs_at(module, at, inputs), params)
        outputs_at(module, params, inputs)
        residuals = (outputs - targets).ravel()
        found = objective.linearize(params, (inputs, targets))
        assert found.value == pytest.approx(np.cosh(residuals).mean())
        np.testing.assert_allclose(found.gradient(), J.T @ np.sinh(residuals) / 21, atol=1e-8)
        v = rng.normal(size=len(params))
        np.testing.assert_allclose(
            found.gauss_newton_product(v), J.T @ (np.cosh(residuals) / 21 * (J @ v)), atol=1e-7
        )

    def test_a_loss_that_is_linear_in_the_outputs_has_no_curvature(self, rng):
        objective = TorchObjective(small_net(), lambda z, y: (z * y).mean(), l2=0.5)
        params = objective.params_from_module()
        found = objective.linearize(params, (rng.normal(size=(4, 2)), np.ones((4, 3))))
        ones = np.ones(len(params))
        np.testing.assert_allclose(
            found.gauss_newton_product(ones), np.repeat([0.5, 0, 0.5, 0], [8, 4, 12, 3])
        )

    def test_one_number_a_case_is_a_row(self, rng):
        module = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0)).double()
        inputs, targets = rng.normal(size=(5, 2)), rng.normal(size=5)
        objective = TorchObjective(module)
        params = objective.params_from_module()
        residuals = inputs @ params[:2] + params[2] - targets
        expected = 0.5 * (residuals**2).mean()
        assert objective.value(params, (inputs, targets)) == pytest.approx(expected)
        G = np.column_stack([inputs, np.ones(5)])
        G = G.T @ G / 5
        product = objective.linearize(params, (inputs, targets)).gauss_newton_product(params)
        np.testing.assert_allclose(product, G @ params)

    @pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU, nn.TransformerEncoderLayer])
    def test_recurrent_nets_and_attention(self, kind, rng):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                attention = kind is nn.TransformerEncoderLayer
                self.inner = kind(2, 1, 4, dropout=0.0) if attention else kind(2, 2)

            def forward(self, x):
                found = self.inner(x)
                return found[0] if isinstance(found, tuple) else found

        module, inputs = Net().double(), rng.normal(size=(4, 3, 2))
        objective = TorchObjective(module)
        params = objective.params_from_module()
        J = jacobian(lambda at: outputs_at(module, at, inputs), params)
        found = objective.linearize(params, Batch(inputs, np.zeros((4, 3, 2))))
        v = rng.normal(size=len(params))
        np.testing.assert_allclose(
            found.gauss_newton_product(v), J.T @ (J @ v) / 12, rtol=1e-6, atol=1e-7
        )

    # PyTorch's own, at the first use of forward mode.
    @pytest.mark.filterwarnings("ignore:.torch.jit.script.:DeprecationWarning")
    def test_operations_that_have_a_forward_mode_only(self, rng):
        class Once(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                ctx.save_for_forward(x)
                return torch.sin(x)

            @staticmethod
            @torch.autograd.function.once_differentiable
            def backward(ctx, cotangent):
                return cotangent * torch.cos(ctx.saved_tensors[0])

            @staticmethod
            def jvp(ctx, tangent):
                return tangent * torch.cos(ctx.saved_tensors[0])

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = nn.Linear(2, 3)

            def forward(self, x):
                return Once.apply(self.inner(x))

        module, inputs = Net().double(), rng.normal(size=(5, 2))
        objective = TorchObjective(module)
        params = objective.params_from_module()
        J = jacobian(lambda at: outputs_at(module, at, inputs), params)
        found = objective.linearize(params, (inputs, np.zeros((5, 3))))
        v = rng.normal(size=len(params))
        np.testing.assert_allclose(found.gauss_newton_product(v), J.T @ (J @ v) / 5, atol=1e-7)

    def test_the_forward_pass_is_run_once(self, rng):
        module, calls = small_net(), []
        module.register_forward_hook(lambda *_: calls.append(1))
        objective = TorchObjective(module, "softmax")
        params = objective.params_from_module()
        found = objective.linearize(params, (rng.normal(size=(5, 2)), np.zeros(5, dtype=int)))
        for _ in range(4):
            found.gradient()
            found.gauss_newton_product(params)
        assert len(calls) == 1


class TestBatches:
    def test_sequences_with_a_mask(self, rng):
        module = nn.Sequential(nn.Linear(2, 3), nn.Tanh()).double()
        objective = TorchObjective(module)
        params = objective.params_from_module()
        inputs, targets = rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 3, 3))
        mask = rng.uniform(0.5, 2, size=(4, 3))
        mask[0] = mask[2:, 1] = 0
        padded, unread = inputs.copy(), targets.copy()
        padded[2:, 1], unread[mask == 0] = np.nan, np.nan
        losses = 0.5 * ((outputs_at(module, params, inputs) - targets) ** 2).sum(axis=2)
        expected = (mask * losses).sum() / mask.sum()
        batch = Batch(padded, unread, mask)
        assert objective.value(params, batch) == pytest.approx(expected)
        found = objective.linearize(params, batch)
        J = jacobian(lambda at: outputs_at(module, at, inputs), params)
        D = np.repeat(mask.ravel() / mask.sum(), 3)
        v = rng.normal(size=len(params))
        np.testing.assert_allclose(
            found.gauss_newton_product(v), J.T @ (D * (J @ v)), rtol=1e-6, atol=1e-8
        )
        equal = Batch(padded, unread, mask > 0)
        expected = losses[mask > 0].mean()
        own = TorchObjective(module, lambda z, y: 0.5 * (z - y).square().sum(1).mean())
        assert own.value(params, equal) == pytest.approx(expected)
        with pytest.raises(ValueError, match="unequal weights"):
            own.value(params, batch)

    def test_symbols_and_classes(self, rng):
        module = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 4)).double()
        objective = TorchObjective(module, "softmax")
        symbols, classes = rng.integers(5, size=(6, 2)), rng.integers(4, size=(6, 2))
        params = objective.params_from_module()
        logits = params[:15].reshape(5, 3)[symbols] @ params[15:27].reshape(4, 3).T + params[27:]
        expected = loss_value("softmax", logits.reshape(12, 4), classes.ravel())
        assert objective.value(params, Batch(symbols, classes)) == pytest.approx(expected)
        assert objective.value(params, (symbols, classes)) == pytest.approx(expected)

    def test_tensors_and_arrays_that_can_not_be_written(self, rng):
        inputs, targets = rng.normal(size=(6, 2)), rng.normal(size=(6, 3))
        objective = TorchObjective(small_net())
        params = objective.params_from_module()
        expected = objective.value(params, (inputs, targets))
        tensors = torch.tensor(inputs, dtype=torch.float32), torch.tensor(targets)
        assert objective.value(params, tensors) == pytest.approx(expected, rel=1e-6)
        inputs.flags.writeable = targets.flags.writeable = params.flags.writeable = False
        assert objective.value(params, [inputs, targets]) == expected

    def test_minibatches_of_a_pair(self, rng):
        X, y = np.arange(20.0).reshape(10, 2), np.arange(10.0)
        source = Minibatches((X, y), 4, 2)
        seed = np.random.SeedSequence(0)
        seen = [source.batches(i, seed) for i in range(source.iterations_per_epoch)]
        assert sorted(np.concatenate([batch[1] for batch, _ in seen])) == sorted(y)
        for (inputs, targets), (few, of_few) in seen:
            np.testing.assert_array_equal(inputs[:, 0], 2 * targets)
            np.testing.assert_array_equal(few[:, 0], 2 * of_few)
            assert len(few) == 2
            assert set(of_few) <= set(targets)
        with pytest.raises(ValueError, match="`data` is a pair of arrays of shapes"):
            Minibatches((X, y[:-1]))

    def test_tables_are_no_arrays(self, rng):
        pandas = pytest.importorskip("pandas")
        table = pandas.DataFrame(rng.normal(size=(10, 2)))
        with pytest.raises(TypeError, match="a pair of arrays"):
            Minibatches((table, table), 4)

    def test_the_cost_of_a_step_counts_cases(self, rng):
        objective = TorchObjective(small_net())
        optimizer = HessianFree(max_cg_iterations=2)
        data = Minibatches((rng.normal(size=(9, 2)), rng.normal(size=(9, 3))), 9, 3)
        state = start(optimizer, objective.params_from_module())
        last = train(objective, optimizer, data, state, n_iterations=1).history.last
        values = last["passes"] - 1 - last["products"] * 4 / 9
        # The rest are losses of 1/3 on nine cases, and one forward pass on three.
        assert 3 * (values - 1 / 9) == pytest.approx(round(3 * (values - 1 / 9)))


class TestTheModule:
    def test_gets_its_parameters_back(self, rng):
        module = small_net().float()
        objective = TorchObjective(module)
        before = objective.params_from_module()
        assert before.dtype == np.float32
        blocks = [part.detach().numpy().ravel() for part in module.parameters()]
        np.testing.assert_array_equal(before, np.concatenate(blocks))
        assert list(objective.layout.shapes) == ["0.weight", "0.bias", "2.weight", "2.bias"]
        params = rng.normal(size=objective.n_params)
        objective.value_and_gradient(params, (rng.normal(size=(5, 2)), np.ones((5, 3))))
        np.testing.assert_array_equal(objective.params_from_module(), before)
        assert objective.to_module(params) is module
        np.testing.assert_array_equal(objective.params_from_module(), params.astype(np.float32))
        assert all(part.grad is None for part in module.parameters())

    def test_frozen_parameters_stay_and_are_no_part_of_the_vector(self, rng):
        module = small_net().float()
        module[0].requires_grad_(False)
        objective = TorchObjective(module)
        assert objective.n_params == 15
        params = rng.normal(size=15)  # float64, where the frozen ones are float32
        inputs, targets = rng.normal(size=(5, 2)), rng.normal(size=(5, 3))
        W, b = (part.detach().numpy().astype(float) for part in module[0].parameters())
        outputs = np.tanh(inputs @ W.T + b) @ params[:12].reshape(3, 4).T + params[12:]
        expected = loss_value("squared_error", outputs, targets)
        assert objective.value(params, (inputs, targets)) == pytest.approx(expected, rel=1e-12)

    def test_tied_parameters_are_one(self, rng):
        module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Tanh(), nn.Linear(2, 2, bias=False))
        module[2].weight = module[0].weight
        module.double()
        objective = TorchObjective(module)
        assert objective.n_params == 4
        params, inputs = rng.normal(size=4), rng.normal(size=(5, 2))

        def outputs(at):
            W = at.reshape(2, 2)
            return np.tanh(inputs @ W.T) @ W.T

        J = jacobian(outputs, params)
        found = objective.linearize(params, (inputs, np.zeros((5, 2))))
        np.testing.assert_allclose(found.gradient(), J.T @ outputs(params).ravel() / 5, atol=1e-8)
        v = rng.normal(size=4)
        np.testing.assert_allclose(found.gauss_newton_product(v), J.T @ (J @ v) / 5, atol=1e-8)
        objective.to_module(params)
        np.testing.assert_array_equal(module[2].weight.detach().numpy().ravel(), params)

    def test_buffers_are_used_as_they_are(self, rng):
        module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).float()
        module(torch.randn(20, 2))
        mean = module[1].running_mean.clone()
        module.eval()
        objective = TorchObjective(module)
        inputs = rng.normal(size=(5, 2))
        params = objective.params_from_module()
        with torch.no_grad():
            expected = module(torch.tensor(inputs, dtype=torch.float32)).numpy()
        value = objective.value(params, (inputs, expected.astype(float)))
        assert value == pytest.approx(0, abs=1e-12)
        assert objective.value(params.astype(float), (inputs, expected)) < 1e-12
        assert torch.equal(module[1].running_mean, mean)

    @pytest.mark.parametrize(
        "part",
        [
            lambda: nn.Dropout(0.1),
            lambda: nn.BatchNorm1d(3),
            lambda: nn.LSTM(3, 3, num_layers=2, dropout=0.2),
            lambda: nn.TransformerEncoderLayer(3, 1, 4),
            lambda: nn.RReLU(),
        ],
    )
    def test_noise_is_refused_until_eval(self, part, rng):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.second = nn.Linear(2, 3), part()

            def forward(self, x):
                found = self.second(self.first(x))
                return found[0] if isinstance(found, tuple) else found

        module = Net().double()
        objective = TorchObjective(module)
        params, batch = objective.params_from_module(), (rng.normal(size=(4, 2)), np.ones((4, 3)))
        for call in (objective.value, objective.value_and_gradient, objective.linearize):
            with pytest.raises(ValueError, match=r"training mode.*module\.eval\(\)"):
                call(params, batch)
        module.eval()
        assert objective.value(params, batch) == objective.linearize(params, batch).value

    def test_dropout_of_nothing_is_no_noise(self, rng):
        objective = TorchObjective(nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.0)).double())
        params = objective.params_from_module()
        assert np.isfinite(objective.value(params, (rng.normal(size=(4, 2)), np.ones((4, 3)))))


class TestTraining:
    def test_linear_least_squares_in_as_many_iterations_as_parameters(self, rng):
        X, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 1))
        objective = TorchObjective(nn.Linear(4, 1).double())
        solution = np.linalg.lstsq(np.column_stack([X, np.ones(30)]), y, rcond=None)[0].ravel()
        optimizer = HessianFree(
            damping=LevenbergMarquardt(initial=0.0, floor=0.0), max_cg_iterations=5
        )
        state = optimizer.init(objective.params_from_module())
        state, info = optimizer.step(objective, state, (X, y))
        np.testing.assert_allclose(state.params, solution, atol=1e-10)
        assert info["cg_iterations"] <= 5
        module = objective.to_module(state.params)
        np.testing.assert_allclose(module.weight.detach().numpy().ravel(), solution[:4], atol=1e-10)

    @pytest.mark.parametrize("optimizer", [HessianFree(), Adam(0.05)])
    def test_all_optimizers_take_it(self, optimizer, rng):
        X = rng.normal(size=(50, 2))
        y = np.sin(2 * X[:, :1])
        objective = TorchObjective(small_net(n_outputs=1))
        params = objective.params_from_module()
        state = train(
            objective, optimizer, Minibatches((X, y)), start(optimizer, params), n_iterations=200
        )
        assert objective.value(state.params, (X, y)) < 0.05 * objective.value(params, (X, y))

    def test_the_methods_of_scipy_take_it(self, rng):
        X, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 1))
        objective = TorchObjective(nn.Linear(4, 1).double())
        solution = np.linalg.lstsq(np.column_stack([X, np.ones(30)]), y, rcond=None)[0].ravel()
        for method in ("L-BFGS-B", "trust-ncg"):
            state = train_scipy(objective, objective.params_from_module(), (X, y), method=method)
            np.testing.assert_allclose(state.params, solution, atol=1e-3)

    def test_fresh_batches(self, rng):
        def draw(n, rng):
            X = rng.normal(size=(n, 2))
            return X, X @ [[1.0], [-2.0]]

        objective = TorchObjective(nn.Linear(2, 1).double())
        optimizer = HessianFree(damping=LevenbergMarquardt(initial=0.1))
        state = start(optimizer, objective.params_from_module(), 0)
        state = train(objective, optimizer, FreshBatches(draw, 20, 10), state, n_iterations=30)
        np.testing.assert_allclose(state.params, [1, -2, 0], atol=1e-6)


class TestErrors:
    def test_of_the_module(self):
        with pytest.raises(TypeError, match="`module` is the class Linear"):
            TorchObjective(nn.Linear)
        with pytest.raises(TypeError, match="`module` is of type function"):
            TorchObjective(lambda x: x)
        with pytest.raises(ValueError, match="no parameter with `requires_grad`"):
            TorchObjective(nn.Tanh())
        with pytest.raises(ValueError, match=r"float16, torch\.float32"):
            TorchObjective(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).half()))
        with pytest.raises(ValueError, match="shape is not known yet"):
            TorchObjective(nn.LazyLinear(2))

    def test_of_the_loss(self, rng):
        module, batch = small_net(), (rng.normal(size=(4, 2)), np.ones((4, 3)))
        with pytest.raises(ValueError, match="`loss` is 'mse', but one of 'squared_error'"):
            TorchObjective(module, "mse")
        with pytest.raises(TypeError, match="`loss` is the class MSELoss"):
            TorchObjective(module, nn.MSELoss)
        with pytest.raises(ValueError, match="`l2` is -1"):
            TorchObjective(module, l2=-1)
        objective = TorchObjective(module, nn.MSELoss(reduction="none"))
        params = objective.params_from_module()
        with pytest.raises(ValueError, match=r"`loss` gave an array of shape \(4, 3\)"):
            objective.value(params, batch)
        objective = TorchObjective(module, lambda z, y: 1.0)
        with pytest.raises(TypeError, match="`loss` gave a float, but a scalar tensor"):
            objective.linearize(params, batch)

    @pytest.mark.parametrize(
        ("loss", "targets", "message"),
        [
            ("squared_error", np.ones(4), r"`targets` has shape \(4,\), but \(4, 3\)"),
            ("squared_error", np.ones((4, 1)), r"`targets` has shape \(4, 1\)"),
            ("logistic", np.full((4, 3), 1.5), "numbers from 0 to 1"),
            ("softmax", np.arange(4), "holds the class 3, but integers from 0 to 2"),
            ("softmax", np.ones((4, 3)), "probabilities that sum to 1"),
            ("softmax", np.ones((4, 2), dtype=int), "or integer classes"),
            ("squared_error", np.ones((3, 3)), "4 inputs and 3 targets"),
        ],
    )
    def test_of_the_targets(self, loss, targets, message, rng):
        objective = TorchObjective(small_net(), loss)
        params = objective.params_from_module()
        for call in (objective.value, objective.linearize):
            with pytest.raises(ValueError, match=message):
                call(params, (rng.normal(size=(4, 2)), targets))

    def test_of_the_batch(self, rng):
        objective = TorchObjective(small_net())
        params = objective.params_from_module()
        with pytest.raises(TypeError, match="`batch` is of type NoneType, but a pair"):
            objective.value(params, None)
        inputs, targets = rng.normal(size=(4, 2)), rng.normal(size=(4, 3))
        inputs[2, 1] = np.nan
        for call in (objective.value, objective.value_and_gradient, objective.linearize):
            with pytest.raises(ValueError, match="`inputs` of the batch holds nan"):
                call(params, (inputs, targets))
        with pytest.raises(TypeError, match="dtype <U1"):
            objective.value(params, (np.full((4, 2), "a"), targets))
        with pytest.raises(TypeError, match="`params` is of dtype int"):
            objective.value(np.arange(objective.n_params), (targets, targets))

    def test_a_loss_that_overflows_is_a_result(self):
        objective = TorchObjective(nn.Linear(1, 1))
        params = np.full(2, 1e30, dtype=np.float32)
        batch = np.ones((2, 1)), np.ones((2, 1))
        assert objective.value(params, batch) == np.inf
        assert objective.linearize(params, batch).value == np.inf

    def test_outputs_that_are_no_tensor_or_of_another_form(self, rng):
        module = nn.LSTM(2, 3)
        objective = TorchObjective(module)
        params = objective.params_from_module()
        batch = Batch(rng.normal(size=(4, 5, 2)), rng.normal(size=(4, 5, 3)))
        with pytest.raises(TypeError, match="`module` returned a tuple"):
            objective.value(params, batch)
        objective = TorchObjective(nn.Sequential(nn.Linear(2, 3), nn.Flatten()))
        with pytest.raises(ValueError, match="Put time first"):
            objective.value(objective.params_from_module(), batch)
        with pytest.raises(ValueError, match="initial inputs or an initial state"):
            objective.value(
                objective.params_from_module(),
                Batch(batch.inputs, batch.targets, initial_state=np.ones((5, 1))),
            )

    def test_a_net_that_forgets_its_parameters(self, rng):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = nn.Linear(2, 3)

            def forward(self, x):
                return self.inner(x).detach()

        objective = TorchObjective(Net())
        with pytest.raises(ValueError, match="don't depend on the parameters"):
            objective.linearize(
                objective.params_from_module(), (rng.normal(size=(4, 2)), np.ones((4, 3)))
            )
