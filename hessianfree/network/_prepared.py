"""Batches prepared for a network: checked, sliced, and moved to its device."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch, check_initial_inputs
from hessianfree.cells._compiled import has_compiled_sweeps
from hessianfree.cells._inputs import check_inputs
from hessianfree.cells.bidirectional import reads_ahead
from hessianfree.network._buckets import Indices, bucket_sequences, share_out
from hessianfree.network._definition import NetworkDefinition
from hessianfree.network._losses import takes_classes
from hessianfree.network._side_by_side import n_slices
from reservoir.utils.device import MEMORY_REMEDY, module_of, move_state, naming_remedy
from reservoir.utils.types import Array

# Outputs of a slice that are computed at once, rows times outputs; see `blocks_of_rows`.
_WHOLE_OUTPUTS = 2**22


_OUTPUTS_OF_BLOCK = 2**20


# What was moved lives as long as the batch that it was made of.
_PLACED: WeakKeyDictionary[Batch, dict[Hashable, list[PreparedBatch]]] = WeakKeyDictionary()


def place_batch(
    xp: Any, batch: Batch, key: Hashable, make: Callable[[], list[PreparedBatch]]
) -> list[PreparedBatch]:
    """Return what a batch is computed with, in a namespace.

    On the host it is made anew, which costs little. What was moved to a GPU is kept there as long
    as the batch lives, so that the losses, products and gradients of an iteration move it once.

    Parameters
    ----------
    xp : module
    batch : Batch
    key : hashable
        All that decides, beside the batch, what `make` returns.
    make : callable
        Returns the slices on the host.
    """
    if xp is np:
        return make()
    placed = _PLACED.setdefault(batch, {})
    if key not in placed:
        with naming_remedy(MEMORY_REMEDY):
            placed[key] = [move_state(xp, part) for part in make()]
    return placed[key]


def prepare_for(
    network: NetworkDefinition, params: Array, batch: Batch, max_rows: int | None = None
) -> list[PreparedBatch]:
    """Return the slices of a batch beside the parameters; they fit the network.

    `max_rows` is in place of that of the network where it is smaller.
    """
    cut = _cuts(network, params, batch)
    limits = [max(1, limit // cut) for limit in (max_rows, network.max_rows) if limit is not None]
    limit = min(limits, default=None)
    sizes = network.cell.n_inputs, network.n_outputs, network.n_initial_inputs
    step_cost = step_rows(network)
    key = (
        params.dtype,
        limit,
        cut,
        step_cost,
        sizes,
        takes_classes(network.loss),
        reads_ahead(network.cell),
    )
    return place_batch(
        module_of(params),
        batch,
        key,
        lambda: _checked_slices(network, params.dtype, batch, (limit, cut), step_cost),
    )


def is_spread(network: NetworkDefinition, params: Array, batch: Batch) -> bool:
    """Return whether the slices of a batch are there for threads to share."""
    return _cuts(network, params, batch) > 1


def _cuts(network: NetworkDefinition, params: Array, batch: Batch) -> int:
    return n_slices(network, params.dtype, int(extent_of(batch).lengths.sum()))


def step_rows(network: NetworkDefinition) -> float:
    """Return what a step costs whatever its width, in rows.

    Measured on one core in float32: with 100 units a step takes 7 µs and 1.15 µs for each row in a
    product of the vanilla cell, 5 and 0.32 in a loss; 16 and 4 in a product of an LSTM. The work
    for a row goes with the square of the units. Compiled sweeps take 1 µs for a step: most of what
    a narrow bucket costs is then its own beginning, and uneven batches took least with 2 or 3 rows
    a step at 100 and 300 units, 8 at 30. A GPU starts a dozen kernels a step, in the time that it
    takes for thousands of rows.
    """
    if network.device != "cpu":
        return 4096.0
    if has_compiled_sweeps(network.cell, np.dtype(np.float32)):
        return 2 + 10_000 / network.cell.n_units**2
    return 4 + 40_000 / network.cell.n_units**2


def blocks_of_rows(n_rows: int, n_outputs: int) -> list[slice]:
    """Return the output rows of a slice in blocks, whose outputs are of bounded size.

    Up to 4 million outputs are one block, which is kept. With thousands of classes the outputs are
    many times as large as the states: they are then computed block by block, again for each sweep.

    Examples
    --------
    >>> blocks_of_rows(1000, 3)
    [slice(0, 1000, None)]
    >>> len(blocks_of_rows(25_000, 3000))
    72
    """
    if n_rows * n_outputs <= _WHOLE_OUTPUTS:
        return [slice(0, n_rows)]
    per_block = max(1, _OUTPUTS_OF_BLOCK // n_outputs)
    return [slice(start, min(start + per_block, n_rows)) for start in range(0, n_rows, per_block)]


def check_vectors(network: NetworkDefinition, initial_inputs: Any, n_sequences: int) -> None:
    """Raise unless initial inputs are there, of the right shape, where the network has them."""
    if initial_inputs is not None:
        check_initial_inputs(initial_inputs, n_sequences)
    found = None if initial_inputs is None else initial_inputs.shape[1]
    if found != network.n_initial_inputs:
        raise ValueError(
            f"`initial_inputs` has {found or 'no'} columns, but the network has "
            f"{network.n_initial_inputs or 'no'} initial inputs. Set `n_initial_inputs` of the "
            "network to the number of columns."
        )


def _checked_slices(
    network: NetworkDefinition,
    dtype: np.dtype[Any],
    batch: Batch,
    limits: tuple[int | None, int],
    step_rows: float,
) -> list[PreparedBatch]:
    """Return the slices of a batch on the host, after a check that they fit the network.

    `limits` are `max_rows` and `n_slices` of `prepare`.
    """
    if batch.initial_state is None or batch.initial_inputs is not None:
        check_vectors(network, batch.initial_inputs, batch.n_sequences)
    max_rows, cut = limits
    slices = prepare(
        batch, dtype, max_rows, step_rows, whole=reads_ahead(network.cell), n_slices=cut
    )
    classes = batch.targets.ndim == 2
    if classes and not takes_classes(network.loss):
        raise ValueError(
            f"`targets` has shape {batch.targets.shape}: integer classes, which belong to the "
            "softmax loss, but real numbers were expected. Pass an array of shape (n_steps, "
            "n_sequences, n_outputs)."
        )
    if not classes and batch.targets.shape[2] != network.n_outputs:
        raise ValueError(
            f"`targets` has {batch.targets.shape[2]} features, but the network has "
            f"{network.n_outputs} outputs. Pass one column per output."
        )
    if classes:
        low = min(part.targets.min() for part in slices)
        high = max(part.targets.max() for part in slices)
        if low < 0 or high >= network.n_outputs:
            raise ValueError(
                f"`targets` has classes up to {high} and down to {low}, but 0 to "
                f"{network.n_outputs - 1} were expected. Number the classes from 0."
            )
    check_targets = getattr(network.loss, "check_targets", None)
    if check_targets is not None and not classes:
        for part in slices:
            check_targets(part.targets[part.coefficients[:, 0] > 0])
    if network.device != "cpu":
        for part in slices:
            check_inputs(part.inputs, network.cell.n_inputs)
    return slices


@dataclass(frozen=True, eq=False)
class PreparedBatch:
    """A batch, or some sequences of it, in the form the computations use.

    Steps after the last scored one are cut off where they make no difference, padding is
    overwritten by zeros, and weights are turned into the coefficients of a sum.

    Attributes
    ----------
    inputs : ndarray of shape (n_steps, n_sequences, n_inputs) or (n_steps, n_sequences)
        In the dtype of the parameters, or intp.
    targets : ndarray of shape (n_rows, n_outputs) or (n_rows,)
        Of the output rows: the steps from `first_scored` on, n_rows = (n_steps - first_scored) ·
        n_sequences.
    coefficients : ndarray of shape (n_rows, 1)
        w_it / Σ w over the whole batch.
    first_scored : int
        The first step at which any sequence is scored.
    live : ndarray of shape (n_steps, n_sequences, 1) or None
        1 up to the end of each sequence, 0 after it; None where there is no padding.
    n_scored : int
        Number of scored steps of the whole batch.
    initial_inputs : ndarray of shape (n_sequences, n_initial_inputs) or None
        In the dtype of the parameters; None where there is an initial state.
    initial_state : ndarray of shape (n_sequences, state_size) or None
        In the dtype of the parameters.
    lengths : ndarray of int of shape (n_sequences,) or None
        Steps of each sequence, where the net reads ahead; the steps are then those of whole
        sequences.
    state_scale : ndarray of shape (n_sequences, n_units) or None
        In the dtype of the parameters.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    coefficients: Array
    first_scored: int
    live: Array | None
    n_scored: int
    initial_inputs: Array | None
    initial_state: Array | None
    lengths: Indices | None = None
    state_scale: Array | None = None

    @property
    def n_steps(self) -> int:
        """Steps that are run."""
        return int(self.inputs.shape[0])

    @property
    def n_sequences(self) -> int:
        """Number of sequences."""
        return int(self.inputs.shape[1])


