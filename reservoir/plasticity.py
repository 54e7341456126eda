"""Intrinsic plasticity: units that learn the gain and bias of their own activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse
from scipy.special import expit
from sklearn.base import BaseEstimator

from reservoir.dynamics._driven import iterate_sequences
from reservoir.dynamics._reservoir import Reservoir
from reservoir.utils.explained import explained
from reservoir.utils.persistence import register
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer, check_real

__all__ = ["IntrinsicPlasticity"]


@register
class IntrinsicPlasticity(BaseEstimator):
    r"""Gains and biases of units, learned online, that spread their activity as one wants it.

    Each unit puts out y = f(g n + b), where n is the sum of its inputs. After each step its gain g
    and bias b go down the gradient of the divergence of the distribution of y from a target,

    .. math:: b \leftarrow b + \Delta b, \qquad g \leftarrow g + \eta / g + n\, \Delta b.

    Tanh units aim at a normal distribution of mean μ and deviation σ [1]_,

    .. math:: \Delta b = -\eta\, \big(2 y + (y - \mu)(1 - y^2) / \sigma^2\big),

    and logistic ones at an exponential distribution of mean μ [2]_ [3]_,

    .. math:: \Delta b = \eta\, \big(1 - (2 + 1/\mu)\, y + y^2 / \mu\big).

    Read more in the guide: :doc:`/guide/adaptive`.

    Parameters
    ----------
    mean : float or None, default=None
        μ: in [-1, 1] for tanh units and in (0, 1] for logistic ones; None is 0 and 0.2.
    deviation : float, default=0.2
        σ, for tanh units. A normal distribution wider than about 0.5 doesn't fit between the -1
        and 1 that bound y.
    learning_rate : float, default=1e-3
        η. A gain needs about 1/η steps, a bias fewer. Keep η well below σ², or the deviation comes
        out too large: by 4 % at 0.01 σ² and 9 % at 0.03 σ². Steps of a gain grow with the input
        of its unit: lower the rate where n goes beyond 3 or so.
    n_epochs : int, default=5
        How many times all sequences are gone through, each from the zero state.

    See Also
    --------
    reservoir.ESNRegressor : Its `plasticity` adapts the reservoir to the training input.

    Notes
    -----
    Gains scale the rows of W: the spectral radius after learning is what learning made of it, and
    may lie above 1. `reservoir.weights.spectral_radius` measures it.

    Where the leak rate is below 1, it is y, the new part of the state, that is shaped; the state
    is an average of y over time, of the same mean and a smaller deviation.

    References
    ----------
    .. [1] Schrauwen, Wardermann, Verstraeten, Steil & Stroobandt (2008), Improving reservoirs
       using intrinsic plasticity, Neurocomputing 71, section 3.
    .. [2] Triesch (2005), A gradient rule for the plasticity of a neuron's intrinsic excitability,
       ICANN.
    .. [3] Steil (2007), Online reservoir adaptation by intrinsic plasticity for
       backpropagation-decorrelation and echo state learning, Neural Networks 20, section 3.

    Examples
    --------
    A unit that its input saturates learns a low gain:

    >>> import numpy as np
    >>> from reservoir.dynamics import Reservoir
    >>> from reservoir.dynamics import run
    >>> from reservoir.plasticity import IntrinsicPlasticity
    >>> unit = Reservoir(np.zeros((1, 1)), input=np.full((1, 1), 2.0), bias=np.ones(1))
    >>> u = np.random.default_rng(0).normal(size=(2000, 1))
    >>> adapted = IntrinsicPlasticity(deviation=0.3).adapt(unit, [u])
    >>> print(f"{run(unit, u).std():.2f} {run(adapted, u).std():.2f}")
    0.75 0.27
    """

    def __init__(
        self,
        mean: float | None = None,
        deviation: float = 0.2,
        learning_rate: float = 1e-3,
        n_epochs: int = 5,
    ) -> None:
        self.mean = mean
        self.deviation = deviation
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs

    @explained
    @with_few_threads
    def adapt(
        self,
        reservoir: Reservoir,
        sequences: Sequence[Any],
        teachers: Sequence[Any] | None = None,
    ) -> Reservoir:
        """Return a reservoir whose gains and biases have learned from its input.

        The gains are folded into W, W_in and W_fb, so that it runs as any other does.

        Parameters
        ----------
        reservoir : Reservoir
            Of tanh or logistic units; not changed. Its gains are 1.
        sequences : sequence of array-like of shape (n_steps, n_inputs)
            What drives it.
        teachers : sequence of array-like of shape (n_steps, n_outputs), optional
            What is fed back, one step later; needed where the reservoir has feedback weights.

        Returns
        -------
        Reservoir

        Raises
        ------
        ValueError
            If a parameter is out of range, the activation is another one, a shape does not fit, or
            the learning rate is so large that a gain is lost.
        DivergenceError
            If a state is not finite, as it is after NaN in the input.
        """
        learning_rate = check_real(
            "learning_rate", self.learning_rate, minimum=0, maximum=1, exclusive=True
        )
        n_epochs = check_integer("n_epochs", self.n_epochs, minimum=1)
        units = self._units(reservoir, learning_rate)
        # The one recurrence steps the net; its units learn as they are asked for f(n).
        plastic = replace(reservoir, bias=np.zeros_like(reservoir.bias), activation=units)
        with np.errstate(divide="ignore"):  # a gain of 0 ends as one that is not finite
            for _ in range(n_epochs):
                for index, sequence in enumerate(sequences):
                    teacher = None if teachers is None else [teachers[index]]
                    for _block in iterate_sequences(plastic, [sequence], teachers=teacher):
                        pass
        if not (np.isfinite(units.gain).all() and np.isfinite(units.bias).all()):
            raise ValueError(
                f"`learning_rate` is {learning_rate}, and with it a gain or bias has grown beyond "
                "all numbers. Lower it, or raise `deviation`."
            )
        return _with_gain(reservoir, units.gain, units.bias)

    def _units(self, reservoir: Reservoir, learning_rate: float) -> _PlasticUnits:
        """Return the learning activation in place of the reservoir's."""
        if reservoir.activation == "tanh":
            mean = check_real(
                "mean", 0.0 if self.mean is None else self.mean, minimum=-1, maximum=1
            )
            deviation = check_real("deviation", self.deviation, minimum=0, exclusive=True)
            return _TanhUnits(reservoir, learning_rate, mean, deviation)
        if reservoir.activation == "logistic":
            mean = check_real(
                "mean",
                0.2 if self.mean is None else self.mean,
                minimum=0,
                maximum=1,
                exclusive=True,
            )
            return _LogisticUnits(reservoir, learning_rate, mean)
        raise ValueError(
            f"`reservoir.activation` is {reservoir.activation!r}, but 'tanh' or 'logistic' was "
            "expected: intrinsic plasticity has no rule for others. Choose one of these."
        )


