"""The architecture of an estimator's net, as plain data for model files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hessianfree.cells import (
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
from hessianfree.network._network import SequenceNetwork
from reservoir.utils.persistence import register
from reservoir.utils.validation import check_choice, check_integer

GATED: dict[str, Any] = {
    "lstm": LSTMCell,
    "gru": GRUCell,
    "mut1": MUT1Cell,
    "mut2": MUT2Cell,
    "mut3": MUT3Cell,
}


CELLS = ("vanilla", "multiplicative", "tensor", *GATED)


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
    n_layers: int = 1

    def __post_init__(self) -> None:
        """Check what the net itself does not."""
        check_choice("cell", self.cell, CELLS)
        check_choice("gain", self.gain, GAINS)
        check_integer("n_layers", self.n_layers, minimum=1)

    def build(self, max_rows: int | None = None, device: str = "cpu") -> SequenceNetwork:
        """Return the net; `max_rows` and `device` as there."""
        cell = self._layer(self.n_inputs, self.has_symbols)
        if self.n_layers > 1:
            above = [self._layer(self.n_units, False) for _ in range(self.n_layers - 1)]
            cell = StackedCell([cell, *above])
        return SequenceNetwork(
            cell, self.n_outputs, self.loss, l2=self.l2, max_rows=max_rows, device=device
        )

    def _layer(self, n_inputs: int, has_symbols: bool) -> Cell:
        """Return one layer."""
        learned = {"learn_initial_state": self.learned_initial_state}
        cell: Cell
        if self.cell in GATED:
            cell = GATED[self.cell](n_inputs, self.n_units, **learned)
            return cell
        shared: dict[str, Any] = {"activation": self.activation, **learned}
        if self.cell == "vanilla":
            return ElmanCell(n_inputs, self.n_units, **shared)
        if self.cell == "tensor":
            return TensorCell(n_inputs, self.n_units, **shared)
        gain = self.gain
        if gain == "auto":
            gain = "linear" if has_symbols else "shifted_tanh"
        return MultiplicativeCell(n_inputs, self.n_units, self.n_factors, gain=gain, **shared)
