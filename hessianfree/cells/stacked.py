"""Stacked recurrent layers: the states of one are the inputs of the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessianfree.cells.base import Cell, ParameterBlocks
from hessianfree.cells.bidirectional import reads_ahead, run_cell
from reservoir.utils.device import module_of
from reservoir.utils.explained import explained
from reservoir.utils.types import Array


@dataclass(frozen=True, eq=False)
class StackedTrajectory:
    """The trajectories of all layers of a `StackedCell`, the lowest first."""

    layers: tuple[Any, ...]

    @property
    def states(self) -> Array:
        """States of the highest layer, of shape (n_steps, n_sequences, n_units)."""
        states: Array = self.layers[-1].states
        return states

    @property
    def final_state(self) -> Array:
        """The last states of all layers side by side, of shape (n_sequences, state_size)."""
        states = [layer.final_state for layer in self.layers]
        joined: Array = module_of(states[0]).concatenate(states, axis=1)
        return joined

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        return sum(layer.nbytes for layer in self.layers)


@explained
class StackedCell:
    """Recurrent layers on top of each other [1]_.

    The states of a layer are the inputs of the layer above; what comes after the stack sees those
    of the highest.

    Read more in the guide: :doc:`/guide/cells`.

    Parameters
    ----------
    cells : sequence of Cell
        The lowest first, each with as many inputs as the one below has units.

    Attributes
    ----------
    cells : tuple of Cell
    n_inputs : int
        That of the lowest.
    n_units : int
        That of the highest.
    state_size : int
        The sum of those of the layers, whose states stand side by side, the lowest first.

    Raises
    ------
    ValueError
        If there is no cell, or the sizes do not fit.

    Notes
    -----
    Blocks of parameters are those of the layers, with `layer1.` before the names of the lowest,
    `layer2.` before those of the next. Structural damping charges for changing the states of every
    layer, not of the highest alone.

    Examples
    --------
    >>> from hessianfree.cells import ElmanCell, LSTMCell
    >>> cell = StackedCell([LSTMCell(n_inputs=2, n_units=5), ElmanCell(n_inputs=5, n_units=3)])
    >>> cell.n_inputs, cell.n_units, cell.state_size
    (2, 3, 13)
    >>> cell.parameter_shapes["layer2.input"]
    (3, 5)

    References
    ----------
    .. [1] Graves, Mohamed & Hinton (2013), Speech recognition with deep recurrent neural networks,
       ICASSP, eq. 11.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = tuple(cells)
        if not self.cells:
            raise ValueError(
                "`cells` is empty, but at least one was expected. Pass the layers, lowest first."
            )
        for i, (below, above) in enumerate(zip(self.cells, self.cells[1:]), start=1):
            if above.n_inputs != below.n_units:
                raise ValueError(
                    f"`cells[{i}]` has {above.n_inputs} inputs, but {below.n_units} were expected: "
                    "the units of the layer below. Make them equal."
                )
        self.n_inputs = self.cells[0].n_inputs
        self.n_units = self.cells[-1].n_units
        self.state_size = sum(cell.state_size for cell in self.cells)

    @property
    def reads_ahead(self) -> bool:
        """Whether a layer is bidirectional."""
        return any(reads_ahead(cell) for cell in self.cells)

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each block of parameters."""
        return {
            f"layer{i}.{name}": shape
            for i, cell in enumerate(self.cells, start=1)
            for name, shape in cell.parameter_shapes.items()
        }

    @property
    def learned_states(self) -> dict[str, slice]:
        """Blocks of learned initial states, and where they lie in the state."""
        found, start = {}, 0
        for i, cell in enumerate(self.cells, start=1):
            for name, part in cell.learned_states.items():
                found[f"layer{i}.{name}"] = slice(start + part.start, start + part.stop)
            start += cell.state_size
        return found

    @property
    def initial_biases(self) -> dict[str, float]:
        """Biases that do not start at zero, by name of the block."""
        return {
            f"layer{i}.{name}": bias
            for i, cell in enumerate(self.cells, start=1)
            for name, bias in cell.initial_biases.items()
        }

    def forward(
        self,
        params: ParameterBlocks,
        inputs: NDArray[Any],
        initial_state: Array | None = None,
        *,
        states_only: bool = False,
        lengths: NDArray[np.intp] | None = None,
    ) -> StackedTrajectory:
        """Run the recurrence; see `Cell.forward`, and `BidirectionalCell.forward` for lengths."""
        layers: list[Any] = []
        starts = self._split(initial_state)
        for cell, own, start in zip(self.cells, self._blocks(params), starts):
            layers.append(
                run_cell(cell, own, inputs, start, states_only=states_only, lengths=lengths)
            )
            inputs = layers[-1].states
        return StackedTrajectory(tuple(layers))

    def jvp(
        self,
        params: ParameterBlocks,
        trajectory: StackedTrajectory,
        d_params: ParameterBlocks,
        d_inputs: Array | None = None,
        d_initial_state: Array | None = None,
    ) -> Array:
        """Return the tangents of the highest states; see `Cell.jvp`."""
        blocks, d_blocks = self._blocks(params), self._blocks(d_params)
        starts = self._split(d_initial_state)
        d_states = d_inputs
        for cell, own, layer, d_own, d_start in zip(
            self.cells, blocks, trajectory.layers, d_blocks, starts
        ):
            d_states = cell.jvp(own, layer, d_own, d_states, d_start)
        assert d_states is not None
        return d_states

    def vjp(
        self,
        params: ParameterBlocks,
        trajectory: StackedTrajectory,
        states_bar: Array,
        *,
        params_bar: dict[str, Array] | None = None,
        preactivations_bar: Array | None = None,
        damping: Array | None = None,
        with_inputs_bar: bool = False,
        initial_state_bar: Array | None = None,
    ) -> tuple[dict[str, Array], Array | None]:
        """Return the cotangents of the parameters and inputs; see `Cell.vjp`."""
        if params_bar is None:
            xp = module_of(states_bar)
            params_bar = {
                name: xp.empty(shape, dtype=states_bar.dtype)
                for name, shape in self.parameter_shapes.items()
            }
        blocks, blocks_bar = self._blocks(params), self._blocks(params_bar)
        starts_bar = self._split(initial_state_bar)
        bar: Array | None = states_bar
        for i in reversed(range(len(self.cells))):
            assert bar is not None
            _, bar = self.cells[i].vjp(
                blocks[i],
                trajectory.layers[i],
                bar,
                params_bar=blocks_bar[i],
                damping=damping,
                with_inputs_bar=i > 0 or with_inputs_bar,
                initial_state_bar=starts_bar[i],
            )
        return params_bar, bar

    def release(self, trajectory: StackedTrajectory) -> None:
        """Let cotangents overwrite slopes in the next and last sweep; see `Cell.release`."""
        for cell, layer in zip(self.cells, trajectory.layers):
            cell.release(layer)

    def squared_vjp(
        self,
        params: ParameterBlocks,
        trajectory: StackedTrajectory,
        states_bar: Array,
        *,
        with_inputs_bar: bool = False,
        initial_state_bar: Array | None = None,
    ) -> tuple[dict[str, Array], Array | None]:
        """Return Σ_i (params_bar of sequence i)²; see `Cell.squared_vjp`."""
        blocks, starts_bar = self._blocks(params), self._split(initial_state_bar)
        total: dict[str, Array] = {}
        bar: Array | None = states_bar
        for i in reversed(range(len(self.cells))):
            assert bar is not None
            squares, bar = self.cells[i].squared_vjp(
                blocks[i],
                trajectory.layers[i],
                bar,
                with_inputs_bar=i > 0 or with_inputs_bar,
                initial_state_bar=starts_bar[i],
            )
            total.update({f"layer{i + 1}.{name}": block for name, block in squares.items()})
        return total, bar

    def _blocks(self, blocks: ParameterBlocks) -> list[dict[str, Array]]:
        """Return the blocks of each layer, by the names that the layer knows."""
        return [
            {name: blocks[f"layer{i}.{name}"] for name in cell.parameter_shapes}
            for i, cell in enumerate(self.cells, start=1)
        ]

    def _split(self, states: Array | None) -> list[Array | None]:
        """Return the part of each layer of states, tangents or cotangents side by side."""
        if states is None:
            return [None] * len(self.cells)
        bounds = [0, *accumulate(cell.state_size for cell in self.cells)]
        return [states[:, start:stop] for start, stop in pairwise(bounds)]
