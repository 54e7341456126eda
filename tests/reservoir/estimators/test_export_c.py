"""Headers of C, compiled with all warnings as errors, against the model in Python."""

import shutil
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pytest

from reservoir import ESNRegressor

COMPILER = shutil.which("cc") or shutil.which("gcc")
FLAGS = ["-std=c99", "-O2", "-Wall", "-Wextra", "-pedantic", "-Werror"]
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")

# Steps through rows of inputs from the zero state, then from the end of training, then forecasts.
PROGRAM = """
#include <stdio.h>
#include "net.h"

int main(void)
{
    static net_state s;
    static const double inputs[] = {%(inputs)s};
    static const net_real future[] = {%(future)s};
    static net_real outputs[%(n_ahead)d * net_n_outputs];
    net_real u[net_n_inputs], y[net_n_outputs];
    int part, t, i;
    long n;
    for (part = 0; part < 2; part++) {
        if (part) net_resume(&s);
        else net_reset(&s);
        for (t = 0; t < %(n_rows)d; t++) {
            for (i = 0; i < net_n_inputs; i++) u[i] = (net_real) inputs[t * net_n_inputs + i];
            net_step(&s, u, y);
            for (i = 0; i < net_n_outputs; i++) printf("%%.17g\\n", (double) y[i]);
        }
    }
    net_resume(&s);
    n = net_forecast(&s, %(n_ahead)d, future, outputs);
    printf("%%ld\\n", n);
    for (t = 0; t < n * net_n_outputs; t++) printf("%%.17g\\n", (double) outputs[t]);
    return 0;
}
"""


def run_program(folder, esn, X, n_ahead, future=(0.0,), dtype=None, compiler=(COMPILER, *FLAGS)):
    """Return the outputs of both passes through X, and of the forecast."""
    esn.to_c(folder / "net.h", name="net", dtype=dtype)
    words = {
        "inputs": ", ".join(f"{value:.17g}" for value in np.ravel(X)),
        "future": ", ".join(f"{value:.17g}" for value in np.ravel(future)),
        "n_ahead": n_ahead,
        "n_rows": len(X),
    }
    (folder / "main.c").write_text(PROGRAM % words)
    program = folder / "main"
    command = [*compiler, str(folder / "main.c"), "-o", str(program), "-lm"]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr
    lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    values = np.array(lines, dtype=float)
    size = len(X) * esn.n_outputs_
    first, second = (values[k * size : (k + 1) * size].reshape(len(X), -1) for k in (0, 1))
    forecast = values[2 * size + 1 :].reshape(-1, esn.n_outputs_)
    assert values[2 * size] == len(forecast)
    return first, second, forecast


def two_waves(n_rows):
    t = np.arange(n_rows)
    return np.column_stack([np.sin(0.2 * t), np.cos(0.13 * t)])


SETTINGS = {
    "defaults": {},
    "leaky": {"leak_rate": 0.3, "include_squares": True},
    "a leak rate for each unit": {"leak_rate": np.linspace(0.2, 1, 30), "include_input": False},
    "feedback": {"feedback_scaling": 0.2, "feedback_noise": 1e-3},
    "logistic": {"activation": "logistic", "input_scaling": 0.5},
    "relu, no intercept": {"activation": "relu", "fit_intercept": False, "spectral_radius": 0.5},
    "identity, dense": {"activation": "identity", "connectivity": 1.0, "spectral_radius": 0.5},
}


