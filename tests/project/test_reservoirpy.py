"""What the guide says of reservoirpy: the same weights give the same states and outputs."""

import re
from pathlib import Path

import numpy as np
import pytest

from reservoir import ESNRegressor, ReservoirTransformer
from reservoir.dynamics import Reservoir, run

reservoirpy = pytest.importorskip("reservoirpy", reason="needs reservoirpy, to compare with")
nodes = reservoirpy.nodes

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "coming_from.rst"
# Both compute in float64, in another order; states are at most 1 and forget what they rounded.
STATES = {"rtol": 0, "atol": 1e-13}
# The ridge systems have condition numbers of up to 1e5.
OUTPUTS = {"rtol": 0, "atol": 1e-9}


@pytest.fixture
def data(rng):
    X = rng.uniform(-1, 1, size=(400, 2))
    return X, np.roll(X[:, :1], 2) * X[:, 1:]


def as_node(weights, leak_rate):
    inputs = [weights.input] if weights.feedback is None else [weights.input, weights.feedback]
    return nodes.Reservoir(
        W=weights.recurrent, Win=np.hstack(inputs), bias=weights.bias, lr=leak_rate
    )


def test_our_weights_give_the_same_states(data):
    transformer = ReservoirTransformer(60, leak_rate=0.3, random_state=0)
    states = transformer.fit_transform(data[0])
    np.testing.assert_allclose(as_node(transformer.reservoir_, 0.3).run(data[0]), states, **STATES)


def test_their_weights_give_the_same_states(data):
    node = nodes.Reservoir(60, lr=0.4, sr=0.8, input_scaling=0.5, seed=0)
    expected = node.run(data[0])
    weights = Reservoir(node.W, node.Win.toarray(), np.zeros(60), leak_rate=0.4)
    np.testing.assert_allclose(run(weights, data[0]), expected, **STATES)


def test_the_same_readout(data):
    X, y = data
    esn = ESNRegressor(
        60, leak_rate=0.3, alpha=1e-3, washout=30, include_input=False, random_state=0
    ).fit(X, y)
    model = as_node(esn.reservoir_, 0.3) >> nodes.Ridge(1e-3)
    model.fit(X, y, warmup=30)
    model.reset()
    np.testing.assert_allclose(esn.predict(X), model.run(X), **OUTPUTS)
    np.testing.assert_allclose(esn.coef_, model.nodes[1].Wout.T, **OUTPUTS)
    np.testing.assert_allclose(esn.intercept_, model.nodes[1].bias, **OUTPUTS)


def test_the_same_with_feedback(data):
    X, y = data
    esn = ESNRegressor(
        60, leak_rate=0.6, feedback_scaling=0.3, alpha=1e-2, include_input=False, random_state=0
    ).fit(X, y)
    model = reservoirpy.ESN(
        reservoir=as_node(esn.reservoir_, 0.6), readout=nodes.Ridge(1e-2), feedback=True
    )
    model.fit(X, y)
    model.reset()
    np.testing.assert_allclose(esn.predict(X), model.run(X), **OUTPUTS)


def test_their_state_goes_on_between_calls(data):
    X, y = data
    transformer = ReservoirTransformer(60, random_state=0).fit(X)
    node = as_node(transformer.reservoir_, 1.0)
    first, second = node.run(X[:200]), node.run(X[200:])
    np.testing.assert_allclose(np.vstack([first, second]), transformer.transform(X), **STATES)
    node.reset()
    np.testing.assert_allclose(node.run(X[200:]), transformer.transform(X[200:]), **STATES)
    model = node >> nodes.Ridge(1e-3)
    node.reset()
    model.fit(X, y)
    readout = model.nodes[1].Wout.copy()
    model.fit(X, y)
    assert np.abs(model.nodes[1].Wout - readout).max() > 1e-3


def test_defaults_are_those_of_the_table():
    node = nodes.Reservoir(1000, seed=0)
    node.initialize(np.zeros((1, 1)))
    assert (node.lr, node.sr, node.rc_connectivity, node.bias) == (1.0, 1.0, 0.1, 0.0)
    assert node.input_scaling == 1.0
    inputs = node.Win.toarray()
    assert set(np.unique(inputs)) == {-1.0, 0.0, 1.0}
    assert np.count_nonzero(inputs) == 100
    assert node.W.nnz == 0.1 * 1000**2
    ridge = nodes.Ridge()
    assert (ridge.ridge, ridge.fit_bias) == (0.0, True)
    esn = reservoirpy.ESN(units=5)
    assert (esn.feedback, esn.input_to_readout) == (False, False)


def test_the_code_of_the_guide_runs():
    text = GUIDE.read_text(encoding="utf-8").split("From PyRCN")[0]
    blocks = re.findall(r"code-block:: python\n\n((?:   .*\n|\n)+)", text)
    blocks = [re.sub(r"^   ", "", block, flags=re.MULTILINE) for block in blocks]
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(500, 1))
    y = np.roll(X, 2)
    esn = ESNRegressor(
        100, leak_rate=0.9, spectral_radius=0.9, input_scaling=0.5, bias_scaling=0,
        include_input=False, alpha=1e-3, washout=50, random_state=0,
    ).fit(X[:400], y[:400])  # fmt: skip
    names = {"X": X, "y": y, "esn": esn, "np": np}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 3
    # Other weights, the same model: both solve the task.
    ours = esn.predict(X[400:], initial_state="last")
    for predicted in (names["predicted"], ours):
        assert np.mean((predicted - y[400:]) ** 2) < 0.01 * y.var()
    np.testing.assert_allclose(names["the_same"], ours, **OUTPUTS)
    np.testing.assert_allclose(names["states"], names["their_states"], **STATES)
