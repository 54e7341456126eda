"""Layouts that are easily mistaken: what is recognised, what is warned of, and by which words."""

import numpy as np
import pytest

from reservoir import (
    ESNClassifier,
    ESNRegressor,
    ReservoirModelSpace,
    ReservoirTransformer,
    from_aeon,
)
from reservoir.sequences import stack_sequences

N_STEPS = 40


@pytest.fixture
def waves_in_rows(rng):
    """60 univariate series as rows, of two frequencies, and their classes."""
    y = rng.integers(2, size=60)
    phases = rng.uniform(0, 6, (60, 1))
    X = np.sin(np.arange(N_STEPS) * (0.5 + 0.2 * y[:, None]) + phases)
    return X + 0.1 * rng.normal(size=X.shape), y


def classifier(**parameters):
    return ESNClassifier(30, pooling=3, random_state=0, **parameters)


@pytest.mark.parametrize("as_given", [np.array, list], ids=["rows", "list of 1-D"])
def test_rows_are_series_where_labels_are_said_to_be_of_sequences(waves_in_rows, as_given):
    rows, y = waves_in_rows
    plain = classifier().fit(rows[:40, :, np.newaxis], y[:40])
    esn = classifier(label_per="sequence").fit(as_given(rows[:40]), y[:40])
    assert esn.n_features_in_ == 1
    np.testing.assert_array_equal(esn.coef_, plain.coef_)
    np.testing.assert_array_equal(
        esn.predict_proba(as_given(rows[40:])), plain.predict_proba(rows[40:, :, np.newaxis])
    )
    assert esn.score(as_given(rows[40:]), y[40:]) == plain.score(rows[40:, :, np.newaxis], y[40:])


def test_rows_to_predict_are_series_for_a_model_of_one_feature(waves_in_rows):
    rows, y = waves_in_rows
    cases = rows[:, :, np.newaxis]
    esn = classifier().fit(cases, y)
    np.testing.assert_array_equal(esn.predict(rows[:, :25]), esn.predict(cases[:, :25]))
    space = ReservoirModelSpace(30, n_components=3, random_state=0).fit(cases)
    np.testing.assert_array_equal(space.transform(rows), space.transform(cases))


def test_series_of_unequal_lengths_need_no_second_axis(waves_in_rows, rng):
    rows, y = waves_in_rows
    ragged = [row[:n] for row, n in zip(rows, rng.integers(20, N_STEPS, 60))]
    columns = [row[:, np.newaxis] for row in ragged]
    np.testing.assert_array_equal(
        classifier().fit(ragged, y).predict_proba(rows),
        classifier().fit(columns, y).predict_proba(rows[:, :, np.newaxis]),
    )
    esn = ESNRegressor(20, random_state=0).fit(ragged, ragged)
    plain = ESNRegressor(20, random_state=0).fit(columns, ragged)
    for found, expected in zip(esn.predict(list(rows)), plain.predict(rows[:, :, np.newaxis])):
        np.testing.assert_array_equal(found, expected)
    assert esn.score(list(rows), list(rows)) == plain.score(rows[:, :, np.newaxis], rows)
    states = ReservoirTransformer(20, random_state=0).fit_transform(ragged)
    assert [part.shape for part in states] == [(len(part), 20) for part in ragged]


def test_rows_are_series_where_targets_are_said_to_be_of_sequences(waves_in_rows):
    rows, y = waves_in_rows
    plain = ESNRegressor(10, random_state=0).fit(rows[:, :, np.newaxis], y)
    esn = ESNRegressor(10, target_per="sequence", random_state=0).fit(rows, y)
    np.testing.assert_array_equal(esn.predict(rows), plain.predict(rows[:, :, np.newaxis]))
    assert esn.score(rows, y) == plain.score(rows[:, :, np.newaxis], y)
    assert esn.partial_fit(rows, y).n_features_in_ == 1


def test_an_object_array_of_series_is_a_list_of_them():
    ragged = np.empty(2, dtype=object)
    ragged[:] = [np.arange(3.0), np.arange(2.0)]
    rows, layout = stack_sequences(ragged)
    assert layout.lengths == (3, 2)
    np.testing.assert_array_equal(rows.ravel(), [0, 1, 2, 0, 1])


