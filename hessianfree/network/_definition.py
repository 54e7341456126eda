"""Definition of a recurrent net: cell, output layer, loss, penalty and device."""

from __future__ import annotations

import copy
from typing import Self

from hessianfree.cells.base import Cell
from hessianfree.network._losses import (
    LogisticCrossEntropy,
    Loss,
    SoftmaxCrossEntropy,
    SquaredError,
    check_loss,
)
from hessianfree.network._parameters import ParameterLayout
from hessianfree.network._penalty import WeightPenalty
from reservoir.utils.device import door_namespace, resolve_device, to_namespace
from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer, check_real

LOSSES: dict[str, type[Loss]] = {
    "squared_error": SquaredError,
    "logistic": LogisticCrossEntropy,
    "softmax": SoftmaxCrossEntropy,
}


class NetworkDefinition(WeightPenalty):
    """All that the sweeps need to know of a net; see `SequenceNetwork` for the parameters."""

    # Whether large batches are cut into a slice for each core.
    takes_threads = True

    @explained
    def __init__(
        self,
        cell: Cell,
        n_outputs: int,
        loss: str | Loss = "squared_error",
        *,
        l2: float = 0.0,
        structural_distance: str = "squared",
        max_rows: int | None = None,
        n_initial_inputs: int | None = None,
        device: str = "cpu",
    ) -> None:
        if isinstance(loss, str):
            loss = LOSSES[check_choice("loss", loss, LOSSES)]()
        check_loss(loss)
        check_choice("structural_distance", structural_distance, ("squared", "quarter"))
        if structural_distance == "quarter" and getattr(cell, "activation", None) != "tanh":
            raise ValueError(
                "`structural_distance` is 'quarter', but that form belongs to cells whose states "
                "are a tanh. Use 'squared'."
            )
        self.cell = cell
        self.device = resolve_device(device)
        self.n_outputs = check_integer("n_outputs", n_outputs, minimum=1)
        self.loss = loss
        self.l2 = check_real("l2", l2, minimum=0)
        self.structural_distance = structural_distance
        self.max_rows = None if max_rows is None else check_integer("max_rows", max_rows, minimum=1)
        shapes = cell.parameter_shapes
        self.n_initial_inputs = n_initial_inputs
        if n_initial_inputs is not None:
            check_integer("n_initial_inputs", n_initial_inputs, minimum=1)
            shapes["initial_input"] = (cell.state_size, n_initial_inputs)
        shapes["output"] = (self.n_outputs, cell.n_units)
        shapes["output_bias"] = (self.n_outputs,)
        self.layout = ParameterLayout(shapes)
        self.n_params = self.layout.n_params

    def initial_state(self, blocks: dict[str, Array], initial_inputs: Array | None) -> Array | None:
        """Return W_s v_i + s_0 of each sequence, or None where only s_0 is learned.

        Parameters
        ----------
        blocks : dict of str to ndarray
            Parameters by name.
        initial_inputs : ndarray of shape (n_sequences, n_initial_inputs) or None

        Returns
        -------
        ndarray of shape (n_sequences, state_size) or None
        """
        if initial_inputs is None:
            return None
        state: Array = initial_inputs @ blocks["initial_input"].T
        for name, part in self.cell.learned_states.items():
            state[:, part] += blocks[name]
        return state

    def place(self, params: Array, name: str = "params") -> Array:
        """Return a flat vector where the network computes, after a check."""
        self.layout.check(params, name)
        xp = door_namespace(type(self).__name__, self.device, **{name: params})
        placed: Array = to_namespace(xp, params)
        return placed

    def without_penalty(self) -> Self:
        """Return the same net with `l2` 0, whose value is the loss on the data alone.

        Returns
        -------
        SequenceNetwork
            Its parameters are those of this one.

        Examples
        --------
        >>> import numpy as np
        >>> from hessianfree import Batch, ElmanCell, SequenceNetwork
        >>> network = SequenceNetwork(ElmanCell(1, 1), n_outputs=1, l2=0.5)
        >>> batch = Batch(np.zeros((3, 2, 1)), np.zeros((3, 2, 1)))
        >>> params = np.append(np.ones(1), np.zeros(network.n_params - 1))
        >>> network.value(params, batch), network.without_penalty().value(params, batch)
        (0.25, 0.0)
        """
        network = copy.copy(self)
        network.l2 = 0.0
        return network

    def on_one_thread(self) -> Self:
        """Return the same net, which leaves other cores to others."""
        network = copy.copy(self)
        network.takes_threads = False
        return network
