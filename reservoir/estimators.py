"""The echo state network as a scikit-learn regressor: a thin shell over functions on arrays."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from reservoir._base import ReservoirEstimator
from reservoir._regression import SequenceRegressor
from reservoir._validation import check_choice, check_integer, check_real
from reservoir.dynamics import free_run
from reservoir.features import FeatureMap, Readout
from reservoir.fitting import final_states, fold_sequences, map_sequences
from reservoir.plasticity import IntrinsicPlasticity
from reservoir.readout import RidgeAccumulator, check_alphas, solve_ridge

Array = NDArray[np.floating]


class ESNRegressor(SequenceRegressor, ReservoirEstimator):
    """Echo state network with a ridge readout.

    A fixed random reservoir of leaky units is driven by the input,

        x[t] = (1 - a) x[t-1] + a f(W x[t-1] + W_in u[t] + W_fb y[t-1] + b + ν[t])

    and only the linear readout y[t] = W_out [u[t]; x[t]; x[t]²] + c is learned, by ridge
    regression [1]_ [2]_. Rows of a 2-D `X` are steps, in time order. Several sequences come as a
    list of 2-D arrays, as a 3-D array (n_sequences, n_steps, n_features), or as rows with
    `groups` or `lengths`; the state starts anew at each.

    Parameters
    ----------
    n_units : int, default=500
        Units of the reservoir; as many as can be afforded.
    spectral_radius : float or None, default=0.9
        Largest absolute eigenvalue that W is scaled to; None leaves W as drawn or given. A delay
        line has only zero eigenvalues: there it is the weight of the connections.
    leak_rate : float in (0, 1] or array-like of shape (n_units,), default=1.0
        Fraction a of the state replaced at each step.
    input_scaling : float or array-like of shape (n_features,), default=1.0
        Scale of W_in, for all channels or for each.
    bias_scaling : float, default=0.2
        Scale of b. Without a bias a tanh reservoir is an odd function of its input.
    connectivity : int or float, default=10
        Incoming connections of a unit, or, as a float in (0, 1], the density of W.
    topology : str, array-like, sparse array or callable, default="random"
        "random", "cycle", "delay_line", "small_world", "orthogonal", "permutation", a square
        matrix, or a function (n_units, rng) -> matrix.
    distribution : {"uniform", "normal", "signs"}, default="uniform"
        What weights are drawn from: uniform on [-1, 1], standard normal, or -1 and 1; then scaled.
    activation : {"tanh", "relu", "identity", "logistic"} or callable, default="tanh"
        f, elementwise.
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
    alpha : float or array-like of shape (n_alphas,), default=1e-6
        Ridge penalty α ‖W_out‖² beside the summed squared error; of several, the best is taken.
        Noise-free data may want 1e-20, noisy data 1 and more.
    alpha_cv : int or None, default=None
        How to choose among several alphas: None by generalised cross-validation, an integer by
        that many held-out contiguous blocks of rows.
    alpha_per_target : bool, default=False
        Whether each output has an alpha of its own.
    fit_intercept : bool, default=True
        Whether c is learned; it is not penalised.
    solver : {"auto", "gram", "qr"}, default="auto"
        "gram" folds the states into normal equations, "qr" into a triangular factor, which keeps
        the digits that small alphas need at up to three times the time; "auto" starts with the
        first and goes over to the second when alpha asks for it.
    dtype : {"float64", "float32"}, default="float64"
        Of weights, states and predictions; the readout is always solved in float64.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed of weights and noise.
    n_jobs : int or None, default=None
        Workers among which several sequences are spread while learning, as in joblib.
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
    alpha_ : float or ndarray of shape (n_outputs,)
        The penalty taken.
    alpha_scores_ : ndarray of shape (n_alphas,) or (n_alphas, n_outputs)
        Mean squared error estimated for each alpha; only where there were several.
    solver_ : {"gram", "qr"}
        What the readout was solved from.
    last_state_ : ndarray of shape (n_units,)
        State after the last training step.
    last_output_ : ndarray of shape (n_outputs,)
        Target of the last training step.
    n_outputs_ : int
        Number of outputs.
    n_sequences_seen_ : int
        Number of training sequences.
    n_features_in_ : int
        Number of input features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had string column names.

    See Also
    --------
    ReservoirTransformer : The states, as features for any other model.

    Notes
    -----
    `predict` has no memory: it starts from the zero state, unless told otherwise, and gives the
    same answer twice.

    References
    ----------
    .. [1] Jaeger (2001), The "echo state" approach to analysing and training recurrent neural
       networks, GMD report 148, section 3.
    .. [2] Lukoševičius (2012), A Practical Guide to Applying Echo State Networks, eqs. 2-4, 9.

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
        input_scaling: float | ArrayLike = 1.0,
        bias_scaling: float = 0.2,
        connectivity: float = 10,
        topology: Any = "random",
        distribution: str = "uniform",
        activation: str | Callable[[Array], Array] = "tanh",
        plasticity: IntrinsicPlasticity | None = None,
        feedback_scaling: float | ArrayLike = 0.0,
        noise: float = 0.0,
        feedback_noise: float = 0.0,
        washout: int = 0,
        include_input: bool = True,
        include_squares: bool = False,
        alpha: float | ArrayLike = 1e-6,
        alpha_cv: int | None = None,
        alpha_per_target: bool = False,
        fit_intercept: bool = True,
        solver: Literal["auto", "gram", "qr"] = "auto",
        dtype: Literal["float64", "float32"] = "float64",
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
        self.dtype = dtype
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    n_sequences_seen_: int
    last_output_: Array

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
        X : array-like of shape (n_steps, n_features), list of such, or 3-D array
            Inputs; see the class for several sequences.
        y : array-like of shape (n_steps,) or (n_steps, n_outputs), or as `X` several of them
            Targets, one row a step.
        groups : array-like of shape (n_steps,), optional
            Label of the sequence that each row of a 2-D `X` belongs to; contiguous.
        lengths : array-like of int of shape (n_sequences,), optional
            Steps of each sequence of a 2-D `X`; not for cross-validation, which does not cut it.
        step_weight : array-like of shape (n_steps,), or as `X` several of them, optional
            Weight of each step's squared error. Not called `sample_weight`, since a step of
            weight two is not a step that comes twice: that would change the states.

        Returns
        -------
        ESNRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter or an argument is not as described; the message says which.
        """
        inputs, targets, weights, layout = self._read_training(X, y, groups, lengths, step_weight)
        self._check_washout(layout.lengths)
        self._begin(inputs[0].shape[1], targets[0].shape[1])
        self._adapt_reservoir(inputs, targets)
        return self._learn(inputs, targets, weights, n_blocks=self._n_blocks())

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
            As in `fit`; and if `alpha_cv` is set, since held-out blocks need all data at once.
        """
        first = not hasattr(self, "_accumulator")
        if initial_state not in (None, "last"):
            raise ValueError(
                f"`initial_state` is {initial_state!r}, but None or 'last' was expected. "
                "Pass 'last' to continue the last sequence."
            )
        if first and initial_state == "last":
            raise ValueError(
                "`initial_state` is 'last', but nothing was learned yet. Leave it out in the "
                "first call."
            )
        if self._n_blocks() > 1:
            raise ValueError(
                f"`alpha_cv` is {self.alpha_cv}, but held-out blocks need all data at once. "
                "Call `fit`, or set `alpha_cv` to None."
            )
        inputs, targets, weights, layout = self._read_training(
            X, y, groups, lengths, step_weight, reset=first
        )
        self._check_washout(layout.lengths[initial_state == "last" :])
        if first:
            self._begin(inputs[0].shape[1], targets[0].shape[1])
            self._adapt_reservoir(inputs, targets)
        else:
            self._check_n_outputs(targets[0].shape[1])
        return self._learn(inputs, targets, weights, continues=initial_state == "last")

    def predict(
        self,
        X: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial_state: Literal["last"] | ArrayLike | None = None,
    ) -> Any:
        """Return the output for each step of `X`.

        With feedback weights the network runs on its own output, which starts from zero.

        Parameters
        ----------
        X, groups, lengths
            As in `fit`.
        initial_state : None, "last" or array-like of shape (n_sequences, n_units), default=None
            State before the first step: zeros; that after the last training step, from which the
            output fed back goes on as well; or one given for each sequence, or (n_units,) for one.

        Returns
        -------
        ndarray or list of ndarray
            In the form of `X`; a step has as many values as in the `y` of `fit`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `X` does not match what the model was fitted with.
        DivergenceError
            If a network with feedback grows beyond bounds; the message says at which step.
        """
        check_is_fitted(self, "coef_")
        inputs, layout = self._read(X, groups, lengths)
        states = self._starts(initial_state, len(inputs))
        if self.reservoir_.feedback is None:
            outputs = map_sequences(self.reservoir_, self._readout(), inputs, states)
        else:
            output = self.last_output_ if isinstance(initial_state, str) else None
            outputs = [
                free_run(
                    self.reservoir_,
                    self._readout(),
                    len(part),
                    inputs=part,
                    initial_state=state,
                    initial_output=output,
                ).outputs
                for part, state in zip(inputs, states, strict=True)
            ]
        return layout.restore(self._shaped(np.concatenate(outputs)))

    def forecast(self, n_steps: int, X: Any = None) -> Any:
        """Continue a series by feeding each prediction back as the next input.

        For models trained one step ahead, on `fit(series[:-1], series[1:])`.

        Parameters
        ----------
        n_steps : int
            Steps to forecast.
        X : array-like of shape (n_context, n_features), list of such, or 3-D array, optional
            Context that is to be continued: it drives the reservoir, from the zero state, and the
            forecast begins at the step after its last row. Without it, the forecast goes on from
            the last training target.

        Returns
        -------
        ndarray of shape (n_steps, n_features), or one a sequence in the form of `X`
            1-D if `y` was 1-D in `fit`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If the outputs are not as many as the inputs.
        DivergenceError
            If the forecast grows beyond bounds; the message says at which step.
        """
        check_is_fitted(self, "coef_")
        n_steps = check_integer("n_steps", n_steps, minimum=1)
        self._check_forecast()
        if X is None:
            forecasts = [self._run_free(n_steps, self.last_state_, self.last_output_)]
            return self._shaped(forecasts[0])
        contexts, layout = self._read(X, None, None)
        states = self._states_before_the_last_step(contexts)
        outputs = [
            self._run_free(n_steps, state, context[-1])
            for state, context in zip(states, contexts, strict=True)
        ]
        return self._restore_forecasts(outputs, layout)

    def _check_lengths(self, lengths: Sequence[int]) -> None:
        self._check_washout(lengths)

    def _n_blocks(self) -> int:
        """Return how many held-out blocks there are; 1 stands for none."""
        if self.alpha_cv is None:
            return 1
        return check_integer("alpha_cv", self.alpha_cv, minimum=2)

    def _begin(self, n_inputs: int, n_outputs: int) -> None:
        """Check the parameters, draw the reservoir, and forget what was learned."""
        self._alphas = check_alphas(self.alpha, name="alpha")
        check_choice("solver", self.solver, ("auto", "gram", "qr"))
        for name in ("noise", "feedback_noise"):
            check_real(name, getattr(self, name), minimum=0)
        has_feedback = bool(np.any(np.asarray(self.feedback_scaling) != 0))
        self.reservoir_ = self._draw_reservoir(n_inputs, n_outputs if has_feedback else 0)
        self.n_outputs_ = n_outputs
        self.n_sequences_seen_ = 0
        self._steps_of_last = 0
        self._accumulator = self._new_accumulator()

    def _new_accumulator(self) -> RidgeAccumulator:
        n_units, n_inputs = self.reservoir_.input.shape
        return RidgeAccumulator(
            self._feature_map().n_columns(n_units, n_inputs),
            self.n_outputs_,
            solver=self.solver,
            smallest_alpha=float(self._alphas.min()),
        )

    def _feature_map(self) -> FeatureMap:
        return FeatureMap(bool(self.include_input), bool(self.include_squares))

    def _learn(
        self,
        inputs: list[Array],
        targets: list[Array],
        weights: list[Array] | None,
        *,
        continues: bool = False,
        n_blocks: int = 1,
    ) -> Self:
        """Fold sequences into the accumulator and solve for the readout."""
        n_sequences = len(inputs)
        skip = [self.washout] * n_sequences
        states: list[Array | None] = [None] * n_sequences
        outputs: list[Array | None] = [None] * n_sequences
        first_new = int(continues)
        generators = [
            self._noise_generator(self.n_sequences_seen_ + index)
            for index in range(n_sequences - first_new)
        ]
        if continues:
            skip[0] = max(0, self.washout - self._steps_of_last)
            states[0], outputs[0] = self.last_state_, self.last_output_
            generators.insert(0, self._last_generator)
        blocks = self._fold(inputs, targets, weights, n_blocks, skip, states, outputs, generators)
        self.n_sequences_seen_ += n_sequences - first_new
        continued_steps = self._steps_of_last if continues and n_sequences == 1 else 0
        self._steps_of_last = continued_steps + len(inputs[-1])
        self.last_output_ = targets[-1][-1].astype(self.reservoir_.input.dtype)
        solution = solve_ridge(
            self._accumulator,
            self._alphas,
            fit_intercept=bool(self.fit_intercept),
            per_target=bool(self.alpha_per_target),
            selection=blocks if n_blocks > 1 else "gcv",
        )
        self._keep(solution)
        return self

    def _fold(
        self,
        inputs: list[Array],
        targets: list[Array],
        weights: list[Array] | None,
        n_blocks: int,
        skip: list[int],
        states: list[Array | None],
        outputs: list[Array | None],
        generators: list[np.random.Generator],
    ) -> list[RidgeAccumulator]:
        """Fold sequences, in parallel where asked; return the accumulators of the blocks."""
        offsets = np.concatenate([[0], np.cumsum([len(part) for part in inputs])])
        edges = np.linspace(0, offsets[-1], n_blocks + 1).astype(np.intp)
        n_workers = min(effective_n_jobs(self.n_jobs), len(inputs))
        # Workers get consecutive sequences of about equally many rows.
        bounds = np.searchsorted(offsets, np.linspace(0, offsets[-1], n_workers + 1))
        # A single worker adds to what is there; several fill accumulators that are merged.
        in_place = n_workers == 1 and n_blocks == 1
        jobs = [
            delayed(fold_sequences)(
                self.reservoir_,
                self._feature_map(),
                [self._accumulator] if in_place else self._new_accumulators(n_blocks),
                inputs[first:last],
                targets[first:last],
                edges=edges - offsets[first],
                weights=None if weights is None else weights[first:last],
                skip=skip[first:last],
                initial_states=states[first:last],
                initial_outputs=outputs[first:last],
                noise=float(self.noise),
                feedback_noise=float(self.feedback_noise),
                generators=generators[first:last],
                progress=bool(self.verbose),
            )
            for first, last in itertools.pairwise(bounds)
            if first < last
        ]
        # A backend such as dask would hand a single job to a process that fills a copy.
        folded = (
            [function(*arguments, **settings) for function, arguments, settings in jobs]
            if n_workers == 1
            else Parallel(n_jobs=n_workers)(jobs)
        )
        self.last_state_ = folded[-1].last_states[-1]
        self._last_generator = folded[-1].last_generator
        if in_place:
            return []
        blocks: list[RidgeAccumulator] = folded[0].accumulators
        for other in folded[1:]:
            for block, more in zip(blocks, other.accumulators, strict=True):
                block.merge(more)
        for block in blocks:
            self._accumulator.merge(block)
        return blocks

    def _new_accumulators(self, n_blocks: int) -> list[RidgeAccumulator]:
        return [self._new_accumulator() for _ in range(n_blocks)]

    def _noise_generator(self, index: int) -> np.random.Generator:
        """Return the noise source of the training sequence `index`, whatever ran before it."""
        seed = self._noise_seed
        child = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, index))
        return np.random.default_rng(child)

    def _readout(self) -> Readout:
        return self._feature_map().split(*self._readout_arrays(), len(self.reservoir_.bias))

    def _run_free(self, n_steps: int, state: Array | None, output: Array) -> Array:
        return free_run(
            self.reservoir_,
            self._readout(),
            n_steps,
            initial_state=state,
            initial_output=output,
            output_as_input=True,
        ).outputs

    def _states_before_the_last_step(self, contexts: list[Array]) -> Array:
        """Drive the reservoir with all but the last row of each context."""
        # A model one step ahead has just put out what now comes in: y[t-1] = u[t].
        return final_states(
            self.reservoir_,
            [context[:-1] for context in contexts],
            teachers=None
            if self.reservoir_.feedback is None
            else [context[1:] for context in contexts],
            initial_outputs=[context[0] for context in contexts],
        )
