"""Graphs of ONNX in onnxruntime, against the model in Python."""

import sys

import numpy as np
import pytest

from reservoir import ESNRegressor


def waves(n_rows):
    t = np.arange(n_rows)
    return np.column_stack([np.sin(0.2 * t), np.cos(0.13 * t)])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"leak_rate": 0.3, "include_squares": True, "topology": "orthogonal"},
        {"leak_rate": np.linspace(0.2, 1, 30), "include_input": False, "activation": "logistic"},
        {"feedback_scaling": 0.2, "feedback_noise": 1e-3},
        {"activation": "relu", "spectral_radius": 0.5},
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_outputs_are_those_of_the_model(tmp_path, settings, dtype):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    series = waves(400)
    esn = ESNRegressor(30, washout=20, alpha=1e-2, random_state=0, dtype=dtype, **settings)
    esn.fit(series[:299], series[1:300])
    esn.to_onnx(tmp_path / "net.onnx")
    session = runtime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    rows = series[299:340].astype(dtype)
    given = {"inputs": rows, "initial_state": np.zeros(30, dtype)}
    feeds_back = "feedback_scaling" in settings
    if feeds_back:
        given["initial_output"] = np.zeros(2, dtype)
    tolerance = 1e-12 if dtype == "float64" else 2e-4
    outputs, final_state = session.run(None, given)
    expected, end = esn.predict(rows, return_state=True)
    np.testing.assert_allclose(outputs, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(final_state, end.state[0], rtol=tolerance, atol=tolerance)
    # In two parts, the second going on from the first.
    first, middle = session.run(None, {**given, "inputs": rows[:15]})
    more = {"initial_output": first[-1]} if feeds_back else {}
    second, _ = session.run(None, {"inputs": rows[15:], "initial_state": middle, **more})
    np.testing.assert_allclose(np.vstack([first, second]), outputs, rtol=1e-5, atol=1e-6)


def test_without_onnx_it_says_what_to_install(tmp_path, monkeypatch):
    series = waves(60)
    esn = ESNRegressor(10, random_state=0).fit(series[:-1], series[1:])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"reservoir-hessianfree\[onnx\]"):
        esn.to_onnx(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
