"""What a net is made of and starts from: options of its cells, weights of one's own."""

import numpy as np
import pytest
from sklearn.base import clone

from hessianfree import RNNRegressor
from tests.support.small_rnns import Recorder, classifier, regressor

LSTM = {"cell": "lstm", "n_layers": 2, "cell_options": {"forget_bias": 3.0, "peepholes": True}}


# -- options of a cell ---------------------------------------------------------------------------


def test_options_reach_the_cells_of_all_layers(memory_task):
    X, y = memory_task
    rnn = regressor(**LSTM, optimizer=Recorder()).fit(X, y)
    for layer in ("layer1.", "layer2."):
        np.testing.assert_array_equal(rnn.weights_[layer + "forget_gate_bias"], 3.0)
        assert rnn.weights_[layer + "peephole"].shape == (3, 6)
        np.testing.assert_array_equal(rnn.weights_[layer + "input_gate_bias"], 0.0)
    plain = regressor(cell="lstm", optimizer=Recorder()).fit(X, y)
    assert "peephole" not in plain.weights_
    np.testing.assert_array_equal(plain.weights_["forget_gate_bias"], 1.0)


def test_options_are_saved_and_resumed(memory_task, tmp_path):
    X, y = memory_task
    whole = regressor(**LSTM, max_iter=4, warm_start=True).fit(X, y)
    half = regressor(**LSTM, max_iter=2, warm_start=True).fit(X, y)
    half.save(tmp_path / "rnn.npz")
    half = RNNRegressor.load(tmp_path / "rnn.npz")
    assert half.cell_options == LSTM["cell_options"]
    np.testing.assert_array_equal(half.fit(X, y).params_, whole.params_)
    np.testing.assert_array_equal(clone(half).fit(X, y).params_, clone(half).fit(X, y).params_)
    half.set_params(cell_options={"forget_bias": 3.0})
    with pytest.raises(ValueError, match="`warm_start` is True, but cell_options is"):
        half.fit(X, y)


@pytest.mark.parametrize(
    ("cell", "options", "error", "match"),
    [
        ("lstm", {"forget": 1}, ValueError, "'lstm' are: 'peepholes' and 'forget_bias'. Pass one"),
        ("gru", {"forget_bias": 1}, ValueError, "'gru' are: none. Leave it out"),
        ("vanilla", {"activation": "relu"}, ValueError, "or set the parameter of the estimator"),
        ("lstm", {"forget_bias": "high"}, TypeError, "`forget_bias` is 'high'"),
        ("lstm", {"peepholes": "no"}, TypeError, "`peepholes` is 'no'"),
        ("lstm", ["peepholes"], TypeError, r"`cell_options` is \['peepholes'\] of type list"),
    ],
)
def test_options_that_a_cell_does_not_take(memory_task, cell, options, error, match):
    with pytest.raises(error, match=match):
        regressor(cell=cell, cell_options=options).fit(*memory_task)


# -- weights to start from -----------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, LSTM, {"cell": "multiplicative"}])
def test_a_net_that_starts_from_another_is_that_one(memory_task, settings):
    X, y = memory_task
    trained = regressor(dtype="float64", target="step", **settings).fit(X, 1e3 + 50 * y)
    again = regressor(dtype="float64", target="step", **settings)
    again.set_params(initialization=trained.params_, optimizer=Recorder())
    # Other data, of another mean and scale: the predictions are in the units of the first.
    again.fit(X[:10], 7 * y[:10])
    np.testing.assert_allclose(again.predict(X), trained.predict(X), rtol=1e-9)
    # It learns from there: the first loss is that of the net that it starts from.
    again.set_params(optimizer="hessian-free").fit(X, 1e3 + 50 * y)
    errors = (trained.predict(X) - 1e3 - 50 * y) / again._target_scale
    loss = 0.5 * (errors**2).sum(axis=-1).mean()
    assert again.loss_curve_[0] == pytest.approx(loss, rel=1e-9)
    assert again.loss_curve_[-1] < again.loss_curve_[0]


def test_a_classifier_starts_from_given_weights(memory_task):
    X, y = memory_task
    labels = np.digitize(y[..., 0], [-0.3, 0.3])
    trained = classifier().fit(X, labels)
    again = classifier(initialization=trained.params_.tolist(), optimizer=Recorder())
    np.testing.assert_array_equal(again.fit(X, labels).predict_proba(X), trained.predict_proba(X))


def test_some_blocks_are_given_and_the_others_drawn(memory_task):
    X, y = memory_task
    trained = regressor(target="step", dtype="float64").fit(X, y)
    kept = {name: w for name, w in trained.weights_.items() if not name.startswith("output")}
    # A new task, of one output, for the units of the old one.
    other = regressor(target="step", dtype="float64", optimizer=Recorder())
    drawn = clone(other).fit(X, y[..., :1]).weights_
    found = other.set_params(initialization=kept).fit(X, y[..., :1]).weights_
    for name, block in found.items():
        np.testing.assert_array_equal(block, kept.get(name, drawn[name]))
    bias = regressor(target="step", dtype="float64", optimizer=Recorder())
    bias.set_params(initialization={"output_bias": [4.0, -2.0]}).fit(X, 3 * y)
    np.testing.assert_allclose(bias.weights_["output_bias"], [4.0, -2.0], rtol=1e-12)


def test_given_weights_are_saved_cloned_and_resumed(memory_task, tmp_path):
    X, y = memory_task
    first = regressor(target="step").fit(X, y)
    for given in (first.params_, {"recurrent": first.weights_["recurrent"]}):
        whole = regressor(target="step", initialization=given, max_iter=4).fit(X, y)
        half = regressor(target="step", initialization=given, max_iter=2, warm_start=True)
        clone(half).fit(X, y).save(tmp_path / "rnn.npz")
        half = RNNRegressor.load(tmp_path / "rnn.npz")
        np.testing.assert_array_equal(half.fit(X, y).params_, whole.params_)


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        (np.zeros(3), ValueError, r"`initialization` has shape \(3,\), but \(68,\) was expected"),
        (np.full(68, np.nan), ValueError, "`initialization` holds NaN"),
        (["a"] * 68, ValueError, "`initialization` can't be read as numbers"),
        (object(), TypeError, "`initialization` can't be read as numbers"),
        ({"readout": np.zeros(3)}, ValueError, "has 'readout', but the blocks of this net are"),
        ({"bias": [1.0]}, ValueError, r"`initialization\['bias'\]` has shape \(1,\), but \(6,\)"),
    ],
)
def test_weights_that_do_not_fit(memory_task, given, error, match):
    with pytest.raises(error, match=match):
        regressor(target="step", initialization=given).fit(*memory_task)
