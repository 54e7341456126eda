"""Estimators with device="cuda" against the same on the host; see the fixture `xp`."""

import io
import pickle
import sys
import zipfile

import numpy as np
import pytest

from reservoir import (
    ConceptorMemory,
    DelayEmbedding,
    ESNClassifier,
    ESNRegressor,
    LayeredESNRegressor,
    LocalESNRegressor,
    NVARRegressor,
    OnlineESNRegressor,
    ReservoirModelSpace,
    ReservoirTransformer,
)
from reservoir.plasticity import IntrinsicPlasticity
from reservoir.search import ReservoirSearchCV
from reservoir.utils.device import is_on_device, to_host

LENGTHS = [130, 3, 167]


DEVICE = {"device": "cuda"}


def host(values):
    return [to_host(part) for part in values] if isinstance(values, list) else to_host(values)


REGRESSORS = {
    "one alpha": {"alpha": 1e-3},
    "a path of alphas": {"alpha": [1e-4, 1e-2, 1.0]},
    "an alpha for each target": {"alpha": [1e-4, 1e-2, 1.0], "alpha_per_target": True},
    "held-out blocks": {"alpha": [1e-4, 1.0], "alpha_cv": 3},
    "from sums to a factor": {"alpha": 1e-18},
    "a factor": {"alpha": [1e-6, 1e-2], "solver": "qr"},
    "no intercept": {"fit_intercept": False, "include_squares": True, "alpha": 1e-2},
    "a factor without intercept": {"fit_intercept": False, "solver": "qr", "alpha": 1e-2},
    "feedback and noise": {
        "feedback_scaling": 0.2,
        "noise": 0.01,
        "feedback_noise": 0.02,
        "alpha": 1e-3,
    },
    "leaks and washout": {"leak_rate": np.linspace(0.2, 1, 20), "washout": 2, "alpha": 1e-3},
    "relu": {"activation": "relu", "spectral_radius": 0.5, "alpha": 1e-2},
    "plasticity": {"plasticity": IntrinsicPlasticity(n_epochs=1), "alpha": 1e-3},
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", REGRESSORS)
def test_regressor(xp, series, name, dtype):
    X, y = series
    parameters = {"n_units": 20, "random_state": 3, "dtype": dtype, **REGRESSORS[name]}
    on_host = ESNRegressor(**parameters).fit(X, y, lengths=LENGTHS)
    on_device = ESNRegressor(**parameters, **DEVICE).fit(X, y, lengths=LENGTHS)
    assert on_host.device_ == "cpu"
    assert on_device.device_ == "cuda"
    # Drawn on the host: bit for bit.
    for part in ("input", "bias", "leak_rate"):
        np.testing.assert_array_equal(
            getattr(on_device.reservoir_, part), getattr(on_host.reservoir_, part)
        )
    assert (on_device.reservoir_.recurrent != on_host.reservoir_.recurrent).nnz == 0
    assert on_device.solver_ == on_host.solver_
    np.testing.assert_array_equal(on_device.alpha_, on_host.alpha_)
    # Rounding of the states, which a readout with small alphas amplifies.
    tolerance = 1e-8 if dtype == "float64" else 2e-2 if name == "from sums to a factor" else 1e-3
    wanted = on_host.predict(X, lengths=LENGTHS)
    found = on_device.predict(X, lengths=LENGTHS)
    assert isinstance(found, np.ndarray)
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)
    in_kind = on_device.predict(xp.asarray(X), lengths=LENGTHS)
    assert is_on_device(in_kind)
    np.testing.assert_array_equal(to_host(in_kind), found)
    np.testing.assert_allclose(
        *(one.forecast(5, initial_state="last") for one in (on_device, on_host)),
        rtol=0,
        atol=10 * tolerance,
    )
    np.testing.assert_allclose(on_device.last_state_, on_host.last_state_, rtol=0, atol=1e-5)


