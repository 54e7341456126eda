"""Labels as a net learns them: one of several classes, a set of labels, several at once."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from hessianfree.network._joint_loss import JointLoss
from hessianfree.network._losses import LogisticCrossEntropy, Loss, SoftmaxCrossEntropy
from reservoir.utils.types import Array


def check_labels(y: Any, is_scored: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Return labels (n,) or (n, n_outputs); those that are not scored are overwritten."""
    array = np.asarray(y)
    several = array.ndim == 2 and array.shape[1] > 1
    labels: NDArray[Any] = array if several else column_or_1d(y, warn=True)
    if is_scored is not None:
        # One of those that count, in their type: NaN makes integers floats, None objects.
        scored = labels[is_scored]
        scored = np.array(scored.tolist()) if labels.dtype == object else scored
        labels = np.empty((len(labels), *scored.shape[1:]), dtype=scored.dtype)
        labels[...] = scored[0]
        labels[is_scored] = scored
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    return labels


class SingleLabel:
    """Labels that are one of several classes, as softmax, or for two classes the logistic, has it.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
    """

    kind: ClassVar[str] = "single"

    def __init__(self, classes: NDArray[Any]) -> None:
        self.classes = classes

    @staticmethod
    def classes_of(y: NDArray[Any]) -> NDArray[Any]:
        """Return the classes of labels (n,)."""
        return classes_in("`y`", y)

    def check(self, name: str, y: NDArray[Any], before: str, remedy: str) -> None:
        """Raise if there are classes that are not known."""
        refuse_unknown(f"`{name}`", y, self.classes, before, remedy)

    def loss(self, weights: tuple[float, ...] | None) -> tuple[str | Loss, int]:
        """Return the loss and the number of outputs."""
        n_classes = len(self.classes)
        return ("logistic", 1) if n_classes == 2 else ("softmax", n_classes)

    def encode(self, y: NDArray[Any], *, as_numbers: bool) -> NDArray[Any]:
        """Return class numbers (n,), or one-hot rows; for two classes 0 and 1 as a column."""
        if len(self.classes) == 2 or not as_numbers:
            return one_hot(y, self.classes)
        numbers: NDArray[Any] = np.searchsorted(self.classes, y)
        return numbers

    def probabilities(self, outputs: Array) -> Any:
        """Return float64 probabilities of all classes, one row per target."""
        return of_all_classes(outputs)

    def choose(self, probabilities: Any) -> NDArray[Any]:
        """Return the most probable class of each row."""
        labels: NDArray[Any] = self.classes[np.argmax(probabilities, axis=1)]
        return labels


class LabelSet:
    """Labels that each hold or not, independently: columns of 0 and 1.

    Parameters
    ----------
    classes : ndarray of shape (n_labels,)
        Numbers of the columns.
    """

    kind: ClassVar[str] = "multilabel"

    def __init__(self, classes: NDArray[Any]) -> None:
        self.classes = classes

    @staticmethod
    def classes_of(y: NDArray[Any]) -> NDArray[Any]:
        """Return the numbers of the columns of y (n, n_labels)."""
        return np.arange(y.shape[1])

    def check(self, name: str, y: NDArray[Any], before: str, remedy: str) -> None:
        """Raise unless there are as many columns, of 0 and 1."""
        if kind_of(y) != self.kind or y.shape[1] != len(self.classes):
            raise ValueError(
                f"`{name}` has shape {y.shape}, or other labels than 0 and 1, but {before} "
                f"{len(self.classes)} columns of 0 and 1. {remedy}"
            )

    def loss(self, weights: tuple[float, ...] | None) -> tuple[str | Loss, int]:
        """Return the loss and the number of outputs."""
        return LogisticCrossEntropy(weights) if weights else "logistic", len(self.classes)

    def encode(self, y: NDArray[Any], *, as_numbers: bool) -> NDArray[Any]:
        """Return the columns as floats."""
        return y.astype(np.float64)

    def probabilities(self, outputs: Array) -> Any:
        """Return the float64 probability of each label, one row per target."""
        return outputs.astype(np.float64)

    def choose(self, probabilities: Any) -> NDArray[Any]:
        """Return 1 where a label is more probable than not."""
        labels: NDArray[Any] = (probabilities > 0.5).astype(np.intp)
        return labels


