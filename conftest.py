"""Files whose examples need packages that may be missing are left out where they are.

Each process of pytest-xdist gets a folder for what numba compiles.
"""

import os
from importlib.util import find_spec
from pathlib import Path

NEEDED = {
    "hessianfree/interfaces/_torch.py": ["torch"],
    "hessianfree/interfaces/_jax.py": ["jax"],
    "reservoir/interfaces/sktime": ["sktime"],
    "reservoir/interfaces/aeon": ["aeon"],
    "docs/guide/other_nets.rst": ["torch", "jax"],
}

collect_ignore = [
    str(Path(__file__).parent / file)
    for file, packages in NEEDED.items()
    if not all(map(find_spec, packages))
]
# Each section needs another package: tests/reservoir/interfaces/test_guide.py runs them apart.
collect_ignore.append(str(Path(__file__).parent / "docs/guide/interfaces.rst"))

# Two processes that compile one function for other types at once may give both one file.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parent / ".numba_cache" / worker))
