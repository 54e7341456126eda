"""The states of a reservoir as features, for any scikit-learn model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from reservoir.estimators._base import ReservoirEstimator
from reservoir.harvest._map import all_states
from reservoir.plasticity import IntrinsicPlasticity
from reservoir.utils.device import in_kind
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Array


class ReservoirTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ReservoirEstimator):
    r"""States of a random reservoir as features, for any model that follows.

    .. math:: x[t] = (1 - a)\, x[t-1] + a\, f\big(W x[t-1] + W_\mathrm{in} u[t] + b\big)

    as in [1]_.

    `fit` only draws the weights, unless `plasticity` lets the units learn; the states at a step
    depend on that step and the ones before.

    Read more in the guide: :doc:`/guide/diagnosing`.

    Parameters
    ----------
    n_units : int, default=500
        Units of the reservoir.
    spectral_radius, leak_rate, input_scaling, bias_scaling : float
        As in `ESNRegressor`.
    connectivity, topology, distribution, activation, carry, diffusion
        As in `ESNRegressor`.
    plasticity, missing, dtype, random_state
        As in `ESNRegressor`.
    device : {"cpu", "cuda", "auto"}, default="cpu"
        As in `ESNRegressor`; states come back as arrays of the kind of `X`.

    Attributes
    ----------
    reservoir_ : Reservoir
        The weights and what else defines the recurrence.
    device_ : {"cpu", "cuda"}
        What `device` stood for in `fit`.
    n_features_in_ : int
        Number of input features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had string column names.

    See Also
    --------
    ESNRegressor : A reservoir and its readout in one.

    References
    ----------
    .. [1] Lukoševičius (2012), A Practical Guide to Applying Echo State Networks, eqs. 2-3.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from reservoir import ReservoirTransformer
    >>> u = np.random.default_rng(0).uniform(-1, 1, size=(500, 1))
    >>> y = np.roll(u[:, 0], 3)  # what came in three steps ago
    >>> model = make_pipeline(ReservoirTransformer(n_units=50, random_state=0), Ridge(1e-6))
    >>> bool(model.fit(u[:400], y[:400]).score(u[400:], y[400:]) > 0.8)
    True
    """

    def __init__(
        self,
        n_units: int = 500,
        *,
        spectral_radius: float | None = 0.9,
        leak_rate: float | ArrayLike = 1.0,
        input_scaling: float | ArrayLike | None = None,
        bias_scaling: float = 0.2,
        connectivity: float = 10,
        topology: Any = "random",
        distribution: str = "uniform",
        activation: str | Callable[[Array], Array] = "tanh",
        carry: Literal["leak", "euler", "cycle", "permutation", "orthogonal"] = "leak",
        diffusion: float = 0.0,
        plasticity: IntrinsicPlasticity | None = None,
        missing: Literal["raise", "hold"] = "raise",
        dtype: Literal["float64", "float32"] = "float64",
        device: Literal["cpu", "cuda", "auto"] = "cpu",
        random_state: Any = None,
    ) -> None:
        self.n_units = n_units
        self.spectral_radius = spectral_radius
        self.leak_rate = leak_rate
        self.input_scaling = input_scaling
        self.bias_scaling = bias_scaling
        self.connectivity = connectivity
        self.topology = topology
        self.distribution = distribution
        self.activation = activation
        self.carry = carry
        self.diffusion = diffusion
        self.plasticity = plasticity
        self.missing = missing
        self.dtype = dtype
        self.device = device
        self.random_state = random_state

    @transaction()
    def fit(
        self,
        X: Any,
        y: Any = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Draw the reservoir for as many inputs as `X` has features.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features), list of such, 3-D array, or panel
            One series or several.
        y : object
            Not used.
        groups : array-like of shape (n_steps,), optional
            Label of the sequence that each row of a 2-D `X` belongs to; contiguous.
        lengths : array-like of int of shape (n_sequences,), optional
            Steps of each sequence of a 2-D `X`.

        Returns
        -------
        ReservoirTransformer
            Itself.
        """
        inputs, _ = self._reader().inputs(X, groups, lengths, reset=True)
        self.reservoir_ = self._draw_reservoir(inputs[0].shape[1])
        self._adapt_reservoir(inputs)
        self._settle_device()
        return self

    def transform(
        self,
        X: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Any:
        """Return the state at each step of `X`, from the zero state at each sequence's start.

        Parameters
        ----------
        X, groups, lengths
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_steps, n_units), or several of them in the form of `X`

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `X` does not match what the transformer was fitted with.
        """
        check_is_fitted(self, "reservoir_")
        inputs, layout = self._reader().inputs(X, groups, lengths)
        states = in_kind(all_states(self.reservoir_, inputs), X)
        return layout.restore(states, self.get_feature_names_out())

    @property
    def _n_features_out(self) -> int:
        return len(self.reservoir_.bias)
