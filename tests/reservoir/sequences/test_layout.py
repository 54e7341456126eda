"""Layouts of one or many sequences: forms of X, stacking, aeon's collections."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from reservoir.sequences import Layout, from_aeon, stack_like, stack_sequences


def test_forms_stack_to_the_same_rows_and_come_back(rng):
    array = rng.normal(size=(3, 4, 2))
    rows, layout = stack_sequences(array)
    listed, list_layout = stack_sequences(list(array))
    assert layout.lengths == list_layout.lengths == (4, 4, 4)
    np.testing.assert_array_equal(rows, listed)
    np.testing.assert_array_equal(rows[4:8], array[1])
    np.testing.assert_array_equal(layout.restore(rows), array)
    for part, original in zip(list_layout.restore(listed), array, strict=True):
        np.testing.assert_array_equal(part, original)
    outputs = rng.normal(size=12)
    np.testing.assert_array_equal(layout.restore(outputs), outputs.reshape(3, 4))


def test_groups_and_lengths_agree(rng):
    X = rng.normal(size=(6, 1))
    _, by_groups = stack_sequences(X, groups=[5, 5, 5, -1, 2, 2])
    rows, by_lengths = stack_sequences(X, lengths=[3, 1, 2])
    assert by_groups == by_lengths == Layout((3, 1, 2), "rows")
    assert rows is X
    assert [len(part) for part in by_groups.split(X)] == [3, 1, 2]
    assert by_groups.restore(X) is X


@pytest.mark.parametrize("labels", [["b", "b", "a"], [None, None, 1], [(0, 1), (0, 1), (1, 0)]])
def test_groups_of_any_hashable_label(labels):
    array = np.empty(3, dtype=object)
    array[:] = labels
    assert stack_sequences(np.zeros((3, 1)), groups=array)[1].lengths == (2, 1)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_lists_of_frames(frame):
    first, second = frame({"a": [1.0, 2.0], "b": [3.0, 4.0]}), frame({"a": [5.0], "b": [6.0]})
    rows, layout = stack_sequences([first, second])
    np.testing.assert_array_equal(rows, [[1, 3], [2, 4], [5, 6]])
    assert layout.lengths == (2, 1)
    with pytest.raises(ValueError, match=r"`X\[1\]` has the columns \['b', 'a'\]"):
        stack_sequences([first, second[["b", "a"]]])


def test_nested_lists_are_rows_and_ragged_nested_lists_are_sequences():
    assert stack_sequences([[1, 2], [3, 4]])[1] == Layout((2,), "rows")
    rows, layout = stack_sequences([[[1], [2]], [[3]]])
    np.testing.assert_array_equal(rows, [[1], [2], [3]])
    assert layout == Layout((2, 1), "list")


@pytest.mark.parametrize(
    ("X", "kwargs", "error", "match"),
    [
        ([], {}, ValueError, "`X` is an empty list"),
        ([np.zeros((2, 1)), np.zeros((0, 1))], {}, ValueError, r"`X\[1\]` has shape \(0, 1\)"),
        ([np.zeros((2, 1)), np.zeros((3, 2))], {}, ValueError, r"`X\[1\]` has 2 features, but `X"),
        ([np.zeros((2, 1)), np.zeros(3)], {}, ValueError, r"\[1, 2\] dimensions"),
        ([np.zeros((2, 1, 1))], {}, ValueError, r"\[3\] dimensions"),
        ([[1, 2], [1, 2, 3]], {}, ValueError, "list of lists of unequal lengths"),
        ([[[1, 2], [3]]], {}, ValueError, r"`X\[0\]` is ragged"),
        (np.zeros((0, 2, 1)), {}, ValueError, "holds no step"),
        (np.zeros((2, 0, 1)), {}, ValueError, "holds no step"),
        (np.array([{}, []], dtype=object), {}, TypeError, r"object array of shape \(2,\)"),
        (np.zeros((3, 1)), {"groups": [1, 1, 2], "lengths": [3]}, ValueError, "Both"),
        (np.zeros((3, 1)), {"groups": [1, 2]}, ValueError, r"`groups` has shape \(2,\)"),
        (np.zeros((3, 1)), {"groups": [1, 2, 1]}, ValueError, "comes back to 1 at row 2"),
        (np.zeros((3, 1)), {"groups": [1, np.nan, 1]}, ValueError, "holds nan at row 1"),
        (np.zeros((3, 1)), {"lengths": [2, 2]}, ValueError, "add up to 4, but `X` has 3"),
        (np.zeros((3, 1)), {"lengths": [3, 0]}, ValueError, r"`lengths\[1\]` is 0"),
        (np.zeros((3, 1)), {"lengths": [1.5, 1.5]}, ValueError, "dtype float64"),
        (np.zeros((3, 1)), {"lengths": 3}, ValueError, r"shape \(\)"),
        (
            np.zeros((3, 1)),
            {"lengths": [2**62, 2**62]},
            ValueError,
            "add up to 9223372036854775808",
        ),
        (np.zeros((1, 3, 1)), {"groups": [1]}, ValueError, "`groups` was given, but `X` is 3-D"),
        (
            [np.zeros((3, 1))],
            {"lengths": [3]},
            ValueError,
            "`lengths` was given, but `X` is a list",
        ),
    ],
)
def test_bad_sequences(X, kwargs, error, match):
    with pytest.raises(error, match=match):
        stack_sequences(X, **kwargs)


def test_targets_follow_the_form(rng):
    layout = Layout((2, 3), "list")
    np.testing.assert_array_equal(stack_like([[1, 2], [3, 4, 5]], layout, name="y"), range(1, 6))
    y = rng.normal(size=(2, 3, 4))
    stacked = stack_like(y, Layout((3, 3), "array"), name="y")
    np.testing.assert_array_equal(stacked, y.reshape(6, 4))


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (3.0, r"`y` has 3\.0, but `X` holds 2 sequences"),
        ([[1, 2]], "`y` has 1 entries"),
        ([[1, 2], [3, 4]], r"`y\[1\]` has shape \(2,\), but `X\[1\]` has 3 steps"),
        ([[1, 2], 3], r"`y\[1\]` has shape \(\)"),
        ([[[1], [2]], [1, 2, 3]], r"`y\[1\]` has shape \(3,\), but `y\[0\]` has \(2, 1\)"),
    ],
)
def test_bad_targets(y, match):
    with pytest.raises(ValueError, match=match):
        stack_like(y, Layout((2, 3), "list"), name="y")


def test_from_aeon_moves_the_channels_last(rng):
    cases = rng.normal(size=(5, 2, 7))
    turned = from_aeon(cases)
    assert turned[3, 6, 1] == cases[3, 1, 6]
    for part, case in zip(from_aeon(list(cases)), cases, strict=True):
        np.testing.assert_array_equal(part, case.T)
    with pytest.raises(ValueError, match=r"`X` has shape \(5, 2\)"):
        from_aeon(cases[:, :, 0])
    with pytest.raises(ValueError, match=r"`X\[1\]` has shape \(3,\)"):
        from_aeon([np.zeros((1, 2)), np.zeros(3)])
