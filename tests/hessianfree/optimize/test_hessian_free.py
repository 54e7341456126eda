"""HessianFree: quadratics in one step, Rosenbrock, damping, line search, trouble, cost."""

import json
import math
from dataclasses import replace
from typing import get_type_hints

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from hessianfree.optimize import (
    SGD,
    BacktrackingLineSearch,
    ConjugateGradientStop,
    FirstOrderInfo,
    FisherPreconditioner,
    FunctionObjective,
    HessianFree,
    HessianFreeInfo,
    HessianFreeState,
    JacobiPreconditioner,
    LevenbergMarquardt,
    QuadraticModel,
    backtrack,
    reduction_ratio,
)
from tests.support.objectives import (
    ROSENBROCK,
    Cases,
    Logistic,
    positive_definite,
    quadratic,
)

UNDAMPED = LevenbergMarquardt(initial=0.0, floor=0.0)


@pytest.fixture
def cases(rng):
    X = rng.standard_normal((300, 8))
    y = (X @ rng.standard_normal(8) + rng.standard_normal(300) > 0).astype(float)
    return Cases(X, y)


def run(optimizer, objective, start, n_steps, *batches):
    state = optimizer.init(np.asarray(start, dtype=float))
    infos = []
    for _ in range(n_steps):
        state, info = optimizer.step(objective, state, *batches)
        infos.append(info)
    return state, infos


