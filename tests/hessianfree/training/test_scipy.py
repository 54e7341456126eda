"""SciPy's minimizers on networks: known minima, resuming, callbacks, errors."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der, rosen_hess_prod
from sklearn.linear_model import LogisticRegression

from hessianfree.batch import Batch
from hessianfree.cells import ElmanCell
from hessianfree.network import SequenceNetwork
from hessianfree.optimize import FunctionObjective
from hessianfree.training import METHODS, train_scipy
from tests.support.objectives import (
    Cases,
    Logistic,
    positive_definite,
    quadratic,
)

ROSENBROCK = FunctionObjective(rosen, rosen_der, rosen_hess_prod)


def tiny_net(rng, dtype=np.float64):
    network = SequenceNetwork(ElmanCell(1, 4), n_outputs=1, l2=1e-3)
    inputs = rng.uniform(-1, 1, size=(6, 10, 1))
    targets = np.roll(inputs, 1, axis=0)
    targets[0] = 0
    params = 0.5 * rng.standard_normal(network.n_params)
    return network, Batch(inputs, targets), params.astype(dtype)


def exact(method, gtol):
    """Options to go on until the gradient is that small; L-BFGS-B also looks at the loss."""
    return {"gtol": gtol, **({"ftol": 0.0} if method == "L-BFGS-B" else {})}


@pytest.mark.parametrize("method", METHODS)
class TestSolutions:
    def test_quadratic(self, method, rng):
        A, b = positive_definite(8, rng), rng.standard_normal(8)
        state = train_scipy(
            quadratic(A, b), np.zeros(8), method=method, options=exact(method, 1e-9)
        )
        np.testing.assert_allclose(state.params, np.linalg.solve(A, b), rtol=1e-4, atol=1e-6)
        assert state.stop_reason == "converged"

    def test_logistic_regression(self, method, rng):
        X = rng.standard_normal((200, 5))
        y = (X @ rng.standard_normal(5) + rng.standard_normal(200) > 0).astype(float)
        penalty = 0.02
        state = train_scipy(
            Logistic(penalty), np.zeros(5), Cases(X, y), method=method, options=exact(method, 1e-8)
        )
        sklearn = LogisticRegression(C=1 / (200 * penalty), fit_intercept=False, tol=1e-9)
        np.testing.assert_allclose(state.params, sklearn.fit(X, y).coef_[0], rtol=1e-4, atol=1e-5)

    def test_tiny_net(self, method, rng):
        network, batch, params = tiny_net(rng)
        state = train_scipy(network, params, batch, method=method, n_iterations=60)
        before, gradient_before = network.value_and_gradient(params, batch)
        after, gradient_after = network.value_and_gradient(state.params, batch)
        assert state.history["new_loss"][-1] == pytest.approx(after, rel=1e-12)
        assert after < 0.05 * before
        assert np.linalg.norm(gradient_after) < 0.02 * np.linalg.norm(gradient_before)

    def test_as_scipy_alone(self, method):
        """The same iterates as `minimize` with the plain functions."""
        path = []
        minimize(
            rosen, [-1.2, 1.0], jac=rosen_der, method=method, callback=lambda x: path.append(x),
            **({"hessp": rosen_hess_prod} if METHODS[method] else {}),
        )  # fmt: skip
        seen = []
        state = train_scipy(
            ROSENBROCK, np.array([-1.2, 1.0]), method=method,
            callback=lambda state: seen.append(state.params),
        )  # fmt: skip
        np.testing.assert_array_equal(seen, path)
        assert len(state.history) == state.iteration == len(path)

    def test_counts_what_it_asked_for(self, method, rng):
        """Forward passes, backward passes and products, counted by the objective itself."""
        network, batch, params = tiny_net(rng)
        calls = {"values": 0, "gradients": 0, "products": 0}

        class Counting:
            def linearize(self, params, batch):
                calls["values"] += 1
                inner = network.linearize(params, batch)
                gradient, product = inner.gradient, inner.gauss_newton_product

                def counted_gradient():
                    calls["gradients"] += 1
                    return gradient()

                def counted_product(v):
                    calls["products"] += 1
                    return product(v)

                inner.gradient, inner.gauss_newton_product = counted_gradient, counted_product
                return inner

        noted = []
        state = train_scipy(
            Counting(), params, batch, method=method, n_iterations=12,
            callback=lambda state: noted.append(dict(calls)),
        )  # fmt: skip
        history = state.history
        for name in calls:
            np.testing.assert_array_equal(
                history[name].cumsum(), [counts[name] for counts in noted]
            )
        assert (history["products"].sum() > 0) == METHODS[method]
        expected = (history["values"] + 2 * history["gradients"] + 4 * history["products"]) / 3
        np.testing.assert_allclose(history["passes"], expected)
        np.testing.assert_allclose(history["sequence_gradients"], 10 * expected)

    def test_history(self, method, rng, tmp_path):
        network, batch, params = tiny_net(rng)
        state = train_scipy(
            network, params, batch, method=method, n_iterations=5, log=tmp_path / "run.jsonl"
        )
        history = state.history
        assert (len(history), state.iteration, state.stop_reason) == (5, 5, "n_iterations")
        value, gradient = network.value_and_gradient(params, batch)
        assert history["loss"][0] == pytest.approx(value, rel=1e-12)
        assert history["gradient_norm"][0] == pytest.approx(np.linalg.norm(gradient), rel=1e-12)
        np.testing.assert_array_equal(history["loss"][1:], history["new_loss"][:-1])
        assert np.all(history["seconds"] > 0)
        rows = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
        assert rows == [history.row(i) for i in range(5)]

    def test_stops_when_told(self, method, rng):
        network, batch, params = tiny_net(rng)
        state = train_scipy(
            network, params, batch, method=method, callback=lambda state: state.iteration == 3
        )
        assert (state.iteration, state.stop_reason) == (3, "callback")

    def test_float32(self, method, rng):
        network, batch, params = tiny_net(rng, np.float32)
        kept = params.copy()
        state = train_scipy(network, params, batch, method=method, n_iterations=20)
        assert state.params.dtype == np.float32
        assert state.history["new_loss"][-1] < 0.5 * state.history["loss"][0]
        np.testing.assert_array_equal(params, kept)


def test_refused_steps_of_a_trust_region_cost_no_second_pass():
    """From far away on Rosenbrock's valley some are refused: x stays, and is not run again."""
    state = train_scipy(ROSENBROCK, np.array([-1.2, 1.0]), method="trust-ncg")
    refused = state.history["step_norm"] == 0
    assert refused.any()
    np.testing.assert_array_equal(state.history["values"][1:], 1)
    np.testing.assert_array_equal(state.history["gradients"][1:], ~refused[1:])


