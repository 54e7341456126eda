"""States of a reservoir, and sequences in model space, as collection transformers of aeon."""

from __future__ import annotations

from typing import Any, ClassVar

from aeon.transformations.collection.base import BaseCollectionTransformer

from reservoir.classification._model_space import ReservoirModelSpace
from reservoir.estimators._transformer import ReservoirTransformer
from reservoir.interfaces._wrapped import fresh, holds, small_model_spaces, small_transformers
from reservoir.sequences._layout import from_aeon


class Wrapping(BaseCollectionTransformer):
    """What both transformers do: one reservoir for all series, drawn in `fit`."""

    _tags: ClassVar[dict[str, Any]] = {
        "X_inner_type": ["np-list", "numpy3D"],
        "capability:multivariate": True,
        "capability:unequal_length": True,
    }
    _kind: ClassVar[type]

    def __init__(self, transformer: Any = None) -> None:
        self.transformer = transformer
        super().__init__()
        for tag in ("capability:missing_values", "removes_missing_values"):
            self.set_tags(**{tag: holds(transformer)})

    def _fit(self, X: Any, y: Any = None) -> None:
        model = fresh("transformer", self.transformer, self._kind)
        self.transformer_ = model.fit(from_aeon(X))


class AeonReservoirTransformer(Wrapping):
    """`ReservoirTransformer` as a transformer of aeon, from collections to collections.

    The states of one reservoir at each step of each series, as its channels.

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
    >>> from reservoir import ReservoirTransformer
    >>> from reservoir.interfaces.aeon import AeonReservoirTransformer
    >>> X = np.random.default_rng(0).normal(size=(10, 2, 20))
    >>> states = AeonReservoirTransformer(ReservoirTransformer(n_units=3, random_state=0))
    >>> states.fit_transform(X).shape
    (10, 3, 20)
    """

    _kind = ReservoirTransformer

    def _transform(self, X: Any, y: Any = None) -> Any:
        # The same turn of the axes leads back.
        return from_aeon(self.transformer_.transform(from_aeon(X)))

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return small settings for the checks of aeon."""
        return small_transformers()


class AeonReservoirModelSpace(Wrapping):
    """`ReservoirModelSpace` as a transformer of aeon, from collections to features.

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
    >>> from reservoir.interfaces.aeon import AeonReservoirModelSpace
    >>> X = np.random.default_rng(0).normal(size=(10, 1, 20))
    >>> space = ReservoirModelSpace(n_units=10, n_components=2, random_state=0)
    >>> AeonReservoirModelSpace(space).fit_transform(X).shape
    (10, 6)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "output_data_type": "Tabular",
        "removes_unequal_length": True,
    }
    _kind = ReservoirModelSpace

    def _transform(self, X: Any, y: Any = None) -> Any:
        return self.transformer_.transform(from_aeon(X))

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return small settings for the checks of aeon."""
        return small_model_spaces()
