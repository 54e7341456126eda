"""Conceptors, and a memory made of them."""

from reservoir.conceptors._conceptors import (
    adapt_aperture,
    conceptor,
    conceptor_and,
    conceptor_not,
    conceptor_or,
    correlation,
    morph,
)
from reservoir.conceptors._memory import LoadedPatterns, controlled_reservoir, load_patterns

__all__ = [
    "LoadedPatterns",
    "adapt_aperture",
    "conceptor",
    "conceptor_and",
    "conceptor_not",
    "conceptor_or",
    "controlled_reservoir",
    "correlation",
    "load_patterns",
    "morph",
]
