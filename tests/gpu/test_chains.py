"""Chains of elementwise operations, each one kernel on a GPU: what they cost, and what CuPy makes
of them."""

import ctypes
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from hessianfree.batch import Batch
from hessianfree.cells import (
    ElmanCell,
    GRUCell,
    LSTMCell,
    MultiplicativeCell,
    MUT1Cell,
    MUT2Cell,
    MUT3Cell,
)
from hessianfree.network import SequenceNetwork
from hessianfree.optimize import conjugate_gradient
from reservoir.utils.device import fused

CELLS = {
    "elman": lambda n: ElmanCell(n, 5),
    "elman, logistic": lambda n: ElmanCell(n, 5, activation="logistic"),
    "multiplicative": lambda n: MultiplicativeCell(n, 5, 6),
    "multiplicative, shifted, relu": lambda n: MultiplicativeCell(
        n, 5, 6, gain="shifted_tanh", activation="relu"
    ),
    "lstm": lambda n: LSTMCell(n, 5),
    "lstm, peepholes": lambda n: LSTMCell(n, 5, peepholes=True),
    "gru": lambda n: GRUCell(n, 5),
    "mut1": lambda n: MUT1Cell(n, 5),
    "mut2": lambda n: MUT2Cell(n, 5),
    "mut3": lambda n: MUT3Cell(n, 5),
}


def make(cell, n_steps, rng, *, symbols, dtype="float64"):
    network = SequenceNetwork(CELLS[cell](3), 2, "squared_error", device="cuda")
    shape = (n_steps, 4)
    inputs = rng.integers(3, size=shape) if symbols else rng.standard_normal((*shape, 3))
    params = (0.5 * rng.standard_normal(network.n_params)).astype(dtype)
    return network, params, Batch(inputs, rng.standard_normal((*shape, 2)))


# Of a forward pass and of a Gauss-Newton product with real inputs: matrix products, copies to where
# a product reads, and chains; a quarter for each array that is flushed at every fourth step.
# With symbols, copies give way to a gather and a sum for each product of pass and tangents.
PER_STEP = {
    ("elman", "real"): (3, 4.25),
    ("elman", "symbols"): (4, 6.25),
    ("multiplicative", "real"): (5, 9.25),
    ("multiplicative", "symbols"): (6, 11.25),
    ("lstm", "real"): (6, 6.5),
    ("lstm", "symbols"): (7, 8.5),
    ("gru", "real"): (7, 11.5),
    ("gru", "symbols"): (9, 15.5),
}


@pytest.mark.parametrize(("cell", "inputs"), PER_STEP)
def test_operations_a_step(stand_in, rng, cell, inputs):
    """Each is a launch on a GPU: their number must not grow unseen."""

    def count(n_steps):
        network, params, batch = make(cell, n_steps, rng, symbols=inputs == "symbols")
        there = stand_in.asarray(params)
        before = stand_in.n_operations
        linearization = network.linearize(there, batch)
        forward = stand_in.n_operations - before
        linearization.gauss_newton_product(there)
        before = stand_in.n_operations
        linearization.gauss_newton_product(there)
        return np.array([forward, stand_in.n_operations - before])

    forward, product = (count(24) - count(16)) / 8
    assert (forward, product) == PER_STEP[cell, inputs]


def double(xp, array, factor):
    array *= factor


def test_on_the_host_a_chain_is_the_function_itself(rng):
    values = rng.standard_normal(4)
    expected = 3 * values
    fused(np, double)(values, 3.0)
    np.testing.assert_array_equal(values, expected)
    assert fused(np, double) is fused(np, double)


def record(monkeypatch, stand_in, run):
    """Return what chains are called with in `run`: the chain, its choices, arguments as they were,
    and where they lay."""
    calls = []
    fuse = stand_in.fuse

    def recording(*, kernel_name):
        def decorate(bound):
            kernel = fuse(kernel_name=kernel_name)(bound)

            def noting(*arguments):
                values = [getattr(each, "_values", each) for each in arguments]
                places = [each.ctypes.data if is_array(each) else None for each in values]
                copies = [each.copy() if is_array(each) else each for each in values]
                calls.append((bound.func, bound.args[1:], copies, places))
                kernel(*arguments)

            return noting

        return decorate

    monkeypatch.setattr(stand_in, "fuse", recording)
    fused.cache_clear()
    run()
    fused.cache_clear()
    return calls


