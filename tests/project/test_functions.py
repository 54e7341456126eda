"""Functions stay short, and take few arguments: 60 lines of code and 8 parameters at most."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

ROOT = Path(__file__).parents[2]
MOST_LINES, MOST_PARAMETERS = 60, 8

# Whole files whose functions get arrays one by one.
KERNELS = {
    "reservoir/dynamics/loops/_numba_kernels.py": "compiled by numba, which takes arrays",
    "reservoir/online/_kernels.py": "compiled by numba, which takes arrays",
    "hessianfree/cells/_kernels.py": "compiled by numba, which takes arrays",
    "hessianfree/cells/_lstm_chains.py": "fused by CuPy, which takes arrays by position",
    "hessianfree/cells/_multiplicative_chains.py": "fused by CuPy, which takes arrays by position",
    "hessianfree/cells/_update_chains.py": "fused by CuPy, which takes arrays by position",
}
# Functions with more parameters, and why.
MANY_PARAMETERS = {
    "reservoir/online/_least_squares.py::_learn_rows": "stands in for a compiled kernel",
    "reservoir/online/_mean_squares.py::_learn_rows": "stands in for a compiled kernel",
    "reservoir/datasets/_attractors.py::lorenz": "public: three constants of the equations",
    "reservoir/datasets/_mackey_glass.py::mackey_glass": "public: four constants of the equation",
    "reservoir/dynamics/_driven.py::run": "public: one run, with all that it may start from",
    "reservoir/dynamics/_driven.py::iterate_sequences": "public: as `run`, for many sequences",
    "reservoir/dynamics/_free.py::free_run": "public: one run, with all that it may start from",
    "reservoir/online/_closed_loop.py::learn_closed_loop": "public: a run, and how it is learned",
    "reservoir/plotting/_curves.py::MemoryCurveDisplay.from_estimator": (
        "public: as displays of scikit-learn"
    ),
    "hessianfree/estimators/_answers.py::AnsweringRNN.generate": (
        "public: from what, to where, and how to search"
    ),
    "hessianfree/network/_fed_back.py::WritingNetwork.generate": (
        "public: from what, to where, and how to search"
    ),
    "hessianfree/network/_initialization.py::sparse_parameters": "public: a scale for each kind",
    "hessianfree/network/_initialization.py::echo_state_parameters": (
        "public: a scale for each kind"
    ),
    "hessianfree/optimize/_conjugate_gradient.py::conjugate_gradient": (
        "public: one value for each rule of when to stop"
    ),
    "hessianfree/optimize/_scipy_method.py::hessian_free": "SciPy passes options by name",
    "hessianfree/training/_loop.py::train": "public: what is trained on, watched and kept",
    "hessianfree/training/_scipy.py::train_scipy": "public: what is trained on, watched and kept",
}


def code_lines(lines, function):
    """Count the lines of a body that are neither blank, nor comment, nor docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    if not body:
        return 0
    rows = lines[body[0].lineno - 1 : function.end_lineno]
    return sum(bool(row.strip()) and not row.strip().startswith("#") for row in rows)


def functions(tree, prefix=""):
    """Yield the qualified names and the nodes of all functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = f"{prefix}{node.name}"
            if isinstance(node, ast.FunctionDef):
                yield name, node
            yield from functions(node, f"{name}.")
        else:
            yield from functions(node, prefix)


def n_parameters(function):
    arguments = function.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def is_constructor_of_an_estimator(path, name):
    """Tell whether scikit-learn wants each parameter of a class by name."""
    if not name.endswith(".__init__"):
        return False
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    found = getattr(module, name.split(".", maxsplit=1)[0])
    return inspect.isclass(found) and issubclass(found, BaseEstimator)


@pytest.fixture(scope="module")
def measured():
    found = {}
    for package in ("reservoir", "hessianfree"):
        for file in sorted((ROOT / package).rglob("*.py")):
            path = file.relative_to(ROOT)
            text = file.read_text(encoding="utf-8")
            lines = text.splitlines()
            for name, node in functions(ast.parse(text)):
                found[path, name] = code_lines(lines, node), n_parameters(node)
    assert len(found) > 1000
    return found


def test_functions_are_short(measured):
    assert [key for key, (n_lines, _) in measured.items() if n_lines > MOST_LINES] == []


def test_functions_have_few_parameters(measured):
    many = {
        f"{path.as_posix()}::{name}"
        for (path, name), (_, count) in measured.items()
        if count > MOST_PARAMETERS
        and path.as_posix() not in KERNELS
        and not is_constructor_of_an_estimator(path, name)
    }
    # Of exceptions too: one that is none any longer is to be taken off the list.
    assert many == set(MANY_PARAMETERS)
