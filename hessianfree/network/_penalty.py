"""Half the squared weights, as a part of an objective."""

from __future__ import annotations

from hessianfree.network._parameters import ParameterLayout
from reservoir.utils.device import module_of
from reservoir.utils.types import Array


class WeightPenalty:
    """What an objective adds for its weights: blocks with one axis, as biases, are left out.

    Attributes
    ----------
    layout : ParameterLayout
    l2 : float
    """

    layout: ParameterLayout
    l2: float

    def penalty(self, params: Array) -> float:
        """Return (l2 / 2) Σ ‖W‖²."""
        if not self.l2:
            return 0.0
        xp = module_of(params)
        return 0.5 * self.l2 * sum(float(xp.vdot(params[p], params[p])) for p in self._penalised())

    def add_penalty_product(self, v: Array, out: Array) -> None:
        """Add l2 · v on the weights to `out`."""
        if self.l2:
            for part in self._penalised():
                out[part] += self.l2 * v[part]

    def _penalised(self) -> list[slice]:
        """Return the ranges of the flat vector that the penalty acts on."""
        return [
            part for name, part in self.layout.slices.items() if len(self.layout.shapes[name]) > 1
        ]
