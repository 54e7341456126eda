"""The base class of regressors of sequences: the learned readout, and its score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_consistent_length

from reservoir.dynamics._bounds import bounds_around, range_of
from reservoir.dynamics._reservoir import DivergenceError
from reservoir.estimators._base import SequenceEstimator
from reservoir.estimators._one_step import OneStepAhead
from reservoir.readout._accumulator import RidgeAccumulator
from reservoir.readout._solve import RidgeSolution
from reservoir.readout._sums import GramAccumulator, QRAccumulator
from reservoir.sequences._layout import Layout, stack_like
from reservoir.sequences._missing import is_known
from reservoir.sequences._names import check_target_names
from reservoir.sequences._panels import continue_panel
from reservoir.utils.device import in_kind, namespace_of, to_host
from reservoir.utils.persistence import register, require_array
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer

for _class in (GramAccumulator, QRAccumulator, RidgeAccumulator):
    register(_class)


class SequenceRegressor(MultiOutputMixin, RegressorMixin, OneStepAhead, SequenceEstimator):
    """What the regressors of sequences with a ridge readout share."""

    washout: int
    n_outputs_: int
    n_features_in_: int
    coef_: NDArray[np.float64]
    intercept_: Any
    alpha_: Any
    alpha_scores_: NDArray[np.float64]
    solver_: Any
    output_limit: float | None
    output_range_: NDArray[np.float64]
    output_bounds_: NDArray[np.float64]
    _y_is_1d: bool

    def predict(self, X: Any, groups: Any = None, lengths: Any = None) -> Any:
        """Return the output for each step of `X`."""
        raise NotImplementedError

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> float:
        """Return the coefficient of determination R² of `predict`.

        The steps at the start of each sequence that the readout does not learn from do not count:
        `predict` knows nothing there of what was before. Nor do steps with NaN in `y`, where `fit`
        takes them.

        Parameters
        ----------
        X, y, groups, lengths
            As in `fit`.
        sample_weight : array-like of shape (n_steps,), or as `X` several of them, optional
            Weight of each step.

        Returns
        -------
        float
            1 for a perfect prediction, 0 for the mean of `y`.

        Raises
        ------
        ValueError
            If a sequence is not longer than what is left out, and as `predict` does.
        """
        from sklearn.metrics import r2_score  # here, since it is slow to import

        _, layout = self._reader().stacked(X, groups, lengths)
        check_target_names(self, y)
        predicted = stack_like(self.predict(X, groups, lengths), layout, name="prediction")
        self._check_lengths(layout.lengths)
        first = self._n_left_out()
        counts = np.concatenate([np.arange(length) >= first for length in layout.lengths])
        predicted, true = to_host(predicted), np.asarray(to_host(stack_like(y, layout, name="y")))
        check_consistent_length(predicted, true)
        if self.missing is not None and true.dtype.kind == "f":
            counts &= is_known(true.reshape(len(true), -1))
        weights = None
        if sample_weight is not None:
            weights = stack_like(sample_weight, layout, name="sample_weight")
            weights = np.asarray(to_host(weights))[counts]
        # R² does not depend on the scale of an output, but its squares leave the float64 range. A
        # power of two changes no bit.
        true, predicted = true[counts].astype(np.float64), predicted[counts].astype(np.float64)
        _, exponents = np.frexp(np.abs(true).max(axis=0, initial=0.0))
        true, predicted = np.ldexp(true, -exponents), np.ldexp(predicted, -exponents)
        return float(r2_score(true, predicted, sample_weight=weights))

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if not hasattr(self, "n_outputs_"):
            return
        n_outputs = check_integer("n_outputs_", self.n_outputs_, minimum=1)
        for name, shape in {
            "last_output_": (n_outputs,),
            "output_range_": (2, n_outputs),
            "output_bounds_": (2, n_outputs),
        }.items():
            if name in vars(self):
                is_last = name == "last_output_"  # nothing seen has an infinite range
                require_array(name, vars(self)[name], shape, finite=is_last)
        if "coef_" in vars(self):
            n_rows, n_columns = self._shape_of_readout()
            coef = self.coef_[np.newaxis] if self._y_is_1d else self.coef_
            leading = (None,) * (np.ndim(coef) - 2)
            require_array("coef_", coef, (*leading, n_rows, n_columns))
            require_array("intercept_", np.atleast_1d(self.intercept_), (*leading, n_rows))

    def _shape_of_readout(self) -> tuple[int, int | None]:
        """Return rows and columns of `coef_`, None for any number."""
        return self.n_outputs_, None

    def _n_left_out(self) -> int:
        """Return how many steps at the start of a sequence the readout does not learn from."""
        return self.washout

    def _check_lengths(self, lengths: Sequence[int]) -> None:
        """Raise unless there is something to learn from in each sequence."""
        raise NotImplementedError

    def _check_n_outputs(self, n_outputs: int) -> None:
        """Raise unless a later call of `partial_fit` has as many outputs as the first."""
        if n_outputs != self.n_outputs_:
            raise ValueError(
                f"`y` has {n_outputs} outputs, but the calls before had {self.n_outputs_}. Pass as "
                "many, or call `fit` to start afresh."
            )

    def _begin_range(self, n_outputs: int) -> None:
        """Forget the targets that were seen, and check what bounds free runs."""
        nothing = np.array([[np.inf], [-np.inf]]).repeat(n_outputs, axis=1)
        bounds_around(nothing, self.output_limit)
        self.output_range_ = nothing

    def _take_range(self, targets: Sequence[Any]) -> None:
        """Let free runs go as far from the targets, and those before, as `output_limit` says."""
        if not hasattr(self, "output_range_"):
            return  # of an older file, where those before are not known
        self.output_range_ = range_of(targets, self.output_range_)
        self.output_bounds_ = bounds_around(self.output_range_, self.output_limit)

    @property
    def _bounds(self) -> NDArray[np.float64] | None:
        """The bounds of free runs; None for a model from an older file."""
        return getattr(self, "output_bounds_", None)

    @contextmanager
    def _shaping_outputs(self, X: Any = None, layout: Layout | None = None) -> Iterator[None]:
        """Give the outputs that a DivergenceError holds the form of `X`, as far as they go."""
        try:
            yield
        except DivergenceError as error:
            if error.outputs is not None:
                parts = [self._shaped(in_kind(part, X)) for part in error.outputs]
                is_one = layout is None or (layout.form == "rows" and len(parts) == 1)
                error.outputs = parts[0] if is_one else parts
            raise

    def _keep(self, solution: RidgeSolution) -> None:
        """Make a solution the readout, unless single precision would turn it to zeros."""
        size = np.maximum(np.abs(solution.coef).max(axis=1), np.abs(solution.intercept))
        lost = (size > 0) & (size < np.finfo(np.float32).tiny)
        if self._checked_dtype() == np.float32 and lost.any():
            raise ValueError(
                f"`y` is too small for float32 in output {int(lost.argmax())}: all predictions "
                "would be 0. Rescale it, or set `dtype` to 'float64'."
            )
        self.coef_ = solution.coef[0] if self._y_is_1d else solution.coef
        self.intercept_ = float(solution.intercept[0]) if self._y_is_1d else solution.intercept
        self.alpha_ = solution.alpha
        self.solver_ = solution.solver
        if solution.scores is not None:
            self.alpha_scores_ = solution.scores

    def _readout_arrays(self) -> tuple[Array, Array]:
        """Return `coef_` (n_outputs, n_columns) and `intercept_` in the dtype of the model."""
        dtype = self._checked_dtype()
        coef = np.atleast_2d(self.coef_).astype(dtype, copy=False)
        return coef, np.atleast_1d(self.intercept_).astype(dtype, copy=False)

    def _shaped(self, rows: Array) -> Array:
        """Return outputs (n_rows, n_outputs) with as many axes as the `y` of `fit`."""
        return rows[:, 0] if self._y_is_1d else rows

    def _restore(self, rows: Array, layout: Layout) -> Any:
        """Return outputs (n_rows, n_outputs) in the form of the sequences they belong to."""
        return layout.restore(self._shaped(rows), getattr(self, "target_names_in_", None))

    def _restore_forecasts(self, forecasts: Sequence[Array], layout: Layout) -> Any:
        """Return forecasts of one length in the form of the contexts that `layout` describes."""
        n_steps = len(forecasts[0])
        index = continue_panel(layout.index, n_steps) if layout.form == "panel" else None
        after = Layout((n_steps,) * len(forecasts), layout.form, index)
        xp = namespace_of(forecast=list(forecasts))
        return self._restore(xp.concatenate(forecasts), after)
