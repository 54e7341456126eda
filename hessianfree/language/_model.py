"""Language models of characters and of words as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

from sklearn.base import BaseEstimator

from hessianfree.language._fitting import FittingMixin
from hessianfree.network._initialization import Initialization
from hessianfree.optimize._protocols import Optimizer
from reservoir.utils.transactions import transaction


class LanguageModel(FittingMixin, BaseEstimator):
    r"""Recurrent net that says how probable a text is, and can write one: by characters or words.

    .. math:: P(s_{t+1} = k \mid s_1, \dots, s_t) = \mathrm{softmax}(W_{oh}\, h_t + b_o)_k

    with the states h_t of a recurrent cell that reads the text token by token. A sentence ends with
    the token <EOS>, which is learned like any other, so that

    .. math:: P(s_1, \dots, s_n) = \prod_{t=1}^{n+1} P(s_t \mid s_1, \dots, s_{t-1}),
              \quad s_{n+1} = \text{<EOS>}

    is a distribution over all sentences. In the multiplicative cell every token has a transition of
    its own [1]_, and Hessian-free optimization is what made such nets learnable. Each iteration
    draws windows from the whole text; of a window only the last part is scored, once the net has
    read enough of it for its state to settle.

    Read more in the guide: :doc:`/guide/characters`.

    Parameters
    ----------
    n_units : int, default=200
        Units of each recurrent layer.
    tokens : {"characters", "words"}, default="characters"
        What is read and predicted one after the other. Words are those of
        `hessianfree.language.words_of`: letters and digits with apostrophes and hyphens inside;
        every other character that is no space is a mark of its own.
    sentences : {"lines", "texts"} or None, default="lines"
        What has a start and an end: each line that is not blank, or each text that `fit` gets. None
        learns one running text without start and end, line breaks among its characters.
    cell : {"multiplicative", "vanilla", "tensor", "lstm", "gru", "mut1", "mut2", "mut3"}
        How a state follows from the one before, by default as in `MultiplicativeCell`; see
        `RNNRegressor` for the others.
    n_layers : int, default=1
        Recurrent layers on top of each other, as in `StackedCell`.
    n_factors : int, optional
        Factors of the multiplicative cell; by default `n_units`, as in [1]_.
    initialization : str, default="sparse"
        "sparse", "echo_state", "orthogonal", "identity", "chain" or "chrono"; see `RNNRegressor`.
    input_scale : float, default=0.5
        Standard deviation of the weights from the tokens to begin with. What is 0.1 for long
        time lags is too little here, where each token carries much information: 0.5 is better
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
        Whether what is learned is an average over about the last quarter of the iterations, which
        takes out what each has learned of its own windows only; training itself does not see it.
        See the notes.
    l2 : float, default=0.0
        Weight of half the squared weights in the loss; biases are not penalised.
    max_vocabulary : int, optional
        Tokens that are known at most: the most frequent ones. All others are <UNK>.
    min_count : int or "auto", default="auto"
        Tokens that the text has less often are <UNK>. With 1 nothing in the text is unknown, and
        the net does not learn when to expect such a token. "auto" is 1 for characters, and 2 for
        words.
    validation_fraction : float, default=0.0
        Share that is held out: of the sentences, some drawn at random; of a text without
        sentences, its end. The loss on them, each token scored once, has to improve, and the
        parameters that had the lowest are kept.
    tol : float, default=1e-4
        Relative improvement of the loss on what is held out that counts as one.
    n_iter_no_change : int or "auto", default="auto"
        Training ends after so many iterations without an improvement; "auto" is 30, or 1,000 for
        first-order optimizers, which are validated every 50 iterations.
    warm_start : bool, default=False
        Whether `fit` goes on where the last call ended, for `max_iter` iterations more, with the
        vocabulary of the first call. With another text, or with `params_` that were set, the
        optimizer, the average and the growth of the batches begin anew from the weights at hand.
    dtype : {"float32", "float64"}, default="float32"
        Of all computations.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed of the initial weights, of what is held out, and of the windows.
    verbose : bool, default=False
        Whether to show a progress bar with the bits per token on the batch of the iteration.
    sample_every : int, optional
        With `verbose`, write a sample of 200 tokens to the standard error output after every so
        many iterations.
    callback : callable, optional
        Called with the model after each iteration, with all its fitted attributes so far, as if
        training had ended there: it can `sample`, `score` or `save` it. True ends training.
    device : {"cpu", "cuda", "auto"}, default="cpu"
        Where to learn: "cuda" is an NVIDIA GPU, by CuPy; "auto" takes one where there is one.
        Scores and samples are computed on the host, from what was learned.

    Attributes
    ----------
    vocabulary_ : Vocabulary or WordVocabulary
        The tokens and their symbols, <UNK> and <EOS> among them.
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
        Loss before each iteration, on its gradient batch, in nats; over log 2, in bits per token.
    validation_curve_ : ndarray of shape (n_validations,)
        Loss on what was held out, in nats per token; only with a `validation_fraction`.
    history_ : History
        What the optimizer reported of each iteration.
    stop_reason_ : {"max_iter", "converged", "callback", "interrupted", "running"}
        Why training ended, "converged" where the loss on what was held out no longer fell;
        "running" for a callback before the last iteration, and in what it saved.

    See Also
    --------
    CharacterLanguageModel : The same for a running text of characters.
    RNNClassifier : Classes for the steps of any sequences.
    hessianfree.language.WordVocabulary : Words as symbols.

    Notes
    -----
    A text is a str, or a `pathlib.Path` of a UTF-8 file; but for `sentences=None` also a list of
    these. A str is never a path: one that names a file warns.

    The average goes by

    θ̄_i = θ̄_{i-1} + 4 / (i + 3) · (θ_i - θ̄_{i-1}),

    polynomial-decay averaging with η = 3 [2]_: it forgets the beginning, and has no time constant
    that would have to fit the length of the training.

    A token that is not in the vocabulary is read, and scored, as <UNK>, which does not say which
    token it is: the bits of a text with many of them are too few by what that would cost.

    References
    ----------
    .. [1] Sutskever, Martens & Hinton (2011), Generating text with recurrent neural networks, ICML.
    .. [2] Shamir & Zhang (2013), Stochastic gradient descent for non-smooth optimization:
       convergence results and optimal averaging schemes, ICML, section 4.

    Examples
    --------
    >>> from hessianfree import LanguageModel
    >>> text = "an apple and a pear\na pair of shoes\na pear and an apple\n" * 20
    >>> model = LanguageModel(
    ...     n_units=20, tokens="words", sequence_length=20, n_scored=15, gradient_batch_size=50,
    ...     curvature_batch_size=20, max_iter=15, random_state=0)
    >>> model = model.fit(text)
    >>> model.vocabulary_.tokens
    ('<UNK>', '<EOS>', 'a', 'an', 'and', 'apple', 'of', 'pair', 'pear', 'shoes')
    >>> sentences = ["an apple and a pear", "an apple and a pair"]
    >>> pear, pair = model.log_probability(sentences)
    >>> bool(pear > pair + 2)
    True
    >>> model.complete("a pair")
    'of shoes'
    >>> bool(model.perplexity(text) < 2)
    True
    """

    def __init__(
        self,
        n_units: int = 200,
        *,
        tokens: Literal["characters", "words"] = "characters",
        sentences: Literal["lines", "texts"] | None = "lines",
        cell: Literal[
            "multiplicative", "vanilla", "tensor", "lstm", "gru", "mut1", "mut2", "mut3"
        ] = "multiplicative",
        n_layers: int = 1,
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
        max_vocabulary: int | None = None,
        min_count: int | Literal["auto"] = "auto",
        validation_fraction: float = 0.0,
        tol: float = 1e-4,
        n_iter_no_change: int | Literal["auto"] = "auto",
        warm_start: bool = False,
        dtype: Literal["float32", "float64"] = "float32",
        random_state: Any = None,
        verbose: bool = False,
        sample_every: int | None = None,
        callback: Callable[[Any], Any] | None = None,
        device: Literal["cpu", "cuda", "auto"] = "cpu",
    ) -> None:
        self.n_units = n_units
        self.tokens = tokens
        self.sentences = sentences
        self.cell = cell
        self.n_layers = n_layers
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
        self.max_vocabulary = max_vocabulary
        self.min_count = min_count
        self.validation_fraction = validation_fraction
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
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
            The text, or a `pathlib.Path` of a UTF-8 file, or several, where they have an end. A str
            is always a text: one that names a file warns.
        y : None
            Ignored.

        Returns
        -------
        LanguageModel
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