@dataclass(frozen=True)
class _Extent:
    """How far the sequences of a batch go, and what their weights add up to."""

    lengths: Indices  # steps up to the last scored one
    whole: Indices  # all steps, of those that have a scored one
    total: float
    n_scored: int
    # By `step_rows`, `max_rows`, whether sequences are run whole, and `n_slices`.
    buckets: dict[tuple[float, int | None, bool, int], list[Indices]] = field(default_factory=dict)


# Of each batch that lives: it is asked for at every loss.
_EXTENTS: WeakKeyDictionary[Batch, _Extent] = WeakKeyDictionary()


def extent_of(batch: Batch) -> _Extent:
    """Return the extent of a batch, which is worked out once."""
    if batch not in _EXTENTS:
        if batch.mask is None:
            lengths = np.full(batch.n_sequences, batch.n_steps, dtype=np.intp)
            total = float(batch.n_scored)
        else:
            scored = batch.mask[::-1] > 0
            ends = batch.n_steps - np.argmax(scored, axis=0)
            lengths = np.where(scored.any(axis=0), ends, 0)
            total = float(np.sum(batch.mask, dtype=np.float64))
        whole = lengths
        if batch.lengths is not None:
            whole = np.where(lengths > 0, np.maximum(lengths, batch.lengths), 0)
        _EXTENTS[batch] = _Extent(lengths, whole, total, batch.n_scored)
    return _EXTENTS[batch]


