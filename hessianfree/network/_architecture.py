"""The architecture of an estimator's net, as plain data for model files."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hessianfree.cells import (
    BidirectionalCell,
    Cell,
    ElmanCell,
    GRUCell,
    LSTMCell,
    MultiplicativeCell,
    MUT1Cell,
    MUT2Cell,
    MUT3Cell,
    StackedCell,
    TensorCell,
)
from hessianfree.network._losses import Loss
from hessianfree.network._network import SequenceNetwork
from reservoir.utils.persistence import register
from reservoir.utils.validation import check_choice, check_integer

CELLS: dict[str, type] = {
    "vanilla": ElmanCell,
    "multiplicative": MultiplicativeCell,
    "tensor": TensorCell,
    "lstm": LSTMCell,
    "gru": GRUCell,
    "mut1": MUT1Cell,
    "mut2": MUT2Cell,
    "mut3": MUT3Cell,
}


# What a cell is made with that has a parameter of its own in the estimators.
_NAMED = ("n_inputs", "n_units", "n_factors", "gain", "activation", "learn_initial_state")


GAINS = ("auto", "linear", "shifted_tanh")


@register
@dataclass(frozen=True)
class Architecture:
    """The choices that define a `SequenceNetwork`; see `RNNRegressor` for what they mean."""

    cell: str
    n_inputs: int
    n_units: int
    n_factors: int | None
    gain: str
    activation: str
    has_symbols: bool
    learned_initial_state: bool
    n_outputs: int
    loss: str | Loss
    l2: float
    n_layers: int = 1
    cell_options: Mapping[str, Any] | None = None
    bidirectional: bool = False
    per_sequence: bool = False

    def __post_init__(self) -> None:
        """Check what the net itself does not."""
        check_choice("cell", self.cell, CELLS)
        check_choice("gain", self.gain, GAINS)
        check_integer("n_layers", self.n_layers, minimum=1)
        _check_options(self.cell, self.cell_options)

    def build(self, max_rows: int | None = None, device: str = "cpu") -> SequenceNetwork:
        """Return the net; `max_rows` and `device` as there."""
        layers = [self._layer(self.n_inputs, self.has_symbols, self.n_layers == 1)]
        while len(layers) < self.n_layers:
            is_highest = len(layers) + 1 == self.n_layers
            layers.append(self._layer(layers[-1].n_units, False, is_highest))
        cell = layers[0] if self.n_layers == 1 else StackedCell(layers)
        return SequenceNetwork(
            cell, self.n_outputs, self.loss, l2=self.l2, max_rows=max_rows, device=device
        )

    def _layer(self, n_inputs: int, has_symbols: bool, is_highest: bool) -> Cell:
        """Return one layer, of both directions where there are two."""
        cell = self._cell(n_inputs, has_symbols)
        if not self.bidirectional:
            return cell
        # An output for a sequence sees both directions where they have read all of it.
        aligned = not (self.per_sequence and is_highest)
        return BidirectionalCell(cell, self._cell(n_inputs, has_symbols), aligned=aligned)

    def _cell(self, n_inputs: int, has_symbols: bool) -> Cell:
        """Return one cell."""
        chosen: dict[str, Any] = {
            "activation": self.activation,
            "learn_initial_state": self.learned_initial_state,
        }
        if self.cell == "multiplicative":
            gain = self.gain
            if gain == "auto":
                gain = "linear" if has_symbols else "shifted_tanh"
            chosen |= {"gain": gain, "n_factors": self.n_factors}
        make = CELLS[self.cell]
        taken = {name: chosen[name] for name in _parameters(make) if name in chosen}
        cell: Cell = make(n_inputs, self.n_units, **taken, **(self.cell_options or {}))
        return cell


def _parameters(cell: type) -> list[str]:
    """Return the names of what a cell is made with."""
    return list(inspect.signature(cell).parameters)


def _check_options(cell: str, options: Any) -> None:
    """Raise unless options are None or a mapping of names that the cell takes."""
    if options is None:
        return
    if not isinstance(options, Mapping):
        raise TypeError(
            f"`cell_options` is {options!r} of type {type(options).__name__}, but options by name "
            "were expected. Pass for instance {'forget_bias': 2.0} with the cell 'lstm'."
        )
    taken = [name for name in _parameters(CELLS[cell]) if name not in _NAMED]
    for name in options:
        if name not in taken:
            known = " and ".join(map(repr, taken)) or "none"
            remedy = "Pass one of these" if taken else "Leave it out"
            hint = ", or set the parameter of the estimator" if name in _NAMED else ""
            raise ValueError(
                f"`cell_options` has {name!r}, but the options of the cell {cell!r} are: {known}. "
                f"{remedy}{hint}."
            )
