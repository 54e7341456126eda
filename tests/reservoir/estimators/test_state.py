"""Where runs end and begin: states, outputs fed back, live steps, and forecasts from them."""

import pickle
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from reservoir import ESNRegressor, NVARRegressor
from reservoir.dynamics import DivergenceError
from reservoir.online import OnlineESNRegressor

STEPS = np.arange(1200)


def small(n_units=60, **parameters):
    settings = {"input_scaling": 0.5, "bias_scaling": 0.2, "leak_rate": 1.0, "washout": 50}
    settings |= {"alpha": 1e-6, "random_state": 0} | parameters
    return ESNRegressor(n_units, **settings)


@pytest.fixture
def wave():
    """Two channels, never the same twice in what is used of them."""
    return np.c_[np.sin(0.2 * STEPS), np.cos(0.2 * STEPS) + 0.3 * np.sin(0.05 * STEPS)]


@pytest.fixture
def forecaster(wave):
    return small().fit(wave[:699], wave[1:700])


@pytest.fixture
def plant(rng):
    """A plant that is driven, with an output that depends on its own last values."""
    u = rng.uniform(-1, 1, (1500, 1))
    y = np.zeros((1500, 1))
    for t in range(2, 1500):
        y[t] = 0.6 * y[t - 1] - 0.2 * y[t - 2] + 0.3 * np.tanh(u[t]) + 0.1 * y[t - 1] * u[t]
    return u, y


@pytest.fixture
def fed_back(plant):
    u, y = plant
    settings = {"feedback_scaling": 0.3, "input_scaling": 0.3, "spectral_radius": 0.5}
    return small(200, alpha=1e-8, **settings).fit(u[:1000], y[:1000])


# -- predict -------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [1, 77, 256, 299])
def test_a_run_with_feedback_restarts_anywhere(fed_back, plant, split):
    u, _ = plant
    whole = fed_back.predict(u[1000:1300])
    first, end = fed_back.predict(u[1000 : 1000 + split], return_state=True)
    by_state = fed_back.predict(u[1000 + split : 1300], initial_state=end)
    by_arrays = fed_back.predict(
        u[1000 + split : 1300], initial_state=end.state[0], initial_output=first[-1]
    )
    np.testing.assert_allclose(np.r_[first, by_state], whole, atol=1e-13)
    np.testing.assert_array_equal(by_arrays, by_state)


def test_last_as_arrays_is_last(fed_back, plant):
    u, _ = plant
    last = fed_back.predict(u[1000:], initial_state="last")
    state, output = fed_back.last_state_, fed_back.last_output_
    for start in (
        {"initial_state": state, "initial_output": output},
        {"initial_state": state[None], "initial_output": "last"},
        {"initial_state": "last", "initial_output": float(output[0])},
    ):
        np.testing.assert_array_equal(fed_back.predict(u[1000:], **start), last)
    stream = fed_back.predict_stream(
        [u[1000:1100], u[1100:]], initial_state=state, initial_output=output
    )
    np.testing.assert_allclose(np.concatenate(list(stream)), last, atol=1e-13)
    with pytest.warns(UserWarning, match="`initial_output` is missing"):
        other = fed_back.predict(u[1000:], initial_state=state)
    assert abs(other - last).max() > 1e-3


def test_several_sequences_end_and_go_on(fed_back, plant):
    u, _ = plant
    parts = [u[1000:1100], u[1100:1180], u[1200:1203]]
    whole = fed_back.predict([np.r_[part, u[:40]] for part in parts])
    _, end = fed_back.predict(parts, return_state=True)
    again = fed_back.predict([u[:40]] * 3, initial_state=end)
    for one, other in zip(again, whole, strict=True):
        np.testing.assert_allclose(one, other[-40:], atol=1e-12)
    with pytest.raises(ValueError, match="is where 3 sequence"):
        fed_back.predict([u[:40]] * 2, initial_state=end)


