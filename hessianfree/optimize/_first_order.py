"""First-order optimization: steps along the gradient, with momentum or a scale per parameter."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, NotRequired, TypeVar

import numpy as np

from hessianfree.batch import count_sequences
from hessianfree.network._parameters import flat_copy
from hessianfree.optimize._clipping import clip_by_norm, clip_by_value, vector_norm
from hessianfree.optimize._protocols import Objective, StepInfo, place_state
from hessianfree.optimize._schedules import Schedule, value_at
from reservoir.utils.device import module_of
from reservoir.utils.persistence import register
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Array
from reservoir.utils.validation import check_real


@register
@dataclass(frozen=True)
class DescentState:
    """The state of `SGD` between two steps, and part of that of each of the others.

    Attributes
    ----------
    params : ndarray of shape (n_params,)
        θ.
    n_steps : int
        Updates made; steps that were refused do not count.
    """

    params: Array
    n_steps: int


@register
@dataclass(frozen=True)
class MomentumState(DescentState):
    """The state of `Momentum`: also the velocity v, of shape (n_params,)."""

    velocity: Array


State = TypeVar("State", bound=DescentState)


class FirstOrderInfo(StepInfo):
    """What a first-order optimizer reports of a step.

    Attributes
    ----------
    loss : float
        On the batch, where the gradient was taken.
    gradient_norm : float
        Before clipping.
    learning_rate : float
    clipped : bool
        Whether the gradient was.
    step_norm : float
    accepted : bool
        Whether loss, gradient and what follows from them are finite.
    passes, sequence_gradients : float
        1, and the number of sequences in the batch.
    momentum : float
        μ; of `Momentum` alone.
    """

    gradient_norm: float
    learning_rate: float
    clipped: bool
    step_norm: float
    accepted: bool
    momentum: NotRequired[float]


@dataclass(frozen=True)
class FirstOrder(Generic[State]):
    """Base class of the first-order optimizers; a subclass defines the update from a gradient.

    Parameters
    ----------
    learning_rate : float or callable
        ε ≥ 0, or a schedule: number of updates made before -> ε.
    clip_norm : float, optional
        A longer gradient is shortened to this norm; see `clip_by_norm`.
    clip_value : float, optional
        Components beyond ±clip_value are cut off, before `clip_norm`; see `clip_by_value`.
    """

    learning_rate: float | Schedule = 0.01
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)

    uses_curvature: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the constants."""
        value_at("learning_rate", self.learning_rate, 0)
        for name in ("clip_norm", "clip_value"):
            limit = getattr(self, name)
            if limit is not None:
                check_real(name, limit, minimum=0, exclusive=True)

    def init(self, params: Array) -> State:
        """Return the state before the first step.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
            θ; copied. Its dtype is that of all further arithmetic.

        Returns
        -------
        DescentState
            Or that of the optimizer, which has more.
        """
        raise NotImplementedError

    def _point(self, state: State) -> Array:
        """Return where the gradient is taken."""
        return state.params

    def _update(self, state: State, gradient: Array, learning_rate: float) -> State:
        """Return the state after a step, `n_steps` left as it is."""
        raise NotImplementedError

    # An overflow rejects the step, and `info` reports it; it needs no warning besides.
    @np.errstate(over="ignore", invalid="ignore", under="ignore")
    @with_few_threads
    def step(
        self,
        objective: Objective,
        state: State,
        gradient_batch: Any = None,
        curvature_batch: Any = None,
    ) -> tuple[State, FirstOrderInfo]:
        """Make one step.

        Parameters
        ----------
        objective : Objective
            What is minimized.
        state : DescentState
            From `init` or the last step; not changed.
        gradient_batch : object, optional
            Passed on to the objective.
        curvature_batch : object, optional
            Not used; here for the protocol.

        Returns
        -------
        state : DescentState
            The same as before where loss, gradient or what would follow from them is not finite.
        info : FirstOrderInfo
            A dict of numbers; see there for its keys.
        """
        state = place_state(objective, state)
        xp = module_of(state.params)
        learning_rate = value_at("learning_rate", self.learning_rate, state.n_steps)
        loss, gradient = objective.value_and_gradient(self._point(state), gradient_batch)
        gradient = xp.asarray(gradient, dtype=state.params.dtype)
        used = gradient
        if self.clip_value is not None:
            used = clip_by_value(used, self.clip_value)
        if self.clip_norm is not None:
            used = clip_by_norm(used, self.clip_norm)
        info: FirstOrderInfo = {
            "loss": float(loss),
            "gradient_norm": vector_norm(gradient),
            "learning_rate": learning_rate,
            "clipped": used is not gradient and not bool(xp.array_equal(used, gradient)),
            "step_norm": 0.0,
            "accepted": False,
            "passes": 1.0,
            "sequence_gradients": float(count_sequences(gradient_batch)),
        }
        if not (math.isfinite(loss) and math.isfinite(info["gradient_norm"])):
            return state, info
        new_state = self._update(state, used, learning_rate)
        if not _is_finite(new_state):
            return state, info
        info["step_norm"] = vector_norm(new_state.params - state.params)
        info["accepted"] = True
        return replace(new_state, n_steps=state.n_steps + 1), info


