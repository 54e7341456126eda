"""Contenders of a comparison: trained nets, and echo state networks with a ridge readout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch
from hessianfree.comparison._protocols import TrainingRun
from hessianfree.network._architecture import Architecture
from hessianfree.network._definition import LOSSES
from hessianfree.network._initialization import (
    INITIALIZATIONS,
    Initialization,
    mean_target_bias,
)
from hessianfree.network._links import outputs_of
from hessianfree.network._network import SequenceNetwork
from hessianfree.optimize._protocols import Optimizer
from hessianfree.tasks._task import Task
from hessianfree.training._checkpoints import TrainingState
from hessianfree.training._data import FreshBatches
from hessianfree.training._loop import start, train
from reservoir.dynamics._driven import iterate_sequences
from reservoir.dynamics._driven import run as run_reservoir
from reservoir.dynamics._reservoir import Reservoir
from reservoir.readout._accumulator import RidgeAccumulator
from reservoir.readout._solve import solve_ridge
from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice
from reservoir.weights._draw import bias_weights, input_weights, recurrent_weights

Indices = tuple[NDArray[np.intp], ...]

# Sequences of a slice of a large gradient batch, where there is no curvature batch to go by: their
# states stay in the cache between the forward and the backward sweep.
_SLICE_SIZE = 200

# The callback ends the training.
_NO_LIMIT = sys.maxsize


@explained
@dataclass(frozen=True)
class NetContender:
    """A recurrent net, where it starts, and how it is trained.

    Read more in the guide: :doc:`/guide/experiments`.

    Parameters
    ----------
    name : str
    optimizers : tuple of Optimizer
        One, or the same with several learning rates, among which the run has to find the best.
    cell : str, default="vanilla"
        As in `RNNRegressor`.
    n_units : int, default=100
    n_factors : int, optional
        Of the multiplicative cell.
    initialization : str, default="sparse"
        "sparse", "echo_state", "orthogonal", "identity", "chain" or "chrono"; see `RNNRegressor`.
    initialization_options : dict
        Further arguments of `sparse_parameters`, `echo_state_parameters` and so on.
    activation : {"tanh", "logistic", "relu"}, default="tanh"
        Of the cells without gates.
    gradient_size : int, default=100
        Sequences drawn for an update.
    curvature_size : int, optional
        Sequences drawn besides for the curvature; first-order optimizers need none.
    dtype : {"float32", "float64"}, default="float32"

    Notes
    -----
    The output bias starts at the mean target: what can be had without learning is not a
    contender's merit.
    """

    name: str
    optimizers: tuple[Optimizer[Any], ...]
    cell: str = "vanilla"
    n_units: int = 100
    n_factors: int | None = None
    initialization: Initialization = "sparse"
    initialization_options: dict[str, Any] = field(default_factory=dict)
    gradient_size: int = 100
    curvature_size: int | None = None
    dtype: Literal["float32", "float64"] = "float32"
    activation: Literal["tanh", "logistic", "relu"] = "tanh"

    def __post_init__(self) -> None:
        """Check what the net and the start do not."""
        check_choice("initialization", self.initialization, INITIALIZATIONS)
        check_choice("dtype", self.dtype, ("float32", "float64"))
        if not self.optimizers:
            raise ValueError("`optimizers` is empty, but one or more were expected. Pass (SGD(),).")

    def training_runs(
        self, task: Task, weights_seed: np.random.SeedSequence, data_seed: np.random.SeedSequence
    ) -> list[TrainingRun]:
        """Return a run for each optimizer; all start from the same weights."""
        reference = task.draw(1_000, np.random.default_rng(weights_seed))
        network = self._network(task, reference)
        params = INITIALIZATIONS[self.initialization](
            network,
            output_bias=mean_target_bias(network, reference),
            random_state=weights_seed,
            dtype=np.dtype(self.dtype),
            **self.initialization_options,
        )
        data = FreshBatches(task.draw, self.gradient_size, self.curvature_size)
        return [
            _NetRun(name, network, optimizer, data, start(optimizer, params, data_seed))
            for name, optimizer in zip(_setting_names(self.optimizers), self.optimizers)
        ]

    def _network(self, task: Task, reference: Batch) -> SequenceNetwork:
        architecture = Architecture(
            cell=self.cell,
            n_inputs=task.n_inputs,
            n_units=self.n_units,
            n_factors=self.n_factors,
            gain="auto",
            activation=self.activation,
            has_symbols=reference.inputs.ndim == 2,
            learned_initial_state=True,
            n_outputs=task.n_outputs,
            loss=task.loss,
            l2=0.0,
        )
        slice_size = self.curvature_size or min(self.gradient_size, _SLICE_SIZE)
        rows = slice_size * reference.n_steps
        return architecture.build(max_rows=rows)


def _setting_names(optimizers: Sequence[Any]) -> list[str]:
    """Return for each optimizer its kind, and in what it differs from the others."""
    values = [vars(optimizer) for optimizer in optimizers]
    different = [name for name in values[0] if len({repr(v.get(name)) for v in values}) > 1]
    return [
        " ".join([type(optimizer).__name__, *(f"{name}={v.get(name)!r}" for name in different)])
        for optimizer, v in zip(optimizers, values)
    ]


class _NetRun:
    """The training of a net by one optimizer."""

    def __init__(
        self,
        name: str,
        network: SequenceNetwork,
        optimizer: Optimizer[Any],
        data: FreshBatches,
        state: TrainingState,
    ) -> None:
        self.name = name
        self._network, self._optimizer, self._data, self._state = network, optimizer, data, state

    def train(self, is_over: Callable[[float], bool]) -> None:
        def after_iteration(state: TrainingState) -> bool:
            self._state = state
            return is_over(state.history.last["sequence_gradients"])

        self._state = train(
            self._network,
            self._optimizer,
            self._data,
            self._state,
            n_iterations=_NO_LIMIT,
            callback=after_iteration,
        )

    def prepare_to_predict(self) -> None:
        """Nothing is left to do."""

    def loss(self, batch: Batch) -> float:
        return self._network.value(self._state.params, batch)

    def predict(self, batch: Batch) -> Array:
        return self._network.predict(self._state.params, batch.inputs)


@explained
@dataclass(frozen=True)
class EchoStateContender:
    """An echo state network with a ridge readout, its scales searched within the budget.

    Read more in the guide: :doc:`/guide/experiments`.

    Parameters
    ----------
    name : str
    n_units : int, default=300
    spectral_radii, leak_rates, input_scalings : tuple of float
        All combinations are tried. For a long lag the leak rate matters most: at 0.01 units keep
        for about a hundred steps what they are given [1]_, and at 1 hardly anything of it.
    bias_scaling : float, default=0.2
    alphas : tuple of float
        Chosen by generalised cross-validation.
    gradient_size : int, default=100
        Sequences that the readout learns from at a time.

    Notes
    -----
    Sequences cost 1/3 of a gradient each, as a forward pass does. The readout is linear, by least
    squares, whatever the loss of the task: a class is that of the largest output, a bit that of an
    output above 1/2. Where the loss is a cross-entropy, outputs are taken as the probabilities that
    they estimate, cut off at 0.001.

    References
    ----------
    .. [1] Jaeger (2012), Long short-term memory in echo state networks: details of a simulation
       study: most long-lag tasks are solved by plain reservoirs.
    """

    name: str
    n_units: int = 300
    spectral_radii: tuple[float, ...] = (1.0,)
    leak_rates: tuple[float, ...] = (1.0, 0.1, 0.01)
    input_scalings: tuple[float, ...] = (0.1, 1.0)
    bias_scaling: float = 0.2
    alphas: tuple[float, ...] = (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2, 1.0)
    gradient_size: int = 100

    def training_runs(
        self, task: Task, weights_seed: np.random.SeedSequence, data_seed: np.random.SeedSequence
    ) -> list[TrainingRun]:
        """Return a run for each combination; all share W, up to its scale."""
        recurrent, inputs, bias = weights_seed.spawn(3)
        data = FreshBatches(task.draw, self.gradient_size)
        runs: list[TrainingRun] = []
        for radius, leak, scaling in product(
            self.spectral_radii, self.leak_rates, self.input_scalings
        ):
            reservoir = Reservoir(
                recurrent_weights(self.n_units, spectral_radius=radius, random_state=recurrent),
                input_weights(self.n_units, task.n_inputs, scaling=scaling, random_state=inputs),
                bias_weights(self.n_units, scaling=self.bias_scaling, random_state=bias),
                leak_rate=leak,
            )
            name = f"radius {radius}, leak {leak}, input {scaling}"
            runs.append(_EchoStateRun(name, reservoir, task, data, data_seed, self.alphas))
        # Kernels are compiled on first use, which is not learning.
        run_reservoir(reservoir, np.zeros((1, task.n_inputs)))
        return runs


class _EchoStateRun:
    """The training of the readout of one reservoir."""

    def __init__(
        self,
        name: str,
        reservoir: Reservoir,
        task: Task,
        data: FreshBatches,
        seed: np.random.SeedSequence,
        alphas: tuple[float, ...],
    ) -> None:
        self.name = name
        self._reservoir, self._task, self._data, self._seed = reservoir, task, data, seed
        self._alphas = alphas
        self._sums = RidgeAccumulator(reservoir.n_units, task.n_outputs, smallest_alpha=min(alphas))
        self._iteration = 0
        self._coef, self._intercept = np.empty((0, 0)), np.empty(0)

    def train(self, is_over: Callable[[float], bool]) -> None:
        over = False
        while not over:
            batch, _ = self._data.batches(self._iteration, self._seed)
            scored, states = self._states(batch)
            self._sums.update(states, self._targets(batch)[scored])
            self._iteration += 1
            self._coef = np.empty((0, 0))
            over = is_over(batch.n_sequences / 3)

    def prepare_to_predict(self) -> None:
        if self._coef.size == 0:
            solution = solve_ridge(self._sums, self._alphas)
            self._coef, self._intercept = solution.coef, solution.intercept

    def loss(self, batch: Batch) -> float:
        scored, _ = self._scored(batch)
        loss = LOSSES[self._task.loss]()
        outputs = outputs_of(loss, self.predict(batch)[scored])
        return float(np.mean(loss.values(outputs, self._targets(batch)[scored])))

    def predict(self, batch: Batch) -> Array:
        scored, states = self._states(batch)
        shape = (batch.n_steps, batch.n_sequences, self._task.n_outputs)
        outputs = np.zeros(shape)
        outputs[scored] = states @ self._coef.T + self._intercept
        return outputs

    def _states(self, batch: Batch) -> tuple[Indices, Array]:
        """Return where steps are scored, and the states there, one row each."""
        scored, ends = self._scored(batch)
        inputs = batch.inputs
        if inputs.ndim == 2:
            inputs = np.eye(self._task.n_inputs)[inputs]
        sequences = [inputs[:end, index] for index, end in enumerate(ends)]
        rows = np.full((batch.n_steps, batch.n_sequences), -1)
        rows[scored] = np.arange(len(scored[0]))
        states = np.empty((len(scored[0]), self._reservoir.n_units))
        for index, first, block in iterate_sequences(self._reservoir, sequences):
            here = rows[first : first + len(block), index]
            states[here[here >= 0]] = block[here >= 0]
        return scored, states

    def _scored(self, batch: Batch) -> tuple[Indices, NDArray[np.intp]]:
        """Return the indices of scored steps, and after how many steps each sequence ends."""
        mask = np.ones(batch.targets.shape[:2]) if batch.mask is None else batch.mask
        counts = mask > 0
        ends = batch.n_steps - np.argmax(counts[::-1], axis=0)
        return np.nonzero(counts), np.where(counts.any(axis=0), ends, 0)

    def _targets(self, batch: Batch) -> Array:
        """Return targets of shape (n_steps, n_sequences, n_outputs)."""
        if batch.targets.ndim == 3:
            return batch.targets
        one_hot: Array = np.eye(self._task.n_outputs)[batch.targets]
        return one_hot
