"""What candidates are tried on, and the reservoirs that several of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reservoir.dynamics._recipe import ReservoirRecipe, has_feedback, reservoir_seeds
from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import Noise
from reservoir.readout._features import FeatureMap
from reservoir.search._candidates import Lane, Parameters, shared_parameters
from reservoir.search._folds import Plan, make_plan
from reservoir.search._scoring import Scoring
from reservoir.search._sums import ReadoutOptions
from reservoir.sequences._missing import fed_back, is_known
from reservoir.utils.seeds import child_generator
from reservoir.utils.types import Array, Floats, Integers
from reservoir.utils.validation import check_choice, check_real


@dataclass(frozen=True)
class SearchJob:
    """The data that candidates are tried on, how it is cut into folds, and what is measured.

    Attributes
    ----------
    inputs : list of ndarray of shape (n_steps, n_inputs)
        One for each sequence, where the candidates are to be run.
    targets : list of ndarray of shape (n_steps, n_targets)
        One for each sequence, on the host.
    cv, gap
        See `make_plan`.
    scoring : Scoring
        What is measured.
    sources : ndarray of int of shape (n_inputs,)
        For free runs without feedback weights, the output that takes the place of each input, -1
        for one that is known ahead.
    """

    inputs: list[Array]
    targets: list[Floats]
    cv: Any
    gap: int
    scoring: Scoring
    sources: Integers

    def plan(self, washout: int) -> Plan:
        """Return the folds, which depend on the washout."""
        known = [is_known(part) for part in self.targets]
        return make_plan(known, cv=self.cv, gap=self.gap, washout=washout)


@dataclass(frozen=True, eq=False)
class DrawnReservoir:
    """A reservoir drawn once for all candidates that are variants of it.

    Attributes
    ----------
    parameters : dict
        Those of the candidates, with scales of 1 and the largest spectral radius.
    reservoir : Reservoir
        Its weights.
    noise_seed : numpy.random.SeedSequence
        Of the noise while learning.
    n_targets : int
        Outputs of a readout.
    """

    parameters: Parameters
    reservoir: Reservoir
    noise_seed: np.random.SeedSequence
    n_targets: int

    @property
    def feature_map(self) -> FeatureMap:
        """The features of a readout."""
        return FeatureMap(
            bool(self.parameters["include_input"]), bool(self.parameters["include_squares"])
        )

    @property
    def n_features(self) -> int:
        """Columns that a readout sees."""
        return self.feature_map.n_columns(self.reservoir.n_units, self.reservoir.n_inputs)

    @property
    def readout_options(self) -> ReadoutOptions:
        """How readouts are solved for."""
        return ReadoutOptions(
            bool(self.parameters["fit_intercept"]),
            bool(self.parameters["alpha_per_target"]),
            self.parameters["solver"],
        )

    @property
    def noise(self) -> Noise:
        """The noise while learning."""
        feedback = float(self.parameters["feedback_noise"]) * (self.reservoir.n_outputs > 0)
        return Noise(float(self.parameters["noise"]), feedback)

    def noise_generator(self, sequence: int) -> np.random.Generator:
        """Return the source of the noise of a sequence."""
        return child_generator(self.noise_seed, sequence)

    def teachers(self, targets: list[Array]) -> list[Array] | None:
        """Return what is fed back, None without feedback weights."""
        if self.reservoir.feedback is None:
            return None
        return fed_back(targets, self.parameters["missing"])


def draw(lanes: Sequence[Lane], job: SearchJob) -> DrawnReservoir:
    """Draw the reservoir that some lanes are variants of."""
    parameters = shared_parameters(lanes)
    check_choice("solver", parameters["solver"], ("auto", "gram", "qr"))
    for name in ("noise", "feedback_noise"):
        check_real(name, parameters[name], minimum=0)
    seeds, n_targets = reservoir_seeds(parameters["random_state"]), job.targets[0].shape[1]
    n_outputs = n_targets if has_feedback(parameters["feedback_scaling"]) else 0
    reservoir = ReservoirRecipe.of(parameters).draw(job.inputs[0].shape[1], n_outputs, seeds)
    return DrawnReservoir(parameters, reservoir, seeds.noise, n_targets)