class TestQuadratic:
    @pytest.mark.parametrize(
        "preconditioner", [None, JacobiPreconditioner(), JacobiPreconditioner(n_probes=None)]
    )
    def test_one_undamped_step_is_newtons(self, preconditioner, rng):
        A, b, start = positive_definite(12, rng), rng.standard_normal(12), rng.standard_normal(12)
        optimizer = HessianFree(
            damping=UNDAMPED, stopping_rule=lambda _: False, preconditioner=preconditioner
        )
        state, (info,) = run(optimizer, quadratic(A, b), start, 1)
        np.testing.assert_allclose(state.params, np.linalg.solve(A, b), rtol=1e-8)
        assert info["step_size"] == 1
        assert info["reduction_ratio"] == pytest.approx(1)
        assert info["cg_stop"] == "solved"

    def test_a_damped_step_solves_the_damped_system(self, rng):
        A, b, start = positive_definite(12, rng), rng.standard_normal(12), rng.standard_normal(12)
        optimizer = HessianFree(
            damping=LevenbergMarquardt(initial=3.0), stopping_rule=lambda _: False
        )
        state, (info,) = run(optimizer, quadratic(A, b), start, 1)
        step = np.linalg.solve(A + 3 * np.eye(12), b - A @ start)
        np.testing.assert_allclose(state.params, start + step, rtol=1e-8)
        assert info["damping"] == 3
        assert info["step_norm"] == pytest.approx(np.linalg.norm(step))

    @pytest.mark.parametrize("ratio_model", ["undamped", "damped"])
    def test_logged_numbers_are_those_of_the_definitions(self, ratio_model, rng):
        A, b, start = positive_definite(12, rng), rng.standard_normal(12), rng.standard_normal(12)
        objective = quadratic(A, b)
        optimizer = HessianFree(
            damping=LevenbergMarquardt(initial=3.0), max_cg_iterations=6, ratio_model=ratio_model
        )
        state = optimizer.init(start)
        for _ in range(3):
            new_state, info = optimizer.step(objective, state)
            step = new_state.params - state.params
            gradient = A @ state.params - b
            model = gradient @ step + 0.5 * step @ A @ step
            damped = model + 0.5 * state.damping * step @ step
            assert info["step_size"] == 1
            assert info["loss"] == pytest.approx(objective.value(state.params))
            assert info["new_loss"] == pytest.approx(objective.value(new_state.params))
            assert info["gradient_norm"] == pytest.approx(np.linalg.norm(gradient))
            assert info["quadratic"] == pytest.approx(damped)
            # f is its own model, so f(θ + δ) - f(θ) is the undamped one.
            expected = 1 if ratio_model == "undamped" else model / damped
            assert info["reduction_ratio"] == pytest.approx(expected)
            state = new_state

    def test_float32_stays_float32(self, rng):
        A, b = positive_definite(12, rng).astype("f"), rng.standard_normal(12).astype("f")
        optimizer = HessianFree(preconditioner=JacobiPreconditioner())
        state = optimizer.init(np.zeros(12, dtype=np.float32))
        for _ in range(60):
            state, _ = optimizer.step(quadratic(A, b), state)
            assert state.params.dtype == state.cg_start.dtype == np.float32
        np.testing.assert_allclose(state.params, np.linalg.solve(A, b), rtol=1e-3, atol=1e-4)

    def test_state_is_not_changed_by_a_step(self, rng):
        A, b = positive_definite(5, rng), rng.standard_normal(5)
        optimizer = HessianFree()
        state, _ = optimizer.step(quadratic(A, b), optimizer.init(np.ones(5)))
        before = replace(state, params=state.params.copy(), cg_start=state.cg_start.copy())
        first, _ = optimizer.step(quadratic(A, b), state)
        second, _ = optimizer.step(quadratic(A, b), state)
        np.testing.assert_array_equal(state.params, before.params)
        np.testing.assert_array_equal(state.cg_start, before.cg_start)
        np.testing.assert_array_equal(first.params, second.params)

    def test_the_exact_diagonal_solves_a_diagonal_problem_in_one_iteration(self, rng):
        A, b = np.diag(np.logspace(-2, 2, 12)), rng.standard_normal(12)
        optimizer = HessianFree(preconditioner=JacobiPreconditioner(n_probes=None))
        _, (info,) = run(optimizer, quadratic(A, b), np.zeros(12), 1)
        assert (info["cg_iterations"], info["cg_stop"]) == (1, "solved")
        assert info["products"] == 12 + 1

    def test_warm_start_is_the_decayed_last_iterate(self, rng):
        A, b = positive_definite(5, rng), rng.standard_normal(5)
        optimizer = HessianFree(damping=UNDAMPED, max_cg_iterations=1)
        state, _ = optimizer.step(quadratic(A, b), optimizer.init(np.zeros(5)))
        starts = []

        def product(x, v):
            starts.append(v.copy())
            return A @ v

        recorded = FunctionObjective(lambda x: 0.0, lambda x: A @ x - b, product)
        optimizer.step(recorded, state)
        np.testing.assert_allclose(starts[0], 0.95 * state.cg_start)
        np.testing.assert_allclose(state.cg_start, state.params)

    def test_info_has_the_keys_of_its_type(self, rng):
        A, b = positive_definite(5, rng), rng.standard_normal(5)
        _, info = HessianFree().step(quadratic(A, b), HessianFree().init(np.ones(5)))
        assert info.keys() == get_type_hints(HessianFreeInfo).keys()
        _, info = SGD().step(quadratic(A, b), SGD().init(np.ones(5)))
        assert info.keys() | {"momentum"} == get_type_hints(FirstOrderInfo).keys()

    def test_reasons_to_stop_equal_their_strings(self, rng):
        A, b = positive_definite(5, rng), rng.standard_normal(5)
        optimizer = HessianFree(max_cg_iterations=1)
        _, info = optimizer.step(quadratic(A, b), optimizer.init(np.ones(5)))
        assert info["cg_stop"] is ConjugateGradientStop.MAX_ITERATIONS
        assert {info["cg_stop"]: 1}["max_iterations"] == 1
        assert json.dumps(info["cg_stop"]) == '"max_iterations"'


