"""A net of PyTorch as an objective."""

from __future__ import annotations

from typing import Any

from hessianfree.interfaces._batches import Cases
from hessianfree.interfaces._objective import (
    ForwardPass,
    FrameworkObjective,
    LossFunction,
    as_flat,
    check_loss,
)
from hessianfree.interfaces._optional import needed
from hessianfree.interfaces._torch_pass import TorchPass, as_numpy, loss_of, outputs_of_rows
from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_methods


@explained
class TorchObjective(FrameworkObjective):
    r"""A net of PyTorch with a loss: an `Objective` that all optimizers of this library take.

    .. math:: f(\theta) = L(z(\theta), y) + \frac{l_2}{2} \sum \lVert W \rVert^2, \quad
              G = J^T H_L J + l_2, \quad J = \partial z / \partial \theta

    with z the outputs of the module. G v is had from PyTorch's own derivatives: the forward pass is
    run once, and its graph kept, with that of Jᵀ u for any u; a derivative of Jᵀ u in u gives J v,
    one of the loss's gradient gives H_L (J v), and one sweep back the rest. No matrix is formed.
    That is about 1.5 gradients a product, where forward mode, which runs the net again, takes more.

    Read more in the guide: :doc:`/guide/other_nets`.

    Parameters
    ----------
    module : torch.nn.Module
        Its parameters with `requires_grad`, one tied to another once, are θ; those without stay as
        they are. Its outputs are one tensor. It must be a function of parameters and inputs:
        dropout, and batch norm that learns its statistics, are refused until ``module.eval()``.
    loss : {"squared_error", "logistic", "softmax"} or callable, default="squared_error"
        Those of `SequenceNetwork`, on the outputs before any link: a mean over all rows of the
        outputs, whose last axis is one row. Or a function (outputs, targets) -> scalar tensor, a
        mean over the cases and convex in the outputs, as ``torch.nn.HuberLoss()``.
    l2 : float, default=0.0
        Weight of half the squared weights; parameters with one axis, as biases, are left out.

    Attributes
    ----------
    module : torch.nn.Module
    layout : ParameterLayout
        The parameters that are trained, by their names in the module.
    n_params : int

    Raises
    ------
    ImportError
        If PyTorch is not installed: ``pip install reservoir-hessianfree[torch]``.
    TypeError, ValueError
        If the module is none, or has nothing to train; or the loss is neither a name nor a
        function.

    Notes
    -----
    A batch is a pair (inputs, targets), arrays or tensors, whose first axis has the cases, or a
    `Batch` of sequences, time first as ``torch.nn.RNN`` has it by default. Real numbers of NumPy
    are brought to the dtype of θ, integers stay integers. The dtype of θ, float32 or float64,
    decides that of the computation; `params_from_module` has that of the module.

    Evaluations leave the module as it is: `to_module` puts parameters into it. They compute where
    the module is, with the threads that PyTorch is set to (``torch.set_num_threads``). A module
    that is shared by several threads of Python must be locked by them.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from hessianfree import HessianFree, Minibatches, start, train
    >>> from hessianfree.interfaces import TorchObjective
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> y = np.sin(X @ [[1.0], [2.0], [-1.0]])
    >>> _ = torch.manual_seed(0)
    >>> module = torch.nn.Sequential(
    ...     torch.nn.Linear(3, 20), torch.nn.Tanh(), torch.nn.Linear(20, 1)).double()
    >>> objective = TorchObjective(module, "squared_error")
    >>> optimizer, params = HessianFree(), objective.params_from_module()
    >>> state = train(objective, optimizer, Minibatches((X, y)), start(optimizer, params),
    ...               n_iterations=30)
    >>> module = objective.to_module(state.params)
    >>> error = (module(torch.from_numpy(X)) - torch.from_numpy(y)).square().mean()
    >>> bool(error < 0.01)
    True

    References
    ----------
    Schraudolph (2002), Fast curvature matrix-vector products for second-order gradient descent,
    Neural Computation 14; Pearlmutter (1994), Fast exact multiplication by the Hessian, Neural
    Computation 6.
    """

    def __init__(
        self, module: Any, loss: str | LossFunction = "squared_error", *, l2: float = 0.0
    ) -> None:
        check_methods("module", module, ("named_parameters", "forward"), "a torch.nn.Module")
        check_loss(loss)
        torch = needed("torch", "TorchObjective")
        if not isinstance(module, torch.nn.Module):
            raise TypeError(
                f"`module` is of type {type(module).__name__}, but a torch.nn.Module was expected. "
                "Pass one."
            )
        trained = _trained(torch, module)
        super().__init__({name: tuple(part.shape) for name, part in trained.items()}, loss, l2)
        self.module = module

    def params_from_module(self) -> Array:
        """Return the parameters that the module has now as one vector, in its dtype.

        Returns
        -------
        ndarray of shape (n_params,)
        """
        found = dict(self.module.named_parameters())
        arrays = [as_numpy(found[name]) for name in self.layout.shapes]
        return as_flat(arrays, arrays[0].dtype)

    def to_module(self, params: Array) -> Any:
        """Put parameters into the module, in its own dtype.

        Parameters
        ----------
        params : ndarray of shape (n_params,)

        Returns
        -------
        torch.nn.Module
            The module itself.
        """
        torch = needed("torch", "TorchObjective")
        found = dict(self.module.named_parameters())
        with torch.no_grad():
            for name, block in self.layout.views(self.layout.check(params)).items():
                found[name].copy_(torch.tensor(block))
        return self.module

    def _value(self, params: Array, cases: Cases) -> float:
        torch = needed("torch", "TorchObjective")
        with torch.no_grad():
            return float(loss_of(self, outputs_of_rows(self, torch.tensor(params), cases), cases))

    def _value_and_gradient(self, params: Array, cases: Cases) -> tuple[float, Array]:
        torch = needed("torch", "TorchObjective")
        with torch.enable_grad():
            flat = torch.tensor(params, requires_grad=True)
            loss = loss_of(self, outputs_of_rows(self, flat, cases), cases)
            (gradient,) = torch.autograd.grad(loss, flat)
        return float(loss.detach()), as_numpy(gradient)

    def _forward_pass(self, params: Array, cases: Cases) -> ForwardPass:
        return TorchPass(self, params, cases)


def _trained(torch: Any, module: Any) -> dict[str, Any]:
    """Return the parameters of a module that are trained; all of one dtype, on one device."""
    lazy = torch.nn.parameter.UninitializedParameter
    for name, parameter in module.named_parameters():
        if isinstance(parameter, lazy):
            raise ValueError(
                f"`module` has the parameter {name!r}, whose shape is not known yet. Call the "
                "module once with inputs."
            )
    trained = {name: part for name, part in module.named_parameters() if part.requires_grad}
    if not trained:
        raise ValueError(
            "`module` has no parameter with `requires_grad`, but at least one to train was "
            "expected. Set requires_grad_(True)."
        )
    dtypes = {part.dtype for part in trained.values()}
    if len(dtypes) > 1 or not dtypes <= {torch.float32, torch.float64}:
        listed = ", ".join(sorted(map(str, dtypes)))
        raise ValueError(
            f"`module` has parameters of {listed}, but all of torch.float32 or all of "
            "torch.float64 were expected. Call module.float() or module.double()."
        )
    devices = {str(part.device) for part in module.parameters()}
    if len(devices) > 1:
        raise ValueError(
            f"`module` is spread over the devices {sorted(devices)}, but one was expected. Call "
            "module.to(device)."
        )
    return trained
