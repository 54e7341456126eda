"""One series or many, in any of the accepted forms, as stacked rows; and back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reservoir.sequences._kinds import refuse_kinds, with_gaps
from reservoir.sequences._panels import as_panel, check_same_rows, is_panel, panel_lengths
from reservoir.utils.device import is_on_device, namespace_of, to_host
from reservoir.utils.explained import explained
from reservoir.utils.validation import as_numbers, check_iterable

Form = Literal["rows", "list", "array", "panel"]


@explained
@dataclass(frozen=True)
class Layout:
    """Where sequences begin and end in stacked rows, and the form that they came in.

    Attributes
    ----------
    lengths : tuple of int
        Number of steps of each sequence, in order.
    form : {"rows", "list", "array", "panel"}
        "rows": one 2-D array (with or without `groups` or `lengths`); "list": a list of 2-D
        arrays, or of 1-D ones; "array": one 3-D array of shape (n_sequences, n_steps,
        n_features); "panel": a pandas DataFrame whose rows have an instance and a time as labels.
    index : pandas MultiIndex or None
        The labels of the rows of a panel.

    Examples
    --------
    >>> import numpy as np
    >>> layout = Layout((2, 1), "list")
    >>> layout.split(np.array([[1.0], [2.0], [3.0]]))
    [array([[1.],
           [2.]]), array([[3.]])]
    """

    lengths: tuple[int, ...]
    form: Form
    index: Any = field(default=None, compare=False, repr=False)

    @property
    def n_rows(self) -> int:
        """Number of steps of all sequences together."""
        return sum(self.lengths)

    @property
    def offsets(self) -> NDArray[np.intp]:
        """First row of each sequence and, last, the number of rows: (n_sequences + 1,)."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.intp)])

    def split(self, rows: NDArray[Any]) -> list[NDArray[Any]]:
        """Return one view of `rows` for each sequence."""
        return [rows[a:b] for a, b in itertools.pairwise(self.offsets)]

    def restore(self, rows: NDArray[Any], names: Any = None) -> Any:
        """Return `rows` (n_rows, ...) in the form that the sequences came in.

        Columns of a panel are called by `names`.
        """
        if self.form == "rows":
            return rows
        if self.form == "panel":
            return as_panel(to_host(rows), self.index, names)
        if self.form == "array":
            return rows.reshape(len(self.lengths), -1, *rows.shape[1:])
        return self.split(rows)