class TestQuadraticModel:
    """Against explicit matrices; the stand-in for structural damping has the identity as its S."""

    @pytest.mark.parametrize("structural_damping", [0.0, 0.5])
    def test_product_and_value_without_damping(self, cases, rng, structural_damping):
        objective, params = Logistic(0.01), rng.standard_normal(8)
        _, gradient = objective.value_and_gradient(params, cases)
        matrix, step = objective.matrix(params, cases), rng.standard_normal(8)
        model = QuadraticModel(
            objective.linearize(params, cases), gradient, 0.3, structural_damping
        )
        damped = matrix + 0.3 * (1 + structural_damping) * np.eye(8)
        product = model.product(step)
        np.testing.assert_allclose(product, damped @ step)
        value = float(gradient @ step + 0.5 * step @ product)
        expected = gradient @ step + 0.5 * step @ matrix @ step
        assert model.without_damping(step, value) == pytest.approx(expected)
        assert model.n_products == (2 if structural_damping else 1)


class TestOtherProblems:
    def test_rosenbrock_as_least_squares(self):
        state, infos = run(HessianFree(), ROSENBROCK, [-1.2, 1.0], 60)
        np.testing.assert_allclose(state.params, [1, 1], atol=1e-6)
        losses = [info["new_loss"] for info in infos]
        assert np.all(np.diff(losses) <= 0)

    @pytest.mark.parametrize("structural_damping", [0.0, 0.5])
    @pytest.mark.parametrize(
        "preconditioner", [None, FisherPreconditioner(), JacobiPreconditioner()]
    )
    def test_logistic_regression_reaches_the_optimum_of_scikit_learn(
        self, cases, preconditioner, structural_damping
    ):
        penalty = 0.01
        expected = LogisticRegression(
            C=1 / (penalty * cases.n_sequences), fit_intercept=False, tol=1e-10
        ).fit(cases.X, cases.y)
        optimizer = HessianFree(
            damping=LevenbergMarquardt(initial=1.0),
            preconditioner=preconditioner,
            structural_damping=structural_damping,
        )
        state, _ = run(optimizer, Logistic(penalty), np.zeros(8), 30, cases)
        np.testing.assert_allclose(state.params, expected.coef_[0], rtol=1e-5)

    def test_curvature_batch_apart_from_the_gradient_batch(self, cases):
        objective, penalty = Logistic(0.01), 0.01
        some = Cases(cases.X[:60], cases.y[:60])
        optimizer = HessianFree(
            damping=UNDAMPED, stopping_rule=lambda _: False, first_kept=100
        )  # the last iterate only
        state, (info,) = run(optimizer, objective, np.zeros(8), 1, cases, some)
        _, gradient = objective.value_and_gradient(np.zeros(8), cases)
        step = -np.linalg.solve(objective.matrix(np.zeros(8), some), gradient)
        np.testing.assert_allclose(state.params, info["step_size"] * step, rtol=1e-8)
        # ρ: the gradient batch for losses and slope, the curvature batch for the curvature.
        change = objective.value(step, cases) - objective.value(np.zeros(8), cases)
        predicted = gradient @ step + 0.5 * step @ objective.matrix(np.zeros(8), some) @ step
        assert info["reduction_ratio"] == pytest.approx(change / predicted)
        assert info["loss"] == pytest.approx(objective.value(np.zeros(8), cases))
        # The optimum of the whole is reached all the same, given the time.
        optimizer = HessianFree(damping=LevenbergMarquardt(initial=1.0))
        state, _ = run(optimizer, objective, np.zeros(8), 60, cases, some)
        expected = LogisticRegression(C=1 / (penalty * 300), fit_intercept=False, tol=1e-10)
        np.testing.assert_allclose(state.params, expected.fit(cases.X, cases.y).coef_[0], rtol=1e-4)

    def test_structural_damping_is_relative_to_the_damping(self, cases):
        # With the identity as its matrix, μ = 0.5 and λ damp like λ (1 + μ).
        optimizer = HessianFree(
            damping=LevenbergMarquardt(initial=0.2),
            structural_damping=0.5,
            stopping_rule=lambda _: False,
        )
        objective = Logistic(0.01)
        state, (info,) = run(optimizer, objective, np.zeros(8), 1, cases)
        loss, gradient = objective.value_and_gradient(np.zeros(8), cases)
        matrix = objective.matrix(np.zeros(8), cases)
        step = -np.linalg.solve(matrix + 0.3 * np.eye(8), gradient)
        np.testing.assert_allclose(state.params, step, rtol=1e-8)
        # The undamped model leaves out both kinds of damping, the logged quadratic neither.
        model = gradient @ step + 0.5 * step @ matrix @ step
        assert info["reduction_ratio"] == pytest.approx((info["new_loss"] - loss) / model)
        assert info["quadratic"] == pytest.approx(model + 0.15 * step @ step)

    def test_fisher_preconditioner_is_that_of_the_paper(self, cases):
        objective = Logistic(0.0)
        gradients = np.array(
            [
                objective.value_and_gradient(np.ones(8), Cases(x[None], np.array([y])))[1]
                for x, y in zip(cases.X, cases.y)
            ]
        )
        diagonal = FisherPreconditioner().diagonal(
            objective, np.ones(8), cases, lambda v: v, 0.3, 0
        )
        np.testing.assert_allclose(diagonal, (np.mean(gradients**2, axis=0) + 0.3) ** 0.75)

    def test_jacobi_preconditioner_estimates_the_diagonal(self, rng):
        A = positive_definite(20, rng) + np.diag(np.linspace(0, 50, 20))
        build = JacobiPreconditioner(n_probes=400).diagonal
        estimate = build(ROSENBROCK, np.zeros(20), None, lambda v: A @ v, 0.0, 1)
        # Standard deviation of an entry: the norm of its off-diagonal row over sqrt(400).
        deviation = np.sqrt(np.sum((A - np.diag(np.diag(A))) ** 2, axis=1) / 400)
        assert np.all(np.abs(estimate - np.diag(A)) < 4 * deviation)
        exact = replace(JacobiPreconditioner(), n_probes=None)
        np.testing.assert_allclose(
            exact.diagonal(ROSENBROCK, np.zeros(20), None, lambda v: A @ v, 0.0, 1), np.diag(A)
        )

    def test_fisher_preconditioner_needs_an_objective_that_has_it(self):
        with pytest.raises(TypeError, match="`fisher_diagonal` was expected"):
            run(HessianFree(preconditioner=FisherPreconditioner()), ROSENBROCK, [0, 0], 1)


