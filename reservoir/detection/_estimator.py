"""The detector of steps that a reservoir did not expect."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OutlierMixin, clone
from sklearn.utils.validation import check_is_fitted

from reservoir.detection._calibration import robust_spread, squared_distances, threshold_for
from reservoir.estimators._base import SequenceEstimator
from reservoir.estimators._esn import ESNRegressor
from reservoir.sequences._layout import Layout, stack_sequences
from reservoir.utils.persistence import register, require_array
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Array, Booleans, Floats
from reservoir.utils.validation import as_numbers, check_integer, check_real

register(ESNRegressor)


class ReservoirDetector(OutlierMixin, SequenceEstimator):
    r"""Anomalies of series: steps that a reservoir did not expect from the steps before.

    .. math::

        e[t] = u[t] - \hat y[t-1], \qquad s[t] = -(e[t] - \mu)^\top S^{-1} (e[t] - \mu)

    An echo state network predicts each step one step ahead. Location μ and covariance S of its
    errors are robust, the minimum covariance determinant [1]_ of several features, median and
    median absolute deviation of one, and come from blocks of the training series that the network
    had not learned when it predicted them. So does the threshold: a step is an anomaly where s is
    below `offset_`, which a share `false_alarms` of normal steps is, as far as the training series
    are normal and their tail tells, by extreme value theory where few steps lie so far out [2]_.

    Read more in the guide: :doc:`/guide/anomalies`.

    Parameters
    ----------
    regressor : ESNRegressor, optional
        The network; ``ESNRegressor(200, washout=20)`` if left out. It sees features scaled to mean
        0 and deviation 1. Its `washout` is also the number of steps that it needs to settle.
    false_alarms : float, default=0.001
        Share of normal steps that may be called anomalies, in (0, 1).
    n_folds : int, default=5
        Contiguous blocks of the training series, each predicted by a network that learned from the
        others.
    missing : {"raise", "hold"}, default="raise"
        What NaN means: an error, or a gap. At a gap the network sees the last value, and the step
        counts as normal.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed of the network, where `regressor` has none of its own, and of the robust covariance.

    Attributes
    ----------
    regressor_ : ESNRegressor
        The network, learned from all of the series.
    held_out_errors_ : ndarray of shape (n_held_out, n_features)
        Errors on steps that were not learned, in deviations of the features.
    location_ : ndarray of shape (n_features,)
        μ, in the same unit.
    whitening_ : ndarray of shape (n_features, n_features)
        L with L Lᵀ = S⁻¹.
    offset_ : float
        The threshold: ``decision_function = score_samples - offset_``.
    center_, scale_ : ndarray of shape (n_features,)
        Mean and deviation of the features.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Their names, where `X` had string column names.

    Notes
    -----
    The first ``washout + 1`` steps of a series have no prediction, or one of a network that has not
    settled: they count as normal, with the score 0, the highest there is.

    `false_alarms` is met where the series go on as they were. A tail needs data: of n held-out
    steps the share at the threshold is known to about 1 / √(n · false_alarms) of itself from a
    quantile; the fitted tail goes further, as far as it is one of those that extreme values have.

    See Also
    --------
    ESNRegressor : The network.

    References
    ----------
    .. [1] Rousseeuw & Van Driessen (1999), A fast algorithm for the minimum covariance determinant
       estimator, Technometrics 41, 212-223.
    .. [2] Siffer, Fouque, Termier & Largouët (2017), Anomaly detection in streams with extreme
       value theory, KDD.

    Examples
    --------
    >>> import numpy as np
    >>> from reservoir import ReservoirDetector
    >>> rng = np.random.default_rng(0)
    >>> series = np.sin(0.2 * np.arange(3000)) + 0.05 * rng.normal(size=3000)
    >>> series[2500] += 1
    >>> detector = ReservoirDetector(random_state=0).fit(series[:2000, None])
    >>> np.flatnonzero(detector.predict(series[2000:, None]) == -1)[:1] + 2000
    array([2500])
    """

    dtype = "float64"
    regressor_: ESNRegressor
    held_out_errors_: Floats
    offset_: float

    def __init__(
        self,
        regressor: ESNRegressor | None = None,
        *,
        false_alarms: float = 1e-3,
        n_folds: int = 5,
        missing: Literal["raise", "hold"] = "raise",
        random_state: Any = None,
    ) -> None:
        self.regressor = regressor
        self.false_alarms = false_alarms
        self.n_folds = n_folds
        self.missing = missing
        self.random_state = random_state

    @transaction()
    def fit(
        self,
        X: Any,
        y: Any = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Learn what is normal from series that are, but for a few steps.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features), list of such, 3-D array, or panel
            One series or several.
        y : None
            Not used.
        groups, lengths
            As in `ESNRegressor.fit`.

        Returns
        -------
        ReservoirDetector
            Itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, a series is too short, or `X` is not as described.
        """
        self._check_parameters()
        sequences, layout = self._reader().inputs(X, groups, lengths, reset=True)
        seeds = seed_sequence(self.random_state).generate_state(2)
        regressor = self._new_regressor(int(seeds[0]))
        self._check_lengths(layout, regressor.washout)
        rows = np.concatenate(sequences)
        self.center_, self.scale_ = rows.mean(axis=0), rows.std(axis=0)
        self.scale_[~(self.scale_ > 0)] = 1.0
        scaled = [self._scaled(part) for part in sequences]
        known = self._known(X, groups, lengths, layout)
        targets = [
            np.where(mask[1:, np.newaxis], part[1:], np.nan) for part, mask in zip(scaled, known)
        ]
        inputs = [part[:-1] for part in scaled]
        self._seed = int(seeds[1] % 2**31)
        self.held_out_errors_ = self._held_out_errors(regressor, inputs, targets)
        self.regressor_ = regressor.fit(inputs, targets)
        self._calibrate()
        self._last_row, self._n_before = scaled[-1][-1], len(scaled[-1])
        return self

    @transaction()
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn on from rows that continue the last series, first of all what errors they bring.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features)
            The rows after the last ones, of `fit`, `partial_fit` or `score_step`.
        y : None
            Not used.

        Returns
        -------
        ReservoirDetector
            Itself.

        Raises
        ------
        ValueError, TypeError
            As in `fit`.
        """
        if not hasattr(self, "regressor_"):
            return self.fit(X)
        (rows,), layout = self._one_series(X)
        known = self._known(X, None, None, layout)[0]
        scaled = self._scaled(rows)
        if self._n_before == 0:
            raise ValueError(
                "`partial_fit` continues a series, but after `reset` there is none. Call "
                "`score_step` with its first row, or `fit`."
            )
        inputs = np.vstack([self._last_row[np.newaxis], scaled[:-1]])
        targets = np.where(known[:, np.newaxis], scaled, np.nan)
        regressor = copy.deepcopy(self.regressor_)
        errors = targets - regressor.predict(inputs, initial_state="last")
        is_settled = self._n_before + np.arange(len(rows)) > regressor.washout
        if np.isfinite(targets).any():
            regressor.partial_fit(inputs, targets, initial_state="last")
        else:
            regressor.advance(inputs)
        errors = errors[is_settled & known]
        self.held_out_errors_ = np.vstack([self.held_out_errors_, errors])
        self.regressor_ = regressor
        self._calibrate()
        self._last_row, self._n_before = scaled[-1], self._n_before + len(rows)
        return self

    def score_samples(
        self, X: Any, groups: ArrayLike | None = None, lengths: ArrayLike | None = None
    ) -> Any:
        """Return s[t] of each step: 0 is as expected as can be, the lower the less.

        Parameters
        ----------
        X, groups, lengths
            As in `fit`. Each series begins at the zero state.

        Returns
        -------
        ndarray of shape (n_steps,), or one a series in the form of `X`

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            Before `fit`; if `X` does not match what was fitted.
        """
        check_is_fitted(self, "offset_")
        sequences, layout = self._reader().inputs(X, groups, lengths)
        known = self._known(X, groups, lengths, layout)
        scores = np.zeros(layout.n_rows)
        for part, mask, place in zip(sequences, known, layout.split(scores)):
            if len(part) > self.regressor_.washout + 1:
                scaled = self._scaled(part)
                errors = scaled[1:] - self.regressor_.predict(scaled[:-1])
                found = -squared_distances(errors, self.location_, self.whitening_)
                found[: self.regressor_.washout] = 0.0
                place[1:] = np.where(mask[1:], found, 0.0)
        return layout.restore(scores)

    def decision_function(
        self, X: Any, groups: ArrayLike | None = None, lengths: ArrayLike | None = None
    ) -> Any:
        """Return ``score_samples - offset_``: below 0 for anomalies.

        Parameters
        ----------
        X, groups, lengths
            As in `score_samples`.

        Returns
        -------
        ndarray of shape (n_steps,), or one a series in the form of `X`

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            As in `score_samples`.
        """
        scores = self.score_samples(X, groups, lengths)
        if isinstance(scores, list):
            return [part - self.offset_ for part in scores]
        return scores - self.offset_

    def predict(
        self, X: Any, groups: ArrayLike | None = None, lengths: ArrayLike | None = None
    ) -> Any:
        """Return -1 for steps that are anomalies, 1 for the others.

        Parameters
        ----------
        X, groups, lengths
            As in `score_samples`.

        Returns
        -------
        ndarray of int of shape (n_steps,), or one a series in the form of `X`

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            As in `score_samples`.
        """
        values = self.decision_function(X, groups, lengths)
        if isinstance(values, list):
            return [np.where(part < 0, -1, 1) for part in values]
        if hasattr(values, "iloc"):
            return values.ge(0) * 2 - 1
        return np.where(values < 0, -1, 1)

    def score_step(self, x: Any) -> float:
        """Take the next row of a live series, and return its score, as `score_samples` would.

        The series goes on from the end of training, or from `reset`; an anomaly is a score below
        `offset_`. Nothing is learned.

        Parameters
        ----------
        x : array-like of shape (n_features,), or a number where there is one feature
            The row; NaN for a gap, where `missing` is "hold".

        Returns
        -------
        float

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            Before `fit`; if `x` is of another shape, infinite, or NaN where that is not a gap.

        Examples
        --------
        >>> import numpy as np
        >>> from reservoir import ReservoirDetector
        >>> series = np.sin(0.2 * np.arange(600)) + 0.1 * np.random.default_rng(0).normal(size=600)
        >>> detector = ReservoirDetector(random_state=0).fit(series[:500, None])
        >>> live = [detector.reset().score_step(series[0]), *map(detector.score_step, series[1:])]
        >>> np.allclose(live, detector.score_samples(series[:, None]))
        True
        """
        check_is_fitted(self, "offset_")
        row = np.atleast_1d(as_numbers("x", x, np.float64))
        if row.shape != (self.n_features_in_,):
            raise ValueError(
                f"`x` has shape {np.shape(x)}, but ({self.n_features_in_},) was expected. Pass the "
                "values of one step, or call `score_samples` with many."
            )
        gaps = np.isnan(row)
        if np.isinf(row).any() or (gaps.any() and self.missing != "hold"):
            raise ValueError(
                f"`x` is {x!r}. Pass finite numbers; for gaps set `missing` to 'hold' before `fit`."
            )
        if gaps.any() and self._n_before == 0:
            raise ValueError("`x` is NaN at the first step, where no value can go on. Begin later.")
        row = np.where(gaps, self._last_row, self._scaled(row))
        score = 0.0
        if self._n_before:
            error = row - self.regressor_.step(self._last_row)
            if self._n_before > self.regressor_.washout and not gaps.any():
                found = squared_distances(error[np.newaxis], self.location_, self.whitening_)
                score = -float(found[0])
        self._last_row, self._n_before = row, self._n_before + 1
        return score

    def reset(self) -> Self:
        """Let `score_step` begin a new series.

        Returns
        -------
        ReservoirDetector
            Itself.
        """
        check_is_fitted(self, "offset_")
        self._n_before = 0
        self.regressor_.last_state_ = np.zeros_like(self.regressor_.last_state_)
        return self

    _last_row: Array
    _n_before: int
    _seed: int

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if not hasattr(self, "offset_"):
            return
        n_features = self.n_features_in_
        require_array("held_out_errors_", self.held_out_errors_, (None, n_features))
        for name in ("center_", "scale_", "location_", "_last_row"):
            require_array(name, getattr(self, name), (n_features,))
        require_array("whitening_", self.whitening_, (n_features, n_features))
        check_real("offset_", self.offset_)
        check_integer("_n_before", self._n_before, minimum=0)
        check_integer("_seed", self._seed, minimum=0)
        if not isinstance(self.regressor_, ESNRegressor):
            raise ValueError("`regressor_` is no ESNRegressor")
        if (self.regressor_.n_features_in_, self.regressor_.n_outputs_) != (n_features,) * 2:
            raise ValueError("`regressor_` does not predict the features")

    def _check_parameters(self) -> None:
        rate = check_real("false_alarms", self.false_alarms, minimum=0.0, exclusive=True)
        if rate >= 1:
            raise ValueError(
                f"`false_alarms` is {self.false_alarms}, but a share of the steps in (0, 1) was "
                "expected. Pass for instance 0.001."
            )
        check_integer("n_folds", self.n_folds, minimum=2)
        if self.regressor is not None and not isinstance(self.regressor, ESNRegressor):
            raise TypeError(
                f"`regressor` is a {type(self.regressor).__name__}, but an ESNRegressor was "
                "expected. Leave it out for one that suits."
            )

    def _new_regressor(self, seed: int) -> ESNRegressor:
        default = ESNRegressor(200, washout=20)
        regressor: ESNRegressor = clone(default if self.regressor is None else self.regressor)
        if regressor.random_state is None:
            regressor.set_params(random_state=seed)
        return regressor

    def _check_lengths(self, layout: Layout, washout: int) -> None:
        shortest = min(layout.lengths)
        n_scored = sum(length - 1 - washout for length in layout.lengths)
        if shortest < washout + 2 or n_scored < 4 * self.n_folds:
            raise ValueError(
                f"`X` has {layout.n_rows} steps, the shortest series {shortest}, but {washout + 2} "
                f"a series and {4 * self.n_folds} steps after the washout were expected. Pass "
                "more, or a `regressor` with a smaller `washout`."
            )

    def _one_series(self, X: Any) -> tuple[list[Array], Layout]:
        """Return the rows of one series that goes on from the last row."""
        before = None
        if self.missing == "hold":
            before = self.center_ + self.scale_ * self._last_row
        sequences, layout = self._reader().inputs(X, None, None, before=before)
        if layout.form != "rows":
            raise ValueError(
                f"`X` holds {len(sequences)} sequences, but rows that continue the last one were "
                "expected. Call `fit` with all of them."
            )
        return sequences, layout

    def _scaled(self, rows: Array) -> Array:
        scaled: Array = (rows - self.center_) / self.scale_
        return scaled

    def _known(self, X: Any, groups: Any, lengths: Any, layout: Layout) -> list[Booleans]:
        """Return for each series which of its steps have all values."""
        if self.missing != "hold":
            return [np.ones(length, dtype=bool) for length in layout.lengths]
        rows = np.asarray(stack_sequences(X, groups=groups, lengths=lengths)[0], dtype=np.float64)
        is_known = np.asarray(np.isfinite(rows.reshape(layout.n_rows, -1)).all(axis=1))
        return layout.split(is_known)

    def _held_out_errors(
        self, regressor: ESNRegressor, inputs: Sequence[Array], targets: Sequence[Array]
    ) -> Floats:
        """Return errors on blocks of steps, each by a network that learned the others."""
        layout = Layout(tuple(len(part) for part in inputs), "list")
        wanted = np.vstack(targets)
        settled = np.concatenate([np.arange(len(part)) >= regressor.washout for part in inputs])
        edges = np.linspace(0, len(wanted), self.n_folds + 1).astype(int)
        found = []
        for first, last in itertools.pairwise(edges):
            learned = wanted.copy()
            learned[first:last] = np.nan
            if not np.isfinite(learned[settled]).all(axis=1).any():
                raise ValueError("`X` has too few steps without a gap to learn from. Pass more.")
            fitted = clone(regressor).fit(list(inputs), layout.split(learned))
            predicted = np.vstack(fitted.predict(list(inputs)))
            errors = (wanted - predicted)[first:last]
            found.append(errors[settled[first:last] & np.isfinite(errors).all(axis=1)])
        errors = np.vstack(found)
        if len(errors) < 2:
            raise ValueError("`X` has too few steps without a gap to learn from. Pass more.")
        return errors

    def _calibrate(self) -> None:
        """Set location, covariance and threshold from the errors on what was not learned."""
        errors = self.held_out_errors_
        self.location_, self.whitening_ = robust_spread(errors, self._seed)
        scores = squared_distances(errors, self.location_, self.whitening_)
        self.offset_ = -threshold_for(scores, self.false_alarms)
