"""Losses with matching links: value, gradient and Hessian product in the pre-activations.

A loss matches its link when the gradient in the output pre-activation o is the prediction minus
the target. Its Hessian in o is then the derivative of the link: positive semi-definite, and the
same whatever the target.
"""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from reservoir.utils.device import module_of, scipy_module
from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_methods


class Loss(Protocol):
    """A function ℓ(o, y) of one row of pre-activations, and the link from o to a prediction.

    Attributes
    ----------
    takes_classes : bool
        Whether the targets may be integer classes.
    """

    takes_classes: bool

    def predict(self, outputs: Array, out: Array | None = None) -> Array:
        """Return the predictions p = link(o), of shape (n_rows, n_outputs)."""
        ...

    def values(self, outputs: Array, targets: NDArray[Any]) -> Array:
        """Return ℓ(o, y) of each row, of shape (n_rows,)."""
        ...

    def gradient(
        self, predictions: Array, targets: NDArray[Any], out: Array | None = None
    ) -> Array:
        """Return ∂ℓ/∂o = p - y of each row, of shape (n_rows, n_outputs)."""
        ...

    def hessian_product(
        self, predictions: Array, d_outputs: Array, out: Array | None = None
    ) -> Array:
        """Return (∂²ℓ/∂o²) d of each row, of shape (n_rows, n_outputs); `out` is not d itself."""
        ...


class SquaredError:
    r"""Half the squared distance, with the identity as link.

    .. math:: \ell = \tfrac12 \sum_k (o_k - y_k)^2, \quad p = o, \quad
              \partial^2 \ell / \partial o^2 = I

    Examples
    --------
    >>> import numpy as np
    >>> SquaredError().values(np.array([[1.0, 3.0]]), np.array([[0.0, 1.0]]))
    array([2.5])
    """

    takes_classes = False

    def predict(self, outputs: Array, out: Array | None = None) -> Array:
        """Return the pre-activations themselves, of shape (n_rows, n_outputs)."""
        if out is None:
            return outputs.copy()
        if out is not outputs:
            out[...] = outputs
        return out

    def values(self, outputs: Array, targets: NDArray[Any]) -> Array:
        """Return ½ Σ_k (o_k - y_k)² of each row, of shape (n_rows,)."""
        residual = outputs - targets
        result: Array = 0.5 * module_of(outputs).einsum("ij,ij->i", residual, residual)
        return result

    def gradient(
        self, predictions: Array, targets: NDArray[Any], out: Array | None = None
    ) -> Array:
        """Return o - y, of shape (n_rows, n_outputs)."""
        result: Array = module_of(predictions).subtract(predictions, targets, out=out)
        return result

    def hessian_product(
        self, predictions: Array, d_outputs: Array, out: Array | None = None
    ) -> Array:
        """Return d, of shape (n_rows, n_outputs)."""
        return self.predict(d_outputs, out=out)


class LogisticCrossEntropy:
    r"""Cross-entropy of independent yes-or-no outputs, with the logistic function as link.

    .. math::

        \ell = \sum_k \log(1 + e^{o_k}) - y_k o_k, \quad p = \frac{1}{1 + e^{-o}}, \quad
        \partial^2 \ell / \partial o^2 = \operatorname{diag}(p\, (1 - p))

    Targets lie between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> LogisticCrossEntropy().values(np.array([[0.0]]), np.array([[1.0]])).round(4)
    array([0.6931])
    """

    takes_classes = False

    def check_targets(self, targets: Array) -> None:
        """Raise unless scored targets (n_rows, n_outputs) lie between 0 and 1."""
        fits = (targets >= 0) & (targets <= 1)
        if not fits.all():
            raise ValueError(
                f"`targets` holds {targets[~fits][0]}, but numbers from 0 to 1 were expected by "
                'the logistic loss. Scale them, or use the loss "squared_error".'
            )

    def predict(self, outputs: Array, out: Array | None = None) -> Array:
        """Return the probabilities 1 / (1 + exp(-o)), of shape (n_rows, n_outputs)."""
        expit = scipy_module(module_of(outputs), "special").expit
        result: Array = expit(outputs, out=out)
        return result

    def values(self, outputs: Array, targets: NDArray[Any]) -> Array:
        """Return Σ_k log(1 + exp(o_k)) - y_k o_k of each row, of shape (n_rows,)."""
        result: Array = (module_of(outputs).logaddexp(0, outputs) - targets * outputs).sum(axis=1)
        return result

    def gradient(
        self, predictions: Array, targets: NDArray[Any], out: Array | None = None
    ) -> Array:
        """Return p - y, of shape (n_rows, n_outputs)."""
        result: Array = module_of(predictions).subtract(predictions, targets, out=out)
        return result

    def hessian_product(
        self, predictions: Array, d_outputs: Array, out: Array | None = None
    ) -> Array:
        """Return p (1 - p) d, of shape (n_rows, n_outputs)."""
        out = module_of(predictions).subtract(1, predictions, out=out)
        out *= predictions
        out *= d_outputs
        return out


