"""Targets per step or per sequence: told apart, or refused; and answered in their form."""

import numpy as np
import pandas as pd
import pytest

from hessianfree.estimators._sequence_data import read_targets
from reservoir.sequences import Layout
from tests.support.small_rnns import classifier, regressor


@pytest.mark.parametrize(
    ("y", "lengths", "form", "expected", "per_sequence"),
    [
        ([1, 2], (3, 1), "list", (2,), True),
        (["a", "b"], (3, 1), "list", (2,), True),
        ([[1, 2, 3], [4]], (3, 1), "list", (4,), False),
        ([[1, 2, 3, 4], [5, 6, 7, 8]], (3, 1), "list", (2, 4), True),
        ([[[1], [2], [3]], [[4]]], (3, 1), "list", (4, 1), False),
        ([[[1, 2]], [[3, 4]]], (3, 1), "list", (2, 2), True),
        (np.zeros((2, 5)), (3, 3), "array", (2, 5), True),
        (np.zeros((2, 1)), (3, 3), "array", (2, 1), True),
        (np.zeros((2, 1, 3)), (3, 3), "array", (2, 3), True),
        (np.zeros((2, 3, 5)), (3, 3), "array", (6, 5), False),
        (np.zeros((2, 3, 1)), (3, 3), "array", (6, 1), False),
        (pd.DataFrame(np.zeros((2, 5))), (3, 3), "array", (2, 5), True),
        (np.zeros(4), (3, 1), "rows", (4,), False),
        (np.zeros(2), (3, 1), "rows", (2,), True),
        (np.zeros((2, 1, 2)), (3, 1), "rows", (2, 2), True),
    ],
)
def test_shapes_of_one_kind_are_told_apart(y, lengths, form, expected, per_sequence):
    stacked, found = read_targets(y, Layout(lengths, form), is_cut=form == "rows")
    assert np.shape(stacked) == expected
    assert found.per_sequence is per_sequence


@pytest.mark.parametrize(
    ("y", "lengths", "form"),
    [
        (np.zeros((2, 24)), (24, 24), "array"),  # steps, or the next 24 of a window
        (np.zeros((2, 23)), (24, 24), "array"),  # one short, or 23 outputs
        (np.zeros((2, 25)), (24, 24), "array"),
        (np.zeros((2, 3)), (3, 3), "list"),
        (np.zeros((2, 1)), (1, 1), "list"),
        (np.zeros((2, 1, 3)), (1, 1), "array"),
        (np.zeros(2), (1, 1), "rows"),
    ],
)
def test_shapes_of_both_kinds_are_refused_with_both_readings(y, lengths, form):
    both = r"one target per step, or one target per sequence.* 'step' or to 'sequence'"
    with pytest.raises(ValueError, match=both):
        read_targets(y, Layout(lengths, form), is_cut=form == "rows")


@pytest.mark.parametrize("horizon", [7, 8, 9])
def test_a_horizon_as_long_as_its_windows_is_learned_like_another(rng, horizon):
    """The next values of a sine are a linear map of the last two."""
    phases = rng.uniform(0, 2 * np.pi, size=(60, 1))
    waves = np.sin(0.7 * np.arange(8 + horizon) + phases)
    X, y = waves[:, :8, None], waves[:, 8:]
    with pytest.raises(ValueError, match="`y` has shape"):
        regressor().fit(X, y)
    rnn = regressor(target="sequence", n_units=12, max_iter=30).fit(X, y)
    assert rnn.predict(X).shape == y.shape
    assert rnn.score(X, y) > 0.99


def test_what_is_said_is_held_to(rng):
    X = rng.normal(size=(6, 5, 2))
    with pytest.raises(ValueError, match=r"`y\[0\]` has shape \(4,\), but `X\[0\]` has 5 steps"):
        regressor(target="step").fit(X, np.zeros((6, 4)))
    with pytest.raises(ValueError, match="one target per sequence was expected"):
        regressor(target="sequence").fit(X, rng.normal(size=(6, 5, 1)))
    with pytest.raises(ValueError, match=r"`y` has 5 entries, but `X` holds 1 sequence"):
        regressor(target="sequence").fit(X[0], np.zeros(5))
    with pytest.raises(ValueError, match="`target` is 'steps'"):
        regressor(target="steps").fit(X, np.zeros((6, 5)))


