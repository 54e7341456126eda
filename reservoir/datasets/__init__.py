"""Benchmark series that are computed, not downloaded, and three real ones in the package.

A task with an input comes as ``(X, y)``: inputs of shape (n_steps, 1), one target of shape
(n_steps,). A series that runs by itself comes as one array of shape (n_steps, n_variables). The
same seed gives the same bits. Real series, `load_...`, come as one array of shape (n_steps,).
"""

from reservoir.datasets._attractors import henon, lorenz, lorenz96
from reservoir.datasets._fields import kuramoto_sivashinsky
from reservoir.datasets._mackey_glass import mackey_glass
from reservoir.datasets._narma import narma
from reservoir.datasets._oscillators import multiple_superimposed_oscillators, sine_frequency
from reservoir.datasets._real import load_air_passengers, load_co2, load_nile

__all__ = [
    "henon",
    "kuramoto_sivashinsky",
    "load_air_passengers",
    "load_co2",
    "load_nile",
    "lorenz",
    "lorenz96",
    "mackey_glass",
    "multiple_superimposed_oscillators",
    "narma",
    "sine_frequency",
]
