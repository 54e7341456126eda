"""Anomalies in series: scores of steps, and alarms at a rate that is asked for."""

from reservoir.detection._estimator import ReservoirDetector

__all__ = ["ReservoirDetector"]