def test_labels_of_steps_of_series_without_a_second_axis(waves_in_rows):
    rows, _ = waves_in_rows
    labels = (rows > 0).astype(int)
    plain = classifier().fit(rows[:, :, np.newaxis], labels)
    for label_per in ("auto", "step"):
        esn = classifier(label_per=label_per).fit(list(rows), list(labels))
        assert esn.label_per_ == "step"
        np.testing.assert_array_equal(esn.predict(list(rows)), plain.predict(rows[:, :, None]))


@pytest.mark.parametrize("as_given", [np.array, list], ids=["rows", "list of 1-D"])
def test_a_table_with_a_label_per_row_is_read_as_steps_with_one_warning(waves_in_rows, as_given):
    rows, y = waves_in_rows
    with pytest.warns(UserWarning, match="60 steps of 40 features, with a label per step") as found:
        esn = classifier().fit(as_given(rows), y)
    assert len(found) == 1
    assert "`label_per` to 'sequence'; if it is one series, to 'step'" in str(found[0].message)
    assert found[0].filename == __file__
    assert esn.label_per_ == "step"


def test_labels_of_steps_said_so_are_no_cause_to_warn(waves_in_rows):
    rows, y = waves_in_rows
    assert classifier(label_per="step").fit(rows, y).n_features_in_ == N_STEPS
    assert classifier().fit(rows[:, :7], y).label_per_ == "step"  # too few to be series


@pytest.mark.parametrize("n_channels", [1, 6])
@pytest.mark.parametrize("kind", ["classifier", "regressor", "transformer"])
def test_collections_that_were_not_turned(waves_in_rows, n_channels, kind):
    rows, y = waves_in_rows
    cases = np.repeat(rows[:, np.newaxis], n_channels, axis=1)
    fit = {
        "classifier": lambda X: classifier().fit(X, y),
        "regressor": lambda X: ESNRegressor(10, random_state=0).fit(X, X),
        "transformer": lambda X: ReservoirTransformer(10, random_state=0).fit(X),
    }[kind]
    with pytest.warns(UserWarning, match=r"turn it by `from_aeon\(X\)`") as found:
        fit(cases)
    assert len(found) == 1
    model = fit(from_aeon(cases))
    use = model.transform if kind == "transformer" else model.predict
    if n_channels > 1:
        with pytest.raises(ValueError, match=r"expecting 6 features.*from_aeon\(X\)"):
            use(cases)
        with pytest.raises(ValueError, match=r"expecting 6 features.*from_aeon\(X\)"):
            use(list(cases))


def test_unequal_collections_that_were_not_turned():
    cases = [np.zeros((2, 30)), np.zeros((2, 20))]
    with pytest.raises(ValueError, match=r"20 features.*turn them by `from_aeon\(X\)`"):
        ReservoirTransformer(10).fit(cases)


def test_sequences_of_one_step(rng):
    X = rng.normal(size=(30, 2))
    with pytest.warns(UserWarning, match="Each of the 30 sequences in `X` has one step"):
        ReservoirTransformer(10).fit(X, groups=np.arange(30))
    with pytest.warns(UserWarning, match="has one step"):
        ReservoirTransformer(10).fit([row[np.newaxis] for row in X])
    # Steps of many sequences side by side, each from its own state, are one step too.
    esn = ESNRegressor(10, random_state=0).fit(X, X)
    one = esn.predict(X[:, np.newaxis], initial_state=np.zeros((30, 10)))
    np.testing.assert_array_equal(one[7], esn.predict(X[7:8]))


def test_tables_of_models_without_labels(waves_in_rows):
    rows, _ = waves_in_rows
    with pytest.warns(UserWarning, match="one series of 30 steps of 40 features"):
        ReservoirTransformer(10).fit(rows[:30])
    with pytest.warns(UserWarning, match="a list of 60 1-D arrays of 40 values"):
        ESNRegressor(10).fit(list(rows), list(rows))
    with pytest.warns(UserWarning, match=r"If each row is a series of one feature") as found:
        ReservoirModelSpace(10, n_components=2).fit(rows)
    assert len(found) == 1
    ReservoirTransformer(10).fit(rows[:30], lengths=[30])
    ReservoirModelSpace(10, n_components=2).fit(rows, lengths=[60])
    esn = ESNRegressor(10, random_state=0).fit(rows[:, :, np.newaxis], rows)
    with pytest.raises(ValueError, match=r"expecting 1 features.*\[:, :, np.newaxis\]"):
        esn.predict(rows)
