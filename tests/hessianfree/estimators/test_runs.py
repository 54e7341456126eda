"""A trained net in service, against the net step by step: states to go on from, single steps."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from hessianfree import RNNRegressor
from tests.support import reference_nets
from tests.support.small_rnns import classifier, regressor

NETS = [
    *({"cell": cell} for cell in ("vanilla", "multiplicative", "tensor", "lstm", "gru", "mut1")),
    {"n_layers": 2},
    {"cell": "lstm", "n_layers": 2},
    {"learned_initial_state": False},
    {"activation": "logistic"},
]


def by_hand(rnn, inputs, state=None):
    """Outputs and last state of one sequence, step by step, from the start of the net if None."""
    network = rnn.network_
    p = reference_nets.split(network, rnn.params_)
    state = reference_nets.start(network.cell, p) if state is None else state
    if rnn.n_symbols is not None:
        inputs = np.eye(rnn.n_symbols)[inputs[:, 0]]
    outputs = []
    for x in inputs:
        state, h, _, _ = reference_nets.step(network.cell, p, x, state)
        outputs.append(p["output"] @ h + p["output_bias"])
    return np.array(outputs), state


@pytest.fixture
def data(rng):
    X = rng.uniform(-1, 1, size=(6, 9, 3))
    return X, 50 + X[..., :2].cumsum(axis=1)


@pytest.mark.parametrize("net", NETS, ids=str)
def test_a_net_goes_on_from_any_state(data, net):
    X, y = data
    rnn = regressor(dtype="float64", target="step", **net).fit(X, y)
    expected, end = by_hand(rnn, X[2])
    first, states = rnn.predict([X[2][:4], X[1][:7]], return_state=True)
    np.testing.assert_allclose(first[0], expected[:4], rtol=1e-10)
    np.testing.assert_allclose(states[1], by_hand(rnn, X[1][:7])[1], rtol=1e-9, atol=1e-12)
    rest, last = rnn.predict(X[2][4:], initial_state=states[0], return_state=True)
    np.testing.assert_allclose(rest, expected[4:], rtol=1e-10)
    np.testing.assert_allclose(last, end[None], rtol=1e-9, atol=1e-12)
    # "last" is where the last training sequence ended, and predictions leave it there.
    after, _ = by_hand(rnn, X[0], by_hand(rnn, X[-1])[1])
    for _ in range(2):
        np.testing.assert_allclose(rnn.predict(X[0], initial_state="last"), after, rtol=1e-10)


@pytest.mark.parametrize("net", NETS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_are_predictions(data, net, dtype):
    X, y = data
    rnn = regressor(dtype=dtype, target="step", **net).fit(X, y)
    tolerance = {"float32": 3e-7, "float64": 1e-14}[dtype]
    expected = rnn.predict(X[0], initial_state="last")
    np.testing.assert_allclose([rnn.step(x) for x in X[0]], expected, rtol=tolerance)
    rnn.reset_state()
    steps = np.array([rnn.step(list(x)) for x in X[1][:5]])
    np.testing.assert_allclose(steps, rnn.predict(X[1][:5]), rtol=tolerance)
    np.testing.assert_allclose(steps, by_hand(rnn, X[1][:5])[0], rtol=1e-5)
    # And a step moves "last".
    rest = rnn.predict(X[1][5:], initial_state="last")
    np.testing.assert_allclose(rest, rnn.predict(X[1])[5:], rtol=tolerance)


@pytest.mark.parametrize("cell", ["vanilla", "multiplicative", "lstm"])
def test_steps_of_symbols_are_labels(rng, cell):
    X = rng.integers(3, size=(40, 6, 1))
    y = np.where(np.roll(X[..., 0], 1, axis=1) == 1, "odd", "even")
    y[:, 0] = "even"
    rnn = classifier(cell=cell, n_symbols=3, dtype="float64", max_iter=40).fit(X, y)
    rnn.reset_state()
    one = X[np.argmax((y == "odd").sum(axis=1))]
    expected = rnn.predict(one)
    assert set(expected) == {"odd", "even"}
    assert [rnn.step(int(x)) for x in one[:, 0]] == list(expected)
    labels, states = rnn.predict(X, return_state=True)
    probabilities, same = rnn.predict_proba(X, return_state=True)
    np.testing.assert_array_equal(states, same)
    np.testing.assert_allclose(states[3], by_hand(rnn, X[3])[1], rtol=1e-9, atol=1e-12)
    odds, _ = by_hand(rnn, X[1], states[3])
    on = rnn.predict_proba(X[1], initial_state=states[3])
    np.testing.assert_allclose(on[:, 1], 1 / (1 + np.exp(-odds[:, 0])), rtol=1e-9)
    assert labels.shape == probabilities.shape[:2]


def test_targets_of_whole_sequences(data):
    X, y = data
    rnn = regressor().fit(X, y[:, -1, 0])
    whole, states = rnn.predict(X, return_state=True)
    rnn.reset_state()
    steps = [rnn.step(x) for x in X[1]]
    assert type(steps[0]) is float
    np.testing.assert_allclose(steps[-1], whole[1], rtol=3e-7)
    np.testing.assert_allclose(rnn.last_state_, states[1], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        rnn.predict([X[1][5:]], initial_state=rnn.predict([X[1][:5]], return_state=True)[1]),
        whole[1:2],
        rtol=3e-7,
    )


def test_a_stream_is_saved_and_follows_the_parameters(data, tmp_path):
    X, y = data
    rnn = regressor(target="step").fit(X, y)
    rnn.step(X[0, 0])
    rnn.save(tmp_path / "net.npz")
    twins = [RNNRegressor.load(tmp_path / "net.npz"), pickle.loads(pickle.dumps(rnn))]
    expected = rnn.step(X[0, 1])
    for twin in twins:
        np.testing.assert_array_equal(twin.step(X[0, 1]), expected)
    damaged = regressor(target="step").fit(X, y)
    damaged.last_state_ = np.zeros(3)
    damaged.save(tmp_path / "damaged.npz")
    with pytest.raises(ValueError, match="last_state_"):
        RNNRegressor.load(tmp_path / "damaged.npz")
    rnn.weights_["output_bias"][:] += 1  # a view
    np.testing.assert_allclose(rnn.step(X[0, 2]), twins[0].step(X[0, 2]) + 1, rtol=3e-7)


def test_steps_take_a_series_of_pandas_by_name(data):
    X, y = data
    frame = pd.DataFrame(X[0], columns=["a", "b", "c"])
    rnn = regressor(target="step").fit(frame, y[0])
    expected = rnn.predict(frame, initial_state="last")[0]
    np.testing.assert_allclose(rnn.step(frame.iloc[0][["c", "a", "b"]]), expected, rtol=3e-7)


def test_what_does_not_fit_is_refused_and_moves_nothing(data):
    X, y = data
    with pytest.raises(NotFittedError):
        regressor().step(X[0, 0])
    with pytest.raises(NotFittedError):
        regressor().reset_state()
    rnn = regressor(target="step").fit(X, y)
    before = rnn.last_state_.copy()
    for x, message in (
        (X[0], "`x` has shape"),
        (1.0, "`x` has shape"),
        ([0, np.nan, 0], "NaN or infinity"),
    ):
        with pytest.raises(ValueError, match=message):
            rnn.step(x)
    for state, message in (
        ("first", "'first'"),
        ("last", "2 sequences"),
        (np.zeros(6), r"shape \(6,\), but \(2, 6\)"),
        (np.full((2, 6), np.inf), "NaN or infinity"),
    ):
        with pytest.raises(ValueError, match=message):
            rnn.predict(X[:2], initial_state=state)
    with pytest.raises(TypeError, match="`initial_state`"):
        rnn.predict(X[0], initial_state=object())
    np.testing.assert_array_equal(rnn.last_state_, before)
    del rnn.last_state_
    with pytest.raises(ValueError, match="no last state"):
        rnn.predict(X[0], initial_state="last")
    symbols = regressor(n_symbols=3).fit([[0], [1], [2]], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="`x` has symbols"):
        symbols.step(3)


def test_a_callback_sees_no_state_of_a_training_before(data, tmp_path):
    X, y = data
    rnn = regressor(target="step").fit(X, y)
    rnn.set_params(n_units=4, callback=lambda net: net.save(tmp_path / "net.npz"))
    rnn.fit(X, y[..., 0])
    loaded = RNNRegressor.load(tmp_path / "net.npz")
    with pytest.raises(ValueError, match="no last state"):
        loaded.step(X[0, 0])
    loaded.reset_state()
    assert loaded.step(X[0, 0]) == pytest.approx(loaded.predict(X[0])[0], rel=1e-6)
