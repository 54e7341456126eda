"""The recurrence: driven by input, teacher-forced, free-running, in variants."""

from reservoir.dynamics._driven import iterate_blocks, iterate_sequences, run
from reservoir.dynamics._free import FreeRun, FreeStart, VariantRun, free_run, free_run_variants
from reservoir.dynamics._live import LiveRun
from reservoir.dynamics._many import ManyRuns, ManyStarts, free_run_many
from reservoir.dynamics._reservoir import DivergenceError, Reservoir
from reservoir.dynamics._series import DrivenSequence
from reservoir.dynamics._variants import SideBySide, Variants, run_variants, variant

__all__ = [
    "DivergenceError",
    "DrivenSequence",
    "FreeRun",
    "LiveRun",
    "ManyRuns",
    "ManyStarts",
    "FreeStart",
    "Reservoir",
    "SideBySide",
    "VariantRun",
    "Variants",
    "free_run",
    "free_run_many",
    "free_run_variants",
    "iterate_blocks",
    "iterate_sequences",
    "run",
    "run_variants",
    "variant",
]
