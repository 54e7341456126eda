"""RNNClassifier: a recurrent net that gives a class to each sequence, or to each step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from hessianfree.estimators._runs import InitialState, RunningRNN
from reservoir.utils.device import in_kind
from reservoir.utils.types import Array


class RNNClassifier(ClassifierMixin, RunningRNN):
    r"""Recurrent net that predicts classes, trained by Hessian-free or first-order optimization.

    .. math:: P(y_t = k) = \mathrm{softmax}(W_{oh}\, h_t + b_o)_k

    or the logistic function for two classes,

    with the states h_t of a recurrent cell. The loss is the mean cross-entropy over all targets.
    Sequences come as those of `RNNRegressor`; there is one label per step, or one per sequence.

    Read more in the guide: :doc:`/guide/hessian_free`.

    Parameters
    ----------
    n_units, cell, n_layers, n_factors, gain, activation, n_symbols
        As in `RNNRegressor`: the net.
    learned_initial_state, initialization
        As in `RNNRegressor`: how it starts.
    optimizer, gradient_batch_size, curvature_batch_size, max_iter, tol, n_iter_no_change, l2
        As in `RNNRegressor`: how it is trained.
    validation_fraction, target, warm_start, dtype, random_state, verbose, callback, device,
    n_jobs
        As in `RNNRegressor`. A label is one value: a row of as many labels as steps is one per
        step.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
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

    classes_: NDArray[Any]

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
            sequence, an array of shape (n_sequences,).
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
        restored = self._restore(self._labels(self._probabilities(outputs)), layout)
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
        states : ndarray of shape (n_sequences, state_size)
            Only with `return_state`.
        """
        outputs, states, layout = self._run_outputs(X, groups, lengths, initial_state, return_state)
        restored = self._restore(in_kind(self._probabilities(outputs), X), layout)
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
            One of `classes_`.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, TypeError
            As in `RNNRegressor.step`.
        """
        return self._labels(self._probabilities(self._step_outputs(x)))[0]

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> float:
        """Return the fraction of right labels, over all targets.

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
        return float(accuracy_score(true, predicted, sample_weight=weights))

    def _probabilities(self, outputs: Array) -> Array:
        """Return float64 probabilities of all classes, one row per target."""
        outputs = outputs.astype(np.float64)
        if len(self.classes_) == 2:
            outputs = np.column_stack([1 - outputs, outputs])
        # Rows that sum to 1 in float32 do not in float64.
        normalized: Array = outputs / outputs.sum(axis=1, keepdims=True)
        return normalized

    def _labels(self, probabilities: Array) -> NDArray[Any]:
        """Return the most probable class of each row."""
        labels: NDArray[Any] = self.classes_[np.argmax(probabilities, axis=1)]
        return labels

    def _check_targets(self, y: Any, is_scored: NDArray[np.bool_] | None) -> NDArray[Any]:
        labels: NDArray[Any] = column_or_1d(y, warn=True)
        if is_scored is not None:
            # One of those that count, in their type: NaN makes integers floats, None objects.
            scored = labels[is_scored]
            scored = np.array(scored.tolist()) if labels.dtype == object else scored
            labels = np.full(len(labels), scored[0])
            labels[is_scored] = scored
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        return labels

    def _encode(self, y: NDArray[Any], weights: Array | None, keeps: bool) -> NDArray[Any]:
        """Return class numbers (n,), or for two classes 0 and 1 as a column."""
        classes = np.unique(y)
        if self._continues():
            if not np.isin(classes, self.classes_).all():
                raise ValueError(
                    f"`y` holds the classes {classes.tolist()}, but the call before had "
                    f"{self.classes_.tolist()}. Pass no new ones, or set `warm_start` to False."
                )
        elif len(classes) < 2:
            raise ValueError(
                f"`y` holds the one class {classes.tolist()}, but at least 2 classes were "
                "expected. Pass sequences of more than one class."
            )
        else:
            self.classes_ = classes
        numbers: NDArray[Any] = np.searchsorted(self.classes_, y)
        if len(self.classes_) == 2:
            return numbers[:, None].astype(np.float64)
        return numbers

    def _loss_and_outputs(self) -> tuple[str, int]:
        n_classes = len(self.classes_)
        return ("logistic", 1) if n_classes == 2 else ("softmax", n_classes)