class SeveralLabels:
    """Several labels at once, each one of several classes of its own.

    Parameters
    ----------
    classes : list of ndarray of shape (n_classes_k,)
    """

    kind: ClassVar[str] = "multioutput"

    def __init__(self, classes: list[NDArray[Any]]) -> None:
        self.classes = classes

    @staticmethod
    def classes_of(y: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the classes of each column of y (n, n_outputs)."""
        return [classes_in(f"column {k} of `y`", column) for k, column in enumerate(y.T)]

    def check(self, name: str, y: NDArray[Any], before: str, remedy: str) -> None:
        """Raise if there are other columns, or classes that are not known."""
        if y.ndim != 2 or y.shape[1] != len(self.classes):
            raise ValueError(
                f"`{name}` has shape {y.shape}, but {before} {len(self.classes)} columns. {remedy}"
            )
        for k, (column, classes) in enumerate(zip(y.T, self.classes)):
            refuse_unknown(f"column {k} of `{name}`", column, classes, before, remedy)

    def loss(self, weights: tuple[float, ...] | None) -> tuple[str | Loss, int]:
        """Return the loss and the number of outputs."""
        sizes = self._sizes
        if max(sizes) == 1:
            return LogisticCrossEntropy(weights) if weights else "logistic", len(sizes)
        losses = tuple(
            LogisticCrossEntropy() if size == 1 else SoftmaxCrossEntropy() for size in sizes
        )
        return JointLoss(losses, sizes, weights), sum(sizes)

    def encode(self, y: NDArray[Any], *, as_numbers: bool) -> NDArray[Any]:
        """Return rows of the columns of all outputs, one-hot, or 0 and 1 for two classes."""
        return np.hstack([one_hot(column, own) for column, own in zip(y.T, self.classes)])

    def probabilities(self, outputs: Array) -> Any:
        """Return float64 probabilities of the classes of each output: a list."""
        ends = np.cumsum(self._sizes)[:-1]
        return [of_all_classes(part) for part in np.split(outputs, ends, axis=1)]

    def choose(self, probabilities: Any) -> NDArray[Any]:
        """Return the most probable class of each output, one row per target."""
        own = zip(self.classes, probabilities)
        return np.column_stack([classes[np.argmax(rows, axis=1)] for classes, rows in own])

    @property
    def _sizes(self) -> tuple[int, ...]:
        """Outputs of the net for each label."""
        return tuple(1 if len(own) == 2 else len(own) for own in self.classes)


Labels = SingleLabel | LabelSet | SeveralLabels
LABELS: dict[str, Any] = {one.kind: one for one in (SingleLabel, LabelSet, SeveralLabels)}


def kind_of(y: NDArray[Any]) -> str:
    """Return which labels there are in checked labels.

    Examples
    --------
    >>> kind_of(np.array(["a", "b"])), kind_of(np.eye(2)), kind_of(np.array([[0, 1], [1, 2]]))
    ('single', 'multilabel', 'multioutput')
    """
    if y.ndim == 1:
        return SingleLabel.kind
    is_set = y.dtype.kind in "biuf" and np.isin(y, (0, 1)).all()
    return LabelSet.kind if is_set else SeveralLabels.kind


def classes_in(where: str, labels: NDArray[Any]) -> NDArray[Any]:
    """Return the classes of labels, sorted, of which there have to be two."""
    classes: NDArray[Any] = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(
            f"{where} holds the one class {classes.tolist()}, but at least 2 classes were "
            "expected. Pass sequences of more than one class."
        )
    return classes


def refuse_unknown(
    where: str, labels: NDArray[Any], known: NDArray[Any], before: str, remedy: str
) -> None:
    """Raise if there are classes that are not known."""
    classes = np.unique(labels)
    if not np.isin(classes, known).all():
        raise ValueError(
            f"{where} holds the classes {classes.tolist()}, but {before} {known.tolist()}. {remedy}"
        )


def one_hot(labels: NDArray[Any], classes: NDArray[Any]) -> Array:
    """Return rows with a 1 for the class, or for two classes a column that is 1 for the second.

    Examples
    --------
    >>> one_hot(np.array(["b", "a"]), np.array(["a", "b", "c"]))
    array([[0., 1., 0.],
           [1., 0., 0.]])
    """
    shown = classes[1:] if len(classes) == 2 else classes
    rows: Array = (labels[:, None] == shown).astype(np.float64)
    return rows


def of_all_classes(outputs: Array) -> Array:
    """Return float64 probabilities of all classes: of the second alone both, rows that sum to 1."""
    outputs = outputs.astype(np.float64)
    if outputs.shape[1] == 1:
        outputs = np.column_stack([1 - outputs, outputs])
    # Rows that sum to 1 in float32 do not in float64.
    normalized: Array = outputs / outputs.sum(axis=1, keepdims=True)
    return normalized
