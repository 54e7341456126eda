"""Recurrent nets with device="cuda" against the same on the host; see the fixture `xp`."""

import dataclasses
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
    GRUCell,
    LSTMCell,
    MultiplicativeCell,
    MUT1Cell,
    MUT2Cell,
    MUT3Cell,
    StackedCell,
    TensorCell,
)
from hessianfree.language import NetworkStream
from hessianfree.optimize import (
    CHECK_EVERY,
    SGD,
    Adagrad,
    Adam,
    FisherPreconditioner,
    FunctionObjective,
    HessianFree,
    JacobiPreconditioner,
    LevenbergMarquardt,
    Momentum,
    RelativeProgress,
    RMSprop,
    conjugate_gradient,
)
from hessianfree.training import Minibatches, load_checkpoint, start, train, train_scipy
from reservoir.utils.device import is_on_device, to_host

CELLS = {
    "elman": lambda n: ElmanCell(n, 5),
    "elman, relu, no initial state": lambda n: ElmanCell(
        n, 5, activation="relu", learn_initial_state=False
    ),
    "multiplicative": lambda n: MultiplicativeCell(n, 5, 7),
    "multiplicative, shifted": lambda n: MultiplicativeCell(
        n, 5, 7, gain="shifted_tanh", activation="logistic"
    ),
    "tensor": lambda n: TensorCell(n, 5),
    "lstm": lambda n: LSTMCell(n, 5),
    "lstm, peepholes": lambda n: LSTMCell(n, 5, peepholes=True),
    "gru": lambda n: GRUCell(n, 5),
    "mut1": lambda n: MUT1Cell(n, 5),
    "mut2": lambda n: MUT2Cell(n, 5),
    "mut3": lambda n: MUT3Cell(n, 5),
    "stack": lambda n: StackedCell([MultiplicativeCell(n, 4, 6), GRUCell(4, 5)]),
}
LOSSES = {"squared_error": 2, "logistic": 2, "softmax": 4}
# Sums in another order, of values of about 1.
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}


def make(cell, loss, rng, *, symbols=False, dtype="float64", **settings):
    """Return the same network on both devices, parameters and a padded batch."""
    n_outputs = LOSSES[loss]
    networks = [
        SequenceNetwork(CELLS[cell](3), n_outputs, loss, l2=0.1, device=device, **settings)
        for device in ("cpu", "cuda")
    ]
    shape = (6, 4)
    inputs = rng.integers(3, size=shape) if symbols else rng.standard_normal((*shape, 3))
    targets = {
        "squared_error": lambda: rng.standard_normal((*shape, 2)),
        "logistic": lambda: rng.integers(2, size=(*shape, 2)).astype(float),
        "softmax": lambda: rng.integers(4, size=shape),
    }[loss]()
    mask = rng.uniform(0.5, 1, size=shape)
    mask[4:, 1] = mask[:2] = 0
    vectors = None
    if "n_initial_inputs" in settings:
        vectors = rng.standard_normal((4, settings["n_initial_inputs"]))
    params = (0.5 * rng.standard_normal(networks[0].n_params)).astype(dtype)
    return *networks, params, Batch(inputs, targets, mask, vectors)


def assert_same(ours, host, dtype="float64"):
    assert is_on_device(ours)
    assert ours.dtype == host.dtype
    np.testing.assert_allclose(
        to_host(ours), host, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * abs(host).max()
    )


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


def spd(rng, n=40, condition=1e3):
    q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return (q * np.geomspace(1, condition, n)) @ q.T


