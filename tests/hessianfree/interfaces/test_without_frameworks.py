"""What the interfaces do where their frameworks are not installed, or not asked for."""

import subprocess
import sys

import pytest

from hessianfree.interfaces import JaxObjective, TorchObjective
from hessianfree.interfaces._optional import needed


def test_neither_framework_is_imported_until_it_is_used():
    script = "import hessianfree, hessianfree.interfaces, sys; print(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    modules = process.stdout.split()
    assert "hessianfree.interfaces._torch" in modules
    assert {"torch", "jax", "jaxlib"}.isdisjoint(modules)


def test_what_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ImportError, match=r"pip install reservoir-hessianfree\[jax\]"):
        JaxObjective(lambda params, x: x, {})
    with pytest.raises(ImportError, match=r"`this` needs the package 'no_such_package'"):
        needed("no_such_package", "this")


def test_bad_arguments_are_named_without_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(TypeError, match="`module` is None"):
        TorchObjective(None)
    with pytest.raises(TypeError, match="`function` is of type str"):
        JaxObjective("net", {})
    with pytest.raises(ValueError, match="`loss` is 'mse'"):
        JaxObjective(lambda params, x: x, {}, "mse")