def test_every_way_in_and_out(xp, series, rng):
    X, y = series
    parameters = {"n_units": 20, "random_state": 3, "alpha": 1e-3}
    on_host, on_device = ESNRegressor(**parameters), ESNRegressor(**parameters, **DEVICE)

    def same(found, wanted, *, in_kind):
        if isinstance(wanted, list):
            assert isinstance(found, list)
            for pair in zip(found, wanted, strict=True):
                same(*pair, in_kind=in_kind)
            return
        assert is_on_device(found) == in_kind
        assert found.shape == wanted.shape
        np.testing.assert_allclose(to_host(found), wanted, rtol=0, atol=1e-9)

    parts, y_parts = [X[:100], X[100:]], [y[:100], y[100:]]
    cube, y_cube = X.reshape(3, 100, 2), y[:, 0].reshape(3, 100)
    weights = rng.uniform(0.5, 2, size=300)
    gaps = y.copy()
    gaps[[4, 250]] = np.nan
    groups = np.repeat(["a", "b"], 150)
    for inputs, targets, settings in (
        (parts, y_parts, {}),
        (cube, y_cube, {}),
        (X, gaps, {"step_weight": weights}),
        (X, y[:, 0], {"groups": groups}),
    ):
        wanted = on_host.fit(inputs, targets, **settings)
        cut = {"groups": groups} if "groups" in settings else {}
        for in_kind, move in ((False, np.asarray), (True, xp.asarray)):

            def moved(values, move=move):
                if isinstance(values, list):
                    return [move(part) for part in values]
                return move(values)

            given = {
                name: value if name == "groups" else moved(value)
                for name, value in settings.items()
            }
            found = on_device.fit(moved(inputs), moved(targets), **given)
            np.testing.assert_allclose(found.coef_, wanted.coef_, rtol=0, atol=1e-9)
            same(
                found.predict(moved(inputs), **cut), wanted.predict(inputs, **cut), in_kind=in_kind
            )
            score = found.score(moved(inputs), moved(targets), **cut)
            assert score == pytest.approx(wanted.score(inputs, targets, **cut), abs=1e-9)
    on_host.fit(X[:-1], X[1:])
    on_device.fit(xp.asarray(X[:-1]), xp.asarray(X[1:]))
    same(on_device.forecast(4, xp.asarray(cube)), on_host.forecast(4, cube), in_kind=True)
    same(on_device.forecast(4, parts), on_host.forecast(4, parts), in_kind=False)
    same(
        on_device.predict(xp.asarray(X), initial_state="last"),
        on_host.predict(X, initial_state="last"),
        in_kind=True,
    )
    chunks = (xp.asarray(X[i : i + 70]) for i in range(0, 300, 70))
    same(xp.concatenate(list(on_device.predict_stream(chunks))), on_host.predict(X), in_kind=True)


@pytest.mark.parametrize("solver", ["gram", "qr"])
def test_partial_fit_and_streams_go_on_where_they_were(xp, series, solver):
    X, y = series
    parameters = {"n_units": 20, "random_state": 3, "alpha": 1e-3, "solver": solver, "noise": 0.01}
    whole = ESNRegressor(**parameters).fit(X, y)
    in_parts = ESNRegressor(**parameters, **DEVICE)
    in_parts.partial_fit(xp.asarray(X[:100]), xp.asarray(y[:100]))
    in_parts = pickle.loads(pickle.dumps(in_parts))  # the sums go by way of the host
    in_parts.partial_fit(xp.asarray(X[100:220]), xp.asarray(y[100:220]), initial_state="last")
    in_parts.set_params(device="cpu")  # and on, there
    in_parts.partial_fit(X[220:], y[220:], initial_state="last")
    np.testing.assert_allclose(in_parts.coef_, whole.coef_, rtol=0, atol=1e-9)
    chunks = ((xp.asarray(X[i : i + 90]), xp.asarray(y[i : i + 90])) for i in range(0, 300, 90))
    stream = ESNRegressor(**parameters, **DEVICE).fit_stream(chunks)
    np.testing.assert_allclose(stream.coef_, whole.coef_, rtol=0, atol=1e-9)


