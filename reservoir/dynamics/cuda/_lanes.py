"""Reservoirs on a GPU, stepped in lanes: sequences or variants side by side, one lane each.

The buffers of lanes stay from chunk to chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from reservoir.dynamics._reservoir import ACTIVATIONS, Reservoir
from reservoir.dynamics.loops._maps import Closing, LaneScales, connection_rows, drive_weights

Integers = NDArray[np.int64]


# Threads of a block that runs a lane alone, at most, and of one that takes part in a step; see
# __launch_bounds__ in recurrence.cu.
_LANE_THREADS, _STEP_THREADS = 1024, 256


# Threads that sum one output together: TEAM in recurrence.cu.
_TEAM = 32


# Most lanes of a launch: the second dimension of a grid ends there.
MOST_LANES = 65535


_POINTER = np.uint64


_WEIGHTS = np.dtype(
    [(name, _POINTER) for name in ("sources", "values", "leak_rate")]
    + [(name, np.int32) for name in ("n_units", "n_slots", "activation", "unused")]
)


_LANES = np.dtype(
    [
        (name, _POINTER)
        for name in ("states", "before", "first_rows", "n_steps", "recurrent", "leak", "which")
    ]
)


_CLOSING = np.dtype(
    [(name, _POINTER) for name in ("outputs", "before", "feedback", "state", "squares", "output")]
    + [("n_outputs", np.int64), ("apart", np.int64)]
)


class DeviceReservoirs:
    """The weights of reservoirs on the GPU, and the kernels for their dtype.

    Parameters
    ----------
    reservoirs : sequence of Reservoir
        On the host, alike in all but their weights and leak rates; a dense W is taken as a sparse
        one.
    xp : module
        cupy.

    Attributes
    ----------
    drive_weights : ndarray of shape (n_reservoirs, n_columns, n_units)
        On the device; see `reservoir.dynamics.loops._maps.drive_weights`.

    Raises
    ------
    ValueError
        If the activation is a function of Python's.
    """

    def __init__(self, reservoirs: Sequence[Reservoir], xp: Any) -> None:
        first = reservoirs[0]
        if callable(first.activation):
            raise ValueError(
                f"`activation` is {first.activation!r}, but on a GPU one of {ACTIVATIONS} was "
                "expected. Take one, or set `device` to 'cpu'."
            )
        if not all(reservoir.is_leaky for reservoir in reservoirs):
            raise ValueError(
                "`carry` is not 'leak', but on a GPU only leaky units were expected. Take these, "
                "or set `device` to 'cpu'."
            )
        self.xp, self.dtype, self.n_units = xp, first.dtype, first.n_units
        rows = [connection_rows(csr_array(reservoir.recurrent)) for reservoir in reservoirs]
        n_slots = max(len(values) for _, values in rows)
        shape = (len(reservoirs), n_slots, self.n_units)
        sources, values = np.zeros(shape, np.int32), np.zeros(shape, self.dtype)
        leak_rate = np.empty((len(reservoirs), self.n_units), self.dtype)
        for k, (own_sources, own_values) in enumerate(rows):
            sources[k, : len(own_sources)], values[k, : len(own_values)] = own_sources, own_values
            leak_rate[k] = reservoirs[k].leak_rate
        self._arrays = [xp.asarray(array) for array in (sources, values, leak_rate)]
        self.drive_weights = xp.asarray(np.stack([drive_weights(one) for one in reservoirs]))
        activation = ACTIVATIONS.index(first.activation)
        pointers = [array.data.ptr for array in self._arrays]
        self.weights = np.array([(*pointers, self.n_units, n_slots, activation, 0)], dtype=_WEIGHTS)
        number = "double" if self.dtype == np.float64 else "float"
        self._module = xp.RawModule(
            code=resources.files("reservoir.dynamics.cuda")
            .joinpath("recurrence.cu")
            .read_text("utf-8"),
            options=(f"-DNUMBER={number}",),
        )
        limit = xp.cuda.Device().attributes["MaxSharedMemoryPerBlockOptin"]
        self._most_shared = int(limit)

    def kernel(self, name: str) -> Any:
        """Return a kernel of recurrence.cu."""
        return self._module.get_function(name)

    @property
    def n_lane_threads(self) -> int:
        """Threads that run a lane alone: a unit each, if there are enough, and whole warps."""
        return min(_LANE_THREADS, -(-self.n_units // _TEAM) * _TEAM)

    def shared_bytes(self, n_outputs: int) -> int | None:
        """Return the shared memory of a block that runs a lane alone, None where it is too much."""
        n_numbers = 2 * self.n_units
        if n_outputs:
            n_numbers += 2 * n_outputs + self.n_lane_threads
        n_bytes = n_numbers * self.dtype.itemsize
        return n_bytes if n_bytes <= self._most_shared else None


_ON_DEVICE: WeakKeyDictionary[Reservoir, DeviceReservoirs] = WeakKeyDictionary()


def on_device(reservoir: Reservoir, xp: Any) -> DeviceReservoirs:
    """Return a reservoir on the GPU; it is moved there once, and leaves with the original."""
    found = _ON_DEVICE.get(reservoir)
    if found is None or found.xp is not xp:
        found = _ON_DEVICE[reservoir] = DeviceReservoirs([reservoir], xp)
    return found


@dataclass
class LaneRun:
    """Lanes of reservoirs: what drives them is put into `states`, and becomes the states.

    x[t] = (1 - c a) x[t-1] + c a f(z[t] + r W x[t-1] + W_fb y[t-1]);  y[t] as in `Closing`

    Where the state of a lane fits the shared memory of a block, a block runs it through all steps
    of a chunk. Larger reservoirs take one launch a step; those of a chunk are captured as a graph,
    which later chunks of the same length repeat at a fraction of the cost.

    Parameters
    ----------
    reservoirs : DeviceReservoirs
        What is stepped.
    n_rows : int
        Rows of all lanes in a chunk, at most.
    before : ndarray of shape (n_lanes, n_units)
        The states before; overwritten by the last ones.
    scales : LaneScales, optional
        The scales in which lanes of one reservoir differ, on the device.
    closing : Closing, optional
        The maps between state and output, on the device; without, the loop is open. With a first
        axis of lanes, each lane has maps of its own.
    outputs_before : ndarray of shape (n_lanes, n_outputs), optional
        With `closing`: the outputs before; overwritten by the last ones.
    which : ndarray of int64 of shape (n_lanes,), optional
        The reservoir of each lane, on the device; the first one if left out.

    Attributes
    ----------
    states : ndarray of shape (n_rows, n_units)
        Rows of lane i from `first_rows[i]` on.
    outputs : ndarray of shape (n_rows, n_outputs)
        Come as what of the outputs does not depend on the run, and go as the outputs.
    """

    reservoirs: DeviceReservoirs
    n_rows: int
    before: Any
    scales: LaneScales | None = None
    closing: Closing | None = None
    outputs_before: Any = None
    which: Any = None
    states: Any = field(init=False)
    outputs: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        xp, dtype, n_lanes = self.reservoirs.xp, self.reservoirs.dtype, len(self.before)
        self.states = xp.empty((self.n_rows, self.reservoirs.n_units), dtype=dtype)
        ones = xp.ones(n_lanes, dtype=dtype)
        scales = self.scales or LaneScales(ones, ones)
        self._first_rows, self._n_steps = (xp.zeros(n_lanes, dtype=np.int64) for _ in range(2))
        arrays: list[Any] = [self.states, self.before, self._first_rows, self._n_steps]
        which = xp.zeros(n_lanes, dtype=np.int64) if self.which is None else self.which
        self._kept = (scales.recurrent, scales.leak, which)
        self._arguments: list[Any] = [
            self.reservoirs.weights,
            _struct(_LANES, [*arrays, *self._kept]),
        ]
        self._n_outputs = 0
        closing = self.closing
        if closing is not None:
            self._n_outputs = self.outputs_before.shape[1]
            self.outputs = xp.empty((self.n_rows, self._n_outputs), dtype=dtype)
            maps = (closing.feedback, closing.state, closing.squares, closing.output)
            arrays = [self.outputs, self.outputs_before, *maps]
            apart = int(closing.state.ndim == 3)
            self._arguments.append(_struct(_CLOSING, arrays, self._n_outputs, apart))
        self._shared = self.reservoirs.shared_bytes(self._n_outputs)
        self._graph: Any = None
        self._last_length = 0

    def advance(self, first_rows: Integers, n_steps: Integers) -> None:
        """Step each lane.

        Parameters
        ----------
        first_rows, n_steps : ndarray of int of shape (n_lanes,)
            Where its rows begin in `states`, and how many there are; 0 for a lane that is left
            as it is.
        """
        xp = self.reservoirs.xp
        self._first_rows[...] = xp.asarray(first_rows)
        self._n_steps[...] = xp.asarray(n_steps)
        if self._shared is not None:
            self._run_lanes(self._shared)
            return
        self._step_all(int(n_steps.max()))
        awake = np.flatnonzero(n_steps)
        last = xp.asarray(first_rows[awake] + n_steps[awake] - 1)
        awake = xp.asarray(awake)
        self.before[awake] = self.states[last]
        if self._n_outputs:
            self.outputs_before[awake] = self.outputs[last]

    def _run_lanes(self, shared: int) -> None:
        """Run all steps of every lane in a block of its own."""
        kernel = self.reservoirs.kernel("close_lanes" if self._n_outputs else "drive_lanes")
        kernel.max_dynamic_shared_size_bytes = shared
        block = (self.reservoirs.n_lane_threads,)
        kernel((len(self.before),), block, tuple(self._arguments), shared_mem=shared)

    def _step_all(self, length: int) -> None:
        """Launch all steps of a chunk; the second of a length is captured, and then repeated."""
        xp = self.reservoirs.xp
        if length != self._last_length:
            # The first launch of a kernel loads it, which a capture does not allow.
            self._graph, self._last_length = None, length
            self._launch_steps(length)
            return
        if self._graph is None:
            stream = xp.cuda.Stream()
            with stream:
                stream.begin_capture()
                self._launch_steps(length)
                self._graph = stream.end_capture()
        self._graph.launch()

    def _launch_steps(self, length: int) -> None:
        n_lanes, itemsize = len(self.before), self.reservoirs.dtype.itemsize
        units, outputs = (self.reservoirs.kernel(name) for name in ("step_units", "step_outputs"))
        arguments = [*self._arguments, *([_struct(_CLOSING, [])] * (not self._n_outputs))]
        grid = (-(-self.reservoirs.n_units // _STEP_THREADS), n_lanes)
        for t in range(length):
            at = (*arguments, np.int32(t))
            units(grid, (_STEP_THREADS,), at)
            if self._n_outputs:
                shared = _STEP_THREADS * itemsize
                outputs((self._n_outputs, n_lanes), (_STEP_THREADS,), at, shared_mem=shared)


def _struct(dtype: np.dtype[Any], arrays: Sequence[Any], *sizes: int) -> NDArray[Any]:
    """Return a struct of recurrence.cu: pointers, null for arrays without elements, then sizes."""
    values = np.zeros(1, dtype=dtype)
    names = dtype.names or ()
    for name, array in zip(names, arrays):
        values[name] = array.data.ptr if array.size else 0
    for name, size in zip(names[len(arrays) :], sizes):
        values[name] = size
    return values
