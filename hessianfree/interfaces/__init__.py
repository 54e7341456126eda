"""Hessian-free and first-order training of nets written for PyTorch and JAX."""

from hessianfree.interfaces._jax import JaxObjective
from hessianfree.interfaces._torch import TorchObjective

__all__ = [
    "JaxObjective",
    "TorchObjective",
]