class TestDamping:
    @pytest.mark.parametrize(
        ("ratio", "factor"),
        [(-math.inf, 1.5), (math.nan, 1.5), (0.24, 1.5), (0.25, 1), (0.5, 1), (0.75, 1),
         (0.76, 2 / 3), (5.0, 2 / 3)],
    )  # fmt: skip
    def test_rule(self, ratio, factor):
        assert LevenbergMarquardt().update(6.0, ratio) == pytest.approx(6 * factor)

    def test_floor(self):
        assert LevenbergMarquardt(initial=1.0, floor=0.9).update(1.0, 1.0) == 0.9

    def test_reduction_ratio(self):
        assert reduction_ratio(-1.0, -2.0) == 0.5
        assert reduction_ratio(0.0, -2.0) == -math.inf
        assert reduction_ratio(math.inf, -2.0) == -math.inf
        assert math.isnan(reduction_ratio(math.nan, -2.0))
        assert math.isnan(reduction_ratio(-1.0, 0.0))
        assert math.isnan(reduction_ratio(-1.0, math.nan))

    @pytest.mark.parametrize(
        ("curvature", "ratio", "factor"),
        [(1.0, 1.0, 2 / 3), (1.5, 0.5, 1.0), (1.9, 0.1, 1.5), (2.5, -math.inf, 1.5)],
    )
    def test_reacts_to_a_model_that_is_wrong_by_a_known_factor(self, curvature, ratio, factor):
        # The model thinks that f(x) = -x + c x²/2 has curvature 1: without noticeable damping the
        # step is 1, f changes by -1 + c/2, and q says -1/2.
        f = FunctionObjective(
            value=lambda x: float(-x[0] + 0.5 * curvature * x[0] ** 2),
            gradient=lambda x: curvature * x - 1,
            product=lambda x, v: v,
        )
        damping = LevenbergMarquardt(initial=1e-9, floor=0.0)
        state, (info,) = run(HessianFree(damping=damping), f, [0.0], 1)
        assert info["reduction_ratio"] == pytest.approx(ratio)
        assert state.damping == pytest.approx(1e-9 * factor)

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"initial": 0.1, "floor": 1.0}, "`initial` is 0.1 and `floor` 1.0"),
            ({"initial": math.inf}, "`initial` is inf"),
            ({"increase": 0.9}, "`increase` is 0.9"),
            ({"decrease": 1.1}, "`decrease` 1.1"),
            ({"low": 0.8}, "`low` is 0.8"),
        ],
    )
    def test_bad_constants(self, arguments, match):
        with pytest.raises(ValueError, match=match):
            LevenbergMarquardt(**arguments)


