"""RNNClassifier: a recurrent net that gives a class to each sequence, or to each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_class_weight

from hessianfree.estimators._answers import AnsweringRNN
from hessianfree.estimators._labels import LABELS, Labels, check_labels, kind_of
from hessianfree.estimators._runs import InitialState
from hessianfree.network._initialization import Initialization
from hessianfree.network._losses import Loss, takes_classes
from hessianfree.optimize._protocols import Optimizer
from reservoir.utils.device import in_kind
from reservoir.utils.types import Array


class RNNClassifier(ClassifierMixin, AnsweringRNN):
    r"""Recurrent net that predicts classes, trained by Hessian-free or first-order optimization.

    .. math:: P(y_t = k) = \mathrm{softmax}(W_{oh}\, h_t + b_o)_k

    or the logistic function for two classes,

    with the states h_t of a recurrent cell. The loss is the mean cross-entropy over all targets.
    Sequences come as those of `RNNRegressor`; there is one label per step, or one per sequence.

    A target may be several labels: with columns of 0 and 1 (multi-label) each holds or not, by a
    logistic function of its own; other columns (multi-output) each have classes of their own, and a
    softmax. The loss is then the sum of theirs.

    Read more in the guide: :doc:`/guide/hessian_free`, :doc:`/guide/trained_nets`.

    Parameters
    ----------
    n_units, cell, n_layers, bidirectional, cell_options, n_factors, gain, activation, n_symbols
        As in `RNNRegressor`: the net.
    learned_initial_state, initialization
        As in `RNNRegressor`: how it starts.
    optimizer, gradient_batch_size, curvature_batch_size, max_iter, tol, n_iter_no_change, l2,
    dropout
        As in `RNNRegressor`: how it is trained.
    validation_fraction, target, warm_start, dtype, random_state, verbose, callback, device,
    n_jobs
        As in `RNNRegressor`; but a row of as many labels as steps is one per step: where it is
        one sequence with as many labels, set `target` to "sequence".
    loss : "log_loss" or Loss, default="log_loss"
        Cross-entropy, or an object with the methods of `hessianfree.network.Loss`, whose `predict`
        gives probabilities: of the second of two classes, targets being a column of 0 and 1; of
        each of more classes, targets being their numbers where it `takes_classes` and rows with a
        1 for the class otherwise; of each label of a multi-label target.
    output_weight : array-like of shape (n_outputs,), optional
        Weight of the loss of each label of several; only their ratios count.
    class_weight : {"balanced"}, dict or None, default=None
        Weights of the classes in the loss, times `step_weight`, where something is held out there
        too: by label, 1 for those left out; or "balanced", n / (n_classes · n_k) for a class of
        n_k of the n labels. Of a single label for each target.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of such
        The labels, sorted; of a multi-label target the numbers of its columns; of a multi-output
        one a list, the labels of each column.
    params_ : ndarray of shape (n_params,)
        All that was learned, one flat vector.
    weights_ : dict of str to ndarray
        Its blocks by name, as views: those of the cell, `output` and `output_bias`.
    network_ : SequenceNetwork
        The net; `network_.predict(params_, inputs)` takes inputs with time first.
    n_iter_ : int
        Iterations made.
    loss_curve_ : ndarray of shape (n_iterations,)
        Loss before each iteration, on its gradient batch, in nats.
    validation_curve_ : ndarray
        Loss after each iteration (epoch, where first-order) on what was held out; only with
        `validation_fraction`.
    history_ : History
        What the optimizer reported of each iteration: loss, norm of the gradient, cost, seconds;
        damping and iterations of conjugate gradients, or learning rate.
    stop_reason_ : {"max_iter", "converged", "callback", "interrupted", "running"}
        Why training ended; "converged" after `n_iter_no_change` iterations. "running" for a
        callback before the last iteration, and in what it saved.
    last_state_ : ndarray of shape (state_size,)
        Where the last training sequence ended, or the last `step`: what "last" stands for.
    device_ : {"cpu", "cuda"}
        Where `fit` computed.
    n_features_in_ : int
        Number of input features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had string column names.

    See Also
    --------
    RNNRegressor : The same for numbers; its notes hold here too.

    Examples
    --------
    Has there been an odd number of ones so far? Labels at every step, sequences of symbols:

    >>> import numpy as np
    >>> from hessianfree import RNNClassifier
    >>> X = np.random.default_rng(0).integers(2, size=(100, 12, 1))
    >>> y = np.where(X[..., 0].cumsum(axis=1) % 2, "odd", "even")
    >>> rnn = RNNClassifier(n_units=10, cell="multiplicative", n_symbols=2, max_iter=20,
    ...                     random_state=0).fit(X, y)
    >>> rnn.predict(np.array([[[1], [0], [1]]]))
    array([['odd', 'odd', 'even']], dtype='<U4')
    """

    classes_: Any
    _weight_of_class: Array | None
    _losses = ("log_loss",)
    _prefers_steps = True

    def __init__(
        self,
        n_units: int = 100,
        *,
        cell: Literal[
            "vanilla", "multiplicative", "tensor", "lstm", "gru", "mut1", "mut2", "mut3"
        ] = "vanilla",
        n_layers: int = 1,
        bidirectional: bool = False,
        cell_options: Mapping[str, Any] | None = None,
        n_factors: int | None = None,
        gain: Literal["auto", "linear", "shifted_tanh"] = "auto",
        activation: Literal["tanh", "logistic", "relu"] = "tanh",
        n_symbols: int | None = None,
        learned_initial_state: bool = True,
        initialization: Initialization | Mapping[str, Any] | Array = "sparse",
        loss: Literal["log_loss"] | Loss = "log_loss",
        output_weight: ArrayLike | None = None,
        optimizer: str | Optimizer[Any] = "hessian-free",
        gradient_batch_size: int | Literal["auto"] = "auto",
        curvature_batch_size: int = 200,
        max_iter: int | Literal["auto"] = "auto",
        tol: float = 1e-4,
        n_iter_no_change: int | Literal["auto"] = "auto",
        l2: float = 0.0,
        dropout: float = 0.0,
        validation_fraction: float = 0.0,
        target: Literal["step", "sequence", "auto"] = "auto",
        warm_start: bool = False,
        dtype: Literal["float32", "float64"] = "float32",
        random_state: Any = None,
        verbose: bool = False,
        callback: Callable[[Any], Any] | None = None,
        device: Literal["cpu", "cuda", "auto"] = "cpu",
        n_jobs: int | None = None,
        class_weight: Literal["balanced"] | Mapping[Any, float] | None = None,
    ) -> None:
        super().__init__(
            n_units,
            cell=cell,
            n_layers=n_layers,
            bidirectional=bidirectional,
            cell_options=cell_options,
            n_factors=n_factors,
            gain=gain,
            activation=activation,
            n_symbols=n_symbols,
            learned_initial_state=learned_initial_state,
            initialization=initialization,
            loss=loss,
            output_weight=output_weight,
            optimizer=optimizer,
            gradient_batch_size=gradient_batch_size,
            curvature_batch_size=curvature_batch_size,
            max_iter=max_iter,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            l2=l2,
            dropout=dropout,
            validation_fraction=validation_fraction,
            target=target,
            warm_start=warm_start,
            dtype=dtype,
            random_state=random_state,
            verbose=verbose,
            callback=callback,
            device=device,
            n_jobs=n_jobs,
        )
        self.class_weight = class_weight

    def predict(
        self,
        X: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial_state: InitialState = None,
        return_state: bool = False,
    ) -> Any:
        """Return the most probable label for each step, or each sequence, of `X`.

        Parameters
        ----------
        X, groups, lengths
            As in `fit`.
        initial_state : None, "last" or array-like of shape (n_sequences, state_size), default=None
            State before the first step: the learned one; "last", for a single sequence, where the
            last training sequence ended, or the last `step`; or what a call with `return_state`
            returned, (state_size,) for one sequence. `predict` itself does not move "last".
        return_state : bool, default=False
            Whether to return the states after the last step as well.

        Returns
        -------
        labels : ndarray or list of ndarray
            One label per step, arranged as the steps of `X` are, or, where `fit` had one label per
            sequence, an array of shape (n_sequences,). With one more axis where there are several
            labels for each.
        states : ndarray of shape (n_sequences, state_size)
            Only with `return_state`: h of the cell, of an LSTM [h, c], of several layers side by
            side, the lowest first.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` does not match what the model was fitted with, or `initial_state` does not fit.
        """
        outputs, states, layout = self._run_outputs(X, groups, lengths, initial_state, return_state)
        restored = self._restore(self._chosen(outputs), layout)
        return (restored, states) if return_state else restored

    def predict_proba(
        self,
        X: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial_state: InitialState = None,
        return_state: bool = False,
    ) -> Any:
        """Return the probability of each class for each step, or each sequence, of `X`.

        Parameters
        ----------
        X, groups, lengths
            As in `fit`.
        initial_state, return_state
            As in `predict`.

        Returns
        -------
        probabilities : ndarray or list of ndarray
            As the labels of `predict`, with one more axis: the classes, in the order of `classes_`.
            Of a multi-label target, in its form, the probability of each label; of a multi-output
            one a list, with the probabilities of the classes of each column.
        states : ndarray of shape (n_sequences, state_size)
            Only with `return_state`.
        """
        outputs, states, layout = self._run_outputs(X, groups, lengths, initial_state, return_state)
        probabilities = self._labels.probabilities(outputs)
        if isinstance(probabilities, list):
            restored = [self._restore(in_kind(rows, X), layout) for rows in probabilities]
        else:
            restored = self._restore(in_kind(probabilities, X), layout)
        return (restored, states) if return_state else restored

    def step(self, x: Any) -> Any:
        """Take the input of one step, and return the label of that step: for live data.

        It goes on from "last", as `RNNRegressor.step` does; the labels are those of `predict`.

        Parameters
        ----------
        x : array-like of shape (n_features,), or a number where there is one feature
            Input of this step.

        Returns
        -------
        label
            One of `classes_`, or an array of several labels.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, TypeError
            As in `RNNRegressor.step`.
        """
        return self._chosen(self._step_outputs(x))[0]

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> float:
        """Return the fraction of targets whose labels are right: of several, all of them.

        Parameters
        ----------
        X, y, groups, lengths
            As in `fit`.
        sample_weight : array-like, optional
            Weight of each label, in the form of `y`.

        Returns
        -------
        float
        """
        from sklearn.metrics import accuracy_score  # here, since it is slow to import

        true, predicted, weights = self._stack_for_score(
            X, y, self.predict(X, groups, lengths), sample_weight, groups, lengths
        )
        if self._label_kind == "single":
            return float(accuracy_score(true, predicted, sample_weight=weights))
        if np.shape(true) != predicted.shape:
            raise ValueError(
                f"`y` has {np.shape(true)[1:]} labels for each target, but {predicted.shape[1:]} "
                "were learned. Pass as many."
            )
        right = (np.asarray(true) == predicted).all(axis=1)
        return float(np.average(right, weights=weights))

    def _chosen(self, outputs: Array) -> NDArray[Any]:
        """Return the labels of predictions of the net, one row per target."""
        labels = self._labels
        return labels.choose(labels.probabilities(outputs))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags

    @property
    def _labels(self) -> Labels:
        """How labels are learned and answered."""
        labels: Labels = LABELS[self._label_kind](self.classes_)
        return labels

    def _check_targets(self, y: Any, is_scored: NDArray[np.bool_] | None) -> NDArray[Any]:
        return check_labels(y, is_scored)

    def _define(self, y: NDArray[Any], weights: Array | None, keeps: bool) -> None:
        """Set the classes, and the weight of each."""
        kind = kind_of(y)
        if self._continues():
            remedy = "Pass no new ones, or set `warm_start` to False."
            self._labels.check("y", y, "the call before had", remedy)
        else:
            self._label_kind, self.classes_ = kind, LABELS[kind].classes_of(y)
        is_single = self._label_kind == "single"
        if self.class_weight is not None and not is_single:
            raise ValueError(
                f"`class_weight` weighs the classes of a single label, but `y` has {y.shape[1]} "
                "labels for each target. Weigh them by `output_weight`, or targets by "
                "`step_weight`."
            )
        if self.output_weight is not None and is_single:
            raise ValueError(
                "`output_weight` weighs several labels, but `y` has a single one. Weigh its "
                "classes by `class_weight`, or targets by `step_weight`."
            )
        self._weight_of_class = None
        if self.class_weight is not None:
            classes, scored = np.unique(y), y if weights is None else y[weights > 0]
            by_class = compute_class_weight(self.class_weight, classes=classes, y=scored)
            self._weight_of_class = np.ones(len(self.classes_))
            self._weight_of_class[np.searchsorted(self.classes_, classes)] = by_class

    def _encode(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return class numbers (n,), or columns of 0 and 1."""
        self._labels.check("validation_data", y, "`y` has", "Leave out the others.")
        as_numbers = isinstance(self.loss, str) or takes_classes(self.loss)
        return self._labels.encode(y, as_numbers=as_numbers)

    def _weigh(self, y: NDArray[Any], weights: Array | None) -> Array | None:
        """Return the weights of the labels times those of their classes."""
        if self._weight_of_class is None:
            return weights
        of_class: Array = self._weight_of_class[np.searchsorted(self.classes_, y)]
        return of_class if weights is None else weights * of_class

    def _loss_and_outputs(self) -> tuple[str | Loss, int]:
        n_labels = 1 if self._label_kind == "single" else len(self.classes_)
        weights = self._output_weights(n_labels)
        loss, n_outputs = self._labels.loss(None if weights is None else tuple(weights.tolist()))
        if isinstance(self.loss, str):
            return loss, n_outputs
        if self._label_kind == "multioutput" or weights is not None:
            raise ValueError(
                "`loss` is an object, but it does not say how it goes with several labels of "
                "several classes, or with `output_weight`. Pass 'log_loss'."
            )
        return self.loss, n_outputs
