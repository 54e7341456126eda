"""Drive a reservoir, and keep its states: the last ones, all of them, or outputs of a readout."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from joblib import effective_n_jobs

from reservoir.dynamics._driven import drive_groups, drive_sequences, iterate_blocks
from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import DrivenSequence
from reservoir.dynamics.cuda._blocks import stack
from reservoir.harvest._blocks import keep_all_last, map_blocks
from reservoir.harvest._fold import STEPS_PER_CHUNK
from reservoir.harvest._jobs import consecutive_shares
from reservoir.readout._features import Readout
from reservoir.utils.device import MEMORY_REMEDY, is_on_device, module_of, naming_remedy, to_host
from reservoir.utils.threads import call_side_by_side, with_few_threads
from reservoir.utils.types import Array


@with_few_threads
def final_states(
    reservoir: Reservoir,
    inputs: Sequence[Array],
    *,
    teachers: Sequence[Array] | None = None,
    initial_states: Sequence[Array | None] | None = None,
    initial_outputs: Sequence[Array | None] | None = None,
) -> Array:
    """Return the state after the last step of each driven sequence.

    Parameters
    ----------
    reservoir : Reservoir
        What is driven.
    inputs : sequence of ndarray of shape (n_steps, n_inputs)
        One a sequence; the initial state stays where there is no step.
    teachers : sequence of ndarray of shape (n_steps, n_outputs), optional
        What is fed back, where the reservoir has feedback weights.
    initial_states : sequence of ndarray of shape (n_units,) or None, optional
        Where each starts; zeros if left out.
    initial_outputs : sequence of ndarray of shape (n_outputs,) or None, optional
        What is fed back first.

    Returns
    -------
    ndarray of shape (n_sequences, n_units)
        On the host.
    """
    last = np.zeros((len(inputs), reservoir.n_units), dtype=reservoir.dtype)
    for index, state in enumerate(initial_states or ()):
        if state is not None:
            last[index] = state
    nothing = [None] * len(inputs)
    sequences = [
        DrivenSequence(inputs=part, teacher=teacher, initial_state=state, initial_output=output)
        for part, teacher, state, output in zip(
            inputs,
            nothing if teachers is None else teachers,
            nothing if initial_states is None else initial_states,
            nothing if initial_outputs is None else initial_outputs,
            strict=True,
        )
    ]
    if is_on_device(inputs[0]):
        blocks_of_rows = iterate_blocks(reservoir, sequences)
        keep_all_last(blocks_of_rows, [len(part) for part in inputs], last)
        return last
    for group in drive_groups(reservoir, sequences, chunk_size=STEPS_PER_CHUNK):
        last[group.sequences] = group.states[:, -1]
    return last


@with_few_threads
def states_at(
    reservoir: Reservoir,
    inputs: Array,
    steps: Any,
    *,
    teacher: Array | None = None,
    initial_state: Array | None = None,
    initial_output: Array | None = None,
) -> Array:
    """Return the states of one driven sequence after some numbers of its steps, from one pass.

    Parameters
    ----------
    reservoir : Reservoir
        What is driven.
    inputs : ndarray of shape (n_steps, n_inputs)
        The sequence.
    steps : ndarray of int of shape (n_kept,)
        After how many steps, in any order; 0 is the initial state.
    teacher : ndarray of shape (n_steps, n_outputs), optional
        What is fed back, where the reservoir has feedback weights.
    initial_state, initial_output : ndarray, optional
        Where the sequence starts; zeros if left out.

    Returns
    -------
    ndarray of shape (n_kept, n_units)
        On the host.
    """
    steps = np.asarray(steps)
    kept = np.zeros((len(steps), reservoir.n_units), dtype=reservoir.dtype)
    if initial_state is not None:
        kept[steps == 0] = initial_state
    last = int(steps.max())
    sequence = DrivenSequence(
        inputs=inputs[:last],
        teacher=None if teacher is None else teacher[:last],
        initial_state=initial_state,
        initial_output=initial_output,
    )
    for _, start, states in drive_sequences(reservoir, [sequence]):
        here = np.flatnonzero((steps > start) & (steps <= start + len(states)))
        kept[here] = to_host(states[module_of(states).asarray(steps[here] - start - 1)])
    return kept


def all_states(reservoir: Reservoir, inputs: Sequence[Array]) -> Array:
    """Return the states at all steps of driven sequences, stacked: (n_rows, n_units).

    They lie where the inputs do.
    """
    offsets = np.cumsum([0, *(len(part) for part in inputs)])
    xp = module_of(inputs[0])
    with naming_remedy(MEMORY_REMEDY):
        states: Array = xp.empty((int(offsets[-1]), reservoir.n_units), dtype=reservoir.dtype)
    sequences = [DrivenSequence(inputs=part) for part in inputs]
    if xp is not np:
        for block in iterate_blocks(reservoir, sequences):
            states[xp.asarray(block.rows)] = block.states
        return states
    for index, start, rows in drive_sequences(reservoir, sequences):
        first = offsets[index] + start
        states[first : first + len(rows)] = rows
    return states


def map_sequences(
    reservoir: Reservoir,
    readout: Readout | Sequence[Readout],
    inputs: Sequence[Array],
    initial_states: Sequence[Array | None] | None = None,
    last_states: Array | None = None,
    n_jobs: int | None = None,
) -> list[Array]:
    """Return the readout's output for each step of each driven sequence.

    Parameters
    ----------
    reservoir : Reservoir
        Without feedback weights.
    readout : Readout or sequence of Readout
        The fitted map, or one per sequence.
    inputs : sequence of ndarray of shape (n_steps, n_inputs)
        One a sequence.
    initial_states : sequence of ndarray of shape (n_units,) or None, optional
        Where each sequence starts; None stands for zeros.
    last_states : ndarray of shape (n_sequences, n_units), optional
        Overwritten with the state after the last step of each sequence; on the host.
    n_jobs : int, optional
        Threads among which sequences on the host are spread, as joblib counts them.

    Returns
    -------
    list of ndarray of shape (n_steps, n_outputs)
    """
    readouts = [readout] * len(inputs) if isinstance(readout, Readout) else readout
    if initial_states is None:
        initial_states = [None] * len(inputs)
    n_workers = min(effective_n_jobs(n_jobs), len(inputs))
    if n_workers == 1 or is_on_device(inputs[0]):
        return _map_share(reservoir, readouts, inputs, initial_states, last_states)
    shares = consecutive_shares([len(part) for part in inputs], n_workers)
    parts = call_side_by_side(
        [
            partial(
                _map_share,
                reservoir,
                readouts[share],
                inputs[share],
                initial_states[share],
                None if last_states is None else last_states[share],
            )
            for share in shares
        ]
    )
    return list(itertools.chain.from_iterable(parts))


@with_few_threads
def _map_share(
    reservoir: Reservoir,
    readouts: Sequence[Readout],
    inputs: Sequence[Array],
    initial_states: Sequence[Array | None],
    last_states: Array | None,
) -> list[Array]:
    """Return the outputs of some sequences; arguments as those of `map_sequences`."""
    dtype = reservoir.input.dtype
    sequences = [
        DrivenSequence(inputs=part, initial_state=state)
        for part, state in zip(inputs, initial_states, strict=True)
    ]
    if is_on_device(inputs[0]):
        with naming_remedy(MEMORY_REMEDY):
            blocks = iterate_blocks(reservoir, sequences)
            return map_blocks(blocks, readouts, inputs, last_states)
    outputs = [
        np.empty((len(part), len(of_part.intercept)), dtype=dtype)
        for part, of_part in zip(inputs, readouts, strict=True)
    ]
    for group in drive_groups(reservoir, sequences):
        steps = slice(group.start, group.start + group.states.shape[1])
        for lanes in _lanes_with_one_readout([readouts[index] for index in group.sequences]):
            part = group.part(lanes, steps)
            of_part = readouts[part.sequences[0]]
            seen = stack(np, [inputs[index][steps] for index in part.sequences])
            rows = of_part(part.rows, seen).reshape(len(part.sequences), -1, len(of_part.intercept))
            for index, of_sequence in zip(part.sequences, rows):
                outputs[index][steps] = of_sequence
        if last_states is not None:
            last_states[group.sequences] = group.states[:, -1]
    return outputs


def _lanes_with_one_readout(readouts: Sequence[Readout]) -> Iterator[slice]:
    """Yield neighbours that share their readout, as a rule all of them: one product serves them."""
    lane = 0
    for _, alike in itertools.groupby(readouts, key=id):
        yield slice(lane, lane := lane + len(list(alike)))