def make_forms(rng):
    """Name -> X, y, target and cuts, of every form that `fit` takes."""
    X = rng.normal(size=(5, 4, 2))
    rows, lengths = X.reshape(20, 2), {"lengths": [4] * 5}
    uneven = [rng.normal(size=(n, 2)) for n in (4, 7, 5)]
    steps, ends = rng.normal(size=(5, 4, 3)), rng.normal(size=(5, 3))
    return {
        "series, numbers": (rows, steps[..., 0].ravel(), "auto", {}),
        "series, column": (rows, steps[..., :1].reshape(20, 1), "auto", {}),
        "series, rows": (rows, steps.reshape(20, 3), "auto", {}),
        "series, its end": (rows, ends[0, :1], "sequence", {}),
        "series, its end as a row": (rows, ends[:1], "sequence", {}),
        "series, its end as a row of its own": (rows, ends[:1, None], "sequence", {}),
        "cut, steps": (rows, steps.reshape(20, 3), "auto", lengths),
        "cut, ends": (rows, ends[:, 0], "auto", lengths),
        "cut, columns": (rows, ends[:, :1], "auto", lengths),
        "cut, rows": (rows, ends, "auto", lengths),
        "cut, rows of their own": (rows, ends[:, None], "auto", lengths),
        "array, numbers": (X, steps[..., 0], "step", {}),
        "array, columns": (X, steps[..., :1], "auto", {}),
        "array, rows": (X, steps, "auto", {}),
        "array, ends": (X, ends[:, 0], "auto", {}),
        "array, columns of ends": (X, ends[:, :1], "auto", {}),
        "array, rows of ends": (X, ends, "sequence", {}),
        "array, as many outputs as steps": (X, steps[..., 0], "sequence", {}),
        "array, rows of their own": (X, ends[:, None], "auto", {}),
        "list, numbers": (uneven, [x[:, 0] for x in uneven], "auto", {}),
        "list, rows": (uneven, uneven, "auto", {}),
        "list, ends": (uneven, [1.0, 2.5, 2.0], "auto", {}),
        "list, rows of ends": (uneven, list(ends[:3, :2]), "auto", {}),
    }


@pytest.mark.parametrize("form", make_forms(np.random.default_rng(0)))
def test_predictions_have_the_form_of_the_targets(rng, form):
    X, y, target, cuts = make_forms(rng)[form]
    rnn = regressor(target=target, max_iter=2).fit(X, y, **cuts)
    predicted = rnn.predict(X, **cuts)
    if isinstance(X, list) and np.ndim(y[0]) and len(y[0]) == len(X[0]):
        assert [p.shape for p in predicted] == [np.shape(part) for part in y]
    else:
        assert predicted.shape == np.shape(y)
    assert rnn.score(X, predicted, **cuts) == 1
    if "its end" not in form:
        assert rnn.score(X, y, **cuts) < 1


LABELS = ["series, numbers", "cut, ends", "array, numbers", "array, ends", "list, numbers"]


@pytest.mark.parametrize("form", LABELS)
def test_labels_are_answered_in_the_form_they_came_in(rng, form):
    X, y, _, cuts = make_forms(rng)[form]
    y = [np.where(part > 0, "up", "down") for part in y] if isinstance(y, list) else y > 0
    rnn = classifier(max_iter=2).fit(X, y, **cuts)
    predicted = rnn.predict(X, **cuts)
    assert [np.shape(part) for part in predicted] == [np.shape(part) for part in y]
    assert rnn.score(X, predicted, **cuts) == 1


def test_labels_per_step_need_no_word(rng):
    """A classifier has one label per target: a row of as many labels as steps is one per step."""
    X = rng.normal(size=(6, 5, 2))
    labels = np.where(X[..., 0] > 0, "up", "down")
    assert classifier().fit(X, labels).predict(X).shape == (6, 5)


def test_unscored_targets_may_be_anything(rng):
    X, y = rng.normal(size=(10, 5, 2)), rng.normal(size=(10, 5, 1))
    weights = rng.integers(2, size=(10, 5))
    with_gaps = np.where(weights[..., None] > 0, y, np.inf)
    found = regressor().fit(X, with_gaps, step_weight=weights)
    np.testing.assert_array_equal(found.params_, regressor().fit(X, y, step_weight=weights).params_)
    with pytest.raises(ValueError, match="Input y contains infinity"):
        regressor().fit(X, with_gaps)
    with_gaps[0, np.flatnonzero(weights[0])[0]] = np.inf
    with pytest.raises(ValueError, match="Input y contains infinity"):
        regressor().fit(X, with_gaps, step_weight=weights)


@pytest.mark.parametrize("gap", [np.nan, None, "anything"])
def test_unscored_labels_may_be_anything(rng, gap):
    X = rng.normal(size=(10, 5, 2))
    labels = (X[..., 0] > 0).astype(int)
    weights = rng.integers(2, size=(10, 5))
    weights[0] = 1
    expected = classifier().fit(X, labels, step_weight=weights)
    with_gaps = labels.astype(object)
    with_gaps[weights == 0] = gap
    found = classifier().fit(X, with_gaps, step_weight=weights)
    np.testing.assert_array_equal(found.params_, expected.params_)
    np.testing.assert_array_equal(found.classes_, [0, 1])
