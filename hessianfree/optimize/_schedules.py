"""Schedules of learning rate and momentum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from reservoir.utils.explained import explained
from reservoir.utils.persistence import register
from reservoir.utils.validation import check_integer, check_real

Schedule = Callable[[int], float]


def value_at(name: str, schedule: float | Schedule, n_steps: int) -> float:
    """Return the value of a number or a schedule after `n_steps` updates.

    Parameters
    ----------
    name : str
        Of the argument, for the error.
    schedule : float or callable
        A callable takes the number of updates made before.
    n_steps : int

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If it is negative or not finite.

    Examples
    --------
    >>> value_at("learning_rate", 0.1, 7), value_at("learning_rate", lambda t: 1 / (1 + t), 4)
    (0.1, 0.2)
    """
    return check_real(name, schedule(n_steps) if callable(schedule) else schedule, minimum=0)


@explained
@register
@dataclass(frozen=True)
class PiecewiseConstant:
    r"""One value after the other.

    .. math:: s(t) = \mathrm{values}[i], \quad i \text{ the number of boundaries} \le t

    Parameters
    ----------
    values : tuple of float
        One more than boundaries.
    boundaries : tuple of int
        Rising numbers of updates; from each on, the next value holds.

    Examples
    --------
    The momentum of [1]_ for recurrent nets, 0.9 for the first 1,000 updates:

    >>> momentum = PiecewiseConstant((0.9, 0.995), (1000,))
    >>> momentum(999), momentum(1000)
    (0.9, 0.995)

    References
    ----------
    .. [1] Sutskever, Martens, Dahl & Hinton (2013), On the importance of initialization and
       momentum in deep learning, ICML, section 4.
    """

    values: tuple[float, ...]
    boundaries: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check that the two go together."""
        for value in self.values:
            check_real("values", value, minimum=0)
        rising = all(a < b for a, b in zip((0, *self.boundaries), self.boundaries))
        if len(self.values) != len(self.boundaries) + 1 or not rising:
            raise ValueError(
                f"`values` has {len(self.values)} numbers and `boundaries` is {self.boundaries}, "
                "but positive rising boundaries, one less than values, were expected. Pass for "
                "instance (0.9, 0.995) and (1000,)."
            )

    def __call__(self, n_steps: int) -> float:
        """Return the value after that many updates."""
        return self.values[sum(boundary <= n_steps for boundary in self.boundaries)]


@register
@dataclass(frozen=True)
class ExponentialDecay:
    r"""A fixed factor every so many updates.

    .. math:: s(t) = \mathrm{initial} \cdot \mathrm{factor}^{t / \mathrm{every}}

    with the exponent ⌊t / every⌋ where `staircase`.

    Parameters
    ----------
    initial : float
    factor : float
        Above 0 and up to 1.
    every : int
        Updates in which the factor is applied once.
    staircase : bool, default=False
        Whether it is applied at once after `every` updates, and not little by little.

    Examples
    --------
    >>> ExponentialDecay(0.1, 0.25, every=100)(50)
    0.05
    >>> ExponentialDecay(0.1, 0.25, every=100, staircase=True)(50)
    0.1
    """

    initial: float
    factor: float
    every: int
    staircase: bool = False

    def __post_init__(self) -> None:
        """Check the constants."""
        check_real("initial", self.initial, minimum=0)
        check_real("factor", self.factor, minimum=0, maximum=1, exclusive=True)
        check_integer("every", self.every, minimum=1)

    def __call__(self, n_steps: int) -> float:
        """Return the value after that many updates."""
        times = n_steps // self.every if self.staircase else n_steps / self.every
        return float(self.initial * self.factor**times)


@register
@dataclass(frozen=True)
class InverseTimeDecay:
    r"""A fall as 1 / t.

    .. math:: s(t) = \mathrm{initial} \,/\, (1 + t / \mathrm{half\_life})

    Parameters
    ----------
    initial : float
    half_life : float
        Updates after which half of `initial` is left.

    Examples
    --------
    >>> decay = InverseTimeDecay(0.1, half_life=100)
    >>> decay(0), decay(100), decay(900)
    (0.1, 0.05, 0.01)

    References
    ----------
    Robbins & Monro (1951), A stochastic approximation method: rates whose sum is infinite and whose
    squares' sum is not.
    """

    initial: float
    half_life: float

    def __post_init__(self) -> None:
        """Check the constants."""
        check_real("initial", self.initial, minimum=0)
        check_real("half_life", self.half_life, minimum=0, exclusive=True)

    def __call__(self, n_steps: int) -> float:
        """Return the value after that many updates."""
        return self.initial / (1 + n_steps / self.half_life)


@register
@dataclass(frozen=True)
class CosineDecay:
    r"""Half a cosine from one value to another.

    .. math::

        s(t) = \mathrm{final} + \tfrac12\, (\mathrm{initial} - \mathrm{final})
               (1 + \cos(\pi t / \mathrm{n\_steps}))

    and `final` after `n_steps` [1]_.

    Parameters
    ----------
    initial : float
    n_steps : int
        Updates of the whole way.
    final : float, default=0.0

    Examples
    --------
    >>> decay = CosineDecay(0.1, n_steps=200)
    >>> decay(0), round(decay(100), 12), decay(200), decay(300)
    (0.1, 0.05, 0.0, 0.0)

    References
    ----------
    .. [1] Loshchilov & Hutter (2017), SGDR: stochastic gradient descent with warm restarts, ICLR,
       eq. 5, without restarts.
    """

    initial: float
    n_steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        """Check the constants."""
        check_real("initial", self.initial, minimum=0)
        check_integer("n_steps", self.n_steps, minimum=1)
        check_real("final", self.final, minimum=0)

    def __call__(self, n_steps: int) -> float:
        """Return the value after that many updates."""
        share = min(n_steps / self.n_steps, 1.0)
        return self.final + (self.initial - self.final) * 0.5 * (1 + math.cos(math.pi * share))


@register
@dataclass(frozen=True)
class SutskeverMomentum:
    r"""Momentum that rises towards a maximum [1]_.

    .. math::

        \mu_t = \min\big(1 - 2^{-1 - \log_2(\lfloor t / 250 \rfloor + 1)},\ \mathrm{maximum}\big)

    It starts at 1/2 and comes near 1 as 1 - 1/t does, in stairs: the longer the run, the more old
    gradients agree with new ones.

    Parameters
    ----------
    maximum : float, default=0.99
        Below 1. [1]_ tries 0, 0.9, 0.99, 0.995 and 0.999.
    every : int, default=250
        Updates on a stair, as in [1]_.

    Examples
    --------
    >>> momentum = SutskeverMomentum(0.99)
    >>> [momentum(t) for t in (0, 250, 750, 1_000_000)]
    [0.5, 0.75, 0.875, 0.99]

    References
    ----------
    .. [1] Sutskever, Martens, Dahl & Hinton (2013), On the importance of initialization and
       momentum in deep learning, ICML, eq. 5.
    """

    maximum: float = 0.99
    every: int = 250

    def __post_init__(self) -> None:
        """Check the constants."""
        check_real("maximum", self.maximum, minimum=0, maximum=1)
        check_integer("every", self.every, minimum=1)

    def __call__(self, n_steps: int) -> float:
        """Return the momentum after that many updates."""
        return float(min(1 - 2.0 ** (-1 - math.log2(n_steps // self.every + 1)), self.maximum))