@explained
def stack_sequences(X: Any, *, groups: Any = None, lengths: Any = None) -> tuple[Any, Layout]:
    """Stack the sequences of `X` into rows and say where each begins.

    Rows are steps, in time order. A 2-D `X` is one series, unless `groups` or `lengths`, or the
    instances of a pandas MultiIndex, cut it into several; a list of 2-D arrays or a 3-D array
    holds several. The order of axes is never guessed.

    Parameters
    ----------
    X : array-like of shape (n_steps, n_features), list of such, 3-D array, or panel
        A 3-D array is (n_sequences, n_steps, n_features). A list of 1-D arrays of unequal lengths
        holds series of one feature; of equal lengths it is rows, as in scikit-learn. A panel is
        a DataFrame or Series whose index has the levels (instance, time), or more than one for
        the instance. Values are not looked at.
    groups : array-like of shape (n_steps,), optional
        One label per row of a 2-D `X`; a new sequence begins where it changes.
    lengths : array-like of int of shape (n_sequences,), optional
        Number of steps of each sequence of a 2-D `X`; they add up to its rows.

    Returns
    -------
    rows : array-like of shape (n_rows, n_features)
        `X` itself where it is 2-D, so that column names are kept; otherwise an array.
    layout : Layout

    Raises
    ------
    ValueError
        If the shapes, `groups` or `lengths` do not describe sequences of at least one step each.
    TypeError
        If `X` is an object array, or its list elements are of several kinds.

    Examples
    --------
    >>> import numpy as np
    >>> rows, layout = stack_sequences([np.zeros((2, 3)), np.ones((4, 3))])
    >>> rows.shape, layout.lengths
    ((6, 3), (2, 4))
    >>> stack_sequences(np.zeros((5, 1)), groups=["a", "a", "b", "b", "b"])[1].lengths
    (2, 3)
    """
    if groups is not None and lengths is not None:
        raise ValueError("Both `groups` and `lengths` were given. Pass one of the two.")
    refuse_kinds(X, "X")
    X = with_gaps(X)
    if is_panel(X) and groups is None and lengths is None:
        rows = X.to_frame() if X.ndim == 1 else X
        return rows, Layout(panel_lengths(X.index, "X"), "panel", X.index)
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1 and len(X):
        X = list(X) if all(isinstance(part, np.ndarray) for part in X) else X
    if _is_list_of_sequences(X):
        _refuse_cuts(groups, lengths, "a list of sequences")
        return _stack_list(X)
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim != 2:
        raise TypeError(
            f"`X` is an object array of shape {X.shape}, but numbers were expected. "
            "Pass a list of arrays of shape (n_steps, n_features)."
        )
    if not hasattr(X, "shape"):
        X = _as_one_array(X)
    if len(X.shape) == 3:
        _refuse_cuts(groups, lengths, "3-D")
        # A memory-mapped array stays one, and is not copied; one on a device stays there.
        array = X if isinstance(X, np.memmap) else _as_array(X)
        n_sequences, n_steps, n_features = array.shape
        if n_sequences == 0 or n_steps == 0:
            raise ValueError(
                f"`X` has shape {array.shape}, which holds no step. Pass at least one sequence "
                "of at least one step."
            )
        return array.reshape(-1, n_features), Layout((n_steps,) * n_sequences, "array")
    if not X.shape:
        raise ValueError(
            f"`X` is a single {type(X[()] if isinstance(X, np.ndarray) else X).__name__}, but "
            "a 2D array of steps and features was expected, or several. Pass an array of shape "
            "(n_steps, n_features), or a list of such."
        )
    # Other numbers of dimensions are refused by the estimator's own check of 2-D input.
    n_rows = int(X.shape[0])
    if groups is not None:
        return X, Layout(_lengths_from_groups(groups, n_rows), "rows")
    if lengths is not None:
        return X, Layout(_checked_lengths(lengths, n_rows), "rows")
    return X, Layout((n_rows,), "rows")


@explained
def stack_like(values: Any, layout: Layout, *, name: str) -> Any:
    """Stack targets or weights that come in the same form as the sequences of `layout`.

    Parameters
    ----------
    values : array-like or list of array-like
        For the form "rows", n_rows values or rows, returned as they are; for "list", one array
        of n_steps values or rows per sequence; for "array", (n_sequences, n_steps, ...).
    layout : Layout
        What `stack_sequences` returned for the inputs.
    name : str
        Name of the argument, for the errors.

    Returns
    -------
    array-like of shape (n_rows,) or (n_rows, n_outputs)

    Raises
    ------
    ValueError
        If a sequence of `values` has another length than its input.

    Examples
    --------
    >>> stack_like([[1, 2], [3]], Layout((2, 1), "list"), name="y")
    array([1, 2, 3])
    """
    refuse_kinds(values, name)
    values = with_gaps(values)
    if layout.form == "rows":
        return values
    if layout.form == "panel":
        return check_same_rows(values, layout.index, name)
    n_sequences = len(layout.lengths)
    if not hasattr(values, "__len__") or len(values) != n_sequences:
        came = f"{len(values)} entries" if hasattr(values, "__len__") else repr(values)
        raise ValueError(
            f"`{name}` has {came}, but `X` holds {n_sequences} sequences. "
            f"Pass one array of values per sequence."
        )
    is_array = is_on_device(values) or (isinstance(values, np.ndarray) and values.dtype != object)
    if layout.form == "array" and is_array and values.shape[1:2] == layout.lengths[:1]:
        # One view, where the parts below would be copied.
        return values.reshape(layout.n_rows, *values.shape[2:])
    parts = [_as_array(part) for part in values]
    for index, (part, length) in enumerate(zip(parts, layout.lengths, strict=True)):
        if part.ndim not in (1, 2) or len(part) != length:
            raise ValueError(
                f"`{name}[{index}]` has shape {part.shape}, but `X[{index}]` has {length} steps. "
                "Pass one value, or one row of values, a step."
            )
        if part.shape[1:] != parts[0].shape[1:]:
            raise ValueError(
                f"`{name}[{index}]` has shape {part.shape}, but `{name}[0]` has "
                f"{parts[0].shape}. Give every sequence the same number of outputs."
            )
    return namespace_of(**{name: parts}).concatenate(parts)


