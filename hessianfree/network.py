"""A recurrent net as an objective: cell, output layer and loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch, PreparedBatch, prepare
from hessianfree.cells._inputs import flatten_rows
from hessianfree.cells._workspace import Workspace
from hessianfree.cells.base import Cell
from hessianfree.losses import LogisticCrossEntropy, Loss, SoftmaxCrossEntropy, SquaredError
from hessianfree.objective import Array
from hessianfree.parameters import ParameterLayout
from reservoir._validation import check_choice, check_integer, check_real

LOSSES: dict[str, type[Loss]] = {
    "squared_error": SquaredError,
    "logistic": LogisticCrossEntropy,
    "softmax": SoftmaxCrossEntropy,
}


# A loss or product that is not finite is a result and no warning: the optimizer rejects the step.
OVERFLOW_IS_A_RESULT: Any = {"over": "ignore", "invalid": "ignore"}


class SequenceNetwork:
    """Recurrent net with a linear output layer and a loss: an `Objective` on a `Batch`.

    h_1, ..., h_T = cell(x_1, ..., x_T)
    o_t = W_oh h_t + b_o
    f(θ) = Σ_it w_it ℓ(o_it, y_it) / Σ_it w_it + (l2 / 2) Σ ‖W‖²

    Parameters
    ----------
    cell : Cell
    n_outputs : int
    loss : {"squared_error", "logistic", "softmax"} or Loss, default="squared_error"
    l2 : float, default=0.0
        Weight of half the squared weights. Biases and initial states, which are the blocks with
        one axis, are not penalised.
    structural_distance : {"squared", "quarter"}, default="squared"
        What structural damping charges for a change of a hidden state. "squared" is
        D = ½ ‖h - h′‖², which serves every cell. "quarter" has D″ = ¼ (1 - h²) in the
        pre-activation z, as in the code released by the authors of [1]_; for cells with tanh.
    max_rows : int, optional
        Batches of more steps times sequences than this are worked through in slices of whole
        sequences. The results are the same and memory is that of one slice, but a curvature
        product then runs the forward pass of each slice again: 1.5 times the matrix products.

    Attributes
    ----------
    layout : ParameterLayout
        Blocks of the cell, named as it names them, then `output` W_oh (n_outputs, n_units) and
        `output_bias` b_o (n_outputs,).
    n_params : int

    Raises
    ------
    ValueError
        If an argument is out of range or unknown.

    Notes
    -----
    The dtype of the parameters, float32 or float64, decides that of every computation.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree.cells import ElmanCell
    >>> network = SequenceNetwork(ElmanCell(2, 3), n_outputs=1)
    >>> batch = Batch(inputs=np.ones((4, 5, 2)), targets=np.ones((4, 5, 1)))
    >>> print(f"{network.value(np.zeros(network.n_params), batch):.6f}")
    0.500000

    References
    ----------
    .. [1] Martens & Sutskever (2011), Learning recurrent neural networks with Hessian-free
       optimization, ICML, section 3.
    """

    def __init__(
        self,
        cell: Cell,
        n_outputs: int,
        loss: str | Loss = "squared_error",
        *,
        l2: float = 0.0,
        structural_distance: str = "squared",
        max_rows: int | None = None,
    ) -> None:
        if isinstance(loss, str):
            loss = LOSSES[check_choice("loss", loss, LOSSES)]()
        check_choice("structural_distance", structural_distance, ("squared", "quarter"))
        if structural_distance == "quarter" and getattr(cell, "activation", None) != "tanh":
            raise ValueError(
                "`structural_distance` is 'quarter', but that form belongs to cells whose states "
                "are a tanh. Use 'squared'."
            )
        self.cell = cell
        self.n_outputs = check_integer("n_outputs", n_outputs, minimum=1)
        self.loss = loss
        self.l2 = check_real("l2", l2, minimum=0)
        self.structural_distance = structural_distance
        self.max_rows = None if max_rows is None else check_integer("max_rows", max_rows, minimum=1)
        self.layout = ParameterLayout(
            {
                **cell.parameter_shapes,
                "output": (self.n_outputs, cell.n_units),
                "output_bias": (self.n_outputs,),
            }
        )
        self.n_params = self.layout.n_params

    def predict(
        self, params: Array, inputs: NDArray[Any], initial_state: Array | None = None
    ) -> Array:
        """Return the predictions link(o_t) at every step.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
        inputs : ndarray of shape (n_steps, n_sequences, n_inputs) or (n_steps, n_sequences)
        initial_state : ndarray of shape (n_sequences, n_units), optional
            In place of the learned initial state.

        Returns
        -------
        ndarray of shape (n_steps, n_sequences, n_outputs)
        """
        states = self.states(params, inputs, initial_state)
        views = self.layout.views(params)
        outputs = states.reshape(-1, self.cell.n_units) @ views["output"].T
        outputs += views["output_bias"]
        return self.loss.predict(outputs, out=outputs).reshape(*states.shape[:2], -1)

    def states(
        self, params: Array, inputs: NDArray[Any], initial_state: Array | None = None
    ) -> Array:
        """Return the hidden states h_t at every step; parameters as those of `predict`.

        Returns
        -------
        ndarray of shape (n_steps, n_sequences, n_units)
        """
        self.layout.check(params)
        dtype = np.intp if inputs.ndim == 2 else params.dtype
        states: Array = self.cell.forward(
            self.layout.views(params),
            inputs.astype(dtype, copy=False),
            initial_state,
            states_only=True,
        ).states
        return states

    def value(self, params: Array, batch: Batch) -> float:
        """Return f(θ), which may be infinite or NaN.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
        batch : Batch

        Returns
        -------
        float
        """
        value = self._penalty(params)
        for prepared in self._prepare(params, batch):
            value += _forward(self, self.layout.views(params), prepared, states_only=True)[2]
        return value

    def value_and_gradient(self, params: Array, batch: Batch) -> tuple[float, Array]:
        """Return f(θ) and its gradient.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
        batch : Batch

        Returns
        -------
        value : float
        gradient : ndarray of shape (n_params,)
        """
        value, gradient = self._penalty(params), np.zeros_like(params)
        for part in self._slices(params, batch):
            value += part.value
            gradient += part.gradient(part.params_bar())
        self._add_penalty_product(params, gradient)
        return value, gradient

    def linearize(self, params: Array, batch: Batch) -> NetworkLinearization:
        """Run the forward pass once, keep it, and return the linearization at θ.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
            Copied.
        batch : Batch

        Returns
        -------
        NetworkLinearization
        """
        return NetworkLinearization(self, self.layout.check(params).copy(), batch)

    def fisher_diagonal(self, params: Array, batch: Batch) -> Array:
        """Return the diagonal of the empirical Fisher matrix, and of the penalty.

        F = (1/n) Σ_i (Σ_t w_it ∇ℓ_it)² + l2,   weights w scaled to mean 1 over the n scored steps

        The gradients of a sequence i are summed over its steps before they are squared: steps of
        one sequence share its hidden states and are no independent cases.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
        batch : Batch

        Returns
        -------
        ndarray of shape (n_params,)

        References
        ----------
        Martens (2010), Deep learning via Hessian-free optimization, ICML, section 4.7.
        """
        diagonal = np.zeros_like(params)
        for part in self._slices(params, batch):
            diagonal += part.squared_gradients(part.params_bar())
        self._add_penalty_product(np.ones_like(params), diagonal)
        return diagonal

    def _slices(self, params: Array, batch: Batch) -> Iterator[_LinearizedSlice]:
        """Linearize the batch slice by slice, each when it is asked for."""
        for prepared in self._prepare(params, batch):
            yield _LinearizedSlice(self, params, prepared)

    def _prepare(self, params: Array, batch: Batch) -> list[PreparedBatch]:
        """Return the slices of the batch, after a check that they fit this network."""
        self.layout.check(params)
        slices = prepare(batch, params.dtype, self.max_rows)
        classes = batch.targets.ndim == 2
        if classes and not self.loss.takes_classes:
            raise ValueError(
                f"`targets` has shape {batch.targets.shape}: integer classes, which belong to the "
                "softmax loss, but real numbers were expected. Pass an array of shape (n_steps, "
                "n_sequences, n_outputs)."
            )
        if not classes and batch.targets.shape[2] != self.n_outputs:
            raise ValueError(
                f"`targets` has {batch.targets.shape[2]} features, but the network has "
                f"{self.n_outputs} outputs. Pass one column per output."
            )
        if classes:
            low = min(part.targets.min() for part in slices)
            high = max(part.targets.max() for part in slices)
            if low < 0 or high >= self.n_outputs:
                raise ValueError(
                    f"`targets` has classes up to {high} and down to {low}, but 0 to "
                    f"{self.n_outputs - 1} were expected. Number the classes from 0."
                )
        return slices

    def _penalised(self) -> list[slice]:
        """Return the ranges of the flat vector that the penalty acts on."""
        return [
            part for name, part in self.layout.slices.items() if len(self.layout.shapes[name]) > 1
        ]

    def _penalty(self, params: Array) -> float:
        """Return (l2 / 2) Σ ‖W‖²."""
        if not self.l2:
            return 0.0
        return 0.5 * self.l2 * sum(float(np.vdot(params[p], params[p])) for p in self._penalised())

    def _add_penalty_product(self, v: Array, out: Array) -> None:
        """Add l2 · v on the weights to `out`."""
        if self.l2:
            for part in self._penalised():
                out[part] += self.l2 * v[part]


class NetworkLinearization:
    """A `SequenceNetwork` around one point, on one batch, with the forward pass kept.

    Attributes
    ----------
    value : float
        f(θ).
    nbytes : int
        Memory of the stored pass and of the buffers made so far, in bytes.

    Notes
    -----
    After the first product, and with the copies of the parameters left out, memory is

        itemsize · B (T m + k (N + 3 n_outputs)),

    with T steps, the last k of them scored, B sequences, and m numbers per step and sequence: 3 N
    for `ElmanCell`, 4 N for `TensorCell`, 3 N + 5 F for `MultiplicativeCell` with F factors (7 F
    with the shifted gain), and n_inputs + 1 to n_inputs + 4 more with real-valued inputs to the
    first and the last. Later products allocate nothing, `TensorCell` excepted, which gathers rows
    by symbol. A batch of more than `max_rows` steps times sequences takes that of one slice.
    """

    def __init__(self, network: SequenceNetwork, params: Array, batch: Batch) -> None:
        self._network = network
        self._params = params
        self._batches = network._prepare(params, batch)
        # One slice is kept; several are run again for every product.
        self._kept = (
            _LinearizedSlice(network, params, self._batches[0]) if len(self._batches) == 1 else None
        )
        self.value = network._penalty(params) + sum(part.value for part in self._parts())

    def gradient(self) -> Array:
        """Return ∇f(θ), of shape (n_params,)."""
        gradient = np.empty_like(self._params)
        self._sum(gradient, lambda part, out: part.gradient(out))
        self._network._add_penalty_product(self._params, gradient)
        return gradient

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
        self._network.layout.check(v, "v")
        product = np.empty_like(v) if out is None else out
        with np.errstate(**OVERFLOW_IS_A_RESULT):
            self._sum(
                product, lambda part, out: part.gauss_newton_product(v, structural_damping, out)
            )
        self._network._add_penalty_product(v, product)
        return product

    def _sum(self, total: Array, contribution: Callable[[_LinearizedSlice, Array], Array]) -> None:
        """Write the sum of the contributions of all slices to `total`."""
        for i, part in enumerate(self._parts()):
            if i == 0:
                contribution(part, total)
            else:
                total += contribution(part, part.params_bar())

    @property
    def nbytes(self) -> int:
        """Memory of the stored pass and of the buffers made so far, in bytes."""
        return 0 if self._kept is None else self._kept.nbytes

    def _parts(self) -> Iterator[_LinearizedSlice]:
        """Return the stored slice, or run the slices again, each when it is asked for."""
        if self._kept is not None:
            yield self._kept
            return
        for prepared in self._batches:
            yield _LinearizedSlice(self._network, self._params, prepared)


def _forward(
    network: SequenceNetwork,
    blocks: dict[str, Array],
    batch: PreparedBatch,
    *,
    states_only: bool = False,
) -> tuple[Any, Array, float]:
    """Return the trajectory, the output rows and the loss of a slice, the penalty left out."""
    with np.errstate(**OVERFLOW_IS_A_RESULT):
        trajectory = network.cell.forward(blocks, batch.inputs, states_only=states_only)
        outputs = flatten_rows(trajectory.states[batch.first_scored :]) @ blocks["output"].T
        outputs += blocks["output_bias"]
        values = network.loss.values(outputs, batch.targets)
        value = float(np.vdot(batch.coefficients[:, 0].astype(float), values))
    return trajectory, outputs, value


class _LinearizedSlice:
    """The stored forward pass of some sequences, and the sweeps over it."""

    def __init__(self, network: SequenceNetwork, params: Array, batch: PreparedBatch) -> None:
        self.network = network
        self.batch = batch
        self.params = network.layout.views(params)
        self.work = Workspace(params.dtype)
        self.trajectory, outputs, self.value = _forward(network, self.params, batch)
        with np.errstate(**OVERFLOW_IS_A_RESULT):
            self.predictions = network.loss.predict(outputs, out=outputs)

    @property
    def rows(self) -> Array:
        """States that the output layer sees, one row per step and sequence."""
        return flatten_rows(self.trajectory.states[self.batch.first_scored :])

    @property
    def nbytes(self) -> int:
        """Memory of the pass and of the buffers made so far, in bytes."""
        return int(self.trajectory.nbytes + self.predictions.nbytes + self.work.nbytes)

    def params_bar(self) -> Array:
        """Return a vector to write this slice's contributions to."""
        return self.work.get("params_bar", (self.network.n_params,))

    def gradient(self, out: Array) -> Array:
        """Write the gradient of this slice's share of the loss, the penalty left out."""
        with np.errstate(**OVERFLOW_IS_A_RESULT):
            self._pull_back(self._outputs_bar(), self.network.layout.views(out))
        return out

    def gauss_newton_product(self, v: Array, structural_damping: float, out: Array) -> Array:
        """Write this slice's share of the curvature product, the penalty left out."""
        network, batch, work = self.network, self.batch, self.work
        direction, blocks = network.layout.views(v), network.layout.views(out)
        d_states = network.cell.jvp(self.params, self.trajectory, direction)
        d_rows = flatten_rows(d_states[batch.first_scored :])
        d_outputs = work.get("d_outputs", self.predictions.shape)
        outputs_bar = work.get("outputs_bar", self.predictions.shape)
        np.matmul(d_rows, self.params["output"].T, out=d_outputs)
        np.matmul(self.rows, direction["output"].T, out=outputs_bar)
        d_outputs += outputs_bar
        d_outputs += direction["output_bias"]
        network.loss.hessian_product(self.predictions, d_outputs, out=outputs_bar)
        outputs_bar *= batch.coefficients
        damping_bar = None
        if structural_damping:
            form = 1.0 if network.structural_distance == "squared" else 0.25
            damping_bar = d_states
            damping_bar *= d_states.dtype.type(form * structural_damping / batch.n_scored)
            if batch.live is not None:
                damping_bar *= batch.live
        self._pull_back(outputs_bar, blocks, damping_bar)
        return out

    def squared_gradients(self, out: Array) -> Array:
        """Write n_scored · Σ_i (gradient of the share of sequence i)²."""
        network, batch = self.network, self.batch
        blocks = network.layout.views(out)
        outputs_bar = self._outputs_bar()
        states_bar = self._states_bar(outputs_bar)
        for name, block in network.cell.squared_vjp(
            self.params, self.trajectory, states_bar
        ).items():
            blocks[name][...] = block
        by_sequence = outputs_bar.reshape(-1, batch.n_sequences, network.n_outputs)
        states = self.rows.reshape(-1, batch.n_sequences, network.cell.n_units)
        blocks["output"][...] = 0
        for i in range(batch.n_sequences):
            blocks["output"] += (by_sequence[:, i].T @ states[:, i]) ** 2
        blocks["output_bias"][...] = (by_sequence.sum(axis=0) ** 2).sum(axis=0)
        out *= batch.n_scored
        return out

    def _outputs_bar(self) -> Array:
        """Return the cotangents of the output pre-activations."""
        outputs_bar = self.work.get("outputs_bar", self.predictions.shape)
        self.network.loss.gradient(self.predictions, self.batch.targets, out=outputs_bar)
        outputs_bar *= self.batch.coefficients
        return outputs_bar

    def _states_bar(self, outputs_bar: Array) -> Array:
        """Return the cotangents of the states that the output layer sees."""
        shape = self.trajectory.states[self.batch.first_scored :].shape
        states_bar = self.work.get("states_bar", shape)
        np.matmul(outputs_bar, self.params["output"], out=flatten_rows(states_bar))
        return states_bar

    def _pull_back(
        self, outputs_bar: Array, blocks: dict[str, Array], damping_bar: Array | None = None
    ) -> None:
        """Write the cotangents of the parameters to `blocks`.

        `damping_bar` is what structural damping adds to the cotangents of the states, or of the
        pre-activations: D″ R{z} = ¼ (1 - h²) R{z} = ¼ R{h}.
        """
        states_bar = self._states_bar(outputs_bar)
        preactivations_bar = None
        if damping_bar is not None:
            if self.network.structural_distance == "quarter":
                preactivations_bar = damping_bar
            else:
                damping_bar[self.batch.first_scored :] += states_bar
                states_bar = damping_bar
        np.matmul(outputs_bar.T, self.rows, out=blocks["output"])
        np.sum(outputs_bar, axis=0, out=blocks["output_bias"])
        self.network.cell.vjp(
            self.params,
            self.trajectory,
            states_bar,
            params_bar=blocks,
            preactivations_bar=preactivations_bar,
        )
