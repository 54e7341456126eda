"""Recurrent, input, feedback and bias weights: drawn, and scaled to a spectral radius."""

from reservoir.weights._draw import bias_weights, input_weights, recurrent_weights
from reservoir.weights._spectral_radius import ConvergenceError, spectral_radius

__all__ = [
    "ConvergenceError",
    "bias_weights",
    "input_weights",
    "recurrent_weights",
    "spectral_radius",
]
