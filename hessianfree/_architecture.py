"""What an estimator's net is made of, as plain data that a file can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hessianfree.cells import Cell, ElmanCell, MultiplicativeCell, TensorCell
from hessianfree.network import SequenceNetwork
from reservoir._validation import check_choice
from reservoir.persistence import register

CELLS = ("vanilla", "multiplicative", "tensor")
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
    loss: str
    l2: float

    def __post_init__(self) -> None:
        """Check what the net itself does not."""
        check_choice("cell", self.cell, CELLS)
        check_choice("gain", self.gain, GAINS)

    def build(self, max_rows: int | None = None) -> SequenceNetwork:
        """Return the net; `max_rows` as there."""
        shared: dict[str, Any] = {
            "activation": self.activation,
            "learn_initial_state": self.learned_initial_state,
        }
        cell: Cell
        if self.cell == "vanilla":
            cell = ElmanCell(self.n_inputs, self.n_units, **shared)
        elif self.cell == "tensor":
            cell = TensorCell(self.n_inputs, self.n_units, **shared)
        else:
            gain = self.gain
            if gain == "auto":
                gain = "linear" if self.has_symbols else "shifted_tanh"
            cell = MultiplicativeCell(
                self.n_inputs, self.n_units, self.n_factors, gain=gain, **shared
            )
        return SequenceNetwork(cell, self.n_outputs, self.loss, l2=self.l2, max_rows=max_rows)
