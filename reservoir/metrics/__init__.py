"""Errors of predictions, how long a forecast is valid, and whether its climate is right."""

from reservoir.metrics._climate import histogram_distance, power_spectrum_distance
from reservoir.metrics._errors import nrmse, valid_prediction_time

__all__ = ["histogram_distance", "nrmse", "power_spectrum_distance", "valid_prediction_time"]
