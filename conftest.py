"""Files whose examples need packages that may be missing are left out where they are."""

from importlib.util import find_spec
from pathlib import Path

NEEDED = {
    "hessianfree/interfaces/_torch.py": ["torch"],
    "hessianfree/interfaces/_jax.py": ["jax"],
    "reservoir/interfaces/sktime": ["sktime"],
    "reservoir/interfaces/aeon": ["aeon"],
    "docs/guide/other_nets.rst": ["torch", "jax"],
    # tests/reservoir/interfaces/test_guide.py also runs each section where its package is.
    "docs/guide/interfaces.rst": ["sktime", "aeon", "optuna"],
}

collect_ignore = [
    str(Path(__file__).parent / file)
    for file, packages in NEEDED.items()
    if not all(map(find_spec, packages))
]
