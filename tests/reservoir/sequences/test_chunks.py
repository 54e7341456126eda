"""Series in chunks and in memory-mapped files: the same results, in memory for a few rows."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from reservoir import ESNClassifier, ESNRegressor, ReservoirTransformer
from reservoir.dynamics import DivergenceError
from reservoir.plasticity import IntrinsicPlasticity
from reservoir.sequences import recut


def small(**parameters):
    return ESNRegressor(**{"n_units": 20, "connectivity": 5, "random_state": 1, **parameters})


@pytest.fixture
def series(rng):
    u = rng.uniform(-1, 1, size=(9_000, 1))
    return u, np.hstack([np.roll(u, 1), np.roll(u, 2)]) + 0.01 * rng.normal(size=(9_000, 2))


def chunks(cuts, *arrays):
    """The rows of some arrays between cuts; each is spoiled once the next one is asked for."""
    for start, stop in zip([0, *cuts], [*cuts, len(arrays[0])], strict=True):
        parts = tuple(array[start:stop].copy() for array in arrays)
        yield parts if len(parts) > 1 else parts[0]
        for part in parts:
            part[:] = 1e9


CUTS = [[], [7, 300, 301, 8300], list(range(150, 9_000, 150))]


# -- chunks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"alpha": 1e-3},
        {"alpha": np.logspace(-6, 0, 7), "washout": 150, "leak_rate": 0.4},
        {"alpha": 1e-16, "dtype": "float32", "solver": "qr"},
        {"alpha": 1e-3, "feedback_scaling": 0.2, "noise": 0.01, "feedback_noise": 0.01},
    ],
    ids=lambda settings: ",".join(settings),
)
def test_a_stream_is_learned_from_as_in_one_piece(series, settings):
    u, y = series
    whole = small(**settings).fit(u, y)
    first = small(**settings).fit_stream(chunks(CUTS[0], u, y))
    if settings.get("dtype") == "float32":
        # 1e-16 leaves the readout to rounding in directions that single precision does not know.
        rows = small(**settings).fit(u, y).predict(u)
        np.testing.assert_allclose(first.predict(u), rows, atol=1e-4)
    else:
        np.testing.assert_allclose(first.coef_, whole.coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(first.last_state_, whole.last_state_)
    np.testing.assert_array_equal(first.last_output_, whole.last_output_)
    assert first.n_sequences_seen_ == 1
    for cuts in CUTS[1:]:
        other = small(**settings).fit_stream(chunks(cuts, u, y))
        np.testing.assert_array_equal(other.coef_, first.coef_)
        np.testing.assert_array_equal(other.last_state_, first.last_state_)


@pytest.mark.parametrize("cuts", CUTS[1:], ids=len)
@pytest.mark.parametrize("feedback_scaling", [0.0, 0.2])
def test_a_stream_is_predicted_as_in_one_piece(series, cuts, feedback_scaling):
    u, y = series
    esn = small(alpha=1e-2, feedback_scaling=feedback_scaling).fit(u[:5000], y[:5000])
    outputs = list(esn.predict_stream(chunks(cuts, u)))
    assert [len(part) for part in outputs] == np.diff([0, *cuts, len(u)]).tolist()
    np.testing.assert_allclose(np.concatenate(outputs), esn.predict(u), atol=1e-9)
    after = list(esn.predict_stream(chunks([3000], u[5000:]), initial_state="last"))
    expected = esn.predict(u[5000:], initial_state="last")
    np.testing.assert_allclose(np.concatenate(after), expected, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("feedback_scaling", [0.0, 0.2])
def test_single_rows_are_predicted_as_in_one_piece(series, feedback_scaling, dtype, monkeypatch):
    u, y = series
    settings = {"alpha": 1e-2, "feedback_scaling": feedback_scaling, "dtype": dtype}
    esn = small(include_squares=True, **settings).fit(u[:2000], y[:2000])
    expected = esn.predict(u[2000:2200], initial_state="last")
    rows = [u[i : i + 1] for i in range(2000, 2200)]
    n_calls = []
    whole = type(esn)._outputs
    monkeypatch.setattr(type(esn), "_outputs", lambda *given: (n_calls.append(1), whole(*given))[1])
    cuts = [*rows[:50], u[2050:2060], *rows[60:]]
    outputs = list(esn.predict_stream(cuts, initial_state="last"))
    assert len(n_calls) == 1  # of the chunk of ten rows alone
    assert all(part.shape == (1, 2) and part.dtype == dtype for part in outputs[:50])
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(np.concatenate(outputs), expected, atol=tolerance)
    # What was given out is not written to again.
    np.testing.assert_allclose(outputs[3], expected[3:4], atol=tolerance)


def test_what_is_wrong_with_a_single_row_is_told(series):
    u, y = series
    esn = small(alpha=1e-2).fit(u[:2000], y[:2000])
    for row, message in [
        (np.full((1, 1), np.nan), "Input X contains NaN in row 0"),
        (np.full((1, 1), np.inf), "Input X contains infinity"),
        (np.zeros((1, 2)), "X has 2 features"),
        (np.array([["one"]]), "could not convert|can't be read"),
    ]:
        with pytest.raises(ValueError, match=message):
            list(esn.predict_stream([u[:1], u[1:2], row]))
    integers = list(esn.predict_stream([u[:1], np.array([[1]])]))
    floats = list(esn.predict_stream([u[:1], np.array([[1.0]])]))
    np.testing.assert_allclose(integers[1], floats[1], atol=1e-12)


def test_single_rows_see_what_was_learned_meanwhile(series):
    u, y = series
    esn = small(alpha=1e-2).fit(u[:1000], y[:1000])
    rows = esn.predict_stream((u[i : i + 1] for i in range(3)), initial_state=esn.last_state_)
    next(rows)
    next(rows)
    esn.coef_, esn.intercept_ = np.zeros_like(esn.coef_), np.full_like(esn.intercept_, 7.0)
    np.testing.assert_array_equal(next(rows), [[7.0, 7.0]])


def test_single_rows_that_leave_the_range_raise(series):
    u, y = series
    esn = small(alpha=1e-2, feedback_scaling=0.2).fit(u[:1000], y[:1000])
    esn.intercept_ = esn.intercept_ + 1e3
    with pytest.raises(DivergenceError) as caught:
        list(esn.predict_stream([u[i : i + 1] for i in range(3)], initial_state="last"))
    assert caught.value.outputs.shape[1:] == (2,)


def test_gaps_in_a_stream_are_held_from_chunk_to_chunk(series, rng):
    u, y = series
    u[1:][rng.random((len(u) - 1, 1)) < 0.3] = np.nan
    u[95:130] = np.nan
    y[rng.random(y.shape) < 0.2] = np.nan
    settings = {"missing": "hold", "alpha": 1e-3, "washout": 50}
    whole = small(**settings).fit(u, y)
    split = small(**settings).fit_stream(chunks(CUTS[-1], u, y))
    np.testing.assert_allclose(split.coef_, whole.coef_, rtol=1e-7, atol=1e-9)
    outputs = np.concatenate(list(split.predict_stream(chunks(CUTS[-1], u))))
    np.testing.assert_allclose(outputs, whole.predict(u), atol=1e-7)


def test_learning_goes_on_after_a_stream(series):
    u, y = series
    whole = small(alpha=1e-3).fit(u, y)
    split = small(alpha=1e-3).fit_stream(chunks([50, 7000], u[:8500], y[:8500]))
    split.partial_fit(u[8500:], y[8500:], initial_state="last")
    np.testing.assert_allclose(split.coef_, whole.coef_, rtol=1e-7, atol=1e-9)
    again = split.fit_stream(chunks([], u[:100], y[:100]))
    np.testing.assert_allclose(
        again.coef_, small(alpha=1e-3).fit(u[:100], y[:100]).coef_, rtol=1e-7, atol=1e-9
    )


def test_frames_and_one_dimensional_targets(series):
    u, y = series
    frame = pd.DataFrame({"in": u[:300, 0]})
    esn = small().fit_stream([(frame[:100], y[:100, 0]), (frame[100:], y[100:300, 0])])
    assert list(esn.feature_names_in_) == ["in"]
    outputs = list(esn.predict_stream([frame[:7], frame[7:]]))
    assert [part.shape for part in outputs] == [(7,), (293,)]


def test_progress_of_a_stream(series, capsys):
    u, y = series
    small().fit_stream(chunks([100], u[:300], y[:300]))
    assert capsys.readouterr() == ("", "")
    small(verbose=True).fit_stream(chunks([100], u[:300], y[:300]))
    assert "300step" in capsys.readouterr().err


@pytest.mark.parametrize("n_rows", [1, 16, 10_000])
def test_recut_pieces_together_are_the_rows(rng, n_rows):
    lengths = rng.integers(1, 50, size=40)
    rows = np.arange(lengths.sum())[:, None]
    pieces = [
        (a.copy(), b.copy()) for a, b in recut(chunks(np.cumsum(lengths)[:-1], rows, -rows), n_rows)
    ]
    assert {len(a) for a, _ in pieces[:-1]} <= {n_rows}
    for index, sign in ((0, 1), (1, -1)):
        np.testing.assert_array_equal(np.concatenate([p[index] for p in pieces]), sign * rows)


@pytest.mark.parametrize(
    ("parts", "settings", "error", "match"),
    [
        ([], {}, ValueError, "`chunks` is empty"),
        ([np.zeros((5, 1))], {}, TypeError, r"holds ndarray, but pairs \(X, y\)"),
        ([(np.zeros((5, 1)),)], {}, TypeError, "holds a tuple of 1"),
        ([(np.zeros((2, 5, 1)), np.zeros((2, 5)))], {}, ValueError, "holds a 3-D array"),
        ([([np.zeros((5, 1))], [np.zeros(5)])], {}, ValueError, "holds a list"),
        ([(np.zeros((5, 1)), np.zeros(4))], {}, ValueError, "inconsistent numbers"),
        ([(np.zeros((5, 1)), np.zeros(5))] * 2, {"washout": 10}, ValueError, "only 10 steps"),
        (
            [(np.zeros((5, 1)), np.zeros(5)), (np.zeros((5, 2)), np.zeros(5))],
            {},
            ValueError,
            "X has 2 features",
        ),
        (
            [(np.zeros((5, 1)), np.zeros(5)), (np.zeros((5, 1)), np.zeros((5, 2)))],
            {},
            ValueError,
            "`y` has 2 outputs, but the calls before had 1",
        ),
        ([(np.zeros((0, 1)), np.zeros(0))], {}, ValueError, "0 sample"),
    ],
    ids=lambda value: "",
)
def test_bad_streams(parts, settings, error, match):
    with pytest.raises(error, match=match):
        small(**settings).fit_stream(parts)


def test_bad_streams_to_predict(series):
    u, y = series
    with pytest.raises(NotFittedError):
        small().predict_stream([u])
    esn = small().fit(u, y)
    with pytest.raises(ValueError, match="`initial_state` has shape"):
        esn.predict_stream([u], initial_state=np.zeros(3))
    with pytest.raises(ValueError, match="holds a 3-D array"):
        next(esn.predict_stream([u[None]]))
    assert list(esn.predict_stream([])) == []


# -- memory-mapped arrays ------------------------------------------------------------------------


@pytest.fixture
def mapped(tmp_path, rng):
    """A function that writes random numbers to a file and maps it."""

    def write(name, shape, dtype):
        array = np.memmap(tmp_path / name, dtype=dtype, mode="w+", shape=shape)
        array[:] = rng.uniform(-100, 100, size=shape)
        array.flush()
        return np.memmap(tmp_path / name, dtype=dtype, mode="r", shape=shape)

    return write


def peak_bytes(function, *arguments, **settings):
    tracemalloc.start()
    try:
        function(*arguments, **settings)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("dtype", "form"), [("float32", "rows"), ("int16", "lengths"), (">f8", "array")]
)
def test_files_are_never_copied_whole(mapped, dtype, form):
    n_rows = 100_000
    shape = (4, n_rows // 4, 1) if form == "array" else (n_rows, 1)
    X, y = mapped("X", shape, dtype), mapped("y", shape, "float32")
    cuts = {"lengths": [n_rows // 4] * 4} if form == "lengths" else {}
    esn = small(n_units=8, connectivity=3, alpha=1.0, input_scaling=0.01)
    peak = peak_bytes(esn.fit, X, y, **cuts)
    assert peak < 0.6e6 < X.size * 8
    in_memory = small(n_units=8, connectivity=3, alpha=1.0, input_scaling=0.01)
    in_memory.fit(np.array(X, dtype=float), np.array(y, dtype=float), **cuts)
    np.testing.assert_array_equal(esn.coef_, in_memory.coef_)
    if form == "rows":
        parts = esn.predict_stream(X[i : i + 5000] for i in range(0, n_rows, 5000))
        assert peak_bytes(lambda: sum(part.sum() for part in parts)) < 0.6e6


def test_files_are_checked_as_arrays_are(mapped):
    X, y = mapped("X", (300, 2), "float64"), mapped("y", (300,), "float32")
    single = small(dtype="float32", alpha=1.0).fit(X, y)
    plain = small(dtype="float32", alpha=1.0).fit(np.array(X), np.array(y))
    np.testing.assert_array_equal(single.coef_, plain.coef_)
    np.testing.assert_array_equal(single.predict(X), plain.predict(np.array(X)))
    assert single.predict(X).dtype == np.float32
    labels = np.arange(300) % 2
    model = ESNClassifier(10, dtype="float32", cv=None, alpha=1.0, random_state=0)
    outputs = [model.fit(rows, labels).decision_function(rows) for rows in (X, np.array(X))]
    np.testing.assert_array_equal(*outputs)
    states = ReservoirTransformer(10, dtype="float32", random_state=0).fit_transform(X)
    assert states.dtype == np.float32
    writable = np.memmap(X.filename, dtype="float64", mode="r+", shape=(300, 2))
    writable[70, 1] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN in row 70, column 1"):
        single.fit(X, y)
    writable[70, 1] = 1e39
    with pytest.raises(ValueError, match="too large for float32 in row 70, column 1"):
        single.fit(X, y)


def test_fit_stream_refuses_plasticity():
    esn = ESNRegressor(n_units=10, connectivity=5, plasticity=IntrinsicPlasticity())
    with pytest.raises(ValueError, match=r"`plasticity` is .*partial_fit"):
        esn.fit_stream([(np.zeros((50, 1)), np.zeros(50))])