def test_known_steps_bring_a_plant_to_where_it_is(fed_back, plant):
    # 50 steps of input and output are known; what follows is to be predicted from the input.
    u, y = plant
    known, rest = slice(1100, 1150), slice(1150, 1300)
    end = fed_back.advance(u[known], y[known], initial_state=None)
    error = np.sqrt(np.mean((fed_back.predict(u[rest], initial_state=end) - y[rest]) ** 2))
    assert error < 0.001
    # Without the output that is fed back it was ten times that.
    lost = fed_back.predict(u[rest], initial_state=end.state, initial_output=0.0)
    assert np.sqrt(np.mean((lost - y[rest]) ** 2)) > 5 * error
    # "last" has moved there.
    np.testing.assert_array_equal(
        fed_back.predict(u[rest], initial_state="last"),
        fed_back.predict(u[rest], initial_state=end),
    )


def test_bad_starts(fed_back, plant):
    u, _ = plant
    state = fed_back.last_state_
    for start, message in (
        ({"initial_output": [1.0, 2.0]}, r"`initial_output` has shape \(2,\)"),
        ({"initial_output": [[np.nan]]}, "`initial_output` holds NaN"),
        ({"initial_output": "end"}, "`initial_output` is 'end'"),
        ({"initial_state": state[:-1], "initial_output": 0.0}, "`initial_state` has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            fed_back.predict(u, **start)


# -- advance -------------------------------------------------------------------------------------


def test_advance_is_a_longer_context(forecaster, wave):
    expected = forecaster.forecast(30, wave[:900])
    # After fit, the next input that was not heard is row 699.
    end = forecaster.advance(wave[699:900])
    np.testing.assert_allclose(forecaster.forecast(30), expected, atol=1e-9)
    np.testing.assert_allclose(forecaster.forecast(30, initial_state=end), expected, atol=1e-9)
    np.testing.assert_allclose(forecaster.forecast(1), expected[:1], atol=1e-9)
    assert np.sqrt(np.mean((expected - wave[900:930]) ** 2)) < 0.05


def test_advance_with_targets_is_partial_fit_without_learning(wave):
    inputs, targets = wave[:-1], wave[1:]
    learned = small(feedback_scaling=0.3).partial_fit(inputs[:700], targets[:700])
    moved = pickle.loads(pickle.dumps(learned))
    coef = learned.coef_.copy()
    learned.partial_fit(inputs[700:900], targets[700:900], initial_state="last")
    moved.advance(inputs[700:900], targets[700:900])
    np.testing.assert_allclose(moved.last_state_, learned.last_state_, atol=1e-13)
    np.testing.assert_array_equal(moved.last_output_, learned.last_output_)
    np.testing.assert_array_equal(moved.coef_, coef)
    # Training goes on from where it is, as if it had seen what came between.
    moved.partial_fit(inputs[900:], targets[900:], initial_state="last")
    learned.partial_fit(inputs[900:], targets[900:], initial_state="last")
    np.testing.assert_allclose(moved.last_state_, learned.last_state_, atol=1e-12)


def test_a_second_predict_starts_where_the_first_did(forecaster, wave):
    first = forecaster.predict(wave[699:800], initial_state="last")
    np.testing.assert_array_equal(forecaster.predict(wave[699:800], initial_state="last"), first)
    forecaster.advance(wave[699:800])
    second = forecaster.predict(wave[800:900], initial_state="last")
    whole = forecaster.predict(wave[:900])
    np.testing.assert_allclose(second, whole[800:], atol=1e-12)


def test_advance_of_several_sequences(forecaster, wave):
    parts = [wave[:100], wave[300:380]]
    with pytest.raises(ValueError, match="'last', but `X` holds 2 sequences"):
        forecaster.advance(parts)
    end = forecaster.advance(parts, initial_state=None)
    expected = forecaster.forecast(5, parts)
    found = forecaster.forecast(5, initial_state=end)
    assert found.shape == (2, 5, 2)
    np.testing.assert_allclose(found, np.array(expected), atol=1e-9)


def test_advance_is_saved(forecaster, wave, tmp_path):
    forecaster.advance(wave[699:800])
    forecaster.step(wave[800])
    expected = forecaster.forecast(10)
    forecaster.save(tmp_path / "model.npz")
    loaded = ESNRegressor.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.forecast(10), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(forecaster)).forecast(10), expected)
    np.testing.assert_array_equal(loaded.step(wave[801]), forecaster.step(wave[801]))


