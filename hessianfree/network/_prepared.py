"""Batches as a network computes with them: checked against it, sliced, and where it computes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch, check_initial_inputs
from hessianfree.cells._inputs import check_inputs
from hessianfree.network._definition import NetworkDefinition
from reservoir.utils.device import MEMORY_REMEDY, module_of, move_state, naming_remedy
from reservoir.utils.types import Array

# What was moved lives as long as the batch that it was made of.
_PLACED: WeakKeyDictionary[Batch, dict[Hashable, list[PreparedBatch]]] = WeakKeyDictionary()


def place_batch(
    xp: Any, batch: Batch, key: Hashable, make: Callable[[], list[PreparedBatch]]
) -> list[PreparedBatch]:
    """Return what a batch is computed with, in a namespace.

    On the host it is made anew, which costs little. What was moved to a GPU is kept there as long
    as the batch lives, so that the losses, products and gradients of an iteration move it once.

    Parameters
    ----------
    xp : module
    batch : Batch
    key : hashable
        All that decides, beside the batch, what `make` returns.
    make : callable
        Returns the slices on the host.
    """
    if xp is np:
        return make()
    placed = _PLACED.setdefault(batch, {})
    if key not in placed:
        with naming_remedy(MEMORY_REMEDY):
            placed[key] = [move_state(xp, part) for part in make()]
    return placed[key]


def prepare_for(network: NetworkDefinition, params: Array, batch: Batch) -> list[PreparedBatch]:
    """Return the slices of a batch beside the parameters; they fit the network."""
    sizes = network.cell.n_inputs, network.n_outputs, network.n_initial_inputs
    key = (params.dtype, network.max_rows, sizes, network.loss.takes_classes)
    return place_batch(
        module_of(params), batch, key, lambda: _checked_slices(network, params.dtype, batch)
    )


def check_vectors(network: NetworkDefinition, initial_inputs: Any, n_sequences: int) -> None:
    """Raise unless initial inputs are there, of the right shape, where the network has them."""
    if initial_inputs is not None:
        check_initial_inputs(initial_inputs, n_sequences)
    found = None if initial_inputs is None else initial_inputs.shape[1]
    if found != network.n_initial_inputs:
        raise ValueError(
            f"`initial_inputs` has {found or 'no'} columns, but the network has "
            f"{network.n_initial_inputs or 'no'} initial inputs. Set `n_initial_inputs` of the "
            "network to the number of columns."
        )


def _checked_slices(
    network: NetworkDefinition, dtype: np.dtype[Any], batch: Batch
) -> list[PreparedBatch]:
    """Return the slices of a batch on the host, after a check that they fit the network."""
    if batch.initial_state is None or batch.initial_inputs is not None:
        check_vectors(network, batch.initial_inputs, batch.n_sequences)
    slices = prepare(batch, dtype, network.max_rows)
    classes = batch.targets.ndim == 2
    if classes and not network.loss.takes_classes:
        raise ValueError(
            f"`targets` has shape {batch.targets.shape}: integer classes, which belong to the "
            "softmax loss, but real numbers were expected. Pass an array of shape (n_steps, "
            "n_sequences, n_outputs)."
        )
    if not classes and batch.targets.shape[2] != network.n_outputs:
        raise ValueError(
            f"`targets` has {batch.targets.shape[2]} features, but the network has "
            f"{network.n_outputs} outputs. Pass one column per output."
        )
    if classes:
        low = min(part.targets.min() for part in slices)
        high = max(part.targets.max() for part in slices)
        if low < 0 or high >= network.n_outputs:
            raise ValueError(
                f"`targets` has classes up to {high} and down to {low}, but 0 to "
                f"{network.n_outputs - 1} were expected. Number the classes from 0."
            )
    if network.device != "cpu":
        for part in slices:
            check_inputs(part.inputs, network.cell.n_inputs)
    return slices


@dataclass(frozen=True, eq=False)
class PreparedBatch:
    """A batch, or some sequences of it, in the form the computations use.

    Steps after the last scored one are cut off, padding is overwritten by zeros, and weights are
    turned into the coefficients of a sum.

    Attributes
    ----------
    inputs : ndarray of shape (n_steps, n_sequences, n_inputs) or (n_steps, n_sequences)
        In the dtype of the parameters, or intp.
    targets : ndarray of shape (n_rows, n_outputs) or (n_rows,)
        Of the output rows: the steps from `first_scored` on, n_rows = (n_steps - first_scored) ·
        n_sequences.
    coefficients : ndarray of shape (n_rows, 1)
        w_it / Σ w over the whole batch.
    first_scored : int
        The first step at which any sequence is scored.
    live : ndarray of shape (n_steps, n_sequences, 1) or None
        1 up to the end of each sequence, 0 after it; None where there is no padding.
    n_scored : int
        Number of scored steps of the whole batch.
    initial_inputs : ndarray of shape (n_sequences, n_initial_inputs) or None
        In the dtype of the parameters; None where there is an initial state.
    initial_state : ndarray of shape (n_sequences, state_size) or None
        In the dtype of the parameters.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    coefficients: Array
    first_scored: int
    live: Array | None
    n_scored: int
    initial_inputs: Array | None
    initial_state: Array | None

    @property
    def n_steps(self) -> int:
        """Steps up to the last scored one."""
        return int(self.inputs.shape[0])

    @property
    def n_sequences(self) -> int:
        """Number of sequences."""
        return int(self.inputs.shape[1])


