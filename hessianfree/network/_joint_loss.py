"""The sum of the losses of several targets."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, ClassVar

from numpy.typing import NDArray

from hessianfree.network._losses import Loss, check_loss
from reservoir.utils.device import module_of
from reservoir.utils.explained import explained
from reservoir.utils.persistence import register
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer, check_real


@register
@explained
@dataclass(frozen=True)
class JointLoss:
    r"""Losses of several targets, each of its own outputs, weighted and summed.

    .. math:: \ell(o, y) = \sum_k w_k\, \ell_k(o^{(k)}, y^{(k)}), \quad
              \partial^2 \ell / \partial o^2
              = \operatorname{blockdiag}(w_k\, \partial^2 \ell_k / \partial o^{(k)2})

    with the outputs o = [o⁽¹⁾, o⁽²⁾, ...] side by side, and the targets likewise. Classes come as
    rows of probabilities, 1 for the class and 0 for the others.

    Parameters
    ----------
    losses : tuple of Loss
        ℓ_k.
    sizes : tuple of int
        Outputs of each.
    weights : tuple of float, optional
        w_k of 0 or more; by default 1.

    Raises
    ------
    TypeError
        If a loss lacks a method.
    ValueError
        If there are not as many sizes, or weights, as losses.

    Examples
    --------
    Which of three classes, and a yes or no:

    >>> import numpy as np
    >>> from hessianfree.network import LogisticCrossEntropy, SoftmaxCrossEntropy
    >>> loss = JointLoss((SoftmaxCrossEntropy(), LogisticCrossEntropy()), (3, 1))
    >>> loss.predict(np.zeros((1, 4))).round(3)
    array([[0.333, 0.333, 0.333, 0.5  ]])
    """

    takes_classes: ClassVar[bool] = False
    losses: tuple[Loss, ...]
    sizes: tuple[int, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        for loss in self.losses:
            check_loss(loss)
        for size in self.sizes:
            check_integer("sizes", size, minimum=1)
        for weight in self.weights or ():
            check_real("weights", weight, minimum=0)
        counts = {"sizes": self.sizes, "weights": self.weights or self.losses}
        for name, values in counts.items():
            if len(values) != len(self.losses) or not self.losses:
                raise ValueError(
                    f"`{name}` has {len(values)} entries, but there are {len(self.losses)} losses. "
                    "Pass one for each of one or more losses."
                )

    @property
    def parts(self) -> list[slice]:
        """Where the outputs of each loss lie."""
        return [slice(*ends) for ends in pairwise([0, *accumulate(self.sizes)])]

    def check_targets(self, targets: Array) -> None:
        """Raise unless scored targets (n_rows, n_outputs) are such as the losses take."""
        for loss, part in zip(self.losses, self.parts):
            check = getattr(loss, "check_targets", None)
            if check is not None:
                check(targets[:, part])

    def predict(self, outputs: Array, out: Array | None = None) -> Array:
        """Return the predictions of all losses side by side, of shape (n_rows, n_outputs)."""
        if out is None:
            out = module_of(outputs).empty_like(outputs)
        for loss, part in zip(self.losses, self.parts):
            out[:, part] = loss.predict(outputs[:, part])
        return out

    def values(self, outputs: Array, targets: NDArray[Any]) -> Array:
        """Return Σ_k w_k ℓ_k of each row, of shape (n_rows,)."""
        total: Any = sum(
            weight * loss.values(outputs[:, part], targets[:, part])
            for loss, part, weight in self._weighted_parts()
        )
        values: Array = total
        return values

    def gradient(
        self, predictions: Array, targets: NDArray[Any], out: Array | None = None
    ) -> Array:
        """Return w_k ∂ℓ_k/∂o⁽ᵏ⁾ side by side, of shape (n_rows, n_outputs)."""
        if out is None:
            out = module_of(predictions).empty_like(predictions)
        for loss, part, weight in self._weighted_parts():
            out[:, part] = weight * loss.gradient(predictions[:, part], targets[:, part])
        return out

    def hessian_product(
        self,
        predictions: Array,
        d_outputs: Array,
        out: Array | None = None,
        *,
        targets: NDArray[Any] | None = None,
    ) -> Array:
        """Return w_k (∂²ℓ_k/∂o⁽ᵏ⁾²) d⁽ᵏ⁾ side by side, of shape (n_rows, n_outputs)."""
        if out is None:
            out = module_of(d_outputs).empty_like(d_outputs)
        for loss, part, weight in self._weighted_parts():
            own = None if targets is None else targets[:, part]
            product = loss.hessian_product(predictions[:, part], d_outputs[:, part], targets=own)
            out[:, part] = weight * product
        return out

    def _weighted_parts(self) -> list[tuple[Loss, slice, float]]:
        """Return each loss, where its outputs lie, and its weight."""
        weights = self.weights or (1.0,) * len(self.losses)
        return list(zip(self.losses, self.parts, weights))
