"""The forward pass of a PyTorch module, kept with the graphs that products are had from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hessianfree.interfaces._batches import Cases, check_targets, row_length
from hessianfree.interfaces._objective import refuse_other_than_scalar
from hessianfree.interfaces._optional import needed
from reservoir.utils.types import Array


class TorchPass:
    """A module around one point, on one batch, with its forward pass kept.

    Parameters
    ----------
    objective : TorchObjective
    params : ndarray of shape (n_params,)
    cases : Cases
    """

    def __init__(self, objective: Any, params: Array, cases: Cases) -> None:
        torch = needed("torch", "TorchObjective")
        self._objective, self._cases = objective, cases
        with torch.enable_grad():
            self._flat = torch.tensor(params, requires_grad=True)
            self._outputs = outputs_of_rows(objective, self._flat, cases)
            if not self._outputs.requires_grad:
                raise ValueError(
                    "`module` has outputs that don't depend on the parameters that are trained. "
                    "Don't detach them, nor run the net under torch.no_grad()."
                )
            # The loss is differentiated by itself, in the outputs alone.
            self._at = self._outputs.detach().requires_grad_()
            loss = loss_of(objective, self._at, cases)
            (self._slope,) = torch.autograd.grad(loss, self._at, create_graph=True)
        self.value = float(loss.detach())
        self._pullback: tuple[Any, Any] | None = None
        self._differentiates_twice = True

    def gradient(self) -> Array:
        """Return Jᵀ ∂L/∂z."""
        return self._back(self._slope.detach())

    def product(self, v: Array) -> Array:
        """Return Jᵀ H_L J v."""
        torch = needed("torch", "TorchObjective")
        change = self._push(torch.tensor(v))
        if not self._slope.requires_grad:  # of a loss that is linear in the outputs
            return np.zeros_like(v)
        (curved,) = torch.autograd.grad(self._slope, self._at, change, retain_graph=True)
        return self._back(curved)

    def _back(self, cotangent: Any) -> Array:
        """Return Jᵀ u."""
        torch = needed("torch", "TorchObjective")
        (found,) = torch.autograd.grad(self._outputs, self._flat, cotangent, retain_graph=True)
        return as_numpy(found)

    def _push(self, v: Any) -> Any:
        """Return J v: the derivative of Jᵀ u, which is linear in u, along v."""
        torch = needed("torch", "TorchObjective")
        if self._differentiates_twice:
            try:
                if self._pullback is None:
                    u = torch.zeros_like(self._outputs, requires_grad=True)
                    self._pullback = (
                        u,
                        torch.autograd.grad(self._outputs, self._flat, u, create_graph=True)[0],
                    )
                u, pulled = self._pullback
                return torch.autograd.grad(pulled, u, v, retain_graph=True)[0]
            except RuntimeError:
                # An operation whose backward pass has no derivative may have a forward mode.
                self._differentiates_twice = False
        return self._push_forward(v)

    def _push_forward(self, v: Any) -> Any:
        """Return J v by forward mode, which runs the net again."""
        torch = needed("torch", "TorchObjective")
        mode = torch.autograd.forward_ad
        try:
            with torch.no_grad(), mode.dual_level():
                dual = mode.make_dual(self._flat.detach(), v)
                outputs = outputs_of_rows(self._objective, dual, self._cases)
                change = mode.unpack_dual(outputs).tangent
        except RuntimeError as error:
            raise ValueError(
                "`module` has an operation that PyTorch can neither differentiate twice nor in "
                f"forward mode, so that there are no Gauss-Newton products of it: {error}"
            ) from error
        return torch.zeros_like(self._outputs) if change is None else change


def as_numpy(tensor: Any) -> Array:
    """Return a tensor as a new array."""
    array: Array = tensor.detach().cpu().numpy().copy()
    return array


def outputs_of_rows(objective: Any, flat: Any, cases: Cases) -> Any:
    """Return the outputs of the module, for a `Batch` those rows that are scored.

    Parameters
    ----------
    objective : TorchObjective
    flat : tensor of shape (n_params,)
    cases : Cases
    """
    torch = needed("torch", "TorchObjective")
    module, layout = objective.module, objective.layout
    _refuse_chance(torch, module)
    sizes = [part.stop - part.start for part in layout.slices.values()]
    device = next(module.parameters()).device
    pieces = flat.to(device).split(sizes)
    blocks = {
        name: piece.view(shape)
        for (name, shape), piece in zip(layout.shapes.items(), pieces, strict=True)
    }
    for named in (module.named_parameters(), module.named_buffers()):
        for name, other in named:
            if name not in blocks and other.is_floating_point() and other.dtype != flat.dtype:
                blocks[name] = other.detach().to(flat.dtype)
    inputs = _as_tensor(torch, cases.inputs, flat.dtype, device)
    with _twice_differentiable(torch, module):
        outputs = torch.func.functional_call(module, blocks, (inputs,))
    if not isinstance(outputs, torch.Tensor):
        raise TypeError(
            f"`module` returned a {type(outputs).__name__}, but one tensor of outputs was "
            "expected. Wrap it in a module that returns what the loss compares with the targets; "
            "of a recurrent net, the outputs without the state."
        )
    if cases.rows is None:
        return outputs
    if outputs.ndim != 3 or outputs.shape[:2] != inputs.shape[:2]:
        raise ValueError(
            f"`module` gave outputs of shape {tuple(outputs.shape)}, but (n_steps, n_sequences, "
            f"n_outputs) with {tuple(inputs.shape[:2])} first was expected for a Batch. Put time "
            "first: batch_first=False."
        )
    if len(cases.rows) == outputs.shape[0] * outputs.shape[1]:
        return outputs.reshape(-1, outputs.shape[2])
    return outputs.reshape(-1, outputs.shape[2])[torch.from_numpy(cases.rows).to(device)]


def loss_of(objective: Any, outputs: Any, cases: Cases) -> Any:
    """Return the loss of outputs as a tensor without axes.

    Parameters
    ----------
    objective : TorchObjective
    outputs : tensor
        Of the rows that are scored.
    cases : Cases
    """
    torch = needed("torch", "TorchObjective")
    targets = _as_tensor(torch, cases.targets, outputs.dtype, outputs.device)
    if not isinstance(objective.loss, str):
        if cases.weights is not None:
            raise ValueError(
                "`batch` has unequal weights in its mask, which a loss of your own knows nothing "
                'of. Use a loss by its name, as "squared_error", or a mask of 0 and 1.'
            )
        loss = objective.loss(outputs, targets)
        if not isinstance(loss, torch.Tensor):
            raise TypeError(
                f"`loss` gave a {type(loss).__name__}, but a scalar tensor was expected. Compute "
                "it by PyTorch's functions."
            )
        refuse_other_than_scalar(tuple(loss.shape))
        return loss
    check_targets(objective.loss, cases.targets, tuple(outputs.shape))
    rows = outputs.reshape(-1, row_length(outputs.shape))
    by_class = targets.ndim < outputs.ndim
    targets = targets.reshape(-1) if by_class else targets.reshape(rows.shape).to(rows.dtype)
    values = _row_losses(torch, objective.loss, rows, targets)
    if cases.weights is None:
        return values.mean()
    return values @ torch.tensor(cases.weights, dtype=values.dtype, device=values.device)


def _row_losses(torch: Any, loss: str, rows: Any, targets: Any) -> Any:
    """Return the loss of each row, by the definitions of `SequenceNetwork`."""
    functional = torch.nn.functional
    if loss == "squared_error":
        return 0.5 * (rows - targets).square().sum(dim=1)
    if loss == "logistic":
        return functional.binary_cross_entropy_with_logits(rows, targets, reduction="none").sum(1)
    return functional.cross_entropy(rows, targets, reduction="none")


def _as_tensor(torch: Any, array: Any, dtype: Any, device: Any) -> Any:
    """Return an array or tensor as a tensor; real numbers in a dtype, integers as they are."""
    if isinstance(array, torch.Tensor):
        return array.to(device, dtype if array.is_floating_point() else array.dtype)
    array = np.asarray(array)
    tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    return tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)


@contextmanager
def _twice_differentiable(torch: Any, module: Any) -> Iterator[None]:
    """Choose those of PyTorch's kernels whose backward pass has a derivative."""
    attention = torch.nn.attention
    recurrent = any(isinstance(part, torch.nn.RNNBase) for part in module.modules())
    cudnn = torch.backends.cudnn
    with (
        attention.sdpa_kernel(attention.SDPBackend.MATH),
        cudnn.flags(enabled=cudnn.enabled and not recurrent),
    ):
        yield


def _refuse_chance(torch: Any, module: Any) -> None:
    """Raise if a part of a module is no function of parameters and inputs."""
    nn = torch.nn
    dropout = nn.modules.dropout._DropoutNd  # noqa: SLF001 - the base class of all of them
    norm = nn.modules.batchnorm._NormBase  # noqa: SLF001
    for name, part in module.named_modules():
        if not part.training:
            continue
        rate = getattr(part, "dropout", 0.0) if isinstance(part, nn.RNNBase) else 0.0
        if isinstance(part, dropout):
            rate = part.p
        if isinstance(part, nn.MultiheadAttention):
            rate = part.dropout
        learns = isinstance(part, norm) and (
            part.track_running_stats or isinstance(part, nn.modules.batchnorm._BatchNorm)  # noqa: SLF001
        )
        if rate or learns or isinstance(part, nn.RReLU):
            what = f"{type(part).__name__} {name!r}" if name else type(part).__name__
            raise ValueError(
                f"`module` has {what} in training mode, whose outputs are no function of the "
                "parameters and the case: curvature and line search would measure its noise. Call "
                "module.eval() first: dropout then lets all through, and batch norm uses the "
                "statistics that it has."
            )
