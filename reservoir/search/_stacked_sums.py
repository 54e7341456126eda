"""The readouts of many recurrences at once, on a GPU: their normal equations as one stack."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reservoir.readout._features import Readout
from reservoir.readout._sums import EPS, GRAM_MARGIN
from reservoir.search._folds import Fold, Plan
from reservoir.search._sums import ReadoutOptions
from reservoir.sequences._missing import is_known
from reservoir.utils.device import module_of, to_host
from reservoir.utils.types import Booleans, Floats


class Stack(NamedTuple):
    """Readouts of all lanes, side by side.

    Attributes
    ----------
    coefs : ndarray of shape (n_lanes, n_features, n_candidates * n_targets)
        On the device.
    intercepts : ndarray of shape (n_lanes, n_candidates * n_targets)
        Likewise.
    """

    coefs: Any
    intercepts: Any


class StackedSums:
    """Collects the rows of many recurrences, segment by segment, and solves for all readouts.

    M[s, l] = Σ_t z[t] z[t]ᵀ over segment s,   z[t] = [1; s_l[t] − c_l; y[t] − d]

    What `LaneSums` does for each recurrence, as products and factorizations of whole stacks. Each
    recurrence has one shift (c, d) for all its segments, the mean of the first rows that came, so
    that sums over segments are plain sums. For single alphas which normal equations can resolve;
    `resolves` tells them from the others.

    Parameters
    ----------
    plan : Plan
        Which segments there are.
    alphas : ndarray of shape (n_lanes, n_candidates)
        The penalties of each recurrence.
    options : ReadoutOptions
        What else defines the readout.
    learned : StackedSums, optional
        Whose readouts are scored; its own if left out.
    """

    def __init__(
        self,
        plan: Plan,
        alphas: Floats,
        options: ReadoutOptions,
        learned: StackedSums | None = None,
    ) -> None:
        self._plan, self._alphas, self._options = plan, alphas, options
        self._learned = learned or self
        self._shift: Any = None
        self._moments: Any = None

    def append(self, segment: int, features: Any, targets: Any) -> None:
        """Take in rows (n_lanes, n_rows, n_features) of a segment, and their targets."""
        known = is_known(targets)
        if not known.all():
            features, targets = features[:, known], targets[known]
        xp, (n_lanes, n_rows, self._n_features) = module_of(features), features.shape
        if not n_rows:
            return
        n_columns = 1 + self._n_features + targets.shape[1]
        rows = xp.empty((n_lanes, n_rows, n_columns))
        rows[..., 0] = 1.0
        rows[..., 1 : 1 + self._n_features] = features
        rows[..., 1 + self._n_features :] = targets
        if self._shift is None:
            self._shift = rows.mean(axis=1)
            self._shift[:, 0] = 0.0
            n_segments = len(self._plan.segment_rows)
            self._moments = xp.zeros((n_segments, n_lanes, n_columns, n_columns))
        rows -= self._shift[:, None]
        self._moments[segment] += xp.matmul(rows.transpose(0, 2, 1), rows)

    @cached_property
    def _total(self) -> Any:
        learned = [s for s in range(len(self._moments)) if self._plan.is_learned_from(s)]
        return self._over(learned)

    def _over(self, segments: Sequence[int]) -> Any:
        """Return the sums over some segments."""
        total = self._moments[segments[0]].copy()
        for segment in segments[1:]:
            total += self._moments[segment]
        return total

    @cached_property
    def _trace(self) -> Floats:
        """The trace whose rounding the sums of each recurrence carry; as `noise_trace`."""
        total, n = self._total, self._n_features
        c, xp = self._shift[:, 1 : 1 + n], module_of(total)
        own = total.diagonal(axis1=1, axis2=2)[:, 1 : 1 + n].sum(axis=1)
        about_zero = own + (c * (2.0 * total[:, 1 : 1 + n, 0] + total[:, :1, 0] * c)).sum(axis=1)
        trace: Floats = to_host(xp.maximum(own, about_zero))
        return trace

    @cached_property
    def resolves(self) -> NDArray[np.bool_]:
        """Whether each recurrence's alphas lie above the rounding of its sums: (n_lanes,)."""
        resolved: NDArray[np.bool_] = self._alphas.min(axis=1) > GRAM_MARGIN * EPS * self._trace
        return resolved

    @cached_property
    def stacks(self) -> list[Stack]:
        """The readouts of all folds, once all is there to learn from."""
        return [self._solve(self._rest(fold)) for fold in self._plan.folds]

    def _rest(self, fold: Fold) -> Any:
        """Return the sums of what a fold learns from."""
        left_out = [s for s in fold.left_out if self._plan.is_learned_from(s)]
        return self._total - self._over(left_out) if left_out else self._total

    def _solve(self, sums: Any) -> Stack:
        """Return the readouts of all alphas: (A + αI) V = B, stacked."""
        xp, n = module_of(sums), self._n_features
        weight, first = sums[:, :1, 0], sums[:, 1:, 0]
        shift = self._shift[:, 1:]
        if self._options.fit_intercept:
            centre = first / weight
            products = sums[:, 1:, 1:] - first[:, :, None] * centre[:, None]
            mean = shift + centre
        else:
            left = first + weight * shift
            products = sums[:, 1:, 1:] + shift[:, :, None] * left[:, None]
            products += first[:, :, None] * shift[:, None]
            mean = xp.zeros_like(shift)
        gram, cross = products[:, :n, :n], products[:, :n, n:]
        places = xp.arange(n)
        diagonal = gram[:, places, places]  # a copy
        # Recurrences whose alphas are too small are solved another way; here any will do.
        penalties = np.where(self.resolves, self._alphas.T, 1.0 + self._trace)
        coefs = []
        for penalty in penalties:
            gram[:, places, places] = diagonal + xp.asarray(penalty)[:, None]
            coefs.append(xp.linalg.solve(gram, cross))
        stacked = xp.concatenate(coefs, axis=2)
        targets = xp.concatenate([mean[:, n:]] * len(coefs), axis=1)
        return Stack(stacked, targets - xp.einsum("lf,lfk->lk", mean[:, :n], stacked))

    def supports(self, fold: int, lane: int) -> Booleans:
        """Return, for each candidate of a recurrence that is resolved, that its alpha is."""
        return np.ones(self._alphas.shape[1], dtype=bool)

    def readouts(self, fold: int, lane: int) -> list[Readout]:
        """Return the readouts of one recurrence and fold, one for each candidate."""
        stack, n_candidates = self.stacks[fold], self._alphas.shape[1]
        coefs = np.split(to_host(stack.coefs[lane]), n_candidates, axis=1)
        intercepts = np.split(to_host(stack.intercepts[lane]), n_candidates)
        return [Readout(coef.T, intercept) for coef, intercept in zip(coefs, intercepts)]

    def mean_squared_errors(self, fold: int, lane: int) -> Floats:
        """Return the errors on what a fold holds out: (n_candidates, n_targets)."""
        errors: Floats = self._errors[fold][lane]
        return errors

    @cached_property
    def _errors(self) -> list[Floats]:
        return [self._errors_of(fold) for fold in range(len(self._plan.folds))]

    def _errors_of(self, fold: int) -> Floats:
        """Return the errors of all recurrences: (n_lanes, n_candidates, n_targets)."""
        held_out = self._plan.folds[fold].held_out
        coefs, intercepts = self._learned.stacks[fold]
        xp, n, sums = module_of(coefs), self._n_features, self._over(held_out)
        n_lanes, _, n_columns = coefs.shape
        n_candidates = self._alphas.shape[1]
        n_targets = n_columns // n_candidates
        # y − S v − b = [1 | S − c | Y − d] [d − b − c v; −v; 1 at the target]
        maps = xp.zeros((n_lanes, 1 + n + n_targets, n_columns))
        maps[:, 1 : 1 + n] = -coefs
        maps[:, 1 + n :] = xp.asarray(np.tile(np.eye(n_targets), n_candidates))
        maps[:, 0] = xp.einsum("lf,lfk->lk", self._shift[:, 1:], maps[:, 1:]) - intercepts
        errors = (maps * xp.matmul(sums, maps)).sum(axis=1)
        # Rounding in the three terms that cancel: less than this is not known.
        squares = sums.diagonal(axis1=1, axis2=2)[:, 1 + n :]
        floor = xp.concatenate([EPS * squares] * n_candidates, axis=1)
        n_rows = sum(self._plan.segment_rows[segment] for segment in held_out)
        mean: Floats = to_host(xp.maximum(errors, floor)) / n_rows
        by_candidate: Floats = mean.reshape(n_lanes, n_candidates, n_targets)
        return by_candidate