class TestSearches:
    def test_backtracking_stops_at_the_first_rise(self):
        losses = {1: 0.0, 2: 5.0, 3: 2.0, 4: 3.0}
        choice = backtrack(lambda d: losses[int(d[0])], [np.array([i]) for i in losses])
        assert (choice.index, choice.value, choice.n_values) == (2, 2.0, 3)

    def test_backtracking_passes_over_losses_that_are_not_finite(self):
        losses = {1: 1.0, 2: 0.5, 3: math.nan, 4: math.inf}
        choice = backtrack(lambda d: losses[int(d[0])], [np.array([i]) for i in losses])
        assert (choice.index, choice.value) == (1, 0.5)

    def test_line_search_accepts_by_armijos_rule(self):
        # f(α) = -α + α²: f(1) = 0 fails, f(0.8) = -0.16 <= -0.008 holds.
        result = BacktrackingLineSearch().search(lambda a: -a + a**2, 0.0, -1.0, 0.0)
        assert result.step_size == pytest.approx(0.8)
        assert result.value == pytest.approx(-0.16)
        assert result.n_values == 1

    def test_line_search_rejects_after_sixty_shrinkages(self):
        sizes = []
        result = BacktrackingLineSearch().search(
            lambda a: (sizes.append(a), math.nan)[1], 1.0, -1.0, math.nan
        )
        assert (result.step_size, result.value) == (0.0, 1.0)
        np.testing.assert_allclose(sizes, 0.8 ** np.arange(1, 61))

    def test_line_search_does_not_climb_along_an_uphill_direction(self):
        # f(1) = 0.005 is below f(0) + 0.01 gᵀδ, yet above f(0).
        result = BacktrackingLineSearch(max_shrinkages=0).search(lambda a: a, 0.0, 1.0, 0.005)
        assert result.step_size == 0

    def test_bad_shrinkage(self):
        with pytest.raises(ValueError, match="`shrinkage` is 1"):
            BacktrackingLineSearch(shrinkage=1.0)


