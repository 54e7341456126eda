"""Levenberg-Marquardt damping, and the reduction ratio that it is adapted by."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reservoir.utils.explained import explained


@explained
@dataclass(frozen=True)
class LevenbergMarquardt:
    r"""Raise and lower the damping λ by how well the model predicted the loss [1]_.

    .. math::

        \lambda \leftarrow
        \begin{cases}
            \min(\tfrac32\, \lambda, \mathrm{ceiling})
                & \text{where } \rho < \tfrac14 \text{ or } \rho \text{ is NaN} \\
            \max(\tfrac23\, \lambda, \mathrm{floor}) & \text{where } \rho > \tfrac34 \\
            \lambda & \text{otherwise}
        \end{cases}

    Parameters
    ----------
    initial : float, default=10.0
        λ of the first step, on the scale of the curvature of a mean loss. 10 is the value of [2]_;
        the code of [1]_ has 45 for autoencoders, and far smaller ones suit the long-lag problems of
        recurrent nets (0.03 there).
    increase : float, default=1.5
        Factor where the model predicted too large a decrease.
    decrease : float, default=2/3
        Factor where it predicted well.
    low : float, default=0.25
        The reduction ratio below which λ is raised.
    high : float, default=0.75
        The reduction ratio above which λ is lowered.
    floor : float, default=1e-6
        λ is never lowered below it. Not in [1]_: with few conjugate-gradient iterations per step, ρ
        stays near 1 and λ would fall to where it no longer restrains the first bad batch, from
        which it climbs back by no more than 3/2 per step.
    ceiling : float, default=1e10
        λ is never raised above it. Not in [1]_: where loss after loss overflows λ would rise to
        infinity, from which no loss brings it back.

    Notes
    -----
    λ = 0 (`initial` and `floor` both 0) stays 0: undamped steps, as Newton's.

    Examples
    --------
    >>> policy = LevenbergMarquardt()
    >>> policy.update(10.0, reduction_ratio=0.1), policy.update(9.0, reduction_ratio=0.9)
    (15.0, 6.0)

    References
    ----------
    .. [1] Martens (2010), Deep learning via Hessian-free optimization, section 4.1.
    .. [2] Sutskever, Martens & Hinton (2011), Generating text with recurrent neural networks,
       section 4.
    """

    initial: float = 10.0
    increase: float = 3 / 2
    decrease: float = 2 / 3
    low: float = 0.25
    high: float = 0.75
    floor: float = 1e-6
    ceiling: float = 1e10

    def __post_init__(self) -> None:
        """Check the constants against each other."""
        if not 0 <= self.floor <= self.initial < math.inf:
            raise ValueError(
                f"`initial` is {self.initial} and `floor` {self.floor}, but 0 <= floor <= initial "
                "was expected. Raise `initial` or lower `floor`."
            )
        if not self.initial <= self.ceiling < math.inf:
            raise ValueError(
                f"`initial` is {self.initial} and `ceiling` {self.ceiling}, but initial <= ceiling "
                "< infinity was expected. Raise `ceiling` or lower `initial`."
            )
        if not 0 < self.decrease <= 1 <= self.increase:
            raise ValueError(
                f"`increase` is {self.increase} and `decrease` {self.decrease}, but "
                "0 < decrease <= 1 <= increase was expected. Pass factors on the two sides of 1."
            )
        if not self.low <= self.high:
            raise ValueError(
                f"`low` is {self.low} and `high` {self.high}, but low <= high was expected. "
                "Swap them."
            )

    def update(self, damping: float, reduction_ratio: float) -> float:
        """Return the λ of the next step, given that of this one and its ρ."""
        if math.isnan(reduction_ratio) or reduction_ratio < self.low:
            return min(damping * self.increase, self.ceiling)
        if reduction_ratio > self.high:
            return max(damping * self.decrease, self.floor)
        return damping

    def settle(self, damping: float) -> float:
        """Return the λ after a step that changed nothing: kept, or lowered towards the first one.

        At a minimum ρ is rounding error, and no reason to raise λ. Where steps are nothing because
        λ is large, it is lowered, so that learning may go on.

        Examples
        --------
        >>> policy = LevenbergMarquardt(initial=9.0)
        >>> policy.settle(2.0), policy.settle(30.0), policy.settle(10.0)
        (2.0, 20.0, 9.0)
        """
        if damping <= self.initial:
            return damping
        return max(damping * self.decrease, self.initial)


@explained
def reduction_ratio(change: float, predicted_change: float) -> float:
    r"""Return the decrease of the loss over the one that the model predicted.

    .. math:: \rho = (f(\theta + \delta) - f(\theta)) \,/\, q(\delta)

    and -∞ where f did not decrease.

    Parameters
    ----------
    change : float
        f(θ + δ) - f(θ).
    predicted_change : float
        q(δ), with q(0) = 0; negative for a model that predicts a decrease.

    Returns
    -------
    float
        NaN where `change` is not a number or the model predicts no decrease.

    Examples
    --------
    >>> reduction_ratio(-0.5, -1.0), reduction_ratio(0.1, -1.0)
    (0.5, -inf)

    References
    ----------
    Martens (2010), Deep learning via Hessian-free optimization, section 4.1.
    """
    if math.isnan(change) or not predicted_change < 0:
        return math.nan
    return change / predicted_change if change < 0 else -math.inf
