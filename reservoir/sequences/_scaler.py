"""Any scikit-learn transformer of rows, for sequences in every form."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from reservoir.sequences._layout import Layout, stack_sequences
from reservoir.sequences._names import with_names
from reservoir.sequences._recognition import turn_as_fitted
from reservoir.utils.device import refuse_device_arrays
from reservoir.utils.explained import explained
from reservoir.utils.transactions import transaction
from reservoir.utils.validation import check_methods


class SequenceScaler(TransformerMixin, BaseEstimator):
    """Scale the features of sequences, by a transformer that sees all their steps as rows.

    What a transformer of scikit-learn learns and does, it learns from and does to the rows of all
    sequences, stacked: lists, 3-D arrays and panels go in, and come out in the same form.

    Read more in the guide: :doc:`/guide/classification`.

    Parameters
    ----------
    transformer : transformer, optional
        What is applied to rows: `StandardScaler()` if left out, a `Pipeline` of several, `PCA`.
        It gives one row for each.

    Attributes
    ----------
    transformer_ : transformer
        The fitted one.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had string column names.

    Notes
    -----
    A 2-D `X` is rows of one series, as everywhere in this package; `groups` and `lengths` are not
    needed, since rows are scaled one by one. Univariate series stored as rows, (n_series,
    n_steps), need the axis of features: ``X[:, :, np.newaxis]``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from reservoir import ESNClassifier
    >>> from reservoir.sequences import SequenceScaler
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(2, size=40)
    >>> X = [1000 + 500 * label + rng.normal(size=(rng.integers(20, 30), 2)) for label in y]
    >>> model = make_pipeline(SequenceScaler(), ESNClassifier(30, random_state=0))
    >>> model.fit(X[:30], y[:30]).score(X[30:], y[30:])
    1.0
    >>> bool(abs(np.concatenate(model[0].transform(X[:30])).mean()) < 1e-9)
    True
    """

    def __init__(self, transformer: Any = None) -> None:
        self.transformer = transformer

    @explained
    @transaction()
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the transformer to the steps of all sequences.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features), list of such, 3-D array, or panel
            One series or several.
        y : object
            Not used.

        Returns
        -------
        SequenceScaler
            Itself.

        Raises
        ------
        TypeError
            If `transformer` is none.
        ValueError
            If `X` does not describe sequences, or as the transformer does.
        """
        transformer = clone(self._unfitted())
        rows, _ = self._read(X, reset=True)
        self.transformer_ = transformer.fit(rows)
        return self

    @explained
    def transform(self, X: Any) -> Any:
        """Return the sequences with each step transformed.

        Parameters
        ----------
        X
            As in `fit`.

        Returns
        -------
        array-like, list or DataFrame
            In the form of `X`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `X` does not match what was fitted, or the transformer does not give a row for each.
        """
        check_is_fitted(self)
        rows, layout = self._read(X, reset=False)
        return self._restored(self.transformer_.transform(rows), layout)

    @explained
    def inverse_transform(self, X: Any) -> Any:
        """Return the sequences that `transform` makes `X` of.

        Parameters
        ----------
        X : as what `transform` returns
            One series or several.

        Returns
        -------
        array-like, list or DataFrame
            In the form of `X`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        refuse_device_arrays(type(self).__name__, X=X)
        rows, layout = stack_sequences(X)
        inverse = self.transformer_.inverse_transform(rows)
        names = getattr(self, "feature_names_in_", None)
        return self._restored(inverse, layout, names)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Return the names that the transformer gives to its columns.

        Parameters
        ----------
        input_features : array-like of str of shape (n_features,), optional
            Names of the input features; left out, those of `fit`, or x0, x1, ...

        Returns
        -------
        ndarray of str objects
        """
        check_is_fitted(self)
        n_axes = np.asarray(input_features, dtype=object).ndim
        if input_features is not None and n_axes != 1:
            raise ValueError(
                f"`input_features` is of type {type(input_features).__name__} and has "
                f"{n_axes} axes, but a list of names was expected. Pass one name "
                "a feature."
            )
        names: NDArray[Any] = self.transformer_.get_feature_names_out(input_features)
        return names

    def _unfitted(self) -> Any:
        if self.transformer is None:
            from sklearn.preprocessing import StandardScaler  # here, since it is slow to import

            return StandardScaler()
        check_methods("transformer", self.transformer, ("fit", "transform"), "StandardScaler()")
        return self.transformer

    def _read(self, X: Any, *, reset: bool) -> tuple[Any, Layout]:
        """Return the rows of all sequences, with names where there are some, and their layout."""
        refuse_device_arrays(type(self).__name__, X=X)
        if not reset:
            X = turn_as_fitted(X, self.n_features_in_, is_per_sequence=False)
        rows, layout = stack_sequences(X)
        if layout.form == "list":
            rows = with_names(rows, X)
        # Values, and rows that are none, are for the transformer to check.
        if len(rows.shape) == 2:
            validate_data(self, rows, skip_check_array=True, reset=reset)
        return rows, layout

    def _restored(self, rows: Any, layout: Layout, names: Any = None) -> Any:
        """Return transformed rows in the form that the sequences came in."""
        if getattr(rows, "shape", (0,))[0] != layout.n_rows:
            raise ValueError(
                f"`transformer` is {self.transformer!r}, which gives {np.shape(rows)} for "
                f"{layout.n_rows} steps, but one row for each was expected. Apply it before the "
                "data are cut into sequences."
            )
        if layout.form == "rows":
            return rows
        names = self.get_feature_names_out() if names is None else names
        return layout.restore(np.asarray(rows), list(names))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "transformer_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self._unfitted())
        tags.input_tags = inner.input_tags
        if inner.transformer_tags is not None:
            tags.transformer_tags = inner.transformer_tags
        return tags