class TestTrouble:
    def test_loss_that_is_not_finite_beyond_a_wall(self):
        # -log(x) + x has its minimum at 1 and is not defined below 0; a full step from 3 leaves.
        f = FunctionObjective(
            value=lambda x: float(x[0] - np.log(x[0])), gradient=lambda x: 1 - 1 / x,
            product=lambda x, v: v / x**2,
        )  # fmt: skip
        optimizer = HessianFree(damping=LevenbergMarquardt(initial=1e-3))
        state, infos = run(optimizer, f, [3.0], 30)
        assert infos[0]["step_size"] < 1
        assert infos[0]["reduction_ratio"] == -math.inf
        assert infos[1]["damping"] == pytest.approx(1.5e-3)
        np.testing.assert_allclose(state.params, [1.0], rtol=1e-6)

    def test_a_step_that_cannot_help_is_rejected(self):
        # The gradient has the wrong sign: no step size helps.
        f = FunctionObjective(
            value=lambda x: float(x[0]), gradient=lambda x: -np.ones(1), product=lambda x, v: v
        )
        optimizer = HessianFree()
        state = replace(optimizer.init(np.array([2.0])), cg_start=np.array([0.1]))
        state, info = optimizer.step(f, state)
        assert not info["accepted"]
        assert (info["step_size"], info["new_loss"]) == (0.0, 2.0)
        assert state.params[0] == 2.0
        assert state.cg_start[0] == 0.0
        assert state.damping == 15.0
        assert state.n_steps == 1

    @pytest.mark.parametrize("where", ["value", "gradient"])
    def test_start_that_is_not_finite(self, where):
        f = FunctionObjective(
            value=lambda x: math.nan if where == "value" else 0.0,
            gradient=lambda x: np.full(2, math.inf if where == "gradient" else 1.0),
            product=lambda x, v: v,
        )
        state, (info,) = run(HessianFree(), f, [1.0, 2.0], 1)
        assert (info["accepted"], info["cg_stop"], info["products"]) == (False, "not_started", 0)
        assert state.damping == 15.0
        np.testing.assert_array_equal(state.params, [1.0, 2.0])

    def test_product_that_is_not_finite(self):
        f = FunctionObjective(
            value=lambda x: float(x @ x), gradient=lambda x: 2 * x,
            product=lambda x, v: v * math.nan,
        )  # fmt: skip
        state, (info,) = run(HessianFree(), f, [1.0, 2.0], 1)
        assert (info["accepted"], info["cg_stop"]) == (False, "not_finite")
        assert state.damping == 15.0

    def test_negative_curvature_raises_the_damping_beyond_it(self):
        # A saddle, f = x⁴/4 - 100 x²/2 at x = 1: curvature -97.
        f = FunctionObjective(
            value=lambda x: float(x[0] ** 4 / 4 - 50 * x[0] ** 2),
            gradient=lambda x: x**3 - 100 * x,
            product=lambda x, v: (3 * x**2 - 100) * v,
        )
        optimizer = HessianFree(damping=LevenbergMarquardt(initial=1.0))
        state, infos = run(optimizer, f, [1.0], 40)
        assert (infos[0]["accepted"], infos[0]["cg_stop"]) == (False, "negative_curvature")
        assert infos[1]["damping"] >= 97
        np.testing.assert_allclose(state.params, [10.0], rtol=1e-6)

    @pytest.mark.parametrize(
        ("arguments", "error", "match"),
        [
            ({"ratio_model": "both"}, ValueError, "`ratio_model` is 'both'"),
            ({"structural_damping": -1.0}, ValueError, "`structural_damping` is -1.0"),
            ({"max_cg_iterations": 0}, ValueError, "`max_cg_iterations` is 0"),
            ({"warm_start": 1.5}, ValueError, "`warm_start` is 1.5"),
            ({"kept_growth": 1}, ValueError, "`kept_growth` is 1"),
            ({"first_kept": 2.5}, TypeError, "`first_kept` is 2.5"),
        ],
    )
    def test_bad_constants(self, arguments, error, match):
        with pytest.raises(error, match=match):
            HessianFree(**arguments)

    @pytest.mark.parametrize("params", [np.zeros((2, 2)), np.zeros(2, dtype=int)])
    def test_bad_params(self, params):
        with pytest.raises(ValueError, match="`params` has shape"):
            HessianFree().init(params)


class TestCost:
    def test_counts_what_was_computed(self, cases):
        calls = {"value": 0, "gradient": 0, "product": 0, "linearize": 0}

        class Counted(Logistic):
            def value(self, params, batch):
                calls["value"] += batch.n_sequences
                return super().value(params, batch)

            def value_and_gradient(self, params, batch):
                calls["gradient"] += batch.n_sequences
                calls["value"] -= batch.n_sequences  # its own
                return super().value_and_gradient(params, batch)

            def linearize(self, params, batch):
                linearization = super().linearize(params, batch)
                calls["gradient"] -= batch.n_sequences  # that of the stand-in
                calls["linearize"] += batch.n_sequences
                product = linearization.gauss_newton_product

                def counted(v, structural_damping=0.0, *, out=None):
                    calls["product"] += batch.n_sequences
                    return product(v, structural_damping, out=out)

                linearization.gauss_newton_product = counted
                return linearization

        some = Cases(cases.X[:60], cases.y[:60])
        optimizer = HessianFree(structural_damping=0.1, max_cg_iterations=7)
        _, infos = run(optimizer, Counted(0.01), np.zeros(8), 4, cases, some)
        expected = (
            calls["gradient"] + 4 / 3 * calls["product"] + (calls["value"] + calls["linearize"]) / 3
        )
        assert sum(info["sequence_gradients"] for info in infos) == pytest.approx(expected)
        assert sum(info["passes"] for info in infos) == pytest.approx(expected / 300)
        assert sum(info["products"] for info in infos) == calls["product"] / 60


