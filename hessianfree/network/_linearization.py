"""Linearization of a recurrent net at one point: gradient and Gauss-Newton products."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from hessianfree.batch import Batch
from hessianfree.cells._inputs import flatten_rows
from hessianfree.cells._workspace import Workspace
from hessianfree.cells.bidirectional import run_cell
from hessianfree.network._curvature import GaussNewtonOperator
from hessianfree.network._definition import NetworkDefinition
from hessianfree.network._prepared import PreparedBatch, blocks_of_rows, is_spread, prepare_for
from hessianfree.network._side_by_side import in_order
from reservoir.utils.device import module_of, namespace_of, to_namespace
from reservoir.utils.explained import explained
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Array

# A loss or product that is not finite is a result and no warning: the optimizer rejects the step.
OVERFLOW_IS_A_RESULT: Any = {"over": "ignore", "invalid": "ignore"}


@explained
class NetworkLinearization:
    r"""A `SequenceNetwork` around one point, on one batch, with the forward pass kept.

    Attributes
    ----------
    value : float
        f(θ).
    nbytes : int
        Memory of the stored pass and of the buffers made so far, in bytes.

    Notes
    -----
    After the first product, and with the copies of the parameters left out, memory is

    .. math:: \mathrm{itemsize} \cdot B\, (T m + k\, (N + 3\, n_\mathrm{outputs})),

    with T steps, the last k of them scored, B sequences, and m numbers per step and sequence: 3 N
    for `ElmanCell`, 4 N for `TensorCell`, 3 N + 5 F for `MultiplicativeCell` with F factors (7 F
    with the shifted gain), and n_inputs + 1 to n_inputs + 4 more with real-valued inputs to the
    first and the last. Later products allocate nothing, `TensorCell` excepted, which gathers rows
    by symbol. Outputs beyond 4 million numbers are in blocks of a million. A batch of more than
    `max_rows` steps times sequences takes that of one slice; one of uneven lengths that of its
    buckets, B T their rows.

    Where numba is installed and the batch is large, it is cut into a slice for each core, which
    are computed side by side; with `max_rows` they are together as large as one. Beside copies of
    the matrices of weights, each slice but the first has a vector of n_params numbers.
    """

    def __init__(self, network: NetworkDefinition, params: Array, batch: Batch) -> None:
        self._network = network
        self._callers_xp = module_of(params)
        params = network.place(params).copy()
        self._params = params
        self._batches = prepare_for(network, params, batch)
        self._is_spread = is_spread(network, params, batch)
        # Slices are kept, unless they are too large together: then each is run again for every
        # product.
        n_rows = sum(part.n_steps * part.n_sequences for part in self._batches)
        fits = network.max_rows is None or n_rows <= network.max_rows
        self._kept: list[LinearizedSlice] | None = None
        if fits or len(self._batches) == 1:
            self._kept = list(in_order(self._run, self._batches, self._is_spread))
            values = [part.value for part in self._kept]
        else:
            values = list(
                in_order(lambda part: self._run(part).value, self._batches, self._is_spread)
            )
        self.value = float(network.penalty(params) + sum(values))

    @with_few_threads
    def gradient(self) -> Array:
        """Return ∇f(θ), of shape (n_params,)."""
        gradient = module_of(self._params).empty_like(self._params)
        self._sum(gradient, lambda part, out: part.gradient(out))
        self._network.add_penalty_product(self._params, gradient)
        answer: Array = to_namespace(self._callers_xp, gradient)
        return answer

    @with_few_threads
    def gauss_newton_product(
        self, v: Array, structural_damping: float = 0.0, *, out: Array | None = None
    ) -> Array:
        """Return (Jᵀ H_L J + μ J_hᵀ D″ J_h + l2) v, exactly.

        Parameters
        ----------
        v : ndarray of shape (n_params,)
        structural_damping : float, default=0.0
            μ. The sum over the states of all sequences, up to the last scored step of each, is
            divided by the number of scored steps, as the loss is.
        out : ndarray of shape (n_params,), optional
            Written to and returned, v itself excepted; made where it is missing.

        Returns
        -------
        ndarray of shape (n_params,)
        """
        callers_xp = namespace_of(v=v, out=out)
        v = self._network.place(v, "v")
        xp = module_of(v)
        product = out if out is not None and callers_xp is xp else xp.empty_like(v)
        self._sum(product, lambda part, out: part.gauss_newton_product(v, structural_damping, out))
        self._network.add_penalty_product(v, product)
        if callers_xp is xp:
            return product
        answer: Array = to_namespace(callers_xp, product)
        if out is None:
            return answer
        out[...] = answer
        return out

    def as_linear_operator(
        self, *, damping: float = 0.0, structural_damping: float = 0.0
    ) -> GaussNewtonOperator:
        """Return G + λ I + μ S as a `scipy.sparse.linalg.LinearOperator`.

        Parameters
        ----------
        damping : float, default=0.0
            λ.
        structural_damping : float, default=0.0
            μ, as in `gauss_newton_product`.

        Returns
        -------
        GaussNewtonOperator
            Of shape (n_params, n_params), in the dtype of the parameters.

        Examples
        --------
        The largest eigenvalue of the curvature of an untrained net:

        >>> import numpy as np
        >>> from scipy.sparse.linalg import eigsh
        >>> from hessianfree import Batch, ElmanCell, SequenceNetwork
        >>> network = SequenceNetwork(ElmanCell(1, 1), n_outputs=1)
        >>> batch = Batch(np.ones((3, 2, 1)), np.ones((3, 2, 1)))
        >>> linearization = network.linearize(np.zeros(network.n_params), batch)
        >>> operator = linearization.as_linear_operator()
        >>> eigsh(operator, k=1, return_eigenvectors=False).round(9)  # of the output bias
        array([1.])
        """
        return GaussNewtonOperator(
            self,
            self._network.n_params,
            self._params.dtype,
            damping=damping,
            structural_damping=structural_damping,
        )

    def _sum(self, total: Array, contribution: Callable[[LinearizedSlice, Array], Array]) -> None:
        """Write the sum of the contributions of all slices to `total`, in their order."""

        def share(number: int) -> Array:
            part = self._run(self._batches[number]) if self._kept is None else self._kept[number]
            return contribution(part, total if number == 0 else part.params_bar())

        numbers = range(len(self._batches))
        for number, vector in enumerate(in_order(share, numbers, self._is_spread)):
            if number:
                total += vector

    def _run(self, prepared: PreparedBatch) -> LinearizedSlice:
        """Run the forward pass of a slice."""
        return LinearizedSlice(self._network, self._params, prepared)

    @property
    def nbytes(self) -> int:
        """Memory of the stored pass and of the buffers made so far, in bytes."""
        return sum(part.nbytes for part in self._kept or ())


def forward(
    network: NetworkDefinition,
    blocks: dict[str, Array],
    batch: PreparedBatch,
    *,
    states_only: bool = False,
) -> tuple[Any, Array | None, Any]:
    """Return the trajectory, the output rows and the loss of a slice, the penalty left out.

    Outputs that take more than one block of rows are not kept: None. The loss is an array without
    axes: on a GPU it need not be waited for where it is not read.
    """
    with np.errstate(**OVERFLOW_IS_A_RESULT):
        initial_state = batch.initial_state
        if initial_state is None:
            initial_state = network.initial_state(blocks, batch.initial_inputs)
        trajectory = run_cell(
            network.cell,
            blocks,
            batch.inputs,
            initial_state,
            states_only=states_only,
            lengths=batch.lengths,
        )
        rows = seen_rows(trajectory.states, batch)
        parts = blocks_of_rows(len(rows), network.n_outputs)
        value: Any = 0.0
        for part in parts:
            outputs = rows[part] @ blocks["output"].T
            outputs += blocks["output_bias"]
            values = network.loss.values(outputs, batch.targets[part])
            coefficients = batch.coefficients[part, 0].astype(np.float64)
            value += module_of(values).vdot(coefficients, values.astype(np.float64, copy=False))
    return trajectory, outputs if len(parts) == 1 else None, value


def seen_rows(states: Array, batch: PreparedBatch) -> Array:
    """Return what the output layer sees of states: a row per scored step and sequence."""
    states = states[batch.first_scored :]
    return flatten_rows(states if batch.state_scale is None else states * batch.state_scale)


class LinearizedSlice:
    """The stored forward pass of some sequences, and the sweeps over it."""

    def __init__(self, network: NetworkDefinition, params: Array, batch: PreparedBatch) -> None:
        self.network = network
        self.batch = batch
        self.params = network.layout.views(params)
        self.work = Workspace(params)
        self.trajectory, outputs, self.value = forward(network, self.params, batch)
        self._blocks = blocks_of_rows(len(batch.targets), network.n_outputs)
        # Of all rows, or None where they are computed block by block.
        self._predictions: Array | None = None
        if outputs is not None:
            with np.errstate(**OVERFLOW_IS_A_RESULT):
                self._predictions = network.loss.predict(outputs, out=outputs)

    @functools.cached_property
    def rows(self) -> Array:
        """States that the output layer sees, one row per step and sequence."""
        return seen_rows(self.trajectory.states, self.batch)

    @property
    def nbytes(self) -> int:
        """Memory of the pass and of the buffers made so far, in bytes."""
        kept = 0 if self._predictions is None else self._predictions.nbytes
        return int(self.trajectory.nbytes + kept + self.work.nbytes)

    def params_bar(self) -> Array:
        """Return a vector to write this slice's contributions to."""
        return self.work.get("params_bar", (self.network.n_params,))

    def last_gradient(self, out: Array) -> Array:
        """Write the gradient, and leave no forward pass behind."""
        self.network.cell.release(self.trajectory)
        return self.gradient(out)

    def gradient(self, out: Array) -> Array:
        """Write the gradient of this slice's share of the loss, the penalty left out."""
        blocks = self.network.layout.views(out)
        with np.errstate(**OVERFLOW_IS_A_RESULT):
            for part in self._blocks:
                self._pull_outputs(part, self._outputs_bar(part), blocks)
            self._pull_back(blocks)
        return out

    def gauss_newton_product(self, v: Array, structural_damping: float, out: Array) -> Array:
        """Write this slice's share of the curvature product, the penalty left out."""
        with np.errstate(**OVERFLOW_IS_A_RESULT):
            return self._product(v, structural_damping, out)

    def _product(self, v: Array, structural_damping: float, out: Array) -> Array:
        network, batch, work = self.network, self.batch, self.work
        direction, blocks = network.layout.views(v), network.layout.views(out)
        d_states = network.cell.jvp(
            self.params, self.trajectory, direction, d_initial_state=self._d_initial(direction)
        )
        d_rows = seen_rows(d_states, batch)
        rows = self.rows
        for part in self._blocks:
            d_outputs = self._output_buffer("d_outputs", part)
            outputs_bar = self._output_buffer("outputs_bar", part)
            work.xp.matmul(d_rows[part], self.params["output"].T, out=d_outputs)
            work.xp.matmul(rows[part], direction["output"].T, out=outputs_bar)
            d_outputs += outputs_bar
            d_outputs += direction["output_bias"]
            outputs_bar = network.loss.hessian_product(
                self._predicted(part), d_outputs, out=outputs_bar, targets=batch.targets[part]
            )
            outputs_bar *= batch.coefficients[part]
            self._pull_outputs(part, outputs_bar, blocks)
        self._pull_back(blocks, d_states, structural_damping)
        return out

    def squared_gradients(self, out: Array) -> Array:
        """Write n_scored · Σ_i (gradient of the share of sequence i)²."""
        network, batch = self.network, self.batch
        blocks = network.layout.views(out)
        outputs_bar = self.work.xp.concatenate(
            [self._outputs_bar(part).copy() for part in self._blocks]
        )
        states_bar = self._states_bar()
        self.work.xp.matmul(outputs_bar, self.params["output"], out=flatten_rows(states_bar))
        if batch.state_scale is not None:
            states_bar *= batch.state_scale
        initial_bar = self._initial_bar()
        squares, _ = network.cell.squared_vjp(
            self.params, self.trajectory, states_bar, initial_state_bar=initial_bar
        )
        for name, block in squares.items():
            blocks[name][...] = block
        if initial_bar is not None and batch.initial_inputs is not None:
            self._pull_back_initial(initial_bar**2, batch.initial_inputs**2, blocks)
        elif "initial_input" in blocks:
            blocks["initial_input"][...] = 0
        by_sequence = outputs_bar.reshape(-1, batch.n_sequences, network.n_outputs)
        states = self.rows.reshape(-1, batch.n_sequences, network.cell.n_units)
        blocks["output"][...] = 0
        for i in range(batch.n_sequences):
            blocks["output"] += (by_sequence[:, i].T @ states[:, i]) ** 2
        blocks["output_bias"][...] = (by_sequence.sum(axis=0) ** 2).sum(axis=0)
        out *= batch.n_scored
        return out

    def _output_buffer(self, name: str, part: slice) -> Array:
        """Return a buffer for the outputs of a block of rows."""
        largest = self._blocks[0].stop
        buffer = self.work.get(name, (largest, self.network.n_outputs))
        return buffer[: part.stop - part.start]

    def _predicted(self, part: slice) -> Array:
        """Return the predictions of a block of rows, kept or computed again."""
        if self._predictions is not None:
            return self._predictions
        outputs = self._output_buffer("predictions", part)
        self.work.xp.matmul(self.rows[part], self.params["output"].T, out=outputs)
        outputs += self.params["output_bias"]
        return self.network.loss.predict(outputs, out=outputs)

    def _outputs_bar(self, part: slice) -> Array:
        """Return the cotangents of the output pre-activations of a block of rows."""
        outputs_bar = self._output_buffer("outputs_bar", part)
        outputs_bar = self.network.loss.gradient(
            self._predicted(part), self.batch.targets[part], out=outputs_bar
        )
        outputs_bar *= self.batch.coefficients[part]
        return outputs_bar

    def _states_bar(self) -> Array:
        """Return the buffer for the cotangents of the states that the output layer sees."""
        shape = self.trajectory.states[self.batch.first_scored :].shape
        return self.work.get("states_bar", shape)

    def _pull_outputs(self, part: slice, outputs_bar: Array, blocks: dict[str, Array]) -> None:
        """Write the cotangents of a block's states, and add those of the output layer."""
        xp, rows = self.work.xp, self.rows[part]
        states_bar = flatten_rows(self._states_bar())
        xp.matmul(outputs_bar, self.params["output"], out=states_bar[part])
        if part.start == 0:
            xp.matmul(outputs_bar.T, rows, out=blocks["output"])
            outputs_bar.sum(axis=0, out=blocks["output_bias"])
        else:
            blocks["output"] += outputs_bar.T @ rows
            blocks["output_bias"] += outputs_bar.sum(axis=0)

    def _d_initial(self, direction: dict[str, Array]) -> Array | None:
        """Return the tangents of initial states that come from a vector of each sequence."""
        vectors = self.batch.initial_inputs
        if vectors is None:
            return None
        d_initial = self.work.get("d_initial", (len(vectors), self.network.cell.state_size))
        self.work.xp.matmul(vectors, direction["initial_input"].T, out=d_initial)
        for name, part in self.network.cell.learned_states.items():
            d_initial[:, part] += direction[name]
        return d_initial

    def _initial_bar(self) -> Array | None:
        """Return a buffer for the cotangents of such initial states."""
        vectors = self.batch.initial_inputs
        if vectors is None:
            return None
        return self.work.get("initial_bar", (len(vectors), self.network.cell.state_size))

    def _pull_back_initial(
        self, initial_bar: Array, vectors: Array, blocks: dict[str, Array]
    ) -> None:
        """Write the cotangents of the parameters that initial states are made of."""
        self.work.xp.matmul(initial_bar.T, vectors, out=blocks["initial_input"])
        for name, part in self.network.cell.learned_states.items():
            initial_bar[:, part].sum(axis=0, out=blocks[name])

    def _pull_back(
        self,
        blocks: dict[str, Array],
        d_states: Array | None = None,
        structural_damping: float = 0.0,
    ) -> None:
        """Write the cotangents of the cell's parameters to `blocks`, given those of its states.

        Structural damping adds to the cotangents of the states, or of the pre-activations:
        D″ R{z} = ¼ (1 - h²) R{z} = ¼ R{h}.
        """
        batch, cell = self.batch, self.network.cell
        states_bar = self._states_bar()
        if batch.state_scale is not None:
            states_bar *= batch.state_scale
        xp = self.work.xp
        preactivations_bar: Array | None = None
        damping: Any = None
        if structural_damping and d_states is not None:
            quarter = self.network.structural_distance == "quarter"
            form = 0.25 if quarter else 1.0
            damping = d_states.dtype.type(form * structural_damping / batch.n_scored)
            if batch.live is not None:
                damping = xp.multiply(
                    batch.live, damping, out=self.work.get("damping", batch.live.shape)
                )
            if quarter:
                preactivations_bar, damping = xp.multiply(d_states, damping, out=d_states), None
        initial_bar = self._initial_bar()
        cell.vjp(
            self.params,
            self.trajectory,
            states_bar,
            params_bar=blocks,
            preactivations_bar=preactivations_bar,
            damping=damping,
            initial_state_bar=initial_bar,
        )
        if initial_bar is not None and batch.initial_inputs is not None:
            self._pull_back_initial(initial_bar, batch.initial_inputs, blocks)
        elif "initial_input" in blocks:
            blocks["initial_input"][...] = 0