class SoftmaxCrossEntropy:
    r"""Cross-entropy of one choice among n_outputs, with the softmax as link.

    .. math::

        \ell = \log \sum_k e^{o_k} - \sum_k y_k o_k, \quad
        p_k = \frac{e^{o_k}}{\sum_j e^{o_j}}, \quad
        \partial^2 \ell / \partial o^2 = \operatorname{diag}(p) - p\, p^T

    Targets are integer classes, or rows of probabilities that sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> SoftmaxCrossEntropy().values(np.zeros((1, 4)), np.array([2])).round(4)
    array([1.3863])
    """

    takes_classes = True

    def check_targets(self, targets: Array) -> None:
        """Raise unless scored rows of targets (n_rows, n_outputs) are probabilities."""
        fits = (targets >= 0).all(axis=1) & (abs(targets.sum(axis=1) - 1) < 1e-3)
        if not fits.all():
            raise ValueError(
                f"`targets` has the row {targets[~fits][0]}, but probabilities that sum to 1 were "
                "expected by the softmax loss. Pass such, or integer classes."
            )

    def predict(self, outputs: Array, out: Array | None = None) -> Array:
        """Return the probabilities of the classes, of shape (n_rows, n_outputs)."""
        xp = module_of(outputs)
        out = xp.subtract(outputs, outputs.max(axis=1, keepdims=True), out=out)
        xp.exp(out, out=out)
        out /= out.sum(axis=1, keepdims=True)
        return out

    def values(self, outputs: Array, targets: NDArray[Any]) -> Array:
        """Return log Σ_k exp(o_k) - o_y of each row, of shape (n_rows,)."""
        xp = module_of(outputs)
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        if targets.ndim == 1:
            chosen = shifted[xp.arange(len(targets)), targets]
        else:
            chosen = xp.einsum("ij,ij->i", shifted, targets)
        result: Array = xp.log(xp.exp(shifted).sum(axis=1)) - chosen
        return result

    def gradient(
        self, predictions: Array, targets: NDArray[Any], out: Array | None = None
    ) -> Array:
        """Return p - y, of shape (n_rows, n_outputs)."""
        if targets.ndim == 2:
            result: Array = module_of(predictions).subtract(predictions, targets, out=out)
            return result
        if out is None:
            out = predictions.copy()
        elif out is not predictions:
            out[...] = predictions
        out[module_of(predictions).arange(len(targets)), targets] -= 1
        return out

    def hessian_product(
        self, predictions: Array, d_outputs: Array, out: Array | None = None
    ) -> Array:
        """Return p d - p (pᵀ d), of shape (n_rows, n_outputs)."""
        xp = module_of(predictions)
        inner = xp.einsum("ij,ij->i", predictions, d_outputs)
        out = xp.subtract(d_outputs, inner[:, None], out=out)
        out *= predictions
        return out


@explained
def outputs_of(loss: Loss, predictions: Array, margin: float = 0.001) -> Array:
    """Return pre-activations that a loss links to given predictions.

    o = p, log(p / (1 - p)) or log p,   for squared error, logistic and softmax

    Parameters
    ----------
    loss : Loss
        One of this module.
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
    if isinstance(loss, SoftmaxCrossEntropy):
        outputs = xp.log(xp.maximum(predictions, margin))
    elif isinstance(loss, LogisticCrossEntropy):
        logit = scipy_module(xp, "special").logit
        outputs = logit(xp.clip(predictions, margin, 1 - margin))
    return outputs
