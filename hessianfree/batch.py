"""Batches of sequences: inputs, targets, and a mask of the steps that are scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reservoir.utils.device import refuse_device_arrays
from reservoir.utils.explained import explained
from reservoir.utils.types import Array


@explained
@dataclass(frozen=True, eq=False)
class Batch:
    r"""Sequences side by side, time first, padded at the end to a common length.

    The loss of a batch is the weighted mean over its scored steps,

    .. math:: f = \sum_{it} w_{it}\, \ell_{it} \Big/ \sum_{it} w_{it},

    so that a doubled batch has the same value, gradient and curvature, and a step of weight zero
    adds nothing of its own. A sequence ends at its last scored step: what stands after it is
    padding, is never read, and may be anything.

    Parameters
    ----------
    inputs : ndarray of shape (n_steps, n_sequences, n_inputs) or (n_steps, n_sequences)
        Real-valued inputs, or integer symbols from 0 to n_inputs - 1.
    targets : ndarray of shape (n_steps, n_sequences, n_outputs) or (n_steps, n_sequences)
        Real-valued targets, or integer classes from 0 to n_outputs - 1. Targets of steps that are
        not scored are never read.
    mask : ndarray of shape (n_steps, n_sequences), optional
        Weights w_it ≥ 0, or booleans. Only their ratios count. By default every step has weight 1.
    initial_inputs : ndarray of shape (n_sequences, n_initial_inputs), optional
        Real numbers, a vector for each sequence, that its initial state is made of; see
        `SequenceNetwork`.
    initial_state : ndarray of shape (n_sequences, state_size), optional
        States of the cell before the first step, in place of those that are learned or made of
        `initial_inputs`: the sequences go on where others ended. They are constants: no gradient
        goes through them.
    lengths : ndarray of int of shape (n_sequences,), optional
        Steps of each sequence, to nets that read ahead (`BidirectionalCell`); by default up to its
        last scored step. To others what comes after that step makes no difference.
    state_scale : ndarray of shape (n_sequences, n_units), optional
        Factors of the states before the output layer sees them, the same at all steps of a
        sequence: 0 for a unit that is left out (dropout).

    Raises
    ------
    TypeError
        If inputs or targets are neither real nor integer of the right number of dimensions.
    ValueError
        If the shapes do not agree, a weight is negative or not finite, or no step is scored.

    See Also
    --------
    Batch.from_sequences : pad sequences of various lengths.

    Examples
    --------
    Score the last of four steps only, for two sequences:

    >>> import numpy as np
    >>> mask = np.zeros((4, 2))
    >>> mask[-1] = 1
    >>> batch = Batch(np.ones((4, 2, 3)), np.zeros((4, 2, 1)), mask)
    >>> batch.n_steps, batch.n_sequences, batch.n_scored
    (4, 2, 2)
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    mask: NDArray[Any] | None = None
    initial_inputs: NDArray[Any] | None = None
    initial_state: Array | None = None
    lengths: NDArray[np.intp] | None = None
    state_scale: Array | None = None

    def __post_init__(self) -> None:
        refuse_device_arrays("a Batch", **vars(self))
        _check_sequences("inputs", self.inputs)
        _check_sequences("targets", self.targets)
        leading = self.inputs.shape[:2]
        if self.targets.shape[:2] != leading:
            raise ValueError(
                f"`targets` has shape {self.targets.shape}, but its first two axes must be "
                f"{leading} as in `inputs`. Put time first, then sequences."
            )
        if self.initial_inputs is not None:
            check_initial_inputs(self.initial_inputs, leading[1])
        if self.initial_state is not None and (
            np.ndim(self.initial_state) != 2 or len(self.initial_state) != leading[1]
        ):
            raise ValueError(
                f"`initial_state` has shape {np.shape(self.initial_state)}, but ({leading[1]}, "
                "state_size) was expected. Pass one row per sequence."
            )
        if self.lengths is not None:
            check_lengths(self.lengths, *leading)
        if self.state_scale is not None and (
            np.ndim(self.state_scale) != 2 or len(self.state_scale) != leading[1]
        ):
            raise ValueError(
                f"`state_scale` has shape {np.shape(self.state_scale)}, but ({leading[1]}, "
                "n_units) was expected. Pass one row per sequence."
            )
        if self.mask is None:
            if 0 in leading:
                raise ValueError(
                    f"`inputs` has shape {self.inputs.shape}, but at least one step of one "
                    "sequence was expected. Leave out empty batches."
                )
            return
        if self.mask.shape != leading:
            raise ValueError(
                f"`mask` has shape {self.mask.shape}, but {leading} was expected. Pass one weight "
                "per step and sequence, time first."
            )
        if not np.all(np.isfinite(self.mask)) or np.any(self.mask < 0):
            raise ValueError(
                "`mask` has negative or non-finite entries, but weights of 0 or more were "
                "expected. Use 0 for a step that does not count."
            )
        if not np.any(self.mask):
            raise ValueError(
                "`mask` is 0 everywhere, but at least one scored step was expected. Leave out "
                "batches without targets."
            )

    @property
    def n_steps(self) -> int:
        """Steps of the longest sequence, padding included."""
        return int(self.inputs.shape[0])

    @property
    def n_sequences(self) -> int:
        """Number of sequences."""
        return int(self.inputs.shape[1])

    @property
    def n_scored(self) -> int:
        """Number of steps with a weight above zero, over all sequences."""
        if self.mask is None:
            return self.n_steps * self.n_sequences
        return int(np.count_nonzero(self.mask))

    @classmethod
    def from_sequences(
        cls,
        inputs: list[NDArray[Any]],
        targets: list[NDArray[Any]],
        *,
        last_step_only: bool = False,
        initial_inputs: NDArray[Any] | None = None,
    ) -> Batch:
        """Pad sequences of various lengths to one batch.

        Parameters
        ----------
        inputs : list of ndarray of shape (n_steps_i, n_inputs) or (n_steps_i,)
            One array per sequence: real-valued, or integer symbols.
        targets : list of ndarray
            With `last_step_only`, one target per sequence, of shape (n_outputs,) or (); otherwise
            one per step, of shape (n_steps_i, n_outputs) or (n_steps_i,).
        last_step_only : bool, default=False
            Score only the last step of each sequence.
        initial_inputs : ndarray of shape (n_sequences, n_initial_inputs), optional
            As of `Batch`.

        Returns
        -------
        Batch

        Raises
        ------
        ValueError
            If the numbers of sequences or of steps do not agree, or a sequence is empty.

        Examples
        --------
        >>> import numpy as np
        >>> batch = Batch.from_sequences([np.zeros((2, 1)), np.zeros((5, 1))],
        ...                              [np.zeros((2, 1)), np.zeros((5, 1))])
        >>> batch.inputs.shape, batch.n_scored
        ((5, 2, 1), 7)
        """
        if len(inputs) != len(targets) or not inputs:
            raise ValueError(
                f"`inputs` has {len(inputs)} sequences and `targets` {len(targets)}, but as many "
                "of both, and at least one, were expected. Pass one target array per sequence."
            )
        xs = [np.asarray(x) for x in inputs]
        ys = [np.asarray(y) for y in targets]
        lengths = [len(x) for x in xs]
        if min(lengths) == 0:
            raise ValueError(
                f"`inputs[{lengths.index(0)}]` has 0 steps, but at least 1 was expected. Leave out "
                "empty sequences."
            )
        if last_step_only:
            ys = [y[None] for y in ys]
        else:
            for i, y in enumerate(ys):
                if len(y) != lengths[i]:
                    raise ValueError(
                        f"`targets[{i}]` has {len(y)} steps, but {lengths[i]} were expected as in "
                        f"`inputs[{i}]`. Use `last_step_only=True` for one target per sequence."
                    )
        shape = (max(lengths), len(xs))
        padded_inputs = np.zeros(shape + xs[0].shape[1:], dtype=np.result_type(*xs))
        padded_targets = np.zeros(shape + ys[0].shape[1:], dtype=np.result_type(*ys))
        mask = np.zeros(shape, dtype=bool)
        for i, (x, y, length) in enumerate(zip(xs, ys, lengths)):
            padded_inputs[:length, i] = x
            padded_targets[length - len(y) : length, i] = y
            mask[length - len(y) : length, i] = True
        return cls(padded_inputs, padded_targets, mask, initial_inputs, lengths=np.array(lengths))