def largest_rows(batch: Batch, n_sequences: int) -> int:
    """Return the steps of the longest so many sequences of a batch, all together."""
    lengths = np.sort(extent_of(batch).lengths)
    return int(lengths[len(lengths) - n_sequences :].sum())


def prepare(
    batch: Batch,
    dtype: np.dtype[Any],
    max_rows: int | None,
    step_rows: float,
    *,
    whole: bool = False,
    n_slices: int = 1,
) -> list[PreparedBatch]:
    """Return `batch` ready for computation, cut into slices of whole sequences.

    Parameters
    ----------
    batch : Batch
    dtype : numpy.dtype
        Of the parameters.
    max_rows : int or None
        A slice has at most so many steps times sequences, but at least one sequence.
    step_rows : float
        As in `bucket_sequences`, by which uneven sequences are cut.
    whole : bool, default=False
        Whether to keep the steps after the last scored one of each sequence.
    n_slices : int, default=1
        Slices are cut on, so that none has more than its share of steps where there are so many;
        see `share_out`.

    Returns
    -------
    list of PreparedBatch
        The sums over the slices are the means over the batch.
    """
    extent = extent_of(batch)
    prepare_part = functools.partial(_prepare_slice, batch, extent, dtype, whole)
    key = step_rows, max_rows, whole, n_slices
    if key not in extent.buckets:
        lengths = extent.whole if whole else extent.lengths
        buckets = bucket_sequences(lengths, step_rows, max_rows)
        extent.buckets[key] = share_out(buckets, lengths, n_slices)
    parts = extent.buckets[key]
    n_sequences = batch.n_sequences
    if all(len(part) == 1 or part[-1] - part[0] == len(part) - 1 for part in parts) and (
        sum(len(part) for part in parts) == n_sequences
    ):
        # Runs of neighbours are views, where other indices copy.
        return [prepare_part(slice(int(part[0]), int(part[-1]) + 1)) for part in parts]
    return [prepare_part(part) for part in parts]


def _prepare_slice(
    batch: Batch, extent: _Extent, dtype: np.dtype[Any], whole: bool, part: slice | Indices
) -> PreparedBatch:
    """Return the sequences `part` of the batch in the form the computations use."""
    lengths = (extent.whole if whole else extent.lengths)[part]
    stop = int(lengths.max())
    inputs, targets = batch.inputs[:stop, part], batch.targets[:stop, part]
    if batch.mask is None:
        weights = np.full(inputs.shape[:2], 1.0 / extent.n_scored)
    else:
        weights = batch.mask[:stop, part] / extent.total
    scored = weights > 0
    first = int(np.argmax(scored.any(axis=1)))
    targets, weights = targets[first:], weights[first:]
    inputs = np.ascontiguousarray(inputs, dtype=np.intp if inputs.ndim == 2 else dtype)
    targets = np.ascontiguousarray(targets, dtype=np.intp if targets.ndim == 2 else dtype)
    live = np.arange(stop)[:, None] < lengths
    if not live.all():
        inputs = np.where(live if inputs.ndim == 2 else live[..., None], inputs, 0)
    scored = scored[first:]
    if not scored.all():
        targets = np.where(scored if targets.ndim == 2 else scored[..., None], targets, 0)
    return PreparedBatch(
        inputs=inputs.astype(inputs.dtype if inputs.ndim == 2 else dtype, copy=False),
        targets=targets.reshape(-1, *targets.shape[2:]),
        coefficients=weights.astype(dtype).reshape(-1, 1),
        first_scored=first,
        live=None if live.all() else live[..., None].astype(dtype),
        n_scored=extent.n_scored,
        initial_inputs=None
        if batch.initial_inputs is None or batch.initial_state is not None
        else batch.initial_inputs[part].astype(dtype),
        initial_state=None
        if batch.initial_state is None
        else batch.initial_state[part].astype(dtype, copy=False),
        lengths=lengths if whole else None,
        state_scale=None if batch.state_scale is None else batch.state_scale[part].astype(dtype),
    )
