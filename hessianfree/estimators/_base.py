"""Base class of the recurrent estimators: reading sequences, building the net, training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils.validation import check_array, validate_data

from hessianfree.batch import Batch
from hessianfree.estimators._named_optimizers import Counts, resolve_optimizer, uses_curvature
from hessianfree.estimators._sequence_data import (
    TARGETS,
    Reading,
    as_symbols,
    check_count,
    known_targets,
    make_batch,
    read_targets,
)
from hessianfree.estimators._trained import SLICE_ROWS, STOP_REASONS, TrainedNetworkMixin
from hessianfree.network._architecture import Architecture
from hessianfree.network._initialization import (
    INITIALIZATIONS,
    Initialization,
    mean_target_bias,
)
from hessianfree.network._network import SequenceNetwork
from hessianfree.network._prepared import largest_rows
from hessianfree.optimize._protocols import Optimizer
from hessianfree.training._checkpoints import TrainingState
from hessianfree.training._data import BeginningAt, Minibatches
from hessianfree.training._loop import start, train
from hessianfree.training._stop_reason import TrainingStop
from hessianfree.training._stopping import Progress, Validation, digest_of, hold_out
from reservoir.sequences._layout import Layout, stack_sequences
from reservoir.utils.device import door_namespace, host_state, is_on_device, resolve_device
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer, check_real

# Order of the independent streams that one `random_state` is split into.
_PARAMS, _DATA, _VALIDATION = range(3)


class _Targets(NamedTuple):
    """Targets as they were read: values, their weights, and where sequences begin and end."""

    values: NDArray[Any]
    weights: Array | None
    unit: Layout


class RNNEstimator(TrainedNetworkMixin, BaseEstimator):
    """What the recurrent estimators share; see `RNNRegressor` for the parameters."""

    def __init__(
        self,
        n_units: int = 100,
        *,
        cell: Literal[
            "vanilla", "multiplicative", "tensor", "lstm", "gru", "mut1", "mut2", "mut3"
        ] = "vanilla",
        n_layers: int = 1,
        n_factors: int | None = None,
        gain: Literal["auto", "linear", "shifted_tanh"] = "auto",
        activation: Literal["tanh", "logistic", "relu"] = "tanh",
        n_symbols: int | None = None,
        learned_initial_state: bool = True,
        initialization: Initialization = "sparse",
        optimizer: str | Optimizer[Any] = "hessian-free",
        gradient_batch_size: int | Literal["auto"] = "auto",
        curvature_batch_size: int = 200,
        max_iter: int | Literal["auto"] = "auto",
        tol: float = 1e-4,
        n_iter_no_change: int | Literal["auto"] = "auto",
        l2: float = 0.0,
        validation_fraction: float = 0.0,
        target: Literal["step", "sequence", "auto"] = "auto",
        warm_start: bool = False,
        dtype: Literal["float32", "float64"] = "float32",
        random_state: Any = None,
        verbose: bool = False,
        callback: Callable[[Any], Any] | None = None,
        device: Literal["cpu", "cuda", "auto"] = "cpu",
        n_jobs: int | None = None,
    ) -> None:
        self.n_units = n_units
        self.cell = cell
        self.n_layers = n_layers
        self.n_factors = n_factors
        self.gain = gain
        self.activation = activation
        self.n_symbols = n_symbols
        self.learned_initial_state = learned_initial_state
        self.initialization = initialization
        self.optimizer = optimizer
        self.gradient_batch_size = gradient_batch_size
        self.curvature_batch_size = curvature_batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.l2 = l2
        self.validation_fraction = validation_fraction
        self.target = target
        self.warm_start = warm_start
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback
        self.device = device
        self.n_jobs = n_jobs

    # How the targets came; of files of before, as was read then.
    _per_sequence: bool
    _y_is_1d: bool = True
    _is_single_row: bool = False
    _is_validated: bool

    # -- what a subclass defines for its targets --------------------------------------------------

    # Of those that have the parameter.
    class_weight: Any = None
    # Whether a target may be several numbers.
    _takes_several: ClassVar[bool] = False

    def _check_targets(self, y: Any, is_scored: NDArray[np.bool_] | None) -> NDArray[Any]:
        """Return targets as an array of shape (n,) or (n, n_outputs).

        Those that are not scored may be anything, and are overwritten.
        """
        raise NotImplementedError

    def _define(self, y: NDArray[Any], weights: Array | None, keeps: bool) -> None:
        """Set what checked targets define (classes, scales).

        Where training goes on with the same data it is kept.
        """
        raise NotImplementedError

    def _encode(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return checked targets in the form that a net learns, after `_define`."""
        raise NotImplementedError

    def _weigh(self, y: NDArray[Any], weights: Array | None) -> Array | None:
        """Return the weights of checked targets, after `_define`; None where all count the same."""
        return weights

    def _loss_and_outputs(self) -> tuple[str, int]:
        """Return the name of the loss and the number of outputs, after `_define`."""
        raise NotImplementedError

    # -- fitting ----------------------------------------------------------------------------------

    @transaction()
    def fit(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        step_weight: Any = None,
        validation_data: tuple[Any, Any] | None = None,
    ) -> Self:
        """Learn all weights, and the initial state, from sequences and their targets.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features), list of such, or 3-D array
            Inputs; see the class for several sequences and for symbols.
        y : array-like
            One target per step, in the form of `X`: for a 2-D `X` of shape (n_steps,) or (n_steps,
            n_outputs), for a 3-D one (n_sequences, n_steps) or (n_sequences, n_steps, n_outputs).
            Or one target per sequence, for its last step: of shape (n_sequences,), (n_sequences,
            n_outputs) or (n_sequences, 1, n_outputs). `target` says which. A target that is NaN,
            or a label that is None, is not known: nothing is learned from it. Of several outputs
            all are known, or none.
        groups : array-like of shape (n_steps,), optional
            Label of the sequence that each row of a 2-D `X` belongs to; contiguous.
        lengths : array-like of int of shape (n_sequences,), optional
            Steps of each sequence of a 2-D `X`; not for cross-validation, which does not cut it.
        step_weight : array-like, optional
            Weight of the loss of each target, in the form of `y`; 0 leaves a step out, and its
            target may be anything, NaN too. Not called `sample_weight`, since a step of weight two
            is not a step that comes twice.
        validation_data : tuple (X, y), optional
            Sequences and targets of your own to validate with, in the forms of `X` and `y`, in
            place of a `validation_fraction`: the loss on them has to improve, and the parameters
            that had the lowest are kept.

        Returns
        -------
        RNNRegressor or RNNClassifier
            Itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter or an argument is not as described; the message says which.

        Notes
        -----
        Ctrl-C ends the fit after the last complete iteration, with a warning; the estimator is
        fitted with what was learned up to there. Where `fit` raises an exception, the estimator is
        as it was before the call.
        """
        self._fit(X, y, groups, lengths, step_weight, validation_data)
        return self

    def _fit(
        self, X: Any, y: Any, groups: Any, lengths: Any, step_weight: Any, validation_data: Any
    ) -> None:
        """Read the sequences and their targets, and learn."""
        self._check_parameters()
        self.device_ = resolve_device(self.device)
        X, y, step_weight = self._on_host(X=X, y=y, step_weight=step_weight)
        continues = self._continues()
        was_changed = continues and self._was_changed()
        sequences, layout = self._read(X, groups, lengths, reset=not continues)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} requires y to be passed, but the target y is None."
            )
        is_cut = groups is not None or lengths is not None
        targets, read = self._read_targets(y, layout, step_weight, is_cut, self.target)
        self._per_sequence, self._is_single_row = read.per_sequence, read.is_single_row
        others = None if validation_data is None else self._read_validation(validation_data)
        known_ahead = [] if others is None else [*others[0], *others[1][:2]]
        class_weight = [] if self.class_weight is None else [self.class_weight]
        data = digest_of(
            *sequences,
            *targets[:2],
            self._per_sequence,
            float(self.validation_fraction),
            *known_ahead,
            *class_weight,
        )
        self._define(*targets[:2], continues and self._is_on(data))
        batch = self._as_batch(sequences, targets)
        held_out = None if others is None else self._as_batch(*others)
        self._learn(batch, held_out, data, continues, was_changed)
        self._remember_end(sequences[-1], *targets[:2], y)

    def _read_targets(
        self, y: Any, layout: Layout, step_weight: Any, is_cut: bool, target: str
    ) -> tuple[_Targets, Reading]:
        """Return targets, checked, with their weights, and how they were read."""
        values, read = read_targets(
            y, layout, is_cut=is_cut, target=target, takes_several=self._takes_several
        )
        per_sequence = read.per_sequence
        unit = Layout((1,) * len(layout.lengths), "list") if per_sequence else layout
        weights = None
        if step_weight is not None:
            weights = self._read_weights(step_weight, layout, unit, is_cut, per_sequence)
        if hasattr(values, "__len__"):
            check_count("y", len(values), unit, per_sequence)
            known = known_targets(values, None if weights is None else weights > 0)
            if not known.all():
                weights = known.astype(np.float64) if weights is None else weights * known
        checked = self._check_targets(values, None if weights is None else weights > 0)
        check_count("y", len(checked), unit, per_sequence)
        return _Targets(checked, weights, unit), read

    def _read_validation(self, validation_data: Any) -> tuple[list[NDArray[Any]], _Targets]:
        """Return the sequences that validate, and their targets."""
        if not isinstance(validation_data, tuple | list) or len(validation_data) != 2:
            raise TypeError(
                f"`validation_data` is of type {type(validation_data).__name__}, but a tuple of "
                "sequences and targets was expected. Pass (X, y)."
            )
        if self.validation_fraction > 0:
            raise ValueError(
                f"`validation_data` was given, but `validation_fraction` is "
                f"{self.validation_fraction}, and either of them validates. Set it to 0."
            )
        X, y = self._on_host(X=validation_data[0], y=validation_data[1])
        sequences, layout = self._read(X, None, None)
        target = "sequence" if self._per_sequence else "step"
        return sequences, self._read_targets(y, layout, None, False, target)[0]

    def _as_batch(self, sequences: list[NDArray[Any]], targets: _Targets) -> Batch:
        """Return a batch of what was read, after `_define`."""
        encoded, unit = self._encode(targets.values), targets.unit
        weights = self._weigh(targets.values, targets.weights)
        return make_batch(
            sequences,
            [part[0] if self._per_sequence else part for part in unit.split(encoded)],
            None if weights is None else unit.split(weights),
            per_sequence=self._per_sequence,
        )

    def _remember_end(
        self, sequence: NDArray[Any], targets: NDArray[Any], weights: Array | None, y: Any
    ) -> None:
        """Keep what a run that goes on after training starts from."""

    def _on_host(self, X: Any, **others: Any) -> tuple[Any, ...]:
        """Return arguments on the host, where sequences are cut and padded, after a check.

        Labels may be where they are: strings are no arrays of a GPU.
        """
        labels = is_classifier(self) and not is_on_device(others.get("y"))
        checked = {name: value for name, value in others.items() if not (labels and name == "y")}
        door_namespace(type(self).__name__, self.device, X=X, **checked)
        return tuple(host_state(value) for value in (X, *others.values()))

    def _check_parameters(self) -> None:
        """Raise unless the parameters that nothing else checks are as described."""
        check_choice("initialization", self.initialization, INITIALIZATIONS)
        check_choice("dtype", self.dtype, ("float32", "float64"))
        check_choice("target", self.target, TARGETS)
        if self.n_symbols is not None:
            check_integer("n_symbols", self.n_symbols, minimum=1)
        check_integer("curvature_batch_size", self.curvature_batch_size, minimum=1)
        check_real("tol", self.tol, minimum=0)
        check_real("validation_fraction", self.validation_fraction, minimum=0)
        if self.validation_fraction >= 1:
            raise ValueError(
                f"`validation_fraction` is {self.validation_fraction}, but a number of 0 or more "
                "and below 1 was expected. Pass for instance 0.1."
            )
        self._optimizer_and_counts()

    def _optimizer_and_counts(self) -> tuple[Optimizer[Any], Counts]:
        """Return the optimizer, and the counts that the parameters say, or "auto" for it."""
        optimizer, counts = resolve_optimizer(self.optimizer)
        given = {name: getattr(self, name) for name in asdict(counts)}
        given = {
            name: check_integer(name, value, minimum=1)
            for name, value in given.items()
            if not (isinstance(value, str) and value == "auto")
        }
        return optimizer, replace(counts, **given)

    def _read(
        self, X: Any, groups: Any, lengths: Any, *, reset: bool = False
    ) -> tuple[list[NDArray[Any]], Layout]:
        """Return the sequences of `X`: (n_steps, n_features), or (n_steps,) for symbols."""
        rows, layout = stack_sequences(X, groups=groups, lengths=lengths)
        rows = validate_data(self, rows, dtype=np.dtype(self.dtype), reset=reset)
        if self.n_symbols is not None:
            rows = as_symbols(rows, self.n_symbols)
        return layout.split(rows), layout

    def _read_weights(
        self, step_weight: Any, layout: Layout, unit: Layout, is_cut: bool, per_sequence: bool
    ) -> NDArray[Any]:
        """Return one weight per target."""
        values, _ = read_targets(
            step_weight,
            layout,
            is_cut=is_cut,
            target="sequence" if per_sequence else "step",
            name="step_weight",
        )
        weights: NDArray[Any] = check_array(
            values, ensure_2d=False, dtype=np.float64, input_name="step_weight"
        )
        if weights.ndim != 1:
            raise ValueError(
                f"`step_weight` has shape {weights.shape}, but one number per target was expected. "
                "Drop the last axis."
            )
        check_count("step_weight", len(weights), unit, per_sequence)
        if np.any(weights < 0) or not np.any(weights):
            raise ValueError(
                "`step_weight` holds a negative weight, or nothing but zeros. Pass weights of 0 "
                "or more."
            )
        return weights

    def _learn(
        self, batch: Batch, held_out: Batch | None, data: str, continues: bool, was_changed: bool
    ) -> None:
        """Train the net on the sequences of `batch`, but those that are to be held out of them."""
        streams = seed_sequence(self.random_state).spawn(3)
        optimizer, counts = self._optimizer_and_counts()
        architecture = self._describe()
        progress = Progress(data, streams[_VALIDATION])
        is_other = continues and not self._is_on(data)
        if continues:
            self._check_warm_start(architecture, optimizer)
            state, progress = self._run_to_go_on_with(
                optimizer,
                progress,
                was_changed=was_changed,
                is_validated=self.validation_fraction > 0,
            )
        training = batch
        if held_out is None:
            training, held_out = hold_out(batch, self.validation_fraction, progress.held_out_rng())
        self._is_validated = held_out is not None
        source = self._batches_of(training, optimizer, counts)
        max_rows = max(SLICE_ROWS, largest_rows(training, source.curvature_size or 0))
        network = architecture.build(max_rows, self.device_)
        if not continues:
            params = INITIALIZATIONS[self.initialization](
                network,
                output_bias=mean_target_bias(network, training),
                random_state=streams[_PARAMS],
                dtype=self.dtype,
            )
            state = start(optimizer, params, streams[_DATA])
        elif is_other:
            params = self._recentred(network, self._in_units_of_net(self.params_), training)
            state = replace(state, optimizer_state=optimizer.init(params.astype(self.dtype)))
        self._architecture = architecture
        last = state.iteration + counts.max_iter

        def report(state: TrainingState, progress: Progress, reason: TrainingStop | None) -> bool:
            if reason is None and state.iteration == last:
                reason = TrainingStop.N_ITERATIONS
            return self._call_back(state, progress, STOP_REASONS[reason])

        validation = Validation(
            network,
            held_out,
            self.tol,
            counts.n_iter_no_change,
            report,
            state,
            progress,
            1 if uses_curvature(optimizer) else source.iterations_per_epoch,
        )
        state = train(
            network,
            optimizer,
            BeginningAt(source, progress.began),
            state,
            n_iterations=state.iteration if validation.stop_reason else last,
            callback=validation,
            progress=bool(self.verbose),
            n_jobs=self.n_jobs,
        )
        reason = STOP_REASONS[validation.stop_reason or state.stop_reason]
        self._adopt(state, validation.progress, reason)
        self._warn()

    def _batches_of(self, training: Batch, optimizer: Optimizer[Any], counts: Any) -> Minibatches:
        """Return the batches of an epoch, as equal as possible: none of a sequence or two."""
        n_batches = -(-training.n_sequences // counts.gradient_batch_size)
        gradient_size = -(-training.n_sequences // n_batches)
        curvature_size = None
        if uses_curvature(optimizer):
            curvature_size = min(self.curvature_batch_size, gradient_size)
        return Minibatches(training, gradient_size, curvature_size)

    def _adopt(self, state: TrainingState, progress: Progress, reason: str) -> None:
        """Take over what training has come to, the curve of this fit among it."""
        super()._adopt(state, progress, reason)
        self.__dict__.pop("validation_curve_", None)
        if self._is_validated:
            self.validation_curve_ = progress.validation_curve.copy()

    def _recentred(self, network: SequenceNetwork, params: Array, training: Batch) -> Array:
        """Return parameters with the output bias that suits other data, where that is known."""
        return params

    def _describe(self) -> Architecture:
        """Return what the parameters and the data say about the net."""
        loss, n_outputs = self._loss_and_outputs()
        return Architecture(
            cell=self.cell,
            n_inputs=self.n_symbols or self.n_features_in_,
            n_units=self.n_units,
            n_factors=self.n_factors,
            gain=self.gain,
            activation=self.activation,
            has_symbols=self.n_symbols is not None,
            learned_initial_state=bool(self.learned_initial_state),
            n_outputs=n_outputs,
            loss=loss,
            l2=self.l2,
            n_layers=self.n_layers,
        )

    def _net_params(self) -> Array:
        """Return the parameters that predictions are computed with."""
        return self.params_
