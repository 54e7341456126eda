"""Batches for nets that others wrote: pairs of arrays, or sequences of the library's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch, is_pair
from hessianfree.network._losses import LogisticCrossEntropy, SoftmaxCrossEntropy
from reservoir.utils.types import Array, Integers


@dataclass(frozen=True)
class Cases:
    """What a net is given, and what its outputs are compared with.

    Attributes
    ----------
    inputs, targets : ndarray, or array of the framework
        Of a `Batch` targets are the rows that are scored.
    rows : ndarray of shape (n_rows,), optional
        Which rows of the outputs are scored, steps and sequences counted as one axis; all without.
    weights : ndarray of shape (n_rows,), optional
        Of the rows, their sum 1; equal ones without.
    """

    inputs: Any
    targets: Any
    rows: Integers | None = None
    weights: Array | None = None

    def refuse_bad_numbers(self) -> None:
        """Raise if an array has a NaN or an infinity, which explains a loss that is not finite."""
        for name, array in (("inputs", self.inputs), ("targets", self.targets)):
            values = _on_host(array)
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                bad = values[~np.isfinite(values)][0]
                raise ValueError(
                    f"`{name}` of the batch holds {bad}, but finite numbers were expected. Leave "
                    "such cases out, or fill them in."
                )


def read_batch(batch: Any, dtype: np.dtype[Any]) -> Cases:
    """Return a batch as cases whose real numbers are of a dtype.

    Parameters
    ----------
    batch : Batch or (inputs, targets)
    dtype : dtype
        Of the parameters.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If inputs and targets are not of as many cases, or there are none.
    """
    if isinstance(batch, Batch):
        cases = _of_sequences(batch)
    elif is_pair(batch):
        inputs, targets = batch
        cases = Cases(inputs, targets)
        lengths = [0 if part.ndim == 0 else part.shape[0] for part in (cases.inputs, cases.targets)]
        if lengths[0] != lengths[1] or not lengths[0]:
            raise ValueError(
                f"`batch` has {lengths[0]} inputs and {lengths[1]} targets, but as many of both, "
                "and at least one, were expected. The first axis of each is that of the cases."
            )
    else:
        raise TypeError(
            f"`batch` is of type {type(batch).__name__}, but a pair of arrays (inputs, targets) or "
            "a Batch was expected. With `train`, pass Minibatches((inputs, targets), size) as its "
            "data."
        )
    return replace(
        cases, inputs=_as_dtype(cases.inputs, dtype), targets=_as_dtype(cases.targets, dtype)
    )


def _of_sequences(batch: Batch) -> Cases:
    """Return the sequences of a batch, with zeros in place of what is never read."""
    if batch.initial_inputs is not None or batch.initial_state is not None:
        raise ValueError(
            "`batch` has initial inputs or an initial state, but a net that others wrote takes "
            "inputs alone. Make them part of the inputs."
        )
    inputs, targets = batch.inputs, batch.targets
    if inputs.ndim == 3 and inputs.dtype.kind != "f":
        inputs = inputs.astype(np.float64)
    targets = targets.reshape(-1, *targets.shape[2:])
    if batch.mask is None:
        return Cases(inputs, targets, np.arange(len(targets)))
    scored = batch.mask > 0
    # A sequence ends at its last scored step: what stands after it may be anything.
    lasts = np.where(scored, np.arange(batch.n_steps)[:, None], -1).max(axis=0)
    padding = np.arange(batch.n_steps)[:, None] > lasts
    if padding.any():
        inputs = inputs.copy()
        inputs[padding] = 0
    rows = np.flatnonzero(scored)
    weights = np.asarray(batch.mask, dtype=np.float64).ravel()[rows]
    equal = bool((weights == weights[0]).all())
    return Cases(inputs, targets[rows], rows, None if equal else weights / weights.sum())


def _as_dtype(array: Any, dtype: np.dtype[Any]) -> Any:
    """Return NumPy's real numbers in a dtype, booleans too; other arrays as they are."""
    if not isinstance(array, np.ndarray):
        return array
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"`batch` has an array of dtype {array.dtype}, but real numbers or integers were "
            "expected. Convert it."
        )
    if array.dtype.kind in "fb":
        return np.ascontiguousarray(array, dtype=dtype)
    return np.ascontiguousarray(array, dtype=np.int64)


def _on_host(array: Any) -> NDArray[Any]:
    """Return an array of whatever framework as one of NumPy."""
    return np.asarray(array.detach().cpu().numpy() if hasattr(array, "detach") else array)


def check_targets(loss: str, targets: Any, shape: tuple[int, ...]) -> None:
    """Raise unless targets fit a loss that goes by its name.

    Parameters
    ----------
    loss : {"squared_error", "logistic", "softmax"}
    targets : array
    shape : tuple of int
        Of the outputs that they are compared with; the last axis is that of one row.

    Raises
    ------
    ValueError
        If their shape, or a value, is another one than the loss asks for.
    """
    host = _on_host(targets)
    if not shape or (loss == "softmax" and len(shape) < 2):
        raise ValueError(
            f"The net has outputs of shape {shape}, but at least one for each case was expected by "
            f"the `loss` {loss!r}. Keep the axis of the cases, and for the softmax that of classes."
        )
    if loss == "softmax" and host.dtype.kind in "iu" and host.shape == shape[:-1]:
        _check_classes(host, shape[-1])
        return
    if host.shape != shape:
        also = f", or integer classes of shape {shape[:-1]}," if loss == "softmax" else ""
        raise ValueError(
            f"`targets` has shape {host.shape}, but {shape}{also} was expected by the loss "
            f"{loss!r}, as the net's outputs have it. Reshape them, as by targets[:, None]."
        )
    rows = host.reshape(-1, row_length(shape))
    if loss == "logistic":
        LogisticCrossEntropy().check_targets(rows)
    if loss == "softmax":
        SoftmaxCrossEntropy().check_targets(rows)


def row_length(shape: tuple[int, ...]) -> int:
    """Return how many outputs a row has: the last axis, or one number a case.

    Examples
    --------
    >>> row_length((20, 5, 3)), row_length((20,))
    (3, 1)
    """
    return int(shape[-1]) if len(shape) > 1 else 1


def _check_classes(classes: NDArray[Any], n_classes: int) -> None:
    outside = (classes < 0) | (classes >= n_classes)
    if outside.any():
        raise ValueError(
            f"`targets` holds the class {classes[outside][0]}, but integers from 0 to "
            f"{n_classes - 1} were expected: the net has {n_classes} outputs. Number the classes "
            "from 0 on."
        )