def is_pair(batch: Any) -> bool:
    """Return whether a batch is a pair of arrays (inputs, targets), whose first axis has its cases.

    Examples
    --------
    >>> is_pair((np.zeros((5, 2)), np.zeros((5, 1)))), is_pair(None)
    (True, False)
    """
    return (
        isinstance(batch, tuple | list)
        and len(batch) == 2
        and all(hasattr(part, "shape") and hasattr(part, "dtype") for part in batch)
    )


def count_sequences(batch: Any) -> int:
    """Return how many sequences, or cases, a batch counts for; 1 where it does not say.

    Examples
    --------
    >>> count_sequences(Batch(np.zeros((4, 3, 1)), np.zeros((4, 3, 1)))), count_sequences(None)
    (3, 1)
    >>> count_sequences((np.zeros((5, 2)), np.zeros((5, 1))))
    5
    """
    if is_pair(batch):
        return int(batch[0].shape[0]) if batch[0].shape else 1
    return int(getattr(batch, "n_sequences", 1))


def _check_sequences(name: str, array: Any) -> None:
    """Raise unless `array` is 3-D real or 2-D integer."""
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"`{name}` is a {type(array).__name__}, but a NumPy array was expected. Convert it; "
            "for sequences of various lengths use `Batch.from_sequences`."
        )
    real = array.dtype.kind in "fiub" and array.ndim == 3
    symbols = array.dtype.kind in "iu" and array.ndim == 2
    if not (real or symbols):
        raise TypeError(
            f"`{name}` has dtype {array.dtype} and shape {array.shape}, but 3-D real numbers or "
            "2-D integers were expected. Put time first, then sequences, then features."
        )


