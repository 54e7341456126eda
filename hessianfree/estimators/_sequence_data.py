"""Conversion between sequences of scikit-learn and padded batches of a network."""

from __future__ import annotations

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


def read_targets(values: Any, layout: Layout, *, is_cut: bool, name: str = "y") -> tuple[Any, bool]:
    """Return targets or weights stacked, and whether there is one per sequence.

    One per step: as many entries as steps, in the form of the inputs. One per sequence: for a list
    or a 3-D array of sequences, entries of no axis (numbers, labels), of one axis that is not the
    time axis (several outputs), or of a single row; for rows cut by `groups` or `lengths`, as many
    entries as sequences.

    Parameters
    ----------
    values : array-like
    layout : Layout
        Of the inputs.
    is_cut : bool
        Whether `groups` or `lengths` were given.
    name : str
        Of the argument, for the errors.

    Returns
    -------
    stacked : array-like of shape (n_rows, ...) or (n_sequences, ...)
    per_sequence : bool
    """
    n_sequences = len(layout.lengths)
    if layout.form == "rows":
        counted = len(values) if hasattr(values, "__len__") else None
        return values, is_cut and counted == n_sequences != layout.n_rows
    if not hasattr(values, "__len__") or len(values) != n_sequences:
        return stack_like(values, layout, name=name), False
    parts = [np.asarray(part) for part in values]
    shapes = {part.shape for part in parts}
    if shapes == {()}:
        return np.asarray(parts), True
    per_step = all(
        part.ndim and len(part) == length
        for part, length in zip(parts, layout.lengths, strict=True)
    )
    if not per_step and len(shapes) == 1:
        shape = parts[0].shape
        if len(shape) == 1 or (len(shape) == 2 and shape[0] == 1):
            return np.stack(parts).reshape(n_sequences, -1), True
    return stack_like(parts, layout, name=name), False


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
    return Batch(batch.inputs, batch.targets, mask)


def predict_sequences(
    network: SequenceNetwork, params: Array, sequences: list[NDArray[Any]]
) -> list[Array]:
    """Return the outputs of the network for each sequence, of shape (n_steps_i, n_outputs).

    Sequences of similar length run side by side, in portions of limited memory.
    """
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.intp)
    max_rows = max(1, _MAX_NUMBERS // (network.cell.n_units + network.n_outputs))
    outputs: list[Any] = [None] * len(sequences)
    for chosen in bucket_sequences(lengths, step_rows(network), max_rows):
        first = sequences[chosen[0]]
        shape = (lengths[chosen].max(), len(chosen), *first.shape[1:])
        padded = np.zeros(shape, dtype=first.dtype)
        for column, index in enumerate(chosen):
            padded[: lengths[index], column] = sequences[index]
        predictions = network.predict(params, padded)
        for column, index in enumerate(chosen):
            # A copy, so that no portion is kept alive by what is left of it.
            outputs[index] = predictions[: lengths[index], column].copy()
    return outputs


def as_symbols(rows: Array, n_symbols: int) -> NDArray[np.intp]:
    """Return the only column of `rows` as integers from 0 to n_symbols - 1."""
    if rows.shape[1] != 1:
        raise ValueError(
            f"`X` has {rows.shape[1]} features, but with `n_symbols` one column of symbols was "
            "expected. Pass sequences of shape (n_steps, 1), or leave `n_symbols` out."
        )
    symbols = rows[:, 0].astype(np.intp)
    if np.any(symbols != rows[:, 0]) or symbols.min() < 0 or symbols.max() >= n_symbols:
        raise ValueError(
            f"`X` has symbols from {rows.min():g} to {rows.max():g}, but integers from 0 to "
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
