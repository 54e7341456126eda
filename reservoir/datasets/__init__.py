"""Benchmark series that are computed, not downloaded: the same seed gives the same bits.

A task with an input comes as ``(X, y)``: inputs of shape (n_steps, 1), one target of shape
(n_steps,). A series that runs by itself comes as one array of shape (n_steps, n_variables).
"""

from reservoir.datasets._attractors import henon, lorenz, lorenz96
from reservoir.datasets._fields import kuramoto_sivashinsky
from reservoir.datasets._mackey_glass import mackey_glass
from reservoir.datasets._narma import narma
from reservoir.datasets._oscillators import multiple_superimposed_oscillators, sine_frequency

__all__ = [
    "henon",
    "kuramoto_sivashinsky",
    "lorenz",
    "lorenz96",
    "mackey_glass",
    "multiple_superimposed_oscillators",
    "narma",
    "sine_frequency",
]
