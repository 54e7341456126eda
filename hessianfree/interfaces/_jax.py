"""A function of JAX as an objective."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hessianfree.interfaces._batches import Cases, check_targets
from hessianfree.interfaces._jax_programs import Programs
from hessianfree.interfaces._objective import (
    ForwardPass,
    FrameworkObjective,
    LossFunction,
    as_flat,
    check_loss,
)
from hessianfree.interfaces._optional import needed
from reservoir.utils.explained import explained
from reservoir.utils.types import Array


@explained
class JaxObjective(FrameworkObjective):
    r"""A net written in JAX with a loss: an `Objective` that all optimizers of this library take.

    .. math:: f(\theta) = L(z(\theta), y) + \frac{l_2}{2} \sum \lVert W \rVert^2, \quad
              G = J^T H_L J + l_2, \quad J = \partial z / \partial \theta

    with z the outputs of the function. ``jax.linearize`` runs the forward pass once, and what it
    keeps gives J v, and transposed Jᵀ u; H_L u is a ``jax.jvp`` of the loss's gradient. Each is
    compiled once for each shape of a batch, and used at all θ.

    Read more in the guide: :doc:`/guide/other_nets`.

    Parameters
    ----------
    function : callable
        (params, inputs) -> outputs, one array, with the `params` of that structure: what
        ``jax.jit`` takes, as the ``apply`` of a Flax module. It must be pure: keys of random
        numbers, if any, are constants of it.
    params : pytree of arrays
        Where to start; all leaves float32, or all float64.
    loss : {"squared_error", "logistic", "softmax"} or callable, default="squared_error"
        Those of `SequenceNetwork`, on the outputs before any link: a mean over all rows of the
        outputs, whose last axis is one row. Or a function (outputs, targets) -> number, a mean over
        the cases and convex in the outputs.
    l2 : float, default=0.0
        Weight of half the squared weights; leaves with one axis, as biases, are left out.

    Attributes
    ----------
    function : callable
    layout : ParameterLayout
        The leaves, by their paths in the tree.
    n_params : int

    Raises
    ------
    ImportError
        If JAX is not installed: ``pip install reservoir-hessianfree[jax]``.
    TypeError, ValueError
        If `function` can't be called, `params` has no leaves, or of other dtypes; or if they are
        float64 and JAX is not set to it, which would make them float32:
        ``jax.config.update("jax_enable_x64", True)``.

    Notes
    -----
    A batch is a pair (inputs, targets), arrays of NumPy or JAX, whose first axis has the cases, or
    a `Batch` of sequences, time first. Real numbers of NumPy are brought to the dtype of θ,
    integers stay integers. The dtype of θ, float32 or float64, decides that of the computation.
    A batch of another shape is compiled for anew: let sizes repeat.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from hessianfree import HessianFree, Minibatches, start, train
    >>> from hessianfree.interfaces import JaxObjective
    >>> def net(params, x):
    ...     return jnp.tanh(x @ params["W"] + params["b"]) @ params["out"]
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3)).astype(np.float32)
    >>> y = np.sin(X @ [[1.0], [2.0], [-1.0]]).astype(np.float32)
    >>> initial = {"W": rng.normal(scale=0.5, size=(3, 20)), "b": np.zeros(20),
    ...            "out": rng.normal(scale=0.2, size=(20, 1))}
    >>> objective = JaxObjective(net, jax.tree.map(np.float32, initial), "squared_error")
    >>> optimizer, params = HessianFree(), objective.params_from_tree()
    >>> state = train(objective, optimizer, Minibatches((X, y)), start(optimizer, params),
    ...               n_iterations=30)
    >>> trained = objective.to_tree(state.params)
    >>> bool(((net(trained, X) - y) ** 2).mean() < 0.01)
    True

    References
    ----------
    Schraudolph (2002), Fast curvature matrix-vector products for second-order gradient descent,
    Neural Computation 14.
    """

    def __init__(
        self,
        function: Callable[[Any, Any], Any],
        params: Any,
        loss: str | LossFunction = "squared_error",
        *,
        l2: float = 0.0,
    ) -> None:
        if not callable(function):
            raise TypeError(
                f"`function` is of type {type(function).__name__}, but a function (params, inputs) "
                "-> outputs was expected. Pass one."
            )
        check_loss(loss)
        jax = needed("jax", "JaxObjective")
        paths, self._structure = jax.tree_util.tree_flatten_with_path(params)
        leaves = {jax.tree_util.keystr(path): _as_leaf(path, leaf) for path, leaf in paths}
        _check_leaves(leaves)
        super().__init__({name: leaf.shape for name, leaf in leaves.items()}, loss, l2)
        self.function = function
        self._initial = as_flat(list(leaves.values()), next(iter(leaves.values())).dtype)
        self._refuse_float64(self._initial)
        self._programs = Programs(function, loss, self._structure, self.layout)

    def params_from_tree(self, params: Any = None) -> Array:
        """Return a tree of parameters as one vector, by default those to start from.

        Parameters
        ----------
        params : pytree of arrays, optional
            Of the structure and the shapes given at the start.

        Returns
        -------
        ndarray of shape (n_params,)
        """
        if params is None:
            return self._initial.copy()
        jax = needed("jax", "JaxObjective")
        leaves, structure = jax.tree_util.tree_flatten(params)
        shapes = [np.shape(leaf) for leaf in leaves]
        if structure != self._structure or shapes != list(self.layout.shapes.values()):
            raise ValueError(
                f"`params` has the structure {structure} and shapes {shapes}, but "
                f"{self._structure} and {list(self.layout.shapes.values())} were expected, as the "
                "objective was made with."
            )
        return as_flat(leaves, self._initial.dtype)

    def to_tree(self, params: Array) -> Any:
        """Return a vector of parameters as a tree of arrays of JAX.

        Parameters
        ----------
        params : ndarray of shape (n_params,)

        Returns
        -------
        pytree of arrays
            What `function` takes.
        """
        jax = needed("jax", "JaxObjective")
        self._refuse_float64(self.layout.check(params))
        blocks = self.layout.views(params).values()
        return jax.tree_util.tree_unflatten(
            self._structure, [jax.numpy.array(block) for block in blocks]
        )

    def _value(self, params: Array, cases: Cases) -> float:
        return float(self._programs.value(params, *self._arguments(params, cases)))

    def _value_and_gradient(self, params: Array, cases: Cases) -> tuple[float, Array]:
        value, gradient = self._programs.value_and_gradient(params, *self._arguments(params, cases))
        return float(value), np.array(gradient)

    def _forward_pass(self, params: Array, cases: Cases) -> ForwardPass:
        return JaxPass(self._programs, params, self._arguments(params, cases))

    def _arguments(self, params: Array, cases: Cases) -> tuple[Any, Any, Any, Any]:
        """Return inputs, targets, rows and weights as the compiled programs take them."""
        self._refuse_float64(params)
        inputs, targets = (_as_dtype(part, params.dtype) for part in (cases.inputs, cases.targets))
        rows, weights = cases.rows, cases.weights
        if weights is not None:
            weights = weights.astype(params.dtype)
        shape = self._programs.shape_of_outputs(params, inputs, rows)
        if isinstance(self.loss, str):
            check_targets(self.loss, targets, shape)
        elif weights is not None:
            raise ValueError(
                "`batch` has unequal weights in its mask, which a loss of your own knows nothing "
                'of. Use a loss by its name, as "squared_error", or a mask of 0 and 1.'
            )
        return inputs, targets, rows, weights

    @staticmethod
    def _refuse_float64(params: Array) -> None:
        """Raise where JAX would make float32 of float64 and say nothing."""
        jax = needed("jax", "JaxObjective")
        if params.dtype == np.float64 and not jax.config.jax_enable_x64:
            raise ValueError(
                "`params` is of dtype float64, of which JAX makes float32 as it is set. Call "
                'jax.config.update("jax_enable_x64", True) before anything else, or convert them '
                "to float32."
            )


class JaxPass:
    """A function of JAX around one point, on one batch, with its forward pass kept.

    Parameters
    ----------
    programs : Programs
    params : ndarray of shape (n_params,)
    arguments : tuple
        Inputs, targets, rows, weights.
    """

    def __init__(
        self, programs: Programs, params: Array, arguments: tuple[Any, Any, Any, Any]
    ) -> None:
        self._programs, self._params = programs, params
        _, self._targets, _, self._weights = arguments
        value, self._slope, self._outputs, self._push = programs.linearize(params, *arguments)
        self.value = float(value)

    def gradient(self) -> Array:
        """Return Jᵀ ∂L/∂z."""
        return np.array(self._programs.pull(self._push, self._params, self._slope))

    def product(self, v: Array) -> Array:
        """Return Jᵀ H_L J v."""
        return np.array(
            self._programs.product(self._push, self._outputs, self._targets, self._weights, v)
        )


def _as_leaf(path: Any, leaf: Any) -> Any:
    """Return a leaf of a tree as an array of NumPy."""
    dtype = getattr(leaf, "dtype", None)
    if dtype not in (np.float32, np.float64):
        came = f"of dtype {dtype}" if dtype is not None else f"a {type(leaf).__name__}"
        raise TypeError(
            f"`params` has a leaf that is {came}, but arrays of float32 or float64 were expected. "
            "Make constants a part of the function."
        )
    return np.asarray(leaf)


def _check_leaves(leaves: dict[str, Any]) -> None:
    """Raise unless there are leaves, all of one dtype."""
    dtypes = {str(leaf.dtype) for leaf in leaves.values()}
    if len(dtypes) != 1 or not sum(leaf.size for leaf in leaves.values()):
        came = f"leaves of {' and '.join(sorted(dtypes))}" if len(dtypes) > 1 else "no numbers"
        raise ValueError(
            f"`params` has {came}, but arrays all of float32, or all of float64, were expected. "
            "Convert them: jax.tree.map(jax.numpy.float32, params)."
        )


def _as_dtype(array: Any, dtype: np.dtype[Any]) -> Any:
    """Return real numbers in a dtype, integers in those that JAX computes with."""
    if isinstance(array, np.ndarray):
        return array.astype(np.int32) if array.dtype.kind in "iu" else array
    jnp = needed("jax.numpy", "JaxObjective")
    array = jnp.asarray(array)
    return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array