RUNS = {
    "stopping rule": {"stopping_rule": RelativeProgress(0.01)},
    "stopping rule and start": {"stopping_rule": RelativeProgress(0.01), "start": 1},
    "limit": {"max_iterations": 7},
    "none": {"max_iterations": 0},
    "solved": {"max_iterations": 200},
    "preconditioned": {"max_iterations": 33, "preconditioner": 1},
    "recomputed": {"max_iterations": 23, "recompute_every": 3},
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_conjugate_gradients_end_at_the_same_iteration(stand_in, rng, name, dtype):
    matrix = spd(rng).astype(dtype)
    b, start = rng.standard_normal((2, 40)).astype(dtype)
    diagonal = np.diag(matrix).copy()
    there, d_there = stand_in.asarray(matrix), stand_in.asarray(diagonal)
    settings, settings_there = dict(RUNS[name]), dict(RUNS[name])
    if "start" in settings:
        settings["start"], settings_there["start"] = start, stand_in.asarray(start)
    if "preconditioner" in settings:
        settings["preconditioner"] = lambda r: r / diagonal
        settings_there["preconditioner"] = lambda r: r / d_there
    host = conjugate_gradient(lambda v: matrix @ v, b, **settings)
    stand_in.n_synchronisations = 0
    ours = conjugate_gradient(lambda v: there @ v, stand_in.asarray(b), **settings_there)
    # At the start, and then for a block of iterations each.
    assert stand_in.n_synchronisations <= 5 + -(-host.n_iterations // CHECK_EVERY)
    assert (ours.stop_reason, ours.iterations) == (host.stop_reason, host.iterations)
    assert ours.quadratics == host.quadratics
    assert 0 <= ours.n_products - host.n_products <= 2 * CHECK_EVERY
    for x, x_host in zip(ours.iterates, host.iterates, strict=True):
        np.testing.assert_array_equal(to_host(x), x_host)


@pytest.mark.parametrize("at", [CHECK_EVERY + 1, CHECK_EVERY + 3, 2 * CHECK_EVERY + 1])
@pytest.mark.parametrize("size", [3.0, np.inf])
def test_conjugate_gradients_fall_back(stand_in, rng, size, at):
    """Negative curvature, or infinity, is met within a block: what came before it stays."""
    scales = np.geomspace(1, 100, 40)
    b = rng.standard_normal(40)

    def product(v, scale=None):
        product.n += 1
        curved = v * scale
        return curved if product.n < at else -size * curved

    results = []
    for take in (np.asarray, stand_in.asarray):
        product.n = 0
        scale = take(scales)
        results.append(conjugate_gradient(lambda v, s=scale: product(v, s), take(b)))
    host, ours = results
    assert host.n_iterations == at - 1
    assert ours.stop_reason == host.stop_reason
    assert ours.quadratics == host.quadratics
    assert ours.iterations == host.iterations
    np.testing.assert_array_equal(to_host(ours.iterates[-1]), host.iterates[-1])


PRECONDITIONERS = [None, FisherPreconditioner(), JacobiPreconditioner(2)]


def hessian_free(max_cg_iterations=12, **settings):
    return HessianFree(
        LevenbergMarquardt(initial=0.1),
        structural_damping=0.1,
        max_cg_iterations=max_cg_iterations,
        **settings,
    )


@pytest.mark.parametrize("cell", CELLS)
def test_the_stand_in_computes_bit_for_bit(stand_in, rng, cell):
    """NumPy does both: whatever differs, real inputs given, would be a difference in the code."""
    network, on_device, params, batch = make(cell, "softmax", rng, dtype="float32")
    v = rng.standard_normal(len(params)).astype("float32")
    there = stand_in.asarray(params), stand_in.asarray(v)
    np.testing.assert_array_equal(
        to_host(on_device.linearize(there[0], batch).gauss_newton_product(there[1], 0.1)),
        network.linearize(params, batch).gauss_newton_product(v, 0.1),
    )
    optimizer = hessian_free()
    state, ours = optimizer.init(params), optimizer.init(params)
    for _ in range(2):
        state, info = optimizer.step(network, state, batch)
        ours, our_info = optimizer.step(on_device, ours, batch)
    np.testing.assert_array_equal(to_host(ours.params), state.params)
    passes = "products", "passes", "sequence_gradients"
    assert {k: our_info[k] for k in info if k not in passes} == {
        k: info[k] for k in info if k not in passes
    }


@pytest.mark.parametrize("preconditioner", PRECONDITIONERS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("cell", ["multiplicative", "elman", "gru"])
def test_hessian_free_steps(xp, rng, preconditioner, dtype, cell):
    network, on_device, params, batch = make(cell, "softmax", rng, symbols=True, dtype=dtype)
    other = make(cell, "softmax", rng, symbols=True, dtype=dtype)[-1]
    # A few iterations: conjugate gradients lose about a digit of two sums in each.
    optimizer = hessian_free(max_cg_iterations=CHECK_EVERY + 1, preconditioner=preconditioner)
    state, ours = optimizer.init(params), optimizer.init(params)
    for batches in ((batch,), (other, batch)):
        state, info = optimizer.step(network, state, *batches)
        ours, our_info = optimizer.step(on_device, ours, *batches)
        assert is_on_device(ours.params)
        assert is_on_device(ours.cg_start)
        loss = 100 * TOLERANCE[dtype]
        np.testing.assert_allclose(to_host(ours.params), state.params, rtol=loss, atol=loss)
        assert our_info["cg_stop"] == info["cg_stop"]
        assert our_info["accepted"]
        assert our_info["cg_iterations"] == info["cg_iterations"]
        assert our_info["new_loss"] == pytest.approx(info["new_loss"], rel=TOLERANCE[dtype])
        assert all(isinstance(value, float | int | str) for value in our_info.values())


def test_a_step_moves_batches_and_parameters_once(stand_in, rng):
    _, network, params, batch = make("multiplicative", "softmax", rng, symbols=True)
    optimizer = hessian_free()
    state, _ = optimizer.step(network, optimizer.init(params), batch)
    stand_in.n_transfers = stand_in.n_synchronisations = 0
    _, info = optimizer.step(network, state, batch)
    # Numbers of conjugate gradients, a block at a time; nothing else crosses.
    assert stand_in.n_transfers == -(-info["cg_iterations"] // CHECK_EVERY)


FIRST_ORDER = [
    SGD(0.1, clip_norm=0.5),
    SGD(0.1, clip_value=0.01),
    Momentum(0.1),
    Momentum(0.1, nesterov=False),
    Adagrad(0.1),
    RMSprop(0.01, momentum=0.5),
    Adam(0.01),
]


@pytest.mark.parametrize("optimizer", FIRST_ORDER, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_first_order_steps(xp, rng, optimizer, dtype):
    network, on_device, params, batch = make("lstm", "softmax", rng, dtype=dtype)
    state, ours = optimizer.init(params), optimizer.init(xp.asarray(params))
    for _ in range(3):
        state, info = optimizer.step(network, state, batch)
        ours, our_info = optimizer.step(on_device, ours, batch)
    for field in dataclasses.fields(state):
        value, our_value = getattr(state, field.name), getattr(ours, field.name)
        if isinstance(value, np.ndarray):
            assert_same(our_value, value, dtype)
        else:
            assert our_value == value
    assert our_info["accepted"]
    assert our_info["clipped"] == info["clipped"]
    assert our_info["gradient_norm"] == pytest.approx(info["gradient_norm"], rel=1e-4)


def test_functions_of_the_user_may_be_on_a_device(xp):
    scales = xp.asarray([1.0, 10.0])
    quadratic = FunctionObjective(
        value=lambda x: 0.5 * x @ (scales * x) - x.sum(),
        gradient=lambda x: scales * x - 1,
        product=lambda x, v: scales * v,
    )
    optimizer = HessianFree(LevenbergMarquardt(initial=0.0, floor=0.0))
    state, info = optimizer.step(quadratic, optimizer.init(xp.zeros(2)))
    np.testing.assert_allclose(to_host(state.params), [1, 0.1], rtol=1e-12)
    assert info["cg_stop"] == "solved"


# -- estimators -----------------------------------------------------------------------------------

ESTIMATORS = {
    "regressor": lambda **s: RNNRegressor(5, **s),
    "multiplicative regressor": lambda **s: RNNRegressor(5, cell="multiplicative", **s),
    "classifier": lambda **s: RNNClassifier(5, cell="lstm", optimizer="adam", **s),
    "held out": lambda **s: RNNClassifier(5, validation_fraction=0.3, **s),
}


def sequences(rng, name):
    X = rng.standard_normal((8, 6, 2))
    y = X.sum(axis=2) if "regressor" in name else rng.integers(3, size=(8, 6))
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
    labels = np.where(y > 0, "up", "down")
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