def test_held_values(xp, series):
    X, y = series
    X = X.copy()
    X[[5, 6, 200], [0, 0, 1]] = np.nan
    parameters = {"n_units": 10, "random_state": 3, "missing": "hold"}
    on_host = ESNRegressor(**parameters).fit(X, y)
    on_device = ESNRegressor(**parameters, **DEVICE).fit(xp.asarray(X), xp.asarray(y))
    np.testing.assert_allclose(on_device.coef_, on_host.coef_, rtol=0, atol=1e-6)


def test_layers(xp, series):
    X, y = series
    parameters = {"n_units": 8, "connectivity": 4, "random_state": 3, "alpha": 1e-3}
    on_host = LayeredESNRegressor(**parameters).fit(X, y)
    on_device = LayeredESNRegressor(**parameters, **DEVICE).fit(X, y)
    np.testing.assert_allclose(on_device.coef_, on_host.coef_, rtol=0, atol=1e-9)


def test_transformer(xp, series):
    X, _ = series
    wanted = ReservoirTransformer(20, random_state=3).fit_transform(X)
    transformer = ReservoirTransformer(20, random_state=3, device="auto").fit(X)
    assert transformer.device_ == "cuda"
    np.testing.assert_allclose(transformer.transform(X), wanted, rtol=0, atol=1e-14)
    in_kind = transformer.transform(xp.asarray(X.reshape(3, 100, 2)))
    assert is_on_device(in_kind)
    np.testing.assert_allclose(to_host(in_kind)[0], wanted[:100], rtol=0, atol=1e-14)


@pytest.fixture
def labelled(rng):
    labels = rng.permutation(np.arange(24) % 3)
    X = [rng.normal(size=(n, 2)) + label for n, label in zip(rng.integers(8, 15, 24), labels)]
    return X, np.array(["low", "middle", "high"])[labels]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"pooling": 2, "bidirectional": True},
        {"pooling": "last", "class_weight": "balanced"},
        {"pooling": "votes", "washout": 2},
        {"pooling": "votes", "readout": "logistic", "alpha": 1.0},
        {"label_per": "step", "solver": "qr"},
    ],
    ids=str,
)
def test_classifier(xp, labelled, parameters):
    X, y = labelled
    if "label_per" in parameters:
        y = [np.full(len(part), label) for part, label in zip(X, y)]
    common = {"n_units": 10, "cv": 3, "random_state": 0, **parameters}
    on_host = ESNClassifier(**common).fit(X, y)
    there = [xp.asarray(part) for part in X]
    on_device = ESNClassifier(**common, **DEVICE).fit(there, y)
    assert on_device.device_ == "cuda"
    assert on_device.alpha_ == on_host.alpha_
    for method in ("decision_function", "predict_proba"):
        wanted, found = getattr(on_host, method)(X), getattr(on_device, method)(there)
        if isinstance(wanted, list):
            wanted, found = np.concatenate(wanted), xp.concatenate(found)
        assert is_on_device(found)
        np.testing.assert_allclose(to_host(found), wanted, rtol=0, atol=1e-6)
    for pair in zip(on_device.predict(there), on_host.predict(X), strict=True):
        np.testing.assert_array_equal(*pair)
    assert on_device.score(X, y) == on_host.score(X, y)


def test_files_and_pickles_are_those_of_the_host(xp, series, tmp_path, monkeypatch):
    X, y = series
    contents = []
    for device in ("cpu", "cuda"):
        esn = ESNRegressor(12, random_state=0, alpha=1e-3, device=device).fit(X, y)
        path = tmp_path / f"{device}.npz"
        esn.save(path)
        with zipfile.ZipFile(path) as file:
            contents.append(
                {name: np.load(io.BytesIO(file.read(name))) for name in file.namelist()}
            )
    on_host, on_device = contents
    assert on_host.keys() == on_device.keys()
    for name, wanted in on_host.items():
        found = on_device[name]
        assert found.dtype.kind == wanted.dtype.kind, name
        if wanted.dtype.kind == "f":
            assert found.flags.f_contiguous == wanted.flags.f_contiguous, name
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9, err_msg=name)
    predicted, pickled = esn.predict(X), pickle.dumps(esn)
    # A machine without CuPy loads it, says what is missing, and can go on without.
    monkeypatch.setitem(sys.modules, "cupy", None)
    for loaded in (ESNRegressor.load(path), pickle.loads(pickled)):
        assert loaded.device_ == "cuda"
        with pytest.raises(ImportError, match="`device` is 'cuda', but CuPy cannot be imported"):
            loaded.predict(X)
        on_cpu = loaded.set_params(device="cpu").predict(X)
        np.testing.assert_allclose(on_cpu, predicted, rtol=0, atol=1e-9)


