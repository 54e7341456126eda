"""First-order optimization with a learning rate per parameter: Adagrad, RMSprop, Adam."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hessianfree.network._parameters import flat_copy
from hessianfree.optimize._first_order import DescentState, FirstOrder
from hessianfree.optimize._schedules import Schedule
from reservoir.utils.device import module_of
from reservoir.utils.persistence import register
from reservoir.utils.types import Array
from reservoir.utils.validation import check_real


@register
@dataclass(frozen=True)
class AdagradState(DescentState):
    """The state of `Adagrad`: also the sums s of squared gradients, of shape (n_params,)."""

    squares: Array


@register
@dataclass(frozen=True)
class RMSpropState(DescentState):
    """The state of `RMSprop`: also mean squared gradients s and the velocity v."""

    squares: Array
    velocity: Array


@register
@dataclass(frozen=True)
class AdamState(DescentState):
    """The state of `Adam`: also the biased means m of the gradients and s of their squares."""

    mean: Array
    squares: Array


@register
@dataclass(frozen=True)
class Adagrad(FirstOrder[AdagradState]):
    r"""Gradient descent with a rate per parameter that falls with all its gradients so far [1]_.

    .. math::

        s &\leftarrow s + g^2 \\
        \theta &\leftarrow \theta - \varepsilon\, g / (\sqrt s + \delta)

    Read more in the guide: :doc:`/guide/first_order`.

    Parameters
    ----------
    learning_rate, clip_norm, clip_value
        As in `FirstOrder`.
    stabilizer : float, default=1e-10
        δ, which keeps the quotient finite.

    References
    ----------
    .. [1] Duchi, Hazan & Singer (2011), Adaptive subgradient methods for online learning and
       stochastic optimization, JMLR 12.
    """

    stabilizer: float = field(default=1e-10, kw_only=True)

    def __post_init__(self) -> None:
        """Check the constants."""
        super().__post_init__()
        check_real("stabilizer", self.stabilizer, minimum=0, exclusive=True)

    def init(self, params: Array) -> AdagradState:
        """Return the state before the first step; see `FirstOrder.init`."""
        params = flat_copy(params)
        return AdagradState(params, 0, module_of(params).zeros_like(params))

    def _update(self, state: AdagradState, gradient: Array, learning_rate: float) -> AdagradState:
        squares = state.squares + gradient * gradient
        step = learning_rate * gradient / (module_of(squares).sqrt(squares) + self.stabilizer)
        return replace(state, params=state.params - step, squares=squares)


@register
@dataclass(frozen=True)
class RMSprop(FirstOrder[RMSpropState]):
    r"""Gradient descent with a rate per parameter set by its recent gradients, and momentum [1]_.

    .. math::

        s &\leftarrow \alpha s + (1 - \alpha)\, g^2 \\
        v &\leftarrow \mu v - \varepsilon\, g / (\sqrt s + \delta) \\
        \theta &\leftarrow \theta + v

    Read more in the guide: :doc:`/guide/first_order`.

    Parameters
    ----------
    learning_rate, clip_norm, clip_value
        As in `FirstOrder`; 0.001.
    decay : float, default=0.99
        α from 0 to below 1; [1]_ has 0.9.
    momentum : float, default=0.0
        μ from 0 to below 1.
    stabilizer : float, default=1e-8
        δ.

    Notes
    -----
    As with `Momentum`, PyTorch's velocity is in units of ε: the two differ where ε changes.

    References
    ----------
    .. [1] Tieleman & Hinton (2012), Lecture 6.5: RMSprop, Neural networks for machine learning;
       with momentum: Graves (2013), Generating sequences with recurrent neural networks.
    """

    learning_rate: float | Schedule = 0.001
    decay: float = field(default=0.99, kw_only=True)
    momentum: float = field(default=0.0, kw_only=True)
    stabilizer: float = field(default=1e-8, kw_only=True)

    def __post_init__(self) -> None:
        """Check the constants."""
        super().__post_init__()
        _check_fraction("decay", self.decay)
        _check_fraction("momentum", self.momentum)
        check_real("stabilizer", self.stabilizer, minimum=0, exclusive=True)

    def init(self, params: Array) -> RMSpropState:
        """Return the state before the first step, at rest; see `FirstOrder.init`."""
        params = flat_copy(params)
        return RMSpropState(
            params, 0, module_of(params).zeros_like(params), module_of(params).zeros_like(params)
        )

    def _update(self, state: RMSpropState, gradient: Array, learning_rate: float) -> RMSpropState:
        squares = self.decay * state.squares + (1 - self.decay) * gradient * gradient
        step = learning_rate * gradient / (module_of(squares).sqrt(squares) + self.stabilizer)
        velocity = self.momentum * state.velocity - step
        return replace(state, params=state.params + velocity, squares=squares, velocity=velocity)


@register
@dataclass(frozen=True)
class Adam(FirstOrder[AdamState]):
    r"""Momentum and a rate per parameter, both from running means of the gradient [1]_.

    .. math::

        m &\leftarrow \beta_1 m + (1 - \beta_1)\, g, &
        \hat m &= m / (1 - \beta_1^t) \\
        s &\leftarrow \beta_2 s + (1 - \beta_2)\, g^2, &
        \hat s &= s / (1 - \beta_2^t) \\
        \theta &\leftarrow \theta - \varepsilon\, \hat m / (\sqrt{\hat s} + \delta)

    with t = 1 at the first update: the quotients undo that the means start from zero.

    Read more in the guide: :doc:`/guide/first_order`.

    Parameters
    ----------
    learning_rate, clip_norm, clip_value
        As in `FirstOrder`; 0.001 as in [1]_.
    mean_decay : float, default=0.9
        β₁ from 0 to below 1.
    square_decay : float, default=0.999
        β₂ from 0 to below 1.
    stabilizer : float, default=1e-8
        δ.

    References
    ----------
    .. [1] Kingma & Ba (2015), Adam: a method for stochastic optimization, ICLR, algorithm 1.
    """

    learning_rate: float | Schedule = 0.001
    mean_decay: float = field(default=0.9, kw_only=True)
    square_decay: float = field(default=0.999, kw_only=True)
    stabilizer: float = field(default=1e-8, kw_only=True)

    def __post_init__(self) -> None:
        """Check the constants."""
        super().__post_init__()
        _check_fraction("mean_decay", self.mean_decay)
        _check_fraction("square_decay", self.square_decay)
        check_real("stabilizer", self.stabilizer, minimum=0, exclusive=True)

    def init(self, params: Array) -> AdamState:
        """Return the state before the first step; see `FirstOrder.init`."""
        params = flat_copy(params)
        return AdamState(
            params, 0, module_of(params).zeros_like(params), module_of(params).zeros_like(params)
        )

    def _update(self, state: AdamState, gradient: Array, learning_rate: float) -> AdamState:
        t = state.n_steps + 1
        mean = self.mean_decay * state.mean + (1 - self.mean_decay) * gradient
        squares = self.square_decay * state.squares + (1 - self.square_decay) * gradient * gradient
        scale = module_of(squares).sqrt(squares / (1 - self.square_decay**t)) + self.stabilizer
        step = learning_rate / (1 - self.mean_decay**t) * mean / scale
        return replace(state, params=state.params - step, mean=mean, squares=squares)


def _check_fraction(name: str, value: float) -> float:
    """Return a decay or momentum from 0 to below 1, or say what is wrong with it."""
    value = check_real(name, value, minimum=0)
    if value >= 1:
        raise ValueError(
            f"`{name}` is {value}, but a number of 0 or more and below 1 was expected. "
            "Pass for instance 0.9."
        )
    return value
