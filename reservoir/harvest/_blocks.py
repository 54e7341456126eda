"""Blocks of states on a GPU folded into sums, or mapped to outputs, many sequences at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from reservoir.dynamics.cuda._blocks import StateBlock, stack
from reservoir.readout._features import FeatureMap, Readout
from reservoir.sequences._missing import is_known
from reservoir.utils.device import namespace_of, to_host
from reservoir.utils.types import Array


def fold_blocks(
    blocks: Iterable[StateBlock],
    feature_map: FeatureMap,
    accumulators: Sequence[Any],
    sequences: Sequence[Any],
    *,
    edges: Sequence[int],
    last_states: Array,
    places: dict[int, int],
    progress: bool,
) -> None:
    """Fold the states of all blocks; arguments as those of `fold_sequences`.

    `last_states[places[i]]`, on the host, is overwritten by the last state of sequence i.
    """
    lengths = [len(sequence.inputs) for sequence in sequences]
    inputs, targets = [one.inputs for one in sequences], [one.targets for one in sequences]
    weights = [one.weights for one in sequences if one.weights is not None]
    xp = namespace_of(inputs=inputs, targets=targets, step_weight=weights or None)
    all_inputs, all_targets = stack(xp, inputs), stack(xp, targets)
    all_weights = stack(xp, weights) if weights else None
    learned = to_host(is_known(all_targets))
    for first, sequence in zip(np.cumsum([0, *lengths]), sequences):
        learned[first : first + sequence.skip] = False
    bar = tqdm(total=sum(lengths), unit="step", unit_scale=True, disable=not progress)
    for block in blocks:
        _keep_last(block, lengths, last_states, places)
        for accumulator, low, high in zip(accumulators, edges[:-1], edges[1:], strict=True):
            wanted = learned[block.rows] & (block.rows >= low) & (block.rows < high)
            if not wanted.any():
                continue
            states, rows = block.states, xp.asarray(block.rows[wanted])
            if not wanted.all():
                states = states[xp.asarray(np.flatnonzero(wanted))]
            accumulator.update(
                feature_map.stack(states, all_inputs[rows]),
                all_targets[rows],
                None if all_weights is None else all_weights[rows],
            )
        bar.update(len(block.rows))
    bar.close()


def map_blocks(
    blocks: Iterable[StateBlock],
    readouts: Sequence[Readout],
    inputs: Sequence[Any],
    last_states: Array | None,
) -> list[Any]:
    """Return the outputs of driven sequences; arguments as those of `map_sequences`."""
    xp = namespace_of(inputs=inputs)
    lengths = [len(part) for part in inputs]
    offsets = np.cumsum([0, *lengths])
    # One map for all sequences, as a rule: then one product serves a whole block.
    kinds = {id(readout): readout.to(xp) for readout in readouts}
    all_inputs = stack(xp, inputs)
    outputs: Any = None
    everything = {index: index for index in range(len(inputs))}
    for block in blocks:
        stretches = [
            (id(readouts[span.sequence]), *at) for span, at in zip(block.spans, block.bounds)
        ]
        if len(kinds) == 1:
            stretches = [(stretches[0][0], 0, len(block.rows))]
        for kind, low, high in stretches:
            rows = xp.asarray(block.rows[low:high])
            part = kinds[kind](block.states[low:high], all_inputs[rows])
            if outputs is None:
                outputs = xp.empty((len(all_inputs), part.shape[1]), dtype=part.dtype)
            outputs[rows] = part
        if last_states is not None:
            _keep_last(block, lengths, last_states, everything)
    return [outputs[low:high] for low, high in itertools.pairwise(offsets)]


def keep_all_last(blocks: Iterable[StateBlock], lengths: Sequence[int], last_states: Array) -> None:
    """Overwrite `last_states[i]`, on the host, with the last state of sequence i."""
    everything = {index: index for index in range(len(lengths))}
    for block in blocks:
        _keep_last(block, lengths, last_states, everything)


def _keep_last(
    block: StateBlock, lengths: Sequence[int], last_states: Array, places: dict[int, int]
) -> None:
    """Copy the last states of those sequences that end in a block and are asked for."""
    ends = [
        (places[span.sequence], high - 1)
        for span, (_, high) in zip(block.spans, block.bounds)
        if span.stop == lengths[span.sequence] and span.sequence in places
    ]
    if ends:
        of_sequences, rows = zip(*ends)
        xp = namespace_of(states=block.states)
        last_states[list(of_sequences)] = to_host(block.states[xp.asarray(rows)])
