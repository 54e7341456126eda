"""Sequences in model space: each as the weights of the readout that predicts its next step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from reservoir.estimators._base import ReservoirEstimator
from reservoir.harvest._buffer import RowBuffer
from reservoir.harvest._pooling import Pool, check_pooling, iterate_states, kept_steps
from reservoir.readout._accumulator import RidgeAccumulator
from reservoir.readout._features import FeatureMap
from reservoir.readout._normal_equations import NormalEquations
from reservoir.readout._solve import solve_ridge
from reservoir.readout._sums import GramAccumulator
from reservoir.sequences._layout import Layout
from reservoir.utils.persistence import require_array
from reservoir.utils.threads import with_few_threads
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Array, Floats
from reservoir.utils.validation import check_choice, check_integer, check_real

STATES = FeatureMap(include_input=False)


class ReservoirModelSpace(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ReservoirEstimator):
    r"""Sequences in the space of reservoir models: features for any classifier or clustering.

    A reservoir is driven by each sequence and its states are projected on the principal
    components of all training states, h = Pᵀ(x − m). For each sequence apart, ridge regression
    finds the linear model that predicts its next step,

    .. math:: h[t+1] = A h[t] + b \quad \text{or} \quad u[t+1] = A h[t] + b,

    and [A, b] represents the sequence [1]_, whatever its length.

    Read more in the guide: :doc:`/guide/classification`.

    Parameters
    ----------
    n_units : int, default=500
        Units of the reservoir.
    spectral_radius, leak_rate, input_scaling, bias_scaling
        As in `ESNRegressor`.
    connectivity, topology, distribution, activation
        As in `ESNRegressor`.
    bidirectional : bool, default=False
        Whether x holds the states of the reservoir run in both directions.
    n_components : int, default=20
        Components that are kept; all of them where there are fewer.
    target : {"state", "input"}, default="state"
        What the models predict: the next h or the next u.
    alpha : float, default=1.0
        Ridge penalty α ‖A‖² of the models, positive: a sequence may have fewer steps than h has
        components. b is not penalised.
    pooling : {"mean", "last"}, int or None, default=None
        States that are put beside the parameters, pooled as in `ESNClassifier`.
    washout : int, default=0
        Steps at the start of each sequence (with `bidirectional`, also at its end) left out.
    missing : {"raise", "hold"}, default="raise"
        What NaN in `X` means, as in `ESNRegressor`.
    dtype : {"float64", "float32"}, default="float64"
        Of weights and states; components and models are always float64.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed of the weights.

    Attributes
    ----------
    reservoir_ : Reservoir
        The weights and what else defines the recurrence.
    mean_ : ndarray of shape (n_columns,)
        m, the mean state; n_columns is n_units, or twice that in both directions.
    components_ : ndarray of shape (n_components, n_columns)
        P, by falling variance; the sign makes the largest entry of each positive.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        Share of each component in the variance of the states.
    n_features_in_ : int
        Number of input features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had string column names.

    See Also
    --------
    ESNClassifier : A reservoir and a readout of pooled states in one.

    Notes
    -----
    Parameters and pooled states have different scales: put a StandardScaler behind.

    References
    ----------
    .. [1] Bianchi, Scardapane, Løkse & Jenssen (2021), Reservoir computing approaches for
       representation and classification of multivariate time series, IEEE TNNLS 32, section IV.

    Examples
    --------
    Noisy oscillations of two frequencies, started at any phase:

    >>> import numpy as np
    >>> from sklearn.linear_model import RidgeClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from reservoir import ReservoirModelSpace
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(2, size=60)
    >>> X = [np.sin(np.arange(40)[:, None] * (0.5 + 0.1 * label) + rng.uniform(0, 6))
    ...      + 0.1 * rng.normal(size=(40, 1)) for label in y]
    >>> model = make_pipeline(
    ...     ReservoirModelSpace(n_units=50, n_components=10, random_state=0),
    ...     StandardScaler(),
    ...     RidgeClassifier(),
    ... )
    >>> model.fit(X[:40], y[:40]).score(X[40:], y[40:])
    1.0
    """

    def __init__(
        self,
        n_units: int = 500,
        *,
        spectral_radius: float | None = 0.9,
        leak_rate: float | ArrayLike = 1.0,
        input_scaling: float | ArrayLike = 1.0,
        bias_scaling: float = 0.2,
        connectivity: float = 10,
        topology: Any = "random",
        distribution: str = "uniform",
        activation: str | Callable[[Array], Array] = "tanh",
        bidirectional: bool = False,
        n_components: int = 20,
        target: Literal["state", "input"] = "state",
        alpha: float = 1.0,
        pooling: Literal["mean", "last"] | int | None = None,
        washout: int = 0,
        missing: Literal["raise", "hold"] = "raise",
        dtype: Literal["float64", "float32"] = "float64",
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
        self.bidirectional = bidirectional
        self.n_components = n_components
        self.target = target
        self.alpha = alpha
        self.pooling = pooling
        self.washout = washout
        self.missing = missing
        self.dtype = dtype
        self.random_state = random_state

    @transaction()
    @with_few_threads
    def fit(
        self,
        X: Any,
        y: Any = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Draw the reservoir and find the principal components of its states.

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
        ReservoirModelSpace
            Itself.

        Raises
        ------
        ValueError
            If shapes do not fit together, a parameter or a number is out of range, or a sequence
            has fewer than two steps after the washout.
        TypeError
            If a parameter or an array is of the wrong kind.
        """
        n_components = check_integer("n_components", self.n_components, minimum=1)
        check_choice("target", self.target, ("state", "input"))
        check_real("alpha", self.alpha, minimum=0, exclusive=True)
        if self.pooling is not None:
            check_pooling(self.pooling)
        reader = self._reader()
        X = reader.turned(X, y, None, groups, lengths)
        inputs, layout = reader.inputs(X, groups, lengths, reset=True)
        self._check_steps(layout)
        self.reservoir_ = self._draw_reservoir(inputs[0].shape[1])
        n_columns = self.reservoir_.n_units * (1 + bool(self.bidirectional))
        # No targets are needed: the Gram of the states is what their components come from.
        buffer = RowBuffer(RidgeAccumulator(n_columns, 1, solver="gram", smallest_alpha=1.0))
        for index, start, states in self._iterate_states(inputs):
            first, stop = self._kept(len(inputs[index]))
            rows = states[max(first - start, 0) : max(stop - start, 0)]
            buffer.append(STATES, rows, rows[:, :0], np.zeros((len(rows), 1)), None)
        buffer.flush()
        system = NormalEquations(cast(GramAccumulator, buffer.accumulator.sums), fit_intercept=True)
        n_components = min(n_components, n_columns, max(system.n_rows - 1, 1))
        gram = system.gram()
        total = float(np.trace(gram))
        wanted = (n_columns - n_components, n_columns - 1)
        variances, vectors = eigh(gram, lower=True, overwrite_a=True, subset_by_index=wanted)
        largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(n_components)]
        self.mean_ = system.feature_mean
        self.components_ = np.ascontiguousarray((vectors * np.sign(largest)).T[::-1])
        ratios = np.maximum(variances[::-1], 0.0)
        self.explained_variance_ratio_ = ratios / total if total > 0 else ratios
        return self

    @with_few_threads
    def transform(
        self, X: Any, groups: ArrayLike | None = None, lengths: ArrayLike | None = None
    ) -> Floats:
        """Return the parameters of the model of each sequence, one row per sequence.

        Parameters
        ----------
        X, groups, lengths
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_sequences, n_predicted · (n_components + 1) + n_pooled)
            [A, b] row by row: for each predicted quantity its weights, then its intercept. Behind
            them the pooled states, where asked for.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `X` does not match what the transformer was fitted with, or a sequence has fewer
            than two steps after the washout.
        """
        check_is_fitted(self, "components_")
        inputs, layout = self._reader().inputs(X, groups, lengths)
        self._check_steps(layout)
        pool = Pool(
            layout.lengths,
            "last" if self.pooling is None else self.pooling,
            washout=self.washout,
            bidirectional=bool(self.bidirectional),
        )
        projected = [np.empty((len(part), len(self.components_))) for part in inputs]
        for index, start, states in self._iterate_states(inputs):
            rows = slice(start, start + len(states))
            projected[index][rows] = (states - self.mean_) @ self.components_.T
            if self.pooling is not None:
                pool.add(STATES, index, start, states, inputs[index][rows])
        models = np.array([self._model(h, u) for h, u in zip(projected, inputs, strict=True)])
        return models if self.pooling is None else np.hstack([models, pool.rows])

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if hasattr(self, "components_"):
            require_array("mean_", self.mean_, (None,))
            require_array("components_", self.components_, (None, len(self.mean_)))

    def _model(self, components: Floats, inputs: Array) -> Floats:
        """Return [A, b] of one sequence as a vector."""
        first, stop = self._kept(len(components))
        following = components if self.target == "state" else inputs
        targets = following[first + 1 : stop]
        sums = GramAccumulator(components.shape[1], targets.shape[1])
        sums.update(components[first : stop - 1], targets)
        solution = solve_ridge(sums, self.alpha)
        return np.column_stack([solution.coef, solution.intercept]).ravel()

    def _gives_one_per_sequence(self) -> bool:
        return True

    def _iterate_states(self, inputs: list[Array]) -> Iterator[tuple[int, int, Array]]:
        return iterate_states(self.reservoir_, inputs, bidirectional=bool(self.bidirectional))

    def _kept(self, n_steps: int) -> tuple[int, int]:
        return kept_steps(n_steps, self.washout, bool(self.bidirectional))

    def _check_steps(self, layout: Layout) -> None:
        """Raise unless each sequence has two steps to learn a model from."""
        self._check_washout(layout.lengths, n_directions=1 + bool(self.bidirectional))
        for index, length in enumerate(layout.lengths):
            first, stop = self._kept(length)
            if stop - first < 2:
                raise ValueError(
                    f"Sequence {index} of `X` has 1 sample after the washout, but a model of what "
                    "comes next needs two. Leave the sequence out, or lower `washout`."
                )

    @property
    def _n_features_out(self) -> int:
        n_components, n_columns = self.components_.shape
        n_predicted = n_components if self.target == "state" else self.n_features_in_
        n_segments = 1 if isinstance(self.pooling, str) else self.pooling or 0
        return int(n_predicted * (n_components + 1) + n_segments * n_columns)
