"""Base class of the recurrent estimators: their parameters, and what each kind defines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from hessianfree.estimators._named_optimizers import Counts, resolve_optimizer
from hessianfree.estimators._sequence_data import TARGETS
from hessianfree.estimators._trained import TrainedNetworkMixin
from hessianfree.network._initialization import INITIALIZATIONS, Initialization
from hessianfree.network._losses import Loss, check_loss
from hessianfree.optimize._protocols import Optimizer
from hessianfree.training._dropout import check_rate
from reservoir.utils.types import Array
from reservoir.utils.validation import as_numbers, check_choice, check_integer, check_real


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
        bidirectional: bool = False,
        cell_options: Mapping[str, Any] | None = None,
        n_factors: int | None = None,
        gain: Literal["auto", "linear", "shifted_tanh"] = "auto",
        activation: Literal["tanh", "logistic", "relu"] = "tanh",
        n_symbols: int | None = None,
        learned_initial_state: bool = True,
        initialization: Initialization | Mapping[str, Any] | Array = "sparse",
        loss: str | Loss = "squared_error",
        output_weight: ArrayLike | None = None,
        optimizer: str | Optimizer[Any] = "hessian-free",
        gradient_batch_size: int | Literal["auto"] = "auto",
        curvature_batch_size: int = 200,
        max_iter: int | Literal["auto"] = "auto",
        tol: float = 1e-4,
        n_iter_no_change: int | Literal["auto"] = "auto",
        l2: float = 0.0,
        dropout: float = 0.0,
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
        self.bidirectional = bidirectional
        self.cell_options = cell_options
        self.n_factors = n_factors
        self.gain = gain
        self.activation = activation
        self.n_symbols = n_symbols
        self.learned_initial_state = learned_initial_state
        self.initialization = initialization
        self.loss = loss
        self.output_weight = output_weight
        self.optimizer = optimizer
        self.gradient_batch_size = gradient_batch_size
        self.curvature_batch_size = curvature_batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.l2 = l2
        self.dropout = dropout
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
    # Whether a row of as many targets as steps is one per step, without a word.
    _prefers_steps: ClassVar[bool] = False
    # The losses that have a name.
    _losses: ClassVar[Collection[str]]

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

    def _loss_and_outputs(self) -> tuple[str | Loss, int]:
        """Return the loss, or its name, and the number of outputs, after `_define`."""
        raise NotImplementedError

    def _remember_end(
        self, sequence: NDArray[Any], targets: NDArray[Any], weights: Array | None, y: Any
    ) -> None:
        """Keep what a run that goes on after training starts from."""

    def _net_params(self) -> Array:
        """Return the parameters that predictions are computed with."""
        return self.params_

    def _output_weights(self, n_outputs: int) -> Array | None:
        """Return the weights of the outputs, of mean 1, or None where all count the same."""
        if self.output_weight is None:
            return None
        weights: Array = as_numbers("output_weight", self.output_weight, np.float64)
        if weights.shape != (n_outputs,):
            raise ValueError(
                f"`output_weight` has shape {weights.shape}, but ({n_outputs},) was expected. Pass "
                "one weight for each output."
            )
        if not (np.isfinite(weights).all() and (weights > 0).all()):
            raise ValueError(
                f"`output_weight` is {weights.tolist()}, but finite weights above 0 were expected. "
                "Leave an output that does not count out of `y`."
            )
        of_mean_1: Array = weights / weights.mean()
        return of_mean_1

    # -- checks ----------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        """Raise unless the parameters that nothing else checks are as described."""
        if isinstance(self.initialization, str):
            check_choice("initialization", self.initialization, INITIALIZATIONS)
        if isinstance(self.loss, str):
            check_choice("loss", self.loss, self._losses)
        else:
            check_loss(self.loss)
        check_choice("dtype", self.dtype, ("float32", "float64"))
        check_choice("target", self.target, TARGETS)
        if self.n_symbols is not None:
            check_integer("n_symbols", self.n_symbols, minimum=1)
        check_integer("curvature_batch_size", self.curvature_batch_size, minimum=1)
        check_real("tol", self.tol, minimum=0)
        check_rate("dropout", self.dropout)
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
