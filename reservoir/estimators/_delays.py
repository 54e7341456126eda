"""Delayed copies of a series beside it: of inputs for a reservoir, or of its states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from reservoir.sequences._layout import Layout
from reservoir.sequences._reading import SequenceReader
from reservoir.utils.device import refuse_device_arrays
from reservoir.utils.explained import explained
from reservoir.utils.persistence import SavableMixin
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Array
from reservoir.utils.validation import check_axes, check_integer


@explained
def embed_delays(series: Array, delays: Sequence[int]) -> Array:
    """Return delayed copies of one series side by side.

    s[t] = [u[t - d₁]; u[t - d₂]; ...],   u[t] = 0 for t < 0   [1]_

    Parameters
    ----------
    series : ndarray of shape (n_steps, n_features)
        u[t].
    delays : sequence of int of length n_delays
        d, in steps, 0 or more.

    Returns
    -------
    ndarray of shape (n_steps, n_delays · n_features)
        All features of the first delay come first.

    References
    ----------
    .. [1] Takens (1981), Detecting strange attractors in turbulence.

    Examples
    --------
    >>> import numpy as np
    >>> embed_delays(np.array([[1.0], [2.0], [3.0]]), [0, 2])
    array([[1., 0.],
           [2., 0.],
           [3., 1.]])
    """
    check_axes("series", series, 2)
    n_steps, n_features = series.shape
    embedded = np.zeros((n_steps, len(delays), n_features), dtype=series.dtype)
    for position, delay in enumerate(delays):
        embedded[delay:, position] = series[: max(n_steps - delay, 0)]
    return embedded.reshape(n_steps, -1)


class DelayEmbedding(TransformerMixin, SavableMixin, BaseEstimator):
    """Delayed copies of each sequence, as features for a reservoir or a readout.

    s[t] = [u[t - d₁]; u[t - d₂]; ...],   u[t] = 0 before the sequence starts   [1]_

    In front of a reservoir it lengthens what a step tells of the past; behind a
    `ReservoirTransformer` it lets a readout see states of several times.

    Read more in the guide: :doc:`/guide/architectures`.

    Parameters
    ----------
    delays : sequence of int, default=(0, 1)
        d, in steps, each 0 or more and no two alike. Without 0 the series itself is left out.

    Attributes
    ----------
    delays_ : list of int
        As they were checked.
    n_features_in_ : int
        Number of features of a step.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had string column names.

    Notes
    -----
    No row is dropped, and no delay reaches from one sequence into another. So the first max(d)
    steps of each sequence see zeros in place of a past that is not there: give the model behind a
    `washout` of max(d) steps more than it would need by itself. `predict` of a pipeline likewise
    starts from nothing: to go on with a series, pass the steps before as well.

    In a pipeline, pass several sequences as a list or a 3-D array. `groups` and `lengths` reach
    the steps of a pipeline by metadata routing only, and where they do not reach this one, rows
    are one sequence.

    References
    ----------
    .. [1] Takens (1981), Detecting strange attractors in turbulence.

    Examples
    --------
    >>> import numpy as np
    >>> from reservoir.estimators import DelayEmbedding
    >>> for part in DelayEmbedding([0, 1]).fit_transform([[[1.0], [2.0]], [[7.0], [8.0]]]):
    ...     print(part.tolist())
    [[1.0, 0.0], [2.0, 1.0]]
    [[7.0, 0.0], [8.0, 7.0]]
    """

    def __init__(self, delays: Sequence[int] = (0, 1)) -> None:
        self.delays = delays

    @transaction()
    def fit(
        self,
        X: Any,
        y: Any = None,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Check the delays, and remember how many features there are.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features), list of such, 3-D array, or panel
            One series or several.
        y : object
            Not used.
        groups : array-like of shape (n_steps,), optional
            Label of the sequence that each row of a 2-D `X` belongs to; contiguous.
        lengths : array-like of int of shape (n_sequences,), optional
            Steps of each sequence of a 2-D `X`.

        Returns
        -------
        DelayEmbedding
            Itself.

        Raises
        ------
        ValueError, TypeError
            If a delay is not an integer of 0 or more, comes twice, or there is none.
        """
        self.delays_ = _check_delays(self.delays)
        self._read(X, groups, lengths, reset=True)
        return self

    def transform(
        self, X: Any, groups: ArrayLike | None = None, lengths: ArrayLike | None = None
    ) -> Any:
        """Return the delayed copies of each sequence side by side.

        Parameters
        ----------
        X, groups, lengths
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_steps, n_delays · n_features), or several of them in the form of `X`

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `X` does not match what the transformer was fitted with.
        """
        check_is_fitted(self, "delays_")
        rows, layout = self._read(X, groups, lengths)
        parts = [embed_delays(part, self.delays_) for part in layout.split(rows)]
        return layout.restore(np.concatenate(parts), list(self.get_feature_names_out()))

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Return the names of the columns: those of the input, with the delay behind.

        Parameters
        ----------
        input_features : array-like of str of shape (n_features,), optional
            Names of the input features; left out, those of `fit`, or x0, x1, ...

        Returns
        -------
        ndarray of str objects
        """
        check_is_fitted(self, "delays_")
        names = OneToOneFeatureMixin.get_feature_names_out(self, input_features)
        return np.array([f"{name}[t-{d}]" for d in self.delays_ for name in names], dtype=object)

    def _check_loaded(self) -> None:
        super()._check_loaded()
        for delay in getattr(self, "delays_", ()):
            check_integer("delays_", delay)

    def _read(
        self, X: Any, groups: Any, lengths: Any, *, reset: bool = False
    ) -> tuple[Array, Layout]:
        refuse_device_arrays(type(self).__name__, X=X)
        reader = SequenceReader(self, np.dtype(np.float64))
        rows, layout = reader.stacked(X, groups, lengths, reset=reset)
        return validate_data(self, rows, dtype=[np.float64, np.float32], reset=reset), layout


def _check_delays(delays: Any) -> list[int]:
    if not np.iterable(delays) or isinstance(delays, str):
        raise TypeError(f"`delays` is {delays!r}, but several integers were expected. Pass a list.")
    checked = [check_integer("delays", delay) for delay in delays]
    if not checked or len(set(checked)) < len(checked):
        raise ValueError(
            f"`delays` is {checked}, but one delay or more, no two alike, were expected. Pass "
            "each delay once."
        )
    return checked
