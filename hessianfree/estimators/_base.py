"""Base class of the recurrent estimators: reading sequences, building the net, training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from hessianfree.batch import Batch
from hessianfree.estimators._named_optimizers import Counts, resolve_optimizer, uses_curvature
from hessianfree.estimators._sequence_data import (
    as_symbols,
    check_count,
    make_batch,
    predict_sequences,
    read_targets,
)
from hessianfree.estimators._trained import SLICE_ROWS, STOP_REASONS, TrainedNetworkMixin
from hessianfree.network._architecture import Architecture
from hessianfree.network._initialization import INITIALIZATIONS, mean_target_bias
from hessianfree.optimize._protocols import Optimizer
from hessianfree.training._data import Minibatches
from hessianfree.training._loop import start, train
from hessianfree.training._stopping import Validation, hold_out
from reservoir.sequences._layout import Layout, stack_like, stack_sequences
from reservoir.utils.device import door_namespace, host_state, is_on_device, resolve_device
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer, check_real

# Order of the independent streams that one `random_state` is split into.
_PARAMS, _DATA, _VALIDATION = range(3)


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
        initialization: Literal["sparse", "echo_state"] = "sparse",
        optimizer: str | Optimizer[Any] = "hessian-free",
        gradient_batch_size: int | Literal["auto"] = "auto",
        curvature_batch_size: int = 200,
        max_iter: int | Literal["auto"] = "auto",
        tol: float = 1e-4,
        n_iter_no_change: int | Literal["auto"] = "auto",
        l2: float = 0.0,
        validation_fraction: float = 0.0,
        warm_start: bool = False,
        dtype: Literal["float32", "float64"] = "float32",
        random_state: Any = None,
        verbose: bool = False,
        callback: Callable[[Any], Any] | None = None,
        device: Literal["cpu", "cuda", "auto"] = "cpu",
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
        self.warm_start = warm_start
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback
        self.device = device

    validation_curve_: Array

    # -- what a subclass says about its targets ---------------------------------------------------

    def _check_targets(self, y: Any) -> NDArray[Any]:
        """Return targets as an array of shape (n,) or (n, n_outputs)."""
        raise NotImplementedError

    def _encode(self, y: NDArray[Any], weights: Array | None, continues: bool) -> NDArray[Any]:
        """Return checked targets in the form that a net learns.

        What they define (classes, scales) is set, or, where training goes on, kept.
        """
        raise NotImplementedError

    def _loss_and_outputs(self) -> tuple[str, int]:
        """Return the name of the loss and the number of outputs, after `_encode`."""
        raise NotImplementedError

    # -- fitting ----------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        step_weight: Any = None,
    ) -> Self:
        """Learn all weights, and the initial state, from sequences and their targets.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features), list of such, or 3-D array
            Inputs; see the class for several sequences and for symbols.
        y : array-like
            One target per step, in the form of `X`: for a 2-D `X` of shape (n_steps,) or (n_steps,
            n_outputs). Or one target per sequence, for its last step: for several sequences, of
            shape (n_sequences,) or (n_sequences, n_outputs). Several outputs, as many as steps:
            give each sequence a single row, (n_sequences, 1, n_outputs).
        groups : array-like of shape (n_steps,), optional
            Label of the sequence that each row of a 2-D `X` belongs to; contiguous.
        lengths : array-like of int of shape (n_sequences,), optional
            Steps of each sequence of a 2-D `X`; not for cross-validation, which does not cut it.
        step_weight : array-like, optional
            Weight of the loss of each target, in the form of `y`; 0 leaves a step out. Not called
            `sample_weight`, since a step of weight two is not a step that comes twice.

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
        fitted with what was learned up to there.
        """
        self._check_parameters()
        self.device_ = resolve_device(self.device)
        X, y, step_weight = self._on_host(X=X, y=y, step_weight=step_weight)
        continues = bool(self.warm_start) and hasattr(self, "_state")
        sequences, layout = self._read(X, groups, lengths, reset=not continues)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} requires y to be passed, but the target y is None."
            )
        is_cut = groups is not None or lengths is not None
        values, self._per_sequence = read_targets(y, layout, is_cut=is_cut)
        unit = Layout((1,) * len(sequences), "list") if self._per_sequence else layout
        checked = self._check_targets(values)
        check_count("y", len(checked), unit, self._per_sequence)
        weights = None
        if step_weight is not None:
            weights = self._read_weights(step_weight, layout, unit, is_cut)
        targets = self._encode(checked, weights, continues)
        parts = [part[0] if self._per_sequence else part for part in unit.split(targets)]
        batch = make_batch(
            sequences,
            parts,
            None if weights is None else unit.split(weights),
            per_sequence=self._per_sequence,
        )
        return self._learn(batch, continues)

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
        self, step_weight: Any, layout: Layout, unit: Layout, is_cut: bool
    ) -> NDArray[Any]:
        """Return one weight per target."""
        values, _ = read_targets(step_weight, layout, is_cut=is_cut, name="step_weight")
        weights: NDArray[Any] = check_array(
            values, ensure_2d=False, dtype=np.float64, input_name="step_weight"
        )
        if weights.ndim != 1:
            raise ValueError(
                f"`step_weight` has shape {weights.shape}, but one number per target was expected. "
                "Drop the last axis."
            )
        check_count("step_weight", len(weights), unit, self._per_sequence)
        if np.any(weights < 0) or not np.any(weights):
            raise ValueError(
                "`step_weight` holds a negative weight, or nothing but zeros. Pass weights of 0 "
                "or more."
            )
        return weights

    def _learn(self, batch: Batch, continues: bool) -> Self:
        """Train the net on the sequences of `batch`, those held out for validation excepted."""
        streams = seed_sequence(self.random_state).spawn(3)
        rng = np.random.default_rng(streams[_VALIDATION])
        training, held_out = hold_out(batch, self.validation_fraction, rng)
        # As equal as possible: no epoch ends with a batch of a sequence or two.
        optimizer, counts = self._optimizer_and_counts()
        n_batches = -(-training.n_sequences // counts.gradient_batch_size)
        gradient_size = -(-training.n_sequences // n_batches)
        curvature_size = None
        if uses_curvature(optimizer):
            curvature_size = min(self.curvature_batch_size, gradient_size)
        architecture = self._describe()
        max_rows = max(SLICE_ROWS, (curvature_size or 0) * training.n_steps)
        network = architecture.build(max_rows, self.device_)
        if continues:
            self._check_warm_start(architecture, optimizer)
        else:
            params = INITIALIZATIONS[self.initialization](
                network,
                output_bias=mean_target_bias(network, training),
                random_state=streams[_PARAMS],
                dtype=self.dtype,
            )
            self._state = start(optimizer, params, streams[_DATA])
        self._architecture = architecture
        data = Minibatches(training, gradient_size, curvature_size)
        validation = Validation(
            network,
            held_out,
            self.tol,
            counts.n_iter_no_change,
            self._call_back,
            1 if uses_curvature(optimizer) else data.iterations_per_epoch,
        )
        state = train(
            network,
            optimizer,
            data,
            self._state,
            n_iterations=self.n_iter_ + counts.max_iter,
            callback=validation,
            progress=bool(self.verbose),
        )
        best = validation.best_params
        self._adopt(state, state.params if best is None else best)
        self.stop_reason_ = STOP_REASONS[validation.stop_reason or state.stop_reason]
        if held_out is not None:
            self.validation_curve_ = np.array(validation.validation_curve)
        self._warn()
        return self

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

    # -- predicting -------------------------------------------------------------------------------

    def _outputs(self, X: Any, groups: Any, lengths: Any) -> tuple[Array, Layout]:
        """Return the outputs of the net, one row per target, and the layout of the inputs."""
        check_is_fitted(self, "params_")
        (X,) = self._on_host(X)
        sequences, layout = self._read(X, groups, lengths)
        network = self._architecture.build(device=self.device)
        outputs = predict_sequences(network, self.params_, sequences)
        if self._per_sequence:
            return np.stack([rows[-1] for rows in outputs]), layout
        return np.concatenate(outputs), layout

    def _restore(self, rows: NDArray[Any], layout: Layout) -> Any:
        """Return one row per target in the form of the inputs."""
        return rows if self._per_sequence else layout.restore(rows)

    def _stack_for_score(
        self, X: Any, y: Any, predicted: Any, sample_weight: Any, groups: Any, lengths: Any
    ) -> tuple[Any, Any, Any]:
        """Return targets, predictions and weights, one row per target."""
        X, y, predicted, sample_weight = host_state([X, y, predicted, sample_weight])
        _, layout = stack_sequences(X, groups=groups, lengths=lengths)
        is_cut = groups is not None or lengths is not None
        names = {"y": y, "sample_weight": sample_weight}
        stacked = {
            name: None
            if values is None
            else read_targets(values, layout, is_cut=is_cut, name=name)[0]
            for name, values in names.items()
        }
        if not self._per_sequence:
            predicted = stack_like(predicted, layout, name="prediction")
        return stacked["y"], predicted, stacked["sample_weight"]
