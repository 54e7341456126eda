"""An echo state network that learns while the data come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from reservoir.dynamics._bounds import (
    OUTPUT_LIMIT,
    as_bounds,
    bounds_around,
    find_departure,
    range_of,
    refuse_departure,
)
from reservoir.estimators._reservoir_regressor import ReservoirRegressor
from reservoir.harvest._fold import TrainingSequence, fold_sequences
from reservoir.online._closed_loop import learn_closed_loop
from reservoir.online._learner import Learner, is_finite
from reservoir.online._least_squares import RecursiveLeastSquares
from reservoir.online._mean_squares import LeastMeanSquares
from reservoir.online._stepping import Stepper
from reservoir.utils.fitted import as_fitted
from reservoir.utils.persistence import register
from reservoir.utils.threads import with_few_threads
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Array
from reservoir.utils.validation import as_numbers, check_choice

for _class in (RecursiveLeastSquares, LeastMeanSquares):
    register(_class)

_ONE = np.ones(1)


class OnlineESNRegressor(ReservoirRegressor):
    r"""Echo state network whose readout learns step by step, and may forget.

    The reservoir is that of `ESNRegressor`,

    .. math::

        x[t] = (1 - a)\, x[t-1] + a\, f\big(W x[t-1] + W_\mathrm{in} u[t]
            + W_\mathrm{fb}\, y[t-1] + b + \nu[t]\big),

    and the readout y[t] = W_out [u[t]; x[t]; x[t]²] + c is up to date after each step: by
    recursive least squares [1]_, which without forgetting gives what `ESNRegressor` gives, or by
    least mean squares. `step` takes one input in and gives one output out, for live data.
    With ``teacher_forcing=False`` the network learns while its own output is fed back: FORCE [2]_.

    Read more in the guide: :doc:`/guide/online`.

    Parameters
    ----------
    n_units : int, default=500
        Units of the reservoir. A step of "rls" costs O(n_units²), one of the others O(n_units).
    spectral_radius, leak_rate, input_scaling, bias_scaling : float
        As in `ESNRegressor`.
    connectivity, topology, distribution, activation
        As in `ESNRegressor`.
    feedback_scaling : float or array-like of shape (n_outputs,), default=0.0
        Scale of W_fb. Not 0, the output is fed back.
    teacher_forcing : bool, default=True
        What is fed back while learning: the target, or, with False, the output itself.
    noise, feedback_noise : float, default=0.0
        Standard deviations of ν[t] and of noise on what is fed back, while `fit` and
        `partial_fit` learn; `step` adds none.
    washout : int, default=0
        Steps at the start of each sequence that the readout does not learn from.
    include_input, include_squares : bool, default=True and False
        Whether the readout sees u[t] and x[t]².
    learner : {"rls", "lms", "nlms"}, default="rls"
        Recursive least squares, least mean squares, or the latter with each step divided by
        the squared length of what the readout sees. The states of a reservoir are so much alike
        that the last two, far cheaper, need many more steps.
    alpha : float, default=1e-6
        Ridge penalty α ‖W_out‖² of "rls"; above 0.
    forgetting : float in (0, 1], default=1.0
        Factor λ by which the weight of what "rls" has seen fades with each step: the memory is
        about 1 / (1 - λ) steps. See `RecursiveLeastSquares` for what becomes of the penalty.
    learning_rate : float or None, default=None
        Step of "lms" and "nlms"; None stands for 1 / n_columns and 0.5.
    fit_intercept : bool, default=True
        Whether c is learned; it is not penalised.
    output_limit : float or None, default=3.0
        As in `ESNRegressor`, for all that runs on the network's own output: `forecast`, and with
        feedback `predict`, `step` without a target, and learning without `teacher_forcing`.
    dtype : {"float64", "float32"}, default="float64"
        Of weights, states and predictions; the readout always learns in float64.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed of weights and noise.
    verbose : bool, default=False
        Whether learning shows a progress bar.

    Attributes
    ----------
    reservoir_ : Reservoir
        The weights and what else defines the recurrence.
    learner_ : Learner
        The readout, and what it needs to learn on.
    coef_ : ndarray of shape (n_outputs, n_columns) or (n_columns,)
        W_out as it is now, for the columns [u; x; x²] as far as they are included.
    intercept_ : ndarray of shape (n_outputs,) or float
        c as it is now.
    last_state_ : ndarray of shape (n_units,)
        State after the last step, of training or of `step`.
    last_output_ : ndarray of shape (n_outputs,)
        What is fed back at the next step: the last target, or the last output where there was
        no target or no teacher forcing.
    output_range_, output_bounds_ : ndarray of shape (2, n_outputs)
        Smallest and largest target of each output, and what a free run may take.
    n_outputs_ : int
        Number of outputs.
    n_sequences_seen_ : int
        Number of training sequences.
    n_features_in_ : int
        Number of input features.
    feature_names_in_, target_names_in_ : ndarray of str
        Names of inputs and targets, where `X` and `y` had string column names.

    See Also
    --------
    ESNRegressor : All data at once, and a choice among many alphas at the price of one.

    Notes
    -----
    `fit`, `partial_fit` and `step` share one live state. `fit`, and `partial_fit` unless told
    otherwise, begin a new sequence at the zero state; `step` always goes on from where the last
    call of any of the three ended. `predict` has no memory and changes nothing.

    References
    ----------
    .. [1] Jaeger (2003), Adaptive nonlinear system identification with echo state networks,
       Advances in Neural Information Processing Systems 15, 609-616.
    .. [2] Sussillo & Abbott (2009), Generating coherent patterns of activity from chaotic neural
       networks, Neuron 63, 544-557.

    Examples
    --------
    What came in three steps ago, learned from a live stream; outputs come before their targets:

    >>> import numpy as np
    >>> from reservoir import OnlineESNRegressor
    >>> u = np.random.default_rng(0).uniform(-1, 1, size=1000)
    >>> esn = OnlineESNRegressor(n_units=100, random_state=0)
    >>> outputs = [esn.step(u[t], u[t - 3]) for t in range(3, 1000)]
    >>> bool(np.std(outputs[-100:] - u[-103:-3]) < 0.1 * np.std(u))
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
        feedback_scaling: float | ArrayLike = 0.0,
        teacher_forcing: bool = True,
        noise: float = 0.0,
        feedback_noise: float = 0.0,
        washout: int = 0,
        include_input: bool = True,
        include_squares: bool = False,
        learner: Literal["rls", "lms", "nlms"] = "rls",
        alpha: float = 1e-6,
        forgetting: float = 1.0,
        learning_rate: float | None = None,
        fit_intercept: bool = True,
        output_limit: float | None = OUTPUT_LIMIT,
        dtype: Literal["float64", "float32"] = "float64",
        random_state: Any = None,
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
        self.feedback_scaling = feedback_scaling
        self.teacher_forcing = teacher_forcing
        self.noise = noise
        self.feedback_noise = feedback_noise
        self.washout = washout
        self.include_input = include_input
        self.include_squares = include_squares
        self.learner = learner
        self.alpha = alpha
        self.forgetting = forgetting
        self.learning_rate = learning_rate
        self.fit_intercept = fit_intercept
        self.output_limit = output_limit
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    learner_: Learner

    @property
    def coef_(self) -> Array:  # type: ignore[override]
        """W_out as it is now."""
        coef = self.learner_.coef
        return coef[0].copy() if self._y_is_1d else coef.copy()

    @property
    def intercept_(self) -> Array | float:
        """The intercept c as it is now."""
        intercept = self.learner_.intercept
        return float(intercept[0]) if self._y_is_1d else intercept

    @transaction()
    @with_few_threads
    def fit(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        step_weight: Any = None,
    ) -> Self:
        """Draw a reservoir, and learn step by step; several sequences one after the other.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features), list of such, 3-D array, or panel
            Inputs; several sequences as in `ESNRegressor`.
        y : array-like of shape (n_steps,) or (n_steps, n_outputs), or as `X` several of them
            Targets, one row per step.
        groups : array-like of shape (n_steps,), optional
            Label of the sequence that each row of a 2-D `X` belongs to; contiguous.
        lengths : array-like of int of shape (n_sequences,), optional
            Steps of each sequence of a 2-D `X`; not for cross-validation, which does not cut it.
        step_weight : array-like of shape (n_steps,), or as `X` several of them, optional
            Weight of each step's squared error.

        Returns
        -------
        OnlineESNRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter or an argument is not as described; the message says which.
        DivergenceError
            If an output is not finite, as with a too large learning rate; without
            `teacher_forcing` also if one leaves the range of the targets by more than
            `output_limit`, where 0, from which learning starts, counts as a target.
        """
        inputs, targets, weights, layout, self._y_is_1d = self._reader().training(
            X, y, groups, lengths, step_weight
        )
        self._check_washout(layout.lengths)
        self._begin(inputs[0].shape[1], targets[0].shape[1])
        self._remember_targets(inputs, targets, y)
        return self._learn(inputs, targets, weights)

    @transaction("learner_")
    @with_few_threads
    def partial_fit(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        step_weight: Any = None,
        initial_state: Literal["last"] | None = None,
    ) -> Self:
        """Learn on from more data; the first call sets up.

        Parameters
        ----------
        X, y, groups, lengths, step_weight
            As in `fit`.
        initial_state : {"last"} or None, default=None
            "last" says that the first sequence goes on where the last call of `fit`,
            `partial_fit` or `step` ended: a series in several calls is learned as in one.
            Otherwise a new sequence begins, at the zero state and with a washout of its own.

        Returns
        -------
        OnlineESNRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError, DivergenceError
            As in `fit`.
        """
        inputs, targets, weights = self._read_more(
            X,
            y,
            groups,
            lengths,
            step_weight,
            initial_state,
            first=not hasattr(self, "learner_"),
        )
        # After `reset_state` there is nothing to continue.
        continues = initial_state == "last" and self._steps_of_last > 0
        return self._learn(inputs, targets, weights, continues=continues)

    def step(self, u: Any, y: Any = None) -> Any:
        """Take one input in, give one output out, and learn from its target where there is one.

        The first call sets up, if it comes with a target. Every step goes on from the last one;
        the readout learns once `washout` steps of the sequence are over.

        Parameters
        ----------
        u : array-like of shape (n_features,), or a number where there is one feature
            Input of this step.
        y : array-like of shape (n_outputs,), or a number where `y` was 1-D so far, optional
            Target of this step.

        Returns
        -------
        ndarray of shape (n_outputs,) or float
            The output, from before the readout learned from `y`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the first call comes without a target.
        ValueError
            If a shape does not fit, or a number is NaN or infinite.
        DivergenceError
            If state or output are not finite, or the output, fed back without a target to learn
            from, leaves the range of the targets by more than `output_limit`.
        """
        used = self._used_parameters()
        inputs = as_numbers("u", u, used["dtype"])
        target = None if y is None else as_numbers("y", y, np.float64)
        if not hasattr(self, "learner_"):
            self._set_up(inputs, target)
        self._check_step("u", inputs, self.n_features_in_)
        if target is not None:
            self._check_step("y", target, self.n_outputs_)
        stepper, columns = self._live_loop()
        columns[0, : self.n_features_in_] = inputs
        if self.reservoir_.feedback is not None:
            columns[0, self.n_features_in_ : -1] = self.last_output_
        state = self.last_state_.copy()
        features = stepper.advance(state, columns, None, self._steps_of_last)
        if target is not None and self._steps_of_last >= used["washout"]:
            self._take_target(target)
            learned = np.empty((1, self.n_outputs_))
            self.learner_.update_rows(features, target.reshape(1, -1), _ONE, learned)
            output = learned[0].astype(state.dtype)
        else:
            output = self.learner_.map_rows(features)[0].astype(state.dtype)
            if self.reservoir_.feedback is not None and self._steps_of_last >= used["washout"]:
                self._check_bounds(output)
        if self._steps_of_last == 0:
            self._last_generator = self._noise_generator(self.n_sequences_seen_)
            self.n_sequences_seen_ += 1
        self._steps_of_last += 1
        self.last_state_ = state
        self.last_output_ = output
        if target is not None and used["teacher_forcing"]:
            self.last_output_ = target.reshape(-1).astype(state.dtype)
        return output[0] if self._y_is_1d else output.copy()

    def _take_target(self, target: Array) -> None:
        """Let free runs go as far from a target as from those before; quick where it is within."""
        known = self.__dict__.get("output_range_")
        if known is None:
            return  # of an older file
        low, high = known.tolist()
        if not all(a <= value <= b for value, a, b in zip(target.ravel().tolist(), low, high)):
            self._take_range([target.reshape(1, -1)])

    def _bounds_of_learning(self) -> NDArray[np.float64] | None:
        """Return the bounds of outputs that are fed back while learning, which starts from 0."""
        if self._bounds is None:
            return None
        nothing = np.zeros((1, self.n_outputs_))
        return bounds_around(range_of([nothing], self.output_range_), self.output_limit)

    def _check_bounds(self, output: Array) -> None:
        """Raise if an output that is to be fed back leaves what was learned."""
        bounds = as_bounds(self._bounds_of_learning(), self.n_outputs_, output.dtype)
        row = output[np.newaxis]
        refuse_departure(row, find_departure(row, bounds))

    def reset_state(self) -> Self:
        """Set the live state and what is fed back to zero; what was learned stays.

        Returns
        -------
        OnlineESNRegressor
            Itself.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before anything set the network up.
        """
        check_is_fitted(self, "learner_")
        self.last_state_ = np.zeros(self.reservoir_.n_units, dtype=self.reservoir_.dtype)
        self.last_output_ = np.zeros(self.n_outputs_, dtype=self.reservoir_.dtype)
        self._steps_of_last = 0
        return self

    def _begin(self, n_inputs: int, n_outputs: int) -> None:
        super()._begin(n_inputs, n_outputs)
        if not self.teacher_forcing and self.reservoir_.feedback is None:
            raise ValueError(
                "`teacher_forcing` is False, but `feedback_scaling` is 0, so that nothing is fed "
                "back. Give `feedback_scaling` a value such as 1.0, or leave `teacher_forcing`."
            )
        n_columns = self._feature_map().n_columns(self.reservoir_.n_units, n_inputs)
        self.learner_ = self._new_learner(n_columns)
        self._stepper: tuple[Stepper, Array] | None = None
        self.reset_state()

    def _new_learner(self, n_columns: int) -> Learner:
        kind = check_choice("learner", self.learner, ("rls", "lms", "nlms"))
        if kind == "rls":
            return RecursiveLeastSquares(
                n_columns,
                self.n_outputs_,
                alpha=self.alpha,
                forgetting=self.forgetting,
                fit_intercept=self.fit_intercept,
            )
        normalized = kind == "nlms"
        rate = self.learning_rate
        if rate is None:
            # States within [-1, 1] are then within the bound of stability.
            rate = 0.5 if normalized else 1.0 / n_columns
        return LeastMeanSquares(
            n_columns,
            self.n_outputs_,
            learning_rate=rate,
            normalized=normalized,
            fit_intercept=self.fit_intercept,
        )

    def _learn(
        self,
        inputs: list[Array],
        targets: list[Array],
        weights: list[Array] | None,
        *,
        continues: bool = False,
    ) -> Self:
        """Learn from sequences one after the other: to a learner their order matters."""
        self._take_range(targets)
        teachers = None if self.reservoir_.feedback is None else targets
        sequences = self._training_sequences(
            inputs, targets, weights, teachers, continues=continues
        )
        many = len(inputs) > 1
        learn = self._learn_forced if self.teacher_forcing else self._learn_free
        for sequence in tqdm(sequences, disable=not (self.verbose and many)):
            state, output = learn(sequence, bool(self.verbose and not many))
        self._remember_end(inputs, continues, state, output, sequences[-1].generator)
        return self

    def _learn_forced(self, sequence: TrainingSequence, progress: bool) -> tuple[Array, Array]:
        """Learn from the states of a run to which the targets are fed back."""
        folded = fold_sequences(
            self.reservoir_,
            self._feature_map(),
            [self.learner_],
            [sequence],
            noise=self._noise_of_training(),
            progress=progress,
        )
        return folded.last_states[-1], sequence.targets[-1]

    def _learn_free(self, sequence: TrainingSequence, progress: bool) -> tuple[Array, Array]:
        """Learn while the network's own output is fed back."""
        run = learn_closed_loop(
            self.reservoir_,
            self.learner_,
            sequence.inputs,
            sequence.targets,
            feature_map=self._feature_map(),
            sample_weight=sequence.weights,
            skip=sequence.skip,
            initial_state=sequence.initial_state,
            initial_output=sequence.initial_output,
            state_noise=float(self.noise),
            feedback_noise=float(self.feedback_noise),
            random_state=sequence.generator,
            output_bounds=self._bounds_of_learning(),
            progress=progress,
        )
        return run.final_state, run.outputs[-1]

    def _set_up(self, inputs: Array, target: Array | None) -> None:
        """Begin with the first step that comes with a target."""
        if target is None:
            check_is_fitted(self, "learner_")
            return
        self._check_step("u", inputs, inputs.size)
        self._check_step("y", target, target.size)
        self._y_is_1d = target.ndim == 0
        self.n_features_in_ = inputs.size
        self._begin(inputs.size, target.size)
        self._fitted_with = self._plain_parameters()

    def _check_step(self, name: str, values: Array, length: int) -> None:
        """Raise unless these are the finite values of one step."""
        if values.shape != (length,) and not (values.ndim == 0 and length == 1):
            raise ValueError(
                f"`{name}` has shape {values.shape}, but ({length},) was expected. Pass the "
                "values of one step, or call `partial_fit` or `predict` with many."
            )
        if not is_finite(values):
            raise ValueError(
                f"`{name}` holds NaN or infinity, but finite numbers were expected. Leave the step "
                "out, or pass what stands in for the missing value."
            )

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if hasattr(self, "learner_"):
            n_outputs, n_columns = self._shape_of_readout()
            found = getattr(self.learner_, "n_features", 0), getattr(self.learner_, "n_targets", 0)
            if not isinstance(self.learner_, Learner) or found != (n_columns, n_outputs):
                raise ValueError(f"`learner_` is for {found[0]} columns, not {n_columns}")

    @as_fitted
    def _live_loop(self) -> tuple[Stepper, Array]:
        """Return what steps, and the row of columns that drives it; made at the first need."""
        if self._stepper is None:
            stepper = Stepper(self.reservoir_, self._feature_map())
            n_columns = self.reservoir_.n_inputs + self.reservoir_.n_outputs + 1
            self._stepper = stepper, np.ones((1, n_columns), dtype=self.reservoir_.dtype)
        return self._stepper

    def __getstate__(self) -> dict[str, Any]:
        # Buffers and compiled loops are made anew where the state is read.
        state = dict(super().__getstate__())
        if "_stepper" in state:
            state["_stepper"] = None
        return state
