"""Recurrent nets with device="cuda" against the same on the host; see the fixture `xp`."""

import pickle
import sys

import numpy as np
import pytest

from hessianfree import (
    Batch,
    CharacterLanguageModel,
    RNNClassifier,
    RNNRegressor,
    SequenceNetwork,
)
from hessianfree.cells import (
    ElmanCell,
)
from hessianfree.language import NetworkStream
from hessianfree.training import Minibatches, load_checkpoint, start, train, train_scipy
from reservoir.utils.device import is_on_device, to_host
from tests.support.networks_on_device import CELLS, TOLERANCE, assert_same, hessian_free, make

CASES = [
    *((cell, "squared_error", {}) for cell in CELLS),
    *((cell, "softmax", {"symbols": True}) for cell in CELLS),
    ("elman", "logistic", {"max_rows": 12}),
    ("multiplicative", "softmax", {"symbols": True, "max_rows": 12}),
    ("lstm", "logistic", {"n_initial_inputs": 2}),
    ("elman", "squared_error", {"structural_distance": "quarter"}),
    ("multiplicative, shifted", "softmax", {"dtype": "float32"}),
    ("multiplicative", "softmax", {"dtype": "float32", "symbols": True}),
    ("elman", "squared_error", {"dtype": "float32"}),
    ("lstm, peepholes", "softmax", {"dtype": "float32"}),
    ("stack", "softmax", {"dtype": "float32"}),
]


@pytest.mark.parametrize(("cell", "loss", "settings"), CASES)
def test_derivatives(xp, rng, cell, loss, settings):
    dtype = settings.get("dtype", "float64")
    network, on_device, params, batch = make(cell, loss, rng, **settings)
    v = rng.standard_normal(len(params)).astype(dtype)
    there, v_there = xp.asarray(params), xp.asarray(v)
    assert on_device.device == "cuda"
    host_value, host_gradient = network.value_and_gradient(params, batch)
    value, gradient = on_device.value_and_gradient(there, batch)
    assert type(value) is float
    assert value == pytest.approx(host_value, rel=TOLERANCE[dtype])
    assert on_device.value(there, batch) == pytest.approx(host_value, rel=TOLERANCE[dtype])
    assert_same(gradient, host_gradient, dtype)
    at, on_host = on_device.linearize(there, batch), network.linearize(params, batch)
    assert_same(at.gradient(), host_gradient, dtype)
    for damping in (0.0, 0.3):
        product = on_host.gauss_newton_product(v, damping)
        ours = at.gauss_newton_product(v_there, damping)
        assert_same(ours, product, dtype)
    diagonal = network.fisher_diagonal(params, batch)
    assert_same(on_device.fisher_diagonal(there, batch), diagonal, dtype)


@pytest.mark.parametrize("symbols", [False, True])
def test_answers_come_where_the_arguments_are(xp, rng, symbols):
    network, on_device, params, batch = make("multiplicative", "softmax", rng, symbols=symbols)
    host = network.value_and_gradient(params, batch)[1]
    gradient = on_device.value_and_gradient(params, batch)[1]
    assert isinstance(gradient, np.ndarray)
    np.testing.assert_allclose(gradient, host, rtol=1e-10, atol=1e-14)
    at = on_device.linearize(params, batch)
    product = network.linearize(params, batch).gauss_newton_product(params, 0.1)
    out = np.empty_like(params)
    assert at.gauss_newton_product(params, 0.1, out=out) is out
    np.testing.assert_allclose(out, product, rtol=1e-10, atol=1e-14)
    predictions, state = on_device.run(params, batch.inputs)
    assert isinstance(predictions, np.ndarray)
    assert isinstance(state, np.ndarray)
    there = xp.asarray(params), xp.asarray(batch.inputs)
    assert_same(on_device.predict(*there), network.predict(params, batch.inputs))
    assert_same(on_device.run(*there)[1], state)
    assert_same(on_device.states(*there), network.states(params, batch.inputs))
    carried = on_device.final_state(there[0], batch)
    np.testing.assert_allclose(carried, network.final_state(params, batch), rtol=1e-10)


