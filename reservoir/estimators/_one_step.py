"""Models of one step ahead: which inputs their outputs are, and which are known ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reservoir.sequences._names import column_names
from reservoir.utils.device import to_host
from reservoir.utils.types import Array, Integers
from reservoir.utils.validation import warn_caller


def input_sources(
    features: Sequence[str], targets: Sequence[str], n_inputs: int, n_outputs: int
) -> Integers:
    """Return the output that takes the place of each input in a forecast, -1 for none.

    By name, where inputs and targets have names in common; otherwise in their order.

    Examples
    --------
    >>> input_sources(["u", "a", "b"], ["b", "a"], 3, 2)
    array([-1,  1,  0])
    >>> input_sources([], [], 3, 2)
    array([ 0,  1, -1])
    """
    if set(targets) & set(features):
        names = list(targets)
        return np.array([names.index(name) if name in names else -1 for name in features])
    sources = np.arange(n_inputs)
    sources[n_outputs:] = -1
    return sources


def output_places(sources: Integers, n_outputs: int) -> Integers:
    """Return the input that each output is, -1 for none."""
    places = np.full(n_outputs, -1)
    fed = np.flatnonzero(sources >= 0)
    places[sources[fed]] = fed
    return places


# In a forecast outputs take the place of inputs. Of one distribution, they differ by up to two
# standard deviations; by more where they have not one unit.
LARGEST_GAP = 2.0
# Rows that tell it.
_MOST_ROWS, _FEWEST_ROWS = 1000, 8


def one_step_gap(inputs: Array, targets: Array, places: Integers) -> float:
    """Return how far the targets of a series are from the inputs of the next step.

    Parameters
    ----------
    inputs : ndarray of shape (n_steps, n_inputs)
    targets : ndarray of shape (n_steps, n_outputs)
    places : ndarray of shape (n_outputs,)
        The input that each output is, -1 for none.

    Returns
    -------
    float
        Root of the mean squared difference, in standard deviations (the smaller of the two), of
        the output of which it is largest; 0 where there are too few rows to tell.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(100, 1))
    >>> one_step_gap(x[:-1], x[1:], np.array([0]))
    0.0
    >>> one_step_gap(x[:-1], 280 + 120 * x[1:], np.array([0])) > 100
    True
    """
    largest = 0.0
    rows, following = inputs[-_MOST_ROWS:][1:], targets[-_MOST_ROWS:][:-1]
    for output in np.flatnonzero(places >= 0):
        came = np.asarray(to_host(rows[:, places[output]]), dtype=np.float64)
        wanted = np.asarray(to_host(following[:, output]), dtype=np.float64)
        known = np.isfinite(came) & np.isfinite(wanted)
        if known.sum() < _FEWEST_ROWS:
            continue
        came, wanted = came[known], wanted[known]
        size = max(np.abs(came).max(), np.abs(wanted).max())
        if size == 0:
            continue
        # Divided by their size first, so that no square overflows.
        difference = np.sqrt(np.mean(((came - wanted) / size) ** 2))
        spread = min(np.std(came / size), np.std(wanted / size))
        # Differences of rounding are none, also of constants, which have no spread.
        if difference > 1e-6:
            largest = max(largest, float(difference / max(spread, 1e-12)))
    return largest


class OneStepAhead:
    """What forecasts of an estimator feed back, by names and numbers of its columns."""

    dtype: Any
    n_outputs_: int
    n_features_in_: int
    feature_names_in_: Any

    # So files from before load.
    _gap = 0.0
    # Whether what a forecast without a context continues is the last of several sequences.
    _ends_panel = False

    def _remember_targets(self, inputs: Sequence[Array], targets: Sequence[Array], y: Any) -> None:
        """Keep what says which inputs the targets continue: their names, and how far they are."""
        self.__dict__.pop("target_names_in_", None)
        names = column_names(y)
        if names is not None:
            self.target_names_in_ = np.array(names, dtype=object)
        if self._looks_back:
            self._gap = one_step_gap(inputs[-1], targets[-1], self._output_places())

    @property
    def input_sources_(self) -> Integers:
        """The output that takes the place of each input in a forecast, -1 for none: (n_inputs,).

        By name, where inputs and targets have names in common; otherwise in their order.
        """
        return input_sources(
            list(getattr(self, "feature_names_in_", ())),
            list(getattr(self, "target_names_in_", ())),
            self.n_features_in_,
            self.n_outputs_,
        )

    @property
    def _looks_back(self) -> bool:
        """Whether rows are steps of a series, not samples of a map."""
        return True

    def _warn_of_panel(self, also: str = "") -> None:
        """Warn if nothing says which of several training sequences a forecast is to continue."""
        if self._ends_panel:
            warn_caller(
                f"`X` is None, and {type(self).__name__} saw several sequences: the forecast "
                f"continues the last of them. Pass what is to be continued as `X`{also}."
            )

    def _check_forecast(self) -> None:
        """Raise unless outputs can take the place of inputs."""
        names = list(getattr(self, "target_names_in_", ()))
        features = list(getattr(self, "feature_names_in_", ()))
        if self._gap > LARGEST_GAP:
            raise ValueError(
                "`forecast` feeds outputs back as inputs, but the targets of `fit` are not the "
                f"inputs of the next step: they differ by {self._gap:.3g} standard deviations. Fit "
                "on `series[:-1], series[1:]` in one unit. Where `X` is scaled and `y` is not, as "
                "in a Pipeline, put the model into `reservoir.ScaledForecaster` instead."
            )
        if set(names) & set(features) or self.n_outputs_ == self.n_features_in_:
            return
        if names and features and self.n_outputs_ < self.n_features_in_:
            raise ValueError(
                f"`forecast` feeds outputs back as inputs, but none of the targets {names} has a "
                f"name among the inputs {features}. Name the columns of `y` after those of `X` "
                "that they continue."
            )
        if self.n_outputs_ > self.n_features_in_:
            raise ValueError(
                f"`forecast` feeds outputs back as inputs, but this {type(self).__name__} has "
                f"{self.n_features_in_} inputs and {self.n_outputs_} outputs. Fit it on "
                "`series[:-1], series[1:]`, or call `predict` with the inputs."
            )

    def _as_outputs(self, rows: Array) -> Array:
        """Return the outputs that rows of inputs show, (..., n_outputs); 0 for those they don't."""
        places = self._output_places()
        shown: Array = rows[..., places]
        shown[..., places < 0] = 0
        return shown

    def _as_inputs(self, output: Array, external: Array) -> Array:
        """Return the row of inputs that outputs, and inputs that are no output, make up."""
        sources = self.input_sources_
        row = output[sources]
        row[sources < 0] = external
        return row

    def _output_places(self) -> Integers:
        """Return the input that each output is, -1 for none."""
        return output_places(self.input_sources_, self.n_outputs_)

    def _read_future(self, future: Any, n_steps: int, n_sequences: int) -> list[Array]:
        """Return the inputs that are no output, (n_steps, n_external) for each sequence."""
        outside = np.flatnonzero(self.input_sources_ < 0)
        dtype = np.dtype(self.dtype)
        if not len(outside):
            if future is not None:
                raise ValueError(
                    "`future` was given, but each input is an output, and none is known ahead. "
                    "Leave it out."
                )
            return [np.empty((n_steps, 0), dtype=dtype)] * n_sequences
        known = self._names_of(outside)
        if future is None and n_steps:
            raise ValueError(
                f"`future` is missing, but {known} of `X` is no output of this "
                f"{type(self).__name__}. Pass its values at the steps to come, "
                f"({n_steps}, {len(outside)})."
            )
        if not n_steps:
            return [np.empty((0, len(outside)), dtype=dtype)] * n_sequences
        is_list = isinstance(future, list | tuple) and np.ndim(future[0]) == 2
        parts = future if is_list or np.ndim(future) == 3 else [future]
        if len(parts) != n_sequences:
            raise ValueError(
                f"`future` holds {len(parts)} sequence(s), but {n_sequences} are forecast. Pass "
                "one for each."
            )
        return [self._read_known(part, outside, n_steps) for part in parts]

    def _read_known(self, future: Any, outside: Integers, n_steps: int) -> Array:
        """Return the known inputs of one sequence, checked."""
        columns = getattr(future, "columns", None)
        if columns is not None and hasattr(self, "feature_names_in_"):
            names = list(self.feature_names_in_[outside])
            missing = [name for name in names if name not in list(columns)]
            if missing:
                raise ValueError(
                    f"`future` has no column {missing[0]!r}, but its values at the steps to come "
                    "are needed. Add it."
                )
            future = future[names]
        rows = np.asarray(to_host(future), dtype=np.dtype(self.dtype))
        if rows.ndim == 1 and len(outside) == 1:
            rows = rows[:, np.newaxis]
        if rows.ndim != 2 or rows.shape[1] != len(outside) or len(rows) < n_steps:
            raise ValueError(
                f"`future` has shape {rows.shape}, but {n_steps} rows or more of {len(outside)} "
                f"values were expected: {self._names_of(outside)}, which is no output."
            )
        if not np.isfinite(rows[:n_steps]).all():
            raise ValueError("`future` holds NaN or infinity. Pass finite numbers.")
        return rows[:n_steps]

    def _names_of(self, inputs: Integers) -> str:
        """Return inputs by name, or by number where they have none."""
        if hasattr(self, "feature_names_in_"):
            return ", ".join(repr(str(name)) for name in self.feature_names_in_[inputs])
        return "column " + ", ".join(map(str, inputs))
