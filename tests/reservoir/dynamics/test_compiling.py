"""What is compiled: one kernel for driven and free runs, whatever arrays come in."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_array

from reservoir.dynamics import LiveRun, Reservoir, free_run, run
from reservoir.readout import Readout
from tests.support.plain_reservoirs import DTYPES, collect, draw_reservoir

pytest.importorskip("numba")


def read_only(array):
    array = array.copy(order="K")
    array.flags.writeable = False
    return array


# What may be passed for one and the same numbers.
GUISES = {
    "as it is": np.asarray,
    "float32": lambda array: array.astype(np.float32),
    "Fortran": np.asfortranarray,
    "read-only": read_only,
    "a list": lambda array: array.tolist(),
    "every other": lambda array: np.repeat(array, 2, axis=0)[::2],
}


class Recorded:
    """Calls a kernel, and notes the types of its arguments: it is compiled for each new set."""

    def __init__(self, monkeypatch, module, name):
        self.module = importlib.import_module(module)
        self.kernel = getattr(self.module, name)
        self.seen = set()
        monkeypatch.setattr(self.module, name, self)

    def __call__(self, *arguments):
        from numba import typeof

        self.seen.add(tuple(map(typeof, arguments)))
        return self.kernel(*arguments)


@pytest.fixture
def advance(monkeypatch):
    return Recorded(monkeypatch, "reservoir.dynamics.loops._numba", "advance")


def in_guise(res, guise):
    """Return the same reservoir, its dense parts in another guise; W too, if it is dense."""
    parts = {name: guise(getattr(res, name)) for name in ("input", "bias", "feedback")}
    if isinstance(res.recurrent, np.ndarray):
        recurrent = guise(res.recurrent)
    else:
        csr = (read_only(res.recurrent.data), res.recurrent.indices, res.recurrent.indptr)
        recurrent = csr_array(csr, shape=res.recurrent.shape)
    return Reservoir(recurrent, **parts, leak_rate=res.leak_rate, carry=res.carry)


def use_in_every_way(res, rng, guise=np.asarray):
    """Drive `res` with and without noise, also several sequences, and close its loop."""
    inputs, teacher = guise(rng.normal(size=(20, 2))), guise(rng.normal(size=(20, 1)))
    run(res, inputs, teacher=teacher, engine="numba")
    run(res, inputs, teacher=teacher, state_noise=0.1, random_state=0, engine="numba")
    collect(res, [inputs, inputs], teachers=[teacher, teacher], engine="numba")
    n = res.n_units
    for squares in (None, guise(rng.normal(size=(1, n)) / n)):
        state = guise(rng.normal(size=(1, n)) / n)
        readout = Readout(state, np.ones(1), guise(rng.normal(size=(1, 2)) / 10), squares)
        free_run(res, readout, 20, inputs=inputs, engine="numba")
        LiveRun(res, readout, engine="numba").step(np.ones(2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["fixed", "ragged", "dense"])
def test_one_kernel_for_driven_and_free_runs(rng, advance, layout, dtype):
    res = draw_reservoir(rng, n_outputs=1, layout=layout, dtype=dtype, leak_rate=0.5)
    use_in_every_way(res, rng)
    assert len(advance.seen) == 1


@pytest.mark.parametrize("guise", ["Fortran", "read-only", "every other"])
@pytest.mark.parametrize("layout", ["fixed", "dense"])
def test_how_arrays_lie_in_memory_compiles_nothing_anew(rng, advance, layout, guise):
    res = draw_reservoir(rng, n_outputs=1, layout=layout, leak_rate=0.5)
    use_in_every_way(res, rng)
    use_in_every_way(in_guise(res, GUISES[guise]), rng, GUISES[guise])
    assert len(advance.seen) == 1


def test_series_of_another_dtype_compile_nothing_anew(rng, advance):
    res = draw_reservoir(rng)
    inputs = rng.integers(-1, 2, size=(20, 2))
    expected = run(res, inputs.astype(float), engine="numba")
    for dtype in (np.float32, np.float64, np.int64, np.int8):
        np.testing.assert_array_equal(run(res, inputs.astype(dtype), engine="numba"), expected)
    assert len(advance.seen) == 1


def test_each_form_is_compiled_when_it_is_first_used(rng, advance):
    for layout in ("fixed", "ragged", "dense"):
        for settings in ({}, {"carry": "euler"}, {"carry": np.roll(np.arange(70), 1)}):
            for leak_rate in (1.0, 0.5, np.full(70, 0.5)):
                res = draw_reservoir(rng, layout=layout, leak_rate=leak_rate, **settings)
                run(res, rng.normal(size=(5, 2)), engine="numba")
    # Three forms of W, each as a leaky integrator and as one that carries on something else.
    assert len(advance.seen) == 6


@pytest.mark.parametrize(
    ("learner", "settings", "n_kinds"),
    [
        ("RecursiveLeastSquares", [{}, {"alpha": 1}, {"fit_intercept": False}], 1),
        ("RecursiveLeastSquares", [{"forgetting": 0.99}, {"forgetting": 0.5}], 1),
        ("RecursiveLeastSquares", [{}, {"forgetting": 0.5}], 2),
        ("LeastMeanSquares", [{}, {"normalized": False}, {"learning_rate": 1}], 1),
    ],
)
def test_learners_are_compiled_once(rng, monkeypatch, learner, settings, n_kinds):
    online = importlib.import_module("reservoir.online")
    name = "learn_least_squares" if learner[0] == "R" else "learn_mean_squares"
    kernel = Recorded(monkeypatch, "reservoir.online._kernels", name)
    features = rng.integers(-3, 4, size=(300, 5)).astype(float)
    targets, weights = rng.integers(-3, 4, size=(300, 2)).astype(float), np.ones(300)
    for one in settings:
        outputs = []
        for guise in GUISES.values():
            made = getattr(online, learner)(5, 2, engine="numba", **one)
            outputs.append(made.update(guise(features), guise(targets), guise(weights)))
            made.update(guise(features), guise(targets))
        # The numbers are small integers, which float32 holds without rounding.
        for other in outputs[1:]:
            np.testing.assert_array_equal(other, outputs[0])
    assert len(kernel.seen) == n_kinds


# Prints the functions of this project that are compiled.
PROGRAM = """
from numba.core import event
import numpy as np
from reservoir import ESNRegressor, OnlineESNRegressor

class Compiled(event.Listener):
    def on_start(self, event):
        function = event.data["dispatcher"].py_func
        if function.__module__.startswith("reservoir"):
            print(function.__name__)
    def on_end(self, event):
        pass

event.register("numba:compile", Compiled())
X = np.random.default_rng(0).uniform(-1, 1, size=(300, 1))
"""


@pytest.mark.parametrize(
    ("call", "compiled"),
    [
        ("ESNRegressor(20, random_state=0).fit(X, X).forecast(5)", ["advance"]),
        (
            "OnlineESNRegressor(20, random_state=0).partial_fit(X, X).step(X[0], X[0])",
            ["advance", "learn_least_squares", "_add_multiple", "_dot"],
        ),
    ],
)
def test_the_first_call_compiles_no_more_than_it_uses(tmp_path, call, compiled):
    # A cache for each call: the second process finds all that the first one compiled.
    for expected in (compiled, []):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM + call],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert sorted(done.stdout.split()) == sorted(expected)
