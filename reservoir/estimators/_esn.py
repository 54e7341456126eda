"""ESNRegressor: an echo state network with a ridge readout, as a scikit-learn regressor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, Self, cast

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import ThreadingBackend, get_active_backend
from numpy.typing import ArrayLike
from tqdm import tqdm

from reservoir.dynamics._bounds import OUTPUT_LIMIT
from reservoir.estimators._exports import Exports
from reservoir.estimators._horizons import lie_ahead
from reservoir.estimators._pooled import PooledTargets
from reservoir.harvest._fold import TrainingSequence, fold_sequences
from reservoir.harvest._jobs import cut_into_jobs
from reservoir.plasticity import IntrinsicPlasticity
from reservoir.readout._accumulator import RidgeAccumulator
from reservoir.readout._solve import (
    USUAL_ALPHAS,
    check_alphas,
    solve_ridge,
    tolerance_of,
)
from reservoir.sequences._chunks import ROWS_PER_BLOCK, check_chunk, pair, recut
from reservoir.sequences._missing import fed_back, hold
from reservoir.utils.device import MEMORY_REMEDY, is_on_device, naming_remedy, to_host
from reservoir.utils.threads import call_side_by_side
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer, check_iterable

# Of targets several steps ahead: on 14 series, as many blocks and more chose alike.
_BLOCKS_AHEAD = 8
# Steps that go to one held-out block before the next one gets some, where they come in parts.
_STRETCH = 500


class ESNRegressor(Exports, PooledTargets):
    r"""Echo state network with a ridge readout.

    A fixed random reservoir of leaky units is driven by the input,

    .. math::

        x[t] = (1 - a)\, x[t-1] + a\, f\big(W x[t-1] + W_\mathrm{in} u[t]
            + W_\mathrm{fb}\, y[t-1] + b + \nu[t]\big)

    and only the linear readout y[t] = W_out [u[t]; x[t]; x[t]²] + c is learned, by ridge
    regression [1]_ [2]_. Rows of a 2-D `X` are steps, in time order. Several sequences come as a
    list of 2-D arrays, as a 3-D array (n_sequences, n_steps, n_features), or as rows with
    `groups` or `lengths`; the state starts anew at each.

    Read more in the guide: :doc:`/guide/choosing`.

    Parameters
    ----------
    n_units : int, default=500
        Units of the reservoir; as many as can be afforded.
    spectral_radius : float or None, default=0.9
        Largest absolute eigenvalue that W is scaled to; None leaves W as drawn or given. A delay
        line has only zero eigenvalues: there it is the weight of the connections.
    leak_rate : float in (0, 1] or array-like of shape (n_units,), default=1.0
        Fraction a of the state replaced at each step.
    input_scaling : float, array-like of shape (n_features,) or None, default=None
        Scale of W_in, for all channels or for each; None stands for 0.1, or 0.3 / √n_features where
        there are more than nine, which suits standardised channels, however many.
    bias_scaling : float, default=0.2
        Scale of b. Without a bias a tanh reservoir is an odd function of its input.
    connectivity : int or float, default=10
        Incoming connections of a unit (all units, where there are fewer than these 10), or, as a
        float in (0, 1], the density of W.
    topology : str, array-like, sparse array or callable, default="random"
        "random", "cycle", "delay_line", "small_world", "antisymmetric", "orthogonal",
        "permutation", a square matrix, or a function (n_units, rng) -> matrix.
    distribution : {"uniform", "normal", "signs"}, default="uniform"
        What weights are drawn from: uniform on [-1, 1], standard normal, or -1 and 1; then scaled.
    activation : {"tanh", "relu", "identity", "logistic"} or callable, default="tanh"
        f, elementwise.
    carry : {"leak", "euler", "cycle", "permutation", "orthogonal"}, default="leak"
        What goes on of the last state: "leak", (1 - a) x[t-1]; (1 - a) O x[t-1] with O the shift to
        the next unit, a random permutation or a random orthogonal matrix, the edge of stability
        network [3]_, which remembers longer at a small a; or "euler", all of x[t-1], the Euler
        state network [4]_, made for ``topology="antisymmetric"``. Not "leak" is on the host only.
    diffusion : float, default=0.0
        γ of W - γ I, after W is scaled: what makes an Euler state network stable, 0.01 say.
    plasticity : IntrinsicPlasticity or None, default=None
        How the units learn their gains and biases from the training input, before the readout
        does; in `partial_fit`, from that of the first call.
    feedback_scaling : float or array-like of shape (n_outputs,), default=0.0
        Scale of W_fb. Not 0, the output is fed back: the target while learning (teacher forcing),
        the network's own output in `predict`.
    noise : float, default=0.0
        Standard deviation of ν[t], while learning only.
    feedback_noise : float, default=0.0
        Standard deviation of the noise added to the target that is fed back, while learning
        only; it is what makes a generator's free run stable.
    washout : int, default=0
        Steps at the start of each sequence that the readout does not learn from.
    include_input : bool, default=True
        Whether the readout sees u[t].
    include_squares : bool, default=False
        Whether the readout sees x[t]².
    alpha : float or array-like of shape (n_alphas,), default=(1e-6, 1e-5, ..., 1e4)
        Ridge penalty α ‖W_out‖² beside the summed squared error; of several, the best is taken. Of
        the default it is the largest whose error is estimated within 5 % of the least: what is the
        same one step ahead diverges less where the output is fed back. Noise-free data may want a
        single 1e-20, noisy data 1 and more.
    alpha_cv : int, "auto" or None, default="auto"
        How to choose among several alphas: None by generalised cross-validation, an integer by
        that many held-out contiguous blocks of rows; in `partial_fit` and `fit_stream`, where it
        is not known how many rows come, stretches of 500 steps go to the blocks in turn. "auto"
        is 8 blocks, the first of which is only learned from, where `fit` sees that the targets lie
        several steps ahead (y[t] = u[t + h], or a table of horizons), whose errors are correlated,
        and None otherwise.
    alpha_per_target : bool, default=False
        Whether each output has an alpha of its own.
    fit_intercept : bool, default=True
        Whether c is learned; it is not penalised.
    solver : {"auto", "gram", "qr"}, default="auto"
        "gram" folds the states into normal equations, "qr" into a triangular factor, which keeps
        the digits that small alphas need at up to two and a half times the time; "auto" starts
        with the first and goes over to the second when alpha asks for it.
    missing : {"raise", "hold"}, default="raise"
        What NaN in `X` means: an error, or that the last value of its feature goes on; a feature
        without a value at the start of a sequence is always an error. See the Notes for `y`.
    output_limit : float or None, default=3.0
        A free run (`forecast`, or `predict` with feedback) stops with a DivergenceError where an
        output leaves the range of the training targets by more than this many times that range;
        None for infinity alone. See the Notes.
    target_per : {"auto", "step", "sequence"}, default="auto"
        What a row of `y` is for: a step, or a whole sequence, for which `predict` then gives one
        output. "auto" goes by the shape; (n_sequences, n_steps) for sequences of n_steps is one a
        step, and (n_sequences, n_outputs) with a step more or less is refused until this says so.
    pooling : {"mean", "last"} or int, default="mean"
        With one target per sequence, what the readout sees of it: the mean of [u; x; x²] over the
        steps after the washout, as suits what a sequence is like; those of the last step, as suits
        where it ended; or the means of so many contiguous segments, where the shape in time counts.
    dtype : {"float64", "float32"}, default="float64"
        Of weights, states and predictions; the readout is always solved in float64. Products of
        float32 states are made in float32 for as long as a single `alpha` drowns their rounding,
        which is then at most 1.3 % of it; a smaller one, several to choose among, and another
        `solver` than "auto" get float64.
    device : {"cpu", "cuda", "auto"}, default="cpu"
        Where states, sums and predictions are computed: on the host, or by CuPy on a GPU; "auto"
        takes a GPU where there is one. On a GPU, arrays of either kind may come, and predictions
        are of the kind of `X`. Weights and what is learned stay on the host.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed of weights and noise.
    n_jobs : int or None, default=None
        Workers among which several sequences are spread, as in joblib: threads, unless, while
        learning, its `parallel_config` names another backend such as loky or dask. On a GPU there
        is one.
    verbose : bool, default=False
        Whether learning shows a progress bar.

    Attributes
    ----------
    reservoir_ : Reservoir
        The weights and what else defines the recurrence.
    coef_ : ndarray of shape (n_outputs, n_columns) or (n_columns,)
        W_out, for the columns [u; x; x²] as far as they are included.
    intercept_ : ndarray of shape (n_outputs,) or float
        c.
    readout_ : Readout
        Both, in the dtype of the model, as `reservoir.dynamics.free_run` takes them.
    input_sources_ : ndarray of int of shape (n_features,)
        The output that takes the place of each input in a forecast, -1 for none.
    alpha_ : float or ndarray of shape (n_outputs,)
        The penalty taken.
    alpha_scores_ : ndarray of shape (n_alphas,) or (n_alphas, n_outputs)
        Mean squared error estimated for each alpha; only where there were several. NaN for those
        whose readout, or whose error, is decided by rounding: none of them is taken.
    solver_ : {"gram", "qr"}
        What the readout was solved from.
    last_state_ : ndarray of shape (n_units,)
        State after the last training step, or the last one of `advance` or `step`: "last".
    last_output_ : ndarray of shape (n_outputs,)
        Target of the last training step, or the output observed last, or the model's own where
        none was observed; of training, with `missing` "hold" the last one that was not NaN.
    output_range_, output_bounds_ : ndarray of shape (2, n_outputs)
        Smallest and largest target of each output, and what a free run may take.
    n_outputs_ : int
        Number of outputs.
    n_sequences_seen_ : int
        Number of training sequences.
    target_per_ : {"step", "sequence"}
        What a row of `y` was for.
    device_ : {"cpu", "cuda"}
        Where it was fitted.
    n_features_in_ : int
        Number of input features.
    feature_names_in_, target_names_in_ : ndarray of str
        Names of inputs and targets, where `X` and `y` had string column names.

    See Also
    --------
    ReservoirTransformer : The states, as features for any other model.

    Notes
    -----
    `predict` has no memory: it starts from the zero state, unless told otherwise, and gives the
    same answer twice, with `initial_state` "last" too. To go on after new observations, `advance`
    and `step` move "last"; `return_state` gives where a call ended without moving it.

    A step with NaN among its targets is run, but takes no part in the readout, in the choice of
    alpha, or in `score`: in none of its outputs, since all of them share one decomposition. Fit
    outputs one by one where their gaps differ. What is fed back while learning must be known at
    each step: with `feedback_scaling`, NaN in `y` is an error, unless `missing` is "hold", which
    feeds back the last value (at the start of a sequence 0, as for the output before it).

    Infinity is refused everywhere.

    Why 3 for `output_limit`: a model whose forecasts are good stays near the range that it has
    seen, and one that diverges leaves it exponentially, so that the exact number matters little.
    In 112 forecasts of 14 real series, of 1,500 steps and less, the truth left the range before it
    by 0.8 of the range at most, forecasts with less than three times the error of a seasonal naive
    one by 0.6, and what left it by more than 3 had at least ten times that error. For a constant
    target its size takes the place of the range; one that is always 0 has no bound.

    References
    ----------
    .. [1] Jaeger (2001), The "echo state" approach to analysing and training recurrent neural
       networks, GMD report 148, section 3.
    .. [2] Lukoševičius (2012), A Practical Guide to Applying Echo State Networks, eqs. 2-4, 9.
    .. [3] Ceni & Gallicchio (2023), Edge of stability echo state network, arXiv:2308.02902.
    .. [4] Gallicchio (2022), Euler state networks: non-dissipative reservoir computing,
       arXiv:2203.09382.

    Examples
    --------
    One step ahead of a sine, then a free run of 100 steps on its own output:

    >>> import numpy as np
    >>> from reservoir import ESNRegressor
    >>> series = np.sin(0.2 * np.arange(1001))[:, None]
    >>> esn = ESNRegressor(n_units=50, washout=50, alpha=1e-8, random_state=0)
    >>> esn = esn.fit(series[:-1], series[1:])
    >>> future = np.sin(0.2 * np.arange(1001, 1101))[:, None]
    >>> bool(abs(esn.forecast(100) - future).max() < 0.01)
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
        feedback_scaling: float | ArrayLike = 0.0,
        noise: float = 0.0,
        feedback_noise: float = 0.0,
        washout: int = 0,
        include_input: bool = True,
        include_squares: bool = False,
        alpha: float | ArrayLike = USUAL_ALPHAS,
        alpha_cv: int | Literal["auto"] | None = "auto",
        alpha_per_target: bool = False,
        fit_intercept: bool = True,
        solver: Literal["auto", "gram", "qr"] = "auto",
        missing: Literal["raise", "hold"] = "raise",
        output_limit: float | None = OUTPUT_LIMIT,
        target_per: Literal["auto", "step", "sequence"] = "auto",
        pooling: Literal["mean", "last"] | int = "mean",
        dtype: Literal["float64", "float32"] = "float64",
        device: Literal["cpu", "cuda", "auto"] = "cpu",
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
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
        self.feedback_scaling = feedback_scaling
        self.noise = noise
        self.feedback_noise = feedback_noise
        self.washout = washout
        self.include_input = include_input
        self.include_squares = include_squares
        self.alpha = alpha
        self.alpha_cv = alpha_cv
        self.alpha_per_target = alpha_per_target
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.missing = missing
        self.output_limit = output_limit
        self.target_per = target_per
        self.pooling = pooling
        self.dtype = dtype
        self.device = device
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @transaction()
    def fit(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        step_weight: Any = None,
    ) -> Self:
        """Draw a reservoir, drive it with `X`, and learn the readout of `y`.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features), list of such, 3-D array, or panel
            Inputs; see the class for several sequences. A memory-mapped array is read in place.
        y : array-like of shape (n_steps,) or (n_steps, n_outputs), or as `X` several of them
            Targets, one row per step; NaN where there is none. Or, for several sequences,
            (n_sequences,) or (n_sequences, n_outputs): one row per sequence; see `target_per`.
        groups : array-like of shape (n_steps,), optional
            Label of the sequence that each row of a 2-D `X` belongs to; contiguous.
        lengths : array-like of int of shape (n_sequences,), optional
            Steps of each sequence of a 2-D `X`; not for cross-validation, which does not cut it.
        step_weight : array-like of shape (n_steps,), or as `X` several of them, optional
            Weight of each step's squared error, or (n_sequences,) of each sequence's. Not called
            `sample_weight`, since a step of weight two is not a step that comes twice: that would
            change the states.

        Returns
        -------
        ESNRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter or an argument is not as described; the message says which.
        """
        if self._find_target_per(X, y, groups, lengths, first=True):
            return self._learn_pooled(X, y, groups, lengths, step_weight, first=True)
        inputs, targets, weights, layout, self._y_is_1d = self._reader().training(
            X, y, groups, lengths, step_weight
        )
        self._check_washout(layout.lengths)
        self._begin(inputs[0].shape[1], targets[0].shape[1])
        self._remember_targets(inputs, targets, y)
        self._adapt_reservoir(inputs, self._teachers(targets))
        n_blocks = self._n_blocks(inputs, targets)
        blocks = self._take_in(inputs, targets, weights, n_blocks=n_blocks)
        self._stretches = blocks
        return self._solve(blocks)

    @transaction()
    def fit_stream(self, chunks: Iterable[tuple[Any, Any]]) -> Self:
        """Learn from one series that comes in chunks, as `fit` from all of it.

        Memory does not grow with the number of steps: what is kept of a chunk is its part in the
        sums, and the state in which it ends. The readout is solved once, at the end. The result
        does not depend on how the series is cut.

        Parameters
        ----------
        chunks : iterable of (X, y)
            Consecutive rows of inputs, (n_steps, n_features), and of targets, (n_steps,) or
            (n_steps, n_outputs). It is gone through once, and may be a generator.

        Returns
        -------
        ESNRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            As in `fit`; if there is no chunk; if `plasticity` is set, since it goes through the
            inputs more than once.

        See Also
        --------
        partial_fit : More data at any time, at the price of solving for the readout each time.

        Examples
        --------
        >>> import numpy as np
        >>> from reservoir import ESNRegressor
        >>> def chunks():
        ...     rng, last = np.random.default_rng(0), 0.0
        ...     for _ in range(10):
        ...         u = rng.uniform(-1, 1, size=1000)
        ...         yield u[:, None], np.r_[last, u[:-1]]
        ...         last = u[-1]
        >>> esn = ESNRegressor(n_units=50, random_state=0).fit_stream(chunks())
        >>> bool(np.mean([esn.score(X, y) for X, y in chunks()]) > 0.99)
        True
        """
        check_iterable("chunks", chunks)
        if self.plasticity is not None:
            raise ValueError(
                f"`plasticity` is {self.plasticity}, but units that learn go through the inputs "
                "more than once. Set it to None, or call `partial_fit`, where they learn from the "
                "first call."
            )
        begun = False
        bar = tqdm(unit="step", unit_scale=True, disable=not self.verbose)
        for inputs, targets in recut(self._read_chunks(chunks), ROWS_PER_BLOCK):
            self._take_in([inputs], [targets], None, continues=begun, progress=False)
            begun = True
            bar.update(len(inputs))
        bar.close()
        if not begun:
            raise ValueError(
                "`chunks` is empty, but at least one pair (X, y) was expected. Pass a fresh "
                "generator: one that was gone through yields nothing."
            )
        self._check_washout([self._steps_of_last])
        return self._solve(self._stretches)

    @transaction("_accumulator")
    def partial_fit(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        step_weight: Any = None,
        initial_state: Literal["last"] | None = None,
    ) -> Self:
        """Learn from more data, as if all of it had come in one call of `fit`.

        Parameters
        ----------
        X, y, groups, lengths, step_weight
            As in `fit`.
        initial_state : {"last"} or None, default=None
            "last" says that the first sequence continues the last one of the call before: its
            state, its washout and its noise go on. Otherwise a new sequence begins.

        Returns
        -------
        ESNRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            As in `fit`.
        """
        first = not hasattr(self, "_accumulator")
        if self._find_target_per(X, y, groups, lengths, first=first):
            if initial_state is not None:
                raise ValueError(
                    f"`initial_state` is {initial_state!r}, but with one target per sequence none "
                    "continues another. Leave it out."
                )
            return self._learn_pooled(X, y, groups, lengths, step_weight, first=first)
        inputs, targets, weights = self._read_more(
            X, y, groups, lengths, step_weight, initial_state, first=first
        )
        if first:
            self._adapt_reservoir(inputs, self._teachers(targets))
        continues = initial_state == "last"
        self._take_in(inputs, targets, weights, continues=continues)
        return self._solve(self._stretches)

    # So files from before load.
    _stretches: Sequence[RidgeAccumulator] = ()
    _n_steps_seen = 0

    def _n_blocks(
        self, inputs: Sequence[Array] | None = None, targets: Sequence[Array] | None = None
    ) -> int:
        """Return how many held-out blocks there are; 1 stands for none."""
        if self.alpha_cv is None:
            return 1
        if self.alpha_cv == "auto":
            is_ahead = inputs is not None and targets is not None and self._alphas.ndim > 0
            is_ahead = is_ahead and lie_ahead(inputs or (), targets or ())
            return _BLOCKS_AHEAD if is_ahead else 1
        return check_integer("alpha_cv", self.alpha_cv, minimum=2)

    def _read_chunks(self, chunks: Iterable[Any]) -> Iterator[tuple[Array, Array]]:
        """Begin, and yield the checked inputs and targets of chunks of one series."""
        before = None
        for chunk in chunks:
            X, y = pair(chunk)
            inputs, targets, _, layout, self._y_is_1d = self._reader().training(
                X, y, None, None, None, reset=before is None, before=before
            )
            check_chunk(layout)
            if before is None:
                self.target_per_ = "step"
                self._begin(inputs[0].shape[1], targets[0].shape[1])
                self._remember_targets(inputs, targets, y)
            self._check_n_outputs(targets[0].shape[1])
            before = np.array(to_host(inputs[0][-1]))
            yield inputs[0], targets[0]

    def _begin(self, n_inputs: int, n_outputs: int) -> None:
        """Check the parameters, draw the reservoir, and forget what was learned."""
        self._alphas = check_alphas(self.alpha, name="alpha")
        check_choice("solver", self.solver, ("auto", "gram", "qr"))
        super()._begin(n_inputs, n_outputs)
        # Of a path, residuals are told apart that single precision would blur.
        self._accumulator = self._new_accumulator(allow_single=self._alphas.ndim == 0)
        n_blocks = self._n_blocks()
        self._stretches = self._new_accumulators(n_blocks) if n_blocks > 1 else []
        self._n_steps_seen = 0

    def _new_accumulator(
        self, n_segments: int = 1, *, allow_single: bool = False
    ) -> RidgeAccumulator:
        return RidgeAccumulator(
            n_segments * self._n_columns(),
            self.n_outputs_,
            solver=self.solver,
            smallest_alpha=float(self._alphas.min()),
            allow_single=allow_single,
            keeps_few=self._alphas.ndim > 0,
            path=self._alphas if self._alphas.ndim else None,
            fit_intercept=bool(self.fit_intercept),
        )

    def _take_in(
        self,
        inputs: list[Array],
        targets: list[Array],
        weights: list[Array] | None,
        *,
        continues: bool = False,
        n_blocks: int = 1,
        progress: bool = True,
    ) -> list[RidgeAccumulator]:
        """Fold sequences into the accumulator; return the accumulators of the blocks."""
        self._take_range(targets)
        before = self.last_output_ if continues else None
        teachers = self._teachers(targets, before)
        sequences = self._training_sequences(
            inputs, targets, weights, teachers, continues=continues
        )
        if n_blocks == 1 and self._stretches:
            blocks, state, generator = self._fold_stretches(sequences)
        else:
            blocks, state, generator = self._fold(sequences, n_blocks, progress)
        self._n_steps_seen += sum(len(part) for part in inputs)
        last = (teachers or targets)[-1]
        if teachers is None and self.missing == "hold":
            last = hold(last, before if len(inputs) == 1 else None)
        self._remember_end(inputs, continues, state, last[-1], generator)
        return blocks if n_blocks > 1 else []

    def _solve(self, blocks: Sequence[RidgeAccumulator] = ()) -> Self:
        """Solve for the readout; held-out blocks choose alpha, where there are some."""
        if not self._accumulator.n_rows:
            raise ValueError(
                "No step is left to learn from, but at least one was expected: `washout`, NaN in "
                "`y` and `step_weight` of 0 leave out all of them. Pass more steps."
            )
        # Where the washout, or what has come so far, leaves some of them empty.
        held = [block for block in blocks if block.n_rows]
        with naming_remedy(MEMORY_REMEDY):
            solution = solve_ridge(
                self._accumulator,
                self._alphas,
                fit_intercept=bool(self.fit_intercept),
                per_target=bool(self.alpha_per_target),
                tolerance=tolerance_of(self.alpha),
                selection=held if len(held) > 1 else "gcv",
                # The first states of a lone series still hold the zero state.
                n_spared=int(self.alpha_cv == "auto" and self.n_sequences_seen_ == 1),
            )
        self._keep(solution)
        return self

    def _teachers(self, targets: list[Array], before: Array | None = None) -> list[Array] | None:
        """Return what is fed back while learning, None without feedback weights.

        `before` is the output that the first sequence goes on from.
        """
        if self.reservoir_.feedback is None:
            return None
        return fed_back(targets, self.missing, before)

    def _fold(
        self, sequences: list[TrainingSequence], n_blocks: int, progress: bool
    ) -> tuple[list[RidgeAccumulator], Array, np.random.Generator]:
        """Fold sequences, in parallel where asked.

        Return the accumulators of the blocks, and the state and the noise source at the end.
        """
        n_workers = min(effective_n_jobs(self.n_jobs), len(sequences))
        if is_on_device(sequences[0].inputs):
            n_workers = 1  # which runs them side by side
        # A single worker adds to what is there; several fill accumulators that are merged.
        in_place = n_workers == 1 and n_blocks == 1
        calls = [
            partial(
                fold_sequences,
                self.reservoir_,
                self._feature_map(),
                [self._accumulator] if in_place else self._new_accumulators(n_blocks),
                job.sequences,
                edges=job.edges,
                noise=self._noise_of_training(),
                progress=progress and bool(self.verbose),
            )
            for job in cut_into_jobs(sequences, n_blocks=n_blocks, n_jobs=n_workers)
        ]
        # Another backend, such as dask, would hand a single job to a process that fills a copy.
        backend, _ = get_active_backend(prefer="threads")
        if n_workers == 1 or isinstance(backend, ThreadingBackend):
            folded = call_side_by_side(calls)
        else:
            folded = Parallel(n_jobs=n_workers, prefer="threads")(delayed(call)() for call in calls)
        end = folded[-1].last_states[-1], cast(np.random.Generator, folded[-1].last_generator)
        if in_place:
            return [], *end
        blocks: list[RidgeAccumulator] = folded[0].accumulators
        for other in folded[1:]:
            for block, more in zip(blocks, other.accumulators, strict=True):
                block.merge(more)
        for block in blocks:
            self._accumulator.merge(block)
        return blocks, *end

    def _fold_stretches(
        self, sequences: list[TrainingSequence]
    ) -> tuple[list[RidgeAccumulator], Array, np.random.Generator]:
        """Fold sequences of which more may come: stretches of steps go to the blocks in turn."""
        n_rows = sum(len(sequence.inputs) for sequence in sequences)
        first = self._n_steps_seen // _STRETCH
        stops = np.arange(first + 1, (self._n_steps_seen + n_rows - 1) // _STRETCH + 1) * _STRETCH
        edges = [0, *(stops - self._n_steps_seen).tolist(), n_rows]
        n_blocks = len(self._stretches)
        more = self._new_accumulators(n_blocks)
        folded = fold_sequences(
            self.reservoir_,
            self._feature_map(),
            [more[(first + index) % n_blocks] for index in range(len(edges) - 1)],
            sequences,
            edges=edges,
            noise=self._noise_of_training(),
        )
        for block, new in zip(self._stretches, more, strict=True):
            block.merge(new)
            self._accumulator.merge(new)
        return [], folded.last_states[-1], cast(np.random.Generator, folded.last_generator)

    def _new_accumulators(self, n_blocks: int) -> list[RidgeAccumulator]:
        return [self._new_accumulator() for _ in range(n_blocks)]
