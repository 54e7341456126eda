"""Bidirectional layers: one cell reads forward, another one backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessianfree.cells._workspace import Workspace
from hessianfree.cells.base import Cell, ParameterBlocks
from reservoir.utils.device import module_of, to_host, to_namespace
from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_flag

DIRECTIONS = ("forward", "backward")


@dataclass(frozen=True, eq=False)
class BidirectionalTrajectory:
    """The trajectories of both directions of a `BidirectionalCell`, and their states together."""

    forward: Any
    backward: Any
    # Where a step stands as the other direction counts: (n_steps, n_sequences).
    turned: NDArray[np.intp]
    states: Array  # (n_steps, n_sequences, n_units), those of the backward cell turned if aligned
    workspace: Workspace

    @property
    def final_state(self) -> Array:
        """The states that both cells end in, of shape (n_sequences, state_size)."""
        states = [self.forward.final_state, self.backward.final_state]
        joined: Array = module_of(states[0]).concatenate(states, axis=1)
        return joined

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        own = self.states.nbytes + self.turned.nbytes + self.workspace.nbytes
        return int(own + self.forward.nbytes + self.backward.nbytes)


@explained
class BidirectionalCell:
    r"""Two recurrent layers side by side, one of which reads each sequence from its end [1]_.

    .. math::

        \overrightarrow h_t &= \mathrm{forward}(x_1, \dots, x_t) \\
        \overleftarrow h_t &= \mathrm{backward}(x_T, \dots, x_t) \\
        h_t &= [\overrightarrow h_t, \overleftarrow h_t]

    What comes after it, an output layer or a layer above, sees the past and the future of each
    step. Each sequence is turned within its own length T.

    Read more in the guide: :doc:`/guide/cells`.

    Parameters
    ----------
    forward, backward : Cell
        Of as many inputs.
    aligned : bool, default=True
        Whether the states of both directions stand at the step that they belong to. Otherwise those
        of the backward cell stand in the order in which it made them: at the last step both cells
        have read the whole sequence, as an output for a sequence needs it.

    Attributes
    ----------
    n_inputs : int
    n_units : int
        Width of both states together.

    Raises
    ------
    ValueError
        If the cells have different numbers of inputs.

    Notes
    -----
    Blocks of parameters have the names that the cells know them by, with `forward.` or `backward.`
    before them. The state is that of both cells side by side; it is no state to go on from, since
    the backward cell begins at the end.

    Examples
    --------
    The backward states are those of a cell that reads the sequence turned around:

    >>> import numpy as np
    >>> from hessianfree.cells import BidirectionalCell, ElmanCell
    >>> cell = BidirectionalCell(ElmanCell(2, 3), ElmanCell(2, 3))
    >>> rng = np.random.default_rng(0)
    >>> params = {name: rng.normal(size=shape) for name, shape in cell.parameter_shapes.items()}
    >>> inputs = rng.normal(size=(6, 4, 2))
    >>> states = cell.forward(params, inputs).states
    >>> alone = {name: params["backward." + name] for name in cell.backward_cell.parameter_shapes}
    >>> turned = cell.backward_cell.forward(alone, inputs[::-1]).states[::-1]
    >>> np.testing.assert_array_equal(states[..., 3:], turned)

    References
    ----------
    .. [1] Schuster & Paliwal (1997), Bidirectional recurrent neural networks, IEEE Transactions on
       Signal Processing 45.
    """

    # It asks `forward` for the length of each sequence.
    reads_ahead = True

    def __init__(self, forward: Cell, backward: Cell, *, aligned: bool = True) -> None:
        if forward.n_inputs != backward.n_inputs:
            raise ValueError(
                f"`backward` has {backward.n_inputs} inputs, but `forward` has {forward.n_inputs}. "
                "Make them equal."
            )
        self.forward_cell, self.backward_cell = forward, backward
        self.aligned = check_flag("aligned", aligned)
        self.n_inputs = forward.n_inputs
        self.n_units = forward.n_units + backward.n_units
        self.state_size = forward.state_size + backward.state_size

    @property
    def cells(self) -> tuple[Cell, Cell]:
        """The cells of both directions."""
        return self.forward_cell, self.backward_cell

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each block of parameters."""
        return {
            f"{direction}.{name}": shape
            for direction, cell in zip(DIRECTIONS, self.cells)
            for name, shape in cell.parameter_shapes.items()
        }

    @property
    def learned_states(self) -> dict[str, slice]:
        """Blocks of learned initial states, and where they lie in the state."""
        starts = (0, self.forward_cell.state_size)
        return {
            f"{direction}.{name}": slice(start + part.start, start + part.stop)
            for direction, cell, start in zip(DIRECTIONS, self.cells, starts)
            for name, part in cell.learned_states.items()
        }

    @property
    def initial_biases(self) -> dict[str, float]:
        """Biases that do not start at zero, by name of the block."""
        return {
            f"{direction}.{name}": bias
            for direction, cell in zip(DIRECTIONS, self.cells)
            for name, bias in cell.initial_biases.items()
        }

    def forward(
        self,
        params: ParameterBlocks,
        inputs: NDArray[Any],
        initial_state: Array | None = None,
        *,
        states_only: bool = False,
        lengths: NDArray[np.intp] | None = None,
    ) -> BidirectionalTrajectory:
        """Run both recurrences; see `Cell.forward`.

        Parameters
        ----------
        params, inputs, initial_state, states_only
            As there; the initial state of the backward cell is that before the last step.
        lengths : ndarray of int of shape (n_sequences,), optional
            Steps of each sequence; by default all.

        Returns
        -------
        BidirectionalTrajectory
        """
        own, other = self._split(params)
        start, other_start = self._split_state(initial_state)
        work = Workspace(next(iter(own.values())))
        turned = turned_steps(len(inputs), inputs.shape[1], lengths)
        placed: NDArray[np.intp] = to_namespace(work.xp, turned)
        forward = self.forward_cell.forward(own, inputs, start, states_only=states_only)
        backward = self.backward_cell.forward(
            other, turn(inputs, placed), other_start, states_only=states_only
        )
        states = work.xp.concatenate(
            [forward.states, self._at_its_step(backward.states, placed)], axis=2
        )
        return BidirectionalTrajectory(forward, backward, placed, states, work)

    def jvp(
        self,
        params: ParameterBlocks,
        trajectory: BidirectionalTrajectory,
        d_params: ParameterBlocks,
        d_inputs: Array | None = None,
        d_initial_state: Array | None = None,
    ) -> Array:
        """Return the tangents of the states; see `Cell.jvp`."""
        n, turned = self.forward_cell.n_units, trajectory.turned
        (own, other), (d_own, d_other) = self._split(params), self._split(d_params)
        d_start, d_other_start = self._split_state(d_initial_state)
        d_turned = None if d_inputs is None else turn(d_inputs, turned)
        d_states = trajectory.workspace.get("d_states", trajectory.states.shape)
        d_states[..., :n] = self.forward_cell.jvp(own, trajectory.forward, d_own, d_inputs, d_start)
        d_backward = self.backward_cell.jvp(
            other, trajectory.backward, d_other, d_turned, d_other_start
        )
        d_states[..., n:] = self._at_its_step(d_backward, turned)
        return d_states

    def vjp(
        self,
        params: ParameterBlocks,
        trajectory: BidirectionalTrajectory,
        states_bar: Array,
        *,
        params_bar: dict[str, Array] | None = None,
        preactivations_bar: Array | None = None,
        damping: Array | None = None,
        with_inputs_bar: bool = False,
        initial_state_bar: Array | None = None,
    ) -> tuple[dict[str, Array], Array | None]:
        """Return the cotangents of the parameters and inputs; see `Cell.vjp`."""
        if params_bar is None:
            xp = module_of(states_bar)
            params_bar = {
                name: xp.empty(shape, dtype=states_bar.dtype)
                for name, shape in self.parameter_shapes.items()
            }
        bars = []
        for cell, own, run, bar, own_bar, start_bar in zip(
            self.cells,
            self._split(params),
            (trajectory.forward, trajectory.backward),
            self._states_bars(trajectory, states_bar),
            self._split(params_bar),
            self._split_state(initial_state_bar),
        ):
            _, inputs_bar = cell.vjp(
                own,
                run,
                bar,
                params_bar=own_bar,
                damping=damping,
                with_inputs_bar=with_inputs_bar,
                initial_state_bar=start_bar,
            )
            bars.append(inputs_bar)
        return params_bar, self._inputs_bar(trajectory, bars)

    def release(self, trajectory: BidirectionalTrajectory) -> None:
        """Let cotangents overwrite slopes in the next and last sweep; see `Cell.release`."""
        self.forward_cell.release(trajectory.forward)
        self.backward_cell.release(trajectory.backward)

    def squared_vjp(
        self,
        params: ParameterBlocks,
        trajectory: BidirectionalTrajectory,
        states_bar: Array,
        *,
        with_inputs_bar: bool = False,
        initial_state_bar: Array | None = None,
    ) -> tuple[dict[str, Array], Array | None]:
        """Return Σ_i (params_bar of sequence i)²; see `Cell.squared_vjp`."""
        total: dict[str, Array] = {}
        bars = []
        for direction, cell, own, run, bar, start_bar in zip(
            DIRECTIONS,
            self.cells,
            self._split(params),
            (trajectory.forward, trajectory.backward),
            self._states_bars(trajectory, states_bar),
            self._split_state(initial_state_bar),
        ):
            squares, inputs_bar = cell.squared_vjp(
                own, run, bar, with_inputs_bar=with_inputs_bar, initial_state_bar=start_bar
            )
            total.update({f"{direction}.{name}": block for name, block in squares.items()})
            bars.append(inputs_bar)
        return total, self._inputs_bar(trajectory, bars)

    def _states_bars(
        self, trajectory: BidirectionalTrajectory, states_bar: Array
    ) -> tuple[Array, Array]:
        """Return the cotangents of the states of each cell, in the order of its own steps."""
        n, work = self.forward_cell.n_units, trajectory.workspace
        forward_bar, backward_bar = states_bar[..., :n], states_bar[..., n:]
        if not self.aligned:
            return forward_bar, backward_bar
        # What is last for one direction is first for the other.
        n_steps = len(trajectory.turned)
        whole = work.get("backward_bar", (n_steps, *backward_bar.shape[1:]))
        whole[: n_steps - len(backward_bar)] = 0
        whole[n_steps - len(backward_bar) :] = backward_bar
        return forward_bar, turn(whole, trajectory.turned)

    @staticmethod
    def _inputs_bar(trajectory: BidirectionalTrajectory, bars: list[Array | None]) -> Array | None:
        """Return the cotangents of the inputs, which both cells have read."""
        forward_bar, backward_bar = bars
        if forward_bar is None or backward_bar is None:
            return None
        total: Array = forward_bar + turn(backward_bar, trajectory.turned)
        return total

    def _at_its_step(self, rows: Array, turned: NDArray[np.intp]) -> Array:
        """Return rows of the backward cell where the layer shows them."""
        return turn(rows, turned) if self.aligned else rows

    def _split(self, blocks: ParameterBlocks) -> list[dict[str, Array]]:
        """Return the blocks of each cell, by the names that the cell knows."""
        return [
            {name: blocks[f"{direction}.{name}"] for name in cell.parameter_shapes}
            for direction, cell in zip(DIRECTIONS, self.cells)
        ]

    def _split_state(self, states: Array | None) -> tuple[Array | None, Array | None]:
        """Return the part of each cell of states, tangents or cotangents side by side."""
        if states is None:
            return None, None
        size = self.forward_cell.state_size
        return states[:, :size], states[:, size:]


