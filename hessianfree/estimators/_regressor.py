"""RNNRegressor: a recurrent net that predicts numbers from sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import MultiOutputMixin, RegressorMixin

from hessianfree.estimators._runs import InitialState
from hessianfree.estimators._scaling import ScalingRNN
from hessianfree.network._definition import LOSSES
from reservoir.utils.device import in_kind


class RNNRegressor(MultiOutputMixin, RegressorMixin, ScalingRNN):
    r"""Recurrent net that predicts numbers, trained by Hessian-free or first-order optimization.

    .. math:: h_t = \varphi(W_{hh}\, h_{t-1} + W_{hx}\, x_t + b), \quad o_t = W_{oh}\, h_t + b_o

    and other cells. The loss is half the mean squared error over all targets; Gauss-Newton steps
    [1]_ [2]_ learn from it over many steps of time. Rows of a 2-D `X` are steps, in time
    order. Several sequences come as a list of 2-D arrays, as a 3-D array (n_sequences, n_steps,
    n_features), or as rows with `groups` or `lengths`; they may have various lengths. There is one
    target per step, or one per sequence, for its last step.

    Read more in the guide: :doc:`/guide/hessian_free`, :doc:`/guide/trained_nets`.

    Parameters
    ----------
    n_units : int, default=100
        Units of a recurrent layer.
    cell : str, default="vanilla"
        How a state follows from the one before: "vanilla" (`ElmanCell`), "multiplicative"
        (`MultiplicativeCell` [3]_), "tensor" (`TensorCell`), or one with gates: "lstm"
        (`LSTMCell`), "gru" (`GRUCell`), "mut1", "mut2", "mut3" (`MUT1Cell`, `MUT2Cell`,
        `MUT3Cell`).
    n_layers : int, default=1
        Recurrent layers on top of each other, each of `n_units` units; see `StackedCell`.
    bidirectional : bool, default=False
        Whether each layer has a second cell that reads each sequence from its end, so that the
        output of a step depends on later steps too; see `BidirectionalCell`. Of targets per
        sequence the output sees both cells where they have read all of it. Such a net has no state
        to go on from: no `step`, no `forecast`, no `initial_state`.
    cell_options : dict, optional
        Options of the cell by name, for all layers: `forget_bias` and `peepholes` of `LSTMCell`.
    n_factors : int, optional
        Factors of the multiplicative cell; by default `n_units`.
    gain : {"auto", "linear", "shifted_tanh"}, default="auto"
        Gains of the multiplicative cell. "auto" is "linear", the paper's, for symbols, and
        "shifted_tanh" for numbers: linear gains vanish where x_t = 0, and the past with them.
    activation : {"tanh", "logistic", "relu"}, default="tanh"
        φ, of the cells without gates.
    n_symbols : int, optional
        Not None: `X` has one column of integers from 0 to n_symbols - 1, and each symbol has
        weights of its own, as if it came one-hot.
    learned_initial_state : bool, default=True
        Whether the state before the first step is learned; otherwise it is zero.
    initialization : str, array or dict of arrays, default="sparse"
        Where the weights start: "sparse" (`sparse_parameters`, 15 incoming connections per unit),
        "echo_state" (those scaled to a spectral radius of 1.1), "orthogonal", and, where one matrix
        carries the states on, "identity" and "chain", or, where gates do, "chrono": the functions
        `echo_state_parameters` and so on, with their defaults. Or weights of your own: all, of
        shape (n_params,), as `params_` of a net of the same shape; or some blocks by name, as in
        `weights_`, the others are drawn as by "sparse".
    loss : {"squared_error", "logistic", "softmax"} or Loss, default="squared_error"
        What is lowered. "logistic" is for targets from 0 to 1, each by itself, "softmax" for
        targets that are parts of a whole; or an object with the methods of
        `hessianfree.network.Loss`. All but "squared_error", which scales the targets inside, see
        the targets as they are: scale them to a standard deviation of some tenths.
    output_weight : array-like of shape (n_outputs,), optional
        Weight of the squared error of each output; only their ratios count. Without it each
        output counts by its part of its own variance, whatever its unit; with it, that times the
        weight. `score` is the mean of the R² of all outputs either way.
    optimizer : str or Optimizer, default="hessian-free"
        "hessian-free" is `HessianFree` with λ from 0.03 on, structural damping μ = 0.05, at most 20
        iterations of conjugate gradients, no preconditioner; chosen by measurements on long time
        lags, see the notes. "sgd", "momentum", "nesterov", "adagrad", "rmsprop" and "adam" are the
        first-order ones, with the gradient clipped to a norm of 1; pass ``Adam(0.003)`` or the like
        to choose the learning rate, which matters.
    gradient_batch_size : int or "auto", default="auto"
        Most sequences that loss and gradient are taken on in an iteration; more are split into
        batches of equal size, shuffled anew each epoch. "auto" is 1,000; with a first-order
        optimizer 100.
    curvature_batch_size : int, default=200
        Sequences for the curvature, drawn anew from the gradient batch at each iteration. Of no
        effect with a first-order optimizer.
    max_iter : int or "auto", default="auto"
        Iterations at most. "auto" is 100; with a first-order optimizer, whose iterations are single
        cheap updates, 10,000.
    tol : float, default=1e-4
        Relative improvement of the loss that counts as one.
    n_iter_no_change : int or "auto", default="auto"
        Iterations without improvement after which training ends. "auto" is 30, since [2]_ reports
        plateaus of 10 to 30 iterations before anything is learned; with a first-order optimizer
        1,000.
    l2 : float, default=0.0
        Weight of half the squared weights in the loss; biases are not penalised.
    dropout : float, default=0.0
        Chance of a unit of the highest layer to be left out of what the output layer sees, drawn
        for each sequence and iteration; see `hessianfree.training.Dropout`. Predictions, and the
        loss on what is held out, leave out none. Measure whether it helps; see the guide.
    validation_fraction : float, default=0.0
        Fraction of the sequences held out, drawn at random; of a single sequence, of its targets,
        the last ones. Not 0, it is the loss on these that has to improve, and the parameters that
        had the lowest are kept. With a first-order optimizer it is looked at once per epoch. It is
        drawn once: the same sequences stay held out when a run goes on, in whichever call.
    target : {"step", "sequence", "auto"}, default="auto"
        What `y` holds: one target per step, or one per sequence. "auto" goes by the shape, and
        refuses one that may be either: (n_sequences, n) for sequences of n steps, which may be n
        steps or the n outputs of a sequence, as of a forecast n steps ahead (and n off by one, a
        common slip).
    warm_start : bool, default=False
        Whether `fit` goes on where the last call ended, for `max_iter` iterations more, as if it
        had never stopped: several calls are one run, which has ended for good once it converged
        (`n_iter_no_change` may be raised). With other data (found by a digest of sequences,
        targets, weights and `validation_fraction`), or with `params_` that were set, training
        starts from `params_`, and the optimizer, the scale of the targets, the batches and the
        patience begin anew; where something is held out, it is drawn anew, with a warning.
    dtype : {"float32", "float64"}, default="float32"
        Of all computations. float32 is twice as fast, and digits are not what limits training.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed of the initial weights, the batches, and what is held out.
    verbose : bool, default=False
        Whether to show a progress bar.
    callback : callable, optional
        Called with the estimator after each iteration, with all its fitted attributes so far, as
        if training had ended there: it can `score` or `save` it. True ends training.
    device : {"cpu", "cuda", "auto"}, default="cpu"
        Where to compute: "cuda" is an NVIDIA GPU, by CuPy; "auto" takes one where there is one.
        Sequences may then be CuPy arrays, and predictions are of the kind of `X`; what was learned
        is kept in NumPy arrays.
    n_jobs : int, default=None
        Threads among which the sequences of a batch are spread, as in joblib; see
        `ParallelObjective`. Results depend on it by rounding.

    Attributes
    ----------
    params_ : ndarray of shape (n_params,)
        All that was learned, one flat vector, in float64: the mean of the targets is part of it,
        and may have more digits than float32. It may be set.
    weights_ : dict of str to ndarray
        Its blocks by name, as views: those of the cell, `output` and `output_bias`.
    network_ : SequenceNetwork
        The net; `network_.predict(params_, inputs)` takes inputs with time first.
    n_iter_ : int
        Iterations made.
    loss_curve_ : ndarray of shape (n_iterations,)
        Loss before each iteration, on its gradient batch. The targets have a standard deviation of
        0.2 there: predicting their mean gives 0.02 an output.
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
    n_outputs_ : int
        Number of outputs.
    n_features_in_ : int
        Number of input features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had string column names.

    See Also
    --------
    RNNClassifier : The same for classes.
    reservoir.ESNRegressor : Only the readout is learned, in seconds.

    Notes
    -----
    Scale the inputs to about unit variance, for instance by a StandardScaler. The targets are
    scaled inside, and `params_` has that undone; their mean and scale are those of the first call
    on the data.

    Sequences of various lengths are run in groups of similar length, without their padding. Steps
    of few sequences side by side still take longer than their share: with lognormal lengths about
    twice as long as as many steps in even sequences, and a sequence far longer than all others as
    long as its steps take one after the other.

    An iteration works on whole sequences and is fastest on many side by side. A single series of
    many thousand steps is better cut into pieces of as many steps as memory is needed for:
    ``X.reshape(-1, 100, n_features)``.

    With the default settings the adding problem over 50 steps [2]_ is learned from 20,000 sequences
    in 33 to 36 iterations (3 seeds), after ten or more on a plateau.

    References
    ----------
    .. [1] Martens (2010), Deep learning via Hessian-free optimization.
    .. [2] Martens & Sutskever (2011), Learning recurrent neural networks with Hessian-free
       optimization.
    .. [3] Sutskever, Martens & Hinton (2011), Generating text with recurrent neural networks.

    Examples
    --------
    The product of what came in one and two steps ago, in 60 sequences:

    >>> import numpy as np
    >>> from hessianfree import RNNRegressor
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(60, 20, 1))
    >>> y = np.roll(X[..., 0], 1, axis=1) * np.roll(X[..., 0], 2, axis=1)
    >>> y[:, :2] = 0
    >>> rnn = RNNRegressor(n_units=20, max_iter=40, target="step", random_state=0)
    >>> rnn = rnn.fit(X[:40], y[:40])
    >>> rnn.predict(X[40:]).shape
    (20, 20)
    >>> bool(rnn.score(X[40:], y[40:]) > 0.9)
    True
    """

    _losses = LOSSES

    def predict(
        self,
        X: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial_state: InitialState = None,
        return_state: bool = False,
    ) -> Any:
        """Return the output for each step, or each sequence, of `X`.

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
        outputs : ndarray or list of ndarray
            In float64, one prediction for each target, in the form of `y`: per step, arranged as
            the steps of `X` are, or per sequence, an array of shape (n_sequences,), (n_sequences,
            n_outputs) or (n_sequences, 1, n_outputs).
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
        outputs = outputs.astype(np.float64) + self._target_mean
        outputs = in_kind(outputs[:, 0] if self._y_is_1d else outputs, X)
        restored = self._restore(outputs, layout)
        return (restored, states) if return_state else restored

    def step(self, x: Any) -> Any:
        """Take the input of one step, and return the output of that step: for live data.

        It goes on from "last", where the last training sequence ended, or, after `reset_state`,
        from the learned initial state, and moves it. The numbers are those of `predict`, to
        rounding. What it needs is prepared at the first call.

        Parameters
        ----------
        x : array-like of shape (n_features,), or a number where there is one feature
            Input of this step.

        Returns
        -------
        ndarray of shape (n_outputs,), or float if a target of `fit` was one number
            In float64. Where `fit` had one target per sequence, the one for a sequence that ended
            here.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError, TypeError
            If the shape does not fit, or a number is NaN, infinite or no symbol; the state is then
            what it was.

        Examples
        --------
        >>> import numpy as np
        >>> from hessianfree import RNNRegressor
        >>> X = np.random.default_rng(0).uniform(-1, 1, size=(30, 20, 1))
        >>> rnn = RNNRegressor(n_units=10, max_iter=3, target="step", random_state=0)
        >>> rnn = rnn.fit(X, np.roll(X[..., 0], 1, axis=1))
        >>> rnn.reset_state()
        >>> steps = [rnn.step(x) for x in X[0]]
        >>> np.allclose(steps, rnn.predict(X[:1])[0], atol=1e-6)
        True
        """
        outputs = self._step_outputs(x)[0].astype(np.float64) + self._target_mean
        return float(outputs[0]) if self._y_is_1d else outputs

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> float:
        """Return the coefficient of determination R² of `predict`, over all targets.

        Parameters
        ----------
        X, y, groups, lengths
            As in `fit`.
        sample_weight : array-like, optional
            Weight of each target, in the form of `y`.

        Returns
        -------
        float
            1 for a perfect prediction, 0 for the mean of `y`.
        """
        from sklearn.metrics import r2_score  # here, since it is slow to import

        true, predicted, weights = self._stack_for_score(
            X, y, self.predict(X, groups, lengths), sample_weight, groups, lengths
        )
        if np.array_equal(true, predicted):
            return 1.0  # of a single target as well, whose variance says nothing
        return float(r2_score(true, predicted, sample_weight=weights))
