"""Learning: from sequences and targets that were read to a trained net."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from hessianfree.batch import Batch
from hessianfree.estimators._named_optimizers import uses_curvature
from hessianfree.estimators._reading import ReadingRNN
from hessianfree.estimators._starting_weights import starting_weights
from hessianfree.estimators._trained import SLICE_ROWS, STOP_REASONS
from hessianfree.network._architecture import Architecture
from hessianfree.network._initialization import INITIALIZATIONS, mean_target_bias
from hessianfree.network._network import SequenceNetwork
from hessianfree.network._prepared import largest_rows
from hessianfree.optimize._protocols import Optimizer
from hessianfree.training._checkpoints import TrainingState
from hessianfree.training._data import BeginningAt, Minibatches
from hessianfree.training._dropout import Dropout
from hessianfree.training._loop import start, train
from hessianfree.training._stop_reason import TrainingStop
from hessianfree.training._stopping import Progress, Stall, Validation, digest_of, hold_out
from reservoir.utils.device import resolve_device
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Array

# Order of the independent streams that one `random_state` is split into.
_PARAMS, _DATA, _VALIDATION = range(3)


class LearningRNN(ReadingRNN):
    """What the recurrent estimators share where they are trained."""

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
        weights = [self.class_weight, self.output_weight, self.dropout or None]
        data = digest_of(
            *sequences,
            *targets[:2],
            self._per_sequence,
            float(self.validation_fraction),
            *known_ahead,
            *(one for one in weights if one is not None),
        )
        self._define(*targets[:2], continues and self._is_on(data))
        batch = self._as_batch(sequences, targets)
        held_out = None if others is None else self._as_batch(*others)
        self._learn(batch, held_out, data, continues, was_changed)
        self._remember_end(sequences[-1], *targets[:2], y)

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
        self._architecture = architecture
        training = batch
        if held_out is None:
            training, held_out = hold_out(batch, self.validation_fraction, progress.held_out_rng())
        self._is_validated = held_out is not None
        source = self._batches_of(training, optimizer, counts)
        max_rows = max(SLICE_ROWS, largest_rows(training, source.curvature_size or 0))
        network = architecture.build(max_rows, self.device_)
        if not continues:
            params = self._starting_params(network, training, streams[_PARAMS])
            state = start(optimizer, params, streams[_DATA])
        elif is_other:
            params = self._recentred(network, self._in_units_of_net(self.params_), training)
            state = replace(state, optimizer_state=optimizer.init(params.astype(self.dtype)))
        last = state.iteration + counts.max_iter

        def report(state: TrainingState, progress: Progress, reason: TrainingStop | None) -> bool:
            if reason is None and state.iteration == last:
                reason = TrainingStop.N_ITERATIONS
            return self._call_back(state, progress, STOP_REASONS[reason])

        is_each = held_out is None or uses_curvature(optimizer)
        every = 1 if is_each else source.iterations_per_epoch
        stall = Stall(self.tol, max(1, counts.n_iter_no_change // every))
        validation = Validation(network, held_out, stall, report, state, progress, every)
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

    def _starting_params(
        self, network: SequenceNetwork, training: Batch, seed: np.random.SeedSequence
    ) -> Array:
        """Return the parameters that training starts from: drawn, or those that were given."""

        def draw(name: str) -> Array:
            return INITIALIZATIONS[name](
                network,
                output_bias=mean_target_bias(network, training),
                random_state=seed,
                dtype=self.dtype,
            )

        if isinstance(self.initialization, str):
            return draw(self.initialization)
        given = starting_weights(network.layout, self.initialization)
        params = self._in_units_of_net(given.params).astype(self.dtype)
        if given.missing:
            drawn, views = draw("sparse"), network.layout.views(params)
            for name in given.missing:
                views[name][...] = network.layout.views(drawn)[name]
        return params

    def _batches_of(self, training: Batch, optimizer: Optimizer[Any], counts: Any) -> Minibatches:
        """Return the batches of an epoch, as equal as possible: none of a sequence or two."""
        n_batches = -(-training.n_sequences // counts.gradient_batch_size)
        gradient_size = -(-training.n_sequences // n_batches)
        curvature_size = None
        if uses_curvature(optimizer):
            curvature_size = min(self.curvature_batch_size, gradient_size)
        dropout = None
        if self.dropout:
            n_units = self._architecture.build().cell.n_units
            dropout = Dropout(self.dropout, n_units)
        return Minibatches(training, gradient_size, curvature_size, dropout)

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
            cell_options=copy.copy(self.cell_options) or None,
            bidirectional=bool(self.bidirectional),
            per_sequence=bool(self.bidirectional) and self._per_sequence,
        )
