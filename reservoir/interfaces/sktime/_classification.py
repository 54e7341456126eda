"""The classifier of sequences, for sktime."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from sktime.classification.base import BaseClassifier

from reservoir.classification._classifier import ESNClassifier
from reservoir.interfaces._wrapped import fresh, holds, small_classifiers
from reservoir.interfaces.sktime._panels import PANELS, as_sequences


class SktimeESNClassifier(BaseClassifier):
    """`ESNClassifier` as a classifier of sktime.

    It has the methods of sktime's ``BaseClassifier``, takes what that takes (series of several
    channels and of unequal lengths among it), and computes what `ESNClassifier` computes.

    Read more in the guide: :doc:`/guide/interfaces`.

    Parameters
    ----------
    classifier : ESNClassifier, default=None
        What classifies; it is cloned in ``fit``. None stands for ``ESNClassifier()``. Its
        parameters can be set as ``classifier__n_units`` and so on.

    Attributes
    ----------
    classifier_ : ESNClassifier
        The fitted classifier.

    See Also
    --------
    reservoir.ESNClassifier : What it wraps.

    Notes
    -----
    Missing values are accepted if ``missing`` of the classifier is "hold". Probabilities need its
    ``cv``.

    Examples
    --------
    >>> import numpy as np
    >>> from reservoir import ESNClassifier
    >>> from reservoir.interfaces.sktime import SktimeESNClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 20)
    >>> ramps = np.where(y, 1, -1)[:, None, None] * np.linspace(-1, 1, 15)
    >>> X = ramps + rng.normal(size=(40, 1, 15))
    >>> model = SktimeESNClassifier(ESNClassifier(n_units=50, pooling=2, random_state=0))
    >>> bool(model.fit(X[::2], y[::2]).score(X[1::2], y[1::2]) > 0.9)
    True
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": "The reservoir-hessianfree developers",
        "maintainers": "The reservoir-hessianfree developers",
        "X_inner_mtype": PANELS,
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:predict_proba": True,
        "capability:categorical_in_X": False,
    }

    def __init__(self, classifier: ESNClassifier | None = None) -> None:
        self.classifier = classifier
        super().__init__()
        self.set_tags(**{"capability:missing_values": holds(classifier)})

    def _fit(self, X: Any, y: Any) -> Self:
        model = fresh("classifier", self.classifier, ESNClassifier)
        self.classifier_ = model.set_params(label_per="sequence").fit(as_sequences(X), y)
        return self

    def _predict(self, X: Any) -> Any:
        return np.asarray(self.classifier_.predict(as_sequences(X)), dtype=self.classes_.dtype)

    def _predict_proba(self, X: Any) -> Any:
        return self.classifier_.predict_proba(as_sequences(X))

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
        return small_classifiers()
