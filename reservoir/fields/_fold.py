"""From what patches see to their readouts: run the reservoir, fold its states, solve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reservoir.dynamics._reservoir import Array, Reservoir
from reservoir.harvest._fold import fold_sequences
from reservoir.readout._accumulator import RidgeAccumulator
from reservoir.readout._features import FeatureMap
from reservoir.readout._solve import RidgeSolution, solve_ridge

Floats = NDArray[np.float64]


def fold_patches(
    reservoir: Reservoir,
    feature_map: FeatureMap,
    seen: Sequence[Sequence[Array]],
    owned: Sequence[Sequence[Array]],
    *,
    shared: bool = True,
    solver: Literal["auto", "gram", "qr"],
    smallest_alpha: float,
    keeps_few: bool = False,
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
    owned : sequence of sequences of ndarray of shape (n_steps, patch_size)
        For each patch, the sequences that it learns.
    shared : bool
        Whether the rows of all patches go to one accumulator.
    solver, smallest_alpha, keeps_few
        As in `RidgeAccumulator`.
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
    inputs = [part for of_patch in seen for part in of_patch]
    targets = [part for of_patch in owned for part in of_patch]
    n_patches, n_sequences = len(seen), len(seen[0])
    n_rows = sum(len(part) for part in inputs)
    n_blocks = 1 if shared else n_patches
    n_columns = feature_map.n_columns(reservoir.n_units, reservoir.n_inputs)
    folded = fold_sequences(
        reservoir,
        feature_map,
        [
            RidgeAccumulator(
                n_columns,
                targets[0].shape[1],
                solver=solver,
                smallest_alpha=smallest_alpha,
                keeps_few=keeps_few,
            )
            for _ in range(n_blocks)
        ],
        inputs,
        targets,
        edges=[n_rows // n_blocks * block for block in range(n_blocks + 1)],
        weights=None,
        skip=[washout] * len(inputs),
        kept=range(n_sequences - 1, len(inputs), n_sequences),
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