def test_control_c_keeps_the_last_iteration(rng, tmp_path):
    network, batch, params = tiny_net(rng)

    def interrupt(state):
        if state.iteration == 4:
            raise KeyboardInterrupt

    state = train_scipy(network, params, batch, callback=interrupt, log=tmp_path / "run.jsonl")
    assert (state.iteration, len(state.history), state.stop_reason) == (4, 4, "interrupted")
    assert len((tmp_path / "run.jsonl").read_text().splitlines()) == 4


def test_progress_and_errors(rng, capsys):
    network, batch, params = tiny_net(rng)
    for progress in (False, True):
        train_scipy(network, params, batch, n_iterations=2, progress=progress)
        shown = capsys.readouterr()
        assert ("2/2" in shown.err and "loss" in shown.err) == progress
    with pytest.raises(ValueError, match="`method` is 'powell', but one of 'L-BFGS-B', 'trust-nc"):
        train_scipy(network, params, batch, method="powell")
    with pytest.raises(ValueError, match="`n_iterations` is -1"):
        train_scipy(network, params, batch, n_iterations=-1)
    state = train_scipy(network, params, batch, n_iterations=0)
    assert (state.iteration, len(state.history)) == (0, 0)
    with pytest.raises(ValueError, match="`params` has shape"):
        train_scipy(network, params[None], batch)
