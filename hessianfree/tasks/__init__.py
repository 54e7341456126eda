"""Artificial problems with a known answer, as published: long time lags, and binary addition."""

from hessianfree.tasks._criteria import (
    wrong_at_the_end,
    wrong_bits,
    wrong_classes,
    wrong_numbers,
)
from hessianfree.tasks._generators import (
    adding,
    binary_addition,
    multiplication,
    random_permutation,
    temporal_order,
    xor,
)
from hessianfree.tasks._memorization import all_patterns, memorization
from hessianfree.tasks._task import HeldOut, Task, make_task

__all__ = [
    "HeldOut",
    "Task",
    "adding",
    "all_patterns",
    "binary_addition",
    "make_task",
    "memorization",
    "multiplication",
    "random_permutation",
    "temporal_order",
    "wrong_at_the_end",
    "wrong_bits",
    "wrong_classes",
    "wrong_numbers",
    "xor",
]
