"""What `X` and `y` may be made of, and what they may not."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from reservoir import ESNClassifier, ESNRegressor, ReservoirModelSpace, ReservoirTransformer
from reservoir.sequences import SequenceScaler, stack_sequences


def esn(**parameters):
    return ESNRegressor(10, random_state=0, **parameters)


@pytest.fixture
def numbers(rng):
    return rng.integers(-9, 9, size=(60, 2))


KINDS = {
    "object": lambda A: A.astype(object),
    "Fortran order": np.asfortranarray,
    "float16": lambda A: A.astype(np.float16),
    "long double": lambda A: A.astype(np.longdouble),
    "int8": lambda A: A.astype(np.int8),
    "backwards": lambda A: np.ascontiguousarray(A[::-1])[::-1],
    "big endian": lambda A: A.astype(">f8"),
    "nested lists": lambda A: A.tolist(),
    "tuple of rows": lambda A: tuple(A.tolist()),
    "frame": lambda A: pd.DataFrame(A, columns=["a", "b"]),
    "frame of Int64": lambda A: pd.DataFrame(A, columns=["a", "b"], dtype="Int64"),
    "polars": lambda A: pl.DataFrame(A, schema=["a", "b"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_the_same_in_every_kind(numbers, kind):
    y = numbers[:, 0].cumsum()
    plain = esn().fit(numbers.astype(float), y).predict(numbers.astype(float))
    X = KINDS[kind](numbers)
    np.testing.assert_array_equal(esn().fit(X, y).predict(X), plain)
    labels = numbers[:, 1] > 0
    found = ESNClassifier(10, cv=None, random_state=0).fit(X, labels).decision_function(X)
    expected = ESNClassifier(10, cv=None, random_state=0).fit(numbers, labels)
    np.testing.assert_array_equal(found, expected.decision_function(numbers))


def test_one_column_and_series_as_targets(numbers):
    y = numbers[:, 0].astype(float)
    plain = esn().fit(numbers, y).coef_
    for targets in (pd.Series(y), pl.Series("y", y), y.tolist(), y.astype(object)):
        np.testing.assert_array_equal(esn().fit(numbers, targets).coef_, plain)
    frame = esn().fit(numbers, pd.DataFrame({"a": y}))
    np.testing.assert_array_equal(frame.coef_[0], plain)


def test_what_is_masked_is_missing(numbers):
    floats = numbers.astype(float)
    gaps, masked = floats.copy(), np.ma.masked_array(floats, floats > 7)
    gaps[floats > 7] = np.nan
    masked[0], gaps[0] = 1.0, 1.0
    y = floats[:, 0]
    with pytest.raises(ValueError, match="contains NaN"):
        esn().fit(masked, y)
    held = esn(missing="hold")
    np.testing.assert_array_equal(
        held.fit(masked, masked[:, 1]).coef_, esn(missing="hold").fit(gaps, gaps[:, 1]).coef_
    )
    np.testing.assert_array_equal(
        held.fit([masked, masked], [y, y]).coef_, esn(missing="hold").fit([gaps] * 2, [y, y]).coef_
    )
    integers = np.ma.masked_array(numbers, numbers > 7)
    assert np.isnan(stack_sequences(integers)[0]).sum() == (numbers > 7).sum()


def test_object_arrays_of_sequences_are_lists(rng):
    ragged = np.empty(2, dtype=object)
    ragged[:] = [rng.normal(size=(4, 2)), rng.normal(size=(3, 2))]
    rows, layout = stack_sequences(ragged)
    assert layout.lengths == (4, 3)
    np.testing.assert_array_equal(rows, np.concatenate(list(ragged)))


REFUSED = {
    "dict": (lambda A: {"a": A}, r"type dict.*`list\(X.values\(\)\)`"),
    "generator": (lambda A: (row for row in A), r"type generator.*`list\(X\)`"),
    "map": (lambda A: map(list, A), r"type map.*fit_stream"),
    "set": (lambda A: {1, 2}, "type set.*has an order"),
    "path": (lambda A: "data.csv", "type str.*what is in the file"),
    "list of dicts": (lambda A: [{"a": 1.0}] * 3, r"`X\[0\]` is of type dict"),
    "list of sparse": (lambda A: [sparse.csr_array(A)], r"`X\[0\]` is of type csr_array"),
    "dates": (lambda A: A.astype("M8[s]"), r"datetime64\[s\], but numbers"),
    "frame with dates": (
        lambda A: pd.DataFrame({"a": 1.0, "t": pd.date_range("2024", periods=60)}),
        "datetime64.*Make times the index",
    ),
    "polars dates": (
        lambda A: pl.DataFrame(pd.DataFrame({"t": pd.date_range("2024", periods=60)})),
        "holds Datetime",
    ),
    "nested frame": (
        lambda A: pd.DataFrame({"dim_0": [pd.Series(A[:, 0]), pd.Series(A[:, 1])]}),
        "Series in each cell.*pd-multiindex",
    ),
    "sparse": (lambda A: sparse.csr_array(A), "Sparse data was passed"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_kinds_that_are_refused_by_name(numbers, kind):
    build, match = REFUSED[kind]
    models = (
        lambda X: esn().fit(X, numbers[:, 0]),
        lambda X: ReservoirTransformer(5).fit(X),
        lambda X: ReservoirModelSpace(5).fit(X),
        lambda X: ESNClassifier(5).fit(X, numbers[:, 0] > 0),
        lambda X: esn().fit(numbers, numbers).predict(X),
    )
    for use in models:
        with pytest.raises(TypeError, match=match):
            use(build(numbers))
    if kind != "sparse":
        with pytest.raises(TypeError, match=match):
            SequenceScaler().fit(build(numbers))


def test_targets_that_are_refused_by_name(numbers):
    with pytest.raises(TypeError, match="`y` is of type dict"):
        esn().fit(numbers, {"a": numbers})
    with pytest.raises(TypeError, match="`y` is of type generator"):
        esn().fit(numbers, (row for row in numbers))
    with pytest.raises(TypeError, match=r"`y` holds datetime64\[s\]"):
        esn().fit(numbers, numbers[:, 0].astype("M8[s]"))


def test_a_group_by_is_no_list():
    groups = pd.DataFrame({"a": np.arange(6.0)}).groupby([0, 0, 0, 0, 1, 1])
    with pytest.raises(ValueError, match="`X` of type DataFrameGroupBy can't be read as one array"):
        ReservoirTransformer(5).fit(groups)


@pytest.mark.parametrize("X", [3.0, np.array(3.0), None, np.zeros((2, 2, 2, 2)), np.zeros(4) + 0j])
def test_numbers_of_axes_that_are_none_of_sequences(X):
    with pytest.raises(ValueError, match=r"2D array|dim 4|Complex data"):
        ReservoirTransformer(5).fit(X)
