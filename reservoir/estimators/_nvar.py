"""Next-generation reservoir computing: ridge regression on monomials of delayed inputs."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from reservoir.dynamics._bounds import (
    OUTPUT_LIMIT,
    Departure,
    as_bounds,
    note_departures,
    refuse_departures,
)
from reservoir.estimators._sequence_regressor import SequenceRegressor
from reservoir.harvest._buffer import ROWS_PER_FOLD
from reservoir.readout._accumulator import RidgeAccumulator
from reservoir.readout._monomials import MonomialMap, delay_vectors
from reservoir.readout._solve import check_alphas, solve_ridge
from reservoir.utils.persistence import register, require_array
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer

register(MonomialMap)

_REMEDY = "Raise `alpha`, lower `order`, or pass data that fill more of the space."


# The products of so many columns take 80 GB.
_MOST_COLUMNS = 100_000


class NVARRegressor(SequenceRegressor):
    """Nonlinear vector autoregression, also called a next-generation reservoir computer.

    Nothing is random and nothing recurs: the present and k - 1 delayed inputs, and the unique
    monomials of all of them, are what a linear readout, learned by ridge regression, sees [1]_:

    l[t] = [u[t]; u[t-s]; ...; u[t-(k-1)s]]

    y[t] = W_out [l[t]; l[t] ⌈⊗⌉ l[t]; ...] + c   (+ u[t], where the increment is predicted)

    Few steps to learn from are enough where the law behind the data is close to a polynomial.
    Rows of a 2-D `X` are steps, in time order; several sequences come as in `ESNRegressor`.

    Read more in the guide: :doc:`/guide/fields`.

    Parameters
    ----------
    n_delays : int, default=2
        k, the inputs side by side: the present one and k - 1 before it.
    stride : int, default=1
        s, steps between them.
    order : int or sequence of int, default=2
        Monomials: p stands for those of order 2 to p (1 for none), a sequence for just its
        orders; (3,) leaves even orders out, for laws that are odd. Order p of n = k n_features
        entries has C(n + p - 1, p) of them: memory grows with the square of their sum.
    predict_increment : bool, default=False
        Whether the readout learns y[t] - u[t], as in [1]_, so that the ridge draws towards "no
        change" and not towards the mean. For forecasts; off by default, since in general a
        target is no later input.
    alpha : float or array-like of shape (n_alphas,), default=2.5e-6
        Ridge penalty α ‖W_out‖² beside the summed squared error; of several, the one with the
        lowest generalised cross-validation score is taken. The default is that of [1]_ for
        Lorenz; it goes with the scale of the data: standardise.
    fit_intercept : bool, default=True
        Whether c is learned; unlike the constant of [1]_ it is not penalised.
    solver : {"auto", "gram", "qr"}, default="auto"
        As in `ESNRegressor`.
    output_limit : float or None, default=3.0
        As in `ESNRegressor`; a polynomial that leaves its data leaves them fast.
    dtype : {"float64", "float32"}, default="float64"
        Of features and predictions; the readout is always solved in float64.

    Attributes
    ----------
    coef_ : ndarray of shape (n_outputs, n_columns) or (n_columns,)
        W_out; columns are the entries of l, then the monomials order by order, each table in
        lexicographic order of the entries.
    intercept_ : ndarray of shape (n_outputs,) or float
        c.
    alpha_ : float
        The penalty taken.
    alpha_scores_ : ndarray of shape (n_alphas,)
        Mean squared error estimated for each alpha; only where there were several.
    solver_ : {"gram", "qr"}
        What the readout was solved from.
    last_inputs_ : ndarray of shape ((k - 1) s, n_features)
        The last training inputs, which the next step would still see.
    last_output_ : ndarray of shape (n_outputs,)
        Target of the last training step.
    output_range_, output_bounds_ : ndarray of shape (2, n_outputs)
        Smallest and largest target of each output, and what a free run may take.
    n_outputs_ : int
        Number of outputs.
    n_features_in_ : int
        Number of input features.
    feature_names_in_, target_names_in_ : ndarray of str
        Names of inputs and targets, where `X` and `y` had string column names.

    See Also
    --------
    ESNRegressor : The same readout on a random recurrent reservoir.

    Notes
    -----
    In the first (k - 1) s steps of a sequence not all delays are known. The readout does not
    learn from them, and `score` leaves them out; `predict` takes the first row for what was before
    it.

    References
    ----------
    .. [1] Gauthier, Bollt, Griffith & Barbosa (2021), Next generation reservoir computing,
       Nature Communications 12, 5564.

    Examples
    --------
    The logistic map is a polynomial of order 2, and twelve steps tell which:

    >>> import numpy as np
    >>> from reservoir import NVARRegressor
    >>> x = [0.3]
    >>> for _ in range(15):
    ...     x.append(3.9 * x[-1] * (1 - x[-1]))
    >>> x = np.array(x)[:, None]
    >>> model = NVARRegressor(n_delays=1, alpha=0).fit(x[:12], x[1:13])
    >>> model.coef_.round(9), abs(model.forecast(3) - x[13:]).max() < 1e-9
    (array([[ 3.9, -3.9]]), np.True_)
    """

    def __init__(
        self,
        n_delays: int = 2,
        *,
        stride: int = 1,
        order: int | Sequence[int] = 2,
        predict_increment: bool = False,
        alpha: float | ArrayLike = 2.5e-6,
        fit_intercept: bool = True,
        solver: Literal["auto", "gram", "qr"] = "auto",
        output_limit: float | None = OUTPUT_LIMIT,
        dtype: Literal["float64", "float32"] = "float64",
    ) -> None:
        self.n_delays = n_delays
        self.stride = stride
        self.order = order
        self.predict_increment = predict_increment
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.output_limit = output_limit
        self.dtype = dtype

    last_inputs_: Array
    last_output_: Array

    @property
    def _looks_back(self) -> bool:
        return self.n_delays > 1

    @transaction()
    def fit(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Learn the readout of `y` from the delayed inputs and their monomials.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features), list of such, 3-D array, or panel
            Inputs.
        y : array-like of shape (n_steps,) or (n_steps, n_outputs), or as `X` several of them
            Targets, one row per step.
        groups : array-like of shape (n_steps,), optional
            Label of the sequence that each row of a 2-D `X` belongs to; contiguous.
        lengths : array-like of int of shape (n_sequences,), optional
            Steps of each sequence of a 2-D `X`; not for cross-validation, which does not cut it.

        Returns
        -------
        NVARRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter or an argument is not as described; the message says which.
        """
        inputs, targets, _, layout, self._y_is_1d = self._reader().training(
            X, y, groups, lengths, None
        )
        self._begin(inputs[0].shape[1], targets[0].shape[1])
        self._remember_targets(inputs, targets, y)
        self._ends_panel = len(inputs) > 1
        self._check_lengths(layout.lengths)
        return self._learn(inputs, targets)

    @transaction("_accumulator")
    def partial_fit(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial_state: Literal["last"] | None = None,
    ) -> Self:
        """Learn from more data, as if all of it had come in one call of `fit`.

        Parameters
        ----------
        X, y, groups, lengths
            As in `fit`.
        initial_state : {"last"} or None, default=None
            "last" says that the first sequence continues the last one of the call before.
            Otherwise a new sequence begins.

        Returns
        -------
        NVARRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            As in `fit`.
        """
        first = not hasattr(self, "_accumulator")
        continues = self._continues(initial_state)
        if first and continues:
            raise ValueError(
                "`initial_state` is 'last', but nothing was learned yet. Leave it out in the "
                "first call."
            )
        inputs, targets, _, layout, self._y_is_1d = self._reader().training(
            X, y, groups, lengths, None, reset=first
        )
        if first:
            self._begin(inputs[0].shape[1], targets[0].shape[1])
            self._remember_targets(inputs, targets, y)
            self._ends_panel = False
        else:
            self._check_n_outputs(targets[0].shape[1])
        n_sequences = len(inputs) + (not first and not continues)
        self._ends_panel = self._ends_panel or n_sequences > 1
        self._check_lengths(layout.lengths[continues:])
        return self._learn(inputs, targets, continues=continues)

    def predict(
        self,
        X: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        initial_state: Literal["last"] | None = None,
    ) -> Any:
        """Return the output for each step of `X`.

        Parameters
        ----------
        X, groups, lengths
            As in `fit`.
        initial_state : {"last"} or None, default=None
            What was before the first row: "last", the end of the training inputs; None, nothing
            known, for which the first row stands.

        Returns
        -------
        ndarray or list of ndarray
            In the form of `X`; a step has as many values as in the `y` of `fit`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `X` does not match what the model was fitted with.
        """
        check_is_fitted(self, "coef_")
        inputs, layout = self._reader().inputs(X, groups, lengths)
        if self._continues(initial_state) and len(inputs) != 1:
            raise ValueError(
                f"`initial_state` is 'last', but `X` holds {len(inputs)} sequences, and only one "
                "can go on from the end of training. Pass that one."
            )
        outputs = []
        for rows in inputs:
            history = self.last_inputs_ if initial_state else self._standing(rows)
            for start in range(0, len(rows), ROWS_PER_FOLD):
                piece = rows[start : start + ROWS_PER_FOLD]
                with np.errstate(over="ignore", invalid="ignore"):  # what comes out is looked at
                    outputs.append(self._apply(piece, history))
                history = self._advanced(history, piece)
        stacked = np.concatenate(outputs)
        if not np.isfinite(stacked).all():
            raise ValueError(
                "`X` is so large that products of its entries are beyond all numbers. Pass inputs "
                "of the size that the model was fitted with."
            )
        return self._restore(stacked, layout)

    def forecast(self, n_steps: int, X: Any = None, *, future: Any = None) -> Any:
        """Continue a series by feeding each prediction back as the next input.

        For models trained one step ahead, on ``fit(series[:-1], series[1:])``. Which input an
        output is, is told by the names of the columns where `X` and `y` of `fit` had names in
        common; otherwise the outputs are the first columns of `X`, in their order.

        Parameters
        ----------
        n_steps : int
            Steps to forecast.
        X : array-like of shape (n_context, n_features), list of such, or 3-D array, optional
            Context that is to be continued, of at least (k - 1) s + 1 steps: the forecast begins
            at the step after its last row. Without it, the forecast goes on from the last
            training target.
        future : array-like of shape (n_steps, n_external), or as `X` several of them, optional
            The inputs that are no output, in the rows that follow the last row of inputs, as in
            `ESNRegressor.forecast`.

        Returns
        -------
        ndarray of shape (n_steps, n_outputs), or one per sequence in the form of `X`
            1-D if `y` was 1-D in `fit`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If no output is an input, if inputs that are no output are missing in `future`, or a
            context is too short.
        DivergenceError
            If a forecast leaves the range of the training targets by more than `output_limit`, as
            polynomials may. The error names sequence and step, and its `outputs` holds what came
            before and the whole forecasts of other sequences.
        """
        check_is_fitted(self, "coef_")
        n_steps = check_integer("n_steps", n_steps, minimum=1)
        self._check_forecast()
        if X is None:
            self._warn_of_panel()
            (external,) = self._read_future(future, n_steps, 1)
            row = self._as_inputs(self.last_output_, external[0])
            known = np.concatenate([self.last_inputs_, row[None]])
            with self._shaping_outputs():
                return self._shaped(self._run_free(n_steps, known[None], external[None, 1:])[0])
        contexts, layout = self._reader().inputs(X, None, None)
        self._check_lengths(layout.lengths)
        known = np.stack([context[-1 - self._n_left_out() :] for context in contexts])
        external = np.stack(self._read_future(future, n_steps - 1, len(contexts)))
        with self._shaping_outputs(X, layout):
            forecasts = list(self._run_free(n_steps, known, external))
        return self._restore_forecasts(forecasts, layout)

    def _begin(self, n_inputs: int, n_outputs: int) -> None:
        """Check the parameters, and forget what was learned."""
        n_delays = check_integer("n_delays", self.n_delays, minimum=1)
        check_integer("stride", self.stride, minimum=1)
        check_choice("solver", self.solver, ("auto", "gram", "qr"))
        self._alphas = check_alphas(self.alpha, name="alpha")
        if self.predict_increment and n_inputs != n_outputs:
            raise ValueError(
                f"`predict_increment` is True, but `y` has {n_outputs} outputs and `X` {n_inputs} "
                "features, and an increment is from one to the other. Set it to False, or fit on "
                "`series[:-1], series[1:]`."
            )
        self.n_outputs_ = n_outputs
        self._begin_range(n_outputs)
        self._monomials = MonomialMap(n_delays * n_inputs, _checked_orders(self.order))
        if self._monomials.n_columns > _MOST_COLUMNS:
            raise ValueError(
                f"`order` is {self.order!r}, which makes {self._monomials.n_columns} columns of "
                f"{n_delays * n_inputs} delayed inputs, but {_MOST_COLUMNS} at most can be solved "
                "for. Lower `order` or `n_delays`."
            )
        self._steps_of_last = 0
        self._accumulator = RidgeAccumulator(
            self._monomials.n_columns,
            n_outputs,
            solver=self.solver,
            smallest_alpha=float(self._alphas.min()),
            keeps_few=self._alphas.ndim > 0,
            path=self._alphas if self._alphas.ndim else None,
            fit_intercept=bool(self.fit_intercept),
        )

    def _learn(self, inputs: list[Array], targets: list[Array], *, continues: bool = False) -> Self:
        """Fold sequences into the accumulator and solve for the readout."""
        self._take_range(targets)
        for index, (rows, goals) in enumerate(zip(inputs, targets, strict=True)):
            if continues and index == 0:
                history, n_before = self.last_inputs_, self._steps_of_last
            else:
                history, n_before = self._standing(rows), 0
            for start in range(0, len(rows), ROWS_PER_FOLD):
                piece = rows[start : start + ROWS_PER_FOLD]
                goal = goals[start : start + ROWS_PER_FOLD]
                if self.predict_increment:
                    goal = goal - piece
                known = slice(max(0, self._n_left_out() - n_before - start), None)
                self._accumulator.update(self._features(piece, history)[known], goal[known])
                history = self._advanced(history, piece)
            self._steps_of_last = n_before + len(rows)
            self.last_inputs_ = history
        self.last_output_ = targets[-1][-1].astype(self._checked_dtype())
        self._keep(
            solve_ridge(self._accumulator, self._alphas, fit_intercept=bool(self.fit_intercept))
        )
        return self

    def _n_left_out(self) -> int:
        return (self.n_delays - 1) * self.stride

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if hasattr(self, "last_inputs_"):
            require_array("last_inputs_", self.last_inputs_, (None, self.n_features_in_))

    def _shape_of_readout(self) -> tuple[int, int | None]:
        return self.n_outputs_, self._monomials.n_columns

    def _check_lengths(self, lengths: Sequence[int]) -> None:
        for index, length in enumerate(lengths):
            if length <= self._n_left_out():
                raise ValueError(
                    f"Sequence {index} of the {len(lengths)} in `X` has {length} sample(s), but "
                    f"{self.n_delays} inputs {self.stride} apart need {self._n_left_out() + 1} "
                    "steps. Lower `n_delays` or `stride`, or pass more steps."
                )

    def _continues(self, initial_state: Any) -> bool:
        is_last = isinstance(initial_state, str) and initial_state == "last"
        if initial_state is not None and not is_last:
            raise ValueError(
                f"`initial_state` is {initial_state!r}, but None or 'last' was expected. "
                "Pass 'last' to go on from the end of training."
            )
        return initial_state is not None

    def _standing(self, rows: Array) -> Array:
        """Return the history of a series that stood still before its first row."""
        return np.repeat(rows[:1], self._n_left_out(), axis=0)

    def _advanced(self, history: Array, rows: Array) -> Array:
        """Return what the step after `rows` still sees of the past."""
        return np.concatenate([history, rows])[len(rows) :]

    def _features(self, rows: Array, history: Array) -> Array:
        return self._monomials.stack(delay_vectors(rows, history, self.n_delays, self.stride))

    def _apply(self, rows: Array, history: Array) -> Array:
        """Return the outputs (n_rows, n_outputs) of rows that follow a history."""
        coef, intercept = self._readout_arrays()
        outputs: Array = self._features(rows, history) @ coef.T + intercept
        return outputs + rows if self.predict_increment else outputs

    def _run_free(self, n_steps: int, known: Array, external: Array) -> Array:
        """Continue series (n_series, (k - 1) s + 1, n_features), side by side, by `n_steps`.

        `external` (n_series, n_steps - 1, n_external) are the inputs that are no output.
        """
        sources = self.input_sources_
        is_fed = sources >= 0
        coef, intercept = self._readout_arrays()
        n_series, n_known, n_features = known.shape
        series = np.empty((n_series, n_known + n_steps, n_features), dtype=known.dtype)
        series[:, :n_known] = known
        forecasts = np.empty((n_series, n_steps, self.n_outputs_), dtype=known.dtype)
        bounds = as_bounds(self._bounds, self.n_outputs_, series.dtype)
        departures: list[Departure | None] = [None] * n_series
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(n_steps):
                now = step + n_known - 1
                seen = series[:, now - np.arange(self.n_delays) * self.stride]
                outputs = self._monomials.stack(seen.reshape(n_series, -1)) @ coef.T + intercept
                if self.predict_increment:
                    outputs += series[:, now]
                forecasts[:, step] = outputs
                series[:, now + 1, is_fed] = forecasts[:, step][:, sources[is_fed]]
                if step < n_steps - 1:
                    series[:, now + 1, ~is_fed] = external[:, step]
                if note_departures(outputs, bounds, step, departures):
                    break
        refuse_departures(list(forecasts), departures, _REMEDY)
        return forecasts


def _checked_orders(order: Any) -> tuple[int, ...]:
    """Return the orders of the monomials, rising."""
    if isinstance(order, numbers.Integral):
        return tuple(range(2, check_integer("order", order, minimum=1) + 1))
    if isinstance(order, str) or not hasattr(order, "__iter__"):
        raise TypeError(
            f"`order` is {order!r}, but an integer or a sequence of integers was expected. "
            "Pass 2 for squares and products of two."
        )
    orders = tuple(check_integer("order", item, minimum=2) for item in order)
    if len(set(orders)) < len(orders):
        raise ValueError(
            f"`order` is {order!r}, but each order was expected once. Leave out what repeats."
        )
    return tuple(sorted(orders))
