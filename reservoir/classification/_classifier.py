"""Classification of sequences, or of each of their steps, by an echo state network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from reservoir.classification._calibration import calibrate
from reservoir.classification._labels import labels_by_row, refuse_targets
from reservoir.classification._logistic import fit_logistic
from reservoir.classification._readout import (
    ClassReadout,
    RowBlocks,
    as_blocks,
    decisions_of,
    held_out_decisions,
    row_space,
    stratified_folds,
)
from reservoir.classification._ridge import fit_ridge
from reservoir.dynamics._recipe import reservoir_seeds
from reservoir.dynamics._reservoir import Reservoir
from reservoir.estimators._base import ReservoirEstimator
from reservoir.harvest._pooling import (
    Pooling,
    check_pooling,
    iterate_states,
    kept_steps,
    pool_in_ways,
)
from reservoir.readout._features import FeatureMap, Readout
from reservoir.sequences._layout import Layout, stack_like
from reservoir.utils.device import host_state, in_kind
from reservoir.utils.fitted import as_fitted
from reservoir.utils.persistence import require_array
from reservoir.utils.threads import with_few_threads
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Array, Floats, Integers
from reservoir.utils.validation import check_choice, check_integer

# What `pooling` "auto" chooses from: where a sequence is when does not matter, or does.
_WAYS: tuple[Pooling, ...] = ("mean", 5, 10)


def _held_out_loss(
    readout: ClassReadout, features: Floats, codes: Integers, folds: Integers
) -> float:
    """Return the loss by which alpha was chosen, or else the squared error on held-out folds."""
    if readout.scores is not None:
        return float(np.nanmin(readout.scores))
    if not readout.held_out:
        return math.inf
    decisions = held_out_decisions(features, readout.held_out, folds)
    return float(np.square(decisions - np.eye(decisions.shape[1])[codes]).mean())


def _has_probabilities(classifier: ESNClassifier) -> bool:
    if classifier.cv is None:
        raise AttributeError(
            "`cv` is None, but probabilities are calibrated on held-out folds. Set `cv`, for "
            "instance to 5."
        )
    return True


class ESNClassifier(ClassifierMixin, ReservoirEstimator):
    r"""Echo state network that classifies: one label per sequence, or one per step.

    A fixed random reservoir of leaky units is driven by the input,

    .. math:: x[t] = (1 - a)\, x[t-1] + a\, f\big(W x[t-1] + W_\mathrm{in} u[t] + b\big)

    as in [1]_, and only a linear readout of s = [u; x; x²] is learned: of the states pooled over
    time, for one label per sequence, or of the state at each step, for one label per step. The
    number of labels in `y` decides: as many as `X` has sequences, or as many as it has steps.

    Read more in the guide: :doc:`/guide/classification`.

    Parameters
    ----------
    n_units : int, default=500
        Units of the reservoir.
    spectral_radius, bias_scaling
        As in `ESNRegressor`.
    leak_rate : float in (0, 1] or array-like of shape (n_units,), default=0.3
        As in `ESNRegressor`; classes are told apart by slower units.
    input_scaling : float, array-like of shape (n_features,) or None, default=None
        As in `ESNRegressor`, but None stands for 1 / √n_features: classes are told apart by what
        tanh bends.
    connectivity, topology, distribution, activation, carry, diffusion
        As in `ESNRegressor`.
    bidirectional : bool, default=False
        Whether the same reservoir also runs from the end of each sequence to its start; the
        readout then sees the states of both directions. With `pooling` "auto" it does.
    pooling : {"auto", "mean", "last", "votes"} or int, default="auto"
        How the states of a sequence become what the readout sees, where there is one label a
        sequence: their mean; the last (of each direction); an integer, the means of that many
        contiguous segments, side by side; "auto", of the mean, 5 and 10 segments, each of both
        directions and with squares, what has the least held-out loss. With "votes" the readout
        learns from each step, and the scores of the steps are averaged. For labels of steps it has
        no meaning.
    label_per : {"auto", "sequence", "step"}, default="auto"
        What a label belongs to. "sequence" also accepts one label per row of a 2-D `X` with
        `groups`, the same for all rows of a group: what scikit-learn's cross-validation needs.
        Without `groups`, each row of a 2-D `X` is then a series of one feature; "auto" takes the
        rows for steps, with a warning where they are long enough to be series.
    washout : int, default=0
        Steps at the start of each sequence (with `bidirectional`, also at its end) that are
        left out of means, segments and learning.
    include_input : bool, default=True
        Whether the readout sees u.
    include_squares : bool, default=False
        Whether the readout sees x². With `pooling` "auto" it does.
    readout : {"ridge", "logistic"}, default="ridge"
        Ridge regression of class indicators, the scores being what it predicts, or multinomial
        logistic regression.
    alpha : float or array-like, default=(1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4)
        Penalty α ‖V‖² beside the summed squared error, or α/2 ‖V‖² beside the summed log loss;
        of several, the best on held-out folds is taken. The rows that are summed over are
        sequences, or steps with "votes" and for labels of steps.
    cv : int or None, default=5
        Number of held-out folds that choose alpha and calibrate the probabilities. Within each
        class, neighbours in time stay together; the steps of a sequence do where there are as
        many sequences as folds. None chooses alpha by generalised cross-validation (ridge only)
        and leaves `predict_proba` out.
    class_weight : {"balanced"}, dict or None, default=None
        Weights of the classes in learning and calibration; "balanced": inverse to their
        frequencies.
    solver : {"auto", "gram", "qr"}, default="auto"
        Of the ridge readout, as in `ESNRegressor`.
    missing : {"raise", "hold"}, default="raise"
        What NaN in `X` means, as in `ESNRegressor`.
    dtype : {"float64", "float32"}, default="float64"
        Of weights and states; the readout is always float64.
    device : {"cpu", "cuda", "auto"}, default="cpu"
        As in `ESNRegressor`: states, their sums and scores are computed there. Pooled states, a
        logistic readout and the calibration are for the host; so are labels.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed of the weights.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    pooling_ : {"mean", "last", "votes"} or int
        How states are pooled: `pooling`, or what "auto" has chosen.
    label_per_ : {"sequence", "step"}
        What a label belongs to.
    reservoir_ : Reservoir
        The weights and what else defines the recurrence.
    coef_ : ndarray of shape (n_classes, n_columns)
        V of the scores d = V s + c, which are calibrated log-odds where there are folds; with
        segments, the columns of the first segment come first.
    intercept_ : ndarray of shape (n_classes,)
        c.
    alpha_ : float
        The penalty taken.
    alpha_scores_ : ndarray of shape (n_alphas,) or None
        Held-out mean squared error (ridge) or log loss (logistic) of each alpha; None where there
        was one.
    device_ : {"cpu", "cuda"}
        Where it was fitted.
    n_features_in_ : int
        Number of input features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had string column names.

    See Also
    --------
    ReservoirModelSpace : Sequences as parameters of what predicts them, for any classifier.

    Notes
    -----
    What the readout gives, d, becomes log-odds by d' = β d + b: temperature scaling with a bias
    [2]_, the number β and the bias of each class fitted by maximum likelihood to the d of readouts
    that have not learned from the fold in question. Probabilities are softmax(d'), the label is
    the class with the largest d', and `coef_` and `intercept_` contain β and b. A readout that
    learned nothing thus gives the frequencies of the classes. With `cv` None, or where no class
    has two members to hold one out, d' is d.

    References
    ----------
    .. [1] Lukoševičius (2012), A Practical Guide to Applying Echo State Networks, eqs. 2-3 and
       section 4.5 (classification).
    .. [2] Guo, Pleiss, Sun & Weinberger (2017), On calibration of modern neural networks, ICML,
       section 4.2.

    Examples
    --------
    Rising and falling noisy ramps of several lengths:

    >>> import numpy as np
    >>> from reservoir import ESNClassifier
    >>> rng = np.random.default_rng(0)
    >>> slopes = rng.choice([-1, 1], size=60)
    >>> X = [s * np.linspace(-1, 1, n)[:, None] + 0.3 * rng.normal(size=(n, 1))
    ...      for s, n in zip(slopes, rng.integers(10, 20, size=60))]
    >>> y = np.where(slopes > 0, "rising", "falling")
    >>> esn = ESNClassifier(n_units=50, pooling=2, random_state=0).fit(X[:40], y[:40])
    >>> esn.score(X[40:], y[40:])
    1.0
    >>> esn.predict_proba(X[40:42]).shape
    (2, 2)
    """

    def __init__(
        self,
        n_units: int = 500,
        *,
        spectral_radius: float | None = 0.9,
        leak_rate: float | ArrayLike = 0.3,
        input_scaling: float | ArrayLike | None = None,
        bias_scaling: float = 0.2,
        connectivity: float = 10,
        topology: Any = "random",
        distribution: str = "uniform",
        activation: str | Callable[[Array], Array] = "tanh",
        carry: Literal["leak", "euler", "cycle", "permutation", "orthogonal"] = "leak",
        diffusion: float = 0.0,
        bidirectional: bool = False,
        pooling: Literal["auto", "mean", "last", "votes"] | int = "auto",
        label_per: Literal["auto", "sequence", "step"] = "auto",
        washout: int = 0,
        include_input: bool = True,
        include_squares: bool = False,
        readout: Literal["ridge", "logistic"] = "ridge",
        alpha: float | ArrayLike = (1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4),
        cv: int | None = 5,
        class_weight: Literal["balanced"] | dict[Any, float] | None = None,
        solver: Literal["auto", "gram", "qr"] = "auto",
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
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.label_per = label_per
        self.washout = washout
        self.include_input = include_input
        self.include_squares = include_squares
        self.readout = readout
        self.alpha = alpha
        self.cv = cv
        self.class_weight = class_weight
        self.solver = solver
        self.missing = missing
        self.dtype = dtype
        self.device = device
        self.random_state = random_state

    @transaction()
    @with_few_threads
    def fit(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Draw the reservoir and learn the readout.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features), list of such, 3-D array, or panel
            One series or several; all layouts, in code: :doc:`/guide/classification`.
        y : array-like or list of array-like
            Labels: (n_sequences,) for one per sequence; for one per step (n_steps,), for a list one
            array per sequence, for a 3-D `X` (n_sequences, n_steps).
        groups : array-like of shape (n_steps,), optional
            Label of the sequence that each row of a 2-D `X` belongs to; contiguous.
        lengths : array-like of int of shape (n_sequences,), optional
            Steps of each sequence of a 2-D `X`.

        Returns
        -------
        ESNClassifier
            Itself.

        Raises
        ------
        ValueError
            If shapes do not fit together, a parameter or a number is out of range, or there are
            fewer than two classes.
        TypeError
            If a parameter or an array is of the wrong kind.
        """
        inputs, labels, layout = self._read_training(X, host_state(y), groups, lengths)
        self._settle_device()
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"`y` holds one class, {self.classes_[0]!s}, but two or more were expected. Pass "
                "labels of every class that is to be recognised."
            )
        if self.classes_.dtype == object:
            # Strings of a fixed width instead: a model file holds no Python objects.
            self.classes_ = np.array(self.classes_.tolist())
        folds = self._folds(codes, layout)
        absent = np.setdiff1d(codes, codes[folds >= 0])
        if len(absent):
            raise ValueError(
                f"`y` holds the class {self.classes_[absent[0]]!s} in the washout only, but the "
                "readout learns from other steps. Lower `washout`, or leave the class out."
            )
        weights = None
        if self.class_weight is not None:
            by_class = compute_class_weight(
                self.class_weight, classes=self.classes_, y=labels[folds >= 0]
            )
            weights = by_class[codes]
        self.reservoir_ = self._draw_reservoir(inputs[0].shape[1])
        pooled = None
        self.pooling_: Pooling = self.pooling
        if self.label_per_ == "step":
            readout = self._learn_from_steps(inputs, layout, codes, weights, folds)
        elif self.pooling == "votes":
            readout = self._learn_from_steps(inputs, layout, codes, weights, folds)
            (pooled,) = self._pool(inputs, ["mean"])
        else:
            ways = _WAYS if self.pooling == "auto" else [self.pooling]
            found = self._pool(inputs, ways)
            readouts = [self._learn_from_pooled(rows, codes, weights, folds) for rows in found]
            losses = [
                _held_out_loss(one, rows, codes, folds) if len(ways) > 1 else 0.0
                for one, rows in zip(readouts, found, strict=True)
            ]
            best = int(np.argmin(losses))
            readout, pooled, self.pooling_ = readouts[best], found[best], ways[best]
        if self.cv is not None:
            cases = self._steps(inputs, layout) if pooled is None else as_blocks(pooled)
            readout = calibrate(readout, cases, codes, weights, folds)
        self.coef_, self.intercept_ = readout.map.state, readout.map.intercept
        self.alpha_, self.alpha_scores_ = readout.alpha, readout.scores
        return self

    def predict(
        self, X: Any, groups: ArrayLike | None = None, lengths: ArrayLike | None = None
    ) -> Any:
        """Return the most likely label of each sequence, or of each step.

        Parameters
        ----------
        X, groups, lengths
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_sequences,), or for labels of steps (n_steps,) or in the form of `X`

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `X` does not match what the model was fitted with, or a sequence is shorter than
            its washout.
        """
        decisions, layout = self._decide(X, groups, lengths)
        return self._shaped(self.classes_[decisions.argmax(axis=1)], layout)

    @with_few_threads
    def decision_function(
        self, X: Any, groups: ArrayLike | None = None, lengths: ArrayLike | None = None
    ) -> Any:
        """Return the scores d of the classes; of two classes, how far the second is ahead.

        Parameters
        ----------
        X, groups, lengths
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_sequences, n_classes) or, of two classes, (n_sequences,)
            For labels of steps, so for each step, in the form of `X`.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            As in `predict`.
        """
        decisions, layout = self._decide(X, groups, lengths)
        if len(self.classes_) == 2:
            decisions = decisions[:, 1] - decisions[:, 0]
        return self._shaped(in_kind(decisions, X), layout)

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    @as_fitted
    def predict_proba(
        self, X: Any, groups: ArrayLike | None = None, lengths: ArrayLike | None = None
    ) -> Any:
        """Return the probability of each class, softmax(d), calibrated on held-out folds.

        Parameters
        ----------
        X, groups, lengths
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_sequences, n_classes)
            In the order of `classes_`. For labels of steps, so for each step, in the form of `X`.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            As in `predict`.
        """
        decisions, layout = self._decide(X, groups, lengths)
        return self._shaped(in_kind(softmax(decisions, axis=1), X), layout)

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> float:
        """Return the fraction of sequences, or of steps after the washout, with the right label.

        Parameters
        ----------
        X, y, groups, lengths
            As in `fit`.
        sample_weight : array-like of shape (n_labels,), optional
            Weight of each label; for a list or a 3-D `X` with labels of steps, in the form of `y`.

        Returns
        -------
        float

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            As in `predict`; and if `y` does not match `X`.
        """
        from sklearn.metrics import accuracy_score  # here, since it is slow to import

        decisions, layout = self._decide(X, groups, lengths)
        predicted = self.classes_[decisions.argmax(axis=1)]
        true, _ = labels_by_row(host_state(y), layout, self.label_per_)
        true = np.asarray(true)
        weights = None if sample_weight is None else np.asarray(sample_weight)
        if self.label_per_ == "sequence":
            return float(
                accuracy_score(true[layout.offsets[:-1]], predicted, sample_weight=weights)
            )
        if sample_weight is not None:
            weights = np.asarray(stack_like(sample_weight, layout, name="sample_weight"))
        self._check_steps(layout)
        kept = self._kept_rows(layout)
        return float(
            accuracy_score(
                true[kept],
                predicted[kept],
                sample_weight=None if weights is None else weights[kept],
            )
        )

    def _draw_reservoir(self, n_inputs: int, n_outputs: int = 0) -> Reservoir:
        """Draw the reservoir; without an `input_scaling`, by the number of inputs."""
        seeds, recipe = reservoir_seeds(self.random_state), self._recipe()
        if recipe.input_scaling is None:
            recipe = replace(recipe, input_scaling=1.0 / math.sqrt(n_inputs))
        return recipe.draw(n_inputs, n_outputs, seeds)

    def _read_training(
        self, X: Any, y: Any, groups: Any, lengths: Any
    ) -> tuple[list[Array], NDArray[Any], Layout]:
        """Return the checked sequences, and labels: one per sequence or one per step."""
        check_choice("label_per", self.label_per, ("auto", "sequence", "step"))
        check_choice("readout", self.readout, ("ridge", "logistic"))
        check_choice("solver", self.solver, ("auto", "gram", "qr"))
        check_pooling(self.pooling, other=("votes", "auto"))
        if self.cv is not None:
            check_integer("cv", self.cv, minimum=2)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} requires y to be passed, but the target y is None."
            )
        if isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind == "f":
            refuse_targets(y)
        # Labels, not what a fit before had, say what the rows of a table are.
        reader = replace(self._reader(), is_per_sequence=True)

        def labels_of(layout: Layout) -> Any:
            by_row, self.label_per_ = labels_by_row(y, layout, self.label_per)
            return by_row

        inputs, labels, layout = reader.labelled(X, y, self.label_per, groups, lengths, labels_of)
        check_classification_targets(labels)
        self._check_steps(layout)
        if self.label_per_ == "sequence":
            labels = labels[layout.offsets[:-1]]
        return inputs, labels, layout

    def _gives_one_per_sequence(self) -> bool:
        return getattr(self, "label_per_", "sequence") == "sequence"

    def _check_steps(self, layout: Layout) -> None:
        self._check_washout(layout.lengths, n_directions=1 + self._is_bidirectional())

    def _folds(self, codes: Integers, layout: Layout) -> Integers:
        """Return the fold of each label; negative for steps of the washout."""
        n_sequences = len(layout.lengths)
        per_step = self.label_per_ == "step"
        kept = self._kept_rows(layout) if per_step else np.ones(n_sequences, dtype=bool)
        folds = np.full(len(codes), -1, dtype=np.intp)
        if self.cv is None:
            folds[kept] = 0
        elif per_step and n_sequences >= self.cv:
            folds[kept] = np.repeat(np.arange(n_sequences) % self.cv, layout.lengths)[kept]
        else:
            folds[kept] = stratified_folds(codes[kept], self.cv)
        return folds

    def _kept_rows(self, layout: Layout) -> NDArray[np.bool_]:
        """Say of each row whether it lies outside the washout."""
        kept = np.zeros(layout.n_rows, dtype=bool)
        for offset, length in zip(layout.offsets[:-1], layout.lengths, strict=True):
            first, stop = kept_steps(length, self.washout, self._is_bidirectional())
            kept[offset + first : offset + stop] = True
        return kept

    def _learn_from_steps(
        self,
        inputs: list[Array],
        layout: Layout,
        codes: Integers,
        weights: Floats | None,
        folds: Integers,
    ) -> ClassReadout:
        """Fit the readout to all steps outside the washout."""
        if self.label_per_ == "sequence":
            codes, folds = (np.repeat(each, layout.lengths) for each in (codes, folds))
            weights = None if weights is None else np.repeat(weights, layout.lengths)
            folds[~self._kept_rows(layout)] = -1
        return self._fit_readout(self._steps(inputs, layout), codes, weights, folds)

    def _learn_from_pooled(
        self, pooled: Floats, codes: Integers, weights: Floats | None, folds: Integers
    ) -> ClassReadout:
        """Fit the readout to one row a sequence."""
        if len(pooled) >= pooled.shape[1]:
            return self._fit_readout(as_blocks(pooled), codes, weights, folds)
        # As many columns as there are rows say all that the readout can use.
        basis = row_space(pooled)
        readout = self._fit_readout(as_blocks(pooled @ basis), codes, weights, folds)
        return readout.in_columns(basis)

    def _fit_readout(
        self, blocks: RowBlocks, codes: Integers, weights: Floats | None, folds: Integers
    ) -> ClassReadout:
        n_classes = len(self.classes_)
        if self.readout == "logistic":
            return fit_logistic(blocks, codes, weights, folds, self.alpha, n_classes=n_classes)
        return fit_ridge(
            blocks, codes, weights, folds, self.alpha, n_classes=n_classes, solver=self.solver
        )

    def _feature_map(self) -> FeatureMap:
        squares = bool(self.include_squares) or self._is_auto()
        return FeatureMap(bool(self.include_input), squares)

    def _is_bidirectional(self) -> bool:
        return bool(self.bidirectional) or self._is_auto()

    def _is_auto(self) -> bool:
        """Tell whether the features of a sequence are chosen by held-out folds."""
        return self.pooling == "auto" and self.label_per_ == "sequence"

    def _pool(self, inputs: list[Array], ways: Sequence[Pooling]) -> list[Floats]:
        """Return what the readout decides by, one row a sequence, for each way of pooling."""
        return pool_in_ways(
            self.reservoir_,
            self._feature_map(),
            inputs,
            ways,
            washout=self.washout,
            bidirectional=self._is_bidirectional(),
        )

    def _steps(self, inputs: list[Array], layout: Layout) -> RowBlocks:
        """Return a function that runs the reservoir and yields what the readout sees of steps."""
        feature_map, offsets = self._feature_map(), layout.offsets

        def blocks() -> Iterator[tuple[slice, Array]]:
            for index, start, states in iterate_states(
                self.reservoir_, inputs, bidirectional=self._is_bidirectional()
            ):
                stop = start + len(states)
                rows = slice(offsets[index] + start, offsets[index] + stop)
                yield rows, feature_map.stack(states, inputs[index][start:stop])

        return blocks

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if hasattr(self, "coef_"):
            n_classes = len(self.classes_)
            require_array("classes_", self.classes_, (n_classes,), kinds="biufUSO")
            require_array("coef_", self.coef_, (n_classes, None))
            require_array("intercept_", self.intercept_, (n_classes,))

    def _decide(self, X: Any, groups: Any, lengths: Any) -> tuple[Floats, Layout]:
        """Return the scores of each sequence, or of each step of all sequences."""
        check_is_fitted(self, "coef_")
        inputs, layout = self._reader().inputs(X, groups, lengths)
        readout = Readout(self.coef_, self.intercept_)
        if self.label_per_ == "sequence":
            self._check_steps(layout)
            # The readout is linear: the mean of its scores is its score of the mean.
            way: Pooling = getattr(self, "pooling_", self.pooling)  # files from before have none
            way = "mean" if way == "votes" else way
            (pooled,) = self._pool(inputs, [way])
            return decisions_of(readout, pooled), layout
        decisions = np.empty((layout.n_rows, len(self.classes_)))
        for rows, features in self._steps(inputs, layout)():
            decisions[rows] = decisions_of(readout, features)
        return decisions, layout

    def _shaped(self, values: NDArray[Any], layout: Layout) -> Any:
        """Return values of steps in the form of `X`; those of sequences stay an array."""
        if self.label_per_ == "sequence":
            return values
        return layout.restore(values, list(self.classes_) if values.ndim == 2 else None)