@register
@dataclass(frozen=True)
class SGD(FirstOrder[DescentState]):
    r"""Stochastic gradient descent.

    .. math:: \theta \leftarrow \theta - \varepsilon \nabla f(\theta)

    Read more in the guide: :doc:`/guide/first_order`.

    Parameters
    ----------
    learning_rate, clip_norm, clip_value
        As in `FirstOrder`. The default of 0.01 is a guess: it depends on the problem.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.optimize import FunctionObjective
    >>> sphere = FunctionObjective(
    ...     value=lambda x: 0.5 * x @ x, gradient=lambda x: x, product=lambda x, v: v)
    >>> optimizer = SGD(0.5)
    >>> state, info = optimizer.step(sphere, optimizer.init(np.array([8.0, 0.0])))
    >>> state.params, info["loss"]
    (array([4., 0.]), 32.0)
    """

    def init(self, params: Array) -> DescentState:
        """Return the state before the first step; see `FirstOrder.init`."""
        return DescentState(flat_copy(params), 0)

    def _update(self, state: DescentState, gradient: Array, learning_rate: float) -> DescentState:
        return replace(state, params=state.params - learning_rate * gradient)


@register
@dataclass(frozen=True)
class Momentum(FirstOrder[MomentumState]):
    r"""Gradient descent with momentum, classical or Nesterov's, in the form of [1]_.

    .. math::

        v &\leftarrow \mu v - \varepsilon \nabla f(\theta)
            && \text{classical, or} \\
        v &\leftarrow \mu v - \varepsilon \nabla f(\theta + \mu v)
            && \text{Nesterov} \\
        \theta &\leftarrow \theta + v

    The classical form is that of [2]_. Along directions of little curvature steps add up to
    1 / (1 - μ) of their length. Nesterov's gradient is taken where μ v would lead by itself, so
    that a velocity that leads uphill is corrected a step earlier: larger μ stay stable.

    Read more in the guide: :doc:`/guide/first_order`.

    Parameters
    ----------
    learning_rate, clip_norm, clip_value
        As in `FirstOrder`.
    momentum : float or callable, default=0.9
        μ from 0 to 1, or a schedule: `SutskeverMomentum`, or `PiecewiseConstant` as in the
        experiments of [1]_ with recurrent nets.
    nesterov : bool, default=True

    Notes
    -----
    PyTorch's `SGD` keeps the velocity in units of the learning rate, v = -ε b, and for Nesterov the
    point ahead instead of θ itself, θ̂ = θ + μ v:

    .. math::

        b \leftarrow \mu b + \nabla f(\hat\theta), \quad
        \hat\theta \leftarrow \hat\theta - \varepsilon\, (\nabla f(\hat\theta) + \mu b) .

    With constant ε and μ the two are the same run: its parameters are θ + μ v of this one, and of
    classical momentum θ itself. Where ε changes they differ: there the old velocity is rescaled,
    here it goes on as it is. Where μ changes, θ̂ there has been built with the old one.

    `info["momentum"]` is μ. The loss of Nesterov's steps is that at θ + μ v.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.optimize import FunctionObjective
    >>> sphere = FunctionObjective(
    ...     value=lambda x: 0.5 * x @ x, gradient=lambda x: x, product=lambda x, v: v)
    >>> optimizer = Momentum(0.5, momentum=0.5)
    >>> state = optimizer.init(np.array([8.0]))
    >>> for _ in range(2):
    ...     state, _ = optimizer.step(sphere, state)
    >>> state.params, state.velocity
    (array([1.]), array([-3.]))

    References
    ----------
    .. [1] Sutskever, Martens, Dahl & Hinton (2013), On the importance of initialization and
       momentum in deep learning, ICML, eqs. 1-4.
    .. [2] Polyak (1964), Some methods of speeding up the convergence of iteration methods.
    """

    momentum: float | Schedule = field(default=0.9, kw_only=True)
    nesterov: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        """Check the constants."""
        super().__post_init__()
        self._momentum(0)

    def init(self, params: Array) -> MomentumState:
        """Return the state before the first step, at rest; see `FirstOrder.init`."""
        params = flat_copy(params)
        return MomentumState(params, 0, module_of(params).zeros_like(params))

    @with_few_threads
    def step(
        self,
        objective: Objective,
        state: MomentumState,
        gradient_batch: Any = None,
        curvature_batch: Any = None,
    ) -> tuple[MomentumState, FirstOrderInfo]:
        """Make one step; see `FirstOrder.step`."""
        momentum = self._momentum(state.n_steps)
        new_state, info = super().step(objective, state, gradient_batch, curvature_batch)
        info["momentum"] = momentum
        return new_state, info

    def _momentum(self, n_steps: int) -> float:
        """Return μ after so many updates."""
        value = value_at("momentum", self.momentum, n_steps)
        return check_real("momentum", value, minimum=0, maximum=1)

    def _point(self, state: MomentumState) -> Array:
        if not self.nesterov:
            return state.params
        point: Array = state.params + self._momentum(state.n_steps) * state.velocity
        return point

    def _update(self, state: MomentumState, gradient: Array, learning_rate: float) -> MomentumState:
        velocity = self._momentum(state.n_steps) * state.velocity - learning_rate * gradient
        return replace(state, params=state.params + velocity, velocity=velocity)


def _is_finite(state: DescentState) -> bool:
    """Return whether all arrays of a state are."""
    values = (getattr(state, item.name) for item in dataclasses.fields(state))
    return all(bool(module_of(value).isfinite(value).all()) for value in values)
