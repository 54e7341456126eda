"""Objectives with known minima: quadratics, least squares, Rosenbrock, logistic regression."""

import numpy as np
from scipy.special import expit

from hessianfree.optimize import FunctionObjective


def positive_definite(n, rng):
    factor = rng.standard_normal((n, 2 * n))
    return factor @ factor.T / n


def quadratic(A, b):
    return FunctionObjective(
        value=lambda x: 0.5 * x @ A @ x - b @ x, gradient=lambda x: A @ x - b,
        product=lambda x, v: A @ v,
    )  # fmt: skip


def least_squares(residuals, jacobian):
    """½ ||r(θ)||² with its Gauss-Newton matrix JᵀJ."""
    return FunctionObjective(
        value=lambda x: 0.5 * float(np.sum(residuals(x) ** 2)),
        gradient=lambda x: jacobian(x).T @ residuals(x),
        product=lambda x, v: jacobian(x).T @ (jacobian(x) @ v),
    )


ROSENBROCK = least_squares(
    lambda x: np.array([1 - x[0], 10 * (x[1] - x[0] ** 2)]),
    lambda x: np.array([[-1.0, 0.0], [-20 * x[0], 10.0]]),
)


class Cases:
    """Rows of a data set, as a batch."""

    def __init__(self, X, y):
        self.X, self.y, self.n_sequences = X, y, len(y)


class Logistic:
    """Mean logistic loss with an L2 term; the Gauss-Newton matrix is the Hessian."""

    def __init__(self, penalty):
        self.penalty = penalty

    def value(self, params, batch):
        z = batch.X @ params
        losses = np.logaddexp(0, z) - batch.y * z
        return float(losses.mean() + 0.5 * self.penalty * params @ params)

    def value_and_gradient(self, params, batch):
        error = expit(batch.X @ params) - batch.y
        gradient = batch.X.T @ error / batch.n_sequences + self.penalty * params
        return self.value(params, batch), gradient

    def fisher_diagonal(self, params, batch):
        error = expit(batch.X @ params) - batch.y
        return np.mean((batch.X * error[:, None]) ** 2, axis=0)

    def linearize(self, params, batch):
        return LogisticLinearization(self, params, batch)

    def matrix(self, params, batch):
        p = expit(batch.X @ params)
        curvature = (batch.X * (p * (1 - p))[:, None]).T @ batch.X / batch.n_sequences
        return curvature + self.penalty * np.eye(len(params))


class LogisticLinearization:
    def __init__(self, objective, params, batch):
        self.value, self._gradient = objective.value_and_gradient(params, batch)
        self._matrix = objective.matrix(params, batch)

    def gradient(self):
        return self._gradient

    def gauss_newton_product(self, v, structural_damping=0.0, *, out=None):
        # A stand-in for structural damping whose matrix is known: the identity.
        return np.add(self._matrix.astype(v.dtype) @ v, structural_damping * v, out=out)
