"""Fields on a ring or a grid: local reservoirs, each with input from its neighbours."""

from reservoir.fields._free import run_fields_free
from reservoir.fields._patches import Patches

__all__ = [
    "Patches",
    "run_fields_free",
]