@needs_compiler
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_steps_and_forecasts_are_those_of_the_model(tmp_path, settings):
    series = two_waves(400)
    esn = ESNRegressor(30, washout=20, alpha=1e-4, random_state=0, **settings)
    esn.fit(series[:299], series[1:300])
    first, second, forecast = run_program(tmp_path, esn, series[299:340], 20)
    np.testing.assert_allclose(first, esn.predict(series[299:340]), rtol=1e-12, atol=1e-12)
    expected = esn.predict(series[299:340], initial_state="last")
    np.testing.assert_allclose(second, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(forecast, esn.forecast(20), rtol=1e-11, atol=1e-11)


@needs_compiler
def test_inputs_known_ahead(tmp_path):
    series = two_waves(400)
    esn = ESNRegressor(30, washout=20, alpha=1e-4, random_state=0)
    esn.fit(series[:299], series[1:300, 0])
    future = series[299:319, 1:]
    _, _, forecast = run_program(tmp_path, esn, series[299:305], 20, future=future)
    expected = esn.forecast(20, future=future)
    np.testing.assert_allclose(forecast[:, 0], expected, rtol=1e-11, atol=1e-11)


@needs_compiler
def test_an_output_that_was_not_observed_begins_the_forecast(tmp_path):
    series = two_waves(400)
    esn = ESNRegressor(30, washout=20, alpha=1e-4, random_state=0).fit(series[:299], series[1:300])
    esn.advance(series[299:310])
    _, _, forecast = run_program(tmp_path, esn, series[310:312], 10)
    np.testing.assert_allclose(forecast, esn.forecast(10), rtol=1e-11, atol=1e-11)


@needs_compiler
def test_a_forecast_stops_at_the_bounds(tmp_path):
    series = np.cumprod(np.full((60, 1), 1.1))[:, None]
    esn = ESNRegressor(5, activation="identity", alpha=1e-9, random_state=0, output_limit=1.0)
    esn.fit(series[:-1], series[1:])
    low, high = esn.output_bounds_[:, 0]
    _, _, forecast = run_program(tmp_path, esn, series[:2], 40)
    assert 0 < len(forecast) < 40
    assert forecast.max() <= high < 1.11 * forecast.max()
    assert low < series.min()


@needs_compiler
@pytest.mark.parametrize("of_model", ["float64", "float32"])
def test_single_precision(tmp_path, of_model):
    series = two_waves(400)
    esn = ESNRegressor(30, washout=20, alpha=1e-2, random_state=0, dtype=of_model)
    esn.fit(series[:299], series[1:300])
    first, _, _ = run_program(tmp_path, esn, series[299:340], 1, dtype="float32")
    np.testing.assert_allclose(first, esn.predict(series[299:340]), rtol=2e-4, atol=2e-4)
    assert "double" not in (tmp_path / "net.h").read_text()


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
def test_a_compiler_of_cpp_takes_it(tmp_path):
    series = two_waves(200)
    esn = ESNRegressor(20, alpha=1e-3, random_state=0).fit(series[:-1], series[1:])
    compiler = ("c++", "-x", "c++", "-std=c++11", "-Wall", "-Wextra", "-Werror")
    first, _, _ = run_program(tmp_path, esn, series[:5], 2, compiler=compiler)
    np.testing.assert_allclose(first, esn.predict(series[:5]), rtol=1e-12, atol=1e-12)


@needs_compiler
def test_a_program_that_uses_little_of_it_compiles_without_a_warning(tmp_path):
    X = np.random.default_rng(0).normal(size=(50, 1))
    esn = ESNRegressor(10, include_input=False, random_state=0).fit(X, X ** [1, 2])
    esn.to_c(tmp_path / "net.h")
    assert "esn_forecast" not in (tmp_path / "net.h").read_text()  # two outputs can't be one input
    (tmp_path / "main.c").write_text('#include "net.h"\nint main(void) { return esn_n_known; }')
    command = [COMPILER, *FLAGS, str(tmp_path / "main.c"), "-o", str(tmp_path / "main"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([tmp_path / "main"], check=False).returncode == 0


@needs_compiler
def test_the_program_of_the_guide(tmp_path):
    guide = (Path(__file__).parents[3] / "docs" / "guide" / "export.rst").read_text()
    program = guide.split(".. code-block:: c\n")[1].split("``sine_reset``")[0]
    (tmp_path / "main.c").write_text(textwrap.dedent(program))
    series = np.sin(0.2 * np.arange(1000))[:, None]
    esn = ESNRegressor(100, washout=50, alpha=1e-8, random_state=0).fit(series[:-1], series[1:])
    esn.to_c(tmp_path / "sine.h", name="sine")
    command = [COMPILER, *FLAGS, str(tmp_path / "main.c"), "-o", str(tmp_path / "main"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    output, ahead = esn.step(0.5), esn.forecast(20)[19, 0]
    np.testing.assert_allclose([float(part) for part in printed.split()], [output[0], ahead], 1e-5)


def test_what_cannot_be_written_is_refused(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 1))
    path = tmp_path / "net.h"
    own = ESNRegressor(10, activation=np.sin, random_state=0).fit(X[:-1], X[1:])
    with pytest.raises(ValueError, match="activation"):
        own.to_c(path)
    esn = ESNRegressor(10, random_state=0).fit(X[:-1], X[1:])
    for name in ("", "2nd", "a b", "double", "é", None):
        with pytest.raises(ValueError, match="name"):
            esn.to_c(path, name=name)
    with pytest.raises(ValueError, match="float16"):
        esn.to_c(path, dtype="float16")
    with pytest.raises(TypeError, match="path"):
        esn.to_c(3)
    y = X[1:].copy()
    y[-1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        ESNRegressor(10, random_state=0).fit(X[:-1], y).to_c(path)
    sequences = X.reshape(6, 10, 1)
    pooled = ESNRegressor(10, random_state=0).fit(sequences, np.arange(6.0))
    with pytest.raises(ValueError, match="one target per sequence"):
        pooled.to_c(path)
    assert not path.exists()