def is_array(value):
    return isinstance(value, np.ndarray)


def kinds(arguments):
    return [
        [str(each.dtype), each.ndim] if is_array(each) else each and "float" for each in arguments
    ]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_cupy_makes_of_chains(monkeypatch, stand_in, rng, tmp_path, dtype):
    """The source of each kernel, compiled for the host, does what NumPy does."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("No C++ compiler (g++).")

    def run():
        for cell in CELLS:
            network, params, batch = make(cell, 6, rng, symbols=cell == "elman", dtype=dtype)
            there = stand_in.asarray(params)
            network.value(there, batch)
            network.value_and_gradient(there, batch)
            network.linearize(there, batch).gauss_newton_product(there, 0.1)
        matrix = stand_in.eye(3, dtype=dtype) * 2
        conjugate_gradient(lambda v: matrix @ v, stand_in.ones(3, dtype=dtype), max_iterations=2)

    distinct = {}
    for chain, choices, arguments, places in record(monkeypatch, stand_in, run):
        distinct[chain.__name__, choices, str(kinds(arguments))] = chain, choices, arguments, places
    assert {name for name, *_ in distinct} >= {
        "pull_through",
        "step_backward",
        "step_forward_with_slopes",
        "_turn",
    }
    named = [
        {
            "module": chain.__module__,
            "chain": chain.__name__,
            "choices": choices,
            "arguments": kinds(arguments),
        }
        for chain, choices, arguments, _ in distinct.values()
    ]
    script = pathlib.Path(__file__).parents[1] / "support" / "cupy_fusion.py"
    ran = subprocess.run(
        [sys.executable, script],
        input=json.dumps(named),
        capture_output=True,
        text=True,
        check=False,
    )
    if "No module named 'cupy'" in ran.stderr:
        pytest.skip("CuPy is not installed.")
    assert ran.returncode == 0, ran.stderr
    library = compile_for_the_host(compiler, json.loads(ran.stdout), tmp_path)
    for k, (chain, choices, arguments, places) in enumerate(distinct.values()):
        shape = np.broadcast_shapes(*(each.shape for each in arguments if is_array(each)))
        # Arrays that lay in one place are one array.
        ours, theirs = (
            {
                place: np.broadcast_to(each, shape).copy()
                for place, each in zip(places, arguments)
                if is_array(each)
            }
            for _ in range(2)
        )
        chain(np, *choices, *(ours.get(place, each) for place, each in zip(places, arguments)))
        held = [
            theirs.get(place, np.array(each))
            for place, each in zip(places, arguments)
            if each is not None
        ]
        pointers = (ctypes.c_void_p * len(held))(*(each.ctypes.data for each in held))
        getattr(library, f"chain{k}")(ctypes.c_long(int(np.prod(shape))), pointers)
        for place, expected in ours.items():
            # Fused multiply-add, and the functions of another library.
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(
                theirs[place], expected, rtol=50 * eps, atol=5 * eps, err_msg=chain.__name__
            )


def compile_for_the_host(compiler, sources, folder):
    """Return a library with a function `chain{k}` for each kernel: a loop in place of threads."""
    text = "#include <cmath>\nusing namespace std;\n#define __device__\n"
    for k, (functions, body, parameters) in enumerate(sources):
        functions = functions.replace('#include "cupy/float16.cuh"', "")
        declarations = "".join(
            f"auto &{name} = (({kind} *)p[{k}])[{'0' if is_number else 'i'}];\n"
            for k, (name, kind, is_number) in enumerate(parameters)
        )
        text += (
            f"namespace n{k} {{ {functions} }}\n"
            f'extern "C" void chain{k}(long n, void **p) {{\nusing namespace n{k};\n'
            f"for (long i = 0; i < n; i++) {{\n{declarations}{body}\n}}\n}}\n"
        )
    source = folder / "chains.cpp"
    source.write_text(text)
    library = folder / "chains.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", source, "-o", library], check=True)
    return ctypes.CDLL(str(library))