@explained
def from_aeon(X: Any) -> Any:
    """Turn collections laid out (channels, steps), as in aeon and sktime, into sequences.

    Parameters
    ----------
    X : ndarray of shape (n_sequences, n_channels, n_steps) or list of 2-D arrays
        List elements have shape (n_channels, n_steps); n_steps may differ.

    Returns
    -------
    ndarray of shape (n_sequences, n_steps, n_channels), or list of (n_steps, n_channels)

    Raises
    ------
    ValueError
        If an entry is not 2-D.

    Examples
    --------
    >>> import numpy as np
    >>> from_aeon(np.zeros((10, 2, 50))).shape
    (10, 50, 2)
    """
    if isinstance(X, np.ndarray) and X.dtype != object:
        if X.ndim != 3:
            raise ValueError(
                f"`X` has shape {X.shape}, but (n_sequences, n_channels, n_steps) was expected. "
                "Add the missing axis."
            )
        return np.ascontiguousarray(X.transpose(0, 2, 1))
    check_iterable("X", X)
    parts = [np.asarray(part) for part in X]
    for index, part in enumerate(parts):
        if part.ndim != 2:
            raise ValueError(
                f"`X[{index}]` has shape {part.shape}, but (n_channels, n_steps) was expected. "
                "Add the missing axis."
            )
    return [np.ascontiguousarray(part.T) for part in parts]


def is_series_list(X: Any) -> bool:
    """Say whether `X` is a list of 1-D arrays or Series, which a list of plain lists is not.

    Examples
    --------
    >>> is_series_list([np.zeros(3), np.zeros(2)]), is_series_list([[0.0, 0.0], [1.0]])
    (True, False)
    """
    is_list = isinstance(X, list | tuple) and len(X) > 0
    return is_list and all(len(getattr(element, "shape", ())) == 1 for element in X)


def as_series_list(X: Any) -> list[Any]:
    """Return 1-D arrays as sequences of one feature, and others as they are."""
    return [_as_array(x).reshape(-1, 1) if len(getattr(x, "shape", ())) == 1 else x for x in X]


def _is_list_of_sequences(X: Any) -> bool:
    """Tell a list of sequences from a list of rows, and refuse a mixture."""
    if not isinstance(X, list | tuple):
        return False
    if len(X) == 0:
        raise ValueError(
            "`X` is an empty list, but at least one sequence was expected. "
            "Pass a list of arrays of shape (n_steps, n_features)."
        )
    dimensions = []
    for index, element in enumerate(X):
        try:
            dimensions.append(element.ndim if is_on_device(element) else np.ndim(element))
        except ValueError as error:
            raise ValueError(
                f"`X[{index}]` is ragged ({error}). Give every step of a sequence the same "
                "number of features."
            ) from error
    if all(n == 2 for n in dimensions):
        return True
    if is_series_list(X):
        # Rows of one array all have the same length.
        return len({len(element) for element in X}) > 1
    if len(set(dimensions)) > 1 or any(n > 2 for n in dimensions):
        raise ValueError(
            f"`X` is a list of arrays with {sorted(set(dimensions))} dimensions, but sequences "
            "have two: (n_steps, n_features). Reshape those that differ."
        )
    if dimensions[0] == 1 and len({len(element) for element in X}) > 1:
        raise ValueError(
            "`X` is a list of lists of unequal lengths. If each is a series of one feature, make "
            "it an array of shape (n_steps, 1)."
        )
    return False