class _PlasticUnits:
    """The activation n ↦ f(g n + b), whose g and b take a step at each call."""

    def __init__(self, reservoir: Reservoir, learning_rate: float) -> None:
        self.gain: Array = np.ones(reservoir.n_units, dtype=reservoir.dtype)
        self.bias: Array = reservoir.bias.astype(reservoir.dtype)
        self._learning_rate = learning_rate

    def __call__(self, net: Array) -> Array:
        activity = self.activate(self.gain * net + self.bias)
        change = self._learning_rate * self.descent(activity)
        self.bias += change
        self.gain += self._learning_rate / self.gain + change * net
        return activity

    def activate(self, z: Array) -> Array:
        """Return f(z)."""
        raise NotImplementedError

    def descent(self, activity: Array) -> Array:
        """Return Δb / η: down the gradient of the divergence by the bias, at y = f(z)."""
        raise NotImplementedError


class _TanhUnits(_PlasticUnits):
    """Aim at a normal distribution."""

    def __init__(
        self, reservoir: Reservoir, learning_rate: float, mean: float, deviation: float
    ) -> None:
        super().__init__(reservoir, learning_rate)
        self._mean, self._precision = mean, deviation**-2

    def activate(self, z: Array) -> Array:
        return np.tanh(z)

    def descent(self, activity: Array) -> Array:
        slope = 1 - activity * activity
        return -2 * activity - self._precision * (activity - self._mean) * slope


class _LogisticUnits(_PlasticUnits):
    """Aim at an exponential distribution."""

    def __init__(self, reservoir: Reservoir, learning_rate: float, mean: float) -> None:
        super().__init__(reservoir, learning_rate)
        self._rate = 1 / mean

    def activate(self, z: Array) -> Array:
        activity: Array = expit(z)
        return activity

    def descent(self, activity: Array) -> Array:
        return 1 - (2 + self._rate) * activity + self._rate * activity * activity


def _with_gain(reservoir: Reservoir, gain: Array, bias: Array) -> Reservoir:
    """Return the reservoir of units f(g n + b), in which the bias of the given one is replaced."""
    column, recurrent = gain[:, np.newaxis], reservoir.recurrent
    if issparse(recurrent):
        parts = (
            recurrent.data * np.repeat(gain, np.diff(recurrent.indptr)),
            recurrent.indices.copy(),
            recurrent.indptr.copy(),
        )
        recurrent = csr_array(parts, shape=recurrent.shape)
    else:
        recurrent = column * recurrent
    return replace(
        reservoir,
        recurrent=recurrent,
        input=column * reservoir.input,
        bias=bias,
        feedback=None if reservoir.feedback is None else column * reservoir.feedback,
    )