def test_devices_are_not_mixed(stand_in, rng):
    network, on_device, params, batch = make("elman", "softmax", rng)
    there = stand_in.asarray(params)
    with pytest.raises(TypeError, match=r"`params` is a CuPy array, but this SequenceNetwork has"):
        network.value(there, batch)
    with pytest.raises(TypeError, match="`params` is a CuPy array, but `inputs` is not"):
        on_device.predict(there, batch.inputs)
    at = on_device.linearize(there, batch)
    with pytest.raises(TypeError, match="`out` is a CuPy array, but `v` is not"):
        at.gauss_newton_product(params, out=there)
    with pytest.raises(TypeError, match="`inputs` is a CuPy array, but a Batch runs on the host"):
        Batch(stand_in.asarray(batch.inputs), batch.targets)
    symbols = Batch(np.array([[3]]), np.array([[0]]))
    with pytest.raises(ValueError, match="`inputs` has symbols from 3 to 3, but 0 to 2"):
        on_device.value(there, symbols)
    with pytest.raises(ValueError, match="`inputs` has symbols from 3 to 3, but 0 to 2"):
        on_device.predict(there, stand_in.asarray(symbols.inputs))


def test_a_device_is_asked_for_and_not_found(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert SequenceNetwork(ElmanCell(1, 1), 1, device="auto").device == "cpu"
    with pytest.raises(ImportError, match="`device` is 'cuda', but CuPy cannot be imported"):
        SequenceNetwork(ElmanCell(1, 1), 1, device="cuda")
    with pytest.raises(ValueError, match="`device` is 'gpu'"):
        SequenceNetwork(ElmanCell(1, 1), 1, device="gpu")


def test_products_do_not_wait_for_the_device(stand_in, rng):
    for settings in ({}, {"max_rows": 12}):
        _, network, params, batch = make("multiplicative", "softmax", rng, symbols=True, **settings)
        there = stand_in.asarray(params)
        at = network.linearize(there, batch)
        out = stand_in.empty_like(there)
        stand_in.n_transfers = stand_in.n_synchronisations = 0
        at.gauss_newton_product(there, 0.1, out=out)
        assert (stand_in.n_transfers, stand_in.n_synchronisations) == (0, 0)
        # The batch is there already; the loss itself is what is waited for, and the penalty.
        network.value(there, batch)
        assert stand_in.n_transfers == 0


# -- estimators -----------------------------------------------------------------------------------

ESTIMATORS = {
    "regressor": lambda **s: RNNRegressor(5, **s),
    "multiplicative regressor": lambda **s: RNNRegressor(5, cell="multiplicative", **s),
    "classifier": lambda **s: RNNClassifier(5, cell="lstm", optimizer="adam", **s),
    "held out": lambda **s: RNNClassifier(5, validation_fraction=0.3, **s),
}


def sequences(rng, name):
    X = rng.standard_normal((8, 6, 2))
    y = X.sum(axis=2, keepdims=True) if "regressor" in name else rng.integers(3, size=(8, 6))
    return X, y


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators(xp, rng, name, dtype, tmp_path):
    X, y = sequences(rng, name)
    # Few iterations: rounding grows along the way of training.
    settings = {"max_iter": 2, "random_state": 0, "dtype": dtype}
    on_host = ESTIMATORS[name](**settings).fit(X, y)
    ours = ESTIMATORS[name](**settings, device="cuda").fit(X, y)
    assert (on_host.device_, ours.device_) == ("cpu", "cuda")
    loss = 1e-7 if dtype == "float64" else 5e-3
    assert isinstance(ours.params_, np.ndarray)
    np.testing.assert_allclose(ours.params_, on_host.params_, rtol=loss, atol=loss)
    np.testing.assert_allclose(ours.loss_curve_, on_host.loss_curve_, rtol=loss)
    there = xp.asarray(X)
    method = "predict" if "regressor" in name else "predict_proba"
    expected = getattr(on_host, method)(X)
    answer = getattr(ours, method)(there)
    assert is_on_device(answer)
    np.testing.assert_allclose(to_host(answer), expected, rtol=loss, atol=loss)
    assert isinstance(getattr(ours, method)(X), np.ndarray)
    assert all(is_on_device(part) for part in getattr(ours, method)(list(there)))
    assert ours.score(there, xp.asarray(y)) == pytest.approx(on_host.score(X, y), abs=10 * loss)
    again = ESTIMATORS[name](**settings, device="cuda").fit(there, xp.asarray(y))
    np.testing.assert_array_equal(again.params_, ours.params_)

    # What a file and a pickle hold is on the host; training goes on from either.
    ours.save(tmp_path / "model.npz")
    for copy in (type(ours).load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(ours))):
        np.testing.assert_array_equal(copy.params_, ours.params_)
        copy.set_params(device="cpu")
        np.testing.assert_allclose(getattr(copy, method)(X), expected, rtol=loss, atol=loss)
    copy.set_params(device="cuda", warm_start=True, max_iter=1).fit(X, y)
    assert copy.n_iter_ == 3


