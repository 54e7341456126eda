"""Diagnostics of a reservoir: memory, processing capacity, ranks, and stability.

Each function takes a fitted estimator or a `Reservoir`, has a seed, and shows progress on demand.
"""

from reservoir.diagnostics._capacity import (
    InformationProcessingCapacity,
    MemoryCapacity,
    information_processing_capacity,
    memory_capacity,
)
from reservoir.diagnostics._echo import (
    Consistency,
    EchoStateIndex,
    consistency,
    echo_state_index,
)
from reservoir.diagnostics._lyapunov import (
    LyapunovExponents,
    driven_lyapunov_exponents,
    free_lyapunov_exponents,
)
from reservoir.diagnostics._rank import generalization_rank, kernel_rank

__all__ = [
    "Consistency",
    "EchoStateIndex",
    "InformationProcessingCapacity",
    "LyapunovExponents",
    "MemoryCapacity",
    "consistency",
    "driven_lyapunov_exponents",
    "echo_state_index",
    "free_lyapunov_exponents",
    "generalization_rank",
    "information_processing_capacity",
    "kernel_rank",
    "memory_capacity",
]