def prepare(batch: Batch, dtype: np.dtype[Any], max_rows: int | None) -> list[PreparedBatch]:
    """Return `batch` ready for computation, cut into slices of whole sequences.

    Parameters
    ----------
    batch : Batch
    dtype : numpy.dtype
        Of the parameters.
    max_rows : int or None
        A slice has at most so many steps times sequences, but at least one sequence.

    Returns
    -------
    list of PreparedBatch
        The sums over the slices are the means over the batch.
    """
    n_steps, n_sequences = batch.n_steps, batch.n_sequences
    n_scored = batch.n_scored
    per_slice = n_sequences if max_rows is None else max(1, max_rows // n_steps)
    if batch.mask is None:
        weights = np.full((n_steps, n_sequences), 1.0 / n_scored)
    else:
        weights = batch.mask / np.sum(batch.mask, dtype=np.float64)
    return [
        _prepare_slice(batch, weights, n_scored, dtype, slice(start, start + per_slice))
        for start in range(0, n_sequences, per_slice)
    ]


def _prepare_slice(
    batch: Batch, weights: Array, n_scored: int, dtype: np.dtype[Any], part: slice
) -> PreparedBatch:
    """Return the sequences `part` of the batch in the form the computations use."""
    weights = weights[:, part]
    scored = weights > 0
    steps = np.flatnonzero(scored.any(axis=1))
    # A slice without a scored step still runs one step, with coefficient zero.
    first, stop = (int(steps[0]), int(steps[-1]) + 1) if len(steps) else (0, 1)
    inputs, targets = batch.inputs[:stop, part], batch.targets[first:stop, part]
    weights, scored = weights[first:stop], scored[:stop]
    inputs = np.ascontiguousarray(inputs, dtype=np.intp if inputs.ndim == 2 else dtype)
    targets = np.ascontiguousarray(targets, dtype=np.intp if targets.ndim == 2 else dtype)
    live = np.logical_or.accumulate(scored[::-1], axis=0)[::-1]
    if not live.all():
        inputs = np.where(live if inputs.ndim == 2 else live[..., None], inputs, 0)
    scored = scored[first:]
    if not scored.all():
        targets = np.where(scored if targets.ndim == 2 else scored[..., None], targets, 0)
    return PreparedBatch(
        inputs=inputs.astype(inputs.dtype if inputs.ndim == 2 else dtype, copy=False),
        targets=targets.reshape(-1, *targets.shape[2:]),
        coefficients=weights.astype(dtype).reshape(-1, 1),
        first_scored=first,
        live=None if live.all() else live[..., None].astype(dtype),
        n_scored=n_scored,
        initial_inputs=None
        if batch.initial_inputs is None or batch.initial_state is not None
        else batch.initial_inputs[part].astype(dtype),
        initial_state=None
        if batch.initial_state is None
        else batch.initial_state[part].astype(dtype, copy=False),
    )