def test_callbacks_see_arrays_of_the_host(stand_in, rng):
    X, y = sequences(rng, "regressor")
    seen = []

    def look(rnn):
        seen.append(pickle.loads(pickle.dumps(rnn._state)).params)
        assert isinstance(rnn.params_, np.ndarray)

    RNNRegressor(4, max_iter=2, callback=look, random_state=0, device="cuda").fit(X, y)
    assert len(seen) == 2
    assert not np.array_equal(*seen)


def test_estimators_refuse_mixed_devices(stand_in, rng):
    X, y = sequences(rng, "regressor")
    with pytest.raises(TypeError, match="`X` is a CuPy array, but this RNNRegressor has `device`"):
        RNNRegressor(4).fit(stand_in.asarray(X), stand_in.asarray(y))
    with pytest.raises(TypeError, match="`X` is a CuPy array, but `y` is not"):
        RNNRegressor(4, device="cuda").fit(stand_in.asarray(X), y)
    # Labels may be strings, which no GPU holds.
    labels = np.where(y[..., 0] > 0, "up", "down")
    rnn = RNNClassifier(4, max_iter=1, device="cuda").fit(stand_in.asarray(X), labels)
    assert set(rnn.predict(stand_in.asarray(X)).ravel()) <= {"up", "down"}
    rnn.set_params(device="cpu")
    with pytest.raises(TypeError, match="`X` is a CuPy array, but this RNNClassifier has `device`"):
        rnn.predict(stand_in.asarray(X))


@pytest.mark.parametrize("averaging", [False, True])
def test_character_model(xp, averaging, tmp_path):
    text = "the quick brown fox jumps over the lazy dog. " * 6
    settings = {
        "n_units": 6,
        "max_iter": 2,
        "sequence_length": 20,
        "n_scored": 10,
        "gradient_batch_size": 8,
        "curvature_batch_size": 4,
        "averaging": averaging,
        "random_state": 0,
        "dtype": "float64",
    }
    on_host = CharacterLanguageModel(**settings).fit(text)
    ours = CharacterLanguageModel(**settings, device="cuda").fit(text)
    assert ours.device_ == "cuda"
    np.testing.assert_allclose(ours.params_, on_host.params_, rtol=1e-6, atol=1e-6)
    assert ours.score(text) == pytest.approx(on_host.score(text), rel=1e-6)
    assert isinstance(pickle.loads(pickle.dumps(ours)).params_, np.ndarray)
    ours.save(tmp_path / "model.npz")
    assert type(ours).load(tmp_path / "model.npz").sample(5, seed=0) == ours.sample(5, seed=0)


def test_a_run_is_answered_and_saved_on_the_host(xp, rng, tmp_path):
    network, on_device, params, batch = make("gru", "softmax", rng)
    optimizer = hessian_free(max_cg_iterations=4)
    seen = []
    runs = [
        train(
            each,
            optimizer,
            Minibatches(batch),
            start(optimizer, params, 0),
            n_iterations=2,
            checkpoint=tmp_path / "run.npz",
            callback=lambda state: seen.append(is_on_device(state.params)),
        )
        for each in (network, on_device)
    ]
    assert seen == [False, False, True, True]
    np.testing.assert_allclose(runs[1].params, runs[0].params, rtol=1e-8, atol=1e-8)
    loaded = load_checkpoint(tmp_path / "run.npz", optimizer)
    np.testing.assert_array_equal(loaded.params, runs[1].params)
    further = train(on_device, optimizer, Minibatches(batch), loaded, n_iterations=3)
    assert isinstance(further.params, np.ndarray)


def test_what_runs_on_the_host_says_so(stand_in, rng):
    network, _, params, batch = make("elman", "softmax", rng, symbols=True)
    with pytest.raises(TypeError, match="`params` is a CuPy array, but a NetworkStream runs on"):
        NetworkStream(network, stand_in.asarray(params))
    with pytest.raises(TypeError, match="`params` is a CuPy array, but SciPy runs on the host"):
        train_scipy(network, stand_in.asarray(params), batch)
