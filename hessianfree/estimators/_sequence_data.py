"""Conversion between sequences of scikit-learn and padded batches of a network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch
from hessianfree.network._buckets import bucket_sequences
from hessianfree.network._network import SequenceNetwork
from hessianfree.network._prepared import step_rows
from reservoir.sequences._layout import Layout, stack_like
from reservoir.utils.types import Array

# Numbers that a prediction holds at once, states and outputs: some tens of megabytes.
_MAX_NUMBERS = 2**23


TARGETS = ("step", "sequence", "auto")


@dataclass(frozen=True)
class Reading:
    """How targets were read: one per sequence or per step, and those in a row of their own."""

    per_sequence: bool
    is_single_row: bool = False


def read_targets(
    values: Any,
    layout: Layout,
    *,
    is_cut: bool,
    target: str = "auto",
    prefers_steps: bool = False,
    name: str = "y",
) -> tuple[Any, Reading]:
    """Return targets or weights stacked, and how they were read.

    One per step: as many entries as steps, in the form of the inputs. One per sequence: as many
    entries as sequences, each a number or label, several outputs, or a row of these.

    Parameters
    ----------
    values : array-like
    layout : Layout
        Of the inputs.
    is_cut : bool
        Whether `groups` or `lengths` were given.
    target : {"step", "sequence", "auto"}
        What they are; "auto" goes by their shape.
    prefers_steps : bool
        Whether "auto" takes a row of as many entries as steps for one per step: labels are.
    name : str
        Of the argument, for the errors.

    Returns
    -------
    stacked : array-like of shape (n_rows, ...) or (n_sequences, ...)
    reading : Reading

    Raises
    ------
    ValueError
        If the shape is not that of such targets, or, with "auto", that of either kind.
    """
    if target == "auto":
        target = _guess(values, layout, is_cut, prefers_steps, name)
    if target == "step":
        return stack_like(values, layout, name=name), Reading(per_sequence=False)
    n_sequences = len(layout.lengths)
    if not hasattr(values, "__len__") or len(values) != n_sequences:
        came = f"{len(values)} entries" if hasattr(values, "__len__") else repr(values)
        raise ValueError(
            f"`{name}` has {came}, but `X` holds {n_sequences} sequence(s) and one target per "
            "sequence was expected. Pass one for each, or set `target` to 'step'."
        )
    if layout.form == "rows" and np.ndim(values) < 3:
        # As they are: a Series or a DataFrame is checked as such.
        return values, Reading(per_sequence=True)
    parts = _parts(values)
    shapes = {part.shape for part in parts}
    shape = parts[0].shape
    if len(shapes) > 1 or len(shape) > 2 or (len(shape) == 2 and shape[0] != 1):
        other = next((part.shape for part in parts if part.shape != shape), shape)
        raise ValueError(
            f"`{name}[0]` has shape {shape} and another entry {other}, but one target per sequence "
            "was expected: a number, (n_outputs,) or (1, n_outputs). Pass such entries, or set "
            "`target` to 'step'."
        )
    stacked = np.stack(parts)
    if len(shape) == 2:
        return stacked[:, 0], Reading(per_sequence=True, is_single_row=True)
    return stacked, Reading(per_sequence=True)


def _guess(values: Any, layout: Layout, is_cut: bool, prefers_steps: bool, name: str) -> str:
    """Return "step" or "sequence", whichever the shape allows; raise where it allows both."""
    n_sequences, n_rows = len(layout.lengths), layout.n_rows
    n_values = len(values) if hasattr(values, "__len__") else None
    if layout.form == "rows":
        if not is_cut or n_values != n_sequences:
            return "step"
        if n_sequences < n_rows:
            return "sequence"
        raise _ambiguous(name, np.shape(values), "sequences of one step each")
    if n_values != n_sequences:
        return "step"
    parts = _parts(values)
    shapes = {part.shape for part in parts}
    shape = parts[0].shape
    if shapes == {()}:
        return "sequence"
    per_sequence = len(shapes) == 1 and (len(shape) == 1 or (len(shape) == 2 and shape[0] == 1))
    if not per_sequence:
        return "step"
    # Outputs of a sequence, if not steps. One too few or too many is a slip that a row of outputs
    # would hide, and that a horizon of another length would not have.
    lengths = set(layout.lengths)
    is_row = len(shape) == 1 and shape[0] > 1
    if prefers_steps and is_row and lengths == {shape[0]}:
        return "step"
    slip = 1 if is_row else 0
    if all(abs(shape[0] - length) <= slip for length in lengths):
        steps = " or ".join(str(length) for length in sorted(lengths))
        raise _ambiguous(name, np.shape(values), f"sequences of {steps} step(s)")
    return "sequence"


def _ambiguous(name: str, shape: tuple[int, ...], sequences: str) -> ValueError:
    """Return the error of targets that can be read in two ways."""
    return ValueError(
        f"`{name}` has shape {shape} for {sequences}: that may be one target per step, or one "
        "target per sequence, for its last step, of as many outputs. Set `target` to 'step' or to "
        "'sequence'."
    )


def _parts(values: Any) -> list[NDArray[Any]]:
    """Return the entries of an array, a list, or a pandas object as arrays."""
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    return [np.asarray(part) for part in values]


def known_targets(
    values: Any, is_scored: NDArray[np.bool_] | None = None, name: str = "y"
) -> NDArray[np.bool_]:
    """Return which targets are known, (n,): those that are neither NaN nor None.

    Parameters
    ----------
    values : array-like of shape (n,) or (n, n_outputs)
    is_scored : ndarray of bool of shape (n,), optional
        Those that count; of others a part may be known.
    name : str
        Of the argument, for the errors.

    Raises
    ------
    ValueError
        If none of those that count is known, or of one only some outputs.

    Examples
    --------
    >>> known_targets([1.0, np.nan, 3.0]), known_targets(["up", None])
    (array([ True, False,  True]), array([ True, False]))
    """
    array: NDArray[Any] = np.asarray(values)
    unknown: Any
    if array.dtype == object:
        missing = [one is None or (isinstance(one, float) and one != one) for one in array.flat]
        unknown = np.array(missing, dtype=bool).reshape(array.shape)
    elif array.dtype.kind == "f":
        unknown = array != array
    else:
        return np.ones(len(array), dtype=bool)
    unknown = np.reshape(unknown, (len(array), -1))
    known: NDArray[np.bool_] = ~unknown.any(axis=1)
    counts = np.ones(len(known), dtype=bool) if is_scored is None else is_scored
    partly = np.flatnonzero(~known & ~unknown.all(axis=1) & counts)
    if len(partly):
        raise ValueError(
            f"`{name}` has NaN in some outputs of row {partly[0]}, but all outputs of a target are "
            "known, or none. Make the whole row NaN, or give each output a net of its own."
        )
    if len(known) and not (known & counts).any():
        raise ValueError(
            f"`{name}` holds nothing but NaN, and nothing can be learned. Pass known targets."
        )
    return known


def make_batch(
    inputs: list[NDArray[Any]],
    targets: list[NDArray[Any]],
    weights: list[NDArray[Any]] | None,
    *,
    per_sequence: bool,
) -> Batch:
    """Pad sequences to one batch; a target or weight per sequence stands at its last step."""
    batch = Batch.from_sequences(inputs, targets, last_step_only=per_sequence)
    if weights is None:
        return batch
    mask = np.zeros(batch.inputs.shape[:2])
    for index, (sequence, weight) in enumerate(zip(inputs, weights, strict=True)):
        scored = slice(len(sequence) - 1 if per_sequence else 0, len(sequence))
        mask[scored, index] = weight
    return replace(batch, mask=mask)


def predict_sequences(
    network: SequenceNetwork,
    params: Array,
    sequences: list[NDArray[Any]],
    initial_states: Array | None = None,
    *,
    return_state: bool = False,
) -> tuple[list[Array], Array | None]:
    """Return the outputs of the network for each sequence, and the states that they end in.

    Sequences of similar length run side by side, in portions of limited memory; of the same length
    where the last states are asked for.

    Parameters
    ----------
    network : SequenceNetwork
    params : ndarray of shape (n_params,)
    sequences : list of ndarray of shape (n_steps_i, n_inputs) or (n_steps_i,)
    initial_states : ndarray of shape (n_sequences, state_size), optional
        In place of the learned initial state.
    return_state : bool, default=False

    Returns
    -------
    outputs : list of ndarray of shape (n_steps_i, n_outputs)
    states : ndarray of shape (n_sequences, state_size), or None unless asked for
    """
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.intp)
    max_rows = max(1, _MAX_NUMBERS // (network.cell.n_units + network.n_outputs))
    outputs: list[Any] = [None] * len(sequences)
    states = None
    if return_state:
        states = np.empty((len(sequences), network.cell.state_size), dtype=params.dtype)
        buckets = [
            inside[part]
            for length in np.unique(lengths)
            for inside in [np.flatnonzero(lengths == length)]
            for part in bucket_sequences(lengths[inside], 0, max_rows)
        ]
    else:
        buckets = bucket_sequences(lengths, step_rows(network), max_rows)
    for chosen in buckets:
        first = sequences[chosen[0]]
        shape = (lengths[chosen].max(), len(chosen), *first.shape[1:])
        padded = np.zeros(shape, dtype=first.dtype)
        for column, index in enumerate(chosen):
            padded[: lengths[index], column] = sequences[index]
        starts = None if initial_states is None else initial_states[chosen]
        predictions, ends = network.run(params, padded, starts, lengths=lengths[chosen])
        if states is not None:
            states[chosen] = ends
        for column, index in enumerate(chosen):
            # A copy, so that no portion is kept alive by what is left of it.
            outputs[index] = predictions[: lengths[index], column].copy()
    return outputs, states


def as_symbols(rows: Array, n_symbols: int, name: str = "X") -> NDArray[np.intp]:
    """Return the only column of `rows` as integers from 0 to n_symbols - 1."""
    if rows.shape[1] != 1:
        raise ValueError(
            f"`{name}` has {rows.shape[1]} features, but with `n_symbols` one column of symbols "
            "was expected. Pass sequences of shape (n_steps, 1), or leave `n_symbols` out."
        )
    symbols = rows[:, 0].astype(np.intp)
    if np.any(symbols != rows[:, 0]) or symbols.min() < 0 or symbols.max() >= n_symbols:
        raise ValueError(
            f"`{name}` has symbols from {rows.min():g} to {rows.max():g}, but integers from 0 to "
            f"{n_symbols - 1} were expected. Number the symbols from 0, or raise `n_symbols`."
        )
    return symbols


def check_count(name: str, count: int, unit: Layout, per_sequence: bool) -> None:
    """Raise unless there are as many targets, or weights, as steps or sequences."""
    if count != unit.n_rows:
        wanted = "sequences" if per_sequence else "steps"
        raise ValueError(
            f"`{name}` has {count} entries, but `X` has {unit.n_rows} {wanted}: inconsistent "
            f"numbers of samples. Pass one entry for each of the {wanted}."
        )
