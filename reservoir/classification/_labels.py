"""Labels of classification: one per sequence or one per step, brought to one per row."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples, column_or_1d

from reservoir.sequences._layout import Layout, stack_like
from reservoir.sequences._panels import labels_in_order


def labels_by_row(
    y: Any, layout: Layout, label_per: str
) -> tuple[Any, Literal["sequence", "step"]]:
    """Return one label for each row of the stacked sequences, and what a label belongs to.

    Parameters
    ----------
    y : array-like or list of array-like
        One label per sequence or one per step.
    layout : Layout
        What `stack_sequences` returned for the inputs.
    label_per : {"auto", "sequence", "step"}
        What a label belongs to; "auto" goes by their number.

    Returns
    -------
    labels : array-like of shape (n_rows,)
        Checked for its length only where there is one label per sequence.
    label_per : {"sequence", "step"}

    Raises
    ------
    ValueError
        If `y` has neither form, or another one than `label_per` says.

    Examples
    --------
    >>> labels_by_row(["a", "b"], Layout((2, 1), "list"), "auto")
    (array(['a', 'a', 'b'], dtype='<U1'), 'sequence')
    """
    n_sequences, n_rows = len(layout.lengths), layout.n_rows
    if layout.form == "panel":
        y = labels_in_order(y, layout.index)
    if layout.form in ("rows", "panel"):
        n_labels = _num_samples(y)
        if n_sequences > 1 and n_labels not in (n_sequences, n_rows):
            raise ValueError(
                f"`y` has {n_labels} labels, but `X` holds {n_sequences} sequences of {n_rows} "
                "steps. Pass one label per sequence, or one per step."
            )
        by_number = "sequence" if n_labels == n_sequences != n_rows else "step"
        label_per = by_number if label_per == "auto" else label_per
        if label_per == "step":
            if n_labels == n_sequences != n_rows:
                raise ValueError(
                    f"`y` has {n_labels} labels, one per sequence, but `label_per` is 'step', and "
                    f"`X` has {n_rows} steps. Pass one label per step, or set `label_per` to "
                    "'sequence'."
                )
            return stack_like(y, layout, name="y"), "step"
        labels = column_or_1d(y, warn=True)
        if n_labels == n_rows:
            labels = _common_labels(labels, layout)
    else:
        n_labels = len(y) if hasattr(y, "__len__") else 0
        if n_labels != n_sequences:
            raise ValueError(
                f"`y` has {n_labels} entries, but `X` holds {n_sequences} sequences. Pass one "
                "label per sequence, or one array of labels per sequence, with one per step."
            )
        is_flat = n_labels == n_sequences and all(np.ndim(label) == 0 for label in y)
        label_per = ("sequence" if is_flat else "step") if label_per == "auto" else label_per
        if label_per == "step":
            if is_flat:
                raise ValueError(
                    f"`y` has {n_labels} labels, one per sequence, but `label_per` is 'step'. Pass "
                    "one array of labels per sequence, or set `label_per` to 'sequence'."
                )
            return stack_like(y, layout, name="y"), "step"
        if not is_flat:
            raise ValueError(
                f"`y` has {n_labels} entries that are not all labels of sequences, but `label_per` "
                "is 'sequence'. Pass one label per sequence, or set `label_per` to 'step'."
            )
        labels = np.asarray(y)
    return np.repeat(labels, layout.lengths), "sequence"


def _common_labels(labels: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Return the label that all rows of each sequence share."""
    common = labels[layout.offsets[:-1]]
    differs = np.flatnonzero(np.repeat(common, layout.lengths) != labels)
    if len(differs):
        row = int(differs[0])
        index = int(np.searchsorted(layout.offsets, row, side="right")) - 1
        raise ValueError(
            f"`y` is {labels[row]!s} at row {row}, but {common[index]!s} at the start of the same "
            f"sequence {index}, and `label_per` is 'sequence'. Give all rows of a group the same "
            "label, or set `label_per` to 'step'."
        )
    return common


def refuse_targets(y: NDArray[np.floating]) -> None:
    """Raise if finite numbers are targets of a regression, not labels."""
    if np.isfinite(y).all():
        check_classification_targets(y)
