"""Training of local reservoirs: states of all patches folded into sums, and readouts solved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from reservoir.dynamics._reservoir import Reservoir
from reservoir.harvest._fold import TrainingSequence, fold_sequences
from reservoir.readout._accumulator import RidgeAccumulator
from reservoir.readout._features import FeatureMap
from reservoir.readout._solve import RidgeSolution, solve_ridge
from reservoir.utils.types import Array, Floats


def fold_patches(
    reservoir: Reservoir,
    feature_map: FeatureMap,
    seen: Sequence[Sequence[Array]],
    owned: Sequence[Sequence[Array]],
    new_accumulator: Callable[[], RidgeAccumulator],
    *,
    shared: bool = True,
    washout: int,
    progress: bool,
) -> tuple[list[RidgeAccumulator], Array]:
    """Drive a reservoir with what each patch sees and fold its states and targets.

    Parameters
    ----------
    reservoir : Reservoir
        Without feedback weights.
    feature_map : FeatureMap
        What a readout sees.
    seen : sequence of sequences of ndarray of shape (n_steps, width)
        For each patch, the sequences that it is driven by.
    owned : sequence of sequences of ndarray of shape (n_steps, n_owned)
        For each patch, the sequences that it learns.
    new_accumulator : callable
        Returns an empty accumulator; it goes to other processes.
    shared : bool
        Whether the rows of all patches go to one accumulator.
    washout : int
        Steps of each sequence that are run and not folded.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    accumulators : list of RidgeAccumulator
        One for all patches, or one for each.
    last_states : ndarray of shape (n_patches, n_units)
        Of each patch, after the last step of its last sequence.
    """
    n_patches, n_sequences = len(seen), len(seen[0])
    sequences = [
        TrainingSequence(inputs=inputs, targets=targets, skip=washout)
        for own_inputs, own_targets in zip(seen, owned, strict=True)
        for inputs, targets in zip(own_inputs, own_targets, strict=True)
    ]
    n_rows = sum(len(sequence.inputs) for sequence in sequences)
    n_blocks = 1 if shared else n_patches
    folded = fold_sequences(
        reservoir,
        feature_map,
        [new_accumulator() for _ in range(n_blocks)],
        sequences,
        edges=[n_rows // n_blocks * block for block in range(n_blocks + 1)],
        kept=range(n_sequences - 1, len(sequences), n_sequences),
        progress=progress,
    )
    return folded.accumulators, folded.last_states


def solve_patches(
    *arguments: Any, alphas: Floats, fit_intercept: bool, **settings: Any
) -> tuple[list[RidgeSolution], Array]:
    """Fold patches as `fold_patches` does, each apart, and return their solutions and states."""
    accumulators, last_states = fold_patches(*arguments, shared=False, **settings)
    solutions = [
        solve_ridge(accumulator, alphas, fit_intercept=fit_intercept)
        for accumulator in accumulators
    ]
    return solutions, last_states
