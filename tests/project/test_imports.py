"""What importing the packages brings along: nothing that is slow and may never be needed."""

import subprocess
import sys

import pytest

SLOW = (
    "matplotlib",
    "numba",
    "cupy",
    "sklearn.metrics",
    "sklearn.model_selection",
    "dask",
    "torch",
    "jax",
    "sktime",
    "aeon",
    "optuna",
)


@pytest.mark.parametrize("package", ["reservoir", "hessianfree"])
def test_what_is_slow_is_imported_where_it_is_used(package):
    script = f"import sys, {package}; print(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    modules = process.stdout.split()
    assert package in modules
    assert [name for name in SLOW if name in modules] == []