def check_lengths(lengths: Any, n_steps: int, n_sequences: int) -> None:
    """Raise unless `lengths` has an integer from 1 to n_steps for each sequence."""
    array = np.asarray(lengths)
    if array.shape != (n_sequences,) or array.dtype.kind not in "iu":
        raise ValueError(
            f"`lengths` has shape {array.shape} and dtype {array.dtype}, but {n_sequences} "
            "integers were expected. Pass the steps of each sequence."
        )
    if len(array) and not 1 <= array.min() <= array.max() <= n_steps:
        raise ValueError(
            f"`lengths` goes from {array.min()} to {array.max()}, but 1 to {n_steps} was "
            "expected. Pass the steps of each sequence."
        )


def check_initial_inputs(initial_inputs: Any, n_sequences: int) -> None:
    """Raise unless `initial_inputs` is 2-D, real, and has one row per sequence."""
    kind = getattr(getattr(initial_inputs, "dtype", None), "kind", type(initial_inputs).__name__)
    if kind not in ("f", "i", "u", "b"):
        raise TypeError(
            f"`initial_inputs` is of kind {kind!r}, but an array of real numbers was expected. "
            "Convert it."
        )
    if initial_inputs.ndim != 2 or len(initial_inputs) != n_sequences:
        raise ValueError(
            f"`initial_inputs` has shape {initial_inputs.shape}, but one row for each of the "
            f"{n_sequences} sequences was expected. Pass an array of shape (n_sequences, "
            "n_initial_inputs)."
        )


@explained
def take_sequences(batch: Batch, indices: NDArray[np.intp]) -> Batch:
    """Return the sequences of a batch with the given indices, in their order.

    Examples
    --------
    >>> import numpy as np
    >>> batch = Batch(np.arange(6.0).reshape(1, 6, 1), np.zeros((1, 6, 1)))
    >>> take_sequences(batch, np.array([4, 0])).inputs.ravel()
    array([4., 0.])
    """
    try:
        inputs = batch.inputs[:, indices]
    except IndexError as error:
        raise ValueError(
            f"`indices` do not choose among {batch.inputs.shape[1]} sequences ({error}). Pass an "
            "array of integers below that."
        ) from error
    mask = None if batch.mask is None else batch.mask[:, indices]
    vectors = None if batch.initial_inputs is None else batch.initial_inputs[indices]
    states = None if batch.initial_state is None else batch.initial_state[indices]
    lengths = None if batch.lengths is None else batch.lengths[indices]
    scales = None if batch.state_scale is None else batch.state_scale[indices]
    return Batch(inputs, batch.targets[:, indices], mask, vectors, states, lengths, scales)
