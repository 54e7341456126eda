"""Losses, gradients and Gauss-Newton matrices written out, to hold nets of frameworks against."""

import numpy as np
from scipy.special import expit, log_softmax, softmax

LOSSES = ("squared_error", "logistic", "softmax")


def targets_for(loss, shape, rng):
    """Return targets of a loss for outputs of a shape; of the softmax integer classes."""
    if loss == "squared_error":
        return rng.normal(size=shape)
    if loss == "logistic":
        return rng.uniform(size=shape)
    return rng.integers(shape[-1], size=shape[:-1])


def loss_value(loss, outputs, targets):
    """Return the mean loss of rows of outputs (n, k)."""
    if loss == "squared_error":
        return float((0.5 * (outputs - targets) ** 2).sum(axis=1).mean())
    if loss == "logistic":
        p = expit(outputs)
        return float(-(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum(axis=1).mean())
    return float(-log_softmax(outputs, axis=1)[np.arange(len(targets)), targets].mean())


def loss_hessian(loss, outputs):
    """Return the Hessian of the mean loss in the raveled outputs, of shape (n k, n k)."""
    n, k = outputs.shape
    blocks = np.zeros((n, k, n, k))
    for i, row in enumerate(outputs):
        if loss == "squared_error":
            blocks[i, :, i] = np.eye(k)
        elif loss == "logistic":
            blocks[i, :, i] = np.diag(expit(row) * expit(-row))
        else:
            p = softmax(row)
            blocks[i, :, i] = np.diag(p) - np.outer(p, p)
    return blocks.reshape(n * k, n * k) / n


def jacobian(function, params, step=1e-6):
    """Return the derivative of raveled outputs in each parameter, by central differences."""
    columns = []
    for i in range(len(params)):
        ahead, behind = params.copy(), params.copy()
        ahead[i] += step
        behind[i] -= step
        columns.append((function(ahead) - function(behind)).ravel() / (2 * step))
    return np.array(columns).T