def test_advance_needs_what_is_fed_back(fed_back, plant):
    u, y = plant
    y = y.copy()
    y[1010] = np.nan
    with pytest.raises(ValueError, match="`y` is NaN in sequence 0"):
        fed_back.advance(u[1000:1100], y[1000:1100])
    with pytest.raises(ValueError, match="`y` has 2 outputs"):
        fed_back.advance(u[1000:1100], np.ones((100, 2)))
    with pytest.raises(NotFittedError):
        ESNRegressor().advance(u)


# -- step ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("features", [{}, {"include_input": False, "include_squares": True}])
def test_steps_are_predict(wave, dtype, features):
    esn = small(dtype=dtype, leak_rate=0.5, **features).fit(wave[:699], wave[1:700])
    expected = esn.predict(wave[699:900], initial_state="last")
    found = np.array([esn.step(row) for row in wave[699:900]])
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=1e-10 if dtype == "float64" else 1e-4)
    # And what comes after is what comes after advance.
    np.testing.assert_allclose(
        esn.forecast(20), esn.forecast(20, wave[:900]), atol=1e-8 if dtype == "float64" else 1e-2
    )


@pytest.mark.parametrize("settings", [{"activation": "relu", "spectral_radius": 0.5},
                                      {"topology": "cycle"}, {"connectivity": 1.0}])  # fmt: skip
def test_steps_of_every_loop(wave, settings):
    esn = small(40, **settings).fit(wave[:699], wave[1:700, 0])
    expected = esn.predict(wave[699:760], initial_state="last")
    outputs = [esn.step(row) for row in wave[699:760]]
    assert all(type(value) is float for value in outputs)
    np.testing.assert_allclose(outputs, expected, atol=1e-10)


def test_steps_with_many_inputs(rng):
    X = rng.normal(size=(400, 40))
    esn = small(input_scaling=0.05).fit(X[:300], X[:300, :3])
    expected = esn.predict(X[300:], initial_state="last")
    np.testing.assert_allclose([esn.step(row) for row in X[300:]], expected, atol=1e-11)


def test_steps_feed_back_what_was_observed_or_their_own(fed_back, plant):
    u, y = plant
    twin = pickle.loads(pickle.dumps(fed_back))
    expected = twin.predict(u[1000:1100], initial_state="last")
    np.testing.assert_allclose([fed_back.step(row) for row in u[1000:1100]], expected, atol=1e-12)
    twin.advance(u[1000:1100])
    twin.advance(u[1100:1150], y[1100:1150])
    for row, value in zip(u[1100:1150], y[1100:1150], strict=True):
        fed_back.step(row[0], value[0])
    np.testing.assert_allclose(fed_back.last_state_, twin.last_state_, atol=1e-11)
    np.testing.assert_array_equal(fed_back.last_output_, twin.last_output_)


def test_steps_see_a_new_readout(forecaster, wave):
    forecaster.step(wave[699])
    forecaster.fit(wave[:699], 2 * wave[1:700])
    expected = forecaster.predict(wave[699:700], initial_state="last")[0]
    np.testing.assert_allclose(forecaster.step(wave[699]), expected, atol=1e-12)


def test_steps_hold_missing_values(wave):
    esn = small(missing="hold").fit(wave[:699], wave[1:700])
    rows = wave[699:720].copy()
    rows[0, 1] = rows[5] = np.nan
    expected = esn.predict(rows, initial_state="last")
    np.testing.assert_allclose([esn.step(row) for row in rows], expected, atol=1e-11)


