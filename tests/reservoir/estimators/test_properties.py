"""What must hold for any data: how it is cut, ordered and rounded changes no answer."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reservoir import ESNClassifier, ESNRegressor, ReservoirTransformer
from reservoir.dynamics import iterate_sequences, run

# The same examples each time, and nothing on disk.
FEW = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow],
)
ESTIMATORS = ["regressor", "feedback", "classifier", "transformer"]


def estimator(kind, **parameters):
    """One that is well conditioned: what is left between two ways is rounding."""
    shared = {"n_units": 12, "connectivity": 4, "random_state": 3, **parameters}
    if kind == "transformer":
        return ReservoirTransformer(**shared)
    if kind == "classifier":
        shared |= {"pooling": "mean", "input_scaling": 0.5}
        return ESNClassifier(**shared, alpha=1.0, cv=None, washout=1, include_squares=True)
    feedback = {"feedback_scaling": 0.3} if kind == "feedback" else {}
    return ESNRegressor(**shared, **feedback, alpha=1.0, washout=1, include_squares=True)


def outputs(model, X, **cuts):
    """What it gives, one array or one a sequence."""
    if isinstance(model, ReservoirTransformer):
        return model.transform(X, **cuts)
    if isinstance(model, ESNClassifier):
        return model.decision_function(X, **cuts)
    return model.predict(X, **cuts)


@st.composite
def sequences(draw, longest=40, equal=False):
    """A list of 2-D arrays with all signs and scales of small numbers, and a generator."""
    # Enough of them go side by side as lanes of one loop.
    n_sequences, n_features = draw(st.sampled_from([2, 3, 9, 20])), draw(st.integers(1, 3))
    length = st.integers(2, longest)
    lengths = [draw(length)] * n_sequences if equal else [draw(length) for _ in range(n_sequences)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([1e-3, 1.0, 10.0]))
    return [scale * rng.normal(size=(n, n_features)) for n in lengths], rng


def targets_of(kind, parts, rng):
    """Targets in the form of a list, of any kind that `kind` learns."""
    if kind == "classifier":
        labels = [rng.integers(2, size=len(part)) for part in parts]
        labels[0][-1], labels[-1][-1] = 0, 1  # in each at least two classes, washed out or not
        return labels
    return [rng.normal(size=(len(part), 2)) for part in parts]


# -- the form of several sequences ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ESTIMATORS)
@FEW
@given(data=sequences(equal=True))
def test_list_array_groups_and_lengths_are_the_same(kind, data):
    parts, rng = data
    y = targets_of(kind, parts, rng)
    lengths = [len(part) for part in parts]
    rows, row_targets = np.concatenate(parts), np.concatenate(y)
    forms = [
        (parts, y, {}),
        (np.stack(parts), np.stack(y), {}),
        (rows, row_targets, {"lengths": lengths}),
        (rows, row_targets, {"groups": np.repeat(rng.permutation(len(parts)), lengths)}),
    ]
    label_per = {"label_per": "step"} if kind == "classifier" else {}
    results = []
    for X, targets, cuts in forms:
        model = estimator(kind, **label_per).fit(X, targets, **cuts)
        found = outputs(model, X, **cuts)
        assert isinstance(found, list) == isinstance(X, list)
        results.append(np.concatenate(found) if isinstance(X, list) else np.asarray(found))
    for result in results[1:]:
        np.testing.assert_array_equal(result.reshape(results[0].shape), results[0])


# -- the company and the order of sequences ------------------------------------------------------


@pytest.mark.parametrize("kind", ESTIMATORS)
@FEW
@given(data=sequences())
def test_sequences_neither_hear_nor_wait_for_each_other(kind, data):
    parts, rng = data
    order = rng.permutation(len(parts))
    y = targets_of(kind, parts, rng)
    label_per = {"label_per": "step"} if kind == "classifier" else {}
    model = estimator(kind, **label_per).fit(parts, y)
    other = estimator(kind, **label_per).fit([parts[i] for i in order], [y[i] for i in order])
    together = outputs(model, parts)
    moved = outputs(other, [parts[i] for i in order])
    size = max(abs(part).max() for part in together)
    for place, index in enumerate(order):
        np.testing.assert_allclose(moved[place], together[index], atol=1e-8 * size)
        np.testing.assert_allclose(outputs(model, parts[index]), together[index], atol=1e-10 * size)


@FEW
@given(data=sequences())
def test_one_label_a_sequence_whatever_their_order(data):
    parts, rng = data
    y = np.arange(len(parts)) % 2
    order = rng.permutation(len(parts))
    model = estimator("classifier").fit(parts, y)
    other = estimator("classifier").fit([parts[i] for i in order], y[order])
    scores = model.decision_function(parts)
    np.testing.assert_allclose(other.decision_function(parts), scores, atol=1e-8)
    np.testing.assert_allclose(
        model.decision_function([parts[i] for i in order]), scores[order], atol=1e-10
    )


@pytest.mark.parametrize("kind", ["regressor", "feedback", "transformer"])
@FEW
@given(data=sequences(), share=st.floats(0, 1))
def test_the_future_changes_no_past(kind, data, share):
    parts, rng = data
    model = estimator(kind).fit(parts, targets_of(kind, parts, rng))
    series = np.concatenate(parts)
    cut = 1 + int(share * (len(series) - 2))
    changed = np.concatenate([series[:cut], 1 + 2 * series[cut:]])
    np.testing.assert_array_equal(outputs(model, changed)[:cut], outputs(model, series)[:cut])


# -- chunks and splits ---------------------------------------------------------------------------


@FEW
@given(data=sequences(longest=700), chunk_size=st.integers(1, 600))
def test_the_size_of_a_chunk_changes_no_bit_of_a_state(data, chunk_size):
    parts, _ = data
    reservoir = estimator("transformer").fit(parts[0]).reservoir_
    whole = [np.empty((len(part), 12)) for part in parts]
    chunked = [np.empty((len(part), 12)) for part in parts]
    for found, size in ((whole, 4096), (chunked, chunk_size)):
        for index, start, states in iterate_sequences(reservoir, parts, chunk_size=size):
            found[index][start : start + len(states)] = states
    for index, part in enumerate(parts):
        np.testing.assert_array_equal(chunked[index], whole[index])
        np.testing.assert_allclose(whole[index], run(reservoir, part), atol=1e-12)


def cut(rng, n_steps, n_cuts):
    """Consecutive slices of 1 to n_steps rows."""
    cuts = np.sort(rng.choice(np.arange(1, n_steps), size=min(n_cuts, n_steps - 1), replace=False))
    return [slice(a, b) for a, b in zip([0, *cuts], [*cuts, n_steps], strict=True)]


@pytest.mark.parametrize("kind", ["regressor", "feedback"])
@FEW
@given(data=sequences(), n_cuts=st.integers(0, 8))
def test_partial_fits_and_streams_are_one_fit(kind, data, n_cuts):
    parts, rng = data
    series, y = np.concatenate(parts), rng.normal(size=(sum(map(len, parts)), 1))
    whole = estimator(kind).fit(series, y)
    pieces = cut(rng, len(series), n_cuts)
    if pieces[0].stop == 1:  # no longer than the washout
        pieces = [slice(0, pieces[1].stop), *pieces[2:]] if len(pieces) > 1 else pieces
    split = estimator(kind)
    for index, rows in enumerate(pieces):
        split.partial_fit(series[rows], y[rows], initial_state="last" if index else None)
    stream = estimator(kind).fit_stream((series[rows], y[rows]) for rows in pieces)
    for other in (split, stream):
        np.testing.assert_allclose(other.coef_, whole.coef_, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(other.last_state_, whole.last_state_, atol=1e-12)
    after = np.concatenate(list(whole.predict_stream(series[rows] for rows in pieces)))
    expected = whole.predict(series)
    np.testing.assert_allclose(after, expected, atol=1e-9 * max(1, abs(expected).max()))


@FEW
@given(data=sequences(), n_calls=st.integers(1, 5))
def test_partial_fits_over_sequences_are_one_fit(data, n_calls):
    parts, rng = data
    y = targets_of("regressor", parts, rng)
    whole = estimator(
        "regressor",
    ).fit(parts, y)
    split = estimator("regressor")
    for members in np.array_split(np.arange(len(parts)), min(n_calls, len(parts))):
        split.partial_fit([parts[i] for i in members], [y[i] for i in members])
    np.testing.assert_allclose(split.coef_, whole.coef_, rtol=1e-7, atol=1e-9)


# -- precision -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ESTIMATORS)
@FEW
@given(data=sequences(), given_in=st.sampled_from(["float32", "float64"]))
def test_single_precision_is_near_and_stays_single(kind, data, given_in):
    parts, rng = data
    parts = [part.astype("float32").astype(given_in) for part in parts]
    y = targets_of(kind, parts, rng)
    label_per = {"label_per": "step"} if kind == "classifier" else {}
    double = outputs(estimator(kind, **label_per).fit(parts, y), parts)
    single = outputs(estimator(kind, dtype="float32", **label_per).fit(parts, y), parts)
    size = max(1.0, *(abs(part).max() for part in double))
    for one, two in zip(single, double, strict=True):
        # Rounding of 6e-8 in each of 40 steps at a radius of 0.9, and in a readout of alpha 1.
        np.testing.assert_allclose(one, two, atol=2e-4 * size)
        assert two.dtype == np.float64
        assert one.dtype == (np.float64 if kind == "classifier" else np.float32)
