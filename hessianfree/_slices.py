"""Batches as a network computes with them: checked against it, sliced, and where it computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hessianfree._placement import place_batch
from hessianfree.batch import Batch, PreparedBatch, check_initial_inputs, prepare
from hessianfree.cells._inputs import check_inputs
from hessianfree.objective import Array
from reservoir._device import module_of

if TYPE_CHECKING:
    from hessianfree.network import SequenceNetwork


def prepare_for(network: SequenceNetwork, params: Array, batch: Batch) -> list[PreparedBatch]:
    """Return the slices of a batch beside the parameters; they fit the network."""
    sizes = network.cell.n_inputs, network.n_outputs, network.n_initial_inputs
    key = (params.dtype, network.max_rows, sizes, network.loss.takes_classes)
    return place_batch(
        module_of(params), batch, key, lambda: _checked_slices(network, params.dtype, batch)
    )


def check_vectors(network: SequenceNetwork, initial_inputs: Any, n_sequences: int) -> None:
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
    network: SequenceNetwork, dtype: np.dtype[Any], batch: Batch
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
