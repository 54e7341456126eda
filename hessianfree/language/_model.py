"""Character language models as a scikit-learn estimator."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator
from tqdm import tqdm

from hessianfree.estimators._named_optimizers import resolve_optimizer, uses_curvature
from hessianfree.estimators._trained import SLICE_ROWS, STOP_REASONS
from hessianfree.language._reading import TextModelMixin, read_texts
from hessianfree.language._text import TextWindows, Vocabulary
from hessianfree.network._architecture import Architecture
from hessianfree.network._initialization import (
    INITIALIZATIONS,
    Initialization,
    mean_target_bias,
)
from hessianfree.optimize._damping import LevenbergMarquardt
from hessianfree.optimize._hessian_free import HessianFree
from hessianfree.optimize._protocols import Optimizer
from hessianfree.training._checkpoints import TrainingState
from hessianfree.training._data import BeginningAt, FreshBatches
from hessianfree.training._loop import start, train
from hessianfree.training._stop_reason import TrainingStop
from hessianfree.training._stopping import Progress, digest_of
from reservoir.utils.device import resolve_device
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.transactions import transaction
from reservoir.utils.validation import check_choice, check_integer, check_real

# Order of the independent streams that one `random_state` is split into.
_PARAMS, _DATA, _BIAS = range(3)


# Windows from which the output bias to start from is counted.
_N_BIAS_WINDOWS = 1000


# The constants that measurements on text have led to.
_OPTIMIZER = HessianFree(
    damping=LevenbergMarquardt(initial=0.1, floor=0.02),
    structural_damping=0.1,
    max_cg_iterations=10,
)


# What "auto" means.
_SECOND_ORDER = {"gradient_batch_size": 250, "max_iter": 100}


_FIRST_ORDER = {"gradient_batch_size": 64, "max_iter": 5000}


_SECOND_ORDER_GROWTH = 0.0125


_SHOWN = 200  # characters of the samples that a verbose training writes


class CharacterLanguageModel(TextModelMixin, BaseEstimator):
    r"""Recurrent net that predicts the next character of a text, and so can write one.

    .. math:: P(s_{t+1} = k \mid s_1, \dots, s_t) = \mathrm{softmax}(W_{oh}\, h_t + b_o)_k

    with the states h_t of a recurrent cell that reads the text character by character. In the
    multiplicative cell every character has a transition of its own [1]_, and Hessian-free
    optimization is what made such nets learnable. Each iteration draws windows from the whole text;
    of a window only the last part is scored, once the net has read enough of it for its
    state to settle.

    Read more in the guide: :doc:`/guide/characters`.

    Parameters
    ----------
    n_units : int, default=200
        Units of the recurrent layer.
    cell : {"multiplicative", "vanilla", "tensor", "lstm", "gru", "mut1", "mut2", "mut3"}
        How a state follows from the one before, by default as in `MultiplicativeCell`; see
        `RNNRegressor` for the others.
    n_factors : int, optional
        Factors of the multiplicative cell; by default `n_units`, as in [1]_.
    initialization : str, default="sparse"
        "sparse", "echo_state", "orthogonal", "identity", "chain" or "chrono"; see `RNNRegressor`.
    input_scale : float, default=0.5
        Standard deviation of the weights from the characters to begin with. What is 0.1 for long
        time lags is too little here, where each character carries much information: 0.5 is better
        with the multiplicative cell, and 1 far better with the vanilla one. With an LSTM 0.1 did
        well.
    optimizer : str or Optimizer, default="hessian-free"
        "hessian-free" is `HessianFree` with λ from 0.1 on and 0.02 at least, structural damping
        μ = 0.1, at most 10 iterations of conjugate gradients; chosen by measurements on text, see
        the guide. Other names and optimizers are those of `RNNRegressor`.
    sequence_length : int, default=100
        Steps of a window; [1]_ has 250.
    n_scored : int, default=90
        Steps at the end of a window that are scored; [1]_ has 200 of 250.
    gradient_batch_size : int or "auto", default="auto"
        Windows that loss and gradient are taken on in an iteration; "auto" is 250, or 64 for
        first-order optimizers.
    curvature_batch_size : int, default=50
        Windows for the curvature, drawn independently of these.
    batch_growth : float or "auto", default="auto"
        The batches of iteration i = 0, 1, ... have 1 + batch_growth · i times as many windows.
        "auto" is 0.0125, or 0 for first-order optimizers.
    max_iter : int or "auto", default="auto"
        Iterations; "auto" is 100, or 5,000 for first-order optimizers.
    averaging : bool, default=True
        Whether `params_` is an average over about the last quarter of the iterations, which takes
        out what each has learned of its own windows only; training itself does not see it. See the
        notes.
    l2 : float, default=0.0
        Weight of half the squared weights in the loss; biases are not penalised.
    min_count : int, default=1
        Characters that the text has less often are unknown. With 1 nothing in the text is unknown,
        and the net does not learn when to expect such a character.
    end_of_text : bool, default=False
        Whether a text has a start and an end that count: a symbol of its own stands before the
        first character and after the last one, is learned like a character, and ends samples.
        Several texts can only be learned that way.
    warm_start : bool, default=False
        Whether `fit` goes on where the last call ended, for `max_iter` iterations more, with the
        vocabulary of the first call. With another text, or with `params_` that were set, the
        optimizer, the average and the growth of the batches begin anew from the weights at hand.
    dtype : {"float32", "float64"}, default="float32"
        Of all computations.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed of the initial weights and of the windows.
    verbose : bool, default=False
        Whether to show a progress bar with the bits per character on the batch of the iteration.
    sample_every : int, optional
        With `verbose`, write a sample of 200 characters to the standard error output after every so
        many iterations.
    callback : callable, optional
        Called with the model after each iteration, with all its fitted attributes so far, as if
        training had ended there: it can `sample`, `score` or `save` it. True ends training.
    device : {"cpu", "cuda", "auto"}, default="cpu"
        Where to learn: "cuda" is an NVIDIA GPU, by CuPy; "auto" takes one where there is one.
        Scores and samples are computed on the host, from what was learned.

    Attributes
    ----------
    vocabulary_ : Vocabulary
        The characters and their symbols.
    params_ : ndarray of shape (n_params,)
        All that was learned, one flat vector.
    weights_ : dict of str to ndarray
        Its blocks by name, as views: those of the cell, `output` and `output_bias`.
    device_ : {"cpu", "cuda"}
        Where `fit` computed.
    network_ : SequenceNetwork
        The net.
    n_iter_ : int
        Iterations made.
    loss_curve_ : ndarray of shape (n_iterations,)
        Loss before each iteration, on its gradient batch, in nats; over log 2, in bits per
        character.
    history_ : History
        What the optimizer reported of each iteration.
    stop_reason_ : {"max_iter", "callback", "interrupted", "running"}
        Why training ended; "running" for a callback before the last iteration, and in what it
        saved.

    See Also
    --------
    RNNClassifier : Classes for the steps of any sequences.
    hessianfree.language.Vocabulary : Characters as symbols.

    Notes
    -----
    A text is a str, or a `pathlib.Path` of a UTF-8 file; with `end_of_text` also a list of these.

    The average goes by

    θ̄_i = θ̄_{i-1} + 4 / (i + 3) · (θ_i - θ̄_{i-1}),

    polynomial-decay averaging with η = 3 [2]_: it forgets the beginning, and has no time constant
    that would have to fit the length of the training.

    A character that was not in the training text is read, and scored, as the unknown symbol, which
    does not say which character it is: the bits per character of a text with many of them are too
    few by what that would cost. The unknown symbol is never sampled.

    References
    ----------
    .. [1] Sutskever, Martens & Hinton (2011), Generating text with recurrent neural networks, ICML.
    .. [2] Shamir & Zhang (2013), Stochastic gradient descent for non-smooth optimization:
       convergence results and optimal averaging schemes, ICML, section 4.

    Examples
    --------
    >>> from hessianfree import CharacterLanguageModel
    >>> model = CharacterLanguageModel(
    ...     n_units=20, sequence_length=20, n_scored=15, gradient_batch_size=50,
    ...     curvature_batch_size=20, max_iter=25, random_state=0)
    >>> model = model.fit("she sells sea shells. " * 20)
    >>> model.complete("she se", 16)
    'lls sea shells. '
    >>> bool(model.bits_per_character("she sells sea shells. " * 20) < 0.1)
    True
    """

    def __init__(
        self,
        n_units: int = 200,
        *,
        cell: Literal[
            "multiplicative", "vanilla", "tensor", "lstm", "gru", "mut1", "mut2", "mut3"
        ] = "multiplicative",
        n_factors: int | None = None,
        initialization: Initialization = "sparse",
        input_scale: float = 0.5,
        optimizer: str | Optimizer[Any] = "hessian-free",
        sequence_length: int = 100,
        n_scored: int = 90,
        gradient_batch_size: int | Literal["auto"] = "auto",
        curvature_batch_size: int = 50,
        batch_growth: float | Literal["auto"] = "auto",
        max_iter: int | Literal["auto"] = "auto",
        averaging: bool = True,
        l2: float = 0.0,
        min_count: int = 1,
        end_of_text: bool = False,
        warm_start: bool = False,
        dtype: Literal["float32", "float64"] = "float32",
        random_state: Any = None,
        verbose: bool = False,
        sample_every: int | None = None,
        callback: Callable[[Any], Any] | None = None,
        device: Literal["cpu", "cuda", "auto"] = "cpu",
    ) -> None:
        self.n_units = n_units
        self.cell = cell
        self.n_factors = n_factors
        self.initialization = initialization
        self.input_scale = input_scale
        self.optimizer = optimizer
        self.sequence_length = sequence_length
        self.n_scored = n_scored
        self.gradient_batch_size = gradient_batch_size
        self.curvature_batch_size = curvature_batch_size
        self.batch_growth = batch_growth
        self.max_iter = max_iter
        self.averaging = averaging
        self.l2 = l2
        self.min_count = min_count
        self.end_of_text = end_of_text
        self.warm_start = warm_start
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose
        self.sample_every = sample_every
        self.callback = callback
        self.device = device

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    # -- fitting ----------------------------------------------------------------------------------

    @transaction()
    def fit(self, X: Any, y: None = None) -> Self:
        """Learn a text.

        Parameters
        ----------
        X : str, path-like, or list of these
            The text, or a `pathlib.Path` of a UTF-8 file; several texts with `end_of_text` only. A
            str is always a text: one that names a file warns.
        y : None
            Ignored.

        Returns
        -------
        CharacterLanguageModel
            Itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the text is not as described; the message says which.

        Notes
        -----
        Ctrl-C ends the fit after the last complete iteration, with a warning; the model is fitted
        with what was learned up to there. Where `fit` raises an exception, the model is as it was
        before the call.
        """
        self._fit(X)
        return self

    def _fit(self, X: Any) -> None:
        """Read the text and learn it."""
        self._check_parameters()
        self.device_ = resolve_device(self.device)
        self._growth(self._optimizer_and_counts()[0])
        continues = self._continues()
        was_changed = continues and self._was_changed()
        ends = self.vocabulary_.end_of_text if continues else bool(self.end_of_text)
        texts = read_texts(X, ends)
        vocabulary = (
            self.vocabulary_
            if continues
            else Vocabulary.from_text("".join(texts), min_count=self.min_count, end_of_text=ends)
        )
        stream = vocabulary.stream(texts)
        if len(stream) < 2:
            raise ValueError(
                f"`X` has {len(stream)} character(s), but at least 2 were expected: one to predict,"
                " and one to predict it from. Pass a longer text."
            )
        if not vocabulary.characters:
            raise ValueError(
                f"`min_count` is {self.min_count}, but no character of `X` comes so often. Lower "
                "it, or pass a longer text."
            )
        self.vocabulary_ = vocabulary
        windows = TextWindows(stream, self.sequence_length, self.n_scored, vocabulary.end_symbol)
        self._learn(windows, continues, was_changed)

    def _check_parameters(self) -> None:
        """Raise unless the parameters that nothing else checks are as described."""
        check_choice("initialization", self.initialization, INITIALIZATIONS)
        check_choice("dtype", self.dtype, ("float32", "float64"))
        for name in ("sequence_length", "curvature_batch_size"):
            check_integer(name, getattr(self, name), minimum=1)
        check_integer(
            "n_scored",
            self.n_scored,
            minimum=1,
            maximum=self.sequence_length,
            remedy="Pass at most `sequence_length`.",
        )
        if self.sample_every is not None:
            check_integer("sample_every", self.sample_every, minimum=1)

    def _optimizer_and_counts(self) -> tuple[Optimizer[Any], int, int]:
        """Return the optimizer, the windows it gets, and the iterations."""
        optimizer, _ = resolve_optimizer(self.optimizer)
        if self.optimizer == "hessian-free":
            optimizer = _OPTIMIZER
        counts = dict(_SECOND_ORDER if uses_curvature(optimizer) else _FIRST_ORDER)
        for name in counts:
            value = getattr(self, name)
            if not (isinstance(value, str) and value == "auto"):
                counts[name] = check_integer(name, value, minimum=1)
        return optimizer, counts["gradient_batch_size"], counts["max_iter"]

    def _growth(self, optimizer: Optimizer[Any]) -> float:
        """Return by how much the batches grow."""
        if isinstance(self.batch_growth, str) and self.batch_growth == "auto":
            return _SECOND_ORDER_GROWTH if uses_curvature(optimizer) else 0.0
        return check_real("batch_growth", self.batch_growth, minimum=0)

    def _learn(self, windows: TextWindows, continues: bool, was_changed: bool) -> None:
        """Train the net on windows of the text."""
        optimizer, gradient_size, n_more = self._optimizer_and_counts()
        curvature_size = self.curvature_batch_size if uses_curvature(optimizer) else None
        streams = seed_sequence(self.random_state).spawn(3)
        architecture = self._describe()
        max_rows = max(SLICE_ROWS, (curvature_size or 0) * self.sequence_length)
        network = architecture.build(max_rows, self.device_)
        data = digest_of(windows.symbols, windows.n_steps, windows.n_scored)
        if continues:
            self._check_warm_start(architecture, optimizer)
            state, progress = self._run_to_go_on_with(
                optimizer,
                Progress(data, streams[_DATA]),
                was_changed=was_changed,
                is_validated=False,
            )
        else:
            some = windows.draw(_N_BIAS_WINDOWS, np.random.default_rng(streams[_BIAS]))
            params = INITIALIZATIONS[self.initialization](
                network,
                input_scale=self.input_scale,
                output_bias=mean_target_bias(network, some),
                random_state=streams[_PARAMS],
                dtype=self.dtype,
            )
            state, progress = (
                start(optimizer, params, streams[_DATA]),
                Progress(data, streams[_DATA]),
            )
        counts = np.bincount(windows.symbols, minlength=self.vocabulary_.n_symbols)
        self._counts = counts.astype(float)
        self._architecture = architecture
        source = FreshBatches(windows.draw, gradient_size, curvature_size, self._growth(optimizer))
        last = state.iteration + n_more
        # A run that was interrupted may have ended before its last iteration was averaged.
        progress = (
            progress.averaged(state.iteration, state.params)
            if self.averaging
            else replace(progress, average=None)
        )

        def after_iteration(state: TrainingState) -> bool:
            nonlocal progress
            if self.averaging:
                progress = progress.averaged(state.iteration, state.params)
            reason = TrainingStop.N_ITERATIONS if state.iteration == last else None
            self._show(state, progress, bar)
            return self._call_back(state, progress, STOP_REASONS[reason])

        with tqdm(total=last, initial=state.iteration, disable=not self.verbose) as bar:
            state = train(
                network,
                optimizer,
                BeginningAt(source, progress.began),
                state,
                n_iterations=last,
                callback=after_iteration,
            )
        self._adopt(state, progress, STOP_REASONS[state.stop_reason])
        self._warn()

    def _describe(self) -> Architecture:
        """Return what the parameters and the vocabulary say about the net."""
        return Architecture(
            cell=self.cell,
            n_inputs=self.vocabulary_.n_symbols,
            n_units=self.n_units,
            n_factors=self.n_factors,
            gain="auto",
            activation="tanh",
            has_symbols=True,
            learned_initial_state=True,
            n_outputs=self.vocabulary_.n_symbols,
            loss="softmax",
            l2=self.l2,
        )

    def _show(self, state: TrainingState, progress: Progress, bar: Any) -> None:
        """Say how it goes."""
        if not self.verbose:
            return
        bits = state.history.last["loss"] / math.log(2)
        bar.set_postfix(bits_per_character=f"{bits:.3f}", refresh=False)
        bar.update()
        if self.sample_every and state.iteration % self.sample_every == 0:
            self._adopt(state, progress, STOP_REASONS[None])
            text = self.sample(_SHOWN, seed=state.iteration)
            bar.write(f"\n-- iteration {state.iteration}\n{text}\n", file=sys.stderr)
