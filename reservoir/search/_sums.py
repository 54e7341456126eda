"""The readouts of one recurrence on all folds and alphas, from sums over segments of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reservoir.readout._accumulator import RidgeAccumulator, as_factor
from reservoir.readout._features import Readout
from reservoir.readout._solve import (
    check_alphas,
    ridge_system,
    solve_ridge,
    squared_errors,
    tolerance_of,
)
from reservoir.readout._sums import GramAccumulator, QRAccumulator
from reservoir.search._folds import Fold, Plan
from reservoir.sequences._missing import is_known
from reservoir.utils.device import module_of, to_host
from reservoir.utils.types import Booleans, Floats

Sums = GramAccumulator | QRAccumulator

# From so many alphas on, one decomposition costs less than a Cholesky factor each (measured).
_MANY_ALPHAS = 7
# Rows, in columns, up to which a segment keeps them as they are: its sums would be larger.
_KEPT = 0.5


@dataclass(frozen=True)
class ReadoutOptions:
    """How the readouts of all candidates of a batch are solved for."""

    fit_intercept: bool
    per_target: bool
    solver: Any


class LaneSums:
    """Collects the rows of one recurrence, segment by segment, and solves for its readouts.

    Parameters
    ----------
    plan : Plan
        Which segments there are.
    n_features, n_targets : int
        Columns of the rows.
    alphas : list of float or array-like
        The penalty of each candidate; of an array-like, the best is taken by generalised
        cross-validation.
    options : ReadoutOptions
        What else defines the readout.
    learned : LaneSums, optional
        Whose readouts are scored; its own if left out.
    """

    def __init__(
        self,
        plan: Plan,
        n_features: int,
        n_targets: int,
        alphas: Sequence[Any],
        options: ReadoutOptions,
        learned: LaneSums | None = None,
    ) -> None:
        self._plan, self._options = plan, options
        self._learned = learned or self
        self._alphas = [check_alphas(alpha, name="alpha") for alpha in alphas]
        self._tolerances = [tolerance_of(alpha) for alpha in alphas]
        # Each segment has about its share of the trace with which the smallest alpha is compared.
        n_segments = len(plan.segment_rows)
        smallest = min(float(alpha.min()) for alpha in self._alphas) / n_segments
        self._segments: list[_Folded | _Rows | _Scored] = []
        for index, n_rows in enumerate(plan.segment_rows):
            if not plan.is_learned_from(index) and len(plan.folds) == 1:
                self._segments.append(_Scored(self._learned))
                continue
            accumulator = RidgeAccumulator(
                n_features,
                n_targets,
                solver=options.solver,
                smallest_alpha=smallest,
                allow_single=not plan.is_held_out(index),
            )
            is_small = n_rows <= _KEPT * (n_features + n_targets)
            self._segments.append(_Rows(accumulator) if is_small else _Folded(accumulator))

    def append(self, segment: int, features: NDArray[Any], targets: Floats) -> None:
        """Take in rows of a segment; `features` is a buffer that may be overwritten later.

        Rows whose target is NaN are left out.
        """
        known = is_known(targets)
        if not known.all():
            features, targets = features[known], targets[known]
        self._segments[segment].append(features, targets)

    def solve(self) -> None:
        """Solve for the readouts now, and not when they are asked for."""
        self._learned.readouts(0)

    def readouts(self, fold: int) -> list[Readout]:
        """Return the readouts of all candidates, maps of features, in float64."""
        return [readout for readout, _ in self._solved[fold]]

    def supports(self, fold: int) -> Booleans:
        """Return, for each candidate, whether its alpha lies above the rounding of the sums."""
        return np.array([is_supported for _, is_supported in self._solved[fold]])

    @cached_property
    def _solved(self) -> list[list[tuple[Readout, bool]]]:
        """The readouts of all candidates, fold by fold, once all is there to learn from."""
        parts = {
            index: segment.sums
            for index, segment in enumerate(self._segments)
            if not isinstance(segment, _Scored) and self._plan.is_learned_from(index)
        }
        if any(isinstance(part, QRAccumulator) for part in parts.values()):
            parts = {index: as_factor(part) for index, part in parts.items()}
        total = _merged(parts.values())
        return [self._solve(self._rest(total, parts, fold)) for fold in self._plan.folds]

    def _rest(self, total: Sums, parts: dict[int, Sums], fold: Fold) -> Sums:
        """Return the sums of what a fold learns from."""
        left_out = [parts[index] for index in fold.left_out if index in parts]
        if not left_out:
            return total
        if isinstance(total, QRAccumulator):
            # A factor cannot lose rows without losing digits.
            kept = [part for index, part in parts.items() if index not in fold.left_out]
            return _merged(kept)
        rest = total.copy()
        for part in left_out:
            if isinstance(part, GramAccumulator):
                rest.subtract(part)
        return rest

    def _solve(self, rest: Sums) -> list[tuple[Readout, bool]]:
        system = ridge_system(rest, self._options.fit_intercept)
        n_targets = rest.n_targets
        numbers = np.unique([float(alpha) for alpha in self._alphas if alpha.ndim == 0])
        solved: dict[float, tuple[Floats, bool]] = {}
        if len(numbers) >= _MANY_ALPHAS:
            spectrum = system.decompose()
            sound = numbers[spectrum.supports(numbers)]
            targets = np.tile(np.arange(n_targets), len(sound))
            coefs = spectrum.coefs(np.repeat(sound, n_targets), targets)
            columns = coefs.reshape(len(coefs), len(sound), n_targets)
            solved = {float(alpha): (columns[:, i], True) for i, alpha in enumerate(sound)}
        for alpha in numbers:
            if alpha not in solved:
                solved[float(alpha)] = system.solve(float(alpha))
        readouts: list[tuple[Readout, bool]] = []
        for alpha, tolerance in zip(self._alphas, self._tolerances, strict=True):
            if alpha.ndim:
                solution = solve_ridge(
                    rest,
                    alpha,
                    fit_intercept=self._options.fit_intercept,
                    per_target=self._options.per_target,
                    tolerance=tolerance,
                )
                readouts.append((Readout(solution.coef, solution.intercept), True))
            else:
                coef, is_supported = solved[float(alpha)]
                intercept = system.target_mean - system.feature_mean @ coef
                readouts.append((Readout(coef.T, intercept), is_supported))
        return readouts

    def mean_squared_errors(self, number: int) -> Floats:
        """Return the errors on what a fold holds out: (n_candidates, n_targets)."""
        readouts, fold = self._learned.readouts(number), self._plan.folds[number]
        coefs, intercepts = _side_by_side(readouts)
        errors = sum(self._segments[i].squared_errors(coefs, intercepts) for i in fold.held_out)
        n_rows = sum(self._plan.segment_rows[i] for i in fold.held_out)
        mean: Floats = np.asarray(errors).reshape(len(readouts), -1) / n_rows
        return mean


class LaneByLane:
    """The sums of several recurrences, one `LaneSums` each.

    Parameters
    ----------
    lanes : list of LaneSums
        One a recurrence.
    """

    def __init__(self, lanes: list[LaneSums]) -> None:
        self.lanes = lanes

    def append(self, segment: int, features: NDArray[Any], targets: Floats) -> None:
        """Take in rows of a segment: (n_lanes, n_rows, n_features)."""
        for sums, rows in zip(self.lanes, features):
            sums.append(segment, rows, targets)

    @property
    def resolves(self) -> Booleans:
        """Whether each recurrence can be solved for from its sums: all can."""
        return np.ones(len(self.lanes), dtype=bool)

    def readouts(self, fold: int, lane: int) -> list[Readout]:
        """Return the readouts of one recurrence and fold, one for each candidate."""
        return self.lanes[lane].readouts(fold)

    def supports(self, fold: int, lane: int) -> Booleans:
        """Return, for each candidate, whether its alpha lies above the rounding of the sums."""
        return self.lanes[lane].supports(fold)

    def mean_squared_errors(self, fold: int, lane: int) -> Floats:
        """Return the errors on what a fold holds out: (n_candidates, n_targets)."""
        return self.lanes[lane].mean_squared_errors(fold)


class _Folded:
    """A segment as sums of products, or as a factor."""

    def __init__(self, accumulator: RidgeAccumulator) -> None:
        self._accumulator = accumulator

    def append(self, features: NDArray[Any], targets: Floats) -> None:
        self._accumulator.update(features, targets)

    @property
    def sums(self) -> Sums:
        return self._accumulator.sums

    def squared_errors(self, coefs: Floats, intercepts: Floats) -> Floats:
        n_targets = self.sums.n_targets
        targets = np.tile(np.arange(n_targets), len(intercepts) // n_targets)
        return squared_errors(self.sums, coefs, intercepts, targets, 1.0)[0]


class _Rows:
    """A segment as the rows themselves."""

    def __init__(self, accumulator: RidgeAccumulator) -> None:
        self._empty = accumulator
        self._features: list[NDArray[Any]] = []
        self._targets: list[Floats] = []

    def append(self, features: NDArray[Any], targets: Floats) -> None:
        self._features.append(features.copy())
        self._targets.append(targets)

    @property
    def sums(self) -> Sums:
        accumulator = self._empty.copy()
        for features, targets in zip(self._features, self._targets):
            accumulator.update(features, targets)
        return accumulator.sums

    def squared_errors(self, coefs: Floats, intercepts: Floats) -> Floats:
        total = np.zeros(len(intercepts))
        for features, targets in zip(self._features, self._targets):
            total += _squared_errors(features, targets, coefs, intercepts)
        return total


class _Scored:
    """The rows that the only fold is scored on, which come after all that it learns from."""

    def __init__(self, learned: LaneSums) -> None:
        self._learned = learned
        self._total: Any = 0.0

    def append(self, features: NDArray[Any], targets: Floats) -> None:
        coefs, intercepts = _side_by_side(self._learned.readouts(0))
        self._total += _squared_errors(features, targets, coefs, intercepts)

    def squared_errors(self, coefs: Floats, intercepts: Floats) -> Floats:
        total: Floats = self._total
        return total


def _side_by_side(readouts: Sequence[Readout]) -> tuple[Floats, Floats]:
    """Return weights (n_features, n_candidates * n_targets) and intercepts of all readouts."""
    coefs = np.concatenate([readout.state.T for readout in readouts], axis=1)
    return coefs, np.concatenate([readout.intercept for readout in readouts])


def _squared_errors(
    features: NDArray[Any], targets: Floats, coefs: Floats, intercepts: Floats
) -> Floats:
    """Return the sum of squares of each column of targets - features @ coefs - intercepts."""
    xp = module_of(features)
    outputs = features @ xp.asarray(coefs.astype(features.dtype, copy=False))
    outputs = outputs + xp.asarray(intercepts)
    outputs -= xp.tile(targets, len(intercepts) // targets.shape[1])
    squares: Floats = to_host(xp.einsum("ij,ij->j", outputs, outputs))
    return squares


def _merged(parts: Iterable[Sums]) -> Sums:
    """Return new sums of all parts, which are of one kind."""
    parts = iter(parts)
    total: Any = next(parts)
    for index, part in enumerate(parts):
        total = total if index else total.copy()
        total.merge(part)
    return total  # type: ignore[no-any-return]
