"""States of a reservoir, and sequences in model space, as transformers of sktime."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import pandas as pd
from sktime.transformations.base import BaseTransformer

from reservoir.classification._model_space import ReservoirModelSpace
from reservoir.estimators._transformer import ReservoirTransformer
from reservoir.interfaces._wrapped import fresh, holds, small_model_spaces, small_transformers
from reservoir.interfaces.sktime._panels import PANELS, as_sequences


class Wrapping(BaseTransformer):
    """What both transformers do: one reservoir for all instances, drawn in `fit`."""

    _tags: ClassVar[dict[str, Any]] = {
        "authors": "The reservoir-hessianfree developers",
        "maintainers": "The reservoir-hessianfree developers",
        "scitype:transform-input": "Series",
        "scitype:instancewise": False,
        "fit_is_empty": False,
        "y_inner_mtype": "None",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:categorical_in_X": False,
    }
    _kind: ClassVar[type]

    def __init__(self, transformer: Any = None) -> None:
        self.transformer = transformer
        super().__init__()
        for tag in ("capability:missing_values", "capability:missing_values:removes"):
            self.set_tags(**{tag: holds(transformer)})

    def _fit(self, X: Any, y: Any = None) -> Self:
        model = fresh("transformer", self.transformer, self._kind)
        self.transformer_ = model.fit(self._read(X))
        return self

    def _read(self, X: Any) -> Any:
        """Return what sktime passes as what the wrapped transformer reads."""
        return X


class SktimeReservoirTransformer(Wrapping):
    """`ReservoirTransformer` as a transformer of sktime, from series to series.

    The states of one reservoir at each step, for one series or many of any lengths.

    Read more in the guide: :doc:`/guide/interfaces`.

    Parameters
    ----------
    transformer : ReservoirTransformer, default=None
        What transforms; it is cloned in ``fit``. None stands for ``ReservoirTransformer()``. Its
        parameters can be set as ``transformer__n_units`` and so on.

    Attributes
    ----------
    transformer_ : ReservoirTransformer
        The fitted transformer.

    See Also
    --------
    reservoir.ReservoirTransformer : What it wraps.

    Notes
    -----
    Missing values are accepted if ``missing`` of the transformer is "hold".

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from reservoir import ReservoirTransformer
    >>> from reservoir.interfaces.sktime import SktimeReservoirTransformer
    >>> u = pd.DataFrame({"u": np.sin(np.arange(20.0))})
    >>> states = SktimeReservoirTransformer(ReservoirTransformer(3, random_state=0))
    >>> states.fit_transform(u).columns.tolist()
    ['reservoirtransformer0', 'reservoirtransformer1', 'reservoirtransformer2']
    """

    _tags: ClassVar[dict[str, Any]] = {
        "scitype:transform-output": "Series",
        "X_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "transform-returns-same-time-index": True,
    }
    _kind = ReservoirTransformer

    def _transform(self, X: Any, y: Any = None) -> Any:
        states, names = self.transformer_.transform(X), self.transformer_.get_feature_names_out()
        return pd.DataFrame(states, index=X.index, columns=names)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return small settings for the checks of sktime.

        Parameters
        ----------
        parameter_set : str, default="default"
            Not used: there is one set.

        Returns
        -------
        list of dict
            Parameters of the class.
        """
        return small_transformers()


class SktimeReservoirModelSpace(Wrapping):
    """`ReservoirModelSpace` as a transformer of sktime, from series to features.

    One row of features for each series, whatever its length.

    Read more in the guide: :doc:`/guide/interfaces`.

    Parameters
    ----------
    transformer : ReservoirModelSpace, default=None
        What transforms; it is cloned in ``fit``. None stands for ``ReservoirModelSpace()``. Its
        parameters can be set as ``transformer__n_units`` and so on.

    Attributes
    ----------
    transformer_ : ReservoirModelSpace
        The fitted transformer.

    See Also
    --------
    reservoir.ReservoirModelSpace : What it wraps.

    Notes
    -----
    Missing values are accepted if ``missing`` of the transformer is "hold".

    Examples
    --------
    >>> import numpy as np
    >>> from reservoir import ReservoirModelSpace
    >>> from reservoir.interfaces.sktime import SktimeReservoirModelSpace
    >>> X = np.random.default_rng(0).normal(size=(10, 1, 20))
    >>> space = ReservoirModelSpace(n_units=10, n_components=2, random_state=0)
    >>> SktimeReservoirModelSpace(space).fit_transform(X).shape
    (10, 6)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "scitype:transform-output": "Primitives",
        "X_inner_mtype": PANELS,
    }
    _kind = ReservoirModelSpace

    def _read(self, X: Any) -> Any:
        return as_sequences(X)

    def _transform(self, X: Any, y: Any = None) -> Any:
        features = self.transformer_.transform(self._read(X))
        return pd.DataFrame(features, columns=self.transformer_.get_feature_names_out())

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return small settings for the checks of sktime.

        Parameters
        ----------
        parameter_set : str, default="default"
            Not used: there is one set.

        Returns
        -------
        list of dict
            Parameters of the class.
        """
        return small_model_spaces()