def test_bad_steps(forecaster, fed_back):
    with pytest.raises(ValueError, match=r"`u` has shape \(3,\), but \(2,\) was expected"):
        forecaster.step([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="NaN"):
        forecaster.step([1.0, np.nan])
    with pytest.raises(NotFittedError):
        ESNRegressor().step(1.0)
    fed_back.coef_ = fed_back.coef_ * 1e4
    before = fed_back.last_state_
    with pytest.raises(DivergenceError, match="beyond the bound"):
        fed_back.step(0.5)
    assert fed_back.last_state_ is before


def test_a_step_is_quick():
    pytest.importorskip("numba")
    u = np.sin(0.1 * STEPS)[:, None]
    esn = small(100).fit(u[:-1], u[1:])
    rows = list(u)
    best = np.inf
    esn.step(rows[0])
    for _ in range(20):
        start = time.perf_counter()
        for row in rows[:100]:
            esn.step(row)
        best = min(best, (time.perf_counter() - start) / 100)
    # 9 µs on an idle core; four times as long here, where others may be at work.
    assert best < 40e-6


# -- forecast ------------------------------------------------------------------------------------


def test_a_forecast_goes_on_where_one_ended(forecaster, wave):
    whole = forecaster.forecast(60, wave[:900])
    first, end = forecaster.forecast(20, wave[:900], return_state=True)
    second, end = forecaster.forecast(15, initial_state=end, return_state=True)
    third = forecaster.forecast(25, initial_state=end.state[0], initial_output=second[-1])
    np.testing.assert_allclose(np.r_[first, second, third], whole, atol=1e-8)
    np.testing.assert_allclose(end.output[0], second[-1])


def test_a_forecast_after_predict_begins_after_its_rows(forecaster, wave):
    _, end = forecaster.predict(wave[:900], return_state=True)
    expected = forecaster.forecast(20, wave[:900])
    np.testing.assert_allclose(forecaster.forecast(20, initial_state=end), expected, atol=1e-9)


def test_a_context_may_have_a_state_before_it(forecaster, wave):
    whole = forecaster.forecast(10, wave[:900])
    _, end = forecaster.predict(wave[:800], return_state=True)
    np.testing.assert_allclose(
        forecaster.forecast(10, wave[800:900], initial_state=end), whole, atol=1e-9
    )
    forecaster.advance(wave[699:800])
    np.testing.assert_allclose(
        forecaster.forecast(10, wave[800:900], initial_state="last"), whole, atol=1e-9
    )


def test_a_divergence_after_advance_counts_from_the_first_forecast():
    x = np.linspace(-1, 1, 200)[:, None]
    esn = small(10, input_scaling=0.0, bias_scaling=0.0, washout=0, alpha=1e-12).fit(x, 2 * x)
    esn.advance([[0.5]])
    with pytest.raises(DivergenceError, match="step 4 of sequence 0 is 16") as caught:
        esn.forecast(10)
    np.testing.assert_allclose(caught.value.outputs, [[1], [2], [4], [8]])
    np.testing.assert_allclose(esn.forecast(4), [[1], [2], [4], [8]])


def test_columns_are_told_by_name():
    t = np.arange(800)
    d = pd.DataFrame({"a": 50 + np.sin(t / 5), "b": np.cos(t / 5)})
    settings = {"n_units": 100, "washout": 50, "input_scaling": [0.02, 1.0]}
    straight = small(**settings).fit(d[:-1], d[1:])
    turned = small(**settings).fit(d[:-1], d[["b", "a"]][1:])
    expected = [50 + np.sin(800 / 5), np.cos(800 / 5)]
    np.testing.assert_allclose(straight.forecast(1)[0], expected, atol=0.02)
    np.testing.assert_allclose(turned.forecast(20)[:, ::-1], straight.forecast(20), atol=1e-3)
    np.testing.assert_allclose(
        turned.forecast(20, d[:300])[:, ::-1], straight.forecast(20, d[:300]), atol=1e-3
    )
    nvar = NVARRegressor(3, stride=2, order=1, alpha=1e-8)
    right = nvar.fit(d[:-1], d[1:]).forecast(20)
    np.testing.assert_allclose(
        nvar.fit(d[:-1], d[["b", "a"]][1:]).forecast(20)[:, ::-1], right, atol=1e-6
    )


@pytest.fixture
def driven_series(rng):
    """Returns a frame of a series `y` that a known input `u` drives, and a column beside."""
    u = rng.uniform(-1, 1, 1500)
    y = np.zeros(1500)
    for t in range(1, 1500):
        y[t] = 0.9 * y[t - 1] + 0.3 * u[t - 1] * (1 - y[t - 1] ** 2 / 4)
    return pd.DataFrame({"u": u, "y": y})


@pytest.mark.parametrize("model", ["esn", "nvar"])
def test_inputs_that_are_known_ahead(driven_series, model):
    d = driven_series
    esn = small(100) if model == "esn" else NVARRegressor(1, order=3, alpha=1e-8)
    esn.fit(d[:999], d["y"][1:1000])
    known = d[["u"]]
    # The last input row was 998: those after it come from `future`.
    forecast = esn.forecast(200, future=known[999:1199])
    assert np.sqrt(np.mean((forecast - d["y"][1000:1200]) ** 2)) < 0.03 * d["y"].std()
    context = esn.forecast(200, d[:1000], future=known[1000:1199])
    np.testing.assert_allclose(context, forecast, atol=1e-4)
    for future in (d[1000:1199], known.to_numpy()[1000:1250], known.to_numpy()[1000:1199, 0]):
        np.testing.assert_array_equal(esn.forecast(200, d[:1000], future=future), context)


def test_what_is_known_ahead_matters(driven_series):
    d = driven_series
    esn = small(100).fit(d[:999], d["y"][1:1000])
    known = d[["u"]].to_numpy()[1000:1100]
    other = known.copy()
    other[50] += 1
    one, two = (esn.forecast(100, d[:1000], future=future) for future in (known, other))
    np.testing.assert_array_equal(one[:51], two[:51])
    assert abs(one[51] - two[51]) > 0.1
    # In pieces, as at once.
    first, end = esn.forecast(30, d[:1000], future=known, return_state=True)
    rest = esn.forecast(70, initial_state=end, future=known[29:])
    np.testing.assert_allclose(np.r_[first, rest], one, atol=1e-9)
    # The first columns, where there are no names.
    d = d[["y", "u"]].to_numpy()
    plain = small(100).fit(d[:999], d[1:1000, :1])
    forecast = plain.forecast(100, d[:1000], future=known)
    assert np.sqrt(np.mean((forecast[:, 0] - d[1000:1100, 0]) ** 2)) < 0.03 * d[:, 0].std()
    contexts, futures = [d[:900], d[:1000]], [d[900:908, 1:], d[1000:1008, 1:]]
    several = plain.forecast(9, contexts, future=futures)
    np.testing.assert_allclose(several[1], forecast[:9], atol=1e-12)
    np.testing.assert_array_equal(
        plain.forecast(9, contexts, future=np.array(futures)), np.array(several)
    )


def test_bad_futures(driven_series):
    d = driven_series
    esn = small().fit(d[:999], d["y"][1:1000])
    for future, message in (
        (None, "`future` is missing, but 'u' of `X` is no output"),
        (np.ones((3, 1)), r"`future` has shape \(3, 1\), but 9 rows or more of 1"),
        (np.ones((9, 2)), r"`future` has shape \(9, 2\)"),
        (np.full((9, 1), np.nan), "`future` holds NaN"),
        (pd.DataFrame({"v": np.ones(9)}), "`future` has no column 'u'"),
        ([np.ones((9, 1))] * 2, r"`future` holds 2 sequence\(s\), but 1 are forecast"),
    ):
        with pytest.raises(ValueError, match=message):
            esn.forecast(10, d[:1000], future=future)
    with pytest.raises(ValueError, match="none of the targets"):
        small().fit(d[:999], d["y"][1:1000].rename("target")).forecast(3)
    both = small().fit(d[:999], d[1:1000])
    with pytest.raises(ValueError, match="each input is an output"):
        both.forecast(3, future=np.ones((3, 1)))
    with pytest.raises(ValueError, match="`initial_output` was given with `X`"):
        both.forecast(3, d[:50], initial_output=[1.0, 1.0])
    with pytest.raises(ValueError, match="`initial_output` is missing"):
        both.forecast(3, initial_state=both.last_state_)


def test_a_panel_without_a_context_says_what_it_continues(wave):
    parts = [wave[:400], wave[400:800]]
    esn = small().fit([part[:-1] for part in parts], [part[1:] for part in parts])
    with pytest.warns(UserWarning, match="continues the last of them"):
        forecast = esn.forecast(5)
    np.testing.assert_allclose(forecast, esn.forecast(5, wave[400:800]), atol=1e-9)
    np.testing.assert_array_equal(esn.forecast(5, initial_state="last"), forecast)
    esn.advance(wave[800:801])
    esn.forecast(5)


# -- many origins --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings", [{}, {"feedback_scaling": 0.3}, {"activation": "relu", "spectral_radius": 0.3}]
)
def test_origins_are_contexts(wave, settings):
    esn = small(**settings).fit(wave[:699], wave[1:700])
    origins = np.r_[1, 2, 60, np.arange(300, 1200, 37), 1200, 500]
    found = esn.forecast_origins(9, wave, origins)
    assert found.shape == (len(origins), 9, 2)
    for origin, forecast in zip(origins, found, strict=True):
        np.testing.assert_allclose(forecast, esn.forecast(9, wave[:origin]), atol=1e-8)