def test_mixed_devices(stand_in, series):
    X, y = series
    there = stand_in.asarray(X)
    esn = ESNRegressor(10, random_state=0, device="cuda")
    with pytest.raises(TypeError, match=r"`X` is a CuPy array, but `y` is not.*cupy.asarray\(y\)"):
        esn.fit(there, y)
    with pytest.raises(TypeError, match=r"`y` is a CuPy array, but `X` is not"):
        esn.fit(X, stand_in.asarray(y))
    with pytest.raises(TypeError, match=r"`X` is a CuPy array, but this ESNRegressor has `device`"):
        ESNRegressor(10).fit(there, stand_in.asarray(y))
    esn = ESNRegressor(10, random_state=0).fit(X, y)
    for method in (esn.predict, lambda X: esn.forecast(3, X)):
        with pytest.raises(TypeError, match=r"Set `device` to 'cuda', or pass cupy.asnumpy\(X\)"):
            method(there)


def test_what_is_wrong_with_arrays_of_a_device_is_said(stand_in, series):
    X, y = series
    there, targets = stand_in.asarray(X), stand_in.asarray(y)
    esn = ESNRegressor(10, random_state=0, device="cuda").fit(there, targets)
    for bad, match in (
        (there[:, :1], "X has 1 features, but ESNRegressor is expecting 2 features"),
        (there[:, 0], "Expected 2D array, got 1D array"),
        (there[:0], "Found array with 0 sample"),
    ):
        with pytest.raises(ValueError, match=match):
            esn.predict(bad)
    nan = there.copy()
    nan[7, 1] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN in row 7, column 1"):
        esn.predict(nan)
    with pytest.raises(ValueError, match="Input X contains infinity or a value too large"):
        ESNRegressor(10, device="cuda", dtype="float32").fit(there * 1e300, targets)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        esn.fit(there, targets[1:])
    with pytest.raises(ValueError, match=r"`y` has shape \(300, 2, 1\)"):
        esn.fit(there, targets[..., None])


def test_out_of_memory_says_what_to_do(stand_in, series, monkeypatch):
    class OutOfMemoryError(MemoryError):
        __module__ = "cupy.cuda.memory"

    def refuse(*arguments, **settings):
        raise OutOfMemoryError("Out of memory allocating 1,000,000 bytes")

    X, y = series
    esn = ESNRegressor(10, random_state=0, device="cuda").fit(X, y)
    fed_back = ESNRegressor(10, random_state=0, feedback_scaling=0.1, device="cuda").fit(X, y)
    search = ReservoirSearchCV(esn, {"leak_rate": [0.1, 1.0]}, cv=2)
    monkeypatch.setattr("reservoir.dynamics.cuda._lanes.LaneRun.__init__", refuse)
    for method in (
        lambda: esn.fit(X, y),
        lambda: esn.predict(X),
        lambda: fed_back.predict(X),
        lambda: search.fit(X, y),
    ):
        with pytest.raises(MemoryError, match=r"GPU is out of memory .* Pass fewer steps"):
            method()


@pytest.mark.parametrize(
    "estimator",
    [
        NVARRegressor(),
        LocalESNRegressor(10),
        OnlineESNRegressor(10),
        ReservoirModelSpace(10),
        ConceptorMemory(10),
        DelayEmbedding(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_those_that_run_on_the_host_say_so(stand_in, series, estimator):
    X, y = series
    with pytest.raises(
        TypeError, match=f"`X` is a CuPy array, but {type(estimator).__name__} runs"
    ):
        estimator.fit(stand_in.asarray(X), y)
