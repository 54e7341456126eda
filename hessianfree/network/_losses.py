"""Losses: value, gradient and Hessian product in the output pre-activations.

Those of this package match their links: the gradient in the pre-activation o is the prediction
minus the target. Its Hessian in o is then the derivative of the link: positive semi-definite, and
the same whatever the target.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from numpy.typing import NDArray

from reservoir.utils.device import module_of, scipy_module
from reservoir.utils.persistence import register
from reservoir.utils.types import Array


class Loss(Protocol):
    r"""A function ℓ(o, y) of one row of pre-activations, and the link from o to a prediction.

    Nets and estimators take any object with these methods as their `loss`. All work on many rows
    at once; `out`, where it is given, may be written to and returned. Gauss-Newton steps need
    ∂²ℓ/∂o² to be positive semi-definite, as it is where ℓ is convex in o; in its place may stand
    any matrix that is, and bounds it well.

    Attributes
    ----------
    takes_classes : bool
        Whether the targets may be integer classes; where it is missing they may not.

    Examples
    --------
    The loss of Huber [1]_, which grows like the distance once that is above δ. A far outlier pulls
    no more than a near one:

    .. math:: \ell = \sum_k \begin{cases} \tfrac12 e_k^2 & |e_k| < \delta \\
              \delta\, (|e_k| - \tfrac12 \delta) & \text{otherwise} \end{cases},
              \quad e = o - y

    >>> import numpy as np
    >>> from hessianfree import Batch, ElmanCell, SequenceNetwork
    >>> class Huber:
    ...     def __init__(self, delta):
    ...         self.delta = delta
    ...     def predict(self, outputs, out=None):
    ...         return np.positive(outputs, out=out)
    ...     def values(self, outputs, targets):
    ...         distance = abs(outputs - targets)
    ...         near = np.minimum(distance, self.delta)
    ...         return (near * (distance - near / 2)).sum(axis=1)
    ...     def gradient(self, predictions, targets, out=None):
    ...         return np.clip(predictions - targets, -self.delta, self.delta, out=out)
    ...     def hessian_product(self, predictions, d_outputs, out=None, *, targets=None):
    ...         return np.multiply(d_outputs, abs(predictions - targets) < self.delta, out=out)
    >>> network = SequenceNetwork(ElmanCell(1, 3), n_outputs=1, loss=Huber(0.5))
    >>> batch = Batch(np.ones((4, 1, 1)), np.full((4, 1, 1), 10.0))
    >>> network.value(np.zeros(network.n_params), batch)  # 0.5 (10 - 0.25)
    4.875

    References
    ----------
    .. [1] Huber (1964), Robust estimation of a location parameter, Annals of Mathematical
       Statistics 35.
    """

    takes_classes: ClassVar[bool]

    def predict(self, outputs: Array, out: Array | None = None) -> Array:
        """Return the predictions p = link(o), of shape (n_rows, n_outputs); `out` may be o."""
        ...

    def values(self, outputs: Array, targets: NDArray[Any]) -> Array:
        """Return ℓ(o, y) of each row, of shape (n_rows,)."""
        ...

    def gradient(
        self, predictions: Array, targets: NDArray[Any], out: Array | None = None
    ) -> Array:
        """Return ∂ℓ/∂o of each row, of shape (n_rows, n_outputs): p - y where the link matches."""
        ...

    def hessian_product(
        self,
        predictions: Array,
        d_outputs: Array,
        out: Array | None = None,
        *,
        targets: NDArray[Any] | None = None,
    ) -> Array:
        """Return (∂²ℓ/∂o²) d of each row, of shape (n_rows, n_outputs); `out` is not d itself.

        A net passes the targets too, which a loss that matches its link has no need of.
        """
        ...


def check_loss(loss: Any) -> None:
    """Raise unless an object has the methods of `Loss`.

    Examples
    --------
    >>> check_loss(SquaredError())
    >>> check_loss(3)
    Traceback (most recent call last):
    ...
    TypeError: `loss` is of type int, which lacks `predict`, `values`, `gradient` and \