def test_origins_with_known_inputs(driven_series):
    d = driven_series
    esn = small(100).fit(d[:999], d["y"][1:1000])
    origins = [1000, 1234, 1491]
    found = esn.forecast_origins(10, d, origins)
    assert found.shape == (3, 10)
    for origin, forecast in zip(origins, found, strict=True):
        alone = esn.forecast(10, d[:origin], future=d[origin:])
        np.testing.assert_allclose(forecast, alone, atol=1e-10)
    with pytest.raises(ValueError, match="`origins` holds 1492, but 1 to 1491"):
        esn.forecast_origins(10, d, [1492])


def test_origins_go_on_from_a_state(forecaster, wave):
    _, end = forecaster.predict(wave[:700], return_state=True)
    found = forecaster.forecast_origins(5, wave[700:], [1, 100], initial_state=end)
    whole = forecaster.forecast_origins(5, wave, [701, 800])
    np.testing.assert_allclose(found, whole, atol=1e-9)


def test_origins_that_diverge_take_no_other_along():
    x = np.linspace(-1, 1, 200)[:, None]
    esn = small(10, input_scaling=0.0, bias_scaling=0.0, washout=0, alpha=1e-12).fit(x, 2 * x)
    with pytest.raises(DivergenceError) as caught:
        esn.forecast_origins(8, [[0.001], [0.5], [-0.002], [-0.25]], [1, 2, 3, 4])
    assert [len(part) for part in caught.value.outputs] == [8, 4, 8, 5]
    assert (caught.value.sequence, caught.value.step) == (1, 4)


