"""Dropout: units that the output layer does not see, drawn once an iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer, check_real


@explained
@dataclass(frozen=True)
class Dropout:
    r"""Units left out of what the output layer sees, by chance, and the others raised [1]_.

    .. math:: \tilde h_{it} = m_i \odot h_{it} / (1 - p), \quad m_{ik} \in \{0, 1\},
              \; P(m_{ik} = 0) = p

    One mask m_i holds for all steps of a sequence [2]_, and for all that an iteration computes:
    loss, gradient, Gauss-Newton products and line search are those of one function. Nothing between
    one state and the next is left out.

    Parameters
    ----------
    rate : float in [0, 1)
        p.
    n_units : int
        Units of the highest layer.

    References
    ----------
    .. [1] Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov (2014), Dropout: a simple way
       to prevent neural networks from overfitting, JMLR 15.
    .. [2] Gal & Ghahramani (2016), A theoretically grounded application of dropout in recurrent
       neural networks, NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> Dropout(0.5, n_units=4).draw(2, np.random.default_rng(0))
    array([[2., 0., 0., 0.],
           [2., 2., 2., 2.]])
    """

    rate: float
    n_units: int

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_rate("rate", self.rate)
        check_integer("n_units", self.n_units, minimum=1)

    def draw(self, n_sequences: int, rng: np.random.Generator) -> Array:
        """Return m / (1 - p) of each sequence, of shape (n_sequences, n_units)."""
        stays = rng.random((n_sequences, self.n_units)) >= self.rate
        scale: Array = stays / (1 - self.rate)
        return scale


def check_rate(name: str, rate: Any) -> float:
    """Return a rate of 0 or more and below 1."""
    checked = check_real(name, rate, minimum=0)
    if checked >= 1:
        raise ValueError(
            f"`{name}` is {checked}, but a number of 0 or more and below 1 was expected. Pass for "
            "instance 0.2."
        )
    return checked
