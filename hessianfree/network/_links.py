"""Outputs that predictions come from: the inverse of a link, and the best constant."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from hessianfree.network._joint_loss import JointLoss
from hessianfree.network._losses import (
    LogisticCrossEntropy,
    Loss,
    SoftmaxCrossEntropy,
    SquaredError,
)
from reservoir.utils.device import module_of, scipy_module
from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_methods

# Those whose best constant prediction is the mean of the targets.
MATCHING = (SquaredError, LogisticCrossEntropy, SoftmaxCrossEntropy, JointLoss)


@explained
def outputs_of(loss: Loss, predictions: Array, margin: float = 0.001) -> Array:
    """Return pre-activations that a loss links to given predictions.

    o = p, log(p / (1 - p)) or log p,   for squared error, logistic and softmax

    Parameters
    ----------
    loss : Loss
        One of this package; the link of others is taken for the identity.
    predictions : ndarray of shape (..., n_outputs)
        p; probabilities are cut off where they come closer than `margin` to 0, or, for the logistic
        loss, to 1.
    margin : float, default=0.001

    Returns
    -------
    ndarray of shape (..., n_outputs)

    Examples
    --------
    >>> import numpy as np
    >>> outputs_of(LogisticCrossEntropy(), np.array([0.5, 1.0])).round(3)
    array([0.   , 6.907])
    """
    check_methods("loss", loss, ("predict",), "for instance SquaredError()")
    xp = module_of(predictions)
    outputs = predictions
    if isinstance(loss, JointLoss):
        own = zip(loss.losses, loss.parts)
        joined = [outputs_of(one, predictions[..., part], margin) for one, part in own]
        outputs = xp.concatenate(joined, axis=-1)
    if isinstance(loss, SoftmaxCrossEntropy):
        outputs = xp.log(xp.maximum(predictions, margin))
    elif isinstance(loss, LogisticCrossEntropy):
        logit = scipy_module(xp, "special").logit
        outputs = logit(xp.clip(predictions, margin, 1 - margin))
    return outputs


def best_constant(loss: Loss, targets: NDArray[Any], weights: Array, n_outputs: int) -> Array:
    """Return the constant pre-activations o that lower Σ_i w_i ℓ(o, y_i) most, by L-BFGS.

    Parameters
    ----------
    loss : Loss
    targets : ndarray of shape (n_rows, n_outputs) or (n_rows,)
    weights : ndarray of shape (n_rows,)
    n_outputs : int

    Examples
    --------
    >>> targets = np.array([[1.0], [2.0], [6.0]])
    >>> best_constant(SquaredError(), targets, np.ones(3), 1).round(6)
    array([3.])
    """
    weights = weights / weights.sum()

    def mean_loss(constant: Array) -> tuple[float, Array]:
        outputs = np.tile(constant, (len(targets), 1))
        values = loss.values(outputs, targets)
        slopes = loss.gradient(loss.predict(outputs), targets)
        return float(weights @ values), weights @ slopes

    found: Array = minimize(mean_loss, np.zeros(n_outputs), jac=True, method="L-BFGS-B").x
    return found