@pytest.mark.parametrize("origins", [[0], [1201], [], [1.5], [[3]]])
def test_bad_origins(forecaster, wave, origins):
    with pytest.raises(ValueError, match=r"`origins` (is|holds)"):
        forecaster.forecast_origins(3, wave, origins)
    with pytest.raises(ValueError, match="`X` holds 2 sequences"):
        forecaster.forecast_origins(3, [wave, wave], [5])


def test_online_networks_have_a_state_too(wave):
    esn = OnlineESNRegressor(40, random_state=0).fit(wave[:699], wave[1:700])
    expected = esn.forecast(5, wave[:800])
    esn.advance(wave[699:800])
    np.testing.assert_allclose(esn.forecast(5), expected, atol=1e-9)
    np.testing.assert_allclose(esn.forecast_origins(5, wave, [800])[0], expected, atol=1e-9)


def test_a_gpu_gives_the_same(wave, stand_in):
    # Of the stand-in alone, so that nothing here says how a card does.
    esn = small(device="cuda").fit(wave[:699], wave[1:700])
    host = small().fit(wave[:699], wave[1:700])
    for model in (esn, host):
        model.advance(wave[699:800])
    np.testing.assert_allclose(esn.last_state_, host.last_state_, atol=1e-12)
    np.testing.assert_allclose(esn.forecast(5), host.forecast(5), atol=1e-6)
    found = esn.forecast_origins(5, wave, [700, 900])
    np.testing.assert_allclose(found, host.forecast_origins(5, wave, [700, 900]), atol=1e-6)
    np.testing.assert_allclose(esn.step(wave[800]), host.step(wave[800]), atol=1e-6)
    esn.coef_ = host.coef_ = 50 * host.coef_
    errors = []
    for model in (esn, host):
        with pytest.raises(DivergenceError) as caught:
            model.forecast(50, [wave[:100], wave[:200]])
        errors.append(caught.value)
    assert errors[0].step == errors[1].step
    assert [len(part) for part in errors[0].outputs] == [len(part) for part in errors[1].outputs]
