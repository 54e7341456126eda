"""The compiled programs of an objective in JAX, each compiled once for each shape of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hessianfree.interfaces._batches import row_length
from hessianfree.interfaces._objective import LossFunction, refuse_other_than_scalar
from hessianfree.interfaces._optional import needed
from hessianfree.network._parameters import ParameterLayout
from reservoir.utils.types import Array, Integers


class Programs:
    """Value, gradient, linearization and product of a function of JAX with a loss.

    Parameters
    ----------
    function : callable
        (params, inputs) -> outputs.
    loss : str or callable
    structure : PyTreeDef
        Of the parameters.
    layout : ParameterLayout
        Where each leaf lies in the flat vector.

    Attributes
    ----------
    value, value_and_gradient : callable
        flat, inputs, targets, rows, weights -> L, or L and its gradient.
    linearize : callable
        The same -> L, ∂L/∂z, z, and v -> J v, with what it keeps of the forward pass.
    pull : callable
        (v -> J v), flat, u -> Jᵀ u.
    product : callable
        (v -> J v), z, targets, weights, v -> Jᵀ H_L J v.
    """

    def __init__(
        self,
        function: Callable[[Any, Any], Any],
        loss: str | LossFunction,
        structure: Any,
        layout: ParameterLayout,
    ) -> None:
        jax = needed("jax", "JaxObjective")
        self._function, self._loss = function, loss
        self._structure, self._shapes = structure, list(layout.shapes.values())
        self._offsets = [part.start for part in layout.slices.values()][1:]
        self._shapes_of_outputs: dict[Any, tuple[int, ...]] = {}
        self.value = jax.jit(self._value)
        self.value_and_gradient = jax.jit(jax.value_and_grad(self._value))
        self.linearize = jax.jit(self._linearize)
        self.pull = jax.jit(_pull)
        self.product = jax.jit(self._product)

    def shape_of_outputs(self, flat: Array, inputs: Any, rows: Integers | None) -> tuple[int, ...]:
        """Return the shape of the outputs that are scored, found once for each shape of inputs."""
        key = flat.dtype, inputs.shape, str(inputs.dtype), None if rows is None else len(rows)
        if key not in self._shapes_of_outputs:
            jax = needed("jax", "JaxObjective")
            found = jax.eval_shape(self._outputs, flat, inputs, rows)
            self._shapes_of_outputs[key] = tuple(found.shape)
        return self._shapes_of_outputs[key]

    def _outputs(self, flat: Any, inputs: Any, rows: Any) -> Any:
        jax = needed("jax", "JaxObjective")
        pieces = jax.numpy.split(flat, self._offsets)
        leaves = [piece.reshape(shape) for piece, shape in zip(pieces, self._shapes, strict=True)]
        tree = jax.tree_util.tree_unflatten(self._structure, leaves)
        outputs = self._function(tree, inputs)
        if not isinstance(outputs, jax.Array):
            raise TypeError(
                f"`function` returned a {type(outputs).__name__}, but one array of outputs was "
                "expected. Return what the loss compares with the targets."
            )
        if rows is None:
            return outputs
        if outputs.ndim != 3 or outputs.shape[:2] != inputs.shape[:2]:
            raise ValueError(
                f"`function` gave outputs of shape {outputs.shape}, but (n_steps, n_sequences, "
                f"n_outputs) with {inputs.shape[:2]} first was expected for a Batch. Put time "
                "first."
            )
        return outputs.reshape(-1, outputs.shape[2])[rows]

    def _loss_of(self, outputs: Any, targets: Any, weights: Any) -> Any:
        jnp = needed("jax.numpy", "JaxObjective")
        if not isinstance(self._loss, str):
            loss = jnp.asarray(self._loss(outputs, targets))
            refuse_other_than_scalar(loss.shape)
            return loss
        rows = outputs.reshape(-1, row_length(outputs.shape))
        by_class = targets.ndim < outputs.ndim
        targets = targets.reshape(-1) if by_class else targets.reshape(rows.shape)
        values = _row_losses(self._loss, rows, targets)
        return values.mean() if weights is None else values @ weights

    def _value(self, flat: Any, inputs: Any, targets: Any, rows: Any, weights: Any) -> Any:
        return self._loss_of(self._outputs(flat, inputs, rows), targets, weights)

    def _linearize(self, flat: Any, inputs: Any, targets: Any, rows: Any, weights: Any) -> Any:
        jax = needed("jax", "JaxObjective")
        outputs, push = jax.linearize(lambda at: self._outputs(at, inputs, rows), flat)
        value, slope = jax.value_and_grad(self._loss_of)(outputs, targets, weights)
        return value, slope, outputs, push

    def _product(self, push: Any, outputs: Any, targets: Any, weights: Any, v: Any) -> Any:
        jax = needed("jax", "JaxObjective")

        def slope(at: Any) -> Any:
            return jax.grad(self._loss_of)(at, targets, weights)

        _, curved = jax.jvp(slope, (outputs,), (push(v),))
        return _pull(push, v, curved)


def _pull(push: Any, flat: Any, cotangent: Any) -> Any:
    """Return Jᵀ u by the transpose of v -> J v; of `flat` only the shape counts."""
    jax = needed("jax", "JaxObjective")
    (pulled,) = jax.linear_transpose(push, flat)(cotangent)
    return pulled


def _row_losses(loss: str, rows: Any, targets: Any) -> Any:
    """Return the loss of each row, by the definitions of `SequenceNetwork`."""
    jax = needed("jax", "JaxObjective")
    jnp = jax.numpy
    if loss == "squared_error":
        return 0.5 * ((rows - targets) ** 2).sum(axis=1)
    if loss == "logistic":
        return (jnp.logaddexp(0, rows) - targets * rows).sum(axis=1)
    total = jax.nn.logsumexp(rows, axis=1)
    if targets.ndim == 1:
        return total - rows[np.arange(len(targets)), targets]
    return total - (rows * targets).sum(axis=1)