`hessian_product`. Pass a name, or an object with the methods of `hessianfree.network.Loss`.
    """
    remedy = "Pass a name, or an object with the methods of `hessianfree.network.Loss`."
    if isinstance(loss, type):
        raise TypeError(
            f"`loss` is the class {loss.__name__}, but an object was expected. {remedy}"
        )
    kind = type(loss).__name__
    wanted = ("predict", "values", "gradient", "hessian_product")
    missing = [f"`{name}`" for name in wanted if not callable(getattr(loss, name, None))]
    if missing:
        listed = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
        raise TypeError(f"`loss` is of type {kind}, which lacks {listed}. {remedy}")
    parameters = inspect.signature(loss.hessian_product).parameters.values()
    if not any(one.name == "targets" or one.kind is one.VAR_KEYWORD for one in parameters):
        raise TypeError(
            f"`loss` is of type {kind}, whose `hessian_product` takes no `targets`, which a net "
            "passes by that name. Add the argument."
        )


def takes_classes(loss: Loss) -> bool:
    """Return whether the targets of a loss may be integer classes."""
    return bool(getattr(loss, "takes_classes", False))


@register
@dataclass(frozen=True)
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

    takes_classes: ClassVar[bool] = False

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
        self,
        predictions: Array,
        d_outputs: Array,
        out: Array | None = None,
        *,
        targets: NDArray[Any] | None = None,
    ) -> Array:
        """Return d, of shape (n_rows, n_outputs)."""
        return self.predict(d_outputs, out=out)


@register
@dataclass(frozen=True)
class LogisticCrossEntropy:
    r"""Cross-entropy of independent yes-or-no outputs, with the logistic function as link.

    .. math::

        \ell = \sum_k w_k (\log(1 + e^{o_k}) - y_k o_k), \quad p = \frac{1}{1 + e^{-o}}, \quad
        \partial^2 \ell / \partial o^2 = \operatorname{diag}(w\, p\, (1 - p))

    Targets lie between 0 and 1.

    Parameters
    ----------
    output_weight : tuple of float, optional
        w, one for each output; by default 1.

    Examples
    --------
    >>> import numpy as np
    >>> LogisticCrossEntropy().values(np.array([[0.0]]), np.array([[1.0]])).round(4)
    array([0.6931])
    """

    takes_classes: ClassVar[bool] = False
    output_weight: tuple[float, ...] | None = None

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
        """Return Σ_k log(1 + exp(o_k)) - y_k o_k of each row, weighted, of shape (n_rows,)."""
        result: Array = module_of(outputs).logaddexp(0, outputs) - targets * outputs
        total: Array = self._weighted(result).sum(axis=1)
        return total

    def gradient(
        self, predictions: Array, targets: NDArray[Any], out: Array | None = None
    ) -> Array:
        """Return w (p - y), of shape (n_rows, n_outputs)."""
        return self._weighted(module_of(predictions).subtract(predictions, targets, out=out))

    def hessian_product(
        self,
        predictions: Array,
        d_outputs: Array,
        out: Array | None = None,
        *,
        targets: NDArray[Any] | None = None,
    ) -> Array:
        """Return w p (1 - p) d, of shape (n_rows, n_outputs)."""
        out = module_of(predictions).subtract(1, predictions, out=out)
        out *= predictions
        out *= d_outputs
        return self._weighted(out)

    def _weighted(self, rows: Array) -> Array:
        """Multiply the outputs of rows by their weights, in place."""
        if self.output_weight is not None:
            rows *= module_of(rows).asarray(self.output_weight, dtype=rows.dtype)
        return rows


@register
@dataclass(frozen=True)
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

    takes_classes: ClassVar[bool] = True

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
        self,
        predictions: Array,
        d_outputs: Array,
        out: Array | None = None,
        *,
        targets: NDArray[Any] | None = None,
    ) -> Array:
        """Return p d - p (pᵀ d), of shape (n_rows, n_outputs)."""
        xp = module_of(predictions)
        inner = xp.einsum("ij,ij->i", predictions, d_outputs)
        out = xp.subtract(d_outputs, inner[:, None], out=out)
        out *= predictions
        return out