class TestConvergence:
    """At a minimum there is nothing to judge a step by, and λ stays where it is."""

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_a_quadratic_that_is_solved_leaves_damping_alone(self, rng, dtype):
        A, b = positive_definite(6, rng), rng.standard_normal(6)
        quadratic = FunctionObjective(
            value=lambda x: float(0.5 * x @ A @ x - b @ x),
            gradient=lambda x: (A @ x - b).astype(dtype),
            product=lambda x, v: (A @ v).astype(dtype),
        )
        optimizer = HessianFree()
        state = optimizer.init(np.zeros(6, dtype))
        dampings = []
        for _ in range(500):
            state, info = optimizer.step(quadratic, state)
            dampings.append(info["damping"])
        np.testing.assert_allclose(state.params, np.linalg.solve(A, b), rtol=1e-3)
        assert max(dampings) == optimizer.damping.initial

    def test_a_step_that_changes_no_parameter_is_not_accepted(self):
        sphere = FunctionObjective(
            value=lambda x: 0.5 * x @ x + 1.0, gradient=lambda x: x, product=lambda x, v: v
        )
        damping = LevenbergMarquardt(initial=4.0)
        state = HessianFreeState(np.array([1e-9, 1.0]) * 1e-9, 1e9, np.zeros(2), 0)
        optimizer = HessianFree(damping=damping)
        for _ in range(60):
            state, _ = optimizer.step(sphere, state)
        assert 0 < state.damping <= 4.0
        state = HessianFreeState(np.zeros(2), 100.0, np.zeros(2), 0)
        state, info = optimizer.step(sphere, state)
        assert not info["accepted"]
        assert state.damping == pytest.approx(100 * 2 / 3)

    def test_losses_that_overflow_raise_damping_to_its_ceiling(self):
        broken = FunctionObjective(
            value=lambda x: np.nan if x.any() else 1.0,
            gradient=lambda x: np.ones(2),
            product=lambda x, v: v,
        )
        optimizer = HessianFree(damping=LevenbergMarquardt(initial=1.0, ceiling=50.0))
        state = optimizer.init(np.zeros(2))
        for _ in range(30):
            state, info = optimizer.step(broken, state)
            assert not info["accepted"]
        assert state.damping == 50.0

    def test_negative_curvature_raises_damping_no_further(self):
        saddle = FunctionObjective(
            value=lambda x: -0.5e6 * x @ x,
            gradient=lambda x: -1e6 * x,
            product=lambda x, v: -1e6 * v,
        )
        optimizer = HessianFree(damping=LevenbergMarquardt(initial=1.0, ceiling=1000.0))
        state, info = optimizer.step(saddle, optimizer.init(np.ones(2)))
        assert info["cg_stop"] == "negative_curvature"
        assert state.damping == 1000.0

    @pytest.mark.parametrize(
        ("settings", "match"),
        [
            ({"ceiling": 1.0}, "`initial` is 10.0 and `ceiling` 1.0"),
            ({"ceiling": np.inf}, "`ceiling` inf"),
            ({"floor": 20.0}, "`floor` 20.0"),
        ],
    )
    def test_bad_limits(self, settings, match):
        with pytest.raises(ValueError, match=match):
            LevenbergMarquardt(**settings)
