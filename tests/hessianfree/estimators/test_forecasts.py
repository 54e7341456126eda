"""Forecasts of a trained net, against the net fed by hand with its own outputs."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from reservoir.dynamics import DivergenceError
from tests.support import reference_nets
from tests.support.small_rnns import regressor

CELLS = ["vanilla", "multiplicative", "tensor", "lstm", "gru"]


def by_hand(rnn, context, n_steps, known=None):
    """Run over the context, then on the outputs, which are the first columns of the inputs."""
    network = rnn.network_
    p = reference_nets.split(network, rnn.params_)
    state = reference_nets.start(network.cell, p)
    forecasts = []
    for t in range(len(context) + n_steps - 1):
        if t < len(context):
            x = context[t]
        else:
            ahead = [] if known is None else known[t - len(context)]
            x = np.concatenate([forecasts[-1], ahead])
        state, h, _, _ = reference_nets.step(network.cell, p, x, state)
        if t >= len(context) - 1:
            forecasts.append(p["output"] @ h + p["output_bias"])
    return np.array(forecasts)


@pytest.fixture
def series():
    t = np.arange(240)[:, None]
    return 5 + np.concatenate([np.sin(0.3 * t), np.cos(0.3 * t), t % 7 == 0], axis=1)


@pytest.mark.parametrize("net", [*({"cell": cell} for cell in CELLS), {"n_layers": 2}], ids=str)
def test_outputs_are_fed_back(series, net):
    series = series[:, :2]
    rnn = regressor(dtype="float64", **net).fit(series[:-1], series[1:])
    contexts = [series[:30], series[40:45]]
    expected = [by_hand(rnn, context, 12) for context in contexts]
    for found, by_itself in zip(rnn.forecast(12, contexts), expected, strict=True):
        np.testing.assert_allclose(found, by_itself, rtol=1e-9)
    np.testing.assert_allclose(rnn.forecast(12, X=contexts[1]), expected[1], rtol=1e-9)
    # In two parts, from where the first one ended.
    first, states = rnn.forecast(5, contexts, return_state=True)
    rest = rnn.forecast(7, [part[-1:] for part in first], initial_state=states)
    np.testing.assert_allclose(rest[0], expected[0][5:], rtol=1e-9)


def test_inputs_that_are_no_output_come_in_future(series):
    rnn = regressor(dtype="float64").fit(series[:-1], series[1:, :2])
    known = series[50:59, 2:]
    expected = by_hand(rnn, series[:50], 10, known)
    np.testing.assert_allclose(rnn.forecast(10, series[:50], future=known), expected, rtol=1e-9)
    np.testing.assert_array_equal(rnn.forecast(1, series[:50]), rnn.predict(series[:50])[-1:])
    with pytest.raises(ValueError, match="`future` is missing"):
        rnn.forecast(10, series[:50])
    # By name, in whatever order.
    frame = pd.DataFrame(series[:, [2, 1, 0]], columns=["is_day", "cos", "sin"])
    named = regressor(dtype="float64").fit(frame[:-1], frame[["sin", "cos"]][1:])
    found = named.forecast(3, frame[:50], future=frame[["cos", "is_day"]][50:52])
    outputs = named.predict(frame[:50])[-1:]
    for step in (1, 2):
        rows = np.vstack(
            [
                series[:50, [2, 1, 0]],
                *([[series[50 + i, 2], *outputs[i][::-1]]] for i in range(step)),
            ]
        )
        outputs = np.vstack([outputs, named.predict(pd.DataFrame(rows, columns=frame.columns))[-1]])
    np.testing.assert_allclose(found, outputs, rtol=1e-9)


def test_the_form_is_that_of_the_context(series):
    wave = series[:, :1]
    rnn = regressor().fit(wave[:-1], wave[1:, 0])
    assert rnn.forecast(4, wave).shape == (4,)
    assert rnn.forecast(4, np.stack([wave, wave])).shape == (2, 4)
    assert rnn.forecast(4, wave).dtype == np.float64


def test_a_runaway_is_an_error_with_what_came_before():
    wave = np.sin(0.3 * np.arange(200))[:, None]
    rnn = regressor(dtype="float64", activation="relu").fit(wave[:-1], wave[1:])
    rnn.weights_["output"][:] = 0
    rnn.weights_["output_bias"][:] = 0
    rnn.weights_["recurrent"][:] = 0
    rnn.weights_["input"][:] = 0
    rnn.weights_["bias"][:] = 0
    # h = max(2 u, 0), o = h: doubles a positive input, and leaves 0 where it is.
    rnn.weights_["input"][0] = 2
    rnn.weights_["output"][0, 0] = 1
    with pytest.raises(DivergenceError, match="beyond the bound") as caught:
        rnn.forecast(8, [[[-1.0]], [[1.0]]])
    # The targets lie within ±1, and the bound 3 times 2 above: the first beyond it is 8.
    assert (caught.value.sequence, caught.value.step, caught.value.value) == (1, 2, 8.0)
    np.testing.assert_array_equal(caught.value.outputs[0], np.zeros((8, 1)))
    np.testing.assert_array_equal(caught.value.outputs[1], [[2.0], [4.0]])
    free = rnn.forecast(8, [[1.0]], output_limit=None)
    np.testing.assert_array_equal(free[:, 0], 2.0 ** np.arange(1, 9))


def test_what_can_not_be_forecast_is_refused(series):
    with pytest.raises(NotFittedError):
        regressor().forecast(3, series)
    wave = series[:, :1]
    with pytest.raises(ValueError, match="not the inputs of the next step"):
        regressor().fit(wave[:-1], 100 * wave[1:]).forecast(3, wave)
    with pytest.raises(ValueError, match="1 inputs and 2 outputs"):
        regressor().fit(wave[:-1], series[1:, :2]).forecast(3, wave)
    cut = wave.reshape(24, 10, 1)
    with pytest.raises(ValueError, match="one target per sequence"):
        regressor().fit(cut, cut[:, -1, 0]).forecast(3, wave)
    with pytest.raises(ValueError, match="`n_symbols`"):
        regressor(n_symbols=2).fit([[0], [1]], [1.0, 2.0]).forecast(3, [[0]])
    rnn = regressor().fit(wave[:-1], wave[1:])
    with pytest.raises(ValueError, match="`n_steps` is 0"):
        rnn.forecast(0, wave)
    with pytest.raises(ValueError, match="`future` was given"):
        rnn.forecast(3, wave, future=wave)