def reads_ahead(cell: Any) -> bool:
    """Return whether the states of a cell depend on later steps, and on where a sequence ends."""
    return bool(getattr(cell, "reads_ahead", False))


def run_cell(
    cell: Cell,
    params: ParameterBlocks,
    inputs: NDArray[Any],
    initial_state: Array | None,
    *,
    states_only: bool,
    lengths: NDArray[np.intp] | None,
) -> Any:
    """Run a cell, which is told the lengths of sequences only where it reads ahead."""
    told: dict[str, Any] = {"lengths": lengths} if reads_ahead(cell) else {}
    return cell.forward(params, inputs, initial_state, states_only=states_only, **told)


def turned_steps(
    n_steps: int, n_sequences: int, lengths: NDArray[np.intp] | None
) -> NDArray[np.intp]:
    """Return which step of each sequence comes at each step when it is read from its end.

    Padding stays where it is, so that turning twice changes nothing.

    Examples
    --------
    >>> turned_steps(4, 2, np.array([4, 2]))
    array([[3, 1],
           [2, 0],
           [1, 2],
           [0, 3]])
    """
    ends = np.full(n_sequences, n_steps) if lengths is None else to_host(lengths)
    steps = np.arange(n_steps)[:, None]
    turned: NDArray[np.intp] = np.where(steps < ends, ends - 1 - steps, steps)
    return turned


def turn(rows: NDArray[Any], turned: NDArray[np.intp]) -> Any:
    """Return rows (n_steps, n_sequences, ...) with the steps of each sequence from its end."""
    return rows[turned, module_of(turned).arange(turned.shape[1])]
