"""A recurrent net as an objective: cell, output layer and loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch, check_lengths
from hessianfree.cells._inputs import check_inputs
from hessianfree.cells.bidirectional import reads_ahead, run_cell
from hessianfree.network._fed_back import WritingNetwork
from hessianfree.network._linearization import LinearizedSlice, NetworkLinearization, forward
from hessianfree.network._prepared import PreparedBatch, check_vectors, is_spread, prepare_for
from hessianfree.network._side_by_side import in_order
from reservoir.utils.device import (
    module_of,
    namespace_of,
    to_host,
    to_namespace,
)
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Array


class SequenceNetwork(WritingNetwork):
    r"""Recurrent net with a linear output layer and a loss: an `Objective` on a `Batch`.

    .. math::

        h_1, \dots, h_T &= \mathrm{cell}(x_1, \dots, x_T) \\
        o_t &= W_{oh} h_t + b_o \\
        f(\theta) &= \frac{\sum_{it} w_{it}\, \ell(o_{it}, y_{it})}{\sum_{it} w_{it}}
                    + \frac{l_2}{2} \sum \lVert W \rVert^2

    With `n_initial_inputs` the states start from a vector v_i of each sequence, as a net does that
    turns one vector into a sequence: s_i0 = W_s v_i + s_0, with the learned initial state s_0 of
    the cell, or 0.

    Read more in the guide: :doc:`/guide/hessian_free`.

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
        D = ½ ‖h - h′‖², which serves every cell: of the states of all layers, and of an LSTM of h
        alone. "quarter" has D″ = ¼ (1 - h²) in the
        pre-activation z, as in the code released by the authors of [1]_; for cells with tanh.
    max_rows : int, optional
        Batches of more steps times sequences than this are worked through in slices of whole
        sequences. The results are the same and memory is that of one slice, but a curvature
        product then runs the forward pass of each slice again: 1.5 times the matrix products.
        Padding does not count, see the notes.
    n_initial_inputs : int, optional
        Length of v_i, which comes as `Batch.initial_inputs`; by default there is none.
    device : {"cpu", "cuda", "auto"}, default="cpu"
        Where to compute: "cuda" is an NVIDIA GPU, by CuPy; "auto" takes one where there is one. A
        `Batch` holds NumPy arrays; it is moved when it is first used, and what was moved is kept as
        long as the batch lives, whatever becomes of its arrays. Answers are where the arguments
        are: parameters in CuPy, a gradient in CuPy. Optimizers move their state themselves.

    Attributes
    ----------
    device : {"cpu", "cuda"}
        Where it computes: what "auto" stands for.
    layout : ParameterLayout
        Blocks of the cell, named as it names them, `initial_input` W_s (state_size,
        n_initial_inputs) where there are such inputs, then `output` W_oh (n_outputs, n_units) and
        `output_bias` b_o (n_outputs,).
    n_params : int

    Raises
    ------
    ValueError
        If an argument is out of range or unknown.
    ImportError, RuntimeError
        If `device` is "cuda" and CuPy or a device is missing.

    Notes
    -----
    The dtype of the parameters, float32 or float64, decides that of every computation.

    Sequences of uneven lengths are run in buckets of similar length, chosen so that padding and the
    steps of narrow buckets cost the least together: the results are those of the padded batch, to
    rounding. Outputs of more than 4 million numbers, as of thousands of classes, are computed in
    blocks of rows, again for each sweep, and never all in memory at once.

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

    @with_few_threads
    def predict(
        self,
        params: Array,
        inputs: NDArray[Any],
        initial_state: Array | None = None,
        *,
        initial_inputs: NDArray[Any] | None = None,
        lengths: NDArray[np.intp] | None = None,
    ) -> Array:
        """Return the predictions link(o_t) at every step.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
        inputs : ndarray of shape (n_steps, n_sequences, n_inputs) or (n_steps, n_sequences)
        initial_state : ndarray of shape (n_sequences, state_size), optional
            In place of the learned initial state, and of one made of `initial_inputs`.
        initial_inputs : ndarray of shape (n_sequences, n_initial_inputs), optional
            What the initial states are made of; asked for where the network has such inputs and no
            `initial_state` is given.
        lengths : ndarray of int of shape (n_sequences,), optional
            Steps of each sequence, which a net that reads ahead begins from; by default all.

        Returns
        -------
        ndarray of shape (n_steps, n_sequences, n_outputs)
        """
        return self.run(
            params, inputs, initial_state, initial_inputs=initial_inputs, lengths=lengths
        )[0]

    @with_few_threads
    def run(
        self,
        params: Array,
        inputs: NDArray[Any],
        initial_state: Array | None = None,
        *,
        initial_inputs: NDArray[Any] | None = None,
        lengths: NDArray[np.intp] | None = None,
    ) -> tuple[Array, Array]:
        """Return the predictions and the state to go on from; parameters as those of `predict`.

        Returns
        -------
        predictions : ndarray of shape (n_steps, n_sequences, n_outputs)
        final_state : ndarray of shape (n_sequences, state_size)
            Given as `initial_state`, with the inputs that follow, it continues the run.

        Examples
        --------
        Step by step, as in generating text, where each output is the next input:

        >>> import numpy as np
        >>> from hessianfree.cells import LSTMCell
        >>> network = SequenceNetwork(LSTMCell(2, 3), n_outputs=1)
        >>> params = np.linspace(-1, 1, network.n_params)
        >>> inputs = np.ones((5, 1, 2))
        >>> state = None
        >>> for t in range(5):
        ...     predictions, state = network.run(params, inputs[t : t + 1], state)
        >>> bool(np.allclose(predictions[-1], network.predict(params, inputs)[-1]))
        True
        """
        callers_xp, params, trajectory = self._trajectory(
            params, inputs, initial_state, initial_inputs, lengths
        )
        states, views = trajectory.states, self.layout.views(params)
        outputs = states.reshape(-1, self.cell.n_units) @ views["output"].T
        outputs += views["output_bias"]
        predictions = self.loss.predict(outputs, out=outputs).reshape(*states.shape[:2], -1)
        # A copy, not a view that keeps all states alive.
        return to_namespace(callers_xp, predictions), to_namespace(
            callers_xp, trajectory.final_state.copy()
        )

    @with_few_threads
    def states(
        self,
        params: Array,
        inputs: NDArray[Any],
        initial_state: Array | None = None,
        *,
        initial_inputs: NDArray[Any] | None = None,
        lengths: NDArray[np.intp] | None = None,
    ) -> Array:
        """Return the hidden states h_t at every step; parameters as those of `predict`.

        Returns
        -------
        ndarray of shape (n_steps, n_sequences, n_units)
        """
        callers_xp, _, trajectory = self._trajectory(
            params, inputs, initial_state, initial_inputs, lengths
        )
        states: Array = to_namespace(callers_xp, trajectory.states)
        return states

    def _trajectory(
        self,
        params: Array,
        inputs: NDArray[Any],
        initial_state: Array | None,
        initial_inputs: NDArray[Any] | None,
        lengths: NDArray[np.intp] | None,
    ) -> tuple[Any, Array, Any]:
        """Return the namespace that arguments came in, placed parameters, and the states' run."""
        callers_xp = namespace_of(
            params=params, inputs=inputs, initial_state=initial_state, initial_inputs=initial_inputs
        )
        params = self.place(params)
        trajectory = self._run_cell(params, inputs, initial_state, initial_inputs, lengths)
        return callers_xp, params, trajectory

    def _run_cell(
        self,
        params: Array,
        inputs: NDArray[Any],
        initial_state: Array | None,
        initial_inputs: NDArray[Any] | None,
        lengths: NDArray[np.intp] | None,
    ) -> Any:
        """Run the cell beside the parameters, for its states alone."""
        xp = module_of(params)
        if xp is not np:
            check_inputs(to_host(inputs), self.cell.n_inputs)
            inputs = to_namespace(xp, inputs)
            if initial_state is not None:
                initial_state = to_namespace(xp, initial_state)
            if initial_inputs is not None:
                initial_inputs = to_namespace(xp, initial_inputs)
        if inputs.ndim == 2 and inputs.dtype.kind not in "iu":
            raise TypeError(
                f"`inputs` has dtype {inputs.dtype} and shape {inputs.shape}, but integer symbols, "
                "or real numbers of shape (n_steps, n_sequences, n_inputs), were expected. Add an "
                "axis."
            )
        dtype = np.intp if inputs.ndim == 2 else params.dtype
        views = self.layout.views(params)
        if initial_state is None:
            check_vectors(self, initial_inputs, inputs.shape[1])
            if initial_inputs is not None:
                initial_state = self.initial_state(views, initial_inputs.astype(params.dtype))
        if lengths is not None:
            check_lengths(lengths, *inputs.shape[:2])
        inputs = inputs.astype(dtype, copy=False)
        return run_cell(self.cell, views, inputs, initial_state, states_only=True, lengths=lengths)

    @with_few_threads
    def final_state(self, params: Array, batch: Batch) -> Array:
        """Return the state after the last step of a batch, for another batch to go on from.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
        batch : Batch
            All its steps are run, scored or not.

        Returns
        -------
        ndarray of shape (n_sequences, state_size)
            A NumPy array, as those of a batch are.
        """
        if reads_ahead(self.cell):
            raise ValueError(
                "`batch` can't be gone on from: the net is bidirectional, and its backward layers "
                "begin at the end of each sequence. Pass whole sequences, or take a net that reads "
                "forward alone."
            )
        trajectory = self._run_cell(
            self.place(params), batch.inputs, batch.initial_state, batch.initial_inputs, None
        )
        final: Array = to_host(trajectory.final_state.copy())
        return final

    @with_few_threads
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
        params = self.place(params)
        slices = prepare_for(self, params, batch)
        views = self.layout.views(params)
        value = self.penalty(params)
        for share in in_order(
            lambda part: forward(self, views, part, states_only=True)[2],
            slices,
            is_spread(self, params, batch),
        ):
            value += share
        return float(value)

    @with_few_threads
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
        callers_xp, params = module_of(params), self.place(params)
        value, gradient = self.penalty(params), module_of(params).zeros_like(params)
        slices = prepare_for(self, params, batch)

        def share(prepared: PreparedBatch) -> tuple[Any, Array]:
            part = LinearizedSlice(self, params, prepared)
            return part.value, part.last_gradient(part.params_bar())

        for loss, vector in in_order(share, slices, is_spread(self, params, batch)):
            value += loss
            gradient += vector
        self.add_penalty_product(params, gradient)
        return float(value), to_namespace(callers_xp, gradient)

    @with_few_threads
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
        return NetworkLinearization(self, params, batch)

    @with_few_threads
    def fisher_diagonal(self, params: Array, batch: Batch) -> Array:
        r"""Return the diagonal of the empirical Fisher matrix, and of the penalty.

        .. math:: F = \tfrac1n \sum_i \Big(\sum_t w_{it} \nabla \ell_{it}\Big)^2 + l_2

        with weights w scaled to mean 1 over the n scored steps.

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
        callers_xp, params = module_of(params), self.place(params)
        xp = module_of(params)
        diagonal = xp.zeros_like(params)
        # The outputs of a sequence are needed at once.
        for part in self._slices(params, batch, max(1, 2**22 // self.n_outputs)):
            diagonal += part.squared_gradients(part.params_bar())
        self.add_penalty_product(xp.ones_like(params), diagonal)
        answer: Array = to_namespace(callers_xp, diagonal)
        return answer

    def _slices(
        self, params: Array, batch: Batch, max_rows: int | None = None
    ) -> Iterator[LinearizedSlice]:
        """Linearize the batch slice by slice, each when it is asked for."""
        for prepared in prepare_for(self, params, batch, max_rows):
            yield LinearizedSlice(self, params, prepared)