def _stack_list(X: list[Any] | tuple[Any, ...]) -> tuple[NDArray[Any], Layout]:
    columns = [list(getattr(part, "columns", ())) for part in X]
    parts = [_as_array(part) for part in as_series_list(X)]
    for index, part in enumerate(parts):
        if len(part) == 0:
            raise ValueError(
                f"`X[{index}]` has shape {part.shape}, which holds no step. Remove it."
            )
        if part.shape[1] != parts[0].shape[1]:
            raise ValueError(
                f"`X[{index}]` has {part.shape[1]} features, but `X[0]` has "
                f"{parts[0].shape[1]}. Give every sequence the same features"
                + (
                    "; if they are laid out (n_channels, n_steps), turn them by `from_aeon(X)`."
                    if len({len(each) for each in parts}) == 1
                    else "."
                )
            )
        if columns[index] != columns[0]:
            raise ValueError(
                f"`X[{index}]` has the columns {columns[index]}, but `X[0]` has {columns[0]}. "
                "Give every sequence the same columns in one order."
            )
    rows = namespace_of(X=parts).concatenate(parts)
    return rows, Layout(tuple(len(part) for part in parts), "list")


def _as_array(values: Any) -> Any:
    """Return values as an array, where they lie."""
    return values if is_on_device(values) else np.asarray(with_gaps(values))


def _as_one_array(X: Any) -> Any:
    try:
        return np.asarray(X)
    except ValueError as error:
        raise ValueError(
            f"`X` of type {type(X).__name__} can't be read as one array ({error}). Pass an array "
            "of shape (n_steps, n_features), or a list of such."
        ) from None


def _refuse_cuts(groups: Any, lengths: Any, form: str) -> None:
    """`groups` and `lengths` cut rows; other forms are cut already."""
    for name, value in (("groups", groups), ("lengths", lengths)):
        if value is not None:
            raise ValueError(
                f"`{name}` was given, but `X` is {form}, which says where sequences begin. "
                f"Leave `{name}` out, or pass a 2-D `X`."
            )


def _lengths_from_groups(groups: Any, n_rows: int) -> tuple[int, ...]:
    labels = np.asarray(to_host(groups))
    if labels.shape != (n_rows,):
        raise ValueError(
            f"`groups` has shape {labels.shape}, but `X` has {n_rows} rows. Pass one label per row."
        )
    if n_rows == 0:
        return (0,)
    changes = labels[1:] != labels[:-1]
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1, [n_rows]])
    seen = set()
    for row in starts[:-1]:
        label = labels[row]
        if label != label:
            raise ValueError(f"`groups` holds {label} at row {row}. Give every row a label.")
        if label in seen:
            raise ValueError(
                f"`groups` comes back to {label!s} at row {row}, but the rows of one sequence "
                "must be contiguous. Sort the rows by group, keeping their order in time."
            )
        seen.add(label)
    return tuple(int(n) for n in np.diff(starts))


def _checked_lengths(lengths: Any, n_rows: int) -> tuple[int, ...]:
    values = as_numbers("lengths", to_host(lengths), None)
    if values.ndim != 1 or values.size == 0 or not np.issubdtype(values.dtype, np.integer):
        raise ValueError(
            f"`lengths` has shape {values.shape} and dtype {values.dtype}, but one integer a "
            "sequence was expected. Pass a list of integers."
        )
    result = tuple(int(n) for n in values)
    if min(result) < 1:
        index = int(np.argmin(values))
        raise ValueError(
            f"`lengths[{index}]` is {result[index]}, but a sequence has at least one step. "
            "Remove it."
        )
    if sum(result) != n_rows:
        raise ValueError(
            f"`lengths` add up to {sum(result)}, but `X` has {n_rows} rows. In a "
            "cross-validation pass `groups`, which scikit-learn slices; `lengths` it does not."
        )
    return result
